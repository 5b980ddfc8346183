"""Another encoder for a library: what does not hang on vectors is carried over, and all replaced at once.

The new vectors are made in a library of their own, beside the old one, which answers until they are all there.
"""

from dataclasses import fields
from pathlib import Path

from mirclr.errors import LibraryError
from mirclr.library.records import EncoderStamp, shown
from mirclr.library.schema import explained
from mirclr.library.store import Library
from mirclr.provenance import size_and_time
from mirclr.tags import Tags

# of tracks that are in both by the same file with the same content
_SAME = """JOIN old.track {0}_old ON {0}_old.id = {1} JOIN track {0}_new
    ON ({0}_new.root, {0}_new.path, {0}_new.file_digest) = ({0}_old.root, {0}_old.path, {0}_old.file_digest)"""
_CARRIED = (
    "INSERT OR IGNORE INTO block SELECT * FROM old.block",
    "INSERT OR IGNORE INTO playlist SELECT * FROM old.playlist",
    "INSERT OR IGNORE INTO profile SELECT * FROM old.profile",
    "INSERT OR IGNORE INTO listen SELECT * FROM old.listen",
    f"""INSERT OR IGNORE INTO description SELECT a_new.id, tempo_bpm, key, key_strength, loudness_lufs
        FROM old.description {_SAME.format("a", "track_id")}""",  # noqa: S608
    f"""INSERT OR IGNORE INTO duplicate SELECT MIN(a_new.id, b_new.id), MAX(a_new.id, b_new.id), likelihood
        FROM old.duplicate {_SAME.format("a", "first")} {_SAME.format("b", "second")}""",  # noqa: S608
    "UPDATE meta SET value = (SELECT value FROM old.meta WHERE key = 'uuid') WHERE key = 'uuid'",
)


def still_there(library: Library) -> tuple[list[tuple[str, Path]], dict[Path, Tags], list[Path]]:
    """The files of a library with their folders, what it knows of those that have not changed, and those that are gone.

    Raises
    ------
    LibraryError
        A whole folder is not there: a disk may be off.
    """
    files, tags, gone = [], {}, []
    with library.snapshot():
        tracks = {track.id: track for track in library.tracks()}
        states = {root: library.states(root) for root in library.roots()}
    for root, held in states.items():
        if not Path(root).is_dir():
            raise LibraryError(f"{shown(root)}: not there; attach its disk, or remove it: mirclr library remove FOLDER")
        for state in held.values():
            file = Path(root, state.path)
            try:
                now = size_and_time(file)
            except OSError:
                gone.append(file)
                continue
            files.append((root, file))
            if now == (state.size, state.mtime_ns):
                tags[file] = Tags(**{field.name: getattr(tracks[state.track_id], field.name) for field in fields(Tags)})
    return files, tags, gone


def open_renewed(path: Path, stamp: EncoderStamp) -> Library:
    """The library beside that of a path in which an encoder's vectors are made: what was begun, or a new one."""
    beside = _renewed(path)
    if beside.exists():
        library = Library.open(beside, create=True)  # one that was killed as it was made is empty
        if library.stamp and library.stamp.makes_vectors_of(stamp):
            return library
        library.close()
        remove_renewed(path)
    return Library.open(beside, create=True)


def remove_renewed(path: Path) -> None:
    """Remove the library that was made beside that of a path."""
    for suffix in ("", "-wal", "-shm", ".index"):
        beside = _renewed(path)
        beside.with_name(beside.name + suffix).unlink(missing_ok=True)


def _renewed(path: Path) -> Path:
    return path.with_name(path.name + ".renewed")


def carry_over(old: Library, new: Library) -> None:
    """Copy what a person keeps, descriptions and duplicates of tracks that are in both; what is there stays."""
    db = new._connection
    with explained(new.path):
        db.execute("ATTACH ? AS old", (str(old.path),))
        try:
            with new._transaction():
                for statement in _CARRIED:
                    db.execute(statement)
        finally:
            db.execute("DETACH old")


def replace(old: Library, new: Library) -> None:
    """Put the contents of one library in the place of another's, in one transaction: others may have it open.

    Raises
    ------
    LibraryError
        It cannot be written; it is as it was.
    """
    with explained(old.path):
        old_page, new_page = (x._connection.execute("PRAGMA page_size").fetchone()[0] for x in (old, new))
        if old_page != new_page:  # what SQLite cannot do
            raise LibraryError(f"{old.path}: of an old format; use {new.path}, which is complete, in its place")
        new._connection.backup(old._connection)
