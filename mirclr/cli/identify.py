"""``mirclr identify``: clips to the songs that they are of. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing as to_be_closed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.show import closing, naming, print_json, print_table, progress, remark
from mirclr.terminal import clock, counted

if TYPE_CHECKING:
    from mirclr.identify import Found, Identifier
    from mirclr.library import LibraryStore

_LISTED = 20
_AS_IT_IS = 0.008  # by which a pace or a pitch that is measured may be off
_NOT_HERE = "not here"


@click.command(epilog="Example: mirclr identify recording.m4a")
@click.argument(
    "clips", metavar="CLIP…", nargs=-1, required=True, type=options.HomePath(path_type=Path, dir_okay=False)
)
@click.option("--tracklist", is_flag=True, help="Each is a mix of many songs, such as a DJ's: list them all.")
@options.library
@options.as_json
def command(clips: tuple[Path, ...], tracklist: bool, library_path: Path, as_json: bool) -> int:
    """Find which song a recording is of, also a short and noisy one.

    Five seconds are enough, also with noise, from a loudspeaker, re-encoded, or up to 6 % faster, slower, higher or
    lower. It is the very recording that is found: another performance of the same song is "not here". Songs need
    fingerprints for it: mirclr embed --fingerprints, or mirclr library fingerprint.

    The exit code is 1 where nothing was found.
    """
    from mirclr.errors import AudioError
    from mirclr.identify import Identifier
    from mirclr.library import LibraryStore

    found: list[tuple[Path, list[Found], str]] = []
    with LibraryStore.open(library_path) as library:
        identifier = Identifier(library)
        for clip in clips:
            try:
                found.append((clip, _in_clip(identifier, clip, tracklist), ""))
            except AudioError as error:
                found.append((clip, [], str(error).removeprefix(f"{clip}: ")))
        without = len(library.without_fingerprint())
    if as_json:
        print_json([_as_json(*one, tracklist=tracklist) for one in found])
    else:
        _print(found, tracklist)
        for clip, _, problem in found:
            if problem:
                remark(f"skipped {naming(str(clip), problem)}")
        if without:
            make = options.command_line("library", "fingerprint", library_path=library_path)
            remark(f"{counted(without, 'song')} of your library cannot be found yet; to make fingerprints: {make}")
    return 0 if any(songs for _, songs, _ in found) else 1


def _in_clip(identifier: Identifier, clip: Path, tracklist: bool) -> list[Found]:
    if tracklist:
        with progress("Listening to the mix", None) as advance:
            return identifier.tracklist(clip, advance)
    one = identifier.identify(clip)
    return [one] if one else []


def _print(found: Sequence[tuple[Path, list[Found], str]], tracklist: bool) -> None:
    """Print what was found: of a clip a line, of a mix a line for each of its songs."""
    if tracklist:
        for clip, songs, problem in found:
            rows = [(f"{clock(s.start_s)}-{clock(s.end_s)}", s.track.label, clock(s.at_s), _changed(s)) for s in songs]
            if rows:
                print_table(("in the mix", "song", "from", "played"), rows, title=str(clip) if len(found) > 1 else "")
            elif not problem:
                remark(f"{clip}: none of its songs is in your library")
        return
    lines = [
        (str(clip), songs[0].track.label, clock(songs[0].at_s), _changed(songs[0])) if songs else (str(clip), _NOT_HERE)
        for clip, songs, problem in found
        if not problem
    ]
    if lines:
        print_table(("clip", "song", "from", "played"), [(*line, *[""] * (4 - len(line))) for line in lines])


def _changed(found: Found) -> str:
    """What was done to a song, in words: "3 % faster, 3 % higher"."""
    words = []
    for factor, more, less in ((found.speed, "faster", "slower"), (found.pitch, "higher", "lower")):
        if abs(factor - 1) > _AS_IT_IS:
            words.append(f"{100 * abs(factor - 1):.0f} % {more if factor > 1 else less}")
    return ", ".join(words)


def _as_json(clip: Path, songs: Sequence[Found], problem: str, *, tracklist: bool) -> dict[str, Any]:
    rows = [
        {
            "id": song.track.id,
            "artist": song.track.artist,
            "title": song.track.title,
            "album": song.track.album,
            "file": str(song.track.file),
            "at_s": song.at_s,
            "start_s": song.start_s,
            "end_s": song.end_s,
            "speed": round(song.speed, 4),
            "pitch": round(song.pitch, 4),
            "matched": round(song.matched, 3),
            "evidence": round(song.evidence, 1),
        }
        for song in songs
    ]
    answer: dict[str, Any] = {"songs": rows} if tracklist else {"song": rows[0] if rows else None}
    return {"file": str(clip), **answer, "problem": problem or None}


def make_fingerprints(library: LibraryStore, workers: int) -> tuple[int, list[str]]:
    """Make the fingerprints of songs that have none, showing progress: how many were made, and what went wrong."""
    from mirclr.ingest.fingerprints import fingerprint_tracks
    from mirclr.library import part_leading_out

    tracks, problems = part_leading_out(library.tracks(library.without_fingerprint()))
    made = 0
    with (
        progress("Making fingerprints", len(tracks)) as advance,
        to_be_closed(fingerprint_tracks(library, tracks, workers=workers)) as results,
    ):
        for _, found in results:
            problems += [found] if isinstance(found, str) else []
            made += not isinstance(found, str)
            advance(note=f"{len(problems)} skipped" if problems else "")
    return made, problems


def print_fingerprints(library: LibraryStore, made: int, problems: Sequence[str]) -> None:
    """Say what became of the fingerprints of a library."""
    for problem in problems[:_LISTED]:
        remark(f"skipped {problem}")
    if len(problems) > _LISTED:
        remark(f"skipped {len(problems) - _LISTED:,} more")
    known = len(library.fingerprint_times()[0])
    new = f" ({made:,} new)" if made and made < known else ""
    closing(f"{counted(known, 'song')} can be found by ear{new}: mirclr identify CLIP")
