"""Playlists, files of them and blocks over HTTP."""

from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

import mirclr
from mirclr.recommend import Query
from mirclr.recommend.playlist import read_entries
from mirclr.serve.app import create_app
from mirclr.serve.settings import ServeSettings
from tests.serve.conftest import HOST

API = "/api/v1"


def address(name: str) -> str:
    return f"{API}/playlists/{quote(name, safe='')}"


@pytest.mark.parametrize("name", ["Abend", "AC/DC & Ümläut?", "50% #1"])
def test_songs_are_kept_in_order_under_any_name(client: TestClient, name: str) -> None:
    made = client.put(address(name), json={"tracks": [3, 1, 2, 1]})
    assert made.status_code == 200, made.text
    assert (made.json()["name"], made.json()["kind"], made.json()["songs"]) == (name, "songs", 4)
    assert [t["id"] for t in client.get(address(name)).json()["tracks"]] == [3, 1, 2, 1]
    assert client.put(address(name), json={"tracks": [2], "comment": "x", "rename": "neu"}).status_code == 200
    assert client.get(address(name)).status_code == 404
    assert client.get(address("neu")).json()["words"] == "x"
    assert [one["name"] for one in client.get(f"{API}/playlists").json()] == ["neu"]
    assert client.delete(address("neu")).status_code == 204
    assert client.delete(address("neu")).status_code == 404


def test_a_saved_query_is_listed_anew(client: TestClient, library_path) -> None:
    asked = {"seeds": [1], "n": 4, "artist_gap": 1}
    saved = client.put(address("like"), json={"query": asked})
    assert saved.status_code == 200, saved.text
    found = client.get(address("like")).json()
    listed = client.post(f"{API}/recommend", json=asked).json()["recommendations"]
    assert [t["id"] for t in found["tracks"]] == [r["track"]["id"] for r in listed]
    assert found["query"] == {"seeds": ["id:1"], "n": 4, "artist_gap": 1}
    with mirclr.Library.open(library_path) as library:
        assert library.tracks([1])[0].label in found["words"]
    assert client.post(f"{API}/blocks", json={"track": listed[0]["track"]["id"]}).status_code == 201
    assert listed[0]["track"]["id"] not in [t["id"] for t in client.get(address("like")).json()["tracks"]]


def test_a_query_that_the_command_line_saved_is_listed_too(client: TestClient, library_path) -> None:
    with mirclr.Library.open(library_path) as library:
        seed = library.tracks()[0]
        query = Query(seeds=(str(seed.file),), n=3)
        library.save_playlist("old", {"query": query.to_json(), "output": None})
        expected = [r.track.id for r in library.answer(query).recommendations]
    assert [t["id"] for t in client.get(address("old")).json()["tracks"]] == expected


def test_a_name_is_of_one_playlist(client: TestClient) -> None:
    client.put(address("a"), json={"query": {"genre": ["rock"]}})
    refused = client.put(address("a"), json={"tracks": [1]})
    assert refused.status_code == 409
    assert "saved query called a" in refused.json()["detail"]
    client.put(address("b"), json={"tracks": [1]})
    assert client.put(address("b"), json={"query": {"seeds": [1]}}).status_code == 409
    assert client.put(address("b"), json={"rename": "a"}).status_code == 409


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"tracks": [1], "query": {"seeds": [1]}}, 422),
        ({}, 404),
        ({"tracks": [0]}, 422),
        ({"tracks": [1 << 40]}, 422),
        ({"tracks": [1] * 10_001}, 422),
        ({"query": {"seeds": ["no such song"]}}, 404),
        ({"query": {"seeds": [1], "n": 10**6}}, 422),
        ({"trackz": [1]}, 422),
    ],
)
def test_what_cannot_be_kept_is_refused(client: TestClient, body, status) -> None:
    assert client.put(address("x"), json=body).status_code == status
    assert client.get(f"{API}/playlists").json() == []


def test_a_name_that_nobody_can_read_is_refused(client: TestClient) -> None:
    for name in ("a\u202eb", "a\x01", " "):
        assert client.put(address(name), json={"tracks": [1]}).status_code == 422


