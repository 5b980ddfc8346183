"""How far a track's neighbours stay when it is changed: ``robustness.py --encoder E [E …] --music DIR --labels CSV``.

Of the labelled tracks so many are changed: as another file, another cut, another master, another place. A changed track
is embedded as any file is, and stands in for itself among all others: which of its ten nearest are still there (by the
mean over excerpts, which is what is searched), where the same track is found, and its cosine to itself. The functions
are those of `changes.py` at strengths that are set here; noise and rooms are drawn by seeds that training does not
use. The music is never trained on. Writes robustness.json beside this file; encoders that it holds already stay.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from changes import (
    RATE,
    band,
    clipped,
    coded,
    compressed,
    limited,
    noisy,
    room,
    sampled,
    synthetic_noise,
    telephone,
    tilted,
)

from mirclr.audio import decode_blocks, excerpt_starts, resample, through_mp3
from mirclr.audio.vocoder import shift_pitch, stretch_time
from mirclr.classify import read_labels
from mirclr.models.embedder import Embedder
from mirclr.models.pretrained import checkpoint_named

HERE = Path(__file__).parent
CHANGED = 40
NEIGHBOURS = 10
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def _mp3(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    found, _ = through_mp3(resample(x, RATE, 44_100)[None], 44_100, RATE)
    return x if found is None else found[0]


def _white(snr_db: float) -> Change:
    return lambda x, rng: noisy(x, rng.standard_normal(len(x)).astype(np.float32), snr_db)


def _pitch(semitones: float) -> Change:
    return lambda x, rng: shift_pitch(torch.from_numpy(x)[None], torch.tensor([semitones]), abs(semitones)).numpy()[0]


def _speed(factor: float) -> Change:
    return lambda x, rng: resample(x, round(RATE * factor), RATE)


def _tempo(factor: float) -> Change:
    return lambda x, rng: stretch_time(torch.from_numpy(x)[None], torch.tensor([factor]), int(len(x) / factor)).numpy()[
        0
    ]


CHANGES: dict[str, Change] = {
    "as it is": lambda x, rng: x,
    "mp3 64 kbps": _mp3,
    "vorbis, lowest quality": lambda x, rng: coded(x, "OGG", "VORBIS", 1.0),
    "start +10 s": lambda x, rng: x[10 * RATE :],
    "pitch -50 cents": _pitch(-0.5),
    "pitch +50 cents": _pitch(0.5),
    "tempo -5 %": _tempo(0.95),
    "tempo +5 %": _tempo(1.05),
    "speed -3 %": _speed(0.97),
    "speed +3 %": _speed(1.03),
    "level -6 dB": lambda x, rng: x * np.float32(10 ** (-6 / 20)),
    "level -12 dB": lambda x, rng: x * np.float32(10 ** (-12 / 20)),
    "tilt +3 dB an octave": lambda x, rng: tilted(x, 3),
    "tilt -3 dB an octave": lambda x, rng: tilted(x, -3),
    "compressor 4:1": lambda x, rng: compressed(x, 4, 10),
    "limiter, 12 dB": lambda x, rng: limited(x, 12),
    "saturated, 12 dB": lambda x, rng: clipped(x, 12),
    "clipped, 12 dB": lambda x, rng: clipped(x, 12, hard=True),
    "white noise, 30 dB": _white(30),
    "white noise, 20 dB": _white(20),
    "white noise, 10 dB": _white(10),
    "other noise, 20 dB": lambda x, rng: noisy(x, synthetic_noise(len(x), rng), 20),
    "other noise, 10 dB": lambda x, rng: noisy(x, synthetic_noise(len(x), rng), 10),
    "8 kHz sampling": lambda x, rng: sampled(x, 8000),
    "100 Hz to 5 kHz": lambda x, rng: band(x, 100, 5000),
    "telephone": lambda x, rng: telephone(x),
    "room, 0.4 s": lambda x, rng: room(x, 0.4, 0, rng),
    "room, 1.5 s": lambda x, rng: room(x, 1.5, 0, rng),
}


def excerpts(x: np.ndarray, embedder: Embedder) -> np.ndarray:
    """(n,) of a whole track -> (m, N) its excerpts, where a file of its length would be read."""
    starts = excerpt_starts(len(x) / RATE, count=embedder.excerpts, seconds=embedder.seconds)
    length = round(embedder.seconds * RATE)
    rows = [x[i : i + length] for i in np.floor(np.asarray(starts) * RATE).astype(int)]
    return np.stack([np.pad(row, (0, length - len(row))) for row in rows]).astype(np.float32)


def mean_of(x: np.ndarray, embedder: Embedder) -> np.ndarray:
    """The mean embedding over a track's excerpts, of unit length."""
    embedded = embedder.embed_excerpts(embedder.levelled(excerpts(x, embedder))).mean(axis=0)
    return embedded / np.linalg.norm(embedded)


def measured(vectors: np.ndarray, found: np.ndarray, rows: np.ndarray) -> dict[str, float]:
    """(n, D) vectors of all, (k, D) of changed ones, (k,) which they are -> what stays."""
    stays, first, cosine = [], [], []
    for row, vector in zip(rows, found, strict=True):
        before, now = vectors @ vectors[row], vectors @ vector
        first.append(int(now.argmax()) == row)
        cosine.append(float(now[row]))
        before[row] = now[row] = -np.inf
        stays.append(len({*np.argsort(-before)[:NEIGHBOURS]} & {*np.argsort(-now)[:NEIGHBOURS]}) / NEIGHBOURS)
    return {
        "neighbours that stay": round(float(np.mean(stays)), 3),
        "itself is nearest": round(float(np.mean(first)), 3),
        "cosine to itself": round(float(np.mean(cosine)), 3),
    }


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", type=Path, nargs="+", required=True, help="the one before, and others")
    parser.add_argument("--music", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--changed", type=int, default=CHANGED, help="tracks that are changed")
    parser.add_argument("--output", type=Path, default=HERE / "robustness.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    names = list(read_labels(asked.labels).files)
    rows = np.sort(np.random.default_rng(0).permutation(len(names))[: asked.changed])
    embedders = [Embedder.load(checkpoint_named(e)) for e in asked.encoder]
    whole = [np.concatenate(list(decode_blocks(asked.music / name, rate=RATE))) for name in names]
    results: dict[str, Any] = {"tracks": len(names), "changed": len(rows), "neighbours": NEIGHBOURS, "encoders": {}}
    if asked.output.exists():  # encoders that were measured in the same way before stay
        before = json.loads(asked.output.read_text(encoding="utf-8"))
        if all(before[key] == results[key] for key in ("tracks", "changed", "neighbours")):
            results = before
    vectors = [np.stack([mean_of(x, embedder) for x in whole]) for embedder in embedders]
    tables: list[dict[str, Any]] = [{} for _ in embedders]
    for change, of in CHANGES.items():
        changed = [of(whole[row], np.random.default_rng([2026, i])) for i, row in enumerate(rows)]
        for embedder, known, table in zip(embedders, vectors, tables, strict=True):
            table[change] = measured(known, np.stack([mean_of(x, embedder) for x in changed]), rows)
        stays = " ".join(f"{table[change]['neighbours that stay']:6.3f}" for table in tables)
        print(f"{change:24s} {stays}", flush=True)
    for embedder, table in zip(embedders, tables, strict=True):
        results["encoders"][embedder.stamp.digest] = table
    asked.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
