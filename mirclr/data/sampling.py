"""Which tracks a batch holds, and the label similarity of its rows.

Conventions: n tracks of a corpus, B clips of a batch. Group arrays are (n,) int64, equal for tracks of one group, -1
where the group is not known. All draws come from the generator that is passed.

Contents: `refuse_evaluation_data`, `part_of`, `group_numbers`, `pick_tracks`, `pick_classes`,
`useful_pair`; `soft_positive_rows`.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from mirclr.data.manifest import Track
from mirclr.errors import ManifestError
from mirclr.provenance import digest_bytes
from mirclr.terminal import counted

_BLOCK = 256  # tracks that are tried together
TRAINED_ON = ("train", None)
"""The splits that are trained on: never valid or test."""


def refuse_evaluation_data(tracks: Iterable[Track]) -> None:
    """Refuse tracks of a split that is for evaluation, wherever training starts.

    Raises
    ------
    ManifestError
        Naming the first of them.
    """
    held_out = [track for track in tracks if track.split not in TRAINED_ON]
    if held_out:
        more = f" (and {len(held_out) - 1} more)" if len(held_out) > 1 else ""
        raise ManifestError(
            f"track {held_out[0].id!r}: is of the split {held_out[0].split}{more}; evaluation data is never "
            "trained on; leave it out, as mirclr train does"
        )


def part_of(tracks: Sequence[Track], fraction: float) -> list[Track]:
    """Draw a fraction of tracks by the digests of their ids, two at least, in order; a smaller part is in a larger."""
    count = max(2, math.ceil(fraction * len(tracks)))
    drawn = {t.id for t in sorted(tracks, key=lambda t: digest_bytes(t.id.encode()))[:count]}
    return [t for t in tracks if t.id in drawn]


def group_numbers(names: Sequence[str | None]) -> np.ndarray:
    """(n,) int64: a number for each name, equal for equal names; -1 for None."""
    numbers = {name: i for i, name in enumerate(dict.fromkeys(n for n in names if n is not None))}
    return np.array([-1 if name is None else numbers[name] for name in names], np.int64)


def pick_tracks(n: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """(size,) int64 of n tracks: none twice before every one was taken once."""
    rounds = -(-size // n)
    return np.concatenate([rng.permutation(n) for _ in range(rounds)])[:size]


def pick_classes(classes: np.ndarray, size: int, per_class: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a class-balanced batch: `per_class` tracks of each of size / per_class classes.

    Classes are drawn uniformly, whatever their size, none twice before every one was taken once; within a class
    likewise for its tracks. With ``per_class = 1`` and enough classes, this is the batch of the N-pair loss.

    Parameters
    ----------
    classes : (n,) int64
        The class of each track; tracks of class -1 are not drawn.
    size : int
        A multiple of `per_class`.
    per_class : int
        Tracks of each class.
    rng : numpy.random.Generator
        Of the batch.

    Returns
    -------
    (size,) int64
        Positions in `classes`.

    Raises
    ------
    ManifestError
        Fewer than two classes are known.
    """
    known = np.unique(classes[classes >= 0])
    if len(known) < 2:
        raise ManifestError(
            f"{counted(len(known), 'class')} among {counted(len(classes), 'song')}; a class-balanced batch needs two"
        )
    drawn = known[pick_tracks(len(known), -(-size // per_class), rng)]
    picks = []
    for number, times in zip(*np.unique(drawn, return_counts=True), strict=True):
        members = np.flatnonzero(classes == number)
        picks.append(members[pick_tracks(len(members), per_class * int(times), rng)])
    return rng.permutation(np.concatenate(picks))[:size]


def useful_pair(picks: np.ndarray, others: np.ndarray, is_useful: Callable[[np.ndarray], bool]) -> np.ndarray | None:
    """Find two tracks that are useful to an objective together, for a corpus where most batches are not.

    Parameters
    ----------
    picks, others : (size,) and (n,) int64
        A batch that is of no use, and all tracks, in the order in which they are tried.
    is_useful : callable
        Whether some tracks together give an objective anything to learn from.

    Returns
    -------
    (2,) int64, or None
        None where no two are.
    """
    for begin in range(0, len(others), _BLOCK):
        block = others[begin : begin + _BLOCK]
        # the batch's own first, and where what is no negative is no group, any of the block
        for first in (picks[:1], *(block[i : i + 1] for i in range(len(block)))):
            left = block
            if not is_useful(np.concatenate([first, left])):
                break
            while len(left) > 1:
                half = left[: len(left) // 2]
                left = half if is_useful(np.concatenate([first, half])) else left[len(half) :]
            if is_useful(pair := np.concatenate([first, left])):
                return pair
    return None


def soft_positive_rows(
    instance: np.ndarray, album: np.ndarray, artist: np.ndarray, *, album_weight: float, artist_weight: float
) -> Tensor:
    """Label rows whose cosine is 1 within an instance, and a weight within an album or by an artist.

    A row is made of three parts: of its instance, its album and its artist, with weights whose squares are
    1 - album_weight, album_weight - artist_weight and artist_weight. Tracks of one album that name different artists
    have the difference. `mirclr.objectives.GeneralizedSupConLoss` makes soft positives of such rows.

    Parameters
    ----------
    instance, album, artist : (B,) int64
        Groups of the rows of a batch; -1 where not known, which is similar to nothing else.
    album_weight, artist_weight : float
        0 <= artist_weight <= album_weight < 1.

    Returns
    -------
    (B, C) float32
        Rows of unit length.
    """
    own = np.unique(instance, return_inverse=True)[1]
    parts = [np.eye(own.max() + 1, dtype=np.float32)[own] * np.sqrt(1 - album_weight)]
    for group, weight in ((album, album_weight - artist_weight), (artist, artist_weight)):
        # what is not known is a group of the instance's own
        known = np.where(group >= 0, group, -1 - own)
        column = np.unique(known, return_inverse=True)[1]
        parts.append(np.eye(column.max() + 1, dtype=np.float32)[column] * np.sqrt(max(0.0, weight)))
    return torch.from_numpy(np.concatenate(parts, axis=1).astype(np.float32))
