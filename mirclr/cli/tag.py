"""``mirclr tag``: what is known of tracks, into the files' own tags, and out again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.show import print_json, print_line, progress, remark

if TYPE_CHECKING:
    from mirclr.ingest.tagging import Change, Journal, Manner
    from mirclr.library import LibraryStore, LibraryTrack

_MADE_BY = {"genre": "classify predict", "mood": "classify predict", "bpm": "describe", "key": "describe"}
"""The fields, with the command that finds what to write there."""
_TOGETHER = 64  # files that the library learns of at once; a killed run leaves as many for the next embedding


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
@click.option("--fields", default=",".join(_MADE_BY), show_default=True, help="Which, with commas between.")
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
    """
    from mirclr.errors import NoMatch
    from mirclr.ingest.tagging import Journal
    from mirclr.library import LibraryStore

    asked = _asked(fields)
    with LibraryStore.open(library_path) as library:
        told = _told(library, asked, threshold)
        if not any(told.values()):
            first = " or ".join(f"mirclr {command} --library {library_path}" for command in _makers(asked))
            raise NoMatch(f"{library_path}: {', '.join(asked)}: not known of its tracks; first: {first}")
        journal = Journal(library_path)
        if not dry_run:
            journal.mend()
        tracks = library.tracks()
        run = _Run(library, journal, touch=touch, break_links=break_links, dry_run=dry_run)
        with run, progress("Tagging", len(tracks)) as advance:
            for track in tracks:
                wanted = {f: told[f].get(track.id, ()) for f in asked}
                run.write(track, {f: labels for f, labels in wanted.items() if labels}, overwrite=overwrite)
                advance(note=f"{len(run.problems)} skipped" if run.problems else "")
    unknown = {f: n for f in asked if (n := sum(track.id not in told[f] for track in tracks))}
    if as_json:
        facts = {"dry_run": dry_run, "changes": run.done, "kept": run.kept}
        print_json({**facts, "unknown": unknown, "problems": run.problems})
    else:
        if dry_run:
            for change in run.done:
                after = "; ".join(f"{f}: {', '.join(v)}" for f, v in change["after"].items())
                print_line(f"{change['file']}: {after}")
        for problem in run.problems:
            remark(f"skipped {problem}")
        for command, fields_of in _makers(unknown).items():
            some = f"{', '.join(fields_of)}: not known of {max(unknown[f] for f in fields_of)} tracks"
            remark(f"{some}; mirclr {command} finds what there is")
        verb = "would write" if dry_run else "wrote"
        print_line(f"{verb} tags of {len(run.done)} files; {run.kept} fields were left as they stood")
    return 0 if run.done or not run.problems else 1


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
    from mirclr.ingest.tagging import Journal
    from mirclr.library import LibraryStore

    journal = Journal(library_path)
    left: list[Change] = []
    with LibraryStore.open(library_path) as library:
        changes, unread = journal.read()
        run = _Run(library, journal, touch=touch, break_links=break_links)
        run.problems = [f"{journal.path}: a line is damaged and stays: {line[:80]}" for line in unread]
        waiting = list(changes)
        try:
            with run, progress("Undoing", len(changes)) as advance:
                while waiting:
                    if not run.take_back(waiting[-1]):
                        left.append(waiting[-1])
                    waiting.pop()
                    advance()
        finally:
            if len(waiting) + len(left) < len(changes):
                journal.keep([*waiting, *reversed(left)], unread)
    if as_json:
        print_json({"undone": run.undone, "problems": run.problems})
    else:
        for problem in run.problems:
            remark(f"skipped {problem}")
        print_line(f"took back the tags of {run.undone} files")
        if run.foreign:
            remark(f"{run.foreign} files were left alone: what was written there has been changed since")
    return 1 if unread or (run.problems and not run.undone) else 0


