"""By what files of notes are known to be of mirclr, and of which song: these may be written anew, others may not."""

import os
from pathlib import Path

from mirclr.provenance import digest_bytes, open_regular

MARK = "notes found by mirclr"
COLUMNS = ("onset_s", "offset_s", "pitch", "velocity", "probability")
"""Of a table of notes."""
_WITHIN = 2048  # bytes
_DIGITS = 16  # of a digest: two songs of one folder never share them


def mark_of(song: Path | None) -> str:
    """What a file of notes says of itself: that it is from here, and a digest of where its song lies."""
    return f"{MARK} in {digest_bytes(os.fsencode(os.path.realpath(song)))[:_DIGITS]}" if song else MARK


def is_ours(path: Path, song: Path | None = None) -> bool:
    """Whether a MIDI file, a table, a picture or a sound is one that was made here of notes; of this song, if any.

    A table does not say of which song it is, and may be of any.
    """
    with open_regular(path) as file:
        start = file.read(_WITHIN)
    return mark_of(song).encode() in start or start.startswith(",".join(COLUMNS).encode())
