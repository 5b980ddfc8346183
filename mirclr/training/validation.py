"""A kNN vote on labelled tracks during a run: whether what is learned separates them."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mirclr import config
from mirclr.data.clips import Cached, ClipCache
from mirclr.metrics import knn_accuracy
from mirclr.models.encoder import Model
from mirclr.training.distributed import ALONE, Ranks


class Validation:
    """Labelled tracks, decoded.

    Parameters
    ----------
    settings : config.Validation
        How many neighbours vote, and how often.
    cache : ClipCache
        Holds the tracks.
    labelled : sequence of (Cached, label)
        At least one.
    """

    def __init__(self, settings: config.Validation, cache: ClipCache, labelled: Sequence[tuple[Cached, str]]) -> None:
        self.k, self.every, self.cache, self.labelled = settings.k, settings.every, cache, list(labelled)

    def accuracy(self, model: Model, device: torch.device, dtype: torch.dtype, ranks: Ranks = ALONE) -> float:
        """The fraction of tracks whose label a vote of their nearest others gives, each left out in turn."""
        total = len(self.labelled)
        own = [track_vector(model, self.cache, one, device, dtype) for one, _ in self.labelled[ranks.part(total)]]
        rows = np.stack(own) if own else np.zeros((0, model.encoder.dim), np.float32)
        vectors = ranks.gather(torch.from_numpy(rows), total).numpy()
        labels = np.array([label for _, label in self.labelled])
        right = []
        for i in range(len(labels)):
            others = np.arange(len(labels)) != i
            right.append(knn_accuracy(vectors[others], labels[others], vectors[[i]], labels[[i]], k=self.k))
        return float(np.mean(right))


def track_vector(
    model: Model, cache: ClipCache, cached: Cached, device: torch.device, dtype: torch.dtype
) -> np.ndarray:
    """(D,) float32 of unit length: a track's mean embedding."""
    mean = embed_clips(model, cache, cached, device, dtype).mean(dim=0)
    vector: np.ndarray = F.normalize(mean, dim=0).cpu().numpy()
    return vector


def embed_clips(model: Model, cache: ClipCache, cached: Cached, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(n, D) float32: the embeddings of evenly spread clips of a cached track, as many as `embedding.excerpts`.

    Parameters
    ----------
    model : Model
        Is in evaluation mode afterwards.
    cache : ClipCache
        Holds the track.
    cached : Cached
        The track; a short one is repeated.
    device, dtype : torch.device, torch.dtype
        Where the model is, and the type for autocast.
    """
    recipe = model.recipe
    samples = round(recipe.audio.clip_seconds * recipe.audio.sample_rate)
    length = samples if cache.domain == "waveform" else model.mel.frames(samples)
    n = recipe.embedding.excerpts
    starts = ((np.arange(n) + 0.5) / n * max(0, cached.length - length)).astype(int)
    clips = cache.stack([cache.read(cached, int(s), length) for s in starts]).to(device)
    model.eval()
    with torch.no_grad(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        x = model.front_end(clips) if cache.domain == "waveform" else clips
        return cast(Tensor, model.encoder(x).float())
