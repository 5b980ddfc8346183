"""A file's sound from any place on, at its own rate and with all its channels, and its peaks."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mirclr.audio.reading import open_source, what_is_wrong
from mirclr.audio.source import Span, Stumbled

MAX_PEAKS = 8192
_BLOCK_S = 10.0


def sound_blocks(
    path: Path, span: Span | None = None, *, start_s: float = 0.0, block_s: float = _BLOCK_S
) -> Iterator[tuple[np.ndarray, int, float]]:
    """The sound of a file, or of a part of one, from a place on.

    Where libsndfile gives up, FFmpeg's decoders go on from there.

    Yields
    ------
    samples : (frames, channels) float32
        About `block_s` seconds.
    rate : int
        In Hz.
    seconds : float
        How long the whole file, or the part, is.

    Raises
    ------
    AudioError
        As `mirclr.audio.read_excerpts`; a file that ends early raises after what could be read.
    """
    stumbled = None
    try:
        with open_source(path, span) as source:
            for samples in source.blocks(block_s, start_s):
                start_s += len(samples) / source.rate
                yield samples, source.rate, source.seconds
            return
    except Stumbled as error:
        stumbled = error
    with open_source(path, span, stumbled) as source:
        for samples in source.blocks(block_s, start_s):
            yield samples, source.rate, source.seconds


def read_peaks(path: Path, n: int, span: Span | None = None) -> bytes:
    """How loud each of `n` equal parts of a file gets, for a picture of its waveform.

    Returns
    -------
    bytes
        n numbers from 0 to 255, which is full scale: the largest sample of any channel in each part. What a damaged
        file lacks is 0.

    Raises
    ------
    ValueError
        `n` is not from 1 to `MAX_PEAKS`.
    AudioError
        As `mirclr.audio.read_excerpts`.
    """
    if not 1 <= n <= MAX_PEAKS:
        raise ValueError(f"n: found {n}; expected 1 to {MAX_PEAKS}")
    peaks, at = np.zeros(n, np.float32), 0.0  # at: seconds that are behind
    for samples, rate, seconds in sound_blocks(path, span):
        begin, a_part = at * rate, seconds * rate / n  # in samples
        first, last = (min(n - 1, int(place / a_part)) for place in (begin, begin + len(samples) - 1))
        edges = np.ceil(np.arange(first + 1, last + 1) * a_part - begin).astype(np.int64)
        edges = np.unique(np.concatenate([[0], edges[(edges > 0) & (edges < len(samples))]]))
        parts = np.minimum(n - 1, ((edges + begin + 1e-6) / a_part).astype(np.int64))
        for channel in np.ascontiguousarray(samples.T):
            loud = np.maximum.reduceat(np.abs(channel), edges)
            np.maximum.at(peaks, parts, np.nan_to_num(loud, nan=0.0, posinf=1.0))
        at += len(samples) / rate
    return np.round(peaks.clip(0, 1) * 255).astype(np.uint8).tobytes()


def try_peaks(path: Path, n: int, span: Span | None) -> bytes | str:
    """`read_peaks` for a worker process: what is wrong with a file comes back as text."""
    try:
        return read_peaks(path, n, span)
    except Exception as error:  # a decoder may fail in any way
        return what_is_wrong(path, error)
