"""Playlists that players open, out and in: M3U8, XSPF and JSPF.

Conventions: UTF-8 with line feeds. Paths are relative to the playlist's folder, so that both can move together. In
XSPF (https://xspf.org/spec) and JSPF, its JSON, a path is a URI, which carries any file name; in M3U8 it is a line as
it is, and a URI only where a line cannot carry it. Players differ: VLC 3 takes a line for a URI, so misses names with
'#', '?' or '%20' in M3U8; MPD 0.23 takes a URI for a path, so misses names that XSPF must encode.
"""

import codecs
import json
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes
from xml.parsers.expat import ErrorString

from mirclr.errors import PlaylistError
from mirclr.library import LibraryTrack, shown
from mirclr.provenance import writing

_LIMIT = 64 << 20  # bytes of a playlist: a quarter of a million tracks and more
_DEPTH = 32  # of XML elements; a location is at the fourth
_XSPF = "http://xspf.org/ns/0/"
_URI = re.compile(r"(?:(?P<scheme>[a-z][a-z0-9+.-]+):)?(?://(?P<host>[^/?#]*))?(?P<path>[^?#]*)", re.IGNORECASE)

_Writer = Callable[[Sequence[LibraryTrack], str | None, str | None], str]
_Reader = Callable[[Path, bytes], Iterator[list[str]]]  # yields, for each track, the paths that it may mean


def write_playlist(
    path: Path, tracks: Sequence[LibraryTrack], *, title: str | None = None, absolute: bool = False
) -> None:
    """Write a playlist of the kind that its suffix names; one that is there is replaced at once, never half written.

    Parameters
    ----------
    path : Path
        The playlist; ends in one of `SUFFIXES`.
    tracks : sequence of LibraryTrack
        In the order of playing.
    title : str, optional
        Name of the playlist.
    absolute : bool
        Write absolute paths; those on another drive always are.

    Raises
    ------
    PlaylistError
        Of a suffix that names no kind of playlist.
    """
    as_text = _kind(path)[0]
    text = as_text(tracks, _plain(title), None if absolute else os.path.realpath(path.parent))
    with writing(path) as f:
        f.write(text.encode())


def read_playlist(path: Path) -> list[Path]:
    """Read the files that a playlist names, in order, whether or not they are there.

    Some programs write URIs as they write paths, or paths as URIs: where there is no file of the name that the format
    means and one of the other, the other is taken.

    Parameters
    ----------
    path : Path
        The playlist; ends in one of `SUFFIXES`. A file in ``.m3u`` is UTF-8, or else Windows-1252.

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
    return _read(path, _kind(path)[1])


def _kind(path: Path) -> tuple[_Writer, _Reader]:
    try:
        return _KINDS[path.suffix.lower()]
    except KeyError:
        found = f"ends in {shown(path.suffix)}" if path.suffix else "has no suffix"
        raise PlaylistError(f"{_name(path)}: {found}; a playlist ends in one of {', '.join(SUFFIXES)}") from None


def _name(path: Path) -> str:
    return shown(str(path))


def _plain(text: str | None) -> str | None:
    """A text as a line that any format can carry."""
    return shown(" ".join(text.split())) or None if text else None


def _location(file: Path, folder: str | None) -> str:
    """A path with '/', relative to the folder if there is one and on its drive."""
    location = os.path.abspath(file)
    if folder is not None:
        with suppress(ValueError):  # on another drive (Windows) it stays absolute
            location = os.path.relpath(location, folder)
    return location.replace(os.sep, "/")


def _line(file: Path, folder: str | None) -> str:
    location = _location(file, folder)
    if re.search("[\n\r\ud800-\udfff]", location) or location != location.rstrip():
        return Path(os.path.abspath(file)).as_uri()
    return f"./{location}" if location[0] in "#\ufeff" or location[0].isspace() else location


def _uri(file: Path, folder: str | None) -> str:
    location = _location(file, folder)
    if os.path.isabs(location):
        return Path(location).as_uri()
    # what a URI may carry stays as it is: some players, such as MPD, do not decode
    uri = quote(os.fsencode(location), safe="/!$&'()*+,;=:@")
    return f"./{uri}" if ":" in uri.partition("/")[0] else uri


def _as_m3u8(tracks: Sequence[LibraryTrack], title: str | None, folder: str | None) -> str:
    lines = ["#EXTM3U"]
    if title:
        lines.append(f"#PLAYLIST:{title}")
    for track in tracks:
        seconds = round(track.duration_s) if track.duration_s > 0 else -1
        name = f"{track.artist} - {track.title}" if track.artist and track.title else track.label
        lines += [f"#EXTINF:{seconds},{_plain(name) or ''}", _line(track.file, folder)]
    return "".join(f"{line}\n" for line in lines)


def _entry(track: LibraryTrack, folder: str | None) -> dict[str, str | int]:
    """What XSPF and JSPF say of a track; the location as one URI, the duration in milliseconds."""
    entry = {
        "location": _uri(track.file, folder),
        "title": _plain(track.title),
        "creator": _plain(track.artist),
        "album": _plain(track.album),
        "duration": round(1000 * track.duration_s) if track.duration_s > 0 else None,
    }
    return {key: value for key, value in entry.items() if value is not None}


def _as_xspf(tracks: Sequence[LibraryTrack], title: str | None, folder: str | None) -> str:
    root = ET.Element("playlist", version="1", xmlns=_XSPF)
    if title:
        ET.SubElement(root, "title").text = title
    track_list = ET.SubElement(root, "trackList")
    for track in tracks:
        element = ET.SubElement(track_list, "track")
        for key, value in _entry(track, folder).items():
            ET.SubElement(element, key).text = str(value)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _as_jspf(tracks: Sequence[LibraryTrack], title: str | None, folder: str | None) -> str:
    entries = [_entry(track, folder) for track in tracks]
    track_list = [{**entry, "location": [entry["location"]]} for entry in entries]
    playlist = {"title": title, "track": track_list} if title else {"track": track_list}
    return json.dumps({"playlist": playlist}, ensure_ascii=False, indent=2) + "\n"


def _read(path: Path, tracks_of: _Reader) -> list[Path]:
    with path.open("rb") as f:
        data = f.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise PlaylistError(f"{_name(path)}: is above {_LIMIT >> 20} MiB; a playlist is smaller")
    folder = os.path.realpath(path.parent)
    files = []
    for meanings in tracks_of(path, data):
        paths = [os.path.normpath(os.path.join(folder, p)) for p in dict.fromkeys(meanings) if _possible(p)]
        if paths:
            files.append(Path(paths[0] if len(paths) == 1 else next(filter(os.path.isfile, paths), paths[0])))
    return files


def _possible(path: str) -> bool:
    """Whether a file can have this path at all."""
    try:
        return bool(path) and b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _unquoted(path: str) -> str:
    if os.name == "nt":
        from urllib.request import url2pathname  # which brings all of http with it

        return url2pathname(path)
    return os.fsdecode(unquote_to_bytes(os.fsencode(path))) if _possible(path) else path


def _meanings(uri: str) -> list[str]:
    """Paths that a URI may mean, the right one first; none of another's."""
    uri = uri.strip(" \t\r\n")
    match = _URI.match(uri)
    if match is None or (match["scheme"] or "file").lower() != "file" or (match["host"] or "localhost") != "localhost":
        return []
    return [_unquoted(match["path"]), uri[match.start("path") :]]


