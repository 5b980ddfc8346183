"""Train a network that transcribes: ``learn.py notes|song DATA RUN --steps N``, of what play.py made in DATA.

It goes on where it stopped, saves itself every five minutes, and says every fifty steps what it has learned. A
network of notes may first be trained by contrast (``--contrast N`` steps): frames of two renders of the same notes, by
other sounds, in other rooms, are drawn together; the notes that sound are soft labels, by which frames of other notes,
and of the same music transposed, are separated (generalized SupCon: Kim et al. 2022, arXiv 2206.00384).

RUN/state.safetensors is all of it, RUN/average.safetensors the average of its weights, which is used; RUN/log.jsonl.
``--fraction F`` learns from so much of the pieces, to compare. ``--from FILE.onnx`` goes on from a finished network, on
other pieces.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from examples import FRAMES, Excerpts
from onnx import numpy_helper
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from mirclr.models.device import pick_device
from mirclr.models.transcriber import PITCHES, SONG_OUTPUTS, NoteNetwork, SongNetwork
from mirclr.objectives import GeneralizedSupConLoss
from mirclr.provenance import writing

AVERAGED = 0.999
SONG_WEIGHTS = {"texture": 0.2, "pop": 0.3, "band": 0.35, "drums": 0.15}
SONG_FRAMES = 1024
SAVE_EVERY_S = 300
_FRAMES_COMPARED = 24  # of each excerpt


def note_loss(out: Tensor, target: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy of onsets, frames and offsets, and where notes begin the errors of velocity and place.

    Parameters
    ----------
    out : (B, 5, P, T)
        Of `NoteNetwork`.
    target : (B, 5, P, T)
        Of `examples.note_targets`.
    """
    onset, frame, offset, velocity, place = target.unbind(1)
    strong = out.new_tensor(2.0)  # rare ones weigh more: else little is found for long
    terms = {
        "onset": F.binary_cross_entropy_with_logits(out[:, 0], onset, pos_weight=strong, reduction="none")
        .sum(1)
        .mean(),
        "frame": 0.25 * F.binary_cross_entropy_with_logits(out[:, 1], frame, reduction="none").sum(1).mean(),
        "offset": 0.25 * F.binary_cross_entropy_with_logits(out[:, 2], offset, reduction="none").sum(1).mean(),
    }
    whole = onset.sum().clamp_min(1.0)
    terms["velocity"] = 2.0 * (onset * (out[:, 3].sigmoid() - velocity).square()).sum() / whole
    terms["place"] = (onset * F.smooth_l1_loss(out[:, 4], place, reduction="none", beta=0.25)).sum() / whole
    return torch.stack(list(terms.values())).sum(), {k: float(v.detach()) for k, v in terms.items()}


