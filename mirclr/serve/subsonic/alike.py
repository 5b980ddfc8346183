"""What only mirclr can say: songs that sound alike, artists that do, and a path from one song to another."""

import random
from collections.abc import Iterable, Sequence

import numpy as np

from mirclr.errors import QueryError
from mirclr.library import LibraryTrack
from mirclr.library.discography import Artist
from mirclr.recommend import Query, Recommendation
from mirclr.recommend.query import LONGEST_PATH
from mirclr.recommend.ranking import Calibration, products
from mirclr.serve.subsonic import items
from mirclr.serve.subsonic.asked import Asked
from mirclr.serve.subsonic.protocol import Values

_SEEDS = 8  # songs of an artist or an album that stand for it
_OWN = 4  # of so many songs of an artist's radio one is the artist's own
_SPARE = 50
_SIMILAR_ARTISTS = 60  # songs by which artists are found
_RANDOM = random.SystemRandom()


def get_similar_songs(asked: Asked) -> Values:
    """Songs that sound like a song, an album or an artist."""
    return {"similarSongs": {"song": _similar(asked)}}


def get_similar_songs2(asked: Asked) -> Values:
    """The same, as players ask it of an artist."""
    return {"similarSongs2": {"song": _similar(asked)}}


def _similar(asked: Asked) -> list[Values]:
    text, count = asked.given.needed("id"), asked.given.number("count", 50, most=asked.service.settings.limits.n)
    if not count:
        return []
    if text.startswith("ar-"):
        return items.songs(asked, _radio(asked, asked.artist(), count))
    ids = list(asked.album().tracks) if text.startswith("al-") else [asked.track().id]
    return items.songs(asked, [r.track for r in _alike(asked, ids, count)])


def _radio(asked: Asked, artist: Artist, count: int) -> list[LibraryTrack]:
    """Songs of an artist among those that sound like them, others each time."""
    own = _songs_of(asked, artist)
    _RANDOM.shuffle(own)
    some = own[: max(1, count // _OWN)]
    others = [r.track for r in _alike(asked, own, count - len(some), seed=_RANDOM.randrange(1 << 31))]
    others = [track for track in others if artist not in asked.discography.artists_of.get(track.id, ())]
    mixed = asked.library.tracks(some)
    for at, track in enumerate(others):
        mixed.insert(at + at // (_OWN - 1) + 1 if at // (_OWN - 1) < len(some) else len(mixed), track)
    return mixed[:count]


def _songs_of(asked: Asked, artist: Artist) -> list[int]:
    albums = [asked.discography.album(key) for key in artist.albums]
    own = [i for album in albums for i in album.tracks if artist in asked.discography.artists_of.get(i, ())]
    return own or [i for album in albums for i in album.tracks]


def _alike(asked: Asked, ids: Sequence[int], n: int, **how: object) -> list[Recommendation]:
    """N songs that sound like some, none that the listener dislikes."""
    seeds = [ids[i] for i in np.unique(np.linspace(0, len(ids) - 1, _SEEDS).astype(int))] if len(ids) > _SEEDS else ids
    disliked = asked.taste.disliked
    more = min(len(disliked), _SPARE)
    query = Query.from_json({"seeds": [f"id:{i}" for i in seeds], "n": max(1, n) + more, **how})
    found = asked.library.answer(query).recommendations
    return [r for r in found if r.track.id not in disliked][: max(0, n)]


def get_sonic_similar_tracks(asked: Asked) -> Values:
    """The songs that sound most like a song, with how alike they are: from whichever artist or album."""
    track = asked.track()
    count = asked.given.number("count", 10, most=asked.service.settings.limits.n)
    if not count:
        return {"sonicMatch": []}
    anything = {"artist_cap": 0, "artist_gap": 0, "same_album": True, "fill": True}
    found = _alike(asked, [track.id], count, **anything)
    return {"sonicMatch": _matches(asked, [r.track for r in found], [r.alike or 0.0 for r in found])}


def find_sonic_path(asked: Asked) -> Values:
    """Songs that lead from one to another, both among them; each with how alike it is to the first."""
    start, end = asked.track("startSongId"), asked.track("endSongId")
    count = asked.given.number("count", 25, least=2, most=min(LONGEST_PATH, asked.service.settings.limits.n))
    if start.id == end.id:
        return {"sonicMatch": _matches(asked, [start], [1.0])}
    query = Query.from_json({"seeds": [f"id:{start.id}"], "to": f"id:{end.id}", "n": count})
    try:
        tracks = [r.track for r in asked.library.answer(query).recommendations]
    except QueryError:  # they are one recording, and nothing is between them
        tracks = [start, end]
    return {"sonicMatch": _matches(asked, tracks, _alike_to(asked, start, tracks))}


def _alike_to(asked: Asked, first: LibraryTrack, tracks: Sequence[LibraryTrack]) -> list[float]:
    """Which fraction of the library's pairs of songs are less alike than each track and the first; 1 of itself."""
    index = asked.library.index
    ids = np.array([first.id, *(track.id for track in tracks)], np.int64)
    vectors, stats = index.vectors(ids), index.similarity_stats(ids)
    similarities = products(vectors[:1], vectors[1:])[0]
    alike = Calibration.of(index).of_pairs(similarities, np.repeat(stats[:1], len(tracks), 0), stats[1:])
    return [1.0 if track.id == first.id else float(a) for track, a in zip(tracks, alike.tolist(), strict=True)]


def _matches(asked: Asked, tracks: Sequence[LibraryTrack], alike: Iterable[float]) -> list[Values]:
    pairs = zip(items.songs(asked, tracks), alike, strict=True)
    return [{"similarity": round(min(max(share, 0.0), 1.0), 4), "entry": song} for song, share in pairs]


def get_artist_info(asked: Asked) -> Values:
    """Artists that sound like one."""
    return {"artistInfo": _artist_info(asked)}


def get_artist_info2(asked: Asked) -> Values:
    """The same, by tags."""
    return {"artistInfo2": _artist_info(asked)}


def _artist_info(asked: Asked) -> Values:
    text = asked.given.needed("id")
    if text.startswith("ar-"):
        artist = asked.artist()
    else:
        album = asked.album() if text.startswith("al-") else asked.discography.album_of[asked.track().id]
        artist = asked.discography.artist(album.artists[0])
    count = asked.given.number("count", 20, most=_SIMILAR_ARTISTS)
    found: dict[str, Artist] = {}
    for r in _alike(asked, _songs_of(asked, artist), _SIMILAR_ARTISTS) if count else ():
        for other in asked.discography.artists_of.get(r.track.id, ())[:1]:
            found.setdefault(other.key, other)
    found.pop(artist.key, None)
    return {"similarArtist": [items.artist(asked, other) for other in list(found.values())[:count]]}


def get_album_info(asked: Asked) -> Values:
    """Nothing that an album's own answer does not say."""
    asked.album()
    return {"albumInfo": {}}
