"""ID3 tags as blocks: version 2.2, 2.3 and 2.4 frame by frame, and the 128 bytes of version 1.

A tag stays in the version that it has, and frames that are not meant to change stay as they are: unknown ones,
compressed ones, those that a newer version calls otherwise. Padding is used up before a file grows.
"""

import re
import zlib
from collections.abc import Sequence

from mirclr.tags.block import MAX_BLOCK, MAX_ITEMS, MAX_TEXT, Block, Damaged, Item, Source, Splice, unsigned

_SYNC = re.compile(rb"\xff[\xe0-\xff]")  # which what is unsynchronised never holds
_MAX_UNPACKED = 16 << 20
_PADDING = 1024  # behind a tag that had to grow, so that the next change fits
_ID = {2: re.compile(rb"[A-Z][A-Z0-9]{2}"), 3: re.compile(rb"[A-Z][A-Z0-9]{2}[A-Z0-9 \0]")}
_SHORT = {  # frames of 2.2, and what they are since
    "TT2": "TIT2",
    "TP1": "TPE1",
    "TP2": "TPE2",
    "TAL": "TALB",
    "TCO": "TCON",
    "TBP": "TBPM",
    "TKE": "TKEY",
    "TYE": "TYER",
    "TOR": "TORY",
    "TCP": "TCMP",
    "TRK": "TRCK",
    "TPA": "TPOS",
    "TXX": "TXXX",
}
_BEFORE_2_4 = {"tmoo": "txxx:mood", "tdrc": "tyer", "tdor": "tory"}
_LONG = {new: old for old, new in _SHORT.items()}
_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
_V1 = (("title", 3, 33), ("artist", 33, 63), ("album", 63, 93), ("year", 93, 97), ("comment", 97, 127))


def _synchsafe(data: bytes) -> int:
    return sum(byte << shift for byte, shift in zip(data, (21, 14, 7, 0), strict=True))


def _to_synchsafe(value: int) -> bytes:
    if value >= 1 << 28:
        raise Damaged("its ID3 tag would become too long")
    return bytes((value >> shift) & 127 for shift in (21, 14, 7, 0))


def tag_length(head: bytes) -> int:
    """How many bytes the ID3v2 tag that begins with these 10 takes; 0 where none begins."""
    if len(head) < 10 or head[:3] != b"ID3" or head[3] not in (2, 3, 4) or max(head[6:10]) > 127:
        return 0
    return 10 + _synchsafe(head[6:10]) + (10 if head[3] == 4 and head[5] & 16 else 0)