def song_loss(out: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy of beats, downbeats and drums, and of chords where they are known."""
    parts = dict(zip(SONG_OUTPUTS, out.split(list(SONG_OUTPUTS.values()), dim=1), strict=True))
    known = target["beat"].amax(dim=1) > 0  # performances without a beat say nothing of beats
    weight = known.float()[:, None].expand_as(target["beat"])
    terms = {}
    for name in ("beat", "downbeat"):
        each = F.binary_cross_entropy_with_logits(
            parts[name][:, 0], target[name], pos_weight=out.new_tensor(2.0), reduction="none"
        )
        terms[name] = (weight * each).sum() / weight.sum().clamp_min(1.0)
    terms["drums"] = (
        0.5 * F.binary_cross_entropy_with_logits(parts["drums"], target["drums"], reduction="none").sum(1).mean()
    )
    for name in ("root", "quality"):
        some = (target[name] >= 0).any()
        terms[name] = 0.2 * (F.cross_entropy(parts[name], target[name], ignore_index=-1) if some else out.sum() * 0)
    return torch.stack(list(terms.values())).sum(), {k: float(v.detach()) for k, v in terms.items()}


class Contrast(nn.Module):
    """Frames as vectors for the contrastive stage: all pitches of one side by side."""

    def __init__(self, channels: int, few: int = 8, dim: int = 128) -> None:
        super().__init__()
        self.few = nn.Conv2d(channels, few, 1)
        self.out = nn.Linear(few * PITCHES, dim)
        self.objective = GeneralizedSupConLoss(temperature=0.1, base_temperature=0.1)

    def forward(self, features: Tensor, rolls: Tensor) -> Tensor:
        """(3 n, C, P, T) and their rolls (3 n, 2 P, T) -> the loss; only frames in which something sounds count."""
        at = torch.linspace(4, features.shape[3] - 5, _FRAMES_COMPARED).round().long()
        z = self.out(F.relu(self.few(features[..., at])).flatten(1, 2).transpose(1, 2)).flatten(0, 1)
        labels = rolls[..., at].transpose(1, 2).flatten(0, 1)
        kept = labels.amax(dim=1) > 0
        loss: Tensor = self.objective(z[kept], labels[kept])
        return loss


def rate_at(step: int, steps: int, highest: float) -> float:
    """Of learning: rises over 200 steps or a tenth of them, stays, and falls to 0 over the last 40 % as a cosine."""
    rise = min(1.0, (step + 1) / max(1, min(200, steps // 10)))
    late = max(0.0, step / steps - 0.6) / 0.4
    return highest * rise * 0.5 * (1 + math.cos(math.pi * min(1.0, late)))


class Steps(Dataset[Any]):
    """Batches of steps, each a function of its number: any process can make it."""

    def __init__(self, made: Callable[..., Any], size: int, seed: int, first: int, last: int) -> None:
        self.made, self.size, self.seed = made, size, seed
        self.first, self.last = first, max(first, last)

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, i: int) -> Any:
        """Of step ``first + i``."""
        return self.made(self.first + i, self.size, self.seed)

    def by(self, processes: int) -> Iterator[Any]:
        """One after the other, as tensors; several are made while one is learned from."""
        return iter(DataLoader(self, batch_size=None, num_workers=processes, prefetch_factor=2 if processes else None))


class Run:
    """A network in training, and what goes on where it stopped."""

    def __init__(
        self, kind: str, folder: Path, contrast: bool, minutes: float, device: torch.device, begun: Path | None = None
    ) -> None:
        torch.manual_seed(18)
        self.until = time.monotonic() + 60 * minutes
        self.folder, self.device = folder, device
        self.net: nn.Module = NoteNetwork() if kind == "notes" else SongNetwork()
        if begun is not None:
            read_weights(self.net, begun)
            freeze_statistics(self.net)
        self.net.to(device, memory_format=torch.channels_last)
        self.head = Contrast(self.net.settings["channels"]) if contrast else nn.Module()  # type: ignore[index, arg-type]
        self.head.to(device)
        self.parameters = [*self.net.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-3, weight_decay=1e-3)
        self.average = {k: v.clone() for k, v in self.net.state_dict().items()}
        self.done = {"contrast": 0, "labels": 0}
        self.saved_at = time.monotonic()
        if (folder / "state.safetensors").exists():
            self._load()

    def _load(self) -> None:
        with safe_open(self.folder / "state.safetensors", framework="pt") as file:
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            self.done = json.loads(file.metadata()["done"])
        self.net.load_state_dict(_part(tensors, "net."))
        self.head.load_state_dict(_part(tensors, "head."))
        self.average = {k: v.to(self.device) for k, v in _part(tensors, "average.").items()}
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _part(tensors, "optimizer.").items():
            index, _, quantity = name.partition(".")
            state.setdefault(int(index), {})[quantity] = value
        if state:
            self.optimizer.load_state_dict(
                {"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]}
            )

    def save(self) -> None:
        """All of it, and the average by itself."""
        tensors = {f"net.{k}": v for k, v in self.net.state_dict().items()}
        tensors |= {f"head.{k}": v for k, v in self.head.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        for index, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{quantity}": v for quantity, v in values.items()}
        self._write("state.safetensors", tensors)
        self._write("average.safetensors", self.average)
        self.saved_at = time.monotonic()

    def is_late(self) -> bool:
        """Whether it is time to stop."""
        return time.monotonic() > self.until

    def _write(self, name: str, tensors: dict[str, Tensor]) -> None:
        facts = {"done": json.dumps(self.done), "settings": json.dumps(self.net.settings)}
        with writing(self.folder / name) as file:
            file.write(save({k: v.contiguous() for k, v in tensors.items()}, facts))

    def step(self, loss: Tensor, rate: float, stage: str) -> None:
        """Learn from a loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, 3.0)
        self.optimizer.step()
        self.done[stage] += 1
        keep = min(AVERAGED, (1 + self.done[stage]) / (10 + self.done[stage]))
        for name, value in self.net.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - keep)
            else:
                self.average[name].copy_(value)
        if time.monotonic() - self.saved_at > SAVE_EVERY_S:
            self.save()


