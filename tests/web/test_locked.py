"""A library that is locked: the page asks for the token once, or takes it from the address."""

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

import mirclr

TOKEN = "a token of twenty or so letters"


def test_the_token_is_asked_for_and_kept(
    page: Page, serve: Callable[..., str], accessible: Callable[[Page], None]
) -> None:
    page.goto(serve(token=TOKEN))
    dialog = page.get_by_role("dialog", name="This library is locked")
    accessible(page)
    dialog.get_by_label("Token").fill(TOKEN)
    dialog.get_by_role("button", name="Open").click()
    expect(page.get_by_role("list", name="Songs").get_by_role("listitem").first).to_be_visible()
    page.reload()
    expect(page.get_by_role("list", name="Songs").get_by_role("listitem").first).to_be_visible()
    expect(dialog).to_be_hidden()


def test_a_wrong_token_is_told_of_where_it_is_asked_for(browser: Browser, serve: Callable[..., str]) -> None:
    page = browser.new_page()  # its console may speak of the refusal
    page.goto(serve(token=TOKEN))
    box = page.get_by_role("dialog", name="This library is locked").get_by_label("Token")
    box.fill("another token of some letters")
    box.press("Enter")
    expect(box).to_have_accessible_description(re.compile("another one"))
    box.fill(TOKEN)
    box.press("Enter")
    expect(page.get_by_role("list", name="Songs").get_by_role("listitem").first).to_be_visible()
    page.close()


def test_the_token_of_the_address_is_taken_out_of_it(page: Page, serve: Callable[..., str]) -> None:
    page.goto(f"{serve(token='abc+/=%')}#token=abc%2B%2F%3D%25")
    expect(page.get_by_role("list", name="Songs").get_by_role("listitem").first).to_be_visible()
    expect(page).not_to_have_url(re.compile("token"))


def test_an_empty_library_says_how_it_is_filled(
    page: Page, serve: Callable[..., str], library_path: Path, accessible: Callable[[Page], None]
) -> None:
    with mirclr.Library.open(library_path) as library:
        library.remove([track.id for track in library.tracks()])
    base = serve()
    page.goto(base)
    expect(page.get_by_text("This library is empty")).to_be_visible()
    accessible(page)
    page.goto(f"{base}#library")
    expect(page.get_by_role("main")).to_contain_text("mirclr embed FOLDER")
    expect(page.get_by_role("button", name="Bring up to date")).to_have_count(0)
    for view in ("map", "you", "library", "library/folders", "library/failures", "library/copies"):
        page.goto(f"{base}#{view}")
        expect(page.get_by_role("main")).not_to_be_empty()
        page.wait_for_timeout(300)
