"""Plays and likes over HTTP, of the page and of other players; lists, counts, orders and radio by them."""

import pytest
from fastapi.testclient import TestClient

import mirclr
from mirclr.recommend.listening import tastes_of
from mirclr.serve.listenbrainz import listener

API = "/api/v1"


def test_likes_and_plays_make_lists_for_a_listener(client: TestClient, library_path) -> None:
    assert client.get(f"{API}/profiles/me/likes").json() == {"liked": [], "disliked": []}
    assert client.put(f"{API}/profiles/me").json() == {"name": "me", "songs": 0}
    assert client.get(f"{API}/profiles/me").json()["groups"] == []
    for track, taste in ((1, 1), (2, 1), (9, -1)):
        assert client.post(f"{API}/profiles/me/likes", json={"track": track, "taste": taste}).status_code == 200
    assert client.post(f"{API}/profiles/me/plays", json={"track": 3, "played_s": 4}).json() == {"counted": False}
    assert client.post(f"{API}/profiles/me/plays", json={"track": 3, "played_s": 999}).json() == {"counted": True}
    assert client.get(f"{API}/profiles/me/likes").json() == {"liked": [1, 2], "disliked": [9]}
    profile = client.get(f"{API}/profiles/me").json()
    assert (profile["songs"], profile["plays"], profile["liked"], profile["disliked"]) == (4, 1, 2, 1)
    assert {t["id"] for group in profile["groups"] for t in group["songs"]} == {1, 2, 3}
    listed = client.post(f"{API}/recommend", json={"profile": "me", "n": 5}).json()["recommendations"]
    assert listed
    assert not {1, 2, 3, 9} & {r["track"]["id"] for r in listed}
    assert client.delete(f"{API}/profiles/me").status_code == 204
    assert client.delete(f"{API}/profiles/me").status_code == 404
    with mirclr.Library.open(library_path) as library:
        assert tastes_of(library, "me") == {}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("me/likes", {"track": 999, "taste": 1}, 404),
        ("me/likes", {"track": 1, "taste": 2}, 422),
        ("me/plays", {"track": 1, "played_s": -1}, 422),
        ("me/plays", {"track": 1, "played_s": "NaN"}, 422),
        ("me/plays", {"track": -1, "played_s": 1}, 422),
        ("a%E2%80%AEb/likes", {"track": 1, "taste": 1}, 422),
    ],
)
def test_what_cannot_be_is_refused(client: TestClient, path, body, status) -> None:
    assert client.post(f"{API}/profiles/{path}", json=body).status_code == status
    assert client.get(f"{API}/profiles").json() == []


def test_other_players_send_their_listens(client: TestClient) -> None:
    data = {"artist_name": "Night Trains", "track_name": "Enter the Yard"}
    sent = {"listen_type": "single", "payload": [{"listened_at": 1_700_000_000, "track_metadata": data}]}
    headers = {"Authorization": "Token anna"}
    assert client.get("/1/validate-token", headers=headers).json()["user_name"] == "anna"
    assert client.post("/1/submit-listens", json=sent, headers=headers).json() == {"status": "ok"}
    assert client.get(f"{API}/profiles/anna").json()["plays"] == 1
    wrong = client.post("/1/submit-listens", json={"listen_type": "single"}, headers=headers)
    assert (wrong.status_code, wrong.json()["code"]) == (400, 400)
    assert client.post("/1/submit-listens", json=[1], headers=headers).status_code == 422


@pytest.mark.parametrize(
    ("header", "token", "name"),
    [
        ("Token anna", None, "anna"),
        ("", None, "me"),
        ("Token secret", "secret", "me"),
        ("Token anna:secret", "secret", "anna"),
        ("token a:b:secret", "secret", "a:b"),
        ("Token :secret", "secret", "me"),
        ("Token a:secret", "a:secret", "me"),
        ("Token anna:a:secret", "a:secret", "anna"),
    ],
)
def test_whose_listens_they_are(header, token, name) -> None:
    assert listener(header, token) == name


def test_a_radio_plays_all_songs_once(client: TestClient) -> None:
    total = client.post(f"{API}/counts", json={}).json()["total"]
    played: list[int] = []
    while True:
        found = client.post(f"{API}/radio", json={"seeds": [1], "n": 7, "played": played}).json()
        if not found["recommendations"]:
            break
        played += [r["track"]["id"] for r in found["recommendations"]]
        assert len(set(played)) == len(played)
    assert len(played) >= total - 2  # the seed's copy, and what is the same recording
    assert "every song" in found["remarks"][0]
    assert client.post(f"{API}/radio", json={"played": [1, 1, 999]}).json()["recommendations"]
    assert client.post(f"{API}/radio", json={"profile": "nobody"}).json()["recommendations"]


def test_counts_say_what_filters_leave(client: TestClient) -> None:
    everything = client.post(f"{API}/counts", json={"seeds": ["whatever"], "n": 3}).json()
    assert everything["total"] > 10
    rock = next(one for one in everything["genre"] if one["value"].lower() == "rock")
    chosen = client.post(f"{API}/counts", json={"genre": ["rock"], "bpm": "60..1000"}).json()
    assert chosen["total"] == rock["songs"]
    assert sum(one["songs"] for one in chosen["key"]) == rock["songs"]
    assert client.post(f"{API}/counts", json={"genre": ["no such"]}).status_code == 422
    assert client.post(f"{API}/counts", json={"bpm": [5, 1]}).status_code == 422


def test_songs_are_put_in_the_order_of_a_mix(client: TestClient) -> None:
    mixed = client.post(f"{API}/order", json={"tracks": [4, 2, 9, 1, 999]}).json()
    assert sorted(one["id"] for one in mixed["songs"]) == [1, 2, 4, 9]
    assert mixed["unknown"] == 0
    assert mixed["songs"][0]["why"] == []
    assert all(one["why"] for one in mixed["songs"][1:])
    assert client.post(f"{API}/order", json={"tracks": [1], "by": "magic"}).status_code == 422
