"""Label distributions kept beside a corpus."""

import json

import numpy as np
import pytest
import torch

from mirclr.config import Distillation
from mirclr.data.soft_labels import (
    SoftLabelFolder,
    SoftLabelHeader,
    SoftLabels,
    mean_similarities,
    probabilities,
    to_targets,
)
from mirclr.errors import LabelsError

HEADER = SoftLabelHeader("t", "d" * 32, ("jazz", "folk", "calm"), 2, 4, 3.0, 1.5)


def plan(**settings):
    return Distillation(labels="x", **settings)


def told(folder, key):
    return probabilities(torch.from_numpy(folder.rows(key)[:, :3]), 2).numpy()


@pytest.fixture
def folder(tmp_path):
    made = SoftLabelFolder.create(tmp_path / "labels", HEADER)
    rng = np.random.default_rng(0)
    for key, windows in (("a", 5), ("b", 1)):
        made.write(key, rng.normal(size=(windows, 3)), rng.normal(size=(windows, 4)))
    return made


def test_what_is_written_is_read(folder):
    again = SoftLabelFolder.read(folder.folder)
    assert again.header == HEADER
    assert again.has("a")
    assert not again.has("c")
    assert again.rows("a").shape == (5, 7)
    assert SoftLabelFolder.create(folder.folder, HEADER).rows("b").shape == (1, 7)


def test_another_teacher_s_labels_never_meet(folder):
    other = SoftLabelHeader(**{**vars(HEADER), "digest": "e" * 32})
    with pytest.raises(LabelsError, match="name another folder"):
        SoftLabelFolder.create(folder.folder, other)


def test_a_crop_lies_between_its_two_nearest_windows(folder):
    labels = SoftLabels(folder, ["a", "b"], plan())
    rows = told(folder, "a")
    np.testing.assert_allclose(labels.at("a", 0.0)["soft_targets"], rows[0], rtol=1e-6)
    np.testing.assert_allclose(labels.at("a", 3.0)["soft_targets"], rows[2], rtol=1e-6)
    np.testing.assert_allclose(labels.at("a", 2.0)["soft_targets"], rows[1] * 2 / 3 + rows[2] / 3, rtol=1e-5)
    np.testing.assert_allclose(labels.at("a", 1e6)["soft_targets"], rows[4], rtol=1e-6)
    np.testing.assert_allclose(labels.at("b", 9.0)["soft_targets"], told(folder, "b")[0], rtol=1e-6)


def test_probabilities_are_a_softmax_and_sigmoids():
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(1)) * 50
    found = probabilities(logits, 3, 0.5).double()
    one, many = np.exp(logits[:, :3].double() / 0.5), 1 / (1 + np.exp(-logits[:, 3:].double() / 0.5))
    want = torch.cat([one / one.sum(dim=1, keepdim=True), many], dim=1)
    torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-7)


def test_a_softmax_is_of_the_centred_logits(folder):
    labels = SoftLabels(folder, ["a", "b"], plan(centre=True, softmax=True, temperature=0.5))
    logits = np.concatenate([folder.rows(k)[:, :3] for k in "ab"])
    want = np.exp((logits - logits.mean(axis=0)) / 0.5)
    np.testing.assert_allclose(
        labels.at("a", 3.0)["soft_targets"], (want / want.sum(axis=1, keepdims=True))[2], rtol=1e-5
    )


def test_centred_rows_are_what_is_above_the_mean(folder):
    plain = SoftLabels(folder, ["a", "b"], plan())
    mean = np.concatenate([told(folder, k) for k in "ab"]).mean(axis=0)
    centred = SoftLabels(folder, ["a", "b"], plan(centre=True))
    above = np.maximum(plain.at("a", 1.5)["soft_targets"] - mean, 0)
    np.testing.assert_allclose(centred.at("a", 1.5)["soft_targets"], above, atol=1e-6)


