"""The albums and artists of a library, as its tracks' tags name them: what a person browses.

Which tracks are of one album, and which names are of one artist, is as `mirclr.library.names` and `mirclr.names` have
it: several discs, spellings and editions are one album, and so is a compilation of many artists. Every track is of one
album and of at least one artist: those whose tags name none are of `NO_ALBUM` and `UNKNOWN`.

Contents: `Discography`, of `Album`s and `Artist`s.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from mirclr.library.names import albums_of, disc_of
from mirclr.library.records import LibraryTrack
from mirclr.library.tracks import Tracks
from mirclr.names import album_name, artist_name, is_album, known_artist, search_words, without_disc

VARIOUS, UNKNOWN = "various artists", "[unknown]"
"""Keys of those who are no artist; no artist's name folds to one of them."""
NO_ALBUM = "[Unknown Album]"
_NAMES = {VARIOUS: "Various Artists", UNKNOWN: "[Unknown Artist]"}
_SEPARATOR = ";"
_PART = 200  # albums or artists of one part of what comes from another process
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Album:
    """An album, with its tracks in their order.

    Attributes
    ----------
    key : str
        What it is known by: its artist and name, folded; the same as long as these are, whatever its files are.
    name, artist : str
        As most of its tracks spell them.
    artists : tuple of str
        Keys of those whose album it is; of a compilation `VARIOUS`.
    tracks : tuple of int
        Ids, by disc and number, and where tags have none by path.
    duration_s : float
    year : int or None
        The latest that its tracks name.
    genres : tuple of str
        The most frequent first.
    since_s : float
        When the last of its tracks came into the library, or, where that is not known, was written to.
    compilation : bool
    root : str
        The folder that was embedded.
    """

    key: str
    name: str
    artist: str
    artists: tuple[str, ...]
    tracks: tuple[int, ...]
    duration_s: float
    year: int | None
    genres: tuple[str, ...]
    since_s: float
    compilation: bool
    root: str

    @property
    def id(self) -> str:
        """Its key as a short word."""
        return digest_of_key(self.key)


@dataclass(frozen=True)
class Artist:
    """An artist of albums or of tracks.

    Attributes
    ----------
    key : str
        The name, folded and without an article: what it is known by, and sorted.
    name : str
        As most tracks spell it.
    albums : tuple of str
        Keys of the albums: the artist's own by year, then those with other tracks of the artist.
    """

    key: str
    name: str
    albums: tuple[str, ...]

    @property
    def id(self) -> str:
        """Its key as a short word."""
        return digest_of_key(self.key)


