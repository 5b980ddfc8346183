import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mirclr.audio.mel import LogMel
from mirclr.audio.views import Views
from mirclr.config import parse_recipe, recipe_yaml
from mirclr.data import clips
from mirclr.data.batches import ClipSource
from mirclr.data.clips import Cached, ClipCache
from mirclr.data.manifest import Track, write_manifest
from mirclr.errors import ManifestError, MirclrError, NotFinite, TrainingError
from mirclr.models.checkpoint import load_checkpoint, optimizer_tensors, save_checkpoint
from mirclr.models.device import pick_device, pick_precision
from mirclr.provenance import digest_json
from mirclr.training.run import clip_source
from mirclr.training.run_folder import METRICS, RECIPE, STATE, check_run
from mirclr.training.trainer import Trainer
from mirclr.training.validation import Validation, track_vector
from tests.commands import invoke

SMOKE = Path(__file__).parents[1] / "recipes" / "smoke"
TINY = """
name: tiny
seed: 3
data: {train: tracks.jsonl}
audio: {clip_seconds: 0.5}
mel: {n_mels: 24}
augment:
  mel:
    - {name: time_stretch}
    - {name: pitch_shift}
    - {name: noise}
    - {name: background_mix}
encoder: {name: resnet, widths: [4], blocks: [1], dim: 8}
projector: {hidden: 8, dim: 8}
training: {steps: 12, batch: 4, lr: 1e-2, warmup: 3, log_every: 5, precision: float32}
embedding: {excerpts: 2}
"""
ON_WAVEFORM = (
    "encoder={name: sample_cnn, widths: [4, 4, 8, 8], dropout: 0.3}",
    "augment={waveform: [{name: gain}, {name: polarity}, {name: noise}]}",
)
STRETCHED = ("augment={waveform: [{name: time_stretch, p: 1.0}], mel: [{name: gain}]}",)


def recipe(*overrides):
    return parse_recipe(TINY, overrides=overrides)


@pytest.fixture(scope="session")
def decoded(songs, tmp_path_factory):
    """The songs in a cache for each domain, decoded without starting processes."""

    def fill(made_for):
        cache = ClipCache(made_for, Views(made_for, LogMel.of(made_for.mel, 16000)).takes.domain, folder)
        found = []
        for song in songs:
            file = cache.folder / f"{song.stem}.raw"
            if not file.exists():
                assert clips._decode(song, file, cache.domain, cache.rate, cache.mel, None) is None
            artist = song.stem.split("-")[0]
            found.append(cache._cached(Track(id=song.stem, path=song.name, artist=artist), file))
        return cache, found

    folder = tmp_path_factory.mktemp("clips")
    return fill


@pytest.fixture
def trainer(decoded, tmp_path):
    def make(*overrides, run="run", **options):
        made_for = recipe(*overrides)
        cache, cached = decoded(made_for)
        if labelled := options.pop("labelled", None):
            options["validation"] = Validation(made_for.validation, cache, labelled)
        return Trainer(made_for, clip_source(made_for, cache, cached), tmp_path / run, device="cpu", **options)

    return make


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """On a busy machine the threads of such small networks wait for each other, ten times longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def no_board(monkeypatch):
    """Leave TensorBoard to the smoke recipe's first run: to import it takes longer than these runs."""
    monkeypatch.setattr("mirclr.training.trainer._tensorboard", lambda run: lambda step, metrics: None)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_evaluation_data_is_never_trained_on_whoever_calls(decoded, tmp_path, split):
    cache, cached = decoded(recipe())
    held_out = replace(cached[2], track=cached[2].track.model_copy(update={"split": split}))
    for build in (
        lambda tracks: Trainer(recipe(), clip_source(recipe(), cache, tracks), tmp_path / "run", device="cpu"),
        lambda tracks: ClipSource(
            cache,
            tracks,
            Views(recipe(), LogMel.of(recipe().mel, 16000)).takes,
            recipe(),
            is_useful=lambda targets: True,
        ),
    ):
        with pytest.raises(ManifestError, match=rf"{held_out.track.id}.*split {split}; evaluation data is never"):
            build([*cached[:2], held_out])
    assert not (tmp_path / "run").exists()
    trained = [replace(c, track=c.track.model_copy(update={"split": "train"})) for c in cached]
    assert Trainer(recipe(), clip_source(recipe(), cache, trained), tmp_path / "run", device="cpu")


