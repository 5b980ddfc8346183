"""Makes what mirclr wrote before an encoder's digest was made of a list of settings: run once, by that mirclr.

A library of schema version 3 with everything in it, two encoders, and heads on the first of them::

    git worktree add ../before 530b0b0 && cd ../before && python ../mirclr/tests/golden/make_of_0_1.py

The library is of the built-in encoder; its root is /music, its files are those of tests/audio. `of_0_1.json` holds the
digests of the encoders, and the vectors that they make of a second of a sine.
"""

import json
import shutil
import sqlite3
import tempfile
from pathlib import Path

import numpy as np
import torch

from mirclr.classify import Heads
from mirclr.classify.heads import Head
from mirclr.config import parse_recipe
from mirclr.ingest.embedding import embed_files, find_audio
from mirclr.library import Description, Failure, Library, Listen
from mirclr.models.checkpoint import load_checkpoint, save_checkpoint
from mirclr.models.embedder import Embedder
from mirclr.models.encoder import Model
from mirclr.models.pretrained import builtin_checkpoint

HERE = Path(__file__).resolve().parent
COMMON = """
name: golden
data: {train: tracks.jsonl}
audio: {clip_seconds: 1.0}
mel: {bands: 24}
projector: {hidden: 8, dim: 4}
training: {precision: float32}
"""
ENCODERS = {
    "resnet": "encoder: {name: resnet, widths: [4, 8], blocks: [1, 1], collapse: 4}\nembedding: {deviation: 0.5}",
    "sample_cnn": "encoder: {name: sample_cnn, widths: [4, 4, 8]}",
}
FILES = {"a.ogg": "gunroar-1.ogg", "b.ogg": "mucade-1.ogg", "sub/c.ogg": "torus-1.ogg", "sub/d.ogg": "torus-2.ogg"}


def make_encoder(name: str) -> dict[str, object]:
    torch.manual_seed(0)
    model = Model(parse_recipe(COMMON + ENCODERS[name]))
    model(torch.randn(8, 16000))  # so that the running statistics are not those of a new model
    path = HERE / f"{name}_0_1.safetensors"
    save_checkpoint(path, model, {"seed": 0})
    sine = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
    vector = Embedder.load(path, device="cpu").embed_track(sine[None])
    return {"digest": load_checkpoint(path).digest, "vector": np.round(vector.astype(float), 6).tolist()}


def make_heads(digest: str, dim: int) -> None:
    rng = np.random.default_rng(0)
    heads = Heads()
    labels = ("dub", "folk", "jazz")
    weight, bias = rng.normal(size=(3, dim)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    heads.tasks["genre"] = Head("one", labels, weight, bias, np.ones(3, np.float32))
    heads.encoder = {"digest": digest, "name": "resnet_0_1.safetensors", "dim": dim}
    heads.save(HERE / "heads_0_1.safetensors")


def make_library() -> None:
    with tempfile.TemporaryDirectory() as folder:
        music, path = Path(folder).resolve() / "music", Path(folder) / "library_v3.db"
        for name, song in FILES.items():
            (music / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(HERE.parent / "audio" / song, music / name)
        with Library.open(path, create=True) as library:
            files, _ = find_audio([music], library)
            list(embed_files(library, files, Embedder.load(builtin_checkpoint(), device="cpu"), workers=1))
            library.write(failures=[Failure(str(music), "bad.ogg", 5, 6, "not audio")])
            library.store_descriptions({1: Description(100.0, "Am", 0.5, -9.0), 3: Description(None, None, 0.0, None)})
            library.store_duplicates({(1, 3): 0.9, (2, 4): 0.1})
            library.store_probabilities("genre", {1: {"rock": 0.75, "dub": 0.25}}, "h" * 32)
            library.add_blocks(["artist:X"])
            library.save_playlist("mine", {"seeds": ["a.ogg"], "n": 3})
            library.store_listens("me", [Listen("A", "T", plays=3, last_s=5.5, taste=1)], replace=True)
        db = sqlite3.connect(path)
        for table in ("track", "failure"):
            db.execute(f"UPDATE {table} SET root = ?", (b"/music",))
        db.execute("UPDATE track SET mtime_ns = 1600000000000000000 + id")
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        shutil.copy(path, HERE / "library_v3.db")


if __name__ == "__main__":
    made = {name: make_encoder(name) for name in ENCODERS}
    make_heads(str(made["resnet"]["digest"]), len(made["resnet"]["vector"]))  # type: ignore[arg-type]
    made["builtin"] = {"digest": load_checkpoint(builtin_checkpoint()).digest}
    (HERE / "of_0_1.json").write_text(json.dumps(made) + "\n", encoding="utf-8")
    make_library()
