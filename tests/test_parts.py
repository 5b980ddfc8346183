"""Tracks that are parts of one long file, from the sheet to the vector, and as sheet and file change."""

import itertools
import json
import os
import random
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile

from mirclr.audio import read_sections
from mirclr.audio.fingerprint import fingerprint
from mirclr.ingest.embedding import embed_files
from mirclr.ingest.exclusions import keep_exclusions
from mirclr.ingest.finding import find_audio
from mirclr.ingest.sync import apply_changes, preview_changes, sync_scope
from mirclr.ingest.watch import event_paths
from mirclr.library import LibraryStore
from mirclr.library.renewal import take_inventory
from mirclr.recommend.playlist import read_playlist, write_playlist
from tests.commands import main
from tests.conftest import AUDIO, tone

pytestmark = pytest.mark.usefixtures("in_this_process")

SHEET = """PERFORMER "Band"
TITLE "Album"
REM DATE 1999
FILE "album.wav" WAVE
TRACK 01 AUDIO
TITLE "One"
INDEX 01 00:00:00
TRACK 02 AUDIO
TITLE "Two"
PERFORMER "Guest"
INDEX 01 00:08:00
TRACK 03 AUDIO
TITLE "Three"
INDEX 01 00:16:00
"""


@pytest.fixture(scope="session")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """Three pieces of music in one file, and each in its own."""
    folder = tmp_path_factory.mktemp("long")
    pieces = []
    for song in sorted(AUDIO.glob("*.ogg"))[:3]:
        samples, rate = soundfile.read(song, dtype="float32", always_2d=True)
        pieces.append(np.resize(samples.mean(axis=1), 8 * rate) if rate == 44100 else np.zeros(0))
    if any(not len(p) for p in pieces):
        pieces = [np.random.default_rng(i).uniform(-0.5, 0.5, 8 * 44100) for i in range(3)]
    for i, piece in enumerate(pieces):
        soundfile.write(folder / f"{i}.flac", piece, 44100)
    soundfile.write(folder / "album.flac", np.concatenate(pieces), 44100)
    return folder / "album.flac", [folder / f"{i}.flac" for i in range(3)]


@pytest.fixture
def album(tmp_path: Path, long_file: tuple[Path, list[Path]]) -> Path:
    """A folder with the long file and its sheet."""
    root = tmp_path.resolve() / "music"
    (root / "x").mkdir(parents=True)
    shutil.copy(long_file[0], root / "x" / "album.flac")
    (root / "x" / "album.cue").write_text(SHEET)
    return root


def embedded(library, embedder, *paths):
    files, problems = find_audio(paths, library)
    assert not problems
    return {o.file.name: o.did for o in embed_files(library, files, embedder)}


def synced(library, embedder, root, *paths):
    """What is foreseen and what was done, without what is unchanged; the second is what counts."""
    scope = sync_scope(library, [root])
    changes = apply_changes(library, scope, paths or list(scope), embedder)
    return {c.file.relative_to(root).as_posix(): c.did for c in changes if c.did != "unchanged"}


def foreseen(library, root):
    scope = sync_scope(library, [root])
    changes = preview_changes(library, scope, list(scope))
    return {c.file.relative_to(root).as_posix(): c.did for c in changes if c.did != "unchanged"}


def paths_of(library):
    return sorted(t.path for t in library.tracks())


PARTS = ["x/album.flac/01", "x/album.flac/02", "x/album.flac/03"]


def test_parts_are_tracks_as_if_they_were_files(library, embedder, album, long_file):
    assert embedded(library, embedder, album) == dict.fromkeys(("01", "02", "03"), "embedded")
    assert embedded(library, embedder, album) == dict.fromkeys(("01", "02", "03"), "unchanged")
    assert paths_of(library) == PARTS
    tracks = library.tracks()
    assert [(t.title, t.artist, t.album, t.album_artist, t.year) for t in tracks] == [
        ("One", "Band", "Album", "Band", 1999),
        ("Two", "Guest", "Album", "Band", 1999),
        ("Three", "Band", "Album", "Band", 1999),
    ]
    assert [t.span for t in tracks] == [(0, 8), (8, 16), (16, 24)]
    assert library.verify() == []
    with LibraryStore.open(library.path.with_name("alone.db"), create=True) as alone:
        embedded(alone, embedder, *long_file[1])
        for part, own in zip(tracks, alone.tracks(), strict=True):
            assert (part.duration_s, part.audio_digest) == (own.duration_s, own.audio_digest)
            np.testing.assert_array_equal(library.vector(part.id), alone.vector(own.id))
            moments = [lib.excerpt_embeddings([t.id])[t.id] for lib, t in ((library, part), (alone, own))]
            np.testing.assert_array_equal(*(m.starts for m in moments))  # told from where the part begins
            middles = [read_sections(t.file, count=1, seconds=3.0, span=t.span)[0].samples for t in (part, own)]
            np.testing.assert_array_equal(*middles)
            prints = fingerprint(part.file, part.span), fingerprint(own.file)
            np.testing.assert_array_equal(*(p.mel for p in prints))


