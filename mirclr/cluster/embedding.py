"""Songs to vectors on a cluster: a task takes some songs, and commits a shard of them.

A task decodes in processes apart, which may crash, and embeds song by song as `mirclr embed` does, with the same
numbers. Its memory is that of a few decoded songs and the rows of a shard.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mirclr import extensions
from mirclr.audio import why_lost
from mirclr.audio.reading import NotRead
from mirclr.cluster.listing import Listed, Listing
from mirclr.cluster.reading import ReadSong, place_of_listed, read_listed, seconds_for_listed
from mirclr.cluster.session import Cluster
from mirclr.cluster.shards import VectorFolder, shard_name
from mirclr.errors import ClusterError
from mirclr.ingest.embedding import embed_decoded
from mirclr.library import Failure
from mirclr.models.pretrained import NAME, builtin_checkpoint, checkpoint_named
from mirclr.models.stamp import NO_VECTOR, EncoderStamp, is_usable
from mirclr.processes import Lost, Pool, begin_worker, results_in_order
from mirclr.tags import Tags

if TYPE_CHECKING:
    from mirclr.models.embedder import Embedder

_T = TypeVar("_T")
_MOST, _FEWEST, _FOR_EACH = 256, 8, 6
"""Songs of a shard, at most and at least; and into how many shards for each that runs at once the songs are divided."""


@dataclass(frozen=True)
class Plan:
    """What all tasks of a run share.

    Attributes
    ----------
    output : str
        The folder of vectors.
    checkpoint : str
        ``builtin``, a path that leads to the same file on all machines, or a class that was allowed.
    encoder : EncoderStamp
        Its stamp, which each machine's must be.
    device : str
        As of `Embedder.load`.
    readers : int
        Processes that decode for a task.
    """

    output: str
    checkpoint: str
    encoder: EncoderStamp
    device: str
    readers: int = 1


@dataclass(frozen=True)
class Embedded:
    """How many songs were there already, how many are new, and (song, reason) of those that could not be embedded."""

    unchanged: int = 0
    embedded: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)


def embed_on_cluster(
    listing: Listing, output: str, embedder: "Embedder", checkpoint: Path, cluster: Cluster, *, retry: bool = False
) -> Iterator[Embedded]:
    """Embed what a folder of vectors does not hold yet, on a cluster.

    Parameters
    ----------
    listing : Listing
        Which songs.
    output : str
        The folder of vectors: a path that all machines share, or an address.
    embedder, checkpoint : Embedder, Path
        Whose stamp is kept, and what each machine loads.
    cluster : Cluster
        Where.
    retry : bool
        Try again songs that failed before and have not changed.

    Yields
    ------
    Embedded
        As shards are committed; first one of the songs that were there already.

    Raises
    ------
    EncoderMismatch
        The folder holds vectors of another encoder, or a machine has another encoder.
    ClusterError, OSError
        As of `Cluster.run`; or a machine is at fault, as its disk is full.
    """
    folder = VectorFolder(output)
    held = folder.held(embedder.stamp)
    songs = [song for key, song in listing.songs.items() if key not in held or not held[key].is_of(song, retry=retry)]
    there = {key: held[key] for key in listing.songs.keys() & held.keys() - {(s.root, s.path) for s in songs}}
    yield Embedded(
        sum(not one.failed for one in there.values()),
        failures=[
            ("/".join((root.rstrip("/"), path)), one.reason) for (root, path), one in there.items() if one.failed
        ],
    )
    run, number = folder.next_run(), 0
    named = NAME if checkpoint == builtin_checkpoint() else str(checkpoint)
    if not extensions.is_class_name(named) and named != NAME:
        named = str(Path(named).absolute())
    plan = Plan(folder.place, named, embedder.stamp, "cuda" if cluster.gpus else "cpu", cluster.readers)
    known = [f for f in listing.failures if not ((h := held.get((f.root, f.path))) and h.failed)]
    if known:
        folder.write(shard_name(run, number), [row_of_failure(f) for f in known], embedder.stamp)
        number += 1
    parts = divided(songs, cluster.workers or cluster.slots)
    yield from cluster.run(embed_shard, ((plan, shard_name(run, number + i), part) for i, part in enumerate(parts)))


def divided(songs: Sequence[_T], at_once: int) -> list[Sequence[_T]]:
    """Songs in parts, in their order: small enough that all that run at once end at about the same time."""
    size = min(_MOST, max(_FEWEST, -(-len(songs) // (_FOR_EACH * at_once))))
    return [songs[i : i + size] for i in range(0, len(songs), size)]


def embed_shard(plan: Plan, name: str, songs: Sequence[Listed]) -> Embedded:
    """Embed some songs and commit them as a shard; run in a process of the cluster."""
    embedder = _embedder(plan.checkpoint, plan.device)
    if not embedder.stamp.makes_vectors_of(plan.encoder):
        raise ClusterError(
            f"{plan.checkpoint}: a machine of the cluster has another encoder there ({embedder.stamp.digest[:8]} for "
            f"{plan.encoder.digest[:8]}); put the same file on all machines"
        )
    settings = (embedder.excerpts, embedder.seconds, embedder.rate)
    jobs = ((song, *settings) for song in songs)
    read = results_in_order(read_listed, jobs, workers=plan.readers, pool=_readers(plan.readers))
    rows = [row_of(song, found, embedder) for song, (_, found) in zip(songs, read, strict=True)]
    VectorFolder(plan.output).write(name, rows, plan.encoder)
    failures = [(f"{row['root'].rstrip('/')}/{row['path']}", row["failure"]) for row in rows if row.get("failure")]
    return Embedded(embedded=len(rows) - len(failures), failures=failures)


@lru_cache(maxsize=1)  # a process of the cluster takes task after task
def _readers(count: int) -> Pool:
    return Pool(count, begin_worker, seconds_for_listed)


@lru_cache(maxsize=1)
def _embedder(checkpoint: str, device: str) -> "Embedder":
    from mirclr.models.embedder import Embedder

    if extensions.is_class_name(checkpoint):
        extensions.allow_named([checkpoint], Path())  # it was, where the run was begun
    return Embedder.load(checkpoint_named(checkpoint), device=device)


def row_of(song: Listed, found: ReadSong | str | Lost, embedder: "Embedder") -> dict[str, Any]:
    """A song as a row of a shard."""
    row: dict[str, Any] = {
        "id": song.id,
        "root": song.root,
        "path": song.path,
        "audio_path": song.audio_path,
        "start_s": song.part.span[0] if song.part else 0.0,
        "size": song.size,
        "mtime_ns": song.mtime_ns,
        "digest": f":{song.part.mark}" if song.part else None,  # of a failure no more than what the part was
        "passing": False,
    }
    if isinstance(found, Lost):
        return row | {"failure": why_lost(place_of_listed(song), found), "passing": found is Lost.OUT_OF_MEMORY}
    if isinstance(found, str):
        reason = found.replace(song.audio, place_of_listed(song), 1)
        return row | {"failure": reason, "passing": isinstance(found, NotRead)}
    vector, moments = embed_decoded(found.excerpts, embedder)
    if not is_usable(vector):
        return row | {"failure": NO_VECTOR, "size": found.size}
    own = found.excerpts.tags or Tags()
    tags = song.tags if song.tags is not None else song.part.all_tags(own) if song.part else own
    return row | {
        "size": found.size,
        "mtime_ns": song.mtime_ns or found.mtime_ns,
        "digest": found.digest,
        "content_digest": found.excerpts.content,
        "audio_digest": found.excerpts.digest,
        "duration_s": found.excerpts.duration_s,
        "remark": found.excerpts.remark,
        "tags": asdict(tags),
        "vector": vector,
        "moments": moments.to_bytes() if moments else None,
    }


def row_of_failure(failure: Failure) -> dict[str, Any]:
    """What could not be listed as a row of a shard; it is looked at again at the next run."""
    facts: dict[str, Any] = {"id": failure.path, "root": failure.root, "path": failure.path, "start_s": 0.0}
    return facts | {"size": failure.size, "mtime_ns": failure.mtime_ns, "failure": failure.reason, "passing": False}
