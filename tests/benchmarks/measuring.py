"""What the measurements share: timing side by side, the songs, the encoder."""

import csv
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import soundfile

from mirclr.data.corpora import fetch_corpus
from mirclr.data.manifest import audio_files
from mirclr.provenance import cache_dir

EMOTIFY = "MIRCLR_EMOTIFY"
ROUNDS = 5
FORMATS = ("mp3", "ogg", "flac")


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def alternate(first: Callable[[], object], second: Callable[[], object], rounds: int) -> dict[str, Any]:
    """Seconds of two pieces of work, alternating after one untimed round, and the median ratio first / second."""
    first(), second()
    pairs = [(seconds(first), seconds(second)) for _ in range(rounds)]
    return {
        "seconds": [[round(a, 4), round(b, 4)] for a, b in pairs],
        "ratio": round(statistics.median(a / b for a, b in pairs), 3),
    }


def load() -> float | None:
    """How many processes wanted a core in the last minute, where the system counts them: 0 on a quiet machine."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def emotify() -> dict[Path, dict[str, str]]:
    """The files of Emotify, each with its row of labels.csv; the folder is named by the environment."""
    folder = Path(os.environ.get(EMOTIFY, ""))
    if not (folder / "labels.csv").is_file():
        sys.exit(f"{folder / 'labels.csv'} is not there; name the folder of Emotify: {EMOTIFY}=FOLDER")
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as f:
        return {(folder / row["file"]).resolve(): row for row in csv.DictReader(f)}


def corpus() -> list[Path]:
    """The audio files of debian-games."""
    root = fetch_corpus("debian-games/demo").audio_root
    return [file for file in audio_files(root) if isinstance(file, Path)]


def songs(sources: int = 20) -> list[Path]:
    """Whole songs of three to five minutes from debian-games, each as mp3, ogg and flac; made once."""
    folder = cache_dir() / "benchmarks" / "songs"
    chosen = [file for file in corpus() if 180 <= soundfile.info(file).duration <= 300][:sources]
    made = [folder / f"{i:02}.{kind}" for i in range(len(chosen)) for kind in FORMATS]
    for i, source in enumerate(chosen):
        missing = [file for file in made[3 * i : 3 * i + 3] if not file.exists()]
        if missing:
            _transcode(source, missing)
    return made


def _transcode(source: Path, targets: Sequence[Path]) -> None:
    samples, rate = soundfile.read(source, dtype="int16", always_2d=True)
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"part-{target.name}")
        with soundfile.SoundFile(part, "w", rate, samples.shape[1]) as out:
            for start in range(0, len(samples), rate):  # libsndfile crashes on a whole song at once
                out.write(samples[start : start + rate])
        part.replace(target)
