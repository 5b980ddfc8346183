"""One song: how it sounds from begin to end, what is like it and why, and where its buttons lead."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import mirclr
from mirclr.tags import Tags
from tests.web.conftest import PHONE
from tests.web.test_player import AUDIO

PIXELS = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
}"""


def _song(page: Page, base: str, title: str) -> None:
    page.goto(f"{base}#songs?q={title}")
    page.get_by_role("list", name="Songs").get_by_role("link", name=title).click()
    expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()


def test_the_waveform_is_drawn_and_sought_in(page: Page, base: str) -> None:
    _song(page, base, "Enter the Yard")
    wave = page.get_by_role("main").get_by_role("slider", name="Position in Enter the Yard")
    expect(wave).to_have_class(re.compile("known"))
    assert wave.locator("canvas").evaluate(PIXELS) > 1
    box = wave.bounding_box()
    assert box
    wave.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    page.wait_for_function(f"{AUDIO}.then(player => !player.paused && player.time_s > 37 && player.time_s < 45)")
    page.get_by_role("main").get_by_role("button", name="Pause").click()
    expect(page.get_by_role("main").get_by_role("button", name="Play", exact=True)).to_be_visible()
    wave.press("Home")
    page.wait_for_function(f"{AUDIO}.then(player => player.time_s < 5)")
    expect(wave).to_have_attribute("aria-valuetext", re.compile("^0:0"))


def test_genre_and_mood_over_time(page: Page, base: str) -> None:
    _song(page, base, "Enter the Yard")
    for what in ("Genre", "Mood"):
        expect(page.get_by_role("img", name=f"{what} over time")).to_be_visible()
    expect(page.get_by_role("region", name="From beginning to end").locator("path.area").first).to_be_attached()


def test_what_it_sounds_like_is_told(page: Page, base: str) -> None:
    _song(page, base, "Enter the Yard")
    for what, label in (("Genre", "rock"), ("Voice", "vocal"), ("Sound", "acoustic"), ("Instruments", "guitar")):
        card = page.locator("section.card").filter(has=page.get_by_role("heading", name=what, exact=True))
        expect(card.get_by_role("listitem").filter(has_text=label).first).to_be_visible()


def test_what_is_like_it_and_why(page: Page, base: str, accessible: Callable[[Page], None]) -> None:
    _song(page, base, "Rust")
    near = page.get_by_role("region", name="Sounds like this")
    expect(near.get_by_role("listitem").first).to_be_visible()
    near.get_by_role("button", name="of 100").first.click()
    dialog = page.get_by_role("dialog", name="Why they are alike")
    expect(dialog).to_contain_text("sound alike")
    accessible(page)
    dialog.get_by_role("button", name="Rust").click()
    page.wait_for_function(f"{AUDIO}.then(player => player.track?.title === 'Rust' && !player.paused)")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


@pytest.mark.parametrize("button", ["More like this", "Less like this"])
def test_its_buttons_lead_to_the_list(page: Page, base: str, button: str) -> None:
    _song(page, base, "Rust")
    page.get_by_role("main").get_by_role("button", name=button).click()
    expect(page).to_have_url(re.compile("#build"))
    expect(page.get_by_role("main").get_by_text("Rust", exact=True).first).to_be_visible()


def test_a_path_to_a_song_that_is_looked_for(page: Page, base: str) -> None:
    _song(page, base, "Rust")
    page.get_by_role("main").get_by_role("button", name="Path to").click()
    page.get_by_role("dialog").get_by_role("combobox").fill("snö")
    page.get_by_role("option", name="Snö").click()
    expect(page).to_have_url(re.compile("#build"))
    for title in ("Rust", "Snö"):
        expect(page.get_by_role("main").get_by_text(title, exact=True).first).to_be_visible()


def test_a_title_that_is_a_script_is_a_text(page: Page, serve: Callable[..., str], library_path: Path) -> None:
    hostile = "<img src=x onerror=\"document.title='ran'\"><script>document.title='ran'</script>"
    with mirclr.Library.open(library_path) as library:
        track = library.matching("Rust")[0]
        state = library.states(track.root)[track.path]
        library.refresh_tags(state, Tags(title=hostile, artist=hostile, album=hostile))
    base = serve()
    page.goto(f"{base}#songs?sort=title")
    page.get_by_role("button", name="Play <img").click()
    page.get_by_role("button", name="More for <img").first.click()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("<img")
    expect(page.get_by_role("option").first).to_contain_text(hostile)
    page.goto(f"{base}#song/{track.id}")
    expect(page.get_by_role("heading", level=1)).to_have_text(hostile)
    assert page.evaluate("document.querySelectorAll('img[src=x]').length") == 0
    assert "ran" not in page.title().replace(hostile, "")


def test_a_song_on_a_phone(new_page: Callable[..., Page], base: str, accessible: Callable[[Page], None]) -> None:
    page = new_page(**PHONE)
    _song(page, base, "Rust")
    expect(page.get_by_role("region", name="Sounds like this").get_by_role("listitem").first).to_be_visible()
    assert page.evaluate("document.querySelector('#view').scrollWidth") <= PHONE["viewport"]["width"]
    accessible(page)


@pytest.mark.parametrize("address", ["song/424242", "song/Rust", "song/%E0%A4"])
def test_a_song_that_is_not_there_is_told_of_in_place_of_another(page: Page, base: str, address: str) -> None:
    _song(page, base, "Rust")
    page.evaluate("(address) => (location.hash = address)", address)
    expect(page.get_by_role("heading", level=1)).to_have_text("This song is not in the library")
    expect(page.get_by_role("main").get_by_role("button", name="More like this")).to_have_count(0)
    page.get_by_role("main").get_by_role("link", name="All songs").click()
    expect(page.get_by_role("heading", level=1, name="Songs")).to_be_visible()


def test_space_pauses_where_the_waveform_has_the_focus(page: Page, base: str) -> None:
    _song(page, base, "Rust")
    page.get_by_role("main").get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function(f"{AUDIO}.then(player => !player.paused)")
    page.get_by_role("main").get_by_role("slider", name="Position in Rust").press(" ")
    page.wait_for_function(f"{AUDIO}.then(player => player.paused)")
