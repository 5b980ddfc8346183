"""Aspects of tracks that are compared beside their sound: harmony and rhythm, in some two hundred bytes a track."""

from collections.abc import Mapping, Sequence

import numpy as np

from mirclr.errors import LibraryError
from mirclr.library.database import Database

ASPECTS = {"harmony": 132, "rhythm": 78}
"""By name how many numbers each is; `mirclr.transcription.aspects` makes them."""


class Aspects(Database):
    """What `mirclr.ingest.description` finds of tracks to be compared by."""

    def aspect(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """One of `ASPECTS` of all tracks that were described: (n,) int64 ids ascending, and (n, d) int8.

        What has none is zeros.

        Raises
        ------
        LibraryError
            One is damaged.
        """
        rows = self._rows(f"SELECT track_id, {name} FROM aspect ORDER BY track_id")  # noqa: S608
        size = ASPECTS[name]
        if wrong := next((row[0] for row in rows if len(row[1]) not in (0, size)), None):
            raise LibraryError(f"{self.path}: not a library of mirclr's, or damaged: the {name} of track {wrong}")
        ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        blobs = b"".join(row[1] or bytes(size) for row in rows)
        return ids, np.frombuffer(blobs, np.int8).reshape(len(rows), size)

    def with_aspects(self) -> set[int]:
        """The tracks in which they were looked for."""
        return {row[0] for row in self._rows("SELECT track_id FROM aspect")}


def packed_aspects(found: Mapping[str, np.ndarray]) -> Sequence[bytes]:
    """Aspects as they are stored, in the order of `ASPECTS`: a byte a number, of the greatest 127; where none was
    found, nothing.
    """
    return [_packed(found[name]) if name in found else b"" for name in ASPECTS]


def _packed(numbers: np.ndarray) -> bytes:
    greatest = float(np.abs(numbers).max(initial=0))
    return np.round(numbers / greatest * 127).astype(np.int8).tobytes() if greatest > 0 else b""
