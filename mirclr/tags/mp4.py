"""Tags in MP4 and QuickTime: iTunes' list of atoms, which is written, and texts of other kinds, which are read.

What lies behind the tags moves when no free atom takes up the difference; then every place in the file that states
where sound lies is corrected: chunk offsets, and in a fragmented file the bases of fragments and their index.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mirclr.tags.block import MAX_ITEMS, MAX_TEXT, Block, Damaged, Item, Layout, Source, Splice, growth, unsigned

_MAX_ATOMS = 200_000
_APPLE = "----:com.apple.itunes:"
_SPELT = {
    "©gen": b"\xa9gen",
    "©nam": b"\xa9nam",
    "©art": b"\xa9ART",
    "©alb": b"\xa9alb",
    "©day": b"\xa9day",
    "aart": b"aART",
    "tmpo": b"tmpo",
    "trkn": b"trkn",
    "disk": b"disk",
    _APPLE + "mood": b"MOOD",
    _APPLE + "initialkey": b"initialkey",
    _APPLE + "key": b"KEY",
    _APPLE + "bpm": b"BPM",
    _APPLE + "tempo": b"TEMPO",
    _APPLE + "genre": b"GENRE",
    _APPLE + "initial key": b"initial key",
}
_PLACES = ("trkn", "disk")  # a track among those of its disc, a disc among those of its album: numbers of 16 bits
_HEADER = b"\0\0\0\x21hdlr\0\0\0\0\0\0\0\0mdirappl\0\0\0\0\0\0\0\0\0"


@dataclass(frozen=True)
class _Atom:
    kind: bytes
    start: int
    length: int
    head: int  # 8, or 16 where the length has 64 bits

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def body(self) -> int:
        return self.start + self.head


def _atoms(source: Source, start: int, end: int) -> list[_Atom]:
    """The atoms from there to an end; 4 zero bytes may end those of QuickTime.

    Raises
    ------
    Damaged
        They do not end there.
    """
    found, at = _atoms_until(source, start, end)
    if at != end and not (at + 4 == end and source.read(at, 4) == bytes(4)):
        raise Damaged("its atoms are damaged")
    return found


def _atoms_until(source: Source, start: int, end: int) -> tuple[list[_Atom], int]:
    """The atoms as far as they are whole, and where the last ends."""
    found: list[_Atom] = []
    at = start
    while at + 8 <= end:
        head = source.peek(at, 16)
        length, size = unsigned(head[:4]), 8
        if length == 1:
            length, size = unsigned(head[8:16]), 16
        elif not length and end == source.size:
            length = end - at
        if length < size or at + length > end or len(found) >= _MAX_ATOMS:
            break
        found.append(_Atom(head[4:8], at, length, size))
        at += length
    return found, at


def _child(source: Source, atom: _Atom, kind: bytes, skip: int = 0) -> _Atom | None:
    children = _atoms(source, atom.body + skip, atom.end)
    found = [a for a in children if a.kind == kind]
    if len(found) > 1:
        raise Damaged(f"it has several {kind.decode('latin-1')} atoms where there should be one")
    return found[0] if found else None


def _wrapped(kind: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return (8 + len(data)).to_bytes(4, "big") + kind + data


class ItemList(Block):
    """The atoms of ``moov.udta.meta.ilst``; `shell` is what has to be made around it where that is missing."""

    place = "MP4"
    family = "mp4"

    def __init__(self, source: Source, start: int, atom: _Atom | None, shell: Sequence[bytes]) -> None:
        self.start, self.length, self._shell = start, atom.length if atom else 0, shell
        self.items: list[Item] = []
        self.is_new = atom is None
        if atom is None:
            return
        if atom.head != 8:
            raise Damaged("its tags take more than 4 GiB")
        for child in _atoms(source, atom.body, atom.end):
            if len(self.items) >= MAX_ITEMS:
                raise Damaged(f"its tags have more than {MAX_ITEMS} atoms")
            raw = source.read(child.start, child.length)
            self.items.append(Item(self._name(raw), raw))

    @staticmethod
    def _name(raw: bytes) -> str:
        if raw[4:8] != b"----":
            return raw[4:8].decode("latin-1").lower()
        parts = {kind: data for kind, data in _inner(raw) if kind in (b"mean", b"name")}
        # whoever it is of: a mood is a mood
        return (_APPLE + parts.get(b"name", b"")[4:].decode("utf-8", "replace")).lower()

    def texts(self, item: Item) -> tuple[str, ...]:
        """The values of an atom; numbers as text, genres by name."""
        found: list[str] = []
        for kind, data in _inner(item.raw):
            if kind != b"data" or len(data) < 8:
                continue
            form, value = unsigned(data[1:4]), data[8 : 8 + MAX_TEXT]
            if item.name == "gnre":
                found += _genre(unsigned(value[:2]))
            elif item.name in _PLACES:
                found += _place(value)
            elif form == 2:
                found.append(value[: len(value) // 2 * 2].decode("utf-16-be", "replace"))
            elif form in (21, 22) or item.name in ("tmpo", "cpil"):
                found.append(str(unsigned(value)) if len(value) <= 8 else "")
            elif form in (0, 1):
                found.append(value.decode("utf-8", "replace"))
        return tuple(found)

    def made(self, name: str, values: Sequence[str]) -> list[Item]:
        """One atom with a value or several; a tempo is a whole number."""
        if name == "gnre":  # a list of numbers has no room for other genres
            name = "©gen"
        if name in _PLACES:
            parts = [_data(0, _place_bytes(name, value)) for value in values[:1]]
        elif name == "tmpo":
            parts = [_data(21, min(int(v), 0xFFFF).to_bytes(2, "big")) for v in values[:1]]
        else:
            parts = [_data(1, value.encode("utf-8", "replace")) for value in values]
        if name.startswith(_APPLE):
            mean = _wrapped(b"mean", bytes(4), b"com.apple.iTunes")
            return [Item(name, _wrapped(b"----", mean, _wrapped(b"name", bytes(4), _SPELT[name]), *parts))]
        return [Item(name, _wrapped(_SPELT[name], *parts))]

    def splices(self, items: Sequence[Item]) -> list[Splice]:
        """The list anew, within all that was missing around it."""
        new = _wrapped(b"ilst", *(item.raw for item in items))
        for kind in self._shell:
            new = _wrapped(kind, bytes(4) + _HEADER if kind == b"meta" else b"", new)
        return [Splice(self.start, self.length, new)]


def _data(form: int, value: bytes) -> bytes:
    return _wrapped(b"data", form.to_bytes(4, "big"), bytes(4), value)


def _inner(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The atoms within one of the list, as far as they are whole."""
    at = 8
    while at + 8 <= len(raw):
        length = unsigned(raw[at : at + 4])
        if length < 8 or at + length > len(raw):
            return
        yield raw[at + 4 : at + 8], raw[at + 8 : at + length]
        at += length


