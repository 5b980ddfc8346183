"""Lists onto a stick: numbered, in names that any player reads, and nothing that is there is harmed."""

import json
import os
import shutil
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from mirclr.audio import decode_blocks, write_wav
from mirclr.audio.transcoding import FORMATS, transcode
from mirclr.errors import CopyError, UnreadableAudio
from mirclr.ingest import copying
from mirclr.ingest.copying import copy_songs, plan_copies, safe_name
from mirclr.ingest.embedding import embed_files
from mirclr.ingest.finding import find_audio
from mirclr.library import LibraryStore, LibraryTrack
from mirclr.recommend.playlist import read_playlist, write_playlist
from mirclr.tags import read_tags
from mirclr.tags.covers import add_cover
from mirclr.tags.pictures import FRONT, Picture, media_type_of, read_pictures
from tests.commands import invoke

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.setattr(copying, "results_in_order", lambda work, jobs, **_: iter([(j, work(*j)) for j in jobs]))


def track(file, *, title=None, artist=None, seconds=8.0, span=None):
    names = (title, artist, "Album", None, "Rock", 1994)
    part = {"audio_path": file.name, "start_s": span[0]} if span else {}
    path = f"{file.name}/01" if span else file.name
    return LibraryTrack(0, str(file.parent), path, span[1] - span[0] if span else seconds, *names, "", **part)


@pytest.fixture
def tracks(music):
    names = [("Road", "Night Trains"), ('What? "Yes": AC/DC', "A|B"), (None, None)]
    files = [music / "a.ogg", music / "b.ogg", music / "sub" / "c.ogg"]
    return [track(f, title=t, artist=a) for f, (t, a) in zip(files, names, strict=True)]


def did(copied):
    return [c.did for c in copied]


def test_songs_are_numbered_and_copied_byte_for_byte(tracks, tmp_path):
    stick = tmp_path / "stick"
    before = [(t.file, t.file.read_bytes(), t.file.stat().st_mtime_ns) for t in tracks]
    plans = plan_copies(tracks, stick)
    assert did(copy_songs(plans, stick)) == ["copied"] * 3
    names = ["01 Night Trains - Road.ogg", "02 A_B - What_ _Yes__ AC_DC.ogg", "03 c.ogg"]
    assert sorted(os.listdir(stick)) == names
    for name, (_, data, _) in zip(names, before, strict=True):
        assert (stick / name).read_bytes() == data
    assert [(t.file, t.file.read_bytes(), t.file.stat().st_mtime_ns) for t in tracks] == before
    assert did(copy_songs(plans, stick)) == ["there"] * 3


def test_what_is_there_is_overwritten_only_when_asked_for(tracks, tmp_path):
    plans = plan_copies(tracks, tmp_path / "stick")
    (tmp_path / "stick").mkdir()
    plans[0].target.write_text("mine")
    first, *others = copy_songs(plans, tmp_path / "stick")
    assert (first.did, did(others)) == ("failed", ["copied"] * 2)
    assert "--overwrite" in first.reason
    assert plans[0].target.read_text() == "mine"
    assert did(copy_songs(plans, tmp_path / "stick", overwrite=True)) == ["copied", "there", "there"]
    assert plans[0].target.read_bytes() == tracks[0].file.read_bytes()


def test_a_song_never_takes_its_own_place(tmp_path, music):
    file = (music / "a.ogg").rename(music / "01 A - T.ogg")
    data = file.read_bytes()
    plans = plan_copies([track(file, title="T", artist="A")], music)
    assert did(copy_songs(plans, music, overwrite=True)) == ["there"]
    part = [track(file, title="T", artist="A", span=(1.0, 3.0))]
    plans = [replace(plan, target=file) for plan in plan_copies(part, music)]
    assert did(copy_songs(plans, music, overwrite=True)) == ["failed"]
    assert file.read_bytes() == data


def test_without_room_nothing_is_written(tracks, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10, 9, 1000))
    stick = tmp_path / "stick"
    with pytest.raises(CopyError, match="1 kB are free"):
        list(copy_songs(plan_copies(tracks, stick), stick))
    assert os.listdir(stick) == []


