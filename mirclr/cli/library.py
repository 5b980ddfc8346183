"""``mirclr library``: what is in a library and where it lies, whether it is sound, removal from it, its deletion."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.filters import filters, make_ready, query_of
from mirclr.cli.show import (
    closing,
    failures_as_json,
    is_terminal,
    naming,
    print_facts,
    print_json,
    print_line,
    print_songs,
    print_table,
    remark,
)
from mirclr.terminal import counted, size, span

if TYPE_CHECKING:
    from mirclr.library import Failure, LibraryTrack
    from mirclr.library.kept_files import KeptFile

_ASK_ABOVE = 10
_OF_SQLITE = ("-wal", "-shm", "-journal")


@click.group(epilog="Example: mirclr library info --failures")
def command() -> None:
    """Look at your library, check it, remove songs from it, delete it."""


@command.command(epilog="Example: mirclr library info --failures --library lib.db")
@options.library
@click.option("--failures", is_flag=True, help="List the files that could not be read, or only in part, and why.")
@options.as_json
def info(library_path: Path, failures: bool, as_json: bool) -> None:
    """Show what your library holds, what could not be read, and where everything lies."""
    from mirclr.library import LibraryStore
    from mirclr.library.kept_files import files_of_library
    from mirclr.provenance import cache_dir, config_dir, data_dir

    with LibraryStore.open(library_path) as library:
        facts = library.info()
        failed = [{"file": str(f.file), "reason": f.why} for f in library.failures()]
        remarks = [{"file": str(t.file), "remark": t.remark} for t in library.tracks() if t.remark] if failures else []
    folders = {"data": str(data_dir()), "caches": str(cache_dir()), "settings": str(config_dir())}
    kept = files_of_library(library_path.absolute())
    if as_json:
        facts |= {"files": [_kept_as_json(file) for file in kept], "folders": folders}
        print_json({**facts, "failures": failed, "remarks": remarks} if failures else facts)
        return
    where = [(file.what, f"{file.path} ({size(file.bytes)})") for file in reversed(kept)]
    print_facts([*_facts(facts), *where, *((f"folder of {name}", folder) for name, folder in folders.items())])
    if failures:
        if failed:
            print_table(("file", "why it could not be read"), [(f["file"], f["reason"]) for f in failed])
        if remarks:
            print_table(("file", "what is wrong with it"), [(r["file"], r["remark"]) for r in remarks])
    elif facts["failures"] or facts["remarks"]:
        more = options.command_line("library", "info", "--failures", library_path=library_path)
        remark(f"which files could not be read, or only in part, and why: {more}")


def _facts(facts: dict[str, Any]) -> list[tuple[str, Any]]:
    """What a library holds, for people."""
    rows: list[tuple[str, Any]] = [(name, facts[name]) for name in ("artists", "albums")]
    rows.insert(0, ("songs", f"{facts['tracks']:,} ({span(3600 * facts['hours'])} of music)"))
    for name, what in (("failures", "not read"), ("remarks", "read in part")):
        if facts[name]:
            rows.append((what, counted(facts[name], "file")))
    rows += [("folder", f"{root} ({counted(n, 'song')})") for root, n in facts["roots"].items()]
    if facts["tasks"]:
        rows.append(("guessed", ", ".join(task for task in facts["tasks"] if task != "affect") or "mood"))
    if encoder := facts["encoder"]:
        rows.append(("made with", f"{encoder['name']} ({encoder['digest'][:12]})"))
    return rows


@command.command("list", epilog="Example: mirclr library list --genre jazz --year 1960s")
@click.argument("words", nargs=-1, metavar="[WORDS_OR_PATH]…")
@filters
@options.library
@options.as_json
def list_(words: tuple[str, ...], library_path: Path, as_json: bool, **asked: Any) -> int:
    """List the songs of your library, or those that you ask for.

    Words are of an artist, a title, an album or a path; a path is that of a file or a folder. What songs should be is
    asked as of `mirclr recommend`. JSON has what `mirclr describe` found of each song, and how likely each genre and
    mood is. Piped into a file or another program a line is the number of a song in the library, its name and its file.
    """
    from mirclr.api import Library
    from mirclr.cli.recommend import listed_song
    from mirclr.recommend import select_tracks
    from mirclr.recommend.shortfall import emptied

    query = query_of(**asked) if any(value not in (None, ()) for value in asked.values()) else None
    with Library.open(library_path) as library:
        if query:
            make_ready(library, query)
        with library.snapshot():
            tracks = select_tracks(library, library.filters, query, words)
            if as_json:
                described = library.descriptions()
                predicted = {task: library.probabilities(task) for task in library.tasks()}
            if query and not tracks:
                remark(emptied(library.filters, query))
    if as_json:
        rows = []
        for track in tracks:
            row = _as_json(track) | (described[track.id].as_json() if track.id in described else {})
            if known := {task: rows_of[track.id] for task, rows_of in predicted.items() if track.id in rows_of}:
                row["probabilities"] = known
            rows.append(row)
        print_json(rows)
        return 0 if tracks or not query else 1
    if is_terminal(sys.stdout):
        print_songs([listed_song(track) for track in tracks])
    else:
        for track in tracks:
            print_line(str(track.id), track.label, str(track.place))
    if query or words:
        remark(counted(len(tracks), "song"))
    return 0 if tracks or not query else 1


@command.command(epilog="Example: mirclr library remove ~/Music/Audiobooks --yes")
@click.argument("which", nargs=-1, metavar="[TEXT_OR_PATH]…")
@options.library
@click.option("--gone", is_flag=True, help="Remove the songs, and forget the failures, of files that are gone.")
@click.option("--yes", is_flag=True, help=f"Do not ask, even for more than {_ASK_ABOVE} songs.")
def remove(which: tuple[str, ...], library_path: Path, gone: bool, yes: bool) -> None:
    """Remove songs from your library; no audio file is touched.

    A path is that of a file, or of a folder with all below it. Words mean what they mean to `mirclr recommend`: a
    title, an artist, an album. The next `mirclr sync` takes in again what is still in your folders; to keep it out:
    `mirclr library exclude add`.
    """
    from mirclr.ingest.removal import failures_at, find_gone, tracks_at
    from mirclr.library import LibraryStore
    from mirclr.recommend import match_tracks

    if not all(text.strip() for text in which) or not (which or gone):
        raise click.UsageError("name what to remove: words, a path, or --gone")
    with LibraryStore.open(library_path) as library:
        forgotten: list[Failure] = [failure for text in which for failure in failures_at(library, text)]
        doomed = {
            track.id: track
            for text in which
            for track in tracks_at(library, text) or ([] if failures_at(library, text) else match_tracks(library, text))
        }
        if gone:
            tracks, failures, absent = find_gone(library)
            for root, why in absent.items():
                remark(f"{root} {why}; its songs stay (to remove them, name that folder)")
            doomed.update((track.id, track) for track in tracks)
            forgotten += failures
        if len(doomed) > _ASK_ABOVE and not yes:
            for track in list(doomed.values())[:_ASK_ABOVE]:
                remark(f"{track.label} ({track.place})")
            remark(f"… and {len(doomed) - _ASK_ABOVE:,} more")
            if not options.confirmed(f"Take these {len(doomed):,} songs out of your library? No file is touched."):
                remark("nothing removed")
                return
        removed = library.remove(list(doomed))
        library.forget(forgotten)
    for track in doomed.values():
        closing(f"removed {track.label} ({track.place})")
    files = f", {counted(len(forgotten), 'file')} that could not be read forgotten" if forgotten else ""
    if not (removed or forgotten):
        remark("nothing to remove: every file is there")
    else:
        remark(f"{counted(removed, 'song')} removed{files}; no file was touched")


@command.command(epilog="Example: mirclr library delete --dry-run")
@options.library
@click.option(
    "--everything", is_flag=True, help="Delete all that mirclr keeps on this machine, settings and downloads too."
)
@click.option("--dry-run", is_flag=True, help="Show what would go and what would stay, and delete nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.as_json
def delete(library_path: Path, everything: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Delete your library, with all that mirclr made of it; your music stays as it is.

    First it names every file that goes, with its size, and what stays. Tags that mirclr wrote into your music stay
    there; with what is kept beside the library `mirclr tag undo` takes them out, before or after. Only --everything
    deletes that too.
    """
    from mirclr.errors import LibraryNotFound
    from mirclr.library.kept_files import JOURNAL, check_unused, delete_files, files_of_library, kept_files

    library_path = library_path.absolute()
    own, kept = files_of_library(library_path), kept_files(library_path)
    if not (own or (everything and kept)):
        raise LibraryNotFound(f"{library_path}: no such library; nothing to delete")
    written = _files_written(library_path)
    going = [f for f in (kept if everything else own) if everything or f.what != JOURNAL or not written]
    staying = [f for f in kept if f not in going]
    for file in going:  # beside each library, whatever its name, are what SQLite keeps of it
        if file.what == "library" and (file.path == library_path or not file.path.name.endswith(_OF_SQLITE)):
            check_unused(file.path)
    if not as_json:
        _print_deletion(library_path, going, staying, written)
    if not dry_run and going and (yes or options.confirmed(f"Delete {_size_of(going)} for good?")):
        delete_files(going)
        deleted = going
    else:
        deleted = []
    if as_json:
        lists = {"deleted": deleted, "would_delete": going if dry_run else [], "kept": staying}
        files = {name: [_kept_as_json(f) for f in some] for name, some in lists.items()}
        print_json({"library": str(library_path), "dry_run": dry_run, **files, "files_with_written_tags": written})
    elif deleted:
        closing(f"Deleted {_size_of(deleted)}.")
    elif not dry_run:
        remark("nothing deleted")


