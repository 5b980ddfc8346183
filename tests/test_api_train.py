"""`mirclr.train`: the command's runs from Python, on manifests and on datasets."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import mirclr
from mirclr.config import parse_recipe
from mirclr.data.manifest import Track, write_manifest
from mirclr.errors import CheckpointError, ManifestError, RecipeError, TrainingError
from mirclr.models.checkpoint import load_checkpoint
from tests.commands import invoke
from tests.own_encoders import Bands, Waves
from tests.ranks import start

RECIPE = """
name: tiny
seed: 3
data: {train: tracks.jsonl}
audio: {clip_seconds: 0.5}
mel: {n_mels: 24}
augment: {mel: [{name: noise}]}
encoder: {name: resnet, widths: [4], blocks: [1], dim: 8}
projector: {hidden: 8, dim: 8}
training: {steps: 4, batch: 4, lr: 1e-2, warmup: 1, log_every: 2, precision: float32}
embedding: {excerpts: 2}
"""
LABELLED = ("data.labels=artist", "objective={name: sup_con}")


@pytest.fixture(autouse=True)
def no_board(monkeypatch):
    monkeypatch.setattr("mirclr.training.trainer._tensorboard", lambda run: lambda step, metrics: None)


@pytest.fixture
def waveforms():
    """Five noises of two seconds at 16 kHz, whole steps of 16 bits."""
    rng = np.random.default_rng(0)
    return [(rng.integers(-9000, 9000, 32000) / 32768).astype(np.float32) for _ in range(5)]


@pytest.fixture
def folder(tmp_path, waveforms):
    """The same as files, with a manifest and a recipe beside them."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    for i, y in enumerate(waveforms):
        soundfile.write(tmp_path / f"{i}.wav", y, 16000, subtype="PCM_16")
    tracks = [Track(id=f"item {i}", path=f"{i}.wav", artist="ab"[i % 2]) for i in range(len(waveforms))]
    write_manifest(tmp_path / "tracks.jsonl", tracks)
    return tmp_path


def without_time(history):
    return [{name: value for name, value in line.items() if name != "clips_per_s"} for line in history]


def test_a_run_is_that_of_the_command(folder, in_this_process):
    seen = []
    recipe = folder / "recipe.yaml"
    result = mirclr.train(recipe, folder / "a", device="cpu", callback=lambda report: seen.append(report.step))
    done = invoke(["train", str(recipe), "-o", str(folder / "b"), "--device", "cpu", "--json"])
    told = json.loads(done.stdout)
    assert seen == [1, 2, 3, 4]
    assert (result.run, result.steps, result.skipped) == (folder / "a", 4, [])
    assert result.checkpoint == folder / "a" / "encoder.safetensors"
    assert result.digest == told["digest"] == mirclr.load_encoder(result.checkpoint, "cpu").stamp.digest
    assert [line["step"] for line in result.history] == [2, 4]
    assert result.history[-1]["loss"] == pytest.approx(told["loss"], rel=1e-5)
    lines = [json.loads(line) for line in (folder / "b" / "metrics.jsonl").read_text().splitlines()]
    assert without_time(lines) == without_time(result.history)


@pytest.mark.parametrize("overrides", [(), LABELLED])
def test_a_dataset_gives_the_run_of_the_same_files(folder, waveforms, in_this_process, overrides):
    of_files = mirclr.train(folder / "recipe.yaml", folder / "a", overrides=overrides, device="cpu")
    dataset = [(y, "ab"[i % 2]) for i, y in enumerate(waveforms)]
    found = mirclr.train(folder / "recipe.yaml", str(folder / "b"), dataset, overrides=overrides, device="cpu")
    assert without_time(found.history) == without_time(of_files.history)
    assert found.digest == of_files.digest


