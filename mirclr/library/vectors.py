"""Vectors of tracks, embeddings of their excerpts, and the encoder that all of them are of."""

import json
import shlex
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from mirclr.errors import EncoderMismatch, LibraryError
from mirclr.library.checks import check_rows, parsed_stamp, whole_number
from mirclr.library.database import IDS, Database, id_list
from mirclr.library.excerpts import ExcerptEmbeddings
from mirclr.library.schema import explained
from mirclr.models.stamp import EncoderStamp, unit_rows
from mirclr.terminal import shown

_UNIT = 1e-5  # by which the length of a vector of float32 may differ from 1 when it was made to be 1
_ROWS = 16_384  # that are made of unit length at once


class Vectors(Database):
    """What the encoder made of tracks."""

    @property
    def stamp(self) -> EncoderStamp | None:
        """The encoder whose vectors are held; None before the first `bind`."""
        text = self._meta("encoder")
        return parsed_stamp(text, self.path) if text else None

    @property
    def generation(self) -> int:
        """Grows with every change of vectors, so that what is derived from them knows that it is stale.

        It follows the clock (ns), so that two copies of a library that grew apart never share one.
        """
        return whole_number(self._meta("generation"), "its generation", self.path)

    def knows_generation(self, generation: int) -> bool:
        """Whether the library was once of this generation: what was derived from it then can be brought up to date."""
        return bool(self._rows("SELECT 1 FROM change WHERE generation = ?", generation))

    def bind(self, stamp: EncoderStamp) -> None:
        """Tie the library to an encoder: the first one stays, later ones must be the same.

        Raises
        ------
        EncoderMismatch
            The library holds vectors of another encoder, or of another number of excerpts per track.
        """
        held = self.stamp
        if held is None:
            with self._transaction() as db:
                db.execute("INSERT OR IGNORE INTO meta VALUES ('encoder', ?)", (json.dumps(asdict(stamp)),))
            held = self.stamp or stamp
        if held.makes_vectors_of(stamp):
            return
        raise EncoderMismatch(
            f"{self.path}: holds vectors of the encoder {_name(held)}, and was given {_name(stamp)}; "
            f"vectors of two encoders cannot be compared. Use the first, or embed all tracks again with "
            f"the other: mirclr library renew --library {shlex.quote(shown(str(self.path)))} "
            f"--checkpoint {shlex.quote(stamp.name)}"
        )

    def vector(self, track_id: int) -> np.ndarray:
        """The vector of one track.

        Returns
        -------
        np.ndarray
            (dim,) float32 of unit length.

        Raises
        ------
        LibraryError
            There is no such track.
        """
        ids, matrix = self.vectors([track_id])
        if not len(ids):
            raise LibraryError(f"{self.path}: holds no vector of a track {track_id}")
        return np.asarray(matrix[0])

    def vectors(self, ids: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """All vectors, or those of the given ids; in ascending order of id.

        Returns
        -------
        ids : (n,) int64
        matrix : (n, dim) float32, unit rows
            (0, 0) while no encoder is bound.

        Raises
        ------
        LibraryError
            The file is damaged: a vector has another length, or is not finite.
        """
        with self.snapshot():
            stamp = self.stamp
            dim = stamp.dim if stamp else 0
            return self._read_vectors(ids, dim, dim)

    def compared(self, ids: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """What of all vectors, or those of the given ids, is compared (`EncoderStamp.compared`), as of `vectors`.

        Returns
        -------
        ids : (n,) int64
        matrix : (n, mean_dim) float32, unit rows
        """
        with self.snapshot():
            stamp = self.stamp
            if stamp is None or stamp.mean_dim == stamp.dim:
                return self.vectors(ids)
            held, matrix = self._read_vectors(ids, stamp.dim, stamp.mean_dim)
        for rows in np.split(matrix, range(_ROWS, len(matrix), _ROWS)):  # not a second time all of a large library
            rows[:] = unit_rows(rows)
        return held, matrix

    def _read_vectors(self, ids: Sequence[int] | None, dim: int, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids, and the first components of vectors of `dim`."""
        held, matrix = self._read_components(ids, dim, first)
        if matrix.size and not (matrix.min() >= -1.001 and matrix.max() <= 1.001):  # NaN is neither
            wrong = int(np.flatnonzero(~(np.abs(matrix) <= 1.001).all(axis=1))[0])
            what = "of unit length" if np.isfinite(matrix[wrong]).all() else "finite"
            raise self._damaged(f"the vector of track {held[wrong]} is not {what}")
        return held, matrix

    def _read_components(self, ids: Sequence[int] | None, dim: int, first: int) -> tuple[np.ndarray, np.ndarray]:
        which = "" if ids is None else f"WHERE track_id IN {IDS}"
        arguments = () if ids is None else (id_list(ids),)
        n = self._rows(f"SELECT COUNT(*) FROM vector {which}", *arguments)[0][0]  # noqa: S608
        held, matrix = np.empty(n, np.int64), np.empty((n, first), np.float32)
        column = f"substr(components, 1, {4 * first}) AS components, length(components)"
        query = f"SELECT track_id, {column} FROM vector {which} ORDER BY track_id"  # noqa: S608
        at = 0
        for rows in self._batches(query, *arguments):
            for track_id, _, length in rows:
                if length != 4 * dim:
                    raise self._damaged(f"the vector of track {track_id} has {length} bytes; expected {4 * dim}")
            end = at + len(rows)
            held[at:end] = [row[0] for row in rows]
            if dim:
                matrix[at:end] = np.frombuffer(b"".join([row[1] for row in rows]), "<f4").reshape(-1, first)
            at = end
        return held, matrix

    def _damaged(self, what: str) -> LibraryError:
        hint = f"mirclr library verify --library {shlex.quote(str(self.path))}"
        return LibraryError(f"{self.path}: {what}; see: {hint}")

    def ids(self, *, changed_since: int | None = None) -> np.ndarray:
        """The tracks that have a vector, or those whose vector is younger than a generation: (n,) int64, ascending."""
        which, arguments = ("", ()) if changed_since is None else (" WHERE generation > ?", (changed_since,))
        with explained(self.path):
            cursor = self._connection.cursor()
            cursor.row_factory = None  # plain tuples take a third of the time
            query = f"SELECT track_id FROM vector{which}"  # noqa: S608  (in an order it would read all, index or not)
            rows = cursor.execute(query, arguments).fetchall()
            check_rows(self.path, ("track_id",), rows)
        return np.sort(np.fromiter((row[0] for row in rows), np.int64, len(rows)))

    def vector_count(self) -> int:
        """How many tracks have a vector."""
        return int(self._rows("SELECT COUNT(*) FROM vector")[0][0])

    def excerpt_embeddings(self, ids: Sequence[int]) -> dict[int, ExcerptEmbeddings]:
        """The embeddings of the excerpts of tracks, by id; tracks that were embedded without are left out."""
        rows = self._rows(f"SELECT track_id, rows FROM moment WHERE track_id IN {IDS}", id_list(ids))  # noqa: S608
        held = {row[0]: ExcerptEmbeddings.from_bytes(row[1]) for row in rows}
        for track_id, excerpts in held.items():
            if not np.isfinite(excerpts.starts).all():
                raise LibraryError(
                    f"{self.path}: not a library of mirclr's, or damaged: the excerpts of track {track_id}"
                )
        return held

    def _vector_problems(self, labels: Mapping[int, str]) -> Iterator[str]:
        """A line for each track, of those in `labels`, whose vector is missing or broken."""
        stamp, seen = self.stamp, set()
        for track_id, blob in self._iterate("SELECT track_id, components FROM vector"):
            seen.add(track_id)
            vector = np.frombuffer(blob, "<f4") if len(blob) % 4 == 0 else np.zeros(0, "<f4")
            if stamp is None or len(vector) != stamp.dim:
                found = f"{len(vector)} components, the encoder makes {stamp.dim if stamp else 'none'}"
            elif not abs(float(np.linalg.norm(vector.astype(np.float64))) - 1) < 1e-3:  # "not <" so that NaN counts too
                found = "not of unit length"
            else:
                continue
            yield f"track {track_id} ({labels.get(track_id)}): its vector is broken: {found}"
        yield from (f"track {i} ({labels[i]}): has no vector" for i in labels if i not in seen)


def unit_bytes(vector: np.ndarray) -> bytes | None:
    """A vector as it is stored, at unit length; None of one that is zero or not finite.

    One that is of unit length already is stored bit for bit: what is copied or carried over is what it was.
    """
    vector = np.asarray(vector, np.float64)
    norm = float(np.linalg.norm(vector))
    if not np.isfinite(norm) or norm < 1e-12:
        return None
    return (vector if abs(norm - 1) < _UNIT else vector / norm).astype("<f4").tobytes()


def next_generation(db: sqlite3.Connection) -> int:
    """Begin a new generation of vectors, in the transaction that changes them."""
    db.execute(
        "UPDATE meta SET value = MAX(CAST(value AS INTEGER) + 1, ?) WHERE key = 'generation'",
        (time.time_ns(),),
    )
    return int(
        db.execute(
            "INSERT INTO change SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'generation' RETURNING generation"
        ).fetchone()[0]
    )


def _name(stamp: EncoderStamp) -> str:
    return f"{stamp.name} ({stamp.digest[:12]}, {stamp.excerpts} excerpts a track)"
