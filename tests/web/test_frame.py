"""What stands around the views: navigation, search, keys, colours, a phone's width; read by a screen reader."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, expect

import mirclr
from mirclr.audio.landmarks import find_landmarks
from tests.made_up_music import SONGS
from tests.serve.live import serving
from tests.web.conftest import PHONE
from tests.web.test_player import AUDIO

VIEWS = {"Songs": "songs", "Library": "library"}


def test_views_by_link_and_by_key(page: Page, base: str) -> None:
    page.goto(base)
    expect(page.get_by_role("heading", name="Songs")).to_be_visible()
    nav = page.get_by_role("navigation", name="Views")
    for title, name in VIEWS.items():
        nav.get_by_role("link", name=title).click()
        expect(page).to_have_url(re.compile(f"#{name}$"))
        expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()
        expect(nav.get_by_role("link", name=title)).to_have_attribute("aria-current", "page")
        expect(page).to_have_title(f"{title} – mirclr")
    page.keyboard.press("2")
    expect(page).to_have_url(re.compile("#songs$"))
    page.go_back()
    expect(page.get_by_role("heading", level=1, name="Library")).to_be_visible()


def test_a_service_that_ended_is_told_of_in_plain_words(browser: Browser, library_path: Path) -> None:
    page = browser.new_page()  # its console may speak of what cannot be reached
    with serving(library_path) as address:
        page.goto(f"{address}/#songs")
        expect(page.get_by_role("list", name="Songs").get_by_role("listitem").first).to_be_visible()
    page.get_by_role("link", name="For you").click()
    expect(page.locator(".notices")).to_contain_text("is mirclr serve still running?")
    page.close()


def test_search_as_one_types_by_keyboard_alone(page: Page, base: str) -> None:
    page.goto(base)
    page.keyboard.press("/")
    box = page.get_by_role("combobox", name="Search")
    expect(box).to_be_focused()
    page.keyboard.type("enter the y")
    expect(page.get_by_role("option").first).to_contain_text("Enter the Yard")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option", name="Enter the Yard")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Enter the Yard")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("night tr")
    page.get_by_role("group", name="Artists").get_by_role("option", name="Night Trains").click()
    expect(page.get_by_role("heading", level=1, name="Night Trains")).to_be_visible()
    page.get_by_role("button", name="Without Artist: Night Trains").click()
    expect(page.locator("m-songs-view [role=status]")).to_have_text(f"{len(SONGS)} songs")


def test_songs_are_sorted_and_scrolled_to_the_last(page: Page, base: str) -> None:
    page.goto(f"{base}#songs?sort=title")
    rows = page.get_by_role("list", name="Songs").get_by_role("listitem")
    expect(rows.first).to_contain_text("After Hours")
    page.get_by_role("combobox", name="Sort by").select_option("duration")
    shortest = min(SONGS, key=lambda song: song.duration_s)
    expect(rows.first).to_contain_text(shortest.title)
    page.get_by_role("button", name="In order").click()
    expect(rows.first).to_contain_text(max(SONGS, key=lambda song: song.duration_s).title)
    page.locator("#view").hover()
    page.mouse.wheel(0, 100_000)
    expect(page.get_by_role("list", name="Songs").get_by_text(shortest.title, exact=True)).to_be_visible()


def test_a_menu_of_a_song_by_keyboard(page: Page, base: str) -> None:
    page.goto(f"{base}#songs?q=rust")
    button = page.get_by_role("button", name="More for Rust")
    button.focus()
    page.keyboard.press("Enter")
    menu = page.get_by_role("menu", name="Actions for Rust")
    expect(menu.get_by_role("menuitem", name="Play", exact=True)).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("a")
    expect(menu.get_by_role("menuitem", name="Add to queue")).to_be_focused()
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(button).to_be_focused()


def test_dark_and_light_as_the_system_and_as_chosen(new_page: Callable[..., Page], base: str) -> None:
    def background(page: Page) -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    for scheme, is_dark in (("dark", True), ("light", False)):
        page = new_page(color_scheme=scheme)
        page.goto(base)
        assert (background(page) < 200) is is_dark
    page.get_by_role("button", name="Colours: as the system").click()
    assert background(page) < 200
    page.reload()
    expect(page.get_by_role("button", name="Colours: dark")).to_be_visible()
    assert background(page) < 200


@pytest.mark.parametrize("view", ["songs", "song/1", "library"])
@pytest.mark.parametrize("how", ["dark", "light", "phone"])
def test_nothing_serious_for_a_screen_reader(
    new_page: Callable[..., Page], base: str, accessible: Callable[[Page], None], view: str, how: str
) -> None:
    page = new_page(**PHONE) if how == "phone" else new_page(color_scheme=how)
    page.goto(f"{base}#{view}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.wait_for_load_state("networkidle")
    accessible(page)


def test_on_a_phone_nothing_is_wider_than_the_screen(new_page: Callable[..., Page], base: str) -> None:
    page = new_page(**PHONE)
    for view in (*VIEWS.values(), "song/1"):
        page.goto(f"{base}#{view}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]
        assert page.evaluate("document.querySelector('#view').scrollWidth") <= PHONE["viewport"]["width"]
    expect(page.get_by_role("navigation", name="Views").get_by_role("link", name="Songs")).to_be_in_viewport()


def test_which_song_a_recording_is_of(
    new_page: Callable[..., Page], library_path: Path, accessible: Callable[[Page], None], tmp_path: Path
) -> None:
    """Asked by a key, answered by name; it plays from there."""
    with mirclr.Library.open(library_path) as library:
        song = library.find("Ferry")[0]
        library.store_fingerprints({song.id: find_landmarks(song.file)})
    samples, rate = soundfile.read(song.file)
    clip, other = tmp_path / "clip.wav", tmp_path / "other.wav"
    soundfile.write(clip, samples[9 * rate : 15 * rate], rate)
    soundfile.write(other, np.random.default_rng(0).uniform(-0.1, 0.1, 3 * rate), rate)
    page = new_page()
    with serving(library_path) as address:
        page.goto(f"{address}/#songs")
        expect(page.get_by_role("heading", name="Songs")).to_be_visible()
        page.keyboard.press("i")
        dialog = page.get_by_role("dialog", name="Which song is this?")
        recording = dialog.get_by_label("A recording of some seconds")
        expect(recording).to_be_focused()
        accessible(page)
        recording.set_input_files(other)
        expect(dialog.get_by_role("status")).to_contain_text("None of your songs")
        recording.set_input_files(clip)
        expect(dialog.get_by_role("link", name="Ferry")).to_be_visible()
        accessible(page)
        dialog.get_by_role("button", name="Play from").press("Enter")
        expect(page.locator("m-player")).to_contain_text("Ferry")
        page.wait_for_function(f"{AUDIO}.then(player => !player.paused && player.time_s > 8.8)")
        dialog.get_by_role("link", name="Ferry").click()
        expect(page).to_have_url(re.compile(f"#song/{song.id}$"))
        expect(dialog).to_have_count(0)
        page.close()
