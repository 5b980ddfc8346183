"""``mirclr tag``: what is known of songs, into the files' own tags, and out again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirclr.cli import options
from mirclr.cli.show import ask, closing, complain, print_json, print_table, progress, remark
from mirclr.tags import WRITABLE
from mirclr.terminal import counted, percent

if TYPE_CHECKING:
    from mirclr.ingest.tagging.guesses import GenreRule, Values
    from mirclr.ingest.tagging.review import Question
    from mirclr.ingest.tagging.session import TagSession
    from mirclr.library import LibraryStore, LibraryTrack

WORDS = {"genre": "genre", "mood": "mood", "bpm": "tempo", "key": "key"}


@click.group(epilog="Example: mirclr tag write --dry-run")
def command() -> None:
    """Write genre, mood, tempo and key into your files; take it back."""


_touch = click.option(
    "--touch", is_flag=True, help="Let the files' time of change advance, for players that go by it; it is kept else."
)
_break_links = click.option(
    "--break-links",
    is_flag=True,
    help="Write also files that have several names (hard links); the other names then keep the old file.",
)
renames = click.option(
    "--map",
    "renames",
    metavar="OLD=NEW",
    multiple=True,
    help="Call a genre by another name, as 'dance & house=House'; nothing after '=' leaves it out. May be repeated.",
)


@options.formerly({"--likely": "--threshold"})
@command.command(epilog="Example: mirclr tag write --fields genre --map 'dance & house=House' --dry-run")
@options.library
@click.option("--fields", default=",".join(WRITABLE), show_default=True, help="Which, with commas between.")
@click.option(
    "--threshold",
    type=options.Number(0, 1),
    help="Write guesses that are at least so sure, from 0 to 1. By default a genre where it was measured to be right "
    "nine times in ten, a mood from 0.5.",
)
@renames
@click.option("--overwrite", is_flag=True, help="Also where a field has a value already.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@click.option("--songs", is_flag=True, help="List each file with what it gets.")
@click.option("--yes", is_flag=True, help="Write without asking first.")
@_touch
@_break_links
@options.as_json
def write(
    library_path: Path,
    fields: str,
    threshold: float | None,
    renames: tuple[str, ...],
    overwrite: bool,
    dry_run: bool,
    songs: bool,
    yes: bool,
    touch: bool,
    break_links: bool,
    as_json: bool,
) -> int:
    """Write genre, moods, tempo and key into your files' tags, where they have none.

    Genre and mood are guesses from the sound; tempo and key are measured by `mirclr describe`. What stands in a field
    already, in any tag of the file, is left alone unless --overwrite. At a terminal you see first what would be
    written, and are asked. `mirclr tag review` asks song by song; `mirclr tag undo` takes all back.

    A file is changed as a copy, which takes its place only when its sound and all other tags have been found equal;
    each change is kept beside the library. ID3 keeps its version; what mirclr does not know stays byte for byte, as do
    owner, mode, times and extended attributes. A killed run leaves the old file or the new one. A link that leads out
    of the folder is never followed. Written are mp3, m4a, flac, ogg, opus, wav, aiff, wma, aac, ape, wv, mpc, tta and
    dsf; mka and webm are only read.
    """
    from mirclr.ingest.tagging.guesses import known_values
    from mirclr.ingest.tagging.session import TagSession
    from mirclr.library import LibraryStore

    asked = _asked(fields)
    with LibraryStore.open(library_path) as library:
        _check_songs(library)
        rule = _rule(library, asked, renames)
        values, tracks = known_values(library, asked, threshold, rule), library.tracks()
        asks = not (dry_run or yes or as_json) and sys.stdin is not None and sys.stdin.isatty()
        session = TagSession(library, touch=touch, break_links=break_links, dry_run=dry_run or asks)
        _write_all(session, tracks, values, overwrite, "Reading tags" if dry_run or asks else "Writing tags")
        if not as_json:
            _print_preview(session, tracks, asked, songs=songs)
            _remark_on_guesses(library, session, tracks, values, rule, threshold)
        if asks and session.changes:
            if not click.confirm(f"Write this into {counted(len(session.changes), 'file')}?", err=True):
                closing("Nothing was written.")
                return 0
            session = TagSession(library, touch=touch, break_links=break_links)
            _write_all(session, tracks, values, overwrite, "Writing tags")
    unknown = {f: n for f in asked if (n := sum(track.id not in values[f] for track in tracks))}
    if as_json:
        changes = [{"file": str(c.file), "before": c.before, "after": c.after} for c in session.changes]
        written = {"dry_run": dry_run, "changes": changes, "kept": session.left}
        guessed = {"threshold": rule.threshold if threshold is None else threshold, "measured": rule.measured}
        print_json({**written, "unknown": unknown, "problems": session.problems, "genre_rule": guessed})
    else:
        _print_end(session, unknown, len(tracks), library_path, dry_run)
    return 0 if session.changes or not session.problems else 1


def _check_songs(library: LibraryStore) -> None:
    from mirclr.errors import LibraryError

    if not library.id_end():
        first = options.command_line("embed", "FOLDER", library_path=library.path)
        raise LibraryError(f"{library.path}: holds no songs yet; first: {first}")


def _rule(library: LibraryStore, fields: Sequence[str], renames: Sequence[str]) -> GenreRule:
    """Guess what has not been guessed yet of the songs; when a genre is written, with a person's own names."""
    from mirclr.classify.predict import genre_rule, predict_missing
    from mirclr.errors import EncoderMismatch
    from mirclr.ingest.tagging.guesses import GUESSED
    from mirclr.names import parse_renames

    if wanted := [field for field in fields if field in GUESSED]:
        try:
            predict_missing(library, wanted)
        except EncoderMismatch as error:
            remark(f"no {' and no '.join(wanted)}: {error}")
    with options.wrong_usage(ValueError):
        named = parse_renames(renames, library.labels("genre") if renames else None)
    return genre_rule(library).renamed(named)


