"""What training costs here, for paper.py: a step and its parts, two processes against one, exchanges, a lost worker.

    python recipes/cluster/measure.py [--device cuda] [--batch 2048]

Writes measured-cpu.json or measured-cuda.json beside itself, after each part. Clips are noise: what they hold costs
nothing. On a CPU each process has one thread, so that two processes are twice the machine of one. What one does alone
is given in seconds of a core, which others on the machine change little; what two do needs a quiet machine. Of GPUs
each process has one, and where there is a single one, what needs two is left out.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from mirclr.config import Recipe, read_recipe
from mirclr.data.batches import Batch
from mirclr.data.clips import Cached, ClipCache
from mirclr.data.manifest import Track
from mirclr.data.shards import Plan, finish, write_shards
from mirclr.data.targets import Targets
from mirclr.library.store import LibraryStore
from mirclr.models.checkpoint import load_checkpoint
from mirclr.models.device import pick_precision
from mirclr.models.pretrained import builtin_checkpoint
from mirclr.objectives import objective_from
from mirclr.provenance import stamp, writing
from mirclr.storage import Folder
from mirclr.training.distributed import ALONE, Ranks, joined
from mirclr.training.trainer import Trainer

HERE = Path(__file__).resolve().parent
ROUNDS = 7


class Noise:
    """Batches of noise, the same for all processes."""

    n_labels = 0
    digest = "noise"
    teacher_digest = None
    teacher_columns: dict[str, int] = {}  # noqa: RUF012

    def __init__(self, recipe: Recipe, frames: int) -> None:
        self.n_tracks = self.size = recipe.training.batch
        rng = np.random.default_rng(0)
        self.block = torch.from_numpy(rng.random((2 * self.size, frames, recipe.mel.n_mels)).astype("<f2") * 5)

    def batch(self, number: int, own: slice = slice(None)) -> Batch:
        """The same batch, whatever its number."""
        instance = torch.arange(self.size).repeat(2)
        return Batch(self.block[own], Targets(instance, recording=instance, index=instance), ("",) * self.size)


def recipe_of(batch: int) -> Recipe:
    """The recipe of this folder, with a batch."""
    sets = [f"training.batch={batch}", "training.workers=0", "training.log_every=1000000"]
    return read_recipe(HERE / "recipe.yaml", overrides=sets)


def seconds_of(work: Any, device: torch.device, times: int = ROUNDS, clock: Any = None) -> float:
    """The median time that a piece of work takes, after two untimed ones: on a CPU seconds of a core."""
    clock, found = clock or (time.process_time if device.type == "cpu" else time.perf_counter), []
    for i in range(times + 2):
        began = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if i >= 2:
            found.append(clock() - began)
    return statistics.median(found)


class Counted:
    """While it lasts, the bytes that this process hands to each kind of exchange, and how often."""

    def __enter__(self) -> dict[str, dict[str, int]]:
        self.found: dict[str, dict[str, int]] = {}
        self.kept = {name: getattr(distributed, name) for name in ("all_gather", "all_reduce")}
        for name, call in self.kept.items():
            setattr(distributed, name, partial(self._count, name, call))
        return self.found

    def _count(self, name: str, call: Any, *arguments: Any, **more: Any) -> Any:
        tensor = arguments[1] if name == "all_gather" else arguments[0]
        of = self.found.setdefault(name, {"times": 0, "bytes": 0})
        of["times"] += 1
        of["bytes"] += tensor.numel() * tensor.element_size()
        return call(*arguments, **more)

    def __exit__(self, *_: Any) -> None:
        for name, call in self.kept.items():
            setattr(distributed, name, call)


def worker(batch: int, device_name: str, out: Path) -> None:
    """One process of one or two: steps of one alone, of both, and of both with twice the batch, in turns."""
    if device_name == "cpu":
        torch.set_num_threads(1)
    with joined(device_name) as (ranks, device), tempfile.TemporaryDirectory() as folder:

        def trainer(size: int, by: Ranks) -> Trainer:
            recipe = recipe_of(size)
            frames = round(recipe.audio.clip_seconds * recipe.audio.sample_rate) // recipe.mel.hop_length * 4 // 3 + 2
            return Trainer(
                recipe, Noise(recipe, frames), Path(folder) / f"{size}-{by.world}", device=str(device), ranks=by
            )

        kinds = {"one": trainer(batch, ALONE)} if ranks.first else {}
        both = {"two": batch, "two_of_twice_the_batch": 2 * batch} if ranks.world > 1 else {}
        kinds |= {name: trainer(size, ranks) for name, size in both.items()}
        taken: dict[str, list[float]] = {name: [] for name in ("one", *both)}
        for _ in range(ROUNDS + 1):
            for name, times in taken.items():
                ranks.barrier()
                began = time.perf_counter()
                if name in kinds:
                    made = kinds[name]
                    made._make_step(made._read(made.step))
                    if device.type == "cuda":
                        torch.cuda.synchronize(device)
                times.append(time.perf_counter() - began)
        found: dict[str, Any] = {"batch": batch, "steps_s": {name: times[1:] for name, times in taken.items()}}
        if ranks.world > 1:
            with Counted() as found["exchanged_a_step"]:
                kinds["two"]._gradients(kinds["two"]._read(0))
            found["exchange_s"] = {}
            for numbers in (1, 1 << 16, 1 << 20, 1 << 22):
                x = torch.zeros(numbers, device=device)
                found["exchange_s"][str(4 * numbers)] = seconds_of(
                    lambda x=x: distributed.all_reduce(x), device, 20, time.perf_counter
                )
        if ranks.first:
            alone = kinds["one"]
            parameters = [p for p in alone.student.parameters() if p.requires_grad]
            found["step_s"] = seconds_of(lambda: alone._make_step(alone._read(0)), device)
            found["parameters"] = sum(p.numel() for p in parameters)
            norms = (m for m in alone.student.modules() if "BatchNorm" in type(m).__name__)
            found["statistics"] = [2 * m.num_features + 1 for m in norms]  # type: ignore[operator]
            found["dim"] = alone.recipe.projector.dim
            found["loss_s"] = {str(rows): loss_of(alone.recipe, rows, device) for rows in (2 * batch, 32 * batch)}
            out.write_text(json.dumps(found))
        ranks.barrier()


def loss_of(recipe: Recipe, rows: int, device: torch.device) -> float:
    """Seconds of the loss of so many projections, and its gradient."""
    z = torch.randn(rows, recipe.projector.dim, device=device, requires_grad=True)
    half = torch.arange(rows // 2, device=device).repeat(2)
    loss = objective_from(recipe.objective, n_tracks=rows, dim=recipe.projector.dim).to(device)
    return seconds_of(lambda: loss(z, Targets(half, recording=half, index=half)).backward(), device, 5)


def together(world: int, batch: int, device: str) -> dict[str, Any]:
    """What one process or two measure."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        words = [str(HERE / "measure.py"), "--worker", str(out), "--batch", str(batch), "--device", device]
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"} if device == "cpu" else None
        subprocess.run([sys.executable, *torchrun, *words], check=True, env=environment)
        found: dict[str, Any] = json.loads(out.read_text())
        return found


