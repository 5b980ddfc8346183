"""An entry of a playlist: what a program wrote of a file, and what that may mean.

Programs differ: some write URIs as they write paths, or paths as URIs, in the separators of their system, in an
encoding of the past. So an entry holds everything that its text may mean, the likeliest first.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_URI = re.compile(r"(?:(?P<scheme>[a-z][a-z0-9+.-]+):)?(?://(?P<host>[^/?#]*))?(?P<path>[^?#]*)", re.IGNORECASE)
_DASH = re.compile(r"\s+[-–—]\s+")
_DRIVE = re.compile(r"[a-z]:[\\/]", re.IGNORECASE)
_MOST_DASHES = 4
_LONGEST_NAME = 1000


@dataclass(frozen=True)
class PlaylistEntry:
    """One entry of a playlist.

    Attributes
    ----------
    paths : tuple of str
        What its location may mean here, relative to the playlist's folder or not; empty where it names no file.
    elsewhere : tuple of str
        The same as paths of another machine, whose end may be one of this one's.
    names : tuple of (str, str)
        Artist and title as it may mean them.
    duration_s : float, optional
        As the playlist has it.
    album : str
    """

    paths: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    duration_s: float | None = None
    album: str = ""


def entry_of_line(line: str, names: tuple[tuple[str, str], ...] = (), duration_s: float | None = None) -> PlaylistEntry:
    """An entry of a line that is a path, or a URI."""
    address = _URI.match(line)
    scheme = (address["scheme"] or "").lower() if address else ""
    if address and scheme and address["host"] is not None:
        return entry_of_uris([line], names, duration_s)
    other = meanings(line) if scheme == "file" else []
    typed = decoded_as_windows(line)
    paths = [line, unquoted(line), line.replace("\\", "/"), *other, *typed, *(t.replace("\\", "/") for t in typed)]
    paths = [path for path in dict.fromkeys(paths) if possible(path)]
    return PlaylistEntry(tuple(paths), tuple(reversed(paths)), names, duration_s)


def entry_of_uris(
    uris: Iterable[str],
    names: tuple[tuple[str, str], ...] = (),
    duration_s: float | None = None,
    album: str = "",
) -> PlaylistEntry:
    """An entry of URIs, or of what is written in their place; the first that is here counts."""
    uris = list(uris)
    here = [path for uri in uris for path in meanings(uri) if possible(path)]
    there = [path for uri in uris for path in meanings(uri, of_any_host=True) if possible(path)]
    return PlaylistEntry(tuple(dict.fromkeys(here)), tuple(dict.fromkeys(there)), names, duration_s, album)


def meanings(uri: str, *, of_any_host: bool = False) -> list[str]:
    """Paths that a URI may mean, the right one first; none of an address that is of no file."""
    uri = uri.strip(" \t\r\n")
    if _DRIVE.match(uri) or uri.startswith("\\\\"):  # a path of Windows, not a scheme
        return [uri, uri.replace("\\", "/")]
    match = _URI.match(uri)
    if match is None or (match["scheme"] or "file").lower() != "file":
        return []
    if (match["host"] or "localhost").lower() not in ("localhost", "127.0.0.1") and not of_any_host:
        return []
    return [unquoted(match["path"]), uri[match.start("path") :]]


def named(display: str) -> tuple[tuple[str, str], ...]:
    """Artist and title that a line for people may mean: before or after a dash, in either order."""
    display = " ".join(display.split())
    if len(display) > _LONGEST_NAME:
        return ()
    dashes = list(_DASH.finditer(display))[:_MOST_DASHES]
    parts = [(display[: d.start()].strip(), display[d.end() :].strip()) for d in dashes]
    return tuple(dict.fromkeys([p for p in parts if all(p)] + [p[::-1] for p in parts if all(p)]))


def possible(path: str) -> bool:
    """Whether a file can have this path at all."""
    try:
        return bool(path) and b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def unquoted(path: str) -> str:
    """A path without the escapes of a URI."""
    if os.name == "nt":
        from urllib.request import url2pathname  # which brings all of http with it

        return url2pathname(path)
    return os.fsdecode(unquote_to_bytes(os.fsencode(path))) if possible(path) else path


def decoded_as_windows(text: str) -> list[str]:
    """What a text whose bytes are no UTF-8 is in Windows-1252, or else in Latin-1; nothing where they are."""
    if not any("\udc80" <= c <= "\udcff" for c in text):
        return []
    data = text.encode("utf-8", "surrogateescape")
    try:
        return [data.decode("cp1252")]
    except UnicodeDecodeError:
        return [data.decode("latin-1")]