@command.command(epilog="Example: mirclr library verify --library lib.db")
@options.library
@options.as_json
def verify(library_path: Path, as_json: bool) -> None:
    """Check that your library is sound, and that the file of every song is there."""
    from mirclr.errors import LibraryError
    from mirclr.library import LibraryStore

    with LibraryStore.open(library_path) as library:
        problems = library.verify()
        n = len(library.tracks())
    if as_json:
        print_json({"tracks": n, "problems": problems})
    else:
        for problem in problems:
            print_line(problem)
    if problems:
        raise LibraryError(f"{library_path}: {counted(len(problems), 'problem')} in {counted(n, 'song')}")
    remark(f"sound: {counted(n, 'song')}, each with its file")


@command.command(epilog="Example: mirclr library renew --library lib.db")
@options.library
@options.checkpoint("The encoder; the built-in one unless given.", default="builtin")
@click.option("--again", is_flag=True, help="Also where this encoder made the library already.")
@options.workers
@options.device
@options.as_json
def renew(library_path: Path, checkpoint: Path, again: bool, workers: int, device: str, as_json: bool) -> None:
    """Listen to all songs again with another encoder, such as that of a newer mirclr.

    Tags, blocks, playlists, profiles, tempo and duplicates stay, also those that come meanwhile; what `mirclr classify
    predict` guessed goes, as it was guessed by the old encoder. Until all is done the library answers as before. A run
    that was stopped is resumed.
    """
    from mirclr.cli.embed import bring_up_to_date
    from mirclr.ingest.renewal import renew as make_renewal
    from mirclr.library import LibraryStore
    from mirclr.models.embedder import Embedder

    embedder = Embedder.load(checkpoint, device=device)
    with LibraryStore.open(library_path) as library:
        if library.stamp and library.stamp.makes_vectors_of(embedder.stamp) and not again:
            remark(f"{library_path}: its vectors are of this encoder already; to embed all once more: --again")
            if as_json:
                print_json({"library": str(library_path), "renewed": False})
            return
        renewal = make_renewal(
            library,
            embedder.stamp,
            lambda new, files, tags: bring_up_to_date(new, files, embedder, tags, workers=workers),
        )
    counts = renewal.counts
    if as_json:
        left_out = {
            "failures": failures_as_json(renewal.failures),
            "gone": [str(file) for file in renewal.gone],
            "came_meanwhile": [str(file) for file in renewal.came],
        }
        print_json({"library": str(library_path), "renewed": True, **counts, **left_out})
        return
    for name, reason in renewal.failures:
        remark(f"left out {naming(name, reason)}")
    for file in renewal.gone:
        remark(f"left out {file}: it is gone")
    for file in renewal.came:
        remark(f"left out {file}: it came meanwhile; mirclr sync takes it in")
    closing(f"{counted(sum(counts.values()) - counts['failed'], 'song')} ready, by {embedder.stamp.name}")


