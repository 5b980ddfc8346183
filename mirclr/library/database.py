"""The SQLite file of a library: opened and closed, read in snapshots, written in transactions.

`Database` is what the classes of this package that store one subject each are derived from; `LibraryStore` is all of
them. Its methods with an underscore are for them alone.

Contents: `Database`; `encode_path`, `decode_path` and `storable`, texts as they are stored; `id_list`; `count_write`.
"""

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any, Self, TypeVar

from mirclr.errors import LibraryError, LibraryNotFound
from mirclr.library.checks import below_root, check_rows, whole_number
from mirclr.library.schema import bring_up_to_date, connect, explained, is_of_earlier, may_be_written
from mirclr.library.search import bring_search_up_to_date, is_current
from mirclr.settings import command_line, default_library
from mirclr.terminal import shown

IDS = "(SELECT value FROM json_each(?))"
"""SQL for a list of ids, given as one argument by `id_list`."""

_T = TypeVar("_T")
_SURROGATES = sys.getfilesystemencodeerrors()
_ROWS_AT_ONCE = 1000


class Database:
    """An open library file; a context manager. Made by `open`, used by the thread that opened it.

    Attributes
    ----------
    path : Path
        The library file.
    uuid : str
        Names this library (and its copies) for what is derived from it.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._together = False  # whether writes are part of one transaction
        self.uuid: str = self._meta("uuid") or ""

    @classmethod
    def open(cls, path: Path | str, *, create: bool = False) -> Self:
        """Open a library file.

        A library in a place that cannot be written is opened for reading.

        Parameters
        ----------
        path : Path
            The file.
        create : bool
            Make an empty library where there is no file.

        Raises
        ------
        LibraryNotFound
            There is no such file.
        LibraryError
            The file is something else, or was made by a newer mirclr.
        """
        path = Path(path)
        if "\0" in str(path):
            raise LibraryError(f"{shown(str(path))}: not the name of a file; expected a library file")
        if path.exists() and not path.is_file():  # to open a pipe waits for who writes it
            what = "a folder" if path.is_dir() else "no regular file"
            raise LibraryError(f"{path}: {what}; expected a library file")
        if not path.exists():
            if not create:
                own = path.absolute() == default_library().absolute()
                what = "you have no library yet" if own else f"{path}: no such library"
                embed = command_line("embed", "FOLDER", library_path=path)
                raise LibraryNotFound(f"{what}; make one from your music with: {embed}")
            path.parent.mkdir(parents=True, exist_ok=True)
        with explained(path):
            connection = connect(path)
            try:
                bring_up_to_date(connection, path, create)
                bring_search_up_to_date(connection)
                return cls(path, connection)
            except (TypeError, AttributeError, UnicodeError) as error:  # values of other types than mirclr writes
                connection.close()
                raise LibraryError(f"{path}: not a library of mirclr's, or damaged ({error})") from error
            except BaseException:
                connection.close()
                raise

    def forbid_writes(self) -> None:
        """Have every write refused from now on, as of a file that cannot be written."""
        self._connection.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        """Close the file. Closing twice does no harm."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def state(self) -> tuple[int, int]:
        """Another value whenever anything was written, here or by others, since this library was opened."""
        return self._connection.total_changes, int(self._rows("PRAGMA data_version")[0][0])

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads inside see one state of the library, whatever others write meanwhile. Not for writing."""
        with explained(self.path):
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.rollback()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make one transaction of all writes inside; it begins with the first, as a commit waits for the disk."""
        if self._together:
            yield
            return
        self._together = True
        with explained(self.path):
            try:
                yield
                if self._connection.in_transaction:
                    self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise
            finally:
                self._together = False

    @contextmanager
    def merging(self, other: Path) -> Iterator[sqlite3.Connection]:
        """Make one transaction in which the tables of another library file can be read, as those of ``fresh``."""
        with explained(self.path):
            self._connection.execute("ATTACH ? AS fresh", (str(other),))
            try:
                with self._transaction() as db:
                    yield db
            finally:
                self._connection.execute("DETACH fresh")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with explained(self.path):
            if not (self._together and self._connection.in_transaction):
                self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                if not self._together:
                    self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise

    def _unpacked(self, what: str, column: str, ids: Sequence[int], unpack: Callable[[bytes], _T]) -> dict[int, _T]:
        """What a table named as `what` keeps of tracks in a column, by id; LibraryError where one is damaged."""
        rows = self._rows(f"SELECT track_id, {column} FROM {what} WHERE track_id IN {IDS}", id_list(ids))  # noqa: S608
        try:
            return {row[0]: unpack(row[1]) for row in rows}
        except ValueError as error:
            named = f"{'an' if what[0] in 'aeiou' else 'a'} {what}"
            raise LibraryError(f"{self.path}: not a library of mirclr's, or damaged: {named}: {error}") from error

    def _rows(self, query: str, *arguments: Any) -> list[sqlite3.Row]:
        with explained(self.path):
            cursor = self._connection.execute(query, arguments)
            rows = cursor.fetchall()
        check_rows(self.path, [column[0] for column in cursor.description], rows)
        return rows

    def _iterate(self, query: str, *arguments: Any) -> Iterator[sqlite3.Row]:
        for rows in self._batches(query, *arguments):
            yield from rows

    def _batches(self, query: str, *arguments: Any) -> Iterator[list[sqlite3.Row]]:
        with explained(self.path):
            cursor = self._connection.execute(query, arguments)
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                check_rows(self.path, [column[0] for column in cursor.description], rows)
                yield rows

    def _meta(self, key: str) -> str | None:
        rows = self._rows("SELECT value FROM meta WHERE key = ?", key)
        return rows[0][0] if rows else None

    def _count(self, what: str) -> int:
        """How often something was written, as `count_write` counts."""
        return whole_number(self._meta(f"writes of {what}"), f"the number of writes of {what}", self.path)

    def _place(self, root: str, path: str) -> tuple[bytes, bytes]:
        """Root and path as stored; refuses a path that leads out of its root."""
        if not PurePath(root).is_absolute() or not below_root(path):
            raise LibraryError(
                f"{self.path}: cannot hold {shown(path)!r} under {shown(root)!r}; "
                f"expected an absolute folder and a path below it"
            )
        return encode_path(root), encode_path(path)


def check_as_it_is(path: Path) -> None:
    """Refuse a library that opening it would change, as it was made by an earlier mirclr.

    Raises
    ------
    LibraryError
        It would, or is no library.
    """
    if not path.is_file():
        return  # which is told when it is opened
    with explained(path), closing(connect(path)) as db:
        if is_of_earlier(db, path) or (may_be_written(path) and not is_current(db)):
            command = command_line("library", "info", library_path=path)
            raise LibraryError(f"{path}: made by an earlier mirclr; to use it without writing, first run: {command}")


def count_write(db: sqlite3.Connection, what: str) -> None:
    """Count a write of something, in its transaction, so that others see that what they derived from it is stale."""
    db.execute(
        "INSERT INTO meta VALUES (?, '1') ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + 1",
        (f"writes of {what}",),
    )


def id_list(ids: Sequence[int]) -> str:
    """Ids as the argument of `IDS`."""
    return json.dumps([int(i) for i in ids])


def encode_path(path: str) -> bytes:
    """A path as it is stored, whether or not its name is Unicode."""
    return path.encode("utf-8", _SURROGATES)


def decode_path(stored: bytes) -> str:
    """A path that `encode_path` made."""
    return stored.decode("utf-8", _SURROGATES)


def storable(text: str) -> str:
    """A text that SQLite can store: without lone surrogates and NUL, whatever a tag holds."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
