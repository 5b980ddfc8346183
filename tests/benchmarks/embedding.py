"""`embed`: tracks a second on whole songs, against decoding alone and against other extractors."""

import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mirclr.audio.decoding import decode_files
from mirclr.ingest.embedding import embed_files
from mirclr.library import LibraryStore
from mirclr.models.checkpoint import load_checkpoint
from mirclr.models.embedder import Embedder
from mirclr.processes import results_in_order
from mirclr.provenance import cache_dir
from tests.benchmarks import rivals
from tests.benchmarks.decoding import decode_whole
from tests.benchmarks.measuring import ROUNDS, load, seconds, songs

PROCESSES = 2
MUSICNN_SONGS = 6  # two of each format: it takes some seconds for each
RIVAL_S = 600  # the longest that a rival may take, or it hangs


def embed(checkpoint: Path) -> dict[str, Any]:
    """Tracks a second on whole songs, 2 processes each: embedding against decoding alone and other extractors."""
    files = songs()
    embedder = Embedder.load(checkpoint, device="cpu")
    by_torch = Embedder.of_model(load_checkpoint(checkpoint).model, name="torch", device="cpu")
    settings = {"count": embedder.excerpts, "seconds": embedder.seconds, "rate": embedder.rate}

    def whole(embedder: Embedder = embedder) -> None:
        with tempfile.TemporaryDirectory() as folder, LibraryStore.open(Path(folder) / "l.db", create=True) as library:
            outcomes = embed_files(library, [(str(f.parent), f) for f in files], embedder, workers=PROCESSES)
            assert all(o.did == "embedded" for o in outcomes)

    def excerpts() -> None:
        assert all(h.error is None for h in decode_files(files, workers=PROCESSES, **settings))

    def full() -> None:
        assert all(n > 0 for _, n in results_in_order(decode_whole, ((f,) for f in files), workers=PROCESSES))

    work: dict[str, Callable[[], Cost]] = {
        name: lambda do=do: cost(do, len(files))  # type: ignore[misc]
        for name, do in (
            ("embed", whole),
            ("embed by torch", lambda: whole(by_torch)),
            ("decode excerpts", excerpts),
            ("decode whole songs", full),
        )
    }
    pythons = {name: python for name in rivals.REQUIRES if (python := rival_python(name))}
    songs_of = {"bliss": files[::2], "musly": files[::2], "musicnn": files[: 2 * MUSICNN_SONGS : 2]}
    for name, python in pythons.items():
        work[name] = lambda name=name, python=python: cost_of_rival(python, name, songs_of[name])  # type: ignore[misc]
    whole(), excerpts()
    failed = {}
    for name in pythons:
        try:
            work[name]()  # warm too
        except subprocess.SubprocessError as error:
            failed[name] = str(error)[-200:]
            print(f"{name} is left out: {error}", flush=True)
            del work[name]
    before, rounds = load(), []
    for i in range(ROUNDS):
        rounds.append({name: do() for name, do in work.items()})
        print(f"round {i + 1} of {ROUNDS}, seconds and CPU-seconds a track: {rounds[-1]}", flush=True)

    def times(name: str, by: int) -> float:
        """The median over the rounds of what another costs, in costs of embed."""
        return round(statistics.median(r[name][by] / r["embed"][by] for r in rounds), 2)

    others = [name for name in work if name != "embed"]
    return {
        "tracks": len(files),
        "excerpts": embedder.excerpts,
        "load_before": before,
        "cpu": instructions(),
        "tracks_per_s": {name: round(1 / statistics.median(r[name][0] for r in rounds), 2) for name in work},
        "tracks_per_s_best": round(1 / min(r["embed"][0] for r in rounds), 1),
        "cpu_s_a_track": {name: round(statistics.median(r[name][1] for r in rounds), 3) for name in work},
        "ratio": round(statistics.median(r["embed"][0] / r["decode excerpts"][0] for r in rounds), 3),
        "times_as_fast_as": {name: times(name, 0) for name in others},
        "times_less_cpu_than": {name: times(name, 1) for name in others},
        "aim": "ratio <= 1.5; 80 times musicnn, 6 times bliss; 25 tracks/s on two quiet cores",
        "seconds_and_cpu_s_a_track": [{n: [round(x, 4) for x in c] for n, c in r.items()} for r in rounds],
        "rivals": {name: [*rivals.REQUIRES[name], *rivals.ALONE.get(name, ())] for name in pythons if name in work},
        "failed": failed,
        "cannot_be_installed_here": sorted(set(rivals.REQUIRES) - set(pythons)),
    }


def instructions() -> str:
    """Which of the instructions that matter to networks this CPU has, where Linux tells; else its kind."""
    about = Path("/proc/cpuinfo")
    flags = set(about.read_text().split()) if about.exists() else set()
    named = ("sse4_1", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "asimddp")
    return " ".join(name for name in named if name in flags) or platform.machine()


Cost = tuple[float, float]
"""Seconds and CPU-seconds a track: on a machine that others use too, the second says more."""


def cost(work: Callable[[], object], tracks: int) -> Cost:
    """The cost of work in this process and in those that it starts, their start included."""
    before = os.times()
    wall = seconds(work)
    for child in multiprocessing.active_children():
        child.join()  # only then their time is counted
    return wall / tracks, (sum(os.times()[:4]) - sum(before[:4])) / tracks


def rival_python(name: str) -> Path | None:
    """The Python of a rival's own environment, made the first time; None where the rival cannot be installed."""
    folder = cache_dir() / "benchmarks" / name
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = folder / "installed"
    if done.exists():
        return python
    print(f"installing {name} into an environment of its own", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    for what in (rivals.REQUIRES[name], *([("--no-deps", *rivals.ALONE[name])] if name in rivals.ALONE else [])):
        installed = subprocess.run([python, "-m", "pip", "install", "--quiet", *what], capture_output=True, text=True)
        if installed.returncode:
            print(f"{name} is left out: {installed.stderr.strip()}", flush=True)
            return None
    done.touch()
    return python


def cost_of_rival(python: Path, name: str, files: Sequence[Path]) -> Cost:
    """The cost of a rival, its processes being up and warm."""
    command = [str(python), rivals.__file__, name, str(PROCESSES), *map(str, files)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=RIVAL_S)
    measured = json.loads(done.stdout.splitlines()[-1])
    return measured["wall_s"] / len(files), measured["cpu_s"]
