"""How many songs a value of a filter would leave: as many as pass when it is chosen."""

from dataclasses import replace

import numpy as np
import pytest

from mirclr.errors import QueryError
from mirclr.library import Description, LibraryStore
from mirclr.recommend import MetadataFilters, Query
from mirclr.recommend.counts import FIELDS, Counts, count_values, filters_of
from tests.library_of import library_of

KEYS = ("Am", "C", "F#m")
TAGS = ("Rock", "Rock; Pop", "pop", None, "Hip-Hop/Rap")


@pytest.fixture
def store(tmp_path):
    tags = [
        {
            "title": f"T{n}",
            "artist": f"A{n % 7}",
            "genre": TAGS[n % 5],
            "year": None if n % 6 == 0 else 1960 + 7 * n % 60,
        }
        for n in range(60)
    ]
    with library_of(tmp_path, tags, durations=[30.0 + 11 * n for n in range(60)]) as store:
        ids = [track.id for track in store.tracks()]
        store.store_probabilities(
            "mood", {i: {"calm": (i % 10) / 10, "party": 1 - (i % 10) / 10} for i in ids}, "heads"
        )
        store.store_probabilities("genre", {i: {"rock": (i % 4) / 4, "jazz": 0.5} for i in ids[::2]}, "heads")
        store.store_descriptions({i: Description(60.0 + 5 * (i % 20), KEYS[i % 3], 0.9, -12.0) for i in ids if i % 8})
        store.remove(ids[5:7])
        yield store


CHOSEN = (
    None,
    Query(genre=("rock",)),
    Query(mood=("party",), year="1980s"),
    Query(bpm="~70", key="Am,compatible"),
    Query(duration_s="under 5m", genre=("pop", "jazz"), bpm="60..120"),
)


@pytest.mark.parametrize("chosen", CHOSEN, ids=str)
def test_each_count_is_what_choosing_it_leaves(store: LibraryStore, chosen: Query | None) -> None:
    filters = MetadataFilters(store)
    counts = count_values(filters, store.ids(), chosen and filters_of(chosen))
    assert counts.total == _passing(store, chosen or Query(seed=0))
    checked = 0
    for name in FIELDS:
        for one in getattr(counts, name):
            value = (one.value,) if name in ("genre", "mood") else one.value
            then = replace(chosen or Query(seed=0), **{name: value}, **({"octaves": False} if name == "bpm" else {}))
            assert one.songs == _passing(store, then), (name, one)
            checked += one.songs > 0
    assert checked > 5


def _passing(store: LibraryStore, query: Query) -> int:
    mask = MetadataFilters(store).passing(query)
    ids = store.ids()
    return len(ids) if mask is None else int(mask[ids].sum())


def test_what_is_listed_is_in_order_and_each_once(store: LibraryStore) -> None:
    counts = count_values(MetadataFilters(store), store.ids())
    assert [one.value for one in counts.genre] == ["Hip-Hop", "jazz", "Pop", "Rap", "rock"]
    assert [one.value for one in counts.key] == ["Am", "C", "F#m"]
    decades = [one.value for one in counts.year]
    assert decades == sorted(set(decades))


def test_a_library_of_nothing_known_counts_nothing(tmp_path) -> None:
    with library_of(tmp_path, [{} for _ in range(3)]) as store:
        counts = count_values(MetadataFilters(store), store.ids())
        assert counts == Counts(3, [], [], [], [], [], [], counts.duration_s)
        with pytest.raises(QueryError, match="no tempo is known"):
            count_values(MetadataFilters(store), store.ids(), Query(bpm="120"))


def test_songs_that_came_since_the_index_was_made_do_not_count(store: LibraryStore) -> None:
    some = store.ids()[:10]
    assert count_values(MetadataFilters(store), some).total == 10
    assert count_values(MetadataFilters(store), np.zeros(0, np.int64)).total == 0


def test_a_query_without_filters_has_none() -> None:
    assert filters_of(Query(seeds=("x",), profile="anna", diversity=0.5)) is None
    assert filters_of(Query(seeds=("x",), genre=("rock",), avoid=("y",))) == Query(seed=0, genre=("rock",))
