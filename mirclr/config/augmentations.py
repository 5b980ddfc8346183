"""The augmentations of a recipe, and what all sections are made of: bounds of numbers, and the strict base."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    ValidationError,
    model_validator,
)

from mirclr.config.wording import problems
from mirclr.errors import RecipeError
from mirclr.extensions import is_class_name

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e12)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Factor = Annotated[float, Field(ge=0.25, le=4)]
Decibels = Annotated[float, Field(ge=-200, le=200)]
Semitones = Annotated[float, Field(ge=-48, le=48)]
# bounds far above what anyone trains with: beyond them a number is a slip, and would take the machine's memory
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Few = Annotated[int, Field(ge=1, le=1000)]
Channels = Annotated[int, Field(ge=1, le=8192)]
Samples = Annotated[int, Field(ge=1, le=32_768)]


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"{bounds[0]:g} stands before {bounds[1]:g}; give the lower bound first")
    return bounds


def _a_class(name: str) -> str:
    if not is_class_name(name):
        raise ValueError(f"{name!r} is no name of a class; expected package.module:Class")
    return name


ClassName = Annotated[str, AfterValidator(_a_class)]


def ours_or_own(value: Any) -> str:
    """Which kind of section is meant: one of ours by its name, or a class of one's own by ``package.module:Class``."""
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    return "own" if isinstance(name, str) and ":" in name else "ours"


Range = Annotated[tuple[Decibels, Decibels], AfterValidator(_ascending)]


class _InWords(type(BaseModel)):  # type: ignore[misc]
    """What makes a section in Python: values that it refuses are reported in the words of a recipe's."""

    def __call__(self, *values: Any, **settings: Any) -> Any:
        try:
            return super().__call__(*values, **settings)
        except ValidationError as error:
            raise RecipeError(f"{self.__name__}: {'; '.join(problems(error, settings, self))}") from error


_META: Any = _InWords  # a checker knows that of pydantic alone


class Section(BaseModel, metaclass=_META):
    """A part of a recipe: keys that are not known, and values of another type, are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class _Step(Section):
    p: Probability = 0.5


class PitchShift(_Step):
    """Shift by a number of semitones drawn uniformly from the range."""

    name: Literal["pitch_shift"] = "pitch_shift"
    semitones: Annotated[tuple[Semitones, Semitones], AfterValidator(_ascending)] = (-2.0, 2.0)


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
    db: Annotated[float, Field(gt=0, le=200)] = 6.0
    points: Annotated[int, Field(ge=2, le=1000)] = 6


class Filter(_Step):
    """Low-pass or high-pass, each half of the time: cut-off drawn log-uniformly, 12 dB an octave."""

    name: Literal["filter"] = "filter"
    low_pass_hz: Annotated[tuple[Positive, Positive], AfterValidator(_ascending)] = (1500.0, 7000.0)
    high_pass_hz: Annotated[tuple[Positive, Positive], AfterValidator(_ascending)] = (60.0, 800.0)


class Polarity(_Step):
    """Invert the sign of the waveform. It does not change a mel spectrogram."""

    name: Literal["polarity"] = "polarity"


class TimeMask(_Step):
    """Silence `count` stretches of time, each of a length drawn uniformly up to `seconds`."""

    name: Literal["time_mask"] = "time_mask"
    seconds: Positive = 0.4
    count: Few = 1


class FrequencyMask(_Step):
    """Silence `count` bands of frequency, each of a width drawn uniformly up to `fraction` of the mel axis."""

    name: Literal["frequency_mask"] = "frequency_mask"
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.15
    count: Few = 1


class BackgroundMix(_Step):
    """Add another clip of the batch, quieter by decibels drawn uniformly; labels stay as they are."""

    name: Literal["background_mix"] = "background_mix"
    snr_db: Range = (6.0, 20.0)


class OwnStep(_Step):
    """A class of one's own, a `mirclr.audio.Augmentation`, by its name: ``package.module:Class``.

    It is made with `settings` for keyword arguments, and `p` and `mel` beside them.
    """

    name: ClassName
    settings: dict[str, JsonValue] = Field(default_factory=dict)


_OurStep = Annotated[
    PitchShift | TimeStretch | Gain | Noise | Equalizer | Filter | Polarity | TimeMask | FrequencyMask | BackgroundMix,
    Field(discriminator="name"),
]
Step = Annotated[
    Annotated[_OurStep, Tag("ours")] | Annotated[OwnStep, Tag("own")],
    Discriminator(ours_or_own),
]


class Mixup(_Step):
    """Mix each view with another of the batch, and their label rows with them (arXiv 1710.09412).

    The sum is of log-mels or waveforms; the fraction that stays is drawn from Beta(alpha, alpha).
    """

    alpha: Positive = 1.0


class Cutmix(_Step):
    """Paste a region of another view of the batch into each, and mix their label rows by area (arXiv 1905.04899).

    The region is a stretch of ``time``, or a ``box`` of time and frequency whose centre is anywhere; the fraction that
    stays is drawn from Beta(alpha, alpha).
    """

    region: Literal["time", "box"] = "time"
    alpha: Positive = 1.0


class Augment(Section):
    """What makes two views of a recording differ, in order of application.

    `waveform` steps are exact and slower: they work on samples, before the mel spectrogram. `mel` steps are the
    cheap forms. `mixup` or `cutmix` comes last, for objectives that take label distributions. `gap_seconds` bounds the
    distance between the two crops of a recording; None: anywhere.
    """

    waveform: tuple[Step, ...] = ()
    mel: tuple[Step, ...] = ()
    mixup: Mixup | None = None
    cutmix: Cutmix | None = None
    gap_seconds: Positive | None = None

    @model_validator(mode="after")
    def _one_stretch(self) -> "Augment":
        stretches = sum(s.name == "time_stretch" for s in (*self.waveform, *self.mel))
        if stretches > 1:
            raise ValueError("time_stretch stands more than once; keep one, on the waveform or on the mel")
        return self

    @model_validator(mode="after")
    def _one_mix(self) -> "Augment":
        if self.mixup and self.cutmix:
            raise ValueError("mixup and cutmix both mix every view; keep one of them")
        return self

    @property
    def label_mix(self) -> Mixup | Cutmix | None:
        """What mixes views together with their label rows, if anything does."""
        return self.mixup or self.cutmix