def read_weights(net: nn.Module, file: Path) -> None:
    """Give a network the weights of its ONNX file, in which what normalises after a convolution is part of that.

    A layer that the file lacks begins as one that changes nothing.
    """
    initializers = onnx.load(file).graph.initializer
    given = {one.name.removeprefix("network."): numpy_helper.to_array(one) for one in initializers}
    for name in [name for name in given if name.endswith(".weight_bias")]:
        conv = name.removesuffix(".weight_bias")
        before, _, place = conv.rpartition(".")
        norm = {"mix": "norm", "time": f"{before}.norm_time"}.get(place) or f"{before}.{int(place) + 1}"
        ones = np.ones(len(given[name]), np.float32)
        given |= {f"{norm}.weight": ones, f"{norm}.bias": given[name]}
        given |= {f"{norm}.running_mean": 0 * ones, f"{norm}.running_var": ones - 1e-5}
    for name, value in net.state_dict().items():
        if name in given:
            value.copy_(torch.from_numpy(np.array(given[name], np.float32)))
        elif ".out." in name:
            value.zero_()


def freeze_statistics(net: nn.Module) -> None:
    """Let normalisations go by the means that they have, which a few small batches would only blur."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.eval()


def _part(tensors: dict[str, Tensor], beginning: str) -> dict[str, Tensor]:
    return {k.removeprefix(beginning): v for k, v in tensors.items() if k.startswith(beginning)}


class Log:
    """Means of what is logged of each step, every fifty."""

    def __init__(self, path: Path, stage: str, every: int = 50) -> None:
        self.path, self.stage, self.every = path, stage, every
        self.rows: list[dict[str, float]] = []
        self.cpu = time.process_time()

    def add(self, step: int, row: dict[str, float]) -> None:
        """Of a step."""
        self.rows.append(row)
        if len(self.rows) < self.every:
            return
        means = {k: round(float(np.mean([r[k] for r in self.rows])), 5) for k in row}
        cpu = time.process_time()
        line = {"stage": self.stage, "step": step, **means, "cpu_s_a_step": round((cpu - self.cpu) / len(self.rows), 3)}
        self.rows, self.cpu = [], cpu
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)


def learn_by_contrast(run: Run, data: Excerpts, asked: argparse.Namespace) -> None:
    """The first stage."""
    log = Log(run.folder / "log.jsonl", "contrast")
    size, first = max(2, asked.batch // 3), run.done["contrast"]
    made = Steps(data.pairs_of, size, asked.seed, first, asked.contrast)
    for step, batch in enumerate(made.by(asked.processes), first):
        inputs, rolls = (x.to(run.device) for x in batch)
        loss = run.head(run.net.features(inputs), rolls)  # type: ignore[operator]
        run.step(loss, rate_at(step, asked.contrast, asked.rate), "contrast")
        log.add(step + 1, {"loss": float(loss.detach())})
        if run.is_late():
            return


def learn_from_labels(run: Run, data: Excerpts, asked: argparse.Namespace) -> None:
    """The second stage, or all."""
    log = Log(run.folder / "log.jsonl", "labels")
    notes, first = asked.kind == "notes", run.done["labels"]
    made = Steps(data.notes if notes else data.song, asked.batch, asked.seed, first, asked.steps)
    for step, (inputs, targets) in enumerate(made.by(asked.processes), first):
        given = inputs.to(run.device, memory_format=torch.channels_last)
        with torch.autocast(run.device.type, torch.bfloat16, enabled=asked.precision == "bfloat16"):
            out = run.net(given)
        out = out.float()
        if notes:
            loss, terms = note_loss(out, targets.to(run.device))
        else:
            loss, terms = song_loss(out, {k: v.to(run.device) for k, v in targets.items()})
        run.step(loss, rate_at(step, asked.steps, asked.rate), "labels")
        log.add(step + 1, {"loss": float(loss.detach()), **terms})
        if run.is_late():
            return


def main() -> None:
    """Train, or go on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("notes", "song"))
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--contrast", type=int, default=0, help="steps of the contrastive stage")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--fraction", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--from", type=Path, dest="begun", help="ONNX file of a network to go on from")
    parser.add_argument("--processes", type=int, default=1, help="that make batches")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after so many, to go on another time")
    parser.add_argument("--device", default="auto", help="auto, or one of torch's")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    asked.run.mkdir(parents=True, exist_ok=True)
    notes = asked.kind == "notes"
    data = Excerpts(asked.data, "train", None if notes else SONG_WEIGHTS, FRAMES if notes else SONG_FRAMES)
    run = Run(asked.kind, asked.run, asked.contrast > 0, asked.minutes, pick_device(asked.device), asked.begun)
    if run.done["contrast"] < asked.contrast:
        learn_by_contrast(run, data, asked)
        run.save()
    if not run.is_late():
        data.keep(asked.fraction)
        learn_from_labels(run, data, asked)
        run.save()


if __name__ == "__main__":
    main()
