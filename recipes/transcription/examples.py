"""What a network learns from at step n: excerpts of what play.py made, changed as recordings differ, and their targets.

Every batch is a function of (seed, step). Excerpts are cut from wav files by seeking; a batch of 8 takes about 0.2 s.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from changes import band, clipped, compressed, equalised, limited, noisy, room, synthetic_noise
from pieces import PIANO

from mirclr.audio.pitched import BINS, FRAME_S, HOP, LOWEST, RATE, WINDOWS, PitchedSpectrogram

PITCHES = 88
FRAMES = 128
"""Of an excerpt: 4.1 s."""
_WIDE = 1.5  # frames from an onset, over which its target falls to 0
WEIGHTS = {"texture": 0.42, "pop": 0.36, "band": 0.2, "drums": 0.02}
"""How often excerpts are of which kind, for notes."""


@dataclass(frozen=True)
class Render:
    """A line of pieces-*.jsonl."""

    name: str
    piece: str
    kind: str
    split: str
    seconds: float
    piano: bool


def renders(folder: Path, split: str) -> list[Render]:
    """Those of a split that are there."""
    rows = []
    for file in sorted(folder.glob("pieces-*.jsonl")):
        rows += [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    names = ("name", "piece", "kind", "split", "seconds", "piano")
    return [Render(**{n: r[n] for n in names}) for r in rows if r["split"] == split]


@lru_cache(maxsize=4096)
def labels_of(folder: Path, name: str) -> dict[str, np.ndarray]:
    """Of a render, kept in memory."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}


def note_targets(notes: np.ndarray, begin_s: float, frames: int = FRAMES, up: int = 0) -> np.ndarray:
    """(5, PITCHES, frames) float32 of onset, frame, offset, velocity, place: what `NoteNetwork` should give.

    Onset is 1 in the nearest frame and falls to 0 within `_WIDE` frames; place is how far the onset is from the middle
    of the frame, in frames (Kong et al. 2020, arXiv 2010.01815, regress the distance itself); velocity is from 0 to 1.
    """
    out = np.zeros((5, PITCHES, frames), np.float32)
    for onset, offset, note, velocity, *_ in notes:
        p = int(note) - LOWEST + up
        a, b = (onset - begin_s) / FRAME_S, (offset - begin_s) / FRAME_S
        if not 0 <= p < PITCHES or b < -1 or a > frames:
            continue
        first, last = max(0, round(a)), min(frames, max(round(b), round(a) + 1))
        out[1, p, first:last] = 1
        for i in range(max(0, int(np.ceil(a - _WIDE))), min(frames, int(a + _WIDE) + 1)):
            near = min(1.0, _WIDE - abs(a - i))
            if near > out[0, p, i]:
                out[0, p, i], out[3, p, i], out[4, p, i] = near, velocity / 127, a - i
        for i in range(max(0, int(np.ceil(b - _WIDE))), min(frames, int(b + _WIDE) + 1)):
            out[2, p, i] = max(out[2, p, i], min(1.0, _WIDE - abs(b - i)))
    return out


def song_targets(labels: dict[str, np.ndarray], begin_s: float, frames: int) -> dict[str, np.ndarray]:
    """What `SongNetwork` should give: ``beat``, ``downbeat`` (frames,), ``drums`` (5, frames), ``root``, ``quality``
    (frames,) int64, -1 where nothing is known.
    """

    def marks(times: np.ndarray) -> np.ndarray:
        row = np.zeros(frames, np.float32)
        for a in (times - begin_s) / FRAME_S:
            for i in range(max(0, int(np.ceil(a - _WIDE))), min(frames, int(a + _WIDE) + 1)):
                row[i] = max(row[i], min(1.0, _WIDE - abs(a - i)))
        return row

    beats, drums = labels["beats"], labels["drums"]
    root, quality = np.full(frames, -1), np.full(frames, -1)
    for begin, end, tonic, kind in labels["chords"]:
        first, last = (int(np.clip(np.ceil((t - begin_s) / FRAME_S), 0, frames)) for t in (begin, end))
        root[first:last] = 12 if tonic < 0 else tonic
        quality[first:last] = -1 if tonic < 0 else kind
    return {
        "beat": marks(beats[:, 0]),
        "downbeat": marks(beats[beats[:, 1] == 1, 0]),
        "drums": np.stack([marks(drums[drums[:, 1] == k, 0]) for k in range(5)]),
        "root": root,
        "quality": quality,
    }


