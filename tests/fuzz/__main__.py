"""Damaged files by the thousand: ``make fuzz``, or ``python -m tests.fuzz [--count N] [--seed N] [--kinds KIND…]``.

Whole files of every kind are made, damaged, and given to what reads them. Nothing may crash, hang, grow or be harmed:
whatever does is printed, its file is kept with what happened beside it, and the exit code is 1. A case is a function of
the seed, its kind and its number, so a run can be repeated; ``--file KIND FILE`` tries one file that was kept.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from mirclr.provenance import stamp
from tests.fuzz.checks import KINDS
from tests.fuzz.run import make_corpus, run, run_case

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "fuzz.json"


def main() -> int:
    """Read the arguments, run, print and write the summary."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="where failing files are kept")
    parser.add_argument("--file", nargs=2, metavar=("KIND", "FILE"), help="try one file, such as one that was kept")
    given = parser.parse_args()
    if given.file:
        kind, file = given.file
        with tempfile.TemporaryDirectory() as corpus:
            make_corpus(Path(corpus), [kind])
            told = run_case(kind, int(Path(file).name.split("-")[1]), given.seed, corpus, file)
        print(*(f"{name}: {value}" for name, value in told.items() if name != "content"), sep="\n")
        return "why" in told
    print(f"{given.count} cases, seed {given.seed}", flush=True)
    summary = run(given.count, given.seed, given.workers, given.kinds, given.keep)
    print(json.dumps(summary, indent=1))
    if given.kinds == list(KINDS):
        told = {"what": "damaged files of every kind", **summary, **stamp()}
        RESULTS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return bool(summary["violations"])


if __name__ == "__main__":
    sys.exit(main())
