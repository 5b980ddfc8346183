"""`scale`: ten million vectors on one machine: an index by IVF-PQ, made from Parquet shards, and what it finds.

``python -m tests.benchmarks.scale FOLDER N DIM`` runs one size in a folder that is kept: what was begun there goes on.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.measuring import load

SIZES = (1_000_000, 10_000_000)
DIM, QUERIES, K = 64, 500, 20
SHARD = 100_000
LIBRARY = "0" * 32
SEED = 1
STEPS = ("write", "build", "truth", "search")


def scale() -> dict[str, Any]:
    """An IVF-PQ index of clustered vectors that neither memory nor a library holds, made from Parquet shards.

    How long it takes, how large it is, how much memory that takes (of its own, and with pages of mapped files), and
    what it finds for vectors that it does not hold, against comparing with all: recall of the 20 nearest, and how long
    a query takes, one at a time. Sizes by MIRCLR_SIZES; the folder, of some 450 bytes a vector, by MIRCLR_SCRATCH.
    """
    sizes = [int(float(s)) for s in os.environ.get("MIRCLR_SIZES", "").split(",") if s] or list(SIZES)
    measured = []
    for n in sizes:
        folder = Path(tempfile.mkdtemp(prefix="mirclr-", dir=os.environ.get("MIRCLR_SCRATCH")))
        try:
            measured.append(measure(folder, n, DIM))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(json.dumps(measured[-1]), flush=True)
    return {"dim": DIM, "k": K, "queries": QUERIES, "seed": SEED, "cores": os.cpu_count(), "rows": measured}


def measure(folder: Path, n: int, dim: int) -> dict[str, Any]:
    """Each step in a process of its own, whose memory is its own; a step whose result is there is not done again."""
    found: dict[str, Any] = {"vectors": n}
    for step in STEPS:
        result = folder / f"{step}.json"
        if not result.exists():
            command = [sys.executable, "-m", "tests.benchmarks.scale", str(folder), str(n), str(dim), step]
            subprocess.run(command, check=True)
        found |= json.loads(result.read_text())
    return found


def write(folder: Path, n: int, dim: int) -> dict[str, Any]:
    """Shards; one that is there is not written again."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    (folder / "shards").mkdir(exist_ok=True, parents=True)
    centres, odds = _centres(n, dim)
    np.save(folder / "queries.npy", _rows(centres, odds, QUERIES, 0))
    for shard in range(-(-n // SHARD)):
        file = folder / "shards" / f"{shard:05d}.parquet"
        if not file.exists():
            rows = _rows(centres, odds, min(SHARD, n - shard * SHARD), shard + 1)
            ids = np.arange(shard * SHARD, shard * SHARD + len(rows))
            vectors = arrow.FixedSizeListArray.from_arrays(rows.ravel(), dim)
            part = file.with_suffix(".part")
            parquet.write_table(arrow.table({"id": ids, "vector": vectors}), part, compression="none")
            part.replace(file)
    return {"shards_gb": round(sum(file.stat().st_size for file in (folder / "shards").iterdir()) / 1e9, 2)}


def truth(folder: Path, n: int, dim: int) -> dict[str, Any]:
    """The nearest vectors of each query by comparing with all."""
    import faiss

    from mirclr.index.index import merged
    from mirclr.index.shards import read_shards

    queries = np.load(folder / "queries.npy")
    near, found = np.zeros((QUERIES, 0), np.float32), np.zeros((QUERIES, 0), np.int64)
    for _, ids, matrix in read_shards(folder / "shards"):
        products, some = faiss.knn(queries, matrix, K, metric=faiss.METRIC_INNER_PRODUCT)
        near, found = merged(np.concatenate([near, products], 1), np.concatenate([found, ids[some]], 1), K)
    np.save(folder / "truth.npy", found)
    return {}


def build(folder: Path, n: int, dim: int) -> dict[str, Any]:
    """The index, from the shards."""
    from mirclr.index.address import Address
    from mirclr.index.collection import Holding
    from mirclr.index.quantized import About, QuantizedCollection
    from mirclr.index.shards import read_shards

    start, collection = time.perf_counter(), QuantizedCollection(Address.parse(f"ivfpq:{folder / 'index'}"))

    def work() -> float:
        collection.begin(LIBRARY, dim)
        for _, ids, matrix in read_shards(folder / "shards"):
            collection.upsert(LIBRARY, ids, matrix)
        read_s = time.perf_counter() - start
        collection.finish(Holding(LIBRARY, "synthetic", 1, n))
        return read_s

    read_s = collection.transaction(work)
    size = {f.suffix: f.stat().st_size for f in (folder / "index" / LIBRARY).iterdir()}
    about = About.read(folder / "index" / LIBRARY)
    assert about is not None
    return {
        "build_s": round(time.perf_counter() - start, 1),
        "build_cpu_s": round(time.process_time(), 1),
        "of_that_reading_s": round(read_s, 1),
        "index_gb": round(sum(size.values()) / 1e9, 3),
        "of_that_codes_gb": round(size.get(".faiss", 0) / 1e9, 3),
        "clusters": int(np.sqrt(n)),
        "probes": about.probes,
        "candidates": about.candidates,
        "recall_of_own_rows": about.recall,
        "load_at_build": load(),
    }


def search(folder: Path, n: int, dim: int) -> dict[str, Any]:
    """Queries, one at a time."""
    from mirclr.index.address import Address
    from mirclr.index.quantized import QuantizedCollection

    queries, wanted = np.load(folder / "queries.npy"), np.load(folder / "truth.npy")
    collection = QuantizedCollection(Address.parse(f"ivfpq:{folder / 'index'}"))
    start = time.perf_counter()
    collection.search(LIBRARY, queries[:1], K, None)
    first_s = time.perf_counter() - start
    found, taken = np.empty((QUERIES, K), np.int64), []
    for _ in range(2):  # what is measured is the second round
        taken = []
        for i in range(QUERIES):
            start = time.perf_counter()
            found[i] = collection.search(LIBRARY, queries[i : i + 1], K, None)[1][0]
            taken.append(1e3 * (time.perf_counter() - start))
    recall = np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(found, wanted, strict=True)])
    by_chance = K / n
    return {
        "recall": round(float(recall), 4),
        "chance": by_chance,
        "first_query_s": round(first_s, 3),
        "p50_ms": round(float(np.percentile(taken, 50)), 2),
        "p99_ms": round(float(np.percentile(taken, 99)), 2),
        "load_at_search": load(),
    }


