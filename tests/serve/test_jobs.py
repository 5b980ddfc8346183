"""Long work: in a process of its own, one at a time, told by events, ended cleanly."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

import mirclr
from mirclr.serve.jobs import Jobs, kinds
from mirclr.serve.jobs.process import Report, run
from tests.made_up_music import SONGS
from tests.serve.live import serving


@contextmanager
def events(address: str) -> Iterator[Callable[[Callable[[dict], bool]], list[dict]]]:
    """Listen; what is given takes events until one passes a test, and returns all of them."""
    with httpx.stream("GET", f"{address}/api/v1/events", timeout=60) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()

        def until(passes: Callable[[dict], bool]) -> list[dict]:
            seen = []
            for line in lines:
                if line.startswith("data: "):
                    seen.append(json.loads(line.removeprefix("data: ")))
                    if passes(seen[-1]):
                        return seen
            raise AssertionError(f"the events ended: {seen}")

        yield until


def test_a_job_runs_apart_and_the_next_waits_for_it(library_path: Path):
    with serving(library_path) as address, events(address) as until:
        first = httpx.post(f"{address}/api/v1/jobs", json={"kind": "classify"})
        assert first.status_code == 202
        second = httpx.post(f"{address}/api/v1/jobs", json={"kind": "duplicates"}).json()
        assert second["state"] == "waiting"
        third = httpx.post(f"{address}/api/v1/jobs", json={"kind": "embed"}).json()
        ended = httpx.delete(f"{address}/api/v1/jobs/{third['id']}").json()
        assert ended["state"] == "cancelled"
        seen = until(lambda job: job["id"] == second["id"] and job["state"] == "done")
        order = [(job["id"], job["state"]) for job in seen]
        assert order.index((1, "done")) < order.index((2, "running"))
        done = next(job for job in seen if job["id"] == 1 and job["state"] == "done")
        assert done["result"]["songs"] == len(SONGS)
        assert done["done"] == done["total"]
        with events(address) as late:  # who comes later sees how it is
            assert {job["id"]: job["state"] for job in late(lambda job: job["id"] == 3)} == {
                1: "done",
                2: "done",
                3: "cancelled",
            }


def test_what_is_cancelled_or_stopped_leaves_a_sound_library(library_path: Path):
    with serving(library_path) as address, events(address) as until:
        job = httpx.post(f"{address}/api/v1/jobs", json={"kind": "describe", "again": True}).json()
        until(lambda one: one["state"] == "running")
        httpx.delete(f"{address}/api/v1/jobs/{job['id']}")
        assert until(lambda one: one["state"] not in ("waiting", "running"))[-1]["state"] == "cancelled"
        httpx.post(f"{address}/api/v1/jobs", json={"kind": "describe", "again": True})
        until(lambda one: one["state"] == "running")
    # the service has ended, and with it the job that ran, and let go who listened
    with mirclr.Library.open(library_path) as library:
        assert library.verify() == []


def test_jobs_are_named_by_what_there_is(client: TestClient):
    for body in (
        {"kind": "x"},
        {"kind": "embed", "folder": 7},
        {"kind": "embed", "folder": "/etc"},
        {},
        [],
        {"path": "/"},
    ):
        assert client.post("/api/v1/jobs", json=body).status_code in (404, 422), body
    for number in ("7", "0", "-1", "9" * 30, "x"):
        assert client.get(f"/api/v1/jobs/{number}").status_code in (404, 422)
        assert client.delete(f"/api/v1/jobs/{number}").status_code in (404, 422)
    assert client.get("/api/v1/jobs").json() == []


def test_jobs_and_listeners_have_an_end(client: TestClient, monkeypatch):
    monkeypatch.setattr(Jobs, "_begin_next", lambda self: None)
    limits = client.app.state.service.settings.limits
    answers = [client.post("/api/v1/jobs", json={"kind": "classify"}).status_code for _ in range(limits.jobs + 1)]
    assert answers == [202] * limits.jobs + [429]
    jobs = client.app.state.jobs
    jobs._listeners = set(range(limits.events))
    assert client.get("/api/v1/events").status_code == 429
    jobs._listeners = set()


# kinds, in this process


@pytest.fixture
def told() -> list:
    return []


@pytest.fixture
def do(library_path: Path, told: list, monkeypatch) -> Callable[..., dict[str, Any]]:
    """Does a kind of job here: processes that decode would take longer than all else."""
    for module in ("audio.decoding", "data.clips", "ingest.storing", "ingest.near_duplicates"):
        monkeypatch.setattr(
            f"mirclr.{module}.results_in_order", lambda work, jobs, **_: ((j, work(*j)) for j in jobs), raising=False
        )
    return lambda kind, **options: kinds.KINDS[kind](library_path, options, Report(told.append))


@pytest.fixture
def own_music(library_path: Path, tmp_path: Path) -> Path:
    """A folder of music of this test's own, in a library of its own."""
    with mirclr.Library.open(library_path) as library:
        songs = [track.file for track in library.tracks()]
    music = tmp_path / "music"
    music.mkdir()
    for song in songs[:3]:
        shutil.copy(song, music)
    with mirclr.Library.open(library_path) as library:
        library.remove([track.id for track in library.tracks()])
    return music


