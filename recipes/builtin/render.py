"""Bands out of notes: ``render.py POP909 GROOVE OUT --songs N --drums M --font FILE.sf2 …``, rendered by fluidsynth.

A song of POP909 (melody, second voice, piano, chords, beats) is given to a band of a style: the melody to one
instrument, the piano's chords to others or to distorted guitars as fifths, a bass line made of the chords, and the
drums of a performance of Groove in that style, bar on bar. Then it is mastered, often hard. Performances alone, with
several kits, are ``drums``. OUT gets ogg files and ``tracks.jsonl``. Everything is drawn by the number of a song alone;
what is there is not made again. It needs fluidsynth, and mido from PyPI.
"""

import argparse
import csv
import json
import subprocess
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import mido
import numpy as np
import soundfile
from changes import compressed, levelled, limited, tilted

from mirclr.provenance import sha256_of

TICKS = 480
US_A_BEAT = 500_000  # the tempo of all files written here: a beat of ticks is half a second
RATE = 44_100
SECONDS = 75.0
SHORTEST = 8.0
PITCHES = {n: i for i, n in enumerate(("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"))}
PITCHES |= {"Db": 1, "D#": 3, "Gb": 6, "G#": 8, "A#": 10, "Cb": 11, "B#": 0, "E#": 5, "Fb": 4}


@dataclass(frozen=True)
class Band:
    """A style: programs of General MIDI to draw from, how the bass goes, and whose drums."""

    name: str
    lead: tuple[int, ...]
    chords: tuple[int, ...]
    second: tuple[int, ...]
    bass: tuple[int, ...]
    line: str
    drums: tuple[str, ...]
    kits: tuple[int, ...] = (0, 8, 16)
    tempo: tuple[float, float] = (0.9, 1.15)
    fifths: bool = False


BANDS = (
    Band("rock", (29, 30, 27, 53), (29, 30, 27), (16, 18, 29), (33, 34), "eighths", ("rock",), (0, 16), fifths=True),
    Band("metal", (30, 29), (30,), (30, 48), (34,), "sixteenths", ("rock", "punk"), (16,), (1.2, 1.6), fifths=True),
    Band("punk", (30, 29, 53), (30, 29), (29,), (34,), "eighths", ("punk",), (0, 16), (1.4, 1.8), fifths=True),
    Band("funk", (61, 65, 66, 27), (28, 7, 16), (61, 62), (36, 37), "slap", ("funk",), (0, 8), (0.95, 1.25)),
    Band("soul", (53, 66, 56, 17), (4, 5, 16, 26), (61, 48), (33, 37), "syncopated", ("soul", "gospel"), (0, 8)),
    Band(
        "hip-hop",
        (4, 11, 53, 80),
        (4, 5, 0, 26),
        (48, 89),
        (38, 39, 35),
        "sparse",
        ("hiphop",),
        (25, 26, 8),
        (0.7, 0.9),
    ),
    Band("jazz", (65, 66, 56, 11, 59), (0, 26, 4), (57, 71), (32, 35), "walking", ("jazz",), (32, 40), (0.9, 1.5)),
    Band("latin", (56, 73, 65, 24), (0, 24), (61, 57), (32, 33), "tumbao", ("latin", "afrocuban"), (0, 40)),
    Band("country", (25, 22, 110, 105), (25, 24, 27), (110, 49, 22), (32, 33), "alternating", ("country",), (0, 40)),
    Band("reggae", (53, 66, 17, 56), (27, 16), (61, 62), (33, 35), "sparse", ("reggae",), (0, 8), (0.7, 0.9)),
    Band("disco", (48, 53, 61, 80), (28, 4, 27), (48, 50), (33, 36), "octaves", ("dance", "funk"), (0, 24), (1.1, 1.3)),
    Band("pop", (53, 54, 80, 81), (0, 4, 25, 90), (50, 89, 48), (33, 38), "eighths", ("pop", "rock"), (0, 8, 25)),
    Band(
        "blues", (22, 29, 66, 27), (27, 16, 0), (16,), (32, 33), "walking", ("neworleans", "rock"), (0, 40), (0.6, 0.85)
    ),
    Band("folk", (73, 25, 22, 110, 40), (25, 24), (42, 21), (32,), "alternating", (), (0,), (0.8, 1.0)),
    Band(
        "electronic",
        (80, 81, 62, 87),
        (90, 81, 4),
        (95, 89),
        (38, 39),
        "sixteenths",
        ("dance", "hiphop"),
        (24, 25),
        (1.1, 1.4),
    ),
)
Note = tuple[float, float, int, int]  # beginning and end in seconds, pitch, velocity


