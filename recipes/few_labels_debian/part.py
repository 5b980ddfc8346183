"""Part debian-games into an unlabelled side and tracks to be judged: ``part.py FOLDER``; prints the audio root.

The class of a track is its album, where an album has five tracks or more in the split `train`. Of each such album every
fourth track, in the order of the digests of their ids, is judged; versions of one recording stay on the other side.
Writes FOLDER/unlabelled.jsonl (never holds a judged track), FOLDER/labels.csv (all tracks of the albums) and
FOLDER/test.csv (the judged ones).
"""

import csv
import sys
from collections import Counter
from pathlib import Path

from mirclr.data.corpora import find_manifest
from mirclr.data.manifest import Track, read_manifest, write_manifest
from mirclr.provenance import digest_bytes

FEWEST, EVERY = 5, 4


def main(folder: Path) -> None:
    """Write the three files."""
    manifest, root = find_manifest("debian-games")
    tracks = [t for t in read_manifest(manifest) if t.split in ("train", None)]
    sizes = Counter(t.album for t in tracks)
    labelled = [t for t in tracks if t.album and sizes[t.album] >= FEWEST]
    judged: set[str] = set()
    for album in sorted({t.album or "" for t in labelled}):
        of = sorted((t for t in labelled if t.album == album), key=lambda t: digest_bytes(t.id.encode()))
        judged |= {t.id for t in of[EVERY - 1 :: EVERY] if not t.recording}
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(folder / "unlabelled.jsonl", [t for t in tracks if t.id not in judged])
    write_csv(folder / "labels.csv", labelled)
    write_csv(folder / "test.csv", [t for t in labelled if t.id in judged])
    print(root)


def write_csv(file: Path, tracks: list[Track]) -> None:
    """As `mirclr evaluate` takes it; without artists, as an album is its artist's."""
    with file.open("w", encoding="utf-8", newline="") as f:
        csv.writer(f).writerows([("file", "genre"), *((t.path, t.album) for t in tracks)])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
