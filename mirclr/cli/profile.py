"""``mirclr profile``: what listeners played and like, kept in a library by name."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.show import closing, print_json, print_line, print_table, progress, remark
from mirclr.terminal import counted, percent

if TYPE_CHECKING:
    from mirclr.library import Listen

_SOME = 5
_FILES = click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE…",
    type=options.HomePath(path_type=Path, exists=True),
)


@click.group(epilog="Example: mirclr profile import anna listenbrainz_anna.zip likes.txt")
def command() -> None:
    """Keep what a listener played and likes, for recommend --for."""


@command.command("import", epilog="Example: mirclr profile import anna listenbrainz_anna.zip likes.txt")
@click.argument("name")
@_FILES
@options.library
@click.option("--replace", is_flag=True, help="Forget what the profile held before.")
@options.as_json
def import_(name: str, files: tuple[Path, ...], library_path: Path, replace: bool, as_json: bool) -> None:
    """Add listening histories, or what is liked, to a profile; it is made where there is none.

    A FILE is an export of ListenBrainz or Spotify (.zip as delivered, its folder, .json), of Last.fm (.csv, .tsv,
    .json), Maloja, Pano Scrobbler, Rockbox, Exportify, iTunes or YouTube Music; a playlist, whose songs are liked; or a
    text of lines '+ Artist - Title' (liked) and '- Artist - Title' (disliked), or with paths of files.

    Files that are given together are added up, such as those of several years. What comes later is taken for a newer
    export, which holds the earlier plays too: of a song that the profile has already, the larger number of plays
    counts.
    """
    _keep(name, files, library_path, as_json, replace=replace)


@command.command(hidden=True, epilog="Example: mirclr profile update anna listenbrainz_anna.zip")
@click.argument("name")
@_FILES
@options.library
@options.as_json
def update(name: str, files: tuple[Path, ...], library_path: Path, as_json: bool) -> None:
    """Add newer exports to a profile that is there; what `mirclr profile import` does too."""
    _keep(name, files, library_path, as_json, must_exist=True)


@command.command(epilog="Example: mirclr profile show anna --missing")
@click.argument("name")
@options.library
@click.option("--missing", is_flag=True, help="List the songs of the history that your library lacks instead.")
@options.count(50, "How many missing songs are listed, the most played first.")
@options.as_json
def show(name: str, library_path: Path, missing: bool, n: int, as_json: bool) -> None:
    """Show what a profile holds, and what the listener likes.

    What is liked comes in a few groups of songs that sound alike, each with how much of the listening it is and some of
    its songs. --missing lists the songs that were played and are not in your library; with --json all of them.
    """
    from mirclr.library import LibraryStore
    from mirclr.recommend.taste import listens_of, match_listens, missing_listens, nearest_tracks, taste_of

    with LibraryStore.open(library_path) as library, library.snapshot():
        listens = listens_of(library, name)
        matched = match_listens(library, listens)
        if missing:
            _show_missing(name, library_path, missing_listens(listens, matched), n, as_json)
            return
        taste = taste_of(library, listens, now_s=time.time())
        disliked = {int(i) for i, row in zip(matched.ids, matched.rows, strict=True) if listens[row].taste < 0}
        nearest = nearest_tracks(library, taste, taste.known - disliked)
        facts: dict[str, Any] = {
            "name": name,
            "pieces": len(listens),
            "plays": sum(listen.plays for listen in listens),
            "matched": len(matched.ids),
            "centres": [
                {"weight": round(float(weight), 4), "nearest": [track.label for track in tracks]}
                for weight, tracks in zip(taste.weights, nearest, strict=True)
            ],
            "disliked": [track.label for track in library.tracks(sorted(disliked))],
            "recent": [track.label for track in library.tracks(sorted(taste.recent))],
        }
    if as_json:
        print_json(facts)
        return
    print_line(f"{name}: {counted(facts['pieces'], 'song')}, {counted(facts['plays'], 'play')}")
    print_line(_held(len(matched.ids), len(listens)))
    for what, labels in (("played in the last two weeks", facts["recent"]), ("disliked", facts["disliked"])):
        if labels:
            print_line(f"{what}: {_some(labels)}")
    if facts["centres"]:
        groups = [(percent(group["weight"]), "; ".join(group["nearest"])) for group in facts["centres"]]
        print_table((), groups, title=f"What {name} likes, in groups of songs that sound alike")
    if matched.missing:
        missing_ones = options.command_line("profile", "show", name, "--missing", library_path=library_path)
        remark(f"the other {counted(matched.missing, 'song')}: {missing_ones}")


@command.command("list", epilog="Example: mirclr profile list --json")
@options.library
@options.as_json
def list_(library_path: Path, as_json: bool) -> None:
    """List the profiles of a library, each with its number of songs."""
    from mirclr.library import LibraryStore

    with LibraryStore.open(library_path) as library:
        held = library.profiles()
    if as_json:
        print_json(held)
        return
    for name, n in held.items():
        print_line(name, counted(n, "song"))
    if not held:
        remark("your library holds no profile; make one with: mirclr profile import NAME FILE")


@command.command(epilog="Example: mirclr profile delete anna")
@click.argument("name")
@options.library
@options.as_json
def delete(name: str, library_path: Path, as_json: bool) -> None:
    """Delete a profile; the songs of the library and their files stay."""
    from mirclr.library import LibraryStore
    from mirclr.recommend.taste import listens_of

    with LibraryStore.open(library_path) as library:
        n = len(listens_of(library, name))
        library.delete_profile(name)
    if as_json:
        print_json({"name": name, "pieces": n})
    else:
        closing(f"deleted {name} ({counted(n, 'song')}); your music files and your library's songs stay")


def _show_missing(name: str, library_path: Path, listens: "Sequence[Listen]", n: int, as_json: bool) -> None:
    """Print the songs that no track is."""
    if as_json:
        fields = ("plays", "artist", "title", "album", "file", "taste")
        print_json([{field: getattr(listen, field) for field in fields} for listen in listens])
        return
    if not listens:
        remark(f"your library has every song of {name}'s history")
        return
    rows = [(x.plays or None, x.artist or None, x.title or x.file, x.album or None) for x in listens[:n]]
    print_table(("plays", "artist", "title", "album"), rows)
    them = counted(len(listens), "song") + f" of {name}'s history "
    them += "is not in your library" if len(listens) == 1 else "are not in your library"
    everything = ("profile", "show", name, "--missing", "-n", len(listens))
    more = f"; all of them: {options.command_line(*everything, library_path=library_path)}" if len(listens) > n else ""
    remark(f"{them}{more}")


def _keep(
    name: str,
    files: Sequence[Path],
    library_path: Path,
    as_json: bool,
    *,
    replace: bool = False,
    must_exist: bool = False,
) -> None:
    """Read histories and add them to a profile; print what came of it."""
    from mirclr.cli.recommend import check_name
    from mirclr.library import LibraryStore
    from mirclr.recommend.history import aggregate, merge, read_histories
    from mirclr.recommend.taste import listens_of, match_listens

    check_name(name)
    with LibraryStore.open(library_path) as library:
        held = listens_of(library, name) if must_exist or (name in library.profiles() and not replace) else []
        with progress("Reading what was played", len(set(files))) as advance:
            histories, problems = read_histories(files, advance=advance)
        listens = aggregate(listen for history in histories.values() for listen in history.listens)
        listens = merge(held, listens)
        library.store_listens(name, listens, replace=True)
        matched = match_listens(library, listens)
    tracks = len(set(matched.ids.tolist()))
    for problem in problems:
        remark(f"left out: {problem}")
    if as_json:
        print_json(
            {
                "name": name,
                "pieces": len(listens),
                "new": len(listens) - len(held),
                "matched": len(matched.ids),
                "tracks": tracks,
                "files": [
                    {"file": str(file), "kind": history.kind, "pieces": len(history.listens)}
                    for file, history in histories.items()
                ],
                "problems": problems,
            }
        )
        return
    for file, history in histories.items():
        closing(f"{file}: {history.kind}, {counted(len(history.listens), 'song')}")
    new = f", {len(listens) - len(held):,} of them new" if held else ""
    closing(f"{name}: {counted(len(listens), 'song')}{new}; {_held(len(matched.ids), len(listens))}")
    if matched.missing:
        others = options.command_line("profile", "show", name, "--missing", library_path=library_path)
        remark(f"What is not in your library: {others}")
    if tracks:
        remark(f"Try: {options.command_line('recommend', '--for', name, library_path=library_path)}")


def _held(matched: int, of: int) -> str:
    """How many songs of a history a library has."""
    if not matched:
        return "none of them is in your library"
    return "all of them are in your library" if matched == of else f"{matched:,} of them are in your library"


def _some(labels: Sequence[str]) -> str:
    more = f"; and {len(labels) - _SOME} more" if len(labels) > _SOME else ""
    return "; ".join(labels[:_SOME]) + more
