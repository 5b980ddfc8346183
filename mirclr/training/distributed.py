"""Several processes that train as one, each on its own GPU or on a part of the cores.

Started by ``torchrun``, or by `launch`. A batch is a function of (seed, step), so every process knows all of it and
works on its own rows. What the network gives is gathered with its gradient, so that the loss is the loss of the whole
batch in every process; statistics of batch normalisations are those of the whole batch, and so are the draws of
dropout. A run is hence the run of one process, up to rounding, and may be resumed with another number of processes.

GPUs exchange by NCCL, everything else by gloo.
"""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4
from weakref import WeakSet

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.parallel import DistributedDataParallel

from mirclr.errors import MirclrError, TrainingError, exit_code
from mirclr.models.device import pick_device
from mirclr.provenance import digest_bytes
from mirclr.terminal import counted

_LAUNCHER = "MIRCLR_LAUNCHER"  # the port at which `launch` can be seen to live
_SECONDS_TO_SAVE = 60.0
_wrapped: WeakSet[DistributedDataParallel] = WeakSet()  # networks that exchange gradients
_LOOK_EVERY_S = 0.02
_WAIT = timedelta(days=7)  # for the process that decodes; one that ends is noticed at once


@dataclass(frozen=True)
class Ranks:
    """One process among those of a run; by default it is the only one.

    Attributes
    ----------
    rank, world : int
        Its number from 0, and how many there are.
    local, local_world : int
        The same on this machine.
    """

    rank: int = 0
    world: int = 1
    local: int = 0
    local_world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def part(self, total: int) -> slice:
        """Which of so many rows are of this process."""
        return _part(total, self.rank, self.world)

    def gather(self, rows: Tensor, total: int) -> Tensor:
        """Put the rows of all processes together.

        Parameters
        ----------
        rows : (n, ...)
            Those of `part(total)`.
        total : int
            How many there are in all processes.

        Returns
        -------
        (total, ...)
            On the device of `rows`. Their gradient is the sum over the processes.
        """
        return rows if self.world == 1 else cast(Tensor, _Gather.apply(rows, total, self))

    def gather_all(self, outputs: Mapping[str, Tensor], total: int) -> dict[str, Tensor]:
        """Put together what a network gives, by one exchange; see `gather`.

        Parameters
        ----------
        outputs : mapping of str to (n, K)
            Of the rows of `part(total)`.
        total : int
            How many rows there are in all processes.

        Returns
        -------
        dict of str to (total, K)
            float32 where there are several processes.
        """
        if self.world == 1 or not outputs:
            return dict(outputs)
        together = self.gather(torch.cat([of.float() for of in outputs.values()], dim=1), total)
        # parts of one tensor: one that no loss asks for has a gradient of 0, so that every process exchanges the same
        parts = together.split([of.shape[1] for of in outputs.values()], dim=1)
        return dict(zip(outputs, parts, strict=True))

    def any(self, flag: bool) -> bool:
        """Whether it holds in any process; all must ask."""
        if self.world == 1:
            return flag
        found = torch.tensor(int(flag))
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return bool(found)

    def barrier(self) -> None:
        """Wait until every process is here."""
        self.any(False)

    def agree(self, what: str, value: str) -> None:
        """Raise `TrainingError`, in all processes, unless they all have the same value."""
        if self.world == 1:
            return
        own = torch.frombuffer(bytearray(digest_bytes(value.encode()).encode()), dtype=torch.uint8)
        found = [torch.empty_like(own) for _ in range(self.world)]
        distributed.all_gather(found, own)
        others = [rank for rank, digest in enumerate(found) if not torch.equal(digest, found[0])]
        if others:
            raise TrainingError(
                f"{what}: process {others[0]} of {self.world} has another than process 0; give all machines the same "
                "recipe, music and run folder"
            )

    def wrap(self, network: nn.Module, total: int) -> nn.Module:
        """Ready a network to be trained by all processes; its parameters stay the very objects.

        Parameters
        ----------
        network : torch.nn.Module
            On its device. Its batch normalisations and dropouts are replaced.
        total : int
            Rows of a batch in all processes.

        Returns
        -------
        torch.nn.Module
            To be called in its place while training; itself where there is one process.

        Raises
        ------
        TrainingError
            There are fewer rows than processes.
        """
        if self.world == 1:
            return network
        if total < self.world:
            raise TrainingError(f"a batch of {total} clips for {self.world} processes; raise training.batch")
        device = next(network.parameters()).device
        _replace(network, self, total, device)
        wrapped = DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)
        _wrapped.add(wrapped)
        return wrapped

    def without_exchange(self, network: nn.Module) -> AbstractContextManager[None]:
        """While gradients accumulate: forward and backward passes in this context leave them where they are."""
        if isinstance(network, DistributedDataParallel):
            return cast(AbstractContextManager[None], network.no_sync())
        return nullcontext()


