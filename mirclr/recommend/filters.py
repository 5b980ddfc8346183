"""Metadata filters, which tracks they let pass: genre, mood, vocal or not, tempo, key, year, length.

A genre or mood is a track's where `mirclr classify predict` finds it likely (`LIKELY`), a genre also where the file's
own tag names it. A track has a voice where that is more likely than not. A track of which a value is not known does
not pass a filter that asks for it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mirclr.errors import QueryError
from mirclr.library import LibraryStore, shown
from mirclr.names import close_names
from mirclr.recommend.aspects import AspectRows
from mirclr.recommend.keys import keys_of, parse_key
from mirclr.recommend.query import Query
from mirclr.recommend.ranges import Range
from mirclr.recommend.rules import genre_name, genres_of, parse_rule
from mirclr.recommend.words import command as command_line
from mirclr.terminal import did_you_mean

LIKELY = 0.35
VOICED = 0.5
_VOCAL = ("voice", "vocal")  # the task and label that say whether there is a voice
_COLUMNS = {"bpm": "tempo_bpm", "year": "year", "duration_s": "duration_s"}
_NAMES = {"year": "year in its tags", "duration_s": "length"}
ASKED = {"columns": [*_COLUMNS.values(), "vocal"], "coded": ["key", "genre"], "likely": ["genre", "mood"]}
"""What pages with filters ask for, as `MetadataArrays.names` has it."""
_SHOWN = 30
_FITS = 32  # genres and moods of which the arrays are kept


@dataclass(frozen=True, eq=False)
class MetadataArrays:
    """What `MetadataFilters` reads of a library, each when first asked for; may be used by several threads.

    Attributes
    ----------
    version : object
        The library's `metadata_version` when it was begun.
    size : int
        One more than the highest id of a track then.
    fits, columns, coded, likely, aspects : dict
        What was read; see the methods of `MetadataFilters` of like names.
    """

    version: object
    size: int
    fits: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    coded: dict[str, tuple[np.ndarray, list[str]]] = field(default_factory=dict)
    likely: dict[str, tuple[list[str], np.ndarray, np.ndarray]] = field(default_factory=dict)
    aspects: dict[str, AspectRows] = field(default_factory=dict)

    @classmethod
    def of(cls, library: LibraryStore) -> "MetadataArrays":
        """Of a library as it is now; nothing is read yet."""
        return cls(library.metadata_version, library.id_end())

    @property
    def names(self) -> dict[str, list[Any]]:
        """What was read, by the names of the attributes."""
        return {name: list(getattr(self, name)) for name in ("columns", "coded", "likely", "fits", "aspects")}

    @classmethod
    def read(cls, library: LibraryStore, names: Mapping[str, Sequence[Any]]) -> "MetadataArrays":
        """Of a library as it is now, with all read that was read of another, as `names` gives it."""
        new = cls.of(library)
        filters = MetadataFilters(library, new)
        for name in names.get("columns", ()):
            filters._column(name)
        for name in names.get("coded", ()):
            filters._codes(name)
        for task in names.get("likely", ()):
            filters.likely(task)
        for name in names.get("aspects", ()):
            filters.aspect(name)
        for task, name in names.get("fits", ()):
            with suppress(QueryError):  # no track is of it any more
                filters._fit(task, name)
        return new


class MetadataFilters:
    """The metadata of a library's tracks as arrays, each read when first asked for and again when the library changed.

    Parameters
    ----------
    library : LibraryStore
        Whose tracks.
    arrays : MetadataArrays, optional
        What was read of it before, by whatever connection; then it stays at the state of the library of that time.
    """

    def __init__(self, library: LibraryStore, arrays: "MetadataArrays | None" = None) -> None:
        self._library = library
        self._stays = arrays is not None
        self._arrays = arrays or MetadataArrays(None, 0)

    def passing(self, query: Query, but: Sequence[str] = ()) -> np.ndarray | None:
        """(m,) bool by track id: what passes all filters but for those of some fields; None when there are none.

        Raises
        ------
        QueryError
            A filter asks for what is known of no track of the library.
        """
        masks = self.masks(query, but)
        return np.logical_and.reduce(list(masks.values())) if masks else None

    def masks(self, query: Query, but: Sequence[str] = ()) -> dict[str, np.ndarray]:
        """For each filter of a query, by its field, but for some, what passes it: (m,) bool by track id.

        Raises
        ------
        QueryError
            As `passing`.
        """
        self._bring_up_to_date()
        found = {}
        for task in ("genre", "mood"):
            if (names := getattr(query, task)) and task not in but:
                found[task] = np.maximum.reduce([self._fit(task, name) for name in names]) >= LIKELY
        if query.vocal is not None and "vocal" not in but:
            found["vocal"] = self.vocal(query.vocal)
        for name, column in _COLUMNS.items():
            if getattr(query, name) is not None and name not in but:
                found[name] = self._between(column, _spans(query, name))
        if query.key is not None and "key" not in but:
            found["key"] = self._in_key(query.key)
        return found

    def fit(self, query: Query) -> np.ndarray | None:
        """(m,) float64 by track id: how sure it is that a track is of the genre and mood asked for; None where none is.

        The product over both of the likeliest label that will do: its probability, or 1 where the file's tag says so.
        """
        self._bring_up_to_date()
        tasks = [(task, names) for task in ("genre", "mood") if (names := getattr(query, task))]
        fits = [np.maximum.reduce([self._fit(task, name) for name in names]) for task, names in tasks]
        return np.multiply.reduce(fits) if fits else None

    def likely(self, task: str) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Which tracks pass a filter for each genre or mood: the labels, and for (k,) pairs of both the places of the
        labels and the ids of the tracks.

        As `passing` has it: what is likely, and what tags name.
        """
        self._bring_up_to_date()
        if task not in self._arrays.likely:
            self._arrays.likely[task] = self._found_likely(task)
        return self._arrays.likely[task]

    def texts(self, column: str) -> tuple[np.ndarray, list[str]]:
        """A field of texts, ``key``: (m,) int32 by track id into the texts that there are, -1 where there is none."""
        self._bring_up_to_date()
        return self._codes(column)

    def vocal(self, wanted: bool) -> np.ndarray:
        """(m,) bool by track id: where a voice is heard, or where none is.

        Raises
        ------
        QueryError
            It is known of no track.
        """
        self._bring_up_to_date()
        likely = self._column("vocal")
        if np.isnan(likely).all():
            raise QueryError(self._unknown("voice", "classify predict"))
        return likely >= VOICED if wanted else likely < VOICED

    def values(self, name: str) -> np.ndarray:
        """(m,) float64 by track id: a field of `Query` with bounds, such as ``year``; NaN where nothing is known.

        Of ``vocal`` how sure it is that there is a voice.
        """
        self._bring_up_to_date()
        return self._column(_COLUMNS.get(name, name))

    def aspect(self, name: str) -> AspectRows:
        """An aspect of all tracks that have it, one of `mirclr.library.aspects.ASPECTS`."""
        self._bring_up_to_date()
        if name not in self._arrays.aspects:
            self._arrays.aspects[name] = AspectRows.of(name, *self._library.aspect(name))
        return self._arrays.aspects[name]

    def span(self, name: str) -> tuple[float, float]:
        """The least and most value of a field of `Query` with bounds, such as ``year``, in the library."""
        values = self._column(_COLUMNS[name])
        return float(np.nanmin(values)), float(np.nanmax(values))

    def unknown(self, name: str, ids: np.ndarray) -> int:
        """Of how many of some tracks a field of `Query` with bounds, such as ``year``, is not known."""
        values = self._column(_COLUMNS[name])
        return int(np.isnan(values[ids[ids < len(values)]]).sum() + (ids >= len(values)).sum())

    def _bring_up_to_date(self) -> None:
        if not self._stays and self._arrays.version != self._library.metadata_version:
            self._arrays = MetadataArrays.of(self._library)

    @property
    def _size(self) -> int:
        return self._arrays.size

    def _fit(self, task: str, name: str) -> np.ndarray:
        """(m,) float64 by track id: how likely a label is, 1 where a tag says so."""
        wanted, fits = genre_name(name), self._arrays.fits
        if (held := fits.get((task, wanted))) is not None:
            return held
        label = next((known for known in self._library.labels(task) if genre_name(known) == wanted), None)
        fit = np.zeros(self._size)
        if label:
            ids, probabilities = self._library.label_probabilities(task, label)
            fit[ids[ids < self._size]] = probabilities[ids < self._size]
        if task == "genre":
            fit[self._texts("genre", lambda tag: wanted in genres_of(tag))] = 1.0
        if label is None and not fit.any():
            raise QueryError(self._nothing_known(task, name))
        while len(fits) >= _FITS:
            fits.pop(next(iter(fits)), None)
        fits[task, wanted] = fit
        return fit

    def _found_likely(self, task: str) -> tuple[list[str], np.ndarray, np.ndarray]:
        places: dict[str, int] = {}
        names: list[str] = []

        def place(name: str) -> int:
            at = places.setdefault(genre_name(name), len(names))
            if at == len(names):
                names.append(name)
            return at

        pairs: list[np.ndarray] = [np.zeros(0, np.int64)]
        for label in self._library.labels(task):
            ids, probabilities = self._library.label_probabilities(task, label)
            pairs.append(place(label) * self._size + ids[(probabilities >= LIKELY) & (ids < self._size)])
        if task == "genre":
            codes, tags = self._codes("genre")
            of_tags = np.split(
                order := np.argsort(codes, kind="stable"), np.searchsorted(codes[order], range(len(tags)))
            )
            for tag, ids in zip(tags, of_tags[1:], strict=True):
                pairs += [place(name) * self._size + ids for name in named_genres(tag)]
        both = np.unique(np.concatenate(pairs))
        of_labels, ids = np.divmod(both, max(self._size, 1))
        return names, of_labels, ids

    def _nothing_known(self, task: str, name: str) -> str:
        known = genres_here(self._library) if task == "genre" else self._library.labels(task)
        if not known:
            return self._unknown(task, "classify predict")
        close = close_names(name, known)
        others = ", ".join(map(shown, known[:_SHOWN])) + (", …" if len(known) > _SHOWN else "")
        none = f"no song in your library is {shown(name)}" + (" (mood)" if task == "mood" else "")
        return none + (did_you_mean(close) or f"; there are: {others}")

    def _between(self, column: str, spans: Sequence[Range]) -> np.ndarray:
        values = self._column(column)
        if np.isnan(values).all():
            none = f"no song in your library has a {_NAMES.get(column)}"
            raise QueryError(self._unknown("tempo", "describe") if column == "tempo_bpm" else none)
        return np.logical_or.reduce([(values >= least) & (values <= most) for least, most in spans])

    def _in_key(self, key: str) -> np.ndarray:
        wanted = keys_of(key)
        if not self._codes("key")[1]:
            raise QueryError(self._unknown("key", "describe"))
        return self._texts("key", lambda name: parse_key(name) in wanted)

    def _unknown(self, what: str, command: str) -> str:
        how = command_line(self._library, *command.split())
        return f"no {what} is known of any song in your library; find it out with: {how}"

    def _texts(self, column: str, test: Callable[[str], bool]) -> np.ndarray:
        """Where a text passes a test, which is asked of each different text once."""
        codes, texts = self._codes(column)
        passes = np.array([*map(test, texts), False], bool)
        return passes[codes]

    def _column(self, name: str) -> np.ndarray:
        """(m,) float64 by track id, NaN where nothing is known."""
        if name not in self._arrays.columns:
            probable = name == "vocal"
            ids, values = self._library.label_probabilities(*_VOCAL) if probable else self._library.column(name)
            column = np.full(self._size, np.nan)
            there = ids < len(column)
            column[ids[there]] = np.array(values, np.float64)[there]
            self._arrays.columns[name] = column
        return self._arrays.columns[name]

    def _codes(self, name: str) -> tuple[np.ndarray, list[str]]:
        """(m,) int32 by track id into the texts that there are, -1 where there is none."""
        if name not in self._arrays.coded:
            ids, values = self._library.column(name)
            texts: dict[str, int] = {}
            codes = np.full(self._size, -1, np.int32)
            there = ids < len(codes)
            codes[ids[there]] = np.array([texts.setdefault(v, len(texts)) for v in values], np.int32)[there]
            self._arrays.coded[name] = codes, list(texts)
        return self._arrays.coded[name]


