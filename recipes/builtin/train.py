"""Teach the built-in encoder from lessons: ``torchrun --standalone --nproc-per-node N train.py RUN``.

The student hears what the teachers heard, and learns three things: the 100 tags of both (binary cross-entropy on
soft labels), their embeddings and the first `COMPONENTS` principal components of their pooled features (squared error
of standardised values), and, by generalized SupCon, which segments share a recording (label rows: how much of the
segment is of which track) and which the teachers hear alike (label rows: a softmax of their centred logits).
Half of what it hears is louder or quieter than what they heard, and a quarter is noisier. What is kept is the moving
average of the weights. A run that was stopped goes on: the same command. With ``--from-checkpoint``, the network begins
as that of a checkpoint, and what it tells of the teachers as the best linear layer on it.
"""

import argparse
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
import torch.nn.functional as F
from lessons import MEL, RATE, STEP
from safetensors import safe_open
from torch import Tensor, distributed, nn

from mirclr import config
from mirclr.audio.mel import LogMel
from mirclr.models.checkpoint import load_checkpoint, optimizer_tensors, restore_optimizer, save_checkpoint
from mirclr.models.device import pick_precision
from mirclr.models.encoder import Model
from mirclr.objectives import GeneralizedSupConLoss, Targets
from mirclr.provenance import digest_json, stamp

HERE = Path(__file__).parent
TAGS, EMBEDDING = 100, 400  # as lessons.py keeps them
COMPONENTS = 256
WEIGHTS = {"tags": 40.0, "embedding": 1.0, "recording": 0.3, "teachers": 0.05}
SHARPNESS = 0.25  # temperature of the teachers' centred logits
AVERAGE = 0.998
LARGEST = 6.0  # of a standardised target
LEVELS_DB = (-9.0, 6.0)  # what the student hears, by what the teachers heard
NOISE_DB = (10.0, 40.0)  # by which white noise is below it, where there is any


