"""Vorbis comments, in FLAC and in Ogg, and APEv2 tags, as blocks."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mirclr.tags.block import (
    MAX_BLOCK,
    MAX_ITEMS,
    MAX_TEXT,
    Block,
    Damaged,
    Item,
    Layout,
    Source,
    Splice,
    growth,
    unsigned,
    unsigned_le,
)
from mirclr.tags.id3 import ID3v1, ID3v1Plus, ID3v2

_BIT_REVERSED = bytes(int(f"{i:08b}"[::-1], 2) for i in range(256))
_MAX_PAGES = 4096  # of an Ogg stream's headers
_MAX_METADATA = 4096  # blocks of a FLAC file
_MAX_TAGS = 16  # in a row


class VorbisComment(Block):
    """A Vorbis comment; how it lies in the file is its subclasses' matter."""

    place = "Vorbis comment"
    family = "text"

    def __init__(self, packet: bytes, head: int) -> None:
        """Read a packet whose comment begins after `head` bytes."""
        self.refusal: str | None = None
        self.items: list[Item] = []
        self._before, at = packet[:head], head
        vendor = unsigned_le(packet[at : at + 4])
        self._vendor = packet[at : at + 4 + vendor]
        at += 4 + vendor
        count = unsigned_le(packet[at : at + 4])
        at += 4
        while len(self.items) < min(count, MAX_ITEMS) and at + 4 <= len(packet):
            length = unsigned_le(packet[at : at + 4])
            if at + 4 + length > len(packet):
                break
            raw = packet[at + 4 : at + 4 + length]
            name, found, _ = raw.partition(b"=")
            self.items.append(Item(name.decode("latin-1").lower() if found else "", raw))
            at += 4 + length
        self._after = packet[at:]
        if count > MAX_ITEMS:
            self.refusal = f"its Vorbis comment has more than {MAX_ITEMS} entries"
        elif len(self.items) < count or at > len(packet):
            self.refusal = "its Vorbis comment is damaged"

    def texts(self, item: Item) -> tuple[str, ...]:
        """The one value of a comment."""
        return (item.raw.partition(b"=")[2][:MAX_TEXT].decode("utf-8", "replace"),)

    def made(self, name: str, values: Sequence[str]) -> list[Item]:
        """A comment a value, its name in capitals as most programs write them."""
        return [Item(name, f"{name.upper()}={value}".encode("utf-8", "replace")) for value in values]

    def packet(self, items: Sequence[Item]) -> bytes:
        """The comment with other items."""
        if self.refusal:
            raise Damaged(self.refusal)
        parts = [len(i.raw).to_bytes(4, "little") + i.raw for i in items]
        return b"".join((self._before, self._vendor, len(items).to_bytes(4, "little"), *parts, self._after))


# FLAC


class _FlacComment(VorbisComment):
    """A metadata block of FLAC; of length 0 where the file has none yet."""

    def __init__(self, start: int, data: bytes) -> None:
        self.start, self.length, self.is_new = start, len(data), not data
        super().__init__(data or b"\x04\0\0\0\x06\0\0\0mirclr\0\0\0\0", 4)

    def splices(self, items: Sequence[Item]) -> list[Splice]:
        packet = self.packet(items)
        if len(packet) - 4 >= 1 << 24:
            raise Damaged("its Vorbis comment would become too long")
        return [Splice(self.start, self.length, packet[:1] + (len(packet) - 4).to_bytes(3, "big") + packet[4:])]


@dataclass
class FlacLayout(Layout):
    """A FLAC file; `padding` is where a block of padding begins and how many bytes it has, `last` the last block."""

    padding: tuple[int, int] | None = None
    last: int = 0

    def finished(self, made: list[Splice]) -> list[Splice]:
        """Padding takes up the difference, so that the audio stays where it is; where it cannot, the audio moves."""
        more = growth(made)
        if self.padding and 0 <= self.padding[1] - more < 1 << 24:
            made.append(Splice(self.padding[0] + 1, 3, (self.padding[1] - more).to_bytes(3, "big")))
            if more > 0:
                made.append(Splice(self.padding[0] + 4, more, b""))
            elif more:
                made.append(Splice(self.padding[0] + 4, 0, bytes(-more)))
        for (
            splice
        ) in made:  # a comment where there was none comes after the first block, which may be marked as the last
            if not splice.length and splice.new[:1] == b"\x04" and self.last + 38 == splice.start:
                made[made.index(splice)] = replace(splice, new=b"\x84" + splice.new[1:])
                made.append(Splice(self.last, 1, b"\0"))
                break
        return made


