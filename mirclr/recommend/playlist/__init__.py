"""Playlists, out and in.

Contents: `write_playlist` and `playlist_bytes` (writing.py), the kinds that players open; `read_entries` and
`read_playlist` (reading.py, of XML and JSON in markup.py), those that other programs write; `songs_of_playlist`
(songs.py), the songs that they name; `PlaylistEntry`, one entry of those.
"""

from mirclr.recommend.playlist.entries import PlaylistEntry
from mirclr.recommend.playlist.reading import READABLE, read_entries, read_playlist
from mirclr.recommend.playlist.songs import songs_of_playlist
from mirclr.recommend.playlist.writing import SUFFIXES, playlist_bytes, write_playlist

__all__ = [
    "READABLE",
    "SUFFIXES",
    "PlaylistEntry",
    "playlist_bytes",
    "read_entries",
    "read_playlist",
    "songs_of_playlist",
    "write_playlist",
]
