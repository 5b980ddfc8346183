"""What would be written into tags at a glance, under which names, and guesses gone through one by one."""

import json
import os
import shutil

import mutagen
import numpy as np
import pytest
import soundfile

from mirclr.errors import LibraryError
from mirclr.ingest.tagging import TagChange
from mirclr.ingest.tagging.guesses import UNMEASURED, GenreRule, agreement, guessed_genres, known_values, preview
from mirclr.ingest.tagging.review import questions
from mirclr.library import Description, Entry, LibraryStore
from mirclr.models.stamp import EncoderStamp
from mirclr.provenance import file_digest
from mirclr.tags import read_tags, read_values
from tests.commands import invoke

GUESSES = [
    ("A", "One", {"jazz": 0.95, "folk": 0.03, "dance & house": 0.02}),
    ("B", "Two", {"dance & house": 0.92, "jazz": 0.08}),
    ("B", "Three", {"jazz": 0.93, "folk": 0.07}),
    ("C", "Four", {"folk": 0.5, "jazz": 0.4, "dance & house": 0.1}),
]
MOODS = {"calm": 0.9, "sad": 0.6, "happy": 0.55, "wild": 0.1}


@pytest.fixture(scope="module")
def tone(tmp_path_factory):
    path = tmp_path_factory.mktemp("tone") / "tone.flac"
    soundfile.write(path, (0.1 * np.sin(np.arange(8000) * 0.05)).astype(np.float32), 16000)
    return path


@pytest.fixture
def library(tmp_path, tone):
    """Four songs without genres of their own, and a fifth with one."""
    from mirclr.ingest.tagging import write_values

    music = tmp_path / "music"
    music.mkdir()
    with LibraryStore.open(tmp_path / "l.db", create=True) as library:
        library.bind(EncoderStamp("d" * 32, "e", 2, 1, {}))
        rows = {}
        for i, (artist, title, row) in enumerate([*GUESSES, ("D", "Five", {"jazz": 0.99})]):
            file = music / f"{i}.flac"
            shutil.copy(tone, file)
            if title == "Five":
                write_values(file, {"genre": ["Mine"]})
            named = mutagen.File(file)
            named["artist"], named["title"] = artist, title
            named.save()
            tags = read_tags(file)
            state = (str(music), file.name, file.stat().st_size, file.stat().st_mtime_ns, file_digest(file), f"a{i}")
            library.write(entries=[Entry(*state, 1.0, tags, np.array([1.0, i]))])
            rows[library.find_file(file).id] = row
        library.store_probabilities("genre", rows, "s")
        library.store_probabilities("mood", dict.fromkeys(rows, MOODS), "s")
    return tmp_path / "l.db"


def genres(library):
    return [read_values(f, "genre") for f in sorted((library.parent / "music").iterdir())]


def review(library, *replies, options=()):
    done = invoke(["tag", "review", "--library", library, *options], input="".join(f"{r}\n" for r in replies))
    assert done.exit_code == 0, done.output
    return done


# what would be written


def test_a_preview_has_each_genre_with_songs_and_examples(library):
    done = invoke(["tag", "write", "--library", library, "--dry-run", "--threshold", "0.3"])
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows[0] == ["tag", "value", "songs", "for example"]
    assert rows[1] == ["genre", "jazz", "2", "A – One; B – Three"]
    assert rows[2] == ["genre", "dance & house", "1", "B – Two"]
    assert ["mood", "happy", "5"] in [row[:3] for row in rows]
    assert done.stdout.splitlines()[-1] == "Nothing was written. Without --dry-run, tags go into 5 files."
    assert "at least 30 % sure; how often that is right was not measured" in done.stderr
    assert "genre of 1 song" in done.stderr
    assert genres(library) == [(), (), (), (), ("Mine",)]


def test_tempo_and_key_are_a_line_each(library):
    with LibraryStore.open(library) as opened:
        tracks = opened.tracks()
        keys = ("Am", "C", "Am")
        opened.store_descriptions(
            {t.id: Description(90 + 9.6 * i, k, 1, None) for i, (t, k) in enumerate(zip(tracks, keys, strict=False))}
        )
        values = known_values(opened, ["bpm", "key"])
    changes = [
        TagChange(t.file, {}, {f: of[t.id] for f, of in values.items()}) for t in tracks if t.id in values["bpm"]
    ]
    rows = preview(changes, tracks, ["bpm", "key"], examples=1)
    assert [(r.field, r.value, r.tracks, r.examples) for r in rows] == [
        ("bpm", "90 to 109", 3, ("A – One",)),
        ("key", "Am, C", 3, ("A – One",)),
    ]


