"""The session of a browser: whether it needs the token, and a cookie for it."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from mirclr.serve.service import TheService
from mirclr.serve.sessions import SESSION_S, TheSessions
from mirclr.version import __version__

router = APIRouter(tags=["session"])


class Session(BaseModel):
    """Whether who asks is let in, and what it may do."""

    needed: bool = Field(description="Whether a token is needed here.")
    open: bool = Field(description="Whether this client need not say it any more.")
    read_only: bool
    version: str


class Token(BaseModel):
    """What `mirclr serve` showed when it began."""

    token: str = Field(max_length=1000)


@router.get("/session")
async def session(request: Request, service: TheService, sessions: TheSessions) -> Session:
    """Whether a token is needed, and was given."""
    is_open = not sessions.needed or sessions.has_session(request.headers)
    return Session(needed=sessions.needed, open=is_open, read_only=service.settings.read_only, version=__version__)


@router.post("/session")
async def begin_session(
    request: Request, response: Response, given: Token, service: TheService, sessions: TheSessions
) -> Session:
    """Say the token; the answer's cookie stands for it from now on."""
    if sessions.needed:
        sessions.check_token(request.client.host if request.client else "", given.token)
        response.set_cookie(
            sessions.cookie,
            sessions.new(),
            max_age=SESSION_S,
            path="/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
    return Session(needed=sessions.needed, open=True, read_only=service.settings.read_only, version=__version__)


@router.delete("/session", status_code=204)
async def end_session(response: Response, sessions: TheSessions) -> None:
    """Forget the session of this browser."""
    response.delete_cookie(sessions.cookie, path="/", httponly=True, samesite="strict")