def flac(source: Source, start: int) -> Layout:
    """The layout of a FLAC file whose signature is at `start`."""
    layout = FlacLayout("flac")
    at, is_last = start + 4, False
    while not is_last:
        if len(layout.frame) > _MAX_METADATA:
            raise Damaged("it has too many metadata blocks")
        head = source.read(at, 4)
        kind, length, is_last = head[0] & 127, unsigned(head[1:]), bool(head[0] & 128)
        if at + 4 + length > source.size:
            raise Damaged("its metadata is cut off")
        layout.last = at
        if kind == 4:
            layout.blocks.append(_FlacComment(at, source.read(at, 4 + length)))
        elif kind == 1:
            layout.padding = layout.padding or (at, length)
        else:
            layout.frame.append((kind, length))
        if kind == 0 and length == 34 and not layout.seconds:
            packed = unsigned(source.read(at + 14, 8))
            rate, samples = packed >> 44, packed & ((1 << 36) - 1)
            layout.seconds = samples / rate if rate else None
        at += 4 + length
    if not layout.blocks:
        if not layout.frame or layout.frame[0] != (0, 34):
            layout.refusal = "its first metadata block is not that of a FLAC file"
        layout.blocks.append(_FlacComment(start + 42, b""))
    return layout


def flac_pictures(source: Source) -> Iterator[bytes]:
    """The blocks of a FLAC file that hold pictures."""
    _, start = leading(source)
    at, is_last, count = start + 4, False, 0
    while not is_last and count < _MAX_METADATA:
        head = source.read(at, 4)
        is_last, length = bool(head[0] & 128), unsigned(head[1:])
        if head[0] & 127 == 6:
            yield source.read(at + 4, length)
        at, count = at + 4 + length, count + 1


# Ogg


@dataclass(frozen=True)
class _Page:
    start: int
    head: bytes  # 27 bytes, of which 4 are the checksum
    lacing: bytes

    @property
    def length(self) -> int:
        return 27 + len(self.lacing) + sum(self.lacing)

    @property
    def serial(self) -> bytes:
        return self.head[14:18]

    @property
    def granule(self) -> int:
        return int.from_bytes(self.head[6:14], "little", signed=True)

    @property
    def number(self) -> int:
        return unsigned_le(self.head[18:22])


def _page(source: Source, start: int) -> _Page | None:
    head = source.peek(start, 27)
    if len(head) < 27 or head[:5] != b"OggS\0":
        return None
    page = _Page(start, head, source.peek(start + 27, head[26]))
    return page if len(page.lacing) == head[26] and start + page.length <= source.size else None


def _checked(page: bytes) -> bytes:
    """A page with its checksum: CRC-32 without the reversal of bits that zlib's has."""
    blank = page[:22] + bytes(4) + page[26:]
    crc = ~zlib.crc32(blank.translate(_BIT_REVERSED), 0xFFFFFFFF) & 0xFFFFFFFF
    return blank[:22] + crc.to_bytes(4, "big").translate(_BIT_REVERSED) + blank[26:]


