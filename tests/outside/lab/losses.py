"""Losses: one by mirclr's protocol, one that knows nothing of mirclr, and some that are none."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirclr.objectives import Objective, Targets


class Alignment(Objective):
    """Mean squared distance between rows of one instance, less how far all rows lie apart (arXiv 2005.10242)."""

    title = "alignment"

    def __init__(self, *, spread: float = 1.0) -> None:
        super().__init__()
        self.spread = spread

    def loss(self, z: Tensor, targets: Targets) -> Tensor:
        z = F.normalize(z, dim=1)
        distances = torch.cdist(z, z).square()
        same = targets.instance[:, None] == targets.instance[None, :]
        apart = torch.logsumexp(-2 * distances[~same], dim=0)
        return (distances * same).sum() / same.sum() + self.spread * apart


class Proxies(nn.Module):
    """A classifier over learned proxies, called as losses elsewhere are: (embeddings, labels)."""

    def __init__(self, dim: int, n_labels: int = 0, n: int = 16) -> None:
        super().__init__()
        self.proxies = nn.Parameter(torch.randn(n, dim, generator=torch.Generator().manual_seed(0)))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(F.normalize(embeddings, dim=1) @ self.proxies.T, labels % len(self.proxies))


class Nothing(Objective):
    """An objective without a loss."""

    title = "nothing"


class Undefined(nn.Module):
    """Gives NaN."""

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return (embeddings * float("nan")).sum()


class PerRow(nn.Module):
    """Gives a number for each row."""

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return embeddings.sum(dim=1)
