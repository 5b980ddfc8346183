"""Gather the curves of a run into results.json: ``collect.py RUN RESULTS.json``. Paths are left out."""

import json
import sys
from pathlib import Path
from typing import Any

from mirclr.checkpoint import load_checkpoint


def main(run: Path, results: Path) -> None:
    """Write `results` from what is in the folder `run`."""
    out: dict[str, Any] = {"provenance": load_checkpoint(run / "encoder.safetensors").provenance}
    for name in ("curve", "curve-emotify"):
        file = run / f"{name}.json"
        if file.exists():
            found = json.loads(file.read_text(encoding="utf-8"))
            out[name] = {"tracks": found["tracks"], "points": found["points"]}
    results.write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
