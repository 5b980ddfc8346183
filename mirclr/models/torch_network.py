"""The network of an encoder in torch: on a GPU, untrained, or of one's own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from mirclr.models.checkpoint import encoder_digest
from mirclr.models.device import pick_device, pick_precision
from mirclr.models.encoder import Model
from mirclr.models.stamp import EncoderStamp

_CLIPS = 32  # embedded at once: the spectrograms of more do not fit a CPU's caches


class TorchNetwork:
    """The network of a model, on a device.

    Parameters
    ----------
    model : Model
        Its weights.
    device : str
        "auto", or a device of torch.

    Attributes
    ----------
    usual : (E,) float32 or None
        Of its `TrackPooling`, where deviations count.
    device : str
        What it computes on.
    """

    def __init__(self, model: Model, device: str = "auto") -> None:
        self._device = pick_device(device)
        self._dtype = pick_precision(model.recipe.training.precision, self._device)
        self.model = model.to(self._device).eval()
        self.device = str(self._device)
        self.usual = model.pooling.usual.float().cpu().numpy() if model.pooling.weight else None

    def __call__(self, waveforms: np.ndarray) -> np.ndarray:
        """(n, N) float32 excerpts -> (n, E) float32."""
        half = self._dtype != torch.float32
        with _few_threads(), torch.inference_mode(), torch.autocast(self._device.type, self._dtype, enabled=half):
            parts = torch.from_numpy(waveforms).split(_CLIPS)
            result: np.ndarray = torch.cat([self.model(p.to(self._device)).float() for p in parts]).cpu().numpy()
        return result


@contextmanager
def _few_threads() -> Iterator[None]:
    """A thread for every four cores: the processes that decode use the others, and threads that wait for one spin."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, (os.cpu_count() or 1) // 4)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def stamp_of(model: Model, *, name: str, excerpts: int | None = None) -> EncoderStamp:
    """The stamp of a model's vectors: `excerpts` a track are the recipe's unless given."""
    return EncoderStamp(
        digest=encoder_digest(model),
        name=name,
        dim=model.pooling.dim,
        excerpts=excerpts or model.recipe.embedding.excerpts,
        recipe=model.recipe.model_dump(mode="json"),
    )
