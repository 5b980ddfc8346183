"""Genres of the files' own tags, what is learned from them, and when a guess is sure enough to be written."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from mirclr.classify import Heads, heads_path
from mirclr.classify.classes import labelled_by_own_genres, report_genres
from mirclr.classify.crossval import Scores, protocol
from mirclr.classify.heads import TASKS
from mirclr.classify.labels import labelled_by_file, labelled_by_tags, read_labels
from mirclr.classify.predict import genre_rule, heads_for, predict_library, predict_missing
from mirclr.classify.sureness import GOAL, Sureness, find_threshold
from mirclr.errors import CheckpointError, LabelsError
from mirclr.ingest.tagging import TagChange
from mirclr.ingest.tagging.guesses import UNMEASURED
from mirclr.ingest.tagging.journal import Journal
from mirclr.library import Entry, LibraryStore
from mirclr.models.pretrained import builtin_heads
from mirclr.models.stamp import EncoderStamp
from mirclr.names import genre_key, parse_renames, renamed, share_a_genre
from mirclr.tags import Tags
from tests.commands import invoke

DIM = 6
STAMP = EncoderStamp("d" * 32, "encoder.safetensors", DIM, 3, {})


def library_of(path, songs):
    """A library of songs (genre, artist), whose vectors tell the genre's first letter."""
    rng = np.random.default_rng(0)
    with LibraryStore.open(path, create=True) as library:
        library.bind(STAMP)
        entries = []
        for i, (genre, artist) in enumerate(songs):
            vector = rng.normal(size=DIM) * 0.2
            vector[ord((genre or "z").lower()[0]) % DIM] += 1
            tags = Tags(title=f"T{i}", artist=artist, genre=genre)
            entries.append(Entry("/music", f"{i}.ogg", 1, 1, f"f{i}", f"a{i}", 60.0, tags, vector))
        library.write(entries=entries)
    return path


SONGS = [
    *(("Hip-Hop", f"H{i % 4}") for i in range(8)),
    *(("hip hop", f"H{i % 4}") for i in range(3)),
    *(("Rock; Pop", f"R{i % 5}") for i in range(12)),
    *(("Reggae", "Marley") for _ in range(7)),
    *(("Polka", f"P{i}") for i in range(2)),
    ("Other", "X"),
    (None, "X"),
    ("(12)", None),
]


@pytest.fixture(autouse=True)
def one_strength(monkeypatch):
    monkeypatch.setattr("mirclr.classify.fitting.STRENGTHS", (0.03,))  # a sixth of the time


@pytest.fixture
def library(tmp_path):
    return library_of(tmp_path / "l.db", SONGS)


def test_genres_of_tags_are_one_a_song_and_spelt_one_way(library):
    with LibraryStore.open(library) as opened:
        found, report = labelled_by_own_genres(opened)
    assert [(c.genre, c.tracks, c.artists, c.problem) for c in report.classes] == [
        ("Rock", 12, 5, ""),
        ("Hip-Hop", 11, 4, ""),
        ("Reggae", 7, 1, "one artist only"),
        ("Polka", 2, 2, "2 songs only"),
    ]
    assert (report.unlabelled, report.several, report.unknown_artists) == (3, 12, 0)
    assert set(found.labels.genre) == {"Rock", "Hip-Hop", ""}


def test_names_of_genres_are_joined_and_left_out(library):
    with LibraryStore.open(library) as opened:
        names = parse_renames(["reggae = Rock", "Polka="])
        _, report = labelled_by_own_genres(opened, renames=names)
        assert [(c.genre, c.tracks) for c in report.classes] == [("Rock", 19), ("Hip-Hop", 11)]
        with pytest.raises(LabelsError, match="not two genres of 50 songs"):
            labelled_by_own_genres(opened, least=50)


def test_what_mirclr_guessed_is_not_learned_from_until_a_person_says_it_is_right(library):
    journal = Journal(library)
    with LibraryStore.open(library) as opened:
        first = opened.tracks()[0]
        change = {"before": {"genre": ()}, "after": {"genre": ("Hip-Hop",)}, "track": f"{opened.uuid}:{first.id}"}
        journal.add(TagChange(first.file, **change))
        assert labelled_by_own_genres(opened)[1].unlabelled == 4
        journal.add(TagChange(opened.tracks()[1].file, {"genre": ()}, {"genre": ("Hip-Hop",)}))  # of an older mirclr
        assert labelled_by_own_genres(opened)[1].unlabelled == 5
        journal.rewrite(journal.read()[0][:1], [])
        opened.store_answer("genre", first.id, "Hip-Hop", True)
        assert labelled_by_own_genres(opened)[1].unlabelled == 3
        opened.store_answer("genre", first.id, "Hip-Hop", False)
        assert labelled_by_own_genres(opened)[1].unlabelled == 4


