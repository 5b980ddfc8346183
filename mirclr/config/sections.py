"""The sections of a recipe: a tree of pydantic models, with their defaults and bounds."""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, JsonValue, Tag, model_validator

from mirclr.config.augmentations import (
    Augment,
    Channels,
    ClassName,
    Count,
    Decay,
    Few,
    OwnStep,
    Positive,
    Probability,
    Samples,
    Weight,
    ours_or_own,
)
from mirclr.config.augmentations import Section as _Section
from mirclr.extensions import is_class_name

CLMR_STAGES = 10  # that divide the length by three
_MOST_WEIGHTS = 300_000_000
_MOST_CELLS = 50_000_000  # of the log-mel of a clip


class SoftPositives(_Section):
    """The similarity given to tracks of one album, and of one artist: 0 <= artist <= album < 1."""

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
    labels learn from; tracks without it take part as instances of themselves. `labels_file` is a CSV (columns file,
    genre, artist, album, mood_…, tag_…) that holds it in place of the manifest; of what it holds, genre is learned from
    first, then artist, album, moods, tags, unless `labels` says. `soft_positives` takes albums and
    artists for labels instead. Tracks of one group of `never_negative` are never negatives of each other, unless
    their labels are similar. `tracks_per_class` draws batches balanced over the labels, with so many tracks of each;
    None draws all tracks evenly. `fraction` learns from a part of the tracks, drawn by their ids: a smaller part is
    held in a larger one.

    `train` may also be the path or URL of a ``shards.json``, which ``mirclr clips shard`` writes; `lanes` is then how
    many of its shards a batch is made of. Other data does not ask for it.
    """

    train: str
    audio_root: str | None = None
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    labels: Literal["artist", "album", "genre", "moods", "tags"] | None = None
    labels_file: str | None = None
    soft_positives: SoftPositives | None = None
    never_negative: Literal["recording", "album", "artist"] = "recording"
    tracks_per_class: Count | None = None
    lanes: Annotated[int, Field(ge=1, le=4096)] = 16


class Audio(_Section):
    """Sampling rate in Hz, and the length in seconds of the clips that the encoder takes.

    A file that gives no `clip_seconds` for a `sample_cnn` gets the 59,049 samples that it takes.
    """

    sample_rate: Annotated[int, Field(ge=8000, le=48000)] = 16000
    clip_seconds: Annotated[float, Field(ge=0.5, le=30)] = 3.0


class Mel(_Section):
    """Settings of the log-mel spectrogram; frequencies in Hz, n_fft and hop_length in samples."""

    n_fft: Samples = 512
    hop_length: Samples = 256
    n_mels: Annotated[int, Field(ge=2, le=2048)] = 96
    f_min: Annotated[float, Field(ge=0)] = 0.0
    f_max: Positive | None = None
    gain: Positive = 10_000.0


class ResNet(_Section):
    """A residual network on log-mel; `widths` are the channels of its stages.

    `freq_collapse` adds a convolution with so many channels over the whole height of the last maps, which keeps the
    place in frequency that a mean over frequency loses. The embedding is the pooled
    maps themselves, twice their channels; with a number for `dim` it is a linear layer on them, which fits the
    objective more closely and keeps less of what the objective does not ask for.
    """

    input: ClassVar[Literal["mel", "waveform"]] = "mel"
    name: Literal["resnet"] = "resnet"
    widths: Annotated[tuple[Channels, ...], Field(min_length=1, max_length=12)] = (16, 48, 128, 256)
    blocks: tuple[Few, ...] = (1, 1, 1, 1)
    freq_collapse: Channels | None = None
    dim: Channels | None = None

    @model_validator(mode="after")
    def _as_many(self) -> "ResNet":
        if len(self.widths) != len(self.blocks):
            raise ValueError(f"{len(self.widths)} widths but {len(self.blocks)} blocks; give one count for each stage")
        return self


class SampleCNN(_Section):
    """CLMR's encoder, as published (Spijkervet and Burgoyne 2021, arXiv 2103.09410): 512 numbers of a waveform.

    It takes clips of 59,049 samples (3 to the power of 10), 2.7 s at its 22,050 Hz, or longer ones.
    """

    input: ClassVar[Literal["mel", "waveform"]] = "waveform"
    name: Literal["sample_cnn"] = "sample_cnn"


class PooledSampleCNN(_Section):
    """A smaller network like CLMR's, for clips of any length: the last maps are averaged over time."""

    input: ClassVar[Literal["mel", "waveform"]] = "waveform"
    name: Literal["sample_cnn_pooled"] = "sample_cnn_pooled"
    widths: Annotated[tuple[Channels, ...], Field(min_length=1, max_length=12)] = (
        128, 128, 128, 256, 256, 256, 256, 512, 512,
    )  # fmt: skip
    dropout: Probability = 0.5


