"""CUE sheets: what rippers write, and what is no sheet."""

import math
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mirclr.data.cue import file_named, read_cue
from mirclr.errors import CueError
from mirclr.tags import Tags

EAC = """\
REM GENRE "Hard Bop"
REM DATE 1958
REM DISCID 4C0B9A06
PERFORMER "The Quintet"
TITLE "One Night"
FILE "The Quintet - One Night.wav" WAVE
  TRACK 01 AUDIO
    TITLE "First"
    PERFORMER "The Quintet"
    FLAGS DCP
    INDEX 00 00:00:00
    INDEX 01 00:00:33
  TRACK 02 AUDIO
    TITLE "A "quoted" one"
    PERFORMER "A Guest"
    INDEX 00 03:10:00
    INDEX 01 03:12:15
  TRACK 03 AUDIO
    INDEX 01 101:00:74
"""


EAC_FILE = "The Quintet - One Night.wav"


def sheet(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "a.cue"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def numbered(*times: str, name: str = "a.wav") -> str:
    tracks = (f"TRACK {i:02} AUDIO\nINDEX 01 {time}\n" for i, time in enumerate(times, 1))
    return f'FILE "{name}" WAVE\n{"".join(tracks)}'


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_sheet_as_rippers_write_it(tmp_path: Path, end: str) -> None:
    read = read_cue(sheet(tmp_path, EAC.replace("\n", end)))
    assert list(read) == [EAC_FILE]
    first, second, third = read[EAC_FILE]
    album = {"album": "One Night", "album_artist": "The Quintet", "genre": "Hard Bop", "year": 1958}
    assert first.tags == Tags(title="First", artist="The Quintet", **album)
    assert second.tags == Tags(title='A "quoted" one', artist="A Guest", **album)
    assert third.tags == Tags(artist="The Quintet", **album)
    assert [t.number for t in (first, second, third)] == [1, 2, 3]
    (disc,) = {t.tags.disc_number for t in read_cue(sheet(tmp_path, "REM DISCNUMBER 02\n" + EAC))[EAC_FILE]}
    assert disc == 2
    # what is before INDEX 01 belongs to the track before
    assert (first.start_s, first.end_s) == (33 / 75, 192.2)
    assert (second.start_s, second.end_s) == (192.2, 6060 + 74 / 75)
    assert third.end_s == math.inf


def test_files_with_a_single_track_are_whole_and_say_nothing(tmp_path: Path) -> None:
    one_each = "".join(f'FILE "{n}.wav" WAVE\nTRACK {n:02} AUDIO\nINDEX 01 00:00:00\n' for n in (1, 2, 3))
    assert read_cue(sheet(tmp_path, one_each)) == {}
    # as EAC writes gaps: INDEX 00 at the end of the file before
    gaps = "FILE 1.wav WAVE\nTRACK 01 AUDIO\nINDEX 01 00:00:00\nTRACK 02 AUDIO\nINDEX 00 03:00:00\n"
    gaps += "FILE 2.wav WAVE\nINDEX 01 00:00:00\n"
    assert read_cue(sheet(tmp_path, gaps)) == {}
    two_sides = numbered("00:00:00", "05:00:00", name="A side.wav")
    two_sides += (
        'FILE "C:\\rips\\B side.wav" WAVE\nTRACK 03 AUDIO\nINDEX 01 00:00:00\nTRACK 04 AUDIO\nINDEX 01 04:00:00\n'
    )
    read = read_cue(sheet(tmp_path, two_sides))
    assert {name: [t.number for t in tracks] for name, tracks in read.items()} == {
        "A side.wav": [1, 2],
        "B side.wav": [3, 4],
    }


def test_a_track_of_data_is_none_and_ends_the_one_before(tmp_path: Path) -> None:
    text = numbered("00:00:00", "01:00:00") + "TRACK 03 MODE1/2352\nINDEX 01 02:00:00\n"
    (tracks,) = read_cue(sheet(tmp_path, text)).values()
    assert [(t.number, t.end_s) for t in tracks] == [(1, 60.0), (2, 120.0)]


@pytest.mark.parametrize("line", ['FILE "a b.wav" WAVE', "FILE a b.wav WAVE", "FILE a b.wav", 'file "a b.wav"'])
def test_names_of_files_with_and_without_quotes(tmp_path: Path, line: str) -> None:
    text = f"{line}\n" + numbered("00:00:00", "00:10:00").partition("\n")[2]
    assert list(read_cue(sheet(tmp_path, text))) == ["a b.wav"]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Mødested", "utf-8-sig"),
        ("Mødested", "utf-8"),
        ("Café – Été", "cp1252"),
        ("さくら ソング", "cp932"),
        ("Ключ", "utf-16"),
    ],
)
def test_encodings(tmp_path: Path, text: str, encoding: str) -> None:
    data = f'TITLE "{text}"\n{numbered("00:00:00", "00:10:00")}'.encode(encoding)
    (tracks,) = read_cue(sheet(tmp_path, data)).values()
    assert tracks[0].tags.album == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no line TRACK"),
        ("a text\nof no sheet", "no line TRACK"),
        (numbered("00:00:00", "00:60:00"), "line 5: found the time '00:60:00'"),
        (numbered("00:00:00", "00:01:75"), "line 5: found the time"),
        (numbered("00:00:00", "1:2"), "line 5: found the time"),
        (numbered("00:10:00", "00:05:00"), "do not begin one after the other"),
        (numbered("00:00:00", "00:00:00"), "do not begin one after the other"),
        (numbered("00:00:00", "00:10:00").replace("TRACK 02", "TRACK 01"), "have one number"),
        ("FILE a.wav WAVE\nTRACK xx AUDIO\n", "line 2: found TRACK"),
        ("FILE a.wav WAVE\nTRACK 01 AUDIO\nTRACK 02 AUDIO\n", "track 1 has no INDEX 01"),
        ("x" * (1 << 21), "MiB"),
    ],
)
def test_what_is_no_sheet_says_why(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CueError, match=said):
        read_cue(sheet(tmp_path, text))


