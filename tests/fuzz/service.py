"""What a stranger may send to the service, made from its own description: no answer may be a fault of ours.

In the suite a few of each route (tests/serve/test_openapi.py), by ``make fuzz-serve`` hundreds. Each is a function of
the seed.
"""

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.errors import SerializationNotPossible
from starlette.testclient import TestClient

from mirclr.serve.app import create_app
from mirclr.serve.jobs import Jobs
from mirclr.serve.settings import Limits, ServeSettings

ENDLESS = ("/api/v1/events",)
SLOW = ("/api/v1/classify",)  # whose bodies are taken for audio, in processes that have to begin
BODIES = (b"", b"{", b"\xff\xfe\x00", b"[" * 20_000, b'{"a":' * 20_000, b"null", b"1e999", b'"\\ud800"', b"x" * 70_000)
AS_DESCRIBED, OTHERWISE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE


def asked(
    app: FastAPI,
    count: int,
    number: int,
    modes: Sequence[GenerationMode] = (AS_DESCRIBED, OTHERWISE),
    without: Sequence[str] = ENDLESS,
) -> Iterator[tuple[str, Counter[int], list[str]]]:
    """Ask each route `count` times as its description has it, as often otherwise, and with what is nothing at all.

    Yields
    ------
    route, answers, faults
        How often each status came, and what was asked where it, or the form of the answer, is a fault of ours.
    """
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        document = client.get("/openapi.json").json()
        for result in schemathesis.openapi.from_dict(document).get_all_operations():
            operation = result.ok()
            if operation.path in without:
                continue
            answers: Counter[int] = Counter()
            faults: list[str] = []
            for request in _requests(operation, count, number, modes):
                answer = client.request(**request)
                answers[answer.status_code] += 1
                if what := _fault(operation, answer):
                    faults.append(f"{what}: {request} -> {answer.status_code} {answer.text[:300]}")
            yield operation.label, answers, faults


def _requests(operation: Any, count: int, number: int, modes: Sequence[GenerationMode]) -> Iterator[dict[str, Any]]:
    """What is to be sent: as described, otherwise, and bodies that are nothing at all."""
    for mode in modes:
        for case in _drawn(operation.as_strategy(generation_mode=mode), count, number):
            yield _as_sent(case.as_transport_kwargs(base_url="http://localhost"))
    if operation.body:
        url = f"http://localhost{operation.path}".replace("{name}", "x")
        for body in BODIES[:1] if operation.path in SLOW else BODIES:
            headers = {"Content-Type": "application/json"}
            yield {"method": operation.method, "url": url, "content": body, "headers": headers}


def _drawn(strategy: Any, count: int, number: int) -> list[Any]:
    """Some of what a strategy makes; nothing of one that can make nothing."""
    made: list[Any] = []

    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def make(case: Any) -> None:
        made.append(case)

    with suppress(Unsatisfiable, SerializationNotPossible):  # a route without parameters has no other; audio is no text
        make()
    return made


def _as_sent(arguments: dict[str, Any]) -> dict[str, Any]:
    sent = {name: arguments[name] for name in ("method", "url", "headers", "params", "json") if name in arguments}
    if isinstance(data := arguments.get("data"), bytes):
        sent["content"] = data
    elif data is not None:
        sent["data"] = data
    return sent


def _fault(operation: Any, answer: httpx.Response) -> str:
    """What is a fault of ours in an answer; empty where nothing is."""
    if answer.status_code >= 500:
        return "a fault of the service"
    players = operation.path.startswith("/rest/")  # whose errors are documents of their own
    kind = answer.headers.get("content-type", "")
    if answer.status_code >= 400 and not players and kind != "application/problem+json":
        return f"a problem as {kind}"
    return "" if answer.headers.get("x-content-type-options") == "nosniff" else "headers are missing"


def app_for(library: Path) -> FastAPI:
    """A service that is asked a lot."""
    return create_app(ServeSettings(library, limits=Limits(requests_a_second=1e9, jobs=10**9)))


def no_jobs() -> Any:
    """Let no job begin: what is asked is what counts."""
    return mock.patch.object(Jobs, "_begin_next")


def main() -> int:
    """Read the arguments, ask, print what was answered; 1 where anything was a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.service")
    parser.add_argument("library", type=Path, help="of which a copy is asked")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder, no_jobs():
        for file in options.library.parent.glob(f"{options.library.name}*"):
            shutil.copy(file, folder)
        for route, answers, faults in asked(app_for(Path(folder, options.library.name)), options.count, options.seed):
            print(route, dict(sorted(answers.items())), *faults[:3], sep="\n  ", flush=True)
            failed += len(faults)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
