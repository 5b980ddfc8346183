"""Files to vectors: decoding in parallel processes, the encoder in this one, the library a transaction a batch.

Decoding is most of the work, so the encoder takes what cores it leaves, track by track as they come.

A file is embedded once. What is the same by size and time is not opened; what is the same by digest, moved, copied or
re-tagged, keeps its vector. A file that cannot be heard is a failure in the library, and never ends a run; not even one
that crashes its decoder, as that dies in a process of its own.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from mirclr.audio import Excerpts
from mirclr.audio.decoding import DecodedFile, decode_files
from mirclr.data.scan import (
    Exclusions,
    Found,
    Part,
    PassedOver,
    ScanFailure,
    audio_at,
    audio_files,
    audio_of,
    place_of,
)
from mirclr.errors import LibraryError, in_words, is_fault_of_machine
from mirclr.library import Entry, ExcerptEmbeddings, Failure, FileState, LibraryStore, is_usable
from mirclr.models.embedder import Embedder, raised
from mirclr.provenance import content_digest, file_digest, size_and_time
from mirclr.tags import READING, Tags, read_tags

BATCH_TRACKS = 16
_TOGETHER_S = 1.0  # for which others wait to write, while files that need no decoding are followed


Did = Literal["embedded", "unchanged", "moved", "retagged", "copied", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of one file; `reason` for a failure, `new` False for a failure known from an earlier run.

    Of a part of a file, `file` is the place that names it (`mirclr.data.scan.Part.place`).
    """

    file: Path
    did: Did
    reason: str | None = None
    new: bool = True


def find_audio(
    paths: Sequence[Path], library: LibraryStore, passed: PassedOver | None = None
) -> tuple[list[tuple[str, Found]], list[Failure]]:
    """List the audio of folders and files with the root that each belongs to, but for what the library excludes.

    Parameters
    ----------
    paths : sequence of Path
        Folders and files.
    library : LibraryStore
        Says what is excluded, and to which roots paths belong (`homes`).
    passed : PassedOver, optional
        Told of what was not taken.

    Returns
    -------
    files : list of (root, file or part of a file)
    failures : list of Failure
        What cannot be followed or read; not written yet.

    Raises
    ------
    LibraryError
        A path is not there.
    """
    exclusions = Exclusions(library.exclusions())
    roots = homes(paths, library)
    files: dict[Path, tuple[str, Found]] = {}
    failures: list[Failure] = []

    def take(at: Path, home: str, found: Found | ScanFailure) -> None:
        if isinstance(found, ScanFailure):
            failures.append(Failure(home, (at / found.path).relative_to(home).as_posix(), 0, 0, found.reason))
        else:
            files.setdefault(place_of(found), (home, found))

    for path, home in roots.items():
        if path.is_dir():
            for found in audio_files(path, exclusions=exclusions, passed=passed):
                take(path, home, found)
    for path, one in audio_at((p for p in roots if not p.is_dir()), exclusions=exclusions, passed=passed):
        take(path.parent, roots[path], one)
    if passed:
        passed.patterns |= exclusions.used
    return list(files.values()), failures


def homes(paths: Sequence[Path], library: LibraryStore) -> dict[Path, str]:
    """The root that each of some paths, made absolute, belongs to.

    A path below a folder that the library already holds belongs to that folder, so that embedding a part again
    makes no second copy.

    Raises
    ------
    LibraryError
        A path is not there.
    """
    roots = list(library.roots())
    found = {}
    for given in paths:
        path = given.expanduser().resolve()
        if not path.exists():
            raise LibraryError(f"{given}: no such file or folder; expected audio files or folders of them")
        own = path if path.is_dir() else path.parent
        found[path] = next((root for root in roots if path.is_relative_to(root)), str(own))
    return found


