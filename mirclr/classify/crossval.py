"""What heads are worth: nested cross-validation, grouped by artist.

What is fitted is chosen inside the training part alone: inner folds choose the regularisation and the
temperature, outer folds report, and no artist is ever in two folds.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mirclr import metrics
from mirclr.classify.fitting import Task, fit_with_grid_search, grouped_folds, softmax, usable_tasks
from mirclr.classify.labels import Labels

ABSTAIN = 0.4
"""A genre is given when its calibrated probability is at least this."""
OUTER_FOLDS = 5

Advance = Callable[[int, str], None]


@dataclass(frozen=True)
class Scores:
    """Cross-validated scores of one task, on the predictions of all outer folds together.

    Attributes
    ----------
    task, label : str
        ``genre`` with an empty label, or ``mood`` with the mood's name (``mean`` for the mean of all).
    tracks, groups : int
        How many tracks, of how many artists (or files without one).
    positive : str
        What counts as positive for the ROC-AUC and the average precision.
    values : dict of str to float or None
        ``accuracy``, ``macro_f1``, ``roc_auc``, ``map``, ``pearson_r``, ``ece`` (expected calibration error);
        for genre ``answered``, the fraction of tracks that are not unknown, and ``accuracy_answered``. None: undefined.
    chance : dict of str to float or None
        The same of a rule that ignores the vectors: the commonest label for accuracy and macro-F1, 0.5 for ROC-AUC,
        the prevalence for average precision, 0 for Pearson's r.
    """

    task: str
    label: str
    tracks: int
    groups: int
    positive: str
    values: dict[str, float | None]
    chance: dict[str, float | None]


def cross_validate(
    vectors: np.ndarray, labels: Labels, *, abstain: float = ABSTAIN, advance: Advance | None = None
) -> list[Scores]:
    """Measure how well genre and moods can be predicted from vectors, by cross-validation grouped by artist.

    Parameters
    ----------
    vectors : (n, d) float
        One a row of `labels`.
    labels : Labels
        What is true.
    abstain : float in [0, 1]
        Threshold below which a genre is unknown.
    advance : callable, optional
        Called for each task that is done; there are as many as `usable_tasks` gives.

    Returns
    -------
    list of Scores
        Genre, each mood, the mean of the moods; whatever of these can be measured.

    Raises
    ------
    LabelsError
        Nothing can be measured.
    """
    scores = []
    for task in usable_tasks(labels):
        scores.append(_scores(task, _out_of_fold(vectors[task.rows], task), abstain))
        if advance:
            advance(1, task.label or task.name)
    moods = [s for s in scores if s.task == "mood"]
    return [*scores, *([_mean(moods)] if len(moods) > 1 else [])]


def _out_of_fold(x: np.ndarray, task: Task) -> np.ndarray:
    """(m, C) probabilities of each row by a head that was not fitted on its artist."""
    probabilities = np.zeros(task.target.shape)
    for train, test in grouped_folds(task.target, task.groups, OUTER_FOLDS):
        fit = fit_with_grid_search(x[train], task.target[train], task.groups[train])
        probabilities[test] = softmax(fit.logits(x[test]) / fit.temperature)
    return probabilities


def _scores(task: Task, probabilities: np.ndarray, abstain: float) -> Scores:
    groups = len(set(task.groups))
    if task.name == "genre":
        rule, values, chance = _genre_scores(task, probabilities, abstain)
    else:
        rule, values, chance = _mood_scores(task.target[:, 1], probabilities[:, 1])
    return Scores(task.name, task.label, len(task.rows), groups, rule, _without_nan(values), _without_nan(chance))


def _genre_scores(
    task: Task, probabilities: np.ndarray, abstain: float
) -> tuple[str, dict[str, float], dict[str, float]]:
    actual = task.target.argmax(axis=1)
    predicted = probabilities.argmax(axis=1)
    answered = probabilities.max(axis=1) >= abstain
    each = [(actual == c, probabilities[:, c]) for c in range(len(task.classes))]
    values = {
        "accuracy": metrics.accuracy(predicted, actual),
        "macro_f1": metrics.macro_f1(predicted, actual),
        "roc_auc": float(np.mean([metrics.roc_auc(*one) for one in each])),
        "map": float(np.mean([metrics.average_precision_of_scores(*one) for one in each])),
        "ece": metrics.expected_calibration_error(probabilities.max(axis=1), predicted == actual),
        "answered": float(answered.mean()),
        "accuracy_answered": metrics.accuracy(predicted[answered], actual[answered]),
    }
    commonest = np.full(len(actual), np.bincount(actual).argmax())
    chance = {
        "accuracy": metrics.accuracy(commonest, actual),
        "macro_f1": metrics.macro_f1(commonest, actual),
        "roc_auc": 0.5,
        "map": 1 / len(task.classes),  # the mean of the prevalences
    }
    return "each genre against the rest", values, chance


def _mood_scores(fraction: np.ndarray, probability: np.ndarray) -> tuple[str, dict[str, float], dict[str, float]]:
    yes_or_no = bool(np.isin(fraction, (0, 1)).all())
    median = float(np.median(fraction))
    positive = fraction >= 0.5 if yes_or_no else fraction > median
    rule = "at least 0.5" if yes_or_no else f"above the median, {median:.3f}"
    values = {
        "roc_auc": metrics.roc_auc(positive, probability),
        "map": metrics.average_precision_of_scores(positive, probability),
        "ece": metrics.expected_calibration_error(probability, fraction),
    }
    chance = {"roc_auc": 0.5, "map": float(positive.mean())}
    if yes_or_no:
        commonest = np.full(len(fraction), positive.mean() >= 0.5)
        for name, score in (("accuracy", metrics.accuracy), ("macro_f1", metrics.macro_f1)):
            values[name] = score(probability >= 0.5, positive)
            chance[name] = score(commonest, positive)
    else:
        values["pearson_r"], chance["pearson_r"] = metrics.pearson(probability, fraction), 0.0
    return rule, values, chance


def _mean(moods: Sequence[Scores]) -> Scores:
    def mean(columns: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
        names = dict.fromkeys(name for column in columns for name in column)
        found = {name: [v for c in columns if (v := c.get(name)) is not None] for name in names}
        return {name: float(np.mean(v)) if v else None for name, v in found.items()}

    tracks, groups = max(s.tracks for s in moods), max(s.groups for s in moods)
    return Scores("mood", "mean", tracks, groups, "", mean([s.values for s in moods]), mean([s.chance for s in moods]))


def _without_nan(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}
