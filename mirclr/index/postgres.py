"""`PostgresCollection`: a collection in PostgreSQL with pgvector; the only door to psycopg.

A library is a partition of the collection's table, with an HNSW index of its own (Malkov and Yashunin 2018, "Efficient
and robust approximate nearest neighbor search using hierarchical navigable small world graphs"), which is walked on
until as many rows pass a filter as are wanted (pgvector's iterative scan). A library that is written anew is a table
beside, which takes the place of the old one in the end, so that queries go on meanwhile.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

from mirclr.errors import EngineError, MissingExtra
from mirclr.index.address import Address
from mirclr.index.collection import Holding, filled, refused, retried

_T = TypeVar("_T")
_VERSION = (0, 8)  # of pgvector: the first with iterative scans
_INDEXED = 2000  # components of a vector at most that pgvector makes an HNSW index of
_SETTINGS = {
    "hnsw.ef_search": "400",
    "hnsw.iterative_scan": "strict_order",
    "hnsw.max_scan_tuples": "1000000",
    "work_mem": "64MB",  # what a scan holds of the rows that it has passed
    "maintenance_work_mem": "1GB",
    "client_min_messages": "error",
}


class PostgresCollection:
    """A collection in PostgreSQL.

    Parameters
    ----------
    address : Address
        Of kind ``postgresql``.

    Raises
    ------
    MissingExtra
        psycopg is not installed.
    EngineError
        The server does not answer, or its pgvector is too old.
    """

    def __init__(self, address: Address) -> None:
        try:
            import pgvector.psycopg
            import psycopg
            import psycopg.sql
        except ImportError:
            raise MissingExtra.of("an index in PostgreSQL", "postgres") from None
        self._psycopg: Any = psycopg
        self._sql: Any = psycopg.sql
        self._register: Any = pgvector.psycopg.register_vector
        self._address = address
        self._connection: Any = None
        self._fresh: dict[str, int] = {}  # libraries that are written anew, with the components of a vector
        self._writes = False
        self._has_type = False

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
        self._connection = None

    def holdings(self) -> list[Holding]:
        """What it holds."""

        def read() -> list[Holding]:
            if not self._exists(self._table("_libraries")):
                return []
            rows = self._rows("SELECT library, encoder, generation, tracks FROM {}", [self._table("_libraries")])
            return [Holding(*row) for row in rows]

        return self._reading(read)

    def transaction(self, work: Callable[[], _T]) -> _T:
        """Do some work in one transaction."""

        def within() -> _T:
            self._fresh.clear()
            with self._connected().transaction():
                self._writes = True
                try:
                    lock = "SELECT pg_advisory_xact_lock(hashtext(%s))"
                    self._rows(lock, values=[f"mirclr {self._address.collection}"])
                    return work()
                finally:
                    self._writes = False

        return retried(lambda: self._guarded(within), self.close)

    def begin(self, library: str, dim: int) -> None:
        """Make a table beside that of a library."""
        if not self._has_type:
            self._run("CREATE EXTENSION IF NOT EXISTS vector")
            self._look_for_type()
        if self._exists(self._table()) and not self._exists(self._table("_libraries")):
            raise EngineError(f"{self._address.shown}: is a table of another program; name another: ?collection=NAME")
        new = self._table(f"_{library}_new")
        self._run("DROP TABLE IF EXISTS {}", [new])
        self._run(
            "CREATE TABLE {} (library text NOT NULL DEFAULT {}, track bigint PRIMARY KEY, vector vector({}) NOT NULL)",
            [new, self._sql.Literal(library), self._sql.Literal(dim)],
        )
        self._fresh[library] = dim

    def upsert(self, library: str, ids: np.ndarray, matrix: np.ndarray) -> None:
        """Write rows: by COPY into a table of this transaction, and from there."""
        self._run("CREATE TEMPORARY TABLE IF NOT EXISTS pushed (track bigint, vector vector) ON COMMIT DROP")
        self._run("TRUNCATE pushed")
        cursor = self._connection.cursor()
        with cursor.copy("COPY pushed (track, vector) FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "vector"])
            for row in zip(ids.tolist(), matrix, strict=True):
                copy.write_row(row)
        self._run(
            "INSERT INTO {} (track, vector) SELECT track, vector FROM pushed"
            " ON CONFLICT (track) DO UPDATE SET vector = excluded.vector",
            [self._rows_of(library)],
        )

    def delete(self, library: str, ids: np.ndarray) -> None:
        """Remove rows."""
        self._run("DELETE FROM {} WHERE track = ANY(%s)", [self._rows_of(library)], [ids.tolist()])

    def finish(self, holding: Holding) -> None:
        """Put a table that was written beside into its place, and state what is held."""
        if dim := self._fresh.pop(holding.library, None):
            self._put_in_place(holding.library, dim)
        self._run(
            "CREATE TABLE IF NOT EXISTS {} (library text PRIMARY KEY, encoder text, generation bigint, tracks bigint)",
            [self._table("_libraries")],
        )
        self._run(
            "INSERT INTO {} VALUES (%s, %s, %s, %s) ON CONFLICT (library) DO UPDATE SET"
            " (encoder, generation, tracks) = (excluded.encoder, excluded.generation, excluded.tracks)",
            [self._table("_libraries")],
            [holding.library, holding.encoder, holding.generation, holding.tracks],
        )

    def _put_in_place(self, library: str, dim: int) -> None:
        place, new, whole = self._table(f"_{library}"), self._table(f"_{library}_new"), self._table()
        if dim <= _INDEXED:
            self._run("CREATE INDEX ON {} USING hnsw (vector vector_ip_ops)", [new])
        self._run("ANALYZE {}", [new])
        self._run("DROP TABLE IF EXISTS {}", [place])
        self._run("ALTER TABLE {} RENAME TO {}", [new, place])
        if self._exists(whole):
            ((held,),) = self._rows(
                "SELECT atttypmod FROM pg_attribute WHERE attrelid = {}::text::regclass AND attname = 'vector'",
                [self._sql.Literal(whole.as_string(None))],
            )
            if held != dim:  # and no other library is there, or it would be of that encoder
                self._run("DROP TABLE {}", [whole])
        self._run(
            "CREATE TABLE IF NOT EXISTS {} (library text NOT NULL, track bigint NOT NULL, vector vector({}) NOT NULL)"
            " PARTITION BY LIST (library)",
            [whole, self._sql.Literal(dim)],
        )
        self._run("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({})", [whole, place, self._sql.Literal(library)])

    def ids(self, library: str) -> np.ndarray:
        """The tracks that are there."""

        def read() -> np.ndarray:
            if not self._exists(self._rows_of(library)):
                return np.zeros(0, np.int64)
            rows = self._rows("SELECT track FROM {} ORDER BY track", [self._rows_of(library)])
            return np.fromiter((row[0] for row in rows), np.int64, len(rows))

        return self._reading(read)

    def count(self, library: str) -> int:
        """How many tracks are there."""

        def read() -> int:
            if not self._exists(self._rows_of(library)):
                return 0
            return int(self._rows("SELECT count(*) FROM {}", [self._rows_of(library)])[0][0])

        return self._reading(read)

    def search(
        self, library: str, queries: np.ndarray, k: int, only: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest rows."""
        where = "" if only is None else "WHERE track = ANY(%s)"
        text = f"SELECT track, -(vector <#> %s) FROM {{}} {where} ORDER BY vector <#> %s LIMIT %s"  # noqa: S608
        some = [] if only is None else [only.tolist()]
        table = [self._rows_of(library)]
        return self._reading(lambda: filled([self._rows(text, table, [q, *some, q, k]) for q in queries], k))

    def drop(self, library: str) -> None:
        """Remove a library's table; and the collection with the last of them."""

        def remove() -> None:
            for suffix in ("", "_new"):
                self._run("DROP TABLE IF EXISTS {}", [self._table(f"_{library}{suffix}")])
            if self._exists(self._table("_libraries")):
                self._run("DELETE FROM {} WHERE library = %s", [self._table("_libraries")], [library])
            if not self.holdings():
                self._run("DROP TABLE IF EXISTS {}, {}", [self._table(), self._table("_libraries")])

        self.transaction(remove)

    def _table(self, suffix: str = "") -> Any:
        return self._sql.Identifier(self._address.collection + suffix)

    def _rows_of(self, library: str) -> Any:
        return self._table(f"_{library}_new" if library in self._fresh else f"_{library}")

    def _exists(self, table: Any) -> bool:
        return bool(self._rows("SELECT to_regclass(%s) IS NOT NULL", values=[table.as_string(None)])[0][0])

    def _run(self, text: str, names: Any = (), values: Any = ()) -> Any:
        query = self._sql.SQL(text).format(*names)
        return self._connected().execute(query, list(values) if values else None)

    def _rows(self, text: str, names: Any = (), values: Any = ()) -> list[Any]:
        return list(self._run(text, names, values).fetchall())

    def _reading(self, read: Callable[[], _T]) -> _T:
        """Read; within a transaction what is lost is begun again with all of it."""
        return read() if self._writes else retried(lambda: self._guarded(read), self.close)

    def _guarded(self, work: Callable[[], _T]) -> _T:
        """Do some work; what the server answers is one line."""
        try:
            return work()
        except self._psycopg.Error as error:
            connection = self._connection
            lost = connection is None or connection.broken or connection.closed
            lost = lost or isinstance(error, self._psycopg.errors.AdminShutdown)
            if lost:
                self.close()
            raise refused(self._address, str(error), lost=lost) from None

    def _connected(self) -> Any:
        if self._connection is None:
            connection = self._psycopg.connect(self._address.target, autocommit=True, connect_timeout=5)
            self._connection = connection
            self._look_for_type()
            for name, value in _SETTINGS.items():
                connection.execute("SELECT set_config(%s, %s, false)", [name, value])
        return self._connection

    def _look_for_type(self) -> None:
        found = self._connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
        self._has_type = found is not None
        if found is None:
            return
        if tuple(map(int, found[0].split(".")[:2])) < _VERSION:
            raise EngineError(
                f"{self._address.shown}: has pgvector {found[0]}; expected {'.'.join(map(str, _VERSION))} or newer; "
                "update it, and then: ALTER EXTENSION vector UPDATE"
            )
        self._register(self._connection)
