import io
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirclr.tags import AUDIO_SUFFIXES, Tags, read_tags
from tests.tagged_files import frame, id3, muxed

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


def in_every_container(tmp_path: Path) -> list[Path]:
    return [a_file(tmp_path / f"a{suffix}") for suffix in (".mp3", ".flac", ".ogg", ".opus")]


def test_all_values_of_artist_and_genre_are_read_each_once(tmp_path: Path) -> None:
    for path in in_every_container(tmp_path):
        file = mutagen.File(path, easy=True)
        if file.tags is None:
            file.add_tags()
        file["artist"], file["genre"] = ["Queen", "David Bowie", "queen"], ["Rock", "Pop; Rock"]
        file.save()
        tags = read_tags(path)
        assert (tags.artist, tags.genre) == ("Queen; David Bowie", "Rock; Pop")


def test_the_year_is_that_of_the_first_release(tmp_path: Path) -> None:
    for path in in_every_container(tmp_path):
        assert read_tags(tagged(path, date="2004-05-00")).year == 2004
        assert read_tags(tagged(path, originaldate="1965-11-01")).year == 1965


@pytest.mark.parametrize(("version", "frames"), [(4, ["TDOR"]), (3, ["TORY"]), (3, ["TXXX:ORIGYEAR"])])
def test_the_first_year_of_id3_is_read_in_each_version(tmp_path: Path, version: int, frames: list[str]) -> None:
    path = a_file(tmp_path / "a.mp3")
    from mutagen import id3

    tag = id3.ID3()
    tag.add(id3.TDRC(encoding=3, text="2004"))
    for name in frames:
        if name.startswith("TXXX:"):
            tag.add(id3.TXXX(encoding=3, desc=name[5:], text="1965"))
        else:
            tag.add(id3.TDOR(encoding=3, text="1965"))
    tag.save(path, v2_version=version)
    assert read_tags(path).year == 1965


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("0", False), (None, None)])
def test_a_compilation_says_so(tmp_path: Path, value: str | None, expected: bool | None) -> None:
    from mutagen.id3 import ID3, TCMP

    for path in in_every_container(tmp_path)[1:]:
        assert read_tags(tagged(path, **({"compilation": value} if value else {"title": "T"}))).compilation is expected
    path = a_file(tmp_path / "a.mp3")
    tag = ID3()
    if value:
        tag.add(TCMP(encoding=0, text=value))
    tag.save(path, v2_version=3)
    assert read_tags(path).compilation is expected


def test_tags_of_other_places_are_read_where_the_usual_ones_are_silent(tmp_path: Path) -> None:
    from mutagen.apev2 import APEv2
    from mutagen.id3 import ID3, TIT2

    path = a_file(tmp_path / "a.mp3")
    ape = APEv2()
    ape["Title"], ape["Artist"], ape["Genre"], ape["Year"] = "Ape Title", ["A", "B"], "Doom Metal", "1999"
    ape.save(path)
    tags = read_tags(path)
    assert (tags.title, tags.artist, tags.genre, tags.year) == ("Ape Title", "A; B", "Doom Metal", 1999)
    id3 = ID3()
    id3.add(TIT2(encoding=1, text="ID3 Title"))
    id3.save(path, v1=2)
    tags = read_tags(path)
    assert (tags.title, tags.artist) == ("ID3 Title", "A; B")


def test_riff_info_is_read_in_utf8_and_in_windows_code_page(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.wav")
    data = path.read_bytes()
    parts = b"".join(
        name + len(text).to_bytes(4, "little") + text + bytes(len(text) % 2)
        for name, text in (
            (b"INAM", "Träume\0".encode()),
            (b"IART", "Märchen\0".encode("cp1252")),
            (b"ICRD", b"2001-02"),
        )
    )
    body = data[8:] + b"LIST" + (len(parts) + 4).to_bytes(4, "little") + b"INFO" + parts
    path.write_bytes(data[:4] + len(body).to_bytes(4, "little") + body)
    tags = read_tags(path)
    assert (tags.title, tags.artist, tags.year, tags.duration_s) == ("Träume", "Märchen", 2001, SECONDS)


@pytest.mark.parametrize(("suffix", "kind", "codec"), [(".mka", "matroska", "libopus"), (".webm", "webm", "libopus")])
def test_matroska_is_read_and_left(tmp_path: Path, suffix: str, kind: str, codec: str) -> None:
    from mirclr.errors import TagsError
    from mirclr.ingest.tagging import write_values

    path = tmp_path / f"a{suffix}"
    given = {
        "title": "Song",
        "artist": "Ångström",
        "album": "Night",
        "genre": "Folk",
        "date": "1998",
        "album_artist": "V",
    }
    path.write_bytes(muxed(path, kind, codec, rate=48000, metadata=given))
    tags = read_tags(path)
    assert (tags.title, tags.artist, tags.album, tags.genre) == ("Song", "Ångström", "Night", "Folk")
    assert (tags.album_artist, tags.year) == ("V", 1998)
    assert tags.duration_s == pytest.approx(2.76, abs=0.1)
    before = path.read_bytes()
    with pytest.raises(TagsError, match="read and not written"):
        write_values(path, {"key": ["C"]})
    assert path.read_bytes() == before


def with_places(path: Path, track: str, disc: str) -> Path:
    """A file whose tags state a track and a disc, as its kind states them."""
    if path.suffix in (".m4a", ".wma", ".mka"):
        kind, codec, rate = {
            ".m4a": ("ipod", "aac", RATE),
            ".wma": ("asf", "wmav2", RATE),
            ".mka": ("matroska", "libopus", 48000),
        }[path.suffix]
        names = ("WM/TrackNumber", "WM/PartOfSet") if path.suffix == ".wma" else ("track", "disc")
        muxed(path, kind, codec, rate=rate, metadata=dict(zip(names, (track, disc), strict=True)))
        return path
    return tagged(a_file(path), tracknumber=track, discnumber=disc)


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".ogg", ".opus", ".m4a", ".wma", ".mka"])
def test_the_place_in_an_album_is_read_from_every_container(tmp_path: Path, suffix: str) -> None:
    tags = read_tags(with_places(tmp_path / f"a{suffix}", "03/12", "2/2"))
    assert (tags.track_number, tags.disc_number) == (3, 2)


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("07 / 9", 7), ("0", None), ("A3", None), ("99999", None)])
def test_a_place_is_a_number_from_1(tmp_path: Path, text: str, number: int | None) -> None:
    tags = read_tags(tagged(a_file(tmp_path / "a.flac"), tracknumber=text, discnumber=text))
    assert (tags.track_number, tags.disc_number) == (number, number)


def test_places_of_old_id3_are_read(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.mp3")
    audio = path.read_bytes()
    path.write_bytes(id3(2, frame(b"TRK", b"\x004/9", 2), frame(b"TPA", b"\x001", 2)) + audio)
    assert (read_tags(path).track_number, read_tags(path).disc_number) == (4, 1)
    path.write_bytes(audio + b"TAG" + bytes(122) + bytes((0, 5, 17)))
    assert (read_tags(path).track_number, read_tags(path).disc_number) == (5, None)


def test_a_new_tag_of_mp4_takes_the_places_over(tmp_path: Path) -> None:
    from mirclr.tags.block import Source
    from mirclr.tags.mp4 import ItemList

    block = ItemList(Source(io.BytesIO()), 0, None, ())
    for name, text, read in (("trkn", "3/12", ("3/12",)), ("disk", "2", ("2",)), ("disk", "B", ())):
        (item,) = block.made(name, [text])
        assert block.texts(item) == read
