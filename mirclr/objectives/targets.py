"""What is known of each row of a batch: the input that all objectives share."""

from dataclasses import dataclass

from torch import Tensor


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
    """

    instance: Tensor
    recording: Tensor | None = None
