"""How songs sound, over HTTP: over time, two in common, and audio that is sent."""

import sys
from concurrent.futures import Future

import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient

import mirclr
from mirclr.audio import read_excerpts, try_excerpts
from mirclr.audio.decoding import DecodedFile
from mirclr.audio.landmarks import find_landmarks
from mirclr.classify import Heads
from mirclr.classify.corrections import corrected
from mirclr.classify.excerpts import likeliest, predict_excerpts
from mirclr.library import ExcerptEmbeddings, LibraryStore, LibraryTrack
from mirclr.library.excerpts import restoring_gain
from mirclr.models.pretrained import builtin_heads
from mirclr.serve.app import create_app
from mirclr.serve.settings import Limits, ServeSettings
from tests.serve.conftest import HOST
from tests.serve.elsewhere import die_of


def a_song(library_path, text: str) -> LibraryTrack:
    with mirclr.Library.open(library_path) as library:
        return library.find(text)[0]


def cosines(a, b):
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("n_tracks", [2, 20, 400])
def test_excerpts_are_restored_better_than_by_their_mean(n_tracks):
    rng = np.random.default_rng(1)
    axes = rng.standard_normal((60, 384)) * 0.9 ** np.arange(60)[:, None]
    centre = rng.standard_normal(384)
    usual = centre + rng.standard_normal((n_tracks, 60)) @ axes
    embeddings = (usual[0] + 0.7 * rng.standard_normal((15, 60)) @ axes).astype(np.float32)
    mean = embeddings.mean(axis=0)
    restored = ExcerptEmbeddings.of(np.arange(15), embeddings).restored(mean, restoring_gain(usual))
    by_mean = cosines(np.repeat(mean[None], 15, axis=0), embeddings).mean()
    assert cosines(restored, embeddings).mean() > by_mean + 0.25 * (1 - by_mean)
    assert n_tracks < 400 or cosines(restored, embeddings).mean() > 0.97


def test_a_song_over_time_is_near_what_its_sound_gives(client: TestClient, library_path):
    song = a_song(library_path, "Neon")
    encoder, heads = mirclr.load_encoder(), Heads.load(builtin_heads())
    excerpts = read_excerpts(song.file, count=encoder.excerpts, seconds=encoder.seconds, rate=encoder.rate)
    rows = encoder.embed_excerpts(encoder.levelled(excerpts.waveforms))
    alone = np.pad(rows, ((0, 0), (0, encoder.dim - rows.shape[1])))
    expected = heads.predict_proba(alone / np.linalg.norm(alone, axis=1, keepdims=True))["mood"]
    with mirclr.Library.open(library_path) as library:
        found, labels = predict_excerpts(library, library.index, song.id, library.heads)
    assert labels["mood"] == heads.tasks["mood"].labels
    assert np.abs(found.probabilities["mood"] - expected).mean() < 0.06
    answer = client.get(f"/api/v1/tracks/{song.id}/over-time").json()
    assert answer["starts_s"] == pytest.approx(excerpts.starts.tolist(), abs=0.01)
    assert answer["seconds"] == pytest.approx(encoder.seconds)
    for task in ("genre", "mood"):
        table = dict(zip(labels[task], found.probabilities[task].T.tolist(), strict=True))
        assert len(answer[task]) >= 3
        for label, column in answer[task].items():
            assert column == pytest.approx(table[label], abs=1e-3)


def test_what_a_person_says_is_learned_once_for_all_requests(client: TestClient, library_path, monkeypatch):
    song, fits = a_song(library_path, "Neon"), []
    monkeypatch.setattr("mirclr.classify.predict.corrected", lambda *of: fits.append(1) or corrected(*of))

    def over_time() -> list[dict]:
        return [client.get(f"/api/v1/tracks/{song.id}/over-time").json() for _ in range(6)]

    plain = over_time()[0]
    assert not fits
    for right in (True, False):
        with LibraryStore.open(library_path) as library:
            library.store_answers("genre", {song.id: {"funk": right}}, alone=True)
        fits.clear()
        answers = over_time()
        assert len(fits) == 1  # of the built-in heads, whichever thread answers
        assert all(answer == answers[0] != plain for answer in answers)
        assert ("funk" in answers[0]["genre"]) >= right
    with LibraryStore.open(library_path) as library:
        library.forget_answers([song.id])
    assert over_time()[0] == plain


