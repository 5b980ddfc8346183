"""Views: the augmentations of a recipe as one chain, from clips with a margin to what the encoder takes.

Axes: B batch, N samples, F mel bands, T frames.
"""

import math
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, cast

import torch
from torch import Generator, Tensor, nn

from mirclr import config, extensions
from mirclr.audio.augment import (
    AUGMENTATIONS,
    Augmentation,
    Draws,
    Gather,
    PitchShift,
    TimeStretch,
    read_moved,
    to_device,
)
from mirclr.audio.mel import LogMel
from mirclr.audio.mixing import CutMix, MixUp
from mirclr.errors import RecipeError, is_fault_of_machine


@dataclass(frozen=True)
class ClipShape:
    """What `Views` wants as input: how many samples or frames, margin for stretching included."""

    domain: Literal["mel", "waveform"]
    length: int


def augmentation(step: config.Step, mel: LogMel) -> Augmentation:
    """The augmentation that a step of a recipe names."""
    if isinstance(step, config.OwnStep):
        return _own(step, mel)
    settings = step.model_dump()
    return AUGMENTATIONS[settings.pop("name")](**settings, mel=mel)


def _own(step: config.OwnStep, mel: LogMel) -> Augmentation:
    """An augmentation of one's own.

    Raises
    ------
    RecipeError
        Its class cannot be imported or made, or is no `Augmentation`.
    """
    made = extensions.make(step.name, {**step.settings, "p": step.p, "mel": mel}, "augment")
    if not isinstance(made, Augmentation):
        raise RecipeError(
            f"augment: {step.name} gave a {type(made).__name__}; expected a mirclr.audio.Augmentation, with the "
            "methods numbers, on_waveform and on_power"
        )
    return made


def try_step(step: Augmentation, clips: Tensor, name: str) -> None:
    """Raise `RecipeError` unless an augmentation of one's own gives finite numbers of the shape that it was given.

    Parameters
    ----------
    step : Augmentation
        To be tried on all rows, with numbers drawn for these.
    clips : (B, N) or (B, F, T) float32
        Samples, or log-mel.
    name : str
        Of its class.
    """
    method = "on_waveform(x, …)" if clips.ndim == 2 else "on_power(power, …)"
    shown = f"augment: {name}, given {(*clips.shape,)},"
    x = clips.clone() if clips.ndim == 2 else step.mel.expand(clips)
    rows = torch.arange(len(clips))
    try:
        numbers = step.numbers(rows, len(clips), torch.Generator().manual_seed(0))
        found = step.change(x, {"rows": rows} | numbers)
    except Exception as error:  # whatever somebody else's code raises
        if is_fault_of_machine(error):
            raise
        text = " ".join(str(error).split())[:300]
        if isinstance(error, NotImplementedError) and not text:
            text = f"numbers(rows, n, generator) or {method} is missing"
        raise RecipeError(f"{shown} fails ({type(error).__name__}: {text})") from error
    if not isinstance(found, Tensor) or found.shape != clips.shape or not bool(torch.isfinite(found).all()):
        gave = f"{(*found.shape,)}, or NaN" if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise RecipeError(f"{shown} gave {gave}; expected finite numbers of that shape")


def label_mix(settings: config.Mixup | config.Cutmix) -> MixUp | CutMix:
    """What a recipe mixes clips and their label rows by."""
    return (MixUp if isinstance(settings, config.Mixup) else CutMix)(**settings.model_dump())


