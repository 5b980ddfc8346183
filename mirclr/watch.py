"""A library kept true to its folders, once or while they change; the only door to watchdog.

An event only says where to look. What is on the disk then decides, so that events that come twice, late, in another
order, or as a folder and not as its files, do no harm. Nothing is removed where a whole folder is missing: its disk may
be off.

Contents: `scope_of` (which folders), `apply_changes` (what is at some paths, into the library), `Pending` (which paths
are ripe), `FolderEvents` (what watchdog tells), `follow` (these three together).
"""

import errno
import os
import shlex
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Protocol, Self

from mirclr.embed import Embedder, Outcome, embed_files
from mirclr.errors import LibraryError, MissingExtra, NoMatch
from mirclr.library import Failure, FileState, Library, shown
from mirclr.manifest import ScanFailure, audio_files
from mirclr.provenance import file_digest
from mirclr.tags import AUDIO_SUFFIXES

_ASK_ABOVE = 10
_PATIENCE = 10  # times `settle` that what is gone waits for what is still being written
_CHECK_S = 5.0
_FALLBACK_POLL_S = 30.0
_LIMITS = {  # what inotify raises: the setting of Linux, a value that suffices
    errno.ENOSPC: ("fs.inotify.max_user_watches", 1048576),
    errno.EMFILE: ("fs.inotify.max_user_instances", 1024),
}
_OF_FILES = frozenset(("created", "modified", "moved", "deleted", "closed", "attrib"))
_OF_FOLDERS = frozenset(("created", "moved", "deleted"))

Scope = Mapping[Path, str]
"""Folders, each with the root of the library that its files belong to."""


@dataclass(frozen=True)
class Change:
    """What became of one file or folder.

    Attributes
    ----------
    file : Path
    did : str
        As `mirclr.embed.Outcome`; or "removed" (a track), "forgotten" (a failure), "kept" (tracks of a folder that is
        missing, or too many at once), "waiting" (another process writes to the library). Of a dry run also "changed":
        another sound or other tags, which only decoding tells.
    reason : str, optional
        Why, where that needs words.
    new : bool
        False for a failure known from an earlier run.
    """

    file: Path
    did: str
    reason: str | None = None
    new: bool = True


class Embed(Protocol):
    """Called as `mirclr.embed.embed_files`."""

    def __call__(
        self,
        library: Library,
        files: Sequence[tuple[str, Path]],
        embedder: Embedder,
        *,
        workers: int = 0,
        retry: bool = False,
    ) -> Iterator[Outcome]:
        """Bring the library up to date with files."""
        ...


def scope_of(library: Library, folders: Sequence[Path] = ()) -> dict[Path, str]:
    """Say which folders a library is to be kept true to.

    Parameters
    ----------
    library : Library
        The one to keep true.
    folders : sequence of Path
        By default all that the library has tracks of.

    Returns
    -------
    dict of Path to str
        Absolute folders, each with the root that its files belong to: the folder itself, or one that the library
        already holds and that it lies in.

    Raises
    ------
    NoMatch
        The library holds no track, and no folder is named.
    LibraryError
        A folder is not there, and the library holds no track of it either.
    """
    roots = list(library.roots())
    if not folders and not roots:
        raise NoMatch(f"{library.path}: holds no tracks of any folder yet; name the folder that it is to follow")
    scope = {}
    for given in folders or [Path(root) for root in roots]:
        folder = given.expanduser().resolve()
        if not folder.is_dir() and (folder.exists() or not any(_tracks_below(library, [folder]))):
            raise LibraryError(f"{given}: no such folder; expected a folder of audio files")
        scope[folder] = next((root for root in roots if folder.is_relative_to(root)), str(folder))
    return scope


