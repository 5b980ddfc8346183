"""The level and the balance at which an encoder takes a track; no torch.

Encoders learn from music as it is mastered, and take the same music at another level, or by a brighter or darker
master, for another.
"""

import math

import numpy as np
import scipy.fft

POWER = 10**-2.0
"""-20 dBFS, an RMS of 0.1: of 50 tracks of Emotify four were below."""
_MOST_GAIN = 10**1.5  # 30 dB: what is quieter still is as much noise as music

USUAL_SLOPE = -6.0
"""dB an octave, of a spectrum of music: of 400 tracks of Emotify the median is -5.7."""
_STEEPEST = 9.0  # dB an octave, from what is usual: what is steeper still has hardly any spectrum there
_BANDS = 10 ** (0.1 * np.arange(24.5, 36))  # edges of eleven third-octaves, in Hz: a telephone lets them pass
_CENTRE, _OCTAVES = 1000.0, 4.0  # an equaliser by a slope turns about here, and is level beyond
_FAINT = 1e-6  # of the strongest third-octave: what is fainter is taken for that


def levelled(waveforms: np.ndarray, *, loud_too: bool) -> np.ndarray:
    """(n, N) float32 excerpts of one track, all by one gain, at the level `POWER`.

    Parameters
    ----------
    waveforms : (n, N) float32
        They are given back as they are where nothing is to be done, or they are silent.
    loud_too : bool
        Whether louder ones are scaled down: then a track's vector does not depend on its level. Else only quieter ones
        are raised, by 30 dB at most.
    """
    power = float(np.square(waveforms, dtype=np.float64).mean())
    if not 0 < power < (math.inf if loud_too else POWER):
        return waveforms
    return waveforms * np.float32(min(math.sqrt(POWER / power), _MOST_GAIN))


def slope(waveforms: np.ndarray, rate: int) -> float:
    """By how many dB an octave the spectrum of a track rises, from 280 Hz to 3.5 kHz; `USUAL_SLOPE` where it has none.

    The slope of a line through the levels of third-octaves, of all excerpts together.

    Parameters
    ----------
    waveforms : (n, N) float32
        Excerpts of one track.
    rate : int
        Hz.
    """
    if not waveforms.size:
        return USUAL_SLOPE
    return _slope(scipy.fft.rfft(waveforms, axis=-1), waveforms.shape[-1], rate)


def balanced(waveforms: np.ndarray, share: float, rate: int) -> np.ndarray:
    """(n, N) float32 excerpts of one track, all by one equaliser that takes its slope nearer to what is usual.

    Parameters
    ----------
    waveforms : (n, N) float32
        Given back as they are where they have no slope.
    share : float
        Of the slope's difference from `USUAL_SLOPE` that is taken away; by 1 all tracks have the same slope.
    rate : int
        Hz.
    """
    if not share or not waveforms.size:
        return waveforms
    length = waveforms.shape[-1]
    spectra = scipy.fft.rfft(waveforms, axis=-1)
    by = share * (USUAL_SLOPE - _slope(spectra, length, rate))
    if not by:
        return waveforms
    gains = 10 ** (tilt(by, scipy.fft.rfftfreq(length, 1 / rate)) / 20)
    return scipy.fft.irfft(spectra * gains.astype(np.float32), length, axis=-1).astype(np.float32, copy=False)


def tilt(db_an_octave: float, hz: np.ndarray) -> np.ndarray:
    """Gains, in dB, of an equaliser that is a slope about 1 kHz, four octaves wide on each side."""
    gains: np.ndarray = db_an_octave * np.clip(np.log2((hz + 1) / _CENTRE), -_OCTAVES, _OCTAVES)
    return gains


def _slope(spectra: np.ndarray, length: int, rate: int) -> float:
    edges = _BANDS[rate > 2 * _BANDS]
    bins = np.unique(np.ceil(edges * length / rate).astype(int))
    if len(bins) != len(edges) or len(bins) < 4:  # excerpts too short, or a rate too low, to tell
        return USUAL_SLOPE
    power = np.square(np.abs(spectra), dtype=np.float64).sum(axis=tuple(range(spectra.ndim - 1)))
    bands = np.add.reduceat(power, bins)[:-1] / np.diff(bins)
    if not bands.max() > 0:
        return USUAL_SLOPE
    levels = 10 * np.log10(np.maximum(bands, bands.max() * _FAINT))
    found = float(np.polyfit(np.arange(len(levels)) / (10 * math.log10(2)), levels, 1)[0])
    return float(np.clip(found, USUAL_SLOPE - _STEEPEST, USUAL_SLOPE + _STEEPEST))