class _Made(ClipCache):
    """A cache in which tracks of noise are, without having been decoded."""

    def fill(self, tracks: Any, root: Path, *, workers: int | None = None) -> Any:
        self.folder.mkdir(parents=True, exist_ok=True)
        for track in tracks:
            file = self.folder / f"{int(track.id):032x}.raw"
            (np.random.default_rng(int(track.id)).random((400, self.row)) * 5).astype(self.dtype).tofile(file)
            yield Cached(track, file, 400)


def lost(device: str) -> dict[str, float]:
    """A worker of two is killed: how long until the run is again where it was."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = Plan.of([Track(id=str(i), path=f"{i}") for i in range(400)], 50, None)
        cache, place = _Made(recipe_of(64), "mel", folder / "cache"), Folder(str(folder / "shards"))
        list(write_shards(plan, cache, folder, place))
        finish(plan, cache, place)
        run = folder / "run"
        changes = [f"data.train={folder}/shards/shards.json", "training.batch=16", "training.steps=1000000"]
        changes += ["training.schedule=constant", "training.log_every=1", "training.checkpoint_minutes=0.1"]
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1"]
        train = ["-m", "mirclr", "train", str(HERE / "recipe.yaml"), "-o", str(run), "--resume", "--device", device]
        words = [word for change in changes for word in ("--set", change)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        process = subprocess.Popen([sys.executable, *torchrun, *train, *words], env=environment)
        try:
            began = time.monotonic()
            _wait(lambda: _last_step(run) >= 1)
            started = time.monotonic() - began
            _wait(lambda: (run / "state.safetensors").exists() and time.monotonic() - began > started + 9)
            at, when = _last_step(run), time.monotonic()
            os.kill(_children(process.pid)[-1], signal.SIGKILL)
            _wait(lambda: _last_step(run) < at)  # the log is cut to the state that is gone on from
            resumed, back_at = time.monotonic() - when, _last_step(run)
            _wait(lambda: _last_step(run) >= at)
            return {
                "first_step_s": round(started, 1),
                "resumed_s": round(resumed, 1),
                "again_where_it_was_s": round(time.monotonic() - when, 1),
                "steps_made_again": at - back_at,
            }
        finally:
            process.terminate()
            process.wait()


def _wait(done: Any) -> None:
    while not done():
        time.sleep(0.02)


def _last_step(run: Path) -> int:
    try:
        return int(json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["step"])
    except (OSError, ValueError, IndexError):
        return 0


def _children(process: int) -> list[int]:
    """The processes that one has started, by /proc."""
    return sorted(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))


def embedding(device: torch.device) -> dict[str, float]:
    """What the built-in encoder's network takes of a track's excerpts, decoded already; on a CPU by one thread."""
    model = load_checkpoint(builtin_checkpoint()).model.to(device).eval()
    recipe, tracks = model.recipe, 4 if device.type == "cpu" else 64
    rows = tracks * recipe.embedding.excerpts
    clips = torch.rand(rows, round(recipe.audio.clip_seconds * recipe.audio.sample_rate), device=device) - 0.5
    dtype = pick_precision("auto", device)
    if device.type == "cpu":
        torch.set_num_threads(1)
    with torch.inference_mode(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        taken = seconds_of(lambda: model(clips), device)
    return {"excerpts": recipe.embedding.excerpts, "tracks_at_once": tracks, "network_s_a_track": taken / tracks}


def library_of(file: Path) -> dict[str, int]:
    """How large a library is."""
    with LibraryStore.open(file) as library:
        return {"tracks": len(library.ids()), "bytes": file.stat().st_size}


def main() -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch", type=int, help="tracks of a batch; 32, or 2048 on GPUs")
    parser.add_argument(
        "--library", type=Path, help="a library of embedded, described and classified songs, for its size"
    )
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    batch = asked.batch or (32 if asked.device == "cpu" else 2048)
    if asked.worker:
        worker(batch, asked.device, asked.worker)
        return
    two = asked.device == "cpu" or torch.cuda.device_count() > 1
    name = torch.cuda.get_device_name() if asked.device == "cuda" else "a CPU core"
    before = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    found: dict[str, Any] = {
        "what": "a step of recipes/cluster on made-up clips, by one process and by two; its parts; a lost worker",
        "device": name,
        "step": together(1, batch, asked.device),
        "embedding": embedding(torch.device(asked.device)),
        "library": library_of(asked.library) if asked.library else None,
        "two": None,
        "lost": None,
        "load_before": before,
        "provenance": stamp(),
    }
    write(found, asked.device)
    if not two:
        return
    write(found := found | {"two": together(2, batch, asked.device)}, asked.device)
    if Path("/proc/self/task").exists():
        write(found | {"lost": lost(asked.device)}, asked.device)


def write(found: dict[str, Any], device: str) -> None:
    """Keep what was found, and print it."""
    with writing(HERE / f"measured-{device}.json", "w") as f:
        f.write(json.dumps(found, indent=1) + "\n")
    print(json.dumps({k: v for k, v in found.items() if k != "provenance"}), flush=True)


if __name__ == "__main__":
    main()