ALONE = Ranks()


def _part(total: int, rank: int, world: int) -> slice:
    return slice(rank * total // world, (rank + 1) * total // world)


class _Gather(torch.autograd.Function):
    """Rows of all processes. A process's loss depends on the rows of all, so gradients are added up."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, total: int, ranks: Ranks) -> Tensor:
        ctx.own = ranks.part(total)
        parts = [_part(total, rank, ranks.world) for rank in range(ranks.world)]
        most = max(part.stop - part.start for part in parts)
        padded = rows.new_zeros((most, *rows.shape[1:]))
        padded[: len(rows)] = rows
        found = [torch.empty_like(padded) for _ in parts]
        distributed.all_gather(found, padded)
        return torch.cat([of[: part.stop - part.start] for of, part in zip(found, parts, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(gradient)
        return gradient[ctx.own], None, None


def _replace(module: nn.Module, ranks: Ranks, total: int, device: torch.device) -> None:
    """Put what computes over the whole batch in the place of batch normalisations and dropouts."""
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            setattr(module, name, _synced(child, ranks, device))
        elif isinstance(child, _DropoutNd):
            setattr(module, name, _SharedDropout(child, ranks, total))
        else:
            _replace(child, ranks, total, device)


def _synced(norm: _BatchNorm, ranks: Ranks, device: torch.device) -> _BatchNorm:
    """A batch normalisation by the statistics of all processes, with the very weights and buffers of another."""
    settings = (norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    made = nn.SyncBatchNorm(*settings) if device.type == "cuda" else _SyncedBatchNorm(*settings)
    for name, held in (*norm.named_parameters(), *norm.named_buffers()):
        setattr(made, name, held)
    made.ranks = ranks
    return made.train(norm.training)


class _SyncedBatchNorm(_BatchNorm):
    """Batch normalisation by the statistics of all processes, where torch's own `SyncBatchNorm` wants a GPU."""

    ranks: Ranks

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) -> (B, C, ...)."""
        if not self.training:
            return super().forward(x)
        ones = x.new_ones(self.num_features, dtype=torch.float32)  # where nothing is learned
        weight, bias = (ones, 0 * ones) if self.weight is None else (self.weight, self.bias)
        out, mean, variance, count = _Normalise.apply(x, weight, bias, self.eps, self.ranks)
        self._take_in(mean, variance, count)
        return cast(Tensor, out)

    def _take_in(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the running statistics, as `torch.nn.BatchNorm1d` does."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        by = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, by)
        self.running_var.lerp_(variance * count / (count - 1), by)


class _Normalise(torch.autograd.Function):
    """(B, C, ...) normalised by the mean and variance of all processes, in torch's own passes over the rows.

    The gradient is that of Ioffe and Szegedy 2015 (arXiv 1502.03167, section 3), its sums over all processes.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, ranks: Ranks
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        held = weight.new_zeros(2, len(weight))  # of float32, so that the statistics are
        mean, variance = torch.batch_norm_update_stats(x, held[0], held[1], 0.0)
        own = torch.cat([mean, variance, mean.new_full((1,), x.numel() / x.shape[1])])
        means, variances, counts = ranks.gather(own[None], ranks.world).split([len(mean), len(mean), 1], dim=1)
        count = counts.sum()
        mean = (counts / count * means).sum(dim=0)
        variance = (counts / count * (variances + (means - mean).square())).sum(dim=0)
        ctx.save_for_backward(x, weight, mean, variance, count)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance, count)
        return nn.functional.batch_norm(x, mean, variance, weight, bias, eps=eps), mean, variance, count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance, count = ctx.saved_tensors
        direct, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        if not ctx.needs_input_grad[0]:  # the first of a network
            return None, of_weight, of_bias, None, None
        sums = torch.stack([of_weight, of_bias]).float()
        distributed.all_reduce(sums)
        scale = torch.rsqrt(variance + ctx.eps)
        slope, level = weight * scale * scale * sums[0] / count, weight * scale * sums[1] / count
        # what the statistics take: level + slope (x - mean), as a normalisation by a variance of 1
        taken = nn.functional.batch_norm(x, mean, torch.ones_like(variance), slope, level, eps=0.0)
        return direct.sub_(taken), of_weight, of_bias, None, None