class Lessons:
    """All shards in memory, the teachers' pooled features as principal components.

    Parameters
    ----------
    folder : Path
        Of shards.
    every : int
        Takes every such frame of the stored log-mel: the student's hop by the stored one.
    shards : int
        How many, at most.
    """

    KEYS = ("mel", "tags", "embedding", "pooled", "source", "weight")

    def __init__(self, folder: Path, every: int, shards: int) -> None:
        files = sorted(folder.glob("*.safetensors"))[:shards]
        if not files:
            sys.exit(f"{folder}: holds no lessons; make them with lessons.py")
        self.files = [file.name for file in files]
        self.hears = LogMel.of(MEL, RATE)
        self._learn_components(files[:12])
        parts = [self._read(file, every) for file in files]
        self.held = {key: torch.cat([part[key] for part in parts]) for key in self.KEYS}
        self.tag_mean = self.held["tags"].float().mean(dim=0)
        # segments in the order of the track that most of each is of, and where the run of its track begins and ends
        main = self.held["source"].gather(1, self.held["weight"].float().argmax(dim=1, keepdim=True))[:, 0].contiguous()
        self.order = main.argsort(stable=True)
        self.begin = torch.searchsorted(main[self.order].contiguous(), main)
        self.end = torch.searchsorted(main[self.order].contiguous(), main, right=True)

    def __len__(self) -> int:
        return len(self.order)

    def _learn_components(self, files: list[Path]) -> None:
        """Means, deviations and principal components, of a part of the shards."""
        held: dict[str, list[Tensor]] = {"embedding": [], "pooled": []}
        for file in files:
            with safe_open(file, "pt") as f:
                for key, parts in held.items():
                    parts.append(f.get_tensor(key).float())
        embedding, pooled = (torch.cat(parts) for parts in held.values())
        self.mean, self.deviation = embedding.mean(dim=0), embedding.std(dim=0) + 1e-3
        self.pooled_mean, self.pooled_deviation = pooled.mean(dim=0), pooled.std(dim=0) + 1e-2
        standard = self._standard(pooled)
        self.components = torch.linalg.svd(standard - standard.mean(dim=0), full_matrices=False)[2][:COMPONENTS].T
        # halfway to white: the first components count most, but the last ones too
        found = (standard @ self.components).std(dim=0)
        self.scale = (found * found.max()).sqrt()

    def _standard(self, pooled: Tensor) -> Tensor:
        return ((pooled.float() - self.pooled_mean) / self.pooled_deviation).clamp(-8, 8)

    def _read(self, file: Path, every: int) -> dict[str, Tensor]:
        with safe_open(file, "pt") as f:
            held = {key: f.get_tensor(key) for key in self.KEYS}
        held["mel"] = held["mel"][:, :, ::every].contiguous()
        held["pooled"] = (self._standard(held["pooled"]) @ self.components / self.scale).half()
        return held

    def batches(self, size: int, generator: torch.Generator) -> Iterator[dict[str, Tensor]]:
        """Half of each batch at random, and for each of those another segment that is mostly of the same track."""
        while True:
            first = torch.randint(len(self), (size // 2,), generator=generator)
            span = self.end[first] - self.begin[first]
            at = self.begin[first] + (torch.rand(len(first), generator=generator) * span).long()
            chosen = torch.cat([first, self.order[at]])
            batch = {key: tensor[chosen] for key, tensor in self.held.items()}
            batch["embedding"] = self.told(batch)
            heard = with_noise(at_other_levels(batch["mel"].float() * STEP, generator), self.hears, generator)
            batch["mel"] = roll_and_mask(heard, generator)
            yield batch

    def told(self, batch: dict[str, Tensor]) -> Tensor:
        """What the student is to tell of the teachers' embeddings and pooled features, (B, D) standardised."""
        embedding = (batch["embedding"].float() - self.mean) / self.deviation
        return torch.cat([embedding.clamp(-LARGEST, LARGEST), batch["pooled"].float()], dim=1)


def at_other_levels(mel: Tensor, generator: torch.Generator) -> Tensor:
    """Half of (B, F, T) log-mels as of louder or quieter sound."""
    chosen = torch.rand(len(mel), generator=generator) < 0.5
    gain = 10 ** (torch.empty(int(chosen.sum()), 1, 1).uniform_(*LEVELS_DB, generator=generator) / 10)
    mel[chosen] = torch.log1p(torch.expm1(mel[chosen] * math.log(10)) * gain) / math.log(10)
    return mel


def with_noise(mel: Tensor, hears: LogMel, generator: torch.Generator) -> Tensor:
    """A quarter of (B, F, T) log-mels with white noise: its power in a band is exponential, by the band's width."""
    chosen = torch.rand(len(mel), generator=generator) < 0.25
    power = hears.expand(mel[chosen])
    below = 10 ** (-torch.empty(len(power), 1, 1).uniform_(*NOISE_DB, generator=generator) / 10)
    shape = hears.filters.sum(dim=0)[:, None] / hears.filters.sum()
    level = power.mean(dim=2, keepdim=True).sum(dim=1, keepdim=True) * below * shape
    mel[chosen] = hears.compress(power + level * torch.empty_like(power).exponential_(generator=generator))
    return mel


def roll_and_mask(mel: Tensor, generator: torch.Generator) -> Tensor:
    """Turn (B, F, T) in time, all by as much, and silence a stretch of three in ten."""
    many, frames = len(mel), mel.shape[2]
    mel = mel.roll(int(torch.randint(frames, (1,), generator=generator)), 2)
    start = torch.randint(frames, (many, 1), generator=generator)
    length = torch.randint(4, frames // 4, (many, 1), generator=generator)
    length = length * (torch.rand(many, 1, generator=generator) < 0.3)
    at = torch.arange(frames)
    return mel.masked_fill(((at >= start) & (at < start + length))[:, None], 0.0)


class Student(nn.Module):
    """The model of the recipe, and what it tells of the teachers."""

    def __init__(self, recipe: config.Recipe, tag_mean: Tensor) -> None:
        super().__init__()
        self.model = Model(recipe)
        self.tags = nn.Linear(self.model.encoder.dim, TAGS)
        with torch.no_grad():
            self.tags.bias.copy_(tag_mean)  # most tags are rare: the way there would be long
        self.embedding = nn.Linear(self.model.encoder.dim, EMBEDDING + COMPONENTS)
        self.to(memory_format=torch.channels_last)

    @torch.no_grad()
    def start(self, checkpoint: Path, lessons: Lessons) -> None:
        """Take a network over up to the pooled maps, and fit the linear layers to a part of the lessons."""
        read = load_checkpoint(checkpoint).model.encoder.state_dict()
        kept = {k: v.float() for k, v in read.items() if not k.startswith(("head", "output_norm"))}
        self.model.encoder.load_state_dict(kept, strict=False)
        self.eval()
        some = torch.arange(0, len(lessons), max(1, len(lessons) // 8192))
        with torch.autocast("cpu", torch.bfloat16):
            parts = [self.model.encoder(lessons.held["mel"][rows].float() * STEP) for rows in some.split(128)]
        heard = torch.cat(parts).float()
        norm = self.model.encoder.output_norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(heard.mean(dim=0))  # which were 0 and 1 while it was heard
        norm.running_var.copy_(heard.var(dim=0))
        x = (heard - heard.mean(dim=0)) / heard.std(dim=0).clamp(min=1e-3)
        batch = {key: tensor[some] for key, tensor in lessons.held.items() if key != "mel"}
        for layer, wanted in ((self.tags, batch["tags"].float()), (self.embedding, lessons.told(batch))):
            mean = wanted.mean(dim=0)
            ridge = x.T @ x + 0.03 * len(x) * torch.eye(x.shape[1])
            layer.weight.copy_(torch.linalg.solve(ridge, x.T @ (wanted - mean)).T)
            layer.bias.copy_(mean)
        self.train()

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, F, T) -> tag logits, embeddings and projection, float32."""
        heard = self.model.encoder(mel)
        return self.tags(heard).float(), self.embedding(heard).float(), self.model.projector(heard).float()


def losses(student: Student, batch: dict[str, Tensor], tag_mean: Tensor, recipe: config.Recipe) -> dict[str, Tensor]:
    """By name: what is weighted by `WEIGHTS` and summed."""
    tags, embedding, z = student(batch["mel"])
    truth = torch.sigmoid(batch["tags"].float())
    source, weight = batch["source"].long(), batch["weight"].float()
    tracks = int(source.max()) + 1
    recordings = torch.zeros(len(z), tracks + 1).scatter_add_(1, source.where(source >= 0, tracks), weight)[:, :tracks]
    alike = torch.softmax((batch["tags"].float() - tag_mean) / SHARPNESS, dim=1)
    assert isinstance(recipe.objective, config.GeneralizedSupCon)
    heat = {"temperature": recipe.objective.temperature, "base_temperature": recipe.objective.base_temperature}
    each = torch.arange(len(z))
    return {
        # less the entropy of the labels, so that a perfect student has 0
        "tags": F.binary_cross_entropy_with_logits(tags, truth) - F.binary_cross_entropy(truth, truth),
        "embedding": F.mse_loss(embedding, batch["embedding"]),
        "recording": GeneralizedSupConLoss(**heat)(z, Targets(each, labels=recordings)),
        "teachers": GeneralizedSupConLoss(**heat)(z, Targets(each, labels=alike)),
    }


def main() -> None:
    """Train, or go on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--shards", type=int, default=10_000)
    parser.add_argument("--from-checkpoint", type=Path, metavar="CKPT", help="of this recipe's network")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of mirclr train")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if world > 1:
        distributed.init_process_group("gloo")
    recipe = config.read_recipe(HERE / "recipe.yaml", overrides=arguments.set)
    plan = recipe.training
    torch.manual_seed(recipe.seed)
    lessons = Lessons(arguments.run / "lessons", recipe.mel.hop_length // MEL.hop_length, arguments.shards)
    student, step = Student(recipe, lessons.tag_mean), 0
    decayed = [p for p in student.parameters() if p.ndim > 1]
    others = [p for p in student.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=plan.lr, betas=(0.9, 0.98))
    average = {k: v.detach().clone() for k, v in student.state_dict().items()}
    state = arguments.run / "state.safetensors"
    if state.exists():
        saved = load_checkpoint(state)
        kept, step = saved.objective, int(saved.step or 0)
        student.load_state_dict({k: kept[f"now.{k}"] for k in average})
        average = {k: kept[f"average.{k}"] for k in average}
        restore_optimizer(student, optimizer, saved.optimizer)
    elif arguments.from_checkpoint:
        student.start(arguments.from_checkpoint, lessons)
        average = {k: v.detach().clone() for k, v in student.state_dict().items()}
    generator = torch.Generator().manual_seed(recipe.seed + 1000 * rank + 100_000 * step)
    made_from = stamp(seed=recipe.seed, recipe=digest_json(recipe.model_dump(mode="json")), lessons=len(lessons))

    def keep(path: Path, at: int | None) -> None:
        model = Model(recipe)
        model.load_state_dict({k.removeprefix("model."): v for k, v in average.items() if k.startswith("model.")})
        extra = {f"average.{k}": v for k, v in average.items()}
        if at is None:
            save_checkpoint(path, model, made_from, objective={k: v for k, v in extra.items() if ".model." not in k})
            return
        extra |= {f"now.{k}": v for k, v in student.state_dict().items()}
        save_checkpoint(
            path, model, made_from, objective=extra, optimizer=optimizer_tensors(student, optimizer), step=at
        )

    dtype = pick_precision(plan.precision, torch.device("cpu"))
    begun, kept_at, first, sums = time.monotonic(), time.monotonic(), step, dict.fromkeys(WEIGHTS, 0.0)
    if rank == 0:
        size = sum(p.numel() for p in student.model.encoder.parameters())
        print(f"{size:,} parameters, {len(lessons):,} lessons, from step {step}", flush=True)
    for batch in lessons.batches(plan.batch, generator):
        if step >= plan.steps:
            break
        warm = min(1.0, (step + 1) / max(1, plan.warmup))
        for group in optimizer.param_groups:
            group["lr"] = plan.lr * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / plan.steps)))
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            found = losses(student, batch, lessons.tag_mean, recipe)
        optimizer.zero_grad()
        torch.stack([WEIGHTS[name] * loss for name, loss in found.items()]).sum().backward()
        parameters = [p for p in student.parameters() if p.grad is not None]
        if world > 1:
            flat = torch.cat([p.grad.reshape(-1) for p in parameters])  # type: ignore[union-attr]
            distributed.all_reduce(flat)
            for p, part in zip(parameters, (flat / world).split([p.numel() for p in parameters]), strict=True):
                p.grad = part.view_as(p)
        nn.utils.clip_grad_norm_(parameters, plan.clip_norm or math.inf)
        optimizer.step()
        step += 1
        decay = min(AVERAGE, step / (step + 10))
        with torch.no_grad():
            for key, value in student.state_dict().items():
                if value.is_floating_point():
                    average[key].lerp_(value, 1 - decay)
                else:
                    average[key].copy_(value)
        sums = {name: sums[name] + float(loss.detach()) for name, loss in found.items()}
        if rank == 0 and step % 100 == 0:
            speed = plan.batch * world * (step - first) / (time.monotonic() - begun)
            print(step, f"{speed:.0f}/s", *(f"{k} {v / 100:.4f}" for k, v in sums.items()), flush=True)
        if step % 100 == 0:
            sums = dict.fromkeys(WEIGHTS, 0.0)
        if rank == 0 and (step == plan.steps or time.monotonic() - kept_at > 60 * plan.checkpoint_minutes):
            keep(state, step)
            keep(arguments.run / "encoder.safetensors", None)
            kept_at = time.monotonic()
    if world > 1:
        with suppress(RuntimeError):
            distributed.destroy_process_group()


if __name__ == "__main__":
    main()
