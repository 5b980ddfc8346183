"""A clip to the track that it is of: candidates by hashes, then each is laid on its track and judged."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mirclr.identify.alignment import WORTH_A_CHANGE, Alignment, Change, Clip
from mirclr.identify.hashing import ClipTriples
from mirclr.identify.postings import Postings

SURE, MATCHED = 18.0, 0.3
"""Evidence, in nats, and fraction of a track's landmarks, from which a clip is taken to be of it."""
_CANDIDATES = (48, 12)  # of the first changes, and of each of the others
_CLEAR = 45.0  # evidence at which no other changes need be tried
_AS_GOOD = 0.97  # of the evidence of the best
_SPEEDS = tuple(1 + 0.01 * k for k in range(-6, 7) if k)
_PACES = (0.94, 0.96, 0.98, 1.02, 1.04, 1.06)
_CHANGED = (
    *(Change(speed, speed) for speed in _SPEEDS),
    *(Change(1.0, pace) for pace in _PACES),
    *(Change(pitch, 1.0) for pitch in _SPEEDS),
)
"""A clip may be of a track that was played faster or slower, or stretched, or tuned."""


@dataclass(frozen=True)
class Match:
    """A track that a clip may be of, and how it lies on it."""

    track_id: int
    alignment: Alignment

    @property
    def is_sure(self) -> bool:
        """Whether it is enough to be reported."""
        one = self.alignment
        return one.evidence >= SURE and one.matched >= MATCHED * one.there


def find_matches(
    clip: Clip,
    postings: Sequence[Postings],
    landmarks: Callable[[Sequence[int]], Mapping[int, np.ndarray]],
    likely: Iterable[Change] = (),
) -> list[Match]:
    """Find the tracks that a clip may be of.

    Parameters
    ----------
    clip : Clip
        Some seconds of it.
    postings : sequence of Postings
        Of all tracks, each in one of them.
    landmarks : callable
        Gives the landmarks of tracks, by id; those of tracks that are gone are left out.
    likely : iterable of Change
        Tried with the first.

    Returns
    -------
    list of Match
        Each track once, the one with the most evidence first.
    """
    found: dict[int, list[Alignment]] = {}
    held: dict[int, np.ndarray] = {}
    triples = ClipTriples(clip.landmarks)
    for changes, count in zip((dict.fromkeys((Change(), *likely)), _CHANGED), _CANDIDATES, strict=True):
        wanted = []
        for change in changes:
            hashes, frames = triples.hashes(change.pitch, change.pace)
            for part in postings:
                wanted += [(change, *one) for one in part.candidates(hashes, frames, count)]
        held.update(landmarks(sorted({track for _, _, track, _ in wanted} - held.keys())))
        for change, _, track, frame in wanted:
            if track in held:
                found.setdefault(track, []).append(clip.align(held[track], frame, change))
        if max((one.evidence for several in found.values() for one in several), default=0.0) >= _CLEAR:
            break
    best = {track: _best(several) for track, several in found.items()}
    return [Match(i, best[i]) for i in sorted(best, key=lambda i: (-best[i].evidence, i))]


def _best(found: Sequence[Alignment]) -> Alignment:
    """The one with the most evidence; of those that are as good, as on a loop, the earliest in the track."""
    top = max(found, key=lambda one: one.evidence / (1 if one.change == Change() else WORTH_A_CHANGE))
    as_good = [one for one in found if one.change == top.change and one.evidence >= _AS_GOOD * top.evidence]
    return min(as_good, key=lambda one: (abs(one.frame), one.frame))
