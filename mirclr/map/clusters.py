"""Where the points of a map lie densely, and what the tracks there share.

The density of points, smoothed more for large clusters and less for small ones, has peaks; a track belongs to the peak
that lies uphill from it. A cluster is named by that of which it holds most beside what the library holds: what all of a
library shares names nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mirclr.map.facts import Fact

_CELLS = 256  # of the map, each way
_LEVELS = ((10.0, 0.02), (5.0, 0.005), (2.5, 0.001))  # smoothing in cells, and the smallest fraction of all tracks
_SMALLEST = 4  # tracks
_SHARED = 0.3  # fraction of a cluster that has what it is named by
_RARER = 1.3  # times as many as in the library
_MOST_NAMES = 2
_COUNTS = {"genre": 1.0, "mood": 0.5, "year": 0.4, "artist": 0.4, "tempo": 0.3}  # how much people think in it


@dataclass(frozen=True)
class Cluster:
    """Tracks that lie together.

    Attributes
    ----------
    name : str
        What they share, for people; empty where that is nothing.
    x, y : float
        Where most of them lie.
    size : int
        How many tracks.
    level : int
        0: a large one, to be seen from afar; each further level has smaller ones.
    """

    name: str
    x: float
    y: float
    size: int
    level: int


def find_clusters(points: np.ndarray, facts: Sequence[Fact]) -> list[Cluster]:
    """Find the clusters of a map.

    Parameters
    ----------
    points : (n, 2) float32
        In [-1, 1].
    facts : sequence of Fact
        What they may be named by, of the same tracks.

    Returns
    -------
    list of Cluster
        The largest of each level first.
    """
    found: list[Cluster] = []
    for level, (smoothing, fraction) in enumerate(_LEVELS):
        of = _peaks(points, smoothing)
        sizes = np.bincount(of)
        large = [int(c) for c in np.argsort(-sizes, kind="stable") if sizes[c] >= max(_SMALLEST, fraction * len(of))]
        rows = [np.flatnonzero(of == c) for c in large]
        for name, members in zip(_names(rows, facts), rows, strict=True):
            x, y = _middle(points[members])
            found.append(Cluster(name, x, y, len(members), level))
    return found


def _peaks(points: np.ndarray, smoothing: float) -> np.ndarray:
    """(n,) int64: for each point the number of the peak of density that lies uphill."""
    from scipy.ndimage import gaussian_filter  # its import takes longer than all that a first answer does

    cells = np.clip(((points + 1) * (_CELLS / 2)).astype(np.int64), 0, _CELLS - 1)
    cell = cells[:, 1] * _CELLS + cells[:, 0]
    counts = np.bincount(cell, minlength=_CELLS**2).reshape(_CELLS, _CELLS)
    density = gaussian_filter(counts.astype(np.float64), smoothing, mode="constant")
    number = np.arange(_CELLS**2).reshape(_CELLS, _CELLS)
    around = [(dy, dx) for dy in range(3) for dx in range(3)]
    values, numbers = np.pad(density, 1, constant_values=-1.0), np.pad(number, 1)
    seen = np.stack([values[dy : dy + _CELLS, dx : dx + _CELLS] for dy, dx in around])
    there = np.stack([numbers[dy : dy + _CELLS, dx : dx + _CELLS] for dy, dx in around])
    # of equal ones the first, so that no two cells lead to each other
    uphill = np.take_along_axis(there, seen.argmax(axis=0)[None], 0)[0].ravel()
    while not np.array_equal(further := uphill[uphill], uphill):
        uphill = further
    return np.unique(uphill[cell], return_inverse=True)[1].reshape(-1)


def _middle(points: np.ndarray) -> tuple[float, float]:
    """The point that lies nearest to the median: a place where there is one, whatever the shape."""
    median = np.median(points, axis=0)
    x, y = points[np.abs(points - median).sum(axis=1).argmin()]
    return round(float(x), 5), round(float(y), 5)


def _names(clusters: Sequence[np.ndarray], facts: Sequence[Fact]) -> list[str]:
    """A name for each cluster: the first thing it shares; where others share that too, the next beside it."""
    overall = [fact.counts() for fact in facts]
    shared = [_shared(rows, facts, overall) for rows in clusters]
    first = [names[0] if names else "" for names in shared]
    return [
        " · ".join(names[: 1 if first.count(one) == 1 else _MOST_NAMES])
        for one, names in zip(first, shared, strict=True)
    ]


def _shared(rows: np.ndarray, facts: Sequence[Fact], overall: Sequence[np.ndarray]) -> list[str]:
    """What the tracks of some rows share, that which says the most first; at most one of each kind."""
    found: list[tuple[float, str]] = []
    for fact, of_all in zip(facts, overall, strict=True):
        here = fact.counts(rows)
        if not here.any():
            continue
        share, usual = here / len(rows), of_all / len(fact.codes)
        says = share * np.log(np.maximum(share, 1e-9) / np.maximum(usual, 1e-9))
        best = int(says.argmax())
        if share[best] >= _SHARED and share[best] >= _RARER * usual[best]:
            found.append((-_COUNTS.get(fact.kind, 0.3) * float(says[best]), fact.labels[best]))
    if found:
        return [label for _, label in sorted(found)]
    return _most(rows, facts)


def _most(rows: np.ndarray, facts: Sequence[Fact]) -> list[str]:
    """Where tracks share nothing that others do not: what most of them are, else the artist of whom they hold most."""
    for fact in facts:
        here = fact.counts(rows)
        if here.any() and here.max() >= _SHARED * len(rows):
            return [fact.labels[int(here.argmax())]]
    for fact in facts:
        here = fact.counts(rows) if fact.kind == "artist" else np.zeros(0)
        if here.any() and here.max() >= _SMALLEST:
            return [fact.labels[int(here.argmax())]]
    return []
