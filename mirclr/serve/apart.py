"""What takes a while to derive from a large library, made in a process of its own, so that no answer waits for it.

In the process that answers, a thread that computes in Python keeps all others waiting at each of their steps.

Contents: `Apart`; the functions that run there.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from mirclr.api import Library
from mirclr.errors import MirclrError
from mirclr.library.discography import Discography
from mirclr.processes import Child, give_way
from mirclr.recommend import Catalogue, MetadataArrays

_T = TypeVar("_T")


class Apart:
    """Calls functions in processes of their own, which end with it."""

    def __init__(self) -> None:
        self._children: set[Child] = set()
        self._closed = False

    def call(self, function: Callable[..., Iterator[_T]], *arguments: Any) -> list[_T]:
        """What a function at the top of a module yields there; nothing where it cannot.

        It arrives part by part, of which each keeps other threads waiting for a moment alone.

        Raises
        ------
        MirclrError
            It was closed meanwhile.
        """
        parts: list[_T] = []
        with suppress(MirclrError):  # no process can be started
            child = Child(_send, function, arguments)
            self._children.add(child)
            if self._closed:
                child.kill()
            parts = list(child.messages())
            self._children.discard(child)
        if self._closed:
            raise MirclrError("the service has ended")
        return parts

    def close(self) -> None:
        """End the processes."""
        self._closed = True
        for child in list(self._children):
            child.kill()


def _send(send: Callable[[Any], object], function: Callable[..., Iterator[Any]], arguments: tuple[Any, ...]) -> None:
    give_way()
    with suppress(MirclrError, OSError):
        for part in function(*arguments):
            send(part)


def save_index(path: Path) -> Iterator[None]:
    """Make the index of a library, and save it beside it; nothing of it is sent."""
    with Library.open(path) as library:
        _ = library.index
    yield from ()


def save_lifts(path: Path) -> Iterator[None]:
    """Predict the tags of a library's songs, and save them beside it; nothing of it is sent."""
    with Library.open(path) as library:
        _ = library.lifts
    yield from ()


def read_metadata(path: Path, names: Any) -> Iterator[MetadataArrays]:
    """Read arrays of metadata, as `MetadataArrays.read`."""
    with Library.open(path) as library:
        yield MetadataArrays.read(library, names)


def read_catalogue(path: Path) -> Iterator[tuple[str, str, Any]]:
    """Make the catalogue of a library, ready to be searched; gives its parts."""
    with Library.open(path) as library:
        catalogue = Catalogue(library)
    catalogue.make_searchable()
    yield from catalogue.parts()


def read_discography(path: Path) -> Iterator[tuple[str, Any]]:
    """Find the albums and artists of a library; gives the parts of its discography."""
    with Library.open(path) as library:
        discography = Discography.of(library)
    yield from discography.parts()