@command.command("import", epilog="Example: mirclr library import listened/ --library lib.db")
@click.argument("folder", type=options.HomePath(path_type=Path, exists=True, file_okay=False, or_address=True))
@options.library
@options.path_option(
    "--audio-root", folder=True, help="Where the songs are here, or would be, where not at the same place."
)
@options.as_json
def import_(folder: Path | str, library_path: Path, audio_root: Path | None, as_json: bool) -> int:
    """Take in what `mirclr embed --on ray` wrote to a folder.

    Your library then is as if it had listened to these songs itself. Run again, only what is new or changed is taken
    in. Songs that are in your library and not in FOLDER are left as they are.
    """
    from mirclr.cli.on_ray import import_into

    return import_into(library_path, str(folder), audio_root, as_json=as_json)


@command.command(epilog="Example: mirclr library fingerprint")
@options.library
@click.option("--again", is_flag=True, help="Also of songs that have one.")
@click.option("--remove", "removing", is_flag=True, help="Remove them all in place of making any.")
@options.workers
@options.as_json
def fingerprint(library_path: Path, again: bool, removing: bool, workers: int, as_json: bool) -> int:
    """Make what `mirclr identify` finds songs by.

    Each song is read as a whole, once; a fingerprint takes some six kilobytes. `mirclr embed --fingerprints` makes
    them too. `mirclr duplicates` compares songs by them, without reading them.
    """
    from mirclr.cli.identify import make_fingerprints, print_fingerprints
    from mirclr.library import LibraryStore

    if again and removing:
        raise click.UsageError("--again and --remove ask for the opposite")
    with LibraryStore.open(library_path) as library:
        removed = library.remove_fingerprints() if removing or again else 0
        if removing:
            if as_json:
                print_json({"library": str(library_path), "removed": removed})
            else:
                closing(f"removed the fingerprints of {counted(removed, 'song')}")
            return 0
        made, problems = make_fingerprints(library, workers)
        known = len(library.fingerprint_times()[0])
        if as_json:
            print_json({"library": str(library_path), "made": made, "known": known, "problems": problems})
        else:
            print_fingerprints(library, made, problems)
    return 1 if problems and not known else 0


