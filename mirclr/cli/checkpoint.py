"""``mirclr checkpoint``: what a checkpoint holds, and its encoder in other formats."""

from pathlib import Path
from typing import Any

import click

from mirclr.cli.options import CHECKPOINT, as_json, path_option
from mirclr.cli.show import print_json, print_line


@click.group(epilog="Example: mirclr checkpoint info runs/a/encoder.safetensors")
def command() -> None:
    """Show what a checkpoint holds; export its encoder."""


@command.command(epilog="Example: mirclr checkpoint info builtin --json")
@click.argument("checkpoint", type=CHECKPOINT)
@as_json
def info(checkpoint: Path, as_json: bool) -> None:
    """Show the encoder, recipe and provenance of CHECKPOINT (a file, or builtin)."""
    from mirclr.models.checkpoint import load_checkpoint

    read = load_checkpoint(checkpoint)
    encoder = read.model.encoder
    facts: dict[str, Any] = {
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
    if as_json:
        print_json({**facts, "resolved": read.recipe.model_dump(mode="json")})
        return
    for name, value in facts.items():
        if name != "provenance" and value is not None:
            print_line(f"{name:13} {value}")
    for name, value in read.provenance.items():
        print_line(f"{name:13} {value}")


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
        print_line(f"{onnx_path}: {onnx_path.stat().st_size / 1e6:.1f} MB")
