"""Long mixes are their segments: found by a part of them, a seed for each part, and in no more lists than songs."""

import gc
import weakref
from collections import Counter

import numpy as np
import pytest

from mirclr.index import open_index
from mirclr.library import Entry, ExcerptEmbeddings, LibraryStore, Listen
from mirclr.models.stamp import EncoderStamp
from mirclr.recommend import Query, recommend
from mirclr.recommend.pair import compare
from mirclr.recommend.ranking import mutual_proximity
from mirclr.recommend.segments import LONG_S, LongTracks, with_segments
from mirclr.recommend.taste import taste_of
from mirclr.tags import Tags

DIM, SONGS, OF_MIX, EVERY_S = 96, 150, 12, 300.0
STAMP = EncoderStamp("d" * 32, "a.safetensors", DIM, 8, {})


def entry(path: str, excerpts: np.ndarray, seconds: float, *, keeps: bool = True) -> Entry:
    starts = np.arange(len(excerpts)) * seconds / len(excerpts)
    kept = ExcerptEmbeddings.of(starts, excerpts) if keeps else None
    vector = excerpts.mean(axis=0).astype(np.float32)
    tags = Tags(title=path, artist=f"artist of {path}")
    return Entry("/music", path, 1, 1, f"f-{path}", path, seconds, tags, vector, kept)


def music(seed: int = 0) -> np.ndarray:
    """(SONGS, 15, DIM) excerpts of songs of ten styles."""
    rng = np.random.default_rng(seed)
    styles = rng.standard_normal((10, 1, DIM))
    songs = styles[np.arange(SONGS) % 10] + 0.8 * rng.standard_normal((SONGS, 1, DIM))
    return np.asarray(songs + 0.4 * rng.standard_normal((SONGS, 15, DIM)), np.float32)


@pytest.fixture
def library(tmp_path):
    """Songs with ids from 1, and mixes of songs of one style each and others; the songs of a mix by its id."""
    excerpts, rng = music(), np.random.default_rng(1)
    with LibraryStore.open(tmp_path / "lib.db", create=True) as library:
        library.bind(STAMP)
        library.write(entries=[entry(f"song {n}", rows, 200.0 + n) for n, rows in enumerate(excerpts)])
        of = {}
        for n in range(6):
            chosen = rng.choice(SONGS, OF_MIX, replace=False)
            parts = excerpts[chosen, rng.integers(15, size=OF_MIX)]
            library.write(entries=[entry(f"mix {n}", parts, OF_MIX * EVERY_S + n)])
            of[SONGS + 1 + n] = (chosen + 1).tolist()
        yield library, of


def ask(library, seed, n=10, index=None):
    query = Query(seeds=(f"id:{seed}",), n=n, artist_cap=0, artist_gap=0, fill=True)
    return recommend(library, index or open_index(library), query)


def test_a_song_of_a_mix_finds_it_and_where_the_song_is(library):
    store, of = library
    index, ranks, places = open_index(store), [], []
    for mix, songs in list(of.items())[:3]:
        for at, song in list(enumerate(songs))[::2]:
            found = {r.track.id: r for r in ask(store, song, SONGS, index).recommendations}
            ranks.append(found[mix].rank)
            places.append(found[mix].part_s == pytest.approx(at * (OF_MIX * EVERY_S) / OF_MIX, abs=1))
            assert found[mix].reason.startswith("from ")
    assert np.median(ranks) <= 0.1 * SONGS
    assert np.mean(places) > 0.5  # else another of its style


def test_a_mix_is_in_about_as_many_lists_as_a_song(library):
    store, of = library
    index = open_index(store)
    asked = range(1, SONGS + 1, 3)
    lists = Counter(r.track.id for song in asked for r in ask(store, song, 10, index).recommendations)
    assert np.mean([lists[mix] for mix in of]) <= 1.5 * np.mean([lists[song] for song in range(1, SONGS + 1)])
    assert sum(lists[mix] for mix in of) > 0


def test_a_mix_as_seed_finds_its_songs(library):
    store, of = library
    answers = {mix: ask(store, mix) for mix in of}
    own = np.mean([r.track.id in of[mix] for mix, answer in answers.items() for r in answer.recommendations])
    assert own > 0.5
    for mix, answer in answers.items():
        assert [seed.track_id for seed in answer.seeds] == [mix]
        assert all(seed.start_s is None for seed in answer.seeds)
        assert all(" from " in r.explanation.seed for r in answer.recommendations)
    assert len({r.explanation.seed for r in answers[SONGS + 1].recommendations}) > 1


def test_a_path_leaves_a_mix_at_its_end_meets_one_at_its_beginning_and_leads_through_songs(library):
    store, of = library
    index, mixes = open_index(store), list(of)
    parts = LongTracks.of(store, index)
    query = Query(seeds=(f"id:{mixes[0]}",), to=f"id:{mixes[1]}", n=8, artist_cap=0, artist_gap=0)
    found = recommend(store, index, query).recommendations
    assert [r.track.id for r in (found[0], found[-1])] == mixes[:2]
    assert not {r.track.id for r in found[1:-1]} & set(mixes)
    last, first = parts.vectors[parts.bounds[1] - 1], parts.vectors[parts.bounds[1]]
    vectors = index.vectors(np.array([r.track.id for r in found[1:-1]]))
    assert found[1].similarity == pytest.approx(float(vectors[0] @ last), abs=1e-5)
    assert found[-1].similarity == pytest.approx(float(vectors[-1] @ first), abs=1e-5)


