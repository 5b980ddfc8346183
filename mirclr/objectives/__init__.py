"""Contrastive objectives: functions of projections and of what is known of each row.

Axes: B counts views (two or more for each clip of the batch), P projection dimensions, C labels. Every objective takes
``(z, targets)`` and its own settings, normalises z inside where its definition asks for it, computes in float32 even
under autocast, and raises `ObjectiveError` where a batch gives it nothing to learn from, rather than return a silent 0.

Contents: `Targets`; `nt_xent`, `triplet`, `n_pair`, `sup_con`, `generalized_sup_con` and, with a memory of all tracks,
`InstanceDiscrimination`; `CrossBatchMemory` around one of them; `cross_entropy`, the baseline without contrast;
`objective_from` (a recipe's section to one of them), `teaches` (whether a batch is of any use to it).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mirclr import config
from mirclr.data.targets import Targets
from mirclr.errors import ObjectiveError, RecipeError
from mirclr.objectives.cross_entropy import cross_entropy
from mirclr.objectives.instance_discrimination import InstanceDiscrimination
from mirclr.objectives.memory import CrossBatchMemory
from mirclr.objectives.n_pair import n_pair
from mirclr.objectives.nt_xent import nt_xent
from mirclr.objectives.sup_con import completed_labels, generalized_sup_con, sup_con
from mirclr.objectives.triplet import triplet

__all__ = [
    "CrossBatchMemory",
    "InstanceDiscrimination",
    "Objective",
    "Targets",
    "completed_labels",
    "cross_entropy",
    "generalized_sup_con",
    "n_pair",
    "nt_xent",
    "objective_from",
    "sup_con",
    "teaches",
    "triplet",
]

Objective = Callable[[Tensor, Targets], Tensor]

_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "nt_xent": nt_xent,
    "triplet": triplet,
    "n_pair": n_pair,
    "sup_con": sup_con,
    "generalized_sup_con": generalized_sup_con,
    "cross_entropy": cross_entropy,
}


def teaches(settings: config.Objective, targets: Targets) -> bool:
    """Whether rows of which this is known give an objective anything to learn from, whatever their projections."""
    if settings.name == "instance_discrimination":
        return True  # by its memory of all tracks
    columns = 1 if targets.labels is None else targets.labels.shape[1]
    try:
        _plain(settings)(torch.zeros(len(targets.instance), columns), targets)
    except ObjectiveError:
        return False
    return True


def _plain(settings: config.Objective) -> Objective:
    return partial(_FUNCTIONS[settings.name], **settings.model_dump(exclude={"name", "queue"}))


def objective_from(settings: config.Objective, *, n_tracks: int, dim: int, n_labels: int = 0) -> Objective:
    """Build the objective that a recipe names: a function of (z, targets) that gives a scalar.

    Parameters
    ----------
    settings : config.Objective
        The recipe's section.
    n_tracks, dim, n_labels : int
        Of the corpus, of the projections and of the label rows, for an objective that remembers rows; such a one is a
        `torch.nn.Module`, whose state belongs to the run's.

    Raises
    ------
    RecipeError
        A classifier has fewer outputs than there are labels.
    """
    arguments: dict[str, Any] = settings.model_dump(exclude={"name"})
    if settings.name == "instance_discrimination":
        return InstanceDiscrimination(n_tracks, dim, **arguments)
    if settings.name == "cross_entropy" and n_labels > dim:
        raise RecipeError(
            f"projector.dim is {dim}, but there are {n_labels} labels to classify; raise it to {n_labels}"
        )
    queue = arguments.get("queue", 0)
    return CrossBatchMemory(_plain(settings), queue, dim, n_labels) if queue else _plain(settings)
