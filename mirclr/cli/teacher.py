"""``mirclr teacher``: published networks whose outputs a student learns from."""

from contextlib import ExitStack
from pathlib import Path

import click

from mirclr.cli import options
from mirclr.cli.options import Number, as_json, path_option
from mirclr.cli.show import closing, print_json, print_line, progress, remark
from mirclr.terminal import counted


@click.group(epilog="Example: mirclr teacher import musicnn")
def command() -> None:
    """Obtain teachers, and label music with them."""


@command.command("import", epilog="Example: mirclr teacher import musicnn")
@click.argument("name", type=click.Choice(["musicnn"]))
@path_option("--wheel", exists=True, help="The published wheel, downloaded by hand; without it pip downloads it.")
@as_json
def import_teacher(name: str, wheel: Path | None, as_json: bool) -> None:
    """Obtain the published weights of NAME, check their digest, and keep them in the cache folder."""
    from mirclr.training.teacher import import_musicnn

    files = {"musicnn": import_musicnn}[name](wheel)
    if as_json:
        print_json([{"name": file.stem, "file": str(file), "bytes": file.stat().st_size} for file in files])
    else:
        for file in files:
            print_line(f"{file.stem}: {file}")


@command.command(epilog="Example: mirclr teacher label debian-games -o labels --teacher musicnn-msd")
@click.argument("manifest")
@click.option(
    "-o", "--output", required=True, type=options.HomePath(path_type=Path, file_okay=False), help="Folder to write."
)
@click.option(
    "--teacher",
    "name",
    default="musicnn-msd",
    show_default=True,
    help="musicnn, musicnn-msd, musicnn-mtt, builtin, a checkpoint, or a class as package.module:Class.",
)
@path_option("--heads", help="Heads of a checkpoint, from mirclr classify train.")
@options.audio_root()
@click.option("--hop", "hop_s", type=Number(0.1), default=3.0, show_default=True, help="Seconds from window to window.")
@options.workers
@options.device
@options.on_ray
@as_json
def label(
    manifest: str,
    output: Path,
    name: str,
    heads: Path | None,
    audio_root: Path | None,
    hop_s: float,
    workers: int,
    device: str,
    on: str | None,
    address: str | None,
    as_json: bool,
) -> int:
    """Run a teacher on the tracks of MANIFEST (a file, or a corpus that was fetched), and keep its outputs.

    Tracks that are labelled already are not decoded again. A recipe learns from the folder by distillation.labels. With
    --on ray the audio and the folder are where all machines of the cluster have them, and so is a checkpoint.
    """
    from mirclr.cli.on_ray import labelled_on_ray
    from mirclr.config import Distillation
    from mirclr.data.clips import Skipped, tracks_of
    from mirclr.data.sampling import TRAINED_ON
    from mirclr.data.soft_labels import SoftLabelFolder, mean_similarities
    from mirclr.extensions import allow_named, is_class_name
    from mirclr.training.teacher import LabelledTrack, label_tracks, load_teacher

    tracks, root = tracks_of(manifest, Path(), audio_root=str(audio_root) if audio_root else None, splits=TRAINED_ON)
    allow_named([name] if is_class_name(name) else [], Path())
    teacher = load_teacher(name, heads=str(heads) if heads else None)
    labelled: list[LabelledTrack] = []
    skipped: list[str] = []
    if address and not on:
        raise click.UsageError("--address is for --on ray")
    with ExitStack() as stack:
        if on:
            of_heads = str(heads) if heads else None
            on_cluster = labelled_on_ray(tracks, name, of_heads, root, output, hop_s, address, workers, device)
            results = stack.enter_context(on_cluster)
        else:
            results = label_tracks(teacher, tracks, root, output, hop_s=hop_s, device=device, workers=workers or None)
        advance = stack.enter_context(progress("Labelling songs", len(tracks)))
        for one in results:
            if isinstance(one, Skipped):
                skipped.append(one.reason)
            else:
                labelled.append(one)
            advance(note=f"{len(skipped)} skipped" if skipped else "")
    for reason in skipped:
        remark(f"skipped {reason}")
    order = {track.id: i for i, track in enumerate(tracks)}
    labelled.sort(key=lambda one: order[one.track.id])  # of a cluster they come in any order
    new, windows = sum(one.new for one in labelled), sum(one.windows for one in labelled)
    similarities = {}
    if len(labelled) > 1 and teacher.tags:
        folder, keys = SoftLabelFolder.read(output), [one.key for one in labelled]
        for how, centre in (("plain", False), ("centred", True)):
            similarities[how] = mean_similarities(folder, keys, Distillation(labels=str(output), centre=centre))
    if as_json:
        facts = {"tracks": len(labelled), "new": new, "windows": windows, "alike": similarities, "skipped": skipped}
        print_json({"labels": str(output), "teacher": teacher.name, "tags": list(teacher.tags), **facts})
        return 0 if labelled else 1
    for how, cosine in similarities.items():
        print_line(f"cosine of {how} labels: {cosine['between']:.2f} between tracks, {cosine['within']:.2f} within one")
    given = counted(len(teacher.tags), "tag") if teacher.tags else "its embedding (with --heads also tags)"
    what = f"{counted(windows, 'window')} of {counted(len(labelled), 'track')}, {new} of them new"
    closing(f"{output}: {what}; of each window {given}, by {teacher.name}")
    return 0 if labelled else 1