def test_the_likeliest_at_any_time_are_listed():
    table = np.array([[0.1, 0.7, 0.2], [np.nan] * 3, [0.6, 0.3, 0.1]])
    found = likeliest(table, ("a", "b", "c"), 1)
    assert list(found) == ["b", "a"]
    assert found["a"].tolist()[::2] == [0.1, 0.6]


def test_no_torch_is_loaded_for_songs_of_the_library(library_path):
    code = f"""
import sys
from fastapi.testclient import TestClient
from mirclr.serve.app import create_app
from mirclr.serve.settings import ServeSettings
from pathlib import Path
with TestClient(create_app(ServeSettings(Path({str(library_path)!r}))), base_url={HOST!r}) as client:
    for path in ("1/over-time", "1/audio", "1/cover"):
        client.get("/api/v1/tracks/" + path)
    assert client.get("/api/v1/explain?a=1&b=2").status_code == 200
assert "torch" not in sys.modules
"""
    import subprocess

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_two_songs_are_explained_as_a_list_explains_them(client: TestClient, library_path):
    with mirclr.Library.open(library_path) as library:
        seed = library.find("Rust")[0]
        listed = library.recommend(seed.file, n=5, same_album=True, versions=True, artist_cap=0, excerpts=True)[0]
    found = client.get("/api/v1/explain", params={"a": seed.id, "b": listed.track.id}).json()
    assert (found["first"]["id"], found["second"]["id"]) == (seed.id, listed.track.id)
    assert found["similarity"] == pytest.approx(listed.similarity, abs=1e-5)
    assert found["words"] == listed.explanation.words()
    assert tuple(found["starts_s"]) == listed.explanation.excerpts
    assert 0 <= found["alike"] <= 1
    assert found["match"] == round(100 * found["alike"])
    back = client.get("/api/v1/explain", params={"b": seed.id, "a": listed.track.id}).json()
    assert back["alike"] == pytest.approx(found["alike"])
    assert back["starts_s"] == found["starts_s"][::-1]


@pytest.mark.parametrize("asked", [{}, {"a": 1}, {"a": 1, "b": 10**6}, {"a": -1, "b": 1}, {"a": "x", "b": 1}])
def test_songs_that_are_not_there_are_not_explained(client: TestClient, asked):
    found = client.get("/api/v1/explain", params=asked)
    assert found.status_code in (404, 422)
    assert found.headers["content-type"] == "application/problem+json"


class HerePool:
    """In place of a pool: runs jobs here, as to start a process that loads torch takes longer than all else."""

    def __init__(self, *_: object) -> None: ...

    def submit(self, function, *job) -> Future:
        future: Future = Future()
        try:
            future.set_result(function(*job))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self) -> None: ...


def _decoded_here(files, *, workers, **shape):
    for file in files:
        found = try_excerpts(file, **shape)
        yield DecodedFile(file, None, found) if isinstance(found, str) else DecodedFile(file, found, None)


def test_audio_that_ends_its_process_is_a_line_and_no_more(library_path, monkeypatch):
    monkeypatch.setattr("mirclr.serve.sent.predict_sent", die_of)
    with TestClient(create_app(ServeSettings(library_path)), base_url=HOST) as client:
        for _ in range(2):
            found = client.post("/api/v1/classify", content=b"sound")
            assert (found.status_code, "crashed" in found.json()["detail"]) == (422, True)


def test_audio_that_is_sent_is_classified_as_python_does(library_path, monkeypatch):
    monkeypatch.setattr("mirclr.serve.sent.Pool", HerePool)
    monkeypatch.setattr("mirclr.classify.sent.decode_files", _decoded_here)
    song = a_song(library_path, "Ferry")
    with TestClient(create_app(ServeSettings(library_path, read_only=True)), base_url=HOST) as client:
        found = client.post("/api/v1/classify", content=song.file.read_bytes())
        assert found.status_code == 200, found.text
        expected = mirclr.classify(song.file)
        assert found.json()["top_genre"] == expected.top_genre
        assert found.json()["genre"] == pytest.approx(expected.genre, abs=1e-3)
        assert found.json()["mood"] == pytest.approx(expected.moods, abs=1e-3)
        for name, told in (("voice", expected.voice), ("sound", expected.sound), ("instrument", expected.instruments)):
            assert found.json()[name] == pytest.approx(told, abs=1e-3)
        no_audio = client.post("/api/v1/classify", content=b"#EXTM3U\nfile:///etc/passwd\n")
        assert no_audio.status_code == 422
        assert "the audio that was sent: cannot be decoded" in no_audio.json()["detail"]
        assert "/" not in no_audio.json()["detail"]
        assert client.post("/api/v1/classify", content=b"").status_code == 422


