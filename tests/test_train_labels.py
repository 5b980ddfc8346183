"""`mirclr train --labels`: a CSV of labels in place of those of the manifest."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import mirclr
from mirclr.config import parse_recipe
from mirclr.data.manifest import Track, write_manifest
from mirclr.errors import LabelsError, RecipeError, TrainingError
from mirclr.training.label_file import label_tracks_by_file, with_label_field
from tests.commands import exits

RECIPE = """
name: tiny
data: {train: tracks.jsonl}
audio: {clip_seconds: 0.5}
mel: {n_mels: 8}
encoder: {name: resnet, widths: [4], blocks: [1], dim: 4}
projector: {hidden: 4, dim: 4}
objective: {name: sup_con}
training: {steps: 2, batch: 4, warmup: 1, log_every: 1, precision: float32, schedule: constant}
"""
TRACKS = [
    Track(id="a", path="x/a.ogg", artist="One", genre="old"),
    Track(id="b", path="x/b.ogg", artist="Two", genre="old"),
    Track(id="c", path="y/a.ogg", artist="One"),
    Track(id="d", path="y/d.ogg"),
]


@pytest.fixture
def labels(tmp_path):
    def write(text: str) -> Path:
        (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
        return tmp_path / "labels.csv"

    return write


def given(tracks, file, field="genre"):
    notes: list[str] = []
    return label_tracks_by_file(tracks, Path("/music"), file, field, on_note=notes.append), notes


def test_labels_are_those_of_the_file_alone(labels):
    file = labels("file,genre,artist\nx/a.ogg,rock,\nb.ogg,,Three\ngone.ogg,jazz,\n/music/y/a.ogg,jazz,Four\n")
    found, notes = given(TRACKS, file)
    assert [t.genre for t in found.tracks] == ["rock", None, "jazz", None]
    assert [t.artist for t in found.tracks] == ["One", "Three", "Four", None]
    assert found.rows(found.tracks) is None
    assert notes == [f"{file}: genre of 2 of 4 songs", f"{file}: 1 file of it not among the songs: gone.ogg"]
    assert [t.id for t in found.tracks] == [t.id for t in TRACKS]


def test_whole_paths_fit_below_a_root_that_is_relative(labels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = labels(f"file,genre\n{tmp_path / 'music' / 'b.ogg'},rock\nmusic/c.ogg,jazz\n")
    tracks = [Track(id=name, path=f"{name}.ogg") for name in "bc"]
    found = label_tracks_by_file(tracks, Path("music"), file, "genre", on_note=lambda note: None)
    assert [t.genre for t in found.tracks] == ["rock", "jazz"]


def test_labels_of_one_kind_are_told(labels):
    _, notes = given(TRACKS, file := labels("file,genre\nx/a.ogg,rock\nb.ogg,rock\n"))
    assert f"{file}: all of them have one genre, 'rock': there is nothing to tell apart" in notes
    _, notes = given(TRACKS, labels("file,genre\nx/a.ogg,rock\nb.ogg,jazz\n"))
    assert not any("tell apart" in note for note in notes)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("file;genre", "expected commas between names"),
        ("file\tgenre", "expected commas between names"),
        ("File,genre", "expected 'File' to be written file"),
        ("name,genre", "expected a first line with the names of the columns, one of them file"),
    ],
)
def test_a_header_without_file_says_what_is_wanted(labels, header, expected):
    with pytest.raises(LabelsError, match="no column file") as caught:
        given(TRACKS, labels(f"{header}\na.ogg,rock\n"))
    assert str(caught.value).endswith(expected)


def test_moods_are_rows_of_weight(labels):
    file = labels("file,mood_sad,tag_live\nb.ogg,0.25,\nd.ogg,0,1\n")
    found, _ = given(TRACKS, file, "moods")
    torch.testing.assert_close(found.rows(TRACKS), torch.tensor([[0, 0], [0.25, 0], [0, 0], [0, 1.0]]))
    torch.testing.assert_close(found.rows(TRACKS[1:2]), torch.tensor([[0.25, 0]]))
    assert [t.moods for t in found.tracks] == [(), ("sad",), (), ("live",)]


def test_parts_of_one_file_have_one_label(labels):
    parts = [Track(id=f"{i}", path="long.flac", start_s=60.0 * i, duration_s=60.0) for i in range(3)]
    found, _ = given(parts, labels("file,genre\nlong.flac,dub\n"))
    assert [t.genre for t in found.tracks] == ["dub"] * 3


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("file,genre\na.ogg,rock\n", "genre", r":2: file 'a\.ogg' fits 'x/a\.ogg' and 'y/a\.ogg'; write more"),
        ("file,genre\nb.ogg,rock\nx/b.ogg,pop\n", "genre", r":3: file 'x/b\.ogg' is 'x/b\.ogg', and so is another row"),
        ("file,genre\nz.ogg,rock\n", "genre", r"none of its 1 file is among the 4 songs .* 'z\.ogg'"),
        ("file,genre\nb.ogg,rock\n", "artist", "holds no artist, which data.labels names; it holds genre"),
        ("file,mood_sad\nb.ogg,0\n", "moods", "holds no moods"),
        ("genre\nrock\n", "genre", "no column file"),
    ],
)
def test_what_does_not_fit_is_said(labels, text, field, said):
    with pytest.raises(LabelsError, match=said):
        given(TRACKS, labels(text), field)


@pytest.mark.parametrize(
    ("columns", "asked", "field"),
    [("genre,artist", None, "genre"), ("artist", None, "artist"), ("artist,genre", "artist", "artist"),
     ("mood_x", None, "moods"), ("tag_x", "tags", "tags")],
)  # fmt: skip
def test_what_is_learned_from(labels, columns, asked, field):
    file = labels(f"file,{columns}\na.ogg,{','.join(['1'] * (columns.count(',') + 1))}\n")
    data = f"data={{train: t, labels_file: labels.csv, labels: {asked or 'null'}}}"
    recipe = parse_recipe(RECIPE, overrides=[data, "objective={name: generalized_sup_con}"])
    assert with_label_field(recipe, file.parent).data.labels == field


def test_an_objective_that_does_not_fit_is_named(labels):
    file = labels("file,mood_sad\na.ogg,1\n")
    with pytest.raises(RecipeError, match=r'nt_xent learns from no labels.*--set "objective=\{name: sup_con\}"'):
        parse_recipe(RECIPE, overrides=["data.labels_file=labels.csv", "objective={name: nt_xent}"])
    with pytest.raises(RecipeError, match=r"sup_con needs data\.labels"):
        with_label_field(parse_recipe(RECIPE, overrides=["data.labels_file=labels.csv"]), file.parent)
    with pytest.raises(RecipeError, match=r"sup_con needs data\.labels"):
        parse_recipe(RECIPE)
    labels("file,year\na.ogg,1\n")
    with pytest.raises(LabelsError, match="holds no labels"):
        with_label_field(parse_recipe(RECIPE, overrides=["data.labels_file=labels.csv"]), file.parent)


@pytest.fixture
def folder(tmp_path, music, monkeypatch, in_this_process):
    monkeypatch.setattr("mirclr.training.trainer._tensorboard", lambda run: lambda step, metrics: None)
    places = ("a.ogg", "b.ogg", "sub/c.ogg", "sub/d.ogg")
    write_manifest(tmp_path / "tracks.jsonl", [Track(id=p, path=f"music/{p}") for p in places])
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "labels.csv").write_text("file,genre\na.ogg,rock\nb.ogg,rock\nc.ogg,jazz\nd.ogg,jazz\n")
    return tmp_path


def test_a_run_is_that_of_a_manifest_with_those_labels(folder, capsys):
    genres = {"a.ogg": "rock", "b.ogg": "rock", "sub/c.ogg": "jazz", "sub/d.ogg": "jazz"}
    write_manifest(folder / "own.jsonl", [Track(id=p, path=f"music/{p}", genre=g) for p, g in genres.items()])
    code, out, err = exits(
        capsys, "train", folder / "recipe.yaml", "-o", folder / "a", "--labels", folder / "labels.csv", "--json",
        "--device", "cpu", "--workers", 1,
    )  # fmt: skip
    assert code == 0, err
    assert "genre of 4 of 4 songs" in err
    overrides = ["data={train: own.jsonl, labels: genre}"]
    by_tags = mirclr.train(folder / "recipe.yaml", folder / "b", overrides=overrides, device="cpu")
    in_python = mirclr.train(folder / "recipe.yaml", folder / "c", labels=folder / "labels.csv", device="cpu")
    assert json.loads(out)["digest"] == by_tags.digest == in_python.digest


def test_a_run_goes_on_with_the_same_labels_alone(folder):
    start = {"labels": folder / "labels.csv", "device": "cpu"}
    mirclr.train(folder / "recipe.yaml", folder / "a", **start)
    more = ["training.steps=3"]
    assert mirclr.train(folder / "recipe.yaml", folder / "a", overrides=more, resume=True, **start).steps == 3
    (folder / "labels.csv").write_text("file,genre\na.ogg,rock\nb.ogg,jazz\nc.ogg,rock\nd.ogg,jazz\n")
    with pytest.raises(TrainingError, match="other tracks or labels"):
        mirclr.train(folder / "recipe.yaml", folder / "a", overrides=["training.steps=4"], resume=True, **start)


def test_moods_are_learned_from(folder):
    (folder / "labels.csv").write_text("file,mood_sad,mood_calm\na.ogg,1,0.5\nb.ogg,0,1\nc.ogg,1,0\nd.ogg,0.5,0.5\n")
    (folder / "recipe.yaml").write_text(RECIPE.replace("sup_con", "generalized_sup_con"))
    found = mirclr.train(folder / "recipe.yaml", folder / "a", labels=folder / "labels.csv", device="cpu")
    assert np.isfinite(found.history[-1]["loss"])


def test_a_dataset_has_labels_of_its_own(folder):
    data = [(np.random.default_rng(i).standard_normal(16000) * 0.1, "x") for i in range(4)]
    with pytest.raises(RecipeError, match="items of a dataset and examples have their own labels"):
        mirclr.train(folder / "recipe.yaml", folder / "a", data, labels=folder / "labels.csv")
