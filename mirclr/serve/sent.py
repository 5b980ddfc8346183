"""Audio that is sent, to be classified or identified: kept in a file while that is done, in a process of its own.

That process keeps the library open and its encoder loaded; so the service itself never loads torch, and no file that is
sent can end it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mirclr.errors import AudioError, UnreadableAudio
from mirclr.processes import JobLost, Lost, Pool, begin_worker
from mirclr.serve.problems import Problem
from mirclr.serve.slots import Slots

if TYPE_CHECKING:
    from mirclr.classify import Prediction
    from mirclr.identify import Found

_MOST_S = 300.0  # that one file may take
_KEPT_S = 300.0  # that the process waits for the next
_AT_ONCE = 4  # files that are received or wait
_NAME = "the audio that was sent"
_libraries: dict[Path, Any] = {}  # of the process that does it
_T = TypeVar("_T")


class SentAudio:
    """Finds out something of what is sent, of one after the other.

    Parameters
    ----------
    library : Path
        Whose encoder and heads, and fingerprints.
    most_bytes : int
        Of what is sent.
    """

    def __init__(self, library: Path, most_bytes: int) -> None:
        self._library, self._most_bytes = library, most_bytes
        self._one, self._waiting = asyncio.Lock(), Slots(_AT_ONCE, "files that were sent are being looked at")
        self._pool: Pool | None = None
        self._ending: asyncio.TimerHandle | None = None

    async def run(self, find: Callable[[Path, Path], _T], body: AsyncIterator[bytes]) -> _T:
        """Call ``find(library, file)`` of what is sent; at the top of this module, it is called in the process.

        Raises
        ------
        Problem
            413: it is too long. 503: others are before it.
        AudioError
            It is no audio, or silent or too short.
        """
        give_back = self._waiting.take()
        handle, name = tempfile.mkstemp(prefix="mirclr-", suffix=".sent")
        try:
            with os.fdopen(handle, "wb") as f:
                count = 0
                async for piece in body:
                    count += len(piece)
                    if count > self._most_bytes:
                        raise Problem(413, f"more than {self._most_bytes >> 20} MiB; send a part of the song")
                    await asyncio.to_thread(f.write, piece)
            async with self._one:
                return await self._found(find, Path(name))
        finally:
            give_back()
            with contextlib.suppress(OSError):
                os.unlink(name)

    async def _found(self, find: Callable[[Path, Path], _T], file: Path) -> _T:
        if self._ending:
            self._ending.cancel()
        self._pool = self._pool or Pool(1, begin_worker, lambda *_: _MOST_S)
        try:
            found: _T = await asyncio.wrap_future(self._pool.submit(find, self._library, file))
            return found
        except JobLost as lost:
            if lost.why is Lost.OUT_OF_MEMORY:
                raise MemoryError("not enough memory for it") from None
            raise UnreadableAudio(f"{_NAME}: its decoder crashed, or took too long") from None
        finally:
            self._ending = asyncio.get_running_loop().call_later(_KEPT_S, self.close)

    def close(self) -> None:
        """End the process; the next file that is sent starts another."""
        if self._ending:
            self._ending.cancel()
        if self._pool:
            self._pool.close()
        self._pool = self._ending = None


def predict_sent(library_path: Path, file: Path) -> Prediction:
    """Predict genre, moods and more of a file."""
    from mirclr.classify.sent import predict_file

    library = _library(library_path)
    with _unnamed(file):
        return predict_file(library.heads, library.encoder, file)


def identify_sent(library_path: Path, file: Path, *, keep: bool) -> Found | None:
    """Find the song that a file is a recording of; `keep`: the index of fingerprints is saved where it is made anew."""
    from mirclr.identify import Identifier

    with _unnamed(file):
        return Identifier(_library(library_path), keep=keep).identify(file)


def _library(path: Path) -> Any:
    from mirclr.api import Library

    return _libraries.get(path) or _libraries.setdefault(path, Library.open(path))


@contextlib.contextmanager
def _unnamed(file: Path) -> Iterator[None]:
    """Errors of a file say nothing of where it is kept."""
    try:
        yield
    except AudioError as error:
        raise UnreadableAudio(str(error).replace(str(file), _NAME)) from None
