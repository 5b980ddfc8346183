r"""Recipes: what a training run is made of, read strictly from YAML, with dotted overrides.

A recipe is a tree of pydantic models. Unknown keys, wrong types and values out of range are errors that name the
place. The loader follows YAML 1.2 where PyYAML does not: ``1e-3`` is a number, ``no`` is text, a key given twice is
an error.

>>> parse_recipe("name: a\ndata: {train: tracks.jsonl}\ntraining: {lr: 1e-3}").training.lr
0.001
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mirclr.errors import RecipeError

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Factor = Annotated[float, Field(ge=0.25, le=4)]


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"{bounds[0]:g} stands before {bounds[1]:g}; give the lower bound first")
    return bounds


Range = Annotated[tuple[float, float], AfterValidator(_ascending)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class SoftPositives(_Section):
    """How alike tracks of one album, and of one artist, are taken to be: 0 <= artist <= album < 1."""

    album: Annotated[float, Field(ge=0, lt=1)] = 0.3
    artist: Annotated[float, Field(ge=0, lt=1)] = 0.1

    @model_validator(mode="after")
    def _album_is_nearer(self) -> "SoftPositives":
        if self.artist > self.album:
            raise ValueError(f"artist ({self.artist}) is above album ({self.album}); an album is at least as close")
        return self


class Data(_Section):
    """Which music is learned from.

    `train` names a corpus of data_manifests/ that has been fetched, or a manifest file (relative to the recipe's
    folder). Its tracks of the splits valid and test are never trained on. `labels` is the field that objectives with
    labels learn from; tracks without it take part as instances of themselves. `soft_positives` takes albums and
    artists for labels instead. Tracks of one group of `never_negative` are never negatives of each other, unless labels
    make them alike. `tracks_per_class` draws batches balanced over the labels, with so many tracks of each; None draws
    all tracks evenly. `share` learns from a part of the tracks, drawn by their ids: a smaller part is held in a larger.
    """

    train: str
    audio_root: str | None = None
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    labels: Literal["artist", "album", "genre", "moods", "tags"] | None = None
    soft_positives: SoftPositives | None = None
    never_negative: Literal["recording", "album", "artist"] = "recording"
    tracks_per_class: Count | None = None


class Audio(_Section):
    """Rate in Hz, and the length in seconds of what the encoder hears at once."""

    rate: Annotated[int, Field(ge=8000, le=48000)] = 16000
    clip_seconds: Annotated[float, Field(ge=0.5, le=30)] = 3.0


class Mel(_Section):
    """Settings of `mirclr.mel.LogMel`; frequencies in Hz, n_fft and hop in samples."""

    n_fft: Count = 512
    hop: Count = 256
    bands: Annotated[int, Field(ge=2)] = 96
    f_min: Annotated[float, Field(ge=0)] = 0.0
    f_max: Positive | None = None
    gain: Positive = 10_000.0


class _Step(_Section):
    p: Probability = 0.5


class PitchShift(_Step):
    """Shift by a number of semitones drawn uniformly from the range."""

    name: Literal["pitch_shift"] = "pitch_shift"
    semitones: Range = (-2.0, 2.0)


class TimeStretch(_Step):
    """Play faster (above 1) or slower by a factor drawn log-uniformly; the pitch stays."""

    name: Literal["time_stretch"] = "time_stretch"
    rate: Annotated[tuple[Factor, Factor], AfterValidator(_ascending)] = (0.8, 1.25)


class Gain(_Step):
    """Change the level by decibels drawn uniformly."""

    name: Literal["gain"] = "gain"
    db: Range = (-10.0, 6.0)


class Noise(_Step):
    """Add white noise at a signal-to-noise ratio drawn uniformly, in decibels."""

    name: Literal["noise"] = "noise"
    snr_db: Range = (10.0, 40.0)


class Equalizer(_Step):
    """A random smooth gain curve: `points` control points, evenly spaced in mel, each within ± `db`."""

    name: Literal["equalizer"] = "equalizer"
    db: Positive = 6.0
    points: Annotated[int, Field(ge=2)] = 6


class Filter(_Step):
    """Low-pass or high-pass, each half of the time: cut-off drawn log-uniformly, 12 dB an octave."""

    name: Literal["filter"] = "filter"
    low_pass_hz: Annotated[tuple[Positive, Positive], AfterValidator(_ascending)] = (1500.0, 7000.0)
    high_pass_hz: Annotated[tuple[Positive, Positive], AfterValidator(_ascending)] = (60.0, 800.0)


class Polarity(_Step):
    """Invert the sign of the waveform. A mel spectrogram does not hear it."""

    name: Literal["polarity"] = "polarity"


class TimeMask(_Step):
    """Silence `count` stretches of time, each of a length drawn uniformly up to `seconds`."""

    name: Literal["time_mask"] = "time_mask"
    seconds: Positive = 0.4
    count: Count = 1


class FrequencyMask(_Step):
    """Silence `count` bands of frequency, each of a width drawn uniformly up to `share` of the mel axis."""

    name: Literal["frequency_mask"] = "frequency_mask"
    share: Annotated[float, Field(gt=0, lt=1)] = 0.15
    count: Count = 1


class Mix(_Step):
    """Add another clip of the batch, quieter by decibels drawn uniformly."""

    name: Literal["mix"] = "mix"
    snr_db: Range = (6.0, 20.0)


Step = Annotated[
    PitchShift | TimeStretch | Gain | Noise | Equalizer | Filter | Polarity | TimeMask | FrequencyMask | Mix,
    Field(discriminator="name"),
]


class Mixing(_Step):
    """Mix each view with another of the batch, and their label rows with them, before the encoder.

    ``mixup`` adds log-mels or waveforms (arXiv 1710.09412); ``cutmix_time`` puts in a stretch of time of the other,
    ``cutmix_box`` a box of time and frequency (arXiv 1905.04899). The share kept is drawn from Beta(alpha, alpha).
    """

    name: Literal["mixup", "cutmix_time", "cutmix_box"]
    alpha: Positive = 1.0


class Augment(_Section):
    """What makes two views of a recording differ, in order of application.

    `waveform` steps are exact and slower: they work on samples, before the mel spectrogram. `mel` steps are the
    cheap forms. `mixing` comes last, for objectives that take label distributions. `gap_seconds` bounds the distance
    between the two crops of a recording; None: anywhere.
    """

    waveform: tuple[Step, ...] = ()
    mel: tuple[Step, ...] = ()
    mixing: Mixing | None = None
    gap_seconds: Positive | None = None

    @model_validator(mode="after")
    def _one_stretch(self) -> "Augment":
        stretches = sum(s.name == "time_stretch" for s in (*self.waveform, *self.mel))
        if stretches > 1:
            raise ValueError("time_stretch stands more than once; keep one, on the waveform or on the mel")
        return self


class ResNet(_Section):
    """A residual network on log-mel; `widths` are the channels of its stages.

    `collapse` adds a layer of so many channels, as high as the last maps: it knows where in frequency something is, of
    which the mean over frequency that is pooled otherwise tells little. The embedding is the pooled maps themselves,
    twice their channels; with a number for `dim` it is a linear layer on them, which is nearer to the objective and
    tells less of what that does not ask for.
    """

    name: Literal["resnet"] = "resnet"
    widths: tuple[Count, ...] = (16, 48, 128, 256)
    blocks: tuple[Count, ...] = (1, 1, 1, 1)
    collapse: Count | None = None
    dim: Count | None = None

    @model_validator(mode="after")
    def _as_many(self) -> "ResNet":
        if len(self.widths) != len(self.blocks):
            raise ValueError(f"{len(self.widths)} widths but {len(self.blocks)} blocks; give one count for each stage")
        return self


class SampleCNN(_Section):
    """CLMR's encoder, on the waveform (Spijkervet and Burgoyne 2021, arXiv 2103.09410)."""

    name: Literal["sample_cnn"] = "sample_cnn"
    widths: tuple[Count, ...] = (128, 128, 128, 256, 256, 256, 256, 512, 512)
    dropout: Probability = 0.5


