"""Augmentations."""

from typing import Any

import torch
from torch import Generator, Tensor

from mirclr.audio import Augmentation


class Tremolo(Augmentation):
    """Turn the level up and down, `hertz` times a second."""

    def __init__(self, *, hertz: float = 4.0, **common: Any) -> None:
        super().__init__(**common)
        self.hertz = hertz

    def numbers(self, rows: Tensor, n: int, generator: Generator | None) -> dict[str, Tensor]:
        return {"phase": torch.rand(len(rows), generator=generator)}

    def on_waveform(self, x: Tensor, phase: Tensor) -> Tensor:  # type: ignore[override]
        return x * self._level(x.shape[1], self.mel.sample_rate, phase)

    def on_power(self, power: Tensor, phase: Tensor) -> Tensor:  # type: ignore[override]
        rate = self.mel.sample_rate / self.mel.hop_length
        return power * self._level(power.shape[2], rate, phase).square()[:, None]

    def _level(self, n: int, rate: float, phase: Tensor) -> Tensor:
        t = torch.arange(n, device=phase.device) / rate
        return 0.75 + 0.25 * torch.sin(2 * torch.pi * (self.hertz * t + phase[:, None]))


class Shorter(Tremolo):
    """Cuts the end off, which only a time stretch may."""

    def on_power(self, power: Tensor, phase: Tensor) -> Tensor:  # type: ignore[override]
        return power[:, :, :-1]


class Half(Augmentation):
    """Has no form for log-mel."""

    def numbers(self, rows: Tensor, n: int, generator: Generator | None) -> dict[str, Tensor]:
        return {}

    def on_waveform(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return x / 2
