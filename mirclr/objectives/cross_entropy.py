"""Cross-entropy: the supervised baseline that contrast is compared with."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mirclr.data.targets import Targets, anchor_mask
from mirclr.errors import ObjectiveError
from mirclr.objectives.base import Objective, masked_mean


class CrossEntropyLoss(Objective):
    r"""Cross-entropy between label distributions and the softmax of the first C columns of z.

    .. math:: \ell_i = -\sum_c \frac{y_{ic}}{\sum_d y_{id}} \log \mathrm{softmax}(z_{i, :C})_c

    The projector's last layer is hence the classifier, with as many outputs as there are labels, or more. Rows without
    a label are left out of the mean.

    Raises
    ------
    ObjectiveError
        In a call: no row has a label, or z has fewer columns than there are labels.

    Notes
    -----
    ``forward(z, labels)``: z (B, P) float logits, not normalised; labels (B,) integers below P, or (B, C) weights with
    C <= P.

    References
    ----------
    Szegedy et al. 2016, "Rethinking the Inception architecture for computer vision", arXiv 1512.00567, section 7, for
    cross-entropy with distributions.

    Examples
    --------
    >>> import torch
    >>> from mirclr.objectives import CrossEntropyLoss
    >>> round(float(CrossEntropyLoss()(torch.zeros(3, 4), torch.tensor([0, 2, -1]))), 4)     # log 4
    1.3863
    """

    title = "cross-entropy"

    def targets(self, z: Tensor, labels: Tensor) -> Targets:
        """Numbers as one-hot rows with a column for each of z; a row of zeros for a negative one."""
        known = super().targets(z, labels)
        if known.labels is not None or z.ndim != 2:
            return known
        if bool((labels >= z.shape[1]).any()):
            raise ObjectiveError(f"cross-entropy: label {int(labels.max())}, but z has {z.shape[1]} columns")
        rows = F.one_hot(labels.long().clamp(min=0), max(1, z.shape[1])).float() * (labels >= 0)[:, None]
        return Targets(known.instance, labels=rows)

    def check(self, targets: Targets) -> None:
        """Raise where no row has a label."""
        super().check(targets)
        labels = targets.labels
        if labels is None or not bool(anchor_mask(targets, labels.sum(dim=1) > 0).any()):
            raise ObjectiveError(
                f"cross-entropy: none of the {len(targets.instance)} rows has a label; name a field with data.labels"
            )

    def loss(self, z: Tensor, targets: Targets) -> Tensor:
        """The mean over rows that have a label."""
        assert targets.labels is not None
        labels = targets.labels.float()
        if labels.shape[1] > z.shape[1]:
            raise ObjectiveError(
                f"cross-entropy: {z.shape[1]} columns of z for {labels.shape[1]} labels; give one for each"
            )
        log_p = F.log_softmax(z[:, : labels.shape[1]], dim=1)
        total = labels.sum(dim=1)
        anchors = anchor_mask(targets, total > 0)
        return masked_mean(-(labels * log_p).sum(dim=1) / torch.where(anchors, total, 1.0), anchors)
