"""``mirclr sync``: a library brought up to date with its folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.embed import (
    bring_fingerprints_up_to_date,
    checkpoint_of,
    embed_showing,
    given_roots,
    remark_passed_over,
)
from mirclr.cli.endings import close_with_songs, remark_failures
from mirclr.cli.show import naming, print_json, print_line, remark

if TYPE_CHECKING:
    from mirclr.ingest.sync import SyncChange

_COUNTED = ("embedded", "changed", "unchanged", "moved", "retagged", "copied", "removed", "forgotten", "failed")
_AS_DONE = {"embedded": "added", "copied": "added, as a copy:", "retagged": "with new tags:", "failed": "skipped"}
_LISTED = ("embedded", "changed", "moved", "copied", "removed", "forgotten")


@click.command(epilog="Example: mirclr sync --dry-run")
@click.argument("folders", metavar="[FOLDER…]", nargs=-1, type=options.HomePath(path_type=Path, file_okay=False))
@options.library
@options.exclude
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Remove songs even where they are most of a folder's.")
@click.option("--retry", is_flag=True, help="Try again files that failed before and have not changed.")
@options.checkpoint("The library's encoder, where its file has moved.")
@options.workers
@options.device
@options.as_json
def command(
    folders: tuple[Path, ...],
    library_path: Path,
    globs: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    retry: bool,
    checkpoint: Path | None,
    workers: int,
    device: str,
    as_json: bool,
) -> int:
    """Bring your library up to date with your folders.

    What is new or changed is listened to, what moved is followed, and songs whose files are gone are removed from the
    library. Without a FOLDER, all folders that the library has songs of are looked at.

    The songs of a folder that is missing or empty are kept, as its disk may be off; so are more than ten that are more
    than half of their folder's, unless --yes is given. The exit code is then 1.
    """
    from mirclr.data.scan import PassedOver
    from mirclr.errors import NoMatch, PatternError
    from mirclr.index import open_index
    from mirclr.ingest.exclusions import keep_exclusions
    from mirclr.ingest.sync import apply_changes, preview_changes, sync_scope
    from mirclr.library import LibraryStore
    from mirclr.models.embedder import Embedder

    passed = PassedOver()

    with LibraryStore.open(library_path) as library:
        scope = sync_scope(library, folders)
        kept = {}
        if globs:
            if dry_run:
                raise click.UsageError("--exclude is kept in the library, which --dry-run leaves as it is")
            with options.wrong_usage(PatternError):
                kept = keep_exclusions(library, globs, given_roots(folders or list(scope), scope))
        if dry_run:
            changes = list(preview_changes(library, scope, list(scope), retry=retry, yes=yes, passed=passed))
        else:
            stamp = library.stamp
            encoder = checkpoint or checkpoint_of(library_path)
            embedder = Embedder.load(encoder, excerpts=stamp.excerpts if stamp else None, device=device)
            does = apply_changes(
                library,
                scope,
                list(scope),
                embedder,
                workers=workers,
                retry=retry,
                yes=yes,
                embed=embed_showing,
                passed=passed,
            )
            changes = list(does)
            with suppress(NoMatch):  # of a library without tracks
                open_index(library)  # made now, the first question need not wait for it
            bring_fingerprints_up_to_date(library, wanted=False, workers=workers)
    by = Counter(change.did for change in changes)
    counts = {did: by[did] for did in _COUNTED if dry_run or did != "changed"}
    if as_json:
        print_json({"library": str(library_path), "dry_run": dry_run, **counts, **_lists(changes), **passed.as_json()})
    else:
        remark_passed_over(passed, kept)
        _print(changes, counts, dry_run, library_path)
    nothing_but_failures = counts["failed"] and counts["failed"] == sum(counts.values())
    return 1 if not dry_run and (by["kept"] or nothing_but_failures) else 0


def row(change: SyncChange) -> dict[str, Any]:
    """A change as a JSON value."""
    done: dict[str, Any] = {"did": change.did, "file": str(change.file)}
    if change.old:
        done["from"] = str(change.old)
    return done | ({"reason": change.reason} if change.reason else {})


def line(change: SyncChange) -> str:
    """A change as a line for people."""
    file, reason = str(change.file), change.reason or ""
    if change.did in ("failed", "waiting"):
        return f"{_AS_DONE.get(change.did, change.did)} {naming(file, reason)}"
    if change.did == "kept":
        return f"{file} {reason}" if reason.startswith("is ") else naming(file, reason)
    if change.did == "followed":
        return f"{change.old} is now {file}; rules, playlists and what could not be read follow"
    return f"{_AS_DONE.get(change.did, change.did)} {file}"


def _lists(changes: Sequence[SyncChange]) -> dict[str, list[dict[str, Any]]]:
    """What was done to which file, the folders whose tracks are kept, and the files that failed."""
    rows = [row(change) for change in changes]
    return {
        "changes": [r for r in rows if r["did"] not in ("unchanged", "failed", "kept")],
        "kept": [{"folder": r["file"], "reason": r["reason"]} for r in rows if r["did"] == "kept"],
        "failures": [{"file": r["file"], "reason": r["reason"]} for r in rows if r["did"] == "failed"],
    }


def _print(changes: Sequence[SyncChange], counts: dict[str, int], dry_run: bool, library_path: Path) -> None:
    from mirclr.library import LibraryStore

    remark_failures([(change.file, change.reason or "") for change in changes if change.did == "failed"], library_path)
    for change in changes:
        if change.did == "kept":
            remark(line(change))
            for words in _what_to_do(change.file, library_path):
                remark(f"  {words}")
        elif change.did == "followed":
            remark(line(change))
        elif (dry_run and change.did in _LISTED) or change.did == "removed":
            print_line(f"{'would be ' if dry_run else ''}{line(change)}")
    if any(counts.values()) or not any(change.did == "kept" for change in changes):
        with LibraryStore.open(library_path) as library:
            close_with_songs(library, counts, dry_run=dry_run)


def _what_to_do(folder: Path, library_path: Path) -> list[str]:
    """What a person may do about songs of a folder that stay in the library though their files are not there."""
    from mirclr.library.files import absence

    if absence(folder) is None:
        return [f"to take them out: {options.command_line('sync', '--yes', library_path=library_path)}"]
    return [
        f"moved? {options.command_line('sync', 'NEW_FOLDER', library_path=library_path)}",
        f"gone for good? {options.command_line('library', 'remove', folder, library_path=library_path)}",
    ]
