import errno
import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import mutagen.oggvorbis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirclr.audio.landmarks import find_landmarks
from mirclr.errors import EncoderMismatch, LibraryError, MissingExtra
from mirclr.ingest import watch
from mirclr.ingest.sync import apply_changes, sync_scope
from mirclr.ingest.watch import FolderEvents, Pending, event_paths, follow
from mirclr.library import LibraryStore
from mirclr.models.embedder import Embedder
from tests.commands import main
from tests.conftest import TINY, tone

pytestmark = pytest.mark.usefixtures("in_this_process")


def paths_of(library):
    return sorted(t.path for t in library.tracks())


def applied(library, folder, embedder, *paths):
    return {c.file.name: c.did for c in apply_changes(library, {folder: str(folder)}, paths or [folder], embedder)}


# which paths are ripe


class Disk(dict):
    """What stands for the disk: a value for each file, None for those that are not there."""

    def __call__(self, path):
        return self.get(path)


A, B, FOLDER = Path("/m/sub/a.ogg"), Path("/m/b.ogg"), Path("/m/sub")


def test_a_path_is_ripe_when_it_has_been_quiet():
    pending = Pending(5, Disk({A: 1}))
    assert (pending.wait(100), pending.ripe(100)) == (5, [])
    pending.note(A, 100)
    assert (pending.wait(102), pending.ripe(102)) == (3, [])
    pending.note(A, 104)
    assert pending.ripe(106) == []
    assert (pending.ripe(109), len(pending)) == ([A], 0)
    assert pending.ripe(200) == []


def test_a_file_that_grows_without_events_waits_and_others_do_not():
    disk = Disk({A: 1, B: 1})
    pending = Pending(5, disk)
    pending.note(A, 0)
    pending.note(B, 0)
    disk[A] = 2
    assert pending.ripe(5) == [B]
    disk[A] = 3
    assert pending.ripe(10) == []
    assert pending.ripe(15) == [A]


def test_a_folder_waits_for_what_is_below_it():
    pending = Pending(5, Disk({A: 1, FOLDER: 0}))
    pending.note(FOLDER, 0)
    pending.note(A, 3)
    assert pending.ripe(5) == []
    assert pending.ripe(8) == [FOLDER, A]


def test_what_is_gone_waits_for_where_it_may_be_now_but_not_for_ever():
    disk = Disk({B: 1})
    pending = Pending(5, disk)
    pending.note(A, 0)
    pending.note(B, 3)
    assert pending.ripe(5) == []
    assert pending.ripe(8) == [B, A]
    pending.note(A, 10)
    now, ripe = 10, []
    while not ripe:
        now += 1
        pending.note(B, now)
        ripe = pending.ripe(now)
    assert (ripe, now) == ([A], 60)


def test_a_file_that_came_back_is_no_longer_gone():
    disk = Disk()
    pending = Pending(5, disk)
    pending.note(A, 0)
    disk[A] = 1
    assert pending.ripe(5) == []
    assert pending.ripe(10) == [A]


@given(
    st.lists(st.tuples(st.sampled_from([A, B, FOLDER, Path("/m")]), st.integers(0, 4), st.integers(0, 3)), max_size=20)
)
def test_every_path_ripens_once_and_never_while_it_changes(steps):
    disk = Disk()
    pending = Pending(5, disk)
    now, changed, waiting = 0, {}, set()
    for path, passed, content in steps:
        now += passed
        for ripe in pending.ripe(now):
            assert now - changed[ripe] >= 5
            waiting.remove(ripe)
        disk[path] = content or None
        changed[path] = now
        waiting.add(path)
        pending.note(path, now)
        assert 0 < pending.wait(now) <= 5
    assert len(pending) == len(waiting)
    assert set(pending.ripe(now + 5)) == waiting


def test_the_state_of_a_file(music):
    before = watch.file_state(music / "a.ogg")
    with (music / "a.ogg").open("ab") as f:
        f.write(b"more")
    assert watch.file_state(music / "a.ogg") != before
    folder = watch.file_state(music)
    tone(music / "new.wav", 440)
    assert watch.file_state(music) == folder
    assert watch.file_state(music / "nothing") is None
    assert watch.file_state(music / "a.ogg" / "below") is None


