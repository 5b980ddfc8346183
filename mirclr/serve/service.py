"""`Service`: one library for many requests: a few threads, each with its own connection, and one index for all."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

from fastapi import Depends, Request

from mirclr.api import Library
from mirclr.index import Index, open_index
from mirclr.recommend import Catalogue
from mirclr.serve.media import Media
from mirclr.serve.sent import Classifier
from mirclr.serve.settings import ServeSettings

_THREADS = 4
_P = ParamSpec("_P")
_T = TypeVar("_T")


class SharedLibrary(Library):
    """A library of one thread, with the index of its `Service`."""

    service: "Service"

    @property
    def index(self) -> Index:
        """Nearest neighbours among its vectors, shared by all threads."""
        return self.service.index_of(self)


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
        self._local = threading.local()
        self._lock = threading.Lock()
        self._index: tuple[int, Index] | None = None
        self._catalogue: tuple[object, Catalogue] | None = None
        self.media = Media(settings.limits.streams, settings.limits.transcoded, read_only=settings.read_only)
        self.classifier = Classifier(settings.library, settings.limits.audio_bytes)

    async def call(self, function: Callable[Concatenate[Library, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call ``function(library, …)`` in a thread that has the library open; returns or raises what it does."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function(self._library(), *args, **kwargs))

    def _library(self) -> SharedLibrary:
        library: SharedLibrary | None = getattr(self._local, "library", None)
        if library is None:
            library = SharedLibrary.open(self.settings.library, create=not self.settings.read_only)
            library.service = self
            self._local.library = library
        return library

    def index_of(self, library: Library) -> Index:
        """The index of the library as it is now; made by one thread while the others wait."""
        generation = library.generation
        with self._lock:
            if self._index is None or self._index[0] != generation:
                self._index = generation, open_index(library)
            return self._index[1]

    def catalogue_of(self, library: Library) -> Catalogue:
        """The names of the library's songs as it is now; made by one thread while the others wait."""
        version = library.tracks_version, library.descriptions_version
        with self._lock:
            if self._catalogue is None or self._catalogue[0] != version:
                self._catalogue = version, Catalogue(library)
            return self._catalogue[1]

    def close(self) -> None:
        """End the threads, once what they do is done."""
        self.media.close()
        self.classifier.close()
        self._threads.shutdown(cancel_futures=True)


def service_of(request: Request) -> Service:
    """The service of the application that was asked; a dependency of routes."""
    service: Any = request.app.state.service
    assert isinstance(service, Service)
    return service


TheService = Annotated[Service, Depends(service_of)]
"""The type of a route's parameter that is its service."""
