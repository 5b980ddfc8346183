"""Shards of made-up clips, each frame of which says which track it is of, and where."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mirclr.config import Recipe, parse_recipe
from mirclr.data.clips import Cached, ClipCache, Skipped
from mirclr.data.manifest import Track
from mirclr.data.shards import Plan, ShardSet, finish, write_shards
from mirclr.storage import Folder
from tests.ranks import TINY as RANKS

TINY = """
name: tiny
data: {train: shards.json, lanes: 4}
audio: {clip_seconds: 0.5}
mel: {n_mels: 8}
training: {batch: 12}
"""


def recipe(*overrides: str) -> Recipe:
    return parse_recipe(TINY, overrides=list(overrides))


class Filled(ClipCache):
    """A cache in which tracks are without having been decoded; each frame says which track it is of, and where."""

    def __init__(self, folder: Path, recipe: Recipe, bad: tuple[str, ...] = ()) -> None:
        super().__init__(recipe, "mel", folder)
        self.bad, self.asked = bad, 0

    def fill(self, tracks: Any, root: Path, *, workers: int | None = None) -> Iterator[Cached | Skipped]:
        self.folder.mkdir(parents=True, exist_ok=True)
        for track in tracks:
            self.asked += 1
            if track.id in self.bad:
                yield Skipped(track, f"{track.path}: not audio")
                continue
            number = int(track.id)
            file = self.folder / f"{number:032x}.raw"
            rows = np.random.default_rng(number).random((40 + number % 30, self.row)).astype("<f2")
            if self.row == 8:
                rows[:, 0], rows[:, 1] = number, np.arange(len(rows))
            rows.tofile(file)
            yield self._cached(track, file)


def tracks(n: int) -> list[Track]:
    return [
        Track(id=str(i), path=f"{i}.ogg", artist=f"a {i % 7}", genre="xyz"[i % 3], tags=("t",) * (i % 2))
        for i in range(n)
    ]


def made(
    folder: Path,
    n: int = 50,
    size: int = 8,
    seconds: float | None = None,
    bad: tuple[str, ...] = (),
    plan: Recipe | None = None,
) -> ShardSet:
    """Shards of n tracks, of so many each, in the front end of a recipe."""
    cache = Filled(folder / "cache", plan or recipe(), bad)
    packed, place = Plan.of(tracks(n), size, seconds), Folder(str(folder / "shards"))
    assert list(write_shards(packed, cache, folder, place))
    found = finish(packed, cache, place)
    assert found is not None
    return found


def of_ranks(folder: Path) -> list[str]:
    """Overrides of the recipe of tests/ranks.py, by which it trains on shards for more than an epoch."""
    made(folder, plan=parse_recipe(RANKS))
    data = f"data={{train: {json.dumps(str(folder / 'shards' / 'shards.json'))}, labels: genre, lanes: 3}}"
    return [data, "objective={name: sup_con}", "training.batch=10", "training.steps=7"]  # an epoch has 5
