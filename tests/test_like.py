"""`--like`: harmony and rhythm as they are found, kept and compared, and lists by them."""

import json
import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirclr.errors import LibraryError, NoMatch, QueryError
from mirclr.index import open_index
from mirclr.ingest.description import undescribed
from mirclr.library import CHORDS, Description, LibraryStore, Outline
from mirclr.library.aspects import ASPECTS, packed_aspects
from mirclr.recommend import Query, recommend
from mirclr.recommend.aspects import AspectRows, parse_like
from mirclr.recommend.reasons import shared_chords
from mirclr.transcription.aspects import FRAME_S, harmony_of, rhythm_of
from tests.commands import exits
from tests.test_recommend import STAMP, entry

FREE = {"artist_cap": 0, "artist_gap": 0, "fill": True}


def song(roots, bpm=100.0, up=0, quality=0, beats_a_chord=2, metre=4):
    """An outline: chords of some beats each, transposed by semitones."""
    gap = 60 / bpm
    count = len(roots) * beats_a_chord
    beats = np.stack([np.arange(count + 1) * gap, np.arange(count + 1) % metre + 1], axis=1)
    begins = np.arange(len(roots)) * gap * beats_a_chord
    codes = [1 + (root + up) % 12 * 8 + quality for root in roots]
    return Outline(beats, np.stack([begins, begins + gap * beats_a_chord, codes], axis=1).astype(float))


def rows(name, *found):
    packed = [np.frombuffer(packed_aspects({name: one})[list(ASPECTS).index(name)], np.int8) for one in found]
    return AspectRows.of(name, np.arange(1, len(found) + 1), np.stack(packed))


ROOTS = st.lists(st.integers(0, 11), min_size=24, max_size=40).filter(lambda roots: len(set(roots)) > 3)


@settings(max_examples=25, deadline=None)
@given(ROOTS, st.integers(1, 11), st.floats(60, 180), st.integers(0, 7))
def test_harmony_is_the_same_in_any_key_and_tempo_and_of_any_kind_of_chord(roots, up, bpm, quality):
    assert harmony_of(song(roots)) == pytest.approx(harmony_of(song(roots, bpm, up, quality)), abs=1e-9)


def test_harmony_counts_how_far_roots_go():
    found = harmony_of(song([0, 5] * 16)).reshape(11, 12)  # C F C F, each of two beats
    two = found[2] - found[2].min()  # two beats later it is always the other: up 5, or 7
    assert np.flatnonzero(two > 0).tolist() == [5, 7]
    assert two[5] == pytest.approx(two[7], rel=0.1)
    assert np.argmax(found[4]) == 0  # four beats later the same
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-9)


def test_what_has_no_chords_has_no_harmony():
    assert harmony_of(Outline()) is None
    assert harmony_of(Outline(song([0]).beats, np.array([[0.0, 9.0, 0.0]]))) is None
    without_beats = Outline(np.zeros((0, 2)), song([0, 5, 7, 2] * 8).chords)
    assert harmony_of(without_beats) is not None


def test_beats_at_half_the_pace_are_compared_as_such():
    rng = np.random.default_rng(0)
    songs = [song(rng.integers(0, 12, 60)) for _ in range(8)]
    slow = [Outline(one.beats[::2], one.chords) for one in songs]
    alike = rows("harmony", *map(harmony_of, songs)).compare(np.stack([harmony_of(one) for one in slow]))
    assert alike.argmax(axis=1).tolist() == list(range(8))
    assert (alike.max(axis=1) > np.sort(alike, axis=1)[:, -2] + 0.5).all()


def drummed(pattern, bpm=100.0, bars=12, shift=0):
    """An outline and how likely drums are: hits at sixteenths of a bar, of kick, snare and hat."""
    step, frames = 60 / bpm / 4, round(bars * 4 * 60 / bpm / FRAME_S)
    drums = np.full((5, frames), 0.02, np.float32)
    for drum, places in enumerate(pattern):
        for bar in range(bars):
            for place in places:
                drums[drum, min(frames - 1, round((bar * 16 + place) * step / FRAME_S))] = 0.9
    beats = np.arange(bars * 4) * 4 * step
    return Outline(np.stack([beats, (np.arange(bars * 4) + shift) % 4 + 1], axis=1)), drums