def metrics_of(run):
    lines = [json.loads(line) for line in (run / METRICS).read_text().splitlines()]
    for line in lines:
        assert line.pop("clips_per_s") > 0
    return lines


def weights(run):
    return load_checkpoint(run / "encoder.safetensors").model.state_dict()


def assert_same_run(a, b):
    assert metrics_of(a) == metrics_of(b)
    first, second = weights(a), weights(b)
    assert all(torch.equal(first[name], second[name]) for name in first)


def train(trainer):
    return [report.loss for report in trainer.train()]


@pytest.mark.parametrize(
    "objective",
    ["nt_xent", "triplet", "n_pair", "sup_con", "generalized_sup_con", "instance_discrimination"],
)
def test_a_recipe_changes_its_objective_by_one_word(trainer, objective):
    losses = train(trainer("data.labels=artist", "training.batch=6", f"objective={{name: {objective}}}"))
    assert np.isfinite(losses).all()
    assert losses[-1] != losses[0]


def test_to_ask_how_long_it_takes_changes_nothing(trainer, tmp_path):
    """Neither weights, nor what is normalised by, nor a queue, a memory, an average, nor random numbers."""
    for i, settings in enumerate((SEVERAL, QUEUED, REMEMBERED, ON_WAVEFORM)):
        asked, unasked = trainer(*settings, run=f"a{i}"), trainer(*settings, run=f"b{i}")
        assert asked.seconds_a_step() > 0
        steps = asked.train()
        next(steps), next(steps)
        steps.close()
        torch.manual_seed(5)
        before = torch.get_rng_state()
        asked.seconds_a_step()
        assert torch.equal(torch.get_rng_state(), before)
        train(asked), train(unasked)
        first, second = weights(tmp_path / f"a{i}"), weights(tmp_path / f"b{i}")
        assert all(torch.equal(first[name], second[name]) for name in first)


# to the bit


REMEMBERED = ("objective={name: instance_discrimination, negatives: 8}",)
MIXED = (
    "data.labels=artist",
    "objective={name: generalized_sup_con}",
    "augment.cutmix={region: box, p: 0.8}",
)
BALANCED = ("data={train: t, labels: artist, tracks_per_class: 2, never_negative: artist}", "objective={name: triplet}")
QUEUED = ("data={train: t, labels: artist}", "objective={name: sup_con, queue: 12}")
SEVERAL = (
    "data={train: t, labels: artist}",
    "auxiliary=[{objective: {name: sup_con, queue: 12, weight: 0.5}}, "
    "{objective: {name: cross_entropy, weight: 2}, projector: {hidden: 8, dim: 8}}]",
    "training.ema_decay=0.8",
)
SOFT = ("data={train: t, soft_positives: {}}", "objective={name: generalized_sup_con}")


@pytest.mark.parametrize(
    "overrides",
    [(), ON_WAVEFORM, STRETCHED, ("training.accumulate=2",), REMEMBERED, MIXED, BALANCED, QUEUED, SOFT, SEVERAL],
)
@pytest.mark.parametrize("stop", [7])
def test_a_resumed_run_is_an_unbroken_one(trainer, tmp_path, overrides, stop):
    losses = train(trainer(*overrides, run="whole"))
    assert len(losses) == 12
    first = trainer(*overrides, run="broken")
    steps = first.train()
    before = [next(steps).loss for _ in range(stop)]
    first.save()
    before += [next(steps).loss for _ in range(3)]  # these are lost: they come after the save
    steps.close()
    assert [line["step"] for line in metrics_of(tmp_path / "broken")] == [5, 10]
    second = trainer(*overrides, run="broken", resume=True)
    assert second.step == stop
    assert [line["step"] for line in metrics_of(tmp_path / "broken")] == [5]
    assert before[:stop] + train(second) == losses
    assert_same_run(tmp_path / "whole", tmp_path / "broken")


