"""The triplet loss, with four ways of mining triplets in a batch."""

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from mirclr.data.targets import Targets, anchor_mask, same_class, same_recording
from mirclr.errors import ObjectiveError
from mirclr.objectives.base import Objective, masked_mean, positive_number

Mining = Literal["all", "hard", "semi_hard", "batch_hard"]
_ROWS = 512  # anchors whose triplets are counted together, so that memory grows with B


class TripletLoss(Objective):
    r"""Triplet loss on squared Euclidean distances of unit vectors.

    .. math:: \ell_{apn} = \max(0, d^2(a, p) - d^2(a, n) + m)

    A positive is of the anchor's class. The loss is the mean over the triplets that count:

    - ``all``: every triplet, those that cost nothing too;
    - ``hard``: d(a, n) < d(a, p);
    - ``semi_hard``: d(a, p) < d(a, n) < d(a, p) + m, all squared;
    - ``batch_hard``: for each anchor its farthest positive and nearest negative.

    Where no triplet of a batch is hard or semi-hard, `batch_hard` is taken, so that a 0 means that nothing is left to
    learn.

    Parameters
    ----------
    margin : float
        m, above 0.
    mining : {"all", "hard", "semi_hard", "batch_hard"}
        Which triplets count.

    Raises
    ------
    ObjectiveError
        A setting is out of range; in a call, no view has both a positive and a negative.

    Notes
    -----
    ``forward(z, labels)``: z (B, P) float, normalised inside; labels (B,) integers, or (B, C) weights of which the
    heaviest of a row is its class. Of `Targets`, views of one instance are positives too, and rows of one `recording`
    never negatives.

    Triplets are summed without being listed. Among those that cost something the loss is linear in the distances: each
    of a pair (a, p) counts as often as there are negatives for it, each of (a, n) as often as positives, and both
    numbers are found by a search in sorted distances.

    References
    ----------
    Schroff et al. 2015, "FaceNet", arXiv 1503.03832, equations 1 to 4. Hermans et al. 2017, "In defense of the triplet
    loss for person re-identification", arXiv 1703.07737, equation 5.

    Examples
    --------
    >>> import torch
    >>> from mirclr.objectives import TripletLoss
    >>> z = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.0, 1.0]])
    >>> round(float(TripletLoss(margin=0.2, mining="batch_hard")(z, torch.tensor([0, 0, 1, 1]))), 4)
    0.15
    """

    title = "triplet"

    def __init__(self, *, margin: float = 0.2, mining: Mining = "semi_hard") -> None:
        super().__init__()
        positive_number(self.title, margin=margin)
        if mining not in get_args(Mining):
            raise ObjectiveError(f"triplet: mining is {mining!r}; expected one of {', '.join(get_args(Mining))}")
        self.margin, self.mining = margin, mining

    def extra_repr(self) -> str:
        """The settings."""
        return f"margin={self.margin}, mining={self.mining!r}"

    def check(self, targets: Targets) -> None:
        """Raise where no view has both a positive and a negative."""
        super().check(targets)
        positive, _, anchors = self._masks(targets)
        if not bool(anchors.any()):
            raise ObjectiveError(f"triplet: none of the {len(positive)} views has both a positive and a negative")

    def loss(self, z: Tensor, targets: Targets) -> Tensor:
        """The mean over the triplets that count."""
        z = F.normalize(z, dim=1)
        positive, negative, anchors = self._masks(targets)
        distance = 2 - 2 * z @ z.T
        farthest = distance.masked_fill(~positive, -torch.inf).amax(dim=1)
        nearest = distance.masked_fill(~negative, torch.inf).amin(dim=1)
        hardest = masked_mean(F.relu(farthest - nearest + self.margin), anchors)
        if self.mining == "batch_hard":
            return hardest
        times, counted, costing = self._times(distance.detach(), positive, negative)
        weights = times / counted.clamp(min=1)
        mined = (weights * distance).sum() + self.margin * costing / counted.clamp(min=1)
        return torch.where(counted > 0, mined, hardest)

    def _masks(self, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
        """Positives and negatives (B, B), of anchors alone, and the anchors (B,)."""
        same = same_class(targets)
        positive = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
        negative = ~(same | same_recording(targets))
        anchors = anchor_mask(targets, positive.any(dim=1) & negative.any(dim=1))
        return positive & anchors[:, None], negative & anchors[:, None], anchors

    def _times(self, distance: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """How often each distance counts (B, B) float32, negatives below 0; how many triplets count, and cost."""
        times = torch.zeros_like(distance)
        for begin in range(0, len(distance), _ROWS):
            part = slice(begin, begin + _ROWS)
            times[part] = self._times_of(distance[part], positive[part], negative[part])
        costing = times.clamp(min=0).long().sum()
        if self.mining != "all":
            return times, costing, costing
        return times, (positive.sum(dim=1) * negative.sum(dim=1)).sum(), costing

    def _times_of(self, d: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The same for (R, B) distances of some anchors."""
        to_positive = d.masked_fill(~positive, torch.inf).sort(dim=1).values
        to_negative = d.masked_fill(~negative, torch.inf).sort(dim=1).values
        positives = positive.sum(dim=1, keepdim=True)

        def below(ordered: Tensor, values: Tensor, *, or_equal: bool = False) -> Tensor:
            return torch.searchsorted(ordered, values.contiguous(), right=or_equal, out_int32=True)

        # both by the same comparisons, so that each triplet is counted on both of its sides or on none
        if self.mining == "hard":
            negatives_of = below(to_negative, d)
            positives_of = positives - below(to_positive, d, or_equal=True)
        else:
            negatives_of = below(to_negative, d + self.margin)
            positives_of = positives - below(to_positive + self.margin, d, or_equal=True)
        if self.mining == "semi_hard":
            negatives_of = negatives_of - below(to_negative, d, or_equal=True)
            positives_of = positives_of - (positives - below(to_positive, d))
        return negatives_of.float() * positive - positives_of.float() * negative
