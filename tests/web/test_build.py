"""A list is built: by songs, a path, filters; put in order by hand and as a mix, saved, written to a file."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

import mirclr
from mirclr.library import Description, Outline
from mirclr.library.aspects import ASPECTS
from mirclr.recommend import Query
from mirclr.recommend.playlist import read_entries
from mirclr.tags import Tags
from tests.web.conftest import PHONE


def rows(page: Page) -> Locator:
    return page.get_by_role("list", name="The list", exact=True).get_by_role("listitem")


def titles(page: Page) -> list[str]:
    return rows(page).locator(".title").all_inner_texts()


def choose(page: Page, title: str) -> None:
    page.get_by_role("combobox", name="Search a song").fill(title)
    page.get_by_role("option", name=title).first.click()


@pytest.fixture
def built(page: Page, serve: Callable[..., str]) -> Page:
    """A page with a list like one song, of a service of its own."""
    page.goto(f"{serve()}#build")
    page.get_by_role("button", name="Choose a song").click()
    choose(page, "Enter the Yard")
    expect(rows(page).first).to_be_visible()
    return page


def test_songs_to_be_like_and_unlike_and_a_path(built: Page) -> None:
    page, first = built, titles(built)
    sources = page.locator(".sources")
    sources.get_by_role("group", name="But not like").get_by_role("button", name="Add a song").click()
    choose(page, first[0])
    expect(rows(page).filter(has_text=first[0])).to_have_count(0)
    sources.get_by_role("button", name=f"Without {first[0]}").click()
    expect(rows(page).filter(has_text=first[0])).to_have_count(1)
    sources.get_by_role("button", name="A path to").click()
    choose(page, "Ferry")
    expect(rows(page).first).to_contain_text("Enter the Yard")
    expect(rows(page).last).to_contain_text("Ferry")
    page.locator("summary", has_text="Fine-tuning").click()
    expect(page.get_by_role("slider", name="Variety")).to_be_disabled()
    page.get_by_role("button", name="Begin anew").click()
    expect(page.get_by_text("What shall it sound like?")).to_be_visible()


def test_words_say_what_songs_should_be(
    page: Page, serve: Callable[..., str], accessible: Callable[[Page], None]
) -> None:
    page.goto(f"{serve()}#build")
    words = page.get_by_label("In words")
    words.fill("calm, before 2010, xylophobia")
    expect(page.get_by_text("before 2010; not understood: xylophobia")).to_be_visible()
    expect(rows(page).first).to_be_visible()
    accessible(page)
    first = titles(page)
    page.reload()
    expect(words).to_have_value("calm, before 2010, xylophobia")
    expect(rows(page)).to_have_count(len(first))
    page.get_by_role("button", name="Begin anew").click()
    expect(words).to_have_value("")
    expect(page.get_by_text("What shall it sound like?")).to_be_visible()


def test_filters_say_what_they_leave_and_leave_it(built: Page) -> None:
    page = built
    page.get_by_role("button", name="Begin anew").click()
    rock = page.get_by_role("group", name="Genre").get_by_role("button", name=re.compile("^rock", re.IGNORECASE))
    count = rock.locator(".count").inner_text()
    rock.click()
    expect(rock).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text(f"leave {count} songs")).to_be_visible()
    expect(rows(page).first).to_be_visible()
    slowest = page.get_by_role("slider", name="Tempo: slowest")
    slowest.focus()
    page.keyboard.press("End")  # stops before the other handle
    expect(slowest).to_have_attribute("aria-valuetext", re.compile("from 1[0-9]0 bpm"))
    expect(page.get_by_text(f"leave {count} songs")).to_have_count(0)
    expect(page.locator(".badge")).to_have_text("2")


def test_the_order_is_changed_by_keyboard_and_by_pointer_and_stays(built: Page) -> None:
    page, before = built, titles(built)
    handle = page.get_by_role("button", name=f"Move {before[2]}: arrow keys, or drag")
    handle.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    expect(rows(page).first).to_contain_text(before[2])
    expect(handle).to_be_focused()
    rows(page).nth(3).hover()
    start, end = rows(page).nth(3).locator(".drag").bounding_box(), rows(page).nth(1).bounding_box()
    assert start is not None
    assert end is not None
    page.mouse.move(start["x"] + 5, start["y"] + 10)
    page.mouse.down()
    page.mouse.move(start["x"] + 5, end["y"] + 8, steps=4)
    page.mouse.up()
    expected = [before[2], before[3], before[0], before[1], *before[4:]]
    assert titles(page) == expected
    page.get_by_role("button", name=f"Take {expected[1]} out", exact=True).click()
    expect(page.get_by_text("You changed this list by hand")).to_be_visible()
    page.locator("summary", has_text="Fine-tuning").click()
    page.get_by_role("slider", name="Songs", exact=True).fill("5")  # changes nothing that was made by hand
    assert titles(page) == [expected[0], *expected[2:]]
    page.get_by_role("button", name="List anew").click()
    expect(rows(page)).to_have_count(5)
    assert titles(page)[:3] == before[:3]  # of fewer songs the last may be others
    page.get_by_role("checkbox", name="Fill a time").check()
    page.get_by_role("slider", name="Plays for").fill("600")
    expect(page.get_by_text(re.compile(r"songs, ([789]|10) min"))).to_be_visible()


def test_a_list_is_mixed_saved_opened_and_written_to_a_file(built: Page, library_path: Path, tmp_path: Path) -> None:
    page, before = built, titles(built)
    with mirclr.Library.open(library_path) as library:
        library.add_song_list("Für <b>dich</b> / 1", [], now_s=1.0)
    page.get_by_role("button", name="Mix order").click()
    expect(rows(page).nth(1)).to_contain_text(re.compile("bpm"))
    mixed = titles(page)
    assert sorted(mixed) == sorted(before)
    page.get_by_role("button", name="Save").click()
    page.get_by_role("textbox", name="Name").fill("Für <b>dich</b> / 1")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_contain_text("There is a playlist of this name already.")
    page.get_by_role("dialog").get_by_role("button", name="Replace").click()
    expect(page.get_by_text("Saved as Für <b>dich</b> / 1")).to_be_visible()
    with mirclr.Library.open(library_path) as library:
        (kept,) = library.song_lists()
        tracks = library.tracks(library.song_list_ids(kept.id))
    assert [track.title or track.place.name for track in tracks] == mixed
    page.get_by_role("button", name="More for the list").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="File for players (XSPF)").click()
    assert download.value.suggested_filename == "Für -b-dich--b- - 1.xspf"
    download.value.save_as(tmp_path / "list.xspf")
    assert [entry.paths[0] for entry in read_entries(tmp_path / "list.xspf")] == [str(track.file) for track in tracks]
    page.get_by_role("link", name="For you").click()
    page.get_by_role("link", name="Für <b>dich</b> / 1").click()
    expect(page.get_by_role("heading", name="Für <b>dich</b> / 1")).to_be_visible()
    assert titles(page) == mixed


def test_the_list_plays_on_in_its_order(built: Page) -> None:
    page, order = built, titles(built)
    page.locator(".result").get_by_role("button", name="Play", exact=True).click()
    player = page.get_by_role("region", name="Player")
    expect(player).to_contain_text(order[0])
    expect(player.get_by_role("slider", name=f"Position in {order[0]}")).not_to_have_value("0")
    player.get_by_role("button", name="Next song").click()
    expect(player).to_contain_text(order[1])


def test_on_a_phone_and_read_by_a_screen_reader(
    new_page: Callable[..., Page], base: str, accessible: Callable[[Page], None]
) -> None:
    page = new_page(**PHONE, color_scheme="light")
    page.goto(f"{base}#build")
    page.get_by_role("button", name="Surprise me").click()
    expect(rows(page).first).to_be_visible()
    page.locator("summary", has_text="Filters").click()
    page.locator("summary", has_text="Fine-tuning").click()
    accessible(page)
    assert page.evaluate("document.querySelector('#view').scrollWidth <= innerWidth")
    page.goto(f"{base}#you")
    expect(page.get_by_text("No playlist is kept yet.")).to_be_visible()
    accessible(page)
    assert page.evaluate("document.querySelector('#view').scrollWidth <= innerWidth")


def test_a_long_title_widens_nothing(page: Page, serve: Callable[..., str], library_path: Path) -> None:
    with mirclr.Library.open(library_path) as library:
        track = library.matching("Rust")[0]
        state = library.states(track.root)[track.path]
        library.refresh_tags(state, Tags(title="Quintet in A major " * 20, artist="Rust", album="Rust"))
    page.goto(f"{serve()}#song/{track.id}")
    page.get_by_role("button", name="More like this").click()
    expect(rows(page).first).to_be_visible()
    wishes, result = page.locator(".sources .chip.song").bounding_box(), page.locator(".result").bounding_box()
    assert wishes
    assert result
    assert wishes["x"] + wishes["width"] <= result["x"]


def test_songs_may_be_alike_in_harmony_and_rhythm(
    page: Page, serve: Callable[..., str], library_path: Path, accessible: Callable[[Page], None]
) -> None:
    page.goto(f"{serve()}#build")
    page.locator("summary", has_text="Fine-tuning").click()
    timbre, harmony, rhythm = (
        page.get_by_role("slider", name=f"Alike in {name}") for name in ("timbre", "harmony", "rhythm")
    )
    expect(harmony).to_be_disabled()  # there is nothing to be like
    page.get_by_role("button", name="Choose a song").click()
    choose(page, "Enter the Yard")
    expect(rows(page).first).to_be_visible()
    harmony.focus()
    page.keyboard.press("End")
    expect(harmony).to_have_attribute("aria-valuetext", "100 %")
    remark = "Enter the Yard: counts by timbre alone, as no harmony is known of it"
    expect(page.get_by_text(remark)).to_be_visible()
    expect(page.get_by_text(re.compile("beats and chords yet; find them out in the library view$"))).to_be_visible()
    timbre.fill("0")
    unknown = "Enter the Yard: its beats and chords are not known; find them out in the library view"
    expect(page.get_by_text(unknown)).to_be_visible()
    accessible(page)
    harmony.fill("0")  # of all none is left to count
    expect(harmony).to_have_attribute("aria-valuetext", "100 %")
    rng = np.random.default_rng(0)
    with mirclr.Library.open(library_path) as library:
        for track in library.tracks():
            aspects = {name: rng.normal(size=n) for name, n in ASPECTS.items()}
            library.store_descriptions({track.id: Description(100.0, "Am", 0.8, -14.0, Outline(), aspects)})
        asked = Query(seeds=("Enter the Yard",), n=30, like=("harmony", "rhythm=0.5"))
        wanted = [r.track.title or r.track.place.name for r in library.answer(asked).recommendations]
    rhythm.fill("0.5")
    expect(rows(page)).to_have_count(len(wanted))
    assert titles(page) == wanted
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("textbox", name="Name").fill("covers")
    page.get_by_role("radio", name="What I asked for").check()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved as covers")).to_be_visible()
    with mirclr.Library.open(library_path) as library:
        assert library.playlists()["covers"]["query"]["like"] == ["harmony", "rhythm=0.5"]
    page.get_by_role("button", name="Begin anew").click()
    expect(harmony).to_have_value("0")
    page.get_by_role("link", name="For you").click()
    page.get_by_role("link", name="covers").click()
    expect(page.get_by_role("heading", name="covers")).to_be_visible()
    expect(rows(page)).to_have_count(len(wanted))
    assert titles(page) == wanted
    assert [slider.input_value() for slider in (timbre, harmony, rhythm)] == ["0", "1", "0.5"]
