"""Teachers of mirclr's own, soft labels of a corpus, and distillation from both."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from mirclr.audio.mel import LogMel
from mirclr.audio.views import Views
from mirclr.classify import Head, Heads
from mirclr.config import parse_recipe
from mirclr.data.clips import ClipCache, Skipped
from mirclr.data.manifest import Track, write_manifest
from mirclr.data.soft_labels import SoftLabelFolder, SoftLabels
from mirclr.errors import CheckpointError, EncoderMismatch, LabelsError, ManifestError, RecipeError, TrainingError
from mirclr.models.checkpoint import save_checkpoint
from mirclr.models.encoder import Model
from mirclr.objectives import GeneralizedSupConLoss, fill_missing_labels
from mirclr.training.run import clip_source
from mirclr.training.teacher import label_tracks, load_teacher, online_teacher
from mirclr.training.trainer import Trainer
from tests.commands import invoke

pytestmark = pytest.mark.usefixtures("in_this_process")

TINY = """
name: tiny
seed: 3
data: {train: tracks.jsonl}
audio: {clip_seconds: 0.5}
mel: {n_mels: 24}
augment: {mel: [{name: gain}, {name: noise}]}
encoder: {name: resnet, widths: [4], blocks: [1], dim: 8}
projector: {hidden: 8, dim: 8}
objective: {name: generalized_sup_con}
training: {steps: 6, batch: 4, lr: 1e-2, warmup: 3, log_every: 2, precision: float32}
"""


def recipe(*overrides):
    return parse_recipe(TINY, overrides=overrides)


def heads_for(digest, dim=8):
    rng = np.random.default_rng(0)
    heads = Heads()
    for name, kind, labels in (("genre", "one", ("dub", "folk", "jazz")), ("mood", "many", ("calm", "tense"))):
        n = len(labels)
        arrays = rng.normal(size=(n, dim)) * 3, rng.normal(size=n), np.full(n, 0.7)
        heads.tasks[name] = Head(kind, labels, *(a.astype(np.float32) for a in arrays))
    heads.encoder = {"digest": digest, "name": "teacher.safetensors", "dim": dim}
    return heads


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a teacher's checkpoint and its heads."""
    from mirclr.models.checkpoint import load_checkpoint

    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(7)
    save_checkpoint(folder / "teacher.safetensors", Model(recipe()), {})
    heads_for(load_checkpoint(folder / "teacher.safetensors").digest).save(folder / "heads.safetensors")
    heads_for("f" * 32).save(folder / "strange.safetensors")
    return folder


@pytest.fixture
def teacher(made):
    return load_teacher("teacher.safetensors", made, "heads.safetensors")


@pytest.fixture
def corpus(songs, tmp_path):
    """A manifest of the songs, and of a file that is none."""
    for song in songs:
        shutil.copy(song, tmp_path / song.name)
    (tmp_path / "bad.ogg").write_bytes(b"not audio")
    names = [*(s.name for s in songs), "bad.ogg"]
    tracks = [Track(id=n, path=n, artist=n.split("-")[0]) for n in names]
    write_manifest(tmp_path / "tracks.jsonl", tracks)
    return tracks


def labelled(teacher, corpus, tmp_path):
    return list(label_tracks(teacher, corpus, tmp_path, tmp_path / "labels", hop_s=0.25, precision="float32"))


def test_a_teacher_says_what_its_heads_say(teacher, made):
    x = torch.rand(5, 24, 32)
    logits, vectors = teacher(x)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(5))
    told = Heads.load(made / "heads.safetensors").predict_proba(vectors.numpy())
    want = np.concatenate([told["genre"], told["mood"]], axis=1)
    np.testing.assert_allclose(teacher.probabilities(logits).numpy(), want, rtol=1e-4, atol=1e-6)
    assert teacher.tags == ("dub", "folk", "jazz", "calm", "tense")
    assert not any(p.requires_grad for p in teacher.parameters())
    sharper = teacher.probabilities(logits, 0.1)[:, :3].max(dim=1).values
    assert (sharper >= teacher.probabilities(logits)[:, :3].max(dim=1).values).all()


