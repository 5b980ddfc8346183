"""``mirclr duplicates``: the same recording under several names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.show import print_json, print_line, print_table, progress, remark

if TYPE_CHECKING:
    from mirclr.library import Library, LibraryTrack

_LOSSLESS = frozenset((".flac", ".wav", ".aif", ".aiff", ".aifc"))


@click.command(epilog="Example: mirclr duplicates --min 0.9")
@options.library
@click.option(
    "--min",
    "at_least",
    type=options.Number(0.5, 1),
    default=0.5,
    show_default=True,
    help="How sure a pair must be to count, from 0.5 to 1.",
)
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Processes that decode; 0: one a core.")
@options.as_json
def command(library_path: Path, at_least: float, workers: int, as_json: bool) -> None:
    """Find the same recording under several names.

    Re-encoded, louder or quieter, cut by some seconds, on another album: tracks whose vectors are near are listened to
    and compared. Nothing is deleted, and which one to keep is yours to decide; "best" marks the longest lossless file
    of a group, or else the one of the highest bitrate. What was found is kept in the library.
    """
    from mirclr.ingest.duplicates import find_candidates, find_duplicates
    from mirclr.library import Library

    with Library.open(library_path) as library:
        candidates = find_candidates(library)
        with progress("Listening", len({i for pair in candidates for i in pair})) as advance:
            found = find_duplicates(library, candidates=candidates, workers=workers, advance=advance)
        told = _told(library, found.pairs, at_least)
    if as_json:
        print_json({"groups": told, "failures": list(found.failures)})
        return
    for line in found.failures:
        remark(f"skipped {line}")
    columns = ("likelihood", "artist", "title", "album", "duration_s", "format", "file")
    rows = [
        (number, *(row[name] for name in columns), "best" if row["best"] else "")
        for number, members in enumerate(told, 1)
        for row in members
    ]
    if rows:
        print_table(("group", "sure", "artist", "title", "album", "seconds", "format", "file", ""), rows)
    tracks = sum(map(len, told))
    print_line(f"{len(told)} recordings are held several times, by {tracks} tracks" if told else "no duplicates found")


def _told(library: Library, pairs: Mapping[tuple[int, int], float], at_least: float) -> list[list[dict[str, Any]]]:
    """Each group's tracks as JSON values, each with the highest likelihood that ties it to another."""
    from mirclr.ingest.duplicates import groups

    sizes = {s.track_id: s.size for root in library.roots() for s in library.states(root).values()}
    sure: dict[int, float] = {}
    for pair, likelihood in pairs.items():
        sure |= {i: max(likelihood, sure.get(i, 0.0)) for i in pair}
    told = []
    for ids in groups(pairs, at_least):
        tracks = library.tracks(ids)
        if len(tracks) < 2:
            continue  # removed meanwhile
        best = max(tracks, key=lambda t: (*_quality(t, sizes[t.id]), -t.id))
        told.append(
            [
                {
                    "id": t.id,
                    "likelihood": round(sure[t.id], 3),
                    "artist": t.artist or "",
                    "title": t.title or "",
                    "album": t.album or "",
                    "duration_s": round(t.duration_s, 1),
                    "format": t.file.suffix.lower().lstrip("."),
                    "file": str(t.place),
                    "best": t is best,
                }
                for t in tracks
            ]
        )
    return told


def _quality(track: LibraryTrack, size: int) -> tuple[bool, float]:
    """Lossless files by their length in whole seconds, above others by their bytes a second."""
    lossless = track.file.suffix.lower() in _LOSSLESS
    return lossless, round(track.duration_s) if lossless else size / max(track.duration_s, 1e-3)
