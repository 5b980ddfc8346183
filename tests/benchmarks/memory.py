"""`memory`: the peak of `mirclr embed`, all its processes together."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from mirclr.audio import decode_blocks
from mirclr.library import LibraryStore
from tests.benchmarks.measuring import songs

TRACKS = (100, 1_000, 10_000)
WORKERS = 2
RATE, SECONDS = 16_000, 20  # long enough for 17 excerpts of 2 s


def memory(checkpoint: Path) -> dict[str, Any]:
    """Peak memory of `mirclr embed --workers 2` by the number of tracks done, in MiB, all its processes together."""
    with tempfile.TemporaryDirectory() as folder:
        _cut(Path(folder) / "music", max(TRACKS))
        peaks = _peaks(Path(folder), checkpoint)
    return {
        "peak_mib": {str(n): round(mib) for n, mib in peaks.items()},
        "aim": "under 1536 MiB, flat",
        "by": "the sum of resident sizes as ps states them: pages that processes share count in each",
    }


def _cut(folder: Path, count: int) -> None:
    """Distinct short files: stretches of songs, each from another place."""
    sources = songs()[::3]
    each = -(-count // len(sources))
    for i, source in enumerate(sources):
        waveform = np.concatenate(list(decode_blocks(source, rate=RATE)))
        part = folder / f"{i}"
        part.mkdir(parents=True)
        for j, start in enumerate(np.linspace(0, len(waveform) - SECONDS * RATE, each, dtype=int)):
            soundfile.write(part / f"{j:04}.flac", waveform[start : start + SECONDS * RATE], RATE)


def _peaks(folder: Path, checkpoint: Path) -> dict[int, float]:
    """MiB, the highest until so many tracks were in the library."""
    library = folder / "library.db"
    line = ["embed", str(folder / "music"), "--library", str(library), "--checkpoint", str(checkpoint)]
    process = subprocess.Popen([sys.executable, "-m", "mirclr", *line, "--workers", str(WORKERS)])
    peaks, highest, done = {}, 0.0, 0
    while process.poll() is None:
        highest = max(highest, resident_mib(process.pid))
        if library.exists():
            with LibraryStore.open(library) as held:
                done = held.info()["tracks"]
        for n in TRACKS:
            if done >= n and n not in peaks:
                peaks[n] = highest
                print(f"{done} tracks: {highest:.0f} MiB at most", flush=True)
        time.sleep(0.2)
    assert process.returncode == 0
    return peaks | {max(TRACKS): highest}


def resident_mib(pid: int) -> float:
    """The resident memory of a process and all that descend from it."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True).stdout
    rows = np.array([line.split() for line in listed.splitlines()], np.int64)
    family = {pid}
    while more := set(rows[np.isin(rows[:, 1], list(family)), 0].tolist()) - family:
        family |= more
    return float(rows[np.isin(rows[:, 0], list(family)), 2].sum() / 1024)
