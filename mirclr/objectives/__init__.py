"""Objectives: what is made small in training, each a module of ``(z, labels)`` that stands by itself.

In: projections z (B, P) of B rows, two or more of each clip of a batch, and what is known of the rows: plain labels, or
`mirclr.data.targets.Targets`. Out: one number with a gradient. B counts rows, P projection dimensions, C labels.

Contents: `NTXentLoss`, `TripletLoss`, `NPairLoss`, `SupConLoss`, `GeneralizedSupConLoss` and, with a memory of all
tracks, `InstanceDiscriminationLoss`; `CrossBatchMemory` around one of them; `CrossEntropyLoss`, the baseline without
contrast; `ModuleObjective`, any loss of (z, labels); `objective_from` (a recipe's section to one of them), `is_useful`
(whether a batch gives it anything).
"""

from mirclr import config
from mirclr.data.targets import Targets, fill_missing_labels
from mirclr.errors import ObjectiveError, RecipeError
from mirclr.objectives.base import Objective
from mirclr.objectives.cross_entropy import CrossEntropyLoss
from mirclr.objectives.instance_discrimination import InstanceDiscriminationLoss
from mirclr.objectives.memory import CrossBatchMemory
from mirclr.objectives.n_pair import NPairLoss
from mirclr.objectives.nt_xent import NTXentLoss
from mirclr.objectives.own import ModuleObjective, own_is_useful, own_objective
from mirclr.objectives.sup_con import GeneralizedSupConLoss, SupConLoss
from mirclr.objectives.triplet import TripletLoss

__all__ = [
    "CrossBatchMemory",
    "CrossEntropyLoss",
    "GeneralizedSupConLoss",
    "InstanceDiscriminationLoss",
    "ModuleObjective",
    "NPairLoss",
    "NTXentLoss",
    "Objective",
    "SupConLoss",
    "Targets",
    "TripletLoss",
    "fill_missing_labels",
    "is_useful",
    "objective_from",
]

OBJECTIVES: dict[str, type[Objective]] = {
    "nt_xent": NTXentLoss,
    "triplet": TripletLoss,
    "n_pair": NPairLoss,
    "sup_con": SupConLoss,
    "generalized_sup_con": GeneralizedSupConLoss,
    "cross_entropy": CrossEntropyLoss,
    "instance_discrimination": InstanceDiscriminationLoss,
}
"""By the name that a recipe gives; the keys of its section are keyword arguments."""


def is_useful(settings: config.Objective, targets: Targets) -> bool:
    """Whether rows of which this is known give an objective anything to learn from, whatever their projections."""
    if settings.name == "instance_discrimination":
        return True  # by its memory of all tracks
    if isinstance(settings, config.OwnObjective):
        return own_is_useful(settings, targets)
    try:
        _plain(settings).check(targets)
    except ObjectiveError:
        return False
    return True


def _plain(settings: config.Objective, **more: int) -> Objective:
    return OBJECTIVES[settings.name](**more, **settings.model_dump(exclude={"name", "queue", "weight"}))


def objective_from(settings: config.Objective, *, n_tracks: int, dim: int, n_labels: int = 0) -> Objective:
    """Build the objective that a recipe names.

    Parameters
    ----------
    settings : config.Objective
        The recipe's section.
    n_tracks, dim, n_labels : int
        Of the corpus, of the projections and of the label rows, for an objective that remembers rows: its state belongs
        to the run's.

    Raises
    ------
    RecipeError
        A classifier has fewer outputs than there are labels; or a loss of one's own is none.
    """
    if isinstance(settings, config.OwnObjective):
        return own_objective(settings, n_tracks=n_tracks, dim=dim, n_labels=n_labels)
    if settings.name == "instance_discrimination":
        return _plain(settings, n=n_tracks, dim=dim)
    if settings.name == "cross_entropy" and n_labels > dim:
        raise RecipeError(
            f"projector.dim is {dim}, but there are {n_labels} labels to classify; raise it to {n_labels}"
        )
    queue: int = getattr(settings, "queue", 0)
    return CrossBatchMemory(_plain(settings), queue, dim, n_labels) if queue else _plain(settings)
