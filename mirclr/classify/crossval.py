"""What heads are worth: nested cross-validation, grouped by artist.

What is fitted is chosen inside the training part alone: inner folds choose the regularisation and the
temperature, outer folds report, and no artist that is known is ever in two folds.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mirclr import metrics
from mirclr.classify.fitting import Task, fit_with_grid_search, grouped_folds, softmax, usable_tasks
from mirclr.classify.labels import Labels
from mirclr.classify.sureness import find_threshold
from mirclr.terminal import counted

ABSTAIN = 0.4
"""A genre is given when its calibrated probability is at least this."""
OUTER_FOLDS = 5
MEASURED_ON = "on songs of this library, each guessed by what the songs of other artists teach"

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
    unknown_artists : int
        Tracks whose artist is not known: their artists may be in two folds, and the scores too good.
    classes : dict of str to dict
        By genre: ``tracks``, the fraction ``right`` of them, and what most of the others are ``taken_for``.
    sure : dict or None
        Of genre, `mirclr.classify.sureness.Sureness`: from which probability on guesses were right nine times in ten.
    """

    task: str
    label: str
    tracks: int
    groups: int
    positive: str
    values: dict[str, float | None]
    chance: dict[str, float | None]
    unknown_artists: int = 0
    classes: dict[str, dict[str, Any]] = field(default_factory=dict)
    sure: dict[str, Any] | None = None


def protocol(scores: Sequence[Scores]) -> str:
    """How scores were made, for people: a title, which says so where they are too good."""
    tracks = max((one.tracks for one in scores), default=0)
    unknown = max((one.unknown_artists for one in scores), default=0)
    if not unknown:
        return "cross-validated; no artist is in two folds"
    if unknown >= tracks:
        return "cross-validated song by song: the artists are not known, so these figures are too good"
    some = counted(unknown, "song")
    return f"cross-validated by artist; the artist of {some} is not known, so these figures may be too good"


def in_plain_words(scores: Sequence[Scores]) -> str:
    """What `protocol` says, for people who have never heard of folds."""
    tracks = max((one.tracks for one in scores), default=0)
    unknown = max((one.unknown_artists for one in scores), default=0)
    if not unknown:
        return "Each song was guessed by what songs of other artists teach."
    whose = "the artists are" if unknown >= tracks else f"the artist of {counted(unknown, 'song')} is"
    return f"These figures are too good: {whose} not known, so other songs of the same artist helped to guess."


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
    artists = labels.artist_keys
    for task in usable_tasks(labels):
        found = _scores(task, _out_of_fold(vectors[task.rows], task), abstain)
        scores.append(replace(found, unknown_artists=int((artists[task.rows] == "").sum())))
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
    found = Scores(task.name, task.label, len(task.rows), groups, rule, _without_nan(values), _without_nan(chance))
    if task.name != "genre":
        return found
    predicted, actual = probabilities.argmax(axis=1), task.target.argmax(axis=1)
    sure = find_threshold(probabilities.max(axis=1), predicted == actual, task.groups, measured_on=MEASURED_ON)
    return replace(found, classes=_by_class(task, predicted, actual), sure=sure.to_json() if sure else None)


def _by_class(task: Task, predicted: np.ndarray, actual: np.ndarray) -> dict[str, dict[str, Any]]:
    found = {}
    for c, name in enumerate(task.classes):
        of = predicted[actual == c]
        wrong = np.bincount(of[of != c], minlength=len(task.classes))
        taken_for = task.classes[int(wrong.argmax())] if wrong.any() else ""
        found[name] = {"tracks": len(of), "right": float((of == c).mean()), "taken_for": taken_for}
    return found


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
    means = mean([s.values for s in moods]), mean([s.chance for s in moods])
    return Scores("mood", "mean", tracks, groups, "", *means, max(s.unknown_artists for s in moods))


def _without_nan(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}
