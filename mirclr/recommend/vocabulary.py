"""Words of many short texts, looked up while a person types: which items hold them, in well under a millisecond each.

Contents: `Strings`, many short texts in one piece; `Vocabulary`, the words of texts with the items that hold each;
`Texts`, a name of each item, such as its artist.
"""

from array import array
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import overload

import numpy as np

from mirclr.names import fold, search_words

UNKNOWN = np.iinfo(np.int32).max
"""The rank of what has no text: behind all others."""
_SLICES = 64  # more ranges of places than that are taken at once
_LAST = "\U0010ffff"


class Strings(Sequence[str]):
    """Many short texts in one piece of memory, which comes from another process at once: a list takes a step for each.

    Parameters
    ----------
    texts : iterable of str
    """

    def __init__(self, texts: Iterable[str]) -> None:
        parts = [text.encode("utf-8", "surrogatepass") for text in texts]
        self._bytes = b"".join(parts)
        self._ends = array("q", accumulate(map(len, parts), initial=0))  # one of numpy's takes ten times as long to ask

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        at = range(len(self))[at]  # from the end too, and no farther than there are texts
        return self._bytes[self._ends[at] : self._ends[at + 1]].decode("utf-8", "surrogatepass")

    def place(self, text: str, low: int = 0) -> int:
        """Where a text is or would be among sorted ones, from a place on; bytes of UTF-8 sort as letters do."""
        wanted, high = text.encode("utf-8", "surrogatepass"), len(self._ends) - 1
        held, ends = self._bytes, self._ends
        while low < high:
            middle = (low + high) // 2
            if held[ends[middle] : ends[middle + 1]] < wanted:
                low = middle + 1
            else:
                high = middle
        return low


