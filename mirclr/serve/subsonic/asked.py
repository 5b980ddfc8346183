"""`Asked`: what a handler gets; and what ids of players mean."""

import asyncio
import re
import time
from dataclasses import dataclass
from functools import cached_property

from mirclr.api import Library
from mirclr.library import LibraryTrack
from mirclr.library.discography import Album, Artist, Discographies, Discography, digest_of_key
from mirclr.serve.service import Service
from mirclr.serve.subsonic.protocol import NOT_FOUND, Failure, Parameters
from mirclr.serve.subsonic.taste import Taste, Tastes

_SONG = re.compile(r"(?:tr-)?([1-9]\d{0,17})", re.ASCII)
_AT_ONCE = 2
_PLAYING_S = 600  # after which what a player said that it plays is over


class Players:
    """What the service keeps for players between requests.

    Attributes
    ----------
    discographies, tastes
        Of the library, and of its listeners.
    slots : asyncio.Semaphore
        How many requests of players are at work at once, so that the page has threads of its own.
    """

    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(_AT_ONCE)
        self.discographies, self.tastes = Discographies(), Tastes()
        self._playing: dict[str, tuple[int, float, str]] = {}

    def now_playing(self) -> dict[str, tuple[int, float, str]]:
        """The track that each listener plays, since when, and in which player, as far as that was said lately."""
        since = time.time() - _PLAYING_S
        for listener in [name for name, one in list(self._playing.items()) if one[1] <= since]:
            self._playing.pop(listener, None)
        return self._playing


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
        return self.players.discographies.of(self.library)

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


def song_id(text: str) -> int | None:
    """The id of the library that a player's id of a song means; None where it means none."""
    found = _SONG.fullmatch(text)
    return int(found[1]) if found else None
