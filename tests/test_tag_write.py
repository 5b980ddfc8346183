"""Genre and mood into files' own tags, and out again."""

import json
import os

import mutagen
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from mirclr.audio import decode_blocks
from mirclr.cli import group
from mirclr.errors import TagsError
from mirclr.library import EncoderStamp, Entry, Library
from mirclr.provenance import file_digest
from mirclr.tags import Tags, read_tags, read_values, write_values

SUFFIXES = [".mp3", ".flac", ".ogg", ".opus", ".wav", ".aiff", ".m4a"]
_FORMATS = {".opus": {"format": "OGG", "subtype": "OPUS"}, ".mp3": {"format": "MP3"}}


def a_file(path):
    tone = (0.1 * np.sin(np.arange(36000) * 0.05)).astype(np.float32)
    if path.suffix == ".m4a":
        av = pytest.importorskip("av")
        with av.open(str(path), "w") as out:
            stream = out.add_stream("aac", rate=48000, layout="mono")
            frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            frame.sample_rate = 48000
            out.mux([*stream.encode(frame), *stream.encode(None)])
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
    assert read_values(path, "genre") == read_values(path, "mood") == ()
    write_values(path, {"genre": ["Drum & Bass"], "mood": ["calm", "träumerisch"]})
    assert read_values(path, "genre") == ("Drum & Bass",)
    assert read_values(path, "mood") == ("calm", "träumerisch")
    assert read_tags(path).genre == "Drum & Bass"
    np.testing.assert_array_equal(heard(path), sound)
    after = path.stat()
    assert (after.st_mtime_ns, after.st_mode) == (before.st_mtime_ns, before.st_mode)
    write_values(path, {"genre": [], "mood": ["calm"]})
    assert (read_values(path, "genre"), read_values(path, "mood")) == ((), ("calm",))
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
    write_values(path, {"mood": ["calm"]})
    write_values(path, {"mood": []})
    assert {k: str(v) for k, v in mutagen.File(path).tags.items()} == kept
    assert read_tags(path).title == "Song"


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
    with Library.open(tmp_path / "l.db", create=True) as library:
        library.bind(EncoderStamp("d" * 32, "e", 2, 1, {}))
        entries = []
        for i, file in enumerate(sorted(music.iterdir())):
            facts = file.stat()
            state = (str(music), file.name, facts.st_size, facts.st_mtime_ns, file_digest(file), f"a{i}")
            entries.append(Entry(*state, 1.0, Tags(), np.array([1.0, i])))
        library.write(entries=entries)
        ids = {t.path: t.id for t in library.tracks()}
        library.store_probabilities("genre", {i: {"jazz": 0.7, "folk": 0.3} for i in ids.values()}, "s")
        moods = {i: {"calm": 0.9, "tense": 0.1, "sad": 0.6} for i in ids.values()}
        library.store_probabilities("mood", moods | {ids["1.ogg"]: {"calm": 0.2}}, "s")
    return tmp_path / "l.db"


def run(*arguments):
    done = CliRunner().invoke(group, ["tag", *map(str, arguments), "--json"])
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


def test_what_was_changed_since_is_not_undone(library):
    run("write", "--library", library)
    write_values(library.parent / "music" / "0.flac", {"genre": ["Better"]})
    run("undo", "--library", library)
    assert tags(library)["0.flac"] == (("Better",), ())


def test_the_library_follows_so_that_nothing_is_embedded_again(library):
    run("write", "--library", library)
    with Library.open(library) as opened:
        states = opened.states(str(library.parent / "music"))
        assert {t.path: t.genre for t in opened.tracks()}["0.flac"] == "jazz"
    for name in WRITTEN:
        facts = (library.parent / "music" / name).stat()
        assert (states[name].size, states[name].mtime_ns) == (facts.st_size, facts.st_mtime_ns)


def test_without_probabilities_there_is_nothing_to_write(tmp_path):
    Library.open(tmp_path / "l.db", create=True).close()
    done = CliRunner().invoke(group, ["tag", "write", "--library", str(tmp_path / "l.db")])
    assert "mirclr classify apply" in str(done.exception)
    wrong = CliRunner().invoke(group, ["tag", "write", "--library", str(tmp_path / "l.db"), "--fields", "bpm"])
    assert wrong.exit_code == 2
