"""What every teacher is: a network that gives tags, an embedding and features of the log-mel that a student takes."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from mirclr.config import Mel
from mirclr.data.soft_labels import probabilities
from mirclr.provenance import digest_json


class Teacher(nn.Module):
    """A network in evaluation mode whose outputs a student learns from.

    ``forward`` takes (B, F, T) float32 log-mel at `rate` and `mel`, and gives logits (B, C) and an embedding (B, D),
    both float32.

    Attributes
    ----------
    name, digest : str
        For people, and of its weights.
    tags : tuple of str
        C names.
    exclusive : int
        The first so many tags exclude each other (a softmax); the others are independent (sigmoids).
    rate : int
        Of the waveforms that it was trained on, in Hz.
    mel : Mel
        Settings of its log-mel.
    seconds : float
        Length of the clips that it takes.
    dim : int
        D.
    features_dim : int
        How many features there are; 0 where a teacher gives none.
    input : {"mel", "waveform"}
        What ``forward`` takes; log-mel unless a teacher says otherwise.
    """

    input: Literal["mel", "waveform"] = "mel"

    name: str
    digest: str
    tags: tuple[str, ...]
    exclusive: int
    rate: int
    mel: Mel
    seconds: float
    dim: int
    features_dim: int = 0

    def with_features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As ``forward``, with the features (B, `features_dim`) that the embedding is made of, where there are any."""
        logits, embedding = self(x)
        return logits, embedding, embedding.new_zeros(len(embedding), 0)

    def probabilities(self, logits: Tensor, temperature: float = 1.0) -> Tensor:
        """(B, C) logits -> (B, C) float32 in [0, 1]; a temperature below 1 sharpens."""
        return probabilities(logits, self.exclusive, temperature)


class Ensemble(Teacher):
    """Teachers with one front end and independent tags, their outputs side by side.

    Parameters
    ----------
    name : str
        For people.
    teachers : sequence of Teacher
        At least one.
    """

    exclusive = 0

    def __init__(self, name: str, teachers: Sequence[Teacher]) -> None:
        super().__init__()
        self.name, self.teachers = name, nn.ModuleList(teachers)
        self.digest = digest_json([teacher.digest for teacher in teachers])
        self.tags = tuple(f"{teacher.name}: {tag}" for teacher in teachers for tag in teacher.tags)
        self.input, self.rate, self.mel = teachers[0].input, teachers[0].rate, teachers[0].mel
        self.seconds = teachers[0].seconds
        self.dim = sum(teacher.dim for teacher in teachers)
        self.features_dim = sum(teacher.features_dim for teacher in teachers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, F, T) or (B, N) -> logits (B, C), embeddings (B, D), float32."""
        found = [teacher(x) for teacher in self.teachers]
        return torch.cat([logits for logits, _ in found], dim=1), torch.cat([e for _, e in found], dim=1)

    def with_features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same with features."""
        found = [teacher.with_features(x) for teacher in self.teachers]  # type: ignore[operator]
        logits, embedding, features = (torch.cat(parts, dim=1) for parts in zip(*found, strict=True))
        return logits, embedding, features
