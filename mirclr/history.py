"""A listener's history, as sites and players export it: who was played how often, what is liked and disliked.

Conventions: one `mirclr.library.Listen` for each piece of music, which is known by artist and title in any case and
accents, or by its file. A time is kept when it lies between the year 2000 and tomorrow; else the play counts without.
Files come from anywhere: what is not as it should be is told of and left out, and sizes are bounded.

Contents: `read_history`, `History`; `aggregate` (many listens to one a piece), `merge` (two histories of one listener).
"""

import csv
import io
import json
import os
import re
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, cast

from mirclr.errors import HistoryError
from mirclr.library import Listen, fold, shown
from mirclr.tags import AUDIO_SUFFIXES

_MAX_BYTES = 2 * 1024**3
_MAX_MEMBERS = 10_000
_MAX_LINE = 1 << 20
_MAX_NAME = 1000
_MAX_PLAYS = 10**9
_CHUNK = 1 << 18
_NAMED = 5
_FIRST_S = 946_684_800  # the first second of 2000

_JSON = json.JSONDecoder(parse_constant=lambda name: None)  # NaN and the infinities are no numbers here
_GAP = re.compile(r"[\s,]*")
_JSPF = re.compile(r'\s*\{\s*"playlist"\s*:')
_MEMBER = re.compile(r"(^|/)(listens/.*|feedback)\.jsonl$")
_NUMBER = re.compile(r"\d{1,13}(\.\d{1,9})?", re.ASCII)
_LASTFM_TIME = re.compile(r"(\d{1,2}) (\w{3}) (\d{4}),? (\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DASH = re.compile(r"\s+[-–—]\s+")
_COLUMNS = {  # the names that exporters give to columns, the first one found is taken
    "artist": ("artist", "artist name", "artist_name"),
    "title": ("track", "title", "name", "song", "track name", "track_name"),
    "album": ("album", "album name", "album_name", "release"),
    "time": ("uts", "timestamp", "date", "utc_time", "time"),
    "plays": ("plays", "playcount", "play count"),
}

Numbered = Iterator[tuple[str, str]]
"""Lines, each after a text that says where it stands."""


@dataclass(frozen=True)
class History:
    """What a file tells of a listener.

    Attributes
    ----------
    listens : list of Listen
        One for each piece of music, by artist and title.
    problems : list of str
        What could not be read: the first few by name, then how many more.
    kind : str
        What the file was taken for, such as ``ListenBrainz``.
    """

    listens: list[Listen]
    problems: list[str]
    kind: str


def read_history(path: Path) -> History:
    """Read a listening history, or what a listener likes and dislikes; the format is told by the content.

    Formats: the export of ListenBrainz (the .zip, or its lines or list of JSON; loves and hates in it), tables of
    Last.fm listens as lastfm-to-csv and others write them (with names of columns or without: artist, album, track,
    time), playlists (M3U, XSPF, JSPF; each file in it is liked), and texts of lines ``+ Artist - Title`` (liked)
    and ``- Artist - Title`` (disliked), or with a path instead.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    History
        At least one listen.

    Raises
    ------
    HistoryError
        The file is of no such format, is too large, or tells of no listen.
    """
    path, problems = Path(path), _Problems()
    if path.exists() and not path.is_dir() and not path.is_file():
        raise HistoryError(f"{path}: not a file; expected a listening history")
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > _MAX_BYTES:
            raise HistoryError(f"{path}: larger than 2 GB; expected a listening history")
        kind, read = _recognised(path, file, problems)
        listens = aggregate(read)
    if not listens:
        first = f" ({problems.named[0]})" if problems.named else ""
        raise HistoryError(f"{path}: taken for {kind}, but holds no listen that can be read{first}")
    return History(listens, problems.lines(), kind)


def aggregate(listens: Iterable[Listen]) -> list[Listen]:
    """Make one listen of all those of the same piece: plays are added, the latest time and the last taste are kept.

    Names are compared in any case and accents. Of several spellings the first by alphabet is kept.

    Returns
    -------
    list of Listen
        By artist, title and file.
    """
    pieces: dict[tuple[str, str, str], Listen] = {}
    for listen in listens:
        key = _key(listen)
        held = pieces.get(key)
        pieces[key] = listen if held is None else _joined(held, listen, held.plays + listen.plays)
    return [pieces[key] for key in sorted(pieces)]


def merge(old: Iterable[Listen], new: Iterable[Listen]) -> list[Listen]:
    """Bring what is known of a listener up to date with a later export, which tells of the earlier plays too.

    Of a piece in both, the larger number of plays, the later time, and the taste of the new one count.

    Returns
    -------
    list of Listen
        By artist, title and file.
    """
    pieces = {_key(listen): listen for listen in aggregate(old)}
    for listen in aggregate(new):
        held = pieces.get(key := _key(listen))
        pieces[key] = listen if held is None else _joined(held, listen, max(held.plays, listen.plays))
    return [pieces[key] for key in sorted(pieces)]


def _key(listen: Listen) -> tuple[str, str, str]:
    return (*_folded(listen.artist, listen.title), listen.file)


@lru_cache(maxsize=1 << 16)
def _folded(artist: str, title: str) -> tuple[str, str]:
    return fold(artist), fold(title)


def _joined(first: Listen, then: Listen, plays: int) -> Listen:
    artist, title = min((first.artist, first.title), (then.artist, then.title))
    album = min(filter(None, (first.album, then.album)), default="")
    last_s = max((s for s in (first.last_s, then.last_s) if s is not None), default=None)
    taste = then.taste or first.taste
    return Listen(artist, title, album, first.file, min(plays, _MAX_PLAYS), last_s, taste)


class _Problems:
    """What could not be read: how much, and the first few by name."""

    def __init__(self) -> None:
        self.count, self.named = 0, list[str]()

    def add(self, where: str, what: str) -> None:
        self.count += 1
        if len(self.named) < _NAMED:
            self.named.append(shown(f"{where}: {what}"))

    def lines(self) -> list[str]:
        more = self.count - len(self.named)
        return [*self.named, f"and {more} more"] if more else self.named


def _recognised(path: Path, file: IO[bytes], problems: _Problems) -> tuple[str, Iterator[Listen]]:
    """What a file is, and the reading of it."""
    from mirclr.playlist import READABLE

    head = file.read(_CHUNK)
    file.seek(0)
    text = head.decode("utf-8", "replace").removeprefix("\ufeff").lstrip()
    if head.startswith(b"PK\x03\x04"):
        return "ListenBrainz", _listenbrainz(_archived(path, file, problems), problems)
    if text.startswith(("#EXTM3U", "<")) or _JSPF.match(text) or path.suffix.lower() in READABLE:
        return "a playlist", _playlist(path, problems)
    if text.startswith("["):
        return "ListenBrainz", _listenbrainz(_listed(file, problems), problems)
    if text.startswith("{"):
        return "ListenBrainz", _listenbrainz(_parsed(_lines(file, "", problems), problems), problems)
    lines = [line for line in text.splitlines() if line.strip()][:20]
    if table := next(filter(None, map(_table, lines)), None):
        return "Last.fm", _lastfm(_lines(file, "", problems), table, problems)
    if next((line for line in lines if not line.startswith("#")), "").startswith(("+ ", "- ")):
        return "likes and dislikes", _likes(_lines(file, "", problems), os.path.realpath(path.parent), problems)
    raise HistoryError(
        f"{path}: not a listening history that mirclr knows; expected a ListenBrainz export (.zip, .json, .jsonl), "
        f"a Last.fm table (.csv), a playlist, or lines such as '+ Artist - Title'"
    )


def _lines(stream: IO[bytes], inside: str, problems: _Problems) -> Numbered:
    """The lines of a text that are not empty, without the ends; those that are too long are left out."""
    number = 0
    while line := stream.readline(_MAX_LINE):
        number += 1
        where = f"{inside}line {number}"
        if len(line) == _MAX_LINE and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = stream.readline(_MAX_LINE)
            problems.add(where, "longer than 1 MB")
            continue
        text = line.decode("utf-8", "surrogateescape")
        if text := (text.removeprefix("\ufeff") if number == 1 else text).strip(" \r\n"):
            yield where, text


# ListenBrainz


def _archived(path: Path, file: IO[bytes], problems: _Problems) -> Iterator[tuple[str, Any]]:
    """The JSON values in the zip file that ListenBrainz gives; nothing is unpacked to disk."""
    try:
        archive = zipfile.ZipFile(file)
        names = archive.infolist()
    except (zipfile.BadZipFile, RuntimeError, ValueError, EOFError) as error:
        raise HistoryError(f"{path}: a damaged zip file ({error}); download the export again") from error
    members = [member for member in names if _MEMBER.search(member.filename)]
    # no member gives more than the size it states: zipfile cuts it there
    if len(names) > _MAX_MEMBERS or sum(member.file_size for member in members) > _MAX_BYTES:
        raise HistoryError(
            f"{path}: holds {len(names)} files, or more than 2 GB of listens; expected an export of one listener"
        )
    if not members:
        raise HistoryError(f"{path}: a zip file without listens/YEAR/MONTH.jsonl; expected an export of ListenBrainz")
    for member in sorted(members, key=lambda m: m.filename):
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            problems.add(member.filename, "packed in a way that ListenBrainz does not use")
            continue
        try:
            with archive.open(member) as packed, io.BufferedReader(cast(Any, packed)) as stream:
                yield from _parsed(_lines(stream, f"{member.filename}, ", problems), problems)
        except (zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, EOFError, OSError) as error:
            problems.add(member.filename, f"damaged ({error})")


def _parsed(lines: Numbered, problems: _Problems) -> Iterator[tuple[str, Any]]:
    """A JSON value for each line."""
    for where, line in lines:
        try:
            yield where, _JSON.decode(line)
        except (ValueError, RecursionError):
            problems.add(where, "not JSON")


def _listed(stream: IO[bytes], problems: _Problems) -> Iterator[tuple[str, Any]]:
    """The values of a JSON list, however long it is, one by one."""
    text = io.TextIOWrapper(stream, "utf-8", errors="replace")
    buffer = text.read(_CHUNK)
    at, number = buffer.index("[") + 1, 1
    while True:
        gap = _GAP.match(buffer, at)
        at = gap.end() if gap else at
        if buffer.startswith("]", at):
            break
        try:
            value, at = _JSON.raw_decode(buffer, at)
        except (ValueError, RecursionError):  # broken, or it goes on in the next chunk
            more = text.read(_CHUNK) if len(buffer) - at <= _MAX_LINE else ""
            if not more:
                problems.add(f"listen {number}", "the JSON breaks off here; what follows is not read")
                break
            buffer, at = buffer[at:] + more, 0
            continue
        yield f"listen {number}", value
        number += 1
    text.detach()


def _listenbrainz(records: Iterator[tuple[str, Any]], problems: _Problems) -> Iterator[Listen]:
    """Listens; then loves and hates in the order in which they were said, which name a recording by its id alone."""
    names: dict[str, tuple[str, str]] = {}
    said: list[tuple[float, str, list[str], int]] = []
    for where, record in records:
        if not isinstance(record, dict):
            problems.add(where, "not a listen: expected a JSON object")
            continue
        data = _dict(record, "track_metadata")
        artist, title = _name(data.get("artist_name")), _name(data.get("track_name"))
        ids = [
            i
            for part in (record, data, _dict(data, "mbid_mapping"), _dict(data, "additional_info"))
            for name in ("recording_msid", "recording_mbid")
            if isinstance(i := part.get(name), str) and len(i) <= 64
        ]
        if artist and title:
            names.update(dict.fromkeys(ids, (artist, title)))
        if "score" in record:
            score = record["score"]
            if isinstance(score, bool) or score not in (-1, 0, 1):
                problems.add(where, f"its score is {str(score)[:40]}; expected 1, 0 or -1")
            elif artist and title and not ids:
                said.append((_number(record.get("created")), where, [f"{artist}\0{title}"], int(score)))
                names[f"{artist}\0{title}"] = (artist, title)
            elif score:
                said.append((_number(record.get("created")), where, ids, int(score)))
        elif not (artist and title):
            problems.add(where, "names no artist and title")
        else:
            last_s = _believed(_number(record.get("listened_at")), where, problems)
            yield Listen(artist, title, _name(data.get("release_name")), plays=1, last_s=last_s)
    for _, where, ids, score in sorted(said, key=lambda s: s[0]):
        found = next((names[i] for i in ids if i in names), None)
        if found is None:
            problems.add(where, "loves or hates a recording that no listen names")
        else:
            yield Listen(*found, taste=score)


def _dict(of: dict[str, Any], name: str) -> dict[str, Any]:
    value = of.get(name)
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float:
    """A number of JSON; 0 where it is none."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0


def _name(value: Any) -> str:
    """A name as it can be kept and compared; empty where it is none."""
    if not isinstance(value, str) or len(value) > _MAX_NAME:
        return ""
    return " ".join(value.replace("\0", "").encode("utf-8", "replace").decode().split())


def _believed(seconds: float, where: str, problems: _Problems) -> float | None:
    if _FIRST_S <= seconds <= time.time() + 86_400:
        return float(seconds)
    problems.add(where, "no time, or one before the year 2000 or in the future; it counts without")
    return None


# Last.fm


@dataclass(frozen=True)
class _Table:
    """How a table is laid out: what is between cells, what is in which column, and how many there are."""

    delimiter: str
    columns: dict[str, int]
    width: int
    header: bool


def _table(line: str) -> _Table | None:
    """The layout that a line shows: the names of columns, or artist, album, track and a time."""
    for delimiter in (",", ";", "\t"):
        row = _cells(line, delimiter)
        names = [cell.strip().lower().partition("#")[0] for cell in row]  # lastfmstats.com: Date#listener
        columns = {what: names.index(n) for what, known in _COLUMNS.items() for n in known[::-1] if n in names}
        if {"artist", "title"} <= columns.keys():
            return _Table(delimiter, columns, len(row), True)
        if len(row) == 4 and (_seconds(row[3]) or 0) >= _FIRST_S:
            return _Table(delimiter, {"artist": 0, "album": 1, "title": 2, "time": 3}, 4, False)
    return None


def _cells(line: str, delimiter: str) -> list[str]:
    """The cells of a line; a line by itself, so that a quote without an end spoils no other."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _lastfm(lines: Numbered, table: _Table, problems: _Problems) -> Iterator[Listen]:
    begun = not table.header
    for where, line in lines:
        if not begun:  # what comes before the names of columns, such as "sep=;", is no listen
            begun = _table(line) == table
            continue
        row = _cells(line, table.delimiter)
        if len(row) != table.width:
            problems.add(where, f"has {len(row)} values; expected {table.width}")
            continue
        cells = {what: row[i].strip() for what, i in table.columns.items()}
        artist, title = _name(cells["artist"]), _name(cells["title"])
        if not (artist and title):
            problems.add(where, "names no artist and title")
            continue
        last_s = None
        if text := cells.get("time"):  # what is playing now has none
            last_s = _believed(_seconds(text) or 0, where, problems)
        count = cells.get("plays", "1")
        plays = int(count) if len(count) < 10 and count.isdecimal() else 1
        yield Listen(artist, title, _name(cells.get("album")), plays=plays, last_s=last_s)


def _seconds(text: str) -> float | None:
    """Seconds since 1970 of a time in UTC: 02 Jan 2023 10:11, ISO 8601, or a number of s or ms; None for others."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return float(text) / 1000 if float(text) > 1e11 else float(text)
    try:
        if found := _LASTFM_TIME.fullmatch(text):
            day, month, year, hour, minute, second = found.groups(default="0")
            number = _MONTHS.index(month.lower()) + 1
            when = datetime(int(year), number, int(day), int(hour), int(minute), int(second), tzinfo=UTC)
        else:
            when = datetime.fromisoformat(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


# what is liked and disliked


def _likes(lines: Numbered, folder: str, problems: _Problems) -> Iterator[Listen]:
    for where, line in lines:
        sign, text = line[0], line[1:].strip()
        if sign == "#":
            continue
        names = _DASH.split(text, maxsplit=1)
        if sign not in "+-" or not text:
            problems.add(where, "expected + or - before an artist and a title, or a path")
        elif _is_path(text):
            yield from _files([os.path.join(folder, os.path.expanduser(text))], 1 if sign == "+" else -1, problems)
        elif len(names) == 2 and all(map(_name, names)):
            yield Listen(_name(names[0]), _name(names[1]), taste=1 if sign == "+" else -1)
        else:
            problems.add(where, "expected 'Artist - Title', or the path of an audio file")


def _is_path(text: str) -> bool:
    return text.startswith(("/", "~/", "./", "../")) or os.path.splitext(text)[1].lower() in AUDIO_SUFFIXES


def _playlist(path: Path, problems: _Problems) -> Iterator[Listen]:
    from mirclr.playlist import read_playlist

    yield from _files([os.fspath(file) for file in read_playlist(path)], 1, problems)


def _files(paths: Sequence[str], taste: int, problems: _Problems) -> Iterator[Listen]:
    for path in paths:
        try:
            os.fsencode(path)
        except UnicodeEncodeError:
            path = "\0"
        if "\0" in path:
            problems.add("a file", "its path cannot be one of this system")
        else:
            yield Listen("", "", file=os.path.normpath(path), taste=taste)
