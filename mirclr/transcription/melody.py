"""From notes to the one voice that is the melody: the likeliest line through them.

How likely a note is of the melody is a logistic regression on how loud, high, long and sure it is beside its
neighbours; a line gains by each of its notes, and loses by leaps and by notes that it cuts short. The best one is found
by dynamic programming.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mirclr.transcription.tracking import Note

# Of `signs_of_melody`; learned of renders of songs of POP909 by bands, split train (recipes/transcription/melodies.py).
_BIAS, _WEIGHTS = -2.61, np.array([-1.74, 1.2, 0.63, -0.39, 0.5])
_GAIN = 1.7  # of any note, so that few are missed: where F1 is highest on these
_LEAP, _FARTHEST = 0.3, 2.0  # what an octave costs, and how many are counted
_ALONE = 2 * _LEAP * _FARTHEST + 0.1  # gained at least by a note that is alone: of a flute by itself all is melody
_CUT = 1.0  # what a note costs that is cut off as a whole
_TOGETHER_S = 0.04
_REST_S = 6.0  # after a rest that is longer a leap costs nothing
_AROUND_S = 4.0  # on each side, what a note is compared with
_OCTAVE, _VELOCITY = 12.0, 20.0


def melody_of(notes: Sequence[Note]) -> list[Note]:
    """The melody of notes by onset: no two sound at one time; one that the next begins in ends there."""
    if not notes:
        return []
    onsets, offsets, pitches = _columns(notes, "onset_s", "offset_s", "pitch")
    gains = _BIAS + _GAIN + signs_of_melody(notes) @ _WEIGHTS
    gains = np.where(_alone(onsets, offsets), np.maximum(gains, _ALONE), gains)
    best, came = gains.copy(), np.full(len(notes), -1)
    farther = passed = 0  # of the notes before a rest, that at which the best line ends; and how many there are
    for i in range(len(notes)):
        first, last = np.searchsorted(onsets, [onsets[i] - _REST_S, onsets[i] - _TOGETHER_S])
        while passed < first:
            farther, passed = max(farther, passed, key=lambda j: best[j]), passed + 1
        if passed and best[farther] > 0:
            best[i], came[i] = gains[i] + best[farther], farther
        if first < last:
            before = slice(first, last)
            leaps = np.minimum(np.abs(pitches[before] - pitches[i]) / _OCTAVE, _FARTHEST)
            cut = np.maximum(0.0, offsets[before] - onsets[i]) / (offsets[before] - onsets[before])
            reached = gains[i] + best[before] - _LEAP * leaps - _CUT * cut
            k = int(reached.argmax())
            if reached[k] > best[i]:
                best[i], came[i] = reached[k], first + k
    return _line(notes, int(best.argmax()), came) if best.max() > 0 else []


def _columns(notes: Sequence[Note], *names: str) -> np.ndarray:
    return np.array([[getattr(note, name) for note in notes] for name in names], np.float64)


def _line(notes: Sequence[Note], at: int, came: np.ndarray) -> list[Note]:
    line: list[Note] = []
    while at >= 0:
        note = notes[at]
        line.append(replace(note, offset_s=min(note.offset_s, line[-1].onset_s)) if line else note)
        at = int(came[at])
    return line[::-1]


def _alone(onsets: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(n,) of whether nothing sounds with a note for half of it or more."""
    lengths = offsets - onsets
    found = np.empty(len(onsets), bool)
    longest = float(lengths.max())
    for i in range(len(onsets)):
        near = slice(*np.searchsorted(onsets, [onsets[i] - longest, offsets[i]]))
        shared = np.minimum(offsets[near], offsets[i]) - np.maximum(onsets[near], onsets[i])
        found[i] = np.count_nonzero(shared >= 0.5 * lengths[i]) <= 1  # itself
    return found


def signs_of_melody(notes: Sequence[Note]) -> np.ndarray:
    """(n, 5) float64 of notes by onset: octaves below the highest that sounds with each; how much louder (in steps of
    20 of velocity) and how many octaves higher than the median around it; log of its seconds; log-odds of its onset.
    """
    onsets, offsets, pitches = _columns(notes, "onset_s", "offset_s", "pitch")
    velocities, sure = _columns(notes, "velocity", "probability")
    sure = np.clip(sure, 0.02, 0.98)
    rows = np.empty((len(notes), 5))
    longest = float((offsets - onsets).max(initial=0.0))
    for i in range(len(notes)):
        around = slice(*np.searchsorted(onsets, [onsets[i] - _AROUND_S, onsets[i] + _AROUND_S]))
        first, last = np.searchsorted(onsets, [onsets[i] - longest, onsets[i] + _TOGETHER_S])
        sounding = pitches[first:last][offsets[first:last] > onsets[i] + _TOGETHER_S]
        rows[i] = (
            (sounding.max(initial=pitches[i]) - pitches[i]) / _OCTAVE,
            (velocities[i] - np.median(velocities[around])) / _VELOCITY,
            (pitches[i] - np.median(pitches[around])) / _OCTAVE,
            np.log(max(offsets[i] - onsets[i], 0.01)),
            np.log(sure[i] / (1 - sure[i])),
        )
    return rows
