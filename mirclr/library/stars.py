"""What listeners starred in players: artists and albums by their keys, songs by their ids, each with the time."""

from collections.abc import Iterable
from typing import Literal

from mirclr.library.database import Database, count_write, storable

Kind = Literal["artist", "album", "song"]


class Stars(Database):
    """Stars; that a song is liked stands in the listens of its listener, and here only since when."""

    def stars(self, profile: str) -> dict[tuple[str, str], float]:
        """What a listener starred, by kind and name, and when, in seconds since 1970."""
        rows = self._rows("SELECT kind, name, at_s FROM star WHERE profile = ?", storable(profile))
        return {(row[0], row[1]): row[2] for row in rows}

    def add_stars(self, profile: str, kind: Kind, names: Iterable[str], at_s: float) -> None:
        """Star artists or albums by their keys, or songs by their ids; what is starred already stays so since then."""
        name = storable(profile)
        with self._transaction() as db:
            count_write(db, "listens")
            db.execute("INSERT OR IGNORE INTO profile VALUES (?)", (name,))
            values = [(name, kind, storable(one), at_s) for one in names]
            db.executemany("INSERT OR IGNORE INTO star VALUES (?, ?, ?, ?)", values)

    def remove_stars(self, profile: str, kind: Kind, names: Iterable[str]) -> None:
        """Take stars away; of what has none nothing changes."""
        values = [(storable(profile), kind, storable(one)) for one in names]
        with self._transaction() as db:
            count_write(db, "listens")
            db.executemany("DELETE FROM star WHERE profile = ? AND kind = ? AND name = ?", values)
