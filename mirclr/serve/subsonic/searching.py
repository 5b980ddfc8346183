"""Artists, albums and songs by words; without any, all of them, page by page, as players copy a library."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from mirclr.library import LibraryTrack
from mirclr.library.discography import Album, Artist
from mirclr.names import search_words
from mirclr.serve.subsonic import items
from mirclr.serve.subsonic.asked import Asked
from mirclr.serve.subsonic.browsing import shown_artists
from mirclr.serve.subsonic.protocol import Values

_MOST = 10_000  # of each kind in one answer: players that copy a library take fewer for its end
_T = TypeVar("_T", Artist, Album)


def search2(asked: Asked) -> Values:
    """For players that browse by folders."""
    return {"searchResult2": _found(asked, items.album_as_folder)}


def search3(asked: Asked) -> Values:
    """By tags."""
    return {"searchResult3": _found(asked, items.album)}


def _found(asked: Asked, as_values: Callable[[Asked, Album], Values]) -> Values:
    words = search_words(asked.given.text("query").strip('"*')).split()
    artists, albums = shown_artists(asked), asked.shown_albums()
    if words:
        of_artists, of_albums = asked.discography.searched
        artists, albums = _holding(artists, of_artists, words), _holding(albums, of_albums, words)
    return {
        "artist": [items.artist(asked, artist) for artist in _page(asked, "artist", artists)],
        "album": [as_values(asked, album) for album in _page(asked, "album", albums)],
        "song": items.songs(asked, _songs(asked, words)),
    }


def _holding(among: Sequence[_T], searched: Mapping[str, str], words: Sequence[str]) -> list[_T]:
    """Those whose words hold all that are asked for, those that begin with them first."""
    found = [one for one in among if all(word in searched[one.key] for word in words)]
    return sorted(found, key=lambda one: not searched[one.key].startswith(words[0]))


def _page(asked: Asked, kind: str, found: Sequence[_T]) -> Sequence[_T]:
    count, offset = asked.given.number(f"{kind}Count", 20, most=_MOST), asked.given.number(f"{kind}Offset", 0)
    return found[offset : offset + count]


def _songs(asked: Asked, words: Sequence[str]) -> list[LibraryTrack]:
    count, offset = asked.given.number("songCount", 20, most=_MOST), asked.given.number("songOffset", 0)
    if not count:
        return []
    if words:
        most = offset + count if asked.root is None else len(asked.discography.album_of)
        ids = asked.service.catalogue_of(asked.library).songs(" ".join(words), most)
    else:
        ids = sorted(asked.discography.album_of)
    if asked.root is not None:
        inside = {i for album in asked.shown_albums() for i in album.tracks}
        ids = [i for i in ids if i in inside]
    return asked.library.tracks(ids[offset : offset + count])
