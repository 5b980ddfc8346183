"""What a person says of their songs, and how it changes what is guessed of the others: heads refitted in a moment.

Heads were fitted on other music. Where a person says what is right of some songs, the weights move from where they are
by no more than these songs ask for: a logistic regression with a Gaussian prior around the heads (`STIFFNESS`; as in
Evgeniou and Pontil 2004, regularised multi-task learning, KDD, section 2), on vectors centred on the library's own. So
songs that sound like a corrected one change most, and with few corrections little changes elsewhere. A genre that the
heads do not know becomes one of theirs. What a person says of a song holds for it.

Shares of genres, where they are known of a library, multiply what is probable (Saerens, Latinne and Decaestecker 2002,
Neural Computation 14(1), equation 2.4).

Conventions: n songs, d dimensions, C labels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from mirclr.classify.fitting import sigmoid, softmax
from mirclr.classify.heads import TASKS, Head, Heads
from mirclr.errors import LabelsError
from mirclr.library import LibraryStore
from mirclr.names import genre_key
from mirclr.provenance import digest_json
from mirclr.tags import SEPARATOR

STIFFNESS = 0.3
"""How hard the weights are to move: the inverse variance of what a song's logits may move by."""
SURE = 0.99
"""How probable it is what a person says of a song."""
_ALIKE = 0.3  # how much of what moves one song moves all alike
_NEW = 0.02  # how probable a genre that heads do not know is, before any correction
_SAMPLE = 2000  # songs by which vectors are centred
_LEAST = 1e-3  # share of a genre that a person's shares leave out, at the least


@dataclass(frozen=True)
class Corrections:
    """What a person corrected in a library.

    Attributes
    ----------
    answers : dict
        By task, track id and label, whether it is right; of `mirclr.library.LibraryStore.answers`.
    shares : dict of str to float
        Of genres in the library; empty where none were given.
    """

    answers: Mapping[str, Mapping[int, Mapping[str, bool]]]
    shares: Mapping[str, float]

    @classmethod
    def of(cls, library: LibraryStore) -> Corrections:
        """All that a library keeps."""
        held = {task: library.answers(task) for task in TASKS}
        return cls({task: rows for task, rows in held.items() if rows}, library.genre_shares())

    def __bool__(self) -> bool:
        return bool(self.answers or self.shares)

    @property
    def digest(self) -> str:
        """Of all of it."""
        plain = {t: {str(i): dict(of) for i, of in rows.items()} for t, rows in self.answers.items()}
        return digest_json([plain, dict(self.shares)])[:12]


def corrected(heads: Heads, library: LibraryStore, corrections: Corrections) -> Heads:
    """Refit heads to what a person corrected.

    Parameters
    ----------
    heads : Heads
        Of the library's encoder; they are left as they are.
    library : LibraryStore
        Holds the vectors of the songs.
    corrections : Corrections
        Of it.

    Returns
    -------
    Heads
        Of the same tasks; a genre may be new.
    """
    ids = sorted({i for rows in corrections.answers.values() for i in rows})
    held, vectors = library.vectors(ids)
    row = {int(i): k for k, i in enumerate(held)}
    centre, scale = _centre(library)
    x = (vectors.astype(np.float64) - centre) / scale
    found = Heads(abstain=heads.abstain)
    for name in ("encoder", "training", "scores", "provenance", "sureness", "written_as", "priors"):
        setattr(found, name, getattr(heads, name))
    for task, head in heads.tasks.items():
        rows = {row[i]: of for i, of in corrections.answers.get(task, {}).items() if i in row}
        if rows:
            head = _moved(_with_new_labels(head, rows.values(), centre), rows, x, vectors, centre, scale)
        if task == "genre" and corrections.shares:
            head = _with_shares(head, heads, library, corrections.shares)
        found.tasks[task] = head
    return found


def obeyed(head: Head, ids: np.ndarray, table: np.ndarray, answers: Mapping[int, Mapping[str, bool]]) -> np.ndarray:
    """(n, C) probabilities in which what a person corrected holds, as `SURE` has it."""
    at, column = {int(i): k for k, i in enumerate(ids)}, {name: c for c, name in enumerate(head.labels)}
    table = table.copy()
    for i, of in answers.items():
        if i not in at:
            continue
        known = {column[name]: yes for name, yes in of.items() if name in column}
        if not known:
            continue
        if head.kind == "many":
            table[at[i], list(known)] = [SURE if yes else 1 - SURE for yes in known.values()]
            continue
        row = table[at[i]]
        right = [c for c, yes in known.items() if yes]
        row[[c for c, yes in known.items() if not yes]] = 0.0
        if right:
            row[:] = row * (1 - SURE) / max(1e-12, row.sum() - row[right[-1]])
            row[right[-1]] = SURE
        elif row.sum() > 0:
            row /= row.sum()
    return table


def _centre(library: LibraryStore) -> tuple[np.ndarray, float]:
    """The mean of a library's vectors, and how far they are from it, by a sample."""
    ids = library.ids()
    some = ids[np.linspace(0, len(ids) - 1, min(len(ids), _SAMPLE)).astype(int)] if len(ids) else ids
    vectors = library.vectors(some.tolist())[1].astype(np.float64)
    if not len(vectors):
        return np.zeros(vectors.shape[1]), 1.0
    centre = vectors.mean(axis=0)
    return centre, max(1e-6, math.sqrt(float(np.square(vectors - centre).sum(axis=1).mean())))


