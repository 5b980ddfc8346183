"""Encoders as a package of somebody else's would have them."""

import torch
from torch import Tensor, nn


class Waves(nn.Module):
    """(B, N) waveform -> (B, width)."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(1, width, 64, stride=32), nn.BatchNorm1d(width), nn.ReLU())

    def forward(self, waveforms: Tensor) -> Tensor:
        return self.layers(waveforms[:, None]).mean(dim=2)


class Bands(nn.Module):
    """(B, F, T) log-mel -> (B, 2 F), without weights."""

    input = "mel"

    def forward(self, log_mel: Tensor) -> Tensor:
        return torch.cat([log_mel.mean(dim=2), log_mel.amax(dim=2)], dim=1)


class WavesOfOthers(Waves):
    """Of the same weights, and another class."""


def waves(**settings: int) -> nn.Module:
    """A function that makes one."""
    return Waves(**settings)


def nothing() -> str:
    return "no module"


def broken(**settings: int) -> nn.Module:
    raise OSError("weights are missing")
