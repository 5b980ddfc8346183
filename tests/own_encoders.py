"""Encoders as a package of somebody else's would have them."""

from pathlib import Path

import torch
from torch import Tensor, nn

from mirclr.config import parse_recipe
from mirclr.models.checkpoint import save_checkpoint
from mirclr.models.encoder import Model


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


def used_checkpoint(recipe: str, folder: Path) -> Path:
    """A checkpoint of a small encoder, by what a recipe says beside its data, whose statistics are of something."""
    torch.manual_seed(0)
    model = Model(parse_recipe("name: t\ndata: {train: t}\naudio: {clip_seconds: 1.0}\n" + recipe)).train()
    with torch.no_grad():
        for _ in range(3):  # statistics that are not those of a new network
            model.encoder(model.front_end(torch.randn(8, 16000) * 0.1))
        if model.pooling.weight:
            model.pooling.usual.fill_(0.7)
    save_checkpoint(folder / "encoder.safetensors", model, {"seed": 0})
    return folder / "encoder.safetensors"
