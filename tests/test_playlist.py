import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ET
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mirclr.errors import PlaylistError
from mirclr.library import LibraryTrack
from mirclr.recommend.playlist import SUFFIXES, read_entries, read_playlist, write_playlist

posix = pytest.mark.skipif(os.name == "nt", reason="names that Windows does not have")


def track(file, title=None, artist=None, duration_s=61.6, album=None):
    return LibraryTrack(1, str(file.parent), file.name, duration_s, title, artist, album, None, None, None, "d")


if os.name == "nt":
    characters = st.sampled_from("abc #é日%&+ -")
else:
    characters = st.characters(exclude_characters="/\0", exclude_categories=("Cs",)) | st.sampled_from(
        "#%:?\\ \n\r\t\u2028\x85\ufeff\udcff\udce9\"'<>&[]2f0"
    )
names = st.text(characters, min_size=1, max_size=12).filter(lambda n: n.strip(". ") != "" or n.strip(".") != "")
names = names.filter(lambda n: n not in (".", "..") and (os.name != "nt" or n == n.rstrip(" .")))
NASTY = [
    "#1 hit",
    " lead",
    "trail ",
    "a\nb",
    "#EXTM3U",
    "100%",
    "a%20b",
    "%2e%2e",
    "what?",
    'it\'s "x"',
    "<&>]]>",
    "é日",
]
NASTY += ["a:b", "file:", "http:", "\\", "\ufeff", "\udce9", "\u2028", "e\u0301", "%00", ".hidden", "a;b=c&d"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(names, min_size=1, max_size=3), max_size=5), st.booleans(), st.booleans())
@example([[n] for n in NASTY[:12]], False, False)
@example([["file:", "x"], ["http:", "y"], ["C:", "z"]], False, False)
def test_what_is_written_is_read(suffix, parts, absolute, deep):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        files = [root.joinpath(*p) for p in parts]
        path = root / "lists" / "deep" / f"l{suffix}" if deep else root / f"l{suffix}"
        write_playlist(path, [track(f, "T", "A") for f in files], title="mine", absolute=absolute)
        assert read_playlist(path) == files


@posix
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("absolute", [False, True])
def test_names_of_every_kind_are_read_whether_they_are_there_or_not(tmp_path, suffix, absolute):
    files = [tmp_path.resolve() / "music" / name for name in NASTY]
    path = tmp_path / f"l{suffix}"
    write_playlist(path, [track(f) for f in files], absolute=absolute)
    assert read_playlist(path) == files
    (tmp_path / "music").mkdir()
    for file in files:
        file.touch()
    assert read_playlist(path) == files


@posix
@pytest.mark.parametrize("suffix", SUFFIXES)
@given(text=st.text(st.characters() | st.sampled_from("\udcff\x00\x1b\ufffe")))
@settings(max_examples=30, deadline=None)
def test_no_text_damages_a_playlist(suffix, text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder).resolve() / f"l{suffix}"
        write_playlist(path, [track(path.parent / "a.ogg", text, text, album=text)] * 2, title=text)
        path.read_bytes().decode("utf-8")
        assert read_playlist(path) == [path.parent / "a.ogg"] * 2


def test_the_text_of_an_m3u8(tmp_path):
    tracks = [
        track(tmp_path / "music" / "a b.ogg", "Title", "Artist"),
        track(tmp_path / "music" / "#1.ogg", "Only\nTitle\r\x1b[31m"),
        track(tmp_path / "lists" / "#2.ogg", duration_s=0.0),
    ]
    write_playlist(tmp_path / "lists" / "l.m3u8", tracks, title="near\nX")
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
    write_playlist(tmp_path / "lists" / "l.m3u8", tracks[:1], absolute=True)
    assert (tmp_path / "lists" / "l.m3u8").read_text().splitlines()[2] == (tmp_path / "music" / "a b.ogg").as_posix()


