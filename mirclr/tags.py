"""Tags in audio files; the only door to mutagen.

`read_tags` gives the few fields that mirclr uses, whatever the container calls them. Text is cleaned: control
characters (which could drive a terminal) become spaces, runs of spaces one, an empty text None.
"""

import math
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mutagen

AUDIO_SUFFIXES = frozenset(
    (
        ".aac",
        ".aif",
        ".aifc",
        ".aiff",
        ".flac",
        ".m4a",
        ".mp3",
        ".mp4",
        ".oga",
        ".ogg",
        ".opus",
        ".wav",
        ".wma",
    )
)
"""Lower-case suffixes of the files that may be audio."""

# mutagen's easy keys (also those of Vorbis comments and APE), then ASF's, then bare ID3 frames (wav, aiff)
_KEYS = {
    "title": ("title", "Title", "TIT2"),
    "artist": ("artist", "Author", "TPE1"),
    "album": ("album", "WM/AlbumTitle", "TALB"),
    "album_artist": ("albumartist", "album artist", "WM/AlbumArtist", "TPE2"),
    "genre": ("genre", "WM/Genre", "TCON"),
    "year": ("date", "year", "originaldate", "WM/Year", "TDRC", "TYER", "TDOR"),
}
_YEAR = re.compile(r"(?<!\d)[12]\d{3}")


@dataclass(frozen=True)
class Tags:
    """What a file says of itself; None where it says nothing.

    Attributes
    ----------
    title, artist, album, album_artist : str or None
    genre : str or None
        The first one given.
    year : int or None
    duration_s : float or None
        Length in seconds, by the header; positive.
    """

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    album_artist: str | None = None
    genre: str | None = None
    year: int | None = None
    duration_s: float | None = None


def read_tags(path: Path) -> Tags:
    """Read the tags of a file; of one that is not audio or is damaged, whatever can be read, or nothing.

    Raises
    ------
    OSError
        If the file is missing or may not be read.
    """
    with path.open("rb"):
        pass  # mutagen hides these errors in its own
    try:
        file = mutagen.File(path, easy=True)
        if file is None:
            return Tags()
        fields = {name: _first(file.tags, keys) for name, keys in _KEYS.items()}
        duration = _duration(file)
    except Exception:  # parsers of damaged files fail in every way there is
        return Tags()
    year = _YEAR.search(fields.pop("year") or "")
    genre = fields.pop("genre")
    return Tags(
        **{name: _clean(text) for name, text in fields.items()},
        genre=_clean(re.split("[;\0]", genre)[0]) if genre else None,
        year=int(year[0]) if year else None,
        duration_s=duration,
    )


def _first(tags: Any, keys: tuple[str, ...]) -> str | None:
    """The first value of the first key that the tags hold."""
    for key in keys:
        try:
            value = tags[key]
        except (KeyError, ValueError, TypeError):  # absent; not a key of this format; no tags at all
            continue
        value = getattr(value, "text", value)  # a bare ID3 frame
        if isinstance(value, list):
            value = value[0] if value else ""
        if str(value).strip():
            return str(value)
    return None


def _duration(file: Any) -> float | None:
    seconds = float(getattr(file.info, "length", 0) or 0)
    return round(seconds, 3) if math.isfinite(seconds) and seconds > 0 else None


def _clean(text: str | None) -> str | None:
    """Text on one line, without control characters and lone surrogates; None when nothing is left."""
    if text is None:
        return None
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)
    return " ".join(plain.split()) or None
