"""Whether the files of a library may be opened: they may be gone, or links that lead out of their root.

Contents: `is_gone`, `absence` (of a folder), `leads_out`, `part_leading_out` (of many tracks).
"""

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from mirclr.library.records import LibraryTrack

LEADS_OUT = "a link that leads out of {}; embed what it leads to by itself"
"""The reason of a failure of a file that a link leads to from its root, which is put in."""


def is_gone(file: Path, *, follow_links: bool = True) -> bool:
    """Whether a file is surely not there: one that may not be looked at counts as there."""
    try:
        os.stat(file, follow_symlinks=follow_links)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        pass
    return False


def absence(folder: Path) -> str | None:
    """Why nothing can be known of the files of a folder; None when they can be looked at."""
    try:
        with os.scandir(folder) as entries:
            return None if any(True for _ in entries) else "is empty"
    except FileNotFoundError:
        return "is not there"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def leads_out(root: str, file: Path) -> bool:
    """Whether a file below a root is only there by a link that leads out of it, as scanning a folder follows none."""
    try:
        return not Path(os.path.realpath(file)).is_relative_to(_real(root))
    except (OSError, ValueError):
        return False  # opening it will show what is wrong


@lru_cache(maxsize=16)
def _real(root: str) -> str:
    return os.path.realpath(root)


def part_leading_out(tracks: Iterable[LibraryTrack]) -> tuple[list[LibraryTrack], list[str]]:
    """Tracks whose files may be opened, and a line for each other: what a link leads to is not of the library."""
    inside: list[LibraryTrack] = []
    outside: list[str] = []
    for track in tracks:
        if leads_out(track.root, track.file):
            outside.append(f"{track.file}: {LEADS_OUT.format(track.root)}")
        else:
            inside.append(track)
    return inside, outside
