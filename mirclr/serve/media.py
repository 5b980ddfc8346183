"""Songs as sound and pictures over HTTP, for the page's routes and the players' alike.

Contents: `sound_response`, `cover_response`, `peaks_of_song`; `Media`, what a service keeps for them.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ParamSpec, TypeVar
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from mirclr.api import Library
from mirclr.audio.mp3 import HEADER
from mirclr.audio.thumbnails import shrink
from mirclr.errors import UnreachableAudio, UnreadableAudio
from mirclr.library import LibraryTrack, shown
from mirclr.media import KINDS, KeptPeaks, Mp3, Picture, cover_of, file_of, opus_pieces, sound_type
from mirclr.processes import JobLost, Pool, begin_worker
from mirclr.serve.problems import Problem
from mirclr.serve.ranges import Asked, Version, asked_of, is_held, version_of
from mirclr.serve.slots import Slots

if TYPE_CHECKING:
    from mirclr.serve.service import Service

_CHUNK = 1 << 18
_COVER_S = 3600  # that a browser may show a cover without asking again
_SMALL_BYTES = 24 << 10  # a picture of so few is not made smaller
_SMALLER_BYTES = 32 << 20  # of covers made smaller that are kept
_SHRINK_S = 20.0
_KBPS = {"mp3": 192, "opus": 128}  # of what is made, unless less is asked for
_LEAST_KBPS = 32
_MORE = 4  # threads for covers
_WAVEFORMS = 32
_LOG = logging.getLogger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Media:
    """What a service keeps for sound and pictures: threads that wait for processes, and covers made smaller.

    Parameters
    ----------
    streams : int
        Songs that are sent at once, at most.
    transcoded : int
        Of these, songs that are transcoded.
    read_only : bool
        Whether no waveform is kept on disk.
    """

    def __init__(self, streams: int, transcoded: int, *, read_only: bool) -> None:
        self.streams = Slots(streams, "songs are being sent")
        self.transcoded = Slots(transcoded, "songs are being sent in another format")
        self.waveforms = Slots(_WAVEFORMS, "waveforms are being drawn")
        self.threads = ThreadPoolExecutor(streams + _MORE, thread_name_prefix="media")
        self.drawing = ThreadPoolExecutor(1, thread_name_prefix="waveforms")
        self.peaks = KeptPeaks() if read_only else KeptPeaks.of_user()
        self._shrinking: Pool | None = None
        self._smaller: OrderedDict[bytes, bytes] = OrderedDict()

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call a function in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, lambda: function(*args, **kwargs))

    async def smaller(self, picture: Picture, side: int) -> Picture:
        """A picture of at most so many pixels a side where it is larger; made in a process of its own, and kept."""
        if len(picture.data) <= _SMALL_BYTES:
            return picture
        key = blake2b(picture.data, digest_size=16, salt=str(side).encode()).digest()
        data = self._smaller.get(key)
        if data is None:
            self._shrinking = self._shrinking or Pool(1, begin_worker, lambda *_: _SHRINK_S)
            future = self._shrinking.submit(shrink, picture.data, picture.media_type, side)
            try:
                data = await asyncio.wrap_future(future) or b""
            except JobLost:
                data = b""  # what crashes a decoder here is left to that of the browser
            self._smaller[key] = data
            while sum(map(len, self._smaller.values())) > _SMALLER_BYTES:
                self._smaller.popitem(last=False)
        return Picture(data, "image/jpeg", picture.kind) if data else picture

    def close(self) -> None:
        """End threads and processes."""
        if self._shrinking:
            self._shrinking.close()
        for threads in (self.threads, self.drawing):
            threads.shutdown(wait=False, cancel_futures=True)


class _Pieces(StreamingResponse):
    """Pieces that are made in threads while they are sent; whatever ends the response ends what makes them."""

    def __init__(
        self,
        pieces: Iterator[bytes],
        media: Media,
        ended: Callable[[], None],
        headers: dict[str, str],
        status: int = 200,
    ) -> None:
        self._pieces, self._media, self._ended = pieces, media, ended
        self._pending: Future[bytes | None] | None = None
        super().__init__(self, status, headers)

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> bytes:
        self._pending = self._media.threads.submit(next, self._pieces, None)
        try:
            piece = await asyncio.wrap_future(self._pending)
        except (UnreadableAudio, OSError) as error:  # the status is sent: all that is left is to end
            _LOG.warning("%s", shown(str(error)))
            piece = None
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.end()

    def end(self) -> None:
        """Close what makes the pieces, as soon as it is not at work."""

        def close(_: object = None) -> None:
            getattr(self._pieces, "close", lambda: None)()
            self._ended()

        if self._pending is None or self._pending.cancel() or self._pending.done():
            close()
        else:
            self._pending.add_done_callback(close)


async def sound_response(
    service: Service,
    request: Request,
    track_id: int,
    *,
    kind: str | None = None,
    start_s: float = 0.0,
    max_kbps: int | None = None,
) -> Response:
    """Answer with a song's sound.

    Without a kind it is the song's own file, byte for byte, where browsers play that; else mp3, made while it is sent.
    Both have a length and ranges. Opus that is made has neither: a client seeks by `start_s`.

    Parameters
    ----------
    service, request
        Who answers what; of the request the method and its headers count.
    track_id : int
        The song.
    kind : str, optional
        Of `mirclr.media.KINDS`; or ``raw`` for the file whatever it is; a part of a file is sent as without a kind.
    start_s : float
        Where in the song to begin; above 0 it is not the file that is sent.
    max_kbps : int, optional
        Kilobits a second that must do: a file of more is not sent as it is.
    """
    track = await service.call(Library.track, track_id)
    media = service.media
    if not 0 <= start_s < max(track.duration_s, 1e-3):
        raise Problem(422, f"start_s: found {start_s:g}; expected 0 to {track.duration_s:.1f}, as long as the song is")
    media_type = await media.run(sound_type, track)
    if kind == "raw" and track.span is None:
        media_type = media_type or guess_type(f"x{track.file.suffix}")[0] or ""
        return await _file_response(media, request, track, media_type if media_type[:6] == "audio/" else _UNKNOWN)
    kind = None if kind == "raw" else kind  # a part of a file is none
    fits = max_kbps is None or await media.run(_kbps_of, track) <= max_kbps
    if kind is None and media_type and fits and not start_s:
        return await _file_response(media, request, track, media_type)
    kbps = max_kbps or _KBPS[kind or "mp3"]
    if kind == "opus":
        return await _opus_response(media, request, track, start_s, max(_LEAST_KBPS, min(kbps, _KBPS[kind])))
    return await _mp3_response(media, request, track, start_s, min(kbps, _KBPS["mp3"]))


def _kbps_of(track: LibraryTrack) -> float:
    return _facts(track).st_size / 125 / max(track.duration_s, 1e-3)


_UNKNOWN = "application/octet-stream"


async def _file_response(media: Media, request: Request, track: LibraryTrack, media_type: str) -> Response:
    file = await media.run(_opened, track)
    try:
        facts = os.fstat(file.fileno())
        version = version_of(facts.st_size, facts.st_mtime_ns)
        reply = _reply(request, version, media_type, track.file.name)
        if isinstance(reply, Response):
            file.close()
            return reply
        asked, headers = reply
        return _Pieces(_parts(file, asked.begin, asked.end), media, media.streams.take(), headers, asked.status)
    except BaseException:
        file.close()
        raise


def _reply(request: Request, version: Version, media_type: str, name: str) -> Response | tuple[Asked, dict[str, str]]:
    """The answer where it has no content, or else which part is asked for, with the headers.

    Raises
    ------
    Problem
        412 and 416.
    """
    asked = asked_of(request.method, request.headers, version)
    headers = version.headers | {"Accept-Ranges": "bytes", "Cache-Control": "private, no-cache"}
    if asked.status == 416:
        raise Problem(416, "the song has no such bytes", headers={"Content-Range": f"bytes */{version.size}"})
    if asked.status == 412:
        raise Problem(412, "the song is another now than the one that was asked for")
    if asked.status == 304:
        return Response(status_code=304, headers=headers)
    headers |= {"Content-Length": str(asked.end - asked.begin), "Content-Type": media_type}
    headers["Content-Disposition"] = _disposition(name)
    if asked.status == 206:
        headers["Content-Range"] = f"bytes {asked.begin}-{asked.end - 1}/{version.size}"
    return Response(headers=headers) if request.method == "HEAD" else (asked, headers)


def _opened(track: LibraryTrack) -> BinaryIO:
    file = file_of(track)
    try:
        return file.open("rb")
    except OSError as error:
        raise UnreachableAudio(f"{track.label}: its file cannot be read ({error.strerror})") from None


def _parts(file: BinaryIO, begin: int, end: int) -> Iterator[bytes]:
    with file:
        file.seek(begin)
        while begin < end and (data := file.read(min(_CHUNK, end - begin))):
            begin += len(data)
            yield data


async def _mp3_response(media: Media, request: Request, track: LibraryTrack, start_s: float, kbps: int) -> Response:
    mp3 = Mp3(track, kbps, start_s)
    facts = await media.run(_facts, track)
    of_file = version_of(facts.st_size, facts.st_mtime_ns)
    etag = f'{of_file.etag[:-1]}-{mp3.kbps}-{track.start_s:g}-{start_s:g}"'
    reply = _reply(request, Version(mp3.size, etag, of_file.changed_s), KINDS["mp3"], _named(track, "mp3"))
    if isinstance(reply, Response):
        return reply
    asked, headers = reply
    return await _made(media, mp3.pieces(asked.begin, asked.end), headers, asked.status)


async def _opus_response(media: Media, request: Request, track: LibraryTrack, start_s: float, kbps: int) -> Response:
    headers = {"Content-Type": KINDS["opus"], "Accept-Ranges": "none", "Cache-Control": "private, no-store"}
    headers["Content-Disposition"] = _disposition(_named(track, "opus"))
    if request.method == "HEAD":
        response = Response(headers=headers)
        del response.headers["content-length"]  # it is not known
        return response
    return await _made(media, opus_pieces(track, kbps, start_s), headers, 200)


def _named(track: LibraryTrack, suffix: str) -> str:
    return f"{Path(track.place.name).stem}.{suffix}"


async def _made(media: Media, pieces: Iterator[bytes], headers: dict[str, str], status: int) -> Response:
    """Answer with what is made; what is wrong with the file is reported while that can be."""
    slots = [media.streams.take()]

    def ended() -> None:
        for give_back in slots:
            give_back()

    try:
        slots.append(media.transcoded.take())
        first = [await media.run(next, pieces, b"")]
        if len(first[0]) <= len(HEADER):  # which is there whatever the file is
            first.append(await media.run(next, pieces, b""))
    except BaseException:
        ended()
        raise
    return _Pieces(_with_first(first, pieces), media, ended, headers, status)


def _with_first(first: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield b"".join(first)
        yield from rest
    finally:
        getattr(rest, "close", lambda: None)()


def _facts(track: LibraryTrack) -> os.stat_result:
    file = file_of(track)
    try:
        return file.stat()
    except OSError as error:
        raise UnreachableAudio(f"{track.label}: its file cannot be read ({error.strerror})") from None


def _disposition(name: str) -> str:
    """A header that gives a file's name, whatever letters that has."""
    return f"inline; filename*=UTF-8''{quote(shown(name), safe='')}"


