"""``mirclr export``: a library's vectors and tracks as files for other programs."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from mirclr.cli import options
from mirclr.cli.show import remark
from mirclr.terminal import counted

if TYPE_CHECKING:
    from mirclr.library import LibraryStore

_LIKELY = 0.5
_AFFECT = ("valence", "arousal")
_NUMBERS = ("duration_s", "tempo_bpm", "loudness_lufs", *(f"predicted_{name}" for name in _AFFECT))


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

    if not (vectors or csv or parquet):
        raise click.UsageError("say what to write: --vectors, --csv or --parquet")
    with LibraryStore.open(library_path) as library, library.snapshot():
        ids, matrix = library.vectors()
        if not len(ids):
            raise NoMatch(f"{library_path}: holds no tracks yet; embed some with: mirclr embed FOLDER")
        names = library.export_ids()
        rows = _rows(library, names) if csv or parquet else []
    if vectors:
        _write_npz(vectors, [names[i] for i in ids.tolist()], matrix)
    if csv:
        _write_csv(csv, rows)
    if parquet:
        _write_parquet(parquet, rows, matrix)
    for path in filter(None, (vectors, csv, parquet)):
        remark(f"wrote {path} ({counted(len(ids), 'track')})")


def _rows(library: "LibraryStore", names: Mapping[int, str]) -> list[dict[str, Any]]:
    """A row a track, in order of id, as the vectors are. For each task its likely labels, likeliest first.

    Valence and arousal are numbers of their own.
    """
    from mirclr.library import shown

    tasks = {task: library.probabilities(task) for task in library.tasks()}
    described = library.descriptions()
    rows = []
    for t in library.tracks():
        row = {
            "id": shown(names[t.id]),
            "artist": t.artist,
            "title": t.title,
            "album": t.album,
            "album_artist": t.album_artist,
            "genre": t.genre,
            "year": t.year,
            "duration_s": round(t.duration_s, 3),
        }
        for task, probabilities in tasks.items():
            if task == "affect":
                numbers = probabilities.get(t.id, {})
                row |= {f"predicted_{name}": numbers.get(name) for name in _AFFECT}
                continue
            likely = _likely(probabilities.get(t.id, {}))
            row[f"predicted_{task}"] = "; ".join(likely)
            row[f"predicted_{task}_probability"] = "; ".join(f"{p:.3f}" for p in likely.values())
        if described:
            found = described.get(t.id)
            row |= {name: getattr(found, name, None) for name in ("tempo_bpm", "key", "loudness_lufs")}
        rows.append(row)
    return rows


def _likely(probabilities: Mapping[str, float]) -> dict[str, float]:
    """The labels that are likely, the likeliest at least, in descending order."""
    least = min(_LIKELY, max(probabilities.values(), default=1.0))
    ordered = sorted(probabilities.items(), key=lambda item: (-item[1], item[0]))
    return {label: p for label, p in ordered if p >= least}


def _write_npz(path: Path, names: list[str], matrix: np.ndarray) -> None:
    from mirclr.provenance import writing

    with writing(path) as f:
        np.savez(f, ids=np.array(names, dtype=np.str_), vectors=matrix)


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    from mirclr.provenance import writing

    with writing(path, "w") as f:
        table = csv.DictWriter(f, rows[0])  # ends lines with CR LF (RFC 4180), so a CR or LF in a tag is quoted
        table.writeheader()
        table.writerows(rows)


def _write_parquet(path: Path, rows: list[dict[str, Any]], matrix: np.ndarray) -> None:
    from mirclr.errors import MissingExtra
    from mirclr.provenance import writing

    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra.of("Parquet", "parquet") from None
    schema = [
        (name, pyarrow.int64() if name == "year" else pyarrow.float64() if name in _NUMBERS else pyarrow.string())
        for name in rows[0]
    ]
    table = pyarrow.Table.from_pylist(rows, schema=pyarrow.schema(schema))
    flat = pyarrow.array(matrix.ravel())
    table = table.append_column("vector", pyarrow.FixedSizeListArray.from_arrays(flat, matrix.shape[1]))
    with writing(path) as f:
        pyarrow.parquet.write_table(table, f)
