import errno
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
import torch

from mirclr import audio, processes
from mirclr.audio.decoding import decode_files
from mirclr.classify import Heads
from mirclr.classify.heads import Head
from mirclr.config import parse_recipe
from mirclr.errors import EncoderMismatch, LibraryError
from mirclr.ingest import embedding, seen
from mirclr.ingest.embedding import count_outcomes, embed_files
from mirclr.ingest.finding import find_audio
from mirclr.library import Failure, LibraryStore
from mirclr.models.checkpoint import save_checkpoint
from mirclr.models.embedder import Embedder
from mirclr.models.encoder import Model
from mirclr.models.level import USUAL_SLOPE, balanced, levelled, slope, tilt
from mirclr.provenance import file_digest
from mirclr.tags import Tags
from tests.commands import main
from tests.conftest import TINY

COMMON = {"count": 3, "seconds": 1.0, "rate": 16000}


class InThisProcess:
    """Stands for the pool of processes where it is not what is tested."""

    def __init__(self, *_):
        pass

    def submit(self, function, *job):
        future = Future()
        future.set_result(function(*job))
        return future

    def close(self):
        pass


class NoDecoding:
    def __init__(self, *_):
        pass

    def submit(self, function, file, *_):
        raise AssertionError(f"{file} is decoded")

    def close(self):
        pass


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(processes, "Pool", InThisProcess)


def did(library, embedder, *paths, **options):
    """Embed; what became of each file, by its name."""
    files, problems = find_audio(list(paths), library)
    told = {Path(p.path).name: "failed" for p in problems}
    return told | {o.file.name: o.did for o in embed_files(library, files, embedder, **options)}


def all_are(outcome, *names):
    return dict.fromkeys(names or ("a.ogg", "b.ogg", "c.ogg", "d.ogg"), outcome)


def paths_of(library):
    return sorted(t.path for t in library.tracks())


def tone(path, hz, seconds=2.0, rate=16000):
    times = np.arange(round(seconds * rate)) / rate
    audio.write_wav(path, 0.5 * np.sin(2 * np.pi * hz * times).astype(np.float32), rate)


# vectors


def test_vectors_are_those_of_the_slow_way(library, embedder, here, music):
    """One track at a time, one excerpt at a time."""
    did(library, embedder, music)
    for track in library.tracks():
        excerpts = audio.read_excerpts(track.file, **COMMON)
        np.testing.assert_allclose(library.vector(track.id), embedder.embed_track(excerpts.waveforms), atol=1e-5)
        with torch.no_grad():
            one_by_one = [embedder.network.model(torch.from_numpy(w[None])) for w in excerpts.waveforms]
        mean = torch.cat(one_by_one).mean(dim=0).numpy()
        np.testing.assert_allclose(library.vector(track.id), mean / np.linalg.norm(mean), atol=1e-5)
        assert track.duration_s == 8.0
        assert track.audio_digest == excerpts.digest


def test_the_order_of_files_is_no_difference(embedder, here, music, tmp_path):
    for name, turn in (("one.db", 1), ("two.db", -1)):
        with LibraryStore.open(tmp_path / name, create=True) as library:
            files, _ = find_audio([music], library)
            list(embed_files(library, files[::turn], embedder))
    with LibraryStore.open(tmp_path / "one.db") as one, LibraryStore.open(tmp_path / "two.db") as two:
        assert paths_of(one) == paths_of(two)
        for track in one.tracks():
            other = two.find_file(track.file)
            np.testing.assert_allclose(one.vector(track.id), two.vector(other.id), atol=1e-6)


