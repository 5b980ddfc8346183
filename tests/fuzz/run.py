"""A run over damaged files: which cases there are, what came of them, and a summary."""

import collections
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mirclr.processes import begin_worker, results_in_order
from tests.fuzz.checks import KINDS, Broken, Case
from tests.fuzz.folders import check_folders
from tests.fuzz.mutate import mutated

LIMIT_S = 30.0
"""Seconds that a case may take, on a machine that others use too."""
LIMIT_MIB = 1024
"""Memory that a case may take above what its process had before."""


def run_case(kind: str, number: int, seed: int, corpus: str, file: str | None = None) -> dict[str, Any]:
    """Try one damaged file; what came of it, and the file itself where something does not hold."""
    chance = random.Random(f"{seed}:{kind}:{number}")
    whole = Path(corpus, kind)
    name, content = damaged(whole, chance)
    if file is not None:
        name, content = Path(file).name.split("-", 2)[-1], Path(file).read_bytes()
    told: dict[str, Any] = {"kind": kind, "number": number, "name": name}
    with tempfile.TemporaryDirectory(prefix="mirclr-fuzz-") as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        before, began = memory_mib(reset=True), time.perf_counter()
        try:
            told["came"] = KINDS[kind].check(Case(path, chance, whole))
        except MemoryError:
            raise
        except Broken as broken:
            told |= {"came": "HARM", "why": str(broken)}
        except Exception:
            told |= {"came": "CRASH", "why": traceback.format_exc()}
        told["seconds"] = time.perf_counter() - began
        told["mib"] = memory_mib()
        if told["mib"] - before > LIMIT_MIB:
            told |= {"came": "GREW", "why": f"{told['mib'] - before:.0f} MiB"}
    return told | ({"content": content} if "why" in told else {})


def damaged(whole: Path, chance: random.Random) -> tuple[str, bytes]:
    """The name and content of the file of a case."""
    samples = sorted(p for p in whole.iterdir() if not p.name.startswith("_"))
    sample = chance.choice(samples)
    content = mutated(sample.read_bytes(), [chance.choice(samples).read_bytes() for _ in range(2)], chance)
    return sample.name if chance.random() < 0.95 else chance.choice(samples).name, content


def memory_mib(reset: bool = False) -> float:
    """The most memory that this process had, where Linux tells it since the last reset; else since it began."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        told = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(told.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError, ValueError):
        if sys.platform == "win32":
            return 0.0
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1024)


def begin() -> None:
    """Ready a process: silent, and with an end to its memory."""
    begin_worker()
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (12 << 30, resource.RLIM_INFINITY))


def make_corpus(folder: Path, kinds: list[str]) -> None:
    """Make the whole files, a folder a kind."""
    made: dict[Callable[[Path], None], str] = {}
    for kind in kinds:
        make = KINDS[kind].make
        if make in made:
            shutil.copytree(folder / made[make], folder / kind)
            continue
        (folder / kind).mkdir()
        make(folder / kind)
        made[make] = kind


def jobs_of(count: int, seed: int, corpus: Path, kinds: list[str]) -> list[tuple[str, int, int, str]]:
    """The cases of a run, their kinds mixed."""
    shares = {kind: KINDS[kind].share for kind in kinds}
    of = {kind: max(1, round(count * share / sum(shares.values()))) for kind, share in shares.items()}
    jobs = [(kind, number, seed, str(corpus)) for kind, n in of.items() for number in range(n)]
    random.Random(seed).shuffle(jobs)
    return jobs


def run(count: int, seed: int, workers: int, kinds: list[str], keep: Path) -> dict[str, Any]:
    """All cases; a summary."""
    began = time.perf_counter()
    came: dict[str, collections.Counter[str]] = {kind: collections.Counter() for kind in kinds}
    slowest: dict[str, float] = dict.fromkeys(kinds, 0.0)
    peak, violations = 0.0, list[dict[str, Any]]()
    with tempfile.TemporaryDirectory(prefix="mirclr-corpus-") as made:
        corpus = Path(made)
        make_corpus(corpus, kinds)
        jobs = jobs_of(count, seed, corpus, kinds)
        results = results_in_order(run_case, jobs, workers=workers, begin=begin, seconds_for=lambda *_: LIMIT_S)
        for done, ((kind, number, *_), told) in enumerate(results, 1):
            if not isinstance(told, dict):  # its process ended
                name, content = damaged(corpus / kind, random.Random(f"{seed}:{kind}:{number}"))
                told = {"kind": kind, "number": number, "name": name, "came": told.name, "why": told.value}
                told["content"] = content
            came[kind][told["came"]] += 1
            slowest[kind] = max(slowest[kind], told.get("seconds", LIMIT_S))
            peak = max(peak, told.get("mib", 0.0))
            if "why" in told:
                violations.append(report(told, seed, keep))
            if done % 1000 == 0:
                print(f"{done} of {len(jobs)}: {len(violations)} violations", flush=True)
        folders = check_folders(corpus, seed, max(1, count // 1000)) if "embedding" in kinds else {}
    violations += folders.pop("violations", [])
    return {
        "cases": len(jobs),
        "seed": seed,
        "seconds": round(time.perf_counter() - began),
        "peak_mib": round(peak),
        "slowest_s": {kind: round(s, 2) for kind, s in slowest.items()},
        "came": {kind: dict(sorted(counts.items())) for kind, counts in came.items()},
        "folders": folders,
        "violations": violations,
    }


def report(told: dict[str, Any], seed: int, keep: Path) -> dict[str, Any]:
    """Print what does not hold, and keep its file with what happened beside it."""
    name = f"{told['kind']}-{told['number']}-{told['name']}"
    why = told["why"].strip().splitlines()[-1]
    print(f"{told['came']}: {name}: {why}", flush=True)
    keep.mkdir(parents=True, exist_ok=True)
    if "content" in told:
        (keep / name).write_bytes(told["content"])
    (keep / f"{name}.txt").write_text(f"seed {seed}\n{told['came']}\n{told['why']}\n", encoding="utf-8")
    return {"case": name, "came": told["came"], "why": why}
