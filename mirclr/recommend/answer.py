"""`recommend`: a query, a library and its index to a list of recommendations."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mirclr.errors import NoMatch, QueryError
from mirclr.index import Index
from mirclr.library import LibraryStore, LibraryTrack, Listen
from mirclr.library.names import AlbumKey, album_keys, folder_key, is_shared
from mirclr.recommend.filters import MetadataFilters, likely_labels
from mirclr.recommend.path import CANDIDATES, chain_candidates, points_between
from mirclr.recommend.query import Query
from mirclr.recommend.ranking import (
    DECIMALS,
    NEGATIVE,
    Calibration,
    Candidate,
    Limits,
    SeenRecordings,
    arrange,
    choose,
    clusters_of,
    falling,
    jitter,
    mutual_proximity,
    products,
    usual,
)
from mirclr.recommend.reasons import Explainer, Explanation, distinguishing
from mirclr.recommend.rules import Rules, absolute_rule, genre_name, parse_rule
from mirclr.recommend.seeds import EmbedSeeds, Seed, find_seeds

_POOL = 128
_BLOCK = 4096
_ASKED = 32  # seeds of which each asks the index for its own neighbours


@dataclass(frozen=True)
class Recommendation:
    """One track of an answer.

    Attributes
    ----------
    rank : int
        From 1.
    track : LibraryTrack
    similarity : float in [-1, 1]
        Cosine with the nearest seed; on a path, with the track before it.
    alike : float in [0, 1] or None
        What it is ranked by: which fraction of the library's pairs of songs are less alike than it and its seed, as
        `Calibration` counts. It falls with the rank, for each group of similar seeds, unless diversity was asked for.
        On a path it is that of the track and the one before; None for the first.
    match : int from 0 to 100
        The same in whole per cents.
    reason : str
        For people: what it has in common with its seed and sets it apart from the others, in three words at most; or
        empty.
    explanation : Explanation
        The same, as values.
    """

    rank: int
    track: LibraryTrack
    similarity: float
    match: int
    reason: str
    explanation: Explanation
    alike: float | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """What `recommend` answers.

    Attributes
    ----------
    query : Query
    seeds : tuple of Seed
        What it started from.
    recommendations : list of Recommendation
        In the order of playing.
    remarks : list of str
        For people: which seeds did not count, why there are fewer than were asked for.
    """

    query: Query
    seeds: tuple[Seed, ...]
    recommendations: list[Recommendation]
    remarks: list[str]


def recommend(
    library: LibraryStore,
    index: Index,
    query: Query,
    *,
    filters: MetadataFilters | None = None,
    embed_seeds: EmbedSeeds | None = None,
    excerpts: bool = False,
    listens: Sequence[Listen] | None = None,
    now_s: float | None = None,
) -> Answer:
    """Recommend tracks of a library.

    Candidates are the tracks nearest to the seeds; they are ranked by `mutual_proximity` to the nearest seed, less half
    of that to the nearest track to stay away from, and taken in turns from groups of similar seeds. Never
    recommended: a seed or another version of one or of a track taken before, what a rule excludes, what is nearer to
    a track to stay away from than to any seed, more of an artist than the query allows, or nearer together. There are
    as many as asked for while the library has them; candidates are looked for farther and farther.

    Parameters
    ----------
    library : LibraryStore
        Where the tracks are. Its own blocks are always obeyed.
    index : Index
        Its index, of now or before.
    query : Query
        What is asked.
    filters : MetadataFilters, optional
        Those of the library, to be used for several queries.
    embed_seeds : callable, optional
        Makes seeds of files that the library does not hold.
    excerpts : bool
        Find the most similar excerpts for each explanation.
    listens : sequence of Listen, optional
        The history of the query's listener; what the library stores of the profile, unless given.
    now_s : float, optional
        The time for which to recommend to a listener, in seconds since 1970; now, unless given.

    Returns
    -------
    Answer

    Raises
    ------
    NoMatch
        A seed or profile matches nothing.
    QueryError
        A filter asks for what the library knows nothing about.
    """
    now_s = time.time() if now_s is None else now_s
    prepared = _PreparedQuery(library, index, query, filters or MetadataFilters(library), embed_seeds, listens, now_s)
    seeds = prepared.seeds
    if query.to is not None:
        picked, similarities, alike = prepared.path()
    else:
        picked = prepared.ranked()
        similarities = [c.similarity for c in picked]
        groups = [int(prepared.clusters[c.seed]) for c in picked]
        alike = list[float | None]([c.alike for c in picked] if query.diversity else falling(picked, groups))
    pairs = [(seeds[c.seed], c.track) for c in picked]
    explainer = Explainer(library, pairs, excerpts=excerpts)
    why = [explainer.explain(*pair) for pair in pairs]
    reasons = distinguishing(why) if query.to is None else [""] * len(why)  # of a path each is like the one before
    found = [
        Recommendation(rank, c.track, similarity, round(100 * (1 if share is None else share)), reason, one, share)
        for rank, (c, similarity, share, reason, one) in enumerate(
            zip(picked, similarities, alike, reasons, why, strict=True), 1
        )
    ]
    return Answer(query, seeds, found, prepared.remarks(len(found)))


class _PreparedQuery:
    """A query made ready: its texts as vectors, its rules as tests."""

    def __init__(
        self,
        library: LibraryStore,
        index: Index,
        query: Query,
        filters: MetadataFilters,
        embed_seeds: EmbedSeeds | None,
        listens: Sequence[Listen] | None,
        now_s: float,
    ) -> None:
        self.library, self.index, self.query = library, index, query
        self._notes: list[str] = []
        self.seeds = find_seeds(library, query.seeds, embed_seeds, self._notes.append)
        self.ends = find_seeds(library, (query.to,), embed_seeds, self._notes.append) if query.to is not None else ()
        avoided = find_seeds(library, query.avoid, embed_seeds, self._notes.append)
        away = [seed.vector for seed in avoided]
        self.hidden = {s.track_id for s in (*self.seeds, *self.ends, *avoided) if s.track_id is not None}
        if query.profile is not None:
            centres, disliked, hidden = _tastes(library, query, listens, now_s)
            self.seeds = self.seeds or centres
            away += disliked
            self.hidden |= hidden
        self.away = np.stack(away) if away else np.zeros((0, index.dim), np.float32)
        self.vectors = np.stack([seed.vector for seed in self.seeds])
        self.clusters = clusters_of(self.vectors)
        self.allowed = filters.passing(query)
        excluded = (absolute_rule(parse_rule(text)) for text in query.exclude)
        self.rules = Rules((*excluded, *map(parse_rule, library.blocks())))
        own = () if query.same_album else [s.track for s in self.seeds if s.track is not None and s.track.album]
        self.albums = _albums_of(library, own)
        self._excluded: Counter[str] = Counter()

    def ranked(self) -> list[Candidate]:
        """The best candidates that the limits allow, looked for among more and more neighbours."""
        query, k = self.query, max(_POOL, 6 * self.query.n)
        stats = self.index.similarity_stats_of(self.vectors, [seed.track_id for seed in self.seeds])
        stats_of_away = self.index.similarity_stats_of(self.away)
        weights = np.zeros(int(self.clusters.max()) + 1)
        np.add.at(weights, self.clusters, [seed.weight for seed in self.seeds])
        while True:
            self._excluded.clear()
            queues, ran_out = self._queues(k, stats, stats_of_away)
            recordings = self._recordings([c.track.id for queue in queues for c in queue])
            limits = Limits(query.n, query.artist_cap, query.artist_gap)
            chosen = choose(queues, weights.tolist(), limits, recordings, query.diversity)
            listed = arrange(chosen, query.artist_gap)
            if len(listed) >= query.n or ran_out:
                return listed
            k *= 4

    def path(self) -> tuple[list[Candidate], list[float], list[float | None]]:
        """From the seed to the other end, with the cosine to the track before each, and how alike the two are."""
        for text, seeds in ((self.query.seeds[0], self.seeds), (self.query.to, self.ends)):
            if len(seeds) != 1 or seeds[0].track is None:
                raise QueryError(f"a path leads from one track to one other; {text!r} means {len(seeds)}")
        start, end = self.seeds[0], self.ends[0]
        assert end.track is not None
        if start.track_id == end.track_id is not None or self._recordings([]).contains(end.track, end.vector):
            raise QueryError(f"a path leads from one track to another; found {start.label} at both ends")
        wanted = self.query.n - 2
        ends = _as_candidate(start), _as_candidate(end)
        k = max(16, CANDIDATES // max(wanted, 1))
        while True:
            self._excluded.clear()
            candidates, ran_out = self._between(start, end, wanted, k)
            whole = chain_candidates(*ends, candidates, wanted, self.query.artist_gap)
            if len(whole) >= self.query.n or ran_out:
                break
            k *= 2
        steps = [float(products(a.vector[None], b.vector[None])[0, 0]) for a, b in pairwise(whole)]
        stats = self.index.similarity_stats_of(np.stack([c.vector for c in whole]))
        alike = Calibration.of(self.index).of_pairs(np.array(steps), stats[:-1], stats[1:])
        return whole, [1.0, *steps], [None, *alike.tolist()]

    def _between(self, start: Seed, end: Seed, wanted: int, k: int) -> tuple[list[Candidate], bool]:
        """The tracks nearest to the arc between two, of an artist no more than may come, and whether that is all.

        They are among the k nearest of each point on it; each is another recording.
        """
        points = points_between(start.vector, end.vector, max(wanted, 1))
        _, ids = self.index.search(points, k, allowed=self.allowed)
        ran_out = ids.shape[1] < k or k >= len(self.index)
        tracks, ids, matrix = self._passing(np.unique(ids))
        if not tracks:
            return [], ran_out
        near = products(points, matrix).max(axis=0)
        order = np.lexsort((ids, -near))
        passes = self._not_away(matrix, products(np.stack([start.vector, end.vector]), matrix).max(axis=0))
        recordings = self._recordings(ids, more=(end,))
        counts = Counter(_as_candidate(seed).artist for seed in (start, end))
        candidates: list[Candidate] = []
        for i in order[passes[order]].tolist():
            candidate = Candidate(tracks[i], matrix[i], 0, 0.0, 0.0)
            many = self.query.artist_cap and counts[candidate.artist] >= self.query.artist_cap
            if not many and not recordings.contains(candidate.track, candidate.vector):
                counts[candidate.artist] += 1
                recordings.add(candidate.track, candidate.vector)
                candidates.append(candidate)
                if len(candidates) >= max(CANDIDATES, 2 * wanted):
                    break
        return candidates, ran_out

    def _not_away(self, matrix: np.ndarray, similarities: np.ndarray) -> np.ndarray:
        """(m,) bool: which of (m, d) tracks are nearer to a seed than to any track to stay away from."""
        passes = np.ones(len(matrix), bool)
        if len(self.away):
            for at in range(0, len(matrix), _BLOCK):
                away = products(self.away, matrix[at : at + _BLOCK]).max(axis=0)
                passes[at : at + _BLOCK] = away < similarities[at : at + _BLOCK]
        return passes

    def _queues(self, k: int, stats: np.ndarray, stats_of_away: np.ndarray) -> tuple[list[list[Candidate]], bool]:
        """Candidates of each cluster, best first, and whether there are no more."""
        vectors = self.vectors
        if len(vectors) > _ASKED:  # the middle of each cluster, and seeds evenly from all
            middles = [vectors[self.clusters == c].mean(axis=0) for c in range(int(self.clusters.max()) + 1)]
            some = vectors[np.linspace(0, len(vectors) - 1, _ASKED).astype(int)]
            vectors = np.concatenate([np.stack([m / max(np.linalg.norm(m), 1e-12) for m in middles]), some])
        _, ids = self.index.search(vectors, k, allowed=self.allowed)
        ran_out = ids.shape[1] < k or k >= len(self.index)
        tracks, ids, matrix = self._passing(np.unique(ids))
        queues: list[list[Candidate]] = [[] for _ in range(int(self.clusters.max()) + 1)]
        if not tracks:
            return queues, ran_out
        similarities = products(self.vectors, matrix)
        near = np.flatnonzero(self._not_away(matrix, similarities.max(axis=0)))
        if not near.size:
            return queues, ran_out
        if len(near) < len(ids):
            tracks, ids, matrix = [tracks[i] for i in near.tolist()], ids[near], matrix[near]
            similarities = similarities[:, near]
        of_tracks = self.index.similarity_stats(ids)
        scores = mutual_proximity(similarities, stats, of_tracks)
        nearest, at = scores.argmax(axis=0), np.arange(len(ids))
        score = scores[nearest, at]
        if len(self.away):
            away = mutual_proximity(products(self.away, matrix), stats_of_away, of_tracks)
            score = score - NEGATIVE * np.maximum(0, away.max(axis=0))
        if self.query.seed is not None:
            score = score + jitter(ids, self.query.seed)
        alike = Calibration.of(self.index).of_scores(score, *usual(stats, of_tracks)).tolist()
        score, similarity = np.round(score, DECIMALS).tolist(), similarities[nearest, at].tolist()
        for i in np.lexsort((ids, -np.array(score))).tolist():
            seed = int(nearest[i])
            queues[self.clusters[seed]].append(Candidate(tracks[i], matrix[i], seed, similarity[i], score[i], alike[i]))
        return queues, ran_out

    def _passing(self, ids: np.ndarray) -> tuple[list[LibraryTrack], np.ndarray, np.ndarray]:
        """The tracks that are still there and that no rule excludes, with their ids and vectors."""
        ids = ids[~np.isin(ids, [-1, *self.hidden])]
        tracks: list[LibraryTrack] = []
        for at in range(0, len(ids), _BLOCK):  # of all tracks of a large library few may pass
            tracks += self._not_excluded(ids[at : at + _BLOCK].tolist())
        ids = np.array([t.id for t in tracks], np.int64)
        return tracks, ids, self.index.vectors(ids)

    def _not_excluded(self, ids: list[int]) -> list[LibraryTrack]:
        genres = likely_labels(self.library, "genre", ids) if self.rules.genres else {}
        tracks = []
        for track in self.library.tracks(ids):
            if self.albums and not self.albums.isdisjoint(album_keys(track)):
                self._excluded["of a seed's own album (--same-album yes lets them come)"] += 1
            elif self.rules and self.rules.exclude(track, {genre_name(g) for g in genres.get(track.id, ())}):
                self._excluded["excluded by rules"] += 1
            else:
                tracks.append(track)
        return tracks

    def _recordings(self, ids: Iterable[int], more: Sequence[Seed] = ()) -> SeenRecordings:
        """The recordings of the seeds, with the near-duplicates that the library knows, and theirs."""
        seeds = (*self.seeds, *more)
        asked = {*ids, *(s.track_id for s in seeds if s.track_id is not None)}
        while True:
            pairs = self.library.near_duplicates(sorted(asked))
            if asked.issuperset(i for pair in pairs for i in pair):
                break
            asked.update(i for pair in pairs for i in pair)
        group = {i: {i} for pair in pairs for i in pair}
        for a, b in pairs:
            joined = group[a] | group[b]
            group.update(dict.fromkeys(joined, joined))
        same = self.query.versions
        recordings = SeenRecordings(lambda i: group.get(i, frozenset()), self.index.mean_similarity, versions=same)
        for seed in seeds:
            if seed.track is not None:
                recordings.add(seed.track, seed.vector)
        return recordings

    def remarks(self, found: int) -> list[str]:
        """Which seeds did not count, and why there are fewer tracks than were asked for."""
        if found >= self.query.n:
            return self._notes
        reasons = [] if self.allowed is None else [f"{int(self.allowed.sum())} pass the filters"]
        reasons += [f"{n} are {why}" for why, n in self._excluded.items()]
        if self.query.artist_cap and found:
            reasons.append(f"of an artist {self.query.artist_cap} may come")
        return [*self._notes, f"found {found} of {self.query.n}" + (f": {'; '.join(reasons)}" if reasons else "")]


def _albums_of(library: LibraryStore, tracks: Sequence[LibraryTrack]) -> set[AlbumKey]:
    """The keys of the albums of tracks; also their folders where these hold compilations of many artists."""
    keys = {key for track in tracks for key in album_keys(track)}
    for folder, track in {folder_key(track): track for track in tracks}.items():
        if folder in keys:
            beside = {t.id: t for t in (track, *library.beside(track)) if folder in album_keys(t)}
            if not is_shared(beside.values()):
                keys.discard(folder)
    return keys


def _as_candidate(seed: Seed) -> Candidate:
    assert seed.track is not None
    return Candidate(seed.track, seed.vector, 0, 1.0, 1.0)


def _tastes(
    library: LibraryStore, query: Query, listens: Sequence[Listen] | None, now_s: float
) -> tuple[tuple[Seed, ...], list[np.ndarray], set[int]]:
    """A listener's tastes as seeds, what is disliked, and which tracks to hold back.

    With seeds of the query's own, what was played lately is held back; else all that the history names is.
    """
    from mirclr.recommend.taste import listens_of, taste_of

    assert query.profile is not None
    taste = taste_of(library, listens_of(library, query.profile) if listens is None else listens, now_s=now_s)
    if not (query.seeds or len(taste.centres)):
        raise NoMatch(
            f"{library.path}: of what {query.profile} likes it holds nothing, only what is disliked or was not played; "
            "name a seed too"
        )
    seeds = tuple(
        Seed(f"taste {i} of {query.profile}", centre, weight=float(weight))
        for i, (centre, weight) in enumerate(zip(taste.centres, taste.weights, strict=True), 1)
    )
    return seeds, list(taste.disliked), set(taste.recent if query.seeds else taste.known)
