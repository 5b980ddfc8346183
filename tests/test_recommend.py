import csv
import itertools
import json
import os
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from types import ModuleType, SimpleNamespace

import click
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mirclr
from mirclr.errors import (
    AudioError,
    EncoderMismatch,
    LibraryError,
    LibraryNotFound,
    MissingExtra,
    NoMatch,
    QueryError,
)
from mirclr.index import open_index
from mirclr.library import Description, Entry, ExcerptEmbeddings, LibraryStore, LibraryTrack, Listen
from mirclr.library.aspects import ASPECTS
from mirclr.library.names import artist_key
from mirclr.models.stamp import EncoderStamp
from mirclr.names import artists, first_artist
from mirclr.recommend import MetadataFilters, Query, find_seeds, match_tracks, parse_rule, recommend
from mirclr.recommend.keys import compatible, keys_of
from mirclr.recommend.path import best_chain
from mirclr.recommend.playlist import read_playlist, write_playlist
from mirclr.recommend.ranking import Candidate, clusters_of, falling, fits, mutual_proximity, products
from mirclr.recommend.reasons import Explanation, _tagged, distinguishing, most_similar_excerpts
from mirclr.recommend.rules import Rules
from mirclr.tags import Tags
from tests.commands import exits, invoke

ROOT = os.path.abspath(os.sep + "music")
STAMP = EncoderStamp("d" * 32, "a.safetensors", 4, 8, {})


def entry(path, vector, root=ROOT, digest=None, duration_s=None, excerpts=None, **tags):
    """A track; each is of a length of its own, unless told."""
    digest = path if digest is None else digest
    duration_s = 100.0 + zlib.crc32(path.encode()) % 100_000 if duration_s is None else duration_s
    return Entry(root, path, 1, 1, f"f-{path}", digest, duration_s, Tags(**tags), np.array(vector, "f4"), excerpts)


@pytest.fixture
def library(tmp_path):
    with LibraryStore.open(tmp_path / "lib.db", create=True) as library:
        library.bind(STAMP)
        yield library


FREE = {"artist_cap": 0, "artist_gap": 0, "same_album": True}


def ask(library, *seeds, filters=None, **asked):
    """Tracks for seeds given by id or text; also what is not alike, unless told."""
    texts = tuple(str(library.tracks([s])[0].file) if isinstance(s, int) else s for s in seeds)
    return recommend(library, open_index(library), Query(seeds=texts, **{"fill": True, **asked}), filters=filters)


def paths(answer):
    return [r.track.path for r in answer.recommendations]


def slowly(library, ids, n):
    """What a query without limits says it does, over all tracks one by one."""
    index = open_index(library)
    all_ids, matrix = library.vectors()
    tracks = library.tracks(all_ids.tolist())
    seeds = [tracks[all_ids.tolist().index(i)] for i in ids]
    vectors = np.stack([library.vector(i) for i in ids])
    clusters = clusters_of(vectors)
    cosines = products(vectors, matrix)
    scores = mutual_proximity(cosines, index.similarity_stats_of(vectors), index.similarity_stats(all_ids))
    nearest = scores.argmax(axis=0)
    queues = [[] for _ in range(clusters.max() + 1)]
    for i in sorted(range(len(tracks)), key=lambda i: (-scores[nearest[i], i], all_ids[i])):
        queues[clusters[nearest[i]]].append((tracks[i], cosines[nearest[i], i]))
    taken = [(s.audio_digest, s.id) for s in seeds]
    found, given_ = [], np.zeros(len(queues))
    sizes = np.bincount(clusters)
    while len(found) < n and any(queues):
        owed = sizes / sizes.sum() * (len(found) + 1) - given_
        turn = max((i for i, queue in enumerate(queues) if queue), key=lambda i: (round(owed[i], 9), -i))
        while queues[turn]:
            track, cosine = queues[turn].pop(0)
            if not any(track.id == i or d == track.audio_digest for d, i in taken):
                taken.append((track.audio_digest, track.id))
                found.append((track.id, cosine))
                given_[turn] += 1
                break
    return found


# few directions, durations and digests: many ties and many twins
directions = st.sampled_from([v for v in itertools.product((-1, 0, 1), repeat=4) if any(v)])
tracks = st.tuples(directions, st.sampled_from([100.0, 100.05, 200.0]), st.integers(0, 60))


@settings(max_examples=60, deadline=None)
@given(st.lists(tracks, min_size=1, max_size=80), st.integers(1, 12), st.data())
def test_the_answer_is_that_of_the_slow_way(rows, n, data):
    with tempfile.TemporaryDirectory() as folder, LibraryStore.open(Path(folder) / "l.db", create=True) as library:
        library.bind(STAMP)
        library.write(entries=[entry(f"{i}", v, duration_s=s, digest=f"d{d}") for i, (v, s, d) in enumerate(rows)])
        ids = data.draw(st.lists(st.integers(1, len(rows)), min_size=1, max_size=3, unique=True))
        found = ask(library, *ids, n=n, **FREE).recommendations
        wanted = slowly(library, ids, n)
        assert [r.track.id for r in found] == [track_id for track_id, _ in wanted]
        assert [r.similarity for r in found] == pytest.approx([s for _, s in wanted])
        assert [r.rank for r in found] == list(range(1, len(found) + 1))


def test_n_is_filled_past_many_twins(library):
    twins = [entry(f"t{i}", (1, 0, 0, 0), digest="same") for i in range(300)]
    others = [entry(f"o{i}", (1, 1 + i, 0, 0)) for i in range(5)]
    library.write(entries=[*twins, *others])
    assert sorted(paths(ask(library, 1, n=5))) == ["o0", "o1", "o2", "o3", "o4"]
    assert len(paths(ask(library, 1, n=100))) == 5


def test_two_tastes_take_turns_and_none_is_drowned(library):
    crowd = [entry(f"near{i}", (10, 1 + i / 9, 0, 0)) for i in range(50)]
    few = [entry(f"far{i}", (0, 0, 10, 3 + i)) for i in range(5)]
    library.write(entries=[entry("a", (1, 0, 0, 0)), entry("b", (0, 0, 1, 0)), *crowd, *few])
    found = paths(ask(library, 1, 2, n=6))
    assert sum(p.startswith("far") for p in found) == 3
    assert [p[:3] for p in found[:2]] in (["nea", "far"], ["far", "nea"])


def test_seeds_that_sound_alike_are_one_taste():
    rng = np.random.default_rng(0)
    centres = np.linalg.qr(rng.standard_normal((16, 3)))[0].T
    rows = np.repeat(centres, [4, 1, 3], axis=0) + 0.05 * rng.standard_normal((8, 16))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert clusters_of(rows).tolist() == [0, 0, 0, 0, 1, 2, 2, 2]
    many = rng.standard_normal((3000, 16))
    assert clusters_of(many / np.linalg.norm(many, axis=1, keepdims=True)).max() < 8


def test_a_hub_is_not_near_to_everything():
    """Mutual proximity: what is as near to the seed as others, but near to everything else too, comes later."""
    similarities = np.array([[0.5, 0.5]])
    of_tracks = np.array([[0.4, 0.1], [0.0, 0.1]])
    hub, other = mutual_proximity(similarities, np.array([[0.0, 0.2]]), of_tracks)[0]
    assert hub < other
    np.testing.assert_array_equal(mutual_proximity(similarities, np.zeros((1, 2)), np.zeros((2, 2))), similarities)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20))
def test_between_tracks_of_equal_spread_the_order_is_that_of_cosines(cosines):
    row = np.round(np.array([cosines]), 3)
    same = np.tile([[0.1, 0.2]], (len(cosines), 1))
    found = mutual_proximity(row, same[:1], same)[0]
    order = np.argsort(row[0], kind="stable")
    assert (np.diff(found[order]) >= -1e-9).all()


def test_what_is_nearer_to_a_track_to_stay_away_from_never_comes(library):
    rng = np.random.default_rng(3)
    library.write(entries=[entry(f"{i}", v) for i, v in enumerate(rng.standard_normal((60, 4)))])
    _, matrix = library.vectors()
    away = (str(library.tracks([2])[0].file),)
    found = ask(library, 1, n=60, avoid=away, **FREE).recommendations
    nearer = matrix @ matrix[1] > matrix @ matrix[0]
    assert found
    assert not any(nearer[r.track.id - 1] for r in found)
    assert len(found) == 60 - nearer.sum() - 1


