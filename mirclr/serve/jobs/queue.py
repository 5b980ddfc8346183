"""`Jobs`: the one that runs, those that wait, those that are over; and who listens."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mirclr.errors import MirclrError
from mirclr.processes import Child
from mirclr.serve.jobs import process
from mirclr.serve.jobs.job import Job
from mirclr.serve.jobs.kinds import Kind
from mirclr.serve.problems import Problem

log = logging.getLogger("mirclr.serve.jobs")

_KEPT = 50  # jobs that are over
_PATIENCE_S = 5.0  # until what was asked to end is ended
_SILENCE_S = 15.0  # until a listener is sent a sign that nothing happened, which shows whether it is there


class Jobs:
    """Long work on a library, one at a time; used by the thread of the event loop alone.

    Parameters
    ----------
    library : Path
        The library file.
    waiting : int
        How many may wait.
    listeners : int
        How many may listen.
    """

    def __init__(self, library: Path, waiting: int, listeners: int) -> None:
        self._library, self._most_waiting, self._most_listeners = library, waiting, listeners
        self._jobs: dict[int, Job] = {}
        self._waiting: deque[tuple[Job, Mapping[str, Any]]] = deque()
        self._running: _Running | None = None
        self._listeners: set[_Listener] = set()
        self._last, self._closed = 0, False

    def all(self) -> list[Job]:
        """All jobs that are known, the newest first."""
        return sorted(self._jobs.values(), key=lambda job: -job.id)

    def job(self, number: int) -> Job:
        """One job; a Problem where there is none of this number."""
        if number not in self._jobs:
            raise Problem(404, f"there is no job {number}; one that is over is known for some time")
        return self._jobs[number]

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def submit(self, kind: Kind, options: Mapping[str, Any]) -> Job:
        """Begin a job, once those before it are over.

        Parameters
        ----------
        kind : Kind
            Of kinds.py.
        options : mapping
            What its function there takes, as can be sent to another process.

        Returns
        -------
        Job
            Which changes as the work goes on.

        Raises
        ------
        Problem
            Too many wait, or the service ends.
        """
        if self._closed:
            raise Problem(503, "the service is about to end")
        if len(self._waiting) >= self._most_waiting:
            raise Problem(429, f"{len(self._waiting)} jobs wait already; try again when some are done")
        self._last += 1
        job = Job(id=self._last, kind=kind, made_s=time.time())
        self._jobs[job.id] = job
        self._waiting.append((job, options))
        self._publish(job)
        self._begin_next()
        return job

    def cancel(self, number: int) -> Job:
        """End a job; one that runs is over when its process is."""
        job = self.job(number)
        if self._running and self._running.job is job:
            self._running.cancel()
        elif not job.is_over:
            self._waiting = deque(waiting for waiting in self._waiting if waiting[0] is not job)
            self._end(job, "cancelled")
        return job

    def events(self) -> AsyncIterator[Job | None]:
        """Each job as it is, and again whenever it changes; None now and then where nothing does. Ends with `close`.

        Raises
        ------
        Problem
            Too many listen.
        """
        if len(self._listeners) >= self._most_listeners:
            raise Problem(429, f"{len(self._listeners)} clients listen already; close some")
        return self._events()

    async def _events(self) -> AsyncIterator[Job | None]:
        listener = _Listener(self._jobs.values())
        self._listeners.add(listener)
        try:
            yield None
            while not self._closed:
                for job in listener.take():
                    yield job
                try:
                    await asyncio.wait_for(listener.woken.wait(), _SILENCE_S)
                except TimeoutError:
                    yield None
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """Let no job begin any more, and let go who listens."""
        self._closed = True
        self._waiting.clear()
        for listener in self._listeners:
            listener.woken.set()

    async def stop(self) -> None:
        """Close, and end what runs; what it has done is kept."""
        self.close()
        if self._running:
            self._running.cancel()
            await self._running.over.wait()

    def _begin_next(self) -> None:
        if self._running or not self._waiting or self._closed:
            return
        job, options = self._waiting.popleft()
        job.state, job.started_s = "running", time.time()
        log.info("job %d begins: %s", job.id, job.kind)
        self._publish(job)
        self._running = _Running(job, self._library, options, self._receive)

    def _receive(self, job: Job, message: process.Message | None) -> None:
        """Take a message of the process that runs; None: it has ended."""
        match message:
            case "begin", label, total:
                job.begin(label, total)
            case "advance", steps, note:
                job.advance(steps, note)
            case "remark", text:
                job.remark(text)
            case "done", result:
                job.end("done", result=result)
            case "failed", line, trace:
                job.end("failed", problem=line)
                if trace:
                    log.error("job %d: %s", job.id, trace)
            case None:
                running, self._running = self._running, None
                assert running is not None
                if not job.is_over:
                    lost = "its process ended before it was done, perhaps as memory ran out; what was done is kept"
                    self._end(job, "cancelled" if running.cancelled else "failed", None if running.cancelled else lost)
                log.info("job %d is over: %s", job.id, job.problem or job.state)
                running.over.set()
                self._begin_next()
                return
        self._publish(job)

    def _end(self, job: Job, state: Any, problem: str | None = None) -> None:
        job.end(state, problem=problem)
        self._publish(job)

    def _publish(self, job: Job) -> None:
        job.changes += 1
        for listener in self._listeners:
            listener.put(job)
        over = [one for one in self._jobs.values() if one.is_over]
        for old in over[:-_KEPT]:
            del self._jobs[old.id]


class _Running:
    """The job that runs, with its process and a thread that receives what that sends."""

    def __init__(self, job: Job, library: Path, options: Mapping[str, Any], receive: Any) -> None:
        self.job, self.cancelled, self.over = job, False, asyncio.Event()
        self._loop, self._receive = asyncio.get_running_loop(), receive
        self._child: Child | None = None
        threading.Thread(target=self._run, args=(library, options), name=f"job {job.id}", daemon=True).start()

    def _run(self, library: Path, options: Mapping[str, Any]) -> None:
        try:
            self._child = child = Child(process.run, self.job.kind, library, dict(options))
            if self.cancelled:
                with suppress(RuntimeError):  # the service was ended by force
                    self._loop.call_soon_threadsafe(self._end_process)
            for message in child.messages():
                self._forward(message)
        except MirclrError as error:  # no process can be started
            self._forward(("failed", str(error), ""))
        self._forward(None)

    def _forward(self, message: process.Message | None) -> None:
        with suppress(RuntimeError):  # the service was ended by force
            self._loop.call_soon_threadsafe(self._receive, self.job, message)

    def cancel(self) -> None:
        """Ask the process to end, and end it where it does not."""
        self.cancelled = True
        self._end_process()

    def _end_process(self) -> None:
        if self._child:
            self._child.terminate()
            self._loop.call_later(_PATIENCE_S, self._child.kill)


class _Listener:
    """Who listens: of each job only how it is last, however slowly that is taken."""

    def __init__(self, jobs: Any) -> None:
        self._news = {job.id: job for job in jobs}
        self.woken = asyncio.Event()
        self.woken.set()

    def put(self, job: Job) -> None:
        self._news[job.id] = job
        self.woken.set()

    def take(self) -> list[Job]:
        news, self._news = list(self._news.values()), {}
        self.woken.clear()
        return news