Encoder = Annotated[ResNet | SampleCNN, Field(discriminator="name")]


class Projector(_Section):
    """The network between embedding and objective, left out after training: `layers` linear layers."""

    hidden: Count = 512
    dim: Count = 128
    layers: Annotated[int, Field(ge=2, le=4)] = 2


class _Queued(_Section):
    queue: Annotated[int, Field(ge=0)] = 0  # past rows that stand beside the batch (arXiv 1912.06798)


class NTXent(_Queued):
    """NT-Xent (arXiv 2002.05709); `decoupled` is DCL (arXiv 2110.06848)."""

    name: Literal["nt_xent"] = "nt_xent"
    temperature: Positive = 0.1
    decoupled: bool = False


class Triplet(_Queued):
    """The triplet loss (arXiv 1503.03832) on squared distances."""

    name: Literal["triplet"] = "triplet"
    margin: Positive = 0.2
    mining: Literal["all", "hard", "semi_hard", "batch_hard"] = "semi_hard"


class NPair(_Section):
    """The N-pair loss (Sohn 2016); projections are not normalised, `norm_weight` holds their length down."""

    name: Literal["n_pair"] = "n_pair"
    norm_weight: Annotated[float, Field(ge=0)] = 0.02


class SupCon(_Queued):
    """Supervised contrastive learning (arXiv 2004.11362), by `data.labels`."""

    name: Literal["sup_con"] = "sup_con"
    temperature: Positive = 0.1


