"""Playlists as other programs write them, read: M3U and M3U8, PLS, XSPF, JSPF, iTunes, Rekordbox, WPL, ASX and ZPL.

Conventions: lines end in LF, CR or both. A text is UTF-8 or UTF-16 by its mark, or else UTF-8, or else of Windows:
Shift JIS (M3U alone) where that gives Japanese, or Windows-1252.
Nothing is fetched, and what declares entities is refused.
"""

import codecs
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mirclr.errors import PlaylistError
from mirclr.library import shown
from mirclr.recommend.playlist.entries import PlaylistEntry, decoded_as_windows, entry_of_line, named
from mirclr.recommend.playlist.markup import of_jspf, of_media_tags, of_xml, of_xspf

_LIMIT = 64 << 20  # bytes of a playlist: a quarter of a million tracks and more
_EXTINF = re.compile(
    r"#EXTINF:\s*+(-?\d{1,7}(?:\.\d{1,6})?(?![\d.]))?(?:\"[^\"]*+\"|[^,\"])*+,(.*)", re.ASCII | re.IGNORECASE
)
_EXTRA = re.compile(r"#EXT(ART|ALB):\s*(.*)", re.IGNORECASE)
_PLS = re.compile(r"(file|title|length)(\d{1,7})\s*=\s*(.*)", re.ASCII | re.IGNORECASE)
_SECONDS = re.compile(r"\d{1,7}(?:\.\d{1,6})?", re.ASCII)

_Reader = Callable[[str, Path, bytes], Iterable[PlaylistEntry]]


def read_entries(path: Path, *, kind: str = "") -> list[PlaylistEntry]:
    """Read the entries of a playlist, in order: what each may mean as a path, and the names beside it.

    Parameters
    ----------
    path : Path
        The playlist; ends in one of `READABLE`.
    kind : str
        How it would end, where its content shows that and its name does not.

    Returns
    -------
    list of PlaylistEntry
        Their `paths` are absolute; relative ones are taken from the playlist's folder. Addresses other than of files,
        such as web radio, are left out where nothing names a piece.

    Raises
    ------
    PlaylistError
        Of another suffix; damaged, or above 64 MiB.
    OSError
        It cannot be read.
    """
    reader = _KINDS.get(kind or path.suffix.lower())
    if reader is None:
        found = f"ends in {shown(path.suffix)}" if path.suffix else "has no suffix"
        raise PlaylistError(f"{shown(str(path))}: {found}; a playlist ends in one of {', '.join(READABLE)}")
    with path.open("rb") as f:
        data = f.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise PlaylistError(f"{shown(str(path))}: is above {_LIMIT >> 20} MiB; a playlist is smaller")
    folder = os.path.realpath(path.parent)
    return [
        replace(entry, paths=tuple(os.path.normpath(os.path.join(folder, p)) for p in entry.paths))
        for entry in reader(shown(str(path)), path, data)
        if entry.paths or entry.names or entry.elsewhere
    ]


def read_playlist(path: Path) -> list[Path]:
    """Read the files that a playlist names, in order, whether or not they are there.

    Some programs write URIs as they write paths, or paths as URIs: where there is no file of the name that the format
    means and one of another that its text may mean, the other is taken.

    Parameters
    ----------
    path : Path
        The playlist; ends in one of `READABLE`. A file in ``.m3u`` is UTF-8, or else Shift JIS or
        Windows-1252.

    Returns
    -------
    list of Path
        Absolute; relative ones are taken from the playlist's folder. Addresses other than of files, such as web radio,
        and tracks without one are left out.

    Raises
    ------
    PlaylistError
        Of another suffix; damaged, or above 64 MiB.
    OSError
        It cannot be read.
    """
    files = (entry.paths for entry in read_entries(path) if entry.paths)
    return [Path(paths[0] if len(paths) == 1 else next(filter(os.path.isfile, paths), paths[0])) for paths in files]


