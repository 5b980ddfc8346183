"""Files to vectors: decoding in parallel processes, the encoder in this one, the library a transaction a batch.

Decoding is most of the work, so the encoder takes what cores it leaves, track by track as they come.

A file is embedded once. What is the same by size and time is not opened; what is the same by digest, moved, copied or
re-tagged, keeps its vector. A file that cannot be decoded is a failure in the library, and never ends a run; not even
one that crashes its decoder, as that dies in a process of its own.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from mirclr.audio import Excerpts
from mirclr.audio.decoding import DecodedFile, decode_files
from mirclr.data.scan import Exclusions, Found, place_of
from mirclr.errors import in_words, is_fault_of_machine
from mirclr.ingest.moves import Moves
from mirclr.ingest.seen import SeenFile, identical_tracks, is_moved, look
from mirclr.library import Entry, ExcerptEmbeddings, Failure, FileState, LibraryStore, is_usable
from mirclr.models.embedder import Embedder
from mirclr.tags import READING, Tags

BATCH_TRACKS = 16
_TOGETHER_S = 1.0  # for which others wait to write, while files that need no decoding are followed

Did = Literal["embedded", "unchanged", "moved", "retagged", "copied", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of one file; `reason` for a failure, `new` False for a failure known from an earlier run.

    Of a part of a file, `file` is the place that names it (`Part.place`). Of one that moved, `track` is its track as it
    was.
    """

    file: Path
    did: Did
    reason: str | None = None
    new: bool = True
    track: FileState | None = None


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
        One for each file, but for those that turn out to be left out, as their folder has moved; when it is yielded,
        what it reports is on disk.

    Raises
    ------
    EncoderMismatch
        The library holds vectors of another encoder.
    """
    library.bind(embedder.stamp)
    library.adopt_failures({root for root, _ in files})
    to_decode: dict[Path, SeenFile] = {}
    moves = Moves()
    yield from _follow_known(library, files, to_decode, retry, known_tags or {}, moves)
    yield from _known_since(library, to_decode, retry, moves)
    yield from _decode_and_store(library, to_decode, embedder, workers, moves)


# files that need no decoding


def _follow_known(
    library: LibraryStore,
    files: Sequence[tuple[str, Found]],
    to_decode: dict[Path, SeenFile],
    retry: bool,
    known_tags: Mapping[Path, Tags],
    moves: Moves,
) -> Iterator[Outcome]:
    """Bring up to date what need not be decoded, many files a transaction; the others join `to_decode`."""
    known = _Known(library, {root for root, _ in files}, retry)
    waiting = deque(files)
    while waiting:
        outcomes: list[Outcome] = []
        until = time.monotonic() + _TOGETHER_S
        with library.together():
            while waiting and time.monotonic() < until:
                root, found = waiting.popleft()
                place = place_of(found)
                seen = look(root, found, known_tags.get(place))
                outcome = known.outcome(place, seen)
                if outcome is not None:
                    outcomes.append(outcome)
                    _note(outcome, moves)
                elif isinstance(seen, SeenFile):
                    to_decode[place] = seen
            moves.follow(library)
        yield from outcomes


def _note(outcome: Outcome, moves: Moves) -> None:
    if outcome.track and outcome.did == "moved":
        moves.add(outcome.track, outcome.file)


def _known_since(
    library: LibraryStore, to_decode: dict[Path, SeenFile], retry: bool, moves: Moves
) -> Iterator[Outcome]:
    """Drop from `to_decode` what is left out, or failed before, in a folder that has moved."""
    if not moves:
        return
    exclusions = Exclusions(library.exclusions())
    failed = {root: library.failed(root) for root in {seen.root for seen in to_decode.values()}}
    for place, seen in list(to_decode.items()):
        failure = failed[seen.root].get(seen.path)
        if exclusions.covers(place):
            del to_decode[place]
        elif failure and not retry and seen.failed_before(failure):
            del to_decode[place]
            yield Outcome(place, "failed", failure.reason, new=False)


class _Known:
    """What a library knows of the files below some roots when a run begins."""

    def __init__(self, library: LibraryStore, roots: Iterable[str], retry: bool) -> None:
        self._library, self._retry = library, retry
        self._states = {root: library.states(root) for root in roots}
        self._failed = {root: library.failed(root) for root in self._states}
        self._sizes = library.sizes()

    def outcome(self, place: Path, seen: SeenFile | Failure) -> Outcome | None:
        """Bring the library up to date with a file; None where it has to be decoded first."""
        if isinstance(seen, Failure):
            self._library.write(failures=[seen])
            return Outcome(place, "failed", seen.reason)
        state, failure = self._states[seen.root].get(seen.path), self._failed[seen.root].get(seen.path)
        if state and seen.is_unchanged(state, failure):
            if state.tags_read != READING and os.access(seen.file, os.R_OK):
                self._library.refresh_tags(state, seen.tags())
            return Outcome(place, "unchanged")
        if failure and not self._retry and seen.failed_before(failure):
            return Outcome(place, "failed", failure.reason, new=False)
        return _follow_by_digest(self._library, seen) if seen.size in self._sizes else None


def _follow_by_digest(library: LibraryStore, seen: SeenFile) -> Outcome | None:
    """Follow a file whose bytes the library knows, under this path or another."""
    try:
        identical = identical_tracks(library, seen)
    except OSError:
        return None  # decoding will show what is wrong
    return _follow(library, seen, None, identical)


def _follow(
    library: LibraryStore, seen: SeenFile, content: str | None, identical: Sequence[FileState]
) -> Outcome | None:
    """Use the vector of a track of the same audio: moved here when its own file is gone or is this one, else copied."""
    here = [track for track in identical if (track.root, track.path) == (seen.root, seen.path)]
    for track in here or identical:
        if here or is_moved(track, seen):
            # also of one that is as it was: it clears the failure of a file that was damaged and is whole again
            library.move(
                track.track_id,
                *(seen.root, seen.path, seen.size, seen.mtime_ns),
                seen.digest,
                seen.tags(),
                audio_path=seen.audio_path,
                start_s=seen.start_s,
                content_digest=content or track.content_digest,
            )
            did: Did = "moved" if not here else "unchanged" if track.file_digest == seen.digest else "retagged"
            return Outcome(seen.place, did, track=track)
    if identical:
        library.write(entries=[_copy(library, seen, content, identical[0])])
        return Outcome(seen.place, "copied")
    return None


def _copy(library: LibraryStore, seen: SeenFile, content: str | None, of: FileState) -> Entry:
    """An entry of a file with all that is known of the audio of a track."""
    track, vector = library.tracks([of.track_id])[0], library.vector(of.track_id)
    excerpts = library.excerpt_embeddings([of.track_id]).get(of.track_id)
    audio = (of.audio_digest, track.duration_s, track.remark)
    return _entry(seen, content or of.content_digest, *audio, vector, excerpts)


def _entry(
    seen: SeenFile,
    content: str | None,
    audio_digest: str,
    duration_s: float,
    remark: str | None,
    vector: np.ndarray,
    excerpts: ExcerptEmbeddings | None,
) -> Entry:
    return Entry(
        root=seen.root,
        path=seen.path,
        size=seen.size,
        mtime_ns=seen.mtime_ns,
        file_digest=seen.digest,
        audio_digest=audio_digest,
        duration_s=duration_s,
        remark=remark,
        tags=seen.tags(),
        vector=vector,
        excerpts=excerpts,
        content_digest=content,
        audio_path=seen.audio_path,
        start_s=seen.start_s,
    )


# files that are decoded


@dataclass(frozen=True)
class _Decoded:
    """A file that was decoded: why it could not be, or its excerpts where a track has the same, or a new entry."""

    seen: SeenFile
    reason: str | None = None
    of_file: bool = True
    excerpts: Excerpts | None = None
    entry: Entry | None = None


def _decode_and_store(
    library: LibraryStore, to_decode: dict[Path, SeenFile], embedder: Embedder, workers: int, moves: Moves
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
        for seen, file in zip(to_decode.values(), decoded, strict=True):
            batch.append(_decoded(library, seen, file, embedder))
            if len(batch) == BATCH_TRACKS:
                yield from _store(library, batch, embedder, moves)
                batch = []
    except OSError:  # of the machine, by which no more can be decoded; what was, is stored
        deque(_store(library, batch, embedder, moves), maxlen=0)
        raise
    yield from _store(library, batch, embedder, moves)


def _decoded(library: LibraryStore, seen: SeenFile, file: DecodedFile, embedder: Embedder) -> _Decoded:
    if file.excerpts is None:
        reason = file.error or "cannot be decoded"
        return _Decoded(seen, reason.replace(str(seen.file), str(seen.place), 1), file.of_file)
    try:
        _ = seen.digest, file.excerpts.content or seen.content
    except OSError as error:  # it went while it was being decoded
        if is_fault_of_machine(error, music=True):
            raise
        return _Decoded(seen, f"{seen.file}: cannot be read ({in_words(error, seen.file)})", of_file=False)
    seen = replace(seen, own_tags=file.excerpts.tags)
    if library.with_audio_digest(file.excerpts.digest):
        return _Decoded(seen, excerpts=file.excerpts)
    return _Decoded(seen, entry=_embedded(seen, file.excerpts, embedder))


def embed_decoded(excerpts: Excerpts, embedder: Embedder) -> tuple[np.ndarray, ExcerptEmbeddings | None]:
    """The (dim,) float32 vector of a decoded file, and the embeddings of its excerpts; None where it is not usable."""
    embedded = embedder.embed_excerpts(embedder.levelled(excerpts.waveforms))
    vector = embedder.pool(embedded)
    return vector, ExcerptEmbeddings.of(excerpts.starts, embedded) if is_usable(vector) else None


def _embedded(seen: SeenFile, excerpts: Excerpts, embedder: Embedder) -> Entry:
    vector, compact = embed_decoded(excerpts, embedder)
    audio = (excerpts.digest, excerpts.duration_s, excerpts.remark)
    return _entry(seen, excerpts.content or seen.content, *audio, vector, compact)


def _store(library: LibraryStore, batch: Sequence[_Decoded], embedder: Embedder, moves: Moves) -> Iterator[Outcome]:
    """Write what was decoded, in one transaction; the outcomes report what is on disk."""
    outcomes: dict[Path, Outcome] = {}
    entries: list[tuple[SeenFile, Entry]] = []
    with library.together():
        for one in batch:
            seen = one.seen
            if one.reason is not None:
                if one.of_file:  # else it is tried again at the next run
                    library.write(failures=[seen.failure(one.reason)])
                outcomes[seen.place] = Outcome(seen.place, "failed", one.reason)
            elif one.excerpts is not None:
                identical = library.with_audio_digest(one.excerpts.digest)
                outcome = _follow(library, seen, one.excerpts.content or seen.content, identical)
                if outcome is None:  # another process removed them in this moment
                    entries.append((seen, _embedded(seen, one.excerpts, embedder)))
                else:
                    outcomes[seen.place] = outcome
                    _note(outcome, moves)
            elif one.entry is not None:
                entries.append((seen, one.entry))
        refused = {(f.root, f.path): f.reason for f in library.write(entries=[entry for _, entry in entries])}
        moves.follow(library)
    for seen, entry in entries:
        reason = refused.get((entry.root, entry.path))
        outcomes[seen.place] = Outcome(seen.place, "failed" if reason else "embedded", reason)
    yield from (outcomes[one.seen.place] for one in batch)


def count_outcomes(outcomes: Iterable[Outcome], on_each: Callable[[Outcome], None]) -> dict[str, int]:
    """Run through outcomes, calling `on_each` for each; returns how many of each kind there were."""
    counts: dict[str, int] = dict.fromkeys(("embedded", "unchanged", "moved", "retagged", "copied", "failed"), 0)
    for outcome in outcomes:
        counts[outcome.did] += 1
        on_each(outcome)
    return counts
