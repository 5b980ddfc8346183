"""What is run in worker processes, which import this module: no torch here."""

from pathlib import Path

import numpy as np
import soundfile

from mirclr.audio import decode_blocks
from mirclr.errors import AudioError


def decode_whole(file: Path) -> int:
    """Decode a file, block by block, at its own rate, and do nothing else; returns how many frames it holds."""
    with soundfile.SoundFile(file) as source:
        return sum(len(block) for block in source.blocks(10 * source.samplerate, dtype="float32"))


def decode_at(file: Path, rate: int) -> np.ndarray | None:
    """The whole file, mono, at `rate`; None where it cannot be decoded."""
    try:
        return np.concatenate(list(decode_blocks(file, rate=rate)))
    except AudioError:
        return None