@given(starts=st.lists(st.integers(0, 75 * 5999), min_size=2, max_size=60, unique=True).map(sorted))
def test_the_tracks_fill_their_file_from_the_first_on(tmp_path_factory, starts: list[int]) -> None:
    times = [f"{f // 4500:02}:{f // 75 % 60:02}:{f % 75:02}" for f in starts]
    (tracks,) = read_cue(sheet(tmp_path_factory.mktemp("cue"), numbered(*times))).values()
    assert [t.start_s for t in tracks] == [f / 75 for f in starts]
    assert [t.end_s for t in tracks[:-1]] == [t.start_s for t in tracks[1:]]


WORDS = [b"FILE ", b"TRACK ", b"INDEX 01 ", b"01 AUDIO", b'"a.wav" WAVE', b"00:00:00", b"TITLE ", b"REM DATE ", b'"']


@settings(deadline=None)
@given(st.lists(st.sampled_from([*WORDS, b"\n", b"\n"]) | st.binary(max_size=6), max_size=40).map(b"".join))
@example(b"\xff\xfeF")
def test_any_bytes_are_a_sheet_or_none(tmp_path_factory, data: bytes) -> None:
    try:
        read = read_cue(sheet(tmp_path_factory.mktemp("cue"), data))
    except CueError:
        return
    for tracks in read.values():
        assert len(tracks) > 1
        assert all(0 <= t.start_s < t.end_s for t in tracks)


def test_which_file_is_meant() -> None:
    files = ["Album.flac", "album.mp3", "other.ape"]
    assert file_named("album.mp3", "x.cue", files) == "album.mp3"
    assert file_named("ALBUM.FLAC", "x.cue", files) == "Album.flac"
    assert file_named("Album.wav", "x.cue", files) == "Album.flac"  # encoded after the sheet was written
    assert file_named("CDImage.wav", "other.cue", files) == "other.ape"
    assert file_named("CDImage.wav", "other.ape.cue", files) == "other.ape"
    assert file_named("CDImage.wav", "none.cue", files) is None
    assert file_named("e\u0301.wav", "x.cue", ["é.flac"]) == "é.flac"
