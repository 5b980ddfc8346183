"""A folder of vectors: Parquet files, each committed whole, with a row a song.

=================  =========================  ===================================================================
column             type                       what
=================  =========================  ===================================================================
id                 string                     of its manifest; else its path
root, path         string                     an absolute folder or an address; what names the song below it
audio_path         string                     of a part of a file: that file, below the root
start_s            float64                    where the song begins in its file
size, mtime_ns     int64                      of the file
digest             string                     `file_digest`; of a part with its mark
content_digest     string                     of all bytes of the file
audio_digest       string                     of the decoded excerpts
duration_s         float64                    length in seconds
remark             string                     what is wrong with a file that plays all the same
tags               struct                     as `mirclr.tags.Tags`
vector             fixed_size_list<float32>   of unit length
moments            binary                     the embeddings of its excerpts (`ExcerptEmbeddings.to_bytes`)
labels             list<struct>               guesses: task, label, probability
failure            string                     why it could not be embedded; then there is no vector
passing            bool                       the failure is of the machine or the network: it is tried again
=================  =========================  ===================================================================

The metadata of each file, JSON under the key ``mirclr``, hold ``format``, ``encoder`` (its `EncoderStamp`) and
``heads`` (the digest of those that guessed). Files are named by run and number, ``00001-000042.parquet``: a task that
is run again writes the same file again, and of a song that several files hold the last one counts.
"""

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mirclr.cluster.listing import Listed
from mirclr.errors import (
    EncoderMismatch,
    LibraryError,
    MissingExtra,
    StorageError,
    VectorsError,
    in_words,
    is_fault_of_machine,
)
from mirclr.library.checks import parsed_stamp
from mirclr.models.stamp import EncoderStamp
from mirclr.storage import Folder, is_url
from mirclr.tags import Tags

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
_KEY = b"mirclr"
_NAME = re.compile(r"(\d{5,})-(\d{6,})\.parquet")
_TAGS = {"year": "int64", "duration_s": "float64", "compilation": "bool_", "track_number": "int64"} | {
    "disc_number": "int64"
}


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra.of("a folder of vectors (Parquet)", "parquet") from None
    return pyarrow


def schema_of(dim: int) -> "pa.Schema":
    """The columns, with vectors of so many components."""
    pa = _pyarrow()
    tags = pa.struct([(f.name, getattr(pa, _TAGS.get(f.name, "string"))()) for f in fields(Tags)])
    label = pa.struct([("task", pa.string()), ("label", pa.string()), ("probability", pa.float64())])
    texts = ("id", "root", "path", "audio_path")
    digests = ("digest", "content_digest", "audio_digest")
    return pa.schema(
        [
            *((name, pa.string()) for name in texts),
            ("start_s", pa.float64()),
            ("size", pa.int64()),
            ("mtime_ns", pa.int64()),
            *((name, pa.string()) for name in digests),
            ("duration_s", pa.float64()),
            ("remark", pa.string()),
            ("tags", tags),
            ("vector", pa.list_(pa.float32(), dim)),
            ("moments", pa.binary()),
            ("labels", pa.list_(label)),
            ("failure", pa.string()),
            ("passing", pa.bool_()),
        ]
    )


@dataclass(frozen=True)
class HeldSong:
    """What a folder holds of a song: its file as it was, and why it could not be embedded where it was not."""

    size: int
    mtime_ns: int
    mark: str
    reason: str
    passing: bool

    @property
    def failed(self) -> bool:
        """Whether it could not be embedded."""
        return bool(self.reason)

    def is_of(self, song: Listed, *, retry: bool = False) -> bool:
        """Whether nothing is to be done of a song: its file is as it was, and is not to be tried again."""
        if self.passing or (self.failed and retry) or self.mark != (song.part.mark if song.part else ""):
            return False
        same_size = song.size in (-1, self.size)
        return same_size and (not song.mtime_ns or song.mtime_ns == self.mtime_ns)


