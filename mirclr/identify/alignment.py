"""A clip laid on a track: how many of the track's landmarks the clip has too, and how likely that is by chance.

The landmarks of a track are few and strong, those of a clip many: noise adds peaks to it, but hides few. What would be
there by chance is known of the clip itself: for each pitch in which fraction of its time it has a peak, times how full
of peaks this moment is. So a held note says little, and what two songs of one beat have in common, their beats, too.

Axes: n peaks of the track where the clip lies, m of the clip, K frames of the clip as the track would play it.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mirclr.audio.landmarks import LOWEST_HZ, PITCHES, PITCHES_AN_OCTAVE

_FRAMES = 1  # by which two peaks that are one may differ,
_FRACTION, _HZ = 0.006, 2.0  # and of their frequency
_WORTH_A_LOOK = 6.0  # evidence from which finer changes are tried
_MOST, _QUIET = 0.95, 0.25  # of what is by chance
_FEW = 12  # peaks of a track, of fewer nothing can be said
WORTH_A_CHANGE = 1.05
"""How much more evidence another change must give, as a factor, to be taken for the true one."""
SHIFTS = np.arange(-4, 5)
"""Frames beside a place that are tried too."""
_FINER_PITCH, _FINER_PACE = (1.0, 0.995, 1.005), (1.0, 0.9925, 1.0075)


@dataclass(frozen=True)
class Change:
    """By how much a clip is higher and faster than the track that it is of, as factors."""

    pitch: float = 1.0
    pace: float = 1.0


@dataclass(frozen=True)
class Alignment:
    """A clip on a track.

    Attributes
    ----------
    frame : int
        Of the track, where the clip begins; may be below 0.
    change : Change
    matched, there : int
        How many of the track's landmarks are in the clip, of how many.
    evidence : float
        Against chance, in nats: Chernoff's bound on how unlikely so many matches are.
    """

    frame: int
    change: Change
    matched: int
    there: int
    evidence: float


class Clip:
    """The landmarks of a clip, ready to be compared.

    Parameters
    ----------
    landmarks : (m, 3) int32
        As `mirclr.audio.landmarks.landmarks_of`.
    frames : int
        How long it is.
    """

    def __init__(self, landmarks: np.ndarray, frames: int) -> None:
        self.landmarks, self.frames = landmarks, frames
        self._marked: dict[Change, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def align(self, track: np.ndarray, frame: int, change: Change) -> Alignment:
        """The best of the places near one, and of the changes near one.

        Parameters
        ----------
        track : (n, 3) int32
            Landmarks of the track, by seconds.
        frame : int
            About where in it the clip begins.
        change : Change
            About what was done to it.
        """
        near = self.near(track, frame, change)
        finer = [
            self._at(track, near.frame + SHIFTS, Change(change.pitch * pitch, change.pace * pace))
            for pitch in _FINER_PITCH
            for pace in _FINER_PACE
            if near.evidence >= _WORTH_A_LOOK and (pitch, pace) != (1.0, 1.0)
        ]
        best = max((near, *finer), key=lambda one: one.evidence)
        return best if best.evidence > WORTH_A_CHANGE * near.evidence else near

    def near(self, track: np.ndarray, frame: int, change: Change) -> Alignment:
        """The best of the places near one, by one change."""
        return self._at(track, frame + SHIFTS, change)

    def beside(self, other: np.ndarray, alignment: Alignment, track: np.ndarray, at: Alignment) -> Alignment:
        """How a clip lies on a track apart from what another track, of which it is too, explains.

        Parameters
        ----------
        other, alignment : (n, 3) int32, Alignment
            The landmarks of the other, and how the clip lies on it.
        track, at : (n, 3) int32, Alignment
            Those of the track, and how the clip lies on it as a whole.
        """
        explained, _, _ = _marks(*_on_clip(other, alignment, self.frames), self.frames)
        mine = ~explained[np.clip(self.landmarks[:, 0], 0, self.frames - 1), self.landmarks[:, 1]]
        frames, pitches = _on_clip(track, at, self.frames)
        its_own = ~explained[frames, pitches]
        rows = np.stack([frames, pitches, np.zeros(len(frames), np.int64)], axis=1)[its_own]
        return Clip(self.landmarks[mine], self.frames).near(rows[np.argsort(rows[:, 0], kind="stable")], 0, Change())

    def _at(self, track: np.ndarray, places: np.ndarray, change: Change) -> Alignment:
        marked, chance, busy = self._marks(change)
        length = len(marked)
        begin, end = np.searchsorted(track[:, 0], (places.min(), places.max() + length))
        frames, pitches = track[begin:end, 0], track[begin:end, 1]
        at = frames[None, :] - places[:, None]
        inside = (at >= 0) & (at < length)
        there = inside.sum(axis=1)
        matched = (marked[np.where(inside, at, 0), pitches[None, :]] & inside).sum(axis=1)
        by_chance = np.minimum(chance[pitches][None, :] * busy[np.where(inside, at, 0)], _MOST)
        expected = np.where(inside, by_chance, 0).sum(axis=1)
        evidence = _evidence(matched, there, expected)
        best = int(np.argmax(evidence))
        return Alignment(int(places[best]), change, int(matched[best]), int(there[best]), float(evidence[best]))

    def _marks(self, change: Change) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `_marks`, kept."""
        if change not in self._marked:
            frames = np.round(self.landmarks[:, 0] * change.pace).astype(np.int64)
            pitches = np.round(self.landmarks[:, 1] - PITCHES_AN_OCTAVE * np.log2(change.pitch)).astype(np.int64)
            kept = (pitches >= 0) & (pitches < PITCHES)
            self._marked[change] = _marks(frames[kept], pitches[kept], round(self.frames * change.pace) + 1)
        return self._marked[change]