def notes_of(file: Path) -> dict[str, list[Note]]:
    """Notes by the names of tracks."""
    midi = mido.MidiFile(file)
    tempi = sorted((t, m.tempo) for track in midi.tracks for t, m in timed(track) if m.type == "set_tempo")
    found: dict[str, list[Note]] = {}
    for i, track in enumerate(midi.tracks):
        open_notes: dict[int, tuple[float, int]] = {}
        notes = found.setdefault(track.name.strip() or str(i), [])
        for tick, message in timed(track):
            if message.type not in ("note_on", "note_off"):
                continue
            second = seconds_at(tick, tempi, midi.ticks_per_beat)
            if message.note in open_notes:
                begin, velocity = open_notes.pop(message.note)
                notes.append((begin, second, message.note, velocity))
            if message.type == "note_on" and message.velocity:
                open_notes[message.note] = (second, message.velocity)
    return found


def timed(track: mido.MidiTrack) -> list[tuple[int, mido.Message]]:
    """The messages of a track, each with its tick."""
    at, found = 0, []
    for message in track:
        at += message.time
        found.append((at, message))
    return found


def seconds_at(tick: int, tempi: list[tuple[int, int]], per_beat: int) -> float:
    """Seconds of a tick, by (tick, microseconds a beat) in order and the ticks of a beat."""
    second, last, tempo = 0.0, 0, US_A_BEAT
    for at, new in tempi:
        if at >= tick:
            break
        second, last, tempo = second + (at - last) * tempo / per_beat / 1e6, at, new
    return second + (tick - last) * tempo / per_beat / 1e6


