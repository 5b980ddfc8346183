"""Songs as sound and pictures over HTTP."""

import io
import multiprocessing
import os
from multiprocessing import connection
from pathlib import Path

import av
import httpx
import pytest
import soundfile
from fastapi.testclient import TestClient
from PIL import Image

import mirclr
from mirclr.library import LibraryTrack
from mirclr.serve.app import create_app
from mirclr.serve.settings import Limits, ServeSettings
from tests.serve.conftest import HOST
from tests.serve.elsewhere import endless
from tests.serve.live import serving


def a_song(library_path: Path, text: str) -> LibraryTrack:
    with mirclr.Library.open(library_path) as library:
        return library.find(text)[0]


def test_a_song_is_its_file(client: TestClient, library_path) -> None:
    song = a_song(library_path, "Rust")
    data = song.file.read_bytes()
    found = client.get(f"/api/v1/tracks/{song.id}/audio")
    assert (found.status_code, found.content) == (200, data)
    assert found.headers["content-type"] == "audio/ogg; codecs=vorbis"
    assert found.headers["accept-ranges"] == "bytes"
    part = client.get(f"/api/v1/tracks/{song.id}/audio", headers={"range": "bytes=100-299"})
    assert (part.status_code, part.content) == (206, data[100:300])
    assert part.headers["content-range"] == f"bytes 100-299/{len(data)}"
    head = client.head(f"/api/v1/tracks/{song.id}/audio", headers={"range": "bytes=100-299"})
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(data)))
    again = client.get(f"/api/v1/tracks/{song.id}/audio", headers={"if-none-match": found.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    beyond = client.get(f"/api/v1/tracks/{song.id}/audio", headers={"range": f"bytes={len(data)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(data)}")
    assert beyond.headers["content-type"] == "application/problem+json"


MADE = {"mp3": ("bytes", True), "opus": ("none", False)}


@pytest.mark.parametrize("kind", list(MADE))
def test_a_song_is_made_into_another_kind(client: TestClient, library_path, kind) -> None:
    song = a_song(library_path, "Rust")
    found = client.get(f"/api/v1/tracks/{song.id}/audio", params={"format": kind, "start_s": song.duration_s - 5})
    assert found.status_code == 200, found.text
    with av.open(io.BytesIO(found.content)) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.name in (kind, "mp3float")
        seconds = sum(frame.samples for frame in container.decode(stream)) / stream.rate
    assert seconds == pytest.approx(5, abs=0.2)
    assert (found.headers["accept-ranges"], "content-length" in found.headers) == MADE[kind]
    head = client.head(f"/api/v1/tracks/{song.id}/audio", params={"format": kind})
    assert (head.status_code, head.headers["content-type"]) == (200, found.headers["content-type"])


def test_what_is_made_into_mp3_is_seeked_in_by_bytes(client: TestClient, library_path, monkeypatch) -> None:
    monkeypatch.setattr("mirclr.processes._may_have_children", lambda: False)
    song = a_song(library_path, "Rust")
    url = f"/api/v1/tracks/{song.id}/audio?format=mp3&start_s={song.duration_s - 6}"
    whole = client.get(url)
    assert len(whole.content) == int(whole.headers["content-length"])
    size = len(whole.content)
    assert client.head(url).headers["content-length"] == str(size)
    for begin, end in ((0, 2), (5, 40), (size - 20_000, size), (size // 2, size // 2 + 5000)):
        part = client.get(url, headers={"range": f"bytes={begin}-{end - 1}", "if-range": whole.headers["etag"]})
        assert (part.status_code, len(part.content)) == (206, end - begin)
        assert part.headers["content-range"] == f"bytes {begin}-{end - 1}/{size}"
    assert client.get(url, headers={"range": f"bytes={size}-"}).status_code == 416
    assert client.get(url, headers={"if-none-match": whole.headers["etag"]}).status_code == 304
    other = client.get(url + "1", headers={"range": "bytes=100-200", "if-range": whole.headers["etag"]})
    assert other.status_code == 200  # another sound


@pytest.mark.parametrize("asked", [{"format": "exe"}, {"start_s": "nan"}, {"start_s": -1}, {"start_s": 1e9}])
def test_what_cannot_be_is_refused(client: TestClient, library_path, asked) -> None:
    song = a_song(library_path, "Rust")
    found = client.get(f"/api/v1/tracks/{song.id}/audio", params=asked)
    assert (found.status_code, found.headers["content-type"]) == (422, "application/problem+json")


@pytest.mark.parametrize("what", ["audio", "cover", "peaks"])
@pytest.mark.parametrize("track_id", [0, -1, 10**9, 10**17, 10**30])
def test_there_is_no_such_song(client: TestClient, what, track_id) -> None:
    found = client.get(f"/api/v1/tracks/{track_id}/{what}")
    assert found.status_code in (404, 422)
    assert found.headers["content-type"] == "application/problem+json"


def test_no_more_songs_at_once_than_allowed(library_path) -> None:
    song = a_song(library_path, "Rust")
    settings = ServeSettings(library_path, limits=Limits(streams=0))
    with TestClient(create_app(settings), base_url=HOST) as client:
        found = client.get(f"/api/v1/tracks/{song.id}/audio")
        assert (found.status_code, found.headers["retry-after"]) == (503, "2")
    settings = ServeSettings(library_path, limits=Limits(streams=1, transcoded=0))
    with TestClient(create_app(settings), base_url=HOST) as client:
        for _ in range(3):  # what was sent is given back
            assert client.get(f"/api/v1/tracks/{song.id}/audio").status_code == 200
            assert client.get(f"/api/v1/tracks/{song.id}/audio?format=mp3").status_code == 503


def test_a_cover_is_that_of_the_file_or_beside_it(client: TestClient, library_path, made_library) -> None:
    song = a_song(library_path, "Rust")
    missing = client.get(f"/api/v1/tracks/{song.id}/cover")
    assert client.get(f"/api/v1/tracks/{song.id}/cover", params={"none": "empty"}).status_code == 204
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    beside = song.file.parent / "Cover.PNG"
    Image.new("RGB", (900, 600), (1, 2, 3)).save(beside)
    try:
        found = client.get(f"/api/v1/tracks/{song.id}/cover")
        assert (found.status_code, found.content) == (200, beside.read_bytes())
        assert found.headers["content-type"] == "image/png"
        held = {"if-none-match": found.headers["etag"]}
        assert client.get(f"/api/v1/tracks/{song.id}/cover", headers=held).status_code == 304
        assert client.head(f"/api/v1/tracks/{song.id}/cover").headers["content-type"] == "image/png"
    finally:
        beside.unlink()


def test_a_large_cover_is_made_smaller(client: TestClient, library_path) -> None:
    song = a_song(library_path, "Ferry")
    beside = song.file.parent / "folder.png"
    noise = os.urandom(500 * 400 * 3)
    Image.frombytes("RGB", (500, 400), noise).save(beside)
    try:
        found = client.get(f"/api/v1/tracks/{song.id}/cover", params={"size": 100})
        assert found.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(found.content)).size == (100, 80)
        assert client.get(f"/api/v1/tracks/{song.id}/cover", params={"size": 5}).status_code == 422
    finally:
        beside.unlink()


def test_peaks_are_found_once_and_kept(client: TestClient, library_path, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MIRCLR_HOME", str(tmp_path / "home"))
    with TestClient(create_app(ServeSettings(library_path)), base_url=HOST) as client:
        song = a_song(library_path, "Rust")
        found = client.get(f"/api/v1/tracks/{song.id}/peaks", params={"n": 300})
        assert (found.status_code, len(found.content)) == (200, 300), found.text
        samples, _ = soundfile.read(song.file)
        assert max(found.content) == pytest.approx(min(1.0, abs(samples).max()) * 255, abs=2)
        kept = [p for p in (tmp_path / "home").rglob("*") if p.is_file()]
        assert len(kept) == 1
    with TestClient(create_app(ServeSettings(library_path)), base_url=HOST) as client:
        monkeypatch.setattr("mirclr.media.peaks.peaks_of", lambda *_: pytest.fail("found again"))
        assert client.get(f"/api/v1/tracks/{song.id}/peaks", params={"n": 300}).content == found.content


def test_nothing_is_kept_of_what_is_only_read(library_path, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MIRCLR_HOME", str(tmp_path / "home"))
    song = a_song(library_path, "Rust")
    with TestClient(create_app(ServeSettings(library_path, read_only=True)), base_url=HOST) as client:
        assert client.get(f"/api/v1/tracks/{song.id}/peaks").status_code == 200
    assert not (tmp_path / "home").exists()


def test_who_leaves_ends_what_is_made_for_them(library_path, monkeypatch) -> None:
    monkeypatch.setattr("mirclr.media.made.try_transcoded", endless)
    song = a_song(library_path, "Rust")
    with serving(library_path) as address:
        with (
            httpx.Client(base_url=address) as client,
            client.stream("GET", f"/api/v1/tracks/{song.id}/audio?format=opus") as found,
        ):
            assert found.status_code == 200
            assert next(found.iter_raw())
            running = [process.sentinel for process in multiprocessing.active_children()]
            assert running
        for sentinel in running:
            assert connection.wait([sentinel], 60)  # ready once the process has ended


def test_a_song_is_seeked_in_over_a_real_connection(library_path) -> None:
    song = a_song(library_path, "String Quartet")
    data = song.file.read_bytes()
    with serving(library_path) as address, httpx.Client(base_url=address) as client:
        for begin in (0, 1, len(data) // 2, len(data) - 1):
            found = client.get(f"/api/v1/tracks/{song.id}/audio", headers={"range": f"bytes={begin}-"})
            assert (found.status_code, found.content) == (206, data[begin:])
