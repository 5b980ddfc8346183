"""Errors as problem documents: their status, and the line of the command line."""

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from mirclr import errors
from mirclr.library.schema import explained
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


@pytest.mark.parametrize(
    ("statements", "status"),
    [
        (["PRAGMA max_page_count = 2", "CREATE TABLE a (b)", "INSERT INTO a VALUES (zeroblob(100000))"], 507),
        (["PRAGMA query_only = ON", "CREATE TABLE a (b)"], 403),
        (["SELECT * FROM nothing"], 422),
    ],
)
def test_what_the_file_of_a_library_refuses_is_no_fault_of_the_request(tmp_path: Path, statements, status):
    *before, last = statements
    with closing(sqlite3.connect(tmp_path / "x.db")) as db:
        for statement in before:
            db.execute(statement)
        with pytest.raises(errors.LibraryError) as found, explained(tmp_path):
            db.execute(last)
    assert problem_of(found.value).status == status


def test_a_library_that_is_damaged_is_no_fault_of_the_request(tmp_path: Path):
    (tmp_path / "damaged.db").write_bytes(b"no database" * 1000)
    for path in (tmp_path / "damaged.db", tmp_path):
        with pytest.raises(errors.LibraryError) as found, explained(path), closing(sqlite3.connect(path)) as db:
            db.execute("SELECT * FROM sqlite_master")
        assert problem_of(found.value).status == 503


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