def _of_m3u(path: Path, data: bytes) -> Iterator[list[str]]:
    for number, line in enumerate(_decoded(path, data).split("\n"), 1):
        line = line.strip(" \t\r")
        if "\0" in line:
            raise PlaylistError(f"{_name(path)}: line {number} is not text; expected an M3U playlist")
        if line and not line.startswith("#"):
            address = _URI.match(line)
            is_uri = address is not None and address["scheme"] and address["host"] is not None
            yield _meanings(line) if is_uri else [line, _unquoted(line), line.replace("\\", "/")]


def _decoded(path: Path, data: bytes) -> str:
    data = data.removeprefix(codecs.BOM_UTF8)
    if os.name != "nt" and path.suffix.lower() != ".m3u":
        return data.decode("utf-8", "surrogateescape")  # of other programs: a name that is not Unicode, as it is
    for encoding in ("utf-8", "cp1252"):
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    return data.decode("latin-1")


class _Locations:
    """Target of an XML parser: collects the locations of each track, and keeps nothing else."""

    def __init__(self) -> None:
        self.tracks: list[list[str]] = []
        self.open: list[str] = []
        self.text: list[str] = []

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise ValueError("has a DOCTYPE, which no playlist needs")  # it could declare entities that grow without end

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.open.append(tag.rpartition("}")[2])
        if self.open[0] != "playlist":
            raise ValueError(f"holds <{shown(self.open[0])}>; expected an XSPF <playlist>")
        if len(self.open) > _DEPTH:
            raise ValueError("is nested too deeply for a playlist")
        if self.open == ["playlist", "trackList", "track"]:
            self.tracks.append([])
        self.text = []

    def data(self, text: str) -> None:
        if self.open == ["playlist", "trackList", "track", "location"]:
            self.text.append(text)

    def end(self, tag: str) -> None:
        if self.text:
            self.tracks[-1].append("".join(self.text))
            self.text = []
        self.open.pop()


def _of_xspf(path: Path, data: bytes) -> Iterator[list[str]]:
    target = _Locations()
    parser = ET.XMLParser(target=target)  # noqa: S314 - the target refuses a DOCTYPE
    try:
        for start in range(0, len(data), 1 << 16):  # a part at a time, as the parser stops at the end of one
            parser.feed(data[start : start + (1 << 16)])
        parser.close()
    except ET.ParseError as error:
        raise PlaylistError(f"{_name(path)}: line {error.position[0]}: not XML ({ErrorString(error.code)})") from error
    except (ValueError, LookupError) as error:  # also of an encoding that is not known
        raise PlaylistError(f"{_name(path)}: {error}") from error
    for uris in target.tracks:
        yield [meaning for uri in uris for meaning in _meanings(uri)]


def _of_jspf(path: Path, data: bytes) -> Iterator[list[str]]:
    try:
        value = json.loads(data)
    except json.JSONDecodeError as error:
        raise PlaylistError(f"{_name(path)}: line {error.lineno}: not JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:
        raise PlaylistError(f"{_name(path)}: not JSON ({error})") from error
    playlist = value.get("playlist") if isinstance(value, dict) else None
    tracks = playlist.get("track") if isinstance(playlist, dict) else None
    if not isinstance(tracks, list):
        raise PlaylistError(f"{_name(path)}: holds no list at playlist.track; expected JSPF")
    for track in tracks:
        uris = track.get("location") if isinstance(track, dict) else None
        uris = uris if isinstance(uris, list) else [uris]  # one alone, in an older form of JSPF
        yield [meaning for uri in uris if isinstance(uri, str) for meaning in _meanings(uri)]


_KINDS: dict[str, tuple[_Writer, _Reader]] = {
    ".m3u8": (_as_m3u8, _of_m3u),
    ".m3u": (_as_m3u8, _of_m3u),
    ".xspf": (_as_xspf, _of_xspf),
    ".jspf": (_as_jspf, _of_jspf),
}

SUFFIXES: tuple[str, ...] = tuple(_KINDS)
"""How a playlist ends."""