def test_what_cannot_be_read_is_named_and_leaves_nothing(tracks, tmp_path, music):
    (music / "a.ogg").unlink()
    (music / "b.ogg").write_text("no music\n" * 100)
    stick = tmp_path / "stick"
    done = list(copy_songs(plan_copies(tracks, stick, "wav"), stick))
    assert did(done) == ["failed", "failed", "transcoded"]
    assert all(str(t.file) in c.reason for t, c in zip(tracks[:2], done[:2], strict=True))
    assert os.listdir(stick) == ["03 c.wav"]


def test_a_full_disk_ends_it_and_leaves_no_half_file(tracks, tmp_path, monkeypatch):
    stick = tmp_path / "stick"
    done = copy_songs(plan_copies(tracks, stick), stick)
    assert next(done).did == "copied"

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space"):
        next(done)
    assert os.listdir(stick) == ["01 Night Trains - Road.ogg"]


@pytest.mark.parametrize("kind", FORMATS)
def test_each_kind_holds_the_same_sound_and_the_names(tmp_path, kind):
    rate = 44100
    at = np.arange(3 * rate) / rate
    wav = tmp_path / "in.wav"
    write_wav(wav, (0.4 * np.sin(2 * np.pi * 440 * at)).astype(np.float32), rate)
    target = tmp_path / f"out.{kind}"
    tags = {"title": "Tïtle", "artist": "Ärtist", "album": "Album", "date": "1994", "track": "7"}
    transcode(wav, target, kind, tags=tags)
    (was, now) = (np.concatenate(list(decode_blocks(f, rate=16000))) for f in (wav, target))
    assert abs(len(was) - len(now)) < 1600
    assert abs(np.abs(now[16000:32000]).max() - 0.4) < 0.05
    tone_hz = np.abs(np.fft.rfft(now[16000:32000])).argmax()
    assert tone_hz == 440
    if kind != "wav":
        found = read_tags(target)
        assert (found.title, found.artist, found.album, found.year) == ("Tïtle", "Ärtist", "Album", 1994)


@pytest.mark.parametrize("kind", ["mp3", "m4a", "opus", "flac", "wav"])
@pytest.mark.parametrize(
    "image", [b"\xff\xd8\xff\xe0 a jpeg" + bytes(5000), b"\x89PNG\r\n\x1a\n a png" + bytes(70_000)]
)
def test_what_is_transcoded_keeps_its_cover(tmp_path, kind, image):
    source = tmp_path / "song.flac"
    soundfile.write(source, 0.3 * np.sin(np.arange(44100) / 20), 44100)
    add_cover(source, "flac", Picture(image, media_type_of(image)))
    plans = plan_copies([track(source, title="Road", artist="A", seconds=1.0)], tmp_path / "stick", kind)
    plans = [replace(plan, kind=kind) for plan in plans]
    assert did(copy_songs(plans, tmp_path / "stick")) == ["transcoded"]
    found = read_pictures(plans[0].target)
    assert [(p.data, p.kind) for p in found] == ([] if kind == "wav" else [(image, FRONT)])
    assert abs(len(np.concatenate(list(decode_blocks(plans[0].target, rate=16000)))) - 16000) < 1600
    assert kind == "wav" or read_tags(plans[0].target).title == "Road"


def test_a_cover_that_cannot_be_written_costs_no_song(tmp_path, monkeypatch):
    def fails(part, *_):
        part.write_bytes(b"half")
        raise ValueError

    source = tmp_path / "song.flac"
    soundfile.write(source, 0.3 * np.sin(np.arange(44100) / 20), 44100)
    image = b"\xff\xd8\xff\xe0"
    add_cover(source, "flac", Picture(image, "image/jpeg"))
    monkeypatch.setattr(copying, "add_cover", fails)
    plans = plan_copies([track(source, title="Road", artist="A", seconds=1.0)], tmp_path / "stick", "mp3")
    assert did(copy_songs(plans, tmp_path / "stick")) == ["transcoded"]
    assert abs(len(np.concatenate(list(decode_blocks(plans[0].target, rate=16000)))) - 16000) < 1600