def test_what_is_too_long_or_a_form_is_refused(library_path):
    settings = ServeSettings(library_path, limits=Limits(audio_bytes=1000))
    with TestClient(create_app(settings), base_url=HOST) as client:
        assert client.post("/api/v1/classify", content=bytes(1001)).status_code == 413
        assert client.post("/api/v1/classify", files={"file": b"x"}).status_code == 415


def test_who_sends_while_others_do_is_asked_to_wait(library_path, monkeypatch):
    monkeypatch.setattr("mirclr.serve.sent._AT_ONCE", 0)
    with TestClient(create_app(ServeSettings(library_path)), base_url=HOST) as client:
        found = client.post("/api/v1/classify", content=b"sound")
        assert (found.status_code, found.headers["retry-after"]) == (503, "2")


@pytest.fixture
def fingerprinted(library_path):
    """The library, with fingerprints of some of its songs."""
    songs = [a_song(library_path, text) for text in ("Ferry", "Rust", "Frost")]
    with mirclr.Library.open(library_path) as library:
        library.store_fingerprints({song.id: find_landmarks(song.file) for song in songs})
    return library_path


def test_a_clip_that_is_sent_is_identified_as_python_does(fingerprinted, tmp_path, monkeypatch):
    monkeypatch.setattr("mirclr.serve.sent.Pool", HerePool)
    song = a_song(fingerprinted, "Ferry")
    samples, rate = soundfile.read(song.file)
    clip, other = tmp_path / "clip.wav", tmp_path / "other.wav"
    soundfile.write(clip, 0.3 * samples[9 * rate : 15 * rate], rate)
    soundfile.write(other, np.random.default_rng(0).uniform(-0.1, 0.1, 6 * rate), rate)
    with mirclr.Library.open(fingerprinted) as library:
        expected = library.identify(clip)
    index = fingerprinted.with_name("library.db.fingerprints")
    index.unlink()
    with TestClient(create_app(ServeSettings(fingerprinted, read_only=True)), base_url=HOST) as client:
        found = client.post("/api/v1/identify", content=clip.read_bytes())
        assert found.status_code == 200, found.text
        assert found.json()["song"]["id"] == expected.track.id == song.id
        for name in ("start_s", "end_s", "at_s", "speed", "pitch", "matched", "evidence"):
            assert found.json()[name] == pytest.approx(getattr(expected, name), abs=1e-3)
        assert client.post("/api/v1/identify", content=other.read_bytes()).json()["song"] is None
        assert not index.exists()  # a service that only reads writes none
        no_audio = client.post("/api/v1/identify", content=b"#EXTM3U\nfile:///etc/passwd\n")
        assert no_audio.status_code == 422
        assert "/" not in no_audio.json()["detail"]


def test_clips_are_received_within_the_limits_of_other_audio(fingerprinted, monkeypatch):
    settings = ServeSettings(fingerprinted, limits=Limits(audio_bytes=1000))
    with TestClient(create_app(settings), base_url=HOST) as client:
        assert client.post("/api/v1/identify", content=bytes(1001)).status_code == 413
        assert client.post("/api/v1/identify", files={"file": b"x"}).status_code == 415
        monkeypatch.setattr("mirclr.serve.sent._AT_ONCE", 0)
    with TestClient(create_app(settings), base_url=HOST) as client:
        assert client.post("/api/v1/identify", content=b"sound").status_code == 503


def test_a_library_without_fingerprints_says_how_to_make_them(library_path, monkeypatch):
    monkeypatch.setattr("mirclr.serve.sent.Pool", HerePool)
    with TestClient(create_app(ServeSettings(library_path)), base_url=HOST) as client:
        found = client.post("/api/v1/identify", content=a_song(library_path, "Ferry").file.read_bytes())
        assert (found.status_code, "mirclr library fingerprint" in found.json()["detail"]) == (404, True)
