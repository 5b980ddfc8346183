"""A recipe and tracks to a trained encoder; teachers whose outputs it may learn from.

In: a recipe, tracks in the cache. Out: a run's folder with its log, its state and, at the end, the encoder.

Contents: `prepare`, a recipe to a ready trainer (run.py); `Trainer`, the loop (trainer.py), with criterion.py (what is
optimised), validation.py, run_folder.py and distributed.py (several processes); teacher/. Each is loaded when it is
asked for, and brings torch.
"""

from typing import TYPE_CHECKING

from mirclr.lazy import attributes

if TYPE_CHECKING:
    from mirclr.training.run import prepare
    from mirclr.training.trainer import Trainer

__all__ = ["Trainer", "prepare"]

_LAZY = {"Trainer": "trainer", "prepare": "run"}

__getattr__ = attributes(__name__, _LAZY)


def __dir__() -> list[str]:
    return __all__
