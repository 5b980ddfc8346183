"""``mirclr duplicates``: near-duplicates, the same recording in several files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.show import closing, is_terminal, print_json, print_line, print_table, progress, remark
from mirclr.terminal import clock, counted

if TYPE_CHECKING:
    from mirclr.ingest.near_duplicates import Copy
    from mirclr.library import LibraryTrack


@options.formerly({"--min": "--threshold"})
@click.command(epilog="Example: mirclr duplicates --threshold 0.9")
@options.library
@options.threshold(0.5, "How likely two files must be one recording to count, from 0.5 to 1.", least=0.5)
@options.workers
@options.as_json
def command(library_path: Path, threshold: float, workers: int, as_json: bool) -> None:
    """Find songs that you have twice, also under other names.

    By sound, so also where the names differ: in another format, louder or quieter, cut by some seconds, on another
    album. Nothing is deleted, and which file to keep is yours to decide; "best" marks the longest lossless one, or else
    the one of the highest bitrate. What was found is kept in the library, and no list has one recording twice.
    """
    from mirclr.ingest.near_duplicates import (
        candidates_by_ear,
        copies,
        find_candidates,
        find_near_duplicates,
        steps_to_compare,
    )
    from mirclr.library import LibraryStore

    with LibraryStore.open(library_path) as library:
        candidates = [*find_candidates(library), *candidates_by_ear(library)]
        with progress("Comparing songs", steps_to_compare(library, candidates)) as advance:
            found = find_near_duplicates(library, candidates=candidates, workers=workers, advance=advance)
        groups = copies(library, found.pairs, threshold)
    if as_json:
        listed = [[_as_json(copy) for copy in group] for group in groups]
        print_json({"groups": listed, "failures": list(found.failures)})
        return
    for line in found.failures:
        remark(f"skipped {line}")
    if not groups:
        closing("no song is there twice")
        return
    _print(groups)
    closing(f"{counted(len(groups), 'song')} in {counted(sum(map(len, groups)), 'file')}; nothing was deleted")
    remove = options.command_line("library", "remove", "FILE", library_path=library_path)
    remark(f"to leave a file out of your library: {remove}")


def _print(groups: Sequence[Sequence[Copy]]) -> None:
    """Print each recording with its files below it; into another program a file a line."""
    if not is_terminal(sys.stdout):
        columns = ("group", "artist", "title", "album", "best", "length", "format", "likelihood", "file")
        rows = [
            (number, copy.track.artist, copy.track.title, copy.track.album, *_of_file(copy))
            for number, group in enumerate(groups, 1)
            for copy in group
        ]
        print_table(columns, rows)
        return
    for number, group in enumerate(groups, 1):
        named = sorted(group, key=lambda copy: (not copy.best, not copy.track.title))
        print_line(f"{number}  {named[0].track.label}")
        for copy in named:
            best, length, kind, likelihood, file = _of_file(copy)
            print_line(f"   {best:4}  {length:>5}  {kind:4}  {likelihood:>5}", file)  # whole, to be pasted


def _of_file(copy: Copy) -> tuple[str, str, str, str, str]:
    """What is printed of a copy's file: whether it is the best, its length, kind, likelihood and place."""
    track = copy.track
    best = "best" if copy.best else ""
    return best, clock(track.duration_s), _format(track), f"{100 * copy.likelihood:.0f} %", str(track.place)


def _format(track: LibraryTrack) -> str:
    return track.file.suffix.lower().lstrip(".")


def _as_json(copy: Copy) -> dict[str, Any]:
    track = copy.track
    return {
        "id": track.id,
        "likelihood": round(copy.likelihood, 3),
        "artist": track.artist or "",
        "title": track.title or "",
        "album": track.album or "",
        "duration_s": round(track.duration_s, 1),
        "format": _format(track),
        "file": str(track.place),
        "best": copy.best,
    }
