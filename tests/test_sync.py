import json
import os
import random
import shutil
import threading
from pathlib import Path

import mutagen
import numpy as np
import pytest

from mirclr.errors import LibraryError, NoMatch
from mirclr.ingest.embedding import embed_files
from mirclr.ingest.sync import apply_changes, preview_changes, sync_scope
from mirclr.library import LibraryStore
from tests.commands import main
from tests.conftest import tone

pytestmark = pytest.mark.usefixtures("in_this_process")


def synced(library, embedder, *folders, **options):
    """Sync; what was done to each file, by its name, without what did not change."""
    scope = sync_scope(library, folders)
    changes = apply_changes(library, scope, list(scope), embedder, **options)
    return {c.file.name: c.did for c in changes if c.did != "unchanged"}


def foreseen(library, *folders, **options):
    scope = sync_scope(library, folders)
    changes = preview_changes(library, scope, list(scope), **options)
    return {c.file.name: c.did for c in changes if c.did != "unchanged"}


def paths_of(library):
    return sorted(t.path for t in library.tracks())


def vectors_of(library):
    ids, matrix = library.vectors()
    return {t.path: row.tobytes() for t, row in zip(library.tracks(ids.tolist()), matrix, strict=True)}


# what it does


def test_new_moved_retagged_changed_and_removed_files(library, embedder, music):
    assert set(synced(library, embedder, music).values()) == {"embedded"}
    assert synced(library, embedder) == {}
    ids = {t.path: t.id for t in library.tracks()}
    before = vectors_of(library)
    (music / "a.ogg").rename(music / "sub" / "moved.ogg")
    tags = mutagen.File(music / "b.ogg", easy=True)
    tags["title"] = "New"
    tags.save()
    (music / "sub" / "c.ogg").unlink()
    tone(music / "new.wav", 440)
    shutil.copy(music / "sub" / "d.ogg", music / "copy.ogg")
    told = {"moved.ogg": "moved", "new.wav": "embedded", "copy.ogg": "copied", "c.ogg": "removed"}
    assert foreseen(library) == told | {"b.ogg": "changed"}
    assert vectors_of(library) == before  # nothing was done
    assert synced(library, embedder) == told | {"b.ogg": "retagged"}
    assert paths_of(library) == ["b.ogg", "copy.ogg", "new.wav", "sub/d.ogg", "sub/moved.ogg"]
    assert library.find_file(music / "sub" / "moved.ogg").id == ids["a.ogg"]
    assert library.find_file(music / "b.ogg").title == "New"
    assert library.verify() == []
    assert synced(library, embedder) == foreseen(library) == {}


def test_a_file_touched_only_is_foreseen_as_unchanged(library, embedder, music):
    synced(library, embedder, music)
    os.utime(music / "a.ogg", ns=(1, 1))
    assert foreseen(library) == synced(library, embedder) == {}


def test_two_files_that_were_one_are_foreseen_as_one_moved_and_one_copied(library, embedder, music):
    synced(library, embedder, music)
    shutil.copy(music / "a.ogg", music / "x.ogg")
    (music / "a.ogg").rename(music / "y.ogg")
    expected = {"x.ogg": "moved", "y.ogg": "copied"}
    assert foreseen(library) == expected
    assert synced(library, embedder) == expected


def test_a_part_of_a_folder_is_synced_alone(library, embedder, music):
    synced(library, embedder, music)
    (music / "a.ogg").unlink()
    (music / "sub" / "c.ogg").unlink()
    tone(music / "sub" / "new.wav", 300)
    assert synced(library, embedder, music / "sub") == {"new.wav": "embedded", "c.ogg": "removed"}
    assert paths_of(library) == ["a.ogg", "b.ogg", "sub/d.ogg", "sub/new.wav"]
    assert list(library.roots()) == [str(music)]


def test_a_folder_that_holds_one_of_the_library_takes_its_tracks_over(library, embedder, music):
    synced(library, embedder, music / "sub")
    told = synced(library, embedder, music)
    assert told == {"a.ogg": "embedded", "b.ogg": "embedded", "c.ogg": "moved", "d.ogg": "moved"}
    assert list(library.roots()) == [str(music)]