class VectorFolder:
    """A folder of vectors, on this machine or at an address of fsspec.

    Parameters
    ----------
    place : str
        A path or an address.

    Attributes
    ----------
    damaged : list of str
        The files that are not whole, once they were met.
    """

    def __init__(self, place: str) -> None:
        self.place = place.rstrip("/") if is_url(place) else str(Path(place).expanduser().absolute())
        self._folder = Folder(self.place)
        self.damaged: list[str] = []
        _pyarrow()

    def __str__(self) -> str:
        return str(self._folder)

    def names(self) -> list[str]:
        """The shards, in the order in which they count.

        Raises
        ------
        StorageError
            The folder cannot be listed.
        """
        numbers = {name: match.groups() for name in self._folder.names() if (match := _NAME.fullmatch(name))}
        return sorted(numbers, key=lambda name: tuple(map(int, numbers[name])))

    def next_run(self) -> int:
        """The number of a run that begins now."""
        return max((int(name.partition("-")[0]) for name in self.names()), default=0) + 1

    def read(self, name: str, columns: Sequence[str] | None = None) -> "tuple[pa.Table, dict[str, Any]] | None":
        """The rows of a shard, and its metadata; None of one that is not whole, which then is among `damaged`.

        Raises
        ------
        StorageError, VectorsError
            It cannot be read; it is of a newer format.
        """
        pa = _pyarrow()
        source = self._open(name, columns)
        try:
            file = pa.parquet.ParquetFile(source)
            facts = json.loads((file.schema_arrow.metadata or {}).get(_KEY, b"null"))
            if not isinstance(facts, dict):
                raise ValueError("it has no metadata of mirclr's")
            if facts.get("format") != FORMAT:
                raise VectorsError(f"{self}/{name}: format {facts.get('format')}; this mirclr reads {FORMAT}")
            heads = facts.get("heads", "")
            if not isinstance(heads, str):
                raise ValueError("its heads are no text")
            stamp = self._stamp(name, facts)
            table = file.read(list(columns) if columns else None)
            wanted = schema_of(stamp.dim)
            table = table.select(columns or wanted.names).cast(
                pa.schema([wanted.field(c) for c in columns or wanted.names])
            )
            table.validate(full=True)
            if any(table.column(c).null_count for c in table.column_names if c in ("root", "path")):
                raise ValueError("a song has no place")
        except VectorsError:
            raise
        except (pa.ArrowException, ValueError, KeyError, OSError) as error:
            if is_fault_of_machine(error):
                raise
            if name not in self.damaged:
                self.damaged.append(name)
            return None
        return table, facts | {"encoder": stamp, "heads": heads}

    def _open(self, name: str, columns: Sequence[str] | None) -> Any:
        """A shard to be read; of one on this machine no more is read than the columns that are asked for."""
        pa = _pyarrow()
        if not columns or self._folder.local is None:
            return pa.BufferReader(self._folder.read(name))
        try:
            return pa.OSFile(str(self._folder.local / name))
        except OSError as error:
            raise StorageError(f"{self}/{name}: {in_words(error)}") from error

    def _stamp(self, name: str, facts: Mapping[str, Any]) -> EncoderStamp:
        try:
            return parsed_stamp(json.dumps(facts.get("encoder")), Path(name))
        except LibraryError:
            raise ValueError("its encoder cannot be read") from None

    def encoder(self) -> EncoderStamp | None:
        """The encoder of the vectors; None of a folder without any."""
        for name in self.names():
            if shard := self.read(name, ("id",)):
                found: EncoderStamp = shard[1]["encoder"]
                return found
        return None

    def held(self, encoder: EncoderStamp) -> dict[tuple[str, str], HeldSong]:
        """What the folder holds, by root and path.

        Raises
        ------
        EncoderMismatch
            Its vectors are of another encoder.
        """
        found: dict[tuple[str, str], HeldSong] = {}
        columns = ("root", "path", "size", "mtime_ns", "digest", "failure", "passing")
        for name in self.names():
            if (shard := self.read(name, columns)) is None:
                continue
            table, facts = shard
            if not encoder.makes_vectors_of(facts["encoder"]):
                raise EncoderMismatch(
                    f"{self}: holds vectors of the encoder {facts['encoder'].name} "
                    f"({facts['encoder'].digest[:8]}), and was given {encoder.name} ({encoder.digest[:8]}); name that "
                    "encoder with --checkpoint, or another folder"
                )
            for root, path, size, time, digest, failure, passing in zip(
                *(table.column(c).to_pylist() for c in columns), strict=True
            ):
                mark = (digest or "").partition(":")[2]
                found[root, path] = HeldSong(size, time, mark, failure or "", bool(passing))
        return found

    def write(self, name: str, rows: Sequence[Mapping[str, Any]], stamp: EncoderStamp, heads: str = "") -> None:
        """Commit a shard: all of it or nothing; one of that name is replaced.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        pa = _pyarrow()
        columns = schema_of(stamp.dim)
        arrays = [pa.array([row.get(c.name) for row in rows], type=c.type) for c in columns]
        self.write_table(name, pa.Table.from_arrays(arrays, schema=columns), stamp, heads)

    def write_table(self, name: str, table: "pa.Table", stamp: EncoderStamp, heads: str) -> None:
        """As `write`, of a table."""
        pa = _pyarrow()
        facts = {"format": FORMAT, "encoder": asdict(stamp), "heads": heads}
        buffer = io.BytesIO()
        pa.parquet.write_table(table.replace_schema_metadata({_KEY: json.dumps(facts)}), buffer, compression="zstd")
        self._folder.write(name, buffer.getvalue())


def shard_name(run: int, number: int) -> str:
    """The name of a shard."""
    return f"{run:05d}-{number:06d}.parquet"


def vectors_of(table: "pa.Table", dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Which rows of a table have a vector, (n,) bool, and these vectors, (m, dim) float32."""
    column = table.column("vector").combine_chunks()
    there = np.asarray(column.is_valid())
    flat = column.drop_null().flatten()
    return there, np.asarray(flat, np.float32).reshape(-1, dim)