class RegisteredEncoder(_Section):
    """An encoder of one's own: the `entry_point` of the group mirclr.encoders that an installed package registers.

    Or the class itself, as ``package.module:Class``, which may stand for `name` too. It is called with `settings` for
    its keyword arguments and gives a module of torch; `input` is what that takes.
    """

    name: Literal["registered"] = "registered"
    entry_point: Annotated[str, Field(min_length=1, max_length=500)]
    input: Literal["mel", "waveform"] = "waveform"
    settings: dict[str, JsonValue] = Field(default_factory=dict)


Encoder = Annotated[ResNet | SampleCNN | PooledSampleCNN | RegisteredEncoder, Field(discriminator="name")]


class Projector(_Section):
    """The network between embedding and objective, left out after training: `layers` linear layers."""

    hidden: Channels = 512
    dim: Channels = 128
    layers: Annotated[int, Field(ge=2, le=4)] = 2


class _Objective(_Section):
    weight: Weight = 1.0  # by which it counts in the sum of all losses; 0 leaves it out


class _Queued(_Objective):
    queue: Annotated[int, Field(ge=0, le=10_000_000)] = 0  # past rows that stand beside the batch (arXiv 1912.06798)


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


class NPair(_Objective):
    """The N-pair loss (Sohn 2016); projections are not normalised, `norm_weight` holds their length down."""

    name: Literal["n_pair"] = "n_pair"
    norm_weight: Weight = 0.02


class SupCon(_Queued):
    """Supervised contrastive learning (arXiv 2004.11362), by `data.labels`."""

    name: Literal["sup_con"] = "sup_con"
    temperature: Positive = 0.1


class GeneralizedSupCon(_Queued):
    """Generalized supervised contrastive learning (arXiv 2206.00384): label distributions, mixed or not."""

    name: Literal["generalized_sup_con"] = "generalized_sup_con"
    temperature: Positive = 0.1
    base_temperature: Positive = 0.07


class CrossEntropy(_Objective):
    """A classifier of `data.labels`, the baseline without contrast: the projector's outputs are its logits."""

    name: Literal["cross_entropy"] = "cross_entropy"


class InstanceDiscrimination(_Objective):
    """Instance discrimination with a memory bank (arXiv 1805.01978)."""

    name: Literal["instance_discrimination"] = "instance_discrimination"
    form: Literal["nce", "softmax"] = "nce"
    temperature: Positive = 0.07
    negatives: Annotated[int, Field(ge=1, le=10_000_000)] = 4096
    proximal: Weight = 0.0


class OwnObjective(_Objective):
    """A loss of one's own, by the name of its class: ``package.module:Class``, made with `settings`.

    A `mirclr.objectives.Objective`, or any module of torch that is called with projections and whole numbers, equal for
    rows that belong together, such as the losses of pytorch-metric-learning.
    """

    name: ClassName
    settings: dict[str, JsonValue] = Field(default_factory=dict)


_OurObjective = Annotated[
    NTXent | Triplet | NPair | SupCon | GeneralizedSupCon | InstanceDiscrimination | CrossEntropy,
    Field(discriminator="name"),
]
Objective = Annotated[
    Annotated[_OurObjective, Tag("ours")] | Annotated[OwnObjective, Tag("own")],
    Discriminator(ours_or_own),
]


def takes_distributions(objective: Objective) -> bool:
    """Whether an objective learns from label distributions, mixed or a teacher's; of one's own, it alone knows."""
    return objective.name == "generalized_sup_con" or isinstance(objective, OwnObjective)


class Auxiliary(_Section):
    """A further objective beside the first, on the same views and labels, by its own `weight`.

    It shares the projection of the first, or has a `projector` of its own.
    """

    objective: Objective
    projector: Projector | None = None


class TagsTarget(_Section):
    """Predict the teacher's tags: binary cross-entropy with its probabilities, less their entropy."""

    name: Literal["tags"] = "tags"
    weight: Weight = 1.0


class EmbeddingTarget(_Section):
    """Predict the teacher's embedding: one minus the cosine, or the mean squared error of standardised values."""

    name: Literal["embedding"] = "embedding"
    loss: Literal["cosine", "mse"] = "cosine"
    weight: Weight = 1.0


