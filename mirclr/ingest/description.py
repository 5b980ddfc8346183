"""Tempo, key and loudness of a track, by its middle minute.

Tempo and key are librosa's work, loudness is pyloudnorm's. They are what a person would use to sort music for dancing
or mixing; none of them was measured on labelled music here, and tempo is often found at half or twice what one taps.

Contents: `describe_file`, `describe_tracks` (those of a library, in processes).
"""

import math
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np

from mirclr.audio import Section, Span, read_middle, resample, what_is_wrong, why_lost
from mirclr.library import Description, LibraryStore, LibraryTrack
from mirclr.processes import Lost, results_in_order, seconds_for_file

SECONDS = 60.0
RATE = 22_050
_BATCH = 16  # tracks that are stored in one transaction
_HOP = 512  # samples of a frame of onsets
PITCHES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
# how well each pitch fits a key whose tonic is first: listeners' ratings, Krumhansl and Kessler 1982
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
KEYS = (*PITCHES, *(f"{p}m" for p in PITCHES))
"""Major keys, then minor ones."""


def describe_file(path: Path, span: Span | None = None) -> Description:
    """Describe a file, or a part of one, by its middle minute.

    Raises
    ------
    AudioError
        As `mirclr.audio.read_excerpts`.
    """
    section = read_middle(path, seconds=SECONDS, span=span)
    mono = resample(section.mono, section.rate, RATE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa's and pyloudnorm's on short or toneless sounds: None is their result
        key, strength = find_key(mono, RATE)
        return Description(find_tempo(mono, RATE), key, strength, find_loudness(section))


def try_describe(path: Path, span: Span | None = None) -> "Description | str":
    """`describe_file` for a worker process: what is wrong with a file comes back as text."""
    try:
        return describe_file(path, span)
    except Exception as error:  # a decoder may fail in any way; it must not end the run
        return what_is_wrong(path, error, "described")


def describe_tracks(
    library: LibraryStore, tracks: Sequence[LibraryTrack], *, workers: int = 0
) -> Generator[tuple[LibraryTrack, Description | str]]:
    """Describe tracks by their files; what is found is stored, the last of it when the iterator is closed.

    Parameters
    ----------
    library : LibraryStore
        Open for writing.
    tracks : sequence of LibraryTrack
        Of the library, none of them leading out of it (`mirclr.library.part_leading_out`).
    workers : int
        Processes; 0: one a core.

    Yields
    ------
    track, found : LibraryTrack, Description or str
        In the order of the tracks; a text is why the file could not be described.
    """
    waiting: dict[int, Description] = {}
    jobs = ((t.file, t.span) for t in tracks)
    results = results_in_order(try_describe, jobs, workers=workers, seconds_for=seconds_for_file)
    try:
        for track, ((file, _), found) in zip(tracks, results, strict=True):
            if isinstance(found, Description):
                waiting[track.id] = found
                if len(waiting) == _BATCH:
                    library.store_descriptions(waiting)
                    waiting = {}
            yield track, why_lost(file, found) if isinstance(found, Lost) else found
    finally:
        library.store_descriptions(waiting)


def find_tempo(waveform: np.ndarray, rate: int) -> float | None:
    """Beats a minute of (n_samples,) float32, by the autocorrelation of onsets; None where nothing begins.

    Ellis 2007, "Beat tracking by dynamic programming", with librosa's prior around 120. That finds the period to a
    frame, which is 5 beats a minute at 120; how far apart beats are that lie many periods from
    each other makes it exact.
    """
    from librosa.feature import tempo as tempo_of
    from librosa.onset import onset_strength

    onsets = onset_strength(y=waveform, sr=rate, hop_length=_HOP)
    if not np.isfinite(onsets).all() or onsets.max(initial=0.0) <= 0:
        return None
    tempo = float(tempo_of(onset_envelope=onsets, sr=rate, hop_length=_HOP)[0])
    if not math.isfinite(tempo) or tempo <= 0:
        return None
    frames_a_minute = 60 * rate / _HOP
    return round(frames_a_minute / _exact_period(onsets, frames_a_minute / tempo), 1)


def _exact_period(onsets: np.ndarray, period: float) -> float:
    """A period of (T,) onset strength in frames, exact to a fraction of one.

    Where the autocorrelation peaks near 1, 2, 4, … periods, as long as those peaks stand out.
    """
    from librosa import autocorrelate

    centred = onsets - onsets.mean()
    correlation = autocorrelate(centred) / np.arange(len(centred), 0, -1)  # a mean of products, however many overlap
    least = 0.0
    for count in (1, 2, 4, 8, 16, 32):
        low = math.ceil(count * period - 1.5)
        if low < 1 or low + 5 > len(correlation) // 2:
            break
        peak = low + int(np.argmax(correlation[low : low + 4]))
        before, at, after = correlation[peak - 1 : peak + 2]
        if at < max(before, after) or at < least:
            break
        least = 0.5 * at if count == 1 else least
        bend = before - 2 * at + after
        period = (peak + (0.5 * (before - after) / bend if bend else 0.0)) / count
    return period


def find_key(waveform: np.ndarray, rate: int) -> tuple[str | None, float]:
    """Name and correlation of the key whose profile the pitches of (n_samples,) float32 fit best; None without pitches.

    Krumhansl 1990, "Cognitive foundations of musical pitch", chapter 4.
    """
    import librosa

    chroma = librosa.feature.chroma_cqt(y=waveform, sr=rate, hop_length=1024).mean(axis=1)
    if not np.isfinite(chroma).all() or float(np.ptp(chroma)) < 1e-6:
        return None, 0.0
    profiles = np.array([np.roll(profile, tonic) for profile in (_MAJOR, _MINOR) for tonic in range(12)])
    fits = [float(np.corrcoef(chroma, profile)[0, 1]) for profile in profiles]
    best = int(np.argmax(fits))
    return KEYS[best], round(fits[best], 3)


def find_loudness(section: Section) -> float | None:
    """Integrated loudness in LUFS (ITU-R BS.1770-4); None of silence."""
    import pyloudnorm

    samples = section.samples[:, :5].astype(np.float64)  # the standard weighs five channels
    if len(samples) < 0.5 * section.rate:
        return None
    loudness = float(pyloudnorm.Meter(section.rate).integrated_loudness(samples))
    return round(loudness, 1) if math.isfinite(loudness) else None
