"""The SQLite file of a library: opened, recognised, made, migrated; and what SQLite raises, explained."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from mirclr.errors import LibraryBusy, LibraryError
from mirclr.library.checks import check_schema, limit
from mirclr.terminal import shown

_APPLICATION_ID = 0x6D69726C  # "mirl": marks the SQLite file as ours
_BUSY_MS = 30_000
_PAGE_BYTES = 8192  # of 4096, vectors of 512 components would leave half of each page empty

# Element v brings a library of schema version v to version v + 1. Never edit one that was released: add one.
_MIGRATIONS = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE track (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            root BLOB NOT NULL, path BLOB NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
            file_digest TEXT NOT NULL, audio_digest TEXT NOT NULL, duration_s REAL NOT NULL,
            title TEXT, artist TEXT, album TEXT, album_artist TEXT, genre TEXT, year INTEGER,
            folded TEXT NOT NULL,
            UNIQUE (root, path))""",
        "CREATE INDEX track_file_digest ON track (file_digest)",
        "CREATE INDEX track_audio_digest ON track (audio_digest)",
        """CREATE TABLE vector (
            track_id INTEGER PRIMARY KEY REFERENCES track ON DELETE CASCADE, components BLOB NOT NULL)""",
        """CREATE TABLE failure (
            root BLOB NOT NULL, path BLOB NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
            reason TEXT NOT NULL, PRIMARY KEY (root, path)) WITHOUT ROWID""",
        "CREATE TABLE task (name TEXT PRIMARY KEY, source TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE probability (
            task TEXT NOT NULL REFERENCES task ON DELETE CASCADE,
            track_id INTEGER NOT NULL REFERENCES track ON DELETE CASCADE,
            label TEXT NOT NULL, probability REAL NOT NULL CHECK (probability BETWEEN 0 AND 1),
            PRIMARY KEY (task, track_id, label)) WITHOUT ROWID""",
        "CREATE INDEX probability_track ON probability (track_id)",
    ),
    (
        """CREATE TABLE description (
            track_id INTEGER PRIMARY KEY REFERENCES track ON DELETE CASCADE,
            tempo_bpm REAL, key TEXT, key_strength REAL NOT NULL, loudness_lufs REAL)""",
    ),
    (
        # every generation there was: what is derived from another copy's is noticed, whatever their numbers
        "CREATE TABLE change (generation INTEGER PRIMARY KEY)",
        "INSERT INTO change SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'generation'",
        "ALTER TABLE vector ADD COLUMN generation INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX vector_generation ON vector (generation)",
        """CREATE TABLE moment (
            track_id INTEGER PRIMARY KEY REFERENCES track ON DELETE CASCADE, rows BLOB NOT NULL)""",
        """CREATE TABLE duplicate (
            first INTEGER NOT NULL REFERENCES track ON DELETE CASCADE,
            second INTEGER NOT NULL REFERENCES track ON DELETE CASCADE,
            likelihood REAL NOT NULL CHECK (likelihood BETWEEN 0 AND 1),
            PRIMARY KEY (first, second), CHECK (first < second)) WITHOUT ROWID""",
        "CREATE INDEX duplicate_second ON duplicate (second)",
        "CREATE INDEX probability_label ON probability (task, label, probability)",
        "CREATE TABLE block (rule TEXT PRIMARY KEY) WITHOUT ROWID",
        "CREATE TABLE playlist (name TEXT PRIMARY KEY, query TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE profile (name TEXT PRIMARY KEY) WITHOUT ROWID",
        """CREATE TABLE listen (
            profile TEXT NOT NULL REFERENCES profile ON DELETE CASCADE,
            artist TEXT NOT NULL, title TEXT NOT NULL, album TEXT NOT NULL, file BLOB NOT NULL,
            plays INTEGER NOT NULL, last_s REAL, taste INTEGER NOT NULL CHECK (taste IN (-1, 0, 1)),
            PRIMARY KEY (profile, artist, title, file)) WITHOUT ROWID""",
    ),
    (
        # whether the album is a compilation, by the file's tags; what is wrong with a file that plays all the same
        "ALTER TABLE track ADD COLUMN compilation INTEGER",
        "ALTER TABLE track ADD COLUMN remark TEXT",
        # a track that is a part of a file, by a CUE sheet: its file below the root, and where it begins
        "ALTER TABLE track ADD COLUMN audio_path BLOB",
        "ALTER TABLE track ADD COLUMN start_s REAL NOT NULL DEFAULT 0",
        # of all bytes of the file; NULL of one that was embedded before this was stored
        "ALTER TABLE track ADD COLUMN content_digest TEXT",
        # how tags were read (`mirclr.tags.READING`), so that those of an unchanged file are read anew when more is read
        "ALTER TABLE track ADD COLUMN tags_read INTEGER NOT NULL DEFAULT 0",
        # patterns of folders and files below a root that are left out
        "CREATE TABLE exclusion (root BLOB NOT NULL, pattern TEXT NOT NULL, PRIMARY KEY (root, pattern)) WITHOUT ROWID",
    ),
    (
        # where a track stands among the others of its album
        "ALTER TABLE track ADD COLUMN track_number INTEGER",
        "ALTER TABLE track ADD COLUMN disc_number INTEGER",
        # when it came into the library; NULL of one that came before this was stored
        "ALTER TABLE track ADD COLUMN added_s REAL",
        # where a track lies on the map of the library
        """CREATE TABLE map_point (
            track_id INTEGER PRIMARY KEY REFERENCES track ON DELETE CASCADE, x REAL NOT NULL, y REAL NOT NULL)""",
        # lists of songs that a person put together
        """CREATE TABLE song_list (
            id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
            made_s REAL NOT NULL, changed_s REAL NOT NULL, comment TEXT NOT NULL)""",
        """CREATE TABLE song_list_track (
            list_id INTEGER NOT NULL REFERENCES song_list ON DELETE CASCADE, position INTEGER NOT NULL,
            track_id INTEGER NOT NULL REFERENCES track ON DELETE CASCADE,
            PRIMARY KEY (list_id, position)) WITHOUT ROWID""",
        "CREATE INDEX song_list_track_id ON song_list_track (track_id)",
        # what a listener starred, and when: an artist or an album by name, a song, liked as a listen too, by its id
        """CREATE TABLE star (
            profile TEXT NOT NULL REFERENCES profile ON DELETE CASCADE,
            kind TEXT NOT NULL CHECK (kind IN ('artist', 'album', 'song')),
            name TEXT NOT NULL, at_s REAL NOT NULL, PRIMARY KEY (profile, kind, name)) WITHOUT ROWID""",
    ),
    (
        # the landmarks of a track's sound, and when they were found, so that what is derived of them is noticed as old
        """CREATE TABLE fingerprint (
            track_id INTEGER PRIMARY KEY REFERENCES track ON DELETE CASCADE,
            made_ns INTEGER NOT NULL, landmarks BLOB NOT NULL)""",
        "CREATE INDEX fingerprint_made ON fingerprint (track_id, made_ns)",
    ),
    (
        # the beats, bars and chords of a track
        """CREATE TABLE outline (
            track_id INTEGER PRIMARY KEY REFERENCES track ON DELETE CASCADE, outline BLOB NOT NULL)""",
    ),
    (
        # what tracks are compared by beside their sound; empty where there is none
        """CREATE TABLE aspect (
            track_id INTEGER PRIMARY KEY REFERENCES track ON DELETE CASCADE,
            harmony BLOB NOT NULL, rhythm BLOB NOT NULL)""",
    ),
)


SCHEMA_VERSION = len(_MIGRATIONS)


def connect(path: Path) -> sqlite3.Connection:
    """Open a library file for reading and writing, or for reading where it cannot be written."""
    if may_be_written(path):
        db = sqlite3.connect(path, timeout=_BUSY_MS / 1000, isolation_level=None)
    else:
        # SQLite cannot make its -shm file here; without a -wal file nobody is writing, and none is needed
        mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"
        db = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)
    db.row_factory = sqlite3.Row
    limit(db)
    db.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA synchronous = FULL")
    return db


def may_be_written(path: Path) -> bool:
    """Whether a library file may be written, or made, as far as the system tells."""
    return os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))


def is_library(path: Path) -> bool:
    """Whether a file is a library of mirclr's, of whatever version, damaged or not."""
    with suppress(OSError), path.open("rb") as f:
        head = f.read(72)
        if head.startswith(b"SQLite format 3\0") and int.from_bytes(head[68:72], "big") == _APPLICATION_ID:
            return True
    if not path.is_file():
        return False
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(path, timeout=1.0)) as db,
    ):  # it may stand in its -wal file yet
        return bool(db.execute("PRAGMA application_id").fetchone()[0] == _APPLICATION_ID)
    return False