def test_weights_of_embeddings_keep_their_length_and_oppose_nothing():
    x, nothing = torch.randn(8, 5, generator=torch.Generator().manual_seed(2)), torch.zeros(5)
    rows = to_targets(x, nothing, plan(by="embedding"))
    assert (rows >= 0).all()
    torch.testing.assert_close(rows.norm(dim=1), x.norm(dim=1))
    for second, cosine in (([1.0, 0], 1), ([-1.0, 0], 0)):
        two = to_targets(torch.tensor([[1.0, 0], second]), torch.zeros(2), plan(by="embedding"))
        assert two[0] @ two[1] == cosine


def test_similarities_within_and_between_tracks(tmp_path):
    made = SoftLabelFolder.create(tmp_path / "l", SoftLabelHeader("t", "d", ("a", "b", "c"), 0, 0, 3.0, 3.0))
    for key, tag in (("x", 0), ("y", 1)):
        logits = np.full((4, 3), -30.0)
        logits[:, [tag, 2]] = 30.0  # one tag each, and one that both have
        made.write(key, logits, np.zeros((4, 0)))
    flat = mean_similarities(made, ["x", "y"], plan())
    assert flat == pytest.approx({"within": 1.0, "between": 0.5})
    assert mean_similarities(made, ["x", "y"], plan(centre=True)) == pytest.approx({"within": 1.0, "between": 0.0})
    assert np.isnan(mean_similarities(made, ["x"], plan())["between"])


def test_what_is_wrong_is_named(folder, tmp_path):
    with pytest.raises(LabelsError, match="holds no labels of a track"):
        SoftLabels(folder, ["c"], plan())
    with pytest.raises(LabelsError, match="mirclr teacher label"):
        SoftLabelFolder.read(tmp_path)
    with pytest.raises(LabelsError, match="not finite"):
        folder.write("n", np.full((1, 3), np.nan), np.zeros((1, 4)))
    (folder.folder / "a.raw").write_bytes(b"\0" * 9)
    with pytest.raises(LabelsError, match=r"a\.raw: is damaged"):
        folder.rows("a")


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "not JSON"), ("[]", "not soft labels"), ('{"format": 9}', "format 1"), ('{"format": 1}', "damaged")],
)
def test_a_damaged_index_is_named(folder, text, said):
    (folder.folder / "labels.json").write_text(text)
    with pytest.raises(LabelsError, match=said):
        SoftLabelFolder.read(folder.folder)


def test_the_index_is_plain_json(folder):
    found = json.loads((folder.folder / "labels.json").read_text())
    assert found["tags"] == ["jazz", "folk", "calm"]


def test_windows_of_another_length_than_the_clips_are_refused(folder):
    assert SoftLabels(folder, ["a"], plan(), clip_seconds=3.05).windows == {"a": 5}
    with pytest.raises(LabelsError, match=r"windows of 3 s, but clips of 5 s .* set audio\.clip_seconds to 3"):
        SoftLabels(folder, ["a"], plan(), clip_seconds=5.0)


def test_labels_stay_on_disk(tmp_path):
    made = SoftLabelFolder.create(tmp_path / "l", SoftLabelHeader("t", "d", ("a", "b"), 0, 2, 3.0, 3.0))
    rng = np.random.default_rng(0)
    for key in map(str, range(20)):
        made.write(key, rng.normal(size=(2000, 2)), rng.normal(size=(2000, 2)))
    labels = SoftLabels(made, list(map(str, range(20))), plan())
    kept = sum(t.numel() for t in vars(labels).values() if isinstance(t, torch.Tensor))
    assert kept == 2  # the mean alone
    everything = probabilities(torch.from_numpy(np.concatenate([made.rows(str(i))[:, :2] for i in range(20)])), 0)
    torch.testing.assert_close(labels.mean, everything.mean(dim=0))


def test_what_cannot_be_read_is_not_taken_for_absent(folder, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(np, "fromfile", denied)
    with pytest.raises(PermissionError):
        folder.rows("a")
