"""A teacher of one's own: made by the name of its class, and tried once with silence."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mirclr import extensions
from mirclr.audio.mel import LogMel
from mirclr.config import Mel
from mirclr.errors import RecipeError, is_fault_of_machine
from mirclr.training.teacher.protocol import Teacher

_ATTRIBUTES: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "digest": str,
    "tags": tuple,
    "exclusive": int,
    "rate": int,
    "mel": Mel,
    "seconds": (int, float),
    "dim": int,
}


def own_teacher(name: str, settings: Mapping[str, Any]) -> Teacher:
    """Make a teacher by the name of its class, ``package.module:Class``, with `settings` for keyword arguments.

    Raises
    ------
    RecipeError
        It cannot be imported or made, lacks what a `Teacher` has, or gives other than that.
    """
    what = "distillation.teacher"
    teacher = extensions.make(name, settings, what)
    if not isinstance(teacher, Teacher):
        raise RecipeError(f"{what}: {name} gave a {type(teacher).__name__}; expected a mirclr.training.teacher.Teacher")
    for attribute, kind in _ATTRIBUTES.items():
        if not isinstance(found := getattr(teacher, attribute, None), kind):
            wanted = kind.__name__ if isinstance(kind, type) else "number"
            raise RecipeError(
                f"{what}: {name}: its attribute {attribute} is {str(found)[:80]!r}; expected a {wanted}, see "
                "mirclr.training.teacher.Teacher"
            )
    _try(teacher.eval().requires_grad_(False), f"{what}: {name}")
    return teacher


def _try(teacher: Teacher, shown: str) -> None:
    """Raise `RecipeError` unless two clips of silence give logits (2, C), embeddings (2, D) and features."""
    x = torch.zeros(2, round(teacher.seconds * teacher.rate))
    if teacher.input == "mel":
        x = LogMel.of(teacher.mel, teacher.rate)(x)
    try:
        with torch.no_grad():
            found = teacher.with_features(x)
        shapes = [(*each.shape,) if isinstance(each, Tensor) else type(each).__name__ for each in found]
    except Exception as error:  # whatever somebody else's code raises
        if is_fault_of_machine(error):
            raise
        text = " ".join(str(error).split())[:300]
        raise RecipeError(f"{shown} takes {(*x.shape,)}, but fails on it ({type(error).__name__}: {text})") from error
    wanted = [(2, len(teacher.tags)), (2, teacher.dim), (2, teacher.features_dim)]
    if shapes != wanted:
        raise RecipeError(f"{shown} takes {(*x.shape,)} and gave {shapes}; expected {wanted}, by its tags and dim")
