"""Contrastive objectives: pure functions of projections and of what is known of each row.

Axes: B counts views (two or more for each clip of the batch), P projection dimensions. Every objective takes
``(z, targets)`` and its own settings, normalises z inside where its definition asks for it, computes in float32 even
under autocast, and raises `ObjectiveError` where a batch gives it nothing to learn from, rather than return a silent 0.

Contents: `Targets`, `objective_from` (a recipe's section to a function); one file per objective.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from mirclr import config
from mirclr.objectives.nt_xent import nt_xent
from mirclr.objectives.targets import Targets

__all__ = ["Objective", "Targets", "nt_xent", "objective_from"]

Objective = Callable[[Tensor, Targets], Tensor]


def objective_from(settings: config.NTXent) -> Objective:
    """Build the objective that a recipe names: a function of (z, targets) that gives a scalar."""
    return partial(nt_xent, temperature=settings.temperature, decoupled=settings.decoupled)
