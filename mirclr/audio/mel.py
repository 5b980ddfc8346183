"""LogMel: waveform to log-mel spectrogram, as a module that travels with the weights.

Axes: B batch, N samples, F mel bands, T frames. Slaney's mel scale and area normalisation, power 2, centred frames
with zero padding: the settings of musicnn (Pons and Serra 2019, arXiv 1909.06654), log10(1 + 10^4 mel).
"""

import math

import torch
import torchaudio
from torch import Tensor, nn

from mirclr.config import Mel


class LogMel(nn.Module):
    """Log-mel spectrogram.

    Parameters
    ----------
    settings : Mel
        FFT size, hop, bands, frequency range and compression.
    rate : int
        Sampling rate of the waveforms, in Hz.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, settings: Mel, rate: int) -> None:
        super().__init__()
        self.settings = settings
        self.rate = rate
        self.f_max = settings.f_max or rate / 2
        filters = torchaudio.functional.melscale_fbanks(
            settings.n_fft // 2 + 1,
            settings.f_min,
            self.f_max,
            settings.n_mels,
            rate,
            norm="slaney",
            mel_scale="slaney",
        )
        # made again from the settings, hence not part of the weights
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("window", torch.hann_window(settings.n_fft), persistent=False)

    def frames(self, n_samples: int) -> int:
        """How many frames `n_samples` give."""
        return n_samples // self.settings.hop_length + 1

    def power(self, waveforms: Tensor) -> Tensor:
        """Mel power spectrogram, (B, N) float32 in [-1, 1] -> (B, F, T) float32, before compression."""
        with torch.autocast(waveforms.device.type, enabled=False):  # half precision is too coarse for powers
            spectrum = torch.stft(
                waveforms.float(),
                n_fft=self.settings.n_fft,
                hop_length=self.settings.hop_length,
                window=self.window,
                center=True,
                pad_mode="constant",
                return_complex=True,
            )
            power = spectrum.real.square() + spectrum.imag.square()  # abs() would take roots
            return (power.transpose(1, 2) @ self.filters).transpose(1, 2)

    def compress(self, power: Tensor) -> Tensor:
        """Mel power to log-mel, log10(1 + gain x)."""
        return torch.log1p(self.settings.gain * power).mul_(1 / math.log(10))

    def expand(self, log_mel: Tensor) -> Tensor:
        """Log-mel back to mel power; the inverse of `compress`."""
        return torch.expm1(log_mel * math.log(10)).mul_(1 / self.settings.gain)

    def forward(self, waveforms: Tensor) -> Tensor:
        """(B, N) float32 in [-1, 1] -> (B, F, T) float32."""
        return self.compress(self.power(waveforms))

    def centres(self) -> Tensor:
        """(F,) float32: the centre frequency of each band, in Hz."""
        ends = hz_to_mel(torch.tensor([self.settings.f_min, self.f_max], dtype=torch.float64))
        points = torch.linspace(float(ends[0]), float(ends[1]), self.settings.n_mels + 2, dtype=torch.float64)
        return mel_to_hz(points)[1:-1].float()

    def widths(self) -> Tensor:
        """(F,) float32: half the width of each triangle, in Hz.

        Weighed by it the bands' powers add up to the power of the spectrum between the first centre and the last, as
        the triangles, of unit area, add up to 1 there.
        """
        ends = hz_to_mel(torch.tensor([self.settings.f_min, self.f_max], dtype=torch.float64))
        points = mel_to_hz(
            torch.linspace(float(ends[0]), float(ends[1]), self.settings.n_mels + 2, dtype=torch.float64)
        )
        return ((points[2:] - points[:-2]) / 2).float()

    def band_of(self, hz: Tensor) -> Tensor:
        """Fractional band index of frequencies in Hz: the inverse of `centres`; outside [0, F-1] off the scale."""
        low, high = hz_to_mel(torch.tensor([self.settings.f_min, self.f_max], dtype=torch.float64)).tolist()
        step = (high - low) / (self.settings.n_mels + 1)
        return ((hz_to_mel(hz.double()) - low) / step - 1).float()


# Slaney's scale (Auditory Toolbox, 1998): linear to 1 kHz at 200/3 Hz a mel, above it 27 mels for a factor of 6.4
_KNEE_HZ, _HZ_A_MEL = 1000.0, 200.0 / 3
_KNEE_MEL, _LOG_STEP = _KNEE_HZ / _HZ_A_MEL, 27.0


def hz_to_mel(hz: Tensor) -> Tensor:
    """Frequencies in Hz to Slaney's mels."""
    above = _KNEE_MEL + torch.log(hz.clamp(min=_KNEE_HZ) / _KNEE_HZ) / torch.log(torch.tensor(6.4)) * _LOG_STEP
    return torch.where(hz < _KNEE_HZ, hz / _HZ_A_MEL, above)


def mel_to_hz(mel: Tensor) -> Tensor:
    """Slaney's mels to frequencies in Hz."""
    above = _KNEE_HZ * torch.exp((mel - _KNEE_MEL).clamp(min=0) / _LOG_STEP * torch.log(torch.tensor(6.4)))
    return torch.where(mel < _KNEE_MEL, mel * _HZ_A_MEL, above)
