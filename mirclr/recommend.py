"""From seeds to recommendations; never touches audio or torch.

Conventions: a similarity is a cosine, rounded to `_DECIMALS`; tracks that are equal so far come in
order of id, so the same query on the same library gives the same list.

Contents: `Seed` and `Query` (what is asked), `recommend_tracks`, `Recommendation` (what is answered),
`match_tracks` (a text to the tracks that it means).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mirclr.errors import NoMatch
from mirclr.index import NeighbourIndex
from mirclr.library import Library, LibraryTrack, fold, shown

_DECIMALS = 6
_TWIN_SIMILARITY = 0.9999
_TWIN_SECONDS = 0.1
_LIKELY = 0.5


@dataclass(frozen=True, eq=False)
class Seed:
    """A track to start from, of the library or not.

    Attributes
    ----------
    label : str
        For people.
    vector : (dim,) float32, unit length
        Of the library's encoder.
    track_id : int, optional
        Its id when the library holds it.
    audio_digest : str, optional
        Of the decoded excerpts.
    duration_s : float, optional
        Length in seconds.
    artist, album, genre : str, optional
        Its tags, for saying what is shared.
    """

    label: str
    vector: np.ndarray
    track_id: int | None = None
    audio_digest: str | None = None
    duration_s: float | None = None
    artist: str | None = None
    album: str | None = None
    genre: str | None = None

    @classmethod
    def of_track(cls, library: Library, track: LibraryTrack) -> "Seed":
        """Make a seed of a track that the library holds."""
        return cls(
            track.label,
            library.vector(track.id),
            track.id,
            track.audio_digest,
            track.duration_s,
            track.artist,
            track.album,
            track.genre,
        )


@dataclass(frozen=True, eq=False)
class Query:
    """What is asked.

    Attributes
    ----------
    seeds : tuple of Seed
        At least one.
    n : int
        How many tracks are wanted, at least 1.
    """

    seeds: tuple[Seed, ...]
    n: int = 20

    def __post_init__(self) -> None:
        if not self.seeds or self.n < 1:
            raise ValueError(f"{len(self.seeds)} seeds for {self.n} tracks; expected at least 1 of each")


@dataclass(frozen=True)
class Recommendation:
    """One track of an answer.

    Attributes
    ----------
    rank : int
        From 1.
    track : LibraryTrack
    similarity : float in [-1, 1]
        Cosine with the nearest seed.
    seed : str
        Label of that seed.
    why : str
        For people: what it shares with that seed.
    """

    rank: int
    track: LibraryTrack
    similarity: float
    seed: str
    why: str


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A track of the library with its vector, its nearest seed and the similarity to it."""

    track: LibraryTrack
    vector: np.ndarray
    seed: Seed
    similarity: float


def recommend_tracks(library: Library, index: NeighbourIndex, query: Query) -> list[Recommendation]:
    """Rank the tracks of a library by their similarity to the nearest seed.

    No seed is recommended, nor a twin of one or of a track ranked before: the same decoded audio, or a vector
    as good as equal at the same duration. As many as asked for are given while the library has them.

    Parameters
    ----------
    library : Library
        Where the tracks are.
    index : NeighbourIndex
        Its index.
    query : Query
        What is asked.

    Returns
    -------
    list of Recommendation
        At most ``query.n``, best first.
    """
    chosen = _choose(library, index, query)
    explain = partial(_why, tasks=_likely(library, chosen), several=len(query.seeds) > 1)
    return [Recommendation(rank, c.track, c.similarity, c.seed.label, explain(c)) for rank, c in enumerate(chosen, 1)]


def _choose(library: Library, index: NeighbourIndex, query: Query) -> list[_Candidate]:
    """The first n candidates that are no twins; looks at more and more neighbours until there are n."""
    k = 2 * query.n + len(query.seeds) + 16
    while True:
        chosen: list[_Candidate] = []
        recordings = _Recordings(query.seeds)
        for candidate in _candidates(library, index, query, k):
            track = candidate.track
            if recordings.add(candidate.vector, track.audio_digest, track.duration_s):
                chosen.append(candidate)
            if len(chosen) == query.n:
                return chosen
        if k >= len(index):
            return chosen
        k *= 4


