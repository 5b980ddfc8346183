"""Songs of POP909 and performances of Groove as pieces: on a piano, by a band, drums alone."""

import csv
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import mido
import numpy as np
from drum_machine import machine_drums
from pieces import BASS, DRUMS, MELODY, OTHER, PIANO, QUALITIES, SECOND, SUNG, Note, Part, Piece
from render import BANDS, bass, drums_on, fifths_of, seconds_at, timed  # of recipes/builtin
from voices import of_one_voice

_ROOTS = {n: i for i, n in enumerate(("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"))}
_ROOTS |= {"C#": 1, "D#": 3, "F#": 6, "G#": 8, "A#": 10, "Cb": 11, "B#": 0, "E#": 5, "Fb": 4}
_SAME = {"maj6": "maj", "min6": "min", "hdim7": "dim", "dim7": "dim", "sus2": "sus", "sus4": "sus", "sus4(b7)": "sus"}
_SAME |= {"minmaj7": "min"}
_MACHINES = (0, 8, 16, 24, 25, 25, 26)
VALID_OF = 10
"""Every tenth song of POP909 is held out."""


@dataclass(frozen=True)
class Performance:
    """Drums of Groove: what they are, and whether it is training, validation or test."""

    file: Path
    style: str
    bpm: float
    split: str
    beat: bool


def song_numbers(pop909: Path, split: str) -> list[str]:
    """Of a split, ``train`` or ``valid``."""
    every = sorted({file.name.split("-")[0] for file in pop909.glob("*-beat_midi.txt")})
    return [n for n in every if (int(n) % VALID_OF == 0) == (split == "valid")]


def performances(groove: Path, splits: tuple[str, ...]) -> list[Performance]:
    """Of some of its own splits: ``train``, ``validation``, ``test``."""
    with (groove / "info.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    found = [
        Performance(
            groove / r["midi_filename"],
            r["style"],
            float(r["bpm"]),
            r["split"],
            r["beat_type"] == "beat" and r["time_signature"] == "4-4",
        )
        for r in rows
        if r["split"] in splits
    ]
    return [one for one in found if one.file.exists()]


def parts_of(file: Path) -> dict[str, Part]:
    """The parts of a MIDI file by name, with their pedal."""
    midi = mido.MidiFile(file)
    found = {}
    tempi = sorted((tick, m.tempo) for track in midi.tracks for tick, m in timed(track) if m.type == "set_tempo")
    for i, track in enumerate(midi.tracks):
        part, down, pedal = Part(OTHER, []), {}, None
        for tick, m in timed(track):
            if m.type not in ("note_on", "note_off", "control_change"):
                continue
            second = seconds_at(tick, tempi, midi.ticks_per_beat)
            if m.type == "control_change":
                if m.control == 64 and m.value >= 64 and pedal is None:
                    pedal = second
                elif m.control == 64 and m.value < 64 and pedal is not None:
                    part.pedal.append((pedal, second))
                    pedal = None
                continue
            if m.note in down:
                begin, velocity = down.pop(m.note)
                part.notes.append((begin, second, m.note, velocity))
            if m.type == "note_on" and m.velocity:
                down[m.note] = (second, m.velocity)
        if part.notes:
            found[track.name.strip() or str(i)] = part
    return found


def read_song(pop909: Path, number: str) -> tuple[dict[str, Part], np.ndarray, np.ndarray]:
    """Parts (MELODY, BRIDGE, PIANO), beats and chords of a song, as of `Piece`."""
    parts = parts_of(next(pop909.glob(f"{number}-*.mid")))
    chords = []
    for line in (pop909 / f"{number}-chord_midi.txt").read_text().splitlines():
        begin, end, name = line.split()[:3]
        root, _, rest = name.split("/")[0].partition(":")
        quality = _SAME.get(rest, rest)
        if root in _ROOTS:
            kind = QUALITIES.index(quality if quality in QUALITIES else "other")
            chords.append((float(begin), float(end), _ROOTS[root], kind))
        else:
            chords.append((float(begin), float(end), -1, 0))
    return parts, beats_of_song(pop909, number), np.array(chords).reshape(-1, 4)