def test_what_is_near_to_a_track_to_stay_away_from_comes_later(library):
    at = {"seed": 0.0, "left": -0.7, "right": 0.3, "away": 0.9, "across": 3.0, "back": 4.0}
    library.write(entries=[entry(name, (np.cos(t), np.sin(t), 0, 0)) for name, t in at.items()])
    assert paths(ask(library, "seed", **FREE))[:2] == ["right", "left"]
    assert paths(ask(library, "seed", avoid=("away",), **FREE))[:2] == ["left", "right"]


def heard(seed, noise=0.0):
    """Excerpts of a recording, of another for each seed, all for the same instrument."""
    rng = np.random.default_rng(seed)
    rows = np.eye(1, 16) + 0.1 * rng.standard_normal((15, 16))
    rows += noise * np.random.default_rng(1000 + seed).standard_normal(rows.shape)
    return ExcerptEmbeddings.of(np.arange(15), rows.astype("f4"))


def test_what_is_as_long_and_of_the_same_excerpts_is_a_twin_and_nothing_else_near(library):
    library.write(
        entries=[
            entry("a", (1, 0, 0, 0), duration_s=150, excerpts=heard(0)),
            entry("b", (1, 0, 0, 0), duration_s=150.2, excerpts=heard(1)),
            entry("copy", (1, 0.1, 0, 0), duration_s=150.05, excerpts=heard(0, 0.02)),  # as an mp3 of it has it
            entry("other", (1, 0.05, 0, 0), duration_s=150.05, excerpts=heard(2)),
            entry("unheard", (1, 0.3, 0, 0), duration_s=150.05),  # an earlier mirclr kept no excerpts
            *(entry(f"far {i}", -np.eye(4)[i % 4]) for i in range(12)),
        ]
    )
    assert set(paths(ask(library, 1, n=3, **FREE))) == {"b", "other", "unheard"}


def test_where_all_music_is_alike_only_the_same_recording_is_a_twin(library):
    """Of pieces for one instrument, all as long, whose vectors are as near as those of copies."""
    rng = np.random.default_rng(0)
    rows = np.array([1, 0, 0, 0]) + 1e-5 * rng.standard_normal((30, 4))
    pieces = [entry(f"{i}", row, duration_s=150, excerpts=heard(i)) for i, row in enumerate(rows)]
    library.write(entries=[*pieces, entry("copy", rows[0] + 1e-6, duration_s=150, excerpts=heard(0, 0.02))])
    found = paths(ask(library, 1, n=40, **FREE))
    assert "copy" not in found
    assert len(found) == 29


def test_versions_and_known_duplicates_of_a_seed_never_come(library):
    library.write(
        entries=[
            entry("a", (1, 0, 0, 0), artist="A", title="Song"),
            entry("b", (1, 0.5, 0, 0), artist="A feat. B", title="Song (Remastered 2011)", duration_s=50),
            entry("c", (1, 0.4, 0, 0), artist="C", title="Other", duration_s=60),
            entry("d", (1, 0.3, 0, 0), artist="D", title="Found out", duration_s=70),
            entry("e", (1, 0.2, 0, 0), artist="E", title="Found out by that", duration_s=80),
        ]
    )
    library.store_near_duplicates({(1, 4): 0.9, (4, 5): 0.8})
    assert paths(ask(library, 1)) == ["c"]


def test_empty_digests_are_not_equal_audio(library):
    library.write(entries=[entry(f"{i}", np.eye(4)[i], digest="") for i in range(3)])
    assert len(paths(ask(library, 1))) == 2


def test_a_track_removed_since_is_not_recommended(library):
    library.write(entries=[entry(p, v) for p, v in zip("abc", np.eye(4), strict=False)])
    index = open_index(library)
    library.remove([2])
    found = recommend(library, index, Query(seeds=("a",), fill=True)).recommendations
    assert [r.track.id for r in found] == [3]


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({}, "nothing to start from"),
        ({"seeds": ("x",), "n": 0}, "n: found 0"),
        ({"seeds": ("x",), "diversity": 1.5}, "diversity"),
        ({"seeds": ("x", "y"), "to": "z"}, "from one seed"),
        ({"seeds": ("x",), "to": "z", "n": 501}, "n of 501"),
        ({"seeds": ("x",), "to": "z", "diversity": 0.5}, "an order of its own"),
        ({"seeds": ("x",), "to": "z", "seed": 3}, "an order of its own"),
        ({"seeds": ("x",), "avoid": (5,)}, "avoid: found"),
        ({"seeds": ("x",), "bpm": (1,)}, "bpm: found"),
        ({"seeds": ("x",), "n": "7"}, "n: found '7'"),
        ({"seeds": ("x",), "key": 5}, "key: found 5"),
        ({"seeds": ("x",), "year": (2000, 1990)}, "smaller number first"),
        ({"seeds": ("x",), "exclude": ("christmas",)}, "did you mean path:christmas"),
        ({"seeds": ("x",), "exclude": ("artits:x",)}, "did you mean artist:x"),
        ({"seeds": ("x",), "exclude": ("artist:",)}, "artist:NAME"),
        ({"seeds": ("x",), "n": 7, "length_s": 600}, "how many, or how long"),
        ({"seeds": ("x",), "length_s": 60}, "at least 180"),
        ({"seeds": ("x",), "key": "H"}, "key: found 'H'"),
        ({"seeds": ("x",), "artist_cap": -1}, "0 or more"),
    ],
)
def test_a_query_that_cannot_be(asked, match):
    with pytest.raises(QueryError, match=match):
        Query(**asked)


def test_a_query_survives_json():
    query = Query(seeds=("a", "b"), avoid=("c",), n=7, year=(1970.0, 1985.0), exclude=("artist:X",), key="Am", seed=3)
    assert Query.from_json(json.loads(json.dumps(query.to_json()))) == query
    assert Query(seeds=("a",)).to_json() == {"seeds": ("a",)}
    half_open = Query(seeds=("a",), year=(1990, float("inf")), bpm=(float("-inf"), 120))
    assert Query.from_json(json.loads(json.dumps(half_open.to_json(), allow_nan=False))) == half_open
    assert Query(seeds="abc", avoid="d") == Query(seeds=("abc",), avoid=("d",))
    with pytest.raises(QueryError, match="colour"):
        Query.from_json({"seeds": ["a"], "colour": "red"})


# random libraries: what is promised always holds

ARTISTS = ["A", "B", "C feat. A", "D & A", "E", None]
library_rows = st.lists(
    st.tuples(
        directions,
        st.sampled_from(ARTISTS),
        st.sampled_from(["X", "Y", None]),
        st.sampled_from(["Rock", "Jazz; Pop", None]),
        st.integers(1960, 2020) | st.none(),
        st.integers(60, 400),
    ),
    min_size=1,
    max_size=60,
)


LIKE = [(), ("harmony=0.7", "timbre=0.3"), ("timbre=0.1", "rhythm"), ("harmony",), ("harmony", "rhythm=0.2")]


def drawn_aspects(i):
    """Each song has another harmony, some a rhythm."""
    rng = np.random.default_rng(i)
    return {name: rng.standard_normal(size) for name, size in ASPECTS.items() if name == "harmony" or i % 3}


def like_for(data, seed):
    """What may be asked for a seed: every second song is described."""
    return data.draw(st.sampled_from(LIKE if seed % 2 else LIKE[:3]))


def filled(folder, rows):
    library = LibraryStore.open(Path(folder) / "l.db", create=True)
    library.bind(STAMP)
    library.write(
        entries=[
            entry(f"{i % 3}/{i}", v, duration_s=float(s), artist=a, album=b, genre=g, year=y, title=f"T{i}")
            for i, (v, a, b, g, y, s) in enumerate(rows)
        ]
    )
    library.store_descriptions(
        {
            i + 1: Description(60.0 + i, ["Am", "C", "F#m"][i % 3], 0.5, -9.0, aspects=drawn_aspects(i))
            for i in range(0, len(rows), 2)
        }
    )
    library.store_probabilities("mood", {i + 1: {"calm": (i % 10) / 10} for i in range(len(rows))}, "h")
    return library


