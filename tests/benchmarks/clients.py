"""What people do with the page, as clients of locust: they type, look, and ask for lists; run by serving.py."""

import json
import os
import random
from typing import Any

import gevent
from locust import FastHttpUser, between, events, task

TRACKS = int(os.environ.get("MIRCLR_TRACKS", "0"))
WORDS = os.environ.get("MIRCLR_WORDS", "").split()
ANSWERED: list[tuple[str, float, str]] = []


@events.request.add_listener
def note(name: str, response_time: float, exception: Exception | None, **_: Any) -> None:
    """Keep how long each answer took, in milliseconds."""
    ANSWERED.append((name, response_time, "" if exception is None else repr(exception)))


@events.quitting.add_listener
def write(**_: Any) -> None:
    """Write them all, for who began this."""
    with open(os.environ["MIRCLR_ANSWERED"], "w", encoding="utf-8") as f:
        json.dump(ANSWERED, f)


class Listener(FastHttpUser):
    """Someone in front of the page, who does something every three seconds, about."""

    wait_time = between(1, 5)

    def on_start(self) -> None:
        """Come whenever, and not all at once."""
        gevent.sleep(random.uniform(0, 5))

    @task(4)
    def type_a_name(self) -> None:
        """Search as one types: three letters, then more of the word."""
        word = random.choice(WORDS)
        for end in range(3, min(len(word), 6) + 1):
            self.client.get("/api/v1/search", params={"q": word[:end]}, name="search")

    @task(3)
    def ask_for_a_list(self) -> None:
        """Songs like one, as the builder asks."""
        self.client.post("/api/v1/recommend", json={"seeds": [random.randint(1, TRACKS)], "n": 20}, name="recommend")

    @task(2)
    def ask_with_filters(self) -> None:
        """Songs like one, of a genre, a time or a tempo."""
        asked = random.choice(({"genre": ["Jazz"]}, {"year": "1990s"}, {"bpm": "100..120"}, {"diversity": 0.3}))
        seeds = [random.randint(1, TRACKS)]
        self.client.post("/api/v1/recommend", json={"seeds": seeds, "n": 20, **asked}, name="recommend")

    @task(1)
    def look_at_songs(self) -> None:
        """A part of all songs in an order."""
        asked = {"sort": random.choice(("artist", "title", "year")), "offset": random.randrange(TRACKS), "limit": 100}
        self.client.get("/api/v1/tracks", params=asked, name="tracks")

    @task(1)
    def look_at_a_song(self) -> None:
        """All that is known of one song."""
        self.client.get(f"/api/v1/tracks/{random.randint(1, TRACKS)}", name="track")
