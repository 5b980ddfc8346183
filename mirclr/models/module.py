"""What every encoder is."""

from typing import Literal

from torch import nn


class EncoderModule(nn.Module):
    """What every encoder is: (B, F, T) log-mel or (B, N) waveform in, (B, D) embedding out.

    Attributes
    ----------
    input : {"mel", "waveform"}
        What ``forward`` takes.
    dim : int
        D.
    min_seconds : float
        The shortest clip that it can embed.
    """

    input: Literal["mel", "waveform"]
    dim: int
    min_seconds: float = 0.5
