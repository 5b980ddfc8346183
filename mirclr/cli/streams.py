"""Standard output and error, to which any text can be written: whatever their encoding lacks, whoever reads them."""

import codecs
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

_ASCII = str.maketrans(
    {"–": "-", "—": "-", "…": "...", "·": "-", "×": "x", "±": "+-", "→": "->", "≥": ">=", "≤": "<=", "’": "'", "‘": "'"}
    | {"“": '"', "”": '"', "─": "-", "━": "-", "═": "=", "│": "|", "┃": "|", "█": "#", "•": "*", "\u00a0": " "}
)
"""How signs are written where an encoding lacks them; anything else becomes '?'."""


class ReaderLeft(BaseException):
    """Nobody reads what is printed any more. Not an error, so that nothing takes it for one."""


@contextmanager
def printing() -> Iterator[None]:
    r"""Print to standard output and error whatever they can take.

    What an encoding lacks is written in ASCII where there is a form of it, as '-' for a dash; else it becomes '?' in
    output and ``\u…`` in errors.

    Raises
    ------
    ReaderLeft
        From any print, once the other end is closed.
    OSError
        Where what is printed cannot be written, such as into a file on a full disk; it names the stream.
    """
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (
        stream and _Stream(stream, name, errors)
        for stream, name, errors in zip(
            streams, ("standard output", "standard error"), ("mirclr.shown", "mirclr.escaped"), strict=True
        )
    )
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


def _in_ascii(error: UnicodeError) -> tuple[str | bytes, int]:
    """Signs that an encoding lacks, in ASCII; a handler of `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    forms = error.object[error.start : error.end].translate(_ASCII)
    return "".join(c if c.isascii() else "?" for c in forms), error.end


def _escaped_or_in_ascii(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    forms = error.object[error.start : error.end].translate(_ASCII)
    return forms.encode("ascii", "backslashreplace").decode("ascii"), error.end


codecs.register_error("mirclr.shown", _in_ascii)
codecs.register_error("mirclr.escaped", _escaped_or_in_ascii)


class _Stream:
    """A text stream that any text can be written to."""

    def __init__(self, stream: IO[str], name: str, errors: str) -> None:
        self._stream, self._name = stream, name
        self.last = ""  # two signs that were written
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=errors)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self.last = (self.last + text)[-2:]
        return self._try(self._stream.write, text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, do: Any, *arguments: str) -> Any:
        try:
            return do(*arguments)
        except OSError as error:
            with suppress(OSError, ValueError):  # what is held back would fail again when the process ends
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)
            if error.errno == errno.EPIPE or (error.errno == errno.EINVAL and os.name == "nt"):
                raise ReaderLeft from None
            raise OSError(error.errno, error.strerror, self._name) from error
