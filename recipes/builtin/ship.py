"""Put a run's encoder and heads into the package: ``ship.py RUN``; weights of two axes or more become float16."""

import argparse
from pathlib import Path

import torch

from mirclr.checkpoint import load_checkpoint, save_checkpoint
from mirclr.classify import Heads
from mirclr.pretrained import NAME, builtin_checkpoint, builtin_heads

LARGEST = 10_000_000  # bytes


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    read = load_checkpoint(run / "encoder.safetensors")
    for tensor in (*read.model.parameters(), *read.model.buffers()):
        if tensor.is_floating_point() and tensor.ndim > 1:
            tensor.data = tensor.data.to(torch.float16)
    save_checkpoint(builtin_checkpoint(), read.model, read.provenance)
    size = builtin_checkpoint().stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{builtin_checkpoint()}: {size:,} bytes; {LARGEST:,} at most are shipped")
    shipped = load_checkpoint(builtin_checkpoint())
    heads = Heads.load(run / "heads.safetensors")
    if heads.encoder["digest"] != read.digest:
        raise SystemExit(f"{run}: its heads are of another encoder; run heads.py again")
    # the same encoder but for the rounding of its weights
    heads.encoder = {"digest": shipped.digest, "name": NAME, "dim": shipped.model.encoder.dim}
    heads.save(builtin_heads())
    print(f"{builtin_checkpoint()}: {size:,} bytes, encoder {shipped.digest}")


if __name__ == "__main__":
    main()
