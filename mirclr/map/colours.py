"""What the colours of a map mean: a code for each track, and a legend."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np

from mirclr.library import LibraryStore
from mirclr.map.facts import KINDS, Fact, look_up

OTHER, UNKNOWN = 254, 255
"""Codes of tracks whose label is too rare for a colour, and of which nothing is known."""

_COLOURS = 10  # of labels without an order, which an eye can tell apart
_ORDERED = ("year", "tempo")
_HUES = 12  # that albums share


@dataclass(frozen=True, eq=False)
class Colours:
    """Codes of tracks.

    Attributes
    ----------
    by : str
        Of `KINDS`.
    scale : str
        ``labels``: a colour each; ``ordered``: from the first to the last; ``shared``: of very many, several share one.
    legend : list of (str, int)
        What each code means, and how many tracks have it; of ``shared`` empty.
    other, unknown : int
        How many tracks have the code `OTHER`, and `UNKNOWN`.
    codes : (n,) uint8
    """

    by: str
    scale: str
    legend: list[tuple[str, int]]
    other: int
    unknown: int
    codes: np.ndarray


def colours_by(library: LibraryStore, by: str, ids: np.ndarray) -> Colours:
    """Colour tracks by what is known of them.

    Parameters
    ----------
    library : LibraryStore
        Whose tracks.
    by : str
        Of `KINDS`.
    ids : (n,) int64, ascending
        The tracks.

    Raises
    ------
    ValueError
        `by` is none of these.
    """
    if by not in KINDS:
        raise ValueError(f"by: found {by!r}; expected one of: {', '.join(KINDS)}")
    fact = look_up(library, by, ids)
    if by == "album":
        hues = np.array([crc32(label.encode()) % _HUES for label in fact.labels], np.uint8)
        return _coloured(fact, "shared", hues, [])
    counts = fact.counts()
    order = np.flatnonzero(counts) if by in _ORDERED else np.argsort(-counts, kind="stable")[:_COLOURS]
    order = order[counts[order] > 0]
    hues = np.full(len(fact.labels), OTHER, np.uint8)
    hues[order] = np.arange(len(order))
    scale = "ordered" if by in _ORDERED else "labels"
    return _coloured(fact, scale, hues, [(fact.labels[i], int(counts[i])) for i in order])


def _coloured(fact: Fact, scale: str, hues: np.ndarray, legend: list[tuple[str, int]]) -> Colours:
    codes = np.append(hues, np.uint8(UNKNOWN))[fact.codes]
    other, unknown = int((codes == OTHER).sum()), int((codes == UNKNOWN).sum())
    return Colours(fact.kind, scale, legend, other, unknown, codes)
