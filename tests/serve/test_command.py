"""`mirclr serve` as a process: its lines, its logs, its end; ports that are taken; the description of its routes."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from mirclr.library import LibraryStore
from mirclr.serve import running
from mirclr.serve.logs import log_to
from tests.commands import exits
from tests.serve.live import serving

SECRET = "secret-of-a-player"


@pytest.mark.skipif(os.name == "nt", reason="a process there is asked to end in another way")
@pytest.mark.parametrize("how", ["SIGTERM", "SIGHUP"])
def test_it_says_where_it_is_logs_without_secrets_and_ends_in_peace(library_path: Path, how: str):
    command = [sys.executable, "-m", "mirclr", "serve", "--library", str(library_path), "--port", "0"]
    command += ["--log", "json", "--allow-host", "music.example"]
    # these tests may run under nohup, which a process that is begun there outlives too
    usual = {"preexec_fn": lambda: signal.signal(getattr(signal, how), signal.SIG_DFL)}
    with ExitStack() as stack:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = stack.enter_context(subprocess.Popen(command, **pipes, **usual, text=True))
        stack.callback(process.kill)
        address, public = process.stdout.readline().strip(), process.stdout.readline().strip()
        assert public == "https://music.example/"
        said = process.stderr.readline(), process.stderr.readline()
        token = said[0].removeprefix("token: ").strip()
        assert len(token) >= 24
        assert said[1].strip().endswith(f"#token={token}")
        bearer = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{address}api/v1/jobs", headers=bearer).json() == []
        assert httpx.get(f"{address}api/v1/jobs", params={"p": SECRET}).status_code == 401
        httpx.get(f"{address}rest/ping.view", params={"p": SECRET, "u": "x"})
        process.send_signal(getattr(signal, how))
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert SECRET not in log
    assert token not in log
    lines = [json.loads(line) for line in log.splitlines()]
    assert ("/api/v1/jobs", 200) in [(line.get("path"), line.get("status")) for line in lines]


def test_a_port_that_is_taken_is_a_line(library_path: Path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = exits(capsys, "serve", "--library", library_path, "--port", port)
    assert (code, out) == (1, "")
    assert err.startswith(f"mirclr: port {port} is taken")


@pytest.mark.parametrize(
    "name", ["", "https://music.example", "music.example:8443", "music.example/path", "a b", "a@b"]
)
def test_a_name_by_which_nobody_can_ask_is_refused(library_path: Path, capsys, name):
    code, out, err = exits(capsys, "serve", "--library", library_path, "--allow-host", name)
    assert (code, out) == (2, "")
    assert "expected a name alone, such as music.example.org" in err


@pytest.mark.parametrize(
    ("host", "words"), [("203.0.113.7", "no address of this machine"), ("no such host.", "no address of this name")]
)
def test_a_host_that_cannot_be_is_a_line(library_path: Path, capsys, host, words):
    code, _, err = exits(capsys, "serve", "--library", library_path, "--port", "0", "--host", host)
    assert (code, words in err) == (1, True)


@pytest.mark.parametrize("token", ["short", "with spaces in it", "with-ümlauts", ""])
def test_a_token_that_cannot_be_is_wrong_usage(library_path: Path, capsys, token):
    code, _, err = exits(capsys, "serve", "--library", library_path, "--token", token)
    assert (code, "--token" in err) == (2, True)


def test_without_a_library_nothing_is_made_that_may_not_be_written(tmp_path: Path, capsys):
    code, _, err = exits(capsys, "serve", "--library", tmp_path / "none.db", "--read-only", "--port", "0")
    assert (code, "none.db" in err) == (1, True)
    assert not list(tmp_path.iterdir())


def test_a_library_without_songs_is_told_of(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(running, "serve", lambda settings, ready: ready(["http://127.0.0.1:8338/"]))
    LibraryStore.open(tmp_path / "new.db", create=True).close()
    code, out, err = exits(capsys, "serve", "--library", tmp_path / "new.db")
    assert (code, out) == (0, "http://127.0.0.1:8338/\n")
    assert "mirclr embed FOLDER" in err


def test_addresses_are_those_by_which_it_is_reached(monkeypatch):
    monkeypatch.setattr(running, "_address_in_network", lambda: ["192.0.2.7"])
    with running.bind("0.0.0.0", 0) as sock:
        port = sock.getsockname()[1]
        assert running.addresses(sock) == [f"http://127.0.0.1:{port}/", f"http://192.0.2.7:{port}/"]
    with running.bind("localhost", 0) as sock:
        assert re.fullmatch(r"http://(127\.0\.0\.1|\[::1\]):\d+/", running.addresses(sock)[0])


def test_whose_request_does_not_come_is_let_go(library_path: Path, monkeypatch):
    monkeypatch.setattr(running, "_HEADERS_S", 0.2)
    with serving(library_path) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        for begun in (b"", b"GET / HTTP/1.1\r\nHost: 127"):
            with socket.create_connection((host, int(port)), timeout=20) as slow:
                slow.sendall(begun)
                began = time.monotonic()
                with pytest.raises(ConnectionError) if os.name == "nt" else _either():
                    assert slow.recv(1) == b""
                assert time.monotonic() - began < 15


class _either:
    """An end of a connection, in whatever way it comes."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, *_) -> bool:
        return kind is not None and issubclass(kind, ConnectionError)


def test_a_body_that_does_not_come_is_a_problem(library_path: Path):
    from mirclr.serve.settings import Limits

    with serving(library_path, limits=Limits(body_s=0.2)) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as slow:
            slow.sendall(f"POST /api/v1/recommend HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n\r\n{{".encode())
            assert b" 408 " in slow.recv(1000)


def test_a_log_for_people_is_of_lines_that_steer_no_terminal(capsys):
    import logging

    log_to(sys.stderr, "text")
    logging.getLogger("mirclr.serve").warning("a path \x1b[31m of\nlines")
    assert re.fullmatch(r"\d\d:\d\d:\d\d a path �\[31m of lines\n", capsys.readouterr().err)


def test_the_description_names_every_route_and_runs_nothing(client: TestClient):
    page = client.get("/docs").text
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        assert f"<code>{path}</code>" in page
        for method, route in methods.items():
            assert route.get("description"), f"{method} {path} has no docstring"
    assert "<script" not in page
    assert "style=" not in page
    assert "http://" not in page.replace("http://127.0.0.1:8338", "")
    assert "https://" not in page


def test_figures_are_of_routes_and_not_of_what_was_asked(client: TestClient):
    client.get("/api/v1/tracks/123456")
    client.get("/nothing-of-this-name")
    figures = client.get("/metrics").text
    assert 'mirclr_requests_total{method="GET",route="/api/v1/tracks/{track_id}",status="404"} 1.0' in figures
    assert "123456" not in figures
    assert "nothing-of-this-name" not in figures
    assert client.get("/healthz").json()["status"] == "ok"