def test_each_file_is_listed_where_asked(library):
    done = invoke(["tag", "write", "--library", library, "--dry-run", "--songs", "--fields", "genre"])
    lines = [line.split("\t") for line in done.stdout.splitlines()[:-1]]
    assert lines[0] == ["file", "genre"]
    assert [(os.path.basename(f), what) for f, what in lines[1:]] == [
        ("0.flac", "jazz"),
        ("1.flac", "dance & house"),
        ("2.flac", "jazz"),
    ]


def test_only_what_is_sure_is_written_and_two_moods_at_most(library):
    with LibraryStore.open(library) as opened:
        ids = [t.id for t in opened.tracks()]
        values = known_values(opened, ["genre", "mood"])
        assert [values["genre"][i] for i in ids] == [("jazz",), ("dance & house",), ("jazz",), (), ("jazz",)]
        assert set(values["mood"].values()) == {("calm", "sad")}
        assert known_values(opened, ["genre"], 0.94)["genre"][ids[1]] == ()
        assert known_values(opened, ["mood"], 0.55)["mood"][ids[0]] == ("calm", "sad", "happy")
        sure = GenreRule(0.5, "", {"jazz": "Jazz & more", "folk": ""})
        assert [known_values(opened, ["genre"], None, sure)["genre"][i] for i in ids] == [
            *(("Jazz & more",), ("dance & house",), ("Jazz & more",), (), ("Jazz & more",)),
        ]


def test_genres_get_a_persons_names(library):
    done = invoke(["tag", "write", "--library", library, "--map", "Dance and House=House", "--map", "jazz="])
    assert done.exit_code == 0, done.output
    assert genres(library) == [(), ("House",), (), (), ("Mine",)]
    typo = invoke(["tag", "write", "--library", library, "--map", "jaz=Jazz"])
    assert typo.exit_code == 2
    assert "did you mean 'jazz'" in typo.output


def test_a_persons_names_come_before_those_of_the_heads():
    rule = GenreRule(0.5, "", {"techno": "electronic", "ambient": "electronic"}).renamed({"techno": "Techno!"})
    assert [rule.name_of(g) for g in ("techno", "Techno", "ambient", "jazz")] == [
        "Techno!",
        "Techno!",
        "electronic",
        "jazz",
    ]
    assert UNMEASURED.renamed({}) == UNMEASURED


def test_own_genres_show_where_guesses_are_poor(library):
    with LibraryStore.open(library) as opened:
        track = opened.tracks()[0]
    own = [
        type(track)(**{**vars(track), "id": i, "genre": g})
        for i, g in enumerate(["Acid Jazz; Funk", "Rock", None, "Jazz"])
    ]
    guesses = dict.fromkeys(range(4), ("jazz",))
    found = agreement(own, guesses, set())
    assert (found.tracks, found.agree, found.is_poor) == (3, 2, False)
    assert agreement(own, guesses, {1}).agree == agreement(own, guesses, {1}).tracks == 2
    assert agreement([own[1]] * 20, guesses, set()).is_poor


@pytest.mark.parametrize(("reply", "written"), [("n", ()), ("y", ("jazz",))])
def test_a_person_at_a_terminal_is_asked_first(library, monkeypatch, reply, written):
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda stream: stream.name == "<stdin>")
    done = invoke(["tag", "write", "--library", library, "--fields", "genre"], input=f"{reply}\n")
    assert done.exit_code == 0, done.output
    assert "Write this into 3 files?" in done.stderr
    assert genres(library)[0] == written
    assert ("Nothing was written." in done.stdout) == (reply == "n")
    assert "Write this" not in invoke(["tag", "write", "--library", library, "--yes"]).stderr


# one by one


