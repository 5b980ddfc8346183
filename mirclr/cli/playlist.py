"""``mirclr playlist``: saved queries, run again on the library as it is now, and lists of one's own; copied, mixed."""

import os
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirclr.cli import options
from mirclr.cli.mpd import mpd_option, queue_answer
from mirclr.cli.show import closing, complain, print_facts, print_json, print_songs, print_table, progress, remark
from mirclr.errors import PlaylistError
from mirclr.terminal import bpm, counted, shown, size, span

if TYPE_CHECKING:
    from mirclr.ingest.copying import PlannedCopy
    from mirclr.library import LibraryTrack
    from mirclr.recommend.mix import MixedSong
    from mirclr.recommend.mpd import MpdAddress


@click.group(epilog="Example: mirclr playlist refresh evening -o evening.m3u8")
def command() -> None:
    """Make saved playlists again; mix, copy, list and delete them."""


@command.command(epilog="Example: mirclr playlist refresh evening")
@click.argument("name")
@options.library
@click.option("--explain", is_flag=True, help="Give details of each song, as recommend does.")
@options.as_json
@options.path_option("-o", "--output", help="The file to write; by default that of the last time, if there was one.")
@mpd_option
@options.checkpoint("The library's encoder, where its file has moved.")
def refresh(
    name: str,
    library_path: Path,
    explain: bool,
    as_json: bool,
    output: Path | None,
    mpd: "MpdAddress | None",
    checkpoint: Path | None,
) -> int:
    """Make a saved playlist again from your library as it is now, and write its file."""
    from mirclr.api import Library
    from mirclr.cli.filters import make_ready
    from mirclr.cli.recommend import check_output, show_answer, write_answer
    from mirclr.recommend import Query
    from mirclr.recommend.saved import saved_query

    with Library.open(library_path) as library:
        saved = saved_query(library, name)
        output = output or (Path(saved["output"]) if saved.get("output") else None)
        if output:
            check_output(output, library_path)
        query = Query.from_json(saved["query"])
        make_ready(library, query)
        answer = library.answer(query, checkpoint=checkpoint, excerpts=explain)
    show_answer(answer, as_json=as_json, explain=explain)
    if output:
        write_answer(answer, output, name)
    if mpd:
        queue_answer(answer, mpd)
    return 0 if answer.recommendations else 1


@command.command("list", epilog="Example: mirclr playlist list --json")
@options.library
@options.as_json
def list_(library_path: Path, as_json: bool) -> None:
    """List the saved playlists and what each asks for, and the lists that you made on the page."""
    from mirclr.library import LibraryStore
    from mirclr.recommend import Query
    from mirclr.recommend.saved import saved_queries
    from mirclr.recommend.seeds import named_seeds
    from mirclr.recommend.words import wish_in_words

    with LibraryStore.open(library_path) as library:
        saved, own = saved_queries(library), library.song_lists()
        words = {
            name: wish_in_words(named_seeds(library, Query.from_json(kept["query"]))) for name, kept in saved.items()
        }
    if as_json:
        print_json(saved | {one.name: {"songs": one.songs, "comment": one.comment} for one in own})
    else:
        rows = [(name, words[name], kept.get("output")) for name, kept in saved.items()]
        rows += [(one.name, f"{counted(one.songs, 'song')} of your own, {span(one.duration_s)}", None) for one in own]
        if rows:
            print_table(("name", "songs", "file"), rows)
        else:
            remark("no playlist is saved yet; save one with: mirclr recommend SONG --save NAME")


@command.command(epilog="Example: mirclr playlist show evening")
@click.argument("name")
@options.library
@options.as_json
def show(name: str, library_path: Path, as_json: bool) -> None:
    """Show what a saved playlist asks for, or the songs of a list of your own."""
    from mirclr.cli.recommend import listed_song
    from mirclr.library import LibraryStore
    from mirclr.recommend import Query
    from mirclr.recommend.saved import own_songs, saved_query
    from mirclr.recommend.seeds import named_seeds
    from mirclr.recommend.words import settings_in_words, wish_in_words

    with LibraryStore.open(library_path) as library:
        songs = own_songs(library, name)
        saved = saved_query(library, name) if songs is None else {}
        query = named_seeds(library, Query.from_json(saved["query"])) if songs is None else None
    if songs is not None:
        if as_json:
            print_json({"songs": [str(track.place) for track in songs]})
        else:
            print_songs([listed_song(track) for track in songs], heading=name)
    elif as_json:
        print_json(saved)
    elif query is not None:
        rows = [("songs", wish_in_words(query)), *settings_in_words(query).items()]
        print_facts([*rows, ("file", saved.get("output"))])


