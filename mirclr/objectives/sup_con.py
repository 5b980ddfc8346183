"""Supervised contrastive learning, and its generalisation to label distributions."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mirclr.data.targets import Targets, check_rows, counting, same_class, same_recording
from mirclr.errors import ObjectiveError

_EQUAL = 1 - 1e-6  # a cosine from which on two label rows are the same


def sup_con(z: Tensor, targets: Targets, *, temperature: float = 0.1) -> Tensor:
    r"""Supervised contrastive loss, the form with the sum outside the logarithm (L_out).

    .. math:: \ell_i = -\frac1{|P(i)|} \sum_{p \in P(i)} \log
              \frac{\exp(z_i \cdot z_p / \tau)}{\sum_{k \ne i} \exp(z_i \cdot z_k / \tau)}

    P(i) are the other views of i's instance or label. A row without a label has its instance alone. Rows without
    a positive are left out of the mean.

    Parameters
    ----------
    z : (B, P) float
        Projections; normalised inside.
    targets : Targets
        The heaviest of a row's `labels` is its class.
    temperature : float
        tau, above 0.

    Returns
    -------
    () float32

    Raises
    ------
    ObjectiveError
        No row has a positive, or none a negative; a label is negative or not finite.

    References
    ----------
    Khosla et al. 2020, arXiv 2004.11362, equation 2.
    """
    check_rows("SupCon", z, targets)
    return _weighted_contrast("SupCon", z, targets, same_class(targets).float(), temperature)


def generalized_sup_con(
    z: Tensor, targets: Targets, *, temperature: float = 0.1, base_temperature: float = 0.07
) -> Tensor:
    r"""Generalized supervised contrastive loss: targets are the similarities of label distributions.

    .. math:: \ell_i = -\frac{\tau}{\tau_0} \frac{\sum_{j \ne i} a_{ij} \log p_{ij}}{\sum_{j \ne i} a_{ij}}, \quad
              a_{ij} = \cos(y_i, y_j), \quad p_{ij} = \mathrm{softmax}_{k \ne i}(z_i \cdot z_k / \tau)_j

    With one-hot rows and equal temperatures this is `sup_con`. Rows without a label have one of their instance's own,
    so that a partly labelled batch is learned from whole. Rows that are like no other, or equal to all, are left out of
    the mean.

    Parameters
    ----------
    z : (B, P) float
        Projections; normalised inside.
    targets : Targets
        `labels`: non-negative rows; one-hot, mixed, or a teacher's probabilities.
    temperature, base_temperature : float
        tau and tau_0, above 0.

    Returns
    -------
    () float32

    Raises
    ------
    ObjectiveError
        A label is negative or not finite; no two rows are alike, or all are equal.

    References
    ----------
    Kim et al. 2022, "A generalized supervised contrastive learning framework", arXiv 2206.00384, equation 4.
    """
    check_rows("generalized SupCon", z, targets)
    rows = completed_labels(targets)
    with torch.autocast(z.device.type, enabled=False):
        rows = F.normalize(rows, dim=1)
        alike = rows @ rows.T
    scale = temperature / base_temperature
    return scale * _weighted_contrast("generalized SupCon", z, targets, alike, temperature)


def completed_labels(targets: Targets) -> Tensor:
    """(B, C + I) float32: the label rows, and a column for each of I instances, with 1 for its rows without a label."""
    instances, own = torch.unique(targets.instance, return_inverse=True)
    extra = F.one_hot(own, len(instances)).float()
    if targets.labels is None:
        return extra
    labels = targets.labels.float()
    without = labels.sum(dim=1, keepdim=True) == 0
    return torch.cat([labels, extra * without], dim=1)


def _weighted_contrast(name: str, z: Tensor, targets: Targets, alike: Tensor, temperature: float) -> Tensor:
    """Mean over rows of the cross-entropy between normalised weights (B, B) and the softmax over all other rows.

    Rows of one recording that are not alike at all are left out of each other's denominator. A row whose every
    remaining row is its equal has nothing to be told from, and is left out of the mean.
    """
    with torch.autocast(z.device.type, enabled=False):
        z = F.normalize(z.float(), dim=1)
        itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
        alike = alike.masked_fill(itself, 0.0)
        total = alike.sum(dim=1)
        positive = counting(targets, total > 0)
        if not bool(positive.any()):
            raise ObjectiveError(f"{name}: none of the {len(z)} rows has a positive; draw classes, or views, in pairs")
        never = itself | (same_recording(targets) & (alike == 0))
        anchors = positive & (~never & (alike < _EQUAL)).any(dim=1)
        if not bool(anchors.any()):
            raise ObjectiveError(
                f"{name}: none of the {len(z)} rows has a negative; give two recordings, of two classes"
            )
        logits = z @ z.T / temperature
        log_p = logits - torch.logsumexp(logits.masked_fill(never, -torch.inf), dim=1, keepdim=True)
        return -((alike * log_p).sum(dim=1)[anchors] / total[anchors]).mean()
