"""Batches made ahead, steps that wait for no device, and how exactly a device computes."""

import itertools
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from mirclr.data import loader
from mirclr.data.batches import Batch
from mirclr.data.loader import load, pick_workers
from mirclr.errors import MirclrError, NotFinite, TrainingError
from mirclr.models import device as devices
from mirclr.models.device import Compiled, arithmetic, pick_device, pick_precision
from mirclr.training.outcome import Outcome
from tests.ranks import losses, made_light, trainer

CPU = torch.device("cpu")
STEPS = ["training.steps=6", "training.log_every=4"]
OBJECTIVES = {
    "nt_xent": ["objective={name: nt_xent, decoupled: true}"],
    "triplet": ["objective={name: triplet}"],
    "n_pair": ["objective={name: n_pair}"],
    "sup_con": ["objective={name: sup_con}"],
    "generalized_sup_con": ["objective={name: generalized_sup_con}"],
    "mixup": ["objective={name: generalized_sup_con}", "augment.mixup={}"],
    "cutmix": ["objective={name: generalized_sup_con}", "augment.cutmix={region: box}"],
    "instance_discrimination": ["objective={name: instance_discrimination, negatives: 8}"],
    "cross_entropy": ["objective={name: cross_entropy}"],
    "queue": ["objective={name: nt_xent, queue: 12}"],
}


@pytest.fixture(autouse=True, scope="module")
def light():
    with pytest.MonkeyPatch.context() as patch:
        made_light(patch)
        yield


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


def same(one: Batch, two: Batch) -> bool:
    """Whether two batches hold the same, bit for bit."""
    found: list[list[torch.Tensor]] = [[], []]
    for batch, tensors in zip((one, two), found, strict=True):
        batch.map(lambda x, tensors=tensors: tensors.append(x) or x)  # type: ignore[misc]
    return one.tracks == two.tracks and all(map(torch.equal, *found))


def test_batches_do_not_depend_on_how_many_processes_make_them(clips: Path, tmp_path: Path) -> None:
    source = trainer(["augment={waveform: [{name: gain}], mel: [{name: noise}]}"], tmp_path / "run", clips).batches
    expected = [source.batch(number) for number in range(3, 8)]
    assert not same(expected[0], expected[1])
    for workers in (0, 1, 2):
        found = list(load(source, range(3, 8), workers=workers, device=CPU))
        assert all(map(same, found, expected))
        assert found[0].clips.dtype == torch.float32


def test_runs_do_not_depend_on_how_many_processes_make_batches(clips: Path, tmp_path: Path) -> None:
    whole = losses([*STEPS, "training.workers=0"], tmp_path / "0", clips)
    assert losses([*STEPS, "training.workers=2", "training.accumulate=1"], tmp_path / "2", clips) == whole
    first = trainer([*STEPS, "training.workers=0"], tmp_path / "broken", clips)
    steps = first.train()
    begun = [next(steps).loss for _ in range(3)]
    first.save()
    steps.close()
    assert begun + losses([*STEPS, "training.workers=1"], tmp_path / "broken", clips, resume=True) == whole


