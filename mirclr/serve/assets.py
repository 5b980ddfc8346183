"""The files of the page: served as they are, under names that change with their bytes."""

import hashlib
import mimetypes
import re
from functools import cache
from pathlib import Path

from fastapi import FastAPI, Response

_FOLDER = Path(__file__).with_name("page")
_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
_FOREVER = "public, max-age=31536000, immutable"


@cache
def digest_of_page() -> str:
    """A short digest of all files of the page: a part of their addresses, so that browsers may keep them for ever."""
    digest = hashlib.sha256()
    for path in sorted(_FOLDER.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(_FOLDER).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def _files() -> dict[str, Path]:
    return {path.relative_to(_FOLDER).as_posix(): path for path in _FOLDER.rglob("*") if path.is_file()}


def page() -> bytes:
    """The page itself, which names the other files by the digest."""
    html = (_FOLDER / "index.html").read_text("utf-8")
    return re.sub(r"\bassets/", f"assets/{digest_of_page()}/", html).encode()


def install(app: FastAPI) -> None:
    """Serve the page at ``/`` and its files below ``/assets``; only those that the package has."""

    @app.get("/", include_in_schema=False)
    def index() -> Response:
        return Response(page(), media_type="text/html", headers={"Cache-Control": "no-cache"})

    @app.get("/assets/{digest}/{name:path}", include_in_schema=False)
    def asset(digest: str, name: str) -> Response:
        path = _files().get(name)
        if path is None or name == "index.html":
            return Response(status_code=404)
        kind = _TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        keep = _FOREVER if digest == digest_of_page() else "no-cache"
        return Response(path.read_bytes(), media_type=kind, headers={"Cache-Control": keep})
