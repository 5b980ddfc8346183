"""A loss of one's own, named in recipe.yaml as my_loss:AlignmentUniformity; see ARCHITECTURE.md, "Adding your own"."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mirclr.objectives import Objective, Targets


class AlignmentUniformity(Objective):
    """Views of one recording near each other, all recordings spread over the sphere.

    Wang and Isola 2020, arXiv 2005.10242.

    Parameters
    ----------
    uniformity : float
        By which the second term counts.
    """

    title = "alignment and uniformity"

    def __init__(self, *, uniformity: float = 1.0) -> None:
        super().__init__()
        self.uniformity = uniformity

    def loss(self, z: Tensor, targets: Targets) -> Tensor:
        """(B, P) projections, and what is known of the B rows -> () float32."""
        z = F.normalize(z, dim=1)
        squares = (z[:, None] - z[None, :]).square().sum(dim=2)
        same = targets.instance[:, None] == targets.instance[None, :]
        itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
        alignment = (squares * (same & ~itself)).sum() / (same & ~itself).sum()
        return alignment + self.uniformity * torch.exp(-2 * squares[~same]).mean().log()
