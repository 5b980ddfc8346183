"""A manifest of the songs of tests/audio, the last of the split valid, for run.sh --smoke: ``smoke.py FILE``."""

import sys
from pathlib import Path

from mirclr.data.manifest import read_manifest, write_manifest

SONGS = Path(__file__).parents[1] / "smoke" / "tracks.jsonl"


def main(file: Path) -> None:
    """Write it."""
    *rest, last = read_manifest(SONGS)
    write_manifest(
        file,
        [
            *(track.model_copy(update={"split": "train"}) for track in rest),
            last.model_copy(update={"split": "valid"}),
        ],
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
