"""Train and measure the runs of frameworks.yaml: ``run.py RUNS --music DIR --labels CSV [--score SCORE.py]``.

Each run is trained and measured once; what is done is not done again, and what was stopped is resumed. Runs stand side
by side in processes of one thread, which is faster for small networks than one run on all cores. Writes results.json
beside this file after each run.

MUSIC and LABELS.csv are labelled music that is never trained on, as `mirclr evaluate` takes it. SCORE.py is another
scorer, called as SCORE.py LABELS.csv VECTORS.npz --json, whose figures are stored too.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import yaml

HERE = Path(__file__).parent
TEACHER = "musicnn-msd"
RATE = 16_000  # of the recipe
GROUPS = ("frameworks", "hours", "attempts")


@dataclass(frozen=True)
class Measure:
    """What encoders are measured on."""

    music: Path
    labels: Path
    score: Path | None


def mirclr(*arguments: object) -> str:
    """Run a command of mirclr on one thread; gives what it printed."""
    run = [sys.executable, "-m", "mirclr", *map(str, arguments)]
    # glibc would give the memory of each large tensor back, and fault it in again at the next step
    keep_memory = {f"MALLOC_{what}_THRESHOLD_": str(1 << 32) for what in ("MMAP", "TRIM")}
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} | keep_memory
    done = subprocess.run(run, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(run)}: ended with {done.returncode}")
    return done.stdout


def decoded(on: Measure, runs: Path) -> Measure:
    """Decode the labelled music once for all encoders, to wav in files of the same names."""
    from mirclr.audio import decode_blocks, write_wav
    from mirclr.classify import read_labels

    copies = runs / "music"
    for name in read_labels(on.labels).files:
        copy = copies / name
        if not copy.exists():
            waveform = np.concatenate(list(decode_blocks(on.music / name, rate=RATE)))
            write_wav(copy.with_name(f"{copy.name}.part"), waveform, RATE)
            copy.with_name(f"{copy.name}.part").replace(copy)
    return Measure(copies, on.labels, on.score)


def planned() -> dict[str, Any]:
    """frameworks.yaml."""
    found: dict[str, Any] = yaml.safe_load((HERE / "frameworks.yaml").read_text(encoding="utf-8"))
    return found


def train(name: str, settings: list[str], seed: int, runs: Path) -> Path:
    """Train one run, or resume it; gives its encoder."""
    run = runs / f"{name}-{seed}"
    encoder = run / "encoder.safetensors"
    if not encoder.exists():
        sets = [s.replace("LABELS", str((runs / "labels").resolve())) for s in settings]
        options = [part for s in (f"seed={seed}", *sets) for part in ("--set", s)]
        mirclr("train", HERE / "recipe.yaml", "-o", run, "--resume", "--workers", 1, "--json", *options)
    return encoder


def measure(encoder: Path, on: Measure) -> dict[str, Any]:
    """Embed the labelled music and measure the vectors; gives the figures of all scorers."""
    figures = encoder.parent / "figures.json"
    if not figures.exists():
        library, vectors = encoder.parent / "measured.db", encoder.parent / "vectors.npz"
        mirclr("embed", on.music, "--library", library, "--checkpoint", encoder, "--workers", 1, "--json")
        mirclr("export", "--library", library, "--vectors", vectors)
        found = {}
        for kind in ("retrieval", "probe"):
            options = ("--library", library, "--labels", on.labels, "--no-baselines", "--json")
            found[kind] = json.loads(mirclr("evaluate", kind, *options))["rows"]
        found["score"] = scored(vectors, on)
        figures.write_text(json.dumps(found), encoding="utf-8")
    scores: dict[str, Any] = json.loads(figures.read_text(encoding="utf-8"))
    return scores


def scored(vectors: Path, on: Measure) -> dict[str, Any] | None:
    """The figures of the other scorer."""
    if on.score is None:
        return None
    run = [sys.executable, str(on.score), str(on.labels), str(vectors), "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(run, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{on.score}: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def in_short(figures: dict[str, Any]) -> dict[str, float]:
    """Genre accuracy, mean mood correlation, same-artist mAP and hit@5 (z-scored) by `mirclr evaluate`."""
    probe = {(f["task"], f["label"]): f["values"] for f in figures["probe"][0]["figures"]}
    artist = next(r for r in figures["retrieval"] if r["relevant"] == "same artist")
    short = {
        "genre_accuracy": probe["genre", ""]["accuracy"],
        "mood_r": probe["mood", "mean"]["pearson_r"],
        "artist_map": artist["map_z"],
        "artist_hit5": artist["hit_z"],
    }
    if figures["score"]:
        short |= {f"score_{k}": figures["score"][k] for k in ("genre_accuracy", "mood_r", "artist_map")}
    return short


def baselines(encoder: Path, on: Measure, runs: Path, seeds: list[int]) -> dict[str, Any]:
    """The same network with random weights, MFCC statistics and chance, measured the same way."""
    cache = runs / "baselines.json"
    if cache.exists():
        found: dict[str, Any] = json.loads(cache.read_text(encoding="utf-8"))
        return found
    from mirclr.audio.decoding import decode_files
    from mirclr.classify import cross_validate, labelled_by_file, read_labels
    from mirclr.evaluation.probes import Features, mfcc_statistics, retrieval_rows
    from mirclr.library import LibraryStore
    from mirclr.models.embedder import Embedder

    with LibraryStore.open(encoder.parent / "measured.db") as library:
        labelled, stamp = labelled_by_file(library, read_labels(on.labels)), library.stamp
    assert stamp is not None
    untrained = {
        f"seed {s}": Embedder.with_random_weights(stamp.recipe, excerpts=stamp.excerpts, seed=s) for s in seeds
    }
    one = next(iter(untrained.values()))
    rows: dict[str, list[np.ndarray]] = {name: [] for name in (*untrained, "mfcc")}
    for decoded_file in decode_files(
        [t.file for t in labelled.tracks], count=one.excerpts, seconds=one.seconds, rate=one.rate
    ):
        assert decoded_file.excerpts is not None, decoded_file.error
        waveforms = decoded_file.excerpts.waveforms
        rows["mfcc"].append(mfcc_statistics(waveforms, one.rate))
        for name, embedder in untrained.items():
            rows[name].append(embedder.embed_track(waveforms))
    out: dict[str, list[dict[str, float]]] = {"random_weights": [], "mfcc": [], "chance": []}
    truth = labelled.labels
    for name, vectors in rows.items():
        matrix, file = np.stack(vectors), runs / f"baseline-{name.replace(' ', '-')}.npz"
        np.savez(file, ids=np.array([t.path for t in labelled.tracks], dtype=str), vectors=matrix)
        figures = cross_validate(matrix, truth)
        found = retrieval_rows([Features(name, matrix)], truth.artist_keys, truth.album, truth.genre)
        plain = [vars(f) for f in figures]
        all_figures = {"probe": [{"figures": plain}], "retrieval": [vars(r) for r in found], "score": scored(file, on)}
        out["mfcc" if name == "mfcc" else "random_weights"].append(in_short(all_figures))
        by = {(f.task, f.label): f.chance for f in figures}
        artist = next(r for r in found if (r.relevant, r.features) == ("same artist", "chance"))
        chance = {
            "genre_accuracy": by["genre", ""]["accuracy"],
            "mood_r": by["mood", "mean"]["pearson_r"],
            "artist_map": artist.map_z,
            "artist_hit5": artist.hit_z,
        }
        out["chance"] = [{k: float(v or 0.0) for k, v in chance.items()}]
    cache.write_text(json.dumps(out), encoding="utf-8")
    return out


def hours_of(run: Path) -> float:
    """Hours of music that a run learned from, by its manifest's durations."""
    from mirclr.config import read_recipe
    from mirclr.data.clips import tracks_of
    from mirclr.data.sampling import TRAINED_ON, part_of

    recipe = read_recipe(run / "recipe.yaml")
    tracks, _ = tracks_of(recipe.data.train, run, splits=TRAINED_ON)
    return sum(t.duration_s or 0.0 for t in part_of(tracks, recipe.data.fraction)) / 3600


