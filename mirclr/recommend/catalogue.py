"""The songs of a library in the order of their tags, a page at a time, and found as a person types.

Contents: `Catalogue`, made of a library as it is at one moment; `SORTS`, what songs can be sorted by.

Conventions: names are compared folded, as `mirclr.names` has it; a song without a title goes by the name of its file.
What is not known of a song comes last, whatever the direction.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mirclr.errors import QueryError
from mirclr.library import LibraryStore
from mirclr.names import search_words
from mirclr.recommend.vocabulary import UNKNOWN, Strings, Texts, Vocabulary

_ALBUM = ("album", "disc_number", "track_number", "title")
SORTS: dict[str, tuple[str, ...]] = {
    "title": ("title", "artist"),
    "artist": ("artist", *_ALBUM),
    "album": _ALBUM,
    "year": ("year", "artist", *_ALBUM),
    "duration": ("duration_s", "title"),
    "tempo": ("tempo_bpm", "title"),
    "added": (),
}
"""What songs can be sorted by, each with the fields that decide; by ``added`` alone it is the order of their ids."""

_TEXTS = ("title", "artist", "album")


@dataclass(frozen=True)
class Name:
    """An artist or an album.

    Attributes
    ----------
    name : str
        As the tags have it.
    artist : str or None
        Of an album, where it is of one.
    songs : int
        How many there are.
    first : int
        The id of one of them.
    """

    name: str
    artist: str | None
    songs: int
    first: int


class Catalogue:
    """The titles, artists and albums of a library's songs, as they are at one moment; may be used by many threads.

    Parameters
    ----------
    library : LibraryStore
        Read here, and never again.
    """

    def __init__(self, library: LibraryStore) -> None:
        with library.snapshot():
            rows = library.songs()
            described, tempos = library.column("tempo_bpm")
        self.ids = np.array([row.id for row in rows], np.int64)
        self._texts = {name: Texts([getattr(row, name) for row in rows]) for name in _TEXTS}
        self._numbers = {
            name: np.array([np.nan if (v := getattr(row, name)) is None else v for row in rows], np.float64)
            for name in ("year", "duration_s", "disc_number", "track_number")
        }
        self._numbers["tempo_bpm"] = np.full(len(rows), np.nan)
        self._numbers["tempo_bpm"][np.searchsorted(self.ids, described)] = tempos
        self._searched = Strings(row.searched for row in rows)
        self._orders: dict[tuple[str, bool], np.ndarray] = {}

    @cached_property
    def _words(self) -> Vocabulary:
        return Vocabulary(self._searched)

    def make_searchable(self) -> None:
        """Prepare what the first search prepares else."""
        self._words  # noqa: B018
        for texts in self._texts.values():
            texts.make_searchable()

    def renewed(self, library: LibraryStore) -> "Catalogue":
        """The same as the library is now, ready to be searched where this one was."""
        new = Catalogue(library)
        if "_words" in self.__dict__:
            new.make_searchable()
        return new

    def parts(self) -> Iterator[tuple[str, str, Any]]:
        """All that it holds, in parts that are small enough to come from another process one by one."""
        for name, texts in self._texts.items():
            yield from ((name, attribute, value) for attribute, value in vars(texts).items())
        yield from (("", attribute, value) for attribute, value in vars(self).items() if attribute != "_texts")

    @classmethod
    def of_parts(cls, parts: Iterable[tuple[str, str, Any]]) -> "Catalogue":
        """Put together what `parts` gave."""
        new = cls.__new__(cls)
        new._texts = {name: Texts.__new__(Texts) for name in _TEXTS}
        for name, attribute, value in parts:
            vars(new._texts[name] if name else new)[attribute] = value
        return new

    def __len__(self) -> int:
        return len(self.ids)

    def order(self, sort: str, descending: bool = False) -> np.ndarray:
        """(n,) int64: places of all songs among `ids`, in an order.

        Raises
        ------
        QueryError
            `sort` is none of `SORTS`.
        """
        if sort not in SORTS:
            raise QueryError(f"sort: found {sort!r}; expected one of {', '.join(SORTS)}")
        if (sort, descending) not in self._orders:
            keys: list[np.ndarray] = []
            for at, name in enumerate(SORTS[sort]):
                ranks = self._ranks(name)
                keys.append(np.where(ranks == UNKNOWN, ranks, -ranks) if descending and at == 0 else ranks)
            places = np.arange(len(self)) if keys else np.arange(len(self))[:: -1 if descending else 1]
            self._orders[sort, descending] = np.lexsort((places, *reversed(keys))) if keys else places
        return self._orders[sort, descending]

    def _ranks(self, name: str) -> np.ndarray:
        """(n,) int64 that sort as a field's values do, `UNKNOWN` where there is none."""
        if name in _TEXTS:
            return self._texts[name].ranks
        values = self._numbers[name]
        known = ~np.isnan(values)
        ranks = np.full(len(values), UNKNOWN, np.int64)
        ranks[known] = np.unique(values[known], return_inverse=True)[1]
        return ranks

    def page(
        self,
        sort: str = "artist",
        *,
        descending: bool = False,
        offset: int = 0,
        limit: int = 100,
        text: str = "",
        artist: str | None = None,
        album: str | None = None,
        passing: np.ndarray | None = None,
    ) -> tuple[int, list[int]]:
        """A part of the songs that pass: how many there are, and the ids of those of the part.

        Parameters
        ----------
        sort : str
            One of `SORTS`.
        descending : bool
            Whether the last comes first.
        offset, limit : int
            The part.
        text : str
            Words, all of which the artist, the title, the album or the path holds.
        artist, album : str, optional
            The songs of one, whose name is equal to this by the rules of names.
        passing : (m,) bool by id, optional
            What passes filters, as `MetadataFilters.passing` gives it.

        Raises
        ------
        QueryError
            `sort` is none of `SORTS`.
        """
        order = self.order(sort, descending)
        mask = np.ones(len(self), bool)
        if words := search_words(text).split():
            mask &= self._words.holding(words)
        for name, wanted in (("artist", artist), ("album", album)):
            if wanted is not None:
                mask &= self._texts[name].equal(wanted)
        if passing is not None:
            there = self.ids < len(passing)
            mask &= there
            mask[there] &= passing[self.ids[there]]
        found = order[mask[order]]
        return len(found), self.ids[found[offset : offset + limit]].tolist()

    def songs(self, text: str, limit: int) -> list[int]:
        """The ids of the songs that a text most likely means: begins with it, then has it in a name, then the rest."""
        words = search_words(text).split()
        if not words or not limit:
            return []
        begin = self._words.beginning(words)
        found = np.flatnonzero(begin)
        if len(found) < limit:
            found = np.flatnonzero(self._words.holding(words))
        score = begin[found].astype(np.int8)
        for weight, name in ((4, "title"), (2, "artist"), (1, "album")):
            score += weight * self._texts[name].beginning(" ".join(words), found)
        best: list[int] = []
        for value in range(int(score.max(initial=0)), -1, -1):
            if len(best) >= limit:
                break
            best += self.ids[found[score == value][: limit - len(best)]].tolist()
        return best

    def artists(self, text: str, limit: int) -> list[Name]:
        """The artists whose name holds all words of a text, those that begin so first, then those with most songs."""
        return self._named("artist", text, limit)

    def albums(self, text: str, limit: int) -> list[Name]:
        """The albums whose name holds all words of a text, as `artists`."""
        artists = self._texts["artist"]
        found = []
        for album in self._named("album", text, limit):
            of = np.unique(artists.codes[self._texts["album"].equal(album.name)])
            artist = artists.shown[of[0]] if len(of) == 1 and of[0] >= 0 else None
            found.append(Name(album.name, artist, album.songs, album.first))
        return found

    def _named(self, field: str, text: str, limit: int) -> list[Name]:
        words = search_words(text).split()
        if not words or not limit:
            return []
        texts = self._texts[field]
        return [
            Name(texts.shown[code], None, int(texts.counts[code]), int(self.ids[texts.first[code]]))
            for code in texts.named(words, limit)
        ]
