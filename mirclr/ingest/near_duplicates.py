"""Near-duplicates, one recording held several times: under another name, in another format, at another bitrate.

Three steps. Candidates: each track's `NEIGHBOURS` nearest by the library's vectors, where they are near enough and of
about the same length; a library is not compared pair by pair. What is near enough depends on how near other tracks are,
as in a library of music for one instrument all are near; there, excerpts must be alike in the same places. Decoding:
the first two minutes of each candidate are decoded, once, into a `Fingerprint`. Comparing: how well two fingerprints
correlate at the best shift gives how likely they are one. Tracks whose excerpts are equal sample for sample are taken
as one recording without decoding.

Where both tracks of a pair have fingerprints (`mirclr.identify`), these are compared, and nothing is decoded; and
fingerprints propose candidates of their own, which vectors do not see, such as quiet copies.

What a pair was found to be stays in the library, and is not decoded again until one of its tracks changes.

Axes: S eighths of a second, F bands of log-mel, 12 pitch classes.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

import numpy as np

from mirclr.audio import why_lost
from mirclr.audio.fingerprint import Fingerprint, compare, try_fingerprint
from mirclr.identify.copies import common_part, fingerprint_candidates
from mirclr.index import open_index
from mirclr.library import LibraryStore, LibraryTrack, part_leading_out
from mirclr.library.names import components
from mirclr.processes import Lost, results_in_order, seconds_for_file

NEIGHBOURS = 10
"""How many of the nearest tracks of each are candidates."""
NEAR = 0.6
"""Cosine from which a neighbour is a candidate: altered copies were at 0.75 or more by the built-in encoder."""
CROWDED = 0.4
"""A candidate is nearer than by so much of the distance to the `_DENSITY`-th neighbour of either, or is `ALIGNED`.

By trial on tracks of debian-games, of which all 92 pairs of copies stay, and 62 of 154 others go; of 102 renders of
piano pieces and 36 copies, all 69 stay, and 918 of 934 others go. Of 200 such renders 41 are decoded, and not 200."""
ALIGNED = 3.5
"""How well excerpts of a candidate lie together; see `ExcerptEmbeddings.alignment`."""
SURE = 0.5
"""Likelihood from which a pair counts as one recording."""
_LENGTHS_S, _LENGTHS = 20.0, 0.1  # two lengths may differ by this, or by this fraction of the longer, whichever is more
_DENSITY = 20  # neighbours by which it is known how near other tracks are; where there are no more, all near ones count
_CHUNK = 1024  # tracks whose neighbours are looked for at once
_LOSSLESS = frozenset((".flac", ".wav", ".aif", ".aiff", ".aifc"))
_BATCH = 64  # tracks that are decoded between two writes


Pair = tuple[int, int]
"""Two track ids, the lower one first."""


@dataclass(frozen=True)
class Copy:
    """A track of a group that is one recording.

    Attributes
    ----------
    track : LibraryTrack
    likelihood : float
        The highest that ties it to another of the group.
    best : bool
        Whether it is the longest lossless file of the group, or else the one of the highest bitrate.
    """

    track: LibraryTrack
    likelihood: float
    best: bool


@dataclass(frozen=True)
class NearDuplicates:
    """What `find_near_duplicates` found.

    Attributes
    ----------
    pairs : dict
        Likelihood by pair of track ids, of pairs with at least `SURE`.
    failures : list of str
        One line a file that could not be decoded, naming it.
    """

    pairs: dict[Pair, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def find_candidates(library: LibraryStore) -> list[Pair]:
    """Pairs of tracks that are worth comparing: near by their vectors, of similar length, not compared already.

    Raises
    ------
    NoMatch
        The library holds no tracks.
    """
    index = open_index(library)
    known = library.near_duplicates(at_least=0)
    tracks = {t.id: t for t in library.tracks()}
    ids, vectors = library.compared()
    near: dict[Pair, float] = {}
    reach: dict[int, float] = {}
    for start in range(0, len(ids), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        similarities, found = index.search(vectors[chunk], _DENSITY + 1)  # itself is one of them
        far = 1 - similarities[:, -1] if similarities.shape[1] > _DENSITY else np.full(len(similarities), np.inf)
        reach |= dict(zip(ids[chunk].tolist(), far.tolist(), strict=True))
        rows, columns = np.nonzero(similarities[:, : NEIGHBOURS + 1] >= NEAR)
        distances = (1 - similarities[rows, columns]).tolist()
        for first, second, distance in zip(
            ids[chunk][rows].tolist(), found[rows, columns].tolist(), distances, strict=True
        ):
            if first in tracks and second in tracks and _may_be_one(tracks[first], tracks[second]):
                near[min(first, second), max(first, second)] = distance
    pairs = sorted(near.keys() - known.keys())
    crowded = [p for p in pairs if near[p] > CROWDED * max(reach.get(i, np.inf) for i in p)]
    return sorted({*pairs}.difference(_not_aligned(library, crowded)))


def _not_aligned(library: LibraryStore, pairs: Sequence[Pair]) -> Iterator[Pair]:
    """Those of which the excerpts, where they are kept, do not lie together."""
    for start in range(0, len(pairs), _CHUNK):
        some = pairs[start : start + _CHUNK]
        held = library.excerpt_embeddings(sorted({i for pair in some for i in pair}))
        for a, b in some:
            if a in held and b in held and held[a].alignment(held[b]) < ALIGNED:
                yield a, b


def candidates_by_ear(library: LibraryStore) -> list[Pair]:
    """Pairs that the library's fingerprints propose, where it has some: of similar length, not compared already."""
    known = library.near_duplicates(at_least=0)
    pairs = set(fingerprint_candidates(library)) - known.keys()
    tracks = {t.id: t for t in library.tracks(sorted({i for pair in pairs for i in pair}))}
    return sorted((a, b) for a, b in pairs if a in tracks and b in tracks and _may_be_one(tracks[a], tracks[b]))


