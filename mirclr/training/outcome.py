"""What a step gave, on its way from the device: nobody waits for it who does not ask."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mirclr.errors import NotFinite


class Outcome:
    """The losses of a step, and the norm of its gradient.

    Parameters
    ----------
    step : int
        Counted from 1.
    losses : sequence of mapping of str to Tensor
        Of each batch of the step, without gradient; "loss" is their total.
    norm : Tensor
        Of the gradient, before it was clipped.
    tracks : sequence of sequence of str
        The ids of each batch's tracks.
    """

    def __init__(
        self, step: int, losses: Sequence[Mapping[str, Tensor]], norm: Tensor, tracks: Sequence[Sequence[str]]
    ) -> None:
        self.step, self._tracks, self._names = step, tracks, list(losses[0])
        values = torch.stack([*(each[name].float() for each in losses for name in self._names), norm.float()])
        self._copied = None
        if values.device.type == "cuda":
            self._host = torch.empty(values.shape, pin_memory=True)
            self._host.copy_(values, non_blocking=True)
            self._copied = torch.cuda.current_stream(values.device).record_event()
        else:
            self._host = values if values.device.type == "mps" else values.cpu()

    @property
    def is_here(self) -> bool:
        """Whether it can be read without waiting: on the CPU at once, on other devices some time after the step."""
        return self._host.device.type == "cpu" and (self._copied is None or bool(self._copied.query()))

    def read(self) -> dict[str, float]:
        """The mean of each loss over the step's batches; waits until they are here.

        Raises
        ------
        NotFinite
            A loss or the norm of the gradient is NaN or infinite.
        """
        if self._copied is not None:
            self._copied.synchronize()
        *losses, norm = self._host.cpu().numpy().tolist()
        batches = [losses[i : i + len(self._names)] for i in range(0, len(losses), len(self._names))]
        total = self._names.index("loss")
        for batch, tracks in zip(batches, self._tracks, strict=True):
            if not math.isfinite(batch[total]):
                raise NotFinite(
                    f"step {self.step}: the loss is {batch[total]}; batch of {len(tracks)} tracks: "
                    f"{', '.join(tracks[:8])} …; lower training.lr, or raise objective.temperature"
                )
        means = {name: sum(b[i] / len(batches) for b in batches) for i, name in enumerate(self._names)}
        if not math.isfinite(norm):
            raise NotFinite(
                f"step {self.step}: the loss is {means['loss']:g}, but the norm of its gradient is {norm}; nothing was "
                "saved since; lower training.lr, raise objective.temperature, or set training.precision to float32"
            )
        return means
