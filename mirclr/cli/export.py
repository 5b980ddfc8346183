"""``mirclr export``: a library's vectors and tracks as files for other programs."""

from pathlib import Path

import click

from mirclr.cli import options
from mirclr.cli.show import remark
from mirclr.terminal import counted


@click.command(epilog="Example: mirclr export --library lib.db --vectors vectors.npz --csv tracks.csv")
@options.library
@options.path_option("--vectors", help="Write numpy arrays `ids` and `vectors` (float32, unit rows): .npz")
@options.path_option("--csv", help="Write tags and stored probabilities, a track a row: .csv")
@options.path_option("--parquet", help="Write the columns of --csv and the vectors: .parquet")
def command(library_path: Path, vectors: Path | None, csv: Path | None, parquet: Path | None) -> None:
    """Write a library's vectors and tracks to a file.

    An id is the track's path relative to the embedded folder. Several files may be asked for at once.
    """
    from mirclr.errors import NoMatch
    from mirclr.library import LibraryStore
    from mirclr.library.export import track_rows, write_csv, write_npz, write_parquet

    if not (vectors or csv or parquet):
        raise click.UsageError("name what to write: --vectors, --csv or --parquet")
    with LibraryStore.open(library_path) as library, library.snapshot():
        ids, matrix = library.vectors()
        if not len(ids):
            raise NoMatch(f"{library_path}: holds no tracks yet; embed some with: mirclr embed FOLDER")
        names = library.export_ids()
        rows = track_rows(library) if csv or parquet else []
    if vectors:
        write_npz(vectors, [names[i] for i in ids.tolist()], matrix)
    if csv:
        write_csv(csv, rows)
    if parquet:
        write_parquet(parquet, rows, matrix)
    for path in filter(None, (vectors, csv, parquet)):
        remark(f"wrote {path} ({counted(len(ids), 'track')})")
