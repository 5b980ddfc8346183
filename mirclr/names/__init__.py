"""Names: who an artist is, which album and which song; the one place that compares them.

In: texts of tags, histories and queries. Out: folded texts, to be compared.

Conventions: every function takes texts as tags and histories have them and gives folded ones, to be compared with each
other and never shown. Names are equal where people mean the same: "Guns N’ Roses" and "guns n' roses", "Simon and
Garfunkel" and "Simon & Garfunkel", "Beatles, The" and "The Beatles". What a text leaves open is decided with caution:
"Earth, Wind & Fire", "Simon & Garfunkel" and "Tyler, The Creator" stay whole, "Queen & David Bowie" begins with Queen;
"Smith, Patti" is Patti Smith, and "Drake, Future" begins with Drake.

Contents: `fold`, `words`, `search_words`, `loose` (texts.py); `artists`, `first_artist`, `known_artist`, `artist_name`,
`guests` (artists.py, with the given names of given.py); `bare_title`, `song_title`, `is_generic_title`, `album_name`,
`is_album`, `is_of_many`, `without_disc`, `disc_number` (titles.py); `is_version_note` (versions.py: live, remix,
karaoke and the like); `genre_key`, `parse_renames`, `renamed`, `share_a_genre` (genres.py); `close_names`
(close.py: what a text may mean).
"""

from mirclr.names.artists import artist_name, artists, first_artist, guests, known_artist
from mirclr.names.close import close_names
from mirclr.names.genres import genre_key, parse_renames, renamed, share_a_genre
from mirclr.names.texts import fold, loose, search_words, words
from mirclr.names.titles import (
    album_name,
    bare_title,
    disc_number,
    is_album,
    is_generic_title,
    is_of_many,
    song_title,
    without_disc,
)
from mirclr.names.versions import is_version_note

__all__ = [
    "album_name",
    "artist_name",
    "artists",
    "bare_title",
    "close_names",
    "disc_number",
    "first_artist",
    "fold",
    "genre_key",
    "guests",
    "is_album",
    "is_generic_title",
    "is_of_many",
    "is_version_note",
    "known_artist",
    "loose",
    "parse_renames",
    "renamed",
    "search_words",
    "share_a_genre",
    "song_title",
    "without_disc",
    "words",
]
