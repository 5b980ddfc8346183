import json
import os
import plistlib
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirclr.errors import PlaylistError
from mirclr.library import Entry, LibraryStore
from mirclr.models.stamp import EncoderStamp
from mirclr.recommend.matching import TrackReference, match_references
from mirclr.recommend.playlist import READABLE, read_entries
from mirclr.tags import Tags

NFD = unicodedata.normalize("NFD", "Beyoncé")
TRACKS = [  # path, artist, title, length in s
    ("lib/Beyoncé.flac", "Beyoncé", "Halo", 261.0),
    ("lib/plain.flac", "H", "plain", 8.0),
    ("a/01.flac", "One", "First", 100.0),
    ("b/01.flac", "Two", "Second", 200.0),
    ("c/Long Name.mp3", None, None, 50.0),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pieces")
    root = str(folder.resolve() / "music")
    with LibraryStore.open(folder / "l.db", create=True) as library:
        library.bind(EncoderStamp("d" * 32, "a.safetensors", 4, 8, {}))
        library.write(
            entries=[
                Entry(root, path, 1, 1, path, path, seconds, Tags(artist=artist, title=title), np.eye(4, dtype="f4")[0])
                for path, artist, title, seconds in TRACKS
            ]
        )
        yield library


def listed(library, tmp_path, name, content):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    wanted = [TrackReference(e.paths, e.elsewhere, e.names, e.album, e.duration_s) for e in read_entries(file)]
    return [piece.ids[0] if piece.ids else None for piece in match_references(library, wanted)]


def itunes(*tracks, order=None):
    value = {"Tracks": {str(i): {"Track ID": i, **track} for i, track in enumerate(tracks)}}
    items = [{"Track ID": i} for i in (order or range(len(tracks)))]
    return plistlib.dumps({**value, "Playlists": [{"Name": "x", "Playlist Items": items}]})


UNC = "\\\\nas\\share\\lib\\"
REKORDBOX = """<?xml version="1.0" encoding="UTF-8"?>
<DJ_PLAYLISTS Version="1.0.0"><COLLECTION Entries="3">
<TRACK TrackID="7" Name="plain" Artist="H" TotalTime="8" Location="file://localhost/D:/Music/lib/plain.flac"/>
<TRACK TrackID="8" Name="Nobody" Artist="N" Location="file://localhost/D:/Music/lib/n.flac"/>
<TRACK TrackID="9" Name="Halo" Artist="Beyoncé" Location="file://localhost/D:/Music/lib/Beyonc%C3%A9.flac"/>
</COLLECTION><PLAYLISTS><NODE Type="0" Name="ROOT"><NODE Name="x" Type="1" KeyType="0" Entries="2">
<TRACK Key="9"/><TRACK Key="7"/></NODE></NODE></PLAYLISTS></DJ_PLAYLISTS>"""
BOTH = {  # Beyoncé, then plain
    "nfd.m3u8": f"#EXTM3U\nlib/{NFD}.flac\nlib/plain.flac\n",
    "cr.m3u8": "#EXTM3U\r#EXTINF:261,Halo - Beyoncé\rx/Beyoncé.flac\r#EXTINF:8,plain - H\rx/plain.flac\r",
    "latin1.m3u8": "#EXTM3U\r\nlib/Beyoncé.flac\r\nlib/plain.flac\r\n".encode("latin-1"),
    "cp1252.m3u": "#EXTINF:1,Beyoncé – Halo\r\n/gone/1.mp3\r\nlib/plain.flac\r\n".encode("cp1252"),
    "utf16.m3u": "lib/Beyoncé.flac\r\nlib/plain.flac\r\n".encode("utf-16"),
    "utf16be.m3u8": b"\xfe\xff" + "lib/Beyoncé.flac\nlib/plain.flac".encode("utf-16-be"),
    "unmarked.m3u8": "lib/Beyoncé.flac\nlib/plain.flac".encode("utf-16-le"),
    "drive.m3u8": "D:\\Music\\lib\\Beyoncé.flac\r\nD:\\Music\\lib\\plain.flac\r\n",
    "unc.m3u8": f"{UNC}Beyoncé.flac\r\n{UNC}plain.flac\r\n",
    "root.m3u8": "/home/old/Music/lib/Beyoncé.flac\n/storage/emulated/0/lib/plain.flac\n",
    "case.m3u8": "LIB/BEYONCÉ.FLAC\nLIB/Plain.FLAC\n",
    "suffix.m3u8": "/phone/lib/Beyoncé.mp3\n/phone/lib/plain.m4a\n",
    "uri1.m3u8": "file:/old/lib/Beyonc%C3%A9.flac\nfile:/old/lib/plain.flac\n",
    "uri3.m3u8": "file:///C:/lib/Beyonc%c3%a9.flac\nfile://localhost/old/lib/plain.flac\n",
    "urihost.m3u8": "file://nas/share/lib/Beyonc%C3%A9.flac\nfile:////nas/share/lib/plain.flac\n",
    "names.m3u8": "#EXTINF:0,Beyoncé - Halo\nhttp://server/rest/stream?id=1\n#EXTINF:0,H - plain\n/gone/x.mp3\n",
    "win.pls": "[playlist]\r\nFile2=lib/plain.flac\r\nTitle1=Beyoncé - Halo\r\nFile1=\\x\\1.mp3\r\nLength1=-1\r\n",
    "names.jspf": json.dumps(
        {"playlist": {"track": [{"creator": a, "title": t} for a, t in (("Beyoncé", "Halo"), ("H", "plain"))]}}
    ),
    "names.xspf": '<playlist xmlns="http://xspf.org/ns/0/"><trackList><track><creator>Beyoncé</creator><title>Halo'
    "</title></track><track><title>H - plain</title></track></trackList></playlist>",
    "vlc.xspf": '<playlist xmlns="http://xspf.org/ns/0/"><trackList><track><location>file:///D:/lib/Beyonc%C3%A9.flac'
    "</location></track><track><location>D:\\lib\\plain.flac</location></track></trackList></playlist>",
    "wmp.wpl": '<?wpl version="1.0"?><smil><body><seq><media src="..\\lib\\Beyoncé.flac" cid="{1}"/>'
    '<media src="..\\lib\\plain.flac"/></seq></body></smil>',
    "wmp.asx": '<ASX version="3.0"><Entry><Ref HREF = "lib\\Beyonc&eacute;.flac"></Entry>'
    "<entry><ref href='lib/plain.flac'/></entry></ASX>",
    "itunes.xml": itunes(
        {"Name": "plain", "Artist": "H"}, {"Location": "file://localhost/Users/x/lib/Beyonc%C3%A9.flac"}, order=[1, 0]
    ),
    "rekordbox.xml": REKORDBOX,
}


@pytest.mark.parametrize("name", BOTH)
def test_playlists_of_other_programs_find_their_tracks(library, tmp_path, name):
    assert listed(library, tmp_path, name, BOTH[name]) == [1, 2]


@pytest.mark.parametrize(
    ("entry", "track"),
    [
        ("/old/b/01.flac", 4),  # more of the path decides
        ("/old/x/01.flac", None),  # two are as near, and nothing tells which
        ("#EXTINF:9,Two - Second\n/old/x/01.flac", 4),  # the names do
        ("#EXTINF:100,x\n/old/x/01.flac", 3),  # the length does
        ("/old/x/long name.ogg", 5),
        ("#EXTINF:500,x\n/old/x/Long Name.mp3", None),  # another length
        ("#EXTINF:8,Other - Name\n/old/x/plain.flac", 2),
        ("#EXTINF:100,Nobody - Nothing\n/old/x/02.flac", None),
        ("#EXTINF:261,Halo - Beyoncé\n/old/x/02.flac", 1),
    ],
)
def test_what_decides_between_tracks(library, tmp_path, entry, track):
    assert listed(library, tmp_path, "l.m3u8", f"#EXTM3U\n{entry}\n") == [track]


def test_a_file_that_is_held_is_meant_whatever_else_is_alike(library):
    files = [str(t.file) for t in library.tracks()]
    wanted = [TrackReference(files=(f,), elsewhere=("/x/01.flac",), names=(("H", "plain"),)) for f in files]
    assert [piece.ids for piece in match_references(library, wanted)] == [(1,), (2,), (3,), (4,), (5,)]
    assert match_references(library, wanted * 100) == match_references(library, wanted) * 100  # by the whole column


BOMB = (
    '<!DOCTYPE plist [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><plist version="1.0"><dict><key>&b;</key></dict></plist>'
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.xml", BOMB),
        ("l.xml", "<plist"),
        ("l.xml", "<html/>"),
        ("l.xml", b"\0" * 100),
        ("l.xml", plistlib.dumps([1])),
        ("l.wpl", "nothing"),
        ("l.jspf", '{"playlist": {"track": [' + "9" * 5000 + "]}}"),
    ],
)
def test_what_is_damaged_or_a_bomb_is_refused_in_a_line(tmp_path, name, content):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PlaylistError, match=name) as caught:
        read_entries(file)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("suffix", READABLE)
@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda t: f"#EXTINF:{'9' * 5000},{t}\n{t}".encode()))
def test_no_content_makes_it_crash(tmp_path_factory, suffix, content):
    file = tmp_path_factory.mktemp("any") / f"l{suffix}"
    file.write_bytes(content)
    try:
        entries = read_entries(file)
    except PlaylistError:
        return
    assert all(os.path.isabs(path) for entry in entries for path in entry.paths)


@pytest.mark.parametrize(
    ("suffix", "start", "again"),
    [
        *((".m3u8", "#EXTINF:", " "), (".wpl", "<", " "), (".wpl", "<a ", "a"), (".wpl", "<a ", "a=")),
        *(
            (".asx", "<a ", "x = '"),
            (".pls", "File1", " "),
            (".m3u", "#EXTINF:9", " - "),
            (".xml", "<DJ_PLAYLISTS ", "a :"),
        ),
    ],
)
def test_a_long_line_takes_no_longer_than_it_is(tmp_path, suffix, start, again):
    """A pattern that looks back would take hours."""
    file = tmp_path / f"l{suffix}"
    file.write_text(start + again * 1_000_000)
    try:
        read_entries(file)
    except PlaylistError:
        return
