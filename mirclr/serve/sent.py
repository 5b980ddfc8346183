"""Audio that is sent to be classified: kept in a file while that is done, in a process that keeps the encoder.

So the service itself never loads torch, and no file that is sent can end it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirclr.errors import UnreadableAudio
from mirclr.processes import JobLost, Lost, Pool, begin_worker
from mirclr.serve.problems import Problem
from mirclr.serve.slots import Slots

if TYPE_CHECKING:
    from mirclr.classify import Prediction

_MOST_S = 300.0  # that one file may take
_KEPT_S = 300.0  # that the process waits for the next
_AT_ONCE = 4  # files that are received or wait
_NAME = "the audio that was sent"
_libraries: dict[Path, Any] = {}  # of the process that classifies


class Classifier:
    """Classifies what is sent, one after the other.

    Parameters
    ----------
    library : Path
        Whose encoder and heads.
    most_bytes : int
        Of what is sent.
    """

    def __init__(self, library: Path, most_bytes: int) -> None:
        self._library, self._most_bytes = library, most_bytes
        self._one, self._waiting = asyncio.Lock(), Slots(_AT_ONCE, "files are being classified")
        self._pool: Pool | None = None
        self._ending: asyncio.TimerHandle | None = None

    async def predict(self, body: AsyncIterator[bytes]) -> Prediction:
        """Predict genre and moods of what is sent.

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
                return await self._predicted(Path(name))
        finally:
            give_back()
            with contextlib.suppress(OSError):
                os.unlink(name)

    async def _predicted(self, file: Path) -> Prediction:
        if self._ending:
            self._ending.cancel()
        self._pool = self._pool or Pool(1, begin_worker, lambda *_: _MOST_S)
        try:
            found: Prediction = await asyncio.wrap_future(self._pool.submit(predict_sent, self._library, file))
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
    """Predict of a file; in the process of a `Classifier`, which keeps the library open and its encoder loaded."""
    from mirclr.api import Library
    from mirclr.classify.sent import predict_file

    library = _libraries.get(library_path) or _libraries.setdefault(library_path, Library.open(library_path))
    try:
        return predict_file(library.heads, library.encoder, file)
    except UnreadableAudio as error:
        raise UnreadableAudio(str(error).replace(str(file), _NAME)) from None
