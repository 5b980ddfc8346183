"""What is derived from a library and shared by all threads that answer: made once, and anew as the library changes.

Of a small library an answer is of the library as it is now: who asks first after a change makes it anew, while others
wait. Of a large one that would keep people waiting while songs are added; there the last one answers, and a thread in
the background makes the next, for a part of its time only.

Contents: `Shared`, one such thing; `Renewal`, the thread.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from mirclr.api import Library
from mirclr.errors import MirclrError, NoMatch

log = logging.getLogger("mirclr.serve")

SMALL = 10_000
"""So many songs make a library whose changes are waited for."""
_EVERY_S = 1.0  # how often it is looked whether the library has changed
_REST = 9  # times as long as making it took, until it is made again

_T = TypeVar("_T")


class Shared(Generic[_T]):
    """Something that is derived from a library.

    Parameters
    ----------
    version : callable
        Gives another value whenever it is to be made anew.
    make : callable
        Makes it of the library, and of the one before if there is one.
    make_ready : callable, optional
        Makes the first one with all that will be asked of it, where `make` finds that out when it is asked.
    """

    def __init__(
        self,
        version: Callable[[Library], object],
        make: Callable[[Library, _T | None], _T],
        make_ready: Callable[[Library], _T] | None = None,
    ) -> None:
        self._version, self._make, self._make_ready = version, make, make_ready
        self._lock = threading.Lock()
        self._held: tuple[object, _T] | None = None
        self._due_s = 0.0

    def of(self, library: Library) -> _T:
        """The one of now, or of a large library of some seconds ago."""
        held = self._held
        if held is not None and (library.id_end() > SMALL or held[0] == self._version(library)):
            return held[1]
        return self._brought_up_to_date(library)

    def make_ready(self, library: Library) -> None:
        """Make it at once, so that nobody waits for it later."""
        if self._make_ready is None:
            self.of(library)
            return
        version = self._version(library)
        made = self._make_ready(library)
        with self._lock:
            self._held = version, made

    def renew(self, library: Library) -> None:
        """Make it anew where it is in use and the library has changed, unless that was done too lately."""
        if self._held is not None and time.monotonic() >= self._due_s:
            began = time.monotonic()
            self._brought_up_to_date(library)
            now = time.monotonic()
            self._due_s = now + _REST * (now - began)

    def _brought_up_to_date(self, library: Library) -> _T:
        with self._lock:
            version = self._version(library)  # before it is made: what changes meanwhile makes it stale
            if self._held is None or self._held[0] != version:
                self._held = version, self._make(library, self._held[1] if self._held else None)
            return self._held[1]


class Renewal:
    """A thread that brings what is shared up to date, with a library of its own.

    Parameters
    ----------
    open_library : callable
        Opens the library; called in that thread.
    shared : sequence of Shared
        What is brought up to date.
    """

    def __init__(self, open_library: Callable[[], Library], shared: "Sequence[Shared[Any]]") -> None:
        self._open, self._shared = open_library, shared
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="renewal", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, once what is made just now is made."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        library: Library | None = None
        logged = ""
        while not self._ended.is_set():
            try:
                if library is None:
                    library = self._open()
                    self._make_ready(library)
                for one in self._shared:
                    if not self._ended.is_set():
                        one.renew(library)
            except MirclrError as error:  # it is tried again; what is held goes on answering
                if str(error) != logged:  # once, and not each second
                    logged = str(error)
                    log.warning("%s", logged)
            except Exception:
                log.exception("bringing up to date failed")
            self._ended.wait(_EVERY_S)
        if library is not None:
            library.close()

    def _make_ready(self, library: Library) -> None:
        """Make at once what people would wait for, where songs are many."""
        for one in self._shared:
            if library.id_end() > SMALL and not self._ended.is_set():
                with suppress(NoMatch):  # no song has a vector
                    one.make_ready(library)
        gc.freeze()  # what is here by now stays: looking through it for garbage would keep answers waiting
