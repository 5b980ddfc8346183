"""A library brought in step with its folders.

What is on the disk decides. Nothing is removed where a whole folder is missing: its disk may be off.

Contents: `sync_scope` (which folders), `apply_changes` (what is at some paths, into the library), `preview_changes`
(what that would do).
"""

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Protocol

from mirclr.data.scan import (
    CUE,
    Exclusions,
    Found,
    Part,
    PassedOver,
    ScanFailure,
    audio_at,
    audio_files,
    audio_of,
    is_named_as_audio,
    left_out,
    place_of,
)
from mirclr.errors import LibraryError, NoMatch
from mirclr.ingest.embedding import Outcome, embed_files
from mirclr.ingest.finding import Listing
from mirclr.ingest.moves import Moves
from mirclr.ingest.seen import SeenFile, identical_tracks, look, superseded
from mirclr.library import Failure, FileState, LibraryStore
from mirclr.library.files import absence, is_gone
from mirclr.library.places import moved_exclusions, moved_failures
from mirclr.models.embedder import Embedder
from mirclr.provenance import size_and_time
from mirclr.terminal import counted

_ASK_ABOVE = 10
Scope = Mapping[Path, str]
"""Folders, each with the root of the library that its files belong to."""


@dataclass(frozen=True)
class SyncChange:
    """What became of one file or folder.

    Attributes
    ----------
    file : Path
    did : str
        As `mirclr.ingest.embedding.Outcome`; or "removed" (a track), "forgotten" (a failure), "kept" (tracks of a
        folder that is missing, or too many at once), "followed" (a folder that has moved, and with it what names it in
        the library), "waiting" (another process writes to the library).
        Of a dry run also "changed": other audio or other tags, which only decoding shows.
    reason : str, optional
        Why, where that needs words.
    old : Path, optional
        Where it was, of what has moved.
    new : bool
        False for a failure known from an earlier run.
    """

    file: Path
    did: str
    reason: str | None = None
    new: bool = True
    old: Path | None = None


class Embed(Protocol):
    """Called as `mirclr.ingest.embedding.embed_files`."""

    def __call__(
        self,
        library: LibraryStore,
        files: Sequence[tuple[str, Found]],
        embedder: Embedder,
        *,
        workers: int = 0,
        retry: bool = False,
    ) -> Iterator[Outcome]:
        """Bring the library up to date with files."""
        ...