def _candidates(library: Library, index: NeighbourIndex, query: Query, k: int) -> Iterator[_Candidate]:
    """The k nearest of each seed in order of rank, as far as their order is sure."""
    similarities, ids = index.search(np.stack([seed.vector for seed in query.seeds]), k)
    similarities = np.round(similarities.astype(np.float64), _DECIMALS)
    # a track that no seed has among its k nearest may be as similar as the last of those, so the order is
    # sure only above that; when all are among them there is no such track
    floor = similarities[:, -1].max() if k < len(index) else -np.inf
    order = np.lexsort((ids.ravel(), -similarities.ravel()))
    order = order[similarities.ravel()[order] > floor]
    _, first = np.unique(ids.ravel()[order], return_index=True)  # of a track near several seeds, the nearest
    order = order[np.sort(first)]

    seeds = {seed.track_id for seed in query.seeds}
    for start in range(0, len(order), 256):  # most answers need no more than the first of these
        some = order[start : start + 256]
        held, matrix = library.vectors(ids.ravel()[some].tolist())
        vectors = dict(zip(held.tolist(), matrix, strict=True))
        tracks = {track.id: track for track in library.tracks(held.tolist())}
        for i in some:
            track_id = int(ids.ravel()[i])
            # it may have been removed since the index was opened
            if track_id in tracks and track_id not in seeds:
                seed = query.seeds[i // ids.shape[1]]
                yield _Candidate(tracks[track_id], vectors[track_id], seed, float(similarities.ravel()[i]))


class _Recordings:
    """The recordings that are taken: those of the seeds, then of each chosen track."""

    def __init__(self, seeds: Sequence[Seed]) -> None:
        self._digests = {seed.audio_digest for seed in seeds if seed.audio_digest}
        self._vectors = [seed.vector for seed in seeds]
        self._durations = [np.nan if seed.duration_s is None else seed.duration_s for seed in seeds]

    def add(self, vector: np.ndarray, digest: str, duration_s: float) -> bool:
        """Take a recording; False when it is taken already."""
        if digest in self._digests:
            return False
        for i in np.flatnonzero(np.abs(np.array(self._durations) - duration_s) <= _TWIN_SECONDS):
            if float(vector @ self._vectors[i]) > _TWIN_SIMILARITY:
                return False
        if digest:
            self._digests.add(digest)
        self._vectors.append(vector)
        self._durations.append(duration_s)
        return True


_Likely = Mapping[str, Mapping[int, frozenset[str]]]  # task -> track id -> labels


def _likely(library: Library, chosen: Sequence[_Candidate]) -> _Likely:
    """For each stored task the labels that each chosen track and seed likely has, the likeliest at least."""
    ids = [c.track.id for c in chosen] + [c.seed.track_id for c in chosen if c.seed.track_id is not None]
    return {
        task: {
            i: frozenset(label for label, p in row.items() if p >= min(_LIKELY, max(row.values())))
            for i, row in library.probabilities(task, ids).items()
        }
        for task in library.tasks()
    }


def _why(candidate: _Candidate, tasks: _Likely, several: bool) -> str:
    """What a candidate shares with its nearest seed, which is named when there are several."""
    track, seed = candidate.track, candidate.seed
    shared = [
        f"same {name}"
        for name in ("artist", "album", "genre")
        if (mine := getattr(track, name)) and (its := getattr(seed, name)) and fold(mine) == fold(its)
    ]
    for task, labels in tasks.items():
        both = labels.get(track.id, frozenset()) & labels.get(seed.track_id or 0, frozenset())
        if both:
            shared.append(f"{task}: {', '.join(sorted(both))}")
    near = [f"near {seed.label}"] if several else []
    return shown("; ".join(near + shared) or "sounds alike")


def match_tracks(library: Library, text: str) -> list[LibraryTrack]:
    """Find the tracks that a text means.

    Among the tracks that `Library.find` finds: the one whose title, or artist and title, the text is; else
    all of the artist or album that it names; else all of them, if they are of one artist.

    Parameters
    ----------
    library : Library
        Where to look.
    text : str
        Words of artist, title, album or path, in any case, accents or not.

    Returns
    -------
    list of LibraryTrack
        At least one.

    Raises
    ------
    NoMatch
        Nothing matches, or tracks of several artists do; the text lists what may have been meant.
    """
    words = _words(text)
    found = library.find(words)
    if not found:
        raise NoMatch(f"{text!r} matches no track of {library.path}{_suggestions(library, text)}")
    titled = [t for t in found if t.title and words in (_words(t.title), _words(f"{t.artist} {t.title}"))]
    if titled and len(_artists(titled)) == 1:
        return titled[:1]  # the same song on several albums is one seed
    if not titled:
        for name in ("artist", "album"):
            if named := [t for t in found if _words(getattr(t, name) or "") == words]:
                return named
    found = titled or found
    if len(found) == 1 or (len(_artists(found)) == 1 and found[0].artist):
        return found
    listed = "".join(f"\n  {t.label} ({shown(t.path)})" for t in found[:8])
    raise NoMatch(f"{text!r} matches {len(found)} tracks of several artists; say more, or give a path:{listed}")


def _words(text: str) -> str:
    """The words of a text as search compares them, without dashes between them."""
    return " ".join(word for word in fold(text).split() if word not in ("-", "–", "—"))


def _artists(tracks: Sequence[LibraryTrack]) -> set[str]:
    return {_words(track.artist or "") for track in tracks}


def _suggestions(library: Library, text: str) -> str:
    from difflib import get_close_matches

    names: dict[str, str] = {}
    for track in library.tracks():
        for name in (track.artist, track.title, track.label):
            if name:
                names.setdefault(fold(name), shown(name))
    close = get_close_matches(fold(text), names, n=5, cutoff=0.6)
    return "; close are: " + ", ".join(names[name] for name in close) if close else ""
