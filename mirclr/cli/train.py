"""``mirclr train``: a recipe to a trained encoder."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirclr.cli import options
from mirclr.cli.options import as_json
from mirclr.cli.show import detail, print_json, print_line, progress, remark
from mirclr.errors import MissingExtra
from mirclr.terminal import counted, span

if TYPE_CHECKING:
    from mirclr.training.trainer import Trainer

_SHORT = 50  # steps of a run too short for an estimate
_LONG_S = 600.0  # what a person may not want to wait for


@click.command(epilog="Example: mirclr train recipes/debian_ntxent/recipe.yaml -o runs/a --set training.steps=2000")
@click.argument("recipe_path", metavar="RECIPE.yaml", type=options.HomePath(path_type=Path, dir_okay=False))
@click.option(
    "-o",
    "--output",
    required=True,
    type=options.HomePath(path_type=Path, file_okay=False),
    help="The run's folder.",
)
@options.overrides
@options.labels("CSV with a column file, and genre, artist, album, mood_… or tag_… to learn from.")
@click.option("--resume", is_flag=True, help="Resume the run in the folder; bit-exact on one machine.")
@options.device
@options.workers
@click.option(
    "--nproc",
    type=click.IntRange(min=1, max=1024),
    default=1,
    show_default=True,
    help="Processes that train as one, each on its own GPU, or on a part of the cores; or start mirclr by torchrun.",
)
@as_json
def command(
    recipe_path: Path,
    output: Path,
    overrides: tuple[str, ...],
    labels_path: Path | None,
    resume: bool,
    device: str,
    workers: int,
    nproc: int,
    as_json: bool,
) -> None:
    """Train an encoder of your own from a recipe."""
    from mirclr.config import find_recipe, read_recipe
    from mirclr.training.distributed import joined, launch
    from mirclr.training.run import prepare

    recipe_path = find_recipe(recipe_path)
    if labels_path:
        overrides = (*overrides, f"data.labels_file={json.dumps(str(labels_path.absolute()))}")
    if nproc > 1:
        sets = [word for override in overrides for word in ("--set", override)]
        flags = [*(["--resume"] if resume else []), *(["--json"] if as_json else [])]
        decoding = ["--workers", str(workers)] if workers else []
        line = ["train", *sets, "-o", str(output), "--device", device, *decoding, *flags, "--", str(recipe_path)]
        click.get_current_context().exit(launch(nproc, line))
    with joined(device) as (ranks, chosen):
        note = remark if ranks.first else lambda text: None
        recipe = read_recipe(recipe_path, overrides=overrides, on_note=note)
        if recipe.code:
            note(f"this recipe runs code of its own: {', '.join(recipe.code)}")
        trainer = prepare(
            recipe,
            recipe_path.parent,
            output,
            resume=resume,
            device=str(chosen),
            workers=workers,
            ranks=ranks,
            progress=progress,
            on_skip=lambda reason: remark(f"skipped {reason}"),
            on_note=remark,
        )
        announce(trainer)
        if ranks.first:
            train_and_report(trainer, output, as_json=as_json)
        else:
            for _ in trainer.train():
                pass


def train_and_report(trainer: Trainer, output: Path, *, as_json: bool) -> None:
    """Train, say what it will take and what came of it, and draw the loss."""
    if trainer.step:
        remark(f"resuming after step {trainer.step}")
        if not trainer.resumed_exactly:
            remark(
                "an earlier mirclr began this run and drew its augmentations otherwise: the losses from here on are "
                "not, bit for bit, those it would have had"
            )
    try:
        last = run(trainer)
    except KeyboardInterrupt:
        draw_loss(output)
        remark(f"{counted(trainer.step, 'step')} done; to go on, add --resume to the command")
        raise
    encoder = str(output / "encoder.safetensors")
    result = {"run": str(output), "encoder": encoder, "digest": trainer.digest(), **last}
    picture = draw_loss(output)
    if as_json:
        print_json(result | ({"picture": str(picture)} if picture else {}))
        return
    print_line(f"trained {counted(trainer.step, 'step')}; encoder: {encoder}")
    if picture:
        remark(f"picture of the loss: {picture}")
    named = getattr(trainer.recipe.encoder, "entry_point", None)
    allowing = ["--allow-code", named] if named in trainer.recipe.code else []
    remark(
        f"Try: {shlex.join(['mirclr', *allowing, 'embed', 'MUSIC', '--library', 'new.db', '--checkpoint', encoder])}"
    )


def draw_loss(output: Path) -> Path | None:
    """Draw the loss of a run on standard error and, where matplotlib is installed, into its folder."""
    from mirclr.training.curve import loss_chart, loss_picture, read_history

    chart = loss_chart(read_history(output), width=min(100, shutil.get_terminal_size().columns) - 4)
    for line in chart:
        remark(line)
    try:
        return loss_picture(output) if chart else None
    except MissingExtra as error:
        detail(str(error))
        return None


def announce(trainer: Trainer) -> None:
    """Say before it begins how long training will take; of several processes all must ask."""
    left = trainer.recipe.training.steps - trainer.step
    if left < _SHORT:
        return
    seconds = left * trainer.seconds_a_step()
    if not trainer.ranks.first:
        return
    remark(f"{counted(left, 'step')} will take about {span(seconds)} here ({trainer.device})")
    if seconds > _LONG_S:
        remark(
            "Ctrl-C stops it and keeps what is done, and the same command with --resume goes on; for a shorter run: "
            f"--set training.steps={max(1, round(left * _LONG_S / seconds, -2)):.0f} takes about {span(_LONG_S)}"
        )


def run(trainer: Trainer) -> dict[str, float]:
    """Train with a progress display; returns the last metrics."""
    last: dict[str, float] = {}
    with progress("Training, step", trainer.recipe.training.steps) as advance:
        advance(trainer.step)
        for report in trainer.train():
            last = report.metrics or last
            note = f"loss {last['loss']:.3f}" if "loss" in last else ""
            advance(note=note + (f"  kNN {last['knn_accuracy']:.3f}" if "knn_accuracy" in last else ""))
            for line in report.notes:
                remark(line)
    return last
