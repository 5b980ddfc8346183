"""`MilvusCollection`: a collection in Milvus, on a server or in a file (Milvus Lite); the only door to pymilvus.

Milvus has no transactions. Each row is named by its library and its track, so that to write it again changes nothing;
what is held of each library is stated last, in a second collection beside.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

from mirclr.errors import EngineError, MissingExtra
from mirclr.index.address import Address
from mirclr.index.collection import LIMIT, Holding, filled, refused, retried

_T = TypeVar("_T")
_AT_ONCE = 1000  # rows of a message, which may have 64 MB
_LISTED = 5000
_WAIT_S = 60.0  # for an answer
_CONNECT_S = 5.0
_EF = 400  # candidates that are looked at, at least
_OF_LOADED = ("search", "query")
_LOST = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")


class MilvusCollection:
    """A collection in Milvus.

    Parameters
    ----------
    address : Address
        Of kind ``milvus``.

    Raises
    ------
    MissingExtra
        pymilvus is not installed.
    """

    def __init__(self, address: Address) -> None:
        try:
            import pymilvus
        except ImportError:
            raise MissingExtra.of("an index in Milvus", "milvus") from None
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL + 1)  # what it logs is raised too
        self._milvus: Any = pymilvus
        self._address = address
        self._name, self._holdings = address.collection, f"{address.collection}_libraries"
        self._client: Any = None
        self._loaded: set[str] = set()  # collections, on this connection

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            with suppress(Exception):
                self._client.close()
        self._client = None
        self._loaded.clear()

    def holdings(self) -> list[Holding]:
        """What it holds."""
        if not self._exists(self._holdings):
            return []
        columns = ["library", "encoder", "generation", "tracks"]
        rows = self._ask("query", self._holdings, filter="generation >= 0", output_fields=columns)
        return sorted((Holding(*(row[c] for c in columns)) for row in rows), key=lambda held: held.library)

    def transaction(self, work: Callable[[], _T]) -> _T:
        """Do some work; each of its messages is sent again where the connection is lost."""
        return work()

    def begin(self, library: str, dim: int) -> None:
        """Make the collections, where there are none of vectors of so many components."""
        if self._exists(self._name):
            if not self._exists(self._holdings):
                raise EngineError(f"{self._address.shown}: is a collection of another program; name another one")
            fields = self._ask("describe_collection", self._name)["fields"]
            held = next(int(f["params"]["dim"]) for f in fields if f["name"] == "vector")
            if held == max(dim, 2):
                return
            self._drop()  # no other library is there, or it would be of that encoder
        text, number = self._milvus.DataType.VARCHAR, self._milvus.DataType.INT64
        fields = {"library": (text, {"max_length": 32}), "encoder": (text, {"max_length": 256})}
        self._create(self._holdings, {**fields, "generation": (number, {}), "tracks": (number, {})}, 2, {})
        hnsw = {"index_type": "HNSW", "params": {"M": 16, "efConstruction": 200}}
        fields = {"library": (text, {"max_length": 32, "is_partition_key": True}), "track": (number, {})}
        self._create(self._name, {"key": (text, {"max_length": 64}), **fields}, dim, hnsw)

    def _create(self, name: str, fields: dict[str, Any], dim: int, index: dict[str, Any]) -> None:
        """Make a collection of some fields, the first of which names a row, and a vector, which must be."""
        if self._exists(name):
            return
        schema = self._milvus.MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        for i, (field, (kind, settings)) in enumerate(fields.items()):
            schema.add_field(field, kind, is_primary=i == 0, **settings)
        schema.add_field("vector", self._milvus.DataType.FLOAT_VECTOR, dim=max(dim, 2))
        indexes = self._milvus.MilvusClient.prepare_index_params()
        indexes.add_index("vector", **{"index_type": "FLAT", "metric_type": "IP", **index})
        self._ask("create_collection", name, schema=schema, index_params=indexes, consistency_level="Strong")

    def upsert(self, library: str, ids: np.ndarray, matrix: np.ndarray) -> None:
        """Write rows."""
        for at in range(0, len(ids), _AT_ONCE):
            some = zip(ids[at : at + _AT_ONCE].tolist(), matrix[at : at + _AT_ONCE], strict=True)
            rows = [{"key": f"{library}:{i}", "library": library, "track": i, "vector": _padded(v)} for i, v in some]
            self._ask("upsert", self._name, rows)

    def delete(self, library: str, ids: np.ndarray) -> None:
        """Remove rows."""
        for at in range(0, len(ids), _AT_ONCE):
            self._ask("delete", self._name, filter=_filter(library, ids[at : at + _AT_ONCE]))

    def finish(self, holding: Holding) -> None:
        """State what is held."""
        self._ask("upsert", self._holdings, [{**vars(holding), "vector": [0.0, 0.0]}])

    def ids(self, library: str) -> np.ndarray:
        """The tracks that are there."""
        if not self._exists(self._name):
            return np.zeros(0, np.int64)

        def read() -> np.ndarray:
            asked = {"filter": _filter(library), "output_fields": ["track"], "batch_size": _LISTED, "timeout": _WAIT_S}
            iterator = self._client_for("query", self._name).query_iterator(self._name, **asked)
            found: list[int] = []
            while rows := iterator.next():
                found += [row["track"] for row in rows]
            iterator.close()
            return np.unique(np.array(found, np.int64))

        return self._again(read)

    def count(self, library: str) -> int:
        """How many tracks are there."""
        if not self._exists(self._name):
            return 0
        rows = self._ask("query", self._name, filter=_filter(library), output_fields=["count(*)"])
        return int(rows[0]["count(*)"])

    def search(
        self, library: str, queries: np.ndarray, k: int, only: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest rows."""
        if not self._exists(self._name):
            return filled([[] for _ in queries], k)
        hits = self._ask(
            "search",
            self._name,
            data=[_padded(query) for query in queries],
            anns_field="vector",
            limit=k,
            filter=_filter(library, only),
            output_fields=["track"],
            search_params={"metric_type": "IP", "params": {"ef": min(max(_EF, k), 2 * LIMIT)}},
        )
        return filled([[(hit["entity"]["track"], hit["distance"]) for hit in row] for row in hits], k)

    def drop(self, library: str) -> None:
        """Remove a library's rows; and the collections with the last of them."""
        if self._exists(self._holdings):
            self._ask("delete", self._holdings, filter=f'library == "{library}"')
        if not self.holdings():
            self._drop()
        elif self._exists(self._name):
            self._ask("delete", self._name, filter=_filter(library))

    def _drop(self) -> None:
        for name in (self._name, self._holdings):  # the latter says whose the former is
            if self._exists(name):
                self._ask("drop_collection", name)
            self._loaded.discard(name)

    def _exists(self, name: str) -> bool:
        return name in self._loaded or bool(self._ask("has_collection", name))

    def _ask(self, what: str, name: str, *arguments: Any, **more: Any) -> Any:
        return self._again(
            lambda: getattr(self._client_for(what, name), what)(name, *arguments, timeout=_WAIT_S, **more)
        )

    def _client_for(self, what: str, name: str) -> Any:
        """The client; what is to be read is loaded first, as after a restart of a server it may not be."""
        client = self._connected()
        if what in _OF_LOADED and name not in self._loaded:
            client.load_collection(name, timeout=_WAIT_S)
            self._loaded.add(name)
        return client

    def _again(self, work: Callable[[], _T]) -> _T:
        return retried(lambda: self._guarded(work), self.close)

    def _guarded(self, work: Callable[[], _T]) -> _T:
        """Do some work; what the server answers is one line."""
        try:
            return work()
        except (self._milvus.MilvusException, OSError, ValueError) as error:
            answer = str(getattr(error, "message", "") or error)
            raise refused(self._address, answer, lost=_is_lost(error)) from None

    def _connected(self) -> Any:
        if self._client is None:
            address = self._address
            self._client = self._milvus.MilvusClient(
                address.target, token=address.token, db_name=address.database, timeout=_CONNECT_S, dedicated=True
            )
        return self._client


def _filter(library: str, ids: np.ndarray | None = None) -> str:
    return f'library == "{library}"' + ("" if ids is None else f" and track in {ids.tolist()}")


def _padded(vector: np.ndarray) -> np.ndarray:
    """A vector of one component as one of two: Milvus has none of one."""
    return vector if len(vector) > 1 else np.append(vector, np.float32(0))


def _is_lost(error: BaseException | None) -> bool:
    """Whether a connection is what failed, by the codes of gRPC and of Milvus along the chain of causes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        code = getattr(error, "code", None)
        code = code() if callable(code) else code
        if getattr(code, "name", None) in _LOST or code == 2 or isinstance(error, OSError):  # 2: no connection was made
            return True
        error = error.__cause__ or error.__context__
    return False
