"""An encoder made ready to embed tracks: excerpts of decoded sound to vectors."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from mirclr import config, extensions
from mirclr.models.checkpoint import encoder_digest, load_checkpoint
from mirclr.models.device import pick_device, pick_precision
from mirclr.models.encoder import Model
from mirclr.models.level import levelled
from mirclr.models.own import recipe_of_class
from mirclr.models.pretrained import NAME, builtin_checkpoint
from mirclr.models.stamp import EncoderStamp

_CLIPS = 32  # embedded at once: the spectrograms of more do not fit a CPU's caches


class Embedder:
    """An encoder made ready to embed tracks.

    Parameters
    ----------
    model : Model
        Its weights.
    stamp : EncoderStamp
        Its name and digest, as libraries keep them.
    device : str
        "auto", or a device of torch.
    """

    def __init__(self, model: Model, stamp: EncoderStamp, device: str = "auto") -> None:
        self.stamp = stamp
        self.rate = model.recipe.audio.sample_rate
        self.seconds = model.recipe.audio.clip_seconds
        self.excerpts = stamp.excerpts
        self.dim = stamp.dim
        self._device = pick_device(device)
        self._dtype = pick_precision(model.recipe.training.precision, self._device)
        self._model = model.to(self._device).eval()

    @classmethod
    def load(
        cls, checkpoint: Path, *, excerpts: int | None = None, device: str = "auto", own: nn.Module | None = None
    ) -> Self:
        """Read a checkpoint; `excerpts` a track are the recipe's unless given, `own` is as of `load_checkpoint`.

        In place of a file it may be the name of a class that was allowed, ``package.module:Class``.
        """
        if own is None and extensions.is_class_name(str(checkpoint)) and not checkpoint.exists():
            model = Model(recipe_of_class(str(checkpoint)))
            return cls(model, stamp_of(model, name=str(checkpoint), excerpts=excerpts), device)
        read = load_checkpoint(checkpoint, own)
        # the built-in one by name: libraries outlive the place where mirclr is installed
        name = NAME if checkpoint == builtin_checkpoint() else str(checkpoint.resolve())
        return cls(read.model, stamp_of(read.model, name=name, excerpts=excerpts), device)

    @classmethod
    def with_random_weights(cls, recipe: dict[str, Any], *, excerpts: int, seed: int = 0) -> Self:
        """The encoder of a resolved recipe, untrained: the baseline that training must beat."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            # only what an embedding depends on, so that libraries outlive changes to the rest of a recipe
            sections = {section: recipe[section] for section in ("audio", "mel", "encoder") if section in recipe}
            unused = {"name": "random weights", "data": {"train": "nothing"}}
            model = Model(config.recipe_from(unused | sections, where="the library's recipe"))
        return cls(model, stamp_of(model, name=f"random weights, seed {seed}", excerpts=excerpts))

    def embed_track(self, waveforms: np.ndarray) -> np.ndarray:
        """(n, N) float32 excerpts of one track -> (D,) float32 of unit length, the track's vector."""
        vector: np.ndarray = self.embed_tracks([waveforms])[0]
        return vector

    def embed_tracks(self, tracks: Sequence[np.ndarray]) -> np.ndarray:
        """(n_i, N) float32 excerpts of several tracks -> (len(tracks), D) float32 unit rows."""
        embedded = self.embed_excerpts(np.concatenate([self.levelled(track) for track in tracks]))
        ends = np.cumsum([len(t) for t in tracks])[:-1]
        return np.stack([self.pool(part) for part in np.split(embedded, ends)])

    def levelled(self, waveforms: np.ndarray) -> np.ndarray:
        """(n, N) float32 excerpts of one track, by one gain, at the level at which the encoder hears them."""
        return levelled(waveforms, loud_too=self._model.recipe.embedding.levelled)

    def embed_excerpts(self, waveforms: np.ndarray) -> np.ndarray:
        """(n, N) float32 excerpts -> (n, E) float32, as the encoder gives them."""
        half = self._dtype != torch.float32
        with _few_threads(), torch.inference_mode(), torch.autocast(self._device.type, self._dtype, enabled=half):
            parts = torch.from_numpy(waveforms).split(_CLIPS)
            result: np.ndarray = torch.cat([self._model(p.to(self._device)).float() for p in parts]).cpu().numpy()
        return result

    def pool(self, embedded: np.ndarray) -> np.ndarray:
        """(n, E) float32 embeddings of a track's excerpts -> (D,) float32 of unit length, the track's vector."""
        with _few_threads(), torch.inference_mode():
            vector: np.ndarray = self._model.pooling(torch.from_numpy(embedded).to(self._device)).cpu().numpy()
        return vector


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