def is_of_earlier(db: sqlite3.Connection, path: Path) -> bool:
    """Whether `bring_up_to_date` would change a file."""
    return _version(db, path, create=False) < SCHEMA_VERSION


def bring_up_to_date(db: sqlite3.Connection, path: Path, create: bool) -> None:
    """Refuse a file that is not ours; make the tables of a new one; migrate an old one."""
    db.execute("BEGIN")  # version and schema are to be of one moment
    try:
        version = _checked_version(db, path, create)
    finally:
        db.rollback()
    if version == SCHEMA_VERSION:
        return
    import secrets

    db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # of a new file; WAL fixes it
    db.execute("PRAGMA journal_mode = WAL")  # stays in the file; other systems than local disks may refuse it
    db.execute("BEGIN IMMEDIATE")
    try:
        # another process may have made the tables while this one waited
        for statement in _statements(_checked_version(db, path, create), SCHEMA_VERSION):
            db.execute(statement)
        db.execute("INSERT OR IGNORE INTO meta VALUES ('uuid', ?)", (secrets.token_hex(16),))
        db.execute("INSERT OR IGNORE INTO meta VALUES ('generation', '0')")
        db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.commit()
    except BaseException:
        db.rollback()
        raise


def _statements(begin: int, end: int) -> list[str]:
    return [statement for statements in _MIGRATIONS[begin:end] for statement in statements]