class ID3v2(Block):
    """An ID3v2 tag at `start`; of length 0 where the file has none yet."""

    family = "id3"

    def __init__(self, start: int, version: int = 3, flags: int = 0, body: bytes | None = None) -> None:
        self.start, self.version, self.flags = start, version, flags
        self.place, self.joins = f"ID3v2.{version}", version < 4
        self.items: list[Item] = []
        self.refusal: str | None = None
        self._plain_sizes = version != 4
        self._extension, self._revision = b"", 0
        self.length, self.is_new = 0, body is None
        if body is not None:
            self.length = 10 + len(body) + (10 if self._footed else 0)
            self._parse(body)

    @classmethod
    def at(cls, source: Source, start: int, end: int | None = None) -> "ID3v2 | None":
        """The tag that begins there; of one that is cut off, what is there."""
        head = source.peek(start, 10)
        length = tag_length(head)
        if not length:
            return None
        room = (source.size if end is None else end) - start
        footer = 10 if head[3] == 4 and head[5] & 16 else 0
        body = source.read(start + 10, min(length - 10 - footer, MAX_BLOCK, max(0, room - 10)))
        tag = cls(start, head[3], head[5], body)
        tag._revision = head[4]
        if length > room:
            tag.refusal = "its ID3 tag is longer than the place where it stands"
        elif length > MAX_BLOCK:
            tag.refusal = f"its ID3 tag takes more than {MAX_BLOCK >> 20} MiB"
        if footer and length <= room and source.read(start + length - 10, 3) != b"3DI":
            tag.refusal = "its ID3 tag announces a footer that is not there"
        tag.length = length
        return tag

    @classmethod
    def before(cls, source: Source, end: int) -> "ID3v2 | None":
        """The one with a footer that ends there."""
        foot = source.peek(end - 10, 10)
        if foot[:3] != b"3DI" or len(foot) < 10 or max(foot[6:10]) > 127:
            return None
        tag = cls.at(source, end - 20 - _synchsafe(foot[6:10]))
        return tag if tag and tag.start + tag.length == end else None

    @property
    def _footed(self) -> bool:
        return self.version == 4 and bool(self.flags & 16)

    @property
    def _unsynchronised(self) -> bool:
        return bool(self.flags & 128)

    def _parse(self, body: bytes) -> None:
        if self._unsynchronised and self.version < 4:
            body = body.replace(b"\xff\0", b"\xff")
        if self.flags & 64 and self.version > 2:
            length = _synchsafe(body[:4]) if self.version == 4 and len(body) >= 4 else 4 + unsigned(body[:4])
            self._extension, body = body[:length], body[length:]
            kinds = self._extension[5:6] if self.version == 4 else self._extension[4:5]
            if len(self._extension) < 6 or kinds[0] & (0x30 if self.version == 4 else 0x80):
                self.refusal = "its ID3 tag carries a checksum or restrictions"
        elif self.flags & 64:
            self.refusal = "its ID3 tag is compressed"
            return
        frames, rest = self._frames(body, plain=self._plain_sizes)
        if self.version == 4 and rest.strip(b"\0"):
            # iTunes once wrote sizes of frames as 2.3 has them
            others = self._frames(body, plain=True)
            if len(others[1].strip(b"\0")) < len(rest.strip(b"\0")):
                (frames, rest), self._plain_sizes = others, True
        self.items = [Item(self._name(raw), raw) for raw in frames]
        if len(frames) >= MAX_ITEMS:
            self.refusal = self.refusal or f"its ID3 tag has more than {MAX_ITEMS} frames"
        elif rest.strip(b"\0"):
            self.refusal = self.refusal or "its ID3 tag is damaged"
        elif any(self._unpacked(raw) > _MAX_UNPACKED for raw in frames):
            # not for what is done here, which never unpacks so much, but for demuxers, which do
            self.refusal = f"its ID3 tag has frames that unpack to more than {_MAX_UNPACKED >> 20} MiB"

    def _frames(self, body: bytes, *, plain: bool) -> tuple[list[bytes], bytes]:
        """The frames, and what comes after the last."""
        head, wide = (6, 3) if self.version == 2 else (10, 4)
        is_id = _ID[min(self.version, 3)]
        frames: list[bytes] = []
        at = 0
        while len(frames) < MAX_ITEMS and is_id.fullmatch(body[at : at + wide]):
            stated = body[at + wide : at + 2 * wide]
            length = (
                unsigned(stated) if plain else (_synchsafe(stated) if max(stated, default=128) < 128 else len(body))
            )
            if at + head + length > len(body):
                break
            frames.append(body[at : at + head + length])
            at += head + length
        return frames, body[at:]

    def _unpacked(self, raw: bytes) -> int:
        """Bytes that a packed frame unpacks to by its header, at most; 0 of others."""
        if self.version == 3 and raw[9] & 128:
            return unsigned(raw[10:14])
        if self.version == 4 and raw[9] & 9 == 9:
            skip = 10 + bool(raw[9] & 64) + bool(raw[9] & 4)
            return unsigned(raw[skip : skip + 4])
        return 0

    def _name(self, raw: bytes) -> str:
        name = raw[: 3 if self.version == 2 else 4].decode().rstrip("\0 ")
        name = _SHORT.get(name, name)
        if name == "TXXX":
            name += ":" + next(iter(self._strings(raw)), "")
        return name.lower()

    def _strings(self, raw: bytes) -> list[str]:
        """The texts of a text frame, a description included; none of one that is encrypted."""
        data = self.payload(raw)
        if not data or data[0] > 3:
            return []
        wide = data[0] in (1, 2)
        text = data[1 : len(data) - (1 - len(data) % 2 if wide else 0)].decode(_ENCODINGS[data[0]], "replace")
        return [part.lstrip("\ufeff") for part in text.split("\0")]

    def payload(self, raw: bytes, most: int = MAX_TEXT) -> bytes:
        """What a frame holds, at most so many bytes, unpacked."""
        if self.version == 2:
            return raw[6 : 6 + most]
        flags, data = raw[9], raw[10 : 10 + most]
        if self.version == 3:
            skip = 4 * bool(flags & 128) + bool(flags & 64) + bool(flags & 32)
            packed, secret = flags & 128, flags & 64
        else:
            skip = bool(flags & 64) + bool(flags & 4) + 4 * bool(flags & 1)
            packed, secret = flags & 8, flags & 4
            if flags & 2 or (self._unsynchronised and not _SYNC.search(data)):  # some programs mark the tag alone
                data = data.replace(b"\xff\0", b"\xff")
        if secret:
            return b""
        data = data[skip:]
        if packed:
            try:
                data = zlib.decompressobj().decompress(data, most)
            except zlib.error:
                return b""
        return data

    def texts(self, item: Item) -> tuple[str, ...]:
        """The values of a text frame, without what its end is padded with."""
        if item.name == "comm":
            return self._comment(item.raw)
        if not item.name.startswith("t"):
            return ()
        strings = self._strings(item.raw)[item.name.startswith("txxx:") :]
        while strings and not strings[-1]:
            strings.pop()
        return genres(strings, self.version) if item.name == "tcon" else tuple(strings)

    def _comment(self, raw: bytes) -> tuple[str, ...]:
        """The text of a comment that has no description; others are what programs note down for themselves."""
        data = self.payload(raw)
        if len(data) < 5 or data[0] > 3:
            return ()
        wide = data[0] in (1, 2)
        text = data[4 : len(data) - (len(data) % 2 if wide else 0)].decode(_ENCODINGS[data[0]], "replace")
        description, _, text = text.partition("\0")
        text = text.lstrip("\ufeff").split("\0")[0]
        return (text,) if text and not description.strip("\ufeff") else ()

    def made(self, name: str, values: Sequence[str]) -> list[Item]:
        """One frame; before 2.4, which separates values, they are joined by '; ', and a mood is a TXXX frame."""
        if self.version < 4:
            name = _BEFORE_2_4.get(name, name)
        if name == "tyer":
            values = [year[0] for value in values[:1] if (year := re.search(r"\d{4}", value))]
        elif name == "comm":  # a language and a description, which is empty, come before the text
            values = ["\0" + "; ".join(values)]
        frame, _, description = name.upper().partition(":")
        text = "\0".join(values) if self.version == 4 else "; ".join(values)
        if description:
            text = f"{description}\0{text}"
        encoding, data = self._encoded(text)
        payload = bytes((encoding,)) + (b"eng" if name == "comm" else b"") + data
        size = len(payload).to_bytes(3 if self.version == 2 else 4, "big") if self._plain_sizes else b""
        if self.version == 2:
            raw = _LONG[frame].encode() + size + payload
        else:
            # a text has no byte 0xff in UTF-8, so that it is unsynchronised as it is
            unsynchronised = 2 if self.version == 4 and self._unsynchronised else 0
            raw = frame.encode() + (size or _to_synchsafe(len(payload))) + bytes((0, unsynchronised)) + payload
        return [Item(name, raw)]

    def _encoded(self, text: str) -> tuple[int, bytes]:
        if self.version == 4:
            return 3, text.encode("utf-8", "replace")
        try:
            return 0, text.encode("latin-1")
        except UnicodeEncodeError:
            # each of two texts begins with a byte order mark
            return 1, b"\0\0".join(b"\xff\xfe" + part.encode("utf-16-le", "surrogatepass") for part in text.split("\0"))

    def splices(self, items: Sequence[Item]) -> list[Splice]:
        """The tag anew, of the same length where its padding allows."""
        if self.refusal:
            raise Damaged(self.refusal)
        content = b"".join(item.raw for item in items)
        room = max(0, self.length - 10 - len(self._extension) - 10 * self._footed)
        if self._unsynchronised and self.version < 4:
            room = max(0, self.length - 10)
            content = _unsynchronised(self._with_padding(self._extension, 0) + content)
            length = room if len(content) <= room else len(content) + _PADDING
            body = content + bytes(length - len(content))
        elif self._footed:
            body = self._extension + content
        else:
            length = room if len(content) <= room else len(content) + _PADDING
            padding = length - len(content)
            body = self._with_padding(self._extension, padding) + content + bytes(padding)
        head = bytes((self.version, self._revision, self.flags)) + _to_synchsafe(len(body))
        new = b"ID3" + head + body + (b"3DI" + head if self._footed else b"")
        return [Splice(self.start, self.length, new)]

    def _with_padding(self, extension: bytes, padding: int) -> bytes:
        """An extended header of 2.3 states how long the padding is."""
        return (
            extension[:6] + padding.to_bytes(4, "big") + extension[10:]
            if extension and self.version == 3
            else extension
        )


