"""From candidates to a list: mutual proximity, negatives, diversity, caps and gaps.

Axes: s seeds, c clusters of seeds, m candidates, d dimensions.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist
from weakref import WeakKeyDictionary

import numpy as np

from mirclr.index import Index
from mirclr.library import LibraryTrack
from mirclr.library.names import artist_key
from mirclr.recommend.recordings import SeenRecordings

DECIMALS = 6
"""Of scores: the last bits differ between machines."""
NEGATIVE = 0.5
"""How much of the similarity to a track to stay away from is taken off."""
ALIKE = 0.6
"""Which fraction of a library's pairs of songs are less alike than two that are alike at all.

Of 472 songs with tags, pairs above it share a genre more often than pairs at random, and those below less often."""
JITTER = 0.03
"""Standard deviation of what a seed for shuffling adds, as a cosine."""
CALIBRATED = 256
"""Tracks of a library whose pairs say how alike songs of it are."""
_NO_SPREAD = 1e-6
_NEXT = 12  # candidates of which one may fill up a list of a given length,
_GIVE_WAY = 3  # in place of one of the last that were taken
_APART = 0.5
_MOST_CLUSTERS = 8
_MOST_LINKED = 2000
_NORMAL = NormalDist()
_BLOCK = 4096  # rows that are held in float64 at once
_MANY = 20_000  # numbers for which importing scipy pays


@dataclass(frozen=True, eq=False)
class Candidate:
    """A track that may be recommended.

    Attributes
    ----------
    track : LibraryTrack
    vector : (d,) float32
    seed : int
        Position of the nearest seed.
    similarity : float
        Cosine with the nearest seed.
    score : float
        What it is ranked by.
    alike : float in [0, 1]
        The score as the fraction of the library's pairs of songs that are less alike; see `Calibration`.
    start_s : float or None
        Where in a long track the segment begins that is nearest; None of one that is its whole vector.
    """

    track: LibraryTrack
    vector: np.ndarray
    seed: int
    similarity: float
    score: float
    alike: float = 1.0
    start_s: float | None = None

    @cached_property
    def artist(self) -> str | int:
        """Whose it is; see `artist_key`."""
        return artist_key(self.track)


def products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(s, d) and (m, d) unit rows -> (s, m) float64 cosines, the same on every machine to `DECIMALS`.

    A block of b at a time: in float64 all tracks of a large library would take twice what they take in float32.
    """
    found, left = np.empty((len(a), len(b))), np.asarray(a, np.float64)
    for at in range(0, len(b), _BLOCK):
        found[:, at : at + _BLOCK] = left @ np.asarray(b[at : at + _BLOCK], np.float64).T
    return np.round(found, DECIMALS, out=found)


def mutual_proximity(
    similarities: np.ndarray,
    of_seeds: np.ndarray,
    of_tracks: np.ndarray,
    *,
    chances: np.ndarray | None = None,
    scale: tuple[float, float] | None = None,
) -> np.ndarray:
    """Mutual proximity of independent normals: cosines, corrected by how near everything is to either side.

    Schnitzer et al. 2012, "Local and global scaling reduce hubs in space", JMLR 13, equation 9: how likely it is that
    both the seed and the track are less similar to a random track. Given here as the cosine that would be as unlikely
    between two average tracks, so that it can be compared with other cosines.

    Parameters
    ----------
    similarities : np.ndarray
        (s, m) cosines.
    of_seeds, of_tracks : np.ndarray
        (s, 2) and (m, 2): mean and standard deviation of their similarities to the library, as
        `mirclr.index.Index.similarity_stats` gives them.
    chances : np.ndarray, optional
        (m,) of how many such pairs, each as likely to be near, this is the nearest; 1 unless given.
    scale : (float, float), optional
        Of `usual`, where that is of more than these.

    Returns
    -------
    np.ndarray
        (s, m) float64.
    """
    mean, std = usual(of_seeds, of_tracks) if scale is None else scale
    if not std > _NO_SPREAD:  # all similarities are equal: there is nothing to correct
        return similarities
    unlikely = _of_chances(_unlikely(similarities, of_seeds[:, None, :], of_tracks), chances)
    return np.round(mean - std * _quantile(unlikely), DECIMALS)


