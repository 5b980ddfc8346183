"""Spectrograms whose bands are thirds of semitones: what networks that transcribe are given, in training as in use.

Two windows, side by side: a long one separates low notes, a short one shows when a note begins. In decibels up to a
scale, so that a gain is a sum; numpy and scipy alone, so that the numbers are those of training wherever it runs.
"""

import numpy as np
import scipy.fft
import scipy.sparse

RATE = 16_000
HOP = 512
"""Samples between frames: 32 ms."""
FRAME_S = HOP / RATE
WINDOWS = (4096, 1024)
LOWEST = 21
"""The MIDI note of the first semitone, A0."""
BINS = 3
"""Of a semitone; the middle one is the note itself."""
SEMITONES = 97
BANDS = BINS * SEMITONES
_GAIN = 1e8  # of power, 1 being a sine at full scale: what is 80 dB below it is nothing
_BLOCK = 256  # frames at a time


def band_hertz() -> np.ndarray:
    """(BANDS,) float64: where bands peak, in Hz."""
    notes = LOWEST + (np.arange(BANDS) - BINS // 2) / BINS
    return 440 * 2 ** ((notes - 69) / 12)


def band_filters(window: int) -> np.ndarray:
    """Triangles on a logarithmic scale, as wide as a band or as two bins of the FFT, whichever is wider.

    Returns
    -------
    (BANDS, window // 2 + 1) float32
        Rows of sum 1.
    """
    hz = np.arange(window // 2 + 1) * RATE / window
    peaks = band_hertz()[:, None]
    ratio = 2 ** (1 / (12 * BINS))
    rising = np.maximum(peaks - peaks / ratio, RATE / window)
    falling = np.maximum(peaks * ratio - peaks, RATE / window)
    triangles = np.maximum(0, np.minimum(1 - (peaks - hz) / rising, 1 - (hz - peaks) / falling))
    return (triangles / triangles.sum(axis=1, keepdims=True)).astype(np.float32)


class PitchedSpectrogram:
    """Waveforms to frames. Frame i is centred on sample i * `HOP`.

    Examples
    --------
    >>> import numpy as np
    >>> PitchedSpectrogram()(np.zeros(16000, np.float32)).shape
    (2, 291, 32)
    """

    def __init__(self) -> None:
        self._filters = [scipy.sparse.csr_array(band_filters(window)) for window in WINDOWS]
        self._windows = [np.hanning(window + 1)[:-1].astype(np.float32) for window in WINDOWS]

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """(n,) float32 in [-1, 1] -> (2, BANDS, 1 + n // HOP) float32 from 0 (silence) to about 2."""
        half = max(WINDOWS) // 2
        return self.frames(np.pad(waveform, half), 1 + len(waveform) // HOP)

    def frames(self, padded: np.ndarray, count: int) -> np.ndarray:
        """The first frames of samples before which there are ``max(WINDOWS) // 2`` of what came before."""
        out = np.empty((len(WINDOWS), BANDS, count), np.float32)
        for row, window, filters, weights in zip(out, WINDOWS, self._filters, self._windows, strict=True):
            begin = (max(WINDOWS) - window) // 2
            framed = np.lib.stride_tricks.sliding_window_view(padded[begin:], window)[::HOP][:count]
            scale = np.float32(2 / weights.sum())
            for at in range(0, count, _BLOCK):  # stays in a CPU's caches
                spectrum = scipy.fft.rfft(framed[at : at + _BLOCK] * (weights * scale), axis=1).T
                power = np.square(spectrum.real, order="C") + np.square(spectrum.imag, order="C")
                row[:, at : at + _BLOCK] = filters @ power
        np.log10(1 + np.float32(_GAIN) * out, out=out)
        out *= np.float32(0.25)
        return out
