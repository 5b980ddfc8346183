"""`recommend`: a query, a library and its index to a list of recommendations."""

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from mirclr.errors import NoMatch, QueryError
from mirclr.index import Index
from mirclr.library import LibraryStore, LibraryTrack, Listen
from mirclr.library.names import AlbumKey, album_keys, folder_key, is_shared
from mirclr.names import album_name
from mirclr.recommend.aspects import parse_like
from mirclr.recommend.described import Described, describe
from mirclr.recommend.filters import MetadataFilters, likely_labels
from mirclr.recommend.lifts import TagLifts
from mirclr.recommend.likeness import Likeness
from mirclr.recommend.path import CANDIDATES, chain_candidates, points_between
from mirclr.recommend.query import LONGEST_PATH, Query
from mirclr.recommend.ranking import (
    ALIKE,
    DECIMALS,
    NEGATIVE,
    Calibration,
    Candidate,
    Limits,
    arrange,
    choose,
    clusters_of,
    falling,
    fill_length,
    jitter,
    mutual_proximity,
    products,
    usual,
)
from mirclr.recommend.reasons import Explainer, distinguishing
from mirclr.recommend.recommendation import Recommendation
from mirclr.recommend.recordings import SeenRecordings, same_sound
from mirclr.recommend.rules import Rules, genre_name, parse_rule
from mirclr.recommend.seeds import EmbedSeeds, Seed, find_seeds
from mirclr.recommend.segments import LongTracks, with_segments
from mirclr.recommend.shortfall import guessed, shortfall
from mirclr.recommend.unseeded import without_seeds
from mirclr.recommend.words import command
from mirclr.terminal import clock, counted