@pytest.mark.parametrize("suffix", ["m3u8", "xspf", "jspf"])
def test_a_file_reads_back_as_the_songs(client: TestClient, library_path, tmp_path, suffix) -> None:
    given = {"name": 'Mein "Mix" / 夜', "tracks": [2, 5, 1]}
    answer = client.post(f"{API}/export?format={suffix}", json=given)
    assert answer.status_code == 200, answer.text
    header = answer.headers["content-disposition"]
    assert header == (
        f"attachment; filename=\"Mein -Mix- - _.{suffix}\"; filename*=UTF-8''Mein%20-Mix-%20-%20%E5%A4%9C.{suffix}"
    )
    (tmp_path / f"x.{suffix}").write_bytes(answer.content)
    with mirclr.Library.open(library_path) as library:
        files = [str(track.file) for track in library.tracks([2, 5, 1])]
        root = library.tracks([1])[0].root
    assert [entry.paths[0] for entry in read_entries(tmp_path / f"x.{suffix}")] == files
    relative = client.post(f"{API}/export?format={suffix}&paths=relative", json=given)
    assert root.encode() not in relative.content


def test_songs_that_are_not_there_make_no_file(client: TestClient) -> None:
    assert client.post(f"{API}/export", json={"tracks": [999]}).status_code == 404
    assert client.post(f"{API}/export?format=exe", json={"tracks": [1]}).status_code == 422


def test_a_song_its_artist_and_its_album_are_blocked(client: TestClient, library_path) -> None:
    with mirclr.Library.open(library_path) as library:
        track = next(t for t in library.tracks() if t.artist and t.album)
    for kind in ("artist", "album", "track"):
        added = client.post(f"{API}/blocks", json={kind: track.id})
        assert added.status_code == 201, added.text
        assert added.json()["kind"] == kind
        assert "keeps out" in added.json()["effect"]
        assert "keeps out nothing" not in added.json()["effect"]
        listed = client.post(f"{API}/recommend", json={"n": 100, "seed": 1, "artist_cap": 0, "artist_gap": 0}).json()
        assert track.id not in [r["track"]["id"] for r in listed["recommendations"]]
        (rule,) = client.get(f"{API}/blocks").json()
        assert client.delete(f"{API}/blocks", params={"rule": rule["rule"]}).status_code == 204
        assert client.get(f"{API}/blocks").json() == []
    assert client.delete(f"{API}/blocks", params={"rule": "artist:nobody"}).status_code == 404


@pytest.mark.parametrize(
    "body",
    [{}, {"rule": "x"}, {"rule": "a", "track": 1}, {"rule": "path:~/x"}, {"rule": "track: ~root"}, {"track": "1/../2"}],
)
def test_what_is_no_rule_is_refused(client: TestClient, body) -> None:
    assert client.post(f"{API}/blocks", json=body).status_code == 422


def test_what_the_tags_do_not_name_cannot_be_blocked(client: TestClient, library_path) -> None:
    with mirclr.Library.open(library_path) as library:
        untagged = next(t for t in library.tracks() if not t.artist)
    assert client.post(f"{API}/blocks", json={"artist": untagged.id}).status_code == 404
    assert client.post(f"{API}/blocks", json={"track": untagged.id}).status_code == 201
    assert client.post(f"{API}/blocks", json={"track": 999}).status_code == 404


def test_a_library_for_reading_only_keeps_nothing(library_path) -> None:
    with TestClient(create_app(ServeSettings(library_path, read_only=True)), base_url=HOST) as client:
        for method, path, body in (
            ("PUT", "/playlists/x", {"tracks": [1]}),
            ("DELETE", "/playlists/x", None),
            ("POST", "/blocks", {"track": 1}),
            ("DELETE", "/blocks?rule=x", None),
            ("PUT", "/profiles/me", None),
            ("DELETE", "/profiles/me", None),
            ("POST", "/profiles/me/plays", {"track": 1, "played_s": 100}),
            ("POST", "/profiles/me/likes", {"track": 1, "taste": 1}),
        ):
            assert client.request(method, f"{API}{path}", json=body).status_code == 403, path
        assert client.post("/1/submit-listens", json={}).status_code == 403
        assert client.get(f"{API}/profiles").json() == []
