"""Places by name: what a library holds of files and folders beside its tracks follows them when they move.

Rules, patterns of what is left out, failures, saved queries and histories name absolute places. Tracks keep their ids
when they move; these would go on to name what is no longer there.

Contents: `Places`; `moved_failures` and `moved_exclusions`, what would become of these.
"""

import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from mirclr.library.database import count_write, decode_path, encode_path, storable
from mirclr.library.entries import Entries
from mirclr.library.files import is_gone
from mirclr.library.profiles import Profiles
from mirclr.library.records import Failure

Renamed = Callable[[str], str]
"""Gives the new place of an absolute path; the same where it has not moved."""

_RULE = re.compile(r"([a-z_]{2,}:)?(.*)", re.DOTALL)  # a drive of Windows has one letter


class Places(Entries, Profiles):
    """What names places, when files and folders move."""

    def count_below(self, root: str, folder: str) -> int:
        """How many tracks of a root are in a folder, a path below the root or "", or below it."""
        if folder in ("", "."):
            return int(self._rows("SELECT COUNT(*) FROM track WHERE root = ?", encode_path(root))[0][0])
        first, end = encode_path(f"{folder}/"), encode_path(f"{folder}0")  # "0" is the letter after "/"
        query = "SELECT COUNT(*) FROM track WHERE root = ? AND path >= ? AND path < ?"
        return int(self._rows(query, encode_path(root), first, end)[0][0])

    def rename_places(self, renamed: Renamed) -> None:
        """Let rules, exclusions, failures, saved queries and histories follow files and folders; one transaction.

        Parameters
        ----------
        renamed : callable
            Gives the new place of an absolute path.
        """
        roots = list(self.roots())
        rules = {rule: new for rule in self.blocks() if (new := renamed_text(rule, renamed)) != rule}
        excluded = moved_exclusions(self.exclusions(), roots, renamed)
        failures = moved_failures(self.failures(), roots, renamed)
        saved = {name: new for name, q in self.playlists().items() if (new := _renamed_json(q, renamed)) != q}
        files = [decode_path(row[0]) for row in self._rows("SELECT DISTINCT file FROM listen WHERE file <> x''")]
        played = {file: new for file in files if (new := renamed_text(file, renamed)) != file}
        if not (rules or excluded or failures or saved or played):
            return
        with self.together(), self._transaction() as db:
            db.executemany("DELETE FROM block WHERE rule = ?", [(rule,) for rule in rules])
            db.executemany("INSERT OR IGNORE INTO block VALUES (?)", [(storable(new),) for new in rules.values()])
            for (root, pattern), (new_root, new_pattern) in excluded.items():
                db.execute("DELETE FROM exclusion WHERE root = ? AND pattern = ?", (encode_path(root), pattern))
                values = (encode_path(new_root), storable(new_pattern))
                db.execute("INSERT OR IGNORE INTO exclusion VALUES (?, ?)", values)
            for old, now in failures:
                self.forget([old])
                self.write(failures=[now] if now else [])
            for name, query in saved.items():
                db.execute("UPDATE playlist SET query = ? WHERE name = ?", (json.dumps(query), name))
            if played:
                count_write(db, "listens")
            for file, new in played.items():
                db.execute(
                    "UPDATE OR REPLACE listen SET file = ? WHERE file = ?", (encode_path(new), encode_path(file))
                )

    def adopt_failures(self, roots: Collection[str]) -> None:
        """Let failures below one of `roots` belong to it, as its tracks do once it is scanned; one transaction."""
        adopted = []
        for failure in self.failures():
            root = next((r for r in roots if r != failure.root and PurePath(failure.root).is_relative_to(r)), None)
            if root is not None:
                adopted.append((failure, _placed(failure, failure.file, root)))
        if adopted:
            with self.together():
                self.forget(old for old, _ in adopted)
                self.write(failures=[new for _, new in adopted])


def renamed_text(text: str, renamed: Renamed) -> str:
    """A text that is an absolute path, or a rule of one such as ``path:/music/Jazz``, by its new place."""
    found = _RULE.fullmatch(text)
    if found is None or not os.path.isabs(found[2]):
        return text
    new = renamed(found[2])
    return text if new == found[2] else f"{found[1] or ''}{new}"


def _renamed_json(value: Any, renamed: Renamed) -> Any:
    if isinstance(value, str):
        return renamed_text(value, renamed)
    if isinstance(value, list):
        return [_renamed_json(v, renamed) for v in value]
    return {k: _renamed_json(v, renamed) for k, v in value.items()} if isinstance(value, dict) else value


def moved_failures(
    failures: Iterable[Failure], roots: Sequence[str], renamed: Renamed
) -> list[tuple[Failure, Failure | None]]:
    """The failures whose files have moved, each as it is now; None where the file did not come along."""
    moved: list[tuple[Failure, Failure | None]] = []
    for failure in failures:
        new = Path(renamed(str(failure.file)))
        if new == failure.file or not is_gone(failure.file, follow_links=False):
            continue
        root = _root_of(new, roots)
        there = root is not None and not is_gone(new, follow_links=False)
        moved.append((failure, _placed(failure, new, root) if there and root else None))
    return moved


def _placed(failure: Failure, file: Path, root: str) -> Failure:
    reason = failure.reason.replace(str(failure.file), str(file))
    return replace(failure, root=root, path=file.relative_to(root).as_posix(), reason=reason)


def moved_exclusions(
    held: Mapping[str, Sequence[str]], roots: Sequence[str], renamed: Renamed
) -> dict[tuple[str, str], tuple[str, str]]:
    """The patterns of what is left out, each with its root, that moved: as they are now."""
    moved: dict[tuple[str, str], tuple[str, str]] = {}
    for root, patterns in held.items():
        for pattern in patterns:
            anchored = "/" in pattern
            place = PurePath(root, pattern.removeprefix("./")) if anchored else PurePath(root)
            new = PurePath(renamed(str(place)))
            home = _root_of(new, roots)
            if new == place or home is None:
                continue
            below = new.relative_to(home).as_posix()
            if anchored:
                moved[root, pattern] = (home, f"./{below}")
            else:  # anywhere below what was the root
                moved[root, pattern] = (home, pattern if below == "." else f"./{below}/**/{pattern}")
    return moved


def _root_of(place: PurePath, roots: Sequence[str]) -> str | None:
    """The innermost of some roots that a place is below."""
    return max((root for root in roots if place.is_relative_to(root)), key=len, default=None)