# which events matter


def event(kind, src, dest="", folder=False):
    return SimpleNamespace(event_type=kind, src_path=src, dest_path=dest, is_directory=folder)


@pytest.mark.parametrize(
    ("happened", "paths"),
    [
        (event("created", "/m/a.ogg"), ["/m/a.ogg"]),
        (event("modified", "/m/x/a.FLAC"), ["/m/x/a.FLAC"]),
        (event("closed", b"/m/a.ogg"), ["/m/a.ogg"]),
        (event("deleted", "/m/a.ogg"), ["/m/a.ogg"]),
        (event("moved", "/m/a.ogg", "/m/b.ogg"), ["/m/a.ogg", "/m/b.ogg"]),
        (event("moved", "/m/.a.ogg.tmp", "/m/a.ogg"), ["/m/a.ogg"]),
        (event("moved", "/m/a.part", "/m/a.ogg"), ["/m/a.ogg"]),
        (event("moved", "/m/a.ogg", "/elsewhere/a.ogg"), ["/m/a.ogg"]),
        (event("moved", "/m/a.ogg", "/m/.trash/a.ogg"), ["/m/a.ogg"]),
        (event("moved", "/m/x", "/m/y", folder=True), ["/m/x", "/m/y"]),
        (event("deleted", "/m/x", folder=True), ["/m/x"]),
        (event("created", "/m/x", folder=True), ["/m/x"]),
        (event("modified", "/m/x", folder=True), []),
        (event("opened", "/m/a.ogg"), []),
        (event("closed_no_write", "/m/a.ogg"), []),
        (event("created", "/m/cover.jpg"), []),
        (event("created", "/m/.hidden.ogg"), []),
        (event("created", "/m/.cache/a.ogg"), []),
        (event("created", "/m/.cache", folder=True), []),
        (event("created", "/other/a.ogg"), []),
        (event("created", "/music/a.ogg"), []),
    ],
)
def test_which_events_say_where_to_look(happened, paths):
    assert event_paths(happened, [Path("/m")]) == [Path(p) for p in paths]


def test_a_folder_inside_a_hidden_one_may_be_watched():
    assert event_paths(event("created", "/home/.music/a.ogg"), [Path("/home/.music")]) == [Path("/home/.music/a.ogg")]


# what is done at some paths


def test_only_what_is_at_the_paths_is_looked_at(library, embedder, music):
    applied(library, music, embedder)
    (music / "a.ogg").unlink()
    (music / "b.ogg").unlink()
    tone(music / "sub" / "new.wav", 440)
    assert applied(library, music, embedder, music / "a.ogg") == {"a.ogg": "removed"}
    assert applied(library, music, embedder, music / "sub") == {
        "c.ogg": "unchanged",
        "d.ogg": "unchanged",
        "new.wav": "embedded",
    }
    assert paths_of(library) == ["b.ogg", "sub/c.ogg", "sub/d.ogg", "sub/new.wav"]


def test_a_folder_that_went_takes_its_tracks_along(library, embedder, music):
    applied(library, music, embedder)
    shutil.copytree(music / "sub", music / "sub two")
    assert applied(library, music, embedder, music / "sub two") == {"c.ogg": "copied", "d.ogg": "copied"}
    shutil.rmtree(music / "sub")
    assert applied(library, music, embedder, music / "sub") == {"c.ogg": "removed", "d.ogg": "removed"}
    assert paths_of(library) == ["a.ogg", "b.ogg", "sub two/c.ogg", "sub two/d.ogg"]


def test_a_folder_that_moved_keeps_its_tracks(library, embedder, music):
    applied(library, music, embedder)
    ids = {t.id for t in library.tracks()}
    (music / "sub").rename(music / "other")
    assert applied(library, music, embedder, music / "sub", music / "other") == {
        "c.ogg": "moved",
        "d.ogg": "moved",
        "other": "followed",
    }
    assert {t.id for t in library.tracks()} == ids