def test_where_songs_are_too_few_a_path_leads_through_mixes(library):
    store, of = library
    store.remove(list(range(5, SONGS + 1)))
    index = open_index(store)
    query = Query(seeds=("id:1",), to="id:2", n=7, artist_cap=0, artist_gap=0)
    found = [r.track.id for r in recommend(store, index, query).recommendations]
    assert len(found) == 7
    assert {3, 4} <= set(found)
    assert set(found) & set(of)


def test_a_song_and_a_mix_that_has_it_are_as_alike_as_a_list_says(library):
    store, of = library
    index = open_index(store)
    for mix, songs in list(of.items())[:2]:
        other = next(song for song in range(1, SONGS + 1) if song not in songs)
        own = [compare(store, index, song, mix) for song in songs]
        whole = index.vectors(np.array([mix]))[0] @ index.vectors(np.array(songs)).T
        assert np.mean([one.similarity for one in own]) > whole.mean() + 0.2
        assert compare(store, index, mix, songs[0]).alike == pytest.approx(own[0].alike, abs=1e-6)
        listed = {r.track.id: r for r in ask(store, songs[0], SONGS, index).recommendations}
        assert own[0].similarity == pytest.approx(listed[mix].similarity, abs=1e-5)
        assert np.mean([one.alike for one in own]) > compare(store, index, other, mix).alike


def test_who_likes_mixes_is_recommended_songs_of_them(library):
    store, of = library
    index, mixes = open_index(store), list(of)[:3]
    liked = [Listen("", "", "", str(track.file), 1, None, 1) for track in store.tracks(mixes)]
    taste = taste_of(store, liked, now_s=0.0, long=LongTracks.of(store, index))
    assert taste.weights.sum() == pytest.approx(1)
    query = Query(profile="anna", n=20, artist_cap=0, artist_gap=0, fill=True)
    found = recommend(store, index, query, listens=liked).recommendations
    own = {song for mix in mixes for song in of[mix]}
    assert len(found) == 20
    assert not {r.track.id for r in found} & set(mixes)
    vectors = {song: index.vectors(np.array([song]))[0] for song in own}
    nearest = np.stack(list(vectors.values())) @ taste.centres.T
    by_mean = np.stack(list(vectors.values())) @ taste_of(store, liked, now_s=0.0).centres.T
    assert nearest.max(axis=0).mean() > by_mean.max(axis=0).mean()


def test_a_long_track_that_stays_the_same_is_one_vector(tmp_path):
    with LibraryStore.open(tmp_path / "lib.db", create=True) as store:
        store.bind(STAMP)
        lengths = [4 * LONG_S, *(200.0 + n for n in range(1, SONGS))]
        store.write(entries=[entry(f"song {n}", rows, lengths[n]) for n, rows in enumerate(music())])
        assert not len(LongTracks.of(store, open_index(store)).ids)
        answer = ask(store, 2, n=SONGS)
        assert all(r.part_s is None for r in answer.recommendations)


def test_a_mix_of_which_no_excerpts_are_kept_is_one_vector(library):
    store, _ = library
    before = LongTracks.of(store, open_index(store)).ids.tolist()
    store.write(entries=[entry("old mix", music(5)[:12, 0], 4000.0, keeps=False)])
    index = open_index(store)
    last = int(store.ids()[-1])
    assert LongTracks.of(store, index).ids.tolist() == before
    assert len(ask(store, last).recommendations) == 10
    assert last in {r.track.id for r in ask(store, 1, n=SONGS + 6).recommendations}


def test_songs_are_seeds_as_they_are(library):
    store, _ = library
    found = ask(store, 1)
    assert with_segments(store, open_index(store), found.seeds) == found.seeds
    mix = ask(store, SONGS + 1).seeds
    parted = with_segments(store, open_index(store), mix)
    assert len(parted) == pytest.approx(OF_MIX, abs=2)
    assert sum(seed.weight for seed in parted) == pytest.approx(1)
    starts = [seed.start_s for seed in parted]
    assert starts == sorted(starts)


def test_of_several_chances_the_nearest_counts_for_less():
    rng = np.random.default_rng(0)
    similarities = rng.uniform(-0.2, 0.9, (3, 50))
    of_seeds, of_tracks = np.tile([0.1, 0.2], (3, 1)), np.tile([0.15, 0.15], (50, 1))
    scores = [mutual_proximity(similarities, of_seeds, of_tracks, chances=np.full(50, n)) for n in (1, 2, 15)]
    np.testing.assert_allclose(scores[0], mutual_proximity(similarities, of_seeds, of_tracks), atol=1e-6)
    assert (scores[0] > scores[1]).all()
    assert (scores[1] > scores[2]).all()
    order = similarities.ravel().argsort()
    assert (np.diff(scores[2].ravel()[order]) >= 0).all()


def test_an_index_that_nobody_uses_is_let_go(library):
    index = open_index(library[0])
    assert len(LongTracks.of(library[0], index).ids)
    gone = weakref.ref(index)
    del index
    gc.collect()
    assert gone() is None
