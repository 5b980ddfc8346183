"""``mirclr describe``: tempo, key and loudness of a library's tracks."""

from contextlib import closing
from pathlib import Path

import click

from mirclr.cli import options
from mirclr.cli.show import print_json, print_line, print_table, progress, remark
from mirclr.terminal import counted


@click.command(epilog="Example: mirclr describe --library music.db")
@options.library
@click.option("--again", is_flag=True, help="Also tracks that were described before.")
@options.workers
@options.as_json
def command(library_path: Path, again: bool, workers: int, as_json: bool) -> int:
    """Find tempo, key and loudness of a library's tracks.

    By the middle minute of each track; what was described before is not decoded again. Tempo is often found at half or
    twice what one taps. `library list --json` and `export --csv` show the results.
    """
    from mirclr.ingest.description import describe_tracks
    from mirclr.library import LibraryStore, part_leading_out

    found = {}
    with LibraryStore.open(library_path) as library:
        known = {} if again else library.descriptions()
        tracks, problems = part_leading_out(t for t in library.tracks() if t.id not in known)
        with (
            progress("Describing", len(tracks)) as advance,
            closing(describe_tracks(library, tracks, workers=workers)) as results,
        ):
            for track, one in results:
                if isinstance(one, str):
                    problems.append(one)
                else:
                    found[track] = one
                advance(note=f"{len(problems)} skipped" if problems else "")
    if as_json:
        rows = [{"file": str(track.file), **vars(one)} for track, one in found.items()]
        print_json({"described": rows, "known": len(known), "problems": problems})
    else:
        for problem in problems:
            remark(f"skipped {problem}")
        some = [(t.label, d.tempo_bpm, d.key or "", d.loudness_lufs) for t, d in list(found.items())[:20]]
        if some:
            print_table(("track", "bpm", "key", "LUFS"), some)
        print_line(f"{counted(len(found), 'track')} described, {len(known)} before")
    return 1 if problems and not (found or known) else 0