def test_a_part_of_a_file_is_cut_out_without_loss(tmp_path):
    rate = 16000
    sound = np.concatenate([np.full(2 * rate, v, np.float32) for v in (0.1, 0.2, 0.3)])
    sound *= np.sign(np.sin(np.arange(len(sound)) / 5)).astype(np.float32)
    album = tmp_path / "album.wav"
    write_wav(album, sound, rate)
    plans = plan_copies([track(album, title="Second", span=(2.0, 4.0))], tmp_path / "out")
    assert [p.target.name for p in plans] == ["01 Second.flac"]
    assert did(copy_songs(plans, tmp_path / "out")) == ["transcoded"]
    cut = np.concatenate(list(decode_blocks(plans[0].target, rate=rate)))
    np.testing.assert_allclose(cut, sound[2 * rate : 4 * rate], atol=2e-4)


def test_what_has_no_sound_is_no_song(tmp_path):
    with pytest.raises(UnreadableAudio):
        transcode(tmp_path / "no.wav", tmp_path / "out.mp3", "mp3")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a" * 300, "a" * 196 + ".mp3"),
        ("ü" * 300, "ü" * 98 + ".mp3"),
        ("Mr. ", "Mr.mp3"),
        ("...", "_.mp3"),
        ("a\x00b\nc\td", "a_b c d.mp3"),
        ("e\u0301", "é.mp3"),
    ],
)
def test_names_are_such_as_a_stick_can_hold(name, safe):
    assert safe_name(name, ".mp3") == safe


@pytest.fixture
def with_list(home, embedder, music, tmp_path):
    with LibraryStore.open(home / "library.db", create=True) as library:
        list(embed_files(library, find_audio([music], library)[0], embedder))
        listed = library.tracks()[:3]
        output = tmp_path / "evening.m3u8"
        write_playlist(output, listed, title="evening")
        library.save_playlist("evening", {"query": {"seeds": [str(music / "a.ogg")], "n": 2}, "output": str(output)})
    return output, listed


def test_the_command_copies_a_saved_list_or_a_playlist_file(with_list, tmp_path):
    output, listed = with_list
    stick = tmp_path / "my stick"
    result = invoke(["playlist", "copy", "evening", stick])
    assert result.exit_code == 0, result.output
    assert "copied 3 songs to" in result.stdout
    copies = sorted(f.name for f in stick.iterdir() if f.suffix == ".ogg")
    assert [name[:3] for name in copies] == ["01 ", "02 ", "03 "]
    assert [f.name for f in read_playlist(stick / "evening.m3u8")] == copies
    for name, song in zip(copies, listed, strict=True):
        assert (stick / name).read_bytes() == song.file.read_bytes()
    again = invoke(["playlist", "copy", output, stick])
    assert "copied no songs" in again.stdout
    assert "3 songs were there already" in again.stdout
    said = json.loads(invoke(["playlist", "copy", output, stick / "mp3", "--as", "mp3", "--json"]).stdout)
    assert [f["did"] for f in said["files"]] == ["transcoded"] * 3
    assert len(list((stick / "mp3").glob("*.mp3"))) == 3


def test_the_command_says_what_is_missing(with_list, tmp_path, music):
    output, listed = with_list
    listed[1].file.unlink()
    result = invoke(["playlist", "copy", output, tmp_path / "stick"], standalone_mode=False)
    assert result.return_value == 1
    assert f"skipped {listed[1].file}: not there" in result.stderr
    assert "copied 2 songs" in result.stdout
    shown = invoke(["playlist", "copy", output, tmp_path / "other", "--dry-run"])
    assert not (tmp_path / "other").exists()
    assert len(shown.stdout.splitlines()) == 2


def test_a_list_of_a_query_is_asked_for_where_no_file_of_it_is(with_list, tmp_path):
    output, _ = with_list
    output.unlink()
    result = invoke(["playlist", "copy", "evening", tmp_path / "stick"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "stick" / "evening.m3u8").exists()


def test_a_playlist_file_or_folder_that_is_not_one_is_named(with_list, tmp_path):
    output, _ = with_list
    result = invoke(["playlist", "copy", tmp_path / "evning.m3u8", tmp_path / "stick"])
    assert result.exit_code == 1
    assert "evning.m3u8: no such playlist file" in str(result.exception)
    result = invoke(["playlist", "copy", "evening", output])
    assert result.exit_code == 2
    assert f"{output.name}: is a file; expected a folder" in " ".join(result.stderr.split())