def beats_of_song(pop909: Path, number: str) -> np.ndarray:
    """(n, 2) float64, as of `Piece`."""
    rows = np.loadtxt(pop909 / f"{number}-beat_midi.txt", ndmin=2)
    downs = np.flatnonzero(rows[:, 2] > 0)  # downbeats of four, by the third column
    if len(downs) < 2:
        downs = np.flatnonzero(rows[:, 1] > 0)
    last = np.searchsorted(downs, np.arange(len(rows)), side="right") - 1
    gap = int(np.median(np.diff(downs))) if len(downs) > 1 else 4
    first = downs[0] if len(downs) else 0
    place = np.where(last >= 0, np.arange(len(rows)) - downs[last.clip(0)], (np.arange(len(rows)) - first) % gap) + 1
    return np.stack([rows[:, 0], place], axis=1)


def key_of_song(pop909: Path, number: str) -> tuple[int, bool]:
    """The key of most of a song: the pitch class of its tonic, and whether it is minor."""
    seconds: dict[tuple[int, bool], float] = {}
    for line in (pop909 / f"{number}-key_audio.txt").read_text().splitlines():
        begin, end, name = line.split()
        tonic, _, mode = name.partition(":")
        key = _ROOTS[tonic], mode.startswith("min")
        seconds[key] = seconds.get(key, 0.0) + float(end) - float(begin)
    return max(seconds, key=lambda key: seconds[key])


def _changed(part: Part, kind: int, up: int, pace: float, rng: np.random.Generator) -> Part:
    """Transposed, at another pace, and played by somebody else: other loudness, less even."""
    scale, even = rng.uniform(0.65, 1.25), rng.uniform(0.0, 0.012)
    notes = [
        (
            max(0.0, a / pace + float(rng.normal(0, even))),
            b / pace,
            int(np.clip(n + up, 21, 108)),
            int(np.clip(v * scale + rng.normal(0, 5), 10, 127)),
        )
        for a, b, n, v in part.notes
    ]
    notes = [(a, max(b, a + 0.04), n, v) for a, b, n, v in notes]
    return Part(kind, notes, [(a / pace, b / pace) for a, b in part.pedal])


def _moved(beats: np.ndarray, chords: np.ndarray, up: int, pace: float) -> tuple[np.ndarray, np.ndarray]:
    beats, chords = beats / [pace, 1], chords / [pace, pace, 1, 1]
    chords[:, 2] = np.where(chords[:, 2] >= 0, (chords[:, 2] + up) % 12, -1)
    return beats, chords