@posix
@pytest.mark.parametrize("name", ["a ", "a\nb", "a\rb", "\udce9.ogg"])
def test_a_name_that_a_line_cannot_carry_becomes_a_uri(tmp_path, name):
    write_playlist(tmp_path / "l.m3u8", [track(tmp_path / name)])
    assert (tmp_path / "l.m3u8").read_text("utf-8").splitlines()[-1] == (tmp_path / name).as_uri()


def test_the_elements_of_an_xspf(tmp_path):
    tracks = [track(tmp_path / "m" / "é #1.ogg", "T <&>", "A", album="B"), track(tmp_path / "x.ogg", duration_s=0.0)]
    write_playlist(tmp_path / "l" / "l.xspf", tracks, title="near\nX")
    ns = "{http://xspf.org/ns/0/}"
    root = ET.parse(tmp_path / "l" / "l.xspf").getroot()
    assert (root.tag, root.get("version"), root.findtext(f"{ns}title")) == (f"{ns}playlist", "1", "near X")
    assert [[(e.tag.removeprefix(ns), e.text) for e in t] for t in root.iter(f"{ns}track")] == [
        [
            ("location", "../m/%C3%A9%20%231.ogg"),
            ("title", "T <&>"),
            ("creator", "A"),
            ("album", "B"),
            ("duration", "61600"),
        ],
        [("location", "../x.ogg")],
    ]


def test_the_keys_of_a_jspf(tmp_path):
    file = tmp_path / "é #1.ogg"
    write_playlist(tmp_path / "l.jspf", [track(file, "T", "A", album="B")], title="near X", absolute=True)
    assert json.loads((tmp_path / "l.jspf").read_text("utf-8")) == {
        "playlist": {
            "title": "near X",
            "track": [
                {"location": [file.as_uri()], "title": "T", "creator": "A", "album": "B", "duration": 61600},
            ],
        }
    }


def paths(folder, *names):
    return [folder.resolve() / name for name in names]


def test_m3u_of_other_programs(tmp_path):
    path = tmp_path / "l.m3u"
    path.write_bytes(
        b"\xef\xbb\xbf#EXTM3U\r\n\r\n#EXTINF:1,x\r\na.ogg\r\nsub/../b.ogg\r\n"
        b"http://radio/x\r\nFILE:///m/c%20d%C3%A9.ogg  \r\nfile://elsewhere/m/x.ogg\r\nfile://localhost/m/y.ogg"
    )
    m = Path(os.path.abspath(os.sep + "m"))
    assert read_playlist(path) == [*paths(tmp_path, "a.ogg", "b.ogg"), m / "c dé.ogg", m / "y.ogg"]


def test_the_names_of_an_m3u_entry(tmp_path):
    path = tmp_path / "l.m3u8"
    path.write_text(
        "#EXTM3U\n#EXTART:A\n#EXTALB:First\n#EXTINF:8,One\n/x/1\n#EXTINF:8,Two - Live\n/x/2\n"
        '#extart: C\n#EXTALB:Second\n#EXTINF:8.5 group="a, b" logo="c,d",E, F - "Three", or 3\n/x/3\n/x/4\n'
    )
    one, two, three, four = read_entries(path)
    assert (one.names, one.album, one.duration_s) == ((("A", "One"),), "First", 8)
    assert two.names == (("Two", "Live"), ("Live", "Two"), ("A", "Two - Live"))
    assert three.names[0] == ("E, F", '"Three", or 3')
    assert (three.names[-1], three.album, three.duration_s) == (("C", 'E, F - "Three", or 3'), "Second", 8.5)
    assert not four.names


@pytest.mark.parametrize(("data", "name"), [(b"caf\xe9 \x80.ogg", "café €.ogg"), (b"\xe9\x81.ogg", "é\x81.ogg")])
def test_an_m3u_that_is_not_utf8_is_windows_1252_or_latin_1(tmp_path, data, name):
    (tmp_path / "l.M3U").write_bytes(b"#EXTM3U\r\n" + data + b"\r\n")
    assert read_playlist(tmp_path / "l.M3U") == paths(tmp_path, name)