def test_a_torch_dataset_with_rows_of_weights(folder, waveforms):
    class Weighted(torch.utils.data.Dataset):
        sample_rate = 32000

        def __len__(self):
            return len(waveforms)

        def __getitem__(self, i):
            return torch.from_numpy(waveforms[i]), torch.eye(5)[i] + 0.1

    recipe = parse_recipe(RECIPE, overrides=["objective={name: generalized_sup_con}"])
    result = mirclr.train(recipe, folder / "a", data=Weighted(), device="cpu")
    assert np.isfinite([line["loss"] for line in result.history]).all()
    assert load_checkpoint(result.checkpoint).provenance["n_tracks"] == 5


def test_a_manifest_and_a_recipe_of_plain_values(folder, monkeypatch, in_this_process):
    values = parse_recipe(RECIPE, overrides=["data.train=nothing.jsonl"]).model_dump(mode="json")
    wanted = mirclr.train(folder / "recipe.yaml", folder / "a", device="cpu")
    monkeypatch.chdir(folder)
    found = mirclr.train(values, "b", "tracks.jsonl", device="cpu")
    assert found.digest == wanted.digest
    assert found.run == Path("b")


def test_what_a_callback_raises_ends_the_run_which_is_resumed_bit_for_bit(folder, waveforms):
    dataset = [(y, None) for y in waveforms]
    whole = mirclr.train(folder / "recipe.yaml", folder / "a", dataset, device="cpu")

    def stop(report):
        if report.step == 3:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        mirclr.train(folder / "recipe.yaml", folder / "b", dataset, device="cpu", callback=stop)
    assert load_checkpoint(folder / "b" / "state.safetensors").step == 3
    with pytest.raises(TrainingError, match="already holds a run"):
        mirclr.train(folder / "recipe.yaml", folder / "b", dataset, device="cpu")
    other = [*dataset[:4], (dataset[4][0] * 0.5, None)]
    with pytest.raises(TrainingError, match="other tracks"):
        mirclr.train(folder / "recipe.yaml", folder / "b", other, device="cpu", resume=True)
    resumed = mirclr.train(folder / "recipe.yaml", folder / "b", dataset, device="cpu", resume=True)
    assert resumed.digest == whole.digest
    assert without_time(resumed.history) == without_time(whole.history)


def test_items_that_cannot_be_used_are_named(folder, waveforms):
    dataset = [(y, None) for y in (*waveforms[:3], np.zeros(16000))]
    result = mirclr.train(folder / "recipe.yaml", folder / "a", dataset, device="cpu")
    assert len(result.skipped) == 1
    assert result.skipped[0].startswith("item 3: waveform: silent")


def test_a_part_of_a_dataset(folder, waveforms):
    dataset = [(y, torch.eye(5)[i]) for i, y in enumerate(waveforms)]
    overrides = ["data.fraction=0.6", "objective={name: generalized_sup_con}"]
    result = mirclr.train(folder / "recipe.yaml", folder / "a", dataset, overrides=overrides, device="cpu")
    assert load_checkpoint(result.checkpoint).provenance["n_tracks"] == 3


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ([(np.ones(20000), None)], "at least two recordings"),
        ([(np.ones(20000), {"split": "test"}), (np.ones(20000) * 0.5, None)], "evaluation data is never"),
        (3, "map-style dataset"),
        ("gone.jsonl", "no such manifest"),
    ],
)
def test_data_that_cannot_be_trained_on(folder, data, text):
    with pytest.raises(ManifestError, match=text):
        mirclr.train(folder / "recipe.yaml", folder / "a", data, device="cpu")
    assert not (folder / "a").exists()


def test_overrides_are_for_files(folder):
    with pytest.raises(RecipeError, match="overrides: expected with a recipe's file"):
        mirclr.train({"name": "x", "data": {"train": "t"}}, folder / "a", overrides=["seed=1"])
    with pytest.raises(RecipeError, match=r"gone\.yaml"):
        mirclr.train(folder / "gone.yaml", folder / "a")


