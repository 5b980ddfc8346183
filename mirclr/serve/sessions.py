"""Who is let in: the token, compared in constant time, and the cookie that a browser gets for it.

Contents: `Sessions` (the token, its cookies, and who guesses), `TheSessions` (a parameter of routes), `Buckets` (how
often an address may ask, or be wrong).
"""

import hashlib
import hmac
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Annotated, Any

from fastapi import Depends, Request

from mirclr.serve.problems import Problem
from mirclr.serve.settings import ServeSettings

log = logging.getLogger("mirclr.serve")

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="mirclr"'}
SESSION_S = 30 * 86400
"""Seconds for which a browser need not say the token again."""
_ADDRESSES = 4096  # of which is known how often they asked; of more the ones that were quiet the longest are forgotten


class Sessions:
    """The token of a service, cookies that stand for it, and addresses that guess.

    A cookie is a time until which it holds, and that time signed with the token: another token ends all of them.

    Parameters
    ----------
    settings : ServeSettings
        With a token of None everybody is let in.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._token = settings.token
        key = settings.token or secrets.token_hex()
        self._key = hashlib.sha256(b"mirclr session\0" + key.encode("utf-8", "surrogatepass")).digest()
        self._wrong = Buckets(settings.limits.wrong_tokens_a_minute / 60, settings.limits.wrong_tokens_a_minute)
        self.cookie = f"mirclr_{settings.port}"  # browsers send cookies to all ports of a host

    @property
    def needed(self) -> bool:
        """Whether a token is needed."""
        return self._token is not None

    def check_token(self, address: str, text: str) -> None:
        """Refuse a text that is not the token, and an address that was wrong too often.

        Parameters
        ----------
        address : str
            Of the client.
        text : str
            What it says is the token.

        Raises
        ------
        Problem
            401, or 429 where it was wrong too often.
        """
        self.check_guesses(address)
        if not self.is_token(text):
            self.count_wrong(address)
            raise Problem(401, "the token is another", headers=CHALLENGE)

    def check_guesses(self, address: str) -> None:
        """Refuse an address that was wrong too often, before it is known whether it is right now; raises Problem."""
        if wait := self._wrong.wait(address):
            raise too_often("wrong tokens were tried too often", wait)

    def count_wrong(self, address: str) -> None:
        """Note that an address was wrong, for what checks passwords in a way of its own."""
        log.warning("a wrong token from %s", address)
        self._wrong.count(address)

    def is_token(self, text: str) -> bool:
        """Whether a text is the token; takes as long for each that is not."""
        given, token = (
            hashlib.sha256((t or "").encode("utf-8", "surrogatepass")).digest() for t in (text, self._token)
        )
        return hmac.compare_digest(given, token) and self._token is not None

    def has_session(self, headers: Mapping[str, str]) -> bool:
        """Whether a request has a cookie that holds."""
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return False
        until, _, signature = (morsel.value if morsel else "").partition(".")
        return hmac.compare_digest(signature.encode(), self._signed(until).encode()) and int(until) > time.time()

    def new(self) -> str:
        """The value of a new cookie."""
        until = str(int(time.time()) + SESSION_S)
        return f"{until}.{self._signed(until)}"

    def _signed(self, until: str) -> str:
        return hmac.new(self._key, until.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


async def sessions_of(request: Request) -> Sessions:
    """The sessions of the application that was asked; a dependency of routes."""
    sessions: Any = request.app.state.sessions
    assert isinstance(sessions, Sessions)
    return sessions


TheSessions = Annotated[Sessions, Depends(sessions_of)]
"""The type of a route's parameter that is its sessions."""


def too_often(what: str, wait: float) -> Problem:
    """What an address gets that is to wait for some seconds."""
    seconds = int(wait) + 1
    return Problem(429, f"{what}; try again in {seconds} s", headers={"Retry-After": str(seconds)})


class Buckets:
    """How often each address may ask: so many times a second, and some at once.

    Parameters
    ----------
    a_second : float
        Times a second.
    at_once : float
        Times without waiting, after some time of silence.
    """

    def __init__(self, a_second: float, at_once: float) -> None:
        self._a_second, self._at_once = a_second, at_once
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # used up, at which time

    def wait(self, address: str) -> float:
        """Seconds until an address may ask again; 0: now."""
        return max(0.0, (self._level(address) + 1 - self._at_once) / self._a_second)

    def count(self, address: str) -> None:
        """Note that an address asked."""
        self._levels[address] = self._level(address) + 1, time.monotonic()
        self._levels.move_to_end(address)
        if len(self._levels) > _ADDRESSES:
            self._levels.popitem(last=False)

    def _level(self, address: str) -> float:
        used, at = self._levels.get(address, (0.0, 0.0))
        return max(0.0, used - (time.monotonic() - at) * self._a_second)
