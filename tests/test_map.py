"""The map: where songs lie, how it stays, clusters and colours."""

import json
import os
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirclr.errors import NoMatch
from mirclr.library import Description, Entry, LibraryStore
from mirclr.map import colours_by, draw_map, find_clusters, look_up, place_new
from mirclr.map.colours import OTHER, UNKNOWN
from mirclr.map.facts import Fact
from mirclr.map.layout import lay_out, place_among
from mirclr.models.stamp import EncoderStamp
from mirclr.tags import Tags
from tests.commands import invoke

ROOT = os.path.abspath(os.sep + "music")
DIM = 16
GROUPS = np.random.default_rng(7).standard_normal((4, DIM)).astype(np.float32) * 3


def songs(n, seed=1):
    """Unit vectors of n songs in four groups, and the group of each."""
    rng = np.random.default_rng(seed)
    of = np.arange(n) % len(GROUPS)
    rows = GROUPS[of] + 0.3 * rng.standard_normal((n, DIM)).astype(np.float32)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), of


def entry(name, vector, **tags):
    return Entry(ROOT, f"{name}.ogg", 1, 1, f"f{name}", f"a{name}", 100.0, Tags(**tags), vector)


@pytest.fixture
def library(tmp_path):
    with LibraryStore.open(tmp_path / "lib.db", create=True) as library:
        library.bind(EncoderStamp("0123abcd" * 4, "a.safetensors", DIM, 8, {}))
        yield library


def fill(library, n=60, seed=1, begin=0, **tags):
    vectors, of = songs(n, seed)
    library.write(
        entries=[entry(begin + i, v, **{k: t(of[i]) for k, t in tags.items()}) for i, v in enumerate(vectors)]
    )
    return of


def nearest_of_own_group(points, of):
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return float((of[apart.argmin(axis=1)] == of).mean())


# layout


def test_songs_that_sound_alike_lie_together():
    vectors, of = songs(80)
    points = lay_out(vectors)
    assert points.shape == (80, 2)
    assert points.dtype == np.float32
    assert nearest_of_own_group(points, of) == 1.0
    assert np.abs(points).max() == pytest.approx(1.0)  # it fills the map
    assert np.array_equal(points, lay_out(vectors))  # and is the same each time


def test_without_opentsne_scikit_learn_makes_the_map(monkeypatch):
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    vectors, of = songs(80)
    told = []
    points = lay_out(vectors, lambda done, total: told.append(done / total))
    assert nearest_of_own_group(points, of) == 1.0
    assert told[-1] == 1.0


def test_progress_grows_to_its_end():
    told = []
    lay_out(songs(20)[0], lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 30])
@pytest.mark.parametrize("kind", ["different", "all the same", "two kinds", "one component"])
def test_any_vectors_have_finite_places(n, kind):
    vectors = songs(n)[0]
    if kind == "all the same":
        vectors = np.repeat(vectors[:1], n, axis=0)
    elif kind == "two kinds":
        vectors = vectors[np.arange(n) % 2 % n]
    elif kind == "one component":
        vectors = np.ones((n, 1), np.float32)
    points = lay_out(vectors)
    assert points.shape == (n, 2)
    assert np.isfinite(points).all()
    assert np.abs(points).max() <= 1


def test_of_very_many_songs_some_are_laid_out_and_the_rest_placed_among_them(monkeypatch):
    monkeypatch.setattr("mirclr.map.layout.MOST", 40)
    vectors, of = songs(120)
    points = lay_out(vectors)
    assert nearest_of_own_group(points, of) > 0.97
    assert len(np.unique(points, axis=0)) == len(points)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 12), m=st.integers(1, 5), seed=st.integers(0, 1000))
def test_a_new_song_lies_where_the_nearest_do(n, m, seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-1, 1, (n, 2)).astype(np.float32)
    places = place_among(
        rng.standard_normal((n, 4)).astype(np.float32), points, rng.standard_normal((m, 4)), np.arange(m)
    )
    assert places.shape == (m, 2)
    assert np.isfinite(places).all()
    width = np.linalg.norm(points.max(axis=0) - points.min(axis=0))
    assert (places >= points.min(axis=0) - width).all()
    assert (places <= points.max(axis=0) + width).all()