def _marks(frames: np.ndarray, pitches: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(K, PITCHES) bool, where a peak is, or nearly; (PITCHES,) in which fraction of frames; (K,) how full each is."""
    reach = _reach()
    widest, last = int(reach.max()), int(frames.max(initial=0))
    wide = np.zeros((max(length, last + 1) + 2 * _FRAMES, PITCHES + 2 * widest), bool)
    by = np.arange(-widest, widest + 1)
    peak, column = np.nonzero(np.abs(by) <= reach[pitches][:, None])
    columns = pitches[peak] + by[column] + widest
    for later in range(2 * _FRAMES + 1):
        wide[frames[peak] + later, columns] = True
    marked = np.ascontiguousarray(wide[_FRAMES : _FRAMES + length, widest : widest + PITCHES])
    busy = marked.sum(axis=1)
    return marked, np.clip(marked.mean(axis=0), 1 / length, 1), np.maximum(busy / max(1e-9, busy.mean()), _QUIET)


def _on_clip(track: np.ndarray, at: Alignment, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames and pitches of a clip, where it has the landmarks of a track on which it lies."""
    there = np.round((track[:, 0] - at.frame) / at.change.pace).astype(np.int64)
    pitches = np.round(track[:, 1] + PITCHES_AN_OCTAVE * np.log2(at.change.pitch)).astype(np.int64)
    inside = (there >= 0) & (there < frames) & (pitches >= 0) & (pitches < PITCHES)
    return there[inside], pitches[inside]


def _evidence(matched: np.ndarray, there: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """N times the divergence of what is matched from what is by chance; 0 where it is no more than that, or few."""
    n = np.maximum(there, 1)
    p, q = np.clip(matched / n, 1e-6, 1 - 1e-6), np.clip(expected / n, 1e-3, 1 - 1e-3)
    divergence = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    evidence: np.ndarray = np.where((p > q) & (there >= _FEW), n * divergence, 0.0)
    return evidence


@lru_cache(maxsize=1)
def _reach() -> np.ndarray:
    """(PITCHES,) how many pitches two peaks of one may be apart."""
    hz = LOWEST_HZ * np.exp2(np.arange(PITCHES) / PITCHES_AN_OCTAVE)
    reach: np.ndarray = np.ceil(PITCHES_AN_OCTAVE * np.log2(1 + _FRACTION + _HZ / hz)).astype(np.int64)
    return reach
