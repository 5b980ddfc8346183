"""`EngineIndex`: the index of a library whose neighbours are found by the engine of a collection.

The engine knows vectors, and the library all else: what changed since the collection was brought up to date is compared
here, what is gone is left out, and similarity statistics, which correct hubs, are taken from the library's own vectors.
So what is found is of the library as it is now, however far behind the collection is.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from mirclr.errors import LibraryError
from mirclr.index.base import REFERENCES, similarity_stats
from mirclr.index.collection import LIMIT, Collection, Holding
from mirclr.index.index import Index, checked_queries, merged, passing
from mirclr.library import LibraryStore

_LISTED = 20_000  # tracks that a filter lists to the engine; what passes more is looked for among more neighbours
_CHUNK = 16_384
_FARTHER = 4  # times as many neighbours are asked for, where too few of them pass


class EngineIndex(Index):
    """Finds the tracks of a library that are nearest to given vectors, by a collection.

    Parameters
    ----------
    library : LibraryStore
        Whose tracks; it stays open as long as the index is used.
    collection : Collection
    holding : Holding
        What the collection holds of the library, of a generation that the library knows.
    """

    def __init__(self, library: LibraryStore, collection: Collection, holding: Holding) -> None:
        self._library, self._collection, self._holding = library, collection, holding
        with library.snapshot():
            self._held = library.ids()
            self._changed, self._matrix = library.compared(library.ids(changed_since=holding.generation).tolist())
            stamp = library.stamp
        self._dim = stamp.mean_dim if stamp else 0
        self._unchanged = np.setdiff1d(self._held, self._changed, assume_unique=True)

    def __len__(self) -> int:
        return len(self._held)

    @property
    def dim(self) -> int:
        """Components of a vector."""
        return self._dim

    @property
    def is_exact(self) -> bool:
        """Whether every query is compared with every track."""
        return False

    @property
    def behind(self) -> int:
        """How many tracks changed since the collection was brought up to date; they are compared here."""
        return len(self._changed)

    @cached_property
    def mean_similarity(self) -> float:
        """Mean cosine of two tracks, by those that similarities are taken to."""
        products = self._references.astype(np.float64) @ self._references.T
        n, r = len(self), len(products)
        others = (products.sum() - np.trace(products)) / max(r * (r - 1), 1)
        return float(others + (np.trace(products) / r - others) / n)  # in n tracks each meets itself once

    @property
    def ids(self) -> np.ndarray:
        """(n,) int64, ascending: the tracks that it holds."""
        return self._held

    def search(
        self, queries: np.ndarray, k: int, *, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the k nearest tracks of each query; see `Index.search`."""
        queries, k = checked_queries(queries, self.dim), min(k, len(self))
        some = self._unchanged if allowed is None else self._unchanged[passing(allowed, self._unchanged)]
        similarities, ids = self._of_collection(queries, min(k, len(some)), some, is_filtered=allowed is not None)
        if len(self._changed):
            products = queries @ self._matrix.T
            if allowed is not None:
                products[:, ~passing(allowed, self._changed)] = -np.inf
            similarities = np.concatenate([similarities, products], axis=1)
            ids = np.concatenate([ids, np.broadcast_to(self._changed, products.shape)], axis=1)
        return merged(similarities, ids, k)

    def _of_collection(
        self, queries: np.ndarray, k: int, some: np.ndarray, *, is_filtered: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest of some tracks, (m,) int64 ascending, whose vectors the collection has as they are."""
        if not k:
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        if k > LIMIT:
            return self._compared_here(queries, k, some)
        if not is_filtered or len(some) > min(_LISTED, self._holding.tracks // 2):
            near = self._among_more(queries, k, some)
            if near is not None:
                return near
        parts = [some[at : at + _LISTED] for at in range(0, len(some), _LISTED)]
        found = [self._asked(queries, min(k, len(part)), part) for part in parts]
        return merged(np.concatenate([s for s, _ in found], axis=1), np.concatenate([i for _, i in found], axis=1), k)

    def _among_more(self, queries: np.ndarray, k: int, some: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """The same, by leaving out what is not among them; None where they are not found among `LIMIT` neighbours."""
        held = max(self._holding.tracks, len(some))
        wanted = -(-k * held // len(some)) + min(k, held - len(some))
        while True:
            asked = min(wanted, LIMIT)
            similarities, ids = self._asked(queries, asked, None)
            left = np.isin(ids, some)
            if (left.sum(axis=1) >= k).all() or asked > int((ids >= 0).sum(axis=1).min()):
                return merged(np.where(left, similarities, -np.inf), ids, k)
            if asked == LIMIT:
                return None
            wanted *= _FARTHER

    def _asked(self, queries: np.ndarray, k: int, only: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        return self._collection.search(self._holding.library, queries, k, only)

    def _compared_here(self, queries: np.ndarray, k: int, some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """More neighbours than an engine gives, by comparing with all."""
        similarities, ids = np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        for at in range(0, len(some), _CHUNK):
            part, matrix = self._library.compared(some[at : at + _CHUNK].tolist())
            similarities = np.concatenate([similarities, queries @ matrix.T], axis=1)
            ids = np.concatenate([ids, np.broadcast_to(part, (len(queries), len(part)))], axis=1)
            similarities, ids = merged(similarities, ids, k)
        return similarities, ids

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        """(m,) ids that it holds -> (m, d) float32 unit rows."""
        ids = np.asarray(ids, np.int64)
        different, at = np.unique(ids, return_inverse=True)
        held, matrix = self._library.compared(different.tolist())
        if len(held) != len(different):
            raise LibraryError(f"{self._library.path}: songs were removed meanwhile; ask again")
        return matrix[at] if len(held) else np.zeros((0, self.dim), np.float32)

    def similarity_stats(self, ids: np.ndarray) -> np.ndarray:
        """(m,) ids that it holds -> (m, 2) float32: mean and std of their similarities to the library."""
        return similarity_stats(self.vectors(ids), self._references)

    def similarity_stats_of(self, vectors: np.ndarray, ids: Sequence[int | None] = ()) -> np.ndarray:
        """(m, d) unit rows, of tracks that it holds or not -> (m, 2) float32, as `similarity_stats`."""
        return similarity_stats(np.asarray(vectors, np.float32), self._references)

    @cached_property
    def _references(self) -> np.ndarray:
        """(r, d) float32: the rows to which similarities are taken, spread evenly over the tracks by id."""
        at = np.linspace(0, len(self._held) - 1, min(REFERENCES, len(self._held))).astype(np.int64)
        return self.vectors(self._held[at])
