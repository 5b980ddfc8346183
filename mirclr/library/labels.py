"""What was found out about tracks beside their vectors: label probabilities, descriptions, near-duplicates."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mirclr.errors import LibraryError
from mirclr.library.aspects import packed_aspects
from mirclr.library.checks import parsed
from mirclr.library.database import IDS, Database, count_write, id_list, storable
from mirclr.library.outlines import packed_outline
from mirclr.library.records import Description
from mirclr.provenance import digest_json

_ANSWERS, _SHARES = "answers", "genre shares"  # among the single values of a library, as JSON


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
            count_write(db, "probabilities")

    @property
    def probabilities_version(self) -> int:
        """Another value whenever probabilities were stored, by whomever: for what is derived from them."""
        return self._count("probabilities")

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

    def without_probabilities(self, task: str) -> list[int]:
        """The tracks with a vector that have no probabilities of a task, by id."""
        query = (
            "SELECT track_id FROM vector WHERE NOT EXISTS (SELECT 1 FROM probability"
            " WHERE task = ? AND probability.track_id = vector.track_id) ORDER BY track_id"
        )
        return [row[0] for row in self._rows(query, task)]

    def answers(self, task: str) -> dict[int, dict[str, bool]]:
        """What a person said of labels of a task: by track id and label, whether it is right."""
        held = self._answers().get(task, {})
        return {int(i): {label: yes is True for label, yes in of.items()} for i, of in held.items() if i.isdecimal()}

    def store_answer(self, task: str, track_id: int, label: str, right: bool) -> None:
        """Keep whether a label of a task is right for a track, as a person says; the last answer counts."""
        with self._transaction() as db:
            held = self._answers()
            held.setdefault(task, {}).setdefault(str(int(track_id)), {})[storable(label)] = right
            self._keep(db, _ANSWERS, held)

    def store_answers(self, task: str, rows: Mapping[int, Mapping[str, bool]], *, alone: bool = False) -> None:
        """Keep what a person says of labels of a task, of many tracks at once.

        Parameters
        ----------
        task : str
            Such as ``genre``.
        rows : mapping of track id to (label to bool)
            Whether each is right.
        alone : bool
            Whether they replace all that was said of the task for these tracks.
        """
        with self._transaction() as db:
            held = self._answers()
            of_task = held.setdefault(task, {})
            for track_id, answers in rows.items():
                before = {} if alone else of_task.get(str(int(track_id)), {})
                now = {storable(label): bool(yes) for label, yes in answers.items()}
                of_task[str(int(track_id))] = {k: v for k, v in before.items() if k not in now} | now
            self._keep(db, _ANSWERS, held)

    def forget_answers(self, ids: Sequence[int]) -> int:
        """Forget all that a person said of some tracks; of how many of them there was something."""
        gone = {str(int(i)) for i in ids}
        with self._transaction() as db:
            held = self._answers()
            known = {i for of in held.values() for i in of} & gone
            kept = {task: {i: of for i, of in rows.items() if i not in gone} for task, rows in held.items()}
            self._keep(db, _ANSWERS, {task: rows for task, rows in kept.items() if rows})
        return len(known)

    @property
    def corrections_version(self) -> str:
        """Another value whenever a person corrects labels, or how common genres are."""
        return digest_json([self._meta(_ANSWERS), self._meta(_SHARES)])

    def genre_shares(self) -> dict[str, float]:
        """How common genres are in the library, as a person said; empty where nothing was said."""
        what = "how common its genres are"
        held: dict[str, Any] = parsed(self._meta(_SHARES) or "{}", dict, what, self.path)
        if not all(isinstance(p, int | float) and 0 <= p <= 1 for p in held.values()):
            raise LibraryError(f"{self.path}: not a library of mirclr's, or damaged: {what} cannot be read")
        return held

    def store_genre_shares(self, shares: Mapping[str, float]) -> None:
        """Keep how common genres are in the library; an empty mapping forgets it."""
        with self._transaction() as db:
            self._keep(db, _SHARES, {storable(name): float(share) for name, share in shares.items()})

    @staticmethod
    def _keep(db: sqlite3.Connection, name: str, value: Mapping[str, Any]) -> None:
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, json.dumps(value, ensure_ascii=False)))

    def _answers(self) -> dict[str, dict[str, dict[str, bool]]]:
        what = "what a person said of genres and moods"
        held: dict[str, Any] = parsed(self._meta(_ANSWERS) or "{}", dict, what, self.path)
        by_track = [of for task in held.values() for of in (task.values() if isinstance(task, dict) else [None])]
        if not all(isinstance(of, dict) for of in by_track):
            raise LibraryError(f"{self.path}: not a library of mirclr's, or damaged: {what} cannot be read")
        return held

    def labels(self, task: str) -> list[str]:
        """The labels of a task that has stored probabilities, sorted."""
        return [row[0] for row in self._rows("SELECT DISTINCT label FROM probability WHERE task = ? ORDER BY 1", task)]

    def label_probabilities(self, task: str, label: str) -> tuple[np.ndarray, np.ndarray]:
        """How likely a label is: ids of the tracks of which that is stored, (n,) int64, and as many float64."""
        rows = self._rows("SELECT track_id, probability FROM probability WHERE task = ? AND label = ?", task, label)
        return np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.float64)

    def count_likeliest(self, task: str, at_least: float) -> tuple[int, dict[str, int]]:
        """How many tracks have probabilities, and of how many each label is the likeliest, and likely at least."""
        known = self._rows("SELECT COUNT(DISTINCT track_id) FROM probability WHERE task = ?", task)[0][0]
        ranked = "ROW_NUMBER() OVER (PARTITION BY track_id ORDER BY probability DESC, label)"
        rows = self._rows(
            "SELECT label, COUNT(*) FROM"  # noqa: S608
            f" (SELECT label, probability, {ranked} place FROM probability WHERE task = ?)"
            " WHERE place = 1 AND probability >= ? GROUP BY label ORDER BY label",
            task,
            at_least,
        )
        return known, {row[0]: row[1] for row in rows}

    def count_described(self) -> int:
        """Of how many tracks tempo, key and loudness were looked for."""
        return int(self._rows("SELECT COUNT(*) FROM description")[0][0])

    def likeliest_labels(self, task: str) -> tuple[np.ndarray, list[str], np.ndarray]:
        """The likeliest label of each track of a task: ids, (n,) int64 ascending, labels, and (n,) float64."""
        rows = self._rows(  # of the row that holds the greatest SQLite gives the other columns too
            "SELECT track_id, label, MAX(probability) AS probability FROM probability WHERE task = ?"
            " GROUP BY track_id ORDER BY track_id",
            task,
        )
        ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        return ids, [row[1] for row in rows], np.fromiter((row[2] for row in rows), np.float64, len(rows))

    def store_descriptions(self, descriptions: Mapping[int, Description]) -> None:
        """Store descriptions with their outlines and aspects by track id, in one transaction; ids that are no longer
        held are left out.
        """
        values = [
            (int(i), d.tempo_bpm, d.key, d.key_strength, d.loudness_lufs, int(i)) for i, d in descriptions.items()
        ]
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO description SELECT ?, ?, ?, ?, ?"
                " WHERE EXISTS (SELECT 1 FROM track WHERE id = ?)",
                values,
            )
            db.executemany(
                "INSERT OR REPLACE INTO outline SELECT ?, ? WHERE EXISTS (SELECT 1 FROM track WHERE id = ?)",
                [(int(i), packed_outline(d.outline), int(i)) for i, d in descriptions.items() if d.outline],
            )
            db.executemany(
                "INSERT OR REPLACE INTO aspect SELECT ?, ?, ? WHERE EXISTS (SELECT 1 FROM track WHERE id = ?)",
                [
                    (int(i), *packed_aspects(d.aspects), int(i))
                    for i, d in descriptions.items()
                    if d.aspects is not None
                ],
            )
            count_write(db, "descriptions")

    @property
    def descriptions_version(self) -> int:
        """Another value whenever descriptions were stored, by whomever: for what is derived from them."""
        return self._count("descriptions")

    def descriptions(self, ids: Sequence[int] | None = None) -> dict[int, Description]:
        """The stored descriptions, of all tracks or those of the given ids, by track id; without what is read
        by itself (`outlines`, `aspect`).
        """
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
