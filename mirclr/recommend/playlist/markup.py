"""Playlists in XML and JSON: XSPF, JSPF, iTunes' and Rekordbox's, and the media tags of WPL, ASX and ZPL."""

import codecs
import html
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any
from xml.parsers.expat import ErrorString

from mirclr.errors import PlaylistError, is_fault_of_machine
from mirclr.library import shown
from mirclr.recommend.playlist.entries import PlaylistEntry, entry_of_line, entry_of_uris, named

_DEPTH = 32  # of XML elements; a location is at the fourth
_FIELDS = ("location", "title", "creator", "album", "duration")
# each in a time that grows with the text alone: what was taken is never given back (*+), no name is begun in a name
_TAG = re.compile(r"<(/?)([a-z_]\w*+)([^<>]*+)>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"(?<![\w:])([a-z_:][\w:]*+)\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)')", re.IGNORECASE)
_ENCODING = re.compile(rb"<\?(?:xml|wpl|zpl)[^>]{0,200}encoding=[\"']([\w-]{1,40})", re.IGNORECASE)
_LONGEST_NAME = 1000

Names = tuple[tuple[str, str], ...]


# XSPF and JSPF


class _Tracks:
    """Target of an XML parser: collects the fields of each track, and nothing else."""

    def __init__(self) -> None:
        self.tracks: list[dict[str, list[str]]] = []
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
            self.tracks.append({})
        self.text = []

    def data(self, text: str) -> None:
        if len(self.open) == 4 and self.open[:3] == ["playlist", "trackList", "track"] and self.open[3] in _FIELDS:
            self.text.append(text)

    def end(self, tag: str) -> None:
        if self.text:
            self.tracks[-1].setdefault(self.open[-1], []).append("".join(self.text))
            self.text = []
        self.open.pop()


def of_xspf(name: str, data: bytes) -> Iterator[PlaylistEntry]:
    """The entries of an XSPF playlist; those without a location have a creator and a title."""
    target = _Tracks()
    parser = ET.XMLParser(target=target)  # noqa: S314 - the target refuses a DOCTYPE
    try:
        for start in range(0, len(data), 1 << 16):  # a part at a time, as the parser stops at the end of one
            parser.feed(data[start : start + (1 << 16)])
        parser.close()
    except ET.ParseError as error:
        raise PlaylistError(f"{name}: line {error.position[0]}: not XML ({ErrorString(error.code)})") from error
    except (ValueError, LookupError) as error:  # also of an encoding that is not known
        raise PlaylistError(f"{name}: {str(error)[:200]}") from error
    for track in target.tracks:
        first = {field: texts[0] for field, texts in track.items()}
        names = _names(first.get("creator"), first.get("title"))
        yield entry_of_uris(
            track.get("location", []), names, _milliseconds(first.get("duration")), first.get("album", "")
        )


