"""`mirclr classify` of files and libraries by an encoder and heads that were never trained."""

import csv
import json
import os
import sys

import numpy as np
import pytest
import soundfile
import torch

from mirclr.audio import decode_blocks
from mirclr.classify import Head, Heads, segments
from mirclr.classify.segments import predict_segments, windows
from mirclr.errors import CheckpointError, EncoderMismatch, MissingExtra, UnreadableAudio
from mirclr.library import Entry, LibraryStore
from mirclr.models.checkpoint import save_checkpoint
from mirclr.models.embedder import Embedder
from mirclr.models.encoder import Model
from mirclr.processes import CRASHED, streamed
from mirclr.tags import Tags
from tests.commands import invoke
from tests.conftest import TINY

GENRES, MOODS, AFFECT = ("dub", "folk", "jazz", "polka"), ("calm", "dark", "wild"), ("valence", "arousal")
RATE = 16_000


@pytest.fixture(scope="module")
def builtin(tmp_path_factory):
    """A folder with an encoder and heads on its vectors, of random weights."""
    folder = tmp_path_factory.mktemp("builtin")
    torch.manual_seed(0)
    save_checkpoint(folder / "builtin.safetensors", Model(TINY), {})
    stamp = Embedder.load(folder / "builtin.safetensors").stamp
    rng = np.random.default_rng(0)
    heads = Heads(abstain=0.3)
    for task, kind, labels in (("genre", "one", GENRES), ("mood", "many", MOODS), ("affect", "many", AFFECT)):
        weight, bias = rng.normal(size=(len(labels), stamp.dim)), rng.normal(size=len(labels))
        arrays = (weight.astype(np.float32), bias.astype(np.float32), np.ones(len(labels), np.float32))
        heads.tasks[task] = Head(kind, labels, *arrays)
    heads.encoder = {"digest": stamp.digest, "name": "builtin", "dim": stamp.dim}
    heads.save(folder / "builtin.heads.safetensors")
    return folder


@pytest.fixture(autouse=True)
def shipped(builtin, monkeypatch):
    """In place of those that ship; modules that are first loaded meanwhile keep the real functions."""
    monkeypatch.setattr("mirclr.models.pretrained._HERE", builtin)


@pytest.fixture
def here(in_this_process, monkeypatch):
    monkeypatch.setattr(segments, "streamed", lambda work, *job: work(*job))


@pytest.fixture
def heads(builtin):
    return Heads.load(builtin / "builtin.heads.safetensors")


@pytest.fixture
def embedder(builtin):
    return Embedder.load(builtin / "builtin.safetensors")


def run(*arguments):
    return invoke(["classify", "predict", *map(str, arguments)])


def facts(*arguments):
    done = run(*arguments, "--json")
    assert done.exception is None, done.output
    return json.loads(done.stdout)


def a_library(path, stamp, n=5):
    rng = np.random.default_rng(1)
    with LibraryStore.open(path, create=True) as library:
        library.bind(stamp)
        vectors = rng.normal(size=(n, stamp.dim))
        library.write(
            entries=[Entry("/m", f"{i}.ogg", 1, 1, f"f{i}", f"a{i}", 9.0, Tags(), v) for i, v in enumerate(vectors)]
        )
    return path


# files


def test_files_and_folders_are_told_of(here, songs, embedder, heads):
    said = facts(songs[0].parent, songs[0], "--top", 2)
    assert [t["file"] for t in said["tracks"]] == [str(s) for s in songs]
    assert said["failures"] == []
    from mirclr.audio import read_excerpts

    waveforms = read_excerpts(songs[0], count=3, seconds=1.0, rate=RATE).waveforms
    vectors = embedder.embed_track(waveforms)[None]
    want, first = heads.predict_proba(vectors), said["tracks"][0]
    best = want["genre"][0].argsort()[::-1][:2]
    assert list(first["genres"]) == [GENRES[i] for i in best]
    assert list(first["genres"].values()) == pytest.approx(want["genre"][0][best], abs=1e-4)
    assert first["genre"] == heads.predict(vectors)[0]
    assert len(first["moods"]) == 2
    assert [first["valence"], first["arousal"]] == pytest.approx(want["affect"][0], abs=1e-4)


def test_the_table_says_unknown_and_still_lists(here, songs, heads, tmp_path):
    heads.abstain = 1.0
    heads.save(tmp_path / "builtin.heads.safetensors")
    assert "\tnot sure\t" in run(songs[0], "--heads", tmp_path / "builtin.heads.safetensors").stdout
    done = run(songs[0], "--heads", tmp_path / "builtin.heads.safetensors", "--top", "2")
    assert done.exit_code == 0
    assert "not sure (" in done.stdout
    assert all(word in done.stdout for word in ("genre", "moods", "positive", "energetic", songs[0].name))


def test_a_bad_file_is_named_and_skipped(here, songs, tmp_path):
    bad = tmp_path / "bad.ogg"
    bad.write_bytes(b"no audio")
    done = run(songs[0], bad)
    assert done.exit_code == 0
    assert f"skipped {bad}: " in done.stderr
    alone = invoke(["classify", "predict", str(bad), "--json"], standalone_mode=False)
    assert alone.return_value == 1
    assert json.loads(alone.stdout)["failures"][0]["file"] == str(bad)
    with pytest.raises(UnreadableAudio, match="no such file or folder"):
        raise run(tmp_path / "none.ogg").exception
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty").stdout == "no audio files found\n"


