"""Cross-entropy: the supervised baseline that contrast is compared with."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mirclr.data.targets import Targets, check_rows, counting
from mirclr.errors import ObjectiveError


def cross_entropy(z: Tensor, targets: Targets) -> Tensor:
    r"""Cross-entropy between label distributions and the softmax of the first C columns of z.

    .. math:: \ell_i = -\sum_c \frac{y_{ic}}{\sum_d y_{id}} \log \mathrm{softmax}(z_{i, :C})_c

    The projector's last layer is hence the classifier, with as many outputs as there are labels, or more. Rows without
    a label are left out of the mean.

    Parameters
    ----------
    z : (B, P) float
        Logits, not normalised; P >= C.
    targets : Targets
        `labels`: (B, C) non-negative rows; one-hot or mixed.

    Returns
    -------
    () float32

    Raises
    ------
    ObjectiveError
        No row has a label, or z has fewer columns than the labels.
    """
    check_rows("cross-entropy", z, targets)
    labels = targets.labels
    if labels is None or not bool(counting(targets, labels.sum(dim=1) > 0).any()):
        raise ObjectiveError(f"cross-entropy: none of the {len(z)} rows has a label; name a field with data.labels")
    if labels.shape[1] > z.shape[1]:
        raise ObjectiveError(
            f"cross-entropy: {z.shape[1]} columns of z for {labels.shape[1]} labels; give one for each"
        )
    with torch.autocast(z.device.type, enabled=False):
        labels = labels.float()
        log_p = F.log_softmax(z.float()[:, : labels.shape[1]], dim=1)
        anchors = counting(targets, labels.sum(dim=1) > 0)
        cost = -(labels * log_p).sum(dim=1)[anchors] / labels.sum(dim=1)[anchors]
        return cost.mean()
