"""The cover of a song: the picture in its file, else the one that lies beside it."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mirclr.library import LibraryTrack, leads_out
from mirclr.media.sound import file_of
from mirclr.tags.pictures import MAX_PICTURE, Picture, media_type_of, read_pictures

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif")
# as programs name them, the likeliest first; the last is what Windows keeps, in two sizes
_NAMES = (
    *(re.compile(name) for name in ("cover", "folder", "front", "album", "albumart", "artwork", "albumartlarge")),
    re.compile(r"albumart_\{.*\}_large"),
    re.compile(r"(cover|folder|front)\b.*|.*\b(cover|front)"),
)
_DISC = re.compile(r"(cd|dis[ck]|dvd|vinyl|side|part|volume|vol)[ ._-]*\w{1,3}\b.*", re.IGNORECASE)
_MOST_FILES = 2000  # of a folder that are looked at


def cover_of(track: LibraryTrack) -> Picture | None:
    """The cover of a song; None where there is none.

    The front cover that its file carries, else any picture there that is no icon; else an image in its folder that is
    named as covers are (cover.jpg, folder.png …), or, where that is the folder of one disc of several, in the one
    above.

    Raises
    ------
    UnreachableAudio
        As of `mirclr.media.file_of`.
    """
    file = file_of(track)
    with suppress(OSError):
        if pictures := read_pictures(file):
            return pictures[0]
    for folder in _folders(track, file):
        for image in _images(folder):
            if not leads_out(track.root, image) and (picture := _read(image)):
                return picture
    return None


def _folders(track: LibraryTrack, file: Path) -> Iterator[Path]:
    yield file.parent
    if _DISC.fullmatch(file.parent.name) and file.parent != Path(track.root):
        yield file.parent.parent


def _images(folder: Path) -> list[Path]:
    """The images of a folder that are named as covers are, the likeliest first."""
    found: list[tuple[int, str]] = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry, _ in zip(entries, range(_MOST_FILES), strict=False):
            stem, suffix = os.path.splitext(entry.name.lower())
            if suffix in _SUFFIXES:
                found += [(n, entry.name) for n, name in enumerate(_NAMES) if name.fullmatch(stem)][:1]
    return [folder / name for _, name in sorted(found)]


def _read(image: Path) -> Picture | None:
    """An image, if it is one and a regular file, and not absurdly large."""
    with suppress(OSError):
        facts = image.stat()
        if stat.S_ISREG(facts.st_mode) and 0 < facts.st_size <= MAX_PICTURE:
            data = image.read_bytes()
            if media_type := media_type_of(data):
                return Picture(data, media_type)
    return None