@settings(max_examples=80, deadline=None)
@given(library_rows, st.data())
def test_limits_filters_rules_and_blocks_are_never_broken(rows, data):
    with tempfile.TemporaryDirectory() as folder, filled(folder, rows) as library:
        draw = data.draw
        cap, gap = draw(st.integers(0, 3)), draw(st.integers(0, 4))
        rules = draw(st.sets(st.sampled_from(["artist:a", "album:x", "genre:pop", "path:1", "track:T4"]), max_size=2))
        blocked = draw(st.sets(st.sampled_from(["artist:B", "album:Y", "path:2/*", "genre:Rock"]), max_size=1))
        library.add_blocks(blocked)
        years = draw(st.sampled_from([None, (1970.0, 2000.0)])) if any(r[4] for r in rows) else None
        lasts = draw(st.sampled_from([None, (100.0, 300.0)]))
        seed, n = draw(st.integers(1, len(rows))), draw(st.integers(1, 15))
        query = {
            "n": n,
            "artist_cap": cap,
            "artist_gap": gap,
            "same_album": draw(st.booleans()),
            "exclude": tuple(sorted(rules)),
            "year": years,
            "duration_s": lasts,
            "key": draw(st.sampled_from([None, "Am", "Am,compatible"])),
            "bpm": draw(st.sampled_from([None, (60.0, 90.0)])),
            "mood": draw(st.sampled_from([(), ("calm",)])),
            "diversity": draw(st.sampled_from([0.0, 0.5, 1.0])),
            "seed": draw(st.none() | st.integers(0, 9)),
            "like": like_for(data, seed),
        }
        if query["mood"] and not any(i % 10 >= 4 for i in range(len(rows))):
            query["mood"] = ()
        answer = ask(library, seed, **query)
        found = [r.track for r in answer.recommendations]
        assert len(found) <= n
        assert len({t.id for t in found} | {seed}) == len(found) + 1
        described = library.descriptions()
        its = library.tracks([seed])[0]
        every = rules | blocked
        for t in found:
            names = set(artists(t.artist or ""))
            assert not ("artist:a" in every and "a" in names)
            assert not ("artist:B" in every and "b" in names)
            assert not ("album:x" in every and t.album == "X")
            assert not ("album:Y" in every and t.album == "Y")
            assert not ("genre:pop" in every and t.genre == "Jazz; Pop")
            assert not ("genre:Rock" in every and t.genre == "Rock")
            assert not ("path:1" in every and t.path.startswith("1/"))
            assert not ("path:2/*" in every and t.path.startswith("2/"))
            assert not ("track:T4" in every and t.title == "T4")
            assert years is None or (t.year and 1970 <= t.year <= 2000)
            assert lasts is None or 100 <= t.duration_s <= 300
            assert query["key"] != "Am" or described[t.id].key == "Am"
            assert query["key"] != "Am,compatible" or described[t.id].key in ("Am", "C")
            assert query["bpm"] is None or 60 <= described[t.id].tempo_bpm <= 90
            assert not query["mood"] or (t.id - 1) % 10 >= 4
            if not query["same_album"] and its.album:
                assert (t.artist, t.album) != (its.artist, its.album)
        names = [first_artist(t.artist) if t.artist else t.id for t in found]
        assert not cap or max(Counter(names).values(), default=0) <= cap
        for i, name in enumerate(names):
            assert name not in names[i + 1 : i + 1 + gap]
        again = ask(library, seed, **query)
        assert [(r.track.id, r.similarity, r.reason) for r in again.recommendations] == [
            (r.track.id, r.similarity, r.reason) for r in answer.recommendations
        ]


@settings(max_examples=60, deadline=None)
@given(library_rows, st.integers(1, 12), st.integers(0, 3), st.integers(0, 3), st.data())
def test_n_are_found_where_there_are_as_many(rows, n, cap, gap, data):
    """By brute force over what the limits allow: so many of each artist as fit, in some order."""
    rows = [(v, a, b, g, y, 60 + i) for i, (v, a, b, g, y, _) in enumerate(rows)]  # no twins
    with tempfile.TemporaryDirectory() as folder, filled(folder, rows) as library:
        seed = data.draw(st.integers(1, len(rows)))
        like = like_for(data, seed)
        found = ask(library, seed, n=n, artist_cap=cap, artist_gap=gap, same_album=True, like=like).recommendations
        others = [t for t in library.tracks() if t.id != seed]
        counts = Counter(first_artist(t.artist) if t.artist else t.id for t in others)
        assert len(found) == most_that_fit(counts, n, cap, gap)


