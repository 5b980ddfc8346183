"""What a library knows of its tracks, into the tags of their files, and out again: file by file, with a journal."""

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

from mirclr.errors import MirclrError, TagsError, in_words, is_fault_of_machine
from mirclr.ingest.tagging.guesses import Values
from mirclr.ingest.tagging.journal import Journal
from mirclr.ingest.tagging.packets import PacketComparer
from mirclr.ingest.tagging.replacing import remove_leftovers
from mirclr.ingest.tagging.writing import TagChange, WriteOptions, undo_change, write_values
from mirclr.library import LibraryStore, LibraryTrack
from mirclr.library.files import is_gone
from mirclr.provenance import content_digest, file_digest, size_and_time
from mirclr.tags import read_tags, read_values

_TOGETHER = 64  # files that the library learns of at once; a killed run leaves as many for the next embedding


class TagSession:
    """Writes the tags of a library's tracks, or undoes what was written; a context manager.

    Parameters
    ----------
    library : LibraryStore or Journal
        Learns of the files that were changed, many at once, and of the last when the session ends. With a journal alone
        what it says can be undone, in the very places that it names.
    touch, break_links : bool
        As `WriteOptions`.
    dry_run : bool
        Only find what would be written.
    moved_to : Path, optional
        The folder in which files are that a journal alone names elsewhere.

    Attributes
    ----------
    journal : Journal
        That of the library, or the one that was given.
    changes : list of TagChange
        What was written, or would be.
    problems : list of str
        One line a file that could not be written, naming it.
    left : int
        How many fields were left as they are, as they had values.
    left_by_field : Counter of str
        The same by field.
    undone, foreign : int
        How many changes were undone, and how many files others changed since, which are left alone.
    """

    def __init__(
        self,
        library: LibraryStore | Journal,
        *,
        touch: bool = False,
        break_links: bool = False,
        dry_run: bool = False,
        moved_to: Path | None = None,
    ) -> None:
        self.changes: list[TagChange] = []
        self.problems: list[str] = []
        self.left = self.undone = self.foreign = 0
        self.left_by_field = Counter[str]()
        self._held = None if isinstance(library, Journal) else library
        self.journal = library if isinstance(library, Journal) else Journal(library.path)
        self._dry_run, self._moved_to = dry_run, moved_to
        self._touch, self._break_links = touch, break_links
        self._compare = PacketComparer()
        self._swept: set[Path] = set()
        self._written: list[LibraryTrack] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._compare.close()
        self._update_library()

    def write_all(
        self,
        tracks: Iterable[LibraryTrack],
        values: Values,
        *,
        overwrite: bool = False,
        advance: Callable[[], object] = lambda: None,
    ) -> None:
        """Write values into the tags of tracks, where their files do not have them.

        Parameters
        ----------
        tracks : iterable of LibraryTrack
            Of the library.
        values : dict
            Of `known_values`.
        overwrite : bool
            Also where a file has other values in a field.
        advance : callable
            Called after each track.
        """
        if not self._dry_run:
            self.journal.mend()
        for track in tracks:
            wanted = {field: of[track.id] for field, of in values.items() if of.get(track.id)}
            with self._one_file():
                self._write(track, wanted, overwrite)
            advance()

    def set_values(self, track: LibraryTrack, values: Mapping[str, tuple[str, ...]]) -> None:
        """Write values into the tags of one track, whatever stands there; an empty one takes a field out."""
        self.journal.mend()
        with self._one_file():
            self._write(track, values, True)

    def _write(self, track: LibraryTrack, wanted: Mapping[str, tuple[str, ...]], overwrite: bool) -> None:
        self._sweep(track.file.parent)
        if not wanted:
            return
        options = self._options(track)
        before = {field: read_values(track.file, field) for field in wanted}
        new = {f: wanted[f] for f, old in before.items() if (overwrite or not old) and wanted[f] != old}
        self.left += len(before) - len(new)
        self.left_by_field.update(field for field in before if field not in new)
        if not new:
            return
        known = f"{self._library.uuid}:{track.id}"
        if self._dry_run:
            self.changes.append(TagChange(track.file, {field: before[field] for field in new}, new, track=known))
            return
        change = write_values(
            track.file, new, options, record=lambda change: self.journal.add(replace(change, track=known))
        )
        if change:
            self.changes.append(change)
            self._update_library(track)

    def undo_all(
        self, changes: Sequence[TagChange], damaged: Sequence[str], *, advance: Callable[[], object] = lambda: None
    ) -> None:
        """Undo the changes of the journal, the last first; those that cannot be undone stay in it.

        Parameters
        ----------
        changes : sequence of TagChange
            As `Journal.read` gives them, the oldest first.
        damaged : sequence of str
            Lines of the journal that are no changes, from there too; they stay, and are among the problems.
        advance : callable
            Called after each change.
        """
        self.problems = [f"{self.journal.path}: a line is damaged and stays: {line[:80]}" for line in damaged]
        waiting, left = list(changes), list[TagChange]()
        try:
            while waiting:
                if not self._undo(waiting[-1]):
                    left.append(waiting[-1])
                waiting.pop()
                advance()
        finally:
            if len(waiting) + len(left) < len(changes):
                self.journal.rewrite([*waiting, *reversed(left)], damaged)

    def _undo(self, change: TagChange) -> bool:
        """Undo a change; False where it has to stay in the journal."""
        with self._one_file():
            track = self._track(change) if self._held else None
            file = track.file if track else self._place(change.file)
            self._sweep(file.parent)
            options = self._options(track) if track else self._options_of(file.parent)
            result = undo_change(replace(change, file=file), options)
            if result == "undone":
                self.undone += 1
                if track:
                    self._update_library(track)
            self.foreign += result == "changed since"
            return True
        return False

    def _track(self, change: TagChange) -> LibraryTrack:
        """The track of a file, also where it has another place since, which the library has followed."""
        uuid, _, number = (change.track or "").partition(":")
        track = self._library.find_file(change.file)
        if track is None and uuid == self._library.uuid and number.isdecimal():
            track = next(iter(self._library.tracks([int(number)])), None)
        if track is None:
            raise TagsError(
                f"{change.file}: not a file of this library any more; its tags are left as they are; to go by what was "
                f"written alone: mirclr tag undo --journal {shlex.quote(str(self.journal.path))}"
            )
        return track

    def _place(self, file: Path) -> Path:
        """Where a file of the journal is: there, or below the folder that it was moved to, by the end of its path."""
        if not is_gone(file):
            return file
        ends = (Path(*file.parts[i:]) for i in range(1, len(file.parts)))
        places = (self._moved_to / end for end in ends) if self._moved_to and ".." not in file.parts else ()
        if (found := next((place for place in places if place.is_file()), None)) is None:
            raise TagsError(f"{file}: is not there; has it moved? --moved-to NEW_FOLDER looks for it there")
        return found

    @property
    def _library(self) -> LibraryStore:
        if self._held is None:
            raise TagsError(f"{self.journal.path}: no library; with a journal alone tags are only taken back")
        return self._held

    def _options(self, track: LibraryTrack) -> WriteOptions:
        if track.audio_path is not None:
            raise TagsError(f"{track.file}: holds several tracks, by a CUE sheet; its tags are left as they are")
        return self._options_of(Path(track.root))

    def _options_of(self, root: Path) -> WriteOptions:
        return WriteOptions(self._touch, self._break_links, root, self._compare)

    @contextmanager
    def _one_file(self) -> Iterator[None]:
        """What is wrong with one file is reported; a full disk and the like end the run."""
        try:
            yield
        except (MirclrError, OSError) as error:
            if is_fault_of_machine(error):
                raise
            if (problem := in_words(error)) not in self.problems[-1:]:  # of the many tracks of one file
                self.problems.append(problem)

    def _update_library(self, track: LibraryTrack | None = None) -> None:
        """Let the library know of files that were re-tagged, many in one transaction; the last without a track."""
        self._written += [track] if track else []
        if track and len(self._written) < _TOGETHER:
            return
        seen = []
        for t in self._written:
            with self._one_file():
                state = (*size_and_time(t.file), file_digest(t.file), read_tags(t.file))
                seen.append((t, state, content_digest(t.file)))
        self._written.clear()
        if seen:
            with self._library.together():
                for t, state, content in seen:
                    self._library.move(t.id, t.root, t.path, *state, content_digest=content)

    def _sweep(self, folder: Path) -> None:
        if folder not in self._swept and not self._dry_run:
            self._swept.add(folder)
            remove_leftovers(folder)
