"""`inverted_file`: mirclr.index against faiss's IndexIVFFlat with IDSelectorBitmap, at equal recall under masks."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import faiss
import numpy as np

from mirclr.index import EXACT, Base, base, build
from tests.benchmarks.measuring import load
from tests.benchmarks.recommending import synthetic

SIZES = (20_000, 100_000, 300_000)
VECTORS = "MIRCLR_VECTORS"
"""Names a .npy of (n, d) unit rows that are measured too."""
MASKS = {"all": 1.0, "30 %": 0.3, "5 %": 0.05, "1 %": 0.01, "0.1 %": 0.001}
QUERIES, ROUNDS, K = 60, 7, 20

Search = Callable[[np.ndarray, np.ndarray | None], np.ndarray]
"""((1, d) query, (n,) bool mask or None) -> the rows that are found, -1 where there are fewer."""


def inverted_file() -> dict[str, Any]:
    """Milliseconds a query for 20 of n tracks takes by mirclr.index and by faiss.IndexIVFFlat of the same clusters.

    IndexIVFFlat looks into as many clusters as give it the recall of ours, mask by mask; where ours compares with all
    tracks, faiss.IndexFlatIP stands beside it. One query at a time, alternating; the time includes the mask.
    """
    sizes = [int(float(s)) for s in os.environ.get("MIRCLR_SIZES", "").split(",") if s] or list(SIZES)
    measured = []
    for n in sizes:
        measured += _compared(np.concatenate(list(synthetic(n))), "synthetic clusters")
    if os.environ.get(VECTORS):
        rows = np.load(Path(os.environ[VECTORS])).astype(np.float32)
        measured += _compared(rows, "music")
    return {"k": K, "queries": QUERIES, "rounds": ROUNDS, "rows": measured, "load": load()}


def _compared(rows: np.ndarray, kind: str) -> list[dict[str, Any]]:
    n = len(rows)
    print(f"{n:,} tracks, {kind}", flush=True)
    found = []
    start = time.perf_counter()
    with mock.patch.object(base, "EXACT", 0):  # in clusters, whatever their number
        ours = build(np.arange(n), rows.copy())
    made = time.perf_counter() - start
    start = time.perf_counter()
    theirs = _ivf(ours)
    facts = {"tracks": n, "of": kind, "made_s": [round(made, 1), round(time.perf_counter() - start, 1)]}
    found += _under_masks(ours, {"IndexIVFFlat": theirs}, {**facts, "ours": "clusters"})
    if n <= EXACT:
        ours, flat = build(np.arange(n), rows), faiss.IndexFlatIP(rows.shape[1])
        flat.add(rows)
        found += _under_masks(ours, {"IndexFlatIP": flat}, {**facts, "ours": "all compared"})
    return found


def _ivf(ours: Base) -> Any:
    """IndexIVFFlat of the same clusters; added in the order of the rows."""
    dim = ours.matrix.shape[1]
    quantizer = faiss.IndexFlatIP(dim)
    quantizer.add(ours.centroids)
    index = faiss.IndexIVFFlat(quantizer, dim, len(ours.centroids), faiss.METRIC_INNER_PRODUCT)
    index.train(ours.matrix[:1])  # the quantizer is made already
    index.add(ours.matrix)
    return index


def _under_masks(ours: Base, others: dict[str, Any], facts: dict[str, Any]) -> list[dict[str, Any]]:
    rng = np.random.default_rng(5)
    queries = ours.matrix[rng.choice(len(ours), QUERIES, replace=False)]
    direction = ours.matrix @ rng.standard_normal(ours.matrix.shape[1]).astype(np.float32)
    masks = {name: None if part == 1 else rng.random(len(ours)) < part for name, part in MASKS.items()}
    masks["5 %, all on one side"] = direction > np.quantile(direction, 0.95)  # as of one genre
    rows = []
    for name, mask in masks.items():
        wanted = [_nearest(ours.matrix, q, mask) for q in queries]

        def our_search(query: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
            return ours.search(query, K, mask)[1][0]

        searches: dict[str, Search] = {"ours": our_search}
        probes = {}
        least = _recall(our_search, queries, mask, wanted)
        for other, index in others.items():
            searches[other], probes[other] = _as_good(index, queries, mask, wanted, least)
        times = _times(searches, queries, mask)
        row = {**facts, "mask": name, "ours_ms": _median(times["ours"]), "recall": round(least, 4)}
        for other in others:
            ratio = float(np.median(np.array(times[other]) / np.array(times["ours"])))
            reached = round(_recall(searches[other], queries, mask, wanted), 4)
            row |= {f"{other}_ms": _median(times[other]), f"{other}_recall": reached, "ratio": round(ratio, 2)}
            row |= {"probes": [ours.probes, probes[other]]} if probes[other] else {}
        rows.append(row)
        print(row, flush=True)
    return rows


def _nearest(matrix: np.ndarray, query: np.ndarray, mask: np.ndarray | None) -> set[int]:
    products = matrix @ query
    if mask is not None:
        products[~mask] = -np.inf
    best = np.argpartition(-products, K)[:K]
    return set(best[products[best] > -np.inf].tolist())


def _recall(search: Search, queries: np.ndarray, mask: np.ndarray | None, wanted: list[set[int]]) -> float:
    found = [set(search(q[None], mask).tolist()) for q in queries]
    return float(np.mean([len(f & w) / max(1, len(w)) for f, w in zip(found, wanted, strict=True)]))


def _as_good(
    index: Any, queries: np.ndarray, mask: np.ndarray | None, wanted: list[set[int]], least: float
) -> tuple[Search, int | None]:
    """Search with as many probes as reach a recall; None where there are no clusters."""
    if not isinstance(index, faiss.IndexIVF):
        return _search(index, faiss.SearchParameters, {}), None
    probes = 1
    while True:
        search = _search(index, faiss.SearchParametersIVF, {"nprobe": probes})
        if probes == index.nlist or _recall(search, queries, mask, wanted) >= least:
            return search, probes
        probes = min(index.nlist, int(np.ceil(probes * 1.15)))


def _search(index: Any, parameters: type, asked: dict[str, int]) -> Search:
    def search(query: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        if mask is None:
            return index.search(query, K, params=parameters(**asked))[1][0]
        bits = np.packbits(mask, bitorder="little")
        selector = faiss.IDSelectorBitmap(bits)
        return index.search(query, K, params=parameters(sel=selector, **asked))[1][0]

    return search


def _times(searches: dict[str, Search], queries: np.ndarray, mask: np.ndarray | None) -> dict[str, list[float]]:
    """Milliseconds of each query, alternating; the median of rounds."""
    taken: dict[str, list[list[float]]] = {name: [] for name in searches}
    for _ in range(ROUNDS):
        rounds: dict[str, list[float]] = {name: [] for name in searches}
        for query in queries:
            for name, search in searches.items():
                start = time.perf_counter()
                search(query[None], mask)
                rounds[name].append((time.perf_counter() - start) * 1e3)
        for name, of in rounds.items():
            taken[name].append(of)
    return {name: np.median(of, axis=0).tolist() for name, of in taken.items()}


def _median(times: list[float]) -> float:
    return round(float(np.median(times)), 3)
