"""`Base`: the vectors of a library as they were at one generation, made for searching.

Tracks lie in rows. In an exact base rows ascend by id; in a clustered one (inverted file: Jégou et al. 2011, "Product
quantization for nearest neighbor search", section 4, without the quantisation) the rows of a cluster lie together, so
that a query reads a few stretches of memory. It reads sketches first, the rows in their main directions, which are a
few times smaller, and compares the best of those exactly.

`similarity_stats` holds for each row the mean and standard deviation of its similarities to `REFERENCES` tracks taken
evenly from the library, from which `mirclr.recommend` corrects hubs.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

EXACT = 200_000
"""As many tracks are searched exactly."""
RECALL = 0.965
"""Of the 20 nearest, what clusters must find of the library's own tracks; 0.95 is promised of others."""
REFERENCES = 1024
_TRAINING = 40  # rows a cluster that k-means looks at
_CHUNK = 16_384
_COLUMNS = 32  # that are put into another order at once
_MEASURED = 256
_SKETCH = 96
_AGAIN, _AT_LEAST = 4, 256  # by as many times k, or so many rows, are more compared exactly than are wanted
_SOME = 16  # queries up to which numpy's threads do: those of faiss would wait on, and be in the way of what follows
_AT_ONCE = 1 << 25  # products that are held in memory
_FEW, _FEWEST = 1 / 40, 4096  # share and number of rows that may pass a filter for it to be cheaper to copy them