def test_evaluation_data_is_not_labelled(teacher, corpus, tmp_path):
    corpus[1] = corpus[1].model_copy(update={"split": "test"})
    with pytest.raises(ManifestError, match="never trained on"):
        labelled(teacher, corpus, tmp_path)


def test_heads_of_another_encoder_are_refused(made):
    with pytest.raises(EncoderMismatch, match="fit heads on a library"):
        load_teacher("teacher.safetensors", made, "strange.safetensors")
    with pytest.raises(CheckpointError, match="no teacher 'openl3'"):
        load_teacher("openl3")


def test_labelling_tells_what_cannot_be_heard_and_is_resumable(teacher, corpus, tmp_path, monkeypatch):
    told = labelled(teacher, corpus, tmp_path)
    skipped = [t for t in told if isinstance(t, Skipped)]
    assert len(told) == 5
    assert ["bad.ogg" in s.reason for s in skipped] == [True]
    assert all(t.new and t.windows > 20 for t in told if not isinstance(t, Skipped))
    folder = SoftLabelFolder.read(tmp_path / "labels")
    assert folder.header.hop_s == pytest.approx(0.25, abs=0.01)
    (first := next(iter(folder.folder.glob("*.raw")))).unlink()
    monkeypatch.setattr(type(teacher), "forward", lambda self, x: (torch.zeros(len(x), 5), torch.zeros(len(x), 8)))
    again = [t for t in labelled(teacher, corpus, tmp_path) if not isinstance(t, Skipped)]
    assert sorted(t.new for t in again) == [False, False, False, True]
    assert (folder.rows(first.stem) == 0).all()


def test_a_window_s_label_is_the_teacher_s_word_on_that_window(teacher, corpus, tmp_path):
    labelled(teacher, corpus, tmp_path)
    cache = ClipCache(recipe(), "mel")
    cached = next(c for c in cache.fill(corpus[:1], tmp_path, workers=1) if not isinstance(c, Skipped))
    folder = SoftLabelFolder.read(tmp_path / "labels")
    hop = round(folder.header.hop_s * 16000 / 256)
    log_mel = cache.stack([cache.read(cached, 3 * hop, 32)])
    logits, vectors = teacher(log_mel)
    row = folder.rows(cached.key)[3]
    np.testing.assert_allclose(row, torch.cat([logits, vectors], dim=1)[0].numpy(), rtol=1e-4, atol=1e-5)


# distillation


@pytest.fixture
def trainer(teacher, corpus, tmp_path, made):
    def make(*overrides, run="run", resume=False):
        made_for = recipe(*overrides)
        cache = ClipCache(made_for, Views(made_for, LogMel.of(made_for.mel, 16000)).takes.domain)
        cached = [c for c in cache.fill(corpus, tmp_path, workers=1) if not isinstance(c, Skipped)]
        cached.sort(key=lambda c: c.track.id)
        plan, soft, online = made_for.distillation, None, None
        if plan and plan.labels:
            labelled(teacher, corpus, tmp_path)
            soft = SoftLabels(SoftLabelFolder.read(tmp_path / "labels"), [c.key for c in cached], plan)
        elif plan:
            online = online_teacher(made_for, made)
        source = clip_source(made_for, cache, cached, soft)
        return Trainer(made_for, source, tmp_path / run, device="cpu", resume=resume, teacher=online)

    return make


STORED = "distillation={labels: labels, alpha: 0.5, centre: true}"
ONLINE = "distillation={teacher: teacher.safetensors, heads: heads.safetensors, alpha: 0.5}"
CUTMIX = "augment.cutmix={p: 1.0}"


def losses(trainer):
    return [r.loss for r in trainer.train()]


TARGETS = "distillation.targets=[{name: tags, weight: 2}, {name: embedding}]"