def _centres(n: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Clusters of uneven sizes, 50 vectors each on average, as in `recommending.synthetic`."""
    rng = np.random.default_rng(SEED)
    clusters = max(20, n // 50)
    centres = rng.standard_normal((clusters, dim)).astype(np.float32) * _spread(dim)
    odds = rng.pareto(1.5, clusters) + 0.1
    return centres, np.cumsum(odds / odds.sum())


def _rows(centres: np.ndarray, odds: np.ndarray, many: int, part: int) -> np.ndarray:
    rng = np.random.default_rng([SEED, part])
    rows = centres[np.minimum(np.searchsorted(odds, rng.random(many)), len(centres) - 1)]
    rows = rows + 0.6 * rng.standard_normal(rows.shape).astype(np.float32) * _spread(rows.shape[1])
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _spread(dim: int) -> np.ndarray:
    return (np.arange(1, dim + 1) ** -0.5).astype(np.float32)


class _Memory(threading.Thread):
    """The most memory that this process had, of its own and with pages of files, where the system says it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.own_mib, self._done = 0.0, threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.2):
            self.own_mib = max(self.own_mib, self._of("RssAnon"))

    def end(self, step: str) -> dict[str, Any]:
        self._done.set()
        return {f"{step}_own_mib": round(self.own_mib), f"{step}_mib": round(self._of("VmHWM"))}

    @staticmethod
    def _of(what: str) -> float:
        status = Path("/proc/self/status")
        lines = status.read_text().splitlines() if status.exists() else []
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{what}:")), 0.0)


if __name__ == "__main__":
    where, of, components = Path(sys.argv[1]), int(float(sys.argv[2])), int(sys.argv[3])
    if len(sys.argv) < 5:
        where.mkdir(parents=True, exist_ok=True)
        print(json.dumps(measure(where, of, components)))
    else:
        memory, do = _Memory(), {"write": write, "build": build, "truth": truth, "search": search}[sys.argv[4]]
        memory.start()
        done = do(where, of, components)
        (where / f"{sys.argv[4]}.json").write_text(json.dumps(done | memory.end(sys.argv[4])))
        print(sys.argv[4], done, flush=True)