@pytest.mark.skipif(os.name == "nt", reason="links, pipes")
def test_paths_elsewhere_links_and_other_files_are_left_alone(library, embedder, music, tmp_path):
    outside = tmp_path.resolve() / "outside"
    outside.mkdir()
    tone(outside / "x.wav", 440)
    (music / "linked").symlink_to(outside)
    (music / "linked.wav").symlink_to(outside / "x.wav")
    (music / "notes.txt").write_text("text")
    os.mkfifo(music / "pipe.wav")
    paths = [outside / "x.wav", *(music / n for n in ("linked", "linked/x.wav", "linked.wav", "notes.txt", "pipe.wav"))]
    assert applied(library, music, embedder, *paths) == {}


def test_files_go_below_the_folder_that_is_watched(library, embedder, tmp_path):
    folder = tmp_path.resolve() / "new"
    (folder / "deep").mkdir(parents=True)
    tone(folder / "deep" / "x.wav", 440)
    scope = sync_scope(library, [folder])
    assert [c.did for c in apply_changes(library, scope, [folder / "deep"], embedder)] == ["embedded"]
    assert (list(library.roots()), paths_of(library)) == ([str(folder)], ["deep/x.wav"])


# all together, with a clock of the test's


class Script:
    """Stands for the events and the clock: each step does something to the disk and gives paths."""

    def __init__(self, *steps):
        self.now, self._steps = 0.0, list(steps)

    def clock(self):
        return self.now

    def __call__(self, wait):
        self.now += wait
        if self.now < 1:  # the first look at the folders comes before all events
            return []
        if self._steps and self.now >= self._steps[0][0]:
            return [p for p in self._steps.pop(0)[1]() if p]
        return [] if self._steps or self.now < 200 else None


def followed(library, folder, embedder, *steps, settle=5, **options):
    script = Script(*steps)
    changes = follow(library, {folder: str(folder)}, embedder, script, settle=settle, clock=script.clock, **options)
    return [(change.did, change.file.name) for change in changes]


START = [("embedded", name) for name in ("a.ogg", "b.ogg", "c.ogg", "d.ogg")]


def test_what_comes_gets_a_fingerprint_where_others_have_one(library, embedder, music):
    def add(name):
        tone(music / name, 440)
        return [music / name]

    def keep_one():
        library.store_fingerprints({library.find_file(music / "a.ogg").id: find_landmarks(music / "a.ogg")})
        return add("second.wav")

    followed(library, music, embedder, (10, lambda: add("first.wav")))
    assert not library.has_fingerprints
    followed(library, music, embedder, (10, keep_one))
    assert library.without_fingerprint() == []
    assert len(library.fingerprint_times()[0]) == 6


def test_following_a_folder(library, embedder, music):
    def retag():  # as taggers save: a temporary file, renamed
        shutil.copy(music / "a.ogg", music / ".a.tmp")
        tags = mutagen.oggvorbis.OggVorbis(music / ".a.tmp")
        tags["title"] = "New"
        tags.save()
        (music / ".a.tmp").replace(music / "a.ogg")
        return event_paths(event("moved", f"{music}/.a.tmp", f"{music}/a.ogg"), [music])

    def move():
        (music / "b.ogg").rename(music / "sub" / "b2.ogg")
        return [music / "b.ogg", music / "sub" / "b2.ogg"]

    def remove():
        (music / "sub" / "c.ogg").unlink()
        return [music / "sub" / "c.ogg"]

    def add():
        tone(music / "new.wav", 440)
        (music / "bad.mp3").write_text("no music")
        return [music / "new.wav", music / "bad.mp3", music / "new.wav"]

    def again():
        return [music / "bad.mp3", music]

    steps = [(10, retag), (20, move), (30, remove), (40, add), (60, again)]
    told = followed(library, music, embedder, *steps)
    assert told[:4] == START
    assert told[4:7] == [("retagged", "a.ogg"), ("moved", "b2.ogg"), ("removed", "c.ogg")]
    assert sorted(told[7:]) == [("embedded", "new.wav"), ("failed", "bad.mp3")]
    assert paths_of(library) == ["a.ogg", "new.wav", "sub/b2.ogg", "sub/d.ogg"]
    assert library.find_file(music / "a.ogg").title == "New"
    assert library.verify() == []