PLAIN = ("augment={}",)


@pytest.mark.parametrize("overrides", [PLAIN, (*PLAIN, *REMEMBERED), (*PLAIN, *QUEUED), ()])
def test_a_run_of_before_is_resumed(trainer, tmp_path, overrides):
    losses = train(trainer(*overrides, run="whole"))
    first = trainer(*overrides, run="broken")
    steps = first.train()
    for _ in range(5):
        next(steps)
    steps.close()
    # as states were: the optimizer's by names in the model, and no word of how augmentations are drawn
    save_checkpoint(
        tmp_path / "broken" / "state.safetensors",
        first.model,
        {key: value for key, value in first.provenance.items() if key not in ("drawn_by", "processes")},
        optimizer=optimizer_tensors(first.model, first.optimizer),
        objective=first.criterion.objective.state_dict(),
        step=5,
    )
    second = trainer(*overrides, run="broken", resume=True)
    assert train(second) == losses[5:]
    assert_same_run(tmp_path / "whole", tmp_path / "broken")
    assert second.resumed_exactly == bool(overrides)  # where nothing is drawn, nothing can differ


def test_several_objectives_are_summed_by_their_weights(trainer, tmp_path):
    run = trainer(*SEVERAL)
    (batch,) = run._read(0)
    losses = run._losses(batch)
    assert list(losses) == ["objective", "auxiliary_0", "auxiliary_1"]
    total = float(losses["objective"] + 0.5 * losses["auxiliary_0"] + 2 * losses["auxiliary_1"])
    assert float(run.criterion.total(losses).detach()) == pytest.approx(total, rel=1e-6)
    train(run)
    line = metrics_of(tmp_path / "run")[-1]
    parts = (line["loss_objective"], 0.5 * line["loss_auxiliary_0"], 2 * line["loss_auxiliary_1"])
    assert line["loss"] == pytest.approx(sum(parts), rel=1e-4)
    # what is written is the average
    exported, state = weights(tmp_path / "run"), load_checkpoint(tmp_path / "run" / STATE)
    assert all(torch.equal(t, state.training[f"average.model.{name}"]) for name, t in exported.items())
    assert any(not torch.equal(t, state.model.state_dict()[name]) for name, t in exported.items())
    # the memory of one that stands beside is resumed with the run
    assert torch.equal(state.training["criterion.auxiliary.0.seen"], run.criterion.auxiliary[0].seen)


def test_the_seed_is_all_there_is_to_chance(trainer, tmp_path):
    torch.manual_seed(1)
    one = train(trainer(run="one"))
    torch.manual_seed(2)
    torch.rand(100)
    assert train(trainer(run="two")) == one
    assert_same_run(tmp_path / "one", tmp_path / "two")
    assert train(trainer("seed=4", run="three")) != one


def test_resuming_nothing_begins_and_resuming_the_finished_ends(trainer, tmp_path):
    assert len(train(trainer(resume=True))) == 12
    before = metrics_of(tmp_path / "run")
    digest = load_checkpoint(tmp_path / "run" / "encoder.safetensors").digest
    again = trainer(resume=True)
    assert train(again) == []
    assert metrics_of(tmp_path / "run") == before
    assert again.digest() == digest


def test_the_state_is_saved_by_the_clock(trainer, tmp_path):
    run = trainer("training.checkpoint_minutes=1e-9")
    steps = run.train()
    for step in (1, 2):
        next(steps)
        assert load_checkpoint(tmp_path / "run" / STATE).step == step
    assert not (tmp_path / "run" / "encoder.safetensors").exists()


FEW_ARTISTS = ("data={train: t, never_negative: artist}", "training.batch=2")


