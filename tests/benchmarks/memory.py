"""`memory`: the peak of `mirclr embed`, all its processes together."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from mirclr.library import Library
from tests.benchmarks.measuring import songs

TRACKS = (100, 1_000, 10_000)
WORKERS = 2
BYTES = 400_000  # of an mp3: 10 s of 320 kbit/s, and more of less


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
    """Distinct files of some ten seconds and more: stretches of mp3 songs, whose frames stand by themselves."""
    sources = [file.read_bytes() for file in songs() if file.suffix == ".mp3"]
    each = -(-count // len(sources))
    for i in range(count):
        source, turn = sources[i % len(sources)], i // len(sources)
        start = round(turn / each * max(1, len(source) - BYTES))
        file = folder / f"{i // 1000}" / f"{i:05}.mp3"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(source[start : start + BYTES])


def _peaks(folder: Path, checkpoint: Path) -> dict[int, float]:
    """MiB, the highest until so many tracks were in the library."""
    library = folder / "library.db"
    line = ["embed", str(folder / "music"), "--library", str(library), "--checkpoint", str(checkpoint)]
    process = subprocess.Popen([sys.executable, "-m", "mirclr", *line, "--workers", str(WORKERS)])
    peaks, highest, done = {}, 0.0, 0
    while process.poll() is None:
        highest = max(highest, resident_mib(process.pid))
        if library.exists():
            with Library.open(library) as held:
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