def _may_be_one(a: LibraryTrack, b: LibraryTrack) -> bool:
    longer = max(a.duration_s, b.duration_s)
    similar = abs(a.duration_s - b.duration_s) <= max(_LENGTHS_S, _LENGTHS * longer)
    return a.id != b.id and a.audio_digest != b.audio_digest and similar


def find_near_duplicates(
    library: LibraryStore,
    *,
    candidates: Iterable[Pair] | None = None,
    workers: int = 0,
    advance: Callable[[], object] | None = None,
) -> NearDuplicates:
    """Find the tracks that are one recording, and store them in the library.

    What a pair was found to be is stored as it goes, and when the run is interrupted.

    Parameters
    ----------
    library : LibraryStore
        Stores what is found.
    candidates : iterable of Pair, optional
        Pairs to compare; by default those of `find_candidates` and of `candidates_by_ear`. Two with fingerprints are
        compared by these, and not decoded.
    workers : int
        Processes that decode; 0: one a core.
    advance : callable, optional
        Called after each track that was decoded, or could not be, and each pair that fingerprints were enough for.

    Returns
    -------
    NearDuplicates
        A file that cannot be decoded is among its failures, and its pairs are left out.

    Raises
    ------
    NoMatch
        The library holds no tracks.
    """
    fingerprinted, made = library.fingerprint_times()
    if candidates is None:
        candidates = [*find_candidates(library), *candidates_by_ear(library)]
    by_ear, others = _parted(candidates, set(fingerprinted.tolist()))
    chosen = dict.fromkeys(others, 1.0)
    compared = _of_equal_audio(library.tracks())  # and not stored yet
    _compare_fingerprints(library, by_ear, advance)
    if len(made):
        library.note_fingerprints_compared(int(made.max()))
    found = NearDuplicates(library.near_duplicates(at_least=SURE) | compared)
    # near ones one after the other, so that a fingerprint is soon compared with all that it waits for, and dropped
    wanted = library.tracks([i for group in groups(chosen) for i in group])
    tracks, outside = part_leading_out(wanted)
    found.failures.extend(outside)
    waiting = _Waiting(chosen)
    for left_out in {track.id for track in wanted} - {track.id for track in tracks}:
        waiting.give_up(left_out)
    try:
        results = results_in_order(
            try_fingerprint, ((t.file, t.span) for t in tracks), workers=workers, seconds_for=seconds_for_file
        )
        for n, (track, (_, result)) in enumerate(zip(tracks, results, strict=True), 1):
            if isinstance(result, Fingerprint):
                likelihoods = waiting.compare(track.id, result)
                compared |= likelihoods
                found.pairs.update((pair, p) for pair, p in likelihoods.items() if p >= SURE)
            else:
                found.failures.append(why_lost(track.file, result) if isinstance(result, Lost) else str(result))
                waiting.give_up(track.id)
            if n % _BATCH == 0:
                library.store_near_duplicates(compared)
                compared.clear()
            if advance:
                advance()
    finally:
        library.store_near_duplicates(compared)
    return found


def _parted(pairs: Iterable[Pair], fingerprinted: Set[int]) -> tuple[list[Pair], list[Pair]]:
    """Those of which both have fingerprints, and the others; each once, in their order."""
    each = list(dict.fromkeys(pairs))
    by_ear = [pair for pair in each if fingerprinted >= set(pair)]
    return by_ear, [pair for pair in each if not fingerprinted >= set(pair)]


