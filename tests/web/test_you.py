"""Likes and plays make a page for a listener; a radio goes on; what is blocked is never listed."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

import mirclr
from mirclr.recommend.listening import tastes_of


def test_what_is_liked_makes_songs_for_you(page: Page, serve: Callable[..., str], library_path: Path) -> None:
    base = serve()
    page.goto(f"{base}#songs?q=night trains")
    for title in ("Rust", "Road"):
        page.get_by_role("button", name=f"More for {title}").first.click()
        page.get_by_role("menuitem", name="Like", exact=True).click()
    page.get_by_role("link", name="For you").click()
    suggested = page.get_by_role("region", name="Songs for you")
    expect(suggested.get_by_role("listitem").first).to_be_visible()
    expect(page.get_by_role("region", name="What you like")).to_contain_text("Rust")
    expect(page.get_by_text("2 likes, 0 plays of 2 songs")).to_be_visible()
    disliked = suggested.locator(".title").first.inner_text()
    suggested.get_by_role("button", name=f"Dislike {disliked}").click()
    expect(suggested.get_by_role("button", name=f"Dislike {disliked}")).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.get_by_text("2 likes, 0 plays of 3 songs")).to_be_visible()
    expect(suggested.get_by_role("button", name="Radio for you")).to_be_visible()
    expect(suggested.get_by_role("link", name=disliked, exact=True)).to_have_count(0)
    with mirclr.Library.open(library_path) as library:
        assert sorted(tastes_of(library, "me").values()) == [-1, 1, 1]


def test_a_radio_goes_on_and_repeats_nothing(page: Page, serve: Callable[..., str]) -> None:
    page.goto(f"{serve()}#songs?q=rust")
    page.get_by_role("button", name="More for Rust").click()
    page.get_by_role("menuitem", name="Radio from here").click()
    player = page.get_by_role("region", name="Player")
    expect(player).to_contain_text("Rust")
    expect(player.get_by_role("button", name="Radio: like Rust")).to_be_visible()
    heard = [player.locator(".title").inner_text()]
    for _ in range(9):
        player.get_by_role("button", name="Next song").click()
        expect(player.locator(".title")).not_to_have_text(heard[-1])
        heard.append(player.locator(".title").inner_text())
    assert len(set(heard)) == len(heard)
    player.get_by_role("button", name="Radio: like Rust").click()
    expect(player.get_by_role("button", name="Radio: like Rust")).to_have_count(0)


def test_blocks_and_listeners_come_and_go(page: Page, serve: Callable[..., str]) -> None:
    page.goto(f"{serve()}#you")
    blocks = page.get_by_role("region", name="Never listed")
    blocks.get_by_role("textbox", name="Its name").fill("Night <i>Trains</i>")
    blocks.get_by_role("button", name="Add").click()
    expect(blocks.get_by_text("Night <i>Trains</i>")).to_be_visible()
    expect(page.locator(".notices")).to_contain_text("keeps out nothing")
    blocks.get_by_role("button", name="List Night <i>Trains</i> again").click()
    expect(blocks.get_by_text("Everything may be listed")).to_be_visible()
    page.get_by_role("combobox", name="Listener").select_option(label="Another listener …")
    page.get_by_role("textbox", name="Name", exact=True).fill("Anna")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("combobox", name="Listener")).to_have_value("Anna")
    page.reload()
    expect(page.get_by_role("combobox", name="Listener")).to_have_value("Anna")
