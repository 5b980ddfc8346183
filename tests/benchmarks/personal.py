"""`personal`: are hidden favourites of simulated listeners found by what the listeners heard?"""

import csv
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mirclr.taste import BONUS, Taste, centre_count, find_centres, score

EMOTIFY = "MIRCLR_EMOTIFY"
LISTENERS = 400
SEED = 7
N = 20
HISTORY = 30
COUNTS: dict[str, Callable[[int], int]] = {
    **{str(k): (lambda n, k=k: k) for k in (1, 2, 3, 5, 8)},  # type: ignore[misc]
    "sqrt(n / 3)": centre_count,
    "n": lambda n: n,
}
BONUSES = (0.0, 0.05, 0.1, 0.2, 0.4)
SHIPPED = ("sqrt(n / 3)", BONUS)
BY = (
    "Recall and nDCG at 20 of hidden artists' tracks among those not heard: mean and standard error over the second "
    "half of the listeners. Centres and bonus were compared on the first half: other listeners, of the same artists. "
    "Coverage: share of the tracks that anyone is recommended. Novelty: mean of 1 - cosine with the nearest heard."
)


def personal(checkpoint: Path) -> dict[str, Any]:
    """Hidden tracks of simulated listeners among the 20 recommended by taste; Emotify, which nothing is trained on."""
    folder = Path(os.environ.get(EMOTIFY, ""))
    if not (folder / "labels.csv").is_file():
        sys.exit(f"{folder / 'labels.csv'} is not there; name the folder of Emotify: {EMOTIFY}=FOLDER")
    files, vectors = _vectors(folder, checkpoint)
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as f:
        rows = {row["file"]: row for row in csv.DictReader(f)}
    table = [rows[file] for file in files]
    moods = np.array([[float(value) for name, value in row.items() if name.startswith("mood_")] for row in table])
    return compare(vectors, [row["genre"] for row in table], [row["artist"] for row in table], moods)


def _vectors(music: Path, checkpoint: Path) -> tuple[list[str], np.ndarray]:
    """The tracks by path, and their vectors, as a person would get them."""
    with tempfile.TemporaryDirectory() as folder:
        library, vectors = Path(folder) / "l.db", Path(folder) / "v.npz"
        for command in (
            ["embed", str(music), "--library", str(library), "--checkpoint", str(checkpoint)],
            ["export", "--library", str(library), "--vectors", str(vectors)],
        ):
            subprocess.run([sys.executable, "-m", "mirclr", *command], check=True)
        with np.load(vectors) as held:
            return held["ids"].tolist(), held["vectors"]


@dataclass(frozen=True, eq=False)
class Listener:
    """What a simulated listener heard and would like too.

    Attributes
    ----------
    heard : (h,) int
        Rows of the tracks that were heard, the last one last.
    plays : (h,) int
        How often.
    hidden : (t,) int
        Rows of all tracks of other artists that the listener likes.
    possible : (n,) bool
        The tracks of the genres that the listener likes.
    """

    heard: np.ndarray
    plays: np.ndarray
    hidden: np.ndarray
    possible: np.ndarray


def draw(rng: np.random.Generator, genres: np.ndarray, artists: np.ndarray, moods: np.ndarray) -> Listener:
    """A listener of one to three genres with a favourite artist in each; a third of some 30 tracks is hidden.

    Other artists of these genres are the likelier to be liked the more alike to a favourite their music was felt to be
    (`moods`, standardised means of listeners' answers). Each liked artist is heard or hidden as a whole, favourites are
    heard, and played four times as often.
    """
    kinds = np.unique(genres)
    possible = np.isin(genres, rng.choice(kinds, rng.integers(1, min(3, len(kinds)) + 1), replace=False))
    of = {a: np.flatnonzero(possible & (artists == a)) for a in np.unique(artists[possible])}
    names = rng.permutation(list(of))
    favourites = {next(a for a in names if genre in genres[of[a]]): None for genre in np.unique(genres[possible])}
    felt = {a: moods[rows].mean(axis=0) for a, rows in of.items()}
    unlike = {a: min(np.linalg.norm(felt[a] - felt[b]) for b in favourites) + rng.gumbel() for a in names}
    liked = list(favourites)
    for a in sorted(set(names) - set(favourites), key=lambda a: unlike[a]):
        others = sum(len(of[b]) for b in liked[len(favourites) :])
        if others < HISTORY / 3 or others + sum(len(of[b]) for b in favourites) < HISTORY:
            liked.append(a)
    total, hidden = sum(len(of[a]) for a in liked), list[str]()
    for a in rng.permutation([a for a in liked if a not in favourites]):
        n = sum(len(of[b]) for b in hidden)
        if n < total / 3 and (n == 0 or n + len(of[a]) <= total / 2):
            hidden.append(a)
    heard = rng.permutation(np.concatenate([of[a] for a in liked if a not in hidden]))
    plays = rng.geometric(0.5, len(heard)) * np.where(np.isin(artists[heard], favourites), 4, 1)
    return Listener(heard, plays, np.concatenate([of[a] for a in hidden]), possible)


