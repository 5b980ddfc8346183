"""``mirclr train``: a recipe to a trained encoder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirclr.cli import options
from mirclr.cli.options import as_json
from mirclr.cli.show import print_json, print_line, progress, remark

if TYPE_CHECKING:
    from mirclr.config import Recipe
    from mirclr.data.clips import Cached, ClipCache
    from mirclr.data.manifest import Track
    from mirclr.training.trainer import Trainer


@click.command(epilog="Example: mirclr train recipes/debian_ntxent/recipe.yaml -o runs/a --set training.steps=2000")
@click.argument("recipe_path", metavar="RECIPE.yaml", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The run's folder.",
)
@options.overrides
@click.option("--resume", is_flag=True, help="Resume the run in the folder after its last step, bit-exact.")
@options.device
@options.workers
@as_json
def command(
    recipe_path: Path,
    output: Path,
    overrides: tuple[str, ...],
    resume: bool,
    device: str,
    workers: int,
    as_json: bool,
) -> None:
    """Train a contrastive encoder from a recipe."""
    from mirclr.config import read_recipe

    recipe = read_recipe(recipe_path, overrides=overrides, on_note=remark)
    trainer = prepare(recipe, recipe_path.parent, output, resume=resume, device=device, workers=workers or None)
    if trainer.step:
        remark(f"resuming after step {trainer.step}")
    last = run(trainer)
    result = {
        "run": str(output),
        "encoder": str(output / "encoder.safetensors"),
        "digest": trainer.digest(),
        **last,
    }
    if as_json:
        print_json(result)
    else:
        print_line(f"trained {trainer.step} steps; encoder: {result['encoder']}")


def prepare(
    recipe: Recipe,
    folder: Path,
    output: Path,
    *,
    resume: bool,
    device: str = "auto",
    workers: int | None = None,
) -> Trainer:
    """Find the tracks, decode what is not in the cache, and set the run up."""
    from mirclr.audio.augment import Views
    from mirclr.audio.mel import LogMel
    from mirclr.data.clips import ClipCache, tracks_of
    from mirclr.data.sampling import TRAINED_ON, part_of
    from mirclr.data.soft_labels import SoftLabelFolder, SoftLabels, check_windows
    from mirclr.errors import LabelsError
    from mirclr.models.device import pick_device
    from mirclr.training.trainer import Trainer, check_run, check_tracks

    # what is amiss is said before hours of decoding
    pick_device(device)
    check_run(recipe, output, resume=resume)
    told = teacher = None
    if recipe.distillation and recipe.distillation.labels is not None:
        told = SoftLabelFolder.read((folder / recipe.distillation.labels).expanduser())
        check_windows(told, recipe.audio.clip_seconds)
    elif recipe.distillation:
        from mirclr.training.teacher import online_teacher

        teacher = online_teacher(recipe, folder, device=device)
    shape = Views(recipe, LogMel(recipe.mel, recipe.audio.sample_rate)).takes
    cache = ClipCache(recipe, shape.domain)
    data = recipe.data
    tracks, root = tracks_of(data.train, folder, audio_root=data.audio_root, splits=TRAINED_ON)
    tracks = part_of(tracks, data.fraction)
    without = check_tracks(recipe, tracks, root, cache, shape, told)
    if without and (found := _fill("Decoding what has no labels", cache, without, root, workers)):
        raise LabelsError(
            f"distillation.labels: the folder holds no labels of {len(found)} of the {len(tracks)} tracks, such as "
            f"{found[0].track.path}; run mirclr teacher label again"
        )
    tracks = [t for t in tracks if t not in without]
    to_check: list[Track] = []
    if recipe.validation:
        check = recipe.validation
        to_check, check_root = tracks_of(check.manifest, folder, audio_root=check.audio_root, splits=(check.split,))
        counts = Counter(getattr(t, check.label) for t in to_check)
        to_check = [t for t in to_check if getattr(t, check.label) and counts[getattr(t, check.label)] > 1]
    cached = _fill("Decoding", cache, tracks, root, workers)
    labelled: list[tuple[Cached, str]] = []
    if recipe.validation and to_check:
        found = _fill("Decoding the labelled tracks", cache, to_check, check_root, workers)
        labelled = [(c, getattr(c.track, recipe.validation.label)) for c in found]
    soft_labels = None
    if recipe.distillation and told is not None:
        soft_labels = SoftLabels(told, [c.key for c in cached], recipe.distillation)
    return Trainer(
        recipe,
        cached,
        cache,
        output,
        check=labelled,
        soft_labels=soft_labels,
        teacher=teacher,
        resume=resume,
        device=device,
    )


def _fill(label: str, cache: ClipCache, tracks: list[Track], root: Path, workers: int | None) -> list[Cached]:
    from mirclr.data.clips import Cached

    cached, skipped = [], []
    with progress(label, len(tracks)) as advance:
        for result in cache.fill(tracks, root, workers=workers):
            if isinstance(result, Cached):
                cached.append(result)
            else:
                skipped.append(result)
            advance(note=f"{len(skipped)} skipped" if skipped else "")
    for skip in skipped:
        remark(f"skipped {skip.reason}")
    order = {t.id: i for i, t in enumerate(tracks)}
    return sorted(
        cached, key=lambda c: order[c.track.id]
    )  # the order of a batch must not hang on who was decoded first


def run(trainer: Trainer) -> dict[str, float]:
    """Train with a progress display; returns the last metrics."""
    last: dict[str, float] = {}
    with progress("Training", trainer.recipe.training.steps) as advance:
        advance(trainer.step)
        for report in trainer.train():
            last = report.metrics or last
            note = f"loss {report.loss:.3f}" + (f"  kNN {last['knn_accuracy']:.3f}" if "knn_accuracy" in last else "")
            advance(note=note)
    return last
