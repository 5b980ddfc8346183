"""How far few labels go: accuracy of genre against the number of labelled tracks, for probes and for training on them.

For each repeat the tracks are split into training and test tracks, no artist and no recording in both (of a test set
that is given, no recording). Of the training tracks a fraction of each genre is drawn, one track at least; a
smaller fraction is part of a larger. All kinds of vectors, and the encoder trained from scratch, get the same draws.

Conventions: n tracks, d dimensions, C genres.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mirclr.classify import Labels, usable_tasks
from mirclr.classify.fitting import Task, fit_with_grid_search, grouped_folds
from mirclr.config import Recipe, recipe_from
from mirclr.data.manifest import Track
from mirclr.errors import LabelsError
from mirclr.evaluation.probes import Features
from mirclr.library import LibraryTrack
from mirclr.pictures import new_figure

FOLDS = 5
"""One of so many folds is the test set, where none is given."""

Advance = Callable[[int, str], None]
Classifier = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]
"""(training rows, their genres, test rows, seed) -> the genres that are predicted for the test rows, as numbers."""


@dataclass(frozen=True)
class Point:
    """One point of the curve.

    Attributes
    ----------
    features : str
        What was learned from.
    fraction : float
        Of the labels.
    labelled : float
        How many tracks that were, in the mean over repeats.
    accuracy, std : float
        Mean and standard deviation (n - 1) over repeats.
    values : tuple of float
        Accuracy of each repeat.
    """

    features: str
    fraction: float
    labelled: float
    accuracy: float
    std: float
    values: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON values, under the keys that the command has always written."""
        values = asdict(self)
        return {"share": values.pop("fraction"), "spread": values.pop("std"), **values}


def labels_curve(
    features: Sequence[Features],
    labels: Labels,
    *,
    fractions: Sequence[float],
    repeats: int,
    test: np.ndarray | None = None,
    from_scratch: Classifier | None = None,
    advance: Advance | None = None,
) -> list[Point]:
    """Measure accuracy of genre against the fraction of labels.

    Parameters
    ----------
    features : sequence of Features
        Of the same n tracks. A probe of `mirclr.classify.fitting.fit_with_grid_search` is fitted on each.
    labels : Labels
        Of them; those without a genre are left out.
    fractions : sequence of float in (0, 1]
        Of the labels that may be learned from.
    repeats : int
        Draws, each with a split of its own unless `test` is given.
    test : (n,) bool, optional
        The test tracks of all repeats; by default one of `FOLDS` folds.
    from_scratch : Classifier, optional
        Learns from the audio and the drawn labels alone.
    advance : callable, optional
        Called for each point of each repeat; there are repeats x fractions x kinds of features.

    Raises
    ------
    LabelsError
        There are fewer than two genres, or no track on one side.
    """
    genre = next((t for t in usable_tasks(labels) if t.name == "genre"), None)
    if genre is None:
        raise LabelsError(f"{labels.source}: fewer than two genres; expected a column genre with two or more")
    classifiers: dict[str, Classifier] = {f.name: _probe(f.vectors, genre) for f in features}
    if from_scratch is not None:
        classifiers["from scratch"] = from_scratch
    actual = np.full(len(labels.genre), -1)
    actual[genre.rows] = genre.target.argmax(axis=1)
    right: dict[tuple[str, float], list[float]] = {(name, s): [] for name in classifiers for s in fractions}
    counts: dict[float, list[int]] = {s: [] for s in fractions}
    for repeat in range(repeats):
        train, tested = _split(genre, test, repeat, labels.source, labels.recordings)
        for fraction, drawn in zip(fractions, _draws(actual, train, fractions, repeat), strict=True):
            counts[fraction].append(len(drawn))
            for name, classify in classifiers.items():
                predicted = classify(drawn, actual[drawn], tested, repeat)
                right[name, fraction].append(float((predicted == actual[tested]).mean()))
                if advance:
                    advance(1, f"{name}, {len(drawn)} labels")
    return [_point(name, fraction, counts[fraction], values) for (name, fraction), values in right.items()]


def _point(name: str, fraction: float, counts: list[int], values: list[float]) -> Point:
    std = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Point(name, fraction, float(np.mean(counts)), float(np.mean(values)), std, tuple(values))


