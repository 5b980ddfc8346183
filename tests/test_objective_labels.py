"""Objectives by themselves: plain labels in place of `Targets`, settings out of range, and no look into a tensor."""

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from mirclr import config, objectives
from mirclr.errors import ObjectiveError
from mirclr.objectives import (
    CrossBatchMemory,
    CrossEntropyLoss,
    GeneralizedSupConLoss,
    InstanceDiscriminationLoss,
    NPairLoss,
    NTXentLoss,
    Objective,
    SupConLoss,
    Targets,
    TripletLoss,
    objective_from,
)

PLAIN = [NTXentLoss, TripletLoss, NPairLoss, SupConLoss, GeneralizedSupConLoss]
PAIRS = torch.arange(5).repeat(2)


def rows(n: int = 10, dim: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_numbers_say_which_rows_belong_together(kind: type[Objective], dtype: torch.dtype) -> None:
    z = rows()
    assert kind()(z, PAIRS.to(dtype)) == kind()(z, Targets(PAIRS))


@pytest.mark.parametrize("kind", [NTXentLoss, TripletLoss, SupConLoss, GeneralizedSupConLoss])
def test_a_negative_number_is_no_label(kind: type[Objective]) -> None:
    z, some = rows(), torch.tensor([0, 0, 1, 1, -1, -1, 2, 2, -7, -1])
    assert kind()(z, some) == kind()(z, Targets(torch.tensor([0, 0, 1, 1, 3, 4, 2, 2, 5, 6])))


@pytest.mark.parametrize("kind", [TripletLoss, SupConLoss, GeneralizedSupConLoss])
def test_one_hot_rows_are_numbers(kind: type[Objective]) -> None:
    z, classes = rows(), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    for one_hot in (F.one_hot(classes), F.one_hot(classes).double(), F.one_hot(classes).bool()):
        torch.testing.assert_close(kind()(z, one_hot), kind()(z, classes))


def test_probabilities_are_a_target() -> None:
    z, moods = rows(), torch.rand(10, 4, generator=torch.Generator().manual_seed(1))
    assert GeneralizedSupConLoss()(z, moods) == GeneralizedSupConLoss()(z, Targets(torch.arange(10), labels=moods))


def test_a_classifier_takes_numbers_as_torch_does() -> None:
    z, classes = rows(), torch.tensor([0, 1, 2, 3, 4, 5, 0, 1, -100, -1])
    expected = F.cross_entropy(z[:8], classes[:8])
    torch.testing.assert_close(CrossEntropyLoss()(z, classes), expected)
    with pytest.raises(ObjectiveError, match="label 6, but z has 6 columns"):
        CrossEntropyLoss()(z, classes.clamp(min=6))


def test_instance_discrimination_takes_numbers_of_tracks() -> None:
    torch.manual_seed(0)
    objective = InstanceDiscriminationLoss(20, 6, form="softmax").eval()
    assert objective(rows(), PAIRS) == objective(rows(), Targets(PAIRS, index=PAIRS))
    for bad in (PAIRS - 1, PAIRS + 16, F.one_hot(PAIRS)):
        with pytest.raises(ObjectiveError, match=r"index of each row, in \[0, 20\)"):
            objective(rows(), bad)


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize(
    ("z", "labels", "said"),
    [
        (rows(), PAIRS.float(), r"labels are torch.float32 \(10,\)"),
        (rows(), PAIRS[None, None], r"labels are torch.int64 \(1, 1, 10\)"),
        (rows(), torch.tensor(3), r"labels are torch.int64 \(\)"),
        (rows(), PAIRS.to(torch.complex64), "labels are torch.complex64"),
        (rows(9), PAIRS, r"\(9, 6\), instance \(10,\)"),
        (rows().long(), PAIRS, "z is torch.int64"),
        (rows(), -torch.ones(10, 3), "negative or not finite"),
        (rows(), torch.full((10, 3), float("nan")), "negative or not finite"),
    ],
)
def test_labels_that_are_none_are_refused(kind: type[Objective], z: Tensor, labels: Tensor, said: str) -> None:
    with pytest.raises(ObjectiveError, match=said):
        kind()(z, labels)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        *((kind, {"temperature": t}) for kind in (NTXentLoss, SupConLoss, GeneralizedSupConLoss) for t in (0, -1)),
        (NTXentLoss, {"temperature": float("nan")}),
        (GeneralizedSupConLoss, {"base_temperature": float("inf")}),
        (TripletLoss, {"margin": 0.0}),
        (TripletLoss, {"mining": "easy"}),
        (NPairLoss, {"norm_weight": -0.1}),
        (InstanceDiscriminationLoss, {"n": 0, "dim": 4}),
        (InstanceDiscriminationLoss, {"n": 4, "dim": 4, "form": "sum"}),
        (InstanceDiscriminationLoss, {"n": 4, "dim": 4, "negatives": 0}),
        (InstanceDiscriminationLoss, {"n": 4, "dim": 4, "proximal": float("nan")}),
        (CrossBatchMemory, {"objective": NTXentLoss(), "size": 0, "dim": 4}),
    ],
)
def test_settings_out_of_range_are_refused(kind: type[Objective], settings: dict[str, Any]) -> None:
    with pytest.raises(ObjectiveError, match=rf"^{kind.title}: ({'|'.join(settings)}) is "):
        kind(**settings)


