"""A person's library: tracks, vectors, labels and profiles in one SQLite file; the only door to sqlite3.

In: what `mirclr.ingest` found of files (`Entry`, `Failure`), what was predicted or measured of tracks, what a person
stores. Out: tracks, vectors and the rest by track id, for the index, recommendation, classification and evaluation.

Conventions: a track is a file under a `root` (the absolute folder that was embedded), known by its
`path` below it, with '/' whatever the system. An id is never used again. Vectors are unit rows, float32,
little-endian on disk. All of them come from one encoder, whose `EncoderStamp` the library stores; vectors of
another are refused. Each call that writes is one transaction, on disk before it returns, so a killed run
loses the call in flight and no more; readers work on while another process writes.

Paths are stored as bytes, with the system's own handling of names that are not Unicode, so that such files
can be embedded and found; `shown` makes a text of them that can be printed.

Contents: `LibraryStore` (store.py), made of a class for each subject: tracks.py, vectors.py, entries.py (what embedding
writes), labels.py, outlines.py (beats and chords), aspects.py (harmony and rhythm), map_points.py, profiles.py,
song_lists.py, stars.py, places.py (what names files and folders follows them), on the transactions of database.py. What
goes in and out: records.py and excerpts.py.
The file: schema.py, checks.py. Beside these: files.py (may a track's file be opened), names.py (artists, songs and
albums of tracks), discography.py (albums and artists of all tracks), search.py (the text that is searched), renewal.py
(vectors of another encoder), kept_files.py (what mirclr keeps on the disk, and its deletion).
"""

from mirclr.library.excerpts import ExcerptEmbeddings
from mirclr.library.files import leads_out, part_leading_out
from mirclr.library.outlines import CHORDS, Chord, Outline
from mirclr.library.records import (
    Description,
    Entry,
    Failure,
    FileState,
    LibraryTrack,
    Listen,
    Song,
    SongList,
)
from mirclr.library.store import LibraryStore
from mirclr.models.stamp import NO_VECTOR, is_usable
from mirclr.terminal import shown

__all__ = [
    "CHORDS",
    "NO_VECTOR",
    "Chord",
    "Description",
    "Entry",
    "ExcerptEmbeddings",
    "Failure",
    "FileState",
    "LibraryStore",
    "LibraryTrack",
    "Listen",
    "Outline",
    "Song",
    "SongList",
    "is_usable",
    "leads_out",
    "part_leading_out",
    "shown",
]