def bass(
    chords: list[tuple[float, float, int, bool]], beats: np.ndarray, line: str, rng: np.random.Generator
) -> list[Note]:
    """A bass line for chords (beginning, end, root, minor) on beats."""
    notes = []
    for i, (at, after) in enumerate(pairwise(beats)):
        here = next(((root, minor) for begin, end, root, minor in chords if begin - 0.05 <= at < end - 0.05), None)
        if here is None:
            continue
        root, minor = here
        low, length = 28 + (root - 28) % 12, after - at
        third, fifth = low + (3 if minor else 4), low + 7
        pattern: list[tuple[float, float, int, int]] = {  # begins, lasts (beats), pitch, velocity
            "eighths": [(0, 0.45, low, 100), (0.5, 0.45, low, 90)],
            "sixteenths": [(k / 4, 0.2, low, 105 - 10 * (k % 2)) for k in range(4)],
            "slap": [(0, 0.2, low, 118), (0.5, 0.12, low + 12, 122), (0.75, 0.2, [low, fifth, low + 10][i % 3], 105)],
            "syncopated": [(0, 0.4, low, 100), (0.75, 0.25, [fifth, low + 12][i % 2], 92)],
            "sparse": [(0, 0.9, low, 110)] if i % 2 == 0 else [(0.5, 0.4, [low, fifth][i // 2 % 2], 95)],
            "walking": [(0, 0.9, [low, third, fifth, low + 9][i % 4], 92)],
            "tumbao": [(0.5, 0.5, fifth, 100)] if i % 2 == 0 else [(0, 1.4, low, 100)],
            "alternating": [(0, 0.8, [low, fifth - 12 if fifth - 12 >= 28 else fifth][i % 2], 98)],
            "octaves": [(0, 0.3, low, 105), (0.5, 0.3, low + 12, 100)],
        }[line]
        for begin, lasts, pitch, velocity in pattern:
            v = int(np.clip(velocity + rng.integers(-8, 9), 1, 127))
            notes.append((at + begin * length, at + (begin + lasts) * length, pitch, v))
    return notes


def drums_on(beats: np.ndarray, performance: list[Note], bpm: float) -> list[Note]:
    """A performance, its beats put where the beats are, again and again."""
    count = max(4, int(max((end for _, end, _, _ in performance), default=0) * bpm / 60 // 4 * 4))
    notes = []
    for first in range(0, len(beats) - 1, count):
        for begin, end, pitch, velocity in performance:
            place = begin * bpm / 60
            if place < count and first + place < len(beats) - 1:
                at = float(np.interp(first + place, np.arange(len(beats)), beats))
                notes.append((at, at + max(0.05, end - begin), pitch, velocity))
    return notes


def drum_notes(file: Path) -> list[Note]:
    """What a performance of Groove plays."""
    return [note for notes in notes_of(file).values() for note in notes]


def fifths_of(notes: list[Note]) -> list[Note]:
    """Power chords: the lowest of the notes that begin together, its fifth and its octave, low on a guitar."""
    by_time: dict[int, list[Note]] = {}
    for note in notes:
        by_time.setdefault(round(note[0] * 8), []).append(note)
    found = []
    for group in by_time.values():
        begin, end, pitch, velocity = min(group, key=lambda n: n[2])
        low = 40 + (pitch - 40) % 12
        found += [(begin, max(end, begin + 0.2), p, min(127, velocity + 25)) for p in (low, low + 7, low + 12)]
    return found


def write_midi(file: Path, parts: list[tuple[int, int, int, list[Note]]]) -> None:
    """Parts (channel, program, volume, notes) to a file; channel 9 is drums."""
    midi = mido.MidiFile(ticks_per_beat=TICKS)
    for channel, program, volume, notes in parts:
        track = mido.MidiTrack()
        events = [(0.0, 0, mido.Message("program_change", channel=channel, program=program))]
        events.append((0.0, 1, mido.Message("control_change", channel=channel, control=7, value=volume)))
        for begin, end, pitch, velocity in notes:
            events.append((begin, 3, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)))
            events.append((end, 2, mido.Message("note_off", channel=channel, note=pitch)))
        last = 0
        for second, _, message in sorted(events, key=lambda e: e[:2]):
            tick = round(second * 1e6 / US_A_BEAT * TICKS)
            track.append(message.copy(time=max(0, tick - last)))
            last = max(tick, last)
        midi.tracks.append(track)
    midi.save(file)


def played(parts: list[tuple[int, int, int, list[Note]]], font: Path, *, reverb: bool) -> np.ndarray:
    """(n,) float32 at `RATE`: parts by fluidsynth on a soundfont, as they are."""
    with tempfile.TemporaryDirectory() as folder:
        midi, wav = Path(folder) / "a.mid", Path(folder) / "a.wav"
        write_midi(midi, parts)
        effects = ["-R", "1" if reverb else "0", "-C", "0"]
        subprocess.run(
            ["fluidsynth", "-ni", "-g", "0.5", *effects, "-r", str(RATE), "-F", wav, font, midi],
            check=True,
            capture_output=True,
        )
        x = soundfile.read(wav, dtype="float32", always_2d=True)[0].mean(axis=1)[: round(SECONDS * RATE)]
    return np.asarray(x, np.float32)


def rendered(parts: list[tuple[int, int, int, list[Note]]], font: Path, rng: np.random.Generator) -> np.ndarray:
    """(n,) float32 at `RATE`, mastered."""
    x = levelled(played(parts, font, reverb=bool(rng.random() < 0.6)))
    if rng.random() < 0.5:
        x = tilted(x, rng.uniform(-2, 2))
    if rng.random() < 0.5:
        x = compressed(x, rng.uniform(2, 6), rng.uniform(0, 10))
    if rng.random() < 0.7:
        x = limited(levelled(x), rng.uniform(2, 14))
    return np.clip(levelled(x) * np.float32(1.5), -1, 1)


def song(
    folder: Path, number: str, band: Band, performances: list[tuple[Path, float]], rng: np.random.Generator
) -> list[tuple[int, int, int, list[Note]]]:
    """The parts of a song of POP909 as a band plays it."""
    tracks = (
        notes_of(folder / f"{number}-001.mid")
        if (folder / f"{number}-001.mid").exists()
        else notes_of(next(folder.glob(f"{number}-*.mid")))
    )
    beats = np.array([float(line.split()[0]) for line in (folder / f"{number}-beat_midi.txt").read_text().splitlines()])
    chords = []
    for line in (folder / f"{number}-chord_midi.txt").read_text().splitlines():
        begin, end, name = line.split()[:3]
        root = name.split(":")[0].split("/")[0]
        if root in PITCHES:
            chords.append((float(begin), float(end), PITCHES[root], ":min" in name))
    up = int(rng.integers(-5, 7))
    pace = rng.uniform(*band.tempo)
    start = float(beats[rng.integers(0, max(1, len(beats) // 3))])
    chords = [(a, b, (root + up) % 12, minor) for a, b, root, minor in chords]

    def moved(notes: list[Note], shift: int = 0) -> list[Note]:
        cut = [((a - start) / pace, (b - start) / pace, p + shift, v) for a, b, p, v in notes if a >= start]
        return [(a, b, int(np.clip(p, 0, 127)), v) for a, b, p, v in cut if a < SECONDS]

    piano = tracks.get("PIANO", [])
    chord_notes = fifths_of(piano) if band.fifths else piano
    parts = [
        (0, int(rng.choice(band.lead)), int(rng.integers(80, 115)), moved(tracks.get("MELODY", []), up)),
        (1, int(rng.choice(band.second)), int(rng.integers(50, 90)), moved(tracks.get("BRIDGE", []), up)),
        (2, int(rng.choice(band.chords)), int(rng.integers(60, 100)), moved(chord_notes, up)),
        (3, int(rng.choice(band.bass)), int(rng.integers(90, 120)), moved(bass(chords, beats, band.line, rng))),
    ]
    if band.fifths and rng.random() < 0.6:  # a second guitar
        parts.append((4, int(rng.choice(band.chords)), int(rng.integers(50, 90)), moved(chord_notes, up)))
    if performances:
        file, bpm = performances[rng.integers(len(performances))]
        volume = int(rng.integers(90, 127))
        parts.append((9, int(rng.choice(band.kits)), volume, moved(drums_on(beats, drum_notes(file), bpm))))
    keep = 1.0 if band.name not in ("hip-hop", "reggae") else rng.choice([0.0, 1.0])  # a beat alone, half of the time
    return [part for part in parts if part[0] != 0 or keep]


def performances_of(groove: Path) -> list[tuple[str, Path, float]]:
    """Style, file and tempo of the beats in 4/4."""
    with (groove / "info.csv").open(newline="") as f:
        rows = [r for r in csv.DictReader(f) if r["beat_type"] == "beat" and r["time_signature"] == "4-4"]
    found = [(r["style"], groove / r["midi_filename"], float(r["bpm"])) for r in rows]
    return [one for one in found if one[1].exists()]


def write(x: np.ndarray, name: str, kind: str, font: Path, out: Path) -> dict[str, Any]:
    """A file, and its line of the manifest."""
    file = out / f"{name}.ogg"
    with soundfile.SoundFile(file, "w", RATE, 1, "VORBIS", format="OGG") as f:
        for block in np.split(x, range(RATE, len(x), RATE)):  # libvorbis overflows its stack on long ones
            f.write(block)
    return {
        "id": f"rendered/{name}",
        "path": file.name,
        "duration_s": round(len(x) / RATE, 2),
        "album": name,
        "split": "train",
        "sha256": sha256_of(file),
        "source": {"kind": kind, "font": font.name},
    }


def main() -> None:
    """Render what is missing, and write the manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pop909", type=Path, help="folder of NNN-*.mid and their texts")
    parser.add_argument("groove", type=Path, help="folder of info.csv")
    parser.add_argument("out", type=Path)
    parser.add_argument("--songs", type=int, default=300)
    parser.add_argument("--drums", type=int, default=60)
    parser.add_argument("--font", type=Path, action="append", required=True)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    performed = performances_of(asked.groove)
    numbers = sorted({file.name.split("-")[0] for file in asked.pop909.glob("*-beat_midi.txt")})
    every = 1 + asked.songs // asked.drums if asked.drums else 0
    with (asked.out / "tracks.jsonl").open("a+", encoding="utf-8") as manifest:
        manifest.seek(0)
        there = {json.loads(line)["id"] for line in manifest}
        for i in range(asked.songs + asked.drums):
            rng = np.random.default_rng([17, i])
            font = asked.font[rng.integers(len(asked.font))]
            if every and i % every == 1:
                style, file, _ = performed[rng.integers(len(performed))]
                name, kind = f"drums-{i:04d}-{style.replace('/', '-')}", "drums"
            else:
                band, number = BANDS[i % len(BANDS)], numbers[rng.integers(len(numbers))]
                name, kind = f"{band.name}-{i:04d}-{number}", "music"
            if f"rendered/{name}" in there:
                continue
            if kind == "drums":
                parts = [(9, int(rng.choice([0, 8, 16, 24, 25, 26, 32, 40])), 110, drum_notes(file))]
            else:
                fitting = [(file, bpm) for style, file, bpm in performed if band.drums and style.startswith(band.drums)]
                parts = song(asked.pop909, number, band, fitting, rng)
            x = rendered(parts, font, rng)
            if np.abs(x).max() > 0.01 and len(x) > SHORTEST * RATE:
                manifest.write(json.dumps(write(x, name, kind, font, asked.out)) + "\n")
                manifest.flush()
                print(name, font.name, flush=True)


if __name__ == "__main__":
    main()
