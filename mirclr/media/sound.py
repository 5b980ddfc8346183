"""The file of a song, and what it is to a browser."""

import stat
from pathlib import Path

from mirclr.audio.playable import browser_type
from mirclr.errors import UnreachableAudio, in_words
from mirclr.library import LibraryTrack, leads_out


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
