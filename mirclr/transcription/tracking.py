"""From what a network says of every pitch in every frame to notes: all of the post-processing, in one place.

An onset is a peak over time above a threshold. A note lasts until its pitch no longer sounds, or begins again. What
is shorter than a preset allows is dropped. Frames may come in pieces of any size, with the same result: nothing looks
further ahead than `_AHEAD` frames.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from mirclr.audio.pitched import FRAME_S, LOWEST
from mirclr.errors import QueryError
from mirclr.transcription.melody import melody_of

ONSET, FRAME, OFFSET, VELOCITY, PLACE = range(5)
"""What a network gives, by number; all but the last from 0 to 1, the place in frames."""
_AHEAD = 1
_APART = 2  # frames from one onset of a pitch to the next, at least
_MOST_SENSITIVE = 3.0  # by how much logits of thresholds fall, at most


@dataclass(frozen=True)
class Preset:
    """What counts as a note.

    Attributes
    ----------
    onset, frame : float
        From which probability on a note begins, and goes on.
    shortest_s : float
        Notes that are shorter are dropped.
    lowest, highest : int
        MIDI notes.
    one_voice : bool
        The melody alone (melody.py).
    lead_s : float
        How long before they sound notes are given.
    """

    onset: float = 0.5
    frame: float = 0.35
    shortest_s: float = 0.03
    lowest: int = 21
    highest: int = 108
    one_voice: bool = False
    lead_s: float = 0.0

    def at(self, sensitivity: float) -> "Preset":
        """With thresholds lowered (above 0.5) or raised.

        Raises
        ------
        QueryError
            `sensitivity` is not from 0 to 1.
        """
        return replace(self, onset=shifted(self.onset, sensitivity), frame=shifted(self.frame, sensitivity))


PRESETS = {
    "piano": Preset(frame=0.45, lead_s=0.02),
    "melody": Preset(onset=0.5, lowest=40, one_voice=True, shortest_s=0.08),
    "full": Preset(onset=0.55, frame=0.4, shortest_s=0.05),
}
"""Of notes; drums are found by another network. Thresholds are where F1 is highest on renders that trained nothing. A
piano sounds some 20 ms after its keys go down, which is what MIDI says (seen in 12 recordings of a Disklavier; hammers
take 20 to 160 ms: Goebl and Bresin 2003, "Measurement and reproduction accuracy of computer-controlled grand pianos").
"""


@dataclass(frozen=True)
class Note:
    """A note.

    Attributes
    ----------
    onset_s, offset_s : float
        In seconds.
    pitch : int
        MIDI note; 69 is the A of 440 Hz.
    velocity : int
        1 to 127.
    probability : float
        Of its onset.
    """

    onset_s: float
    offset_s: float
    pitch: int
    velocity: int
    probability: float


@dataclass
class _Open:
    """A note whose end is not known yet."""

    start: int
    onset_s: float
    velocity: int
    probability: float


class NoteTracker:
    """Notes of frames that come one after the other.

    Parameters
    ----------
    preset : Preset
        What counts as a note.
    """

    def __init__(self, preset: Preset) -> None:
        self._preset = preset
        self._kept = np.zeros((5, 88, 0), np.float32)
        self._first = 0  # number of the first frame that is kept
        self._done = 0  # frames before this one were looked at
        self._open: dict[int, _Open] = {}
        self._last = np.full(88, -10)

    def feed(self, activations: np.ndarray) -> list[Note]:
        """(5, 88, n) float32 of the next frames -> notes that ended."""
        self._kept = np.concatenate([self._kept, activations], axis=2)
        found = self._look(self._first + self._kept.shape[2] - _AHEAD)
        drop = max(0, self._done - 1 - self._first)
        self._kept, self._first = self._kept[:, :, drop:], self._first + drop
        return found

    def finish(self) -> list[Note]:
        """Notes that last to the end of the sound."""
        end = self._first + self._kept.shape[2]
        self._kept = np.pad(self._kept, ((0, 0), (0, 0), (0, _AHEAD)))
        found = self._look(end)
        rest = [self._closed(pitch, end * FRAME_S) for pitch in list(self._open)]
        return found + [note for note in rest if note is not None]

    def _look(self, last: int) -> list[Note]:
        """Frames up to `last`, which are known with `_AHEAD` more."""
        if last <= self._done:
            return []
        begin, end = self._done - self._first, last - self._first
        found = []
        for frame, pitch, starts in self._events(begin, end):
            if starts:
                if frame - self._last[pitch] < _APART:
                    continue
                new = self._opened(pitch, frame)
                if pitch in self._open:
                    found.append(self._closed(pitch, new.onset_s))
                self._open[pitch] = new
                self._last[pitch] = frame
            elif pitch in self._open and frame > self._open[pitch].start:
                found.append(self._closed(pitch, frame * FRAME_S))
        self._done = last
        return [note for note in found if note is not None]

    def _events(self, begin: int, end: int) -> Iterator[tuple[int, int, bool]]:
        """Where notes may begin, and where a pitch falls silent: frame, pitch and whether it begins, in order."""
        preset, onset = self._preset, self._kept[ONSET]
        here = onset[:, begin:end]
        before = onset[:, begin - 1 : end - 1] if begin else np.pad(onset, ((0, 0), (1, 0)))[:, begin:end]
        peaks = (here >= preset.onset) & (here > before) & (here >= onset[:, begin + 1 : end + 1])
        pitches = np.arange(88) + LOWEST
        peaks &= ((pitches >= preset.lowest) & (pitches <= preset.highest))[:, None]
        low = self._kept[FRAME] < preset.frame
        silent = low[:, begin:end] & low[:, begin + 1 : end + 1]
        falls = silent.copy()  # the first silent frame after what sounds, or after an onset
        falls[:, 1:] &= ~silent[:, :-1] | peaks[:, :-1]
        rows = [(int(f), int(p), True) for p, f in zip(*np.nonzero(peaks), strict=True)]
        rows += [(int(f), int(p), False) for p, f in zip(*np.nonzero(falls), strict=True)]
        for frame, pitch, starts in sorted(rows, key=lambda row: (row[0], row[1], not row[2])):
            yield frame + self._first + begin, pitch, starts

    def _opened(self, pitch: int, frame: int) -> _Open:
        at = self._kept[:, pitch, frame - self._first]
        onset_s = max(0.0, (frame + float(np.clip(at[PLACE], -1, 1))) * FRAME_S)
        return _Open(frame, onset_s, int(np.clip(round(127 * float(at[VELOCITY])), 1, 127)), float(at[ONSET]))

    def _closed(self, pitch: int, offset_s: float) -> Note | None:
        """The note of a pitch, which ends then; None of one that is too short."""
        one = self._open.pop(pitch)
        offset_s = max(offset_s, one.onset_s + 0.01)
        if offset_s - one.onset_s < self._preset.shortest_s:
            return None
        return Note(one.onset_s, offset_s, pitch + LOWEST, one.velocity, one.probability)


def track_notes(activations: Iterable[np.ndarray], preset: Preset) -> list[Note]:
    """Notes of (5, 88, n) float32 frames in pieces, by onset and pitch."""
    tracker = NoteTracker(preset)
    found = [note for piece in activations for note in tracker.feed(piece)] + tracker.finish()
    found.sort(key=lambda note: (note.onset_s, note.pitch))
    if preset.one_voice:
        found = melody_of(found)
    return [_earlier(note, preset.lead_s) for note in found] if preset.lead_s else found


def _earlier(note: Note, by_s: float) -> Note:
    """A note that begins and ends so much before, but not before the song."""
    onset_s = max(0.0, note.onset_s - by_s)
    return replace(note, onset_s=onset_s, offset_s=max(onset_s + 0.01, note.offset_s - by_s))


def shifted(threshold: float, sensitivity: float) -> float:
    """A threshold, lowered by a sensitivity above 0.5 and raised by one below.

    Raises
    ------
    QueryError
        `sensitivity` is not from 0 to 1.
    """
    if not 0 <= sensitivity <= 1:
        raise QueryError(f"sensitivity: found {sensitivity}; expected 0 to 1; 0.5 is usual, more gives more notes")
    by = 2 * _MOST_SENSITIVE * (sensitivity - 0.5)
    return threshold / (threshold + (1 - threshold) * math.exp(by))
