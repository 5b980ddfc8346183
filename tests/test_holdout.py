"""What is held out of a history stays hidden, and scores count what was found of it."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mirclr
from mirclr.errors import NoMatch
from mirclr.evaluation.holdout import HeldOut, hold_out, measure, strategies
from mirclr.library import Entry, Listen
from mirclr.models.stamp import EncoderStamp
from mirclr.recommend.taste import match_listens
from mirclr.tags import Tags
from tests.commands import invoke

ARTISTS, EACH, DIM = 12, 5, 16
LIKED = (0, 1, 2, 3, 4, 5)  # artists; their tracks lie about one direction, those of others about others
DISLIKED = 11


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("holdout") / "l.db"
    rng = np.random.default_rng(0)
    with mirclr.Library.open(path, create=True) as library:
        library.bind(EncoderStamp("0123abcd" * 4, "a.safetensors", DIM, 8, {}))
        entries = []
        for artist in range(ARTISTS):
            for title in range(EACH):
                name = f"{artist}/{title}.ogg"
                vector = np.eye(DIM)[
                    0 if artist in LIKED else 2 if artist == DISLIKED else 1
                ] + 0.1 * rng.standard_normal(DIM)
                tags = Tags(artist=f"artist {artist}", title=f"title {artist} {title}")
                entries.append(Entry("/music", name, 1, 1, name, name, 100.0 + len(entries), tags, vector))
        library.write(entries=entries)
        library.store_listens("anna", history(), replace=True)
        yield library


def history(artists=LIKED):
    listens = [
        Listen(f"artist {a}", f"title {a} {t}", plays=1 + t, last_s=1e9 + 100 * a + t)
        for a in artists
        for t in range(EACH)
    ]
    return [
        *listens,
        Listen(f"artist {DISLIKED}", f"title {DISLIKED} 0", taste=-1),
        Listen("nobody", "nothing", plays=3),
    ]


def held_out(library, listens, fraction, rng):
    return hold_out(library, listens, match_listens(library, listens), fraction, rng)


def ids_of(artist):
    return set(range(1 + EACH * artist, 1 + EACH * (artist + 1)))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), fraction=st.floats(0.05, 0.95))
def test_whole_artists_are_held_out_and_nothing_of_them_is_given(library, seed, fraction):
    asked = held_out(library, history(), fraction, np.random.default_rng(seed))
    hidden, played = set(asked.hidden.tolist()), set(asked.played.tolist())
    assert hidden
    assert played
    assert not hidden & played
    assert hidden | played == set().union(*map(ids_of, LIKED))
    for artist in LIKED:
        assert ids_of(artist) <= hidden or ids_of(artist) <= played
        shown = any(listen.artist == f"artist {artist}" for listen in asked.listens)
        assert shown == (ids_of(artist) <= played)
    assert abs(len(hidden) / 30 - fraction) <= 1 / 6  # artists come whole, and one stays
    assert Listen(f"artist {DISLIKED}", f"title {DISLIKED} 0", taste=-1) in asked.listens  # what is disliked stays
    assert set(asked.known.tolist()) == played | {1 + EACH * DISLIKED}
    assert asked.last == max(played)  # as the times go
    assert asked.plays.tolist() == [1 + (i - 1) % EACH for i in sorted(played)]


def test_the_same_draw_holds_out_the_same(library):
    first, again, other = (held_out(library, history(), 0.3, np.random.default_rng(s)) for s in (1, 1, 2))
    assert first.hidden.tolist() == again.hidden.tolist() != other.hidden.tolist()


def test_too_few_artists_are_an_error(library):
    with pytest.raises(NoMatch, match="2 artists that this listener likes are in it; to measure takes 3"):
        held_out(library, history((0, 1)), 0.3, np.random.default_rng(1))


def test_no_way_of_asking_gives_what_is_known_and_each_gives_as_many_as_are_wanted(library):
    asked = held_out(library, history(), 0.3, np.random.default_rng(1))
    for strategy, ask in strategies(library, library.index, n=8, seed=1).items():
        ids = ask(asked)
        assert len(set(ids.tolist())) == len(ids) == 8, strategy
        assert not set(ids.tolist()) & set(asked.known.tolist()), strategy


def test_the_nearest_are_the_nearest(library):
    asked = held_out(library, history(), 0.3, np.random.default_rng(3))
    ids, vectors = library.vectors()
    others = ~np.isin(ids, asked.known)
    near = vectors[others] @ vectors[np.isin(ids, asked.played)].T
    found_by = strategies(library, library.index, n=10, seed=1)
    assert set(found_by["nearest to any track that was heard"](asked)) == set(
        ids[others][np.argsort(-near.max(axis=1), kind="stable")[:10]]
    )
    to_last = vectors[others] @ vectors[ids == asked.last][0]
    assert found_by["nearest to the last"](asked).tolist() == ids[others][np.argsort(-to_last)[:10]].tolist()


def test_what_is_alike_is_found_and_chance_finds_less(library):
    questions = [held_out(library, history(), 0.3, np.random.default_rng(i)) for i in range(8)]
    found_by = strategies(library, library.index, n=10, seed=1)
    answers = {strategy: [ask(asked) for asked in questions] for strategy, ask in found_by.items()}
    found, gains = measure(library.index, questions, answers, 10)
    recall = {row.strategy: row.recall for row in found}
    assert recall["nearest to the mean"] == recall["recommend --for, any number of an artist"] == 1
    assert recall["random"] < 0.6
    assert 0.3 < recall["recommend --for"] < 1  # two tracks of an artist at most
    assert gains["nearest to the mean"].tolist() == pytest.approx([1] * 8)


def test_figures_are_those_of_a_plain_count(library):
    none = np.zeros(0, np.int64)
    questions = [
        HeldOut((), np.array([1]), np.ones(1), 1, np.array([1]), np.array([2, 3]), {}),
        HeldOut((), np.array([6]), np.ones(1), 6, np.array([6]), np.array([7]), {10: 7}),
    ]
    found, gains = measure(
        library.index, questions, {"one": [np.array([2, 9]), np.array([8, 7])], "no": [none, none]}, 2
    )
    one, no = found
    assert one.recall == 0.75  # a half and all
    assert one.recall_error == 0.25
    expected = [1 / (1 + 1 / np.log2(3)), 1 / np.log2(3)]
    assert gains["one"].tolist() == pytest.approx(expected)
    assert one.ndcg == pytest.approx(np.mean(expected), abs=1e-4)
    assert one.coverage == pytest.approx(4 / 60, abs=1e-4)
    vector = {i: library.vector(i) for i in (1, 2, 6, 7, 8, 9)}
    near = [vector[a] @ vector[b] for a, b in ((2, 1), (9, 1), (8, 6), (7, 6))]
    assert one.novelty == pytest.approx(1 - np.mean(near), abs=1e-4)
    assert (no.recall, no.ndcg, no.coverage, no.novelty) == (0, 0, 0, 0)


def test_a_copy_of_what_is_held_out_is_as_good_and_counts_once(library):
    asked = HeldOut((), np.array([1]), np.ones(1), 1, np.array([1]), np.array([2, 3]), {20: 2})
    answers = {"copy": [np.array([20, 30]), np.array([20, 2])], "both": [np.array([2, 3]), np.array([20, 3])]}
    found, _ = measure(library.index, [asked, asked], answers, 2)
    assert [row.recall for row in found] == [0.5, 1]


def test_a_song_that_is_held_twice_is_no_obstacle(library, tmp_path):
    """A best-of album with the same songs: whichever copy is found, all strategies find them."""
    path = tmp_path / "l.db"
    with mirclr.Library.open(path, create=True) as twice:
        twice.bind(library.stamp)
        vectors = dict(zip(*library.vectors(), strict=True))
        for album in ("first", "best of"):
            twice.write(
                entries=[
                    Entry(
                        "/music",
                        f"{album}/{t.path}",
                        1,
                        1,
                        album + t.path,
                        t.path,
                        t.duration_s,
                        Tags(artist=t.artist, title=t.title, album=album),
                        vectors[t.id],
                    )
                    for t in library.tracks()
                ]
            )
        questions = [held_out(twice, history(), 0.3, np.random.default_rng(i)) for i in range(4)]
        found_by = strategies(twice, twice.index, n=20, seed=1)
        answers = {strategy: [ask(asked) for asked in questions] for strategy, ask in found_by.items()}
        recall = {row.strategy: row.recall for row in measure(twice.index, questions, answers, 20)[0]}
        assert recall["recommend --for, any number of an artist"] == 1
        for asked, ids in zip(questions, answers["recommend --for"], strict=True):
            assert not set(ids.tolist()) & set(asked.known.tolist())


def test_the_command_measures_a_profile_and_writes_nothing(library):
    state = library.state
    arguments = ["evaluate", "profile", "anna", "--library", str(library.path), "-n", "6", "--repeats", "4"]
    done = invoke([*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    scores = json.loads(done.stdout)
    assert scores["heard"] + scores["hidden"] == 30
    assert {row["way"] for row in scores["ways"]} >= {"recommend --for", "random", "nearest to the mean"}
    assert invoke([*arguments, "--json"]).stdout == done.stdout  # the same draws
    table = invoke(arguments)
    assert "recall@6" in table.stdout
    assert "recommend --for" in table.stdout
    assert library.state == state
    missing = invoke(["evaluate", "profile", "bob", "--library", str(library.path)])
    assert isinstance(missing.exception, NoMatch)
    assert "there is: anna" in str(missing.exception)