class Views(nn.Module):
    """The whole chain of a recipe: clips with a margin in, what the encoder takes out.

    Where the recipe has waveform steps, or the encoder takes waveforms, clips are (B, N') samples; else they are
    (B, F, T') log-mel from the cache and nothing touches a waveform any more.

    Parameters
    ----------
    recipe : config.Recipe
        Its `augment`, `audio` and `encoder`.
    mel : LogMel
        The front end.
    """

    def __init__(self, recipe: config.Recipe, mel: LogMel) -> None:
        super().__init__()
        self.mel = mel
        self.takes_mel = recipe.encoder.input == "mel"
        on_waveform = [augmentation(s, mel) for s in recipe.augment.waveform]
        on_mel = [augmentation(s, mel) for s in recipe.augment.mel]
        self.steps = nn.ModuleList([*on_waveform, *on_mel])
        self.n_on_waveform = len(on_waveform)
        mix = recipe.augment.label_mix
        self.label_mix = None if mix is None else label_mix(mix)
        self.samples = round(recipe.audio.clip_seconds * recipe.audio.sample_rate)
        self.frames = mel.frames(self.samples)
        domain: Literal["mel", "waveform"] = "waveform" if on_waveform or not self.takes_mel else "mel"
        self._margin = max((s.fastest for s in on_mel if isinstance(s, TimeStretch)), default=1.0)
        fastest = max((s.fastest for s in self.steps if isinstance(s, TimeStretch)), default=1.0)
        self._try_own(recipe)
        length = self.samples if domain == "waveform" else self.frames
        self.takes = ClipShape(domain, math.ceil(length * fastest) + 1)

    def _try_own(self, recipe: config.Recipe) -> None:
        """Try steps of one's own on noise; stretches and shifts that only set other numbers need no trial."""
        settings = (*recipe.augment.waveform, *recipe.augment.mel)
        noise = 0.1 * torch.randn(2, self.samples, generator=torch.Generator().manual_seed(0))
        for i, (setting, step) in enumerate(zip(settings, self.steps, strict=True)):
            if isinstance(setting, config.OwnStep) and not isinstance(step, TimeStretch | PitchShift):
                clips = noise if i < self.n_on_waveform else self.mel(noise)
                try_step(cast(Augmentation, step), clips, setting.name)

    def draw(self, n: int, generator: Generator, own: slice = slice(None)) -> list[Draws]:
        """Draw the numbers of n rows, of which the caller holds `own`: a dict of CPU tensors a step, and of the mix."""
        steps = [*self.steps, *([] if self.label_mix is None else [self.label_mix])]
        return [cast(Augmentation, step).draw(n, generator, own) for step in steps]

    def forward(self, clips: Tensor, generator: Generator) -> Tensor:
        """One view of each clip; the numbers are drawn here.

        Parameters
        ----------
        clips : (B, N') or (B, F, T') float32
            As `takes` says: samples, or log-mel; left as they are.
        generator : torch.Generator
            On the CPU.

        Returns
        -------
        (B, N) samples or (B, F, T) log-mel, float32
            As the encoder takes them.
        """
        draws = self.draw(len(clips), generator)
        return self.apply_draws(clips, [to_device(d, clips.device) for d in draws])

    def apply_draws(self, clips: Tensor, draws: list[Draws], gather: Gather = lambda x: x) -> Tensor:
        """One view of each clip, by numbers drawn before: see `forward`.

        Parameters
        ----------
        clips : (n, N') or (n, F, T') float32
            Of the rows that this process holds.
        draws : list of dict
            Of `draw`, on the device of the clips.
        gather : callable
            (n, ...) of the rows of each process to the (B, ...) of the whole batch.
        """
        if self.takes.domain == "mel":
            return self._on_mel(clips, draws, gather)
        x = self.on_samples(clips, draws, gather)
        if not self.takes_mel:
            return x
        on_mel = len(self.steps) > self.n_on_waveform
        return self._on_mel(self.mel(x), draws, gather) if on_mel else cast(Tensor, self.mel(x))

    def mix(
        self, inputs: Tensor, labels: Tensor, draws: list[Draws], gather: Gather = lambda x: x
    ) -> tuple[Tensor, Tensor]:
        """Mix views and their label rows as the recipe says, by numbers drawn before; all as it is where it does not.

        Parameters
        ----------
        inputs : (n, N) or (n, F, T) float32
            Views, of the rows that this process holds.
        labels : (B, C) float
            Rows of label weight, of the whole batch.
        draws, gather
            As of `apply_draws`.
        """
        if self.label_mix is None:
            return inputs, labels
        return self.label_mix.mix(inputs, labels, draws[-1], gather)

    def on_samples(self, x: Tensor, draws: list[Draws], gather: Gather = lambda x: x) -> Tensor:
        """The waveform steps alone: (B, N') -> (B, N) samples, or more where a stretch on the mel follows."""
        # a stretch on the mel still to come needs its margin
        samples = math.ceil(self.samples * self._margin)
        x = x.clone() if self.n_on_waveform else x  # steps work in place
        for step, drawn in list(zip(self.steps, draws, strict=False))[: self.n_on_waveform]:
            if isinstance(step, TimeStretch):
                x = step.stretch(x, drawn, samples)
            else:
                x = cast(Augmentation, step).change(x, drawn, gather)
        return x[:, :samples]

    def _on_mel(self, log_mel: Tensor, draws: list[Draws], gather: Gather) -> Tensor:
        """The steps in their order. Stretch and shift are readings of the log-mel; the rest works on powers."""
        steps: list[tuple[Any, Draws]] = list(zip(self.steps, draws, strict=False))[self.n_on_waveform :]
        to_come = any(isinstance(step, TimeStretch) for step, _ in steps)  # which needs its margin until then
        x = log_mel if to_come else log_mel[:, :, : self.frames]
        for moves, run in groupby(steps, lambda pair: isinstance(pair[0], TimeStretch | PitchShift)):
            group = list(run)
            if moves:
                to_come = to_come and not any(isinstance(step, TimeStretch) for step, _ in group)
                x = read_moved(x, x.shape[2] if to_come else self.frames, self.mel, group)
                continue
            power = self.mel.expand(x)
            for step, drawn in group:
                power = step.change(power, drawn, gather)
            x = self.mel.compress(power)
        return x
