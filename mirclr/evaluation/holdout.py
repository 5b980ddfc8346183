"""What `recommend --for` finds of what a listener likes: part of a history is held out, and looked for.

Whole artists are held out, so that it takes the sound of what was played to find them, and not a name. Beside it stand
plainer strategies on the same vectors.

Conventions: a question is a `HeldOut`; a strategy answers it with track ids, the best first.

Contents: `hold_out` (a history to a question), `strategies`, `measure` (answers to scores).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from mirclr.errors import NoMatch
from mirclr.index import Index
from mirclr.library import LibraryStore, Listen
from mirclr.library.names import artist_key, components
from mirclr.metrics import ndcg
from mirclr.recommend import MetadataFilters, Query, recommend
from mirclr.recommend.taste import MatchedListens, mean_direction
from mirclr.terminal import counted

_LEAST = 3  # artists of whom something is liked

Strategy = Callable[["HeldOut"], np.ndarray]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A history of which a part is held out.

    Attributes
    ----------
    listens : tuple of Listen
        The history without what is held out.
    played : (h,) int64
        The tracks that these are of, and that are not disliked.
    plays : (h,) float64
        How often, at least 1.
    last : int
        The track that was played last.
    known : (k,) int64
        All tracks that are not to be found: those that are played or disliked.
    hidden : (t,) int64
        The tracks that are held out.
    copies : dict of int to int
        Other tracks of the same artist and title as one of these, each with that one: finding it is as good.
    """

    listens: tuple[Listen, ...]
    played: np.ndarray
    plays: np.ndarray
    last: int
    known: np.ndarray
    hidden: np.ndarray
    copies: Mapping[int, int]


@dataclass(frozen=True)
class StrategyScores:
    """What a strategy found; means over questions with their standard errors.

    Attributes
    ----------
    strategy : str
    recall, recall_error : float
        Fraction of what is held out that is among the n tracks.
    ndcg, ndcg_error : float
        The same with an eye on the order; see `mirclr.metrics.ndcg`.
    coverage : float
        Fraction of the library that any question was answered with.
    novelty : float
        Mean of 1 - cosine with the nearest track that was played.
    """

    strategy: str
    recall: float
    recall_error: float
    ndcg: float
    ndcg_error: float
    coverage: float
    novelty: float

    def to_json(self) -> dict[str, Any]:
        """JSON values, under the keys that the command has always written."""
        values = asdict(self)
        return {"way": values.pop("strategy"), **values}


def hold_out(
    library: LibraryStore, listens: Sequence[Listen], matched: MatchedListens, fraction: float, rng: np.random.Generator
) -> HeldOut:
    """Hold out artists, drawn at random, until they have a fraction of the tracks that a listener likes.

    A track counts as liked that was played or is liked, and is disliked nowhere; without an artist it is of one of its
    own. Artists of whom one recording is held go together. At least one stays.

    Parameters
    ----------
    library : LibraryStore
        Where the tracks are.
    listens : sequence of Listen
        The history.
    matched : MatchedListens
        What `match_listens` finds of it, the same for any number of draws.
    fraction : float in (0, 1)
        How much is to be held out.
    rng : np.random.Generator
        Draws the artists.

    Raises
    ------
    NoMatch
        The library holds liked tracks of fewer than three artists.
    """
    of = dict(zip(matched.rows.tolist(), matched.ids.tolist(), strict=True))
    disliked = {of[row] for row in of if listens[row].taste < 0}
    liked = {of[row] for row in of if listens[row].plays or listens[row].taste > 0} - disliked
    tracks = library.tracks(sorted(liked))
    keys: dict[int, list[object]] = {track.id: [artist_key(track)] for track in tracks}
    for pair in library.near_duplicates(list(keys)):
        for track_id in pair:
            if track_id in keys:
                keys[track_id].append(pair)
    by_artist: dict[int, list[int]] = defaultdict(list)
    for track_id, group in zip(keys, components(keys.values()), strict=True):
        by_artist[group].append(track_id)
    if len(by_artist) < _LEAST:
        raise NoMatch(
            f"{library.path}: {counted(len(by_artist), 'artist')} that this listener likes "
            f"{'is' if len(by_artist) == 1 else 'are'} in it; to measure takes {_LEAST}"
        )
    names, hidden = list(by_artist), set[int]()
    for place in rng.permutation(len(names))[:-1]:
        if hidden and len(hidden) + len(by_artist[names[place]]) / 2 > fraction * len(liked):
            break  # nearer to the fraction without it
        hidden.update(by_artist[names[place]])
    plays = dict.fromkeys(sorted(liked - hidden), 0)
    last_s = dict.fromkeys(plays, -np.inf)
    for row, track_id in of.items():
        if track_id in plays:
            plays[track_id] += listens[row].plays
            last_s[track_id] = max(last_s[track_id], -np.inf if (at := listens[row].last_s) is None else at)
    others = tuple(listen for row, listen in enumerate(listens) if of.get(row) not in hidden)
    found_as = {copy: track_id for copy, track_id in matched.copies.items() if track_id in hidden}
    return HeldOut(
        others,
        np.array(list(plays), np.int64),
        np.maximum(1.0, list(plays.values())),
        max(plays, key=lambda i: (last_s[i], i)),
        np.array(sorted({*plays, *disliked, *matched.copies} - found_as.keys()), np.int64),
        np.array(sorted(hidden), np.int64),
        found_as,
    )


