"""Lists of songs over HTTP: the whole query model, and the lines of the command line for what cannot be."""

from fastapi.testclient import TestClient

import mirclr
from mirclr.recommend import Query
from mirclr.serve.api.recommend import QueryBody


def test_the_body_has_the_fields_of_a_query() -> None:
    assert list(QueryBody.model_fields) == list(Query.__dataclass_fields__)


def test_a_list_is_that_of_python(client: TestClient, library_path) -> None:
    with mirclr.Library.open(library_path) as library:
        seed = library.matching("Enter the Yard")[0]
        expected = [r.track.id for r in library.recommend(seed.file, n=5)]
    for named in (seed.id, "Enter the Yard"):
        found = client.post("/api/v1/recommend", json={"seeds": [named], "n": 5})
        assert found.status_code == 200, found.text
        assert [r["track"]["id"] for r in found.json()["recommendations"]] == expected


def test_no_text_of_a_client_is_a_path(client: TestClient, library_path) -> None:
    with mirclr.Library.open(library_path) as library:
        file = str(library.tracks()[0].file)
    found = client.post("/api/v1/recommend", json={"seeds": [file]})
    assert found.status_code == 404
    assert found.headers["content-type"] == "application/problem+json"
    assert "no song, artist or album" in found.json()["detail"]


def test_words_are_understood_and_list_what_python_lists(client: TestClient, library_path) -> None:
    text = "calm, no rock, before 2010"
    with mirclr.Library.open(library_path) as library:
        expected = [r.track.id for r in library.search(text).recommendations]
    found = client.post("/api/v1/recommend", json={"text": text}).json()
    assert [r["track"]["id"] for r in found["recommendations"]] == expected
    read = client.post("/api/v1/words", json={"text": text}).json()
    assert read == found["understood"]
    assert read["without"] == ["rock"]
    assert read["filters"] == {"year": "before 2010"}
    assert "calm" in read["tags"]


def test_words_that_mean_nothing_are_a_line(client: TestClient) -> None:
    for route in ("words", "recommend"):
        found = client.post(f"/api/v1/{route}", json={"text": "xylophobia"})
        assert found.status_code == 404
        assert "nothing of 'xylophobia' is understood" in found.json()["detail"]
    assert client.post("/api/v1/words", json={"text": ""}).status_code == 422


def test_what_songs_are_to_be_alike_in_is_asked_as_of_python(client: TestClient, library_path) -> None:
    asked = {"seeds": ["Enter the Yard"], "n": 5}
    by_sound = client.post("/api/v1/recommend", json=asked).json()
    assert client.post("/api/v1/recommend", json=asked | {"like": ["timbre"]}).json() == by_sound
    with mirclr.Library.open(library_path) as library:
        answer = library.answer(Query(seeds=("Enter the Yard",), n=5, like=("harmony=0.5", "timbre")))
    found = client.post("/api/v1/recommend", json=asked | {"like": ["harmony=0.5", "timbre"]}).json()
    assert [r["track"]["id"] for r in found["recommendations"]] == [r.track.id for r in answer.recommendations]
    assert found["remarks"] == answer.remarks
    wrong = client.post("/api/v1/recommend", json=asked | {"like": ["melody"]})
    assert (wrong.status_code, "expected timbre, harmony, rhythm" in wrong.json()["detail"]) == (422, True)