def test_learning_from_tags_reports_before_and_after(library):
    done = invoke(["classify", "train", "--from-tags", "--library", library])
    assert done.exit_code == 0, done.output
    said = done.stdout
    assert said.index("Hip-Hop\t11\t4") < said.index("Right for")
    for words in (
        "guessed by what songs of other artists teach",
        "tag write --dry-run",
        "Learned from 23 songs; from now on",
    ):
        assert words in said, words
    assert "Left out: Reggae (one artist only), Polka (2 songs only)" in done.stderr
    assert "3 songs without a genre" in done.stderr
    heads = Heads.load(heads_path(library))
    assert heads.tasks["genre"].labels == ("Hip-Hop", "Rock")
    with LibraryStore.open(library) as opened:
        assert opened.tasks() == {"genre": heads.digest}
        assert predict_missing(opened) == 0
    said = json.loads(invoke(["classify", "train", "--from-tags", "--library", library, "--json"]).stdout)
    assert said["genres"]["unlabelled"] == 3
    assert said["figures"][0]["classes"]["Rock"]["tracks"] == 12


def test_one_of_tags_and_a_table_is_named(library, tmp_path):
    (tmp_path / "labels.csv").write_text("file,genre\n0.ogg,a\n")
    both = ["--from-tags", "--labels", tmp_path / "labels.csv"]
    assert invoke(["classify", "train", "--library", library, *both]).exit_code == 2
    assert invoke(["classify", "train", "--library", library]).exit_code == 2
    typo = invoke(["classify", "train", "--library", library, "--from-tags", "--map", "Regae=Rock"])
    assert typo.exit_code == 2
    assert "did you mean 'Reggae'" in typo.output


