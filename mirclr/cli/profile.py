"""``mirclr profile``: what listeners played and like, kept in a library by name."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.show import print_json, print_line, print_table, progress, remark

if TYPE_CHECKING:
    from mirclr.library import Listen

_SOME = 5
_FILES = click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE…",
    type=options.HomePath(path_type=Path, exists=True, dir_okay=False),
)


@click.group(epilog="Example: mirclr profile import anna listenbrainz_anna.zip likes.txt")
def command() -> None:
    """Keep what a listener played and likes, for recommend --for."""


@command.command("import", epilog="Example: mirclr profile import anna listenbrainz_anna.zip likes.txt")
@click.argument("name")
@_FILES
@options.library
@options.as_json
def import_(name: str, files: tuple[Path, ...], library_path: Path, as_json: bool) -> None:
    """Make a profile of a listener from listening histories; one of that name is replaced.

    A FILE is an export of ListenBrainz or Spotify (.zip as delivered, .json), of Last.fm (.csv, .tsv, .json), Maloja,
    Pano Scrobbler, Rockbox, Exportify, iTunes or YouTube Music; a playlist, whose tracks are liked; or a text of lines
    '+ Artist - Title' (liked) and '- Artist - Title' (disliked), or with paths of files. The plays in several files are
    added.
    """
    _keep(name, files, library_path, as_json, update=False)


@command.command(epilog="Example: mirclr profile update anna listenbrainz_anna.zip")
@click.argument("name")
@_FILES
@options.library
@options.as_json
def update(name: str, files: tuple[Path, ...], library_path: Path, as_json: bool) -> None:
    """Bring a profile up to date with newer exports or with more likes.

    Exports hold the earlier plays too, so no play is counted twice: of a piece that the profile has already, the larger
    number of plays and the later time are kept. The FILEs are those of `mirclr profile import`.
    """
    _keep(name, files, library_path, as_json, update=True)


@command.command(epilog="Example: mirclr profile show anna --missing")
@click.argument("name")
@options.library
@click.option("--missing", is_flag=True, help="List what of it the library does not hold instead.")
@options.as_json
def show(name: str, library_path: Path, missing: bool, as_json: bool) -> None:
    """Show what a profile holds, and the taste that follows from it.

    Taste is a few centres among the tracks that were played; of each, the tracks nearest to it are named.
    """
    from mirclr.library import LibraryStore
    from mirclr.recommend.taste import listens_of, match_listens, nearest_tracks, taste_of

    with LibraryStore.open(library_path) as library, library.snapshot():
        listens = listens_of(library, name)
        matched = match_listens(library, listens)
        if missing:
            found = set(matched.rows.tolist())
            _show_missing([listen for row, listen in enumerate(listens) if row not in found], as_json)
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
    if matched.missing:
        remark(f"{matched.missing} are not in the library; list them with: mirclr profile show {name} --missing")
    rows = [(what, facts[what]) for what in ("name", "pieces", "plays", "matched")]
    rows += [(what, _some(facts[what])) for what in ("disliked", "recent") if facts[what]]
    print_table(("", "value"), rows)
    centres = [(centre["weight"], "; ".join(centre["nearest"])) for centre in facts["centres"]]
    print_table(("weight", "nearest of the tracks that were played"), centres, title="centres of taste")


@command.command("list", epilog="Example: mirclr profile list --json")
@options.library
@options.as_json
def list_(library_path: Path, as_json: bool) -> None:
    """List the profiles of a library, each with its number of pieces of music."""
    from mirclr.library import LibraryStore

    with LibraryStore.open(library_path) as library:
        held = library.profiles()
    if as_json:
        print_json(held)
        return
    for name, n in held.items():
        print_line(name, str(n))
    if not held:
        remark(f"{library_path} holds no profile; make one with: mirclr profile import NAME FILE")


@command.command(epilog="Example: mirclr profile delete anna")
@click.argument("name")
@options.library
@options.as_json
def delete(name: str, library_path: Path, as_json: bool) -> None:
    """Delete a profile; tracks and files stay."""
    from mirclr.library import LibraryStore
    from mirclr.recommend.taste import listens_of

    with LibraryStore.open(library_path) as library:
        n = len(listens_of(library, name))
        library.delete_profile(name)
    if as_json:
        print_json({"name": name, "pieces": n})
    else:
        print_line(f"deleted {name} ({n} pieces)")


def _show_missing(listens: "Sequence[Listen]", as_json: bool) -> None:
    """Print the pieces that no track is, the most played first."""
    fields = ("plays", "artist", "title", "album", "file", "taste")
    ordered = sorted(listens, key=lambda x: (-x.plays, x.artist, x.title, x.file))
    rows: list[dict[str, Any]] = [{name: getattr(listen, name) for name in fields} for listen in ordered]
    if as_json:
        print_json(rows)
        return
    cells = [[row[name] for name in fields[:5]] for row in rows]
    print_table(fields[:5], cells, title=f"{len(rows)} pieces that the library does not hold")


def _keep(name: str, files: Sequence[Path], library_path: Path, as_json: bool, *, update: bool) -> None:
    """Read histories and keep them in a profile, instead of what it holds or with it; print what came of it."""
    from mirclr.cli.recommend import check_name
    from mirclr.library import LibraryStore
    from mirclr.recommend.history import aggregate, merge, read_histories
    from mirclr.recommend.taste import listens_of, match_listens

    check_name(name)
    with LibraryStore.open(library_path) as library:
        held = listens_of(library, name) if update else []
        with progress("Reading", len(set(files))) as advance:
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
        print_line(f"{file}: {history.kind}, {len(history.listens)} pieces of music")
    print_line(
        f"{name}: {len(listens)} pieces of music; {len(matched.ids)} of them are in {library_path} ({tracks} tracks)"
    )


def _some(labels: Sequence[str]) -> str:
    more = f"; and {len(labels) - _SOME} more" if len(labels) > _SOME else ""
    return "; ".join(labels[:_SOME]) + more
