"""`latency`: how fast libraries of 10^4 to 10^6 tracks answer; `hubs`: what the correction of hubs changes."""

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import mirclr
from mirclr.index import build
from mirclr.library import Description, Entry, LibraryStore
from mirclr.metrics import k_occurrence, skewness
from mirclr.models.stamp import EncoderStamp
from mirclr.recommend import Query
from mirclr.recommend.ranking import mutual_proximity, products
from mirclr.tags import Tags
from tests.benchmarks.measuring import EMOTIFY, emotify, load

SIZES = (10_000, 100_000, 1_000_000)
DIM = 768
QUERIES = 300
BATCH = 5000
AIMS = {"plain, 10^6": "p99 10 ms", "filtered, 10^6": "p99 50 ms", "recall@20": ">= 0.95"}


def latency() -> dict[str, Any]:
    """Milliseconds that a query for 20 tracks takes in one warm process: p50, p99; and recall where not exact."""
    sizes = [int(float(s)) for s in os.environ.get("MIRCLR_SIZES", "").split(",") if s] or list(SIZES)
    measured = []
    for n in sizes:
        print(f"{n:,} tracks", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "l.db"
            with LibraryStore.open(path, create=True) as library:
                fill(library, n)
            measured.append(_measured(path, n))
            print(measured[-1], flush=True)
    _plot(measured)
    return {"of": f"clustered synthetic vectors of {DIM} components", "sizes": measured, "aims": AIMS, "load": load()}


def synthetic(n: int, seed: int = 1) -> Iterator[np.ndarray]:
    """Unit rows in batches: n / 50 clusters of uneven sizes, which lie in 64 dimensions, and noise in all."""
    rng = np.random.default_rng(seed)
    clusters = max(20, n // 50)
    basis = np.linalg.qr(rng.standard_normal((DIM, 64)))[0].T.astype(np.float32)
    scale = (np.arange(1, 65) ** -0.5).astype(np.float32)
    centres = (rng.standard_normal((clusters, 64)).astype(np.float32) * scale) @ basis
    odds = rng.pareto(1.5, clusters) + 0.1
    for start in range(0, n, BATCH):
        many = min(BATCH, n - start)
        rows = centres[rng.choice(clusters, many, p=odds / odds.sum())]
        rows = rows + 0.6 * (rng.standard_normal((many, 64)).astype(np.float32) * scale) @ basis
        rows += 0.02 * rng.standard_normal((many, DIM)).astype(np.float32)
        yield rows / np.linalg.norm(rows, axis=1, keepdims=True)


def fill(library: LibraryStore, n: int) -> None:
    library.bind(EncoderStamp("d" * 32, "synthetic", DIM, 15, {}))
    rng, at = np.random.default_rng(2), 0
    for rows in synthetic(n):
        entries = []
        for row in rows:
            artist = int(rng.integers(0, max(1, n // 12)))
            tags = Tags(
                title=f"title {at}",
                artist=f"artist {artist}",
                album=f"album {artist} {at % 2}",
                genre=("Rock", "Jazz", "Folk", "Pop")[artist % 4],
                year=1960 + int(rng.integers(0, 60)),
            )
            length = float(rng.uniform(100, 500))
            entries.append(Entry("/music", f"{at}.ogg", 1, 1, f"f{at}", f"a{at}", length, tags, row))
            at += 1
        library.write(entries=entries)
    library.store_descriptions(
        {i: Description(float(60 + i % 120), ("Am", "C", "F#m", "Eb")[i % 4], 0.5, -9.0) for i in range(1, n + 1)}
    )


def _measured(path: Path, n: int) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as another:  # as by `mirclr embed`
        built = another.submit(_make_index, path).result()
    if hasattr(os, "sync"):
        os.sync()  # gigabytes were just written
    with mirclr.Library.open(path) as library:
        start = time.perf_counter()
        index = library.index
        opened = time.perf_counter() - start
        seeds = rng.integers(0, n, QUERIES)
        kinds: dict[str, dict[str, Any]] = {
            "plain": {},
            "one year of sixty": {"year": (1990, 1990)},
            "tempo, key and length": {"bpm": (90, 110), "key": "Am,compatible", "duration_s": (120, 480)},
            "a genre, without an artist": {"genre": ("Jazz",), "exclude": ("artist:artist 7",)},
            "three seeds": {"seeds": 3},
            "diverse": {"diversity": 0.3},
        }
        timed(library, seeds, {})  # what is on the disk comes into memory
        found = {name: timed(library, seeds, asked) for name, asked in kinds.items()}
        result = {
            "tracks": n,
            "exact": index.is_exact,
            "index_made_s": round(built, 1),
            "index_opened_s": round(opened, 2),
            "ms": found,
        }
        if not index.is_exact:
            result["recall@20"] = _recall(index, rng)
            result["clusters"], result["probes"] = len(index._base.centroids), index._base.probes
        return result


def _make_index(path: Path) -> float:
    """How long it takes, in seconds."""
    with mirclr.Library.open(path) as library:
        start = time.perf_counter()
        _ = library.index
        return time.perf_counter() - start


def timed(library: mirclr.Library, seeds: np.ndarray, asked: dict[str, Any]) -> dict[str, float]:
    many = asked.get("seeds", 1)
    rest = {k: v for k, v in asked.items() if k != "seeds"}
    taken = []
    for i in range(len(seeds) // (1 if many == 1 else 3)):
        texts = tuple(f"/music/{seeds[(i * many + j) % len(seeds)]}.ogg" for j in range(many))
        start = time.perf_counter()
        answer = library.answer(Query(seeds=texts, **rest))
        taken.append(1000 * (time.perf_counter() - start))
        if len(answer.recommendations) != 20:
            sys.exit(f"{texts}: {len(answer.recommendations)} tracks for {rest}; expected 20")
    first, warm = taken[0], np.array(taken[1:])
    return {
        "p50": round(float(np.percentile(warm, 50)), 2),
        "p99": round(float(np.percentile(warm, 99)), 2),
        "first": round(first, 1),
    }


def _recall(index: Any, rng: np.random.Generator, k: int = 20) -> float:
    """Of tracks that are not in the index: each the middle of a track and noise."""
    rows = index._base.matrix[rng.integers(0, len(index), 60)]
    queries = rows + 0.3 * rng.standard_normal(rows.shape).astype(np.float32) / np.sqrt(rows.shape[1])
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    _, found = index.search(queries, k)
    wanted = [index._base.ids[np.argsort(-(index._base.matrix @ q))[:k]] for q in queries]
    return round(float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(found, wanted, strict=True)])), 4)


def _plot(measured: Sequence[dict[str, Any]]) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4))
    sizes = [m["tracks"] for m in measured]
    for name in measured[0]["ms"]:
        axes.plot(sizes, [m["ms"][name]["p99"] for m in measured], marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="tracks", ylabel="p99, ms")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(Path(__file__).parent / "results" / "latency.png", dpi=110)
    plt.close(figure)


def hubs(checkpoint: Path) -> dict[str, Any]:
    """Skewness of N_10 and same-artist mAP of real libraries by cosine alone and with hubs corrected."""
    from mirclr.data.corpora import fetch_corpus
    from mirclr.data.manifest import read_manifest

    found = {}
    for name in ("debian-games", "debian-more"):
        fetched = fetch_corpus(name)
        tracks = [
            t
            for t in read_manifest(fetched.manifest)
            if (fetched.audio_root / t.path).exists() and (t.source or {}).get("kind") != "voice"
        ]
        found[name] = _corrected(
            _embedded([fetched.audio_root / t.path for t in tracks], checkpoint), [t.artist or "" for t in tracks]
        )
    if Path(os.environ.get(EMOTIFY, ""), "labels.csv").is_file():
        rows = emotify()
        found["emotify"] = _corrected(_embedded(list(rows), checkpoint), [row["artist"] for row in rows.values()])
    return {"of": found, "columns": "by cosine, then corrected"}


def _embedded(files: Sequence[Path], checkpoint: Path) -> np.ndarray:
    from mirclr.audio.decoding import decode_files
    from mirclr.models.embedder import Embedder

    embedder = Embedder.load(checkpoint)
    rows = []
    for decoded in decode_files(files, count=embedder.excerpts, seconds=embedder.seconds, rate=embedder.rate):
        if decoded.excerpts is None:
            sys.exit(decoded.error)
        rows.append(embedder.embed_track(decoded.excerpts.waveforms))
    return np.stack(rows)


def _corrected(vectors: np.ndarray, artists: list[str]) -> dict[str, Any]:
    stats = build(np.arange(len(vectors), dtype=np.int64), vectors).similarity_stats
    plain = products(vectors, vectors)
    scored: dict[str, np.ndarray] = {"cosine": plain, "corrected": mutual_proximity(plain, stats, stats)}
    return {"tracks": len(vectors)} | {name: _scores(scores, artists) for name, scores in scored.items()}


def _scores(scores: np.ndarray, artists: list[str]) -> dict[str, float]:
    scores = scores.copy()
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :-1]
    labels = np.array(artists)
    maps = []
    for i in np.flatnonzero(labels != ""):
        hits = labels[order[i]] == labels[i]
        if hits.any():
            maps.append(float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean()))
    times = k_occurrence(order[:, :10], len(scores))
    return {
        "skewness": round(float(skewness(times)), 3),
        "never_among_the_ten": round(float((times == 0).mean()), 4),
        "artist_map": round(float(np.mean(maps)), 4),
    }
