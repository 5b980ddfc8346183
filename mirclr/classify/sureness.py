"""How probable a genre must be so that it is right nine times in ten, measured on tracks whose genre is known.

A calibrated probability says how often a guess is right on average over music like that it was calibrated on. What is
written into people's files is held to more: the least threshold above which guesses were right for nine in ten, also at
the lower end of what the number of tracks and of artists leaves open.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

GOAL = 0.9
"""The fraction of guesses that must be right."""
_GRID = np.arange(0.3, 1.0, 0.05)
_DRAWS = 1000
_ERROR = 0.05  # of the lower bound, one-sided


@dataclass(frozen=True)
class Sureness:
    """What was measured of guesses at and above a threshold.

    Attributes
    ----------
    threshold : float in [0, 1]
        The least probability.
    right : float
        The fraction of them that were right.
    at_least : float
        The lower bound of that, at 95 %: the lower one of an exact binomial bound and of a bootstrap over artists.
    tracks, of : int
        How many tracks reach the threshold, of how many.
    measured_on : str
        What tracks, for people, such as "on songs of classical music and rock".
    genres : tuple of str
        Guesses of which genres were measured, where that is not all of them; nothing is known of the others.
    """

    threshold: float
    right: float
    at_least: float
    tracks: int
    of: int
    measured_on: str
    genres: tuple[str, ...] = ()

    def in_words(self) -> str:
        """What was measured, for people."""
        return f"of such guesses {round(self.right * self.tracks)} of {self.tracks} were right, {self.measured_on}"

    def to_json(self) -> dict[str, Any]:
        """As the file of heads has it."""
        return asdict(self)

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> "Sureness":
        """Read what `to_json` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            It is something else.
        """
        threshold, right, at_least = (float(held[name]) for name in ("threshold", "right", "at_least"))
        tracks, of = int(held["tracks"]), int(held["of"])
        if not all(0 <= x <= 1 for x in (threshold, right, at_least)) or not 0 <= tracks <= of:
            raise ValueError("its measured threshold")
        genres = tuple(held.get("genres", ()))
        if not all(isinstance(name, str) for name in genres):
            raise ValueError("the genres that were measured")
        return cls(threshold, right, at_least, tracks, of, str(held["measured_on"]), genres)


def find_threshold(
    probability: np.ndarray, right: np.ndarray, groups: np.ndarray, *, measured_on: str, steps_more: int = 0
) -> Sureness | None:
    """Find the least threshold above which guesses are right nine times in ten.

    Parameters
    ----------
    probability : (n,) float
        Of the guess for each track, by heads that did not learn from it.
    right : (n,) bool
        Whether the guess is right.
    groups : (n,) of any value
        Equal for tracks of one artist, which are right or wrong together.
    measured_on : str
        What the tracks are, for people.
    steps_more : int
        Go so many steps of 0.05 above it, where other music may be harder.

    Returns
    -------
    Sureness or None
        None where no threshold reaches it, or there are too few tracks to tell.
    """
    passing = [t for t in _GRID if _lower_bound(right[probability >= t], groups[probability >= t]) >= GOAL]
    if not passing:
        return None
    threshold = round(min(float(passing[0]) + 0.05 * steps_more, 1.0), 2)
    above = probability >= threshold
    bound = _lower_bound(right[above], groups[above])
    if bound < GOAL:
        return None
    share = round(float(right[above].mean()), 4)
    return Sureness(threshold, share, round(bound, 4), int(above.sum()), len(above), measured_on)


def _lower_bound(right: np.ndarray, groups: np.ndarray) -> float:
    """The fraction that is right, at the least, at 95 %."""
    from scipy.stats import beta

    n, good = len(right), int(right.sum())
    if good == 0:
        return 0.0
    exact = float(beta.ppf(_ERROR, good, n - good + 1))
    if exact < GOAL:
        return exact
    index = np.unique(groups.astype(str), return_inverse=True)[1]
    sizes, goods = np.bincount(index), np.bincount(index, weights=right)
    drawn = np.random.default_rng(0).integers(len(sizes), size=(_DRAWS, len(sizes)))
    return min(exact, float(np.quantile(goods[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), _ERROR)))
