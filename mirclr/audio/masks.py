"""Runs along an axis, one of each row: what masks silence, and what mixes paste."""

import torch
from torch import Tensor


def keep_outside(length: int, longest: float, widths: Tensor, starts: Tensor) -> Tensor:
    """(B, length) float32 of 1, with runs of 0 in each row, each up to `longest` long.

    Parameters
    ----------
    length : int
        Steps of a row.
    longest : float
        In steps.
    widths, starts : (B, count) float32
        Of each run, uniform in [0, 1): its length by the longest, and its place by what is left.
    """
    silent = torch.zeros(len(widths), length, dtype=torch.bool, device=widths.device)
    for width, start in zip(widths.unbind(1), starts.unbind(1), strict=True):
        begin, end = run(length, width * (longest / length), start)
        silent |= between(length, begin, end)
    return 1.0 - silent.float()


def run(length: int, fraction: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Begin and end, (B,) float32 whole numbers, of a run of a fraction of the length, at a place drawn uniformly."""
    width = (fraction * length).round()
    begin = (place * (length - width + 1)).floor()
    return begin, begin + width


def between(length: int, begin: Tensor, end: Tensor) -> Tensor:
    """(B, length) bool: the steps from begin to before end."""
    steps = torch.arange(length, dtype=torch.float32, device=begin.device)
    return (steps >= begin[:, None]) & (steps < end[:, None])
