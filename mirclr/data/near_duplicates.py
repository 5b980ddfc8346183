"""Versions of one recording, found by their sound: re-encoded, louder, shorter by some seconds, under another name.

They must never be negatives of each other, nor stand on two sides of a split; `mark_recordings` writes that into a
manifest's field ``recording``, where a person can see and change it.

A fingerprint is the log-mel spectrogram averaged over eighths of a second, each band standardised over time: level, and
most of an equalisation, fall out. Two tracks are near-duplicates where, at the best shift of up to `SHIFT_S`, their
fingerprints correlate by `SIMILAR` or more over what they share, and they share most of the shorter one. The first two
minutes are compared, of tracks of similar length; the work grows with the square of their number.

Axes: S eighths of a second, F mel bands.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mirclr.audio.fingerprint import STEP_S, best_shift
from mirclr.data.clips import Cached, ClipCache
from mirclr.data.manifest import Track
from mirclr.provenance import digest_bytes

SIMILAR = 0.7
_LENGTHS = 0.8  # the shorter of two lasts at least this fraction of the longer
_HEARD_S = 120.0
_TOO_FLAT = 0.02  # std of log-mel below which a band is left out


@dataclass(frozen=True)
class NearDuplicates:
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
    """(S, F) float32: log-mel averaged over eighths of a second, each band with mean 0 and std 1 over time."""
    frames = round(STEP_S * cache.rate / cache.mel.hop_length)
    steps = min(max(1, track.length // frames), round(_HEARD_S / STEP_S))
    rows = cache.read(track, 0, min(track.length, steps * frames)).astype(np.float32)
    means = rows[: steps * frames].reshape(steps, -1, rows.shape[1]).mean(axis=1)
    std = means.std(axis=0)
    standard: np.ndarray = (means - means.mean(axis=0)) / np.where(std > _TOO_FLAT, std, np.inf)
    return standard


def find_near_duplicates(
    cache: ClipCache, tracks: Sequence[Cached], *, advance: Callable[[int], None] | None = None
) -> list[NearDuplicates]:
    """Compare every two tracks of similar length.

    Parameters
    ----------
    cache : ClipCache
        Of log-mel.
    tracks : sequence of Cached
        In it.
    advance : callable, optional
        Called for each track that was compared with those of its length.

    Returns
    -------
    list of NearDuplicates
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
            if similarity >= SIMILAR:
                pair = NearDuplicates(tracks[first].track, tracks[second].track, similarity, shift * STEP_S)
                found.append((first, second, pair))
        if advance:
            advance(1)
    return [pair for _, _, pair in sorted(found, key=lambda each: each[:2])]


def mark_recordings(tracks: Sequence[Track], pairs: Sequence[NearDuplicates]) -> list[Track]:
    """Give near-duplicates one `recording`, and theirs too; a name that a manifest gave already is kept."""
    root = {t.id: t.id for t in tracks}

    def top(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    given: dict[str, str] = {}
    for track in tracks:  # what the manifest knows
        if track.recording:
            root[top(track.id)] = top(given.setdefault(track.recording, track.id))
    for pair in pairs:
        root[top(pair.second.id)] = top(pair.first.id)
    groups: dict[str, list[Track]] = {}
    for track in tracks:
        groups.setdefault(top(track.id), []).append(track)
    names = {}
    for head, group in groups.items():
        known = next((t.recording for t in group if t.recording), None)
        names[head] = (known or f"twins {digest_bytes(head.encode())[:8]}") if len(group) > 1 or known else None
    return [t.model_copy(update={"recording": names[top(t.id)]}) for t in tracks]
