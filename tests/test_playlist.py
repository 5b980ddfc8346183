import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mirclr.library import LibraryTrack
from mirclr.playlist import read_m3u8, write_m3u8


def track(file, title=None, artist=None, duration_s=61.6):
    return LibraryTrack(1, str(file.parent), file.name, duration_s, title, artist, None, None, None, None, "d")


if os.name == "nt":
    characters = st.sampled_from("abc #é日%&+ -")
else:
    characters = st.characters(exclude_characters="/\0", exclude_categories=("Cs",)) | st.sampled_from(
        "#%:?\\ \n\r\t\u2028\x85\ufeff\udcff\udce9"
    )
names = st.text(characters, min_size=1, max_size=12).filter(lambda n: n.strip(". ") != "" or n.strip(".") != "")
names = names.filter(lambda n: n not in (".", "..") and (os.name != "nt" or n == n.rstrip(" .")))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(names, min_size=1, max_size=3), max_size=5), st.booleans(), st.booleans())
@example([["#1 hit.ogg"], [" lead.ogg"], ["trail.ogg "], ["a\nb.ogg"], ["#EXTM3U"], ["file:", "x"]], False, False)
def test_what_is_written_is_read(parts, absolute, deep):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        files = [root.joinpath(*p) for p in parts]
        path = root / "lists" / "deep" / "l.m3u8" if deep else root / "l.m3u8"
        write_m3u8(path, [track(f, "T", "A") for f in files], title="mine", absolute=absolute)
        assert read_m3u8(path) == files


def test_the_text_of_a_playlist(tmp_path):
    tracks = [
        track(tmp_path / "music" / "a b.ogg", "Title", "Artist"),
        track(tmp_path / "music" / "#1.ogg", "Only\nTitle\r\x1b[31m"),
        track(tmp_path / "lists" / "#2.ogg", duration_s=0.0),
    ]
    write_m3u8(tmp_path / "lists" / "l.m3u8", tracks, title="near\nX")
    assert (tmp_path / "lists" / "l.m3u8").read_bytes().decode() == (
        "#EXTM3U\n"
        "#PLAYLIST:near X\n"
        "#EXTINF:62,Artist - Title\n"
        "../music/a b.ogg\n"
        "#EXTINF:62,Only�Title��[31m\n"
        "../music/#1.ogg\n"
        "#EXTINF:-1,#2.ogg\n"
        "./#2.ogg\n"
    )
    write_m3u8(tmp_path / "lists" / "l.m3u8", tracks[:1], absolute=True)
    assert (tmp_path / "lists" / "l.m3u8").read_text().splitlines()[2] == (tmp_path / "music" / "a b.ogg").as_posix()


@pytest.mark.parametrize("name", ["a ", "a\nb", "a\rb"])
def test_a_name_that_a_line_cannot_carry_becomes_a_uri(tmp_path, name):
    write_m3u8(tmp_path / "l.m3u8", [track(tmp_path / name)])
    assert (tmp_path / "l.m3u8").read_text().splitlines()[-1] == (tmp_path / name).as_uri()


def test_playlists_of_other_programs(tmp_path):
    path = tmp_path / "l.m3u"
    path.write_bytes(
        b"\xef\xbb\xbf#EXTM3U\r\n\r\n#EXTINF:1,x\r\na.ogg\r\nsub/../b.ogg\r\n"
        b"http://radio/x\r\nFILE:///m/c%20d%C3%A9.ogg\r\n"
    )
    c = Path(os.path.abspath(os.sep + "m")) / "c dé.ogg"
    assert read_m3u8(path) == [tmp_path.resolve() / "a.ogg", tmp_path.resolve() / "b.ogg", c]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_relative_paths_hold_through_a_linked_folder(tmp_path):
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "a.ogg").touch()
    (tmp_path / "lists").symlink_to(tmp_path / "far" / "away")
    path = tmp_path / "lists" / "l.m3u8"
    write_m3u8(path, [track(tmp_path / "a.ogg")])
    line = path.read_text().splitlines()[-1]
    assert (path.parent / line).exists()  # as a player resolves it
    assert read_m3u8(path)[0].samefile(tmp_path / "a.ogg")


def test_a_failed_write_leaves_the_old_list(tmp_path):
    path = tmp_path / "l.m3u8"
    write_m3u8(path, [track(tmp_path / "a.ogg")])
    before = path.read_bytes()
    with pytest.raises(AttributeError):
        write_m3u8(path, [track(tmp_path / "b.ogg"), None])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["l.m3u8"]
