"""Views of a file as sound and as pictures: what a recipe's augmentations, or each kind of augmentation, do to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from mirclr.audio import read_excerpts
from mirclr.audio.mel import LogMel
from mirclr.audio.views import Views
from mirclr.config import Recipe, parse_recipe
from mirclr.pictures import new_figure

_KINDS = ("pitch_shift", "time_stretch", "gain", "noise", "equalizer", "filter", "polarity", "time_mask",
          "frequency_mask", "background_mix")  # fmt: skip


@dataclass(frozen=True, eq=False)
class View:
    """A clip, as it is or augmented.

    Attributes
    ----------
    name : str
    waveform : (n,) float32
        At the recipe's sample rate; of a view that is a log-mel spectrogram an approximation.
    log_mel : (F, T) float32
    """

    name: str
    waveform: np.ndarray
    log_mel: np.ndarray


def recipes_of_kinds() -> dict[str, Recipe]:
    """A recipe for each kind of augmentation on each domain, by name: ``gain-mel``, ``gain-waveform`` and so on."""
    text = "name: preview\ndata: {{train: preview}}\naugment: {{{form}: [{{name: {kind}, p: 1.0}}]}}"
    forms = [(kind, form) for kind in _KINDS for form in ("waveform", "mel")]
    return {f"{kind}-{form}": parse_recipe(text.format(kind=kind, form=form)) for kind, form in forms}


def views_of_file(file: Path, recipes: Mapping[str, Recipe], *, seed: int = 0) -> Iterator[View]:
    """The clip at the first place of a file under the name ``original``, and then a view of it by each recipe.

    Parameters
    ----------
    file : Path
        The audio.
    recipes : mapping of str to Recipe
        At least one; they share their audio and mel sections.
    seed : int
        Of the random numbers: the same seed gives the same views.

    Raises
    ------
    AudioError
        As `mirclr.audio.read_excerpts`.
    """
    first = next(iter(recipes.values()))
    rate, seconds = first.audio.sample_rate, first.audio.clip_seconds
    mel = LogMel.of(first.mel, rate)
    # two places of the file, so that there is something to mix with; twice as long as a clip, to stretch
    source = read_excerpts(file, count=2, seconds=2 * seconds, rate=rate).waveforms
    original = source[0, : round(seconds * rate)]
    yield View("original", original, mel(torch.from_numpy(original[None]))[0].numpy())
    generator = torch.Generator().manual_seed(seed)
    for name, recipe in recipes.items():
        view = _view(recipe, mel, source, generator)
        if view.ndim == 2:
            yield View(name, view[0].numpy(), mel(view)[0].numpy())
        else:
            yield View(name, _audible(view[0].numpy(), recipe), view[0].numpy())


def _view(recipe: Recipe, mel: LogMel, source: np.ndarray, generator: Generator) -> Tensor:
    """One view of each row of the source: (2, F, T) log-mel, or (2, N) samples if the chain ends on the waveform."""
    views = Views(recipe, mel)
    waveforms = torch.from_numpy(source).repeat(1, 2)
    if views.takes.domain == "mel":
        return views(mel(waveforms)[:, :, : views.takes.length], generator)
    samples = waveforms[:, : views.takes.length]
    if recipe.augment.mel:
        return views(samples, generator)
    return views.on_samples(samples, views.draw(len(samples), generator))


def _audible(log_mel: np.ndarray, recipe: Recipe) -> np.ndarray:
    """A waveform of a log-mel spectrogram: the phases are guessed (Griffin-Lim), so it sounds a little hollow."""
    import librosa

    power = (10.0**log_mel - 1) / recipe.mel.gain
    settings = {"sr": recipe.audio.sample_rate, "n_fft": recipe.mel.n_fft, "hop_length": recipe.mel.hop_length}
    waveform: np.ndarray = librosa.feature.inverse.mel_to_audio(
        power, **settings, fmin=recipe.mel.f_min, fmax=recipe.mel.f_max, pad_mode="constant", n_iter=24
    )
    return waveform


def plot_log_mels(pictures: Mapping[str, np.ndarray], path: Path, *, frames_per_s: float) -> None:
    """Draw log-mel spectrograms, (F, T) by their titles, four a row and on one scale, into a picture.

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    rows = -(-len(pictures) // 4)
    figure = new_figure((14, 2.2 * rows), "the picture of the views")
    top = max(float(p.max()) for p in pictures.values())
    for i, (name, picture) in enumerate(pictures.items()):
        axes = figure.add_subplot(rows, 4, i + 1)
        extent = (0.0, picture.shape[1] / frames_per_s, 0.0, float(len(picture)))
        axes.imshow(picture, origin="lower", aspect="auto", extent=extent, vmin=0, vmax=top, cmap="magma")
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
    figure.supxlabel("seconds", fontsize=8)
    figure.supylabel("mel band", fontsize=8)
    figure.savefig(path, dpi=110)
