"""LogMel: waveform to log-mel spectrogram, as a module that travels with the weights.

Axes: B batch, N samples, F mel bands, T frames. Slaney's mel scale and area normalisation, power 2, centred frames
with zero padding: the settings of musicnn (Pons and Serra 2019, arXiv 1909.06654), log10(1 + 10^4 mel).
"""

import math
from typing import Self

import torch
from torch import Tensor, nn

from mirclr.audio.spectrum import HZ_A_MEL, KNEE_HZ, KNEE_MEL, LOG_STEP, mel_filters, mel_points
from mirclr.config import Mel


class LogMel(nn.Module):
    """Log-mel spectrogram.

    Parameters
    ----------
    sample_rate : int
        Sampling rate of the waveforms, in Hz.
    n_fft : int
        Length of a window, in samples.
    hop_length : int
        Samples from one frame to the next.
    n_mels : int
        Number of mel bands, F.
    f_min, f_max : float
        The lowest and the highest frequency, in Hz; `f_max` is half of the rate unless it is given.
    gain : float
        The compression is log10(1 + gain x).

    Raises
    ------
    ValueError
        A setting is out of range; in a call, what is given is no (B, N) floating-point samples.

    Attributes
    ----------
    centres : (F,) float32
        The centre frequency of each band, in Hz.
    widths : (F,) float32
        Half the width of each triangle, in Hz. Weighed by it the bands' powers add up to the power of the spectrum
        between the first centre and the last, as the triangles, of unit area, add up to 1 there.

    Examples
    --------
    >>> import torch
    >>> log_mel = LogMel(sample_rate=16000, n_mels=96)
    >>> log_mel(torch.zeros(2, 48000)).shape
    torch.Size([2, 96, 188])
    """

    filters: Tensor
    window: Tensor
    centres: Tensor
    widths: Tensor

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        n_fft: int = 512,
        hop_length: int = 256,
        n_mels: int = 96,
        f_min: float = 0.0,
        f_max: float | None = None,
        gain: float = 10_000.0,
    ) -> None:
        super().__init__()
        for name, least in (("sample_rate", 1), ("n_fft", 2), ("hop_length", 1), ("n_mels", 1)):
            if not (value := locals()[name]) >= least:
                raise ValueError(f"{name} is {value}; expected at least {least}")
        if not 0 < gain < math.inf:
            raise ValueError(f"gain is {gain}; expected a number above 0")
        if not 0 <= f_min < (sample_rate / 2 if f_max is None else f_max) < math.inf:
            raise ValueError(f"f_min is {f_min} Hz and f_max {f_max}; expected 0 or more, and the smaller one first")
        self.sample_rate, self.n_fft, self.hop_length, self.n_mels = sample_rate, n_fft, hop_length, n_mels
        self.f_min, self.f_max, self.gain = f_min, sample_rate / 2 if f_max is None else f_max, gain
        filters = mel_filters(sample_rate=sample_rate, n_fft=n_fft, n_mels=n_mels, f_min=f_min, f_max=self.f_max)
        lowest, highest = hz_to_mel(torch.tensor([f_min, self.f_max], dtype=torch.float64)).tolist()
        points = torch.from_numpy(mel_points(n_mels, f_min, self.f_max))
        self._lowest_mel, self._mels_a_band = lowest, (highest - lowest) / (n_mels + 1)
        # made again from the settings, hence not part of the weights
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.register_buffer("centres", points[1:-1].float(), persistent=False)
        self.register_buffer("widths", ((points[2:] - points[:-2]) / 2).float(), persistent=False)

    @classmethod
    def of(cls, settings: Mel, sample_rate: int) -> Self:
        """The front end of a recipe."""
        return cls(
            sample_rate=sample_rate,
            n_fft=settings.n_fft,
            hop_length=settings.hop_length,
            n_mels=settings.n_mels,
            f_min=settings.f_min,
            f_max=settings.f_max,
            gain=settings.gain,
        )

    def frames(self, n_samples: int) -> int:
        """How many frames `n_samples` give."""
        return n_samples // self.hop_length + 1

    def power(self, waveforms: Tensor) -> Tensor:
        """Mel power spectrogram, (B, N) float32 in [-1, 1] -> (B, F, T) float32, before compression."""
        if waveforms.ndim != 2 or not waveforms.is_floating_point():
            found = f"{waveforms.dtype} {tuple(waveforms.shape)}"
            raise ValueError(f"waveforms are {found}; expected (B, N) floating-point samples in [-1, 1]")
        with torch.autocast(waveforms.device.type, enabled=False):  # half precision is too coarse for powers
            spectrum = torch.stft(
                waveforms.float(),
                n_fft=self.n_fft,
                hop_length=self.hop_length,
                window=self.window,
                center=True,
                pad_mode="constant",
                return_complex=True,
            )
            power = spectrum.real.square() + spectrum.imag.square()  # abs() would take roots
            return (power.transpose(1, 2) @ self.filters).transpose(1, 2)

    def compress(self, power: Tensor) -> Tensor:
        """Mel power to log-mel, log10(1 + gain x)."""
        return torch.log1p(self.gain * power).mul_(1 / math.log(10))

    def expand(self, log_mel: Tensor) -> Tensor:
        """Log-mel back to mel power; the inverse of `compress`."""
        return torch.expm1(log_mel * math.log(10)) * (1 / self.gain)  # not in place: its gradient needs the result

    def forward(self, waveforms: Tensor) -> Tensor:
        """(B, N) float32 in [-1, 1] -> (B, F, T) float32."""
        return self.compress(self.power(waveforms))

    def band_of(self, hz: Tensor) -> Tensor:
        """Fractional band index of frequencies in Hz: the inverse of `centres`; outside [0, F-1] off the scale."""
        return (hz_to_mel(hz) - self._lowest_mel) / self._mels_a_band - 1


def hz_to_mel(hz: Tensor) -> Tensor:
    """Frequencies in Hz to Slaney's mels."""
    above = KNEE_MEL + torch.log(hz.clamp(min=KNEE_HZ) / KNEE_HZ) * LOG_STEP
    return torch.where(hz < KNEE_HZ, hz / HZ_A_MEL, above)
