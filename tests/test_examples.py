"""Distillation examples: what is written is read, batches are drawn by (seed, number), and a run learns from them."""

import json
import pickle

import numpy as np
import pytest
import torch

from mirclr.config import Mel, parse_recipe
from mirclr.data.examples import INDEX, ExampleFolder, ExamplesHeader, ExampleSource
from mirclr.errors import LabelsError, ManifestError, RecipeError, TrainingError
from mirclr.models.checkpoint import load_checkpoint
from mirclr.training.run import prepare

MEL = Mel(n_mels=16)
FRAMES = 32
RECIPE = """
name: tiny
seed: 5
data: {train: examples}
audio: {clip_seconds: 0.5}
mel: {n_mels: 16}
augment: {mel: [{name: gain}, {name: noise}, {name: time_mask}]}
encoder: {name: resnet, widths: [4], blocks: [1]}
projector: {hidden: 8, dim: 8}
objective: {name: generalized_sup_con, weight: 0.3}
distillation:
  examples: true
  alpha: 0.05
  centre: true
  softmax: true
  temperature: 0.25
  targets: [{name: tags, weight: 40}, {name: embedding, loss: mse}, {name: features, components: 3}]
training: {steps: 8, batch: 6, lr: 1e-2, warmup: 2, log_every: 3, precision: float32, ema_decay: 0.9}
"""


def header(**changes):
    settings = {
        **{"teacher": "t", "digest": "d", "tags": ("a", "b", "c", "d"), "exclusive": 0, "dim": 5, "features_dim": 7},
        **{"mel": MEL.model_dump(mode="json"), "sample_rate": 16000, "clip_seconds": 0.5, "frames": FRAMES},
        "tracks": (("x", "train"), ("y", None), ("z", "train")),
    }
    return ExamplesHeader(**settings | changes)


def write(folder, shards=2, size=20):
    for number in range(shards):
        rng = np.random.default_rng(number)
        track = np.full((size, 3), -1)
        track[:, 0] = rng.integers(3, size=size)
        fraction = np.zeros((size, 3))
        fraction[:, 0] = 1.0
        track[::4, 1], fraction[::4] = (track[::4, 0] + 1) % 3, [0.75, 0.25, 0]
        log_mel = torch.from_numpy(rng.random((size, 16, FRAMES)).astype(np.float32)) * 3
        folder.write(number, log_mel, rng.standard_normal((size, 16)), track, fraction)


@pytest.fixture
def folder(tmp_path):
    made = ExampleFolder.create(tmp_path / "examples", header())
    write(made)
    return made


def recipe(*overrides):
    return parse_recipe(RECIPE, overrides=overrides)


def source(folder, *overrides):
    return ExampleSource(folder, recipe(*overrides), is_useful=lambda targets: True)


def test_what_is_written_is_read(folder):
    again = ExampleFolder.read(folder.folder)
    assert again.header == header()
    rows = again.shards()[1]
    rng = np.random.default_rng(1)
    rng.integers(3, size=20)
    log_mel = rng.random((20, 16, FRAMES)) * 3
    np.testing.assert_allclose(again.log_mel(rows).numpy(), log_mel, atol=0.0151)
    logits, embedding, features = again.split(rows["outputs"])
    outputs = torch.cat([logits, embedding, features], dim=1)
    np.testing.assert_allclose(outputs.numpy(), rng.standard_normal((20, 16)), atol=2e-3)
    assert [x.shape[1] for x in (logits, embedding, features)] == [4, 5, 7]


def test_a_batch_is_a_function_of_seed_and_number_in_pairs_of_one_track(folder):
    one, other = source(folder), source(folder, "seed=6")
    first, again = one.batch(3), source(folder).batch(3)
    assert torch.equal(first.clips, again.clips)
    assert all(torch.equal(first.teacher[name], again.teacher[name]) for name in first.teacher)
    assert not torch.equal(first.clips, other.batch(3).clips)
    assert not torch.equal(first.clips, one.batch(4).clips)
    assert first.clips.shape == (12, 16, FRAMES)
    targets = first.targets
    assert torch.equal(targets.recording[:6], targets.recording[6:])  # mostly of the same track
    torch.testing.assert_close(targets.labels.sum(dim=1), torch.ones(12))
    assert {round(float(x), 2) for x in targets.labels.unique()} <= {0.0, 0.25, 0.75, 1.0}
    names = dict(zip("xyz", range(3), strict=True))
    assert [names[t] for t in first.tracks] == targets.recording[:6].tolist()
    assert set(first.teacher) == {"soft_targets", "tags", "embedding", "features"}
    torch.testing.assert_close(first.teacher["soft_targets"].sum(dim=1), torch.ones(12))


@pytest.mark.parametrize(("field", "value", "why"), [("outputs", np.nan, "NaN or infinite"), ("track", 77, "damaged")])
def test_examples_that_hold_nonsense_are_refused(folder, field, value, why):
    rows = np.fromfile(folder.shard(1), folder.header.row)
    rows[field] = value
    rows.tofile(folder.shard(1))
    with pytest.raises(LabelsError, match=why):
        source(folder)


