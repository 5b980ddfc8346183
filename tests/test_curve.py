"""The loss as people see it: announced, drawn as text, and as a picture."""

import json
import re

import numpy as np
import pytest

from mirclr.data.manifest import Track, write_manifest
from mirclr.training.curve import loss_chart, loss_picture, read_history
from mirclr.training.run_folder import METRICS
from tests.commands import exits

RECIPE = """
name: tiny
data: {train: tracks.jsonl}
audio: {clip_seconds: 0.5}
mel: {n_mels: 8}
encoder: {name: resnet, widths: [4], blocks: [1], dim: 4}
projector: {hidden: 4, dim: 4}
training: {steps: 60, batch: 2, warmup: 1, log_every: 2, precision: float32}
"""


def history(losses, every=10):
    return [{"step": float(every * (i + 1)), "loss": float(loss)} for i, loss in enumerate(losses)]


def dots(lines):
    """(row, column) of each dot."""
    return [(r, line.index("│") + 1 + c) for r, line in enumerate(lines) if "│" in line
            for c, sign in enumerate(line.split("│")[1]) if sign == "•"]  # fmt: skip


@pytest.mark.parametrize("width", [40, 76, 136])
@pytest.mark.parametrize("n", [8, 30, 1000])
def test_a_chart_fits_and_falls_as_the_loss_does(width, n):
    lines = loss_chart(history(np.linspace(5, 1, n)), width=width, height=9)
    assert len(lines) == 9
    assert max(map(len, lines)) <= width
    rows = [row for _, row in sorted((c, r) for r, c in dots(lines))]
    assert rows == sorted(rows)
    assert (rows[0], rows[-1]) == (1, 7)
    assert lines[1].startswith("5.000")
    assert lines[7].startswith("1.000")
    assert lines[-1].split() == ["10", f"{10 * n:,}", "steps"]


def test_one_dot_a_column_at_the_mean_of_what_it_stands_for():
    lines = loss_chart(history([1, 3] * 400), width=47, height=9)
    found = dots(lines)
    assert len({c for _, c in found}) == len(found) == 40
    assert {r for r, _ in found} == {4}


def test_a_loss_that_stays_is_a_line():
    assert {r for r, _ in dots(loss_chart(history([2.0] * 20)))} == {7}


def test_too_little_is_not_drawn():
    assert loss_chart(history([3, 2, 1])) == []
    assert loss_chart([]) == []


def test_lines_that_are_none_are_passed_over(tmp_path):
    (tmp_path / METRICS).write_text('{"step": 1, "loss": 2}\nnull\n[1]\n{"step": 2}\n{"step": 3, "lo')
    assert read_history(tmp_path) == [{"step": 1, "loss": 2}]


def test_a_picture_holds_losses_and_validation(tmp_path):
    pytest.importorskip("matplotlib")
    lines = [line | {"loss_objective": 1.0, "lr": 0.1} for line in history(range(10))]
    lines[5]["knn_accuracy"] = 0.5
    (tmp_path / METRICS).write_text("\n".join(map(json.dumps, lines)))
    assert loss_picture(tmp_path).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("plotted", [True, False])
def test_training_says_how_long_it_takes_and_draws_its_loss(
    plotted, tmp_path, music, capsys, monkeypatch, in_this_process
):
    monkeypatch.setattr("mirclr.training.trainer._tensorboard", lambda run: lambda step, metrics: None)
    if plotted:
        pytest.importorskip("matplotlib")
    else:
        monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    write_manifest(tmp_path / "tracks.jsonl", [Track(id=n, path=f"music/{n}.ogg") for n in "ab"])
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    run = tmp_path / "run"
    code, out, err = exits(capsys, "train", tmp_path / "recipe.yaml", "-o", run, "--device", "cpu", "--workers", 1)
    assert code == 0, err
    assert re.search(r"^60 steps will take about .* here \(cpu\)$", err, re.MULTILINE)
    assert out == f"trained 60 steps; encoder: {run / 'encoder.safetensors'}\n"
    assert re.search(r"^loss\n *\d+\.\d+ │.*•", err, re.MULTILINE)
    assert "Try: mirclr embed " in err
    assert (run / "loss.png").exists() == plotted
    assert (f"picture of the loss: {run / 'loss.png'}" in err) == plotted
    code, out, err = exits(capsys, "train", tmp_path / "recipe.yaml", "-o", run, "--resume", "--json", "--quiet")
    assert (code, err) == (0, "")
    assert ("picture" in json.loads(out)) == plotted
