"""What is optimised: the network that is trained, and the weighted losses of what it gives.

Axes: B rows of a batch, D embedding dimensions, P projection dimensions; of a teacher's outputs, K columns.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirclr import config
from mirclr.data.targets import Targets
from mirclr.errors import TrainingError
from mirclr.models.encoder import Model, Projector
from mirclr.objectives import objective_from

_LARGEST = 6.0  # of a standardised target, in standard deviations
_SMALLEST_STD = 1e-3


class Student(nn.Module):
    """The network that is trained: a model, and what only training needs of it.

    Parameters
    ----------
    recipe : config.Recipe
        Its auxiliary objectives and distillation targets.
    model : Model
        Encoder and projector.
    columns : mapping of str to int
        K of each target that is predicted, by its name.
    """

    def __init__(self, recipe: config.Recipe, model: Model, columns: Mapping[str, int]) -> None:
        super().__init__()
        self.model = model
        dim = model.encoder.dim
        self.projectors = nn.ModuleDict(
            {
                str(i): Projector(a.projector, dim)
                for i, a in enumerate(recipe.auxiliary)
                if a.projector and a.objective.weight
            }
        )
        plan = recipe.distillation
        contrasts = recipe.objective.weight if plan is None or plan.alpha != "only" else 1.0
        shared = any(a.objective.weight for a in recipe.auxiliary if a.projector is None)
        if not (contrasts or shared or (plan and plan.alpha)):
            model.projector.requires_grad_(False)  # nothing is contrasted, so that nothing moves it
        self.heads = nn.ModuleDict({name: nn.Linear(dim, k) for name, k in columns.items()})

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What the encoder takes -> (B, P) projections, and by name further projections and predictions (B, K)."""
        embedding = self.model.encoder(x)
        further = {name: layer(embedding) for name, layer in (*self.projectors.items(), *self.heads.items())}
        return self.model.projector(embedding), further

    def own_state(self) -> dict[str, Tensor]:
        """The state of what is neither the model's nor an objective's, which the criterion keeps."""
        return {name: t for name, t in self.state_dict().items() if not name.startswith(("model.", "objectives."))}


class TagsLoss(nn.Module):
    """Binary cross-entropy between predicted logits and a teacher's probabilities, less the entropy of these."""

    def __init__(self, settings: config.TagsTarget, columns: int) -> None:
        super().__init__()
        self.columns = columns

    def fit(self, rows: Tensor) -> Tensor:
        """(n, K) probabilities -> (K,) the logits that are best where nothing else is known."""
        return torch.logit(rows.float().mean(dim=0), eps=1e-4)

    def forward(self, predicted: Tensor, rows: Tensor) -> Tensor:
        """(B, K) logits, (B, K) in [0, 1] -> () float32, 0 where they agree."""
        rows = rows.float()
        return F.binary_cross_entropy_with_logits(predicted.float(), rows) - F.binary_cross_entropy(rows, rows)


class EmbeddingLoss(nn.Module):
    """One minus the cosine to a teacher's embeddings, or the squared error of their standardised values."""

    mean: Tensor
    std: Tensor

    def __init__(self, settings: config.EmbeddingTarget, columns: int, *, centre: bool) -> None:
        super().__init__()
        self.settings, self.columns, self.centre = settings, columns, centre
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("std", torch.ones(columns))

    def fit(self, rows: Tensor) -> None:
        """Take mean and standard deviation of (n, K) embeddings."""
        self.mean.copy_(rows.float().mean(dim=0))
        self.std.copy_(rows.float().std(dim=0).clamp(min=_SMALLEST_STD))

    def forward(self, predicted: Tensor, rows: Tensor) -> Tensor:
        """(B, K), (B, K) -> () float32."""
        predicted, rows = predicted.float(), rows.float()
        if self.settings.loss == "cosine":
            return (1 - F.cosine_similarity(predicted, rows - self.mean if self.centre else rows, dim=1)).mean()
        return F.mse_loss(predicted, _standardised(rows, self.mean, self.std))


class FeaturesLoss(nn.Module):
    """Squared error to the first principal components of a teacher's features, halfway to white.

    So the first components count most, but the last ones too.
    """

    mean: Tensor
    std: Tensor
    components: Tensor

    def __init__(self, settings: config.FeaturesTarget, width: int) -> None:
        super().__init__()
        self.columns = min(settings.components, width)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))
        self.register_buffer("components", torch.zeros(width, self.columns))

    def fit(self, rows: Tensor) -> None:
        """Take mean, standard deviation and components of (n, width) features."""
        rows = rows.float()
        self.mean.copy_(rows.mean(dim=0))
        self.std.copy_(rows.std(dim=0).clamp(min=_SMALLEST_STD))
        standard = _standardised(rows, self.mean, self.std)
        # on the CPU, where the components are the same whatever trains
        right = torch.linalg.svd((standard - standard.mean(dim=0)).cpu(), full_matrices=False)[2]
        components = torch.zeros_like(self.components)
        components[:, : len(right)] = right[: self.columns].T.to(components.device)
        found = (standard @ components).std(dim=0)
        self.components.copy_(components / (found * found.max()).sqrt().clamp(min=_SMALLEST_STD))

    def forward(self, predicted: Tensor, rows: Tensor) -> Tensor:
        """(B, K), (B, width) -> () float32."""
        return F.mse_loss(predicted.float(), _standardised(rows.float(), self.mean, self.std) @ self.components)


