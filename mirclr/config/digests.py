"""The settings of a recipe's sections that digests are made of: of encoders, caches of clips and soft targets."""

from typing import Any

from pydantic import BaseModel

# As they were when digests began. A key that came later counts where it is not at its default, so that a new key leaves
# the digests that are stored in libraries, heads, caches and runs as they are; the default of such a key must hence be
# what was done before, and never change.
_LISTED = {
    "Audio": ("sample_rate", "clip_seconds"),
    "Mel": ("n_fft", "hop_length", "n_mels", "f_min", "f_max", "gain"),
    "ResNet": ("name", "widths", "blocks", "freq_collapse", "dim"),
    "SampleCNN": ("name",),
    "PooledSampleCNN": ("name", "widths", "dropout"),
    "RegisteredEncoder": ("name", "entry_point", "input", "settings"),
    "Distillation": ("labels", "teacher", "heads", "alpha", "temperature", "centre", "softmax", "by"),
}
# what digests call a key that was renamed since
_FIRST_NAMES = {"sample_rate": "rate", "hop_length": "hop", "n_mels": "bands", "freq_collapse": "collapse"}


def digested(section: BaseModel) -> dict[str, Any]:
    """The settings of a section that count, JSON values: those that are listed, and others not at their defaults."""
    listed = _LISTED[type(section).__name__]
    changed = section.model_dump(mode="json", exclude_defaults=True)
    held = section.model_dump(mode="json").items()
    return {_FIRST_NAMES.get(key, key): value for key, value in held if key in listed or key in changed}
