"""Lists of albums and songs: random, newest, often played, starred, of a genre or of some years."""

import random
from collections import Counter
from collections.abc import Callable

from mirclr.library.discography import Album, genres_in
from mirclr.names import known_artist
from mirclr.serve.subsonic import items
from mirclr.serve.subsonic.asked import Asked
from mirclr.serve.subsonic.protocol import GENERIC, Failure, Values

_MOST = 500  # of albums of one answer, as the API has it
_RANDOM = random.SystemRandom()


def get_album_list(asked: Asked) -> Values:
    """A list of albums for players that browse by folders."""
    return {"albumList": {"album": [items.album_as_folder(asked, album) for album in _listed(asked)]}}


def get_album_list2(asked: Asked) -> Values:
    """A list of albums."""
    return {"albumList2": {"album": [items.album(asked, album) for album in _listed(asked)]}}


def _listed(asked: Asked) -> list[Album]:
    kind = asked.given.needed("type")
    if kind not in _ORDERS:
        raise Failure(GENERIC, f"type: expected one of {', '.join(_ORDERS)}")
    size, offset = _page(asked)
    return _ORDERS[kind](asked, asked.shown_albums())[offset : offset + size]


def _page(asked: Asked) -> tuple[int, int]:
    """How many albums are asked for, and how many come before them."""
    return asked.given.number("size", 10, most=_MOST), asked.given.number("offset", 0)


def _random(asked: Asked, albums: list[Album]) -> list[Album]:
    return _RANDOM.sample(albums, min(len(albums), sum(_page(asked))))


def _newest(asked: Asked, albums: list[Album]) -> list[Album]:
    return sorted(albums, key=lambda album: (-album.since_s, -max(album.tracks)))


def _highest(asked: Asked, albums: list[Album]) -> list[Album]:
    """Those with songs that are liked, most first; mirclr knows no other ratings."""
    liked = _counted(asked, dict.fromkeys(asked.taste.liked, 1))
    return sorted((album for album in albums if liked[album.key]), key=lambda album: -liked[album.key])


def _frequent(asked: Asked, albums: list[Album]) -> list[Album]:
    plays = _counted(asked, asked.taste.plays)
    return sorted((album for album in albums if plays[album.key]), key=lambda album: -plays[album.key])


def _counted(asked: Asked, numbers: dict[int, int]) -> Counter[str]:
    """The sum of numbers of tracks, by the keys of their albums."""
    counted = Counter[str]()
    for i, n in numbers.items():
        if album := asked.discography.album_of.get(i):
            counted[album.key] += n
    return counted


def _recent(asked: Asked, albums: list[Album]) -> list[Album]:
    last: dict[str, float] = {}
    for i, seconds in asked.taste.played_s.items():
        if album := asked.discography.album_of.get(i):
            last[album.key] = max(seconds, last.get(album.key, 0.0))
    return sorted((album for album in albums if album.key in last), key=lambda album: -last[album.key])


def _by_name(asked: Asked, albums: list[Album]) -> list[Album]:
    return albums


def _by_artist(asked: Asked, albums: list[Album]) -> list[Album]:
    return sorted(albums, key=lambda album: (album.artists[0], album.year or 0, album.name.casefold()))


def _starred(asked: Asked, albums: list[Album]) -> list[Album]:
    stars = {name: at_s for (kind, name), at_s in asked.taste.stars.items() if kind == "album"}
    return sorted((album for album in albums if album.key in stars), key=lambda album: -stars[album.key])


def _by_year(asked: Asked, albums: list[Album]) -> list[Album]:
    asked.given.needed("fromYear")
    asked.given.needed("toYear")
    first, last = asked.given.number("fromYear", 0), asked.given.number("toYear", 0)
    low, high = sorted((first, last))
    found = [album for album in albums if album.year and low <= album.year <= high]
    return sorted(found, key=lambda album: album.year or 0, reverse=first > last)


def _by_genre(asked: Asked, albums: list[Album]) -> list[Album]:
    genre = asked.given.needed("genre").casefold()
    return [album for album in albums if genre in (name.casefold() for name in album.genres)]


