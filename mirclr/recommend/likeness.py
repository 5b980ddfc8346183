"""`Likeness`: how alike songs are in the aspects that a query weighs, on the scale of what ranks them by sound.

In each aspect a song and a seed are as alike as it is unlikely that a random song is more like either of them (mutual
proximity, as of vectors: `mirclr.recommend.ranking`), given as standard deviations; these are added by their weights.
What is not known of a song counts as usual: it is neither alike nor not.

Axes: p points that songs are compared with (seeds, or what to stay away from), m candidates, t songs of a sample.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mirclr.index import Index
from mirclr.recommend.aspects import SOUND, AspectRows
from mirclr.recommend.ranking import DECIMALS, Calibration, deviations, is_flat, products, sample_of
from mirclr.recommend.seeds import Seed

_LEAST_STD = 0.05  # of similarities, as far as they say anything


class Likeness:
    """How alike songs are by several aspects, or by another than sound.

    Parameters
    ----------
    weights : mapping of str to float
        Of `mirclr.recommend.aspects.parse_like`.
    rows : callable
        Gives the rows of an aspect, by its name.
    index : Index
        Of the library.
    """

    def __init__(self, weights: Mapping[str, float], rows: Callable[[str], AspectRows], index: Index) -> None:
        norm = float(np.linalg.norm(list(weights.values())))
        self.weights = {name: weight / norm for name, weight in weights.items()}
        self._index = index
        self._aspects = {name: _Aspect.of(rows(name), index) for name in weights if name != SOUND}

    @property
    def by_sound(self) -> bool:
        """Whether sound counts."""
        return SOUND in self.weights

    @property
    def others(self) -> str:
        """What counts beside sound, for people."""
        return " or ".join(self._aspects)

    def undescribed(self, ids: np.ndarray) -> np.ndarray:
        """(m,) bool: the tracks in which nobody looked for what counts."""
        return np.logical_or.reduce([~np.isin(ids, aspect.rows.described) for aspect in self._aspects.values()])

    def knows(self, points: Sequence[Seed]) -> np.ndarray:
        """(p,) bool: the points of which any aspect is known that counts, other than sound."""
        return np.logical_or.reduce([aspect.of_points(points)[1] for aspect in self._aspects.values()])

    def near(self, points: Sequence[Seed], ids: np.ndarray) -> np.ndarray:
        """(m,) ids -> (m,) float32: how alike each is to the nearest of some points, sound left out, for candidates."""
        parts = [self.weights[name] * aspect.near(points, ids) for name, aspect in self._aspects.items()]
        return np.sum(parts, axis=0).max(axis=0)

    def mixed(
        self,
        to_seeds: tuple[np.ndarray, Sequence[Seed]],
        to_others: tuple[np.ndarray, Sequence[Seed]],
        scale: tuple[float, float],
        ids: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
        """Scores by sound of (m,) tracks, (p, m) with the p points that they are of, to scores by all aspects.

        Returns
        -------
        to_seeds, to_others : (p, m) float64
        scale : (float, float)
            What they are on: of `usual` as it was given, or, where all sounds the same, standard deviations.
        """
        weight = self.weights.get(SOUND, 0.0)
        if is_flat(scale):
            weight, scale = 0.0, (0.0, 1.0)
        mean, std = scale

        def one(scores: np.ndarray, points: Sequence[Seed]) -> np.ndarray:
            total = weight * (scores - mean) / std
            for name, aspect in self._aspects.items():
                total = total + self.weights[name] * aspect.deviations(points, ids)
            return np.round(mean + std * total, DECIMALS)

        return one(*to_seeds), one(*to_others), scale

    @cached_property
    def calibration(self) -> Calibration:
        """Which fraction of the library's pairs are less alike by all aspects together."""
        weighed = [weight * self._pairs[name] for name, weight in self.weights.items()]
        return Calibration.of_deviations(np.sum(weighed, axis=0))

    @cached_property
    def _pairs(self) -> dict[str, np.ndarray]:
        """By aspect (t, t): how alike pairs of a sample of the library are, in standard deviations."""
        ids = sample_of(self._index.ids)
        found = {name: aspect.of_pairs(ids) for name, aspect in self._aspects.items()}
        return found | ({SOUND: Calibration.of(self._index).deviations} if self.by_sound else {})

    def fractions(self, point: Seed, track_id: int) -> dict[str, float]:
        """By aspect that counts and is known, which fraction of the library's pairs are less alike than a point and a
        track.
        """
        found, ids = {}, np.array([track_id])
        if self.by_sound:
            stats = self._index.similarity_stats_of(point.vector[None]), self._index.similarity_stats(ids)
            cosine = products(point.vector[None], self._index.vectors(ids))[0]
            found[SOUND] = Calibration.of(self._index).of_pairs(cosine, *stats)
        for name, aspect in self._aspects.items():
            if aspect.rows.places(ids)[0] >= 0 and aspect.of_points([point])[1][0]:
                found[name] = self._calibrations[name].of_scores(aspect.deviations([point], ids)[0], 0.0, 1.0)
        return {name: round(float(found[name][0]), 4) for name in self.weights if name in found}

    @cached_property
    def _calibrations(self) -> dict[str, Calibration]:
        return {name: Calibration.of_deviations(self._pairs[name]) for name in self._aspects}


