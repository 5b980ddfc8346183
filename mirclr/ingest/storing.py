"""What is found of a library's tracks by their files, in processes, and stored as it comes."""

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from mirclr.audio import Span, why_lost
from mirclr.library import LibraryTrack
from mirclr.processes import Lost, results_in_order, seconds_for_file

_BATCH = 16  # tracks that are stored in one transaction
_T = TypeVar("_T")


def find_and_store(
    tracks: Sequence[LibraryTrack],
    find: Callable[[Path, Span | None], _T | str],
    store: Callable[[Mapping[int, _T]], None],
    *,
    workers: int = 0,
) -> Generator[tuple[LibraryTrack, _T | str]]:
    """Find something of tracks; what is found is stored, the last of it when the iterator is closed.

    Parameters
    ----------
    tracks : sequence of LibraryTrack
        Of the library, none of them leading out of it (`mirclr.library.part_leading_out`).
    find : callable
        At the top of a module; called in a process with a file and the part of it that is the track. A text is why it
        could not be found.
    store : callable
        Takes what was found, by track id.
    workers : int
        Processes; 0: one a core.

    Yields
    ------
    track, found : LibraryTrack, what `find` gave
        In the order of the tracks; a text is why it could not be found.
    """
    waiting: dict[int, _T] = {}
    jobs = ((t.file, t.span) for t in tracks)
    results = results_in_order(find, jobs, workers=workers, seconds_for=seconds_for_file)
    try:
        for track, ((file, _), found) in zip(tracks, results, strict=True):
            if isinstance(found, Lost):
                yield track, why_lost(file, found)
                continue
            if not isinstance(found, str):
                waiting[track.id] = found
                if len(waiting) == _BATCH:
                    store(waiting)
                    waiting = {}
            yield track, found
    finally:
        if waiting:
            store(waiting)
