"""What a listener does: plays, stars."""

import time
from collections.abc import Callable
from dataclasses import replace

from mirclr.library import LibraryTrack
from mirclr.recommend.history.sources import FIRST_S
from mirclr.recommend.listening import listen_of, set_taste
from mirclr.serve.subsonic import items
from mirclr.serve.subsonic.asked import Asked
from mirclr.serve.subsonic.protocol import NOT_FOUND, Failure, Values
from mirclr.terminal import shown

_MOST = 1000  # of one request


def scrobble(asked: Asked) -> Values:
    """Note what was played, or, where it is no submission, what plays now."""
    asked.given.needed("id")
    tracks = asked.tracks(asked.given.all("id")[:_MOST])
    now = time.time()
    if not asked.given.flag("submission", True):
        asked.players.now_playing()[asked.listener] = (tracks[-1].id, now, asked.given.text("c")[:100])
        return {}
    times = [_believed(ms / 1000, now) for ms in asked.given.numbers("time")]
    times += [now] * (len(tracks) - len(times))
    plays = [replace(listen_of(track), plays=1, last_s=at) for track, at in zip(tracks, times, strict=False)]
    asked.library.add_plays(asked.listener, plays)
    return {}


def _believed(seconds: float, now: float) -> float:
    return seconds if FIRST_S <= seconds <= now + 86_400 else now


def get_now_playing(asked: Asked) -> Values:
    """What listeners play."""
    playing = list(asked.players.now_playing().items())
    tracks = {track.id: track for track in asked.library.tracks([i for _, (i, _, _) in playing])}
    entries = [
        items.songs(asked, [tracks[i]])[0]
        | {
            "username": shown(listener),
            "minutesAgo": int((time.time() - since) // 60),
            "playerId": 0,
            "playerName": shown(player),
        }
        for listener, (i, since, player) in playing
        if i in tracks
    ]
    return {"nowPlaying": {"entry": entries}}


def star(asked: Asked) -> Values:
    """Star songs, which are liked from then on, albums and artists."""
    tracks, albums, artists = _named(asked)
    now = time.time()
    library, listener = asked.library, asked.listener
    for track in tracks:
        set_taste(library, listener, track, 1)
    library.add_stars(listener, "song", [str(track.id) for track in tracks], now)
    library.add_stars(listener, "album", albums, now)
    library.add_stars(listener, "artist", artists, now)
    return {}


def unstar(asked: Asked) -> Values:
    """Take stars away; what is disliked stays so."""
    tracks, albums, artists = _named(asked)
    library, listener = asked.library, asked.listener
    for track in tracks:
        if track.id in asked.taste.liked:
            set_taste(library, listener, track, 0)
    library.remove_stars(listener, "song", [str(track.id) for track in tracks])
    library.remove_stars(listener, "album", albums)
    library.remove_stars(listener, "artist", artists)
    return {}


def _named(asked: Asked) -> tuple[list[LibraryTrack], list[str], list[str]]:
    """The songs, and the keys of albums and artists, that are named; players name albums and artists by ``id`` too."""
    given = asked.given
    plain = given.all("id")[:_MOST]
    songs = [text for text in plain if not text.startswith(("al-", "ar-"))]
    albums = [*given.all("albumId")[:_MOST], *(text for text in plain if text.startswith("al-"))]
    artists = [*given.all("artistId")[:_MOST], *(text for text in plain if text.startswith("ar-"))]
    if not (songs or albums or artists):
        given.needed("id")
    keys = (
        _keys(albums, "album", lambda i: asked.discography.albums[i.removeprefix("al-")].key),
        _keys(artists, "artist", lambda i: asked.discography.artists[i.removeprefix("ar-")].key),
    )
    return asked.tracks(songs), *keys


def _keys(ids: list[str], what: str, key: Callable[[str], str]) -> list[str]:
    try:
        return [key(i) for i in ids]
    except KeyError:
        raise Failure(NOT_FOUND, f"no {what} has this id") from None
