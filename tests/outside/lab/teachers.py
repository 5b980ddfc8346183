"""A teacher: it tags a clip by which mel bands are loud, and embeds it as their levels."""

from torch import Tensor

from mirclr.config import Mel
from mirclr.training.teacher import Teacher


class Loudness(Teacher):
    """(B, F, T) log-mel -> a logit for each of four groups of bands, and the level of each band."""

    name = "loudness"
    exclusive = 0
    rate = 16000
    seconds = 1.0

    def __init__(self, bands: int = 24) -> None:
        super().__init__()
        self.mel, self.dim = Mel(n_mels=bands), bands
        self.tags = ("low", "lower middle", "upper middle", "high")
        self.digest = f"loudness {bands}"

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        level = log_mel.mean(dim=2)
        groups = level.unflatten(1, (len(self.tags), -1)).mean(dim=2)
        return groups - groups.mean(dim=1, keepdim=True), level


class Tagless(Loudness):
    """Says that it has a tag that it does not give."""

    def __init__(self) -> None:
        super().__init__()
        self.tags = (*self.tags, "more")

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        level = log_mel.mean(dim=2)
        return level[:, :4], level
