"""`find_key`: the key of a track, by how strong each of the twelve pitches is."""

from collections.abc import Sequence

import numpy as np

from mirclr.audio.spectra import RATE, power_spectra

PITCHES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
KEYS = (*PITCHES, *(f"{p}m" for p in PITCHES))
"""Major keys, then minor ones."""
# how well each pitch fits a key whose tonic is first: listeners' ratings, Krumhansl and Kessler 1982
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
_WINDOW, _HOP = 4096, 2048  # samples: a frame is 0.37 s, which separates the pitches of two octaves below A4
_LOWEST_HZ, _HIGHEST_HZ = 65.0, 2100.0
_LEAST = 1e-3  # of the strongest bin of a frame, for a peak
_SILENT = 1e-7


def find_key(waveforms: Sequence[np.ndarray]) -> tuple[str | None, float]:
    """Name and correlation of the key whose profile the pitches of a track fit best; None without pitches.

    Krumhansl 1990, "Cognitive foundations of musical pitch", chapter 4.

    Parameters
    ----------
    waveforms : sequence of (n_samples,) float32
        Stretches of the track, at `RATE`.
    """
    return best_fit(fits_of(pitch_strengths(waveforms)))


def best_fit(fits: np.ndarray) -> tuple[str | None, float]:
    """Name and correlation of the key that fits best, of (24,) `fits_of`; None where all are zeros."""
    best = int(np.argmax(fits))
    return (KEYS[best], round(float(fits[best]), 3)) if fits.any() else (None, 0.0)


def fits_of(strengths: np.ndarray) -> np.ndarray:
    """(12,) `pitch_strengths` -> (24,) float64: correlations with the profiles of `KEYS`; zeros without pitches."""
    if not np.isfinite(strengths).all() or float(np.ptp(strengths)) < 1e-6:
        return np.zeros(len(KEYS))
    profiles = [np.roll(profile, tonic) for profile in (MAJOR, MINOR) for tonic in range(12)]
    return np.corrcoef(strengths, profiles)[0, 1:]


def pitch_strengths(waveforms: Sequence[np.ndarray]) -> np.ndarray:
    """(12,): how strong each pitch is, from C, on average over frames in each of which the strongest has 1.

    Peaks of the spectrum count for the pitch that they are nearest to, the less the farther off (as Gómez 2006, "Tonal
    description of music audio signals"), in the tuning of the track.
    """
    amplitudes = np.sqrt(np.concatenate([power_spectra(waveform, _WINDOW, _HOP) for waveform in waveforms]))
    frames, hertz, strengths = _peaks(amplitudes)
    pitches = 69 + 12 * np.log2(hertz / 440)
    pitches -= np.angle((strengths * np.exp(2j * np.pi * pitches)).sum()) / (2 * np.pi)
    nearest = np.round(pitches)
    found = np.zeros((len(amplitudes), 12))
    weights = strengths * np.cos(np.pi * (pitches - nearest)) ** 2
    np.add.at(found, (frames, nearest.astype(int) % 12), weights)
    strongest = found.max(axis=1, keepdims=True)
    return np.asarray((found / np.maximum(strongest, 1e-9 * max(strongest.max(), 1e-12))).mean(axis=0))


def _peaks(amplitudes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(m, bins) -> the frames, frequencies in Hz and amplitudes of peaks, (p,) each."""
    low, high = (int(hz * _WINDOW / RATE) for hz in (_LOWEST_HZ, _HIGHEST_HZ))
    before, at, after = amplitudes[:, low - 1 : high - 1], amplitudes[:, low:high], amplitudes[:, low + 1 : high + 1]
    least = np.maximum(_LEAST * amplitudes.max(axis=1, keepdims=True), _SILENT)
    frames, bins = np.nonzero((at > before) & (at >= after) & (at > least))
    left, middle, right = (np.log(np.maximum(of[frames, bins], 1e-12)) for of in (before, at, after))
    bend = np.minimum(left - 2 * middle + right, -1e-9)  # a peak bends down
    hertz = (bins + low + 0.5 * (left - right) / bend) * RATE / _WINDOW
    return frames, hertz, at[frames, bins]
