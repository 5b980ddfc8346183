"""Views of a clip: what may change in music without changing what it sounds like.

Axes: B batch, N samples, F mel bands, T frames. Each augmentation is a small object built from its settings in the
recipe (`mirclr.config`), with two forms: `on_waveform` works on (B, N) float32 samples, `on_mel` on (B, F, T) mel
*power*, where a gain multiplies, a mix adds and a pitch shift moves bands. The mel form of pitch shift and time stretch
is an interpolation, hundreds of times cheaper than the phase vocoder of the exact form. Random numbers come from the
generator that is passed, which lives on the CPU, so that a run repeats whatever the device.

Contents: one class per augmentation, `ON` (settings to class), `Views` (a recipe's whole chain, with the crop).
"""

import math
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, cast

import torch
from scipy.fft import next_fast_len
from torch import Generator, Tensor
from torch.nn import functional as F

from mirclr import audio, config
from mirclr.audio.mel import LogMel


def uniform(bounds: tuple[float, float], shape: tuple[int, ...], generator: Generator) -> Tensor:
    """float32 drawn uniformly between two bounds, on the CPU."""
    low, high = bounds
    return torch.rand(shape, generator=generator) * (high - low) + low


def log_uniform(bounds: tuple[float, float], shape: tuple[int, ...], generator: Generator) -> Tensor:
    """float32 whose logarithm is drawn uniformly, on the CPU."""
    return torch.exp(uniform((math.log(bounds[0]), math.log(bounds[1])), shape, generator))


def decibels(db: Tensor) -> Tensor:
    """Decibels to a factor of power."""
    return torch.pow(10.0, db / 10)