def asks_for_guesses(query: Query, blocks: Sequence[str]) -> bool:
    """Whether a query, or a rule that is always obeyed, looks at what may have to be guessed: genre, mood, vocals."""
    rules = [parse_rule(rule) for rule in (*query.exclude, *blocks)]
    return bool(query.genre or query.mood or query.vocal is not None) or any(rule.kind == "genre" for rule in rules)


def genres_here(library: LibraryStore) -> list[str]:
    """The genres that tags name or that were predicted, each once, sorted."""
    _, tags = library.column("genre")
    named = (name for tag in dict.fromkeys(tags) for name in named_genres(tag))
    found: dict[str, str] = {}
    for name in (*library.labels("genre"), *named):
        if folded := genre_name(name):
            found.setdefault(folded, name)
    return sorted(found.values(), key=genre_name)


def named_genres(tag: str) -> list[str]:
    """The genres that a tag names, as it writes them; see `rules.genres_of`."""
    return [part.strip() for part in re.split("[,;/\0]", tag) if genre_name(part)]


def _spans(query: Query, name: str) -> list[Range]:
    span = getattr(query, name)
    factors = (1.0, 0.5, 2.0) if name == "bpm" and query.octaves else (1.0,)
    return [(span[0] * factor, span[1] * factor) for factor in factors]


def likely_labels(library: LibraryStore, task: str, ids: Sequence[int]) -> dict[int, dict[str, float]]:
    """The labels that tracks likely have, with their probabilities, the likeliest first; by track id."""
    return {
        i: {label: p for label, p in sorted(row.items(), key=lambda item: (-item[1], item[0])) if p >= LIKELY}
        for i, row in library.probabilities(task, ids).items()
    }