def test_embed_and_sync_do_what_the_commands_do(do, told, library_path, own_music):
    with mirclr.Library.open(library_path) as library:
        library.embed(own_music)
    (own_music / "broken.mp3").write_bytes(b"no music")
    found = do("embed")
    assert (found["unchanged"], found["failed"], len(found["failures"])) == (3, 1, 1)
    assert found["failures"][0]["file"].endswith("broken.mp3")
    steps = sum(message[1] for message in told if message[0] == "advance")
    assert steps == 4
    os.remove(own_music / "broken.mp3")
    os.remove(sorted(own_music.iterdir())[0])
    found = do("sync")
    assert (found["unchanged"], found["removed"], found["forgotten"]) == (2, 1, 1)


def test_a_folder_that_is_not_there_keeps_its_songs(do, told, library_path, own_music):
    with mirclr.Library.open(library_path) as library:
        library.embed(own_music)
    shutil.rmtree(own_music)
    assert do("embed")["embedded"] == 0
    assert any("is not there" in message[1] for message in told if message[0] == "remark")
    assert len(do("sync")["kept"]) == 1
    with mirclr.Library.open(library_path) as library:
        assert len(library.ids()) == 3


def test_fingerprints_are_made_of_songs_that_have_none(do, library_path: Path):
    assert do("fingerprint") == {"made": len(SONGS), "problems": []}
    with mirclr.Library.open(library_path) as library:
        assert library.fingerprint_count() == len(SONGS)
    assert do("fingerprint") == {"made": 0, "problems": []}


def test_a_report_becomes_a_page_beside_the_library(do, library_path):
    from mirclr.library.kept_files import files_of_library, report_page_of

    assert do("report")["songs"] == len(SONGS)
    assert report_page_of(library_path).read_text("utf-8").startswith("<!DOCTYPE html>")
    assert "report" in [file.what for file in files_of_library(library_path)]


@pytest.mark.parametrize("kind", ["sync", "embed", "duplicates"])
def test_what_cannot_be_done_is_told_in_the_line_of_the_command(tmp_path: Path, told, kind, monkeypatch):
    monkeypatch.setattr("mirclr.serve.jobs.process.give_way", lambda: None)
    with mirclr.Library.open(tmp_path / "lib.db", create=True):
        pass
    run(told.append, kind, tmp_path / "lib.db", {})
    (what, line, trace) = told[-1]
    assert (what, "holds no" in line, trace) == ("failed", True, "")


def test_what_is_no_error_of_ours_is_told_with_its_trace(told, library_path, monkeypatch):
    def fails(*_):
        raise ZeroDivisionError("x")

    monkeypatch.setitem(kinds.KINDS, "embed", fails)
    monkeypatch.setattr("mirclr.serve.jobs.process.give_way", lambda: None)
    run(told.append, "embed", library_path, {})
    (what, line, trace) = told[0]
    assert (what, "mirclr itself" in line, "ZeroDivisionError" in trace) == ("failed", True, True)


def test_progress_is_told_a_few_times_a_second_and_at_the_end(told, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    advance = Report(told.append).begin("Listening to songs", 1000)
    for _ in range(1000):
        now[0] += 0.001
        advance(note="1 could not be read")
    steps = [message[1] for message in told if message[0] == "advance"]
    assert sum(steps) == 1000
    assert len(steps) <= 7