def deviations(similarities: np.ndarray, of_first: np.ndarray, of_second: np.ndarray) -> np.ndarray:
    """(p, m) similarities, (p, 2) and (m, 2) mean and std of both sides -> (p, m) float64: mutual proximity, as by how
    many standard deviations two are more alike than is usual.
    """
    return -_quantile(_unlikely(similarities, of_first[:, None, :], of_second))


def is_flat(scale: tuple[float, float]) -> bool:
    """Whether all similarities are equal, by `usual`: there is nothing to measure by."""
    return not scale[1] > _NO_SPREAD


def sample_of(ids: np.ndarray) -> np.ndarray:
    """Up to `CALIBRATED` of (n,) ids, spread evenly."""
    return ids[np.linspace(0, len(ids) - 1, min(CALIBRATED, len(ids))).astype(np.int64)]


def usual(of_seeds: np.ndarray, of_tracks: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of the similarities of an average one of these: what scores are measured by."""
    mean, std = np.concatenate([of_seeds, of_tracks]).astype(np.float64).mean(axis=0).tolist()
    return mean, std


def _unlikely(similarities: np.ndarray, of_seeds: np.ndarray, of_tracks: np.ndarray) -> np.ndarray:
    """How likely a random track is more similar to either of two than they are to each other."""
    by_seed = _upper_tail((similarities - of_seeds[..., 0]) / np.maximum(of_seeds[..., 1], _NO_SPREAD))
    by_track = _upper_tail((similarities - of_tracks[..., 0]) / np.maximum(of_tracks[..., 1], _NO_SPREAD))
    return np.clip(by_seed + by_track - by_seed * by_track, 1e-300, 1 - 1e-12)


def _of_chances(unlikely: np.ndarray, chances: np.ndarray | None) -> np.ndarray:
    """How likely it is that any of so many random tracks, each so likely, is more similar."""
    if chances is None:
        return unlikely
    return np.clip(-np.expm1(chances * np.log1p(-unlikely)), 1e-300, 1 - 1e-12)


class Calibration:
    """How alike songs of a library are, as a scale for scores: the fraction of its pairs that are less alike.

    Parameters
    ----------
    unlikely : (t, t) float64
        Of pairs of a sample of its tracks: how likely a random track is more like either than they are to each other.
    """

    def __init__(self, unlikely: np.ndarray) -> None:
        self._pairs = unlikely
        self._unlikely = np.sort(np.round(unlikely[np.triu_indices(len(unlikely), 1)], 12))

    @classmethod
    def of(cls, index: Index) -> "Calibration":
        """That of an index, of `sample_of` its tracks, made once: one index answers thousands of queries when it is
        evaluated.
        """
        if index not in _CALIBRATIONS:
            ids = sample_of(index.ids)
            vectors, stats = index.vectors(ids), index.similarity_stats(ids)
            z = (products(vectors, vectors) - stats[:, :1]) / np.maximum(stats[:, 1:], _NO_SPREAD)
            likely = 1 - _upper_tail_of_many(z)
            _CALIBRATIONS[index] = cls(1 - likely * likely.T)
        return _CALIBRATIONS[index]

    @classmethod
    def of_deviations(cls, pairs: np.ndarray) -> "Calibration":
        """(t, t) of pairs of a sample, by how many standard deviations they are more alike than is usual."""
        return cls(_upper_tail_of_many(pairs))

    @property
    def deviations(self) -> np.ndarray:
        """(t, t): by how many standard deviations the pairs of the sample are more alike than is usual."""
        return -_quantile(np.clip(self._pairs, 1e-300, 1 - 1e-12))

    def of_scores(self, scores: np.ndarray, mean: float, std: float) -> np.ndarray:
        """(m,) scores, on the scale of `usual` -> (m,) float64 in [0, 1]: which fraction of pairs is less alike."""
        if not std > _NO_SPREAD:
            return np.clip(scores, 0.0, 1.0)
        return self._fractions(_upper_tail((np.asarray(scores, np.float64) - mean) / std))

    def of_pairs(
        self,
        similarities: np.ndarray,
        of_first: np.ndarray,
        of_second: np.ndarray,
        chances: np.ndarray | None = None,
    ) -> np.ndarray:
        """(m,) cosines of pairs, and (m, 2) statistics of both sides -> (m,) float64, as `of_scores`.

        `chances` are as of `mutual_proximity`.
        """
        return self._fractions(_of_chances(_unlikely(similarities, of_first, of_second), chances))

    def _fractions(self, unlikely: np.ndarray) -> np.ndarray:
        """Of pairs that are as alike, half count; what is more alike than any is not quite above all."""
        n = len(self._unlikely)
        if not n:
            return 1 - np.clip(unlikely, 0.0, 1.0)
        more = np.searchsorted(self._unlikely, np.round(unlikely, 12), "left")
        as_much = np.searchsorted(self._unlikely, np.round(unlikely, 12), "right")
        return np.clip(1 - (more + as_much) / (2 * n), 0.5 / n, 1 - 0.5 / n)


_CALIBRATIONS: WeakKeyDictionary[Index, Calibration] = WeakKeyDictionary()


def _upper_tail(z: np.ndarray) -> np.ndarray:
    """How likely a normal variable is above z."""
    if z.size > _MANY:
        from scipy.special import ndtr

        return np.asarray(ndtr(-z))
    return np.array([math.erfc(x / math.sqrt(2)) / 2 for x in z.ravel().tolist()]).reshape(z.shape)


def _upper_tail_of_many(z: np.ndarray) -> np.ndarray:
    """The same to four digits, without scipy, whose import takes longer than all that a query does."""
    at = np.linspace(-6, 8, 1401)
    table = np.log(_upper_tail(at))
    return np.exp(np.interp(z, at, table))


def _quantile(p: np.ndarray) -> np.ndarray:
    """Below what a normal variable is with probability p."""
    if p.size > _MANY:
        from scipy.special import ndtri

        return np.asarray(ndtri(p))
    return np.array([_NORMAL.inv_cdf(x) for x in p.ravel().tolist()]).reshape(p.shape)


def clusters_of(vectors: np.ndarray) -> np.ndarray:
    """(s, d) unit rows of seeds -> (s,) int64: groups of similar ones, numbered from 0; eight at most.

    Average linkage down to a cosine of 0.5: seeds that are farther apart are different tastes.
    """
    if len(vectors) == 1:
        return np.zeros(1, np.int64)
    from scipy.cluster.hierarchy import fcluster, linkage

    rows = np.linspace(0, len(vectors) - 1, min(len(vectors), _MOST_LINKED)).astype(int)
    tree = linkage(vectors[rows].astype(np.float64), "average", metric="cosine")
    groups = fcluster(tree, 1 - _APART, "distance")
    if groups.max() > _MOST_CLUSTERS:
        groups = fcluster(tree, _MOST_CLUSTERS, "maxclust")
    centres = np.stack([vectors[rows[groups == g]].mean(axis=0) for g in range(1, groups.max() + 1)])
    joined = (vectors @ (centres / np.linalg.norm(centres, axis=1, keepdims=True).clip(1e-12)).T).argmax(axis=1)
    joined[rows] = groups - 1
    _, first = np.unique(joined, return_index=True)
    order = {int(joined[at]): place for place, at in enumerate(sorted(first))}  # by the first seed of each
    return np.array([order[int(g)] for g in joined], np.int64)


def jitter(ids: np.ndarray, seed: int) -> np.ndarray:
    """(m,) float64, of standard deviation `JITTER`: a function of seed and id alone."""
    drawn = (hashlib.blake2b(f"{seed} {i}".encode(), digest_size=8).digest() for i in ids.tolist())
    return JITTER * np.array([_NORMAL.inv_cdf((int.from_bytes(d, "big") + 0.5) / 2**64) for d in drawn])


@dataclass
class Limits:
    """How many tracks of one artist may come, and how far apart.

    Attributes
    ----------
    n : int
        Length of the list.
    cap : int
        Tracks of one artist at most; 0 for any number.
    gap : int
        Others between two of one artist, at least.
    """

    n: int
    cap: int
    gap: int
    _counts: Counter[str | int] = field(default_factory=Counter)
    _artists: Counter[int] = field(default_factory=Counter)  # that have so many tracks, or more

    def allow(self, artist: str | int) -> bool:
        """Whether one more of an artist can be put into a list of n."""
        count = self._counts[artist] + 1
        if self.cap and count > self.cap:
            return False
        most = max(self._artists, default=0)
        if count < most:
            return True  # it fits as well as before
        return _fit(count, self._artists[count] + 1, self.n, self.gap)

    def take(self, artist: str | int) -> None:
        """Count one more of an artist."""
        self._counts[artist] += 1
        self._artists[self._counts[artist]] += 1


def fits(counts: "dict[str | int, int] | Counter[str | int]", n: int, gap: int) -> bool:
    """Whether tracks, so many of each artist, can be put into n places with `gap` others between two of one artist.

    The most frequent artists, f tracks each, take a place in every one of f - 1 rounds of gap + 1, and one after them.
    """
    most = max(counts.values(), default=0)
    return _fit(most, sum(c == most for c in counts.values()), n, gap)


def _fit(most: int, artists: int, n: int, gap: int) -> bool:
    """Whether so many artists, of `most` tracks each, fit; those with fewer fit in between."""
    return most <= 1 or (most - 1) * (gap + 1) + artists <= n


def falling(chosen: Sequence[Candidate], groups: Sequence[int]) -> list[float]:
    """How alike candidates are, falling in the order that they are listed in, within each group of seeds.

    One that had to wait, so that artists are apart, is given no more than the one before it.
    """
    least: dict[int, float] = {}
    found = []
    for candidate, group in zip(chosen, groups, strict=True):
        least[group] = min(candidate.alike, least.get(group, 1.0))
        found.append(least[group])
    return found


def choose(
    queues: Sequence[Sequence[Candidate]],
    weights: Sequence[float],
    limits: Limits,
    recordings: SeenRecordings,
    diversity: float,
) -> list[Candidate]:
    """Take candidates in turns from the clusters, the best of each that the limits allow.

    Parameters
    ----------
    queues : sequence of sequences of Candidate
        Of each cluster, best first.
    weights : sequence of float
        What fraction of the list each cluster should give, in any unit.
    limits : Limits
        Counts what is chosen.
    recordings : SeenRecordings
        What the list has already; what is chosen is added.
    diversity : float in [0, 1]
        Weight of the distance to what is chosen, against the score: maximal marginal relevance (Carbonell and
        Goldstein 1998).

    Returns
    -------
    list of Candidate
        At most ``limits.n``.
    """
    nearest = [np.full(len(queue), -1.0) for queue in queues]  # cosine with the most similar of the chosen
    scores = [np.array([c.score for c in queue] if diversity else []) for queue in queues]
    matrices = [np.stack([c.vector for c in queue]) for queue in queues if queue and diversity]
    filled = [i for i, queue in enumerate(queues) if queue and diversity]
    alive = [np.ones(len(queue), bool) for queue in queues]
    waiting = [len(queue) for queue in queues]
    given = [0] * len(queues)
    chosen: list[Candidate] = []
    total = sum(weights) or 1.0
    while len(chosen) < limits.n and any(waiting):
        owed = [weight / total * (len(chosen) + 1) - g for weight, g in zip(weights, given, strict=True)]
        turn = max((i for i, n in enumerate(waiting) if n), key=lambda i: (round(owed[i], 9), -i))
        candidate = None
        while waiting[turn]:
            at = _next(scores[turn], alive[turn], nearest[turn], diversity)
            alive[turn][at] = False
            waiting[turn] -= 1
            tried = queues[turn][at]
            if limits.allow(tried.artist) and not recordings.contains(tried.track, tried.vector):
                candidate = tried
                break
        if candidate is None:
            continue
        limits.take(candidate.artist)
        recordings.add(candidate.track, candidate.vector)
        chosen.append(candidate)
        given[turn] += 1
        if diversity:
            for i, matrix in zip(filled, matrices, strict=True):
                nearest[i] = np.maximum(nearest[i], products(candidate.vector[None], matrix)[0])
    return chosen


def _next(scores: np.ndarray, alive: np.ndarray, nearest: np.ndarray, diversity: float) -> int:
    if not diversity or not (nearest > -1).any():
        return int(alive.argmax())
    worth = (1 - diversity) * scores - diversity * nearest
    return int(np.where(alive, np.round(worth, DECIMALS), -np.inf).argmax())


def arrange(chosen: Sequence[Candidate], gap: int) -> list[Candidate]:
    """Put candidates in an order as near as can be to theirs with `gap` others between two of one artist.

    Where there are too few others, the last ones of the most frequent artist are left out.
    """
    left = list(chosen)
    counts = Counter(c.artist for c in left)
    if len(counts) == len(left):
        return left
    while left and not fits(counts, len(left), gap):
        worst = max(counts.values())
        gone = left.pop(max(i for i, c in enumerate(left) if counts[c.artist] == worst))
        counts[gone.artist] -= 1
    listed: list[Candidate] = []
    while left:
        recent = [c.artist for c in listed[-gap:]] if gap else []
        free = (i for i, c in enumerate(left) if c.artist not in recent)
        at = next((i for i in free if _can_follow(recent, counts, left[i].artist, len(left) - 1, gap)), None)
        if at is None:  # the most frequent of those that are left must come now
            free = (i for i, c in enumerate(left) if c.artist not in recent)
            at = max(free, key=lambda i: (counts[left[i].artist], -i), default=None)
        if at is None:
            break
        listed.append(left.pop(at))
        counts[listed[-1].artist] -= 1
    return listed


def _can_follow(
    recent: Sequence[str | int], counts: Counter[str | int], artist: str | int, places: int, gap: int
) -> bool:
    """Whether the rest can still be put in order when one of an artist comes next: no artist needs more places.

    `recent` are the artists of the last `gap` places; `counts` what is left of each, that one with them.
    """
    left = {a: n - (a == artist) for a, n in counts.items() if n > 1 or a == artist or a in recent}
    last = [*recent, artist][-gap:] if gap else []
    tight = 0
    for other, n in left.items():
        if not n:
            continue
        since = last[::-1].index(other) if other in last else gap
        needed = gap - since + (n - 1) * (gap + 1) + 1
        if needed > places:
            return False
        tight += n > 1 and needed == places
    return fits(left, places, gap) and tight <= 1 + gap


def fill_length(chosen: Sequence[Candidate], length_s: float, gap: int) -> list[Candidate]:
    """Of candidates, best first, those that play as near below a length as can be, in an order with artists apart.

    The best ones that fit, of which one of the last gives way to one of the next few that fills the time better. What
    cannot be kept apart from others of its artist is replaced in turn.
    """
    left = list(chosen)
    while True:
        taken = _fitting(left, length_s)
        listed = arrange(taken, gap)
        if len(listed) == len(taken):
            return listed
        kept = {id(c) for c in listed}
        left = [c for c in left if id(c) in kept or c not in taken]


def _fitting(chosen: Sequence[Candidate], length_s: float) -> list[Candidate]:
    taken: list[Candidate] = []
    left_s, at = length_s, 0
    for at, candidate in enumerate(chosen):  # noqa: B007
        if candidate.track.duration_s > left_s:
            break
        taken.append(candidate)
        left_s -= candidate.track.duration_s
    else:
        return taken
    next_ones = chosen[at : at + max(_NEXT, len(taken))]
    options = [(left_s, taken), *((left_s - c.track.duration_s, [*taken, c]) for c in next_ones)]
    for i in range(max(0, len(taken) - _GIVE_WAY), len(taken)):
        freed_s, others = left_s + taken[i].track.duration_s, taken[:i] + taken[i + 1 :]
        options += [(freed_s - c.track.duration_s, [*others, c]) for c in next_ones]
    return min((option for option in options if option[0] >= 0), key=lambda option: option[0])[1]
