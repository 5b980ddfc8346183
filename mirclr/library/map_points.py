"""Where tracks lie on the map of a library."""

from collections.abc import Sequence

import numpy as np

from mirclr.library.checks import check_rows, whole_number
from mirclr.library.database import Database, count_write
from mirclr.library.schema import explained

_TOGETHER = "tracks of the map that were laid out together"


class MapPoints(Database):
    """The points of the map, which `mirclr.map` makes."""

    def map_points(self) -> tuple[np.ndarray, np.ndarray]:
        """The tracks that have a place on the map: ids, (n,) int64 ascending, and x, y, (n, 2) float32."""
        with explained(self.path):
            cursor = self._connection.cursor()
            cursor.row_factory = None  # plain tuples take a third of the time
            rows = cursor.execute("SELECT track_id, x, y FROM map_point ORDER BY track_id").fetchall()
            check_rows(self.path, ("track_id", "x", "y"), rows)
        held = np.array(rows, np.float64).reshape(-1, 3)
        return held[:, 0].astype(np.int64), held[:, 1:].astype(np.float32)

    def without_map_point(self) -> np.ndarray:
        """The tracks with a vector that have no place on the map: (n,) int64, ascending."""
        query = (
            "SELECT track_id FROM vector WHERE NOT EXISTS"
            " (SELECT 1 FROM map_point WHERE map_point.track_id = vector.track_id) ORDER BY track_id"
        )
        return np.array([row[0] for row in self._rows(query)], np.int64)

    def count_without_map_point(self) -> int:
        """How many tracks with a vector have no place on the map."""
        held, placed = (self._rows(f"SELECT COUNT(*) FROM {table}")[0][0] for table in ("vector", "map_point"))  # noqa: S608
        return max(0, held - placed)

    def store_map(self, ids: Sequence[int] | np.ndarray, points: np.ndarray) -> None:
        """Replace the map by the points of tracks that were laid out together, in one transaction.

        Parameters
        ----------
        ids : (n,) int
            Tracks that are no longer held are left out.
        points : np.ndarray
            (n, 2) float.
        """
        with self.together(), self._transaction() as db:
            db.execute("DELETE FROM map_point")
            self.add_map_points(ids, points)
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_TOGETHER, str(len(ids))))

    def add_map_points(self, ids: Sequence[int] | np.ndarray, points: np.ndarray) -> None:
        """Store points of tracks beside those that are there, which stay where they are, in one transaction."""
        values = [(int(i), float(x), float(y), int(i)) for i, (x, y) in zip(ids, points, strict=True)]
        with self._transaction() as db:
            count_write(db, "map")
            db.executemany(
                "INSERT OR IGNORE INTO map_point SELECT ?, ?, ? WHERE EXISTS (SELECT 1 FROM track WHERE id = ?)",
                values,
            )

    @property
    def laid_out_together(self) -> int:
        """How many tracks the map was laid out of; others came to it since."""
        return whole_number(self._meta(_TOGETHER), "the size of its map", self.path)

    @property
    def map_version(self) -> tuple[int, int]:
        """Another value whenever points or tracks were written, by whomever: for what is derived from the map."""
        return whole_number(self._meta("generation"), "its generation", self.path), self._count("map")
