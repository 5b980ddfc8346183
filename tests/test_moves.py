"""Folders that a person moves: what names them in the library follows."""

import json
import os
import shutil
from pathlib import Path

import pytest

from mirclr.ingest.embedding import embed_files
from mirclr.ingest.finding import find_audio
from mirclr.ingest.sync import apply_changes, preview_changes, sync_scope
from mirclr.library import LibraryStore, Listen
from tests.commands import invoke
from tests.conftest import tone

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def home_library(library, embedder, music):
    """A library of a folder, with everything that names places in it."""
    (music / "sub" / "broken.mp3").write_text("not audio at all\n" * 100)
    (music / "talk").mkdir()
    tone(music / "talk" / "lesson.wav", 200)
    tone(music / "sub" / "jingle.wav", 210)
    library.add_exclusions(str(music), ["talk", "./sub/jingle.wav"])
    list(embed_files(library, *found(library, music), embedder))
    library.add_blocks([f"path:{music / 'sub'}", f"track:{music / 'a.ogg'}", "path:sub", "artist:X"])
    query = {"seeds": [str(music / "b.ogg"), "Moby"], "exclude": [f"path:{music}/sub"], "n": 5}
    library.save_playlist("evening", {"query": query, "output": str(music / "evening.m3u8")})
    library.store_listens("me", [Listen("A", "T", file=str(music / "sub" / "c.ogg"), plays=3)], replace=True)
    return library


def found(library, *folders):
    return (find_audio(list(folders), library)[0],)


def names(library):
    """All that names places beside tracks."""
    saved = library.playlists()["evening"]
    return {
        "blocks": sorted(library.blocks()),
        "exclusions": library.exclusions(),
        "failures": [str(f.file) for f in library.failures()],
        "seeds": saved["query"]["seeds"],
        "exclude": saved["query"]["exclude"],
        "output": saved["output"],
        "played": [x.file for x in library.listens("me")],
    }


def changes_of(library, embedder, *folders, foreseen=False):
    scope = sync_scope(library, folders)
    if foreseen:
        return list(preview_changes(library, scope, list(scope)))
    return list(apply_changes(library, scope, list(scope), embedder))


def done(changes):
    return sorted((c.did, c.file.name) for c in changes if c.did != "unchanged")


def renamed(value, old, new):
    return json.loads(json.dumps(value).replace(str(old), str(new)))


def test_what_names_a_folder_follows_it_and_nothing_is_doubled(home_library, embedder, music, tmp_path):
    before, ids = names(home_library), {t.path: t.id for t in home_library.tracks()}
    assert set(ids) == {"a.ogg", "b.ogg", "sub/c.ogg", "sub/d.ogg"}
    new = tmp_path / "disk" / "Songs"
    new.parent.mkdir()
    music.rename(new)
    seen = changes_of(home_library, embedder, new, foreseen=True)
    assert names(home_library) == before  # nothing was done
    changes = changes_of(home_library, embedder, new)
    assert done(seen) == done(changes)
    assert [(c.old, c.file) for c in changes if c.did == "followed"] == [(music, new)]
    assert [c.did for c in changes].count("moved") == 4
    assert [(c.file.name, c.new) for c in changes if c.did == "failed"] == [("broken.mp3", False)]
    assert names(home_library) == renamed(before, music, new)
    assert {t.path: t.id for t in home_library.tracks()} == ids
    assert list(home_library.roots()) == [str(new)]
    assert home_library.failures()[0].root == str(new)
    assert done(changes_of(home_library, embedder)) == [("failed", "broken.mp3")]


def test_a_folder_that_moves_into_another_one_or_is_renamed_there(home_library, embedder, music, tmp_path):
    before = names(home_library)
    archive = tmp_path / "archive"
    archive.mkdir()
    tone(archive / "other.wav", 330)
    music.rename(archive / "Old music")
    changes_of(home_library, embedder, archive)
    new = archive / "Old music"
    now = names(home_library)
    patterns = {str(archive): ["./Old music/**/talk", "./Old music/sub/jingle.wav"]}
    assert now == renamed(before, music, new) | {"exclusions": patterns}
    assert {Path(t.path).name for t in home_library.tracks()} == {"a.ogg", "b.ogg", "c.ogg", "d.ogg", "other.wav"}
    (new / "sub").rename(new / "Live")
    changes = changes_of(home_library, embedder)
    assert [(c.old, c.file) for c in changes if c.did == "followed"] == [(new / "sub", new / "Live")]
    again = names(home_library)
    assert again["blocks"] == sorted(["artist:X", f"path:{new / 'Live'}", "path:sub", f"track:{new / 'a.ogg'}"])
    assert again["exclusions"] == {str(archive): ["./Old music/**/talk", "./Old music/Live/jingle.wav"]}
    assert again["failures"] == [str(new / "Live" / "broken.mp3")]
    assert again["played"] == [str(new / "Live" / "c.ogg")]
    assert again["output"] == str(new / "evening.m3u8")