def main() -> None:
    """Do what is left to do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of the training runs")
    parser.add_argument("--music", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--score", type=Path)
    parser.add_argument("--only", help="names of frameworks, with commas between")
    parser.add_argument("--side-by-side", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    plan, on = planned(), Measure(asked.music, asked.labels, asked.score)
    wanted = set(asked.only.split(",")) if asked.only else None
    jobs = [
        (group, name, details, seed)
        for group in GROUPS
        for seed in plan[group]["seeds"]
        for name, details in plan[group]["runs"].items()
        if wanted is None or name in wanted
    ]
    asked.runs.mkdir(parents=True, exist_ok=True)
    mirclr("corpus", "fetch", "debian-games")
    if any("LABELS" in s for _, _, d, _ in jobs for s in d["set"]):
        mirclr("teacher", "import", "musicnn")
        output = mirclr("teacher", "label", "debian-games", "-o", asked.runs / "labels", "--teacher", TEACHER, "--json")
        labelled = json.loads(output)
        keep(held() | {"teacher": {key: labelled[key] for key in ("teacher", "tracks", "windows", "alike")}})
    on = decoded(on, asked.runs)
    lock, failed = Lock(), []

    def do(job: tuple[str, str, dict[str, Any], int]) -> None:
        group, name, details, seed = job
        try:
            encoder = train(name, details["set"], seed, asked.runs)
            figures = measure(encoder, on)
        except RuntimeError as error:
            failed.append(f"{name}, seed {seed}: {error}")
            print(failed[-1], file=sys.stderr, flush=True)
            return
        with lock:
            write(group, name, details, seed, encoder.parent, in_short(figures))
            print(f"{name}, seed {seed}: {in_short(figures)}", flush=True)

    with ThreadPoolExecutor(asked.side_by_side) as pool:
        list(pool.map(do, jobs))
    if failed:
        raise SystemExit("\n".join(failed))
    seeds = plan["frameworks"]["seeds"]
    some = asked.runs / f"nt_xent-{seeds[0]}" / "encoder.safetensors"
    if some.exists():
        measured = baselines(some, on, asked.runs, seeds)
        keep(held() | {"baselines": measured})


def held() -> dict[str, Any]:
    """results.json as it is."""
    file = HERE / "results.json"
    empty: dict[str, Any] = {**{group: {} for group in GROUPS}, "baselines": {}}
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else empty


def keep(results: dict[str, Any]) -> None:
    """Write results.json."""
    text = json.dumps(results, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    (HERE / "results.json").write_text(text, encoding="utf-8")


def write(group: str, name: str, details: dict[str, Any], seed: int, run: Path, short: dict[str, float]) -> None:
    """Put one run's figures into results.json."""
    from mirclr.models.checkpoint import load_checkpoint

    results = held()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    provenance = load_checkpoint(run / "encoder.safetensors").provenance
    entry = results[group].setdefault(name, {"from": details.get("from"), "set": details["set"], "runs": {}})
    entry["runs"][str(seed)] = {
        "figures": {k: round(v, 4) for k, v in short.items()},
        "loss_first": lines[0]["loss"],
        "loss_last": lines[-1]["loss"],
        "steps": lines[-1]["step"],
        "hours": round(hours_of(run), 2),
        "provenance": provenance,
    }
    keep(results)


if __name__ == "__main__":
    main()
