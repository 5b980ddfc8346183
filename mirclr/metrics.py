"""Metrics: pure functions of numpy arrays, each with its definition and source.

Conventions: n items, d dimensions, q queries. Similarity is the cosine. A group or label is any value that
compares equal within the group; an empty text or None is "unknown": such an item is never relevant and never
a query, but it stays in the rankings of others. Ties in a ranking are broken by the order of the rows. A metric that is
not defined for what it is given is NaN, never an error; a score of infinity is a score like others.

What scikit-learn and scipy have is theirs, imported when it is called: to import this module is cheap. By hand are
rankings with groups left out, what chance gives them, votes of neighbours and the calibration error, which they lack,
and `average_precision`, which `retrieval` takes of each query (theirs sorts again: 40 times as long).

Contents: of rankings `average_precision`, `retrieval`, `chance_average_precision`, `chance_hit`, `ndcg`; of neighbours
`hubness`, `k_occurrence`, `skewness`; of classifiers `knn_accuracy`, `accuracy`, `macro_f1`,
`average_precision_of_scores`, `roc_auc`, `expected_calibration_error`, `pearson`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

_BLOCK = 128  # queries at a time: bounds the memory at 128 x n similarities
_ROWS = 16_384  # items at a time that are made unit rows, in float64


def average_precision(relevant: np.ndarray) -> float:
    """Average precision of one ranking: the mean over the relevant items of the precision at each one's rank.

    Manning, Raghavan, Schütze, "Introduction to Information Retrieval" (2008), 8.4.

    Parameters
    ----------
    relevant : (n,) bool
        Whether the item at each rank is relevant, best rank first.

    Returns
    -------
    float
        In (0, 1]; NaN when nothing is relevant.
    """
    ranks = np.flatnonzero(relevant) + 1
    if not len(ranks):
        return float("nan")
    return float((np.arange(1, len(ranks) + 1) / ranks).mean())


def average_precision_of_scores(positive: np.ndarray, scores: np.ndarray) -> float:
    """Average precision of a classifier's scores, by scikit-learn's ``average_precision_score``.

    The sum over thresholds of (recall gained) x (precision there). Equal scores share a threshold, so the order of the
    rows has no influence.

    Parameters
    ----------
    positive : (n,) bool
        Which items are.
    scores : (n,) float
        Higher means more likely positive.

    Returns
    -------
    float
        In (0, 1]; NaN when nothing is positive, or a score is NaN.
    """
    positive, scores = np.asarray(positive, bool), np.asarray(scores, float)
    if not positive.any() or np.isnan(scores).any():
        return float("nan")
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(positive, _ranks(scores)))


@dataclass(frozen=True)
class Retrieval:
    """How well neighbours share the query's group.

    Attributes
    ----------
    map, hit : float
        Mean average precision; fraction of queries with a relevant item among the first k. NaN without queries.
    chance_map, chance_hit : float
        Their exact expectations for random rankings of the same queries.
    k : int
        Of `hit`.
    queries, left_out : int
        Queries that count, and those left out because nothing is relevant to them.
    """

    map: float
    hit: float
    chance_map: float
    chance_hit: float
    k: int
    queries: int
    left_out: int


def retrieval(
    vectors: np.ndarray,
    groups: Sequence[Any] | np.ndarray,
    exclude: Sequence[Any] | np.ndarray | None = None,
    *,
    k: int = 5,
    queries: np.ndarray | None = None,
) -> Retrieval:
    """Rank all other items by cosine to each query; fellow members of the query's group are relevant.

    With albums as `exclude` this is the album filter of Flexer and Schnitzer, "Effects of album and artist
    filters in audio similarity computed for very large music databases", Computer Music Journal 34 (2010).

    Parameters
    ----------
    vectors : (n, d) float
        The items; none needs to be of unit length.
    groups : (n,) of any value
        Such as artists.
    exclude : (n,) of any value, optional
        Such as albums: what shares the query's value here is removed from its ranking.
    k : int
        Of hit@k.
    queries : (q,) int, optional
        Rows to ask for; all by default.

    Returns
    -------
    Retrieval
    """
    group = _codes(groups)
    barred = None if exclude is None else _codes(exclude)
    asked = np.arange(len(group)) if queries is None else np.asarray(queries)
    rows: list[tuple[float, ...]] = []
    for i, similarity in _similarities(vectors, asked):
        keep = np.ones(len(group), bool)
        if barred is not None and barred[i] >= 0:
            keep = barred != barred[i]
        keep[i] = False
        relevant = (group == group[i])[keep]
        n, r = len(relevant), int(relevant.sum())
        if group[i] < 0 or r == 0:
            continue
        ranked = relevant[np.argsort(-similarity[keep], kind="stable")]
        chance = (chance_average_precision(r, n), chance_hit(r, n, k))
        rows.append((average_precision(ranked), float(ranked[:k].any()), *chance))
    means = np.mean(rows, axis=0) if rows else np.full(4, np.nan)
    map_, hit, random_map, random_hit = (float(m) for m in means)
    return Retrieval(map_, hit, random_map, random_hit, k, len(rows), len(asked) - len(rows))


def chance_average_precision(relevant: int, items: int) -> float:
    """Expected average precision of a random ranking: ((R - 1) / (N - 1) (N - H) + H) / N.

    H is the N-th harmonic number. Bestgen, "Exact expected average precision of the random baseline for
    system evaluation", The Prague Bulletin of Mathematical Linguistics 103 (2015).

    Parameters
    ----------
    relevant, items : int
        R of N; at least 1.
    """
    if items == 1:
        return 1.0
    harmonic = float((1 / np.arange(1, items + 1)).sum())
    return ((relevant - 1) / (items - 1) * (items - harmonic) + harmonic) / items


def chance_hit(relevant: int, items: int, k: int) -> float:
    """Chance that a random ranking has one of R relevant in the first k of N: 1 - C(N - R, k) / C(N, k)."""
    k = min(k, items)
    return 1 - comb(items - relevant, k) / comb(items, k)


def ndcg(relevant: np.ndarray, total: int, k: int) -> float:
    """Normalised discounted cumulative gain at k of one ranking, where an item is relevant or not.

    Järvelin and Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques", with a discount of log2(1 + rank);
    by scikit-learn's ``ndcg_score``.

    Parameters
    ----------
    relevant : (m,) bool
        Whether the item at each rank is relevant, best rank first; those from k on do not count.
    total : int
        How many relevant items there are, at least 1.
    k : int
        At least 1.

    Returns
    -------
    float
        In [0, 1]; 1 when the first min(k, total) are relevant.
    """
    from sklearn.metrics import ndcg_score

    first = np.asarray(relevant[:k], bool)
    missing = max(0, min(total, k) - int(first.sum()))
    gains = np.zeros((1, 2 * k + 1))  # the relevant items that are not among the first k come after them
    gains[0, : len(first)], gains[0, k : k + missing] = first, 1
    return float(ndcg_score(gains, -np.arange(gains.size)[None], k=k, ignore_ties=True))


def hubness(vectors: np.ndarray, *, k: int = 10, queries: np.ndarray | None = None) -> float:
    """Skewness of the k-occurrence: of how often each item is among the k nearest neighbours of others.

    S = E[(N_k - mean)^3] / std^3. Radovanović, Nanopoulos, Ivanović, "Hubs in space", JMLR 11 (2010). About 0
    is even; above 1 a few hubs turn up everywhere.

    Parameters
    ----------
    vectors : (n, d) float
        The items.
    k : int
        Neighbours; n - 1 at most are taken.
    queries : (q,) int, optional
        Rows whose neighbours are counted; all by default.

    Returns
    -------
    float
        0 when every item occurs equally often.
    """
    n = len(vectors)
    k = min(k, n - 1)
    counts = np.zeros(n)
    for i, similarity in _similarities(vectors, np.arange(n) if queries is None else np.asarray(queries)):
        similarity[i] = -np.inf
        counts[np.argsort(-similarity, kind="stable")[:k]] += 1
    return skewness(counts)


def k_occurrence(neighbours: np.ndarray, n: int) -> np.ndarray:
    """How often each item is among the neighbours of others: N_k of Radovanović et al. (2010), section 2.

    Parameters
    ----------
    neighbours : (q, k) int
        Rows of the k nearest items of each query, the query itself not among them.
    n : int
        How many items there are.

    Returns
    -------
    (n,) int
        Its mean is q k / n. An item with 0 is an antihub, one with far more than the mean a hub.
    """
    return np.bincount(np.asarray(neighbours, np.int64).ravel(), minlength=n)


def skewness(values: np.ndarray) -> float:
    """Standardised third moment, E[(x - mean)^3] / std^3, by ``scipy.stats.skew``; 0 for equal values, and for none."""
    values = np.asarray(values, float)
    if not len(values) or values.std() <= np.finfo(float).eps * abs(values.mean()):  # of rounding alone
        return 0.0
    from scipy.stats import skew

    return float(skew(values))


def knn_accuracy(
    bank: np.ndarray,
    bank_labels: Sequence[Any] | np.ndarray,
    queries: np.ndarray,
    query_labels: Sequence[Any] | np.ndarray,
    *,
    k: int = 20,
    temperature: float = 0.07,
) -> float:
    """Accuracy of a vote of the k nearest neighbours, each with the weight exp(cosine / temperature).

    Wu, Xiong, Yu, Lin, "Unsupervised feature learning via non-parametric instance discrimination", CVPR 2018,
    section 3.4.

    Parameters
    ----------
    bank : (n, d) float
        Vectors that vote; none of them should be a query.
    bank_labels : (n,) of any value
        Theirs.
    queries : (q, d) float
        Vectors to be labelled.
    query_labels : (q,) of any value
        What is right.
    k : int
        Neighbours; n at most are taken.
    temperature : float
        Above 0.

    Returns
    -------
    float
        In [0, 1]; equal votes go to the label that sorts first. NaN when bank or queries are empty.
    """
    if not len(bank) or not len(queries):
        return float("nan")
    names, votes_for = np.unique(np.asarray(bank_labels), return_inverse=True)
    bank, queries = _unit(bank), _unit(queries)
    k = min(k, len(bank))
    predicted = []
    for start in range(0, len(queries), _BLOCK):
        similarity = queries[start : start + _BLOCK] @ bank.T
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        cosine = np.take_along_axis(similarity, nearest, axis=1)
        weights = np.exp((cosine - cosine[:, :1]) / temperature)  # a common factor a row changes no vote
        votes = np.zeros((len(cosine), len(names)))
        np.add.at(votes, (np.arange(len(cosine))[:, None], votes_for[nearest]), weights)
        predicted.append(names[votes.argmax(axis=1)])
    return accuracy(np.concatenate(predicted), query_labels)


def accuracy(predicted: Sequence[Any] | np.ndarray, actual: Sequence[Any] | np.ndarray) -> float:
    """Fraction of items whose predicted label is the actual one; NaN for none."""
    same = np.asarray(predicted) == np.asarray(actual)
    return float(np.mean(same)) if np.size(same) else float("nan")


def macro_f1(predicted: Sequence[Any] | np.ndarray, actual: Sequence[Any] | np.ndarray) -> float:
    """Mean over labels of F1 = 2 TP / (2 TP + FP + FN); a label never predicted counts 0.

    By scikit-learn's ``f1_score(average="macro")``: the labels are those that occur in either. NaN for no items.
    """
    predicted, actual = np.asarray(predicted), np.asarray(actual)
    if not len(actual):
        return float("nan")
    from sklearn.metrics import f1_score

    codes = np.unique(np.concatenate([predicted, actual]), return_inverse=True)[1]  # labels of any kind
    return float(f1_score(codes[len(predicted) :], codes[: len(predicted)], average="macro", zero_division=0))


def roc_auc(positive: np.ndarray, scores: np.ndarray) -> float:
    """Chance that a random positive scores above a random negative, ties counting half (Mann-Whitney U).

    Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27 (2006); by scikit-learn's
    ``roc_auc_score``.

    Parameters
    ----------
    positive : (n,) bool
        Which items are.
    scores : (n,) float
        Higher means more likely positive.

    Returns
    -------
    float
        In [0, 1]; NaN when all or none are positive, or a score is NaN.
    """
    positive, scores = np.asarray(positive, bool), np.asarray(scores, float)
    if not positive.any() or positive.all() or np.isnan(scores).any():
        return float("nan")
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(positive, _ranks(scores)))


def expected_calibration_error(confidence: np.ndarray, outcome: np.ndarray, *, bins: int = 15) -> float:
    """Mean gap between mean confidence and mean outcome, over bins of confidence weighted by their items.

    Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017, equation 3.

    Parameters
    ----------
    confidence : (n,) float in [0, 1]
        Of the predicted label; or the probability of one label.
    outcome : (n,) bool or float in [0, 1]
        Whether the prediction was right; or whether, or to what extent, the label was true.
    bins : int
        Of equal width, over [0, 1]; the upper edge belongs to a bin.

    Returns
    -------
    float
        In [0, 1]; 0 is perfectly calibrated. NaN for no items.
    """
    confidence, outcome = np.asarray(confidence, float), np.asarray(outcome, float)
    if not len(confidence):
        return float("nan")
    place = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    gaps = np.bincount(place, weights=confidence - outcome, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def pearson(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Pearson's correlation coefficient, in [-1, 1]; NaN when either is constant."""
    x, y = np.asarray(predicted, float), np.asarray(actual, float)
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def _ranks(scores: np.ndarray) -> np.ndarray:
    """Scores as finite numbers in the same order, equal where they are equal: scikit-learn refuses infinity."""
    from scipy.stats import rankdata

    ranks: np.ndarray = rankdata(scores, method="dense")
    return ranks


def _codes(groups: Sequence[Any] | np.ndarray) -> np.ndarray:
    """(n,) int: equal for equal groups, -1 for unknown ones."""
    numbers: dict[Any, int] = {}
    unknown = (None, "")
    values = groups.tolist() if isinstance(groups, np.ndarray) else groups
    return np.array([-1 if g in unknown else numbers.setdefault(g, len(numbers)) for g in values], int)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of unit length in float64; rows of zeros stay."""
    x = np.asarray(vectors, np.float64)
    unit: np.ndarray = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return unit


def _similarities(vectors: np.ndarray, queries: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each query's row number with its (n,) cosines to all rows; the array may be written to."""
    for start in range(0, len(queries), _BLOCK):
        block = queries[start : start + _BLOCK]
        asked = _unit(vectors[block])
        products = [asked @ _unit(vectors[i : i + _ROWS]).T for i in range(0, len(vectors), _ROWS)]
        yield from zip(block.tolist(), np.concatenate(products, axis=1), strict=True)