def _unsynchronised(body: bytes) -> bytes:
    body = re.sub(rb"\xff(?=[\0\xe0-\xff])", b"\xff\0", body)
    return body + b"\0" if body.endswith(b"\xff") else body


def genres(values: Sequence[str], version: int = 4) -> tuple[str, ...]:
    """Genres by name where they stand as numbers: ``17``, ``(17)``, ``(4)(17)Euro``."""
    from mutagen.id3 import TCON

    found: list[str] = []
    for value in values:
        found += TCON(encoding=3, text=[value]).genres if value else []
    return tuple(found)


class ID3v1(Block):
    """The last 128 bytes of a file; of it only the genre is written."""

    place = "ID3v1"
    family = "id3v1"
    length = 128

    def __init__(self, start: int, data: bytes) -> None:
        self.start = start
        self.items = [Item(name, data[begin:end]) for name, begin, end in _V1] + [Item("genre", data[127:])]
        if not data[125] and data[126]:
            self.items.append(Item("track", data[126:127]))

    @classmethod
    def before(cls, source: Source, end: int) -> "ID3v1 | None":
        """The one that ends there."""
        data = source.peek(end - 128, 128)
        return cls(end - 128, data) if data.startswith(b"TAG") and len(data) == 128 else None

    def texts(self, item: Item) -> tuple[str, ...]:
        """The one value of a field."""
        if item.name == "genre":
            from mutagen.id3 import TCON

            return (TCON.GENRES[item.raw[0]],) if item.raw[0] < len(TCON.GENRES) else ()
        if item.name == "track":
            return (str(item.raw[0]),)
        text = item.raw.split(b"\0")[0].decode("latin-1").strip()
        return (text,) if text else ()

    def made(self, name: str, values: Sequence[str]) -> list[Item]:
        """The number of a genre, or of none where the list of ID3v1 does not have it."""
        from mutagen.id3 import TCON

        known = {genre.casefold(): number for number, genre in enumerate(TCON.GENRES)}
        return [Item(name, bytes((known.get(values[0].casefold(), 255) if values else 255,)))]

    def splices(self, items: Sequence[Item]) -> list[Splice]:
        """The byte of the genre; one that is taken out becomes that of none."""
        genre = next((item.raw for item in items if item.name == "genre"), b"\xff")
        return [Splice(self.start + 127, 1, genre)]


