"""A library kept in step with its folders while they change; the only door to watchdog.

An event only shows where to look: `sync` then looks at what is on the disk, so that events that come twice,
late, in another order, or as a folder and not as its files, do no harm.

Contents: `Pending` (which paths are ripe), `FolderEvents` (what watchdog reports), `follow` (both, and `sync`).
"""

import errno
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mirclr.data.scan import left_out, may_say_of_audio
from mirclr.errors import LibraryError, MissingExtra
from mirclr.ingest.embedding import embed_files
from mirclr.ingest.fingerprints import complete_fingerprints
from mirclr.ingest.sync import Embed, Scope, SyncChange, apply_changes
from mirclr.library import LibraryStore
from mirclr.models.embedder import Embedder

_PATIENCE = 10  # times `settle` that what is gone waits for what is still being written
_CHECK_S = 5.0
_FALLBACK_POLL_S = 30.0
_LIMITS = {  # what inotify raises: the setting of Linux, a value that suffices
    errno.ENOSPC: ("fs.inotify.max_user_watches", 1048576),
    errno.EMFILE: ("fs.inotify.max_user_instances", 1024),
}
_OF_FILES = frozenset(("created", "modified", "moved", "deleted", "closed", "attrib"))
_OF_FOLDERS = frozenset(("created", "moved", "deleted"))


def file_state(path: Path) -> tuple[int, int] | None:
    """Size and time of a file, which change while it is written; (0, 0) of a folder; None of what is not there."""
    try:
        status = path.lstat()
    except (OSError, ValueError):
        return None
    return (0, 0) if path.is_dir() else (status.st_size, status.st_mtime_ns)


class Pending:
    """Paths at which something happened, until nothing happens there any more.

    A path is ripe when it has been quiet for a while, and so has all below it. What is gone waits until nothing else
    does: it may be found in another place. The clock is the caller's, in seconds.

    Parameters
    ----------
    settle : float
        How long a path must have been quiet, in seconds.
    look : callable
        Gives a value that changes while a file is being written; None when there is no file.
    """

    def __init__(self, settle: float, look: Callable[[Path], Any] = file_state) -> None:
        self._settle = settle
        self._look = look
        self._last: dict[Path, float] = {}
        self._states: dict[Path, Any] = {}

    def __len__(self) -> int:
        return len(self._last)

    def note(self, path: Path, now: float) -> None:
        """Something happened at a path."""
        self._last[path] = now
        self._states[path] = self._look(path)

    def wait(self, now: float) -> float:
        """Seconds until the next path may be ripe; `settle` when there is none."""
        coming = [last + self._settle - now for last in self._last.values() if last + self._settle > now]
        return min(coming, default=self._settle)

    def ripe(self, now: float) -> list[Path]:
        """Give out the paths that are ripe, in sorted order, and forget them."""
        quiet = []
        for path, last in self._last.items():
            if now - last >= self._settle:
                if self._look(path) == self._states[path]:
                    quiet.append(path)
                else:
                    self.note(path, now)  # still growing, though no event reported it
        noisy = self._last.keys() - set(quiet)
        above = {folder for path in noisy for folder in path.parents}
        late = now - _PATIENCE * self._settle
        ripe = sorted(
            path
            for path in quiet
            if path not in above and (self._states[path] is not None or not noisy or self._last[path] <= late)
        )
        for path in ripe:
            del self._last[path], self._states[path]
        return ripe


