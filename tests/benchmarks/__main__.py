"""Slow measurements on real music: ``make bench``, or ``python -m tests.benchmarks [NAME…]``.

Each measurement compares two things in one run, alternating, and reports the median of the ratios, as machines are
shared and noisy. Results are written to tests/benchmarks/results/NAME.json.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from mirclr.audio import decode_blocks
from mirclr.augment import Views
from mirclr.cli.train import TRAINED_ON
from mirclr.clips import Cached, ClipCache, ClipSource, tracks_of
from mirclr.config import Recipe, parse_recipe, read_recipe
from mirclr.corpus import fetch_corpus
from mirclr.embed import Embedder, embed_files, find_audio, hear
from mirclr.encoder import Model
from mirclr.library import Library
from mirclr.manifest import Track
from mirclr.provenance import shipped_dir, stamp
from mirclr.teacher import Told, import_musicnn, label_tracks, load_musicnn
from mirclr.trainer import Trainer
from mirclr.twins import find_twins

RESULTS = Path(__file__).parent / "results"
ROUNDS = 5


def recipe() -> Recipe:
    return read_recipe(shipped_dir("recipes") / "debian_ntxent" / "recipe.yaml", overrides=["check=null"])


def demo_clips(plan: Recipe) -> tuple[ClipCache, list[Cached]]:
    """The demo corpus, decoded into the cache."""
    fetch_corpus("debian-games/demo")
    tracks, root = tracks_of("debian-games/demo", Path(), splits=TRAINED_ON)
    cache = ClipCache(plan, "mel")
    return cache, [c for c in cache.fill(tracks, root) if isinstance(c, Cached)]


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def alternate(first: Callable[[], object], second: Callable[[], object], rounds: int) -> dict[str, Any]:
    """Seconds of two pieces of work, alternating after one untimed round, and the median ratio first / second."""
    first(), second()
    pairs = [(seconds(first), seconds(second)) for _ in range(rounds)]
    return {
        "seconds": [[round(a, 4), round(b, 4)] for a, b in pairs],
        "ratio": round(statistics.median(a / b for a, b in pairs), 3),
    }


def embed() -> dict[str, Any]:
    """Wall time of `embed_files` against decoding the same excerpts alone, both with a process a core."""
    fetched = fetch_corpus("debian-games/demo")
    files, _ = find_audio([fetched.audio_root], _Empty())  # type: ignore[arg-type]
    embedder = Embedder.with_random_weights(recipe().model_dump(mode="json"), excerpts=10)
    settings = {"count": 10, "seconds": embedder.seconds, "rate": embedder.rate}

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder, Library.open(Path(folder) / "l.db", create=True) as library:
            assert sum(o.did == "embedded" for o in embed_files(library, files, embedder)) > 0.9 * len(files)

    def decode() -> None:
        assert sum(h.excerpts is not None for h in hear([f for _, f in files], **settings)) > 0.9 * len(files)

    result = alternate(whole, decode, ROUNDS)
    fastest = min(a for a, _ in result["seconds"])
    return {"tracks": len(files), "tracks_per_s_best": round(len(files) / fastest, 1), "aim": "ratio <= 1.5", **result}


class _Empty:
    """A library that holds nothing yet."""

    def roots(self) -> dict[str, int]:
        return {}


def train() -> dict[str, Any]:
    """Clips a second in training from the cache against the encoder's own forward and backward pass."""
    plan = recipe()
    cache, cached = demo_clips(plan)
    steps = 6
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(plan, cached, cache, Path(folder))
        model = Model(plan)
        clips = torch.rand(2 * plan.training.batch, plan.mel.bands, trainer.views.frames)

        def training() -> None:
            for step in range(steps):
                trainer._make_step(trainer._read(step))

        def alone() -> None:
            for _ in range(steps):
                with torch.autocast("cpu", trainer.dtype, enabled=trainer.dtype != torch.float32):
                    z = model.projector(model.encoder(clips))
                z.float().square().mean().backward()
                model.zero_grad(set_to_none=True)

        result = alternate(alone, training, ROUNDS)
    count = steps * 2 * plan.training.batch
    best = min(b for _, b in result["seconds"])
    return {"clips_per_s_best": round(count / best), "aim": "ratio >= 0.9", **result}