def of_jspf(name: str, data: bytes) -> Iterator[PlaylistEntry]:
    """The entries of a JSPF playlist, such as ListenBrainz gives."""
    try:
        value = json.loads(data)
    except json.JSONDecodeError as error:
        raise PlaylistError(f"{name}: line {error.lineno}: not JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:
        raise PlaylistError(f"{name}: not JSON ({str(error)[:80]})") from error
    playlist = value.get("playlist") if isinstance(value, dict) else None
    tracks = playlist.get("track") if isinstance(playlist, dict) else None
    if not isinstance(tracks, list):
        raise PlaylistError(f"{name}: holds no list at playlist.track; expected JSPF")
    for track in tracks:
        fields = track if isinstance(track, dict) else {}
        uris = fields.get("location")
        uris = uris if isinstance(uris, list) else [uris]  # one alone, in an older form of JSPF
        names = _names(fields.get("creator"), fields.get("title"))
        album, duration = fields.get("album"), _milliseconds(str(fields.get("duration"))[:20])
        uris = [uri for uri in uris if isinstance(uri, str)]
        yield entry_of_uris(uris, names, duration, album if isinstance(album, str) else "")


def _names(artist: Any, title: Any) -> Names:
    texts = [" ".join(text.split()) if isinstance(text, str) else "" for text in (artist, title)]
    if not texts[1] or max(map(len, texts)) > _LONGEST_NAME:
        return ()
    return ((texts[0], texts[1]),) if texts[0] else named(texts[1])


def _milliseconds(text: str | None) -> float | None:
    found = re.fullmatch(r"\s*(\d{1,12})(?:\.\d*)?\s*", text or "", re.ASCII)
    return int(found[1]) / 1000 if found and int(found[1]) else None


# iTunes, Rekordbox


def of_xml(name: str, data: bytes) -> Iterator[PlaylistEntry]:
    """The entries of a playlist or library of iTunes, or of Rekordbox's collection."""
    head = _text(data[:4096])
    if "<plist" in head:
        return _of_itunes(name, data)
    if "<DJ_PLAYLISTS" in head:
        return _of_rekordbox(data)
    if "<playlist" in head:
        return of_xspf(name, data)
    raise PlaylistError(f"{name}: no playlist of iTunes, Rekordbox or XSPF; expected one of these")


def property_list(name: object, data: bytes) -> Any:
    """The value of an XML property list, as iTunes writes them.

    Raises
    ------
    PlaylistError
        It is none; `name` is that of the file.
    """
    import plistlib

    try:
        return plistlib.loads(data, fmt=plistlib.FMT_XML)  # refuses a declared entity
    except Exception as error:  # of a damaged one it raises in many ways
        if is_fault_of_machine(error):
            raise
        raise PlaylistError(f"{name}: not a property list ({str(error)[:80]})") from error


def _of_itunes(name: str, data: bytes) -> Iterator[PlaylistEntry]:
    value = property_list(name, data)
    tracks = value.get("Tracks") if isinstance(value, dict) else None
    lists = value.get("Playlists") if isinstance(value, dict) else None
    if not isinstance(tracks, dict):
        raise PlaylistError(f"{name}: holds no Tracks; expected a playlist of iTunes")
    order: list[str] = []
    one = lists[0] if isinstance(lists, list) and len(lists) == 1 else {}  # of a library, all tracks
    items = one.get("Playlist Items") if isinstance(one, dict) else None
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            order.append(str(item.get("Track ID")))
    for key in order or tracks:
        track = tracks.get(key)
        if isinstance(track, dict):
            location, album = track.get("Location"), track.get("Album")
            names = _names(track.get("Artist"), track.get("Name"))
            uris = [location] if isinstance(location, str) else []
            total = _milliseconds(str(track.get("Total Time"))[:20])
            yield entry_of_uris(uris, names, total, album if isinstance(album, str) else "")


def _of_rekordbox(data: bytes) -> Iterator[PlaylistEntry]:
    tracks: dict[str, dict[str, str]] = {}
    chosen: dict[str, None] = {}
    for _, tag, attributes in _tags(_text(data)):
        if tag == "track" and "location" in attributes:
            tracks[attributes.get("trackid", str(len(tracks)))] = attributes
        elif tag == "track" and "key" in attributes:
            chosen[attributes["key"]] = None
    for key in [key for key in chosen if key in tracks] or tracks:
        track = tracks[key]
        names = _names(track.get("artist"), track.get("name"))
        seconds = _milliseconds(f"{track.get('totaltime', '')[:7]}000")
        yield entry_of_uris([track["location"]], names, seconds, track.get("album", ""))


# Windows Media Player, Zune


def of_media_tags(name: str, data: bytes) -> Iterator[PlaylistEntry]:
    """The entries of WPL, ZPL (``<media src=…>``) and ASX (``<ref href=…>``), which are often no true XML."""
    found = 0
    for closing, tag, attributes in _tags(_text(data)):
        place = attributes.get({"media": "src", "ref": "href"}.get(tag, ""), "")
        if not closing and place:
            found += 1
            artist = attributes.get("trackartist") or attributes.get("albumartist")
            yield entry_of_line(place, _names(artist, attributes.get("tracktitle")))
    if not found:
        raise PlaylistError(f"{name}: holds no <media src=…> and no <ref href=…>; expected WPL, ZPL or ASX")


def _tags(text: str) -> Iterator[tuple[bool, str, dict[str, str]]]:
    """Whether it closes, its name and its attributes, in lower case, of each tag of a text."""
    for found in _TAG.finditer(text):
        attributes = {
            key.lower(): html.unescape(one if one or not other else other)
            for key, one, other in _ATTRIBUTE.findall(found[3])
        }
        yield bool(found[1]), found[2].lower(), attributes


def _text(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    data = data.removeprefix(codecs.BOM_UTF8)
    stated = _ENCODING.match(data)
    try:
        return data.decode(stated[1].decode() if stated else "utf-8")
    except (UnicodeDecodeError, LookupError):
        return data.decode("cp1252", "replace")