def test_parts_follow_their_file(library, embedder, album):
    embedded(library, embedder, album)
    ids = [t.id for t in library.tracks()]
    (album / "x").rename(album / "y")
    moved = {f"y/album.flac/0{n}": "moved" for n in (1, 2, 3)}
    assert foreseen(library, album) == moved | {"y": "followed"}
    assert synced(library, embedder, album) == moved | {"y": "followed"}
    assert [t.id for t in library.tracks()] == ids
    tags = mutagen.File(album / "y" / "album.flac")
    tags["genre"] = "Jazz"
    tags.save()
    assert set(synced(library, embedder, album).values()) == {"retagged"}
    assert {t.genre for t in library.tracks()} == {"Jazz"}  # of the file, as the sheet says none
    assert [t.title for t in library.tracks()] == ["One", "Two", "Three"]
    shutil.copytree(album / "y", album / "z")
    assert synced(library, embedder, album) == {f"z/album.flac/0{n}": "copied" for n in (1, 2, 3)}
    (album / "z" / "album.flac").unlink()
    assert synced(library, embedder, album) == {f"z/album.flac/0{n}": "removed" for n in (1, 2, 3)}
    assert [t.id for t in library.tracks()] == ids


def test_parts_follow_their_sheet(library, embedder, album):
    cue = album / "x" / "album.cue"
    embedded(library, embedder, album)
    vectors = library.vectors()[1]
    cue.write_text(SHEET.replace('"Two"', '"Second"'))
    assert synced(library, embedder, album) == {"x/album.flac/02": "retagged"}
    assert library.find_file(album / "x/album.flac/02").title == "Second"
    np.testing.assert_array_equal(library.vectors()[1], vectors)
    cue.write_text(SHEET.replace("00:16:00", "00:18:00"))
    assert synced(library, embedder, album) == {
        "x/album.flac/02": "embedded",
        "x/album.flac/03": "embedded",
    }
    assert [t.span for t in library.tracks()] == [(0, 8), (8, 18), (18, 24)]
    cue.write_text(SHEET.partition("TRACK 03")[0])
    assert synced(library, embedder, album) == {"x/album.flac/02": "embedded", "x/album.flac/03": "removed"}
    assert library.verify() == []


@pytest.mark.parametrize("at", ["the folder", "the sheet"])
def test_a_sheet_that_comes_and_goes(library, embedder, album, at):
    cue = album / "x" / "album.cue"
    where = [album] if at == "the folder" else [cue]
    text = cue.read_text()
    cue.unlink()
    assert synced(library, embedder, album) == {"x/album.flac": "embedded"}
    cue.write_text(text)
    assert synced(library, embedder, album, *where) == {"x/album.flac": "removed"} | dict.fromkeys(PARTS, "embedded")
    cue.unlink()
    assert synced(library, embedder, album, *where) == {"x/album.flac": "embedded"} | dict.fromkeys(PARTS, "removed")
    assert paths_of(library) == ["x/album.flac"]


def test_the_events_of_a_sheet_and_of_its_file_say_where_to_look(library, embedder, album):
    class Event:
        is_directory, event_type, dest_path = False, "created", ""

        def __init__(self, path):
            self.src_path = str(path)

    synced(library, embedder, album)
    for name in ("album.cue", "album.flac"):
        assert event_paths(Event(album / "x" / name), [album]) == [album / "x" / name]
        os.utime(album / "x" / name)
        synced(library, embedder, album, album / "x" / name)
        assert paths_of(library) == PARTS
    for name in ("#recycle/album.flac", "x/@eaDir/album.flac", "x/a.nfo"):
        assert event_paths(Event(album / name), [album]) == []
    (album / "x" / "album.flac").unlink()
    assert set(synced(library, embedder, album, album / "x" / "album.flac").values()) == {"removed"}


