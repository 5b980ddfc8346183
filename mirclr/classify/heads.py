"""Fitted heads: one safetensors file, applied by numpy alone."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from mirclr.classify.crossval import ABSTAIN, Advance, Scores
from mirclr.classify.fitting import fit_with_grid_search, sigmoid, softmax, usable_tasks
from mirclr.classify.labels import Labels
from mirclr.classify.sureness import Sureness
from mirclr.errors import CheckpointError, EncoderMismatch, LibraryError, in_words, is_fault_of_machine
from mirclr.library import LibraryStore
from mirclr.models.stamp import EncoderStamp
from mirclr.provenance import digest_bytes, digest_json, stamp, writing
from mirclr.settings import command_line

FORMAT = 1
UNKNOWN = "unknown"
TASKS = ("genre", "mood", "affect", "voice", "sound", "instrument")
"""What heads predict and a library keeps, in the order in which it is shown."""
TAG = "tag"
"""A task of the built-in heads that no library keeps: words of music, each by itself, made of vectors when needed."""
_KEPT = {"encoder": "encoder", "training": "training", "scores": "figures", "provenance": "provenance"}
"""Attributes, with their keys in the file."""


@dataclass(frozen=True, eq=False)
class Head:
    """One linear layer with a calibrated softmax (``one``) or sigmoids (``many``).

    Attributes
    ----------
    kind : {"one", "many"}
    labels : tuple of str
        C names.
    weight, bias : (C, d) and (C,) float32
    temperature : (C,) float32
        Divides the logits; above 0. Of kind ``one`` they are all equal.
    """

    kind: str
    labels: tuple[str, ...]
    weight: np.ndarray
    bias: np.ndarray
    temperature: np.ndarray

    def predict_proba(self, vectors: np.ndarray) -> np.ndarray:
        """(n, d) float -> (n, C) float64 in [0, 1]; rows of kind ``one`` add up to 1."""
        logits = (vectors.astype(np.float64) @ self.weight.T + self.bias) / self.temperature
        return softmax(logits) if self.kind == "one" else sigmoid(logits)


class Heads:
    """Genre and mood heads on the vectors of one encoder.

    Parameters
    ----------
    abstain : float in [0, 1]
        Threshold below which `predict` gives `UNKNOWN`.

    Attributes
    ----------
    tasks : dict of str to Head
        By ``genre`` and ``mood``, whichever could be fitted; the built-in heads have all of `TASKS`, and `TAG`. The
        labels of ``affect``, ``valence`` and ``arousal``, are numbers from 0 to 1.
    encoder : dict
        ``digest``, ``name`` and ``dim`` of the encoder whose vectors they take.
    training : str
        Digest of the vectors and labels that they were fitted on.
    scores : list of dict
        `Scores` of the cross-validation.
    provenance : dict
        `mirclr.provenance.stamp` of the fit.
    sureness : Sureness or None
        From which probability on their genres were right nine times in ten; None where that was not measured, or there
        were too few tracks to tell.
    written_as : dict of str to str
        What a genre is called in files' tags, where that is not its name.
    priors : dict of str to (dict of str to float)
        By task and label, how often it holds in the music that it was calibrated on; empty where that is not known.
    """

    def __init__(self, *, abstain: float = ABSTAIN) -> None:
        self.abstain = abstain
        self.tasks: dict[str, Head] = {}
        self.encoder: dict[str, Any] = {}
        self.training = ""
        self.scores: list[dict[str, Any]] = []
        self.provenance: dict[str, Any] = {}
        self.sureness: Sureness | None = None
        self.written_as: dict[str, str] = {}
        self.priors: dict[str, dict[str, float]] = {}

    def fit(
        self,
        vectors: np.ndarray,
        labels: Labels,
        *,
        encoder: EncoderStamp,
        scores: Sequence[Scores] = (),
        advance: Advance | None = None,
    ) -> "Heads":
        """Fit a head for each task on all tracks that have its label.

        Parameters
        ----------
        vectors : (n, d) float
            One a row of `labels`.
        labels : Labels
            What is true.
        encoder : EncoderStamp
            Made the vectors.
        scores : sequence of Scores
            Of `cross_validate` on the same tracks, to be kept with the heads.
        advance : callable, optional
            Called for each task that is done.

        Raises
        ------
        LabelsError
            There is no task that can be fitted.
        """
        fitted = []
        for task in usable_tasks(labels):
            fitted.append((task, fit_with_grid_search(vectors[task.rows], task.target, task.groups)))
            if advance:
                advance(1, task.label or task.name)
        self.tasks = {}
        if genre := [pair for pair in fitted if pair[0].name == "genre"]:
            task, fit = genre[0]
            self.tasks["genre"] = _head("one", task.classes, fit.weight, fit.bias, [fit.temperature])
        if moods := [pair for pair in fitted if pair[0].name == "mood"]:
            names = tuple(task.label for task, _ in moods)
            # two-label softmax as one sigmoid: the difference of the logits
            weight = np.stack([fit.weight[1] - fit.weight[0] for _, fit in moods])
            bias = np.array([fit.bias[1] - fit.bias[0] for _, fit in moods])
            self.tasks["mood"] = _head("many", names, weight, bias, [fit.temperature for _, fit in moods])
        self.encoder = {"digest": encoder.digest, "name": encoder.name, "dim": encoder.dim}
        self.training = digest_bytes(
            np.ascontiguousarray(vectors, "<f4").tobytes(),
            np.ascontiguousarray(labels.fractions, "<f8").tobytes(),
            digest_json([list(labels.artist), list(labels.genre), list(labels.moods)]).encode(),
        )
        self.scores = [asdict(s) for s in scores]
        self.sureness = next((Sureness.from_json(s.sure) for s in scores if s.sure), None)
        self.provenance = stamp(encoder=encoder.digest, training=self.training)
        return self

    def predict_proba(self, vectors: np.ndarray) -> dict[str, np.ndarray]:
        """Probabilities of each task's labels.

        Parameters
        ----------
        vectors : (n, d) float
            Of the encoder that the heads were fitted on.

        Returns
        -------
        dict of str to (n, C) float64
            By task; the columns are in the order of `labels` of the task's head. Genres add up to 1, moods do
            not.

        Raises
        ------
        EncoderMismatch
            The vectors are not of the dimension that was fitted.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.encoder.get("dim"):
            raise EncoderMismatch(
                f"vectors of shape {vectors.shape}; these heads take (n, {self.encoder.get('dim')}), of the "
                f"encoder {self.encoder.get('name')}"
            )
        return {name: head.predict_proba(vectors) for name, head in self.tasks.items()}

    def predict(self, vectors: np.ndarray) -> list[str]:
        """The genre of each vector, or `UNKNOWN` where the best is less probable than `abstain`."""
        if "genre" not in self.tasks:
            return [UNKNOWN] * len(vectors)
        return self.genres(self.predict_proba(vectors)["genre"])

    def genres(self, probabilities: np.ndarray) -> list[str]:
        """What `predict` gives, from the (n, C) probabilities of genres."""
        best, top = probabilities.argmax(axis=1), probabilities.max(axis=1)
        names = self.tasks["genre"].labels
        return [names[b] if p >= self.abstain else UNKNOWN for b, p in zip(best, top, strict=True)]

    def are_of(self, encoder: EncoderStamp) -> bool:
        """Whether they were fitted on the vectors of this encoder."""
        return (encoder.digest, encoder.dim) == (self.encoder["digest"], self.encoder["dim"])

    def check_encoder(self, library: LibraryStore) -> None:
        """Make sure that a library's vectors are of the encoder that the heads were fitted on.

        Raises
        ------
        EncoderMismatch
            They are of another.
        LibraryError
            It holds none yet.
        """
        held = library.stamp
        if held is None:
            raise LibraryError(
                f"{library.path}: holds no songs yet; add some with: "
                f"{command_line('embed', 'FOLDER', library_path=library.path)}"
            )
        if not self.are_of(held):
            raise EncoderMismatch(
                f"{library.path}: its songs were embedded by the encoder {held.name} ({held.digest[:8]}), and these "
                f"genres and moods were learned for {self.encoder['name']} ({self.encoder['digest'][:8]}). Learn some "
                f"for this library: mirclr classify train --from-tags --library {shlex.quote(str(library.path))}"
            )

    @property
    def digest(self) -> str:
        """Of all that a prediction depends on."""
        parts = [digest_json([h.kind, h.labels, name]).encode() for name, h in sorted(self.tasks.items())]
        arrays = [tensor.tobytes() for _, tensor in sorted(self._tensors().items())]
        return digest_bytes(*parts, *arrays, str(self.encoder.get("digest")).encode())

    def save(self, path: Path) -> None:
        """Write one safetensors file; its header is JSON under the key ``mirclr``."""
        header = {
            "format": FORMAT,
            "kind": "heads",
            "tasks": {name: {"kind": h.kind, "labels": h.labels} for name, h in self.tasks.items()},
            "abstain": self.abstain,
            **{key: getattr(self, name) for name, key in _KEPT.items()},
            **({"sureness": self.sureness.to_json()} if self.sureness else {}),
            **({"written_as": self.written_as} if self.written_as else {}),
            **({"priors": self.priors} if self.priors else {}),
        }
        blob = safetensors.numpy.save(self._tensors(), {"mirclr": json.dumps(header, ensure_ascii=False)})
        with writing(path) as f:
            f.write(blob)

    @classmethod
    def load(cls, path: Path) -> "Heads":
        """Read heads that `save` wrote.

        Raises
        ------
        CheckpointError
            The file is missing, something else, damaged, or of a newer mirclr.
        """
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file of heads; fit them with: mirclr classify train")
        advice = "expected heads written by: mirclr classify train"
        try:
            with safetensors.safe_open(path, framework="numpy") as f:
                header = json.loads((f.metadata() or {}).get("mirclr", "{}"))
                tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 (not a dict)
        except (safetensors.SafetensorError, OSError, ValueError, RecursionError) as error:
            if is_fault_of_machine(error):
                raise
            raise CheckpointError(f"{path}: not a safetensors file ({in_words(error, path)}); {advice}") from error
        if not isinstance(header, dict) or header.get("kind") != "heads":
            raise CheckpointError(f"{path}: not a file of heads; {advice}")
        if header.get("format") != FORMAT:
            raise CheckpointError(
                f"{path}: format {header.get('format')}; this mirclr reads {FORMAT}: update it, or train again"
            )
        try:
            return cls._of(header, tensors)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{path}: damaged ({error}); {advice}") from error

    @classmethod
    def _of(cls, header: dict[str, Any], tensors: dict[str, np.ndarray]) -> "Heads":
        heads = cls(abstain=float(header["abstain"]))
        for name, key in _KEPT.items():
            setattr(heads, name, header[key])
        named = {"digest": str, "name": str, "dim": int}
        if not all(isinstance(heads.encoder.get(key), kind) for key, kind in named.items()):
            raise ValueError("its encoder is not named")
        if not (0 <= heads.abstain <= 1 and isinstance(heads.training, str) and isinstance(heads.provenance, dict)):
            raise ValueError("its threshold or provenance")
        if not all(isinstance(row, dict) for row in heads.scores):
            raise ValueError("its scores")
        if header.get("sureness"):
            heads.sureness = Sureness.from_json(header["sureness"])
        heads.written_as = dict(header.get("written_as") or {})
        if not all(isinstance(name, str) for pair in heads.written_as.items() for name in pair):
            raise ValueError("the names of its genres")
        heads.priors = {
            str(task): {str(n): float(p) for n, p in of.items()} for task, of in header.get("priors", {}).items()
        }
        if not all(0 <= p <= 1 for of in heads.priors.values() for p in of.values()):
            raise ValueError("how often its labels hold")
        for name, task in header["tasks"].items():
            arrays = [tensors[f"{name}.{part}"] for part in ("weight", "bias", "temperature")]
            if not all(isinstance(label, str) for label in task["labels"]):
                raise ValueError(f"the labels of {name}")
            n = len(task["labels"])
            shapes = [(n, heads.encoder["dim"]), (n,), (n,)]
            if [a.shape for a in arrays] != shapes or not all(np.isfinite(a).all() for a in arrays):
                raise ValueError(f"the weights of {name} do not fit its labels, or are not finite")
            if task["kind"] not in ("one", "many") or arrays[2].min() <= 0:
                raise ValueError(f"the kind or temperature of {name}")
            heads.tasks[name] = Head(task["kind"], tuple(task["labels"]), *arrays)
        return heads

    def _tensors(self) -> dict[str, np.ndarray]:
        parts = ("weight", "bias", "temperature")
        return {f"{name}.{part}": getattr(head, part) for name, head in self.tasks.items() for part in parts}


def _head(
    kind: str, labels: tuple[str, ...], weight: np.ndarray, bias: np.ndarray, temperature: Sequence[float]
) -> Head:
    all_labels = np.broadcast_to(np.asarray(temperature, np.float32), (len(labels),))
    arrays = (weight.astype(np.float32), bias.astype(np.float32), np.ascontiguousarray(all_labels))
    return Head(kind, labels, *arrays)


def heads_path(library_path: Path) -> Path:
    """Where a library's own heads are kept, unless another file is named."""
    return library_path.with_name(f"{library_path.name}.heads.safetensors")