def test_a_run_whose_batches_teach_nothing_at_first_is_resumed_to_the_bit(trainer, tmp_path):
    overrides = (*FEW_ARTISTS, "training.steps=20", "training.log_every=20")
    losses = train(trainer(*overrides, run="whole"))
    assert np.isfinite(losses).all()
    lines = metrics_of(tmp_path / "whole")
    assert lines[-1]["redrawn"] > 0  # and counted
    first = trainer(*overrides, run="broken")
    steps = first.train()
    before = [next(steps).loss for _ in range(7)]
    first.save()
    steps.close()
    assert before + train(trainer(*overrides, run="broken", resume=True)) == losses
    assert_same_run(tmp_path / "whole", tmp_path / "broken")


@pytest.mark.parametrize("rest", ['{"step": 9, "lo', "\x00\x00\x00", "[]", '{"step": "x"}', "9", ""])
def test_a_line_that_was_half_written_does_not_matter(trainer, tmp_path, rest):
    overrides = ("training.log_every=2",)
    losses = train(trainer(*overrides, run="whole"))
    first = trainer(*overrides, run="broken")
    steps = first.train()
    before = [next(steps).loss for _ in range(6)]
    first.save()
    next(steps)
    steps.close()
    with (tmp_path / "broken" / METRICS).open("a") as f:
        f.write(rest)
    assert before + train(trainer(*overrides, run="broken", resume=True)) == losses
    assert_same_run(tmp_path / "whole", tmp_path / "broken")


@pytest.mark.parametrize("clip_norm", ["5.0", "null"])
@pytest.mark.parametrize("factor", [float("inf"), float("nan")])
def test_a_gradient_that_is_not_finite_is_never_stepped_along(trainer, tmp_path, clip_norm, factor):
    run = trainer(f"training.clip_norm={clip_norm}")
    steps, total = run.train(), run.criterion.total
    next(steps)
    run.save()
    before = {name: t.clone() for name, t in run.model.named_parameters()}

    class Steep(torch.autograd.Function):
        @staticmethod
        def forward(_, loss):
            return loss.clone()

        @staticmethod
        def backward(_, gradient):
            return gradient * factor

    run.criterion.total = lambda losses: Steep.apply(total(losses))
    with pytest.raises(NotFinite, match=r"step 2: the loss is .*, but the norm of its gradient"):
        next(steps)
    assert all(torch.equal(before[name], t) for name, t in run.model.named_parameters())
    assert load_checkpoint(tmp_path / "run" / STATE).step == 1


def test_what_is_not_finite_is_never_saved(trainer, tmp_path):
    run = trainer()
    run.save()
    with torch.no_grad():
        next(iter(run.model.parameters())).view(-1)[0] = float("nan")
    with pytest.raises(NotFinite, match="is not finite"):
        run.save()
    assert all(torch.isfinite(t).all() for t in load_checkpoint(tmp_path / "run" / STATE).model.state_dict().values())


def test_a_norm_without_a_bound_changes_no_gradient(trainer, tmp_path):
    assert train(trainer("training.clip_norm=null", run="a")) == train(trainer("training.clip_norm=1e12", run="b"))


# a finished run, made longer


def test_a_run_whose_rate_stays_is_made_longer(trainer, tmp_path):
    constant = "training.schedule=constant"
    losses = train(trainer(constant, "training.steps=18", run="whole"))
    first = train(trainer(constant, run="longer"))
    longer = trainer(constant, "training.steps=18", run="longer", resume=True)
    assert longer.step == 12
    assert first + train(longer) == losses
    assert all(torch.equal(a, weights(tmp_path / "longer")[n]) for n, a in weights(tmp_path / "whole").items())
    assert parse_recipe((tmp_path / "longer" / RECIPE).read_text()).training.steps == 18


def test_the_key_that_forbids_a_longer_run_is_named(trainer):
    train(trainer())
    with pytest.raises(TrainingError, match=r"training\.steps=12 \(now 18; with training\.schedule=cosine"):
        trainer("training.steps=18", resume=True)
    with pytest.raises(TrainingError, match=r"was begun with training\.lr=0\.01 \(now 0\.5\)"):
        trainer("training.lr=0.5", resume=True)


