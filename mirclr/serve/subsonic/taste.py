"""What a listener played, likes and starred, by track: kept between requests, as players ask it of every song."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from mirclr.library import LibraryStore, Listen
from mirclr.recommend.taste import match_listens

_LISTENERS = 16  # of whom it is kept
_Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Taste:
    """What a listener played, likes and starred.

    Attributes
    ----------
    plays : dict of int to int
        How often, by track.
    played_s : dict of int to float
        When last, in seconds since 1970, by track.
    liked, disliked : frozenset of int
        Tracks; one that is disliked anywhere is not liked.
    stars : dict of (str, str) to float
        By kind and key, as `mirclr.library.stars` has them.
    """

    plays: dict[int, int] = field(default_factory=dict)
    played_s: dict[int, float] = field(default_factory=dict)
    liked: frozenset[int] = frozenset()
    disliked: frozenset[int] = frozenset()
    stars: dict[tuple[str, str], float] = field(default_factory=dict)

    def starred_s(self, track_id: int) -> float | None:
        """Since when a track is starred; None of one that is not; the time of its last play where no other is known."""
        if track_id not in self.liked:
            return None
        return self.stars.get(("song", str(track_id)), self.played_s.get(track_id, 0.0))


class Tastes:
    """The tastes of listeners for many threads; brought up to date when listens or tracks changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[str, _Matched] = OrderedDict()

    def of(self, library: LibraryStore, listener: str) -> Taste:
        """The taste of a listener; of one whom the library does not know yet nothing."""
        with self._lock:
            held = self._held.setdefault(listener, _Matched())
            self._held.move_to_end(listener)
            if len(self._held) > _LISTENERS:
                self._held.popitem(last=False)
        return held.brought_up_to_date(library, listener)


class _Matched:
    """A listener's taste, and which listen is which track: only what is new is looked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tracks: tuple[int, int] | None = None
        self._listens: int | None = None
        self._ids: dict[_Key, int | None] = {}
        self._taste = Taste()

    def brought_up_to_date(self, library: LibraryStore, listener: str) -> Taste:
        with self._lock, library.snapshot():
            tracks, listens = library.tracks_version, library.listens_version
            if (tracks, listens) != (self._tracks, self._listens):
                if tracks != self._tracks:
                    self._ids = {}
                self._taste = self._made(library, listener)
                self._tracks, self._listens = tracks, listens
            return self._taste

    def _made(self, library: LibraryStore, listener: str) -> Taste:
        listens = library.listens(listener)
        new = [listen for listen in listens if _key(listen) not in self._ids]
        matched = match_listens(library, new)
        self._ids |= dict.fromkeys(map(_key, new))
        self._ids |= {_key(new[row]): i for row, i in zip(matched.rows.tolist(), matched.ids.tolist(), strict=True)}
        plays: dict[int, int] = {}
        played_s: dict[int, float] = {}
        tastes: dict[int, int] = {}
        for listen in listens:
            if (i := self._ids[_key(listen)]) is None:
                continue
            plays[i] = plays.get(i, 0) + listen.plays
            if listen.last_s is not None:
                played_s[i] = max(listen.last_s, played_s.get(i, 0.0))
            if listen.taste:
                tastes[i] = min(listen.taste, tastes.get(i, 1))
        liked, disliked = (frozenset(i for i, taste in tastes.items() if taste == which) for which in (1, -1))
        return Taste({i: n for i, n in plays.items() if n}, played_s, liked, disliked, library.stars(listener))


def _key(listen: Listen) -> _Key:
    return listen.artist, listen.title, listen.album, listen.file
