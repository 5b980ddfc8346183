"""Vectors to points of a plane, by t-SNE; and the place of one more vector among points that stay.

t-SNE (van der Maaten and Hinton 2008) begins with the two main directions of the vectors, so that what lies far apart
means something too and the same vectors give the same map (Kobak and Berens 2019). It is computed by openTSNE, with
interpolation by FFT (Linderman et al. 2019) where there are many; where that is not installed, as it has no wheel for
every machine, by scikit-learn, which is slower.

Contents: `lay_out`, `place_among`.
"""

from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mirclr.index import nearest_rows

Report = Callable[[int, int], object]
"""Called as ``report(done, total)``."""

MOST = 200_000
"""Tracks that are laid out together; more are placed among them."""

_DIRECTIONS = 64  # in which distances are taken: of real libraries they hold most of the variance
_MANY = 5_000  # points from where interpolation is faster than a tree
_ITERATIONS = (250, 500)  # early, and late
_EXAGGERATION = 12.0
_EVERY = 10  # iterations between reports
_FEWEST = 8  # points, from where they have neighbourhoods
_NEAREST, _NEARER = 10, 4
_GOLDEN = np.pi * (3 - np.sqrt(5))


def lay_out(vectors: np.ndarray, report: Report = lambda done, total: None) -> np.ndarray:
    """Lay out vectors so that near ones are near.

    Parameters
    ----------
    vectors : np.ndarray
        (n, d) float32.
    report : callable
        Told of progress.

    Returns
    -------
    (n, 2) float32
        In [-1, 1], centred; finite whatever the vectors are.
    """
    some = np.unique(np.linspace(0, len(vectors) - 1, min(len(vectors), MOST)).astype(np.int64))
    directions = _main_directions(vectors[some] if len(some) < len(vectors) else vectors)
    rows = directions.of(vectors)
    laid = _tsne(rows[some], report)
    points = np.empty((len(vectors), 2), np.float32)
    points[some] = _fitted(laid)
    rest = np.setdiff1d(np.arange(len(vectors)), some)
    if len(rest):
        points[rest] = _among(rows[some], points[some], rows[rest], rest)
    return points


def place_among(vectors: np.ndarray, points: np.ndarray, new: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Place new vectors where those that are nearest to them lie; none of these moves.

    Parameters
    ----------
    vectors, points : np.ndarray
        (n, d) and (n, 2) float32: what has a place; at least one.
    new : np.ndarray
        (m, d) float32.
    ids : np.ndarray
        (m,) int, by which those of one place are spread around it.

    Returns
    -------
    (m, 2) float32
        In [-1, 1].
    """
    directions = _main_directions(vectors)
    return _among(directions.of(vectors), points, directions.of(new), ids)


class _Directions:
    def __init__(self, mean: np.ndarray, axes: np.ndarray) -> None:
        self._shift, self._axes = mean @ axes, axes

    def of(self, vectors: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(vectors @ self._axes - self._shift, np.float32)


def _main_directions(vectors: np.ndarray) -> _Directions:
    """In which vectors differ most; each with the sign that makes its largest component positive."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    with threadpool_limits(1, "blas"):  # beside other work, threads that wait for each other take longer
        covariance = (vectors.T @ vectors).astype(np.float64) / len(vectors) - np.outer(mean, mean)
        axes = np.linalg.eigh(covariance)[1][:, ::-1][:, :_DIRECTIONS]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], 0)
    return _Directions(mean.astype(np.float32), (axes * np.where(largest < 0, -1, 1)).astype(np.float32))


def _tsne(rows: np.ndarray, report: Report) -> np.ndarray:
    """(n, 2) of rows in their main directions; of too few for neighbourhoods those directions themselves."""
    begin = rows[:, :2].astype(np.float64)
    begin = np.pad(begin, ((0, 0), (0, 2 - begin.shape[1])))
    spread = float(begin[:, 0].std())
    if len(rows) < _FEWEST or not spread > 0:
        return begin
    begin *= 1e-4 / spread
    perplexity = min(30.0 if len(rows) <= _MANY else 15.0, (len(rows) - 1) / 3)
    try:
        import openTSNE  # noqa: F401
    except ImportError:
        return _by_scikit_learn(rows, begin, perplexity, report)
    return _by_opentsne(rows, begin, perplexity, report)


def _by_opentsne(rows: np.ndarray, begin: np.ndarray, perplexity: float, report: Report) -> np.ndarray:
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    distances, nearest = _neighbours(rows, int(3 * perplexity))
    method, jobs = ("bh", 1) if len(rows) <= _MANY else ("fft", -1)
    neighbours = PrecomputedNeighbors(nearest, distances.astype(np.float64))
    affinities = PerplexityBasedNN(perplexity=perplexity, knn_index=neighbours, n_jobs=jobs, random_state=1)
    points = TSNEEmbedding(begin, affinities, negative_gradient_method=method, n_jobs=jobs, random_state=1)
    done = 0
    for iterations, exaggeration, momentum in zip(_ITERATIONS, (_EXAGGERATION, None), (0.5, 0.8), strict=True):

        def on_iteration(iteration: int, error: float, embedding: np.ndarray, before: int = done) -> None:
            report(before + iteration, sum(_ITERATIONS))

        points = points.optimize(
            iterations,
            exaggeration=exaggeration,
            momentum=momentum,
            callbacks=on_iteration,
            callbacks_every_iters=_EVERY,
        )
        done += iterations
    return np.asarray(points)


def _by_scikit_learn(rows: np.ndarray, begin: np.ndarray, perplexity: float, report: Report) -> np.ndarray:
    from sklearn.manifold import TSNE

    report(0, sum(_ITERATIONS))
    made = TSNE(perplexity=perplexity, init=begin.astype(np.float32), random_state=1, n_jobs=-1).fit_transform(rows)
    report(sum(_ITERATIONS), sum(_ITERATIONS))
    return np.asarray(made)


def _neighbours(rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, k) distances and numbers of the nearest other rows, without the row itself, whatever is equal to it."""
    distances, nearest = nearest_rows(rows, rows, k + 1)
    own = nearest == np.arange(len(rows))[:, None]
    own[~own.any(axis=1), -1] = True
    return distances[~own].reshape(-1, k), nearest[~own].reshape(-1, k)


def _fitted(points: np.ndarray) -> np.ndarray:
    low, high = points.min(axis=0), points.max(axis=0)
    half = float((high - low).max()) / 2
    return ((points - (low + high) / 2) / (half if half > 0 else 1.0)).astype(np.float32)


def _among(rows: np.ndarray, points: np.ndarray, new: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The middle of those of the nearest that lie closest together: their mean would lie between two groups."""
    _, nearest = nearest_rows(rows, new, _NEAREST)
    places = points[nearest]  # (m, k, 2)
    apart = np.linalg.norm(places[:, :, None] - places[:, None], axis=3)  # (m, k, k)
    inner = apart.sum(axis=2).argmin(axis=1)
    order = np.argsort(np.take_along_axis(apart, inner[:, None, None], 1)[:, 0], axis=1, kind="stable")[:, :_NEARER]
    chosen = np.take_along_axis(places, order[:, :, None], 1)
    middle = chosen.mean(axis=1)
    around = np.linalg.norm(chosen - middle[:, None], axis=2).mean(axis=1)
    angle = np.asarray(ids) * _GOLDEN
    spread = 0.3 * around[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.clip(middle + spread, -1, 1).astype(np.float32)
