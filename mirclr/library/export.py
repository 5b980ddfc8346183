"""A library's vectors and tracks as files for other programs: numpy arrays, CSV, Parquet."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mirclr.errors import MissingExtra
from mirclr.library.store import LibraryStore
from mirclr.provenance import writing
from mirclr.terminal import shown

_LIKELY = 0.5
_AFFECT = ("valence", "arousal")
_NUMBERS = ("duration_s", "tempo_bpm", "loudness_lufs", *(f"predicted_{name}" for name in _AFFECT))


def track_rows(library: LibraryStore) -> list[dict[str, Any]]:
    """A row a track, in order of its number, as `LibraryStore.vectors` gives them.

    ``id`` is as of `LibraryStore.export_ids`; beside the tags stand what `mirclr describe` found, and for each task the
    likely labels, the likeliest first, with their probabilities. Valence and arousal are numbers of their own.
    """
    names = library.export_ids()
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
            likely = _likely(probabilities.get(t.id, {}), one_at_least=task in ("genre", "mood"))
            row[f"predicted_{task}"] = "; ".join(likely)
            row[f"predicted_{task}_probability"] = "; ".join(f"{p:.3f}" for p in likely.values())
        if described:
            found = described.get(t.id)
            row |= {name: getattr(found, name, None) for name in ("tempo_bpm", "key", "loudness_lufs")}
        rows.append(row)
    return rows


def _likely(probabilities: Mapping[str, float], *, one_at_least: bool) -> dict[str, float]:
    """The labels that are likely, in descending order."""
    least = min(_LIKELY, max(probabilities.values(), default=1.0)) if one_at_least else _LIKELY
    ordered = sorted(probabilities.items(), key=lambda item: (-item[1], item[0]))
    return {label: p for label, p in ordered if p >= least}


def write_npz(path: Path, ids: Sequence[str], vectors: np.ndarray) -> None:
    """Write the arrays ``ids`` (n,) and ``vectors`` (n, d)."""
    with writing(path) as f:
        np.savez(f, ids=np.array(ids, dtype=np.str_), vectors=vectors)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of `track_rows` under a header."""
    with writing(path, "w") as f:
        table = csv.DictWriter(f, rows[0])  # ends lines with CR LF (RFC 4180), so a CR or LF in a tag is quoted
        table.writeheader()
        table.writerows(rows)


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]], vectors: np.ndarray) -> None:
    """Write rows of `track_rows` with their vectors, (n, d), in a column ``vector``.

    Raises
    ------
    MissingExtra
        pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra.of("Parquet", "parquet") from None
    schema = [
        (name, pyarrow.int64() if name == "year" else pyarrow.float64() if name in _NUMBERS else pyarrow.string())
        for name in rows[0]
    ]
    table = pyarrow.Table.from_pylist(list(rows), schema=pyarrow.schema(schema))
    flat = pyarrow.array(vectors.ravel())
    table = table.append_column("vector", pyarrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1]))
    with writing(path) as f:
        pyarrow.parquet.write_table(table, f)