class ID3v1Plus(Block):
    """The 227 bytes that stand before an ID3v1 tag and lengthen it; of them only the genre is written."""

    place = "ID3v1+"
    family = "id3v1"
    length = 227

    def __init__(self, start: int, data: bytes) -> None:
        self.start = start
        parts = (("title", 4, 64), ("artist", 64, 124), ("album", 124, 184), ("genre", 185, 215))
        held = [Item(name, data[begin:end].split(b"\0")[0].strip()) for name, begin, end in parts]
        self.items = [item for item in held if item.raw]

    @classmethod
    def before(cls, source: Source, end: int) -> "ID3v1Plus | None":
        """The one that ends there."""
        data = source.peek(end - 227, 227)
        return cls(end - 227, data) if data.startswith(b"TAG+") and len(data) == 227 else None

    def texts(self, item: Item) -> tuple[str, ...]:
        """The one value of a field."""
        return (item.raw.decode("latin-1"),)

    def made(self, name: str, values: Sequence[str]) -> list[Item]:
        """The first genre; none where it does not fit, as the number in ID3v1 may not either."""
        raw = values[0].encode("latin-1", "replace")
        return [Item(name, raw)] if len(raw) <= 30 else []

    def splices(self, items: Sequence[Item]) -> list[Splice]:
        """The bytes of the genre."""
        genre = next((item.raw for item in items if item.name == "genre"), b"")
        return [Splice(self.start + 185, 30, genre.ljust(30, b"\0"))]