@command.command(epilog="Example: mirclr playlist delete evening")
@click.argument("name")
@options.library
def delete(name: str, library_path: Path) -> None:
    """Delete a saved playlist, or a list of your own; its file and its songs stay."""
    from mirclr.library import LibraryStore
    from mirclr.recommend.saved import saved_query

    with LibraryStore.open(library_path) as library:
        own = library.find_song_list(name)
        if not (library.delete_song_list(own.id) if own else library.delete_playlist(name)):
            saved_query(library, name)  # raises, and names those that there are
    remark(f"deleted {name!r}")


@command.command(epilog="Example: mirclr playlist mix evening -o evening.m3u8")
@click.argument("name", metavar="LIST")
@options.library
@options.path_option("-o", "--output", help="Write a playlist too: .m3u8, .xspf or .jspf")
@options.as_json
def mix(name: str, library_path: Path, output: Path | None, as_json: bool) -> int:
    """Put the songs of a list in the order in which a DJ would play them.

    LIST is a saved list or one of your own, or a playlist file, of whose songs those of your library count. Each song
    goes well with the one before: in tempo, key and loudness, and by how it sounds. `mirclr describe` finds out tempos
    and keys that are not known.
    """
    from mirclr.api import Library
    from mirclr.cli.recommend import check_output
    from mirclr.recommend.mix import mix_order
    from mirclr.recommend.playlist import write_playlist

    if output:
        check_output(output, library_path)
    songs, missing, title = _songs_of(name, library_path)
    with Library.open(library_path) as library:
        mixed = mix_order(library, [track.id for track in songs])
    for entry in missing:
        complain(f"left out {entry}: not there")
    if left_out := len({track.place for track in songs}) - len(mixed):
        remark(
            f"{counted(left_out, 'song')} that your library does not hold {'is' if left_out == 1 else 'are'} left out"
        )
    if unknown := sum(one.tempo_bpm is None for one in mixed):
        describe = options.command_line("describe", library_path=library_path)
        remark(f"the tempo of {counted(unknown, 'song')} is not known; find it out with: {describe}")
    _show_mix(mixed, title, as_json)
    if output and mixed:
        write_playlist(output, [one.track for one in mixed], title=title)
        remark(f"wrote {output} ({counted(len(mixed), 'song')})")
    return 0 if mixed else 1


def _show_mix(mixed: "Sequence[MixedSong]", title: str, as_json: bool) -> None:
    from mirclr.cli.recommend import listed_song

    if as_json:
        print_json(
            [
                {
                    "file": str(one.track.place),
                    "tempo_bpm": one.tempo_bpm,
                    "key": one.key,
                    "loudness_lufs": one.loudness_lufs,
                    "why": list(one.why),
                    "bars_s": one.bars_s,
                }
                for one in mixed
            ]
        )
        return
    facts = [", ".join(filter(None, (bpm(one.tempo_bpm) if one.tempo_bpm else "", one.key))) for one in mixed]
    print_songs([listed_song(one.track, why=fact) for one, fact in zip(mixed, facts, strict=True)], heading=title)


