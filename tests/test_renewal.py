"""``mirclr library renew``: another encoder for a library."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mirclr.errors import LibraryError
from mirclr.index import open_index
from mirclr.ingest.embedding import embed_files
from mirclr.ingest.finding import find_audio
from mirclr.library import Description, LibraryStore, Listen
from mirclr.models.checkpoint import load_checkpoint, save_checkpoint
from mirclr.models.embedder import Embedder
from mirclr.models.encoder import Model
from mirclr.tags import Tags
from tests.commands import invoke
from tests.conftest import TINY, tone

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def other(tmp_path):
    """Another encoder."""
    torch.manual_seed(5)
    save_checkpoint(tmp_path / "other.safetensors", Model(TINY), {})
    return tmp_path / "other.safetensors"


@pytest.fixture
def kept(library, embedder, music):
    """A library with everything that a person keeps; of a.ogg the tags are not those of the file."""
    files, _ = find_audio([music], library)
    list(embed_files(library, files, embedder, known_tags={music / "a.ogg": Tags(title="By hand", artist="Someone")}))
    library.add_blocks(["artist:X"])
    library.save_playlist("mine", {})
    library.store_listens("me", [Listen("A", "T", plays=3)], replace=True)
    library.store_descriptions({1: Description(100.0, "Am", 0.5, -9.0), 3: Description(None, None, 0.0, None)})
    library.store_near_duplicates({(1, 3): 0.9, (2, 4): 0.1})
    library.store_probabilities("genre", {1: {"rock": 0.9}}, source="old heads")
    return library


def renew(library, checkpoint, *options):
    return invoke(["library", "renew", "--library", str(library.path), "--checkpoint", str(checkpoint), *options])


def by_path(library, values):
    paths = {t.id: t.path for t in library.tracks()}
    return {tuple(paths[i] for i in (key if isinstance(key, tuple) else (key,))): v for key, v in values.items()}


def what_is_kept(library):
    return {
        "blocks": library.blocks(),
        "playlists": library.playlists(),
        "listens": library.listens("me"),
        "descriptions": by_path(library, library.descriptions()),
        "duplicates": by_path(library, library.near_duplicates(at_least=0)),
        "tags": {t.path: (t.title, t.artist) for t in library.tracks()},
        "uuid": library.uuid,
    }


def test_vectors_are_new_and_what_a_person_keeps_stays(kept, other, music):
    before = what_is_kept(kept)
    old = open_index(kept)
    said = json.loads(renew(kept, other, "--json").stdout)
    assert (said["embedded"], said["gone"]) == (4, [])
    with LibraryStore.open(kept.path) as library:
        assert library.stamp.digest == load_checkpoint(other).digest
        assert library.verify() == []
        embedder = Embedder.load(other)
        for track in library.tracks():
            again = list(embed_files(library, [(str(music), track.file)], embedder))
            assert [o.did for o in again] == ["unchanged"]
        assert what_is_kept(library) == before
        assert library.tasks() == {}
        index = open_index(library)
        assert not np.allclose(index.vectors(index.ids), old.vectors(old.ids))
        np.testing.assert_array_equal(index.vectors(index.ids), library.compared()[1])
    assert sorted(p.name for p in kept.path.parent.iterdir() if "renewed" in p.name) == []
    assert kept.tracks()[0].title == "By hand"  # others that have it open see it too


def test_a_run_that_was_stopped_goes_on(kept, other, monkeypatch):
    from mirclr.ingest import renewal

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(renewal, "replace_vectors", stop)
        assert renew(kept, other).exit_code != 0
    assert kept.stamp.digest != load_checkpoint(other).digest
    assert len(kept.tracks()) == 4
    said = json.loads(renew(kept, other, "--json").stdout)
    assert (said["embedded"], said["unchanged"]) == (0, 4)
    assert kept.stamp.digest == load_checkpoint(other).digest


def test_what_was_begun_with_a_third_encoder_is_begun_again(kept, other, tmp_path):
    from mirclr.library.renewal import open_renewed

    torch.manual_seed(9)
    save_checkpoint(tmp_path / "third.safetensors", Model(TINY), {})
    with open_renewed(kept.path, Embedder.load(tmp_path / "third.safetensors").stamp) as begun:
        begun.bind(Embedder.load(tmp_path / "third.safetensors").stamp)
    assert renew(kept, other).exit_code == 0
    assert kept.stamp.digest == load_checkpoint(other).digest


def test_one_that_was_killed_as_it_was_made_is_made_again(kept, other):
    kept.path.with_name(kept.path.name + ".renewed").touch()
    assert renew(kept, other).exit_code == 0
    assert kept.stamp.digest == load_checkpoint(other).digest


def test_a_file_that_is_gone_is_left_out_and_a_folder_that_is_gone_stops_it(kept, other, music):
    (music / "b.ogg").unlink()
    said = renew(kept, other)
    assert "b.ogg: it is gone" in said.stderr
    assert sorted(t.path for t in kept.tracks()) == ["a.ogg", "sub/c.ogg", "sub/d.ogg"]
    music.rename(music.with_name("elsewhere"))
    digest = kept.stamp.digest
    assert isinstance(renew(kept, "builtin").exception, LibraryError)
    assert kept.stamp.digest == digest


def test_what_cannot_be_heard_any_more_is_named(kept, other, music):
    (music / "b.ogg").write_bytes(b"no music")
    said = json.loads(renew(kept, other, "--json").stdout)
    assert (said["renewed"], said["embedded"], said["failed"]) == (True, 3, 1)
    assert [Path(failure["file"]).name for failure in said["failures"]] == ["b.ogg"]
    assert "b.ogg" in said["failures"][0]["reason"]
    assert len(kept.tracks()) == 3


def test_of_the_same_encoder_nothing_is_done(kept, checkpoint):
    generation = kept.generation
    said = renew(kept, checkpoint, "--json")
    assert "already" in said.stderr
    assert json.loads(said.stdout) == {"library": str(kept.path), "renewed": False}
    assert kept.generation == generation


def test_again_embeds_all_once_more(kept, checkpoint):
    before, vectors = kept.generation, kept.vectors()[1]
    said = json.loads(renew(kept, checkpoint, "--again", "--json").stdout)
    assert (said["renewed"], said["embedded"] + said["copied"]) == (True, len(kept.tracks()))
    assert kept.generation > before
    assert np.array_equal(kept.vectors()[1], vectors)
    assert kept.blocks() == ["artist:X"]


def test_ids_stay(kept, other):
    before = {t.path: t.id for t in kept.tracks()}
    assert renew(kept, other).exit_code == 0
    assert {t.path: t.id for t in kept.tracks()} == before


def meanwhile(monkeypatch, change):
    """Another process writes at the last moment, just before all is put into the library."""
    from mirclr.ingest import renewal

    real = renewal.replace_vectors

    def replace(old, new, held):
        with LibraryStore.open(old.path) as another:
            change(another)
        return real(old, new, held)

    monkeypatch.setattr(renewal, "replace_vectors", replace)


def test_what_others_write_meanwhile_stays(kept, other, embedder, music, monkeypatch):
    tone(music / "new.wav", 440)

    def change(library):
        library.add_blocks(["artist:Y"])
        library.remove_blocks(["artist:X"])
        library.save_playlist("late", {"n": 3})
        library.store_listens("me", [Listen("B", "U", plays=1)], replace=False)
        library.store_listens("you", [Listen("C", "V")], replace=True)
        library.store_descriptions({4: Description(90.0, "Eb", 0.1, -12.0)})
        library.remove([2])
        (music / "a.ogg").rename(music / "moved.ogg")
        files, _ = find_audio([music / "new.wav", music / "moved.ogg"], library)
        assert sorted(o.did for o in embed_files(library, files, embedder)) == ["embedded", "moved"]

    meanwhile(monkeypatch, change)
    said = json.loads(renew(kept, other, "--json").stdout)
    assert said["came_meanwhile"] == [str(music / "new.wav")]
    assert kept.stamp.digest == load_checkpoint(other).digest
    assert kept.verify() == []
    assert (kept.blocks(), sorted(kept.playlists())) == (["artist:Y"], ["late", "mine"])
    assert (len(kept.listens("me")), len(kept.listens("you"))) == (2, 1)
    assert set(kept.descriptions()) == {1, 3, 4}
    assert {t.id: t.path for t in kept.tracks()} == {1: "moved.ogg", 3: "sub/c.ogg", 4: "sub/d.ogg"}
    assert [f.path for f in kept.failures()] == ["new.wav"]
    # what came is not lost: the next run embeds it
    files, _ = find_audio([music / "new.wav"], kept)
    assert [o.did for o in embed_files(kept, files, Embedder.load(other))] == ["embedded"]
    with LibraryStore.open(kept.path.with_name("fresh.db"), create=True) as fresh:
        files, _ = find_audio([music], fresh)
        list(embed_files(fresh, files, Embedder.load(other)))
        for track in kept.tracks():
            mine, its = (x.vector(x.find_file(track.file).id) for x in (kept, fresh))
            np.testing.assert_array_equal(mine, its)


def test_what_comes_while_files_are_decoded_is_embedded_too(kept, other, embedder, music, songs, monkeypatch):
    from mirclr.ingest import renewal

    real, looked = renewal.take_inventory, []

    def take_inventory(library):
        held = real(library)
        looked.append(len(held.states))
        if len(looked) == 1:  # while the first are decoded
            (music / "new.ogg").write_bytes(songs[0].read_bytes() + b"\0")
            with LibraryStore.open(library.path) as another:
                list(embed_files(another, find_audio([music / "new.ogg"], another)[0], embedder))
        return held

    monkeypatch.setattr(renewal, "take_inventory", take_inventory)
    said = json.loads(renew(kept, other, "--json").stdout)
    assert (said["copied"] + said["embedded"], said["came_meanwhile"]) == (5, [])
    assert looked == [4, 5, 5]
    assert len(kept.tracks()) == 5
    assert kept.verify() == []


def test_an_encoder_that_fails_leaves_the_library_as_it_was(kept, tmp_path):
    model = Model(TINY)
    with torch.no_grad():
        model.encoder.stem[0].weight.fill_(float("nan"))
    save_checkpoint(tmp_path / "nan.safetensors", model, {})
    before, vectors = what_is_kept(kept), kept.vectors()[1].tobytes()
    said = renew(kept, tmp_path / "nan.safetensors")
    assert isinstance(said.exception, LibraryError)
    assert "as it was" in str(said.exception)
    assert (what_is_kept(kept), kept.vectors()[1].tobytes()) == (before, vectors)


def test_a_file_that_changed_loses_what_was_known_of_its_sound(kept, other, music, songs):
    (music / "a.ogg").write_bytes(songs[3].read_bytes() + b"\0")
    assert renew(kept, other).exit_code == 0
    assert set(kept.descriptions()) == {3}
    assert kept.tracks()[0].title != "By hand"
    embedder = Embedder.load(other)
    files, _ = find_audio([music], kept)
    assert {o.did for o in embed_files(kept, files, embedder)} == {"unchanged"}


def test_what_a_link_leads_to_out_of_the_folder_is_not_read(kept, other, music, tmp_path):
    (tmp_path / "else").mkdir()
    (music / "b.ogg").rename(tmp_path / "else" / "b.ogg")
    try:
        (music / "b.ogg").symlink_to(tmp_path / "else" / "b.ogg")
    except OSError:
        pytest.skip("links cannot be made here")
    said = json.loads(renew(kept, other, "--json").stdout)
    assert said["embedded"] == 3
    assert [Path(f["file"]).name for f in said["failures"]] == ["b.ogg"]
    assert "leads out of" in said["failures"][0]["reason"]
    assert {t.path for t in kept.tracks()}.isdisjoint({"b.ogg"})
