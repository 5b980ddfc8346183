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
"""What a process sends: ("begin", label, total), ("advance", steps, note), ("remark", text), ("done", result), or
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
    send : callable
        Sends a `Message` to the service.
    """

    def __init__(self, send: Callable[[Message], object]) -> None:
        self._send = send

    def begin(self, label: str, total: int | None = None) -> Advance:
        """Report that something is done from now on, in so many steps; None: unknown."""
        self._send(("begin", label, total))
        done = held = 0
        sent_at = 0.0

        def advance(steps: int = 1, note: str = "") -> None:
            nonlocal done, held, sent_at
            done, held, now = done + steps, held + steps, time.monotonic()
            if now - sent_at >= _EVERY_S or done == total:
                self._send(("advance", held, note))
                held, sent_at = 0, now

        return advance

    def counting(self, label: str) -> Callable[[int, int], None]:
        """The same, called as ``report(done, total)``: from its first call on it is known how many there are."""
        advance: Advance | None = None
        reached = 0

        def progress(done: int, total: int) -> None:
            nonlocal advance, reached
            advance = advance or self.begin(label, total)
            advance(done - reached)
            reached = done

        return progress

    @contextmanager
    def progress(self, label: str, total: int | None) -> Iterator[Advance]:
        """The same, as a context manager, which is how the functions of other packages take it."""
        yield self.begin(label, total)

    def remark(self, text: str) -> None:
        """Report a line for people."""
        self._send(("remark", text))


def run(send: Callable[[Message], object], kind: str, library: Path, options: Mapping[str, Any]) -> None:
    """Do a job, and report how it goes and what comes of it."""
    from mirclr.serve.jobs.kinds import KINDS

    give_way()
    try:
        send(("done", KINDS[kind](library, options, Report(send))))
    except Exception as error:
        first = error.args[0] if isinstance(error, NoMatch) and error.args else in_words(error)
        if isinstance(error, MirclrError | OSError) or is_fault_of_machine(error):
            send(("failed", str(first), ""))
        else:
            send(("failed", "something went wrong in mirclr itself; its log says what", traceback.format_exc()))
