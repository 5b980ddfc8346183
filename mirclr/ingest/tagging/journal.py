"""What was written into files, stored beside a library so that it can be undone: a line of JSON a change.

A line is written, and on disk, before its change happens. A last line without an end is what a killed run left.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mirclr.ingest.tagging.writing import TagChange
from mirclr.provenance import writing


class Journal:
    """The journal of a library, which may be gone; or one at a `path` of its own."""

    def __init__(self, library: Path, path: Path | None = None) -> None:
        self.path = path or library.with_name(f"{library.name}.tags.jsonl")

    def mend(self) -> None:
        """Remove what a killed run left half written, so that the next change begins a line."""
        if self.path.exists():
            with self.path.open("rb+") as f:
                end = f.seek(0, os.SEEK_END)
                while end and _byte_before(f, end) != b"\n":
                    end -= 1
                f.truncate(end)

    def add(self, change: TagChange) -> None:
        """Append a change."""
        with self.path.open("a", encoding="ascii") as f:
            f.write(_line(change))
            f.flush()
            os.fsync(f.fileno())

    def read(self) -> tuple[list[TagChange], list[str]]:
        """The changes, the oldest first, and the lines that are none."""
        if not self.path.exists():
            return [], []
        changes, unread = list[TagChange](), list[str]()
        # of any older run too: no line end but \n, as texts may hold others
        for line in self.path.read_bytes().decode("utf-8", "replace").split("\n")[:-1]:
            try:
                changes.append(_change(json.loads(line)))
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                unread.append(line)
        return changes, unread

    def rewrite(self, changes: Sequence[TagChange], unread: Sequence[str]) -> None:
        """Keep these changes and lines alone."""
        with writing(self.path, "w") as f:
            f.writelines([f"{line}\n" for line in unread] + [_line(change) for change in changes])


def _byte_before(f: Any, end: int) -> bytes:
    f.seek(end - 1)
    byte: bytes = f.read(1)
    return byte


def _line(change: TagChange) -> str:
    held: dict[str, Any] = {"file": str(change.file), "before": change.before, "after": change.after}
    if change.digests:
        held |= {"digests": change.digests, "runs": change.runs, "items": change.items}
    if change.track is not None:
        held["track"] = change.track
    return json.dumps(held) + "\n"


def _change(held: dict[str, Any]) -> TagChange:
    digests = held.get("digests")
    if not isinstance(held["file"], str) or not held["file"]:
        raise ValueError("no file")
    for _, length, runs in (some := held.get("runs", [])):
        if not isinstance(length, int) or not isinstance(runs, list):
            raise TypeError("no runs")
    for _, _, old, new in (items := held.get("items", [])):
        if not all(isinstance(part, str) for pair in (*old, *new) for part in pair):
            raise TypeError("no items")
    return TagChange(
        Path(held["file"]),
        {name: tuple(map(str, values)) for name, values in held["before"].items()},
        {name: tuple(map(str, values)) for name, values in held["after"].items()},
        (str(digests[0]), str(digests[1])) if digests else None,
        some,
        items,
        str(held["track"]) if "track" in held else None,
    )