class FeaturesTarget(_Section):
    """Predict the first principal components of the teacher's features: mean squared error, halfway to white."""

    name: Literal["features"] = "features"
    components: Channels = 256
    weight: Weight = 1.0


DistillationTarget = Annotated[TagsTarget | EmbeddingTarget | FeaturesTarget, Field(discriminator="name")]


class Distillation(_Section):
    """Learn from a teacher's outputs too: L(z, y) + alpha L(z, t) + the weighted losses of `targets`.

    The outputs come from one source. `labels` is a folder that `mirclr teacher label` wrote: those of a crop are read
    there, and mixed as clips are. `teacher` is musicnn, musicnn-msd, musicnn-mtt, builtin, a checkpoint of mirclr with
    `heads` fitted on its vectors, or a class of one's own (package.module:Class) that is made with `settings`; it is
    given the very clips that the student is given, mixed as they are. `examples: true` takes them from the distillation
    examples that data.train names.

    L(z, t) is generalized_sup_con with soft targets t made of the outputs; `alpha: 0` leaves it out, `alpha: only`
    leaves L(z, y) out. A `temperature` below 1 sharpens them; `centre` subtracts the mean row and keeps what is above
    it, so that a teacher whose outputs are nearly the same for all music still separates it. `softmax` makes one
    distribution of all tags, of their centred logits: at a low temperature sharper still. `by: embedding` compares its
    embeddings in place of its tags; centre them.

    `targets` are outputs that linear layers on the student's embedding predict.
    """

    labels: str | None = None
    teacher: str | None = None
    heads: str | None = None
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    examples: bool = False
    alpha: Weight | Literal["only"] = 1.0
    temperature: Positive = 1.0
    centre: bool = False
    softmax: bool = False
    by: Literal["tags", "embedding"] = "tags"
    targets: tuple[DistillationTarget, ...] = ()

    @model_validator(mode="after")
    def _one_source(self) -> "Distillation":
        if (self.labels is not None) + (self.teacher is not None) + self.examples != 1:
            raise ValueError(
                "give either labels (a folder of mirclr teacher label), teacher (a name or a checkpoint) or "
                "examples: true (data.train is a folder of distillation examples)"
            )
        if self.heads and self.teacher is None:
            raise ValueError("heads go with a checkpoint of mirclr as teacher")
        if self.settings and not is_class_name(self.teacher):
            raise ValueError("settings go with a class of one's own as teacher, package.module:Class")
        names = [target.name for target in self.targets]
        if len(names) != len(set(names)):
            raise ValueError("targets: each of tags, embedding and features stands once at most")
        if self.alpha == 0 and not names:
            raise ValueError("alpha is 0 and there are no targets: nothing is learned from the teacher")
        return self

    @property
    def outputs(self) -> tuple[str, ...]:
        """What is needed of the teacher: ``soft_targets``, and what `targets` names."""
        contrast = ("soft_targets",) if self.alpha != 0 else ()
        return (*contrast, *(target.name for target in self.targets))


class Training(_Section):
    """The loop. `batch` counts recordings, two crops each; `lr` is the peak after `warmup` steps.

    `accumulate` takes the mean gradient of so many batches a step. Each is contrasted by itself: that smooths the
    gradient as a larger batch would, but gives no view more negatives; for these raise `batch` or `objective.queue`.
    `schedule`: after the warm-up the rate falls to zero at the last step by half a cosine, or stays; a run whose rate
    stays may be resumed with more `steps`. `betas` are AdamW's.

    `ema_decay` exports an exponential moving average of the weights in place of the last ones: after step s it moves to
    the weights by one minus the smaller of `ema_decay` and s / (s + 10). `init` begins with the weights that another
    run ended with: its state.safetensors, whose averages are taken where it has them, with the layers that predict a
    teacher's outputs; or the encoder of any checkpoint.

    `precision`: on a GPU "auto" is bfloat16 where the hardware multiplies in it, and "tf32" has convolutions alone
    computed with less than float32. `compile` runs the network through torch.compile, where there is a compiler. Runs
    are bit-exact on one CPU machine, and on a GPU with `deterministic`, which is slower. `workers` processes make
    batches; by default none on a CPU, and up to 8 for a GPU. None of them changes what a batch is.
    """

    steps: Count = 10_000
    batch: Annotated[int, Field(ge=2, le=1_000_000)] = 128
    accumulate: Few = 1
    lr: Positive = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: Weight = 1e-2
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    ema_decay: Decay | None = None
    init: str | None = None
    warmup: Annotated[int, Field(ge=0, le=1_000_000_000)] = 200
    clip_norm: Positive | None = 5.0
    precision: Literal["auto", "float32", "tf32", "bfloat16"] = "auto"
    compile: bool = False
    deterministic: bool = False
    workers: Annotated[int, Field(ge=0, le=1000)] | None = None
    checkpoint_minutes: Positive = 5.0
    log_every: Count = 20


