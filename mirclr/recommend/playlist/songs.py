"""The songs of a playlist file as tracks: those of a library where it holds them, else as their own tags say."""

from collections.abc import Iterable
from pathlib import Path

from mirclr.library import LibraryStore, LibraryTrack
from mirclr.names import search_words
from mirclr.recommend.playlist.entries import PlaylistEntry
from mirclr.recommend.playlist.reading import read_entries

_SECONDS = 300.0  # of a song of which nothing says how long it is


def songs_of_playlist(path: Path, library: LibraryStore | None = None) -> tuple[list[LibraryTrack], list[str]]:
    """The songs that a playlist names, in order.

    Parameters
    ----------
    path : Path
        The playlist; ends in one of `READABLE`.
    library : LibraryStore, optional
        Knows artists and titles, and which file is of several songs.

    Returns
    -------
    songs : list of LibraryTrack
        With the id 0 of those that are in no library.
    missing : list of str
        Entries of which no file is there, as the playlist writes them.

    Raises
    ------
    PlaylistError
        Of another suffix; damaged.
    OSError
        It cannot be read.
    """
    songs: list[LibraryTrack] = []
    missing: list[str] = []
    for entry in read_entries(path):
        file = next((Path(p) for p in entry.paths if Path(p).is_file()), None)
        if file is None:
            missing.append(next(iter(entry.paths), " - ".join(next(iter(entry.names), ()))))
            continue
        held = library.find_files(file) if library else []
        songs.append(_of_several(held, entry) if held else _untracked(file, entry))
    return songs, missing


def _of_several(held: Iterable[LibraryTrack], entry: PlaylistEntry) -> LibraryTrack:
    """The part of a file that an entry names; of a file that is one song, that."""
    tracks = list(held)
    titles = {search_words(title) for _, title in entry.names}
    return next((track for track in tracks if track.title and search_words(track.title) in titles), tracks[0])


def _untracked(file: Path, entry: PlaylistEntry) -> LibraryTrack:
    from mirclr.tags import read_tags

    tags = read_tags(file)
    seconds = entry.duration_s or _SECONDS
    names = (tags.title, tags.artist, tags.album, tags.album_artist, tags.genre, tags.year)
    return LibraryTrack(0, str(file.parent), file.name, seconds, *names, "")
