"""`Recommendation`: one track of an answer."""

from dataclasses import dataclass

from mirclr.library import LibraryTrack
from mirclr.recommend.reasons import Explanation


@dataclass(frozen=True)
class Recommendation:
    """One track of an answer.

    Attributes
    ----------
    rank : int
        From 1.
    track : LibraryTrack
    similarity : float in [-1, 1] or None
        Cosine with the nearest seed; on a path, with the track before it; None where there is no seed.
    alike : float in [0, 1] or None
        What it is ranked by: which fraction of the library's pairs of songs are less alike than it and its seed, as
        `Calibration` counts. It falls with the rank, for each group of similar seeds, unless diversity was asked for.
        On a path it is that of the track and the one before; None for the first. Without a seed it is how sure the
        genre and mood are that were asked for; None where none was.
    match : int from 0 to 100 or None
        The same in whole per cents.
    reason : str
        For people: what it has in common with its seed and sets it apart from the others, in three words at most; or
        empty.
    explanation : Explanation
        The same, as values.
    part_s : float or None
        Where in a long track, such as a mix, the part begins that is like the seed, in seconds; the reason tells it
        too. None of a song.
    """

    rank: int
    track: LibraryTrack
    similarity: float | None
    match: int | None
    reason: str
    explanation: Explanation
    alike: float | None = None
    part_s: float | None = None
