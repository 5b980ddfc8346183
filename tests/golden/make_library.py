"""Makes library_v1.db, a library of schema version 1: run once, when that schema was new, and never again.

python -m tests.golden.make_library
"""

from pathlib import Path

import numpy as np

from mirclr.library import Entry, Failure, Library
from mirclr.models.stamp import EncoderStamp
from mirclr.tags import Tags

VECTORS = np.array([[3, 4, 0], [0, 0, -2], [1, 1, 1]], dtype=np.float32)
TAGS = (
    Tags("Für Elise", "Björk Łódź", "Œuvres", "Various", "Classical", 1810),
    Tags(title="Untitled"),
    Tags(),
)
STAMP = EncoderStamp("d" * 32, "golden.safetensors", 3, 8, {"audio": {"rate": 16000}})


def make(path: Path) -> None:
    entries = [
        Entry("/music", f"disc {i}/{i}.ogg", 1000 + i, 2000 + i, f"f{i}", f"a{i}", 60.5 + i, tags, vector)
        for i, (tags, vector) in enumerate(zip(TAGS, VECTORS, strict=True))
    ]
    with Library.open(path, create=True) as library:
        library.bind(STAMP)
        library.write(entries=entries, failures=[Failure("/music", "bad.ogg", 5, 6, "not audio")])
        library.store_probabilities("genre", {1: {"classical": 0.75, "rock": 0.25}}, "h" * 32)


if __name__ == "__main__":
    make(Path(__file__).parent / "library_v1.db")
