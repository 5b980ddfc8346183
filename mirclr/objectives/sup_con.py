"""Supervised contrastive learning, and its generalisation to label distributions."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mirclr.data.targets import Targets, anchor_mask, same_class, same_recording
from mirclr.errors import ObjectiveError
from mirclr.objectives.base import Objective, masked_mean, positive_number

_EQUAL = 1 - 1e-6  # a cosine from which on two label rows are the same


class _WeightedContrast(Objective):
    """Mean over rows of the cross-entropy between normalised weights and the softmax over all other rows.

    Rows of one recording whose label similarity is 0 are left out of each other's denominator. A row whose every
    remaining row is its equal has nothing to be distinguished from, and is left out of the mean.
    """

    def __init__(self, *, temperature: float, scale: float = 1.0) -> None:
        super().__init__()
        self.temperature, self._scale = temperature, scale

    def label_similarity(self, targets: Targets) -> Tensor:
        """(B, B) float32 in [0, 1]: how much each row is a positive of each other; the diagonal does not matter."""
        raise NotImplementedError

    def check(self, targets: Targets) -> None:
        """Raise where no row has a positive, or none a negative."""
        super().check(targets)
        similarity, _, anchors = self._masks(targets)
        if not bool(anchor_mask(targets, similarity.sum(dim=1) > 0).any()):
            raise ObjectiveError(
                f"{self.title}: none of the {len(similarity)} rows has a positive; draw classes, or views, in pairs"
            )
        if not bool(anchors.any()):
            raise ObjectiveError(
                f"{self.title}: none of the {len(similarity)} rows has a negative; give two recordings, of two classes"
            )

    def loss(self, z: Tensor, targets: Targets) -> Tensor:
        """The mean over rows that have a positive and a negative."""
        z = F.normalize(z, dim=1)
        similarity, excluded_mask, anchors = self._masks(targets)
        logits = z @ z.T / self.temperature
        # rows that are no anchors leave nothing out, so that all is finite
        logits_k = logits.masked_fill(excluded_mask & anchors[:, None], -torch.inf)
        log_p = logits - torch.logsumexp(logits_k, dim=1, keepdim=True)
        total = torch.where(anchors, similarity.sum(dim=1), 1.0)
        return self._scale * masked_mean(-(similarity * log_p).sum(dim=1) / total, anchors)

    def _masks(self, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
        """Label similarities without the diagonal (B, B), what a denominator leaves out (B, B), the anchors (B,)."""
        itself = torch.eye(len(targets.instance), dtype=torch.bool, device=targets.instance.device)
        similarity = self.label_similarity(targets).masked_fill(itself, 0.0)
        excluded_mask = itself | (same_recording(targets) & (similarity == 0))
        able = (similarity.sum(dim=1) > 0) & (~excluded_mask & (similarity < _EQUAL)).any(dim=1)
        return similarity, excluded_mask, anchor_mask(targets, able)


class SupConLoss(_WeightedContrast):
    r"""Supervised contrastive loss, the form with the sum outside the logarithm (L_out).

    .. math:: \ell_i = -\frac1{|P(i)|} \sum_{p \in P(i)} \log
              \frac{\exp(z_i \cdot z_p / \tau)}{\sum_{k \ne i} \exp(z_i \cdot z_k / \tau)}

    P(i) are the other rows of i's class. A row without a label has its instance alone. Rows without a positive, or
    without a negative, are left out of the mean.

    Parameters
    ----------
    temperature : float
        tau, above 0.

    Raises
    ------
    ObjectiveError
        `temperature` is out of range; in a call, no row has a positive, or none a negative, or a weight is negative or
        not finite.

    Notes
    -----
    ``forward(z, labels)``: z (B, P) float, normalised inside; labels (B,) integers, or (B, C) weights of which the
    heaviest of a row is its class.

    References
    ----------
    Khosla et al. 2020, "Supervised contrastive learning", arXiv 2004.11362, equation 2.

    Examples
    --------
    >>> import torch
    >>> from mirclr.objectives import SupConLoss
    >>> z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> round(float(SupConLoss(temperature=1.0)(z, torch.tensor([0, 0, 1, 1]))), 4)    # log(1 + 2 exp(-1))
    0.5514
    """

    title = "SupCon"

    def __init__(self, *, temperature: float = 0.1) -> None:
        positive_number(self.title, temperature=temperature)
        super().__init__(temperature=temperature)

    def extra_repr(self) -> str:
        """The settings."""
        return f"temperature={self.temperature}"

    def label_similarity(self, targets: Targets) -> Tensor:
        """1 within a class."""
        return same_class(targets).float()


class GeneralizedSupConLoss(_WeightedContrast):
    r"""Generalized supervised contrastive loss: targets are the similarities of label distributions.

    .. math:: \ell_i = -\frac{\tau}{\tau_0} \frac{\sum_{j \ne i} a_{ij} \log p_{ij}}{\sum_{j \ne i} a_{ij}}, \quad
              a_{ij} = \cos(y_i, y_j), \quad p_{ij} = \mathrm{softmax}_{k \ne i}(z_i \cdot z_k / \tau)_j

    With one-hot rows and equal temperatures this is `SupConLoss`. Rows without a label have one of their instance's
    own, so that a partly labelled batch is learned from whole. Rows that are like no other, or equal to all, are left
    out of the mean.

    Parameters
    ----------
    temperature, base_temperature : float
        tau and tau_0, above 0.

    Raises
    ------
    ObjectiveError
        A temperature is out of range; in a call, a weight is negative or not finite, no two rows have a label
        similarity above 0, or all are equal.

    Notes
    -----
    ``forward(z, labels)``: z (B, P) float, normalised inside; labels (B, C) non-negative weights: one-hot, mixed, or a
    teacher's probabilities; or (B,) integers.

    References
    ----------
    Kim et al. 2022, "A generalized supervised contrastive learning framework", arXiv 2206.00384, equation 4.

    Examples
    --------
    >>> import torch
    >>> from mirclr.objectives import GeneralizedSupConLoss
    >>> z = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    >>> moods = torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.0, 1.0]])                     # of a teacher
    >>> round(float(GeneralizedSupConLoss(temperature=0.5)(z, moods)), 4)
    3.6546
    """

    title = "generalized SupCon"

    def __init__(self, *, temperature: float = 0.1, base_temperature: float = 0.07) -> None:
        positive_number(self.title, temperature=temperature, base_temperature=base_temperature)
        super().__init__(temperature=temperature, scale=temperature / base_temperature)
        self.base_temperature = base_temperature

    def extra_repr(self) -> str:
        """The settings."""
        return f"temperature={self.temperature}, base_temperature={self.base_temperature}"

    def label_similarity(self, targets: Targets) -> Tensor:
        """Cosine of label rows; of rows without a label, 1 within an instance."""
        same = (targets.instance[:, None] == targets.instance[None, :]).float()
        if targets.labels is None:
            return same
        rows = targets.labels.float()
        without = rows.sum(dim=1) == 0
        with torch.autocast(rows.device.type, enabled=False):
            rows = F.normalize(rows, dim=1)
            return rows @ rows.T + same * (without[:, None] & without[None, :])
