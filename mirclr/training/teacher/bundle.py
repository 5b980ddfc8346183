"""Read the tensors of a TensorFlow V2 checkpoint (a "tensor bundle") without TensorFlow.

A bundle is two files. ``.data-00000-of-00001`` holds the tensors one after another, raw and little-endian. ``.index``
is a table sorted by key, in the layout of LevelDB: blocks of prefix-compressed entries, an index of the blocks, and a
footer of 48 bytes; each value is a protocol buffer that says where the tensor of that name lies. Both come from
outside, so every offset and length is checked before it is followed. Checksums are not: the file that they came in is
known by its digest.

References
----------
.. [1] LevelDB, "Table format", doc/table_format.md.
.. [2] TensorFlow, tensorflow/core/protobuf/tensor_bundle.proto.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np

from mirclr.errors import CheckpointError

_FOOTER, _TRAILER = 48, 5
_MAGIC = 0xDB4775248B80FB57
# DT_FLOAT, DT_INT32, DT_INT64
_TYPES: dict[int, np.dtype] = {1: np.dtype("<f4"), 3: np.dtype("<i4"), 9: np.dtype("<i8")}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types of a protocol buffer


class _Malformed(ValueError):
    """What is wrong inside the bytes; `read_bundle` adds in which file."""


def read_bundle(index: bytes, data: bytes, wanted: Callable[[str], bool], where: str) -> dict[str, np.ndarray]:
    """Read tensors by name.

    Parameters
    ----------
    index, data : bytes
        The whole ``.index`` file and the only shard of data.
    wanted : callable
        Takes a tensor's name and says whether to read it; two thirds of a bundle may be an optimizer's moments.
    where : str
        What to call the bundle in an error.

    Returns
    -------
    dict of str to ndarray
        float32, int32 or int64, each a copy of its own, by name.

    Raises
    ------
    CheckpointError
        The bytes are truncated or malformed, or a wanted tensor is of another type or in another shard.
    """
    try:
        tensors = {}
        for key, value in _entries_of_table(index):
            if key == b"":
                _check_header(value)
            elif wanted(name := _text(key)):
                tensors[name] = _tensor(name, value, data)
        return tensors
    except _Malformed as error:
        raise CheckpointError(f"{where}: not a TensorFlow checkpoint that can be read ({error})") from error


def _text(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise _Malformed("a name that is not UTF-8") from None


def _entries_of_table(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a table, in its order."""
    if len(table) < _FOOTER:
        raise _Malformed(f"its index has {len(table)} bytes; a footer alone has {_FOOTER}")
    footer = table[-_FOOTER:]
    if int.from_bytes(footer[-8:], "little") != _MAGIC:
        raise _Malformed("its index does not end in the mark of a table")
    _, at = _handle(footer, 0)  # of the block of metadata, which bundles leave empty
    place, _ = _handle(footer, at)
    for _, value in _entries_of_block(_block(table, *place)):
        yield from _entries_of_block(_block(table, *_handle(value, 0)[0]))


def _block(table: bytes, offset: int, size: int) -> bytes:
    end = offset + size
    if end + _TRAILER > len(table) - _FOOTER:
        raise _Malformed(f"a block at {offset} of {size} bytes reaches past its index")
    if table[end] != 0:
        raise _Malformed(f"a block at {offset} is compressed (kind {table[end]})")
    return table[offset:end]


def _entries_of_block(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Undo the prefix compression: each key says how many of its bytes are those of the key before it."""
    if len(block) < 4:
        raise _Malformed("a block without a count of restarts")
    end = len(block) - 4 - 4 * int.from_bytes(block[-4:], "little")
    if end < 0:
        raise _Malformed("a block with more restarts than bytes")
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or at + fresh + length > end:
            raise _Malformed("an entry that reaches past its block")
        key = key[:shared] + block[at : at + fresh]
        at += fresh
        yield key, block[at : at + length]
        at += length


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Read offset and size of a block; the second value is where the next one starts."""
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return (offset, size), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise _Malformed("a number that is cut off")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise _Malformed("a number of more than 64 bits")


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Fields of a protocol buffer: (number, value), nested messages as bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        value: int | bytes
        if kind == _VARINT:
            value, at = _varint(message, at)
        elif kind in (_FIXED64, _BYTES, _FIXED32):
            size, at = _varint(message, at) if kind == _BYTES else (8 if kind == _FIXED64 else 4, at)
            if at + size > len(message):
                raise _Malformed("a field that reaches past its message")
            value, at = message[at : at + size], at + size
        else:
            raise _Malformed(f"a field of unknown kind {kind}")
        yield tag >> 3, value


def _number(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise _Malformed("bytes where a number belongs")
    return value


def _message(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise _Malformed("a number where a message belongs")
    return value


def _check_header(message: bytes) -> None:
    facts = {field: value for field, value in _fields(message) if field in (1, 2)}  # shards, endianness
    if facts.get(1, 1) != 1:
        raise _Malformed("its data is in more than one shard")
    if facts.get(2, 0) != 0:
        raise _Malformed("its data is big-endian")


def _tensor(name: str, message: bytes, data: bytes) -> np.ndarray:
    """Take the tensor that a BundleEntryProto describes."""
    facts = {1: 0, 3: 0, 4: 0, 5: 0}  # type, shard, offset, size; a protocol buffer leaves zeros out
    shape: list[int] = []
    for field, value in _fields(message):
        if field in facts:
            facts[field] = _number(value)
        elif field == 2:
            shape = [_size(_message(v)) for n, v in _fields(_message(value)) if n == 2]
        elif field == 7:
            raise _Malformed(f"{name} is stored in slices")
    kind, shard, offset, size = facts.values()
    dtype = _TYPES.get(kind)
    if dtype is None:
        raise _Malformed(f"{name} is of type {kind}; float32, int32 and int64 are read")
    if shard != 0:
        raise _Malformed(f"{name} is in shard {shard} of one")
    if offset + size > len(data):
        raise _Malformed(f"{name} reaches to byte {offset + size} of data that has {len(data)}")
    # Python's integers do not overflow, and a size that fits bounds every dimension, unless one of them is 0
    if math.prod(shape) * dtype.itemsize != size or size == 0 or len(shape) > 32:
        raise _Malformed(f"{name} has shape {shape} in {size} bytes")
    return np.frombuffer(data, dtype, size // dtype.itemsize, offset).reshape(shape).copy()


def _size(dimension: bytes) -> int:
    return next((_number(v) for n, v in _fields(dimension) if n == 1), 0)
