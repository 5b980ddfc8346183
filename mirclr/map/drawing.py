"""`draw_map` and `place_new`: the map of a library, kept in it."""

from dataclasses import dataclass

import numpy as np

from mirclr.index import no_songs
from mirclr.library import LibraryStore
from mirclr.map.layout import Report, lay_out, place_among
from mirclr.terminal import counted


@dataclass(frozen=True)
class Drawn:
    """What became of the map.

    Attributes
    ----------
    laid_out : int
        Tracks that were laid out together.
    placed : int
        Tracks that were placed among those that were there.
    """

    laid_out: int = 0
    placed: int = 0

    def __str__(self) -> str:
        if self.laid_out:
            return f"the map is drawn, of {counted(self.laid_out, 'song')}"
        return f"{counted(self.placed, 'song')} came to the map" if self.placed else "the map is up to date"


def draw_map(library: LibraryStore, *, anew: bool = False, report: Report = lambda done, total: None) -> Drawn:
    """Bring the map of a library up to date, and keep it there: draw it, or place the tracks that it does not hold.

    Parameters
    ----------
    library : LibraryStore
        Open for writing.
    anew : bool
        Lay out all tracks again, also where there is a map.
    report : callable
        Called as ``report(done, total)``.

    Returns
    -------
    Drawn
        How many tracks were laid out, or placed.

    Raises
    ------
    NoMatch
        The library holds no tracks.
    """
    if not anew and len(library.map_points()[0]):
        return place_new(library)
    with library.snapshot():
        generation = library.generation
        ids, vectors = library.compared()
    if not len(ids):
        raise no_songs(library)
    points = lay_out(vectors, report)
    same = ~np.isin(ids, library.ids(changed_since=generation))  # others may have been embedded again meanwhile
    library.store_map(ids[same], points[same])
    return Drawn(laid_out=int(same.sum()))


def place_new(library: LibraryStore) -> Drawn:
    """Place the tracks that the map does not hold among those that it does; nothing moves.

    Where there is no map yet, nothing is done.
    """
    with library.snapshot():
        new = library.without_map_point()
        placed, points = library.map_points()
        if not len(new) or not len(placed):
            return Drawn()
        generation = library.generation
        held, vectors = library.compared()
    there = np.isin(held, placed)
    points = points[np.isin(placed, held)]
    where = place_among(vectors[there], points, vectors[~there], held[~there])
    same = ~np.isin(held[~there], library.ids(changed_since=generation))
    library.add_map_points(held[~there][same], where[same])
    return Drawn(placed=int(same.sum()))
