"""The library as a whole: its counts, folders, failures, copies and report."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import mirclr
from mirclr.evaluation.report import overview
from mirclr.library import Description, Failure, Outline
from mirclr.library.kept_files import report_page_of
from tests.made_up_music import SONGS

HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202e"


def test_what_the_library_holds_is_counted(client: TestClient, library_path: Path):
    found = client.get("/api/v1/stats").json()
    assert found["songs"] == found["guessed"] == len(SONGS)
    assert found["described"] == 0  # as before beats and chords were kept
    assert sum(bar["songs"] for bar in found["tempos"]) == len(SONGS)
    with mirclr.Library.open(library_path) as library:
        likely = [label for row in library.probabilities("mood").values() for label, p in row.items() if p >= 0.35]
        years = [track.year for track in library.tracks()]
        sizes = {track.file: track.file.stat().st_size for track in library.tracks()}
    assert {bar["label"]: bar["songs"] for bar in found["moods"]} == {m: likely.count(m) for m in likely}
    assert found["fingerprints"] == 0
    for task in ("genre", "mood"):  # each bar leads to as many songs as it says
        for bar in found[f"{task}s"]:
            listed = client.get("/api/v1/tracks", params={task: bar["label"], "limit": 1}).json()
            assert listed["total"] == bar["songs"] > 0, bar
    assert found["without_year"] == sum(not year for year in years)
    assert found["bytes"] == sum(sizes.values())
    with mirclr.Library.open(library_path) as library:
        library.store_descriptions({library.tracks()[0].id: Description(100.0, "Am", 0.8, -14.0, Outline(), {})})
    assert client.get("/api/v1/stats").json()["described"] == 1


def test_folders_have_numbers_and_say_whether_they_are_there(client: TestClient, library_path: Path):
    (folder,) = client.get("/api/v1/folders").json()
    assert (folder["number"], folder["songs"], folder["absence"]) == (0, len(SONGS), None)
    with mirclr.Library.open(library_path) as library:
        assert folder["path"] == next(iter(library.roots()))
        library.add_exclusions(folder["path"], ["Podcasts"])
    assert client.get("/api/v1/folders").json()[0]["excluded"] == ["Podcasts"]


def test_failures_come_in_parts_with_what_to_do(client: TestClient, library_path: Path):
    with mirclr.Library.open(library_path) as library:
        damaged = [track.id for track in library.tracks() if track.remark]
        library.forget(library.failures())
        root = next(iter(library.roots()))
        names = [f"{n} {HOSTILE}.mp3" for n in range(5)]
        library.write(failures=[Failure(root, name, 1, 1, f"{root}/{name}: cannot be decoded") for name in names])
    whole = client.get("/api/v1/failures").json()
    assert whole["total"] == 5 + len(damaged)
    offsets = range(0, whole["total"], 2)
    parts = [client.get("/api/v1/failures", params={"offset": n, "limit": 2}).json()["failures"] for n in offsets]
    assert [one for part in parts for one in part] == whole["failures"]
    for one in whole["failures"][:5]:
        assert one["reason"] == "cannot be decoded"
        assert "not there any more" in one["what_to_do"]
        assert one["file"].isprintable()
    assert [one["track"] for one in whole["failures"][5:]] == damaged


def test_copies_come_in_groups_with_the_best_one(client: TestClient, library_path: Path):
    nothing = client.get("/api/v1/duplicates").json()
    assert (nothing["total"], nothing["looked"]) == (0, False)
    with mirclr.Library.open(library_path) as library:
        a, b, c, d, e = library.ids()[:5].tolist()
        library.store_near_duplicates({(a, b): 0.9, (b, c): 0.7, (d, e): 0.2})
    found = client.get("/api/v1/duplicates").json()
    assert (found["total"], found["looked"]) == (1, True)
    (group,) = found["groups"]
    assert [copy["track"]["id"] for copy in group] == [a, b, c]
    assert [copy["likelihood"] for copy in group] == [0.9, 0.9, 0.7]
    assert sum(copy["best"] for copy in group) == 1


def test_the_report_is_a_document_that_runs_nothing(client: TestClient, library_path: Path):
    assert client.get("/api/v1/report").status_code == 404
    report_page_of(library_path).write_text("<!DOCTYPE html><script>alert(1)</script>", "utf-8")
    found = client.get("/api/v1/report")
    assert found.headers["content-type"].startswith("text/html")
    policy = found.headers["content-security-policy"]
    assert policy.startswith("sandbox;")
    assert "allow-scripts" not in policy
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert found.headers["x-frame-options"] == "SAMEORIGIN"


@pytest.mark.parametrize("path", ["failures", "duplicates"])
def test_a_part_has_an_end(client: TestClient, path: str):
    for query in ("limit=501", "limit=-1", "offset=-1", f"offset={10**30}", "limit=x"):
        assert client.get(f"/api/v1/{path}?{query}").status_code == 422


def test_what_it_holds_is_counted_once_for_each_state_of_it(
    client: TestClient, library_path: Path, monkeypatch
) -> None:
    counted = []
    monkeypatch.setattr(overview, "counts_of", lambda library, of=overview.counts_of: counted.append(1) or of(library))
    first = client.get("/api/v1/stats").json()
    assert client.get("/api/v1/stats").json() == first
    assert len(counted) == 1
    with mirclr.Library.open(library_path) as library:
        library.remove(library.tracks()[0])
    after = client.get("/api/v1/stats").json()
    assert (len(counted), after["songs"]) == (2, first["songs"] - 1)
    assert sum(bar["songs"] for bar in after["decades"]) < sum(bar["songs"] for bar in first["decades"])
