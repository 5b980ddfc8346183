"""Fields into a file's tags and out again, so that nothing but these fields changes, and that is checked.

A change is a list of splices. It is made on a copy, which takes the file's place once its packets of sound and all of
its other tags have been found equal (`mirclr.ingest.tagging.replacing`). What the splices took away is stored in a
`TagChange`: with it `undo_change` makes the very file that was.
"""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Literal

from mirclr.errors import MirclrError, TagsError
from mirclr.ingest.tagging.delta import decoded, inverse
from mirclr.ingest.tagging.packets import Compare, compare
from mirclr.ingest.tagging.replacing import digest_of, refusal, replace
from mirclr.tags import texts_of, values_of
from mirclr.tags.block import Block, Damaged, Item, Layout, Source, Splice
from mirclr.tags.chunks import Info
from mirclr.tags.id3 import ID3v1
from mirclr.tags.layout import layout_of
from mirclr.tags.names import CARRIED, WRITABLE, names_of

_Items = dict[int, list[Item]]  # by the number of a block in its layout


@dataclass(frozen=True)
class TagChange:
    """What was changed in a file, and what gives the old file back.

    Attributes
    ----------
    file : Path
    before, after : dict of str to tuple of str
        The values of the fields before, in any of the file's tags, and after.
    digests : (str, str) or None
        Of the old and the new file; None where an older journal has none.
    runs : list of [start, length, runs]
        What makes the old file from the new one (`mirclr.ingest.tagging.delta`).
    items : list of [place, field, old, new]
        The same tag by tag, for a file that others have changed since: names and bytes (base64) of a field's items.
    track : str or None
        What finds the file where it was moved: the library's name for itself and the number of the track.
    """

    file: Path
    before: dict[str, tuple[str, ...]]
    after: dict[str, tuple[str, ...]]
    digests: tuple[str, str] | None = None
    runs: list[Any] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)
    track: str | None = None


@dataclass(frozen=True)
class WriteOptions:
    """How the tags of files are written.

    Attributes
    ----------
    touch : bool
        Let a file's time of change advance; it stays otherwise.
    break_links : bool
        Write also a file that has several names (hard links), of which the others then keep the old file.
    root : Path, optional
        A folder that no link may lead out of.
    same_packets : callable
        Raises unless two files hold the same audio.
    """

    touch: bool = False
    break_links: bool = False
    root: Path | None = None
    same_packets: Compare = compare


def write_values(
    path: Path,
    fields: Mapping[str, Sequence[str]],
    options: WriteOptions = WriteOptions(),
    *,
    record: Callable[[TagChange], None] = lambda change: None,
) -> TagChange | None:
    """Set fields of a file's tags; an empty sequence takes a field out.

    A field is set wherever a tag of the file has it, and where none has, in the tag that its kind of file is meant to
    have; an ID3 tag keeps its version, and a new one is of version 2.3, which every program reads.

    Parameters
    ----------
    path : Path
        The file; a link is followed.
    fields : mapping of str to sequence of str
        By names of `mirclr.tags.WRITABLE`.
    options : WriteOptions
        What is preserved, and how it is checked.
    record : callable
        Called with the change when it has been checked, just before it happens.

    Returns
    -------
    TagChange or None
        None where the file has these values already.

    Raises
    ------
    TagsError
        The file cannot be written without harm; it is as it was.
    OSError
        The disk is full, the folder may not be written, and the like; the file is as it was.
    """
    with _opened(path, options) as (target, f):
        layout = layout_of(Source(f))
        before = {name: values_of(layout, name) for name in fields}
        after = {name: tuple(values) for name, values in fields.items()}
        if layout.refusal and before != after:
            raise TagsError(layout.refusal)
        changed = _with_values(layout, fields)
        return _write(path, target, f, layout, changed, before, after, options, record)


Undone = Literal["undone", "unchanged", "changed since"]


