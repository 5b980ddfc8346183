"""`startup`: how long the first answer takes."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mirclr.library import Entry, LibraryStore
from mirclr.models.embedder import Embedder
from mirclr.tags import Tags
from tests.benchmarks.measuring import alternate, seconds

TRACKS = 100_000


def startup(checkpoint: Path) -> dict[str, Any]:
    """Seconds of `mirclr --help`, and of `recommend` with 100,000 tracks, each against starting Python alone."""
    bare, with_numpy = _run("-c", "pass"), _run("-c", "import numpy")
    shown = alternate(_run("-m", "mirclr", "--help"), bare, 9)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "library.db"
        _fill(path, Embedder.load(checkpoint), TRACKS)
        recommend = _run("-m", "mirclr", "recommend", "title 4242", "--library", str(path))
        first = seconds(recommend)  # it makes the index, as after a change that embed did not make
        answered = alternate(recommend, with_numpy, 9)
    return {
        "help_s": _median(shown),
        "recommend_s": _median(answered),
        "recommend_without_index_s": round(first, 3),
        "tracks": TRACKS,
        "aim": "help_s < 0.3, recommend_s < 0.5",
        "help_and_bare_python": shown,
        "recommend_and_import_numpy": answered,
    }


def _run(*arguments: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def _median(pairs: dict[str, Any]) -> float:
    return round(float(np.median([first for first, _ in pairs["seconds"]])), 3)


def _fill(path: Path, embedder: Embedder, count: int) -> None:
    """A library of made-up tracks with random vectors of the encoder's dimension."""
    rng = np.random.default_rng(0)
    root = str(path.parent.resolve())
    with LibraryStore.open(path, create=True) as library:
        library.bind(embedder.stamp)
        for start in range(0, count, 5000):
            vectors = rng.standard_normal((min(5000, count - start), embedder.dim)).astype(np.float32)
            library.write(entries=[_entry(root, start + i, vector) for i, vector in enumerate(vectors)])


def _entry(root: str, i: int, vector: np.ndarray) -> Entry:
    tags = Tags(title=f"title {i}", artist=f"artist {i // 100}", album=f"album {i // 10}", genre=f"genre {i % 20}")
    return Entry(root, f"{i // 100}/{i}.ogg", 1, 1, f"{i:032x}", f"{i:032x}", 180 + i % 120, tags, vector)