@pytest.mark.parametrize("source", [STORED, ONLINE])
@pytest.mark.parametrize("changes", [(), (CUTMIX,), ("distillation.alpha=0", "objective={name: nt_xent}")])
def test_what_a_teacher_gives_is_predicted_by_layers_of_their_own(trainer, tmp_path, source, changes):
    whole = losses(trainer(source, TARGETS, *changes, run="whole"))
    first = trainer(source, TARGETS, *changes, run="broken")
    steps = first.train()
    before = [next(steps).loss for _ in range(3)]
    first.save()
    steps.close()
    assert before + losses(trainer(source, TARGETS, *changes, run="broken", resume=True)) == whole
    line = json.loads((tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"loss_tags", "loss_embedding", "loss_objective"} <= line.keys()
    assert ("loss_soft_targets" in line) == ("distillation.alpha=0" not in changes)


def test_stored_tags_and_embeddings_are_those_of_the_windows(trainer):
    run = trainer(STORED, TARGETS)
    (batch,) = run._read(0)
    assert batch.teacher["tags"].shape == (8, 5)
    assert bool(((batch.teacher["tags"] >= 0) & (batch.teacher["tags"] <= 1)).all())
    torch.testing.assert_close(batch.teacher["tags"][:, :3].sum(dim=1), torch.ones(8))  # genres exclude each other
    assert batch.teacher["embedding"].shape == (8, 8)
    with pytest.raises(TrainingError, match="gives no features"):
        trainer(STORED, "distillation.targets=[{name: features}]", run="x")


@pytest.mark.parametrize("source", [STORED, ONLINE])
@pytest.mark.parametrize("mixing", [(), (CUTMIX,)])
def test_a_distilled_run_resumes_to_the_bit(trainer, source, mixing):
    whole = losses(trainer(source, *mixing, run="whole"))
    assert np.isfinite(whole).all()
    first = trainer(source, *mixing, run="broken")
    steps = first.train()
    before = [next(steps).loss for _ in range(3)]
    first.save()
    steps.close()
    assert before + losses(trainer(source, *mixing, run="broken", resume=True)) == whole


def test_the_loss_is_that_of_the_labels_and_alpha_times_that_of_the_teacher(trainer):
    def first_loss(*overrides):
        run = trainer(*overrides, run="x")
        run.model.eval()
        torch.manual_seed(0)
        (batch,) = run._read(0)
        losses = run._losses(batch)
        return float(run.criterion.total(losses).detach()), run, batch

    plain, _, _ = first_loss("data.labels=artist")
    only, run, batch = first_loss(STORED.replace("0.5", "only"))
    both, _, _ = first_loss(STORED, "data.labels=artist")
    assert both == pytest.approx(plain + 0.5 * only, rel=1e-5)
    heard = run.views.apply_draws(batch.clips, batch.draws)
    z = run.model.projector(run.model.encoder(heard))
    want = GeneralizedSupConLoss()(z, replace(batch.targets, labels=batch.teacher["soft_targets"]))
    assert only == pytest.approx(float(want.detach()), rel=1e-5)


def test_the_online_teacher_hears_the_mix(trainer, made):
    run = trainer(ONLINE, CUTMIX)
    heard = []
    teacher = run.teacher
    run.teacher = lambda x: heard.append(x) or teacher(x)
    run.model.encoder.register_forward_pre_hook(lambda module, args: heard.append(args[0]))
    next(run.train())
    assert heard[0] is heard[1]
    rows = teacher(heard[0])["soft_targets"]
    assert rows.shape == (8, 5)
    torch.testing.assert_close(rows[:, :3].sum(dim=1), torch.ones(8))


def test_stored_labels_are_mixed_as_the_clips_are(trainer):
    run = trainer(STORED, CUTMIX)
    (batch,) = run._read(0)
    x = torch.arange(8.0)[:, None, None].expand(8, 24, 32).contiguous()
    mixed, targets, outputs = run._mixed(
        x, run._filled_in(batch.targets), batch.teacher, run.views.draw(8, torch.Generator().manual_seed(2))
    )
    share = torch.stack([(mixed == i).float().mean(dim=(1, 2)) for i in range(8)], dim=1)
    torch.testing.assert_close(outputs["soft_targets"], share @ batch.teacher["soft_targets"])
    torch.testing.assert_close(targets.labels, share @ fill_missing_labels(batch.targets))


def test_a_run_stays_with_its_teacher(trainer, tmp_path):
    losses(trainer(STORED))
    with pytest.raises(TrainingError, match="was begun with"):
        trainer(STORED.replace("true", "false"), resume=True)
    run = trainer(STORED, run="other")
    bare = clip_source(run.recipe, run.source.cache, run.source.tracks)
    with pytest.raises(TrainingError, match="neither soft labels nor a teacher"):
        Trainer(run.recipe, bare, tmp_path / "none", device="cpu")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("audio={sample_rate: 22050, clip_seconds: 0.5}", "16000 Hz"),
        ("mel.n_mels=32", "other than this recipe's log-mel"),
        ("distillation={teacher: teacher.safetensors}", "has no tags"),
    ],
)
def test_a_teacher_must_hear_what_the_student_hears(made, change, said):
    with pytest.raises(RecipeError, match=said):
        online_teacher(recipe(ONLINE, change), made)


