"""Begin from an encoder that is there: ``start.py EXAMPLES STATE [--encoder FILE]``.

The head of the encoder that ships is made by `ship.py` out of layers that training had and the file has not. This puts
a state together that `training.init` takes: the body as it is, the normalisation of its pooled maps by examples, and
the layers that predict the teacher's outputs by ridge regression on these maps. It says how much of the teacher they
predict on a part of the examples that they were not fitted on.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mirclr import config
from mirclr.data.examples import ExampleFolder, ExampleSource
from mirclr.models.checkpoint import load_checkpoint, save_checkpoint
from mirclr.models.encoder import Model
from mirclr.models.pretrained import builtin_checkpoint
from mirclr.provenance import stamp
from mirclr.training.criterion import Criterion, EmbeddingLoss, FeaturesLoss, TagsLoss, _standardised

HERE = Path(__file__).parent
ROWS = 4096  # that the layers are fitted on, at most
HELD_OUT = 0.2
RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0)  # of the number of rows; which, the rows that are held out say
AT_ONCE = 64


@torch.inference_mode()
def maps_of(model: Model, log_mel: Tensor) -> Tensor:
    """(n, F, T) -> the pooled maps, (n, 2 C)."""
    return torch.cat([model.encoder(part).float() for part in log_mel.split(AT_ONCE)])


def headless(recipe: config.Recipe, encoder: Path) -> Model:
    """The recipe's model with the body of a checkpoint; its last normalisation lets pass as it is."""
    model = Model(recipe)
    body = load_checkpoint(encoder).model.encoder.state_dict()
    body = {name: t.float() for name, t in body.items() if not name.startswith(("head", "output_norm"))}
    missing = model.encoder.load_state_dict(body, strict=False).missing_keys
    if any(not name.startswith("output_norm") for name in missing):
        raise SystemExit(f"{encoder}: its body is another than the recipe's ({missing[0]})")
    norm = model.encoder.output_norm
    assert isinstance(norm, torch.nn.BatchNorm1d)
    norm.running_var.fill_(1 - norm.eps)  # type: ignore[union-attr]
    return model.eval()


def goals(criterion: Criterion, teacher: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a linear layer should give for each target, (n, K)."""
    found = {}
    for name, target in criterion.targets.items():
        rows = teacher[name].float()
        if isinstance(target, TagsLoss):
            found[name] = torch.logit(rows, eps=1e-3)
        elif isinstance(target, EmbeddingLoss):
            found[name] = _standardised(rows, target.mean, target.std)
        else:
            assert isinstance(target, FeaturesLoss)
            found[name] = _standardised(rows, target.mean, target.std) @ target.components
    return found


def ridge(x: Tensor, y: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """(n, M) centred, (n, K) -> weights (K, M) and biases (K,)."""
    mean = y.mean(dim=0)
    gram = x.T @ x + strength * len(x) * torch.eye(x.shape[1], dtype=x.dtype)
    return torch.linalg.solve(gram, x.T @ (y - mean)).T, mean


def main() -> None:
    """Write the state."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("examples", type=Path)
    parser.add_argument("state", type=Path)
    parser.add_argument("--encoder", type=Path, default=builtin_checkpoint())
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of mirclr train")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    recipe = config.read_recipe(HERE / "recipe.yaml", overrides=asked.set)
    source = ExampleSource(ExampleFolder.read(asked.examples), recipe, is_useful=lambda targets: True)
    picks = np.sort(np.random.default_rng(0).permutation(len(source))[:ROWS])
    rows = source._rows(picks)
    teacher = source._outputs(rows["outputs"])
    model = headless(recipe, asked.encoder)
    maps = maps_of(model, source.folder.log_mel(rows))
    norm = model.encoder.output_norm
    norm.running_mean.copy_(maps.mean(dim=0))  # type: ignore[union-attr, operator]
    norm.running_var.copy_(maps.var(dim=0))  # type: ignore[union-attr, operator]
    x = norm(maps).double()  # type: ignore[operator]
    criterion = Criterion(
        recipe, n_tracks=source.n_tracks, n_labels=0, teacher_columns={n: t.shape[1] for n, t in teacher.items()}
    )
    layers: dict[str, Tensor] = {}
    for name, target in criterion.targets.items():
        target.fit(teacher[name])  # type: ignore[operator]
    fitted = int(len(x) * (1 - HELD_OUT))
    order = torch.from_numpy(np.argsort(source.main[picks], kind="stable"))  # held out by track, but for one
    for name, goal in goals(criterion, teacher).items():
        goal = goal.double()
        kept, out = order[:fitted], order[fitted:]
        explained = {}
        for strength in RIDGES:
            weight, bias = ridge(x[kept], goal[kept], strength)
            left = (goal - x @ weight.T - bias)[out]
            explained[strength] = float(1 - left.square().mean() / goal[out].var(dim=0).mean())
        best = max(explained, key=lambda strength: explained[strength])
        print(
            f"{name}: {explained[best]:.3f} of the variance is predicted, of tracks that were not fitted on ({best:g})"
        )
        weight, bias = ridge(x, goal, best)
        layers |= {f"student.heads.{name}.weight": weight.float(), f"student.heads.{name}.bias": bias.float()}
    statistics = {f"criterion.targets.{name}": t for name, t in criterion.targets.state_dict().items()}
    save_checkpoint(
        asked.state, model, stamp(encoder=load_checkpoint(asked.encoder).digest), training=layers | statistics
    )


if __name__ == "__main__":
    main()
