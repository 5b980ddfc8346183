"""The file of a base: a line with a checksum and JSON, padded to 64 bytes; then its arrays, little-endian.

It is memory-mapped, and checked by digests (xxh3) of its arrays, which notice what may befall a file on a disk, such as
other bits, zeros, pages in another order, or an end too early. Of a matrix above `_LARGE` bytes one page in sixteen is
checked.
"""

from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from mirclr.index.base import Base
from mirclr.provenance import read_header, write_arrays

_FORMAT = "mirclr-index 5"
_LARGE = 2**30
_WORDS = 1024  # of a page
_ARRAYS = (
    ("ids", "<i8"),
    ("starts", "<i8"),
    ("similarity_stats", "<f4"),
    ("centroids", "<f4"),
    ("directions", "<f4"),
    ("sketch", "<f4"),
    ("matrix", "<f4"),
)
_MAPPED = ("sketch", "matrix")


def save(path: Path, base: Base, metadata: dict[str, Any]) -> None:
    """Write a base with metadata, JSON values; what is there is replaced at once.

    Raises
    ------
    OSError
        It cannot be written.
    """
    arrays = [np.ascontiguousarray(getattr(base, name), dtype) for name, dtype in _ARRAYS]
    header = {
        "format": _FORMAT,
        **metadata,
        "probes": base.probes,
        "shapes": [list(a.shape) for a in arrays],
        "digests": [_digest(a) for a in arrays],
    }
    write_arrays(path, header, arrays)


def load(path: Path) -> tuple[Base, dict[str, Any]] | None:
    """Read a base and its metadata; None when there is none, it is of another format, or it is damaged."""
    try:
        with path.open("rb") as f:
            header, at = read_header(f, _FORMAT), f.tell()
        arrays = {}
        for (name, dtype), shape, digest in zip(_ARRAYS, header["shapes"], header["digests"], strict=True):
            array = _mapped(path, dtype, at, tuple(map(int, shape)))
            if _digest(array) != digest:
                return None
            arrays[name] = array if name in _MAPPED else np.array(array)
            at += array.nbytes
        base = Base(**arrays, probes=int(header["probes"]))
        if path.stat().st_size != at or not _fits(base):
            return None
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        return None
    return base, header


def _mapped(path: Path, dtype: str, at: int, shape: tuple[int, ...]) -> np.ndarray:
    if min(shape, default=0) < 0:
        raise ValueError(f"{path}: a shape of {shape}")
    return np.asarray(np.memmap(path, dtype, "r", at, shape)) if np.prod(shape) else np.zeros(shape, dtype)


def _fits(base: Base) -> bool:
    n, dim = base.matrix.shape
    clusters = len(base.centroids)
    return (
        n > 0
        and base.ids.shape == (n,)
        and base.similarity_stats.shape == (n, 2)
        and base.centroids.shape == (clusters, dim)
        and base.directions.shape == (base.sketch.shape[1], dim)
        and len(base.sketch) == n
        and (clusters == 0 or base.sketch.shape[1] > 0)
        and base.starts.shape == (clusters + 1,)
        and (clusters == 0 or (base.starts[-1] == n and bool((np.diff(base.starts) >= 0).all())))
    )


def _digest(array: np.ndarray) -> str:
    words = array.reshape(-1).view("<u4")
    digest = xxhash.xxh3_64()
    if array.nbytes > _LARGE:
        pages = words[: len(words) // _WORDS * _WORDS].reshape(-1, _WORDS)
        digest.update(np.ascontiguousarray(pages[::16]).data)
        words = words[-_WORDS:]
    digest.update(words.data)
    return digest.hexdigest()
