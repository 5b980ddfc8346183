"""A session of Ray, and work in its processes.

Without an address a Ray of this machine alone is started for the run: it listens on the loopback interface, has no
dashboard and reports nothing to anybody, and its folder goes with it. The work is stateless tasks: Ray starts one
wherever there is room, and again elsewhere when its process or its machine is lost.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mirclr.errors import ClusterError, MirclrError, MissingExtra, in_words
from mirclr.version import __version__

_OF_A_CORE = 0.9  # that a task asks for: what others on the cluster need beside it, such as reading, is left some
_RETRIES = 20  # of a task whose process or machine was lost
_OBJECTS = 80 << 20  # bytes for what tasks are given and give, which is little: rows are written where they are made
_LONGEST_FOLDER = 32  # letters: the paths of sockets in it may have 104 in all
_LOOK_S = 1.0


class Cluster:
    """What is at hand, and work on it.

    Parameters
    ----------
    workers : int
        How many tasks run at once; 0: as many as there is room for.
    gpus : bool
        Whether each task takes a GPU; then it takes the cores that come with that too.

    Raises
    ------
    ClusterError
        There is nothing to compute with.
    """

    def __init__(self, workers: int = 0, *, gpus: bool = False) -> None:
        import ray

        self.workers, self.gpus = workers, gpus
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cores = sum(node.get("CPU", 0.0) for node in nodes)
        self.of_node = max((node.get("CPU", 0.0) for node in nodes), default=0.0)
        self.slots = int(sum(node.get("GPU", 0.0) for node in nodes)) if gpus else max(1, int(cores))
        if cores <= 0:
            raise ClusterError("the cluster has no cores to compute with; add a machine to it, or one with --num-cpus")
        if self.slots <= 0:
            raise ClusterError("the cluster has no GPU; use --device cpu, or add a machine with one")
        self.readers = max(1, int(cores) // self.slots) if gpus else 1
        self.request = request(cores, self.of_node, workers, self.slots if gpus else 0)

    def run(self, function: Callable[..., Any], jobs: Iterable[Sequence[Any]]) -> Iterator[Any]:
        """Run a function over jobs on the cluster; its results come as they are there, in any order.

        Parameters
        ----------
        function : callable
            At the top of a module; called as ``function(*job)``, again where its process was lost.
        jobs : iterable of sequence
            Taken as there is room: a few more than run at once.

        Raises
        ------
        ClusterError
            The process of a job was lost again and again, or the cluster is gone.
        Exception
            What the function raises.
        """
        import ray

        options: dict[str, Any] = {"num_cpus": self.request, "max_retries": _RETRIES, "max_calls": 0}
        remote = ray.remote(**(options | ({"num_gpus": 1} if self.gpus else {})))(_checked)
        most = self.workers or 2 * self.slots
        running: list[Any] = []
        # what runs when this is left is not cancelled: Ray ends the tasks of a driver that leaves, and to cancel one
        # that ends just now kills the driver (Ray 2.60: "Tried to complete task that was not pending")
        for job in jobs:
            while len(running) >= most:
                yield from _finished(running)
            running.append(remote.remote(__version__, function, *job))
        while running:
            yield from _finished(running)


def has_gpu() -> bool:
    """Whether the cluster of this session has a GPU."""
    import ray

    return bool(ray.cluster_resources().get("GPU", 0))


def request(cores: float, of_node: float, workers: int, gpus: int) -> float:
    """The part of a core that a task asks for, so that it fits on some machine whatever was asked for.

    Parameters
    ----------
    cores, of_node : float
        Of the cluster, and of its largest machine.
    workers : int
        How many tasks are to run at once; 0: as many as there are cores, or GPUs.
    gpus : int
        How many GPUs there are where each task takes one; else 0.

    Returns
    -------
    float
        Above 0, below 1, and no more than the largest machine has.
    """
    tasks = workers or gpus or cores
    fits = _OF_A_CORE * min(1.0, cores / tasks, of_node)
    return max(1e-4, int(fits * 1e4) / 1e4)  # in ten thousandths, which is as fine as Ray counts


def _checked(version: str, function: Callable[..., Any], *job: Any) -> Any:
    if version != __version__:
        raise ClusterError(
            f"a machine of the cluster has mirclr {__version__}, this one {version}; install one of both"
        )
    return function(*job)


def _finished(running: list[Any]) -> Iterator[Any]:
    """The results that have come; those are taken from `running`."""
    import ray

    done, rest = ray.wait(running, num_returns=1, timeout=_LOOK_S)
    running[:] = rest
    for one in done:
        with _in_our_words():
            result = ray.get(one)
        yield result


@contextmanager
def _in_our_words() -> Iterator[None]:
    """Raise what a function raised in a process of Ray as it is, and what befell that process as a `ClusterError`."""
    from ray import exceptions

    try:
        yield
    except exceptions.RayTaskError as error:
        if isinstance(error.cause, MirclrError | OSError | MemoryError):
            raise error.cause from None
        raise
    except exceptions.RayError as error:
        raise ClusterError(
            f"the process of a task was lost {_RETRIES + 1} times, or the cluster is gone ({_first_line(error)}); "
            "what was done is kept: run it again to go on"
        ) from None


def _first_line(error: BaseException) -> str:
    lines = in_words(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def session(address: str | None = None, *, cores: int | None = None) -> Iterator[None]:
    """Join a cluster, or start a Ray of this machine alone; a session that is there already is used.

    Parameters
    ----------
    address : str, optional
        ``auto`` for the cluster that this machine is part of, ``host:port`` or ``ray://host:port`` for another; unless
        given, or in ``$RAY_ADDRESS``, this machine alone.
    cores : int, optional
        Of this machine alone; all unless given.

    Raises
    ------
    MissingExtra
        ray is not installed.
    ClusterError
        The cluster cannot be reached, or none can be started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    require_ray()
    import ray

    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS")
    folder = None if address else _short_folder()
    try:
        _begin(address, folder, cores)
        yield
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def require_ray() -> None:
    """Raise `MissingExtra` where Ray is not installed: before other parts of it, which its extra brings, are missed."""
    if find_spec("ray") is None:
        raise MissingExtra.of("work on a cluster (--on ray)", "ray")


