"""``mirclr checkpoint``: what a checkpoint holds, and its encoder in other formats."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli.options import CHECKPOINT, HomePath, as_json, path_option
from mirclr.cli.show import closing, print_facts, print_json, progress, remark
from mirclr.terminal import counted, number, size

if TYPE_CHECKING:
    from mirclr.models.checkpoint import Checkpoint


@click.group(epilog="Example: mirclr checkpoint info runs/a/encoder.safetensors")
def command() -> None:
    """Show what a checkpoint holds; make it run without torch."""


@command.command(epilog="Example: mirclr checkpoint info builtin --json")
@click.argument("checkpoint", type=CHECKPOINT)
@as_json
def info(checkpoint: Path, as_json: bool) -> None:
    """Show the encoder, recipe and provenance of CHECKPOINT (a file, or builtin)."""
    from mirclr.models.checkpoint import load_checkpoint

    read = load_checkpoint(checkpoint)
    facts = _facts(checkpoint, read)
    if as_json:
        print_json({**facts, "resolved": read.recipe.model_dump(mode="json")})
        return
    made_by = read.provenance.get("versions", {})
    print_facts(
        [
            ("file", f"{checkpoint} ({size(facts['bytes'])})"),
            ("encoder", f"{facts['kind']} of {counted(facts['parameters'], 'parameter')}"),
            ("digest", facts["encoder"]),
            ("input", f"clips of {facts['clip_seconds']:g} s at {number(facts['rate'])} Hz"),
            ("vectors", f"{facts['dim']} components of an excerpt, {facts['track_dim']} of a track"),
            ("recipe", f"{facts['recipe']}, objective {facts['objective']}"),
            *([("steps", number(read.step))] if read.step is not None else []),
            ("made by", ", ".join(f"{name} {version}" for name, version in made_by.items()) or "not known"),
            *(
                (name, _in_words(value))
                for name, value in read.provenance.items()
                if value is not None and name not in ("versions", "steps")
            ),
        ]
    )


def _facts(checkpoint: Path, read: "Checkpoint") -> dict[str, Any]:
    encoder = read.model.encoder
    return {
        "file": str(checkpoint),
        "bytes": checkpoint.stat().st_size,
        "encoder": read.digest,
        "kind": read.recipe.encoder.name,
        "dim": encoder.dim,
        "track_dim": read.model.pooling.dim,
        "parameters": sum(p.numel() for p in encoder.parameters()),
        "rate": read.recipe.audio.sample_rate,
        "clip_seconds": read.recipe.audio.clip_seconds,
        "recipe": read.recipe.name,
        "objective": read.recipe.objective.name,
        "step": read.step,
        "provenance": read.provenance,
    }


def _in_words(value: object) -> str:
    """A value of the provenance, in which keys have values of their own."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_in_words(of)}" for name, of in value.items())
    return number(value) if isinstance(value, int | float) else str(value)


@command.command(epilog="Example: mirclr checkpoint export runs/a/encoder.safetensors --onnx encoder.onnx")
@click.argument("checkpoint", type=CHECKPOINT)
@path_option("--onnx", "onnx_path", required=True, help="The file to write.")
@as_json
def export(checkpoint: Path, onnx_path: Path, as_json: bool) -> None:
    """Write the encoder of CHECKPOINT, from the waveform on, for programs without torch.

    Input: waveform, (batch, samples) float32 in [-1, 1] at the encoder's rate, one clip long. Output: embedding.
    """
    from mirclr.models.checkpoint import load_checkpoint
    from mirclr.models.onnx import export_onnx

    export_onnx(load_checkpoint(checkpoint), onnx_path)
    if as_json:
        print_json({"onnx": str(onnx_path), "bytes": onnx_path.stat().st_size})
    else:
        closing(f"wrote {onnx_path} ({size(onnx_path.stat().st_size)})")


@command.command(epilog="Example: mirclr checkpoint quantize runs/a/encoder.safetensors --music ~/Music")
@click.argument("checkpoint", type=CHECKPOINT)
@click.option(
    "--music",
    metavar="PATH",
    multiple=True,
    type=HomePath(path_type=Path),
    help="Music to measure with, 300 songs of it at most; may be repeated. Without it nothing is rounded.",
)
@as_json
def quantize(checkpoint: Path, music: tuple[Path, ...], as_json: bool) -> None:
    """Make CHECKPOINT fast on CPUs, and of use without torch: as an ONNX file beside it.

    Whatever embeds with the checkpoint takes that file from then on, unless on a GPU. Its vectors may stand beside
    those that torch makes. It computes in 8 bits where at least 95 % of the nearest neighbours of your music stay the
    same, which is measured, and else in 32. Train the checkpoint further, and make the file again.
    """
    from mirclr.classify.predict import find_files
    from mirclr.data.scan import audio_of
    from mirclr.models.quantizing import LEAST_TRACKS, evenly, write_portable

    found, problems = find_files(music)
    files = evenly([audio_of(one) for one in found])
    for path, reason in problems:
        remark(f"{path}: {reason}")
    with progress("Listening to songs", len(files)) as advance:
        made = write_portable(checkpoint, files, advance=advance)
    if as_json:
        print_json(asdict(made) | {"path": str(made.path), "bytes": made.path.stat().st_size})
        return
    if made.agreement is None:
        remark(
            f"computes in 32 bits, as {counted(made.tracks, 'song')} could be read; 8 bits need {LEAST_TRACKS} or more"
        )
    else:
        print_facts(
            [
                ("computes in", "8 bits" if made.weights == "int8" else "32 bits, as 8 would change too much"),
                ("neighbours kept by 8 bits", f"{made.agreement:.3f} of ten, of {counted(made.tracks, 'song')}"),
                ("a song takes", ", ".join(f"{ms:.0f} ms in {name}" for name, ms in made.milliseconds.items())),
            ]
        )
    closing(f"wrote {made.path} ({size(made.path.stat().st_size)})")
