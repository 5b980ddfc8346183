"""Noise that is a function of a key and a place: the same on every device, and however a batch is divided."""

import math

import torch
from torch import Tensor


def _as_int32(number: int) -> int:
    return number - 2**32


def uniform_noise(keys: Tensor, count: int) -> Tensor:
    """Numbers uniform in (0, 1), a hash of each row's key and the place: the same on every device.

    Parameters
    ----------
    keys : (B,) int32
        One for each row.
    count : int
        Numbers of a row.

    Returns
    -------
    (B, count) float32
        Multiples of 2^-23, plus half of one.

    References
    ----------
    Wellons 2018, "Prospecting for hash functions", for the constants.
    """
    x = torch.arange(count, dtype=torch.int32, device=keys.device) * _as_int32(0x9E3779B1) + keys[:, None]
    x.bitwise_xor_((x >> 16).bitwise_and_(0xFFFF)).mul_(0x7FEB352D)
    x.bitwise_xor_((x >> 15).bitwise_and_(0x1FFFF)).mul_(_as_int32(0x846CA68B))
    x.bitwise_xor_((x >> 16).bitwise_and_(0xFFFF))
    return x.bitwise_and_(0x7FFFFF).float().add_(0.5).mul_(2.0**-23)


def normal_noise(keys: Tensor, count: int) -> Tensor:
    """(B, count) float32 of a standard normal, by `uniform_noise` and Box and Muller's transform."""
    radius, angle = uniform_noise(keys, 2 * (-(-count // 2))).chunk(2, dim=1)
    radius, angle = radius.log().mul_(-2).sqrt_(), angle * (2 * math.pi)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :count]
