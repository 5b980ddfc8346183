"""By what files of notes are known to be of mirclr, so that they may be written anew and others may not."""

from pathlib import Path

from mirclr.provenance import open_regular

MARK = "notes found by mirclr"
COLUMNS = ("onset_s", "offset_s", "pitch", "velocity", "probability")
"""Of a table of notes."""
_WITHIN = 2048  # bytes


def is_ours(path: Path) -> bool:
    """Whether a MIDI file, a table, a picture or a sound is one that was made here of notes."""
    with open_regular(path) as file:
        start = file.read(_WITHIN)
    return MARK.encode() in start or start.startswith(",".join(COLUMNS).encode())
