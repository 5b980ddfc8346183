"""NT-Xent, the normalised temperature-scaled cross-entropy, plain and decoupled."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mirclr.data.targets import Targets, anchor_mask, same_recording
from mirclr.errors import ObjectiveError
from mirclr.objectives.base import Objective, masked_mean, positive_number


class NTXentLoss(Objective):
    r"""NT-Xent over all ordered pairs of positives.

    .. math:: \ell_{ij} = -\log \frac{\exp(s_{ij}/\tau)}{\sum_{k \ne i} \exp(s_{ik}/\tau)}

    where s is the cosine and (i, j) are two views of one instance; k runs over all B views but i, other crops of
    i's recording left out. The mean is over all ordered positive pairs; with two views an instance that is both
    directions of each pair, as published.

    Parameters
    ----------
    temperature : float
        tau, above 0.
    decoupled : bool
        Leave the positive out of the denominator (DCL): it must then hold at least one negative.

    Raises
    ------
    ObjectiveError
        A setting is out of range; in a call, no instance has two views, or a view has no negative.

    Notes
    -----
    ``forward(z, labels)``: z (B, P) float; labels (B,) integers, equal for views of one instance. Of `Targets`,
    `instance` says which rows are positives and `recording` which are never negatives; weights have no say.

    References
    ----------
    Chen et al. 2020, "A simple framework for contrastive learning of visual representations", arXiv 2002.05709,
    equation 1. Yeh et al. 2022, "Decoupled contrastive learning", arXiv 2110.06848, equation 6.

    Examples
    --------
    >>> import torch
    >>> from mirclr.objectives import NTXentLoss
    >>> z = torch.eye(4).repeat(2, 1)              # four clips, two views of each
    >>> loss = NTXentLoss(temperature=0.5)(z, torch.arange(4).repeat(2))
    >>> round(float(loss), 4)                      # log(1 + 6 exp(-1 / 0.5))
    0.5944
    """

    title = "NT-Xent"

    def __init__(self, *, temperature: float = 0.1, decoupled: bool = False) -> None:
        super().__init__()
        positive_number(self.title, temperature=temperature)
        self.temperature, self.decoupled = temperature, decoupled

    def extra_repr(self) -> str:
        """The settings."""
        return f"temperature={self.temperature}, decoupled={self.decoupled}"

    def check(self, targets: Targets) -> None:
        """Raise where no instance has two views, or a view has no negative."""
        super().check(targets)
        positive, excluded_mask, anchors = self._masks(targets)
        if not bool(anchors.any()):
            raise ObjectiveError(
                f"NT-Xent: none of the {len(positive)} views has a second view; give two for each instance"
            )
        if bool((excluded_mask | positive).all(dim=1)[anchors].any()):
            raise ObjectiveError("NT-Xent: a view has no negative; give a batch of at least two recordings")

    def loss(self, z: Tensor, targets: Targets) -> Tensor:
        """The mean over ordered positive pairs."""
        z = F.normalize(z, dim=1)
        positive, excluded_mask, anchors = self._masks(targets)
        logits = z @ z.T / self.temperature
        # rows that are no anchors have no part in the mean: they leave nothing out, so that all is finite
        logits_k = logits.masked_fill(excluded_mask & anchors[:, None], -torch.inf)
        log_denominator = torch.logsumexp(logits_k, dim=1, keepdim=True)
        return masked_mean(log_denominator - logits, positive & anchors[:, None])

    def _masks(self, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
        """Positives (B, B), what is left out of a row's denominator (B, B), and the rows that have terms (B,)."""
        itself = torch.eye(len(targets.instance), dtype=torch.bool, device=targets.instance.device)
        positive = (targets.instance[:, None] == targets.instance[None, :]) & ~itself
        excluded_mask = itself | (same_recording(targets) & ~positive)
        if self.decoupled:
            excluded_mask = excluded_mask | positive
        return positive, excluded_mask, anchor_mask(targets, positive.any(dim=1))
