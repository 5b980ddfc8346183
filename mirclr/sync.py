"""A library brought true to its folders.

What is on the disk decides. Nothing is removed where a whole folder is missing: its disk may be off.

Contents: `scope_of` (which folders), `apply_changes` (what is at some paths, into the library), `foresee_changes` (what
that would do).
"""

import os
import shlex
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Protocol

from mirclr.embed import Embedder, Outcome, embed_files, look, twins_of
from mirclr.errors import LibraryError, NoMatch
from mirclr.library import Failure, FileState, Library, shown
from mirclr.library.store import absence, is_gone
from mirclr.manifest import ScanFailure, audio_files
from mirclr.tags import AUDIO_SUFFIXES

_ASK_ABOVE = 10
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
        yield Change(failure.file, "failed", failure.reason, failure not in known)
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
    yield from (Change(f.file, "failed", f.reason) for f in failures)
    followed: set[int] = set()
    yield from _foreseen(library, files, retry, followed)
    tracks, forgotten, kept = _gone(library, scope, paths, library.roots(), yes, followed)
    yield from kept
    yield from _told(tracks, forgotten)


def _absent(library: Library, scope: Scope, paths: Collection[Path]) -> Iterator[Change]:
    for folder in scope:
        reason = absence(folder) if folder in paths else None
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
        if track.track_id not in followed and is_gone(Path(track.root, track.path)):
            by_root[track.root].append(track)
    forgotten = []
    for root, failures in groupby(library.failures(), lambda failure: failure.root):
        if below := _below(root, paths):
            found = (f for f in failures if below(f.path))
            forgotten += [f for f in found if is_gone(f.file, follow_links=False)]
    # asked only now: a disk may have gone while its files were looked for
    absent = {Path(root): why for root in (*by_root, *(f.root for f in forgotten)) if (why := absence(Path(root)))}
    off = [*absent, *(folder for folder in scope if absence(folder))]
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
    forgotten = [f for f in forgotten if not any(f.file.is_relative_to(folder) for folder in off)]
    return removed, forgotten, kept


def _told(tracks: Iterable[FileState], forgotten: Iterable[Failure]) -> Iterator[Change]:
    yield from (Change(Path(track.root, track.path), "removed") for track in tracks)
    yield from (Change(failure.file, "forgotten", failure.reason) for failure in forgotten)


def _foreseen(library: Library, files: Sequence[tuple[str, Path]], retry: bool, followed: set[int]) -> Iterator[Change]:
    """What would become of files; tracks that would move join `followed`."""
    states = {root: library.states(root) for root in {root for root, _ in files}}
    failed = {root: library.failed(root) for root in states}
    sizes = library.sizes()
    for root, file in files:
        seen = look(root, file)
        if isinstance(seen, Failure):
            yield Change(file, "failed", seen.reason)
            continue
        state, failure = states[root].get(seen.path), failed[root].get(seen.path)
        now = seen.size, seen.mtime_ns
        try:
            if failure and not retry and (failure.size, failure.mtime_ns) == now:
                yield Change(file, "failed", failure.reason, new=False)
            elif state and not failure and (state.size, state.mtime_ns) == now:
                yield Change(file, "unchanged")
            else:
                twins = twins_of(library, seen) if seen.size in sizes else []
                yield Change(file, _did_foreseen(state, twins, followed))
        except OSError as error:
            yield Change(file, "failed", f"{file}: cannot be read ({error.strerror})")


def _did_foreseen(state: FileState | None, twins: Sequence[FileState], followed: set[int]) -> str:
    """What would become of a file, given its track and those of the same bytes."""
    if state and any(twin.track_id == state.track_id for twin in twins):
        return "unchanged"
    for twin in twins:
        if twin.track_id not in followed and is_gone(Path(twin.root, twin.path)):
            followed.add(twin.track_id)
            return "moved"
    if twins:
        return "copied"
    return "changed" if state else "embedded"
