"""What is optimised: each loss against its formula written out, and the average of weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mirclr.config import parse_recipe, read_recipe
from mirclr.data.targets import Targets
from mirclr.errors import RecipeError, TrainingError
from mirclr.models.encoder import Model
from mirclr.provenance import shipped_dir
from mirclr.training.criterion import Criterion, Student
from mirclr.training.ema import MovingAverage

BUILTIN = shipped_dir("recipes") / "builtin" / "recipe.yaml"
TAGS, DIM, FEATURES, ROWS = 6, 10, 24, 8


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def outputs(n: int, seed: int) -> dict[str, torch.Tensor]:
    """What a teacher gives."""
    logits = 2 * random(n, TAGS, seed=seed) - 1
    return {
        "soft_targets": ((logits - logits.mean(dim=0)) / 0.25).softmax(dim=1),
        "tags": logits.sigmoid(),
        "embedding": 3 * random(n, DIM, seed=seed + 1) + 1,
        "features": random(n, FEATURES, seed=seed + 2) @ random(FEATURES, FEATURES, seed=9),
    }


def built(*overrides: str, path: Path = BUILTIN) -> tuple[Criterion, Student]:
    recipe = read_recipe(
        path, overrides=["encoder.widths=[4, 4]", "encoder.blocks=[1, 1]", "encoder.freq_collapse=4", *overrides]
    )
    torch.manual_seed(0)
    model = Model(recipe)
    columns = {"tags": TAGS, "embedding": DIM, "features": FEATURES}
    criterion = Criterion(recipe, n_tracks=5, n_labels=0, teacher_columns=columns)
    return criterion, Student(recipe, model, criterion.columns)


def contrast(z: np.ndarray, rows: np.ndarray, temperature: float) -> float:
    """Generalized SupCon, row by row, at equal temperatures (arXiv 2206.00384, equation 4)."""
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    total = 0.0
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        similar = np.array([rows[i] @ rows[j] for j in others])
        logits = np.array([z[i] @ z[j] for j in others]) / temperature
        log_p = logits - np.log(np.exp(logits).sum())
        total -= (similar * log_p).sum() / similar.sum()
    return total / len(z)


def test_the_losses_of_the_builtin_recipe_are_their_formulas() -> None:
    criterion, student = built("distillation.targets.2.components=5")
    sample, teacher = outputs(200, seed=1), outputs(ROWS, seed=4)
    criterion.double()
    criterion.fit({name: t.double() for name, t in sample.items()}, student)
    teacher = {name: t.double() for name, t in teacher.items()}
    z = random(ROWS, 7, seed=20).double()
    further = {
        "tags": random(ROWS, TAGS, seed=21),
        "embedding": random(ROWS, DIM, seed=22),
        "features": random(ROWS, 5),
    }
    labels = random(ROWS, 3, seed=30).abs()
    found = criterion(z, further, Targets(torch.arange(ROWS), labels=labels), teacher)

    y, p = teacher["tags"].numpy(), 1 / (1 + np.exp(-further["tags"].double().numpy()))
    cross = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    entropy = -(y * np.log(y) + (1 - y) * np.log(1 - y)).mean()
    assert float(found["tags"]) == pytest.approx(cross - entropy, abs=1e-6)

    of, wanted = sample["embedding"].double().numpy(), teacher["embedding"].numpy()
    standard = np.clip((wanted - of.mean(axis=0)) / of.std(axis=0, ddof=1), -6, 6)
    mse = np.square(further["embedding"].double().numpy() - standard).mean()
    assert float(found["embedding"]) == pytest.approx(mse, rel=1e-6)

    of, wanted = sample["features"].double().numpy(), teacher["features"].numpy()
    mean, std = of.mean(axis=0), of.std(axis=0, ddof=1)
    standard = np.clip((of - mean) / std, -6, 6)
    right = np.linalg.svd(standard - standard.mean(axis=0), full_matrices=False)[2][:5].T
    spread = (standard @ right).std(axis=0, ddof=1)
    scaled = np.clip((wanted - mean) / std, -6, 6) @ right / np.sqrt(spread * spread.max())
    # of components the sign is free
    signs = np.sign((right * criterion.targets["features"].components.numpy()).sum(axis=0))
    mse = np.square(further["features"].double().numpy() - signs * scaled).mean()
    assert float(found["features"]) == pytest.approx(mse, rel=1e-5)

    for name, rows in (("objective", labels.numpy()), ("soft_targets", teacher["soft_targets"].numpy())):
        assert float(found[name]) == pytest.approx(contrast(z.numpy(), rows, 0.15), rel=1e-5, abs=1e-6)

    weights = {"objective": 0.3, "soft_targets": 0.05, "tags": 40.0, "embedding": 0.61, "features": 0.39}
    assert criterion.weights == pytest.approx(weights)
    total = sum(weight * float(found[name]) for name, weight in weights.items())
    assert float(criterion.total(found)) == pytest.approx(total, rel=1e-6)


def test_tags_begin_at_their_usual_level_and_a_student_that_agrees_has_nothing_to_lose() -> None:
    criterion, student = built()
    sample = outputs(500, seed=1)
    criterion.fit(sample, student)
    torch.testing.assert_close(student.heads["tags"].bias.sigmoid(), sample["tags"].mean(dim=0), atol=1e-4, rtol=1e-3)
    agreed = criterion.targets["tags"](torch.logit(sample["tags"]), sample["tags"])
    assert abs(float(agreed)) < 1e-6


@pytest.mark.parametrize("centre", ["true", "false"])
def test_an_embedding_by_cosine(centre: str) -> None:
    criterion, student = built(
        "distillation.targets.1={name: embedding, loss: cosine}", f"distillation.centre={centre}"
    )
    sample, teacher = outputs(100, seed=1), outputs(ROWS, seed=4)["embedding"]
    criterion.fit(sample, student)
    predicted = random(ROWS, DIM, seed=5)
    against = teacher - sample["embedding"].mean(dim=0) if centre == "true" else teacher
    want = 1 - (nn.functional.normalize(predicted) * nn.functional.normalize(against)).sum(dim=1).mean()
    assert float(criterion.targets["embedding"](predicted, teacher)) == pytest.approx(float(want), abs=1e-6)


def test_the_average_of_weights_is_its_formula() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    average = MovingAverage(module, 0.7)
    want = {name: t.double().clone() for name, t in module.state_dict().items()}
    for step in range(1, 40):
        with torch.no_grad():
            for t in (*module.parameters(), *module.buffers()):
                t.add_(1) if not t.is_floating_point() else t.add_(torch.randn_like(t))
        average.update(module, step)
        decay = min(0.7, step / (step + 10))
        for name, t in module.state_dict().items():
            want[name] = decay * want[name] + (1 - decay) * t.double() if t.is_floating_point() else t.double()
    for name, t in average.module.state_dict().items():
        torch.testing.assert_close(t.double(), want[name], atol=1e-6, rtol=1e-5)
    assert not any(p.requires_grad for p in average.module.parameters())


def test_what_does_not_count_is_not_built() -> None:
    criterion, student = built("objective.weight=0", "distillation.alpha=0", "distillation.targets.2.weight=0")
    assert set(criterion.weights) == {"tags", "embedding"}
    assert set(student.heads) == {"tags", "embedding"}
    assert not any(p.requires_grad for p in student.model.projector.parameters())


def test_what_a_teacher_does_not_give_is_refused() -> None:
    recipe = read_recipe(BUILTIN)
    with pytest.raises(TrainingError, match="gives no features"):
        Criterion(recipe, n_tracks=5, n_labels=0, teacher_columns={"tags": 3, "embedding": 4, "features": 0})


LEAST = "name: a\ndata: {train: t}\nobjective: {name: generalized_sup_con}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("distillation: {labels: a, alpha: 0}", "nothing is learned from the teacher"),
        ("distillation: {labels: a, examples: true}", "either labels"),
        ("distillation: {labels: a, targets: [{name: tags}, {name: tags}]}", "once at most"),
        ("distillation: {labels: a, targets: [{name: colours}]}", "colours"),
        ("objective: {name: nt_xent, weight: 0}", "nothing else to learn from"),
        (
            "objective: {name: nt_xent}\ndistillation: {labels: a, targets: [{name: tags}]}",
            "alpha to 0",
        ),
        ("auxiliary: [{objective: {name: sup_con}}]", "sup_con needs data.labels"),
        ("data: {train: t, labels: genre}\nauxiliary: [{objective: {name: cross_entropy}}]", "give it its own"),
        ("training: {ema_decay: 1.0}", "ema_decay"),
    ],
)
def test_what_does_not_go_together_is_refused(text: str, said: str) -> None:
    given = {line.partition(":")[0] for line in text.splitlines()}
    kept = "".join(line + "\n" for line in LEAST.splitlines() if line.partition(":")[0] not in given)
    with pytest.raises(RecipeError, match=said):
        parse_recipe(kept + text)
