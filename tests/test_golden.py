"""What mirclr 0.1 wrote is read, and is of the encoders that it was of; golden/make_of_0_1.py made it."""

import json
import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from mirclr import processes
from mirclr.classify import Heads
from mirclr.config import Distillation
from mirclr.data.clips import ClipCache
from mirclr.data.soft_labels import SoftLabelFolder, SoftLabelHeader, SoftLabels
from mirclr.index import open_index
from mirclr.ingest import seen
from mirclr.ingest.embedding import embed_files
from mirclr.ingest.finding import find_audio
from mirclr.library import LibraryStore
from mirclr.models.checkpoint import encoder_digest, load_checkpoint
from mirclr.models.embedder import Embedder
from mirclr.models.encoder import Model
from mirclr.models.pretrained import builtin_checkpoint, builtin_heads
from mirclr.provenance import digest_json
from mirclr.tags import Tags
from tests.conftest import AUDIO

GOLDEN = Path(__file__).parent / "golden"
MADE = json.loads((GOLDEN / "of_0_1.json").read_text(encoding="utf-8"))
BUILTIN = "1c72b6ecde0372ab257b717afc850202"  # the encoder that mirclr comes with now
# as digests call them, and as they are called now
MEL_OF_0_1 = {
    "n_fft": "n_fft",
    "hop": "hop_length",
    "bands": "n_mels",
    "f_min": "f_min",
    "f_max": "f_max",
    "gain": "gain",
}
TAUGHT_OF_0_1 = {
    **{"labels": "x", "teacher": None, "heads": None, "alpha": 1.0},
    **{"temperature": 0.5, "centre": False, "softmax": False, "by": "tags"},
}
SONGS = {"a.ogg": "gunroar-1.ogg", "b.ogg": "mucade-1.ogg", "sub/c.ogg": "torus-1.ogg", "sub/d.ogg": "torus-2.ogg"}


@pytest.mark.parametrize("name", ["resnet", "sample_cnn"])
def test_an_encoder_has_the_digest_that_it_had_and_makes_the_vectors_that_it_made(name):
    embedder = Embedder.load(GOLDEN / f"{name}_0_1.safetensors", device="cpu")
    assert embedder.stamp.digest == MADE[name]["digest"]
    sine = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
    np.testing.assert_allclose(embedder.embed_track(sine[None]), MADE[name]["vector"], atol=2e-5)
    # the recipe that a library keeps can still be read
    assert Embedder.with_random_weights(embedder.stamp.recipe, excerpts=3).rate == 16000


def test_the_built_in_encoder_has_the_digest_that_it_had():
    assert load_checkpoint(builtin_checkpoint()).digest == BUILTIN
    assert Heads.load(builtin_heads()).encoder["digest"] == BUILTIN


def test_heads_fit_their_encoder_still():
    assert Heads.load(GOLDEN / "heads_0_1.safetensors").are_of(Embedder.load(GOLDEN / "resnet_0_1.safetensors").stamp)


def with_keys(model, **values):
    """The model as if its sections had keys that came later: `values` by name, each with its default."""
    recipe = model.recipe
    for section in ("audio", "mel", "encoder"):
        old = getattr(recipe, section)
        later = type(
            type(old).__name__,
            (type(old),),
            {"__annotations__": dict.fromkeys(values, str), **{key: default for key, (default, _) in values.items()}},
        )
        given = {key: value for key, (_, value) in values.items()}
        recipe = recipe.model_copy(update={section: later(**dict(old) | given)})
    model.recipe = recipe
    return model


@pytest.mark.parametrize("name", ["resnet", "sample_cnn"])
def test_a_key_that_comes_later_counts_only_where_it_is_not_at_its_default(name):
    model = load_checkpoint(GOLDEN / f"{name}_0_1.safetensors").model
    assert "later" in with_keys(model, later=("old", "old")).recipe.mel.model_dump()
    assert encoder_digest(model) == MADE[name]["digest"]
    assert encoder_digest(with_keys(model, later=("old", "new"))) != MADE[name]["digest"]


def test_what_is_cached_and_taught_is_kept_when_a_key_comes_later(tmp_path):
    """The folder of a cache, and what training from soft labels is resumed by, as they were of 0.1."""
    model = load_checkpoint(GOLDEN / "resnet_0_1.safetensors").model
    mel = {name: getattr(model.recipe.mel, now) for name, now in MEL_OF_0_1.items()}
    of_0_1 = digest_json({"rate": 16000, "domain": "mel", "version": 1, "mel": mel})[:16]
    assert ClipCache(model.recipe, "mel", tmp_path).folder.name == of_0_1
    assert ClipCache(with_keys(model, later=("old", "old")).recipe, "mel", tmp_path).folder.name == of_0_1
    assert ClipCache(with_keys(model, later=("old", "new")).recipe, "mel", tmp_path).folder.name != of_0_1

    about = SoftLabelHeader("a teacher", "1234", ("rock",), 0, 0, 3.0, 1.5)
    folder = SoftLabelFolder.create(tmp_path / "labels", about)
    facts = ["a teacher", "1234", ["rock"], 0, 0, 3.0, 1.5]
    settings = Distillation(labels="x", temperature=0.5)
    expected = digest_json([*facts, TAUGHT_OF_0_1])
    later = type("Distillation", (Distillation,), {"__annotations__": {"later": str}, "later": "old"})
    assert SoftLabels(folder, [], settings).digest == expected
    assert SoftLabels(folder, [], later(**dict(settings))).digest == expected
    assert SoftLabels(folder, [], later(**dict(settings), later="new")).digest != expected


