"""The songs of a library in the order of their tags, a page at a time, and found as a person types.

Contents: `Catalogue`, made of a library as it is at one moment; `SORTS`, what songs can be sorted by.

Conventions: names are compared folded, as `mirclr.names` has it; a song without a title goes by the name of its file.
What is not known of a song comes last, whatever the direction.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from mirclr.errors import QueryError
from mirclr.library import LibraryStore
from mirclr.names import fold, search_words

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
_UNKNOWN = np.iinfo(np.int32).max


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
            numbers = {name: library.column(name) for name in ("tempo_bpm",)}
        self.ids = np.array([row.id for row in rows], np.int64)
        self._place = {int(i): at for at, i in enumerate(self.ids)}
        self._texts = {name: _Texts([getattr(row, name) for row in rows]) for name in _TEXTS}
        self._numbers = {
            name: np.array([np.nan if (v := getattr(row, name)) is None else v for row in rows], np.float64)
            for name in ("year", "duration_s", "disc_number", "track_number")
        }
        for name, (ids, values) in numbers.items():
            column = np.full(len(rows), np.nan)
            column[np.searchsorted(self.ids, ids)] = values
            self._numbers[name] = column
        self._words = _Words([row.searched for row in rows])
        self._orders: dict[tuple[str, bool], np.ndarray] = {}
        self._albums = self._texts["album"]
        self._artists = self._texts["artist"]

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
                keys.append(np.where(ranks == _UNKNOWN, ranks, -ranks) if descending and at == 0 else ranks)
            places = np.arange(len(self)) if keys else np.arange(len(self))[:: -1 if descending else 1]
            self._orders[sort, descending] = np.lexsort((places, *reversed(keys))) if keys else places
        return self._orders[sort, descending]

    def _ranks(self, name: str) -> np.ndarray:
        """(n,) int64 that sort as a field's values do, `_UNKNOWN` where there is none."""
        if name in _TEXTS:
            return self._texts[name].ranks()
        values = self._numbers[name]
        known = ~np.isnan(values)
        ranks = np.full(len(values), _UNKNOWN, np.int64)
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
        found = np.flatnonzero(self._words.holding(words))
        whole = " ".join(words)
        score = np.zeros(len(found))
        for weight, name in ((4, "title"), (2, "artist"), (1, "album")):
            score += weight * self._texts[name].beginning(whole)[found]
        score += self._words.beginning(words)[found]
        best = found[np.argsort(-score, kind="stable")[:limit]]
        return self.ids[best].tolist()

    def artists(self, text: str, limit: int) -> list[Name]:
        """The artists whose name holds all words of a text, those that begin so first, then those with most songs."""
        return self._named(self._artists, text, limit)

    def albums(self, text: str, limit: int) -> list[Name]:
        """The albums whose name holds all words of a text, as `artists`."""
        found = []
        for name in self._named(self._albums, text, limit):
            of = set(self._artists.codes[self._albums.equal(name.name)].tolist())
            artist = self._artists.shown[of.pop()] if len(of) == 1 and -1 not in of else None
            found.append(Name(name.name, artist, name.songs, name.first))
        return found

    def _named(self, texts: "_Texts", text: str, limit: int) -> list[Name]:
        words = search_words(text).split()
        if not words or not limit:
            return []
        whole = " ".join(words)
        counts = texts.counts()
        found = [code for code, key in enumerate(texts.searched()) if counts[code] and all(w in key for w in words)]
        found.sort(key=lambda code: (not texts.searched()[code].startswith(whole), -counts[code], texts.keys[code]))
        return [
            Name(texts.shown[code], None, int(counts[code]), int(self.ids[texts.first()[code]]))
            for code in found[:limit]
        ]


