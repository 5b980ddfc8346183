import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from mirclr.data.manifest import (
    ScanFailure,
    Track,
    check_tracks,
    examine_manifest,
    inside,
    read_manifest,
    scan_folder,
    write_manifest,
)
from mirclr.errors import ManifestError
from mirclr.provenance import sha256_of
from tests.commands import invoke

links = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
positive = st.floats(1e-3, 1e5)
tracks = st.builds(
    Track,
    id=texts,
    path=st.lists(st.from_regex(r"[a-zé ]{1,8}", fullmatch=True), min_size=1, max_size=3).map("/".join),
    start_s=st.floats(0, 1e4),
    duration_s=st.none() | positive,
    title=st.none() | texts,
    artist=st.none() | texts,
    moods=st.lists(texts, max_size=3).map(tuple),
    tags=st.lists(texts, max_size=3).map(tuple),
    split=st.sampled_from([None, "train", "valid", "test"]),
    sha256=st.none() | st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    source=st.none() | st.dictionaries(texts, texts, max_size=2),
)


def sound(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(8000, 0.1), 16000)
    return path


def a_track(**fields: object) -> Track:
    return Track.model_validate({"id": "a", "path": "a.wav", **fields})


def run(*arguments: object):
    return invoke([str(a) for a in arguments], standalone_mode=False)


@given(st.lists(tracks, max_size=5))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, some: list[Track]) -> None:
    path = tmp_path_factory.getbasetemp() / "round.jsonl"
    write_manifest(path, some)
    first = path.read_bytes()
    assert read_manifest(path) == some
    write_manifest(path, read_manifest(path))
    assert path.read_bytes() == first


def test_fields_that_say_nothing_are_left_out(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.jsonl", [a_track(title="é")])
    assert json.loads((tmp_path / "m.jsonl").read_text("utf-8")) == {"id": "a", "path": "a.wav", "title": "é"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"id": "b"}', "field 'path' is missing"),
        ('{"id": "b", "path": "b.wav", "mood": []}', "field 'mood'"),
        ('{"id": "b", "path": "b.wav", "duration_s": "3"}', "field 'duration_s'"),
        ('{"id": "b", "path": "b.wav", "duration_s": -1.0}', "-1.0"),
        ('{"id": "b", "path": "b.wav", "duration_s": NaN}', "duration_s"),
        ('{"id": "b", "path": "b.wav", "split": "dev"}', "'dev'"),
        ('{"id": "b", "path": "../b.wav"}', "'..'"),
        ('{"id": "", "path": "b.wav"}', "field 'id'"),
        ('["b"]', "line"),
        ("{", "not a line of JSON"),
        ('{"id": "\xff"', "not a line of JSON"),
    ],
)
def test_an_error_names_file_line_field_and_finding(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"id": "a", "path": "a.wav"}\n\n' + line.encode("latin-1"))
    with pytest.raises(ManifestError) as error:
        read_manifest(path)
    assert str(error.value).startswith(f"{path}:3: ")
    assert told in str(error.value)
    good, problems = examine_manifest(path)
    assert [t.id for t in good] == ["a"]
    assert problems


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../a",
        "a/../../b",
        "a\\..\\..\\b",
        "C:\\a.wav",
        "C:/a.wav",
        "\\\\host\\a",
        "a\0b",
        "//h/s/a",
    ],
)
def test_no_path_leaves_the_root(tmp_path: Path, path: str) -> None:
    with pytest.raises(ManifestError, match="path"):
        inside(tmp_path, path)
    with pytest.raises(ValueError, match="path"):
        a_track(path=path)


@given(st.lists(st.sampled_from(["..", ".", "a", "b c", "", "/", "\\", "C:", "é"]), max_size=6).map("/".join))
def test_inside_gives_a_file_below_the_root_or_refuses(path: str) -> None:
    root = Path(__file__).parent
    try:
        file = inside(root, path)
    except ManifestError:
        return
    assert file.is_relative_to(root.resolve())


@links
def test_no_link_leaves_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    sound(tmp_path / "out" / "a.wav")
    sound(root / "in.wav")
    (root / "away").symlink_to(tmp_path / "out")
    (root / "alias.wav").symlink_to(root / "in.wav")
    (root / "loop").symlink_to(root / "loop")
    assert inside(root, "alias.wav") == (root / "in.wav").resolve()
    with pytest.raises(ManifestError, match="link"):
        inside(root, "away/a.wav")
    problems = check_tracks([a_track(path="away/a.wav"), a_track(id="b", path="loop/a.wav")], root)
    assert len(problems) == 2


def test_what_breaks_the_split_rules_is_told() -> None:
    some = [
        a_track(id="1", artist="X", split="train"),
        a_track(id="2", artist="X", split="valid"),
        a_track(id="3", recording="r", split="train"),
        a_track(id="4", recording="r", split="test"),
        a_track(id="4", artist="Y"),
        a_track(id="5", artist="Y", split="train"),
    ]
    problems = check_tracks(some)
    assert len(problems) == 3
    assert any("artist 'X'" in p and "train (1)" in p and "valid (2)" in p for p in problems)
    assert any("recording 'r'" in p for p in problems)
    assert any("id '4'" in p for p in problems)