@dataclass(frozen=True, eq=False)
class _Aspect:
    """Rows of an aspect, and a sample of them by which it is known how alike songs usually are."""

    rows: AspectRows
    sample: np.ndarray  # (t,) places

    @classmethod
    def of(cls, rows: AspectRows, index: Index) -> "_Aspect":
        there = np.flatnonzero(index.holds(rows.ids))
        return cls(rows, sample_of(there))

    def of_points(self, points: Sequence[Seed]) -> tuple[np.ndarray, np.ndarray]:
        """(p, d) float32 and (p,) bool: which of them are known."""
        name, d = self.rows.name, self.rows.rows.shape[1]
        found, known = np.zeros((len(points), d), np.float32), np.zeros(len(points), bool)
        places = self.rows.places(np.array([p.track_id or 0 for p in points], np.int64))
        for i, (point, place) in enumerate(zip(points, places.tolist(), strict=True)):
            given = point.aspects.get(name) if point.aspects else None
            if given is not None or place >= 0:
                found[i], known[i] = self.rows.rows[place] if given is None else given, True
        return found, known

    def stats(self, to_sample: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        """(m, t) similarities to the sample -> (m, 2): mean and std; of those at (m,) places each without itself."""
        itself = np.zeros(to_sample.shape, bool) if places is None else self.sample[None, :] == places[:, None]
        count = np.maximum((~itself).sum(axis=1), 1)
        mean = np.where(itself, 0, to_sample).sum(axis=1) / count
        var = np.where(itself, 0, np.square(to_sample - mean[:, None])).sum(axis=1) / count
        return np.stack([mean, np.maximum(np.sqrt(var), _LEAST_STD)], axis=1)

    def near(self, points: Sequence[Seed], ids: np.ndarray) -> np.ndarray:
        """(p, n): standard deviations by which tracks are more alike to points than is usual for these; 0 unknown."""
        found = np.zeros((len(points), len(ids)), np.float32)
        rows, known = self.of_points(points)
        places = self.rows.places(ids)
        there = np.flatnonzero(places >= 0)
        if known.any() and len(there):
            stats = self.stats(self.rows.compare(rows[known], self.sample)).astype(np.float32)
            every = len(there) == len(self.rows.ids) and len(there) == len(ids)
            alike = self.rows.compare(rows[known], None if every else places[there])
            found[np.ix_(known, there)] = (alike - stats[:, :1]) / stats[:, 1:]
        return found

    def deviations(self, points: Sequence[Seed], ids: np.ndarray) -> np.ndarray:
        """(p, m) float64: mutual proximity of points and tracks in standard deviations; 0 where either is unknown."""
        found = np.zeros((len(points), len(ids)))
        rows, known = self.of_points(points)
        places = self.rows.places(ids)
        there = np.flatnonzero(places >= 0)
        if known.any() and len(there):
            of_points = self.stats(self.rows.compare(rows[known], self.sample))
            of_tracks = self.stats(self._to_sample(places[there]), places[there])
            alike = self.rows.compare(rows[known], places[there])
            found[np.ix_(known, there)] = deviations(alike.astype(np.float64), of_points, of_tracks)
        return found

    def _to_sample(self, places: np.ndarray) -> np.ndarray:
        """(m, t) similarities of tracks to the sample."""
        return self.rows.compare(self.rows.rows[self.sample], places).T

    def of_pairs(self, ids: np.ndarray) -> np.ndarray:
        """(t, t) mutual proximities of tracks, in standard deviations; 0 where either is unknown."""
        found = np.zeros((len(ids), len(ids)))
        places = self.rows.places(ids)
        there = np.flatnonzero(places >= 0)
        if len(there):
            stats = self.stats(self._to_sample(places[there]), places[there])
            alike = self.rows.compare(self.rows.rows[places[there]], places[there])
            found[np.ix_(there, there)] = deviations(alike.astype(np.float64), stats, stats)
        return found