def steps_to_compare(library: LibraryStore, candidates: Iterable[Pair]) -> int:
    """How often `find_near_duplicates` calls `advance` for these."""
    by_ear, others = _parted(candidates, set(library.fingerprint_times()[0].tolist()))
    return len(by_ear) + len({i for pair in others for i in pair})


def _compare_fingerprints(library: LibraryStore, pairs: Sequence[Pair], advance: Callable[[], object] | None) -> None:
    """Store of each pair which part of the shorter is the other, as how likely they are one."""
    for start in range(0, len(pairs), _BATCH):
        some = pairs[start : start + _BATCH]
        landmarks = library.fingerprints(sorted({i for pair in some for i in pair}))
        there = [pair for pair in some if landmarks.keys() >= set(pair)]
        library.store_near_duplicates({(a, b): common_part(landmarks[a], landmarks[b]) for a, b in there})
        if advance:
            for _ in some:
                advance()


class _Waiting:
    """Pairs that are still to be compared, and the fingerprints that wait for the other of their pair."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self._partners: dict[int, set[int]] = defaultdict(set)
        self._fingerprints: dict[int, Fingerprint] = {}
        for first, second in pairs:
            self._partners[first].add(second)
            self._partners[second].add(first)

    def compare(self, this: int, fingerprint: Fingerprint) -> dict[Pair, float]:
        """Compare a track with those of its partners that are there: likelihood by pair."""
        if self._partners[this]:  # else all of its partners failed
            self._fingerprints[this] = fingerprint
        likelihoods = {}
        for other in sorted(self._partners[this] & self._fingerprints.keys()):
            likelihoods[min(this, other), max(this, other)] = compare(self._fingerprints[other], fingerprint)
            self._drop(this, other)
        return likelihoods

    def give_up(self, this: int) -> None:
        """Leave out the pairs of a track that cannot be decoded."""
        for other in list(self._partners[this]):
            self._drop(this, other)

    def _drop(self, first: int, second: int) -> None:
        """Tick off a pair; a fingerprint that waits for no other is not needed any more."""
        for this, other in ((first, second), (second, first)):
            self._partners[this].discard(other)
            if not self._partners[this]:
                self._fingerprints.pop(this, None)


def _of_equal_audio(tracks: Iterable[LibraryTrack]) -> dict[Pair, float]:
    """Each track whose excerpts are those of an earlier one, with the first of these."""
    first: dict[str, int] = {}
    return {
        (first[t.audio_digest], t.id): 1.0
        for t in sorted(tracks, key=lambda t: t.id)
        if t.audio_digest and first.setdefault(t.audio_digest, t.id) != t.id
    }


def groups(pairs: Mapping[Pair, float], at_least: float = SURE) -> list[list[int]]:
    """The tracks that are one recording, and those that are one with these: connected components.

    Parameters
    ----------
    pairs : mapping of Pair to float
        Likelihoods.
    at_least : float
        Pairs below this likelihood join nothing.

    Returns
    -------
    list of lists of track ids
        Each ascending; the largest first, among equals the one with the lowest id.
    """
    of: dict[int, list[Pair]] = defaultdict(list)
    for pair, likelihood in pairs.items():
        if likelihood >= at_least:
            for i in pair:
                of[i].append(pair)
    ids = sorted(of)
    found: dict[int, list[int]] = defaultdict(list)
    for i, number in zip(ids, components(of[i] for i in ids), strict=True):
        found[number].append(i)
    return sorted(found.values(), key=lambda group: (-len(group), group[0]))


def copies(library: LibraryStore, pairs: Mapping[Pair, float], at_least: float = SURE) -> list[list[Copy]]:
    """The tracks of each of `groups`, but for those that were removed meanwhile."""
    highest: dict[int, float] = {}
    for pair, likelihood in pairs.items():
        highest |= {i: max(likelihood, highest.get(i, 0.0)) for i in pair}
    joined = groups(pairs, at_least)
    states = library.states_of([i for ids in joined for i in ids])
    found = []
    for ids in joined:
        tracks = library.tracks(ids)
        if len(tracks) > 1:
            best = max(tracks, key=lambda t: (*_quality(t, states[t.id].size), -t.id))
            found.append([Copy(t, highest[t.id], t is best) for t in tracks])
    return found


def _quality(track: LibraryTrack, size: int) -> tuple[bool, float]:
    """Lossless files by their length in whole seconds, above others by their bytes a second."""
    lossless = track.file.suffix.lower() in _LOSSLESS
    return lossless, round(track.duration_s) if lossless else size / max(track.duration_s, 1e-3)