def test_a_batch_whose_process_ended_is_made_here(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = trainer([], tmp_path / "run", clips).batches
    pools: list[Any] = []

    class Noted(loader.Pool):  # type: ignore[misc]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            pools.append(self)

    monkeypatch.setattr(loader, "Pool", Noted)
    found = load(source, range(9), workers=1, device=CPU)
    next(found)
    for worker in list(pools[0]._all):
        os.kill(worker._process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    assert all(map(same, found, [source.batch(number) for number in range(1, 9)]))


def test_what_is_wrong_with_a_source_is_raised_wherever_it_is_read(clips: Path, tmp_path: Path) -> None:
    source = trainer([], tmp_path / "run", clips).batches
    for cached in source.source.tracks:  # type: ignore[attr-defined]
        object.__setattr__(cached, "file", tmp_path / "gone.raw")
    with pytest.raises(OSError, match=r"gone\.raw"):
        list(load(source, range(2), workers=1, device=CPU))


def test_a_loader_that_is_left_ends_its_processes(clips: Path, tmp_path: Path) -> None:
    source = trainer([], tmp_path / "run", clips).batches
    found = load(source, range(1_000_000_000), workers=1, device=CPU)
    assert same(next(found), source.batch(0))
    found.close()
    assert list(found) == []


def test_processes_are_for_gpus_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert [pick_workers(None, torch.device(name)) for name in ("cpu", "cuda", "mps")] == [0, 3, 3]
    assert pick_workers(2, CPU) == 2
    assert pick_workers(0, torch.device("cuda")) == 0


# a step reads nothing from the device


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_step_waits_for_no_device(
    objective: str, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On tensors without content, of a GPU that need not be here, reading a number raises."""
    monkeypatch.setattr(torch.backends.cudnn, "enabled", False)  # it knows nothing of such tensors
    run = trainer([*OBJECTIVES[objective], "data={train: t, labels: artist}"], tmp_path / "run", clips)
    batch = run.batches.batch(0)
    read: list[Outcome] = []

    class NotRead(Outcome):
        """Its numbers stay on the device."""

        def __init__(self, step: int, found: Any, norm: Any, tracks: Any) -> None:
            torch.stack([*(x.float() for each in found for x in each.values()), norm.float()])
            read.append(self)

        is_here = False  # type: ignore[assignment]

    monkeypatch.setattr("mirclr.training.trainer.Outcome", NotRead)
    monkeypatch.setattr(run.optimizer, "step", lambda: None)  # counts its steps on the CPU
    monkeypatch.setattr(torch.Tensor, "backward", lambda loss: None)  # asks for a real device
    run.device = cuda = torch.device("cuda")
    with FakeTensorMode(allow_non_fake_inputs=True):
        for module in (*run.student.modules(), *run.views.modules(), *run.criterion.modules()):
            for name, buffer in module._buffers.items():
                module._buffers[name] = None if buffer is None else buffer.to(cuda)
            for name, held in module._parameters.items():
                if held is not None:
                    put = torch.nn.Parameter(held.detach().to(cuda), held.requires_grad)
                    module._parameters[name], put.grad = put, torch.empty_like(put)
        run._make_step([batch.map(lambda x: x.to(cuda))])
        with pytest.raises(DataDependentOutputException):
            bool(torch.ones(2, device=cuda).any())  # so would it be noticed
    assert len(read) == 1


def test_an_outcome_is_read_as_the_mean_of_its_batches() -> None:
    found = [{"loss": torch.tensor(value), "tags": torch.tensor(2 * value)} for value in (1.0, 4.0)]
    outcome = Outcome(7, found, torch.tensor(3.0), [("a",), ("b",)])
    assert outcome.is_here
    assert outcome.read() == {"loss": 2.5, "tags": 5.0}
    found[1]["loss"] = torch.tensor(float("nan"))
    with pytest.raises(NotFinite, match="step 7: the loss is nan; batch of 1 tracks: b"):
        Outcome(7, found, torch.tensor(3.0), [("a",), ("b",)]).read()


def test_a_loss_that_comes_late_still_ends_the_run(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where what is not finite is known some steps later: no state is saved after it."""
    run = trainer([*STEPS, "training.log_every=100"], tmp_path / "run", clips)
    run.save()
    monkeypatch.setattr(Outcome, "is_here", False)
    steps = run.train()
    next(steps)
    criterion = run.criterion.total
    run.criterion.total = lambda found: criterion(found) * float("nan")  # type: ignore[method-assign]
    next(steps)
    next(steps)
    with pytest.raises(NotFinite, match="step 2: the loss is nan"):
        run.save()
    assert trainer([*STEPS, "training.log_every=100"], tmp_path / "run", clips, resume=True).step == 0


# how exactly


def test_auto_is_cuda_then_mps_then_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    there: set[str] = {"cuda", "mps"}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in there)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in there)
    assert pick_device("auto").type == "cuda"
    there.remove("cuda")
    assert pick_device("auto").type == "mps"
    there.remove("mps")
    assert pick_device("auto").type == "cpu"
    assert pick_precision("tf32", CPU) is torch.float32


def test_arithmetic_is_set_and_set_back(device: torch.device) -> None:
    cudnn = torch.backends.cudnn

    def state() -> tuple[bool, ...]:
        return cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic, torch.are_deterministic_algorithms_enabled()

    before = state()
    cuda = device.type == "cuda"
    for precision, deterministic in itertools.product(("auto", "float32", "tf32", "bfloat16"), (False, True)):
        with arithmetic(precision, device, deterministic=deterministic):
            assert state() == (precision != "float32", cuda and not deterministic, deterministic, deterministic)
        assert state() == before
    with pytest.raises(MirclrError), arithmetic("tf32", device, deterministic=True):
        raise MirclrError
    assert state() == before


def test_a_deterministic_run_is_the_same_again(clips: Path, tmp_path: Path) -> None:
    asked = [*STEPS, "training.deterministic=true"]
    assert losses(asked, tmp_path / "a", clips) == losses(asked, tmp_path / "b", clips)
    assert not torch.are_deterministic_algorithms_enabled()


def test_an_operation_that_cannot_be_deterministic_is_named() -> None:
    with (
        pytest.raises(TrainingError, match=r"training\.deterministic: put_ .* on cpu; set it to false"),
        arithmetic("float32", torch.device("cpu"), deterministic=True),
    ):
        torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_python_that_torch_cannot_compile_for_runs_the_network_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(network: Any) -> Any:
        raise RuntimeError("torch.compile is not supported on Python 3.15+")

    monkeypatch.setattr(devices.torch, "compile", refused)
    notes: list[str] = []
    network = torch.nn.Linear(2, 3)
    compiled = Compiled(network, notes.append)
    for _ in range(2):
        torch.testing.assert_close(compiled(torch.ones(1, 2)), network(torch.ones(1, 2)))
    assert len(notes) == 1
    assert "Python 3.15" in notes[0]


def test_a_network_that_cannot_be_compiled_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(network: Any) -> Any:
        def call(*inputs: Any) -> Any:
            raise torch._dynamo.exc.BackendCompilerFailed(broken, RuntimeError("no C++ compiler"), None)

        return call

    monkeypatch.setattr(devices.torch, "compile", broken)
    notes: list[str] = []
    network = torch.nn.Linear(2, 3)
    compiled = Compiled(network, notes.append)
    x = torch.ones(1, 2)
    for _ in range(2):
        torch.testing.assert_close(compiled(x), network(x))
    assert compiled.works is False
    assert len(notes) == 1
    assert notes[0].startswith("training.compile: not to be had here (")
    monkeypatch.setattr(devices.torch, "compile", lambda network: network)
    with pytest.raises(RuntimeError, match="shapes"):  # what is the network's own fault stays one
        Compiled(network, notes.append)(torch.ones(1, 5))
    assert len(notes) == 1


def test_a_network_is_compiled_where_there_is_a_compiler() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    notes: list[str] = []
    compiled = Compiled(network, notes.append)
    torch.testing.assert_close(compiled(torch.ones(4, 2)), network(torch.ones(4, 2)))
    assert bool(notes) is not compiled.works


def test_a_compiled_run_is_near_one_that_is_not(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph is taken as for a compiler, and run as it is: a compiler takes longer than all these runs."""
    monkeypatch.setattr(devices.torch, "compile", partial(torch.compile, backend="eager"))
    plain = losses(["training.steps=2"], tmp_path / "plain", clips)
    run = trainer(["training.steps=2", "training.compile=true"], tmp_path / "compiled", clips)
    reports = list(run.train())
    assert [r.loss for r in reports] == pytest.approx(plain, rel=1e-3)
    assert not any(report.notes for report in reports)
    assert isinstance(run.forward, Compiled)
    assert run.forward.works