def _place(value: bytes) -> list[str]:
    """A number among others, such as "3/12"; without how many there are where that is not stated."""
    number, of = unsigned(value[2:4]), unsigned(value[4:6])
    return [f"{number}/{of}" if of else str(number)] if number else []


def _place_bytes(name: str, text: str) -> bytes:
    """What `_place` reads; a track's has two bytes more than a disc's."""
    number, _, of = text.partition("/")
    parts = (0, *(min(int(n), 0xFFFF) if n.strip().isdecimal() else 0 for n in (number, of)))
    return b"".join(n.to_bytes(2, "big") for n in parts) + bytes(2 if name == "trkn" else 0)


def atom_values(item: Item) -> Iterator[bytes]:
    """The values of an atom of the list, as they stand."""
    return (data[8:] for kind, data in _inner(item.raw) if kind == b"data")


_ESDS = re.compile(rb"esds.{4}(?:\x03[\x80-\xff]*[\0-\x7f].{3})?\x04[\x80-\xff]*[\0-\x7f](.)", re.DOTALL)
_AAC = (0x40, 0x66, 0x67, 0x68)


def sound_format(source: Source) -> str | None:
    """What the first track of sound is coded as: ``aac``, or as the file calls it; None where there is none."""
    for track in _inside(source, _Atom(b"", 0, source.size, 0), b"moov", b"trak"):
        [media, *_] = _inside(source, track, b"mdia") or [track]
        handlers = [source.peek(a.body + 8, 4) for a in _inside(source, media, b"hdlr")]
        for table in _inside(source, media, b"minf", b"stbl", b"stsd"):
            entry = source.peek(table.body + 8, min(table.length, 4096))
            if handlers == [b"soun"]:
                found = _ESDS.search(entry) if entry[4:8] == b"mp4a" else None
                return "aac" if found and found[1][0] in _AAC else entry[4:8].decode("latin-1")
    return None


