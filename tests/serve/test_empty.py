"""A library without songs: what lists, counts and profiles say of it."""

from pathlib import Path

from fastapi.testclient import TestClient

from mirclr.library import LibraryStore
from mirclr.serve.app import create_app
from mirclr.serve.settings import ServeSettings
from tests.serve.conftest import HOST

API = "/api/v1"


def test_a_library_without_songs(tmp_path: Path) -> None:
    LibraryStore.open(tmp_path / "lib.db", create=True).close()
    with TestClient(create_app(ServeSettings(tmp_path / "lib.db")), base_url=HOST) as client:
        for body in ({}, {"genre": ["rock"], "bpm": "120"}):
            counts = client.post(f"{API}/counts", json=body)
            assert counts.status_code == 200, counts.text
            assert counts.json()["total"] == 0
        for path, body in (("recommend", {"seed": 1}), ("radio", {})):
            answer = client.post(f"{API}/{path}", json=body)
            assert answer.status_code == 404
            assert "holds no songs yet" in answer.json()["detail"]
        assert client.post(f"{API}/order", json={"tracks": [1]}).json() == {"songs": [], "unknown": 0}
        assert client.post(f"{API}/profiles/me/likes", json={"track": 1, "taste": 1}).status_code == 404
        assert client.put(f"{API}/playlists/x", json={"tracks": [1]}).json()["songs"] == 0
