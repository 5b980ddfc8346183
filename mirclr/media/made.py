"""A song's sound in another format, made while it is sent, in a process of its own.

That process is never more than a little ahead of who takes the pieces, and ends when the iterator is closed.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mirclr.audio import MAX_SECONDS, why_lost
from mirclr.audio.mp3 import FRAME_S, HEADER, KBPS, count_frames, frame_bytes, silent_frame, try_mp3_frames
from mirclr.audio.transcoding import try_transcoded
from mirclr.errors import UnreadableAudio
from mirclr.library import LibraryTrack, shown
from mirclr.media.sound import file_of
from mirclr.processes import Lost, streamed

KINDS: Mapping[str, str] = {"mp3": "audio/mpeg", "opus": "audio/ogg; codecs=opus"}
"""What a song can be sent as, with its media type. Every browser and player knows the first."""
_PIECE_S = 120.0  # that a piece may take: a file may be read to its end before the first
_LOG = logging.getLogger(__name__)


class Mp3:
    """A song as mp3, whose bytes are known by number before they are made; see `mirclr.audio.mp3`.

    Parameters
    ----------
    track : LibraryTrack
        Of a part of a file it is that part alone.
    kbps : int
        Kilobits a second, at most; the nearest that mp3 knows below that.
    start_s : float
        Where in the song to begin.

    Attributes
    ----------
    size : int
        In bytes.
    """

    def __init__(self, track: LibraryTrack, kbps: int, start_s: float = 0.0) -> None:
        self._track = track
        self.kbps = max((k for k in KBPS if k <= kbps), default=KBPS[0])
        self._frame = frame_bytes(self.kbps)
        self._first = int(start_s / FRAME_S)
        self._count = max(1, count_frames(min(track.duration_s, MAX_SECONDS)) - self._first)
        self.size = len(HEADER) + self._count * self._frame

    def pieces(self, begin: int, end: int) -> Iterator[bytes]:
        """The bytes from one to before another, as many as that are: what cannot be decoded is silent.

        Raises
        ------
        UnreadableAudio
            Nothing of it can be decoded, or the file cannot be opened.
        """
        if begin < len(HEADER):
            yield HEADER[begin:end]
        begin, end = max(0, begin - len(HEADER)), end - len(HEADER)
        if end <= begin:
            return
        frames = self._frames(begin // self._frame)
        skip, left = begin % self._frame, end - begin
        for piece in frames:
            part = piece[skip : skip + left]
            skip, left = max(0, skip - len(piece)), left - len(part)
            if part:
                yield part
            if not left:
                frames.close()
                return

    def _frames(self, first: int) -> Any:
        """The frames from one on, to the last; silent ones where the sound ends before."""
        made = 0
        job = (self.kbps, self._track.span, self._first + first)
        try:
            for piece in _pieces(self._track, try_mp3_frames, *job):
                made += len(piece) // self._frame
                yield piece
        except UnreadableAudio as error:
            if not made:
                raise
            _LOG.warning("%s", shown(str(error)))
        silence = silent_frame(self.kbps)
        for _ in range(first + made, self._count):
            yield silence


def opus_pieces(track: LibraryTrack, kbps: int, start_s: float = 0.0) -> Iterator[bytes]:
    """A song as Opus from a place on, to its end; how many bytes that are is not known before.

    Raises
    ------
    UnreadableAudio
        It cannot be decoded; of what is damaged further on after the pieces before it.
    """
    return _pieces(track, try_transcoded, "opus", kbps, track.span, start_s)


def _pieces(track: LibraryTrack, make: Callable[..., Iterator[bytes | str]], *job: Any) -> Iterator[bytes]:
    """What a process makes of a song's file."""
    file = file_of(track)
    for piece in streamed(make, file, *job, item_s=_PIECE_S):
        if isinstance(piece, Lost):
            raise UnreadableAudio(why_lost(track.label, piece))
        if isinstance(piece, str):
            raise UnreadableAudio(piece.replace(str(file), track.label))
        yield piece
