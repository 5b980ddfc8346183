"""Tempo, key and loudness of a track, by two stretches of a quarter of a minute.

They are what a person would use to sort music for dancing or mixing. Tempo is often found at half or twice what one
taps; tests/benchmarks measures how often, and how fast this is.

Contents: `describe_file`, `describe_tracks` (those of a library, in processes).
"""

from collections.abc import Generator, Sequence
from pathlib import Path

from mirclr.audio import Span, read_sections, resample, what_is_wrong
from mirclr.audio.key import find_key
from mirclr.audio.loudness import find_loudness
from mirclr.audio.spectra import RATE
from mirclr.audio.tempo import find_tempo
from mirclr.ingest.storing import find_and_store
from mirclr.library import Description, LibraryStore, LibraryTrack

_SECTIONS, _SECONDS = 2, 15.0


def describe_file(path: Path, span: Span | None = None) -> Description:
    """Describe a file, or a part of one, by two stretches of it.

    Raises
    ------
    AudioError
        As `mirclr.audio.read_excerpts`.
    """
    sections = read_sections(path, count=_SECTIONS, seconds=_SECONDS, span=span)
    waveforms = [resample(section.mono, section.rate, RATE) for section in sections]
    key, strength = find_key(waveforms)
    return Description(find_tempo(waveforms), key, strength, find_loudness(sections))


def try_describe(path: Path, span: Span | None = None) -> "Description | str":
    """`describe_file` for a worker process: what is wrong with a file comes back as text."""
    try:
        return describe_file(path, span)
    except Exception as error:  # a decoder may fail in any way; it must not end the run
        return what_is_wrong(path, error, "described")


def describe_tracks(
    library: LibraryStore, tracks: Sequence[LibraryTrack], *, workers: int = 0
) -> Generator[tuple[LibraryTrack, Description | str]]:
    """Describe tracks by their files, and store that, as `find_and_store`; a text is why a file was not described."""
    return find_and_store(tracks, try_describe, library.store_descriptions, workers=workers)
