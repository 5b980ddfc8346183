"""`QuantizedCollection`: a folder for more vectors than memory holds: by IVF-PQ, and compared again from the disk.

Rows lie in a file as float16, in the order in which they came, and are mapped. Beside it are lists of codes: rows lie
in clusters, and each is a byte for some components of what its cluster leaves over (Jégou et al. 2011, "Product
quantization for nearest neighbor search", section 4). A query looks into the nearest clusters, and compares the best by
their codes exactly. How many clusters and candidates that takes to find `RECALL` of the 20 nearest is measured on rows
of its own when the lists are made. Nothing is held in memory as a whole but codes, while lists are made; a query maps
them too.

A library's files are named by `about.json`, which is replaced last: what is not named there is not there.
"""

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import xxhash

from mirclr.errors import EngineError
from mirclr.index.address import Address
from mirclr.index.base import RECALL
from mirclr.index.collection import Holding
from mirclr.index.index import merged
from mirclr.provenance import writing

_T = TypeVar("_T")
FORMAT = "mirclr-ivfpq 1"
SMALL = 20_000
"""As many rows are compared one by one, without lists."""
_TRAINING = 40  # rows a cluster that k-means looks at
_CODES = 65_536  # rows that codes are found by, at most
_FEWEST = 39 * 256  # at least; of fewer faiss warns
_CHUNK = 65_536
_BYTES, _COMPONENTS = 64, 2  # bytes of a row's code at most, and components that a byte is of at least
_MEASURED = 128
_CANDIDATES = (200, 400, 1600, 6400)  # that are compared again
_ALONE = 16  # queries up to which a product and a choice take less time than faiss does
_ANEW = 0.3  # fraction of rows that came or went since lists were made, at which they are made anew


@dataclass(frozen=True)
class About:
    """What is held of a library, and in which files.

    Attributes
    ----------
    format : str
    holding : Holding
    dim : int
        Components of a vector.
    rows : int
        How many rows there are, with those of tracks that are gone.
    version : int
        Counts how often it was written; part of the names of files.
    vectors, ids, lists : str
        Names of files; `lists` is empty where there are none.
    learned : int
        How many rows there were when the lists were made anew.
    is_ascending : bool
        Whether the ids of rows ascend.
    probes, candidates : int
        How many clusters a query looks into, and how many rows it compares again, at least.
    recall : float
        What that finds of the 20 nearest of rows of its own.
    digest : str
        Of the lists.
    """

    format: str
    holding: Holding
    dim: int
    rows: int
    version: int
    vectors: str
    ids: str
    lists: str = ""
    learned: int = 0
    is_ascending: bool = True
    probes: int = 0
    candidates: int = 0
    recall: float = 1.0
    digest: str = ""

    @classmethod
    def read(cls, place: Path) -> "About | None":
        """What a folder holds; None where it holds nothing, or what cannot be read."""
        try:
            values = json.loads((place / "about.json").read_text(encoding="utf-8"))
            about = cls(**{**values, "holding": Holding(**values["holding"])})
            ok = about.format == FORMAT and all(Path(n).name == n for n in (about.vectors, about.ids, about.lists))
            ok = ok and (place / about.ids).stat().st_size == 8 * about.rows
            ok = ok and (place / about.vectors).stat().st_size >= 2 * about.dim * about.rows
            return about if ok and (not about.lists or (place / about.lists).is_file()) else None
        except (OSError, ValueError, TypeError, KeyError):
            return None