def test_the_surest_is_asked_first_and_answers_are_written_at_once(library):
    done = review(library, "y", "Free Jazz", "n", "2")
    order = [line.split("  ")[1] for line in done.stderr.splitlines() if " of 4  " in line]
    assert order == ["A – One", "B – Three", "B – Two", "C – Four"]
    assert genres(library) == [("jazz",), (), ("Free Jazz",), ("jazz",), ("Mine",)]
    last = "Written: 3 songs. No guess was right: 1 song. Left for later: no songs."
    assert done.stdout.splitlines()[-1] == last
    assert "Nothing to look at" in review(library).stdout
    assert invoke(["tag", "undo", "--library", library]).exit_code == 0
    assert genres(library) == [(), (), (), (), ("Mine",)]


def test_later_and_the_end_of_input_leave_songs_as_they_are(library):
    done = review(library, "", "q")
    last = "Written: no songs. No guess was right: no songs. Left for later: 4 songs."
    assert done.stdout.splitlines()[-1] == last
    assert genres(library)[:4] == [()] * 4
    done = review(library, options=["--json"])
    assert json.loads(done.stdout) == {"written": 0, "refused": 0, "later": 0, "asked": 4, "problems": []}


def test_what_is_wrong_is_never_written_again(library):
    review(library, "n")
    invoke(["tag", "write", "--library", library, "--fields", "genre"])
    assert genres(library) == [(), ("dance & house",), ("jazz",), (), ("Mine",)]
    with LibraryStore.open(library) as opened:
        first = opened.tracks()[0].id
        opened.store_probabilities("genre", {first: {"jazz": 0.97}}, "s")  # guessed anew
        assert opened.answers("genre")[first] == {"jazz": False}
    assert "Nothing to write" in invoke(["tag", "write", "--library", library, "--fields", "genre"]).stdout
    assert genres(library)[0] == ()


def test_what_is_right_is_written_again_however_sure(library):
    review(library, "", "", "", "Blues")
    assert genres(library)[3] == ("Blues",)
    invoke(["tag", "undo", "--library", library])
    assert genres(library)[3] == ()
    invoke(["tag", "write", "--library", library, "--fields", "genre", "--map", "jazz="])
    assert genres(library) == [(), ("dance & house",), (), ("Blues",), ("Mine",)]


def test_what_was_written_is_gone_through_and_taken_out(library):
    invoke(["tag", "write", "--library", library, "--fields", "genre"])
    done = review(library, "n", "y")
    assert done.stderr.count("(in the file now)") == 3  # the third is asked when input ends
    assert genres(library) == [(), ("dance & house",), ("jazz",), (), ("Mine",)]
    with LibraryStore.open(library) as opened:
        from mirclr.ingest.tagging.journal import Journal

        changes = Journal(library).read()[0]
        assert [opened.tracks([i])[0].title for i in guessed_genres(opened, changes)] == ["Two"]
        left = questions(opened, "genre", changes=changes)
    assert [q.track.title for q in left] == ["Two", "Four"]


def test_a_genre_that_came_meanwhile_is_left_alone(library):
    from mirclr.ingest.tagging import write_values

    write_values(library.parent / "music" / "0.flac", {"genre": ["Other program"]})
    review(library, "y")
    assert genres(library)[:3] == [("Other program",), (), ("jazz",)]


def test_moods_are_reviewed_together(library):
    done = review(library, "y", "sad, dark", "1, 3", "n", options=["--fields", "mood"])
    assert "1 calm 90 %   2 sad 60 %   3 happy 55 %" in done.stderr
    moods = [read_values(f, "mood") for f in sorted((library.parent / "music").iterdir())]
    assert moods == [("calm", "sad", "happy"), ("sad", "dark"), ("calm", "happy"), (), ()]


def test_reviewed_names_are_a_persons(library):
    review(library, "", "", "y", options=["--map", "dance & house=House", "--threshold", "0.9"])
    assert genres(library)[1] == ("House",)


def test_answers_that_are_damaged_are_named(library):
    import sqlite3

    review(library, "y")
    db = sqlite3.connect(library)
    for held in ("no JSON", "[]", '{"genre": [1]}', '{"genre": {"1": [2]}}'):
        db.execute("UPDATE meta SET value = ? WHERE key = 'answers'", (held,))
        db.commit()
        done = invoke(["tag", "write", "--library", library, "--dry-run"])
        assert isinstance(done.exception, LibraryError), held
        assert "what a person said" in str(done.exception)
    db.close()
