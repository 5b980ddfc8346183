"""Cross-batch memory: past projections stand beside a batch, so that a small batch has many negatives."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirclr.data.targets import Targets


class CrossBatchMemory(nn.Module):
    """An objective over the rows of a batch and the last `size` rows before it.

    Rows of the memory are positives and negatives like any other, but no anchors and without gradient. They are of the
    encoder as it was then, which drifts slowly once training has begun. The memory is part of the state that training
    resumes from.

    Parameters
    ----------
    objective : callable
        A function of (z, targets) that heeds ``targets.anchor``.
    size : int
        How many rows are kept.
    dim : int
        P.
    n_labels : int
        C; columns beyond it, which belong to the instances of one batch, are not kept.

    References
    ----------
    Wang et al. 2020, "Cross-batch memory for embedding learning", arXiv 1912.06798, algorithm 1.
    """

    z: Tensor
    instance: Tensor
    recording: Tensor
    labels: Tensor
    seen: Tensor

    def __init__(self, objective: Callable[[Tensor, Targets], Tensor], size: int, dim: int, n_labels: int) -> None:
        super().__init__()
        self.objective = objective
        self.register_buffer("z", torch.zeros(size, dim))
        self.register_buffer("instance", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("recording", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("labels", torch.zeros(size, n_labels))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))  # rows that were ever put in

    def forward(self, z: Tensor, targets: Targets) -> Tensor:
        """Loss of a batch beside the memory, which takes the batch in while training."""
        filled = min(int(self.seen), len(self.z))
        # an instance is of one batch, whatever its number there: numbers that no row of the memory has
        instance = torch.unique(targets.instance, return_inverse=True)[1]
        if filled:
            instance = instance + self.instance[:filled].max() + 1
        own = Targets(instance, targets.recording, targets.labels)
        loss = self.objective(*self._beside(z, own, filled))
        if self.training:
            self._take_in(z.detach().float(), own)
        return loss

    def _beside(self, z: Tensor, own: Targets, filled: int) -> tuple[Tensor, Targets]:
        past = slice(0, filled)
        recording = None if own.recording is None else torch.cat([own.recording, self.recording[past]])
        labels = own.labels
        if labels is not None:
            kept = F.pad(self.labels[past], (0, labels.shape[1] - self.labels.shape[1]))
            labels = torch.cat([labels.float(), kept])
        anchor = torch.arange(len(z) + filled, device=z.device) < len(z)
        instance = torch.cat([own.instance, self.instance[past]])
        return torch.cat([z.float(), self.z[past]]), Targets(instance, recording, labels, anchor=anchor)

    @torch.no_grad()
    def _take_in(self, z: Tensor, own: Targets) -> None:
        """Overwrite the oldest rows."""
        size = len(self.z)
        n = min(len(z), size)
        place = (torch.arange(n, device=z.device) + self.seen) % size
        self.z[place] = z[-n:]
        self.instance[place] = own.instance[-n:]
        if own.recording is not None:
            self.recording[place] = own.recording[-n:]
        if own.labels is not None:
            self.labels[place] = own.labels[-n:, : self.labels.shape[1]].float()
        self.seen += n
