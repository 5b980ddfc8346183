"""The training loop: resumable to the bit, readable on one screen.

All randomness of a step is a function of (seed, step), and the learning rate of the step alone, so a run that was
stopped and resumed gives the losses of an unbroken one on the same machine.

A run's folder holds ``recipe.yaml`` (resolved), ``metrics.jsonl`` (one line every `log_every` steps),
``state.safetensors`` (to resume from) and, when finished, ``encoder.safetensors``.
"""

import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirclr import config
from mirclr.audio.augment import ClipShape, Views, mix_clips
from mirclr.data.clips import Batch, Cached, ClipCache, ClipSource, Skipped
from mirclr.data.manifest import Track
from mirclr.data.soft_labels import SoftLabelFolder, SoftLabels
from mirclr.errors import NotFinite, TrainingError
from mirclr.metrics import knn_accuracy
from mirclr.models.checkpoint import (
    Checkpoint,
    encoder_digest,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from mirclr.models.device import pick_device, pick_precision
from mirclr.models.encoder import Model
from mirclr.objectives import Targets, fill_missing_labels, is_useful, objective_from
from mirclr.provenance import digest_json, stamp, writing
from mirclr.training.distributed import ALONE, Ranks

STATE, ENCODER, METRICS, RECIPE = "state.safetensors", "encoder.safetensors", "metrics.jsonl", "recipe.yaml"


@dataclass(frozen=True)
class Report:
    """What a run says of itself after a step: `metrics` is None between two log lines."""

    step: int
    steps: int
    loss: float
    metrics: dict[str, float] | None


class OnlineTeacher(Protocol):
    """What distillation asks of a teacher: label weights of the very clips that the student hears."""

    digest: str

    def __call__(self, heard: Tensor) -> Tensor:
        """(B, F, T) log-mel or (B, N) samples -> (B, C) non-negative rows."""


class Trainer:
    """A training run.

    Parameters
    ----------
    recipe : config.Recipe
        What to do.
    tracks : sequence of Cached
        What to learn from, in `cache`; none of a split for evaluation.
    cache : ClipCache
        Holds the tracks in the domain that `Views.takes` names.
    run : Path
        The run's folder.
    check : sequence of (Cached, label)
        Labelled tracks for the kNN check; may be empty.
    soft_labels : SoftLabels, optional
        Of the tracks, where the recipe's distillation names a folder.
    teacher : OnlineTeacher, optional
        Hears what the student hears, where the recipe's distillation names one.
    resume : bool
        Go on from the state in the folder, if there is one; else the folder must not hold one.
    device : str
        "auto", or a device of torch.
    ranks : Ranks
        This process among those that train together; see `mirclr.training.distributed.joined`.

    Raises
    ------
    TrainingError
        The folder holds a run and `resume` was not asked for, or its recipe differs; or the processes do not agree on
        recipe, tracks or state.
    ManifestError
        Fewer than two recordings, or one of a split for evaluation.
    """

    def __init__(
        self,
        recipe: config.Recipe,
        tracks: list[Cached],
        cache: ClipCache,
        run: Path,
        *,
        check: list[tuple[Cached, str]] | None = None,
        soft_labels: SoftLabels | None = None,
        teacher: OnlineTeacher | None = None,
        resume: bool = False,
        device: str = "auto",
        ranks: Ranks = ALONE,
    ) -> None:
        self.recipe, self.run, self.cache, self.ranks = recipe, run, cache, ranks
        self.device = pick_device(device)
        self.dtype = pick_precision(recipe.training.precision, self.device)
        torch.manual_seed(recipe.seed)
        self.model = Model(recipe).to(self.device)
        self.views = Views(recipe, self.model.mel)
        self.source = ClipSource(
            cache, tracks, self.views.takes, recipe, soft_labels, is_useful=partial(is_useful, recipe.objective)
        )
        self.teacher = teacher
        if recipe.distillation and soft_labels is None and teacher is None:
            raise TrainingError("the recipe has a distillation, but neither soft labels nor a teacher were given")
        self.objective = objective_from(
            recipe.objective,
            n_tracks=len(tracks),
            dim=recipe.projector.dim,
            n_labels=0 if self.source.labels is None else self.source.labels.shape[1],
        )
        self.objective.to(self.device)
        self.network = ranks.wrap(nn.Sequential(self.model.encoder, self.model.projector), 2 * recipe.training.batch)
        self.optimizer = torch.optim.AdamW(_decay_groups(self.model, recipe.training.weight_decay))
        self.check = check or []
        self.step = 0
        self._unlogged: list[float] = []  # losses since the last log line
        self._redrawn = 0  # batches since the last log line that taught nothing, and were drawn anew
        self.provenance = stamp(
            seed=recipe.seed,
            recipe=digest_json(recipe.model_dump(mode="json")),
            tracks=digest_json(sorted((t.track.id, t.file.name) for t in tracks)),
            n_tracks=len(tracks),
            precision=str(self.dtype).removeprefix("torch."),
            device=self.device.type,
            processes=ranks.world,
            teacher=None if not recipe.distillation else (teacher or soft_labels).digest,  # type: ignore[union-attr]
        )
        self._prepare_folder(resume)
        made_from = [self.provenance[key] for key in ("recipe", "tracks", "teacher", "precision")]
        ranks.agree("recipe, tracks, teacher and precision", json.dumps(made_from))
        ranks.agree(f"{run}: the state to go on from", f"{self.step} {self.digest()}")

    def _prepare_folder(self, resume: bool) -> None:
        state = self.run / STATE
        saved = check_run(self.recipe, self.run, resume=resume)
        self.ranks.barrier()  # all have looked before one writes
        if self.ranks.first:
            self.run.mkdir(parents=True, exist_ok=True)
        if self.ranks.first and saved is None:
            (self.run / METRICS).unlink(missing_ok=True)
        if self.ranks.first and (saved is None or saved.recipe != self.recipe):
            with writing(self.run / RECIPE, "w") as f:
                f.write(config.recipe_yaml(self.recipe))
        if saved is None:
            return
        if saved.provenance.get("tracks") != self.provenance["tracks"]:
            raise TrainingError(f"{state}: was made from other tracks; name another folder")
        if saved.provenance.get("teacher") != self.provenance["teacher"]:
            raise TrainingError(f"{state}: was made with another teacher; name another folder")
        self.model.load_state_dict(saved.model.state_dict())
        restore_optimizer(self.model, self.optimizer, saved.optimizer)
        self.objective.load_state_dict(saved.objective)
        self.step = saved.step or 0
        self._unlogged = list(saved.provenance.get("losses_since_log", []))
        self._redrawn = saved.provenance.get("redrawn_since_log", 0)
        if self.ranks.first:
            self._forget_after(self.step)

    def _forget_after(self, step: int) -> None:
        """Drop the log lines of steps that were made after the state was saved: they will be made again.

        With them goes what is no line of the log, such as a last one that was half written when the run was killed.
        """
        file = self.run / METRICS
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []
        with writing(file, "w") as f:
            f.writelines(line + "\n" for line in lines if (at := _step_of(line)) is not None and at <= step)

    def train(self) -> Iterator[Report]:
        """Make the steps that are left, yielding after each; the state is saved on the way and at the end.

        Of several processes all must iterate; they stop together.

        Raises
        ------
        NotFinite
            A loss, a gradient or a weight became NaN or infinite; the state of the last save is left as it was.
        OSError
            The run's folder cannot be written.
        KeyboardInterrupt
            After SIGINT or SIGTERM, once the state is saved.
        """
        plan, saved = self.recipe.training, time.monotonic()
        timed_from, timed_at = self.step, time.monotonic()
        board = _tensorboard(self.run) if self.ranks.first else _no_board
        with _stop_requested() as stopping, ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self._read, self.step)
            while self.step < plan.steps:
                batches = ahead.result()
                ahead = reader.submit(self._read, self.step + 1)
                loss = self._make_step(batches)
                self._unlogged.append(loss)
                self._redrawn += sum(batch.redrawn for batch in batches)
                self.step += 1
                metrics = None
                last = self.step == plan.steps
                check = self.recipe.validation if self.check else None
                checked = check is not None and (self.step % check.every == 0 or last)
                if self.step % plan.log_every == 0 or checked or last:
                    clips = 2 * plan.batch * plan.accumulate * (self.step - timed_from)
                    metrics = {"loss": float(np.mean(self._unlogged)), "lr": self._lr(self.step - 1)}
                    metrics["clips_per_s"] = clips / (time.monotonic() - timed_at)
                    if self._redrawn:
                        metrics["redrawn"] = self._redrawn
                    if checked:
                        metrics["knn_accuracy"] = self.knn_check()
                    self._log(metrics, board)
                    self._unlogged, self._redrawn = [], 0
                    timed_from, timed_at = self.step, time.monotonic()
                # asked once: a signal after this line waits for the next step's save
                stop = self.ranks.any(stopping.is_set())
                due = self.ranks.first and time.monotonic() - saved > 60 * plan.checkpoint_minutes
                if last or stop or due:
                    self.save()
                    saved = time.monotonic()
                yield Report(self.step, plan.steps, loss, metrics)
                if stop and not last:
                    raise KeyboardInterrupt
        if self.ranks.first:
            save_checkpoint(self.run / ENCODER, self.model, self.provenance | {"steps": self.step})

    def _read(self, step: int) -> list[Batch]:
        """The batches of a step, read while the one before is worked on."""
        n = self.recipe.training.accumulate
        return [self.source.batch(step * n + i) for i in range(n)]

    def _make_step(self, batches: list[Batch]) -> float:
        """Forward, backward and update; returns the mean loss."""
        plan = self.recipe.training
        generator = torch.Generator().manual_seed(_mixed_seed(self.recipe.seed, self.step))
        torch.manual_seed(_mixed_seed(self.recipe.seed, self.step) + 1)  # dropout draws from the global generator
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for i, batch in enumerate(batches):
            accumulating = self.ranks.without_exchange(self.network) if i + 1 < len(batches) else nullcontext()
            with accumulating:
                loss = self._loss(batch, generator)
                value = float(loss.detach())
                if not math.isfinite(value):
                    names = ", ".join(batch.tracks[:8])
                    raise NotFinite(
                        f"step {self.step + 1}: the loss is {value}; batch of {len(batch.tracks)} tracks: {names} …; "
                        "lower training.lr, or raise objective.temperature"
                    )
                (loss / len(batches)).backward()
            total += value / len(batches)
        # without a bound the norm alone is wanted: gradients are multiplied by 1
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), plan.clip_norm or math.inf)
        if not math.isfinite(float(norm)):
            raise NotFinite(
                f"step {self.step + 1}: the loss is {total:g}, but the norm of its gradient is {float(norm)}; the step "
                "was not made; lower training.lr, raise objective.temperature, or set training.precision to float32"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = self._lr(self.step)
        self.optimizer.step()
        return total

    def _loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        clips = batch.clips.to(self.device, non_blocking=True)
        targets = batch.targets.to(self.device)
        taught = None if batch.taught is None else batch.taught.to(self.device)
        with torch.no_grad():
            heard = self.views(clips, generator)
            if self.recipe.augment.label_mix is not None:
                heard, targets, taught = self._mixed(heard, targets, taught, generator)
            total = len(heard)
            heard = heard[self.ranks.part(total)]
            if self.teacher is not None:
                taught = self.ranks.gather(self.teacher(heard), total)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            z = self.network(heard)
        z = self.ranks.gather(z.float(), total)
        plan = self.recipe.distillation
        if plan is None:
            return self.objective(z, targets)
        loss = self.objective(z, replace(targets, labels=taught))
        return loss if plan.alpha == "only" else self.objective(z, targets) + plan.alpha * loss

    def _mixed(
        self, heard: Tensor, targets: Targets, taught: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Targets, Tensor | None]:
        """Mix clips, and with them their labels and what a teacher said of them."""
        assert self.recipe.augment.label_mix is not None
        if self.recipe.objective.name == "cross_entropy" and targets.labels is not None:
            rows = targets.labels
        else:
            # tracks without labels must be mixed as themselves, so their rows are completed before
            rows = fill_missing_labels(targets)
        both = rows if taught is None else torch.cat([rows, taught], dim=1)
        heard, both = mix_clips(heard, both, self.recipe.augment.label_mix, generator)
        width = rows.shape[1]
        return heard, replace(targets, labels=both[:, :width]), None if taught is None else both[:, width:]

    def _lr(self, step: int) -> float:
        """Linear warm-up, then half a cosine down to zero (arXiv 1608.03983), or no change any more."""
        plan = self.recipe.training
        if step < plan.warmup:
            return plan.lr * (step + 1) / plan.warmup
        if plan.schedule == "constant":
            return plan.lr
        done = (step - plan.warmup) / max(1, plan.steps - plan.warmup)
        return plan.lr * 0.5 * (1 + math.cos(math.pi * done))

    def knn_check(self) -> float:
        """Accuracy of a kNN vote among the labelled tracks, each left out in turn."""
        assert self.recipe.validation is not None
        own = [self._vector(cached) for cached, _ in self.check[self.ranks.part(len(self.check))]]
        rows = np.stack(own) if own else np.zeros((0, self.model.encoder.dim), np.float32)
        vectors = self.ranks.gather(torch.from_numpy(rows), len(self.check)).numpy()
        labels = np.array([label for _, label in self.check])
        k, right = self.recipe.validation.k, []
        for i in range(len(labels)):
            others = np.arange(len(labels)) != i
            right.append(knn_accuracy(vectors[others], labels[others], vectors[[i]], labels[[i]], k=k))
        return float(np.mean(right))

    def embeddings(self, cached: Cached) -> Tensor:
        """(n, D) float32: the embeddings of evenly spread clips of a cached track, as many as `embedding.excerpts`."""
        length = self.views.samples if self.cache.domain == "waveform" else self.views.frames
        n = self.recipe.embedding.excerpts
        starts = ((np.arange(n) + 0.5) / n * max(0, cached.length - length)).astype(int)
        clips = self.cache.stack([self.cache.read(cached, int(s), length) for s in starts]).to(self.device)
        self.model.eval()
        with (
            torch.no_grad(),
            torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32),
        ):
            heard = self.model.front_end(clips) if self.cache.domain == "waveform" else clips
            return cast(Tensor, self.model.encoder(heard).float())

    def _vector(self, cached: Cached) -> np.ndarray:
        """(D,) float32 of unit length: a track's mean embedding."""
        vector: np.ndarray = F.normalize(self.embeddings(cached).mean(dim=0), dim=0).cpu().numpy()
        return vector

    def save(self) -> None:
        """Write the state that `resume` goes on from, unless it holds NaN or infinity; process 0 alone does."""
        if not self.ranks.first:
            return
        for name, tensor in self.model.state_dict().items():
            if not bool(torch.isfinite(tensor).all()):
                raise NotFinite(f"step {self.step}: {name} is not finite; the state before is kept: lower training.lr")
        tensors = optimizer_tensors(self.model, self.optimizer)
        provenance = self.provenance | {"losses_since_log": self._unlogged, "redrawn_since_log": self._redrawn}
        save_checkpoint(
            self.run / STATE,
            self.model,
            provenance,
            optimizer=tensors,
            objective=self.objective.state_dict(),
            step=self.step,
        )

    def digest(self) -> str:
        """Digest of the encoder as it is now."""
        return encoder_digest(self.model)

    def _log(self, metrics: dict[str, float], board: Callable[[int, dict[str, float]], None]) -> None:
        if not self.ranks.first:
            return
        with (self.run / METRICS).open("a", encoding="utf-8") as f:
            f.write(json.dumps({"step": self.step, **{k: float(f"{v:.6g}") for k, v in metrics.items()}}) + "\n")
        board(self.step, metrics)


