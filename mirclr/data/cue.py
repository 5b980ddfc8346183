"""CUE sheets, which say what tracks one long file holds: where each begins, and its tags.

A sheet is a text of lines as CDRWIN defined them and rippers write them. Of a file with a single track it says nothing
that the file does not say itself, so only files of several are given; a sheet that names a file for each track gives
none. A track ends where the next one begins, by its INDEX 01: what is before it belongs to the track before, as players
have it.
"""

import codecs
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mirclr.errors import CueError
from mirclr.provenance import open_regular
from mirclr.tags import Tags

_LIMIT = 1 << 20  # bytes; one of 99 tracks with long titles takes 20,000
_FRAMES = 75  # of a CD in a second
_TRACKS = 999
_TIME = re.compile(r"(\d{1,4}):(\d{1,2}):(\d{1,2})")
_FILE = re.compile(r'"(.*)"|(.*?)(?:\s+(?:WAVE|MP3|AIFF|BINARY|MOTOROLA|FLAC|APE))?$', re.IGNORECASE)
_YEAR = re.compile(r"(?<!\d)[12]\d{3}(?!\d)")
_NUMBER = re.compile(r"0*([1-9]\d{0,3})")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True)
class CueTrack:
    """One track of a sheet: its number, begin and end in seconds (infinity: where the file ends), and its tags."""

    number: int
    start_s: float
    end_s: float
    tags: Tags


@dataclass
class _Open:
    """A track as its lines are read."""

    number: int
    audio: bool
    says: dict[str, str] = field(default_factory=dict)
    file: str | None = None
    start: int | None = None  # in frames


def read_cue(path: Path) -> dict[str, tuple[CueTrack, ...]]:
    """Read what tracks a sheet gives of each file that it names, where these are several.

    Parameters
    ----------
    path : Path
        The sheet; in UTF-8 or UTF-16, or else taken for Shift JIS where it reads as Japanese, and for Windows-1252.

    Returns
    -------
    dict of str to tuple of CueTrack
        By the file's name as it stands, without the folders before it; in the order of the file.

    Raises
    ------
    CueError
        It is no such sheet; names the line.
    OSError
        It cannot be read.
    """
    with open_regular(path) as f:
        data = f.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise CueError(f"is above {_LIMIT >> 20} MiB; a CUE sheet is smaller")
    album: dict[str, str] = {}
    tracks: list[_Open] = []
    name: str | None = None
    for number, line in enumerate(re.split("\r\n|\r|\n", _decoded(data)), 1):
        try:
            name = _read_line(line.strip(), album, tracks, name)
        except ValueError as error:
            raise CueError(f"line {number}: {error}") from None
    return dict(_by_file(album, tracks))


def _read_line(line: str, album: dict[str, str], tracks: list[_Open], name: str | None) -> str | None:
    """Take one line in; returns the file that is spoken of."""
    word, _, rest = line.partition(" ")
    rest = rest.strip()
    says = tracks[-1].says if tracks else album
    match word.upper():
        case "FILE":
            found = _FILE.match(rest)
            quoted, plain = found.groups() if found else (None, None)
            return re.split(r"[/\\]", quoted or plain or "")[-1] or None
        case "TRACK":
            number, _, kind = rest.partition(" ")
            if not (number.isascii() and number.isdigit() and int(number) <= _TRACKS and len(tracks) < _TRACKS):
                raise ValueError(f"found TRACK {rest[:20]!r}; expected a number up to {_TRACKS} and a kind")
            tracks.append(_Open(int(number), kind.strip().upper() in ("AUDIO", "")))
        case "INDEX" if tracks:
            index, _, time = rest.partition(" ")
            if index.lstrip("0") == "1":
                tracks[-1].file, tracks[-1].start = name, _frames(time.strip())
        case "TITLE" | "PERFORMER":
            says.setdefault(word.upper(), _text(rest))
        case "REM":
            key, _, value = rest.partition(" ")
            if key.upper() in ("GENRE", "DATE", "DISCNUMBER"):
                says.setdefault(key.upper(), _text(value))
    return name


def _frames(time: str) -> int:
    found = _TIME.fullmatch(time)
    minutes, seconds, frames = map(int, found.groups()) if found else (0, 60, 0)
    if seconds >= 60 or frames >= _FRAMES:
        raise ValueError(f"found the time {time[:20]!r}; expected minutes:seconds:frames, of 60 seconds and 75 frames")
    return (60 * minutes + seconds) * _FRAMES + frames


def _text(rest: str) -> str:
    rest = rest.strip()
    inner = rest[1:-1] if len(rest) > 1 and rest[0] == rest[-1] == '"' else rest
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in inner)
    return " ".join(plain.split())


def _by_file(album: dict[str, str], tracks: list[_Open]) -> Iterator[tuple[str, tuple[CueTrack, ...]]]:
    if not tracks:
        raise CueError("holds no line TRACK; not a CUE sheet")
    names = dict.fromkeys(track.file for track in tracks)
    for name in names:
        own = [track for track in tracks if track.file == name]
        if name is None:
            raise CueError(f"track {own[0].number} has no INDEX 01 in a FILE")
        starts = [track.start or 0 for track in own]
        if sorted(set(starts)) != starts:
            raise CueError(f"the tracks of {name!r} do not begin one after the other")
        if len({track.number for track in own}) < len(own):
            raise CueError(f"two tracks of {name!r} have one number")
        ends = [start / _FRAMES for start in starts[1:]] + [math.inf]
        parts = [
            CueTrack(track.number, start / _FRAMES, end, _tags(album, track.says))
            for track, start, end in zip(own, starts, ends, strict=True)
            if track.audio
        ]
        if len(parts) > 1:
            yield name, tuple(parts)


def _tags(album: dict[str, str], track: dict[str, str]) -> Tags:
    performer = album.get("PERFORMER") or None
    year = _YEAR.search(track.get("DATE") or album.get("DATE", ""))
    disc = _NUMBER.fullmatch(album.get("DISCNUMBER", ""))
    return Tags(
        title=track.get("TITLE") or None,
        artist=track.get("PERFORMER") or performer,
        album=album.get("TITLE") or None,
        album_artist=performer,
        genre=track.get("GENRE") or album.get("GENRE") or None,
        year=int(year[0]) if year else None,
        disc_number=int(disc[1]) if disc else None,
    )


def _decoded(data: bytes) -> str:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    with suppress(UnicodeDecodeError):
        return data.decode()
    with suppress(UnicodeDecodeError):
        japanese = data.decode("cp932")
        if re.search("[\u3040-\u30ff]", japanese):  # kana; other bytes of Europe's read as rare characters
            return japanese
    with suppress(UnicodeDecodeError):
        return data.decode("cp1252")
    return data.decode("latin-1")


def file_named(name: str, sheet: str, files: Iterable[str]) -> str | None:
    """Which of a folder's audio files a sheet means: rips are often encoded after their sheet was written.

    Parameters
    ----------
    name, sheet : str
        As the sheet names the file, and as the sheet itself is named.
    files : iterable of str
        The names of the folder's audio files.

    Returns
    -------
    str or None
        The file of that name, whatever its case and the form of its accents; else of that name with another suffix;
        else of the sheet's own name.
    """
    known = {_same(file): file for file in sorted(files, reverse=True)}
    stems = {_same(PurePosixPath(file).stem): file for file in sorted(files, reverse=True)}
    own = PurePosixPath(sheet).stem
    for wanted, among in ((name, known), (PurePosixPath(name).stem, stems), (own, known), (own, stems)):
        if found := among.get(_same(wanted)):
            return found
    return None


def _same(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
