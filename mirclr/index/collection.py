"""`Collection`: vectors of one library or several in a database, the few things that an index asks of it.

Conventions: a library's place is named by its key (`library_key`), a row by the id of its track. A library's rows are
found by its key alone: what others have in the collection is never seen. What is written in a transaction is there
whole or not at all, where the database can do that. Where it cannot (Milvus), all writes may be repeated, and the
`Holding` is written last: what a run that was killed has written is as good as not written, as it is of tracks that
changed since the holding, and those are compared by who asks.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from time import sleep
from typing import Protocol, TypeVar

import numpy as np

from mirclr.errors import EngineError, EngineUnreachable
from mirclr.index.address import Address

_T = TypeVar("_T")
PAUSES_S = [0.2, 0.5, 1.0, 2.0]
"""How long to wait before each further try, where a connection is lost."""
LIMIT = 16_384
"""Neighbours of a query at most; Milvus gives no more."""


@dataclass(frozen=True)
class Holding:
    """What a collection holds of one library.

    Attributes
    ----------
    library : str
        Its key.
    encoder : str
        The digest of the encoder of its vectors.
    generation : int
        Of the library, when its vectors were read.
    tracks : int
        How many.
    """

    library: str
    encoder: str
    generation: int
    tracks: int


class Collection(Protocol):
    """Vectors in a database. All methods raise `EngineError`; `EngineUnreachable` where it does not answer."""

    def holdings(self) -> list[Holding]:
        """What it holds, of each library whose vectors are all there."""
        ...

    def transaction(self, work: Callable[[], _T]) -> _T:
        """Do some work that writes, and return what it returns; it may be done again when the connection is lost."""
        ...

    def begin(self, library: str, dim: int) -> None:
        """Make a place for vectors of so many components, where all of a library's are written anew."""
        ...

    def upsert(self, library: str, ids: np.ndarray, matrix: np.ndarray) -> None:
        """Write (n,) tracks and their (n, d) float32 unit rows, in place of what is there of them."""
        ...

    def delete(self, library: str, ids: np.ndarray) -> None:
        """Remove tracks."""
        ...

    def finish(self, holding: Holding) -> None:
        """State what is held now, once all is written."""
        ...

    def ids(self, library: str) -> np.ndarray:
        """(n,) int64, ascending: the tracks that are there, also of a run that did not finish."""
        ...

    def count(self, library: str) -> int:
        """How many tracks are there."""
        ...

    def search(
        self, library: str, queries: np.ndarray, k: int, only: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the k nearest rows, `LIMIT` at most, of (q, d) queries, among (m,) tracks or all of a library.

        Returns
        -------
        similarities : (q, k) float32
            Descending; -inf where there are fewer.
        ids : (q, k) int64
            -1 where there are fewer.
        """
        ...

    def drop(self, library: str) -> None:
        """Remove all that is held of a library."""
        ...

    def close(self) -> None:
        """Close the connection. Closing twice does no harm."""
        ...


def library_key(uuid: str) -> str:
    """What names a library in a collection: 32 hexadecimal digits, whatever a file says that it is called."""
    if re.fullmatch("[0-9a-f]{32}", uuid):
        return uuid
    return hashlib.blake2b(uuid.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def retried(work: Callable[[], _T], reconnect: Callable[[], object]) -> _T:
    """Do some work, and again after longer and longer pauses (`PAUSES_S`) while the engine does not answer.

    Raises
    ------
    EngineUnreachable
        It does not come back.
    """
    for pause_s in PAUSES_S:
        try:
            return work()
        except EngineUnreachable:
            sleep(pause_s)
            reconnect()
    return work()


def refused(address: Address, answer: str, *, lost: bool) -> EngineError:
    """What to raise of a server's answer: the connection is lost, or it will not; no secret of its address is shown."""
    kind, what = (EngineUnreachable, "cannot be reached") if lost else (EngineError, "the server refuses")
    return kind(f"{address.shown}: {what}: {address.without_secrets(answer)}")


def filled(found: list[list[tuple[int, float]]], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Lists of (track, similarity) as the arrays that `Collection.search` gives."""
    similarities, ids = np.full((len(found), k), -np.inf, np.float32), np.full((len(found), k), -1, np.int64)
    for row, pairs in enumerate(found):
        if pairs:
            ids[row, : len(pairs)], similarities[row, : len(pairs)] = zip(*pairs, strict=True)
    order = np.lexsort((ids, -similarities), axis=1)
    return np.take_along_axis(similarities, order, 1), np.take_along_axis(ids, order, 1)
