"""What a listener likes, as a few directions among a library's vectors; no audio, no torch.

Conventions: n tracks, k centres, m disliked tracks, vectors of dim components and of unit length. A listen is matched
with a track as `mirclr.recommend.matching` does.

Contents: `listens_of` (a profile to listens), `match_listens` (listens to tracks), `missing_listens`, `taste_of` (a
library and listens to a `Taste`), `find_centres` (spherical k-means), `mean_direction`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from mirclr.errors import NoMatch
from mirclr.library import LibraryStore, LibraryTrack, Listen, shown
from mirclr.recommend.matching import TrackReference, match_references
from mirclr.recommend.segments import LongTracks

RECENT_DAYS = 14
HALF_LIFE_DAYS = 180

_LEAST_RECENCY = 0.1
_LIKE = 2.0
_PLAYS_OF_A_LIKE = 4
_MAX_CENTRES = 8
_MOST_GROUPED = 4096
_DAY_S = 86_400
_ROUNDS = 100


@dataclass(frozen=True, eq=False)
class MatchedListens:
    """Which listens are which tracks.

    Attributes
    ----------
    rows : (m,) int64
        Positions of the listens whose piece the library holds, ascending.
    ids : (m,) int64
        The track of each.
    copies : dict of int to int
        Other tracks of the same artist and title, such as those of a compilation, each with the one of `ids`.
    missing : int
        How many listens are of pieces that the library does not hold.
    """

    rows: np.ndarray
    ids: np.ndarray
    copies: dict[int, int]
    missing: int


@dataclass(frozen=True, eq=False)
class Taste:
    """What a listener likes and knows.

    Attributes
    ----------
    centres : (k, dim) float32, unit rows
        Mean directions of groups of tracks that the listener likes, the weightiest first; none where all are disliked.
    weights : (k,) float32
        How much of the listening each stands for; they add up to 1.
    disliked : (m, dim) float32, unit rows
        Vectors of disliked tracks.
    known : frozenset of int
        Ids of all tracks that the history names, and of their copies.
    recent : frozenset of int
        Ids of those that were played in the last `RECENT_DAYS` days, and of their copies.
    """

    centres: np.ndarray
    weights: np.ndarray
    disliked: np.ndarray
    known: frozenset[int]
    recent: frozenset[int]


def listens_of(library: LibraryStore, profile: str) -> list[Listen]:
    """The listening history that a library stores of a listener.

    Raises
    ------
    NoMatch
        There is no profile of that name.
    """
    if profile not in (held := library.profiles()):
        near = get_close_matches(profile, held, n=1)
        known = f"; did you mean {shown(near[0])}?" if near else f"; there is: {', '.join(map(shown, held))}"
        hint = "; make one with: mirclr profile import NAME FILE"
        raise NoMatch(f"{library.path}: no profile {shown(profile)!r}{known if held else hint}")
    return library.listens(profile)


def match_listens(library: LibraryStore, listens: Sequence[Listen]) -> MatchedListens:
    """Find the tracks of a library that listens are of.

    As `matching.match_references` finds them: by file, by the end of its path, by artist and title. Of several tracks
    it is the one of the album that the listen names, or else the first.

    Parameters
    ----------
    library : LibraryStore
        Where the tracks are.
    listens : sequence of Listen
        As `mirclr.recommend.history.read_history` gives them.

    Returns
    -------
    MatchedListens
        Empty where nothing matches.
    """
    wanted = [_wanted(listen) for listen in listens]
    rows, ids, copies = [], [], dict[int, int]()
    for row, piece in enumerate(match_references(library, wanted)):
        if piece.ids:
            rows.append(row)
            ids.append(piece.ids[0])
            copies |= dict.fromkeys((*piece.ids, *piece.copies), piece.ids[0])
    others = {i: copies[i] for i in copies.keys() - set(ids)}
    return MatchedListens(np.array(rows, np.int64), np.array(ids, np.int64), others, len(listens) - len(rows))


def missing_listens(listens: Sequence[Listen], matched: MatchedListens) -> list[Listen]:
    """The listens of pieces that the library does not hold, the most played first."""
    found = set(matched.rows.tolist())
    missing = [listen for row, listen in enumerate(listens) if row not in found]
    return sorted(missing, key=lambda x: (-x.plays, x.artist, x.title, x.file))


def _wanted(listen: Listen) -> TrackReference:
    names = ((listen.artist, listen.title),) if listen.artist and listen.title else ()
    if not listen.file:
        return TrackReference(names=names, album=listen.album)
    # of a playlist, which may have meant them in the other order
    return TrackReference((listen.file,), (listen.file,), (*names, *(pair[::-1] for pair in names)), listen.album)


def taste_of(
    library: LibraryStore, listens: Sequence[Listen], *, now_s: float, long: LongTracks | None = None
) -> Taste:
    """Find what a listener likes from a listening history.

    A track weighs log2(1 + plays), twice that where it is liked, times 0.5 for each `HALF_LIFE_DAYS` days since it was
    last played, but 0.1 at least. A like without plays counts as 4 plays, an unknown time as one half-life. A track
    that is disliked anywhere is in no centre. There are round(sqrt(n / 3)) centres, from 1 to 8; of more than 4096
    tracks the weightiest make them. A long mix is its segments, which together weigh as much as a song.

    Parameters
    ----------
    library : LibraryStore
        Where the tracks are.
    listens : sequence of Listen
        In any order.
    now_s : float
        The present, in seconds since 1970.
    long : LongTracks, optional
        Those of the library; without, each track is its one vector.

    Returns
    -------
    Taste

    Raises
    ------
    NoMatch
        The library holds no track that the listens are of.
    """
    matched = match_listens(library, listens)
    if not len(matched.ids):
        raise NoMatch(
            f"{library.path}: holds no song of this history of {len(listens):,}; "
            f"songs are found by artist and title as their tags have them, or by their files"
        )
    ids, at = np.unique(matched.ids, return_inverse=True)
    of = [listens[row] for row in matched.rows]
    plays, last_s = np.zeros(len(ids)), np.full(len(ids), -np.inf)
    np.add.at(plays, at, [float(listen.plays) for listen in of])
    np.maximum.at(last_s, at, [-np.inf if listen.last_s is None else listen.last_s for listen in of])
    tastes = np.array([listen.taste for listen in of])
    liked, disliked = (np.isin(np.arange(len(ids)), at[tastes == taste]) for taste in (1, -1))
    age_days = np.maximum(0, (now_s - last_s) / _DAY_S)  # infinite where no time is known

    weights = _weights(plays, age_days, liked)
    wanted = ~disliked & (weights > 0)
    weightiest = np.argsort(-np.where(wanted, weights, 0), kind="stable")[: min(int(wanted.sum()), _MOST_GROUPED)]
    weightiest.sort()
    held, vectors = library.compared(ids[weightiest].tolist())
    if len(weightiest):
        of_parts = weights[weightiest]
        if long is not None:
            places, vectors = long.parted(held, vectors)
            of_parts = (of_parts / np.bincount(places, minlength=len(held)))[places]
        n = int(wanted.sum()) + len(vectors) - len(held)
        centres, fractions = find_centres(vectors, of_parts, centre_count(n))
    else:
        centres, fractions = vectors, np.zeros(0, np.float32)
    recent = set(ids[age_days <= RECENT_DAYS].tolist())
    return Taste(
        centres,
        fractions,
        library.compared(ids[disliked].tolist())[1],
        frozenset(ids.tolist()) | matched.copies.keys(),
        frozenset(recent | {i for i, of in matched.copies.items() if of in recent}),
    )


def centre_count(n: int) -> int:
    """How many centres n tracks are put into: round(sqrt(n / 3)), from 1 to 8."""
    return min(_MAX_CENTRES, max(1, round((n / 3) ** 0.5)))


def find_centres(vectors: np.ndarray, weights: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Group unit vectors around mean directions; spherical k-means that draws no random numbers.

    The first centre is the vector nearest to the mean direction, each further one the vector farthest from those
    before (Gonzalez 1985: Clustering to minimize the maximum intercluster distance). Then, in turns, each vector joins
    its nearest centre, and each centre becomes the weighted mean direction of its vectors (Dhillon and Modha 2001:
    Concept decompositions for large sparse text data using clustering), until none changes.

    Parameters
    ----------
    vectors : (n, dim) float32, unit rows
        At least one. The result does not depend on their order, save for ties.
    weights : (n,) float64
        Above 0.
    k : int
        How many centres are wanted; there are fewer where fewer vectors differ, or a group ends up empty.

    Returns
    -------
    centres : (k, dim) float32, unit rows
        The weightiest first.
    weights : (k,) float32
        Their fractions of the weight; they add up to 1.
    """
    x = vectors.astype(np.float64)
    first = int((x @ (weights @ x)).argmax())
    centres, nearest = x[first : first + 1], x @ x[first]
    while len(centres) < k and nearest.min() < 1 - 1e-6:
        farthest = x[nearest.argmin()]
        centres, nearest = np.vstack([centres, farthest]), np.maximum(nearest, x @ farthest)
    group = np.full(len(x), -1)
    for _ in range(_ROUNDS):
        joined = (x @ centres.T).argmax(axis=1)
        joined = np.unique(joined, return_inverse=True)[1]  # without the centres that none joined
        if len(centres) == joined.max() + 1 and (joined == group).all():
            break
        group = joined
        member = group[None, :] == np.arange(group.max() + 1)[:, None]
        centres = np.stack([mean_direction(x[m], weights[m]) for m in member])
    fractions = np.bincount(group, weights) / weights.sum()
    order = np.argsort(-fractions, kind="stable")
    return centres[order].astype(np.float32), fractions[order].astype(np.float32)


