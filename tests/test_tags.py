from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirclr.tags import AUDIO_SUFFIXES, Tags, read_tags

SECONDS, RATE = 0.75, 44100


def a_file(path: Path) -> Path:
    tone = 0.1 * np.sin(np.arange(int(SECONDS * RATE)) * 0.05)
    soundfile.write(path, tone, 48000 if path.suffix == ".opus" else RATE, **_FORMATS.get(path.suffix, {}))
    return path


_FORMATS = {".opus": {"format": "OGG", "subtype": "OPUS"}, ".mp3": {"format": "MP3"}}


def tagged(path: Path, **tags: str) -> Path:
    file = mutagen.File(path, easy=True)
    if file.tags is None:
        file.add_tags()
    for key, value in tags.items():
        file[key] = value
    file.save()
    return path


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".ogg", ".opus"])
def test_the_same_tags_are_read_from_every_container(tmp_path: Path, suffix: str) -> None:
    given = {
        "title": "Nocturne № 1",
        "artist": "Ångström",
        "album": "Night",
        "albumartist": "Various",
        "genre": "Classical; Piano",
        "date": "1998-05-04",
    }
    tags = read_tags(tagged(a_file(tmp_path / f"a{suffix}"), **given))
    assert (tags.title, tags.artist, tags.album) == ("Nocturne № 1", "Ångström", "Night")
    assert (tags.album_artist, tags.genre, tags.year) == ("Various", "Classical; Piano", 1998)
    rate_change = RATE / 48000 if suffix == ".opus" else 1
    assert tags.duration_s == pytest.approx(SECONDS * rate_change, abs=0.1)


def test_id3_frames_of_a_wav_are_read(tmp_path: Path) -> None:
    from mutagen.id3 import TDRC, TIT2, TPE1
    from mutagen.wave import WAVE

    file = WAVE(a_file(tmp_path / "a.wav"))
    file.add_tags()
    file.tags.add(TIT2(encoding=3, text=["Song"]))
    file.tags.add(TPE1(encoding=3, text=["Singer"]))
    file.tags.add(TDRC(encoding=3, text=["2003"]))
    file.save()
    tags = read_tags(tmp_path / "a.wav")
    assert (tags.title, tags.artist, tags.year, tags.duration_s) == ("Song", "Singer", 2003, SECONDS)


def test_a_file_without_tags_still_has_its_duration(tmp_path: Path) -> None:
    assert read_tags(a_file(tmp_path / "a.flac")) == Tags(duration_s=SECONDS)


def test_control_characters_never_reach_a_terminal(tmp_path: Path) -> None:
    path = tagged(a_file(tmp_path / "a.flac"), title="a\x1b[31m\nb\tc", artist=" \x07 ")
    tags = read_tags(path)
    assert tags.title == "a [31m b c"
    assert tags.artist is None


@pytest.mark.parametrize("date", ["", "soon", "03", "0000"])
def test_a_date_without_a_year_gives_none(tmp_path: Path, date: str) -> None:
    assert read_tags(tagged(a_file(tmp_path / "a.ogg"), date=date)).year is None


def test_a_missing_file_raises_and_a_bad_one_does_not(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_tags(tmp_path / "none.mp3")
    (tmp_path / "text.mp3").write_text("not audio")
    (tmp_path / "empty.flac").touch()
    assert read_tags(tmp_path / "text.mp3") == read_tags(tmp_path / "empty.flac") == Tags()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(sorted(AUDIO_SUFFIXES)),
    head=st.sampled_from(
        [b"", b"ID3\x04\0\0", b"fLaC", b"OggS\0\2", b"RIFF\xff\xff\xff\xffWAVEfmt ", b"\0\0\0 ftypM4A "]
    ),
    rest=st.binary(max_size=200),
)
def test_no_bytes_whatever_make_it_raise(tmp_path: Path, suffix: str, head: bytes, rest: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(head + rest)
    assert isinstance(read_tags(path), Tags)
