"""``mirclr library``: what is in a library, whether it is sound, removal from it, another encoder for it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.show import failures_as_json, naming, print_json, print_line, print_table, remark
from mirclr.terminal import counted

if TYPE_CHECKING:
    from mirclr.library import Failure, LibraryTrack

_ASK_ABOVE = 10


@click.group(epilog="Example: mirclr library info --failures")
def command() -> None:
    """Look at a library, check it, remove tracks from it."""


@command.command(epilog="Example: mirclr library info --failures --library lib.db")
@options.library
@click.option(
    "--failures", is_flag=True, help="List the files that could not be embedded, or not all of them, and why."
)
@options.as_json
def info(library_path: Path, failures: bool, as_json: bool) -> None:
    """Show what a library holds: counts, its encoder, its folders, failures."""
    from mirclr.library import LibraryStore

    with LibraryStore.open(library_path) as library:
        facts = library.info()
        failed = [{"file": str(f.file), "reason": f.why} for f in library.failures()]
        remarks = [{"file": str(t.file), "remark": t.remark} for t in library.tracks() if t.remark] if failures else []
    if as_json:
        print_json({**facts, "failures": failed, "remarks": remarks} if failures else facts)
        return
    encoder = facts["encoder"]
    rows = [
        (name, facts[name]) for name in ("path", "bytes", "tracks", "artists", "albums", "hours", "failures", "remarks")
    ]
    if encoder:
        rows.append(("encoder", f"{encoder['name']} ({encoder['digest'][:12]}), {encoder['dim']} components"))
    rows += [("folder", f"{root} ({counted(n, 'track')})") for root, n in facts["roots"].items()]
    rows += [("probabilities", task) for task in facts["tasks"]]
    print_table(("", "value"), rows)
    if failures:
        print_table(("file", "reason"), [(f["file"], f["reason"]) for f in failed], title="failures")
        print_table(("file", "remark"), [(r["file"], r["remark"]) for r in remarks], title="remarks")


@command.command("list", epilog="Example: mirclr library list --json | jq '.[].artist'")
@options.library
@options.as_json
def list_(library_path: Path, as_json: bool) -> None:
    """List the tracks of a library, one a line: id, artist and title, file.

    As JSON with what `mirclr describe` found, and by task and label the probabilities that `mirclr classify predict`
    stored.
    """
    from mirclr.library import LibraryStore

    with LibraryStore.open(library_path) as library, library.snapshot():
        tracks = library.tracks()
        if as_json:
            described = library.descriptions()
            predicted = {task: library.probabilities(task) for task in library.tasks()}
    if as_json:
        rows = []
        for track in tracks:
            row = _as_json(track) | (vars(described[track.id]) if track.id in described else {})
            if known := {task: rows_of[track.id] for task, rows_of in predicted.items() if track.id in rows_of}:
                row["probabilities"] = known
            rows.append(row)
        print_json(rows)
        return
    for track in tracks:  # lines and not a table, which takes a minute for 100,000 tracks
        print_line(str(track.id), track.label, str(track.place))


@command.command(epilog="Example: mirclr library remove ~/Music/Audiobooks --yes")
@click.argument("which", nargs=-1, metavar="[TEXT_OR_PATH]…")
@options.library
@click.option("--gone", is_flag=True, help="Remove the tracks, and forget the failures, of files that are gone.")
@click.option("--yes", is_flag=True, help=f"Do not ask, even for more than {_ASK_ABOVE} tracks.")
def remove(which: tuple[str, ...], library_path: Path, gone: bool, yes: bool) -> None:
    """Remove tracks from a library; no audio file is touched.

    A path is that of a file, or of a folder with all below it. A text is matched as `mirclr recommend` does.
    """
    from mirclr.ingest.removal import find_gone, tracks_at
    from mirclr.library import LibraryStore
    from mirclr.recommend import match_tracks

    if not all(text.strip() for text in which) or not (which or gone):
        raise click.UsageError("name what to remove: a text, a path, or --gone")
    with LibraryStore.open(library_path) as library:
        doomed = {
            track.id: track for text in which for track in tracks_at(library, text) or match_tracks(library, text)
        }
        forgotten: list[Failure] = []
        if gone:
            tracks, forgotten, absent = find_gone(library)
            for root, why in absent.items():
                remark(f"{root} {why}; its tracks are kept (to remove them, name that folder)")
            doomed.update((track.id, track) for track in tracks)
        if len(doomed) > _ASK_ABOVE and not yes:
            for track in list(doomed.values())[:_ASK_ABOVE]:
                remark(f"{track.label} ({track.place})")
            if not click.confirm(f"… and {len(doomed) - _ASK_ABOVE} more. Remove these {len(doomed)}?", err=True):
                remark("nothing removed")
                return
        removed = library.remove(list(doomed))
        library.forget(forgotten)
    for track in doomed.values():
        print_line(f"removed {track.label} ({track.place})")
    remark(f"{counted(removed, 'track')} removed")


@command.command(epilog="Example: mirclr library verify --library lib.db")
@options.library
@options.as_json
def verify(library_path: Path, as_json: bool) -> None:
    """Check a library's file, its vectors, and that every track's file is there."""
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
        raise LibraryError(f"{library_path}: {counted(len(problems), 'problem')} in {counted(n, 'track')}")
    remark(f"{library_path}: {counted(n, 'track')}, no problem")


@command.command(epilog="Example: mirclr library renew --library lib.db")
@options.library
@options.checkpoint("The encoder; the built-in one unless given.", default="builtin")
@click.option("--again", is_flag=True, help="Also where the vectors are of this encoder already.")
@options.workers
@options.device
@options.as_json
def renew(library_path: Path, checkpoint: Path, again: bool, workers: int, device: str, as_json: bool) -> None:
    """Embed all tracks with another encoder, such as that of a newer mirclr.

    Tags, blocks, playlists, profiles, descriptions and duplicates stay, also those that come meanwhile; what `mirclr
    classify predict` found goes, as it was predicted from the old vectors. Until all is embedded the library answers as
    before. A run that was stopped is resumed.
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
        remark(f"left out {file}: it came meanwhile; mirclr sync embeds it")
    print_line(f"{library_path}: {sum(counts.values()) - counts['failed']} tracks by {embedder.stamp.name}")