def loader() -> dict[str, Any]:
    """Clips a second that the cache gives, views not yet made."""
    plan = recipe()
    cache, cached = demo_clips(plan)
    source = ClipSource(cache, cached, Views(plan, Model(plan).mel).takes, plan)
    taken = [seconds(lambda step=step: source.batch(step)) for step in range(20)]  # type: ignore[misc]
    return {"clips_per_s": round(2 * plan.training.batch / statistics.median(taken))}


def startup() -> dict[str, Any]:
    """Seconds of `mirclr --help`, against starting Python alone; aim: under 0.3."""
    run = [sys.executable, "-m", "mirclr", "--help"]
    bare = [sys.executable, "-c", "pass"]
    result = alternate(
        lambda: subprocess.run(run, check=True, capture_output=True), lambda: subprocess.run(bare, check=True), 9
    )
    return {"help_s": statistics.median(a for a, _ in result["seconds"]), "aim": "help_s < 0.3", **result}


def teacher() -> dict[str, Any]:
    """Segments of 3 s a second that musicnn labels, decoding left out; aim: 25 on two cores."""
    import_musicnn()
    musicnn = load_musicnn("musicnn-msd")
    plan = parse_recipe("name: t\ndata: {train: t}")
    tracks = [c.track for c in demo_clips(plan)[1]][:16]
    root = fetch_corpus("debian-games/demo").audio_root
    rates = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            told = [t for t in label_tracks(musicnn, tracks, root, Path(folder)) if isinstance(t, Told)]
            rates.append(sum(t.windows for t in told) / (time.perf_counter() - start))
    return {"segments_per_s": round(statistics.median(rates), 1), "rates": [round(r, 1) for r in rates]}


def twins() -> dict[str, Any]:
    """Share of altered copies (mp3, 9 dB quieter, 4 s cut) that are found to be of their track, and of wrong pairs."""
    plan = parse_recipe("name: t\ndata: {train: t}")
    root = fetch_corpus("debian-games/demo").audio_root
    cache, cached = demo_clips(plan)
    originals = cached[:30]
    with tempfile.TemporaryDirectory() as folder:
        copies = []
        for i, original in enumerate(originals):
            samples = np.concatenate(list(decode_blocks(root / original.track.path, rate=32000)))
            soundfile.write(Path(folder) / f"{i}.mp3", 0.35 * samples[4 * 32000 :], 32000)
            copies.append(Track(id=f"copy {i}", path=f"{i}.mp3"))
        heard = [c for c in ClipCache(plan, "mel").fill(copies, Path(folder)) if isinstance(c, Cached)]
        pairs = find_twins(cache, [*cached, *heard])
    right = {frozenset((o.track.id, f"copy {i}")) for i, o in enumerate(originals)}
    found = {frozenset((p.first.id, p.second.id)) for p in pairs}
    versions = [p for p in pairs if p.first.recording and p.first.recording == p.second.recording]
    wrong = found - right - {frozenset((p.first.id, p.second.id)) for p in versions}
    n = len(cached) + len(heard)
    recall = round(len(right & found) / len(right), 3)
    return {"copies": len(heard), "recall": recall, "wrong_pairs": len(wrong), "pairs": n * (n - 1) // 2}


MEASUREMENTS = {m.__name__: m for m in (embed, train, loader, startup, teacher, twins)}


def main(names: list[str]) -> None:
    RESULTS.mkdir(exist_ok=True)
    for name in names or MEASUREMENTS:
        measure = MEASUREMENTS[name]
        print(f"{name}: {measure.__doc__}", flush=True)
        result = {"what": measure.__doc__, **measure(), "provenance": stamp()}
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(json.dumps({k: v for k, v in result.items() if k not in ("what", "provenance", "seconds")}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
