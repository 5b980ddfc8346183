"""`embed`: tracks a second on whole songs, against decoding alone and against other extractors."""

import json
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mirclr.embed import Embedder, embed_files, hear
from mirclr.library import Library
from mirclr.processes import results_in_order
from mirclr.provenance import cache_dir
from tests.benchmarks import rivals
from tests.benchmarks.decoding import decode_whole
from tests.benchmarks.measuring import ROUNDS, load, seconds, songs

PROCESSES = 2
MUSICNN_SONGS = 6  # two of each format: it takes some seconds for each


def embed(checkpoint: Path) -> dict[str, Any]:
    """Tracks a second on whole songs, 2 processes each: embedding against decoding alone and other extractors."""
    files = songs()
    embedder = Embedder.load(checkpoint)
    settings = {"count": embedder.excerpts, "seconds": embedder.seconds, "rate": embedder.rate}

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder, Library.open(Path(folder) / "l.db", create=True) as library:
            outcomes = embed_files(library, [(str(f.parent), f) for f in files], embedder, workers=PROCESSES)
            assert all(o.did == "embedded" for o in outcomes)

    def excerpts() -> None:
        assert all(h.error is None for h in hear(files, workers=PROCESSES, **settings))

    def full() -> None:
        assert all(n > 0 for _, n in results_in_order(decode_whole, ((f,) for f in files), workers=PROCESSES))

    work: dict[str, Callable[[], float]] = {
        name: lambda do=do: seconds(do) / len(files)  # type: ignore[misc]
        for name, do in (("embed", whole), ("decode excerpts", excerpts), ("decode whole songs", full))
    }
    pythons = {name: rival_python(name) for name in rivals.REQUIRES}
    heard = {"bliss": files[::2], "musly": files[::2], "musicnn": files[: 2 * MUSICNN_SONGS : 2]}
    for name, python in pythons.items():
        work[name] = lambda name=name, python=python: hear_by(python, name, heard[name])  # type: ignore[misc]
    whole(), excerpts()
    before, rounds = load(), []
    for i in range(ROUNDS):
        rounds.append({name: round(do(), 4) for name, do in work.items()})
        print(f"round {i + 1} of {ROUNDS}, seconds a track: {rounds[-1]}", flush=True)

    def median_of(ratio: Callable[[dict[str, float]], float], digits: int = 2) -> float:
        return round(statistics.median(map(ratio, rounds)), digits)

    return {
        "tracks": len(files),
        "excerpts": embedder.excerpts,
        "load_before": before,
        "tracks_per_s": {name: median_of(lambda r, name=name: 1 / r[name]) for name in work},  # type: ignore[misc]
        "tracks_per_s_best": round(1 / min(r["embed"] for r in rounds), 1),
        "ratio": median_of(lambda r: r["embed"] / r["decode excerpts"], 3),
        "times_as_fast_as": {
            name: median_of(lambda r, name=name: r[name] / r["embed"], 1)  # type: ignore[misc]
            for name in work
            if name != "embed"
        },
        "aim": "ratio <= 1.5; 80 times musicnn, 6 times bliss; 25 tracks/s on two quiet cores",
        "seconds_a_track": rounds,
        "rivals": {name: [*rivals.REQUIRES[name], *rivals.ALONE.get(name, ())] for name in rivals.REQUIRES},
    }


def rival_python(name: str) -> Path:
    """The Python of a rival's own environment, which is made the first time."""
    folder = cache_dir() / "benchmarks" / name
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = folder / "installed"
    if not done.exists():
        print(f"installing {name} into an environment of its own", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        _pip(python, rivals.REQUIRES[name])
        if name in rivals.ALONE:
            _pip(python, ("--no-deps", *rivals.ALONE[name]))
        done.touch()
    return python


def _pip(python: Path, what: Sequence[str]) -> None:
    subprocess.run([python, "-m", "pip", "install", "--quiet", *what], check=True, stderr=subprocess.DEVNULL)


def hear_by(python: Path, name: str, files: Sequence[Path]) -> float:
    """Seconds a file that a rival takes, its processes being up."""
    command = [str(python), rivals.__file__, name, str(PROCESSES), *map(str, files)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1])["wall_s"]) / len(files)