SCRIPT = """
import json, os, sys
import numpy as np
import torch
import mirclr
from mirclr.training import trainer
trainer._tensorboard = lambda run: trainer._no_board
rng = np.random.default_rng(0)
dataset = [((rng.integers(-9000, 9000, 32000) / 32768).astype(np.float32), None) for _ in range(5)]
called = []
folder = sys.argv[1]
result = mirclr.train(f"{folder}/recipe.yaml", f"{folder}/b", dataset, device="cpu", callback=called.append)
print(json.dumps([result.digest, len(called), mirclr.load_encoder(result.checkpoint).stamp.digest]))
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without processes")
def test_processes_of_torchrun_train_together(folder, waveforms, home):
    (folder / "script.py").write_text(SCRIPT)
    whole = mirclr.train(folder / "recipe.yaml", folder / "a", [(y, None) for y in waveforms], device="cpu")
    processes = start(2, [str(folder / "script.py"), str(folder)])
    said = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    first, second = (json.loads(out.splitlines()[-1]) for out, _ in said)
    assert first[0] == second[0] == first[2] == second[2]
    assert (first[1], second[1]) == (4, 0)
    lines = [json.loads(line) for line in (folder / "b" / "metrics.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == pytest.approx([line["loss"] for line in whole.history], abs=3e-5)


# encoders of one's own


@pytest.mark.parametrize("make", [Waves, Bands])
def test_a_module_that_is_passed_in_is_trained_and_embeds(folder, waveforms, make):
    dataset = [(y, None) for y in waveforms]
    overrides = ["augment.mel=[]"]
    torch.manual_seed(0)
    module = make()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    result = mirclr.train(
        folder / "recipe.yaml", folder / "a", dataset, encoder=module, overrides=overrides, device="cpu"
    )
    after = module.state_dict()
    assert not before or any(not torch.equal(before[name], after[name]) for name in before)
    with pytest.raises(CheckpointError, match=rf"own_encoders\.{make.__name__}' is not registered"):
        mirclr.load_encoder(result.checkpoint)
    encoder = mirclr.load_encoder(result.checkpoint, "cpu", module=make())
    assert encoder.stamp.digest == result.digest
    recipe = load_checkpoint(result.checkpoint, make()).recipe
    passed = mirclr.load_encoder(module.eval(), "cpu", recipe=recipe)
    np.testing.assert_array_equal(passed.embed(waveforms[0], 16000), encoder.embed(waveforms[0], 16000))
    assert passed.stamp.digest == result.digest


def test_a_run_with_a_module_is_resumed_bit_for_bit(folder, waveforms):
    dataset = [(y, None) for y in waveforms]

    def run(name, steps, **options):
        torch.manual_seed(0)
        overrides = [f"training.steps={steps}", "training.schedule=constant", "augment.mel=[]"]
        return mirclr.train(
            folder / "recipe.yaml",
            folder / name,
            dataset,
            encoder=Waves(),
            overrides=overrides,
            device="cpu",
            **options,
        )

    whole = run("a", 4)
    run("b", 2)
    resumed = run("b", 4, resume=True)
    assert resumed.digest == whole.digest
    assert without_time(resumed.history) == without_time(whole.history)


@pytest.mark.parametrize("recipe", [None, 3, ["recipe.yaml"]])
def test_what_is_no_recipe_is_refused(recipe, tmp_path):
    with pytest.raises(RecipeError, match=r"recipe: found a .*; expected a file, a Recipe or a mapping"):
        mirclr.train(recipe, tmp_path / "a")


def test_one_override_is_not_its_letters(folder, in_this_process):
    result = mirclr.train(folder / "recipe.yaml", folder / "a", overrides="training.steps=1", device="cpu")
    assert result.steps == 1


def test_a_run_has_a_name(folder):
    with pytest.raises(TrainingError, match="run: found an empty text"):
        mirclr.train(folder / "recipe.yaml", "")