def test_failures_are_kept_and_forgotten_when_their_files_go(library, embedder, music):
    (music / "text.mp3").write_text("not audio at all\n" * 100)
    (music / "empty.ogg").touch()
    (music / "out.ogg").symlink_to(music.parent / "nowhere.ogg")
    bad = {"text.mp3", "empty.ogg", "out.ogg"}
    told = synced(library, embedder, music)
    assert {name for name, did in told.items() if did == "failed"} == bad
    assert {Path(f.path).name for f in library.failures()} == bad
    scope = sync_scope(library)
    again = [c for c in apply_changes(library, scope, list(scope), embedder) if c.did == "failed"]
    assert {c.file.name for c in again} == bad
    assert not any(c.new for c in again)
    for name in bad:
        (music / name).unlink()
    assert foreseen(library) == synced(library, embedder) == dict.fromkeys(bad, "forgotten")
    assert library.failures() == []


def test_a_damaged_file_keeps_its_track(library, embedder, music):
    synced(library, embedder, music)
    (music / "a.ogg").write_text("damaged")
    assert synced(library, embedder) == {"a.ogg": "failed"}
    assert library.find_file(music / "a.ogg")


def test_a_file_that_goes_in_the_middle_stops_no_other(library, embedder, music, monkeypatch):
    from mirclr.ingest import seen

    real = seen.file_digest

    def vanishing(file):
        if file.name == "b.ogg":
            file.unlink(missing_ok=True)
        return real(file)

    monkeypatch.setattr(seen, "file_digest", vanishing)
    told = synced(library, embedder, music)
    # it failed, and no failure of the file is kept, as it is gone
    assert told == {"a.ogg": "embedded", "b.ogg": "failed", "c.ogg": "embedded", "d.ogg": "embedded"}
    assert paths_of(library) == ["a.ogg", "sub/c.ogg", "sub/d.ogg"]
    assert library.failures() == []


# what it does not do


@pytest.mark.parametrize("how", ["missing", "empty", "a file"])
def test_the_tracks_of_a_missing_folder_are_kept(library, embedder, music, tmp_path, how):
    other = tmp_path.resolve() / "other"
    tone(other / "x.wav", 500)
    tone(other / "y.wav", 600)
    (other / "bad.mp3").write_text("no")
    synced(library, embedder, music, other)
    shutil.rmtree(other)
    if how == "empty":
        other.mkdir()
    elif how == "a file":
        other.touch()
    (music / "a.ogg").unlink()
    if how == "a file":
        with pytest.raises(LibraryError, match="no such folder"):
            sync_scope(library)
        return
    expected = {"other": "kept", "a.ogg": "removed"}
    assert foreseen(library, yes=True) == expected
    assert synced(library, embedder, yes=True) == expected
    assert set(paths_of(library)) >= {"x.wav", "y.wav"}
    assert len(library.failures()) == 1
    assert synced(library, embedder, other) == {"other": "kept"}


def test_a_missing_folder_inside_one_that_is_synced_keeps_its_tracks(library, embedder, music, tmp_path):
    """Two folders of the library, of which the outer one is named: the inner one may be a disk."""
    synced(library, embedder, music)
    disk = music / "disk"
    tone(disk / "x.wav", 500)
    states = library.states(str(music))
    (track,) = (s for s in states.values() if s.path == "a.ogg")
    shutil.move(music / "a.ogg", disk / "a.ogg")
    facts = (disk / "a.ogg").stat()
    tags = library.tracks([track.track_id])[0]
    from mirclr.tags import Tags

    library.move(
        track.track_id, str(disk), "a.ogg", facts.st_size, facts.st_mtime_ns, track.file_digest, Tags(tags.title)
    )
    shutil.rmtree(disk)
    assert synced(library, embedder, music) == {"disk": "kept"}
    assert len(library.tracks()) == 4


