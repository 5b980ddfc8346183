"""What is known of a corpus, and what reading or fetching one gives."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mirclr.data.manifest import Track


@dataclass(frozen=True)
class Corpus:
    """A corpus that mirclr knows; its card is ``data_manifests/<name>/README.md``.

    Attributes
    ----------
    name : str
        As it is called on the command line.
    title, licence, citation, homepage : str
    obtained : {"apt", "folder"}
        mirclr fetches it from Debian's packages; or the user has it, as published, in a folder.
    subsets : tuple of str
        Parts that can be asked for as ``name/subset``.
    measuring_only : bool
        It must not be trained on.
    """

    name: str
    title: str
    licence: str
    obtained: Literal["apt", "folder"]
    citation: str
    homepage: str
    subsets: tuple[str, ...] = ()
    measuring_only: bool = False


@dataclass(frozen=True)
class Reading:
    """A published corpus read from a folder: its tracks, and what is not as published."""

    tracks: list[Track]
    problems: list[str]


@dataclass(frozen=True)
class Fetched:
    """A corpus obtained.

    Attributes
    ----------
    manifest : Path
        Lists what is there.
    audio_root : Path
        What its paths are relative to.
    tracks : int
        How many there are.
    problems : list of str
        What could not be obtained, and why.
    remarks : list of str
        What was left out on purpose, and how to have it too.
    """

    manifest: Path
    audio_root: Path
    tracks: int
    problems: list[str]
    remarks: list[str]
