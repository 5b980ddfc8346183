"""Tags in ASF (WMA): attributes of the extended content description, which are written, and of three other objects."""

from collections.abc import Sequence
from dataclasses import dataclass

from mirclr.tags.block import MAX_BLOCK, MAX_ITEMS, MAX_TEXT, Block, Damaged, Item, Layout, Source, Splice, growth
from mirclr.tags.block import unsigned_le as _number

HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_CONTENT = bytes.fromhex("3326b2758e66cf11a6d900aa0062ce6c")
_EXTENDED = bytes.fromhex("40a4d0d207e3d21197f000a0c95ea850")
_EXTENSION = bytes.fromhex("b503bf5f2ea9cf118ee300c00c205365")
_METADATA = bytes.fromhex("eacbf8c5af5b77488467aa8c44fa4cca")
_LIBRARY = bytes.fromhex("941c23449894d149a1411d134e457054")
_MAX_OBJECTS = 4096


@dataclass(frozen=True)
class _Object:
    kind: bytes
    start: int
    length: int


def _objects(source: Source, at: int, end: int) -> list[_Object]:
    found: list[_Object] = []
    while at + 24 <= end:
        head = source.read(at, 24)
        length = _number(head[16:])
        if length < 24 or at + length > end or len(found) >= _MAX_OBJECTS:
            raise Damaged("its header is damaged")
        found.append(_Object(head[:16], at, length))
        at += length
    if at != end:
        raise Damaged("its header is damaged")
    return found


