"""What a person says of songs: it holds for them, others learn from it, and it is forgotten when they say so."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirclr.classify import Head, Heads, heads_path
from mirclr.classify.corrections import Corrections, corrected, obeyed, shares_of_tags
from mirclr.classify.predict import heads_for, predict_library, predict_missing
from mirclr.errors import LabelsError
from mirclr.library import Entry, LibraryStore
from mirclr.models.stamp import EncoderStamp
from mirclr.tags import Tags
from tests.commands import invoke

DIM, N = 8, 40
STAMP = EncoderStamp("d" * 32, "e", DIM, 1, {})
GENRES, MOODS = ("jazz", "rock", "soul & R&B"), ("calm", "happy")


def heads_of(seed=0):
    rng = np.random.default_rng(seed)
    found = Heads(abstain=0.3)
    for task, kind, labels in (("genre", "one", GENRES), ("mood", "many", MOODS), ("voice", "many", ("vocal",))):
        weight = rng.normal(size=(len(labels), DIM)).astype(np.float32)
        arrays = (weight, np.zeros(len(labels), np.float32), np.full(len(labels), 0.7, np.float32))
        found.tasks[task] = Head(kind, labels, *arrays)
    found.encoder = {"digest": STAMP.digest, "name": STAMP.name, "dim": DIM}
    return found


@pytest.fixture
def path(tmp_path):
    """Four kinds of songs of ten each, and heads of one's own for them."""
    rng = np.random.default_rng(1)
    centres = np.repeat(rng.normal(size=(4, DIM)), N // 4, axis=0)
    vectors = centres + rng.normal(0, 0.3, (N, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    file = tmp_path / "l.db"
    with LibraryStore.open(file, create=True) as library:
        library.bind(STAMP)
        library.write(
            entries=[
                Entry("/m", f"{i}", 1, 1, f"{i}", f"{i}", 9.0, Tags(title=f"song {i:02}", genre="Rock"), vectors[i])
                for i in range(N)
            ]
        )
    heads_of().save(heads_path(file))
    return file


def corrections_of(**rows):
    return Corrections(rows, {})


def test_what_is_said_moves_the_songs_that_sound_like_it(path):
    with LibraryStore.open(path) as library:
        heads = heads_of()
        vectors = library.vectors()[1]
        before = heads.predict_proba(vectors)["genre"][:, 1]
        after = corrected(heads, library, corrections_of(genre={i: {"rock": True} for i in (1, 2, 3)}))
        moved = after.predict_proba(vectors)["genre"][:, 1] - before
        assert moved[3:10].mean() > 0.1
        assert moved[3:10].mean() > 2 * moved[10:].mean()
        np.testing.assert_array_equal(after.tasks["mood"].weight, heads.tasks["mood"].weight)


def test_a_genre_of_ones_own_becomes_one_that_is_guessed(path):
    with LibraryStore.open(path) as library:
        after = corrected(heads_of(), library, corrections_of(genre={i: {"Dungeon Synth": True} for i in range(1, 9)}))
        head = after.tasks["genre"]
        assert head.labels == (*GENRES, "Dungeon Synth")
        p = head.predict_proba(library.vectors()[1])
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-9)
        assert (p[8:10].argmax(axis=1) == 3).all()
        assert (p[10:].argmax(axis=1) == 3).mean() < 0.3


def test_what_is_wrong_becomes_less_likely_and_nothing_else_is_said(path):
    with LibraryStore.open(path) as library:
        vectors = library.vectors()[1]
        before = heads_of().predict_proba(vectors)
        after = corrected(heads_of(), library, corrections_of(genre={1: {"rock": False}}, mood={1: {"calm": False}}))
        now = after.predict_proba(vectors)
        assert now["genre"][0, 1] < before["genre"][0, 1]
        assert now["mood"][0, 0] < before["mood"][0, 0]
        np.testing.assert_allclose(now["mood"][:, 1], before["mood"][:, 1], atol=1e-6)


@given(st.data())
@settings(max_examples=30)
def test_what_a_person_said_of_a_song_holds_for_it(data):
    kind = data.draw(st.sampled_from(["one", "many"]))
    head = Head(kind, ("a", "b", "c"), *(np.zeros(s, np.float32) for s in ((3, 2), 3)), np.ones(3, np.float32))
    table = np.array(data.draw(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=4, max_size=4)))
    table = table + 1e-3
    table = table / table.sum(axis=1, keepdims=True) if kind == "one" else table.clip(0, 1)
    labels = st.dictionaries(st.sampled_from("abcx"), st.booleans(), max_size=4)
    answers = data.draw(st.dictionaries(st.integers(1, 5), labels))
    found = obeyed(head, np.arange(1, 5), table, answers)
    assert ((found >= 0) & (found <= 1 + 1e-9)).all()
    for i, row in enumerate(found, 1):
        of = {name: yes for name, yes in answers.get(i, {}).items() if name in "abc"}
        if not of:
            np.testing.assert_array_equal(row, table[i - 1])
        elif kind == "many":
            assert all((row["abc".index(name)] > 0.5) == yes for name, yes in of.items())
        else:
            right = [name for name, yes in of.items() if yes]
            assert not right or "abc"[int(row.argmax())] == right[-1]
            assert all(row["abc".index(name)] == 0 for name, yes in of.items() if not yes)


def test_shares_make_genres_as_common_as_a_person_says(path):
    with LibraryStore.open(path) as library:
        vectors = library.vectors()[1]
        usual = heads_of().predict_proba(vectors)["genre"].mean(axis=0)
        same = corrected(heads_of(), library, Corrections({}, dict(zip(GENRES, usual.tolist(), strict=True))))
        np.testing.assert_allclose(
            same.predict_proba(vectors)["genre"], heads_of().predict_proba(vectors)["genre"], atol=2e-3
        )
        more = corrected(heads_of(), library, Corrections({}, {"jazz": 0.9})).predict_proba(vectors)["genre"]
        assert more[:, 0].mean() > usual[0]
        ratio = heads_of().predict_proba(vectors)["genre"]
        np.testing.assert_allclose(more[:, 1] / more[:, 2], ratio[:, 1] / ratio[:, 2], rtol=1e-3)  # as they were


def test_shares_of_tags_are_those_of_the_names_that_are_guessed(path):
    with LibraryStore.open(path) as library:
        shares = shares_of_tags(library, GENRES)
        assert shares["rock"] == pytest.approx((N + 1) / (N + 3))
        assert sum(shares.values()) == pytest.approx(1)
        with pytest.raises(LabelsError, match="no tag"):
            shares_of_tags(library, ("opera",))


def test_what_is_said_later_is_noticed_and_guesses_of_named_heads_are_left(path):
    with LibraryStore.open(path) as library:
        assert predict_missing(library) == N
        assert predict_missing(library) == 0
        before = library.tasks()
        library.store_answers("genre", {1: {"jazz": True}}, alone=True)
        predict_missing(library)
        assert library.tasks() != before
        assert max(library.probabilities("genre")[1].items(), key=lambda x: x[1])[0] == "jazz"
        library.store_probabilities("genre", {1: {"rock": 0.9}}, "of a file that was named")
        library.store_answers("genre", {2: {"jazz": True}}, alone=True)
        predict_missing(library)
        assert library.tasks()["genre"] == "of a file that was named"


def test_it_is_made_again_the_same_and_forgotten_whole(path):
    with LibraryStore.open(path) as library:
        predict_missing(library)
        before = library.probabilities("genre")
        library.store_answers("genre", {1: {"jazz": True}, 2: {"rock": True}}, alone=True)
        first, again = (heads_for(library)[0].heads.tasks["genre"] for _ in range(2))
        np.testing.assert_array_equal(first.weight, again.weight)
        assert library.forget_answers([1, 2, 3]) == 2
        [own] = heads_for(library)
        predict_library(library, own.heads, own.tasks, source=own.source)
        assert library.probabilities("genre") == before


def correct(path, *words):
    return invoke(["classify", "correct", "--library", path, *words])


def test_the_command_says_what_it_did(path):
    done = correct(path, "song 03", "genre=Hip Hop", "calm=no", "vocal=yes", "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert (answer["said"], answer["songs"]) == (1, N)
    with LibraryStore.open(path) as library:
        assert library.answers("genre") == {4: {"Hip Hop": True}}
        assert library.answers("mood") == {4: {"calm": False}}
        assert library.probabilities("voice")[4]["vocal"] > 0.9
        assert max(library.probabilities("genre")[4].items(), key=lambda x: x[1])[0] == "Hip Hop"
    assert "Kept what you say of 1 song" in correct(path, "song 03", "genre=SOUL & r&b").output
    with LibraryStore.open(path) as library:
        assert library.answers("genre") == {4: {"soul & R&B": True}}
    assert "Forgot what you said of 1 song" in correct(path, "--forget").output


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["song 03", "clam=no"], "calm"),
        (["song 03", "calm=perhaps"], "expected yes or no"),
        (["song 03"], "nothing is said"),
        (["genre=rock"], "of which songs"),
        (["song 03", "genre="], "expected a genre"),
        ([], "nothing is said"),
        (["--shares", "rok=10%"], "no genre is called"),
        (["--shares", "rock=80%, jazz=30%"], "add up to"),
        (["--shares", "rock=much"], "expected such as"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_kept(path, words, why):
    done = correct(path, *words)
    assert done.exit_code != 0
    assert why in str(done.exception) + done.output
    with LibraryStore.open(path) as library:
        assert not Corrections.of(library)


def test_a_table_says_it_of_many_songs(path, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,genre,mood_calm,tag_vocal\n1,Rock,0.9,\n2,,0.1,1\n", encoding="utf-8")
    done = correct(path, "--labels", table, "--json")
    assert [json.loads(done.stdout)[key] for key in ("labelled", "said")] == [2, 2], done.output
    with LibraryStore.open(path) as library:
        assert library.answers("genre") == {2: {"rock": True}}
        assert library.answers("mood") == {2: {"calm": True}, 3: {"calm": False}}
        assert library.answers("voice") == {3: {"vocal": True}}
