"""``mirclr playlist``: saved queries, run again on the library as it is now."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.show import print_json, print_table, remark

if TYPE_CHECKING:
    pass


@click.group(epilog="Example: mirclr playlist refresh evening -o evening.m3u8")
def command() -> None:
    """Run saved queries again; list and delete them."""


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
    """Run a saved query on the library as it is now, and write its playlist again."""
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
    """List the saved queries."""
    from mirclr.library import LibraryStore
    from mirclr.recommend.saved import saved_queries

    with LibraryStore.open(library_path) as library:
        saved = saved_queries(library)
    if as_json:
        print_json(saved)
    else:
        rows = [(name, _in_words(kept["query"]), kept.get("output")) for name, kept in saved.items()]
        print_table(("name", "query", "file"), rows)


@command.command(epilog="Example: mirclr playlist show evening")
@click.argument("name")
@options.library
@options.as_json
def show(name: str, library_path: Path, as_json: bool) -> None:
    """Show what a saved query asks."""
    from mirclr.library import LibraryStore
    from mirclr.recommend.saved import saved_query

    with LibraryStore.open(library_path) as library:
        saved = saved_query(library, name)
    if as_json:
        print_json(saved)
    else:
        rows = [(name, _value_in_words(value)) for name, value in saved["query"].items()]
        print_table(("", "value"), [*rows, ("file", saved.get("output"))])


@command.command(epilog="Example: mirclr playlist delete evening")
@click.argument("name")
@options.library
def delete(name: str, library_path: Path) -> None:
    """Delete a saved query; the playlist file stays."""
    from mirclr.library import LibraryStore
    from mirclr.recommend.saved import saved_query

    with LibraryStore.open(library_path) as library:
        if not library.delete_playlist(name):
            saved_query(library, name)  # raises, and names those that there are
    remark(f"deleted {name!r}")


def _in_words(query: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {_value_in_words(value)}" for name, value in query.items())


def _value_in_words(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    if all(isinstance(end, int | float | None) for end in value):  # a range, perhaps open
        return "..".join("" if end is None else f"{end:g}" for end in value)
    return ", ".join(map(str, value))