class Vocabulary:
    """The different words of texts, sorted, each with the places of the texts that hold it.

    Parameters
    ----------
    texts : sequence of str
        As `search_words` gives them; n of them.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        codes: dict[str, int] = {}
        flat: list[int] = []
        lengths = np.empty(len(texts), np.int64)
        for at, text in enumerate(texts):
            held = set(text.split())
            lengths[at] = len(held)
            flat += [codes.setdefault(word, len(codes)) for word in held]
        self._n = len(texts)
        words = sorted(codes)
        self._words = Strings(words)
        ranks = np.empty(len(codes), np.int32)
        ranks[[codes[word] for word in words]] = np.arange(len(codes))
        ranked = ranks[flat] if flat else np.zeros(0, np.int32)
        by_word = np.argsort(ranked, kind="stable")
        self._holds = ranked[by_word]  # of each pair of word and text, sorted: the word …
        self._places = np.repeat(np.arange(len(texts), dtype=np.int32), lengths)[by_word]  # … and the text
        self._begins = np.searchsorted(self._holds, np.arange(len(codes) + 1))
        self._letters = np.frombuffer("\n".join(words).encode("utf-32-le", "surrogatepass"), np.uint32)
        sizes = np.fromiter((len(word) + 1 for word in words), np.int64, len(words))
        self._ends = np.cumsum(sizes)

    def holding(self, words: Sequence[str]) -> np.ndarray:
        """(n,) bool: the texts that hold each word, wherever in a longer one."""
        return self._all([self._with(word) for word in words])

    def beginning(self, words: Sequence[str]) -> np.ndarray:
        """(n,) bool: the texts that for each word hold one that begins so."""
        spans = [(self._words.place(word), self._words.place(word + _LAST)) for word in words]
        return self._all([np.arange(*span) for span in spans])

    def _all(self, codes: Sequence[np.ndarray]) -> np.ndarray:
        masks = [self._any(some) for some in codes]
        return np.logical_and.reduce(masks) if masks else np.ones(self._n, bool)

    def _any(self, codes: np.ndarray) -> np.ndarray:
        """(n,) bool: the texts that hold one of some words, by their sorted codes."""
        mask = np.zeros(self._n, bool)
        if not len(codes):
            return mask
        breaks = np.flatnonzero(np.diff(codes) > 1) + 1
        starts = codes[np.concatenate(([0], breaks))]
        ends = codes[np.concatenate((breaks - 1, [len(codes) - 1]))] + 1
        if len(starts) > _SLICES:
            wanted = np.zeros(len(self._words), bool)
            wanted[codes] = True
            mask[self._places[wanted[self._holds]]] = True
        else:
            for start, end in zip(starts, ends, strict=True):
                mask[self._places[self._begins[start] : self._begins[end]]] = True
        return mask

    def _with(self, word: str) -> np.ndarray:
        """The codes of the words that hold a part, ascending."""
        wanted = np.frombuffer(word.encode("utf-32-le", "surrogatepass"), np.uint32)
        last = len(self._letters) - len(wanted) + 1
        if last <= 0:
            return np.zeros(0, np.int64)
        found = np.flatnonzero(self._letters[:last] == wanted[0])
        for at, letter in enumerate(wanted[1:], 1):
            found = found[self._letters[found + at] == letter]
        codes = np.searchsorted(self._ends, found, side="right")
        return codes[np.concatenate(([True], np.diff(codes) > 0))] if len(codes) else codes


class Texts:
    """One text of each item, or none; each different one, folded, once.

    Parameters
    ----------
    values : sequence of (str or None)
        Of n items.

    Attributes
    ----------
    shown : sequence of str
        The different texts, as they were first met.
    codes : (n,) int32
        Which of them is an item's; -1 where it has none.
    counts : (m,) int64
        How many items have each.
    first : (m,) int64
        The place of the first item of each.
    ranks : (n,) int64
        Sorted as the texts are on a shelf; `UNKNOWN` where there is none.
    """

    def __init__(self, values: Sequence[str | None]) -> None:
        by_value: dict[str, int] = {}
        by_key: dict[str, int] = {}
        shown: list[str] = []
        self.codes = np.full(len(values), -1, np.int32)
        for at, value in enumerate(values):
            if not value:
                continue
            code = by_value.get(value)
            if code is None:
                code = by_key.setdefault(fold(value).strip(), len(shown))
                if code == len(shown):
                    shown.append(value)
                by_value[value] = code
            self.codes[at] = code
        m = len(shown)
        self.shown = Strings(shown)
        keys = sorted(by_key)
        self._keys, self._key_codes = Strings(keys), np.array([by_key[key] for key in keys], np.int64)
        order = sorted(range(m), key=[_on_a_shelf(key) for key in by_key].__getitem__)
        shelf = np.full(m + 1, UNKNOWN, np.int64)
        shelf[order] = np.arange(m)
        self.ranks = shelf[self.codes]
        self._shelf = shelf[:m]
        there = np.flatnonzero(self.codes >= 0)
        self.counts = np.bincount(self.codes[there], minlength=m)
        self.first = np.zeros(m, np.int64)
        self.first[self.codes[there[::-1]]] = there[::-1]

    def make_searchable(self) -> None:
        """Prepare what the first search prepares else."""
        self._sorted, self._vocabulary  # noqa: B018

    def equal(self, text: str) -> np.ndarray:
        """(n,) bool: whose text is this one, by the rules of names."""
        key = fold(text).strip()
        at = self._keys.place(key)
        return self.codes == (self._key_codes[at] if at < len(self._keys) and self._keys[at] == key else -2)

    def beginning(self, whole: str, places: np.ndarray) -> np.ndarray:
        """(k,) int8 of the items at k places: 1 where the text begins so, 2 where it is that."""
        of_text = np.zeros(len(self.shown) + 1, np.int8)
        of_text[self._that_begin(whole)] = 1
        of_text[self._that_begin(whole, end="\0")] = 2
        of_text[-1] = 0
        return of_text[self.codes[places]]

    def named(self, words: Sequence[str], limit: int) -> list[int]:
        """The codes of the texts that hold all words: those that begin so first, then those of most items."""
        begin = np.zeros(len(self.shown), bool)
        begin[self._that_begin(" ".join(words))] = True
        found = np.flatnonzero(begin)
        if len(found) < limit:
            found = np.flatnonzero(self._vocabulary.holding(words))
        order = np.lexsort((self._shelf[found], -self.counts[found], ~begin[found]))
        return found[order[:limit]].tolist()

    def _that_begin(self, whole: str, end: str = _LAST) -> np.ndarray:
        """The codes of the texts that begin with some words."""
        texts, codes = self._sorted
        start = texts.place(whole)
        return codes[start : texts.place(whole + end, start)]

    @cached_property
    def _searched(self) -> Strings:
        return Strings(map(search_words, self.shown))

    @cached_property
    def _sorted(self) -> tuple[Strings, np.ndarray]:
        """The texts as they are searched, sorted, and the code of each."""
        texts = list(self._searched)
        codes = sorted(range(len(texts)), key=texts.__getitem__)
        return Strings(texts[code] for code in codes), np.array(codes, np.int64)

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        """The words of the different texts."""
        return Vocabulary(self._searched)


def _on_a_shelf(key: str) -> str:
    """A name as shelves sort it: without quotes and dots before it, and without the article."""
    return key.lstrip(" \"'([{.…¿¡-_*#").removeprefix("the ") or key