async def cover_response(
    service: Service, request: Request, track_id: int, side: int | None = None, *, or_empty: bool = False
) -> Response:
    """Answer with a song's cover, of at most `side` pixels a side; where it has none, without content if so wanted.

    Raises
    ------
    Problem
        404: it has none.
    """
    track = await service.call(Library.track, track_id)
    picture = await service.media.run(cover_of, track)
    if picture is None and or_empty:
        return Response(status_code=204, headers={"Cache-Control": f"private, max-age={_COVER_S}"})
    if picture is None:
        raise Problem(404, f"{track.label} has no cover, neither in its file nor beside it")
    if side is not None:
        picture = await service.media.smaller(picture, side)
    etag = f'"{blake2b(picture.data, digest_size=12).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": f"private, max-age={_COVER_S}"}
    if is_held(request.headers, etag):
        return Response(status_code=304, headers=headers)
    return Response(picture.data, media_type=picture.media_type, headers=headers)


async def peaks_of_song(service: Service, track_id: int, n: int) -> bytes:
    """The peaks of a song's waveform; see `mirclr.media.KeptPeaks`."""
    track, media = await service.call(Library.track, track_id), service.media
    give_back = media.waveforms.take()
    try:
        return await asyncio.get_running_loop().run_in_executor(media.drawing, media.peaks.of, track, n)
    finally:
        give_back()
