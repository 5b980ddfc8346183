"""Lists of songs that a person put together: known by an id, and by a name that no two of them have."""

import sqlite3
from collections.abc import Sequence

from mirclr.errors import LibraryError
from mirclr.library.database import Database, id_list, storable
from mirclr.library.records import SongList
from mirclr.terminal import shown

_LISTS = (
    "SELECT song_list.id, name, made_s, changed_s, comment, COUNT(track_id) AS songs, TOTAL(duration_s) AS duration_s"
    " FROM song_list LEFT JOIN song_list_track ON list_id = song_list.id LEFT JOIN track ON track.id = track_id"
)


class SongLists(Database):
    """Lists of songs: their names, and which tracks in which order; a track that is removed leaves them."""

    def song_lists(self) -> list[SongList]:
        """All lists, by name."""
        return [SongList(*row) for row in self._rows(f"{_LISTS} GROUP BY song_list.id ORDER BY name, song_list.id")]

    def song_list(self, list_id: int) -> SongList | None:
        """The list of an id; None where there is none."""
        rows = self._rows(f"{_LISTS} WHERE song_list.id = ? GROUP BY song_list.id", int(list_id))
        return SongList(*rows[0]) if rows else None

    def find_song_list(self, name: str) -> SongList | None:
        """The list of a name; None where there is none."""
        rows = self._rows(f"{_LISTS} WHERE name = ? GROUP BY song_list.id", storable(name))
        return SongList(*rows[0]) if rows else None

    def song_list_ids(self, list_id: int) -> list[int]:
        """The ids of the tracks of a list, in its order, each as often as it is in it."""
        query = "SELECT track_id FROM song_list_track WHERE list_id = ? ORDER BY position"
        return [row[0] for row in self._rows(query, int(list_id))]

    def add_song_list(self, name: str, ids: Sequence[int], *, now_s: float, comment: str = "") -> int:
        """Store a new list; one transaction.

        Parameters
        ----------
        name : str
            That no other list has.
        ids : sequence of int
            Its tracks in order, each as often as it is to come; those that are not held are left out.
        now_s : float
            The present, in seconds since 1970.
        comment : str
            For people.

        Returns
        -------
        int
            Its id, which no other list ever has.

        Raises
        ------
        LibraryError
            Another list has this name.
        """
        with self._transaction() as db:
            self._check_free(db, name, 0)
            values = (storable(name), now_s, now_s, storable(comment))
            added = db.execute("INSERT INTO song_list (name, made_s, changed_s, comment) VALUES (?, ?, ?, ?)", values)
            list_id = int(added.lastrowid or 0)
            _store_ids(db, list_id, ids)
        return list_id

    def change_song_list(
        self,
        list_id: int,
        *,
        now_s: float,
        ids: Sequence[int] | None = None,
        name: str | None = None,
        comment: str | None = None,
    ) -> None:
        """Change what is given of a list; one transaction.

        Raises
        ------
        LibraryError
            There is no list of this id, or another has this name.
        """
        with self._transaction() as db:
            if not db.execute("UPDATE song_list SET changed_s = ? WHERE id = ?", (now_s, list_id)).rowcount:
                raise LibraryError(f"{self.path}: holds no list {list_id}")
            if name is not None:
                self._check_free(db, name, list_id)
                db.execute("UPDATE song_list SET name = ? WHERE id = ?", (storable(name), list_id))
            if comment is not None:
                db.execute("UPDATE song_list SET comment = ? WHERE id = ?", (storable(comment), list_id))
            if ids is not None:
                db.execute("DELETE FROM song_list_track WHERE list_id = ?", (list_id,))
                _store_ids(db, list_id, ids)

    def delete_song_list(self, list_id: int) -> bool:
        """Delete a list; False when there is none of this id. Its songs stay."""
        with self._transaction() as db:
            return bool(db.execute("DELETE FROM song_list WHERE id = ?", (int(list_id),)).rowcount)

    def _check_free(self, db: sqlite3.Connection, name: str, list_id: int) -> None:
        others = db.execute("SELECT 1 FROM song_list WHERE name = ? AND id <> ?", (storable(name), list_id))
        if others.fetchone():
            raise LibraryError(f"there is a list called {shown(name)} already; choose another name")


def _store_ids(db: sqlite3.Connection, list_id: int, ids: Sequence[int]) -> None:
    db.execute(
        "INSERT INTO song_list_track SELECT ?, key, value FROM json_each(?)"
        " WHERE EXISTS (SELECT 1 FROM track WHERE id = value)",
        (list_id, id_list(ids)),
    )
