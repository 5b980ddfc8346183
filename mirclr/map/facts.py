"""What is known of the tracks of a map, as codes: what colours show and clusters share."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mirclr.library import LibraryStore, shown
from mirclr.names import genre_key
from mirclr.recommend.filters import LIKELY

KINDS = ("genre", "mood", "year", "tempo", "album")
"""What can be looked up, beside ``artist``."""

NAMING = ("genre", "artist", "mood", "year", "tempo")
"""By what clusters are named: the first of equal ones."""

_TEMPI = (0, 60, 80, 100, 120, 140, 160, 180)
_SEPARATORS = str.maketrans("/,\0", ";;;")


@dataclass(frozen=True, eq=False)
class Fact:
    """Something that is known of tracks.

    Attributes
    ----------
    kind : str
        Of `KINDS`, or ``artist``.
    labels : list of str
        What there is, for people.
    codes : (n,) int32
        Of each track the number of its label; -1 where nothing is known.
    """

    kind: str
    labels: list[str]
    codes: np.ndarray

    def counts(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """How many of some of the tracks have each label: (len(labels),) int64."""
        codes = self.codes[rows]
        return np.bincount(codes[codes >= 0], minlength=len(self.labels))


def look_up(library: LibraryStore, kind: str, ids: np.ndarray) -> Fact:
    """Look up what is known of tracks.

    A genre is the one of those in the file's tag that most tracks have; where it has none, the likeliest, as a mood is.
    Years are decades, tempos ranges of 20 beats a minute.

    Parameters
    ----------
    library : LibraryStore
        Whose tracks.
    kind : str
        Of `KINDS`, or ``artist``.
    ids : (n,) int64, ascending
        The tracks.
    """
    if kind == "genre":
        return _genres(library, ids)
    if kind == "mood":
        return Fact(kind, *_coded(ids, *_likely(library, "mood")))
    if kind == "year":
        held, years = library.column("year")
        known = [(i, int(year) // 10 * 10) for i, year in zip(held, years, strict=True) if 1000 <= year < 3000]
        return _ordered(kind, ids, known, lambda decade: f"{decade}s")
    if kind == "tempo":
        held, tempi = library.column("tempo_bpm")
        least = np.take(_TEMPI, np.searchsorted(_TEMPI, tempi, "right") - 1)
        known = [(i, n) for i, n, tempo in zip(held, least.tolist(), tempi, strict=True) if tempo > 0]
        return _ordered(kind, ids, known, _range_of_tempo)
    return Fact(kind, *_coded(ids, *library.column(kind)))


def _range_of_tempo(least: int) -> str:
    if least == _TEMPI[0]:
        return f"below {_TEMPI[1]} bpm"
    return f"{_TEMPI[-1]} bpm and more" if least == _TEMPI[-1] else f"{least} to {least + 20} bpm"


def _ordered(kind: str, ids: np.ndarray, known: Sequence[tuple[int, int]], name: Callable[[int], str]) -> Fact:
    values = sorted({value for _, value in known})
    number = {value: n for n, value in enumerate(values)}
    held = np.array([i for i, _ in known], np.int64)
    codes = np.array([number[value] for _, value in known], np.int32)
    return Fact(kind, [name(value) for value in values], _aligned(ids, held, codes))


def _likely(library: LibraryStore, task: str) -> tuple[np.ndarray, list[str]]:
    held, labels, probabilities = library.likeliest_labels(task)
    sure = probabilities >= LIKELY
    return held[sure], [label for label, yes in zip(labels, sure, strict=True) if yes]


def _coded(ids: np.ndarray, held: np.ndarray, values: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Labels, the most common first, and the codes of tracks."""
    labels = [value for value, _ in Counter(values).most_common()]
    number = {label: n for n, label in enumerate(labels)}
    codes = np.array([number[value] for value in values], np.int32)
    return list(map(shown, labels)), _aligned(ids, held, codes)


def _aligned(ids: np.ndarray, held: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(n,) int32 by `ids` of what is known of `held`, both ascending; -1 where nothing is."""
    found = np.full(len(ids), -1, np.int32)
    if len(held):
        at = np.minimum(np.searchsorted(held, ids), len(held) - 1)
        there = held[at] == ids
        found[there] = codes[at[there]]
    return found


def _genres(library: LibraryStore, ids: np.ndarray) -> Fact:
    held, tags = library.column("genre")
    guessed, guesses = _likely(library, "genre")
    parts = {tag: _parts(tag) for tag in set(tags)}
    names: dict[str, Counter[str]] = {}  # by the key of a genre how it is written, and how often
    for tag, n in Counter(tags).items():
        for part in parts[tag]:
            names.setdefault(genre_key(part), Counter())[part] += n
    for label, n in Counter(guesses).items():
        names.setdefault(genre_key(label), Counter())[label] += n
    often = {key: counted.total() for key, counted in names.items()}
    best = {tag: max(map(genre_key, several), key=lambda key: often[key]) for tag, several in parts.items() if several}
    known = {i: best[tag] for i, tag in zip(held.tolist(), tags, strict=True) if tag in best}
    for i, label in zip(guessed.tolist(), guesses, strict=True):
        known.setdefault(i, genre_key(label))
    order = sorted(known)
    labels, codes = _coded(ids, np.array(order, np.int64), [known[i] for i in order])
    written = {key: counted.most_common(1)[0][0] for key, counted in names.items()}
    return Fact("genre", [shown(written.get(key, key)) for key in labels], codes)


def _parts(tag: str) -> list[str]:
    return [part.strip() for part in tag.translate(_SEPARATORS).split(";") if genre_key(part)]
