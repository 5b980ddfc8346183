"""Who asks: a user's name and a password or a token of it, or a key; the password, and the key, is the service's token.

Where the service has no token, as on this machine alone, every name is let in; but then no page of another site may
ask: a player's requests change things by GET, and a browser would send them for whatever page it shows.
"""

import hashlib
import hmac
from urllib.parse import urlsplit

from fastapi import Request

from mirclr.errors import QueryError
from mirclr.recommend.listening import PROFILE, check_name
from mirclr.serve.sessions import Sessions
from mirclr.serve.settings import ServeSettings
from mirclr.serve.subsonic.protocol import (
    CONFLICTING,
    MISSING,
    NOT_ALLOWED,
    WRONG_KEY,
    WRONG_PASSWORD,
    Failure,
    Parameters,
)

_ENCODED = "enc:"


def listener_of(request: Request, given: Parameters, settings: ServeSettings, sessions: Sessions) -> str:
    """The listener who asks.

    Raises
    ------
    Failure
        Who asks is not known, or not let in.
    Problem
        An address was wrong too often.
    """
    if settings.token is None:
        _check_site(request)
    address = request.client.host if request.client else ""
    if settings.token is not None:
        sessions.check_guesses(address)
    try:
        return _listener(given, settings.token)
    except Failure as failure:
        if failure.code in (WRONG_PASSWORD, WRONG_KEY):
            sessions.count_wrong(address)
        raise


def _listener(given: Parameters, token: str | None) -> str:
    if "apiKey" in given:
        if any(name in given for name in ("u", "p", "t", "s")):
            raise Failure(CONFLICTING, "Multiple conflicting authentication mechanisms provided")
        if not _is_equal(given.text("apiKey"), token):
            raise Failure(WRONG_KEY, "Invalid API key")
        return PROFILE
    name = given.needed("u")
    if "t" in given and "p" in given:
        raise Failure(CONFLICTING, "Multiple conflicting authentication mechanisms provided")
    if "t" in given:
        right = _is_equal(given.text("t").lower(), token and _salted(token, given.needed("s")))
    elif token is not None and "p" not in given:
        raise Failure(MISSING, "Required parameter is missing: t and s, or p, or apiKey")
    else:
        right = _is_equal(_password(given.text("p")), token)
    if not right:
        raise Failure(WRONG_PASSWORD, "Wrong username or password; the password is the token of mirclr serve")
    try:
        return check_name(name)
    except QueryError as error:
        raise Failure(WRONG_PASSWORD, str(error)) from None


def _salted(token: str, salt: str) -> str:
    return hashlib.md5(
        (token + salt).encode("utf-8", "replace"), usedforsecurity=False
    ).hexdigest()  # as the API has it


def _password(text: str) -> str:
    """A password as it is, or in hexadecimal digits."""
    if not text.startswith(_ENCODED):
        return text
    try:
        return bytes.fromhex(text.removeprefix(_ENCODED)).decode("utf-8", "replace")
    except ValueError:
        return text


def _is_equal(text: str, secret: str | None) -> bool:
    """Whether a text is the secret, in constant time; whatever it is where there is none."""
    return secret is None or hmac.compare_digest(text.encode("utf-8", "replace"), secret.encode("utf-8", "replace"))


def _check_site(request: Request) -> None:
    origin = request.headers.get("origin")
    own = origin is None or urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    if not own or request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise Failure(NOT_ALLOWED, "asked by a page of another site; begin with: mirclr serve --token …")
