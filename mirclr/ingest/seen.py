"""A file as it is now, beside what a library knows of it: unchanged, identical to that of a track, or listed otherwise.

Contents: `SeenFile`, made by `look`; `identical_tracks`; `is_moved`; `superseded`.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath

from mirclr.data.scan import Found, Part, audio_of, place_of
from mirclr.errors import is_fault_of_machine
from mirclr.library import Failure, FileState, LibraryStore
from mirclr.provenance import content_digest, file_digest, size_and_time
from mirclr.tags import Tags, read_tags


@dataclass(frozen=True)
class SeenFile:
    """A file, or a part of one, as it is now; made by `look`.

    Attributes
    ----------
    root, path : str
        As of `Entry`.
    file : Path
        The audio file.
    size, mtime_ns : int
        In bytes and nanoseconds, as the system states them.
    known_tags : Tags, optional
        Taken instead of the tags in the file.
    part : Part, optional
        The part of the file that is meant.
    own_tags : Tags, optional
        The tags in the file, as a worker process read them.
    """

    root: str
    path: str
    file: Path
    size: int
    mtime_ns: int
    known_tags: Tags | None
    part: Part | None = None
    own_tags: Tags | None = None

    @property
    def place(self) -> Path:
        """What names it: the file, or the place of a part."""
        return self.part.place if self.part else self.file

    @property
    def audio_path(self) -> str | None:
        """As `Entry.audio_path`."""
        return self.file.relative_to(self.root).as_posix() if self.part else None

    @property
    def start_s(self) -> float:
        """As `Entry.start_s`."""
        return self.part.span[0] if self.part else 0.0

    def is_unchanged(self, state: FileState | None, failure: Failure | None) -> bool:
        """Whether a track is of this file, and of this part, as it was when last seen."""
        now = (self.size, self.mtime_ns, self.part.mark if self.part else "")
        return state is not None and not failure and (state.size, state.mtime_ns, state.mark) == now

    def failed_before(self, failure: Failure) -> bool:
        """Whether a failure is of this file as it is."""
        return (failure.size, failure.mtime_ns) == (self.size, self._failed_at)

    @property
    def _failed_at(self) -> int:
        # a failure has no digest: of a part, its time changes with what the sheet states
        return self.mtime_ns ^ (int(self.part.mark[:8], 16) if self.part else 0)

    def failure(self, reason: str) -> Failure:
        """A failure of this file, or of this part of it."""
        return Failure(self.root, self.path, self.size, self._failed_at, reason)

    @cached_property
    def digest(self) -> str:
        """Of three places of the file; of a part with its mark, so that parts of a file are no copies of each other."""
        return f"{file_digest(self.file)}:{self.part.mark}" if self.part else file_digest(self.file)

    @cached_property
    def content(self) -> str:
        """Digest of all of the file."""
        return _content_of_parts(self.file, self.size, self.mtime_ns) if self.part else content_digest(self.file)

    def tags(self) -> Tags:
        """What is known of it already; else the tags in the file, and of a part those in its sheet."""
        if self.known_tags is not None:
            return self.known_tags
        try:
            own = self.own_tags or read_tags(self.file)
        except OSError as error:
            if is_fault_of_machine(error, music=True):
                raise
            own = Tags()
        return self.part.all_tags(own) if self.part else own


@lru_cache(maxsize=4)
def _content_of_parts(file: Path, size: int, mtime_ns: int) -> str:
    """Of a long file, read once for all of its parts."""
    return content_digest(file)


def look(root: str, found: Found, known_tags: Tags | None = None) -> SeenFile | Failure:
    """Look at a file, or that of a part, without reading it."""
    path, file = place_of(found).relative_to(root).as_posix(), audio_of(found)
    try:
        size, mtime_ns = size_and_time(file)
    except OSError as error:
        if is_fault_of_machine(error, music=True):
            raise
        return Failure(root, path, 0, 0, f"{file}: cannot be read ({error.strerror})")
    return SeenFile(root, path, file, size, mtime_ns, known_tags, found if isinstance(found, Part) else None)


def identical_tracks(library: LibraryStore, seen: SeenFile) -> list[FileState]:
    """The tracks whose files have the very bytes of a file, as far as that is known without decoding.

    Size and three places find them. One whose own file is gone, or is this one, is taken by its time stamp too, which
    moves when a file is written; of all others everything is read. One that was embedded before everything was is none:
    decoding it shows.
    """
    return [track for track in library.with_file_digest(seen.digest) if _is_identical(seen, track)]


def _is_identical(seen: SeenFile, track: FileState) -> bool:
    if track.mtime_ns == seen.mtime_ns and is_moved(track, seen):
        return True
    return track.content_digest is not None and track.content_digest == seen.content


def is_moved(track: FileState, seen: SeenFile) -> bool:
    """Whether the file of a track is gone, or is this very file; of two parts, this very part."""
    parts = track.audio_path and seen.part
    if parts and PurePosixPath(track.path).name != PurePosixPath(seen.path).name:
        return not track.file.exists()
    return not track.file.exists() or _is_same_file(track.file, seen.file)


def _is_same_file(old: Path, new: Path) -> bool:
    """Whether two paths lead to one file; two hard links are two copies, and not one file that moved to and fro."""
    try:
        return old == new or (os.path.samefile(old, new) and new.stat().st_nlink == 1)
    except OSError:  # one of them is gone
        return False


def superseded(library: LibraryStore, files: Iterable[tuple[str, Found]]) -> list[FileState]:
    """The tracks of files that are listed otherwise now: as their parts, or no longer as these."""
    files = list(files)
    if not (library.holds_parts() or any(isinstance(found, Part) for _, found in files)):
        return []  # of most libraries; to compare the places of 100,000 files takes seconds
    listed: dict[str, set[str]] = {}
    split: dict[str, set[str]] = {}
    whole: dict[str, set[str]] = {}
    for root, found in files:
        path = audio_of(found).relative_to(root).as_posix()
        (split if isinstance(found, Part) else whole).setdefault(root, set()).add(path)
        listed.setdefault(root, set()).add(place_of(found).relative_to(root).as_posix())
    return [
        state
        for root, paths in listed.items()
        for path, state in library.states(root).items()
        if path not in paths
        and ((state.audio_path or path) in split.get(root, ()) or state.audio_path in whole.get(root, ()))
    ]