class GeneralizedSupCon(_Queued):
    """Generalized supervised contrastive learning (arXiv 2206.00384): label distributions, mixed or not."""

    name: Literal["generalized_sup_con"] = "generalized_sup_con"
    temperature: Positive = 0.1
    base_temperature: Positive = 0.07


class CrossEntropy(_Section):
    """A classifier of `data.labels`, the baseline without contrast: the projector's outputs are its logits."""

    name: Literal["cross_entropy"] = "cross_entropy"


class InstanceDiscrimination(_Section):
    """Instance discrimination with a memory bank (arXiv 1805.01978)."""

    name: Literal["instance_discrimination"] = "instance_discrimination"
    form: Literal["nce", "softmax"] = "nce"
    temperature: Positive = 0.07
    negatives: Count = 4096
    proximal: Annotated[float, Field(ge=0)] = 0.0


Objective = Annotated[
    NTXent | Triplet | NPair | SupCon | GeneralizedSupCon | InstanceDiscrimination | CrossEntropy,
    Field(discriminator="name"),
]


class Distillation(_Section):
    """Learn from a teacher's label distributions t too: L(z, y) + alpha L(z, t), with generalized_sup_con for L.

    `labels` is a folder that `mirclr teacher label` wrote: t of a crop is read there, and mixed as clips are. `teacher`
    is musicnn-msd, musicnn-mtt or a checkpoint of mirclr, with `heads` fitted on its vectors; it hears the very clips
    that the student hears, mixed as they are. `alpha: only` leaves L(z, y) out. A `temperature` below 1 sharpens what
    the teacher says; `centre` takes the mean row out and keeps what is above it, so that a teacher that says much the
    same of everything still tells it apart. `softmax` makes one distribution of all tags, of their centred logits: at a
    low temperature sharper still. `by: embedding` compares its embeddings in place of its tags; centre them.
    """

    labels: str | None = None
    teacher: str | None = None
    heads: str | None = None
    alpha: Positive | Literal["only"] = 1.0
    temperature: Positive = 1.0
    centre: bool = False
    softmax: bool = False
    by: Literal["tags", "embedding"] = "tags"

    @model_validator(mode="after")
    def _one_source(self) -> "Distillation":
        if (self.labels is None) == (self.teacher is None):
            raise ValueError(
                "give either labels (a folder of mirclr teacher label) or teacher (a name or a checkpoint)"
            )
        if self.heads and self.teacher is None:
            raise ValueError("heads go with a checkpoint of mirclr as teacher")
        return self