@dataclass(frozen=True, eq=False)
class Base:
    """Vectors made for searching; arrays may be memory-mapped.

    Attributes
    ----------
    ids : (n,) int64
        Track of each row.
    matrix : (n, d) float32, unit rows
    similarity_stats : (n, 2) float32
        Mean and standard deviation of each row's similarities to the reference rows.
    centroids : (c, d) float32
        Of the clusters; c is 0 in an exact base.
    starts : (c + 1,) int64
        Where the rows of each cluster begin; the last is n.
    directions : (s, d) float32
        Orthonormal: the main directions of the rows; s is 0 in an exact base.
    sketch : (n, s) float32
        The rows in those.
    probes : int
        How many clusters a query looks into.
    """

    ids: np.ndarray
    matrix: np.ndarray
    similarity_stats: np.ndarray
    centroids: np.ndarray
    starts: np.ndarray
    directions: np.ndarray
    sketch: np.ndarray
    probes: int

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def references(self) -> np.ndarray:
        """(r, d) float32: the rows to which similarities are taken for `similarity_stats`."""
        return np.asarray(self.matrix[_reference_rows(self.ids)])

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Find the k nearest rows of each query.

        Parameters
        ----------
        queries : np.ndarray
            (q, d) float32.
        k : int
            At least 1.
        allowed : np.ndarray, optional
            (n,) bool: the rows that may be found; all unless given.

        Returns
        -------
        similarities : (q, k) float32
            Descending; -inf where there are fewer.
        rows : (q, k) int64
            -1 where there are fewer.
        """
        few = None if allowed is None else np.flatnonzero(allowed)
        if few is not None and few.size > max(_FEWEST, _FEW * len(self)):
            few = None
        if not len(self.centroids):
            return self._exactly(queries, k, few, allowed if few is None else None)
        found = [
            self._in_clusters(query, k, allowed) if few is None else self._among(query, k, few) for query in queries
        ]
        return np.stack([s for s, _ in found]), np.stack([r for _, r in found])

    def _exactly(
        self, queries: np.ndarray, k: int, few: np.ndarray | None, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compare with some rows, all rows, or all that are allowed."""
        if few is None and allowed is None and len(queries) > _SOME:
            import faiss

            similarities, rows = faiss.knn(queries, self.matrix, min(k, len(self)), metric=faiss.METRIC_INNER_PRODUCT)
            return _filled(similarities, -np.inf, k), _filled(rows, -1, k)
        matrix = self.matrix if few is None else self.matrix[few]
        found = []
        for some in np.array_split(queries, -(-len(queries) * len(matrix) // _AT_ONCE) or 1):
            products = _products(matrix, some[0])[None] if len(some) == 1 else some @ matrix.T
            if allowed is not None:
                products[:, ~allowed] = -np.inf
            found += [_best(row, few, k) for row in products]
        return np.stack([s for s, _ in found]), np.stack([r for _, r in found])

    def _in_clusters(self, query: np.ndarray, k: int, allowed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Look into the nearest clusters, and into twice as many while they hold too few rows that are allowed."""
        order = np.argsort(-_products(self.centroids, query), kind="stable")
        sketched = _products(self.directions, query)
        products: list[np.ndarray] = []
        rows: list[np.ndarray] = []
        done, many = 0, min(self.probes, len(order))
        while done < len(order):
            for cluster in order[done:many]:
                start, end = int(self.starts[cluster]), int(self.starts[cluster + 1])
                if allowed is None:
                    rows.append(np.arange(start, end))
                    products.append(_products(self.sketch[start:end], sketched))
                elif (some := start + np.flatnonzero(allowed[start:end])).size:
                    rows.append(some)
                    products.append(_products(self.sketch[start:end], sketched)[some - start])
            done, many = many, min(2 * many, len(order))
            if sum(map(len, rows)) >= k:
                break
        if not rows:
            return np.full(k, -np.inf, np.float32), np.full(k, -1, np.int64)
        return self._again(query, k, np.concatenate(products), np.concatenate(rows))

    def _among(self, query: np.ndarray, k: int, few: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look at all of a few rows."""
        return self._again(query, k, _products(self.sketch[few], _products(self.directions, query)), few)

    def _again(
        self, query: np.ndarray, k: int, products: np.ndarray, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compare those that are best by their sketches exactly."""
        many = max(_AT_LEAST, _AGAIN * k)
        if len(rows) > many:
            rows = np.sort(rows[np.argpartition(-products, many)[:many]])
        exact = np.empty(len(rows), np.float32)
        for at in range(0, len(rows), _CHUNK):  # at once they may be a copy of everything
            exact[at : at + _CHUNK] = _products(self.matrix[rows[at : at + _CHUNK]], query)
        return _best(exact, rows, k)


def _products(rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """(m, d) and (d,) -> (m,): each row times a query, by this thread alone.

    A product of BLAS shares even small work among threads, and a thread that gets no core keeps a query waiting for
    longer than all of its work takes.
    """
    products: np.ndarray = np.vecdot(rows, query)
    return products


def _best(products: np.ndarray, rows: np.ndarray | None, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest, filled up."""
    some = np.argpartition(-products, k)[:k] if len(products) > k else np.arange(len(products))
    some = some[products[some] > -np.inf]
    some = some[np.argsort(-products[some], kind="stable")]
    found = some if rows is None else rows[some]
    return _filled(products[some][None], -np.inf, k)[0], _filled(found[None], -1, k)[0]


def _filled(values: np.ndarray, with_: float, k: int) -> np.ndarray:
    return np.pad(values, ((0, 0), (0, k - values.shape[1])), constant_values=with_) if values.shape[1] < k else values


def build(ids: np.ndarray, matrix: np.ndarray) -> Base:
    """Make a base of vectors.

    Parameters
    ----------
    ids : np.ndarray
        (n,) int64, ascending.
    matrix : np.ndarray
        (n, d) float32, unit rows. Of more than `EXACT` the order is changed in place: a copy would take as much again.
    """
    if len(ids) <= EXACT:
        stats = similarity_stats(matrix, np.asarray(matrix[_reference_rows(ids)]))
        none = np.zeros((0, matrix.shape[1]), np.float32)
        return Base(ids, matrix, stats, none, np.zeros(1, np.int64), none, np.zeros((len(ids), 0), np.float32), 0)
    centroids = _centroids(matrix)
    nearest = _nearest(matrix, centroids)
    order = np.argsort(nearest, kind="stable")
    starts = np.searchsorted(nearest[order], np.arange(len(centroids) + 1)).astype(np.int64)
    for start in range(0, matrix.shape[1], _COLUMNS):
        matrix[:, start : start + _COLUMNS] = matrix[order, start : start + _COLUMNS]
    rows, of = matrix, ids[order]
    stats = similarity_stats(rows, rows[_reference_rows(of)])
    directions = _directions(rows)
    sketch = np.concatenate([rows[i : i + _CHUNK] @ directions.T for i in range(0, len(rows), _CHUNK)])
    return _with_enough_probes(Base(of, rows, stats, centroids, starts, directions, sketch, 1))


def similarity_stats(matrix: np.ndarray, references: np.ndarray) -> np.ndarray:
    """(n, 2) float32: mean and standard deviation of the similarities of (n, d) rows to (r, d) references."""
    stats = np.empty((len(matrix), 2), np.float32)
    for start in range(0, len(matrix), _CHUNK):
        products = matrix[start : start + _CHUNK] @ references.T
        stats[start : start + _CHUNK, 0] = products.mean(axis=1)
        stats[start : start + _CHUNK, 1] = products.std(axis=1)
    return stats


def _reference_rows(ids: np.ndarray) -> np.ndarray:
    """Rows spread evenly over the tracks by id."""
    order = np.argsort(ids, kind="stable")
    rows: np.ndarray = order[np.linspace(0, len(ids) - 1, min(REFERENCES, len(ids))).astype(np.int64)]
    return rows


def _centroids(matrix: np.ndarray) -> np.ndarray:
    """(2 sqrt(n), d) float32 by spherical k-means on a part of the rows; the same each time."""
    import faiss

    count = int(2 * np.sqrt(len(matrix)))
    rows = np.linspace(0, len(matrix) - 1, min(len(matrix), _TRAINING * count)).astype(np.int64)
    kmeans = faiss.Kmeans(matrix.shape[1], count, niter=8, spherical=True, seed=1, max_points_per_centroid=_TRAINING)
    kmeans.train(np.ascontiguousarray(matrix[rows]))
    return np.asarray(kmeans.centroids)


def _directions(matrix: np.ndarray) -> np.ndarray:
    """(s, d) float32: in which most of the lengths of the rows lie, by a part of them."""
    some = matrix[np.linspace(0, len(matrix) - 1, min(len(matrix), 2 * _CHUNK)).astype(np.int64)].astype(np.float64)
    _, found = np.linalg.eigh(some.T @ some)
    return np.ascontiguousarray(found[:, ::-1][:, :_SKETCH].T, np.float32)


def _nearest(matrix: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """(n,) int64: the nearest centroid of each row."""
    nearest = np.empty(len(matrix), np.int64)
    for start in range(0, len(matrix), _CHUNK):
        nearest[start : start + _CHUNK] = (matrix[start : start + _CHUNK] @ centroids.T).argmax(axis=1)
    return nearest


def _with_enough_probes(base: Base) -> Base:
    """As many probes as find `RECALL` of the 20 nearest of tracks spread over the base, or all clusters."""
    rows = np.linspace(0, len(base) - 1, _MEASURED).astype(np.int64)
    queries = base.matrix[rows]
    _, wanted = base._exactly(queries, 20, None)
    probes = 4
    while probes < len(base.centroids):
        tried = replace(base, probes=probes)
        _, found = tried.search(queries, 20, None)
        recall = np.mean([len(np.intersect1d(a, b)) / 20 for a, b in zip(found, wanted, strict=True)])
        if recall >= RECALL:
            return tried
        probes = int(np.ceil(probes * 1.2))
    return replace(base, probes=len(base.centroids))
