"""The N-pair loss."""

import torch
from torch import Tensor

from mirclr.data.targets import Targets, check_rows, same_class, same_recording
from mirclr.errors import ObjectiveError


def n_pair(z: Tensor, targets: Targets, *, norm_weight: float = 0.02) -> Tensor:
    r"""Multi-class N-pair loss over one pair of views for each class.

    .. math:: \frac1N \sum_i \log\Bigl(1 + \sum_{j \ne i} \exp(f_i \cdot g_j - f_i \cdot g_i)\Bigr)
              + \lambda \frac1{2N} \sum_v \lVert z_v \rVert^2

    f is the first and g the second view of an instance. Pairs of one class, or of one recording, are no
    negatives of each other.

    Parameters
    ----------
    z : (B, P) float
        Projections, **not** normalised: their length is what the second term holds down.
    targets : Targets
        Each instance must have exactly two views.
    norm_weight : float
        lambda, 0 or more.

    Returns
    -------
    () float32

    Raises
    ------
    ObjectiveError
        An instance has not two views, or no pair has a negative.

    References
    ----------
    Sohn 2016, "Improved deep metric learning with multi-class N-pair loss objective", NeurIPS, equation 6.
    """
    check_rows("N-pair", z, targets)
    with torch.autocast(z.device.type, enabled=False):
        z = z.float()
        order = targets.instance.argsort(stable=True)
        sorted_instance = targets.instance[order]
        first, second = order[0::2], order[1::2]
        paired = len(first) == len(second) and bool((sorted_instance[0::2] == sorted_instance[1::2]).all())
        if not paired or bool((sorted_instance[1:-1:2] == sorted_instance[2::2]).any()):
            raise ObjectiveError("N-pair: an instance has not exactly two views; give one pair for each instance")
        never = (same_class(targets) | same_recording(targets))[first][:, second]
        itself = torch.eye(len(first), dtype=torch.bool, device=z.device)
        if bool((never | itself).all()):
            raise ObjectiveError("N-pair: no pair has a negative; give a batch of at least two classes")
        scores = z[first] @ z[second].T
        kept = scores.masked_fill(never & ~itself, -torch.inf)
        return (torch.logsumexp(kept, dim=1) - scores.diagonal()).mean() + norm_weight * z.square().sum(dim=1).mean()
