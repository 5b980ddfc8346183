"""``mirclr tag``: what is known of tracks, into the files' own tags, and out again."""

from __future__ import annotations

from pathlib import Path

import click

from mirclr.cli import options
from mirclr.cli.show import print_json, print_line, progress, remark
from mirclr.tags import WRITABLE


@click.group(epilog="Example: mirclr tag write --library music.db --dry-run")
def command() -> None:
    """Write genre, mood, tempo and key into files' tags, and take them out again."""


_touch = click.option(
    "--touch", is_flag=True, help="Let the files' time of change advance, for players that go by it; it is kept else."
)
_break_links = click.option(
    "--break-links",
    is_flag=True,
    help="Write also files that have several names (hard links); the other names then keep the old file.",
)


@options.formerly({"--likely": "--threshold"})
@command.command(epilog="Example: mirclr tag write --library music.db --fields genre --dry-run")
@options.library
@click.option("--fields", default=",".join(WRITABLE), show_default=True, help="Which, with commas between.")
@options.threshold(0.5, "Write labels of at least this probability; of genres the likeliest.")
@click.option("--overwrite", is_flag=True, help="Also where a field has a value already.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@_touch
@_break_links
@options.as_json
def write(
    library_path: Path,
    fields: str,
    threshold: float,
    overwrite: bool,
    dry_run: bool,
    touch: bool,
    break_links: bool,
    as_json: bool,
) -> int:
    """Write the genre and moods of `mirclr classify predict`, the tempo and key of `mirclr describe`, into files' tags.

    Of the fields, all are written that the library knows of a track; the tempo as a whole number. What stands in a
    field already, in any tag of the file, is left alone unless --overwrite. A file is changed as a copy, which takes
    its place only when its sound and all other tags have been found equal; each change is kept beside the library, so
    that `mirclr tag undo` can take it back.

    ID3 keeps its version; what mirclr does not know stays byte for byte, as do owner, mode, times and extended
    attributes. A killed run leaves the old file or the new one. A link that leads out of the folder is never followed.
    Written are mp3, m4a, flac, ogg, opus, wav, aiff, wma, aac, ape, wv, mpc, tta and dsf; mka and webm are only read.
    """
    from mirclr.ingest.tagging.session import TagSession, fields_by_source, known_values
    from mirclr.library import LibraryStore

    asked = _asked(fields)
    with LibraryStore.open(library_path) as library:
        values = known_values(library, asked, threshold)
        tracks = library.tracks()
        session = TagSession(library, touch=touch, break_links=break_links, dry_run=dry_run)
        with session, progress("Tagging", len(tracks)) as advance:
            note = lambda: f"{len(session.problems)} skipped" if session.problems else ""  # noqa: E731
            session.write_all(tracks, values, overwrite=overwrite, advance=lambda: advance(note=note()))
    unknown = {f: n for f in asked if (n := sum(track.id not in values[f] for track in tracks))}
    if as_json:
        changes = [{"file": str(c.file), "before": c.before, "after": c.after} for c in session.changes]
        written = {"dry_run": dry_run, "changes": changes, "kept": session.left}
        print_json({**written, "unknown": unknown, "problems": session.problems})
    else:
        if dry_run:
            for change in session.changes:
                after = "; ".join(f"{f}: {', '.join(v)}" for f, v in change.after.items())
                print_line(f"{change.file}: {after}")
        for problem in session.problems:
            remark(f"skipped {problem}")
        for command, of_it in fields_by_source(unknown).items():
            some = f"{', '.join(of_it)}: not known of {max(unknown[f] for f in of_it)} tracks"
            remark(f"{some}; mirclr {command} finds what there is")
        verb = "would write" if dry_run else "wrote"
        print_line(f"{verb} tags of {len(session.changes)} files; {session.left} fields were left as they stood")
    return 0 if session.changes or not session.problems else 1


@command.command(epilog="Example: mirclr tag undo --library music.db")
@options.library
@_touch
@_break_links
@options.as_json
def undo(library_path: Path, touch: bool, break_links: bool, as_json: bool) -> int:
    """Take back what `mirclr tag write` wrote, the last first; what was changed since is left alone.

    A file becomes byte for byte what it was; one that another program changed since gets back the fields alone. What
    cannot be taken back stays in the journal.
    """
    from mirclr.ingest.tagging.session import TagSession
    from mirclr.library import LibraryStore

    with LibraryStore.open(library_path) as library:
        session = TagSession(library, touch=touch, break_links=break_links)
        changes, damaged = session.journal.read()
        with session, progress("Undoing", len(changes)) as advance:
            session.undo_all(changes, damaged, advance=advance)
    if as_json:
        print_json({"undone": session.undone, "problems": session.problems})
    else:
        for problem in session.problems:
            remark(f"skipped {problem}")
        print_line(f"took back the tags of {session.undone} files")
        if session.foreign:
            remark(f"{session.foreign} files were left alone: what was written there has been changed since")
    return 1 if damaged or (session.problems and not session.undone) else 0


def _asked(fields: str) -> list[str]:
    asked = [f.strip() for f in fields.split(",") if f.strip()]
    if not asked or not set(asked) <= set(WRITABLE):
        raise click.UsageError(f"--fields {fields}: expected some of {', '.join(WRITABLE)}, with commas between")
    return asked