_POOL = 128
_BLOCK = 4096
_ENOUGH = 60  # tracks of which what is usual is known; of fewer, what is alike is not cut off as early
_SONG_S = 240.0  # as long as songs are, about
_SPARE = 10
_LOOSER = 4  # times the jitter of similarities, for the probabilities of a genre or mood
_DESCRIBED = 0.5  # standard deviations of similarities that count as much as a text's log-odds of 1
_SAME_FIRST = 4.0  # what the very recording of a seed is ahead of others: more than cosines can differ by
_LAST = 200  # of the tracks that were played, of which other versions are not to come either
_MOST_NAMED = 3  # songs of which something is not known that are named
_ASKED = 32  # seeds of which each asks the index for its own neighbours


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
    described : Described or None
        What was understood of the query's text.
    """

    query: Query
    seeds: tuple[Seed, ...]
    recommendations: list[Recommendation]
    remarks: list[str]
    described: Described | None = None


def recommend(
    library: LibraryStore,
    index: Index,
    query: Query,
    *,
    filters: MetadataFilters | None = None,
    lifts: TagLifts | None = None,
    embed_seeds: EmbedSeeds | None = None,
    excerpts: bool = False,
    among: Collection[int] | None = None,
    listens: Sequence[Listen] | None = None,
    now_s: float | None = None,
    played: Sequence[int] = (),
) -> Answer:
    """Recommend tracks of a library.

    Candidates are the tracks nearest to the seeds; they are ranked by `mutual_proximity` to the nearest seed, less half
    of that to the nearest track to stay away from, and taken in turns from groups of similar seeds. Never
    recommended: a seed or another version of one or of a track taken before, what a rule excludes, what is nearer to
    a track to stay away from than to any seed, more of an artist than the query allows, or nearer together; nor what is
    not alike (below `ALIKE`; in a library of few tracks below part of it, or of negative cosine), unless the query says
    to fill the list. There are as many as asked for while the library has them; candidates are looked for farther and
    farther.

    Without seeds and profile all that passes the filters may come: what is most surely of the genre and mood asked for
    first, what is as sure in an order drawn from the query's seed.

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
    lifts : TagLifts, optional
        Of the library, for a query with a text; without, only genres that files name and bounds are understood.
    embed_seeds : callable, optional
        Makes seeds of files that the library does not hold.
    excerpts : bool
        Find the most similar excerpts for each explanation.
    among : collection of int, optional
        The tracks that alone may come, by id, such as those that a player has too; all unless given.
    listens : sequence of Listen, optional
        The history of the query's listener; what the library stores of the profile, unless given.
    now_s : float, optional
        The time for which to recommend to a listener, in seconds since 1970; now, unless given.
    played : sequence of int
        Ids of tracks that do not come, nor other versions of the last of them, as those of a radio that were on.

    Returns
    -------
    Answer

    Raises
    ------
    NoMatch
        A seed or profile matches nothing, or nothing of a text is understood.
    QueryError
        A filter asks for what the library knows nothing about.
    """
    now_s = time.time() if now_s is None else now_s
    filters = filters or MetadataFilters(library)
    described = None if query.text is None else describe(library, query, lifts or TagLifts.none(), filters)
    prepared = _PreparedQuery(library, index, query, filters, described, embed_seeds, among, listens, now_s, played)
    if not prepared.seeds:
        picked = prepared.listed(prepared.mixed)
        found = without_seeds(library, prepared.query, picked, described)
        return Answer(query, (), found, prepared.remarks(picked), described)
    seeds = prepared.points
    if query.to is not None:
        picked, similarities, alike = prepared.path()
    else:
        picked = prepared.listed(prepared.ranked)
        similarities = [c.similarity for c in picked]
        groups = [int(prepared.clusters[c.seed]) for c in picked]
        alike = list[float | None]([c.alike for c in picked] if query.diversity else falling(picked, groups))
    pairs = [(seeds[c.seed], c.track) for c in picked]
    explainer = Explainer(library, pairs, excerpts=excerpts, likeness=prepared.likeness)
    why = [explainer.explain(*pair) for pair in pairs]
    reasons = distinguishing(why) if query.to is None else [""] * len(why)  # of a path each is like the one before
    found = [
        Recommendation(
            rank,
            c.track,
            similarity,
            round(100 * (1 if share is None else share)),
            reason if c.start_s is None else ", ".join(filter(None, (f"from {clock(c.start_s)}", reason))),
            one,
            share,
            c.start_s,
        )
        for rank, (c, similarity, share, reason, one) in enumerate(
            zip(picked, similarities, alike, reasons, why, strict=True), 1
        )
    ]
    return Answer(query, prepared.seeds, found, prepared.remarks(picked), described)


def make_ready(library: LibraryStore, index: Index) -> None:
    """Make what all answers by an index need of it, so that the first one does not wait for that."""
    Calibration.of(index)
    LongTracks.of(library, index)


class _PreparedQuery:
    """A query made ready: its texts as vectors, its rules as tests."""

    def __init__(
        self,
        library: LibraryStore,
        index: Index,
        query: Query,
        filters: MetadataFilters,
        described: Described | None,
        embed_seeds: EmbedSeeds | None,
        among: Collection[int] | None,
        listens: Sequence[Listen] | None,
        now_s: float,
        played: Sequence[int],
    ) -> None:
        query = described.query if described else query
        self.library, self.index, self.query, self.filters, self.described = library, index, query, filters, described
        self._notes: list[str] = []
        self.seeds = find_seeds(library, query.seeds, embed_seeds, self._notes.append)
        self.ends = find_seeds(library, (query.to,), embed_seeds, self._notes.append) if query.to is not None else ()
        avoided = find_seeds(library, query.avoid, embed_seeds, self._notes.append)
        self.same = self._recognised()
        away = [*avoided]
        self.hidden = {s.track_id for s in (*self.seeds, *self.ends, *avoided) if s.track_id is not None}
        if query.profile is not None:
            centres, disliked, hidden = _tastes(library, index, query, listens, now_s)
            self.seeds = self.seeds or centres
            away += [Seed("what is disliked", vector) for vector in disliked]
            self.hidden |= hidden
        self.hidden |= set(played)
        self.last = _tracks_with_vectors(library, index, played[-_LAST:])
        self.avoided = away
        self.away = np.stack([s.vector for s in away]) if away else np.zeros((0, index.dim), np.float32)
        self._by_aspects: tuple[np.ndarray, np.ndarray] | None = None
        self.likeness = None if query.like_by_sound else Likeness(parse_like(query.like), filters.aspect, index)
        self.long = LongTracks.of(library, index)
        self.points = self.seeds if query.to is not None else with_segments(library, index, self.seeds)
        if self.likeness:
            self.points = self._known(self.likeness)
        self.vectors = np.stack([s.vector for s in self.points]) if self.seeds else self.away[:0]
        self.clusters = clusters_of(self.vectors) if self.seeds else np.zeros(1, np.int64)
        self.allowed, self.ids = filters.passing(query), index.ids
        if among is not None:
            only = np.zeros(library.id_end(), bool)
            only[[i for i in among if 0 <= i < len(only)]] = True
            self.ids = self.ids[self.ids < len(only)]
            self.ids = self.ids[only[self.ids]]
            self.allowed = only if self.allowed is None else only & self.allowed
        if (
            described
            and (fitting := described.passing_beside([s.track_id for s in self.seeds if s.track_id])) is not None
        ):
            n = min(len(fitting), len(fitting if self.allowed is None else self.allowed))
            self.allowed = fitting if self.allowed is None else fitting[:n] & self.allowed[:n]
        self.rules = Rules(map(parse_rule, (*query.exclude, *library.blocks())))
        own = () if query.same_album else [s.track for s in self.seeds if s.track is not None and s.track.album]
        self.albums = _albums_of(library, own)
        self.album_names = {name for _, _, name in self.albums}
        self._left_out: Counter[str] = Counter()

    def _known(self, likeness: Likeness) -> tuple[Seed, ...]:
        """The points of which something is known that counts; with remarks on songs of which nothing is."""
        known = likeness.knows(self.seeds)
        how = command(self.library, "describe")
        if not known.any() and not likeness.by_sound:
            seed = self.seeds[0]
            if seed.track_id and likeness.undescribed(np.array([seed.track_id]))[0]:
                raise NoMatch(f"{seed.label}: its beats and chords are not known; find them out with: {how}")
            raise NoMatch(f"{seed.label}: no {likeness.others} is known of it, so nothing is alike")
        if not known.all():
            so = "counts by timbre alone" if likeness.by_sound else "does not count"
            labels = [seed.label for seed, is_known in zip(self.seeds, known.tolist(), strict=True) if not is_known]
            self._notes += [f"{label}: {so}, as no {likeness.others} is known of it" for label in labels[:_MOST_NAMED]]
            if len(labels) > _MOST_NAMED:
                self._notes.append(f"so it is with {len(labels) - _MOST_NAMED:,} more of the songs that you named")
        if n := int(likeness.undescribed(self.index.ids).sum()):
            self._notes.append(f"{counted(n, 'song')} {'has' if n == 1 else 'have'} no beats and chords yet: {how}")
        if likeness.by_sound:
            return self.points
        return tuple(
            p for p, is_known in zip(self.points, likeness.knows(self.points).tolist(), strict=True) if is_known
        )

    def _recognised(self) -> list[int]:
        """The tracks that seeds from outside are recordings of, and a remark on each."""
        of = {seed.recording_of: seed.label for seed in self.seeds if seed.recording_of is not None}
        tracks = self.library.tracks(list(of))
        self._notes += [f"{of[track.id]} is a recording of {track.label}" for track in tracks]
        return [track.id for track in tracks]

    def listed(self, ranked: Callable[[int], list[Candidate]]) -> list[Candidate]:
        """As many tracks as are wanted, or as fill the length that is wanted, of those that `ranked` gives of n."""
        length_s = self.query.length_s
        if length_s is None:
            return ranked(self.query.n)
        n = math.ceil(1.5 * length_s / _SONG_S) + _SPARE
        while True:
            found = ranked(n)
            if len(found) < n or sum(c.track.duration_s for c in found) > 1.5 * length_s:
                return fill_length(found, length_s, self.query.artist_gap)
            n *= 2

    def ranked(self, n: int) -> list[Candidate]:
        """The n best candidates that the limits allow, looked for among more and more neighbours."""
        k = max(_POOL, 6 * n)
        ids = [seed.track_id if seed.start_s is None else None for seed in self.points]
        stats = self.index.similarity_stats_of(self.vectors, ids)
        stats_of_away = self.index.similarity_stats_of(self.away)
        weights = np.zeros(int(self.clusters.max()) + 1)
        np.add.at(weights, self.clusters, [seed.weight for seed in self.points])
        while True:
            self._left_out.clear()
            queues, ran_out = self._queues(k, stats, stats_of_away)
            listed = self._chosen(queues, weights.tolist(), n)
            if len(listed) >= n or ran_out:
                return listed
            k *= 4

    def mixed(self, n: int) -> list[Candidate]:
        """N tracks that pass the filters: the surest first, and of those that are as sure any."""
        ids = self.ids
        if self.allowed is not None:
            ids = ids[ids < len(self.allowed)]
            ids = ids[self.allowed[ids]]
        fit = self.described.fit if self.described else None
        fit = self.filters.fit(self.query) if fit is None else fit
        score = np.ones(len(ids)) if fit is None else np.round(fit[ids], DECIMALS)
        drawn = jitter(ids, self.query.seed or 0)
        if self.query.seed is not None:
            score = score + _LOOSER * drawn
        order = np.lexsort((drawn, -score))
        k = max(_POOL, 6 * n)
        while True:
            self._left_out.clear()
            best = order[:k]
            of_ids = dict(zip(ids[best].tolist(), score[best].tolist(), strict=True))
            tracks, _, matrix = self._passing(ids[best])
            queue = [Candidate(t, v, 0, 0.0, of_ids[t.id]) for t, v in zip(tracks, matrix, strict=True)]
            if len(self.away) and queue:
                away = products(self.away, matrix).max(axis=0)
                queue = [
                    replace(c, score=c.score - NEGATIVE * max(0.0, a))
                    for c, a in zip(queue, away.tolist(), strict=True)
                ]
                queue.sort(key=lambda c: -c.score)
            listed = self._chosen([queue], [1.0], n)
            if len(listed) >= n or k >= len(ids):
                return listed
            k *= 4

    def _chosen(self, queues: Sequence[Sequence[Candidate]], weights: Sequence[float], n: int) -> list[Candidate]:
        """Of candidates, best first, as many as the limits allow; why others are left out is counted."""
        query = self.query
        recordings = self._recordings([c.track.id for queue in queues for c in queue])
        chosen = choose(queues, weights, Limits(n, query.artist_cap, query.artist_gap), recordings, query.diversity)
        listed = arrange(chosen, query.artist_gap)
        if len(listed) < n:
            taken, of_artist = {c.track.id for c in listed}, Counter(c.artist for c in listed)
            for candidate in (c for queue in queues for c in queue if c.track.id not in taken):
                if recordings.contains(candidate.track, candidate.vector):
                    self._left_out["version"] += 1
                elif query.artist_cap and of_artist[candidate.artist] >= query.artist_cap:
                    self._left_out["cap"] += 1
                else:
                    self._left_out["gap"] += 1
        return listed

    def path(self) -> tuple[list[Candidate], list[float], list[float | None]]:
        """From the seed to the other end, with the cosine to the track before each, and how alike the two are."""
        for text, seeds in ((self.query.seeds[0], self.seeds), (self.query.to, self.ends)):
            if len(seeds) != 1 or seeds[0].track is None:
                some = ", ".join(seed.label for seed in seeds[:3]) + (", …" if len(seeds) > 3 else "")
                raise QueryError(f"a path leads from one song to one other; {text!r} means {len(seeds)}: {some}")
        start, end = self.seeds[0], self.ends[0]
        assert end.track is not None
        if start.track_id == end.track_id is not None or self._recordings([]).contains(end.track, end.vector):
            raise QueryError(f"a path leads from one song to another; found {start.label} at both ends")
        parts = [with_segments(self.library, self.index, (one,)) for one in (start, end)]
        start, end = parts[0][-1], parts[1][0]  # a long mix is left where it ends, and met where it begins
        whole = self._path_of_length(start, end) if self.query.length_s else self._path(start, end, self.query.n)
        steps = [float(products(a.vector[None], b.vector[None])[0, 0]) for a, b in pairwise(whole)]
        stats = self.index.similarity_stats_of(np.stack([c.vector for c in whole]))
        alike = Calibration.of(self.index).of_pairs(np.array(steps), stats[:-1], stats[1:])
        return whole, [1.0, *steps], [None, *alike.tolist()]

    def _path_of_length(self, start: Seed, end: Seed) -> list[Candidate]:
        """The path that plays as long as is wanted, or as near below it as one of a few tries."""
        assert self.query.length_s
        tried: dict[int, tuple[float, list[Candidate]]] = {}
        n = max(2, round(self.query.length_s / _SONG_S))
        while n not in tried and n <= LONGEST_PATH:
            whole = self._path(start, end, n)
            plays_s = sum(c.track.duration_s for c in whole)
            tried[n] = plays_s, whole
            n = max(2, n + math.floor((self.query.length_s - plays_s) / (plays_s / len(whole))))
        fitting = [one for one in tried.values() if one[0] <= self.query.length_s]
        best = max(fitting, key=lambda one: one[0]) if fitting else min(tried.values(), key=lambda one: one[0])
        return best[1]

    def _path(self, start: Seed, end: Seed, n: int) -> list[Candidate]:
        ends = _as_candidate(start), _as_candidate(end)
        k = max(16, CANDIDATES // max(n - 2, 1))
        while True:
            self._left_out.clear()
            candidates, ran_out = self._between(start, end, n - 2, k)
            whole = chain_candidates(*ends, candidates, n - 2, self.query.artist_gap)
            if len(whole) >= n or ran_out:
                return whole
            k *= 2

    def _between(self, start: Seed, end: Seed, wanted: int, k: int) -> tuple[list[Candidate], bool]:
        """The tracks nearest to the arc between two, of an artist no more than may come, and whether that is all.

        They are among the k nearest of each point on it; each is another recording. Long tracks, of which no one vector
        is right, come where songs are too few.
        """
        points = points_between(start.vector, end.vector, max(wanted, 1))
        _, ids = self.index.search(points, k, allowed=self.allowed)
        ran_out = ids.shape[1] < k or k >= len(self.index)
        tracks, ids, matrix = self._passing(np.unique(ids))
        if not tracks:
            return [], ran_out
        near = products(points, matrix).max(axis=0)
        is_long = np.isin(ids, self.long.ids)
        order = np.lexsort((ids, -near, is_long))
        passes = self._not_away(matrix, products(np.stack([start.vector, end.vector]), matrix).max(axis=0))
        recordings = self._recordings(ids, more=self.ends)
        counts = Counter(_as_candidate(seed).artist for seed in (start, end))
        candidates: list[Candidate] = []
        for i in order[passes[order]].tolist():
            if len(candidates) >= (wanted if is_long[i] else max(CANDIDATES, 2 * wanted)):
                break
            candidate = Candidate(tracks[i], matrix[i], 0, 0.0, 0.0)
            many = self.query.artist_cap and counts[candidate.artist] >= self.query.artist_cap
            if not many and not recordings.contains(candidate.track, candidate.vector):
                counts[candidate.artist] += 1
                recordings.add(candidate.track, candidate.vector)
                candidates.append(candidate)
        return candidates, ran_out

    def _not_away(self, matrix: np.ndarray, similarities: np.ndarray) -> np.ndarray:
        """(m,) bool: which of (m, d) tracks are nearer to a seed than to any track to stay away from; all where sound
        is not what is compared.
        """
        passes = np.ones(len(matrix), bool)
        if len(self.away) and not self.likeness:
            for at in range(0, len(matrix), _BLOCK):
                away = products(self.away, matrix[at : at + _BLOCK]).max(axis=0)
                passes[at : at + _BLOCK] = away < similarities[at : at + _BLOCK]
        return passes

    def _nearest(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, bool]:
        """The ids of the k nearest of each of some vectors, and of the k that are most like the seeds in what else
        counts; and whether that is all.
        """
        found, ran_out = np.zeros(0, np.int64), True
        if self.likeness is None or self.likeness.by_sound:
            _, ids = self.index.search(vectors, k, allowed=self.allowed)
            found, ran_out = np.unique(ids), ids.shape[1] < k or k >= len(self.index)
        if self.likeness:
            if self._by_aspects is None:
                every = self.ids
                if self.allowed is not None:
                    every = every[every < len(self.allowed)]
                    every = every[self.allowed[every]]
                some = np.unique(np.linspace(0, len(self.points) - 1, _ASKED).astype(int))
                self._by_aspects = every, self.likeness.near([self.points[i] for i in some], every)
            every, near = self._by_aspects
            ran_out = k >= len(every)
            found = every if ran_out else np.union1d(found, every[np.argpartition(-near, k - 1)[:k]])
        return found, ran_out

    def _queues(self, k: int, stats: np.ndarray, stats_of_away: np.ndarray) -> tuple[list[list[Candidate]], bool]:
        """Candidates of each cluster, best first, and whether there are no more."""
        vectors = self.vectors
        if len(vectors) > _ASKED:  # the middle of each cluster, and seeds evenly from all
            middles = [vectors[self.clusters == c].mean(axis=0) for c in range(int(self.clusters.max()) + 1)]
            some = vectors[np.linspace(0, len(vectors) - 1, _ASKED).astype(int)]
            vectors = np.concatenate([np.stack([m / max(np.linalg.norm(m), 1e-12) for m in middles]), some])
        ids, ran_out = self._nearest(vectors, k)
        beside = self._allowed([*self.same, *self.long.nearest(vectors, k).tolist()])
        tracks, ids, matrix = self._passing(np.union1d(ids, beside))
        queues: list[list[Candidate]] = [[] for _ in range(int(self.clusters.max()) + 1)]
        if not tracks:
            return queues, ran_out
        similarities = products(self.vectors, matrix)
        self.long.compare(ids, self.vectors, similarities)
        near = np.flatnonzero(self._not_away(matrix, similarities.max(axis=0)))
        self._left_out["away"] += len(ids) - len(near)
        if not near.size:
            return queues, ran_out
        if len(near) < len(ids):
            tracks, ids, matrix = [tracks[i] for i in near.tolist()], ids[near], matrix[near]
            similarities = similarities[:, near]
        of_tracks = self.index.similarity_stats(ids)
        scores, scale = mutual_proximity(similarities, stats, of_tracks), usual(stats, of_tracks)
        starts = self.long.score(ids, self.vectors, stats, scores, scale)
        calibration, at = Calibration.of(self.index), np.arange(len(ids))
        away = mutual_proximity(products(self.away, matrix), stats_of_away, of_tracks)
        if self.likeness:
            calibration = self.likeness.calibration
            scores, away, scale = self.likeness.mixed((scores, self.points), (away, self.avoided), scale, ids)
        nearest = scores.argmax(axis=0)
        score = scores[nearest, at]
        similar = similarities[nearest, at]
        listable = self._are_alike(calibration.of_scores(score, *scale), similar)
        self._left_out["unlike"] += int((~listable).sum())
        if len(self.away):
            if self.likeness:
                nearer = away.max(axis=0) >= score
                self._left_out["away"] += int((nearer & listable).sum())
                listable &= ~nearer
            score = score - NEGATIVE * np.maximum(0, away.max(axis=0))
        if self.described and self.described.fit is not None:
            score = score + _DESCRIBED * scale[1] * self.described.lift[ids]
        if self.query.seed is not None:
            score = score + jitter(ids, self.query.seed)
        is_same = np.isin(ids, self.same)
        listable |= is_same
        alike = np.where(is_same, 1.0, calibration.of_scores(score, *scale)).tolist()
        score = score + _SAME_FIRST * is_same
        score, similarity = np.round(score, DECIMALS).tolist(), similar.tolist()
        for i in np.lexsort((ids, -np.array(score))).tolist():
            if not listable[i]:
                continue
            seed = int(nearest[i])
            start_s = float(starts[i][seed]) if i in starts else None
            queues[self.clusters[seed]].append(
                Candidate(tracks[i], matrix[i], seed, similarity[i], score[i], alike[i], start_s)
            )
        return queues, ran_out

    def _allowed(self, ids: Sequence[int]) -> list[int]:
        """Those that the index holds and the filters let pass."""
        held = np.unique(np.array(ids, np.int64))
        held = held[self.index.holds(held)]
        if self.allowed is not None:
            held = held[held < len(self.allowed)]
            held = held[self.allowed[held]]
        return [int(i) for i in held]

    def _are_alike(self, alike: np.ndarray, similarity: np.ndarray) -> np.ndarray:
        """(m,) bool: which of m tracks are alike at all to their nearest seed."""
        if self.query.fill:
            return np.ones(len(alike), bool)
        known = min(1.0, len(self.index) / _ENOUGH)
        return (alike >= known * ALIKE) & ((similarity > 0) | (known == 1.0) | (self.likeness is not None))

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
            if self._is_of_albums(track):
                self._left_out["album"] += 1
            elif self.rules and self.rules.exclude(track, {genre_name(g) for g in genres.get(track.id, ())}):
                self._left_out["rule"] += 1
            else:
                tracks.append(track)
        return tracks

    def _is_of_albums(self, track: LibraryTrack) -> bool:
        """Whether a track is of an album of a seed; who it is by is looked at only where the album's name is one's."""
        return (
            bool(track.album)
            and album_name(track.album or "") in self.album_names
            and not self.albums.isdisjoint(album_keys(track))
        )

    def _recordings(self, ids: Iterable[int], more: Sequence[Seed] = ()) -> SeenRecordings:
        """The recordings of the seeds, with the near-duplicates that the library knows, and theirs."""
        seeds = (*self.seeds, *more)
        asked = {*ids, *(s.track_id for s in seeds if s.track_id is not None), *(track.id for track, _ in self.last)}
        while True:
            pairs = self.library.near_duplicates(sorted(asked))
            if asked.issuperset(i for pair in pairs for i in pair):
                break
            asked.update(i for pair in pairs for i in pair)
        group = {i: {i} for pair in pairs for i in pair}
        for a, b in pairs:
            joined = group[a] | group[b]
            group.update(dict.fromkeys(joined, joined))
        outside = {id(s.track): s.excerpts for s in seeds if s.excerpts is not None}
        recordings = SeenRecordings(
            lambda i: group.get(i, frozenset()),
            self.index.mean_similarity,
            same_sound(self.library, outside),
            versions=self.query.versions,
        )
        for track, vector in self.last:
            recordings.add(track, vector)
        for seed in seeds:
            if seed.track is not None:
                recordings.add(seed.track, seed.vector)
        return recordings

    def remarks(self, picked: Sequence[Candidate]) -> list[str]:
        """Which seeds did not count, and why there are fewer tracks than were asked for."""
        read = [f"understood: {self.described.in_words()}"] if self.described else []
        notes = [*read, *self._notes, *guessed(self.query, [c.track for c in picked])]
        length_s = self.query.length_s
        plays_s = sum(c.track.duration_s for c in picked)
        if (plays_s > length_s - _SONG_S / 2) if length_s else (len(picked) >= self.query.n):
            return notes
        why = +self._left_out
        likely = self.described.passing if self.described else None
        return [*notes, *shortfall(self.filters, self.query, len(picked), why, self.ids, self.hidden, likely)]


def _albums_of(library: LibraryStore, tracks: Sequence[LibraryTrack]) -> set[AlbumKey]:
    """The keys of the albums of tracks; also their folders where these hold compilations of many artists."""
    keys = {key for track in tracks for key in album_keys(track)}
    for folder, track in {folder_key(track): track for track in tracks}.items():
        if folder in keys:
            beside = {t.id: t for t in (track, *library.beside(track)) if folder in album_keys(t)}
            if not is_shared(beside.values()):
                keys.discard(folder)
    return keys


def _tracks_with_vectors(
    library: LibraryStore, index: Index, ids: Sequence[int]
) -> list[tuple[LibraryTrack, np.ndarray]]:
    """The tracks of some ids that the library and its index hold, each with its vector."""
    known = index.holds(np.array(ids, np.int64))
    tracks = library.tracks([i for i, is_there in zip(ids, known.tolist(), strict=True) if is_there])
    return list(zip(tracks, index.vectors(np.array([t.id for t in tracks], np.int64)), strict=True))


def _as_candidate(seed: Seed) -> Candidate:
    assert seed.track is not None
    return Candidate(seed.track, seed.vector, 0, 1.0, 1.0)


def _tastes(
    library: LibraryStore, index: Index, query: Query, listens: Sequence[Listen] | None, now_s: float
) -> tuple[tuple[Seed, ...], list[np.ndarray], set[int]]:
    """A listener's tastes as seeds, what is disliked, and which tracks to hold back.

    With seeds of the query's own, what was played lately is held back; else all that the history names is.
    """
    from mirclr.recommend.taste import listens_of, taste_of

    assert query.profile is not None
    listens = listens_of(library, query.profile) if listens is None else listens
    taste = taste_of(library, listens, now_s=now_s, long=LongTracks.of(library, index))
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
