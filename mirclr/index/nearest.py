"""The nearest rows among vectors that no index was made of."""

import numpy as np

_AT_ONCE = 4096  # queries


def nearest_rows(matrix: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the k rows of a matrix that are nearest to each query, by their distance and exactly.

    Parameters
    ----------
    matrix : np.ndarray
        (n, d) float32.
    queries : np.ndarray
        (q, d) float32.
    k : int
        At most n are found.

    Returns
    -------
    distances : (q, k) float32
        Euclidean, ascending.
    rows : (q, k) int64
    """
    import faiss

    k = min(k, len(matrix))
    distances, rows = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
    matrix = np.ascontiguousarray(matrix, np.float32)
    for at in range(0, len(queries), _AT_ONCE):
        some = np.ascontiguousarray(queries[at : at + _AT_ONCE], np.float32)
        distances[at : at + _AT_ONCE], rows[at : at + _AT_ONCE] = faiss.knn(some, matrix, k)
    return np.sqrt(np.maximum(distances, 0, out=distances), out=distances), rows