def strategies(library: LibraryStore, index: Index, *, n: int, seed: int) -> dict[str, Strategy]:
    """`recommend --for` and baselines, each of which gives n tracks that are not known.

    Parameters
    ----------
    library, index
        What is asked.
    n : int
        Tracks wanted.
    seed : int
        Of what is drawn at random.
    """
    ids, filters, query = index.ids, MetadataFilters(library), Query(n=n, profile="a listener", fill=True)

    def recommended(query: Query) -> Strategy:
        return lambda asked: _recommended(library, index, filters, asked, query)

    def nearest(middle: Callable[[HeldOut], np.ndarray]) -> Strategy:
        return lambda asked: _nearest(index, ids, asked, middle(asked), n)

    def weights(asked: HeldOut) -> np.ndarray:
        return np.log2(1 + asked.plays)

    def drawn(asked: HeldOut) -> np.ndarray:
        return np.random.default_rng([seed, *asked.played]).permutation(np.setdiff1d(ids, asked.known))[:n]

    return {
        "recommend --for": recommended(query),
        "recommend --for, any number of an artist": recommended(replace(query, artist_cap=0, artist_gap=0)),
        "nearest to any track that was heard": nearest(lambda asked: index.vectors(asked.played)),
        "nearest to the mean": nearest(lambda asked: mean_direction(index.vectors(asked.played), weights(asked))[None]),
        "nearest to the last": nearest(lambda asked: index.vectors(np.array([asked.last]))),
        "random": drawn,
    }


def measure(
    index: Index, questions: Sequence[HeldOut], answers: Mapping[str, Sequence[np.ndarray]], n: int
) -> tuple[list[StrategyScores], dict[str, np.ndarray]]:
    """Measure how much of what is held out was found.

    Parameters
    ----------
    index : Index
        Of the library that was asked.
    questions : sequence of HeldOut
        At least two.
    answers : mapping of str to sequence of (≤ n,) int64
        For each strategy the tracks that it gave for each question.
    n : int
        How many were wanted.

    Returns
    -------
    found : list of StrategyScores
        One for each strategy.
    gains : dict
        The nDCG of each question, for each strategy: (q,) float64.
    """
    found, gains = [], {}
    for strategy, given in answers.items():
        recall, gain, novelty = [], [], []
        for asked, ids in zip(questions, given, strict=True):
            right = _right(asked, ids)
            recall.append(right.sum() / len(asked.hidden))
            gain.append(ndcg(right, len(asked.hidden), n))
            if len(ids):
                near = index.vectors(ids) @ index.vectors(asked.played).T
                novelty.append(1 - float(near.max(axis=1).mean()))
        gains[strategy] = np.array(gain)
        seen = len(np.unique(np.concatenate(given))) / len(index)
        means = (*_mean(recall), *_mean(gain))
        found.append(StrategyScores(strategy, *means, round(seen, 4), round(float(np.mean(novelty or 0)), 4)))
    return found, gains


def _right(asked: HeldOut, ids: np.ndarray) -> np.ndarray:
    """(m,) bool: which of m tracks are held out, or the copy of one, each counted once."""
    meant = np.array([asked.copies.get(i, i) for i in ids.tolist()], np.int64)
    first = np.zeros(len(meant), bool)
    first[np.unique(meant, return_index=True)[1]] = True
    return first & np.isin(meant, asked.hidden)


def _recommended(
    library: LibraryStore, index: Index, filters: MetadataFilters, asked: HeldOut, query: Query
) -> np.ndarray:
    last = [listen.last_s for listen in asked.listens if listen.last_s is not None]
    answer = recommend(library, index, query, filters=filters, listens=asked.listens, now_s=max(last) if last else None)
    return np.array([r.track.id for r in answer.recommendations], np.int64)


def _nearest(index: Index, ids: np.ndarray, asked: HeldOut, vectors: np.ndarray, n: int) -> np.ndarray:
    """The n tracks that are nearest to any of some vectors."""
    allowed = np.zeros(int(ids[-1]) + 1, bool)
    allowed[ids] = True
    allowed[asked.known[asked.known < len(allowed)]] = False
    similarities, found = index.search(vectors, n, allowed=allowed)
    order = np.lexsort((found.ravel(), -similarities.ravel()))
    best = found.ravel()[order[np.isfinite(similarities.ravel()[order])]]
    return best[np.sort(np.unique(best, return_index=True)[1])][:n]


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """With its standard error; of at least two values."""
    return round(float(np.mean(values)), 4), round(float(np.std(values, ddof=1)) / len(values) ** 0.5, 4)
