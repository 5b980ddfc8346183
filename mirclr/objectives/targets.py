"""What is known of each row of a batch: the input that all objectives share."""

from dataclasses import dataclass

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
    """

    instance: Tensor
    recording: Tensor | None = None

    def __post_init__(self) -> None:
        if self.recording is not None and self.recording.shape != self.instance.shape:
            shapes = f"instance {tuple(self.instance.shape)}, recording {tuple(self.recording.shape)}"
            raise ObjectiveError(f"targets: {shapes}; expected (B,) both")