class _SharedDropout(nn.Module):
    """Dropout by the mask of the whole batch, of which this process takes its rows."""

    def __init__(self, dropout: _DropoutNd, ranks: Ranks, total: int) -> None:
        super().__init__()
        self.dropout, self.ranks, self.total = dropout, ranks, total

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) -> (n, ...)."""
        if not self.training:
            return x
        part = self.ranks.part(self.total)
        times = len(x) // (part.stop - part.start)  # rows for each row of the batch
        mask = x.new_ones((self.total * times, *x.shape[1:]))
        if x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):
            mask = mask.contiguous(memory_format=torch.channels_last)  # masks are drawn in the order of memory
        return x * self.dropout(mask)[part.start * times : part.stop * times]


@contextmanager
def joined(device: str = "auto") -> Iterator[tuple[Ranks, torch.device]]:
    """Join the other processes of a run, as the environment that torchrun sets says; alone where there is none.

    Where one process fails, the others end too: the one that failed first raises its error, the others leave by
    `SystemExit`, so that a fault is reported once. Ctrl-C is raised as such in process 0 alone.

    Parameters
    ----------
    device : str
        "auto", or a device of torch; "cuda" is a GPU for each process of a machine.

    Yields
    ------
    Ranks, torch.device
        This process, and what it computes on.

    Raises
    ------
    TrainingError
        There is no such device, or another process was lost.
    """
    ranks = _from_environment()
    if ranks.world == 1:
        yield ranks, pick_device(device)
        return
    if not distributed.is_available():
        raise TrainingError("this build of torch cannot train with several processes; leave --nproc out")
    if _LAUNCHER in os.environ:
        _end_with(int(os.environ[_LAUNCHER]))
    from torch.distributed.nn import functional  # noqa: F401  (loaded later, its defaults would hold the group for ever)

    if distributed.is_initialized():  # by whoever started this process, such as Ray Train, who also ends it
        if "cpu:" not in distributed.get_backend_config() and distributed.get_backend() != "gloo":
            raise TrainingError("processes exchange here on GPUs alone; begin with backend='cpu:gloo,cuda:nccl'")
        yield ranks, device_of(device, ranks)
        ranks.barrier()
        return
    store, _, _ = next(distributed.rendezvous("env://"))
    try:
        store = _meet(store, ranks)
        chosen = device_of(device, ranks)
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)
        nccl = chosen.type == "cuda" and distributed.is_nccl_available()
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if nccl else "gloo",
            store=distributed.PrefixStore("group", store),
            rank=ranks.rank,
            world_size=ranks.world,
            timeout=_WAIT,
        )
        yield ranks, chosen
        ranks.barrier()  # the process that holds the store leaves last
    except KeyboardInterrupt:
        if ranks.first:
            raise
        raise SystemExit(130) from None
    except Exception as error:
        if not _first_to_fail(store):  # its code is seen where it ends first
            raise SystemExit(exit_code(error)) from error
        if isinstance(error, RuntimeError) and not isinstance(error, MirclrError) and (why := _why_ended(error)):
            raise TrainingError(why) from error
        raise
    finally:
        if distributed.is_initialized():
            _leave()


def _meet(store: Any, ranks: Ranks) -> Any:
    """The store with a prefix that the processes which are started now have alone.

    torchrun keeps its store when it starts processes again after one was lost, and with it what those before wrote:
    addresses at which nobody answers any more. So the first answers each that is here, who is known by a number that
    none had before.
    """
    own = uuid4().hex
    if not ranks.first:
        store.set(f"mirclr-here-{ranks.rank}", own)
        meeting = store.get(f"mirclr-meeting-of-{own}").decode()
        store.add(f"{meeting}/here", 1)
        return distributed.PrefixStore(meeting, store)
    answered: dict[int, bytes] = {}
    deadline = time.monotonic() + store.timeout.total_seconds()
    while store.add(f"{own}/here", 0) < ranks.world - 1:
        for rank in range(1, ranks.world):
            name = f"mirclr-here-{rank}"
            if store.check([name]) and answered.get(rank) != (who := store.get(name)):
                store.set(f"mirclr-meeting-of-{who.decode()}", own)
                answered[rank] = who
        if time.monotonic() > deadline:
            raise TrainingError(f"not all of {ranks.world} processes came; start as many as WORLD_SIZE says")
        time.sleep(_LOOK_EVERY_S)
    return distributed.PrefixStore(own, store)


def _leave() -> None:
    """Leave the other processes, and end the threads of the exchange.

    The threads end with the last reference to the group. One that still lets go of a tensor while the interpreter ends
    would abort the process (https://github.com/pytorch/pytorch/issues/190489).
    """
    for network in _wrapped:
        del network.reducer, network.logger, network.process_group
    _wrapped.clear()
    with suppress(RuntimeError):
        distributed.destroy_process_group()


def _end_with(port: int) -> None:
    """End this process when its launcher does, even by kill -9: as by SIGTERM, which saves; soon after at any rate.

    The system closes a connection whose other side is gone, so that a read from it ends.
    """

    def wait() -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as launcher:
            launcher.recv(1)
        signal.raise_signal(signal.SIGTERM)
        threading.Event().wait(_SECONDS_TO_SAVE)
        os._exit(1)

    threading.Thread(target=wait, name="mirclr-launcher", daemon=True).start()


def _from_environment() -> Ranks:
    """Who this process is, by the variables that torchrun sets."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return Ranks()
    try:
        rank, world, local, local_world = (int(os.environ.get(n, d)) for n, d in zip(names, "0101", strict=True))
    except ValueError:
        raise TrainingError(f"{', '.join(names)}: set to what is no number; start mirclr by torchrun") from None
    return Ranks(rank, world, local, local_world)


def device_of(name: str, ranks: Ranks) -> torch.device:
    """What one of several processes computes on; see `joined`."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"  # processes do not exchange by way of Apple's GPU
    device = pick_device(name)
    if device.type == "cuda" and ranks.local_world > 1:
        here = torch.cuda.device_count()
        if device.index is not None:
            raise TrainingError(f"device {name!r} for {ranks.local_world} processes; give cuda, which is one for each")
        if ranks.local_world > here:
            raise TrainingError(
                f"{ranks.local_world} processes, but {counted(here, 'GPU')} on this machine; start {here}, or give "
                "--device cpu"
            )
        return torch.device("cuda", ranks.local)
    if device.type not in ("cpu", "cuda"):
        raise TrainingError(f"device {name!r} cannot be shared by {ranks.world} processes; give cpu, or one process")
    return device


def _first_to_fail(store: Any) -> bool:
    """Whether no other process failed before; yes where they cannot be asked any more."""
    try:
        return bool(store.add("mirclr-failed", 1) == 1)
    except (RuntimeError, OSError):
        return True


def _why_ended(error: RuntimeError) -> str | None:
    """What an error of the exchange between processes means, for people; None where it is none."""
    text = str(error)
    if "Expected to have finished reduction" in text:
        return (
            "the encoder has parameters on which its output does not depend; with several processes, set "
            "requires_grad_(False) on them"
        )
    if any(sign in text for sign in ("Connection closed", "Connection reset", "gloo", "NCCL", "Broken pipe")):
        return "another process of the run was lost; what was saved is safe: add --resume to continue"
    return None


def launch(processes: int, arguments: Sequence[str]) -> int:
    """Run ``mirclr`` with some arguments in several processes of this machine, by torch's elastic launcher.

    Parameters
    ----------
    processes : int
        How many.
    arguments : sequence of str
        The command line of each.

    Returns
    -------
    int
        The exit code: 0, that of the process that failed, or 130 after Ctrl-C.

    Raises
    ------
    TrainingError
        They cannot be started here, or one was killed.
    """
    if not distributed.is_available():
        raise TrainingError("this build of torch cannot train with several processes; leave --nproc out")
    if "RANK" in os.environ:
        raise TrainingError("--nproc starts the processes itself; leave it out under torchrun")
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    os.environ["PYTHONPATH"] = os.pathsep.join(
        p or os.getcwd() for p in sys.path
    )  # what is imported here is imported there
    if sys.platform == "win32":
        os.environ.setdefault("USE_LIBUV", "0")  # torch is built without it there
    plan = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=os.devnull),  # else folders are left in that of temporary files
    )
    logging.disable(logging.ERROR)  # the processes say what is wrong, and the exit code does
    # nobody is answered: a connection that waits here is there as long as this process is
    alive = socket.create_server(("127.0.0.1", 0), backlog=processes)
    os.environ[_LAUNCHER] = str(alive.getsockname()[1])
    try:
        elastic_launch(plan, sys.executable)("-P", "-m", "mirclr", *arguments)
    except SignalException:
        return 130
    except ChildFailedError as error:
        codes = [failure.exitcode for failure in error.failures.values()]
        # the launcher ends the rest by SIGTERM
        killed = [-code for code in codes if code < 0 and code != -signal.SIGTERM]
        if killed:
            raise TrainingError(
                f"a process was killed by signal {killed[0]}, as where memory runs out; what was saved is safe: add "
                "--resume to continue"
            ) from error
        return max(1, *codes)
    finally:
        logging.disable(logging.NOTSET)
        del os.environ[_LAUNCHER]
        alive.close()
    return 0
