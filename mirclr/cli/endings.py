"""How commands that fill a library end: how many songs are ready, what is new, what could not be read, what to try."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mirclr.cli.show import closing, naming, remark
from mirclr.settings import command_line
from mirclr.terminal import counted

if TYPE_CHECKING:
    from mirclr.library import LibraryStore

_MOST = 20
_IN_WORDS = {
    "embedded": "new",
    "changed": "changed",
    "moved": "moved",
    "retagged": "with new tags",
    "copied": "copied",
    "removed": "gone",
}


def remark_failures(failures: Sequence[tuple[object, str]], library_path: Path) -> None:
    """Remark which files could not be read, and why; of many the first ones."""
    _remark_some(failures, _failures_of(library_path))


def remark_failures_of_vectors(failures: Sequence[tuple[object, str]]) -> None:
    """The same, where they are kept beside vectors."""
    _remark_some(failures, "the column failure of the vectors says why")


def _remark_some(failures: Sequence[tuple[object, str]], where: str) -> None:
    for file, reason in failures[:_MOST]:
        remark(f"skipped {naming(str(file), reason)}")
    if len(failures) > _MOST:
        remark(f"skipped {len(failures) - _MOST:,} more: {where}")


def close_with_songs(library: LibraryStore, counts: Mapping[str, int], *, dry_run: bool = False) -> None:
    """Say how many songs a library has ready, what a command has done, and after new ones what to try.

    Parameters
    ----------
    library : LibraryStore
        As it is at the end.
    counts : mapping of str to int
        How many files of each outcome there were; see `mirclr.ingest.embedding.Outcome`.
    dry_run : bool
        Say what would be done, and nothing of songs that are ready.
    """
    n, new = len(library.ids()), counts.get("embedded", 0)
    done = [f"{counts[did]:,} {word}" for did, word in _IN_WORDS.items() if counts.get(did)]
    failed = f"{counts['failed']:,} could not be read: {_failures_of(library.path)}" if counts.get("failed") else ""
    if not n and not any(counts.values()):
        closing("no music found")
    elif dry_run:
        would = f"would be: {', '.join(done)}" if done else "nothing to do"
        closing(f"{would}; {counts['failed']:,} could not be read" if counts.get("failed") else would)
    else:
        if not done and not failed and n:
            done = ["nothing new"]
        about = "" if new == n else f" ({', '.join(done)})" * bool(done)
        closing(f"{counted(n, 'song')} ready{about}{', ' * bool(failed)}{failed}")
    if new and not dry_run and (seed := _well_known(library)):
        remark(f"Try: {command_line('recommend', seed, library_path=library.path)}")


def _failures_of(library_path: Path) -> str:
    return command_line("library", "info", "--failures", library_path=library_path)


def _well_known(library: LibraryStore) -> str:
    """What to ask for first: the artist of most songs, else a title, else a file; empty of a library of one song."""
    if len(library.ids()) < 2:
        return ""
    for column in ("artist", "title"):
        names = Counter(library.column(column)[1])
        if named := sorted(names, key=lambda name: (-names[name], name)):
            return next((name for name in named if _can_be_typed(name)), "")
    return str(library.tracks(library.ids()[:1].tolist())[0].place)


def _can_be_typed(name: str) -> bool:
    return name.isprintable() and not name.startswith("-") and len(name) < 60
