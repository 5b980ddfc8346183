"""Augmentations: what may change in music without changing what it sounds like.

Axes: B batch, N samples, F mel bands, T frames. Each is a module with plain keyword arguments that changes the rows
of a batch, each with its probability `p`: (B, N) float32 waveforms, or (B, F, T) float32 log-mel of `LogMel`. On the
latter they work on its power, where a gain multiplies, a mix adds and a pitch shift moves bands: as good as exact, but
for the phase. Pitch shift and time stretch are an interpolation there, hundreds of times cheaper than the phase vocoder
that waveforms get.

Random numbers are drawn on the CPU, by `Augmentation.draw`, apart from the work, which is tensors on the device of its
input alone: nothing waits for the device. The noise itself is a hash of a number of the row and the place in it. So a
generator of one seed gives the same result on every device, and however a batch is divided among processes.

Contents: the augmentations; `AUGMENTATIONS`, by their names in a recipe.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from scipy.fft import next_fast_len
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from mirclr.audio.masks import keep_outside
from mirclr.audio.mel import LogMel
from mirclr.audio.noise import normal_noise, uniform_noise
from mirclr.audio.vocoder import shift_pitch, stretch_time

DRAWN_BY = 2
"""Counts the ways in which random numbers have been drawn; raised when one seed would give other augmentations."""
Draws = dict[str, Tensor]
"""What was drawn for the rows of a batch: `rows`, (k,) int64, those that change, and for each of them its numbers."""
Gather = Callable[[Tensor], Tensor]
"""(n, ...) of the rows that a process holds to the (B, ...) of the whole batch."""


def uniform(bounds: tuple[float, float], shape: tuple[int, ...], generator: Generator | None) -> Tensor:
    """float32 drawn uniformly between two bounds, on the CPU."""
    low, high = bounds
    return torch.rand(shape, generator=generator) * (high - low) + low


def log_uniform(bounds: tuple[float, float], shape: tuple[int, ...], generator: Generator | None) -> Tensor:
    """float32 whose logarithm is drawn uniformly, on the CPU."""
    return torch.exp(uniform((math.log(bounds[0]), math.log(bounds[1])), shape, generator))


def ascending(name: str, bounds: tuple[float, float], *, above: float = -math.inf) -> tuple[float, float]:
    """Two finite bounds, the lower one first; raises `ValueError`, which names the setting, where they are not."""
    try:
        low, high = map(float, bounds)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not above < low <= high < math.inf:
        limit = "" if above == -math.inf else f", above {above:g}"
        raise ValueError(f"{name} is {bounds!r}; expected two numbers{limit}, the smaller one first")
    return low, high


def decibels(db: Tensor) -> Tensor:
    """Decibels to a factor of power."""
    return torch.pow(10.0, db / 10)


def to_device(draws: Draws, device: torch.device) -> Draws:
    """The same numbers on a device."""
    return {name: values.to(device, non_blocking=True) for name, values in draws.items()}


class Augmentation(nn.Module):
    """One kind of change; called with a batch, it changes each row with probability `p`.

    Parameters
    ----------
    p : float
        Probability for each row.
    sample_rate : int
        Sampling rate of waveforms, in Hz.
    mel : LogMel, optional
        The front end that log-mel comes from, and whose rate waveforms have; by default one of `sample_rate`.
    """

    def __init__(self, *, p: float = 0.5, sample_rate: int = 16000, mel: LogMel | None = None) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p is {p}; a probability lies between 0 and 1")
        self.p = p
        self.mel = mel or LogMel(sample_rate=sample_rate)

    def forward(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """Change each row with probability `p`.

        Parameters
        ----------
        x : (B, N) or (B, F, T) float32
            Samples in [-1, 1], or log-mel; left as it is.
        generator : torch.Generator, optional
            On the CPU; torch's own by default.

        Returns
        -------
        float32, as `x`
        """
        self._check(x)
        draws = to_device(self.draw(len(x), generator), x.device)
        if x.ndim == 2:
            return self.change(x.to(torch.float32, copy=True), draws)
        x = x.float()
        return self.mel.compress(self.change(self.mel.expand(x), draws))

    def _check(self, x: Tensor) -> None:
        """Raise `ValueError` where x is no batch of samples, nor of log-mel of the front end."""
        if x.ndim not in (2, 3) or not x.is_floating_point() or 0 in x.shape[1:]:
            found = f"{x.dtype} {tuple(x.shape)}"
            raise ValueError(f"x is {found}; expected (B, N) samples or (B, F, T) log-mel, floating-point")
        if x.ndim == 3 and x.shape[1] != self.mel.n_mels:
            raise ValueError(
                f"x has {x.shape[1]} mel bands, and `mel` {self.mel.n_mels}; give the LogMel that it is of"
            )

    def draw(self, n: int, generator: Generator | None = None, own: slice = slice(None)) -> Draws:
        """Draw which of n rows change, and the numbers of each.

        Parameters
        ----------
        n : int
            Rows of the whole batch.
        generator : torch.Generator, optional
            On the CPU.
        own : slice
            Those of them that the caller holds; `rows` are counted from the first of them.

        Returns
        -------
        dict of str to Tensor
            On the CPU.
        """
        rows = torch.nonzero(torch.rand(n, generator=generator) < self.p).flatten()
        first, end, _ = own.indices(n)
        here = (rows >= first) & (rows < end)
        numbers = self.numbers(rows, n, generator)
        return {"rows": rows[here] - first} | {name: values[here] for name, values in numbers.items()}

    def change(self, x: Tensor, draws: Draws, gather: Gather = lambda x: x) -> Tensor:
        """Change in place the rows that were drawn, of (B, N) waveforms or (B, F, T) mel power, on their device."""
        rows = draws["rows"]
        if not len(rows):
            return x
        numbers = {name: values for name, values in draws.items() if name != "rows"}
        form = self.on_waveform if x.ndim == 2 else self.on_power
        if len(rows) == len(x):
            return form(x, **numbers)
        return x.index_copy_(0, rows, form(x.index_select(0, rows), **numbers))

    def numbers(self, rows: Tensor, n: int, generator: Generator | None) -> Draws:
        """Draw numbers for `rows`, (k,) int64, of a batch of n, (k, ...) each, on the CPU."""
        raise NotImplementedError

    def on_waveform(self, x: Tensor, **numbers: Tensor) -> Tensor:
        """(B, N) -> (B, N) float32; every row is changed."""
        raise NotImplementedError

    def on_power(self, power: Tensor, **numbers: Tensor) -> Tensor:
        """(B, F, T) -> (B, F, T) float32 mel power; every row is changed."""
        raise NotImplementedError


class PitchShift(Augmentation):
    """Shift the pitch; the tempo stays.

    Waveforms are stretched by a phase vocoder and resampled; of log-mel the bands are moved.

    Parameters
    ----------
    semitones : (float, float)
        By how much, drawn uniformly between these.
    p, sample_rate, mel
        As of `Augmentation`.

    Examples
    --------
    >>> PitchShift(semitones=(-2, 2), p=1.0)(torch.randn(4, 16000)).shape
    torch.Size([4, 16000])
    >>> PitchShift(semitones=(-2, 2))(torch.rand(4, 96, 188)).shape
    torch.Size([4, 96, 188])
    """

    def __init__(self, *, semitones: tuple[float, float] = (-2.0, 2.0), **common: Any) -> None:
        super().__init__(**common)
        self.semitones = ascending("semitones", semitones)

    def forward(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """As of `Augmentation`."""
        if x.ndim != 3:
            return super().forward(x, generator)
        self._check(x)
        draws, x = to_device(self.draw(len(x), generator), x.device), x.float()
        return read_moved(x, x.shape[2], self.mel, [(self, draws)])

    def numbers(self, rows: Tensor, n: int, generator: Generator | None) -> Draws:
        return {"semitones": uniform(self.semitones, (len(rows),), generator)}

    def on_waveform(self, x: Tensor, semitones: Tensor) -> Tensor:  # type: ignore[override]
        return shift_pitch(x, semitones, self.semitones[1])


class TimeStretch(Augmentation):
    """Change the tempo; the pitch stays.

    What is played faster takes more input than it gives output, so the result is shorter than the input: as long as the
    fastest row that may be drawn, and the same for all rows.

    Parameters
    ----------
    rate : (float, float)
        How many times as fast, drawn log-uniformly between these.
    p, sample_rate, mel
        As of `Augmentation`.

    Examples
    --------
    >>> TimeStretch(rate=(0.8, 1.25))(torch.randn(4, 20000)).shape
    torch.Size([4, 16000])
    """

    def __init__(self, *, rate: tuple[float, float] = (0.8, 1.25), **common: Any) -> None:
        super().__init__(**common)
        self.rate = ascending("rate", rate, above=0.0)

    @property
    def fastest(self) -> float:
        """Input that is taken for one of output, at most."""
        return max(1.0, self.rate[1])

    def forward(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """Change each row with probability `p`: (B, N) -> (B, N / max(1, rate)), (B, F, T) -> (B, F, T / max(1, rate)).

        Parameters
        ----------
        x : (B, N) or (B, F, T) float32
            Samples in [-1, 1], or log-mel; left as it is.
        generator : torch.Generator, optional
            On the CPU; torch's own by default.
        """
        self._check(x)
        draws, x = to_device(self.draw(len(x), generator), x.device), x.float()
        if x.ndim == 2:
            return self.stretch(x, draws, int(x.shape[1] / self.fastest))
        return read_moved(x, int((x.shape[2] - 1) / self.fastest) + 1, self.mel, [(self, draws)])

    def numbers(self, rows: Tensor, n: int, generator: Generator | None) -> Draws:
        return {"factors": log_uniform(self.rate, (len(rows),), generator)}

    def stretch(self, x: Tensor, draws: Draws, length: int) -> Tensor:
        """(B, N) -> (B, length) float32: rows that were drawn are stretched, the others cut."""
        if not len(draws["rows"]):
            return x[:, :length]
        stretched = stretch_time(x.index_select(0, draws["rows"]), draws["factors"], length)
        return x[:, :length].index_copy(0, draws["rows"], stretched)


class Gain(Augmentation):
    """Change the level.

    Parameters
    ----------
    db : (float, float)
        Decibels, drawn uniformly between these.
    p, sample_rate, mel
        As of `Augmentation`.

    Examples
    --------
    >>> Gain(db=(20, 20), p=1.0)(torch.full((1, 3), 0.01))
    tensor([[0.1000, 0.1000, 0.1000]])
    """

    def __init__(self, *, db: tuple[float, float] = (-10.0, 6.0), **common: Any) -> None:
        super().__init__(**common)
        self.db = ascending("db", db)

    def numbers(self, rows: Tensor, n: int, generator: Generator | None) -> Draws:
        return {"db": uniform(self.db, (len(rows),), generator)}

    def on_waveform(self, x: Tensor, db: Tensor) -> Tensor:  # type: ignore[override]
        return x * decibels(db).sqrt()[:, None]

    def on_power(self, power: Tensor, db: Tensor) -> Tensor:  # type: ignore[override]
        return power * decibels(db)[:, None, None]


class Noise(Augmentation):
    """Add white noise.

    Parameters
    ----------
    snr_db : (float, float)
        Ratio of the power of the signal to that of the noise, in decibels, drawn uniformly between these.
    p, sample_rate, mel
        As of `Augmentation`.

    Examples
    --------
    >>> noisy = Noise(snr_db=(20, 20), p=1.0)(torch.ones(2, 16000))
    >>> (noisy - 1).std(dim=1).round(decimals=2)
    tensor([0.1000, 0.1000])
    """

    def __init__(self, *, snr_db: tuple[float, float] = (10.0, 40.0), **common: Any) -> None:
        super().__init__(**common)
        self.snr_db = ascending("snr_db", snr_db)

    def numbers(self, rows: Tensor, n: int, generator: Generator | None) -> Draws:
        keys = torch.randint(-(2**31), 2**31, (len(rows),), dtype=torch.int32, generator=generator)
        return {"keys": keys, "snr_db": uniform(self.snr_db, (len(rows),), generator)}

    def on_waveform(self, x: Tensor, keys: Tensor, snr_db: Tensor) -> Tensor:  # type: ignore[override]
        level = x.square().mean(dim=1) / decibels(snr_db)
        return x + normal_noise(keys, x.shape[1]) * level.sqrt()[:, None]

    def on_power(self, power: Tensor, keys: Tensor, snr_db: Tensor) -> Tensor:  # type: ignore[override]
        """White noise has the same mean power in every area-normalised band; each cell is drawn exponentially."""
        cells = uniform_noise(keys, power[0].numel()).log_().neg_().view_as(power)
        # the mel power in any band of white noise as loud as the signal
        loud = power.mean(dim=2) @ self.mel.widths * (2 / self.mel.sample_rate)
        return power + cells * (loud / decibels(snr_db))[:, None, None]


class _Curve(Augmentation):
    """A change of timbre: a gain in decibels over frequency."""

    def curve(self, hz: Tensor, **numbers: Tensor) -> Tensor:
        """(B, len(hz)) float32 gains in decibels at frequencies in Hz."""
        raise NotImplementedError

    def on_waveform(self, x: Tensor, **numbers: Tensor) -> Tensor:
        length = next_fast_len(x.shape[1], real=True)
        hz = torch.fft.rfftfreq(length, 1 / self.mel.sample_rate, device=x.device)
        gain = decibels(self.curve(hz, **numbers)).sqrt()
        return torch.fft.irfft(torch.fft.rfft(x, n=length) * gain, n=length)[:, : x.shape[1]]

    def on_power(self, power: Tensor, **numbers: Tensor) -> Tensor:
        return power * decibels(self.curve(self.mel.centres, **numbers))[:, :, None]


class Equalizer(_Curve):
    """Apply a random smooth gain curve.

    Parameters
    ----------
    db : float
        Each control point is within ± so many decibels.
    points : int
        Control points, evenly spaced in mel.
    p, sample_rate, mel
        As of `Augmentation`.

    Examples
    --------
    >>> Equalizer(db=6.0, points=6)(torch.randn(4, 16000)).shape
    torch.Size([4, 16000])
    """

    def __init__(self, *, db: float = 6.0, points: int = 6, **common: Any) -> None:
        super().__init__(**common)
        if not 0 <= db < math.inf or points < 2:
            raise ValueError(f"db is {db} and points {points}; expected decibels from 0 on, and at least 2 points")
        self.db, self.points = db, points

    def numbers(self, rows: Tensor, n: int, generator: Generator | None) -> Draws:
        return {"points": uniform((-self.db, self.db), (len(rows), self.points), generator)}

    def curve(self, hz: Tensor, points: Tensor) -> Tensor:  # type: ignore[override]
        """(B, len(hz)) float32 gains in decibels at frequencies in Hz."""
        place = self.mel.band_of(hz).clamp(0, self.mel.n_mels - 1) / (self.mel.n_mels - 1)
        place = place * (self.points - 1)
        left = place.floor().long().clamp(max=self.points - 2)
        smooth = 0.5 - 0.5 * torch.cos(torch.pi * (place - left))
        return points[:, left] * (1 - smooth) + points[:, left + 1] * smooth


class Filter(_Curve):
    """Apply a second-order Butterworth low-pass or high-pass, by magnitude: 12 dB an octave, each half of the time.

    Parameters
    ----------
    low_pass_hz, high_pass_hz : (float, float)
        The cut-off in Hz, drawn log-uniformly between these.
    p, sample_rate, mel
        As of `Augmentation`.

    Examples
    --------
    >>> Filter(low_pass_hz=(1500, 7000))(torch.randn(4, 16000)).shape
    torch.Size([4, 16000])
    """

    def __init__(
        self,
        *,
        low_pass_hz: tuple[float, float] = (1500.0, 7000.0),
        high_pass_hz: tuple[float, float] = (60.0, 800.0),
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.low_pass_hz = ascending("low_pass_hz", low_pass_hz, above=0.0)
        self.high_pass_hz = ascending("high_pass_hz", high_pass_hz, above=0.0)

    def numbers(self, rows: Tensor, n: int, generator: Generator | None) -> Draws:
        return {
            "low": log_uniform(self.low_pass_hz, (len(rows), 1), generator),
            "high": log_uniform(self.high_pass_hz, (len(rows), 1), generator),
            "is_low_pass": torch.rand((len(rows), 1), generator=generator) < 0.5,
        }

    def curve(self, hz: Tensor, low: Tensor, high: Tensor, is_low_pass: Tensor) -> Tensor:  # type: ignore[override]
        """(B, len(hz)) float32 gains in decibels at frequencies in Hz."""
        octaves_out = torch.where(is_low_pass, hz / low, high / hz.clamp(min=1.0))
        return -10 * torch.log10(1 + octaves_out**4)


class Polarity(Augmentation):
    """Invert the sign of a waveform; log-mel does not show it.

    Parameters
    ----------
    p, sample_rate, mel
        As of `Augmentation`.

    Examples
    --------
    >>> Polarity(p=1.0)(torch.ones(1, 3))
    tensor([[-1., -1., -1.]])
    """

    def numbers(self, rows: Tensor, n: int, generator: Generator | None) -> Draws:
        return {}

    def on_waveform(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return -x

    def on_power(self, power: Tensor) -> Tensor:  # type: ignore[override]
        return power


class _Mask(Augmentation):
    """Silence `count` runs along an axis (SpecAugment, arXiv 1904.08779)."""

    count: int

    def numbers(self, rows: Tensor, n: int, generator: Generator | None) -> Draws:
        drawn = torch.rand((self.count, 2, len(rows)), generator=generator)
        return {"widths": drawn[:, 0].T, "starts": drawn[:, 1].T}


class TimeMask(_Mask):
    """Silence stretches of time (SpecAugment, arXiv 1904.08779).

    Parameters
    ----------
    seconds : float
        The length of each is drawn uniformly up to this, and up to half of the clip.
    count : int
        How many.
    p, sample_rate, mel
        As of `Augmentation`.

    Examples
    --------
    >>> TimeMask(seconds=0.4, count=2)(torch.rand(4, 96, 188)).shape
    torch.Size([4, 96, 188])
    """

    def __init__(self, *, seconds: float = 0.4, count: int = 1, **common: Any) -> None:
        super().__init__(**common)
        if not seconds >= 0 or count < 0:
            raise ValueError(f"seconds is {seconds} and count {count}; expected 0 or more")
        self.seconds, self.count = seconds, count

    def on_waveform(self, x: Tensor, widths: Tensor, starts: Tensor) -> Tensor:  # type: ignore[override]
        return x * self._keep(x.shape[1], self.mel.sample_rate, widths, starts)

    def on_power(self, power: Tensor, widths: Tensor, starts: Tensor) -> Tensor:  # type: ignore[override]
        rate = self.mel.sample_rate / self.mel.hop_length
        return power * self._keep(power.shape[2], rate, widths, starts)[:, None]

    def _keep(self, length: int, steps_a_second: float, widths: Tensor, starts: Tensor) -> Tensor:
        return keep_outside(length, min(self.seconds * steps_a_second, length / 2), widths, starts)


class FrequencyMask(_Mask):
    """Silence bands of frequency (SpecAugment, arXiv 1904.08779).

    Parameters
    ----------
    fraction : float
        The width of each is drawn uniformly up to this fraction of the mel axis.
    count : int
        How many.
    p, sample_rate, mel
        As of `Augmentation`.

    Examples
    --------
    >>> FrequencyMask(fraction=0.15)(torch.rand(4, 96, 188)).shape
    torch.Size([4, 96, 188])
    """

    def __init__(self, *, fraction: float = 0.15, count: int = 1, **common: Any) -> None:
        super().__init__(**common)
        if not 0 <= fraction <= 1 or count < 0:
            raise ValueError(f"fraction is {fraction} and count {count}; expected 0 to 1, and 0 or more")
        self.fraction, self.count = fraction, count

    def on_waveform(self, x: Tensor, widths: Tensor, starts: Tensor) -> Tensor:  # type: ignore[override]
        bands = self._keep(widths, starts)
        length = next_fast_len(x.shape[1], real=True)
        hz = torch.fft.rfftfreq(length, 1 / self.mel.sample_rate, device=x.device)
        nearest = self.mel.band_of(hz).round().long().clamp(0, self.mel.n_mels - 1)
        return torch.fft.irfft(torch.fft.rfft(x, n=length) * bands[:, nearest], n=length)[:, : x.shape[1]]

    def on_power(self, power: Tensor, widths: Tensor, starts: Tensor) -> Tensor:  # type: ignore[override]
        return power * self._keep(widths, starts)[:, :, None]

    def _keep(self, widths: Tensor, starts: Tensor) -> Tensor:
        return keep_outside(self.mel.n_mels, self.fraction * self.mel.n_mels, widths, starts)


class BackgroundMix(Augmentation):
    """Add another clip of the batch, quieter.

    Parameters
    ----------
    snr_db : (float, float)
        Ratio of the power of the clip to that of the other, in decibels, drawn uniformly between these.
    p, sample_rate, mel
        As of `Augmentation`.

    Examples
    --------
    >>> BackgroundMix(snr_db=(6, 20))(torch.randn(4, 16000)).shape
    torch.Size([4, 16000])
    """

    def __init__(self, *, snr_db: tuple[float, float] = (6.0, 20.0), **common: Any) -> None:
        super().__init__(**common)
        self.snr_db = ascending("snr_db", snr_db)

    def numbers(self, rows: Tensor, n: int, generator: Generator | None) -> Draws:
        # the other is any of the batch, whether it changes or not
        return {"partner": (rows - 1) % n, "snr_db": uniform(self.snr_db, (n,), generator)[rows]}

    def change(self, x: Tensor, draws: Draws, gather: Gather = lambda x: x) -> Tensor:
        """As of `Augmentation`; the whole batch is gathered for the other clips."""
        rows, everyone = draws["rows"], gather(x)
        own, other = x.index_select(0, rows), everyone.index_select(0, draws["partner"])
        amplitude = x.ndim == 2
        axes = tuple(range(1, x.ndim))
        loud, other_loud = ((v.square() if amplitude else v).mean(dim=axes, keepdim=True) for v in (own, other))
        factor = (loud / other_loud.clamp(min=1e-12)).clamp(max=1e4)
        factor = factor / decibels(draws["snr_db"]).reshape(-1, *(1 for _ in axes))
        # powers of unrelated sounds add
        return x.index_copy_(0, rows, own + other * (factor.sqrt() if amplitude else factor))


AUGMENTATIONS: dict[str, type[Augmentation]] = {
    "pitch_shift": PitchShift,
    "time_stretch": TimeStretch,
    "gain": Gain,
    "noise": Noise,
    "equalizer": Equalizer,
    "filter": Filter,
    "polarity": Polarity,
    "time_mask": TimeMask,
    "frequency_mask": FrequencyMask,
    "background_mix": BackgroundMix,
}
"""By the name of a step in a recipe, whose other keys are the keyword arguments."""


def warp(log_mel: Tensor, bands: Tensor, frames: Tensor) -> Tensor:
    """Read (B, F, T) log-mel at fractional bands (B, F') and frames (B, T') by linear interpolation.

    What lies outside the source is silent.
    """
    _, height, width = log_mel.shape
    y = (bands * 2 / max(1, height - 1) - 1)[:, :, None].expand(-1, -1, frames.shape[1])
    x = (frames * 2 / max(1, width - 1) - 1)[:, None, :].expand(-1, bands.shape[1], -1)
    grid = torch.stack([x, y], dim=-1)
    warped = F.grid_sample(log_mel[:, None], grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return warped[:, 0]


def read_moved(log_mel: Tensor, width: int, mel: LogMel, moves: list[tuple[Augmentation, Draws]]) -> Tensor:
    """Pitch shifts and time stretches of log-mel as one reading: shifts add up.

    Parameters
    ----------
    log_mel : (B, F, T) float32
        Of `mel`.
    width : int
        Frames of the result.
    mel : LogMel
        Says where the bands lie.
    moves : list of (PitchShift or TimeStretch, its draws)
        On the device of `log_mel`.

    Returns
    -------
    (B, F, width) float32
    """
    moves = [(step, draws) for step, draws in moves if len(draws["rows"])]
    if not moves:
        return log_mel[:, :, :width]
    n, device = len(log_mel), log_mel.device
    factors, semitones = torch.ones(n, device=device), torch.zeros(n, device=device)
    for step, draws in moves:
        if isinstance(step, TimeStretch):
            factors = factors * torch.ones_like(factors).index_copy_(0, draws["rows"], draws["factors"])
        else:
            semitones = semitones.index_add(0, draws["rows"], draws["semitones"])
    bands = torch.arange(log_mel.shape[1], dtype=torch.float32, device=device).expand(n, -1)
    if any(isinstance(step, PitchShift) for step, _ in moves):
        bands = mel.band_of(mel.centres / torch.pow(2.0, semitones / 12)[:, None])
    frames = torch.arange(width, dtype=torch.float32, device=device) * factors[:, None]
    frames = frames.clamp(max=log_mel.shape[2] - 1)  # where samples end within the last hop
    return warp(log_mel, bands, frames)
