"""Tables of listens: of Last.fm, by whatever exporter, of Exportify, of Rockbox; with names of columns or without."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mirclr.library import Listen
from mirclr.recommend.history.sources import FIRST_S, Numbered, Problems, believed, name, seconds
from mirclr.recommend.playlist.entries import decoded_as_windows

ROCKBOX = "#AUDIOSCROBBLER/"
_SAMPLE = 200  # lines by which columns without names are recognised
_PLAYED_MS = 30_000
_JOINED = re.compile(r",(?=\S)")  # several artists of Exportify; a name with a comma has a space after it
_COLUMNS = {  # the names that exporters give to columns, the last one found is taken
    "artist": (
        *("album artist", "albumartist", "master_metadata_album_artist_name", "performer", "artists", "artist(s)"),
        *("artist name(s)", "artistname", "artist_name", "artist name", "artist"),
    ),
    "title": (
        *("master_metadata_track_name", "track title", "song title", "song name", "trackname", "track_name"),
        *("track name", "song", "name", "title", "track"),
    ),
    "album": ("master_metadata_album_album_name", "album title", "release", "album_name", "album name", "album"),
    "time": (
        *("last played", "played at", "played_at", "listened_at", "date played", "endtime", "ts"),
        *("time", "utc_time", "date", "timestamp", "timems", "uts"),
    ),
    "plays": ("play count", "playcount", "plays"),
    "played_ms": ("msplayed", "ms_played"),
    "liked": ("track uri", "added at", "added by", "isrc"),
}


@dataclass(frozen=True)
class Table:
    """How a table is laid out.

    Attributes
    ----------
    delimiter : str
        Between cells.
    columns : dict
        What is in which column.
    width : int
        How many cells there are.
    header : bool
        Whether a line names the columns.
    kind : str
        For people.
    """

    delimiter: str
    columns: dict[str, int]
    width: int
    header: bool
    kind: str = "Last.fm"


def layout(lines: Sequence[str]) -> Table | None:
    """The layout that the first lines of a text show; None where they are no table of listens."""
    if lines and lines[0].startswith(ROCKBOX):
        return Table("\t", {"artist": 0, "album": 1, "title": 2, "rating": 5, "time": 6}, 0, False, "Rockbox")
    for line in lines[:20]:
        if found := _named(line):
            return found
    return next(filter(None, (_unnamed(lines[:_SAMPLE], delimiter) for delimiter in (",", ";", "\t"))), None)


def _named(line: str) -> Table | None:
    for delimiter in (",", ";", "\t"):
        row = _cells(line, delimiter)
        names = [cell.strip().lower().partition("#")[0] for cell in row]  # lastfmstats.com: Date#listener
        columns = {what: names.index(n) for what, known in _COLUMNS.items() for n in known if n in names}
        if {"artist", "title"} <= columns.keys() and columns["artist"] != columns["title"]:
            kind = "Exportify" if "track uri" in names else "Last.fm"
            return Table(delimiter, columns, len(row), True, kind)
    return None


def _unnamed(lines: Sequence[str], delimiter: str) -> Table | None:
    """Columns without names: a time first or last, and of the others the artist, the title, perhaps the album.

    Exporters differ in their order. A title differs from row to row, an artist and an album come again; where a column
    is empty at times it is the album's.
    """
    rows = [row for row in (_cells(line, delimiter) for line in lines) if row]
    if not rows or not 3 <= len(rows[0]) <= 12:
        return None
    width = len(rows[0])
    rows = [row for row in rows if len(row) == width]
    if width <= 4 and _is_time(rows[0][-1]):
        at, order = width - 1, list(range(width - 1))
        usual = ["artist", "album", "title"] if len(order) == 3 else ["artist", "title"]
    elif width >= 4 and _is_time(rows[0][0]):
        at, order = 0, [1, 2, 3]
        usual = ["title", "artist", "album"]
    else:
        return None
    columns = dict(zip(usual, order, strict=True))
    different = {i: len({row[i] for row in rows}) for i in order}
    empty = {i: sum(not row[i].strip() for row in rows) for i in order}
    # the other order, where the rows show it: more titles than albums, or than artists
    pair = ("album", "title") if at and "album" in columns else ("artist", "title")
    one, other = columns[pair[0]], columns[pair[1]]
    if (empty[other], -different[other]) > (empty[one], -different[one]) and different[one] != different[other]:
        columns |= {pair[0]: other, pair[1]: one}
    return Table(delimiter, {**columns, "time": at}, width, False)


def _is_time(text: str) -> bool:
    return (seconds(text) or 0) >= FIRST_S


def _cells(line: str, delimiter: str) -> list[str]:
    """The cells of a line; a line by itself, so that a quote without an end spoils no other."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def listens_of(lines: Numbered, table: Table, problems: Problems) -> Iterator[Listen]:
    """The listens of a table's rows."""
    begun = not table.header
    for where, line in lines:
        line = next(iter(decoded_as_windows(line)), line)  # where it is no UTF-8
        if not begun:  # what comes before the names of columns, such as "sep=;", is no listen
            begun = _named(line) == table
            continue
        if not table.width and line.startswith("#"):
            continue
        row = _cells(line, table.delimiter) if table.width else line.split(table.delimiter)
        if len(row) != table.width and (table.width or len(row) < 6):
            problems.add(where, f"has {len(row)} values; expected {table.width or 7}")
            continue
        cells = {what: row[i].strip() if i < len(row) else "" for what, i in table.columns.items()}
        yield from _listen(cells, where, problems)


def _listen(cells: dict[str, str], where: str, problems: Problems) -> Iterator[Listen]:
    artist, title, album = name(cells["artist"]), name(cells["title"]), name(cells.get("album"))
    if "liked" in cells:
        artist = _JOINED.sub("; ", artist)
    if not (artist and title):
        problems.add(where, "names no artist and title")
        return
    problems.read += 1
    if cells.get("rating") == "S":  # Rockbox: skipped
        return
    played = cells.get("played_ms", "")
    if played.isdecimal() and len(played) < 10 and int(played) < _PLAYED_MS:
        return
    last_s = None
    if text := cells.get("time"):  # what is playing now has none
        last_s = believed(text, where, problems)
    if "liked" in cells and not cells.get("time") and "plays" not in cells:  # a list that a listener made
        yield Listen(artist, title, album, taste=1)
        return
    count = cells.get("plays", "1")
    plays = int(count) if len(count) < 10 and count.isdecimal() else 1
    yield Listen(artist, title, album, plays=plays, last_s=last_s)