def test_an_artist_written_in_two_ways_is_one_in_two_splits() -> None:
    some = [a_track(id="1", artist="Queen", split="train"), a_track(id="2", artist="Queen feat. X", split="test")]
    some += [a_track(id="3", artist="Various Artists", split=split) for split in ("train", "test")]
    assert [p for p in check_tracks(some) if "splits" in p] == ["artist 'Queen' is in 2 splits: test (2); train (1)"]


@given(st.lists(st.tuples(st.sampled_from([None, "A", "B"]), st.sampled_from([None, "train", "test"])), max_size=8))
def test_artists_in_two_splits_against_a_plain_count(rows: list[tuple[str | None, str | None]]) -> None:
    some = [a_track(id=str(i), artist=artist, split=split) for i, (artist, split) in enumerate(rows)]
    torn = {a for a, s in rows if a and s and any(b == a and t and t != s for b, t in rows)}
    problems = check_tracks(some)
    assert len(problems) == len(torn)
    assert all(any(f"artist {name!r}" in p for p in problems) for name in torn)


def test_files_and_digests_are_checked_only_with_a_root(tmp_path: Path) -> None:
    digest = sha256_of(sound(tmp_path / "a.wav"))
    good, bad = a_track(sha256=digest), a_track(id="b", sha256="0" * 64)
    absent = a_track(id="c", path="c.wav")
    assert check_tracks([good, bad, absent]) == []
    problems = check_tracks([good, bad, absent], tmp_path)
    assert len(problems) == 2
    assert digest in problems[0]
    assert "no file 'c.wav'" in problems[1]


def test_a_scan_takes_audio_in_order_and_reports_the_rest(tmp_path: Path) -> None:
    for name in ("b/2.flac", "b/1.wav", "a.ogg", "b/.hidden.wav", ".git/x.wav"):
        sound(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "bad.mp3").write_text("not audio")
    (tmp_path / "empty.wav").touch()
    found = list(scan_folder(tmp_path))
    assert [t.path for t in found if isinstance(t, Track)] == ["a.ogg", "b/1.wav", "b/2.flac"]
    assert {f.path for f in found if isinstance(f, ScanFailure)} == {"bad.mp3", "empty.wav"}
    assert found == list(scan_folder(tmp_path))
    assert next(t for t in found if isinstance(t, Track)).duration_s == 0.5


def test_ids_are_unique_and_survive_a_new_neighbour(tmp_path: Path) -> None:
    for i in range(5):
        sound(tmp_path / f"{i}.wav")
    before = {t.path: t.id for t in scan_folder(tmp_path) if isinstance(t, Track)}
    sound(tmp_path / "0a.wav")
    after = {t.path: t.id for t in scan_folder(tmp_path) if isinstance(t, Track)}
    assert len(set(after.values())) == 6
    assert before.items() <= after.items()


@links
def test_links_are_neither_followed_twice_nor_out_of_the_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    sound(root / "d" / "a.wav")
    sound(tmp_path / "out" / "b.wav")
    (root / "again.wav").symlink_to(root / "d" / "a.wav")
    (root / "d" / "up").symlink_to(root)
    (root / "away").symlink_to(tmp_path / "out")
    (root / "gone.wav").symlink_to(root / "nothing")
    found = list(scan_folder(root))
    assert [t.path for t in found if isinstance(t, Track)] == ["d/a.wav"]
    assert {f.path for f in found if isinstance(f, ScanFailure)} == {"away", "gone.wav"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes there")
def test_a_pipe_does_not_hang_the_scan(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    assert [f.path for f in scan_folder(tmp_path)] == ["pipe.wav"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names are Unicode there")
def test_a_name_that_is_not_unicode_is_a_failure_and_prints_on_one_line(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav")
    os.rename(tmp_path / "a.wav", os.fsencode(tmp_path) + b"/\xff\n.wav")
    assert [type(f) for f in scan_folder(tmp_path)] == [ScanFailure]
    result = run("manifest", "scan", tmp_path, "-o", tmp_path / "m.jsonl")
    assert result.exception is None
    assert "\\udcff\\n.wav: " in result.output


def test_a_folder_that_cannot_be_read_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound(tmp_path / "a.wav")
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refuse(path: str):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = list(scan_folder(tmp_path))
    assert [t.path for t in found] == ["a.wav", "locked"]
    assert isinstance(found[1], ScanFailure)


def test_scan_and_check_on_the_command_line(tmp_path: Path) -> None:
    sound(tmp_path / "music" / "a.wav")
    (tmp_path / "music" / "bad.mp3").write_text("x")
    manifest = tmp_path / "m.jsonl"
    result = run("manifest", "scan", tmp_path / "music", "-o", manifest)
    assert "bad.mp3: " in result.output
    assert "1 track listed in " in result.output
    assert run("manifest", "check", manifest, "--audio-root", tmp_path / "music").return_value == 0
    manifest.write_text(manifest.read_text() * 2 + "nonsense\n")
    result = run("manifest", "check", manifest, "--json")
    assert result.return_value == 1
    problems = json.loads(result.output)["problems"]
    assert len(problems) == 2
    assert f"{manifest}:3" in problems[0]
