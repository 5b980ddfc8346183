"""The encoder and heads that mirclr comes with, made by ``recipes/builtin``; README.md beside them is their card.

Wherever a checkpoint is named, ``builtin`` means this encoder.
"""

import os
from pathlib import Path

from mirclr import extensions

NAME = "builtin"
FORMER_HEADS = frozenset(
    {
        "590e5277f3281c6bbfe3919d64c69fec",
        "04786162aadec2c2b66b039f83eb281c",
        "5536f28d51fe4169f4b782b338ad6434",
        "f61f8438cc4d710b13cd77ad1eab8acd",
    }
)
"""Digests of heads that mirclr came with before: what they guessed is guessed anew."""
_HERE = Path(__file__).resolve().parent


def builtin_checkpoint() -> Path:
    """The checkpoint of the built-in encoder."""
    return _HERE / "builtin.safetensors"


def builtin_heads() -> Path:
    """Genre, mood and affect heads on the built-in encoder's vectors."""
    return _HERE / "builtin.heads.safetensors"


def checkpoint_named(name: str | Path) -> Path:
    """``builtin``, or the path of a checkpoint, to a path; a file that is called builtin is ``./builtin``."""
    return builtin_checkpoint() if str(name) == NAME else Path(os.path.expanduser(name))


def is_there(checkpoint: Path) -> bool:
    """Whether an encoder that a library or heads name can be loaded: its file is there, or its class was allowed."""
    return checkpoint.is_file() or str(checkpoint) in extensions.allowed()