def test_every_setting_of_the_sections_counts():
    """A setting that is changed makes another encoder, whether the list of settings names it or not."""
    model = load_checkpoint(GOLDEN / "resnet_0_1.safetensors").model
    changes = {
        "audio.sample_rate": 22050,
        "audio.clip_seconds": 2.0,
        "mel.n_fft": 1024,
        "mel.hop_length": 128,
        "mel.f_min": 20.0,
    }
    changes |= {"mel.f_max": 7000.0, "mel.gain": 100.0, "embedding.std_weight": 0.25, "embedding.levelled": True}
    digests = {encoder_digest(model)}
    for key, value in changes.items():
        section, name = key.split(".")
        part = getattr(model.recipe, section).model_copy(update={name: value})
        other = Model(model.recipe.model_copy(update={section: part}))
        other.load_state_dict(model.state_dict())
        digests.add(encoder_digest(other))
    assert len(digests) == 1 + len(changes)


@pytest.fixture
def kept(tmp_path):
    """The library of 0.1, brought to where its files are now."""
    music = (tmp_path / "music").resolve()
    path = Path(shutil.copy(GOLDEN / "library_v3.db", tmp_path / "lib.db"))
    with sqlite3.connect(path) as db:
        for table in ("track", "failure"):
            db.execute(f"UPDATE {table} SET root = ?", (os.fsencode(music),))
        times = {os.fsdecode(name): time for name, time in db.execute("SELECT path, mtime_ns FROM track")}
    db.close()
    for name, song in SONGS.items():
        (music / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(AUDIO / song, music / name)
        os.utime(music / name, ns=(times[name], times[name]))
    return path, music


class NoDecoding:
    def __init__(self, *_):
        pass

    def submit(self, function, file, *_):
        raise AssertionError(f"{file} is decoded")

    def close(self):
        pass


def bring_up_to_date(library, music):
    files, _ = find_audio([music], library)
    embedder = Embedder.load(builtin_checkpoint(), device="cpu")
    embedder.stamp = library.stamp  # nothing is embedded: it stands for the encoder of then
    return {o.file.relative_to(music).as_posix(): o.did for o in embed_files(library, files, embedder, workers=1)}


def test_a_library_of_schema_3_holds_what_it_held(kept):
    path, _ = kept
    with LibraryStore.open(path) as library:
        assert library.verify() == []
        assert library.stamp.digest == MADE["builtin"]["digest"]
        assert library.info()["tracks"] == 4
        assert [t.path for t in library.tracks()] == list(SONGS)
        assert library.descriptions()[1].tempo_bpm == 100.0
        assert library.near_duplicates(at_least=0) == {(1, 3): 0.9, (2, 4): 0.1}
        assert library.probabilities("genre") == {1: {"rock": 0.75, "dub": 0.25}}
        assert (library.blocks(), list(library.playlists())) == (["artist:X"], ["mine"])
        assert [(x.artist, x.plays, x.taste) for x in library.listens("me")] == [("A", 3, 1)]
        assert set(library.excerpt_embeddings([1, 2, 3, 4])) == {1, 2, 3, 4}
        assert [f.path for f in library.failures()] == ["bad.ogg"]
        index = open_index(library)
        np.testing.assert_array_equal(index.vectors(index.ids), library.compared()[1])
    db = sqlite3.connect(GOLDEN / "library_v3.db")
    before = dict(db.execute("SELECT track_id, components FROM vector"))
    db.close()
    with LibraryStore.open(path) as library:
        for track_id, blob in before.items():
            assert library.vector(track_id).astype("<f4").tobytes() == blob


def test_a_library_of_schema_3_is_not_decoded_again(kept, monkeypatch):
    path, music = kept
    monkeypatch.setattr(processes, "Pool", NoDecoding)
    with LibraryStore.open(path) as library:
        assert bring_up_to_date(library, music) == dict.fromkeys(SONGS, "unchanged")
        # the folder is renamed
        moved = music.rename(music.with_name("elsewhere"))
        assert bring_up_to_date(library, moved) == dict.fromkeys(SONGS, "moved")
        assert [t.id for t in library.tracks()] == [1, 2, 3, 4]


def test_tags_of_unchanged_files_are_read_anew_once_where_less_was_read(kept, monkeypatch):
    path, music = kept
    monkeypatch.setattr(processes, "Pool", NoDecoding)
    said = Tags(title="T", artist="A; B", genre="Rock; Folk", year=1999, compilation=True)
    monkeypatch.setattr(seen, "read_tags", lambda file: said if file.name != "d.ogg" else Tags(duration_s=1.0))
    with LibraryStore.open(path) as library:
        before = {t.id: t for t in library.tracks()}
        assert bring_up_to_date(library, music) == dict.fromkeys(SONGS, "unchanged")
        for track in library.tracks():
            if track.file.name == "d.ogg":  # what says nothing takes nothing away
                assert track == before[track.id]
            else:
                assert (track.genre, track.compilation, track.artist) == ("Rock; Folk", True, "A; B")
        assert len(library.find("A; B")) == 3
        monkeypatch.setattr(seen, "read_tags", lambda file: pytest.fail("read again"))
        assert bring_up_to_date(library, music) == dict.fromkeys(SONGS, "unchanged")
