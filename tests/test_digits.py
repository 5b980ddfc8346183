"""The objectives know nothing of audio: they learn scikit-learn's digits, 8 x 8 images of handwriting."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional as F

from mirclr.audio.mixing import MixUp
from mirclr.objectives import GeneralizedSupConLoss, Objective, SupConLoss, Targets

MIXING = MixUp(p=1.0)  # every view, as published
LABELLED = 200  # images that are learned from; the probe is fitted on them and judged on the rest


def views(images: Tensor, g: torch.Generator) -> Tensor:
    """A shift by up to one pixel, and noise."""
    shifts = torch.randint(-1, 2, (len(images), 2), generator=g).tolist()
    moved = torch.stack([x.roll((a, b), (0, 1)) for x, (a, b) in zip(images, shifts, strict=True)])
    return moved + 0.1 * torch.randn(moved.shape, generator=g)


def accuracy(objective: Objective, seed: int, mixing: MixUp | None = None) -> float:
    """Train a small network on a few digits, then a linear probe on its embedding of the same; judge on the others."""
    data = load_digits()
    images, digits = torch.tensor(data.images / 16, dtype=torch.float32), torch.tensor(data.target)
    g = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    order = torch.randperm(len(images), generator=g)
    known, rest = order[:LABELLED], order[LABELLED:]
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU())
    projector = nn.Linear(64, 32)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *projector.parameters()], lr=2e-3)
    for _ in range(150):
        picks = known[torch.randint(LABELLED, (64,), generator=g)].repeat(2)
        x, y = views(images[picks], g), F.one_hot(digits[picks], 10).float()
        if mixing:
            x, y = mixing(x, y, g)
        loss = objective(projector(encoder(x)), Targets(torch.arange(64).repeat(2), None, y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        z = encoder(images).numpy()
    probe = LogisticRegression(max_iter=500).fit(z[known], digits[known])
    return float(probe.score(z[rest], digits[rest]))


@pytest.fixture(scope="module")
def scores() -> dict[str, list[float]]:
    seeds = range(5)
    return {
        "sup_con": [accuracy(SupConLoss(), s) for s in seeds],
        "generalized": [accuracy(GeneralizedSupConLoss(), s) for s in seeds],
        "generalized, mixed": [accuracy(GeneralizedSupConLoss(), s, MIXING) for s in seeds],
    }


def test_both_beat_chance_by_far(scores: dict[str, list[float]]) -> None:
    assert min(scores["sup_con"] + scores["generalized"]) > 0.8


def test_with_mixing_the_generalized_form_is_at_least_as_good(scores: dict[str, list[float]]) -> None:
    assert np.mean(scores["generalized, mixed"]) >= np.mean(scores["sup_con"])
