"""Which files are meant to be embedded: those of folders and files that a person names, each with its root."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mirclr.data.scan import Exclusions, Found, PassedOver, ScanFailure, audio_at, audio_files, place_of
from mirclr.errors import LibraryError
from mirclr.library import Failure, LibraryStore


def find_audio(
    paths: Sequence[Path], library: LibraryStore, passed: PassedOver | None = None, root: Path | None = None
) -> tuple[list[tuple[str, Found]], list[Failure]]:
    """List the audio of folders and files with the root that each belongs to, but for what the library excludes.

    Parameters
    ----------
    paths : sequence of Path
        Folders and files.
    library : LibraryStore
        Holds what is excluded, and the roots that paths may belong to (`roots_of`).
    passed : PassedOver, optional
        Counts what was not taken.
    root : Path, optional
        As of `roots_of`.

    Returns
    -------
    files : list of (root, file or part of a file)
    failures : list of Failure
        What cannot be followed or read; not written yet.

    Raises
    ------
    LibraryError
        A path is not there.
    """
    return find_below(roots_of(paths, library, root), Exclusions(library.exclusions()), passed)


def find_below(
    roots: Mapping[Path, str], exclusions: Exclusions, passed: PassedOver | None = None
) -> tuple[list[tuple[str, Found]], list[Failure]]:
    """List the audio of folders and files, each with the root that it belongs to (`roots_of`), as `find_audio`."""
    listing = Listing()
    for path, own in roots.items():
        if path.is_dir():
            for found in audio_files(path, exclusions=exclusions, passed=passed):
                listing.add(path, own, found)
    for path, one in audio_at((p for p in roots if not p.is_dir()), exclusions=exclusions, passed=passed):
        listing.add(path.parent, roots[path], one)
    if passed:
        passed.patterns |= exclusions.used
    return list(listing.files.values()), listing.failures


class Listing:
    """What a scan found, each with its root: files once, whatever the ways that lead to them."""

    def __init__(self) -> None:
        self.files: dict[Path, tuple[str, Found]] = {}
        self.failures: list[Failure] = []

    def add(self, folder: Path, root: str, found: Found | ScanFailure) -> None:
        """Add what was found in a folder below a root."""
        if isinstance(found, ScanFailure):
            path = (folder / found.path).relative_to(root).as_posix()
            self.failures.append(Failure(root, path, 0, 0, found.reason))
        else:
            self.files.setdefault(place_of(found), (root, found))


def roots_of(paths: Sequence[Path], library: LibraryStore | None, root: Path | None = None) -> dict[Path, str]:
    """The root that each of some paths, made absolute, belongs to.

    A path below a folder that the library already holds belongs to that folder, so that embedding a part again
    makes no second copy; else to `root`, if one is given and it is below it; else it is a root, or its folder is.

    Raises
    ------
    LibraryError
        A path is not there.
    """
    roots = [
        *(library.roots() if library else ()),
        *([] if root is None else [str(Path(os.path.expanduser(root)).resolve())]),
    ]
    found = {}
    for given in paths:
        path = Path(os.path.expanduser(given)).resolve()
        if not path.exists():
            raise LibraryError(f"{given}: no such file or folder; expected audio files or folders of them")
        own = path if path.is_dir() else path.parent
        found[path] = next((held for held in roots if path.is_relative_to(held)), str(own))
    return found
