"""The hashes of many tracks: for each hash where in which tracks it is; and for a clip, where it may be from.

Tracks stand one after the other on one line of frames; what is kept of a hash is its place on that line.

Axes: n tracks, m places.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mirclr.identify.hashing import HASHES, hashes_of_track

_BIN = 4  # frames that count as one place
_LEAST_VOTES = 3
_MASK = (1 << 18) - 1  # bins are counted in as many buckets at first
_PLACE_BITS = np.uint64(40)
_COMMON = 64  # times as many places as usual: a hash that says nothing, such as one of a hum of mains


@dataclass(frozen=True, eq=False)
class Postings:
    """Where hashes are.

    Attributes
    ----------
    ids : (n,) int64, ascending
        Tracks.
    made_ns : (n,) int64
        When the fingerprint of each was made.
    begins : (n + 1,) int64
        Where each begins on the line.
    starts : (HASHES + 1,) int64
        Where in `places` those of each hash begin.
    places : (m,) uint32
        Frames on the line, of each hash ascending.
    """

    ids: np.ndarray
    made_ns: np.ndarray
    begins: np.ndarray
    starts: np.ndarray
    places: np.ndarray

    def candidates(self, hashes: np.ndarray, frames: np.ndarray, count: int) -> list[tuple[int, int, int]]:
        """The places where most of a clip's hashes agree that it begins.

        Parameters
        ----------
        hashes, frames : (k,) int64, (k,) float64
            Of a clip, by `mirclr.identify.hashing.hashes_of_clip`.
        count : int
            How many, at most.

        Returns
        -------
        list of (votes, track, frame)
            The most votes first; a frame may be below 0.
        """
        places, bins = self._found(hashes, frames)
        rough = np.bincount(bins & _MASK, minlength=_MASK + 1)
        hot = _with_next(rough)
        least = max(_LEAST_VOTES, _count_of_best(hot, count))
        hot_bins = (hot[bins & _MASK] >= least) | (hot[(bins - 1) & _MASK] >= least)
        some, first, votes = np.unique(bins[hot_bins], return_index=True, return_counts=True)
        if not len(some):
            return []
        follows = np.append(np.diff(some) == 1, False)
        together = votes + np.where(follows, np.append(votes[1:], 0), 0)  # a place may be on the edge of two
        best = np.argsort(-together, kind="stable")[:count]
        best = best[together[best] >= _LEAST_VOTES]
        tracks = np.searchsorted(self.begins, places[hot_bins][first[best]], "right") - 1
        tracks = np.clip(tracks, 0, len(self.ids) - 1)
        lines = (some[best] + follows[best]) * _BIN + (~follows[best]) * (_BIN // 2)
        return [
            (int(n), int(self.ids[track]), int(line - self.begins[track]))
            for n, track, line in zip(together[best], tracks, lines, strict=True)
        ]

    def _found(self, hashes: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All places of some hashes, and the bin where the clip would begin by each."""
        begin, sizes = self.starts[hashes], self.starts[hashes + 1] - self.starts[hashes]
        sizes = np.where(sizes > self.usual * _COMMON, 0, sizes)
        within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        places = self.places[np.repeat(begin, sizes) + within].astype(np.int64)
        return places, (places - np.repeat(np.round(frames).astype(np.int64), sizes)) // _BIN

    @cached_property
    def usual(self) -> float:
        """How many places a hash has where it has any."""
        return len(self.places) / max(1, int(np.count_nonzero(np.diff(self.starts))))


def build(tracks: Iterable[tuple[int, np.ndarray]], made_ns: np.ndarray) -> Postings:
    """Make the postings of tracks: each an id, ascending, and its landmarks; and when these were found."""
    ids, begins, keys = [], [0], []
    for track_id, landmarks in tracks:
        hashes, frames = hashes_of_track(landmarks)
        keys.append(hashes.astype(np.uint64) << _PLACE_BITS | (frames + begins[-1]).astype(np.uint64))
        ids.append(track_id)
        begins.append(begins[-1] + int(landmarks[:, 0].max(initial=0)) + 1)
    if begins[-1] >= 1 << 40:
        raise OverflowError("too many hours of music")
    ordered = np.concatenate(keys) if keys else np.zeros(0, np.uint64)
    ordered.sort()
    starts = np.searchsorted(ordered, np.arange(HASHES + 1, dtype=np.uint64) << _PLACE_BITS)
    places = ordered & np.uint64((1 << 40) - 1)
    wide = np.uint32 if begins[-1] < 1 << 32 else np.uint64
    line = np.array(begins, np.int64)
    return Postings(np.array(ids, np.int64), made_ns, line, starts.astype(np.int64), places.astype(wide))


def _with_next(counts: np.ndarray) -> np.ndarray:
    both: np.ndarray = counts + np.roll(counts, -1)
    return both


def _count_of_best(counts: np.ndarray, k: int) -> int:
    """The k-th largest of many small numbers."""
    as_much = np.cumsum(np.bincount(counts)[::-1])[::-1]
    return int(np.flatnonzero(as_much >= min(k, len(counts)))[-1])
