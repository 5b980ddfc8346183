"""A served library, and a browser that looks at it; whatever a page says on its console is a failure.

`base` is the address of a service that all tests share; one that writes takes `serve`, which starts one of its own.
`page` is a page of 1,280 by 800; `new_page` makes others, such as a phone's. `accessible(page)` is axe-core's word.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.serve.conftest import made_library
from tests.serve.live import serving

__all__ = ["made_library"]  # a fixture that is shared with tests/serve

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required", "--mute-audio"),
]
WINDOW = {"width": 1280, "height": 800}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
STARTED_MS = 20_000
expect.set_options(timeout=15_000)  # of a machine with other work


def chromium() -> str:
    """Debian's chromium, or whichever there is."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail("there is no chromium on this machine; install it: apt-get install chromium")
    return found


def _copy(library: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for file in library.parent.glob("library.db*"):
        shutil.copy(file, folder / file.name)
    return folder / "library.db"


@pytest.fixture(scope="session")
def base(made_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service that all tests share, who write nothing."""
    with serving(_copy(made_library, tmp_path_factory.mktemp("shared"))) as address:
        yield f"{address}/"


@pytest.fixture
def library_path(made_library: Path, tmp_path: Path) -> Path:
    """A copy of the library, for a service of one's own."""
    return _copy(made_library, tmp_path / "own")


@pytest.fixture
def serve(library_path: Path) -> Iterator[Callable[..., str]]:
    """Start a service of one's own, of `library_path`; gives its address."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(serving(library_path, **settings)) + "/"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium, or whichever there is; Playwright makes a folder of its own for each run."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser: Browser, serve: Callable[..., str]) -> Iterator[Callable[..., Page]]:
    """Make pages, as `Browser.new_context` takes it; their consoles are silent, and they ask nobody else.

    They are closed before a service of `serve` ends.
    """
    said: list[str] = []
    contexts = []

    def make(**context: Any) -> Page:
        one = browser.new_context(**{"viewport": WINDOW, "reduced_motion": "reduce", **context})
        contexts.append(one)
        page = one.new_page()
        page.set_default_timeout(STARTED_MS)
        page.on("console", lambda m: said.append(m.text) if _is_wrong(m) else None)
        page.on("pageerror", lambda error: said.append(f"{error}\n{error.stack}"))
        page.on("request", lambda r: said.append(r.url) if _of_others(r.url) else None)
        return page

    yield make
    for one in contexts:
        one.close()
    assert said == []


def _is_wrong(message: ConsoleMessage) -> bool:
    drawn_slowly = "GL Driver Message" in message.text  # by the driver, where there is no graphics card
    no_list = "status of 404" in message.text and message.location["url"].endswith("/api/v1/recommend")
    return message.type in ("error", "warning") and not drawn_slowly and not no_list  # which are no words of the page's


def _of_others(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1"


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """A page of a wide window in dark colours."""
    return new_page(color_scheme="dark")


@pytest.fixture(scope="session")
def accessible() -> Callable[[Page], None]:
    """Fail where axe-core finds something serious in a page as it is now."""
    axe = Axe()

    def check(page: Page) -> None:
        found = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
        serious = [
            f"{one['id']}: {one['help']}: {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
        assert serious == []

    return check
