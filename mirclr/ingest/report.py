"""`EmbedReport`: what became of the files of some folders."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class EmbedReport:
    """What became of the files of some folders.

    Attributes
    ----------
    embedded, unchanged, moved, retagged, copied : int
        Files that are new, that are as they were, and those whose vector was kept: found in another place, with other
        tags, or as a copy.
    failures : dict of Path to str
        Files that could not be embedded, each with the reason.
    remarks : list of str
        For people: what was not taken, such as pictures and hidden folders.
    """

    embedded: int = 0
    unchanged: int = 0
    moved: int = 0
    retagged: int = 0
    copied: int = 0
    failures: dict[Path, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """How many could not be embedded."""
        return len(self.failures)

    def __str__(self) -> str:
        kinds = ("embedded", "unchanged", "moved", "retagged", "copied", "failed")
        return ", ".join(f"{n} {kind}" for kind in kinds if (n := getattr(self, kind))) or "no audio files"
