"""Tempo, key, loudness, beats and chords of a track, and what it is compared by beside its sound.

They are what a person would use to sort music for dancing or mixing. Beats and chords are those of the whole song, by a
network (`mirclr.transcription`); tempo and key are made of them. Loudness is that of two stretches of 15 seconds.
tests/benchmarks measures how often they are right, and how fast this is.

Contents: `describe_file`, `describe_tracks` (those of a library, in processes), `undescribed` (which those may be),
`find_aspects`.
"""

from collections.abc import Generator, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from mirclr.audio import Span, read_sections, what_is_wrong
from mirclr.audio.key import best_fit
from mirclr.audio.loudness import find_loudness
from mirclr.ingest.storing import find_and_store
from mirclr.library import Description, LibraryStore, LibraryTrack, part_leading_out
from mirclr.models.portable_transcriber import PortableTranscriber
from mirclr.transcription import builtin_transcriber, key_of, read_song, tempo_of

_SECTIONS, _SECONDS = 2, 15.0


def describe_file(path: Path, span: Span | None = None) -> Description:
    """Describe a file, or a part of one.

    Raises
    ------
    AudioError
        As `mirclr.audio.read_excerpts`.
    """
    sections = read_sections(path, count=_SECTIONS, seconds=_SECONDS, span=span)
    reader = read_song(path, _network(), span, pitches=True)
    outline = reader.outline()
    tempo = tempo_of(outline.beats)
    pitches = reader.pitch_fits()
    key, strength = key_of(outline.chords, pitches)
    if key is None and outline.chords[:, 2].any():  # of one chord
        key, strength = best_fit(pitches)
    loudness = find_loudness(sections)
    return Description(
        None if tempo is None else round(tempo, 1), key, strength, loudness, outline, reader.aspects(outline)
    )


def find_aspects(path: Path) -> dict[str, np.ndarray]:
    """Harmony and rhythm of a file alone, as `describe_file` finds them.

    Raises
    ------
    AudioError
        As `mirclr.audio.decode_blocks`.
    """
    reader = read_song(path, _network())
    return reader.aspects(reader.outline())


@cache
def _network() -> PortableTranscriber:
    """One thread of it: there is a process for each core."""
    return PortableTranscriber(builtin_transcriber("song"), "song", threads=1)


def try_describe(path: Path, span: Span | None = None) -> "Description | str":
    """`describe_file` for a worker process: what is wrong with a file comes back as text."""
    try:
        return describe_file(path, span)
    except Exception as error:  # a decoder may fail in any way; it must not end the run
        return what_is_wrong(path, error, "described")


def undescribed(library: LibraryStore, again: bool) -> tuple[list[LibraryTrack], list[str], int]:
    """Tracks to describe: all, or those that were not, or were before beats, harmony and rhythm were kept.

    Returns
    -------
    tracks : list of LibraryTrack
    problems : list of str
        Why others cannot be.
    known : int
        How many are described already.
    """
    known = set() if again else library.with_outline() & library.with_aspects() & library.descriptions().keys()
    tracks, problems = part_leading_out(track for track in library.tracks() if track.id not in known)
    return tracks, problems, len(known)


def describe_tracks(
    library: LibraryStore, tracks: Sequence[LibraryTrack], *, workers: int = 0
) -> Generator[tuple[LibraryTrack, Description | str]]:
    """Describe tracks by their files, and store that, as `find_and_store`; a text is why a file was not described."""
    return find_and_store(tracks, try_describe, library.store_descriptions, workers=workers)
