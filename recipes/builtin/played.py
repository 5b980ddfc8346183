"""What recipes/transcription has rendered, as a corpus to learn from: ``played.py FOLDER [FOLDER …] > MANIFEST``.

Each FOLDER was written by its `play.py`: pianos and other sounds made up at random, bands, voices made up, drum
machines. Renders of its split ``train`` are listed by their paths from the parent of their folder, which all must
share. Those of one kind and folder are one album, so that they do not outweigh recordings (`examples.odds`).
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SHORTEST = 15.0  # seconds


def tracks(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of a manifest, of the renders of a folder."""
    rows = [json.loads(line) for file in folder.glob("pieces-*.jsonl") for line in file.read_text("utf-8").splitlines()]
    for row in sorted(rows, key=lambda row: str(row["name"])):
        if row["split"] == "train" and row["seconds"] >= SHORTEST:
            yield {
                "id": f"played/{folder.name}-{row['name']}",
                "path": f"{folder.name}/{row['name']}.wav",
                "duration_s": row["seconds"],
                "album": f"played-{folder.name}-{row['kind']}",
                "split": "train",
                "source": {"kind": "drums" if row["kind"] == "drums" else "music"},
            }


def main() -> None:
    """Print the manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    asked = parser.parse_args()
    for folder in asked.folders:
        for track in tracks(folder.resolve()):
            print(json.dumps(track))


if __name__ == "__main__":
    main()