def test_most_tracks_of_a_folder_go_only_when_confirmed(library, embedder, tmp_path):
    folder = tmp_path.resolve() / "tones"
    for i in range(14):
        tone(folder / f"{i:02}.wav", 200 + 50 * i)
    synced(library, embedder, folder)
    for i in range(10):
        (folder / f"{i:02}.wav").unlink()
    assert list(foreseen(library).values()) == ["removed"] * 10  # ten is not many
    (folder / "10.wav").unlink()
    tone(folder / "new.wav", 2000)
    expected = {"new.wav": "embedded", "tones": "kept"}
    assert foreseen(library) == expected
    assert synced(library, embedder) == expected
    assert len(library.tracks()) == 15
    assert len(synced(library, embedder, yes=True)) == 11
    assert len(library.tracks()) == 4


def test_many_files_that_moved_need_no_confirmation(library, embedder, tmp_path):
    folder = tmp_path.resolve() / "tones"
    for i in range(12):
        tone(folder / f"{i:02}.wav", 200 + 50 * i)
    synced(library, embedder, folder)
    (folder / "sub").mkdir()
    for i in range(12):
        (folder / f"{i:02}.wav").rename(folder / "sub" / f"{i}.wav")
    assert set(foreseen(library).values()) == {"moved"}
    assert set(synced(library, embedder).values()) == {"moved"}


@pytest.mark.skipif(os.name == "nt", reason="a drive may hold nothing but music")
def test_a_library_that_claims_the_whole_system_is_not_followed_unasked(library, music, embedder):
    library.bind(embedder.stamp)
    list(embed_files(library, [(str(music), music / "a.ogg")], embedder))
    library._connection.execute("UPDATE track SET root = CAST('/' AS BLOB)")
    with pytest.raises(NoMatch, match="holds songs of /, the whole system; name the folder"):
        sync_scope(library)
    assert sync_scope(library, [music]) == {music: "/"}


def test_folders_that_cannot_be_synced(library, tmp_path):
    with pytest.raises(NoMatch, match="holds no songs of any folder"):
        sync_scope(library)
    with pytest.raises(LibraryError, match="nowhere: no such folder"):
        sync_scope(library, [tmp_path / "nowhere"])


# what is guaranteed


def test_adding_and_removing_tracks_changes_no_vector_of_others(library, embedder, music):
    synced(library, embedder, music)
    chance = random.Random(0)
    for step in range(15):
        before = vectors_of(library)
        present = sorted(music.rglob("*.*"))
        if chance.random() < 0.5 and len(present) > 2:
            touched = chance.choice(present)
            touched.unlink()
        else:
            touched = music / chance.choice(("", "sub")) / f"{step}.wav"
            tone(touched, chance.uniform(100, 4000), chance.uniform(0.5, 4))
        assert synced(library, embedder).keys() == {touched.name}
        after = vectors_of(library)
        path = touched.relative_to(music).as_posix()
        assert {p: v for p, v in after.items() if p != path} == {p: v for p, v in before.items() if p != path}
        assert np.isfinite(library.vectors()[1]).all()
    assert library.verify() == []


def test_a_vector_does_not_depend_on_what_was_embedded_with_it(library, embedder, music, tmp_path):
    synced(library, embedder, music)
    with LibraryStore.open(tmp_path / "alone.db", create=True) as alone:
        for file in (music / "sub" / "d.ogg", music / "a.ogg"):
            scope = {music: str(music)}
            assert [c.did for c in apply_changes(alone, scope, [file], embedder)] == ["embedded"]
        together, one_by_one = vectors_of(library), vectors_of(alone)
    assert one_by_one == {path: together[path] for path in one_by_one}