def sync_scope(library: LibraryStore, folders: Sequence[Path] = ()) -> dict[Path, str]:
    """Find the folders that a library is to be brought in step with.

    Parameters
    ----------
    library : LibraryStore
        To be brought in step.
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
        raise NoMatch(f"{library.path}: holds no songs of any folder yet; name the folder that it is to follow")
    if not folders and any(Path(root) == Path("/") for root in roots):  # as one from elsewhere may claim
        raise NoMatch(f"{library.path}: holds songs of /, the whole system; name the folder that it is to follow")
    scope = {}
    for given in folders or [Path(root) for root in roots]:
        folder = Path(os.path.expanduser(given)).resolve()
        if not folder.is_dir() and (folder.exists() or not any(_tracks_below(library, [folder]))):
            raise LibraryError(f"{given}: no such folder; expected a folder of audio files")
        scope[folder] = next((root for root in roots if folder.is_relative_to(root)), str(folder))
    return scope


def apply_changes(
    library: LibraryStore,
    scope: Scope,
    paths: Collection[Path],
    embedder: Embedder,
    *,
    workers: int = 0,
    retry: bool = False,
    yes: bool = False,
    embed: Embed = embed_files,
    passed: PassedOver | None = None,
) -> Iterator[SyncChange]:
    """Bring a library in step with what is, and is no longer, at some paths.

    Files that are there come first, so that one which moved is found in its new place before its old one is given up.

    Parameters
    ----------
    library : LibraryStore
        To be brought in step.
    scope : mapping of Path to str
        Of `sync_scope`; paths elsewhere are left alone.
    paths : collection of Path
        Absolute. A folder stands for all below it, also when it is gone.
    embedder : Embedder
        The library's own.
    workers, retry
        As `mirclr.ingest.embedding.embed_files`.
    yes : bool
        Remove tracks even where they are more than half of their root's, and more than ten.
    embed : callable
        Stands for `mirclr.ingest.embedding.embed_files`.
    passed : PassedOver, optional
        Counts what was not taken.

    Yields
    ------
    SyncChange
        When it is yielded, what it reports is on disk.

    Raises
    ------
    LibraryError
        The library cannot be written.
    EncoderMismatch
        It holds vectors of another encoder.
    """
    held = library.roots()
    yield from _absent(library, scope, paths)
    files, failures = _audio_at(library, scope, paths, passed)
    known = set(library.failures())
    library.write(failures=failures)
    for failure in failures:
        yield SyncChange(failure.file, "failed", failure.reason, failure not in known)
    moves = Moves()
    for outcome in embed(library, files, embedder, workers=workers, retry=retry):
        old = outcome.track.place if outcome.track and outcome.did == "moved" else None
        if outcome.track and old:
            moves.add(outcome.track, outcome.file)
        yield SyncChange(outcome.file, outcome.did, outcome.reason, outcome.new, old)
    for old, new in moves.find_folders(library).items():
        yield SyncChange(new, "followed", old=old)
    tracks, forgotten, kept = _gone(library, scope, paths, held, files, yes)
    yield from kept
    library.remove([track.track_id for track in tracks])
    library.forget(forgotten)
    yield from _removals(tracks, forgotten)


def preview_changes(
    library: LibraryStore,
    scope: Scope,
    paths: Collection[Path],
    *,
    retry: bool = False,
    yes: bool = False,
    passed: PassedOver | None = None,
) -> Iterator[SyncChange]:
    """Find what `apply_changes` would do, as far as that is known without decoding, and do nothing.

    A file that moved and was re-tagged on the way is reported as a new one and a removed one.
    """
    yield from _absent(library, scope, paths)
    files, failures = _audio_at(library, scope, paths, passed)
    yield from (SyncChange(f.file, "failed", f.reason) for f in failures)
    followed: dict[int, tuple[FileState, Path]] = {}
    foreseen = list(_previewed(library, files, retry, followed))
    moves = Moves(foreseen=True)
    for track, place in followed.values():
        moves.add(track, place)
    folders = moves.find_folders(library)
    yield from _after_moves(library, foreseen, moves, scope.values(), retry) if folders else foreseen
    yield from (SyncChange(new, "followed", old=old) for old, new in folders.items())
    tracks, forgotten, kept = _gone(library, scope, paths, library.roots(), files, yes, followed)
    yield from kept
    yield from _removals(tracks, forgotten)


def _absent(library: LibraryStore, scope: Scope, paths: Collection[Path]) -> Iterator[SyncChange]:
    for folder in scope:
        reason = absence(folder) if folder in paths else None
        if reason and (n := sum(1 for _ in _tracks_below(library, [folder]))):
            yield _kept(folder, n, reason)


def _kept(folder: Path, n: int, reason: str) -> SyncChange:
    return SyncChange(folder, "kept", f"{reason}; its {counted(n, 'song')} stay{'s' if n == 1 else ''} in the library")


def _audio_at(
    library: LibraryStore, scope: Scope, paths: Iterable[Path], passed: PassedOver | None = None
) -> tuple[list[tuple[str, Found]], list[Failure]]:
    """The audio at and below paths, each with its root; and what cannot be followed or read."""
    exclusions = Exclusions(library.exclusions())
    listing = Listing()
    for path in paths:
        folder = next((folder for folder in scope if path.is_relative_to(folder)), None)
        if folder is not None and not any(map(left_out, path.relative_to(folder).parts)):
            for found in _listed(library, path, exclusions, passed):
                listing.add(path, scope[folder], found)
    if passed:
        passed.patterns |= exclusions.used
    return list(listing.files.values()), listing.failures


def _listed(
    library: LibraryStore, path: Path, exclusions: Exclusions, passed: PassedOver | None
) -> list[Found | ScanFailure]:
    if os.path.realpath(path) != str(path):
        return []  # of links, what they lead to is looked at
    if path.suffix.lower() == CUE and not path.is_dir():
        # also of a sheet that is gone: the files whose tracks it made are tracks of their own again
        split = [t.file for t in _tracks_below(library, [path.parent]) if t.audio_path and t.file.parent == path.parent]
        sheets = audio_at([path, *dict.fromkeys(split)], exclusions=exclusions, passed=passed)
        return [found for _, found in sheets if not isinstance(found, ScanFailure) and audio_of(found).is_file()]
    if path.is_file():
        if not is_named_as_audio(path):
            return []
        return [found for _, found in audio_at([path], exclusions=exclusions, passed=passed)]
    try:
        return list(audio_files(path, exclusions=exclusions, passed=passed))
    except OSError:
        return []  # it is gone


def _below(root: str, paths: Iterable[Path]) -> Callable[[str], bool] | None:
    """A test whether a path below a root is one of `paths` or below one; None when none of them can be."""
    named = set()
    for path in paths:
        if Path(root).is_relative_to(path):
            return lambda _: True
        if path.is_relative_to(root):
            named.add(path.relative_to(root).as_posix())
    if not named:
        return None
    return lambda path: path in named or any(str(p) in named for p in PurePosixPath(path).parents)


def _tracks_below(library: LibraryStore, paths: Collection[Path]) -> Iterator[FileState]:
    for root in library.roots():
        if below := _below(root, paths):
            yield from (state for path, state in library.states(root).items() if below(path))


def _gone(
    library: LibraryStore,
    scope: Scope,
    paths: Iterable[Path],
    held: Mapping[str, int],
    files: Sequence[tuple[str, Found]],
    yes: bool,
    followed: Collection[int] = (),
) -> tuple[list[FileState], list[Failure], list[SyncChange]]:
    """What is to be removed and forgotten at and below paths, and what is kept all the same."""
    paths = [path for path in paths if any(path.is_relative_to(folder) for folder in scope)]
    exclusions = Exclusions(library.exclusions())
    removed, by_root = _gone_tracks(library, paths, files, exclusions, followed)
    forgotten = _gone_failures(library, paths, files, exclusions)
    # asked only now: a disk may have gone while its files were looked for
    absent = {Path(root): why for root in (*by_root, *(f.root for f in forgotten)) if (why := absence(Path(root)))}
    off = [*absent, *(folder for folder in scope if absence(folder))]
    kept: list[SyncChange] = []
    for root, tracks in by_root.items():
        n, total = len(tracks), max(held.get(root, 0), len(tracks))
        if Path(root) in absent:
            if Path(root) not in scope:
                kept.append(_kept(Path(root), n, absent[Path(root)]))
        elif n > _ASK_ABOVE and 2 * n > total and not yes:
            reason = f"{n:,} of its {total:,} songs have no file any more; they stay in the library"
            kept.append(SyncChange(Path(root), "kept", reason))
        else:
            removed += [t for t in tracks if not any(t.place.is_relative_to(folder) for folder in off)]
    forgotten = [f for f in forgotten if not any(f.file.is_relative_to(folder) for folder in off)]
    return removed, forgotten, kept


def _gone_tracks(
    library: LibraryStore,
    paths: Collection[Path],
    files: Sequence[tuple[str, Found]],
    exclusions: Exclusions,
    followed: Collection[int],
) -> tuple[list[FileState], dict[str, list[FileState]]]:
    """The tracks of files that are not to be taken any more, and, by root, those whose file is gone."""
    unwanted = {track.track_id: track for track in superseded(library, files)}
    gone: dict[str, list[FileState]] = defaultdict(list)
    for track in _tracks_below(library, paths):
        if track.track_id in followed:
            unwanted.pop(track.track_id, None)
        elif _is_left_out(track.root, track.path, exclusions):
            unwanted[track.track_id] = track
        elif track.track_id not in unwanted and is_gone(track.file):
            gone[track.root].append(track)
    return list(unwanted.values()), gone


def _gone_failures(
    library: LibraryStore, paths: Collection[Path], files: Sequence[tuple[str, Found]], exclusions: Exclusions
) -> list[Failure]:
    """The failures of files that are gone or not to be taken any more, but for those that are parts now."""
    parts = {found.place for _, found in files if isinstance(found, Part) and found.file.exists()}
    gone: list[Failure] = []
    for root, failures in groupby(library.failures(), lambda failure: failure.root):
        if below := _below(root, paths):
            found = (f for f in failures if below(f.path) and f.file not in parts)
            gone += [f for f in found if is_gone(f.file, follow_links=False) or _is_left_out(root, f.path, exclusions)]
    return gone


def _is_left_out(root: str, path: str, exclusions: Exclusions) -> bool:
    """Whether a scan would not come by: a pattern covers it, or it is in a bin; what is hidden may have been named."""
    bins = (what for part in PurePosixPath(path).parts if (what := left_out(part)))
    return any(what != "hidden" for what in bins) or exclusions.covers(Path(root, path))


def _removals(tracks: Iterable[FileState], forgotten: Iterable[Failure]) -> Iterator[SyncChange]:
    yield from (SyncChange(track.place, "removed") for track in tracks)
    yield from (SyncChange(failure.file, "forgotten", failure.reason) for failure in forgotten)


def _previewed(
    library: LibraryStore, files: Sequence[tuple[str, Found]], retry: bool, followed: dict[int, tuple[FileState, Path]]
) -> Iterator[SyncChange]:
    """What would become of files; tracks that would move join `followed`."""
    states = {root: library.states(root) for root in {root for root, _ in files}}
    failed = {root: library.failed(root) for root in states}
    sizes = library.sizes()
    for root, found in files:
        place, seen = place_of(found), look(root, found)
        if isinstance(seen, Failure):
            yield SyncChange(place, "failed", seen.reason)
            continue
        state, failure = states[root].get(seen.path), failed[root].get(seen.path)
        if failure and not retry and seen.failed_before(failure):
            yield SyncChange(place, "failed", failure.reason, new=False)
        elif seen.is_unchanged(state, failure):
            yield SyncChange(place, "unchanged")
        else:
            yield _previewed_by_digest(library, seen, state, sizes, followed)


def _after_moves(
    library: LibraryStore, changes: Iterable[SyncChange], moves: Moves, roots: Iterable[str], retry: bool
) -> Iterator[SyncChange]:
    """What would become of files once failures and exclusions have followed the folders that moved."""
    homes = [*library.roots(), *roots]
    failed = {new.file: new for _, new in moved_failures(library.failures(), homes, moves.renamed) if new}
    patterns: dict[str, list[str]] = defaultdict(list)
    for root, pattern in moved_exclusions(library.exclusions(), homes, moves.renamed).values():
        patterns[root].append(pattern)
    exclusions = Exclusions(patterns)
    for change in changes:
        failure = failed.get(change.file)
        if change.did != "embedded":
            yield change
        elif failure and not retry and size_and_time(change.file) == (failure.size, failure.mtime_ns):
            yield SyncChange(change.file, "failed", failure.reason, new=False)
        elif not exclusions.covers(change.file):
            yield change


def _previewed_by_digest(
    library: LibraryStore,
    seen: SeenFile,
    state: FileState | None,
    sizes: Collection[int],
    followed: dict[int, tuple[FileState, Path]],
) -> SyncChange:
    place = Path(seen.root, seen.path)
    try:
        identical = identical_tracks(library, seen) if seen.size in sizes else []
    except OSError as error:
        return SyncChange(place, "failed", f"{seen.file}: cannot be read ({error.strerror})")
    if state and any(track.track_id == state.track_id for track in identical):
        return SyncChange(place, "unchanged")
    for track in identical:
        if track.track_id not in followed and is_gone(track.file):
            followed[track.track_id] = track, place
            return SyncChange(place, "moved", old=track.place)
    return SyncChange(place, "copied" if identical else "changed" if state else "embedded")