_ORDERS: dict[str, Callable[[Asked, list[Album]], list[Album]]] = {
    "random": _random,
    "newest": _newest,
    "highest": _highest,
    "frequent": _frequent,
    "recent": _recent,
    "alphabeticalByName": _by_name,
    "alphabeticalByArtist": _by_artist,
    "starred": _starred,
    "byYear": _by_year,
    "byGenre": _by_genre,
}


def get_random_songs(asked: Asked) -> Values:
    """Some songs by chance, of a genre or of some years where that is asked for."""
    given = asked.given
    found = set(_shown_songs(asked))
    if given.text("genre"):
        found &= _of_genre(asked, given.text("genre"))
    if given.text("fromYear") or given.text("toYear"):
        low, high = given.number("fromYear", 0), given.number("toYear", 9999)
        ids, years = asked.library.column("year")
        found &= {i for i, year in zip(ids.tolist(), years, strict=True) if low <= year <= high}
    size = given.number("size", 10, most=asked.service.settings.limits.page)
    some = _RANDOM.sample(sorted(found), min(size, len(found)))
    return {"randomSongs": {"song": items.songs(asked, asked.library.tracks(some))}}


def get_songs_by_genre(asked: Asked) -> Values:
    """The songs of a genre, by album."""
    count, offset = asked.given.number("count", 10, most=_MOST), asked.given.number("offset", 0)
    of_genre = _of_genre(asked, asked.given.needed("genre"))
    found = [i for i in _shown_songs(asked) if i in of_genre][offset : offset + count]
    return {"songsByGenre": {"song": items.songs(asked, asked.library.tracks(found))}}


def _shown_songs(asked: Asked) -> list[int]:
    """All songs by album, of the folder that is asked about."""
    return [i for album in asked.shown_albums() for i in album.tracks]


def _of_genre(asked: Asked, genre: str) -> set[int]:
    """The songs whose tags name a genre."""
    ids, texts = asked.library.column("genre")
    naming = {text for text in set(texts) if genre.casefold() in map(str.casefold, genres_in(text))}
    return {i for i, text in zip(ids.tolist(), texts, strict=True) if text in naming}


def get_starred(asked: Asked) -> Values:
    """What is starred, for players that browse by folders."""
    found = _starred_values(asked)
    albums = [items.album_as_folder(asked, album) for album in _starred(asked, asked.shown_albums())]
    return {"starred": found | {"album": albums}}


def get_starred2(asked: Asked) -> Values:
    """What is starred."""
    albums = [items.album(asked, album) for album in _starred(asked, asked.shown_albums())]
    return {"starred2": _starred_values(asked) | {"album": albums}}


def _starred_values(asked: Asked) -> Values:
    """The artists and songs that are starred, those that were last first."""
    taste = asked.taste
    stars = {name: at_s for (kind, name), at_s in taste.stars.items() if kind == "artist"}
    artists = [artist for artist in asked.discography.artists.values() if artist.key in stars]
    artists.sort(key=lambda artist: -stars[artist.key])
    liked = sorted(taste.liked, key=lambda i: (-(taste.starred_s(i) or 0.0), i))
    tracks = [track for track in asked.library.tracks(liked) if asked.root in (None, track.root)]
    return {"artist": [items.artist(asked, artist) for artist in artists], "song": items.songs(asked, tracks)}


def get_top_songs(asked: Asked) -> Values:
    """The songs of an artist that the listener played most, and then the others; the artist is given by name."""
    key = known_artist(asked.given.needed("artist"))
    count = asked.given.number("count", 50, most=_MOST)
    artists = [artist for artist in asked.discography.artists.values() if artist.key == key]
    albums = [asked.discography.album(name) for artist in artists for name in artist.albums]
    own = [i for album in albums for i in album.tracks if artists[0] in asked.discography.artists_of.get(i, ())]
    best = sorted(own, key=lambda i: (-asked.taste.plays.get(i, 0), i not in asked.taste.liked))[:count]
    return {"topSongs": {"song": items.songs(asked, asked.library.tracks(best))}}
