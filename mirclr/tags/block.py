"""What a tag is made of, whatever the container: items in blocks, changed by splices of the file.

A `Block` is one tag in a file, such as an ID3v2 tag or a LIST chunk. It holds all of its items as raw bytes, known or
not, so that those that are not meant to change stay as they are, byte for byte. A `Layout` is a file with its blocks;
it turns new items into `Splice`s of the file, and what else must change with them (sizes, offsets, checksums).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

MAX_ITEMS = 20_000
"""Items of a tag that are looked at; a tag of more is not written."""
MAX_TEXT = 1 << 20
"""Bytes of a text that are decoded, unpacked ones included."""
MAX_BLOCK = 64 << 20
"""Bytes of a tag that are read."""
_MAX_READ = 256 << 20  # bytes of all tags of a file


class Damaged(ValueError):
    """A file is not built as its own headers state; the text is for people."""


@dataclass(frozen=True)
class Splice:
    """A stretch of a file that becomes other bytes: `length` bytes at `start` (0 inserts) become `new`."""

    start: int
    length: int
    new: bytes


@dataclass(frozen=True)
class Item:
    """One frame, comment or atom: its name in lower case, the same in all versions of a format, and its bytes."""

    name: str
    raw: bytes


class Source:
    """Bytes of an open file, read by place and never beyond its end."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, 2)
        self._read = 0

    def read(self, start: int, length: int) -> bytes:
        """`length` bytes at `start`.

        Raises
        ------
        Damaged
            The file has fewer, or they are more than any tag should be.
        """
        if start < 0 or length < 0 or start + length > self.size:
            raise Damaged("it ends before what its headers announce")
        self._read += length
        if length > MAX_BLOCK or self._read > _MAX_READ:
            raise Damaged(f"its tags take more than {MAX_BLOCK >> 20} MiB")
        self.file.seek(start)
        return self.file.read(length)

    def peek(self, start: int, length: int) -> bytes:
        """At most `length` bytes at `start`."""
        if start < 0 or start >= self.size:
            return b""
        self.file.seek(start)
        return self.file.read(length)


class Block(ABC):
    """One tag in a file.

    Attributes
    ----------
    place : str
        For people: ``ID3v2.3``, ``RIFF INFO``.
    family : str
        Whose names its items bear; a key of the tables in `mirclr.tags.names`.
    items : list of Item
        All that it holds, in order.
    joins : bool
        Whether several values are one text with '; ' between them.
    length : int
        Bytes that it takes in the file.
    is_new : bool
        Whether the file has it not yet; programs that look at one tag alone would then look at this one.
    """

    place: str
    family: str
    items: list[Item]
    joins: bool = False
    length: int = 0
    is_new: bool = False

    @abstractmethod
    def texts(self, item: Item) -> tuple[str, ...]:
        """The values of an item; empty where it is no text."""

    def made(self, name: str, values: Sequence[str]) -> list[Item]:
        """Items that hold `values` under a name, as this kind of tag spells it."""
        raise Damaged(f"its {self.place} cannot be written by mirclr")

    def splices(self, items: Sequence[Item]) -> list[Splice]:
        """What becomes of the file when the block holds `items`; sizes around the block are the layout's matter."""
        raise Damaged(f"its {self.place} cannot be written by mirclr")


@dataclass
class Layout:
    """A file with the tags in it.

    Attributes
    ----------
    demuxer : str
        FFmpeg's name of the container.
    blocks : list of Block
        First the one that takes new fields; it may not be in the file yet.
    frame : list
        The container's parts beside tags, as far as the layout knows them; the same before and after a write.
    refusal : str or None
        Why the file must not be written, where that is known from its layout.
    seconds : float or None
        The length that its header states.
    """

    demuxer: str
    blocks: list[Block] = field(default_factory=list)
    frame: list[object] = field(default_factory=list)
    refusal: str | None = None
    seconds: float | None = None

    def splices(self, changed: Mapping[int, Sequence[Item]]) -> list[Splice]:
        """All that becomes of the file when blocks, by their number, hold other items."""
        if self.refusal:
            raise Damaged(self.refusal)
        made = [splice for i, items in changed.items() for splice in self.blocks[i].splices(items)]
        return self.finished(made) if made else []

    def finished(self, made: list[Splice]) -> list[Splice]:
        """The splices of the blocks, with those of what encloses them."""
        return made


def growth(splices: Iterable[Splice]) -> int:
    """By how many bytes a file grows."""
    return sum(len(s.new) - s.length for s in splices)


def unsigned(data: bytes) -> int:
    """A number, the most significant byte first."""
    return int.from_bytes(data, "big")


def unsigned_le(data: bytes) -> int:
    """A number, the least significant byte first."""
    return int.from_bytes(data, "little")