def test_a_run_is_not_made_shorter_than_it_is(trainer):
    train(trainer("training.schedule=constant"))
    with pytest.raises(TrainingError, match="now 5, but 12 are made already"):
        trainer("training.schedule=constant", "training.steps=5", resume=True)


# what is refused


def test_a_run_is_not_overwritten(trainer, tmp_path):
    train(trainer())
    with pytest.raises(TrainingError, match=r"run: already holds a run; add --resume"):
        trainer()


@pytest.mark.parametrize("name", ["recipe.yaml", "encoder.safetensors"])
def test_a_recipe_or_an_encoder_of_one_s_own_is_not_overwritten(trainer, tmp_path, name):
    """As of `mirclr train recipe.yaml -o .`; what a run wrote that was killed at once is."""
    run = tmp_path / "run"
    run.mkdir()
    (run / name).write_text("# my own\nname: mine\ndata: {train: a.jsonl}\n")
    with pytest.raises(TrainingError, match=f"already holds .*{name}"):
        trainer()
    (run / name).unlink()
    trainer()
    assert (run / "recipe.yaml").exists()
    trainer("training.lr=0.5")


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("training.lr=2e-2", r"training\.lr=0\.01 \(now 0\.02\)"),
        ("encoder.dim=4", r"encoder\.dim=8 \(now 4\)"),
        ("seed=9", r"seed=3 \(now 9\)"),
        ("mel.gain=5.0", r"mel\.gain=10000\.0 \(now 5\.0\)"),
    ],
)
def test_another_recipe_is_refused_by_the_keys_that_differ(trainer, override, named):
    trainer().save()
    with pytest.raises(TrainingError, match=rf"was begun with {named}; leave that as it was"):
        trainer(override, resume=True)


def test_how_often_to_save_may_change(trainer):
    trainer().save()
    assert trainer("training.checkpoint_minutes=9", resume=True).step == 0


def test_other_tracks_are_refused(trainer, decoded, tmp_path):
    trainer().save()
    cache, cached = decoded(recipe())
    with pytest.raises(TrainingError, match="other tracks"):
        Trainer(recipe(), clip_source(recipe(), cache, cached[1:]), tmp_path / "run", resume=True, device="cpu")
    assert Trainer(recipe(), clip_source(recipe(), cache, cached[::-1]), tmp_path / "run", resume=True, device="cpu")


def test_one_track_is_refused(decoded, tmp_path):
    cache, cached = decoded(recipe())
    with pytest.raises(ManifestError, match="at least two recordings"):
        clip_source(recipe(), cache, cached[:1])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_the_batch_named(trainer, tmp_path, value):
    run = trainer()
    steps, total = run.train(), run.criterion.total
    for _ in range(3):
        next(steps)
    run.save()
    before = (tmp_path / "run" / STATE).read_bytes()
    run.criterion.total = lambda losses: total(losses) * value
    with pytest.raises(NotFinite, match=r"step 4: the loss is (nan|inf)") as caught:
        next(steps)
    assert all(name in str(caught.value) for name in run.source.batch(3).tracks)
    assert (tmp_path / "run" / STATE).read_bytes() == before
    assert not (tmp_path / "run" / "encoder.safetensors").exists()
    assert trainer(resume=True).step == 3


# what it does


def test_it_learns(trainer):
    losses = train(trainer("training.steps=40", "augment.mel=[]", "training.batch=8"))
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_accumulating_takes_the_mean_gradient_of_other_batches(trainer):
    one = trainer("training.batch=4", "training.accumulate=3", "augment.mel=[]")
    assert [b.tracks for b in one._read(2)] == [one.source.batch(i).tracks for i in (6, 7, 8)]
    batches = one._read(0)
    seen = {}
    one.optimizer.step = lambda: seen.update({n: p.grad.clone() for n, p in one.model.named_parameters()})
    plan = one.recipe.training.model_copy(update={"clip_norm": None})
    one.recipe = one.recipe.model_copy(update={"training": plan})
    loss = one._make_step(batches).read()
    one.optimizer.zero_grad()
    losses = [one.criterion.total(one._losses(batch)) for batch in batches]
    (sum(losses) / 3).backward()
    assert loss["loss"] == pytest.approx(float(sum(losses).detach()) / 3, rel=1e-5)
    for name, parameter in one.model.named_parameters():
        torch.testing.assert_close(seen[name], parameter.grad, rtol=1e-3, atol=1e-5)


