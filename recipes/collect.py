"""Gather what a run wrote into one results.json: ``collect.py RUN RESULTS.json``.

Takes the run's recipe, provenance and curves and, where they are there, the JSON that `mirclr evaluate` and another
scorer printed into RUN/retrieval.json, RUN/probe.json and RUN/score.json. Paths are left out.
"""

import json
import sys
from pathlib import Path
from typing import Any

from mirclr.models.checkpoint import load_checkpoint

EVERY = 100  # steps between the points of a curve that are kept


def read(path: Path) -> Any:
    """A JSON file, or None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def main(run: Path, results: Path) -> None:
    """Write `results` from what is in the folder `run`."""
    checkpoint = load_checkpoint(run / "encoder.safetensors")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    out: dict[str, Any] = {
        "recipe": checkpoint.recipe.name,
        "seed": checkpoint.recipe.seed,
        "encoder": checkpoint.digest,
        "provenance": checkpoint.provenance,
        "curve": [line for line in lines if line["step"] % EVERY == 0 or "knn_accuracy" in line],
    }
    for name in ("retrieval", "probe", "score"):
        found = read(run / f"{name}.json")
        if found is not None:
            out[name] = {key: value for key, value in found.items() if key != "labels"}
    results.write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
