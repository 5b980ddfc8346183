"""The file of a song, what it is to a browser, and its sound in another format while it is decoded."""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from mirclr.audio import why_lost
from mirclr.audio.playable import browser_type
from mirclr.audio.transcoding import try_transcoded
from mirclr.errors import UnreachableAudio, UnreadableAudio, in_words
from mirclr.library import LibraryTrack, leads_out
from mirclr.processes import Lost, streamed

KINDS: Mapping[str, str] = {"mp3": "audio/mpeg", "opus": "audio/ogg; codecs=opus"}
"""What a song can be sent as, with its media type. Every browser and player knows the first."""
_PIECE_S = 120.0  # that a piece may take: a file is read to its end before the first


def file_of(track: LibraryTrack) -> Path:
    """The file of a song, which may be opened.

    Raises
    ------
    UnreachableAudio
        It is not there, may not be read, is no regular file, or only a link leads to it from its folder.
    """
    file = track.file
    try:
        regular = stat.S_ISREG(file.stat().st_mode)
    except (OSError, ValueError) as error:
        why = in_words(error, file) if isinstance(error, OSError) else "its name cannot be that of a file"
        raise UnreachableAudio(f"{track.label}: its file cannot be read ({why}); is its disk there?") from None
    if not regular:
        raise UnreachableAudio(f"{track.label}: not a regular file")
    if leads_out(track.root, file):
        raise UnreachableAudio(f"{track.label}: its file is a link that leads out of its folder, and is not opened")
    return file


def sound_type(track: LibraryTrack) -> str | None:
    """The media type of a song's file where browsers play that and it is this song alone; else None.

    Raises
    ------
    UnreachableAudio
        As of `file_of`.
    """
    file = file_of(track)
    try:
        return browser_type(file) if track.span is None else None
    except OSError as error:
        raise UnreachableAudio(f"{track.label}: its file cannot be read ({in_words(error, file)})") from None


def transcoded_pieces(track: LibraryTrack, kind: str, *, kbps: int = 192, start_s: float = 0.0) -> Iterator[bytes]:
    """A song as a file of another kind, piece by piece, decoded and encoded in a process of its own.

    That process is never more than a little ahead of who takes the pieces, and ends when the iterator is closed.

    Parameters
    ----------
    track : LibraryTrack
        Of a part of a file that part alone.
    kind : str
        Of `KINDS`.
    kbps : int
        Kilobits a second.
    start_s : float
        Where in the song to begin.

    Raises
    ------
    UnreachableAudio
        As of `file_of`.
    UnreadableAudio
        It cannot be decoded; of what is damaged further on after the pieces before it.
    """
    file = file_of(track)
    for piece in streamed(try_transcoded, file, kind, kbps, track.span, start_s, item_s=_PIECE_S):
        if isinstance(piece, Lost):
            raise UnreadableAudio(why_lost(track.label, piece))
        if isinstance(piece, str):
            raise UnreadableAudio(piece.replace(str(file), track.label))
        yield piece
