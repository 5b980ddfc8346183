"""Landmarks: the peaks of a spectrogram, by which a recording is known again in a short and noisy clip of it.

A spectrogram keeps its peaks where noise, a codec, an equaliser or a room change all else (Wang 2003, "An industrial
strength audio search algorithm", ISMIR). Each bin of the log-spectrogram is taken above the mean of what is around it,
some 750 Hz and three seconds, so that level and equalisation fall out. What is the highest of its surroundings is a
peak; of each second the strongest are kept.

Axes: n peaks, N samples, K frames, W bins.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mirclr.audio.reading import decode_blocks, what_is_wrong
from mirclr.audio.source import Span

RATE = 8_000
FRAMES_A_SECOND = 40
PITCHES = 1024
"""Pitches are numbers below it, `PITCHES_AN_OCTAVE` of them an octave, from `LOWEST_HZ` on."""
PITCHES_AN_OCTAVE = 160
LOWEST_HZ = 60.0
KEPT = 12
"""Peaks of a second of a track."""
_WINDOW, _HOP = 1024, RATE // FRAMES_A_SECOND
_BAND_HZ = (100.0, 3_700.0)  # a telephone has most of it
_SURROUNDINGS = (9, 13)  # frames and bins of which a peak is the highest
_BACKGROUND = (121, 97)
_PROMINENT = 0.5  # nepers above the background, from which a bin may be a peak
_FLOOR = 1e-6  # of power: above what sixteen bits leave of silence
_CHUNK_S, _MARGIN_S = 60, 2  # what is looked at at once, and what of it belongs to its neighbours


def find_landmarks(path: Path, span: Span | None = None, kept: int = KEPT) -> np.ndarray:
    """Find the landmarks of a file, or of a part of one.

    Parameters
    ----------
    path : Path
        The file.
    span : Span, optional
        The part that is meant.
    kept : int
        Peaks of a second.

    Returns
    -------
    (n, 3) int32
        As `landmarks_of`.

    Raises
    ------
    AudioError
        As `mirclr.audio.decode_blocks`.
    """
    found, at = [np.zeros((0, 3), np.int32)], 0
    for samples, first, end in _chunks(decode_blocks(path, rate=RATE, span=span)):
        rows = landmarks_of(samples, kept, first, end)
        rows[:, 0] += at - first
        at += end - first
        found.append(rows)
    return np.concatenate(found)


def try_landmarks(path: Path, span: Span | None = None) -> "np.ndarray | str":
    """`find_landmarks` for a worker process: what is wrong with a file comes back as text."""
    try:
        return find_landmarks(path, span)
    except Exception as error:  # a decoder may fail in any way; it must not end the run
        return what_is_wrong(path, error)


def landmarks_of(waveform: np.ndarray, kept: int, first: int = 0, end: int | None = None) -> np.ndarray:
    """Find the landmarks of a waveform.

    Parameters
    ----------
    waveform : (N,) float32
        At `RATE`.
    kept : int
        Peaks of a second, at most.
    first, end : int
        Frames that count: whole seconds, but for the last.

    Returns
    -------
    (n, 3) int32
        Of each peak its frame, its pitch, and its rank: how many of its second are stronger. In the order of frames.
    """
    above = _above_background(waveform)
    end = len(above) if end is None else end
    frames, bins = _maxima(above, first, end)
    strength = above[frames, bins]
    seconds = frames // FRAMES_A_SECOND
    order = np.lexsort((bins, frames, -strength, seconds))
    of_second = seconds[order]
    rank = np.arange(len(order)) - np.searchsorted(of_second, of_second)
    order, rank = order[rank < kept], rank[rank < kept]
    rows = np.stack([frames[order], _pitches(above, frames[order], bins[order]), rank], axis=1)
    return rows[np.lexsort((rows[:, 1], rows[:, 0]))].astype(np.int32)


def _chunks(blocks: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, int, int]]:
    """Samples, and which of their frames count: from one to another; in all chunks together each once."""
    margin, chunk = _MARGIN_S * FRAMES_A_SECOND, _CHUNK_S * FRAMES_A_SECOND
    held, first = np.zeros(0, np.float32), 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= (first + chunk + margin) * _HOP:
            end = first + chunk
            yield held[: (end + margin) * _HOP], first, end
            held, first = held[(end - margin) * _HOP :], margin
    if (end := -(-len(held) // _HOP)) > first:
        yield held, first, end


def _above_background(waveform: np.ndarray) -> np.ndarray:
    """(N,) -> (K, W) float32: log-power above that of the surroundings."""
    from scipy.fft import rfft
    from scipy.ndimage import uniform_filter

    frames = max(1, -(-len(waveform) // _HOP))
    padded = np.zeros((frames - 1) * _HOP + _WINDOW, np.float32)
    padded[_WINDOW // 2 : _WINDOW // 2 + len(waveform)] = waveform[: len(padded) - _WINDOW // 2]
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    spectrum = rfft(windows * np.hanning(_WINDOW).astype(np.float32), axis=1)
    log_power = np.log(np.square(spectrum.real) + np.square(spectrum.imag) + np.float32(_FLOOR))
    above: np.ndarray = log_power - uniform_filter(log_power, _BACKGROUND, mode="nearest")
    return above


def _maxima(above: np.ndarray, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames and bins of what is the highest of its surroundings."""
    from scipy.ndimage import maximum_filter

    low, high = (round(hz * _WINDOW / RATE) for hz in _BAND_HZ)
    highest = maximum_filter(above, _SURROUNDINGS, mode="constant", cval=-np.inf)
    is_peak = (above == highest) & (above > _PROMINENT)
    frames, bins = np.nonzero(is_peak[first:end, low:high])
    return frames + first, bins + low


def _pitches(above: np.ndarray, frames: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Pitches of peaks: of the parabola through a bin and the two beside it."""
    left, centre, right = (above[frames, bins + by] for by in (-1, 0, 1))
    curvature = np.minimum(left - 2 * centre + right, -1e-6)
    hz = (bins + np.clip(0.5 * (left - right) / curvature, -0.5, 0.5)) * RATE / _WINDOW
    return np.clip(np.round(PITCHES_AN_OCTAVE * np.log2(hz / LOWEST_HZ)), 0, PITCHES - 1)
