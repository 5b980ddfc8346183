"""Work in processes of their own, so that a file which crashes or blocks its decoder takes no more than one with it.

Processes are spawned on every system: a child imports only the module of the function that it runs. It does not run the
caller's script again, so scripts that use mirclr need no ``if __name__ == "__main__"``. What runs there prints nothing.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from enum import Enum
from multiprocessing.reduction import ForkingPickler
from types import ModuleType
from typing import Any, Final

JOB_S = 300.0
"""Seconds that one job may take unless a caller knows better: excerpts of a file take less than one."""
SILENCED = False
"""Whether this is a process of a pool, whose standard error leads nowhere."""

_HIDING = threading.RLock()


class Lost(Enum):
    """In place of the result of a job whose process ended before it was done."""

    CRASHED = "crashed"
    OUT_OF_TIME = "out of time"
    OUT_OF_MEMORY = "out of memory"


CRASHED: Final = Lost.CRASHED


class JobLost(Exception):
    """Raised by the future of a job that has no result."""

    def __init__(self, why: Lost) -> None:
        super().__init__(why.value)
        self.why = why


class Pool:
    """Some processes that run jobs. One that dies, or takes too long, takes its own job with it and no other.

    Parameters
    ----------
    workers : int
        How many.
    begin : callable
        Run once in each; a function at the top of a module.
    job_s : float
        Seconds that a job may take.
    """

    def __init__(self, workers: int, begin: Callable[[], None], job_s: float = JOB_S) -> None:
        self._begin, self._job_s = begin, job_s
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="mirclr-pool")  # each waits for one process
        self._idle: deque[_Worker] = deque()
        self._all: set[_Worker] = set()
        self._closed = False

    def submit(self, function: Callable[..., Any], *job: Any) -> "Future[Any]":
        """Start a job; its future raises `JobLost` where its process ends before it is done."""
        return self._threads.submit(self._run, function, job)

    def _run(self, function: Callable[..., Any], job: tuple[Any, ...]) -> Any:
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = _Worker(self._begin, function)
            self._all.add(worker)
        if self._closed:
            worker.end()
        try:
            result = worker.run(function, job, self._job_s)
        except JobLost:
            self._all.discard(worker)
            raise
        self._idle.append(worker)
        return result

    def close(self) -> None:
        """End the processes; jobs not yet done are dropped."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in list(self._all):
            worker.end()


class _Worker:
    """One process, and the pipe to it."""

    def __init__(self, begin: Callable[[], None], function: Callable[..., Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, begin), daemon=True)
        self._begun = False
        with _without_main(function), _without_interrupts():
            self._process.start()
        theirs.close()  # the other process has its own; when that ends, so does the pipe

    def run(self, function: Callable[..., Any], job: tuple[Any, ...], job_s: float) -> Any:
        try:
            if not self._begun:
                self._pipe.recv()  # what it imports to begin is no part of a job
                self._begun = True
            self._pipe.send((function, job))
            if not self._pipe.poll(job_s):
                self._process.kill()
                self._process.join()
                raise JobLost(Lost.OUT_OF_TIME)
            what, result = self._pipe.recv()
        except (EOFError, OSError):  # it is gone
            self._process.join()
            raise JobLost(_why(self._process.exitcode)) from None
        if what is JobLost:
            raise JobLost(result)
        if what is Exception:
            raise result
        return result

    def end(self) -> None:
        self._process.terminate()
        self._process.join(1.0)
        self._process.kill()


def _why(exit_code: int | None) -> Lost:
    """What ended a process. Where memory runs out, systems kill by the one signal that no decoder raises."""
    killed = hasattr(signal, "SIGKILL") and exit_code == -signal.SIGKILL
    return Lost.OUT_OF_MEMORY if killed else Lost.CRASHED


def _serve(pipe: Any, begin: Callable[[], None]) -> None:
    """Run jobs as they come, until the pipe ends."""
    begin()
    with suppress(EOFError, OSError):
        pipe.send(None)
        while True:
            function, job = pipe.recv()
            pipe.send_bytes(_answer(function, job))


