"""``mirclr describe``: tempo, key and loudness of a library's tracks."""

from pathlib import Path

import click

from mirclr.cli import options
from mirclr.cli.show import print_json, print_line, print_table, progress, remark
from mirclr.terminal import counted

_BATCH = 16


@click.command(epilog="Example: mirclr describe --library music.db")
@options.library
@click.option("--again", is_flag=True, help="Also tracks that were described before.")
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Processes; 0: one a core.")
@options.as_json
def command(library_path: Path, again: bool, workers: int, as_json: bool) -> int:
    """Find tempo, key and loudness of a library's tracks.

    By the middle minute of each track; what was described before is not heard again. Tempo is often told at half or
    twice what one taps. `library list --json` and `export --csv` show the results.
    """
    from mirclr.audio import why_lost
    from mirclr.ingest.description import try_describe
    from mirclr.library import Description, LibraryStore, part_leading_out
    from mirclr.processes import Lost, results_in_order, seconds_for_file

    done: dict[int, Description] = {}
    waiting: dict[int, Description] = {}
    with LibraryStore.open(library_path) as library:
        known = {} if again else library.descriptions()
        tracks, problems = part_leading_out(t for t in library.tracks() if t.id not in known)
        jobs = ((t.file, t.span) for t in tracks)
        with progress("Describing", len(tracks)) as advance:
            results = results_in_order(try_describe, jobs, workers=workers, seconds_for=seconds_for_file)
            try:
                for track, ((file, _), found) in zip(tracks, results, strict=True):
                    if isinstance(found, Description):
                        waiting[track.id] = found
                    else:
                        problems.append(why_lost(file, found) if isinstance(found, Lost) else str(found))
                    if len(waiting) == _BATCH:
                        library.store_descriptions(waiting)
                        done, waiting = done | waiting, {}
                    advance(note=f"{len(problems)} skipped" if problems else "")
            finally:
                library.store_descriptions(waiting)
            done |= waiting
        by_id = {t.id: t for t in tracks}
    if as_json:
        rows = [{"file": str(by_id[i].file), **vars(found)} for i, found in done.items()]
        print_json({"described": rows, "known": len(known), "problems": problems})
    else:
        for problem in problems:
            remark(f"skipped {problem}")
        some = [(by_id[i].label, d.tempo_bpm, d.key or "", d.loudness_lufs) for i, d in list(done.items())[:20]]
        if some:
            print_table(("track", "bpm", "key", "LUFS"), some)
        print_line(f"{counted(len(done), 'track')} described, {len(known)} before")
    return 1 if problems and not (done or known) else 0
