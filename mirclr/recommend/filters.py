"""Metadata filters, which tracks they let pass: genre, mood, tempo, key, year, length.

A genre or mood is a track's where `mirclr classify predict` finds it likely (`LIKELY`), a genre also where the file's
own tag names it. A track of which a value is not known does not pass a filter that asks for it.
"""

from collections.abc import Callable, Sequence

import numpy as np

from mirclr.errors import QueryError
from mirclr.library import LibraryStore
from mirclr.recommend.keys import keys_of, parse_key
from mirclr.recommend.query import Query, Range
from mirclr.recommend.rules import genre_name, genres_of

LIKELY = 0.35


class MetadataFilters:
    """The metadata of a library's tracks as arrays, each read when first asked for and again when the library changed.

    Parameters
    ----------
    library : LibraryStore
        Whose tracks.
    """

    def __init__(self, library: LibraryStore) -> None:
        self._library = library
        self._state: object = None
        self._size = 0
        self._masks: dict[object, np.ndarray] = {}
        self._columns: dict[str, np.ndarray] = {}
        self._coded: dict[str, tuple[np.ndarray, list[str]]] = {}

    def passing(self, query: Query) -> np.ndarray | None:
        """(m,) bool by track id: what passes all filters; None when there are none.

        Raises
        ------
        QueryError
            A filter asks for what is known of no track of the library.
        """
        if self._state != (state := self._library.state):
            self._state, self._size = state, self._library.id_end()
            self._masks, self._columns, self._coded = {}, {}, {}
        masks = [self._of_task("genre", name) for name in query.genre], [self._of_task("mood", n) for n in query.mood]
        asked = [np.logical_or.reduce(any_of) for any_of in masks if any_of]
        for column, span in (("tempo_bpm", query.bpm), ("year", query.year), ("duration_s", query.duration_s)):
            if span is not None:
                asked.append(self._between(column, span))
        if query.key is not None:
            asked.append(self._in_key(query.key))
        return np.logical_and.reduce(asked) if asked else None

    def _of_task(self, task: str, name: str) -> np.ndarray:
        if (task, name) in self._masks:
            return self._masks[task, name]
        wanted = genre_name(name)
        label = next((known for known in self._library.labels(task) if genre_name(known) == wanted), None)
        mask = np.zeros(self._size, bool)
        if label:
            ids = self._library.likely(task, label, LIKELY)
            mask[ids[ids < self._size]] = True
        if task == "genre":
            mask |= self._texts("genre", lambda tag: wanted in genres_of(tag))
        if label is None and not mask.any():
            raise QueryError(self._nothing_known(task, name))
        self._masks[task, name] = mask
        return mask

    def _nothing_known(self, task: str, name: str) -> str:
        if labels := self._library.labels(task):
            return f"{task}: no track is of {name!r}; known are: {', '.join(labels)}"
        return f"{task}: found nothing about it in {self._library.path}; ask for it after: mirclr classify predict"

    def _between(self, column: str, span: Range) -> np.ndarray:
        values = self._column(column)
        if np.isnan(values).all():
            hint = "; find it out with: mirclr describe" if column == "tempo_bpm" else ""
            raise QueryError(f"{column}: of no track of {self._library.path} is it known{hint}")
        return (values >= span[0]) & (values <= span[1])

    def _in_key(self, key: str) -> np.ndarray:
        wanted = keys_of(key)
        if not self._codes("key")[1]:
            raise QueryError(f"key: of no track of {self._library.path} is it known; find it out with: mirclr describe")
        return self._texts("key", lambda name: parse_key(name) in wanted)

    def _texts(self, column: str, test: Callable[[str], bool]) -> np.ndarray:
        """Where a text passes a test, which is asked of each different text once."""
        codes, texts = self._codes(column)
        passes = np.array([*map(test, texts), False], bool)
        return passes[codes]

    def _column(self, name: str) -> np.ndarray:
        """(m,) float64 by track id, NaN where nothing is known."""
        if name not in self._columns:
            ids, values = self._library.column(name)
            column = np.full(self._size, np.nan)
            there = ids < len(column)
            column[ids[there]] = np.array(values, np.float64)[there]
            self._columns[name] = column
        return self._columns[name]

    def _codes(self, name: str) -> tuple[np.ndarray, list[str]]:
        """(m,) int32 by track id into the texts that there are, -1 where there is none."""
        if name not in self._coded:
            ids, values = self._library.column(name)
            texts: dict[str, int] = {}
            codes = np.full(self._size, -1, np.int32)
            there = ids < len(codes)
            codes[ids[there]] = np.array([texts.setdefault(v, len(texts)) for v in values], np.int32)[there]
            self._coded[name] = codes, list(texts)
        return self._coded[name]


def likely_labels(library: LibraryStore, task: str, ids: Sequence[int]) -> dict[int, dict[str, float]]:
    """The labels that tracks likely have, with their probabilities, the likeliest first; by track id."""
    return {
        i: {label: p for label, p in sorted(row.items(), key=lambda item: (-item[1], item[0])) if p >= LIKELY}
        for i, row in library.probabilities(task, ids).items()
    }
