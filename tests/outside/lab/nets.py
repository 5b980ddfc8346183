"""An encoder: mean and maximum of each mel band over time, through one linear layer."""

import torch
from torch import Tensor, nn


class Bands(nn.Module):
    """(B, F, T) log-mel -> (B, width)."""

    input = "mel"

    def __init__(self, bands: int = 96, width: int = 8) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(2 * bands)
        self.layer = nn.Linear(2 * bands, width)

    def forward(self, log_mel: Tensor) -> Tensor:
        return self.layer(self.norm(torch.cat([log_mel.mean(dim=2), log_mel.amax(dim=2)], dim=1)))
