"""Fit the heads of the built-in encoder: ``heads.py RUN --corpus MANIFEST ROOT …``; writes heads.json beside this file.

What is learned are not the teacher's tags but words made of them (`GENRES`, `MOODS`, `AFFECT`). A tag counts by how far
it is above its usual level in the examples, so that rare ones count too. Genres exclude each other: a softmax of the
strongest tag of each. Moods do not: each is the mean of its tags, standardised, on a scale where it holds of a quarter
of the examples. Fitted on vectors of examples and of means of several examples of one track, as tracks are; calibrated
on tracks of the split valid, which neither encoder nor heads learn from, against the teacher's outputs for them.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from examples import DTYPE, RATE, SECONDS
from torch import Tensor

from mirclr.audio import read_excerpts
from mirclr.audio.mel import LogMel
from mirclr.classify import Head, Heads
from mirclr.data.examples import ExampleFolder
from mirclr.data.manifest import read_manifest
from mirclr.errors import MirclrError
from mirclr.metrics import expected_calibration_error
from mirclr.models.checkpoint import load_checkpoint
from mirclr.models.embedder import Embedder
from mirclr.models.encoder import TrackPooling
from mirclr.models.pretrained import NAME, builtin_checkpoint, builtin_heads
from mirclr.provenance import digest_bytes, stamp
from mirclr.training.teacher import Teacher, load_teacher

HERE = Path(__file__).parent
MARK = {"musicnn-msd": "", "musicnn-mtt": ":"}  # before the tags of each network, below
GENRES = {
    "rock": "rock, classic rock, hard rock, Progressive rock, :rock",
    "indie & alternative": "alternative, indie, alternative rock, indie rock, indie pop",
    "pop": "pop, :pop",
    "metal": "metal, heavy metal, :metal",
    "punk": "punk",
    "electronic": "electronic, electronica, electro, :electronic",
    "dance & house": "dance, House, :dance",
    "techno": ":techno",
    "ambient": "ambient, chillout, :ambient",
    "new age": ":new age",
    "jazz": "jazz",
    "blues": "blues",
    "soul & R&B": "soul, rnb",
    "funk": "funk",
    "hip-hop": "Hip-Hop",
    "folk": "folk",
    "country": "country",
    "classical": ":classical, :violin, :cello, :harpsichord",
    "opera & choral": ":opera, :choral, :choir",
    "Indian": ":indian, :sitar",
    "experimental": "experimental, :weird",
}
MOODS = {
    "happy": "happy",
    "sad": "sad",
    "mellow": "Mellow",
    "chill": "chill, chillout",
    "party": "party",
    "sexy": "sexy",
    "beautiful": "beautiful",
    "catchy": "catchy",
    "energetic": ":fast, :loud, dance",
    "aggressive": "metal, heavy metal, hard rock, punk, :loud",
    "calm": ":quiet, :soft, :slow",
    "dreamy": "ambient, chillout, :new age, :ambient",
}
AFFECT = {
    "valence": ("happy, party, catchy, dance, funk, :fast", "sad, ambient, experimental, :slow, :weird"),
    "arousal": (":fast, :loud, party, dance, punk, hard rock", ":slow, :quiet, :soft, Mellow, ambient, beautiful"),
}
LIFT = 0.25  # how much of a tag's usual level is taken off for a genre
HEAT = 0.5  # temperature of the genres' softmax; at 1 classical music came out right, but with half the confidence
QUARTER = -1.1  # logit of 1/4
SLOPE = 1.2  # of moods and affect in standard deviations
GROUP = 8  # examples of a track whose mean stands for it
ABSTAIN = 0.3
PENALTY = 1e-4


class Words:
    """Targets of genre, mood and affect from the 100 tag logits of musicnn, as both networks have them."""

    def __init__(self, logits: Tensor, tags: Sequence[str]) -> None:
        self.at = {MARK[tag.partition(": ")[0]] + tag.partition(": ")[2]: i for i, tag in enumerate(tags)}
        self.mean, self.std = logits.mean(dim=0), logits.std(dim=0)

    def _columns(self, words: str) -> list[int]:
        return [self.at[word.strip()] for word in words.split(",")]

    def genre(self, logits: Tensor) -> Tensor:
        """(n, 100) -> (n, C) rows that add up to 1."""
        lifted = logits - LIFT * self.mean
        strongest = [lifted[:, self._columns(words)].amax(dim=1) for words in GENRES.values()]
        return torch.softmax(torch.stack(strongest, dim=1) / HEAT, dim=1)

    def mood(self, logits: Tensor) -> Tensor:
        """(n, 100) -> (n, 12) in [0, 1]."""
        standard = (logits - self.mean) / self.std
        means = torch.stack([standard[:, self._columns(words)].mean(dim=1) for words in MOODS.values()], dim=1)
        return torch.sigmoid(SLOPE * means + QUARTER)

    def affect(self, logits: Tensor) -> Tensor:
        """(n, 100) -> (n, 2) in [0, 1]."""
        standard = (logits - self.mean) / self.std
        sides = [
            standard[:, self._columns(high)].mean(dim=1) - standard[:, self._columns(low)].mean(dim=1)
            for high, low in AFFECT.values()
        ]
        return torch.sigmoid(SLOPE * torch.stack(sides, dim=1))

    def all(self, logits: Tensor) -> dict[str, Tensor]:
        """By task."""
        return {"genre": self.genre(logits), "mood": self.mood(logits), "affect": self.affect(logits)}


TASKS = {"genre": ("one", tuple(GENRES)), "mood": ("many", tuple(MOODS)), "affect": ("many", tuple(AFFECT))}


@torch.inference_mode()
def embedded(encoder: torch.nn.Module, mel: Tensor) -> Tensor:
    """(n, F, T) float32 -> (n, D)."""
    with torch.autocast("cpu", DTYPE, enabled=torch.float32 != DTYPE):
        return torch.cat([encoder(part).float() for part in mel.split(128)])


def read_examples(folder: ExampleFolder, encoder: torch.nn.Module) -> dict[str, Tensor]:
    """Vectors, tag logits and the main track of each example, -1 for a mixed one."""
    parts: dict[str, list[Tensor]] = {"vectors": [], "tags": [], "track": []}
    for rows in folder.shards():
        fraction, track = (torch.from_numpy(rows[name].copy()) for name in ("fraction", "track"))
        parts["tags"].append(folder.split(rows["outputs"])[0])
        parts["vectors"].append(embedded(encoder, folder.log_mel(rows)))
        parts["track"].append(torch.where(fraction[:, 0].float() > 0.99, track[:, 0], -1).long())
    return {key: torch.cat(found) for key, found in parts.items()}


def grouped(
    examples: dict[str, Tensor], targets: dict[str, Tensor], pooling: TrackPooling
) -> tuple[Tensor, dict[str, Tensor]]:
    """Vectors and mean targets of `GROUP` unmixed examples of a track."""
    order = examples["track"].argsort(stable=True)
    order = order[examples["track"][order] >= 0]
    tracks = examples["track"][order]
    firsts = torch.searchsorted(tracks, tracks)
    rank = torch.arange(len(tracks)) - firsts
    keys = torch.unique(tracks * 10_000 + rank // GROUP, return_inverse=True)[1]

    def means(x: Tensor) -> Tensor:
        count = torch.bincount(keys).clamp(min=1)[:, None]
        return torch.zeros(int(keys.max()) + 1, x.shape[1]).index_add_(0, keys, x[order]) / count

    parts = examples["vectors"][order].split(torch.bincount(keys).tolist())
    return torch.stack([pooling(part) for part in parts]), {task: means(t) for task, t in targets.items()}


@torch.inference_mode()
def valid_tracks(
    corpora: list[list[Path]], teacher: Teacher, embedder: Embedder, words: Words
) -> tuple[Tensor, dict[str, Tensor]]:
    """Unit vectors, as `mirclr embed` makes them, and mean targets by the teacher, of music of the split valid."""
    vectors, targets, front_end = [], [], LogMel.of(teacher.mel, teacher.rate)
    for manifest, root in corpora:
        for track in read_manifest(manifest):
            if track.split != "valid" or (track.source or {}).get("kind") == "voice":
                continue
            try:
                own = read_excerpts(
                    root / track.path, count=embedder.excerpts, seconds=embedder.seconds, rate=RATE
                ).waveforms
                excerpts = read_excerpts(root / track.path, count=10, seconds=SECONDS, rate=RATE).waveforms
            except MirclrError as error:
                print(f"left out: {error}", flush=True)
                continue
            vectors.append(torch.from_numpy(embedder.embed_track(own)))
            logits, _ = teacher(front_end(torch.from_numpy(excerpts)))
            targets.append({task: t.mean(dim=0) for task, t in words.all(logits).items()})
    return torch.stack(vectors), {task: torch.stack([t[task] for t in targets]) for task in targets[0]}


def fit(kind: str, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (C, D) and biases (C,) of a softmax or of sigmoids on unit vectors, by L-BFGS."""
    weight = torch.zeros(target.shape[1], x.shape[1], requires_grad=True)
    bias = torch.zeros(target.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=150, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = F.linear(x, weight, bias)
        if kind == "one":
            found = -(target * F.log_softmax(logits, dim=1)).sum(dim=1).mean()
        else:
            found = F.binary_cross_entropy_with_logits(logits, target)
        found = found + PENALTY * weight.square().sum() / len(weight)
        found.backward()
        return found

    optimizer.step(loss)
    return weight.detach(), bias.detach()


def reliability(kind: str, p: Tensor, target: Tensor, bins: int = 10) -> dict[str, object]:
    """Expected calibration error of all probabilities against the fractions by the teacher, and its bins."""
    p, target = p.flatten(), target.flatten()
    ece = expected_calibration_error(p.numpy(), target.numpy(), bins=bins)
    where = (p * bins).long().clamp(max=bins - 1)
    rows = [
        (float(p[where == b].mean()), float(target[where == b].mean()), int((where == b).sum()))
        for b in range(bins)
        if bool((where == b).any())
    ]
    return {"ece": ece, "bins": rows}


def main() -> None:
    """Fit, calibrate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--corpus", action="append", nargs=2, metavar=("MANIFEST", "ROOT"), type=Path, required=True)
    parser.add_argument("--encoder", type=Path, default=builtin_checkpoint())
    parser.add_argument("--output", type=Path, default=builtin_heads())
    parser.add_argument("--results", type=Path, default=HERE / "heads.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    read, folder = load_checkpoint(asked.encoder), ExampleFolder.read(asked.run / "examples")
    examples = read_examples(folder, read.model.encoder)
    names = [tag for tag in folder.header.tags if tag.partition(": ")[0] in MARK]  # musicnn's, which come first
    examples["tags"] = examples["tags"][:, : len(names)]
    words = Words(examples["tags"], names)
    single = words.all(examples["tags"])
    pooling = read.model.pooling
    with torch.no_grad():
        tracks, of_tracks = grouped(examples, single, pooling)
        x = torch.cat([pooling.alone(examples["vectors"]), tracks, tracks])
    valid, truth = valid_tracks(asked.corpus, load_teacher("musicnn"), Embedder.load(asked.encoder), words)
    heads, figures = Heads(abstain=ABSTAIN), {}
    for task, (kind, labels) in TASKS.items():
        target = torch.cat([single[task], of_tracks[task], of_tracks[task]])
        weight, bias = fit(kind, x, target)
        logits = F.linear(valid, weight, bias)
        heats = torch.logspace(-0.7, 0.7, 57)
        likelihood = [_cross_entropy(kind, logits / h, truth[task]) for h in heats]
        heat = float(heats[int(np.argmin(likelihood))])
        p = torch.softmax(logits / heat, dim=1) if kind == "one" else torch.sigmoid(logits / heat)
        correlation = [float(np.corrcoef(p[:, i], truth[task][:, i])[0, 1]) for i in range(len(labels))]
        figures[task] = {
            "tracks": len(valid),
            "temperature": heat,
            "r": dict(zip(labels, correlation, strict=True)),
            "top_agreement": float((p.argmax(1) == truth[task].argmax(1)).float().mean()),
            **reliability(kind, p, truth[task]),
        }
        heats_of = np.full(len(labels), heat, np.float32)
        heads.tasks[task] = Head(kind, labels, weight.numpy(), bias.numpy(), heats_of)
    heads.encoder = {"digest": read.digest, "name": NAME, "dim": pooling.dim}
    heads.training = digest_bytes(x.numpy().tobytes())
    heads.provenance = stamp(encoder=read.digest, training=heads.training)
    heads.save(asked.output)
    asked.results.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    for task, f in figures.items():
        print(task, {k: (round(v, 3) if isinstance(v, float) else v) for k, v in f.items() if k not in ("bins", "r")})


def _cross_entropy(kind: str, logits: Tensor, target: Tensor) -> float:
    if kind == "one":
        return float(-(target * F.log_softmax(logits, dim=1)).sum(dim=1).mean())
    return float(F.binary_cross_entropy_with_logits(logits, target))


if __name__ == "__main__":
    main()
