"""`find_tempo`: beats a minute, from where sounds begin.

Conventions: waveforms are (n_samples,) float32, mono, at `RATE`; T frames of `_HOP` samples.
"""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from mirclr.audio.spectra import RATE, framed, power_spectra

_WINDOW, _HOP = 1024, 128  # samples: frames begin 12 ms apart
_FRAMES_A_MINUTE = 60 * RATE / _HOP
_BANDS_AN_OCTAVE, _LOWEST_HZ = 8, 60.0
_FLOOR = 1e-8  # of the loudest band, below which it counts as silence
_LOCAL_S = 8.0  # over which beats are taken to be even
_LEAST_S = 2.0  # a stretch that is shorter holds too few beats
_REPEATS = 1e-3  # of an autocorrelation of 1: below it nothing comes again
_USUAL_BPM, _FASTEST_BPM = 110.0, 320.0  # the first decides between a tempo, its half and its double
_OF_DOUBLE = 0.5  # how much it counts that a period comes twice


def find_tempo(waveforms: Sequence[np.ndarray]) -> float | None:
    """Beats a minute of a track, by some stretches of it; None where nothing begins again and again.

    The period at which onsets come again within eight seconds, and at twice which they do too, with a prior of an
    octave around `_USUAL_BPM` (Ellis 2007, "Beat tracking by dynamic programming"). That is exact to a frame; how far
    apart beats are that lie many periods from each other makes it more exact.

    Parameters
    ----------
    waveforms : sequence of (n_samples,) float32
        At `RATE`. Of less than two seconds no tempo is found.
    """
    long_enough = (waveform for waveform in waveforms if len(waveform) >= _LEAST_S * RATE)
    onsets = [found for found in map(onset_strength, long_enough) if np.isfinite(found).all() and found.any()]
    if not onsets:
        return None
    period = _likeliest_period(onsets)
    return None if period is None else round(float(_FRAMES_A_MINUTE / _exact_period(onsets, period)), 1)


def onset_strength(waveform: np.ndarray) -> np.ndarray:
    """(n_samples,) -> (T,): by how many dB the bands of a spectrum rise from frame to frame, on average."""
    power = power_spectra(np.pad(waveform, _WINDOW // 2), _WINDOW, _HOP)
    starts = _band_starts()
    bands = np.add.reduceat(power, starts, axis=1) / np.diff(starts, append=power.shape[1])
    decibels = 10 * np.log10(np.maximum(bands, max(_FLOOR * float(bands.max()), 1e-30)))
    rises = np.maximum(np.diff(decibels, axis=0, prepend=decibels[:1]), 0)
    return np.asarray(rises.mean(axis=1), np.float64)


@cache
def _band_starts() -> np.ndarray:
    """The first bin of each band; the last band ends with the spectrum."""
    hz = np.fft.rfftfreq(_WINDOW, 1 / RATE)
    octaves = math.log2(RATE / 2 / _LOWEST_HZ)
    edges = _LOWEST_HZ * 2 ** (np.arange(int(octaves * _BANDS_AN_OCTAVE) + 1) / _BANDS_AN_OCTAVE)
    starts = np.unique(np.searchsorted(hz, edges))
    return starts[starts < len(hz) - 1]


def _likeliest_period(onsets: Sequence[np.ndarray]) -> float | None:
    """In frames; None where nothing comes again."""
    local = min(round(_LOCAL_S * RATE / _HOP), *map(len, onsets))
    beats = np.concatenate([_local_periodicity(of, local) for of in onsets]).mean(axis=0)
    around = np.maximum.reduce([beats, np.roll(beats, 1), np.roll(beats, -1)])  # a double is known to a frame
    doubles = around[: 2 * ((local - 2) // 2) + 1 : 2]
    beats[: len(doubles)] += _OF_DOUBLE * doubles
    lags = np.arange(1, local)
    bpm = _FRAMES_A_MINUTE / lags
    usual = -0.5 * np.log2(bpm / _USUAL_BPM) ** 2
    allowed = (bpm < _FASTEST_BPM) & (beats[1:] > _REPEATS)
    if not allowed.any():
        return None
    return float(lags[np.argmax(np.where(allowed, np.log1p(1e6 * np.maximum(beats[1:], 0)) + usual, -np.inf))])


def _local_periodicity(onsets: np.ndarray, local: int) -> np.ndarray:
    """(T,) -> (m, local): autocorrelations of windows that begin half a second apart, each at most 1."""
    windows = framed(onsets, local, RATE // _HOP // 2) * np.hanning(local + 1)[:-1]
    spectra = np.abs(np.fft.rfft(windows, 2 * local, axis=1)) ** 2
    products = np.fft.irfft(spectra, axis=1)[:, :local]
    return np.asarray(products / np.maximum(np.abs(products).max(axis=1, keepdims=True), 1e-12))


def _exact_period(onsets: Sequence[np.ndarray], period: float) -> float:
    """A period in frames, exact to a fraction of one.

    Where the autocorrelation peaks near 1, 2, 4, … periods, as long as those peaks stand out.
    """
    shortest = min(map(len, onsets))
    correlation = np.mean([_autocorrelation(of)[:shortest] for of in onsets], axis=0)
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


def _autocorrelation(onsets: np.ndarray) -> np.ndarray:
    """(T,) -> (T,): a mean of products at each lag, however many overlap."""
    centred = onsets - onsets.mean()
    products = np.fft.irfft(np.abs(np.fft.rfft(centred, 2 * len(centred))) ** 2)[: len(centred)]
    return np.asarray(products / np.arange(len(centred), 0, -1))
