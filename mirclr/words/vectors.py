"""The meaning of words that the lexicon lacks, by their nearest neighbours in it: `WordVectors`."""

from functools import cache, cached_property
from pathlib import Path

import numpy as np

from mirclr.words.lexicon import lexicon

FOLDER = Path(__file__).with_name("glove")
NEIGHBOURS = 10
TEMPERATURE = 0.05
"""Of the softmax of cosines that weighs neighbours."""
NEAR = 0.55
"""Mean cosine of the nearest neighbours from which on a word is understood."""
_LEAST = 0.08  # of a tag's weight


class WordVectors:
    """Vectors of English words, with those of the lexicon as anchors whose meaning is known.

    Parameters
    ----------
    words : sequence of str
        n words.
    vectors : (n, d) float
        Unit rows.

    References
    ----------
    Pennington, Socher and Manning 2014, "GloVe: global vectors for word representation", EMNLP. Mu and Viswanath 2018,
    "All-but-the-top", arXiv 1702.01417: the mean and the first principal components are taken off.
    """

    def __init__(self, words: list[str], vectors: np.ndarray) -> None:
        self._place = {word: place for place, word in enumerate(words)}
        self._vectors = vectors

    @classmethod
    @cache
    def load(cls) -> "WordVectors":
        """Those that come with mirclr."""
        words = (FOLDER / "words.txt").read_text(encoding="utf-8").split()
        return cls(words, np.load(FOLDER / "vectors.npy"))

    @cached_property
    def _anchors(self) -> tuple[list[str], np.ndarray]:
        words = [word for word in lexicon() if word in self._place]
        return words, self._rows(words)

    def meaning(self, word: str, without: frozenset[str] = frozenset()) -> dict[str, float]:
        """Weights over tags, whose absolute values add up to 1; empty where a word is near to none of the lexicon.

        Parameters
        ----------
        word : str
            In lower case.
        without : frozenset of str
            Words of the lexicon that do not count, to measure how well the others stand for them.
        """
        near = self.neighbours(word, without)
        cosines = np.array([cosine for _, cosine in near])
        if not near or cosines.mean() < NEAR:
            return {}
        weights = np.exp((cosines - cosines.max()) / TEMPERATURE)
        found: dict[str, float] = {}
        for (anchor, _), weight in zip(near, (weights / weights.sum()).tolist(), strict=True):
            for tag, part in lexicon()[anchor].items():
                found[tag] = found.get(tag, 0.0) + weight * part
        found = {tag: w for tag, w in found.items() if abs(w) >= _LEAST}
        total = sum(map(abs, found.values()))
        return {tag: w / total for tag, w in found.items()} if total else {}

    def neighbours(self, word: str, without: frozenset[str] = frozenset()) -> list[tuple[str, float]]:
        """The nearest words of the lexicon, with their cosines, the nearest first; none of a word without a vector."""
        if word not in self._place:
            return []
        words, anchors = self._anchors
        cosines = anchors @ self._rows([word])[0]
        order = np.lexsort((np.arange(len(words)), -np.round(cosines, 6)))
        near = [(words[i], float(cosines[i])) for i in order[: NEIGHBOURS + len(without)].tolist()]
        return [pair for pair in near if pair[0] not in without][:NEIGHBOURS]

    def __contains__(self, word: str) -> bool:
        return word in self._place

    def vector(self, word: str) -> np.ndarray:
        """(d,) float32, of unit length: the vector of a word that has one."""
        return np.asarray(self._rows([word])[0])

    def _rows(self, words: list[str]) -> np.ndarray:
        return self._vectors[[self._place[word] for word in words]].astype(np.float32)