def test_embed_follows_too_and_a_retry_tries_again(home_library, embedder, music, tmp_path):
    before = names(home_library)
    new = tmp_path / "new"
    shutil.move(music, new)
    outcomes = list(embed_files(home_library, *found(home_library, new), embedder, retry=True))
    assert names(home_library) == renamed(before, music, new)
    assert [(o.file.name, o.new) for o in outcomes if o.did == "failed"] == [("broken.mp3", True)]


def test_a_copy_of_a_part_takes_no_rule_of_a_disk_that_is_off(home_library, embedder, music, tmp_path):
    before = names(home_library)
    part = tmp_path / "part"
    part.mkdir()
    shutil.copy2(music / "a.ogg", part)
    music.rename(tmp_path / "off")
    changes = changes_of(home_library, embedder, part)
    assert done(changes) == [("moved", "a.ogg")]
    now = names(home_library)
    assert now.pop("blocks") == sorted(
        ["artist:X", f"path:{music / 'sub'}", "path:sub", f"track:{part / 'a.ogg'}"]
    )  # of the file alone, which moved
    assert now == {name: value for name, value in before.items() if name != "blocks"}


def test_a_folder_in_which_audio_is_left_has_not_moved(home_library, embedder, music, tmp_path):
    before = names(home_library)
    for name in ("c.ogg", "d.ogg"):
        (music / "sub" / name).rename(music / name)
    changes = changes_of(home_library, embedder)
    assert "followed" not in {c.did for c in changes}  # jingle.wav is there
    assert names(home_library) == before | {"played": [str(music / "c.ogg")]}


def test_a_single_file_takes_its_rules_along(home_library, embedder, music):
    (music / "a.ogg").rename(music / "first.ogg")
    (music / "b.ogg").rename(music / "second.ogg")
    changes_of(home_library, embedder)
    now = names(home_library)
    assert f"track:{music / 'first.ogg'}" in now["blocks"]
    assert now["seeds"] == [str(music / "second.ogg"), "Moby"]


def test_a_killed_run_follows_with_the_rest(home_library, embedder, music, tmp_path):
    before = names(home_library)
    new = tmp_path / "new"
    music.rename(new)
    files = found(home_library, new)[0]
    stopped = embed_files(home_library, files[:1], embedder)
    assert next(stopped).did == "moved"
    stopped.close()
    list(embed_files(home_library, files, embedder))
    assert names(home_library) == renamed(before, music, new)


def test_failures_of_a_folder_belong_to_one_that_holds_it(library, embedder, music):
    (music / "sub" / "broken.mp3").write_text("not audio at all\n" * 100)
    list(embed_files(library, *found(library, music / "sub"), embedder))
    outcomes = list(embed_files(library, *found(library, music), embedder))
    assert [(f.root, f.path) for f in library.failures()] == [(str(music), "sub/broken.mp3")]
    assert [o.new for o in outcomes if o.did == "failed"] == [False]


def test_a_moved_folder_is_asked_for_by_name(tmp_path, embedder, music):
    with LibraryStore.open(tmp_path / "my lib.db", create=True) as library:
        list(embed_files(library, *found(library, music), embedder))
    music.rename(tmp_path / "elsewhere")
    result = invoke(["sync", "--dry-run", "--library", tmp_path / "my lib.db"])
    where = f"--library '{tmp_path / 'my lib.db'}'" if os.name == "posix" else "--library"
    assert f"{music} is not there; its 4 songs stay in the library" in result.stderr
    assert f"moved? mirclr sync NEW_FOLDER {where}" in result.stderr
    assert f"gone for good? mirclr library remove {music} {where}" in result.stderr
    result = invoke(["sync", tmp_path / "elsewhere", "--dry-run", "--library", tmp_path / "my lib.db"])
    assert f"{music} is now {tmp_path / 'elsewhere'}" in result.stderr