_folder = click.option(
    "--folder", type=options.HomePath(path_type=Path), help="Below this folder; below every one unless given."
)


@command.group("exclude", epilog='Example: mirclr library exclude add Podcasts "Audio books/**"')
def exclude() -> None:
    """Keep folders and files out of your library.

    A pattern is a name, anywhere below a folder of the library, or a path from there; * and ? stand for what is between
    two slashes, ** for any folders.
    """


@exclude.command("add", epilog='Example: mirclr library exclude add "Audio books" --folder ~/Music')
@click.argument("globs", nargs=-1, required=True, metavar="GLOB…")
@_folder
@options.library
def exclude_add(globs: tuple[str, ...], folder: Path | None, library_path: Path) -> None:
    """Add patterns of what is left out from now on; `mirclr sync` removes its songs."""
    from mirclr.data.scan import Exclusions
    from mirclr.errors import PatternError
    from mirclr.ingest.exclusions import keep_exclusions, roots_for
    from mirclr.library import LibraryStore

    with LibraryStore.open(library_path) as library:
        with options.wrong_usage(PatternError):
            kept = keep_exclusions(library, globs, roots_for(library, folder))
        excluded = Exclusions(kept)
        n = sum(excluded.covers(track.place) for track in library.tracks())
    remark(f"left out from now on: {counted(sum(map(len, kept.values())), 'pattern')}")
    if n:
        sync = options.command_line("sync", library_path=library_path)
        remark(f"{counted(n, 'song')} of your library {'is' if n == 1 else 'are'} among it; to take out: {sync}")


