"""Where the files of a library went, and which folders went with them.

A folder has moved when more than half of its tracks went to one other folder and no audio is left in it. What names it
in the library then follows (`mirclr.library.places`).
"""

import os
from collections import Counter
from pathlib import Path

from mirclr.data.scan import audio_files
from mirclr.library import FileState, LibraryStore
from mirclr.library.files import absence


class Moves:
    """The moves of one run.

    Parameters
    ----------
    foreseen : bool
        They have not happened yet: the library still holds the tracks in their old places.
    """

    def __init__(self, *, foreseen: bool = False) -> None:
        self._foreseen = foreseen
        self._files: dict[str, str] = {}
        self._folders: dict[str, str] = {}
        self._votes: dict[Path, Counter[Path]] = {}
        self._roots: dict[Path, str] = {}
        self._changed: set[Path] = set()
        self._followed = 0  # of the files

    def __bool__(self) -> bool:
        return bool(self._files)

    def add(self, track: FileState, place: Path) -> None:
        """Note that a track goes from where it is, or was, to a place."""
        old, new = track.place, place
        if old == new:
            return
        self._files[os.path.normcase(old)] = str(new)
        while old.name == new.name or old == track.place:
            old, new = old.parent, new.parent
            if old == new or not old.is_relative_to(track.root):
                break
            self._votes.setdefault(old, Counter())[new] += 1
            self._roots[old] = track.root
            self._changed.add(old)

    def find_folders(self, library: LibraryStore) -> dict[Path, Path]:
        """The folders that moved since this was last asked, without those that are in one that moved with it."""
        found: dict[Path, Path] = {}
        for old in sorted(self._changed, key=lambda folder: len(folder.parts)):
            new, n = self._votes[old].most_common(1)[0]
            if self.renamed(str(old)) == str(new):
                continue
            left = library.count_below(self._roots[old], old.relative_to(self._roots[old]).as_posix())
            if not self._foreseen:
                left += self._votes[old].total()
            if 2 * n > left and _is_left(old):
                self._folders[os.path.normcase(old)] = str(new)
                found[old] = new
        self._changed.clear()
        return found

    def renamed(self, place: str) -> str:
        """The new place of an absolute path, as far as is known; the same where it has not moved."""
        key = os.path.normcase(os.path.normpath(place))
        new = self._files.get(key)
        folder = key
        while new is None:
            if folder in self._folders:
                below = os.path.normpath(place)[len(folder) :]
                new = self._folders[folder] + below
            elif os.path.dirname(folder) == folder:
                return place
            folder = os.path.dirname(folder)
        return place if os.path.isfile(place) else new

    def follow(self, library: LibraryStore) -> None:
        """Let what names places in the library follow the moves that came since; part of the caller's transaction."""
        if len(self._files) > self._followed:
            self.find_folders(library)
            library.rename_places(self.renamed)
            self._followed = len(self._files)


def _is_left(folder: Path) -> bool:
    """Whether a folder is not there, or no audio is in it."""
    if (why := absence(folder)) is not None:
        return why in ("is not there", "is empty")
    return next(iter(audio_files(folder)), None) is None
