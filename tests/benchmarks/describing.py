"""`describe`: how often tempo and key are right, and how long it takes, beside librosa on the middle minute.

``MIRCLR_TEMPO=DIR`` names a folder with audio files and labels.csv (file, bpm, key): music of known tempo, such as
renderings of MIDI.
"""

import csv
import os
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mirclr.audio import read_excerpts, read_sections, resample
from mirclr.audio.key import KEYS, MAJOR, MINOR
from mirclr.ingest.description import describe_file
from mirclr.library import Description
from mirclr.models.embedder import Embedder

TEMPO = os.environ.get("MIRCLR_TEMPO")
_TIMED = 16  # songs
_NEAR = 0.04  # of a tempo, as the field counts it


def describe(checkpoint: Path) -> dict[str, Any]:
    """Accuracy and seconds a song of `mirclr describe` and of librosa, beside embedding, in one process."""
    if not TEMPO:
        raise SystemExit("describe: name the folder of music whose tempo is known by MIRCLR_TEMPO=DIR")
    with Path(TEMPO, "labels.csv").open(encoding="utf-8", newline="") as f:
        labels = list(csv.DictReader(f))
    files = [Path(TEMPO, row["file"]) for row in labels]
    embedder = Embedder.load(checkpoint)

    def embed(file: Path) -> None:
        excerpts = read_excerpts(file, count=embedder.excerpts, seconds=embedder.seconds, rate=embedder.rate)
        embedder.embed_excerpts(embedder.levelled(excerpts.waveforms))

    return {
        "songs": len(files),
        "describe": accuracy(list(map(describe_file, files)), labels),
        "librosa on the middle minute": accuracy(list(map(by_librosa, files)), labels),
        "seconds a song": {
            name: cpu_seconds(work, files[:_TIMED])
            for name, work in (("describe", describe_file), ("librosa", by_librosa), ("embed", embed))
        },
    }


def accuracy(found: Sequence[Description], labels: Sequence[dict[str, str]]) -> dict[str, float]:
    """Fractions that are right: of tempos, the same up to half, double and triple, and of keys where one is known."""
    ratios = [(of.tempo_bpm or 0) / float(row["bpm"]) for of, row in zip(found, labels, strict=True)]
    keys = [of.key == row["key"] for of, row in zip(found, labels, strict=True) if row.get("key")]
    times = (1, 2, 1 / 2, 3, 1 / 3)
    return {
        "tempo": _mean([abs(ratio - 1) < _NEAR for ratio in ratios]),
        "tempo or a multiple": _mean([any(abs(ratio / n - 1) < _NEAR for n in times) for ratio in ratios]),
        "key": _mean(keys),
    }


def _mean(right: Sequence[bool]) -> float:
    return round(float(np.mean(right)), 3) if right else float("nan")


def cpu_seconds(work: Callable[[Path], object], files: Sequence[Path]) -> float:
    """Seconds of a core a file, after one untimed file."""
    work(files[0])
    start = time.process_time()
    for file in files:
        work(file)
    return round((time.process_time() - start) / len(files), 3)


def by_librosa(file: Path) -> Description:
    """What `mirclr describe` did before: the tempo and the constant-Q chroma of librosa, pyloudnorm's loudness."""
    import librosa
    import pyloudnorm

    section = read_sections(file, count=1, seconds=60.0)[0]
    mono = resample(section.mono, section.rate, 22_050)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tempo = float(librosa.feature.tempo(y=mono, sr=22_050)[0])
        chroma = librosa.feature.chroma_cqt(y=mono, sr=22_050, hop_length=1024).mean(axis=1)
        profiles = [np.roll(profile, tonic) for profile in (MAJOR, MINOR) for tonic in range(12)]
        fits = [float(np.corrcoef(chroma, profile)[0, 1]) for profile in profiles]
        loudness = pyloudnorm.Meter(section.rate).integrated_loudness(section.samples.astype(np.float64))
    return Description(tempo, KEYS[int(np.argmax(fits))], max(fits), float(loudness))