def _inside(source: Source, atom: _Atom, *kinds: bytes) -> list[_Atom]:
    """The atoms that a path of kinds leads to, from an atom on; as far as they are whole."""
    found = [atom]
    for kind in kinds:
        found = [a for each in found for a in _atoms_until(source, each.body, each.end)[0] if a.kind == kind]
    return found


def _genre(number: int) -> list[str]:
    from mutagen.id3 import TCON

    return [TCON.GENRES[number - 1]] if 0 < number <= len(TCON.GENRES) else []


class _Texts(Block):
    """Texts of QuickTime (``©gen`` right below udta), of 3GPP, and of QuickTime's keys; they are read alone."""

    family = "mp4"

    def __init__(self, place: str, items: list[Item]) -> None:
        self.place, self.items = place, items

    def texts(self, item: Item) -> tuple[str, ...]:
        return (item.raw[:MAX_TEXT].decode("utf-8", "replace").strip("\0"),)


_3GPP = {b"titl": "©nam", b"perf": "©art", b"albm": "©alb", b"gnre": "©gen", b"yrrc": "©day"}


def _quicktime_texts(source: Source, udta: _Atom) -> list[Item]:
    items: list[Item] = []
    for atom in _atoms(source, udta.body, udta.end)[:MAX_ITEMS]:
        data = source.peek(atom.body, min(atom.length - atom.head, MAX_TEXT))
        if atom.kind[:1] == b"\xa9" and len(data) >= 4:
            items.append(Item(atom.kind.decode("latin-1").lower(), data[4 : 4 + unsigned(data[:2])]))
        elif atom.kind in _3GPP and len(data) > 6:
            items.append(Item(_3GPP[atom.kind], data[6:]))
    return items


_KEYS = {"title": "©nam", "artist": "©art", "album": "©alb", "genre": "©gen", "year": "©day", "creationdate": "©day"}


def _keyed_texts(source: Source, meta: _Atom) -> list[Item]:
    """The texts of a meta atom whose list goes by the numbers of its keys."""
    skip = _skipped(source, meta)
    keys, items = _child(source, meta, b"keys", skip), _child(source, meta, b"ilst", skip)
    if keys is None or items is None or keys.head != 8:
        return []
    names = _atoms(source, keys.body + 8, keys.end)[:MAX_ITEMS]
    found: list[Item] = []
    for atom in _atoms(source, items.body, items.end)[:MAX_ITEMS]:
        number = unsigned(atom.kind)
        if 0 < number <= len(names):
            key = names[number - 1]
            name = source.read(key.body, key.length - key.head).decode("utf-8", "replace").lower()
            name = name.removeprefix("com.apple.quicktime.")
            for kind, data in _inner(source.read(atom.start, atom.length)):
                if kind == b"data" and data[:4] == b"\0\0\0\x01":
                    found.append(Item(_KEYS.get(name, _APPLE + name), data[8:]))
    return found


def _skipped(source: Source, meta: _Atom) -> int:
    """Bytes before the first atom of a meta atom: MP4 has a version there, QuickTime has not."""
    return 0 if source.peek(meta.body + 4, 4) == b"hdlr" else 4


