"""NT-Xent, the normalised temperature-scaled cross-entropy, plain and decoupled."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mirclr.data.targets import Targets, check_rows, counting, same_recording
from mirclr.errors import ObjectiveError


def nt_xent(z: Tensor, targets: Targets, *, temperature: float = 0.1, decoupled: bool = False) -> Tensor:
    r"""NT-Xent over all ordered pairs of positives.

    .. math:: \ell_{ij} = -\log \frac{\exp(s_{ij}/\tau)}{\sum_{k \ne i} \exp(s_{ik}/\tau)}

    where s is the cosine and (i, j) are two views of one instance; k runs over all B views but i, other crops of
    i's recording left out. The mean is over all ordered positive pairs; with two views an instance that is both
    directions of each pair, as published. Labels have no say.

    Parameters
    ----------
    z : (B, P) float
        Projections; normalised inside.
    targets : Targets
        `instance` says which rows are positives, `recording` which are never negatives.
    temperature : float
        tau, above 0.
    decoupled : bool
        Leave the positive out of the denominator (DCL): it must then hold at least one negative.

    Returns
    -------
    () float32

    Raises
    ------
    ObjectiveError
        No instance has two views, or a view has no negative.

    References
    ----------
    Chen et al. 2020, arXiv 2002.05709, equation 1. Yeh et al. 2022 (DCL), arXiv 2110.06848, equation 6.
    """
    check_rows("NT-Xent", z, targets)
    with torch.autocast(z.device.type, enabled=False):
        z = F.normalize(z.float(), dim=1)
        itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
        positive = (targets.instance[:, None] == targets.instance[None, :]) & ~itself
        never = itself | (same_recording(targets) & ~positive)
        if decoupled:
            never = never | positive
        anchors = counting(targets, positive.any(dim=1))
        if not bool(anchors.any()):
            raise ObjectiveError(f"NT-Xent: none of the {len(z)} views has a second view; give two for each instance")
        if bool((never | positive).all(dim=1)[anchors].any()):
            raise ObjectiveError("NT-Xent: a view has no negative; give a batch of at least two recordings")
        logits = z @ z.T / temperature
        log_denominator = torch.logsumexp(logits.masked_fill(never, -torch.inf), dim=1, keepdim=True)
        return (log_denominator - logits)[positive & anchors[:, None]].mean()
