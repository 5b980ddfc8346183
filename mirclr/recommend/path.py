"""A path from one track to another: each step short and the steps even, no track twice.

Candidates are the tracks nearest to points on the arc between both; in the order of how far along they lie, the best
chain of a given length through them is found by dynamic programming.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from mirclr.recommend.ranking import DECIMALS, Candidate, products

CANDIDATES = 512


def points_between(a: np.ndarray, b: np.ndarray, n: int) -> np.ndarray:
    """(d,) unit vectors -> (n, d) float32 unit rows, evenly on the great arc between them, without the ends."""
    angle = float(np.arccos(np.clip(a @ b, -1, 1)))
    if np.pi - angle < 1e-3 or angle < 1e-3:  # no arc, or no single one
        weights = np.stack([np.linspace(1, 0, n + 2)[1:-1], np.linspace(0, 1, n + 2)[1:-1]], axis=1)
    else:
        t = np.linspace(0, angle, n + 2)[1:-1]
        weights = np.stack([np.sin(angle - t), np.sin(t)], axis=1) / np.sin(angle)
    points = weights @ np.stack([a, b])
    norms = np.linalg.norm(points, axis=1, keepdims=True)
    return (points / np.maximum(norms, 1e-6)).astype(np.float32)


def best_chain(start: np.ndarray, end: np.ndarray, vectors: np.ndarray, n: int) -> list[int]:
    """Choose n of (m, d) candidates, in the order of playing, between two ends.

    The sum of the squared steps is the least there is among chains that never turn back, a step being 1 - cosine: long
    steps cost most, so the steps are even.

    Returns
    -------
    list of int
        Rows of `vectors`; fewer than n when there are fewer.
    """
    m = len(vectors)
    n = min(n, m)
    if n == 0:
        return []
    ends = np.stack([start, end])
    to_ends = products(ends, vectors)
    order = np.lexsort((np.arange(m), to_ends[1] - to_ends[0]))  # from the start to the end
    rows = vectors[order]
    step = np.square(1 - products(rows, rows))
    step[np.tril_indices(m)] = np.inf  # a chain goes forward
    cost = np.square(1 - to_ends[0][order])
    came: list[np.ndarray] = []
    for _ in range(n - 1):
        through = cost[:, None] + step
        came.append(through.argmin(axis=0))
        cost = through.min(axis=0)
    at = int((cost + np.square(1 - to_ends[1][order])).argmin())
    chain = [at]
    for before in reversed(came):
        at = int(before[at])
        chain.append(at)
    return [int(order[i]) for i in reversed(chain)]


def chain_candidates(
    start: Candidate, end: Candidate, candidates: Sequence[Candidate], n: int, gap: int
) -> list[Candidate]:
    """The best path through candidates with artists apart, both ends included.

    Parameters
    ----------
    start, end : Candidate
        The ends.
    candidates : sequence of Candidate
        The nearest to the arc first.
    n : int
        How many are wanted between the ends; there are fewer where artists cannot be kept apart.
    gap : int
        Others between two tracks of one artist, at least.
    """
    left_out: set[int] = set()
    while True:
        some = [c for c in candidates if c.track.id not in left_out]
        vectors = np.stack([c.vector for c in some]) if some else np.zeros((0, len(start.vector)), np.float32)
        path = [start, *(some[i] for i in best_chain(start.vector, end.vector, vectors, n)), end]
        if not (wrong := _too_near(path, gap)):
            break
        left_out |= wrong
    for candidate in candidates:  # what was too near to another in one place may go into another place
        if len(path) < n + 2 and candidate.track.id in left_out:
            path = _with(path, candidate, gap)
    return path


def _too_near(path: Sequence[Candidate], gap: int) -> set[int]:
    """The tracks between the ends of a path that come too soon after, or before the end, another of their artist."""
    artists, last, wrong = [path[0].artist], path[-1].artist, set()
    for i, candidate in enumerate(path[1:-1], 1):
        artist = candidate.artist
        if artist in artists[max(0, i - gap) :] or (artist == last and len(path) - 1 - i <= gap):
            wrong.add(candidate.track.id)
            artists.append("")  # nobody: it goes
        else:
            artists.append(artist)
    return wrong


def _with(path: list[Candidate], candidate: Candidate, gap: int) -> list[Candidate]:
    """A path with one more track between its ends, where that makes it the least longer; as it is where none may be."""
    steps = np.square(1 - products(candidate.vector[None], np.stack([c.vector for c in path]))[0])
    own = [i for i, c in enumerate(path) if c.artist == candidate.artist]
    free = [at for at in range(1, len(path)) if all((at - i if i < at else i + 1 - at) > gap for i in own)]
    if not free:
        return path
    straight = [float(products(a.vector[None], b.vector[None])[0, 0]) for a, b in pairwise(path)]
    best = min(free, key=lambda at: (round(steps[at - 1] + steps[at] - (1 - straight[at - 1]) ** 2, DECIMALS), at))
    return [*path[:best], candidate, *path[best:]]