def apply_changes(
    library: Library,
    scope: Scope,
    paths: Collection[Path],
    embedder: Embedder,
    *,
    workers: int = 0,
    retry: bool = False,
    yes: bool = False,
    embed: Embed = embed_files,
) -> Iterator[Change]:
    """Bring a library true to what is, and is no longer, at some paths.

    Files that are there come first, so that one which moved is found in its new place before its old one is given up.

    Parameters
    ----------
    library : Library
        The one to keep true.
    scope : mapping of Path to str
        Of `scope_of`; paths elsewhere are left alone.
    paths : collection of Path
        Absolute. A folder stands for all below it, also when it is gone.
    embedder : Embedder
        The library's own.
    workers, retry
        As `mirclr.embed.embed_files`.
    yes : bool
        Remove tracks even where they are more than half of their root's, and more than ten.
    embed : callable
        Stands for `mirclr.embed.embed_files`.

    Yields
    ------
    Change
        When it is yielded, what it says is on disk.

    Raises
    ------
    LibraryError
        The library cannot be written.
    EncoderMismatch
        It holds vectors of another encoder.
    """
    held = library.roots()
    yield from _absent(library, scope, paths)
    files, failures = _audio_at(scope, paths)
    known = set(library.failures())
    library.write(failures=failures)
    for failure in failures:
        yield Change(Path(failure.root, failure.path), "failed", failure.reason, failure not in known)
    for outcome in embed(library, files, embedder, workers=workers, retry=retry):
        yield Change(outcome.file, outcome.did, outcome.reason, outcome.new)
    tracks, forgotten, kept = _gone(library, scope, paths, held, yes)
    yield from kept
    library.remove([track.track_id for track in tracks])
    library.forget(forgotten)
    yield from _told(tracks, forgotten)


def foresee_changes(
    library: Library, scope: Scope, paths: Collection[Path], *, retry: bool = False, yes: bool = False
) -> Iterator[Change]:
    """Tell what `apply_changes` would do, as far as that is known without decoding, and do nothing.

    A file that moved and was re-tagged on the way is told as a new one and a removed one.
    """
    yield from _absent(library, scope, paths)
    files, failures = _audio_at(scope, paths)
    yield from (Change(Path(f.root, f.path), "failed", f.reason) for f in failures)
    followed: set[int] = set()
    yield from _foreseen(library, files, retry, followed)
    tracks, forgotten, kept = _gone(library, scope, paths, library.roots(), yes, followed)
    yield from kept
    yield from _told(tracks, forgotten)


