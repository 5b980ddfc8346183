"""Measure an encoder beside its teachers: ``measure.py RUN --encoder E --music DIR --labels CSV [--score SCORE.py] …``.

The encoder embeds a track as it always does; both musicnn networks and MFCC statistics take ten excerpts of 3 s. MUSIC
and LABELS.csv are labelled music that is never trained on; SCORE.py is another scorer, called as SCORE.py LABELS.csv
VECTORS.npz --json. Composers of tracks of the split valid are compared within their own package, where codec and
mastering are the same. Of the encoder also: how similar its tracks stay at other levels and with noise, and how often
its heads answer with a genre that the labels' own, taken broadly, allows; how well their moods agree with those of the
labels. Writes results.json beside this file.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from examples import RATE, SECONDS

from mirclr.audio import read_excerpts
from mirclr.audio.mel import LogMel
from mirclr.classify import Heads, Labels, cross_validate, read_labels
from mirclr.classify.heads import UNKNOWN
from mirclr.data.manifest import read_manifest
from mirclr.evaluation.probes import mfcc_statistics, z_scored
from mirclr.metrics import retrieval
from mirclr.models.embedder import Embedder
from mirclr.models.pretrained import builtin_heads, checkpoint_named
from mirclr.training.teacher import Teacher, load_teacher

HERE = Path(__file__).parent
COUNT = 10  # as the published figures of the teachers
LEVELS_DB = (-6, -12)
NOISE_DB = -20  # of white noise, by the music
BROADLY = {
    "rock": "rock, indie & alternative, metal, punk, blues",
    "pop": "pop, indie & alternative, rock, dance & house, soul & R&B, folk, country",
    "electronic": "electronic, dance & house, techno, ambient, new age, experimental",
    "classical": "classical, opera & choral",
}
FELT = {  # moods, valence and arousal of the heads, and what listeners say that should rise, and fall, with them
    "happy": ("joyful_activation", ""),
    "sad": ("sadness", ""),
    "calm": ("calmness", ""),
    "mellow": ("tenderness", ""),
    "energetic": ("power", ""),
    "aggressive": ("tension", ""),
    "valence": ("joyful_activation", "sadness"),
    "arousal": ("power", "calmness"),
}


@torch.inference_mode()
def vectors_of(files: list[Path], embedder: Embedder, teacher: Teacher, cache: Path) -> dict[str, np.ndarray]:
    """Vectors of tracks, by what made them; those of teachers and MFCC are computed once and cached."""
    front_end = LogMel.of(teacher.mel, teacher.rate)
    known = dict(np.load(cache)) if cache.exists() else {}
    rows: dict[str, list[np.ndarray]] = {"builtin": [], "musicnn_msd": [], "musicnn_both": [], "mfcc": []}
    for file in files:
        own = read_excerpts(file, count=embedder.excerpts, seconds=embedder.seconds, rate=RATE).waveforms
        rows["builtin"].append(embedder.embed_track(own))
        for db in LEVELS_DB:
            rows.setdefault(f"{db} dB", []).append(embedder.embed_track(own * 10 ** (db / 20)))
        noise = (
            np.random.default_rng(0).standard_normal(own.shape) * np.sqrt(np.square(own).mean()) * 10 ** (NOISE_DB / 20)
        )
        rows.setdefault(f"noise at {NOISE_DB} dB", []).append(embedder.embed_track((own + noise).astype(np.float32)))
        if not known:
            waveforms = read_excerpts(file, count=COUNT, seconds=SECONDS, rate=RATE).waveforms
            embedding = teacher(front_end(torch.from_numpy(waveforms)))[1].mean(dim=0).numpy()
            rows["musicnn_both"].append(embedding)
            rows["musicnn_msd"].append(embedding[:200])
            rows["mfcc"].append(mfcc_statistics(waveforms, RATE))
    found = {name: np.stack(part) for name, part in rows.items() if part}
    if not known:
        np.savez(cache, **{name: x for name, x in found.items() if name != "builtin" and " dB" not in name})
    return known | found


def levels(found: dict[str, np.ndarray]) -> dict[str, float]:
    """Takes the vectors of changed tracks out; mean cosine of each with the track as it is."""
    names = [name for name in found if " dB" in name]
    return {name: round(float((found["builtin"] * found.pop(name)).sum(axis=1).mean()), 4) for name in names}


def broad_genres(vectors: np.ndarray, labelled: list[str]) -> dict[str, float]:
    """Fraction of tracks to which the heads give a genre, and of those the fraction with one that `BROADLY` allows."""
    predicted = np.array(Heads.load(builtin_heads()).predict(vectors))
    answered = predicted != UNKNOWN
    right = [name in BROADLY[label].split(", ") for name, label in zip(predicted, labelled, strict=True)]
    return {
        "answered": round(float(answered.mean()), 4),
        "rightly": round(float(np.array(right)[answered].mean()), 4),
    }


def felt(vectors: np.ndarray, labels: Labels) -> dict[str, float]:
    """Correlation of the heads' moods with those of the labels, by `FELT`."""
    heads = Heads.load(builtin_heads())
    predicted = heads.predict_proba(vectors)
    fractions = dict(zip(labels.moods, labels.fractions.T, strict=True)) | {"": np.zeros(len(vectors))}
    found = {}
    for word, (rises, falls) in FELT.items():
        task = "mood" if word in heads.tasks["mood"].labels else "affect"
        p = predicted[task][:, heads.tasks[task].labels.index(word)]
        found[word] = round(float(np.corrcoef(p, fractions[rises] - fractions[falls])[0, 1]), 3)
    return found


