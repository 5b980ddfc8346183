"""Spectra of waveforms in numpy alone, for what is found out of a track in processes that load no torch."""

import numpy as np

RATE = 11_025
"""Hz: holds what beats and keys are found by."""


def framed(x: np.ndarray, size: int, hop: int) -> np.ndarray:
    """(n,) -> (m, size): frames `hop` apart; what is shorter than one is filled up with zeros."""
    return np.lib.stride_tricks.sliding_window_view(np.pad(x, (0, max(0, size - len(x)))), size)[::hop]


def power_spectra(waveform: np.ndarray, size: int, hop: int) -> np.ndarray:
    """(n_samples,) float32 -> (m, size // 2 + 1): the power of frames under a Hann window."""
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    return power(np.fft.rfft(framed(waveform, size, hop) * window, axis=1))


def power(spectra: np.ndarray) -> np.ndarray:
    """The square of the magnitude, in half the time of a magnitude squared."""
    return np.asarray(np.square(spectra.real) + np.square(spectra.imag))
