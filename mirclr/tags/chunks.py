"""Tags in files of chunks: WAV (RIFF, RF64), AIFF and DSF. An ID3v2 tag is one chunk of them, RIFF INFO another.

A file is written only where its chunks lead to its very end, as what a wrong size hides could be sound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mirclr.tags.block import Block, Damaged, Item, Layout, Source, Splice, growth, unsigned, unsigned_le
from mirclr.tags.id3 import ID3v2

_MAX_CHUNKS = 10_000
_LIES = "the sizes in its header are not those of what it holds"


@dataclass(frozen=True)
class _Chunk:
    name: bytes
    start: int
    length: int  # without the 8 bytes before it

    @property
    def end(self) -> int:
        """With the byte that makes a length even."""
        return self.start + 8 + self.length + self.length % 2


def _chunks(source: Source, start: int, *, big: bool, long_data: int | None = None) -> tuple[list[_Chunk], int]:
    """The chunks from there on, as far as they lie within the file, and where the last ends."""
    chunks: list[_Chunk] = []
    at = start
    while at + 8 <= source.size and len(chunks) < _MAX_CHUNKS:
        head = source.peek(at, 8)
        length = unsigned(head[4:]) if big else unsigned_le(head[4:])
        if head[:4] == b"data" and length == 0xFFFFFFFF and long_data is not None:
            length = long_data
        if at + 8 + length > source.size or not head[:4].isascii():
            break
        chunks.append(_Chunk(head[:4], at, length))
        at = chunks[-1].end
    return chunks, at


class _ID3Chunk(ID3v2):
    """An ID3v2 tag that is the content of a chunk; a new one brings its chunk along."""

    big = False
    name = b"id3 "
    odd = 0  # whether the chunk before lacks the byte that makes its length even

    def splices(self, items: Sequence[Item]) -> list[Splice]:
        [tag] = super().splices(items)
        size = len(tag.new).to_bytes(4, "big" if self.big else "little")
        if not self.length:
            return [Splice(tag.start, 0, bytes(self.odd) + self.name + size + tag.new + bytes(len(tag.new) % 2))]
        if len(tag.new) == tag.length:
            return [tag]
        pad = self.chunk.length % 2
        changed = Splice(tag.start, self.chunk.length + pad, tag.new + bytes(len(tag.new) % 2))
        return [Splice(self.chunk.start + 4, 4, size), changed]

    chunk: _Chunk


def _id3_blocks(source: Source, chunks: list[_Chunk], end: int, *, big: bool) -> list[Block]:
    """The ID3 tags in chunks; one that is not there yet where there is none."""
    blocks: list[Block] = []
    for chunk in chunks:
        if chunk.name.upper() == b"ID3 " and (
            tag := _ID3Chunk.at(source, chunk.start + 8, chunk.start + 8 + chunk.length)
        ):
            assert isinstance(tag, _ID3Chunk)
            tag.big, tag.chunk = big, chunk
            if source.read(chunk.start + 8, chunk.length)[tag.length :].strip(b"\0"):
                tag.refusal = "its ID3 chunk holds more than a tag"
            blocks.append(tag)
    if not blocks:
        new = _ID3Chunk(min(end, source.size))
        new.big, new.name, new.odd = big, b"ID3 " if big else b"id3 ", max(0, end - source.size)
        blocks.append(new)
    return blocks


# WAV


class Info(Block):
    """A LIST chunk of type INFO."""

    place = "RIFF INFO"
    family = "info"
    joins = True

    def __init__(self, chunk: _Chunk, data: bytes) -> None:
        self.chunk = chunk
        self.items: list[Item] = []
        at = 4
        while at + 8 <= len(data):
            stop = at + 8 + unsigned_le(data[at + 4 : at + 8])
            raw = data[at : stop + stop % 2]  # data begins at an even place
            if stop > len(data):
                break
            self.items.append(Item(raw[:4].decode("latin-1").lower(), raw + bytes(len(raw) % 2)))
            at = stop + stop % 2
        self._damaged = at < len(data)

    def texts(self, item: Item) -> tuple[str, ...]:
        """The one value, in UTF-8 or, as older programs write it, in the code page of Western Windows."""
        value = item.raw[8 : 8 + unsigned_le(item.raw[4:8])].split(b"\0")[0]
        try:
            return (value.decode("utf-8"),)
        except UnicodeDecodeError:
            return (value.decode("cp1252", "replace"),)

    def made(self, name: str, values: Sequence[str]) -> list[Item]:
        """One entry, its values joined by '; '."""
        value = "; ".join(values).encode("utf-8", "replace") + b"\0"
        raw = name.upper().encode() + len(value).to_bytes(4, "little") + value + bytes(len(value) % 2)
        return [Item(name, raw)]

    def splices(self, items: Sequence[Item]) -> list[Splice]:
        """The chunk anew."""
        if self._damaged:
            raise Damaged("its RIFF INFO is damaged")
        data = b"INFO" + b"".join(item.raw for item in items)
        return [
            Splice(
                self.chunk.start, self.chunk.end - self.chunk.start, b"LIST" + len(data).to_bytes(4, "little") + data
            )
        ]


@dataclass
class _Sized(Layout):
    """A file that states its length in the header: `width` bytes at `place`, less `less`."""

    place: int = 4
    width: int = 4
    less: int = 8
    big: bool = False
    size: int = 0

    def finished(self, made: list[Splice]) -> list[Splice]:
        """With the length that the file has now."""
        total = self.size + growth(made)
        if total - self.less >= 1 << 8 * self.width:
            raise Damaged("it would become longer than its header can state")
        return [Splice(self.place, self.width, (total - self.less).to_bytes(self.width, self.order)), *made]

    @property
    def order(self) -> Literal["big", "little"]:
        """Of the bytes of its numbers."""
        return "big" if self.big else "little"


def wav(source: Source, start: int) -> Layout:
    """The layout of a WAV file."""
    layout = _Sized("wav", size=source.size)
    head = source.peek(0, 12)
    stated, long_data = unsigned_le(head[4:8]), None
    if head[:4] != b"RIFF":
        layout.place, layout.width = 20, 8
        sizes = source.peek(12, 24)
        if sizes[:4] != b"ds64":
            raise Damaged("it has no sizes of 64 bits")
        stated, long_data = unsigned_le(sizes[8:16]), unsigned_le(sizes[16:24])
    chunks, end = _chunks(source, 12, big=False, long_data=long_data)
    if start or end not in (source.size, source.size + 1) or stated + 8 not in (source.size, end):
        layout.refusal = _LIES
    layout.blocks += _id3_blocks(source, chunks, end, big=False)
    layout.blocks += [
        Info(chunk, source.read(chunk.start + 8, chunk.length))
        for chunk in chunks
        if chunk.name == b"LIST" and source.peek(chunk.start + 8, 4) == b"INFO"
    ]
    tags = {i.chunk.start for i in layout.blocks if isinstance(i, Info)}
    others = [c for c in chunks if c.name.upper() != b"ID3 " and c.start not in tags]
    layout.frame += [(c.name, c.length) for c in others]
    rate = next((unsigned_le(source.peek(c.start + 16, 4)) for c in chunks if c.name == b"fmt "), 0)
    data = next((c for c in chunks if c.name == b"data"), None)
    if data is None:
        layout.refusal = layout.refusal or _LIES
    elif rate:
        layout.seconds = data.length / rate
    return layout


# AIFF


class _Texts(Block):
    """The text chunks of AIFF, each an item; they are read alone."""

    place = "AIFF"
    family = "aiff"

    def __init__(self, source: Source, chunks: list[_Chunk]) -> None:
        names = (b"NAME", b"AUTH", b"ANNO", b"(c) ")
        self.items = [
            Item(c.name.decode().lower(), source.read(c.start + 8, c.length)) for c in chunks if c.name in names
        ]

    def texts(self, item: Item) -> tuple[str, ...]:
        return (item.raw.split(b"\0")[0].decode("utf-8", "replace"),)


def aiff(source: Source, start: int) -> Layout:
    """The layout of an AIFF or AIFF-C file."""
    layout = _Sized("aiff", size=source.size, big=True)
    chunks, end = _chunks(source, 12, big=True)
    stated = unsigned(source.peek(4, 4))
    if start or end not in (source.size, source.size + 1) or stated + 8 not in (source.size, end):
        layout.refusal = _LIES
    layout.blocks += [*_id3_blocks(source, chunks, end, big=True), _Texts(source, chunks)]
    layout.frame += [(c.name, c.length) for c in chunks if c.name.upper() != b"ID3 "]
    common = next((source.peek(c.start + 8, 18) for c in chunks if c.name == b"COMM"), b"")
    if len(common) < 18 or not any(c.name == b"SSND" for c in chunks):
        layout.refusal = layout.refusal or _LIES
    else:
        # the rate has 15 bits of exponent and 64 of mantissa
        exponent, mantissa = unsigned(common[8:10]) & 0x7FFF, unsigned(common[10:18])
        rate = mantissa * 2.0 ** (exponent - 16383 - 63) if exponent < 16383 + 64 else 0
        layout.seconds = unsigned(common[2:6]) / rate if rate else None
    return layout


# DSF


@dataclass
class _DsfLayout(_Sized):
    has_tag: bool = False

    def finished(self, made: list[Splice]) -> list[Splice]:
        """A new tag is pointed to as well."""
        pointer = [] if self.has_tag else [Splice(20, 8, self.size.to_bytes(8, "little"))]
        return super().finished(made) + pointer


def dsf(source: Source, start: int) -> Layout:
    """The layout of a DSF file: its tag comes last, and a pointer leads there."""
    layout = _DsfLayout("dsf", place=12, width=8, less=0, size=source.size)
    head = source.peek(0, 92)
    total, pointer = unsigned_le(head[12:20]), unsigned_le(head[20:28])
    tag = ID3v2.at(source, pointer) if pointer else None
    layout.has_tag = tag is not None
    layout.blocks.append(tag or ID3v2(source.size))
    if start or total != source.size or (pointer and (tag is None or pointer + tag.length != source.size)):
        layout.refusal = _LIES
    if head[28:32] == b"fmt " and (rate := unsigned_le(head[56:60])):
        layout.seconds = unsigned_le(head[64:72]) / rate
    return layout
