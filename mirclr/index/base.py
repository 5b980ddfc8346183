"""`Base`: the vectors of a library as they were at one generation, made for searching.

Tracks lie in rows. In an exact base rows ascend by id, and a query is compared with sketches of all: the rows in their
main directions. What these leave out of a product is bounded by the lengths of what they leave out of both, so that few
rows have to be compared themselves, and what is found is what comparing with all would find. The same holds of the
first few components of sketches, by which it is known which sketches have to be looked at. In a clustered one
(inverted file: Jégou et al. 2011, "Product quantization for nearest neighbor search", section 4, without the
quantisation) the rows of a cluster lie together, so that a query reads a few stretches of memory: sketches first, of
which the best are compared exactly.

Beside ``faiss.IndexIVFFlat`` with ``IDSelectorBitmap`` on the same clusters of 300,000 tracks, at equal recall, it is
1.5 to 3.9 times as fast, whatever fraction passes a filter (tests/benchmarks/inverted_file.py).

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
_FIRST = 32  # components of sketches that are looked at of all rows; a twentieth of them needs more
_TOGETHER = 256  # rows whose first components BLAS takes at once: so few that it does so in this thread
_PLAIN = 10_000  # so many rows are read as fast as their sketches are looked through
_ROUNDING = 1e-5  # of products of unit rows
_ROUNDING_SQUARED = 1e-6  # of the squares of their lengths
_AGAIN, _AT_LEAST = 4, 256  # by as many times k, or so many rows, are more compared exactly than are wanted
_SOME = 128  # queries up to which a product and a choice for each take less time than faiss does
_AT_ONCE = 1 << 25  # products that are held in memory
_FEW = 0.3  # fraction of rows that pass a filter, below which they are gathered, and above which all are compared
_FEWEST = 4096  # rows, so many of which are compared whatever cluster they are in
_FARTHER = 1.5  # times as many rows under a filter: from where all passing tracks are far away, clusters tell less
_ALONE = 6  # queries that one thread compares as fast as BLAS does
_BLOCK = 256  # rows that are compared with each query while they are in a cache
_GATHERED = 512  # rows at a time, so that they stay in a cache


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
        Orthonormal: the main directions of the rows; s is 0 in a small exact base.
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

    @cached_property
    def by_id(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) int64 twice: the rows in the order of their tracks' ids, and those ids."""
        order = np.argsort(self.ids, kind="stable")
        return order, self.ids[order]

    @cached_property
    def _rests(self) -> np.ndarray:
        """(n,) float32: how long what the sketch leaves out of each row is."""
        return _rest(self.sketch)

    @cached_property
    def _first(self) -> tuple[np.ndarray, np.ndarray]:
        """(n, f) float32: the first components of sketches; (n,) float32: how long what these leave out of a row is."""
        first = np.ascontiguousarray(self.sketch[:, :_FIRST])
        return first, _rest(first)

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
        rows = None if allowed is None else np.flatnonzero(allowed)
        if not len(self.centroids):
            return self._exactly(queries, k, rows)
        found = [self._in_clusters(query, k, allowed, rows) for query in queries]
        return np.stack([s for s, _ in found]), np.stack([r for _, r in found])

    def _exactly(self, queries: np.ndarray, k: int, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Compare with some rows, or all."""
        if rows is None and len(queries) > _SOME:
            import faiss

            similarities, found = faiss.knn(queries, self.matrix, min(k, len(self)), metric=faiss.METRIC_INNER_PRODUCT)
            return _filled(similarities, -np.inf, k), _filled(found, -1, k)
        many = len(self) if rows is None else len(rows)
        if len(queries) <= _SOME and self.sketch.shape[1] and many > max(_PLAIN, _AGAIN * k):
            best = [self._by_bounds(query, k, rows) for query in queries]
            return np.stack([s for s, _ in best]), np.stack([r for _, r in best])
        best = []
        for some in np.array_split(queries, -(-len(queries) * many // _AT_ONCE) or 1):
            best += [_best(row, rows, k) for row in self._compared(self.matrix, some, rows)]
        return np.stack([s for s, _ in best]), np.stack([r for _, r in best])

    def _by_bounds(self, query: np.ndarray, k: int, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """The same for one query: only rows that may be among the k nearest by their sketches are compared."""
        asked = np.arange(len(self)) if rows is None else rows
        which, many = slice(None) if rows is None else rows, max(_AT_LEAST, _AGAIN * k)
        sketched, (first, rests) = _products(self.directions, query[None])[0], self._first
        begun = sketched[: first.shape[1]]
        products = _products_of_all(first, begun)[which]
        some = asked[np.argpartition(-products, many)[:many]]
        least = float(np.partition(self._compared(self.matrix, query[None], some)[0], -k)[-k]) - _ROUNDING
        near = asked[products + _left_out(query, begun) * rests[which] >= least]
        if len(near) > many:
            products = self._compared(self.sketch, sketched[None], near)[0]
            near = near[products + _left_out(query, sketched) * self._rests[near] >= least]
        if len(near) > _FEW * len(self):  # sketches tell little of these vectors
            near = asked
        return _best(self._compared(self.matrix, query[None], near)[0], near, k)

    def _compared(self, vectors: np.ndarray, queries: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
        """(q, m): products of queries with some rows of (n, d) vectors, or all."""
        if rows is None:
            return _products(vectors, queries)
        if len(rows) > _FEW * len(self):
            return _products(vectors, queries)[:, rows]
        found = np.empty((len(queries), len(rows)), np.float32)
        for at in range(0, len(rows), _GATHERED):
            found[:, at : at + _GATHERED] = _products(np.take(vectors, rows[at : at + _GATHERED], axis=0), queries)
        return found

    def _in_clusters(
        self, query: np.ndarray, k: int, allowed: np.ndarray | None, rows: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Choose candidates by their sketches, and compare those exactly.

        Without a filter they are the rows of the nearest `probes` clusters. Under one, clusters are looked into until
        more rows pass than there usually are in those: it changes how far a query looks, not how many rows it sees.
        """
        many, sketched = max(_AT_LEAST, _AGAIN * k), _products(self.directions, query[None])
        usual = self.probes * len(self) / len(self.centroids)
        wanted = k if rows is None else max(k, _FEWEST, int(_FARTHER * usual))
        if rows is None or len(rows) > wanted:
            rows, products = self._nearby(query, sketched, wanted, allowed, rows)
        elif len(rows) > many:
            products = self._compared(self.sketch, sketched, rows)[0]
        if len(rows) > many:
            rows = np.sort(rows[np.argpartition(-products, many)[:many]])
        return _best(self._compared(self.matrix, query[None], rows)[0], rows, k)

    def _nearby(
        self, query: np.ndarray, sketched: np.ndarray, wanted: int, allowed: np.ndarray | None, rows: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The allowed rows of the nearest clusters, `wanted` at least, and the products of their sketches."""
        order = np.argsort(-_products(self.centroids, query[None])[0], kind="stable")
        bounds = self.starts if rows is None else np.searchsorted(rows, self.starts)
        seen = np.cumsum(np.diff(bounds)[order])
        order = order[: max(self.probes, int(np.searchsorted(seen, wanted)) + 1)]
        if rows is not None and seen[len(order) - 1] < _FEW * np.diff(self.starts)[order].sum():
            rows = np.concatenate([rows[bounds[c] : bounds[c + 1]] for c in order.tolist()])
            return rows, self._compared(self.sketch, sketched, rows)[0]
        clusters = [slice(self.starts[c], self.starts[c + 1]) for c in order.tolist()]
        rows = np.concatenate([np.arange(c.start, c.stop) for c in clusters])
        products = np.concatenate([_products(self.sketch[c], sketched)[0] for c in clusters])
        return (rows, products) if allowed is None else (rows[allowed[rows]], products[allowed[rows]])


def _products(vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """(m, d) and (q, d) -> (q, m): a few queries by this thread alone, a block of rows at a time.

    A product of BLAS shares even small work among threads, and a thread that gets no core keeps a query waiting for
    longer than all of its work takes; for so few it takes longer in one thread too.
    """
    if len(queries) > _ALONE:
        return queries @ vectors.T
    products = np.empty((len(queries), len(vectors)), np.float32)
    for at in range(0, len(vectors), _BLOCK):
        products[:, at : at + _BLOCK] = np.vecdot(vectors[at : at + _BLOCK][None], queries[:, None])
    return products


def _products_of_all(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """(m, d), of few d, and (d,) -> (m,), to the last bits: by BLAS, in parts so small that it takes this thread."""
    products, whole = np.empty(len(vectors), np.float32), len(vectors) // _TOGETHER * _TOGETHER
    blocks = vectors[:whole].reshape(-1, _TOGETHER, vectors.shape[1])
    np.matmul(blocks, query, out=products[:whole].reshape(-1, _TOGETHER))
    products[whole:] = vectors[whole:] @ query
    return products


def _left_out(query: np.ndarray, sketched: np.ndarray) -> float:
    """How long what the sketch of a query leaves out of it is."""
    return float(np.sqrt(max(0.0, float(query @ query - sketched @ sketched)) + _ROUNDING_SQUARED))


def _best(products: np.ndarray, rows: np.ndarray | None, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest, filled up."""
    some = np.argpartition(-products, k)[:k] if len(products) > k else np.arange(len(products))
    some = some[products[some] > -np.inf]
    some = some[np.argsort(-products[some], kind="stable")]
    found = some if rows is None else rows[some]
    return _filled(products[some][None], -np.inf, k)[0], _filled(found[None], -1, k)[0]


def _filled(values: np.ndarray, with_: float, k: int) -> np.ndarray:
    if values.shape[1] >= k:
        return values
    filled = np.full((len(values), k), with_, values.dtype)
    filled[:, : values.shape[1]] = values
    return filled


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
        directions = _directions(matrix) if len(ids) > _PLAIN and matrix.shape[1] > _SKETCH else none
        return Base(ids, matrix, stats, none, np.zeros(1, np.int64), directions, _sketch(matrix, directions), 0)
    centroids = _centroids(matrix)
    nearest = _nearest(matrix, centroids)
    order = np.argsort(nearest, kind="stable")
    starts = np.searchsorted(nearest[order], np.arange(len(centroids) + 1)).astype(np.int64)
    for start in range(0, matrix.shape[1], _COLUMNS):
        matrix[:, start : start + _COLUMNS] = matrix[order, start : start + _COLUMNS]
    rows, of = matrix, ids[order]
    stats = similarity_stats(rows, rows[_reference_rows(of)])
    directions = _directions(rows)
    return _with_enough_probes(Base(of, rows, stats, centroids, starts, directions, _sketch(rows, directions), 1))


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


def _sketch(rows: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """(n, s) float32: (n, d) rows in (s, d) directions."""
    return np.concatenate([rows[i : i + _CHUNK] @ directions.T for i in range(0, len(rows), _CHUNK)])


def _rest(sketch: np.ndarray) -> np.ndarray:
    """(n,) float32: how long what a sketch leaves out of unit rows is."""
    found = np.empty(len(sketch), np.float32)
    for at in range(0, len(sketch), _CHUNK):
        part = sketch[at : at + _CHUNK]
        found[at : at + _CHUNK] = np.sqrt(np.maximum(0, 1 - np.vecdot(part, part)) + _ROUNDING_SQUARED)
    return found


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