def _split(
    genre: Task, test: np.ndarray | None, seed: int, source: str, recordings: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the training tracks and of the test tracks."""
    if test is None:
        folds = grouped_folds(genre.target, genre.groups, FOLDS, seed=seed)
        parts = folds[0] if folds else (np.zeros(0, int), np.zeros(0, int))
        train, tested = genre.rows[parts[0]], genre.rows[parts[1]]
    else:
        copies = np.arange(len(test)) if recordings is None else recordings
        free = ~np.isin(copies, copies[test])  # a copy of a test track would give its genre away
        train, tested = genre.rows[free[genre.rows]], genre.rows[test[genre.rows]]
    if not len(train) or not len(tested):
        raise LabelsError(
            f"{source}: {len(train)} tracks to learn from and {len(tested)} to judge; expected some of each"
        )
    return train, tested


def _draws(actual: np.ndarray, train: np.ndarray, fractions: Sequence[float], seed: int) -> Iterator[np.ndarray]:
    """For each fraction, that fraction of the training rows of each genre, one at least."""
    rng = np.random.default_rng([seed, len(train)])
    order = [rng.permutation(train[actual[train] == c]) for c in np.unique(actual[train])]
    for fraction in fractions:
        yield np.sort(np.concatenate([rows[: max(1, round(fraction * len(rows)))] for rows in order]))


def _probe(vectors: np.ndarray, genre: Task) -> Classifier:
    group = np.full(len(vectors), "", object)
    group[genre.rows] = genre.groups

    def classify(train: np.ndarray, actual: np.ndarray, tested: np.ndarray, seed: int) -> np.ndarray:
        fit = fit_with_grid_search(vectors[train], np.eye(len(genre.classes))[actual], group[train])
        predicted: np.ndarray = fit.logits(vectors[tested]).argmax(axis=1)
        return predicted

    return classify


def trained_from_scratch(
    recipe: Recipe, tracks: Sequence[LibraryTrack], n_genres: int, *, device: str = "auto"
) -> Classifier:
    """Train a recipe's encoder by cross-entropy for each draw, on the audio of the drawn tracks and nothing else.

    Parameters
    ----------
    recipe : Recipe
        Its audio, mel, augment, encoder, projector and training sections count.
    tracks : sequence of LibraryTrack
        n, whose files are decoded.
    n_genres : int
        C.
    device : str
        "auto", or a device of torch.

    Raises
    ------
    LabelsError
        Some of the files cannot be decoded.
    """
    import torch

    from mirclr.audio.mel import LogMel
    from mirclr.audio.views import Views
    from mirclr.data.clips import ClipCache, Skipped
    from mirclr.training.run import clip_source
    from mirclr.training.trainer import Trainer
    from mirclr.training.validation import embed_clips

    plain = recipe.model_dump(mode="json") | {"distillation": None, "validation": None}
    plain |= {"objective": {"name": "cross_entropy"}, "data": {"train": "labelled", "labels": "genre"}}
    plain["augment"] |= {"mixup": None, "cutmix": None}
    cache = ClipCache(recipe, Views(recipe, LogMel.of(recipe.mel, recipe.audio.sample_rate)).takes.domain)
    root = Path(os.path.commonpath([t.file.parent for t in tracks]))
    wanted = [
        Track(
            id=str(i),
            path=t.file.relative_to(root).as_posix(),
            start_s=t.start_s,
            duration_s=t.duration_s if t.span else None,
        )
        for i, t in enumerate(tracks)
    ]
    found = {}
    for one in cache.fill(wanted, root):
        if isinstance(one, Skipped):
            raise LabelsError(f"{one.reason}; leave the track out of the labels")
        found[int(one.track.id)] = one

    def classify(train: np.ndarray, actual: np.ndarray, tested: np.ndarray, seed: int) -> np.ndarray:
        named = [
            replace(found[i], track=found[i].track.model_copy(update={"genre": f"{genre:06d}"}))
            for i, genre in zip(train.tolist(), actual.tolist(), strict=True)
        ]
        present = np.unique(actual)
        with tempfile.TemporaryDirectory() as folder:
            own = recipe_from(plain | {"seed": seed})
            trainer = Trainer(own, clip_source(own, cache, named), Path(folder), device=device)
            for _ in trainer.train():
                pass
        predicted = []
        for i in tested.tolist():
            with torch.no_grad():
                embeddings = embed_clips(trainer.exported, cache, found[i], trainer.device, trainer.dtype)
                logits = trainer.exported.projector(embeddings)[:, : len(present)]
            predicted.append(int(present[int(logits.softmax(dim=1).mean(dim=0).argmax())]))
        return np.array(predicted)

    if n_genres > recipe.projector.dim:
        raise LabelsError(f"{n_genres} genres, but projector.dim is {recipe.projector.dim}; raise it in the recipe")
    return classify


def plot_curve(points: Sequence[Point], path: Path) -> None:
    """Draw accuracy against the number of labelled tracks, with error bars, into a png, svg or pdf.

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    figure = new_figure((6, 4), "the picture of the curve")
    axes = figure.add_subplot(xscale="log", xlabel="labelled tracks", ylabel="accuracy of genre")
    for name in dict.fromkeys(p.features for p in points):
        of = [p for p in points if p.features == name]
        x, y, std = ([getattr(p, key) for p in of] for key in ("labelled", "accuracy", "std"))
        axes.errorbar(x, y, std, label=name, marker="o", capsize=3)
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
