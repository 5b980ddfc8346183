"""Playlists that players open: M3U8, XSPF and JSPF.

Conventions: UTF-8 with line feeds. Paths are relative to the playlist's folder, so that both can move together. In
XSPF (https://xspf.org/spec) and JSPF, its JSON, a path is a URI, which carries any file name; in M3U8 it is a line as
it is, and a URI only where a line cannot carry it. Players differ: VLC 3 takes a line for a URI, so misses names with
'#', '?' or '%20' in M3U8; MPD 0.23 takes a URI for a path, so misses names that XSPF must encode. Of a track that is a
part of a file, VLC plays that part, by what M3U8 and XSPF hold for it; other players begin the file from its start.
"""

import json
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from mirclr.errors import PlaylistError
from mirclr.library import LibraryTrack, shown
from mirclr.provenance import writing

_XSPF = "http://xspf.org/ns/0/"
_VLC, _VLC_NAMES = "http://www.videolan.org/vlc/playlist/0", "http://www.videolan.org/vlc/playlist/ns/0/"
ET.register_namespace("vlc", _VLC_NAMES)

_Writer = Callable[[Sequence[LibraryTrack], str | None, str | None], str]


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
    _kind(path)
    data = playlist_bytes(path.suffix, tracks, title=title, folder=None if absolute else os.path.realpath(path.parent))
    with writing(path) as f:
        f.write(data)


def playlist_bytes(
    suffix: str, tracks: Sequence[LibraryTrack], *, title: str | None = None, folder: str | None = None
) -> bytes:
    """A playlist of the kind that a suffix of `SUFFIXES` names, as `write_playlist` writes it.

    Parameters
    ----------
    suffix : str
        Such as ``.m3u8``.
    tracks : sequence of LibraryTrack
        In the order of playing.
    title : str, optional
        Name of the playlist.
    folder : str, optional
        Where it is to lie: paths are relative to it; absolute unless given.
    """
    return _KINDS[suffix.lower()](tracks, _plain(title), folder).encode()


def _kind(path: Path) -> _Writer:
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
        lines.append(f"#EXTINF:{seconds},{_plain(name) or ''}")
        lines += [f"#EXTVLCOPT:{option}" for option in _vlc_options(track)]
        lines.append(_line(track.file, folder))
    return "".join(f"{line}\n" for line in lines)


def _vlc_options(track: LibraryTrack) -> list[str]:
    """What makes VLC play a part of a file."""
    return [f"start-time={track.span[0]:.3f}", f"stop-time={track.span[1]:.3f}"] if track.span else []


def _entry(track: LibraryTrack, folder: str | None) -> dict[str, str | int]:
    """The fields of a track in XSPF and JSPF; the location as one URI, the duration in milliseconds."""
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
        if options := _vlc_options(track):
            extension = ET.SubElement(element, "extension", application=_VLC)
            for option in options:
                ET.SubElement(extension, f"{{{_VLC_NAMES}}}option").text = option
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _as_jspf(tracks: Sequence[LibraryTrack], title: str | None, folder: str | None) -> str:
    entries = [_entry(track, folder) for track in tracks]
    track_list = [{**entry, "location": [entry["location"]]} for entry in entries]
    playlist = {"title": title, "track": track_list} if title else {"track": track_list}
    return json.dumps({"playlist": playlist}, ensure_ascii=False, indent=2) + "\n"


_KINDS: dict[str, _Writer] = {".m3u8": _as_m3u8, ".m3u": _as_m3u8, ".xspf": _as_xspf, ".jspf": _as_jspf}

SUFFIXES: tuple[str, ...] = tuple(_KINDS)
"""How a playlist ends that `write_playlist` writes."""
