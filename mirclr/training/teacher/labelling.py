"""What a teacher is asked: about a corpus once (`label_tracks`), or about the clips of a batch (`online_teacher`)."""

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mirclr import config, extensions
from mirclr.audio.mel import LogMel
from mirclr.data.clips import Cached, ClipCache, Skipped
from mirclr.data.manifest import Track
from mirclr.data.sampling import refuse_evaluation_data
from mirclr.data.soft_labels import SoftLabelFolder, SoftLabelHeader, before_centring, probabilities, to_targets
from mirclr.errors import RecipeError
from mirclr.models.device import pick_device, pick_precision
from mirclr.models.pretrained import NAME as BUILTIN
from mirclr.models.pretrained import builtin_checkpoint, builtin_heads
from mirclr.provenance import digest_json
from mirclr.training.teacher.encoder import load_encoder_teacher
from mirclr.training.teacher.musicnn import PACKAGE, Musicnn, load_both, load_musicnn
from mirclr.training.teacher.own import own_teacher
from mirclr.training.teacher.protocol import Ensemble, Teacher

AT_ONCE = 64
"""Windows that go through the teacher together."""


def load_teacher(
    name: str, folder: Path = Path(), heads: str | None = None, settings: Mapping[str, Any] | None = None
) -> Teacher:
    """Load a teacher: ``musicnn`` (both its networks), ``musicnn-msd``, ``musicnn-mtt``, ``builtin``, or a checkpoint.

    Or a class of one's own that was allowed (`mirclr.extensions`): ``package.module:Class``.

    Parameters
    ----------
    name : str
        The path of a checkpoint of mirclr is relative to `folder`.
    folder : Path
        The recipe's folder.
    heads : str, optional
        Heads of a checkpoint, relative to `folder`.
    settings : mapping, optional
        Keyword arguments of a class.

    Raises
    ------
    CheckpointError
        There is no such teacher, or it has not been imported.
    RecipeError
        A class cannot be imported or made, or is no teacher.
    EncoderMismatch
        The heads are another encoder's.
    """
    if name.endswith(".safetensors"):
        return load_encoder_teacher((folder / name).expanduser(), (folder / heads).expanduser() if heads else None)
    if extensions.is_class_name(name):
        return own_teacher(name, settings or {})
    if name == BUILTIN:
        return load_encoder_teacher(builtin_checkpoint(), builtin_heads())
    return load_both() if name == PACKAGE else load_musicnn(name)


@dataclass(frozen=True)
class LabelledTrack:
    """A track that is labelled: its key, how many windows it has, and whether that was done just now."""

    track: Track
    key: str
    windows: int
    new: bool


def label_tracks(
    teacher: Teacher,
    tracks: Sequence[Track],
    root: Path,
    to: Path,
    *,
    hop_s: float = 3.0,
    precision: str = "auto",
    device: str = "auto",
    workers: int | None = None,
    threads: int | None = None,
) -> Iterator[LabelledTrack | Skipped]:
    """Store a teacher's outputs for every window of tracks; tracks that are labelled already are passed over.

    Parameters
    ----------
    teacher : Teacher
        Gives the outputs.
    tracks : sequence of Track
        Their paths are below `root`.
    root : Path
        The manifest's audio root.
    to : Path
        Folder of the soft labels.
    hop_s : float
        Distance between the starts of two windows, in seconds; rounded to whole frames.
    precision : {"auto", "float32", "bfloat16"}
        Of the teacher's products.
    device : str
        "auto", or a device of torch.
    workers : int, optional
        Processes that decode; by default one a core.
    threads : int, optional
        Tracks that are labelled at once on a CPU; by default one a core.

    Yields
    ------
    LabelledTrack or Skipped
        One for each track; its outputs are on disk.

    Raises
    ------
    LabelsError
        The folder holds labels of another teacher.
    ManifestError
        A track is of a split for evaluation: labels are to be learned from.
    """
    refuse_evaluation_data(tracks)
    domain = teacher.input
    cache = ClipCache(_recipe_of(teacher), domain)
    samples = round(teacher.seconds * teacher.rate)
    length = LogMel.of(teacher.mel, teacher.rate).frames(samples) if domain == "mel" else samples
    steps_a_second = teacher.rate / (teacher.mel.hop_length if domain == "mel" else 1)
    hop = max(1, round(hop_s * steps_a_second))
    where = pick_device(device)
    dtype = pick_precision(precision, where)
    header = SoftLabelHeader(
        teacher.name,
        digest_json([teacher.digest, str(dtype)]),
        teacher.tags,
        teacher.exclusive,
        teacher.dim,
        teacher.seconds,
        hop / steps_a_second,
    )
    folder = SoftLabelFolder.create(to, header)
    teacher.to(where)

    def label(found: Cached) -> LabelledTrack:
        starts = range(0, max(0, found.length - length) + 1, hop)
        new = not folder.has(found.key)
        if new:
            folder.write(found.key, *_outputs(teacher, cache, found, starts, length, where, dtype))
        return LabelledTrack(found.track, found.key, len(starts), new)

    with _threads(where, threads) as (pool, many):
        waiting: deque[Future[LabelledTrack]] = deque()
        for found in cache.fill(tracks, root, workers=workers):
            if isinstance(found, Skipped):
                yield found
                continue
            waiting.append(pool.submit(label, found))
            if len(waiting) > many:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def _threads(device: torch.device, count: int | None) -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """Threads that each label a track: on a CPU `count`, or one a core, with one thread of torch's each, so that none
    waits for another as the threads of one small product do while other work is being done.
    """
    many = (count or os.cpu_count() or 1) if device.type == "cpu" else 1
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(many, initializer=lambda: torch.set_num_threads(1) if device.type == "cpu" else None)
    try:
        yield pool, many
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


