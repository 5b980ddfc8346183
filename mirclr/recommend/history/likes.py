"""What a listener likes and dislikes: texts of lines, playlists, and the counts and hearts of iTunes."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from mirclr.errors import HistoryError, PlaylistError
from mirclr.library import Listen
from mirclr.recommend.history.sources import Numbered, Problems, believed, name
from mirclr.recommend.playlist import read_entries
from mirclr.recommend.playlist.markup import property_list
from mirclr.tags import AUDIO_SUFFIXES

_DASH = re.compile(r"\s+[-–—]\s+")
_MAX_ITUNES = 256 << 20


def likes_of(lines: Numbered, folder: str, problems: Problems) -> Iterator[Listen]:
    """Of lines ``+ Artist - Title`` (liked) and ``- Artist - Title`` (disliked), or with a path instead."""
    for where, line in lines:
        sign, text = line[0], line[1:].strip()
        if sign == "#":
            continue
        names = _DASH.split(" ".join(text.split()), maxsplit=1)
        if sign not in "+-" or not text:
            problems.add(where, "expected + or - before an artist and a title, or a path")
        elif _is_path(text):
            file = os.path.join(folder, os.path.expanduser(text))
            yield from _of_file(file, ("", ""), 1 if sign == "+" else -1, problems)
        elif len(names) == 2 and all(map(name, names)):
            problems.read += 1
            yield Listen(name(names[0]), name(names[1]), taste=1 if sign == "+" else -1)
        else:
            problems.add(where, "expected 'Artist - Title', or the path of an audio file")


def _is_path(text: str) -> bool:
    return text.startswith(("/", "~/", "./", "../")) or os.path.splitext(text)[1].lower() in AUDIO_SUFFIXES


def playlist_of(path: Path, kind: str, problems: Problems) -> Iterator[Listen]:
    """Of a playlist each entry is liked: its file, or the artist and title that it names."""
    for entry in read_entries(path, kind=kind):
        artist, title = map(name, entry.names[0]) if entry.names else ("", "")
        if entry.paths or entry.elsewhere:
            paths = entry.paths or entry.elsewhere
            yield from _of_file(next(filter(os.path.isfile, paths), paths[0]), (artist, title), 1, problems)
        elif artist and title:
            problems.read += 1
            yield Listen(artist, title, name(entry.album), taste=1)


def _of_file(path: str, names: tuple[str, str], taste: int, problems: Problems) -> Iterator[Listen]:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        path = "\0"
    if "\0" in path:
        problems.add("a file", "its path cannot be one of this system")
    else:
        problems.read += 1
        yield Listen(*names, file=os.path.normpath(path), taste=taste)


def itunes_of(path: Path, file: IO[bytes], problems: Problems) -> Iterator[Listen]:
    """Of a library or playlist of iTunes what was played or loved; where nothing was, all of it is liked."""
    data = file.read(_MAX_ITUNES + 1)
    if len(data) > _MAX_ITUNES:
        raise HistoryError(f"{path}: larger than {_MAX_ITUNES >> 20} MiB; export a playlist of what you play instead")
    try:
        value = property_list(path, data)
    except PlaylistError as error:
        raise HistoryError(str(error)) from error
    held = value.get("Tracks") if isinstance(value, dict) else None
    tracks = [t for t in held.values() if isinstance(t, dict)] if isinstance(held, dict) else []
    rated = any(t.get("Play Count") or t.get("Loved") or t.get("Disliked") for t in tracks)
    for number, track in enumerate(tracks, 1):
        artist, title, where = name(track.get("Artist")), name(track.get("Name")), f"track {number}"
        if not (artist and title):
            problems.add(where, "names no artist and title")
            continue
        problems.read += 1
        plays, taste = _plays(track.get("Play Count")), int(bool(track.get("Loved"))) - int(bool(track.get("Disliked")))
        if plays or taste or not rated:
            when = track.get("Play Date UTC")
            known = isinstance(when, datetime) and 1971 <= when.year <= 9000
            last_s = believed(when.replace(tzinfo=UTC).timestamp(), where, problems) if when and known else None
            yield Listen(
                artist, title, name(track.get("Album")), plays=plays, last_s=last_s, taste=taste if rated else 1
            )


def _plays(value: Any) -> int:
    return min(value, 10**9) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
