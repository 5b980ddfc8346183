"""A path from one track to another: each step short and the steps even, no track twice.

Candidates are the tracks nearest to points on the arc between both; in the order of how far along they lie, the best
chain of a given length through them is found by dynamic programming.
"""

import numpy as np

from mirclr.recommend.ranking import products

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
