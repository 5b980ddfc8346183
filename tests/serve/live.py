"""A service on loopback, for tests of what only a real connection shows."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mirclr.serve.running import addresses, bind, server_for
from mirclr.serve.settings import ServeSettings


@contextmanager
def serving(library: Path, **settings: Any) -> Iterator[str]:
    """Serve a library at a free port; the address, without a slash at its end."""
    asked = ServeSettings(library, port=0, **settings)
    with bind(asked.host, 0) as sock:
        server = server_for(replace(asked, port=sock.getsockname()[1]))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            yield addresses(sock)[0].rstrip("/")
        finally:
            server.should_exit = True
            thread.join()