def test_recommending_while_tracks_come_and_go_gives_answers_of_one_state(library, embedder, music, monkeypatch):
    """A reader sees the library before or after each transaction, and never a part of one."""
    from mirclr.index import open_index
    from mirclr.recommend import Query, recommend

    monkeypatch.setattr("mirclr.library.ExcerptEmbeddings.are_of_one_recording", lambda *_: False)  # of random weights
    synced(library, embedder, music)
    small = {"b.ogg", "c.ogg", "d.ogg"}
    for hertz in (300, 700, 1100):
        tone(music / f"{hertz}.wav", hertz)
    synced(library, embedder)
    known = {Path(path).name: np.frombuffer(v, np.float32) for path, v in vectors_of(library).items()}
    added = [t.id for t in library.tracks() if t.path.endswith(".wav")]
    large = small | {"300.wav", "700.wav", "1100.wav"}
    library.remove(added)
    answers, problems, rounds = [], [], 12
    start, over = threading.Barrier(2), threading.Event()

    def ask():
        try:
            with LibraryStore.open(library.path) as other:
                query = Query(seeds=(str(music / "a.ogg"),), n=10, artist_cap=0, artist_gap=0, same_album=True)
                start.wait()
                while True:
                    last = over.is_set()
                    loose = recommend(other, open_index(other), query).recommendations
                    with other.snapshot():
                        strict = recommend(other, open_index(other), query).recommendations
                    answers.append([{r.track.file.name: r.similarity for r in found} for found in (loose, strict)])
                    if last:
                        return
        except BaseException as error:
            problems.append(error)
            start.abort()

    reader = threading.Thread(target=ask)
    reader.start()
    start.wait()
    for _ in range(rounds):
        assert set(synced(library, embedder).values()) == {"embedded"}  # three tracks, one transaction
        library.remove([t.id for t in library.tracks() if t.path.endswith(".wav")])
    synced(library, embedder)
    over.set()
    reader.join()
    assert problems == []
    assert len(answers) > 1
    assert answers[-1][1].keys() == large
    for loose, strict in answers:
        assert small <= loose.keys() <= large
        assert strict.keys() in (small, large)
        for name, similarity in (*loose.items(), *strict.items()):
            assert similarity == pytest.approx(float(known["a.ogg"] @ known[name]), abs=2e-6)


# the command


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return stopped.value.code, out, err


def test_the_command(capsys, music, checkpoint, tmp_path):
    lib = tmp_path / "lib.db"
    assert run(capsys, "embed", music, "--library", lib, "--checkpoint", checkpoint)[0] == 0
    assert run(capsys, "sync", "--library", lib)[:2] == (0, "4 songs ready (nothing new)\n")
    (music / "a.ogg").unlink()
    tone(music / "new.wav", 440)
    code, out, err = run(capsys, "sync", "--library", lib, "--dry-run")
    told = {f"would be added {music / 'new.wav'}", f"would be removed {music / 'a.ogg'}"}
    *lines, last = out.splitlines()
    assert (code, set(lines), last) == (0, told, "would be: 1 new, 1 gone")
    code, out, _ = run(capsys, "sync", "--library", lib, "--json")
    answer = json.loads(out)
    assert (code, answer["embedded"], answer["removed"], answer["unchanged"]) == (0, 1, 1, 3)
    assert {(c["did"], Path(c["file"]).name) for c in answer["changes"]} == {
        ("embedded", "new.wav"),
        ("removed", "a.ogg"),
    }
    assert (answer["kept"], answer["failures"], answer["dry_run"]) == ([], [], False)
    shutil.rmtree(music)
    code, out, err = run(capsys, "sync", "--library", lib)
    assert (code, out) == (1, "")
    assert f"{music} is not there; its 4 songs stay in the library" in err
    with LibraryStore.open(lib) as library:
        assert len(library.tracks()) == 4


def test_the_command_without_a_library_or_folder(capsys, tmp_path, music):
    code, _, err = run(capsys, "sync", music, "--library", tmp_path / "no.db")
    assert (code, err.count("\n")) == (1, 1)
    assert "no such library" in err
    assert not (tmp_path / "no.db").exists()
    LibraryStore.open(tmp_path / "lib.db", create=True).close()
    code, _, err = run(capsys, "sync", "--library", tmp_path / "lib.db")
    assert code == 1
    assert "name the folder" in err
