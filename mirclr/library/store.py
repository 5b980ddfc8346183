"""`Library`: what can be asked of a library and written to it."""

import json
import os
import shlex
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any, Self

import numpy as np

from mirclr.errors import EncoderMismatch, LibraryError, LibraryNotFound
from mirclr.library.checks import below_root, check_rows, parsed, parsed_stamp, whole_number
from mirclr.library.moments import Moments
from mirclr.library.records import Description, Entry, Failure, FileState, LibraryTrack, Listen, shown
from mirclr.library.schema import SCHEMA_VERSION, bring_up_to_date, connect, explained
from mirclr.library.search import bring_search_up_to_date, search_text, searched_column
from mirclr.models.stamp import NO_VECTOR, EncoderStamp
from mirclr.names import search_words
from mirclr.tags import READING, Tags

_SURROGATES = sys.getfilesystemencodeerrors()
_TAGS = ("title", "artist", "album", "album_artist", "genre", "year", "compilation")
_COLUMNS = (*_TAGS, "duration_s", "audio_digest")
_STATE = ("size", "mtime_ns", "file_digest", "audio_digest", "duration_s", "content_digest")
_PART = ("audio_path", "start_s")  # of tracks that are parts of files
_DESCRIBED = ("tempo_bpm", "key", "loudness_lufs")
_OF_AUDIO = (  # what was found out about the audio of a track, by the column that names it
    ("probability", "track_id"),
    ("description", "track_id"),
    ("moment", "track_id"),
    ("duplicate", "first"),
    ("duplicate", "second"),
)
_MOST_PAIRS = 16
_AT_ONCE = 1000
_UNIT = 1e-5  # by which the length of a vector of float32 may differ from 1 when it was made to be 1
_MOST_BESIDE = 1000
_IDS = "(SELECT value FROM json_each(?))"  # a list of ids as one argument


