"""All tracks of a library embedded by another encoder, such as that of a newer mirclr.

The new vectors are made in a library beside the old one, which answers and is written to meanwhile, and are put into
it in one transaction (`mirclr.library.renewal`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mirclr.data.scan import Found
from mirclr.index import open_index
from mirclr.library import LibraryStore
from mirclr.library.renewal import open_renewed, remove_renewed, replace_vectors, take_inventory
from mirclr.models.stamp import EncoderStamp
from mirclr.tags import Tags

EmbedAll = Callable[
    [LibraryStore, Sequence[tuple[str, Found]], Mapping[Path, Tags]], tuple[dict[str, int], list[tuple[str, str]]]
]
"""Embeds files, each with its root, into a library; gives how many of each outcome, and (file, reason) of failures."""


@dataclass(frozen=True)
class Renewal:
    """What came of it.

    Attributes
    ----------
    counts : dict of str to int
        How many files had each outcome, as of `mirclr.ingest.embedding`.
    failures : list of (str, str)
        Files that are left out, with the reason.
    gone, came : list of Path
        Files that are not there, and those that came while the library was renewed: the next sync embeds them.
    """

    counts: dict[str, int]
    failures: list[tuple[str, str]]
    gone: list[Path]
    came: list[Path]


def renew(library: LibraryStore, encoder: EncoderStamp, embed: EmbedAll) -> Renewal:
    """Give a library's tracks the vectors of another encoder; what a person keeps in it stays.

    A run that was stopped is resumed.

    Parameters
    ----------
    library : LibraryStore
        Open for writing; it answers as before until all is embedded.
    encoder : EncoderStamp
        Of the encoder that `embed` uses.
    embed : callable
        See `EmbedAll`.

    Raises
    ------
    LibraryError
        A whole folder is not there: a disk may be off.
    """
    held = take_inventory(library)
    with open_renewed(library.path, encoder) as new:
        counts, failures = embed(new, [(root, found) for found, root in held.files.items()], held.tags)
        while (now := take_inventory(library)).states != held.states:  # others wrote to it meanwhile
            held = now
            more, failures = embed(new, [(root, found) for found, root in held.files.items()], held.tags)
            counts |= {did: counts[did] + n for did, n in more.items() if did not in ("unchanged", "failed")}
            counts["failed"] = more["failed"]
        came = replace_vectors(library, new, held)
    open_index(library)
    remove_renewed(library.path)
    return Renewal(counts, [*failures, *held.outside], held.gone, came)
