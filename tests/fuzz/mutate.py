"""How a file is damaged: in its bytes, its sizes, its texts and its order; the same for the same random numbers."""

import random
import re
from collections.abc import Callable, Sequence

MOST = 4 << 20
"""Bytes that a damaged file may have."""
_EXTREME = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
    2**63 - 1,
    2**64 - 1,
)
_NUMBERS = (b"-1", b"0", b"1e999", b"NaN", b"-0.0", b"9" * 30, b"7" * 5000, b"18446744073709551616", b"0x10", b"1e-400")
_SIGNS = (
    b"\x00",
    b"\x1b[2J",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xb3\xbf",
    b"\r",
    b"\n",
    b"\t",
    b'"',
    b"\\",
    b"'",
    b"%00",
    b"%ff",
    b"../" * 20,
    b"file://",
    b"http://127.0.0.1/",
    b"{" * 300,
    b"[" * 3000,
    "\u202eé\u200b👩\u200d🎤".encode(),
    b"&a *a <<: ",
    b"<!ENTITY a 'b'>",
    b",",
    b"A" * 5000,
)

Way = Callable[[bytearray, Sequence[bytes], random.Random], bytearray]


def mutated(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """A file that is damaged in one to a dozen ways.

    Parameters
    ----------
    data : bytes
        A whole file.
    others : sequence of bytes
        Files of the same kind, of which parts may come in.
    chance : random.Random
    """
    held = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6, 12))):
        held = chance.choice(_WAYS)(held, others, chance)
    return bytes(held[:MOST])


def _place(data: bytearray, chance: random.Random) -> int:
    """Anywhere, half of the time near an end, where headers and tags stand."""
    n = len(data)
    if not n:
        return 0
    near = chance.choice((n, n, 64, 512, 4096, -512))
    return chance.randrange(max(0, n + near), n) if near < 0 else chance.randrange(min(n, near))


def _length(data: bytearray, chance: random.Random) -> int:
    return min(len(data), int(2 ** chance.uniform(0, 16)))


def _flip(data: bytearray, others: Sequence[bytes], chance: random.Random) -> bytearray:
    for _ in range(int(2 ** chance.uniform(0, 6))):
        if data:
            data[_place(data, chance)] ^= 1 << chance.randrange(8)
    return data


def _number(data: bytearray, others: Sequence[bytes], chance: random.Random) -> bytearray:
    """A size, an offset or a count becomes an extreme one, or a little more or less."""
    size, at, order = chance.choice((1, 2, 3, 4, 8)), _place(data, chance), chance.choice(("little", "big"))
    part = data[at : at + size]
    now = int.from_bytes(part, order)
    new = chance.choice((*_EXTREME, now + 1, max(0, now - 1), now * 2, len(data), len(data) - at))
    data[at : at + size] = (new % 256 ** len(part)).to_bytes(len(part), order)
    return data


def _blank(data: bytearray, others: Sequence[bytes], chance: random.Random) -> bytearray:
    at, n = _place(data, chance), _length(data, chance)
    part = data[at : at + n]
    data[at : at + n] = bytes(len(part)) if chance.random() < 0.5 else chance.randbytes(len(part))
    return data


def _cut(data: bytearray, others: Sequence[bytes], chance: random.Random) -> bytearray:
    at = _place(data, chance)
    return data[:at] if chance.random() < 0.7 else data[at:]


def _take_out(data: bytearray, others: Sequence[bytes], chance: random.Random) -> bytearray:
    at = _place(data, chance)
    del data[at : at + _length(data, chance)]
    return data


def _repeat(data: bytearray, others: Sequence[bytes], chance: random.Random) -> bytearray:
    at = _place(data, chance)
    part, times = data[at : at + _length(data, chance)], int(2 ** chance.uniform(0, 8))
    return data[:at] + (part * times)[:MOST] + data[at:]


def _put_in(data: bytearray, others: Sequence[bytes], chance: random.Random) -> bytearray:
    at = _place(data, chance)
    data[at:at] = chance.choice((*_SIGNS, chance.randbytes(_length(data, chance)), bytes(_length(data, chance))))
    return data


def _splice(data: bytearray, others: Sequence[bytes], chance: random.Random) -> bytearray:
    """A part, the head or the tail of another file."""
    other = bytearray(chance.choice(others))
    at, there = _place(data, chance), _place(other, chance)
    n = _length(other, chance)
    return chance.choice(
        (data[:at] + other[there : there + n] + data[at:], data[:at] + other[there:], other + data, data + other)
    )


def _swap(data: bytearray, others: Sequence[bytes], chance: random.Random) -> bytearray:
    a, b = sorted((_place(data, chance), _place(data, chance)))
    n = min(_length(data, chance), b - a)
    data[a : a + n], data[b : b + n] = data[b : b + n], data[a : a + n]
    return data


def _digits(data: bytearray, others: Sequence[bytes], chance: random.Random) -> bytearray:
    """A number that is written out."""
    found = [m.span() for m in re.finditer(rb"\d+", bytes(data[: 1 << 16]))]
    if found:
        start, end = chance.choice(found)
        data[start:end] = chance.choice(_NUMBERS)
    return data


def _word(data: bytearray, others: Sequence[bytes], chance: random.Random) -> bytearray:
    """A word becomes another, or a strange one."""
    found = [m.span() for m in re.finditer(rb"[A-Za-z]{2,20}", bytes(data[: 1 << 16]))]
    if found:
        (start, end), (a, b) = chance.choice(found), chance.choice(found)
        data[start:end] = chance.choice((*_SIGNS, bytes(data[a:b]), b"null", b"true", b""))
    return data


def _lines(data: bytearray, others: Sequence[bytes], chance: random.Random) -> bytearray:
    """Lines in another order, left out, many times, or ended otherwise."""
    lines = bytes(data).split(b"\n")
    how = chance.randrange(4)
    if how == 0:
        chance.shuffle(lines)
    elif how == 1:
        del lines[chance.randrange(len(lines))]
    elif how == 2:
        at = chance.randrange(len(lines))
        lines[at:at] = [lines[at]] * int(2 ** chance.uniform(0, 10))
    return bytearray(chance.choice((b"\n", b"\r\n", b"\r") if how == 3 else (b"\n",)).join(lines)[: 2 * MOST])


def _encode(data: bytearray, others: Sequence[bytes], chance: random.Random) -> bytearray:
    """As a text of another encoding."""
    text = bytes(data[: 1 << 18]).decode("latin-1")
    return bytearray(text.encode(chance.choice(("utf-16", "utf-16-be", "utf-8-sig", "utf-7", "utf-32"))))


_WAYS: tuple[Way, ...] = (
    _flip,
    _flip,
    _number,
    _number,
    _number,
    _blank,
    _cut,
    _take_out,
    _repeat,
    _put_in,
    _splice,
    _swap,
    _digits,
    _word,
    _lines,
    _encode,
)
