"""`Asked`: what a handler gets; and what ids of players mean."""

import asyncio
import json
import re
import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from mirclr.api import Library
from mirclr.errors import MirclrError, in_words
from mirclr.library import LibraryTrack
from mirclr.library.discography import Album, Artist, Discography, digest_of_key
from mirclr.recommend import Query, without_files
from mirclr.recommend.saved import saved_queries
from mirclr.recommend.seeds import held_seeds, named_seeds
from mirclr.recommend.words import wish_in_words
from mirclr.serve.service import Service
from mirclr.serve.subsonic.protocol import NOT_FOUND, Failure, Parameters
from mirclr.serve.subsonic.taste import Taste, Tastes

_SONG = re.compile(r"(?:tr-)?([1-9]\d{0,17})", re.ASCII)
_AT_ONCE = 2
_MADE = 256  # lists of saved queries that are kept
_PLAYING_S = 600  # after which what a player reported as playing is over


class Players:
    """What the service keeps for players between requests.

    Attributes
    ----------
    tastes
        Of the library's listeners.
    made : dict
        The lists of saved queries, by name, each with what it was made of.
    slots : asyncio.Semaphore
        How many requests of players are at work at once, so that the page has threads of its own.
    """

    def __init__(self) -> None:
        self.made: dict[str, tuple[object, MadeList]] = {}
        self.slots = asyncio.Semaphore(_AT_ONCE)
        self.tastes = Tastes()
        self._playing: dict[str, tuple[int, float, str]] = {}

    def now_playing(self) -> dict[str, tuple[int, float, str]]:
        """The track that each listener plays, since when, and in which player, as far as that was reported lately."""
        since = time.time() - _PLAYING_S
        for listener in [name for name, one in list(self._playing.items()) if one[1] <= since]:
            self._playing.pop(listener, None)
        return self._playing


@dataclass(frozen=True)
class MadeList:
    """The songs that a saved query gives.

    Attributes
    ----------
    ids : tuple of int
        None where it cannot be answered any more.
    duration_s : float
    words : str
        What it asks.
    at_s : float
        Since when it gives these, in seconds since 1970.
    """

    ids: tuple[int, ...]
    duration_s: float
    words: str
    at_s: float


@dataclass(frozen=True)
class Asked:
    """A request, in a thread that has the library open.

    Attributes
    ----------
    library : Library
    service : Service
    players : Players
    listener : str
        Who asks: the name of a profile, which may not be there yet.
    given : Parameters
    """

    library: Library
    service: Service
    players: Players
    listener: str
    given: Parameters

    @cached_property
    def discography(self) -> Discography:
        """The albums and artists of the library."""
        return self.service.discography.of(self.library)

    @cached_property
    def taste(self) -> Taste:
        """What the listener played and likes."""
        return self.players.tastes.of(self.library, self.listener)

    @cached_property
    def folders(self) -> dict[int, str]:
        """The folders that were embedded, by numbers that stay."""
        return {int(digest_of_key(root)[:7], 16): root for root in self.library.roots()}

    @cached_property
    def root(self) -> str | None:
        """The folder that is asked about; None where it is all."""
        if not self.given.text("musicFolderId"):
            return None
        folder = self.given.number("musicFolderId", 0)
        if folder not in self.folders:
            raise Failure(NOT_FOUND, f"no folder has the id {folder}")
        return self.folders[folder]

    def made(self, name: str) -> MadeList:
        """The songs of a saved query: made anew when tracks changed, and of a listener's when listens did."""
        saved = saved_queries(self.library)[name]["query"]
        listens = self.library.listens_version if saved.get("profile") else 0
        version = json.dumps(saved), self.library.tracks_version, listens
        held = self.players.made.get(name)
        if held is None or held[0] != version:
            one = _made(self.library, saved)
            if held and held[1].ids == one.ids:
                one = replace(one, at_s=held[1].at_s)
            held = self.players.made[name] = version, one
            while len(self.players.made) > _MADE:
                self.players.made.pop(next(iter(self.players.made)))
        return held[1]

    def album(self, name: str = "id") -> Album:
        """The album of an id that is given."""
        text = self.given.needed(name)
        if found := self.discography.albums.get(text.removeprefix("al-")):
            return found
        raise Failure(NOT_FOUND, "no album has this id")

    def artist(self, name: str = "id") -> Artist:
        """The artist of an id that is given."""
        text = self.given.needed(name)
        if found := self.discography.artists.get(text.removeprefix("ar-")):
            return found
        raise Failure(NOT_FOUND, "no artist has this id")

    def track(self, name: str = "id") -> LibraryTrack:
        """The track of an id that is given."""
        return self.tracks([self.given.needed(name)])[0]

    def tracks(self, texts: list[str]) -> list[LibraryTrack]:
        """The tracks of some ids, all of which must be there."""
        ids = [song_id(text) for text in texts]
        held = {track.id: track for track in self.library.tracks(list(dict.fromkeys(i for i in ids if i)))}
        if any(i not in held for i in ids):
            raise Failure(NOT_FOUND, "no song has this id")
        return [held[i] for i in ids if i]

    def shown_albums(self) -> list[Album]:
        """All albums by name, of the folder that is asked about."""
        albums, root = self.discography.albums.values(), self.root
        return [album for album in albums if root in (None, album.root)]


def _made(library: Library, saved: dict[str, Any]) -> MadeList:
    try:
        query = held_seeds(library, Query.from_json(saved))
        tracks = [r.track for r in library.answer(without_files(library, query)).recommendations]
        words = wish_in_words(named_seeds(library, query))
    except MirclrError as error:  # a seed is gone, or nothing passes its filters any more
        tracks, words = [], in_words(error)
    return MadeList(tuple(t.id for t in tracks), sum(t.duration_s for t in tracks), words, time.time())


def song_id(text: str) -> int | None:
    """The id of the library that a player's id of a song means; None where it means none."""
    found = _SONG.fullmatch(text)
    return int(found[1]) if found else None
