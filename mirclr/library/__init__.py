"""A person's library: tracks, tags and vectors in one SQLite file; the only door to sqlite3.

Conventions: a track is a file under a `root` (the absolute folder that was embedded), known by its
`path` below it, with '/' whatever the system. An id is never used again. Vectors are unit rows, float32,
little-endian on disk. All of them come from one encoder, whose `EncoderStamp` the library keeps; vectors of
another are refused. Each call that writes is one transaction, on disk before it returns, so a killed run
loses the call in flight and no more; readers work on while another process writes.

Paths are stored as bytes, with the system's own handling of names that are not Unicode, so that such files
can be embedded and found; `shown` makes a text of them that can be printed.

Contents: `Library` (store.py), what it holds and hands out (records.py, moments.py), the file (schema.py).
"""

from mirclr.library.moments import Moments
from mirclr.library.records import (
    Description,
    Entry,
    Failure,
    FileState,
    LibraryTrack,
    Listen,
    leads_out,
    part_leading_out,
    shown,
)
from mirclr.library.store import Library
from mirclr.models.stamp import NO_VECTOR, is_usable

__all__ = [
    "NO_VECTOR",
    "Description",
    "Entry",
    "Failure",
    "FileState",
    "Library",
    "LibraryTrack",
    "Listen",
    "Moments",
    "is_usable",
    "leads_out",
    "part_leading_out",
    "shown",
]
