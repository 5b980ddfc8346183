"""Fingerprints of tracks: the landmarks by which a clip of one is recognised, in some six kilobytes of four minutes."""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from mirclr.library.checks import whole_number
from mirclr.library.database import Database, count_write

_COMPARED = "fingerprints compared"
_FORMAT = 1
_FRAMES_A_SECOND, _PITCH_BITS = 40, 10


class Fingerprints(Database):
    """What `mirclr.ingest.fingerprints` makes of the sound of tracks, for `mirclr.identify`."""

    def store_fingerprints(self, landmarks: Mapping[int, np.ndarray]) -> None:
        """Store fingerprints by track id, in one transaction; ids that are no longer held are left out.

        Parameters
        ----------
        landmarks : mapping of track id to (n, 3) int
            Of each landmark its frame, its pitch and its rank, as `mirclr.audio.landmarks` finds them.
        """
        now = time.time_ns()
        values = [(int(i), now, packed(rows), int(i)) for i, rows in landmarks.items()]
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO fingerprint SELECT ?, ?, ? WHERE EXISTS (SELECT 1 FROM track WHERE id = ?)",
                values,
            )
            count_write(db, "fingerprints")

    def fingerprints(self, ids: Sequence[int]) -> dict[int, np.ndarray]:
        """The landmarks of tracks, (n, 3) int32, by id; tracks without a fingerprint are left out.

        Raises
        ------
        LibraryError
            One is damaged.
        """
        return self._unpacked("fingerprint", "landmarks", ids, unpacked)

    def fingerprint_times(self) -> tuple[np.ndarray, np.ndarray]:
        """Which tracks have a fingerprint, (n,) int64 ascending, and when each was made, (n,) int64 in ns."""
        held = self._rows("SELECT track_id, made_ns FROM fingerprint ORDER BY track_id")
        numbers = np.array([tuple(row) for row in held], np.int64).reshape(-1, 2)
        return numbers[:, 0], numbers[:, 1]

    @property
    def has_fingerprints(self) -> bool:
        """Whether any track has one."""
        return bool(self._rows("SELECT 1 FROM fingerprint LIMIT 1"))

    def fingerprint_count(self) -> int:
        """How many tracks have one."""
        return int(self._rows("SELECT COUNT(*) FROM fingerprint")[0][0])

    def without_fingerprint(self) -> list[int]:
        """The tracks that have none, by id."""
        query = (
            "SELECT id FROM track WHERE NOT EXISTS"
            " (SELECT 1 FROM fingerprint WHERE fingerprint.track_id = track.id) ORDER BY id"
        )
        return [row[0] for row in self._rows(query)]

    @property
    def fingerprints_compared_ns(self) -> int:
        """Fingerprints that were made by then were compared with all, in search of near-duplicates."""
        return whole_number(self._meta(_COMPARED), "when its fingerprints were compared", self.path)

    def note_fingerprints_compared(self, made_ns: int) -> None:
        """Keep that all fingerprints that were made by then are compared."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_COMPARED, str(int(made_ns))))

    def remove_fingerprints(self) -> int:
        """Remove all of them; how many there were."""
        with self._transaction() as db:
            removed = db.execute("DELETE FROM fingerprint").rowcount
            count_write(db, "fingerprints")
        return int(removed)


def packed(landmarks: np.ndarray) -> bytes:
    """Landmarks as they are stored: how many each second has, and of each, the strongest first, sixteen bits."""
    rows = np.asarray(landmarks, np.int64).reshape(-1, 3)
    seconds, within = np.divmod(rows[:, 0], _FRAMES_A_SECOND)
    order = np.lexsort((rows[:, 2], seconds))
    counts = np.bincount(seconds, minlength=0)
    if counts.max(initial=0) > 255 or rows[:, 1].min(initial=0) < 0 or rows[:, 1].max(initial=0) >> _PITCH_BITS:
        raise ValueError("landmarks that cannot be stored")
    numbers = within[order] << _PITCH_BITS | rows[order, 1]
    head = np.array([_FORMAT, len(counts)], "<u4")
    return head.tobytes() + counts.astype("u1").tobytes() + numbers.astype("<u2").tobytes()


def unpacked(blob: bytes) -> np.ndarray:
    """Landmarks that `packed` stored: (n, 3) int32, in the order of frames.

    Raises
    ------
    ValueError
        It did not.
    """
    if len(blob) < 8:
        raise ValueError("of a wrong length")
    head = np.frombuffer(blob[:8], "<u4")
    if head[0] != _FORMAT:
        raise ValueError("of an unknown kind")
    counts = np.frombuffer(blob[8 : 8 + int(head[1])], "u1").astype(np.int64)
    if len(counts) != head[1] or len(blob) != 8 + len(counts) + 2 * counts.sum():
        raise ValueError("of a wrong length")
    numbers = np.frombuffer(blob[8 + len(counts) :], "<u2").astype(np.int64)
    seconds = np.repeat(np.arange(len(counts)), counts)
    rank = np.arange(len(numbers)) - np.repeat(np.cumsum(counts) - counts, counts)
    frames = seconds * _FRAMES_A_SECOND + (numbers >> _PITCH_BITS)
    pitches = numbers & ((1 << _PITCH_BITS) - 1)
    order = np.lexsort((pitches, frames))
    return np.stack([frames, pitches, rank], axis=1)[order].astype(np.int32)