class _Attributes(Block):
    """Attributes of any of the objects; an item's bytes are its type (2) and its value, or as a subclass has it."""

    place = "ASF"
    family = "asf"

    def __init__(self) -> None:
        self.items: list[Item] = []

    def texts(self, item: Item) -> tuple[str, ...]:
        """The value as text; numbers too."""
        kind, value = self.parts(item.raw)
        if kind == 0:
            value = value[:MAX_TEXT]
            return (value[: len(value) // 2 * 2].decode("utf-16-le", "replace").split("\0")[0],)
        return (str(_number(value)),) if kind in (2, 3, 4, 5) and len(value) <= 8 else ()

    @staticmethod
    def parts(raw: bytes) -> tuple[int, bytes]:
        """The type of an item and its value."""
        return _number(raw[:2]), raw[2:]


def attribute_value(block: Block, item: Item) -> bytes:
    """The value of an item of a block of this module, as it stands."""
    assert isinstance(block, _Attributes)
    return block.parts(item.raw)[1]


class _Extended(_Attributes):
    """The extended content description; of length 0 where the file has none yet."""

    def __init__(self, start: int, data: bytes = b"") -> None:
        super().__init__()
        self.start, self.length = start, len(data)
        self._raw: dict[int, bytes] = {}
        count, at = _number(data[24:26]), 26
        while len(self.items) < min(count, MAX_ITEMS):
            name_end = at + 2 + _number(data[at : at + 2])
            stop = name_end + 4 + _number(data[name_end + 2 : name_end + 4])
            if stop > len(data):
                break
            name = data[at + 2 : name_end].decode("utf-16-le", "replace").rstrip("\0")
            self.items.append(Item(name.lower(), data[at:stop]))
            at = stop
        self._damaged = len(self.items) != count or (bool(data) and at != len(data))

    def made(self, name: str, values: Sequence[str]) -> list[Item]:
        """An attribute of text a value."""
        spelt = _SPELT[name]
        made = []
        for value in values:
            text = (value + "\0").encode("utf-16-le", "surrogatepass")
            key = (spelt + "\0").encode("utf-16-le")
            if len(text) > 0xFFFF:
                raise Damaged("a text is too long for its tags")
            raw = len(key).to_bytes(2, "little") + key + bytes(2) + len(text).to_bytes(2, "little") + text
            made.append(Item(name, raw))
        return made

    @staticmethod
    def parts(raw: bytes) -> tuple[int, bytes]:
        name_end = 2 + _number(raw[:2])
        return _number(raw[name_end : name_end + 2]), raw[name_end + 4 :]

    def splices(self, items: Sequence[Item]) -> list[Splice]:
        """The object anew."""
        if self._damaged or len(items) > 0xFFFF:
            raise Damaged("its extended content description is damaged or too long")
        data = len(items).to_bytes(2, "little") + b"".join(item.raw for item in items)
        return [Splice(self.start, self.length, _EXTENDED + (24 + len(data)).to_bytes(8, "little") + data)]


_SPELT = {
    "wm/genre": "WM/Genre",
    "wm/mood": "WM/Mood",
    "wm/beatsperminute": "WM/BeatsPerMinute",
    "wm/initialkey": "WM/InitialKey",
    "genre": "Genre",
    "mood": "Mood",
    "bpm": "BPM",
    "initialkey": "InitialKey",
    "key": "Key",
}


class _Content(_Attributes):
    """The content description: title and author."""

    place = "ASF content"

    def __init__(self, data: bytes) -> None:
        super().__init__()
        at = 34
        for i, name in enumerate(("title", "author", "copyright", "description", "rating")):
            stop = at + _number(data[24 + 2 * i : 26 + 2 * i])
            self.items.append(Item(name, bytes(2) + data[at:stop]))
            at = stop


class _Library(_Attributes):
    """The attributes of a metadata or metadata library object."""

    place = "ASF library"

    def __init__(self, data: bytes) -> None:
        super().__init__()
        count, at = _number(data[24:26]), 26
        while len(self.items) < min(count, MAX_ITEMS) and at + 12 <= len(data):
            name_length = _number(data[at + 4 : at + 6])
            stop = at + 12 + name_length + _number(data[at + 8 : at + 12])
            if stop > len(data):
                break
            name = data[at + 12 : at + 12 + name_length].decode("utf-16-le", "replace").rstrip("\0")
            self.items.append(Item(name.lower(), data[at + 6 : at + 8] + data[at + 12 + name_length : stop]))
            at = stop


@dataclass
class _AsfLayout(Layout):
    """`header` is the header's length, `objects` how many it holds, `size` where the file states its own."""

    header: int = 0
    objects: int = 0
    size: tuple[int, int] | None = None

    def finished(self, made: list[Splice]) -> list[Splice]:
        """With the header's and the file's new length."""
        more = growth(made)
        new = sum(not s.length for s in made)
        made = [*made, Splice(16, 8, (self.header + more).to_bytes(8, "little"))]
        if new:
            made.append(Splice(24, 4, (self.objects + new).to_bytes(4, "little")))
        if self.size and more:
            made.append(Splice(self.size[0], 8, (self.size[1] + more).to_bytes(8, "little")))
        return made


def asf(source: Source, start: int) -> Layout:
    """The layout of an ASF file."""
    head = source.read(0, 30)
    layout = _AsfLayout("asf", header=_number(head[16:24]), objects=_number(head[24:28]))
    if start or not 30 <= layout.header <= min(source.size, MAX_BLOCK):
        raise Damaged("its header is damaged")
    objects = _objects(source, 30, layout.header)
    read: list[Block] = []
    for o in objects:
        if o.kind == _EXTENDED:
            layout.blocks.append(_Extended(o.start, source.read(o.start, o.length)))
        elif o.kind == _CONTENT:
            read.append(_Content(source.read(o.start, o.length)))
        elif o.kind == _EXTENSION and o.length >= 46:
            for inner in _objects(source, o.start + 46, o.start + o.length):
                if inner.kind in (_METADATA, _LIBRARY):
                    read.append(_Library(source.read(inner.start, inner.length)))
        elif o.kind == _FILE and o.length >= 104:
            header = source.read(o.start, 104)
            stated, duration, preroll = (_number(header[i : i + 8]) for i in (40, 64, 80))
            layout.size = (o.start + 40, stated) if stated == source.size else None
            layout.seconds = max(0, duration / 1e7 - preroll / 1e3)
        if o.kind != _EXTENDED:
            layout.frame.append((o.kind, o.length))
    if not layout.blocks:
        layout.blocks.append(_Extended(layout.header))
    if len(objects) != layout.objects:
        layout.refusal = "its header is damaged"
    layout.blocks += read
    return layout
