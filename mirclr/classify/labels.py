"""Labels of tracks: from a labels file or from their tags, matched with the vectors of a library."""

import csv
import io
import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mirclr.errors import LabelsError, LibraryError
from mirclr.library import LibraryStore, LibraryTrack
from mirclr.library.names import albums_of, components, song_key
from mirclr.models.stamp import EncoderStamp
from mirclr.names import album_name, known_artist
from mirclr.provenance import open_regular
from mirclr.settings import command_line

_MOST_COLUMNS = 10_000
_MOOD_PREFIXES = ("mood_", "tag_")


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of n tracks.

    Attributes
    ----------
    source : str
        The file, or whatever else it was read from, for messages.
    files : (n,) str
        Paths with '/', NFC.
    lines : (n,) int
        Of the labels file.
    artist, album, genre : (n,) str
        Empty where unknown. Albums of two artists are never one.
    moods : tuple of str
        Names of the columns of `fractions`, without ``mood_`` or ``tag_``.
    fractions : (n, M) float64 in [0, 1]
        NaN where unknown.
    album_keys : (n,) str, optional
        Equal for the tracks of one album, however it is written; empty where unknown. As `album`, unless given.
    recordings : (n,) int, optional
        Equal for tracks that are copies of one recording, or versions of one song. Each by itself, unless given.
    """

    source: str
    files: np.ndarray
    lines: np.ndarray
    artist: np.ndarray
    album: np.ndarray
    genre: np.ndarray
    moods: tuple[str, ...]
    fractions: np.ndarray
    album_keys: np.ndarray | None = None
    recordings: np.ndarray | None = None

    def rows(self, which: Sequence[int]) -> "Labels":
        """Keep the given rows, in the order given."""
        at = np.asarray(which, int)
        names = ("files", "lines", "artist", "album", "genre", "fractions")
        maybe = [name for name in ("album_keys", "recordings") if getattr(self, name) is not None]
        return replace(self, **{name: getattr(self, name)[at] for name in (*names, *maybe)})

    @property
    def artist_keys(self) -> np.ndarray:
        """(n,) str: the first artist, however it is written, as `mirclr.names` has it; empty where unknown."""
        return np.array([known_artist(artist) for artist in self.artist], object)

    @property
    def groups(self) -> np.ndarray:
        """(n,) str: equal for tracks of one artist, and for copies of one recording. Folds never split a group."""
        copies = np.arange(len(self.files)) if self.recordings is None else self.recordings
        keys = zip(self.artist_keys, copies.tolist(), strict=True)
        joined = components([("artist", artist), copy] if artist else [copy] for artist, copy in keys)
        first: dict[int, str] = {}
        for group, artist, file in zip(joined, self.artist, self.files, strict=True):
            first.setdefault(group, f"{artist}\0{group}" if artist else f"\0{file}")
        return np.array([first[group] for group in joined], object)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Tracks of a library with their labels and vectors, row by row.

    Attributes
    ----------
    labels, tracks : Labels, list of LibraryTrack
    vectors : (n, d) float32
    unmatched : list of str
        Files of the labels that the library does not hold.
    """

    labels: Labels
    tracks: list[LibraryTrack]
    vectors: np.ndarray
    unmatched: list[str]


