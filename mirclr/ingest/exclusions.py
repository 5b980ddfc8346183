"""What a person leaves out of a library, as typed: globs to patterns below a root, stored in the library."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath

from mirclr.errors import NoMatch, PatternError
from mirclr.library import LibraryStore


def pattern_of(glob: str, root: str, given: Iterable[Path] = ()) -> str | None:
    """A glob as a pattern below a root; None of an absolute one that leads elsewhere.

    Parameters
    ----------
    glob : str
        As a person writes it: relative to the root, or absolute.
    root : str
        The absolute folder.
    given : iterable of Path
        Other names of the root, such as through a link.

    Raises
    ------
    PatternError
        It stands for nothing, or for the whole folder.
    """
    text = os.path.expanduser(glob).replace(os.sep, "/")
    anchor = ""
    if PurePath(text).is_absolute():
        for place in (Path(root), *(Path(os.path.abspath(g)) for g in given)):
            if PurePath(text).is_relative_to(place):
                text, anchor = PurePath(text).relative_to(place).as_posix(), "./"
                break
        else:
            return None
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or set(parts) <= {"**"}:
        raise PatternError(f"--exclude {glob!r}: expected a name or a path below {root}, with *, ? and **")
    return ("./" if text.startswith("./") else anchor) + "/".join(parts)


def keep_exclusions(library: LibraryStore, globs: Sequence[str], roots: Mapping[Path, str]) -> dict[str, list[str]]:
    """Store globs in a library for the roots of folders; returns the patterns by root.

    Parameters
    ----------
    library : LibraryStore
        Stores them.
    globs : sequence of str
        As a person writes them.
    roots : mapping of Path to str
        Folders as they were given, each with its root.

    Raises
    ------
    PatternError
        A glob stands for nothing, or is absolute and below none of the roots.
    """
    kept: dict[str, list[str]] = {}
    for glob in (_as_completed(glob, roots.values()) for glob in globs):
        patterns = {
            root: pattern_of(glob, root, [folder for folder, of in roots.items() if of == root])
            for root in dict.fromkeys(roots.values())
        }
        if not any(patterns.values()):
            raise PatternError(f"--exclude {glob!r}: is below none of the folders {', '.join(patterns)}")
        for root, pattern in patterns.items():
            if pattern:
                kept.setdefault(root, []).append(pattern)
    for root, some in kept.items():
        library.add_exclusions(root, some)
    return kept


def _as_completed(glob: str, roots: Iterable[str]) -> str:
    """A glob; made absolute where it is a path from here, as a shell completes it, into a root that has none such."""
    place, below = Path(os.path.abspath(glob)), list(roots)
    is_path = any(sign in glob for sign in {"/", os.sep}) and place.exists()
    if not is_path or any(os.path.lexists(os.path.join(root, glob)) for root in below):
        return glob
    return str(place) if any(place.is_relative_to(root) and place != Path(root) for root in below) else glob


def roots_for(library: LibraryStore, folder: Path | None = None) -> dict[Path, str]:
    """The roots that exclusions of a folder hold for, each by a folder's name; without a folder all of a library's.

    Raises
    ------
    NoMatch
        The library has no track and no exclusion there.
    """
    held = [*dict.fromkeys((*library.roots(), *library.exclusions()))]
    if folder is None:
        found = {Path(root): root for root in held}
    else:
        place = folder.resolve()
        found = dict.fromkeys([folder], next((root for root in held if place.is_relative_to(root)), ""))
    if not any(found.values()):
        named = f"{folder}: no folder of the library" if folder else f"{library.path}: holds no folder yet"
        raise NoMatch(f"{named}; to embed one without some of it: mirclr embed FOLDER --exclude GLOB")
    return found
