"""What is known of each row of a batch: the input that all objectives share."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mirclr.errors import ObjectiveError


@dataclass(frozen=True)
class Targets:
    """What is known of each of B views.

    Attributes
    ----------
    instance : (B,) int64
        Equal for views that were drawn as one: positives of the objectives without labels.
    recording : (B,) int64 or None
        Equal for views of one recording, which must never be negatives of each other. None: each instance is a
        recording of its own.
    labels : (B, C) float or None
        Rows of label weight: one-hot, multi-hot, mixed, or a teacher's probabilities. A row of zeros has no label.
    index : (B,) int64 or None
        Which track of the corpus each row is of, for a memory of all tracks.
    anchor : (B,) bool or None
        Rows whose own terms count; the others are but positives and negatives. None: all rows count.
    """

    instance: Tensor
    recording: Tensor | None = None
    labels: Tensor | None = None
    index: Tensor | None = None
    anchor: Tensor | None = None

    def __post_init__(self) -> None:
        for name, axes in (("recording", 1), ("labels", 2), ("index", 1), ("anchor", 1)):
            value = getattr(self, name)
            if value is not None and (value.ndim != axes or len(value) != len(self.instance)):
                shapes = f"instance {tuple(self.instance.shape)}, {name} {tuple(value.shape)}"
                raise ObjectiveError(f"targets: {shapes}; expected (B,) and {'(B,)' if axes == 1 else '(B, C)'}")

    def to(self, device: torch.device) -> "Targets":
        """The same on a device."""
        return Targets(*(None if v is None else v.to(device) for v in vars(self).values()))  # type: ignore[arg-type]


def anchor_mask(targets: Targets, able: Tensor) -> Tensor:
    """(B,) bool: the rows among `able` that are anchors."""
    return able if targets.anchor is None else able & targets.anchor


def same_class(targets: Targets) -> Tensor:
    """(B, B) bool: the same instance or, where both are labelled, the same heaviest label; True on the diagonal."""
    same = targets.instance[:, None] == targets.instance[None, :]
    if targets.labels is None:
        return same
    labelled = targets.labels.sum(dim=1) > 0
    label = targets.labels.argmax(dim=1)
    return same | ((label[:, None] == label[None, :]) & labelled[:, None] & labelled[None, :])


def same_recording(targets: Targets) -> Tensor:
    """(B, B) bool: rows that are never negatives of each other; the diagonal is True."""
    group = targets.instance if targets.recording is None else targets.recording
    return (group[:, None] == group[None, :]) | (targets.instance[:, None] == targets.instance[None, :])


def fill_missing_labels(targets: Targets) -> Tensor:
    """(B, C + B) float32: the label rows, and a column for each instance, with 1 for its rows without a label.

    There are as many columns more as rows, so that nobody waits for the number of instances; what is too many is 0.
    """
    own = (targets.instance[:, None] == targets.instance[None, :]).int().argmax(dim=1)  # the first row of each
    extra = (own[:, None] == torch.arange(len(own), device=own.device)).float()
    if targets.labels is None:
        return extra
    labels = targets.labels.float()
    without = labels.sum(dim=1, keepdim=True) == 0
    return torch.cat([labels, extra * without], dim=1)
