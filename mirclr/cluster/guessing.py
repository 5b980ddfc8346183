"""Guesses of genre, moods and more for the songs of a folder of vectors, shard by shard, on a cluster."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mirclr.classify import Heads
from mirclr.classify.heads import TASKS
from mirclr.classify.predict import count_labels
from mirclr.cluster.session import Cluster
from mirclr.cluster.shards import VectorFolder, vectors_of
from mirclr.errors import ClusterError, EncoderMismatch
from mirclr.models.pretrained import NAME, builtin_heads


@dataclass(frozen=True)
class Guessed:
    """What a task has committed: of how many songs, and how many of them have each label, by task."""

    songs: int
    counts: dict[str, dict[str, int]] = field(default_factory=dict)


def guess_on_cluster(output: str, heads_file: Path, cluster: Cluster) -> Iterator[Guessed]:
    """Fill the column ``labels`` of a folder of vectors; shards that these heads have guessed for stay as they are.

    Parameters
    ----------
    output : str
        The folder: a path that all machines share, or an address.
    heads_file : Path
        The heads, at the same path on all machines.
    cluster : Cluster
        Where.

    Raises
    ------
    EncoderMismatch
        The heads are of another encoder than the vectors.
    ClusterError
        As of `Cluster.run`; or a machine has other heads.
    """
    folder, heads = VectorFolder(output), Heads.load(heads_file)
    named = NAME if heads_file == builtin_heads() else str(heads_file.absolute())
    yield from cluster.run(guess_shard, ((folder.place, name, named, heads.digest) for name in folder.names()))


def guess_shard(output: str, name: str, heads_file: str, digest: str) -> Guessed:
    """Guess for the songs of a shard, and commit it anew; run in a process of the cluster."""
    folder, heads = VectorFolder(output), _heads(heads_file)
    if heads.digest != digest:
        raise ClusterError(f"{heads_file}: a machine of the cluster has other heads there; put the same file on all")
    if (shard := folder.read(name)) is None:
        return Guessed(0)
    table, facts = shard
    if not heads.are_of(facts["encoder"]):
        raise EncoderMismatch(
            f"{folder}: its vectors are of another encoder than the heads {heads_file} were fitted on"
        )
    there, vectors = vectors_of(table, facts["encoder"].dim)
    if not len(vectors):
        return Guessed(0)
    guessed = {task: p for task, p in heads.predict_proba(vectors).items() if task in TASKS}
    if facts.get("heads") != digest:
        column = table.schema.get_field_index("labels")
        labels = _rows_of(there, guessed, heads)
        table = table.set_column(column, table.schema.field(column), [_array(labels, table)])
        folder.write_table(name, table, facts["encoder"], digest)
    return Guessed(len(vectors), count_labels(heads, guessed))


@lru_cache(maxsize=1)
def _heads(file: str) -> Heads:
    return Heads.load(builtin_heads() if file == NAME else Path(file))


def _rows_of(there: np.ndarray, guessed: dict[str, np.ndarray], heads: Heads) -> list[list[dict[str, Any]] | None]:
    """The column ``labels``: of each row with a vector its guesses."""
    rows: list[list[dict[str, Any]] | None] = [None] * len(there)
    for place, row in enumerate(np.flatnonzero(there).tolist()):
        rows[row] = [
            {"task": task, "label": label, "probability": float(p)}
            for task, table in guessed.items()
            for label, p in zip(heads.tasks[task].labels, table[place], strict=True)
        ]
    return rows


def _array(rows: list[list[dict[str, Any]] | None], table: Any) -> Any:
    import pyarrow as pa

    return pa.array(rows, type=table.schema.field("labels").type)


def added(counts: dict[str, Counter[str]], guessed: Guessed) -> None:
    """Add the counts of a shard to those of others."""
    for task, labels in guessed.counts.items():
        counts.setdefault(task, Counter()).update(labels)
