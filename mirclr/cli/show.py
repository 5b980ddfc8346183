"""How commands print: tables and JSON on standard output, progress and remarks on standard error.

What is printed goes through here, so that names and tags cannot steer a terminal, an encoding that lacks their letters
ends no command, and a reader that leaves (``mirclr … | head``) ends one quietly.
"""

import errno
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any, Protocol

from mirclr.terminal import one_line, shown


class Advance(Protocol):
    """Moves a progress display on by `steps`, with a word on the present state."""

    def __call__(self, steps: int = 1, note: str = "") -> None:
        """Advance by `steps`."""


class ReaderLeft(BaseException):
    """Nobody reads what is printed any more. Not an error, so that nothing takes it for one."""


@contextmanager
def printing() -> Iterator[None]:
    r"""Print to standard output and error whatever they can take.

    What an encoding lacks becomes '?' in output and ``\u…`` in errors.

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
            streams, ("standard output", "standard error"), ("replace", "backslashreplace"), strict=True
        )
    )
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


class _Stream:
    """A text stream that any text can be written to."""

    def __init__(self, stream: IO[str], name: str, errors: str) -> None:
        self._stream, self._name = stream, name
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=errors)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
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


def print_line(*cells: str) -> None:
    """Print one line to standard output, with tabs between the cells."""
    _write(sys.stdout, "\t".join(shown(cell) for cell in cells))


class _Level:
    """How much is said: by `speak`."""

    quiet = False
    verbose = False


def speak(*, quiet: bool = False, verbose: bool = False) -> None:
    """Say less from now on (no progress, no remarks), or more (details): ``--quiet`` and ``--verbose``."""
    _Level.quiet, _Level.verbose = quiet, verbose


def remark(text: str) -> None:
    """Print a line for the person at the terminal, on standard error; nothing under ``--quiet``."""
    if not _Level.quiet:
        complain(text)


def detail(text: str) -> None:
    """Print a line on standard error for who asks for more, by ``--verbose``."""
    if _Level.verbose:
        complain(text)


def complain(text: str) -> None:
    """Print a line on standard error that is said in any case: what could not be done, and what to do."""
    _write(sys.stderr, one_line(text))


def closing(text: str) -> None:
    """Print a line on standard output that says what a command has done; nothing under ``--quiet``."""
    if not _Level.quiet:
        print_line(text)


def _write(stream: IO[str] | None, text: str) -> None:
    if stream is not None:  # None where the caller closed it
        stream.write(f"{text}\n")
        stream.flush()


def print_json(value: Any, *, indent: int | None = 2) -> None:
    r"""Print a JSON value, letters as they are where the output is UTF-8. NaN is not JSON: it raises.

    What a terminal would obey is escaped, and so are bytes of a name that are no UTF-8, as the surrogates ``\udc80`` to
    ``\udcff``: JSON that reads back as the very name (in Python by `os.fsencode`).
    """
    utf8 = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") in ("utf8", "utf8sig")
    text = json.dumps(value, indent=indent, ensure_ascii=not utf8, allow_nan=False)
    _write(sys.stdout, re.sub(r"[^\n -~]", _escaped, text))


def _escaped(found: re.Match[str]) -> str:
    sign = found[0]
    return sign if shown(sign) == sign else json.dumps(sign)[1:-1]


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str = "") -> None:
    """Print a table to standard output; numbers right-aligned, floats with three decimals, None as a dash.

    Piped into another program it stays plain text, one row a line.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heading = Text(shown(title)) if title else None
    table = Table(title=heading, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for i, name in enumerate(columns):
        numeric = all(isinstance(row[i], int | float) or row[i] is None for row in rows)
        table.add_column(Text(shown(name)), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    console = Console(width=None if _is_terminal(sys.stdout) else 140)
    console.print(table)


def _is_terminal(stream: IO[str] | None) -> bool:
    return stream is not None and stream.isatty()  # None where the caller closed it


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else shown(str(value))


def failures_as_json(failures: Iterable[tuple[object, str]]) -> list[dict[str, str]]:
    """Files and what is wrong with them, as a JSON value."""
    return [{"file": str(file), "reason": reason} for file, reason in failures]


def naming(file: str, reason: str) -> str:
    """What is wrong with a file, with its name."""
    return reason if reason.startswith(file) else f"{file}: {reason}"


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Advance]:
    """Show progress on standard error: a bar on a terminal, a line every 15 s elsewhere; nothing under ``--quiet``.

    Parameters
    ----------
    label : str
        What is being done.
    total : int or None
        How many steps there are; None when unknown.
    """
    if _is_terminal(sys.stderr) and not _Level.quiet:
        with _bar(label, total) as advance:
            yield advance
    else:
        yield _lines(label, total)


@contextmanager
def _bar(label: str, total: int | None) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total, note="")

        def advance(steps: int = 1, note: str = "") -> None:
            bar.update(task, advance=steps, note=shown(note))

        yield advance


def _lines(label: str, total: int | None) -> Advance:
    done, shown_at = 0, time.monotonic()

    def advance(steps: int = 1, note: str = "") -> None:
        nonlocal done, shown_at
        done += steps
        if time.monotonic() - shown_at >= 15 or done == total:
            shown_at = time.monotonic()
            remark(f"{label}: {done}{f'/{total}' if total is not None else ''} {note}".rstrip())

    return advance
