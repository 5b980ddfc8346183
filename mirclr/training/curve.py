"""The loss of a run over its steps: as text for a terminal, and as a picture; without torch."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mirclr.pictures import new_figure
from mirclr.provenance import writing
from mirclr.terminal import number
from mirclr.training.run_folder import METRICS

PICTURE = "loss.png"
_FEWEST = 8  # points that a line is drawn through
_NOT_LOSSES = ("step", "lr", "clips_per_s", "redrawn")


def read_history(run: Path) -> list[dict[str, float]]:
    """What a run logged, a mapping for each line of its ``metrics.jsonl``; lines that are none are passed over."""
    history = []
    for line in (run / METRICS).read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and {"step", "loss"} <= found.keys():
            history.append(found)
    return history


def loss_chart(history: Sequence[Mapping[str, float]], *, width: int = 76, height: int = 9) -> list[str]:
    """Draw the loss as lines of text: a dot for each column, at the mean of the steps that it stands for.

    Parameters
    ----------
    history : sequence of mapping
        With ``step`` and ``loss`` each, as `read_history` gives them.
    width, height : int
        Columns and rows of the whole.

    Returns
    -------
    list of str
        Empty where there is too little to draw.
    """
    losses = np.array([line["loss"] for line in history], float)
    steps = np.array([line["step"] for line in history], float)
    if len(losses) < _FEWEST:
        return []
    low, high = float(losses.min()), float(losses.max())
    labels = [number(high), number(low)]
    margin = max(map(len, labels))
    columns = min(width - margin - 2, len(losses))
    place = np.minimum(((steps - steps[0]) / max(1.0, steps[-1] - steps[0]) * columns).astype(int), columns - 1)
    rows = [[" "] * columns for _ in range(height - 2)]
    for column in np.unique(place):
        mean = float(losses[place == column].mean())
        down = (high - mean) / (high - low) if high > low else 1.0
        rows[round(down * (len(rows) - 1))][column] = "•"
    beside = {0: labels[0], len(rows) - 1: labels[1]}
    lines = ["loss"]
    lines += [f"{beside.get(i, ''):>{margin}} │{''.join(row)}".rstrip() for i, row in enumerate(rows)]
    first, last = f"{steps[0]:,.0f}", f"{steps[-1]:,.0f} steps"
    return [*lines, f"{'':>{margin}}  {first}{last:>{max(len(last) + 1, columns - len(first))}}"]


def loss_picture(run: Path) -> Path:
    """Draw what a run logged into ``loss.png`` in its folder: its losses, and how well it validated.

    Returns
    -------
    Path
        Of the picture.

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    history = read_history(run)
    figure = new_figure((7, 4), "the picture of the loss")
    axes = figure.add_subplot(xlabel="step", ylabel="loss", title=run.absolute().name)
    names = dict.fromkeys(name for line in history for name in line if name not in (*_NOT_LOSSES, "knn_accuracy"))
    for name in names:
        of = [line for line in history if name in line]
        axes.plot([line["step"] for line in of], [line[name] for line in of], label=name.replace("_", " "))
    validated = [line for line in history if "knn_accuracy" in line]
    if validated:
        beside = axes.twinx()
        beside.set_ylabel("kNN accuracy")
        beside.plot(
            [v["step"] for v in validated], [v["knn_accuracy"] for v in validated], "k.--", label="kNN accuracy"
        )
    if len(names) > 1:
        axes.legend()
    axes.grid(alpha=0.3)
    with writing(run / PICTURE) as f:
        figure.savefig(f, format="png", dpi=120)
    return run / PICTURE