def _recipe_of(teacher: Teacher) -> config.Recipe:
    """What a cache of clips asks of a recipe, with the teacher's front end."""
    data, audio = config.Data(train=teacher.name), config.Audio(sample_rate=teacher.rate)
    return config.Recipe(name=teacher.name, data=data, audio=audio, mel=teacher.mel)


def _outputs(
    teacher: Teacher,
    cache: ClipCache,
    track: Cached,
    starts: Sequence[int],
    length: int,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[np.ndarray, np.ndarray]:
    """(S, C) logits and (S, D) embeddings of a track's windows."""
    logits, embeddings = [], []
    for begin in range(0, len(starts), AT_ONCE):
        rows = [cache.read(track, start, length) for start in starts[begin : begin + AT_ONCE]]
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            found, embedding = teacher(cache.stack(rows).to(device))
        logits.append(found.float().cpu().numpy())
        embeddings.append(embedding.float().cpu().numpy())
    return np.concatenate(logits), np.concatenate(embeddings)


class OnlineTeacher:
    """A teacher that is given what the student is given, mixed as it is, and gives what distillation asks for.

    Parameters
    ----------
    teacher : Teacher
        Gives logits, embeddings and features.
    settings : config.Distillation
        Which outputs, and how soft targets are made of them; centred by the mean of the batch.
    mel : LogMel or None
        Makes log-mel of the student's waveforms for a teacher of log-mel; None where both take the same.
    dtype : torch.dtype
        Of the teacher's products.

    Attributes
    ----------
    columns : dict of str to int
        How many tags there are, and numbers of embedding and features.
    """

    def __init__(self, teacher: Teacher, settings: config.Distillation, mel: LogMel | None, dtype: torch.dtype) -> None:
        self.teacher, self.settings, self.mel, self.dtype = teacher, settings, mel, dtype
        self.digest = digest_json([teacher.digest, config.digested(settings)])
        self.columns = {"tags": len(teacher.tags), "embedding": teacher.dim, "features": teacher.features_dim}

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> dict[str, Tensor]:
        """(B, F, T) log-mel or (B, N) samples -> (B, K) float32 by name, as `config.Distillation.outputs` has them."""
        x = inputs if self.mel is None else self.mel(inputs)
        with torch.autocast(x.device.type, self.dtype, enabled=self.dtype != torch.float32):
            logits, embedding, features = self.teacher.with_features(x)
        exclusive = self.teacher.exclusive
        found: dict[str, Tensor] = {}
        for name in self.settings.outputs:
            if name == "soft_targets":
                rows = before_centring(logits, embedding, exclusive, self.settings)
                found[name] = to_targets(rows, rows.mean(dim=0), self.settings)
            elif name == "tags":
                found[name] = probabilities(logits, exclusive)
            else:
                found[name] = (embedding if name == "embedding" else features).float()
        return found


def online_teacher(recipe: config.Recipe, folder: Path, *, device: str = "auto") -> OnlineTeacher:
    """Load the teacher that a recipe's distillation names, and make sure that the student's clips suit it.

    Raises
    ------
    RecipeError
        Teacher and student differ in sampling rate or log-mel, or the clips have another length than the teacher's, or
        the teacher has no tags and those are asked for.
    CheckpointError, EncoderMismatch
        As `load_teacher`.
    """
    plan = recipe.distillation
    assert plan is not None
    assert plan.teacher is not None
    teacher = load_teacher(plan.teacher, folder, plan.heads, plan.settings)
    takes, student = teacher.input, recipe.encoder.input
    if teacher.rate != recipe.audio.sample_rate:
        raise RecipeError(f"distillation: {teacher.name} takes {teacher.rate} Hz; set audio.sample_rate to it")
    if student == "mel" and (takes != "mel" or teacher.mel != recipe.mel):
        raise RecipeError(
            f"distillation: {teacher.name} takes other than this recipe's log-mel; set mel to its settings"
        )
    if isinstance(teacher, Musicnn | Ensemble) and abs(recipe.audio.clip_seconds - teacher.seconds) > 0.1:
        raise RecipeError(f"distillation: {teacher.name} takes {teacher.seconds:g} s; set audio.clip_seconds to it")
    needs_tags = "tags" in plan.outputs or ("soft_targets" in plan.outputs and plan.by == "tags")
    if needs_tags and not teacher.tags:
        raise RecipeError(f"distillation: {teacher.name} has no tags; name its heads, or set by to embedding")
    where = pick_device(device)
    mel = LogMel.of(teacher.mel, teacher.rate).to(where) if (takes, student) == ("mel", "waveform") else None
    teacher.to(where)
    return OnlineTeacher(teacher, plan, mel, pick_precision(recipe.training.precision, where))
