"""The training loop: resumable bit for bit, readable on one screen.

All randomness of a step is a function of (seed, step), and the learning rate of the step alone, so a run that was
stopped and resumed gives the losses of an unbroken one on the same machine. What is minimised is `criterion`'s, what a
run's folder holds `run_folder`'s.
"""

import copy
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from mirclr import config
from mirclr.audio.augment import DRAWN_BY, Draws
from mirclr.audio.mel import LogMel
from mirclr.audio.views import Views
from mirclr.data.batches import Batch, WithDraws, mixed_seed
from mirclr.data.loader import load, pick_workers
from mirclr.data.targets import Targets, fill_missing_labels
from mirclr.errors import NotFinite, TrainingError
from mirclr.extensions import source_digest
from mirclr.models.checkpoint import (
    Checkpoint,
    encoder_digest,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from mirclr.models.device import Compiled, arithmetic, pick_device, pick_precision
from mirclr.models.encoder import Model
from mirclr.provenance import digest_json, stamp, writing
from mirclr.training.criterion import Criterion, Student
from mirclr.training.distributed import ALONE, Ranks
from mirclr.training.ema import MovingAverage
from mirclr.training.outcome import Outcome
from mirclr.training.run_folder import ENCODER, METRICS, RECIPE, STATE, check_run, forget_after
from mirclr.training.validation import Validation

_PROJECTIONS = "z"
_FITTED_ON = 8192, 64  # rows of a teacher's outputs, and batches, at most, by which targets are standardised


@dataclass(frozen=True)
class Report:
    """The progress of a run after a step: `metrics` is None between two log lines; `notes` are for people."""

    step: int
    steps: int
    outcome: Outcome
    metrics: dict[str, float] | None
    notes: tuple[str, ...] = ()

    @property
    def loss(self) -> float:
        """The mean loss of the step; to ask for it waits until the device has made the step."""
        return self.outcome.read()["loss"]


class BatchSource(Protocol):
    """What batches come from; `mirclr.data.batches.ClipSource` says what the attributes are."""

    n_tracks: int
    n_labels: int
    digest: str
    teacher_digest: str | None
    teacher_columns: dict[str, int]

    def batch(self, number: int, own: slice = slice(None)) -> Batch:
        """The batch of a number: the same for the same seed and number, on any machine.

        Clips and a teacher's outputs are of the rows `own` alone.
        """


class OnlineTeacher(Protocol):
    """What distillation asks of a teacher: its outputs for the very clips that the student takes."""

    digest: str
    columns: dict[str, int]

    def __call__(self, inputs: Tensor) -> dict[str, Tensor]:
        """(B, F, T) log-mel or (B, N) samples -> (B, K) by name, as `config.Distillation.outputs` has them."""


class Trainer:
    """A training run.

    Parameters
    ----------
    recipe : config.Recipe
        What to do.
    source : BatchSource
        What to learn from, in clips as `Views.takes` describes them; nothing of a split for evaluation.
    run : Path
        The run's folder.
    validation : Validation, optional
        Labelled tracks for the kNN vote that the recipe asks for.
    teacher : OnlineTeacher, optional
        Where the recipe's distillation names one.
    own : nn.Module, optional
        The encoder, where it is not one of mirclr's.
    init : Path, optional
        The checkpoint that the recipe's `training.init` names.
    resume : bool
        Continue from the state in the folder, if there is one; else the folder must not hold one.
    device : str
        "auto", or a device of torch.
    ranks : Ranks
        This process among those that train together; see `mirclr.training.distributed.joined`.

    Raises
    ------
    TrainingError
        The folder holds a run and `resume` was not asked for, or its recipe differs; there is no teacher's output that
        the recipe asks for; or the processes do not agree on recipe, tracks or state.
    """

    def __init__(
        self,
        recipe: config.Recipe,
        source: BatchSource,
        run: Path,
        *,
        validation: Validation | None = None,
        teacher: OnlineTeacher | None = None,
        own: nn.Module | None = None,
        init: Path | None = None,
        resume: bool = False,
        device: str = "auto",
        ranks: Ranks = ALONE,
    ) -> None:
        self.recipe, self.run, self.source, self.teacher, self.ranks = recipe, run, source, teacher, ranks
        self.device = pick_device(device)
        self.dtype = pick_precision(recipe.training.precision, self.device)
        teacher_digest = teacher.digest if teacher else source.teacher_digest
        if recipe.distillation and teacher_digest is None:
            raise TrainingError("the recipe has a distillation, but neither soft labels nor a teacher were given")
        torch.manual_seed(recipe.seed)
        self.model = Model(recipe, own).to(self.device)
        self.views = Views(recipe, self.model.mel)
        drawn = Views(recipe, LogMel.of(recipe.mel, recipe.audio.sample_rate))
        self.batches = WithDraws(source, drawn, recipe.seed, ranks.part(2 * recipe.training.batch))
        self.criterion = Criterion(
            recipe,
            n_tracks=source.n_tracks,
            n_labels=source.n_labels,
            teacher_columns=teacher.columns if teacher else source.teacher_columns,
        ).to(self.device)
        self.student = Student(recipe, self.model, self.criterion.columns).to(self.device)
        self._learn_objectives()
        plan = recipe.training
        self.network = ranks.wrap(self.student, 2 * plan.batch)
        self._notes: list[str] = []  # for the next report
        self.forward = Compiled(self.network, self._notes.append) if plan.compile else self.network
        self.optimizer = torch.optim.AdamW(_decay_groups(self.student, plan.weight_decay), betas=plan.betas)
        self.validation = validation if recipe.validation else None
        self.step = 0
        self.resumed_exactly = True
        """False where what is resumed was begun when augmentations drew other random numbers from the same seed."""
        self._unlogged: list[dict[str, float]] = []  # losses by name since the last log line
        self._coming: list[Outcome] = []  # of the last steps, which are not read yet
        self._redrawn = 0  # batches since the last log line that gave nothing to learn from, and were drawn anew
        self.provenance = stamp(
            seed=recipe.seed,
            recipe=digest_json(recipe.model_dump(mode="json")),
            tracks=source.digest,
            n_tracks=source.n_tracks,
            precision=str(self.dtype).removeprefix("torch."),
            device=self.device.type,
            processes=ranks.world,
            drawn_by=DRAWN_BY,
            teacher=teacher_digest if recipe.distillation else None,
        )
        if recipe.code:
            self.provenance["code"] = {name: source_digest(name) for name in recipe.code}
        saved = self._prepare_folder(resume, own)
        if saved is None:
            self._begin(init)
        self.average = MovingAverage(self.student, plan.ema_decay) if plan.ema_decay is not None else None
        if saved is not None:
            self._restore(saved)
        made_from = [self.provenance[key] for key in ("recipe", "tracks", "teacher", "precision")]
        ranks.agree("recipe, tracks, teacher and precision", json.dumps(made_from))
        ranks.agree(f"{run}: the state to continue from", f"{self.step} {self.digest()}")

    def _learn_objectives(self) -> None:
        """Weights that an objective of one's own has are learned with those of the network."""
        objectives = nn.ModuleList([self.criterion.objective, *self.criterion.auxiliary])
        if not any(p.requires_grad for p in objectives.parameters()):
            return
        if self.ranks.world > 1:
            raise TrainingError("an objective with weights of its own is trained in one process; leave --nproc out")
        self.student.objectives = objectives

    @property
    def exported(self) -> Model:
        """The model as it would be written now: the average of its weights, where the recipe asks for one."""
        return self.average.module.model if self.average else self.model  # type: ignore[return-value]

    def _prepare_folder(self, resume: bool, own: nn.Module | None) -> Checkpoint | None:
        state = self.run / STATE
        saved = check_run(self.recipe, self.run, resume=resume, own=own)
        self.ranks.barrier()  # all have looked before one writes
        if saved is not None and saved.provenance.get("tracks") != self.provenance["tracks"]:
            raise TrainingError(f"{state}: was made from other tracks or labels; name another folder")
        if saved is not None and saved.provenance.get("teacher") != self.provenance["teacher"]:
            raise TrainingError(f"{state}: was made with another teacher; name another folder")
        if not self.ranks.first:
            return saved
        self.run.mkdir(parents=True, exist_ok=True)
        if saved is None:
            (self.run / METRICS).unlink(missing_ok=True)
        if saved is None or saved.recipe != self.recipe:
            with writing(self.run / RECIPE, "w") as f:
                f.write(config.recipe_yaml(self.recipe))
        return saved

    def _begin(self, init: Path | None) -> None:
        """Set what a run begins with beside random weights: statistics of targets, and another run's weights."""
        if self.criterion.targets:
            self.criterion.fit(self._teacher_sample(), self.student)
        if init is not None:
            begin_with(init, self.student, self.criterion)

    def _teacher_sample(self) -> dict[str, Tensor]:
        """(n, K) outputs of the teacher for the first batches."""
        found: dict[str, list[Tensor]] = {name: [] for name in self.criterion.targets}
        number = rows = 0
        while rows < _FITTED_ON[0] and number < _FITTED_ON[1]:
            batch = replace(self.batches, own=slice(None)).batch(number).map(lambda x: x.to(self.device))
            outputs = batch.teacher
            if self.teacher is not None:
                outputs = self.teacher(self.views.apply_draws(batch.clips, batch.draws))
            for name, parts in found.items():
                parts.append(outputs[name].cpu())
            number, rows = number + 1, rows + len(batch.block)
        return {name: torch.cat(parts).to(self.device) for name, parts in found.items()}

    def _restore(self, saved: Checkpoint) -> None:
        self.model.load_state_dict(saved.model.state_dict())
        self.student.load_state_dict(_part(saved.training, "student."), strict=False)
        restore_optimizer(self.student, self.optimizer, _named_in_student(saved.optimizer))
        self.criterion.objective.load_state_dict(saved.objective)
        self.criterion.load_state_dict(_part(saved.training, "criterion."), strict=False)
        if self.average:
            self.average.module.load_state_dict(_part(saved.training, "average."))
        self.step = saved.step or 0
        augment = self.recipe.augment
        drawn = augment.waveform or augment.mel or augment.mixup or augment.cutmix
        self.resumed_exactly = not drawn or saved.provenance.get("drawn_by", 1) == DRAWN_BY
        code = saved.provenance.get("code", {})
        if changed := [n for n, digest in self.provenance.get("code", {}).items() if code.get(n, digest) != digest]:
            self._notes.append(f"code has changed since this run began: {', '.join(changed)}")
        kept = saved.provenance.get("losses_since_log", [])
        self._unlogged = [x if isinstance(x, dict) else {"loss": x} for x in kept]  # a number alone, once
        self._redrawn = saved.provenance.get("redrawn_since_log", 0)
        if self.ranks.first:
            forget_after(self.run, self.step)

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
        n = plan.accumulate
        feed = load(
            self.batches,
            range(self.step * n, plan.steps * n),
            workers=pick_workers(plan.workers, self.device),
            device=self.device,
            ahead=n,
        )
        exactly = arithmetic(plan.precision, self.device, deterministic=plan.deterministic)
        with _stop_requested() as stopping, closing(feed), exactly:
            while self.step < plan.steps:
                batches = list(islice(feed, n))
                outcome = self._make_step(batches)
                self._coming.append(outcome)
                self._take_in(wait=False)
                self._redrawn += sum(batch.redrawn for batch in batches)
                self.step += 1
                metrics = None
                last = self.step == plan.steps
                checked = self.validation is not None and (self.step % self.validation.every == 0 or last)
                if self.step % plan.log_every == 0 or checked or last:
                    self._take_in(wait=True)
                    clips = 2 * plan.batch * n * (self.step - timed_from)
                    metrics = self._mean_losses() | {"lr": self._lr(self.step - 1)}
                    metrics["clips_per_s"] = clips / (time.monotonic() - timed_at)
                    if self._redrawn:
                        metrics["redrawn"] = self._redrawn
                    if checked:
                        metrics["knn_accuracy"] = self.validate()
                    self._log(metrics, board)
                    self._unlogged, self._redrawn = [], 0
                    timed_from, timed_at = self.step, time.monotonic()
                # asked once: a signal after this line waits for the next step's save
                stop = self.ranks.any(stopping.is_set())
                due = self.ranks.first and time.monotonic() - saved > 60 * plan.checkpoint_minutes
                if last or stop or due:
                    self.save()
                    saved = time.monotonic()
                notes = tuple(self._notes)
                self._notes.clear()
                yield Report(self.step, plan.steps, outcome, metrics, notes)
                if stop and not last:
                    raise KeyboardInterrupt
        if self.ranks.first:
            save_checkpoint(self.run / ENCODER, self.exported, self.provenance | {"steps": self.step})

    def _take_in(self, *, wait: bool) -> None:
        """Read what steps gave, as far as it is here, or all of it."""
        while self._coming and (wait or self._coming[0].is_here):
            self._unlogged.append(self._coming.pop(0).read())

    def _read(self, step: int) -> list[Batch]:
        """The batches of a step, on the device."""
        n = self.recipe.training.accumulate
        return list(load(self.batches, range(step * n, step * n + n), workers=0, device=self.device))

    def seconds_a_step(self) -> float:
        """How long a step takes here, in seconds, found by making the next one twice; nothing is changed by it.

        Of several processes all must ask.
        """
        plan = self.recipe.training
        buffers = [(b, b.clone()) for b in self.student.buffers()]
        kept, self.criterion = self.criterion, copy.deepcopy(self.criterion)
        exactly = arithmetic(plan.precision, self.device, deterministic=plan.deterministic)
        reading = computing = 0.0
        try:
            with exactly, torch.random.fork_rng(devices=[]):
                for _ in range(2):  # the first one makes ready what later ones find
                    began = time.perf_counter()
                    batches = self._read(self.step)
                    read = time.perf_counter()
                    self._gradients(batches)
                    # the last one that is computed; to look at it waits for the device
                    float(next(p.grad for p in self.student.parameters() if p.grad is not None).sum())
                    reading, computing = read - began, time.perf_counter() - read
        finally:
            self.criterion = kept
            for buffer, before in buffers:
                buffer.copy_(before)
            self.optimizer.zero_grad(set_to_none=True)
        workers = pick_workers(plan.workers, self.device)
        return max(computing, reading / workers) if workers else computing + reading

    def _make_step(self, batches: list[Batch]) -> Outcome:
        """Forward, backward and update, without reading anything from the device."""
        plan = self.recipe.training
        found = self._gradients(batches)
        # without a bound the norm alone is wanted: gradients are multiplied by 1
        norm = torch.nn.utils.clip_grad_norm_(self.student.parameters(), plan.clip_norm or math.inf)
        outcome = Outcome(self.step + 1, found, norm, [batch.tracks for batch in batches])
        if outcome.is_here:
            outcome.read()  # what is not finite is no step then
        for group in self.optimizer.param_groups:
            group["lr"] = self._lr(self.step)
        self.optimizer.step()
        if self.average:
            self.average.update(self.student, self.step + 1)
        return outcome

    def _gradients(self, batches: list[Batch]) -> list[dict[str, Tensor]]:
        """Forward and backward of the next step; the losses of each batch, by name."""
        torch.manual_seed(mixed_seed(self.recipe.seed, self.step) + 1)  # dropout draws from the global generator
        self.student.train()
        self.optimizer.zero_grad(set_to_none=True)
        found: list[dict[str, Tensor]] = []
        for i, batch in enumerate(batches):
            accumulating = self.ranks.without_exchange(self.network) if i + 1 < len(batches) else nullcontext()
            with accumulating:
                losses = self._losses(batch)
                loss = self.criterion.total(losses)
                (loss / len(batches)).backward()
            found.append({"loss": loss.detach(), **{name: x.detach() for name, x in losses.items()}})
        return found

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        """By name, of a batch on the device."""
        total = len(batch.targets.instance)
        with torch.no_grad():
            outputs = self.ranks.gather_all(batch.teacher, total)
            x = self.views.apply_draws(batch.clips, batch.draws, partial(self.ranks.gather, total=total))
            x, targets, outputs = self._mixed(x, self._filled_in(batch.targets), outputs, batch.draws)
            if self.teacher is not None:
                outputs = self.ranks.gather_all(self.teacher(x), total)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            z, further = self.forward(x)
        further = self.ranks.gather_all({_PROJECTIONS: z, **further}, total)
        losses: dict[str, Tensor] = self.criterion(further.pop(_PROJECTIONS), further, targets, outputs)
        return losses

    def _filled_in(self, targets: Targets) -> Targets:
        """Where clips are mixed, tracks without labels are mixed as themselves: their rows are filled in before."""
        classified = self.recipe.objective.name == "cross_entropy" and targets.labels is not None
        if self.recipe.augment.label_mix is None or classified:
            return targets
        return replace(targets, labels=fill_missing_labels(targets))

    def _mixed(
        self, x: Tensor, targets: Targets, outputs: dict[str, Tensor], draws: list[Draws]
    ) -> tuple[Tensor, Targets, dict[str, Tensor]]:
        """Mix the clips of this process and, of the whole batch, their labels and a teacher's outputs."""
        if self.recipe.augment.label_mix is None:
            return x, targets, outputs
        assert targets.labels is not None
        parts = [targets.labels, *outputs.values()]
        gather = partial(self.ranks.gather, total=len(targets.instance))
        x, rows = self.views.mix(x, torch.cat(parts, dim=1), draws, gather)
        labels, *mixed = rows.split([part.shape[1] for part in parts], dim=1)
        return x, replace(targets, labels=labels), dict(zip(outputs, mixed, strict=True))

    def _mean_losses(self) -> dict[str, float]:
        """The mean loss since the last log line and, where it has several parts, theirs."""
        means = {name: float(np.mean([each[name] for each in self._unlogged])) for name in self._unlogged[-1]}
        if len(self.criterion.weights) == 1:
            return {"loss": means["loss"]}
        return {name if name == "loss" else f"loss_{name}": mean for name, mean in means.items()}

    def _lr(self, step: int) -> float:
        """Linear warm-up, then half a cosine down to zero (arXiv 1608.03983), or no change any more."""
        plan = self.recipe.training
        if step < plan.warmup:
            return plan.lr * (step + 1) / plan.warmup
        if plan.schedule == "constant":
            return plan.lr
        done = (step - plan.warmup) / max(1, plan.steps - plan.warmup)
        return plan.lr * 0.5 * (1 + math.cos(math.pi * done))

    def validate(self) -> float:
        """Accuracy of a kNN vote among the labelled tracks, each left out in turn."""
        assert self.validation is not None
        return self.validation.accuracy(self.exported, self.device, self.dtype, self.ranks)

    def save(self) -> None:
        """Write the state that `resume` continues from, unless it holds NaN or infinity; process 0 alone does."""
        self._take_in(wait=True)
        if not self.ranks.first:
            return
        for name, tensor in self.student.state_dict().items():
            if not bool(torch.isfinite(tensor).all()):
                raise NotFinite(
                    f"step {self.step}: {name} is not finite; the last state that was saved stays: lower training.lr"
                )
        training = {f"student.{name}": t for name, t in self.student.own_state().items()}
        training |= {f"criterion.{name}": t for name, t in self.criterion.own_state().items()}
        if self.average:
            training |= {f"average.{name}": t for name, t in self.average.module.state_dict().items()}
        save_checkpoint(
            self.run / STATE,
            self.model,
            self.provenance | {"losses_since_log": self._unlogged, "redrawn_since_log": self._redrawn},
            optimizer=optimizer_tensors(self.student, self.optimizer),
            objective=self.criterion.objective.state_dict(),
            training=training,
            step=self.step,
        )

    def digest(self) -> str:
        """Digest of the encoder as it would be written now."""
        return encoder_digest(self.exported)

    def _log(self, metrics: dict[str, float], board: Callable[[int, dict[str, float]], None]) -> None:
        if not self.ranks.first:
            return
        with (self.run / METRICS).open("a", encoding="utf-8") as f:
            f.write(json.dumps({"step": self.step, **{k: float(f"{v:.6g}") for k, v in metrics.items()}}) + "\n")
        board(self.step, metrics)


def begin_with(path: Path, student: Student, criterion: Criterion) -> None:
    """Take over the weights that another run ended with; their averages, where it has some.

    Parameters
    ----------
    path : Path
        A run's ``state.safetensors``, or any checkpoint for its encoder alone.
    student, criterion : Student, Criterion
        To change. Layers that predict a teacher's outputs, and the statistics of these, are taken where all fit.

    Raises
    ------
    CheckpointError
        It cannot be read.
    TrainingError
        Its encoder is another than the recipe's.
    """
    read = load_checkpoint(path)
    average = _part(read.training, "average.")
    found = average or {f"model.{name}": t for name, t in read.model.state_dict().items()}
    found |= {} if average else _part(read.training, "student.")
    own = student.state_dict()
    fits = {name: t.float() if t.is_floating_point() else t for name, t in found.items() if _fits(own.get(name), t)}
    missing = [name for name in own if name.startswith("model.encoder.") and name not in fits]
    if missing:
        raise TrainingError(f"training.init: {path}: its encoder is another than the recipe's ({missing[0]})")
    heads = {name for name in own if name.startswith("heads.")}
    statistics = _part(read.training, "criterion.targets.")
    here = criterion.targets.state_dict()
    if heads <= fits.keys() and all(_fits(statistics.get(name), t) for name, t in here.items()):
        criterion.targets.load_state_dict(statistics)
    else:  # a layer and the statistics of what it predicts belong together
        fits = {name: t for name, t in fits.items() if name not in heads}
    student.load_state_dict(fits, strict=False)


def _fits(one: Tensor | None, other: Tensor) -> bool:
    return one is not None and one.shape == other.shape


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _named_in_student(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """An optimizer's state by names in the student; states were once written by those in its model alone."""
    return {
        name if name.startswith(("model.", "projectors.", "heads.", "objectives.")) else f"model.{name}": t
        for name, t in tensors.items()
    }


def _decay_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weights decay; biases and normalisations do not."""
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


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
