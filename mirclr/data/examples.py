"""Distillation examples: clips that were mixed and changed beforehand, with a teacher's outputs for the very result.

A teacher is then consistent (Beyer et al. 2022, arXiv 2106.05237): its outputs are for exactly what the student is
given, and are computed once. A folder holds ``examples.json`` (which teacher, log-mel and tracks) and shards
``00000.raw``, ``00001.raw`` …, each a row of fixed length for every example.

Axes: B examples, F mel bands, T frames; of a teacher, C tags, D embedding dimensions, P features.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from mirclr import config
from mirclr.data.batches import Batch
from mirclr.data.manifest import Track
from mirclr.data.sampling import refuse_evaluation_data
from mirclr.data.soft_labels import before_centring, probabilities, to_targets
from mirclr.data.targets import Targets
from mirclr.errors import LabelsError, ObjectiveError, RecipeError
from mirclr.provenance import digest_json, writing

FORMAT = 1
MOST_TRACKS = 3
"""That one example may be mixed of."""
INDEX = "examples.json"
_STEP = 0.03  # of the stored log-mel: 255 of them reach 7.65, above what music at full level has
_SAMPLE = 8192  # examples by which soft targets are centred


@dataclass(frozen=True)
class ExamplesHeader:
    """What a folder of distillation examples holds.

    Attributes
    ----------
    teacher, digest : str
        Name and digest of the teacher.
    tags : tuple of str
        C names; the first `exclusive` exclude each other, the others are independent.
    exclusive, dim, features_dim : int
        See `tags`; D; P.
    mel : dict
        Settings of the log-mel, as recipes have them.
    sample_rate : int
        In Hz.
    clip_seconds : float
        Length of an example.
    frames : int
        T.
    tracks : tuple of (str, str or None)
        Id and split of the tracks that examples are mixed of.
    """

    teacher: str
    digest: str
    tags: tuple[str, ...]
    exclusive: int
    dim: int
    features_dim: int
    mel: dict[str, Any]
    sample_rate: int
    clip_seconds: float
    frames: int
    tracks: tuple[tuple[str, str | None], ...]

    @property
    def row(self) -> np.dtype[Any]:
        """An example as it lies in a file."""
        outputs = len(self.tags) + self.dim + self.features_dim
        return np.dtype(
            [
                ("mel", "u1", (self.mel["n_mels"], self.frames)),
                ("outputs", "<f2", (outputs,)),
                ("track", "<i4", (MOST_TRACKS,)),
                ("fraction", "<f2", (MOST_TRACKS,)),
            ]
        )


class ExampleFolder:
    """The folder, to write to or to read from.

    Parameters
    ----------
    folder : Path
        Where.
    header : ExamplesHeader
        What it holds.
    """

    def __init__(self, folder: Path, header: ExamplesHeader) -> None:
        self.folder, self.header = folder, header

    @classmethod
    def create(cls, folder: Path, header: ExamplesHeader) -> "ExampleFolder":
        """Begin a folder, or continue one with the same header.

        Raises
        ------
        LabelsError
            It holds examples of another teacher, or of other tracks.
        """
        if (folder / INDEX).exists():
            held = cls.read(folder)
            if held.header != header:
                raise LabelsError(
                    f"{folder}: holds examples of another teacher, or of other tracks; name another folder"
                )
            return held
        with writing(folder / INDEX, "w") as f:
            json.dump({"format": FORMAT, **asdict(header)}, f, indent=1, ensure_ascii=False)
        return cls(folder, header)

    @classmethod
    def read(cls, folder: Path) -> "ExampleFolder":
        """Open a folder that was written.

        Raises
        ------
        LabelsError
            It is none, is damaged, or is of a newer format.
        """
        index = folder / INDEX
        try:
            found = json.loads(index.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise LabelsError(f"{folder}: holds no distillation examples (there is no {INDEX})") from None
        except ValueError as error:
            raise LabelsError(f"{index}: not JSON ({error}); make the examples again in another folder") from error
        if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
            raise LabelsError(f"{index}: not distillation examples of format {FORMAT}; make them again elsewhere")
        try:
            mel = config.Mel.model_validate(found["mel"], strict=False).model_dump(mode="json")
            tracks = tuple((str(name), split) for name, split in found["tracks"])
            header = ExamplesHeader(**found | {"tags": tuple(found["tags"]), "mel": mel, "tracks": tracks})
            whole = header.tags and header.tracks and min(header.dim, header.features_dim, header.row.itemsize) >= 0
        except (KeyError, TypeError, ValueError, ValidationError):
            whole = False
        if not whole:
            raise LabelsError(f"{index}: is damaged; make the examples again in another folder")
        return cls(folder, header)

    def shard(self, number: int) -> Path:
        """The file of a shard."""
        return self.folder / f"{number:05d}.raw"

    def write(self, number: int, log_mel: Tensor, outputs: np.ndarray, track: np.ndarray, fraction: np.ndarray) -> None:
        """Store a shard; an older one of its number is replaced at once.

        Parameters
        ----------
        number : int
            Of the shard.
        log_mel : (n, F, T) float32 Tensor
            Rounded to steps of 0.03.
        outputs : (n, C + D + P) float
            Logits, embedding and features side by side.
        track : (n, 3) int
            Places in the header's tracks that an example is mixed of; -1 for none.
        fraction : (n, 3) float
            How much of it each is; they add up to 1.
        """
        rows = np.zeros(len(log_mel), self.header.row)
        rows["mel"] = (log_mel / _STEP).round().clamp(0, 255).to(torch.uint8).numpy()
        rows["outputs"], rows["track"], rows["fraction"] = outputs, track, fraction
        if not np.isfinite(rows["outputs"]).all():
            raise LabelsError(f"{self.folder}: the teacher's outputs for shard {number} are not finite")
        with writing(self.shard(number)) as f:
            f.write(rows.tobytes())

    def shards(self) -> list[np.ndarray]:
        """(n,) rows of each shard, read where they are used.

        Raises
        ------
        LabelsError
            There are none, or one is damaged.
        """
        found: list[np.ndarray] = []
        for file in sorted(self.folder.glob("*.raw")):
            size = file.stat().st_size
            if not size or size % self.header.row.itemsize:
                raise LabelsError(f"{file}: is damaged; remove it, and make the examples again")
            found.append(np.memmap(file, self.header.row, "r"))
        if not found:
            raise LabelsError(f"{self.folder}: holds no shard of distillation examples; make them first")
        return found

    def split(self, outputs: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """(n, C + D + P) of shards -> logits (n, C), embeddings (n, D) and features (n, P), float32."""
        c, d, p = len(self.header.tags), self.header.dim, self.header.features_dim
        logits, embedding, features = torch.from_numpy(outputs.astype(np.float32)).split([c, d, p], dim=1)
        return logits, embedding, features

    @staticmethod
    def log_mel(rows: np.ndarray) -> Tensor:
        """(n,) rows -> (n, F, T) float32."""
        return torch.from_numpy(np.stack([row["mel"] for row in rows])).float() * _STEP


class ExampleSource:
    """Draws batches of distillation examples: each beside another that is mostly of the same track.

    Label rows say how much of each track an example is. Attributes are those of `mirclr.data.batches.ClipSource`.

    Parameters
    ----------
    folder : ExampleFolder
        At least two examples.
    recipe : config.Recipe
        Its seed, batch and distillation; its log-mel and length of clips must be those of the examples.
    is_useful : callable
        Whether rows of which this is known give the objective anything to learn from.

    Raises
    ------
    RecipeError
        The examples were made with another front end, or the recipe asks for what they cannot give.
    ManifestError
        They were made of tracks of a split for evaluation.
    ObjectiveError
        They give the objective nothing to learn from.
    """

    def __init__(self, folder: ExampleFolder, recipe: config.Recipe, *, is_useful: Callable[[Targets], bool]) -> None:
        plan, about = recipe.distillation, folder.header
        assert plan is not None
        _check(folder, recipe)
        refuse_evaluation_data(Track.model_validate({"id": n, "path": n, "split": split}) for n, split in about.tracks)
        self.folder, self.plan = folder, plan
        self.seed, self.size = recipe.seed % 2**64, recipe.training.batch
        self.shards = folder.shards()
        self.ends = np.cumsum([len(shard) for shard in self.shards])
        self.track = np.concatenate([shard["track"] for shard in self.shards])
        self.fraction = np.concatenate([shard["fraction"] for shard in self.shards]).astype(np.float32)
        known = np.isfinite(self.fraction).all() and (self.track >= -1).all() and (self.track < len(about.tracks)).all()
        if not known or (self.track.max(axis=1) < 0).any():
            raise LabelsError(f"{folder.folder}: a shard is damaged, its tracks are none; make the examples again")
        self.main = self.track[np.arange(len(self.track)), self.fraction.argmax(axis=1)]
        # examples in the order of the track that most of each is of, and where those of its track begin and end
        self.order = self.main.argsort(kind="stable")
        self.begin, self.end = (np.searchsorted(self.main[self.order], self.main, side) for side in ("left", "right"))
        self.labels = None
        self.n_tracks, self.n_labels = len(about.tracks), 0
        self.digest = digest_json([list(about.tracks), len(self.main)])
        self.teacher_digest: str | None = digest_json([about.digest, config.digested(plan)])
        self.teacher_columns = {"tags": len(about.tags), "embedding": about.dim, "features": about.features_dim}
        step = max(1, len(self.main) // _SAMPLE)
        logits, embedding, _ = folder.split(self._rows(np.arange(0, len(self.main), step))["outputs"])
        self.mean = before_centring(logits, embedding, about.exclusive, plan).mean(dim=0)
        if not is_useful(self.batch(0).targets):
            raise ObjectiveError(f"{folder.folder}: the examples give {recipe.objective.name} nothing to learn from")

    def __len__(self) -> int:
        return len(self.main)

    def __getstate__(self) -> dict[str, Any]:
        """All but the shards: a process that makes batches reads these from disk too, and is not sent them."""
        return {name: value for name, value in vars(self).items() if name != "shards"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, shards=state["folder"].shards())

    def batch(self, number: int, own: slice = slice(None)) -> Batch:
        """The batch of a number: the same for the same seed and number, on any machine.

        Clips and a teacher's outputs are of the rows `own` alone.
        """
        rng = np.random.Generator(np.random.PCG64([self.seed, number]))
        first = rng.integers(len(self), size=self.size)
        span = self.end[first] - self.begin[first]
        picks = np.concatenate([first, self.order[self.begin[first] + (rng.random(self.size) * span).astype(int)]])
        turn = int(rng.integers(self.folder.header.frames))  # in time, all by as much
        rows = self._rows(picks[own])
        ids = tuple(self.folder.header.tracks[i][0] for i in self.main[first])
        return Batch(self.folder.log_mel(rows).roll(turn, 2), self._targets(picks), ids, self._outputs(rows["outputs"]))

    def _rows(self, places: np.ndarray) -> np.ndarray:
        """Examples by their numbers, (n,) rows."""
        shard = np.searchsorted(self.ends, places, "right")
        found = np.empty(len(places), self.folder.header.row)
        for i, (number, place) in enumerate(zip(shard, places, strict=True)):
            found[i] = self.shards[number][place - self.ends[number] + len(self.shards[number])]
        damaged = ~np.isfinite(found["outputs"]).all(axis=1)
        if damaged.any():
            file = self.shards[shard[damaged.argmax()]].filename
            raise LabelsError(f"{file}: is damaged, its outputs are NaN or infinite; remove it, and make it again")
        return found

    def _targets(self, picks: np.ndarray) -> Targets:
        """What is known of examples: of which tracks they are, in columns for the tracks of the batch."""
        names, column = np.unique(self.track[picks], return_inverse=True)
        labels = torch.zeros(len(picks), len(names))
        column = column.reshape(len(picks), MOST_TRACKS)
        labels.scatter_add_(1, torch.from_numpy(column), torch.from_numpy(self.fraction[picks]))
        index = torch.from_numpy(self.main[picks].astype(np.int64))
        instance = torch.arange(len(picks) // 2).repeat(2)
        return Targets(instance, recording=index, labels=labels[:, torch.from_numpy(names >= 0)], index=index)

    def _outputs(self, outputs: np.ndarray) -> dict[str, Tensor]:
        logits, embedding, features = self.folder.split(outputs)
        exclusive = self.folder.header.exclusive
        made: Mapping[str, Callable[[], Tensor]] = {
            "soft_targets": lambda: to_targets(
                before_centring(logits, embedding, exclusive, self.plan), self.mean, self.plan
            ),
            "tags": lambda: probabilities(logits, exclusive),
            "embedding": lambda: embedding,
            "features": lambda: features,
        }
        return {name: made[name]() for name in self.plan.outputs}


def _check(folder: ExampleFolder, recipe: config.Recipe) -> None:
    """Raise unless examples are what the recipe's encoder takes."""
    about = folder.header
    front_end = (about.mel, about.sample_rate)
    if recipe.encoder.input != "mel" or front_end != (recipe.mel.model_dump(mode="json"), recipe.audio.sample_rate):
        raise RecipeError(
            f"{folder.folder}: the examples are log-mel at {about.sample_rate} Hz with {about.mel}; set mel and "
            "audio.sample_rate to these, and name an encoder of log-mel"
        )
    if abs(about.clip_seconds - recipe.audio.clip_seconds) > 1e-6:
        raise RecipeError(f"{folder.folder}: the examples have {about.clip_seconds:g} s; set audio.clip_seconds to it")
    if recipe.augment.waveform or any(step.name == "time_stretch" for step in recipe.augment.mel):
        raise RecipeError("examples are cut already: leave augment.waveform and time_stretch out")
    if recipe.data.labels or recipe.data.soft_positives or recipe.data.tracks_per_class:
        raise RecipeError("the labels of examples are the tracks that they are of: leave labels out of data")
    objectives = (recipe.objective, *(a.objective for a in recipe.auxiliary))
    if any(getattr(objective, "queue", 0) for objective in objectives):
        raise RecipeError("objective.queue keeps no labels of examples; leave it out")