def test_rhythm_is_the_pattern_wherever_the_bar_begins():
    rock, bossa = ([0, 8], [4, 12], range(0, 16, 2)), ([0, 3, 8, 11], [2, 5, 12], range(16))
    alike = rows("rhythm", *(rhythm_of(*drummed(one)) for one in (rock, bossa)))
    found = alike.compare(np.stack([rhythm_of(*drummed(rock, shift=2)), rhythm_of(*drummed(bossa, shift=1))]))
    assert found.argmax(axis=1).tolist() == [0, 1]
    twice = alike.compare(np.stack([rhythm_of(*drummed(rock, bpm=200.0, bars=24))]))[0]
    assert twice[0] > 2  # twice the tempo is the same
    assert rhythm_of(Outline(), drummed(rock)[1]) is None
    assert len(rhythm_of(*drummed(rock))) == ASPECTS["rhythm"]


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        ((), {"timbre": 1.0}),
        (("harmony",), {"harmony": 1.0}),
        (("Harmony=0.7", "timbre = .3"), {"harmony": 0.7, "timbre": 0.3}),
        (("sound", "chords=0.5", "drums=0"), {"timbre": 1.0, "harmony": 0.5}),
    ],
)
def test_what_is_to_be_alike_is_read(texts, wanted):
    assert parse_like(texts) == wanted


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"like": ("harmny",)}, "did you mean harmony"),
        ({"like": ("melody",)}, "expected timbre, harmony, rhythm"),
        ({"like": ("harmony=2",)}, "from 0 to 1"),
        ({"like": ("harmony=nan",)}, "from 0 to 1"),
        ({"like": ("harmony=",)}, "from 0 to 1"),
        ({"like": ("harmony", "chords")}, "twice"),
        ({"like": ("harmony=0",)}, "weight of 0"),
        ({"like": ("harmony",), "to": "b"}, "a path"),
        ({"like": ("harmony",), "seeds": (), "genre": ("rock",)}, "that you name"),
        ({"like": 3}, "expected texts"),
    ],
)
def test_what_cannot_be_asked(asked, match):
    with pytest.raises(QueryError, match=match):
        Query(**({"seeds": ("a",)} | asked))


def test_a_query_that_weighs_survives_json():
    query = Query(seeds=("a",), like=("harmony=0.7", "timbre=0.3"))
    assert Query.from_json(json.loads(json.dumps(query.to_json()))) == query
    assert Query(seeds=("a",), like="harmony") == Query.of(seeds="a", like=["harmony"])
    assert Query(seeds=("a",), to="b", like=("timbre",)).like_by_sound


@pytest.fixture
def library(tmp_path):
    """Twenty songs of vectors and harmonies of their own, each with a cover; the last two not described."""
    rng = np.random.default_rng(1)
    with LibraryStore.open(tmp_path / "lib.db", create=True) as library:
        library.bind(STAMP)
        vectors = rng.standard_normal((40, 4))
        names = [f"{kind}{i}" for kind in ("song", "cover") for i in range(20)]
        library.write(entries=[entry(n, v, artist=n[:4], title=n) for n, v in zip(names, vectors, strict=True)])
        roots = rng.integers(0, 12, (20, 64))
        outlines = [song(r) for r in roots] + [song(r, 111.0, 1 + i % 11) for i, r in enumerate(roots)]
        library.store_descriptions(
            {
                i: Description(100.0, "C", 0.5, -10.0, one, {"harmony": harmony_of(one)})
                for i, one in enumerate(outlines, 1)
                if i % 20  # song19 and cover19 are not
            }
        )
        yield library


def ask(library, seeds, **asked):
    return recommend(library, open_index(library), Query(seeds=seeds, **(FREE | asked)))


def listed(answer):
    return [r.track.path for r in answer.recommendations]