def read_labels(path: Path) -> Labels:
    """Read a labels file: UTF-8 CSV with a header.

    Columns: ``file`` (required; the path of a track, or its end), ``artist``, ``album``, ``genre``, and any
    number of ``mood_…`` or ``tag_…`` with numbers from 0 to 1. An empty cell is unknown; other columns are
    ignored.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    LabelsError
        Names the file, the line and the column of what is wrong.
    """
    try:
        with open_regular(path) as content, io.TextIOWrapper(content, encoding="utf-8-sig", newline="") as f:
            reader = csv.reader(f, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header)
            numbered = ((reader.line_num, row) for row in reader)
            rows = [(line, _cells(path, line, header, row)) for line, row in numbered if any(row)]
    except UnicodeDecodeError as error:
        raise LabelsError(f"{path}: not UTF-8 text (byte {error.start}); save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise LabelsError(f"{path}:{reader.line_num}: {error}; expected comma-separated values") from error
    if not rows:
        raise LabelsError(f"{path}: no rows below the header; expected one row a track")
    _check_files(path, rows)
    columns = [name for name in header if name.startswith(_MOOD_PREFIXES)]
    fractions = [[_fraction(path, line, name, cells[name]) for name in columns] for line, cells in rows]
    artist = [cells.get("artist", "") for _, cells in rows]
    album = [cells.get("album", "") for _, cells in rows]
    return Labels(
        source=str(path),
        files=np.array([cells["file"] for _, cells in rows], object),
        lines=np.array([line for line, _ in rows], int),
        artist=np.array(artist, object),
        album=_albums(artist, album),
        genre=np.array([cells.get("genre", "") for _, cells in rows], object),
        moods=tuple(_mood(name) for name in columns),
        fractions=np.array(fractions, float).reshape(len(rows), len(columns)),
        album_keys=np.array(
            [f"{known_artist(a)}\n{album_name(b)}" if b else "" for a, b in zip(artist, album, strict=True)], object
        ),
    )


def labelled_by_file(library: LibraryStore, labels: Labels) -> Labelled:
    """Match labels with the tracks of a library whose path ends in `file`, by whole components.

    Where a track's path below its embedded folder is exactly `file`, that track is meant. An artist or album that the
    labels do not have is that of the track's tags.

    Parameters
    ----------
    library : LibraryStore
        Holds vectors.
    labels : Labels
        Of its tracks, or of some of them.

    Raises
    ------
    LabelsError
        A file matches two tracks, two files match one track, or nothing matches.
    """
    tracks = library.tracks()
    by_name: dict[str, list[tuple[LibraryTrack, str]]] = {}
    for track in tracks:
        whole = _normal(track.place.as_posix())
        by_name.setdefault(whole.rpartition("/")[2], []).append((track, whole))
    rows: list[int] = []
    found: list[LibraryTrack] = []
    unmatched: list[str] = []
    owner: dict[int, str] = {}
    for row, file in enumerate(labels.files):
        where = f"{labels.source}:{labels.lines[row]}: file"
        match = _match(where, file, by_name.get(file.rpartition("/")[2], []))
        if match is None:
            unmatched.append(file)
            continue
        if match.id in owner:
            raise LabelsError(
                f"{where}: {file!r} and {owner[match.id]!r} are both {match.path!r}; expected one row a track"
            )
        owner[match.id] = file
        rows.append(row)
        found.append(match)
    if not rows:
        held = repr(tracks[0].path) if tracks else "no tracks"
        raise LabelsError(
            f"{labels.source}: none of its {len(labels.files)} files is in {library.path}; the column file "
            f"holds {labels.files[0]!r}, the library {held}; expected the end of a track's path"
        )
    matched = replace(_completed(labels.rows(rows), found), recordings=_recordings(library, found))
    return Labelled(matched, found, _vectors_of(library, found), unmatched)


def _completed(labels: Labels, tracks: Sequence[LibraryTrack]) -> Labels:
    """The labels, with the artist and album of the tracks' own tags where they have none."""
    artist = [a or t.artist or t.album_artist or "" for a, t in zip(labels.artist, tracks, strict=True)]
    lacking = np.array([not album for album in labels.album], bool)
    of_tags = _albums([t.album_artist or t.artist or "" for t in tracks], [t.album or "" for t in tracks])
    keys = labels.album if labels.album_keys is None else labels.album_keys
    return replace(
        labels,
        artist=np.array(artist, object),
        album=np.where(lacking, of_tags, labels.album),
        album_keys=np.where(lacking, np.array(albums_of(tracks), object), keys),
    )


def labelled_by_tags(library: LibraryStore) -> Labelled:
    """The whole library, with its files' own tags as labels."""
    tracks = library.tracks()
    artist = [t.artist or "" for t in tracks]
    labels = Labels(
        source=f"the tags in {library.path}",
        files=np.array([t.path for t in tracks], object),
        lines=np.arange(len(tracks)),
        artist=np.array(artist, object),
        album=_albums([t.album_artist or t.artist or "" for t in tracks], [t.album or "" for t in tracks]),
        genre=np.array([t.genre or "" for t in tracks], object),
        moods=(),
        fractions=np.zeros((len(tracks), 0)),
        album_keys=np.array(albums_of(tracks), object),
        recordings=_recordings(library, tracks),
    )
    return Labelled(labels, tracks, _vectors_of(library, tracks), [])


def labelled_library(path: Path, labels_path: Path | None = None) -> tuple[Labelled, EncoderStamp]:
    """Read a library's tracks with labels by a labels file, or else by their tags; and the stamp of its encoder.

    Raises
    ------
    LabelsError, LibraryError
        As of `read_labels` and `labelled_by_file`; or the library holds no tracks.
    """
    labels = read_labels(labels_path) if labels_path else None
    with LibraryStore.open(path) as library:
        found = labelled_by_file(library, labels) if labels else labelled_by_tags(library)
        encoder = library.stamp
    if encoder is None or not found.tracks:
        embed = command_line("embed", "FOLDER", library_path=path)
        raise LibraryError(f"{path}: holds no songs yet; add some with: {embed}")
    return found, encoder


def _check_header(path: Path, header: list[str]) -> None:
    if "file" not in header:
        found = ", ".join(header) or "an empty file"
        wanted = next((f"{name!r} to be written file" for name in header if name.lower() == "file"), None)
        if any(mark in name for mark in ";\t" for name in header):
            wanted = "commas between names"
        wanted = wanted or "a first line with the names of the columns, one of them file"
        raise LabelsError(f"{path}:1: no column file; found: {found}; expected {wanted}")
    if len(header) > _MOST_COLUMNS:
        raise LabelsError(f"{path}:1: {len(header)} columns; expected {_MOST_COLUMNS} at most")
    doubled = [name for name, count in Counter(header).items() if name and count > 1]
    if doubled:
        raise LabelsError(f"{path}:1: column {min(doubled)} occurs twice; expected each once")
    moods = Counter(_mood(name) for name in header if name.startswith(_MOOD_PREFIXES))
    if bad := [mood for mood, count in moods.items() if not mood or count > 1]:
        raise LabelsError(f"{path}:1: mood or tag {bad[0]!r} has no name or occurs twice; expected it once")


def _cells(path: Path, line: int, header: list[str], row: list[str]) -> dict[str, str]:
    if len(row) != len(header):
        raise LabelsError(f"{path}:{line}: {len(row)} cells; expected {len(header)}, as in the header")
    cells = {name: cell.strip() for name, cell in zip(header, row, strict=True)}
    cells["file"] = _normal(cells["file"])
    if not cells["file"]:
        raise LabelsError(f"{path}:{line}: column file is empty; expected the path of a track, or its end")
    return cells


def _check_files(path: Path, rows: list[tuple[int, dict[str, str]]]) -> None:
    first: dict[str, int] = {}
    for line, cells in rows:
        earlier = first.setdefault(cells["file"], line)
        if earlier != line:
            raise LabelsError(
                f"{path}:{line}: file {cells['file']!r} is also on line {earlier}; expected one row a track"
            )


def _fraction(path: Path, line: int, column: str, cell: str) -> float:
    if not cell:
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise LabelsError(
            f"{path}:{line}: column {column} is {cell!r}; expected a number from 0 to 1, or nothing if unknown"
        )
    return value


def _mood(column: str) -> str:
    return column.partition("_")[2]


def _normal(file: str) -> str:
    """One spelling of a path: '/' between components, none empty or '.', composed accents."""
    parts = unicodedata.normalize("NFC", file.replace("\\", "/")).split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def _albums(artist: Sequence[str], album: Sequence[str]) -> np.ndarray:
    return np.array([f"{a} – {b}" if b else "" for a, b in zip(artist, album, strict=True)], object)


def _match(where: str, file: str, candidates: list[tuple[LibraryTrack, str]]) -> LibraryTrack | None:
    """The one track whose path ends in `file`; None when there is none."""
    ending = [track for track, whole in candidates if f"/{whole}".endswith(f"/{file}")]
    exact = [track for track in ending if _normal(track.path) == file]
    if len(exact) == 1:
        return exact[0]
    if len(ending) > 1:
        raise LabelsError(
            f"{where}: {file!r} matches {ending[0].place.as_posix()!r} and {ending[1].place.as_posix()!r}; "
            "expected one track: write more of its path"
        )
    return ending[0] if ending else None


def _recordings(library: LibraryStore, tracks: Sequence[LibraryTrack]) -> np.ndarray:
    """(n,) int: equal for tracks of equal audio, that `mirclr duplicates` found to be one, or of one song."""
    keys: dict[int, list[object]] = {t.id: [t.audio_digest or t.id, song_key(t) or t.id] for t in tracks}
    for pair in library.near_duplicates():
        for track_id in pair:
            if track_id in keys:
                keys[track_id].append(pair)
    return np.array(components(keys[t.id] for t in tracks), np.int64)


def _vectors_of(library: LibraryStore, tracks: Sequence[LibraryTrack]) -> np.ndarray:
    ids, matrix = library.vectors([track.id for track in tracks])
    held = {int(track_id): row for row, track_id in enumerate(ids)}
    if lacking := [track.path for track in tracks if track.id not in held]:
        raise LibraryError(
            f"{library.path}: holds no vector of {lacking[0]!r}; see: mirclr library verify --library {library.path}"
        )
    rows: np.ndarray = matrix[np.array([held[track.id] for track in tracks], int)]
    return rows
