"""`count_values`: how many songs each value of each filter would leave, as a person chooses filters by them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mirclr.recommend.filters import VOICED, MetadataFilters
from mirclr.recommend.query import Query
from mirclr.recommend.ranges import Bounds, parse_bpm, parse_duration, parse_years
from mirclr.recommend.rules import genre_name

FIELDS = ("genre", "mood", "vocal", "key", "year", "bpm", "duration_s")
"""Of `Query`: its filters."""
_TEMPO_BPM = 10
_LENGTHS = ("under 2m", "2m..3m", "3m..4m", "4m..5m", "5m..7m", "7m..10m", "over 10m")


@dataclass(frozen=True)
class Counted:
    """One value of a filter, and how many songs would be left if it were the only one chosen of its filter.

    Attributes
    ----------
    value : str
        As `Query` takes it: a label, a key, "1990s", "120..130"; "yes" or "no" of vocals.
    songs : int
    """

    value: str
    songs: int


@dataclass(frozen=True)
class Counts:
    """How many songs filters leave.

    Attributes
    ----------
    total : int
        What all filters of the query leave together. What rules keep out is not looked at.
    genre, mood, vocal, key, year, bpm, duration_s : list of Counted
        For each filter what its values would leave, with the other filters as they are: labels by name; keys, years by
        decades, tempos by tens, lengths by minutes, in their order. What no song has at all is left out.
    """

    total: int
    genre: list[Counted]
    mood: list[Counted]
    vocal: list[Counted]
    key: list[Counted]
    year: list[Counted]
    bpm: list[Counted]
    duration_s: list[Counted]


def count_values(filters: MetadataFilters, ids: np.ndarray, query: Query | None = None) -> Counts:
    """Count what each value of each filter would leave.

    Parameters
    ----------
    filters : MetadataFilters
        Of a library.
    ids : (n,) int64
        The tracks that count, such as all of its index.
    query : Query, optional
        The filters that are chosen so far; what else it asks is not looked at.

    Raises
    ------
    QueryError
        A filter asks for what is known of no track.
    """
    masks = filters.masks(query) if query is not None else {}
    there = np.zeros(int(ids.max()) + 1 if len(ids) else 0, bool)
    there[ids] = True
    size = max(len(there), len(filters.values("duration_s")))
    there = _padded(there, size)

    def left(but: str) -> np.ndarray:
        others = [_padded(mask, size) for name, mask in masks.items() if name != but]
        return np.logical_and.reduce([there, *others])

    lefts = {name: left(name) for name in FIELDS}
    return Counts(
        total=int(left("").sum()),
        genre=_labels(filters, "genre", lefts["genre"]),
        mood=_labels(filters, "mood", lefts["mood"]),
        vocal=_voices(filters, lefts["vocal"]),
        key=_keys(filters, lefts["key"]),
        year=_decades(filters, lefts["year"]),
        bpm=_tempos(filters, lefts["bpm"]),
        duration_s=_lengths(filters, lefts["duration_s"]),
    )


def most_likely(filters: MetadataFilters, task: str, most: int) -> list[Counted]:
    """The genres or moods of which most songs are, as many as filters for them let pass, the most frequent first."""
    names, of_labels, _ = filters.likely(task)
    counts = np.bincount(of_labels, minlength=len(names)).tolist()
    found = [Counted(name, n) for name, n in zip(names, counts, strict=True) if n]
    return sorted(found, key=lambda one: (-one.songs, genre_name(one.value)))[:most]


def filters_of(query: Query) -> Query | None:
    """A query that has the filters of another and asks nothing else; None where it has none."""
    kept: dict[str, Any] = {name: getattr(query, name) for name in (*FIELDS, "octaves")}
    return replace(Query(seed=0), **kept) if any(kept.values()) or query.vocal is not None else None


def _padded(mask: np.ndarray, size: int) -> np.ndarray:
    return mask if len(mask) == size else np.concatenate([mask, np.zeros(size - len(mask), bool)])


def _labels(filters: MetadataFilters, task: str, left: np.ndarray) -> list[Counted]:
    names, of_labels, ids = filters.likely(task)
    counts = np.bincount(of_labels[left[ids]], minlength=len(names)).tolist()
    return [Counted(name, n) for name, n in sorted(zip(names, counts, strict=True), key=lambda x: genre_name(x[0]))]


def _voices(filters: MetadataFilters, left: np.ndarray) -> list[Counted]:
    likely = filters.values("vocal")
    held = likely[left[: len(likely)]]
    if np.isnan(likely).all():
        return []
    return [Counted("yes", int((held >= VOICED).sum())), Counted("no", int((held < VOICED).sum()))]


def _keys(filters: MetadataFilters, left: np.ndarray) -> list[Counted]:
    codes, names = filters.texts("key")
    held = codes[left[: len(codes)]]
    counts = np.bincount(held[held >= 0], minlength=len(names)).tolist()
    return [Counted(name, n) for name, n in sorted(zip(names, counts, strict=True))]


def _decades(filters: MetadataFilters, left: np.ndarray) -> list[Counted]:
    years = filters.values("year")
    decades = np.unique(years[~np.isnan(years)] // 10 * 10).astype(int).tolist()
    return _between(years, left, parse_years, [f"{decade}s" for decade in decades if 1000 <= decade < 10_000])


def _tempos(filters: MetadataFilters, left: np.ndarray) -> list[Counted]:
    tempos = filters.values("bpm")
    tens = np.unique(tempos[~np.isnan(tempos)] // _TEMPO_BPM * _TEMPO_BPM).astype(int).tolist()
    return _between(tempos, left, parse_bpm, [f"{low}..{low + _TEMPO_BPM}" for low in tens])


def _lengths(filters: MetadataFilters, left: np.ndarray) -> list[Counted]:
    return _between(filters.values("duration_s"), left, parse_duration, _LENGTHS)


def _between(
    values: np.ndarray, left: np.ndarray, parse: Callable[[str], Bounds], texts: Sequence[str]
) -> list[Counted]:
    """How many of what is left is within each of some bounds; those that no track at all is within are left out."""
    left = left[: len(values)]
    counted = []
    for text in texts:
        least, most, _ = parse(text)
        within = (values >= least) & (values <= most)
        if within.any():
            counted.append(Counted(text, int((within & left).sum())))
    return counted
