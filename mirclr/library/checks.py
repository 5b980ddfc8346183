"""Whether a library file holds what mirclr writes there, and nothing else: it may come from elsewhere, or be damaged.

SQLite takes any value in any column, and runs whatever its schema holds when it is read. So the schema must be the very
one of the migrations, and each value that is read is of its column's type and size; a path stays below its root. What
is not so is a `LibraryError` of one line.

Contents: `limit` (what SQLite itself may do), `check_schema`, `check_rows`, `what_is_amiss`, `below_root`,
`parsed_stamp`.
"""

import json
import math
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from mirclr.errors import LibraryError
from mirclr.models.stamp import EncoderStamp
from mirclr.terminal import shown

_LONGEST = 1 << 20  # letters of a text, bytes of a value
_LARGEST = 1 << 27  # bytes that SQLite holds at once: the ids of some million tracks, as one argument
_GREATEST = 1e15
_MOST_IDS = 1 << 31
_SQLITES_OWN = frozenset(("sqlite_sequence", "sqlite_stat1", "sqlite_stat4"))


def limit(db: sqlite3.Connection) -> None:
    """Let a schema run no function that could do harm, have pages checked, and bound what one value takes."""
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST)
    db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 2)


def check_schema(db: sqlite3.Connection, path: Path, statements: Iterable[str]) -> None:
    """Refuse a library whose tables and indexes are not those that `statements` make, or that holds anything else.

    Raises
    ------
    LibraryError
        Naming the first difference.
    """
    found, expected = _objects(db), _expected(tuple(statements))
    for what in (*expected, *found):
        if found.get(what) != expected.get(what):
            kind, name = what
            how = "is not as mirclr makes it" if what in expected and what in found else "is not of mirclr's making"
            raise LibraryError(
                f"{path}: not a library of mirclr's, or damaged: its {kind} {shown(name)[:60]!r} "
                f"{how if what in found else 'is missing'}"
            )


