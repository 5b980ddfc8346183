"""The hashes of many tracks: for each hash where in which tracks it is; and for a clip, where it may be from.

Tracks stand one after the other on one line of frames. Places on it are kept by the first bits of their hash, a few to
a bucket; what a place leaves of its 32 bits holds the bits that follow, so that most of what is of another hash is seen
without more ado.

Axes: n tracks, m places.
"""

import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import IO

import numpy as np

from mirclr.identify.hashing import BITS, hashes_of_track

FRAMES_A_PLACE = 2
_BIN = 2  # places that count as one
_LEAST_VOTES = 3
_FEW_BITS = 10
_IN_A_BUCKET = 8  # places, at most, on average
_WIDTH = 32  # bits of a place with what is known of its hash
_MOST = 1 << 18  # places that are looked at: those of the rarest hashes, as one of a hum of mains says nothing
_KEY_BITS = np.uint64(64 - BITS)  # of a place with its whole hash, in 64
_PLACE = np.uint64((1 << (64 - BITS)) - 1)
_RANGES = 32  # of hashes, each put in order by itself
_SPOOL = 1 << 21  # bytes of a range, up to which it needs no file


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
        Where each begins on the line, in frames.
    starts : (2^b + 1,) uint32
        Where in `places` those of each bucket begin: those of hashes of the same first b bits.
    places : (m,) uint32
        On the line, in steps of `FRAMES_A_PLACE`; above that, as many more bits of the hash as there is room for.
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
        hashes, frames : (k,) uint32, (k,) float64
            Of a clip, by `mirclr.identify.hashing.hashes_of_clip`.
        count : int
            How many, at most.

        Returns
        -------
        list of (votes, track, frame)
            The most votes first; a frame may be below 0.
        """
        places, bins = self._found(hashes, frames)
        mask = (1 << max(_FEW_BITS, len(bins).bit_length() + 1)) - 1  # at first several bins are counted as one
        hot = _with_next(np.bincount(bins & mask, minlength=mask + 1))
        least = max(_LEAST_VOTES, _count_of_best(hot, count))
        hot_bins = (hot[bins & mask] >= least) | (hot[(bins - 1) & mask] >= least)
        some, first, votes = np.unique(bins[hot_bins], return_index=True, return_counts=True)
        if not len(some):
            return []
        follows = np.append(np.diff(some) == 1, False)
        together = votes + np.where(follows, np.append(votes[1:], 0), 0)  # a place may be on the edge of two
        best = np.argsort(-together, kind="stable")[:count]
        best = best[together[best] >= _LEAST_VOTES]
        tracks = np.searchsorted(self.begins, FRAMES_A_PLACE * places[hot_bins][first[best]], "right") - 1
        tracks = np.clip(tracks, 0, len(self.ids) - 1)
        lines = FRAMES_A_PLACE * (some[best] * _BIN + np.where(follows[best], _BIN, _BIN // 2))
        return [
            (int(n), int(self.ids[track]), int(line - self.begins[track]))
            for n, track, line in zip(together[best], tracks, lines, strict=True)
        ]

    def _found(self, hashes: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All places of some hashes, and the bin where the clip would begin by each."""
        bits = self.bits
        bucket = (hashes >> np.uint32(BITS - bits.bucket)).astype(np.int64)
        begin, end = (np.minimum(self.starts[at], len(self.places)).astype(np.int64) for at in (bucket, bucket + 1))
        sizes = np.maximum(0, end - begin)
        rarest = np.argsort(sizes, kind="stable")
        rarest = rarest[: np.searchsorted(np.cumsum(sizes[rarest]), _MOST, "right")]
        begin, sizes = begin[rarest], sizes[rarest]
        of = np.repeat(rarest, sizes)
        within = np.arange(len(of)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        values = self.places[np.repeat(begin, sizes) + within]
        known = (hashes >> np.uint32(BITS - bits.bucket - bits.known)) & np.uint32((1 << bits.known) - 1)
        same = values >> values.dtype.type(bits.place) == known[of]
        places = (values[same] & values.dtype.type((1 << bits.place) - 1)).astype(np.int64)
        return places, (places - np.round(frames / FRAMES_A_PLACE).astype(np.int64)[of[same]]) // _BIN

    @cached_property
    def bits(self) -> "Bits":
        """How a hash is kept."""
        return _bits(int(self.begins[-1]), len(self.places))


@dataclass(frozen=True)
class Bits:
    """How many bits of a hash say its bucket, how many more are known of a place, and how many a place has."""

    bucket: int
    known: int
    place: int


def _bits(frames: int, places: int) -> Bits:
    """What there is room for, on a line of so many frames with so many places."""
    place = (frames // FRAMES_A_PLACE).bit_length()
    bucket = min(BITS, max(0, (places // _IN_A_BUCKET).bit_length()))
    return Bits(bucket, min(BITS - bucket, max(0, _WIDTH - place)), place)


def build(tracks: Iterable[tuple[int, np.ndarray]], made_ns: np.ndarray) -> Postings:
    """Make the postings of tracks: each an id, ascending, and its landmarks; and when these were found.

    Raises
    ------
    OSError
        There is no room for files of eight bytes a place, while they are put in order.
    """
    ids, begins, count = [], [0], 0
    edges = np.arange(1, _RANGES, dtype=np.uint64) * np.uint64((1 << 64) // _RANGES)
    with ExitStack() as stack:
        ranges = [stack.enter_context(tempfile.SpooledTemporaryFile(_SPOOL)) for _ in range(_RANGES)]
        for track_id, landmarks in tracks:
            hashes, frames = hashes_of_track(landmarks)
            places = ((frames + begins[-1]) // FRAMES_A_PLACE).astype(np.uint64)
            keys = np.sort(hashes.astype(np.uint64) << _KEY_BITS | places)
            for file, part in zip(ranges, np.split(keys, np.searchsorted(keys, edges)), strict=True):
                file.write(part.tobytes())
            count += len(keys)
            ids.append(track_id)
            begins.append(begins[-1] + int(landmarks[:, 0].max(initial=0)) + 1)
        starts, places = _in_order(ranges, _bits(begins[-1], count), count)
    return Postings(np.array(ids, np.int64), made_ns, np.array(begins, np.int64), starts, places)


def _in_order(ranges: Iterable[IO[bytes]], bits: Bits, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Buckets and places from files of keys, one for each range of these."""
    starts = np.zeros((1 << bits.bucket) + 1, np.uint32 if count < 1 << 32 else np.uint64)
    ordered = np.zeros(count, np.uint32 if bits.place <= _WIDTH else np.uint64)
    done = 0
    for file in ranges:
        file.seek(0)
        keys = np.sort(np.frombuffer(file.read(), np.uint64))
        hashes = keys >> _KEY_BITS
        known = hashes >> np.uint64(BITS - bits.bucket - bits.known) & np.uint64((1 << bits.known) - 1)
        ordered[done : done + len(keys)] = known << np.uint64(bits.place) | keys & _PLACE
        done += len(keys)
        buckets = (hashes >> np.uint64(BITS - bits.bucket)).astype(np.int64)
        first = int(buckets.min(initial=1 << bits.bucket))
        counts = np.bincount(buckets - first)
        mine = slice(first + 1, first + 1 + len(counts))  # the first of them may be another range's too
        starts[mine] = starts[mine] + counts.astype(starts.dtype)
    return np.cumsum(starts, dtype=starts.dtype), ordered


def _with_next(counts: np.ndarray) -> np.ndarray:
    both = counts.copy()
    both[:-1] += counts[1:]
    both[-1] += counts[0]
    return both


def _count_of_best(counts: np.ndarray, k: int) -> int:
    """The k-th largest of many small numbers."""
    as_much = np.cumsum(np.bincount(counts)[::-1])[::-1]
    return int(np.flatnonzero(as_much >= min(k, len(counts)))[-1])
