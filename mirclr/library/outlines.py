"""Outlines of tracks: when beats, bars and chords are, in some thirteen hundred bytes of four minutes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from mirclr.library.database import Database

PITCH_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
QUALITIES = ("", "m", "7", "maj7", "m7", "dim", "aug", "sus")
CHORDS = ("N", *(pitch + quality for pitch in PITCH_NAMES for quality in QUALITIES))
"""Names of chords by number: 0 is none, then eight of each root, from C up."""
_FORMAT = 1
_TICK_S = 0.001  # of a beat; a gap of 32 s is more than any metre has
_DOWN = 1 << 15
_STEP_S = 0.01  # of a chord
_LONGEST = (1 << 16) - 1  # steps; a longer one is stored as several
_GREATEST_S = 1e6


class Chord(NamedTuple):
    """A chord, from when until when in seconds, by its name: ``Am7``; ``N`` where there is none."""

    begin_s: float
    end_s: float
    name: str


@dataclass(frozen=True, eq=False)
class Outline:
    """Beats and chords of a track.

    Attributes
    ----------
    beats : (n, 2) float64
        When beats are, in seconds, and each one's place in its bar from 1; empty where there is no beat.
    chords : (m, 3) float64
        Begin and end in seconds, and the number of the chord (`CHORDS`), without gaps.
    """

    beats: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    chords: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))

    @property
    def named_chords(self) -> tuple[Chord, ...]:
        """The chords with their names."""
        return tuple(Chord(float(a), float(b), CHORDS[int(c)]) for a, b, c in self.chords)

    def as_json(self) -> dict[str, list[dict[str, float | int | str]]]:
        """Plain values."""
        return {
            "beats": [{"second": round(float(at), 3), "beat": int(place)} for at, place in self.beats],
            "chords": [
                {"begin_s": round(a, 2), "end_s": round(b, 2), "chord": name} for a, b, name in self.named_chords
            ],
        }


class Outlines(Database):
    """What `mirclr.ingest.description` finds of tracks over time."""

    def outlines(self, ids: Sequence[int]) -> dict[int, Outline]:
        """Outlines by track id; tracks without one are left out.

        Raises
        ------
        LibraryError
            One is damaged.
        """
        return self._unpacked("outline", "outline", ids, unpacked_outline)

    def with_outline(self) -> set[int]:
        """The tracks that have one."""
        return {row[0] for row in self._rows("SELECT track_id FROM outline")}


def packed_outline(outline: Outline) -> bytes:
    """An outline as it is stored: two bytes a beat, of which one bit says whether a bar begins, and three a chord."""
    ticks = np.round(outline.beats[:, 0] / _TICK_S).astype(np.int64)
    gaps = np.clip(np.diff(ticks), 0, _DOWN - 1) | np.where(outline.beats[1:, 1] == 1, _DOWN, 0)
    first = [int(ticks[0]), int(outline.beats[0, 1])] if len(ticks) else [0, 0]
    edges = np.round(outline.chords[:, :2] / _STEP_S).astype(np.int64)
    steps, codes = [], []
    for (begin, end), code in zip(edges, outline.chords[:, 2].astype(np.int64), strict=True):
        left = int(end - begin)
        while left > 0:
            steps.append(min(left, _LONGEST))
            codes.append(int(code))
            left -= steps[-1]
    begin = int(edges[0, 0]) if len(edges) else 0
    head = np.array([_FORMAT, len(ticks), *first, len(steps), begin], "<u4")
    parts = (head, gaps.astype("<u2"), np.array(steps, "<u2"), np.array(codes, "u1"))
    return b"".join(part.tobytes() for part in parts)


def unpacked_outline(blob: bytes) -> Outline:
    """The outline that `packed_outline` stored, to a millisecond and a hundredth.

    Raises
    ------
    ValueError
        It did not.
    """
    if len(blob) < 24:
        raise ValueError("of a wrong length")
    kind, count, first, place, chords, begin = (int(n) for n in np.frombuffer(blob[:24], "<u4"))
    if kind != _FORMAT:
        raise ValueError("of an unknown kind")
    gaps = max(0, count - 1)
    if len(blob) != 24 + 2 * gaps + 3 * chords or max(first * _TICK_S, begin * _STEP_S) > _GREATEST_S:
        raise ValueError("of a wrong length")
    words = np.frombuffer(blob[24 : 24 + 2 * (gaps + chords)], "<u2").astype(np.int64)
    codes = np.frombuffer(blob[24 + 2 * (gaps + chords) :], "u1").astype(np.int64)
    if codes.max(initial=0) >= len(CHORDS) or (count and not 1 <= place <= 255):
        raise ValueError("of what cannot be")
    beats = _beats(first, place, words[:gaps]) if count else np.zeros((0, 2))
    edges = (begin + np.concatenate([[0], np.cumsum(words[gaps:])])) * _STEP_S
    rows = np.stack([edges[:-1], edges[1:], codes], axis=1)
    begins = np.flatnonzero(np.diff(codes, prepend=-1))  # what was longer than one row can say is several alike
    ends = np.append(begins[1:], len(codes))[: len(begins)] - 1
    return Outline(beats, np.stack([rows[begins, 0], rows[ends, 1], rows[ends, 2]], axis=1))


def _beats(first: int, place: int, words: np.ndarray) -> np.ndarray:
    seconds = (first + np.concatenate([[0], np.cumsum(words & (_DOWN - 1))])) * _TICK_S
    down = np.concatenate([[place == 1], (words & _DOWN) > 0])
    at = np.arange(len(down))
    last = np.maximum.accumulate(np.where(down, at, -1))
    places = np.where(last >= 0, at - last + 1, at + place)
    return np.stack([seconds, places.astype(np.float64)], axis=1)
