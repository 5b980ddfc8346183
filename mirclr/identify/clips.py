"""Files to what they are of: a clip to its track, a mix to the tracks that it was made of.

A file is looked at in windows of `WINDOW_S`. Of a clip that is longer some are looked at, spread over it, and the track
that most speaks for is the answer. Of a mix all are, overlapping by half, and those that follow each other on a track
are one entry of its list.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mirclr.audio.landmarks import FRAMES_A_SECOND, find_landmarks
from mirclr.errors import UnusableAudio
from mirclr.identify.alignment import Alignment, Change, Clip
from mirclr.identify.opening import open_postings
from mirclr.identify.search import SURE, Match, find_matches
from mirclr.library import LibraryStore, LibraryTrack

OF_A_CLIP = 50
"""Landmarks of a second of a clip: many more than a track keeps, as noise adds some."""
WINDOW_S, SHORTEST_S = 10, 2.0
_WHOLE_S = 15.0  # up to which a clip is looked at as a whole
_WINDOWS = 6  # of a longer one,
_CLEAR = 4.0  # until one track has that many times the evidence that is enough
_SAME_S = 1.5  # by which two windows of one track may be apart from where they should be
_GAP_S = 30.0  # in which nothing is recognised, though the same track goes on
_NEARLY = 0.7  # of the evidence of the best place, with which it is taken to go on as before
_ALONE = 2.0  # times the evidence that is enough, where one window alone says that a track is there


@dataclass(frozen=True)
class Found:
    """A track in a clip or a mix.

    Attributes
    ----------
    track : LibraryTrack
    start_s, end_s : float
        Where in the clip it was recognised.
    at_s : float
        Where in the track that begins.
    speed, pitch : float
        By how much it is faster and higher than the track, as factors.
    matched : float
        Fraction of the track's landmarks that are there.
    evidence : float
        Against chance, in nats.
    """

    track: LibraryTrack
    start_s: float
    end_s: float
    at_s: float
    speed: float
    pitch: float
    matched: float
    evidence: float


class Identifier:
    """Says of clips which tracks of a library they are of.

    Parameters
    ----------
    library : LibraryStore
        With fingerprints.
    keep : bool
        Whether their index is saved beside it where it is made anew.

    Raises
    ------
    NoMatch
        It has none.
    """

    def __init__(self, library: LibraryStore, *, keep: bool = True) -> None:
        self._library, self._postings = library, open_postings(library, keep=keep)

    def identify(self, path: Path) -> Found | None:
        """The track that a file is a clip of, or None.

        Raises
        ------
        AudioError
            It cannot be decoded, or is too short to say anything.
        """
        landmarks, seconds = _landmarks_of(path)
        return self.identify_landmarks(landmarks, seconds)

    def identify_landmarks(self, landmarks: np.ndarray, seconds: float) -> Found | None:
        """The same of the landmarks of a clip, `OF_A_CLIP` a second at most."""
        evidence: Counter[int] = Counter()
        best: dict[int, tuple[float, Alignment]] = {}
        for start, end in _windows(seconds):
            for match in self._matches(_window(landmarks, start, end)):
                here = match.alignment
                if match.is_sure:
                    evidence[match.track_id] += round(1000 * here.evidence)
                    if match.track_id not in best or here.evidence > best[match.track_id][1].evidence:
                        best[match.track_id] = start, here
            if _is_clear([n / 1000 for _, n in evidence.most_common(2)]):
                break
        for track_id, _ in evidence.most_common():
            if tracks := self._library.tracks([track_id]):  # it may have been removed in this moment
                start, one = best[track_id]
                at_s = one.frame / FRAMES_A_SECOND - start * one.change.pace
                return _found(tracks[0], 0.0, seconds, one, at_s)
        return None

    def tracklist(self, path: Path, advance: Callable[[], object] | None = None) -> list[Found]:
        """The tracks in a mix, in the order in which they begin.

        Parameters
        ----------
        path : Path
            The mix.
        advance : callable, optional
            Called after each window, of which there is one every `WINDOW_S` / 2.

        Raises
        ------
        AudioError
            As `identify`.
        """
        landmarks, seconds = _landmarks_of(path)
        entries: list[_Entry] = []
        for start in np.arange(0, max(WINDOW_S / 2, seconds - WINDOW_S / 2), WINDOW_S / 2).tolist():
            end = min(start + WINDOW_S, seconds)
            clip, lately = _window(landmarks, start, end), [one for one in entries if start - one.end_s < _GAP_S]
            for match in self._at_once(clip, [one.alignments[-1].change for one in lately]):
                _enter(entries, self._going_on(clip, match, lately, start), start, end)
            if advance:
                advance()
        sure = [one for one in entries if len(one.alignments) > 1 or one.evidence >= _ALONE * SURE]
        tracks = {track.id: track for track in self._library.tracks([one.track_id for one in sure])}
        return [one.found(tracks[one.track_id]) for one in sure if one.track_id in tracks]

    def _matches(self, clip: Clip, lately: Iterable[Change] = ()) -> list[Match]:
        return find_matches(clip, self._postings, self._stored, lately)

    def _at_once(self, clip: Clip, lately: Iterable[Change]) -> list[Match]:
        """The tracks that are in a clip at once: each is sure, also by what those before it do not explain."""
        found: list[Match] = []
        sure = [match for match in self._matches(clip, lately) if match.is_sure]
        rows = self._stored([match.track_id for match in sure])
        for match in sure:
            if match.track_id not in rows:  # it was removed in this moment
                continue
            track, here = rows[match.track_id], match.alignment
            others = (clip.beside(rows[one.track_id], one.alignment, track, here) for one in found)
            if all(Match(match.track_id, other).is_sure for other in others):
                found.append(match)
        return found

    def _going_on(self, clip: Clip, match: Match, entries: Sequence["_Entry"], start: float) -> Match:
        """The same track where it would be by now, if that is nearly as good: a loop lies on itself in many places."""
        for entry in reversed(entries):
            if entry.track_id == match.track_id and not entry.goes_on(match, start):
                rows = self._stored([match.track_id])[match.track_id]
                there = clip.align(rows, entry.frame_at(start), entry.alignments[-1].change)
                expected = Match(match.track_id, there)
                if expected.is_sure and there.evidence >= _NEARLY * match.alignment.evidence:
                    return expected
        return match

    def _stored(self, ids: Sequence[int]) -> Mapping[int, np.ndarray]:
        return self._library.fingerprints(ids)


@dataclass
class _Entry:
    """A track of a mix, as far as it was followed."""

    track_id: int
    start_s: float
    end_s: float
    alignments: list[Alignment] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)

    @property
    def evidence(self) -> float:
        return max(one.evidence for one in self.alignments)

    def goes_on(self, match: Match, start: float) -> bool:
        """Whether a later window is where this one would be by then."""
        if match.track_id != self.track_id or start - self.end_s > _GAP_S:
            return False
        drift_s = 0.01 * (start - self.starts_s[-1])  # of a pace that is known by about as much
        return abs(match.alignment.frame - self.frame_at(start)) <= (_SAME_S + drift_s) * FRAMES_A_SECOND

    def frame_at(self, start: float) -> int:
        """Where in the track a window would begin, as its last one says."""
        last = self.alignments[-1]
        return last.frame + round((start - self.starts_s[-1]) * last.change.pace * FRAMES_A_SECOND)

    def found(self, track: LibraryTrack) -> Found:
        best = max(self.alignments, key=lambda one: one.evidence)
        return _found(track, self.start_s, self.end_s, best, self.alignments[0].frame / FRAMES_A_SECOND)


def _enter(entries: list[_Entry], match: Match, start: float, end: float) -> None:
    """Put what a window is of to the entry that it goes on, or make a new one."""
    for entry in reversed(entries):
        if entry.goes_on(match, start):
            break
    else:
        entry = _Entry(match.track_id, start, end)
        entries.append(entry)
    entry.end_s = end
    entry.alignments.append(match.alignment)
    entry.starts_s.append(start)


def _is_clear(evidence: Sequence[float]) -> bool:
    """Whether one of the tracks of a clip, the likeliest first, has so much evidence that no more is needed."""
    return bool(evidence) and evidence[0] >= _CLEAR * SURE and (len(evidence) == 1 or evidence[1] < evidence[0] / 2)


def _found(track: LibraryTrack, start: float, end: float, one: Alignment, at_s: float) -> Found:
    before = min(0.0, at_s)  # the clip begins before the track does
    return Found(
        track,
        round(start - before / one.change.pace, 2),
        round(end, 2),
        round(at_s - before, 2),
        one.change.pace,
        one.change.pitch,
        one.matched / max(1, one.there),
        one.evidence,
    )


def _landmarks_of(path: Path) -> tuple[np.ndarray, float]:
    landmarks = find_landmarks(path, kept=OF_A_CLIP)
    seconds = (int(landmarks[:, 0].max(initial=-1)) + 1) / FRAMES_A_SECOND
    if seconds < SHORTEST_S:
        raise UnusableAudio(f"{path}: {seconds:.1f} s of sound; {SHORTEST_S:.0f} s or more are needed, better 5")
    return landmarks, seconds


def _window(landmarks: np.ndarray, start: float, end: float) -> Clip:
    first, last = round(start * FRAMES_A_SECOND), round(end * FRAMES_A_SECOND)
    begin, stop = np.searchsorted(landmarks[:, 0], (first, last))
    return Clip(landmarks[begin:stop] - [first, 0, 0], last - first)


def _windows(seconds: float) -> list[tuple[float, float]]:
    """Begin and end of the windows of a clip that are looked at: all of it, up to `_WINDOWS` of them."""
    if seconds <= _WHOLE_S:
        return [(0.0, seconds)]
    count = min(_WINDOWS, math.ceil(seconds / WINDOW_S))
    return [(start, start + WINDOW_S) for start in np.linspace(0, seconds - WINDOW_S, count).tolist()]
