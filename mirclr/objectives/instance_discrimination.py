"""Instance discrimination: every track is a class of its own, whose prototype a memory bank keeps."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirclr.data.targets import Targets
from mirclr.errors import ObjectiveError
from mirclr.objectives.base import Objective, positive_number


class InstanceDiscriminationLoss(Objective):
    r"""Non-parametric instance discrimination over a memory bank.

    With P(i | v) = exp(v_i . v / tau) / Z, form ``nce`` is noise-contrastive estimation against m uniform negatives:

    .. math:: -\log h(i, v) - \sum_{i'} \log(1 - h(i', v)) + \lambda \lVert v - v_i \rVert^2, \quad
              h = P / (P + m/n)

    Z is fixed from the first batch as n times the mean of exp(v_j . v / tau). Form ``softmax`` is the exact
    -log P(i | v), its sum over the whole bank, for small n. After each batch, in training mode, v_i <- norm(.5 v_i +
    .5 v), with the mean of i's views for v. The bank is part of the state that training resumes from.

    Parameters
    ----------
    n : int
        Number of tracks.
    dim : int
        P.
    form : {"nce", "softmax"}
        Which loss.
    temperature : float
        tau, above 0.
    negatives : int
        m of `nce`, 1 or more; they are drawn by torch's generator of the CPU.
    proximal : float
        lambda of `nce`, 0 or more.

    Attributes
    ----------
    bank : (n, P) float32
        Rows of unit length; random at first.

    Raises
    ------
    ObjectiveError
        A setting is out of range; in a call, there is no index, or it is not one of the bank's.

    Notes
    -----
    ``forward(z, labels)``: z (B, P) float, normalised inside; labels (B,) integers in [0, n): which track each row is
    of. Of `Targets`, `index` says that.

    References
    ----------
    Wu et al. 2018, "Unsupervised feature learning via non-parametric instance discrimination", arXiv 1805.01978,
    equations 2 to 11.

    Examples
    --------
    >>> import torch
    >>> from mirclr.objectives import InstanceDiscriminationLoss
    >>> objective = InstanceDiscriminationLoss(1000, 8, form="softmax", temperature=1.0)
    >>> _ = objective.bank.zero_()
    >>> round(float(objective(torch.randn(4, 8), torch.tensor([3, 14, 15, 92]))), 4)         # log 1000
    6.9078
    >>> objective.bank[3].norm().round(decimals=4)
    tensor(1.)
    """

    title = "instance discrimination"
    bank: Tensor
    log_normaliser: Tensor

    def __init__(
        self,
        n: int,
        dim: int,
        *,
        form: Literal["nce", "softmax"] = "nce",
        temperature: float = 0.07,
        negatives: int = 4096,
        proximal: float = 0.0,
    ) -> None:
        super().__init__()
        positive_number(self.title, n=n, dim=dim, temperature=temperature, negatives=negatives)
        if form not in ("nce", "softmax"):
            raise ObjectiveError(f"instance discrimination: form is {form!r}; expected nce or softmax")
        if not 0 <= proximal < math.inf:
            raise ObjectiveError(f"instance discrimination: proximal is {proximal}; expected 0 or more")
        self.form, self.temperature, self.negatives, self.proximal = form, temperature, negatives, proximal
        self.register_buffer("bank", F.normalize(torch.randn(n, dim), dim=1))
        self.register_buffer("log_normaliser", torch.full((), -torch.inf))  # of Z; -inf: not fixed yet
        self.register_load_state_dict_pre_hook(_of_today)

    def extra_repr(self) -> str:
        """The settings."""
        return f"{len(self.bank)}, {self.bank.shape[1]}, form={self.form!r}, temperature={self.temperature}"

    @property
    def normaliser(self) -> Tensor:
        """() float64: Z, on the CPU; 0 until it is fixed."""
        return self.log_normaliser.cpu().double().exp()

    def check(self, targets: Targets) -> None:
        """Raise where rows have no index, or one that is not of the bank."""
        super().check(targets)
        index = targets.index
        if index is None or not bool(((index >= 0) & (index < len(self.bank))).all()):
            raise ObjectiveError(f"instance discrimination: needs the index of each row, in [0, {len(self.bank)})")

    def loss(self, z: Tensor, targets: Targets) -> Tensor:
        """The loss, and in training mode an update of the bank."""
        index = targets.index
        if index is None or z.shape[1] != self.bank.shape[1]:
            raise ObjectiveError(f"instance discrimination: z is {tuple(z.shape)}, the bank {tuple(self.bank.shape)}")
        z = F.normalize(z, dim=1)
        loss = self._softmax(z, index) if self.form == "softmax" else self._nce(z, index)
        if self.training:
            self._update(z.detach(), index)
        return loss

    def _softmax(self, z: Tensor, index: Tensor) -> Tensor:
        bank = self.bank.clone()  # the backward pass needs it as it was before the update
        return F.cross_entropy(z @ bank.T / self.temperature, index)

    def _nce(self, z: Tensor, index: Tensor) -> Tensor:
        n, m = len(self.bank), self.negatives
        # by the CPU's generator, the same on any device
        drawn = torch.randint(0, n, (m,)).to(z.device, non_blocking=True)
        own = (z * self.bank[index]).sum(dim=1, keepdim=True)
        scores = torch.cat([own, z @ self.bank[drawn].T], dim=1) / self.temperature
        # in logarithms, as exp(cos / tau) leaves float32 at a low temperature
        fresh = torch.logsumexp(scores.detach().flatten(), dim=0) - math.log(scores.numel()) + math.log(n)
        fixed = torch.where(torch.isfinite(self.log_normaliser), self.log_normaliser, fresh)
        self.log_normaliser.copy_(fixed)
        # log h = -softplus(log(m/n) - log P), log(1 - h) = -softplus(log P - log(m/n))
        log_ratio = scores - fixed - math.log(m / n)
        loss = F.softplus(-log_ratio[:, 0]) + F.softplus(log_ratio[:, 1:]).sum(dim=1)
        return (loss + self.proximal * (z - self.bank[index]).square().sum(dim=1)).mean()

    @torch.no_grad()
    def _update(self, z: Tensor, index: Tensor) -> None:
        """Move the rows of a batch half way; rows of one track write the very same, so that their order is nothing."""
        same = index[:, None] == index[None, :]
        mean = same.float() @ z / same.sum(dim=1, keepdim=True)
        mean = mean[same.int().argmax(dim=1)]
        self.bank[index] = F.normalize(0.5 * self.bank[index] + 0.5 * mean, dim=1)


def _of_today(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """A state of the time when Z itself was kept; one that had overflowed is fixed anew."""
    old = state.pop(f"{prefix}normaliser", None)
    if old is not None:
        log = old.log()
        state[f"{prefix}log_normaliser"] = log if bool(torch.isfinite(log)) else torch.full_like(log, -torch.inf)