class _OggComment(VorbisComment):
    """The second packet of an Ogg stream, on `pages` that hold this and the headers after it, and no audio."""

    def __init__(self, source: Source, pages: list[_Page], packets: list[bytes], head: int) -> None:
        super().__init__(packets[0], head)
        self._source, self._pages, self._others = source, pages, packets[1:]
        self._head = head
        if any(page.granule not in (0, -1) for page in pages):
            self.refusal = self.refusal or "its comment and its audio share a page"

    def splices(self, items: Sequence[Item]) -> list[Splice]:
        """The pages anew, as many as there were where that is enough; else all that follow are numbered anew."""
        packet = self.packet(items)
        if self._head == 4:  # FLAC's own header of the block
            packet = packet[:1] + (len(packet) - 4).to_bytes(3, "big") + packet[4:]
        packets = [packet, *self._others]
        lacing = b"".join(b"\xff" * (len(p) // 255) + bytes((len(p) % 255,)) for p in packets)
        count = len(self._pages)
        if not count <= len(lacing) <= 255 * count:
            count = -(-len(lacing) // 255)
        made = self._paged(lacing, b"".join(packets), count)
        splices = [Splice(p.start, p.length, new) for p, new in zip(self._pages, made, strict=False)]
        for page in self._pages[count:]:
            splices.append(Splice(page.start, page.length, b""))
        last = self._pages[-1]
        splices += [Splice(last.start + last.length, 0, new) for new in made[len(self._pages) :]]
        return splices + self._renumbered(count - len(self._pages))

    def _paged(self, lacing: bytes, data: bytes, count: int) -> list[bytes]:
        pages: list[bytes] = []
        open_packet = False
        for n in range(count):
            part = lacing[: min(255, len(lacing) - (count - n - 1))]
            lacing = lacing[len(part) :]
            granule = bytes(8) if min(part) < 255 else b"\xff" * 8  # no packet ends here
            number = (self._pages[0].number + n) & 0xFFFFFFFF
            head = b"OggS\0" + bytes((open_packet,)) + granule + self._pages[0].serial + number.to_bytes(4, "little")
            pages.append(_checked(head + bytes(4) + bytes((len(part),)) + part + data[: sum(part)]))
            data = data[sum(part) :]
            open_packet = part[-1] == 255
        return pages

    def _renumbered(self, by: int) -> list[Splice]:
        splices: list[Splice] = []
        at = self._pages[-1].start + self._pages[-1].length
        while by and at < self._source.size:
            page = _page(self._source, at)
            if page is None:
                raise Damaged("its pages are damaged, so that they cannot be numbered anew")
            if page.serial == self._pages[0].serial:
                if page.head[5] & 2:
                    break  # another stream of that number begins
                whole = self._source.peek(at, page.length)
                number = (page.number + by) & 0xFFFFFFFF
                new = _checked(whole[:18] + number.to_bytes(4, "little") + whole[22:])
                splices.append(Splice(at + 18, 8, new[18:26]))
            at += page.length
        return splices


_CODECS = (  # how the first packet begins; bytes before the comment, how they begin, headers after the comment
    (b"\x01vorbis", 7, b"\x03vorbis", 1),
    (b"OpusHead", 8, b"OpusTags", 0),
    (b"\x7fFLAC", 4, b"", 0),
    (b"Speex   ", 0, b"", 0),
)


def ogg(source: Source, start: int) -> Layout:
    """The layout of an Ogg file: the comment of its first stream of sound."""
    layout = Layout("ogg")
    at, first, codec = start, None, None
    while (page := _page(source, at)) and page.head[5] & 2:
        data = source.read(page.start + 27 + len(page.lacing), sum(page.lacing))
        found = next((c for c in _CODECS if data.startswith(c[0])), None)
        if found and codec is None:
            first, codec, opening = page, found, data
        at += page.length
    if first is None or codec is None:
        raise Damaged("its Ogg streams are none that mirclr knows the tags of")
    pages, packets = _header_pages(source, at, first.serial, more=codec[3])
    if not packets[0].startswith(codec[2]) or (codec[1] == 4 and packets[0][0] & 127 != 4):
        raise Damaged("its second header is no comment")
    layout.blocks.append(_OggComment(source, pages, packets, codec[1]))
    layout.frame += packets[1:]
    layout.seconds = _ogg_seconds(source, codec[0], opening)
    return layout


def _header_pages(source: Source, at: int, serial: bytes, more: int) -> tuple[list[_Page], list[bytes]]:
    """The pages with the comment and `more` packets after it, up to one on which a packet ends."""
    pages: list[_Page] = []
    packets, part, total = list[bytes](), b"", 0
    parts: list[bytes] = []
    while len(packets) <= more or part or parts:
        page = _page(source, at)
        total += page.length if page else 0
        if page is None or total > MAX_BLOCK or len(pages) >= _MAX_PAGES:
            raise Damaged("its comment is cut off or too long")
        at += page.length
        if page.serial != serial:
            continue
        pages.append(page)
        data, begin = source.read(page.start + 27 + len(page.lacing), sum(page.lacing)), 0
        for lace in page.lacing:
            parts.append(data[begin : begin + lace])
            begin += lace
            if lace < 255:
                packets.append(b"".join(parts))
                parts = []
    return pages, packets


def _ogg_seconds(source: Source, codec: bytes, opening: bytes) -> float | None:
    """By the last page's count of samples, where the end of the file has a page."""
    tail = source.peek(max(0, source.size - (1 << 16) - 512), (1 << 16) + 512)
    last = tail.rfind(b"OggS\0")
    if last < 0 or len(tail) < last + 14:
        return None
    samples = int.from_bytes(tail[last + 6 : last + 14], "little", signed=True)
    rate = {
        b"\x01vorbis": unsigned_le(opening[12:16]),
        b"OpusHead": 48_000,
        b"\x7fFLAC": unsigned(opening[27:30]) >> 4,
        b"Speex   ": unsigned_le(opening[36:40]),
    }[codec]
    samples -= unsigned_le(opening[10:12]) if codec == b"OpusHead" else 0
    return samples / rate if rate else None


# APEv2


class Ape(Block):
    """An APE tag that ends at `end`; of length 0 where the file has none yet."""

    place = "APEv2"
    family = "text"

    def __init__(self, end: int, footer: bytes = b"", data: bytes = b"") -> None:
        self.end, self._footer = end, footer
        self.items: list[Item] = []
        self.refusal: str | None = None
        self.is_new = not footer
        self._headed = not footer or bool(footer[23] & 128)
        self.length = len(data) + len(footer) + (32 if footer and self._headed else 0)
        at, count = 0, unsigned_le(footer[16:20])
        while len(self.items) < min(count, MAX_ITEMS) and at + 8 < len(data):
            key = data.find(b"\0", at + 8, at + 8 + 256)
            stop = key + 1 + unsigned_le(data[at : at + 4])
            if key < 0 or stop > len(data):
                break
            self.items.append(Item(data[at + 8 : key].decode("latin-1").lower(), data[at:stop]))
            at = stop
        if len(self.items) != count or at != len(data):
            self.refusal = "its APE tag is damaged or too long"

    @classmethod
    def before(cls, source: Source, end: int) -> "Ape | None":
        """The one that ends there."""
        footer = source.peek(end - 32, 32) if end >= 32 else b""
        length = unsigned_le(footer[12:16]) - 32
        if not footer.startswith(b"APETAGEX") or not 0 <= length <= min(end - 32, MAX_BLOCK):
            return None
        return cls(end, footer, source.read(end - 32 - length, length))

    @classmethod
    def at(cls, source: Source, start: int) -> "Ape | None":
        """The one that begins there with a header."""
        head = source.peek(start, 32)
        if not head.startswith(b"APETAGEX") or len(head) < 32 or not head[23] & 32:
            return None
        tag = cls.before(source, start + 32 + unsigned_le(head[12:16]))
        return tag if tag and tag.end - tag.length == start else None

    def texts(self, item: Item) -> tuple[str, ...]:
        """The values of an item of text."""
        if item.raw[4] & 6:
            return ()
        value = item.raw[item.raw.index(b"\0", 8) + 1 :][:MAX_TEXT]
        return tuple(value.decode("utf-8", "replace").split("\0"))

    def made(self, name: str, values: Sequence[str]) -> list[Item]:
        """One item; its name as the specification spells names."""
        name = {"date": "year", "tracknumber": "track", "discnumber": "disc"}.get(name, name)
        value = "\0".join(values).encode("utf-8", "replace")
        spelt = name.upper() if name in ("bpm", "initialkey") else name.title()
        return [Item(name, len(value).to_bytes(4, "little") + bytes(4) + spelt.encode() + b"\0" + value)]

    def splices(self, items: Sequence[Item]) -> list[Splice]:
        """The tag anew."""
        if self.refusal:
            raise Damaged(self.refusal)
        data = b"".join(item.raw for item in items)
        version = self._footer[8:12] or (2000).to_bytes(4, "little")
        header = version + (len(data) + 32).to_bytes(4, "little") + len(items).to_bytes(4, "little")
        flags = unsigned_le(self._footer[20:24]) if self._footer else 1 << 31
        ends = [
            b"APETAGEX" + header + f.to_bytes(4, "little") + bytes(8) for f in (flags | 1 << 29, flags & ~(1 << 29))
        ]
        new = (ends[0] if self._headed else b"") + data + ends[1]
        return [Splice(self.end - self.length, self.length, new)]


def trailing(source: Source) -> tuple[list[Block], int]:
    """The tags that a file ends in, whatever their order and however many, ID3v1 last; and where they begin."""
    blocks: list[Block] = []
    at = source.size
    for _ in range(_MAX_TAGS):
        if tag := next(filter(None, (kind.before(source, at) for kind in (ID3v1, ID3v1Plus, Ape, ID3v2))), None):
            blocks.append(tag)
            at -= tag.length
        elif (begin := _without_lyrics(source, at)) < at:
            at = begin
        else:
            break
    return sorted(blocks, key=lambda block: block.family == "id3v1"), at


def _without_lyrics(source: Source, end: int) -> int:
    """Where a Lyrics3 tag that ends there begins."""
    foot = source.peek(end - 15, 15)
    if foot[6:] == b"LYRICS200" and foot[:6].isdigit() and int(foot[:6]) + 15 <= end:
        return end - 15 - int(foot[:6])
    if foot[6:] == b"LYRICSEND":  # of version 1, which states no length
        begin = max(0, end - 9 - 5100 - 11)
        found = source.peek(begin, end - begin).rfind(b"LYRICSBEGIN")
        return begin + found if found >= 0 else end
    return end


def leading(source: Source) -> tuple[list[ID3v2 | Ape], int]:
    """The ID3v2 and APE tags that a file begins with, and where they end."""
    tags: list[ID3v2 | Ape] = []
    at = 0
    while len(tags) < _MAX_TAGS and (tag := ID3v2.at(source, at) or Ape.at(source, at)):
        tags.append(tag)
        at += tag.length
    return tags, min(at, source.size)
