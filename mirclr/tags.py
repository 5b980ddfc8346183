"""Tags in audio files; the only door to mutagen.

`read_tags` gives the few fields that mirclr uses, whatever the container calls them. Text is cleaned: control
characters (which could drive a terminal) become spaces, runs of spaces one, an empty text None. `read_values` and
`write_values` are for the fields that mirclr can write, as they stand in the file. mutagen is imported by the functions
that need it: most of those who import this module want `AUDIO_SUFFIXES` and `Tags` alone.
"""

import math
import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirclr.errors import TagsError

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
    "compilation": ("compilation", "WM/IsCompilation", "TCMP"),
}
WRITABLE = ("genre", "mood", "bpm", "key")
"""Fields that `write_values` takes. A tempo is written as a whole number, as ID3 and MP4 want it."""
# by the kind of tags: mutagen's easy keys and Vorbis comments, ASF's names, bare ID3 frames
_EASY = {"genre": ("genre",), "mood": ("mood",), "bpm": ("bpm", "tempo"), "key": ("initialkey", "key")}
"""Where a field may stand, first where it is put: most programs read INITIALKEY (Mixxx, beets), Picard writes KEY."""
_ASF = {"genre": "WM/Genre", "mood": "WM/Mood", "bpm": "WM/BeatsPerMinute", "key": "WM/InitialKey"}
_ID3 = {"genre": "TCON", "mood": "TMOO", "bpm": "TBPM", "key": "TKEY"}

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
    compilation : bool or None
        Whether the album is one of several artists.
    """

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    album_artist: str | None = None
    genre: str | None = None
    year: int | None = None
    duration_s: float | None = None
    compilation: bool | None = None


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
        file = _parsed(path)
        if file is None:
            return Tags()
        fields = {name: _first(file.tags, keys) for name, keys in _KEYS.items()}
        duration = _duration(file)
    except Exception:  # parsers of damaged files fail in every way there is
        return Tags()
    year = _YEAR.search(fields.pop("year") or "")
    genre, flag = fields.pop("genre"), fields.pop("compilation")
    return Tags(
        **{name: _clean(text) for name, text in fields.items()},
        genre=_clean(re.split("[;\0]", genre)[0]) if genre else None,
        year=int(year[0]) if year else None,
        duration_s=duration,
        compilation=flag.strip().lower() in ("1", "true", "yes") if flag and flag.strip() else None,
    )


def _parsed(path: Path) -> Any:
    """Mutagen's view of a file; None where it is of no kind that it knows."""
    import mutagen
    from mutagen.easyid3 import EasyID3
    from mutagen.easymp4 import EasyMP4Tags

    EasyID3.RegisterTextKey("initialkey", "TKEY")
    EasyID3.RegisterTextKey("compilation", "TCMP")
    EasyMP4Tags.RegisterKey("compilation", lambda tags, _: [str(int(tags["cpil"]))])
    EasyMP4Tags.RegisterFreeformKey("mood", "MOOD")
    EasyMP4Tags.RegisterFreeformKey("initialkey", "initialkey")
    return mutagen.File(path, easy=True)


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


def read_values(path: Path, field: str) -> tuple[str, ...]:
    """What a file says in a field of `WRITABLE`, all of it, as it stands; empty where it says nothing.

    Raises
    ------
    TagsError
        The file's tags cannot be read.
    """
    return _values(_opened(path, path), field)


def write_values(path: Path, fields: Mapping[str, Sequence[str]]) -> None:
    """Set fields of a file's tags; an empty sequence takes a field out.

    The tags are written into a copy that then replaces the file, so that no interruption leaves half a file. The audio
    is left as it is, and so are the file's times and permissions.

    Parameters
    ----------
    path : Path
        The file; a link is followed.
    fields : mapping of str to sequence of str
        By names of `WRITABLE`.

    Raises
    ------
    TagsError
        The file's tags cannot be read or written.
    """
    target = path.resolve()
    before = target.stat()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}.", suffix=target.suffix)
    os.close(handle)
    copy = Path(name)
    try:
        shutil.copyfile(target, copy)
        file = _opened(copy, path)
        try:
            if file.tags is None:
                file.add_tags()
            for field, values in fields.items():
                _set(file, field, list(values))
            file.save()
        except Exception as error:  # mutagen's formats each raise their own
            raise TagsError(f"{path}: its tags cannot be written ({error})") from error
        with copy.open("rb+") as f:
            os.fsync(f.fileno())
        shutil.copystat(target, copy)
        os.replace(copy, target)
        os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    finally:
        copy.unlink(missing_ok=True)


def _opened(file: Path, named: Path) -> Any:
    """Mutagen's view of a file, which errors call by another name."""
    try:
        found = _parsed(file)
    except Exception as error:  # parsers of damaged files fail in every way there is
        raise TagsError(f"{named}: its tags cannot be read ({error})") from error
    if found is None:
        raise TagsError(f"{named}: not a kind of file whose tags can be read")
    return found


def _key(file: Any, field: str) -> str:
    from mutagen.asf import ASF
    from mutagen.id3 import ID3

    if isinstance(file, ASF):
        return _ASF[field]
    if isinstance(file.tags, ID3):
        return _ID3[field]
    return next((key for key in _EASY[field] if key in file.tags), _EASY[field][0])


def _values(file: Any, field: str) -> tuple[str, ...]:
    if file.tags is None:
        return ()
    try:
        found = file.tags[_key(file, field)]
    except KeyError:
        return ()
    found = getattr(found, "text", found)  # a bare ID3 frame
    texts = map(str, found if isinstance(found, list) else [found])
    nothing = ("", "0") if field == "bpm" else ("",)  # iTunes writes 0 where it knows no tempo
    return tuple(text for text in texts if text.strip() not in nothing)


def _set(file: Any, field: str, values: list[str]) -> None:
    from mutagen.id3 import ID3, Frames

    key = _key(file, field)
    if isinstance(file.tags, ID3):
        file.tags.delall(key)
        if values:
            file.tags.add(Frames[key](encoding=3, text=values))
    elif values:
        file.tags[key] = values
    elif key in file.tags:
        del file.tags[key]
