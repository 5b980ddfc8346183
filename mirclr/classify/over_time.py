"""Predictions over time, as a table and as pictures."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mirclr.classify.crossval import Advance
from mirclr.classify.heads import TASKS, Heads
from mirclr.classify.segments import Segments, predict_segments
from mirclr.data.scan import audio_of, place_of, span_of
from mirclr.errors import AudioError
from mirclr.pictures import new_figure
from mirclr.provenance import writing
from mirclr.terminal import shown

if TYPE_CHECKING:
    from mirclr.data.scan import Found
    from mirclr.models.embedder import Embedder

_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)  # seconds between marks on a time axis


def write_segments(
    files: Sequence[Found],
    embedder: Embedder,
    heads: Heads,
    *,
    hop: float | None = None,
    table: Path | None = None,
    pictures: Mapping[Path, Path] | None = None,
    top: int = 3,
    advance: Advance | None = None,
) -> list[tuple[Path, str]]:
    """Predict for whole files, window by window, into one table and a picture of each; returns what failed, and why.

    Parameters
    ----------
    files : sequence of Found
        Files, or parts of files that a CUE sheet names.
    embedder, heads, hop, advance
        As of `predict_segments`.
    table : Path, optional
        The CSV file to write: a row a window, with its file, start and end in seconds, and every number.
    pictures : mapping of Path to Path, optional
        By file the picture to write of it.
    top : int
        As of `plot_segments`.
    """
    failures = []
    pictures = pictures or {}
    columns = {task: heads.tasks[task].labels for task in TASKS if task in heads.tasks}
    with ExitStack() as stack:
        rows = csv.writer(stack.enter_context(writing(table, "w"))) if table else None
        if rows:
            names = [n if task == "affect" else f"{task}:{n}" for task, labels in columns.items() for n in labels]
            rows.writerow(["file", "start_s", "end_s", *names])
        for each in files:
            file = place_of(each)
            try:
                found = predict_segments(audio_of(each), embedder, heads, hop=hop, span=span_of(each), advance=advance)
            except AudioError as error:
                failures.append((file, str(error)))
                continue
            if rows:
                rows.writerows(_rows(file, found, list(columns)))
            if file in pictures:
                plot_segments(found, heads, pictures[file], top=top, title=file.name)
    return failures


def _rows(file: Path, segments: Segments, tasks: Sequence[str]) -> Iterator[list[str]]:
    """A row a window; of a silent one the cells are empty."""
    for i, (start, end) in enumerate(zip(segments.starts, segments.ends, strict=True)):
        numbers = [p for task in tasks for p in segments.probabilities[task][i].tolist()]
        yield [shown(str(file)), f"{start:.3f}", f"{end:.3f}", *("" if p != p else f"{p:.4f}" for p in numbers)]


def plot_segments(segments: Segments, heads: Heads, path: Path, *, top: int = 3, title: str = "") -> None:
    """Draw over time the genres and moods that are ever among the likeliest, and valence and arousal.

    Parameters
    ----------
    segments, heads : Segments, Heads
        Predictions of one file, and the heads that made them.
    path : Path
        The picture to write; its folder is made.
    top : int
        How many labels of a window count as its likeliest.
    title : str
        Above the picture.

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    panels = _panels(segments, heads, top)
    heights = [max(3, len(labels)) for labels, _ in panels.values()]
    figure = new_figure((11, 1.2 + 0.27 * sum(heights)), "a picture of predictions over time")
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    middles = (segments.starts + segments.ends) / 2
    edges = np.concatenate([segments.starts[:1], (middles[:-1] + middles[1:]) / 2, segments.ends[-1:]])
    bars = None
    for axes, (task, (labels, numbers)) in zip(all_axes, panels.items(), strict=True):
        if task == "affect":
            for name, line in zip(labels, numbers, strict=True):
                axes.stairs(line, edges, baseline=None, label=name)
            axes.set_ylim(0, 1)
            axes.legend(loc="upper right", ncols=2, fontsize=7)
        else:
            image = axes.pcolormesh(edges, np.arange(len(labels) + 1), numbers, vmin=0, vmax=1, cmap="magma")
            bars = bars or figure.colorbar(image, ax=list(all_axes), pad=0.01, aspect=40)  # one scale for all
            axes.set_yticks(np.arange(len(labels)) + 0.5, [shown(label) for label in labels])
            axes.invert_yaxis()
        axes.set_ylabel(task)
        axes.tick_params(labelsize=8)
    step = next((s for s in _TIME_STEPS if edges[-1] / s <= 12), _TIME_STEPS[-1])
    marks = np.arange(0, edges[-1] + 1e-6, step)
    all_axes[-1].set_xticks(marks, [f"{int(s) // 60}:{int(s) % 60:02}" for s in marks])
    all_axes[-1].set_xlim(edges[0], edges[-1])
    all_axes[-1].set_xlabel("min:s")
    all_axes[0].set_title(shown(title), fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _panels(segments: Segments, heads: Heads, top: int) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """By task the labels to draw, and their (C, n) numbers; of a silent window they are NaN."""
    panels = {}
    for task in TASKS:
        if task not in segments.probabilities:
            continue
        labels, numbers = heads.tasks[task].labels, segments.probabilities[task].T
        if task != "affect":
            audible = numbers[:, ~np.isnan(numbers[0])]
            ever = np.unique((-audible).argsort(axis=0)[:top])
            ever = ever[(-audible[ever].mean(axis=1)).argsort()]
            labels, numbers = tuple(labels[i] for i in ever), numbers[ever]
        panels[task] = labels, numbers
    return panels


def plot_paths(files: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """A picture in a folder for each file, by its name; a second file of one name gets a number."""
    names: Counter[str] = Counter()
    pictures = {}
    for file in files:
        names[file.name] += 1
        again = f" ({names[file.name]})" if names[file.name] > 1 else ""
        pictures[file] = folder / f"{file.name}{again}.png"
    return pictures