def _with_new_labels(head: Head, rows: Iterable[Mapping[str, bool]], centre: np.ndarray) -> Head:
    """A head of genres that knows all that a person named; of other tasks as it is."""
    new = [name for name in dict.fromkeys(n for of in rows for n, yes in of.items() if yes) if name not in head.labels]
    if head.kind != "one" or not new:
        return head
    heat = float(head.temperature[0])
    logits = (centre @ head.weight.T + head.bias) / heat
    usual = float(np.logaddexp.reduce(logits)) + math.log(_NEW)
    return Head(
        "one",
        (*head.labels, *new),
        np.concatenate([head.weight, np.zeros((len(new), head.weight.shape[1]), np.float32)]),
        np.concatenate([head.bias, np.full(len(new), usual * heat, np.float32)]),
        np.full(len(head.labels) + len(new), heat, np.float32),
    )


def _moved(
    head: Head,
    rows: Mapping[int, Mapping[str, bool]],
    x: np.ndarray,
    vectors: np.ndarray,
    centre: np.ndarray,
    scale: float,
) -> Head:
    """A head moved by the corrected rows of the (n, d) centred vectors."""
    from scipy.optimize import minimize

    order = sorted(rows)
    column = {name: c for c, name in enumerate(head.labels)}
    targets = np.array([[rows[r].get(name, np.nan) for name in head.labels] for r in order], float)
    if head.kind == "one":  # of several genres the last that was named counts
        for k, r in enumerate(order):
            right = [column[name] for name, yes in rows[r].items() if yes and name in column]
            if right:
                targets[k] = 0.0
                targets[k, right[-1]] = 1.0
    features = np.column_stack([x[order], np.full(len(order), _ALIKE)])
    start = (vectors[order].astype(np.float64) @ head.weight.T + head.bias) / head.temperature
    shape = (len(head.labels), features.shape[1])
    loss = _genre_loss if head.kind == "one" else _label_loss

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        moved = flat.reshape(shape)
        value, slope = loss(start + features @ moved.T, targets)
        return value + STIFFNESS / 2 * float(flat @ flat), (slope.T @ features + STIFFNESS * moved).ravel()

    moved = minimize(objective, np.zeros(math.prod(shape)), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    moved = moved.reshape(shape)
    by = moved[:, :-1] / scale
    heat = head.temperature.astype(np.float64)
    return replace(
        head,
        weight=(head.weight + heat[:, None] * by).astype(np.float32),
        bias=(head.bias + heat * (_ALIKE * moved[:, -1] - by @ centre)).astype(np.float32),
    )


def _genre_loss(logits: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
    """Of genres that are right, or, where none is known to be, of those that are wrong; and its (n, C) slope."""
    p = softmax(logits)
    known, wrong = (targets == 1).any(axis=1), targets == 0
    right = np.where(known, (p * (targets == 1)).sum(axis=1), 1 - (p * wrong).sum(axis=1)).clip(1e-12)
    kept = np.where(known[:, None], targets == 1, ~wrong) * p / right[:, None]
    return float(-np.log(right).sum()), p - kept


def _label_loss(logits: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
    """Of labels each by itself, where something is known; and its (n, C) slope."""
    known = ~np.isnan(targets)
    target = np.where(known, targets, 0.0)
    value = (np.logaddexp(0, logits) - target * logits)[known].sum()
    return float(value), np.where(known, sigmoid(logits) - target, 0.0)


def _with_shares(head: Head, heads: Heads, library: LibraryStore, shares: Mapping[str, float]) -> Head:
    """A head of genres by which these are as common as shares say; what they leave over is for the others."""
    usual = heads.priors.get("genre")
    if usual is None:
        ids = library.ids()
        some = ids[:: max(1, len(ids) // _SAMPLE)].tolist()
        found = heads.tasks["genre"].predict_proba(library.vectors(some)[1]).mean(axis=0)
        usual = dict(zip(heads.tasks["genre"].labels, found.tolist(), strict=True))
    named = {name: max(_LEAST, share) for name, share in shares.items() if name in head.labels}
    rest = max(_LEAST, 1 - sum(named.values()))
    others = sum(max(_LEAST, usual.get(name, _LEAST)) for name in head.labels if name not in named) or 1.0
    factors = [
        math.log((named[name] if name in named else rest * was / others) / was)
        for name in head.labels
        for was in [max(_LEAST, usual.get(name, _LEAST))]
    ]
    return replace(head, bias=(head.bias + head.temperature * np.array(factors)).astype(np.float32))


def shares_of_tags(library: LibraryStore, labels: Iterable[str]) -> dict[str, float]:
    """The share of each genre of some heads in what a library's files' own tags say, smoothed by one song each.

    Raises
    ------
    LabelsError
        No tag names any of them.
    """
    keys = {key: label for label in labels for key in (genre_key(label), *map(genre_key, label.split(" & "))) if key}
    _, tags = library.column("genre")
    firsts = (next((keys[k] for part in tag.split(SEPARATOR) if (k := genre_key(part)) in keys), None) for tag in tags)
    counted = Counter(label for label in firsts if label)
    if not counted:
        raise LabelsError(f"{library.path}: no tag of its files names a genre that is guessed; name shares yourself")
    total = counted.total() + len(set(keys.values()))
    return {label: (counted[label] + 1) / total for label in dict.fromkeys(keys.values())}
