"""Vectors of a library's tracks from Parquet shards, a part of a shard at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mirclr.errors import LibraryError, MissingExtra
from mirclr.library import LibraryStore
from mirclr.models.stamp import unit_rows

_ROWS = 16_384  # that are read at once
_COMPARED = 4  # rows of each part that are held against the library's own
_APART = 2e-3  # by which their components may differ, as those of float16 do


def rows_of_shards(shards: Path, library: LibraryStore) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read the vectors of a library's tracks from shards, each track once; others are passed over.

    Parameters
    ----------
    shards : Path
        A Parquet file, or a folder of such files, in which each row has a track's ``id`` and its ``vector``, a list of
        as many numbers as the library's vectors have, or as many of these as are compared. An id is a number, that of
        the track in the library, or a text, as ``mirclr export`` writes it.
    library : LibraryStore
        Whose tracks.

    Yields
    ------
    ids : (n,) int64
    matrix : (n, d) float32, unit rows

    Raises
    ------
    LibraryError
        There are no shards, a column is missing, or the vectors are not those of the library.
    MissingExtra
        pyarrow is not installed.
    """
    names: dict[str, int] = {}
    here, seen = np.zeros(library.id_end(), bool), np.zeros(library.id_end(), bool)
    here[library.ids()] = True
    for file, given, matrix in read_shards(shards):
        if given.dtype == object and not names:
            names = {name: i for i, name in library.export_ids().items()}
        ids = given if given.dtype == np.int64 else np.array([names.get(i, -1) for i in given.tolist()], np.int64)
        left = (ids >= 0) & (ids < len(here))
        left[left] = here[ids[left]] & ~seen[ids[left]]
        left &= np.isin(np.arange(len(ids)), np.unique(ids, return_index=True)[1])
        seen[ids[left]] = True
        if left.any():
            yield ids[left], _compared(matrix[left], ids[left], library, file)


def read_shards(shards: Path) -> Iterator[tuple[Path, np.ndarray, np.ndarray]]:
    """Read ids and vectors from Parquet shards, a part of a shard at a time; rows that lack either are passed over.

    Parameters
    ----------
    shards : Path
        A Parquet file, or a folder of such files, also further down.

    Yields
    ------
    file : Path
    ids : (n,) int64, or of texts
    matrix : (n, d) float32

    Raises
    ------
    LibraryError
        There are no shards, or one has no such columns.
    MissingExtra
        pyarrow is not installed.
    """
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise MissingExtra.of("Parquet", "parquet") from None
    files = [shards] if shards.is_file() else sorted(shards.glob("**/*.parquet"))
    if not files:
        raise LibraryError(f"{shards}: holds no Parquet files; expected shards with the columns id and vector")
    for file in files:
        try:
            with parquet.ParquetFile(file) as opened:
                for batch in opened.iter_batches(_ROWS, columns=["id", "vector"]):
                    yield file, *_columns(batch)
        except (arrow.ArrowException, KeyError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise LibraryError(f"{file}: no shard with the columns id and vector: {reason}") from None


def _columns(batch: Any) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow as arrow
    import pyarrow.compute as compute

    batch = batch.filter(compute.and_(batch.column("id").is_valid(), batch.column("vector").is_valid()))
    ids, vectors = batch.column("id"), batch.column("vector")
    kind = np.int64 if arrow.types.is_integer(ids.type) else object
    flat = vectors.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(ids.to_numpy(zero_copy_only=False), kind), np.asarray(flat, np.float32).reshape(len(ids), -1)


def _compared(matrix: np.ndarray, ids: np.ndarray, library: LibraryStore, file: Path) -> np.ndarray:
    """What of vectors is compared, as the library does; they must be those that it holds."""
    stamp = library.stamp
    assert stamp is not None
    found = unit_rows(matrix[:, : stamp.mean_dim])
    some = np.sort(ids[:_COMPARED])
    held, own = library.compared(some.tolist())
    of = {int(i): row for i, row in zip(ids, found, strict=True)}
    same = found.shape[1] == own.shape[1] and all(
        np.allclose(of[int(i)], row, atol=_APART) for i, row in zip(held, own, strict=True)
    )
    if not same:
        raise LibraryError(f"{file}: holds other vectors than {library.path}; expected shards that it was made of")
    return found
