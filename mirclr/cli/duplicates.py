"""``mirclr duplicates``: near-duplicates, the same recording under several names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.show import print_json, print_line, print_table, progress, remark

if TYPE_CHECKING:
    from mirclr.ingest.near_duplicates import Copy


@options.formerly({"--min": "--threshold"})
@click.command(epilog="Example: mirclr duplicates --threshold 0.9")
@options.library
@options.threshold(0.5, "How likely a pair must be one recording to count, from 0.5 to 1.", least=0.5)
@options.workers
@options.as_json
def command(library_path: Path, threshold: float, workers: int, as_json: bool) -> None:
    """Find near-duplicates: the same recording under several names.

    Re-encoded, louder or quieter, cut by some seconds, on another album: tracks whose vectors are near are decoded
    and compared. Nothing is deleted, and which one to keep is yours to decide; "best" marks the longest lossless file
    of a group, or else the one of the highest bitrate. What was found is kept in the library.
    """
    from mirclr.ingest.near_duplicates import copies, find_candidates, find_near_duplicates
    from mirclr.library import LibraryStore

    with LibraryStore.open(library_path) as library:
        candidates = find_candidates(library)
        with progress("Comparing", len({i for pair in candidates for i in pair})) as advance:
            found = find_near_duplicates(library, candidates=candidates, workers=workers, advance=advance)
        listed = [[_as_json(copy) for copy in group] for group in copies(library, found.pairs, threshold)]
    if as_json:
        print_json({"groups": listed, "failures": list(found.failures)})
        return
    for line in found.failures:
        remark(f"skipped {line}")
    columns = ("likelihood", "artist", "title", "album", "duration_s", "format", "file")
    rows = [
        (number, *(row[name] for name in columns), "best" if row["best"] else "")
        for number, members in enumerate(listed, 1)
        for row in members
    ]
    if rows:
        print_table(("group", "likelihood", "artist", "title", "album", "seconds", "format", "file", ""), rows)
    tracks = sum(map(len, listed))
    print_line(
        f"{len(listed)} recordings are held several times, by {tracks} tracks" if listed else "no duplicates found"
    )


def _as_json(copy: Copy) -> dict[str, Any]:
    track = copy.track
    return {
        "id": track.id,
        "likelihood": round(copy.likelihood, 3),
        "artist": track.artist or "",
        "title": track.title or "",
        "album": track.album or "",
        "duration_s": round(track.duration_s, 1),
        "format": track.file.suffix.lower().lstrip("."),
        "file": str(track.place),
        "best": copy.best,
    }