def embed_files(
    library: LibraryStore,
    files: Sequence[tuple[str, Found]],
    embedder: Embedder,
    *,
    workers: int = 0,
    retry: bool = False,
    known_tags: Mapping[Path, Tags] | None = None,
) -> Iterator[Outcome]:
    """Bring a library up to date with files, a transaction a batch.

    Parameters
    ----------
    library : LibraryStore
        Bound to the embedder's stamp here; another encoder's is refused.
    files : sequence of (root, file or part of a file)
        As `find_audio` lists them.
    embedder : Embedder
        Gives the vectors.
    workers : int
        Processes that decode; 0: one a core.
    retry : bool
        Try again files that failed before and have not changed.
    known_tags : mapping of file to Tags, optional
        Taken instead of the tags in those files; of parts of files by their places.

    Yields
    ------
    Outcome
        One for each file; when it is yielded, what it says is on disk.

    Raises
    ------
    EncoderMismatch
        The library holds vectors of another encoder.
    """
    library.bind(embedder.stamp)
    to_decode: dict[Path, Seen] = {}
    yield from _follow_known(library, files, to_decode, retry, known_tags or {})
    yield from _decode_and_store(library, to_decode, embedder, workers)


def _follow_known(
    library: LibraryStore,
    files: Sequence[tuple[str, Found]],
    to_decode: dict[Path, "Seen"],
    retry: bool,
    known_tags: Mapping[Path, Tags],
) -> Iterator[Outcome]:
    """Bring up to date what need not be decoded, many files a transaction; the others join `to_decode`."""
    states = {root: library.states(root) for root in {r for r, _ in files}}
    failed = {root: library.failed(root) for root in states}
    sizes = library.sizes()

    def did_at_once(root: str, found: Found) -> Outcome | None:
        place = place_of(found)
        seen = look(root, found, known_tags.get(place))
        if isinstance(seen, Failure):
            library.write(failures=[seen])
            return Outcome(place, "failed", seen.reason)
        state, failure = states[root].get(seen.path), failed[root].get(seen.path)
        if state and seen.is_unchanged(state, failure):
            if state.tags_read != READING and os.access(seen.file, os.R_OK):
                library.refresh_tags(state, seen.tags())
            return Outcome(place, "unchanged")
        if failure and not retry and seen.failed_before(failure):
            return Outcome(place, "failed", failure.reason, new=False)
        if seen.size in sizes and (did := _known_by_file(library, seen)):
            return Outcome(place, did)
        to_decode[place] = seen
        return None

    waiting = deque(files)
    while waiting:
        outcomes: list[Outcome] = []
        until = time.monotonic() + _TOGETHER_S
        with library.together():
            while waiting and time.monotonic() < until:
                outcome = did_at_once(*waiting.popleft())
                if outcome is not None:
                    outcomes.append(outcome)
        yield from outcomes


@dataclass(frozen=True)
class Seen:
    """A file, or a part of one, as it is now; made by `look`."""

    root: str
    path: str
    file: Path
    size: int
    mtime_ns: int
    known_tags: Tags | None
    part: Part | None = None
    own_tags: Tags | None = None  # as a worker read them

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
        # a failure keeps no digest: of a part, its time changes with what the sheet says
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
        """What is known of it already; else what it says of itself, and of a part its sheet."""
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


def look(root: str, found: Found, known_tags: Tags | None = None) -> Seen | Failure:
    """Look at a file, or that of a part, without reading it."""
    path, file = place_of(found).relative_to(root).as_posix(), audio_of(found)
    try:
        size, mtime_ns = size_and_time(file)
    except OSError as error:
        if is_fault_of_machine(error, music=True):
            raise
        return Failure(root, path, 0, 0, f"{file}: cannot be read ({error.strerror})")
    return Seen(root, path, file, size, mtime_ns, known_tags, found if isinstance(found, Part) else None)


