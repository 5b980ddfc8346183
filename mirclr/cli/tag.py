"""``mirclr tag``: what was told of tracks, into the files' own tags, and out again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.show import print_json, print_line, progress, remark

if TYPE_CHECKING:
    from mirclr.library import Library, LibraryTrack

_MADE_BY = {"genre": "classify", "mood": "classify", "bpm": "describe", "key": "describe"}
"""The fields, with the command that finds what to write there."""


@click.group(epilog="Example: mirclr tag write --library music.db --dry-run")
def command() -> None:
    """Write genre, mood, tempo and key into files' tags, and take them out again."""


@command.command(epilog="Example: mirclr tag write --library music.db --fields genre --dry-run")
@options.library
@click.option("--fields", default=",".join(_MADE_BY), show_default=True, help="Which, with commas between.")
@click.option(
    "--likely",
    type=options.Number(0, 1),
    default=0.5,
    show_default=True,
    help="Write what is at least so probable; of genres the likeliest.",
)
@click.option("--overwrite", is_flag=True, help="Also where a file says something in the field already.")
@click.option("--dry-run", is_flag=True, help="Tell what would be written, and write nothing.")
@options.as_json
def write(library_path: Path, fields: str, likely: float, overwrite: bool, dry_run: bool, as_json: bool) -> int:
    """Write the genre and moods of `mirclr classify`, the tempo and key of `mirclr describe`, into the files' tags.

    Of the fields, all are written that the library knows of a track; the tempo as a whole number. What stands in a
    field already is left alone unless --overwrite. Audio and times of the files stay as they are; each change is kept
    beside the library, so that `mirclr tag undo` can take it back.
    """
    from mirclr.errors import MirclrError, NoMatch
    from mirclr.library import Library
    from mirclr.tags import read_values, write_values

    asked = _asked(fields)
    done: list[dict[str, Any]] = []
    problems: list[str] = []
    kept = 0
    with Library.open(library_path) as library:
        told = _told(library, asked, likely)
        if not any(told.values()):
            first = " or ".join(f"mirclr {command} --library {library_path}" for command in _makers(asked))
            raise NoMatch(f"{library_path}: {', '.join(asked)}: not known of its tracks; first: {first}")
        tracks = library.tracks()
        if not dry_run:
            _mend(_journal(library_path))
        with progress("Tagging", len(tracks)) as advance:
            for track in tracks:
                try:
                    wanted = {f: told[f].get(track.id, ()) for f in asked}
                    before = {f: read_values(track.file, f) for f, labels in wanted.items() if labels}
                    new = {f: wanted[f] for f, old in before.items() if (overwrite or not old) and wanted[f] != old}
                    kept += len(before) - len(new)
                    if new:
                        change: dict[str, Any] = {
                            "file": str(track.file),
                            "before": {f: before[f] for f in new},
                            "after": new,
                        }
                        if not dry_run:
                            with _journal(library_path).open("a", encoding="ascii") as f:
                                f.write(json.dumps(change) + "\n")
                            write_values(track.file, new)
                            _follow(library, track)
                        done.append(change)
                except (MirclrError, OSError) as error:
                    problems.append(str(error))
                advance(note=f"{len(problems)} skipped" if problems else "")
    unknown = {f: n for f in asked if (n := sum(track.id not in told[f] for track in tracks))}
    verb = "would write" if dry_run else "wrote"
    if as_json:
        print_json({"dry_run": dry_run, "changes": done, "kept": kept, "unknown": unknown, "problems": problems})
    else:
        if dry_run:
            for change in done:
                after = "; ".join(f"{f}: {', '.join(v)}" for f, v in change["after"].items())
                print_line(f"{_shown(change['file'])}: {after}")
        for problem in problems:
            remark(f"skipped {problem}")
        for command, fields_of in _makers(unknown).items():
            some = f"{', '.join(fields_of)}: not known of {max(unknown[f] for f in fields_of)} tracks"
            remark(f"{some}; mirclr {command} finds what there is")
        print_line(f"{verb} tags of {len(done)} files; {kept} fields were left as they stood")
    return 0 if done or not problems else 1


