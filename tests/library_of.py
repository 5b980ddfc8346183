"""A library of songs that were never audio: tags and vectors as a test wants them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import mirclr
from mirclr.library import Entry
from mirclr.models.stamp import EncoderStamp
from mirclr.tags import Tags

ROOT = os.path.abspath(os.sep + "music")
DIM = 8


def library_of(
    folder: Path,
    tags: Sequence[dict[str, Any]],
    *,
    vectors: np.ndarray | None = None,
    durations: Sequence[float] | None = None,
) -> mirclr.Library:
    """An open library of a song for each of `tags`, with ids from 1; vectors at random unless given."""
    library = mirclr.Library.open(folder / "lib.db", create=True)
    if vectors is None:
        vectors = np.random.default_rng(len(tags)).standard_normal((len(tags), DIM))
    library.bind(EncoderStamp("d" * 32, "a.safetensors", vectors.shape[1], 8, {}))
    library.write(
        entries=[
            Entry(
                ROOT,
                f"{n:03d}.mp3",
                1,
                1,
                f"f{n}",
                f"a{n}",
                durations[n] if durations is not None else 100.0 + n,
                Tags(**one),
                vectors[n].astype(np.float32),
            )
            for n, one in enumerate(tags)
        ]
    )
    return library
