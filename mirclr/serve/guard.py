"""Who may ask for what: each request is looked at before any route sees it.

Names of hosts (no other site's name leads here: DNS rebinding), where a request comes from (no other site's page asks),
the token, how much and how fast; and the headers by which a browser keeps the page to itself. What is refused is
answered as a problem document.

Contents: `Guard`, around the application; `WRITES`, a dependency of routes that write.
"""

import asyncio
import logging
import re
import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Depends
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mirclr.serve.problems import Problem, problem_of, problem_response
from mirclr.serve.service import TheService
from mirclr.serve.sessions import CHALLENGE, Buckets, Sessions, too_often
from mirclr.serve.settings import LOOPBACK_NAMES, ServeSettings, is_loopback
from mirclr.terminal import shown

log = logging.getLogger("mirclr.serve")

CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""What the page may load and run: what comes from here, and nothing that stands in its text."""
_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_OPEN = frozenset(("/", "/api/v1/session", "/healthz", "/favicon.ico"))
_PLAYERS = "/rest/"  # what asks for a password itself, in each request, so that none comes by itself with a browser
_OPEN_BELOW = ("/assets/", _PLAYERS)  # the page's own files hold nothing
_LISTENBRAINZ = "/1/"
_AUDIO = ("/api/v1/classify", "/api/v1/identify")
_SAFE = ("GET", "HEAD", "OPTIONS")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:/@\[\]]+)(?::\d{1,5})?", re.IGNORECASE)
_SLOWEST = 10_000  # bytes a second of a body, once `Limits.body_s` is over


class Guard:
    """Looks at each request, and answers those that are refused; ASGI.

    Parameters
    ----------
    app : ASGI application
        What is guarded.
    settings : ServeSettings
        What is served to whom.
    sessions : Sessions
        The token.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings, sessions: Sessions) -> None:
        self._app, self._settings, self._sessions = app, settings, sessions
        limits = settings.limits
        self._requests = Buckets(limits.requests_a_second, 10 * limits.requests_a_second)
        self._names = _own_names(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application do it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        try:
            headers = Headers(scope=scope)
            self._check(scope, headers)
            await self._app(scope, self._body(scope, headers, receive), answer)
        except ClientDisconnect:
            pass  # who would read an answer?
        except Exception as error:
            problem = problem_of(error)
            if problem.status == 500:
                log.exception("%s %s", scope["method"], shown(scope["path"]))
            if answer.begun:
                raise  # the connection is closed: what was sent is not taken for all of it
            await problem_response(problem)(scope, receive, answer)

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Refuse what may not be asked."""
        address = scope["client"][0] if scope.get("client") else ""
        self._check_host(headers)
        self._check_pace(address)
        admitted = self._is_admitted(address, scope["path"], headers)
        if not admitted and not (self._sessions.needed and scope["path"].startswith(_PLAYERS)):
            self._check_origin(scope, headers)
        if self._sessions.needed and not (admitted or self._sessions.has_session(headers) or _is_open(scope["path"])):
            raise Problem(401, "this needs the token that mirclr serve showed when it began", headers=CHALLENGE)

    def _check_host(self, headers: Headers) -> None:
        given = headers.getlist("host")
        found = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        if found is None:
            raise Problem(400, "found no host that can be; expected one header of its name")
        name = found[1].strip("[]").rstrip(".").lower()
        if not (name in self._names or (not self._settings.is_loopback and _is_address(name))):
            raise Problem(403, f"found the host {name}; to be asked by this name: mirclr serve --allow-host {name}")
        if not self._sessions.needed and ("x-forwarded-for" in headers or "forwarded" in headers):
            raise Problem(403, "asked by way of a proxy; others can reach that, so begin with: mirclr serve --token …")

    def _check_pace(self, address: str) -> None:
        """Slow down who asks without end, but for the owner at this machine."""
        if is_loopback(address):
            return
        if wait := self._requests.wait(address):
            raise too_often("asked too often", wait)
        self._requests.count(address)

    def _is_admitted(self, address: str, path: str, headers: Headers) -> bool:
        """Whether the token stands in a header, which no page of another site can send."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if not self._sessions.needed or scheme.lower() not in ("bearer", "token") or path.startswith(_PLAYERS):
            return False
        token = token.strip()
        if path.startswith(_LISTENBRAINZ) and not self._sessions.is_token(token):
            token = token.rpartition(":")[2]  # before it the name of a profile
        self._sessions.check_token(address, token)
        return True

    @staticmethod
    def _check_origin(scope: Scope, headers: Headers) -> None:
        """Refuse what the page of another site asks; a link that leads here is none of that."""
        site, method = headers.get("sec-fetch-site", "none"), scope["method"]
        is_link = method == "GET" and headers.get("sec-fetch-dest") == "document"
        if site not in ("none", "same-origin") and not is_link:
            raise Problem(403, "asked by a page of another site")
        origin = headers.get("origin")
        if method not in _SAFE and origin is not None and _host_of(origin) != headers["host"].lower():
            raise Problem(403, "asked by a page of another site")

    def _body(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        limits = self._settings.limits
        most = limits.audio_bytes if scope["path"] in _AUDIO else limits.body_bytes
        length = headers.get("content-length", "0")
        if not re.fullmatch(r"\d{1,18}", length, re.ASCII):
            raise Problem(400, "found a length of the body that is no number")
        if int(length) > most:
            raise _too_large(most)
        return _Body(receive, most, limits.body_s)


class _Body:
    """The body of a request, of which no more is taken than may be, and no slower than may be."""

    def __init__(self, receive: Receive, most: int, wait_s: float) -> None:
        self._receive, self._most, self._wait_s = receive, most, wait_s
        self._taken, self._whole, self._began = 0, False, 0.0

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()  # that the client leaves, whenever that is
        now = asyncio.get_running_loop().time()
        self._began = self._began or now
        try:
            left = self._began + self._wait_s + self._taken / _SLOWEST - now
            message = await asyncio.wait_for(self._receive(), max(0.0, left))
        except TimeoutError:
            raise HTTPException(408, "the request took too long to come") from None
        self._taken += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._taken > self._most:
            raise HTTPException(413, _too_large(self._most).detail)
        return message


class _Answer:
    """Sends an answer, with the headers that each has unless it says otherwise."""

    def __init__(self, send: Send) -> None:
        self._send, self.begun = send, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


def _own_names(settings: ServeSettings) -> frozenset[str]:
    """The names by which the service may be asked."""
    names = [*LOOPBACK_NAMES, settings.host, *settings.allowed_hosts]
    if not settings.is_loopback:
        own = socket.gethostname()
        names += [own, f"{own}.local"]
    return frozenset(name.strip("[]").rstrip(".").lower() for name in names)


def _is_address(name: str) -> bool:
    """Whether a host is named by its address, to which no other site's name can lead."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_BELOW)


def _host_of(origin: str) -> str:
    """The host of an origin as the header Host names it: without the port where it is the usual one."""
    try:
        parts = urlsplit(origin)
        usual = {"http": 80, "https": 443}.get(parts.scheme)
        return parts.netloc.lower().removesuffix(f":{usual}") if usual else ""
    except ValueError:
        return ""


def _too_large(most: int) -> Problem:
    return Problem(413, f"the request is too large; expected at most {most:,} bytes")


async def writable(service: TheService) -> None:
    """Refuse what writes where nothing may be written; a dependency of routes."""
    if service.settings.read_only:
        raise Problem(403, "nothing is written here: mirclr serve was begun with --read-only")


WRITES = Depends(writable)
"""For each route that writes: ``@router.put(…, dependencies=[WRITES])``."""