def test_the_rate_warms_up_and_falls_to_zero(trainer):
    run = trainer("training.steps=100", "training.warmup=10", "training.lr=1.0")
    rates = np.array([run._lr(step) for step in range(101)])
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    assert rates[10] == 1
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)
    assert (np.diff(rates[10:]) < 0).all()
    cold = trainer("training.warmup=0", "training.lr=1.0", run="cold")
    assert cold._lr(0) == 1


def test_weights_decay_and_biases_do_not(trainer):
    decayed, kept = trainer().optimizer.param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (1e-2, 0)
    assert {p.ndim > 1 for p in decayed["params"]} == {True}
    assert {p.ndim for p in kept["params"]} == {1}


def test_the_knn_check_is_the_slow_way(trainer, decoded, tmp_path):
    _, cached = decoded(recipe())
    labelled = [(c, c.track.artist) for c in cached for _ in range(2)]
    settings = ("validation={manifest: x.jsonl, split: null, k: 1, every: 3}",)
    run = trainer(*settings, labelled=labelled)
    train(run)
    lines = metrics_of(tmp_path / "run")
    assert [line["step"] for line in lines] == [3, 5, 6, 9, 10, 12]
    assert [line["step"] for line in lines if "knn_accuracy" in line] == [3, 6, 9, 12]
    # each track stands twice, so its nearest other is itself
    assert lines[-1]["knn_accuracy"] == 1
    alone = [(c, c.track.id) for c in cached]
    assert trainer(*settings, run="alone", labelled=alone).validate() == 0
    # without labelled tracks there is nothing to check
    train(trainer(*settings, run="none"))
    assert not any("knn_accuracy" in line for line in metrics_of(tmp_path / "none"))


def test_a_check_changes_nothing_in_training(trainer, decoded):
    _, cached = decoded(recipe())
    labelled = [(c, c.track.artist) for c in cached]
    settings = ("validation={manifest: x.jsonl, k: 1, every: 2}",)
    assert train(trainer(*settings, run="a", labelled=labelled)) == train(trainer(*settings, run="b"))


def test_a_track_is_heard_whole_in_a_check(decoded, trainer, tmp_path):
    """Clips spread over the track, averaged, of unit length; a short track repeats."""
    run = trainer("embedding.excerpts=3")
    cache, cached = decoded(recipe())
    vector = track_vector(run.model, cache, cached[0], run.device, run.dtype)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    frames = run.views.frames
    starts = [int((i + 0.5) / 3 * (cached[0].length - frames)) for i in range(3)]
    log_mel = cache.stack([cache.read(cached[0], start, frames) for start in starts])
    with torch.no_grad():
        mean = run.model.eval().encoder(log_mel).mean(dim=0).numpy()
    np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
    short = tmp_path / "short.raw"
    short.write_bytes(cached[0].file.read_bytes()[: 5 * cache.row * 2])
    assert np.isfinite(track_vector(run.model, cache, Cached(cached[0].track, short, 5), run.device, run.dtype)).all()


def test_a_checkpoint_says_what_it_was_made_from(trainer, tmp_path):
    run = trainer()
    train(run)
    folder = tmp_path / "run"
    assert parse_recipe((folder / RECIPE).read_text()) == recipe()
    for name in (STATE, "encoder.safetensors"):
        read = load_checkpoint(folder / name)
        assert read.recipe == recipe()
        made_from = read.provenance
        assert made_from["seed"] == 3
        assert made_from["recipe"] == digest_json(recipe().model_dump(mode="json"))
        assert made_from["n_tracks"] == 4
        assert len(made_from["tracks"]) == 32
        assert (made_from["precision"], made_from["device"]) == ("float32", "cpu")
        assert {"mirclr", "torch", "numpy"} <= set(made_from["versions"])
        assert str(tmp_path) not in json.dumps(made_from)
    assert load_checkpoint(folder / "encoder.safetensors").provenance["steps"] == 12
    assert load_checkpoint(folder / "encoder.safetensors").digest == run.digest()


