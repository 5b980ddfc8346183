"""Waveforms in memory, read as files are: mixed down, cut and resampled by the same code."""

from collections.abc import Iterator
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mirclr.audio.reading import MAX_CHANNELS, MAX_SECONDS, MIN_SECONDS, RATES, Excerpts, excerpts_of, mono_blocks_of
from mirclr.audio.source import Damage
from mirclr.errors import UnusableAudio

_NAME = Path("waveform")  # what messages call it
_LOUDEST = 100.0  # of floating-point samples: 40 dB above full scale is another scale


class Waveform:
    """Samples in memory as a `mirclr.audio.source.Source`.

    Parameters
    ----------
    y : array-like
        (n,) or (channels, n) real numbers, as librosa has them. Floating-point samples are taken as they are, with full
        scale at 1; whole numbers are divided by the range of their type, as in wav files (int16 by 32,768; of unsigned
        types the middle is zero). A torch tensor may be on any device.
    rate : float
        Its sampling rate, in Hz.

    Raises
    ------
    UnusableAudio
        Of another shape or type, too short, too long, not finite, or at a rate that is not supported.
    """

    def __init__(self, y: npt.ArrayLike, rate: float) -> None:
        self.rate: Any = _checked_rate(rate)
        samples = _as_float32(y)
        if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[0] <= MAX_CHANNELS):
            transposed = samples.ndim == 2 and 1 <= samples.shape[1] <= MAX_CHANNELS
            advice = "; transpose it: y.T" if transposed else f"; 1 to {MAX_CHANNELS} channels are supported"
            raise UnusableAudio(f"{_NAME}: found the shape {samples.shape}, expected (n,) or (channels, n){advice}")
        samples = np.atleast_2d(samples)
        self.channels, count = samples.shape
        self.seconds = count / self.rate
        self.damage = Damage()
        if not MIN_SECONDS <= self.seconds <= MAX_SECONDS:
            raise UnusableAudio(
                f"{_NAME}: {count} samples at {self.rate:g} Hz are {self.seconds:.4g} s long; {MIN_SECONDS} s to "
                f"{MAX_SECONDS / 3600:.0f} h are supported"
            )
        loudest = float(max(samples.max(), -samples.min()))  # NaN where any sample is
        if not np.isfinite(loudest):
            raise UnusableAudio(f"{_NAME}: holds samples that are NaN or infinite")
        if loudest > _LOUDEST:
            raise UnusableAudio(
                f"{_NAME}: floating-point samples up to {loudest:.6g}; full scale is 1: divide them by their range"
            )
        self._samples = samples.T

    def read_at(self, start_s: float, seconds: float) -> np.ndarray:
        """As `Source.read_at`."""
        start = min(round(start_s * self.rate), len(self._samples) - 1)
        return self._samples[start : start + round(seconds * self.rate)]

    def blocks(self, seconds: float, start_s: float = 0.0) -> Iterator[np.ndarray]:
        """As `Source.blocks`."""
        size = round(seconds * self.rate)
        for start in range(round(start_s * self.rate), len(self._samples), size):
            yield self._samples[start : start + size]


def waveform_excerpts(y: npt.ArrayLike, rate: float, *, count: int, seconds: float, to: int) -> Excerpts:
    """Excerpts spread evenly over a waveform, as `mirclr.audio.read_excerpts` takes them of a file.

    Parameters
    ----------
    y : array-like
        (n,) or (channels, n), as `Waveform` takes it.
    rate : float
        Its sampling rate, in Hz.
    count, seconds : int, float
        How many excerpts at most, and the length of each.
    to : int
        Rate of the result, in Hz.

    Raises
    ------
    UnusableAudio
        It is silent, or as of `Waveform`.
    """
    return excerpts_of(Waveform(y, rate), _NAME, count, seconds, to)


def waveform_blocks(y: npt.ArrayLike, rate: float, *, to: int, raised: bool = False) -> Iterator[np.ndarray]:
    """A whole waveform as mono blocks at another rate, as `mirclr.audio.decode_blocks` gives those of a file."""
    return mono_blocks_of(Waveform(y, rate), _NAME, to, raised)


def windows(blocks: Iterator[np.ndarray], *, size: int, step: int) -> Iterator[tuple[int, np.ndarray]]:
    """Cut a stream of samples into windows; each comes with the sample that it starts at.

    The last one is shorter than `size` where at least half of what it adds is there, or where it is the only one.
    """
    pending, start = np.zeros(0, np.float32), 0
    for block in blocks:
        pending = np.concatenate([pending, block])
        while len(pending) >= max(size, step):
            yield start, pending[:size]
            pending, start = pending[step:], start + step
    left = len(pending) - max(0, size - step)
    if left >= min(size, step) / 2 or (start == 0 and len(pending)):
        yield start, pending[:size]


def _checked_rate(rate: Any) -> float:
    if getattr(rate, "shape", None) == ():  # of numpy or torch, as a file of them gives it back
        rate = rate.item()
    number = isinstance(rate, Real) and not isinstance(rate, bool)
    if not number or not RATES[0] <= rate <= RATES[1]:
        raise UnusableAudio(f"{_NAME}: found the sampling rate {rate!r}; {RATES[0]} to {RATES[1]} Hz are supported")
    return int(rate) if float(rate).is_integer() else float(rate)


def as_array(y: Any) -> np.ndarray:
    """Samples as an array of numpy: of a list, an array, or a tensor of torch on any device.

    Raises
    ------
    UnusableAudio
        They are no array.
    """
    try:
        if hasattr(y, "detach"):  # a tensor of torch, which need not be imported for that
            y = y.detach().cpu().resolve_conj().resolve_neg()
            y = y.float() if str(y.dtype) == "torch.bfloat16" else y  # of which numpy knows nothing
        return np.asarray(y)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UnusableAudio(f"{_NAME}: not an array of samples ({str(error).splitlines()[0]})") from None


def _as_float32(y: npt.ArrayLike) -> np.ndarray:
    """Real numbers of any type as float32, whole ones by the range of their type."""
    samples = as_array(y)
    if samples.dtype.kind in "iu":
        half = 2.0 ** (8 * samples.dtype.itemsize - 1)
        middle = half if samples.dtype.kind == "u" else 0.0
        scaled: np.ndarray = (samples.astype(np.float64) - middle) / half
        return scaled.astype(np.float32)
    if samples.dtype.kind != "f":
        raise UnusableAudio(f"{_NAME}: samples of the type {samples.dtype}; expected real numbers")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        return samples.astype(np.float32, copy=False)
