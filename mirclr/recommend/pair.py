"""`compare`: how alike two songs of a library are, and why, as lists of songs say it of each."""

from dataclasses import dataclass

import numpy as np

from mirclr.errors import NoMatch
from mirclr.index import Index
from mirclr.library import LibraryStore, LibraryTrack
from mirclr.recommend.ranking import Calibration, products
from mirclr.recommend.reasons import Explainer, Explanation
from mirclr.recommend.seeds import Seed
from mirclr.recommend.segments import with_segments


@dataclass(frozen=True)
class Comparison:
    """Two songs.

    Attributes
    ----------
    first, second : LibraryTrack
    similarity : float in [-1, 1]
        The cosine of their vectors; of long tracks of the two segments that are nearest.
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
    seeds = [Seed(tracks[i].label, index.vectors(np.array([i], np.int64))[0], tracks[i], i) for i in (first, second)]
    vectors = [np.stack([part.vector for part in with_segments(library, index, [seed])]) for seed in seeds]
    of_first, of_second = (index.similarity_stats_of(rows) for rows in vectors)
    similarities = products(*vectors).ravel()
    stats = np.repeat(of_first, len(of_second), axis=0), np.tile(of_second, (len(of_first), 1))
    several = None if len(similarities) == 1 else np.full(len(similarities), len(similarities))
    alike = Calibration.of(index).of_pairs(similarities, *stats, several)
    best = int(alike.argmax())
    explainer = Explainer(library, [(seeds[0], tracks[second])], excerpts=True)
    why = explainer.explain(seeds[0], tracks[second])
    return Comparison(tracks[first], tracks[second], float(similarities[best]), float(alike[best]), why)
