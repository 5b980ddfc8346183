"""Genre, mood, tempo and key into files' own tags, and out again."""

import errno
import json
import os
import re
import shutil

import mutagen
import numpy as np
import pytest
import soundfile

from mirclr.audio import decode_blocks
from mirclr.audio.key import KEYS
from mirclr.errors import NoMatch, TagsError
from mirclr.ingest.tagging import write_values
from mirclr.library import Description, Entry, LibraryStore
from mirclr.models.stamp import EncoderStamp
from mirclr.provenance import file_digest
from mirclr.tags import WRITABLE, Tags, read_tags, read_values
from tests.commands import invoke
from tests.conftest import write_aac

SUFFIXES = [".mp3", ".flac", ".ogg", ".opus", ".wav", ".aiff", ".m4a"]
_FORMATS = {".opus": {"format": "OGG", "subtype": "OPUS"}, ".mp3": {"format": "MP3"}}


def a_file(path):
    tone = (0.1 * np.sin(np.arange(36000) * 0.05)).astype(np.float32)
    if path.suffix == ".m4a":
        write_aac(path, tone)
    else:
        soundfile.write(path, tone, 48000, **_FORMATS.get(path.suffix, {}))
    return path


def heard(path):
    return np.concatenate(list(decode_blocks(path, rate=16000)))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read_and_nothing_else_changes(tmp_path, suffix):
    path = a_file(tmp_path / f"a{suffix}")
    os.chmod(path, 0o640)
    os.utime(path, ns=(1_600_000_000_000_000_000, 1_600_000_000_123_456_000))
    sound, before = heard(path), path.stat()
    assert [read_values(path, field) for field in WRITABLE] == [()] * 4
    write_values(path, {"genre": ["Drum & Bass"], "mood": ["calm", "träumerisch"], "bpm": ["128"], "key": ["F#m"]})
    assert (read_values(path, "bpm"), read_values(path, "key")) == (("128",), ("F#m",))
    assert read_values(path, "genre") == ("Drum & Bass",)
    assert read_values(path, "mood") == ("calm", "träumerisch")
    assert read_tags(path).genre == "Drum & Bass"
    np.testing.assert_array_equal(heard(path), sound)
    after = path.stat()
    assert (after.st_mtime_ns, after.st_mode) == (before.st_mtime_ns, before.st_mode)
    write_values(path, {"genre": [], "mood": ["calm"], "bpm": [], "key": ["Bb"]})
    assert [read_values(path, field) for field in WRITABLE] == [(), ("calm",), (), ("Bb",)]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_tags_stay(tmp_path, suffix):
    path = a_file(tmp_path / f"a{suffix}")
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    if suffix in (".mp3", ".wav", ".aiff"):
        file.tags.add(mutagen.id3.TIT2(encoding=3, text=["Song"]))
        file.tags.add(mutagen.id3.TXXX(encoding=3, desc="own", text=["kept"]))
    else:
        file.tags["\xa9nam" if suffix == ".m4a" else "title"] = ["Song"]
    file.save()
    kept = {k: str(v) for k, v in mutagen.File(path).tags.items()}
    write_values(path, {"mood": ["calm"], "bpm": ["90"], "key": ["C"]})
    write_values(path, {"mood": [], "bpm": [], "key": []})
    assert {k: str(v) for k, v in mutagen.File(path).tags.items()} == kept
    assert read_tags(path).title == "Song"


@pytest.mark.parametrize(
    ("suffix", "names"),
    [
        (".mp3", ("TBPM", "TKEY")),
        (".wav", ("TBPM", "TKEY")),
        (".flac", ("bpm", "initialkey")),
        (".opus", ("bpm", "initialkey")),
        (".m4a", ("tmpo", "----:com.apple.iTunes:initialkey")),
    ],
)
def test_tempo_and_key_are_where_other_programs_look(tmp_path, suffix, names):
    path = a_file(tmp_path / f"a{suffix}")
    write_values(path, {"bpm": ["128"], "key": ["Am"]})
    found = [mutagen.File(path).tags[name] for name in names]
    found = [f[0] if isinstance(f, list) else str(f) for f in found]
    assert found == ([128, b"Am"] if suffix == ".m4a" else ["128", "Am"])


