"""What is played and liked: kept in profiles as histories are, and found again."""

from dataclasses import replace

import pytest

from mirclr.errors import QueryError
from mirclr.library import Listen
from mirclr.recommend.listening import check_name, listen_of, record_play, record_submission, set_taste, tastes_of
from tests.library_of import library_of


@pytest.fixture
def store(tmp_path):
    tags = [{"title": f"T{n}", "artist": f"A{n}", "album": "L"} for n in range(3)] + [{}]
    with library_of(tmp_path, tags, durations=[100.0, 1000.0, 200.0, 60.0]) as store:
        yield store


def track(store, i):
    return store.tracks([i])[0]


@pytest.mark.parametrize(("i", "played_s", "counts"), [(1, 50, True), (1, 49, False), (2, 240, True), (2, 239, False)])
def test_half_of_a_song_or_four_minutes_are_a_play(store, i, played_s, counts) -> None:
    assert record_play(store, "me", track(store, i), played_s, now_s=1e9) is counts
    assert [x.plays for x in store.listens("me")] == [1] * counts


def test_plays_add_up_and_likes_stay(store) -> None:
    set_taste(store, "me", track(store, 1), 1)
    for at in (1e9, 1e9 + 500, 1e9 + 500, 1e9 + 200):  # the third is the second, sent again
        record_play(store, "me", track(store, 1), 90, now_s=at)
    (listen,) = store.listens("me")
    assert listen == replace(listen_of(track(store, 1)), plays=3, last_s=1e9 + 500, taste=1)
    set_taste(store, "me", track(store, 1), 0)
    assert store.listens("me") == [replace(listen, taste=0)]


def test_a_taste_is_of_the_song_whatever_a_history_calls_it(store) -> None:
    imported = [Listen("a0", "t0 (Remastered 2011)", plays=3, taste=1), Listen("Else", "Gone", taste=-1)]
    store.store_listens("me", imported, replace=True)
    assert tastes_of(store, "me") == {1: 1}
    set_taste(store, "me", track(store, 1), -1)
    assert tastes_of(store, "me") == {1: -1}
    set_taste(store, "me", track(store, 1), 0)
    assert tastes_of(store, "me") == {}
    assert {x.title: (x.plays, x.taste) for x in store.listens("me")} == {
        "t0 (Remastered 2011)": (3, 0),
        "Gone": (0, -1),
    }


def test_a_song_without_tags_is_known_by_its_file_and_follows_it(store) -> None:
    set_taste(store, "me", track(store, 4), 1)
    assert tastes_of(store, "me") == {4: 1}
    assert tastes_of(store, "nobody") == {}
    with pytest.raises(QueryError, match="expected -1, 0 or 1"):
        set_taste(store, "me", track(store, 4), 2)


def heard(title="T0", at=1_500_000_000, **more):
    return {"listened_at": at, "track_metadata": {"artist_name": "A0", "track_name": title, **more}}


def test_what_a_player_submits_is_kept(store) -> None:
    record_submission(store, "anna", {"listen_type": "single", "payload": [heard(release_name="L")]})
    again = {"listen_type": "import", "payload": [heard(at=1_500_000_900), heard("T9"), {"track_metadata": 5}]}
    done = record_submission(store, "anna", again)
    assert (done.listens, len(done.problems)) == (2, 1)
    assert {x.title: (x.plays, x.last_s) for x in store.listens("anna")} == {
        "T0": (2, 1_500_000_900.0),
        "T9": (1, 1_500_000_000.0),
    }
    assert record_submission(store, "anna", {"listen_type": "playing_now", "payload": [heard("T7")]}).listens == 0
    assert len(store.listens("anna")) == 2


@pytest.mark.parametrize(
    "submitted",
    [
        {},
        {"listen_type": "single", "payload": []},
        {"listen_type": "single", "payload": [heard(), heard()]},
        {"listen_type": "import", "payload": [heard()] * 1001},
        {"listen_type": "single", "payload": {"a": 1}},
        {"listen_type": "other", "payload": [heard()]},
        {"listen_type": "single", "payload": ["x", None]},
        {"listen_type": "single", "payload": [{"track_metadata": {"artist_name": "", "track_name": "x"}}]},
        {"listen_type": [], "payload": [heard()]},
    ],
)
def test_what_is_no_submission_is_refused(store, submitted) -> None:
    with pytest.raises(QueryError):
        record_submission(store, "anna", submitted)
    assert store.listens("anna") == []


@pytest.mark.parametrize("name", ["", " ", "a\n", "a\u202e", "..", ".", "x" * 201, " a"])
def test_names_that_nobody_could_read_are_refused(name) -> None:
    with pytest.raises(QueryError):
        check_name(name)


@pytest.mark.parametrize("name", ["Anna", "AC/DC & more", "夜", "-x", "a%2Fb"])
def test_other_names_are_names(name) -> None:
    assert check_name(name) == name
