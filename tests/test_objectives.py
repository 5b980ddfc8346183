"""NT-Xent against a plain loop in float64 and against pytorch-metric-learning."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning import losses
from torch import Tensor

from mirclr import config
from mirclr.errors import ObjectiveError
from mirclr.objectives import NPairLoss, NTXentLoss, SupConLoss, Targets, TripletLoss, objective_from

seeds = st.integers(0, 2**31 - 1)


def rows(n: int, dim: int = 8, seed: int = 0) -> Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


def pairs(n: int) -> Tensor:
    """Two views of each of n instances: 0 … n-1, 0 … n-1."""
    return torch.arange(n).repeat(2)


def loop(z: Tensor, instance: Tensor, recording: Tensor | None, tau: float, decoupled: bool) -> Tensor:
    """The definition, one pair at a time, in float64."""
    unit = [row / row.norm() for row in z.double()]
    terms = []
    for i in range(len(unit)):
        for j in range(len(unit)):
            if i == j or instance[i] != instance[j]:
                continue
            denominator = torch.zeros((), dtype=torch.float64)
            for k in range(len(unit)):
                positive = instance[k] == instance[i]
                if k == i or (decoupled and positive):
                    continue
                if not positive and recording is not None and recording[k] == recording[i]:
                    continue
                denominator = denominator + torch.exp(unit[i] @ unit[k] / tau)
            terms.append(-torch.log(torch.exp(unit[i] @ unit[j] / tau) / denominator))
    return torch.stack(terms).mean()


def value_and_gradient(loss: Tensor, z: Tensor) -> tuple[float, Tensor]:
    return float(loss.detach()), torch.autograd.grad(loss, z)[0]


@settings(max_examples=40, deadline=None)
@given(seeds, st.booleans(), st.sampled_from([0.05, 0.1, 0.5, 2.0]), st.booleans())
def test_equals_the_loop_in_value_and_gradient(seed: int, decoupled: bool, tau: float, with_recordings: bool) -> None:
    """Any number of views of an instance, in any order; some recordings have several instances."""
    generator = torch.Generator().manual_seed(seed)
    instance = torch.cat([torch.arange(3).repeat(2), torch.randint(0, 6, (5,), generator=generator)])
    instance = instance[torch.randperm(11, generator=generator)]
    recording = torch.tensor([0, 1, 2, 0, 1, 5])[instance] if with_recordings else None
    z = rows(11, 4, seed).requires_grad_()
    loss = NTXentLoss(temperature=tau, decoupled=decoupled)(z, Targets(instance, recording))
    assert loss.dtype == torch.float32
    assert loss.ndim == 0
    got, gradient = value_and_gradient(loss, z)
    expected, exact = value_and_gradient(loop(z, instance, recording, tau, decoupled), z)
    assert got == pytest.approx(expected, rel=1e-4, abs=1e-4)
    torch.testing.assert_close(gradient, exact, rtol=1e-3, atol=1e-4 * float(exact.abs().max()) + 1e-6)


@pytest.mark.parametrize("tau", [0.05, 0.1, 1.0])
@pytest.mark.parametrize("n", [2, 7, 32])
def test_two_views_equal_pytorch_metric_learning(n: int, tau: float) -> None:
    z = rows(2 * n, 16, seed=n).requires_grad_()
    got, gradient = value_and_gradient(NTXentLoss(temperature=tau)(z, Targets(pairs(n))), z)
    expected, oracle = value_and_gradient(losses.NTXentLoss(temperature=tau)(z, pairs(n)), z)
    assert got == pytest.approx(expected, rel=1e-4)
    torch.testing.assert_close(gradient, oracle, rtol=1e-3, atol=1e-5)


def test_known_values() -> None:
    """Orthogonal instances with equal views: log(1 + (2n - 2) e^(-1/tau)); decoupled log(2n - 2) - 1/tau."""
    n, tau = 5, 0.5
    z = torch.eye(n).repeat(2, 1)
    plain = NTXentLoss(temperature=tau)(z, Targets(pairs(n)))
    assert float(plain) == pytest.approx(math.log1p((2 * n - 2) * math.exp(-1 / tau)), rel=1e-5)
    decoupled = NTXentLoss(temperature=tau, decoupled=True)(z, Targets(pairs(n)))
    assert float(decoupled) == pytest.approx(math.log(2 * n - 2) - 1 / tau, rel=1e-5)


def test_other_crops_of_a_recording_are_never_negatives() -> None:
    z = rows(6)
    got = NTXentLoss()(z, Targets(torch.tensor([0, 0, 1, 1, 2, 3]), torch.tensor([7, 7, 7, 7, 8, 9])))
    # two crops of recording 7, two views each: as if each crop stood alone beside the strangers 8 and 9
    alone = torch.tensor([0, 0, 2, 3])
    apart = [NTXentLoss()(z[crop], Targets(alone)) for crop in ([0, 1, 4, 5], [2, 3, 4, 5])]
    torch.testing.assert_close(got, (apart[0] + apart[1]) / 2)


def test_instances_of_one_recording_each_change_nothing() -> None:
    z, instance = rows(12), pairs(6)
    torch.testing.assert_close(NTXentLoss()(z, Targets(instance, instance + 40)), NTXentLoss()(z, Targets(instance)))


@settings(max_examples=20, deadline=None)
@given(seeds, st.booleans())
def test_order_and_names_do_not_matter(seed: int, decoupled: bool) -> None:
    z, instance, recording = rows(16, seed=seed), pairs(8), pairs(8) // 2
    order = torch.randperm(16, generator=torch.Generator().manual_seed(seed))
    expected = NTXentLoss(decoupled=decoupled)(z, Targets(instance, recording))
    got = NTXentLoss(decoupled=decoupled)(z[order], Targets(900 - 3 * instance[order], recording[order] + 5))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(seeds, st.floats(1e-3, 1e3))
def test_the_length_of_a_projection_does_not_matter(seed: int, factor: float) -> None:
    z, targets = rows(10, seed=seed), Targets(pairs(5))
    lengths = factor * torch.rand(10, 1, generator=torch.Generator().manual_seed(seed)).add(0.1)
    torch.testing.assert_close(NTXentLoss()(z * lengths, targets), NTXentLoss()(z, targets), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize(
    "z",
    [torch.ones(8, 4), torch.zeros(8, 4), 1e30 * rows(8), 1e-30 * rows(8), torch.eye(4).repeat(2, 1)],
    ids=["identical", "zero", "huge", "tiny", "orthogonal"],
)
def test_it_is_finite_at_the_extremes(z: Tensor, decoupled: bool) -> None:
    z = z.clone().requires_grad_()
    loss = NTXentLoss(temperature=0.01, decoupled=decoupled)(z, Targets(pairs(4)))
    loss.backward()
    assert torch.isfinite(loss)
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


def test_identical_rows_give_the_logarithm_of_their_number() -> None:
    assert float(NTXentLoss(temperature=0.01)(torch.ones(8, 4), Targets(pairs(4)))) == pytest.approx(
        math.log(7), rel=1e-4
    )


def test_views_without_a_second_are_negatives_only() -> None:
    z, instance = rows(6), torch.tensor([0, 0, 1, 2, 3, 4])
    got = NTXentLoss()(z, Targets(instance))
    torch.testing.assert_close(got, loop(z, instance, None, 0.1, False).float(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("decoupled", [False, True])
def test_autocast_changes_nothing(decoupled: bool) -> None:
    z, targets = rows(32, 16), Targets(pairs(16))
    expected = NTXentLoss(decoupled=decoupled)(z, targets)
    with torch.autocast("cpu", torch.bfloat16):
        got = NTXentLoss(decoupled=decoupled)(z, targets)
        half = NTXentLoss(decoupled=decoupled)(z.bfloat16(), targets)
    torch.testing.assert_close(got, expected)  # the type too
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, NTXentLoss(decoupled=decoupled)(z.bfloat16().float(), targets))


def test_a_step_down_the_gradient_brings_views_together() -> None:
    z, targets = rows(16).requires_grad_(), Targets(pairs(8))
    before = NTXentLoss()(z, targets)
    before.backward()
    assert z.grad is not None
    assert float(NTXentLoss()((z - 0.05 * z.grad).detach(), targets)) < float(before.detach())


@pytest.mark.parametrize(
    ("z", "targets", "said"),
    [
        (rows(4), Targets(torch.arange(4)), "none of the 4 views has a second view"),
        (rows(1), Targets(torch.zeros(1, dtype=torch.long)), "second view"),
        (rows(0), Targets(torch.zeros(0, dtype=torch.long)), "second view"),
        (rows(4), Targets(torch.tensor([0, 0, 1, 1]), torch.zeros(4, dtype=torch.long)), "no negative"),
        (rows(4), Targets(pairs(3)), r"\(4, 8\), instance \(6,\)"),
        (rows(4), Targets(pairs(2)[:, None]), r"instance \(4, 1\)"),
        (rows(4)[0], Targets(pairs(4)), r"\(8,\)"),
        (rows(8).reshape(4, 2, 8), Targets(pairs(2)), r"\(4, 2, 8\)"),
    ],
)
@pytest.mark.parametrize("decoupled", [False, True])
def test_what_cannot_be_computed_is_said(z: Tensor, targets: Targets, said: str, decoupled: bool) -> None:
    with pytest.raises(ObjectiveError, match=said):
        NTXentLoss(decoupled=decoupled)(z, targets)


@pytest.mark.parametrize("decoupled", [False, True])
def test_one_instance_has_no_negative(decoupled: bool) -> None:
    with pytest.raises(ObjectiveError, match="no negative"):
        NTXentLoss(decoupled=decoupled)(rows(2), Targets(torch.zeros(2, dtype=torch.long)))


@pytest.mark.parametrize("recording", [pairs(3), pairs(2)[:, None], torch.tensor(0)])
def test_recordings_are_as_many_as_instances(recording: Tensor) -> None:
    with pytest.raises(ObjectiveError, match=r"instance \(4,\), recording \("):
        Targets(pairs(2), recording)


def test_a_recipe_names_the_objective() -> None:
    z, targets = rows(10), Targets(pairs(5))
    for settings_ in (config.NTXent(), config.NTXent(temperature=0.5, decoupled=True)):
        expected = NTXentLoss(temperature=settings_.temperature, decoupled=settings_.decoupled)(z, targets)
        torch.testing.assert_close(objective_from(settings_, n_tracks=5, dim=8)(z, targets), expected, rtol=0, atol=0)


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], np.array([0, 0, 1, 1]), None, "aabb"])
def test_labels_that_are_no_tensor_are_refused(labels):
    for loss in (NTXentLoss(), SupConLoss(), TripletLoss(), NPairLoss()):
        with pytest.raises(ObjectiveError, match=r"labels are a .*; expected a Tensor"):
            loss(torch.eye(4), labels)
