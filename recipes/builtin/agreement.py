"""How well an encoder knows what its teacher knows, by style: ``agreement.py RUN --encoder E [E …] …``.

A linear layer from excerpts' embeddings to the teacher's tags is fitted for each encoder on the distillation examples
of RUN, by ridge regression; so encoders whose own layers are gone are compared too. It then predicts the tags of music
that was not trained on: labelled music by its genres, tracks of the split valid by what they are called. A figure is
Pearson's r between predicted and teacher's logits, each tag centred over all of that music, over the excerpts and tags
of a style. The teacher's tags are kept in RUN. Writes agreement.json beside this file.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from changes import RATE, levelled
from examples import SECONDS

from mirclr.audio import read_excerpts
from mirclr.audio.mel import LogMel
from mirclr.classify import read_labels
from mirclr.data.examples import ExampleFolder
from mirclr.data.manifest import read_manifest
from mirclr.errors import MirclrError
from mirclr.models.checkpoint import load_checkpoint
from mirclr.models.embedder import Embedder
from mirclr.models.encoder import Model
from mirclr.models.pretrained import checkpoint_named
from mirclr.provenance import writing
from mirclr.training.teacher import Teacher, load_teacher

HERE = Path(__file__).parent
COUNT = 5  # excerpts of a track
ROWS = 4096  # examples that the layer is fitted on, at most
RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0)  # of the number of rows
AT_ONCE = 64


def excerpts(file: Path) -> np.ndarray:
    """(n, N) float32 at one level."""
    x = read_excerpts(file, count=COUNT, seconds=SECONDS, rate=RATE).waveforms
    return levelled(x)


@torch.inference_mode()
def teacher_tags(files: dict[str, Path], teacher: Teacher, cache: Path) -> dict[str, np.ndarray]:
    """(n, C) logits of each file's excerpts; kept in ``cache``, a few files at a time."""
    known = dict(np.load(cache)) if cache.exists() else {}
    front_end = LogMel.of(teacher.mel, teacher.rate)
    missing = [name for name in files if name not in known]
    for i, name in enumerate(missing):
        try:
            known[name] = teacher(front_end(torch.from_numpy(excerpts(files[name]))))[0].numpy()
        except MirclrError as error:
            print(f"left out: {error}", flush=True)
        if i % 20 == 19 or i == len(missing) - 1:
            with writing(cache) as f:
                np.savez(f, **known)
    return {name: known[name] for name in files if name in known}


@torch.inference_mode()
def embedded(model: Model, log_mel: torch.Tensor) -> np.ndarray:
    """(n, F, T) -> (n, D) as the encoder gives them."""
    return torch.cat([model.encoder(part).float() for part in log_mel.split(AT_ONCE)]).numpy()


def fitted(x: np.ndarray, y: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, D) and (n, C), (n,) which rows choose the strength -> weights (D, C), biases (C,)."""
    mean, std = x.mean(axis=0), x.std(axis=0) + 1e-6
    z, best, found = (x - mean) / std, -np.inf, (np.zeros(0), np.zeros(0))
    for strength in RIDGES:
        a, b = z[~held], y[~held] - y[~held].mean(axis=0)
        weight = np.linalg.solve(a.T @ a + strength * len(a) * np.eye(a.shape[1]), a.T @ b)
        score = -float(np.square(z[held] @ weight + y[~held].mean(axis=0) - y[held]).mean())
        if score > best:
            best, found = score, (weight / std[:, None], y[~held].mean(axis=0) - (mean / std) @ weight)
    return found


def agreement(predicted: np.ndarray, taught: np.ndarray, styles: np.ndarray) -> dict[str, float]:
    """(n, C), (n, C), (n,) -> r by style, and of all."""
    p, t = predicted - predicted.mean(axis=0), taught - taught.mean(axis=0)
    r = lambda rows: round(float(np.corrcoef(p[rows].ravel(), t[rows].ravel())[0, 1]), 3)  # noqa: E731
    return {style: r(styles == style) for style in sorted(set(styles.tolist()))} | {"all": r(np.full(len(p), True))}


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="holds examples")
    parser.add_argument("--encoder", type=Path, nargs="*", default=[], help="the one before, and others")
    parser.add_argument("--music", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--corpus", action="append", nargs=2, metavar=("MANIFEST", "ROOT"), type=Path, default=[])
    parser.add_argument("--output", type=Path, default=HERE / "agreement.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    groups: dict[str, tuple[dict[str, Path], dict[str, str]]] = {}
    if asked.labels:
        labels = read_labels(asked.labels)
        names = list(labels.files)
        groups["labelled"] = ({n: asked.music / n for n in names}, dict(zip(names, labels.genre.tolist(), strict=True)))
    for manifest, root in asked.corpus:
        tracks = [t for t in read_manifest(manifest) if t.split == "valid" and (root / t.path).exists()]
        groups[manifest.parent.name] = (
            {t.id: root / t.path for t in tracks},
            {t.id: t.artist or t.album or t.id for t in tracks},
        )
    teacher = load_teacher("musicnn")
    tags = {g: teacher_tags(files, teacher, asked.run / f"tags-{g}.npz") for g, (files, _) in groups.items()}
    folder = ExampleFolder.read(asked.run / "examples")
    rows = np.concatenate(folder.shards())
    rows = rows[np.sort(np.random.default_rng(0).permutation(len(rows))[:ROWS])]
    goal = folder.split(rows["outputs"])[0].numpy()[:, : len(teacher.tags)]
    main_track = rows["track"][np.arange(len(rows)), rows["fraction"].argmax(axis=1)]
    held = main_track % 5 == 0
    results: dict[str, Any] = json.loads(asked.output.read_text(encoding="utf-8")) if asked.output.exists() else {}
    for encoder in asked.encoder:
        read = load_checkpoint(checkpoint_named(encoder))
        embedder = Embedder.of_model(read.model, name=str(encoder), device="cpu")
        weight, bias = fitted(embedded(read.model, folder.log_mel(rows)), goal, held)
        of: dict[str, Any] = {}
        for group, (files, styles) in groups.items():
            there = list(tags[group])
            given = [embedder.levelled(excerpts(files[name])) for name in there]
            mel = [read.model.mel(torch.from_numpy(x)) for x in given]
            predicted = np.concatenate([embedded(read.model, x) @ weight + bias for x in mel])
            style = np.repeat([styles[name] for name in there], [len(x) for x in mel])
            of[group] = agreement(predicted, np.concatenate([tags[group][name] for name in there]), style)
            print(read.digest, group, of[group], flush=True)
        results[read.digest] = of
    if asked.encoder:
        asked.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
