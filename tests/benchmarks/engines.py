"""`engines`: one library in each engine of an index: to write it there, what is found, and how long that takes."""

import tempfile
import time
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mirclr.index import open_engine
from mirclr.library import Entry, LibraryStore
from mirclr.models.stamp import EncoderStamp
from mirclr.tags import Tags
from tests.benchmarks.measuring import load, seconds
from tests.benchmarks.scale import _centres, _rows
from tests.servers import MilvusServer, PostgresServer, running

TRACKS, DIM, QUERIES, K = 20_000, 128, 200, 20
CHANGED = 500


def engines() -> dict[str, Any]:
    """Engines of an index side by side, on one library of clustered vectors: seconds to write it there and to push 500
    changed tracks, recall of the 20 nearest against comparing with all, without a filter and under one that 5 % of the
    tracks pass, and milliseconds a query takes, one at a time.

    Milvus is Milvus Lite's server, which is written in Python; a cluster's is another.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        addresses = {
            "faiss": "faiss",
            "ivfpq": f"ivfpq:{folder / 'index'}",
            "Milvus Lite": f"{stack.enter_context(running(MilvusServer)).uri}/songs",
            "PostgreSQL": stack.enter_context(running(PostgresServer)).uri,
        }
        library = stack.enter_context(LibraryStore.open(folder / "lib.db", create=True))
        library.bind(EncoderStamp("d" * 32, "synthetic", DIM, 15, {}))
        centres, odds = _centres(TRACKS, DIM)
        _fill(library, range(TRACKS), _rows(centres, odds, TRACKS, 1))
        queries, changed = _rows(centres, odds, QUERIES, 0), _rows(centres, odds, CHANGED, 2)
        written = {name: seconds(partial(_push, library, at)) for name, at in addresses.items()}
        rows = {name: _measured(library, at, queries) for name, at in addresses.items()}
        _fill(library, range(CHANGED), changed)
        for name, at in addresses.items():
            rows[name] |= {
                "written_s": round(written[name], 2),
                "pushed_s": round(seconds(partial(_push, library, at)), 2),
            }
            print(name, rows[name], flush=True)
    return {
        "tracks": TRACKS,
        "dim": DIM,
        "k": K,
        "queries": QUERIES,
        "changed": CHANGED,
        "load": load(),
        "engines": rows,
    }


def _fill(library: LibraryStore, songs: range, vectors: np.ndarray) -> None:
    entries = [
        Entry("/music", f"{i}.ogg", 1, 1, f"f{i}", f"a{i}", 200.0, Tags(), v)
        for i, v in zip(songs, vectors, strict=True)
    ]
    library.write(entries=entries)


def _push(library: LibraryStore, address: str) -> None:
    with closing(open_engine(address)) as engine:
        engine.push(library)


def _measured(library: LibraryStore, address: str, queries: np.ndarray) -> dict[str, Any]:
    ids, matrix = library.compared()
    some = np.zeros(library.id_end(), bool)
    some[np.random.default_rng(3).choice(ids, len(ids) // 20, replace=False)] = True
    with closing(open_engine(address)) as engine:
        index, found = engine.open(library), dict[str, Any]()
        for name, allowed in (("", None), ("filtered_", some)):
            passing = np.ones(len(ids), bool) if allowed is None else allowed[ids]
            wanted = ids[passing][np.argsort(-(queries @ matrix[passing].T), axis=1)[:, :K]]
            index.search(queries[:1], K, allowed=allowed)
            taken, recall = [], []
            for query, row in zip(queries, wanted, strict=True):
                start = time.perf_counter()
                _, near = index.search(query[None], K, allowed=allowed)
                taken.append(1e3 * (time.perf_counter() - start))
                recall.append(len(np.intersect1d(near[0], row)) / K)
            found |= {
                f"{name}recall": round(float(np.mean(recall)), 4),
                f"{name}p50_ms": round(float(np.percentile(taken, 50)), 2),
                f"{name}p99_ms": round(float(np.percentile(taken, 99)), 2),
            }
    return found