class Library:
    """An open library; a context manager. Made by `Library.open`, used by the thread that opened it.

    Attributes
    ----------
    path : Path
        The library file.
    uuid : str
        Names this library (and its copies) for what is derived from it.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._together = False  # whether writes are part of one transaction
        self.uuid: str = self._meta("uuid") or ""
        self._searched = searched_column(connection)

    @classmethod
    def open(cls, path: Path | str, *, create: bool = False) -> Self:
        """Open a library file.

        A library in a place that cannot be written is opened for reading.

        Parameters
        ----------
        path : Path
            The file.
        create : bool
            Make an empty library where there is no file.

        Raises
        ------
        LibraryNotFound
            There is no such file.
        LibraryError
            The file is something else, or was made by a newer mirclr.
        """
        path = Path(path)
        if "\0" in str(path):
            raise LibraryError(f"{shown(str(path))}: not the name of a file; expected a library file")
        if path.exists() and not path.is_file():  # to open a pipe waits for who writes it
            what = "a folder" if path.is_dir() else "no regular file"
            raise LibraryError(f"{path}: {what}; expected a library file")
        if not path.exists():
            if not create:
                raise LibraryNotFound(
                    f"{path}: no such library; make one from your music with: "
                    f"mirclr embed FOLDER --library {shlex.quote(str(path))}"
                )
            path.parent.mkdir(parents=True, exist_ok=True)
        with explained(path):
            connection = connect(path)
            try:
                bring_up_to_date(connection, path, create)
                bring_search_up_to_date(connection)
                return cls(path, connection)
            except (TypeError, AttributeError, UnicodeError) as error:  # values of other types than mirclr writes
                connection.close()
                raise LibraryError(f"{path}: not a library of mirclr's, or damaged ({error})") from error
            except BaseException:
                connection.close()
                raise

    def close(self) -> None:
        """Close the file. Closing twice does no harm."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # what the library is

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

    @property
    def state(self) -> tuple[int, int]:
        """Another value whenever anything was written, here or by others, since this library was opened."""
        return self._connection.total_changes, int(self._rows("PRAGMA data_version")[0][0])

    def knows_generation(self, generation: int) -> bool:
        """Whether the library was once of this generation: what was derived from it then can be brought up to date."""
        return bool(self._rows("SELECT 1 FROM change WHERE generation = ?", generation))

    def bind(self, stamp: EncoderStamp) -> None:
        """Tie the library to an encoder: the first is kept, later ones must be the same.

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
            f"{self.path}: holds vectors of the encoder {_encoder(held)}, and was given {_encoder(stamp)}; "
            f"vectors of two encoders cannot be compared. Use the first, or have all heard again by "
            f"the other: mirclr library renew --library {shlex.quote(shown(str(self.path)))} "
            f"--checkpoint {shlex.quote(stamp.name)}"
        )

    def info(self) -> dict[str, Any]:
        """Counts and facts for people, as JSON values."""
        with self.snapshot():
            counts = self._rows(
                "SELECT COUNT(*) tracks, COUNT(DISTINCT artist) artists, COUNT(DISTINCT album) albums,"
                " TOTAL(duration_s) / 3600 hours, COUNT(remark) remarks FROM track"
            )[0]
            stamp = self.stamp
            return {
                "path": shown(str(self.path)),
                "bytes": self.path.stat().st_size,
                "uuid": self.uuid,
                "generation": self.generation,
                "schema": SCHEMA_VERSION,
                **dict(counts),
                "failures": self._rows("SELECT COUNT(*) FROM failure")[0][0],
                "roots": self.roots(),
                "encoder": asdict(stamp) if stamp else None,
                "tasks": self.tasks(),
            }

    def verify(self) -> list[str]:
        """Check the file, the vectors, and that every track's file is there.

        Returns
        -------
        list of str
            One line a problem; empty when there is none.
        """
        with self.snapshot():
            checked = [row[0] for row in self._rows("PRAGMA integrity_check")]
            problems = [f"the file is damaged: {found}" for found in checked if found != "ok"]
            problems += [f"a row of {row[0]} belongs to no track" for row in self._rows("PRAGMA foreign_key_check")]
            try:
                tracks = self.tracks()
                problems += self._bad_vectors({track.id: track.label for track in tracks})
            except LibraryError as error:
                return [*problems, str(error)]
        for track in tracks:
            if is_gone(track.file):
                problems.append(f"track {track.id} ({track.label}): {shown(str(track.file))} is gone")
        return problems

    def _bad_vectors(self, labels: Mapping[int, str]) -> list[str]:
        stamp, problems, seen = self.stamp, [], set()
        for track_id, blob in self._cursor("SELECT track_id, components FROM vector"):
            seen.add(track_id)
            vector = np.frombuffer(blob, "<f4") if len(blob) % 4 == 0 else np.zeros(0, "<f4")
            if stamp is None or len(vector) != stamp.dim:
                found = f"{len(vector)} components, the encoder makes {stamp.dim if stamp else 'none'}"
            elif not abs(float(np.linalg.norm(vector.astype(np.float64))) - 1) < 1e-3:  # "not <" so that NaN counts too
                found = "not of unit length"
            else:
                continue
            problems.append(f"track {track_id} ({labels.get(track_id)}): its vector is broken: {found}")
        problems += [f"track {i} ({labels[i]}): has no vector" for i in labels if i not in seen]
        return problems

    # what embed asks and writes

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is written inside is one transaction, which begins with the first write: a commit waits for the disk."""
        if self._together:
            yield
            return
        self._together = True
        with explained(self.path):
            try:
                yield
                if self._connection.in_transaction:
                    self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise
            finally:
                self._together = False

    def states(self, root: str) -> dict[str, FileState]:
        """The tracks under a root, as their files were when last seen, by path."""
        return {s.path: s for s in self._states("root = ?", _stored(root))}

    def holds_parts(self) -> bool:
        """Whether any track is a part of a file."""
        return bool(self._rows("SELECT EXISTS (SELECT 1 FROM track WHERE audio_path IS NOT NULL)")[0][0])

    def sizes(self) -> set[int]:
        """The sizes of all files held, in bytes: a file of another size is none of them."""
        return {row[0] for row in self._rows("SELECT DISTINCT size FROM track")}

    def with_file_digest(self, digest: str) -> list[FileState]:
        """The tracks whose files were, byte for byte, of this digest."""
        return self._states("file_digest = ?", digest)

    def with_audio_digest(self, digest: str) -> list[FileState]:
        """The tracks that sound, sample for sample, of this digest."""
        return self._states("audio_digest = ?", digest)

    def failed(self, root: str) -> dict[str, Failure]:
        """The files under a root that could not be embedded, by path."""
        return {f.path: f for f in self.failures() if f.root == root}

    def failures(self) -> list[Failure]:
        """All files that could not be embedded."""
        rows = self._rows("SELECT root, path, size, mtime_ns, reason FROM failure ORDER BY root, path")
        return [Failure(_path(r["root"]), _path(r["path"]), *r[2:]) for r in rows]

    def forget(self, failures: Iterable[Failure]) -> None:
        """Drop failures, such as those of files that are gone; one transaction."""
        with self._transaction() as db:
            for failure in failures:
                db.execute("DELETE FROM failure WHERE root = ? AND path = ?", self._place(failure.root, failure.path))

    def write(self, *, entries: Iterable[Entry] = (), failures: Iterable[Failure] = ()) -> list[Failure]:
        """Store a batch in one transaction: all of it or nothing.

        An entry replaces what was held for its root and path, keeping the id, and clears its failure. A
        failure leaves an earlier entry of its file as it is. An entry whose vector is not finite, or zero, or
        whose length is not finite, becomes a failure.

        Returns
        -------
        list of Failure
            Those that entries became.

        Raises
        ------
        LibraryError
            No encoder is bound, a vector is not of its dimension, or a path leads out of its root.
        """
        refused: list[Failure] = []
        generation = None
        with self._transaction() as db:
            for entry in entries:
                blob = self._unit(entry)
                if blob is None or not np.isfinite(entry.duration_s):
                    reason = NO_VECTOR if blob is None else "its length is unknown"
                    refused.append(Failure(entry.root, entry.path, entry.size, entry.mtime_ns, reason))
                    continue
                generation = generation or _next_generation(db)
                self._upsert(db, entry, blob, generation)
            for failure in (*failures, *refused):
                place = self._place(failure.root, failure.path)
                values = (*place, failure.size, failure.mtime_ns, _clean(failure.reason))
                db.execute("INSERT OR REPLACE INTO failure VALUES (?, ?, ?, ?, ?)", values)
        return refused

    def _unit(self, entry: Entry) -> bytes | None:
        stamp = self.stamp
        if stamp is None:
            raise LibraryError(f"{self.path}: no encoder is bound; call bind before write")
        vector = np.asarray(entry.vector, np.float64)
        if vector.shape != (stamp.dim,):
            raise LibraryError(
                f"{self.path}: the vector of {shown(entry.path)} has shape {vector.shape}; "
                f"expected ({stamp.dim},), as the bound encoder makes them"
            )
        norm = float(np.linalg.norm(vector))
        if not np.isfinite(norm) or norm < 1e-12:
            return None
        # one that is of unit length already is kept to the bit: what is copied or carried over is what it was
        return (vector if abs(norm - 1) < _UNIT else vector / norm).astype("<f4").tobytes()

    def _upsert(self, db: sqlite3.Connection, entry: Entry, blob: bytes, generation: int) -> None:
        place = self._place(entry.root, entry.path)
        state = (entry.size, entry.mtime_ns, entry.file_digest, entry.audio_digest, float(entry.duration_s))
        part = self._part(entry.root, entry.audio_path, entry.start_s)
        columns = (*_STATE, "remark", *_PART, *_TAGS, "folded", "tags_read")
        remark = None if entry.remark is None else _clean(entry.remark)
        texts = (*_tag_values(entry.tags), _folded(entry.path, entry.tags), READING)
        values = (*place, *state, entry.content_digest, remark, *part, *texts)
        db.execute(
            f"INSERT INTO track (root, path, {', '.join(columns)}) VALUES ({', '.join('?' * len(values))})"  # noqa: S608
            f" ON CONFLICT (root, path) DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in columns)}",
            values,
        )
        track_id = db.execute("SELECT id FROM track WHERE root = ? AND path = ?", place).fetchone()[0]
        db.execute("INSERT OR REPLACE INTO vector VALUES (?, ?, ?)", (track_id, blob, generation))
        for table, key in _OF_AUDIO:
            db.execute(f"DELETE FROM {table} WHERE {key} = ?", (track_id,))  # noqa: S608
        if entry.moments is not None:
            db.execute("INSERT INTO moment VALUES (?, ?)", (track_id, entry.moments.to_bytes()))
        db.execute("DELETE FROM failure WHERE root = ? AND path = ?", place)

    def move(
        self,
        track_id: int,
        root: str,
        path: str,
        size: int,
        mtime_ns: int,
        file_digest: str,
        tags: Tags,
        *,
        audio_path: str | None = None,
        start_s: float = 0.0,
        content_digest: str | None = None,
    ) -> None:
        """Follow a file that was moved or re-tagged: new place, state and tags, as of `Entry`; the vector is kept.

        A track already held at the new place is replaced.

        Raises
        ------
        LibraryError
            There is no track of that id, or the path leads out of its root.
        """
        place = self._place(root, path)
        columns = ("root", "path", "size", "mtime_ns", "file_digest", "content_digest", *_PART, *_TAGS)
        written = (*columns, "folded", "tags_read")
        part = self._part(root, audio_path, start_s)
        texts = (*_tag_values(tags), _folded(path, tags), READING)
        values = (*place, size, mtime_ns, file_digest, content_digest, *part, *texts)
        with self._transaction() as db:
            other = db.execute("DELETE FROM track WHERE root = ? AND path = ? AND id <> ?", (*place, track_id))
            if other.rowcount:
                _next_generation(db)
            update = f"UPDATE track SET {', '.join(f'{c} = ?' for c in written)} WHERE id = ?"  # noqa: S608
            if not db.execute(update, (*values, track_id)).rowcount:
                raise LibraryError(f"{self.path}: holds no track {track_id} to move to {shown(path)}")
            db.execute("DELETE FROM failure WHERE root = ? AND path = ?", place)

    def read_anew(self, state: FileState, tags: Tags) -> None:
        """Take the tags of a file that did not change, which an earlier mirclr read less of; none take nothing away."""
        says = any(value is not None for value in _tag_values(tags))
        texts = (*_tag_values(tags), _folded(state.path, tags)) if says else ()
        columns = (*((*_TAGS, "folded") if says else ()), "tags_read")
        update = f"UPDATE track SET {', '.join(f'{c} = ?' for c in columns)} WHERE id = ?"  # noqa: S608
        with self._transaction() as db:
            db.execute(update, (*texts, READING, state.track_id))

    def remove(self, ids: Sequence[int]) -> int:
        """Remove tracks with their vectors and probabilities; the audio files stay.

        Returns
        -------
        int
            How many were held and are removed.
        """
        with self._transaction() as db:
            removed = db.execute(f"DELETE FROM track WHERE id IN {_IDS}", (_id_list(ids),)).rowcount  # noqa: S608
            if removed:
                _next_generation(db)
        return removed

    # what recommend, classify, evaluate and people ask

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads inside see one state of the library, whatever others write meanwhile. Not for writing."""
        if self._connection.in_transaction:
            yield
            return
        with explained(self.path):
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.rollback()

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
        which = "" if ids is None else f"WHERE track_id IN {_IDS}"
        arguments = () if ids is None else (_id_list(ids),)
        with self.snapshot():
            stamp = self.stamp
            dim = stamp.dim if stamp else 0
            n = self._rows(f"SELECT COUNT(*) FROM vector {which}", *arguments)[0][0]  # noqa: S608
            held, matrix = np.empty(n, np.int64), np.empty((n, dim), np.float32)
            query = f"SELECT track_id, components FROM vector {which} ORDER BY track_id"  # noqa: S608
            at = 0
            for rows in self._batches(query, *arguments):
                for track_id, blob in rows:
                    if len(blob) != 4 * dim:
                        raise LibraryError(
                            f"{self.path}: the vector of track {track_id} has {len(blob)} bytes; expected "
                            f"{4 * dim}; see: mirclr library verify --library {shlex.quote(str(self.path))}"
                        )
                end = at + len(rows)
                held[at:end] = [row[0] for row in rows]
                if dim:
                    matrix[at:end] = np.frombuffer(b"".join([row[1] for row in rows]), "<f4").reshape(-1, dim)
                at = end
        if matrix.size and not (matrix.min() >= -1.001 and matrix.max() <= 1.001):  # NaN is neither
            wrong = int(np.flatnonzero(~(np.abs(matrix) <= 1.001).all(axis=1))[0])
            what = "of unit length" if np.isfinite(matrix[wrong]).all() else "finite"
            raise LibraryError(
                f"{self.path}: the vector of track {held[wrong]} is not {what}; "
                f"see: mirclr library verify --library {shlex.quote(str(self.path))}"
            )
        return held, matrix

    def ids(self, *, changed_since: int | None = None) -> np.ndarray:
        """The tracks that have a vector, or those whose vector is younger than a generation: (n,) int64, ascending."""
        if changed_since is None:
            rows = self._cursor("SELECT track_id FROM vector ORDER BY track_id")
        else:
            rows = self._cursor("SELECT track_id FROM vector WHERE generation > ? ORDER BY track_id", changed_since)
        return np.fromiter((row[0] for row in rows), np.int64)

    def column(self, name: str) -> tuple[np.ndarray, list[Any]]:
        """One fact of every track that has it: ids, (n,) int64 ascending, and as many values.

        Parameters
        ----------
        name : str
            A field of `LibraryTrack` or of `Description`. Paths are texts, with the root before them as ``file``.
        """
        if name == "file":
            rows = self._rows("SELECT id, root, path FROM track ORDER BY id")
            return np.array([r[0] for r in rows], np.int64), [f"{_path(r[1])}/{_path(r[2])}" for r in rows]
        table, key = ("description", "track_id") if name in _DESCRIBED else ("track", "id")
        if table == "track" and name not in _COLUMNS:
            raise ValueError(f"column: found {name!r}, expected one of {', '.join((*_COLUMNS, *_DESCRIBED))}")
        with explained(self.path):
            cursor = self._connection.cursor()
            cursor.row_factory = None  # plain tuples take a third of the time
            query = f"SELECT {key}, {name} FROM {table} WHERE {name} IS NOT NULL ORDER BY {key}"  # noqa: S608
            rows = cursor.execute(query).fetchall()
            check_rows(self.path, (key, name), rows)
        return np.fromiter((r[0] for r in rows), np.int64, len(rows)), [r[1] for r in rows]

    def beside(self, track: LibraryTrack) -> list[LibraryTrack]:
        """The tracks in a track's folder and below it, up to a thousand."""
        folder = track.path.rpartition("/")[0]
        if not folder:
            return self._tracks("root = ?", _stored(track.root), most=_MOST_BESIDE)
        first, end = _stored(f"{folder}/"), _stored(f"{folder}0")  # "0" is the letter after "/"
        return self._tracks("root = ? AND path >= ? AND path < ?", _stored(track.root), first, end, most=_MOST_BESIDE)

    def artists(self) -> list[str]:
        """The artists of tracks, as their tags have them, each once."""
        return [row[0] for row in self._rows("SELECT DISTINCT artist FROM track WHERE artist IS NOT NULL")]

    def pieces_by(self, artists: Iterable[str]) -> Iterator[tuple[int, str, str, str | None]]:
        """Id, artist, title and album of the titled tracks of some of `artists`, ascending by id."""
        query = "SELECT id, artist, title, album FROM track WHERE title IS NOT NULL AND artist IN {} ORDER BY id"
        for row in self._cursor(query.format(_IDS), json.dumps(list(artists))):
            yield row[0], row[1], row[2], row[3]

    def id_end(self) -> int:
        """One more than the highest id of a track; 0 of an empty library."""
        last = self._rows("SELECT id FROM track ORDER BY id DESC LIMIT 1")
        return last[0][0] + 1 if last else 0

    def moments(self, ids: Sequence[int]) -> dict[int, Moments]:
        """What the excerpts of tracks sound like, by id; tracks that were embedded without are left out."""
        rows = self._rows(f"SELECT track_id, rows FROM moment WHERE track_id IN {_IDS}", _id_list(ids))  # noqa: S608
        held = {row[0]: Moments.from_bytes(row[1]) for row in rows}
        for track_id, moments in held.items():
            if not np.isfinite(moments.starts).all():
                raise LibraryError(
                    f"{self.path}: not a library of mirclr's, or damaged: the moments of track {track_id}"
                )
        return held

    def tracks(self, ids: Sequence[int] | None = None) -> list[LibraryTrack]:
        """All tracks by id, or those of the given ids in the given order, unknown ones left out."""
        if ids is None:
            return self._tracks("1")
        held = {track.id: track for track in self._tracks(f"id IN {_IDS}", _id_list(ids))}
        return [held[int(i)] for i in ids if int(i) in held]

    def find(self, text: str) -> list[LibraryTrack]:
        """The tracks whose artist, title, album or path hold every word, whatever case and accents."""
        words = _clean(search_words(text)).split()
        if not words:
            return []
        return self._tracks(" AND ".join([f"instr({self._searched}, ?)"] * len(words)), *words)

    def find_similar(self, text: str, most: int) -> list[LibraryTrack]:
        """The tracks whose artist, title, album or path share the most pairs of letters with a text."""
        letters = _clean(search_words(text))
        pairs = list(dict.fromkeys(letters[i : i + 2] for i in range(len(letters) - 1)))[:_MOST_PAIRS]
        shared = " + ".join([f"(instr({self._searched}, ?) > 0)"] * len(pairs)) or "NULL"
        query = f"id IN (SELECT id FROM track ORDER BY {shared} DESC, id LIMIT ?)"  # noqa: S608
        return self._tracks(query, *pairs, most)

    def roots(self) -> dict[str, int]:
        """The folders that were embedded, each with its number of tracks."""
        rows = self._rows("SELECT root, COUNT(*) FROM track GROUP BY root ORDER BY root")
        return {_path(root): n for root, n in rows}

    def find_file(self, file: Path) -> LibraryTrack | None:
        """The track of a file, the first of a file of several; None when the file is not held. It may be gone."""
        return next(iter(self.find_files(file)), None)

    def find_files(self, file: Path) -> list[LibraryTrack]:
        """The track of a file, or those that are its parts, in their order; empty when it is not held."""
        try:
            places = dict.fromkeys((os.path.abspath(file), os.path.realpath(file)))
        except (OSError, ValueError):
            return []  # no path, but a text
        for absolute in places:
            pure = PurePath(absolute)
            for parent in pure.parents:
                root, path = _stored(str(parent)), _stored(pure.relative_to(parent).as_posix())
                if found := self._tracks("root = ? AND path = ?", root, path):
                    return found
                parts = "root = ? AND path > ? AND path < ? AND audio_path = ?"
                if found := self._tracks(parts, root, path + b"/", path + b"0", path):  # "0" comes after "/"
                    return sorted(found, key=lambda track: track.start_s)
        return []

    def parts(self) -> list[LibraryTrack]:
        """The tracks that are parts of files, as CUE sheets name them."""
        return self._tracks("audio_path IS NOT NULL")

    def gone(self) -> list[LibraryTrack]:
        """The tracks whose file is no longer there."""
        return [track for track in self.tracks() if is_gone(track.file)]

    def export_ids(self) -> dict[int, str]:
        """A name for each track to others: its path relative to the embedded folder, with '/'.

        With several roots the root's own folder name comes first; names that still collide become absolute.
        """
        with self.snapshot():
            several = len(self.roots()) > 1
            tracks = self.tracks()
        names = {t.id: f"{PurePath(t.root).name}/{t.path}" if several else t.path for t in tracks}
        times = Counter(names.values())
        return {t.id: names[t.id] if times[names[t.id]] == 1 else t.file.as_posix() for t in tracks}

    # what classify stores

    def tasks(self) -> dict[str, str]:
        """The tasks that have stored probabilities, each with its source: the digest of the heads."""
        return dict(tuple(row) for row in self._rows("SELECT name, source FROM task ORDER BY name"))

    def store_probabilities(self, task: str, rows: Mapping[int, Mapping[str, float]], source: str) -> None:
        """Replace all probabilities of a task, in one transaction.

        Parameters
        ----------
        task : str
            Such as ``genre`` or ``mood``.
        rows : mapping of track id to (label to probability in [0, 1])
            Ids that are no longer held are left out.
        source : str
            Digest of the heads that gave them.

        Raises
        ------
        LibraryError
            A probability is not in [0, 1].
        """
        values = [(task, int(i), label, float(p), int(i)) for i, row in rows.items() for label, p in row.items()]
        with self._transaction() as db:
            db.execute("DELETE FROM task WHERE name = ?", (task,))
            db.execute("INSERT INTO task VALUES (?, ?)", (task, source))
            db.executemany(
                "INSERT INTO probability SELECT ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM track WHERE id = ?)",
                values,
            )

    def probabilities(self, task: str, ids: Sequence[int] | None = None) -> dict[int, dict[str, float]]:
        """The stored probabilities of a task by track id and label; tracks without any are left out."""
        query = "SELECT track_id, label, probability FROM probability WHERE task = ?"
        if ids is None:
            rows = self._rows(f"{query} ORDER BY track_id, label", task)
        else:
            rows = self._rows(f"{query} AND track_id IN {_IDS} ORDER BY track_id, label", task, _id_list(ids))
        found: dict[int, dict[str, float]] = {}
        for track_id, label, probability in rows:
            found.setdefault(track_id, {})[label] = probability
        return found

    def labels(self, task: str) -> list[str]:
        """The labels of a task that has stored probabilities, sorted."""
        return [row[0] for row in self._rows("SELECT DISTINCT label FROM probability WHERE task = ? ORDER BY 1", task)]

    def likely(self, task: str, label: str, at_least: float) -> np.ndarray:
        """The tracks of which a label is at least so probable: (n,) int64, ascending."""
        query = "SELECT track_id FROM probability WHERE task = ? AND label = ? AND probability >= ?"
        rows = self._cursor(query, task, label, at_least)
        return np.sort(np.fromiter((row[0] for row in rows), np.int64))

    # what describe stores

    def store_descriptions(self, descriptions: Mapping[int, Description]) -> None:
        """Keep descriptions by track id, in one transaction; ids that are no longer held are left out."""
        values = [
            (int(i), d.tempo_bpm, d.key, d.key_strength, d.loudness_lufs, int(i)) for i, d in descriptions.items()
        ]
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO description SELECT ?, ?, ?, ?, ?"
                " WHERE EXISTS (SELECT 1 FROM track WHERE id = ?)",
                values,
            )

    def descriptions(self, ids: Sequence[int] | None = None) -> dict[int, Description]:
        """The descriptions that are kept, of all tracks or those of the given ids, by track id."""
        query = "SELECT track_id, tempo_bpm, key, key_strength, loudness_lufs FROM description"
        which, arguments = ("", ()) if ids is None else (f" WHERE track_id IN {_IDS}", (_id_list(ids),))
        return {row[0]: Description(*row[1:]) for row in self._rows(f"{query}{which} ORDER BY track_id", *arguments)}

    # what duplicates stores

    def store_duplicates(self, pairs: Mapping[tuple[int, int], float]) -> None:
        """Keep how likely pairs of tracks are one recording, in [0, 1], beside what is kept of others."""
        values = [(*sorted((int(a), int(b))), float(p)) for (a, b), p in pairs.items()]
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO duplicate SELECT ?1, ?2, ?3"
                " WHERE (SELECT COUNT(*) FROM track WHERE id IN (?1, ?2)) = 2",
                values,
            )

    def duplicates(self, ids: Sequence[int] | None = None, *, at_least: float = 0.5) -> dict[tuple[int, int], float]:
        """Likelihood by pair of ids, the lower one first.

        Parameters
        ----------
        ids : sequence of int, optional
            Only pairs that one of these is in.
        at_least : float
            Only pairs that are as likely one recording; with 0, all that were ever compared.
        """
        query = "SELECT first, second, likelihood FROM duplicate WHERE likelihood >= ?"
        if ids is None:
            rows = self._rows(f"{query} ORDER BY 1, 2", at_least)
        else:
            listed = _id_list(ids)
            either = f"{query} AND first IN {_IDS} UNION {query} AND second IN {_IDS} ORDER BY 1, 2"
            rows = self._rows(either, at_least, listed, at_least, listed)
        return {(row[0], row[1]): row[2] for row in rows}

    # what a person keeps: blocks, saved queries, profiles

    def blocks(self) -> list[str]:
        """The rules that are always obeyed, such as ``artist:X``."""
        return [row[0] for row in self._rows("SELECT rule FROM block ORDER BY rule")]

    def add_blocks(self, rules: Iterable[str]) -> None:
        """Add rules; what is there already stays."""
        with self._transaction() as db:
            db.executemany("INSERT OR IGNORE INTO block VALUES (?)", [(_clean(rule),) for rule in rules])

    def remove_blocks(self, rules: Iterable[str]) -> int:
        """Remove rules; returns how many there were."""
        with self._transaction() as db:
            return sum(db.execute("DELETE FROM block WHERE rule = ?", (_clean(r),)).rowcount for r in rules)

    def exclusions(self) -> dict[str, list[str]]:
        """The patterns of folders and files that are left out (`mirclr.data.scan.Exclusions`), by root."""
        found: dict[str, list[str]] = {}
        for root, pattern in self._rows("SELECT root, pattern FROM exclusion ORDER BY root, pattern"):
            found.setdefault(_path(root), []).append(pattern)
        return found

    def add_exclusions(self, root: str, patterns: Iterable[str]) -> None:
        """Add patterns of what is left out below a root; what is there already stays."""
        with self._transaction() as db:
            values = [(_stored(root), _clean(pattern)) for pattern in patterns]
            db.executemany("INSERT OR IGNORE INTO exclusion VALUES (?, ?)", values)

    def remove_exclusions(self, root: str, patterns: Iterable[str]) -> None:
        """Remove patterns of a root."""
        with self._transaction() as db:
            values = [(_stored(root), _clean(pattern)) for pattern in patterns]
            db.executemany("DELETE FROM exclusion WHERE root = ? AND pattern = ?", values)

    def playlists(self) -> dict[str, dict[str, Any]]:
        """The saved queries, JSON values, by name."""
        rows = self._rows("SELECT name, query FROM playlist ORDER BY name")
        return {name: parsed(text, dict, f"the playlist {shown(name)!r}", self.path) for name, text in rows}

    def save_playlist(self, name: str, query: Mapping[str, Any]) -> None:
        """Save a query of JSON values under a name; one of that name is replaced."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO playlist VALUES (?, ?)", (_clean(name), json.dumps(dict(query))))

    def delete_playlist(self, name: str) -> bool:
        """Delete a saved query; False when there is none of that name."""
        with self._transaction() as db:
            return bool(db.execute("DELETE FROM playlist WHERE name = ?", (_clean(name),)).rowcount)

    def profiles(self) -> dict[str, int]:
        """The profiles of listeners, each with its number of pieces of music."""
        query = "SELECT name, COUNT(profile) FROM profile LEFT JOIN listen ON profile = name"
        return {row[0]: row[1] for row in self._rows(f"{query} GROUP BY name ORDER BY name")}

    def store_listens(self, profile: str, listens: Iterable[Listen], *, replace: bool) -> None:
        """Keep what a listener heard; one transaction.

        Parameters
        ----------
        profile : str
            Name of the profile; made where there is none.
        listens : iterable of Listen
            One for each piece of music; what the profile holds of it already is replaced.
        replace : bool
            Forget everything else that the profile holds.
        """
        values = [
            (
                _clean(profile),
                _clean(x.artist),
                _clean(x.title),
                _clean(x.album),
                _stored(x.file),
                x.plays,
                x.last_s,
                x.taste,
            )
            for x in listens
        ]
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO profile VALUES (?)", (_clean(profile),))
            if replace:
                db.execute("DELETE FROM listen WHERE profile = ?", (_clean(profile),))
            db.executemany("INSERT OR REPLACE INTO listen VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def listens(self, profile: str) -> list[Listen]:
        """What a profile holds; empty when there is no such profile."""
        query = "SELECT artist, title, album, file, plays, last_s, taste FROM listen WHERE profile = ?"
        rows = self._rows(f"{query} ORDER BY artist, title, file", _clean(profile))
        return [Listen(r[0], r[1], r[2], _path(r[3]), *r[4:]) for r in rows]

    def delete_profile(self, name: str) -> bool:
        """Delete a profile; False when there is none of that name."""
        with self._transaction() as db:
            return bool(db.execute("DELETE FROM profile WHERE name = ?", (_clean(name),)).rowcount)

    # the door to SQLite

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with explained(self.path):
            if not (self._together and self._connection.in_transaction):
                self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                if not self._together:
                    self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise

    def _rows(self, query: str, *arguments: Any) -> list[sqlite3.Row]:
        with explained(self.path):
            cursor = self._connection.execute(query, arguments)
            rows = cursor.fetchall()
        check_rows(self.path, [column[0] for column in cursor.description], rows)
        return rows

    def _cursor(self, query: str, *arguments: Any) -> Iterator[sqlite3.Row]:
        for rows in self._batches(query, *arguments):
            yield from rows

    def _batches(self, query: str, *arguments: Any) -> Iterator[list[sqlite3.Row]]:
        with explained(self.path):
            cursor = self._connection.execute(query, arguments)
            while rows := cursor.fetchmany(_AT_ONCE):
                check_rows(self.path, [column[0] for column in cursor.description], rows)
                yield rows

    def _meta(self, key: str) -> str | None:
        rows = self._rows("SELECT value FROM meta WHERE key = ?", key)
        return rows[0][0] if rows else None

    def _tracks(self, where: str, *arguments: Any, most: int = -1) -> list[LibraryTrack]:
        columns = [f.name for f in fields(LibraryTrack)]
        which = f"{where} ORDER BY id" if most < 0 else f"{where} LIMIT {most}"
        query = f"SELECT {', '.join(columns)} FROM track WHERE {which}"  # noqa: S608
        return list(map(LibraryTrack, *_values(columns, self._rows(query, *arguments))))

    def _states(self, where: str, *arguments: Any) -> list[FileState]:
        columns = ["id", *(f.name for f in fields(FileState) if f.name != "track_id")]
        query = f"SELECT {', '.join(columns)} FROM track WHERE {where} ORDER BY id"  # noqa: S608
        return list(map(FileState, *_values(columns, self._rows(query, *arguments))))

    def _part(self, root: str, audio_path: str | None, start_s: float) -> tuple[bytes | None, float]:
        """The columns `_PART`."""
        return (None if audio_path is None else self._place(root, audio_path)[1]), float(start_s)

    def _place(self, root: str, path: str) -> tuple[bytes, bytes]:
        """Root and path as stored; refuses a path that leads out of its root."""
        if not PurePath(root).is_absolute() or not below_root(path):
            raise LibraryError(
                f"{self.path}: cannot hold {shown(path)!r} under {shown(root)!r}; "
                f"expected an absolute folder and a path below it"
            )
        return _stored(root), _stored(path)


def _id_list(ids: Sequence[int]) -> str:
    return json.dumps([int(i) for i in ids])


def _next_generation(db: sqlite3.Connection) -> int:
    db.execute(
        "UPDATE meta SET value = MAX(CAST(value AS INTEGER) + 1, ?) WHERE key = 'generation'",
        (time.time_ns(),),
    )
    return int(
        db.execute(
            "INSERT INTO change SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'generation' RETURNING generation"
        ).fetchone()[0]
    )


def _encoder(stamp: EncoderStamp) -> str:
    return f"{stamp.name} ({stamp.digest[:12]}, {stamp.excerpts} excerpts a track)"


def _stored(path: str) -> bytes:
    return path.encode("utf-8", _SURROGATES)


def _path(stored: bytes) -> str:
    return stored.decode("utf-8", _SURROGATES)


def _values(columns: Sequence[str], rows: Sequence[sqlite3.Row]) -> list[Sequence[Any]]:
    """What rows hold, by column: of paths the texts, of a flag whether it is set."""
    held: Iterable[Sequence[Any]] = zip(*rows, strict=True) if rows else ((),) * len(columns)
    return [
        [v if v is None else _READ_AS[name](v) for v in values] if name in _READ_AS else values
        for name, values in zip(columns, held, strict=True)
    ]


_READ_AS: dict[str, Any] = {**dict.fromkeys(("root", "path", "audio_path"), _path), "compilation": bool}


def _clean(text: str) -> str:
    """A text that SQLite can store: without lone surrogates and NUL, whatever a tag holds."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _tag_values(tags: Tags) -> list[str | int | None]:
    values = (getattr(tags, name) for name in _TAGS)
    return [_clean(value) if isinstance(value, str) else value for value in values]


def _folded(path: str, tags: Tags) -> str:
    return _clean(search_text(tags.artist, tags.title, tags.album, path))


def is_gone(file: Path, *, follow_links: bool = True) -> bool:
    """Whether a file is surely not there: one that may not be looked at counts as there."""
    try:
        os.stat(file, follow_symlinks=follow_links)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        pass
    return False


def absence(folder: Path) -> str | None:
    """Why nothing can be said of the files of a folder; None when they can be looked at."""
    try:
        with os.scandir(folder) as entries:
            return None if any(True for _ in entries) else "is empty"
    except FileNotFoundError:
        return "is not there"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
