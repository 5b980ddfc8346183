"""How commands speak: tables and JSON on standard output, progress and remarks on standard error."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, Protocol

import click


class Advance(Protocol):
    """Tell a progress display that `steps` more are done, with a word on the present state."""

    def __call__(self, steps: int = 1, note: str = "") -> None:
        """Advance by `steps`."""


def remark(text: str) -> None:
    """Print a line for the person at the terminal, on standard error."""
    click.echo(text, err=True)


def print_json(value: Any) -> None:
    """Print a JSON value, indented, Unicode kept. NaN is not JSON: it raises."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str = "") -> None:
    """Print a table to standard output; numbers right-aligned, floats with three decimals, None as a dash.

    Piped into another program it stays plain text, one row a line.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for i, name in enumerate(columns):
        numeric = all(isinstance(row[i], int | float) or row[i] is None for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    console = Console(width=None if _is_terminal(sys.stdout) else 140)
    console.print(table)


def _is_terminal(stream: IO[str] | None) -> bool:
    return stream is not None and stream.isatty()  # None where the caller closed it


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Advance]:
    """Show progress on standard error: a bar on a terminal, a line every 15 s elsewhere.

    Parameters
    ----------
    label : str
        What is being done.
    total : int or None
        How many steps there are; None when unknown.
    """
    if _is_terminal(sys.stderr):
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
            bar.update(task, advance=steps, note=note)

        yield advance


def _lines(label: str, total: int | None) -> Advance:
    done, said = 0, time.monotonic()

    def advance(steps: int = 1, note: str = "") -> None:
        nonlocal done, said
        done += steps
        if time.monotonic() - said >= 15 or done == total:
            said = time.monotonic()
            remark(f"{label}: {done}{f'/{total}' if total is not None else ''} {note}".rstrip())

    return advance
