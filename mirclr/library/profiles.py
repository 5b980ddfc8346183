"""What a person stores in a library: blocks, exclusions, saved queries, profiles of listeners."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mirclr.library.checks import parsed
from mirclr.library.database import Database, count_write, decode_path, encode_path, storable
from mirclr.library.records import Listen
from mirclr.terminal import shown


class Profiles(Database):
    """What outlives the vectors: rules, queries, listening."""

    def blocks(self) -> list[str]:
        """The rules that are always obeyed, such as ``artist:X``."""
        return [row[0] for row in self._rows("SELECT rule FROM block ORDER BY rule")]

    def add_blocks(self, rules: Iterable[str]) -> None:
        """Add rules; what is there already stays."""
        with self._transaction() as db:
            db.executemany("INSERT OR IGNORE INTO block VALUES (?)", [(storable(rule),) for rule in rules])

    def remove_blocks(self, rules: Iterable[str]) -> int:
        """Remove rules; returns how many there were."""
        with self._transaction() as db:
            return sum(db.execute("DELETE FROM block WHERE rule = ?", (storable(r),)).rowcount for r in rules)

    def exclusions(self) -> dict[str, list[str]]:
        """The patterns of folders and files that are left out when a folder is scanned, by root."""
        found: dict[str, list[str]] = {}
        for root, pattern in self._rows("SELECT root, pattern FROM exclusion ORDER BY root, pattern"):
            found.setdefault(decode_path(root), []).append(pattern)
        return found

    def add_exclusions(self, root: str, patterns: Iterable[str]) -> None:
        """Add patterns of what is left out below a root; what is there already stays."""
        with self._transaction() as db:
            values = [(encode_path(root), storable(pattern)) for pattern in patterns]
            db.executemany("INSERT OR IGNORE INTO exclusion VALUES (?, ?)", values)

    def remove_exclusions(self, root: str, patterns: Iterable[str]) -> None:
        """Remove patterns of a root."""
        with self._transaction() as db:
            values = [(encode_path(root), storable(pattern)) for pattern in patterns]
            db.executemany("DELETE FROM exclusion WHERE root = ? AND pattern = ?", values)

    def playlists(self) -> dict[str, dict[str, Any]]:
        """The saved queries, JSON values, by name."""
        rows = self._rows("SELECT name, query FROM playlist ORDER BY name")
        return {name: parsed(text, dict, f"the playlist {shown(name)!r}", self.path) for name, text in rows}

    def save_playlist(self, name: str, query: Mapping[str, Any]) -> None:
        """Save a query of JSON values under a name; one of that name is replaced."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO playlist VALUES (?, ?)", (storable(name), json.dumps(dict(query))))

    def delete_playlist(self, name: str) -> bool:
        """Delete a saved query; False when there is none of that name."""
        with self._transaction() as db:
            return bool(db.execute("DELETE FROM playlist WHERE name = ?", (storable(name),)).rowcount)

    def profiles(self) -> dict[str, int]:
        """The profiles of listeners, each with its number of listens."""
        query = "SELECT name, COUNT(profile) FROM profile LEFT JOIN listen ON profile = name"
        return {row[0]: row[1] for row in self._rows(f"{query} GROUP BY name ORDER BY name")}

    def store_listens(self, profile: str, listens: Iterable[Listen], *, replace: bool) -> None:
        """Store what a listener played and likes; one transaction.

        Parameters
        ----------
        profile : str
            Name of the profile; made where there is none.
        listens : iterable of Listen
            One for each piece of music; what the profile holds of it already is replaced.
        replace : bool
            Forget everything else that the profile holds.
        """
        name = storable(profile)
        values = [_row(profile, listen) for listen in listens]
        with self._transaction() as db:
            count_write(db, "listens")
            db.execute("INSERT OR IGNORE INTO profile VALUES (?)", (name,))
            if replace:
                db.execute("DELETE FROM listen WHERE profile = ?", (name,))
            db.executemany("INSERT OR REPLACE INTO listen VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    @property
    def listens_version(self) -> int:
        """Another value whenever profiles or listens were written, by whomever: for what is derived from them."""
        return self._count("listens")

    def add_profile(self, name: str) -> None:
        """Make a profile that holds nothing; one that is there stays."""
        with self._transaction() as db:
            count_write(db, "listens")
            db.execute("INSERT OR IGNORE INTO profile VALUES (?)", (storable(name),))

    def add_plays(self, profile: str, listens: Iterable[Listen]) -> None:
        """Add plays to what a profile holds of each piece, which is made where there is none; one transaction.

        One of the very time of the last play is that play, sent again. What is liked stays.
        """
        with self._transaction() as db:
            count_write(db, "listens")
            db.execute("INSERT OR IGNORE INTO profile VALUES (?)", (storable(profile),))
            db.executemany(
                "INSERT INTO listen VALUES (?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET"
                " plays = plays + excluded.plays * (last_s IS NOT excluded.last_s OR last_s IS NULL),"
                " last_s = MAX(COALESCE(last_s, excluded.last_s), COALESCE(excluded.last_s, last_s))",
                [_row(profile, listen)[:-1] for listen in listens],
            )

    def store_tastes(self, profile: str, listens: Iterable[Listen]) -> None:
        """Store what is thought of pieces, and nothing else of them; one transaction."""
        with self._transaction() as db:
            count_write(db, "listens")
            db.execute("INSERT OR IGNORE INTO profile VALUES (?)", (storable(profile),))
            db.executemany(
                "INSERT INTO listen VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET taste = excluded.taste",
                [_row(profile, replace(listen, plays=0, last_s=None)) for listen in listens],
            )
            db.execute("DELETE FROM listen WHERE profile = ? AND plays = 0 AND taste = 0", (storable(profile),))

    def listens(self, profile: str) -> list[Listen]:
        """What a profile holds; empty when there is no such profile."""
        query = "SELECT artist, title, album, file, plays, last_s, taste FROM listen WHERE profile = ?"
        rows = self._rows(f"{query} ORDER BY artist, title, file", storable(profile))
        return [Listen(r[0], r[1], r[2], decode_path(r[3]), *r[4:]) for r in rows]

    def delete_profile(self, name: str) -> bool:
        """Delete a profile; False when there is none of that name."""
        with self._transaction() as db:
            count_write(db, "listens")
            return bool(db.execute("DELETE FROM profile WHERE name = ?", (storable(name),)).rowcount)


def _row(profile: str, x: Listen) -> tuple[Any, ...]:
    texts = map(storable, (profile, x.artist, x.title, x.album))
    return (*texts, encode_path(x.file), x.plays, x.last_s, x.taste)