@exclude.command("remove", epilog="Example: mirclr library exclude remove Podcasts")
@click.argument("globs", nargs=-1, required=True, metavar="GLOB…")
@_folder
@options.library
def exclude_remove(globs: tuple[str, ...], folder: Path | None, library_path: Path) -> None:
    """Remove patterns, named as `mirclr library exclude list` shows them; `mirclr sync` takes what is there again."""
    from mirclr.errors import NoMatch, PatternError
    from mirclr.ingest.exclusions import pattern_of, roots_for
    from mirclr.library import LibraryStore

    with LibraryStore.open(library_path) as library, options.wrong_usage(PatternError):
        held = library.exclusions()
        roots = dict.fromkeys(roots_for(library, folder).values()) if folder else held
        for glob in globs:
            of = {root: {glob, pattern_of(glob, root) or glob} & set(held.get(root, ())) for root in roots}
            if not any(of.values()):
                known = ", ".join(sorted({p for kept in held.values() for p in kept})) or "none"
                raise NoMatch(f"{library_path}: holds no pattern {glob!r}; it holds: {known}")
            for root, patterns in of.items():
                library.remove_exclusions(root, patterns)
        left = sum(map(len, library.exclusions().values()))
        sync = options.command_line("sync", library_path=library_path)
        remark(f"{counted(left, 'pattern')} left; to take in what is left out no more: {sync}")


@exclude.command("list", epilog="Example: mirclr library exclude list --json")
@options.library
@options.as_json
def exclude_list(library_path: Path, as_json: bool) -> None:
    """List the patterns, each with the folder that it holds for."""
    from mirclr.library import LibraryStore

    with LibraryStore.open(library_path) as library:
        rows = [(root, pattern) for root, patterns in library.exclusions().items() for pattern in patterns]
    if as_json:
        print_json([{"folder": root, "pattern": pattern} for root, pattern in rows])
    else:
        print_table((), [(pattern, root) for root, pattern in rows])


def _print_deletion(library_path: Path, going: "list[KeptFile]", staying: "list[KeptFile]", written: int) -> None:
    """Say what goes and what stays."""
    from mirclr.library.kept_files import JOURNAL

    if going:
        print_table(("This goes", "where", "size"), [_kept_as_row(f) for f in going])
    if holds := _holdings(library_path):
        print_line(f"Your library holds {holds}.")
    print_line("Your music stays: no song is touched.")
    undo = options.command_line("tag", "undo", library_path=library_path)
    if written:
        lost = any(f.what == JOURNAL for f in going)
        when = "Afterwards nothing can take them out; to do it first" if lost else "To take them out, now or later"
        print_line(f"Tags that mirclr wrote into {counted(written, 'song')} stay there. {when}: {undo}")
    if staying:
        print_table(("This stays", "where", "size"), [_kept_as_row(f) for f in staying])
        more = options.command_line("library", "delete", "--everything", library_path=library_path)
        print_line(f"To delete that too: {more}")


def _holdings(library_path: Path) -> str:
    """What a person kept in a library beside its songs; nothing of one that cannot be read."""
    from mirclr.errors import LibraryError
    from mirclr.library import LibraryStore

    with suppress(LibraryError), LibraryStore.open(library_path) as library:
        held = (
            (len(library.tracks()), "song"),
            (len(library.playlists()), "saved playlist"),
            (len(library.profiles()), "listener profile"),
            (len(library.blocks()), "rule"),
        )
        return ", ".join(f"{n:,} {what}{'s' if n > 1 else ''}" for n, what in held if n)
    return ""


def _files_written(library_path: Path) -> int:
    """Into how many files tags were written that `mirclr tag undo` can take out."""
    from mirclr.ingest.tagging import Journal

    return len({change.file for change in Journal(library_path).read()[0]})


def _kept_as_row(file: "KeptFile") -> tuple[str, str, str]:
    return file.what, str(file.path), size(file.bytes)


def _kept_as_json(file: "KeptFile") -> dict[str, Any]:
    return {"what": file.what, "path": str(file.path), "bytes": file.bytes}


def _size_of(files: "list[KeptFile]") -> str:
    return size(sum(file.bytes for file in files))


def _as_json(track: "LibraryTrack") -> dict[str, Any]:
    return {
        "id": track.id,
        "file": str(track.file),
        **({"start_s": track.start_s} if track.span else {}),
        "artist": track.artist,
        "title": track.title,
        "album": track.album,
        "album_artist": track.album_artist,
        "genre": track.genre,
        "year": track.year,
        "duration_s": track.duration_s,
    }
