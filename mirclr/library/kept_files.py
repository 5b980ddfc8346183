"""What mirclr keeps on a disk: a library's files, and all else; how large they are, and how they are deleted.

A library is one file, with others beside it that begin with its name. Elsewhere are what was obtained (corpora,
teachers), what can be made again (clips), and the settings.

Contents: `KeptFile`; `files_of_library`, `kept_files`, `delete_files`; `check_unused`.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from mirclr.errors import LibraryError
from mirclr.library.schema import is_library
from mirclr.provenance import cache_dir, config_dir, data_dir
from mirclr.settings import settings_file

JOURNAL = "written tags"
"""What a `KeptFile` is that says what was written into tags: with it alone that can be taken back."""

_BESIDE = (  # the library itself last: where a deletion was stopped, it is found again
    ("index", (".index",)),
    ("tags for words", (".words",)),
    ("index of fingerprints", (".fingerprints",)),
    ("report", (".report.html",)),
    ("own labels", (".heads.safetensors",)),
    ("half-made library", (".renewed.index", ".renewed-wal", ".renewed-shm", ".renewed")),
    (JOURNAL, (".tags.jsonl",)),
    ("library", ("-wal", "-shm", "-journal", "")),
)


@dataclass(frozen=True)
class KeptFile:
    """A file or folder that mirclr made.

    Attributes
    ----------
    what : str
        For people: "library", "index", "tags for words" (of ``mirclr search``), "report" (the last one of ``mirclr
        serve``), "own labels" (of ``mirclr classify train``), "written tags" (what ``mirclr tag undo`` needs),
        "half-made library" (of a ``mirclr library renew`` that was stopped), "music for trying", "clips", "waveforms",
        "teachers", "settings".
    path : Path
    bytes : int
        All that a folder holds.
    """

    what: str
    path: Path
    bytes: int


def report_page_of(library: Path) -> Path:
    """The page of the last report on a library that ``mirclr serve`` was asked for; it may not be there."""
    return library.with_name(f"{library.name}.report.html")


def files_of_library(library: Path) -> list[KeptFile]:
    """The files of a library that are there, itself the last."""
    found = []
    for what, suffixes in _BESIDE:
        for path in (library.with_name(library.name + suffix) for suffix in suffixes):
            if path.is_file() or path.is_symlink():
                found.append(KeptFile(what, path, _size(path)))
    return found


def kept_files(library: Path | None = None) -> list[KeptFile]:
    """All that mirclr keeps in its own folders, and a library that is elsewhere.

    Libraries in other places are not known; a file that mirclr did not make is not among them.
    """
    from mirclr.data.corpora import known_corpora  # with all that recipes are made of

    libraries = dict.fromkeys([*([library] if library else []), *_libraries()])
    found = [file for path in libraries for file in files_of_library(path)]
    fetched = [data_dir() / "corpora" / corpus.name for corpus in known_corpora() if corpus.obtained == "apt"]
    places = (
        *(("music for trying", folder) for folder in fetched),
        ("clips", cache_dir() / "clips"),
        ("waveforms", cache_dir() / "waveforms"),
        ("teachers", cache_dir() / "teachers"),
        ("settings", settings_file()),
    )
    return found + [KeptFile(what, path, _size(path)) for what, path in places if os.path.lexists(path)]


def _libraries() -> Iterator[Path]:
    """Those in the folder of a user's data: the default one, those of demos, and others."""
    home = data_dir()
    for folder in (home, *sorted(home.glob("demo")), *sorted(home.glob("demo-????????"))):
        yield from (path for path in sorted(folder.glob("*.db")) if path.is_file() and is_library(path))


def _size(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    sizes = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):  # it went in this moment
                sizes += os.lstat(os.path.join(folder, name)).st_size
    return sizes


def check_unused(library: Path) -> None:
    """See that a file is a library, damaged or not, and that no other program has it open.

    Raises
    ------
    LibraryError
        It is something else, or in use.
    """
    if not is_library(library):
        raise LibraryError(f"{library}: not a library of mirclr's; it is left as it is")
    try:
        with closing(sqlite3.connect(library, timeout=1.0, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = DELETE").fetchall()  # for which nobody else may have it open
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise LibraryError(f"{library}: another mirclr has it open; end that first (mirclr watch?)") from error
    except sqlite3.DatabaseError:
        pass  # damaged


def delete_files(files: Iterable[KeptFile]) -> None:
    """Delete what mirclr keeps, in this order; of a link the link alone, and folders that are empty then.

    Raises
    ------
    OSError
        One cannot be deleted; it and those after it are still there.
    """
    folders = dict.fromkeys((data_dir() / "corpora", cache_dir(), config_dir()))
    for file in files:
        if file.path.is_dir() and not file.path.is_symlink():
            shutil.rmtree(file.path)
        else:
            file.path.unlink(missing_ok=True)
        if file.path.parent.parent == data_dir():  # of a demo
            folders[file.path.parent] = None
    for folder in (*folders, data_dir()):
        with suppress(OSError):  # something else is in it
            folder.rmdir()
