"""``mirclr export``: a library as files for other programs."""

from pathlib import Path

import click

from mirclr.cli import options
from mirclr.cli.show import remark
from mirclr.terminal import counted


@click.command(epilog="Example: mirclr export --csv songs.csv --vectors vectors.npz")
@options.library
@options.path_option(
    "--vectors", help="The vectors: a .npz file of numpy arrays `ids` and `vectors` (float32, unit rows)."
)
@options.path_option("--csv", help="The songs as a table: a .csv file, a song a row.")
@options.path_option("--parquet", help="The table and the vectors in one: a .parquet file.")
def command(library_path: Path, vectors: Path | None, csv: Path | None, parquet: Path | None) -> None:
    """Write your library to files for other programs.

    A table of the songs with their tags, tempo, key, genres and moods (--csv, --parquet), and the vectors that songs
    are compared by (--vectors). A song's id is its path below the folder that was embedded. Several files may be asked
    for at once; a file of that name is replaced.
    """
    from mirclr.errors import NoMatch
    from mirclr.library import LibraryStore
    from mirclr.library.export import track_rows, write_csv, write_npz, write_parquet

    if not (vectors or csv or parquet):
        raise click.UsageError("name a file to write, such as --csv songs.csv (or --vectors, --parquet)")
    for option, path in (("--vectors", vectors), ("--csv", csv), ("--parquet", parquet)):
        if path:
            options.check_apart(path, library_path, option)
    with LibraryStore.open(library_path) as library, library.snapshot():
        ids, matrix = library.vectors()
        if not len(ids):
            embed = options.command_line("embed", "FOLDER", library_path=library_path)
            raise NoMatch(f"{library_path}: holds no songs yet; add some with: {embed}")
        names = library.export_ids()
        rows = track_rows(library) if csv or parquet else []
    if vectors:
        write_npz(vectors, [names[i] for i in ids.tolist()], matrix)
    if csv:
        write_csv(csv, rows)
    if parquet:
        write_parquet(parquet, rows, matrix)
    for path in filter(None, (vectors, csv, parquet)):
        remark(f"wrote {path} ({counted(len(ids), 'song')})")
