"""How far few labels go: accuracy of genre against the number of labelled tracks, for probes and for training on them.

For each repeat the tracks are parted into those that may be learned from and those that are judged, no artist and no
recording in both (of a test set that is given, no recording);
of the first, a share of each genre is drawn, one track at least, a smaller share always inside a larger. Every kind of
vectors, and the encoder trained from scratch, meets the same draws.

Conventions: n tracks, d dimensions, C genres.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mirclr.classify import Labels, usable_tasks
from mirclr.classify.fitting import Task, fit_with_grid_search, grouped_folds
from mirclr.config import Recipe, recipe_from
from mirclr.data.manifest import Track
from mirclr.errors import LabelsError, MissingExtra
from mirclr.evaluation.probes import Features
from mirclr.library import LibraryTrack

FOLDS = 5
"""One of so many folds is judged, where no test set is given."""

Advance = Callable[[int, str], None]
Judge = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]
"""(rows to learn from, their genres, rows to judge, seed) -> the genres of the latter, as numbers."""


@dataclass(frozen=True)
class Point:
    """One point of the curve.

    Attributes
    ----------
    features : str
        What was learned from.
    share : float
        Of the labels.
    labelled : float
        How many tracks that were, in the mean over repeats.
    accuracy, spread : float
        Mean and standard deviation (n - 1) over repeats.
    values : tuple of float
        Accuracy of each repeat.
    """

    features: str
    share: float
    labelled: float
    accuracy: float
    spread: float
    values: tuple[float, ...]


def labels_curve(
    features: Sequence[Features],
    labels: Labels,
    *,
    shares: Sequence[float],
    repeats: int,
    test: np.ndarray | None = None,
    from_scratch: Judge | None = None,
    advance: Advance | None = None,
) -> list[Point]:
    """Measure accuracy of genre against the share of labels.

    Parameters
    ----------
    features : sequence of Features
        Of the same n tracks. A probe of `mirclr.classify.fitting.fit_with_grid_search` is fitted on each.
    labels : Labels
        Of them; those without a genre are left out.
    shares : sequence of float in (0, 1]
        Of the labels that may be learned from.
    repeats : int
        Draws, each with a parting of its own unless `test` is given.
    test : (n,) bool, optional
        Which tracks are judged, in all repeats; by default one of `FOLDS` folds.
    from_scratch : Judge, optional
        Learns from the audio and the drawn labels alone.
    advance : callable, optional
        Told of each point of each repeat; there are repeats x shares x kinds of features.

    Raises
    ------
    LabelsError
        There are fewer than two genres, or no track on one side.
    """
    genre = next((t for t in usable_tasks(labels) if t.name == "genre"), None)
    if genre is None:
        raise LabelsError(f"{labels.source}: fewer than two genres; expected a column genre with two or more")
    judges: dict[str, Judge] = {f.name: _probe(f.vectors, genre) for f in features}
    if from_scratch is not None:
        judges["from scratch"] = from_scratch
    actual = np.full(len(labels.genre), -1)
    actual[genre.rows] = genre.target.argmax(axis=1)
    right: dict[tuple[str, float], list[float]] = {(name, s): [] for name in judges for s in shares}
    counts: dict[float, list[int]] = {s: [] for s in shares}
    for repeat in range(repeats):
        known, judged = _parted(genre, test, repeat, labels.source, labels.recordings)
        for share, drawn in zip(shares, _draws(actual, known, shares, repeat), strict=True):
            counts[share].append(len(drawn))
            for name, judge in judges.items():
                told = judge(drawn, actual[drawn], judged, repeat)
                right[name, share].append(float((told == actual[judged]).mean()))
                if advance:
                    advance(1, f"{name}, {len(drawn)} labels")
    return [_point(name, share, counts[share], values) for (name, share), values in right.items()]


def _point(name: str, share: float, counts: list[int], values: list[float]) -> Point:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Point(name, share, float(np.mean(counts)), float(np.mean(values)), spread, tuple(values))


def _parted(
    genre: Task, test: np.ndarray | None, seed: int, source: str, recordings: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the labels to learn from, and rows to be judged."""
    if test is None:
        folds = grouped_folds(genre.target, genre.groups, FOLDS, seed=seed)
        parts = folds[0] if folds else (np.zeros(0, int), np.zeros(0, int))
        known, judged = genre.rows[parts[0]], genre.rows[parts[1]]
    else:
        copies = np.arange(len(test)) if recordings is None else recordings
        free = ~np.isin(copies, copies[test])  # a copy of a judged track would give its genre away
        known, judged = genre.rows[free[genre.rows]], genre.rows[test[genre.rows]]
    if not len(known) or not len(judged):
        raise LabelsError(
            f"{source}: {len(known)} tracks to learn from and {len(judged)} to judge; expected some of each"
        )
    return known, judged


