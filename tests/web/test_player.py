"""Songs are heard: time goes on, the next one follows by itself, seeking, the queue, keys."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.made_up_music import SONGS
from tests.web.conftest import PHONE

AUDIO = "import(document.querySelector('script[type=module]').src.replace('main.js', 'player.js')).then(m => m.player)"


def _time_s(page: Page) -> float:
    return page.evaluate(f"{AUDIO}.then(player => player.time_s)")


def _goes_on(page: Page) -> None:
    page.wait_for_function(f"{AUDIO}.then(player => !player.paused && player.time_s > 0.2)")


def test_a_song_plays_and_is_paused_by_a_key(page: Page, base: str) -> None:
    page.goto(f"{base}#songs?q=rust")
    page.get_by_role("button", name="Play Rust").click()
    player = page.get_by_role("region", name="Player")
    expect(player.get_by_role("link", name="Rust").last).to_be_visible()
    _goes_on(page)
    page.get_by_role("heading", name="Songs").click()
    page.keyboard.press(" ")
    expect(player.get_by_role("button", name="Play", exact=True)).to_be_visible()
    at = _time_s(page)
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"{AUDIO}.then(player => player.time_s >= {at + 9})")


def test_the_next_song_follows_by_itself(page: Page, base: str) -> None:
    page.goto(f"{base}#songs?album=iron&sort=title")
    first, second = sorted(song.title for song in SONGS if "/Iron/" in song.place)
    page.get_by_role("button", name=f"Play {first}", exact=True).click()
    _goes_on(page)
    position = page.get_by_role("slider", name="Position")
    position.focus()
    page.keyboard.press("End")
    expect(page.get_by_role("region", name="Player").get_by_role("link", name=second).last).to_be_visible()
    _goes_on(page)
    page.wait_for_function(f"{AUDIO}.then(player => player.time_s < 30)")


def test_the_queue_from_menus(page: Page, base: str) -> None:
    page.goto(f"{base}#songs?artist=marta")
    page.get_by_role("button", name="Play Pulse").click()
    for title in ("Glow", "Pulse"):
        page.get_by_role("button", name=f"More for {title}").first.click()
        page.get_by_role("menuitem", name="Play next").click()
    page.keyboard.press("q")
    queue = page.get_by_role("complementary", name="Songs to come")
    titles = queue.locator(".title")
    expect(titles).to_contain_text(["Pulse", "Glow"])
    queue.get_by_role("button", name="Take Glow out of the queue").first.click()
    expect(titles.first).to_have_text("Pulse")
    queue.get_by_role("button", name="Clear").click()
    expect(titles).to_have_count(0)


def test_a_page_that_is_loaded_again_knows_what_played(page: Page, base: str) -> None:
    page.goto(f"{base}#songs?q=neon")
    page.get_by_role("button", name="Play Neon").click()
    _goes_on(page)
    page.reload()
    player = page.get_by_role("region", name="Player")
    expect(player.get_by_role("link", name="Neon").last).to_be_visible()
    player.get_by_role("button", name="Play", exact=True).click()
    _goes_on(page)


def test_a_part_of_a_file_is_sought_in_though_it_is_made_while_it_plays(page: Page, base: str) -> None:
    page.goto(base)
    page.evaluate(f"{AUDIO}.then(player => player.play([1]))")
    page.evaluate(f"{AUDIO}.then(player => {{ player.deck.load(player.track, {{format: 'mp3'}}); player.resume(); }})")
    _goes_on(page)
    page.evaluate(f"{AUDIO}.then(player => player.seek(30))")
    page.wait_for_function(f"{AUDIO}.then(player => !player.paused && player.time_s > 30.2 && player.time_s < 45)")


def test_the_player_on_a_phone(new_page: Callable[..., Page], base: str, accessible: Callable[[Page], None]) -> None:
    page = new_page(**PHONE)
    page.goto(f"{base}#songs?q=snö")
    page.get_by_role("button", name="Play Snö").tap()
    _goes_on(page)
    expect(page.get_by_role("region", name="Player").get_by_role("button", name="Pause")).to_be_in_viewport()
    expect(page.get_by_role("navigation", name="Views").get_by_role("link", name="Songs")).to_be_in_viewport()
    page.get_by_role("button", name="Songs to come").tap()
    accessible(page)
