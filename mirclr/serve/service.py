"""`Service`: one library for many requests: a few threads, each with its own connection, and one index for all.

What is derived from the library is shared (shared.py): its index, the metadata that filters look at, its catalogue, and
the albums and artists that players browse.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, TypeVar

from fastapi import Depends, Request

from mirclr.api import Library
from mirclr.classify.lifting import lifts_version, tag_lifts
from mirclr.classify.predict import HeadsInUse, heads_ready, heads_version
from mirclr.index import Index, open_index, renewed_index, saved_index
from mirclr.library.discography import Discography
from mirclr.recommend import Catalogue, MetadataArrays, MetadataFilters, TagLifts, make_ready
from mirclr.recommend.filters import ASKED
from mirclr.serve import apart
from mirclr.serve.apart import Apart
from mirclr.serve.media import Media
from mirclr.serve.problems import Problem
from mirclr.serve.sent import SentAudio
from mirclr.serve.settings import ServeSettings
from mirclr.serve.shared import SMALL, Renewal, Shared

if TYPE_CHECKING:
    from mirclr.evaluation.report.overview import Counts

_THREADS = min(4, max(2, os.cpu_count() or 1))  # more than cores wait for each other, and each answer takes longer
_P = ParamSpec("_P")
_T = TypeVar("_T")


class SharedLibrary(Library):
    """A library of one thread, with what its `Service` shares."""

    service: "Service"

    @property
    def index(self) -> Index:
        """Nearest neighbours among its vectors, shared by all threads."""
        return self.service.index.of(self)

    @property
    def filters(self) -> MetadataFilters:
        """What its filters look at, shared by all threads."""
        return MetadataFilters(self, self.service.metadata.of(self))

    @property
    def heads(self) -> list[HeadsInUse]:
        """What predicts, moved by corrections, shared by all threads."""
        return self.service.heads.of(self)

    @property
    def lifts(self) -> TagLifts:
        """What words are searched by, shared by all threads."""
        return self.service.lifts.of(self)


class Service:
    """A library, opened once a thread; a context manager of its threads.

    Parameters
    ----------
    settings : ServeSettings
        What is served.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self.settings = settings
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="library")
        self._thread_of_names = ThreadPoolExecutor(1, thread_name_prefix="names")
        self._local = threading.local()
        self._file: tuple[int, int] | None = None
        self.index: Shared[Index] = Shared(lambda library: library.generation, self._make_index)
        self.metadata: Shared[MetadataArrays] = Shared(
            lambda library: library.metadata_version, self._make_metadata, self._make_metadata_ready
        )
        self.catalogue: Shared[Catalogue] = Shared(
            lambda library: (library.tracks_version, library.descriptions_version), self._make_catalogue
        )
        self.heads: Shared[list[HeadsInUse]] = Shared(heads_version, lambda library, before: heads_ready(library))
        self.lifts: Shared[TagLifts] = Shared(lifts_version, self._make_lifts)
        self.discography: Shared[Discography] = Shared(lambda library: library.tracks_version, self._make_discography)
        self._counts: tuple[object, Counts] | None = None
        self._renewal = Renewal(
            self._open, (self.index, self.catalogue, self.metadata, self.discography, self.lifts, self.heads)
        )
        self._apart = Apart()
        self.media = Media(settings.limits.streams, settings.limits.transcoded, read_only=settings.read_only)
        self.sent = SentAudio(settings.library, settings.limits.audio_bytes)

    async def call(self, function: Callable[Concatenate[Library, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call ``function(library, …)`` in a thread that has the library open; returns or raises what it does."""
        return await self._called(self._threads, lambda library: function(library, *args, **kwargs))

    async def soon(self, function: Callable[[Library], _T]) -> _T:
        """As `call`, for what takes milliseconds: in a thread of its own, so that it does not wait behind lists."""
        return await self._called(self._thread_of_names, function)

    async def _called(self, threads: ThreadPoolExecutor, function: Callable[[Library], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(threads, lambda: function(self._library()))

    def _library(self) -> SharedLibrary:
        if self._file is not None and _identity(self.settings.library) != self._file:  # what is written would be lost
            line = f"{self.settings.library}: moved, deleted or replaced while it was served; begin mirclr serve again"
            raise Problem(503, line)
        library: SharedLibrary | None = getattr(self._local, "library", None)
        if library is None:
            library = self._local.library = self._open()
            self._file = self._file or _identity(self.settings.library)
        return library

    def _open(self) -> SharedLibrary:
        library = SharedLibrary.open(self.settings.library, create=not self.settings.read_only)
        if self.settings.read_only:
            library.forbid_writes()
        library.service = self
        return library

    def _make_index(self, library: Library, before: Index | None) -> Index:
        index = self._found_index(library, before)
        make_ready(library, index)
        return index

    def _found_index(self, library: Library, before: Index | None) -> Index:
        if found := (None if before is None else renewed_index(library, before)) or saved_index(library):
            return found
        if library.id_end() > SMALL and not self.settings.read_only:  # saved there, it is mapped and not held
            self._apart.call(apart.save_index, library.path)
            if found := saved_index(library):
                return found
        return open_index(library, keep=not self.settings.read_only)

    def _make_metadata(self, library: Library, before: MetadataArrays | None) -> MetadataArrays:
        """What filters look at; of a small library, and at first, it is read when it is asked for."""
        if library.id_end() <= SMALL or before is None:
            return MetadataArrays.of(library)
        return self._read_metadata(library, before.names)

    def _make_metadata_ready(self, library: Library) -> MetadataArrays:
        return self._read_metadata(library, ASKED)

    def _read_metadata(self, library: Library, names: Any) -> MetadataArrays:
        found = self._apart.call(apart.read_metadata, library.path, names)
        return found[0] if found else MetadataArrays.of(library)

    def _make_lifts(self, library: Library, before: TagLifts | None) -> TagLifts:
        if library.id_end() > SMALL and not self.settings.read_only:  # what is saved there is read here
            self._apart.call(apart.save_lifts, library.path)
        return tag_lifts(library, before, keep=not self.settings.read_only)

    def _make_catalogue(self, library: Library, before: Catalogue | None) -> Catalogue:
        if library.id_end() > SMALL and (parts := self._apart.call(apart.read_catalogue, library.path)):
            return Catalogue.of_parts(parts)
        return Catalogue(library) if before is None else before.renewed(library)

    def _make_discography(self, library: Library, before: Discography | None) -> Discography:
        if library.id_end() > SMALL and (parts := self._apart.call(apart.read_discography, library.path)):
            return Discography.of_parts(parts)
        return Discography.of(library)

    def catalogue_of(self, library: Library) -> Catalogue:
        """The names of the library's songs."""
        return self.catalogue.of(library)

    def counts_of(self, library: Library) -> "Counts":
        """What the library holds now, by genre, mood, decade and tempo; counted once for each state of it."""
        from mirclr.evaluation.report.overview import counts_of

        version = library.metadata_version
        held = self._counts
        if held is None or held[0] != version:
            held = self._counts = version, counts_of(library)
        return held[1]

    def start(self) -> None:
        """Begin to bring up to date what is shared."""
        self._renewal.start()

    def close(self) -> None:
        """End the threads, once what they do is done."""
        self.media.close()
        self.sent.close()
        self._apart.close()
        self._renewal.stop()
        self._threads.shutdown(cancel_futures=True)
        self._thread_of_names.shutdown(cancel_futures=True)


def _identity(path: Path) -> tuple[int, int] | None:
    """By what a file differs from another that takes its place; None where there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


async def service_of(request: Request) -> Service:
    """The service of the application that was asked; a dependency of routes: async, or it would take a thread."""
    service: Any = request.app.state.service
    assert isinstance(service, Service)
    return service


TheService = Annotated[Service, Depends(service_of)]
"""The type of a route's parameter that is its service."""