def twins_of(library: LibraryStore, seen: Seen) -> list[FileState]:
    """The tracks that are of the very bytes of a file, as far as that is known without decoding.

    Size and three places find them. One whose own file is gone, or is this one, is taken by its time stamp too, which
    moves when a file is written; of all others everything is read. One that was embedded before everything was is none:
    decoding tells.
    """
    return [twin for twin in library.with_file_digest(seen.digest) if _is_twin(seen, twin)]


def _is_twin(seen: Seen, twin: FileState) -> bool:
    if twin.mtime_ns == seen.mtime_ns and _gave_way(twin, seen):
        return True
    return twin.content_digest is not None and twin.content_digest == seen.content


def _known_by_file(library: LibraryStore, seen: Seen) -> Did | None:
    """Follow a file whose bytes the library knows, under this path or another."""
    try:
        twins = twins_of(library, seen)
    except OSError:
        return None  # decoding will say what is wrong
    return _follow(library, seen, seen.digest, None, twins)


def _follow(
    library: LibraryStore, seen: Seen, digest: str, content: str | None, twins: Sequence[FileState]
) -> Did | None:
    """Keep the vector of a twin: moved here when its own file is gone (or is this very file), else copied."""
    here = [twin for twin in twins if (twin.root, twin.path) == (seen.root, seen.path)]
    for twin in here or twins:
        if here or _gave_way(twin, seen):
            # also of one that is as it was: it clears the failure of a file that was damaged and is whole again
            library.move(
                twin.track_id,
                *(seen.root, seen.path, seen.size, seen.mtime_ns),
                digest,
                seen.tags(),
                audio_path=seen.audio_path,
                start_s=seen.start_s,
                content_digest=content or twin.content_digest,
            )
            return "moved" if not here else "unchanged" if twin.file_digest == digest else "retagged"
    if twins:
        known = twins[0].track_id
        track, vector = library.tracks([known])[0], library.vector(known)
        moments = library.excerpt_embeddings([known]).get(known)
        content = content or twins[0].content_digest
        audio = (twins[0].audio_digest, track.duration_s, track.remark)
        library.write(entries=[_entry(seen, digest, content, *audio, vector, moments)])
        return "copied"
    return None


def _gave_way(twin: FileState, seen: Seen) -> bool:
    """Whether the file of a twin is gone, or is this very file; of two parts, this very part."""
    parts = twin.audio_path and seen.part
    if parts and PurePosixPath(twin.path).name != PurePosixPath(seen.path).name:
        return not twin.file.exists()
    return not twin.file.exists() or _same_file(twin.file, seen.file)


def _same_file(old: Path, new: Path) -> bool:
    """Whether two paths lead to one file; two hard links are two copies, and not one file that moved to and fro."""
    try:
        return old == new or (os.path.samefile(old, new) and new.stat().st_nlink == 1)
    except OSError:  # one of them is gone
        return False


def _entry(
    seen: Seen,
    digest: str,
    content: str | None,
    audio_digest: str,
    duration_s: float,
    remark: str | None,
    vector: np.ndarray,
    moments: ExcerptEmbeddings | None,
) -> Entry:
    return Entry(
        root=seen.root,
        path=seen.path,
        size=seen.size,
        mtime_ns=seen.mtime_ns,
        file_digest=digest,
        audio_digest=audio_digest,
        duration_s=duration_s,
        remark=remark,
        tags=seen.tags(),
        vector=vector,
        excerpts=moments,
        content_digest=content,
        audio_path=seen.audio_path,
        start_s=seen.start_s,
    )


@dataclass(frozen=True)
class _Decoded:
    """A file that was decoded: why it could not be, or its excerpts where a track sounds like them, or a new entry."""

    seen: Seen
    reason: str | None = None
    of_file: bool = True
    excerpts: Excerpts | None = None
    entry: Entry | None = None