def _begin(address: str | None, folder: Path | None, cores: int | None) -> None:
    import ray

    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
    if folder or (address or "").partition(":")[0] in ("127.0.0.1", "localhost"):
        _listen_here_only()
    if folder:
        here = {"address": "local", "num_cpus": cores, "include_dashboard": False, "object_store_memory": _OBJECTS}
        options |= here | {"_temp_dir": str(folder)}
    _keep_quiet()
    try:
        ray.init(**options)
    except (ConnectionError, TimeoutError, RuntimeError, ValueError, OSError) as error:
        where = f"cannot be reached at {address}" if address else "cannot be started on this machine"
        raise ClusterError(f"Ray {where} ({_first_line(error)})") from error


def _listen_here_only() -> None:
    """Have a Ray of this machine alone listen on the loopback interface, as Ray has it on macOS and Windows by itself.

    Who can reach a port of Ray can run programs. It is no option of `ray.init`, which takes 127.0.0.1 for "this
    machine" and listens on all its addresses.
    """
    from ray._private import ray_constants

    ray_constants.ENABLE_RAY_CLUSTER = False


def _keep_quiet() -> None:
    """Have Ray print nothing on standard output, where commands print what was asked for, such as JSON.

    It does so of each process that was lost, whatever its options; where that matters it comes as an error.
    """
    from ray._private import worker

    worker.print_to_stdstream = lambda *_, **__: None


def _short_folder() -> Path:
    """A folder of this run's own, with a path so short that sockets can be in it."""
    usual = tempfile.gettempdir()
    base = "/tmp" if sys.platform != "win32" and len(usual) > _LONGEST_FOLDER else usual  # noqa: S108
    return Path(tempfile.mkdtemp(prefix="mr-", dir=base))
