"""From what a network says of drums in every frame to hits: peaks over a threshold of each drum."""

import numpy as np

from mirclr.audio.pitched import FRAME_S
from mirclr.transcription.tracking import Note, shifted

DRUMS = ("kick", "snare", "hat", "tom", "cymbal")
DRUM_PITCHES = (36, 38, 42, 47, 49)
"""Of General MIDI, on its tenth channel."""
_THRESHOLDS = (0.25, 0.35, 0.25, 0.4, 0.25)
_LENGTH_S = 0.1
_VELOCITY = 96  # the network does not predict how loud


def track_drums(drums: np.ndarray, sensitivity: float = 0.5) -> list[Note]:
    """Hits as notes of General MIDI's drums, by onset and pitch.

    Parameters
    ----------
    drums : (5, T) float32
        How probable a hit of each of `DRUMS` is in every frame.
    sensitivity : float
        From 0 to 1, as of `mirclr.transcription.Preset.at`.
    """
    found = []
    padded = np.pad(drums, ((0, 0), (2, 2)))
    here, count = padded[:, 2:-2], drums.shape[1]
    for drum, row in enumerate(here):
        around = [padded[drum, k : k + count] for k in range(5)]
        peaks = (row >= shifted(_THRESHOLDS[drum], sensitivity)) & (row > around[1]) & (row >= around[3])
        for frame in np.flatnonzero(peaks):
            at = max(0.0, (frame + _lean(*(float(x[frame]) for x in around[1:4]))) * FRAME_S)
            found.append(Note(at, at + _LENGTH_S, DRUM_PITCHES[drum], _VELOCITY, float(row[frame])))
    return sorted(found, key=lambda note: (note.onset_s, note.pitch))


def _lean(before: float, at: float, after: float) -> float:
    """Where between frames a peak is: what is taught falls evenly within 1.5 frames to each side."""
    total = before + at + after
    return (after - before) / total if total > 0 else 0.0
