"""The tasks that labels hold, and how each is fitted and calibrated; scikit-learn is used here alone."""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mirclr.classify.labels import Labels
from mirclr.errors import LabelsError

INNER_FOLDS = 3
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
"""Inverse regularisation (scikit-learn's C) to choose from."""
_TEMPERATURES = np.geomspace(0.2, 10, 121)
_NEVER_SEEN = -20.0  # logit of a class that its training part lacks


@dataclass(frozen=True, eq=False)
class Task:
    """One thing to predict, genre or a mood.

    Attributes
    ----------
    name, label : str
        As of `Scores`.
    classes : tuple of str
        C names.
    rows : (m,) int
        Rows of the labels in which it is known.
    target : (m, C) float
        What fraction of each row is of each class; rows add up to 1.
    groups : (m,) of any value
        What folds never split.
    problem : str
        Why it cannot be fitted; empty when it can.
    """

    name: str
    label: str
    classes: tuple[str, ...]
    rows: np.ndarray
    target: np.ndarray
    groups: np.ndarray
    problem: str = ""


def _tasks(labels: Labels) -> Iterator[Task]:
    known = np.flatnonzero(labels.genre != "")
    classes, index = np.unique(labels.genre[known].astype(str), return_inverse=True)
    if len(known):
        yield _task("genre", "", tuple(classes.tolist()), known, np.eye(len(classes))[index], labels.groups)
    for column, mood in enumerate(labels.moods):
        known = np.flatnonzero(~np.isnan(labels.fractions[:, column]))
        fraction = labels.fractions[known, column]
        target = np.column_stack([1 - fraction, fraction])
        yield _task("mood", mood, (f"not {mood}", mood), known, target, labels.groups)


def _task(
    name: str, label: str, classes: tuple[str, ...], rows: np.ndarray, target: np.ndarray, groups: np.ndarray
) -> Task:
    problem = ""
    if len(rows) == 0 or np.ptp(target, axis=0).max() == 0:
        problem = "the same for all tracks that have it, or for none known"
    elif len(set(groups[rows])) < 2:
        problem = "known for one artist only; expected at least two"
    return Task(name, label, classes, rows, target, groups[rows], problem)


def unusable(labels: Labels) -> dict[str, str]:
    """The tasks of the labels that cannot be fitted, with the reason."""
    return {task.label or task.name: task.problem for task in _tasks(labels) if task.problem}


def usable_tasks(labels: Labels) -> list[Task]:
    """The tasks of the labels that can be fitted.

    Raises
    ------
    LabelsError
        There is none.
    """
    tasks = [task for task in _tasks(labels) if not task.problem]
    if not tasks:
        reasons = "; ".join(f"{what}: {why}" for what, why in unusable(labels).items())
        raise LabelsError(
            f"{labels.source}: nothing to learn ({reasons or 'no genre and no mood'}); expected a column "
            "genre with two or more genres, or columns mood_… or tag_…"
        )
    return tasks


@dataclass(frozen=True, eq=False)
class Fit:
    """Linear layer on vectors as they are.

    Attributes
    ----------
    weight, bias : (C, d) and (C,) float64
    seen : (C,) bool
        Which classes its training part has.
    temperature : float
        By which to divide the logits, for calibrated probabilities.
    """

    weight: np.ndarray
    bias: np.ndarray
    seen: np.ndarray
    temperature: float = 1.0

    def logits(self, x: np.ndarray) -> np.ndarray:
        """(m, d) -> (m, C)."""
        logits: np.ndarray = x @ self.weight.T + self.bias
        return logits


def _fit(x: np.ndarray, target: np.ndarray, strength: float) -> Fit:
    """Multinomial logistic regression on standardised vectors, rows weighted by their fraction of each class."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    x = x.astype(np.float64)
    row, label = np.nonzero(target)
    present = np.unique(label)
    weight, bias = np.zeros((target.shape[1], x.shape[1])), np.full(target.shape[1], _NEVER_SEEN)
    bias[present] = 0.0
    if len(present) > 1:
        scaler = StandardScaler().fit(x)
        model = LogisticRegression(C=strength, tol=1e-3, max_iter=2000)
        # at this size threads cost more than they save; and few labels are no mistake, as scikit-learn would warn
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            model.fit(scaler.transform(x)[row], label, sample_weight=target[row, label])
        which = present[1:] if len(present) == 2 else present  # of two classes the first's logit is 0
        weight[which] = model.coef_ / scaler.scale_
        bias[which] = model.intercept_ - weight[which] @ scaler.mean_
    return Fit(weight, bias, np.isin(np.arange(target.shape[1]), present))


def fit_with_grid_search(x: np.ndarray, target: np.ndarray, groups: np.ndarray) -> Fit:
    """Fit on all rows, with the strength and temperature of least log loss on inner folds.

    Parameters
    ----------
    x : (m, d) float
        Vectors.
    target : (m, C) float
        As of `Task`.
    groups : (m,) of any value
        As of `Task`.
    """
    best, chosen = math.inf, (STRENGTHS[len(STRENGTHS) // 2], 1.0)
    folds = grouped_folds(target, groups, INNER_FOLDS)
    for strength in STRENGTHS if folds else ():
        logits, judged = np.zeros(target.shape), np.zeros(len(x), bool)
        for train, test in folds:
            fit = _fit(x[train], target[train], strength)
            logits[test] = fit.logits(x[test])
            judged[test] = target[test][:, ~fit.seen].sum(axis=1) == 0  # no strength helps with the others
        if judged.any():
            losses = [_log_loss(logits[judged] / t, target[judged]) for t in _TEMPERATURES]
            if min(losses) < best:
                best, chosen = min(losses), (strength, float(_TEMPERATURES[int(np.argmin(losses))]))
    return replace(_fit(x, target, chosen[0]), temperature=chosen[1])


def grouped_folds(
    target: np.ndarray, groups: np.ndarray, most: int, *, seed: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(train, test) rows of folds that split no group and have similar fractions of each class.

    Parameters
    ----------
    target : (m, C) float
        As of `Task`.
    groups : (m,) of any value
        As of `Task`.
    most : int
        How many folds, where there are as many groups. Of a single group there are none.
    seed : int
        Of the shuffle.
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    commonest = target.argmax(axis=1)
    group = np.unique(groups.astype(str), return_inverse=True)[1]
    n = min(most, int(group.max(initial=0)) + 1, int(np.bincount(commonest).max(initial=0)))
    if n < 2:
        n = min(most, int(group.max(initial=0)) + 1)
        return list(GroupKFold(n).split(target, groups=group)) if n > 1 else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with fewer members than folds
        folds = list(StratifiedGroupKFold(n, shuffle=True, random_state=seed).split(target, commonest, group))
    if all(len(train) and len(test) for train, test in folds):
        return folds
    return list(GroupKFold(n).split(target, groups=group))


def _log_loss(logits: np.ndarray, target: np.ndarray) -> float:
    top = logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(logits - top).sum(axis=1, keepdims=True)) + top
    return float((target * (log_sum - logits)).sum() / len(logits))


def softmax(logits: np.ndarray) -> np.ndarray:
    """(n, C) logits -> (n, C) probabilities that add up to 1."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    rows: np.ndarray = e / e.sum(axis=1, keepdims=True)
    return rows


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logits -> probabilities, each by itself."""
    s: np.ndarray = 0.5 * (1 + np.tanh(0.5 * logits))  # never overflows
    return s