# in a library


def test_a_map_is_kept_and_new_songs_move_none(library):
    of = fill(library)
    assert str(draw_map(library)) == "the map is drawn, of 60 songs"
    before = dict(zip(*map(np.ndarray.tolist, library.map_points()), strict=True))
    assert str(draw_map(library)) == "the map is up to date"
    more = fill(library, 40, seed=2, begin=1000)
    assert len(library.without_map_point()) == 40
    assert str(draw_map(library)) == "40 songs came to the map"
    ids, points = library.map_points()
    after = dict(zip(ids.tolist(), points.tolist(), strict=True))
    assert len(after) == 100
    assert before.items() <= after.items()
    assert nearest_of_own_group(points, np.concatenate([of, more])) > 0.97
    assert library.laid_out_together == 60
    assert str(draw_map(library, anew=True)) == "the map is drawn, of 100 songs"
    assert library.laid_out_together == 100


def test_without_a_map_no_song_is_placed(library):
    assert str(place_new(library)) == "the map is up to date"
    with pytest.raises(NoMatch, match=r"no songs yet.*mirclr embed"):
        draw_map(library)
    fill(library, 5)
    assert not place_new(library).placed
    assert not len(library.map_points()[0])


def test_what_is_removed_or_sounds_otherwise_leaves_its_place(library):
    fill(library)
    draw_map(library)
    version = library.map_version
    library.remove([3])
    vectors, _ = songs(60)
    library.write(entries=[entry(6, vectors[0])])  # track 7, which now sounds as another group
    assert library.map_version != version
    assert library.without_map_point().tolist() == [7]
    kept = library.map_points()[0].tolist()
    assert kept == [i for i in range(1, 61) if i not in (3, 7)]
    assert draw_map(library).placed == 1
    ids, points = library.map_points()
    apart = np.linalg.norm(points - points[ids == 7], axis=1)
    assert (np.argsort(apart)[1] + 0) in np.flatnonzero((ids - 1) % 4 == 0)


def test_a_song_that_changes_while_the_map_is_drawn_waits_for_its_place(library, monkeypatch):
    fill(library, 20)

    def drawn(vectors, report):
        library.write(entries=[entry(4, songs(1)[0][0])])
        library.remove([9])
        return lay_out(vectors)

    monkeypatch.setattr("mirclr.map.drawing.lay_out", drawn)
    assert draw_map(library).laid_out == 19
    assert len(library.map_points()[0]) == 18
    assert library.without_map_point().tolist() == [5]


# what is known of songs


def test_genres_are_those_of_tags_that_are_most_common_else_guesses(library):
    tags = ["Rock", "rock", "hip hop", "Hip-Hop", "Hip-Hop", "Obscure/Rock", None, None, "Other", "unknown"]
    vectors, _ = songs(len(tags))
    library.write(entries=[entry(i, v, genre=g) for i, (v, g) in enumerate(zip(vectors, tags, strict=True))])
    library.store_probabilities("genre", {7: {"jazz": 0.9, "rock": 0.1}, 8: {"jazz": 0.2}, 9: {"rock": 0.8}}, "heads")
    fact = look_up(library, "genre", np.arange(1, 11))
    names = [fact.labels[code] if code >= 0 else None for code in fact.codes]
    assert [n and n.lower() for n in names] == ["rock", "rock", *["hip-hop"] * 3, "rock", "jazz", None, "rock", None]
    assert fact.labels[0].lower() == "rock"  # the most common first