@pytest.mark.parametrize("name", ["宇多田ヒカル/ひかり.ogg", "Perfume／ワンルーム・ディスコ.ogg", "ソ表示.ogg"])
def test_an_m3u_of_japan_is_shift_jis(tmp_path, name):
    names = [f"サザンオールスターズ - {i}.ogg" for i in range(2)] + [name]
    (tmp_path / "l.m3u").write_bytes("".join(f"{n}\r\n" for n in names).encode("cp932"))
    assert read_playlist(tmp_path / "l.m3u") == paths(tmp_path, *names)


@pytest.mark.parametrize("name", ["Größe Äußerst.ogg", "Ñandú ¿Qué ƒ‚?.ogg", "ÀÁÂÃ ÈÉÊ.ogg"])
def test_an_m3u_of_the_west_is_no_shift_jis(tmp_path, name):
    (tmp_path / "l.m3u").write_bytes(name.encode("cp1252"))
    assert read_playlist(tmp_path / "l.m3u") == paths(tmp_path, name)


@posix
def test_the_bytes_of_an_m3u8_that_is_not_utf8_are_the_name(tmp_path):
    (tmp_path / "l.m3u8").write_bytes(b"\xe9.ogg\n")
    assert read_playlist(tmp_path / "l.m3u8") == paths(tmp_path, "\udce9.ogg")


def test_an_m3u_as_vlc_writes_it_finds_files_by_decoding(tmp_path):
    (tmp_path / "a b.ogg").touch()
    (tmp_path / "l.m3u").write_text("#EXTM3U\n#EXTINF:8,A - B\na%20b.ogg\nc%20d.ogg\n")
    assert read_playlist(tmp_path / "l.m3u") == paths(tmp_path, "a b.ogg", "c%20d.ogg")


@posix
def test_an_m3u8_as_foobar_writes_it_finds_files_below(tmp_path):
    (tmp_path / "Ä").mkdir()
    (tmp_path / "Ä" / "b.ogg").touch()
    (tmp_path / "l.m3u8").write_bytes(b"\xef\xbb\xbf#\r\n" + "Ä\\b.ogg\r\n".encode())
    assert read_playlist(tmp_path / "l.m3u8") == paths(tmp_path, "Ä/b.ogg")


XSPF = """<?xml version="1.0" encoding="UTF-8"?>
<playlist xmlns="http://xspf.org/ns/0/" xmlns:vlc="http://www.videolan.org/vlc/playlist/ns/0/" version="1">
  <title>Playlist</title><location>http://of/the/list</location>
  <trackList>
    <track>
      <location>file:///m/c%20d%C3%A9%231.ogg</location><duration>8000</duration>
      <extension application="http://www.videolan.org/vlc/playlist/0">
        <vlc:id>0</vlc:id><location>not/this.ogg</location>
      </extension>
    </track>
    <track><location>http://radio/x</location></track>
    <track><title>no location</title></track>
    <track><location></location></track>
    <track><location>http://radio/y</location><location>second.ogg</location></track>
    <track><location>bad%00.ogg</location><title>&lt;</title></track>
  </trackList>
</playlist>
"""


def test_an_xspf_as_vlc_writes_it(tmp_path):
    (tmp_path / "l.xspf").write_text(XSPF, "utf-8")
    m = Path(os.path.abspath(os.sep + "m"))
    assert read_playlist(tmp_path / "l.xspf")[:2] == [m / "c dé#1.ogg", *paths(tmp_path, "second.ogg")]
    (tmp_path / "l.xspf").write_bytes(XSPF.replace("UTF-8", "UTF-16").encode("utf-16"))
    assert read_playlist(tmp_path / "l.xspf")[0] == m / "c dé#1.ogg"


def test_an_xspf_as_clementine_writes_it_relative_and_not_encoded(tmp_path):
    for name in ("a b [é].ogg", "#1 100%.ogg"):
        (tmp_path / name).touch()
    (tmp_path / "l.xspf").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList>\n'
        "<track><location>a b [é].ogg</location><title>T</title></track>\n"
        "<track><location>\n  #1 100%.ogg\n</location></track>\n"
        "<track><location>sub/../c%20d.ogg</location></track>\n"
        "</trackList></playlist>",
        "utf-8",
    )
    assert read_playlist(tmp_path / "l.xspf") == paths(tmp_path, "a b [é].ogg", "#1 100%.ogg", "c d.ogg")


