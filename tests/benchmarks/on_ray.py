"""`on_ray`: the rate of `mirclr embed` on a Ray of this machine, against that without."""

import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from mirclr.cluster.embedding import embed_on_cluster
from mirclr.cluster.listing import list_songs
from mirclr.cluster.session import Cluster, session
from mirclr.ingest.embedding import embed_files
from mirclr.library import LibraryStore
from mirclr.models.embedder import Embedder
from tests.benchmarks.measuring import ROUNDS, corpus, load, seconds

WORKERS = 2


def on_ray(checkpoint: Path) -> dict[str, Any]:
    """Tracks a second on debian-games, 2 workers each: embedding by Ray against `mirclr embed`, alternating."""
    embedder = Embedder.load(checkpoint, device="cpu")
    files = sorted(file.resolve() for file in corpus())
    root = os.path.commonpath(files)

    def plain() -> None:
        with tempfile.TemporaryDirectory() as folder, LibraryStore.open(Path(folder) / "l.db", create=True) as library:
            outcomes = list(embed_files(library, [(root, f) for f in files], embedder, workers=WORKERS))
        assert not any(o.did == "failed" for o in outcomes)

    def by_ray() -> None:
        with tempfile.TemporaryDirectory() as folder:
            done = list(embed_on_cluster(list_songs([root]), folder, embedder, checkpoint, Cluster(WORKERS)))
        assert sum(one.embedded for one in done) == len(files)

    before, begin = load(), seconds(starting)
    with session(cores=WORKERS):
        plain(), by_ray()
        rounds = [(seconds(plain), seconds(by_ray)) for _ in range(ROUNDS)]
    return {
        "tracks": len(files),
        "workers": WORKERS,
        "load_before": before,
        "seconds": [[round(a, 3), round(b, 3)] for a, b in rounds],
        "tracks_per_s": {
            "embed": round(len(files) / statistics.median(a for a, _ in rounds), 2),
            "embed --on ray": round(len(files) / statistics.median(b for _, b in rounds), 2),
        },
        "ratio": round(statistics.median(a / b for a, b in rounds), 3),
        "seconds_to_start_ray": round(begin, 2),
        "aim": "ratio >= 0.9, both warm; a Ray of this machine alone is started once a run",
    }


def starting() -> None:
    """Start a Ray of this machine, and end it."""
    with session(cores=WORKERS):
        pass
