"""Fingerprints of a library's tracks: each is decoded as a whole, in processes, and its landmarks are stored."""

from collections.abc import Collection, Generator, Sequence
from contextlib import closing

import numpy as np

from mirclr.audio.landmarks import try_landmarks
from mirclr.ingest.storing import find_and_store
from mirclr.library import LibraryStore, LibraryTrack, part_leading_out


def fingerprint_tracks(
    library: LibraryStore, tracks: Sequence[LibraryTrack], *, workers: int = 0
) -> Generator[tuple[LibraryTrack, np.ndarray | str]]:
    """Find the landmarks of tracks, and store them, as `find_and_store`; a text is why a file was not decoded."""
    return find_and_store(tracks, try_landmarks, library.store_fingerprints, workers=workers)


def complete_fingerprints(
    library: LibraryStore, *, workers: int = 0, tried: Collection[int] = ()
) -> list[tuple[LibraryTrack, str]]:
    """Make those that are missing, where other tracks of the library have theirs.

    Parameters
    ----------
    library : LibraryStore
        One without fingerprints is left as it is.
    workers : int
        As `fingerprint_tracks`.
    tried : collection of int
        Tracks, by id, that are passed over.

    Returns
    -------
    list of (track, text)
        Those that could not be decoded, and why.
    """
    if not library.has_fingerprints:
        return []
    missing = [i for i in library.without_fingerprint() if i not in tried]
    tracks, _ = part_leading_out(library.tracks(missing))
    with closing(fingerprint_tracks(library, tracks, workers=workers)) as results:
        return [(track, found) for track, found in results if isinstance(found, str)]
