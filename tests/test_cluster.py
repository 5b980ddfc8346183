"""Training by torchrun: a worker that is lost is started again with the others, and two hosts train as one."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import distributed

from mirclr.training.distributed import Ranks, _meet
from mirclr.training.run_folder import METRICS, STATE
from tests.made_up_shards import of_ranks
from tests.ranks import TINY, losses, made_light

ROOT = Path(__file__).parents[1]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A recipe on shards: its path and how it is changed, as words of a command."""
    folder = tmp_path_factory.mktemp("recipe")
    overrides = [*of_ranks(folder), "training.log_every=1", "training.steps=60", "training.checkpoint_minutes=1e-9"]
    (folder / "recipe.yaml").write_text(TINY)
    return [str(folder / "recipe.yaml"), *(word for o in overrides for word in ("--set", o))]


@pytest.fixture(scope="module")
def alone(recipe: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The losses of one process."""
    with pytest.MonkeyPatch.context() as patch:
        made_light(patch)
        return losses(recipe[2::2], folder := tmp_path_factory.mktemp("alone"), folder)


def torchrun(to: Path, *words: str, before: tuple[str, ...] = (), **environment: str) -> "subprocess.Popen[str]":
    # what torchrun leaves in the folder for temporary files goes with the test's
    here = os.environ | {
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(to),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
    }
    return subprocess.Popen(
        [*before, *TORCHRUN, *words],
        env=here | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def logged(run: Path) -> list[float]:
    """The losses of a run's log, whose steps must be there once each."""
    lines = [json.loads(line) for line in (run / METRICS).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    return [line["loss"] for line in lines]


def workers(run: Path) -> list[int]:
    """The processes that train into a folder, those of torchrun left out."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it ended just now
        if str(run).encode() in words and b"torch.distributed.run" not in words:
            found.append(int(process.name))
    return sorted(found)


@pytest.fixture
def hosts() -> Iterator[list[tuple[tuple[str, ...], list[str], dict[str, str]]]]:
    """Of each of two hosts what stands before a command, and what torchrun is given; one where there cannot be two.

    Hosts are network namespaces joined by a cable.
    """
    names, cables = ([f"{kind}{os.getpid()}-{i}" for i in (0, 1)] for kind in ("mirclr-", "mc"))

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)

    with ExitStack() as made:
        try:
            for name in names:
                ip("netns", "add", name)
                made.callback(subprocess.run, ["ip", "netns", "delete", name], capture_output=True)
            ip(
                "link",
                "add",
                cables[0],
                "netns",
                names[0],
                "type",
                "veth",
                "peer",
                "name",
                cables[1],
                "netns",
                names[1],
            )
            for i, (name, cable) in enumerate(zip(names, cables, strict=True)):
                ip("-n", name, "address", "add", f"10.99.0.{i + 1}/24", "dev", cable)
                for device in ("lo", cable):
                    ip("-n", name, "link", "set", device, "up")
        except (OSError, subprocess.CalledProcessError):
            yield [((), ["--standalone", "--nproc-per-node=2"], {})]
            return
        meet = ["--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", "--rdzv-endpoint=10.99.0.1:29400"]
        meet += ["--rdzv-id=1"]
        yield [
            (
                ("ip", "netns", "exec", name),
                [*meet, f"--local-addr=10.99.0.{i + 1}", f"--rdzv-conf=is_host={1 - i}"],  # as a name would show
                {"GLOO_SOCKET_IFNAME": cable},
            )
            for i, (name, cable) in enumerate(zip(names, cables, strict=True))
        ]


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc, by which a process is found")
def test_two_hosts_train_as_one_process_and_a_worker_that_is_killed_starts_again_from_the_last_state(
    hosts: Any, recipe: list[str], alone: list[float], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train = ["-m", "mirclr", "train", *recipe, "-o", str(run), "--device", "cpu", "--resume"]
    how = ["--max-restarts=2", "--monitor-interval=0.1"]
    processes = [torchrun(tmp_path, *meet, *how, *train, before=before, **more) for before, meet, more in hosts]
    while all(p.poll() is None for p in processes) and not (run / STATE).exists():
        time.sleep(0.005)
    os.kill(workers(run)[-1], signal.SIGKILL)
    log = "\n".join(process.communicate(timeout=300)[0] for process in processes)
    assert {process.returncode for process in processes} == {0}, log
    assert "resuming after step" in log
    assert log.count("trained 60 steps") == 1
    np.testing.assert_allclose(logged(run), alone, rtol=1e-4)


@pytest.mark.skipif(os.name == "nt", reason="scripts of bash")
def test_the_scripts_for_slurm_start_what_they_say(tmp_path: Path) -> None:
    """With stand-ins for Slurm, torchrun and mirclr, which say how they were called."""
    tools = {
        "scontrol": "printf 'n7\nn8\n'",
        "srun": 'shift; exec "$@"',
        "torchrun": 'printf "%s\n" torchrun "$@"',
        "mirclr": 'printf "%s\n" mirclr "$@"',
    }
    for name, does in tools.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    slurm = {"SLURM_JOB_NODELIST": "n[7-8]", "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_ID": "41"}
    slurm |= {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "16", "SLURM_CPUS_PER_TASK": "4"}
    slurm["PATH"] = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    folder = ROOT / "recipes" / "cluster"

    def words(*line: str) -> str:
        environment = os.environ | slurm
        done = subprocess.run(["bash", *line], env=environment, check=True, capture_output=True, text=True)
        return done.stdout.replace("\n", " ").strip()

    started = words(str(folder / "slurm.sh"), "r.yaml", "run", "--set", "seed=2")
    assert started.startswith("torchrun --nnodes=2 --nproc-per-node=gpu ")
    assert "--rdzv-id=41 --rdzv-backend=c10d --rdzv-endpoint=n7:29400 " in started
    assert started.endswith(" -m mirclr train r.yaml -o run --resume --set seed=2")
    packed = words(str(folder / "shard.sh"), "r.yaml", "s3://b/clips", "--seconds", "30")
    assert packed == "mirclr clips shard r.yaml -o s3://b/clips --part 3/16 --workers 4 --seconds 30"


# how they meet


def meet(port: int, world: int) -> list[Any]:
    """What some processes find by which they alone exchange; each says there that it came."""
    found: list[Any] = [None] * world

    def start(rank: int) -> None:
        store = distributed.TCPStore("127.0.0.1", port, is_master=False)
        found[rank] = _meet(store, Ranks(rank, world, rank, world))
        found[rank].add("came", 1)

    threads = [threading.Thread(target=start, args=(rank,), daemon=True) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_processes_that_start_again_meet_each_other_and_none_of_before() -> None:
    kept = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    for world in (3, 2, 3):
        kept.set("mirclr-here-1", "of one that was killed before it was answered")
        assert [store.add("came", 0) for store in meet(kept.port, world)] == [world] * world
