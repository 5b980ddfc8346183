"""What the first two minutes of a recording sound like, and how well two of these correlate at their best shift.

A fingerprint holds log-mel and chroma, the strength of the twelve pitch classes (Fujishima 1999, "Realtime chord
recognition of musical sound"), both averaged over eighths of a second, each row of them standardised over time, so
that level and most of an equalisation fall out.

Axes: S eighths of a second, F bands of log-mel, 12 pitch classes.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mirclr.audio.reading import SILENCE, decode_blocks, what_is_wrong
from mirclr.audio.source import Span
from mirclr.errors import UnusableAudio

HEARD_S = 120.0
_RATE = 8_000
_WINDOW, _HOP = 2048, 500
_HOPS_A_STEP = 2  # an eighth of a second
_BANDS, _LOWEST_HZ, _HIGHEST_HZ = 32, 60.0, 3_900.0
_GAIN = 100.0  # of power over its mean, before the logarithm
_SHORTEST = 24  # steps; what is shorter, `best_shift` cannot compare
_TOO_FLAT = 0.02  # std over time below which a row is left out
# constant, log-mel, chroma: logistic regression (L2, C = 10) on 216 pairs of altered copies of 36 tracks and 1256 pairs
# of neighbours that are other music, debian-games, split train; made by python -m tests.benchmarks.duplicates. Copies
# correlated by 0.81 or more in both, others by 0.55 at most in log-mel and 0.35 in chroma.
_WEIGHTS = (-9.03, 6.51, 8.4)
STEP_S = 0.125
SHIFT_S = 10.0
_SHARED = 0.8  # of the shorter one
_COARSE = 4  # steps that are looked at as one at first
_WORTH_A_LOOK = 0.35


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What the first two minutes of a file sound like.

    Attributes
    ----------
    mel : (S, F) float32
        Log-mel, each band with mean 0 and std 1 over time.
    chroma : (S, 12) float32
        Pitch classes, likewise; unit rows before that.
    """

    mel: np.ndarray
    chroma: np.ndarray


def compare(a: Fingerprint, b: Fingerprint) -> float:
    """How likely two fingerprints are of one recording, in [0, 1]: a logistic rule on `similarities`."""
    of_mel, of_chroma = similarities(a, b)
    return 1 / (1 + math.exp(-(_WEIGHTS[0] + _WEIGHTS[1] * of_mel + _WEIGHTS[2] * of_chroma)))


def similarities(a: Fingerprint, b: Fingerprint) -> tuple[float, float]:
    """Correlation of two fingerprints' log-mel, and of their chroma, each at its best shift of up to ten seconds.

    Both are -1 where less than three seconds can be compared.
    """
    if min(len(a.mel), len(b.mel)) < _SHORTEST:
        return -1.0, -1.0
    return best_shift(a.mel, b.mel)[0], best_shift(a.chroma, b.chroma)[0]


def fingerprint(path: Path, span: Span | None = None) -> Fingerprint:
    """Fingerprint the first two minutes of a file, or of a part of one.

    Raises
    ------
    AudioError
        As `mirclr.audio.decode_blocks`; or these two minutes are silent.
    """
    blocks, held = [], 0
    for block in decode_blocks(path, rate=_RATE, span=span):
        blocks.append(block)
        held += len(block)
        if held >= HEARD_S * _RATE:
            break
    waveform = np.concatenate(blocks)[: round(HEARD_S * _RATE)]
    if np.abs(waveform).max(initial=0.0) < SILENCE:
        raise UnusableAudio(f"{path}: its first two minutes are silent; nothing to compare")
    return fingerprint_of(waveform)


def try_fingerprint(path: Path, span: Span | None = None) -> "Fingerprint | str":
    """`fingerprint` for a worker process: what is wrong with a file comes back as text."""
    try:
        return fingerprint(path, span)
    except Exception as error:  # a decoder may fail in any way; it must not end the run
        return what_is_wrong(path, error)


def fingerprint_of(waveform: np.ndarray) -> Fingerprint:
    """Fingerprint of (n_samples,) float32 at 8 kHz, not silent."""
    padded = np.pad(waveform, (0, max(0, _WINDOW + _HOP - len(waveform))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(_WINDOW).astype(np.float32), axis=1)))
    mel, chroma = _filters()
    power_mel, pitches = power @ mel, np.sqrt(power) @ chroma
    pitches /= np.maximum(np.linalg.norm(pitches, axis=1, keepdims=True), 1e-9)
    mean = max(float(power_mel.mean()), 1e-12)
    return Fingerprint(_standard(np.log10(1 + _GAIN / mean * power_mel)), _standard(pitches))


def _filters() -> tuple[np.ndarray, np.ndarray]:
    """Weights of the bins of a spectrum, (bins, F) in triangles of equal width in octaves, and (bins, 12)."""
    hz = np.fft.rfftfreq(_WINDOW, 1 / _RATE)[:, None]
    edges = np.geomspace(_LOWEST_HZ, _HIGHEST_HZ, _BANDS + 2)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    mel = np.clip(np.minimum((hz - low) / (centre - low), (high - hz) / (high - centre)), 0, None)
    mel /= np.maximum(mel.sum(axis=0), 1e-9)
    from_pitch = (12 * np.log2(np.maximum(hz, 1.0) / 440) - np.arange(12) + 6) % 12 - 6  # in semitones
    chroma = np.clip(1 - np.abs(from_pitch), 0, None) * ((hz >= _LOWEST_HZ) & (hz <= _HIGHEST_HZ))
    return mel.astype(np.float32), chroma.astype(np.float32)


def _standard(rows: np.ndarray) -> np.ndarray:
    """(frames, n) -> (S, n) float32: mean of the frames of a step; each column with mean 0 and std 1."""
    steps = len(rows) // _HOPS_A_STEP
    means = rows[: steps * _HOPS_A_STEP].reshape(steps, _HOPS_A_STEP, -1).mean(axis=1)
    std = means.std(axis=0)
    standard: np.ndarray = (means - means.mean(axis=0)) / np.where(std > _TOO_FLAT, std, np.inf)
    return standard.astype(np.float32)


def best_shift(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """Correlation of two fingerprints at the shift where it is highest, and that shift, in eighths of a second.

    Looked for in steps of half a second first; what is not similar even so is not looked at more closely.
    """
    most = round(SHIFT_S / STEP_S)
    similarity, shift = _best(_coarser(a), _coarser(b), range(-(most // _COARSE), most // _COARSE + 1), _COARSE)
    if similarity < _WORTH_A_LOOK:
        return similarity, shift * _COARSE
    return _best(a, b, range((shift - 1) * _COARSE, (shift + 1) * _COARSE + 1), 1)


def _coarser(a: np.ndarray) -> np.ndarray:
    steps = len(a) // _COARSE
    means: np.ndarray = a[: steps * _COARSE].reshape(steps, _COARSE, -1).mean(axis=1)
    return means


def _best(a: np.ndarray, b: np.ndarray, shifts: range, steps: int) -> tuple[float, int]:
    best = (-1.0, 0)
    for shift in shifts:
        x, y = a[max(0, shift) :], b[max(0, -shift) :]
        n = min(len(x), len(y))
        if n * steps < max(_SHORTEST, _SHARED * steps * min(len(a), len(b))):
            continue
        x, y = x[:n].ravel(), y[:n].ravel()
        norm = float(np.sqrt((x @ x) * (y @ y)))
        best = max(best, (float(x @ y) / norm if norm > 0 else 0.0, shift))
    return best