class Augmentation:
    """One kind of change. `apply` draws the rows that change, with probability p; the two forms do the work.

    Parameters
    ----------
    settings
        The step of the recipe; `settings.p` is the probability for each row.
    mel : LogMel
        Gives the rate, the hop and the place of the bands.
    """

    def __init__(self, settings: Any, mel: LogMel) -> None:
        self.settings = settings
        self.mel = mel

    def on_waveform(self, x: Tensor, generator: Generator) -> Tensor:
        """(B, N) -> (B, N) float32; every row is changed."""
        raise NotImplementedError

    def on_mel(self, power: Tensor, generator: Generator) -> Tensor:
        """(B, F, T) -> (B, F, T) float32 mel power; every row is changed."""
        raise NotImplementedError

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Change each row with probability p, in place; (B, N) waveforms or (B, F, T) mel power."""
        rows = torch.nonzero(torch.rand(len(x), generator=generator) < self.settings.p).flatten()
        if not len(rows):
            return x
        form = self.on_waveform if x.ndim == 2 else self.on_mel
        if len(rows) == len(x):
            return form(x, generator)
        rows = rows.to(x.device)
        return x.index_copy_(0, rows, form(x[rows], generator))


class PitchShift(Augmentation):
    """Shift the pitch; the tempo stays."""

    def on_waveform(self, x: Tensor, generator: Generator) -> Tensor:
        """Stretch by a phase vocoder, then resample back to the old length (exact)."""
        shifts = uniform(self.settings.semitones, (len(x),), generator)
        rows = [shift_pitch(row, float(s), self.mel.rate) for row, s in zip(x, shifts, strict=True)]
        return torch.stack(rows)

    def semitones(self, n: int, generator: Generator) -> Tensor:
        """(n, 1) float32 semitones for a mel spectrogram; rows left alone have 0. See `Views`."""
        semitones = uniform(self.settings.semitones, (n, 1), generator)
        return semitones * (torch.rand((n, 1), generator=generator) < self.settings.p)


class TimeStretch(Augmentation):
    """Change the tempo; the pitch stays. It takes more input than it gives output: see `Views`."""

    def factors(self, n: int, generator: Generator) -> Tensor:
        """(n,) float32 factors; rows left alone have 1."""
        factors = log_uniform(self.settings.rate, (n,), generator)
        return torch.where(torch.rand(n, generator=generator) < self.settings.p, factors, 1.0)


class Gain(Augmentation):
    """Change the level."""

    def on_waveform(self, x: Tensor, generator: Generator) -> Tensor:
        return x * decibels(self._db(x, generator)).sqrt()[:, None]

    def on_mel(self, power: Tensor, generator: Generator) -> Tensor:
        return power * decibels(self._db(power, generator))[:, None, None]

    def _db(self, x: Tensor, generator: Generator) -> Tensor:
        return uniform(self.settings.db, (len(x),), generator).to(x.device)


class Noise(Augmentation):
    """Add white noise."""

    def on_waveform(self, x: Tensor, generator: Generator) -> Tensor:
        noise = torch.randn(x.shape, generator=generator).to(x.device)
        level = self._level(x) / decibels(self._snr(x, generator))
        return x + noise * level.sqrt()[:, None]

    def on_mel(self, power: Tensor, generator: Generator) -> Tensor:
        """White noise has the same mean power in every area-normalised band; each cell is drawn exponentially."""
        cells = torch.empty(power.shape).exponential_(generator=generator).to(power.device)
        level = self._level(power) / decibels(self._snr(power, generator))
        return power + cells * level[:, None, None]

    def _level(self, x: Tensor) -> Tensor:
        """(B,) float32: the power of each row of samples, or the mel power in any band of white noise as loud as it."""
        if x.ndim == 2:
            return x.square().mean(dim=1)
        return x.mean(dim=2) @ self.mel.widths().to(x.device) * (2 / self.mel.rate)

    def _snr(self, x: Tensor, generator: Generator) -> Tensor:
        return uniform(self.settings.snr_db, (len(x),), generator).to(x.device)


class _Curve(Augmentation):
    """A change of timbre: a gain in decibels over frequency."""

    def curve(self, hz: Tensor, n: int, generator: Generator) -> Tensor:
        """(n, len(hz)) float32 gains in decibels at frequencies in Hz."""
        raise NotImplementedError

    def on_waveform(self, x: Tensor, generator: Generator) -> Tensor:
        length = next_fast_len(x.shape[1], real=True)
        hz = torch.fft.rfftfreq(length, 1 / self.mel.rate)
        gain = decibels(self.curve(hz, len(x), generator)).sqrt().to(x.device)
        return torch.fft.irfft(torch.fft.rfft(x, n=length) * gain, n=length)[:, : x.shape[1]]

    def on_mel(self, power: Tensor, generator: Generator) -> Tensor:
        return (
            power * decibels(self.curve(self.mel.centres().cpu(), len(power), generator)).to(power.device)[:, :, None]
        )


class Equalizer(_Curve):
    """A random smooth gain curve."""

    def curve(self, hz: Tensor, n: int, generator: Generator) -> Tensor:
        points = uniform((-self.settings.db, self.settings.db), (n, self.settings.points), generator)
        place = self.mel.band_of(hz).clamp(0, self.mel.settings.n_mels - 1) / (self.mel.settings.n_mels - 1)
        place = place * (self.settings.points - 1)
        left = place.floor().long().clamp(max=self.settings.points - 2)
        smooth = 0.5 - 0.5 * torch.cos(torch.pi * (place - left))
        return points[:, left] * (1 - smooth) + points[:, left + 1] * smooth


class Filter(_Curve):
    """Second-order Butterworth low-pass or high-pass, by magnitude: 12 dB an octave."""

    def curve(self, hz: Tensor, n: int, generator: Generator) -> Tensor:
        low = log_uniform(self.settings.low_pass_hz, (n, 1), generator)
        high = log_uniform(self.settings.high_pass_hz, (n, 1), generator)
        octaves_out = torch.where(torch.rand((n, 1), generator=generator) < 0.5, hz / low, high / hz.clamp(min=1.0))
        return -10 * torch.log10(1 + octaves_out**4)


class Polarity(Augmentation):
    """Invert the sign; a mel spectrogram does not hear it."""

    def on_waveform(self, x: Tensor, generator: Generator) -> Tensor:
        return -x

    def on_mel(self, power: Tensor, generator: Generator) -> Tensor:
        return power


class TimeMask(Augmentation):
    """Silence stretches of time (SpecAugment, arXiv 1904.08779)."""

    def on_waveform(self, x: Tensor, generator: Generator) -> Tensor:
        return x * self._keep(x, self.mel.rate, generator)

    def on_mel(self, power: Tensor, generator: Generator) -> Tensor:
        return power * self._keep(power, self.mel.rate / self.mel.settings.hop_length, generator)[:, None]

    def _keep(self, x: Tensor, steps_a_second: float, generator: Generator) -> Tensor:
        longest = min(self.settings.seconds * steps_a_second, x.shape[-1] / 2)
        return keep_outside(len(x), x.shape[-1], longest, self.settings.count, generator).to(x.device)


class FrequencyMask(Augmentation):
    """Silence bands of frequency (SpecAugment, arXiv 1904.08779)."""

    def on_waveform(self, x: Tensor, generator: Generator) -> Tensor:
        bands = self._keep(len(x), generator)
        length = next_fast_len(x.shape[1], real=True)
        hz = torch.fft.rfftfreq(length, 1 / self.mel.rate)
        nearest = self.mel.band_of(hz).round().long().clamp(0, self.mel.settings.n_mels - 1)
        kept = torch.fft.rfft(x, n=length) * bands[:, nearest].to(x.device)
        return torch.fft.irfft(kept, n=length)[:, : x.shape[1]]

    def on_mel(self, power: Tensor, generator: Generator) -> Tensor:
        return power * self._keep(len(power), generator).to(power.device)[:, :, None]

    def _keep(self, n: int, generator: Generator) -> Tensor:
        bands = self.mel.settings.n_mels
        return keep_outside(n, bands, self.settings.fraction * bands, self.settings.count, generator)


class BackgroundMix(Augmentation):
    """Add another clip of the batch, quieter."""

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Change each row with probability p; the other clip is any of the batch, whether it changes or not."""
        changes = torch.rand(len(x), generator=generator) < self.settings.p
        mixed = self.on_waveform(x, generator) if x.ndim == 2 else self.on_mel(x, generator)
        return torch.where(changes.to(x.device).reshape(-1, *(1 for _ in x.shape[1:])), mixed, x)

    def on_waveform(self, x: Tensor, generator: Generator) -> Tensor:
        other = x.roll(1, dims=0)
        return x + other * self._factor(x.square(), other.square(), generator).sqrt()

    def on_mel(self, power: Tensor, generator: Generator) -> Tensor:
        """Powers of unrelated sounds add."""
        other = power.roll(1, dims=0)
        return power + other * self._factor(power, other, generator)

    def _factor(self, power: Tensor, other: Tensor, generator: Generator) -> Tensor:
        axes = tuple(range(1, power.ndim))
        ratio = power.mean(dim=axes) / other.mean(dim=axes).clamp(min=1e-12)
        snr = uniform(self.settings.snr_db, (len(power),), generator).to(power.device)
        factor = ratio.clamp(max=1e4) / decibels(snr)
        return factor.reshape(-1, *(1 for _ in axes))


