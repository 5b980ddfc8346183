"""``mirclr augment``: what augmentations do, as sound and as pictures."""

from pathlib import Path

import click

from mirclr.cli import options
from mirclr.cli.options import as_json
from mirclr.cli.show import closing, print_json, print_line, progress, remark
from mirclr.terminal import counted


@click.group(epilog="Example: mirclr augment preview song.ogg -o views")
def command() -> None:
    """Let you hear and see what the augmentations of a recipe do."""


@command.command(epilog="Example: mirclr augment preview song.ogg -o views --recipe recipes/debian_ntxent/recipe.yaml")
@click.argument("file", type=options.HomePath(path_type=Path, dir_okay=False))
@click.option(
    "-o", "--output", required=True, type=options.HomePath(path_type=Path, file_okay=False), help="Folder to write."
)
@click.option(
    "--recipe",
    "recipe_path",
    type=options.HomePath(path_type=Path),
    help="Write views by this recipe; else one of each kind of augmentation.",
)
@options.count(4, "How many views of a recipe.", most=64)
@options.seed("Of the random numbers: the same seed, the same views.", default=0)
@as_json
def preview(file: Path, output: Path, recipe_path: Path | None, n: int, seed: int, as_json: bool) -> None:
    """Write views of FILE as wav files, and a picture of their log-mel spectrograms."""
    from mirclr.audio import write_wav
    from mirclr.audio.preview import plot_log_mels, recipes_of_kinds, views_of_file
    from mirclr.config import find_recipe, read_recipe
    from mirclr.extensions import allow_named

    recipes = recipes_of_kinds()
    if recipe_path:
        recipe_path = find_recipe(recipe_path)
        recipe = read_recipe(recipe_path, on_note=remark)
        allow_named(recipe.code, recipe_path.parent)
        recipes = {f"view-{i + 1}": recipe for i in range(n)}
    recipe = next(iter(recipes.values()))
    rate = recipe.audio.sample_rate
    pictures, written = {}, []
    with progress("Making views", 1 + len(recipes)) as advance:
        for view in views_of_file(file, recipes, seed=seed):
            pictures[view.name] = view.log_mel
            written.append(output / f"{view.name}.wav")
            options.never_over([file], written[-1], "-o")
            write_wav(written[-1], view.waveform, rate)
            advance()
    written.append(output / "views.png")
    plot_log_mels(pictures, written[-1], frames_per_s=rate / recipe.mel.hop_length)
    if as_json:
        print_json({"files": [str(path) for path in written]})
    else:
        for path in written:
            print_line(str(path))
        closing(f"wrote {counted(len(written) - 1, 'sound')} to play, and a picture of them")