def _standardised(rows: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return ((rows - mean) / std).clamp(-_LARGEST, _LARGEST)


class Criterion(nn.Module):
    """All losses of a recipe: its objective, auxiliary objectives, and what is learned from a teacher.

    Parameters
    ----------
    recipe : config.Recipe
        Names them and their weights.
    n_tracks, n_labels : int
        Of the corpus, for objectives that remember rows.
    teacher_columns : mapping of str to int
        How many tags, and numbers of embedding and features, the teacher gives.

    Attributes
    ----------
    weights : dict of str to float
        Of each loss, by its name.

    Raises
    ------
    TrainingError
        A target asks for what the teacher does not give.
    """

    def __init__(
        self, recipe: config.Recipe, *, n_tracks: int, n_labels: int, teacher_columns: Mapping[str, int]
    ) -> None:
        super().__init__()
        plan = recipe.distillation
        self.objective = objective_from(
            recipe.objective, n_tracks=n_tracks, dim=recipe.projector.dim, n_labels=n_labels
        )
        self.auxiliary = nn.ModuleList(
            objective_from(a.objective, n_tracks=n_tracks, dim=(a.projector or recipe.projector).dim, n_labels=n_labels)
            for a in recipe.auxiliary
        )
        self.targets = nn.ModuleDict()
        self.weights: dict[str, float] = {}
        if plan is None or plan.alpha != "only":
            self.weights["objective"] = recipe.objective.weight
        for i, auxiliary in enumerate(recipe.auxiliary):
            self.weights[f"auxiliary_{i}"] = auxiliary.objective.weight
        if plan:
            self.weights["soft_targets"] = 1.0 if plan.alpha == "only" else plan.alpha
            for target in plan.targets:
                if not target.weight:
                    continue
                if not (width := teacher_columns.get(target.name)):
                    raise TrainingError(f"distillation.targets: the teacher gives no {target.name}; leave it out")
                self.targets[target.name] = _target(target, width, centre=plan.centre)
                self.weights[target.name] = target.weight
        self.weights = {name: weight for name, weight in self.weights.items() if weight}

    @property
    def columns(self) -> dict[str, int]:
        """How many numbers are predicted for each target."""
        return {name: target.columns for name, target in self.targets.items()}  # type: ignore[misc]

    def fit(self, teacher: Mapping[str, Tensor], student: Student) -> None:
        """Set the statistics of targets by (n, K) outputs of the teacher, and tags to begin at their usual level."""
        with torch.no_grad():
            for name, target in self.targets.items():
                usual = target.fit(teacher[name])  # type: ignore[operator]
                if usual is not None:
                    student.heads[name].bias.copy_(usual)  # type: ignore[operator]

    def forward(
        self, z: Tensor, further: Mapping[str, Tensor], targets: Targets, teacher: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The losses by name, not weighted.

        Parameters
        ----------
        z : (B, P) float
            Projections.
        further : mapping of str to (B, K) float
            As `Student` gives them.
        targets : Targets
            Of the B rows.
        teacher : mapping of str to (B, K) float
            ``soft_targets``, ``tags`` (probabilities), ``embedding``, ``features``; those that the recipe asks for.
        """
        losses: dict[str, Tensor] = {}
        if "objective" in self.weights:
            losses["objective"] = self.objective(z, targets)
        for i, objective in enumerate(self.auxiliary):
            if f"auxiliary_{i}" in self.weights:
                losses[f"auxiliary_{i}"] = objective(further.get(str(i), z), targets)
        if "soft_targets" in self.weights:
            losses["soft_targets"] = self.objective(z, replace(targets, labels=teacher["soft_targets"]))
        for name, target in self.targets.items():
            losses[name] = target(further[name], teacher[name])
        return losses

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum that is minimised."""
        return torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum()

    def own_state(self) -> dict[str, Tensor]:
        """The state of what is not the first objective's."""
        return {name: t for name, t in self.state_dict().items() if not name.startswith("objective.")}


def _target(settings: config.DistillationTarget, width: int, *, centre: bool) -> nn.Module:
    if isinstance(settings, config.TagsTarget):
        return TagsLoss(settings, width)
    if isinstance(settings, config.EmbeddingTarget):
        return EmbeddingLoss(settings, width, centre=centre)
    return FeaturesLoss(settings, width)
