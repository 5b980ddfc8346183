"""Errors as problem documents (RFC 9457), with the line that the command line would print.

Contents: `Problem`, raised by what refuses a request; `install`, which makes an application answer all errors so;
`DESCRIBED`, how they stand in the OpenAPI document.
"""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from mirclr.errors import (
    LibraryBusy,
    LibraryNotFound,
    MirclrError,
    MissingExtra,
    NoMatch,
    UnreachableAudio,
    in_words,
    is_fault_of_machine,
)
from mirclr.terminal import one_line, shown

MEDIA_TYPE = "application/problem+json"


class ProblemDocument(BaseModel):
    """Why a request is refused; `detail` is the line that the command line would print."""

    type: str
    title: str
    status: int
    detail: str


DESCRIBED: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What cannot be done, and why.",
        "content": {MEDIA_TYPE: {"schema": ProblemDocument.model_json_schema()}},
    }
}
"""How all routes describe their problems."""


class Problem(Exception):
    """A request that is refused.

    Parameters
    ----------
    status : int
        Of HTTP.
    detail : str
        One line for people.
    **more
        Members of the document beside.
    """

    def __init__(self, status: int, detail: str, *, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.more = status, detail, headers, more


def problem_response(problem: Problem) -> JSONResponse:
    """The document of a problem."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": one_line(problem.detail),
        **problem.more,
    }
    return JSONResponse(document, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    """What an error is to a client."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        headers = dict(error.headers) if error.headers else None
        return Problem(error.status_code, str(error.detail), headers=headers)
    if isinstance(error, NoMatch):
        first, *meant = error.args or ("not found",)
        more: dict[str, Any] = {"meant": [shown(str(one)) for one in meant]} if meant else {}
        return Problem(404, str(first), **more)
    if isinstance(error, MissingExtra):
        return Problem(501, str(error))
    if isinstance(error, LibraryBusy):
        return Problem(503, str(error), headers={"Retry-After": "5"})
    if isinstance(error, LibraryNotFound | UnreachableAudio | FileNotFoundError):
        return Problem(404, in_words(error))
    if is_fault_of_machine(error):
        return Problem(507, in_words(error))
    if isinstance(error, MirclrError):
        return Problem(_status_of(error.__cause__), in_words(error))
    if isinstance(error, OSError):
        return Problem(503, in_words(error))
    return Problem(500, "something went wrong in mirclr itself; the log of mirclr serve says what")


def _status_of(cause: BaseException | None) -> int:
    """The status of an error of ours: that of the request, unless the library's file or its disk is at fault."""
    name: str = getattr(cause, "sqlite_errorname", "")  # such as SQLITE_IOERR_READ
    return next((status for fault, status in _OF_FILE.items() if name.startswith(fault)), 422)


_OF_FILE = {
    "SQLITE_FULL": 507,
    "SQLITE_READONLY": 403,
    "SQLITE_IOERR": 503,
    "SQLITE_CANTOPEN": 503,
    "SQLITE_CORRUPT": 503,
    "SQLITE_NOTADB": 503,
}


def install(app: FastAPI) -> None:
    """Make an application answer errors as problem documents; what is none of ours is answered by the guard."""

    def answer(request: Request, error: Exception) -> JSONResponse:
        return problem_response(problem_of(error))

    def of_validation(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        wrong = [f"{'.'.join(map(str, e['loc'][1:])) or e['loc'][0]}: {e['msg']}" for e in error.errors()]
        return problem_response(Problem(422, "; ".join(wrong[:8])))

    for kind in (MirclrError, Problem, OSError, HTTPException):
        app.add_exception_handler(kind, answer)
    app.add_exception_handler(RequestValidationError, of_validation)
