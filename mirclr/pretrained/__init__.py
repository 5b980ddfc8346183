"""The encoder that mirclr ships, and heads fitted on its vectors."""

from pathlib import Path


def builtin_checkpoint() -> Path:
    """Where the built-in encoder is."""
    return Path(__file__).with_name("builtin.safetensors")


def builtin_heads() -> Path:
    """Where the heads of the built-in encoder are."""
    return Path(__file__).with_name("builtin.heads.safetensors")
