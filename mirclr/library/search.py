"""The text of a track that is searched, and the column that stores it."""

import sqlite3

from mirclr.names import search_words

_VERSION = "2"  # of `search_words`; another one makes all texts anew
_KEY = "search"
_CHUNK = 1000


def search_text(artist: str | None, title: str | None, album: str | None, path: str) -> str:
    """The text that is searched: a line for each field, so that no word is found across two fields."""
    return "\n".join(search_words(text or "") for text in (artist, title, album, path))


def bring_search_up_to_date(db: sqlite3.Connection) -> None:
    """Make the texts of a library anew that another version of this module made, where it can be written."""
    if is_current(db) or not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'track'").fetchone():
        return
    try:
        db.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:  # it cannot be written: `searched_column` makes do
        return
    try:
        last = 0
        while rows := db.execute(
            "SELECT id, artist, title, album, path FROM track WHERE id > ? ORDER BY id LIMIT ?", (last, _CHUNK)
        ).fetchall():
            texts = [(_text(*row[1:]), row[0]) for row in rows]
            db.executemany("UPDATE track SET folded = ? WHERE id = ?", texts)
            last = rows[-1][0]
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_KEY, _VERSION))
        db.commit()
    except BaseException:
        db.rollback()
        raise


def searched_column(db: sqlite3.Connection) -> str:
    """SQL for the text that is searched: the column, or, where it cannot be made anew, what it would hold."""
    if is_current(db):
        return "folded"
    db.create_function("search_text", 4, _text, deterministic=True)
    return "search_text(artist, title, album, path)"


def is_current(db: sqlite3.Connection) -> bool:
    """Whether the texts of a library are those of this version."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (_KEY,)).fetchone()
    return bool(row) and row[0] == _VERSION


def _text(artist: str | None, title: str | None, album: str | None, path: bytes) -> str:
    return search_text(artist, title, album, path.decode("utf-8", "replace")).replace("\0", "")
