import contextlib
import json
import plistlib
import zipfile
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirclr.errors import HistoryError, PlaylistError
from mirclr.library import LibraryStore, Listen
from mirclr.recommend.history import read_history, sources
from tests.commands import invoke

T = 1_700_000_000
ISO = "2023-11-14T22:13:20Z"
A, B, C = "Daft Punk", "One More Time", "Discovery"
FULL = {
    "ts": ISO,
    "ms_played": 82932,
    "master_metadata_track_name": B,
    "master_metadata_album_artist_name": A,
    "master_metadata_album_album_name": C,
    "spotify_track_uri": "spotify:track:x",
}
PODCAST = FULL | {"master_metadata_track_name": None, "master_metadata_album_artist_name": None, "episode_name": "x"}
SHORT = {"endTime": "2023-11-14 22:13", "artistName": A, "trackName": B, "msPlayed": 216783}
LISTENBRAINZ = {
    "listened_at": T,
    "track_metadata": {"artist_name": A, "track_name": B, "release_name": C, "additional_info": {"tags": []}},
}
LASTFM = {"artist": {"#text": A, "mbid": ""}, "name": B, "album": {"#text": C}, "date": {"uts": str(T)}, "loved": "0"}
MALOJA = {"time": T, "track": {"artists": [A], "title": B, "album": {"artists": [A], "albumtitle": C}, "length": 1}}
PANO = {"timeHuman": "x", "timeMs": T * 1000, "artist": A, "track": B, "album": C, "event": "scrobble"}
YOUTUBE = {"header": "YouTube Music", "title": f"Watched {B}", "subtitles": [{"name": f"{A} - Topic"}], "time": ISO}
STATS = {"username": "u", "scrobbles": [{"track": B, "artist": A, "album": C, "date": T * 1000}]}
JSON = {
    "Spotify": [
        [SHORT],
        [FULL, PODCAST, FULL | {"ms_played": 2000}],
    ],
    "ListenBrainz": [[LISTENBRAINZ], {"payload": {"count": 1, "listens": [LISTENBRAINZ]}}, LISTENBRAINZ],
    "Maloja": [{"maloja": {"export_time": 1}, "scrobbles": [MALOJA]}, [MALOJA]],
    "Pano Scrobbler": [PANO, [PANO]],
    "Last.fm": [
        [LASTFM],
        {"recenttracks": {"@attr": {"page": "1"}, "track": [{**LASTFM, "@attr": {"nowplaying": "true"}}, LASTFM]}},
        [{"recenttracks": {"track": [LASTFM]}}],
        [[LASTFM], []],
        STATS,
    ],
    "YouTube Music": [[YOUTUBE, YOUTUBE | {"header": "YouTube", "subtitles": [{"name": "A channel"}]}]],
}


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in JSON.items() for value in values])
def test_json_of_services(tmp_path, kind, value, indent):
    if indent and isinstance(value, dict) and value in (LISTENBRAINZ, PANO):
        return  # lines
    history = read_history(written(tmp_path, "x.json", "\ufeff" + json.dumps(value, indent=indent)))
    (listen,) = history.listens
    assert (history.kind, listen.artist, listen.title, listen.plays) == (kind, A, B, 1)
    assert listen.album in (C, "")
    assert abs(listen.last_s - T) <= 60
    assert not [p for p in history.problems if "not a listen" not in p]


def test_the_zip_of_spotify_as_delivered(tmp_path):
    with zipfile.ZipFile(tmp_path / "my_spotify_data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        folder = "Spotify Extended Streaming History/"
        archive.writestr(f"{folder}ReadMeFirst.pdf", b"%PDF")
        archive.writestr(f"{folder}Streaming_History_Audio_2022-2023_0.json", json.dumps([FULL] * 3, indent=2))
        archive.writestr(f"{folder}Streaming_History_Video_2023.json", json.dumps([FULL]))
        archive.writestr("MyData/StreamingHistory_music_0.json", json.dumps([SHORT]))
        liked = {"artist": "X", "album": "Y", "track": "Z", "uri": "spotify:track:z"}
        archive.writestr("MyData/YourLibrary.json", json.dumps({"tracks": [liked], "albums": [{"artist": "no"}]}))
    history = read_history(tmp_path / "my_spotify_data.zip")
    assert [(x.artist, x.title, x.plays, x.taste) for x in history.listens] == [(A, B, 4, 0), ("X", "Z", 0, 1)]
    assert (history.kind, history.problems) == ("Spotify", [])


def rows(order, delimiter=","):
    some = [("Ärtist", "Album", f"Song {i}", f"{T + i}") for i in range(4)] + [("Other", "", "Thing", f"{T}")]
    return "".join(delimiter.join(row[i] for i in order) + "\n" for row in some)


@pytest.mark.parametrize(
    "text",
    [
        rows((0, 1, 2, 3)),  # artist, album, title, time
        rows((0, 2, 1, 3)),  # artist, title, album, time
        rows((3, 2, 0, 1), "\t"),  # time, title, artist, album
        rows((3, 0, 2, 1), "\t"),
        "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n"
        + "".join(f"{u},x,{a},,{b},,{t},\n" for a, b, t, u in (r.split(",") for r in rows((0, 1, 2, 3)).splitlines())),
        "Artist;Album;AlbumId;Track;Date#anna\n"
        + "".join(f"{a};{b};;{t};{u}000\n" for a, b, t, u in (r.split(",") for r in rows((0, 1, 2, 3)).splitlines())),
    ],
)
def test_the_orders_of_last_fms_exporters(tmp_path, text):
    history = read_history(written(tmp_path, "anna.csv", text))
    assert [(x.artist, x.title, x.album) for x in history.listens] == [
        *(("Ärtist", f"Song {i}", "Album") for i in range(4)),
        ("Other", "Thing", ""),
    ]
    assert [x.last_s for x in history.listens] == [*(T + i for i in range(4)), T]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.json", json.dumps({"playlist": {"track": [{"creator": A, "title": B}]}})),
        ("x.txt", f"#EXTM3U\n#EXTINF:9,{A} - {B}\nhttp://radio/x\n"),
        ("x", f"[playlist]\nTitle1={A} - {B}\n"),
        (
            "x.txt",
            f'<?xml version="1.0"?>\n<playlist><trackList><track><title>{A} - {B}</title></track></trackList>'
            "</playlist>",
        ),
    ],
)
def test_playlists_are_known_by_their_content(tmp_path, name, text):
    assert read_history(written(tmp_path, name, text)).listens == [Listen(A, B, taste=1)]


