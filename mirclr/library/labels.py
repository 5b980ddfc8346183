"""What was found out about tracks beside their vectors: label probabilities, descriptions, near-duplicates."""

from collections.abc import Mapping, Sequence

import numpy as np

from mirclr.library.database import IDS, Database, id_list
from mirclr.library.records import Description


class Labels(Database):
    """What `mirclr classify`, `mirclr describe` and `mirclr duplicates` store."""

    def tasks(self) -> dict[str, str]:
        """The tasks that have stored probabilities, each with its source: the digest of the heads."""
        return dict(tuple(row) for row in self._rows("SELECT name, source FROM task ORDER BY name"))

    def store_probabilities(self, task: str, rows: Mapping[int, Mapping[str, float]], source: str) -> None:
        """Replace all probabilities of a task, in one transaction.

        Parameters
        ----------
        task : str
            Such as ``genre`` or ``mood``.
        rows : mapping of track id to (label to probability in [0, 1])
            Ids that are no longer held are left out.
        source : str
            Digest of the heads that gave them.

        Raises
        ------
        LibraryError
            A probability is not in [0, 1].
        """
        values = [(task, int(i), label, float(p), int(i)) for i, row in rows.items() for label, p in row.items()]
        with self._transaction() as db:
            db.execute("DELETE FROM task WHERE name = ?", (task,))
            db.execute("INSERT INTO task VALUES (?, ?)", (task, source))
            db.executemany(
                "INSERT INTO probability SELECT ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM track WHERE id = ?)",
                values,
            )

    def probabilities(self, task: str, ids: Sequence[int] | None = None) -> dict[int, dict[str, float]]:
        """The stored probabilities of a task by track id and label; tracks without any are left out."""
        query = "SELECT track_id, label, probability FROM probability WHERE task = ?"
        if ids is None:
            rows = self._rows(f"{query} ORDER BY track_id, label", task)
        else:
            rows = self._rows(f"{query} AND track_id IN {IDS} ORDER BY track_id, label", task, id_list(ids))
        found: dict[int, dict[str, float]] = {}
        for track_id, label, probability in rows:
            found.setdefault(track_id, {})[label] = probability
        return found

    def labels(self, task: str) -> list[str]:
        """The labels of a task that has stored probabilities, sorted."""
        return [row[0] for row in self._rows("SELECT DISTINCT label FROM probability WHERE task = ? ORDER BY 1", task)]

    def likely(self, task: str, label: str, at_least: float) -> np.ndarray:
        """The tracks for which a label has at least this probability: (n,) int64, ascending."""
        query = "SELECT track_id FROM probability WHERE task = ? AND label = ? AND probability >= ?"
        rows = self._iterate(query, task, label, at_least)
        return np.sort(np.fromiter((row[0] for row in rows), np.int64))

    def store_descriptions(self, descriptions: Mapping[int, Description]) -> None:
        """Store descriptions by track id, in one transaction; ids that are no longer held are left out."""
        values = [
            (int(i), d.tempo_bpm, d.key, d.key_strength, d.loudness_lufs, int(i)) for i, d in descriptions.items()
        ]
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO description SELECT ?, ?, ?, ?, ?"
                " WHERE EXISTS (SELECT 1 FROM track WHERE id = ?)",
                values,
            )

    def descriptions(self, ids: Sequence[int] | None = None) -> dict[int, Description]:
        """The stored descriptions, of all tracks or those of the given ids, by track id."""
        query = "SELECT track_id, tempo_bpm, key, key_strength, loudness_lufs FROM description"
        which, arguments = ("", ()) if ids is None else (f" WHERE track_id IN {IDS}", (id_list(ids),))
        return {row[0]: Description(*row[1:]) for row in self._rows(f"{query}{which} ORDER BY track_id", *arguments)}

    def store_near_duplicates(self, pairs: Mapping[tuple[int, int], float]) -> None:
        """Store how likely pairs of tracks are one recording, in [0, 1], beside what is stored of others."""
        values = [(*sorted((int(a), int(b))), float(p)) for (a, b), p in pairs.items()]
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO duplicate SELECT ?1, ?2, ?3"
                " WHERE (SELECT COUNT(*) FROM track WHERE id IN (?1, ?2)) = 2",
                values,
            )

    def near_duplicates(
        self, ids: Sequence[int] | None = None, *, at_least: float = 0.5
    ) -> dict[tuple[int, int], float]:
        """Likelihood by pair of ids, the lower one first.

        Parameters
        ----------
        ids : sequence of int, optional
            Only pairs that one of these is in.
        at_least : float
            Only pairs that are one recording with at least this likelihood; with 0, all that were ever compared.
        """
        query = "SELECT first, second, likelihood FROM duplicate WHERE likelihood >= ?"
        if ids is None:
            rows = self._rows(f"{query} ORDER BY 1, 2", at_least)
        else:
            listed = id_list(ids)
            either = f"{query} AND first IN {IDS} UNION {query} AND second IN {IDS} ORDER BY 1, 2"
            rows = self._rows(either, at_least, listed, at_least, listed)
        return {(row[0], row[1]): row[2] for row in rows}
