"""Gather the curves of a run into results.json, and print them: ``collect.py RUN RESULTS.json``. Paths are left out."""

import json
import sys
from pathlib import Path
from typing import Any

from mirclr.models.checkpoint import load_checkpoint


def table(points: list[dict[str, Any]]) -> str:
    """Markdown: a row for each number of labels, a column for each thing that was learned from."""
    names = list(dict.fromkeys(p["features"].removesuffix(".safetensors") for p in points))
    lines = [f"| labelled tracks | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for share in dict.fromkeys(p["share"] for p in points):
        of = [p for p in points if p["share"] == share]
        cells = [f"{p['accuracy']:.3f} ± {p['spread']:.3f}" for p in of]
        lines.append(f"| {of[0]['labelled']:.0f} ({share:.0%}) | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(run: Path, results: Path) -> None:
    """Write `results` from what is in the folder `run`."""
    out: dict[str, Any] = {"provenance": load_checkpoint(run / "encoder.safetensors").provenance}
    for name in ("curve", "curve-emotify"):
        file = run / f"{name}.json"
        if file.exists():
            found = json.loads(file.read_text(encoding="utf-8"))
            out[name] = {"tracks": found["tracks"], "points": found["points"]}
            print(f"{name}, {found['tracks']} tracks:\n\n{table(found['points'])}")
    results.write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
