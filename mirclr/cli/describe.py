"""``mirclr describe``: tempo, key and loudness of a library's tracks."""

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirclr.cli import options
from mirclr.cli.show import closing, print_json, print_table, progress, remark
from mirclr.terminal import bpm, counted

if TYPE_CHECKING:
    from mirclr.library import Description


_LISTED = 20


@click.command(epilog="Example: mirclr describe --library music.db")
@options.library
@click.option("--again", is_flag=True, help="Also songs that were described before.")
@options.workers
@options.as_json
def command(library_path: Path, again: bool, workers: int, as_json: bool) -> int:
    """Find tempo, key and loudness of your songs.

    Their beats and chords are kept too. A song is described once; one that an earlier mirclr described is described
    once more, for its beats. A tempo may be half or twice what you would tap, and music without a beat has none. --json
    has beats and chords of what is new; `library list --json` and `export --csv` show the rest.
    """
    from mirclr.ingest.description import describe_tracks, undescribed
    from mirclr.library import LibraryStore

    found = {}
    with LibraryStore.open(library_path) as library:
        tracks, problems, known = undescribed(library, again)
        with (
            progress("Finding tempo and key", len(tracks)) as advance,
            contextlib.closing(describe_tracks(library, tracks, workers=workers)) as results,
        ):
            for track, one in results:
                if isinstance(one, str):
                    problems.append(one)
                else:
                    found[track] = one if as_json else replace(one, outline=None)  # of many songs they are large
                advance(note=f"{len(problems)} skipped" if problems else "")
    if as_json:
        rows = [{"file": str(track.file), **one.as_json()} for track, one in found.items()]
        print_json({"described": rows, "known": known, "problems": problems})
    else:
        for problem in problems[:_LISTED]:
            remark(f"skipped {problem}")
        if len(problems) > _LISTED:
            remark(f"skipped {len(problems) - _LISTED:,} more")
        some = [(t.label, *_in_words(d)) for t, d in list(found.items())[:_LISTED]]
        if some:
            print_table(("song", "tempo", "key", "loudness"), some)
        if len(found) > _LISTED:
            all_of_them = options.command_line("library", "list", "--json", library_path=library_path)
            remark(f"… and {len(found) - _LISTED:,} more: {all_of_them}")
        n = len(found) + known
        new = f" ({len(found):,} new)" if found and known else ""
        closing(f"tempo, key and loudness of {counted(n, 'song')} are known{new}")
    return 1 if problems and not (found or known) else 0


def _in_words(found: "Description") -> tuple[str | None, str | None, str | None]:
    loudness = None if found.loudness_lufs is None else f"{found.loudness_lufs:.1f} LUFS"
    return None if found.tempo_bpm is None else bpm(found.tempo_bpm), found.key, loudness