def test_parts_of_one_sound_are_copies_and_stay_so(library, embedder, album, long_file):
    samples, rate = soundfile.read(long_file[1][0], dtype="float32")
    soundfile.write(album / "x" / "album.flac", np.tile(samples, 3), rate)
    told = embedded(library, embedder, album)
    assert sorted(told.values()) == ["copied", "copied", "embedded"] or set(told.values()) == {"embedded"}
    for _ in range(2):
        assert set(embedded(library, embedder, album).values()) == {"unchanged"}
    assert paths_of(library) == PARTS


def test_a_part_that_is_not_there_fails_by_name_and_others_are_in(library, embedder, album):
    (album / "x" / "album.cue").write_text(SHEET.replace("00:16:00", "09:16:00"))
    assert synced(library, embedder, album) == {
        "x/album.flac/01": "embedded",
        "x/album.flac/02": "embedded",
        "x/album.flac/03": "failed",
    }
    (failure,) = library.failures()
    assert failure.why.startswith("its part from 556.0 s is 0.0 s long")
    scope = sync_scope(library)
    (again,) = [c for c in apply_changes(library, scope, list(scope), embedder) if c.did == "failed"]
    assert not again.new  # it is not decoded again, and not forgotten
    (album / "x" / "album.cue").write_text(SHEET)  # but when the sheet is mended
    assert synced(library, embedder, album)["x/album.flac/03"] == "embedded"
    assert library.failures() == []


def test_parts_are_renewed_as_they_are(library, embedder, album):
    embedded(library, embedder, album)
    (album / "x" / "album.cue").unlink()
    held = take_inventory(library)
    with LibraryStore.open(library.path.with_name("new.db"), create=True) as new:
        files = [(root, found) for found, root in held.files.items()]
        told = [o.did for o in embed_files(new, files, embedder, known_tags=held.tags)]
        assert (told, held.gone) == (["embedded"] * 3, [])
        old, now = library.tracks(), new.tracks()
        assert [(t.path, t.title, t.span) for t in now] == [(t.path, t.title, t.span) for t in old]
        assert [s.file_digest for s in new.states(str(album)).values()] == [
            s.file_digest for s in library.states(str(album)).values()
        ]


# the commands


def run(capsys, *args):
    with pytest.raises(SystemExit) as exit:
        main([str(a) for a in args])
    out, err = capsys.readouterr()
    return exit.value.code, out, err


def test_embed_takes_a_whole_file_away_when_its_parts_come(capsys, album, checkpoint, tmp_path):
    lib = tmp_path / "c.db"
    cue = album / "x" / "album.cue"
    cue.rename(album / "x" / "album.txt")
    embed = ("embed", album, "--library", lib, "--checkpoint", checkpoint)
    code, out, err = run(capsys, *embed)
    assert (code, out) == (0, "1 song ready\n")
    assert "passed over: 1 .txt" in err
    (album / "x" / "album.txt").rename(cue)
    code, out, err = run(capsys, *embed, "--json")
    told = json.loads(out)
    assert (told["embedded"], told["passed_over"], told["left_out"], told["remarks"]) == (3, {}, {}, [])
    with LibraryStore.open(lib) as library:
        assert paths_of(library) == PARTS
    part = album / "x" / "album.flac" / "02"
    _, out, err = run(capsys, "recommend", part, "--library", lib, "--json", "-n", "5")
    assert json.loads(out)["seeds"] == ["Guest – Two"]  # its only neighbours are of its own album
    assert "2 are of the same album as a song that you named" in err
    code, out, _ = run(capsys, "library", "list", "--library", lib)
    assert [line.split("\t")[2] for line in out.splitlines()] == [str(album / path) for path in PARTS]