def undo_change(change: TagChange, options: WriteOptions = WriteOptions()) -> Undone:
    """Undo a change: the file becomes byte for byte what it was, or, where others changed it since, its fields do.

    Returns
    -------
    {"undone", "unchanged", "changed since"}
        The second where the change never happened; the third where others put something in its place, which is left.

    Raises
    ------
    TagsError, OSError
        As `write_values`.
    """
    with _opened(change.file, options) as (target, f):
        source = Source(f)
        if change.digests:
            old, new = change.digests
            now = digest_of(f)
            if now == old:
                return "unchanged"
            if now == new:
                splices = [
                    Splice(start, length, decoded(runs, source.read(start, length)))
                    for start, length, runs in change.runs
                ]
                replace(target, f, splices, check=lambda copy: _be(copy, old), before=lambda: None, touch=options.touch)
                return "undone"
        layout = layout_of(source)
        changed = _with_old_items(layout, change)
        before = {name: values_of(layout, name) for name in change.after}
        made = _write(change.file, target, f, layout, changed, before, None, options, lambda made: None)
        return "undone" if made else "changed since"


@contextmanager
def _opened(path: Path, options: WriteOptions) -> Iterator[tuple[Path, BinaryIO]]:
    """The file itself, open to be read; an error names it."""
    try:
        target = path.resolve(strict=True)
        if options.root is not None and not target.is_relative_to(options.root.resolve()):
            raise TagsError(f"it lies outside of {options.root}, by a link or by its path")
        if (why := refusal(target, break_links=options.break_links)) is not None:
            raise TagsError(why)
        with target.open("rb") as f:
            yield target, f
    except (Damaged, MirclrError) as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise TagsError(f"{path}: {error}; left as it is") from error
    except (ValueError, LookupError) as error:  # texts and numbers that a kind of tags cannot hold; a damaged journal
        raise TagsError(f"{path}: its tags cannot be written ({error}); left as it is") from error


def _be(copy: Path, digest: str) -> None:
    with copy.open("rb") as f:
        if digest_of(f) != digest:
            raise TagsError("what it was cannot be made again")


def _write(
    path: Path,
    target: Path,
    f: BinaryIO,
    layout: Layout,
    changed: _Items,
    before: dict[str, tuple[str, ...]],
    after: dict[str, tuple[str, ...]] | None,
    options: WriteOptions,
    record: Callable[[TagChange], None],
) -> TagChange | None:
    if not changed:
        return None
    splices = _in_order(layout.splices(changed))
    source, made = Source(f), list[TagChange]()
    olds = [source.read(s.start, s.length) for s in splices]

    def check(copy: Path) -> None:
        with copy.open("rb") as new:
            _check_tags(layout, changed, layout_of(Source(new)), after)
            digests = digest_of(f), digest_of(new)
        options.same_packets(target, copy, layout.demuxer)
        runs = [list(run) for run in inverse(splices, olds)]
        made.append(TagChange(path, before, after or {}, digests, runs, _items_of(layout, changed, before)))

    replace(target, f, splices, check=check, before=lambda: record(made[0]), touch=options.touch)
    return made[0]


def _in_order(splices: Sequence[Splice]) -> list[Splice]:
    ordered = sorted(splices, key=lambda s: (s.start, s.length))
    for one, other in pairwise(ordered):
        if one.start + one.length > other.start:
            raise Damaged("its tags overlap")
    joined: list[Splice] = []
    for splice in ordered:  # those that touch are one, so that what moved from one to the next is found again
        if joined and joined[-1].start + joined[-1].length == splice.start:
            last = joined.pop()
            splice = Splice(last.start, last.length + splice.length, last.new + splice.new)
        joined.append(splice)
    return joined


def _check_tags(layout: Layout, changed: _Items, now: Layout, after: Mapping[str, tuple[str, ...]] | None) -> None:
    """Check that every tag reads back: what was to change is changed, all else is as it was.

    Raises
    ------
    TagsError
        Something else changed.
    """
    same_places = [b.place for b in now.blocks] == [b.place for b in layout.blocks]
    if not same_places or now.demuxer != layout.demuxer or now.frame != layout.frame or now.refusal:
        raise TagsError("its other parts would not be what they were")
    for number, (old, new) in enumerate(zip(layout.blocks, now.blocks, strict=True)):
        if new.items != list(changed.get(number, old.items)):
            raise TagsError(f"its {old.place} would not read back as it should")
    for name, values in (after or {}).items():
        if _compared(values_of(now, name), name) != _compared(values, name):
            raise TagsError(f"its {name} would not read back as it should")


