"""Songs over HTTP: parts of all in an order, filters, and what a text may mean while it is typed."""

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

import mirclr
from mirclr.library import Description
from mirclr.names import fold, search_words
from mirclr.recommend import SORTS, Catalogue
from mirclr.recommend.vocabulary import Texts, Vocabulary


def _get(client: TestClient, path: str, **query) -> dict:
    found = client.get(f"/api/v1{path}", params=query)
    assert found.status_code == 200, found.text
    return found.json()


def test_parts_are_together_all_songs(client: TestClient) -> None:
    whole = _get(client, "/tracks", limit=500)
    parts = [_get(client, "/tracks", limit=7, offset=at) for at in range(0, whole["total"], 7)]
    assert [t for part in parts for t in part["tracks"]] == whole["tracks"]
    assert len({t["id"] for t in whole["tracks"]}) == whole["total"] > 7


@pytest.mark.parametrize("sort", SORTS)
def test_sorted_as_said_and_what_is_unknown_comes_last(client: TestClient, sort: str) -> None:
    field = {"duration": "duration_s", "tempo": "tempo_bpm", "added": "id"}.get(sort, sort)
    for desc in (False, True):
        values = [t[field] for t in _get(client, "/tracks", sort=sort, desc=desc, limit=500)["tracks"]]
        known = [fold(v).removeprefix("the ") if isinstance(v, str) else v for v in values if v is not None]
        assert known == sorted(known, reverse=desc)
        assert all(v is None for v in values[len(known) :])


def test_words_find_what_find_finds(client: TestClient, library_path) -> None:
    with mirclr.Library.open(library_path) as library:
        catalogue = Catalogue(library)
        for text in ("the", "yard", "a", "er", "enter yard", "Énter", "no such words"):
            expected = sorted(track.id for track in library.find(text))
            assert sorted(catalogue.page(text=text, limit=500)[1]) == expected
            assert sorted(t["id"] for t in _get(client, "/tracks", q=text, limit=500)["tracks"]) == expected


@given(
    titles=st.lists(st.text(alphabet="aäb 'ßЖ", max_size=7), max_size=12),
    typed=st.text(alphabet="aäb 'ЖB", min_size=1, max_size=4),
)
def test_what_is_typed_finds_what_holds_it_and_the_nearest_first(titles: list[str], typed: str) -> None:
    texts = [search_words(title) for title in titles]
    words = search_words(typed).split()
    vocabulary, named = Vocabulary(texts), Texts(titles)
    holding = [all(any(word in one for one in text.split()) for word in words) for text in texts]
    assert vocabulary.holding(words).tolist() == holding
    beginning = [all(any(one.startswith(word) for one in text.split()) for word in words) for text in texts]
    assert vocabulary.beginning(words).tolist() == beginning
    whole = " ".join(words)
    expected = [
        bool(title) * (2 if text == whole else int(text.startswith(whole)))
        for title, text in zip(titles, texts, strict=True)
    ]
    some = np.arange(len(titles))[::2]
    assert named.beginning(whole, some).tolist() == expected[::2]
    found = [search_words(named.shown[code]) for code in named.named(words, 100)]
    starts = [text.startswith(whole) for text in found]
    assert starts == sorted(starts, reverse=True)


def test_filters_are_those_of_lists(client: TestClient, library_path) -> None:
    with mirclr.Library.open(library_path) as library:
        expected = sorted(track.id for track in library.select(bpm="100..110", key="Am"))
    found = _get(client, "/tracks", bpm="100..110", key="Am", limit=500)
    assert sorted(t["id"] for t in found["tracks"]) == expected
    assert expected
    refused = client.get("/api/v1/tracks", params={"bpm": "fast"})
    assert refused.status_code == 422
    assert "expected a tempo such as" in refused.json()["detail"]


def test_songs_by_their_ids_in_the_order_that_is_asked(client: TestClient) -> None:
    ids = [t["id"] for t in _get(client, "/tracks", limit=500)["tracks"]][4:0:-1]
    found = _get(client, "/tracks", ids=",".join(map(str, [*ids, 999_999])))
    assert [t["id"] for t in found["tracks"]] == ids


def test_a_song_and_its_artist_and_album_while_it_is_typed(client: TestClient) -> None:
    song = next(t for t in _get(client, "/tracks", limit=500)["tracks"] if t["artist"] and t["album"])
    for name, kind in (("title", "songs"), ("artist", "artists"), ("album", "albums")):
        for typed in (song[name], song[name][:4].upper()):
            found = _get(client, "/search", q=typed, limit=50)[kind]
            assert song[name] in [one["title" if kind == "songs" else "name"] for one in found]
    assert _get(client, "/search", q="  ") == {"songs": [], "artists": [], "albums": []}
    of = _get(client, "/tracks", artist=song["artist"].upper(), limit=500)
    assert {fold(t["artist"]) for t in of["tracks"]} == {fold(song["artist"])}


def test_all_that_is_known_of_one(client: TestClient, library_path) -> None:
    with mirclr.Library.open(library_path) as library:
        track = library.tracks()[0]
        about = library.descriptions([track.id])[track.id]
        genres = library.probabilities("genre", [track.id])[track.id]
    found = _get(client, f"/tracks/{track.id}")
    assert (found["tempo_bpm"], found["key"], found["loudness_lufs"]) == (
        about.tempo_bpm,
        about.key,
        about.loudness_lufs,
    )
    assert {*found["voice"]} == {"vocal", "female voice", "male voice"}
    assert found["sound"].keys() >= {"danceable"}
    assert found["instruments"].keys() >= {"piano"}
    assert list(found["genres"]) == sorted(genres, key=lambda label: -genres[label])
    assert client.get("/api/v1/tracks/999999").status_code == 404


@pytest.mark.parametrize(
    "query",
    [{"limit": 501}, {"ids": "1;2"}, {"ids": "x"}, {"sort": "path"}, {"offset": -1}, {"q": "x" * 400}],
)
def test_what_cannot_be_asked_is_refused_with_a_line(client: TestClient, query: dict) -> None:
    found = client.get("/api/v1/tracks", params=query)
    assert found.status_code == 422
    assert next(iter(query)) in found.json()["detail"]


def test_what_others_write_is_seen_at_once(client: TestClient, library_path) -> None:
    before = _get(client, "/tracks", sort="tempo")
    first, second = before["tracks"][0]["id"], before["tracks"][1]["id"]
    with mirclr.Library.open(library_path) as library:
        library.remove([first])
        assert _get(client, "/tracks")["total"] == before["total"] - 1
        library.store_descriptions({second: Description(300.0, "C", 1.0, -10.0)})
    assert _get(client, "/tracks", sort="tempo", desc=True)["tracks"][0]["id"] == second
