"""Versions of one recording, found by their sound: re-encoded, louder, shorter by some seconds, under another name.

They must never be negatives of each other, nor stand on two sides of a split; `mark_recordings` writes that into a
manifest's field ``recording``, where a person can see and change it.

A fingerprint is the log-mel spectrogram averaged over eighths of a second, each band standardised over time: level, and
most of an equalisation, fall out. Two tracks are twins where, at the best shift of up to `SHIFT_S`, their fingerprints
correlate by `ALIKE` or more over what they share, and they share most of the shorter one. The first two minutes are
compared, of tracks of similar length; the work grows with the square of their number.

Axes: S eighths of a second, F mel bands.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mirclr.clips import Cached, ClipCache
from mirclr.manifest import Track
from mirclr.provenance import digest_bytes

STEP_S = 0.125
SHIFT_S = 10.0
ALIKE = 0.7
_SHORTEST = 24  # steps that must be shared
_LENGTHS = 0.8  # the shorter of two twins lasts at least this share of the longer
_SHARED = 0.8  # of the shorter one
_HEARD_S = 120.0
_COARSE = 4  # steps that are looked at as one at first
_WORTH_A_LOOK = 0.35
_TOO_FLAT = 0.02  # spread of log-mel below which a band says nothing


@dataclass(frozen=True)
class Twins:
    """Two tracks that are one recording.

    Attributes
    ----------
    first, second : Track
    similarity : float
        Correlation of their fingerprints.
    shift_s : float
        Where the second begins in the first, in seconds.
    """

    first: Track
    second: Track
    similarity: float
    shift_s: float


def fingerprint(cache: ClipCache, track: Cached) -> np.ndarray:
    """(S, F) float32: log-mel averaged over eighths of a second, each band with mean 0 and deviation 1 over time."""
    frames = round(STEP_S * cache.rate / cache.mel.hop)
    steps = min(max(1, track.length // frames), round(_HEARD_S / STEP_S))
    rows = cache.read(track, 0, min(track.length, steps * frames)).astype(np.float32)
    means = rows[: steps * frames].reshape(steps, -1, rows.shape[1]).mean(axis=1)
    spread = means.std(axis=0)
    standard: np.ndarray = (means - means.mean(axis=0)) / np.where(spread > _TOO_FLAT, spread, np.inf)
    return standard


def best_shift(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """Correlation of two fingerprints at the shift where it is highest, and that shift, in eighths of a second.

    Looked for in steps of half a second first; what is not alike even so is not looked at more closely.
    """
    most = round(SHIFT_S / STEP_S)
    similarity, shift = _best(_coarser(a), _coarser(b), range(-(most // _COARSE), most // _COARSE + 1), _COARSE)
    if similarity < _WORTH_A_LOOK:
        return similarity, shift * _COARSE
    return _best(a, b, range((shift - 1) * _COARSE, (shift + 1) * _COARSE + 1), 1)


def _coarser(a: np.ndarray) -> np.ndarray:
    steps = len(a) // _COARSE
    means: np.ndarray = a[: steps * _COARSE].reshape(steps, _COARSE, -1).mean(axis=1)
    return means


def _best(a: np.ndarray, b: np.ndarray, shifts: range, steps: int) -> tuple[float, int]:
    best = (-1.0, 0)
    for shift in shifts:
        x, y = a[max(0, shift) :], b[max(0, -shift) :]
        n = min(len(x), len(y))
        if n * steps < max(_SHORTEST, _SHARED * steps * min(len(a), len(b))):
            continue
        x, y = x[:n].ravel(), y[:n].ravel()
        norm = float(np.sqrt((x @ x) * (y @ y)))
        best = max(best, (float(x @ y) / norm if norm > 0 else 0.0, shift))
    return best


def find_twins(
    cache: ClipCache, tracks: Sequence[Cached], *, advance: Callable[[int], None] | None = None
) -> list[Twins]:
    """Compare every two tracks of similar length.

    Parameters
    ----------
    cache : ClipCache
        Of log-mel.
    tracks : sequence of Cached
        In it.
    advance : callable, optional
        Told of each track that was compared with those of its length.

    Returns
    -------
    list of Twins
        In the order of the tracks.
    """
    prints = [fingerprint(cache, track) for track in tracks]
    order = np.argsort([track.length for track in tracks], kind="stable")
    found = []
    for place, i in enumerate(order):
        for j in order[place + 1 :]:
            if tracks[i].length < _LENGTHS * tracks[j].length:
                break
            first, second = sorted((int(i), int(j)))
            similarity, shift = best_shift(prints[first], prints[second])
            if similarity >= ALIKE:
                pair = Twins(tracks[first].track, tracks[second].track, similarity, shift * STEP_S)
                found.append((first, second, pair))
        if advance:
            advance(1)
    return [twins for _, _, twins in sorted(found, key=lambda each: each[:2])]


def mark_recordings(tracks: Sequence[Track], twins: Sequence[Twins]) -> list[Track]:
    """Give twins one `recording`, and the twins of twins too; a name that a manifest gave already is kept."""
    root = {t.id: t.id for t in tracks}

    def top(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    given: dict[str, str] = {}
    for track in tracks:  # what the manifest knows
        if track.recording:
            root[top(track.id)] = top(given.setdefault(track.recording, track.id))
    for pair in twins:
        root[top(pair.second.id)] = top(pair.first.id)
    groups: dict[str, list[Track]] = {}
    for track in tracks:
        groups.setdefault(top(track.id), []).append(track)
    names = {}
    for head, group in groups.items():
        known = next((t.recording for t in group if t.recording), None)
        names[head] = (known or f"twins {digest_bytes(head.encode())[:8]}") if len(group) > 1 or known else None
    return [t.model_copy(update={"recording": names[top(t.id)]}) for t in tracks]