def test_colours_say_what_they_mean(library):
    genres = [f"genre {'abcdefghijklmnop'[i]}" for i in range(14) for _ in range(15 - i)]
    vectors, _ = songs(len(genres) + 1)
    years = [1959, 1960, 1969, 2024, 0, 99999]
    entries = [entry(i, v, genre=g, year=years[i % 6]) for i, (v, g) in enumerate(zip(vectors, genres, strict=False))]
    library.write(entries=[*entries, entry("none", vectors[-1])])
    n = len(genres) + 1
    library.store_descriptions({i: Description(40.0 + 5 * i, None, 0.0, None) for i in range(1, n)})
    ids = np.arange(1, n + 1)
    genre = colours_by(library, "genre", ids)
    assert genre.scale == "labels"
    assert len(genre.legend) == 10
    assert genre.legend[0] == ("genre a", 15)
    assert [int((genre.codes == code).sum()) for code in range(10)] == [songs for _, songs in genre.legend]
    assert genre.other == (genre.codes == OTHER).sum() == len(genres) - sum(songs for _, songs in genre.legend)
    assert genre.unknown == (genre.codes == UNKNOWN).sum() == 1
    year = colours_by(library, "year", ids)
    assert year.scale == "ordered"
    assert [label for label, _ in year.legend] == ["1950s", "1960s", "2020s"]
    assert year.codes[:6].tolist() == [0, 1, 1, 2, UNKNOWN, UNKNOWN]
    tempo = colours_by(library, "tempo", ids)
    assert tempo.legend[0][0] == "below 60 bpm"
    assert tempo.legend[-1][0] == "180 bpm and more"
    assert tempo.codes[:4].tolist() == [0, 0, 0, 1]  # 45, 50, 55, 60
    assert colours_by(library, "mood", ids).unknown == n
    assert len(colours_by(library, "album", ids).codes) == n
    with pytest.raises(ValueError, match="genre, mood, year, tempo, album"):
        colours_by(library, "colour", ids)


def blobs():
    rng = np.random.default_rng(3)
    centres = np.array([(-0.7, -0.7), (0.7, 0.7), (0.7, -0.7)])
    of = np.repeat(np.arange(3), (60, 40, 20))
    return (centres[of] + 0.05 * rng.standard_normal((120, 2))).astype(np.float32), of


def test_clusters_are_named_by_what_they_share_and_others_do_not():
    points, of = blobs()
    facts = [
        Fact("genre", ["classical", "jazz"], np.where(of == 2, 1, 0)),
        Fact("artist", ["Bach", "Miles"], np.where(of == 1, 0, -1)),
        Fact("mood", ["calm"], np.zeros(120, int)),
    ]
    found = [cluster for cluster in find_clusters(points, facts) if cluster.level == 0]
    assert [cluster.size for cluster in found] == [60, 40, 20]
    assert [cluster.name for cluster in found] == ["classical", "Bach", "jazz"]
    for cluster, centre in zip(found, [(-0.7, -0.7), (0.7, 0.7), (0.7, -0.7)], strict=True):
        assert (cluster.x, cluster.y) == pytest.approx(centre, abs=0.06)


def test_clusters_that_share_the_same_are_told_apart():
    points, of = blobs()
    tempi = Fact("tempo", ["slow", "walking", "fast"], of)
    found = find_clusters(points, [Fact("genre", ["rock", "folk"], np.where(of == 0, 1, 0)), tempi])
    assert [cluster.name for cluster in found if cluster.level == 0] == ["folk", "rock · walking", "rock · fast"]


@pytest.mark.parametrize("n", [0, 1, 3, 50])
def test_points_of_one_place_or_none_are_a_cluster_or_none(n):
    points = np.zeros((n, 2), np.float32)
    sizes = {cluster.size for cluster in find_clusters(points, [Fact("genre", [], np.full(n, -1))])}
    assert sizes == ({n} if n >= 4 else set())


# the command


def test_the_command_draws_and_tells_where_songs_lie(library):
    of = fill(library, genre=lambda group: ("Rock", "Folk", "Jazz", "Disco")[group])
    line = ["map", "--library", str(library.path)]
    assert invoke(line).output.splitlines()[-2] == "the map is drawn, of 60 songs"
    again = invoke(line)
    assert "the map is up to date" in again.output
    assert "Rock\t15" in again.output  # a group of sixty songs of four
    told = json.loads(invoke([*line, "--json"]).stdout)
    points = np.array([[song["x"], song["y"]] for song in told["songs"]])
    assert nearest_of_own_group(points, of) == 1.0
    assert {cluster["name"] for cluster in told["clusters"] if cluster["level"] == 0} == {
        "Rock",
        "Folk",
        "Jazz",
        "Disco",
    }
    assert "mirclr serve --open" in again.output
    assert "the map is drawn" in invoke([*line, "--again"]).output
