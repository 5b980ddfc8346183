"""Several processes train as one: the same losses and weights, for every objective, and one end for all."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mirclr.config import read_recipe
from mirclr.errors import TrainingError
from mirclr.models.checkpoint import load_checkpoint
from mirclr.training.distributed import Ranks, _end_with, device_of
from mirclr.training.run import prepare
from mirclr.training.run_folder import METRICS, STATE
from tests.commands import invoke
from tests.made_up_shards import of_ranks
from tests.ranks import losses, made_light, start, train_together

SMOKE = Path(__file__).parents[1] / "recipes" / "smoke" / "recipe.yaml"
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
    "an average of the weights": ["training.ema_decay=0.5"],
    "several objectives": [
        "auxiliary=[{objective: {name: triplet, weight: 0.3}}, {objective: {name: nt_xent}, projector: {dim: 4}}]",
        "objective={name: sup_con, weight: 0.0}",
    ],
    "a teacher": [
        "objective={name: generalized_sup_con}",
        "augment.mixup={}",
        "distillation={teacher: given, targets: [{name: tags}, {name: embedding, loss: mse}, {name: features}]}",
    ],
    "a teacher's tags alone": [
        "objective.weight=0",
        "distillation={teacher: given, alpha: 0, targets: [{name: tags}]}",
    ],
    "validated": ["validation={manifest: x.jsonl, split: null, k: 1, every: 2}"],
}


@pytest.fixture(autouse=True, scope="module")
def light():
    with pytest.MonkeyPatch.context() as patch:
        made_light(patch)
        yield


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
        {"kind": "train", "run": "shards", "overrides": of_ranks(folder / "packed")},
        {"kind": "disagree", "run": "disagree", "overrides": []},
        {"kind": "interrupted", "run": "interrupted", "overrides": []},
        {"kind": "not finite", "run": "not finite", "overrides": []},
    ]
    for job in jobs:
        job |= {"run": str(folder / job["run"]), "clips": str(clips)}
    found = train_together(jobs, folder)
    others = ["before", "after", "to one", "shards", "disagree", "interrupted", "not finite"]
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


def test_distributed_shards_give_the_losses_of_one_process(together: Any, clips: Path, tmp_path: Path) -> None:
    folder, found = together
    np.testing.assert_allclose(
        found["shards"], losses(of_ranks(folder / "packed"), tmp_path, clips), rtol=1e-5, atol=1e-5
    )
    assert_same_weights(tmp_path, folder / "shards")


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


# the command


def train_command(run: Path, *words: str) -> list[str]:
    """A command line of the smoke recipe."""
    return ["-m", "mirclr", "train", str(SMOKE), "-o", str(run), "--device", "cpu", "--set", "validation=null", *words]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose cache holds the songs of the smoke recipe, decoded in this process."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIRCLR_HOME", str(folder))
        patch.setattr("mirclr.data.clips.results_in_order", lambda work, jobs, **_: ((j, work(*j)) for j in jobs))
        prepare(read_recipe(SMOKE, overrides=["validation=null"]), SMOKE.parent, folder / "run", device="cpu")
    return folder


def ended(processes: list["subprocess.Popen[str]"]) -> tuple[list[int], list[str], list[str]]:
    """Exit codes, standard output and standard error of all."""
    said = [process.communicate(timeout=120) for process in processes]
    return [p.returncode for p in processes], [out for out, _ in said], [err for _, err in said]


def test_distributed_command_starts_processes_and_reports_once(home: Path, tmp_path: Path) -> None:
    """By ``--nproc``, and as torchrun starts them."""
    words = ("--set", "training.steps=3", "--json")
    line = [sys.executable, *train_command(tmp_path / "a", "--nproc", "2", *words)]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = os.environ | {"MIRCLR_HOME": str(home), "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}
    one = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=240)
    assert one.returncode == 0, one.stderr
    lines = one.stderr.splitlines()
    assert len(lines) == len(set(lines)), one.stderr
    assert not [left.name for left in temporary.iterdir() if left.name.startswith("torchelastic")]
    codes, out, err = ended(start(2, train_command(tmp_path / "b", *words), MIRCLR_HOME=str(home)))
    assert codes == [0, 0], err
    assert (out[1], err[1]) == ("", "")
    a, b = json.loads(one.stdout), json.loads(out[0])
    assert a["digest"] == b["digest"]
    assert load_checkpoint(tmp_path / "a" / "encoder.safetensors").provenance["processes"] == 2


def test_distributed_command_ends_with_the_code_of_what_was_wrong(tmp_path: Path) -> None:
    line = [sys.executable, *train_command(tmp_path / "run", "--nproc", "2", "--set", "no_such_key=1")]
    ended_with = subprocess.run(line, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert ended_with.returncode == 2
    assert re.fullmatch(r"mirclr: .*no setting .*no_such_key.*\n", ended_with.stderr)


def test_distributed_fault_is_reported_once_and_ends_all(home: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / STATE).touch()
    codes, out, err = ended(start(2, train_command(run), MIRCLR_HOME=str(home)))
    assert codes == [1, 1]
    assert "".join(out) == ""
    assert sorted(err)[0] == ""
    assert re.fullmatch(r"mirclr: .*already holds a run; .*\n", sorted(err)[1])


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_distributed_process_that_is_killed_ends_all(home: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = (
        "--set",
        "training.steps=100000",
        "--set",
        "training.log_every=1",
        "--set",
        "training.checkpoint_minutes=1e-9",
    )
    processes = start(2, train_command(run, *words), MIRCLR_HOME=str(home))
    wait_for_lines(run / METRICS, 3, processes)
    processes[1].kill()
    codes, _, err = ended(processes)
    assert codes == [1, -signal.SIGKILL]
    assert err[0].splitlines()[-1] == (
        "mirclr: another process of the run was lost; what was saved is safe: add --resume to continue"
    )
    assert "Traceback" not in err[0]
    assert load_checkpoint(run / STATE).step


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a process")
def test_distributed_command_that_is_interrupted_saves_and_resumes(home: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("--nproc", "2", "--set", "training.schedule=constant", "--set", "training.log_every=1")
    line = [sys.executable, *train_command(run, *words, "--set", "training.steps=100000")]
    environment = os.environ | {"MIRCLR_HOME": str(home), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True)
    wait_for_lines(run / METRICS, 3, [process])
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "mirclr: interrupted; what was done is kept"
    assert [said.count(once) for once in ("interrupted", "will take about", "Traceback")] == [1, 1, 0]
    made = load_checkpoint(run / STATE).step
    assert made is not None
    assert made >= 3
    again = invoke(train_command(run, "--set", f"training.steps={made + 2}", *words[2:], "--resume")[2:],
                   env={"MIRCLR_HOME": str(home)})  # fmt: skip
    assert again.exit_code == 0, again.output
    assert f"resuming after step {made}" in again.stderr


def test_distributed_process_ends_with_its_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where that is killed: what it held is closed by the system. A process is asked to save, and then ended."""
    ends, asked = threading.Event(), threading.Event()
    monkeypatch.setattr(os, "_exit", lambda code: ends.set())
    monkeypatch.setattr("mirclr.training.distributed._SECONDS_TO_SAVE", 0.0)
    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.set())
    try:
        with socket.create_server(("127.0.0.1", 0)) as launcher:
            _end_with(launcher.getsockname()[1])
            kept, _ = launcher.accept()
            assert not asked.is_set()
            assert not ends.is_set()
            kept.close()
            assert ends.wait(60)
        assert asked.is_set()
    finally:
        signal.signal(signal.SIGTERM, before)


def wait_for_lines(file: Path, count: int, processes: list["subprocess.Popen[str]"]) -> None:
    """Until a log has so many lines, or a process has ended."""
    while all(p.poll() is None for p in processes) and not (file.exists() and file.read_text().count("\n") >= count):
        time.sleep(0.01)


def test_distributed_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    two = Ranks(1, 2, 1, 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of("auto", two) == torch.device("cpu")
    monkeypatch.setattr("mirclr.training.distributed.pick_device", torch.device)
    with pytest.raises(TrainingError, match="'mps' cannot be shared by 2 processes"):
        device_of("mps", two)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of("auto", two) == device_of("cuda", two) == torch.device("cuda:1")
    with pytest.raises(TrainingError, match="'cuda:0' for 2 processes; give cuda"):
        device_of("cuda:0", two)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(TrainingError, match=r"2 processes, but 1 GPU on this machine; start 1"):
        device_of("auto", two)
    assert device_of("cuda:0", Ranks(1, 2, 0, 1)) == torch.device("cuda:0")  # one process on each of two machines
