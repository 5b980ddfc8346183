"""`Index`: a base and what has changed since it was made; `open_index` gives that of a library."""

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np

from mirclr.errors import LibraryError, NoMatch
from mirclr.index.base import Base, build, similarity_stats
from mirclr.index.file import load, save
from mirclr.library import LibraryStore
from mirclr.library.excerpts import restoring_gain
from mirclr.settings import command_line

_SMALL = 10_000  # a base of as many tracks is made again at every change: a quarter of a second
_SAMPLE = 1000  # tracks by which it is known how embeddings vary
_STALE = 0.1  # fraction of changed tracks at which a larger one is made again


class Index:
    """Finds the tracks of a library that are nearest to given vectors, by what of theirs is compared.

    Parameters
    ----------
    base : Base
        Of some generation of the library.
    hidden : (len(base),) bool
        Rows of the base whose tracks are gone or have another vector now.
    ids : (m,) int64, ascending
        The tracks that the base does not hold as they are.
    matrix : (m, d) float32, unit rows
        Their vectors.
    origin : dict, optional
        Of which library and generation the base is.
    """

    def __init__(
        self,
        base: Base,
        hidden: np.ndarray,
        ids: np.ndarray,
        matrix: np.ndarray,
        origin: dict[str, object] | None = None,
    ) -> None:
        self._base, self._shown = base, ~hidden if hidden.any() else None
        self._origin = origin or {}
        self._ids, self._matrix = ids, matrix
        self._stats = similarity_stats(matrix, base.references) if len(ids) else np.zeros((0, 2), np.float32)
        self._order, self._sorted = base.by_id

    def __len__(self) -> int:
        shown = len(self._base) if self._shown is None else int(self._shown.sum())
        return shown + len(self._ids)

    @property
    def dim(self) -> int:
        """Components of a vector."""
        return int(self._base.matrix.shape[1])

    @property
    def is_exact(self) -> bool:
        """Whether every query is compared with every track."""
        return not len(self._base.centroids)

    @property
    def behind(self) -> int:
        """How many tracks changed since what it stands on was made; each query compares them by themselves."""
        return len(self._ids)

    @cached_property
    def mean_similarity(self) -> float:
        """Mean cosine of two tracks."""
        return float(self._base.similarity_stats[:, 0].mean())

    @cached_property
    def restoring_gain(self) -> np.ndarray:
        """(d, COMPONENTS) float32: how embeddings vary in the library, by some of its tracks; see `restoring_gain`."""
        ids = self.ids
        return restoring_gain(self.vectors(ids[np.linspace(0, len(ids) - 1, min(_SAMPLE, len(ids))).astype(np.int64)]))

    @cached_property
    def ids(self) -> np.ndarray:
        """(n,) int64, ascending: the tracks that it holds."""
        held = self._base.ids if self._shown is None else self._base.ids[self._shown]
        return np.sort(np.concatenate([held, self._ids]))

    def holds(self, ids: np.ndarray) -> np.ndarray:
        """(m,) int64 -> (m,) bool: which are of tracks that it holds."""
        ids, at = np.asarray(ids, np.int64), np.searchsorted(self.ids, ids)
        found = at < len(self.ids)
        found[found] = self.ids[at[found]] == ids[found]
        return found

    def search(
        self, queries: np.ndarray, k: int, *, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the k nearest tracks of each query.

        Parameters
        ----------
        queries : np.ndarray
            (q, d) float32, unit rows.
        k : int
            At least 1. Fewer come back when fewer are held or allowed.
        allowed : np.ndarray, optional
            (m,) bool by track id: which may be found; ids of m and above may not. All may unless given.

        Returns
        -------
        similarities : (q, k') float32
            Cosine, in descending order.
        ids : (q, k') int64
            Track ids; of equal ones that are found the lowest first.

        Raises
        ------
        LibraryError
            The queries have another number of components.
        """
        queries = checked_queries(queries, self.dim)
        rows_allowed, k = self._shown, min(k, len(self))
        if allowed is not None:
            chosen = passing(allowed, self._base.ids)
            rows_allowed = chosen if rows_allowed is None else chosen & rows_allowed
        similarities, rows = self._base.search(queries, k, rows_allowed)
        ids = np.where(rows >= 0, self._base.ids[rows], -1)
        if len(self._ids):
            products = queries @ self._matrix.T
            if allowed is not None:
                products[:, ~passing(allowed, self._ids)] = -np.inf
            similarities = np.concatenate([similarities, products], axis=1)
            ids = np.concatenate([ids, np.broadcast_to(self._ids, products.shape)], axis=1)
        return merged(similarities, ids, k)

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        """(m,) ids that it holds -> (m, d) float32 unit rows."""
        return self._of(ids, self._base.matrix, self._matrix)

    def similarity_stats(self, ids: np.ndarray) -> np.ndarray:
        """(m,) ids that it holds -> (m, 2) float32: mean and std of their similarities to the library."""
        return self._of(ids, self._base.similarity_stats, self._stats)

    def similarity_stats_of(self, vectors: np.ndarray, ids: Sequence[int | None] = ()) -> np.ndarray:
        """(m, d) unit rows, of tracks that it holds or not -> (m, 2) float32, as `similarity_stats`.

        Of tracks that it holds it knows them: `ids`, where all m are given.
        """
        known = np.array([-1 if i is None else i for i in ids], np.int64)
        if len(known) == len(vectors) and self.holds(known).all():
            return self.similarity_stats(known)
        return similarity_stats(np.asarray(vectors, np.float32), self._base.references)

    def _of(self, ids: np.ndarray, in_base: np.ndarray, in_rest: np.ndarray) -> np.ndarray:
        ids = np.asarray(ids, np.int64)
        at = np.searchsorted(self._ids, ids)
        new = at < len(self._ids)
        new[new] = self._ids[at[new]] == ids[new]
        found = np.empty((len(ids), in_base.shape[1]), np.float32)
        found[new] = in_rest[at[new]]
        found[~new] = in_base[self._order[np.searchsorted(self._sorted, ids[~new])]]
        return found


def checked_queries(queries: np.ndarray, dim: int) -> np.ndarray:
    """Queries as (q, d) float32.

    Raises
    ------
    LibraryError
        They have another number of components.
    """
    queries = np.ascontiguousarray(queries, np.float32)
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise LibraryError(
            f"the query has shape {queries.shape}; the library's vectors have {dim} components; "
            "query with vectors of its own encoder"
        )
    return queries


def merged(similarities: np.ndarray, ids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Of (q, m) neighbours the k nearest, of equal ones the lowest id first; those of -inf are none."""
    order = np.lexsort((ids, -similarities), axis=1)[:, :k]
    similarities, ids = np.take_along_axis(similarities, order, 1), np.take_along_axis(ids, order, 1)
    there = int((similarities > -np.inf).sum(axis=1).max(initial=0))
    return similarities[:, :there], ids[:, :there]


def passing(allowed: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(n,) bool: which of (n,) ids pass a filter, (m,) bool by id; those of m and above do not."""
    known = ids < len(allowed)
    return known & allowed[np.where(known, ids, 0)] if len(allowed) else np.zeros(len(ids), bool)


def open_index(library: LibraryStore, *, keep: bool = True) -> Index:
    """Give the index of a library: the base saved beside it and what changed since, or a new base, which is saved.

    Where it cannot be saved, as in a folder that may not be written, or is not to be kept, it is made again each time.

    Raises
    ------
    NoMatch
        The library holds no tracks.
    """
    if found := saved_index(library):
        return found
    base, metadata = made_base(library)
    with suppress(OSError):
        if keep:
            save(index_path(library), base, metadata)
    none = np.zeros((0, base.matrix.shape[1]), np.float32)
    return Index(base, np.zeros(len(base), bool), np.zeros(0, np.int64), none, metadata)


def made_base(library: LibraryStore) -> tuple[Base, dict[str, object]]:
    """A new base of a library, and of which library and generation it is.

    Raises
    ------
    NoMatch
        The library holds no tracks.
    """
    with library.snapshot():
        metadata: dict[str, object] = {"library": library.uuid, "generation": library.generation}
        ids, matrix = library.compared()
    if not len(ids):
        raise no_songs(library)
    return build(ids, matrix), metadata


def renewed_index(library: LibraryStore, index: Index) -> Index | None:
    """The index of a library as it is now, by the base of one from before; None where that is no good any more."""
    with library.snapshot():
        return _brought_up_to_date(library, index._base, index._origin)


def saved_index(library: LibraryStore) -> Index | None:
    """The index of a library by the base that is saved beside it; None where that is no good any more."""
    if (saved := load(index_path(library))) is None:
        return None
    with library.snapshot():
        return _brought_up_to_date(library, *saved)


def index_path(library: LibraryStore) -> Path:
    """The file beside a library that its base is saved in."""
    return library.path.with_name(library.path.name + ".index")


def no_songs(library: LibraryStore) -> NoMatch:
    """The error of a library that holds no tracks, with what to do."""
    embed = command_line("embed", "FOLDER", library_path=library.path)
    return NoMatch(f"{library.path}: holds no songs yet; add some with: {embed}")


def _brought_up_to_date(library: LibraryStore, base: Base, metadata: dict[str, object]) -> Index | None:
    """A saved base with what changed since; None when it is of another library, or much has changed."""
    generation, stamp = metadata.get("generation"), library.stamp
    if metadata.get("library") != library.uuid or not isinstance(generation, int) or stamp is None:
        return None
    if base.matrix.shape[1] != stamp.mean_dim or not library.knows_generation(generation):
        return None
    if generation == library.generation:
        new, hidden = np.zeros(0, np.int64), np.zeros(len(base), bool)
    else:
        new = library.ids(changed_since=generation)
        hidden = np.isin(base.ids, new)
        if library.vector_count() != len(base) + len(new) - int(hidden.sum()):  # some are gone
            held = library.ids()
            new = np.union1d(new, np.setdiff1d(held, base.ids))
            hidden = np.isin(base.ids, held, invert=True) | np.isin(base.ids, new)
        if len(base) <= _SMALL or len(new) + hidden.sum() > _STALE * len(base):
            return None
    ids, matrix = library.compared(new.tolist()) if len(new) else (new, np.zeros((0, stamp.mean_dim), np.float32))
    return Index(base, hidden, ids, matrix, metadata)
