"""`read_history`: what a file is, by its content, and its listens."""

import codecs
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mirclr.errors import HistoryError, MirclrError, in_words, is_fault_of_machine
from mirclr.library import Listen
from mirclr.recommend.history import likes, services, tables
from mirclr.recommend.history.merging import aggregate
from mirclr.recommend.history.sources import CHUNK, MAX_BYTES, Problems, archived, json_values, lines
from mirclr.recommend.playlist import READABLE

_PLAYLISTS = {  # by how they begin, whatever they are called
    ".jspf": re.compile(r'\{\s*"playlist"\s*:'),
    ".m3u8": re.compile("#EXTM3U"),
    ".pls": re.compile(r"\[playlist\]", re.IGNORECASE),
    ".xspf": re.compile(r"(?:<\?xml[^>]{0,200}>\s*)?<playlist\b"),
}
_MEMBER = re.compile(
    r"(^|/)(listens/.*|feedback)\.jsonl$|(^|/)(StreamingHistory\w*|Streaming_History_Audio[\w-]*|endsong_\d+)\.json$|"
    r"(^|/)(YourLibrary|watch-history)\.json$"
)
_MAX_RECODED = 256 << 20
_EXPECTED = (
    "an export of ListenBrainz (.zip, .json, .jsonl), Spotify (.zip, .json), Last.fm (.csv, .tsv, .json), Maloja, Pano "
    "Scrobbler, Rockbox, Exportify, iTunes or YouTube Music, a playlist, or lines such as '+ Artist - Title'"
)


@dataclass(frozen=True)
class History:
    """What a file holds of a listener.

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
    """Read a listening history, or what a listener likes and dislikes; the format is recognised by the content.

    Formats: JSON of ListenBrainz (the .zip as delivered, its lines, lists, the API's answers; loves and hates in it),
    Spotify (both layouts of the history, the library, the .zip as delivered), Last.fm's API and lastfmstats.com,
    Maloja, Pano Scrobbler and YouTube Music; tables of Last.fm listens in the columns of their exporters, with names of
    columns or without, and of Exportify; Rockbox's .scrobbler.log; iTunes' library; playlists (each piece in it is
    liked); and texts of lines ``+ Artist - Title`` (liked) and ``- Artist - Title`` (disliked), or with a path instead.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    History
        At least one listen. Plays of less than 30 seconds are skips, where the file has their length.

    Raises
    ------
    HistoryError
        The file is of no such format, is too large, or holds no listen.
    """
    path, problems = Path(path), Problems()
    if path.exists() and not path.is_dir() and not path.is_file():
        raise HistoryError(f"{path}: not a file; expected a listening history")
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > MAX_BYTES:
            raise HistoryError(f"{path}: larger than 2 GB; expected a listening history")
        kind, read = _recognised(path, file, problems)
        try:
            listens = aggregate(read)
        except HistoryError as error:
            raise error if str(path) in str(error) else HistoryError(f"{path}: {error}") from None
    kind = problems.kind or kind
    if not listens:
        first = f" ({problems.named[0]})" if problems.named else ""
        raise HistoryError(
            f"{path}: taken for {kind}, but holds no listen that can be read{first}; expected {_EXPECTED}"
        )
    return History(listens, problems.lines(), kind)


def read_histories(
    paths: Sequence[Path], *, advance: Callable[[int, str], object] | None = None
) -> tuple[dict[Path, History], list[str]]:
    """Read several files, each once, and leave out those that cannot be read.

    Parameters
    ----------
    paths : sequence of Path
        The files; of a folder, such as an unpacked export, those in it that hold listens.
    advance : callable, optional
        Called after each file with 1 and a note.

    Returns
    -------
    histories : dict of Path to History
        At least one.
    problems : list of str
        What could not be read.

    Raises
    ------
    HistoryError
        None can be read; or the only one cannot.
    """
    histories: dict[Path, History] = {}
    problems: list[str] = []
    failed, files = 0, list(dict.fromkeys(file for path in paths for file in _files_of(Path(path))))
    for file in files:
        try:
            histories[file] = read_history(file)
            problems += [f"{file}: {problem}" for problem in histories[file].problems]
        except (MirclrError, OSError) as error:
            if len(files) == 1 or is_fault_of_machine(error):
                raise
            failed += 1
            problems.append(in_words(error))
        if advance:
            advance(1, f"{failed} skipped" if failed else "")
    if not histories:
        raise HistoryError(f"none of {len(files)} files can be read; the first: {problems[0]}")
    return histories, problems


def _files_of(path: Path) -> list[Path]:
    """A file itself; of a folder the files that an export of a service keeps listens in."""
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.rglob("*") if _MEMBER.search(p.relative_to(path).as_posix()) and p.is_file())
    if not found:
        raise HistoryError(f"{path}: a folder without the files of an export; name the file of the history itself")
    return found


def _recognised(path: Path, file: IO[bytes], problems: Problems) -> tuple[str, Iterator[Listen]]:
    """What a file is, and the reading of it."""
    head = file.read(CHUNK)
    file.seek(0)
    if head.startswith(b"PK\x03\x04"):
        return "an export", services.listens_of(archived(path, file, _MEMBER, problems), problems)
    is_playlist = path.suffix.lower() in READABLE
    if not is_playlist and (recoded := _recoded(path, file, head)):
        file, head = recoded, recoded.getvalue()[:CHUNK]
    text = head.decode("utf-8", "replace").removeprefix("\ufeff").lstrip()
    if "<plist" in text[:2000]:
        return "iTunes", likes.itunes_of(path, file, problems)
    kind = path.suffix.lower() if is_playlist else next((k for k, start in _PLAYLISTS.items() if start.match(text)), "")
    if kind:
        return "a playlist", likes.playlist_of(path, kind, problems)
    if text.startswith(("[", "{")):
        return "JSON of listens", services.listens_of(json_values(file, "", problems), problems)
    some = [line.strip(" \r") for line in text.split("\n") if line.strip()]
    if table := tables.layout(some):
        return table.kind, tables.listens_of(lines(file, "", problems), table, problems)
    if next((line for line in some[:20] if not line.startswith("#")), "").startswith(("+ ", "- ")):
        folder = os.path.realpath(path.parent)
        return "likes and dislikes", likes.likes_of(lines(file, "", problems), folder, problems)
    raise HistoryError(f"{path}: not a listening history that mirclr knows; expected {_EXPECTED}")


def _recoded(path: Path, file: IO[bytes], head: bytes) -> io.BytesIO | None:
    """A text as UTF-8 with line feeds, where it is of another encoding or has other ends of lines."""
    utf16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if not utf16 and (b"\r" not in head or b"\n" in head):
        return None
    data = file.read(_MAX_RECODED + 1)
    file.seek(0)
    if len(data) > _MAX_RECODED:
        raise HistoryError(f"{path}: larger than {_MAX_RECODED >> 20} MiB and no UTF-8; save it as UTF-8")
    if utf16:
        data = data.decode("utf-16", "replace").encode("utf-8", "replace")
    return io.BytesIO(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
