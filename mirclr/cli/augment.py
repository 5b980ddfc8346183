"""``mirclr augment``: what augmentations do, as sound and as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirclr.cli import options
from mirclr.cli.options import as_json
from mirclr.cli.show import print_json, print_line, progress, remark

if TYPE_CHECKING:
    import numpy as np
    from torch import Generator, Tensor

    from mirclr.audio.mel import LogMel
    from mirclr.config import Recipe

_KINDS = ("pitch_shift", "time_stretch", "gain", "noise", "equalizer", "filter", "polarity", "time_mask",
          "frequency_mask", "background_mix")  # fmt: skip


@click.group(epilog="Example: mirclr augment preview song.ogg -o views")
def command() -> None:
    """Show and play what the augmentations of a recipe do to a file."""


@command.command(epilog="Example: mirclr augment preview song.ogg -o views --recipe recipes/debian_ntxent/recipe.yaml")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write."
)
@click.option(
    "--recipe",
    "recipe_path",
    type=click.Path(path_type=Path),
    help="Write views by this recipe; else one of each kind of augmentation.",
)
@options.count(4, "How many views of a recipe.", most=64)
@options.seed("Of the random numbers: the same seed, the same views.", default=0)
@as_json
def preview(file: Path, output: Path, recipe_path: Path | None, n: int, seed: int, as_json: bool) -> None:
    """Write views of FILE as wav files, and a picture of their log-mel spectrograms."""
    import torch

    from mirclr.audio import read_excerpts, write_wav
    from mirclr.audio.mel import LogMel
    from mirclr.config import parse_recipe, read_recipe

    if recipe_path:
        recipe = read_recipe(recipe_path, on_note=remark)
        recipes = {f"view-{i + 1}": recipe for i in range(n)}
    else:
        text = "name: preview\ndata: {{train: preview}}\naugment: {{{form}: [{{name: {kind}, p: 1.0}}]}}"
        forms = [(kind, form) for kind in _KINDS for form in ("waveform", "mel")]
        recipes = {f"{kind}-{form}": parse_recipe(text.format(kind=kind, form=form)) for kind, form in forms}
        recipe = next(iter(recipes.values()))
    rate, seconds, mel = (
        recipe.audio.sample_rate,
        recipe.audio.clip_seconds,
        LogMel.of(recipe.mel, recipe.audio.sample_rate),
    )
    # two places of the file, so that there is something to mix with; twice as long as a clip, to stretch
    source = read_excerpts(file, count=2, seconds=2 * seconds, rate=rate).waveforms
    original = source[0, : round(seconds * rate)]
    pictures, written = (
        {"original": mel(torch.from_numpy(original[None]))[0].numpy()},
        [output / "original.wav"],
    )
    write_wav(written[0], original, rate)
    generator = torch.Generator().manual_seed(seed)
    with progress("Making views", len(recipes)) as advance:
        for name, each in recipes.items():
            view = _view(each, mel, source, generator)
            pictures[name] = (mel(view) if view.ndim == 2 else view)[0].numpy()
            written.append(output / f"{name}.wav")
            write_wav(written[-1], view[0].numpy() if view.ndim == 2 else _audible(view[0].numpy(), each), rate)
            advance()
    written.append(_draw(pictures, output / "views.png", rate / recipe.mel.hop_length))
    if as_json:
        print_json({"files": [str(path) for path in written]})
    else:
        for path in written:
            print_line(str(path))


def _view(recipe: Recipe, mel: LogMel, source: np.ndarray, generator: Generator) -> Tensor:
    """One view of each row of the source: (2, F, T) log-mel, or (2, N) samples if the chain ends on the waveform."""
    import torch

    from mirclr.audio.views import Views

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


def _draw(pictures: dict[str, np.ndarray], path: Path, frames_a_second: float) -> Path:
    """Draw log-mel spectrograms (F, T), four a row, on one scale."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        from mirclr.errors import MissingExtra

        raise MissingExtra.of("the picture of the views", "plot") from None
    rows = -(-len(pictures) // 4)
    figure = Figure(figsize=(14, 2.2 * rows), layout="constrained")
    top = max(float(p.max()) for p in pictures.values())
    for i, (name, picture) in enumerate(pictures.items()):
        axes = figure.add_subplot(rows, 4, i + 1)
        extent = (0.0, picture.shape[1] / frames_a_second, 0.0, float(len(picture)))
        axes.imshow(picture, origin="lower", aspect="auto", extent=extent, vmin=0, vmax=top, cmap="magma")
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
    figure.supxlabel("seconds", fontsize=8)
    figure.supylabel("mel band", fontsize=8)
    figure.savefig(path, dpi=110)
    return path
