"""Slow measurements: ``make bench``, or ``python -m tests.benchmarks [NAME…] [--checkpoint FILE]``.

Each measurement compares things in one run, alternating, and reports the median of the ratios, as machines are shared
and noisy. Results are written to tests/benchmarks/results/NAME.json. What embeds takes the encoder that `mirclr embed`
takes by default, or the one of ``--checkpoint``.
"""

import argparse
import inspect
import json
import os
import statistics
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from mirclr.audio import decode_blocks
from mirclr.config import Recipe, parse_recipe, read_recipe
from mirclr.data.clips import Cached, ClipCache, tracks_of
from mirclr.data.corpora import fetch_corpus
from mirclr.data.manifest import Track
from mirclr.data.near_duplicates import find_near_duplicates
from mirclr.data.sampling import TRAINED_ON
from mirclr.models.encoder import Model
from mirclr.models.pretrained import builtin_checkpoint
from mirclr.provenance import shipped_dir, stamp
from mirclr.training.run import clip_source
from mirclr.training.teacher import LabelledTrack, import_musicnn, label_tracks, load_musicnn
from mirclr.training.trainer import Trainer
from tests.benchmarks.agreement import agreement
from tests.benchmarks.describing import TEMPO, describe
from tests.benchmarks.duplicates import duplicates
from tests.benchmarks.embedding import embed
from tests.benchmarks.engines import engines
from tests.benchmarks.identifying import NOISE, identify, identify_many
from tests.benchmarks.inverted_file import inverted_file
from tests.benchmarks.liking import like, like_many
from tests.benchmarks.mapping import song_map
from tests.benchmarks.measuring import EMOTIFY, ROUNDS, alternate, seconds
from tests.benchmarks.memory import memory
from tests.benchmarks.on_ray import on_ray
from tests.benchmarks.personal import personal
from tests.benchmarks.recommending import hubs, latency
from tests.benchmarks.recordings import SONGS, recordings
from tests.benchmarks.scale import scale
from tests.benchmarks.serving import serve
from tests.benchmarks.startup import startup
from tests.benchmarks.transcribing import FONTS, MIDI, transcribe
from tests.benchmarks.words import words

RESULTS = Path(__file__).parent / "results"


def recipe() -> Recipe:
    return read_recipe(shipped_dir("recipes") / "debian_ntxent" / "recipe.yaml", overrides=["validation=null"])


def demo_clips(plan: Recipe) -> tuple[ClipCache, list[Cached]]:
    """The demo corpus, decoded into the cache."""
    fetch_corpus("debian-games/demo")
    tracks, root = tracks_of("debian-games/demo", Path(), splits=TRAINED_ON)
    cache = ClipCache(plan, "mel")
    return cache, [c for c in cache.fill(tracks, root) if isinstance(c, Cached)]


def train() -> dict[str, Any]:
    """Clips a second in training from the cache against the encoder's own forward and backward pass."""
    plan = recipe()
    cache, cached = demo_clips(plan)
    steps = 6
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(plan, clip_source(plan, cache, cached), Path(folder))
        model = Model(plan)
        clips = torch.rand(2 * plan.training.batch, plan.mel.n_mels, trainer.views.frames)

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
    source = clip_source(plan, cache, cached)
    taken = [seconds(lambda step=step: source.batch(step)) for step in range(20)]  # type: ignore[misc]
    return {"clips_per_s": round(2 * plan.training.batch / statistics.median(taken))}


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
            labelled = [t for t in label_tracks(musicnn, tracks, root, Path(folder)) if isinstance(t, LabelledTrack)]
            rates.append(sum(t.windows for t in labelled) / (time.perf_counter() - start))
    return {"segments_per_s": round(statistics.median(rates), 1), "rates": [round(r, 1) for r in rates]}


def near_duplicates() -> dict[str, Any]:
    """Fraction of altered copies (mp3, 9 dB quieter, 4 s cut) that are found to be of their track; wrong pairs."""
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
        decoded = [c for c in ClipCache(plan, "mel").fill(copies, Path(folder)) if isinstance(c, Cached)]
        pairs = find_near_duplicates(cache, [*cached, *decoded])
    right = {frozenset((o.track.id, f"copy {i}")) for i, o in enumerate(originals)}
    found = {frozenset((p.first.id, p.second.id)) for p in pairs}
    versions = [p for p in pairs if p.first.recording and p.first.recording == p.second.recording]
    wrong = found - right - {frozenset((p.first.id, p.second.id)) for p in versions}
    n = len(cached) + len(decoded)
    recall = round(len(right & found) / len(right), 3)
    return {"copies": len(decoded), "recall": recall, "wrong_pairs": len(wrong), "pairs": n * (n - 1) // 2}


RECOMMENDING = (latency, hubs, inverted_file, duplicates, personal, words, identify, identify_many, like, like_many)
MEASUREMENTS = {
    m.__name__: m
    for m in (
        embed,
        agreement,
        describe,
        memory,
        startup,
        song_map,
        serve,
        train,
        loader,
        teacher,
        near_duplicates,
        on_ray,
        transcribe,
        recordings,
        *RECOMMENDING,
        engines,
        scale,
    )
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all by default: {', '.join(MEASUREMENTS)}")
    parser.add_argument("--checkpoint", type=Path, help="the encoder to embed with")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(MEASUREMENTS):
        parser.error(f"no measurement {', '.join(sorted(unknown))}; there are: {', '.join(MEASUREMENTS)}")
    RESULTS.mkdir(exist_ok=True)
    needing = [
        name
        for name, there in (
            ("personal", EMOTIFY in os.environ),
            ("words", EMOTIFY in os.environ),
            ("identify", EMOTIFY in os.environ and NOISE in os.environ),
            ("identify_many", EMOTIFY in os.environ and NOISE in os.environ),
            ("describe", TEMPO),
            ("engines", "MIRCLR_SCRATCH" in os.environ),
            ("scale", "MIRCLR_SCRATCH" in os.environ),
            ("on_ray", find_spec("ray")),
            ("transcribe", MIDI in os.environ and FONTS in os.environ),
            ("recordings", SONGS in os.environ),
            ("like", MIDI in os.environ and FONTS in os.environ),
        )
        if not there
    ]
    for name in asked.names or [n for n in MEASUREMENTS if n not in needing]:
        measure = MEASUREMENTS[name]
        print(f"{name}: {measure.__doc__}", flush=True)
        takes = (
            {"checkpoint": asked.checkpoint or builtin_checkpoint()} if inspect.signature(measure).parameters else {}
        )
        result = {"what": measure.__doc__, **measure(**takes), "provenance": stamp()}
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(json.dumps({k: v for k, v in result.items() if k not in ("what", "provenance", "seconds")}), flush=True)


if __name__ == "__main__":
    main()
