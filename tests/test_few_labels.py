"""Accuracy against the number of labels."""

import json

import numpy as np
import pytest

from mirclr.classify.labels import Labels
from mirclr.config import parse_recipe
from mirclr.errors import LabelsError
from mirclr.evaluation.label_curve import _draws, _split, labels_curve, trained_from_scratch
from mirclr.evaluation.probes import Features
from mirclr.library import LibraryTrack
from tests.commands import invoke

pytestmark = pytest.mark.usefixtures("in_this_process")

SHARES = (0.02, 0.1, 1.0)


def labels_of(genre, artist):
    n = len(genre)
    files = np.array([f"{i}.ogg" for i in range(n)], object)
    empty = np.array([""] * n, object)
    return Labels(
        "test", files, np.arange(n), np.array(artist, object), empty, np.array(genre, object), (), np.zeros((n, 0))
    )


@pytest.fixture
def music():
    """120 tracks of 24 artists in three genres, which the vectors show with noise, and one without a genre."""
    rng = np.random.default_rng(0)
    genre = np.repeat([0, 1, 2], 40)
    vectors = rng.normal(size=(121, 12))
    vectors[np.arange(120), genre] += 2.2
    names = [*np.array(["dub", "folk", "jazz"])[genre], ""]
    return vectors, labels_of(names, [f"artist {i // 5}" for i in range(121)])


def test_more_labels_tell_more(music):
    vectors, labels = music
    noise = np.random.default_rng(1).normal(size=vectors.shape)
    noted = []
    points = labels_curve(
        [Features("good", vectors), Features("noise", noise)],
        labels,
        fractions=SHARES,
        repeats=4,
        advance=lambda n, note: noted.append(note),
    )
    assert len(noted) == 4 * 3 * 2
    good = [p for p in points if p.features == "good"]
    assert [p.fraction for p in good] == list(SHARES)
    assert good[0].labelled == 3  # one a genre
    assert good[0].accuracy < good[-1].accuracy > 0.75
    assert all(p.accuracy == pytest.approx(np.mean(p.values)) and len(p.values) == 4 for p in points)
    assert abs(next(p for p in points if p.features == "noise" and p.fraction == 1.0).accuracy - 1 / 3) < 0.2


def test_no_artist_is_on_both_sides_and_draws_are_nested(music):
    _, labels = music
    from mirclr.classify import usable_tasks

    (genre,) = usable_tasks(labels)
    seen = set()
    for seed in range(5):
        train, tested = _split(genre, None, seed, "test")
        assert not set(labels.artist[train]) & set(labels.artist[tested])
        assert 120 not in {*train, *tested}  # has no genre
        actual = np.append(genre.target.argmax(axis=1), -1)
        draws = list(_draws(actual, train, SHARES, seed))
        assert set(draws[0]) <= set(draws[1]) <= set(draws[2]) == set(train)
        assert set(actual[draws[0]]) == {0, 1, 2}
        seen.add(tuple(tested))
    assert len(seen) > 1


def test_a_test_set_is_kept_apart(music):
    vectors, labels = music
    test = np.arange(121) % 5 == 0
    asked = []

    def classify(train, actual, tested, seed):
        asked.append((set(train), set(tested)))
        return np.zeros(len(tested), int)

    labels_curve([Features("x", vectors)], labels, fractions=(0.5,), repeats=2, test=test, from_scratch=classify)
    for train, tested in asked:
        assert tested == set(np.flatnonzero(test[:120]))
        assert not train & tested
    with pytest.raises(LabelsError, match="120 tracks to learn from and 0 to judge"):
        labels_curve([], labels, fractions=(1.0,), repeats=1, test=np.zeros(121, bool))


def test_one_genre_is_nothing_to_learn(music):
    vectors, labels = music
    with pytest.raises(LabelsError, match="nothing to learn"):
        labels_curve([Features("x", vectors)], labels_of(["dub"] * 121, labels.artist), fractions=(1.0,), repeats=1)


def test_an_encoder_learns_from_the_drawn_labels_alone(songs):
    text = """
name: s
data: {train: x}
audio: {clip_seconds: 0.5}
mel: {n_mels: 24}
encoder: {name: resnet, widths: [8], blocks: [1], dim: 8}
projector: {hidden: 8, dim: 8}
training: {steps: 30, batch: 8, lr: 1e-2, warmup: 3, precision: float32}
embedding: {excerpts: 4}
"""
    tracks = [LibraryTrack(i, str(s.parent), s.name, 8.0, *[None] * 6, "d") for i, s in enumerate(songs)]
    classify = trained_from_scratch(parse_recipe(text), tracks, 2, device="cpu")
    # learned by heart: tracks 0 and 3
    assert classify(np.array([0, 3]), np.array([1, 0]), np.array([0, 3]), 0).tolist() == [1, 0]
    with pytest.raises(LabelsError, match=r"projector\.dim is 8"):
        trained_from_scratch(parse_recipe(text), tracks, 9)


def test_from_the_command_line(tmp_path, songs):
    import torch

    from mirclr.models.checkpoint import save_checkpoint
    from mirclr.models.encoder import Model

    recipe = parse_recipe("name: t\ndata: {train: x}\nencoder: {name: resnet, widths: [4], blocks: [1], dim: 4}")
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "encoder.safetensors", Model(recipe), {})
    library = str(tmp_path / "l.db")
    embed = ["embed", str(songs[0].parent), "--library", library, "--checkpoint", str(tmp_path / "encoder.safetensors")]
    assert invoke([*embed, "--workers", "1"]).exit_code == 0
    rows = [f"{s.name},{'ab'[i % 2]},artist {i}" for i, s in enumerate(songs)]
    (tmp_path / "labels.csv").write_text("file,genre,artist\n" + "\n".join(rows) + "\n")
    (tmp_path / "test.csv").write_text(f"file\n{songs[0].name}\n{songs[1].name}\n")
    arguments = ["evaluate", "labels-curve", "--library", library, "--labels", str(tmp_path / "labels.csv")]
    arguments += ["--test", str(tmp_path / "test.csv"), "--repeats", "2", "--fractions", "0.5,1", "--no-baselines"]
    done = invoke([*arguments, "--json", "--plot", str(tmp_path / "curve.png")])
    assert done.exit_code == 0, done.output
    points = json.loads(done.stdout)["points"]
    assert [(p["share"], p["labelled"]) for p in points] == [(0.5, 2), (1.0, 2)]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "learned from" in invoke(arguments).output
    assert invoke([*arguments, "--fractions", "0,0.1"]).exit_code == 2
    before = invoke([*arguments, "--shares", "50,100"])  # as it was called, in per cent
    assert before.stdout == invoke(arguments).stdout
    assert "--shares is now called --fractions" in before.stderr
    assert invoke([*arguments, "--shares", "0,10"]).exit_code == 2