def _objects(db: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """What a schema holds, as (kind, name) to SQL with its spaces made one."""
    rows = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    held = {}
    for kind, name, table, sql in rows:
        if not ((kind == "table" and name in _SQLITES_OWN) or (kind == "index" and sql is None)):
            held[(str(kind), str(name))] = f"{table}: {' '.join(str(sql).split())}"
    return held


@lru_cache(maxsize=8)
def _expected(statements: tuple[str, ...]) -> dict[tuple[str, str], str]:
    db = sqlite3.connect(":memory:")
    try:
        for statement in statements:
            db.execute(statement)
        return _objects(db)
    finally:
        db.close()


def below_root(path: str) -> bool:
    """Whether a path, relative to a root, leads below it by its letters alone; links are not looked at."""
    if not path or "\0" in path:
        return False
    if os.name == "nt":
        pure = PurePath(path)
        return not (pure.is_absolute() or pure.drive or pure.root or ".." in pure.parts) and bool(pure.parts)
    return path[0] != "/" and not (".." in path and ".." in path.split("/"))


def _is_root(root: str) -> bool:
    if "\0" in root:
        return False
    return root.startswith("/") or PurePosixPath(root).is_absolute() or PureWindowsPath(root).is_absolute()


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _are_below_root(paths: Sequence[bytes]) -> bool:
    joined = b"\n".join((b"", *paths))
    if os.name != "nt" and not any(sign in joined for sign in (b"..", b"\0", b"\n/", b"\n\n")) and joined[-1:] != b"\n":
        return True  # of most libraries; in a fraction of the time
    return all(below_root(_text(path)) for path in paths)


def _are_short(values: Sequence[Any]) -> bool:
    return max(map(len, values), default=0) <= _LONGEST


_Kind = tuple[frozenset[type], Callable[[Sequence[Any]], bool], str]
_ID: _Kind = (frozenset((int,)), lambda v: min(v) > 0 and max(v) < _MOST_IDS, "the id of a track")
_WHOLE: _Kind = (frozenset((int,)), lambda v: True, "a whole number")
_NUMBER: _Kind = (  # of what is no number SQLite gives NULL
    frozenset((float, int)),
    lambda v: min(v) >= -_GREATEST and max(v) <= _GREATEST,
    "a finite number",
)
_TEXT: _Kind = (frozenset((str,)), _are_short, f"a text of up to {_LONGEST} letters")
_BYTES: _Kind = (frozenset((bytes,)), _are_short, f"up to {_LONGEST} bytes")
_ROOT: _Kind = (frozenset((bytes,)), lambda v: all(_is_root(_text(root)) for root in set(v)), "an absolute folder")
_PATH: _Kind = (frozenset((bytes,)), _are_below_root, "a path below its folder")

_KINDS: dict[str, _Kind] = {
    **dict.fromkeys(("id", "track_id", "first", "second"), _ID),
    **dict.fromkeys(("size", "mtime_ns", "generation", "plays", "taste", "year", "compilation"), _WHOLE),
    **dict.fromkeys(("track_number", "disc_number", "made_ns"), _WHOLE),
    **dict.fromkeys(("duration_s", "start_s", "probability", "likelihood", "key_strength", "tempo_bpm"), _NUMBER),
    **dict.fromkeys(("loudness_lufs", "last_s", "hours", "added_s", "at_s", "made_s", "changed_s", "x", "y"), _NUMBER),
    **dict.fromkeys(("title", "artist", "album", "album_artist", "genre", "remark", "reason", "folded"), _TEXT),
    **dict.fromkeys(("file_digest", "content_digest", "audio_digest", "name", "source", "task", "label"), _TEXT),
    **dict.fromkeys(("rule", "query", "profile", "value", "key", "pattern", "kind", "comment"), _TEXT),
    **dict.fromkeys(("components", "rows", "file", "landmarks", "outline", "harmony", "rhythm"), _BYTES),
    "root": _ROOT,
    **dict.fromkeys(("path", "audio_path"), _PATH),
}
_OPTIONAL = frozenset(
    (
        *("title", "artist", "album", "album_artist", "genre", "year", "compilation", "remark", "audio_path"),
        *("key", "content_digest", "tempo_bpm", "loudness_lufs", "last_s", "track_number", "disc_number", "added_s"),
    )
)


def check_rows(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Refuse values that are not what mirclr writes into columns of these names; others are left alone.

    Raises
    ------
    LibraryError
        Naming the column, what it holds, and the track where one is known.
    """
    for at, (name, values) in enumerate(zip(columns, zip(*rows, strict=True), strict=False)):
        if name not in _KINDS:
            continue
        types, check, expected = _KINDS[name]
        found = set(map(type, values))
        held = values
        if type(None) in found and name in _OPTIONAL:
            found.discard(type(None))
            held = tuple(value for value in values if value is not None)
        if found and not (found <= types and check(held)):
            wrong = next(row for row in rows if not _is_right(name, row[at]))
            raise LibraryError(
                f"{path}: not a library of mirclr's, or damaged: {_where(columns, wrong)}{_found(name, wrong[at])}; "
                f"expected {expected}"
            )


def what_is_amiss(columns: Sequence[str], row: Sequence[Any]) -> str | None:
    """What of a row that is to be written could not be read again: "its year is …; expected …"; None of a right one."""
    for name, given in zip(columns, row, strict=True):
        # as SQLite gives it back: what is true as 1, numpy's numbers as Python's
        value = next((to(given) for of, to in ((bool, int), (float, float)) if isinstance(given, of)), given)
        if name in _KINDS and not _is_right(name, value):
            return f"{_found(name, value)}; expected {_KINDS[name][2]}"
    return None


def _is_right(name: str, value: Any) -> bool:
    types, check, _ = _KINDS[name]
    if value is None:
        return name in _OPTIONAL
    return type(value) in types and check((value,))


def _where(columns: Sequence[str], row: Sequence[Any]) -> str:
    for name in ("id", "track_id"):
        if name in columns and type(value := row[list(columns).index(name)]) is int:
            return f"track {value}: "
    return ""


def _found(name: str, value: Any) -> str:
    if name in ("path", "audio_path") and isinstance(value, bytes) and value:
        return f"{shown(_text(value[:200]))!r} leads out of its folder"
    kind = {bytes: "bytes", str: "a text", int: "a whole number", float: "a number", type(None): "nothing"}
    size = f" of {len(value)}" if isinstance(value, bytes | str) else f", {value}" if value is not None else ""
    return f"its {name} is {kind.get(type(value), 'something else')}{size}"


def parsed(text: str | None, kind: type, what: str, path: Path) -> Any:
    """Read JSON that a library stores.

    Raises
    ------
    LibraryError
        It is none, or not of the kind that mirclr writes.
    """
    try:
        value = json.loads(text or "")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise LibraryError(f"{path}: not a library of mirclr's, or damaged: {what} cannot be read")
    return value


def parsed_stamp(text: str, path: Path) -> EncoderStamp:
    """Read the encoder of a library.

    Raises
    ------
    LibraryError
        As `parsed`.
    """
    values = parsed(text, dict, "its encoder", path)
    named = {"digest": str, "name": str, "dim": int, "excerpts": int, "recipe": dict}
    known = values.keys() == {f.name for f in fields(EncoderStamp)}
    if known and all(type(values[key]) is kind for key, kind in named.items()):
        stamp = EncoderStamp(**values)
        if 0 < stamp.dim <= 1 << 20 and 0 < stamp.excerpts <= 1 << 20:
            return stamp
    raise LibraryError(f"{path}: not a library of mirclr's, or damaged: its encoder cannot be read")


def whole_number(text: str | None, what: str, path: Path) -> int:
    """Read a whole number that a library stores as a text; 0 where there is none.

    Raises
    ------
    LibraryError
        It is none.
    """
    try:
        value = float(text or 0) if len(text or "") <= 32 else math.nan  # SQLite turns what is too large into REAL
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise LibraryError(f"{path}: not a library of mirclr's, or damaged: {what} is no number")
    return int(text or 0) if (text or "0").lstrip("-").isdecimal() else int(value)