def file_state(path: Path) -> tuple[int, int] | None:
    """Size and time of a file, which change while it is written; (0, 0) of a folder; None of what is not there."""
    try:
        facts = path.lstat()
    except (OSError, ValueError):
        return None
    return (0, 0) if path.is_dir() else (facts.st_size, facts.st_mtime_ns)


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
                    self.note(path, now)  # still growing, though no event said so
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
    """What happens below folders, as the system tells it through watchdog; a context manager.

    Parameters
    ----------
    folders : collection of Path
        Absolute. One that is missing, or goes, is watched when it is there again.
    poll : float, optional
        Look every so many seconds, and use no events of the system: those of network drives do not tell what other
        machines do.
    remark : callable
        Told, in words, that polling is used where events are not to be had.

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
        self._told: dict[Path, None] = {}  # each path once, however long nobody asks
        self._telling = threading.Condition()
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
        with self._telling:
            if not found and not self._told:
                self._telling.wait(min(wait, _CHECK_S))
            told = dict.fromkeys((*found, *self._told))
            self._told.clear()
        return list(told)

    def dispatch(self, event: Any) -> None:
        """Take an event of watchdog; called in its thread."""
        if paths := event_paths(event, self._folders):
            with self._telling:
                self._told.update(dict.fromkeys(paths))
                self._telling.notify()

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
        """Raise where no further folder can be watched: watchdog keeps silent of those below the first."""
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
    """The paths that an event of watchdog is about, as far as they may be audio files or folders of them.

    Hidden files, and files in hidden folders, are not, as for `mirclr.manifest.audio_files`.
    """
    # of what is deleted, Windows does not say whether it was a folder
    folder_like = event.is_directory or (sys.platform == "win32" and event.event_type == "deleted")
    if event.event_type not in (_OF_FOLDERS if event.is_directory else _OF_FILES):
        return []
    found = []
    for text in (event.src_path, event.dest_path):
        path = Path(os.fsdecode(text))
        below = [path.relative_to(folder).parts for folder in folders if text and path.is_relative_to(folder)]
        met = any(not any(part.startswith(".") for part in parts) for parts in below)
        if met and (folder_like or path.suffix.lower() in AUDIO_SUFFIXES):
            found.append(path)
    return found


def follow(
    library: Library,
    scope: Scope,
    embedder: Embedder,
    events: Callable[[float], list[Path] | None],
    *,
    settle: float,
    workers: int = 0,
    embed: Embed = embed_files,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Change]:
    """Bring a library true to its folders, and then keep it so as they change.

    Parameters
    ----------
    library, scope, embedder, workers, embed
        As `apply_changes`.
    events : callable
        As `FolderEvents`: waits up to so many seconds, gives paths; None ends it all.
    settle : float
        How long a path must have been quiet, in seconds.
    clock : callable
        Tells the time, in seconds.

    Yields
    ------
    Change
        Those of `apply_changes` that are new: not files that are unchanged, nor failures that are known.
    """
    pending = Pending(settle)
    for folder in scope:
        pending.note(folder, clock() - settle)
    while True:
        ripe = pending.ripe(clock())
        try:
            if ripe:
                for change in apply_changes(library, scope, ripe, embedder, workers=workers, embed=embed):
                    if change.did != "unchanged" and change.new:
                        yield change
        except LibraryError as error:
            if not _is_busy(error):
                raise
            yield Change(library.path, "waiting", str(error))
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
        facts = folder.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _absence(folder: Path) -> str | None:
    """Why nothing can be said of the files of a folder; None when they can be looked at."""
    try:
        with os.scandir(folder) as entries:
            return None if any(True for _ in entries) else "is empty"
    except FileNotFoundError:
        return "is not there"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _absent(library: Library, scope: Scope, paths: Collection[Path]) -> Iterator[Change]:
    for folder in scope:
        reason = _absence(folder) if folder in paths else None
        if reason and (n := sum(1 for _ in _tracks_below(library, [folder]))):
            yield _kept(folder, n, reason)


def _kept(folder: Path, n: int, reason: str) -> Change:
    remove = f"mirclr library remove {shlex.quote(shown(str(folder)))}"
    return Change(folder, "kept", f"{reason}; its {n} tracks are kept; to remove them: {remove}")


def _audio_at(scope: Scope, paths: Iterable[Path]) -> tuple[list[tuple[str, Path]], list[Failure]]:
    """The audio files at and below paths, each with its root; and what cannot be followed or read."""
    files: dict[Path, str] = {}
    failures: list[Failure] = []
    for path in paths:
        root = next((root for folder, root in scope.items() if path.is_relative_to(folder)), None)
        if root is None:
            continue
        for found in _listed(path):
            if isinstance(found, ScanFailure):
                failures.append(Failure(root, (path / found.path).relative_to(root).as_posix(), 0, 0, found.reason))
            else:
                files.setdefault(found, root)
    return [(root, file) for file, root in files.items()], failures


def _listed(path: Path) -> list[Path | ScanFailure]:
    if os.path.realpath(path) != str(path):
        return []  # of links, what they lead to is looked at
    if path.is_file():
        return [path] if path.suffix.lower() in AUDIO_SUFFIXES else []
    try:
        return list(audio_files(path))
    except OSError:
        return []  # it is gone


def _below(root: str, paths: Iterable[Path]) -> Callable[[str], bool] | None:
    """Tell whether a path below a root is one of `paths` or below one; None when none of them can be."""
    named = set()
    for path in paths:
        if Path(root).is_relative_to(path):
            return lambda _: True
        if path.is_relative_to(root):
            named.add(path.relative_to(root).as_posix())
    if not named:
        return None
    return lambda path: path in named or any(str(p) in named for p in PurePosixPath(path).parents)


def _tracks_below(library: Library, paths: Collection[Path]) -> Iterator[FileState]:
    for root in library.roots():
        if below := _below(root, paths):
            yield from (state for path, state in library.states(root).items() if below(path))


def _gone(
    library: Library,
    scope: Scope,
    paths: Iterable[Path],
    held: Mapping[str, int],
    yes: bool,
    followed: Collection[int] = (),
) -> tuple[list[FileState], list[Failure], list[Change]]:
    """What is to be removed and forgotten at and below paths, and what is kept all the same."""
    paths = [path for path in paths if any(path.is_relative_to(folder) for folder in scope)]
    by_root: dict[str, list[FileState]] = defaultdict(list)
    for track in _tracks_below(library, paths):
        if track.track_id not in followed and _is_gone(Path(track.root, track.path)):
            by_root[track.root].append(track)
    forgotten = []
    for root, failures in groupby(library.failures(), lambda failure: failure.root):
        if below := _below(root, paths):
            found = (f for f in failures if below(f.path))
            forgotten += [f for f in found if _is_gone(Path(f.root, f.path), follow_links=False)]
    # asked only now: a disk may have gone while its files were looked for
    absent = {Path(root): why for root in (*by_root, *(f.root for f in forgotten)) if (why := _absence(Path(root)))}
    off = [*absent, *(folder for folder in scope if _absence(folder))]
    removed, kept = [], []
    for root, tracks in by_root.items():
        n, total = len(tracks), max(held.get(root, 0), len(tracks))
        if Path(root) in absent:
            if Path(root) not in scope:
                kept.append(_kept(Path(root), n, absent[Path(root)]))
        elif n > _ASK_ABOVE and 2 * n > total and not yes:
            reason = f"{n} of its {total} tracks have no file any more; kept; to remove them: mirclr sync --yes"
            kept.append(Change(Path(root), "kept", reason))
        else:
            removed += [t for t in tracks if not any(Path(t.root, t.path).is_relative_to(folder) for folder in off)]
    forgotten = [f for f in forgotten if not any(Path(f.root, f.path).is_relative_to(folder) for folder in off)]
    return removed, forgotten, kept


def _is_gone(file: Path, *, follow_links: bool = True) -> bool:
    """Whether a file is surely not there: one that may not be looked at counts as there."""
    try:
        os.stat(file, follow_symlinks=follow_links)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        pass
    return False


def _told(tracks: Iterable[FileState], forgotten: Iterable[Failure]) -> Iterator[Change]:
    yield from (Change(Path(track.root, track.path), "removed") for track in tracks)
    yield from (Change(Path(failure.root, failure.path), "forgotten", failure.reason) for failure in forgotten)


def _foreseen(library: Library, files: Sequence[tuple[str, Path]], retry: bool, followed: set[int]) -> Iterator[Change]:
    """What would become of files; tracks that would move join `followed`."""
    states = {root: library.states(root) for root in {root for root, _ in files}}
    failed = {root: library.failed(root) for root in states}
    sizes = library.sizes()
    for root, file in files:
        path = file.relative_to(root).as_posix()
        state, failure = states[root].get(path), failed[root].get(path)
        try:
            facts = file.stat()
            now = (facts.st_size, facts.st_mtime_ns)
            if failure and not retry and (failure.size, failure.mtime_ns) == now:
                yield Change(file, "failed", failure.reason, new=False)
            elif state and not failure and (state.size, state.mtime_ns) == now:
                yield Change(file, "unchanged")
            else:
                twins = library.with_file_digest(file_digest(file)) if facts.st_size in sizes else []
                yield Change(file, _did_foreseen(state, twins, followed))
        except OSError as error:
            yield Change(file, "failed", f"{file}: cannot be read ({error.strerror})")


def _did_foreseen(state: FileState | None, twins: Sequence[FileState], followed: set[int]) -> str:
    """What would become of a file, given its track and those of the same bytes."""
    if state and any(twin.track_id == state.track_id for twin in twins):
        return "unchanged"
    for twin in twins:
        if twin.track_id not in followed and _is_gone(Path(twin.root, twin.path)):
            followed.add(twin.track_id)
            return "moved"
    if twins:
        return "copied"
    return "changed" if state else "embedded"
