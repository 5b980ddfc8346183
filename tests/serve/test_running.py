"""The socket of a service."""

import asyncio
import io
import logging
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from mirclr.library import LibraryStore
from mirclr.serve.logs import log_to
from mirclr.serve.running import bind
from tests.serve.live import serving


def test_small_answers_are_sent_at_once() -> None:
    async def option() -> int:
        asked = asyncio.get_running_loop().create_future()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with bind("127.0.0.1", 0) as sock:
            address = sock.getsockname()
            async with await asyncio.start_server(answer, sock=sock):
                _, writer = await asyncio.open_connection(*address)
                writer.close()
                return await asked

    assert asyncio.run(option())


def test_what_is_broken_off_at_the_end_is_no_trace_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mirclr.serve.running._STOP_S", 0.2)
    LibraryStore.open(tmp_path / "lib.db", create=True).close()
    for name in ("mirclr.serve", "uvicorn"):  # which are as before, after this
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    log = io.StringIO()
    log_to(log, "text")
    with serving(tmp_path / "lib.db") as address:
        where = urlsplit(address)
        half = socket.create_connection((where.hostname or "", where.port or 0))
        head = f"POST /api/v1/counts HTTP/1.1\r\nHost: {where.netloc}\r\nUpgrade: h2c\r\nConnection: upgrade\r\n"
        half.sendall(f"{head}Expect: 100-continue\r\nContent-Length: 99\r\n\r\n".encode())
        assert half.recv(100).startswith(b"HTTP/1.1 100")  # it waits for the body
    half.close()
    assert "running task" in log.getvalue()
    assert "Traceback" not in log.getvalue()
    assert "install" not in log.getvalue()


def test_no_request_takes_a_thread_before_it_is_looked_at(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain function that finds something out of requests would be called in one, at each request."""

    async def refuses(*_: object, **__: object) -> None:
        raise AssertionError("called in a thread")

    monkeypatch.setattr("anyio.to_thread.run_sync", refuses)
    for path in ("search?q=a", "tracks?genre=Jazz", "tracks/1", "jobs", "session", "blocks", "playlists"):
        assert client.get(f"/api/v1/{path}").status_code in (200, 422), path
    assert client.post("/api/v1/recommend", json={"seeds": [1]}).status_code == 200
    assert client.post("/api/v1/blocks", json={"rule": "artist:Nobody"}).status_code == 201
