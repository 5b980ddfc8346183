"""The N-pair loss."""

import torch
from torch import Tensor

from mirclr.data.targets import Targets, same_class, same_recording
from mirclr.errors import ObjectiveError
from mirclr.objectives.base import Objective


class NPairLoss(Objective):
    r"""Multi-class N-pair loss over one pair of views for each class.

    .. math:: \frac1N \sum_i \log\Bigl(1 + \sum_{j \ne i} \exp(f_i \cdot g_j - f_i \cdot g_i)\Bigr)
              + \lambda \frac1{2N} \sum_v \lVert z_v \rVert^2

    f is the first and g the second view of an instance. Pairs of one class, or of one recording, are no negatives of
    each other. Projections are **not** normalised: their length is what the second term holds down.

    Parameters
    ----------
    norm_weight : float
        lambda, 0 or more.

    Raises
    ------
    ObjectiveError
        `norm_weight` is negative or not finite; in a call, an instance has not two views, or no pair has a negative.

    Notes
    -----
    ``forward(z, labels)``: z (B, P) float; labels (B,) integers, each on exactly two rows. Of `Targets`, `labels` and
    `recording` say which pairs are no negatives of each other.

    References
    ----------
    Sohn 2016, "Improved deep metric learning with multi-class N-pair loss objective", NeurIPS, equation 6.

    Examples
    --------
    >>> import torch
    >>> from mirclr.objectives import NPairLoss
    >>> z = torch.eye(3).repeat(2, 1)
    >>> round(float(NPairLoss(norm_weight=0.0)(z, torch.arange(3).repeat(2))), 4)    # log(1 + 2 exp(-1))
    0.5514
    """

    title = "N-pair"

    def __init__(self, *, norm_weight: float = 0.02) -> None:
        super().__init__()
        if not 0 <= norm_weight < float("inf"):
            raise ObjectiveError(f"N-pair: norm_weight is {norm_weight}; expected 0 or more")
        self.norm_weight = norm_weight

    def extra_repr(self) -> str:
        """The settings."""
        return f"norm_weight={self.norm_weight}"

    def check(self, targets: Targets) -> None:
        """Raise where an instance has not exactly two views, or no pair has a negative."""
        super().check(targets)
        instance = targets.instance.sort().values
        pairs = len(instance) % 2 == 0 and bool((instance[0::2] == instance[1::2]).all())
        if not pairs or bool((instance[1:-1:2] == instance[2::2]).any()):
            raise ObjectiveError("N-pair: an instance has not exactly two views; give one pair for each instance")
        if not bool((~self._masks(targets)[2]).any()):
            raise ObjectiveError("N-pair: no pair has a negative; give a batch of at least two classes")

    def loss(self, z: Tensor, targets: Targets) -> Tensor:
        """The mean over pairs, and the weighted mean of squared lengths."""
        first, second, excluded_mask = self._masks(targets)
        scores = z[first] @ z[second].T
        itself = torch.eye(len(first), dtype=torch.bool, device=z.device)
        logits = scores.masked_fill(excluded_mask & ~itself, -torch.inf)
        contrast = (torch.logsumexp(logits, dim=1) - scores.diagonal()).mean()
        return contrast + self.norm_weight * z.square().sum(dim=1).mean()

    def _masks(self, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of the first and second views (N,), and pairs that are no negatives of each other (N, N)."""
        order = targets.instance.argsort(stable=True)
        first, second = order[0::2], order[1::2]
        return first, second, (same_class(targets) | same_recording(targets))[first][:, second]
