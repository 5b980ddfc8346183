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

from mirclr.errors import ProcessError

JOB_S = 300.0
"""Seconds that one job may take unless a caller knows better: excerpts of a file take less than one."""
_BYTES_A_SECOND = 500_000  # 24 hours of speech at 32 kbps are 345 MB, and decoded in less than this allows
SILENCED = False
"""Whether this is a process of a pool, whose standard error leads nowhere."""

_HIDING = threading.RLock()


def seconds_for_file(file: os.PathLike[str], *_: Any) -> float:
    """Seconds that a job may take which reads all of a file: more for a large one, as on a slow network drive."""
    try:
        return JOB_S + os.stat(file).st_size / _BYTES_A_SECOND
    except OSError:
        return JOB_S  # the job itself finds out what is wrong


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
    seconds_for : callable, optional
        Called as ``seconds_for(*job)``: seconds that a job may take; `JOB_S` where it is not given.
    """

    def __init__(
        self, workers: int, begin: Callable[[], None], seconds_for: Callable[..., float] = lambda *_: JOB_S
    ) -> None:
        self._begin, self._seconds_for = begin, seconds_for
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
            result = worker.run(function, job, self._seconds_for(*job))
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
        self._begun = self._ended = False
        _start(self._process, function)
        theirs.close()  # the other process has its own; when that ends, so does the pipe

    def run(self, function: Callable[..., Any], job: tuple[Any, ...], job_s: float) -> Any:
        try:
            self._wait_for_beginning()
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

    def _wait_for_beginning(self) -> None:
        """What a process imports to begin is no part of a job; that it ends meanwhile is no fault of a file."""
        if self._begun:
            return
        try:
            self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            if (why := _why(self._process.exitcode)) is Lost.OUT_OF_MEMORY or self._ended:
                raise JobLost(why) from None
            raise _no_process(f"exit code {self._process.exitcode}") from None
        self._begun = True

    def end(self) -> None:
        self._ended = True
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


def _start(process: Any, function: Callable[..., Any]) -> None:
    try:
        with _without_main(function), _without_interrupts():
            process.start()
    except OSError as error:
        raise _no_process(error.strerror or str(error)) from error


def _no_process(why: str) -> ProcessError:
    return ProcessError(f"a process for decoding cannot be started ({why}); close other programs, or try --workers 1")


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


class Child:
    """A process of its own for long work, which may have processes of its own, and sends how far it is.

    Parameters
    ----------
    function : callable
        At the top of a module; called there as ``function(send, *arguments)``, and what it gives to ``send`` arrives
        here. It has to catch what it raises, and to send that.
    *arguments
        Its other arguments.
    """

    def __init__(self, function: Callable[..., None], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_run_child, args=(sender, function, arguments), daemon=False)
        _start(self._process, function)
        sender.close()  # the other process has its own; when that ends, so do its messages

    def messages(self) -> Iterator[Any]:
        """What the process sends, until it has ended."""
        with suppress(EOFError, OSError):
            while True:
                yield self._receiver.recv()
        self._process.join()
        self._receiver.close()

    def terminate(self) -> None:
        """Ask the process to end, where the system can; it tidies up. Where it cannot, it ends at once."""
        with suppress(OSError, AttributeError):  # one that gives way would not even end while others work
            os.sched_setscheduler(self._process.pid or 0, os.SCHED_OTHER, os.sched_param(0))
        self._process.terminate()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()


def give_way() -> None:
    """Let who listens go first: this process, and those that it starts, take what time others leave.

    On Linux it is stopped as soon as anybody else wants its core; one that is only nice goes on for some milliseconds.
    """
    with suppress(OSError, AttributeError):
        if os.name == "nt":
            import ctypes

            kernel = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
            kernel.SetPriorityClass(kernel.GetCurrentProcess(), 0x4000)  # BELOW_NORMAL_PRIORITY_CLASS
        else:
            os.nice(19)
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _run_child(sender: Any, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    begin_worker()
    function(sender.send, *arguments)


def _may_have_children() -> bool:
    """Whether this process can start others: a worker of another pool, such as a grid search's, cannot."""
    method = multiprocessing.get_start_method(allow_none=True)
    known = method is None or method in multiprocessing.get_all_start_methods()  # children take it from their parent
    return known and not multiprocessing.current_process().daemon


def results_in_order(
    function: Callable[..., Any],
    jobs: Iterable[tuple[Any, ...]],
    *,
    workers: int = 0,
    begin: Callable[[], None] = begin_worker,
    seconds_for: Callable[..., float] = lambda *_: JOB_S,
    pool: Pool | None = None,
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Run a function over jobs in parallel, a few jobs ahead of the consumer.

    Parameters
    ----------
    function : callable
        At the top of a module; called as ``function(*job)``. What it raises is raised here, but for `MemoryError`.
    jobs : iterable of tuple
        Its arguments.
    workers : int
        Processes; 0: one a core. In a worker of another pool, as of a grid search, it is that worker itself.
    begin : callable
        Run once in each process.
    seconds_for : callable, optional
        As of `Pool`; `seconds_for_file` of jobs that read all of a file.
    pool : Pool, optional
        Runs them, and goes on afterwards, in place of processes of this call's own.

    Yields
    ------
    job, result
        In the order of the jobs; the result is a `Lost` for a job without one. A job for which memory did not suffice
        is tried once more, alone.
    """
    if not _may_have_children():
        for job in jobs:
            try:
                yield job, function(*job)
            except MemoryError:
                yield job, Lost.OUT_OF_MEMORY
        return
    if workers < 0:
        raise ValueError(f"workers: found {workers}; expected 0 or more")
    workers = workers or os.cpu_count() or 1
    waiting = deque(jobs)
    running: deque[tuple[tuple[Any, ...], Future[Any]]] = deque()
    own = None if pool else Pool(workers, begin, seconds_for)
    pool = pool or own
    assert pool is not None
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
        if own:
            own.close()


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
    if not _may_have_children():
        try:
            yield from function(*job)
        except MemoryError:
            yield Lost.OUT_OF_MEMORY
        return
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_all, args=(sender, function, job), daemon=True)
    _start(process, function)
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