def _decay_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weights decay; biases and normalisations do not."""
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _mixed_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed % 2**64, step]).generate_state(1, np.uint64)[0] >> 2)


def check_run(recipe: config.Recipe, run: Path, *, resume: bool) -> Checkpoint | None:
    """Look at a run's folder before anything is decoded; nothing is changed.

    Returns
    -------
    Checkpoint or None
        The state to go on from, if there is one.

    Raises
    ------
    TrainingError
        The folder holds a run and `resume` was not asked for, its recipe differs, or it cannot be written.
    CheckpointError
        The state cannot be read.
    """
    state = run / STATE
    if state.exists() and not resume:
        raise TrainingError(f"{run}: already holds a run; add --resume to go on, or name another folder")
    there = next(p for p in (run, *run.absolute().parents) if p.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        reason = "no permission to write there" if there.is_dir() else f"{there} is a file"
        raise TrainingError(f"{run}: cannot be written ({reason}); name another folder")
    if not state.exists():
        return None
    saved = load_checkpoint(state)
    if differs := _differences(saved.recipe, recipe, saved.step or 0):
        sections = ", ".join(dict.fromkeys(line.partition(":")[0].partition(".")[0] for line in differs))
        raise TrainingError(
            f"{state}: was made by another recipe ({sections}): {'; '.join(differs)}; name another folder"
        )
    return saved


def check_tracks(
    recipe: config.Recipe,
    tracks: Sequence[Track],
    root: Path,
    cache: ClipCache,
    shape: ClipShape,
    labels: SoftLabelFolder | None,
) -> list[Track]:
    """Look at tracks before they are decoded: their labels, and what a batch of them teaches.

    Returns
    -------
    list of Track
        Those of which a teacher's `labels` hold nothing: they cannot be learned from, unless they cannot be decoded.

    Raises
    ------
    ManifestError, ObjectiveError, RecipeError
        Training could not begin with them, even if all can be decoded.
    """
    places = list(cache.places(tracks, root))
    found = [Cached(place.track, place.file, length=0) for place in places if not isinstance(place, Skipped)]
    if not found:
        return []  # each is skipped by name where it is decoded
    source = ClipSource(cache, found, shape, recipe, is_useful=partial(is_useful, recipe.objective))
    if recipe.objective.name == "cross_entropy" and source.labels is not None:
        objective_from(recipe.objective, n_tracks=0, dim=recipe.projector.dim, n_labels=source.labels.shape[1])
    return [] if labels is None else [c.track for c in found if not labels.has(c.key)]


def _differences(saved: config.Recipe, asked: config.Recipe, step: int) -> list[str]:
    """Keys that differ between two recipes, in words; how often to save may change, and some schedules' length."""
    found = []
    a, b = (_flat(r.model_dump(mode="json")) for r in (saved, asked))
    for key in dict.fromkeys((*a, *b)):
        if a.get(key) == b.get(key) or key == "training.checkpoint_minutes":
            continue
        if key != "training.steps":
            found.append(f"{key}: {a.get(key)} then, {b.get(key)} now")
        elif asked.training.schedule == "cosine":
            found.append(
                f"training.steps: {a[key]} then, {b[key]} now, but training.schedule is cosine, by which every step's "
                "rate hangs on their number; with constant it may change"
            )
        elif b[key] < step:
            found.append(f"training.steps: {b[key]} now, but {step} were made")
    return found


def _flat(tree: dict[str, Any], before: str = "") -> dict[str, Any]:
    """The values of a recipe by dotted key; a list is one value."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
    return flat


def _step_of(line: str) -> int | None:
    """The step of a line of the log; None where it is none."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return step if isinstance(step, int) else None


@contextmanager
def _stop_requested() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; the second SIGINT interrupts at once."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def handler(number: int, frame: object) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    before = {s: signal.signal(s, handler) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _no_board(step: int, metrics: dict[str, float]) -> None:
    """Write no scalars."""


def _tensorboard(run: Path) -> Callable[[int, dict[str, float]], None]:
    """A function that writes scalars for TensorBoard, or does nothing where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return _no_board
    writer = SummaryWriter(str(run / "tensorboard"))

    def write(step: int, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return write
