"""Cross-batch memory: past projections stand beside a batch, so that a small batch has many negatives."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mirclr.data.targets import Targets
from mirclr.errors import ObjectiveError
from mirclr.objectives.base import Objective, positive_number


class CrossBatchMemory(Objective):
    """An objective over the rows of a batch and the last `size` rows before it.

    Rows of the memory are positives and negatives like any other, but no anchors and without gradient. They are of the
    encoder as it was then, which drifts slowly once training has begun. In training mode a call takes its batch in. The
    memory is part of the state that training resumes from.

    Parameters
    ----------
    objective : Objective
        One that heeds ``targets.anchor``: `NTXentLoss`, `TripletLoss`, `SupConLoss` or `GeneralizedSupConLoss`.
    size : int
        How many rows it holds, 1 or more.
    dim : int
        P.
    n_labels : int
        C; columns beyond it, which belong to the instances of one batch, are left out of the memory.

    Raises
    ------
    ObjectiveError
        A size is out of range; in a call, as the objective does, of the batch by itself.

    Notes
    -----
    ``forward(z, labels)``: as of the objective. Integers are numbers of instances, which are of one batch: the same
    number in two batches is not the same instance. Give classes as (B, C) one-hot rows, with C for `n_labels`.

    References
    ----------
    Wang et al. 2020, "Cross-batch memory for embedding learning", arXiv 1912.06798, algorithm 1.

    Examples
    --------
    >>> import torch
    >>> from mirclr.objectives import CrossBatchMemory, NTXentLoss
    >>> objective = CrossBatchMemory(NTXentLoss(temperature=1.0), size=4, dim=2)
    >>> z, pairs = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(2, 1), torch.tensor([0, 1, 0, 1])
    >>> first, second = objective(z, pairs), objective(z, pairs)
    >>> round(float(first), 4), round(float(second), 4)          # two negatives more, and two as near as the positive
    (0.5514, 1.4977)
    """

    title = "cross-batch memory"
    z: Tensor
    instance: Tensor
    recording: Tensor
    labels: Tensor
    seen: Tensor

    def __init__(self, objective: Objective, size: int, dim: int, n_labels: int = 0) -> None:
        super().__init__()
        positive_number(self.title, size=size, dim=dim)
        self.objective = objective
        self.register_buffer("z", torch.zeros(size, dim))
        self.register_buffer("instance", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("recording", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("labels", torch.zeros(size, n_labels))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))  # rows that were ever put in
        self._seen = 0  # the same, to ask without waiting for a device
        self.register_load_state_dict_post_hook(_count_again)

    def targets(self, z: Tensor, labels: Tensor) -> Targets:
        """What plain labels say of the rows of z."""
        return self.objective.targets(z, labels)

    def check(self, targets: Targets) -> None:
        """Raise where the batch by itself gives nothing to learn from."""
        self.objective.check(targets)

    def loss(self, z: Tensor, targets: Targets) -> Tensor:
        """The loss of a batch beside the memory, which takes the batch in while training."""
        if z.shape[1] != self.z.shape[1]:
            raise ObjectiveError(f"cross-batch memory: z is {tuple(z.shape)}, its rows {tuple(self.z.shape)}")
        filled = min(self._seen, len(self.z))
        # an instance is of one batch, whatever its number there: numbers that no row of the memory has
        instance = (targets.instance[:, None] == targets.instance[None, :]).int().argmax(dim=1)
        if filled:
            instance = instance + self.instance[:filled].max() + 1
        own = Targets(instance, targets.recording, targets.labels)
        loss = self.objective.loss(*self._beside(z, own, filled))
        if self.training:
            self._take_in(z.detach(), own)
        return loss

    def _beside(self, z: Tensor, own: Targets, filled: int) -> tuple[Tensor, Targets]:
        past = slice(0, filled)
        recording = None if own.recording is None else torch.cat([own.recording, self.recording[past]])
        labels = own.labels
        if labels is not None:
            held = F.pad(self.labels[past], (0, labels.shape[1] - self.labels.shape[1]))
            labels = torch.cat([labels.float(), held])
        anchor = torch.arange(len(z) + filled, device=z.device) < len(z)
        instance = torch.cat([own.instance, self.instance[past]])
        return torch.cat([z, self.z[past]]), Targets(instance, recording, labels, anchor=anchor)

    @torch.no_grad()
    def _take_in(self, z: Tensor, own: Targets) -> None:
        """Overwrite the oldest rows."""
        size = len(self.z)
        n = min(len(z), size)
        place = (torch.arange(n, device=z.device) + self._seen) % size
        self.z[place] = z[-n:]
        self.instance[place] = own.instance[-n:]
        if own.recording is not None:
            self.recording[place] = own.recording[-n:]
        if own.labels is not None:
            self.labels[place] = own.labels[-n:, : self.labels.shape[1]].float()
        self._seen += n
        self.seen.fill_(self._seen)


def _count_again(memory: Any, _: object) -> None:
    memory._seen = int(memory.seen)
