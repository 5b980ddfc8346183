"""The pictures that an audio file carries, such as the cover of its album.

In: an audio file. Out: `Picture`s, each with the bytes of an image whose kind its own first bytes show; what the tag
says of it is not relied on. Nothing is decoded.

Where they stand: APIC and PIC frames of ID3, in whatever container; picture blocks of FLAC, and the same as text in
Vorbis comments; cover art of APE; covr of MP4; WM/Picture of ASF; attachments of Matroska.
"""

import binascii
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mirclr.tags.asf import attribute_value
from mirclr.tags.block import MAX_BLOCK, Block, Item, Layout, Source, unsigned, unsigned_le
from mirclr.tags.comments import Ape, VorbisComment, flac_pictures
from mirclr.tags.id3 import ID3v2
from mirclr.tags.layout import layout_of
from mirclr.tags.matroska import attachments
from mirclr.tags.mp4 import ItemList, atom_values

FRONT = 3
"""The kind of a picture that is the front cover, as ID3 numbers kinds."""
MAX_PICTURE = 32 << 20
"""Bytes of a picture that is taken for one."""
_ICONS = (1, 2)
_MOST = 64  # pictures of a file that are looked at

_MAGIC = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"BM", "image/bmp"),
    (4, b"ftypavif", "image/avif"),
)


@dataclass(frozen=True)
class Picture:
    """An image as it stands in a file.

    Attributes
    ----------
    data : bytes
    media_type : str
        Such as ``image/jpeg``, by its first bytes; never of a kind that can hold a script.
    kind : int
        As ID3 numbers them: 3 is the front cover, 4 the back.
    """

    data: bytes
    media_type: str
    kind: int = FRONT


def media_type_of(data: bytes) -> str | None:
    """What an image is, by its first bytes; None of what is not known to be one."""
    for at, magic, kind in _MAGIC:
        if data[at : at + len(magic)] == magic and (kind != "image/webp" or data[:4] == b"RIFF"):
            return kind
    return None


def read_pictures(path: Path) -> list[Picture]:
    """The pictures of a file: the front cover first, icons last; none of a file that is no audio or is damaged.

    Raises
    ------
    OSError
        If the file is missing or may not be read.
    """
    with path.open("rb") as f:
        source = Source(f)
        found: list[Picture] = []
        try:
            for kind, data in islice(_pictures(source, layout_of(source)), _MOST):
                if len(data) <= MAX_PICTURE and (media_type := media_type_of(data)):
                    found.append(Picture(data, media_type, kind))
        except OSError:
            raise
        except Exception:  # damaged files fail in every way there is; what was found before counts
            return found
    return sorted(found, key=lambda p: (p.kind != FRONT, p.kind in _ICONS))


def _pictures(source: Source, layout: Layout) -> Iterator[tuple[int, bytes]]:
    """Kind and bytes of whatever stands where pictures do."""
    if layout.demuxer == "flac":
        yield from filter(None, map(_of_flac, flac_pictures(source)))
    for block in layout.blocks:
        yield from _of_block(block)
    if layout.demuxer == "matroska":
        for name, data in attachments(source):
            yield FRONT if name.casefold().startswith(("cover", "front", "folder")) else 0, data


def _of_block(block: Block) -> Iterator[tuple[int, bytes]]:
    if isinstance(block, ID3v2):
        yield from filter(None, (_of_id3(block, item) for item in _named(block, "apic", "pic")))
    elif isinstance(block, VorbisComment):
        for item in _named(block, "metadata_block_picture"):
            if found := _of_flac(_decoded(item)):
                yield found
        yield from ((FRONT, _decoded(item)) for item in _named(block, "coverart"))
    elif isinstance(block, Ape):
        for item in block.items:
            if item.name.startswith("cover art ("):
                value = item.raw[item.raw.index(b"\0", 8) + 1 :]
                yield FRONT if "front" in item.name else 0, value.partition(b"\0")[2]
    elif isinstance(block, ItemList):
        for item in _named(block, "covr"):
            yield from ((FRONT, value) for value in atom_values(item))
    elif block.family == "asf":
        yield from filter(None, (_of_asf(attribute_value(block, item)) for item in _named(block, "wm/picture")))


def _named(block: Block, *names: str) -> Iterable[Item]:
    return (item for item in block.items if item.name in names)


def _decoded(item: Item) -> bytes:
    """A comment's value that is base64; what is no letter of it is passed over."""
    value = item.raw.partition(b"=")[2]
    try:
        return binascii.a2b_base64(value + b"=" * (-len(value) % 4))
    except binascii.Error:
        return b""


def _of_id3(tag: ID3v2, item: Item) -> tuple[int, bytes] | None:
    """The picture of a frame: encoding, kind of image, kind of picture, description, data."""
    data = tag.payload(item.raw, MAX_BLOCK)
    if item.name == "pic":
        kind, rest = data[4:5], data[5:]
    else:
        end = data.find(b"\0", 1)
        kind, rest = data[end + 1 : end + 2], data[end + 2 :]
        if end < 0:
            return None
    if not kind or data[0] > 3:
        return None
    if data[0] in (1, 2):  # a description of pairs of bytes ends in a pair of zeros
        at = 0
        while rest[at : at + 2] not in (b"\0\0", b""):
            at += 2
        rest = rest[at + 2 :]
    else:
        rest = rest.partition(b"\0")[2]
    return kind[0], rest


def _of_flac(block: bytes) -> tuple[int, bytes] | None:
    """The picture of a block of FLAC: kind, kind of image, description, four numbers, data."""
    if len(block) < 32:
        return None
    at = 4
    for _ in range(2):
        at += 4 + unsigned(block[at : at + 4])
    length = unsigned(block[at + 16 : at + 20])
    return unsigned(block[:4]), block[at + 20 : at + 20 + length]


def _of_asf(value: bytes) -> tuple[int, bytes] | None:
    """The picture of an attribute: kind, length of the data, two texts that end in pairs of zeros, data."""
    if len(value) < 9:
        return None
    length, at = unsigned_le(value[1:5]), 5
    for _ in range(2):
        while value[at : at + 2] not in (b"\0\0", b""):
            at += 2
        at += 2
    return value[0], value[at : at + length]