@dataclass
class _Mp4Layout(Layout):
    """`parents` enclose the list, from the outermost; `free` is what may take up a difference; `top` the file."""

    source: Source | None = None
    parents: list[_Atom] = field(default_factory=list)
    free: list[_Atom] = field(default_factory=list)
    top: list[_Atom] = field(default_factory=list)

    def finished(self, made: list[Splice]) -> list[Splice]:
        """With the lengths of what encloses the list, and free atoms or offsets that make up for them."""
        [splice] = made
        more = growth(made)
        if not more:
            return made
        for free in self.free:
            left = free.length - more
            if free.head == 8 and (left == 0 or 8 <= left < 1 << 32):
                return [splice, *_resized(free, left), *self._sizes(free, more)]
        if more <= -8 and splice.length:
            return [splice, Splice(splice.start + splice.length, 0, _wrapped(b"free", bytes(-more - 8)))]
        return [splice, *self._sizes(None, more), *self._moved(more)]

    def _sizes(self, free: _Atom | None, more: int) -> list[Splice]:
        """The lengths of those parents that do not enclose the free atom too."""
        made: list[Splice] = []
        for parent in self.parents:
            if free is not None and parent.start < free.start and free.end <= parent.end:
                continue
            length = parent.length + more
            if parent.head == 16:
                made.append(Splice(parent.start + 8, 8, length.to_bytes(8, "big")))
            elif length < 1 << 32:
                made.append(Splice(parent.start, 4, length.to_bytes(4, "big")))
            else:
                raise Damaged("its tags would become too long")
        return made

    def _moved(self, more: int) -> list[Splice]:
        """Offsets into what lies behind the moov atom, which moves."""
        assert self.source is not None
        moov = self.parents[0]
        moving = {a.kind for a in self.top if a.start >= moov.end}
        if not moving - {b"free", b"skip", b"wide"}:
            return []
        if any(a.kind == b"sidx" and a.start < moov.start for a in self.top):
            raise Damaged("an index of its fragments comes before its tags; no room is left for more")
        if any(a.kind == b"meta" for a in self.top):
            raise Damaged("it has places of items that would move; no room is left for more")
        moved = _Offsets(self.source, moov.end, more)
        moved.of_tracks(moov)
        for atom in self.top:
            if atom.kind == b"moof":
                moved.of_fragment(atom)
            elif atom.kind == b"mfra":
                moved.of_index(atom)
        return moved.splices


def _resized(free: _Atom, length: int) -> list[Splice]:
    """A free atom of another length; the difference goes in or out at its end."""
    if not length:
        return [Splice(free.start, free.length, b"")]
    head = Splice(free.start, 4, length.to_bytes(4, "big"))
    if length > free.length:
        return [head, Splice(free.end, 0, bytes(length - free.length))]
    return [head, Splice(free.end - (free.length - length), free.length - length, b"")]


class _Offsets:
    """Splices that move what states a place behind `limit` by `more`."""

    def __init__(self, source: Source, limit: int, more: int) -> None:
        self._source, self._limit, self._more = source, limit, more
        self.splices: list[Splice] = []

    def _table(self, start: int, count: int, width: int, step: int) -> None:
        data = bytearray(self._source.read(start, count * step))
        before = bytes(data)
        for at in range(0, len(data), step):
            value = unsigned(before[at : at + width])
            if value >= self._limit:
                value += self._more
                if value >= 1 << 8 * width:
                    raise Damaged("its sound would lie further on than its offsets can state")
                data[at : at + width] = value.to_bytes(width, "big")
        if data != before:
            self.splices.append(Splice(start, len(data), bytes(data)))

    def of_tracks(self, moov: _Atom) -> None:
        for track in _atoms(self._source, moov.body, moov.end):
            if track.kind == b"meta" and _child(self._source, track, b"iloc", _skipped(self._source, track)):
                raise Damaged("it has places of items that would move; no room is left for more")
            if track.kind != b"trak":
                continue
            table: _Atom | None = track
            for kind in (b"mdia", b"minf", b"stbl"):
                table = _child(self._source, table, kind) if table else None
            if table is None:
                continue
            for atom in _atoms(self._source, table.body, table.end):
                if atom.kind in (b"stco", b"co64"):
                    count, width = unsigned(self._source.read(atom.body + 4, 4)), 4 if atom.kind == b"stco" else 8
                    if atom.head + 8 + count * width > atom.length:
                        raise Damaged("its table of chunks is damaged")
                    self._table(atom.body + 8, count, width, width)
                elif atom.kind == b"saio":
                    raise Damaged("it is encrypted; no room is left for more tags")

    def of_fragment(self, moof: _Atom) -> None:
        for part in _atoms(self._source, moof.body, moof.end):
            header = _child(self._source, part, b"tfhd") if part.kind == b"traf" else None
            if header and self._source.read(header.body + 3, 1)[0] & 1:
                self._table(header.body + 8, 1, 8, 8)

    def of_index(self, mfra: _Atom) -> None:
        for atom in _atoms(self._source, mfra.body, mfra.end):
            if atom.kind != b"tfra":
                continue
            head = self._source.read(atom.body, 16)
            width, sizes = (8, 4)[not head[0]], unsigned(head[8:12])
            step = 2 * width + sum(1 + (sizes >> shift & 3) for shift in (4, 2, 0))
            count = unsigned(head[12:16])
            if atom.head + 16 + count * step > atom.length:
                raise Damaged("its index of fragments is damaged")
            entry = atom.body + 16 + width
            for n in range(count):
                self._table(entry + n * step, 1, width, width)


