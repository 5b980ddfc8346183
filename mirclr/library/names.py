"""Names of artists, titles and albums as people compare them: without case, accents, guests and kinds of versions."""

import re
from functools import lru_cache

from mirclr.library.records import LibraryTrack, fold

# as folded texts: what is said after a title of a version, and what joins the artists of a piece
_VERSION = (
    r"feat\b|ft\b|featuring\b|with\b|live\b|mono\b|stereo\b|explicit\b|(\d{4} )?(digital(ly)? )?remaster|"
    r"(album|single|radio|original) (version|edit|mix)\b|bonus track\b"
)
_DECORATION = re.compile(rf"(\((?:{_VERSION})[^()]*\)|\[(?:{_VERSION})[^\[\]]*\]| - (?:{_VERSION})[^-]*)$")
_GUESTS = re.compile(r" (?:feat\.?|ft\.?|featuring) .*$")
_MAYBE = re.compile(r"[\])]$| - | f")  # without any of these a title has nothing to be taken off
_NEXT_ARTIST = re.compile(r" (?:feat\.?|ft\.?|featuring|&|x|vs\.?|/) |, |; ?")


@lru_cache(maxsize=1 << 15)
def words(text: str) -> str:
    """A text folded, its spaces made one each."""
    return " ".join(fold(text).split())


def search_words(text: str) -> str:
    """The words of a text as search compares them, without dashes between them."""
    return " ".join(word for word in fold(text).split() if word not in ("-", "–", "—"))


@lru_cache(maxsize=1 << 14)
def artists(text: str) -> tuple[str, ...]:
    """The artists that a text names, folded: all of it first, then each where several are joined.

    "Simon & Garfunkel" is itself, and both of them.
    """
    whole = words(text)
    parts = [part for part in (p.strip() for p in _NEXT_ARTIST.split(whole)) if part]
    return tuple(dict.fromkeys(part for part in (whole, *parts) if part))


@lru_cache(maxsize=1 << 14)
def first_artist(text: str) -> str:
    """The artist that a text names first, folded."""
    whole = words(text)
    return _NEXT_ARTIST.split(whole, maxsplit=1)[0].strip() or whole


@lru_cache(maxsize=1 << 14)
def bare_title(text: str) -> str:
    """A title folded, without guests and without what it says of the version; never empty where the text is not."""
    whole = bare = words(text)
    if not _MAYBE.search(whole):
        return whole
    while (found := _DECORATION.search(bare)) or (found := _GUESTS.search(bare)):
        bare = bare[: found.start()].rstrip()
    return bare or whole


def artist_key(track: LibraryTrack) -> str | int:
    """What tells an artist from others: the first that the tags name, folded; a track without is of one of its own."""
    name = track.artist or track.album_artist
    return first_artist(name) if name else track.id


def album_key(track: LibraryTrack) -> tuple[str, str] | None:
    """What tells an album from others: its artist and name, folded; None without a name."""
    return (words(track.album_artist or track.artist or ""), words(track.album)) if track.album else None


def song_key(track: LibraryTrack) -> tuple[str, str] | None:
    """What tells a song from others: its first artist and bare title; None where either is missing."""
    return (first_artist(track.artist), bare_title(track.title)) if track.artist and track.title else None
