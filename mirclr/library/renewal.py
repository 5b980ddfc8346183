"""Another encoder for a library: its tracks get other vectors, all in one transaction.

The new vectors are made in a library of their own, beside the old one, which answers until they are all there. What
others write to the old one meanwhile stays: the vectors are put into it, and not it into their place.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from mirclr.data.scan import Found, Part
from mirclr.errors import LibraryError, is_fault_of_machine
from mirclr.library.database import encode_path
from mirclr.library.files import LEADS_OUT, leads_out
from mirclr.library.records import FileState
from mirclr.library.store import LibraryStore
from mirclr.library.vectors import next_generation
from mirclr.models.stamp import EncoderStamp
from mirclr.provenance import size_and_time
from mirclr.tags import Tags
from mirclr.terminal import shown

_MISSED = "was added while the library was renewed; mirclr sync embeds it"
_OF_ENCODER = ("audio_digest", "content_digest", "duration_s", "remark")  # what decoding for this encoder found


@dataclass
class Inventory:
    """The tracks of a library and their files at one time.

    Attributes
    ----------
    files : dict of Path or Part to str
        Their files that are there, or the parts of these, each with its root.
    tags : dict of Path to Tags
        What the library knows of files that have not changed; of parts by their places.
    gone : list of Path
        Files that are not there.
    outside : list of (str, str)
        Tracks whose files are there by links that lead out of their roots, which are not read; each with the reason.
    states : dict of (root, path) to FileState
    """

    files: dict[Found, str] = field(default_factory=dict)
    tags: dict[Path, Tags] = field(default_factory=dict)
    gone: list[Path] = field(default_factory=list)
    outside: list[tuple[str, str]] = field(default_factory=list)
    states: dict[tuple[str, str], FileState] = field(default_factory=dict)


def take_inventory(library: LibraryStore) -> Inventory:
    """Look at the files of a library's tracks.

    Parts of files are as they were made, also where their sheets have changed; what is known goes by their places.

    Raises
    ------
    LibraryError
        A whole folder is not there: a disk may be off.
    """
    inventory = Inventory()
    with library.snapshot():
        tracks = {track.id: track for track in library.tracks()}
        roots, inventory.states = list(library.roots()), _by_place(library)
    for root in roots:
        if not Path(root).is_dir():
            raise LibraryError(f"{shown(root)}: not there; attach its disk, or remove it: mirclr library remove FOLDER")
    for (root, _), state in inventory.states.items():
        try:
            now = size_and_time(state.file)
        except OSError as error:
            if is_fault_of_machine(error):
                raise
            inventory.gone.append(state.place)
            continue
        if leads_out(state.root, state.file):
            inventory.outside.append((str(state.place), LEADS_OUT.format(shown(state.root))))
            continue
        track = tracks[state.track_id]
        known = Tags(**{f.name: getattr(track, f.name) for f in fields(Tags) if hasattr(track, f.name)})
        number = state.place.name
        if track.span and number.isdecimal():
            inventory.files[Part(state.file, int(number), track.span, known, state.mark)] = root
        else:
            inventory.files[state.file] = root
        if now == (state.size, state.mtime_ns):
            inventory.tags[state.place] = known
    return inventory


def open_renewed(path: Path, stamp: EncoderStamp) -> LibraryStore:
    """The library beside that of a path in which an encoder's vectors are made: what was begun, or a new one."""
    beside = _renewed(path)
    if beside.exists():
        library = LibraryStore.open(beside, create=True)  # one that was killed as it was made is empty
        if library.stamp and library.stamp.makes_vectors_of(stamp):
            return library
        library.close()
        remove_renewed(path)
    return LibraryStore.open(beside, create=True)


def remove_renewed(path: Path) -> None:
    """Remove the library that was made beside that of a path."""
    for suffix in ("", "-wal", "-shm", ".index"):
        beside = _renewed(path)
        beside.with_name(beside.name + suffix).unlink(missing_ok=True)


def _renewed(path: Path) -> Path:
    return path.with_name(path.name + ".renewed")


def replace_vectors(old: LibraryStore, new: LibraryStore, inventory: Inventory) -> list[Path]:
    """Put the vectors of one library into another, in one transaction: others may have it open, and write to it.

    Of tracks that are in both, whatever does not depend on the vectors stays. Tracks that were added, or whose files
    changed, after the inventory was taken have no vector of the new encoder: they become failures, which the next sync
    embeds. Tracks that were removed meanwhile stay away.

    Parameters
    ----------
    old : LibraryStore
        To be renewed.
    new : LibraryStore
        Holds the vectors.
    inventory : Inventory
        What `take_inventory` found in the old one before the vectors were made.

    Returns
    -------
    list of Path
        The files that were added meanwhile.

    Raises
    ------
    LibraryError
        It cannot be written, or the new encoder made no vector of any track; it is as it was.
    """
    with old.merging(new.path) as db:
        fresh, now = _by_place(new), _by_place(old)
        same, changed, removed = _matched(now, fresh, inventory)
        if inventory.files and not (same or changed):
            raise LibraryError(f"{old.path}: the encoder made no vector of any of its tracks; the library is as it was")
        parts = [
            state
            for place, state in fresh.items()
            if place not in now and place not in inventory.states and state.file in inventory.files
        ]
        _take_tracks(db, same, changed, removed, parts)
        missed = [state for state in removed if state != inventory.states.get((state.root, state.path))]
        _take_failures(db, missed)
        db.execute("DELETE FROM task")  # what was predicted from the old vectors
        db.execute("INSERT OR REPLACE INTO meta SELECT * FROM fresh.meta WHERE key = 'encoder'")
        db.execute("DELETE FROM map_point")
        db.execute("DELETE FROM change")  # no index of the old vectors can be brought up to date
        db.execute("UPDATE vector SET generation = ?", (next_generation(db),))
    return [state.file for state in missed]