def test_what_is_excluded_stays_out_and_its_tracks_go(capsys, music, checkpoint, tmp_path):
    lib = tmp_path / "c.db"
    embed = ("embed", music, "--library", lib, "--checkpoint", checkpoint)
    assert run(capsys, *embed, "--exclude", "./sub", "--exclude", music / "b.ogg")[1] == "1 song ready\n"
    assert run(capsys, *embed)[1] == "1 song ready (nothing new)\n"  # kept in the library
    code, out, err = run(capsys, *embed, "--exclude", "Sbu")
    assert (out, err.splitlines()[-1]) == (
        "1 song ready (nothing new)\n",
        "--exclude Sbu: nothing of this name was met, for now",
    )
    assert run(capsys, "library", "exclude", "remove", "Sbu", "--library", lib)[0] == 0
    code, out, _ = run(capsys, "library", "exclude", "list", "--library", lib, "--json")
    assert json.loads(out) == [{"folder": str(music), "pattern": p} for p in ("./b.ogg", "./sub")]
    assert run(capsys, "library", "exclude", "remove", "./sub", "--library", lib)[0] == 0
    code, out, err = run(capsys, "sync", "--library", lib)
    assert (code, out) == (0, "3 songs ready (2 new)\n")
    assert "left out: 1 excluded" in err
    code, _, err = run(capsys, "library", "exclude", "add", "c.*", "--library", lib)
    assert "1 song of your library is among it; to take out: mirclr sync" in err
    code, out, _ = run(capsys, "sync", "--library", lib)
    assert out == f"removed {music / 'sub' / 'c.ogg'}\n2 songs ready (1 gone)\n"
    assert run(capsys, "sync", "--library", lib, "--exclude", "d.ogg", "--json")[0] == 0
    with LibraryStore.open(lib) as library:
        assert paths_of(library) == ["a.ogg"]
    for wrong in ("", "..", "**", "/", tmp_path / "elsewhere"):
        code, _, err = run(capsys, *embed, "--exclude", wrong)
        assert (code, "--exclude" in err) == (2, True)
    code, _, err = run(capsys, "library", "exclude", "remove", "nothing", "--library", lib)
    assert code == 1
    assert "holds no pattern 'nothing'; it holds:" in err


def test_tracks_of_a_bin_go_with_the_next_sync(library, embedder, music):
    synced(library, embedder, music)
    (music / "sub").rename(music / "#recycle")
    assert synced(library, embedder, music) == {"sub/c.ogg": "removed", "sub/d.ogg": "removed"}
    (music / "#recycle").rename(music / "sub")
    assert set(synced(library, embedder, music).values()) == {"embedded"}


@pytest.mark.skipif(os.name == "nt", reason="devices")
def test_a_device_that_is_named_is_a_failure(capsys, checkpoint, tmp_path):
    code, _, err = run(capsys, "embed", "/dev/zero", "--library", tmp_path / "c.db", "--checkpoint", checkpoint)
    assert code == 1
    assert "/dev/zero: not a regular file" in err


def test_names_of_as_many_bytes_as_there_may_be(library, embedder, music):
    name = "ü" * 122 + "a.ogg"  # 249 bytes
    (music / "a.ogg").rename(music / name)
    assert synced(library, embedder, music)[name] == "embedded"
    (music / name).rename(music / ("b" + name[1:]))
    assert synced(library, embedder, music, music / name, music / ("b" + name[1:])) == {"b" + name[1:]: "moved"}


def test_a_manifest_holds_parts_with_begin_and_length(capsys, album, tmp_path):
    (album / "x" / "cover.jpg").write_bytes(b"")
    code, out, err = run(capsys, "manifest", "scan", album, "-o", tmp_path / "t.jsonl")
    assert (code, out) == (0, f"3 tracks listed in {tmp_path / 't.jsonl'}\n")
    assert "passed over: 1 .jpg" in err
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert {row["path"] for row in rows} == {"x/album.flac"}
    assert [(row.get("start_s", 0), row["duration_s"], row["title"]) for row in rows] == [
        (0, 8, "One"),
        (8, 8, "Two"),
        (16, 8, "Three"),
    ]
    assert len({row["id"] for row in rows}) == 3
    code, out, _ = run(capsys, "manifest", "scan", album, "-o", tmp_path / "t.jsonl", "--exclude", "x", "--json")
    assert (json.loads(out)["tracks"], json.loads(out)["left_out"]) == (0, {"excluded": 1})


