"""What every objective is: a module from projections, and what is known of each row, to one number."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from mirclr.data.targets import Targets
from mirclr.errors import ObjectiveError


class Objective(nn.Module):
    """A loss of a batch: ``objective(z, labels)``.

    It normalises z where its definition asks for it, computes in float32 even under autocast, and raises
    `ObjectiveError` where a batch gives it nothing to learn from, rather than return a silent 0.

    Attributes
    ----------
    title : str
        What errors call it.
    """

    title: ClassVar[str]

    def forward(self, z: Tensor, labels: Tensor | Targets) -> Tensor:
        """Loss of a batch.

        `Targets` that are on an accelerator are not checked there, which would wait for it at every step: whoever moves
        them calls `check` before. All else is checked here.

        Parameters
        ----------
        z : (B, P) float
            Projections; an objective normalises them itself where it needs unit rows.
        labels : (B,) int, (B, C) float, or Targets
            Numbers: rows of one number belong together, a row of a negative one has no label. Rows of weight: one-hot,
            multi-hot, mixed, or probabilities; a row of zeros has no label. `Targets`: all that training knows of a
            batch.

        Returns
        -------
        () float32
            On the device of z, with a gradient for z.

        Raises
        ------
        ObjectiveError
            Shapes do not fit, or the batch gives nothing to learn from.
        """
        targets = labels if isinstance(labels, Targets) else self.targets(z, labels)
        if z.ndim != 2 or not z.is_floating_point() or targets.instance.shape != z.shape[:1]:
            shapes = f"z is {z.dtype} {tuple(z.shape)}, instance {tuple(targets.instance.shape)}"
            raise ObjectiveError(f"{self.title}: {shapes}; expected float (B, P), (B,)")
        if isinstance(labels, Tensor) or targets.instance.device.type == "cpu":
            self.check(targets)
        with torch.autocast(z.device.type, enabled=False):
            return self.loss(z.float(), targets)

    def targets(self, z: Tensor, labels: Tensor) -> Targets:
        """What plain labels say of the rows of z."""
        if not isinstance(labels, Tensor):
            raise ObjectiveError(f"{self.title}: labels are a {type(labels).__name__}; expected a Tensor")
        if labels.ndim == 1 and not labels.is_floating_point() and not labels.is_complex():
            labels = labels.long()
            alone = -1 - torch.arange(len(labels), device=labels.device)
            return Targets(torch.where(labels < 0, alone, labels), index=labels)
        if labels.ndim == 2 and not labels.is_complex():
            return Targets(torch.arange(len(labels), device=labels.device), labels=labels.float())
        raise ObjectiveError(
            f"{self.title}: labels are {labels.dtype} {tuple(labels.shape)}; expected (B,) integers, or (B, C) weights"
        )

    def check(self, targets: Targets) -> None:
        """Raise `ObjectiveError` where such rows give nothing to learn from, whatever their projections.

        It looks into the tensors: call it where they are on the CPU.
        """
        labels = targets.labels
        # NaN compares as False with everything, so this finds it too
        if labels is not None and not bool(((labels >= 0) & (labels < torch.inf)).all()):
            raise ObjectiveError(f"{self.title}: labels hold a weight that is negative or not finite")

    def loss(self, z: Tensor, targets: Targets) -> Tensor:
        """The loss of (B, P) float32 projections, without a look into any tensor."""
        raise NotImplementedError


def positive_number(title: str, **values: float) -> None:
    """Raise `ObjectiveError` unless each of the named settings is a finite number above 0."""
    for name, value in values.items():
        if not 0 < value < float("inf"):
            raise ObjectiveError(f"{title}: {name} is {value}; expected a number above 0")


def masked_mean(values: Tensor, rows: Tensor) -> Tensor:
    """Mean of the values where a mask is True; what stands elsewhere has no part in it, nor in the gradient."""
    return torch.where(rows, values, 0.0).sum() / rows.sum()
