"""Embeddings of a track's excerpts, in two kilobytes a track.

An excerpt's embedding is turned into `COMPONENTS` numbers of eight bits by a fixed projection of the kind of Johnson
and Lindenstrauss (random signs, then rows of a cosine transform), which preserves cosines to about a tenth: enough to
find which excerpts of two tracks are most similar.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

COMPONENTS = 128
_NOISE = 0.03  # of what is kept, beside what it tells: eight bits, and lengths that are not kept
_SHRINKAGE = 0.3  # of the covariance: by trial the best for libraries of 20 to 500 songs alike
_ROW = np.dtype([("start", "<f4"), ("components", "i1", (COMPONENTS,))])


@dataclass(frozen=True, eq=False)
class ExcerptEmbeddings:
    """The excerpts of a track, embedded and compacted.

    Attributes
    ----------
    starts : (n,) float32
        Where they begin, in seconds.
    components : (n, COMPONENTS) int8
        Their projected embeddings; only their directions count.
    """

    starts: np.ndarray
    components: np.ndarray

    @classmethod
    def of(cls, starts: np.ndarray, embeddings: np.ndarray) -> "ExcerptEmbeddings":
        """Compact (n,) seconds and (n, D) float32 embeddings of any length above 0."""
        # not a matrix product of BLAS: its threads would wait for those that decode
        rows = np.einsum("nd,dc->nc", np.asarray(embeddings, np.float32), _projection(embeddings.shape[1]))
        largest = np.abs(rows).max(axis=1, keepdims=True, initial=1e-12)
        return cls(np.asarray(starts, np.float32), np.round(rows / largest * 127).astype(np.int8))

    @classmethod
    def from_bytes(cls, blob: bytes) -> "ExcerptEmbeddings":
        """Read what `to_bytes` made; what is left over at the end is dropped."""
        rows = np.frombuffer(blob[: len(blob) // _ROW.itemsize * _ROW.itemsize], _ROW)
        return cls(rows["start"], rows["components"])

    def to_bytes(self) -> bytes:
        """Pack them as a library stores them."""
        rows = np.empty(len(self.starts), _ROW)
        rows["start"], rows["components"] = self.starts, self.components
        return rows.tobytes()

    def units(self) -> np.ndarray:
        """(n, COMPONENTS) float32 unit rows."""
        rows = self.components.astype(np.float32)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        units: np.ndarray = rows / np.maximum(norms, 1e-12)
        return units

    def restored(self, mean: np.ndarray, usual: np.ndarray) -> np.ndarray:
        """The embeddings as they likely were, of what is kept of them: the mean of a normal distribution, given that.

        Parameters
        ----------
        mean : (D,) float
            The mean of the embeddings over the excerpts, of any length above 0.
        usual : (m, D) float
            Such means of other tracks, by which it is known how embeddings vary together; of any lengths.

        Returns
        -------
        (n, D) float32
            On the scale on which the mean has length 1.
        """
        means = np.asarray(usual, np.float64)
        means = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
        centre = np.asarray(mean, np.float64) / max(float(np.linalg.norm(mean)), 1e-12)
        matrix = _projection(means.shape[1]).astype(np.float64)
        covariance = _shrunk_covariance(means)
        seen = matrix.T @ covariance @ matrix
        seen += _NOISE * np.trace(seen) / COMPONENTS * np.eye(COMPONENTS)
        units, projected = self.units().astype(np.float64), centre @ matrix
        # how long they were is not kept: about as long as each other, so that their mean is as long as it is
        length = np.linalg.norm(projected) / max(float(np.linalg.norm(units.mean(axis=0))), 1e-12)
        away = np.linalg.solve(seen, (length * units - projected).T)
        return (centre + (covariance @ matrix @ away).T).astype(np.float32)


def _shrunk_covariance(rows: np.ndarray) -> np.ndarray:
    """(m, D) float64 -> (D, D): the covariance, moved towards one without directions, which alone counts for one."""
    centred = rows - rows.mean(axis=0)
    covariance = centred.T @ centred / max(1, len(rows) - 1)
    level = float(np.trace(covariance)) / rows.shape[1] or 1.0 / rows.shape[1]
    blended: np.ndarray = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * level * np.eye(rows.shape[1])
    return blended


@lru_cache(maxsize=2)
def _projection(dim: int) -> np.ndarray:
    """(dim, COMPONENTS) float32, the same on every machine."""
    bits = np.frombuffer(hashlib.shake_256(b"mirclr moments").digest(dim), np.uint8) & 1
    angles = np.pi * (np.arange(dim)[:, None] + 0.5) * np.arange(1, COMPONENTS + 1) / dim
    return ((bits * 2.0 - 1.0)[:, None] * np.cos(angles)).astype(np.float32)