@lru_cache(maxsize=1 << 16)
def digest_of_key(key: str) -> str:
    """A key as a short word, the same at every time and on every machine."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:20]


@dataclass(frozen=True)
class Discography:
    """The albums and artists of a library at one time.

    Attributes
    ----------
    albums, artists : dict of str to Album and to Artist
        By their ids; albums by name, artists by key.
    album_of : dict of int to Album
        By track.
    artists_of : dict of int to tuple of Artist
        By track: those that its tags name, the first first.
    genres : dict of str to (int, int)
        How many tracks and albums are of a genre, by its most frequent spelling.
    """

    albums: dict[str, Album] = field(default_factory=dict)
    artists: dict[str, Artist] = field(default_factory=dict)
    album_of: dict[int, Album] = field(default_factory=dict)
    artists_of: dict[int, tuple[Artist, ...]] = field(default_factory=dict)
    genres: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, library: Tracks) -> "Discography":
        """The discography of a library as it is now."""
        with library.snapshot():
            return cls.of_tracks(library.tracks(), {i: since_s for i, (_, since_s) in library.file_facts().items()})

    @classmethod
    def of_tracks(cls, tracks: Sequence[LibraryTrack], since: Mapping[int, float]) -> "Discography":
        """The discography of some tracks, and since when each is there."""
        # names that are compared are kept for a while: those of an album together, as ids are in any order
        tracks = sorted(tracks, key=lambda track: (track.artist or "", track.album or "", track.id))
        names = _Names(tracks)
        keys_of = {track.id: names.of(track.artist, UNKNOWN) for track in tracks}
        albums = _albums(tracks, since, names)
        albums.sort(key=lambda album: (album.name.casefold(), album.key))
        of_artist: dict[str, dict[str, Album]] = {}
        for album in sorted(albums, key=lambda album: (album.year or math.inf, album.name.casefold())):
            for key in album.artists:
                of_artist.setdefault(key, {})[album.key] = album
        for album in albums:
            for key in dict.fromkeys(key for i in album.tracks for key in keys_of[i]):
                of_artist.setdefault(key, {}).setdefault(album.key, album)
        by_key = {key: Artist(key, names.spelt[key], tuple(of_artist[key])) for key in sorted(of_artist)}
        return cls(
            {album.id: album for album in albums},
            {artist.id: artist for artist in by_key.values()},
            {i: album for album in albums for i in album.tracks},
            {i: tuple(by_key[key] for key in keys) for i, keys in keys_of.items()},
            _genres(tracks, albums),
        )

    def parts(self) -> Iterator[tuple[str, Any]]:
        """All that it holds, in parts that are small enough to come from another process one by one."""
        albums, artists = list(self.albums.values()), list(self.artists.values())
        yield from (("albums", albums[at : at + _PART]) for at in range(0, len(albums), _PART))
        yield from (("artists", artists[at : at + _PART]) for at in range(0, len(artists), _PART))
        of: dict[tuple[str, ...], list[int]] = {}
        for i, those in self.artists_of.items():
            of.setdefault(tuple(artist.key for artist in those), []).append(i)
        whose = list(of.items())
        yield from (("artists_of", whose[at : at + _PART]) for at in range(0, len(whose), _PART))
        yield "genres", list(self.genres.items())

    @classmethod
    def of_parts(cls, parts: Iterable[tuple[str, Any]]) -> "Discography":
        """Put together what `parts` gave."""
        held: dict[str, list[Any]] = {"albums": [], "artists": [], "artists_of": [], "genres": []}
        for name, part in parts:
            held[name] += part
        by_key = {artist.key: artist for artist in held["artists"]}
        whose = [(tuple(by_key[key] for key in keys), ids) for keys, ids in held["artists_of"]]
        return cls(
            {album.id: album for album in held["albums"]},
            {artist.id: artist for artist in held["artists"]},
            {i: album for album in held["albums"] for i in album.tracks},
            {i: those for those, ids in whose for i in ids},
            dict(held["genres"]),
        )

    @cached_property
    def searched(self) -> tuple[dict[str, str], dict[str, str]]:
        """The words of artists and of albums that are searched, by their keys; of an album the artist's too."""
        artists = {artist.key: search_words(artist.name) for artist in self.artists.values()}
        return artists, {a.key: search_words(f"{a.name} {a.artist}") for a in self.albums.values()}

    def album(self, key: str) -> Album:
        """The album of a key that an `Artist` has."""
        return self.albums[digest_of_key(key)]

    def artist(self, key: str) -> Artist:
        """The artist of a key that an `Album` has."""
        return self.artists[digest_of_key(key)]


class _Names:
    """Whom the texts of tags name: keys of artists by text, and of each the most frequent spelling."""

    def __init__(self, tracks: Iterable[LibraryTrack]) -> None:
        counts = Counter(text for track in tracks for text in (track.artist, track.album_artist) if text)
        self._keys: dict[str, tuple[str, ...]] = {}
        spellings: dict[str, Counter[str]] = {}
        for text, n in counts.items():
            named = {key: part for part in reversed(_split(text)) if (key := known_artist(part))}
            self._keys[text] = tuple(reversed(named))
            for key, part in named.items():
                spellings.setdefault(key, Counter())[part] += n
        self.spelt = _NAMES | {key: _spelt(key, counted) for key, counted in spellings.items()}

    def of(self, text: str | None, nobody: str) -> tuple[str, ...]:
        """The keys of the artists that a text names, each once; `nobody` where it names none."""
        return self._keys.get(text or "") or (nobody,)


def _spelt(key: str, spellings: Counter[str]) -> str:
    """The most frequent spelling of an artist's name; of "A & B" only where it is nowhere alone."""
    alone = {text: n for text, n in spellings.items() if artist_name(text) == key}
    text = _most(alone or spellings)
    if alone:
        return text
    at = text.casefold().find(key)  # of "A feat. B" the A
    return text[at : at + len(key)] if at >= 0 and len(text.casefold()) == len(text) else text


def _most(counts: "Counter[str] | dict[str, int]") -> str:
    """The most frequent of some texts, of several the shortest, of these the first by alphabet."""
    return min(counts, key=lambda text: (-counts[text], len(text), text))