class Excerpts:
    """Batches of excerpts.

    Parameters
    ----------
    folder : Path
        Of play.py.
    split : str
        ``train`` or ``valid``.
    weights : dict of str to float
        How often which kind.
    frames : int
        Of an excerpt.
    """

    def __init__(self, folder: Path, split: str, weights: dict[str, float] | None = None, frames: int = FRAMES) -> None:
        self.folder, self.frames = folder, frames
        every = renders(folder, split)
        chosen = WEIGHTS if weights is None else weights
        self.by_kind = {kind: [r for r in every if r.kind == kind] for kind in chosen}
        self.by_kind = {kind: rows for kind, rows in self.by_kind.items() if rows}
        self.kinds = list(self.by_kind)
        odds = np.array([chosen[kind] for kind in self.kinds])
        self.odds = odds / odds.sum()
        there = {r.name for r in every}  # of a run that was stopped the second render may be missing
        self.pairs = [r for r in every if r.piano and r.name == f"{r.piece}-a" and f"{r.piece}-b" in there]
        self.spectrogram = PitchedSpectrogram()

    def keep(self, fraction: float) -> None:
        """Draw from now on from so much of each kind alone, to see what few labels are worth."""
        self.by_kind = {k: rows[: max(1, round(fraction * len(rows)))] for k, rows in self.by_kind.items()}

    def drawn(self, rng: np.random.Generator) -> tuple[Render, float]:
        """A render, and where its excerpt begins: on a sample of a frame."""
        rows = self.by_kind[self.kinds[rng.choice(len(self.kinds), p=self.odds)]]
        return self._begin(rows[rng.integers(len(rows))], rng)

    def _begin(self, render: Render, rng: np.random.Generator) -> tuple[Render, float]:
        """Of one in eight some silence is before or after what is played."""
        room_s = max(0.0, render.seconds - self.frames * FRAME_S)
        silence_s = 0.3 * self.frames * FRAME_S if rng.random() < 0.125 else 0.0
        return render, round(rng.uniform(-silence_s, room_s + silence_s) / FRAME_S) * FRAME_S

    def waveform(self, name: str, begin_s: float) -> np.ndarray:
        """Of an excerpt, with half a window before and after."""
        half = max(WINDOWS) // 2
        first, count = round(begin_s * RATE) - half, self.frames * HOP + 2 * half
        with soundfile.SoundFile(self.folder / f"{name}.wav") as file:
            file.seek(max(0, min(first, len(file))))
            x = file.read(count - max(0, -first), dtype="float32")
        x = np.pad(x, (max(0, -first), 0))
        return np.pad(x, (0, count - len(x)))

    def seen(self, x: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """(2, BANDS, frames): its spectrogram, changed where there is a generator."""
        return self.spectrogram.frames(x if rng is None else changed(x, rng), self.frames)

    def notes(self, step: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """(size, 2, BANDS, frames), (size, 5, PITCHES, frames) float32 of a step of training."""
        inputs, targets = [], []
        for row in range(size):
            rng = np.random.default_rng([seed, step, row])
            render, begin = self.drawn(rng)
            x, notes = (
                self.waveform(render.name, begin),
                labels_of(self.folder, render.name)["notes"] - [begin, begin, 0, 0, 0],
            )
            if rng.random() < 0.12:  # another piece at once
                other, at = self.drawn(rng)
                x = x + self.waveform(other.name, at) * np.float32(10 ** (rng.uniform(-15, 3) / 20))
                notes = np.concatenate([notes, labels_of(self.folder, other.name)["notes"] - [at, at, 0, 0, 0]])
            seen = self.seen(x, rng)
            up = int(rng.integers(-4, 5)) if rng.random() < 0.35 else 0
            inputs.append(transposed(seen, up))
            targets.append(note_targets(notes, 0.0, self.frames, up))
        return np.stack(inputs), np.stack(targets)

    def song(self, step: int, size: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """(size, 2, BANDS, frames), and targets by name, of a step of training for beats, chords and drums."""
        inputs: list[np.ndarray] = []
        targets: list[dict[str, np.ndarray]] = []
        for row in range(size):
            rng = np.random.default_rng([seed, step, row])
            render, begin = self.drawn(rng)
            up = int(rng.integers(-4, 5)) if rng.random() < 0.5 and render.kind != "drums" else 0
            inputs.append(transposed(self.seen(self.waveform(render.name, begin), rng), up))
            target = song_targets(labels_of(self.folder, render.name), begin, self.frames)
            root = target["root"]
            target["root"] = np.where((root >= 0) & (root < 12), (root + up) % 12, root)
            targets.append(target)
        return np.stack(inputs), {name: np.stack([t[name] for t in targets]) for name in targets[0]}

    def pairs_of(self, step: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """(3 size, 2, BANDS, frames), (3 size, 2 PITCHES, frames): two renders of the same notes, and a third view of
        the second one, transposed; with their rolls of onsets and frames.
        """
        inputs: list[list[np.ndarray]] = [[], [], []]
        rolls: list[list[np.ndarray]] = [[], [], []]
        for row in range(size):
            rng = np.random.default_rng([seed, step, row, 1])
            render, begin = self._begin(self.pairs[rng.integers(len(self.pairs))], rng)
            notes = labels_of(self.folder, render.name)["notes"]
            up = int(rng.choice([-7, -5, -3, -2, -1, 1, 2, 3, 5, 7]))
            for view, (name, by) in enumerate(((render.name, 0), (render.piece + "-b", 0), (render.piece + "-b", up))):
                inputs[view].append(transposed(self.seen(self.waveform(name, begin), rng), by))
                target = note_targets(notes, begin, self.frames, by)
                rolls[view].append(np.concatenate([target[0], target[1]]))
        return np.stack([*chain(*inputs)]), np.stack([*chain(*rolls)])


def transposed(spectrogram: np.ndarray, up: int) -> np.ndarray:
    """By semitones: bands are moved, and what comes in is silence."""
    if up == 0:
        return spectrogram
    out = np.zeros_like(spectrogram)
    by = BINS * up
    if up > 0:
        out[:, by:] = spectrogram[:, :-by]
    else:
        out[:, :by] = spectrogram[:, -by:]
    return out


def changed(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A waveform as it may have been recorded: tone, compression, mastering, a room, noise, level."""
    if not np.any(x):
        return x
    if rng.random() < 0.6:
        x = equalised(x, rng.uniform(-9, 9, int(rng.integers(3, 9))))
    if rng.random() < 0.15:
        x = compressed(x, rng.uniform(1.5, 6), rng.uniform(-3, 10), rng.uniform(0.005, 0.1))
    if rng.random() < 0.2:  # mastered hard
        x = limited(x, rng.uniform(3, 15)) if rng.random() < 0.7 else clipped(x, rng.uniform(0, 9))
    if rng.random() < 0.1:  # small loudspeakers, low sampling rates
        x = band(x, rng.uniform(20, 250), float(np.exp(rng.uniform(np.log(2500), np.log(7500)))))
    if rng.random() < 0.6:
        x = room(x, float(np.exp(rng.uniform(np.log(0.12), np.log(1.6)))), rng.uniform(-8, 12), rng)
    if rng.random() < 0.6:
        x = noisy(x, synthetic_noise(len(x), rng), rng.uniform(12, 55))
    peak = 10 ** (rng.uniform(-30, 0) / 20)
    return (x * np.float32(peak / max(1e-6, float(np.abs(x).max())))).astype(np.float32)


def batches_of_pieces(rows: Sequence[Render], per_kind: int) -> list[Render]:
    """The first so many of each kind, for measuring."""
    kept: dict[str, list[Render]] = {}
    for row in rows:
        kept.setdefault(row.kind, []).append(row)
    return [row for group in kept.values() for row in group[:per_kind]]


def reference_notes(labels: dict[str, Any], *, piano_only: bool = False) -> np.ndarray:
    """(n, 4) onset, offset, MIDI note, velocity of a render."""
    notes = labels["notes"]
    chosen: np.ndarray = notes[notes[:, 4] == PIANO, :4] if piano_only else notes[:, :4]
    return chosen