def _decode_and_store(
    library: LibraryStore, to_decode: dict[Path, Seen], embedder: Embedder, workers: int
) -> Iterator[Outcome]:
    batch: list[_Decoded] = []
    decoded = decode_files(
        [seen.file for seen in to_decode.values()],
        spans=[seen.part.span if seen.part else None for seen in to_decode.values()],
        count=embedder.excerpts,
        seconds=embedder.seconds,
        rate=embedder.rate,
        workers=workers,
    )
    try:
        for seen, heard in zip(to_decode.values(), decoded, strict=True):
            batch.append(_decoded(library, seen, heard, embedder))
            if len(batch) == BATCH_TRACKS:
                yield from _store(library, batch, embedder)
                batch = []
    except OSError:  # of the machine, by which no more can be decoded; what was, is kept
        deque(_store(library, batch, embedder), maxlen=0)
        raise
    yield from _store(library, batch, embedder)


def _decoded(library: LibraryStore, seen: Seen, heard: DecodedFile, embedder: Embedder) -> _Decoded:
    if heard.excerpts is None:
        reason = heard.error or "cannot be decoded"
        return _Decoded(seen, reason.replace(str(seen.file), str(seen.place), 1), heard.of_file)
    try:
        _ = seen.digest, heard.excerpts.content or seen.content
    except OSError as error:  # it went while it was being decoded
        if is_fault_of_machine(error, music=True):
            raise
        return _Decoded(seen, f"{seen.file}: cannot be read ({in_words(error, seen.file)})", of_file=False)
    seen = replace(seen, own_tags=heard.excerpts.tags)
    if library.with_audio_digest(heard.excerpts.digest):
        return _Decoded(seen, excerpts=heard.excerpts)
    return _Decoded(seen, entry=_embedded(seen, heard.excerpts, embedder))


def _embedded(seen: Seen, excerpts: Excerpts, embedder: Embedder) -> Entry:
    embedded = embedder.embed_excerpts(raised(excerpts.waveforms))
    vector = embedder.pool(embedded)
    moments = ExcerptEmbeddings.of(excerpts.starts, embedded) if is_usable(vector) else None
    audio = (excerpts.digest, excerpts.duration_s, excerpts.remark)
    return _entry(seen, seen.digest, excerpts.content or seen.content, *audio, vector, moments)


def _store(library: LibraryStore, batch: Sequence[_Decoded], embedder: Embedder) -> Iterator[Outcome]:
    """Write what was decoded, in one transaction; the outcomes tell what is on disk."""
    outcomes: dict[Path, Outcome] = {}
    entries: list[tuple[Seen, Entry]] = []
    with library.together():
        for one in batch:
            seen = one.seen
            if one.reason is not None:
                if one.of_file:  # else it is tried again at the next run
                    library.write(failures=[seen.failure(one.reason)])
                outcomes[seen.place] = Outcome(seen.place, "failed", one.reason)
            elif one.excerpts is not None:
                twins = library.with_audio_digest(one.excerpts.digest)
                did = _follow(library, seen, seen.digest, one.excerpts.content or seen.content, twins)
                if did is None:  # another process removed them in this moment
                    entries.append((seen, _embedded(seen, one.excerpts, embedder)))
                else:
                    outcomes[seen.place] = Outcome(seen.place, did)
            elif one.entry is not None:
                entries.append((seen, one.entry))
        refused = {(f.root, f.path): f.reason for f in library.write(entries=[entry for _, entry in entries])}
    for seen, entry in entries:
        reason = refused.get((entry.root, entry.path))
        outcomes[seen.place] = Outcome(seen.place, "failed" if reason else "embedded", reason)
    yield from (outcomes[one.seen.place] for one in batch)


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


def count_outcomes(outcomes: Iterable[Outcome], on_each: Callable[[Outcome], None]) -> dict[str, int]:
    """Run through outcomes, telling `on_each`; returns how many of each kind there were."""
    counts: dict[str, int] = dict.fromkeys(("embedded", "unchanged", "moved", "retagged", "copied", "failed"), 0)
    for outcome in outcomes:
        counts[outcome.did] += 1
        on_each(outcome)
    return counts
