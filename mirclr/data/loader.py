"""Batches made ahead of training: by processes or a thread, in order, and on their way to the device.

However many processes there are, the batches are the same, as each is a function of its number. Processes are spawned
on every system, and send what the cache holds, half as much as float32; they share no memory, of which containers
often have little.
"""

import os
from collections import deque
from collections.abc import Generator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mirclr.data.batches import Batch, WithDraws
from mirclr.processes import JobLost, Pool, begin_worker

_MOST_WORKERS = 8  # that are started unasked
_source: WithDraws | None = None  # of a process that makes batches


def pick_workers(asked: int | None, device: torch.device) -> int:
    """Processes that make batches: as asked, or by default none where the CPU trains, which needs its cores itself."""
    if asked is not None:
        return asked
    return 0 if device.type == "cpu" else min(_MOST_WORKERS, max(1, (os.cpu_count() or 1) - 1))


def load(
    source: WithDraws, numbers: range, *, workers: int, device: torch.device, ahead: int = 1
) -> Generator[Batch, None, None]:
    """Make batches ahead of their use.

    Parameters
    ----------
    source : WithDraws
        Of the batches; with processes it is sent to each of them, so it holds no open files.
    numbers : range
        Which batches.
    workers : int
        Processes that make them; 0: a thread of this one.
    device : torch.device
        Where they are wanted. To a CUDA device they are copied from pinned memory beside what it computes.
    ahead : int
        Batches that are made before they are asked for, at least.

    Yields
    ------
    Batch
        In the order of the numbers, on the device.
    """
    pool = Pool(workers, partial(_begin, source)) if workers else None
    put = _Put(device)
    waiting: deque[Future[tuple[Batch, Any]]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="mirclr-loader") as reader:
        try:
            for number in numbers:
                made = pool.submit(_arrays, number) if pool else None
                waiting.append(reader.submit(_received, source, number, made, put))
                if len(waiting) > max(ahead, 2 * workers):
                    yield put.taken(*waiting.popleft().result())
            while waiting:
                yield put.taken(*waiting.popleft().result())
        finally:
            for future in waiting:
                future.cancel()
            if pool:
                pool.close()


def _begin(source: WithDraws) -> None:
    global _source
    begin_worker()
    torch.set_num_threads(1)
    _source = source


def _arrays(number: int) -> Batch:
    """A batch whose tensors are arrays: those are sent as they are, and not through shared memory."""
    assert _source is not None
    return _source.batch(number).map(Tensor.numpy)


def _received(source: WithDraws, number: int, made: "Future[Batch] | None", put: "_Put") -> tuple[Batch, Any]:
    if made is None:
        return put(source.batch(number))
    try:
        return put(made.result().map(torch.from_numpy))
    except (JobLost, CancelledError):  # the process is gone, by lack of memory say: the batch is made here
        return put(source.batch(number))


class _Put:
    """Copies batches to a device, on a stream of its own where the device has streams."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, batch: Batch) -> tuple[Batch, Any]:
        """Begin to copy; the event says when it is done."""
        if self.stream is None:
            return batch.map(lambda x: x.to(self.device)), None
        with torch.cuda.stream(self.stream):
            there = batch.map(lambda x: x.pin_memory().to(self.device, non_blocking=True))
            return there, self.stream.record_event()

    def taken(self, batch: Batch, copied: Any) -> Batch:
        """The batch, for use after what is queued on the device: the device waits for the copy, and not the program."""
        if self.stream is None:
            return batch
        current = torch.cuda.current_stream(self.device)
        current.wait_event(copied)

        def used(x: Tensor) -> Tensor:
            x.record_stream(current)
            return x

        return batch.map(used)
