"""A loss of one's own as an objective: made by the name of its class, and tried once on rows of noise."""

import copy
import json
from functools import lru_cache

import torch
from torch import Tensor, nn

from mirclr import config, extensions
from mirclr.data.targets import Targets, same_class
from mirclr.errors import ObjectiveError, RecipeError, is_fault_of_machine
from mirclr.objectives.base import Objective

_ROWS = 8  # of the trial: two views of four recordings


class ModuleObjective(Objective):
    """Any module of torch that is called with (z, labels), such as a loss of pytorch-metric-learning, as an objective.

    Parameters
    ----------
    module : nn.Module
        Takes z (B, P) float32 and (B,) int64, equal for rows that belong together: two views of a recording and, where
        training has labels, rows of one label. Gives one number.
    """

    title = "a loss of your own"

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def check(self, targets: Targets) -> None:
        """Raise where all rows belong together."""
        super().check(targets)
        if bool(same_class(targets).all()):
            raise ObjectiveError(f"{self.title}: all {len(targets.instance)} rows are of one class; give two at least")

    def loss(self, z: Tensor, targets: Targets) -> Tensor:
        """What the module gives."""
        found: Tensor = self.module(z, same_class(targets).int().argmax(dim=1))
        return found


def own_objective(settings: config.OwnObjective, *, n_tracks: int, dim: int, n_labels: int) -> Objective:
    """Make an objective by the name of its class.

    Parameters
    ----------
    settings : config.OwnObjective
        Names the class, and its keyword arguments.
    n_tracks, dim, n_labels : int
        Of the corpus, of the projections and of the label rows; given to a class that takes arguments of these names.

    Raises
    ------
    RecipeError
        It cannot be imported or made, is no loss, or fails on rows of noise.
    """
    objective = _made(settings, n_tracks, dim, n_labels)
    _try(objective, settings.name, dim, n_labels)
    return objective


def _made(settings: config.OwnObjective, n_tracks: int, dim: int, n_labels: int) -> Objective:
    known = {"n_tracks": n_tracks, "dim": dim, "n_labels": n_labels}
    made = extensions.make(settings.name, settings.settings, "objective", filled_in=known)
    if isinstance(made, Objective):
        return made
    if isinstance(made, nn.Module):
        return ModuleObjective(made)
    raise RecipeError(
        f"objective: {settings.name} gave a {type(made).__name__}; expected a mirclr.objectives.Objective, or a "
        "torch.nn.Module of (z, labels)"
    )


def own_is_useful(settings: config.OwnObjective, targets: Targets) -> bool:
    """Whether rows of which this is known give it anything to learn from, as far as its `check` says."""
    n_labels = 0 if targets.labels is None else targets.labels.shape[1]
    try:
        _for_checks(settings.name, json.dumps(settings.settings), n_labels).check(targets)
    except ObjectiveError:
        return False
    return True


@lru_cache(maxsize=8)
def _for_checks(name: str, settings: str, n_labels: int) -> Objective:
    """One that is asked for each batch, and never trained."""
    with torch.random.fork_rng(devices=[]):
        return _made(config.OwnObjective(name=name, settings=json.loads(settings)), 2, 2, n_labels)


def _try(objective: Objective, name: str, dim: int, n_labels: int) -> None:
    """Raise `RecipeError` unless it gives one finite number with a gradient; its state stays as it is."""
    z = torch.randn(_ROWS, dim, generator=torch.Generator().manual_seed(0), requires_grad=True)
    instance = torch.arange(_ROWS // 2).repeat(2)
    labels = torch.eye(max(n_labels, 1))[instance % n_labels] if n_labels else None
    targets = Targets(instance, instance, labels, instance)
    shown = f"objective: {name}, given z (8, {dim}) and what is known of 8 rows,"
    try:
        with torch.random.fork_rng(devices=[]):
            found = copy.deepcopy(objective)(z, targets)
            found.backward()
    except ObjectiveError:
        return  # these rows are of no use to it; those of the recipe are asked about before training
    except Exception as error:  # whatever somebody else's code raises
        if is_fault_of_machine(error):
            raise
        text = " ".join(str(error).split())[:300]
        if isinstance(error, NotImplementedError) and not text:
            text = "its method loss(z, targets) is missing"
        raise RecipeError(f"{shown} fails ({type(error).__name__}: {text})") from error
    if z.grad is None or not bool(torch.isfinite(found)) or not bool(torch.isfinite(z.grad).all()):
        what = "no gradient" if z.grad is None else "a loss or gradient that is not finite"
        raise RecipeError(f"{shown} gave {what}")
