"""Fingerprints of a library's tracks: each is decoded as a whole, in processes, and its landmarks are stored."""

from collections.abc import Generator, Sequence

import numpy as np

from mirclr.audio import why_lost
from mirclr.audio.landmarks import try_landmarks
from mirclr.library import LibraryStore, LibraryTrack
from mirclr.processes import Lost, results_in_order, seconds_for_file

_BATCH = 16  # tracks that are stored in one transaction


def fingerprint_tracks(
    library: LibraryStore, tracks: Sequence[LibraryTrack], *, workers: int = 0
) -> Generator[tuple[LibraryTrack, str | None]]:
    """Find the landmarks of tracks; what is found is stored, the last of it when the iterator is closed.

    Parameters
    ----------
    library : LibraryStore
        Open for writing.
    tracks : sequence of LibraryTrack
        Of the library, none of them leading out of it (`mirclr.library.part_leading_out`).
    workers : int
        Processes; 0: one a core.

    Yields
    ------
    track, problem : LibraryTrack, str or None
        In the order of the tracks; a text is why a file could not be decoded.
    """
    waiting: dict[int, np.ndarray] = {}
    jobs = ((t.file, t.span) for t in tracks)
    results = results_in_order(try_landmarks, jobs, workers=workers, seconds_for=seconds_for_file)
    try:
        for track, ((file, _), found) in zip(tracks, results, strict=True):
            if isinstance(found, np.ndarray):
                waiting[track.id] = found
                if len(waiting) == _BATCH:
                    library.store_fingerprints(waiting)
                    waiting = {}
                yield track, None
            else:
                yield track, why_lost(file, found) if isinstance(found, Lost) else str(found)
    finally:
        if waiting:
            library.store_fingerprints(waiting)