def test_an_embedding_teaches_without_tags(made):
    plan = "distillation={teacher: teacher.safetensors, by: embedding, centre: true}"
    rows = online_teacher(recipe(plan), made)(torch.rand(6, 24, 32))["soft_targets"]
    assert rows.shape == (6, 16)
    assert (rows >= 0).all()


def test_a_student_of_waveforms_may_have_a_teacher_of_mels(made):
    student = "encoder={name: sample_cnn, widths: [4, 4, 8, 8]}"
    online = online_teacher(recipe(ONLINE, "augment.mel=[]", student), made)
    assert online(torch.rand(4, 8000) - 0.5)["soft_targets"].shape == (4, 5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("distillation={alpha: 1.0}", "either labels"),
        ("distillation={labels: a, teacher: b}", "either labels"),
        ("distillation={labels: a, heads: b}", "heads go with a checkpoint"),
        ("distillation={labels: a, alpha: never}", "distillation.alpha"),
    ],
)
def test_a_wrong_distillation_is_refused(change, said):
    with pytest.raises(RecipeError, match=said):
        recipe(change)
    with pytest.raises(RecipeError, match="needs objective generalized_sup_con"):
        recipe("distillation={labels: a}", "objective={name: nt_xent}")
    with pytest.raises(RecipeError, match="leave it out with distillation"):
        recipe("distillation={labels: a}", "objective.queue=64")


def test_from_the_command_line(made, corpus, tmp_path):
    arguments = ["teacher", "label", str(tmp_path / "tracks.jsonl"), "-o", str(tmp_path / "labels"), "--json"]
    arguments += ["--teacher", str(made / "teacher.safetensors"), "--heads", str(made / "heads.safetensors")]
    for new in (4, 0):
        done = invoke([*arguments, "--hop", "1", "--workers", "1"])
        assert done.exit_code == 0, done.output
        said = json.loads(done.stdout)
        assert (said["tracks"], said["new"], len(said["skipped"])) == (4, new, 1)
    (tmp_path / "recipe.yaml").write_text(TINY + "distillation: {labels: labels, alpha: only}\n")
    run = ["train", str(tmp_path / "recipe.yaml"), "-o", str(tmp_path / "run"), "--json", "--workers", "1"]
    done = invoke(run)
    assert done.exit_code == 0, done.output
    (tmp_path / "labels" / "labels.json").unlink()
    with pytest.raises(LabelsError, match="holds no soft labels"):
        invoke([*run[:3], str(tmp_path / "b")], catch_exceptions=False)