def test_a_line_of_likes_of_many_spaces_takes_no_time(tmp_path):
    text = "+ A - B\n+ A" + " " * 900_000 + "B\n"
    assert read_history(written(tmp_path, "likes.txt", text)).listens == [Listen("A", "B", taste=1)]


@pytest.mark.parametrize("encode", [lambda t: t.encode("utf-16"), lambda t: t.replace("\n", "\r").encode()])
def test_a_table_in_another_encoding_or_with_other_ends_of_lines(tmp_path, encode):
    text = "Name\tArtist\tAlbum\tPlays\nSöng\tÄrtist\tAlbum\t7\nOther\tÄrtist\t\t1\n"
    history = read_history(written(tmp_path, "Music.txt", encode(text)))
    assert [(x.artist, x.title, x.plays) for x in history.listens] == [("Ärtist", "Other", 1), ("Ärtist", "Söng", 7)]


def test_rockbox_and_exportify_and_itunes(tmp_path):
    log = "#AUDIOSCROBBLER/1.1\n#TZ/UNKNOWN\n#CLIENT/x\n"
    log += f"{A}\t{C}\t{B}\t1\t320\tL\t{T}\n{A}\t{C}\tSkipped\t2\t9\tS\t{T}\t\n"
    assert read_history(written(tmp_path, "x.scrobbler.log", log)).listens == [Listen(A, B, C, "", 1, float(T))]
    csv = f'Track URI,Track Name,Artist Name(s),Album Name\nspotify:track:x,{B},"{A},Romanthony",{C}\n'
    assert read_history(written(tmp_path, "x.csv", csv)).listens == [Listen(f"{A}; Romanthony", B, C, taste=1)]
    tracks = [
        {"Name": B, "Artist": A, "Album": C, "Play Count": 7, "Play Date UTC": datetime(2023, 11, 14, 22, 13, 20)},
        {"Name": "Loved", "Artist": A, "Loved": True},
        {"Name": "Never", "Artist": A},
    ]
    library = plistlib.dumps({"Tracks": {str(i): track for i, track in enumerate(tracks)}})
    assert read_history(written(tmp_path, "LibraryStore.xml", library)).listens == [
        Listen(A, "Loved", taste=1),
        Listen(A, B, C, "", 7, float(T)),
    ]


def test_a_playlist_gives_files_and_names(tmp_path):
    text = json.dumps({"playlist": {"track": [{"creator": A, "title": B, "album": C}]}})
    assert read_history(written(tmp_path, "x.json.jspf", text)).listens == [Listen(A, B, C, taste=1)]
    (listen,) = read_history(written(tmp_path, "x.m3u8", f"#EXTM3U\n#EXTINF:9,{A} - {B}\nD:\\Music\\x.mp3\n")).listens
    assert (listen.artist, listen.title, listen.taste) == (A, B, 1)
    assert listen.file.endswith("x.mp3")


# hostile


