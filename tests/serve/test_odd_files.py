"""Songs of every kind of file, parts of files, and files that are not what they should be: over HTTP."""

import io
import os
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from fastapi.testclient import TestClient

import mirclr
from mirclr.library import Entry
from mirclr.models.stamp import EncoderStamp
from mirclr.serve.app import create_app
from mirclr.serve.settings import ServeSettings
from mirclr.tags import Tags
from tests.serve.conftest import HOST
from tests.tagged_files import a_file

SENT = {  # what a browser gets of each, as it is or made into mp3
    "mp3, no tag": "audio/mpeg",
    "flac": "audio/flac",
    "ogg vorbis": "audio/ogg; codecs=vorbis",
    "opus": "audio/ogg; codecs=opus",
    "wav": "audio/wav",
    "m4a": "audio/mp4",
    "aac": "audio/aac",
    "aiff": None,
    "alac": None,
    "wma": None,
    "wavpack": None,
    "tta": None,
    "rf64": None,
}


def entry(root: Path, path: str, seconds: float, **more) -> Entry:
    vector = np.ones(4, np.float32)
    digest = path.encode("utf-8", "replace").hex()
    return Entry(str(root), path, 1, 1, digest, digest, seconds, Tags(title=f"<b>{digest}</b>"), vector, **more)


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """Decode in this process: to start one takes longer than all else, and test_media.py does."""
    monkeypatch.setattr("mirclr.processes._may_have_children", lambda: False)


@pytest.fixture
def library(tmp_path: Path):
    """An empty library of an encoder that was never made; entries are written to it as they are."""
    with mirclr.Library.open(tmp_path / "odd.db", create=True) as library:
        library.bind(EncoderStamp("d" * 32, "none", 4, 15, {}))
        yield library


@pytest.fixture
def client(library):
    with TestClient(create_app(ServeSettings(library.path)), base_url=HOST, raise_server_exceptions=False) as client:
        yield client


def audio_of(client: TestClient, track_id: int, **asked):
    return client.get(f"/api/v1/tracks/{track_id}/audio", params=asked)


def seconds_of(data: bytes) -> float:
    with av.open(io.BytesIO(data)) as container:
        return sum(f.samples / f.sample_rate for f in container.decode(audio=0))


@pytest.mark.parametrize("name", list(SENT))
def test_every_kind_of_file_can_be_played(client, library, tmp_path, name):
    path = a_file(tmp_path, name)
    seconds = seconds_of(path.read_bytes())
    library.write(entries=[entry(tmp_path, path.name, seconds)])
    found = audio_of(client, 1)
    assert found.status_code == 200, found.text
    assert found.headers["content-type"] == (SENT[name] or "audio/mpeg")
    assert (found.content == path.read_bytes()) == (SENT[name] is not None)
    assert seconds_of(found.content) == pytest.approx(seconds, abs=0.1)
    assert "<b>" not in str(found.headers)


def test_a_part_of_a_file_is_that_part(client, library, tmp_path):
    path = a_file(tmp_path, "flac as FFmpeg writes it")
    part = entry(tmp_path, f"{path.name}/02", 1.5, audio_path=path.name, start_s=1.0)
    library.write(entries=[part])
    assert seconds_of(audio_of(client, 1).content) == pytest.approx(1.5, abs=0.1)
    assert seconds_of(audio_of(client, 1, format="opus", start_s=1).content) == pytest.approx(0.5, abs=0.1)
    assert seconds_of(client.get("/rest/download?u=me&id=tr-1").content) == pytest.approx(1.5, abs=0.1)
    ranged = client.get("/api/v1/tracks/1/audio", headers={"range": "bytes=0-1"})
    assert (ranged.status_code, ranged.headers["content-type"], ranged.content) == (206, "audio/mpeg", b"ID")
    assert audio_of(client, 1, start_s=1.6).status_code == 422
    assert len(client.get("/api/v1/tracks/1/peaks?n=50").content) == 50


def odd(tmp_path: Path, what: str) -> None:
    """Something at songs/a.mp3 that must not be read."""
    (tmp_path / "songs").mkdir()
    place = tmp_path / "songs" / "a.mp3"
    secret = a_file(tmp_path, "mp3, no tag").rename(tmp_path / "secret.mp3")
    match what:
        case "a link that leads out":
            place.symlink_to(secret)
        case "a pipe":
            os.mkfifo(place)
        case "a folder":
            place.mkdir()
        case "a device":
            place.symlink_to("/dev/zero")
        case "a link to itself":
            place.symlink_to(place)


@pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")
@pytest.mark.parametrize(
    "what",
    ["nothing", "a link that leads out", "a pipe", "a folder", "a device", "a link to itself"],
)
def test_what_is_no_file_of_the_library_is_not_read(client, library, tmp_path, what):
    odd(tmp_path, what)
    library.write(entries=[entry(tmp_path / "songs", "a.mp3", 3.0)])
    for kind in ("audio", "audio?format=mp3", "cover", "peaks"):
        found = client.get(f"/api/v1/tracks/1/{kind}")
        assert (found.status_code, found.headers["content-type"]) == (404, "application/problem+json"), found.text
        assert str(tmp_path) not in found.text
    assert client.head("/api/v1/tracks/1/audio").status_code == 404


@pytest.mark.skipif(os.name == "nt", reason="links of POSIX")
def test_an_image_that_a_link_leads_to_is_no_cover(client, library, tmp_path):
    path = a_file(tmp_path, "flac")
    (tmp_path / "songs").mkdir()
    path.rename(tmp_path / "songs" / "a.flac")
    (tmp_path / "own.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (tmp_path / "songs" / "cover.png").symlink_to(tmp_path / "own.png")
    (tmp_path / "songs" / "folder.jpg").write_bytes(b"<svg onload=alert(1)>")
    library.write(entries=[entry(tmp_path / "songs", "a.flac", 1.0)])
    assert client.get("/api/v1/tracks/1/cover").status_code == 404


def test_discs_share_the_cover_above_them(client, library, tmp_path):
    path = a_file(tmp_path, "flac")
    image = b"\x89PNG\r\n\x1a\n" + bytes(100)
    for folder in ("Album/CD 1", "Album/Live"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.flac").write_bytes(path.read_bytes())
    (tmp_path / "Album" / "Front.png").write_bytes(image)
    library.write(entries=[entry(tmp_path, f"{folder}/a.flac", 1.0) for folder in ("Album/CD 1", "Album/Live")])
    assert client.get("/api/v1/tracks/1/cover").content == image
    assert client.get("/api/v1/tracks/2/cover").status_code == 404
    (tmp_path / "Album" / "CD 1" / "cover.gif").write_bytes(b"GIF89a" + bytes(20))  # its own comes first
    assert client.get("/api/v1/tracks/1/cover").headers["content-type"] == "image/gif"
    assert client.get("/api/v1/tracks/1/cover?size=64").content == b"GIF89a" + bytes(20)  # which cannot be shrunk


def test_a_file_that_is_damaged_gives_what_it_can(client, library, tmp_path):
    path = a_file(tmp_path, "wma")
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: len(data) // 4])
    library.write(entries=[entry(tmp_path, path.name, 3.0)])
    for kind in ("audio", "peaks"):
        found = client.get(f"/api/v1/tracks/1/{kind}")
        assert found.status_code in (200, 422), found.text
        assert str(tmp_path) not in found.text


def test_a_file_that_ends_early_is_silent_for_the_rest(client, library, tmp_path):
    path = a_file(tmp_path, "wavpack")
    library.write(entries=[entry(tmp_path, path.name, 20.0)])  # as it was when it was embedded
    found = audio_of(client, 1)
    assert len(found.content) == int(found.headers["content-length"])
    assert seconds_of(found.content) == pytest.approx(20.0, abs=0.1)


@pytest.mark.parametrize("data", [b"", b"no sound" * 100, b"\xff\xfb\x90\x00" * 3])
def test_a_file_that_became_something_else_is_a_line(client, library, tmp_path, data):
    (tmp_path / "a.mp3").write_bytes(data)
    library.write(entries=[entry(tmp_path, "a.mp3", 3.0)])
    found = audio_of(client, 1, format="mp3")
    assert (found.status_code, found.headers["content-type"]) == (422, "application/problem+json"), found.text
    assert str(tmp_path) not in found.text
    assert client.get("/api/v1/tracks/1/peaks").status_code == 422


@pytest.mark.parametrize("name", ['ä "; filename=x.html\r\n\N{SNOWMAN}.flac', "no text \udcff.flac", "%2e%2e.flac"])
def test_odd_names_are_sent_in_headers_that_hold_them(client, library, tmp_path, name):
    if os.name == "nt" or sys.platform == "darwin":
        name = "ä; \N{SNOWMAN}.flac"
    a_file(tmp_path, "flac").rename(tmp_path / name)
    library.write(entries=[replace(entry(tmp_path, name, 1.0), tags=Tags())])
    header = audio_of(client, 1).headers["content-disposition"]
    assert header.isascii()
    assert header.startswith("inline; filename*=UTF-8''")
    assert not set('"\r\n;') & set(header.partition("''")[2])
