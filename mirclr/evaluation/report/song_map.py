"""`song_map`: a picture of a library in which songs that sound alike lie near each other."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from mirclr.library import LibraryStore
from mirclr.map.layout import lay_out
from mirclr.recommend.filters import likely_labels

_SONGS = 1500  # of a larger library a fixed random sample: more would be neither seen nor soon made
_LEAST = 8
_GROUPS = 6


@dataclass(frozen=True)
class Point:
    """A song in the picture: its place in [0, 1] across and down, its name, and its group, if it is in one."""

    x: float
    y: float
    label: str
    group: int | None


@dataclass(frozen=True)
class SongMap:
    """A picture of a library.

    Attributes
    ----------
    points : tuple of Point
    groups : tuple of str
        The most frequent genres, each with a colour.
    guessed : bool
        Whether the genres are a guess, as few files name theirs.
    songs : int
        Of how many songs the points are a sample, or all.
    """

    points: tuple[Point, ...]
    groups: tuple[str, ...]
    guessed: bool
    songs: int


def song_map(library: LibraryStore) -> SongMap | None:
    """Place the songs of a library in a plane as `mirclr.map.layout` does; None of very few.

    What lies near sounds alike; how far apart groups are, and which is left or right, says nothing.
    """
    with library.snapshot():
        ids, vectors = library.compared()
        if len(ids) < _LEAST:
            return None
        songs = len(ids)
        if songs > _SONGS:
            rows = np.sort(np.random.default_rng(0).choice(songs, _SONGS, replace=False))
            ids, vectors = ids[rows], vectors[rows]
        tracks = {t.id: t for t in library.tracks(ids.tolist())}
        genres, guessed = _genres(library, [tracks[i].genre for i in ids.tolist()], ids)
    placed = lay_out(vectors)
    placed = (placed - placed.min(axis=0)) / np.maximum(np.ptp(placed, axis=0), 1e-9)
    groups = [name for name, _ in Counter(filter(None, genres)).most_common(_GROUPS)]
    points = tuple(
        Point(round(float(x), 4), round(float(y), 4), tracks[i].label, groups.index(g) if g in groups else None)
        for i, (x, y), g in zip(ids.tolist(), placed, genres, strict=True)
    )
    return SongMap(points, tuple(groups), guessed, songs)


def _genres(library: LibraryStore, tagged: list[str | None], ids: np.ndarray) -> tuple[list[str], bool]:
    """One genre for each song, or an empty text: of the tags, or where few have one, predicted."""
    if sum(map(bool, tagged)) >= len(tagged) / 2 or "genre" not in library.tasks():
        return [" ".join((name or "").split()) for name in tagged], False
    found = likely_labels(library, "genre", ids.tolist())
    return [next(iter(found.get(i, {})), "") for i in ids.tolist()], True
