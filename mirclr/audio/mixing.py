"""Mixes of two clips of a batch and of their label rows: mixup and CutMix.

Axes: B batch, N samples, F mel bands, T frames, C labels. Numbers are drawn as in `mirclr.audio.augment`.
"""

from typing import Literal

import torch
from torch import Generator, Tensor, nn

from mirclr.audio.augment import Draws, Gather, to_device
from mirclr.audio.masks import between, run


class _MixedPairs(nn.Module):
    """Mix each clip with another of the batch, and its label row with the other's.

    Parameters
    ----------
    alpha : float
        The fraction of each clip that stays is drawn from Beta(alpha, alpha).
    p : float
        Probability for each row.
    """

    def __init__(self, *, alpha: float = 1.0, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p is {p}; a probability lies between 0 and 1")
        if not 0 < alpha < float("inf"):
            raise ValueError(f"alpha is {alpha}; expected a number above 0")
        self.alpha, self.p = alpha, p

    def forward(self, clips: Tensor, labels: Tensor, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Mix each row with probability `p`.

        Parameters
        ----------
        clips : (B, F, T) log-mel or (B, N) samples, float32
            Left as they are.
        labels : (B, C) float
            Rows of label weight.
        generator : torch.Generator, optional
            On the CPU; torch's own by default.

        Returns
        -------
        mixed : float32, as `clips`
        rows : (B, C) float
            lambda y + (1 - lambda) y', with lambda the fraction of the clip that stayed.
        """
        if len(clips) != len(labels) or not clips.is_floating_point() or labels.ndim != 2:
            shapes = f"clips are {clips.dtype} {tuple(clips.shape)}, labels {tuple(labels.shape)}"
            raise ValueError(f"{shapes}; expected float (B, ...) and rows of label weight (B, C)")
        return self.mix(clips, labels, to_device(self.draw(len(clips), generator), clips.device))

    def draw(self, n: int, generator: Generator | None = None, own: slice = slice(None)) -> Draws:
        """Draw the numbers of the n rows of a whole batch, on the CPU; `own` of them are the caller's clips."""
        partner = torch.randperm(n, generator=generator)
        gammas = torch._standard_gamma(torch.full((2, n), self.alpha), generator=generator)
        stays = gammas[0] / gammas.sum(dim=0).clamp(min=1e-30)
        stays = torch.where(torch.rand(n, generator=generator) < self.p, stays, 1.0)
        places = torch.rand((2, n), generator=generator)
        return {"own": torch.arange(n)[own], "partner": partner, "stays": stays, "places": places}

    def mix(self, clips: Tensor, labels: Tensor, draws: Draws, gather: Gather = lambda x: x) -> tuple[Tensor, Tensor]:
        """Mix as was drawn: (n, ...) clips that the caller holds, (B, C) label rows of the whole batch."""
        own, partner = draws["own"], draws["partner"]
        others = gather(clips).index_select(0, partner.index_select(0, own))
        weight, stayed = self.weights(clips.shape, **{k: draws[k] for k in ("stays", "places")})
        weight, stayed = weight.index_select(0, own), stayed[:, None]
        return clips * weight + others * (1 - weight), labels * stayed + labels.index_select(0, partner) * (1 - stayed)

    def weights(self, shape: torch.Size, stays: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Weight of each cell of a clip, broadcast to its shape, and the fraction (B,) of the clip that they make."""
        raise NotImplementedError


class MixUp(_MixedPairs):
    """Mix each clip with another of the batch by adding them, and their label rows likewise.

    Parameters
    ----------
    alpha : float
        The weight of each clip is drawn from Beta(alpha, alpha).
    p : float
        Probability for each row.

    References
    ----------
    Zhang et al. 2018, arXiv 1710.09412.

    Examples
    --------
    >>> mixed, labels = MixUp(alpha=1.0, p=1.0)(torch.randn(4, 16000), torch.eye(4))
    >>> labels.sum(dim=1)
    tensor([1., 1., 1., 1.])
    """

    def weights(self, shape: torch.Size, stays: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        return stays.reshape(-1, *(1 for _ in shape[1:])), stays


class CutMix(_MixedPairs):
    """Put a part of another clip of the batch in each clip, and mix their label rows by how much of it that is.

    Parameters
    ----------
    region : {"time", "box"}
        A stretch of time, or a box of time and frequency whose centre is anywhere, as published; of log-mel alone.
    alpha : float
        The fraction of each clip that stays is drawn from Beta(alpha, alpha).
    p : float
        Probability for each row.

    References
    ----------
    Yun et al. 2019, arXiv 1905.04899.

    Examples
    --------
    >>> mixed, labels = CutMix(region="box", p=1.0)(torch.rand(4, 96, 188), torch.eye(4))
    >>> mixed.shape
    torch.Size([4, 96, 188])
    """

    def __init__(self, *, region: Literal["time", "box"] = "time", alpha: float = 1.0, p: float = 0.5) -> None:
        super().__init__(alpha=alpha, p=p)
        if region not in ("time", "box"):
            raise ValueError(f"region is {region!r}; expected 'time' or 'box'")
        self.region = region

    def weights(self, shape: torch.Size, stays: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        length, ones = shape[-1], (1,) * (len(shape) - 2)
        if self.region == "time":
            begin, end = run(length, 1 - stays, places[0])
            cut = between(length, begin, end).reshape(-1, *ones, length)
            return 1.0 - cut.float(), 1 - (end - begin) / length
        height, side = shape[1], (1 - stays).sqrt()
        left, right = _side(length, side, places[0])
        low, high = _side(height, side, places[1])
        box = between(length, left, right)[:, None, :] & between(height, low, high)[:, :, None]
        return 1.0 - box.float(), 1 - (right - left) * (high - low) / (length * height)


def _side(length: int, fraction: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Begin and end of a side of CutMix's box as published: its centre anywhere, what lies beyond the ends cut off.

    So the ends are replaced nearly as often as the middle.
    """
    half = ((fraction * length).floor() / 2).floor()
    centre = (place * length).floor()
    return (centre - half).clamp(min=0), (centre + half).clamp(max=length)
