"""What a text means: tags with weights, bounds, what is not wanted, what is not understood."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirclr.recommend import Query
from mirclr.recommend.ranges import parse_bpm, parse_duration, parse_length, parse_years
from mirclr.words import Vocabulary, understand
from mirclr.words.bounds import read_bounds
from mirclr.words.lexicon import lexicon
from mirclr.words.tags import INSTEAD, folded
from mirclr.words.vectors import FOLDER, WordVectors

TAGS = sorted({tag for weights in lexicon().values() for tag in weights})
ALL = Vocabulary({"tag": TAGS}, ["Zydeco", "Drum & Bass"])


def test_a_text_becomes_tags_bounds_and_what_is_not_understood():
    read = understand("Calm piano, no vocals, around 90 bpm, before 1990, xylophobia", ALL)
    assert read.weights["piano"] == pytest.approx(1 / 3)
    assert {"calm", "quiet", "instrumental"} <= read.weights.keys()
    assert sum(map(abs, read.weights.values())) == pytest.approx(1)
    assert read.bounds == (("bpm", "81..99"), ("year", "before 1990"))
    assert read.vocal is False
    assert read.unknown == ("xylophobia",)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("between 100 and 120 bpm", "bpm", "100..120"),
        ("over 140 beats per minute", "bpm", "over 140"),
        ("not over 100 bpm", "bpm", "under 100"),
        ("a tempo of 90", "bpm", "90"),
        ("ninety bpm", "bpm", "90"),
        ("medium tempo", "bpm", "90..120"),
        ("andante", "bpm", "76..108"),
        ("120 bpm or faster", "bpm", "over 120"),
        ("120+ bpm", "bpm", "over 120"),
        ("80 bpm max", "bpm", "under 80"),
        ("bpm>=120", "bpm", "over 120"),
        ("3 minutes or less", "duration_s", "under 3minutes"),
        ("5+ minutes", "duration_s", "over 5minutes"),
        ("1990 or later", "year", "since 1990"),
        ("1990 onwards", "year", "since 1990"),
        ("1985 or earlier", "year", "until 1985"),
        ("1990 on piano", "year", "1990"),
        ("90s or later", "year", "since 1990"),
        ("80s or 90s", "year", "1980..1999"),
        ("from 1995 to 1985", "year", "1985..1995"),
        ("140-100 bpm", "bpm", "100..140"),
        ("late 80s to early 90s", "year", "1986..1993"),
        ("8A", "key", "8A"),
        ("sad songs from the 80s", "year", "1980..1989"),
        ("the early 1990s", "year", "1990..1993"),
        ("nineties", "year", "1990..1999"),
        ("60s to 70s", "year", "1960..1979"),
        ("1994", "year", "1994"),
        ("from 1994 on", "year", "since 1994"),
        ("not before 2000", "year", "since 2000"),
        ("between 1990 and 1995", "year", "1990..1995"),
        ("pre-1980", "year", "before 1980"),
        ("around 1985", "year", "~1985"),
        ("before the 70s", "year", "before 1970"),
        ("under 3 minutes", "duration_s", "under 3minutes"),
        ("2:30 to 4:00 long", "duration_s", "2:30..4:00"),
        ("10 to 15 min", "duration_s", "10m..15min"),
        ("short sad songs", "duration_s", "under 3m"),
        ("a 3-minute song", "duration_s", "3minute"),
        ("45 minutes of jazz", "length_s", "45minutes"),
        ("an hour of jazz", "length_s", "60minutes"),
        ("a playlist of 1 hour 30 minutes", "length_s", "1hour30minutes"),
        ("20 happy songs", "n", "20"),
        ("ten songs", "n", "10"),
        ("half an hour of jazz", "length_s", "30minutes"),
        ("3 minute songs", "duration_s", "3minute"),
        ("2,5 minutes", "duration_s", "2.5minutes"),
        ("90 bpm +/- 5", "bpm", "85..95"),
        ("90±5 bpm", "bpm", "85..95"),
        ("year > 1990", "year", "after 1990"),
        ("year<=1985", "year", "until 1985"),
        ("no songs over 4 minutes", "duration_s", "under 4minutes"),
        ("nothing slower than 100 bpm", "bpm", "over 100"),
        ("don't play anything from before 1990", "year", "since 1990"),
        ("jazz, not too long", "duration_s", "under 6m"),
        ("in A minor", "key", "Am"),
        ("key of F sharp minor", "key", "F#m"),
        ("in e flat major", "key", "Eb"),
        ("in the key of C", "key", "C"),
        ("in a minor key", "key", "minor"),
        ("mixes with A minor", "key", "Am,compatible"),
    ],
)
def test_numbers_are_read_as_a_query_reads_them(text, field, value):
    found = dict(read_bounds(text.lower()).found)
    assert found == {field: value}
    parse = {"bpm": parse_bpm, "year": parse_years, "duration_s": parse_duration, "length_s": parse_length, "n": int}
    read = parse[field](value) if field in parse else value
    Query(**{field: read[:2] if isinstance(read, tuple) else read}, seed=0)


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("no drums or guitars, ambient", {"ambient"}, {"drums", "guitars"}),
        ("ambient without drums and guitars", {"ambient"}, {"drums", "guitars"}),
        ("calm without guitar and happy", {"calm", "happy"}, {"guitar"}),
        ("not too loud, not sad", set(), {"loud", "sad"}),
        ("piano, hardly any drums", {"piano"}, {"drums"}),
        ("i dont want metal", set(), {"metal"}),
        ("only jazz, nothing else", {"jazz"}, set()),
        ("anything but metal", set(), {"metal"}),
        ("heavy metal but not screaming", {"heavy metal"}, {"screaming"}),
        ("drum-free techno", {"techno"}, {"drum"}),
        ("beatless ambient", {"ambient"}, {"beat"}),
        ("not only sad", {"sad"}, set()),
        ("jazz, no piano, or guitar", {"jazz"}, {"piano", "guitar"}),
        ("piano and strings", {"piano", "strings"}, set()),
        ("neither happy nor sad", set(), {"happy", "sad"}),
        ("no piano no guitar no drums", set(), {"piano", "guitar", "drums"}),
        ("no piano, guitar, drums or violin", set(), {"piano", "guitar", "drums", "violin"}),
        ("no drums, guitars", {"guitars"}, {"drums"}),
        ("no piano but guitar or drums", {"guitar or drums"}, {"piano"}),
        ("no drums calm piano", {"calm", "piano"}, {"drums"}),
        ("no vocals only piano", {"vocals", "piano"}, set()),  # what is wanted is that there are none
        ("rock -jazz", {"rock"}, {"jazz"}),
        ("no piano/guitar", set(), {"piano", "guitar"}),
        ("not without drums", {"drums"}, set()),
        ("more or less calm", {"calm"}, set()),
        ("almost no drums, not many guitars", set(), {"drums", "guitars"}),
        ("a little guitar, a few songs with piano", {"guitar", "piano"}, set()),
    ],
)
def test_negation_reaches_as_far_as_it_is_meant(text, wanted, unwanted):
    read = understand(text, ALL)
    assert {one.text for one in read.wanted} == wanted
    assert {one.text for one in read.unwanted} == unwanted
    assert not read.unknown


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("jazz or blues", ["jazz or blues"]),
        ("sad, jazz, blues or rock", ["sad", "jazz or blues or rock"]),
        ("calm, or dreamy piano", ["calm or dreamy", "piano"]),
        ("jazz or blues with piano or guitar", ["jazz or blues", "piano or guitar"]),
        ("jazz or blues, or rock", ["jazz or blues or rock"]),
        ("rock or", ["rock"]),
        ("or rock", ["rock"]),
        ("pop/rock", ["pop or rock"]),
        ("jazz and blues", ["jazz", "blues"]),
    ],
)
def test_of_what_an_or_joins_one_will_do(text, wanted):
    read = understand(text, ALL)
    assert [one.text for one in read.wanted] == wanted
    assert sum(map(abs, read.weights.values())) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "bounds", "wanted", "unwanted", "unknown"),
    [
        ("the 1970s but not 1977", [("year", "1970..1979")], [], [], ["not 1977"]),
        ("anything but 80s pop", [], [], ["pop"], ["without 80s"]),
        ("no 90s rock", [], [], ["rock"], ["no 90s"]),
        ("5A or 6A", [("key", "5A")], [], [], ["6a"]),
        ("3 sad songs and 2 happy songs", [("n", "3")], ["sad", "happy"], [], ["2"]),
        ("tempo between 90 and 110", [("bpm", "90..110")], [], [], []),
    ],
)
def test_what_cannot_be_asked_is_said(text, bounds, wanted, unwanted, unknown):
    read = understand(text, ALL)
    assert list(read.bounds) == bounds
    assert [one.text for one in read.wanted] == wanted
    assert [one.text for one in read.unwanted] == unwanted
    assert list(read.unknown) == unknown


@pytest.mark.parametrize("text", ["i am tired", "music for 3 am", "songs in under a min"])
def test_words_that_look_like_a_key_are_none(text):
    assert not read_bounds(text).found


def test_genres_that_have_another_word_in_them_are_understood_whole():
    assert understand("new wave", ALL).weights["alternative"] > 0.4
    assert not any(
        one.near for one in understand("darkwave, vaporwave, flamenco, acid jazz, drum'n'bass", ALL).concepts
    )


@pytest.mark.parametrize(
    ("text", "vocal"),
    [
        ("no vocals", False),
        ("instrumental", False),
        ("not instrumental", True),
        ("with singing", True),
        ("without lyrics", False),
        ("female singer", True),
        ("piano", None),
        ("vocal-free house", False),
        ("zero vocals", False),
        ("no female vocals", None),
        ("no drums no vocals", False),
        ("jazz with few vocals", False),
        ("very little singing", False),
        ("a few vocals", True),
        ("w/ vocals", True),
    ],
)
def test_voices_are_a_filter(text, vocal):
    assert understand(text, ALL).vocal is vocal


def test_what_is_beside_a_seed_is_told_apart():
    read = understand("but calmer, less electronic and more upbeat", ALL)
    assert [(one.text, one.negated, one.relative) for one in read.concepts] == [
        ("calmer", False, True),
        ("electronic", True, True),
        ("upbeat", False, True),
    ]
    assert not understand("a singer", ALL).concepts[0].relative


def test_forms_and_misprints_of_words_are_understood():
    assert understand("pianos", ALL).weights == understand("piano", ALL).weights
    misspelt = understand("melancolic pianno", ALL)
    assert misspelt.changed == {"melancolic": "melancholic", "pianno": "piano"}
    assert misspelt.weights == understand("melancholic piano", ALL).weights
    assert understand("very calm and a bit sad", ALL).concepts[0].factor > understand("calm", ALL).concepts[0].factor


def test_genres_of_files_and_labels_of_ones_own_are_words():
    assert understand("zydeco", ALL).weights == {"zydeco": 1}
    assert understand("drum and bass", ALL).weights == {"drum & bass": 1}
    own = Vocabulary({"tag": TAGS, "genre": ["workout", "Krautrock"]})
    assert understand("workout", own).weights == {"workout": 1}  # theirs, and not the lexicon's
    assert understand("krautrock", own).weights == {"krautrock": 1}


def test_one_label_stands_for_each_of_its_names_and_what_lacks_is_told_by_others():
    few = Vocabulary({"genre": ["soul & R&B", "hip-hop"], "tag": ["quiet", "female voice", "no vocals"]})
    assert few.labels["soul"] == few.labels["rnb"] == (("genre", "soul & R&B"),)
    assert few.known({"calm": 1.0}) == {"quiet": 1.0}
    assert few.known({"piano": 1.0}) == {}
    assert understand("piano", few).unknown == ("piano",)
    assert "female vocals" in few
    assert "instrumental" in few


def test_every_tag_of_the_lexicon_is_one_name():
    assert all(tag == tag.lower() for tag in TAGS)
    assert set(INSTEAD) <= set(TAGS) | {"house", "techno"}
    assert all(math.isclose(sum(map(abs, weights.values())), 1) for weights in lexicon().values())
    assert all(folded(word) for word in lexicon())


SNIPPETS = (
    *("no", "not", "without", "calm", "piano", "90 bpm", "1990", "80s", "to", "and", ",", "before", "under", "3 min"),
    *("in a minor key", "or", "more", "-er", "20 songs", "of", "&", "less", "an hour of", "from", "between", "A#m"),
)


@settings(deadline=None, max_examples=60)
@given(st.one_of(st.text(max_size=80), st.lists(st.sampled_from(SNIPPETS), max_size=12).map(" ".join)))
def test_any_text_is_read(text):
    read = understand(text, ALL)
    weights = read.weights.values()
    assert not weights or sum(map(abs, weights)) <= 1 + 1e-9
    assert all(isinstance(value, str) for _, value in read.bounds)


def test_nonsense_is_refused():
    for text in ("asdf qwer", "xylophobia", "mortgage rates in parliament", "the of and", "", "!!!", "42"):
        assert not understand(text, ALL), text


def test_held_out_synonyms_are_told_by_their_neighbours():
    vectors, cosines, refused = WordVectors.load(), [], 0
    words = [word for word in lexicon() if vectors.neighbours(word)]
    for word in words[::4]:
        meaning, right = vectors.meaning(word, without=frozenset([word])), lexicon()[word]
        norm = math.dist(meaning.values(), [0] * len(meaning)) * math.dist(right.values(), [0] * len(right))
        refused += not meaning
        if meaning:
            cosines.append(sum(meaning.get(tag, 0) * weight for tag, weight in right.items()) / norm)
    assert len(words) > 1000
    assert refused < 0.3 * len(words[::4])
    assert sum(cosines) / len(cosines) > 0.55  # by the names of the tags alone 0.31


def test_the_vectors_are_small_and_of_unit_length():
    import numpy as np

    rows = np.load(FOLDER / "vectors.npy", allow_pickle=False)
    words = (FOLDER / "words.txt").read_text().split()
    assert len(words) == len(set(words)) == len(rows)
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 3_000_000
    assert np.allclose(np.linalg.norm(rows.astype("f4"), axis=1), 1, atol=2e-3)


@pytest.mark.parametrize(
    "text", ["jazz, not from the 80s", "jazz, not between 80 and 90 bpm", "jazz from last century"]
)
def test_what_cannot_be_asked_is_not_taken_for_its_opposite(text):
    found = understand(text, ALL)
    assert not found.bounds
    assert found.unknown
    assert [one.text for one in found.concepts] == ["jazz"]


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("over 100 bpm and under 120 bpm", [("bpm", "over 100"), ("bpm", "under 120")]),
        ("after 1980 and before 1990", [("year", "after 1980"), ("year", "before 1990")]),
        ("over 2 minutes and under 4 minutes", [("duration_s", "over 2minutes"), ("duration_s", "under 4minutes")]),
    ],
)
def test_two_bounds_of_one_kind_are_two(text, bounds):
    assert list(understand(text, ALL).bounds) == bounds