class _Run:
    """What happens to one file after another, and what became of them."""

    def __init__(
        self, library: LibraryStore, journal: Journal, *, touch: bool, break_links: bool, dry_run: bool = False
    ) -> None:
        from mirclr.ingest.tagging import Comparer

        self.done: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self.kept = self.undone = self.foreign = 0
        self._library, self._journal, self._dry_run = library, journal, dry_run
        self._touch, self._break_links = touch, break_links
        self._compare = Comparer()
        self._swept: set[Path] = set()
        self._written: list[LibraryTrack] = []

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *error: object) -> None:
        self._compare.close()
        self._follow()

    def write(self, track: LibraryTrack, wanted: dict[str, tuple[str, ...]], *, overwrite: bool) -> None:
        """Write what is known of a track where its file does not say it."""
        from mirclr.ingest.tagging import Change, write_values
        from mirclr.tags import read_values

        with self._one_file():
            self._sweep(track.file.parent)
            if not wanted:
                return
            manner = self._manner(track)
            before = {f: read_values(track.file, f) for f in wanted}
            new = {f: wanted[f] for f, old in before.items() if (overwrite or not old) and wanted[f] != old}
            self.kept += len(before) - len(new)
            if not new:
                return
            if self._dry_run:
                change: Change | None = Change(track.file, {f: before[f] for f in new}, new)
            else:
                known = f"{self._library.uuid}:{track.id}"
                change = write_values(
                    track.file, new, manner, keep=lambda change: self._journal.add(replace(change, track=known))
                )
            if change:
                self.done.append({"file": str(change.file), "before": change.before, "after": change.after})
            if change and not self._dry_run:
                self._follow(track)

    def take_back(self, change: Change) -> bool:
        """Take a change back; False where it has to stay in the journal."""
        from mirclr.errors import TagsError
        from mirclr.ingest.tagging import take_back

        with self._one_file():
            self._sweep(change.file.parent)
            track = self._library.find_file(change.file) or self._moved(change)
            if track is None:
                raise TagsError(f"{change.file}: not a file of this library any more; its tags are left as they are")
            did = take_back(replace(change, file=track.file), self._manner(track))
            if did == "taken back":
                self._follow(track)
                self.undone += 1
            self.foreign += did == "changed since"
            return True
        return False

    def _moved(self, change: Change) -> LibraryTrack | None:
        """The track of a file that has another place since, which the library has followed."""
        uuid, _, number = (change.track or "").partition(":")
        if uuid != self._library.uuid or not number.isdecimal():
            return None
        return next(iter(self._library.tracks([int(number)])), None)

    def _manner(self, track: LibraryTrack) -> Manner:
        from mirclr.errors import TagsError
        from mirclr.ingest.tagging import Manner

        if track.audio_path is not None:
            raise TagsError(f"{track.file}: holds several tracks, by a CUE sheet; its tags are left as they are")
        return Manner(self._touch, self._break_links, Path(track.root), self._compare)

    @contextmanager
    def _one_file(self) -> Iterator[None]:
        """What is wrong with one file is reported; a full disk and the like end the run."""
        from mirclr.errors import MirclrError, in_words, is_fault_of_machine

        try:
            yield
        except (MirclrError, OSError) as error:
            if is_fault_of_machine(error):
                raise
            if (problem := in_words(error)) not in self.problems[-1:]:  # of the many tracks of one file
                self.problems.append(problem)

    def _follow(self, track: LibraryTrack | None = None) -> None:
        """Let the library know of files that were re-tagged, many in one transaction; the last without a track."""
        from mirclr.provenance import content_digest, file_digest, size_and_time
        from mirclr.tags import read_tags

        self._written += [track] if track else []
        if track and len(self._written) < _TOGETHER:
            return
        seen = []
        for t in self._written:
            with self._one_file():
                state = (*size_and_time(t.file), file_digest(t.file), read_tags(t.file))
                seen.append((t, state, content_digest(t.file)))
        self._written.clear()
        with self._library.together():
            for t, state, content in seen:
                self._library.move(t.id, t.root, t.path, *state, content_digest=content)

    def _sweep(self, folder: Path) -> None:
        from mirclr.ingest.tagging import sweep

        if folder not in self._swept and not self._dry_run:
            self._swept.add(folder)
            sweep(folder)


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


def _told(library: LibraryStore, fields: Sequence[str], likely: float) -> dict[str, dict[int, tuple[str, ...]]]:
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
