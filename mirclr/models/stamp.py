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

    def makes_vectors_of(self, other: "EncoderStamp") -> bool:
        """Whether vectors of both can be compared: one encoder, and as many excerpts."""
        return (self.digest, self.excerpts) == (other.digest, other.excerpts)


def is_usable(vector: np.ndarray) -> bool:
    """Whether a vector of an encoder is one: finite, and not zero."""
    norm = float(np.linalg.norm(np.asarray(vector, np.float64)))
    return bool(np.isfinite(norm)) and norm > 0.5
