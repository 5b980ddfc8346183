"""Errors as problem documents: their status, and the line of the command line."""

import errno
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from mirclr import errors
from mirclr.serve.problems import Problem, problem_of, problem_response
from tests.commands import exits


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NoMatch("no song"), 404),
        (errors.LibraryNotFound("x.db: no such library"), 404),
        (errors.UnreachableAudio("x.mp3: gone"), 404),
        (errors.UnusableAudio("x.mp3: silent"), 422),
        (errors.QueryError("n: found 0"), 422),
        (errors.MissingExtra.of("this", "x"), 501),
        (errors.LibraryBusy("x.db: busy"), 503),
        (FileNotFoundError(errno.ENOENT, "No such file", "x"), 404),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 503),
        (OSError(errno.ENOSPC, "No space left", "x"), 507),
        (MemoryError(), 507),
        (ZeroDivisionError("secret of the code"), 500),
    ],
)
def test_errors_have_a_status(error, status):
    problem = problem_of(error)
    assert problem.status == status
    assert "secret of the code" not in problem.detail


def test_a_problem_is_the_line_of_the_command(client: TestClient, library_path: Path, capsys):
    for asked, typed in (
        ({"seeds": ["nothing of this name"]}, ["nothing of this name"]),
        ({"seeds": ["Enter the Yard"], "year": "never"}, ["Enter the Yard", "--year", "never"]),
        ({"seeds": ["Enter the Yrad"]}, ["Enter the Yrad"]),
    ):
        answer = client.post("/api/v1/recommend", json=asked)
        _, _, err = exits(capsys, "recommend", *typed, "--library", library_path)
        first, *more = err.splitlines()
        told = answer.json()
        assert told["detail"] in (first.removeprefix("mirclr: "), first.removeprefix("mirclr: --year: ")) or (
            told["detail"].split(": ", 1)[1] in first
        )
        assert [line.strip() for line in more][: len(told.get("meant", []))] == told.get("meant", [])
        assert told["status"] == answer.status_code


def test_a_problem_is_one_line_that_can_be_shown():
    body = problem_response(Problem(422, "a\nb\x1b[31m", more=1)).body
    assert b"a b\xef\xbf\xbd[31m" in body
