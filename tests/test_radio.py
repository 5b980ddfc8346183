"""A radio: it goes on while there is any song that was not on, and plays none twice."""

import numpy as np
import pytest

from mirclr.errors import NoMatch
from mirclr.library.names import artist_key, song_key
from mirclr.recommend import Query
from mirclr.recommend.listening import set_taste
from mirclr.recommend.radio import next_songs
from tests.library_of import library_of


@pytest.fixture
def store(tmp_path):
    tags = [
        {"title": f"T{n}", "artist": f"A{n % 9}", "album": f"L{n % 5}", "genre": "rock" if n % 2 else "folk"}
        for n in range(40)
    ]
    with library_of(tmp_path, tags) as store:
        yield store


def played_through(store, query, *, at_once=3):
    played = []
    while len(played) < 200:
        found = next_songs(store, store.index, query, played)
        if not found.recommendations:
            return played, found.remarks
        assert len(found.recommendations) <= at_once
        played += [r.track.id for r in found.recommendations]
    raise AssertionError("it repeats")


def test_every_song_comes_once_and_then_it_says_so(store) -> None:
    played, remarks = played_through(store, Query(seeds=("id:1",), n=3))
    assert sorted(played) == list(range(1, 41))
    assert "every song" in remarks[0]


def test_it_begins_with_what_is_alike(store) -> None:
    first = next_songs(store, store.index, Query(seeds=("id:1",), n=5, artist_gap=0), [])
    expected = store.answer(Query(seeds=("id:1",), n=17, artist_gap=0)).recommendations
    assert [r.track.id for r in first.recommendations] == [r.track.id for r in expected][:5]


def test_filters_and_blocks_hold_to_the_end(store) -> None:
    store.add_blocks(["artist:A1"])
    played, _ = played_through(store, Query(seeds=("id:2",), genre=("rock",), n=3))
    tracks = store.tracks(played)
    assert {t.genre for t in tracks} == {"rock"}
    assert "A1" not in {t.artist for t in tracks}
    assert len(played) == sum(t.genre == "rock" and t.artist != "A1" for t in store.tracks())


def test_for_a_listener_what_is_disliked_never_comes(store) -> None:
    for i, taste in ((1, 1), (2, 1), (3, -1)):
        set_taste(store, "anna", store.tracks([i])[0], taste)
    played, _ = played_through(store, Query(profile="anna", n=3))
    assert sorted(played) == [i for i in range(1, 41) if i != 3]


def test_a_listener_of_whom_nothing_is_known_hears_anything(store) -> None:
    store.add_profile("new")
    assert len(next_songs(store, store.index, Query(profile="new", n=7), []).recommendations) == 7
    with pytest.raises(NoMatch):
        next_songs(store, store.index, Query(seeds=("no such song",)), [])


def test_an_artist_that_was_just_on_waits(store) -> None:
    last = [5, 6, 7]
    found = next_songs(store, store.index, Query(seeds=("id:1",), n=6), last)
    heard = [artist_key(t) for t in (*store.tracks(last), *(r.track for r in found.recommendations))]
    assert all(len(set(heard[at : at + 4])) == 4 for at in range(len(heard) - 3))
    assert [r.rank for r in found.recommendations] == [1, 2, 3, 4, 5, 6]


def test_another_version_of_what_was_on_waits_for_the_end(tmp_path) -> None:
    tags = [{"title": t, "artist": "B"} for t in ("Song", "Song (live)", "Other", "Third")]
    with library_of(tmp_path, tags, vectors=np.ones((4, 8)) + np.eye(4, 8) / 9) as store:
        assert song_key(store.tracks([1])[0]) == song_key(store.tracks([2])[0])
        found = next_songs(store, store.index, Query(seed=0, n=3, artist_cap=0, artist_gap=0), [1])
        assert [r.track.id for r in found.recommendations][-1] == 2
