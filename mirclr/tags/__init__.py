"""The tags of audio files, of whatever kind and wherever they stand.

In: an audio file. Out: `Tags`, and the values of one field as they stand in the file.

`read_tags` gives the few fields that mirclr uses, whatever the container calls them. Text is cleaned: control
characters (which could drive a terminal) become spaces, runs of spaces one, an empty text None; several values are one
text with '; ' between them. `read_values` is for the fields that mirclr can write, as they stand in the file.

Tags are read item by item from their raw bytes (`block`, `id3`, `comments`, `chunks`, `mp4`, `asf`, put together by
`layout`), within limits of size and number, so that no file makes them take more memory than it has bytes. mutagen,
whose only door this is, gives the length of a stream and the list of genres. `mirclr.ingest.tagging` writes.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mirclr.errors import TagsError
from mirclr.tags.block import Block, Damaged, Layout, Source
from mirclr.tags.names import WRITABLE, names_of

__all__ = ["AUDIO_SUFFIXES", "READING", "WRITABLE", "Tags", "read_tags", "read_values", "texts_of", "values_of"]

AUDIO_SUFFIXES = frozenset(
    (
        *(".aac", ".ac3", ".aif", ".aifc", ".aiff", ".ape", ".asf", ".au", ".bwf", ".caf", ".dff", ".dsf", ".dts"),
        *(".eac3", ".flac", ".m4a", ".m4b", ".m4r", ".mka", ".mov", ".mp+", ".mp2", ".mp3", ".mp4", ".mpc", ".mpp"),
        *(".oga", ".ogg", ".opus", ".rf64", ".shn", ".snd", ".spx", ".tak", ".tta", ".w64", ".wav", ".wave", ".webm"),
        *(".wma", ".wv"),
    )
)
"""Lower-case suffixes of the files that may be audio."""

READING = 2
"""Grows when more is read from files, so that libraries read the tags of unchanged files anew, once."""
SEPARATOR = "; "
"""What stands between several values in one text."""
_LONGEST = 4096  # letters of a text that are read
_YEAR = re.compile(r"(?<!\d)[12]\d{3}")
_PLACE = re.compile(r"\s*0*([1-9]\d{0,3})(?!\d)")  # "3", "03/12"; neither "A3" of a record's side nor "0"
_FIELDS = (
    *("title", "artist", "album", "album_artist", "genre", "year", "first_year", "compilation", "track", "disc"),
)


@dataclass(frozen=True)
class Tags:
    """The tags of a file; None where it has none.

    Attributes
    ----------
    title, album, album_artist : str or None
    artist, genre : str or None
        All that are given, each once, with '; ' between them.
    year : int or None
        Of the first release where the file has that, else of this one.
    duration_s : float or None
        Length in seconds, by the header; positive.
    compilation : bool or None
        Whether the album is of several artists.
    track_number, disc_number : int or None
        The place among the tracks of its disc, and of that among the discs of its album, from 1.
    """

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    album_artist: str | None = None
    genre: str | None = None
    year: int | None = None
    duration_s: float | None = None
    compilation: bool | None = None
    track_number: int | None = None
    disc_number: int | None = None


def read_tags(path: Path) -> Tags:
    """Read the tags of a file; of one that is not audio or is damaged, whatever can be read, or nothing.

    Where several tags of a file hold a field, the one counts that comes first: those that its kind of file is meant to
    have, then APEv2, then ID3v1.

    Raises
    ------
    OSError
        If the file is missing or may not be read.
    """
    from mirclr.tags.layout import layout_of

    with path.open("rb") as f:
        try:
            layout = layout_of(Source(f))
            found = {field: next(texts_of(layout.blocks, field), ()) for field in _FIELDS}
            seconds = layout.seconds or 0
        except OSError:
            raise
        except Exception:  # damaged files fail in every way there is
            return Tags()
    years = [_YEAR.search(text) for field in ("first_year", "year") for text in found[field]]
    year = next((match for match in years if match), None)
    flag = next((text.strip().casefold() for text in found["compilation"]), None)
    return Tags(
        title=_clean(found["title"][0]) if found["title"] else None,
        artist=_joined(found["artist"]),
        album=_clean(found["album"][0]) if found["album"] else None,
        album_artist=_joined(found["album_artist"]),
        genre=_joined(found["genre"]),
        year=int(year[0]) if year else None,
        duration_s=round(seconds, 3) if math.isfinite(seconds) and seconds > 0 else None,
        compilation=None if flag is None else flag in ("1", "true", "yes"),
        track_number=_place(found["track"]),
        disc_number=_place(found["disc"]),
    )


def _place(texts: Iterable[str]) -> int | None:
    match = next(filter(None, map(_PLACE.match, texts)), None)
    return int(match[1]) if match else None


def texts_of(blocks: Iterable[Block], field: str) -> Iterator[tuple[str, ...]]:
    """The texts of a field in each tag that has it; of several names that stand there, the first."""
    for block in blocks:
        for name in names_of(field, block.family):
            texts = tuple(t for item in block.items if item.name == name for t in block.texts(item) if t.strip())
            if texts:
                yield texts
                break


def _joined(values: Iterable[str]) -> str | None:
    """All values in one text, each once."""
    once: dict[str, str] = {}
    for part in (_clean(part) for value in values for part in value.split(";")):
        if part:
            once.setdefault(part.casefold(), part)
    return SEPARATOR.join(once.values()) or None


def _clean(text: str | None) -> str | None:
    """Text on one line, without control characters and lone surrogates; None when nothing is left."""
    if text is None:
        return None
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text[:_LONGEST])
    return " ".join(plain.split()) or None


def read_values(path: Path, field: str) -> tuple[str, ...]:
    """The values of a field of `WRITABLE` in any of a file's tags, as they stand; empty where it has none.

    Raises
    ------
    TagsError
        The file's tags cannot be read.
    OSError
        If the file is missing or may not be read.
    """
    from mirclr.tags.layout import layout_of

    with path.open("rb") as f:
        try:
            return values_of(layout_of(Source(f)), field)
        except Damaged as error:
            raise TagsError(f"{path}: {error}") from error


def values_of(layout: Layout, field: str) -> tuple[str, ...]:
    """The values of a field in all tags of a file, each once."""
    nothing = ("", "0") if field == "bpm" else ("",)  # iTunes writes 0 where it knows no tempo
    found: dict[str, None] = {}
    for block in layout.blocks:
        names = names_of(field, block.family)
        for item in block.items:
            if item.name in names:
                texts = block.texts(item)
                if block.joins:
                    texts = tuple(part.strip() for text in texts for part in text.split(";"))
                found |= dict.fromkeys(text for text in texts if text.strip() not in nothing)
    return tuple(found)