def test_shards_are_read_from_disk_by_other_processes_and_not_sent(folder):
    write(folder, shards=1, size=2000)
    whole = source(folder)
    sent = pickle.dumps(whole)
    assert len(sent) < sum(shard.nbytes for shard in whole.shards) / 4
    one, two = whole.batch(3), pickle.loads(sent).batch(3)
    assert torch.equal(one.clips, two.clips)
    assert all(torch.equal(rows, two.teacher[name]) for name, rows in one.teacher.items())


def test_a_process_reads_its_own_rows_and_knows_the_whole_batch(folder):
    whole, part = source(folder).batch(2), source(folder).batch(2, slice(4, 9))
    assert torch.equal(part.clips, whole.clips[4:9])
    assert all(torch.equal(part.teacher[name], rows[4:9]) for name, rows in whole.teacher.items())
    assert torch.equal(part.targets.labels, whole.targets.labels)


def test_a_run_on_examples_resumes_bit_for_bit_and_exports_the_average(folder, tmp_path):
    def losses(run, resume=False):
        return [report.loss for report in prepare(recipe(), tmp_path, run, device="cpu", resume=resume).train()]

    whole = losses(tmp_path / "whole")
    broken = prepare(recipe(), tmp_path, tmp_path / "broken", device="cpu")
    steps = broken.train()
    before = [next(steps).loss for _ in range(4)]
    broken.save()
    next(steps)
    steps.close()
    assert before + losses(tmp_path / "broken", resume=True) == whole
    logs = [(tmp_path / run / "metrics.jsonl").read_text().splitlines() for run in ("whole", "broken")]
    lines = [[json.loads(line) for line in log] for log in logs]
    for a, b in zip(*lines, strict=True):
        assert {k: v for k, v in a.items() if k != "clips_per_s"} == {k: v for k, v in b.items() if k != "clips_per_s"}
        parts = {"objective": 0.3, "soft_targets": 0.05, "tags": 40.0, "embedding": 1.0, "features": 1.0}
        assert a["loss"] == pytest.approx(sum(w * a[f"loss_{name}"] for name, w in parts.items()), rel=1e-4)
    exported, state = (load_checkpoint(tmp_path / "whole" / f"{n}.safetensors") for n in ("encoder", "state"))
    other = load_checkpoint(tmp_path / "broken" / "encoder.safetensors")
    for name, tensor in exported.model.state_dict().items():
        assert torch.equal(tensor, state.training[f"average.model.{name}"])
        assert torch.equal(tensor, other.model.state_dict()[name])
    assert exported.digest == other.digest != state.digest


def test_a_run_begins_with_another_s_averages_and_the_layers_that_predict(folder, tmp_path):
    first = prepare(recipe(), tmp_path, tmp_path / "first", device="cpu")
    list(first.train())
    state = load_checkpoint(tmp_path / "first" / "state.safetensors").training
    init = "training.init=first/state.safetensors"  # from the recipe's folder
    second = prepare(recipe(init, "seed=9"), tmp_path, tmp_path / "second", device="cpu")
    for name, tensor in second.student.state_dict().items():
        assert torch.equal(tensor, state[f"average.{name}"]), name
    for name, tensor in second.criterion.targets.state_dict().items():
        assert torch.equal(tensor, state[f"criterion.targets.{name}"]), name
    # of another width only the encoder is taken, with statistics of its own
    third = prepare(recipe(init, "distillation.targets.2.components=2"), tmp_path, tmp_path / "third", device="cpu")
    assert torch.equal(third.model.encoder.stem[0].weight, second.model.encoder.stem[0].weight)
    assert third.student.heads["features"].weight.shape[0] == 2
    with pytest.raises(TrainingError, match="its encoder is another than the recipe's"):
        prepare(recipe(init, "encoder.widths=[6]"), tmp_path, tmp_path / "fourth", device="cpu")
    with pytest.raises(TrainingError, match=r"training\.init: .*none: no such file"):
        prepare(recipe("training.init=none"), tmp_path, tmp_path / "fifth", device="cpu")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("mel.n_mels=24", "set mel"),
        ("audio.clip_seconds=1.0", r"set audio\.clip_seconds"),
        ("augment.mel=[{name: time_stretch}]", "cut already"),
        ("data.labels=artist", "leave labels out"),
    ],
)
def test_a_recipe_that_does_not_suit_the_examples_is_refused(folder, override, said):
    with pytest.raises(RecipeError, match=said):
        source(folder, override)


def test_evaluation_data_is_never_trained_on(tmp_path):
    made = ExampleFolder.create(tmp_path / "e", header(tracks=(("x", "train"), ("y", "test"), ("z", None))))
    write(made)
    with pytest.raises(ManifestError, match=r"'y': is of the split test.*never"):
        source(made)


def test_damaged_and_strange_folders_are_refused(folder):
    with pytest.raises(LabelsError, match="of another teacher"):
        ExampleFolder.create(folder.folder, header(digest="e"))
    shard = folder.shard(0)
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(LabelsError, match=r"00000\.raw: is damaged"):
        folder.shards()
    with pytest.raises(LabelsError, match="holds no distillation examples"):
        ExampleFolder.read(folder.folder / "none")
    for text in ("{", "[]", '{"format": 1}', '{"format": 9}', json.dumps({"format": 1, "tags": 3})):
        (folder.folder / INDEX).write_text(text)
        with pytest.raises(LabelsError, match=r"examples\.json"):
            ExampleFolder.read(folder.folder)
