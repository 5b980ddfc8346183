"""Log-mel spectrograms in numpy and scipy: the numbers of `LogMel`, without torch; and the filters that both use.

Axes: B batch, N samples, F mel bands, T frames.
"""

import math

import numpy as np
import scipy.fft
import scipy.sparse

from mirclr.config import Mel

# Slaney's scale (Auditory Toolbox, 1998): linear to 1 kHz at 200/3 Hz a mel, above it 27 mels for a factor of 6.4
KNEE_HZ, HZ_A_MEL = 1000.0, 200.0 / 3
KNEE_MEL, LOG_STEP = KNEE_HZ / HZ_A_MEL, 27.0 / math.log(6.4)


def hz_to_mel(hz: np.ndarray) -> np.ndarray:
    """Frequencies in Hz to Slaney's mels."""
    above = KNEE_MEL + np.log(np.maximum(hz, KNEE_HZ) / KNEE_HZ) * LOG_STEP
    return np.where(hz < KNEE_HZ, hz / HZ_A_MEL, above)


def mel_to_hz(mel: np.ndarray) -> np.ndarray:
    """Slaney's mels to frequencies in Hz."""
    above = KNEE_HZ * np.exp(np.maximum(mel - KNEE_MEL, 0) / LOG_STEP)
    return np.where(mel < KNEE_MEL, mel * HZ_A_MEL, above)


def mel_points(n_mels: int, f_min: float, f_max: float) -> np.ndarray:
    """(n_mels + 2,) float64: where triangles on the mel scale begin, peak and end, in Hz."""
    lowest, highest = hz_to_mel(np.array([f_min, f_max], np.float64)).tolist()
    return mel_to_hz(np.linspace(lowest, highest, n_mels + 2))


def mel_filters(*, sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float) -> np.ndarray:
    """Triangles of unit area on Slaney's mel scale.

    Returns
    -------
    (n_fft // 2 + 1, n_mels) float32
        What a power spectrum is multiplied by.
    """
    points = mel_points(n_mels, f_min, f_max)
    bins = np.linspace(0, sample_rate // 2, n_fft // 2 + 1)[:, None]
    width = np.diff(points)
    rising, falling = (bins - points[:-2]) / width[:-1], (points[2:] - bins) / width[1:]
    triangles = np.maximum(0, np.minimum(rising, falling)) * (2 / (points[2:] - points[:-2]))
    return triangles.astype(np.float32)


class MelSpectrogram:
    """Log-mel spectrogram of waveforms in memory, as `mirclr.audio.LogMel` gives it.

    Parameters
    ----------
    settings : Mel
        Of a recipe.
    sample_rate : int
        Of the waveforms, in Hz.

    Examples
    --------
    >>> import numpy as np
    >>> from mirclr.config import Mel
    >>> MelSpectrogram(Mel(), 16000)(np.zeros((2, 48000), np.float32)).shape
    (2, 96, 188)
    """

    def __init__(self, settings: Mel, sample_rate: int) -> None:
        self._n_fft, self._hop, self._gain = settings.n_fft, settings.hop_length, np.float32(settings.gain)
        angles = 2 * np.pi * np.arange(settings.n_fft) / settings.n_fft
        self._window = (0.5 - 0.5 * np.cos(angles)).astype(np.float32)
        filters = mel_filters(
            sample_rate=sample_rate,
            n_fft=settings.n_fft,
            n_mels=settings.n_mels,
            f_min=settings.f_min,
            f_max=sample_rate / 2 if settings.f_max is None else settings.f_max,
        )
        # few bins are in a band: a sparse product is faster than BLAS, whose threads wait for those of who decodes
        self._filters = scipy.sparse.csr_array(filters.T)

    def __call__(self, waveforms: np.ndarray) -> np.ndarray:
        """(B, N) float32 in [-1, 1] -> (B, F, T) float32."""
        half = self._n_fft // 2
        padded = np.zeros(waveforms.shape[1] + 2 * half, np.float32)
        frames = (len(padded) - self._n_fft) // self._hop + 1
        out = np.empty((len(waveforms), self._filters.shape[0], frames), np.float32)
        for row, waveform in zip(out, waveforms, strict=True):  # one at a time stays in a CPU's caches
            padded[half : half + len(waveform)] = waveform
            framed = np.lib.stride_tricks.sliding_window_view(padded, self._n_fft)[:: self._hop]
            spectrum = scipy.fft.rfft(framed * self._window, axis=1).T
            power = np.square(spectrum.real, order="C") + np.square(spectrum.imag, order="C")
            np.log1p(self._gain * (self._filters @ power), out=row)
        out *= np.float32(1 / math.log(10))
        return out
