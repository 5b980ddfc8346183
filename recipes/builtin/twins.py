"""Whether a piece is known again on another piano: ``twins.py RUN POP909 --font A.sf2 --font B.sf2 --encoder E [E …]``.

Piano arrangements of POP909 are played by fluidsynth on two soundfonts, on the second 6 dB softer. Of each render its
twin, the same piece on the other soundfont, is looked for by the mean over excerpts, as neighbours are: among the
renders of the other soundfont, as vectors are and with each soundfont's mean taken off, and among all; and how many of
the ten nearest of all are of its own soundfont. Twelve numbers, how strong each pitch is, stand beside. RUN keeps the
renders, as RUN/A/NNN.flac and RUN/B/NNN.flac. Writes twins.json beside this file; encoders that it holds already stay.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from render import RATE, notes_of, played
from robustness import NEIGHBOURS, mean_of

from mirclr.audio import decode_blocks, resample
from mirclr.audio.key import pitch_strengths
from mirclr.audio.spectra import RATE as PITCH_RATE
from mirclr.models.embedder import Embedder
from mirclr.models.pretrained import checkpoint_named
from mirclr.models.stamp import unit_rows

HERE = Path(__file__).parent
PIECES = 100
SECONDS = 45.0
SKIPPED = 10.0  # of the beginning, which is often silent
SOFTER = 10 ** (-6 / 20)
KEPT = 16_000  # Hz


def piano(folder: Path, number: str) -> list[tuple[int, int, int, list[Any]]]:
    """The parts of a song, all for piano."""
    notes = [note for part in notes_of(folder / f"{number}-{number}.mid").values() for note in part]
    cut = [(a - SKIPPED, b - SKIPPED, p, v) for a, b, p, v in notes if SKIPPED <= a < SKIPPED + SECONDS]
    return [(0, 0, 100, cut)]


def render(run: Path, pop909: Path, fonts: list[Path], pieces: int) -> list[list[Path]]:
    """The files of each soundfont, of the same pieces in the same order; those that are there are not made again."""
    numbers = sorted({file.name.split("-")[0] for file in pop909.glob("*-beat_midi.txt")})
    numbers = [n for n in numbers if (pop909 / f"{n}-{n}.mid").exists()]
    some = np.sort(np.random.default_rng(0).permutation(len(numbers))[:pieces])
    found: list[list[Path]] = [[] for _ in fonts]
    for at in some.tolist():
        for softer, (font, files) in enumerate(zip(fonts, found, strict=True)):
            file = run / font.stem / f"{numbers[at]}.flac"
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                x = played(piano(pop909, numbers[at]), font, reverb=False)[: round(SECONDS * RATE)]
                x = resample(x, RATE, KEPT) / max(1e-6, float(np.abs(x).max())) * 0.8 * (SOFTER if softer else 1)
                soundfile.write(file, x, KEPT)
            files.append(file)
    return found


def figures(sides: list[np.ndarray]) -> dict[str, float]:
    """Of (n, d) unit vectors of either soundfont, the same pieces in the same order."""
    centred = [unit_rows(side - side.mean(axis=0)) for side in sides]
    every, own = np.concatenate(sides), np.repeat([0, 1], len(sides[0]))
    products = every @ every.T
    np.fill_diagonal(products, -np.inf)
    nearest = np.argsort(-products, axis=1)[:, :NEIGHBOURS]
    twins = np.roll(np.arange(len(every)), len(sides[0]))
    found = {
        "twin is first on the other soundfont": _first(*sides),
        "the same, each side's mean taken off": _first(*centred),
        "twin is first of all": float((nearest[:, 0] == twins).mean()),
        "twin is among ten of all": float((nearest == twins[:, None]).any(axis=1).mean()),
        "of the ten, on the same soundfont": float((own[nearest] == own[:, None]).mean()),
    }
    return {name: round(value, 3) for name, value in found.items()}


def _first(a: np.ndarray, b: np.ndarray) -> float:
    products, places = a @ b.T, np.arange(len(a))
    return float(np.mean([products.argmax(axis=1) == places, products.argmax(axis=0) == places]))


def main() -> None:
    """Render, measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("pop909", type=Path, help="folder of NNN-*.mid and their texts")
    parser.add_argument("--font", type=Path, action="append", required=True, help="two of them")
    parser.add_argument("--encoder", type=Path, nargs="+", required=True, help="the one before, and others")
    parser.add_argument("--pieces", type=int, default=PIECES)
    parser.add_argument("--output", type=Path, default=HERE / "twins.json")
    asked = parser.parse_args()
    if len(asked.font) != 2:
        parser.error("--font: name two soundfonts")
    torch.set_num_threads(1)
    files = render(asked.run, asked.pop909, asked.font, asked.pieces)
    sounds = [[np.concatenate(list(decode_blocks(file, rate=KEPT))) for file in side] for side in files]
    held = {"pieces": len(files[0]), "soundfonts": [font.name for font in asked.font]}
    results: dict[str, Any] = held | {"chance on the other soundfont": round(1 / len(files[0]), 4), "encoders": {}}
    if asked.output.exists():  # encoders that were measured in the same way before stay
        before = json.loads(asked.output.read_text(encoding="utf-8"))
        if all(before[key] == value for key, value in held.items()):
            results = before
    if "twelve pitches" not in results:
        pitches = [np.stack([pitch_strengths([resample(x, KEPT, PITCH_RATE)]) for x in side]) for side in sounds]
        results["twelve pitches"] = figures([unit_rows(side) for side in pitches])
    for name in asked.encoder:
        embedder = Embedder.load(checkpoint_named(name))
        vectors = [np.stack([mean_of(x, embedder) for x in side]) for side in sounds]
        results["encoders"][embedder.stamp.digest] = figures(vectors)
        print(name, json.dumps(results["encoders"][embedder.stamp.digest], indent=1), flush=True)
        asked.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