def scored(vectors: np.ndarray, names: list[str], labels: Path, score: Path, run: Path) -> dict[str, float]:
    """The other scorer's figures."""
    file = run / "scored.npz"
    np.savez(file, ids=np.array(names), vectors=vectors)
    done = subprocess.run(
        [sys.executable, str(score), str(labels), str(file), "--json"], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return {key: round(found[key], 4) for key in ("genre_accuracy", "mood_r", "artist_map", "artist_map_raw")}


def probed(vectors: np.ndarray, labels: Labels) -> dict[str, float]:
    """What ``mirclr evaluate probe`` says of the vectors: genre accuracy, and Pearson's r of moods on average."""
    scores = cross_validate(vectors, labels)
    genre = next(s for s in scores if s.task == "genre").values["accuracy"]
    moods = next(s for s in scores if s.label == "mean").values["pearson_r"]
    assert genre is not None
    assert moods is not None
    return {"genre_accuracy": round(genre, 4), "mood_r": round(moods, 4)}


def composers(vectors: np.ndarray, artists: list[str], packages: list[str]) -> dict[str, float]:
    """Same-artist mean average precision, of all tracks together and within each package, averaged over queries."""
    every = retrieval(z_scored(vectors), artists, k=5)
    within, queries = 0.0, 0
    for package in set(packages):
        rows = [i for i, p in enumerate(packages) if p == package]
        names = [artists[i] for i in rows]
        if len({n for n in names if n}) > 1:
            found = retrieval(z_scored(vectors[rows]), names, k=5)
            if found.queries:
                within, queries = within + found.map * found.queries, queries + found.queries
    return {"artist_map": round(every.map, 4), "within_package_map": round(within / queries, 4), "queries": queries}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--music", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--score", type=Path)
    parser.add_argument("--corpus", action="append", nargs=2, metavar=("MANIFEST", "ROOT"), type=Path, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    embedder, teacher = Embedder.load(checkpoint_named(asked.encoder)), load_teacher("musicnn")
    excerpts = {"excerpts": embedder.excerpts, "seconds": embedder.seconds}
    results: dict[str, Any] = {"encoder": embedder.stamp.digest, "hears": excerpts}
    if asked.score:
        labels = read_labels(asked.labels)
        names = list(labels.files)
        files = [asked.music / name for name in names]
        found = vectors_of(files, embedder, teacher, asked.run / "labelled.npz")
        results["levels"] = levels(found)
        results["genres"] = broad_genres(found["builtin"], labels.genre.tolist())
        results["felt"] = felt(found["builtin"], labels)
        results["labelled"] = {n: scored(x, names, asked.labels, asked.score, asked.run) for n, x in found.items()}
        results["probed"] = {n: probed(x, labels) for n, x in found.items()}
    tracks = [
        (root / t.path, t.artist or "", str(t.album))
        for manifest, root in asked.corpus
        for t in read_manifest(manifest)
        if t.split == "valid" and (t.source or {}).get("kind") != "voice"
    ]
    there = [t for t in tracks if t[0].exists()]
    found = vectors_of([t[0] for t in there], embedder, teacher, asked.run / "valid.npz")
    levels(found)
    artists, packages = [t[1] for t in there], [t[2] for t in there]
    results["composers"] = {name: composers(x, artists, packages) for name, x in found.items()}
    text = json.dumps(results, indent=1, sort_keys=True) + "\n"
    (HERE / "results.json").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