class _Texts:
    """One text a song, or none: each different one, folded, once.

    Attributes
    ----------
    keys, shown : list of str
        Folded, and as it was first met.
    codes : (n,) int32
        Which of them is a song's; -1 where it has none.
    """

    def __init__(self, values: Sequence[str | None]) -> None:
        known: dict[str, int] = {}
        by_key: dict[str, int] = {}
        self.keys: list[str] = []
        self.shown: list[str] = []
        codes = np.full(len(values), -1, np.int32)
        for at, value in enumerate(values):
            if not value:
                continue
            code = known.get(value)
            if code is None:
                key = fold(value).strip()
                code = by_key.setdefault(key, len(self.keys))
                if code == len(self.keys):
                    self.keys.append(key)
                    self.shown.append(value)
                known[value] = code
            codes[at] = code
        self.codes = codes
        self._made: dict[str, Any] = {}

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def ranks(self) -> np.ndarray:
        """(n,) int64 that sort as the texts do, `_UNKNOWN` where there is none."""

        def make() -> np.ndarray:
            of_key = np.empty(len(self.keys) + 1, np.int64)
            of_key[sorted(range(len(self.keys)), key=lambda code: _sorted_as(self.keys[code]))] = np.arange(
                len(self.keys)
            )
            of_key[-1] = _UNKNOWN
            return of_key[self.codes]

        return self._once("ranks", make)

    def searched(self) -> list[str]:
        return self._once("searched", lambda: [search_words(text) for text in self.shown])

    def counts(self) -> np.ndarray:
        return self._once("counts", lambda: np.bincount(self.codes[self.codes >= 0], minlength=len(self.keys)))

    def first(self) -> np.ndarray:
        def make() -> np.ndarray:
            first = np.zeros(len(self.keys), np.int64)
            there = np.flatnonzero(self.codes >= 0)[::-1]
            first[self.codes[there]] = there
            return first

        return self._once("first", make)

    def equal(self, text: str) -> np.ndarray:
        """(n,) bool: whose text is this one, folded."""
        key = fold(text).strip()
        return self.codes == (self.keys.index(key) if key in self.keys else len(self.keys))

    def beginning(self, whole: str) -> np.ndarray:
        """(n,) float: 1 where the text begins so, 2 where it is that."""
        of_key = np.array([(s == whole) + s.startswith(whole) for s in self.searched()] + [0], float)
        return of_key[self.codes]


def _sorted_as(key: str) -> str:
    """A name as shelves sort it: without quotes and dots before it, and without the article."""
    bare = key.lstrip(" \"'([{.…¿¡-_*#")
    return bare.removeprefix("the ") or key


class _Words:
    """Which songs hold which words: each different word once, sorted, with the places of its songs."""

    def __init__(self, texts: Sequence[str]) -> None:
        codes: dict[str, int] = {}
        flat: list[int] = []
        lengths: list[int] = []
        for text in texts:
            words = set(text.split())
            flat += [codes.setdefault(word, len(codes)) for word in words]
            lengths.append(len(words))
        self._n = len(texts)
        self._vocabulary = sorted(codes)
        sorted_as = np.empty(len(codes), np.int64)
        sorted_as[[codes[word] for word in self._vocabulary]] = np.arange(len(codes))
        of = sorted_as[np.array(flat, np.int64)] if flat else np.zeros(0, np.int64)
        by_word = np.argsort(of, kind="stable")
        self._places = np.repeat(np.arange(self._n), lengths)[by_word].astype(np.int32)
        self._begins = np.searchsorted(of[by_word], np.arange(len(codes) + 1))
        self._blob = "\n".join(self._vocabulary)
        self._line_begins = np.fromiter(accumulate((len(w) + 1 for w in self._vocabulary), initial=0), np.int64)

    def holding(self, words: Sequence[str]) -> np.ndarray:
        """(n,) bool: the songs that hold each word, in whatever place of a longer one."""
        return self._all(words, self._with)

    def beginning(self, words: Sequence[str]) -> np.ndarray:
        """(n,) bool: the songs that for each of some words hold one that begins so."""
        return self._all(words, self._that_begin)

    def _all(self, words: Sequence[str], matching: Callable[[str], np.ndarray]) -> np.ndarray:
        mask = np.ones(self._n, bool)
        for word in words:
            one = np.zeros(self._n, bool)
            for code in matching(word):
                one[self._places[self._begins[code] : self._begins[code + 1]]] = True
            mask &= one
        return mask

    def _that_begin(self, word: str) -> np.ndarray:
        return np.arange(bisect_left(self._vocabulary, word), bisect_left(self._vocabulary, word + "\U0010ffff"))

    def _with(self, word: str) -> np.ndarray:
        found = []
        at = self._blob.find(word)
        while at >= 0:
            found.append(at)
            at = self._blob.find(word, at + 1)
        return np.unique(np.searchsorted(self._line_begins, found, side="right") - 1)