_Pairs = list[tuple[int, int]]  # ids of a track in the old library and in the new one
_States = dict[tuple[str, str], FileState]  # by root and path


def _matched(now: _States, fresh: _States, inventory: Inventory) -> tuple[_Pairs, _Pairs, list[FileState]]:
    """The tracks of the same bytes, those whose files changed before they were embedded, and those with no vector."""
    by_content = {(s.file_digest, s.content_digest): s for s in fresh.values() if s.audio_path is None}
    same, changed, removed = _Pairs(), _Pairs(), []
    for place, state in now.items():
        made = fresh.get(place)
        moved = by_content.get((state.file_digest, state.content_digest)) if state.audio_path is None else None
        if made and _same_bytes(state, made):
            same.append((state.track_id, made.track_id))
        elif made and state == inventory.states.get(place):
            changed.append((state.track_id, made.track_id))
        elif moved and state != inventory.states.get(place):
            same.append((state.track_id, moved.track_id))
        else:
            removed.append(state)
    return same, changed, removed


def _take_tracks(
    db: sqlite3.Connection, same: _Pairs, changed: _Pairs, removed: Sequence[FileState], parts: Sequence[FileState]
) -> None:
    """Update, remove and add tracks, with the vectors of the new library."""
    of_the_file = [c for c in _columns(db) if c not in ("id", "root", "path")]
    _take_rows(db, same, _OF_ENCODER)
    _take_rows(db, changed, of_the_file)
    for table, key in (
        ("description", "track_id"),
        ("outline", "track_id"),
        ("aspect", "track_id"),
        ("fingerprint", "track_id"),
        ("duplicate", "first"),
        ("duplicate", "second"),
    ):
        db.executemany(f"DELETE FROM {table} WHERE {key} = ?", [(i,) for i, _ in changed])  # noqa: S608
    db.executemany("DELETE FROM track WHERE id = ?", [(state.track_id,) for state in removed])
    added = [(_insert(db, ["root", "path", *of_the_file], part.track_id), part.track_id) for part in parts]
    _take_vectors(db, [*same, *changed, *added])


def _take_failures(db: sqlite3.Connection, missed: Sequence[FileState]) -> None:
    """Take the failures of the new library, and make one of each track that it missed."""
    db.execute(
        "DELETE FROM failure WHERE EXISTS"
        " (SELECT 1 FROM fresh.track AS made WHERE (made.root, made.path) = (failure.root, failure.path))"
    )
    db.execute("INSERT OR REPLACE INTO failure SELECT * FROM fresh.failure")
    places = [(encode_path(state.root), encode_path(state.path), _MISSED) for state in missed]
    db.executemany("INSERT OR REPLACE INTO failure VALUES (?, ?, 0, 0, ?)", places)


def _same_bytes(state: FileState, made: FileState) -> bool:
    return state.file_digest == made.file_digest and state.content_digest in (None, made.content_digest)


def _by_place(library: LibraryStore) -> _States:
    return {(root, path): state for root in library.roots() for path, state in library.states(root).items()}


def _columns(db: sqlite3.Connection) -> list[str]:
    return [row["name"] for row in db.execute("PRAGMA main.table_info(track)")]


def _take_rows(db: sqlite3.Connection, pairs: _Pairs, columns: Sequence[str]) -> None:
    listed = ", ".join(columns)
    take = f"UPDATE track SET ({listed}) = (SELECT {listed} FROM fresh.track WHERE id = ?2) WHERE id = ?1"  # noqa: S608
    db.executemany(take, pairs)


def _insert(db: sqlite3.Connection, columns: Sequence[str], new_id: int) -> int:
    listed = ", ".join(columns)
    insert = f"INSERT INTO track ({listed}) SELECT {listed} FROM fresh.track WHERE id = ? RETURNING id"  # noqa: S608
    return int(db.execute(insert, (new_id,)).fetchone()[0])


def _take_vectors(db: sqlite3.Connection, pairs: _Pairs) -> None:
    db.execute("DELETE FROM moment")
    for table, value in (("vector", "components"), ("moment", "rows")):
        read = f"SELECT ?1, {value} FROM fresh.{table} WHERE track_id = ?2"  # noqa: S608
        db.executemany(f"INSERT OR REPLACE INTO {table} (track_id, {value}) {read}", pairs)
