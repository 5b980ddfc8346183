"""``mirclr index``: the vectors of a library in a database, made, brought up to date, looked at and removed."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirclr.cli import options
from mirclr.cli.show import ProgressOf, print_facts, print_json, remark
from mirclr.cli.show import closing as last_line
from mirclr.terminal import counted

if TYPE_CHECKING:
    from mirclr.index import Engine, IndexStatus, Pushed
    from mirclr.library import LibraryStore

_where = options.index(
    "faiss",
    "Where it is: faiss (the file beside the library), ivfpq:FOLDER, milvus://HOST/NAME, milvus:FILE.db or "
    "postgresql://….",
)


@click.group(epilog="Example: mirclr index push --index milvus://localhost:19530/songs")
def command() -> None:
    """Keep your library's vectors in a database, and up to date there.

    For libraries that memory or one machine does not hold well: neighbours are then found in a folder of compressed
    vectors (ivfpq), or by Milvus or PostgreSQL (pgvector), and all else stays as it is. Several libraries may share a
    collection, if they are of one encoder; each finds its own songs. An index is made of the library and never the only
    copy of anything.
    """


@command.command(epilog="Example: mirclr index build --index postgresql://localhost/music")
@options.library
@_where
@click.option(
    "--from",
    "shards",
    type=options.HomePath(path_type=Path, exists=True),
    help="Read them from a folder of Parquet files (columns id, vector), or one.",
)
@options.as_json
def build(library_path: Path, index: str, shards: Path | None, as_json: bool) -> None:
    """Write all vectors of your library to an index, anew.

    A large index is worked on for a while after the last song is written. With --from, vectors are read from Parquet
    files that the library was made of, or that `mirclr export` wrote; what they lack is read from the library.
    """
    with _opened(library_path, index) as (library, engine), ExitStack() as stack:
        done = engine.build(library, ProgressOf("Writing songs", stack), shards)
    _print_done(engine, done, as_json)


@command.command(epilog="Example: mirclr index push --index milvus://localhost:19530/songs")
@options.library
@_where
@options.as_json
def push(library_path: Path, index: str, as_json: bool) -> None:
    """Bring an index up to date with your library.

    What was added, embedded again or removed since is written; the first time, all is. What is interrupted is done by
    the next push, and no answer is wrong meanwhile: what an index lacks is compared by who asks.
    """
    with _opened(library_path, index) as (library, engine), ExitStack() as stack:
        done = engine.push(library, ProgressOf("Writing songs", stack))
    _print_done(engine, done, as_json)


@command.command(epilog="Example: mirclr index status --index milvus://localhost:19530/songs --json")
@options.library
@_where
@options.as_json
def status(library_path: Path, index: str, as_json: bool) -> None:
    """Show what an index holds of your library, and what it is behind."""
    with _opened(library_path, index) as (library, engine):
        found = engine.status(library)
    if as_json:
        print_json({**vars(found), "behind": found.behind})
        return
    print_facts(_facts(found))
    if found.behind or not found.usable:
        at = [] if index == "faiss" else ["--index", engine.address.typed]
        push = options.command_line("index", "push", *at, library_path=library_path)
        remark(f"bring it up to date: {push}")


@command.command(epilog="Example: mirclr index drop --index milvus://localhost:19530/songs")
@options.library
@_where
@options.as_json
def drop(library_path: Path, index: str, as_json: bool) -> None:
    """Remove from an index what it holds of your library; the library stays."""
    with _opened(library_path, index) as (library, engine):
        there = engine.drop(library)
    if as_json:
        print_json({"index": engine.address.shown, "dropped": there})
    else:
        last_line(f"{engine.address.shown}: {'removed' if there else 'held nothing of this library'}")


@contextmanager
def _opened(library_path: Path, index: str) -> "Iterator[tuple[LibraryStore, Engine]]":
    """A library and an index, by its address."""
    from mirclr.index import open_engine
    from mirclr.library import LibraryStore

    with LibraryStore.open(library_path) as library, closing(open_engine(index)) as engine:
        yield library, engine


def _print_done(engine: "Engine", done: "Pushed", as_json: bool) -> None:
    if as_json:
        print_json({"index": engine.address.shown, **vars(done)})
    elif done.written or done.removed:
        removed = f", {done.removed:,} removed" if done.removed else ""
        last_line(f"{engine.address.shown}: {counted(done.written, 'song')} written{removed}")
    else:
        last_line(f"{engine.address.shown}: is up to date")


def _facts(found: "IndexStatus") -> list[tuple[str, object]]:
    """How an index stands to its library, for people."""
    facts: list[tuple[str, object]] = [("index", found.index), ("songs in the library", found.tracks)]
    facts.append(("songs in the index", found.held))
    for name, many in (("to add", found.to_add), ("to renew", found.to_renew), ("to remove", found.to_remove)):
        if many:
            facts.append((name, many))
    if not found.behind and found.usable:
        facts.append(("behind", "nothing"))
    if found.held and not found.usable:
        facts.append(("usable", "no: of another encoder or state of the library, or not finished"))
    if found.others:
        facts.append(("other libraries in it", found.others))
    return facts
