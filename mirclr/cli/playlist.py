"""``mirclr playlist``: saved playlists, made again from the library as it is now."""

from pathlib import Path

import click

from mirclr.cli import options
from mirclr.cli.show import print_json, print_table, remark


@click.group(epilog="Example: mirclr playlist refresh evening -o evening.m3u8")
def command() -> None:
    """Make saved playlists again; list and delete them."""


@command.command(epilog="Example: mirclr playlist refresh evening")
@click.argument("name")
@options.library
@click.option("--explain", is_flag=True, help="Give details of each track, as recommend does.")
@options.as_json
@options.path_option("-o", "--output", help="The file to write; by default that of the last time, if there was one.")
@options.checkpoint("The library's encoder, where its file has moved: embeds seeds that are files.")
def refresh(
    name: str, library_path: Path, explain: bool, as_json: bool, output: Path | None, checkpoint: Path | None
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
    return 0 if answer.recommendations else 1


@command.command("list", epilog="Example: mirclr playlist list --json")
@options.library
@options.as_json
def list_(library_path: Path, as_json: bool) -> None:
    """List the saved playlists, and what each asks for."""
    from mirclr.library import LibraryStore
    from mirclr.recommend import Query
    from mirclr.recommend.saved import saved_queries
    from mirclr.recommend.words import wish_in_words

    with LibraryStore.open(library_path) as library:
        saved = saved_queries(library)
    if as_json:
        print_json(saved)
    else:
        rows = [
            (name, wish_in_words(Query.from_json(kept["query"])), kept.get("output")) for name, kept in saved.items()
        ]
        print_table(("name", "songs", "file"), rows)


@command.command(epilog="Example: mirclr playlist show evening")
@click.argument("name")
@options.library
@options.as_json
def show(name: str, library_path: Path, as_json: bool) -> None:
    """Show what a saved playlist asks for."""
    from mirclr.library import LibraryStore
    from mirclr.recommend import Query
    from mirclr.recommend.saved import saved_query
    from mirclr.recommend.words import settings_in_words, wish_in_words

    with LibraryStore.open(library_path) as library:
        saved = saved_query(library, name)
    if as_json:
        print_json(saved)
    else:
        query = Query.from_json(saved["query"])
        rows = [("songs", wish_in_words(query)), *settings_in_words(query).items()]
        print_table(("", ""), [*rows, ("file", saved.get("output"))])


@command.command(epilog="Example: mirclr playlist delete evening")
@click.argument("name")
@options.library
def delete(name: str, library_path: Path) -> None:
    """Delete a saved playlist; its file stays."""
    from mirclr.library import LibraryStore
    from mirclr.recommend.saved import saved_query

    with LibraryStore.open(library_path) as library:
        if not library.delete_playlist(name):
            saved_query(library, name)  # raises, and names those that there are
    remark(f"deleted {name!r}")
