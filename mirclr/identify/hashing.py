"""Pairs of landmarks as hashes, by which a clip finds where in which track it may be from.

A pair is two peaks, up to `_FURTHEST` frames and an octave apart; its hash is made of both frequencies and the time
between them, in steps (Wang 2003). Each of the strongest peaks of a track makes one pair, with the nearest of the
others. Of a clip all pairs are tried, as noise may have put others between, and with each the hashes beside its own.

Axes: n peaks, m hashes.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from mirclr.audio.landmarks import LOWEST_HZ, PITCHES, PITCHES_AN_OCTAVE

OF_A_TRACK, OF_A_CLIP = 6, 20
"""Of a second that many of the strongest peaks make pairs."""
_NEAREST, _FURTHEST = 4, 44  # frames
_FRAMES_A_STEP = 2
_STEPS, _KNEE_HZ = 120.0, 800.0  # a step is 8 Hz at 200 Hz, 15 at 1 kHz, 35 at 3.4 kHz
_PITCH_STEPS, _TIME_STEPS = 256, _FURTHEST // _FRAMES_A_STEP + 3
HASHES = _PITCH_STEPS * _PITCH_STEPS * _TIME_STEPS


def hashes_of_track(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of a track.

    Parameters
    ----------
    landmarks : (n, 3) int32
        As `mirclr.audio.landmarks.landmarks_of`.

    Returns
    -------
    hashes : (m,) int64
        Below `HASHES`.
    frames : (m,) int64
        Where the first of each pair is.
    """
    frames, pitches = _strongest(landmarks, OF_A_TRACK)
    partner = np.full(len(frames), -1)
    for first, second in _pairs(frames, pitches):  # the nearest first
        new = partner[first] < 0
        partner[first[new]] = second[new]
    chosen = np.flatnonzero(partner >= 0)
    partners = partner[chosen]
    steps = np.floor(_steps()[pitches]).astype(np.int64)
    apart = (frames[partners] - frames[chosen]) // _FRAMES_A_STEP
    return _hashes(steps[chosen], steps[partners], apart), frames[chosen]


def hashes_of_clip(landmarks: np.ndarray, pitch: float, pace: float) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of a clip, as they would be of a track that it was made from by a change of pitch and pace.

    Parameters
    ----------
    landmarks : (n, 3) int32
        Of the clip.
    pitch, pace : float
        By how much the clip is higher and faster than the track, as factors.

    Returns
    -------
    hashes : (m,) int64
        Eight of each pair: both nearest steps of each number.
    frames : (m,) float64
        Where the first of each pair is, in frames of the track.
    """
    frames, pitches = _strongest(landmarks, OF_A_CLIP)
    pairs = list(_pairs(frames, pitches))
    if not pairs:
        return np.zeros(0, np.int64), np.zeros(0)
    first, second = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    steps = _steps_at(pitches - PITCHES_AN_OCTAVE * np.log2(pitch))
    apart = (frames[second] - frames[first]) * pace / _FRAMES_A_STEP
    found = [
        _hashes(_near(steps[first], a), _near(steps[second], b), _near(apart, c))
        for a in (0, 1)
        for b in (0, 1)
        for c in (0, 1)
    ]
    return np.concatenate(found), np.tile(frames[first] * pace, len(found))


def _strongest(landmarks: np.ndarray, kept: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames, ascending, and pitches of the strongest of each second."""
    rows = landmarks[landmarks[:, 2] < kept].astype(np.int64)
    return rows[:, 0], rows[:, 1]


def _pairs(frames: np.ndarray, pitches: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions of both of each pair, those k peaks apart together, k from 1 on."""
    for k in range(1, len(frames)):
        apart = frames[k:] - frames[:-k]
        if apart.min(initial=_FURTHEST + 1) > _FURTHEST:
            return
        near = (apart >= _NEAREST) & (apart <= _FURTHEST)
        near &= np.abs(pitches[k:] - pitches[:-k]) <= PITCHES_AN_OCTAVE
        first = np.flatnonzero(near)
        yield first, first + k


def _near(numbers: np.ndarray, other: int) -> np.ndarray:
    """The step that a number is in, or the one beside it that is nearer."""
    here = np.floor(numbers)
    beside = np.where(numbers - here < 0.5, here - 1, here + 1) if other else here
    return np.maximum(beside, 0).astype(np.int64)


def _hashes(first: np.ndarray, second: np.ndarray, apart: np.ndarray) -> np.ndarray:
    top = _PITCH_STEPS - 1
    hashes: np.ndarray = (np.minimum(first, top) * _PITCH_STEPS + np.minimum(second, top)) * _TIME_STEPS
    return hashes + np.minimum(apart, _TIME_STEPS - 1)


def _steps_at(pitches: np.ndarray) -> np.ndarray:
    """Steps of pitches, real numbers: nearly as wide in Hz below the knee, in octaves above it."""
    hz = LOWEST_HZ * np.exp2(pitches / PITCHES_AN_OCTAVE)
    steps: np.ndarray = _STEPS * np.log1p(hz / _KNEE_HZ)
    return steps


@lru_cache(maxsize=1)
def _steps() -> np.ndarray:
    """(PITCHES,) the step of each pitch."""
    return _steps_at(np.arange(PITCHES))