class Rows:
    """The rows of a library on the disk, mapped; and its lists.

    Parameters
    ----------
    place : Path
        The folder.
    about : About
    """

    def __init__(self, place: Path, about: About) -> None:
        self.about, self._place = about, place
        shape = (about.rows, about.dim)
        self.ids = _mapped(place / about.ids, "<i8", shape[:1])
        self.vectors = _mapped(place / about.vectors, "<f2", shape)

    def of(self, ids: np.ndarray) -> np.ndarray:
        """The rows of some tracks, of which some may not be there."""
        if self.about.is_ascending:
            at = np.minimum(np.searchsorted(self.ids, ids), max(self.about.rows - 1, 0))
            return at[self.ids[at] == ids] if self.about.rows else at
        order, held = self._order
        at = np.minimum(np.searchsorted(held, ids), max(len(held) - 1, 0))
        return order[at[held[at] == ids]] if len(held) else at[:0]

    @cached_property
    def _order(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows of tracks that are not gone, in the order of their ids, and those."""
        there = np.flatnonzero(self.ids >= 0)
        order = there[np.argsort(self.ids[there], kind="stable")]
        return order, np.asarray(self.ids[order])

    def exactly(self, queries: np.ndarray, k: int, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Compare (q, d) queries with some rows, or all: (q, k') similarities and rows."""
        import faiss

        similarities, found = np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        n = self.about.rows if rows is None else len(rows)
        for at in range(0, n, _CHUNK):
            part = np.arange(at, min(at + _CHUNK, n)) if rows is None else rows[at : at + _CHUNK]
            part = part[self.ids[part] >= 0]
            matrix = np.asarray(self.vectors[part], np.float32)
            if len(queries) > _ALONE and len(part) > k:
                products, some = faiss.knn(queries, matrix, k, metric=faiss.METRIC_INNER_PRODUCT)
                part = part[some]
            else:
                products = queries @ matrix.T
                part = np.broadcast_to(part, products.shape)
            similarities, found = np.concatenate([similarities, products], 1), np.concatenate([found, part], 1)
            similarities, found = merged(similarities, found, k)
        return similarities, found

    def search(
        self, queries: np.ndarray, k: int, probes: int | None = None, candidates: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the k nearest rows of each query by the lists: (q, k') similarities and rows."""
        import faiss

        about = self.about
        settings = faiss.SearchParametersIVF()
        settings.nprobe = probes or about.probes
        many = max(candidates or about.candidates, 4 * k)
        _, near = self.lists.search(padded(queries), many, params=settings)
        found = [self.exactly(q[None], k, np.unique(row[row >= 0])) for q, row in zip(queries, near, strict=True)]
        widest = max((s.shape[1] for s, _ in found), default=0)
        wide = [(0, widest - s.shape[1]) for s, _ in found]
        return (
            np.stack([np.pad(s[0], w, constant_values=-np.inf) for (s, _), w in zip(found, wide, strict=True)]),
            np.stack([np.pad(r[0], w, constant_values=-1) for (_, r), w in zip(found, wide, strict=True)]),
        )

    @cached_property
    def lists(self) -> Any:
        """The lists, mapped where the system can do that."""
        import faiss

        path = self._place / self.about.lists
        if _digest(path) != self.about.digest:
            raise EngineError(f"{path}: is damaged; make the index anew: mirclr index build --index ivfpq:FOLDER")
        flags = 0 if sys.platform == "win32" else faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY
        return faiss.read_index(str(path), flags)


class QuantizedCollection:
    """A folder with vectors of one library or several.

    Parameters
    ----------
    address : Address
        Of kind ``ivfpq``.
    """

    def __init__(self, address: Address) -> None:
        self._address, self._folder = address, Path(address.target)
        self._drafts: dict[str, _Draft] = {}
        self._rows: dict[str, Rows] = {}

    def close(self) -> None:
        """Let go of the files."""
        self._rows.clear()

    def holdings(self) -> list[Holding]:
        """What it holds."""
        places = sorted(self._folder.glob("*/about.json")) if self._folder.is_dir() else []
        found = [About.read(place.parent) for place in places]
        return [about.holding for about in found if about]

    def transaction(self, work: Callable[[], _T]) -> _T:
        """Do some work; what it did not finish is not there."""
        try:
            return work()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise EngineError(f"{self._address.shown}: cannot be written: {reason}") from error
        finally:
            for draft in self._drafts.values():
                draft.abandon()
            self._drafts.clear()

    def begin(self, library: str, dim: int) -> None:
        """Begin new files."""
        self._drafts[library] = _Draft(self._folder / library, None, dim)

    def upsert(self, library: str, ids: np.ndarray, matrix: np.ndarray) -> None:
        """Append rows."""
        self._draft(library).append(ids, matrix)

    def delete(self, library: str, ids: np.ndarray) -> None:
        """Have rows be of no track."""
        self._draft(library).remove(ids)

    def finish(self, holding: Holding) -> None:
        """Make the lists, and name the files."""
        self._draft(holding.library).finish(holding)
        del self._drafts[holding.library]
        self._rows.pop(holding.library, None)

    def ids(self, library: str) -> np.ndarray:
        """The tracks that are there."""
        ids = self._drafts[library].ids if library in self._drafts else self._held_ids(library)
        return np.sort(ids[ids >= 0])

    def count(self, library: str) -> int:
        """How many tracks are there."""
        ids = self._drafts[library].ids if library in self._drafts else self._held_ids(library)
        return int((ids >= 0).sum())

    def search(
        self, library: str, queries: np.ndarray, k: int, only: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest rows; their similarities are those of float16."""
        rows = self._open(library)
        similarities, ids = np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), -1, np.int64)
        if rows is None:
            return similarities, ids
        if only is None and rows.about.lists:
            near, found = rows.search(queries, k)
        else:
            near, found = rows.exactly(queries, k, None if only is None else rows.of(only))
        similarities[:, : near.shape[1]] = near
        ids[:, : near.shape[1]] = np.where(found >= 0, rows.ids[found], -1)
        return similarities, ids

    def drop(self, library: str) -> None:
        """Delete a library's files, and the folder with the last of them."""
        self._rows.pop(library, None)
        place = self._folder / library
        for file in sorted(place.glob("*")):
            file.unlink(missing_ok=True)
        with suppress(OSError):
            place.rmdir()
            self._folder.rmdir()

    def _draft(self, library: str) -> "_Draft":
        if library not in self._drafts:
            about = About.read(self._folder / library)
            if about is None:
                raise EngineError(f"{self._address.shown}: holds nothing of this library")
            self._drafts[library] = _Draft(self._folder / library, about, about.dim)
        return self._drafts[library]

    def _open(self, library: str) -> Rows | None:
        about = About.read(self._folder / library)
        if about is None:
            return None
        if library not in self._rows or self._rows[library].about != about:
            self._rows[library] = Rows(self._folder / library, about)
        return self._rows[library]

    def _held_ids(self, library: str) -> np.ndarray:
        rows = self._open(library)
        return np.zeros(0, np.int64) if rows is None else rows.ids


class _Draft:
    """Files that are being written: new ones, or rows after those that there are."""

    def __init__(self, place: Path, about: About | None, dim: int) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self._place, self._about, self._dim = place, about, dim
        before = About.read(place)
        self._version = 1 + (before.version if before else 0)
        self._vectors = about.vectors if about else f"vectors-{self._version}.f16"
        self._kept = about.rows if about else 0
        self._parts = [np.fromfile(place / about.ids, "<i8")] if about else []
        self._gone: list[np.ndarray] = []
        self._file = (place / self._vectors).open("r+b" if about else "wb")
        self._file.seek(2 * dim * self._kept)
        self._file.truncate()

    @property
    def ids(self) -> np.ndarray:
        """(n,) int64: the track of each row; -1 of none."""
        if len(self._parts) != 1:
            self._parts = [np.concatenate([np.zeros(0, np.int64), *self._parts])]
        return self._parts[0]

    def append(self, ids: np.ndarray, matrix: np.ndarray) -> None:
        """Write rows, in place of those that there are of these tracks."""
        if self._about:
            self.remove(ids)
        self._file.write(np.ascontiguousarray(matrix, "<f2").data)
        self._parts.append(np.array(ids, np.int64))

    def remove(self, ids: np.ndarray) -> None:
        """Have rows be of no track."""
        rows = np.flatnonzero(np.isin(self.ids, ids))
        self._gone.append(rows)
        self.ids[rows] = -1

    def finish(self, holding: Holding) -> None:
        """Make or continue the lists, write all files, and name them."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        ids, old = self.ids, self._about
        (self._place / f"ids-{self._version}.i64").write_bytes(np.ascontiguousarray(ids, "<i8").data)
        ascending = bool((np.diff(ids) > 0).all()) and bool((ids >= 0).all())
        about = About(FORMAT, holding, self._dim, len(ids), self._version, self._vectors, f"ids-{self._version}.i64")
        about = _changed(about, is_ascending=ascending)
        changed = sum(map(len, self._gone)) + len(ids) - self._kept
        rows = Rows(self._place, about)
        if old and old.lists and changed + old.rows - old.learned <= _ANEW * old.learned:
            about = self._continued(rows, old)
        elif (ids >= 0).sum() > SMALL:
            about = _made(self._place, rows)
        with writing(self._place / "about.json", "w") as file:
            json.dump(asdict(about), file)
        named = {"about.json", about.vectors, about.ids, about.lists}
        for other in self._place.iterdir():
            if other.name not in named:
                with suppress(OSError):  # one that another process has mapped; the next time
                    other.unlink()

    def _continued(self, rows: Rows, old: About) -> About:
        """The lists with rows taken out and put in."""
        import faiss

        lists = faiss.read_index(str(self._place / old.lists))
        gone = np.concatenate([np.zeros(0, np.int64), *self._gone])
        if len(gone):
            lists.remove_ids(faiss.IDSelectorBatch(gone))
        _add(lists, rows, self._kept)
        kept = {name: getattr(old, name) for name in ("learned", "probes", "candidates", "recall")}
        return _saved(self._place, lists, _changed(rows.about, **kept))

    def abandon(self) -> None:
        """Close and delete what was not finished; rows after those that count are cut off the next time."""
        if not self._file.closed:
            self._file.close()
            if self._about is None:
                with suppress(OSError):
                    (self._place / self._vectors).unlink()


def _made(place: Path, rows: Rows) -> About:
    """New lists of all rows, with as many probes and candidates as find enough."""
    import faiss

    there = np.flatnonzero(rows.ids >= 0)
    count = int(np.sqrt(len(there)))  # more would be faster to look into, and take longer to make in proportion
    wanted = min(len(there), max(_TRAINING * count, _FEWEST))
    some = there[np.linspace(0, len(there) - 1, wanted).astype(np.int64)]
    sample = padded(rows.vectors[some])
    kmeans = faiss.Kmeans(sample.shape[1], count, niter=8, spherical=True, seed=1, max_points_per_centroid=_TRAINING)
    kmeans.train(sample)
    centres = faiss.IndexFlatIP(sample.shape[1])
    centres.add(np.asarray(kmeans.centroids))
    dim, each = sample.shape[1], _components(rows.about.dim)
    lists = faiss.IndexIVFPQ(centres, dim, count, dim // each, 8, faiss.METRIC_INNER_PRODUCT)
    lists.train(sample[np.linspace(0, len(sample) - 1, min(len(sample), _CODES)).astype(np.int64)])
    del sample
    _add(lists, rows, 0)
    about = _saved(place, lists, _changed(rows.about, learned=rows.about.rows))
    return _measured(Rows(place, about), there)


def _add(lists: Any, rows: Rows, start: int) -> None:
    """Put the rows of tracks from one on into lists."""
    for at in range(start, rows.about.rows, _CHUNK):
        part = np.arange(at, min(at + _CHUNK, rows.about.rows), dtype=np.int64)
        part = part[rows.ids[part] >= 0]
        lists.add_with_ids(padded(rows.vectors[part]), part)


def _saved(place: Path, lists: Any, about: About) -> About:
    import faiss

    name = f"lists-{about.version}.faiss"
    faiss.write_index(lists, str(place / name))
    return _changed(about, lists=name, digest=_digest(place / name))


def _measured(rows: Rows, there: np.ndarray) -> About:
    """The fewest probes and candidates that find `RECALL` of the 20 nearest of rows spread over all."""
    queries = np.asarray(rows.vectors[there[np.linspace(0, len(there) - 1, _MEASURED).astype(np.int64)]], np.float32)
    _, wanted = rows.exactly(queries, 20, None)

    def tried(probes: int, candidates: int) -> About:
        _, found = rows.search(queries, 20, probes, candidates)
        recall = float(np.mean([len(np.intersect1d(a, b)) / 20 for a, b in zip(found, wanted, strict=True)]))
        return _changed(rows.about, probes=probes, candidates=candidates, recall=round(recall, 4))

    clusters, probes, most = rows.lists.nlist, 8, _CANDIDATES[-1]
    while (best := tried(probes, most)).recall < RECALL and probes < clusters:
        probes = min(clusters, -(-probes * 8 // 5))
    fewer = (tried(probes, candidates) for candidates in _CANDIDATES[:-1])
    return next((about for about in fewer if about.recall >= RECALL), best)


def padded(matrix: np.ndarray) -> np.ndarray:
    """(n, d) rows as float32, with zeros up to a number of components that codes divide."""
    each = _components(matrix.shape[1])
    dim = -(-matrix.shape[1] // each) * each
    wide = np.zeros((len(matrix), dim), np.float32)
    wide[:, : matrix.shape[1]] = matrix
    return wide


def _components(dim: int) -> int:
    """Of how many components a byte of a code is."""
    return max(_COMPONENTS, -(-dim // _BYTES))


def _changed(about: About, **values: Any) -> About:
    return About(**{**vars(about), **values})


def _mapped(path: Path, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.memmap(path, dtype, "r", 0, shape) if np.prod(shape) else np.zeros(shape, dtype)


def _digest(path: Path) -> str:
    """Of a file's size, its ends, and a page in sixteen of a large one."""
    data = np.memmap(path, np.uint8, "r")
    digest = xxhash.xxh3_64(str(len(data)).encode())
    step = 1 if len(data) < 2**26 else 16
    for at in range(0, len(data), step * 2**16):
        digest.update(data[at : at + 2**16].data)
    digest.update(data[-(2**16) :].data)
    return digest.hexdigest()