def _answer(function: Callable[..., Any], job: tuple[Any, ...]) -> Any:
    try:
        return ForkingPickler.dumps((None, function(*job)))
    except MemoryError:
        return ForkingPickler.dumps((JobLost, Lost.OUT_OF_MEMORY))
    except Exception as error:
        try:
            return ForkingPickler.dumps((Exception, error))
        except Exception:  # what cannot be sent is described
            return ForkingPickler.dumps((Exception, RuntimeError(f"{type(error).__name__}: {error}")))


@contextmanager
def _without_main(function: Callable[..., Any]) -> Iterator[None]:
    """Hide the script that runs from processes that are started, unless the function is of that script."""
    main = sys.modules["__main__"]
    if function.__module__ == "__main__":
        yield
        return
    with _HIDING:
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """A process that is started meanwhile does not answer to Ctrl-C, not even before `begin_worker` runs there."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # where it does not run yet, to start it lets Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_worker() -> None:
    """Ready a process: it prints nothing, leaves Ctrl-C to its parent, and ends when that does, even by kill -9."""
    global SILENCED
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what is being written is tidied up
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        SILENCED = True
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: Any) -> None:
    parent.join()
    os._exit(1)


def results_in_order(
    function: Callable[..., Any],
    jobs: Iterable[tuple[Any, ...]],
    *,
    workers: int = 0,
    begin: Callable[[], None] = begin_worker,
    job_s: float = JOB_S,
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Run a function over jobs in parallel, a few jobs ahead of the consumer.

    Parameters
    ----------
    function : callable
        At the top of a module; called as ``function(*job)``. What it raises is raised here, but for `MemoryError`.
    jobs : iterable of tuple
        Its arguments.
    workers : int
        Processes; 0: one a core.
    begin : callable
        Run once in each process.
    job_s : float
        Seconds that a job may take.

    Yields
    ------
    job, result
        In the order of the jobs; the result is a `Lost` for a job without one. A job for which memory did not suffice
        is tried once more, alone.
    """
    workers = workers or os.cpu_count() or 1
    waiting = deque(jobs)
    running: deque[tuple[tuple[Any, ...], Future[Any]]] = deque()
    pool = Pool(workers, begin) if job_s == JOB_S else Pool(workers, begin, job_s)
    try:
        while waiting or running:
            while waiting and len(running) < 4 * workers:
                job = waiting.popleft()
                running.append((job, pool.submit(function, *job)))
            job, future = running.popleft()
            result = _result(future)
            if result is Lost.OUT_OF_MEMORY:
                wait([f for _, f in running])
                result = _result(pool.submit(function, *job))
            yield job, result
    finally:
        pool.close()


def _result(future: "Future[Any]") -> Any:
    try:
        return future.result()
    except JobLost as lost:
        return lost.why


def streamed(function: Callable[..., Iterable[Any]], *job: Any, item_s: float = JOB_S) -> Iterator[Any]:
    """Run a generator in a process of its own, which is a little ahead of the consumer and no more.

    Parameters
    ----------
    function : callable
        At the top of a module; called as ``function(*job)``. What it raises is raised here, but for `MemoryError`.
    *job
        Its arguments.
    item_s : float
        Seconds that an item may take.

    Yields
    ------
    item
        What the generator yields; a `Lost` last, where its process ended before it was done.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_all, args=(sender, function, job), daemon=True)
    with _without_main(function), _without_interrupts():
        process.start()
    sender.close()  # the other process has its own; when that ends, so does the stream
    try:
        while True:
            if not receiver.poll(item_s):
                yield Lost.OUT_OF_TIME
                return
            message = receiver.recv()
            if message is None:
                return
            if isinstance(message, Exception):
                raise message
            yield message[0]
    except EOFError:
        process.join()
        yield _why(process.exitcode)
    finally:
        process.kill()
        process.join()
        receiver.close()


def _send_all(sender: Any, function: Callable[..., Iterable[Any]], job: tuple[Any, ...]) -> None:
    begin_worker()
    try:
        for item in function(*job):
            sender.send((item,))
    except MemoryError:
        sender.send((Lost.OUT_OF_MEMORY,))
    except Exception as error:
        sender.send(error)
    sender.send(None)