def mp4(source: Source, start: int) -> Layout:
    """The layout of an MP4 or QuickTime file."""
    layout = _Mp4Layout("mov", source=source)
    layout.top, end = _atoms_until(source, 0, source.size)
    moovs = [a for a in layout.top if a.kind == b"moov"]
    if start or len(moovs) != 1:
        raise Damaged("it has not one moov atom")
    [moov] = moovs
    if end != source.size:
        layout.refusal = "its atoms do not end where it ends"
    if source.peek(moov.start, 4) == bytes(4):
        layout.refusal = "its moov atom states no length"
    inside = _atoms(source, moov.body, moov.end)
    if not any(a.kind == b"moof" for a in layout.top):  # else the header states the length of a part
        layout.seconds = _seconds(source, inside)
    if not any(a.kind == b"trak" for a in inside):
        layout.refusal = "its moov atom holds no track"
    layout.parents = [moov]
    udta = _child(source, moov, b"udta")
    meta = _child(source, udta, b"meta") if udta else None
    items, shell, place = None, [b"meta", b"udta"], moov.end
    if udta:
        layout.parents.append(udta)
        shell = [b"meta"]
        place = udta.end - (4 if _zero_ended(source, udta) else 0)
    if meta:
        skip = _skipped(source, meta)
        layout.parents.append(meta)
        items, shell, place = _child(source, meta, b"ilst", skip), [], meta.end
        layout.free = [a for a in _atoms(source, meta.body + skip, meta.end) if a.kind == b"free"]
        handler = _child(source, meta, b"hdlr", skip)
        if handler is None or source.peek(handler.body + 8, 4) != b"mdir":
            layout.refusal, items = "its tags are not of iTunes' kind", None
    layout.blocks.append(ItemList(source, items.start if items else place, items, shell))
    texts = [("QuickTime text", _quicktime_texts(source, udta) if udta else [])]
    for atom in (*inside, *([meta] if meta else []), *layout.top):
        if atom.kind == b"meta":
            texts.append(("QuickTime keys", _keyed_texts(source, atom)))
    layout.blocks += [_Texts(where, found) for where, found in texts if found]
    behind = [a for a in layout.top if a.start == moov.end]
    layout.free += [a for a in behind if a.kind in (b"free", b"skip")]
    layout.frame += [a.kind for a in inside] + [a.kind for a in layout.top if a.kind not in (b"free", b"skip")]
    return layout


def _zero_ended(source: Source, udta: _Atom) -> bool:
    """Whether 4 zero bytes end the atoms of a udta atom, as QuickTime has it."""
    children = _atoms(source, udta.body, udta.end)
    return (children[-1].end if children else udta.body) + 4 == udta.end


def _seconds(source: Source, inside: list[_Atom]) -> float | None:
    header = next((a for a in inside if a.kind == b"mvhd"), None)
    if header is None:
        return None
    data = source.peek(header.body, 36)
    scale, length = (data[20:24], data[24:32]) if data[:1] == b"\x01" else (data[12:16], data[16:20])
    return unsigned(length) / unsigned(scale) if unsigned(scale) else None
