"""`Engine`: where the index of a library is, and how it is made and brought up to date; `open_engine` gives it.

Two kinds: the file beside the library (`FileEngine`), and a collection (`CollectionEngine`) in a database or a folder,
which several libraries of one encoder may share. What either holds is as of a generation of the library. A query is
answered as the library is now all the same: what changed since is compared by who asks.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from mirclr.errors import EncoderMismatch, EngineError, LibraryError
from mirclr.index.address import Address
from mirclr.index.collection import Collection, Holding, library_key
from mirclr.index.elsewhere import EngineIndex
from mirclr.index.file import load, save
from mirclr.index.index import Index, index_path, made_base, no_songs, open_index
from mirclr.index.shards import rows_of_shards
from mirclr.library import LibraryStore
from mirclr.settings import command_line

_ROWS = 4096  # that are read and written at once
Report = Callable[[int, int], object]
"""Called with how many rows are written, and how many are to be."""


@dataclass(frozen=True)
class IndexStatus:
    """How an index stands to its library.

    Attributes
    ----------
    index : str
        Its address, without secrets.
    tracks : int
        Of the library, that have a vector.
    held : int
        Tracks that the index holds of it.
    to_add, to_renew, to_remove : int
        What is to be done to bring it up to date.
    usable : bool
        Whether queries are answered by it as it is: it was finished, of the encoder and of a past of this library.
    others : int
        Further libraries in the same collection.
    """

    index: str
    tracks: int
    held: int
    to_add: int
    to_renew: int
    to_remove: int
    usable: bool
    others: int = 0

    @property
    def behind(self) -> int:
        """How many tracks are to be added, renewed or removed."""
        return self.to_add + self.to_renew + self.to_remove


@dataclass(frozen=True)
class Pushed:
    """What was done to bring an index up to date: how many tracks were written, and removed."""

    written: int
    removed: int


class Engine(Protocol):
    """Where the index of a library is. Methods raise `EngineError` and `LibraryError`."""

    address: Address

    def open(self, library: LibraryStore) -> Index:
        """Give the index, true to the library as it is now."""
        ...

    def build(self, library: LibraryStore, report: Report | None = None, shards: Path | None = None) -> Pushed:
        """Make it anew; the vectors are read from Parquet shards, where there are (`rows_of_shards`)."""
        ...

    def push(self, library: LibraryStore, report: Report | None = None) -> Pushed:
        """Bring it up to date by what changed in the library."""
        ...

    def status(self, library: LibraryStore) -> IndexStatus:
        """Compare it with the library."""
        ...

    def drop(self, library: LibraryStore) -> bool:
        """Remove what it holds of the library; whether there was anything."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def open_engine(text: str) -> Engine:
    """Give the engine of an address, such as ``milvus://localhost:19530/songs``; it is connected to when it is asked.

    Raises
    ------
    EngineError
        The text is no address.
    MissingExtra
        Its client is not installed.
    """
    address = Address.parse(text)
    if address.kind == "faiss":
        return FileEngine(address)
    if address.kind == "ivfpq":
        from mirclr.index.quantized import QuantizedCollection

        return CollectionEngine(address, QuantizedCollection(address))
    if address.kind == "milvus":
        from mirclr.index.milvus import MilvusCollection

        return CollectionEngine(address, MilvusCollection(address))
    from mirclr.index.postgres import PostgresCollection

    return CollectionEngine(address, PostgresCollection(address))