class Validation(_Section):
    """A kNN vote on labelled tracks every `every` steps: the label of each is predicted from its nearest others.

    `manifest` is as `Data.train`; tracks without the label, or alone with it, are left out.
    """

    manifest: str
    audio_root: str | None = None
    split: Literal["train", "valid", "test"] | None = "valid"
    label: Literal["artist", "album", "genre"] = "artist"
    k: Count = 5
    every: Count = 500


class Embedding(_Section):
    """How a track is embedded: as the mean over `excerpts` clips spread over it.

    With a `std_weight` above 0 the vector also holds the standard deviation over the excerpts, multiplied by it.
    `levelled` scales each track to an RMS of 0.1, so that its vector does not depend on its level; without, only what
    is quieter is raised to that. `balanced` is how much of a track's slope of the spectrum is evened out, so that its
    vector depends less on how bright or dark it was mastered.
    """

    excerpts: Few = 10
    std_weight: Weight = 0.0
    levelled: bool = False
    balanced: Annotated[float, Field(ge=0, le=1)] = 0.0


_ONE_LABEL = ("artist", "album", "genre")  # fields of which a track has one at most


class Recipe(_Section):
    """Everything a training run is made of."""

    name: str
    seed: Annotated[int, Field(gt=-(2**63), lt=2**63)] = 0
    data: Data
    audio: Audio = Audio()
    mel: Mel = Mel()
    augment: Augment = Augment()
    encoder: Encoder = ResNet()
    projector: Projector = Projector()
    objective: Objective = NTXent()
    auxiliary: tuple[Auxiliary, ...] = ()
    distillation: Distillation | None = None
    training: Training = Training()
    validation: Validation | None = None
    embedding: Embedding = Embedding()

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        objectives = (self.objective, *(a.objective for a in self.auxiliary))
        for objective in objectives:
            if objective.name in ("sup_con", "cross_entropy") and not self._has_one_label:
                raise ValueError(f"objective {objective.name} needs data.labels: artist, album or genre")
        if any(a.objective.name == "cross_entropy" and a.projector is None for a in self.auxiliary):
            raise ValueError("auxiliary: cross_entropy takes the outputs of a projector for logits; give it its own")
        self._teacher_fits()
        self._labels_fit()
        if self.data.soft_positives and (not takes_distributions(self.objective) or self.data.labels):
            raise ValueError("data.soft_positives needs objective generalized_sup_con, and no data.labels")
        if self.data.soft_positives and bool(getattr(self.objective, "queue", 0)):
            raise ValueError("objective.queue cannot keep data.soft_positives, which are made within a batch")
        if self.data.tracks_per_class and not self._has_one_label:
            raise ValueError("data.tracks_per_class needs data.labels: artist, album or genre")
        if self.training.batch % (self.data.tracks_per_class or 1):
            raise ValueError(f"training.batch ({self.training.batch}) is no multiple of data.tracks_per_class")
        mixes = takes_distributions(self.objective) or self.objective.name == "cross_entropy"
        if self.augment.label_mix and not mixes:
            kind = "mixup" if self.augment.mixup else "cutmix"
            raise ValueError(f"augment.{kind} needs objective generalized_sup_con or cross_entropy, for mixed labels")
        if self.encoder.input == "waveform":
            self._fit_for_waveforms(self.encoder)
        cells = self.audio.sample_rate * self.audio.clip_seconds / self.mel.hop_length * self.mel.n_mels
        if cells > _MOST_CELLS:
            raise ValueError(
                f"the log-mel of a clip has {cells:.3g} numbers; raise mel.hop_length, or lower mel.n_mels"
            )
        if (weights := _weights(self.encoder, self.mel.n_mels)) > _MOST_WEIGHTS:
            raise ValueError(f"the encoder has about {weights:.3g} weights; lower encoder.widths or encoder.blocks")
        half = self.audio.sample_rate / 2
        if (self.mel.f_max or 0) > half:
            raise ValueError(
                f"mel.f_max is {self.mel.f_max} Hz, above half of audio.sample_rate ({self.audio.sample_rate} Hz)"
            )
        if self.mel.f_min >= (self.mel.f_max or half):
            raise ValueError(
                f"mel.f_min is {self.mel.f_min} Hz; it must lie below mel.f_max or half of audio.sample_rate"
            )
        return self

    @property
    def code(self) -> tuple[str, ...]:
        """The classes of one's own that it names, each ``package.module:Class``."""
        steps = (*self.augment.waveform, *self.augment.mel)
        objectives = (self.objective, *(a.objective for a in self.auxiliary))
        named = [each.name for each in (*objectives, *steps) if isinstance(each, OwnObjective | OwnStep)]
        if isinstance(self.encoder, RegisteredEncoder):
            named.append(self.encoder.entry_point)
        if self.distillation and self.distillation.teacher:
            named.append(self.distillation.teacher)
        return tuple(dict.fromkeys(name for name in named if is_class_name(name)))

    def _teacher_fits(self) -> None:
        """Raise where settings do not go with the distillation."""
        plan = self.distillation
        if plan is None:
            if self.objective.weight == 0 and not any(a.objective.weight for a in self.auxiliary):
                raise ValueError("objective.weight is 0 and there is nothing else to learn from")
            return
        if plan.alpha == 0:
            return
        if not takes_distributions(self.objective):
            raise ValueError(
                "distillation needs objective generalized_sup_con, which takes label distributions; with others, set "
                "distillation.alpha to 0 and give targets"
            )
        if getattr(self.objective, "queue", 0):
            raise ValueError("objective.queue keeps the labels of one kind alone; leave it out with distillation")

    @property
    def _has_one_label(self) -> bool:
        """Whether a track has one label at most; as long as a file of labels is not read, it may."""
        return self.data.labels in (*_ONE_LABEL, None) if self.data.labels_file else self.data.labels in _ONE_LABEL

    def _labels_fit(self) -> None:
        """Raise where a file of labels would change nothing."""
        if self.data.labels_file is None:
            return
        objectives = (self.objective, *(a.objective for a in self.auxiliary))
        if all(each.name in ("nt_xent", "instance_discrimination") for each in objectives):
            fits = "sup_con" if self._has_one_label else "generalized_sup_con"
            raise ValueError(
                f"objective {self.objective.name} learns from no labels, so data.labels_file would change nothing; "
                f'name another: --set "objective={{name: {fits}}}"'
            )

    def _fit_for_waveforms(self, encoder: ResNet | SampleCNN | PooledSampleCNN | RegisteredEncoder) -> None:
        """Raise where settings do not go with an encoder of waveforms."""
        name, cutmix = encoder.name, self.augment.cutmix
        if cutmix and cutmix.region == "box":
            raise ValueError(f"augment.cutmix: a box is a region of log-mel; {name} takes region: time, or mixup")
        if self.augment.mel:
            raise ValueError(f"augment.mel has steps, but {name} takes the waveform; move them to augment.waveform")
        if isinstance(encoder, RegisteredEncoder):
            return  # what it needs, it alone knows
        stages = len(encoder.widths) if isinstance(encoder, PooledSampleCNN) else CLMR_STAGES
        if round(self.audio.clip_seconds * self.audio.sample_rate) < 3**stages:
            other = "give fewer widths" if isinstance(encoder, PooledSampleCNN) else "name sample_cnn_pooled"
            raise ValueError(
                f"audio.clip_seconds is {self.audio.clip_seconds:g}, but a {name} of {stages} stages needs "
                f"{3**stages / self.audio.sample_rate:.4g} s; make the clips longer, or {other}"
            )


def _weights(encoder: ResNet | SampleCNN | PooledSampleCNN | RegisteredEncoder, n_mels: int) -> int:
    """About how many numbers an encoder learns; 0 of one that is registered, whose class alone knows."""
    if not isinstance(encoder, ResNet):
        widths = encoder.widths if isinstance(encoder, PooledSampleCNN) else ()
        return 3 * sum(a * b for a, b in pairwise(widths))
    channels, count = encoder.widths[0], 0
    for width, blocks in zip(encoder.widths, encoder.blocks, strict=True):
        count += 9 * (channels * width + (2 * blocks - 1) * width * width)
        channels = width
    if encoder.freq_collapse is not None:
        height = -(-n_mels // 2 ** len(encoder.widths))
        count += channels * encoder.freq_collapse * height
    return count