def most_that_fit(counts, n, cap, gap):
    for size in range(min(n, counts.total()), 0, -1):
        some = Counter({a: min(c, cap or c, (size + gap) // (gap + 1)) for a, c in counts.items()})
        while some.total() > size:  # the most frequent are the hardest to place
            some[max(some, key=lambda a: (some[a], str(a)))] -= 1
        if some.total() == size and fits(+some, size, gap):
            return size
    return 0


@settings(max_examples=60, deadline=None)
@given(library_rows, st.integers(0, 3), st.data())
def test_the_match_rises_down_a_list_for_the_reasons_that_help_names(rows, gap, data):
    """Alone where artists are kept apart, or from one seed's tracks to another's."""
    with tempfile.TemporaryDirectory() as folder, filled(folder, rows) as library:
        one = st.integers(1, len(rows))
        seeds, liked, avoided = data.draw(st.sets(one, min_size=1)), *(data.draw(st.sets(one)) for _ in range(2))
        query = Query(
            seeds=() if liked else tuple(str(t.file) for t in library.tracks(sorted(seeds))),
            avoid=tuple(str(t.file) for t in library.tracks(sorted(avoided))),
            profile="x" if liked else None,
            seed=data.draw(st.none() | st.integers(0, 9)),
            artist_gap=gap,
            artist_cap=0,
        )
        listens = [
            Listen(t.artist or "", t.title or "", plays=9, last_s=1.0, taste=1) for t in library.tracks(sorted(liked))
        ]
        try:
            answer = recommend(library, open_index(library), query, listens=listens, now_s=2.0)
        except NoMatch:  # what is liked names no artist
            return
        found = answer.recommendations
        names = [artist_key(r.track) for r in found]
        if gap and len(set(names)) < len(names):
            return
        for near in {r.explanation.seed for r in found}:
            matches = [r.match for r in found if r.explanation.seed == near]
            assert matches == sorted(matches, reverse=True)


@pytest.mark.parametrize(
    ("counts", "n", "gap", "fit"),
    [({"a": 2}, 5, 3, True), ({"a": 2}, 4, 3, False), ({"a": 2, "b": 2}, 6, 3, True), ({"a": 2, "b": 2}, 5, 3, False)],
)
def test_what_fits(counts, n, gap, fit):
    assert fits(counts, n, gap) is fit


def test_a_seed_for_shuffling_changes_the_list_and_nothing_else_does(library):
    rng = np.random.default_rng(5)
    library.write(entries=[entry(f"{i}", v) for i, v in enumerate(rng.standard_normal((200, 4)))])
    plain, seven = paths(ask(library, 1)), paths(ask(library, 1, seed=7))
    assert plain == paths(ask(library, 1))
    assert seven == paths(ask(library, 1, seed=7))
    assert len({tuple(plain), tuple(seven), tuple(paths(ask(library, 1, seed=8)))}) == 3


def test_diversity_spreads_a_list(library):
    rng = np.random.default_rng(6)
    library.write(entries=[entry(f"{i}", v) for i, v in enumerate(rng.standard_normal((200, 4)))])

    def spread(diversity):
        ids = [r.track.id for r in ask(library, 1, n=10, diversity=diversity).recommendations]
        _, matrix = library.vectors(ids)
        return (matrix @ matrix.T)[np.triu_indices(10, 1)].mean()

    assert spread(0.0) > spread(0.3) > spread(0.7)


# paths


@settings(max_examples=40, deadline=None)
@given(library_rows, st.integers(2, 12), st.integers(0, 2), st.integers(0, 2), st.data())
def test_a_path_keeps_its_ends_and_repeats_nothing(rows, n, cap, gap, data):
    with tempfile.TemporaryDirectory() as folder, filled(folder, [rows[0], *rows]) as library:
        a, b = data.draw(st.lists(st.integers(1, len(rows) + 1), min_size=2, max_size=2, unique=True))
        others = [str(t.file) for t in library.tracks() if t.id not in (a, b)]
        avoid = tuple(data.draw(st.lists(st.sampled_from(others), max_size=2, unique=True))) if others else ()
        [end] = library.tracks([b])
        asked = {"to": str(end.file), "n": n, "artist_cap": cap, "artist_gap": gap, "avoid": avoid}
        found = [r.track for r in ask(library, a, **asked).recommendations]
        assert (found[0].id, found[-1].id) == (a, b)
        assert 2 <= len(found) <= n
        assert len({t.id for t in found}) == len(found)
        names = [first_artist(t.artist) if t.artist else t.id for t in found]
        for i, name in enumerate(names[1:-1], 1):
            assert name not in names[max(0, i - gap) : i] + names[i + 1 : i + 1 + gap]
            assert not cap or names.count(name) <= cap
        for track in found[1:-1]:
            near = max(cosine(library, track.id, i) for i in (a, b))
            assert all(cosine(library, track.id, library.find_file(file).id) < near + 1e-6 for file in avoid)


def cosine(library, a, b):
    return float(library.vector(a) @ library.vector(b))


def test_a_path_leads_from_no_recording_to_its_own_copy(library):
    rows = [entry(f"{i}", np.eye(4)[i], duration_s=150, excerpts=heard(i)) for i in range(3)]
    library.write(entries=[*rows, entry("copy", (1, 0.01, 0, 0), duration_s=150.05, excerpts=heard(0, 0.02))])
    with pytest.raises(QueryError, match="at both ends"):
        ask(library, 1, to=str(library.tracks([4])[0].file), n=4)
    assert paths(ask(library, 1, to=str(library.tracks([2])[0].file), n=4))[-1] == "1"


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(2, 12), st.integers(0, 2), st.integers(1, 6))
def test_a_path_is_filled_where_artists_are_many(tracks, n, gap, of_each):
    """An artist may come as often as the gap lets it, so that any order of few enough works."""
    rng = np.random.default_rng([tracks, n, gap])
    rows = [
        (v, f"artist {i // of_each}", None, None, None, 60 + i) for i, v in enumerate(rng.standard_normal((tracks, 4)))
    ]
    with tempfile.TemporaryDirectory() as folder, filled(folder, rows) as library:
        end = str(library.tracks([tracks])[0].file)
        found = ask(library, 1, to=end, n=n, artist_cap=1, artist_gap=gap).recommendations
        ends = {"artist 0", f"artist {(tracks - 1) // of_each}"}
        assert len(found) == min(n, 2 + len({artist for _, artist, *_ in rows} - ends))


def test_a_path_leaves_an_artist_who_crowds_it(library):
    rng = np.random.default_rng(3)
    arc = [(np.cos(t), np.sin(t), 0, 0) for t in np.linspace(0.02, 1.5, 700)]
    library.write(
        entries=[
            entry("s", (1, 0, 0, 0), artist="S", duration_s=1.0),
            entry("t", (0, 1, 0, 0), artist="T", duration_s=2.0),
            *(entry(f"x{i}", v, artist="X", duration_s=100.0 + i) for i, v in enumerate(arc)),
            *(
                entry(f"o{i}", (1, 1, 1, 0) + 0.3 * rng.standard_normal(4), artist=f"O{i}", duration_s=1000.0 + i)
                for i in range(50)
            ),
        ]
    )
    found = ask(library, 1, to=str(library.tracks([2])[0].file), n=12).recommendations
    assert len(found) == 12
    assert sum(r.track.artist == "X" for r in found) <= 2


def test_what_is_too_near_in_one_place_of_a_path_comes_in_another(library):
    at = {"s": 0.0, "a0": 0.3, "a1": 0.4, "b0": 0.9, "b1": 1.0, "t": 1.5}
    library.write(
        entries=[
            entry(name, (np.cos(t), np.sin(t), 0, 0), artist=name[0].upper(), title=name, duration_s=100 + 9 * t)
            for name, t in at.items()
        ]
    )
    found = ask(library, 1, to=str(library.tracks([6])[0].file), n=6, artist_gap=1).recommendations
    artists = [r.track.artist for r in found]
    assert sorted(artists) == ["A", "A", "B", "B", "S", "T"]
    assert all(x != y for x, y in itertools.pairwise(artists))


def test_the_best_chain_is_that_of_trying_all():
    rng = np.random.default_rng(7)
    for _ in range(20):
        rows = rng.standard_normal((9, 3))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        start, end, vectors = rows[0], rows[1], rows[2:]
        order = np.lexsort((np.arange(7), products(end[None], vectors)[0] - products(start[None], vectors)[0]))

        def cost(chain, start=start, end=end, vectors=vectors):
            whole = np.stack([start, *vectors[list(chain)], end])
            return np.square(1 - (whole[:-1] * whole[1:]).sum(axis=1)).sum()

        chains = [[int(order[i]) for i in c] for c in itertools.combinations(range(7), 3)]
        assert cost(best_chain(start, end, vectors, 3)) == pytest.approx(min(map(cost, chains)), abs=1e-5)


def test_a_path_goes_on_evenly(library):
    angles = np.linspace(0, 1.5, 60)
    rng = np.random.default_rng(8)
    library.write(
        entries=[entry(f"{i}", (np.cos(t), np.sin(t), *0.03 * rng.standard_normal(2))) for i, t in enumerate(angles)]
    )
    found = ask(library, 1, to=str(library.tracks([60])[0].file), n=10).recommendations
    assert [r.track.id for r in found] == sorted(r.track.id for r in found)
    steps = 1 - np.array([r.similarity for r in found[1:]])
    assert steps.max() < 2.5 * steps.mean()


def test_a_path_needs_two_single_ends(library):
    library.write(entries=[entry(f"{i}", np.eye(4)[i], artist="A", title=f"T{i}") for i in range(3)])
    with pytest.raises(QueryError, match="from one song to another"):
        ask(library, "t0", to="T0")
    with pytest.raises(QueryError, match="'a' means 3"):
        ask(library, "t0", to="a")


# reasons


def test_reasons(library):
    library.write(
        entries=[
            entry("a", (1, 0, 0, 0), title="A", artist="Björk", album="X", genre="Pop"),
            entry("b", (1, 0.1, 0, 0), title="B", artist="BJORK", album="Y", genre="pop", duration_s=90),
            entry("c", (0, 1, 0, 0), title="C", artist="Z"),
            entry("d", (0, 1, 0.1, 0), title="D", duration_s=90),
            entry("e", (0.5, 0, 1, 0), title="E"),
        ]
    )
    moods = {1: {"calm": 0.7, "dark": 0.6, "happy": 0.1}, 2: {"calm": 0.6, "dark": 0.9}, 5: {"calm": 0.4, "dark": 0.1}}
    library.store_probabilities("mood", moods, "h")
    library.store_descriptions(
        {1: Description(60.0, "Am", 0.5, -9.0), 2: Description(121.0, "C", 0.5, -9.0), 3: Description(60.0, "F#", 0, 0)}
    )
    assert {r.track.title: r.reason for r in ask(library, 1).recommendations} == {
        "B": "dark, tagged pop",
        "C": "same tempo",
        "D": "",
        "E": "calm",
    }
    why = next(r.explanation for r in ask(library, 1).recommendations if r.track.title == "B")
    assert why.labels == {"mood": {"dark": (0.6, 0.9), "calm": (0.7, 0.6)}}
    assert (why.same, why.tagged) == (("artist", "genre"), ("pop",))
    assert (why.tempo, why.key) == ((60.0, 121.0), ("Am", "C"))
    assert why.relations == ("twice the tempo", "relative key")


def explained(labels, tagged=(), relations=()):
    both = {"mood": {label: (0.9 - i / 100, 0.9 - i / 100) for i, label in enumerate(labels.split())}}
    return Explanation("x", labels=both, tagged=tagged, relations=relations)


def test_a_reason_is_what_sets_a_track_apart():
    rows = [explained("calm sad"), explained("calm dark"), explained("calm"), explained("calm sad", ("rock",))]
    assert distinguishing(rows) == ["sad", "dark", "", "tagged rock, sad"]
    assert distinguishing([explained("calm sad")]) == ["calm, sad"]
    assert distinguishing([]) == []


@given(st.lists(st.lists(st.sampled_from(["calm", "sad", "joyful_activation", "rock"]), unique=True), max_size=12))
def test_reasons_are_short_and_never_those_of_most(rows):
    reasons = distinguishing([explained(" ".join(row), ("rock",), ("same tempo", "a fifth apart")) for row in rows])
    assert len(reasons) == len(rows)
    for reason, row in zip(reasons, rows, strict=True):
        assert len(reason.split()) <= 3
        assert set(reason.split(", ")) <= {"", "calm", "sad", "joyful activation", "tagged rock", "same tempo"}
        assert ("sad" in reason) <= ("sad" in row)
    if len(rows) > 1:
        words = Counter(word for reason in reasons if reason for word in reason.split(", "))
        assert all(n <= max(1, len(rows) // 2) for n in words.values())


def test_what_tags_say_is_not_what_is_heard():
    track = LibraryTrack(1, "/", "a", 1.0, "t", "a", "b", None, "Hip-Hop / Soul; Rock and Roll", None, "")
    seed = replace(track, genre="hip hop, Rock & Roll")
    assert _tagged(seed, track) == ("Hip-Hop", "Rock and Roll")
    assert _tagged(None, track) == _tagged(replace(track, genre=None), track) == ()
    one = Explanation("x", labels={"genre": {"hip hop": (0.9, 0.9), "jazz": (0.5, 0.5)}}, tagged=("Hip-Hop",))
    assert one.words() == ["jazz", "tagged Hip-Hop"]


# per cents


def test_a_per_cent_is_the_fraction_of_pairs_that_are_less_alike(library):
    rng = np.random.default_rng(2)
    library.write(entries=[entry(f"{i}", v, title=f"T{i}") for i, v in enumerate(rng.standard_normal((150, 4)))])
    index = open_index(library)
    ids, vectors = library.vectors()
    stats, cosines = index.similarity_stats(ids), products(vectors, vectors)
    normal = NormalDist()
    above = [[1 - normal.cdf((c - m) / s) for c in row] for row, (m, s) in zip(cosines, stats.tolist(), strict=True)]
    likely = (1 - np.array(above)) * (1 - np.array(above)).T
    pairs = likely[np.triu_indices(len(ids), 1)]
    for r in ask(library, 5, n=40, artist_cap=0, artist_gap=0).recommendations:
        assert r.alike == pytest.approx((pairs < likely[4, r.track.id - 1]).mean(), abs=2e-3)
        assert r.match == round(100 * r.alike)


def test_a_per_cent_of_a_path_is_that_of_the_song_before(library):
    rng = np.random.default_rng(2)
    library.write(entries=[entry(f"{i}", v, title=f"T{i}") for i, v in enumerate(rng.standard_normal((80, 4)))])
    found = ask(library, "T0", to="T1", n=6).recommendations
    assert found[0].alike is None
    steps = sorted((r.similarity, r.alike) for r in found[1:])
    assert all(0 < alike < 1 for _, alike in steps)
    assert {r.reason for r in found} == {""}


def test_per_cents_of_a_library_of_few_songs_are_never_all_or_nothing(library):
    library.write(entries=[entry(f"{i}", np.eye(4)[i] + 0.3, title=f"T{i}") for i in range(4)])
    assert all(0 < r.alike < 1 for r in ask(library, 1).recommendations)


def test_what_had_to_wait_is_given_no_more_than_the_one_before():
    def candidate(alike):
        return Candidate(None, np.zeros(2), 0, 0.0, 0.0, alike)

    chosen = [candidate(share) for share in (0.9, 0.7, 0.8, 0.95, 0.6)]
    assert falling(chosen, [0, 0, 0, 1, 1]) == [0.9, 0.7, 0.7, 0.95, 0.6]


def test_the_most_alike_moments(library):
    rng = np.random.default_rng(9)
    rows = rng.standard_normal((2, 5, 64)).astype("f4")
    rows[1, 3] = 3 * rows[0, 1]
    one, two = (ExcerptEmbeddings.of(np.arange(5) * 10.0, r) for r in rows)
    assert most_similar_excerpts(one, two) == (10.0, 30.0)
    assert most_similar_excerpts(one, ExcerptEmbeddings.from_bytes(b"")) is None
    library.write(entries=[entry("a", (1, 0, 0, 0), excerpts=one), entry("b", (0, 1, 0, 0), excerpts=two)])
    query = Query(seeds=("a",), fill=True)
    found = recommend(library, open_index(library), query, excerpts=True).recommendations
    assert found[0].explanation.excerpts == (10.0, 30.0)


def test_moments_keep_cosines():
    rng = np.random.default_rng(10)
    rows = rng.standard_normal((40, 656)) + rng.standard_normal(656)
    kept = ExcerptEmbeddings.from_bytes(ExcerptEmbeddings.of(np.arange(40.0), rows).to_bytes())
    exact = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    error = kept.units() @ kept.units().T - exact @ exact.T
    assert np.sqrt(np.square(error).mean()) < 0.1
    np.testing.assert_array_equal(kept.starts, np.arange(40.0))


# filters and names


def test_filters_that_know_nothing_say_so(library):
    library.write(entries=[entry("a", (1, 0, 0, 0)), entry("b", (0, 1, 0, 0))])
    for asked, match in (
        ({"bpm": (1.0, 2.0)}, "mirclr describe"),
        ({"key": "Am"}, "mirclr describe"),
        ({"mood": ("calm",)}, "mirclr classify"),
        ({"genre": ("rock",)}, "mirclr classify"),
        ({"year": (1.0, 2.0)}, "no song in your library has a year in its tags"),
    ):
        with pytest.raises(QueryError, match=match):
            ask(library, 1, **asked)
    library.store_probabilities("genre", {1: {"rock": 0.9}}, "h")
    with pytest.raises(QueryError, match="there are: rock"):
        ask(library, 1, genre=("polka",))


def test_a_filter_for_few_fills_n(library):
    rng = np.random.default_rng(11)
    rows = rng.standard_normal((3000, 4))
    library.write(entries=[entry(f"{i}", v, year=1999 if i % 100 == 50 else 2000) for i, v in enumerate(rows)])
    found = ask(library, 1, n=25, year=(1999, 1999)).recommendations
    assert [r.track.year for r in found] == [1999] * 25


def test_facts_are_read_again_when_the_library_changed(library):
    library.write(entries=[entry(p, v, year=1999) for p, v in zip("ab", np.eye(4), strict=False)])
    filters = MetadataFilters(library)
    assert paths(ask(library, 1, year=(1999, 1999), filters=filters)) == ["b"]
    library.write(entries=[entry("c", (0, 0, 1, 0), year=1999)])
    assert sorted(paths(ask(library, 1, year=(1999, 1999), filters=filters))) == ["b", "c"]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("Am", {(9, True)}),
        ("a minor", {(9, True)}),
        ("Bb", {(10, False)}),
        ("F#m", {(6, True)}),
        ("C,compatible", {(0, False), (9, True), (7, False), (5, False)}),
        ("Am, compatible", {(9, True), (0, False), (4, True), (2, True)}),
    ],
)
def test_keys(text, keys):
    assert keys_of(text) == keys


def test_keys_that_mix_mix_both_ways():
    every = [(p, m) for p in range(12) for m in (False, True)]
    assert all((b in compatible(a)) == (a in compatible(b)) for a in every for b in every)


@pytest.mark.parametrize(
    ("text", "all_of"),
    [
        ("Simon & Garfunkel", ("simon & garfunkel", "simon", "garfunkel")),
        ("Björk feat. X; Y", ("bjork feat. x; y", "bjork", "x", "y")),
        ("AC/DC", ("ac/dc", "ac dc")),  # one, whatever stands between
        ("", ()),
    ],
)
def test_artists(text, all_of):
    assert artists(text) == all_of


# blocks, saved queries, Python


def test_blocks_are_kept_and_obeyed(songs):
    assert run("block", "add", "artist:Radiohead", "path:5.ogg", "--library", songs.path).exit_code == 0
    assert json.loads(run("block", "list", "--json", "--library", songs.path).stdout) == [
        "artist:Radiohead",
        "path:5.ogg",
    ]
    answer = json.loads(run("recommend", "beth", "--fill", "yes", "--library", songs.path, "--json").stdout)
    assert {r["artist"] for r in answer["recommendations"]} == {"Nine Inch Nails", "Johnny Cash", "Sigur Rós"}
    assert run("block", "add", "singer:X", "--library", songs.path).exit_code == 2
    assert isinstance(run("block", "remove", "artist:Y", "--library", songs.path).exception, NoMatch)
    assert run("block", "remove", "artist:Radiohead", "--library", songs.path).exit_code == 0
    added = run("block", "add", "artist:Radiohed", "--library", songs.path).stderr
    assert (
        "artist:Radiohed keeps out nothing: no song is by an artist of this name; did you mean artist:Radiohead?"
        in added
    )
    assert run("block", "remove", "artist:Radiohed", "--library", songs.path).exit_code == 0
    assert songs.blocks() == ["path:5.ogg"]


def test_rules_as_a_shell_completes_them_hold_from_any_folder(library, tmp_path, monkeypatch):
    root = str(tmp_path / "music")
    (tmp_path / "music" / "odd").mkdir(parents=True)
    (tmp_path / "music" / "odd" / "a.ogg").touch()
    library.write(
        entries=[
            entry("odd/a.ogg", (1, 0, 0, 0), root=root),
            entry("b.ogg", (1, 1, 0, 0), root=root),
            entry("c", (1, 0, 1, 0)),
        ]
    )
    monkeypatch.chdir(tmp_path)
    for rule in (
        "path:music/odd",
        "path:./music/odd/",
        "track:music/odd/a.ogg",
        f"path:{root}/x/../odd",
        f"path:/{root}/odd",
    ):
        assert paths(ask(library, 3, exclude=Query.of(exclude=rule, seed=0).exclude)) == ["b.ogg"], rule
    elsewhere = ask(
        library, 3, exclude=("path:music/odd", "track:music/odd/a.ogg")
    )  # as of a page: no file is looked at
    assert sorted(paths(elsewhere)) == ["b.ogg", "odd/a.ogg"]
    monkeypatch.chdir(tmp_path / "music" / "odd")
    assert run("block", "add", "track:a.ogg", "--library", library.path).exit_code == 0
    monkeypatch.chdir("/")
    assert paths(ask(library, 3)) == ["b.ogg"]
    assert library.blocks() == [f"track:{root}/odd/a.ogg"]


def test_an_answer_of_nothing_says_why_and_leaves_the_playlist(songs, tmp_path, capsys):
    output = tmp_path / "list.m3u8"
    output.write_text("#EXTM3U\nkept.ogg\n")
    asked = ("recommend", "beth", "--duration", "1s..2s", "-o", output, "--library", songs.path)
    code, out, err = exits(capsys, *asked)
    assert (code, out) == (1, "")
    assert "no song is 0:01 to 0:02 long; your songs are 1:40 to 1:48 long\n" in err
    assert "not written" in err
    assert output.read_text() == "#EXTM3U\nkept.ogg\n"


@pytest.mark.parametrize("name", ["", " ", "-x", "a\nb", "\x1b[31m"])
def test_a_name_that_cannot_be_typed_is_refused(songs, name):
    assert run("recommend", "beth", f"--save={name}", "--library", songs.path).exit_code == 2
    assert songs.playlists() == {}


def test_the_library_is_no_playlist(songs):
    as_playlist = songs.path.rename(songs.path.with_name("lib.m3u8"))
    held = as_playlist.read_bytes()
    assert run("recommend", "beth", "-o", as_playlist, "--library", as_playlist).exit_code == 2
    assert as_playlist.read_bytes() == held


@pytest.mark.parametrize("wrong", [["--bpm", "110..90"], ["--key", "H"], ["--exclude", "foo"], ["--diversity", "nan"]])
def test_wrong_usage_is_told_by_the_exit_code(songs, wrong):
    assert run("recommend", "beth", *wrong, "--library", songs.path).exit_code == 2


def test_a_saved_query_is_run_on_the_library_as_it_is(songs, tmp_path):
    output = tmp_path / "list.xspf"
    asked = ("recommend", "beth", "-n", 3, "--year", "..2030", "--library", songs.path)
    assert isinstance(run(*asked).exception, QueryError)  # no years
    asked = ("recommend", "beth", "-n", 3, "--duration", "1m..3m", "--fill", "yes")
    asked = (*asked, "--library", songs.path, "--save", "x", "-o", output)
    assert run(*asked).exit_code == 0
    before = read_playlist(output)
    songs.remove([t.id for t in songs.tracks() if t.file == before[0]])
    answer = json.loads(run("playlist", "refresh", "x", "--json", "--library", songs.path).stdout)
    assert [r["file"] for r in answer["recommendations"]] == [str(f) for f in read_playlist(output)]
    assert before[0] not in read_playlist(output)
    assert len(read_playlist(output)) == 3
    assert json.loads(run("playlist", "list", "--json", "--library", songs.path).stdout)["x"]["query"]["n"] == 3
    shown = run("playlist", "show", "x", "--library", songs.path).stdout
    assert "3 songs like beth; 1:00 to 3:00 long" in shown
    assert "may fill the list" in shown
    assert run("playlist", "delete", "x", "--library", songs.path).exit_code == 0
    assert isinstance(run("playlist", "refresh", "x", "--library", songs.path).exception, NoMatch)


def test_what_is_saved_is_replaced_only_where_one_says_so(songs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_playlist(tmp_path / "in.m3u8", songs.tracks([6, 7]))
    library = ("-n", 2, "--library", songs.path, "--save", "x")
    asked = ("recommend", "in.m3u8", "--duration", "1m..", *library)
    assert exits(capsys, *asked, "-o", "list.m3u8")[0] == 0
    held = songs.playlists()["x"]
    assert exits(capsys, *asked)[0] == 0  # the same question; its file stays
    assert songs.playlists()["x"] == held
    assert held["output"] == str(tmp_path / "list.m3u8")
    for other in ("recommend", "search"):
        code, out, err = exits(capsys, other, "rock", *library)
        assert (code, out) == (1, "")
        assert "'x' is saved already, and asks for something else; --replace replaces it\n" in err
    assert songs.playlists()["x"] == held
    assert exits(capsys, "recommend", "beth", *library, "--replace")[0] == 0
    assert songs.playlists()["x"]["query"] == {"seeds": ["beth"], "n": 2}
    assert exits(capsys, "recommend", "beth", "--replace", "--library", songs.path)[0] == 2


def test_a_saved_query_with_an_open_range_is_shown(songs):
    asked = ("recommend", "beth", "-n", 1, "--duration", "1m..", "--library", songs.path, "--save", "x")
    assert run(*asked).exit_code == 0
    shown = json.loads(run("playlist", "show", "x", "--json", "--library", songs.path).stdout)
    assert shown["query"]["duration_s"] == [60, None]
    assert "1 song like beth; at least 1:00 long" in run("playlist", "list", "--library", songs.path).stdout
    assert len(json.loads(run("playlist", "refresh", "x", "--json", "--library", songs.path).stdout)["seeds"]) == 1


def test_a_saved_query_is_asked_from_any_folder(songs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_playlist(tmp_path / "in.m3u8", songs.tracks([6, 7]))
    asked = ("recommend", "in.m3u8", "--not", "creep", "-n", 2, "--library", songs.path, "--save", "x")
    assert run(*asked).exit_code == 0
    monkeypatch.chdir("/")
    answer = json.loads(run("playlist", "refresh", "x", "--json", "--library", songs.path).stdout)
    assert answer["seeds"] == ["Prince – Kiss", "Kiss – Beth"]


def test_a_playlist_is_a_seed(songs, tmp_path):
    write_playlist(tmp_path / "in.m3u8", songs.tracks([6, 7]))
    answer = json.loads(run("recommend", tmp_path / "in.m3u8", "--json", "--library", songs.path).stdout)
    assert answer["seeds"] == ["Prince – Kiss", "Kiss – Beth"]
    with (tmp_path / "in.m3u8").open("a") as f:
        f.write("elsewhere.ogg\n")
    assert (
        "1 of its 3 songs are not in your library"
        in run("recommend", tmp_path / "in.m3u8", "--library", songs.path).stderr
    )
    (tmp_path / "none.m3u8").write_text("nothing.ogg\n")
    result = run("recommend", tmp_path / "none.m3u8", "--library", songs.path)
    assert isinstance(result.exception, NoMatch)


def test_for_a_listener(songs):
    songs.store_listens("me", [Listen("Radiohead", "Creep", plays=9), Listen("Kiss", "Beth", taste=-1)], replace=True)
    answer = json.loads(run("recommend", "--for", "me", "--json", "--library", songs.path).stdout)
    titles = [r["title"] for r in answer["recommendations"]]
    assert titles
    assert not {"Creep", "Beth"} & set(titles)
    assert isinstance(run("recommend", "--for", "you", "--library", songs.path).exception, NoMatch)


def test_dislikes_alone_want_a_seed(songs):
    songs.store_listens("me", [Listen("Kiss", "Beth", taste=-1)], replace=True)
    with pytest.raises(NoMatch, match="name a seed too"):
        recommend(songs, open_index(songs), Query(profile="me"))
    found = recommend(songs, open_index(songs), Query(seeds=("hurt cash",), profile="me")).recommendations
    assert found
    assert "Beth" not in {r.track.title for r in found}


def test_a_query_sees_one_state_of_the_library(songs, monkeypatch):
    """What another process writes while it is answered has no part in it."""
    real = mirclr.recommend.answer.clusters_of

    def written_meanwhile(vectors):
        with LibraryStore.open(songs.path) as other:
            other.remove([t.id for t in other.tracks() if t.title != "Beth"])
        return real(vectors)

    monkeypatch.setattr(mirclr.recommend.answer, "clusters_of", written_meanwhile)
    with mirclr.Library.open(songs.path) as library:
        assert len(library.recommend("beth", n=5, fill=True)) == 5
        with pytest.raises(NoMatch):
            library.recommend("creep")


def test_dislikes_by_the_hundred_take_no_more_memory_than_tracks(library):
    rng = np.random.default_rng(0)
    library.write(
        entries=[
            entry(f"{i}", (i % 2, 1 - i % 2, 0, 0) + 0.2 * rng.standard_normal(4), title=f"T{i}", artist=f"A{i}")
            for i in range(400)
        ]
    )
    listens = [Listen(f"A{i}", f"T{i}", taste=-1) for i in range(0, 300, 2)] + [Listen("A1", "T1", plays=2)]
    library.store_listens("me", listens, replace=True)
    found = recommend(library, open_index(library), Query(profile="me", n=10)).recommendations
    assert len(found) == 10
    away = np.stack([library.vector(i + 1) for i in range(0, 300, 2)])
    for r in found:
        vector = library.vector(r.track.id)
        assert (away @ vector).max() < vector @ library.vector(2) + 1e-6


def test_python(songs, tmp_path):
    with mirclr.Library.open(songs.path) as library:
        found = library.recommend(["beth"], n=3, exclude=["artist:Radiohead"], fill=True)
        assert [r.rank for r in found] == [1, 2, 3]
        assert all(isinstance(r.similarity, float) and 0 < r.alike < 1 and r.track.title for r in found)
        by_command = json.loads(
            run(
                *("recommend", "beth", "-n", 3, "--exclude", "artist:Radiohead", "--fill", "yes", "--json"),
                *("--library", songs.path),
            ).stdout
        )
        assert [r.track.id for r in found] == [r["id"] for r in by_command["recommendations"]]
        first = library.index
        assert library.index is first
        songs.write(entries=[entry("new", (0, 0, 0, 1))])
        assert len(library.index) == len(first) + 1
        with pytest.raises(QueryError):
            library.recommend([], n=3)
    with pytest.raises(AttributeError, match="nothing"):
        mirclr.nothing  # noqa: B018


# texts


@pytest.fixture
def songs(library):
    rows = [
        ("Hurt", "Nine Inch Nails", "Spiral"),
        ("Hurt", "Johnny Cash", "American"),
        ("Creep", "Radiohead", "Pablo"),
        ("Creep", "Radiohead", "Best Of"),
        ("No Surprises", "Radiohead", "OK"),
        ("Kiss", "Prince", "Parade"),
        ("Beth", "Kiss", "Destroyer"),
        ("Ágætis", "Sigur Rós", "Ágætis byrjun"),
        ("Olsen", "Sigur Rós", "Ágætis byrjun"),
    ]
    rng = np.random.default_rng(0)
    library.write(
        entries=[
            entry(f"{i}.ogg", rng.standard_normal(4), title=t, artist=a, album=b, duration_s=100 + i)
            for i, (t, a, b) in enumerate(rows)
        ]
    )
    return library


@pytest.mark.parametrize("text", ["x" * 300, "x\0y", "*" * 5000])
def test_a_text_that_cannot_be_a_path_is_a_text(songs, text):
    with pytest.raises(NoMatch, match="no song, artist or album"):
        find_seeds(songs, [text])
    songs.write(entries=[entry("long.ogg", (1, 0, 0, 0), title="y" * 300)])
    assert [s.track_id for s in find_seeds(songs, ["y" * 300])] == [10]


def test_a_seed_without_a_vector_is_named(songs):
    songs._connection.execute("DELETE FROM vector WHERE track_id = 7")
    songs._connection.commit()
    with pytest.raises(LibraryError, match=r"track 7 .*has no vector; see: mirclr library verify"):
        find_seeds(songs, ["beth"])


@pytest.mark.parametrize(
    ("rule", "kept_out"),
    [
        (f"path:{ROOT}/Art/Album [2001]", True),
        ("path:Album [2001]", True),
        ("path:Album [*", True),
        ("path:Album [2002]", False),
        ("path:Album 2", False),
    ],
)
def test_brackets_in_a_path_stand_for_themselves(songs, rule, kept_out):
    songs.write(entries=[entry("Art/Album [2001]/1.ogg", (1, 0, 0, 0))])
    assert Rules([parse_rule(rule)]).exclude(songs.tracks([10])[0]) is kept_out


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("surprises", [5]),
        ("creep", [3]),
        ("Johnny Cash – Hurt", [2]),
        ("johnny cash hurt", [2]),
        ("radiohead", [3, 4, 5]),
        ("kiss", [6]),
        ("sigur ros", [8, 9]),
        ("Agætis byrjun", [8, 9]),
        ("agaetis", [8]),
        ("radiohead best", [4]),
        ("4.ogg", [5]),
    ],
)
def test_match_tracks(songs, text, ids):
    assert [t.id for t in match_tracks(songs, text)] == ids


def test_an_ambiguous_text_lists_what_it_may_mean(songs):
    with pytest.raises(NoMatch, match="2 songs of several artists") as caught:
        match_tracks(songs, "hurt")
    assert "Johnny Cash – Hurt" in str(caught.value)
    with pytest.raises(NoMatch) as caught:
        match_tracks(songs, "ogg")
    assert str(caught.value).splitlines()[1:3] == ["  Radiohead (3 songs)", "  Sigur Rós (2 songs)"]
    assert str(caught.value).count("\n") == 6


def test_an_unknown_text_suggests_close_ones(songs):
    with pytest.raises(NoMatch, match="did you mean Radiohead"):
        match_tracks(songs, "radoihead")
    with pytest.raises(NoMatch) as caught:
        match_tracks(songs, "qqqqqq")
    assert "mean" not in str(caught.value)
    assert "mirclr library list" in str(caught.value)


# the commands


def run(*args):
    return invoke([str(a) for a in args])


def test_recommend_prints_and_writes(songs, tmp_path):
    output = tmp_path / "out" / "list.m3u8"
    result = run("recommend", "creep", "beth", "--library", songs.path, "-n", 3, "--json", "-o", output)
    assert result.exception is None
    answer = json.loads(result.stdout)
    assert answer["seeds"] == ["Radiohead – Creep", "Kiss – Beth"]
    rows = answer["recommendations"]
    assert [r["rank"] for r in rows] == [1, 2, 3]
    assert [str(f) for f in read_playlist(output)] == [r["file"] for r in rows]
    assert rows[0]["title"] in run("recommend", "creep", "beth", "--library", songs.path).stdout


def test_recommend_wrong_usage(songs, tmp_path):
    assert run("recommend", "--library", songs.path).exit_code == 2
    assert run("recommend", "creep", "-n", 0, "--library", songs.path).exit_code == 2
    assert run("recommend", "creep", "-o", "x.txt", "--library", songs.path).exit_code == 2
    assert isinstance(run("recommend", "creep", "--library", tmp_path / "no.db").exception, LibraryNotFound)
    assert isinstance(run("recommend", "hurt", "--library", songs.path).exception, NoMatch)


def test_recommend_by_path_in_the_library_or_copied(songs, tmp_path):
    from mirclr.provenance import file_digest

    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "in.ogg").write_bytes(b"music")
    made = entry("in.ogg", (1, 0, 0, 0), root=str(tmp_path / "m"))
    songs.write(entries=[Entry(**{**vars(made), "file_digest": file_digest(tmp_path / "m" / "in.ogg")})])
    (tmp_path / "copy.ogg").write_bytes(b"music")
    for file in (tmp_path / "m" / "in.ogg", tmp_path / "copy.ogg"):
        answer = json.loads(run("recommend", file, "--fill", "yes", "--json", "--library", songs.path).stdout)
        assert answer["seeds"] == ["in.ogg"]
        assert len(answer["recommendations"]) == 8  # all the others, a song of two albums once


def test_a_seed_in_the_library_imports_nothing_heavy(songs):
    heavy = {"torch", "torchaudio", "librosa", "soundfile", "sklearn", "scipy", "pydantic", "av"}
    code = (
        "import sys\nfrom mirclr.__main__ import start\n"
        f"sys.argv = ['mirclr', 'recommend', 'creep', '--library', {str(songs.path)!r}]\n"
        "try:\n    start()\nexcept SystemExit as stopped:\n    assert not stopped.code\n"
        f"assert not {heavy!r} & set(sys.modules), {heavy!r} & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Radiohead" in result.stdout


class FakeEmbedder:
    """Hears in every file the direction that its first byte names."""

    stamp, rate, seconds, excerpts, dim = STAMP, 16000, 3.0, 8, 4

    @classmethod
    def load(cls, checkpoint, *, excerpts=None, device="auto"):
        assert excerpts == STAMP.excerpts
        return cls()

    def levelled(self, waveforms):
        return waveforms

    def embed_excerpts(self, waveforms):
        return np.eye(4, dtype="f4")[[int(waveforms[0, 0])]]

    def pool(self, embedded):
        return embedded[0]


def fake_decode_files(files, *, count, seconds, rate, workers=0):
    for file in files:
        if (content := file.read_bytes()) == b"bad":
            yield SimpleNamespace(file=file, excerpts=None, error=f"{file}: not audio")
        else:
            waveforms = np.full((1, 1), int(content), "f4")
            yield SimpleNamespace(
                file=file,
                excerpts=SimpleNamespace(waveforms=waveforms, duration_s=5.0, digest="x", starts=np.zeros(1)),
                error=None,
            )


@pytest.fixture
def outside(library, tmp_path, monkeypatch):
    names = ("mirclr.models.encoding", "mirclr.models.embedder", "mirclr.audio.decoding")
    encoding, embedder, decoding = map(ModuleType, names)
    encoding.Encoder, embedder.raised = FakeEmbedder, lambda waveforms: waveforms
    decoding.decode_files = fake_decode_files
    for fake in (encoding, embedder, decoding):
        monkeypatch.setitem(sys.modules, fake.__name__, fake)
    library.write(entries=[entry(f"{i}.ogg", np.eye(4)[i] + 0.1) for i in range(4)])
    for name, content in (("zero.wav", "0"), ("two.wav", "2"), ("bad.wav", "bad"), ("a.ckpt", "")):
        (tmp_path / name).write_text(content)
    return library


def test_recommend_by_files_outside(outside, tmp_path):
    args = (tmp_path / "two.wav", "1.ogg", tmp_path / "zero.wav", "--library", outside.path, "--json", "--fill", "yes")
    assert isinstance(run("recommend", *args).exception, LibraryError)  # no checkpoint
    result = run("recommend", *args, "--checkpoint", tmp_path / "a.ckpt")
    answer = json.loads(result.stdout)
    assert answer["seeds"] == ["two.wav", "1.ogg", "zero.wav"]
    rows = answer["recommendations"]
    assert [(r["file"][-5:], r["seed"]) for r in rows] == [
        ("2.ogg", "two.wav"),
        ("3.ogg", "1.ogg"),
        ("0.ogg", "zero.wav"),
    ]
    bad = run("recommend", tmp_path / "bad.wav", "--library", outside.path, "--checkpoint", tmp_path / "a.ckpt")
    assert isinstance(bad.exception, AudioError)
    assert str(bad.exception).count("bad.wav") == 1


def test_another_encoder_than_the_librarys_is_refused(outside, tmp_path, monkeypatch):
    other = EncoderStamp("e" * 32, "b.safetensors", 4, 8, {})
    monkeypatch.setattr(FakeEmbedder, "stamp", other)
    result = run("recommend", tmp_path / "two.wav", "--library", outside.path, "--checkpoint", tmp_path / "a.ckpt")
    assert isinstance(result.exception, EncoderMismatch)


def test_export(songs, tmp_path):
    songs.store_probabilities("mood", {1: {"calm": 0.75, "dark": 0.625, "odd": 0.1}, 2: {"calm": 0.2}}, "h")
    songs.write(entries=[entry("line\nbreak.ogg", (0, 0, 0, 1), title='a\r"b"\n,c')])
    npz, table, parquet = (tmp_path / "out" / f"e.{s}" for s in ("npz", "csv", "parquet"))
    result = run("export", "--library", songs.path, "--vectors", npz, "--csv", table, "--parquet", parquet)
    assert result.exception is None
    with np.load(npz) as arrays:
        ids, vectors = arrays["ids"], arrays["vectors"]
    assert ids.dtype.kind == "U"
    assert ids.tolist() == [*(f"{i}.ogg" for i in range(9)), "line\nbreak.ogg"]
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, songs.vectors()[1])
    with table.open(encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    assert [r["title"] for r in rows] == [t.title for t in songs.tracks()]
    assert [r["predicted_mood"] for r in rows[:3]] == ["calm; dark", "calm", ""]
    assert rows[0]["predicted_mood_probability"] == "0.750; 0.625"

    from pyarrow.parquet import read_table

    columns = read_table(parquet).to_pydict()
    assert columns["artist"] == [t.artist for t in songs.tracks()]
    np.testing.assert_array_equal(np.array(columns["vector"], "f4"), vectors)


def test_export_says_what_is_missing(songs, tmp_path, monkeypatch):
    assert run("export", "--library", songs.path).exit_code == 2
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = run("export", "--library", songs.path, "--parquet", tmp_path / "a.parquet")
    assert isinstance(result.exception, MissingExtra)
    assert "mirclr[parquet]" in str(result.exception)
    LibraryStore.open(tmp_path / "empty.db", create=True).close()
    result = run("export", "--library", tmp_path / "empty.db", "--csv", tmp_path / "a.csv")
    assert isinstance(result.exception, NoMatch)
    assert not isinstance(result.exception, click.ClickException)