def _checked_version(db: sqlite3.Connection, path: Path, create: bool) -> int:
    version = _version(db, path, create)
    check_schema(db, path, _statements(0, version))
    return version


def _version(db: sqlite3.Connection, path: Path, create: bool) -> int:
    """The schema version of the file; 0 when it is empty and may become a library."""
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if application != _APPLICATION_ID:
        empty = not db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        if not (empty and create and version == 0):
            raise LibraryError(f"{path}: {'empty' if empty else 'a database of something else'}; not a mirclr library")
    elif version > SCHEMA_VERSION:
        raise LibraryError(
            f"{path}: of schema version {version}; this mirclr knows versions up to {SCHEMA_VERSION}; "
            f"update with: pip install --upgrade mirclr"
        )
    return version


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into a line for people."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:  # of a damaged file even the message may be no text
        text = str(error)
        if "locked" in text:
            why = "another process has been writing to it for long; try again when it is done"
            raise LibraryBusy(f"{path}: {why}") from error
        if "not a database" in text:
            text = "not a mirclr library"
        elif "malformed" in text or "decode" in text or "too big" in text:
            text = f"not a library of mirclr's, or damaged ({text}); use a copy of it, or embed the music again"
        elif "closed database" in text:
            text = "it is closed; open it again"
        elif "created in a thread" in text:
            text = "it is used by the thread that opened it; open it once more in the other"
        elif "readonly" in text:
            text = "it, or its folder, may not be written; copy it to where you can write"
        raise LibraryError(f"{path}: {shown(text)[:200]}") from error
