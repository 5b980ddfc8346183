"""Tracks that are one recording, by their fingerprints alone: nothing is decoded.

Axes: n landmarks of a track.
"""

from collections.abc import Iterator

import numpy as np

from mirclr.audio.landmarks import FRAMES_A_SECOND
from mirclr.identify.alignment import Change, Clip
from mirclr.identify.hashing import ClipTriples, hashes_of_track
from mirclr.identify.opening import open_postings
from mirclr.identify.search import SURE
from mirclr.library import LibraryStore

_WINDOW = 10 * FRAMES_A_SECOND  # frames that are compared at once
_BIN = 4  # frames
_PLACES = 3  # where one may lie on the other that are looked at: a loop has many
_LEAST = 24  # landmarks of a window, of fewer it does not count
_CANDIDATES = 10
_AT_ONCE = 256  # tracks


def common_part(a: np.ndarray, b: np.ndarray) -> float:
    """Which part of the shorter of two tracks is the other at the same time: of its windows, the fraction.

    Parameters
    ----------
    a, b : (n, 3) int32
        Their landmarks, as `mirclr.library.LibraryStore.fingerprints` gives them.
    """
    shorter, longer = sorted((a, b), key=lambda rows: int(rows[:, 0].max(initial=0)))
    return max((_common_at(shorter, longer, place) for place in _places(shorter, longer)), default=0.0)


def _common_at(shorter: np.ndarray, longer: np.ndarray, place: int) -> float:
    there, counted = 0, 0
    for begin in range(0, int(shorter[:, 0].max(initial=0)) + 1, _WINDOW):
        first, last = np.searchsorted(shorter[:, 0], (begin, begin + _WINDOW))
        if last - first < _LEAST:
            continue
        counted += 1
        one = Clip(shorter[first:last] - [begin, 0, 0], _WINDOW).near(longer, begin + place, Change())
        if one.evidence >= SURE:
            there += 1
            place = one.frame - begin  # speeds of two transfers differ by some tenths of a per cent
    return there / counted if counted else 0.0


def _places(a: np.ndarray, b: np.ndarray) -> list[int]:
    """Where the first may begin on the second: the differences of frames that most hashes have in common."""
    (hashes, frames), (others, places) = hashes_of_track(a), hashes_of_track(b)
    order = np.argsort(others, kind="stable")
    begin, end = (np.searchsorted(others[order], hashes, side) for side in ("left", "right"))
    sizes = end - begin
    within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    bins = (places[order][np.repeat(begin, sizes) + within] - np.repeat(frames, sizes)) // _BIN
    held, counts = np.unique(bins, return_counts=True)
    best = np.argsort(-counts, kind="stable")[:_PLACES]
    return [int(held[i]) * _BIN + _BIN // 2 for i in best]


def fingerprint_candidates(library: LibraryStore) -> Iterator[tuple[int, int]]:
    """Pairs of tracks that may be one recording, the lower id first: by where the middle of one may be in others.

    Only tracks whose fingerprints were made since `LibraryStore.fingerprints_compared_ns` are looked for among all.
    """
    ids, made = library.fingerprint_times()
    new = ids[made > library.fingerprints_compared_ns].tolist()
    postings = open_postings(library) if new else []
    for start in range(0, len(new), _AT_ONCE):
        for track_id, rows in library.fingerprints(new[start : start + _AT_ONCE]).items():
            middle = int(rows[:, 0].max(initial=0)) // 2
            first, last = np.searchsorted(rows[:, 0], (middle - _WINDOW // 2, middle + _WINDOW // 2))
            hashes, frames = ClipTriples(rows[first:last]).hashes()
            for part in postings:
                for _, other, _ in part.candidates(hashes, frames, _CANDIDATES):
                    if other != track_id:
                        yield min(track_id, other), max(track_id, other)
