"""The files of the page: all there, of nobody else, kept for ever, and nothing in them runs unasked."""

import re
from pathlib import Path
from urllib.parse import urljoin

import pytest
from fastapi.testclient import TestClient

from mirclr.serve import assets

PAGE = Path(assets.__file__).with_name("page")
FILES = sorted(file for file in PAGE.rglob("*") if file.is_file())
OWN = ("http://www.w3.org/2000/svg",)  # a name, and no address


def test_the_page_and_all_that_it_names_are_served(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    named = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert len(named) > 4
    for name in named:
        found = client.get(urljoin("/", name))
        assert found.status_code == 200, name
        assert "immutable" in found.headers["cache-control"]


@pytest.mark.parametrize("file", [f for f in FILES if f.suffix == ".js"], ids=lambda file: file.name)
def test_a_script_imports_what_is_there(client: TestClient, file: Path) -> None:
    text = file.read_text("utf-8")
    for name in re.findall(r'^(?:import|export)\b[^;"=(]*"([^"]+)";', text, re.MULTILINE):
        assert name.startswith("./")
        assert (PAGE / name).is_file(), name
    for route in re.findall(r'\{ name: "(\w+)", title:', text):
        assert (PAGE / f"{route}.js").is_file()
        assert (PAGE / f"{route}.css").is_file()
    assert client.get(f"/assets/any/{file.name}").headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_comes_from_elsewhere_and_no_text_is_taken_for_html(file: Path) -> None:
    text = file.read_text("utf-8")
    assert [url for url in re.findall(r"https?://[\w./-]+", text) if not url.startswith(OWN)] == []
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert word not in text


def test_nothing_runs_that_stands_in_the_page() -> None:
    html = (PAGE / "index.html").read_text("utf-8")
    assert re.findall(r"<script(?![^>]*\ssrc=)", html) == []
    assert re.findall(r"\s(?:style|on\w+)=", html) == []
    assert "<style" not in html


def test_a_file_that_changes_has_another_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for file in FILES:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    before = assets.digest_of_page()
    assert f"assets/{before}/main.js" in assets.page().decode()
    monkeypatch.setattr(assets, "_FOLDER", tmp_path)
    assets.digest_of_page.cache_clear()
    try:
        assert assets.digest_of_page() == before
        (tmp_path / "main.js").write_text("export {};")
        assets.digest_of_page.cache_clear()
        assert assets.digest_of_page() != before
    finally:
        assets.digest_of_page.cache_clear()


@pytest.mark.parametrize("name", ["../app.py", "..%2fapp.py", "%2e%2e/app.py", "index.html", "no.js", "/etc/passwd"])
def test_only_the_files_of_the_page(client: TestClient, name: str) -> None:
    assert client.get(f"/assets/x/{name}").status_code == 404