def compare(
    vectors: np.ndarray,
    genres: Sequence[str],
    artists: Sequence[str],
    moods: np.ndarray,
    *,
    listeners: int = LISTENERS,
) -> dict[str, Any]:
    """Choose number of centres and bonus on half of the listeners; measure that and baselines on the other half."""
    rng = np.random.default_rng(SEED)
    moods = (moods - moods.mean(axis=0)) / moods.std(axis=0)
    drawn = [draw(rng, np.array(genres), np.array(artists), moods) for _ in range(listeners)]
    tuning, testing = drawn[::2], drawn[1::2]
    variants = [(count, bonus) for count in COUNTS for bonus in BONUSES]
    tuned = {v: _measured(tuning, vectors, lambda w, v=v: by_taste(w, vectors, *v)) for v in variants}  # type: ignore[misc]
    best = max(variants, key=lambda v: tuned[v]["ndcg"].mean())
    ways: dict[str, Callable[[Listener], np.ndarray]] = {
        "taste, as shipped": lambda who: by_taste(who, vectors, *SHIPPED),
        "taste, as chosen here": lambda who: by_taste(who, vectors, *best),
        "nearest to any track that was heard": lambda who: (vectors @ vectors[who.heard].T).max(axis=1),
        "nearest to the mean": lambda who: vectors @ (_weights(who) @ vectors[who.heard]),
        "nearest to the last": lambda who: vectors @ vectors[who.heard[-1]],
        "random": lambda who: _random(who, len(vectors)),
        "random of the genres that are liked": lambda who: _random(who, len(vectors)) + who.possible,
    }
    told = {name: _measured(testing, vectors, way) for name, way in ways.items()}
    difference = told["taste, as shipped"]["ndcg"] - told["nearest to the mean"]["ndcg"]
    return {
        "tracks": len(vectors),
        "listeners": {"chosen on": len(tuning), "measured on": len(testing)},
        "heard": round(float(np.mean([len(who.heard) for who in testing])), 1),
        "hidden": round(float(np.mean([len(who.hidden) for who in testing])), 1),
        "measured": {name: _summary(values) for name, values in told.items()},
        "ndcg_above_nearest_to_the_mean": [round(difference.mean(), 4), round(_error(difference), 4)],
        "shipped": {"centres": SHIPPED[0], "bonus": SHIPPED[1]},
        "chosen": {"centres": best[0], "bonus": best[1]},
        "ndcg_where_chosen": {
            count: {str(bonus): round(float(tuned[count, bonus]["ndcg"].mean()), 4) for bonus in BONUSES}
            for count in COUNTS
        },
        "by": BY,
    }


def by_taste(who: Listener, vectors: np.ndarray, count: str, bonus: float) -> np.ndarray:
    """Scores of all tracks by a number of centres and a bonus."""
    centres, weights = find_centres(vectors[who.heard], _weights(who), COUNTS[count](len(who.heard)))
    nothing = np.empty((0, vectors.shape[1]), np.float32)
    return score(Taste(centres, weights, nothing, frozenset(), frozenset()), vectors, bonus=bonus)


def _weights(who: Listener) -> np.ndarray:
    return np.asarray(np.log2(1 + who.plays))


def _random(who: Listener, n: int) -> np.ndarray:
    return np.random.default_rng([SEED, *who.heard]).random(n)


def _measured(
    listeners: Sequence[Listener], vectors: np.ndarray, way: Callable[[Listener], np.ndarray]
) -> dict[str, np.ndarray]:
    """Each measure for each listener; ``found`` is what each is recommended, (listeners, N)."""
    told: dict[str, list[Any]] = {"recall": [], "ndcg": [], "novelty": [], "found": []}
    for who in listeners:
        scores = np.array(way(who), np.float64)
        scores[who.heard] = -np.inf
        found = np.argsort(-scores, kind="stable")[:N]
        right = np.isin(found, who.hidden)
        told["recall"].append(right.sum() / len(who.hidden))
        told["ndcg"].append(ndcg(right, len(who.hidden)))
        told["novelty"].append(1 - (vectors[found] @ vectors[who.heard].T).max(axis=1).mean())
        told["found"].append(found)
    return {name: np.array(values) for name, values in told.items()} | {"of": np.array(len(vectors))}


def ndcg(right: np.ndarray, relevant: int) -> float:
    """Normalised discounted cumulative gain of a ranked list.

    Järvelin and Kekäläinen 2002: Cumulated gain-based evaluation of IR techniques.
    """
    gains = [1 / math.log2(rank + 2) for rank in range(len(right))]
    return float(right @ np.array(gains) / sum(gains[:relevant]))


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5)


def _summary(told: Mapping[str, np.ndarray]) -> dict[str, Any]:
    ranked = {f"{name}_at_{N}": told[name] for name in ("recall", "ndcg")}
    return {
        **{name: round(float(values.mean()), 4) for name, values in ranked.items()},
        **{f"{name}_error": round(_error(values), 4) for name, values in ranked.items()},
        "coverage": round(len(np.unique(told["found"])) / int(told["of"]), 4),
        "novelty": round(float(told["novelty"].mean()), 4),
    }
