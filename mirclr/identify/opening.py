"""The postings of a library: those that are saved beside it, and of what changed since."""

from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from mirclr.errors import NoMatch
from mirclr.identify.file import load, save
from mirclr.identify.postings import Postings, build
from mirclr.library import LibraryStore
from mirclr.settings import command_line

_FEW = 100  # tracks that changed, for which all need not be made again,
_STALE = 0.1  # nor for this fraction of all
_AT_ONCE = 500


def open_postings(library: LibraryStore, *, keep: bool = True) -> list[Postings]:
    """Give the postings of all fingerprints of a library: of most of them, and of those that are newer.

    Where they are not to be kept, or cannot be, as in a folder that may not be written, they are made again each time.

    Raises
    ------
    NoMatch
        The library has no fingerprints.
    """
    with library.snapshot():
        ids, made = library.fingerprint_times()
        if not len(ids):
            make = command_line("library", "fingerprint", library_path=library.path)
            raise NoMatch(f"{library.path}: its songs have no fingerprints yet; to make them: {make}")
        path = library.path.with_name(library.path.name + ".fingerprints")
        saved = load(path)
        if saved and saved[1].get("library") == library.uuid:
            base = saved[0]
            new = ~_same(ids, made, base)
            gone = len(base.ids) - (len(ids) - int(new.sum()))
            if not new.any() and not gone:
                return [base]
            if new.sum() + gone <= max(_FEW, _STALE * len(base.ids)):
                return [base, build(_landmarks(library, ids[new]), made[new])] if new.any() else [base]
        postings = build(_landmarks(library, ids), made)
    if keep:
        with suppress(OSError):
            save(path, postings, {"library": library.uuid})
    return [postings]


def _same(ids: np.ndarray, made: np.ndarray, base: Postings) -> np.ndarray:
    """Which tracks have in a base the fingerprint that they have now."""
    at = np.minimum(np.searchsorted(base.ids, ids), max(0, len(base.ids) - 1))
    same: np.ndarray = (base.ids[at] == ids) & (base.made_ns[at] == made) if len(base.ids) else np.zeros(len(ids), bool)
    return same


def _landmarks(library: LibraryStore, ids: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Tracks with their landmarks, a few hundred held at once."""
    for start in range(0, len(ids), _AT_ONCE):
        yield from sorted(library.fingerprints(ids[start : start + _AT_ONCE].tolist()).items())
