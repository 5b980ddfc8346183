"""Who the artist of a track is, which song it is and of which album: what rules, caps, folds and reports compare.

The names are compared as `mirclr.names` has it; keys are to be compared with each other and never shown.

Contents: `artist_key`, `song_key`, `album_keys`, `disc_of` (tracks), `albums_of`, `components` (many tracks).
"""

import re
from collections.abc import Hashable, Iterable, Sequence

from mirclr.library.records import LibraryTrack
from mirclr.names import (
    album_name,
    disc_number,
    first_artist,
    fold,
    is_album,
    is_generic_title,
    is_of_many,
    is_version_note,
    known_artist,
    song_title,
    words,
)

AlbumKey = tuple[str, str, str]

_OF_ANOTHER = re.compile(
    r"(?:in the style of|(?:originally )?performed by|made famous by|made popular by|(?:a )?tribute to) ([^()\[\]]+)"
)
_DISC_FOLDER = re.compile(r"(?:disc|disk|cd|disque|disco|dvd)[ _.-]*\d{1,2}\b.*")
_MANY = 3  # artists of one album in one folder: of a compilation, unless most of them have several pieces there


def artist_key(track: LibraryTrack) -> str | int:
    """The key of a track's artist: the first that the tags name, folded; a track without is of one of its own."""
    return next((name for text in (track.artist, track.album_artist) if (name := known_artist(text))), track.id)


def song_key(track: LibraryTrack) -> tuple[str, str] | None:
    """The key of a track's song: its first artist and its title without words of versions; None without either.

    Of a karaoke version it is the artist whose song it is, where the title has that. A title that an artist gives to
    many pieces, such as "Intro" or "II. Andante", is one of its album.
    """
    artist = known_artist(track.artist)
    if not (artist and track.title):
        return None
    title = words(track.title)
    if others := _OF_ANOTHER.search(title):
        artist = first_artist(others[1].strip()) or artist
    named, dash, rest = title.partition(" - ")
    if dash and rest.strip() and first_artist(named) == artist and not is_version_note(rest):
        title = rest
    song = song_title(title)
    if not is_generic_title(song):
        return artist, song
    return (artist, f"{song}\n{album_name(track.album or '')}") if is_album(track.album) else None


def album_keys(track: LibraryTrack) -> frozenset[AlbumKey]:
    """The keys of a track's album; two tracks that have one in common are of one album. Empty without a name.

    ``of`` an album artist, or else of the track's first artist; a compilation ``of`` nobody, where it is one by
    its tags; and, without an album artist, ``in`` a folder: that counts where `is_shared` finds many artists in it.
    """
    if not track.album or not is_album(track.album):
        return frozenset()
    name = album_name(track.album)
    if track.album_artist:
        return frozenset((("of", known_artist(track.album_artist), name),))
    keys = {("of", known_artist(track.artist), name)}
    if not is_of_many(name):  # the "Greatest Hits" of many artists in one folder are many albums
        keys.add(folder_key(track))
    if track.compilation:
        keys.add(("of", "", name))
    return frozenset(key for key in keys if key)


def folder_key(track: LibraryTrack) -> AlbumKey:
    """A track's album by its folder, that of all discs."""
    folder = track.path.rpartition("/")[0]
    above, _, last = folder.rpartition("/")
    if _DISC_FOLDER.fullmatch(fold(last)):
        folder = above
    return ("in", f"{track.root}/{folder}", album_name(track.album or ""))


def disc_of(track: LibraryTrack) -> int | None:
    """The disc that a track is on: by its tags, or else as its folder's name, or its album's, ends in one."""
    folder = track.path.rpartition("/")[0].rpartition("/")[2]
    return track.disc_number or disc_number(folder) or disc_number(track.album or "")


def is_shared(tracks: Iterable[LibraryTrack]) -> bool:
    """Whether tracks of one album name and folder, without album artists, are a compilation of many artists."""
    of = [artist_key(track) for track in tracks]
    return len(set(of)) >= _MANY and len(of) <= 2 * len(set(of))


def albums_of(tracks: Sequence[LibraryTrack]) -> list[str]:
    """A label for each of many tracks, equal for those of one album; empty for those of none."""
    held: dict[tuple[object, ...], frozenset[AlbumKey]] = {}  # most tracks of an album have the very same
    keys = []
    for track in tracks:
        folder = track.path.rpartition("/")[0]
        same = (track.album, track.album_artist, track.artist, track.compilation, track.root, folder)
        if (of := held.get(same)) is None:
            of = held[same] = album_keys(track)
        keys.append(of)
    by_folder: dict[AlbumKey, list[LibraryTrack]] = {}
    for track, of in zip(tracks, keys, strict=True):
        for key in of:
            if key[0] == "in":
                by_folder.setdefault(key, []).append(track)
    alone = {key for key, those in by_folder.items() if not is_shared(those)}
    labels = components([of - alone for of in keys])
    return [
        f"{label}\n{album_name(t.album or '')}" if is_album(t.album) else ""
        for label, t in zip(labels, tracks, strict=True)
    ]


def components(keys: Iterable[Iterable[Hashable]]) -> list[int]:
    """A number for each item, equal for those that share a key, or are joined by others that do; from 0 on."""
    above: list[int] = []
    first: dict[Hashable, int] = {}

    def top(i: int) -> int:
        while above[i] != i:
            above[i] = i = above[above[i]]
        return i

    for i, of in enumerate(keys):
        above.append(i)
        for key in of:
            low, high = sorted((top(first.setdefault(key, i)), top(i)))
            above[high] = low
    numbers: dict[int, int] = {}
    return [numbers.setdefault(top(i), len(numbers)) for i in range(len(above))]
