"""A checkpoint of mirclr as a teacher: its embedding and, by heads fitted on its vectors, genre and mood."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from mirclr.classify import Head, Heads
from mirclr.errors import EncoderMismatch
from mirclr.models.checkpoint import load_checkpoint
from mirclr.models.encoder import Model
from mirclr.provenance import digest_bytes
from mirclr.training.teacher.protocol import Teacher


class EncoderTeacher(Teacher):
    """An encoder with heads; without heads it has no tags, only an embedding.

    ``forward`` takes what the encoder takes: (B, F, T) log-mel or (B, N) samples. Heads are fitted on vectors of whole
    tracks, means over excerpts; of a single clip they are less sure, and less calibrated.

    Parameters
    ----------
    name : str
        For people.
    model : Model
        Of a checkpoint.
    digest : str
        Of its encoder.
    heads : Heads, optional
        Fitted on its vectors. Genres exclude each other and come first, moods follow.

    Raises
    ------
    EncoderMismatch
        The heads were fitted on another encoder's vectors.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, name: str, model: Model, digest: str, heads: Heads | None = None) -> None:
        super().__init__()
        if heads and heads.encoder["digest"] != digest:
            raise EncoderMismatch(
                f"{name}: its encoder is {digest[:8]}, the heads were fitted on {heads.encoder['digest'][:8]}; fit "
                "heads on a library of this encoder: mirclr classify train"
            )
        held: dict[str, Head] = heads.tasks if heads else {}
        tasks = [held[task] for task in ("genre", "mood") if task in held]
        self.name, self.model = name, model.eval().requires_grad_(False)
        self.digest = digest_bytes(digest.encode(), (heads.digest if heads else "").encode())
        self.tags = tuple(label for head in tasks for label in head.labels)
        self.exclusive = len(held["genre"].labels) if "genre" in held else 0
        self.rate, self.mel, self.dim = model.recipe.audio.sample_rate, model.recipe.mel, model.pooling.dim
        self.seconds, self.input = model.recipe.audio.clip_seconds, model.encoder.input
        # the calibrating temperature divides the logits for good
        rows = [torch.from_numpy(h.weight / h.temperature[:, None]) for h in tasks]
        self.register_buffer("weight", torch.cat([torch.zeros(0, self.dim), *rows]))
        self.register_buffer(
            "bias", torch.cat([torch.zeros(0), *(torch.from_numpy(h.bias / h.temperature) for h in tasks)])
        )

    @torch.no_grad()
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, F, T) log-mel or (B, N) samples -> logits (B, C), vectors (B, D) of unit length, float32."""
        vectors = self.model.pooling.alone(self.model.encoder(x).float())
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(vectors, self.weight, self.bias), vectors


def load_encoder_teacher(checkpoint: Path, heads: Path | None = None) -> EncoderTeacher:
    """Load a checkpoint, and heads that ``mirclr classify train`` fitted on its vectors, on the CPU.

    Raises
    ------
    CheckpointError
        A file is missing or not of its kind.
    EncoderMismatch
        The heads were fitted on another encoder's vectors.
    """
    read = load_checkpoint(checkpoint)
    return EncoderTeacher(checkpoint.name, read.model, read.digest, Heads.load(heads) if heads else None)