def _write_all(
    session: TagSession, tracks: Sequence[LibraryTrack], values: Values, overwrite: bool, label: str
) -> None:
    with session, progress(label, len(tracks)) as advance:
        note = lambda: f"{len(session.problems)} skipped" if session.problems else ""  # noqa: E731
        session.write_all(tracks, values, overwrite=overwrite, advance=lambda: advance(note=note()))


def _print_preview(session: TagSession, tracks: Sequence[LibraryTrack], fields: Sequence[str], *, songs: bool) -> None:
    from mirclr.ingest.tagging.guesses import preview

    rows = preview(session.changes, tracks, fields)
    if songs and session.changes:
        columns = [f for f in fields if any(f in change.after for change in session.changes)]
        lists = [(str(c.file), *(", ".join(c.after.get(f, ())) for f in columns)) for c in session.changes]
        print_table(("file", *(WORDS[f] for f in columns)), lists)
    elif rows:
        cells = [(WORDS[r.field], r.value, r.tracks, "; ".join(r.examples)) for r in rows]
        print_table(("tag", "value", "songs", "for example"), cells)


def _remark_on_guesses(
    library: LibraryStore,
    session: TagSession,
    tracks: Sequence[LibraryTrack],
    values: Values,
    rule: GenreRule,
    threshold: float | None,
) -> None:
    """Say how good the guessed genres are, and of how many songs none was sure enough."""
    from mirclr.ingest.tagging.guesses import agreement, guessed_genres

    if any("mood" in change.after for change in session.changes):
        remark("A mood is a weak guess. To leave moods out: --fields genre,bpm,key")
    if "genre" not in values:
        return
    if threshold is not None:
        remark(
            f"A genre is a guess. These are at least {percent(threshold)} sure; "
            "how often that is right was not measured."
        )
    else:
        measured = f"; {rule.measured}" if rule.measured else ""
        remark(f"A genre is a guess. Only what is at least {percent(rule.threshold)} sure is written{measured}.")
    own = agreement(tracks, values["genre"], guessed_genres(library, session.journal.read()[0]))
    if own.is_poor:
        remark(
            f"Of {own.tracks} songs that have a genre already, such guesses agree with {own.agree} only. "
            f"To look at them one by one: {options.command_line('tag', 'review', library_path=library.path)}"
        )
    unsure = sum(values["genre"].get(track.id) == () and not track.genre for track in tracks)
    if unsure:
        remark(
            f"{counted(unsure, 'song')} without a genre get none, as no guess is sure enough. "
            f"To decide yourself: {options.command_line('tag', 'review', library_path=library.path)}"
        )


def _print_end(session: TagSession, unknown: dict[str, int], tracks: int, library_path: Path, dry_run: bool) -> None:
    from mirclr.ingest.tagging.guesses import fields_by_source

    for problem in session.problems:
        complain(f"skipped {problem}")
    for source, of_it in fields_by_source(unknown).items():
        names = " and ".join(WORDS[f] for f in of_it)
        of = max(unknown[f] for f in of_it)
        whose = "any song" if of == tracks else counted(of, "song")
        first = options.command_line(*source.split(), library_path=library_path)
        remark(f"{names}: not known of {whose}; to find out: {first}")
    if session.left:
        left = session.left_by_field
        kept = ", ".join(f"{name} of {counted(left[f], 'song')}" for f, name in WORDS.items() if left[f])
        remark(f"Left as they were: {kept}.")
    if dry_run:
        closing(f"Nothing was written. Without --dry-run, tags go into {counted(len(session.changes), 'file')}.")
    elif session.changes:
        back = options.command_line("tag", "undo", library_path=library_path)
        closing(f"Wrote tags into {counted(len(session.changes), 'file')}. To take them back: {back}")
    else:
        closing("Nothing to write: all that is known and sure enough is in the files.")


