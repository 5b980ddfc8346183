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
from mirclr.processes import Child, give_way
from mirclr.recommend import Catalogue, MetadataArrays

_T = TypeVar("_T")


class Apart:
    """Calls functions in processes of their own, which end with it."""

    def __init__(self) -> None:
        self._children: set[Child] = set()
        self._closed = False

    def call(self, function: Callable[..., _T], *arguments: Any) -> _T | None:
        """What a function at the top of a module gives there; None where it cannot.

        Raises
        ------
        MirclrError
            It was closed meanwhile.
        """
        made = self._messages(_tell, function, arguments)
        return made[0] if made else None

    def parts(self, function: Callable[..., Iterator[Any]], *arguments: Any) -> list[Any]:
        """What a function gives there part by part, of which each holds other threads up for a moment alone.

        Raises
        ------
        MirclrError
            It was closed meanwhile.
        """
        return self._messages(_tell_parts, function, arguments)

    def _messages(self, tell: Callable[..., object], *arguments: Any) -> list[Any]:
        made: list[Any] = []
        with suppress(MirclrError):  # no process can be started
            child = Child(tell, *arguments)
            self._children.add(child)
            if self._closed:
                child.kill()
            made = list(child.messages())
            self._children.discard(child)
        if self._closed:
            raise MirclrError("the service has ended")
        return made

    def close(self) -> None:
        """End the processes."""
        self._closed = True
        for child in list(self._children):
            child.kill()


def _tell(tell: Callable[[Any], object], function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    give_way()
    with suppress(MirclrError, OSError):
        tell(function(*arguments))


def _tell_parts(tell: Callable[[Any], object], function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    give_way()
    with suppress(MirclrError, OSError):
        for part in function(*arguments):
            tell(part)


def save_index(path: Path) -> None:
    """Make the index of a library, and save it beside it."""
    with Library.open(path) as library:
        _ = library.index


def read_metadata(path: Path, names: Any) -> MetadataArrays:
    """Read arrays of metadata, as `MetadataArrays.read`."""
    with Library.open(path) as library:
        return MetadataArrays.read(library, names)


def read_catalogue(path: Path) -> Iterator[tuple[str, str, Any]]:
    """Make the catalogue of a library, ready to be searched; gives its parts."""
    with Library.open(path) as library:
        catalogue = Catalogue(library)
    catalogue.make_searchable()
    yield from catalogue.parts()