def _draws(actual: np.ndarray, known: np.ndarray, shares: Sequence[float], seed: int) -> Iterator[np.ndarray]:
    """For each share, that share of the known rows of each genre, one at least."""
    rng = np.random.default_rng([seed, len(known)])
    order = [rng.permutation(known[actual[known] == c]) for c in np.unique(actual[known])]
    for share in shares:
        yield np.sort(np.concatenate([rows[: max(1, round(share * len(rows)))] for rows in order]))


def _probe(vectors: np.ndarray, genre: Task) -> Judge:
    group = np.full(len(vectors), "", object)
    group[genre.rows] = genre.groups

    def judge(known: np.ndarray, actual: np.ndarray, judged: np.ndarray, seed: int) -> np.ndarray:
        fit = fit_with_grid_search(vectors[known], np.eye(len(genre.classes))[actual], group[known])
        told: np.ndarray = fit.logits(vectors[judged]).argmax(axis=1)
        return told

    return judge


def trained_from_scratch(
    recipe: Recipe, tracks: Sequence[LibraryTrack], n_genres: int, *, device: str = "auto"
) -> Judge:
    """Make a judge that trains a recipe's encoder by cross-entropy, on the audio of the drawn tracks and nothing else.

    Parameters
    ----------
    recipe : Recipe
        Its audio, mel, augment, encoder, projector and training sections count.
    tracks : sequence of LibraryTrack
        n, whose files are heard.
    n_genres : int
        C.
    device : str
        "auto", or a device of torch.

    Raises
    ------
    LabelsError
        Some of the files cannot be heard.
    """
    import torch

    from mirclr.audio.augment import Views
    from mirclr.audio.mel import LogMel
    from mirclr.data.clips import ClipCache, Skipped
    from mirclr.training.run import clip_source
    from mirclr.training.trainer import Trainer
    from mirclr.training.validation import embed_clips

    plain = recipe.model_dump(mode="json") | {"distillation": None, "validation": None}
    plain |= {"objective": {"name": "cross_entropy"}, "data": {"train": "labelled", "labels": "genre"}}
    plain["augment"] |= {"mixup": None, "cutmix": None}
    cache = ClipCache(recipe, Views(recipe, LogMel(recipe.mel, recipe.audio.sample_rate)).takes.domain)
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

    def judge(known: np.ndarray, actual: np.ndarray, judged: np.ndarray, seed: int) -> np.ndarray:
        named = [
            replace(found[i], track=found[i].track.model_copy(update={"genre": f"{genre:06d}"}))
            for i, genre in zip(known.tolist(), actual.tolist(), strict=True)
        ]
        present = np.unique(actual)
        with tempfile.TemporaryDirectory() as folder:
            own = recipe_from(plain | {"seed": seed})
            trainer = Trainer(own, clip_source(own, cache, named), Path(folder), device=device)
            for _ in trainer.train():
                pass
        told = []
        for i in judged.tolist():
            with torch.no_grad():
                embeddings = embed_clips(trainer.exported, cache, found[i], trainer.device, trainer.dtype)
                logits = trainer.exported.projector(embeddings)[:, : len(present)]
            told.append(int(present[int(logits.softmax(dim=1).mean(dim=0).argmax())]))
        return np.array(told)

    if n_genres > recipe.projector.dim:
        raise LabelsError(f"{n_genres} genres, but projector.dim is {recipe.projector.dim}; raise it in the recipe")
    return judge


def plot_curve(points: Sequence[Point], path: Path) -> None:
    """Draw accuracy against the number of labelled tracks, with error bars, into a png, svg or pdf.

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra.of("the picture of the curve", "plot") from None
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xscale="log", xlabel="labelled tracks", ylabel="accuracy of genre")
    for name in dict.fromkeys(p.features for p in points):
        of = [p for p in points if p.features == name]
        x, y, spread = ([getattr(p, key) for p in of] for key in ("labelled", "accuracy", "spread"))
        axes.errorbar(x, y, spread, label=name, marker="o", capsize=3)
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