def _compared(values: Sequence[str], name: str) -> tuple[str, ...]:
    """Values as they compare: each once, whatever its case, and however several are put into one text."""
    nothing = ("", "0") if name == "bpm" else ("",)
    parts = (part.strip().casefold() for value in values for part in value.split(";"))
    return tuple(dict.fromkeys(part for part in parts if part not in nothing))


# what blocks are to hold


def _with_values(layout: Layout, fields: Mapping[str, Sequence[str]]) -> _Items:
    """The items of those blocks that change when fields get values."""
    held = {name: values_of(layout, name) for name in fields}
    changed: _Items = {}
    for number, block in enumerate(layout.blocks):
        items = block.items
        for name, values in fields.items():
            if held[name] == tuple(values):
                continue
            names = names_of(name, block.family)
            present = [n for n in names if any(item.name == n for item in items)]
            if not present and values and (not number or isinstance(block, Info)):  # many programs know INFO alone
                present = list(names[:1])
            for n in present:
                new = block.made(n, values) if values or isinstance(block, ID3v1) else []
                items = _replaced(items, {n, *(item.name for item in new)}, new)
        if items != block.items:
            carried = _carried(layout, block, fields) if block.is_new else []
            changed[number] = [*carried, *items]
    return changed


def _carried(layout: Layout, new: Block, fields: Mapping[str, Sequence[str]]) -> list[Item]:
    """The values of all other fields in other tags, for a new tag: it would hide them from who reads one tag alone."""
    items: list[Item] = []
    for name in CARRIED:
        names = names_of(name, new.family)
        values = next(texts_of(layout.blocks, name), ()) if names and name not in fields else ()
        several = name in ("artist", "album_artist", *WRITABLE)
        items += new.made(names[0], tuple(dict.fromkeys(values if several else values[:1]))) if values else []
    return items


def _replaced(items: Sequence[Item], names: set[str], new: Sequence[Item]) -> list[Item]:
    """Items with those of some names replaced, where the first of them stood; at the end where there was none."""
    at = next((i for i, item in enumerate(items) if item.name in names), len(items))
    others = [item for item in items[at:] if item.name not in names]
    return [*items[:at], *new, *others]


def _field_items(block: Block, name: str) -> list[Item]:
    names = names_of(name, block.family)
    return [item for item in block.items if item.name in names]


def _items_of(layout: Layout, changed: _Items, fields: Mapping[str, Any]) -> list[Any]:
    """For each changed tag and field its items before and after, as JSON holds them."""
    found: list[Any] = []
    for number, items in changed.items():
        block = layout.blocks[number]
        for name in fields:
            names = names_of(name, block.family)
            old, new = ([i for i in some if i.name in names] for some in (block.items, items))
            if old != new:
                found.append(
                    [
                        block.place,
                        name,
                        *([[i.name, base64.b64encode(i.raw).decode()] for i in some] for some in (old, new)),
                    ]
                )
    return found


def _with_old_items(layout: Layout, change: TagChange) -> _Items:
    """The items of those blocks that still hold a change, as they were before; by value where the bytes differ."""
    changed: _Items = {}
    done: set[str] = set()
    for place, name, *both in change.items:
        old, new = ([Item(n, base64.b64decode(raw, validate=True)) for n, raw in some] for some in both)
        for number, block in enumerate(layout.blocks):
            if block.place == place and new and _field_items(block, name) == new:
                items = changed.get(number, block.items)
                changed[number] = _replaced(items, set(names_of(name, block.family)), old)
                done.add(name)
                break
    by_value = {
        name: change.before[name]
        for name, after in change.after.items()
        if name not in done
        and name in change.before
        and _compared(values_of(layout, name), name) == _compared(after, name)
    }
    for number, items in _with_values(layout, by_value).items():
        if number not in changed:
            changed[number] = items
    return changed