def test_a_file_is_embedded_once_it_is_whole(library, embedder, music, songs):
    whole = songs[0].read_bytes()

    def write(part):
        def step():
            (music / "copy.ogg").write_bytes(whole[: len(whole) * part // 4])
            return [music / "copy.ogg"]

        return step

    (music / "a.ogg").unlink()  # so that it is no copy of one that is known
    told = followed(library, music, embedder, *((10 + 3 * part, write(part)) for part in (0, 1, 2, 3, 4)))
    assert [what for what in told if what[1] == "copy.ogg"] == [("embedded", "copy.ogg")]


def test_a_file_moved_by_copying_and_deleting_keeps_its_track(library, embedder, music):
    def copied():
        shutil.copy(music / "a.ogg", music / "sub" / "a.ogg")
        (music / "a.ogg").unlink()
        return [music / "a.ogg"]

    ids = {}

    def late():
        ids.update({t.id: t.path for t in library.tracks()})
        return [music / "sub" / "a.ogg"]

    told = followed(library, music, embedder, (10, copied), (12, late))
    assert [what for what in told if what not in START] == [("moved", "a.ogg")]
    assert {t.id for t in library.tracks()} == set(ids)


def test_a_disk_that_goes_and_comes_keeps_its_tracks(library, embedder, music):
    away = music.with_name("away")

    def go():
        music.rename(away)
        return [music, music / "a.ogg", music / "sub"]

    def come():
        (away / "b.ogg").unlink()
        away.rename(music)
        return [music]

    told = followed(library, music, embedder, (10, go), (100, come))
    assert told == [*START, ("kept", "music"), ("removed", "b.ogg")]


def test_many_tracks_at_once_are_not_removed(library, embedder, music):
    for i in range(12):
        tone(music / "tones" / f"{i:02}.wav", 200 + 50 * i)

    def remove():
        shutil.rmtree(music / "tones")
        return [music / "tones"]

    told = followed(library, music, embedder, (10, remove))
    assert told[-1] == ("kept", "music")
    assert len(library.tracks()) == 16


def test_a_library_that_another_process_writes_to_is_waited_for(library, embedder, music, monkeypatch, tmp_path):
    library._connection.execute("PRAGMA busy_timeout = 1")
    with LibraryStore.open(library.path) as other:
        other._connection.execute("BEGIN IMMEDIATE")

        def release():
            other._connection.rollback()
            return []

        told = followed(library, music, embedder, (20, release))
    assert told[0] == ("waiting", "lib.db")
    assert [what for what in told if what[0] != "waiting"] == START


def test_another_encoder_ends_it(library, embedder, music):
    library.bind(Embedder.with_random_weights(TINY.model_dump(mode="json"), excerpts=3, seed=1).stamp)
    with pytest.raises(EncoderMismatch):
        followed(library, music, embedder)


def test_a_library_that_cannot_be_written_ends_it(library, embedder, music, monkeypatch):
    def broken(*_, **__):
        raise LibraryError("may not be written")
        yield

    monkeypatch.setattr(watch, "apply_changes", broken)
    with pytest.raises(LibraryError, match="may not be written"):
        followed(library, music, embedder)


# watchdog


def until(events, wanted):
    """Take events until all the wanted paths were among them."""
    seen = set()
    for _ in range(100):
        seen |= set(events(5))
        if wanted <= seen:
            return seen
    raise AssertionError(f"no event for {wanted - seen}")


@pytest.mark.parametrize("poll", [None, 0.1])
def test_watchdog_tells_what_happens(music, poll):
    pytest.importorskip("watchdog")
    with FolderEvents([music], poll=poll, remark=pytest.fail) as events:
        tone(music / "sub" / "new.wav", 440)
        until(events, {music / "sub" / "new.wav"})
        (music / "a.ogg").rename(music / "sub" / "a2.ogg")
        until(events, {music / "a.ogg", music / "sub" / "a2.ogg"})
        (music / "b.ogg").unlink()
        (music / ".hidden.ogg").touch()
        (music / "cover.jpg").touch()
        (music / "sub").rename(music / "last")
        seen = until(events, {music / "b.ogg", music / "last"})
    assert not {music / ".hidden.ogg", music / "cover.jpg", music} & seen


@pytest.mark.parametrize("poll", [None, 0.1])
def test_a_folder_that_goes_and_comes_is_watched_again(music, poll):
    pytest.importorskip("watchdog")
    away = music.with_name("away")
    with FolderEvents([music], poll=poll, remark=pytest.fail) as events:
        music.rename(away)
        assert music in until(events, {music})
        away.rename(music)
        assert music in until(events, {music})
        tone(music / "new.wav", 440)
        until(events, {music / "new.wav"})


@pytest.mark.skipif(sys.platform != "linux", reason="inotify")
@pytest.mark.parametrize(
    ("number", "named"),
    [
        (errno.ENOSPC, "fs.inotify.max_user_watches"),
        (errno.EMFILE, "fs.inotify.max_user_instances"),
        (errno.EIO, "I/O"),
    ],
)
@pytest.mark.parametrize("where", ["folder", "probe"])
def test_without_events_it_polls_and_names_the_limit(music, monkeypatch, number, named, where):
    pytest.importorskip("watchdog")
    from watchdog.observers import Observer

    real = Observer.schedule

    def refused(self, handler, path, **options):
        if (Path(path) == music) == (where == "folder"):
            raise OSError(number, os.strerror(number))
        return real(self, handler, path, **options)

    monkeypatch.setattr(Observer, "schedule", refused)
    monkeypatch.setattr(watch, "_FALLBACK_POLL_S", 0.1)
    said = []
    with FolderEvents([music], poll=None, remark=said.append) as events:
        tone(music / "new.wav", 440)
        until(events, {music / "new.wav"})
    assert len(said) == 1
    assert named in said[0] or os.strerror(number) in said[0]
    assert ("sysctl" in said[0]) == (number != errno.EIO)


def test_without_watchdog_the_extra_is_named(monkeypatch, music):
    monkeypatch.setitem(sys.modules, "watchdog.observers", None)
    with pytest.raises(MissingExtra, match=r"mirclr\[watch\]"):
        FolderEvents([music], poll=None, remark=print)


# the command


def test_the_command_ends_by_ctrl_c_with_code_0(capsys, music, checkpoint, tmp_path, monkeypatch):
    pytest.importorskip("watchdog")
    lib = tmp_path / "lib.db"
    embedded = []
    monkeypatch.setattr(Embedder, "load", lambda *_, real=Embedder.load, **o: embedded.append(1) or real(*_, **o))

    def run(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main([str(a) for a in arguments])
        return stopped.value.code, *capsys.readouterr()

    assert run("embed", music / "sub", "--library", lib, "--checkpoint", checkpoint)[0] == 0
    told = []

    def ended(self, wait):
        told.append(wait)
        if len(told) == 1:
            (music / "a.ogg").unlink(missing_ok=True)
            return [music / "a.ogg"]
        if len(told) < 4:
            return []
        raise KeyboardInterrupt

    monkeypatch.setattr(FolderEvents, "__call__", ended)
    embedded.clear()
    code, out, err = run("watch", music, "--library", lib, "--json", "--settle", "0.1")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert {(r["did"], Path(r["file"]).name) for r in rows} >= {("embedded", "b.ogg"), ("moved", "c.ogg")}
    assert f"watching {music}" in err
    assert "what was done is kept" in err
    assert "Traceback" not in err
    assert len(embedded) == 1
    told.clear()
    code, out, _ = run("watch", "--library", lib, "--poll", "60")
    assert (code, out) == (0, "removed " + str(music / "a.ogg") + "\n")
    with LibraryStore.open(lib) as library:
        assert library.verify() == []


@pytest.mark.parametrize("argument", ["--settle=0", "--poll=-1"])
def test_wrong_usage(capsys, argument):
    with pytest.raises(SystemExit) as stopped:
        main(["watch", argument])
    assert stopped.value.code == 2