def test_a_jspf_as_listenbrainz_exports_it(tmp_path):
    recording = "https://musicbrainz.org/recording/e97f805a-ab48-4c52-855e-07049142113d"
    tracks = [
        {"identifier": [recording], "title": "T", "creator": "A", "album": "B", "duration": 8000, "extension": {}},
        {"identifier": [recording], "location": ["https://radio/x", "a%20b.ogg"]},
        {"location": "file:///m/c.ogg"},
        {"location": [None, 5, "\ud800.ogg"]},
        {"location": []},
        "damaged",
    ]
    playlist = {"creator": "lucifer", "date": "2024-01-01T00:00:00+00:00", "identifier": "x", "title": "L"}
    (tmp_path / "l.jspf").write_text(json.dumps({"playlist": {**playlist, "track": tracks}}))
    m = Path(os.path.abspath(os.sep + "m"))
    assert read_playlist(tmp_path / "l.jspf") == [*paths(tmp_path, "a b.ogg"), m / "c.ogg"]


LAUGHS = '<!DOCTYPE p [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("l.nfo", b"", "ends in .nfo; a playlist ends in one of .m3u8, .m3u, .xspf, .jspf"),
        ("list", b"", "has no suffix"),
        ("l.m3u8", b"#EXTM3U\na.ogg\nb\0.ogg\n", "line 3 is not text"),
        ("l.m3u", b"a.ogg\0b", "line 1 is not text"),
        ("l.xspf", b"", "line 1: not XML"),
        ("l.xspf", XSPF.partition("</duration>")[0].encode(), "line 6: not XML"),
        ("l.xspf", XSPF.replace("<title>P", "<title>&b;").encode(), "line 3: not XML .undefined entity"),
        ("l.xspf", XSPF.replace("<playlist", LAUGHS + "<playlist").encode(), "has a DOCTYPE"),
        (
            "l.xspf",
            XSPF.replace("UTF-8", "UTF-16").replace("<playlist", LAUGHS + "<playlist").encode("utf-16"),
            "a DOCTYPE",
        ),
        ("l.xspf", b'<!DOCTYPE p SYSTEM "file:///etc/passwd"><p/>', "has a DOCTYPE"),
        ("l.xspf", b'<?xml version="1.0" encoding="klingon"?><playlist/>', "klingon"),
        ("l.xspf", b"<html><body/></html>", "holds <html>; expected an XSPF <playlist>"),
        ("l.xspf", b"<playlist>" + b"<a>" * 100_000, "nested too deeply"),
        ("l.jspf", b'{"playlist":\n{,', "line 2: not JSON"),
        ("l.jspf", b"\xff\xfe\xfd", "not JSON"),
        ("l.jspf", b"[" * 100_000, "not JSON"),
        ("l.jspf", b'{"playlist": {"track": {}}}', "holds no list at playlist.track"),
        ("l.jspf", b"[]", "holds no list at playlist.track"),
    ],
)
def test_a_damaged_playlist_is_named_with_what_is_wrong(tmp_path, name, data, says):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(PlaylistError, match=says) as caught:
        read_playlist(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_above_the_limit_is_refused(tmp_path, suffix):
    with (tmp_path / f"l{suffix}").open("wb") as f:
        f.truncate((64 << 20) + 1)
    with pytest.raises(PlaylistError, match="above 64 MiB"):
        read_playlist(tmp_path / f"l{suffix}")


def test_an_unknown_suffix_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(PlaylistError, match=r"l\.txt: ends in \.txt; a playlist ends in one of"):
        write_playlist(tmp_path / "new" / "l.txt", [])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_relative_paths_hold_through_a_linked_folder(tmp_path, suffix):
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "a.ogg").touch()
    (tmp_path / "lists").symlink_to(tmp_path / "far" / "away")
    path = tmp_path / "lists" / f"l{suffix}"
    write_playlist(path, [track(tmp_path / "a.ogg")])
    assert "../../a.ogg" in path.read_text()
    assert (path.parent / "../../a.ogg").exists()  # as a player resolves it
    assert read_playlist(path)[0].samefile(tmp_path / "a.ogg")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_write_leaves_the_old_list(tmp_path, suffix):
    path = tmp_path / f"l{suffix}"
    write_playlist(path, [track(tmp_path / "a.ogg")])
    before = path.read_bytes()
    with pytest.raises(AttributeError):
        write_playlist(path, [track(tmp_path / "b.ogg"), None])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


