"""The routes of the map."""

from base64 import b64decode

import numpy as np
import pytest
from fastapi.testclient import TestClient

import mirclr
from mirclr.map import draw_map
from mirclr.serve.jobs.kinds import KINDS
from mirclr.serve.jobs.process import Report


@pytest.fixture
def drawn(library_path):
    """The ids and points of a map that was drawn of the library."""
    with mirclr.Library.open(library_path) as library:
        draw_map(library)
        return library.map_points()


def test_without_a_map_there_is_nothing_to_show(client: TestClient):
    state = client.get("/api/v1/map").json()
    assert state["placed"] == state["together"] == 0
    assert state["unplaced"] == state["songs"] > 20
    assert client.get("/api/v1/map/points").content == client.get("/api/v1/map/ids").content == b""
    assert client.get("/api/v1/map/clusters").json()["clusters"] == []
    colours = client.get("/api/v1/map/colours").json()
    assert colours["codes"] == ""
    assert colours["legend"] == []


def test_points_and_ids_are_bytes_that_a_browser_keeps(drawn, client: TestClient):
    ids, points = drawn
    answer = client.get("/api/v1/map/points")
    assert np.array_equal(np.frombuffer(answer.content, "<f4").reshape(-1, 2), points)
    assert np.array_equal(np.frombuffer(client.get("/api/v1/map/ids").content, "<u4"), ids)
    state = client.get("/api/v1/map").json()
    assert (state["placed"], state["unplaced"], state["together"]) == (len(ids), 0, len(ids))
    tag = answer.headers["etag"]
    assert tag == f'"{state["version"]}"'
    for known in (tag, f'"another", W/{tag}'):
        again = client.get("/api/v1/map/points", headers={"If-None-Match": known})
        assert again.status_code == 304
        assert not again.content


@pytest.mark.parametrize("by", ["genre", "mood", "year", "tempo", "album"])
def test_colours_have_a_code_for_each_point(drawn, client: TestClient, by):
    found = client.get("/api/v1/map/colours", params={"by": by}).json()
    codes = np.frombuffer(b64decode(found["codes"]), np.uint8)
    assert len(codes) == len(drawn[0])
    assert found["version"] == client.get("/api/v1/map").json()["version"]
    counted = [int((codes == code).sum()) for code in range(len(found["legend"]))]
    assert counted == [one["songs"] for one in found["legend"]]
    assert found["unknown"] == (codes == 255).sum()
    assert found["other"] == (codes == 254).sum()


def test_a_job_draws_the_map_and_places_what_came_later(library_path, client: TestClient):
    told: list = []

    def do(**options):
        return KINDS["map"](library_path, options, Report(told.append))

    songs = client.get("/api/v1/map").json()["songs"]
    assert do() == {"laid_out": songs, "placed": 0}
    begun = [message for message in told if message[0] == "begin"]
    assert sum(message[1] for message in told if message[0] == "advance") == begun[-1][2]
    with mirclr.Library.open(library_path) as library:
        library.store_map(*(part[:-2] for part in library.map_points()))
    points = client.get("/api/v1/map/points").content
    assert client.get("/api/v1/map").json()["unplaced"] == 2
    assert do() == {"laid_out": 0, "placed": 2}
    assert client.get("/api/v1/map/points").content.startswith(points)
    assert do(again=True) == {"laid_out": songs, "placed": 0}


def test_what_colours_cannot_show_is_refused(client: TestClient):
    assert client.get("/api/v1/map/colours", params={"by": "path"}).status_code == 422


def test_clusters_have_names_and_places(drawn, client: TestClient):
    found = client.get("/api/v1/map/clusters").json()["clusters"]
    assert found
    assert any(cluster["name"] for cluster in found)
    assert sum(cluster["size"] for cluster in found if cluster["level"] == 0) <= len(drawn[0])
    assert all(abs(cluster["x"]) <= 1 and abs(cluster["y"]) <= 1 for cluster in found)


def test_all_songs_that_words_mean_are_found(drawn, client: TestClient):
    def found(**query):
        return np.frombuffer(client.get("/api/v1/map/matches", params=query).content, "<u4").tolist()

    assert found() == drawn[0].tolist()
    some = found(q="night trains")
    listed = client.get("/api/v1/tracks", params={"q": "night trains"}).json()
    assert sorted(track["id"] for track in listed["tracks"]) == some != []
    assert found(q="nothing is called so") == []
    assert found(q="night trains", year="before 1995") == found(artist="Night Trains", year="before 1995") != some


def test_what_changes_in_the_library_is_seen_at_once(drawn, client: TestClient, library_path):
    before = client.get("/api/v1/map").json()
    genres = client.get("/api/v1/map/colours", params={"by": "mood"}).json()
    with mirclr.Library.open(library_path) as library:
        library.remove([int(drawn[0][0])])
        library.store_probabilities("mood", {int(i): {"calm": 0.9} for i in drawn[0]}, "others")
    after = client.get("/api/v1/map").json()
    assert after["placed"] == before["placed"] - 1
    assert after["version"] != before["version"]
    now = client.get("/api/v1/map/colours", params={"by": "mood"}).json()
    assert now["legend"] == [{"label": "calm", "songs": after["placed"]}] != genres["legend"]
