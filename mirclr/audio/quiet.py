"""Decoders print on the terminal from C; here they do not."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mirclr import processes

_LOCK = threading.RLock()
_STDERR = 2


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing that is written to standard error by file descriptor, as C libraries do, is shown meanwhile."""
    if processes.SILENCED:  # a worker process, silent from its start
        yield
        return
    with _LOCK:
        try:
            kept = os.dup(_STDERR)
        except OSError:  # closed by whoever started us
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, _STDERR)
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
            os.close(nowhere)
