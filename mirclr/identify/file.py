"""The file of postings beside a library: a line with a checksum and JSON, padded to 64 bytes; then its arrays.

Derived, and made again where it is damaged. Places and buckets are memory-mapped and not checked: whatever they say, a
clip is laid on the landmarks that the library holds before anything is said of it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from mirclr.identify.postings import Postings
from mirclr.provenance import read_header, write_arrays

_FORMAT = "mirclr-fingerprints 2"
_CHECKED, _MAPPED = ("ids", "made_ns", "begins"), ("starts", "places")
_KINDS: dict[int, "np.dtype[Any]"] = {4: np.dtype("<u4"), 8: np.dtype("<u8")}


def save(path: Path, postings: Postings, metadata: dict[str, Any]) -> None:
    """Write postings with metadata, JSON values; what is there is replaced at once.

    Raises
    ------
    OSError
        It cannot be written.
    """
    arrays = {name: np.ascontiguousarray(getattr(postings, name), "<i8") for name in _CHECKED}
    mapped = {name: np.ascontiguousarray(getattr(postings, name)) for name in _MAPPED}
    mapped = {name: array.astype(_KINDS[array.dtype.itemsize], copy=False) for name, array in mapped.items()}
    header = {
        "format": _FORMAT,
        **metadata,
        "sizes": {name: len(array) for name, array in arrays.items()},
        "digests": {name: xxhash.xxh3_64_hexdigest(array.data) for name, array in arrays.items()},
        "mapped": {name: [len(array), array.dtype.itemsize] for name, array in mapped.items()},
    }
    write_arrays(path, header, (*arrays.values(), *mapped.values()))


def load(path: Path) -> tuple[Postings, dict[str, Any]] | None:
    """Read postings and their metadata; None when there are none, they are of another format, or damaged."""
    try:
        with path.open("rb") as f:
            header, arrays = read_header(f, _FORMAT), {}
            for name in _CHECKED:
                arrays[name] = np.frombuffer(f.read(8 * int(header["sizes"][name])), "<i8")
                if xxhash.xxh3_64_hexdigest(arrays[name].data) != header["digests"][name]:
                    return None
            at = f.tell()
        for name in _MAPPED:
            count, kind = int(header["mapped"][name][0]), _KINDS[header["mapped"][name][1]]
            arrays[name] = np.asarray(np.memmap(path, kind, "r", at, (count,))) if count else np.zeros(0, kind)
            at += arrays[name].nbytes
        if path.stat().st_size != at:
            return None
        postings = Postings(**arrays)
        return (postings, header) if _fits(postings) else None
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        return None


def _fits(postings: Postings) -> bool:
    n = len(postings.ids)
    return (
        len(postings.made_ns) == n
        and len(postings.begins) == n + 1
        and len(postings.starts) == (1 << postings.bits.bucket) + 1
        and bool((np.diff(postings.begins) >= 0).all())
    )