class Mpd:
    """A client of the Music Player Daemon (https://mpd.readthedocs.io/en/stable/protocol.html)."""

    def __init__(self, connection):
        connection.settimeout(20)
        self.stream = connection.makefile("rwb")
        assert self.stream.readline().startswith(b"OK MPD")

    def ask(self, command, *words):
        quoted = (b'"%s"' % os.fsencode(w).replace(b"\\", b"\\\\").replace(b'"', b'\\"') for w in words)
        self.stream.write(b" ".join([command.encode(), *quoted]) + b"\n")
        self.stream.flush()
        answer = []
        while (line := self.stream.readline().removesuffix(b"\n")) != b"OK":
            assert line, "mpd hung up"
            assert not line.startswith(b"ACK"), line
            key, _, value = line.partition(b": ")
            answer.append((key.decode(), os.fsdecode(value)))
        return answer

    def files(self, *words):
        return [value for key, value in self.ask(*words) if key == "file"]


@contextmanager
def mpd(music, folder):
    (folder / "conf").write_text(
        f'music_directory "{music}"\nplaylist_directory "{folder}"\ndb_file "{folder}/db"\n'
        f'bind_to_address "{folder}/s"\nauto_update "no"\nzeroconf_enabled "no"\nfilesystem_charset "UTF-8"\n'
        'audio_output {\n type "null"\n name "none"\n}\n'
    )
    command = ["mpd", "--no-daemon", "--stderr", str(folder / "conf")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            deadline = time.monotonic() + 20
            while connection.connect_ex(str(folder / "s")):
                with pytest.raises(subprocess.TimeoutExpired):  # it runs on
                    process.wait(0.02)
                assert time.monotonic() < deadline, (folder / "log").read_text()
            client = Mpd(connection)
            client.ask("update")
            while "updating_db" in dict(client.ask("status")):
                client.ask("idle", "update")
            yield client
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(not shutil.which("mpd"), reason="needs mpd")
@pytest.mark.parametrize("absolute", [False, True])
def test_a_real_player_resolves_every_path(tmp_path_factory, songs, absolute):
    folder = tmp_path_factory.mktemp("mpd").resolve()  # short, as the path of a socket must be
    music = folder / "music"
    plain = ["plain.ogg", "sub/it's-(live),+&=1.ogg", "~tilde_$!@;.ogg"]  # names that a URI need not encode
    if absolute:
        plain = plain[:1]  # an absolute URI encodes more
    nasty = [  # but " lead.ogg", of which MPD 0.23 drops the space
        "#1 hit.ogg",
        "100%.ogg",
        "a%20b.ogg",
        "what?.ogg",
        'a "b" [c] <d>.ogg',
        "é/日本.ogg",
        "a:b.ogg",
    ]
    for name in (*plain, *nasty):
        (music / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(songs[0], music / name)
    lists = {".m3u8": plain + nasty, ".m3u": plain + nasty, ".xspf": plain}
    for suffix, played in lists.items():
        tracks = [track(music / name, "T", "A") for name in played]
        write_playlist(music / "lists" / f"l{suffix}", tracks, title="mine", absolute=absolute)
    with mpd(music, folder) as player:
        assert sorted(player.files("listall")) == sorted(plain + nasty)
        for suffix, played in lists.items():
            player.ask("clear")
            player.ask("load", f"lists/l{suffix}")
            assert player.files("playlistinfo") == played, (folder / "log").read_text()
