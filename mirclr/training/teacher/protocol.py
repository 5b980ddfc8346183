"""What every teacher is: a network that tells tags, and an embedding, of the very log-mel that a student hears."""

from typing import Literal

from torch import Tensor, nn

from mirclr.config import Mel
from mirclr.data.soft_labels import probabilities


class Teacher(nn.Module):
    """A network in evaluation mode whose opinions a student learns from.

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
        Of the waveforms that it was taught on, in Hz.
    mel : Mel
        Settings of the log-mel that it hears.
    seconds : float
        Length of what it hears at once.
    dim : int
        D.
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

    def probabilities(self, logits: Tensor, temperature: float = 1.0) -> Tensor:
        """(B, C) logits -> (B, C) float32 in [0, 1]; a temperature below 1 sharpens."""
        return probabilities(logits, self.exclusive, temperature)
