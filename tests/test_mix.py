"""The order in which a DJ would play songs: short ways, no song lost, and reasons that are true."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirclr.library import Description, Outline
from mirclr.recommend.mix import mix_order, shortest_way
from tests.library_of import library_of


def length(way, costs) -> float:
    return sum(float(costs[a, b]) for a, b in pairwise(way))


@settings(max_examples=40)
@given(n=st.integers(0, 7), seed=st.integers(0, 1000))
def test_a_short_way_is_nearly_the_shortest_that_trying_all_finds(n, seed) -> None:
    costs = np.random.default_rng(seed).random((n, n))
    costs += costs.T
    way = shortest_way(costs)
    assert sorted(way) == list(range(n))
    best = min(length(one, costs) for one in permutations(range(n)))
    assert length(way, costs) <= 1.1 * best + 1e-9


def test_a_line_is_walked_along() -> None:
    places = np.random.default_rng(0).permutation(60).astype(float)
    way = shortest_way(np.abs(places[:, None] - places[None, :]))
    assert sorted(places[way]) in (list(places[way]), list(places[way][::-1]))


@pytest.fixture
def store(tmp_path):
    tags = [{"title": f"T{n}", "artist": f"A{n}"} for n in range(12)]
    vector = np.tile(np.eye(1, 8), (12, 1))
    with library_of(tmp_path, tags, vectors=vector) as store:
        yield store


def described(store, tempos, keys=(), louds=()):
    store.store_descriptions(
        {
            i: Description(tempo, keys[i - 1] if keys else None, 0.9, louds[i - 1] if louds else None)
            for i, tempo in enumerate(tempos, 1)
        }
    )


def test_tempos_rise_and_half_a_tempo_is_near(store) -> None:
    described(store, [120, 90, 100, 60.5, 110, 95])
    mixed = mix_order(store, [1, 2, 3, 5, 6])
    assert [one.tempo_bpm for one in mixed] == [90, 95, 100, 110, 120]
    with_half = [one.track.id for one in mix_order(store, range(1, 7))]
    assert abs(with_half.index(4) - with_half.index(1)) == 1  # 60.5 beside 120
    assert mixed[0].why == ()
    assert mixed[1].why == ("5 bpm faster",)


def test_where_a_mix_can_begin_and_end(store) -> None:
    beats = np.stack([np.arange(3.0, 60.0, 0.5), np.arange(114) % 4 + 1], axis=1)
    store.store_descriptions(
        {
            1: Description(120.0, None, 0.0, None, Outline(beats[2:])),
            2: Description(None, None, 0.0, None, Outline()),
            3: Description(120.0, None, 0.0, None),
        }
    )
    assert {one.track.id: one.bars_s for one in mix_order(store, [1, 2, 3])} == {1: (5.0, 59.0), 2: None, 3: None}


def test_keys_that_mix_follow_each_other(store) -> None:
    described(store, [100.0] * 5, keys=("C", "F#", "Am", "B", "Em"))
    mixed = mix_order(store, [1, 2, 3, 4, 5])
    names = [one.key for one in mixed]
    assert {frozenset(names[:3]), frozenset(names[2:])} & {frozenset(("C", "Am", "Em"))}
    assert "same tempo" in mixed[1].why


def test_it_becomes_louder(store) -> None:
    described(store, [100.0] * 4, louds=(-8.0, -20.0, -12.0, -16.0))
    mixed = mix_order(store, [1, 2, 3, 4])
    assert [one.loudness_lufs for one in mixed] == [-20.0, -16.0, -12.0, -8.0]
    assert all(one.why[-1] == "louder" for one in mixed[1:])


def test_the_order_does_not_depend_on_that_of_before_and_each_comes_once(store) -> None:
    described(store, [100, 101, 90, 140, 130, 99])
    orders = {
        tuple(one.track.id for one in mix_order(store, ids))
        for ids in ([1, 2, 3, 4, 5, 6, 9], [9, 6, 6, 5, 4, 3, 2, 1])
    }
    assert len(orders) == 1
    assert sorted(orders.pop()) == [1, 2, 3, 4, 5, 6, 9]
    assert mix_order(store, []) == []
    assert [one.track.id for one in mix_order(store, [7, 999])] == [7]


def test_two_of_one_artist_do_not_follow_each_other(tmp_path) -> None:
    tags = [{"title": f"T{n}", "artist": "X" if n < 3 else f"A{n}"} for n in range(6)]
    with library_of(tmp_path, tags, vectors=np.tile(np.eye(1, 8), (6, 1))) as store:
        artists = [one.track.artist for one in mix_order(store, range(1, 7))]
    assert all((a, b) != ("X", "X") for a, b in pairwise(artists))
