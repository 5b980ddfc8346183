"""Work in processes of their own, so that a file which crashes its decoder takes no more than one with it.

Processes are spawned on every system: a child imports only the module of the function that it runs. It does not run the
caller's script again, so scripts that use mirclr need no ``if __name__ == "__main__"``.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

CRASHED: Final = object()
"""In place of the result of a job whose process died."""

_HIDING = threading.RLock()


class Pool:
    """Some processes that run jobs.

    Parameters
    ----------
    workers : int
        How many.
    begin : callable
        Run once in each; a function at the top of a module.
    """

    def __init__(self, workers: int, begin: Callable[[], None]) -> None:
        self._pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=begin)

    def submit(self, function: Callable[..., Any], *job: Any) -> "Future[Any]":
        """Start a job; where the pool is broken already, the future says so."""
        try:
            with _without_main(function):  # where a process is started
                return self._pool.submit(function, *job)
        except BrokenProcessPool as error:
            broken: Future[Any] = Future()
            broken.set_exception(error)
            return broken

    def close(self) -> None:
        """End the processes; jobs not yet begun are dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)


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


def begin_worker() -> None:
    """Ready a process: Ctrl-C is for its parent, and it ends when its parent does, even by kill -9."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Run a function over jobs in parallel, a few jobs ahead of the consumer.

    Parameters
    ----------
    function : callable
        At the top of a module; called as ``function(*job)``. What it raises is raised here.
    jobs : iterable of tuple
        Its arguments.
    workers : int
        Processes; 0: one a core.
    begin : callable
        Run once in each process.

    Yields
    ------
    job, result
        In the order of the jobs; the result is `CRASHED` for a job that killed its process.
    """
    workers = workers or os.cpu_count() or 1
    waiting = deque(jobs)
    running: deque[tuple[tuple[Any, ...], Future[Any]]] = deque()
    pool = Pool(workers, begin)
    try:
        while waiting or running:
            while waiting and len(running) < 4 * workers:
                job = waiting.popleft()
                running.append((job, pool.submit(function, *job)))
            job, future = running.popleft()
            try:
                result = future.result()
            except BrokenProcessPool:
                # one of those in flight killed its process: each is tried in a pool of its own
                suspects = [job, *(j for j, _ in running)]
                running.clear()
                pool.close()
                for suspect in suspects:
                    yield suspect, _alone(function, suspect, begin)
                pool = Pool(workers, begin)
                continue
            yield job, result
    finally:
        pool.close()


def _alone(function: Callable[..., Any], job: tuple[Any, ...], begin: Callable[[], None]) -> Any:
    pool = Pool(1, begin)
    try:
        return pool.submit(function, *job).result()
    except BrokenProcessPool:
        return CRASHED
    finally:
        pool.close()


def streamed(function: Callable[..., Iterable[Any]], *job: Any) -> Iterator[Any]:
    """Run a generator in a process of its own, which is a little ahead of the consumer and no more.

    Parameters
    ----------
    function : callable
        At the top of a module; called as ``function(*job)``. It must not raise.
    *job
        Its arguments.

    Yields
    ------
    item
        What the generator yields; `CRASHED` last, where it killed its process.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_all, args=(sender, function, job), daemon=True)
    with _without_main(function):
        process.start()
    sender.close()  # the other process has its own; when that ends, so does the stream
    try:
        while (message := receiver.recv()) is not None:
            yield message[0]
    except EOFError:
        yield CRASHED
    finally:
        process.kill()
        process.join()
        receiver.close()


def _send_all(sender: Any, function: Callable[..., Iterable[Any]], job: tuple[Any, ...]) -> None:
    begin_worker()
    for item in function(*job):
        sender.send((item,))
    sender.send(None)