def test_tracks_of_several_lengths_share_a_batch(embedder):
    rng = np.random.default_rng(0)
    # more clips than are heard at once
    tracks = [rng.uniform(-1, 1, (n, 16000)).astype(np.float32) for n in (1, 3, 40, 2)]
    together = embedder.embed_tracks(tracks)
    assert (together.shape, together.dtype) == ((4, 8), np.float32)
    np.testing.assert_allclose(together, [embedder.embed_track(t) for t in tracks], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_the_threads_of_torch_are_given_back(embedder):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        embedder.embed_track(np.ones((1, 16000), np.float32))
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_random_weights_are_those_of_their_seed():
    recipe = TINY.model_dump(mode="json")
    before = torch.random.get_rng_state()
    one, again = (Embedder.with_random_weights(recipe, excerpts=3) for _ in range(2))
    other = Embedder.with_random_weights(recipe, excerpts=3, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert one.stamp.digest == again.stamp.digest != other.stamp.digest
    assert (one.rate, one.seconds, one.dim) == (16000, 1.0, 8)


def test_a_loaded_encoder_is_stamped(checkpoint):
    loaded = Embedder.load(checkpoint)
    assert (loaded.dim, loaded.excerpts, loaded.rate, loaded.seconds) == (8, 3, 16000, 1.0)
    assert loaded.stamp.name == str(checkpoint.resolve())
    assert Embedder.load(checkpoint, excerpts=5).excerpts == 5
    assert parse_recipe(json.dumps(loaded.stamp.recipe)) == TINY


# again


def test_what_is_unchanged_is_not_opened(library, embedder, here, music, monkeypatch):
    assert did(library, embedder, music) == all_are("embedded")
    generation = library.generation
    monkeypatch.setattr(processes, "Pool", NoDecoding)
    monkeypatch.setattr(seen, "file_digest", None)
    assert did(library, embedder, music) == all_are("unchanged")
    assert library.generation == generation


def test_a_file_of_a_new_size_is_not_looked_up(library, embedder, here, music, monkeypatch):
    monkeypatch.setattr(embedding, "_follow_by_digest", None)
    assert did(library, embedder, music) == all_are("embedded")


def test_a_file_of_the_far_future_is_embedded_and_then_unchanged(library, embedder, here, music):
    file = music / "a.ogg"
    os.utime(file, ns=(0, 13_569_465_600 * 10**9))  # the year 2400: more than 64 bits hold in ns
    for expected in ("embedded", "unchanged"):
        assert [o.did for o in embed_files(library, [(str(music), file)], embedder)] == [expected]


def test_a_touched_file_is_not_decoded(library, embedder, here, music, monkeypatch):
    did(library, embedder, music)
    os.utime(music / "a.ogg", ns=(1, 1))
    monkeypatch.setattr(processes, "Pool", NoDecoding)
    assert did(library, embedder, music) == all_are("unchanged")
    assert library.states(str(music))["a.ogg"].mtime_ns == 1


def test_a_moved_file_is_followed(library, embedder, here, music, monkeypatch):
    did(library, embedder, music)
    track = library.find_file(music / "a.ogg")
    vector = library.vector(track.id)
    (music / "a.ogg").rename(music / "sub" / "new name.ogg")
    monkeypatch.setattr(processes, "Pool", NoDecoding)
    outcome = did(library, embedder, music)
    assert outcome == all_are("unchanged", "b.ogg", "c.ogg", "d.ogg") | {"new name.ogg": "moved"}
    assert library.find_file(music / "sub" / "new name.ogg").id == track.id
    np.testing.assert_array_equal(library.vector(track.id), vector)
    assert len(library.tracks()) == 4
    assert library.verify() == []


def test_a_copy_is_not_decoded(library, embedder, here, music, monkeypatch):
    did(library, embedder, music)
    shutil.copy(music / "a.ogg", music / "copy.ogg")
    monkeypatch.setattr(processes, "Pool", NoDecoding)
    assert did(library, embedder, music)["copy.ogg"] == "copied"
    one, two = (library.find_file(music / name) for name in ("a.ogg", "copy.ogg"))
    np.testing.assert_array_equal(library.vector(one.id), library.vector(two.id))
    assert (one.duration_s, one.audio_digest) == (two.duration_s, two.audio_digest)
    assert did(library, embedder, music)["copy.ogg"] == "unchanged"


def damaged(data, *, places):
    """The same length; `places`: at the start, middle and end as it was."""
    changed = bytearray(data)
    for i in range(0, len(data), 3):
        changed[i] ^= 0x55
    if places:
        part = 1 << 16
        for start in (0, max(0, len(data) // 2 - part // 2), max(0, len(data) - part)):
            changed[start : start + part] = data[start : start + part]
    return bytes(changed)


def waves(path, seed, seconds=30):
    """Write noise that changes over time: more than three places of 64 KiB."""
    noise = np.random.default_rng(seed).uniform(-0.3, 0.3, 16000 * seconds).astype(np.float32)
    audio.write_wav(path, noise, 16000)
    return path


@pytest.mark.parametrize("same_time", [False, True])
def test_a_copy_that_was_damaged_between_is_no_copy(library, embedder, here, tmp_path, same_time):
    """Size and three places are those of the original, four bytes of five are not."""
    music = (tmp_path / "music").resolve()
    music.mkdir()
    data = waves(music / "a.wav", 0).read_bytes()
    did(library, embedder, music)
    (music / "b.wav").write_bytes(damaged(data, places=True))
    assert file_digest(music / "a.wav") == file_digest(music / "b.wav")
    if same_time:
        shutil.copystat(music / "a.wav", music / "b.wav")
    assert did(library, embedder, music) == {"a.wav": "unchanged", "b.wav": "embedded"}
    one, two = (library.vector(library.find_file(music / name).id) for name in ("a.wav", "b.wav"))
    assert not np.array_equal(one, two)
    with LibraryStore.open(tmp_path / "fresh.db", create=True) as fresh:
        did(fresh, embedder, music)
        np.testing.assert_array_equal(fresh.vector(fresh.find_file(music / "b.wav").id), two)


@pytest.mark.parametrize("moved", [False, True])
def test_samples_that_changed_between_the_places_are_decoded_again(library, embedder, here, tmp_path, moved):
    music = (tmp_path / "music").resolve()
    music.mkdir()
    file = waves(music / "a.wav", 0)
    did(library, embedder, music)
    vector = library.vector(1)
    data = file.read_bytes()
    if moved:
        file.unlink()
        file = music / "b.wav"
    file.write_bytes(damaged(data, places=True))
    os.utime(file, ns=(5, 5))
    assert did(library, embedder, music)[file.name] == "embedded"
    assert not np.array_equal(library.vector(library.find_file(file).id), vector)


def test_of_a_library_of_before_a_touched_file_is_decoded_but_not_embedded(library, embedder, here, music, monkeypatch):
    did(library, embedder, music)
    before = library.vectors()[1].tobytes()
    with library._transaction() as db:
        db.execute("UPDATE track SET content_digest = NULL")
    os.utime(music / "a.ogg", ns=(1, 1))
    shutil.copy(music / "b.ogg", music / "copy.ogg")
    (music / "sub" / "c.ogg").rename(music / "moved.ogg")
    with monkeypatch.context() as m:
        m.setattr(Embedder, "embed_excerpts", None)
        outcome = did(library, embedder, music)
    assert outcome == all_are("unchanged", "a.ogg", "b.ogg", "d.ogg") | {"copy.ogg": "copied", "moved.ogg": "moved"}
    assert library.vectors(range(1, 5))[1].tobytes() == before
    assert library.vector(5).tobytes() == library.vector(2).tobytes()
    # from now on it is known whole
    os.utime(music / "a.ogg", ns=(2, 2))
    monkeypatch.setattr(processes, "Pool", NoDecoding)
    assert did(library, embedder, music)["a.ogg"] == "unchanged"


def test_many_files_that_moved_are_followed_in_few_transactions(library, embedder, here, music):
    for i in range(40):
        shutil.copy(music / "a.ogg", music / f"{i}.ogg")
    did(library, embedder, music)
    moved = music.rename(music.with_name("elsewhere"))
    commits = []
    library._connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    outcome = did(library, embedder, moved)
    library._connection.set_trace_callback(None)
    assert set(outcome.values()) == {"moved"}
    assert len(outcome) == 44
    assert len(commits) < 10
    assert [t.root for t in library.tracks()] == [str(moved)] * 44


class Stopped(Exception):
    pass


def test_what_is_written_together_is_all_there_or_nothing(library, embedder):
    library.bind(embedder.stamp)
    failure = Failure(str(library.path.parent), "a.ogg", 1, 2, "bad")

    def write_then_stop():
        with library.together():
            library.write(failures=[failure])
            library.add_blocks(["artist:X"])
            raise Stopped

    with pytest.raises(Stopped):
        write_then_stop()
    assert (library.failures(), library.blocks()) == ([], [])
    with library.together(), library.together():
        library.write(failures=[failure])
        library.add_blocks(["artist:X"])
    with LibraryStore.open(library.path) as other:
        assert (other.failures(), other.blocks()) == ([failure], ["artist:X"])
    library.add_blocks(["artist:Y"])  # alone again
    with LibraryStore.open(library.path) as other:
        assert other.blocks() == ["artist:X", "artist:Y"]


# encoders that fail


@pytest.fixture
def broken(tmp_path):
    """An encoder whose weights are not finite."""
    model = Model(TINY)
    with torch.no_grad():
        model.encoder.stem[0].weight.fill_(float("nan"))
    save_checkpoint(tmp_path / "nan.safetensors", model, {})
    return tmp_path / "nan.safetensors"


def test_what_an_encoder_fails_on_is_told_as_failed(library, broken, here, music):
    embedder = Embedder.load(broken)
    files, _ = find_audio([music], library)
    outcomes = list(embed_files(library, files, embedder))
    assert {o.did for o in outcomes} == {"failed"}
    assert all("no usable vector" in o.reason for o in outcomes)
    assert (len(library.tracks()), len(library.failures())) == (0, 4)
    assert {o.new for o in embed_files(library, files, embedder)} == {False}


def test_commands_tell_of_an_encoder_that_fails(broken, here, music, tmp_path, capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main([*map(str, arguments)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return stopped.value.code, out, err

    library = ("--library", tmp_path / "lib.db")
    code, out, _ = run("embed", music, "--checkpoint", broken, *library)
    assert (code, out.split(":")[0]) == (1, "no songs ready, 4 could not be read")
    assert run("sync", "--retry", music, *library)[0] == 1
    stamp = Embedder.load(broken).stamp
    heads = Heads()
    heads.tasks["genre"] = Head("one", ("a", "b"), np.ones((2, 8), "f4"), np.zeros(2, "f4"), np.ones(2, "f4"))
    heads.encoder = {"digest": stamp.digest, "name": stamp.name, "dim": stamp.dim}
    heads.save(tmp_path / "heads.safetensors")
    code, out, err = run(
        "classify", "predict", music / "a.ogg", "--heads", tmp_path / "heads.safetensors", "--checkpoint", broken
    )
    assert (code, out) == (1, "")
    assert "no usable vector" in err


@pytest.mark.skipif(os.name == "nt", reason="hard links")
def test_hard_links_are_copies_and_stay_so(library, embedder, here, music):
    did(library, embedder, music)
    os.link(music / "a.ogg", music / "linked.ogg")
    assert did(library, embedder, music)["linked.ogg"] == "copied"
    assert paths_of(library) == ["a.ogg", "b.ogg", "linked.ogg", "sub/c.ogg", "sub/d.ogg"]
    assert set(did(library, embedder, music).values()) == {"unchanged"}


def test_a_retagged_file_keeps_its_vector_and_shows_its_new_tags(library, embedder, here, music):
    did(library, embedder, music)
    track = library.find_file(music / "a.ogg")
    vector = library.vector(track.id)
    tags = mutagen.File(music / "a.ogg", easy=True)
    tags["title"], tags["artist"] = "New Title", "Someone"
    tags.save()
    assert did(library, embedder, music)["a.ogg"] == "retagged"
    again = library.find_file(music / "a.ogg")
    assert (again.id, again.title, again.artist) == (track.id, "New Title", "Someone")
    np.testing.assert_array_equal(library.vector(track.id), vector)
    assert did(library, embedder, music) == all_are("unchanged")


def test_a_file_of_other_sound_is_embedded_again_under_its_id(library, embedder, here, music):
    did(library, embedder, music)
    track = library.find_file(music / "a.ogg")
    vector = library.vector(track.id)
    tone(music / "tone.wav", 440)
    did(library, embedder, music)
    (music / "tone.wav").replace(music / "a.ogg")
    outcome = did(library, embedder, music)
    # the tone is known: its track moves to where it is now, in place of what was there
    assert outcome["a.ogg"] == "moved"
    tone(music / "a.ogg", 880)
    assert did(library, embedder, music)["a.ogg"] == "embedded"
    assert not np.allclose(library.vector(library.find_file(music / "a.ogg").id), vector, atol=1e-3)
    assert len(library.tracks()) == 4


def test_tags_of_a_manifest_are_taken_instead(library, embedder, here, music):
    known = {music / "a.ogg": Tags(title="Known", artist="Composer")}
    did(library, embedder, music, known_tags=known)
    assert library.find_file(music / "a.ogg").label == "Composer – Known"
    assert library.find_file(music / "b.ogg").title is None


# roots


def test_a_part_embedded_again_makes_no_second_copies(library, embedder, here, music):
    did(library, embedder, music)
    assert did(library, embedder, music / "sub", music / "a.ogg") == all_are("unchanged", "a.ogg", "c.ogg", "d.ogg")
    tone(music / "sub" / "new.wav", 300)
    assert did(library, embedder, music / "sub" / "new.wav") == {"new.wav": "embedded"}
    assert library.find_file(music / "sub" / "new.wav").path == "sub/new.wav"


def test_a_parent_embedded_after_its_child_takes_it_over(library, embedder, here, music, monkeypatch):
    did(library, embedder, music / "sub")
    ids = {t.path: t.id for t in library.tracks()}
    outcome = did(library, embedder, music)
    assert outcome == all_are("embedded", "a.ogg", "b.ogg") | all_are("moved", "c.ogg", "d.ogg")
    assert paths_of(library) == ["a.ogg", "b.ogg", "sub/c.ogg", "sub/d.ogg"]
    assert {Path(t.path).name: t.id for t in library.tracks() if t.path.startswith("sub")} == ids
    assert list(library.roots()) == [str(music)]
    monkeypatch.setattr(processes, "Pool", NoDecoding)
    assert did(library, embedder, music) == all_are("unchanged")


def test_ids_for_export_are_relative_to_the_embedded_folder(library, embedder, here, music):
    did(library, embedder, music)
    assert sorted(library.export_ids().values()) == ["a.ogg", "b.ogg", "sub/c.ogg", "sub/d.ogg"]


def test_a_file_given_twice_is_embedded_once(library, embedder, here, music):
    files, _ = find_audio([music, music / "a.ogg", music / "sub"], library)
    assert sorted(f.name for _, f in files) == ["a.ogg", "b.ogg", "c.ogg", "d.ogg"]
    assert {root for root, _ in files} == {str(music)}


def test_a_path_that_is_not_there(library, tmp_path):
    with pytest.raises(LibraryError, match="nowhere: no such file or folder"):
        find_audio([tmp_path / "nowhere"], library)


# failures


@pytest.fixture
def bad(music):
    """Bad files among the good ones; their names."""
    (music / "empty.ogg").touch()
    (music / "text.mp3").write_text("not audio at all\n" * 100)
    audio.write_wav(music / "silent.wav", np.zeros(32000, np.float32), 16000)
    tone(music / "short.wav", 440, seconds=0.1)
    soundfile.write(music / "cut.flac", np.random.default_rng(0).uniform(-0.5, 0.5, 64000), 16000)
    (music / "cut.flac").write_bytes((music / "cut.flac").read_bytes()[:30000])
    return {"empty.ogg", "text.mp3", "silent.wav", "short.wav", "cut.flac"}


def test_bad_files_are_reported_and_the_rest_embedded(music, bad, checkpoint, here, tmp_path, capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main([*arguments, "--library", str(tmp_path / "lib.db")])
        out, err = capsys.readouterr()
        return stopped.value.code, out, err

    code, out, err = run("embed", str(music), "--checkpoint", str(checkpoint))
    failures = shlex.join(["mirclr", "library", "info", "--failures", "--library", str(tmp_path / "lib.db")])
    assert (code, out) == (0, f"4 songs ready, 5 could not be read: {failures}\n")
    skipped = [line for line in err.splitlines() if line.startswith("skipped ")]
    assert {Path(line.split(": ")[0]).name for line in skipped} == bad
    assert "Traceback" not in err
    assert (tmp_path / "lib.db.index").exists()  # the first question does not wait for it
    code, out, _ = run("library", "info", "--failures", "--json")
    assert {Path(f["file"]).name for f in json.loads(out)["failures"]} == bad
    assert code == 0
    # the library knows its encoder
    code, out, _ = run("embed", str(music), "--json")
    told = json.loads(out)
    assert (code, told["unchanged"], told["failed"], told["embedded"]) == (0, 4, 5, 0)
    assert {Path(f["file"]).name for f in told["failures"]} == bad
    assert all(f["reason"] for f in told["failures"])
    # where nothing at all could be done, that is a failure of the command
    (music.parent / "bad").mkdir()
    shutil.copy(music / "text.mp3", music.parent / "bad")
    assert run("embed", str(music.parent / "bad"))[0] == 1
    (music.parent / "none").mkdir()
    assert run("embed", str(music.parent / "none"))[:2] == (0, f"no music found in {music.parent / 'none'}\n")


def test_a_failure_is_tried_again_when_asked_or_changed(library, embedder, here, music, bad, monkeypatch):
    first = did(library, embedder, music)
    assert {name for name, what in first.items() if what == "failed"} == bad
    heard = []

    class Counting(InThisProcess):
        def submit(self, function, file, *rest):
            heard.append(file.name)
            return super().submit(function, file, *rest)

    monkeypatch.setattr(processes, "Pool", Counting)
    files, _ = find_audio([music], library)
    outcomes = {o.file.name: o for o in embed_files(library, files, embedder)}
    assert heard == []
    assert {name for name, o in outcomes.items() if not o.new} == bad - {"empty.ogg"}
    assert all(o.reason for o in outcomes.values() if o.did == "failed")
    again = did(library, embedder, music, retry=True)
    assert again == {name: "failed" if name in bad else "unchanged" for name in first}
    assert set(heard) == bad - {"empty.ogg"}
    heard.clear()
    tone(music / "silent.wav", 500)
    assert did(library, embedder, music)["silent.wav"] == "embedded"
    assert heard == ["silent.wav"]
    assert "silent.wav" not in library.failed(str(music))


def test_a_damaged_file_keeps_its_track_and_is_well_again_when_restored(library, embedder, here, music):
    did(library, embedder, music)
    facts = (music / "a.ogg").stat()
    good = (music / "a.ogg").read_bytes()
    for restored_ns in (facts.st_mtime_ns, facts.st_mtime_ns + 10**9):
        (music / "a.ogg").write_text("damaged")
        assert did(library, embedder, music)["a.ogg"] == "failed"
        assert library.find_file(music / "a.ogg")
        assert list(library.failed(str(music))) == ["a.ogg"]
        (music / "a.ogg").write_bytes(good)
        os.utime(music / "a.ogg", ns=(restored_ns, restored_ns))
        assert did(library, embedder, music)["a.ogg"] == "unchanged"
        assert library.failures() == []


def test_a_file_that_goes_away_while_embedding(library, embedder, here, music):
    files, _ = find_audio([music], library)
    (music / "a.ogg").unlink()
    outcomes = {o.file.name: o for o in embed_files(library, files, embedder)}
    assert outcomes["a.ogg"].did == "failed"
    assert "No such file" in outcomes["a.ogg"].reason
    assert sum(o.did == "embedded" for o in outcomes.values()) == 3


def test_another_encoder_is_refused_naming_both(library, embedder, here, music):
    did(library, embedder, music)
    other = Embedder.with_random_weights(TINY.model_dump(mode="json"), excerpts=3, seed=1)
    with pytest.raises(EncoderMismatch) as caught:
        did(library, other, music)
    for stamp in (embedder.stamp, other.stamp):
        assert stamp.name in str(caught.value)
        assert stamp.digest[:12] in str(caught.value)
    assert "mirclr library renew" in str(caught.value)


def test_counts(library, embedder, here, music, bad):
    files, _ = find_audio([music], library)
    seen = []
    counts = count_outcomes(embed_files(library, files, embedder), seen.append)
    assert counts == {"embedded": 4, "unchanged": 0, "moved": 0, "retagged": 0, "copied": 0, "failed": 4}
    assert len(seen) == 8


# processes

CRASHING = """
import os
from mirclr.audio import try_excerpts as real

def try_excerpts(path, count, seconds, rate):
    if path.name.startswith("crash"):
        os._exit(1)
    return real(path, count, seconds, rate)
"""


@pytest.fixture
def crashing(tmp_path, monkeypatch):
    """A decoder that ends its process on some files, in a module that a process can import without torch."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "crashing_decoder.py").write_text(CRASHING)
    monkeypatch.syspath_prepend(folder)
    import crashing_decoder

    monkeypatch.setattr("mirclr.audio.decoding.try_excerpts", crashing_decoder.try_excerpts)
    yield
    del sys.modules["crashing_decoder"]


def test_a_file_that_crashes_its_decoder_is_one_failure(library, embedder, crashing, music):
    shutil.copy(music / "a.ogg", music / "crash.ogg")
    tone(music / "e.wav", 700)
    files = [music / name for name in ("a.ogg", "crash.ogg", "b.ogg", "sub/c.ogg", "sub/d.ogg", "e.wav")]
    heard = list(decode_files(files, **COMMON, workers=1))
    assert [h.file for h in heard] == files
    assert [h.file.name for h in heard if h.error] == ["crash.ogg"]
    assert "its decoder crashed" in heard[1].error
    assert heard[0].excerpts.digest == audio.read_excerpts(files[0], **COMMON).digest


def test_quiet_music_is_raised_by_one_gain_and_other_music_left_to_the_bit():
    loud = np.random.default_rng(0).normal(0, 0.15, (3, 500)).astype(np.float32)
    assert levelled(loud, loud_too=False) is loud
    first, second = (levelled(loud * np.float32(10 ** (-db / 20)), loud_too=False) for db in (12, 30))
    np.testing.assert_allclose(first, second, rtol=1e-5)
    np.testing.assert_allclose(first / first[0, 0], loud / loud[0, 0], rtol=1e-4)
    assert 10 * np.log10(np.square(first).mean()) == pytest.approx(-20, abs=0.01)
    assert not levelled(0 * loud, loud_too=False).any()


def test_an_encoder_that_asks_for_it_hears_all_music_at_one_level():
    recipes = (TINY, TINY.model_copy(update={"embedding": TINY.embedding.model_copy(update={"levelled": True})}))
    plain, asking = (Embedder.of_model(model, name="tiny") for model in map(Model, recipes))
    x = np.random.default_rng(0).normal(0, 0.1, (3, 16000)).astype(np.float32)
    for db in (-28, -12, 0, 12):
        louder = x * np.float32(10 ** (db / 20))
        np.testing.assert_allclose(asking.levelled(louder), asking.levelled(x), rtol=1e-5)
        np.testing.assert_allclose(asking.embed_track(louder), asking.embed_track(x), atol=1e-5)
    assert np.abs(plain.embed_track(x * 4) - plain.embed_track(x)).max() > 1e-3
    assert asking.stamp.digest != plain.stamp.digest


def tilted(x, db_an_octave):
    gains = 10 ** (tilt(db_an_octave, np.fft.rfftfreq(x.shape[-1], 1 / 16000)) / 20)
    return np.fft.irfft(np.fft.rfft(x) * gains, x.shape[-1]).astype(np.float32)


def test_a_slope_is_what_an_equaliser_adds_to_it():
    x = np.random.default_rng(0).normal(0, 0.1, (3, 16000)).astype(np.float32)
    assert slope(x, 16000) == pytest.approx(0, abs=0.3)  # white noise
    for by in (-8, -3, 2):
        assert slope(tilted(x, by), 16000) == pytest.approx(slope(x, 16000) + by, abs=0.1)
    assert slope(x * np.float32(1e-3), 16000) == pytest.approx(slope(x, 16000), abs=1e-3)
    for nothing in (0 * x, x[:, :100], x[:, :0]):
        assert slope(nothing, 16000) == USUAL_SLOPE
        assert balanced(nothing, 1.0, 16000) is nothing
    assert slope(x, 1000) == USUAL_SLOPE  # what is measured is not in it


def test_balance_takes_a_share_of_a_slope_away():
    x = tilted(np.random.default_rng(0).normal(0, 0.1, (3, 16000)).astype(np.float32), -3)
    of = slope(x, 16000) - USUAL_SLOPE
    for share in (0.25, 0.5, 1.0):
        once = balanced(x, share, 16000)
        assert (once.dtype, once.shape) == (np.float32, x.shape)
        assert slope(once, 16000) - USUAL_SLOPE == pytest.approx(of * (1 - share), abs=0.1)
    assert balanced(x, 0.0, 16000) is x


def test_an_encoder_that_asks_for_it_hears_all_masters_alike():
    recipe = TINY.model_copy(
        update={"embedding": TINY.embedding.model_copy(update={"levelled": True, "balanced": 1.0})}
    )
    plain, asking = (Embedder.of_model(Model(r), name="tiny") for r in (TINY, recipe))
    x = tilted(np.random.default_rng(0).normal(0, 0.1, (3, 16000)).astype(np.float32), -6)
    brighter = tilted(x, 3)
    np.testing.assert_allclose(asking.levelled(brighter), asking.levelled(x), atol=0.01)
    assert np.abs(plain.levelled(brighter) - plain.levelled(x)).max() > 0.1
    assert asking.stamp.digest != plain.stamp.digest


def test_the_level_of_a_recording_hardly_moves_its_vector(songs):
    from mirclr.models.pretrained import builtin_checkpoint

    embedder = Embedder.load(builtin_checkpoint())
    x = audio.read_excerpts(songs[0], count=3, seconds=embedder.seconds, rate=embedder.rate).waveforms
    x *= np.float32(0.1 / np.sqrt(np.square(x).mean()))
    levels = embedder.embed_tracks([x * np.float32(10 ** (-db / 20)) for db in (0, 8, 16, 24)])
    assert (levels @ levels[0]).min() > 0.99


def test_a_want_of_memory_is_no_fault_of_the_file(library, embedder, music, monkeypatch):
    lost = iter([processes.Lost.OUT_OF_MEMORY] * 4)
    decode = lambda work, jobs, **_: ((j, next(lost, work(*j))) for j in jobs)  # noqa: E731
    monkeypatch.setattr("mirclr.audio.decoding.results_in_order", decode)
    first = did(library, embedder, music)
    assert first == all_are("failed")
    assert library.failures() == []
    assert did(library, embedder, music) == all_are("embedded")


def reading(monkeypatch, fails, number):
    """Files of which the system gives an error when they are opened, or what they are is looked at."""
    look = audio.reading.look

    def looked(f, size):
        if Path(f.name).name in fails:
            raise OSError(number, os.strerror(number))
        return look(f, size)

    monkeypatch.setattr(audio.reading, "look", looked)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EACCES])
def test_a_file_that_the_system_does_not_give_is_tried_again(library, embedder, here, music, monkeypatch, number):
    with monkeypatch.context() as patch:
        reading(patch, {"a.ogg", "c.ogg"}, number)
        files, _ = find_audio([music], library)
        outcomes = {o.file.name: o for o in embed_files(library, files, embedder)}
    assert {name for name, o in outcomes.items() if o.did == "failed"} == {"a.ogg", "c.ogg"}
    assert "a.ogg: cannot be read (" in outcomes["a.ogg"].reason
    assert ("the disk failed" in outcomes["a.ogg"].reason) == (number == errno.EIO)
    assert library.failures() == []
    again = did(library, embedder, music)
    assert [again[name] for name in ("a.ogg", "c.ogg")] == ["embedded", "embedded"]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOSPC])
def test_a_machine_at_its_end_stops_and_keeps_what_was_done(
    library, embedder, in_this_process, music, monkeypatch, number
):
    files, _ = find_audio([music], library)
    order = [file.name for _, file in files]
    with monkeypatch.context() as patch:
        reading(patch, {order[2]}, number)
        with pytest.raises(OSError, match=os.strerror(number)):
            list(embed_files(library, files, embedder))
    assert {t.file.name for t in library.tracks()} == set(order[:2])
    assert library.failures() == []
    assert set(did(library, embedder, music).values()) == {"embedded", "unchanged"}


def test_workers_import_no_torch():
    pool = processes.Pool(1, processes.begin_worker)
    try:
        assert "no such file" in pool.submit(audio.try_excerpts, Path("nothing.ogg"), 1, 1.0, 16000).result().lower()
        loaded = pool.submit(eval, "sorted(__import__('sys').modules)").result()
    finally:
        pool.close()
    assert "mirclr.audio" in loaded
    assert not {"torch", "mirclr.ingest.embedding", "librosa"} & set(loaded)


KILLED = """
import os, signal
from mirclr.__main__ import start
from mirclr.library import LibraryStore

upsert, n = LibraryStore._upsert, 0

def killed(*arguments):
    global n
    n += 1
    if n == 40:  # in the middle of the third transaction
        os.kill(os.getpid(), signal.SIGKILL)
    upsert(*arguments)

LibraryStore._upsert = killed
if __name__ == "__main__":
    start()
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_kill_9_loses_the_batch_in_flight_and_leaves_no_process(checkpoint, tmp_path, here):
    music, lib = tmp_path / "music", tmp_path / "lib.db"
    for i in range(50):
        tone(music / f"{i:02}.wav", 200 + 20 * i, seconds=1.0)
    (tmp_path / "killed.py").write_text(KILLED)
    line = ["embed", str(music), "--library", str(lib), "--checkpoint", str(checkpoint), "--workers", "1"]
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "killed.py"), *line], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        # its output ends when the last process that holds it has ended, the decoding ones too
        process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == -signal.SIGKILL
    with LibraryStore.open(lib) as library:
        assert len(library.tracks()) == 32
        assert library.verify() == []
    with pytest.raises(SystemExit) as stopped:
        main(line)
    assert stopped.value.code == 0
    with LibraryStore.open(lib) as library:
        assert len(library.tracks()) == 50
        assert library.verify() == []