class FolderEvents:
    """What happens below folders, as the system reports it through watchdog; a context manager.

    Parameters
    ----------
    folders : collection of Path
        Absolute. One that is missing, or goes, is watched when it is there again.
    poll : float, optional
        Look every so many seconds, and use no events of the system: those of network drives do not show what other
        machines do.
    remark : callable
        Called with a text where polling is used, as events are not to be had.

    Raises
    ------
    MissingExtra
        watchdog is not installed.
    """

    def __init__(self, folders: Collection[Path], *, poll: float | None, remark: Callable[[str], None]) -> None:
        try:
            from watchdog.observers import Observer
            from watchdog.observers.polling import PollingObserver
        except ImportError:
            raise MissingExtra.of("watching folders", "watch") from None
        self._folders = tuple(folders)
        self._remark = remark
        self._reported: dict[Path, None] = {}  # each path once, however long nobody asks
        self._condition = threading.Condition()
        self._polling: Callable[[float], Any] = lambda seconds: PollingObserver(timeout=seconds)
        self._observer: Any = Observer() if poll is None else self._polling(poll)
        self._native = poll is None
        self._watched: dict[Path, tuple[Any, tuple[int, int]]] = {}

    def __enter__(self) -> Self:
        self._observer.start()
        self._watch_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._observer.stop()
        self._observer.join()

    def __call__(self, wait: float) -> list[Path]:
        """Give the paths at which something happened, waiting up to `wait` seconds for the first of them.

        A folder that went, came, or is another one now, such as a disk taken out, is among them.
        """
        found = self._of_folders()
        with self._condition:
            if not found and not self._reported:
                self._condition.wait(min(wait, _CHECK_S))
            reported = dict.fromkeys((*found, *self._reported))
            self._reported.clear()
        return list(reported)

    def dispatch(self, event: Any) -> None:
        """Take an event of watchdog; called in its thread."""
        if paths := event_paths(event, self._folders):
            with self._condition:
                self._reported.update(dict.fromkeys(paths))
                self._condition.notify()

    def _of_folders(self) -> list[Path]:
        changed = []
        for folder in self._folders:
            before = self._watched[folder][1] if folder in self._watched else None
            if _identity(folder) != before:
                if before:
                    self._unwatch(folder)
                self._watch(folder)
                changed.append(folder)
        return changed

    def _watch_all(self) -> None:
        for folder in self._folders:
            if folder not in self._watched:
                self._watch(folder)

    def _watch(self, folder: Path) -> None:
        identity = _identity(folder)
        if identity is None:
            return
        try:
            self._watched[folder] = (self._observer.schedule(self, str(folder), recursive=True), identity)
            if self._native and sys.platform == "linux":
                self._probe()
        except OSError as error:
            if not self._native:
                return  # it went in this moment
            self._poll_instead(error)

    def _unwatch(self, folder: Path) -> None:
        watch, _ = self._watched.pop(folder)
        with suppress(KeyError, OSError):
            self._observer.unschedule(watch)

    def _probe(self) -> None:
        """Raise where no further folder can be watched: watchdog reports none of those below the first."""
        with tempfile.TemporaryDirectory() as folder:
            self._observer.unschedule(self._observer.schedule(self, folder))

    def _poll_instead(self, error: OSError) -> None:
        why = error.strerror or str(error)
        if sys.platform == "linux" and error.errno in _LIMITS:
            name, enough = _LIMITS[error.errno]
            why = f"the limit {name} of this system is reached; to raise it: sudo sysctl {name}={enough}"
        self._remark(f"changes are looked for every {_FALLBACK_POLL_S:.0f} s, as no events are to be had: {why}")
        self._observer.unschedule_all()
        self._observer.stop()
        self._observer.join()
        self._observer, self._native = self._polling(_FALLBACK_POLL_S), False
        self._observer.start()
        self._watched.clear()
        self._watch_all()


def event_paths(event: Any, folders: Iterable[Path]) -> list[Path]:
    """The paths that an event of watchdog is about, as far as they may be audio files, CUE sheets or folders of them.

    What is hidden or in a bin is not, as for `mirclr.data.scan.audio_files`.
    """
    # of what is deleted, Windows does not report whether it was a folder
    folder_like = event.is_directory or (sys.platform == "win32" and event.event_type == "deleted")
    if event.event_type not in (_OF_FOLDERS if event.is_directory else _OF_FILES):
        return []
    found = []
    for text in (event.src_path, event.dest_path):
        path = Path(os.fsdecode(text))
        below = [path.relative_to(folder).parts for folder in folders if text and path.is_relative_to(folder)]
        met = any(not any(map(left_out, parts)) for parts in below)
        if met and (folder_like or may_say_of_audio(path.name)):
            found.append(path)
    return found


def follow(
    library: LibraryStore,
    scope: Scope,
    embedder: Embedder,
    events: Callable[[float], list[Path] | None],
    *,
    settle: float,
    workers: int = 0,
    embed: Embed = embed_files,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[SyncChange]:
    """Bring a library in step with its folders, and keep it so as they change; its fingerprints too, where it has some.

    Parameters
    ----------
    library, scope, embedder, workers, embed
        As `apply_changes`.
    events : callable
        As `FolderEvents`: waits up to so many seconds, gives paths; None ends it all.
    settle : float
        How long a path must have been quiet, in seconds.
    clock : callable
        Gives the time, in seconds.

    Yields
    ------
    SyncChange
        Those of `apply_changes` that are new: not files that are unchanged, nor failures that are known.
    """
    pending, tried = Pending(settle), set[int]()
    for folder in scope:
        pending.note(folder, clock() - settle)
    while True:
        ripe = pending.ripe(clock())
        try:
            if ripe:
                for change in apply_changes(library, scope, ripe, embedder, workers=workers, embed=embed):
                    if change.did != "unchanged" and change.new:
                        yield change
                for track, reason in complete_fingerprints(library, workers=workers, tried=tried):
                    tried.add(track.id)
                    yield SyncChange(track.file, "failed", f"no fingerprint could be made: {reason}")
        except LibraryError as error:
            if not _is_busy(error):
                raise
            yield SyncChange(library.path, "waiting", str(error))
            for path in ripe:
                pending.note(path, clock())
        paths = events(pending.wait(clock()))
        if paths is None:
            return
        for path in paths:
            pending.note(path, clock())


def _is_busy(error: LibraryError) -> bool:
    """Whether SQLite gave up waiting for another process."""
    return getattr(error.__cause__, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