class FileEngine:
    """The file beside the library, which is made and brought up to date by itself too: see `open_index`."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def open(self, library: LibraryStore) -> Index:
        """Give the index."""
        return open_index(library)

    def build(self, library: LibraryStore, report: Report | None = None, shards: Path | None = None) -> Pushed:
        """Make the file anew."""
        if shards:
            raise EngineError("the file beside the library is made of the library alone; name another index for shards")
        base, metadata = made_base(library)
        save(index_path(library), base, metadata)
        if report:
            report(len(base), len(base))
        return Pushed(len(base), 0)

    def push(self, library: LibraryStore, report: Report | None = None) -> Pushed:
        """Make the file anew where anything changed: it is derived in seconds."""
        before = self.status(library)
        if before.usable and not before.behind:
            return Pushed(0, 0)
        self.build(library, report)
        return Pushed(before.to_add + before.to_renew, before.to_remove)

    def status(self, library: LibraryStore) -> IndexStatus:
        """Compare the file with the library."""
        found = load(index_path(library))
        base, metadata = found if found else (None, {})
        generation = metadata.get("generation")
        usable = (
            base is not None
            and metadata.get("library") == library.uuid
            and isinstance(generation, int)
            and library.knows_generation(generation)
        )
        held = np.sort(base.ids) if base is not None else np.zeros(0, np.int64)
        return _compared(self.address, library, held, generation if usable else None)

    def drop(self, library: LibraryStore) -> bool:
        """Delete the file."""
        there = index_path(library).exists()
        index_path(library).unlink(missing_ok=True)
        return there

    def close(self) -> None:
        """Nothing is open."""


class CollectionEngine:
    """A collection in a database."""

    def __init__(self, address: Address, collection: Collection) -> None:
        self.address, self._collection = address, collection

    def open(self, library: LibraryStore) -> Index:
        """Give the index.

        Raises
        ------
        EngineError
            The collection holds nothing of this library, or what it holds is of no past of it.
        """
        holding, _ = self._holding(library)
        if not library.vector_count():
            raise no_songs(library)
        if holding is None:
            how = self._command(library, "build")
            raise EngineError(
                f"{self.address.shown}: holds nothing of {library.path} yet; write its vectors there: {how}"
            )
        if not self._is_of_past(library, holding):
            how = self._command(library, "build")
            raise EngineError(
                f"{self.address.shown}: holds vectors of {library.path} as it never was, or before it was renewed; "
                f"write them anew: {how}"
            )
        return EngineIndex(library, self._collection, holding)

    def build(self, library: LibraryStore, report: Report | None = None, shards: Path | None = None) -> Pushed:
        """Write all vectors anew; where the engine can, queries are answered by the old ones meanwhile."""
        self._check_encoder(library, self._holding(library)[1])
        return self._collection.transaction(lambda: self._write(library, None, report, shards))

    def push(self, library: LibraryStore, report: Report | None = None) -> Pushed:
        """Write what changed since; or all, where what is held is of no past of this library."""
        holding, others = self._holding(library)
        self._check_encoder(library, others)
        since = holding.generation if holding and self._is_of_past(library, holding) else None
        return self._collection.transaction(lambda: self._write(library, since, report))

    def status(self, library: LibraryStore) -> IndexStatus:
        """Compare the collection with the library, track by track."""
        holding, others = self._holding(library)
        usable = holding is not None and self._is_of_past(library, holding)
        held = self._collection.ids(library_key(library.uuid))
        since = holding.generation if holding and usable else None
        return _compared(self.address, library, held, since, len(others))

    def drop(self, library: LibraryStore) -> bool:
        """Remove a library from the collection, and the collection with the last one."""
        key = library_key(library.uuid)
        holding, _ = self._holding(library)
        there = holding is not None or self._collection.count(key) > 0
        if there:
            self._collection.drop(key)
        return there

    def close(self) -> None:
        """Close the connection."""
        self._collection.close()

    def _write(
        self, library: LibraryStore, since: int | None, report: Report | None, shards: Path | None = None
    ) -> Pushed:
        """Write the vectors that changed since a generation, or all; then remove what is gone, and state what is held.

        The library may change meanwhile: what changes is younger than the generation that is stated in the end.
        """
        key = library_key(library.uuid)
        with library.snapshot():
            stamp, generation, now = library.stamp, library.generation, library.ids()
            changed = now if since is None else library.ids(changed_since=since)
        if stamp is None or not len(now):
            raise no_songs(library)
        if since is None:
            self._collection.begin(key, stamp.mean_dim)
        source = rows_of_shards(shards, library) if shards else _rows(library, changed)
        written, removed = self._upsert(key, source, len(changed), report), 0
        if self._collection.count(key) != len(now):
            held = self._collection.ids(key)
            gone = np.setdiff1d(held, now)
            if removed := len(gone):
                self._collection.delete(key, gone)
            lacking = np.setdiff1d(now, held)  # another hand removed them there, or no shard has them
            written += self._upsert(key, _rows(library, lacking), len(lacking), report)
        if library.stamp != stamp or not library.knows_generation(generation):
            raise LibraryError(f"{library.path}: was renewed meanwhile; do it again")
        self._collection.finish(Holding(key, stamp.digest, generation, len(now)))
        return Pushed(written, removed)

    def _upsert(
        self, key: str, source: Iterable[tuple[np.ndarray, np.ndarray]], many: int, report: Report | None
    ) -> int:
        written = 0
        for ids, matrix in source:
            self._collection.upsert(key, ids, matrix)
            written += len(ids)
            if report:
                report(written, many)
        return written

    def _holding(self, library: LibraryStore) -> tuple[Holding | None, list[Holding]]:
        """What is held of a library, and of others."""
        key = library_key(library.uuid)
        holdings = self._collection.holdings()
        return next((h for h in holdings if h.library == key), None), [h for h in holdings if h.library != key]

    def _is_of_past(self, library: LibraryStore, holding: Holding) -> bool:
        stamp = library.stamp
        return stamp is not None and stamp.digest == holding.encoder and library.knows_generation(holding.generation)

    def _check_encoder(self, library: LibraryStore, others: list[Holding]) -> None:
        stamp = library.stamp
        other = next((h for h in others if stamp and h.encoder != stamp.digest), None)
        if stamp and other:
            raise EncoderMismatch(
                f"{self.address.shown}: holds vectors of the encoder {other.encoder[:12]}, and {library.path} has "
                f"those of {stamp.digest[:12]}; vectors of two encoders cannot be compared. Name another collection"
            )

    def _command(self, library: LibraryStore, what: str) -> str:
        return command_line("index", what, "--index", self.address.typed, library_path=library.path)


def _rows(library: LibraryStore, tracks: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The vectors of tracks, those that are gone meanwhile left out, some at a time."""
    for at in range(0, len(tracks), _ROWS):
        ids, matrix = library.compared(tracks[at : at + _ROWS].tolist())
        if len(ids):
            yield ids, matrix


def _compared(
    address: Address, library: LibraryStore, held: np.ndarray, since: int | None, others: int = 0
) -> IndexStatus:
    """Compare (n,) tracks that an index holds, ascending, of a generation, or of none that counts, with the library."""
    with library.snapshot():
        now = library.ids()
        changed = now if since is None else library.ids(changed_since=since)
    to_add = int(np.isin(now, held, invert=True).sum())
    to_renew = int(np.isin(changed, held).sum())
    to_remove = int(np.isin(held, now, invert=True).sum())
    return IndexStatus(address.shown, len(now), len(held), to_add, to_renew, to_remove, since is not None, others)
