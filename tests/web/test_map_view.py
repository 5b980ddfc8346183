"""The map in a browser: drawn, pointed at, listened to, searched, chosen from, by mouse, keys and fingers."""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

import mirclr
from mirclr.map import draw_map
from tests.made_up_music import SONGS
from tests.serve.live import serving
from tests.web.conftest import PHONE, _copy

DRAWN_MS = 90_000  # the process of a job gives way to all others


@pytest.fixture(scope="session")
def mapped(made_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service of a library whose map is drawn; tests write nothing."""
    path = _copy(made_library, tmp_path_factory.mktemp("mapped"))
    with mirclr.Library.open(path) as library:
        draw_map(library)
    with serving(path) as address:
        yield f"{address}/#map"


def canvas_of(page: Page) -> Locator:
    """The canvas, once the songs are on it and their colours are known."""
    canvas = page.get_by_role("application", name=f"Map of {len(SONGS)} songs")
    expect(canvas).to_be_visible()
    expect(page.locator(".map-key").first).to_be_visible()
    expect(page.locator(".map-label:visible").first).to_be_visible()
    return canvas


def colours_on(canvas: Locator) -> set[tuple[int, int, int]]:
    """The colours of many pixels at least, as a person sees it."""
    image = Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")
    return {colour for n, colour in image.getcolors(1 << 24) or [] if n > 20}


def place_of(page: Page, at: int) -> tuple[float, float]:
    """Where on the page a point is."""
    left, top = page.evaluate(
        """(at) => {
            const map = document.querySelector("m-map-view");
            const box = map.canvas.getBoundingClientRect();
            const [x, y] = map.placeOf(at);
            return [box.left + x, box.top + y];
        }""",
        at,
    )
    return left, top


def lonely(page: Page) -> int:
    """The point that is farthest from all others: nothing else is meant there."""
    return page.evaluate(
        """() => {
            const { points, placeOf } = document.querySelector("m-map-view");
            const apart = (i, j) => Math.hypot(points.x(i) - points.x(j), points.y(i) - points.y(j));
            const all = [...points.ids.keys()];
            const alone = (i) => Math.min(...all.filter((j) => j !== i).map((j) => apart(i, j)));
            return all.reduce((a, b) => (alone(a) > alone(b) ? a : b));
        }"""
    )


def title_of(page: Page, at: int) -> str:
    """What a point's song is called."""
    track = page.evaluate("(at) => document.querySelector('m-map-view').points.id(at)", at)
    return page.request.get(f"{page.url.split('#')[0]}api/v1/tracks/{track}").json()["title"]


def test_a_map_is_drawn_by_a_job_when_it_is_first_looked_at(page: Page, serve: Callable[..., str]) -> None:
    page.goto(f"{serve()}#map")
    expect(page.locator("m-map-view progress")).to_be_visible()
    expect(page.locator("m-map-view progress")).to_be_hidden(timeout=DRAWN_MS)
    colours = colours_on(canvas_of(page))
    assert len(colours) > 3
    expect(page.locator(".map-empty")).to_be_hidden()
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitem", name="Draw the map again").click()
    page.get_by_role("navigation", name="Views").get_by_role("link", name="Songs").click()  # it goes on
    page.get_by_role("navigation", name="Views").get_by_role("link", name="Map").click()
    canvas_of(page)


def test_a_map_that_another_window_draws_is_not_drawn_twice(
    new_page: Callable[..., Page], serve: Callable[..., str]
) -> None:
    base = serve()
    for _ in range(2):
        page = new_page()
        page.goto(f"{base}#map")
        expect(page.locator("m-map-view progress")).to_be_visible()
    jobs = page.request.get(f"{base}api/v1/jobs").json()
    assert [job["kind"] for job in jobs] == ["map"]


def test_who_may_not_write_is_told_how_a_map_is_made(page: Page, serve: Callable[..., str]) -> None:
    page.goto(f"{serve(read_only=True)}#map")
    expect(page.locator(".map-empty")).to_contain_text("mirclr map")


def test_a_song_is_pointed_at_and_played(page: Page, mapped: str) -> None:
    page.goto(mapped)
    canvas_of(page)
    at = lonely(page)
    page.mouse.move(*place_of(page, at))
    card = page.locator(".map-card")
    expect(card).to_contain_text(title_of(page, at))
    page.mouse.click(*place_of(page, at))
    expect(page.locator("m-player .now")).to_contain_text(title_of(page, at))
    expect(page.locator(".map-mark.playing")).to_be_visible()
    page.mouse.click(*place_of(page, at), button="right")
    page.get_by_role("menuitem", name="More like this").click()
    page.mouse.move(300, 700)
    expect(card).to_be_hidden()


def _cursor(page: Page) -> int:
    return page.evaluate("document.querySelector('m-map-view').cursor")


def _key_to_another(page: Page, seen: list[int]) -> str:
    """An arrow key in whose direction a song lies, if there is one then one that was not seen yet."""
    return page.evaluate(
        """(seen) => {
            const { points, cursor } = document.querySelector("m-map-view");
            const ways = { ArrowUp: [0, 1], ArrowLeft: [-1, 0], ArrowDown: [0, -1], ArrowRight: [1, 0] };
            const found = Object.entries(ways).map(([key, way]) => [key, points.beside(cursor, ...way, () => true)]);
            const leading = found.filter(([, at]) => at >= 0);
            return (leading.find(([, at]) => !seen.includes(at)) ?? leading[0])[0];
        }""",
        seen,
    )


def test_one_goes_from_song_to_song_by_keys(page: Page, mapped: str) -> None:
    page.goto(mapped)
    canvas = canvas_of(page)
    said = page.locator("m-map-view > p[role=status]")
    canvas.focus()
    page.keyboard.press("ArrowUp")
    seen = [_cursor(page)]
    for _ in range(4):
        before = said.text_content()
        page.keyboard.press(_key_to_another(page, seen))
        expect(said).not_to_have_text(before or "")
        seen.append(_cursor(page))
    assert len(set(seen)) >= 3
    page.keyboard.press("Enter")
    expect(page.locator("m-player .now")).to_contain_text((said.text_content() or "").split(",")[0])
    page.keyboard.press("m")
    expect(page.get_by_role("menu")).to_be_visible()
    page.keyboard.press("Escape")
    expect(canvas).to_be_focused()
    page.keyboard.press("s")
    expect(page.get_by_role("complementary", name="Chosen songs")).to_contain_text(f"{len(SONGS)} songs")
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary", name="Chosen songs")).to_be_hidden()


def test_keys_of_the_map_are_listed_and_those_of_the_page_are_heard(page: Page, mapped: str) -> None:
    page.goto(mapped)
    canvas = canvas_of(page)
    canvas.focus()
    canvas.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_contain_text("Choose all songs that are seen")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    expect(page.get_by_role("heading", level=1, name="Songs")).to_be_visible()
    page.keyboard.press("?")
    expect(keys).to_be_visible()
    expect(keys).not_to_contain_text("Choose all songs that are seen")


def test_it_is_moved_and_zoomed_and_shown_as_a_whole_again(page: Page, mapped: str) -> None:
    page.goto(mapped)
    canvas_of(page)
    begun = place_of(page, 0)
    page.mouse.move(700, 640)
    page.mouse.down()
    page.mouse.move(640, 600, steps=3)
    page.mouse.up()
    assert place_of(page, 0) == pytest.approx((begun[0] - 60, begun[1] - 40), abs=1)
    page.mouse.move(*place_of(page, 0))
    at = place_of(page, 0)
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(100)
    assert place_of(page, 0) == pytest.approx(at, abs=1)  # what is below the pointer stays
    assert abs(place_of(page, 1)[0] - at[0]) >= abs(begun[0] - begun[0])
    page.get_by_role("button", name="All songs").click()
    assert place_of(page, 0) == pytest.approx(begun, abs=1)


def test_colours_mean_something_and_what_is_chosen_stands_out(page: Page, mapped: str) -> None:
    page.goto(mapped)
    canvas = canvas_of(page)
    before = colours_on(canvas)
    page.get_by_label("Colour by").select_option("year")
    key = page.get_by_role("button", name=re.compile(r"^1990s"))
    songs = sum(1990 <= song.year < 2000 for song in SONGS)
    expect(key).to_have_text(f"1990s{songs}")
    assert colours_on(canvas) != before
    all_of_them = colours_on(canvas)
    key.click()
    expect(key).to_have_attribute("aria-pressed", "true")
    expect(key).to_be_focused()
    page.wait_for_timeout(100)
    assert colours_on(canvas) != all_of_them
    page.get_by_label("Colour by").select_option("album")
    expect(page.locator(".map-legend")).to_contain_text("one colour")


def test_songs_that_words_mean_stand_out(page: Page, mapped: str) -> None:
    page.goto(mapped)
    canvas_of(page)
    box = page.get_by_role("searchbox", name="Find on the map")
    box.fill("night trains")
    found = sum(song.artist == "Night Trains" for song in SONGS)
    expect(page.locator(".map-found")).to_have_text(str(found))
    box.press("Enter")
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitem", name="Choose the songs that are seen").click()
    expect(page.get_by_role("complementary", name="Chosen songs")).to_contain_text(f"{found} songs")
    box.press("Escape")
    expect(page.locator(".map-found")).to_be_empty()


def test_songs_are_drawn_around_and_become_a_playlist(
    page: Page, serve: Callable[..., str], library_path: Path
) -> None:
    with mirclr.Library.open(library_path) as library:
        draw_map(library)
    page.goto(f"{serve()}#map")
    canvas_of(page)
    x, y = place_of(page, lonely(page))
    page.get_by_role("button", name="Draw around songs to choose them").click()
    page.mouse.move(x - 12, y - 12)
    page.mouse.down()
    for corner in ((x + 12, y - 12), (x + 12, y + 12), (x - 12, y + 12), (x - 12, y)):
        page.mouse.move(*corner, steps=3)
    page.mouse.up()
    chosen = page.get_by_role("complementary", name="Chosen songs")
    expect(chosen).to_contain_text("1 song")
    chosen.get_by_role("button", name="Save").click()
    page.get_by_label("Name").fill("From the map")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.locator(".notices")).to_contain_text("From the map: 1 song")
    with mirclr.Library.open(library_path) as library:
        assert [one.name for one in library.song_lists()] == ["From the map"]