def test_what_cannot_be_read_ends_soon(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_MAX_UNREAD", 100)
    good = json.dumps(LISTENBRAINZ)
    for bad in ("x", "1", "{}", "[1, 2]"):
        with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("listens/2020/1.jsonl", f"{good}\n" + f"{bad}\n" * 5000 + f"{good}\n")
        history = read_history(tmp_path / "b.zip")
        assert [x.plays for x in history.listens] == [1]
        assert "the rest is left out" in history.problems[-1]
        assert int(history.problems[-2].split()[1]) < 300
    history = read_history(written(tmp_path, "l.json", json.dumps([LISTENBRAINZ, *[1] * 5000])))
    assert "the rest is left out" in history.problems[-1]


def test_very_many_lines_and_listens_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_MAX_LINES", 50)
    text = "\n".join([json.dumps(LISTENBRAINZ), *[""] * 1000, json.dumps(LISTENBRAINZ)])
    assert [x.plays for x in read_history(written(tmp_path, "a.jsonl", text)).listens] == [1]
    monkeypatch.setattr(sources, "_MAX_LISTENS", 9)
    assert [x.plays for x in read_history(written(tmp_path, "a.json", json.dumps([LISTENBRAINZ] * 40))).listens] == [10]


def test_a_number_of_thousands_of_digits_spoils_no_other(tmp_path):
    digits = "9" * 5000
    listens = [LISTENBRAINZ, LISTENBRAINZ | {"listened_at": 1}, SHORT | {"msPlayed": 1}, LISTENBRAINZ]
    text = json.dumps(listens).replace('"listened_at": 1,', f'"listened_at": {digits},')
    text = text.replace('"msPlayed": 1', f'"msPlayed": {digits}')
    history = read_history(written(tmp_path, "a.json", text))
    assert [x.plays for x in history.listens] == [4]
    table = f"artist,track,plays,uts\nA,B,{digits},{digits}\nA,C,2,{T}\n"
    assert [x.plays for x in read_history(written(tmp_path, "a.csv", table)).listens] == [1, 2]


def test_what_is_none_says_what_is_read(tmp_path):
    for content in ("nothing", '{"a": 1}', "[]", "a,b\n1,2\n"):
        with pytest.raises(HistoryError, match=r"Spotify.*Maloja.*Rockbox.*playlist"):
            read_history(written(tmp_path, "x.bin", content))


KEYS = [
    "track",
    "artist",
    "artists",
    "title",
    "name",
    "date",
    "time",
    "ts",
    "score",
    "track_metadata",
    "payload",
    "@attr",
]
KEYS += ["listened_at", "msPlayed", "#text", "uts", "event", "header", "subtitles", "loved", "items"]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(values, max_size=4), st.sampled_from(["list", "lines", "wrapped"]))
def test_no_json_makes_it_crash(tmp_path_factory, some, form):
    texts = {
        "list": json.dumps(some),
        "lines": "\n".join(map(json.dumps, some)),
        "wrapped": json.dumps({"scrobbles": some}),
    }
    with contextlib.suppress(HistoryError, PlaylistError):
        assert read_history(written(tmp_path_factory.mktemp("any"), "x.json", texts[form])).listens


def test_what_is_missing_is_listed(tmp_path):
    with LibraryStore.open(tmp_path / "l.db", create=True) as library:
        listens = [
            Listen("A", "Often", plays=9),
            Listen("B", "Once", plays=1),
            Listen("", "", file="/x/y.ogg", taste=1),
        ]
        library.store_listens("me", listens, replace=True)
    asked = ["profile", "show", "me", "--missing", "--library", str(tmp_path / "l.db")]
    found = json.loads(invoke([*asked, "--json"]).stdout)
    assert [(x["artist"], x["plays"], x["file"]) for x in found] == [("A", 9, ""), ("B", 1, ""), ("", 0, "/x/y.ogg")]
    result = invoke(asked)
    table = result.stdout
    assert "3 songs of me's history are not in your library" in result.stderr
    assert table.index("Often") < table.index("Once")


@pytest.mark.parametrize(
    "text",
    [
        "artist,track,date\nBjörk,Jóga,1690000000\n".encode("latin-1"),
        "Artist;Track;Date\nBjörk;Jóga;22.07.2023 04:26:40\n".encode(),
        "timeHuman,timeMs,artist,track,album\n2023,1690000000000,Björk,Jóga,\n".encode(),
    ],
)
def test_tables_of_other_encodings_and_clocks(tmp_path, text):
    (tmp_path / "a.csv").write_bytes(text)
    (one,) = read_history(tmp_path / "a.csv").listens
    assert (one.artist, one.title, one.last_s) == ("Björk", "Jóga", 1690000000)


@pytest.mark.parametrize(
    "text",
    [
        *("2023-07-22T04:26:00Z", "22 Jul 2023, 04:26", "22.07.2023 04:26", "07/22/2023 4:26 AM", "22/07/2023 04:26"),
        *(
            "Jul 22, 2023, 4:26:00\u202fAM",
            "2023-07-22 4:26 a.m.",
            "2023/07/22 4:26",
            "1690000000000",
            "7/22/2023, 4:26",
        ),
    ],
)
def test_times_as_services_and_spreadsheets_write_them(text):
    expected = 1_690_000_000 if text.isdecimal() else 1_689_999_960
    assert sources.seconds(text) == expected


def test_a_time_that_no_one_knows_is_none():
    for text in (
        "07/08/2023 04:26",
        "13/13/2023",
        "07/22/2023 13:26 PM",
        "07/22/2023 0:26 AM",
        "4:26 AM",
        "22 Foo 2023",
    ):
        assert sources.seconds(text) is None
    assert sources.seconds("07/08/2023 12:26 PM") - sources.seconds("07/08/2023 12:26 AM") == 43_200
    assert sources.seconds("07/08/2023 12:26 AM") == sources.seconds("2023-07-08T00:26Z")
