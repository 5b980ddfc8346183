"""What a scan finds in a folder, what it leaves out, and what it says of it."""

import io
import itertools
import os
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from mirclr.data.scan import (
    Exclusions,
    Part,
    PassedOver,
    ScanFailure,
    audio_at,
    audio_files,
    is_audio,
    left_out,
    place_of,
    suffix_of,
)

SHEET = 'FILE "{}" WAVE\nTRACK 01 AUDIO\nTITLE "One"\nINDEX 01 00:00:00\nTRACK 02 AUDIO\nINDEX 01 00:10:00\n'


def make(root: Path, *paths: str) -> Path:
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"fLaC")
    return root.resolve()


def scanned(root: Path, *patterns: str) -> tuple[list[str], PassedOver]:
    passed = PassedOver()
    found = audio_files(root, exclusions=Exclusions({str(root): patterns}), passed=passed)
    return [place_of(f).relative_to(root).as_posix() for f in found if not isinstance(f, ScanFailure)], passed


# what is left out


def test_bins_and_folders_of_systems_are_left_out_and_counted(tmp_path: Path) -> None:
    bins = ["#recycle", "@Recycle", "@eaDir", "#snapshot", "$RECYCLE.BIN", "System Volume Information"]
    bins += ["@tmp", "lost+found", "__MACOSX", "@Recently-Snapshot"]
    hidden = [".Trash-1000", ".Trashes", ".AppleDouble", ".@__thumb", ".snapshot"]
    root = make(tmp_path, "ok/a.flac", *(f"{name}/a.flac" for name in (*bins, *hidden)), "ok/@eaDir/a.flac")
    make(tmp_path, "ok/._a.flac", "Recycled/a.flac", "Lost + Found/a.flac")
    found, passed = scanned(root)
    assert found == ["Lost + Found/a.flac", "Recycled/a.flac", "ok/a.flac"]
    assert passed.left_out == Counter(bins) + Counter({"@eaDir": 1, "hidden": len(hidden) + 1})
    assert any(line.startswith("left out: 6 hidden, 2 @eaDir") for line in passed.lines())
    assert left_out("#RECYCLE") == "#RECYCLE"  # as a drive of Windows may be seen from elsewhere


def test_a_bin_that_is_named_is_scanned(tmp_path: Path) -> None:
    root = make(tmp_path, "#recycle/a.flac")
    assert scanned(root / "#recycle")[0] == ["a.flac"]


def test_what_is_passed_over_is_counted_in_one_line(tmp_path: Path) -> None:
    root = make(tmp_path, "a.flac", "a.nfo", "b.NFO", "x/c.nfo", "a.jpg", "b.cue")
    (root / "b.cue").write_text(SHEET.format("a.flac").partition("TRACK 02")[0])  # of one track: it says nothing
    (root / "README").write_text("text")
    found, passed = scanned(root)
    assert found == ["a.flac"]
    assert passed.suffixes == {".nfo": 3, ".jpg": 1, ".cue": 1, "": 1}
    (line,) = passed.lines()
    assert line.startswith("passed over: 3 .nfo, 1 ")
    assert sorted(line.removeprefix("passed over: 3 .nfo, ").split(", ")) == ["1 .cue", "1 .jpg", "1 without a suffix"]
    many, passed = make(tmp_path / "many", *(f"a.x{i}" for i in range(20))), PassedOver()
    assert list(audio_files(many, passed=passed)) == []
    assert passed.lines()[0].endswith("12 of other kinds")
    assert PassedOver().lines() == []


# names and first bytes


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.FLAC", ".flac"),
        ("01. A song", ""),
        ("Mr. Sandman", ""),
        ("song", ""),
        ("a.b.mp3", ".mp3"),
        ("album.mp+", ".mp+"),
        ("song.", ""),
    ],
)
def test_what_a_suffix_is(name: str, suffix: str) -> None:
    assert suffix_of(name) == suffix