class Training(_Section):
    """The loop. `batch` counts recordings, each heard twice; `lr` is the peak after `warmup` steps."""

    steps: Count = 10_000
    batch: Annotated[int, Field(ge=2)] = 128
    accumulate: Count = 1
    lr: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    warmup: Annotated[int, Field(ge=0)] = 200
    clip_norm: Positive | None = 5.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    checkpoint_minutes: Positive = 5.0
    log_every: Count = 20


class Check(_Section):
    """A kNN vote on labelled tracks every `every` steps: the label of a track is told by its nearest others.

    `manifest` is as `Data.train`; tracks without the label, or alone with it, are left out.
    """

    manifest: str
    audio_root: str | None = None
    split: Literal["train", "valid", "test"] | None = "valid"
    label: Literal["artist", "album", "genre"] = "artist"
    k: Count = 5
    every: Count = 500


class Embedding(_Section):
    """How a track is heard when it is embedded: `excerpts` clips spread over it, averaged.

    With a `deviation` above 0 the vector also tells how much the excerpts differ, and that is how much it counts.
    """

    excerpts: Count = 10
    deviation: Annotated[float, Field(ge=0)] = 0.0


_ONE_LABEL = ("artist", "album", "genre")  # fields of which a track has one at most


class Recipe(_Section):
    """Everything a training run is made of."""

    name: str
    seed: int = 0
    data: Data
    audio: Audio = Audio()
    mel: Mel = Mel()
    augment: Augment = Augment()
    encoder: Encoder = ResNet()
    projector: Projector = Projector()
    objective: Objective = NTXent()
    distillation: Distillation | None = None
    training: Training = Training()
    check: Check | None = None
    embedding: Embedding = Embedding()

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if self.objective.name in ("sup_con", "cross_entropy") and self.data.labels not in _ONE_LABEL:
            raise ValueError(f"objective {self.objective.name} needs data.labels: artist, album or genre")
        if self.distillation and self.objective.name != "generalized_sup_con":
            raise ValueError("distillation needs objective generalized_sup_con, which takes label distributions")
        if self.distillation and bool(getattr(self.objective, "queue", 0)):
            raise ValueError("objective.queue keeps the labels of one kind alone; leave it out with distillation")
        if self.data.soft_positives and (self.objective.name != "generalized_sup_con" or self.data.labels):
            raise ValueError("data.soft_positives needs objective generalized_sup_con, and no data.labels")
        if self.data.soft_positives and bool(getattr(self.objective, "queue", 0)):
            raise ValueError("objective.queue cannot keep data.soft_positives, which are made within a batch")
        if self.data.tracks_per_class and self.data.labels not in _ONE_LABEL:
            raise ValueError("data.tracks_per_class needs data.labels: artist, album or genre")
        if self.training.batch % (self.data.tracks_per_class or 1):
            raise ValueError(f"training.batch ({self.training.batch}) is no multiple of data.tracks_per_class")
        mixing = self.augment.mixing
        if mixing and self.objective.name not in ("generalized_sup_con", "cross_entropy"):
            raise ValueError("augment.mixing needs objective generalized_sup_con or cross_entropy, for mixed labels")
        if mixing and mixing.name == "cutmix_box" and self.encoder.name == "sample_cnn":
            raise ValueError("augment.mixing: a cutmix_box is one of log-mel; sample_cnn takes mixup or cutmix_time")
        if self.encoder.name == "sample_cnn" and self.augment.mel:
            raise ValueError("augment.mel has steps, but sample_cnn hears the waveform; move them to augment.waveform")
        if isinstance(self.encoder, SampleCNN):
            shortest = 3 ** len(self.encoder.widths) / self.audio.rate
            if self.audio.clip_seconds < shortest:
                raise ValueError(
                    f"audio.clip_seconds is {self.audio.clip_seconds}, but a sample_cnn of {len(self.encoder.widths)} "
                    f"stages needs {shortest:.3g} s; make the clips longer, or give fewer widths"
                )
        half = self.audio.rate / 2
        if (self.mel.f_max or 0) > half:
            raise ValueError(f"mel.f_max is {self.mel.f_max} Hz, above half of audio.rate ({self.audio.rate} Hz)")
        if self.mel.f_min >= (self.mel.f_max or half):
            raise ValueError(f"mel.f_min is {self.mel.f_min} Hz; it must lie below mel.f_max or half of audio.rate")
        return self


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's numbers and booleans, that refuses a repeated key."""

    def construct_decimal(self, node: yaml.ScalarNode) -> int:
        return int(self.construct_scalar(node))  # PyYAML reads 010 as octal

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(k, deep=True) for k, _ in node.value]
        twice = {str(k) for k in keys if keys.count(k) > 1}
        if twice:
            raise RecipeError(f"line {node.start_mark.line + 1}: the key {', '.join(sorted(twice))} stands twice")
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith((":bool", ":float", ":int", ":timestamp"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_decimal)
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def parse_recipe(text: str, *, overrides: Iterable[str] = (), where: str = "recipe") -> Recipe:
    """Read a recipe from YAML text.

    Parameters
    ----------
    text : str
        YAML.
    overrides : iterable of str
        ``dotted.key=value`` each, the value in YAML; a number in the key picks from a list, as in
        ``augment.mel.0.p=0.3``.
    where : str
        The name that errors give the recipe.

    Returns
    -------
    Recipe

    Raises
    ------
    RecipeError
        Naming the place, what was found and what was expected.
    """
    tree = _plain(text, where) or {}
    if not isinstance(tree, dict):
        raise RecipeError(f"{where}: found {type(tree).__name__}; a recipe is a mapping of sections")
    for override in overrides:
        _override(tree, override)
    return recipe_from(tree, where=where)


def _plain(text: str, where: str) -> Any:
    """YAML to plain values; `where` is what errors call the text."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506  (_Loader is a SafeLoader)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a tag that does not fit, such as !!int x
        raise RecipeError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from error


def recipe_from(tree: dict[str, Any], *, where: str = "recipe") -> Recipe:
    """Validate a recipe given as plain values, such as the one a checkpoint holds."""
    try:
        # as JSON, where a list is a tuple but, strictly, "5" is no number
        return Recipe.model_validate_json(json.dumps(tree, default=str))
    except ValidationError as error:
        lines = []
        for e in error.errors():
            place = ".".join(str(p) for p in e["loc"]) or "recipe"
            found = "" if e["type"] in ("missing", "value_error") else f", found {e['input']!r}"
            lines.append(f"{place}: {e['msg'].removeprefix('Value error, ')}{found}")
        raise RecipeError(f"{where}: " + "; ".join(lines)) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise RecipeError(f"{where}: not a tree of plain values ({error})") from error


def read_recipe(path: Path, *, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe file; see `parse_recipe`. Manifests named by relative path are taken from its folder."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read ({error}); expected a recipe in YAML") from error
    return parse_recipe(text, overrides=overrides, where=str(path))


def recipe_yaml(recipe: Recipe) -> str:
    """Write the resolved recipe, every default spelt out, as YAML."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {override}: expected dotted.key=value")
    *parents, last = key.strip().split(".")
    node: Any = tree
    for part in parents:
        if isinstance(node, list):
            node = node[_position(node, part, override)]
            if not isinstance(node, dict | list):
                raise RecipeError(f"--set {override}: place {part} holds {node!r}, which has no parts")
        else:
            if not isinstance(node.get(part), dict | list):
                node[part] = {}
            node = node[part]
    value = _plain(text, f"--set {override}")
    if isinstance(node, list):
        node[_position(node, last, override)] = value
    else:
        node[last] = value


def _position(node: list[Any], part: str, override: str) -> int:
    if not part.isdecimal() or int(part) >= len(node):
        raise RecipeError(f"--set {override}: {part!r} is not a place in a list of {len(node)}")
    return int(part)
