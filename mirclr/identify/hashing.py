"""Triples of landmarks as hashes, by which a clip finds where in which track it may be from.

A triple is a peak and two that follow it, up to `_FURTHEST` frames and three octaves apart; its hash is made of the
three frequencies and the times between them, in steps. (Wang 2003 has pairs, of which each is in too many of a hundred
thousand tracks.) Each of the strongest peaks of a track makes triples with the nearest of the others. Of a clip more
are tried, as noise may have put others between, and for a number near the edge of its step, the step beside it.

Axes: n peaks, m hashes.
"""

from functools import lru_cache
from itertools import combinations

import numpy as np

from mirclr.audio.landmarks import LOWEST_HZ, PITCHES, PITCHES_AN_OCTAVE

OF_A_TRACK, OF_A_CLIP = 8, 18
"""Of a second that many of the strongest peaks make triples,"""
_PARTNERS_OF_A_TRACK, _PARTNERS_OF_A_CLIP = 3, 10  # each with any two of so many others
_NEAREST, _FURTHEST = 4, 32  # frames
_WIDEST = 3 * PITCHES_AN_OCTAVE
_FRAMES_A_STEP = 2
_STEPS, _KNEE_HZ = 120.0, 800.0  # a step is 8 Hz at 200 Hz, 15 at 1 kHz, 35 at 3.4 kHz
_EDGE = 0.25  # of a step
_KEY = (8, 8, 8, 6, 6)  # bits of three pitches and two times
_ODD, _OTHER_ODD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
BITS = 30
"""Of a hash."""


def hashes_of_track(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The triples of a track.

    Parameters
    ----------
    landmarks : (n, 3) int32
        As `mirclr.audio.landmarks.landmarks_of`.

    Returns
    -------
    hashes : (m,) uint32
        Of `BITS` bits, all of which are as good as random.
    frames : (m,) int64
        Where the first of each triple is.
    """
    frames, pitches = _strongest(landmarks, OF_A_TRACK)
    first, second, third = _triples(frames, pitches, _PARTNERS_OF_A_TRACK)
    steps = np.floor(_steps()[pitches]).astype(np.int64)
    times = [(frames[other] - frames[first]) // _FRAMES_A_STEP for other in (second, third)]
    keys = np.zeros(len(first), np.uint64)
    for numbers, bits in zip([*(steps[peak] for peak in (first, second, third)), *times], _KEY, strict=True):
        keys = _with(keys, numbers, bits)
    return _mixed(keys), frames[first]


class ClipTriples:
    """The triples of a clip, each once; and their hashes, for any change of pitch and pace.

    Parameters
    ----------
    landmarks : (n, 3) int32
        Of the clip.
    """

    def __init__(self, landmarks: np.ndarray) -> None:
        frames, pitches = _strongest(landmarks, OF_A_CLIP)
        first, second, third = _triples(frames, pitches, _PARTNERS_OF_A_CLIP)
        self._frames = frames[first]
        self._times = [frames[other] - frames[first] for other in (second, third)]
        self._pitches = [pitches[peak] for peak in (first, second, third)]

    def hashes(self, pitch: float = 1.0, pace: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """As they would be of a track that the clip was made from by a change.

        Parameters
        ----------
        pitch, pace : float
            By how much the clip is higher and faster than the track, as factors.

        Returns
        -------
        hashes : (m,) uint32
            Of each triple one, and those beside it for what is near an edge.
        frames : (m,) float64
            Where the first of each triple is, in frames of the track.
        """
        lower = PITCHES_AN_OCTAVE * np.log2(pitch)
        steps = [_steps_at(pitches - lower) for pitches in self._pitches]
        times = [apart * (pace / _FRAMES_A_STEP) for apart in self._times]
        keys, of = np.zeros(len(self._frames), np.uint64), np.arange(len(self._frames))
        for numbers, bits in zip([*steps, *times], _KEY, strict=True):
            here = np.floor(numbers)
            part = numbers - here
            beside = here + np.where(part < 0.5, -1, 1)
            near = np.flatnonzero((np.minimum(part, 1 - part) < _EDGE)[of])
            keys = np.concatenate([_with(keys, here[of], bits), _with(keys[near], beside[of[near]], bits)])
            of = np.concatenate([of, of[near]])
        return _mixed(keys), self._frames[of] * pace


def _strongest(landmarks: np.ndarray, kept: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames, ascending, and pitches of the strongest of each second."""
    rows = landmarks[landmarks[:, 2] < kept].astype(np.int64)
    return rows[:, 0], rows[:, 1]


def _triples(frames: np.ndarray, pitches: np.ndarray, partners: int) -> np.ndarray:
    """(3, m) positions of a peak, and of two of its partners: the nearest that follow it."""
    table = np.full((len(frames), partners), -1)
    count = np.zeros(len(frames), np.int64)
    for k in range(1, len(frames)):
        apart = frames[k:] - frames[:-k]
        if apart.min() > _FURTHEST:
            break
        near = (apart >= _NEAREST) & (apart <= _FURTHEST) & (count[:-k] < partners)
        first = np.flatnonzero(near & (np.abs(pitches[k:] - pitches[:-k]) <= _WIDEST))
        table[first, count[first]] = first + k
        count[first] += 1
    found = [np.zeros((3, 0), np.int64)]
    for a, b in combinations(range(partners), 2):
        first = np.flatnonzero(table[:, b] >= 0)
        found.append(np.stack([first, table[first, a], table[first, b]]))
    return np.concatenate(found, axis=1)


def _with(keys: np.ndarray, numbers: np.ndarray, bits: int) -> np.ndarray:
    """Keys with one more number, as nearly as its bits say it."""
    longer: np.ndarray = keys << np.uint64(bits) | np.clip(numbers, 0, (1 << bits) - 1).astype(np.uint64)
    return longer


def _mixed(keys: np.ndarray) -> np.ndarray:
    """Keys as hashes, whose first bits are as good as random."""
    keys = (keys + np.uint64(1)) * _ODD
    keys = (keys ^ keys >> np.uint64(32)) * _OTHER_ODD
    hashes: np.ndarray = (keys >> np.uint64(64 - BITS)).astype(np.uint32)
    return hashes


def _steps_at(pitches: np.ndarray) -> np.ndarray:
    """Steps of pitches, real numbers: nearly as wide in Hz below the knee, in octaves above it."""
    hz = LOWEST_HZ * np.exp2(pitches / PITCHES_AN_OCTAVE)
    steps: np.ndarray = _STEPS * np.log1p(hz / _KNEE_HZ)
    return steps


@lru_cache(maxsize=1)
def _steps() -> np.ndarray:
    """(PITCHES,) the step of each pitch."""
    return _steps_at(np.arange(PITCHES))
