"""The README's pictures, taken of a served library: ``python -m tests.web.screenshots LIBRARY [FOLDER]``.

The library is copied, and its map is drawn where it has none. A picture takes 300 kB at most.
"""

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import mirclr
from mirclr.map import draw_map
from tests.serve.live import serving
from tests.web.conftest import ARGUMENTS, chromium

SIZE = {"width": 1360, "height": 850}
MOST_BYTES = 300_000
COLOURS = 256


def take(library: Path, folder: Path) -> None:
    """Take all pictures."""
    with tempfile.TemporaryDirectory() as own, sync_playwright() as playwright:
        for file in library.parent.glob(f"{library.name}*"):
            shutil.copy(file, Path(own, file.name))
        path = Path(own, library.name)
        with mirclr.Library.open(path) as opened:
            draw_map(opened)
            tracks = opened.tracks()
            song = tracks[len(tracks) // 2]
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        with serving(path) as base:
            views = (
                ("map", "dark", "#map", ".map-label:not([hidden])"),
                ("song", "light", f"#song/{song.id}", ".wave.known"),
            )
            for name, colours, view, last in views:
                page = browser.new_page(viewport=SIZE, color_scheme=colours, reduced_motion="reduce")
                page.goto(f"{base}/#song/{song.id}")
                page.get_by_role("main").get_by_role("button", name="Play", exact=True).click()
                page.locator(".wave.known").wait_for(timeout=60_000)
                page.goto(f"{base}/{view}")
                page.locator(last).first.wait_for(timeout=60_000)
                page.wait_for_timeout(3000)  # covers come one after the other
                (folder / f"{name}.png").write_bytes(_small(page))
                page.close()
        browser.close()


def _small(page: Page) -> bytes:
    """A picture of a page, of fewer colours where it is large."""
    taken = page.screenshot()
    colours = COLOURS
    while len(taken) > MOST_BYTES:
        whole = Image.open(io.BytesIO(taken)).convert("RGB")
        file = io.BytesIO()
        whole.quantize(colours, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
        taken, colours = file.getvalue(), colours // 2
    return taken


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else ".github/pictures"))