def on_piano(
    pop909: Path,
    number: str,
    rng: np.random.Generator,
    seconds: float,
    pace: float | None = None,
    first: int | None = None,
    sung: float = 0.0,
) -> Piece:
    """A song on a piano: its accompaniment, with the melody and the second voice or without, with pedal or without.

    How fast, and from which beat on, is drawn too, unless given; ``sung`` is how often somebody sings to it.
    """
    parts, beats, chords = read_song(pop909, number)
    up, drawn = int(rng.integers(-6, 7)), float(rng.uniform(0.8, 1.35))
    pace = drawn if pace is None else pace
    names = [["PIANO"], ["PIANO", "MELODY"], ["PIANO", "MELODY", "BRIDGE"]][rng.integers(3)]
    voices = []
    if sung and "MELODY" in parts and rng.random() < sung:
        names = names[:1]
        voices = [_sung(_changed(parts["MELODY"], MELODY, up, pace, rng))]
        if rng.random() < 0.15:  # alone: of its beats and chords little is heard
            first = int(np.searchsorted(beats[:, 0], parts["MELODY"].notes[0][0])) if first is None else first
            return Piece(voices, up=up).cut(float(beats[min(first, len(beats) - 1), 0]) / pace, seconds)
    played = [_changed(parts[n], PIANO, up, pace, rng) for n in names if n in parts]
    joined = Part(PIANO, [note for part in played for note in part.notes], played[0].pedal if played else [])
    beats, chords = _moved(beats, chords, up, pace)
    kind = rng.choice(["as it is", "none", "bars"])
    if kind == "none":
        joined.pedal = []
    elif kind == "bars":
        joined.pedal = [(a + 0.03, b - 0.03) for a, b in pairwise(beats[beats[:, 1] == 1, 0]) if b - a < 6]
    start = float(beats[rng.integers(0, max(1, len(beats) // 2)) if first is None else first, 0]) - 0.3
    return Piece([joined, *voices], beats, chords, up).cut(max(0.0, start), seconds)


def by_band(
    pop909: Path,
    number: str,
    drums: list[Performance],
    rng: np.random.Generator,
    seconds: float,
    pace: float | None = None,
    first: int | None = None,
    sung: float = 0.0,
    machines: float = 0.0,
    twice_as_fast: float = 0.0,
) -> Piece:
    """A song by a band: programs of General MIDI, a bass line made of its chords, drums, in styles or of anything.

    How fast, and from which beat on, is drawn too, unless given; ``sung`` is how often its melody is sung, the second
    voice less often, ``machines`` how often a drum machine plays, and ``twice_as_fast`` how often bass and drums
    of a slow song play a beat where it has half of one, which then is its beat.
    """
    parts, beats, chords = read_song(pop909, number)
    band = BANDS[rng.integers(len(BANDS))]
    up, drawn = int(rng.integers(-5, 7)), float(rng.uniform(*band.tempo))
    pace = drawn if pace is None else pace
    beats, chords = _moved(beats, chords, up, pace)
    if twice_as_fast and np.median(np.diff(beats[:, 0])) > 0.55 and rng.random() < twice_as_fast:
        beats = doubled(beats)
    styled = rng.random() < 0.6

    def program(of_band: tuple[int, ...]) -> int:
        return int(rng.choice(of_band)) if styled else int(rng.integers(0, 96))

    found = []
    wanted = (("MELODY", MELODY, band.lead), ("BRIDGE", SECOND, band.second), ("PIANO", OTHER, band.chords))
    for name, kind, programs in wanted:
        if name in parts and rng.random() < 0.9:
            part = _changed(parts[name], kind, up, pace, rng)
            part.program, part.volume = program(programs), int(rng.integers(60, 115))
            if kind == OTHER and band.fifths and styled:
                part.notes, part.pedal = fifths_of(part.notes), []
            part.kind = PIANO if kind == OTHER and part.program < 4 else part.kind
            if sung and kind != OTHER and rng.random() < (sung if kind == MELODY else sung / 3):
                part = _sung(part)
            found.append(part)
    in_bars = [(a, b, int(root), QUALITIES[int(q)] in ("min", "min7")) for a, b, root, q in chords if root >= 0]
    if rng.random() < 0.85:
        line: list[Note] = bass(in_bars, beats[np.argmax(beats[:, 1] == 1) :, 0], band.line, rng)
        found.append(Part(BASS, line, [], int(rng.choice(band.bass)), 0, int(rng.integers(80, 120))))
    fitting = [d for d in drums if d.beat and d.style.startswith(band.drums or ("none",))] or [
        d for d in drums if d.beat
    ]
    if machines and rng.random() < machines:
        found.append(
            Part(DRUMS, machine_drums(beats, rng), [], int(rng.choice(_MACHINES)), 0, int(rng.integers(80, 127)))
        )
    elif fitting and rng.random() < 0.8:
        one = fitting[rng.integers(len(fitting))]
        hits = in_bars_of_four(beats, drum_part(one).notes, one.bpm)
        found.append(Part(DRUMS, hits, [], int(rng.choice(band.kits)), 0, int(rng.integers(80, 127))))
    start = float(beats[rng.integers(0, max(1, len(beats) // 2)) if first is None else first, 0]) - 0.3
    return Piece(found, beats, chords, up).cut(max(0.0, start), seconds)


def doubled(beats: np.ndarray) -> np.ndarray:
    """With a beat between any two: of a bar of four beats there are two."""
    between = (beats[:-1, 0] + beats[1:, 0]) / 2
    times = np.sort(np.concatenate([beats[:, 0], between]))
    places = np.repeat(beats[:, 1], 2)[: len(times)] * 2 - 1 + np.arange(len(times)) % 2
    return np.stack([times, (places - 1) % 4 + 1], axis=1)


def _sung(part: Part) -> Part:
    """By a voice, which has one pitch at a time; how loud it is beside the others, in dB, is drawn when it is heard."""
    return replace(part, notes=of_one_voice(part.notes), pedal=[], program=SUNG)


def in_bars_of_four(beats: np.ndarray, performance: list[Note], bpm: float) -> list[Note]:
    """A performance bar on bar, as of `drums_on`: it begins anew after a bar that is no multiple of four beats."""
    downs = np.flatnonzero(beats[:, 1] == 1)
    uneven = downs[1:][np.diff(downs) % 4 != 0]
    hits: list[Note] = []
    for first, last in pairwise([*downs[:1], *uneven, len(beats) - 1]):
        if last - first >= 4:
            hits += drums_on(beats[first : last + 1, 0], performance, bpm)
    return hits


def unsteady(piece: Piece, rng: np.random.Generator) -> Piece:
    """Played at a tempo that wavers by some percent, slowly, as no metronome does."""
    depth, turn = rng.uniform(0.005, 0.04, 2), rng.uniform(0, 2 * np.pi, 2)
    turns_a_s = 2 * np.pi / rng.uniform([6, 20], [20, 60])

    def moved(t: Any) -> Any:
        t = np.asarray(t)[..., None]
        return (t[..., 0] + (depth / turns_a_s * (np.sin(turns_a_s * t + turn) - np.sin(turn))).sum(-1)).clip(0)

    def part_moved(part: Part) -> Part:
        notes = [(float(moved(a)), float(moved(b)), n, v) for a, b, n, v in part.notes]
        return replace(part, notes=notes, pedal=[(float(moved(a)), float(moved(b))) for a, b in part.pedal])

    beats, chords = piece.beats.copy(), piece.chords.copy()
    beats[:, 0], chords[:, :2] = moved(beats[:, 0]), moved(chords[:, :2])
    return replace(piece, parts=[part_moved(part) for part in piece.parts], beats=beats, chords=chords)


def drum_part(one: Performance) -> Part:
    """What a performance plays."""
    return Part(DRUMS, [note for part in parts_of(one.file).values() for note in part.notes])


def by_drums(one: Performance, rng: np.random.Generator, seconds: float, pace: float = 1.0) -> Piece:
    """A performance alone, as fast or at another pace; of beats in 4/4 the click that it was played to is its beat."""
    part = drum_part(one)
    part.notes = [(a / pace, b / pace, note, velocity) for a, b, note, velocity in part.notes]
    part.program, part.volume = int(rng.choice([0, 0, 8, 16, 24, 25, 32, 40])), 115
    last = max(b for _, b, _, _ in part.notes)
    beats = np.zeros((0, 2))
    if one.beat:
        at = np.arange(0, last, 60 / one.bpm / pace)
        beats = np.stack([at, np.arange(len(at)) % 4 + 1], axis=1)
    start = float(rng.uniform(0, max(0.0, last - seconds)))
    return Piece([part], beats).cut(start, min(seconds, last - start + 0.5))
