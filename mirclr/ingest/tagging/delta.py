"""A file's old bytes as differences from the new ones, so that a journal of changes stays small.

What is stored of a splice are runs: bytes as they were, or a stretch of the new file that is the same. A picture that
moved by a few bytes takes a line, and not its size.
"""

import base64
import zlib
from collections.abc import Sequence
from typing import Any

from mirclr.tags.block import Splice

_BLOCK = 64  # bytes that must agree before a stretch counts as the same
_MISSES = 1 << 13  # places without success after which only some are tried, so that no file takes minutes
_STRIDE = 61  # prime to `_BLOCK`, so that a stretch is still found within 4 KB
_SMALL = 256  # what is shorter is stored as it is


def encoded(old: bytes, new: bytes) -> list[Any]:
    """Runs that give `old` from `new`: text (base64 of packed bytes), or [start, length] of a stretch of `new`."""
    if len(old) <= _SMALL:
        return [_packed(old)] if old else []
    known = {new[at : at + _BLOCK]: at for at in range(len(new) - _BLOCK, -1, -_BLOCK)}
    runs: list[Any] = []
    begin = at = misses = 0
    while at + _BLOCK <= len(old):
        found = known.get(old[at : at + _BLOCK])
        if found is None:
            misses += 1
            at += 1 if misses < _MISSES else _STRIDE
            continue
        back = misses = 0
        while back < min(at - begin, found) and old[at - back - 1] == new[found - back - 1]:
            back += 1
        length = _BLOCK + _common(old, at + _BLOCK, new, found + _BLOCK)
        if at - back > begin:
            runs.append(_packed(old[begin : at - back]))
        runs.append([found - back, length + back])
        begin = at = at + length
    if begin < len(old):
        runs.append(_packed(old[begin:]))
    return runs


def decoded(runs: Sequence[Any], new: bytes) -> bytes:
    """The old bytes again.

    Raises
    ------
    ValueError
        The runs are none.
    """
    try:
        return b"".join(_part(run, new) for run in runs)
    except (zlib.error, TypeError) as error:
        raise ValueError("what is stored of the old file is damaged") from error


def _part(run: Any, new: bytes) -> bytes:
    if isinstance(run, str):
        return zlib.decompress(base64.b64decode(run, validate=True))
    start, length = map(int, run)
    if not 0 <= start <= start + length <= len(new):
        raise ValueError("a stretch outside of the file")
    return new[start : start + length]


def inverse(splices: Sequence[Splice], olds: Sequence[bytes]) -> list[tuple[int, int, list[Any]]]:
    """What takes ordered splices back: for each its place and length in the new file, and its runs."""
    taken: list[tuple[int, int, list[Any]]] = []
    moved = 0
    for splice, old in zip(splices, olds, strict=True):
        taken.append((splice.start + moved, len(splice.new), encoded(old, splice.new)))
        moved += len(splice.new) - splice.length
    return taken


def _common(a: bytes, i: int, b: bytes, j: int) -> int:
    """How many bytes agree from there on."""
    length, step = 0, 1 << 16
    while step:
        part = a[i + length : i + length + step]
        if part and part == b[j + length : j + length + len(part)]:
            length += len(part)
        else:
            step //= 4
    return length


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode()
