"""Tempo, key and loudness of a track, by its middle minute.

Tempo and key are librosa's work, loudness is pyloudnorm's. They say what a person would use to sort music for dancing
or mixing; none of them was measured on labelled music here, and tempo is often told at half or twice what one taps.
"""

import math
from pathlib import Path

import numpy as np

from mirclr.audio import Section, Span, read_middle, resample, what_is_wrong
from mirclr.library import Description

SECONDS = 60.0
RATE = 22_050
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
    key, strength = find_key(mono, RATE)
    return Description(find_tempo(mono, RATE), key, strength, find_loudness(section))


def try_describe(path: Path, span: Span | None = None) -> "Description | str":
    """`describe_file` for a worker process: what is wrong with a file comes back as text."""
    try:
        return describe_file(path, span)
    except Exception as error:  # a decoder may fail in any way; it must not end the run
        return what_is_wrong(path, error, "described")


def find_tempo(waveform: np.ndarray, rate: int) -> float | None:
    """Beats a minute of (n_samples,) float32, by the autocorrelation of onsets; None where nothing begins.

    Ellis 2007, "Beat tracking by dynamic programming", with librosa's prior around 120.
    """
    from librosa.feature import tempo as tempo_of
    from librosa.onset import onset_strength

    onsets = onset_strength(y=waveform, sr=rate)
    if not np.isfinite(onsets).all() or onsets.max(initial=0.0) <= 0:
        return None
    tempo = float(tempo_of(onset_envelope=onsets, sr=rate)[0])
    return round(tempo, 1) if math.isfinite(tempo) and tempo > 0 else None


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
