"""What embedding writes: tracks with their tags and vectors, and files that could not be embedded."""

import sqlite3
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mirclr.errors import LibraryError
from mirclr.library.checks import what_is_amiss
from mirclr.library.database import IDS, count_write, decode_path, id_list, storable
from mirclr.library.records import Entry, Failure, FileState
from mirclr.library.search import search_text
from mirclr.library.tracks import PART_COLUMNS, TAG_COLUMNS, Tracks
from mirclr.library.vectors import Vectors, next_generation, unit_bytes
from mirclr.models.stamp import NO_VECTOR
from mirclr.tags import READING, Tags
from mirclr.terminal import shown

_FILE_COLUMNS = ("size", "mtime_ns", "file_digest", "audio_digest", "duration_s", "content_digest")
_LONGEST_REASON = 1000  # letters
_OF_AUDIO = (  # what was found out about the audio of a track, by the column that names it
    ("probability", "track_id"),
    ("description", "track_id"),
    ("outline", "track_id"),
    ("aspect", "track_id"),
    ("moment", "track_id"),
    ("map_point", "track_id"),
    ("fingerprint", "track_id"),
    ("duplicate", "first"),
    ("duplicate", "second"),
)


class Entries(Tracks, Vectors):
    """Tracks and failures, written."""

    def failures(self) -> list[Failure]:
        """All files that could not be embedded."""
        rows = self._rows("SELECT root, path, size, mtime_ns, reason FROM failure ORDER BY root, path")
        return [Failure(decode_path(r["root"]), decode_path(r["path"]), *r[2:]) for r in rows]

    def failed(self, root: str) -> dict[str, Failure]:
        """The files under a root that could not be embedded, by path."""
        return {f.path: f for f in self.failures() if f.root == root}

    def forget(self, failures: Iterable[Failure]) -> None:
        """Drop failures, such as those of files that are gone; one transaction."""
        with self._transaction() as db:
            for failure in failures:
                db.execute("DELETE FROM failure WHERE root = ? AND path = ?", self._place(failure.root, failure.path))

    def write(self, *, entries: Iterable[Entry] = (), failures: Iterable[Failure] = ()) -> list[Failure]:
        """Store a batch in one transaction: all of it or nothing.

        An entry replaces what was held for its root and path, except for the id, and clears its failure. A
        failure leaves an earlier entry of its file as it is. An entry whose vector is not finite, or zero, whose
        length is not finite, or with a value that could not be read again, becomes a failure.

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
                blob, row = self._vector_bytes(entry), self._row(entry)
                unknown = "its length is unknown" if row["duration_s"] is None else None
                reason = NO_VECTOR if blob is None else unknown or what_is_amiss(tuple(row), tuple(row.values()))
                if blob is None or reason:
                    refused.append(Failure(entry.root, entry.path, entry.size or 0, entry.mtime_ns or 0, reason or ""))
                    continue
                generation = generation or next_generation(db)
                self._upsert(db, entry, row, blob, generation)
            for failure in (*failures, *refused):
                place = self._place(failure.root, failure.path)
                values = (*place, failure.size, failure.mtime_ns, storable(failure.reason[:_LONGEST_REASON]))
                db.execute("INSERT OR REPLACE INTO failure VALUES (?, ?, ?, ?, ?)", values)
        return refused

    def _vector_bytes(self, entry: Entry) -> bytes | None:
        stamp = self.stamp
        if stamp is None:
            raise LibraryError(f"{self.path}: no encoder is bound; call bind before write")
        shape = np.shape(entry.vector)
        if shape != (stamp.dim,):
            raise LibraryError(
                f"{self.path}: the vector of {shown(entry.path)} has shape {shape}; "
                f"expected ({stamp.dim},), as the bound encoder makes them"
            )
        return unit_bytes(entry.vector)

    def _row(self, entry: Entry) -> dict[str, Any]:
        """The columns of a track, but for its id and when it came."""
        root, path = self._place(entry.root, entry.path)
        texts = _texts(entry.path, entry.tags)
        return {
            "root": root,
            "path": path,
            **{name: getattr(entry, name) for name in _FILE_COLUMNS},
            "duration_s": float(entry.duration_s) if np.isfinite(entry.duration_s) else None,
            "remark": None if entry.remark is None else storable(entry.remark),
            **dict(zip(PART_COLUMNS, self._part(entry.root, entry.audio_path, entry.start_s), strict=True)),
            **dict(zip((*TAG_COLUMNS, "folded"), texts, strict=True)),
            "tags_read": READING,
        }

    def _upsert(self, db: sqlite3.Connection, entry: Entry, row: dict[str, Any], blob: bytes, generation: int) -> None:
        place, columns = (row["root"], row["path"]), tuple(row)[2:]
        db.execute(
            f"INSERT INTO track (added_s, {', '.join(row)}) VALUES (?{', ?' * len(row)})"  # noqa: S608
            f" ON CONFLICT (root, path) DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in columns)}",
            (time.time(), *row.values()),
        )
        track_id = db.execute("SELECT id FROM track WHERE root = ? AND path = ?", place).fetchone()[0]
        db.execute("INSERT OR REPLACE INTO vector VALUES (?, ?, ?)", (track_id, blob, generation))
        for table, key in _OF_AUDIO:
            db.execute(f"DELETE FROM {table} WHERE {key} = ?", (track_id,))  # noqa: S608
        if entry.excerpts is not None:
            db.execute("INSERT INTO moment VALUES (?, ?)", (track_id, entry.excerpts.to_bytes()))
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
        """Follow a file that was moved or re-tagged: new place, state and tags, as of `Entry`; the vector stays.

        A track already held at the new place is replaced.

        Raises
        ------
        LibraryError
            There is no track of that id, or the path leads out of its root.
        """
        place = self._place(root, path)
        columns = ("root", "path", "size", "mtime_ns", "file_digest", "content_digest", *PART_COLUMNS, *TAG_COLUMNS)
        part = self._part(root, audio_path, start_s)
        values = (*place, size, mtime_ns, file_digest, content_digest, *part, *_texts(path, tags), READING)
        with self._transaction() as db:
            count_write(db, "tracks")
            other = db.execute("DELETE FROM track WHERE root = ? AND path = ? AND id <> ?", (*place, track_id))
            if other.rowcount:
                next_generation(db)
            if not _update(db, track_id, (*columns, "folded", "tags_read"), values):
                raise LibraryError(f"{self.path}: holds no track {track_id} to move to {shown(path)}")
            db.execute("DELETE FROM failure WHERE root = ? AND path = ?", place)

    def refresh_tags(self, state: FileState, tags: Tags) -> None:
        """Take the tags of a file that did not change, which an earlier mirclr read less of.

        Where they are empty, those that are held stay.
        """
        texts = _texts(state.path, tags) if any(getattr(tags, name) is not None for name in TAG_COLUMNS) else ()
        columns = (*((*TAG_COLUMNS, "folded") if texts else ()), "tags_read")
        with self._transaction() as db:
            count_write(db, "tracks")
            _update(db, state.track_id, columns, (*texts, READING))

    def remove(self, ids: Sequence[int]) -> int:
        """Remove tracks with their vectors and probabilities; the audio files stay.

        Returns
        -------
        int
            How many were held and are removed.
        """
        with self._transaction() as db:
            removed = db.execute(f"DELETE FROM track WHERE id IN {IDS}", (id_list(ids),)).rowcount  # noqa: S608
            if removed:
                next_generation(db)
        return removed

    def _part(self, root: str, audio_path: str | None, start_s: float) -> tuple[bytes | None, float]:
        """The columns `PART_COLUMNS`."""
        return (None if audio_path is None else self._place(root, audio_path)[1]), float(start_s)


def _update(db: sqlite3.Connection, track_id: int, columns: Sequence[str], values: Sequence[object]) -> bool:
    """Set columns of a track; False where there is none of that id."""
    update = f"UPDATE track SET {', '.join(f'{c} = ?' for c in columns)} WHERE id = ?"  # noqa: S608
    return bool(db.execute(update, (*values, track_id)).rowcount)


def _texts(path: str, tags: Tags) -> tuple[str | int | None, ...]:
    """The columns `TAG_COLUMNS` and ``folded``."""
    values = (getattr(tags, name) for name in TAG_COLUMNS)
    folded = search_text(tags.artist, tags.title, tags.album, path)
    return (*(storable(value) if isinstance(value, str) else value for value in values), storable(folded))
