"""Who may ask for what: hosts, other sites, the token, sizes, read-only."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import mirclr
from mirclr.errors import LibraryError
from mirclr.serve.app import create_app
from mirclr.serve.settings import Limits, ServeSettings
from mirclr.tags import Tags
from tests.serve.conftest import HOST

TOKEN = "a token of ours"
FOLDERS = "/api/v1/jobs"


@pytest.fixture
def asking(library_path: Path) -> Iterator:
    """Makes clients of services with other settings."""
    opened = []

    def ask(**settings) -> TestClient:
        app = create_app(ServeSettings(library_path, **settings))
        client = TestClient(app, base_url=HOST, raise_server_exceptions=False)
        opened.append(client.__enter__())
        return client

    yield ask
    for client in opened:
        client.__exit__(None, None, None)


def refused(answer, status: int, words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.1.2:8338", "localhost.evil", ""])
def test_a_name_of_another_host_is_refused(client: TestClient, host):
    assert client.get(FOLDERS, headers={"Host": host}).status_code in (400, 403)


@pytest.mark.parametrize("host", ["localhost:8338", "127.0.0.1", "[::1]:8338", "LOCALHOST", "localhost.:80"])
def test_a_name_of_this_machine_is_answered(client: TestClient, host):
    assert client.get(FOLDERS, headers={"Host": host}).status_code == 200


def test_a_name_that_is_allowed_is_answered(asking):
    client = asking(token=TOKEN, allowed_hosts=("music.example",))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get(FOLDERS, headers=headers | {"Host": "music.example"}).status_code == 200
    refused(client.get(FOLDERS, headers=headers | {"Host": "x.music.example"}), 403, "--allow-host x.music.example")


def test_what_others_reach_is_answered_by_its_address(asking):
    client = asking(host="0.0.0.0", token=TOKEN)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get(FOLDERS, headers=headers | {"Host": "192.168.1.2:8338"}).status_code == 200
    assert client.get(FOLDERS, headers=headers | {"Host": "evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": HOST, "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_asks_for_nothing(client: TestClient, headers):
    refused(client.post(FOLDERS, json={"kind": "embed"}, headers=headers), 403, "another site")
    assert client.get(FOLDERS).json() == []


def test_the_page_itself_and_a_link_that_leads_here_are_answered(client: TestClient):
    own = {"Origin": HOST, "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/v1/recommend", json={"seeds": ["Enter the Yard"]}, headers=own).status_code == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert client.get("/", headers=link).status_code == 200
    assert client.get("/", headers=link | {"Sec-Fetch-Dest": "iframe"}).status_code == 403


def test_without_a_token_no_proxy_is_answered(client: TestClient, asking):
    refused(client.get(FOLDERS, headers={"X-Forwarded-For": "203.0.113.9"}), 403, "--token")
    headers = {"X-Forwarded-For": "203.0.113.9", "Authorization": f"Token {TOKEN}"}
    assert asking(token=TOKEN).get(FOLDERS, headers=headers).status_code == 200


def test_a_token_is_needed_for_all_but_the_empty_page(asking):
    client = asking(token=TOKEN)
    refused(client.get(FOLDERS), 401, "token")
    for path in ("/docs", "/metrics", "/openapi.json", "/api/v1/tracks/1", "/api/v1/../api/v1/jobs", "/x"):
        assert client.get(path).status_code == 401, path
    assert client.get("/").status_code == 200
    assert client.get("/api/v1/session").json()["needed"]
    for wrong in ("", "x", TOKEN + "x", TOKEN[:-1], TOKEN.upper()):
        refused(client.get(FOLDERS, headers={"Authorization": f"Bearer {wrong}"}), 401, "another")


def test_a_browser_says_the_token_once(asking):
    client = asking(token=TOKEN)
    refused(client.post("/api/v1/session", json={"token": "x"}), 401, "another")
    begun = client.post("/api/v1/session", json={"token": TOKEN})
    cookie = begun.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie
    assert client.get(FOLDERS).status_code == 200
    assert client.get("/api/v1/session").json()["open"]
    forged = {"Cookie": f"mirclr_8338=99999999999.{'0' * 64}"}
    assert client.get(FOLDERS, headers=forged).status_code == 401
    assert client.delete("/api/v1/session").status_code == 204
    client.cookies.clear()
    assert client.get(FOLDERS).status_code == 401


def test_a_session_ends_when_the_token_changes(asking):
    first = asking(token=TOKEN)
    first.post("/api/v1/session", json={"token": TOKEN})
    cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in first.cookies.items())}
    assert asking(token=TOKEN).get(FOLDERS, headers=cookies).status_code == 200
    assert asking(token="another").get(FOLDERS, headers=cookies).status_code == 401


def test_who_guesses_has_to_wait(asking):
    client = asking(token=TOKEN, limits=Limits(wrong_tokens_a_minute=3))
    for _ in range(3):
        client.post("/api/v1/session", json={"token": "x"})
    late = client.post("/api/v1/session", json={"token": TOKEN})
    refused(late, 429, "try again")
    assert int(late.headers["retry-after"]) > 0


def test_who_asks_without_end_has_to_wait(asking):
    client = asking(limits=Limits(requests_a_second=0.5))
    assert {client.get("/healthz").status_code for _ in range(5)} == {200}
    refused(client.get("/healthz"), 429, "too often")


def test_bodies_have_an_end(client: TestClient, asking):
    refused(client.post("/api/v1/recommend", content=b"x" * (1 << 20 | 1)), 413, "too large")

    def parts():
        for _ in range(20):
            yield b" " * (1 << 16)

    refused(client.post("/api/v1/recommend", content=parts()), 413, "too large")
    for body in (b"{", b"\xff\xfe", b"[" * 100_000, b'{"n": 1e999}', b'{"seeds": ["\\ud800"]}', b'{"seeds":"x"}'):
        answer = client.post("/api/v1/recommend", content=body, headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500, (body[:20], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("track", ["0", "-1", "99999999999999999999", "1e3", "../1", "%2e%2e", "x", "1;2", "%00"])
def test_ids_that_cannot_be_are_no_songs(client: TestClient, track):
    answer = client.get(f"/api/v1/tracks/{track}")
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize(
    "path",
    ["/assets/x/../service.py", "/assets/x/%2e%2e/%2e%2e/service.py", "/assets/x//etc/passwd", "/assets/x/index.html"],
)
def test_assets_are_those_of_the_page_alone(client: TestClient, path):
    assert client.get(path).status_code == 404


def test_each_answer_keeps_the_page_to_itself(client: TestClient):
    for path in ("/", "/api/v1/jobs", "/nothing", "/assets/x/main.js"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
    assert "no-store" in client.get("/api/v1/jobs").headers["cache-control"]


def test_read_only_writes_nothing(asking):
    client = asking(read_only=True)
    refused(client.post("/api/v1/jobs", json={"kind": "classify"}), 403, "--read-only")
    assert client.get("/api/v1/session").json()["read_only"]


def test_read_only_leaves_every_byte(asking, library_path: Path):
    def files() -> dict[str, bytes]:
        read = {file.name: file.read_bytes() for file in library_path.parent.iterdir()}
        # who reads makes an empty log, and takes it away
        return {name: data for name, data in read.items() if not name.endswith("-shm") and (data or "-wal" not in name)}

    before = files()
    client = asking(read_only=True)
    with mirclr.Library.open(library_path) as library:
        track = library.tracks()[0].id
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        if "get" in methods and path != "/api/v1/events":
            answer = client.get(re.sub(r"{\w+}", str(track), path), params={"a": track, "b": track, "u": "x", "c": "x"})
            assert answer.status_code < 500, path
    for path in READS - {"/api/v1/classify", "/api/v1/identify"}:
        for body in ({"seeds": [track]}, {"genre": ["rock"], "bpm": "~120"}, {"tracks": [track], "name": "x"}):
            assert client.post(path, json=body).status_code < 500, path
    for what in ("star", "createPlaylist", "scrobble", "setRating"):
        client.get(f"/rest/{what}.view", params={"id": track, "songId": track, "name": "x", "u": "x", "c": "x"})
    assert files() == before
    with mirclr.Library.open(library_path) as library:
        library.forbid_writes()
        with pytest.raises(LibraryError, match="may not be written"):
            library.add_blocks(["artist:x"])


READS = {
    f"/api/v1/{what}" for what in ("recommend", "words", "counts", "order", "export", "radio", "classify", "identify")
}


def test_every_route_that_may_write_asks_whether_it_may(asking):
    """Of all methods that are made for writing, but for the lists of songs that are asked for by POST."""
    client = asking(read_only=True)
    asked = []
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method in methods.keys() & {"post", "put", "patch", "delete"}:
            if path not in READS and not path.startswith(("/api/v1/session", "/rest/")):
                asked.append(path)
                answer = client.request(method, re.sub(r"{\w+}", "1", path), json={})
                assert "--read-only" in answer.text, f"{method} {path}: no dependencies=[WRITES]"
    assert "/api/v1/jobs" in asked


HOSTILE = "</script><img src=x onerror=alert(1)>\r\nX-Evil: 1\x1b[31m\u202e'\";\x00"


def test_what_a_title_says_is_text_everywhere(client: TestClient, library_path: Path):
    """As JSON that no browser takes for a page, without what steers a terminal, and never as a header or a name."""
    with mirclr.Library.open(library_path) as library:
        track = library.tracks()[0]
        state = library.states_of([track.id])[track.id]
        library.refresh_tags(state, Tags(title=HOSTILE, artist=HOSTILE, album=HOSTILE, genre=HOSTILE))
    asked = [
        client.get(f"/api/v1/tracks/{track.id}"),
        client.get("/api/v1/tracks", params={"q": "onerror"}),
        client.get("/api/v1/search", params={"q": "onerror"}),
        client.post("/api/v1/recommend", json={"seeds": [track.id], "n": 2}),
        client.get("/api/v1/stats"),
        client.post("/api/v1/counts", json={}),
        client.get("/rest/getSong.view", params={"id": f"{track.id}", "u": "x", "c": "x", "v": "1.16.1", "f": "json"}),
    ]
    assert "onerror" in asked[0].text
    for answer in asked:
        assert answer.headers["content-type"].startswith("application/json"), answer.request.url
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "x-evil" not in answer.headers
        for sign in ("\x1b", "\u202e", "\\u001b", "\\u202e", "\\u0000"):
            assert sign not in answer.text, (answer.request.url, sign)
    for kind in ("m3u8", "xspf", "jspf"):
        body = {"name": HOSTILE, "tracks": [track.id]}
        answer = client.post("/api/v1/export", params={"format": kind}, json=body)
        assert answer.status_code in (200, 422)
        assert "x-evil" not in answer.headers
        assert "\r\n" not in answer.headers.get("content-disposition", "")
        assert "<img" not in answer.text or kind != "xspf"
    sound = client.get(f"/api/v1/tracks/{track.id}/audio", headers={"Range": "bytes=0-1"})
    assert sound.headers["content-type"].startswith("audio/")
    assert "x-evil" not in sound.headers


def test_a_cookie_of_a_page_by_tls_is_sent_by_tls_alone(asking):
    client = asking(token=TOKEN)
    client.base_url = "https://127.0.0.1:8338"
    assert "secure" in client.post("/api/v1/session", json={"token": TOKEN}).headers["set-cookie"].lower()
