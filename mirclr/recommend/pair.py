"""`compare`: how alike two songs of a library are, and why, as lists of songs say it of each."""

from dataclasses import dataclass

import numpy as np

from mirclr.errors import NoMatch
from mirclr.index import Index
from mirclr.library import LibraryStore, LibraryTrack
from mirclr.recommend.ranking import Calibration, products
from mirclr.recommend.reasons import Explainer, Explanation
from mirclr.recommend.seeds import Seed


@dataclass(frozen=True)
class Comparison:
    """Two songs.

    Attributes
    ----------
    first, second : LibraryTrack
    similarity : float in [-1, 1]
        The cosine of their vectors.
    alike : float in [0, 1]
        Which fraction of the library's pairs of songs are less alike.
    explanation : Explanation
        What they have in common, and which of their excerpts are most alike; of the first as the seed.
    """

    first: LibraryTrack
    second: LibraryTrack
    similarity: float
    alike: float
    explanation: Explanation

    @property
    def match(self) -> int:
        """`alike` in whole per cents."""
        return round(100 * self.alike)


def compare(library: LibraryStore, index: Index, first: int, second: int) -> Comparison:
    """Compare two songs.

    Parameters
    ----------
    library, index : LibraryStore, Index
        Where they are.
    first, second : int
        Their ids.

    Raises
    ------
    NoMatch
        The library has no song of an id.
    """
    tracks = {track.id: track for track in library.tracks([first, second])}
    for track_id in (first, second):
        if track_id not in tracks or not index.holds(np.array([track_id])).all():
            raise NoMatch(f"no song of the library has the id {track_id}")
    vectors = [index.vectors(np.array([i], np.int64)) for i in (first, second)]
    stats = [index.similarity_stats_of(vector) for vector in vectors]
    similarity = float(products(*vectors)[0, 0])
    alike = float(Calibration.of(index).of_pairs(np.array([similarity]), *stats)[0])
    seed = Seed(tracks[first].label, vectors[0][0], tracks[first], first)
    explainer = Explainer(library, [(seed, tracks[second])], excerpts=True)
    return Comparison(tracks[first], tracks[second], similarity, alike, explainer.explain(seed, tracks[second]))
