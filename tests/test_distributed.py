"""Several processes train as one: the same losses and weights, for every objective, and one end for all."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mirclr.models.checkpoint import load_checkpoint
from mirclr.training.trainer import METRICS, STATE
from tests.ranks import losses, train_together

SUPERVISED = "objective={{name: {}}}"
CASES: dict[str, list[str]] = {
    "nt_xent": [],
    "decoupled": ["objective={name: nt_xent, decoupled: true}"],
    **{
        f"triplet {m}": [f"objective={{name: triplet, mining: {m}}}"]
        for m in ("all", "hard", "semi_hard", "batch_hard")
    },
    "n_pair": ["objective={name: n_pair}"],
    "sup_con": ["objective={name: sup_con}"],
    "generalized_sup_con": ["objective={name: generalized_sup_con}"],
    "cross_entropy": ["objective={name: cross_entropy}"],
    "instance_discrimination nce": ["objective={name: instance_discrimination, negatives: 8}"],
    "instance_discrimination softmax": ["objective={name: instance_discrimination, form: softmax}"],
    "queue": ["objective={name: sup_con, queue: 14}"],
    "queue without labels": ["objective={name: nt_xent, queue: 14}", "data.labels=null"],
    "mixup": ["objective={name: generalized_sup_con}", "augment.mixup={}"],
    "cutmix in time": ["objective={name: generalized_sup_con}", "augment.cutmix={region: time}"],
    "cutmix of boxes": ["objective={name: cross_entropy}", "augment.cutmix={region: box}"],
    "soft positives": ["data={train: t, soft_positives: {}}", "objective={name: generalized_sup_con}"],
    "accumulated": ["training.accumulate=2", "training.clip_norm=0.1"],
    "a head before the last normalisation": ["encoder.dim=8"],
    "waveforms and dropout": [
        "encoder={name: sample_cnn_pooled, widths: [4, 4, 8, 8], dropout: 0.3}",
        "augment={waveform: [{name: gain}, {name: noise}, {name: background_mix}]}",
    ],
    "validated": ["validation={manifest: x.jsonl, split: null, k: 1, every: 2}"],
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def alone(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[float]]]:
    """Every case by one process."""
    folder = tmp_path_factory.mktemp("alone")
    return folder, {name: losses(overrides, folder / name, clips) for name, overrides in CASES.items()}


@pytest.fixture(scope="module")
def together(
    alone: tuple[Path, dict[str, list[float]]], clips: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """Every case by two, and what else two are asked."""
    folder = tmp_path_factory.mktemp("together")
    names = list(CASES)
    jobs: list[dict[str, Any]] = [{"kind": "train", "run": name, "overrides": CASES[name]} for name in names]
    jobs += [
        {"kind": "some steps", "run": "broken", "overrides": CASES["queue"], "steps": 2},
        {"kind": "train", "run": "broken", "overrides": CASES["queue"], "resume": True},
        {"kind": "some steps", "run": "to one", "overrides": CASES["queue"], "steps": 2},
        {"kind": "disagree", "run": "disagree", "overrides": []},
        {"kind": "interrupted", "run": "interrupted", "overrides": []},
        {"kind": "not finite", "run": "not finite", "overrides": []},
    ]
    for job in jobs:
        job |= {"run": str(folder / job["run"]), "clips": str(clips)}
    found = train_together(jobs, folder)
    others = ["before", "after", "to one", "disagree", "interrupted", "not finite"]
    return folder, dict(zip([*names, *others], found, strict=True))


def weights(run: Path) -> dict[str, torch.Tensor]:
    """Of a finished run, but for biases that a batch normalisation follows: they have no gradient but rounding."""
    found = load_checkpoint(run / "encoder.safetensors").model.state_dict()
    return {n: t for n, t in found.items() if n != "encoder.head.bias" and not n.startswith("encoder.output_norm")}


def assert_same_weights(a: Path, b: Path) -> None:
    for (name, one), other in zip(weights(a).items(), weights(b).values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=2e-5, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("name", CASES)
def test_distributed_losses_and_weights_are_those_of_one_process(name: str, alone: Any, together: Any) -> None:
    (one, expected), (two, found) = alone, together
    np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-5)
    assert_same_weights(one / name, two / name)
    lines = [[json.loads(line) for line in (run / name / METRICS).read_text().splitlines()] for run in (one, two)]
    for a, b in zip(*lines, strict=True):
        assert a.keys() == b.keys()
        assert a["step"] == b["step"]
        assert a.get("knn_accuracy") == b.get("knn_accuracy")
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)


def test_distributed_queue_and_bank_are_those_of_one_process(alone: Any, together: Any) -> None:
    for name in ("queue", "instance_discrimination nce"):
        a, b = (load_checkpoint(run / name / STATE) for run in (alone[0], together[0]))
        assert a.objective.keys() == b.objective.keys()
        for key, one in a.objective.items():
            torch.testing.assert_close(one, b.objective[key], rtol=1e-4, atol=1e-5)


def test_distributed_resume_is_the_unbroken_run(alone: Any, together: Any, clips: Path) -> None:
    folder, found = together
    assert found["before"] + found["after"] == found["queue"]  # bit for bit
    # and by one process after two
    after = losses(CASES["queue"], folder / "to one", clips, resume=True)
    np.testing.assert_allclose(found["to one"] + after, alone[1]["queue"], rtol=1e-5, atol=1e-5)
    assert_same_weights(alone[0] / "queue", folder / "to one")


def test_distributed_faults_and_signals_are_met_together(together: Any) -> None:
    folder, found = together
    assert found["interrupted"] == [3, 3]  # the step after, whichever process got the signal
    assert load_checkpoint(folder / "interrupted" / STATE).step == 3
    assert found["not finite"].startswith("step 1: the loss is nan")
    assert "has another than process 0" in found["disagree"]
    assert not (folder / "not finite" / "encoder.safetensors").exists()


def test_distributed_three_processes_with_uneven_parts(alone: Any, clips: Path, tmp_path: Path) -> None:
    names = ["generalized_sup_con", "cutmix of boxes", "waveforms and dropout"]
    jobs = [{"kind": "train", "run": str(tmp_path / n), "clips": str(clips), "overrides": CASES[n]} for n in names]
    for name, found in zip(names, train_together(jobs, tmp_path, world=3), strict=True):
        np.testing.assert_allclose(found, alone[1][name], rtol=1e-5, atol=1e-5)
        assert_same_weights(alone[0] / name, tmp_path / name)