def _of_m3u(name: str, path: Path, data: bytes) -> Iterator[PlaylistEntry]:
    display, duration_s = "", None
    of = {"art": "", "alb": ""}  # of an entry, or once above all
    for line in _lines(name, path, data, "an M3U playlist"):
        if found := _EXTINF.match(line):
            display = _readable(found[2])
            duration_s = float(found[1]) if found[1] and float(found[1]) > 0 else None
        elif found := _EXTRA.fullmatch(line):
            of[found[1].lower()] = _readable(found[2])
        elif not line.startswith("#"):
            alone = ((of["art"], display),) if of["art"] and display else ()
            names = tuple(dict.fromkeys((*named(display), *alone)))
            yield replace(entry_of_line(line, names, duration_s), album=of["alb"])
            display, duration_s = "", None


def _readable(text: str) -> str:
    return " ".join(next(iter(decoded_as_windows(text)), text).split())


def _of_pls(name: str, path: Path, data: bytes) -> Iterator[PlaylistEntry]:
    rows: dict[int, dict[str, str]] = {}
    for line in _lines(name, path, data, "a PLS playlist"):
        if found := _PLS.fullmatch(line):
            rows.setdefault(int(found[2]), {})[found[1].lower()] = found[3].strip()
    for _, row in sorted(rows.items()):
        seconds = float(row["length"]) if _SECONDS.fullmatch(row.get("length", "")) else 0.0
        names = named(_readable(row.get("title", "")))
        if row.get("file"):
            yield entry_of_line(row["file"], names, seconds or None)
        elif names:
            yield PlaylistEntry(names=names, duration_s=seconds or None)


def _lines(name: str, path: Path, data: bytes, expected: str) -> Iterator[str]:
    for number, line in enumerate(re.split("\r\n|\n|\r", _decoded(path, data)), 1):
        line = line.strip(" \t")
        if "\0" in line:
            raise PlaylistError(f"{name}: line {number} is not text; expected {expected}")
        if line:
            yield line


def _decoded(path: Path, data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    if data[:8:2].isascii() and len(data) > 8 and not any(data[1:64:2]):
        return data.decode("utf-16-le", "replace")  # without its mark
    data = data.removeprefix(codecs.BOM_UTF8)
    if os.name != "nt" and path.suffix.lower() != ".m3u":
        return data.decode("utf-8", "surrogateescape")  # of other programs: a name that is not Unicode, as it is
    for encoding in ("utf-8", "cp1252"):
        with suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            return text if encoding == "utf-8" else _japanese(data) or text
    return _japanese(data) or data.decode("latin-1")


def _japanese(data: bytes) -> str | None:
    """A text of Shift JIS; None unless it has kana, and beside ASCII nothing but what Japanese is written in."""
    try:
        text = data.decode("cp932")
    except UnicodeDecodeError:
        return None
    wide = [c for c in text if not c.isascii()]
    kana = sum("\u3041" <= c <= "\u30fc" for c in wide)
    return text if kana >= 2 and all("\u3000" <= c <= "\u9fff" or "\uff01" <= c <= "\uff5e" for c in wide) else None


def _markup(read: Callable[[str, bytes], Iterable[PlaylistEntry]]) -> _Reader:
    return lambda name, _, data: read(name, data)


_KINDS: dict[str, _Reader] = {
    ".m3u8": _of_m3u,
    ".m3u": _of_m3u,
    ".xspf": _markup(of_xspf),
    ".jspf": _markup(of_jspf),
    ".pls": _of_pls,
    ".xml": _markup(of_xml),
    ".wpl": _markup(of_media_tags),
    ".zpl": _markup(of_media_tags),
    ".asx": _markup(of_media_tags),
    ".wax": _markup(of_media_tags),
}

READABLE: tuple[str, ...] = tuple(_KINDS)
"""How a playlist ends that `read_entries` reads."""