ON: dict[type, type[Augmentation]] = {
    config.PitchShift: PitchShift,
    config.TimeStretch: TimeStretch,
    config.Gain: Gain,
    config.Noise: Noise,
    config.Equalizer: Equalizer,
    config.Filter: Filter,
    config.Polarity: Polarity,
    config.TimeMask: TimeMask,
    config.FrequencyMask: FrequencyMask,
    config.BackgroundMix: BackgroundMix,
}


def keep_outside(n: int, length: int, longest: float, count: int, generator: Generator) -> Tensor:
    """(n, length) float32 of 1, with `count` runs of 0 in each row, each up to `longest` long."""
    keep = torch.ones(n, length)
    for _ in range(count):
        keep[_run(length, uniform((0.0, longest), (n,), generator) / length, generator)] = 0.0
    return keep


def warp(log_mel: Tensor, bands: Tensor, frames: Tensor) -> Tensor:
    """Read (B, F, T) log-mel at fractional bands (B, F') and frames (B, T') by linear interpolation.

    What lies outside the source is silent.
    """
    _, height, width = log_mel.shape
    y = (bands * 2 / (height - 1) - 1)[:, :, None].expand(-1, -1, frames.shape[1])
    x = (frames * 2 / (width - 1) - 1)[:, None, :].expand(-1, bands.shape[1], -1)
    grid = torch.stack([x, y], dim=-1)
    warped = F.grid_sample(log_mel[:, None], grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return warped[:, 0]


_FFT = 1024


def stretch_time(x: Tensor, factor: float) -> Tensor:
    """Play (N,) samples `factor` times as fast, the pitch kept, by a phase vocoder; about N / factor samples.

    Laroche and Dolson 1999, "Improved phase vocoder time-scale modification of audio", without phase locking.
    """
    if factor == 1.0:
        return x
    hop = _FFT // 4
    window = torch.hann_window(_FFT, device=x.device)
    # before the beginning is silence: phases of a reflection there would not go on as those of the sound do
    spectrum = torch.stft(x, _FFT, hop, window=window, pad_mode="constant", return_complex=True)
    stretched = vocode(spectrum.T, factor).T
    return torch.istft(stretched, _FFT, hop, window=window, length=round(len(x) / factor))


def vocode(spectrum: Tensor, factor: float) -> Tensor:
    """(T, K) complex frames of a spectrum to those of the same sound `factor` times as fast: (ceil(T / factor), K).

    Magnitudes are read between frames; phases go on from the first frame's by as much as they do from frame to frame.
    """
    places = torch.arange(0, len(spectrum), factor, dtype=torch.float64)  # on the CPU: not every device has float64
    left = places.long()
    between = (places - left).float()[:, None].to(spectrum.device)
    left = left.to(spectrum.device)
    magnitude, phase = (F.pad(part, (0, 0, 0, 2)) for part in (spectrum.abs(), spectrum.angle()))
    # frames go out as far apart as they came in, so that whole turns between them do not matter
    phases = torch.cat([phase[:1], (phase[1:] - phase[:-1])[left[:-1]]]).cumsum(dim=0)
    magnitude = torch.lerp(magnitude[left], magnitude[left + 1], between)
    return torch.complex(magnitude * phases.cos(), magnitude * phases.sin())


def shift_pitch(x: Tensor, semitones: float, rate: int) -> Tensor:
    """Shift (N,) samples by semitones, the tempo and the length kept."""
    ratio = 2.0 ** (semitones / 12)
    longer = stretch_time(x, 1 / ratio)
    # to play it `ratio` times as fast is to resample from ratio * rate to rate
    shifted = audio.resample(longer.cpu().numpy(), round(rate * ratio), rate)
    result = torch.from_numpy(shifted).to(x.device)
    return F.pad(result, (0, max(0, len(x) - len(result))))[: len(x)]


def mix_clips(
    clips: Tensor, labels: Tensor, settings: config.Mixup | config.Cutmix, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Mix each clip with another of the batch, and its label row with the other's.

    Parameters
    ----------
    clips : (B, F, T) log-mel or (B, N) samples, float32
        Left as they are. A box is one of log-mel.
    labels : (B, C) float
        Rows of label weight.
    settings : config.Mixup or config.Cutmix
        The probability, and alpha of Beta(alpha, alpha), from which the fraction that stays is drawn.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    mixed : float32, as `clips`
    rows : (B, C) float
        lambda y + (1 - lambda) y', with lambda the share that was kept as cut.

    References
    ----------
    Zhang et al. 2018 (mixup), arXiv 1710.09412; Yun et al. 2019 (CutMix), arXiv 1905.04899.
    """
    n, length = len(clips), clips.shape[-1]
    partner = torch.randperm(n, generator=generator).to(clips.device)
    gammas = torch._standard_gamma(torch.full((2, n), settings.alpha), generator=generator)
    keep = gammas[0] / gammas.sum(dim=0).clamp(min=1e-30)
    keep = torch.where(torch.rand(n, generator=generator) < settings.p, keep, 1.0)
    if isinstance(settings, config.Mixup):
        share = keep[:, None]
    else:
        if settings.region == "box":
            side = (1 - keep).sqrt()
            inside = _side(length, side, generator)[:, None, :] & _side(clips.shape[1], side, generator)[:, :, None]
        else:
            inside = _run(length, 1 - keep, generator)
        share = 1.0 - inside.float()
    kept = share.flatten(1).mean(dim=1, keepdim=True).to(labels.device)
    share = (share if share.ndim == clips.ndim else share[:, None]).to(clips.device)
    return clips * share + clips[partner] * (1 - share), labels * kept + labels[partner] * (1 - kept)


def _run(length: int, share: Tensor, generator: Generator) -> Tensor:
    """(n, length) bool: a run of a share of the length, at a place drawn uniformly, in each row."""
    width = (share * length).round()[:, None]
    start = (torch.rand((len(share), 1), generator=generator) * (length - width + 1)).floor()
    steps = torch.arange(length, dtype=torch.float32)
    return (steps >= start) & (steps < start + width)


def _side(length: int, share: Tensor, generator: Generator) -> Tensor:
    """(n, length) bool: a side of CutMix's box as published: its centre anywhere, what lies beyond the ends cut off.

    So the ends are replaced nearly as often as the middle.
    """
    half = ((share * length).floor() / 2).floor()[:, None]
    centre = (torch.rand((len(share), 1), generator=generator) * length).floor()
    steps = torch.arange(length, dtype=torch.float32)
    return (steps >= centre - half) & (steps < centre + half)


@dataclass(frozen=True)
class ClipShape:
    """What `Views` wants as input: how many samples or frames, margin for stretching included."""

    domain: Literal["mel", "waveform"]
    length: int


class Views:
    """The whole chain of a recipe: clips with a margin in, what the encoder takes out.

    Where the recipe has waveform steps, or the encoder hears waveforms, clips are (B, N') samples; else they are
    (B, F, T') log-mel from the cache and nothing touches a waveform any more.

    Parameters
    ----------
    recipe : config.Recipe
        Its `augment`, `audio` and `encoder`.
    mel : LogMel
        The front end.
    """

    def __init__(self, recipe: config.Recipe, mel: LogMel) -> None:
        self.mel = mel
        self.hears_mel = recipe.encoder.input == "mel"
        self.waveform = [ON[type(s)](s, mel) for s in recipe.augment.waveform]
        self.on_mel = [ON[type(s)](s, mel) for s in recipe.augment.mel]
        self.samples = round(recipe.audio.clip_seconds * recipe.audio.sample_rate)
        self.frames = mel.frames(self.samples)
        domain: Literal["mel", "waveform"] = "waveform" if self.waveform or not self.hears_mel else "mel"
        fastest = max((s.settings.rate[1] for s in self._stretches(domain)), default=1.0)
        length = self.samples if domain == "waveform" else self.frames
        self.takes = ClipShape(domain, math.ceil(length * max(1.0, fastest)) + 1)
        self._runs = [(moves, list(steps)) for moves, steps in groupby(self.on_mel, _moves)]
        self._mel_margin = max((s.settings.rate[1] for s in self.on_mel if isinstance(s, TimeStretch)), default=1.0)

    def _stretches(self, domain: str) -> list[TimeStretch]:
        steps = [*self.waveform, *self.on_mel] if domain == "waveform" else self.on_mel
        return [s for s in steps if isinstance(s, TimeStretch)]

    def __call__(self, clips: Tensor, generator: Generator) -> Tensor:
        """One view of each clip.

        Parameters
        ----------
        clips : (B, N') or (B, F, T') float32
            As `takes` says: samples, or log-mel.
        generator : torch.Generator
            On the CPU.

        Returns
        -------
        (B, N) samples or (B, F, T) log-mel, float32
            As the encoder takes them.
        """
        if self.takes.domain == "mel":
            return self._on_mel(clips, generator)
        x = self.on_samples(clips, generator)
        if not self.hears_mel:
            return x
        return self._on_mel(self.mel(x), generator) if self.on_mel else cast(Tensor, self.mel(x))

    def on_samples(self, x: Tensor, generator: Generator) -> Tensor:
        """The waveform steps alone: (B, N') -> (B, N) samples, or more where a stretch on the mel follows."""
        # a stretch on the mel still to come needs its margin
        samples = math.ceil(self.samples * max(1.0, self._mel_margin))
        stretched = False
        x = x.clone() if self.waveform else x  # steps work in place
        for step in self.waveform:
            if isinstance(step, TimeStretch):
                x, stretched = _stretch_waveforms(x, samples, step.factors(len(x), generator)), True
            else:
                x = step.apply(x, generator)
        return x if stretched else x[:, :samples]

    def _on_mel(self, log_mel: Tensor, generator: Generator) -> Tensor:
        """The steps in their order. Stretch and shift are readings of the log-mel; the rest works on powers."""
        to_come = any(isinstance(step, TimeStretch) for step in self.on_mel)  # which needs its margin until then
        x = log_mel if to_come else log_mel[:, :, : self.frames]
        for moves, steps in self._runs:
            if moves:
                to_come = to_come and not any(isinstance(step, TimeStretch) for step in steps)
                x = self._moved(x, steps, x.shape[2] if to_come else self.frames, generator)
                continue
            power = self.mel.expand(x)
            for step in steps:
                power = step.apply(power, generator)
            x = self.mel.compress(power)
        return x

    def _moved(self, log_mel: Tensor, steps: list[Augmentation], width: int, generator: Generator) -> Tensor:
        """Steps that follow one another as one reading, `width` frames wide: shifts add up, and a stretch is apart."""
        factors, semitones = torch.ones(len(log_mel)), None
        for step in steps:
            if isinstance(step, TimeStretch):
                factors = factors * step.factors(len(log_mel), generator)
            elif isinstance(step, PitchShift):
                drawn = step.semitones(len(log_mel), generator)
                semitones = drawn if semitones is None else semitones + drawn
        if semitones is None and bool((factors == 1).all()):
            return log_mel[:, :, :width]
        if semitones is None:
            bands = torch.arange(log_mel.shape[1], dtype=torch.float32).expand(len(log_mel), -1)
        else:
            bands = self.mel.band_of(self.mel.centres().cpu() / torch.pow(2.0, semitones / 12))
        frames = torch.arange(width, dtype=torch.float32) * factors[:, None]
        frames = frames.clamp(max=log_mel.shape[2] - 1)  # where samples end within the last hop
        return warp(log_mel, bands.to(log_mel.device), frames.to(log_mel.device))


def _moves(step: Augmentation) -> bool:
    """Whether a step moves what is there to other times or bands."""
    return isinstance(step, TimeStretch | PitchShift)


def _stretch_waveforms(x: Tensor, samples: int, factors: Tensor) -> Tensor:
    rows = []
    for row, factor in zip(x, factors.tolist(), strict=True):
        stretched = stretch_time(row[: math.ceil(samples * factor)], factor)
        rows.append(F.pad(stretched, (0, max(0, samples - len(stretched))))[:samples])
    return torch.stack(rows)
