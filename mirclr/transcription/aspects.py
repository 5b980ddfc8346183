"""From the beats, chords and drums of a song to what it is compared by: its harmony and its rhythm.

Harmony does not depend on key or tempo: of two moments so many beats apart, how often the root of the later chord is
so many semitones above that of the earlier one. Where beats were found at half the pace, it is that of half as many
beats, and `mirclr.recommend` compares songs so too. What kind a chord is does not count: in another arrangement that is
found otherwise more often than its root.

Rhythm is likewise how likely kick, snare and hat follow each other and themselves so many beats later, wherever in the
bar, and the tempo, of which half and twice are the same. Of music without drums it is what sounds like some.
"""

import numpy as np

from mirclr.audio.pitched import FRAME_S
from mirclr.library import Outline
from mirclr.transcription.beats import LEAST_BEATS, tempo_of

LAGS = (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Beats from one moment to another, for harmony; an octave of tempo is two places."""
DRUM_LAGS = (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4)
"""Likewise for rhythm."""
_A_BEAT = 2  # steps: as fine as lags are
_LEAST_STEPS = 16  # the fewest pairs of moments that count
_QUALITIES = 8  # of a root among `mirclr.library.CHORDS`
_NO_BEAT_S = 0.6  # a beat of what has none
_SIXTEENTHS = 4  # of a beat
_DRUMS = 3  # that are compared: kick, snare, hat
_FAINT = 0.03  # product of two deviations of how likely drums are, below which there are hardly any
_TEMPI, _TEMPO_WIDTH, _TEMPO_WEIGHT = 6, 0.15, 0.4  # places in an octave of tempo, octaves, beside all of the drums


def harmony_of(outline: Outline) -> np.ndarray | None:
    """(132,) float64: for each of `LAGS`, how often the root goes up by 0 to 11 semitones, less the mean of these.

    None where there are no chords for it.
    """
    chords = outline.chords
    if not len(chords):
        return None
    beats = outline.beats[:, 0]
    if len(beats) < LEAST_BEATS:
        beats = np.arange(chords[0, 0], chords[-1, 1], _NO_BEAT_S)
    at = _on_grid(beats, _A_BEAT)
    at = (at + np.append(at[1:], beats[-1])) / 2 if len(at) else at
    place = np.searchsorted(chords[:, 1], at, side="right")
    codes = np.append(chords[:, 2], 0).astype(np.int64)[place]
    roots = np.where(codes > 0, (codes - 1) // _QUALITIES, -1)
    found = np.zeros((len(LAGS), 12))
    for row, lag in zip(found, LAGS, strict=True):
        before, after = roots[: -round(lag * _A_BEAT)], roots[round(lag * _A_BEAT) :]
        known = (before >= 0) & (after >= 0)
        if len(known) >= _LEAST_STEPS:
            row += np.bincount((after - before)[known] % 12, minlength=12) / len(known)
    found -= found.mean(axis=1, keepdims=True)
    return found.ravel() if np.abs(found).max() > 0 else None


def rhythm_of(outline: Outline, drums: np.ndarray) -> np.ndarray | None:
    """(78,) float64: for each of `DRUM_LAGS` the correlation of each of three drums with each so many beats later; and
    how near the tempo is to each of six in an octave. None where there is no beat.

    Parameters
    ----------
    outline : Outline
        Its beats.
    drums : (5, T) float32
        How probable a hit of each of `mirclr.transcription.DRUMS` is in every frame.
    """
    tempo = tempo_of(outline.beats)
    if tempo is None or not drums.shape[1]:
        return None
    at = np.round(_on_grid(outline.beats[:, 0], _SIXTEENTHS) / FRAME_S).astype(np.int64)
    padded = np.pad(drums[:_DRUMS], ((0, 0), (1, 1)))
    near = np.maximum(np.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    hits = near[:, np.clip(at, 0, drums.shape[1] - 1)].astype(np.float64)
    hits -= hits.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.square(hits).mean(axis=1))
    found = np.zeros((len(DRUM_LAGS), _DRUMS, _DRUMS))
    for row, lag in zip(found, (round(lag * _SIXTEENTHS) for lag in DRUM_LAGS), strict=True):
        if hits.shape[1] >= lag + _LEAST_STEPS:
            row += hits[:, :-lag] @ hits[:, lag:].T / (hits.shape[1] - lag)
    found /= np.outer(spread, spread) + _FAINT
    octaves = (np.log2(tempo) - np.arange(_TEMPI) / _TEMPI + 0.5) % 1 - 0.5
    tempi = np.exp(-np.square(octaves / _TEMPO_WIDTH))
    tempi *= _TEMPO_WEIGHT * np.linalg.norm(found) / np.linalg.norm(tempi)
    return np.concatenate([found.ravel(), tempi])


def _on_grid(beats: np.ndarray, parts: int) -> np.ndarray:
    """(n,) seconds of beats -> those of so many even parts of each."""
    return np.interp(np.arange((len(beats) - 1) * parts) / parts, np.arange(len(beats)), beats)