def test_playlists_name_the_part_for_players_that_know_it(library, embedder, album, tmp_path):
    embedded(library, embedder, album)
    for kind in ("m3u8", "xspf", "jspf"):
        write_playlist(tmp_path / f"p.{kind}", library.tracks()[1:2])
    lines = (tmp_path / "p.m3u8").read_text().splitlines()
    options = ["#EXTVLCOPT:start-time=8.000", "#EXTVLCOPT:stop-time=16.000"]
    assert lines == ["#EXTM3U", "#EXTINF:8,Guest - Two", *options, "music/x/album.flac"]
    names = {"x": "http://xspf.org/ns/0/", "vlc": "http://www.videolan.org/vlc/playlist/ns/0/"}
    (track,) = ET.parse(tmp_path / "p.xspf").getroot().iterfind("x:trackList/x:track", names)
    told = [option.text for option in track.iterfind("x:extension/vlc:option", names)]
    assert told == ["start-time=8.000", "stop-time=16.000"]
    for kind in ("m3u8", "xspf", "jspf"):
        assert read_playlist(tmp_path / f"p.{kind}") == [album / "x" / "album.flac"]


def facts_of(library):
    ids, matrix = library.vectors()
    tracks = library.tracks(ids.tolist())
    held = {t.path: (v.tobytes(), t.title, t.artist, t.span, t.duration_s) for t, v in zip(tracks, matrix, strict=True)}
    return held, {failure.path for failure in library.failures()}


def some_sheet(draw, name):
    starts = sorted(draw.sample(range(3), draw.choice([1, 2, 3])))
    titles = [draw.choice("tu") for _ in starts]
    of_each = enumerate(zip(starts, titles, strict=True), 1)
    tracks = (f'TRACK {n:02} AUDIO\nTITLE "{title}"\nINDEX 01 00:0{start}:00\n' for n, (start, title) in of_each)
    return f'PERFORMER "A"\nFILE "{name}" WAVE\n{"".join(tracks)}'


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_a_library_is_as_one_embedded_anew(library, embedder, tmp_path, seed):
    draw, clock, root = random.Random(seed), itertools.count(1), tmp_path.resolve() / "m"
    for folder in ("x", "y"):
        (root / folder).mkdir(parents=True)
    for i in range(3):
        tone(tmp_path / f"{i}.wav", 300.0 + 100 * i, 3.0)
    shutil.copy(tmp_path / "0.wav", root / "x" / "keep.wav")
    list(apply_changes(library, {root: str(root)}, [root], embedder))
    for _ in range(12):
        place = root / draw.choice("xy") / draw.choice("ab")
        audio, cue = place.with_suffix(".wav"), place.with_suffix(".cue")
        there = draw.choice([audio, cue])
        touched = [there]
        match draw.choice(["audio", "audio", "sheet", "sheet", "nonsense", "removed", "moved"]):
            case "audio":
                shutil.copy(tmp_path / f"{draw.randrange(3)}.wav", audio)
                touched = [audio]
            case "sheet":
                cue.write_text(some_sheet(draw, f"{place.name}.flac"))
                touched = [cue]
            case "nonsense":
                cue.write_text("none")
                touched = [cue]
            case "removed":
                there.unlink(missing_ok=True)
            case "moved" if there.exists():
                to = root / draw.choice("xy") / f"{draw.choice('ab')}{there.suffix}"
                touched = [there, Path(os.path.abspath(there.replace(to)))]
        for file in filter(Path.exists, touched):
            os.utime(file, ns=(0, next(clock) * 10**9))
        list(apply_changes(library, {root: str(root)}, draw.choice([touched, [root]]), embedder, yes=True))
        with LibraryStore.open(tmp_path / f"{next(clock)}.db", create=True) as fresh:
            fresh.bind(embedder.stamp)
            list(embed_files(fresh, find_audio([root], fresh)[0], embedder))
            assert facts_of(library) == facts_of(fresh)
    assert library.verify() == []


def test_a_path_as_a_shell_completes_it_is_left_out(tmp_path, monkeypatch):
    (tmp_path / "Music" / "Live").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    root = str(tmp_path / "Music")
    with LibraryStore.open(tmp_path / "lib.db", create=True) as library:
        for typed, kept in (("Music/Live", "./Live"), ("Live/2020", "./Live/2020"), ("Music/None", "./Music/None")):
            pattern = keep_exclusions(library, [typed], {Path(root): root})[root][0]
            assert pattern.removeprefix("./") == kept.removeprefix("./")
        (tmp_path / "Music" / "Music" / "Live").mkdir(parents=True)  # what is there below the root comes first
        assert keep_exclusions(library, ["Music/Live"], {Path(root): root}) == {root: ["Music/Live"]}
