"""Playlists that players open: M3U8 out and in.

Conventions: UTF-8 with line feeds; a file name that is not Unicode keeps its bytes. Paths are relative to the
playlist's folder, so that both can move together.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from mirclr.library import LibraryTrack, shown
from mirclr.provenance import writing

_SURROGATES = sys.getfilesystemencodeerrors()


def write_m3u8(path: Path, tracks: Sequence[LibraryTrack], *, title: str | None = None, absolute: bool = False) -> None:
    """Write a playlist; a file that is there already is replaced at once, never half written.

    Parameters
    ----------
    path : Path
        The playlist.
    tracks : sequence of LibraryTrack
        In the order of playing.
    title : str, optional
        Name of the playlist.
    absolute : bool
        Write absolute paths; those on another drive always are.
    """
    folder = None if absolute else os.path.realpath(path.parent)
    lines = ["#EXTM3U"]
    if title:
        lines.append(f"#PLAYLIST:{_line(title)}")
    for track in tracks:
        seconds = round(track.duration_s) if track.duration_s > 0 else -1
        name = f"{track.artist} - {track.title}" if track.artist and track.title else track.label
        lines += [f"#EXTINF:{seconds},{_line(name)}", _location(track.file, folder)]
    with writing(path) as f:
        f.write("".join(f"{line}\n" for line in lines).encode("utf-8", _SURROGATES))


def _line(text: str) -> str:
    return shown(" ".join(text.split()))


def _location(file: Path, folder: str | None) -> str:
    """A file as a line: its path, or a URI where a reader would take the path for another."""
    location = os.path.abspath(file)
    if folder is not None:
        with suppress(ValueError):  # on another drive (Windows) it stays absolute
            location = os.path.relpath(location, folder)
    location = location.replace(os.sep, "/")
    if any(c in location for c in "\n\r") or location != location.rstrip():
        return Path(os.path.abspath(file)).as_uri()
    if location[0] in "#\ufeff" or location[0].isspace():
        return f"./{location}"
    return location


def read_m3u8(path: Path) -> list[Path]:
    """Read the files that a playlist names, in order, whether or not they are there.

    Parameters
    ----------
    path : Path
        An M3U or M3U8 playlist. Addresses other than of files, such as web radio, are left out.

    Returns
    -------
    list of Path
        Absolute; relative ones are taken from the playlist's folder.
    """
    text = path.read_bytes().decode("utf-8", _SURROGATES).removeprefix("\ufeff")
    folder = os.path.realpath(path.parent)
    files = []
    for line in text.split("\n"):
        line = line.removesuffix("\r")
        if not line.strip() or line.startswith("#"):
            continue
        if line.lower().startswith("file://"):
            line = _of_uri(line)
        elif "://" in line:
            continue
        files.append(Path(os.path.normpath(os.path.join(folder, line))))
    return files


def _of_uri(uri: str) -> str:
    location = urlsplit(uri).path
    if os.name != "nt":
        return os.fsdecode(unquote_to_bytes(location))
    from urllib.request import url2pathname

    return url2pathname(location)
