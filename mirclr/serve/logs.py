"""What the service logs, on standard error: lines for people, or JSON for machines; never what follows a ``?``.

Contents: `log_to`, once at the beginning; `REQUESTS`, the log of all requests.
"""

import json
import logging
import time
from asyncio import CancelledError
from typing import IO, Any, Literal

from mirclr.terminal import one_line

REQUESTS = logging.getLogger("mirclr.serve.requests")
"""A line a request; read by machines, and by people who ask for more."""
_OURS, _UVICORN = "mirclr.serve", "uvicorn"


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record is more than the trace of what was broken off when the service was ended."""
    return not (record.exc_info and isinstance(record.exc_info[1], CancelledError))


class _Text(logging.Formatter):
    """A line: the time, and what happened; below it the trace of a fault of ours."""

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{at} {one_line(record.getMessage())}{trace}"


class _Json(logging.Formatter):
    """A line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line: dict[str, Any] = {"time": at, "level": record.levelname.lower(), "message": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_to(stream: IO[str], how: Literal["text", "json"], *, level: int = logging.INFO, requests: bool = False) -> None:
    """Log from now on.

    Parameters
    ----------
    stream : file
        Where to.
    how : {"text", "json"}
        Lines for people, or for machines.
    level : int
        Of `logging`: what is less is left out.
    requests : bool
        Whether each request is logged too.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Json() if how == "json" else _Text())
    handler.addFilter(_is_news)
    for name, least in ((_OURS, level), (_UVICORN, logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(least)
    REQUESTS.setLevel(logging.INFO if requests else logging.WARNING)


def log_request(client: str, method: str, path: str, status: int, seconds: float) -> None:
    """Log a request that was answered, without what follows a ``?``, as that may be a password."""
    if REQUESTS.isEnabledFor(logging.INFO):
        fields = {"client": client, "method": method, "path": path, "status": status, "ms": round(1000 * seconds, 1)}
        text = f"{client} {method} {path} {status} {fields['ms']} ms"
        REQUESTS.info("%s", text, extra={"fields": fields})