def test_bfloat16_trains(trainer):
    assert np.isfinite(train(trainer("training.precision=bfloat16", "training.steps=3"))).all()


def test_precision_and_device():
    cpu = torch.device("cpu")
    assert pick_device("cpu") == cpu
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("nonsense", "cuda:99", "meta?"):
        with pytest.raises(TrainingError, match=f"device '{re.escape(name)}'"):
            pick_device(name)
    assert pick_precision("float32", cpu) is torch.float32
    assert pick_precision("bfloat16", cpu) is torch.bfloat16
    assert pick_precision("auto", cpu) in (torch.float32, torch.bfloat16)


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_card_that_only_emulates_bfloat16_computes_in_float32(monkeypatch, native, expected):
    def supported(including_emulation=True):
        return including_emulation or native

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert pick_precision("auto", torch.device("cuda")) == expected
    # a torch that cannot be asked so: by what the card is
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0) if native else (7, 5))
    assert pick_precision("auto", torch.device("cuda")) == expected


# stopped by a signal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_moment_is_not_lost(trainer, tmp_path, number):
    """Also one that comes after the step's save, while the report is shown."""
    before = signal.getsignal(number)
    run = trainer()
    steps = run.train()
    next(steps)
    os.kill(os.getpid(), number)
    with pytest.raises(KeyboardInterrupt):
        list(steps)
    assert load_checkpoint(tmp_path / "run" / STATE).step == run.step == 2
    assert signal.getsignal(number) == before
    train(trainer(resume=True))
    train(trainer(run="whole"))
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_signal_in_the_last_step_lets_it_finish(trainer, tmp_path):
    steps = trainer("training.steps=2").train()
    next(steps)
    os.kill(os.getpid(), signal.SIGINT)
    assert len(list(steps)) == 1
    assert (tmp_path / "run" / "encoder.safetensors").exists()


def smoke(home, run, *overrides):
    """A command line of the smoke recipe, long enough to be interrupted."""
    sets = [word for o in overrides for word in ("--set", o)]
    return ["train", str(SMOKE / "recipe.yaml"), "-o", str(run), "--device", "cpu", *sets]


@pytest.fixture(scope="module")
def smoke_home(one_thread, tmp_path_factory):
    """A home whose cache holds the songs: made by the first run of the smoke recipe, which starts the processes."""
    home = tmp_path_factory.mktemp("smoke-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIRCLR_HOME", str(home))
        result = invoke([*smoke(home, home / "run"), "--json"])
    assert result.exit_code == 0, result.output
    return home, json.loads(result.stdout)


