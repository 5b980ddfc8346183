"""Listens of other players, sent as they send them to ListenBrainz: its ``submit-listens`` at ``/1``.

Players name the service's address and a token. The token is the service's; before it may stand a listener's name and a
colon, ``anna:TOKEN``: that profile then gets the listens. Where the service needs no token, any is the listener's name.
https://listenbrainz.readthedocs.io/en/latest/users/api/core.html
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Header
from pydantic import BaseModel

from mirclr.api import Library
from mirclr.errors import QueryError, in_words
from mirclr.recommend.listening import PROFILE, check_name, record_submission
from mirclr.serve.guard import WRITES
from mirclr.serve.problems import Problem
from mirclr.serve.service import TheService

router = APIRouter(prefix="/1", tags=["listenbrainz"])

Authorization = Annotated[str, Header(max_length=1000)]


class Accepted(BaseModel):
    """That listens were kept."""

    status: Literal["ok"] = "ok"


class Validity(BaseModel):
    """Whether a token is one, and whose."""

    code: int
    message: str
    valid: bool
    user_name: str | None = None


@router.post("/submit-listens", dependencies=[WRITES])
async def submit(
    service: TheService, submitted: Annotated[dict[str, Any], Body()], authorization: Authorization = ""
) -> Accepted:
    """Keep listens in the profile of who sends them."""
    try:
        await service.call(_submit, listener(authorization, service.settings.token), submitted)
    except QueryError as error:
        raise Problem(400, in_words(error), code=400, error=in_words(error)) from error
    return Accepted()


def _submit(library: Library, profile: str, submitted: dict[str, Any]) -> None:
    if profile not in library.profiles():
        check_name(profile)
    record_submission(library, profile, submitted)


@router.get("/validate-token")
async def validate(service: TheService, authorization: Authorization = "") -> Validity:
    """Whose profile a token is for; that it is one was looked at before."""
    name = listener(authorization, service.settings.token)
    return Validity(code=200, message="Token valid.", valid=True, user_name=name)


def listener(authorization: str, token: str | None) -> str:
    """The listener that a header names: what stands before the service's token, or all of it where none is needed."""
    given = authorization.partition(" ")[2].strip()
    name = given if token is None else given.removesuffix(token).removesuffix(":")
    return name.strip() or PROFILE