def _albums(tracks: Sequence[LibraryTrack], since: Mapping[int, float], names: _Names) -> list[Album]:
    grouped: dict[str, list[LibraryTrack]] = {}
    for track, label in zip(tracks, albums_of(tracks), strict=True):
        grouped.setdefault(label or f"\n\n{names.of(track.artist, UNKNOWN)[0]}", []).append(track)
    albums: dict[str, Album] = {}
    for label, those in grouped.items():
        named = not label.startswith("\n\n")
        artist, keys = _whose(those, names)
        plain = f"{keys[0]}\n{album_name(those[0].album or '') if named else ''}"
        placed = f"{plain}\n{those[0].path.rpartition('/')[0]}"  # another compilation of that name
        key = next(key for key in (plain, placed, f"{placed}\n{those[0].id}") if key not in albums)
        albums[key] = _album(key, named, artist, keys, those, since)
    return list(albums.values())


def _whose(tracks: Sequence[LibraryTrack], names: _Names) -> tuple[str, tuple[str, ...]]:
    """Whose album it is, as is shown and by keys: of the album artist, or of who has more than half of the tracks."""
    if by_tags := Counter(track.album_artist for track in tracks if track.album_artist):
        artist = _most(by_tags)
        keys = names.of(artist, VARIOUS)
        return artist if keys != (VARIOUS,) else names.spelt[VARIOUS], keys
    first, n = Counter(names.of(track.artist, UNKNOWN)[0] for track in tracks).most_common(1)[0]
    if 2 * n <= len(tracks) and len(tracks) > 1:
        first = VARIOUS
    return names.spelt[first], (first,)


def _album(
    key: str,
    named: bool,
    artist: str,
    keys: tuple[str, ...],
    tracks: list[LibraryTrack],
    since: Mapping[int, float],
) -> Album:
    genres = Counter[str]()
    for text, n in Counter([track.genre for track in tracks]).items():
        genres.update(dict.fromkeys(_split(text), n))
    return Album(
        key,
        _named(tracks) if named else NO_ALBUM,
        artist,
        keys,
        tuple(track.id for track in sorted(tracks, key=_place)),
        sum(track.duration_s for track in tracks),
        max((track.year for track in tracks if track.year), default=None),
        tuple(genre for genre, _ in genres.most_common()),
        max(since.get(track.id, 0.0) for track in tracks),
        named and keys == (VARIOUS,),
        tracks[0].root,
    )


def _named(tracks: Iterable[LibraryTrack]) -> str:
    """How most tracks of an album spell its name, without the number of a disc."""
    names = Counter[str]()
    for text, n in Counter([track.album for track in tracks]).items():
        if text and is_album(text):
            names[without_disc(text)] += n
    return _most(names)


def _place(track: LibraryTrack) -> tuple[object, ...]:
    """What orders the tracks of an album: disc, number, and then paths, their numbers by value."""
    by_path: tuple[tuple[int, str], ...] = ()
    if track.track_number is None:
        parts = _DIGITS.split(track.path.casefold())
        by_path = tuple((int(part[:18]), "") if i % 2 else (0, part) for i, part in enumerate(parts))
    return disc_of(track) or 0, track.track_number or math.inf, by_path, track.id


def genres_in(text: str | None) -> list[str]:
    """The genres that a tag names."""
    return _split(text)


def _split(text: str | None) -> list[str]:
    return [part for one in text.split(_SEPARATOR) if (part := one.strip())] if text else []


def _genres(tracks: Iterable[LibraryTrack], albums: Iterable[Album]) -> dict[str, tuple[int, int]]:
    spelt: dict[str, Counter[str]] = {}
    for text, n in Counter([track.genre for track in tracks]).items():
        for genre in _split(text):
            spelt.setdefault(genre.casefold(), Counter())[genre] += n
    of_albums = Counter(key for album in albums for key in {genre.casefold() for genre in album.genres})
    found = {_most(counts): (counts.total(), of_albums[key]) for key, counts in spelt.items()}
    return dict(sorted(found.items(), key=lambda one: one[0].casefold()))


__all__ = [
    "NO_ALBUM",
    "UNKNOWN",
    "VARIOUS",
    "Album",
    "Artist",
    "Discography",
    "digest_of_key",
    "genres_in",
]
