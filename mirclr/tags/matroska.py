"""Tags in Matroska and WebM, which are read and not written."""

import struct
from collections.abc import Iterator

from mirclr.tags.block import MAX_ITEMS, MAX_TEXT, Block, Damaged, Item, Layout, Source, unsigned

HEADER = b"\x1a\x45\xdf\xa3"
_SEGMENT, _INFO, _TAGS = 0x18538067, 0x1549A966, 0x1254C367
_SCALE, _DURATION, _TITLE = 0x2AD7B1, 0x4489, 0x7BA9
_TAG, _TARGETS, _LEVEL, _SIMPLE, _NAME, _STRING = 0x7373, 0x63C0, 0x68CA, 0x67C8, 0x45A3, 0x4487
_ATTACHMENTS, _ATTACHED, _FILE_NAME, _FILE_DATA = 0x1941A469, 0x61A7, 0x466E, 0x465C
_ALBUM = 50  # the level of an album; 30 is that of a track
_MAX_ELEMENTS = 200_000


class _Tags(Block):
    place = "Matroska"
    family = "text"

    def __init__(self) -> None:
        self.items: list[Item] = []

    def texts(self, item: Item) -> tuple[str, ...]:
        """The one value."""
        return (item.raw[:MAX_TEXT].decode("utf-8", "replace").rstrip("\0"),)


def matroska(source: Source, start: int) -> Layout:
    """The layout of a Matroska or WebM file."""
    block = _Tags()
    layout = Layout("matroska", [block], refusal="tags of Matroska are read and not written")
    segment = next((e for e in _elements(source, start, source.size) if e[0] == _SEGMENT), None)
    if segment is None:
        raise Damaged("not a kind of file whose tags can be read")
    for kind, begin, end in _elements(source, segment[1], segment[2]):
        if kind == _INFO:
            info = {k: source.read(b, e - b) for k, b, e in _elements(source, begin, end) if e - b < MAX_TEXT}
            layout.seconds = _seconds(info)
            if _TITLE in info:
                block.items.append(Item("title", info[_TITLE]))
        elif kind == _TAGS:
            for tag in _elements(source, begin, end):
                if tag[0] == _TAG:
                    block.items += _tag(source, tag[1], tag[2])
            if len(block.items) > MAX_ITEMS:
                raise Damaged(f"its tags have more than {MAX_ITEMS} items")
    return layout


def attachments(source: Source) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each file that is attached."""
    for _, begin, end in (e for e in _elements(source, 0, source.size) if e[0] == _SEGMENT):
        for _, b, e in (part for part in _elements(source, begin, end) if part[0] == _ATTACHMENTS):
            for _, x, y in (part for part in _elements(source, b, e) if part[0] == _ATTACHED):
                held = {kind: (low, high) for kind, low, high in _elements(source, x, y)}
                if _FILE_DATA in held and _FILE_NAME in held:
                    (low, high), (first, last) = held[_FILE_NAME], held[_FILE_DATA]
                    name = source.read(low, min(high - low, MAX_TEXT)).decode("utf-8", "replace")
                    yield name, source.read(first, last - first)


def _tag(source: Source, begin: int, end: int) -> Iterator[Item]:
    parts = list(_elements(source, begin, end))
    level = 0
    for _, b, e in (part for part in parts if part[0] == _TARGETS):
        level = next((unsigned(source.read(x, y - x)) for k, x, y in _elements(source, b, e) if k == _LEVEL), level)
    for _, b, e in (part for part in parts if part[0] == _SIMPLE):
        held = {k: source.read(x, y - x) for k, x, y in _elements(source, b, e) if k in (_NAME, _STRING)}
        if len(held) == 2:
            name = held[_NAME].decode("utf-8", "replace").rstrip("\0").lower()
            yield Item("album" if name == "title" and level >= _ALBUM else name, held[_STRING])


def _elements(source: Source, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The kind, the begin and the end of each element, as far as they lie within; one without a length is the last."""
    at = start
    for _ in range(_MAX_ELEMENTS):
        kind, width = _number(source.peek(at, 8), keep=True)
        length, more = _number(source.peek(at + width, 8), keep=False)
        begin = at + width + more
        if not width or not more or begin > end:
            return
        if length == (1 << 7 * more) - 1:
            yield kind, begin, end
            return
        if begin + length > end:
            return
        yield kind, begin, begin + length
        at = begin + length


def _number(data: bytes, *, keep: bool) -> tuple[int, int]:
    """A number whose first bits state its width, and that width; the width is 0 where there is none."""
    if not data or not data[0]:
        return 0, 0
    width = 9 - data[0].bit_length()
    if len(data) < width:
        return 0, 0
    value = unsigned(data[:width])
    return (value if keep else value & ((1 << 7 * width) - 1)), width


def _seconds(info: dict[int, bytes]) -> float | None:
    form = {4: ">f", 8: ">d"}.get(len(info.get(_DURATION, b"")))
    if form is None:
        return None
    duration: float = struct.unpack(form, info[_DURATION])[0]
    return duration * unsigned(info.get(_SCALE, b"\x0f\x42\x40")) / 1e9
