"""`personal`: does ``recommend --for`` find hidden favourites of simulated listeners by what they heard?"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import mirclr
from mirclr.evaluation.holdout import HeldOut, measure, strategies
from mirclr.ingest.embedding import embed_files
from mirclr.ingest.finding import find_audio
from mirclr.library import Listen
from mirclr.models.embedder import Embedder
from mirclr.tags import Tags
from tests.benchmarks.measuring import emotify

LISTENERS = 200
SEED = 7
N = 20
HISTORY = 30
CENTRES = (1, 2, 3, 5, 8)
BY = (
    "Recall and nDCG at 20 of hidden artists' tracks among those not heard: mean and standard error over listeners. "
    "Coverage: fraction of the tracks that anyone is recommended. Novelty: mean of 1 - cosine with the nearest heard. "
    "Nothing was tuned on these listeners; other numbers of centres are for comparison."
)


def personal(checkpoint: Path) -> dict[str, Any]:
    """Hidden tracks of simulated listeners among 20 of `recommend --for`; Emotify, which nothing is trained on."""
    rows = emotify()
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "l.db"
        with mirclr.Library.open(path, create=True) as library:
            files, _ = find_audio(list(rows), library)
            tags = {
                file: Tags(
                    title=rows[file]["file"],
                    artist=rows[file]["artist"],
                    album=rows[file]["album"] or None,
                )
                for _, file in files
            }
            for _ in embed_files(library, files, Embedder.load(checkpoint), known_tags=tags):
                pass
            return compare(library, [rows[track.file] for track in library.tracks()])


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

    Other artists of these genres are liked the more likely the more similar to a favourite their music was felt to be
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


def compare(library: mirclr.Library, table: Sequence[Mapping[str, str]], listeners: int = LISTENERS) -> dict[str, Any]:
    """Ask for each listener, and measure that and baselines; `table` has what is known of each of the tracks."""
    rng = np.random.default_rng(SEED)
    genres, artists = (np.array([row[name] for row in table]) for name in ("genre", "artist"))
    moods = np.array([[float(v) for name, v in row.items() if name.startswith("mood_")] for row in table])
    moods = (moods - moods.mean(axis=0)) / moods.std(axis=0)
    ids = library.ids()
    titles = [track.title or "" for track in library.tracks()]
    who = [draw(rng, genres, artists, moods) for _ in range(listeners)]
    questions = [
        HeldOut(
            tuple(Listen(artists[r], titles[r], plays=int(p)) for r, p in zip(one.heard, one.plays, strict=True)),
            ids[one.heard],
            one.plays.astype(np.float64),
            int(ids[one.heard[-1]]),
            ids[one.heard],
            ids[one.hidden],
            {},
        )
        for one in who
    ]
    found_by = strategies(library, library.index, n=N, seed=SEED)
    answers = {strategy: [ask(one) for one in questions] for strategy, ask in found_by.items()}
    answers["random of the genres that are liked"] = [
        ids[rng.permutation(np.setdiff1d(np.flatnonzero(one.possible), one.heard))][:N] for one in who
    ]
    for centres in CENTRES:
        with patch("mirclr.recommend.taste.centre_count", lambda n, k=centres: min(n, k)):
            answers[f"recommend --for, {centres} centres"] = [found_by["recommend --for"](one) for one in questions]
    found, gains = measure(library.index, questions, answers, N)
    difference = gains["recommend --for"] - gains["nearest to the mean"]
    return {
        "tracks": len(ids),
        "listeners": listeners,
        "heard": round(float(np.mean([len(one.heard) for one in who])), 1),
        "hidden": round(float(np.mean([len(one.hidden) for one in who])), 1),
        "measured": [row.to_json() for row in found],
        "ndcg_above_nearest_to_the_mean": [
            round(float(difference.mean()), 4),
            round(float(difference.std(ddof=1)) / len(difference) ** 0.5, 4),
        ],
        "by": BY,
    }