def test_the_encoder_is_that_of_the_heads(here, songs, builtin, heads, tmp_path):
    torch.manual_seed(1)
    save_checkpoint(tmp_path / "other.safetensors", Model(TINY), {})
    mismatch = run(songs[0], "--checkpoint", tmp_path / "other.safetensors").exception
    assert isinstance(mismatch, EncoderMismatch)
    assert "--heads" in str(mismatch)
    stamp = Embedder.load(tmp_path / "other.safetensors").stamp
    heads.encoder = {"digest": stamp.digest, "name": stamp.name, "dim": stamp.dim}
    heads.save(tmp_path / "builtin.heads.safetensors")
    assert facts(songs[0], "--heads", tmp_path / "builtin.heads.safetensors")["encoder"] == stamp.name
    assert isinstance(run(songs[0], "--heads", tmp_path / "none").exception, CheckpointError)


def test_a_file_may_be_called_like_a_subcommand(here, songs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train").write_bytes(songs[0].read_bytes())
    assert facts("train")["tracks"][0]["file"] == str(tmp_path / "train")
    assert invoke(["classify", "train"]).exit_code == 2  # its own wrong usage: no --labels


def test_it_is_a_group_and_takes_what_it_took_as_a_command(here, songs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train").write_bytes(songs[0].read_bytes())
    text = invoke(["classify", "--help"]).output
    assert "classify [OPTIONS] COMMAND" in text
    assert all(name in text for name in ("predict", "train"))
    assert invoke(["classify", "predict", "--help"]).output.startswith(
        "Usage: group classify predict [OPTIONS] [PATH]…"
    )
    assert invoke(["classify", "train", "--help"]).output.startswith("Usage: group classify train [OPTIONS]")
    for before in ([str(songs[0])], ["--top", "1", "./train"], ["./train", "--json"]):
        old, new = invoke(["classify", *before]), run(*before)
        assert (old.exit_code, old.stdout) == (0, new.stdout)
        assert old.stderr.replace(new.stderr, "") == "mirclr: group classify is now called group classify predict\n"
    for nothing in ([], ["--nonsense"]):  # the library in the data directory, which there is not; wrong usage
        old, new = invoke(["classify", *nothing]), run(*nothing)
        assert (old.exit_code, str(old.exception)) == (new.exit_code, str(new.exception))


@pytest.mark.parametrize(
    "wrong",
    [
        ["a.ogg", "--library", "l.db"],
        ["--segments", "a.csv"],
        ["--plot", "a.png"],
        ["--checkpoint", "e"],
        ["a.ogg", "--hop", "2"],
        ["--nonsense"],
    ],
)
def test_wrong_usage(wrong):
    assert run(*wrong).exit_code == 2


# a library


def test_a_library_is_told_of_and_keeps_it(embedder, heads, tmp_path):
    library = a_library(tmp_path / "l.db", embedder.stamp)
    said = facts("--library", library, "--top", 1)
    assert sum(said["counts"]["genre"].values()) == sum(said["counts"]["mood"].values()) == 5
    assert [t["file"] for t in said["tracks"]] == [f"/m/{i}.ogg" for i in range(5)]
    assert all(len(t["genres"]) == len(t["moods"]) == 1 for t in said["tracks"])
    with LibraryStore.open(library) as opened:
        assert opened.tasks() == dict.fromkeys(("affect", "genre", "mood"), heads.digest)
        affect = opened.probabilities("affect")
    assert [affect[1][name] for name in AFFECT] == pytest.approx([said["tracks"][0][n] for n in AFFECT], abs=1e-4)
    assert said["mean"]["valence"] == pytest.approx(np.mean([a["valence"] for a in affect.values()]), abs=1e-4)
    shown = run("--library", library).stdout
    assert "5 songs have guesses now" in shown
    assert "On average: positive " in shown
    # what others make of it
    listed = json.loads(invoke(["library", "list", "--library", str(library), "--json"]).stdout)
    assert listed[0]["probabilities"]["affect"] == affect[1]
    assert set(listed[0]["probabilities"]["genre"]) == set(GENRES)
    table = tmp_path / "t.csv"
    invoke(["export", "--library", str(library), "--csv", str(table)])
    with table.open(encoding="utf-8", newline="") as f:
        first = next(csv.DictReader(f))
    assert float(first["predicted_valence"]) == pytest.approx(affect[1]["valence"])
    assert first["predicted_genre"] in said["tracks"][0]["genres"]
    assert "predicted_affect" not in first


def test_a_library_s_own_heads_come_first(embedder, heads, tmp_path):
    library = a_library(tmp_path / "l.db", embedder.stamp)
    del heads.tasks["affect"], heads.tasks["mood"]
    heads.save(tmp_path / "l.db.heads.safetensors")
    found = facts("--library", library)
    assert found["heads"] == str(tmp_path / "l.db.heads.safetensors")
    assert found["counts"].keys() == {"genre", "mood"}  # what they do not predict, the built-in ones do
    other = a_library(
        tmp_path / "o.db", Embedder.with_random_weights(TINY.model_dump(mode="json"), excerpts=3, seed=1).stamp
    )
    assert isinstance(run("--library", other).exception, EncoderMismatch)


# over time


@pytest.mark.parametrize(("size", "step"), [(100, 100), (100, 50), (100, 150), (100, 30)])
@pytest.mark.parametrize("length", [1, 30, 99, 100, 149, 150, 151, 365, 1000])
def test_windows_are_cut_the_same_however_the_stream_comes(size, step, length):
    whole = np.arange(length, dtype=np.float32)
    full = list(range(0, length - size + 1, step))
    for block in (7, 64, 2000):
        found = list(windows((whole[i : i + block] for i in range(0, length, block)), size=size, step=step))
        for start, waveform in found:
            np.testing.assert_array_equal(waveform, whole[start : start + size])
        starts = [start for start, _ in found]
        assert starts[: len(full)] == full
        assert starts == list(range(0, step * len(starts), step))
        heard = found[-1][0] + len(found[-1][1])
        assert length - heard < max(0, step - size) + min(size, step) / 2
        assert len(starts) - len(full) in (0, 1)


def test_segments_are_what_the_windows_embed_to(here, songs, embedder, heads):
    found = predict_segments(songs[0], embedder, heads, hop=0.5)
    whole = np.concatenate(list(decode_blocks(songs[0], rate=RATE)))
    np.testing.assert_allclose(found.starts, np.arange(len(found.starts)) * 0.5)
    assert found.ends[-1] == pytest.approx(len(whole) / RATE, abs=0.25)
    want = heads.predict_proba(embedder.embed_track(whole[None, 8000 : 8000 + RATE])[None])
    for task, table in found.probabilities.items():
        assert table.shape == (len(found.starts), len(heads.tasks[task].labels))
        np.testing.assert_allclose(table[1], want[task][0], atol=1e-5)


def test_nothing_is_told_of_silence(here, embedder, heads, tmp_path):
    noise = np.random.default_rng(0).normal(size=RATE).astype(np.float32) * 0.1
    soundfile.write(tmp_path / "a.wav", np.concatenate([noise, np.zeros(RATE), noise[: RATE // 2]]), RATE)
    found = predict_segments(tmp_path / "a.wav", embedder, heads)
    assert np.isnan(found.probabilities["genre"]).all(axis=1).tolist() == [False, True, False]
    assert found.ends.tolist() == [1.0, 2.0, 2.5]


def test_segments_and_pictures_are_written(here, songs, tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "a").mkdir()
    again = tmp_path / "a" / songs[0].name
    again.write_bytes(songs[0].read_bytes())
    table, pictures = tmp_path / "out" / "s.csv", tmp_path / "pictures"
    done = run(songs[0], again, "--segments", table, "--plot", pictures, "--hop", 2)
    assert done.exit_code == 0, done.output
    with table.open(encoding="utf-8", newline="") as f:
        rows = list(csv.reader(f))
    assert rows[0] == [
        "file",
        "start_s",
        "end_s",
        *(f"genre:{g}" for g in GENRES),
        *(f"mood:{m}" for m in MOODS),
        *AFFECT,
    ]
    assert [(r[0], r[1], r[2]) for r in rows[1:3]] == [
        (str(songs[0]), "0.000", "1.000"),
        (str(songs[0]), "2.000", "3.000"),
    ]
    assert sum(map(float, rows[1][3:7])) == pytest.approx(1, abs=1e-3)
    assert sorted(p.name for p in pictures.iterdir()) == [f"{songs[0].name} (2).png", f"{songs[0].name}.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in pictures.iterdir())
    assert f"wrote {table}" in done.stderr
    assert done.stdout.count(songs[0].name) == 2  # two files of one name are two rows
    one = run(songs[0], "--plot", tmp_path / "one.png")
    assert one.exit_code == 0
    assert (tmp_path / "one.png").is_file()
    assert run(*songs[:2], "--plot", tmp_path / "one.png").exit_code == 2


def test_a_picture_needs_matplotlib(songs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    error = run(songs[0], "--plot", tmp_path / "a.png").exception
    assert isinstance(error, MissingExtra)
    assert "mirclr[plot]" in str(error)


# a process of its own


def test_a_stream_comes_whole_or_ends_in_a_crash():
    assert list(streamed(range, 3)) == [0, 1, 2]
    assert list(streamed(os._exit, 3)) == [CRASHED]


def test_a_decoder_that_crashes_takes_its_file_alone(embedder, heads, tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "streamed", lambda *_: iter([CRASHED]))
    with pytest.raises(UnreadableAudio, match="crashed"):
        predict_segments(tmp_path / "a.wav", embedder, heads)
    monkeypatch.setattr(segments, "streamed", lambda work, *job: work(*job))
    with pytest.raises(UnreadableAudio, match="cannot be read"):
        predict_segments(tmp_path / "a.wav", embedder, heads)