@command.command(epilog="Example: mirclr tag undo --library music.db")
@options.library
@options.as_json
def undo(library_path: Path, as_json: bool) -> int:
    """Take back what `mirclr tag write` wrote, the last first; what was changed since is left alone."""
    from mirclr.errors import MirclrError
    from mirclr.library import Library
    from mirclr.provenance import writing
    from mirclr.tags import read_values, write_values

    journal = _journal(library_path)
    undone, left = 0, list[dict[str, Any]]()
    with Library.open(library_path) as library:
        changes, unread = _read(journal)
        problems = [f"{journal}: a line is damaged and stays: {_shown(line)[:80]}" for line in unread]
        with progress("Undoing", len(changes)) as advance:
            for change in reversed(changes):
                file = Path(change["file"])
                try:
                    ours = {f: tuple(v) for f, v in change["after"].items()}
                    same = {f for f, after in ours.items() if read_values(file, f) == after}
                    if same:
                        write_values(file, {f: change["before"][f] for f in same})
                        if track := library.find_file(file):
                            _follow(library, track)
                        undone += 1
                except (MirclrError, OSError) as error:
                    problems.append(str(error))
                    left.append(change)
                advance()
    if changes:
        with writing(journal, "w") as f:
            f.writelines(line + "\n" for line in (*unread, *map(json.dumps, reversed(left))))
    if as_json:
        print_json({"undone": undone, "problems": problems})
    else:
        for problem in problems:
            remark(f"skipped {problem}")
        print_line(f"took back the tags of {undone} files")
    return 1 if unread or (problems and not undone) else 0


def _asked(fields: str) -> list[str]:
    asked = [f.strip() for f in fields.split(",") if f.strip()]
    if not asked or not set(asked) <= _MADE_BY.keys():
        raise click.UsageError(f"--fields {fields}: expected some of {', '.join(_MADE_BY)}, with commas between")
    return asked


def _makers(fields: Iterable[str]) -> dict[str, list[str]]:
    """Fields by the command that finds what to write there."""
    makers: dict[str, list[str]] = {}
    for field in fields:
        makers.setdefault(_MADE_BY[field], []).append(field)
    return makers


def _told(library: Library, fields: Sequence[str], likely: float) -> dict[str, dict[int, tuple[str, ...]]]:
    """For each field what to write there, by track id; nothing where a track was heard and there is nothing to say."""
    described = library.descriptions()
    told: dict[str, dict[int, tuple[str, ...]]] = {}
    for field in fields:
        if field == "bpm":
            told[field] = {i: (str(round(d.tempo_bpm)),) if d.tempo_bpm else () for i, d in described.items()}
        elif field == "key":
            told[field] = {i: (d.key,) if d.key else () for i, d in described.items()}
        else:
            told[field] = {i: _labels(field, row, likely) for i, row in library.probabilities(field).items()}
    return told


def _labels(field: str, probabilities: dict[str, float], likely: float) -> tuple[str, ...]:
    """What is probable enough, the likeliest first; one genre at most."""
    ranked = sorted(probabilities.items(), key=lambda pair: (-pair[1], pair[0]))
    labels = tuple(label for label, p in ranked if p >= likely)
    return labels[:1] if field == "genre" else labels


def _follow(library: Library, track: LibraryTrack) -> None:
    """Tell the library of a file that was re-tagged here, so that embedding need not look at it."""
    from mirclr.provenance import content_digest, file_digest, size_and_time
    from mirclr.tags import read_tags

    state, digest, tags = size_and_time(track.file), file_digest(track.file), read_tags(track.file)
    library.move(track.id, track.root, track.path, *state, digest, tags, content_digest=content_digest(track.file))


def _journal(library_path: Path) -> Path:
    return library_path.with_name(f"{library_path.name}.tags.jsonl")


def _mend(journal: Path) -> None:
    """Take away what a killed run left half written, so that the next change begins a line."""
    if journal.exists() and (held := journal.read_bytes()) and not held.endswith(b"\n"):
        journal.write_bytes(held[: held.rfind(b"\n") + 1])


def _read(journal: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The changes that are kept, and the lines that are none; a last one without an end is what a killed run left."""
    if not journal.exists():
        return [], []
    changes, unread = [], []
    for line in journal.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]:
        try:
            change = json.loads(line)
            if not (isinstance(change["before"], dict) and isinstance(change["after"], dict) and change["file"]):
                raise ValueError(line)
            changes.append(change)
        except (ValueError, LookupError, TypeError):
            unread.append(line)
    return changes, unread


def _shown(file: str) -> str:
    from mirclr.library import shown

    return shown(file)
