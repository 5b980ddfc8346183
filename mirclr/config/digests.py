"""The settings of a recipe's sections that digests are made of: of encoders, of caches of clips, of what is taught."""

from typing import Any

from pydantic import BaseModel

# As they were when digests began. A key that came later counts where it is not at its default, so that a new key leaves
# the digests that are kept in libraries, heads, caches and runs as they are; the default of such a key must hence be
# what was done before, and never change.
_LISTED = {
    "Audio": ("rate", "clip_seconds"),
    "Mel": ("n_fft", "hop", "bands", "f_min", "f_max", "gain"),
    "ResNet": ("name", "widths", "blocks", "collapse", "dim"),
    "SampleCNN": ("name",),
    "PooledSampleCNN": ("name", "widths", "dropout"),
    "Distillation": ("labels", "teacher", "heads", "alpha", "temperature", "centre", "softmax", "by"),
}


def digested(section: BaseModel) -> dict[str, Any]:
    """The settings of a section that count, JSON values: those that are listed, and others not at their defaults."""
    listed = _LISTED[type(section).__name__]
    changed = section.model_dump(mode="json", exclude_defaults=True)
    return {k: v for k, v in section.model_dump(mode="json").items() if k in listed or k in changed}
