"""The triplet loss, with four ways of mining triplets in a batch."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from mirclr.data.targets import Targets, check_rows, counting, same_class, same_recording
from mirclr.errors import ObjectiveError

Mining = Literal["all", "hard", "semi_hard", "batch_hard"]


def triplet(z: Tensor, targets: Targets, *, margin: float = 0.2, mining: Mining = "semi_hard") -> Tensor:
    r"""Triplet loss on squared Euclidean distances of unit vectors.

    .. math:: \ell_{apn} = \max(0, d^2(a, p) - d^2(a, n) + m)

    A positive shares the anchor's instance or label. The loss is the mean over the triplets that count:

    - ``all``: every triplet, those that cost nothing too;
    - ``hard``: d(a, n) < d(a, p);
    - ``semi_hard``: d(a, p) < d(a, n) < d(a, p) + m, all squared;
    - ``batch_hard``: for each anchor its farthest positive and nearest negative.

    Where no triplet of a batch is hard or semi-hard, `batch_hard` is taken, so that a 0 means that nothing is left to
    learn. Triplets are summed without being listed: for a pair (a, p) the negatives that count are a run of a's
    negatives in order of distance, so their sum is a difference of cumulative sums, and memory grows with B^2.

    Parameters
    ----------
    z : (B, P) float
        Projections; normalised inside.
    targets : Targets
        `instance` and `labels` say which rows are positives, `recording` which are never negatives.
    margin : float
        m, above 0.
    mining : {"all", "hard", "semi_hard", "batch_hard"}
        Which triplets count.

    Returns
    -------
    () float32

    Raises
    ------
    ObjectiveError
        No view has both a positive and a negative.

    References
    ----------
    Schroff et al. 2015, arXiv 1503.03832, equations 1 to 4. Hermans et al. 2017, arXiv 1703.07737, equation 5.
    """
    check_rows("triplet", z, targets)
    with torch.autocast(z.device.type, enabled=False):
        z = F.normalize(z.float(), dim=1)
        alike = same_class(targets)
        positive = alike & ~torch.eye(len(z), dtype=torch.bool, device=z.device)
        negative = ~(alike | same_recording(targets))
        anchors = counting(targets, positive.any(dim=1) & negative.any(dim=1))
        if not bool(anchors.any()):
            raise ObjectiveError(f"triplet: none of the {len(z)} views has both a positive and a negative")
        distance = 2 - 2 * z[anchors] @ z.T
        positive, negative = positive[anchors], negative[anchors]
        if mining != "batch_hard":
            where = with_float64(z.device)
            loss = _mined(distance.to(where), positive.to(where), negative.to(where), margin, mining)
            if loss is not None:
                return loss.to(z.device)
        farthest = distance.masked_fill(~positive, -torch.inf).amax(dim=1)
        nearest = distance.masked_fill(~negative, torch.inf).amin(dim=1)
        return F.relu(farthest - nearest + margin).mean()


def with_float64(device: torch.device) -> torch.device:
    """The device itself where it computes in float64, as Apple's GPU does not; else the CPU."""
    return device if device.type in ("cpu", "cuda") else torch.device("cpu")


def _mined(distance: Tensor, positive: Tensor, negative: Tensor, margin: float, mining: Mining) -> Tensor | None:
    """Mean over the triplets that count, from (A, B) squared distances; None where none counts."""
    ordered = distance.masked_fill(~negative, torch.inf).sort(dim=1).values
    zero = ordered.new_zeros(len(ordered), 1)
    # sums[a, k]: the k nearest negatives of a together; in float64, as sums are subtracted
    sums = torch.cat([zero, ordered.masked_fill(ordered.isinf(), 0.0)], dim=1).double().cumsum(dim=1)
    anchor, other = positive.nonzero(as_tuple=True)
    apart = distance[anchor, other]
    edge = torch.zeros_like(distance).masked_scatter(positive, apart)  # d(a, p) in place, to search row by row
    reach = torch.searchsorted(ordered.detach(), (edge + margin).detach())[anchor, other]
    nearer = torch.searchsorted(ordered.detach(), edge.detach())[anchor, other]
    if mining == "semi_hard":
        nearer = torch.searchsorted(ordered.detach(), edge.detach(), right=True)[anchor, other]
    first = nearer if mining == "semi_hard" else torch.zeros_like(reach)
    last = nearer if mining == "hard" else reach
    last = torch.maximum(first, last)
    counted = int(negative.sum(dim=1)[anchor].sum() if mining == "all" else (last - first).sum())
    if not counted:
        return None
    cost = (last - first) * (apart + margin).double() - (sums[anchor, last] - sums[anchor, first])
    return (cost.sum() / counted).float()
