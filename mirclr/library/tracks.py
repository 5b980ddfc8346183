"""Tracks and their files, read: by id, by words, by file, by what was last seen of their files.

Contents: `Tracks`; `TAG_COLUMNS` and `PART_COLUMNS`, columns of the table ``track`` that are written together.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from mirclr.errors import NoMatch
from mirclr.library.checks import check_rows
from mirclr.library.database import IDS, Database, decode_path, encode_path, id_list, storable
from mirclr.library.files import is_gone
from mirclr.library.records import FileState, LibraryTrack, Song
from mirclr.library.schema import explained
from mirclr.library.search import searched_column
from mirclr.names import search_words

TAG_COLUMNS = (
    *("title", "artist", "album", "album_artist", "genre", "year", "compilation", "track_number", "disc_number"),
)
PART_COLUMNS = ("audio_path", "start_s")  # of tracks that are parts of files

_COLUMNS = (*TAG_COLUMNS, "duration_s", "audio_digest", "added_s")
_DESCRIBED = ("tempo_bpm", "key", "loudness_lufs")
_MOST_PAIRS = 16
_MOST_BESIDE = 1000


class Tracks(Database):
    """The tracks of a library, and how their files were when last seen."""

    def tracks(self, ids: Sequence[int] | None = None) -> list[LibraryTrack]:
        """All tracks by id, or those of the given ids in the given order, unknown ones left out."""
        if ids is None:
            return self._tracks("1")
        held = {track.id: track for track in self._tracks(f"id IN {IDS}", id_list(ids))}
        return [held[int(i)] for i in ids if int(i) in held]

    def track(self, track_id: int) -> LibraryTrack:
        """The track of an id.

        Raises
        ------
        NoMatch
            There is none.
        """
        if 0 <= track_id < 1 << 63 and (found := self.tracks([track_id])):
            return found[0]
        raise NoMatch(f"no song of the library has the id {track_id}")

    def id_end(self) -> int:
        """One more than the highest id of a track; 0 of an empty library."""
        last = self._rows("SELECT id FROM track ORDER BY id DESC LIMIT 1")
        return last[0][0] + 1 if last else 0

    def longer_than(self, seconds: float) -> np.ndarray:
        """The ids of tracks that are longer: (n,) int64, ascending."""
        rows = self._rows("SELECT id FROM track WHERE duration_s > ? ORDER BY id", seconds)
        return np.array([row[0] for row in rows], np.int64)

    def column(self, name: str) -> tuple[np.ndarray, list[Any]]:
        """One field of every track that has it: ids, (n,) int64 ascending, and as many values.

        Parameters
        ----------
        name : str
            A field of `LibraryTrack`, or of its description. Paths are texts, with the root before them as ``file``.
        """
        if name == "file":
            rows = self._rows("SELECT id, root, path FROM track ORDER BY id")
            files = [f"{decode_path(r[1])}/{decode_path(r[2])}" for r in rows]
            return np.array([r[0] for r in rows], np.int64), files
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

    @property
    def tracks_version(self) -> tuple[int, int]:
        """Another value whenever tracks or their tags were written, by whomever: for what is derived from them."""
        return int(self._meta("generation") or 0), self._count("tracks")

    def file_facts(self, ids: Sequence[int] | None = None) -> dict[int, tuple[int, float]]:
        """Of all tracks, or of some, the bytes of the file, and since when it is there, in seconds since 1970.

        That is when it came into the library, or of a track from before that was noted, when its file was written.
        """
        which, given = ("1", ()) if ids is None else (f"id IN {IDS}", (id_list(ids),))
        query = f"SELECT id, size, COALESCE(added_s, mtime_ns / 1e9) AS since FROM track WHERE {which}"  # noqa: S608
        return {row[0]: (row[1], row[2]) for row in self._rows(query, *given)}

    # by words

    def find(self, text: str) -> list[LibraryTrack]:
        """The tracks whose artist, title, album or path hold every word, whatever case and accents."""
        words = storable(search_words(text)).split()
        if not words:
            return []
        return self._tracks(" AND ".join([f"instr({searched_column(self._connection)}, ?)"] * len(words)), *words)

    def find_similar(self, text: str, most: int) -> list[LibraryTrack]:
        """The tracks whose artist, title, album or path share the most pairs of letters with a text."""
        letters = storable(search_words(text))
        pairs = list(dict.fromkeys(letters[i : i + 2] for i in range(len(letters) - 1)))[:_MOST_PAIRS]
        searched = searched_column(self._connection)
        shared = " + ".join([f"(instr({searched}, ?) > 0)"] * len(pairs)) or "NULL"
        query = f"id IN (SELECT id FROM track ORDER BY {shared} DESC, id LIMIT ?)"  # noqa: S608
        return self._tracks(query, *pairs, most)

    def artists(self) -> list[str]:
        """The artists of tracks, as their tags have them, each once."""
        return [row[0] for row in self._rows("SELECT DISTINCT artist FROM track WHERE artist IS NOT NULL")]

    def titles_by(self, artists: Iterable[str]) -> Iterator[tuple[int, str, str, str | None]]:
        """Id, artist, title and album of the titled tracks of some of `artists`, ascending by id."""
        query = "SELECT id, artist, title, album FROM track WHERE title IS NOT NULL AND artist IN {} ORDER BY id"
        for row in self._iterate(query.format(IDS), json.dumps(list(artists))):
            yield row[0], row[1], row[2], row[3]

    def songs(self) -> list[Song]:
        """What all tracks are called and sorted by, ascending by id."""
        columns = ", ".join(name for name in Song._fields if name not in ("title", "searched"))
        query = f"SELECT path, title, {searched_column(self._connection)}, {columns} FROM track ORDER BY id"  # noqa: S608
        with explained(self.path):
            cursor = self._connection.cursor()
            cursor.row_factory = None  # plain tuples take a third of the time
            rows = cursor.execute(query).fetchall()
            check_rows(self.path, ("path", "title", "folded", *columns.split(", ")), rows)
        return [
            Song(title or decode_path(path).rpartition("/")[2], searched, *rest)
            for path, title, searched, *rest in rows
        ]

    # by file

    def roots(self) -> dict[str, int]:
        """The folders that were embedded, each with its number of tracks."""
        rows = self._rows("SELECT root, COUNT(*) FROM track GROUP BY root ORDER BY root")
        return {decode_path(root): n for root, n in rows}

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
                root, path = encode_path(str(parent)), encode_path(pure.relative_to(parent).as_posix())
                if found := self._tracks("root = ? AND path = ?", root, path):
                    return found
                parts = "root = ? AND path > ? AND path < ? AND audio_path = ?"
                if found := self._tracks(parts, root, path + b"/", path + b"0", path):  # "0" comes after "/"
                    return sorted(found, key=lambda track: track.start_s)
        return []

    def beside(self, track: LibraryTrack) -> list[LibraryTrack]:
        """The tracks in a track's folder and below it, up to a thousand."""
        root, folder = encode_path(track.root), track.path.rpartition("/")[0]
        if not folder:
            return self._tracks("root = ?", root, most=_MOST_BESIDE)
        first, end = encode_path(f"{folder}/"), encode_path(f"{folder}0")  # "0" is the letter after "/"
        return self._tracks("root = ? AND path >= ? AND path < ?", root, first, end, most=_MOST_BESIDE)

    def damaged(self) -> list[LibraryTrack]:
        """The tracks that play, with a fault."""
        return self._tracks("remark IS NOT NULL")

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

    # files as they were when last seen

    def states(self, root: str) -> dict[str, FileState]:
        """The tracks under a root, as their files were when last seen, by path."""
        return {s.path: s for s in self._states("root = ?", encode_path(root))}

    def states_of(self, ids: Sequence[int]) -> dict[int, FileState]:
        """Some tracks, as their files were when last seen, by id."""
        return {s.track_id: s for s in self._states(f"id IN {IDS}", id_list(ids))}

    def with_file_digest(self, digest: str) -> list[FileState]:
        """The tracks whose files were, byte for byte, of this digest."""
        return self._states("file_digest = ?", digest)

    def with_audio_digest(self, digest: str) -> list[FileState]:
        """The tracks whose decoded excerpts are, sample for sample, of this digest."""
        return self._states("audio_digest = ?", digest)

    def sizes(self) -> set[int]:
        """The sizes of all files held, in bytes: a file of another size is none of them."""
        return {row[0] for row in self._rows("SELECT DISTINCT size FROM track")}

    def bytes_of_files(self) -> int:
        """The sizes of all files together, of each once, though several tracks may be parts of it."""
        each = "SELECT DISTINCT root, COALESCE(audio_path, path), size FROM track"
        return int(self._rows(f"SELECT TOTAL(size) FROM ({each})")[0][0])  # noqa: S608

    def holds_parts(self) -> bool:
        """Whether any track is a part of a file."""
        return bool(self._rows("SELECT EXISTS (SELECT 1 FROM track WHERE audio_path IS NOT NULL)")[0][0])

    def _tracks(self, where: str, *arguments: Any, most: int = -1) -> list[LibraryTrack]:
        columns = [f.name for f in fields(LibraryTrack)]
        which = f"{where} ORDER BY id" if most < 0 else f"{where} LIMIT {most}"
        query = f"SELECT {', '.join(columns)} FROM track WHERE {which}"  # noqa: S608
        return list(map(LibraryTrack, *_values(columns, self._rows(query, *arguments))))

    def _states(self, where: str, *arguments: Any) -> list[FileState]:
        columns = ["id", *(f.name for f in fields(FileState) if f.name != "track_id")]
        query = f"SELECT {', '.join(columns)} FROM track WHERE {where} ORDER BY id"  # noqa: S608
        return list(map(FileState, *_values(columns, self._rows(query, *arguments))))


_DECODED: dict[str, Any] = {**dict.fromkeys(("root", "path", "audio_path"), decode_path), "compilation": bool}


def _values(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
    """What rows hold, by column: of paths the texts, of a flag whether it is set."""
    held: Iterable[Sequence[Any]] = zip(*rows, strict=True) if rows else ((),) * len(columns)
    return [
        [v if v is None else _DECODED[name](v) for v in values] if name in _DECODED else values
        for name, values in zip(columns, held, strict=True)
    ]
