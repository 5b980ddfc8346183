"""What happens to music on its way to a listener: levels, masters, rooms, codecs, bands and noise, on waveforms.

Each is a function of (n,) float32 at `RATE`, by a strength; `changed` draws some of them one after the other. What a
student is given is changed so, what its teacher is given is not. `robustness.py` measures with the same functions at
strengths of its own.
"""

import io
from collections.abc import Callable

import numpy as np
import soundfile
from scipy.ndimage import maximum_filter1d, uniform_filter1d
from scipy.signal import fftconvolve, lfilter

from mirclr.audio import resample
from mirclr.models.level import tilt

RATE = 16_000
LEVEL = 0.1
"""RMS that each track is scaled to before its log-mel."""
_MOST_GAIN = 10**1.5  # what is 30 dB below that is as much noise as music


def rms(x: np.ndarray) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.square(x, dtype=np.float64).mean()))


def levelled(x: np.ndarray, was: float | None = None) -> np.ndarray:
    """`x` by the gain that takes an RMS of `was`, or its own, to `LEVEL`; 30 dB at most."""
    was = rms(x) if was is None else was
    return x * np.float32(min(LEVEL / was, _MOST_GAIN)) if was > 0 else x


def by_spectrum(x: np.ndarray, gain_db: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """`x` with each frequency (in Hz) changed by decibels."""
    gains = 10 ** (gain_db(np.fft.rfftfreq(len(x), 1 / RATE)) / 20)
    return np.fft.irfft(np.fft.rfft(x) * gains, len(x)).astype(np.float32)


def tilted(x: np.ndarray, db_an_octave: float) -> np.ndarray:
    """An equaliser that is a slope about 1 kHz, four octaves wide on each side."""
    return by_spectrum(x, lambda hz: tilt(db_an_octave, hz))


def equalised(x: np.ndarray, knots_db: np.ndarray) -> np.ndarray:
    """Gains at knots evenly spaced in octaves from 40 Hz to 8 kHz, and lines between them."""
    at = np.log(np.geomspace(40, 8000, len(knots_db)))
    return by_spectrum(x, lambda hz: np.interp(np.log(hz + 20), at, knots_db))


def band(x: np.ndarray, low: float, high: float, db_an_octave: float = 48.0) -> np.ndarray:
    """What is between two frequencies in Hz; beyond them it falls by a slope."""

    def gain(hz: np.ndarray) -> np.ndarray:
        above = np.log2((hz + 1) / high).clip(0) if high < RATE / 2 else 0.0
        below = np.log2(low / (hz + 1)).clip(0) if low > 0 else 0.0
        return -db_an_octave * (above + below)

    return by_spectrum(x, gain)


def sampled(x: np.ndarray, rate: int) -> np.ndarray:
    """As if it had been kept at a lower sampling rate."""
    return _as_long(resample(resample(x, RATE, rate), rate, RATE), len(x))


def telephone(x: np.ndarray) -> np.ndarray:
    """300 to 3,400 Hz at 8 kHz in 8 bits on a logarithmic scale (G.711)."""
    low = resample(band(x, 300, 3400), RATE, 8000)
    loudest = max(float(np.abs(low).max()), 1e-6)
    law = np.sign(low) * np.log1p(255 * np.abs(low) / loudest) / np.log(256)
    law = np.round(law * 127) / 127
    return _as_long(
        resample((np.sign(law) * (256 ** np.abs(law) - 1) / 255 * loudest).astype(np.float32), 8000, RATE), len(x)
    )


def compressed(x: np.ndarray, ratio: float, below_db: float, seconds: float = 0.05) -> np.ndarray:
    """Levels from `below_db` under its RMS on are brought together by a ratio."""
    keep = np.exp(-1 / (seconds * RATE))
    power = lfilter([1 - keep], [1, -keep], np.square(x, dtype=np.float64)) + 1e-10
    over_db = 10 * np.log10(power) - 20 * np.log10(rms(x) + 1e-9) + below_db
    gain_db = -np.clip(over_db, 0, None) * (1 - 1 / ratio)
    return (x * 10 ** (gain_db / 20)).astype(np.float32)


def limited(x: np.ndarray, drive_db: float, seconds: float = 0.005) -> np.ndarray:
    """A mastering limiter that looks ahead: driven by decibels above where its peaks would just pass."""
    loudest = float(np.abs(x).max())
    if loudest <= 0:
        return x
    ceiling = loudest * 10 ** (-drive_db / 20)
    width = max(3, round(seconds * RATE))
    peaks = maximum_filter1d(np.abs(x), 2 * width + 1)
    gain = uniform_filter1d(np.minimum(1, ceiling / np.maximum(peaks, 1e-9)), width)
    return (np.clip(x * gain, -ceiling, ceiling)).astype(np.float32)


def clipped(x: np.ndarray, drive_db: float, hard: bool = False) -> np.ndarray:
    """Driven into a limit: peaks above three times its RMS, raised by decibels, saturate or are cut."""
    scaled = x * np.float32(10 ** (drive_db / 20) / max(3 * rms(x), 1e-6))
    return (np.clip(scaled, -1, 1) if hard else np.tanh(scaled)).astype(np.float32)


def room(x: np.ndarray, rt60: float, direct_db: float, rng: np.random.Generator) -> np.ndarray:
    """A room by a synthetic impulse response: the direct sound, some early reflections, and a decay.

    Parameters
    ----------
    x : (n,) float32
        What is played in it.
    rt60 : float
        Seconds in which its sound falls by 60 dB; high frequencies fall sooner.
    direct_db : float
        Level of the direct sound against all the rest.
    rng : Generator
        Of the reflections.
    """
    n = round(min(rt60, 2.5) * RATE) + 1
    t = np.arange(n) / RATE
    tail = rng.standard_normal(n) * 10 ** (-3 * t / rt60)
    keep = np.exp(-2 * np.pi * rng.uniform(2500, 6000) / RATE)
    dark = lfilter([1 - keep], [1, -keep], tail)
    mix = np.exp(-t / (0.3 * rt60))
    response = tail * mix * rng.uniform(0.3, 1) + dark * (2 - mix)
    response[: int(rng.uniform(0.002, 0.02) * RATE)] = 0
    for at in (rng.uniform(0.002, 0.05, rng.integers(3, 9)) * RATE).astype(int):
        if at < n:
            response[at] += rng.choice([-1, 1]) * rng.uniform(0.5, 3) * np.exp(-at / RATE / 0.03)
    response *= 10 ** (-direct_db / 20) / (np.sqrt(np.square(response).sum()) + 1e-9)
    response[0] = 1.0
    return fftconvolve(x, response)[: len(x)].astype(np.float32)


CODECS = (
    *(("MP3", "MPEG_LAYER_III", q) for q in (0.5, 0.7, 0.85, 0.95)),
    *(("OGG", "VORBIS", q) for q in (0.6, 0.8, 1.0)),
    ("OGG", "OPUS", 1.0),  # slow
)
"""Container, codec and libsndfile's compression level, of which 1 is the smallest file."""


def coded(x: np.ndarray, container: str, codec: str, level: float) -> np.ndarray:
    """What is left of it in a lossy file; as it is where libsndfile lacks the codec."""
    if container not in soundfile.available_formats() or codec not in soundfile.available_subtypes(container):
        return x
    peak = max(1.0, float(np.abs(x).max()) * 1.01)
    with io.BytesIO() as file:
        soundfile.write(file, x / peak, RATE, format=container, subtype=codec, compression_level=level)
        file.seek(0)
        decoded, rate = soundfile.read(file, dtype="float32")
    return _as_long(decoded if rate == RATE else resample(decoded, rate, RATE), len(x)) * np.float32(peak)


def synthetic_noise(n: int, rng: np.random.Generator) -> np.ndarray:
    """(n,) of noise whose colour, steadiness and hum are drawn."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hz = np.fft.rfftfreq(n, 1 / RATE)
    slope = rng.choice([0.0, 0.0, rng.uniform(-6, 2), -3.0, -6.0])  # dB an octave: white, pink, brown, and between
    spectrum *= 10 ** (slope * np.log2((hz + 30) / 1000) / 20)
    x = np.fft.irfft(spectrum, n)
    kind = rng.random()
    if kind < 0.2:  # swells, as wind and streets do
        rise = np.interp(np.arange(n), np.linspace(0, n, 8), rng.uniform(0.1, 1, 8))
        x = x * rise
    elif kind < 0.3:  # hum of the mains
        t, mains = np.arange(n) / RATE, rng.choice([50, 60])
        x = x * 0.1 / (x.std() + 1e-9)
        x = x + sum(rng.uniform(0, 1) / k * np.sin(2 * np.pi * mains * k * t + rng.uniform(0, 6)) for k in range(1, 8))
    elif kind < 0.4:  # crackle of a record
        clicks = (rng.random(n) < rng.uniform(5, 60) / RATE) * rng.standard_normal(n)
        x = 0.05 * x / (x.std() + 1e-9) + lfilter([1], [1, -0.7], clicks) * 3
    return x.astype(np.float32)


def noisy(x: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """With (n,) of noise so many decibels below it."""
    return (x + noise * np.float32(rms(x) / (rms(noise) + 1e-9) * 10 ** (-snr_db / 20))).astype(np.float32)


def changed(x: np.ndarray, rng: np.random.Generator, noise: Callable[[int], np.ndarray]) -> np.ndarray:
    """`x` as somebody may have it: a master, a room, a band, a codec, noise, each now and then; at `x`'s level.

    Parameters
    ----------
    x : (n,) float32
        As it is.
    rng : Generator
        Of what is drawn.
    noise : callable
        Gives (n,) of noise.
    """
    level = rms(x)
    if rng.random() < 0.4:  # of its tone
        x = tilted(x, rng.uniform(-4, 4)) if rng.random() < 0.5 else equalised(x, rng.uniform(-9, 9, 8))
    master = rng.random()
    if master < 0.12:
        x = compressed(x, rng.uniform(1.5, 10), rng.uniform(-3, 15), rng.uniform(0.005, 0.2))
    elif master < 0.36:
        x = limited(x, rng.uniform(3, 24), rng.uniform(0.001, 0.03))
    elif master < 0.5:
        x = clipped(x, rng.uniform(0, 24), hard=bool(rng.random() < 0.5))
    if rng.random() < 0.22:
        x = room(x, float(np.exp(rng.uniform(np.log(0.15), np.log(2.0)))), rng.uniform(-9, 9), rng)
    if rng.random() < 0.38:  # of real and of made noise
        x = noisy(x, noise(len(x)), rng.uniform(3, 35))
    narrow = rng.random()
    if narrow < 0.08:
        x = telephone(x)
    elif narrow < 0.2:
        x = sampled(x, int(rng.choice([6000, 8000, 8000, 11025])))
    elif narrow < 0.27:
        x = band(x, rng.uniform(0, 500), rng.uniform(1800, 8000), rng.choice([12, 24, 48]))
    if rng.random() < 0.1:
        x = coded(x, *CODECS[rng.integers(len(CODECS))])
    return x * np.float32(level / (rms(x) + 1e-9) * 10 ** (rng.uniform(-3, 3) / 20))


def produced(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`x` as a producer may have made it: its tone, dynamics, distortion, a room, each now and then; at `x`'s level."""
    level = rms(x)
    if rng.random() < 0.5:
        x = equalised(x, rng.uniform(-6, 6, 6))
    dynamics = rng.random()
    if dynamics < 0.25:
        x = compressed(x, rng.uniform(1.5, 6), rng.uniform(0, 12), rng.uniform(0.005, 0.1))
    elif dynamics < 0.5:
        x = clipped(x, rng.uniform(0, 18), hard=bool(rng.random() < 0.3))
    if rng.random() < 0.35:
        x = room(x, float(np.exp(rng.uniform(np.log(0.2), np.log(1.5)))), rng.uniform(-3, 9), rng)
    return x * np.float32(level / (rms(x) + 1e-9))


def _as_long(x: np.ndarray, n: int) -> np.ndarray:
    return x[:n] if len(x) >= n else np.pad(x, (0, n - len(x)))