def test_what_stands_under_another_name_is_found_and_put_back_there(tmp_path):
    path = a_file(tmp_path / "a.flac")
    file = mutagen.File(path)
    file["KEY"] = ["Dm"]
    file.save()
    assert read_values(path, "key") == ("Dm",)
    write_values(path, {"key": ["Am"]})
    assert dict(mutagen.File(path).tags) == {"key": ["Am"]}


def test_no_tempo_is_no_tempo(tmp_path):
    path = a_file(tmp_path / "a.m4a")
    write_values(path, {"bpm": ["0"]})
    assert read_values(path, "bpm") == ()


def test_keys_are_spelt_as_id3_says():
    assert all(re.fullmatch("[A-G][b#]?m?", key) for key in KEYS)


def test_what_is_no_audio_is_named_and_left(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(b"not audio at all")
    with pytest.raises(TagsError, match=r"a\.mp3: "):
        write_values(path, {"genre": ["x"]})
    assert path.read_bytes() == b"not audio at all"
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp3"]


# the command


@pytest.fixture
def library(tmp_path):
    """Five files, one with a genre of its own and one that is no audio, with probabilities."""
    music = tmp_path / "music"
    music.mkdir()
    files = [a_file(music / f"{i}{s}") for i, s in enumerate([".flac", ".ogg", ".mp3", ".flac"])]
    (music / "4.mp3").write_bytes(b"no")
    write_values(files[3], {"genre": ["Mine"]})
    with LibraryStore.open(tmp_path / "l.db", create=True) as library:
        library.bind(EncoderStamp("d" * 32, "e", 2, 1, {}))
        entries = []
        for i, file in enumerate(sorted(music.iterdir())):
            facts = file.stat()
            state = (str(music), file.name, facts.st_size, facts.st_mtime_ns, file_digest(file), f"a{i}")
            entries.append(Entry(*state, 1.0, Tags(), np.array([1.0, i])))
        library.write(entries=entries)
        ids = {t.path: t.id for t in library.tracks()}
        library.store_probabilities("genre", {i: {"jazz": 0.95, "folk": 0.05} for i in ids.values()}, "s")
        moods = {i: {"calm": 0.9, "tense": 0.1, "sad": 0.6} for i in ids.values()}
        library.store_probabilities("mood", moods | {ids["1.ogg"]: {"calm": 0.2}}, "s")
    return tmp_path / "l.db"


def run(*arguments):
    done = invoke(["tag", *map(str, arguments), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def tags(library):
    music = library.parent / "music"
    files = [f for f in sorted(music.iterdir()) if f.name != "4.mp3"]
    return {f.name: (read_values(f, "genre"), read_values(f, "mood")) for f in files}


JAZZ, BOTH = ("jazz",), ("calm", "sad")
WRITTEN = {"0.flac": (JAZZ, BOTH), "1.ogg": (JAZZ, ()), "2.mp3": (JAZZ, BOTH), "3.flac": (("Mine",), BOTH)}


def test_a_dry_run_tells_and_does_nothing(library):
    before = tags(library)
    said = run("write", "--library", library, "--dry-run")
    assert len(said["changes"]) == 4
    assert tags(library) == before
    assert not library.with_name("l.db.tags.jsonl").exists()


def test_what_a_person_wrote_is_left_alone_and_all_can_be_undone(library):
    before = tags(library)
    said = run("write", "--library", library)
    assert tags(library) == WRITTEN
    assert (len(said["changes"]), said["kept"]) == (4, 1)
    assert "4.mp3" in said["problems"][0]
    assert run("write", "--library", library)["changes"] == []
    assert run("undo", "--library", library)["undone"] == 4
    assert tags(library) == before
    assert run("undo", "--library", library)["undone"] == 0


def test_overwriting_is_asked_for_and_undone(library):
    run("write", "--library", library, "--overwrite", "--fields", "genre")
    assert tags(library)["3.flac"] == (JAZZ, ())
    run("undo", "--library", library)
    assert tags(library)["3.flac"] == (("Mine",), ())


def test_lines_of_any_kind_in_a_tag_are_taken_back(library):
    file = library.parent / "music" / "0.flac"
    write_values(file, {"mood": ["calm\u2028and mine\x85, all of it"]})
    before = tags(library)
    run("write", "--library", library, "--overwrite")
    assert run("undo", "--library", library)["undone"] == 4
    assert tags(library) == before


def test_what_cannot_be_read_of_the_journal_stays_and_is_told(library):
    before, journal = tags(library), library.with_name("l.db.tags.jsonl")
    journal.write_text('{"half written by a killed ru')
    run("write", "--library", library)
    first, *rest = journal.read_text().splitlines()
    journal.write_text("\n".join(['{"file": "x"}', first, "no JSON", *rest]) + "\n")
    done = invoke(["tag", "undo", "--library", str(library), "--json"], standalone_mode=False)
    assert done.return_value == 1
    said = json.loads(done.stdout)
    assert said["undone"] == 4
    assert [problem.split(": ")[-1] for problem in said["problems"]] == ['"x"}', "no JSON"]
    assert tags(library) == before
    assert journal.read_text().splitlines() == ['{"file": "x"}', "no JSON"]


def test_what_was_changed_since_is_not_undone(library):
    run("write", "--library", library)
    write_values(library.parent / "music" / "0.flac", {"genre": ["Better"]})
    run("undo", "--library", library)
    assert tags(library)["0.flac"] == (("Better",), ())


def test_the_library_follows_so_that_nothing_is_embedded_again(library):
    run("write", "--library", library)
    with LibraryStore.open(library) as opened:
        states = opened.states(str(library.parent / "music"))
        assert {t.path: t.genre for t in opened.tracks()}["0.flac"] == "jazz"
    for name in WRITTEN:
        facts = (library.parent / "music" / name).stat()
        assert (states[name].size, states[name].mtime_ns) == (facts.st_size, facts.st_mtime_ns)


def test_tempo_and_key_come_from_the_description(library):
    music = library.parent / "music"
    write_values(music / "1.ogg", {"key": ["Dm"]})
    with LibraryStore.open(library) as opened:
        ids = {t.path: t.id for t in opened.tracks()}
        opened.store_descriptions(
            {ids["0.flac"]: Description(127.6, "F#m", 0.9, -9.0), ids["2.mp3"]: Description(None, "Bb", 0.8, None)}
            | {ids["1.ogg"]: Description(90.4, "Am", 0.7, -12.0)}
        )
    said = run("write", "--library", library)
    assert said["unknown"] == {"bpm": 2, "key": 2}
    found = {n: (read_values(music / n, "bpm"), read_values(music / n, "key")) for n in WRITTEN}
    none = ((), ())
    written = {"0.flac": (("128",), ("F#m",)), "1.ogg": (("90",), ("Dm",)), "2.mp3": ((), ("Bb",)), "3.flac": none}
    assert found == written
    assert tags(library) == WRITTEN
    run("undo", "--library", library)
    assert [read_values(music / n, "bpm") for n in WRITTEN] == [()] * 4
    assert [read_values(music / n, "key") for n in WRITTEN] == [(), ("Dm",), (), ()]


def test_fields_that_are_not_known_are_skipped_with_a_remark(library):
    done = invoke(["tag", "write", "--library", str(library)])
    assert done.exit_code == 0
    assert "tempo and key: not known of any song; to find out: mirclr describe" in done.stderr
    assert tags(library) == WRITTEN
    done = invoke(["tag", "write", "--library", str(library), "--fields", "key,bpm"])
    assert isinstance(done.exception, NoMatch)
    assert "mirclr describe" in str(done.exception)
    assert "mirclr classify" not in str(done.exception)


def test_without_probabilities_there_is_nothing_to_write(tmp_path):
    LibraryStore.open(tmp_path / "l.db", create=True).close()
    done = invoke(["tag", "write", "--library", str(tmp_path / "l.db")])
    assert "mirclr embed" in str(done.exception)
    wrong = invoke(["tag", "write", "--library", str(tmp_path / "l.db"), "--fields", "tempo"])
    assert wrong.exit_code == 2


def test_undo_gives_back_the_very_files(library):
    music = library.parent / "music"
    before = {f.name: f.read_bytes() for f in music.iterdir()}
    run("write", "--library", library)
    run("write", "--library", library, "--overwrite", "--threshold", "0.97")
    run("undo", "--library", library)
    assert {f.name: f.read_bytes() for f in music.iterdir()} == before
    assert library.with_name("l.db.tags.jsonl").read_text() == ""


def test_a_journal_of_an_older_mirclr_is_undone(library):
    file = library.parent / "music" / "0.flac"
    write_values(file, {"genre": ["jazz"], "mood": ["mine"]})
    line = {
        "file": str(file),
        "before": {"genre": ["Old", "Older"], "mood": []},
        "after": {"genre": ["jazz"], "mood": ["x"]},
    }
    library.with_name("l.db.tags.jsonl").write_text(json.dumps(line) + "\n")
    assert run("undo", "--library", library)["undone"] == 1
    assert (read_values(file, "genre"), read_values(file, "mood")) == (("Old", "Older"), ("mine",))


def test_what_cannot_be_undone_stays_in_the_journal(library):
    music, journal = library.parent / "music", library.with_name("l.db.tags.jsonl")
    run("write", "--library", library)
    lines = journal.read_text().splitlines()
    (music / "2.mp3").rename(music / "away")
    said = run("undo", "--library", library)
    assert (said["undone"], len(said["problems"])) == (3, 1)
    assert journal.read_text().splitlines() == [line for line in lines if "2.mp3" in line]
    (music / "away").rename(music / "2.mp3")
    assert run("undo", "--library", library)["undone"] == 1


def test_a_journal_leads_to_no_file_outside_of_the_library(library, tmp_path):
    victim = a_file(tmp_path / "victim.flac")
    write_values(victim, {"genre": ["Mine"]})
    before = victim.read_bytes()
    line = {"file": str(victim), "before": {"genre": ["x"]}, "after": {"genre": ["Mine"]}}
    library.with_name("l.db.tags.jsonl").write_text(json.dumps(line) + "\n")
    done = invoke(["tag", "undo", "--library", str(library), "--json"], standalone_mode=False)
    assert "not a file of this library" in json.loads(done.stdout)["problems"][0]
    assert victim.read_bytes() == before


def test_a_full_disk_ends_the_run_and_keeps_what_was_done(library, monkeypatch):
    from mirclr.ingest.tagging import replacing

    before, made = tags(library), []

    def full_after_one(*arguments):
        made.append(arguments)
        if len(made) > 1:
            raise OSError(errno.ENOSPC, "No space left on device", "copy")
        return spliced(*arguments)

    spliced = replacing.spliced
    monkeypatch.setattr(replacing, "spliced", full_after_one)
    done = invoke(["tag", "write", "--library", str(library)], standalone_mode=False)
    assert isinstance(done.exception, OSError)
    assert done.exception.errno == errno.ENOSPC
    assert tags(library) == before | {"0.flac": WRITTEN["0.flac"]}
    with LibraryStore.open(library) as opened:
        assert {t.path: t.genre for t in opened.tracks()}["0.flac"] == "jazz"
    monkeypatch.undo()
    assert run("undo", "--library", library)["undone"] == 1
    assert tags(library) == before


def test_copies_of_a_killed_run_are_swept_up_by_the_next(library):
    left = library.parent / "music" / ".mirclr-0123abcd.tmp"
    left.write_bytes(b"half a copy")
    run("write", "--library", library, "--dry-run")
    assert left.exists()
    run("write", "--library", library)
    assert not left.exists()


def test_a_file_of_several_tracks_is_left_and_named_once(library):
    from mirclr.library import LibraryStore

    music = library.parent / "music"
    with LibraryStore.open(library) as opened:
        for number in (1, 2):
            state = (
                str(music),
                f"3.flac/{number}",
                1,
                1,
                "d",
                f"part{number}",
                1.0,
                Tags(),
                np.array([1.0, 9 + number]),
            )
            opened.write(entries=[Entry(*state, audio_path="3.flac", start_s=float(number))])
        parts = [t.id for t in opened.tracks() if t.audio_path]
        opened.store_probabilities("genre", {i: {"jazz": 0.9} for i in parts}, "s")
    said = run("write", "--library", library, "--fields", "genre", "--overwrite")
    assert sum("CUE sheet" in problem for problem in said["problems"]) == 1


def test_a_file_that_moved_is_undone_in_its_new_place(library):
    music = library.parent / "music"
    before = {f.name: f.read_bytes() for f in music.iterdir()}
    run("write", "--library", library)
    old, new = music / "2.mp3", music / "elsewhere.mp3"
    old.rename(new)
    with LibraryStore.open(library) as held:
        track, facts = held.find_file(old), new.stat()
        state = (facts.st_size, facts.st_mtime_ns, file_digest(new), Tags())
        held.move(track.id, str(music), new.name, *state)
    assert run("undo", "--library", library)["undone"] == 4
    assert new.read_bytes() == before["2.mp3"]
    assert library.with_name("l.db.tags.jsonl").read_text() == ""


def test_what_was_written_is_undone_by_the_journal_alone(library, tmp_path):
    music, journal = library.parent / "music", library.with_name("l.db.tags.jsonl")
    before = {f.name: f.read_bytes() for f in music.iterdir()}
    run("write", "--library", library)
    written = journal.read_text()
    invoke(["library", "delete", "--yes", "--library", str(library)])
    assert (library.exists(), journal.read_text()) == (False, written)
    assert run("undo", "--library", library)["undone"] == 4
    assert {f.name: f.read_bytes() for f in music.iterdir()} == before
    assert journal.read_text() == ""


def test_without_its_library_a_folder_that_moved_is_named(library, tmp_path):
    music, journal = library.parent / "music", library.with_name("l.db.tags.jsonl")
    before = {f.name: f.read_bytes() for f in music.iterdir()}
    run("write", "--library", library)
    kept = journal.rename(tmp_path / "kept.jsonl")
    library.unlink()
    new = tmp_path / "disk" / "songs"
    new.parent.mkdir()
    music.rename(new)
    done = invoke(["tag", "undo", "--journal", str(kept), "--json"], standalone_mode=False)
    assert (done.return_value, "--moved-to" in json.loads(done.stdout)["problems"][0]) == (1, True)
    shutil.copy(new / "2.mp3", new / "other.mp3")
    (new / "2.mp3").write_bytes(b"not what it was")
    said = run("undo", "--journal", kept, "--moved-to", new)
    assert (said["undone"], len(said["problems"])) == (3, 1)
    assert {f.name: f.read_bytes() for f in new.iterdir() if f.name not in ("2.mp3", "other.mp3")} == {
        name: data for name, data in before.items() if name != "2.mp3"
    }
    assert "2.mp3" in kept.read_text()


def test_undoing_needs_a_library_or_its_journal(tmp_path):
    done = invoke(["tag", "undo", "--library", str(tmp_path / "no.db")])
    assert "no such library" in str(done.exception)
