"""Artists, albums and songs by words; without any, all of them, page by page, as players copy a library."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TypeVar

from mirclr.library import LibraryTrack
from mirclr.library.discography import Album
from mirclr.names import search_words
from mirclr.serve.subsonic import items
from mirclr.serve.subsonic.asked import Asked
from mirclr.serve.subsonic.browsing import shown_artists
from mirclr.serve.subsonic.protocol import Values

_MOST = 10_000  # of each kind in one answer: players that copy a library take fewer for its end
_T = TypeVar("_T")


def search2(asked: Asked) -> Values:
    """For players that browse by folders."""
    return {"searchResult2": _found(asked, items.album_as_folder)}


def search3(asked: Asked) -> Values:
    """By tags."""
    return {"searchResult3": _found(asked, items.album)}


def _found(asked: Asked, as_values: Callable[[Asked, Album], Values]) -> Values:
    words = search_words(asked.given.text("query").strip('"*')).split()
    artists = _page(asked, "artist", _holding(shown_artists(asked), words, lambda artist: artist.name))
    albums = _page(asked, "album", _holding(asked.shown_albums(), words, lambda album: f"{album.name} {album.artist}"))
    return {
        "artist": [items.artist(asked, artist) for artist in artists],
        "album": [as_values(asked, album) for album in albums],
        "song": items.songs(asked, _songs(asked, words)),
    }


def _holding(among: Iterable[_T], words: Sequence[str], name: Callable[[_T], str]) -> Iterable[_T]:
    """Those whose name holds all words, those that it begins with first."""
    if not words:
        return among
    named = [(search_words(name(one)), one) for one in among]
    found = [(text, one) for text, one in named if all(word in text for word in words)]
    found.sort(key=lambda pair: not pair[0].startswith(words[0]))
    return [one for _, one in found]


def _page(asked: Asked, kind: str, found: Iterable[_T]) -> list[_T]:
    count, offset = asked.given.number(f"{kind}Count", 20, most=_MOST), asked.given.number(f"{kind}Offset", 0)
    return list(islice(found, offset, offset + count))


def _songs(asked: Asked, words: Sequence[str]) -> list[LibraryTrack]:
    count, offset = asked.given.number("songCount", 20, most=_MOST), asked.given.number("songOffset", 0)
    if not count:
        return []
    if words:
        ids = asked.service.catalogue_of(asked.library).songs(" ".join(words), len(asked.discography.album_of))
    else:
        ids = sorted(asked.discography.album_of)
    if asked.root is not None:
        inside = {i for album in asked.shown_albums() for i in album.tracks}
        ids = [i for i in ids if i in inside]
    return asked.library.tracks(ids[offset : offset + count])
