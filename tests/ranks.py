"""Processes that train together, for tests: `train_together` starts them, and each runs this file.

What they are to do is a list of jobs in a JSON file, done one after another in the same processes, as to start them
takes longer than all the training. The results of process 0 come back as JSON.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed

from mirclr.audio.mel import LogMel
from mirclr.audio.views import Views
from mirclr.config import parse_recipe
from mirclr.data.clips import ClipCache, _decode, names_shards
from mirclr.data.manifest import Track
from mirclr.data.shards import ShardSet
from mirclr.data.streaming import ShardSource
from mirclr.errors import MirclrError
from mirclr.objectives import is_useful
from mirclr.training import trainer as training
from mirclr.training.distributed import ALONE, Ranks, joined
from mirclr.training.run import clip_source
from mirclr.training.trainer import Trainer
from mirclr.training.validation import Validation

AUDIO = Path(__file__).parent / "audio"
TINY = """
name: tiny
seed: 3
data: {train: tracks.jsonl, labels: artist}
audio: {clip_seconds: 0.5}
mel: {n_mels: 24}
augment:
  mel:
    - {name: time_stretch}
    - {name: pitch_shift}
    - {name: noise}
    - {name: background_mix}
encoder: {name: resnet, widths: [4], blocks: [1]}
projector: {hidden: 8, dim: 8}
training: {steps: 4, batch: 5, lr: 5e-5, warmup: 1, log_every: 2, precision: float32}
embedding: {excerpts: 2}
"""


class Bands:
    """A teacher whose outputs are the level of each band, and how it moves."""

    digest = "bands"
    columns = {"soft_targets": 24, "tags": 24, "embedding": 24, "features": 48}  # noqa: RUF012

    def __call__(self, inputs: Tensor) -> dict[str, Tensor]:
        level, std = inputs.mean(dim=2), inputs.std(dim=2)
        return {
            "soft_targets": level.softmax(dim=1),
            "tags": level.sigmoid(),
            "embedding": level,
            "features": torch.cat([level, std], dim=1),
        }


def made_light(patch: pytest.MonkeyPatch) -> None:
    """Leave out what takes longer than these runs: TensorBoard, and statistics of many batches."""
    patch.setattr(training, "_FITTED_ON", (40, 4))
    patch.setattr(training, "_tensorboard", lambda run: training._no_board)


def trainer(overrides: list[str], run: Path, clips: Path, ranks: Ranks = ALONE, **options: Any) -> Trainer:
    """A trainer of the songs, decoded where they were not, without processes."""
    recipe = parse_recipe(TINY, overrides=overrides)
    if names_shards(recipe.data.train):
        shape = Views(recipe, LogMel.of(recipe.mel, recipe.audio.sample_rate)).takes
        shards = ShardSet.open(recipe.data.train)
        source = ShardSource(shards, shape, recipe, is_useful=partial(is_useful, recipe.objective))
        return Trainer(recipe, source, run, device="cpu", ranks=ranks, **options)
    cache = ClipCache(recipe, Views(recipe, LogMel.of(recipe.mel, recipe.audio.sample_rate)).takes.domain, clips)
    found = []
    for song in sorted(AUDIO.glob("*.ogg")):
        file = cache.folder / f"{song.stem}.raw"
        if not file.exists():
            assert _decode(song, file, cache.domain, cache.rate, cache.mel, None) is None
        found.append(cache._cached(Track(id=song.stem, path=song.name, artist=song.stem.split("-")[0]), file))
    if recipe.validation:
        labelled = [(cached, cached.track.artist) for cached in found for _ in range(2)]
        options["validation"] = Validation(recipe.validation, cache, labelled)
    if recipe.distillation:
        options["teacher"] = Bands()
    return Trainer(recipe, clip_source(recipe, cache, found), run, device="cpu", ranks=ranks, **options)


def losses(overrides: list[str], run: Path, clips: Path, ranks: Ranks = ALONE, **options: Any) -> list[float]:
    """The losses of a whole run."""
    return [float(report.loss) for report in trainer(overrides, run, clips, ranks, **options).train()]


def train_together(jobs: list[dict[str, Any]], folder: Path, *, world: int = 2) -> list[Any]:
    """Run jobs in several processes; their results, in order."""
    (folder / "jobs.json").write_text(json.dumps(jobs))
    results = folder / "results.json"
    processes = start(world, ["-m", "tests.ranks", str(folder / "jobs.json"), str(results)])
    said = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * world, "\n".join(said)
    found: list[Any] = json.loads(results.read_text())
    return found


def start(world: int, arguments: list[str], **more: str) -> list["subprocess.Popen[str]"]:
    """Start Python so many times, in the environment that torchrun sets."""
    # the port is one that the system gives: no other process can take it meanwhile
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    root = Path(__file__).parents[1]
    common = os.environ | {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(root), *filter(None, sys.path)]),
        **more,
    }
    processes = [
        subprocess.Popen(
            [sys.executable, *arguments],
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=root,
        )
        for rank in range(world)
    ]
    for process in processes:
        process.store = store  # type: ignore[attr-defined]  # it lives as long as they do
    return processes


def _job(job: dict[str, Any], ranks: Ranks) -> Any:
    run, clips = Path(job["run"]), Path(job["clips"])
    if job["kind"] == "train":
        return losses(job["overrides"], run, clips, ranks, resume=job.get("resume", False))
    if job["kind"] == "some steps":
        made = trainer(job["overrides"], run, clips, ranks)
        steps = made.train()
        found = [float(next(steps).loss) for _ in range(job["steps"])]
        made.save()
        steps.close()
        return found
    if job["kind"] == "disagree":
        try:
            trainer([*job["overrides"], f"seed={ranks.rank}"], run, clips, ranks)
        except MirclrError as error:
            return str(error)
    if job["kind"] == "interrupted":  # one process alone
        made, count = trainer(job["overrides"], run, clips, ranks), 0
        try:
            for report in made.train():
                count += 1
                if ranks.rank == 1 and report.step == 2:
                    os.kill(os.getpid(), 15)
        except KeyboardInterrupt:
            return [count, made.step]
    if job["kind"] == "not finite":
        made = trainer(job["overrides"], run, clips, ranks)
        total = made.criterion.total
        made.criterion.total = lambda losses: total(losses) * float("nan")  # type: ignore[method-assign]
        try:
            list(made.train())
        except MirclrError as error:
            return str(error)
    raise AssertionError(job)


def _threads_of_the_exchange() -> list[str]:
    names = []
    for file in Path("/proc/self/task").glob("*/comm"):
        with suppress(OSError):  # it ended just now
            names.append(file.read_text())
    return [name for name in names if "gloo" in name]


def main() -> None:
    """Do the jobs as one of several processes."""
    made_light(pytest.MonkeyPatch())
    torch.set_num_threads(1)
    jobs, results = map(Path, sys.argv[1:3])
    with joined("cpu") as (ranks, _):
        found = [_job(job, ranks) for job in json.loads(jobs.read_text())]
        if ranks.first:
            results.write_text(json.dumps(found))
        kept = trainer([], Path(jobs.parent / "kept"), Path(json.loads(jobs.read_text())[0]["clips"]), ranks)
    for _ in range(1000):  # the system lists a thread for a moment after its end
        left = _threads_of_the_exchange()
        if not left:
            break
        time.sleep(0.01)
    assert not left, f"{kept}: threads of the exchange that would outlive the interpreter: {left}"


if __name__ == "__main__":
    main()