def encoded(container: str, codec: str) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=48000, layout="stereo")
        planar = stream.format.is_planar
        samples = (0.1 * np.random.default_rng(0).standard_normal((2, 9600))).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.sample_rate = 48000
        resampler = av.AudioResampler(format=stream.format, layout="stereo", rate=48000, frame_size=stream.frame_size)
        assert planar in (True, False)
        for part in (*resampler.resample(frame), None):
            file.mux(stream.encode(part))
    return out.getvalue()


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("mp4", "aac"),
        ("mov", "alac"),
        ("adts", "aac"),
        ("matroska", "flac"),
        ("asf", "wmav2"),
        ("wv", "wavpack"),
        ("tta", "tta"),
        ("ac3", "ac3"),
        ("mp2", "mp2"),
        ("caf", "pcm_s16le"),
        ("w64", "pcm_s16le"),
        ("au", "pcm_s16be"),
        ("aiff", "pcm_s16be"),
        ("ogg", "flac"),
        ("dts", "dca"),
    ],
)
def test_containers_are_known_by_their_first_bytes(container: str, codec: str) -> None:
    try:
        data = encoded(container, codec)
    except (av.FFmpegError, ValueError) as error:  # not in this build
        pytest.skip(str(error))
    assert is_audio(data[:16])


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "RF64"])
def test_what_soundfile_writes_is_known(kind: str) -> None:
    if kind not in soundfile.available_formats():
        pytest.skip(f"no {kind} here")
    out = io.BytesIO()
    soundfile.write(out, np.zeros(44100) + 0.1, 44100, format=kind)
    assert is_audio(out.getvalue()[:16])


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"",
            b"\x7fELF\x02\x01\x01",
            b"%PDF-1.7",
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff\xe0\x00\x10JFIF",
            b"PK\x03\x04",
        ),
        *(
            "tekst".encode("utf-16"),
            b"# a text\nof lines",
            b"\xff\xff\xff\xff\xff",
            b"SQLite format 3\x00",
            b"RIFF....WEBP",
        ),
    ],
)
def test_what_is_no_audio_is_not_taken_for_it(data: bytes) -> None:
    assert not is_audio(data[:16])


def test_files_without_a_suffix_are_audio_by_their_first_bytes(tmp_path: Path) -> None:
    root = make(tmp_path, "01. Song", "track")
    (root / "LICENSE").write_text("You may.")
    (root / "empty").write_bytes(b"")
    found, passed = scanned(root)
    assert found == ["01. Song", "track"]
    assert passed.suffixes == {"": 2}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_and_devices_are_never_opened(tmp_path: Path) -> None:
    root = make(tmp_path, "a.flac")
    os.mkfifo(root / "pipe")
    os.mkfifo(root / "pipe.flac")
    os.mkfifo(root / "a.cue")
    assert scanned(root)[0] == ["a.flac"]
    named = [root / "pipe", root / "pipe.flac", root / "a.cue", Path("/dev/zero")]
    for file, found in audio_at(named):
        assert found == ScanFailure(file.name, "not a regular file")


# exclusions


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("Podcasts", ["Rock/a.flac", "Rock/live/b.flac", "c.flac"]),  # a name, at any depth
        ("podcasts/", ["Rock/Podcasts/p.flac", "Rock/a.flac", "Rock/live/b.flac", "c.flac"]),
        ("Podcasts/", ["Rock/a.flac", "Rock/live/b.flac", "c.flac"]),
        ("./Podcasts", ["Rock/Podcasts/p.flac", "Rock/a.flac", "Rock/live/b.flac", "c.flac"]),
        ("Rock/Podcasts", ["Podcasts/x.flac", "Rock/a.flac", "Rock/live/b.flac", "c.flac"]),
        ("Rock/*", ["Podcasts/x.flac", "c.flac"]),
        ("Rock/*.flac", ["Podcasts/x.flac", "Rock/Podcasts/p.flac", "Rock/live/b.flac", "c.flac"]),
        ("Rock/**/*.flac", ["Podcasts/x.flac", "c.flac"]),
        ("**/live", ["Podcasts/x.flac", "Rock/Podcasts/p.flac", "Rock/a.flac", "c.flac"]),
        ("?.flac", []),
        ("[abc].flac", ["Podcasts/x.flac", "Rock/Podcasts/p.flac", "Rock/a.flac", "Rock/live/b.flac", "c.flac"]),
        ("*", []),
        ("c.flac", ["Podcasts/x.flac", "Rock/Podcasts/p.flac", "Rock/a.flac", "Rock/live/b.flac"]),
    ],
)
def test_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, left: list[str]) -> None:
    monkeypatch.setattr("mirclr.data.scan._FOLDS_CASE", False)
    root = make(tmp_path, "c.flac", "Rock/a.flac", "Rock/live/b.flac", "Podcasts/x.flac", "Rock/Podcasts/p.flac")
    if pattern == "podcasts/":
        left = [*left, "Podcasts/x.flac"]
    everything = scanned(root)[0]
    assert sorted(scanned(root, pattern)[0]) == sorted(left)
    excluded = Exclusions({str(root): [pattern]})
    assert sorted(p for p in everything if not excluded.covers(root / p)) == sorted(left)
    monkeypatch.setattr("mirclr.data.scan._FOLDS_CASE", True)
    assert scanned(root, pattern.upper())[0] == scanned(root, pattern.lower())[0]