def test_the_smoke_recipe_trains(smoke_home):
    home, told = smoke_home
    losses = [line["loss"] for line in metrics_of(home / "run")]
    assert len(losses) == 20
    results = json.loads((SMOKE / "results.json").read_text())
    published = next(run for run in results["runs"] if run["seed"] == 1)
    first, last = np.mean(losses[:4]), np.mean(losses[-4:])
    assert last < results["chance"] < first
    # elsewhere rounding differs, and the rest follows: the first steps are near all the same
    assert first == pytest.approx(published["loss_steps_1_to_4"], rel=0.1)
    assert told["digest"] == load_checkpoint(Path(told["encoder"])).digest
    assert told["knn_accuracy"] == 1
    assert {p.name for p in (home / "run").iterdir()} >= {METRICS, RECIPE, STATE, "encoder.safetensors"}
    if importlib.util.find_spec("tensorboard"):
        assert sum(f.stat().st_size for f in (home / "run" / "tensorboard").iterdir()) > 1000


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a process")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("--device=cuda:99", "cuda:99"),
        ("training.steps=3", "already holds a run"),
        ("data.labels=genre", "none of the .* tracks has the field 'genre'"),
        ("objective={name: cross_entropy}", "projector.dim is 1, but there are"),
        ("data.never_negative=artist", "no two of the"),
        ("distillation={labels: nowhere}", "holds no soft labels"),
    ],
)
def test_what_is_amiss_is_said_before_anything_is_decoded(monkeypatch, tmp_path, songs, change, said):
    def no_decoding(*_, **__):
        raise AssertionError("decoded")

    monkeypatch.setattr("mirclr.data.clips.results_in_order", no_decoding)
    monkeypatch.setenv("MIRCLR_HOME", str(tmp_path / "home"))
    artist = "one" if "never" in change else None
    write_manifest(tmp_path / "t.jsonl", [Track(id=s.stem, path=s.name, artist=artist or s.stem) for s in songs])
    least = "name: a\ndata: {train: t.jsonl, labels: artist, audio_root: " + json.dumps(str(songs[0].parent)) + "}"
    (tmp_path / "r.yaml").write_text(least)
    line = ["train", str(tmp_path / "r.yaml"), "-o", str(tmp_path / "run"), "--device", "cpu"]
    if "distillation" in change:
        line += ["--set", "objective.name=generalized_sup_con"]
    if "cross" in change:
        line += ["--set", "projector.dim=1"]
    if "already" in said:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / STATE).touch()
    line += [change] if change.startswith("--") else ["--set", change]
    error = invoke(line).exception
    assert isinstance(error, MirclrError), error
    assert re.search(said, str(error))


def test_a_run_that_cannot_be_written_is_said_before_anything_is_decoded(tmp_path):
    (tmp_path / "file").touch()
    for run in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(TrainingError, match="is a file"):
            check_run(recipe(), run, resume=False)


def test_an_interrupted_command_goes_on_with_resume(smoke_home, monkeypatch, tmp_path):
    home, _ = smoke_home
    monkeypatch.setenv("MIRCLR_HOME", str(home))
    line = smoke(home, tmp_path / "run", "training.steps=150", "validation=null")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as many as here, or rounding may differ
    process = subprocess.Popen([sys.executable, "-m", "mirclr", *line], stderr=subprocess.PIPE, text=True)
    try:
        metrics = tmp_path / "run" / METRICS
        while process.poll() is None and not (metrics.exists() and metrics.read_text().count("\n") >= 3):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "mirclr: interrupted; what was done is kept"
    assert "Traceback" not in said
    stopped_after = load_checkpoint(tmp_path / "run" / STATE).step
    assert 3 <= stopped_after < 150
    resumed = invoke([*line, "--resume"])
    assert resumed.exit_code == 0, resumed.output
    assert f"resuming after step {stopped_after}" in resumed.stderr
    whole = invoke(smoke(home, tmp_path / "whole", "training.steps=150", "validation=null"))
    assert whole.exit_code == 0, whole.output
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_train_tells_what_it_skips_and_refuses(smoke_home, monkeypatch, tmp_path, songs):
    home, _ = smoke_home
    monkeypatch.setenv("MIRCLR_HOME", str(home))
    tracks = [Track(id=s.stem, path=s.name) for s in songs]
    write_manifest(tmp_path / "tracks.jsonl", [*tracks, Track(id="gone", path="gone.ogg")])
    manifest = f"data={{train: {json.dumps(str(tmp_path / 'tracks.jsonl'))}, audio_root: ../../tests/audio}}"
    line = smoke(home, tmp_path / "run", manifest, "training.steps=2", "validation=null")
    result = invoke(line)
    assert result.exit_code == 0, result.output
    assert re.search(r"skipped gone.ogg: .*No such file", result.stderr)
    assert isinstance(invoke(line).exception, TrainingError)
    assert parse_recipe((tmp_path / "run" / RECIPE).read_text()).training.steps == 2
    assert recipe_yaml(recipe()).startswith("name: tiny")