def test_a_table_of_labels_is_not_replaced_by_what_is_learned_from_it(library, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,genre\na.ogg,rock\n")
    assert invoke(["classify", "train", "--library", library, "--labels", table, "-o", table]).exit_code == 2
    assert table.read_text().startswith("file,genre")


def test_figures_say_where_they_are_too_good():
    scores = Scores("genre", "", 400, 138, "", {}, {})
    assert protocol([scores]) == "cross-validated; no artist is in two folds"
    assert "too good" in protocol([replace(scores, unknown_artists=400)])
    assert "of 1 song is not known" in protocol([replace(scores, unknown_artists=1)])


def test_probing_without_artists_says_so(library, tmp_path):
    with LibraryStore.open(library) as opened:
        tracks = opened.tracks()
        for i, track in enumerate(tracks):
            opened.move(track.id, track.root, track.path, 1, 1, f"f{i}", Tags(title=f"T{i}"))
    table = tmp_path / "labels.csv"
    table.write_text("file,genre\n" + "".join(f"{i}.ogg,{'ab'[i % 2]}\n" for i in range(len(SONGS))))
    probe = ["evaluate", "probe", "--library", library, "--labels", table, "--no-baselines"]
    assert "too good" in invoke(probe).stdout
    table.write_text("file,genre,artist\n" + "".join(f"{i}.ogg,{'ab'[i % 2]},A{i // 2}\n" for i in range(len(SONGS))))
    assert "no artist is in two folds" in invoke(probe).stdout


def test_what_a_table_does_not_say_of_artists_the_tags_do(library, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,genre,artist\n0.ogg,a,Mine\n1.ogg,b,\n34.ogg,c,\n")
    with LibraryStore.open(library) as opened:
        labels = labelled_by_file(opened, read_labels(table)).labels
        assert labels.artist.tolist() == ["Mine", "H1", ""]
        assert labelled_by_tags(opened).labels.artist[1] == "H1"


def test_genres_of_one_artist_are_named_of_a_table_too(library):
    with LibraryStore.open(library) as opened:
        report = report_genres(labelled_by_tags(opened).labels)
    assert {c.genre: c.problem for c in report.classes if c.problem} == {
        "Reggae": "one artist only",
        "Other": "1 song only",
        "(12)": "1 song only",
    }


# names


@pytest.mark.parametrize(
    ("one", "other"), [("Hip-Hop", "hip hop"), ("Rock & Roll", "Rock and Roll"), ("R&B", "r & b"), ("Élec", "elec")]
)
def test_one_genre_in_two_spellings(one, other):
    assert genre_key(one) == genre_key(other) != ""


@pytest.mark.parametrize("text", ["Other", "", "(255)", "Unknown", "misc", "n/a", "12"])
def test_no_genre(text):
    assert genre_key(text) == ""


def test_renames():
    names = parse_renames(["dance & house=House", "Indian ="], ["dance & house", "Indian", "jazz"])
    assert [renamed(g, names) for g in ("Dance and House", "indian", "jazz")] == ["House", "", "jazz"]
    for wrong, hint in (
        ("hous=x", "did you mean"),
        ("zzz=x", "the genres are"),
        ("jazz", "OLD=NEW"),
        ("=x", "OLD=NEW"),
    ):
        with pytest.raises(ValueError, match=hint):
            parse_renames([wrong], ["house", "jazz"])
    with pytest.raises(ValueError, match="twice"):
        parse_renames(["a=b", "A=c"])


def test_kinds_of_a_genre_share_a_word():
    pairs = (("rock", "Hard Rock"), ("electronic", "Electronica"), ("soul & R&B", "R&B"), ("hip-hop", "Hip Hop/Rap"))
    assert all(share_a_genre(*pair) and share_a_genre(*pair[::-1]) for pair in pairs)
    assert not any(share_a_genre(*pair) for pair in (("classical", "Classic Rock"), ("new age", "New Wave")))


# sureness


@given(st.integers(0, 10_000), st.integers(20, 300), st.floats(0.5, 1.0))
@settings(max_examples=40, deadline=None)
def test_a_threshold_is_right_nine_times_in_ten(seed, n, skill):
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    right = rng.random(n) < np.minimum(1, skill * p + (1 - skill))
    found = find_threshold(p, right, rng.integers(0, n // 4 + 1, n), measured_on="x")
    if found:
        above = p >= found.threshold
        assert found.tracks == above.sum()
        assert found.right == pytest.approx(right[above].mean(), abs=1e-4)
        exact = binomtest(int(right[above].sum()), int(above.sum()), alternative="greater").proportion_ci(0.95).low
        assert GOAL <= found.at_least <= exact + 1e-4
        assert found.at_least <= found.right


def test_few_songs_and_one_artist_cannot_tell():
    p, right = np.full(28, 0.9), np.ones(28, bool)
    assert find_threshold(p, right, np.arange(28), measured_on="x") is None
    p, right = np.full(29, 0.9), np.ones(29, bool)
    assert find_threshold(p, right, np.arange(29), measured_on="x").threshold == 0.3
    right = np.arange(200) >= 12  # by songs enough are right, but all wrong ones are of one artist of four
    groups = np.where(right, 1 + np.arange(200) % 3, 0)
    assert find_threshold(np.full(200, 0.9), right, np.arange(200), measured_on="x") is not None
    assert find_threshold(np.full(200, 0.9), right, groups, measured_on="x") is None


def test_what_was_measured_stays_with_the_heads(tmp_path):
    heads = Heads.load(builtin_heads())
    assert heads.sureness is not None
    assert heads.sureness.at_least >= GOAL
    heads.save(tmp_path / "h.safetensors")
    again = Heads.load(tmp_path / "h.safetensors")
    assert (again.sureness, again.written_as, again.digest) == (heads.sureness, heads.written_as, heads.digest)
    assert set(heads.written_as) <= set(heads.tasks["genre"].labels)
    heads.sureness = Sureness(1.5, 1, 1, 1, 1, "x")
    heads.save(tmp_path / "h.safetensors")
    with pytest.raises(CheckpointError, match="threshold"):
        Heads.load(tmp_path / "h.safetensors")


def test_the_rule_is_that_of_the_heads_that_guessed(tmp_path):
    """Of the built-in ones where they guessed, also once heads were fitted on the library; of no others."""
    heads = Heads.load(builtin_heads())
    dim = heads.encoder["dim"]
    stamp = EncoderStamp(heads.encoder["digest"], "builtin", dim, 15, {})
    with LibraryStore.open(tmp_path / "l.db", create=True) as library:
        library.bind(stamp)
        vectors = np.random.default_rng(0).normal(size=(4, dim))
        entry = lambda i: Entry("/m", f"{i}", 1, 1, f"{i}", f"{i}", 9.0, Tags(), vectors[i])  # noqa: E731
        library.write(entries=map(entry, range(3)))
        assert genre_rule(library) == UNMEASURED
        assert predict_missing(library) == 3
        assert set(library.tasks()) == {*TASKS}
        assert genre_rule(library).threshold == heads.sureness.threshold
        library.write(entries=[entry(3)])
        assert (predict_missing(library), predict_missing(library)) == (1, 0)

        own = Heads()
        own.tasks, own.encoder = {"genre": heads.tasks["genre"]}, heads.encoder
        own.tasks["genre"] = replace(own.tasks["genre"], bias=own.tasks["genre"].bias + 1)
        own.save(heads_path(library.path))
        assert [sorted(one.tasks) for one in heads_for(library)] == [["genre"], sorted({*TASKS} - {"genre"})]
        predict_library(library, own)
        assert genre_rule(library) == UNMEASURED
        library.store_probabilities("genre", {1: {"jazz": 0.9}}, "of a file that was named")
        assert genre_rule(library) == UNMEASURED
        assert predict_missing(library) == 0  # what was asked of other heads stays
