"""Answers that come in another order than they were asked for: what was asked or done last is what counts."""

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import APIResponse, Page, Route, expect

import mirclr
from mirclr.recommend.listening import tastes_of
from tests.web.test_build import built, rows, titles

__all__ = ["built"]  # a fixture

_MOST = 1000  # questions of another kind meanwhile


class Late:
    """Holds back the first answer from an address, or, where it is not `answered`, the question itself."""

    def __init__(self, page: Page, address: str, method: str = "GET", *, answered: bool = True) -> None:
        self._page, self._method, self._answered = page, method, answered
        self._held: list[tuple[Route, APIResponse | None]] = []
        page.route(f"**/api/v1/{address}", self._take)

    def _take(self, route: Route) -> None:
        if self._held or route.request.method != self._method:
            return route.fallback()
        self._held.append((route, route.fetch() if self._answered else None))

    def asked(self) -> None:
        """Wait until there is something to be held."""
        for _ in range(_MOST):
            self._round_trip()
            if self._held:
                return
        raise AssertionError("nothing was asked")

    def comes(self) -> None:
        """Let it go, and let the page draw what it makes of it."""
        ((route, answer),) = self._held
        if answer is None:
            route.continue_()
        else:
            route.fulfill(response=answer)
        self._round_trip()

    def _round_trip(self) -> None:
        self._page.evaluate("fetch('api/v1/session').then(() => new Promise((drawn) => requestAnimationFrame(drawn)))")


def test_a_list_that_was_changed_by_hand_stays(built: Page) -> None:
    page, before = built, titles(built)
    late = Late(page, "recommend", "POST")
    page.locator("summary", has_text="Fine-tuning").click()
    page.get_by_role("slider", name="Variety").fill("1")
    late.asked()
    page.get_by_role("button", name=f"Take {before[0]} out", exact=True).click()
    late.comes()
    assert titles(page) == before[1:]
    expect(page.get_by_text("You changed this list by hand")).to_be_visible()


def test_an_order_of_a_list_that_is_gone_is_not_taken(built: Page) -> None:
    late = Late(built, "order", "POST")
    built.get_by_role("button", name="Mix order").click()
    late.asked()
    built.get_by_role("button", name="Begin anew").click()
    expect(rows(built)).to_have_count(0)
    late.comes()
    expect(built.get_by_text("What shall it sound like?")).to_be_visible()
    expect(built.locator(".result h2")).to_have_text("My list")


def test_songs_to_be_like_are_those_of_now(built: Page) -> None:
    late = Late(built, "tracks?ids=*")
    built.reload()
    late.asked()
    built.get_by_role("button", name="Begin anew").click()
    late.comes()
    expect(built.locator(".sources").get_by_role("button", name="Without Enter the Yard")).to_have_count(0)


def test_of_two_playlists_the_last_is_open(page: Page, serve: Callable[..., str], library_path: Path) -> None:
    with mirclr.Library.open(library_path) as library:
        for name, ids in (("one", [1, 2]), ("two", [3])):
            library.add_song_list(name, ids, now_s=1.0)
    page.goto(f"{serve()}#you")
    late = Late(page, "playlists/one?*")
    page.get_by_role("link", name="one", exact=True).click()
    late.asked()
    page.get_by_role("link", name="For you").click()
    page.get_by_role("link", name="two", exact=True).click()
    expect(page.get_by_role("heading", name="two")).to_be_visible()
    late.comes()
    expect(page.get_by_role("heading", name="two")).to_be_visible()
    expect(rows(page)).to_have_count(1)


def test_a_playlist_that_was_deleted_does_not_come_back(
    page: Page, serve: Callable[..., str], library_path: Path
) -> None:
    with mirclr.Library.open(library_path) as library:
        library.add_song_list("one", [1], now_s=1.0)
    page.goto(f"{serve()}#you")
    expect(page.get_by_role("link", name="one", exact=True)).to_be_visible()
    page.get_by_role("link", name="Songs", exact=True).click()
    late = Late(page, "playlists")
    page.get_by_role("link", name="For you").click()
    late.asked()
    page.get_by_role("button", name="More for one").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page.get_by_text("No playlist is kept yet.")).to_be_visible()
    late.comes()
    expect(page.get_by_text("No playlist is kept yet.")).to_be_visible()


def test_what_is_liked_no_more_is_kept_so(page: Page, serve: Callable[..., str], library_path: Path) -> None:
    page.goto(f"{serve()}#song/1")
    liked = page.locator(".song-buttons").get_by_role("button", name=re.compile("^Like "))
    late = Late(page, "profiles/me/likes", "POST", answered=False)
    liked.click()
    late.asked()
    with page.expect_response(lambda r: r.request.method == "POST" and r.request.post_data_json["taste"] == 0):
        liked.click()
        expect(liked).to_have_attribute("aria-pressed", "false")
        late.comes()
    with mirclr.Library.open(library_path) as library:
        assert tastes_of(library, "me").get(1, 0) == 0


def test_likes_of_before_do_not_undo_one(page: Page, serve: Callable[..., str]) -> None:
    late = Late(page, "profiles/me/likes")
    page.goto(f"{serve()}#song/1")
    late.asked()
    liked = page.locator(".song-buttons").get_by_role("button", name=re.compile("^Like "))
    with page.expect_response(lambda r: r.request.method == "POST" and r.url.endswith("/likes")):
        liked.click()
    late.comes()
    expect(liked).to_have_attribute("aria-pressed", "true")


def test_the_song_that_was_chosen_last_plays(page: Page, base: str) -> None:
    page.goto(f"{base}#songs?artist=marta")
    late = Late(page, "tracks?*limit=500*")
    page.get_by_role("button", name="Play Pulse").click()
    late.asked()
    page.get_by_role("button", name="Play Glow").click()
    player = page.get_by_role("region", name="Player")
    expect(player).to_contain_text("Glow")
    late.comes()
    expect(player).to_contain_text("Glow")
    expect(player).not_to_contain_text("Pulse")


def test_a_song_that_was_left_names_no_other_view(page: Page, base: str) -> None:
    page.goto(f"{base}#songs")
    late = Late(page, "tracks/1")
    page.goto(f"{base}#song/1")
    late.asked()
    page.get_by_role("link", name="Songs", exact=True).click()
    expect(page).to_have_title("Songs – mirclr")
    late.comes()
    expect(page).to_have_title("Songs – mirclr")
