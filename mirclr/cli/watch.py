"""``mirclr watch``: a library kept up to date while its folders change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirclr.cli import options
from mirclr.cli.embed import checkpoint_of, embed_showing, given_roots
from mirclr.cli.show import print_json, print_line, remark
from mirclr.cli.sync import line, row
from mirclr.terminal import counted

if TYPE_CHECKING:
    from mirclr.data.scan import Found
    from mirclr.ingest.embedding import Outcome
    from mirclr.library import LibraryStore
    from mirclr.models.embedder import Embedder

_MANY = 50


@click.command(epilog="Example: mirclr watch ~/Music --settle 10")
@click.argument("folders", metavar="[FOLDER…]", nargs=-1, type=options.HomePath(path_type=Path, file_okay=False))
@options.library
@options.exclude
@click.option(
    "--settle",
    type=options.Number(min=0.1),
    default=5.0,
    show_default=True,
    help="Seconds that a file must have been quiet.",
)
@click.option(
    "--poll",
    type=options.Number(min=0.1),
    help="Look every so many seconds, and wait for no events: network drives send none.",
)
@options.checkpoint("The library's encoder, where its file has moved.")
@options.workers
@options.device
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each change.")
def command(
    folders: tuple[Path, ...],
    library_path: Path,
    globs: tuple[str, ...],
    settle: float,
    poll: float | None,
    checkpoint: Path | None,
    workers: int,
    device: str,
    as_json: bool,
) -> int:
    """Keep your library up to date while your folders change.

    First does what `mirclr sync` does, and then the same for each file that comes, changes, moves or goes, with one
    line for each. Ctrl-C ends it. Without a FOLDER, all folders that the library has songs of are watched.
    """
    from mirclr.errors import PatternError
    from mirclr.ingest.exclusions import keep_exclusions
    from mirclr.ingest.sync import sync_scope
    from mirclr.ingest.watch import FolderEvents, follow
    from mirclr.library import LibraryStore
    from mirclr.models.embedder import Embedder

    try:
        with LibraryStore.open(library_path) as library:
            scope = sync_scope(library, folders)
            with options.wrong_usage(PatternError):
                keep_exclusions(library, globs, given_roots(folders or list(scope), scope))
            with FolderEvents(scope, poll=poll, remark=remark) as events:
                stamp = library.stamp
                encoder = checkpoint or checkpoint_of(library_path)
                embedder = Embedder.load(encoder, excerpts=stamp.excerpts if stamp else None, device=device)
                remark(f"watching {', '.join(str(folder) for folder in scope)}; Ctrl-C ends it")
                for change in follow(library, scope, embedder, events, settle=settle, workers=workers, embed=_embed):
                    if as_json:
                        print_json(row(change), indent=None)
                    else:
                        (remark if change.did == "waiting" else print_line)(line(change))
    except KeyboardInterrupt:
        with LibraryStore.open(library_path) as library:
            remark(f"ended; what was done is kept: {counted(len(library.ids()), 'song')} ready")
    return 0


def _embed(
    library: LibraryStore,
    files: Sequence[tuple[str, Found]],
    embedder: Embedder,
    *,
    workers: int = 0,
    retry: bool = False,
) -> Iterator[Outcome]:
    """`mirclr.ingest.embedding.embed_files`, with a progress display where it takes long."""
    from mirclr.ingest.embedding import embed_files

    if len(files) < _MANY:
        yield from embed_files(library, files, embedder, workers=workers, retry=retry)
    else:  # nothing may be printed beside the display
        yield from list(embed_showing(library, files, embedder, workers=workers, retry=retry))
