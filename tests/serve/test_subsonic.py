"""Music players at the door: a client library of theirs against a live server, and documents byte by byte."""

import asyncio
import hashlib
import io
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import av
import httpx
import libopensonic
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from libopensonic.errors import AuthError, CredentialError, DataNotFoundError, SonicError

import mirclr
from mirclr.recommend import Query
from mirclr.serve.app import create_app
from mirclr.serve.settings import ServeSettings
from mirclr.serve.subsonic.routes import READING, WRITING
from mirclr.serve.subsonic.system import NOTHING
from mirclr.tags import Tags
from tests.made_up_music import SONGS
from tests.serve.conftest import HOST
from tests.serve.live import serving

TOKEN = "p4ss word&more"
ME = {"u": "anna", "p": TOKEN, "v": "1.16.1", "c": "tests", "f": "json"}


@pytest.fixture(scope="module")
def served(made_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a live server, and its library."""
    folder = tmp_path_factory.mktemp("players")
    for file in made_library.parent.glob("library.db*"):
        shutil.copy(file, folder / file.name)
    with serving(folder / "library.db", token=TOKEN) as url:
        yield url, folder / "library.db"


@pytest.fixture(scope="module")
def player(served) -> Iterator[libopensonic.Connection]:
    """A player that has logged in."""
    host, _, port = served[0].rpartition(":")
    player = libopensonic.Connection(host, "anna", TOKEN, port=int(port))
    yield player
    player.cleanup()


@pytest.fixture
def ask(library_path: Path) -> Iterator[Callable[..., Any]]:
    """Asks a service of a copy of the library, in JSON, as one listener."""
    with TestClient(create_app(ServeSettings(library_path, token=TOKEN)), base_url=HOST) as client:

        def asked(request: str, **values: Any) -> dict[str, Any]:
            return client.get(f"/rest/{request}", params=ME | values).json()["subsonic-response"]

        asked.client = client
        yield asked


def whole_library(player) -> list:
    return player.search3("", artist_count=0, album_count=0, song_count=500).song


def song_called(player, title: str):
    return next(song for song in whole_library(player) if song.title == title)


# who asks


def test_a_player_finds_out_what_is_there_before_it_logs_in(served):
    answer = httpx.get(f"{served[0]}/rest/getOpenSubsonicExtensions.view?f=json").json()["subsonic-response"]
    assert answer["status"] == "ok"
    assert answer["openSubsonic"] is True
    assert {answer["version"], answer["type"], answer["serverVersion"]} == {"1.16.1", "mirclr", mirclr.__version__}
    found = {one["name"]: one["versions"] for one in answer["openSubsonicExtensions"]}
    assert {"formPost", "apiKeyAuthentication", "sonicSimilarity", "transcodeOffset"} == found.keys()
    assert set(map(tuple, found.values())) == {(1,)}


def salted(password: str, salt: str = "c19b2d") -> dict[str, str]:
    return {"u": "anna", "s": salt, "t": hashlib.md5((password + salt).encode()).hexdigest()}


@pytest.mark.parametrize(
    "given",
    [
        {"u": "anna", "p": TOKEN},
        {"u": "anna", "p": f"enc:{TOKEN.encode().hex()}"},
        salted(TOKEN),
        {"apiKey": TOKEN},
    ],
    ids=["password", "in hexadecimals", "token and salt", "key"],
)
def test_every_way_to_log_in(ask, given):
    answer = ask.client.get("/rest/ping", params=given | {"f": "json"}).json()["subsonic-response"]
    assert answer["status"] == "ok"
    user = ask.client.get("/rest/tokenInfo", params=given | {"f": "json"}).json()["subsonic-response"]["tokenInfo"]
    assert user == {"username": given.get("u", "me")}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"u": "anna", "p": "wrong"}, 40),
        (salted("wrong"), 40),
        ({"u": "anna", "t": "", "s": "x"}, 40),
        ({"u": "an\x07na", "p": TOKEN}, 40),
        ({"apiKey": "wrong"}, 44),
        ({"apiKey": TOKEN, "u": "anna"}, 43),
        (salted(TOKEN) | {"p": TOKEN}, 43),
        ({"u": "anna"}, 10),
        ({"p": TOKEN}, 10),
        ({"u": "anna", "t": "00"}, 10),
        ({}, 10),
    ],
)
def test_who_is_not_let_in_hears_why(ask, given, code):
    for name in ("ping", "getArtists", "stream", "createPlaylist", "nothing"):
        answer = ask.client.get(f"/rest/{name}.view", params=given | {"f": "json", "name": "x"})
        assert answer.status_code == 200
        document = answer.json()["subsonic-response"]
        assert (document["status"], document["error"]["code"]) == ("failed", code)
        assert TOKEN not in answer.text


def test_guessing_is_slowed_down(ask):
    codes = {ask.client.get("/rest/ping", params={"u": "a", "p": str(i), "f": "json"}).status_code for i in range(40)}
    assert codes == {200, 429}


def test_a_client_library_tells_a_wrong_password(served):
    host, _, port = served[0].rpartition(":")
    player = libopensonic.Connection(host, "anna", "wrong", port=int(port))
    with pytest.raises(CredentialError):
        player.ping()
    player.cleanup()


def test_without_a_token_any_name_is_let_in_but_no_page_of_another_site(client: TestClient):
    given = {"u": "anna", "p": "whatever", "f": "json"}
    assert client.get("/rest/ping", params=given).json()["subsonic-response"]["status"] == "ok"
    for headers in (
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "image"},
    ):
        answer = client.get("/rest/createPlaylist", params=given | {"name": "x"}, headers=headers)
        assert answer.status_code == 403 or answer.json()["subsonic-response"]["error"]["code"] == 50
        assert "access-control-allow-origin" not in answer.headers
    assert client.options("/rest/ping", headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.get("/rest/getPlaylists", params=given).json()["subsonic-response"]["playlists"] == {"playlist": []}


def test_pages_of_other_sites_may_be_players_where_each_request_says_the_password(ask):
    headers = {"Origin": "https://player.example", "Sec-Fetch-Site": "cross-site"}
    answer = ask.client.get("/rest/ping", params=ME, headers=headers)
    assert answer.json()["subsonic-response"]["status"] == "ok"
    assert answer.headers["access-control-allow-origin"] == "*"
    asked = headers | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    assert ask.client.options("/rest/ping", headers=asked).headers["access-control-allow-origin"] == "*"
    assert ask.client.cookies.get("mirclr_8338") is None


# documents


def as_xml_says(values: Any) -> Any:
    """A value of JSON as XML can say it: texts alone, a list of one no list, nothing that is empty."""
    if isinstance(values, dict):
        return {name: as_xml_says(value) for name, value in values.items() if value != []}
    if isinstance(values, list):
        return [as_xml_says(value) for value in values] if len(values) > 1 else as_xml_says(values[0])
    return str(values).lower() if isinstance(values, bool) else str(values)


def of_element(element: ElementTree.Element) -> Any:
    if element.text is not None and not element.attrib and element.tag.split("}")[1] in ("versions", "moods", "folder"):
        return element.text
    found: dict[str, Any] = dict(element.attrib)
    if element.text is not None:
        found["value"] = element.text
    for child in element:
        name, value = child.tag.split("}")[1], of_element(child)
        if name in found:
            found[name] = [*(found[name] if isinstance(found[name], list) else [found[name]]), value]
        else:
            found[name] = value
    return found


def examples(ask) -> dict[str, dict[str, Any]]:
    """What each request needs."""
    artist = ask("search3", query="Night Trains")["searchResult3"]["artist"][0]
    album = ask("getArtist", id=artist["id"])["artist"]["album"][0]
    song = ask("getAlbum", id=album["id"])["album"]["song"][0]
    playlist = ask("createPlaylist", name="Mine", songId=song["id"])["playlist"]
    of_artist = ("getArtist", "getSimilarSongs2", "getArtistInfo", "getArtistInfo2", "getMusicDirectory")
    return {
        **{name: {"id": artist["id"]} for name in of_artist},
        **{name: {"id": album["id"]} for name in ("getAlbum", "getAlbumInfo", "getAlbumInfo2", "getSimilarSongs")},
        **{name: {"id": song["id"]} for name in ("getSong", "getSonicSimilarTracks", "star", "unstar", "scrobble")},
        **{name: {"type": "alphabeticalByName"} for name in ("getAlbumList", "getAlbumList2")},
        "findSonicPath": {"startSongId": song["id"], "endSongId": "tr-12", "count": 4},
        "getSongsByGenre": {"genre": "Rock"},
        "getTopSongs": {"artist": "Night Trains"},
        "getRandomSongs": {"size": 0},
        "getPlaylist": {"id": playlist["id"]},
        "updatePlaylist": {"playlistId": playlist["id"], "comment": '&<">'},
        "createPlaylist": {"name": "Other"},
        "deletePlaylist": {"id": playlist["id"]},
        "search2": {"query": "a"},
        "search3": {"query": "a"},
    }


def test_every_request_is_answered_and_says_the_same_in_xml_and_in_json(ask):
    given = examples(ask)
    ask("scrobble", id="tr-1", submission="false")
    plain = [name for name in (*READING, *NOTHING) if name not in ("stream", "download", "getCoverArt")]
    writing = ["updatePlaylist", "star", "scrobble", "createPlaylist", "unstar", "deletePlaylist"]
    assert sorted(writing) == sorted(WRITING)
    for name in [*plain, *writing]:
        params = ME | given.get(name, {})
        answer = ask.client.get(f"/rest/{name}", params=params)
        document = answer.json()["subsonic-response"]
        assert document["status"] == "ok", (name, document)
        if name in writing or name == "getSimilarSongs2":  # of which each answer is another
            continue
        xml = ask.client.get(f"/rest/{name}.view", params=params | {"f": "xml"})
        assert xml.headers["content-type"].startswith("text/xml")
        root = ElementTree.fromstring(xml.content)
        assert root.tag == "{http://subsonic.org/restapi}subsonic-response"
        assert of_element(root) == as_xml_says(document), name


def test_a_form_is_as_good_as_a_query(ask):
    form = ME | {"query": "night", "songCount": "1"}
    answer = ask.client.post("/rest/search3.view", data=form)
    assert answer.json()["subsonic-response"]["searchResult3"]["song"]
    mixed = ask.client.post("/rest/search3?f=json&songCount=1", data={k: v for k, v in form.items() if k != "f"})
    assert mixed.json() == answer.json()


def test_hostile_texts_stay_texts(ask, library_path):
    hostile = 'a"<b>&amp;]]>\x00\x1b[31m\ud800\ufffe\u202e</title><script>alert(1)</script>'
    with mirclr.Library.open(library_path) as library:
        track = library.tracks()[0]
        tags = Tags(title=hostile, artist=hostile, album=hostile, genre=hostile)
        library.move(track.id, track.root, track.path, 1, 1, "f", tags)
    for form in ("json", "xml"):
        for name, values in (
            ("getSong", {"id": "tr-1"}),
            ("getArtists", {}),
            ("getGenres", {}),
            ("search3", {"query": ""}),
        ):
            text = ask.client.get(f"/rest/{name}", params=ME | values | {"f": form}).content.decode()
            assert not set(text) & set("\x00\x1b\ufffe\u202e")
            _ = json.loads(text) if form == "json" else ElementTree.fromstring(text)
    title = ElementTree.fromstring(ask.client.get("/rest/getSong", params=ME | {"id": "tr-1", "f": "xml"}).content)[0]
    assert title.get("title").endswith("</title><script>alert(1)</script>")


@pytest.mark.parametrize(
    ("name", "values", "code"),
    [
        ("getSong", {}, 10),
        ("getSong", {"id": "tr-999999"}, 70),
        ("getSong", {"id": "../../etc/passwd"}, 70),
        ("getSong", {"id": "tr-99999999999999999999"}, 70),
        ("getAlbum", {"id": "al-none"}, 70),
        ("getArtist", {"id": "tr-1"}, 70),
        ("getPlaylist", {"id": "pl-7"}, 70),
        ("getAlbumList2", {}, 10),
        ("getAlbumList2", {"type": "best"}, 0),
        ("getAlbumList2", {"type": "byYear"}, 10),
        ("getAlbumList2", {"type": "newest", "size": "ten"}, 0),
        ("getArtists", {"musicFolderId": "7"}, 70),
        ("getUser", {"username": "other"}, 50),
        ("getCoverArt", {"id": "tr-1"}, 70),
        ("stream", {"id": "tr-1", "timeOffset": "9999"}, 0),
        ("stream", {"id": "tr-77777"}, 70),
        ("star", {}, 10),
        ("star", {"albumId": "al-none"}, 70),
        ("createPlaylist", {"name": "x", "songId": "tr-88888"}, 70),
        ("createPlaylist", {}, 10),
        ("jukeboxControl", {}, 0),
    ],
)
def test_what_cannot_be_is_answered_with_a_code(ask, name, values, code):
    document = ask(name, **values)
    assert document["status"] == "failed"
    assert document["error"]["code"] == code
    assert document["error"]["message"]


def test_a_form_that_is_not_known_is_refused(ask):
    answer = ask.client.get("/rest/ping", params=ME | {"f": "jsonp", "callback": "alert"})
    assert "alert" not in answer.text
    assert ElementTree.fromstring(answer.content)[0].get("code") == "0"


NAMES = ("id", "type", "query", "size", "count", "offset", "songCount", "songOffset", "musicFolderId", "genre", "f")
NAMES += ("artist", "fromYear", "toYear", "startSongId", "endSongId", "albumId", "songId", "name", "playlistId")
NAMES += ("songIndexToRemove", "songIdToAdd", "comment", "time", "submission", "maxBitRate", "format", "timeOffset")
VALUES = st.one_of(
    st.text(max_size=12),
    st.integers().map(str),
    st.sampled_from(
        ["tr-1", "al-", "ar-0", "pl-1", "newest", "byYear", "byGenre", "Rock", "1990", "-1", "true", "mp3"]
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([*READING, *NOTHING, *WRITING, "nothing"]),
    values=st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=6),
)
def test_whatever_is_asked_is_answered(ask, name, values):
    pairs = [*((k, v) for k, v in ME.items() if k != "f"), *values]
    form = "&".join(f"{k}={quote(v.encode('utf-8', 'surrogatepass'))}" for k, v in pairs)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = ask.client.post(f"/rest/{name}.view", content=form, headers=headers)
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"].startswith("text/xml"):
        assert ElementTree.fromstring(answer.content).get("status") in ("ok", "failed")


def test_an_empty_library_is_browsed_too(tmp_path):
    with TestClient(create_app(ServeSettings(tmp_path / "new.db")), base_url=HOST) as client:
        for name in (*READING, *NOTHING):
            given = {"type": "newest", "query": "", "artist": "A", "genre": "Rock", "u": "a", "f": "json"}
            document = client.get(f"/rest/{name}", params=given).json()["subsonic-response"]
            assert document["status"] == "ok" or document["error"]["code"] == 10, (name, document)


# browsing


def test_all_songs_are_reached_by_artists_and_by_folders(player, served):
    artists = [artist for index in player.get_artists().index for artist in index.artist]
    assert [artist.name for index in player.get_indexes().index for artist in index.artist] == [a.name for a in artists]
    by_tags, by_folder = set(), set()
    for artist in artists:
        found = player.get_artist(artist.id)
        assert found.album_count == len(found.album)
        for album in found.album:
            songs = player.get_album(album.id).song
            assert album.song_count == len(songs)
            assert abs(album.duration - sum(song.duration for song in songs)) <= len(songs)
            by_tags |= {song.id for song in songs}
        for folder in player.get_music_directory(artist.id).child:
            assert folder.is_dir
            by_folder |= {song.id for song in player.get_music_directory(folder.id).child}
    (root,) = httpx.get(f"{served[0]}/rest/getMusicFolders", params=ME).json()["subsonic-response"]["musicFolders"][
        "musicFolder"
    ]
    assert root["name"] == "music"
    assert [child.id for child in player.get_music_directory(str(root["id"])).child] == [a.id for a in artists]
    assert by_tags == by_folder == {song.id for song in whole_library(player)}
    assert len(by_tags) == len(SONGS)


def test_a_song_says_what_players_need(player, served):
    song = song_called(player, "Platform Nine")
    given = next(one for one in SONGS if one.title == song.title)
    assert (song.is_dir, song.is_video, song.type, song.media_type) == (False, False, "music", "song")
    assert (song.artist, song.album, song.year, song.genre) == (given.artist, given.album, given.year, given.genre)
    assert (song.duration, song.suffix, song.content_type) == (given.duration_s, "ogg", "audio/ogg")
    with mirclr.Library.open(served[1]) as library:
        (track,) = library.matching("Platform Nine")
        assert song.size == track.file.stat().st_size
        assert song.id == f"tr-{track.id}"
        assert song.bpm == round(library.descriptions([track.id])[track.id].tempo_bpm)
    assert song.bit_rate == round(song.size * 8 / 1000 / song.duration)
    assert not song.path.startswith("/")
    assert song.path.endswith("Slow Rails/02 Platform Nine.ogg")
    assert player.get_album(song.album_id).name == "Slow Rails"
    assert player.get_artist(song.artist_id).name == "Night Trains"
    assert [artist.id for artist in song.artists] == [song.artist_id]


def test_what_is_sent_in_another_form_says_in_which(ask, library_path):
    with mirclr.Library.open(library_path) as library:
        whole, part, plain = library.tracks()[:3]
        library.move(whole.id, whole.root, "a.ape", 1, 1, "f", Tags(title="Whole"))
        library.move(part.id, part.root, "b.flac/07", 1, 1, "f", Tags(title="Part"), audio_path="b.flac", start_s=60.0)
    made = [ask("getSong", id=f"tr-{track.id}")["song"] for track in (whole, part, plain)]
    assert [song.get("transcodedSuffix") for song in made] == ["mp3", "mp3", None]
    assert [song["suffix"] for song in made[:2]] == ["ape", "flac"]
    assert ["size" in song for song in made] == [True, False, True]


def test_pages_of_a_search_without_words_are_the_library(player):
    pages = [
        player.search3("", artist_count=0, album_count=0, song_count=5, song_offset=at).song for at in range(0, 60, 5)
    ]
    ids = [song.id for page in pages for song in page or ()]
    assert len(ids) == len(set(ids)) == len(SONGS)
    albums = player.search3('""', artist_count=500, album_count=500, song_count=0)
    assert {album.id for album in albums.album} == {song.album_id for song in whole_library(player)}


def test_a_search_finds_by_words_as_the_page_does(player, served):
    found = player.search3("night", artist_count=5, album_count=5, song_count=5)
    assert [artist.name for artist in found.artist] == ["Night Trains"]
    assert {"Club Nights", "Slow Rails", "Iron"} <= {album.name for album in found.album}
    page = httpx.get(
        f"{served[0]}/api/v1/search", params={"q": "night", "limit": 5}, headers={"Authorization": f"Bearer {TOKEN}"}
    ).json()
    assert [song.id for song in found.song] == [f"tr-{song['id']}" for song in page["songs"]]


def test_lists_of_albums(player):
    names = [album.name for album in player.get_album_list2("alphabeticalByName", size=500)]
    assert names == sorted(names, key=str.casefold)
    assert len(names) > 8
    for kind in ("random", "newest", "alphabeticalByArtist"):
        assert sorted(album.name for album in player.get_album_list2(kind, size=500)) == sorted(names)
    paged = [album.name for at in range(0, 20, 3) for album in player.get_album_list2("alphabeticalByName", 3, at)]
    assert paged == names
    years = [album.year for album in player.get_album_list2("byYear", 500, from_year=2005, to_year=1985)]
    assert years == sorted(years, reverse=True)
    assert set(years) == {1985, 1991, 1994, 1997, 2001, 2003}
    rock = {album.artist for album in player.get_album_list2("byGenre", 500, genre="ROCK")}
    assert rock == {"Night Trains", "Velvet Hammer"}


def test_songs_by_chance_and_by_genre(player):
    rock = {song.id for song in whole_library(player) if song.genre == "Rock"}
    assert {song.id for song in player.get_songs_by_genre("rock", count=100)} == rock
    assert {song.id for song in player.get_random_songs(size=100, genre="Rock")} == rock
    some = player.get_random_songs(size=100, from_year=2000, to_year=2010)
    assert {song.year for song in some} == {2001, 2003, 2006}
    assert len(player.get_random_songs(size=3)) == 3
    genres = {genre.value: genre.song_count for genre in player.get_genres()}
    assert genres["Rock"] == len(rock)


# what only mirclr can say


def test_songs_that_sound_alike_are_those_of_recommend(player, served):
    song = song_called(player, "Enter the Yard")
    with mirclr.Library.open(served[1]) as library:
        query = Query(seeds=(f"id:{song.id[3:]}",), n=6)
        expected = [f"tr-{r.track.id}" for r in library.answer(query).recommendations]
        anything = Query((f"id:{song.id[3:]}",), n=6, artist_cap=0, artist_gap=0, same_album=True, fill=True)
        nearest = library.answer(anything).recommendations
    assert [one.id for one in player.get_similar_songs(song.id, 6)] == expected
    matches = player.get_sonic_similar_tracks(song.id, 6)
    assert [one.entry.id for one in matches] == [f"tr-{r.track.id}" for r in nearest]
    assert [one.similarity for one in matches] == pytest.approx([r.alike for r in nearest], abs=1e-4)
    assert all(0 <= one.similarity <= 1 for one in matches)


def test_an_artists_radio_is_of_the_artist_and_of_others(player):
    artist = player.search3("Night Trains").artist[0]
    songs = player.get_similar_songs2(artist.id, 12)
    of_artist = [song.artist == "Night Trains" for song in songs]
    assert len(songs) == len({song.id for song in songs})
    assert any(of_artist)
    assert not all(of_artist)
    similar = {other.name for other in player.get_artist_info2(artist.id).similar_artist}
    assert "Velvet Hammer" in similar
    assert "Night Trains" not in similar


@pytest.mark.parametrize("count", [2, 5, 8])
def test_a_path_leads_from_one_song_to_the_other(player, count):
    start, end = song_called(player, "Louder"), song_called(player, "Ferry")
    path = player.find_sonic_path(start.id, end.id, count)
    assert (path[0].entry.id, path[-1].entry.id) == (start.id, end.id)
    assert len(path) == len({one.entry.id for one in path}) == count
    assert path[0].similarity == 1
    assert all(0 <= one.similarity < 1 for one in path[1:])
    (alone,) = player.find_sonic_path(start.id, start.id)
    assert alone.entry.id == start.id
    copies = [song.id for song in whole_library(player) if song.title == "Road"]
    assert [one.entry.id for one in player.find_sonic_path(*copies, count)] == copies


# what a listener does


def test_a_play_and_a_star_are_in_the_listeners_profile(ask, library_path):
    song = ask("search3", query="Neon")["searchResult3"]["song"][0]
    assert song["playCount"] == 0
    at = int(1000 * (time.time() - 3600))
    ask("scrobble", id=song["id"], submission="false")
    assert [one["id"] for one in ask("getNowPlaying")["nowPlaying"]["entry"]] == [song["id"]]
    ask("scrobble", id=song["id"], time=at)
    ask("scrobble", id=["tr-1", song["id"]], time=[1, at + 600_000])
    ask("star", id=[song["id"]], albumId=song["albumId"], artistId=song["artistId"])
    held = ask("getSong", id=song["id"])["song"]
    assert held["playCount"] == 2
    assert held["starred"] == ask("getSong", id=song["id"])["song"]["starred"]
    starred = ask("getStarred2")["starred2"]
    assert [[one["id"] for one in starred[kind]] for kind in ("song", "album", "artist")] == [
        [song["id"]],
        [song["albumId"]],
        [song["artistId"]],
    ]
    albums = [ask("getAlbumList2", type=kind)["albumList2"]["album"] for kind in ("starred", "highest", "frequent")]
    assert [found[0]["id"] for found in albums] == [song["albumId"]] * 3
    recent = [one["id"] for one in ask("getAlbumList2", type="recent")["albumList2"]["album"]]
    assert recent == [ask("getSong", id="tr-1")["song"]["albumId"], song["albumId"]]
    assert ask("getTopSongs", artist=song["artist"])["topSongs"]["song"][0]["id"] == song["id"]
    with mirclr.Library.open(library_path) as library:
        listens = {listen.title: listen for listen in library.listens("anna")}
        assert (listens["Neon"].plays, listens["Neon"].taste) == (2, 1)
    ask("unstar", id=[song["id"], song["albumId"], song["artistId"]])  # as some players name albums and artists
    assert ask("getStarred2")["starred2"] == {"artist": [], "album": [], "song": []}
    assert "starred" not in ask("getAlbum", id=song["albumId"])["album"]


def test_what_is_liked_on_the_page_is_starred_and_what_is_disliked_never_comes(ask):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    alike = ask("getSimilarSongs", id="tr-1", count=5)["similarSongs"]["song"]
    for i, taste in ((1, 1), (int(alike[0]["id"][3:]), -1)):
        answer = ask.client.post("/api/v1/profiles/anna/likes", json={"track": i, "taste": taste}, headers=headers)
        assert answer.status_code in (200, 204), answer.text
    assert [song["id"] for song in ask("getStarred2")["starred2"]["song"]] == ["tr-1"]
    again = ask("getSimilarSongs", id="tr-1", count=5)["similarSongs"]["song"]
    assert alike[0]["id"] not in [song["id"] for song in again]


def test_song_lists_are_those_of_the_page(ask):
    made = ask("createPlaylist", name="Mine", songId=["tr-3", "tr-1", "tr-3"])["playlist"]
    assert [song["id"] for song in made["entry"]] == ["tr-3", "tr-1", "tr-3"]
    assert made["songCount"] == 3
    other = ask("createPlaylist", name="Mine")["playlist"]
    assert (other["name"], other["songCount"], other["entry"]) == ("Mine (2)", 0, [])
    ask("updatePlaylist", playlistId=made["id"], songIndexToRemove=[0, 1], songIdToAdd=["tr-5", "tr-6"])
    ask("updatePlaylist", playlistId=made["id"], name="Evening", comment="for <later>")
    held = ask("getPlaylist", id=made["id"])["playlist"]
    assert [song["id"] for song in held["entry"]] == ["tr-3", "tr-5", "tr-6"]
    assert (held["name"], held["comment"], held["owner"]) == ("Evening", "for <later>", "anna")
    assert held["changed"] >= held["created"]
    ask("createPlaylist", playlistId=made["id"], songId="tr-9")
    assert [song["id"] for song in ask("getPlaylist", id=made["id"])["playlist"]["entry"]] == ["tr-9"]
    page = ask.client.get("/api/v1/playlists", headers={"Authorization": f"Bearer {TOKEN}"}).text
    assert "Evening" in page
    assert {one["name"] for one in ask("getPlaylists")["playlists"]["playlist"]} == {"Evening", "Mine (2)"}
    for one in (made, other):
        ask("deletePlaylist", id=one["id"])
    assert ask("getPlaylists")["playlists"] == {"playlist": []}


def test_saved_queries_are_lists_that_are_made_anew(ask, library_path):
    with mirclr.Library.open(library_path) as library:
        query = Query(genre=("rock",), n=4)
        library.save_playlist("Rock of mine", {"query": query.to_json(), "output": None})
        library.save_playlist("Gone", {"query": {"seeds": ["nobody knows this"]}, "output": None})
        expected = [f"tr-{r.track.id}" for r in library.answer(query).recommendations]
    held = {one["name"]: one for one in ask("getPlaylists")["playlists"]["playlist"]}
    rock = held["Rock of mine"]
    assert (rock["songCount"], rock["readonly"], held["Gone"]["songCount"]) == (len(expected), True, 0)
    entry = ask("getPlaylist", id=rock["id"])["playlist"]["entry"]
    assert [song["id"] for song in entry] == expected
    assert ask("getPlaylists")["playlists"]["playlist"] == list(held.values())
    assert ask("createPlaylist", name="Gone")["playlist"]["name"] == "Gone (2)"
    for name, key in (("updatePlaylist", "playlistId"), ("deletePlaylist", "id")):
        assert ask(name, **{key: rock["id"]})["error"]["code"] == 50
    with mirclr.Library.open(library_path) as library:
        library.remove(int(expected[0][3:]))
    entry = ask("getPlaylist", id=rock["id"])["playlist"]["entry"]
    assert expected[0] not in [song["id"] for song in entry]


def test_read_only_writes_nothing(library_path):
    before = library_path.read_bytes()
    app = create_app(ServeSettings(library_path, token=TOKEN, read_only=True))
    with TestClient(app, base_url=HOST) as client:
        for name in WRITING:
            answer = client.get(f"/rest/{name}", params=ME | {"id": "tr-1", "name": "x", "playlistId": "pl-1"})
            assert answer.json()["subsonic-response"]["error"]["code"] == 50
        for name in ("getStarred2", "getPlaylists", "search3", "getUser"):
            assert client.get(f"/rest/{name}", params=ME).json()["subsonic-response"]["status"] == "ok"
        assert client.get("/rest/getUser", params=ME).json()["subsonic-response"]["user"]["playlistRole"] is False
    assert library_path.read_bytes() == before


# sound and pictures


def test_a_song_is_streamed_as_its_file_and_in_ranges(player, served):
    song = song_called(player, "Snö")
    with mirclr.Library.open(served[1]) as library:
        data = library.tracks([int(song.id[3:])])[0].file.read_bytes()
    for name in ("stream", "download"):
        whole = httpx.get(f"{served[0]}/rest/{name}", params=ME | {"id": song.id})
        assert whole.content == data
        assert whole.headers["content-type"].startswith("audio/ogg")
    part = httpx.get(f"{served[0]}/rest/stream", params=ME | {"id": song.id}, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, data[100:200])
    beyond = httpx.get(f"{served[0]}/rest/stream", params=ME | {"id": song.id}, headers={"Range": "bytes=99999999-"})
    assert beyond.status_code == 416
    head = httpx.head(f"{served[0]}/rest/stream", params=ME | {"id": song.id})
    assert int(head.headers["content-length"]) == len(data)

    async def streamed() -> bytes:
        connection = libopensonic.AsyncConnection(
            served[0].rpartition(":")[0], "anna", TOKEN, port=int(served[0].rpartition(":")[2])
        )
        answer = await connection.stream(song.id)
        try:
            return await answer.read()
        finally:
            await connection.cleanup()

    assert asyncio.run(streamed()) == data


def test_a_song_is_made_smaller_where_that_is_asked_for_and_begins_anywhere(served):
    song = next(song for song in whole(served) if song["suffix"] == "flac")
    for how in ({"timeOffset": "60", "maxBitRate": "64"}, {"format": "opus", "timeOffset": "60"}):
        answer = httpx.get(f"{served[0]}/rest/stream", params=ME | {"id": song["id"]} | how)
        with av.open(io.BytesIO(answer.content)) as file:
            assert file.streams.audio[0].codec_context.name.startswith(how.get("format", "mp3")[:3])
            seconds = sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))
        assert seconds == pytest.approx(song["duration"] - int(how.get("timeOffset", 0)), abs=1.5)


def whole(served) -> list[dict[str, Any]]:
    answer = httpx.get(f"{served[0]}/rest/search3", params=ME | {"query": "", "songCount": 500})
    return answer.json()["subsonic-response"]["searchResult3"]["song"]


def test_what_is_not_there_is_told_to_a_player_that_waits_for_sound(player):
    with pytest.raises((DataNotFoundError, SonicError, AuthError)):
        player.stream("tr-99999")
    with pytest.raises(DataNotFoundError):
        player.get_song("tr-99999")