def test_covers_come_first_by_harmony_and_say_so(library):
    for i in range(19):
        answer = ask(library, (f"song{i}",), n=5, like=("harmony",))
        assert listed(answer)[0] == f"cover{i}"
        first = answer.recommendations[0]
        assert first.explanation.aspects["harmony"] > 0.95
        assert first.reason == "like harmony"
        names = [[CHORDS.index(chord) // 8 for chord in four.split()] for four in first.explanation.chords or ()]
        assert not names or len({(b - a) % 12 for a, b in zip(*names, strict=True)}) == 1
        assert listed(ask(library, (f"song{i}",), n=5, like=("harmony", "timbre=0.2")))[0] == f"cover{i}"
    assert listed(ask(library, ("song0",), n=40)) == listed(ask(library, ("song0",), n=40, like=("timbre=0.4",)))


def test_what_a_query_promises_holds_by_harmony_too(library):
    answer = ask(library, ("song0",), n=39, like=("harmony",))
    assert len(set(listed(answer))) == 39  # also the two of which nothing is known
    assert [r.alike for r in answer.recommendations] == sorted((r.alike for r in answer.recommendations), reverse=True)
    assert listed(answer) == listed(ask(library, ("song0",), n=39, like=("harmony",)))
    capped = ask(library, ("song0",), n=10, like=("harmony",), artist_cap=1)
    assert len(capped.recommendations) == 2  # all are by two artists
    assert "cover0" not in listed(ask(library, ("song0",), n=39, like=("harmony",), exclude=("track:cover0",)))
    away = ask(library, ("song0",), n=39, like=("harmony",), avoid=("cover1",))
    assert "song1" not in listed(away)
    assert listed(away)[0] == "cover0"
    few = ask(library, ("song0",), n=39, like=("harmony",), fill=False)
    assert 0 < len(few.recommendations) < 39
    assert any("not alike" in line for line in few.remarks)


def test_songs_that_are_not_described_are_told_of(library):
    answer = ask(library, ("song0",), n=3, like=("harmony",))
    assert any(line.startswith("2 songs have no beats and chords yet: mirclr describe") for line in answer.remarks)
    with pytest.raises(NoMatch, match=r"song19.*describe"):
        ask(library, ("song19",), like=("harmony",))
    by_sound = ask(library, ("song19",), n=39, like=("harmony", "timbre"))
    assert any("song19: counts by timbre alone" in line for line in by_sound.remarks)
    both = ask(library, ("song18", "song19"), n=3, like=("harmony",))
    assert any("song19: does not count, as no harmony is known" in line for line in both.remarks)
    assert listed(both)[0] == "cover18"
    assert listed(by_sound) == listed(ask(library, ("song19",), n=39))
    assert by_sound.recommendations[0].explanation.aspects.keys() == {"timbre"}


def test_on_the_command_line(library, tmp_path, capsys):
    library.close()
    asked = ("recommend", "song3", "--library", tmp_path / "lib.db", "-n", 2, "--artist-cap", 0, "--artist-gap", 0)
    code, out, _ = exits(capsys, *asked, "--like", "harmony", "--json", "--explain")
    found = json.loads(out)
    assert code == 0
    assert found["recommendations"][0]["title"] == "cover3"
    assert found["recommendations"][0]["explanation"]["aspects"]["harmony"] > 0.95
    weighed = ("--like", "harmony=0.7", "--like", "timbre=0.3")
    _, out, err = exits(capsys, *asked, *weighed, "--explain", "--save", "covers")
    assert "harmony" in out
    assert "2 songs have no beats and chords yet" in err
    with LibraryStore.open(tmp_path / "lib.db") as kept:
        assert kept.playlists()["covers"]["query"]["like"] == ["harmony=0.7", "timbre=0.3"]
    code, _, err = exits(capsys, *asked, "--like", "harmony=7")
    assert (code, "0 to 1" in err) == (2, True)


def test_a_library_of_before_is_described_once_more(library, tmp_path):
    assert len(undescribed(library, again=False)[0]) + len(undescribed(library, again=False)[1]) == 2
    library.close()
    with sqlite3.connect(tmp_path / "lib.db") as db:  # as schema 7 was
        db.executescript("DROP TABLE aspect; PRAGMA user_version = 7")
    with LibraryStore.open(tmp_path / "lib.db") as renewed:
        assert renewed.with_outline()
        assert not renewed.with_aspects()
        assert undescribed(renewed, again=False)[2] == 0


def test_chords_that_both_have_are_named_as_each_has_them():
    ours = song([0, 7, 9, 5] * 4, quality=0)
    assert shared_chords(ours, song([0, 7, 9, 5] * 3, up=3)) == ("C G A F", "Eb Bb C Ab")
    assert shared_chords(ours, song([0, 1, 2, 3, 4, 5])) is None
    assert shared_chords(ours, None) is None
    assert shared_chords(Outline(), ours) is None


def test_what_is_damaged_is_refused(library):
    library._connection.execute("UPDATE aspect SET harmony = x'0102' WHERE track_id = 3")
    with pytest.raises(LibraryError, match="the harmony of track 3"):
        ask(library, ("song0",), like=("harmony",))
    assert CHORDS[1] == "C"
