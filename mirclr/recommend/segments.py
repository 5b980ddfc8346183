"""Long tracks, such as mixes, as the segments that they are made of.

The mean of an hour of music is like nothing that is in it. So a track of more than `LONG_S` stands for its segments,
which are runs of excerpts that are more alike than not; where no excerpts are kept, or they are all alike, it stands
for its one vector. What is like any of n segments had n chances to be (`chances`, in `mutual_proximity`): so such a
track is in about as many lists as a song.

Axes: t long tracks, s segments of all of them, d dimensions, m candidates, p points that candidates are compared with.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np

from mirclr.index import Index
from mirclr.library import ExcerptEmbeddings, LibraryStore
from mirclr.library.excerpts import restored
from mirclr.models.stamp import unit_rows
from mirclr.recommend.ranking import mutual_proximity, products
from mirclr.recommend.seeds import Seed
from mirclr.terminal import clock

LONG_S = 900.0
"""Longer tracks are segments."""
_HALFWAY = 0.5  # between two tracks on average and sameness: adjacent excerpts that are less alike are parted


@dataclass(frozen=True, eq=False)
class LongTracks:
    """The segments of a library's long tracks.

    Attributes
    ----------
    ids : (t,) int64, ascending
        Tracks of which there are several segments.
    bounds : (t + 1,) int64
        Where the segments of each begin; the last is s.
    starts : (s,) float64
        Where they begin, in seconds.
    vectors : (s, d) float32, unit rows
    similarity_stats : (s, 2) float32
        Theirs, as `mirclr.index.Index.similarity_stats`. (The index itself is not held, or it would never be let go.)
    """

    ids: np.ndarray
    bounds: np.ndarray
    starts: np.ndarray
    vectors: np.ndarray
    similarity_stats: np.ndarray

    @classmethod
    def of(cls, library: LibraryStore, index: Index) -> "LongTracks":
        """Those of a library, made once for an index."""
        if index not in _LONG:
            _LONG[index] = cls._made(library, index)
        return _LONG[index]

    @classmethod
    def _made(cls, library: LibraryStore, index: Index) -> "LongTracks":
        long = library.longer_than(LONG_S)
        long = long[index.holds(long)]
        held = library.excerpt_embeddings(long.tolist()) if len(long) else {}
        kept = [i for i in long.tolist() if i in held and len(held[i].starts) > 1]
        tracks, starts, vectors = segments_of([held[i] for i in kept], index.vectors(np.array(kept, np.int64)), index)
        counts = np.bincount(tracks, minlength=len(kept))
        several = counts[tracks] > 1
        return cls(
            np.array(kept, np.int64)[counts > 1],
            np.cumsum([0, *counts[counts > 1].tolist()]),
            starts[several],
            vectors[several],
            index.similarity_stats_of(vectors[several]),
        )

    def nearest(self, points: np.ndarray, k: int) -> np.ndarray:
        """The ids of the long tracks of which a segment is among the k nearest of any of (p, d) points."""
        if not len(self.ids):
            return self.ids
        best = np.maximum.reduceat(points @ self.vectors.T, self.bounds[:-1], axis=1)
        if len(self.ids) <= k:
            return self.ids
        return self.ids[np.unique(np.argpartition(-best, k - 1, axis=1)[:, :k])]

    def compare(self, ids: np.ndarray, points: np.ndarray, similarities: np.ndarray) -> None:
        """Put the cosine of the nearest segment into (p, m) similarities of candidates, for those that are long."""
        columns, rows, counts = self._among(ids)
        if len(columns):
            found = products(points, self.vectors[rows])
            similarities[:, columns] = np.maximum.reduceat(found, np.cumsum(counts) - counts, axis=1)

    def score(
        self,
        ids: np.ndarray,
        points: np.ndarray,
        of_points: np.ndarray,
        scores: np.ndarray,
        scale: tuple[float, float],
    ) -> dict[int, np.ndarray]:
        """Put the mutual proximity of the nearest segment into (p, m) scores, for those that are long.

        Returns
        -------
        dict of int to (p,) float64
            By column, where that segment begins, in seconds.
        """
        columns, rows, counts = self._among(ids)
        if not len(columns):
            return {}
        similarities, chances = products(points, self.vectors[rows]), np.repeat(counts, counts)
        stats = self.similarity_stats[rows]
        found = mutual_proximity(similarities, of_points, stats, chances=chances, scale=scale)
        begins = np.cumsum(counts) - counts
        scores[:, columns] = np.maximum.reduceat(found, begins, axis=1)
        is_best = found == np.repeat(scores[:, columns], counts, axis=1)
        best = np.minimum.reduceat(np.where(is_best, np.arange(len(rows)), len(rows)), begins, axis=1)
        return dict(zip(columns.tolist(), self.starts[rows][best].T, strict=True))

    def parted(self, ids: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(m,) ids and (m, d) vectors of tracks, long ones as segments: (r,) places among `ids`, and (r, d) vectors."""
        columns, rows, counts = self._among(ids)
        whole = np.setdiff1d(np.arange(len(ids)), columns)
        places = np.concatenate([whole, np.repeat(columns, counts)])
        order = np.argsort(places, kind="stable")
        return places[order], np.concatenate([vectors[whole], self.vectors[rows]])[order]

    def _among(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which of (m,) ids are long, the rows of all of their segments, and how many are of each."""
        columns = np.flatnonzero(np.isin(ids, self.ids))
        at = np.searchsorted(self.ids, ids[columns])
        parts = [np.arange(self.bounds[i], self.bounds[i + 1]) for i in at.tolist()]
        return columns, np.concatenate([np.zeros(0, np.int64), *parts]), self.bounds[at + 1] - self.bounds[at]


_LONG: WeakKeyDictionary[Index, LongTracks] = WeakKeyDictionary()


def segments_of(
    excerpts: Sequence[ExcerptEmbeddings], means: np.ndarray, index: Index
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Part tracks into segments, by the excerpts that are kept of each and the (t, d) means of their whole embeddings.

    Returns
    -------
    tracks : (s,) int64
        Of which track each segment is, by its place among `excerpts`.
    starts : (s,) float64
        Where they begin, in seconds.
    vectors : (s, d) float32, unit rows
    """
    if not len(excerpts):
        return np.zeros(0, np.int64), np.zeros(0), np.zeros((0, index.dim), np.float32)
    rows = restored(excerpts, means, index.restoring_gain)
    units, tracks = unit_rows(rows), np.repeat(np.arange(len(excerpts)), [len(part.starts) for part in excerpts])
    least = index.mean_similarity + _HALFWAY * (1 - index.mean_similarity)
    parted = (np.vecdot(units[1:], units[:-1]) < least) | (tracks[1:] != tracks[:-1])
    begins = np.concatenate([[0], np.flatnonzero(parted) + 1])
    starts = np.concatenate([part.starts for part in excerpts]).astype(np.float64)
    return tracks[begins], starts[begins], unit_rows(np.add.reduceat(rows, begins, axis=0))


def with_segments(library: LibraryStore, index: Index, seeds: Sequence[Seed]) -> tuple[Seed, ...]:
    """Seeds, of which long ones are their segments, which count together as much as one."""
    long = [s for s in seeds if s.track is not None and s.track.duration_s > LONG_S]
    if not long:
        return tuple(seeds)
    held = library.excerpt_embeddings([s.track_id for s in long if s.track_id is not None])
    found: list[Seed] = []
    for seed in seeds:
        excerpts = seed.excerpts or held.get(seed.track_id or 0)
        if seed.track is None or seed.track.duration_s <= LONG_S or excerpts is None or not len(excerpts.starts):
            found.append(seed)
            continue
        _, starts, vectors = segments_of([excerpts], seed.vector[None], index)
        if len(starts) == 1:
            found.append(seed)
            continue
        found += [
            replace(seed, label=f"{seed.label} from {clock(s)}", vector=v, weight=seed.weight / len(starts), start_s=s)
            for s, v in zip(starts.tolist(), vectors, strict=True)
        ]
    return tuple(found)
