"""Does contrast help where few pieces have labels? ``compare.py DATA RUNS``, with renders of play.py.

Networks of notes learn from 1, 10 and 100 % of the pieces, from nothing and after a stage of contrast on all of them
(`learn.py --contrast`), with equally many steps on labels. Each is measured by measure.py on renders of the split
``valid`` at several thresholds of onsets, of which the best one counts: networks that know little are sure of little.
What is there already is not made again, and training goes on where it stopped. Writes contrast.json and contrast.png
beside itself; takes hours on one core.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mirclr.pictures import new_figure
from mirclr.provenance import stamp

HERE = Path(__file__).resolve().parent
FRACTIONS = (0.01, 0.1, 1.0)
THRESHOLDS = ("0.3", "0.4", "0.5", "0.6", "0.7")
BEGINNINGS = ("scratch", "contrast")


def run(script: str, *words: object) -> str:
    """What one of the recipe's scripts prints."""
    command = [sys.executable, str(HERE / script), *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def learned(asked: argparse.Namespace, beginning: str, fraction: float) -> Path:
    """The folder of a network that has learned."""
    folder: Path = asked.runs / f"{beginning}-{fraction:g}"
    steps: list[object] = ["--steps", asked.steps, "--fraction", fraction]
    if beginning == "contrast":
        steps += ["--contrast", asked.contrast]
        if not (folder / "state.safetensors").exists():
            first = asked.runs / "contrast"
            run("learn.py", "notes", asked.data, first, "--contrast", asked.contrast, "--steps", 0)
            shutil.copytree(first, folder, dirs_exist_ok=True)
    run("learn.py", "notes", asked.data, folder, *steps)
    return folder


def measured(asked: argparse.Namespace, folder: Path) -> dict[str, dict[str, float]]:
    """By kind of render, the row of measure.py at the best threshold."""
    run("ship.py", folder, folder / "notes.onnx")
    tried = [word for threshold in THRESHOLDS for word in ("--onset", threshold)]
    lines = run("measure.py", folder / "notes.onnx", asked.data, "--pieces", asked.pieces, *tried).splitlines()
    best: dict[str, dict[str, float]] = {}
    for row in map(json.loads, lines):
        kind = row.pop("kind")
        if row["f1"] > best.get(kind, {"f1": -1.0})["f1"]:
            best[kind] = row
    return best


def draw(rows: Sequence[dict[str, Any]], to: Path) -> None:
    """F1 of onsets against the fraction of pieces."""
    figure = new_figure((7, 4), "the picture of contrast and scratch")
    axes = figure.add_subplot()
    for beginning, line in zip(BEGINNINGS, ("--", "-"), strict=True):
        for kind, colour in (("texture", "C0"), ("pop", "C1"), ("band", "C2")):
            some = [r for r in rows if r["beginning"] == beginning and kind in r["scores"]]
            if not some:
                continue
            x, y = [100 * r["fraction"] for r in some], [r["scores"][kind]["f1"] for r in some]
            axes.plot(x, y, line, color=colour, marker="o", label=f"{kind}, {beginning}")
    axes.set(xscale="log", xlabel="% of the pieces with labels", ylabel="F1 of notes (onset)", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(to, dpi=110)


def main() -> None:
    """Learn, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--steps", type=int, default=1000, help="on labels")
    parser.add_argument("--contrast", type=int, default=1000, help="steps of contrast before")
    parser.add_argument("--pieces", type=int, default=5, help="of each kind, to measure by")
    asked = parser.parse_args()
    rows = []
    for fraction in FRACTIONS:
        for beginning in BEGINNINGS:
            scores = measured(asked, learned(asked, beginning, fraction))
            rows.append({"beginning": beginning, "fraction": fraction, "scores": scores})
            print(json.dumps(rows[-1]), flush=True)
    found = {"steps": asked.steps, "contrast": asked.contrast, "rows": rows, "provenance": stamp()}
    (HERE / "contrast.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    draw(rows, HERE / "contrast.png")


if __name__ == "__main__":
    main()