def test_brackets_are_as_they_are_and_accents_in_any_form(tmp_path: Path) -> None:
    root = make(tmp_path, "A [live]/a.flac", "e\u0301/a.flac", "b.flac")
    assert scanned(root, "A [live]", "é")[0] == ["b.flac"]


def slowly(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """The oracle: by trying what each part of a pattern may stand for."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(slowly(parts[n:], pattern[1:]) for n in range(len(parts) + 1))
    return bool(parts) and one(parts[0], pattern[0]) and slowly(parts[1:], pattern[1:])


def one(text: str, pattern: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(one(text[n:], pattern[1:]) for n in range(len(text) + 1))
    return bool(text) and (pattern[0] in ("?", text[0])) and one(text[1:], pattern[1:])


@given(
    st.lists(st.text("ab[", min_size=1, max_size=3), min_size=1, max_size=4),
    st.lists(
        st.just("**") | st.text("ab*?[", min_size=1, max_size=4).filter(lambda s: "**" not in s), min_size=2, max_size=4
    ),
)
def test_patterns_against_the_slow_way(parts: list[str], pattern: list[str]) -> None:
    root = Path(os.path.abspath("/r"))
    excluded = Exclusions({str(root): ["/".join(pattern)]})
    assert excluded.names(root.joinpath(*parts)) == slowly(tuple(parts), tuple(pattern))


def test_a_pattern_that_would_take_for_ever_does_not() -> None:
    root = Path(os.path.abspath("/r"))
    excluded = Exclusions({str(root): ["/".join(["**", "*a*a*a*a*a*a*a*a*a*a*b"] * 8)]})
    assert not excluded.covers(root.joinpath(*["a" * 200] * 20))


# CUE sheets


def test_a_file_with_a_sheet_is_its_tracks(tmp_path: Path) -> None:
    root = make(tmp_path, "x/album.flac", "x/other.flac")
    (root / "x" / "album.cue").write_text(SHEET.format("album.wav"))
    found, passed = scanned(root)
    assert found == ["x/album.flac/01", "x/album.flac/02", "x/other.flac"]
    assert (passed.suffixes, passed.remarks) == ({}, [])
    first, second = (f for f in audio_files(root) if isinstance(f, Part))
    assert (first.file, first.span, first.tags.title) == (root / "x" / "album.flac", (0.0, 10.0), "One")
    assert not first.place.exists()
    assert first.mark != second.mark
    for named in ("album.flac", "album.cue"):
        assert [f for _, f in audio_at([root / "x" / named])] == [first, second]
    assert [f for _, f in audio_at([root / "x" / "other.flac"])] == [root / "x" / "other.flac"]
    assert scanned(root, "*.cue")[0] == ["x/album.flac", "x/other.flac"]
    assert scanned(root, "x/album.flac/02")[0] == ["x/album.flac/01", "x/other.flac"]


@pytest.mark.parametrize(
    ("text", "said"),
    [(SHEET.format("gone.wav"), "names gone.wav, which is not there"), ("no sheet", "no line TRACK")],
)
def test_a_sheet_of_no_use_leaves_the_file_whole_and_is_told(tmp_path: Path, text: str, said: str) -> None:
    root = make(tmp_path, "album.flac")
    (root / "disc.cue").write_text(text)
    found, passed = scanned(root)
    assert found == ["album.flac"]
    assert said in passed.remarks[0]
    assert str(root / "disc.cue") in passed.remarks[0]


def test_the_mark_of_a_part_changes_with_what_the_sheet_says(tmp_path: Path) -> None:
    root = make(tmp_path, "a.flac")
    text = SHEET.format("a.flac")
    sheets = [text, text.replace("One", "Two"), text.replace("00:10:00", "00:11:00"), "REM DATE 1999\n" + text]
    marks = []
    for said in sheets:
        (root / "a.cue").write_text(said)
        marks.append([f.mark for f in audio_files(root) if isinstance(f, Part)])
    assert all(a[0] != b[0] for a, b in itertools.combinations(marks, 2))
    assert marks[0][1] == marks[1][1]  # of the second track nothing changed
