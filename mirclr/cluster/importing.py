"""A folder of vectors into a library: what `mirclr embed` would have written of the same songs."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirclr.classify.heads import TASKS
from mirclr.cluster.shards import VectorFolder, vectors_of
from mirclr.errors import VectorsError
from mirclr.library import Entry, ExcerptEmbeddings, Failure, FileState, LibraryStore
from mirclr.storage import is_url
from mirclr.tags import Tags

if TYPE_CHECKING:
    import pyarrow as pa

_WHICH = ("root", "path", "failure")
_LONGEST_LABEL = 1000  # letters
_TAGS = tuple(f.name for f in fields(Tags))
_Guessed = dict[tuple[str, str], dict[tuple[str, str], dict[str, float]]]  # by task and heads, and by root and path


@dataclass
class Imported:
    """What came of a shard: how many songs of each outcome, and (song, reason) of failures."""

    counts: dict[str, int] = field(default_factory=lambda: {"embedded": 0, "unchanged": 0, "failed": 0})
    failures: list[tuple[str, str]] = field(default_factory=list)


def import_vectors(library: LibraryStore, folder: VectorFolder, audio_root: Path | None = None) -> Iterator[Imported]:
    """Take the songs of a folder of vectors into a library, a shard a transaction.

    Parameters
    ----------
    library : LibraryStore
        Bound to the encoder of the vectors here; another encoder's is refused.
    folder : VectorFolder
        Of a song that several shards hold the last one counts.
    audio_root : Path, optional
        Where the files are on this machine, or would be; of several roots those of addresses, in folders below it.

    Yields
    ------
    Imported
        One for each shard; when it is yielded it is on disk.

    Raises
    ------
    VectorsError
        The folder holds no vectors, or songs of an address and no `audio_root` is given.
    EncoderMismatch
        The library holds vectors of another encoder.
    """
    last = _last_shards(folder)
    roots = _roots(folder, {root for root, _ in last}, audio_root)
    states = {root: library.states(root) for root in set(roots.values())}
    guessed: _Guessed = defaultdict(dict)
    for name in folder.names():
        shard = folder.read(name)
        if shard is None:
            continue
        table, facts = shard
        library.bind(facts["encoder"])
        done = Imported()
        with library.together():
            _store(library, table, facts, _Rows(name, last, roots, states), done, guessed)
        yield done
    _store_guesses(library, guessed)


def _last_shards(folder: VectorFolder) -> dict[tuple[str, str], str]:
    """The shard that counts of each song: the last that holds a vector of it, else the last."""
    last: dict[tuple[str, str], str] = {}
    embedded: set[tuple[str, str]] = set()
    for name in folder.names():
        if shard := folder.read(name, _WHICH):
            for root, path, failure in zip(*(shard[0].column(c).to_pylist() for c in _WHICH), strict=True):
                if failure is None or (root, path) not in embedded:
                    last[root, path] = name
                if failure is None:
                    embedded.add((root, path))
    if not last:
        raise VectorsError(f"{folder}: holds no vectors; make some with: mirclr embed FOLDER --on ray -o VECTORS")
    return last


def _roots(folder: VectorFolder, roots: set[str], audio_root: Path | None) -> dict[str, str]:
    """The folder on this machine that each root is, or stands for."""
    addresses = sorted(root for root in roots if is_url(root))
    if addresses and audio_root is None:
        raise VectorsError(
            f"{folder}: holds songs of {addresses[0]}; name the folder where they are on this machine, or would be: "
            "--audio-root FOLDER"
        )
    if audio_root is None:
        return {root: root for root in roots}
    base = Path(os.path.expanduser(audio_root)).absolute()
    if len(roots) == 1:
        return dict.fromkeys(roots, str(base))
    return {root: str(base / root.partition("://")[2]) if is_url(root) else root for root in roots}


@dataclass(frozen=True)
class _Rows:
    """Which rows of a shard count, and where they belong."""

    name: str
    last: Mapping[tuple[str, str], str]
    roots: Mapping[str, str]
    states: Mapping[str, Mapping[str, FileState]]


def _store(
    library: LibraryStore,
    table: "pa.Table",
    facts: Mapping[str, Any],
    which: _Rows,
    done: Imported,
    guessed: _Guessed,
) -> None:
    there, vectors = vectors_of(table, facts["encoder"].dim)
    places = there.cumsum() - 1
    entries: list[Entry] = []
    failures: list[Failure] = []
    for i, row in enumerate(table.drop_columns(["vector"]).to_pylist()):
        if which.last.get((row["root"], row["path"])) != which.name:
            continue
        root = which.roots[row["root"]]
        for one in filter(_is_guess, row["labels"] or ()):
            of_song = guessed[one["task"], facts["heads"]].setdefault((root, row["path"]), {})
            of_song[one["label"]] = one["probability"]
        if not there[i]:
            failures.append(_failure(row, root))
        elif _is_held(which.states[root].get(row["path"]), row):
            done.counts["unchanged"] += 1
        else:
            entries.append(_entry(row, root, vectors[places[i]]))
    refused = library.write(entries=entries, failures=failures)
    done.counts["embedded"] += len(entries) - len(refused)
    for failure in (*failures, *refused):
        done.counts["failed"] += 1
        done.failures.append((str(failure.file), failure.reason))


def _is_guess(label: Mapping[str, Any]) -> bool:
    """Whether a label is one that a library can hold."""
    named = label["task"] in TASKS and label["label"] and len(label["label"]) <= _LONGEST_LABEL
    return bool(named) and label["probability"] is not None and 0 <= label["probability"] <= 1


def _is_held(state: FileState | None, row: Mapping[str, Any]) -> bool:
    """Whether the library has a song of the very file already."""
    return state is not None and (state.size, state.file_digest, state.audio_digest) == (
        row["size"],
        row["digest"],
        row["audio_digest"],
    )


def _entry(row: Mapping[str, Any], root: str, vector: Any) -> Entry:
    return Entry(
        root=root,
        path=row["path"],
        size=row["size"],
        mtime_ns=row["mtime_ns"],
        file_digest=row["digest"] or "",
        audio_digest=row["audio_digest"] or "",
        duration_s=float("nan") if row["duration_s"] is None else row["duration_s"],
        tags=Tags(**{name: (row["tags"] or {}).get(name) for name in _TAGS}),
        vector=vector,
        excerpts=ExcerptEmbeddings.from_bytes(row["moments"]) if row["moments"] else None,
        audio_path=row["audio_path"],
        start_s=row["start_s"] or 0.0,
        content_digest=row["content_digest"],
        remark=row["remark"],
    )


def _failure(row: Mapping[str, Any], root: str) -> Failure:
    place = f"{row['root'].rstrip('/')}/{row['path']}"
    reason = (row["failure"] or "holds no vector").replace(place, f"{root.rstrip('/')}/{row['path']}", 1)
    mark = (row["digest"] or "").partition(":")[2]
    failed_at = (row["mtime_ns"] or 0) ^ (int(mark[:8], 16) if mark else 0)  # as of `SeenFile.failure`
    return Failure(root, row["path"], row["size"] or 0, failed_at, reason)


def _store_guesses(library: LibraryStore, guessed: _Guessed) -> None:
    """Keep guesses beside those of the same heads; those of others, such as a person's own, stay in their place."""
    if not guessed:
        return
    ids = {(s.root, s.path): s.track_id for root in library.roots() for s in library.states(root).values()}
    held = library.tasks()
    for (task, source), songs in guessed.items():
        rows = {ids[place]: labels for place, labels in songs.items() if place in ids}
        if held.get(task, source) == source:
            library.store_probabilities(task, {**library.probabilities(task), **rows}, source)
