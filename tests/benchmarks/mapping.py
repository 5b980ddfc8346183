"""`song_map`: how long the map of a large library takes to be laid out, to be first seen, and to be moved."""

import os
import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from mirclr.library import LibraryStore
from mirclr.map import draw_map, place_new
from tests.benchmarks.measuring import load
from tests.benchmarks.recommending import fill

SIZE = 100_000
LATER = 1_000  # songs that come when the map is drawn
FRAMES = 60
WINDOWS = {"a window": (1280, 800, 1), "a phone": (390, 844, 2)}
AIMS = {"frame_ms": "<= 60 by software alone", "first_paint_s": "< 2"}

# when the points are on the screen: two frames after the map knows how many there are
SEEN = """
new MutationObserver((_, observer) => {
  const canvas = document.querySelector("m-map-view canvas");
  if (!/[1-9]/.test(canvas?.getAttribute("aria-label") ?? "")) return;
  observer.disconnect();
  requestAnimationFrame(() => requestAnimationFrame(() => (window.seen_ms = performance.now())));
}).observe(document, { subtree: true, childList: true, attributes: true });
"""
# milliseconds of each frame while the map is moved to and fro, at some zoom
MOVED = """
async ([frames, zoom]) => {
  const map = document.querySelector("m-map-view");
  map.fit();
  map.zoom(zoom);
  const times = [];
  for (let i = 0; i < frames; i++) {
    await new Promise((shown) => requestAnimationFrame(shown));
    times.push(performance.now());
    map.look.move(i % 20 < 10 ? 9 : -9, 4);
    map.soon();
  }
  return times.slice(1).map((time, i) => time - times[i]);
}
"""


def song_map() -> dict[str, Any]:
    """Seconds and memory of the layout of 100,000 tracks, and milliseconds in Chromium without a graphics card."""
    n = int(float(os.environ.get("MIRCLR_SIZES", SIZE)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "l.db"
        with LibraryStore.open(path, create=True) as library:
            fill(library, n)
            laid_out = _laid_out(library)
        return {"tracks": n, "layout": laid_out, "in_chromium": _in_chromium(path), "aims": AIMS, "load": load()}


def _laid_out(library: LibraryStore) -> dict[str, Any]:
    before = _most_memory_mb()
    start = time.perf_counter()
    draw_map(library)
    layout_s = time.perf_counter() - start
    ids, points = library.map_points()
    gone = np.linspace(0, len(ids) - 1, LATER).astype(int)
    kept = np.setdiff1d(np.arange(len(ids)), gone)
    library.store_map(ids[kept], points[kept])
    start = time.perf_counter()
    place_new(library)
    placed_s = time.perf_counter() - start
    found = dict(zip(*map(np.ndarray.tolist, library.map_points()), strict=True))
    moved = [float(np.hypot(*np.subtract(found[int(ids[i])], points[i]))) for i in gone]
    return {
        "seconds": round(layout_s, 1),
        "memory_mb": round(_most_memory_mb()),
        "memory_before_mb": round(before),
        f"seconds_to_place_{LATER}": round(placed_s, 1),
        "placed_from_where_t-SNE_laid_them": round(statistics.median(moved), 4),
    }


def _most_memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _in_chromium(path: Path) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    from tests.serve.live import serving
    from tests.web.conftest import ARGUMENTS

    measured: dict[str, Any] = {}
    with serving(path) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        for name, (width, height, ratio) in WINDOWS.items():
            context = browser.new_context(viewport={"width": width, "height": height}, device_scale_factor=ratio)
            page = context.new_page()
            page.add_init_script(SEEN)
            first = []
            for _ in range(4):  # the first finds the service cold
                page.goto("about:blank")
                page.goto(f"{address}/#map")
                while not (seen := page.evaluate("window.seen_ms")):
                    page.wait_for_timeout(50)
                first.append(round(seen / 1000, 2))
            page.locator(".map-key").first.wait_for(state="attached")
            page.wait_for_timeout(1000)
            frames = {zoom: page.evaluate(MOVED, [FRAMES, zoom]) for zoom in (1, 3, 12)}
            measured[name] = {
                "first_paint_s": first,
                "frame_ms": {
                    f"zoom {zoom}": {
                        "median": round(statistics.median(times), 1),
                        "p90": round(statistics.quantiles(times, n=10)[-1], 1),
                    }
                    for zoom, times in frames.items()
                },
            }
            context.close()
        browser.close()
    return measured
