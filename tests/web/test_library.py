"""The library's view: what it holds, long work with progress, what could not be read, copies, the report."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

import mirclr
from mirclr.library import Failure
from tests.made_up_music import SONGS
from tests.web.conftest import PHONE


def _part(page: Page, base: str, title: str, name: str = "") -> None:
    page.goto(f"{base}#library/{name}")
    link = page.get_by_role("navigation", name="Parts of the library").get_by_role("link", name=title)
    expect(link).to_have_attribute("aria-current", "page")


def test_the_part_that_is_shown_is_seen_among_the_others_on_a_phone(new_page: Callable[..., Page], base: str) -> None:
    page = new_page(**PHONE)
    _part(page, base, "Report", "report")
    link = page.get_by_role("navigation", name="Parts of the library").get_by_role("link", name="Report")
    expect(link).to_be_in_viewport(ratio=0.9)


def test_what_it_holds_leads_to_the_songs(page: Page, base: str) -> None:
    _part(page, base, "Overview")
    expect(page.get_by_role("definition").first).to_have_text(str(len(SONGS)))
    page.get_by_role("link", name=re.compile("1990s")).click()
    expect(page.get_by_role("button", name="Without Year: 1990s")).to_be_visible()
    of_then = sum(1990 <= song.year < 2000 for song in SONGS)
    expect(page.locator("m-songs-view [role=status]")).to_have_text(f"{of_then} songs")


def test_long_work_shows_how_far_it_is_and_what_came_of_it(page: Page, serve: Callable[..., str]) -> None:
    base = serve()
    _part(page, base, "Folders", "folders")
    page.get_by_role("button", name="Bring up to date").click()
    work = page.get_by_role("list", name="Long work").get_by_role("listitem")
    expect(work.get_by_role("progressbar")).to_be_visible()
    page.goto(f"{base}#songs")
    expect(page.get_by_role("status").filter(has_text="Bringing the library up to date")).to_be_visible(timeout=60_000)
    page.goto(f"{base}#library")
    expect(work.first).to_contain_text(f"{len(SONGS)} unchanged")
    expect(work.get_by_role("progressbar")).to_have_count(0)


def test_long_work_is_ended(page: Page, serve: Callable[..., str]) -> None:
    base = serve()
    _part(page, base, "Report", "report")
    page.get_by_role("button", name="Make the report").click()
    page.get_by_role("button", name="End it").click()
    work = page.get_by_role("list", name="Long work").get_by_role("listitem")
    expect(work.first).to_contain_text("ended before it was done", timeout=30_000)


def test_an_answer_that_comes_late_does_not_bring_ended_work_back(page: Page, serve: Callable[..., str]) -> None:
    held: list[tuple[Route, APIResponse]] = []
    page.route("**/api/v1/jobs/*", lambda route: held.append((route, route.fetch())))
    _part(page, serve(), "Report", "report")
    page.get_by_role("button", name="Make the report").click()
    page.get_by_role("button", name="End it").click()
    work = page.get_by_role("list", name="Long work").get_by_role("listitem").first
    expect(work).to_contain_text("ended before it was done", timeout=30_000)
    ((route, answer),) = held
    assert answer.json()["state"] == "running"
    with page.expect_response("**/api/v1/jobs/*") as sent:
        route.fulfill(response=answer)
    sent.value.finished()
    page.evaluate("() => new Promise((drawn) => requestAnimationFrame(drawn))")
    expect(work).to_have_class("job cancelled")


def test_what_could_not_be_read_says_what_to_do(
    page: Page, serve: Callable[..., str], library_path: Path, accessible: Callable[[Page], None]
) -> None:
    name = "<img src=x onerror=alert(1)>.mp3"
    with mirclr.Library.open(library_path) as library:
        (root,) = library.roots()
        library.write(failures=[Failure(root, name, 1, 1, "cannot be decoded")])
    _part(page, serve(), "Not read", "failures")
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    expect(page.get_by_text("cannot be decoded", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Try them again")).to_be_visible()
    accessible(page)


def test_copies_side_by_side_go_on_where_the_other_was(
    page: Page, serve: Callable[..., str], library_path: Path, accessible: Callable[[Page], None]
) -> None:
    with mirclr.Library.open(library_path) as library:
        first, second = (library.matching(title)[0].id for title in ("Road", "Loud"))
        library.store_near_duplicates({(first, second): 0.9})
    _part(page, serve(), "Copies", "copies")
    both = page.get_by_role("button", name="Play the copy")
    expect(both).to_have_count(2)
    both.first.click()
    expect(page.get_by_role("region", name="Player")).to_be_visible()
    page.get_by_role("slider", name="Position").focus()
    for _ in range(3):
        page.keyboard.press("PageUp")
    both.last.click()
    expect(page.locator("m-player .time").first).to_have_text(re.compile("^0:[1-5][0-9]"))
    accessible(page)


def test_the_report_is_shown_and_runs_nothing(
    page: Page, serve: Callable[..., str], library_path: Path, accessible: Callable[[Page], None]
) -> None:
    from mirclr.library.kept_files import report_page_of

    report_page_of(library_path).write_text("<h1>All of it</h1>")
    _part(page, serve(), "Report", "report")
    frame = page.frame_locator("iframe[title='Report on the library']")
    expect(frame.get_by_role("heading", name="All of it")).to_be_visible()
    expect(page.locator("iframe")).to_have_attribute("sandbox", "")
    accessible(page)


@pytest.mark.parametrize("part", ["", "folders", "copies"])
def test_nothing_may_be_begun_where_nothing_may_be_written(page: Page, serve: Callable[..., str], part: str) -> None:
    page.goto(f"{serve(read_only=True)}#library/{part}")
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    expect(page.locator(".library-part > *").first).to_be_visible()
    names = re.compile("Bring up to date|Look for copies|Guess|Find")
    expect(page.get_by_role("button", name=names)).to_have_count(0)
