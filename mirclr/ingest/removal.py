"""Which tracks of a library a person may mean to remove: those of a path, and those whose files are gone."""

import os
from pathlib import Path, PurePath

from mirclr.library import Failure, LibraryStore, LibraryTrack
from mirclr.library.files import absence, is_gone


def tracks_at(library: LibraryStore, path: str) -> list[LibraryTrack]:
    """The tracks of a file, or else of all files below a folder; both may be gone."""
    if tracks := library.find_files(Path(path)):
        return tracks
    place = PurePath(os.path.abspath(path))
    return [track for track in library.tracks() if PurePath(track.file).is_relative_to(place)]


def failures_at(library: LibraryStore, path: str) -> list[Failure]:
    """The failures of a file, or of all files below a folder; both may be gone."""
    place = PurePath(os.path.abspath(path))
    return [failure for failure in library.failures() if PurePath(failure.file).is_relative_to(place)]


def find_gone(library: LibraryStore) -> tuple[list[LibraryTrack], list[Failure], dict[str, str]]:
    """The tracks and failures whose files are gone; not those of a root that is missing or empty: a disk may be off.

    Returns
    -------
    tracks, failures : list of LibraryTrack, list of Failure
    absent : dict of str to str
        The roots whose tracks are kept, each with the reason.
    """
    tracks = library.gone()
    failures = [f for f in library.failures() if is_gone(f.file, follow_links=False)]
    roots = {t.root for t in tracks} | {f.root for f in failures}
    absent = {root: why for root in sorted(roots) if (why := absence(Path(root)))}
    return [t for t in tracks if t.root not in absent], [f for f in failures if f.root not in absent], absent