def mean_direction(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n, dim) and (n,) -> (dim,): the weighted mean direction; the weightiest vector where they cancel out."""
    mean = weights @ vectors
    norm = np.linalg.norm(mean)
    return np.asarray(mean / norm if norm > 1e-9 * weights.sum() else vectors[weights.argmax()])


def _weights(plays: np.ndarray, age_days: np.ndarray, liked: np.ndarray) -> np.ndarray:
    counted = np.where(liked & (plays == 0), _PLAYS_OF_A_LIKE, plays)
    age_days = np.where(np.isfinite(age_days), age_days, HALF_LIFE_DAYS)
    recency = np.maximum(_LEAST_RECENCY, 0.5 ** (age_days / HALF_LIFE_DAYS))
    return np.asarray(np.log2(1 + counted) * np.where(liked, _LIKE, 1.0) * recency)


def nearest_tracks(
    library: LibraryStore, taste: Taste, among: Iterable[int], *, n: int = 3
) -> list[list[LibraryTrack]]:
    """For each centre of a taste the n tracks nearest to it, each name once.

    Of the tracks whose ids are given, those to which no other centre is nearer.
    """
    ids, vectors = library.compared(sorted(among))
    similarities = vectors @ taste.centres.T
    own = similarities.argmax(axis=1) if len(ids) else np.zeros(0, np.int64)
    nearest: list[list[LibraryTrack]] = []
    for centre in range(len(taste.centres)):
        group = np.flatnonzero(own == centre)
        order = group[np.argsort(-similarities[group, centre], kind="stable")][: 8 * n]
        by_name: dict[str, LibraryTrack] = {}
        for track in library.tracks(ids[order].tolist()):
            by_name.setdefault(track.label, track)
        nearest.append(list(by_name.values())[:n])
    return nearest