def test_by_fingers_a_song_is_shown_first_and_then_played(new_page: Callable[..., Page], mapped: str) -> None:
    page = new_page(**PHONE)
    page.goto(mapped)
    expect(page.get_by_role("application", name="Map of")).to_be_visible()
    page.locator(".map-label:visible").first.wait_for()
    at = lonely(page)
    page.touchscreen.tap(*place_of(page, at))
    card = page.locator(".map-card")
    expect(card).to_contain_text(title_of(page, at))
    expect(page.locator("m-player .now")).to_be_hidden()
    card.get_by_role("button", name="Play").click()
    expect(page.locator("m-player .now")).to_contain_text(title_of(page, at))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_browser_without_webgl_shows_the_same(new_page: Callable[..., Page], mapped: str) -> None:
    page = new_page(color_scheme="dark")
    page.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        " return kind === 'webgl2' ? null : get.call(this, kind, ...rest); }"
    )
    page.goto(mapped)
    canvas = canvas_of(page)
    assert len(colours_on(canvas)) > 3
    at = lonely(page)
    page.mouse.move(*place_of(page, at))
    expect(page.locator(".map-card")).to_contain_text(title_of(page, at))


def test_the_menu_of_a_song_leads_to_its_place(page: Page, mapped: str) -> None:
    page.goto(mapped.replace("#map", "#songs?q=enter the yard"))
    page.get_by_role("button", name="More for Enter the Yard").click()
    page.get_by_role("menuitem", name="Show on the map").click()
    expect(page.locator(".map-card")).to_contain_text("Enter the Yard")


@pytest.mark.parametrize("context", [{"color_scheme": "dark"}, {"color_scheme": "light"}, PHONE])
def test_it_is_accessible(
    new_page: Callable[..., Page], mapped: str, accessible: Callable[[Page], None], context
) -> None:
    page = new_page(**context)
    page.goto(mapped)
    expect(page.get_by_role("application", name="Map of")).to_be_visible()
    page.locator(".map-label:visible").first.wait_for()
    accessible(page)
