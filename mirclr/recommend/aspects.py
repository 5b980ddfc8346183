"""Aspects of songs that a query may weigh: `parse_like`, how it says so; `AspectRows`, how songs are compared in one.

Axes: n tracks that have the aspect, d numbers of it (`mirclr.library.aspects.ASPECTS`), p points that they are compared
with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mirclr.errors import QueryError
from mirclr.library.aspects import ASPECTS
from mirclr.terminal import did_you_mean

SOUND = "timbre"
"""The aspect that vectors are of."""
NAMES = (SOUND, *ASPECTS)
_ALSO = {"sound": SOUND, "chords": "harmony", "drums": "rhythm"}
_OCTAVE = 24  # numbers of harmony that a doubled pace is away: two lags of twelve
_BLOCK = 4096  # rows that are held in float32 at once
_NONE = 1e-6
_STRETCHED = 0.99  # of a cosine, so that arctanh is finite


def parse_like(texts: Sequence[str]) -> dict[str, float]:
    """Read what is to be alike, each ``harmony``, ``rhythm`` or ``timbre``, with its weight: ``harmony=0.7``.

    Without a weight one is 1. Of nothing, songs are to be alike by timbre alone.

    Raises
    ------
    QueryError
        A name that is none, or comes twice, a weight that is not from 0 to 1, or none above 0.
    """
    weights: dict[str, float] = {}
    for text in texts:
        name, given, weight = (part.strip() for part in text.partition("="))
        name = _ALSO.get(name.lower(), name.lower())
        if name not in NAMES:
            from difflib import get_close_matches

            close = did_you_mean(get_close_matches(name, NAMES, n=1))
            raise QueryError(f"like: found {text!r}{close or '; expected ' + ', '.join(NAMES)}")
        if name in weights:
            raise QueryError(f"like: found {name} twice")
        try:
            weights[name] = float(weight) if given else 1.0
        except ValueError:
            weights[name] = -1.0
        if not 0 <= weights[name] <= 1:
            raise QueryError(f"like: found {text!r}; expected a weight from 0 to 1, such as {name}=0.7")
    if weights and not any(weights.values()):
        raise QueryError(f"like: found a weight of 0 for {' and '.join(weights)}; expected something to be alike")
    return {name: weight for name, weight in weights.items() if weight} or {SOUND: 1.0}


_WHOLE = (slice(None), slice(None))
_WAYS = {
    "harmony": (_WHOLE, (slice(_OCTAVE, None), slice(-_OCTAVE)), (slice(-_OCTAVE), slice(_OCTAVE, None))),
    "rhythm": (_WHOLE,),
}
"""Which numbers of a point are compared with which of a track: of harmony also with the beats of either at half the
pace."""


@dataclass(frozen=True, eq=False)
class AspectRows:
    """One aspect of a library's tracks.

    Attributes
    ----------
    name : str
    described : (m,) int64, ascending
        The tracks in which it was looked for.
    ids : (n,) int64, ascending
        Those that have it.
    rows : (n, d) int8
    """

    name: str
    described: np.ndarray
    ids: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, name: str, ids: np.ndarray, rows: np.ndarray) -> "AspectRows":
        """Of described tracks, of which a row of zeros is none."""
        there = rows.any(axis=1)
        return cls(name, ids, ids[there], rows[there])

    def places(self, ids: np.ndarray) -> np.ndarray:
        """(m,) ids -> (m,) int64: the row of each, -1 where there is none."""
        if not len(self.ids):
            return np.full(len(ids), -1)
        at = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(self.ids[at] == ids, at, -1)

    def compare(self, points: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        """(p, d) points and the tracks at (m,) places, all unless given -> (p, m) float32: how alike they are.

        The greatest cosine of the ways to compare them, stretched by arctanh, as cosines crowd towards 1.
        """
        ways = _WAYS[self.name]
        units = [_unit(np.asarray(points, np.float32)[:, mine]) for mine, _ in ways]
        rows, norms = self.rows, self._norms
        if places is not None:
            rows, norms = rows[places], norms[:, places]
        found = np.empty((len(points), len(rows)), np.float32)
        for at in range(0, len(rows), _BLOCK):
            block = rows[at : at + _BLOCK].astype(np.float32)
            some = [
                unit @ block[:, its].T / norm[at : at + _BLOCK]
                for unit, (_, its), norm in zip(units, ways, norms, strict=True)
            ]
            found[:, at : at + _BLOCK] = np.maximum.reduce(some)
        return np.arctanh(_STRETCHED * found)

    @cached_property
    def _norms(self) -> np.ndarray:
        """(ways, n) float32: the norm of what is compared of each track."""
        found = np.empty((len(_WAYS[self.name]), len(self.rows)), np.float32)
        for at in range(0, len(self.rows), _BLOCK):
            block = self.rows[at : at + _BLOCK].astype(np.float32)
            for norms, (_, its) in zip(found, _WAYS[self.name], strict=True):
                norms[at : at + _BLOCK] = np.linalg.norm(block[:, its], axis=1)
        return np.maximum(found, _NONE)


def _unit(points: np.ndarray) -> np.ndarray:
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), _NONE)
