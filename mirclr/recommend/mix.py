"""`mix_order`: songs in the order in which a DJ would play them, each going well with the one before.

Two songs go well together where their tempos are near (at half and twice too), their keys mix (keys.py), they are about
as loud, and they sound alike; two of one artist do not follow each other where others can come between.
What is not known of a song counts as neither good nor bad. The order is the shortest way through all songs that
2-opt and Or-opt find (Croes 1958; Or 1976), from several starts, played in the direction in which the energy rises.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mirclr.library import Description, LibraryStore, LibraryTrack, Outline
from mirclr.library.names import artist_key
from mirclr.recommend.keys import compatible, parse_key, relation
from mirclr.recommend.ranking import DECIMALS

_UNKNOWN = 0.5
_TEMPO = 0.06  # as a fraction: what a deck's pitch can be moved by, and a step of 1
_OCTAVE = 0.25  # of a tempo at half or twice
_LOUDNESS_LU = 6.0
_WEIGHTS = {"tempo": 1.0, "key": 0.8, "loudness": 0.5, "sound": 1.0, "artist": 0.6}
_STARTED = 400  # songs in all ways that are tried
_MOST_MOVED = 3  # songs that Or-opt moves at once
_GAIN = 1e-9
_NOTHING = Description(None, None, 0.0, None)


@dataclass(frozen=True)
class MixedSong:
    """A song of a mix.

    Attributes
    ----------
    track : LibraryTrack
    tempo_bpm : float or None
    key : str or None
    loudness_lufs : float or None
    why : tuple of str
        For people: how it goes with the song before; empty for the first.
    bars_s : (float, float) or None
        When its first and its last bar begin: where a mix may begin and end. None where it has no beat that is known.
    """

    track: LibraryTrack
    tempo_bpm: float | None
    key: str | None
    loudness_lufs: float | None
    why: tuple[str, ...]
    bars_s: tuple[float, float] | None = None


def mix_order(library: LibraryStore, ids: Sequence[int]) -> list[MixedSong]:
    """Put songs in the order in which they mix best; the same songs give the same order, however they are given.

    Parameters
    ----------
    library : LibraryStore
        What knows their tempos and keys: `mirclr describe` finds them out.
    ids : sequence of int
        Each counts once; those that the library does not hold are left out.

    Returns
    -------
    list of MixedSong
        In the order of playing.
    """
    with library.snapshot():
        tracks = library.tracks(sorted(set(ids)))
        held = library.descriptions([track.id for track in tracks])
        outlines = library.outlines([track.id for track in tracks])
        with_vectors, matrix = library.compared([track.id for track in tracks])
    described = [held.get(track.id, _NOTHING) for track in tracks]
    rows = dict(zip(with_vectors.tolist(), matrix, strict=True))
    costs = _costs(tracks, described, [rows.get(track.id) for track in tracks])
    order = _rising(shortest_way(costs), described)
    return [
        MixedSong(
            tracks[at],
            described[at].tempo_bpm,
            described[at].key,
            described[at].loudness_lufs,
            _why(described[before], described[at]) if place else (),
            _bars(outlines.get(tracks[at].id)),
        )
        for place, (before, at) in enumerate(zip([-1, *order], order, strict=False))
    ]


def _bars(outline: Outline | None) -> tuple[float, float] | None:
    """When the first and the last bar of a track begin, in seconds."""
    downbeats = outline.beats[outline.beats[:, 1] == 1, 0] if outline else np.zeros(0)
    return (round(float(downbeats[0]), 3), round(float(downbeats[-1]), 3)) if len(downbeats) else None


def _costs(
    tracks: Sequence[LibraryTrack], described: Sequence[Description], vectors: Sequence[np.ndarray | None]
) -> np.ndarray:
    """(n, n) float64, symmetric: how badly two songs go together."""
    n = len(tracks)
    tempos = np.array([d.tempo_bpm or np.nan for d in described], np.float64)
    loud = np.array([np.nan if d.loudness_lufs is None else d.loudness_lufs for d in described], np.float64)
    octaves = np.abs(np.log2(tempos[:, None] / tempos[None, :]))
    step = math.log2(1 + _TEMPO)
    tempo = np.minimum(octaves / step, np.abs(octaves - 1) / step + _OCTAVE)
    keys = [parse_key(d.key) if d.key else None for d in described]
    key = np.array([[_UNKNOWN if a is None or b is None else _key_cost(a, b) for b in keys] for a in keys])
    unit = [np.zeros(1) if v is None else v for v in vectors]
    sound = np.full((n, n), _UNKNOWN)
    there = [i for i, v in enumerate(vectors) if v is not None]
    if there:
        rows = np.stack([unit[i] for i in there]).astype(np.float64)
        sound[np.ix_(there, there)] = 1 - rows @ rows.T
    artists = [artist_key(track) for track in tracks]
    same = np.array([[float(a == b) for b in artists] for a in artists])
    parts = {
        "tempo": np.minimum(1.0, tempo / 2),
        "key": key,
        "loudness": np.minimum(1.0, np.abs(loud[:, None] - loud[None, :]) / _LOUDNESS_LU),
        "sound": sound,
        "artist": same,
    }
    costs = sum(_WEIGHTS[name] * np.where(np.isnan(part), _UNKNOWN, part) for name, part in parts.items())
    return np.round(np.asarray(costs).reshape(n, n), DECIMALS)


def _key_cost(a: tuple[int, bool], b: tuple[int, bool]) -> float:
    if a == b:
        return 0.0
    if b in compatible(a):
        return 0.2
    return 0.6 if not compatible(a).isdisjoint(compatible(b)) else 1.0


def shortest_way(costs: np.ndarray) -> list[int]:
    """An order of n things in which the sum of the costs from each to the next is small.

    Parameters
    ----------
    costs : (n, n) float64
        Symmetric.

    Returns
    -------
    list of int
        Each of 0 to n - 1 once; the best of several, each from nearest to nearest and then improved until no turning of
        a part and no moving of up to three makes it shorter.
    """
    n = len(costs)
    if n < 3:
        return list(range(n))
    starts = np.unique(np.linspace(0, n - 1, min(n, max(1, _STARTED // n))).astype(int)).tolist()
    ways = [_improved(_nearest_first(costs, start), costs) for start in starts]
    return min(ways, key=lambda way: (round(float(costs[way[:-1], way[1:]].sum()), DECIMALS), way))


def _nearest_first(costs: np.ndarray, start: int) -> list[int]:
    way, left = [start], costs.copy()
    left[:, start] = np.inf
    while len(way) < len(costs):
        way.append(int(left[way[-1]].argmin()))
        left[:, way[-1]] = np.inf
    return way


def _improved(way: list[int], costs: np.ndarray) -> list[int]:
    n = len(way)
    padded = np.zeros((n + 1, n + 1))  # what comes before the first and after the last costs nothing
    padded[:n, :n] = costs
    while True:
        better = _moved(_turned(way, padded), padded)
        if better == way:
            return way
        way = better


def _turned(way: list[int], padded: np.ndarray) -> list[int]:
    """The way with parts turned round: from each place on the one that gains the most, if any does."""
    n = len(way)
    w = np.array([n, *way, n])
    for i in range(1, n):
        before, first = w[i - 1], w[i]
        lasts, afters = w[i + 1 : n + 1], w[i + 2 :]
        gain = padded[before, first] + padded[lasts, afters] - padded[before, lasts] - padded[first, afters]
        best = int(gain.argmax())
        if gain[best] > _GAIN:
            w[i : i + best + 2] = w[i : i + best + 2][::-1].copy()
    return w[1:-1].tolist()


def _moved(way: list[int], padded: np.ndarray) -> list[int]:
    """The way with a few songs that follow each other put elsewhere, where that gains anything."""
    n = len(way)
    for size in range(1, min(_MOST_MOVED, n - 1) + 1):
        for at in range(n - size + 1):
            part, rest = way[at : at + size], way[:at] + way[at + size :]
            befores, afters = np.array([n, *rest]), np.array([*rest, n])
            gaps = padded[befores, afters]
            freed = padded[befores[at], part[0]] + padded[part[-1], afters[at]] - gaps[at]
            gains = [freed + gaps - padded[befores, a] - padded[b, afters] for a, b in _ends(part)]
            turned, to = divmod(int(np.argmax(gains)), len(gaps))
            if gains[turned][to] > _GAIN:
                way = [*rest[:to], *(part[::-1] if turned else part), *rest[to:]]
    return way


def _ends(part: list[int]) -> list[tuple[int, int]]:
    """First and last of a part, as it is and turned round."""
    return [(part[0], part[-1]), (part[-1], part[0])]


def _rising(way: list[int], described: Sequence[Description]) -> list[int]:
    """A way in the direction in which songs become louder and faster, as far as that is known."""
    places = np.arange(len(way)) - (len(way) - 1) / 2
    rise = 0.0
    for values, scale in (
        ([d.loudness_lufs for d in described], _LOUDNESS_LU),
        ([math.log2(d.tempo_bpm) if d.tempo_bpm else None for d in described], math.log2(1 + _TEMPO)),
    ):
        rise += sum(p * v / scale for p, at in zip(places, way, strict=True) if (v := values[at]) is not None)
    turned = way[::-1]
    return way if round(rise, DECIMALS) > 0 or (round(rise, DECIMALS) == 0 and way <= turned) else turned


def _why(before: Description, now: Description) -> tuple[str, ...]:
    words = []
    if before.tempo_bpm and now.tempo_bpm:
        words.append(_tempo_words(before.tempo_bpm, now.tempo_bpm))
    a, b = (parse_key(d.key) if d.key else None for d in (before, now))
    if a and b and (related := relation(a, b)):
        words.append(related)
    elif before.key and now.key:
        words.append(f"{before.key} to {now.key}")
    if before.loudness_lufs is not None and now.loudness_lufs is not None:
        rise = now.loudness_lufs - before.loudness_lufs
        if abs(rise) >= _LOUDNESS_LU / 3:
            words.append("louder" if rise > 0 else "quieter")
    return tuple(words)


def _tempo_words(before: float, now: float) -> str:
    for factor, text in ((1.0, "same tempo"), (2.0, "twice the tempo"), (0.5, "half the tempo")):
        if abs(now / before / factor - 1) <= _TEMPO / 3:
            return text
    return f"{abs(now - before):.0f} bpm {'faster' if now > before else 'slower'}"