_folder = click.option(
    "--folder", type=options.HomePath(path_type=Path), help="Below this folder; below every one unless given."
)


@command.group("exclude", epilog='Example: mirclr library exclude add Podcasts "Audio books/**"')
def exclude() -> None:
    """Keep folders and files out of a library.

    A pattern is a name, anywhere below a folder of the library, or a path from there; * and ? stand for what is between
    two slashes, ** for any folders.
    """


@exclude.command("add", epilog='Example: mirclr library exclude add "Audio books" --folder ~/Music')
@click.argument("globs", nargs=-1, required=True, metavar="GLOB…")
@_folder
@options.library
def exclude_add(globs: tuple[str, ...], folder: Path | None, library_path: Path) -> None:
    """Add patterns of what is left out from now on; `mirclr sync` removes its tracks."""
    from mirclr.data.scan import Exclusions
    from mirclr.errors import PatternError
    from mirclr.ingest.exclusions import keep_exclusions, roots_for
    from mirclr.library import LibraryStore

    with LibraryStore.open(library_path) as library:
        with options.wrong_usage(PatternError):
            kept = keep_exclusions(library, globs, roots_for(library, folder))
        excluded = Exclusions(kept)
        n = sum(excluded.covers(track.place) for track in library.tracks())
    some = f"; {counted(n, 'track')} of the library left out: mirclr sync removes them" if n else ""
    remark(f"{counted(sum(map(len, kept.values())), 'pattern')} kept in {library_path}{some}")


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
        remark(f"{counted(sum(map(len, library.exclusions().values())), 'pattern')} left in {library_path}")


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
        for root, pattern in rows:
            print_line(f"{pattern}\t{root}")


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
