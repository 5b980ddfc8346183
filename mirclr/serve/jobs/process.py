"""What runs in the process of a job: its function, which reports how far it is."""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from mirclr.errors import MirclrError, NoMatch, in_words, is_fault_of_machine
from mirclr.processes import give_way

Message = tuple[Any, ...]
"""What a process tells: ("begin", label, total), ("advance", steps, note), ("remark", text), ("done", result), or
("failed", line, traceback)."""
_EVERY_S = 0.2


class Advance(Protocol):
    """Reports `steps` more, with a word on how it goes."""

    def __call__(self, steps: int = 1, note: str = "") -> None:
        """Advance by `steps`."""


class Report:
    """How a job reports, a few times a second at most.

    Parameters
    ----------
    tell : callable
        Sends a `Message` to the service.
    """

    def __init__(self, tell: Callable[[Message], object]) -> None:
        self._tell = tell

    def begin(self, label: str, total: int | None = None) -> Advance:
        """Report that something is done from now on, in so many steps; None: unknown."""
        self._tell(("begin", label, total))
        done = held = 0
        told_at = 0.0

        def advance(steps: int = 1, note: str = "") -> None:
            nonlocal done, held, told_at
            done, held, now = done + steps, held + steps, time.monotonic()
            if now - told_at >= _EVERY_S or done == total:
                self._tell(("advance", held, note))
                held, told_at = 0, now

        return advance

    @contextmanager
    def progress(self, label: str, total: int | None) -> Iterator[Advance]:
        """The same, as a context manager, which is how the functions of other packages take it."""
        yield self.begin(label, total)

    def remark(self, text: str) -> None:
        """Report a line for people."""
        self._tell(("remark", text))


def run(tell: Callable[[Message], object], kind: str, library: Path, options: Mapping[str, Any]) -> None:
    """Do a job, and tell how it goes and what comes of it."""
    from mirclr.serve.jobs.kinds import KINDS

    give_way()
    try:
        tell(("done", KINDS[kind](library, options, Report(tell))))
    except Exception as error:
        first = error.args[0] if isinstance(error, NoMatch) and error.args else in_words(error)
        if isinstance(error, MirclrError | OSError) or is_fault_of_machine(error):
            tell(("failed", str(first), ""))
        else:
            tell(("failed", "something went wrong in mirclr itself; its log says what", traceback.format_exc()))
