"""Small files that mirclr itself keeps: a library with its index, a checkpoint, heads."""

import os
from pathlib import Path

import numpy as np
import torch

from mirclr.config import parse_recipe
from mirclr.index import open_index
from mirclr.library import Description, Entry, ExcerptEmbeddings, Failure, LibraryStore, Listen
from mirclr.models.checkpoint import save_checkpoint
from mirclr.models.encoder import Model
from mirclr.models.pretrained import builtin_heads
from mirclr.models.stamp import EncoderStamp
from mirclr.tags import Tags
from tests.fuzz.music import make_music

DIM = 8
ENCODER = "_tiny.safetensors"
ROOT = os.path.abspath(os.sep + "music")
TINY = """
name: tiny
data: {train: tracks.jsonl}
audio: {clip_seconds: 1.0}
mel: {n_mels: 24}
encoder: {name: resnet, widths: [4, 8], blocks: [1, 1], dim: 8}
projector: {hidden: 8, dim: 4}
training: {precision: float32}
embedding: {excerpts: 3}
"""


def make_library(folder: Path) -> None:
    """A library of thirty tracks with all that a person keeps in one, and its index."""
    chance = np.random.default_rng(0)
    path = folder / "library.db"
    with LibraryStore.open(path, create=True) as library:
        library.bind(EncoderStamp("0123abcd" * 4, "builtin", DIM, 8, {"audio": {"rate": 16000}}))
        library.write(
            entries=[
                Entry(
                    *(ROOT, f"{i % 4}/{i}.ogg", 1000 + i, i, f"f{i}", f"a{i}", 100.0 + i),
                    Tags(
                        title=f"Song {i}", artist=f"Artist {i % 7}", album=f"Album {i % 5}", genre="rock", year=1990 + i
                    ),
                    chance.standard_normal(DIM).astype(np.float32),
                    ExcerptEmbeddings.of(np.arange(4.0), chance.standard_normal((4, DIM)).astype(np.float32)),
                )
                for i in range(30)
            ],
            failures=[Failure(ROOT, "broken.mp3", 9, 9, "broken.mp3: not audio")],
        )
        ids = library.ids().tolist()
        library.store_probabilities("genre", {i: {"rock": 0.7, "pop": 0.3} for i in ids}, "heads")
        library.store_descriptions({i: Description(120.0, "Am", 0.8, -14.0) for i in ids[:20]})
        library.add_blocks(["artist:Artist 3"])
        library.save_playlist("evening", {"query": {"seeds": ["Song 1"]}, "output": None})
        library.store_listens("anna", [Listen("Artist 1", "Song 1", plays=3, last_s=1.6e9)], replace=True)
        open_index(library)


def make_library_alone(folder: Path) -> None:
    """The same without its index."""
    make_library(folder)
    (folder / "library.db.index").unlink()


def make_index(folder: Path) -> None:
    """The index of that library, which stands beside it."""
    make_library(folder)
    (folder / "library.db").rename(folder / "_library.db")


def make_checkpoints(folder: Path) -> None:
    """A tiny encoder of random weights."""
    torch.manual_seed(0)
    save_checkpoint(folder / "tiny.safetensors", Model(parse_recipe(TINY)), {})


def make_encoder_and_music(folder: Path) -> None:
    """That encoder, and what it is to hear."""
    make_checkpoints(folder)
    (folder / "tiny.safetensors").rename(folder / ENCODER)
    make_music(folder)


def make_heads(folder: Path) -> None:
    """The heads that mirclr comes with."""
    (folder / "builtin.heads.safetensors").write_bytes(builtin_heads().read_bytes())
