"""Nearest neighbours among a library's vectors; the only door to faiss.

Conventions: n tracks, q queries, k neighbours, d dimensions. Vectors are unit rows, so the inner product is
the cosine similarity. An index is derived from its library and never the only copy of anything: it is kept in
one file beside it, ``<library>.index``, and made again whenever that file is stale or damaged.

The file: one line of JSON (`_header`), padded to 64 bytes; n ids, int64; (n, d) float32; both little-endian.
It is memory-mapped, and checked by the sum of its 32-bit words: a tenth of the time of a CRC, and it notices what may
befall a file on a disk, such as other bits, zeros, or an end too early.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mirclr.errors import LibraryError, NoMatch
from mirclr.library import Library
from mirclr.provenance import writing

_FORMAT = "mirclr-index 2"
_ALIGN = 64


class NeighbourIndex(Protocol):
    """Finds the tracks whose vectors are nearest to given ones."""

    def __len__(self) -> int:
        """How many tracks it holds."""
        ...

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the k nearest tracks of each query.

        Parameters
        ----------
        queries : np.ndarray
            (q, d) float32, unit rows.
        k : int
            At least 1. Fewer come back when fewer are held.

        Returns
        -------
        similarities : (q, min(k, n)) float32
            Cosine, in descending order.
        ids : (q, min(k, n)) int64
            Track ids; the lowest first among equals.
        """
        ...


class ExactIndex:
    """Compares each query with every track.

    Parameters
    ----------
    ids : (n,) int64
    matrix : (n, d) float32, unit rows
        Not copied; may be memory-mapped.
    """

    def __init__(self, ids: np.ndarray, matrix: np.ndarray) -> None:
        self.ids, self.matrix = ids, matrix

    def __len__(self) -> int:
        return len(self.ids)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the k nearest tracks of each query; see `NeighbourIndex.search`."""
        import faiss

        queries = np.ascontiguousarray(queries, np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.matrix.shape[1]:
            raise LibraryError(
                f"the query has shape {queries.shape}; the library's vectors have "
                f"{self.matrix.shape[1]} components; query with vectors of its own encoder"
            )
        k = min(k, len(self))
        similarities, rows = faiss.knn(queries, self.matrix, k, metric=faiss.METRIC_INNER_PRODUCT)
        ids = self.ids[rows]
        order = np.lexsort((ids, -similarities), axis=1)
        return np.take_along_axis(similarities, order, 1), np.take_along_axis(ids, order, 1)


def open_index(library: Library) -> NeighbourIndex:
    """Give the index of a library: the one saved beside it, or else a new one, which is saved.

    Where it cannot be saved, as in a folder that may not be written, it is made again each time.

    Raises
    ------
    NoMatch
        The library holds no tracks.
    """
    path = library.path.with_name(library.path.name + ".index")
    with library.snapshot():
        facts = {"format": _FORMAT, "library": library.uuid, "generation": library.generation}
        saved = _load(path, facts)
        if saved is not None:
            return saved
        ids, matrix = library.vectors()
    if not len(ids):
        raise NoMatch(f"{library.path}: holds no tracks yet; embed some with: mirclr embed FOLDER")
    with suppress(OSError):
        _save(path, facts, ids, matrix)
    return ExactIndex(ids, matrix)


def _header(facts: dict[str, Any], ids: np.ndarray, matrix: np.ndarray) -> bytes:
    """The first line, compared whole: all in it must be the same in the library and the file."""
    n, dim = matrix.shape
    total = sum(int(words.view("<u4").sum(dtype="<u4")) for words in (ids, matrix)) % 2**32
    line = json.dumps({**facts, "count": n, "dim": dim, "sum": total}).encode()
    return line + b" " * (-(len(line) + 1) % _ALIGN) + b"\n"


def _save(path: Path, facts: dict[str, Any], ids: np.ndarray, matrix: np.ndarray) -> None:
    ids, matrix = ids.astype("<i8", copy=False), matrix.astype("<f4", copy=False)
    with writing(path, sync=False) as f:  # what is damaged is noticed, and made again
        f.write(_header(facts, ids, matrix))
        f.write(ids)
        f.write(matrix)


def _load(path: Path, facts: dict[str, Any]) -> ExactIndex | None:
    """The saved index; None when there is none, it is of another state of the library, or it is damaged."""
    try:
        with path.open("rb") as f:
            line = f.readline(4096)
        header = json.loads(line)
        n, dim = int(header["count"]), int(header["dim"])
        if n < 1 or dim < 1 or path.stat().st_size != len(line) + n * (8 + 4 * dim):
            return None
        ids = np.memmap(path, "<i8", "r", len(line), (n,))
        matrix = np.memmap(path, "<f4", "r", len(line) + 8 * n, (n, dim))
        if line != _header(facts, ids, matrix):
            return None
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        return None
    return ExactIndex(np.array(ids), np.asarray(matrix))