@command.command(epilog="Example: mirclr playlist copy evening /media/STICK --as mp3")
@click.argument("name", metavar="LIST")
@click.argument("folder", metavar="DIR", type=options.HomePath(path_type=Path, file_okay=False))
@options.library
@click.option(
    "--as",
    "kind",
    type=click.Choice(("mp3", "m4a", "opus", "flac", "wav")),
    help="Convert what is of another kind, for players that know only some; by default files are copied as they are.",
)
@click.option(
    "--kbps", type=click.IntRange(32, 320), default=192, show_default=True, help="How good and large, with --as."
)
@click.option("--overwrite", is_flag=True, help="Replace other files of the same names.")
@click.option("--dry-run", is_flag=True, help="Show which files would be made, and make none.")
@options.workers
@options.as_json
def copy(
    name: str,
    folder: Path,
    library_path: Path,
    kind: str | None,
    kbps: int,
    overwrite: bool,
    dry_run: bool,
    workers: int,
    as_json: bool,
) -> int:
    """Copy the songs of a list onto a stick or into a folder, numbered in their order.

    LIST is a saved list, of which the songs of its playlist file are taken, or those that it gives now; a list of
    your own; or a playlist file. Songs become "01 Artist - Title.mp3" and so on, in names that every player can
    read, with a playlist beside them. Run again, what is there already is not copied again. Your own files are only
    read.
    """
    from mirclr.ingest.copying import copy_songs, plan_copies

    songs, missing, title = _songs_of(name, library_path)
    plans = plan_copies(songs, folder, kind)
    for entry in missing:
        complain(f"skipped {entry}: not there")
    if dry_run:
        print_table((), [(plan.target.name, str(plan.track.place)) for plan in plans])
        return 0
    done = []
    with progress("Copying", len(plans)) as advance:
        for copied in copy_songs(plans, folder, kbps=kbps, overwrite=overwrite, workers=workers):
            done.append(copied)
            advance(note=copied.plan.target.name)
    failed = [copied for copied in done if copied.did == "failed"]
    beside = _write_beside(folder, title, [c.plan for c in done if c.did != "failed"], overwrite)
    if as_json:
        files = [{"did": c.did, "file": str(c.plan.target), "of": str(c.plan.track.place)} for c in done]
        for row, copied in zip(files, done, strict=True):
            row |= {"reason": copied.reason} if copied.reason else {}
        print_json(
            {"folder": str(folder), "playlist": str(beside) if beside else None, "files": files, "missing": missing}
        )
        return 1 if failed or missing else 0
    for copied in failed:
        complain(f"skipped {copied.reason}")
    made = [copied.plan.target for copied in done if copied.did in ("copied", "transcoded")]
    there = sum(copied.did == "there" for copied in done)
    taken = f" ({size(sum(file.stat().st_size for file in made))})" if made else ""
    before = f"; {counted(there, 'song')} {'was' if there == 1 else 'were'} there already" if there else ""
    closing(f"copied {counted(len(made), 'song')} to {folder}{taken}{before}")
    return 1 if failed or missing else 0


def _songs_of(name: str, library_path: Path) -> "tuple[list[LibraryTrack], list[str], str]":
    """The songs of a saved query or a playlist file, what is missing of it, and what it is called."""
    from mirclr.api import Library
    from mirclr.recommend import Query
    from mirclr.recommend.playlist import READABLE, songs_of_playlist
    from mirclr.recommend.saved import own_songs, saved_queries, saved_query

    with ExitStack() as stack:
        library = stack.enter_context(Library.open(library_path)) if library_path.exists() else None
        file = Path(os.path.expanduser(name))
        if file.suffix.lower() in READABLE and file.is_file():
            return *songs_of_playlist(file, library), file.stem
        held = library is not None and (name in saved_queries(library) or library.find_song_list(name) is not None)
        if file.suffix.lower() in READABLE and not held:
            raise PlaylistError(f"{shown(name)}: no such playlist file")
        if library is None:
            raise PlaylistError(f"{name}: no such playlist file, and no library that could have a list of this name")
        if (own := own_songs(library, name)) is not None:
            return own, [], name
        saved = saved_query(library, name)
        output = Path(saved["output"]) if saved.get("output") else None
        if output and output.is_file():
            remark(f"the songs of {output}; to make that list anew first: mirclr playlist refresh {shlex.quote(name)}")
            return *songs_of_playlist(output, library), name
        return [r.track for r in library.answer(Query.from_json(saved["query"])).recommendations], [], name


def _write_beside(folder: Path, title: str, plans: "Sequence[PlannedCopy]", overwrite: bool) -> Path | None:
    """Write a playlist of the copies into their folder, unless another one of this name is there."""
    from mirclr.ingest.copying import safe_name
    from mirclr.recommend.playlist import read_playlist, write_playlist

    if not plans:
        return None
    path = folder / safe_name(title, ".m3u8")
    files = [Path(os.path.realpath(folder), plan.target.name) for plan in plans]
    if path.exists() and not overwrite:
        if read_playlist(path) == files:
            return path
        complain(f"{path}: another playlist of this name is there; --overwrite replaces it")
        return None
    tracks = [replace(p.track, root=str(folder.absolute()), path=p.target.name, audio_path=None) for p in plans]
    write_playlist(path, tracks, title=title)
    return path