@command.command(epilog="Example: mirclr tag review --threshold 0.3")
@options.library
@click.option("--fields", default="genre", show_default=True, help="What to look at: genre, mood, or both.")
@click.option(
    "--threshold",
    type=options.Number(0, 1),
    default=0.0,
    show_default=True,
    help="Ask where the guess is at least so sure.",
)
@renames
@_touch
@_break_links
@options.as_json
def review(
    library_path: Path,
    fields: str,
    threshold: float,
    renames: tuple[str, ...],
    touch: bool,
    break_links: bool,
    as_json: bool,
) -> int:
    """Go through the guesses song by song, the surest first, and write what you say.

    You are asked about songs that have no genre, and about genres that `mirclr tag write` wrote. What you say is right
    is written into the file at once; what you say is wrong is taken out, and never written into that song again. Your
    own genres are left alone. `mirclr classify train --from-tags` learns from your answers; `mirclr tag undo` takes out
    what was written.
    """
    from mirclr.ingest.tagging.guesses import GUESSED
    from mirclr.ingest.tagging.review import answer, is_open, questions
    from mirclr.ingest.tagging.session import TagSession
    from mirclr.library import LibraryStore

    wanted = _asked(fields, GUESSED)
    counts = {"written": 0, "refused": 0, "later": 0}
    with LibraryStore.open(library_path) as library:
        _check_songs(library)
        rule = _rule(library, wanted, renames)
        session = TagSession(library, touch=touch, break_links=break_links)
        changes = session.journal.read()[0]
        asked = [q for f in wanted for q in questions(library, f, threshold=threshold, rule=rule, changes=changes)]
        if asked:
            complain("y: yes   1-3: that one   n: none   a name: that   Enter: later   q: stop")
        with session:
            for number, question in enumerate(asked, 1):
                if not is_open(question):
                    continue
                reply = _ask(question, number, len(asked))
                if reply is None:
                    break
                counts[answer(library, session, question, reply)] += 1
    for problem in session.problems:
        complain(f"skipped {problem}")
    if as_json:
        print_json({**counts, "asked": len(asked), "problems": session.problems})
    elif not asked:
        closing(f"Nothing to look at: no song without a {' or '.join(wanted)} has a guess that is sure enough.")
    else:
        left = len(asked) - counts["written"] - counts["refused"]
        closing(
            f"Written: {counted(counts['written'], 'song')}. No guess was right: {counted(counts['refused'], 'song')}. "
            f"Left for later: {counted(left, 'song')}."
        )
    return 1 if session.problems and not sum(counts.values()) else 0


def _ask(question: Question, number: int, of: int) -> str | None:
    """What a person says to a guess; None at the end of input, or to stop."""
    guesses = "   ".join(f"{n} {g.name} {percent(g.probability)}" for n, g in enumerate(question.guesses, 1))
    was = "   (in the file now)" if question.written else ""
    reply = ask(f"{number} of {of}  {question.track.label}", f"   {guesses}{was}", f"   {question.field}?")
    return None if reply is None or reply.casefold() in ("q", "quit") else reply


@command.command(epilog="Example: mirclr tag undo")
@options.library
@options.path_option("--journal", exists=True, help="What was written, where its library is gone: LIBRARY.tags.jsonl")
@options.path_option(
    "--moved-to", exists=True, folder=True, help="Where your music is now, if the library is gone too."
)
@_touch
@_break_links
@options.as_json
def undo(
    library_path: Path, journal: Path | None, moved_to: Path | None, touch: bool, break_links: bool, as_json: bool
) -> int:
    """Take back what `mirclr tag write` wrote, the last first; what was changed since is left alone.

    A file becomes byte for byte what it was; one that another program changed since gets back the fields alone. What
    cannot be taken back stays in the journal, a file beside your library that is enough by itself: the library may have
    been deleted.
    """
    from mirclr.errors import NoMatch
    from mirclr.ingest.tagging import Journal
    from mirclr.ingest.tagging.session import TagSession
    from mirclr.library import LibraryStore

    with ExitStack() as stack:
        kept: LibraryStore | Journal = Journal(library_path, journal)
        if not (journal or moved_to) and library_path.exists():
            kept = stack.enter_context(LibraryStore.open(library_path))
        session = TagSession(kept, touch=touch, break_links=break_links, moved_to=moved_to)
        changes, damaged = session.journal.read()
        if not (changes or damaged or library_path.exists()):
            raise NoMatch(f"{library_path}: no such library, and nothing that was written into tags from it")
        with session, progress("Restoring tags", len(changes)) as advance:
            session.undo_all(changes, damaged, advance=advance)
    if as_json:
        print_json({"undone": session.undone, "problems": session.problems})
    else:
        for problem in session.problems:
            complain(f"skipped {problem}")
        if changes or damaged:
            closing(f"Took back the tags of {counted(session.undone, 'file')}.")
        else:
            closing("Nothing to take back: no tag in your files is mirclr's.")
        if session.foreign:
            remark(f"{counted(session.foreign, 'file')} left alone: what was written there has been changed since")
    return 1 if damaged or (session.problems and not session.undone) else 0


def _asked(fields: str, known: Sequence[str] = WRITABLE) -> list[str]:
    asked = [f.strip() for f in fields.split(",") if f.strip()]
    if not asked or not set(asked) <= set(known):
        raise click.UsageError(f"--fields {fields}: expected some of {', '.join(known)}, with commas between")
    return asked
