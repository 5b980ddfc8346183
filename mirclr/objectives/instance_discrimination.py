"""Instance discrimination: every track is a class of its own, whose prototype a memory bank keeps."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirclr.data.targets import Targets, check_rows
from mirclr.errors import ObjectiveError


class InstanceDiscrimination(nn.Module):
    r"""Non-parametric instance discrimination over a memory bank.

    With P(i | v) = exp(v_i . v / tau) / Z, form ``nce`` is noise-contrastive estimation against m uniform negatives:

    .. math:: -\log h(i, v) - \sum_{i'} \log(1 - h(i', v)) + \lambda \lVert v - v_i \rVert^2, \quad
              h = P / (P + m/n)

    Z is fixed from the first batch as n times the mean of exp(v_j . v / tau). Form ``softmax`` is the exact
    -log P(i | v), its sum over the whole bank, for small n. After each batch v_i <- norm(.5 v_i + .5 v), with the
    mean of i's views for v. The bank is part of the state that training resumes from.

    Parameters
    ----------
    n : int
        Number of tracks.
    dim : int
        P.
    form : {"nce", "softmax"}
        Which loss.
    temperature : float
        tau.
    negatives : int
        m of `nce`.
    proximal : float
        lambda of `nce`.

    References
    ----------
    Wu et al. 2018, arXiv 1805.01978, equations 2 to 11.
    """

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
        self.form, self.temperature, self.negatives, self.proximal = form, temperature, negatives, proximal
        self.register_buffer("bank", F.normalize(torch.randn(n, dim), dim=1))
        self.register_buffer("log_normaliser", torch.full((), -torch.inf))  # of Z; -inf: not fixed yet
        self.register_load_state_dict_pre_hook(_of_today)

    @property
    def normaliser(self) -> Tensor:
        """() float64: Z, on the CPU; 0 until it is fixed."""
        return self.log_normaliser.cpu().double().exp()

    def forward(self, z: Tensor, targets: Targets) -> Tensor:
        """Loss of a batch, and an update of the bank while training.

        Parameters
        ----------
        z : (B, P) float
            Projections; normalised inside.
        targets : Targets
            `index` says which track each row is of.

        Returns
        -------
        () float32

        Raises
        ------
        ObjectiveError
            There is no `index`, or it is not one of the bank's.
        """
        check_rows("instance discrimination", z, targets)
        index = targets.index
        if index is None or not bool(((index >= 0) & (index < len(self.bank))).all()):
            raise ObjectiveError(f"instance discrimination: needs the index of each row, in [0, {len(self.bank)})")
        with torch.autocast(z.device.type, enabled=False):
            z = F.normalize(z.float(), dim=1)
            loss = self._softmax(z, index) if self.form == "softmax" else self._nce(z, index)
        if self.training:
            self._update(z.detach(), index)
        return loss

    def _softmax(self, z: Tensor, index: Tensor) -> Tensor:
        bank = self.bank.clone()  # the backward pass needs it as it was before the update
        return F.cross_entropy(z @ bank.T / self.temperature, index)

    def _nce(self, z: Tensor, index: Tensor) -> Tensor:
        n, m = len(self.bank), self.negatives
        drawn = torch.randint(0, n, (m,)).to(z.device)  # by the CPU's generator, the same on any device
        own = (z * self.bank[index]).sum(dim=1, keepdim=True)
        scores = torch.cat([own, z @ self.bank[drawn].T], dim=1) / self.temperature
        if not math.isfinite(float(self.log_normaliser)):
            # in logarithms, as exp(cos / tau) leaves float32 at a low temperature
            mean = torch.logsumexp(scores.detach().flatten(), dim=0) - math.log(scores.numel())
            self.log_normaliser.copy_(mean + math.log(n))
        # log h = -softplus(log(m/n) - log P), log(1 - h) = -softplus(log P - log(m/n))
        log_ratio = scores - self.log_normaliser - math.log(m / n)
        loss = F.softplus(-log_ratio[:, 0]) + F.softplus(log_ratio[:, 1:]).sum(dim=1)
        return (loss + self.proximal * (z - self.bank[index]).square().sum(dim=1)).mean()

    @torch.no_grad()
    def _update(self, z: Tensor, index: Tensor) -> None:
        tracks, row = torch.unique(index, return_inverse=True)
        mean = torch.zeros(len(tracks), z.shape[1], device=z.device).index_add_(0, row, z)
        mean /= torch.bincount(row).unsqueeze(1)
        self.bank[tracks] = F.normalize(0.5 * self.bank[tracks] + 0.5 * mean, dim=1)


def _of_today(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """A state of the time when Z itself was kept; one that had overflowed is fixed anew."""
    old = state.pop(f"{prefix}normaliser", None)
    if old is not None:
        log = old.log()
        state[f"{prefix}log_normaliser"] = log if bool(torch.isfinite(log)) else torch.full_like(log, -torch.inf)
