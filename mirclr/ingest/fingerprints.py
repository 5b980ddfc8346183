"""Fingerprints of a library's tracks: each is decoded as a whole, in processes, and its landmarks are stored."""

from collections.abc import Generator, Sequence

import numpy as np

from mirclr.audio.landmarks import try_landmarks
from mirclr.ingest.storing import find_and_store
from mirclr.library import LibraryStore, LibraryTrack


def fingerprint_tracks(
    library: LibraryStore, tracks: Sequence[LibraryTrack], *, workers: int = 0
) -> Generator[tuple[LibraryTrack, np.ndarray | str]]:
    """Find the landmarks of tracks, and store them, as `find_and_store`; a text is why a file was not decoded."""
    return find_and_store(tracks, try_landmarks, library.store_fingerprints, workers=workers)
