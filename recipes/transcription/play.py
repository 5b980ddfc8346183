"""Music and its notes, to learn from: ``play.py POP909 GROOVE FONTS OUT --pieces N``, rendered by fluidsynth.

Each piece is OUT/NAME.wav (16 kHz, 16 bits, mono) and OUT/NAME.npz (its labels, `pieces.labels`), with lines in
OUT/pieces-I.jsonl. All of a piece is drawn by its number alone; what is there is not made again, and several processes
share the work by ``--worker I/M``. Of every second piece of the split ``train`` there are two renders, NAME-a and
NAME-b, by other sounds: the same notes for contrastive learning.

FONTS holds what instruments.py made, and links or copies of ``MuseScore_General.sf2``, ``GMbank.sf2``, which train,
and ``FluidR3_GM.sf2``, by which all of the split ``valid`` is rendered and nothing else.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from instruments import COUNT
from pieces import DRUMS, PIANO, SUNG, Part, Piece, labels, write_midi
from songs import beats_of_song, by_band, by_drums, on_piano, performances, song_numbers, unsteady
from textures import piano_piece
from voices import sung

from mirclr.audio import resample
from mirclr.provenance import writing

RATE, RENDERED = 16_000, 32_000  # what fluidsynth aliases lies above 8 kHz, and goes
SECONDS = 48.0
KINDS = ("texture", "pop", "texture", "band", "texture", "pop", "texture", "band", "drums", "texture", "pop", "band")
"""What piece i is: by i modulo 12."""
VALID_OF = 12
SUNG_BY_PIANO, SUNG_BY_BAND = 0.25, 0.5
"""How often a melody is sung."""
MACHINES, TWICE_AS_FAST, UNSTEADY = 0.25, 0.25, 0.4
"""How often bands have a drum machine, and play a slow song twice as fast; how often the tempo of songs wavers."""
MUSESCORE, GMBANK, HELD_OUT = "MuseScore_General.sf2", "GMbank.sf2", "FluidR3_GM.sf2"
_ODDS = (0.28, 0.24, 0.34, 0.04, 0.02, 0.08)
_GRANDS = ((0, 0), (0, 1), (8, 0), (0, 0))  # banks and programs of MuseScore's Steinway, as it is, bright and mellow


def drawn_piece(i: int, split: str, pop909: Path, groove: Path) -> tuple[str, Piece]:
    """Its name and what is played."""
    rng = np.random.default_rng([18, i, split == "valid"])
    kind = KINDS[i % len(KINDS)]
    numbers = song_numbers(pop909, split)
    drums = performances(groove, ("train",) if split == "train" else ("validation",))
    number = numbers[rng.integers(len(numbers))]
    if kind == "texture":
        return f"{split}-{i:05d}-texture", piano_piece(rng, SECONDS)
    if kind == "drums":
        one, pace = drums[rng.integers(len(drums))], float(rng.uniform(0.8, 1.25))
        return f"{split}-{i:05d}-drums", by_drums(one, rng, SECONDS, pace)
    if kind == "pop":
        pace = drawn_pace(pop909, number, rng) if rng.random() < 0.15 else None
        piece = on_piano(pop909, number, rng, SECONDS, pace, sung=SUNG_BY_PIANO)
    else:
        pace = drawn_pace(pop909, number, rng) if rng.random() < 0.4 else None
        more = {"sung": SUNG_BY_BAND, "machines": MACHINES, "twice_as_fast": TWICE_AS_FAST}
        piece = by_band(pop909, number, drums, rng, SECONDS, pace, **more)
    return f"{split}-{i:05d}-{kind}-{number}", unsteady(piece, rng) if rng.random() < UNSTEADY else piece


def drawn_pace(pop909: Path, number: str, rng: np.random.Generator) -> float:
    """By which a song has a tempo of about 115 beats a minute, as music of more styles than ballads has."""
    bpm = 60 / float(np.median(np.diff(beats_of_song(pop909, number)[:, 0])))
    return float(np.clip(115 * np.exp(rng.normal(0, 0.28)) / bpm, 0.7, 1.7))


def with_sounds(piece: Piece, split: str, rng: np.random.Generator) -> str:
    """Draw how each part sounds; the font for what is of no piano, or of piano alone."""
    pianos = all(part.kind == PIANO for part in piece.played)
    if split == "valid":
        for part in piece.played:
            part.program = int(rng.choice([0, 0, 0, 1])) if pianos else part.program
        return HELD_OUT
    if not pianos:
        return MUSESCORE if rng.random() < 0.75 else GMBANK
    font = str(rng.choice([MUSESCORE, "salamander", "piano", "other", GMBANK, "programs"], p=_ODDS))
    for part in piece.played:
        if font == MUSESCORE:
            part.bank, part.program = _GRANDS[rng.integers(len(_GRANDS))]
        elif font == "programs":  # harpsichords, organs, guitars, harps, strings: the notes are the same
            part.program = int(rng.choice([2, 3, 4, 5, 6, 7, 8, 11, 12, 16, 19, 21, 24, 25, 26, 46, 48, 52]))
    if font in ("piano", "other"):
        return f"{font}-{rng.integers(COUNT):02d}.sf2"
    return {"programs": MUSESCORE, "salamander": "salamander.sf2"}.get(font, font)


def rendered(piece: Piece, font: Path, rng: np.random.Generator, seconds: float = SECONDS) -> np.ndarray:
    """(n,) float32 at `RATE`, at a peak of 0.7; what rings on for more than a second after some seconds is cut off."""
    x = by_fluidsynth(piece.played, font, rng) if piece.played else np.zeros(round(seconds * RENDERED), np.float32)
    for part in piece.parts:
        if part.program == SUNG:
            x = with_voice(x, sung(part.notes, seconds, rng), float(rng.normal(2, 4)))
    x = resample(x, RENDERED, RATE)[: round((seconds + 1) * RATE)]
    return (0.7 * x / max(1e-6, float(np.abs(x).max()))).astype(np.float32)


def by_fluidsynth(parts: list[Part], font: Path, rng: np.random.Generator) -> np.ndarray:
    """(n,) float32 at `RENDERED`."""
    with tempfile.TemporaryDirectory() as folder:
        midi, wav = Path(folder) / "a.mid", Path(folder) / "a.wav"
        write_midi(midi, parts, float(np.clip(rng.normal(0, 8), -20, 20)))
        reverb = "1" if rng.random() < 0.35 else "0"
        banks = "gs" if font.name == MUSESCORE else "gm"
        wanted = {"synth.dynamic-sample-loading": 1, "synth.polyphony": 512, "synth.midi-bank-select": banks}
        wanted |= {"synth.sample-rate": RENDERED, "synth.reverb.room-size": round(rng.uniform(0.1, 0.8), 2)}
        settings = [word for name, value in wanted.items() for word in ("-o", f"{name}={value}")]
        subprocess.run(
            ["fluidsynth", "-ni", "-q", "-g", "0.2", "-R", reverb, "-C", "0", *settings, "-F", wav, font, midi],
            check=True,
            capture_output=True,
        )
        x: np.ndarray = soundfile.read(wav, dtype="float32", always_2d=True)[0].mean(axis=1)
    return x


def with_voice(x: np.ndarray, voice: np.ndarray, db: float) -> np.ndarray:
    """Both, the voice by decibels louder where it is heard than what is played; alone where nothing is."""
    heard = np.abs(voice) > 0.05 * np.abs(voice).max()
    if not heard.any():
        return x
    played, by_voice = (float(np.sqrt(np.mean(np.square(one)))) for one in (x, voice[heard]))
    gain = np.float32((played if played > 0 else 1.0) * 10 ** (db / 20) / by_voice)
    n = max(len(x), len(voice))
    both: np.ndarray = np.pad(x, (0, n - len(x))) + gain * np.pad(voice, (0, n - len(voice)))
    return both


def write(out: Path, name: str, x: np.ndarray, piece: Piece) -> None:
    """The labels, and at last the sound: where it is, both are whole."""
    with writing(out / f"{name}.npz", sync=False) as f:
        np.savez_compressed(f, **labels(piece))
    with writing(out / f"{name}.wav", sync=False) as f:
        soundfile.write(f, x, RATE, format="WAV", subtype="PCM_16")


def listed(out: Path) -> set[str]:
    """Names of what is there, by the lines of it: a file without one was cut off."""
    lines = [line for file in out.glob("pieces-*.jsonl") for line in file.read_text(encoding="utf-8").splitlines()]
    return {json.loads(line)["name"] for line in lines}


def make(i: int, split: str, asked: argparse.Namespace, there: set[str]) -> Iterator[dict[str, Any]]:
    """Render a piece, where it is not there; the line of each render."""
    twice = split == "train" and i % 2 == 0
    name, piece = drawn_piece(i, split, asked.pop909, asked.groove)
    if not piece.parts:
        return
    for k, ending in enumerate(("-a", "-b") if twice else ("",)):
        if name + ending in there:
            continue
        rng = np.random.default_rng([18, i, split == "valid", k])
        font = with_sounds(piece, split, rng)
        x = rendered(piece, asked.fonts / font, rng)
        if len(x) < 3 * RATE or float(np.abs(x).max()) < 0.1:
            continue
        write(asked.out, name + ending, x, piece)
        pianos = all(part.kind == PIANO for part in piece.parts)
        yield {
            "name": name + ending,
            "piece": name,
            "split": split,
            "kind": KINDS[i % len(KINDS)],
            "piano": pianos,
            "drums": any(part.kind == DRUMS for part in piece.parts),
            "font": font,
            "programs": [[part.bank, part.program] for part in piece.parts],
            "seconds": round(len(x) / RATE, 2),
            "notes": sum(len(part.notes) for part in piece.parts),
        }


def main() -> None:
    """Render what is missing: first of piano, then the others; of every twelve pieces one more is held out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pop909", type=Path)
    parser.add_argument("groove", type=Path)
    parser.add_argument("fonts", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pieces", type=int, default=1200)
    parser.add_argument("--kinds", nargs="+", choices=sorted(set(KINDS)), default=sorted(set(KINDS)))
    parser.add_argument("--worker", default="0/1", help="I/M: number I, from 0, of M processes")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    worker, workers = map(int, asked.worker.split("/"))
    of_piano = [KINDS[i % len(KINDS)] in ("texture", "pop") for i in range(asked.pieces)]
    order = [i for i, piano in enumerate(of_piano) if piano] + [i for i, piano in enumerate(of_piano) if not piano]
    there = listed(asked.out)
    with (asked.out / f"pieces-{worker}.jsonl").open("a", encoding="utf-8") as lines:
        for place, i in enumerate(order):
            if place % workers != worker or KINDS[i % len(KINDS)] not in asked.kinds:
                continue
            for split in ("train", "valid") if place % VALID_OF == worker % VALID_OF else ("train",):
                for row in make(i, split, asked, there):
                    lines.write(json.dumps(row) + "\n")
                    lines.flush()
                    print(row["name"], row["font"], row["seconds"], flush=True)


if __name__ == "__main__":
    main()