def test_a_recipe_s_keys_are_keyword_arguments() -> None:
    for section in (config.NTXent, config.Triplet, config.NPair, config.SupCon, config.GeneralizedSupCon,
                    config.InstanceDiscrimination, config.CrossEntropy):  # fmt: skip
        defaults = section().model_dump(exclude={"name", "queue", "weight"})
        signature = inspect.signature(objectives.OBJECTIVES[section().name])
        named = {n: p.default for n, p in signature.parameters.items() if p.default is not inspect.Parameter.empty}
        assert named == defaults


def test_a_queue_s_state_goes_on() -> None:
    plan = config.NTXent(queue=12)
    one, other = (objective_from(plan, n_tracks=0, dim=6) for _ in range(2))
    one(rows(seed=1), PAIRS)
    other.load_state_dict(one.state_dict())
    assert set(one.state_dict()) == {"z", "instance", "recording", "labels", "seen"}
    assert other(rows(seed=2), PAIRS) == one(rows(seed=2), PAIRS)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


class NoLook(TorchDispatchMode):
    """Raises where the numbers of a tensor would be waited for on an accelerator."""

    WAITS = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal", "unique", "repeat_interleave")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__.lstrip("_")
        assert not any(name.startswith(wait.lstrip("_")) for wait in self.WAITS), f"{name} waits for the device"
        if name == "index":
            assert all(i is None or i.dtype != torch.bool for i in args[1]), "a boolean index waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "plan",
    [
        *(config.NTXent(decoupled=d, queue=q) for d in (False, True) for q in (0, 12)),
        *(config.Triplet(mining=m) for m in ("all", "hard", "semi_hard", "batch_hard")),
        config.NPair(),
        config.SupCon(queue=12),
        config.GeneralizedSupCon(queue=12),
        config.InstanceDiscrimination(negatives=4),
        config.InstanceDiscrimination(form="softmax"),
        config.CrossEntropy(),
    ],
    ids=str,
)
def test_a_loss_waits_for_no_device(plan: config.Objective) -> None:
    objective = objective_from(plan, n_tracks=20, dim=6, n_labels=3)
    labels = F.one_hot(torch.arange(5) % 3).float().repeat(2, 1)
    targets = Targets(PAIRS, PAIRS, labels, PAIRS)
    for seed in (1, 2):
        z = rows(seed=seed).requires_grad_()
        with NoLook():
            loss = objective.loss(z, targets)
            loss.backward()
        assert loss.isfinite()
        assert z.grad is not None


@pytest.mark.parametrize("mining", ["all", "hard", "semi_hard", "batch_hard"])
def test_triplets_are_the_same_however_many_are_counted_at_once(monkeypatch: pytest.MonkeyPatch, mining: Any) -> None:
    z, labels = rows(40), torch.arange(40) % 7
    expected = TripletLoss(mining=mining)(z, labels)
    monkeypatch.setattr("mirclr.objectives.triplet._ROWS", 3)
    torch.testing.assert_close(TripletLoss(mining=mining)(z, labels), expected, rtol=1e-6, atol=1e-7)
