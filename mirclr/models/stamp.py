"""What a library and heads keep of the encoder that made their vectors; no torch."""

from dataclasses import dataclass
from typing import Any

import numpy as np

NO_VECTOR = "the encoder made no usable vector of it (not finite, or zero)"
"""What is reported of a track that an encoder fails on."""


@dataclass(frozen=True)
class EncoderStamp:
    """The encoder whose vectors a library holds.

    Attributes
    ----------
    digest : str
        Of the checkpoint's weights and recipe.
    name : str
        For people: the checkpoint's file name, or ``builtin``.
    dim : int
        Components of a vector.
    excerpts : int
        Excerpts embedded per track.
    recipe : dict
        Resolved recipe, JSON values only: enough to build the same encoder with random weights.
    """

    digest: str
    name: str
    dim: int
    excerpts: int
    recipe: dict[str, Any]

    @property
    def mean_dim(self) -> int:
        """Components of an excerpt's embedding, and of their mean: the first of a vector, or all of it."""
        half, odd = divmod(self.dim, 2)
        return half if _number(self.recipe, "embedding", "std_weight") > 0 and half and not odd else self.dim

    @property
    def clip_seconds(self) -> float:
        """Length of an excerpt; 0 where the recipe does not tell."""
        return _number(self.recipe, "audio", "clip_seconds")

    def compared(self, vectors: np.ndarray) -> np.ndarray:
        """What of vectors is compared where tracks that are alike are looked for: the mean over excerpts.

        How much the excerpts differ, the other half of a vector where an encoder gives it, is for heads: of neighbours
        it tells next to nothing (recipes/builtin/neighbours.json).

        Parameters
        ----------
        vectors : np.ndarray
            (n, dim) or (dim,) float32, unit rows.

        Returns
        -------
        (n, mean_dim) or (mean_dim,) float32, unit rows
        """
        return unit_rows(vectors[..., : self.mean_dim]) if self.mean_dim < self.dim else vectors

    def makes_vectors_of(self, other: "EncoderStamp") -> bool:
        """Whether vectors of both can be compared: one encoder, and as many excerpts."""
        return (self.digest, self.excerpts) == (other.digest, other.excerpts)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """(…, d) float32 -> the same at unit length; what is zero stays so."""
    # not np.linalg.norm, which squares a copy: of a large library that is as much memory again
    lengths = np.sqrt(np.vecdot(rows, rows))[..., None]
    scaled: np.ndarray = rows / np.maximum(lengths, np.float32(1e-12))
    return scaled


def _number(recipe: dict[str, Any], section: str, key: str) -> float:
    """A setting of a recipe that may come from elsewhere; 0 where it has none."""
    settings = recipe.get(section)
    value = settings.get(key) if isinstance(settings, dict) else None
    return float(value) if isinstance(value, int | float) else 0.0


def is_usable(vector: np.ndarray) -> bool:
    """Whether a vector of an encoder is one: finite, and not zero."""
    norm = float(np.linalg.norm(np.asarray(vector, np.float64)))
    return bool(np.isfinite(norm)) and norm > 0.5
