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
