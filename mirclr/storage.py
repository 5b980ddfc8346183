"""A folder of files on this machine or elsewhere, by path or URL (s3, http …), the same to whoever reads or writes it.

What lies elsewhere is reached by fsspec, which finds credentials where each store's own tools do. A fault that may pass
is tried again, with longer and longer waits.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import unquote

from mirclr.errors import MirclrError, MissingExtra, StorageError, in_words, is_fault_of_machine

_T = TypeVar("_T")
_TRIES = 6
_FIRST_WAIT_S = 0.5
_HALF = ".mirclr-half-"
_OLD_S = 86_400.0
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, NotImplementedError, ImportError)


def is_url(name: str | os.PathLike[str]) -> bool:
    """Whether a name is a URL and no path of this machine."""
    return "://" in os.fspath(name) and not os.fspath(name).startswith("file://")


def beside(name: str, folder: Path) -> str:
    """A path below a folder, or the URL that a name is."""
    if is_url(name):
        return name
    return str((folder / name.removeprefix("file://")).expanduser())


class Folder:
    """A folder by path or URL.

    Parameters
    ----------
    url : str
        A path, or a URL that fsspec knows, such as ``s3://bucket/clips``.

    Attributes
    ----------
    local : Path or None
        Where it is on this machine; None where it is elsewhere.

    Raises
    ------
    MissingExtra
        The part that reaches such a store is not installed.
    StorageError
        Nothing reaches such a URL.
    """

    def __init__(self, url: str) -> None:
        self.local = None if is_url(url) else Path(url.removeprefix("file://"))
        self.url = url.rstrip("/")
        self._made: tuple[Any, str] | None = None
        if self.local is None:
            self._there()

    def __str__(self) -> str:
        """Without what may be a password."""
        scheme, _, rest = self.url.partition("://")
        host, slash, path = rest.partition("/")
        plain = f"{scheme}://{host.rpartition('@')[2]}{slash}{path.partition('?')[0]}"
        return plain if self.local is None else self.url

    def __getstate__(self) -> dict[str, Any]:
        """A process that this is sent to connects by itself."""
        return vars(self) | {"_made": None}

    def _there(self) -> tuple[Any, str]:
        """The file system, and the path in it."""
        if self._made is None:
            try:
                import fsspec
            except ImportError:
                raise MissingExtra.of(f"reading {self}", "remote") from None
            try:
                # no remembered listings: what another process wrote must be seen
                fs, path = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
            except ImportError:
                raise MissingExtra.of(f"reading {self}", "remote") from None
            except ValueError as error:
                raise StorageError(
                    f"{self}: {self._said(error)}; expected a path, or a URL such as s3://… or https://…"
                ) from error
            self._made = fs, path.rstrip("/")
        return self._made

    def _try(self, name: str, do: Callable[[Any, str], _T]) -> _T:
        """Do something with a file elsewhere, again where that may help."""
        fs, path = self._there()
        wait = _FIRST_WAIT_S
        for left in range(_TRIES - 1, -1, -1):
            try:
                return do(fs, f"{path}/{name}" if name else path)
            except Exception as error:  # each store has its own
                if isinstance(error, MirclrError):
                    raise
                if isinstance(error, _LASTING) or is_fault_of_machine(error) or not left:
                    raise StorageError(f"{self}/{name}: {self._said(error)}") from error
            time.sleep(wait)
            wait *= 2
        raise AssertionError

    def _said(self, error: BaseException) -> str:
        """What went wrong, in words in which a client may repeat the URL, without what may be a password."""
        user, found, _ = self.url.partition("://")[2].partition("/")[0].rpartition("@")
        text, secrets = _words(error), [self.url.partition("?")[2]]
        for secret in [*secrets, user + "@", user, user.partition(":")[2]] if found else secrets:
            for form in (secret, unquote(secret)):
                text = text.replace(form, "") if len(form) > 2 else text
        return text

    def names(self) -> set[str]:
        """The files that are in it; none where there is no such folder."""
        if self.local is not None:
            return {file.name for file in self.local.iterdir() if file.is_file()} if self.local.is_dir() else set()

        def listed(fs: Any, path: str) -> set[str]:
            try:
                return {name.rstrip("/").rpartition("/")[2] for name in fs.ls(path, detail=False)}
            except FileNotFoundError:
                return set()

        return self._try("", listed)

    def find(self) -> dict[str, dict[str, Any]]:
        """The files of a folder elsewhere, at any depth, by their paths below it, each with what its store reports.

        Raises
        ------
        StorageError
            It cannot be listed.
        """

        def found(fs: Any, path: str) -> dict[str, dict[str, Any]]:
            files = fs.find(path, withdirs=False, detail=True)
            return {name.removeprefix(path).lstrip("/"): facts for name, facts in files.items() if name != path}

        return self._try("", found)

    def facts(self, name: str) -> dict[str, Any] | None:
        """What its store reports of one file elsewhere; None where there is none."""
        facts: dict[str, Any] | None = self._try(name, lambda fs, path: fs.info(path) if fs.exists(path) else None)
        return facts

    def begin(self, name: str, count: int) -> bytes:
        """The first bytes of a file.

        Raises
        ------
        StorageError
            It cannot be read.
        """
        if self.local is not None:
            try:
                with (self.local / name).open("rb") as f:
                    return f.read(count)
            except OSError as error:
                raise StorageError(f"{self.local / name}: {_words(error)}") from error
        first: bytes = self._try(name, lambda fs, path: fs.cat_file(path, start=0, end=count))
        return first[:count]

    def read(self, name: str) -> bytes:
        """All bytes of a small file.

        Raises
        ------
        StorageError
            It cannot be read; its ``__cause__`` is a `FileNotFoundError` where it is not there.
        """
        if self.local is None:
            found: bytes = self._try(name, lambda fs, path: fs.cat_file(path))
            return found
        try:
            return (self.local / name).read_bytes()
        except OSError as error:
            raise StorageError(f"{self.local / name}: {_words(error)}") from error

    def write(self, name: str, data: bytes) -> None:
        """Write a small file whole; a reader sees it as it was or as it is. See `writing`."""
        with self.writing(name) as f:
            f.write(data)

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file of this machine that becomes one of the folder once it is whole; it has a ``name``.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        try:
            with _scratch(self.local) as scratch:
                file = scratch / name
                with file.open("wb") as f:
                    yield f
                    f.flush()
                    os.fsync(f.fileno())
                if self.local is not None:
                    os.replace(file, self.local / name)
                else:
                    self._try(name, lambda fs, path: fs.put_file(str(file), path))
        except OSError as error:
            if isinstance(error, MirclrError):
                raise
            raise StorageError(f"{self}/{name}: {self._said(error)}") from error

    def fetch(self, name: str, to: Path, check: Callable[[Path], bool] = lambda file: True) -> None:
        """Copy a file of a folder elsewhere to this machine, whole or not at all.

        Parameters
        ----------
        name : str
            The file.
        to : Path
            Where it is to be; its folder is created.
        check : callable
            Whether what came is what was wanted; else it is fetched again.

        Raises
        ------
        StorageError
            It cannot be read, or there is no room for it.
        """

        def copied(fs: Any, path: str) -> None:
            with _scratch(to.parent) as scratch:
                file = scratch / to.name
                fs.get_file(path, str(file))
                if not check(file):
                    raise ValueError("what was read is damaged, or another file than its index says")
                os.replace(file, to)

        self._try(name, copied)


@contextmanager
def _scratch(folder: Path | None) -> Iterator[Path]:
    """A folder for half a file, on the same disk; what killed processes left long ago is removed."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{_HALF}*"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > _OLD_S:
                    shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_HALF, dir=folder) as scratch:
        yield Path(scratch)


def _words(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return in_words(error)
