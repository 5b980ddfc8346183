"""Melodies sung by voices made up, as the vocal parts of pop songs are what instruments of soundfonts lack.

Pulses at the pitch of the melody and breath, through the formants of vowels (averages of Peterson and Barney 1952,
"Control methods used in a study of the vowels", JASA 24), with what singers do: they slide into notes, waver, are a
little out of tune, and begin syllables with consonants. Who sings, and which syllables, is drawn at random.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pieces import Note
from scipy.ndimage import gaussian_filter1d
from scipy.signal import istft, lfilter, stft

RATE = 32_000
_CONTROLS = 250  # of pitch, level and vowel, a second
_WINDOWS = {"nperseg": 1024, "noverlap": 768}
_VOWELS = np.array(
    [
        (270, 2290, 3010), (390, 1990, 2550), (530, 1840, 2480), (660, 1720, 2410), (730, 1090, 2440),
        (570, 840, 2410), (440, 1020, 2240), (300, 870, 2240), (640, 1190, 2390), (490, 1350, 1690),
    ],
    float,
)  # fmt: skip
_HIGHER = (3400.0, 4300.0)  # formants that vowels hardly move


@dataclass
class Singer:
    """How somebody sings; times in s, pitches in semitones."""

    size: float
    tilt: float
    breath: float
    slide: float
    scoop: float
    vibrato: float
    vibrato_hz: float
    untrue: float
    consonants: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Singer":
        """One at random."""
        return cls(
            size=rng.uniform(0.95, 1.3),
            tilt=rng.uniform(0.5, 1.5),
            breath=float(np.exp(rng.uniform(np.log(0.01), np.log(0.3)))),
            slide=float(np.exp(rng.uniform(np.log(0.006), np.log(0.045)))),
            scoop=rng.uniform(0, 1.5),
            vibrato=rng.choice([0.0, 1.0]) * rng.uniform(0.1, 0.8),
            vibrato_hz=rng.uniform(4.5, 6.8),
            untrue=rng.uniform(0.02, 0.2),
            consonants=rng.uniform(0.3, 0.95),
        )


def of_one_voice(notes: Sequence[Note]) -> list[Note]:
    """One note at a time: of those that begin at once the highest, each until the next begins."""
    kept: list[Note] = []
    for note in sorted(notes, key=lambda n: (n[0], -n[2])):
        if kept and note[0] - kept[-1][0] < 0.03:
            continue
        if kept and kept[-1][1] > note[0]:
            a, _, pitch, velocity = kept[-1]
            kept[-1] = (a, note[0], pitch, velocity)
        kept.append(note)
    return kept


def sung(notes: Sequence[Note], seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A melody sung.

    Parameters
    ----------
    notes : sequence of Note
        Of one voice (`of_one_voice`).
    seconds : float
        How long the result is.
    rng : Generator
        Of the singer and the syllables.

    Returns
    -------
    (n,) float32
        At `RATE`, of any level; nothing where there is no note.
    """
    singer = Singer.drawn(rng)
    count = round(seconds * _CONTROLS) + 1
    pitch, level, hiss, vowel, bright = _contours(notes, count, singer, rng)
    n = round(seconds * RATE)
    at, controls = np.arange(n) / RATE, np.arange(count) / _CONTROLS
    hz = 440 * 2 ** ((np.interp(at, controls, pitch) - 69) / 12)
    voiced = _pulses(hz) + singer.breath * np.sqrt(RATE / hz) * rng.standard_normal(n)
    voiced *= np.interp(at, controls, level)
    noise = rng.standard_normal(n) * np.interp(at, controls, hiss)
    bins, frames, spectrum = stft(voiced, RATE, **_WINDOWS)
    spectrum *= _formants(bins, frames * _CONTROLS, vowel, np.interp(frames, controls, pitch), singer)
    _, _, hissed = stft(noise, RATE, **_WINDOWS)
    peak = np.interp(frames, controls, bright)
    hissed *= np.exp(-0.5 * (np.log2((bins[:, None] + 50) / peak) / 0.6) ** 2)
    x = istft(spectrum + hissed, RATE, **_WINDOWS)[1]
    return np.pad(x, (0, max(0, n - len(x))))[:n].astype(np.float32)


def _contours(
    notes: Sequence[Note], count: int, singer: Singer, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pitch (MIDI), level of the voice, level of hiss, formants (3, n) and the peak of the hiss (Hz) over time."""
    target, vibrato = np.full(count, np.nan), np.zeros(count)
    level, hiss = np.zeros(count), np.zeros(count)
    vowel, bright = np.full((3, count), np.nan), np.full(count, 4000.0)
    ended = -1.0
    for begin, end, note, velocity in notes:
        a, b = round(begin * _CONTROLS), min(count, round(end * _CONTROLS))
        if a >= count or b <= a:
            continue
        loud = (velocity / 90) ** 1.5 * rng.uniform(0.8, 1.2)
        first = begin - ended > 0.15
        before = min(a, round(rng.uniform(0.03, 0.11) * _CONTROLS))
        target[a - before // 3 : b] = note + rng.normal(0, singer.untrue)
        if first:  # from below
            target[a - before : a + 1] = note - rng.exponential(singer.scoop)
        grows = (np.arange(b - a) / _CONTROLS - 0.2) / 0.3
        vibrato[a:b] = singer.vibrato * np.clip(grows, 0, 1)
        level[a:b] = loud * np.linspace(1, rng.uniform(0.5, 1.1), b - a)
        vowel[:, a - before // 3 : b] = _VOWELS[rng.integers(len(_VOWELS))][:, None]
        if b - a > 40 and rng.random() < 0.4:  # on to another vowel
            vowel[:, (a + b) // 2 : b] = _VOWELS[rng.integers(len(_VOWELS))][:, None]
        if rng.random() < singer.consonants:
            if rng.random() < 0.45:  # m, n, l, w: it hums
                level[a - before : a] = loud * rng.uniform(0.2, 0.5)
                vowel[:, a - before : a] = np.array([[270], [1100], [2300]])
            else:  # s, t, k, f
                level[a - before : a] = 0
                hiss[a - before : a] = loud * float(np.exp(rng.uniform(np.log(0.1), np.log(2.0))))
                bright[a - before : a] = rng.uniform(2000, 8000)
        elif not first:
            level[max(0, a - 6) : a] *= rng.uniform(0.3, 1.0)
        ended = end
    if np.isnan(target).all():
        return np.full(count, 60.0), level, hiss, np.tile(_VOWELS[4][:, None], count), bright
    wavering = vibrato * np.sin(2 * np.pi * singer.vibrato_hz * np.arange(count) / _CONTROLS + rng.uniform(0, 6))
    wavering += gaussian_filter1d(rng.standard_normal(count), 12) * np.sqrt(12) * rng.uniform(0.05, 0.25)
    pitch = _followed(_held(target), singer.slide) + wavering
    formants = np.stack([_followed(_held(row), 0.02) for row in vowel])
    return pitch, _followed(level, rng.uniform(0.006, 0.025)), _followed(hiss, 0.006), formants, bright


def _held(x: np.ndarray) -> np.ndarray:
    """What is nan is as the last number before it, at the beginning as the first."""
    there = np.flatnonzero(~np.isnan(x))
    held: np.ndarray = x[there[np.searchsorted(there, np.arange(len(x)), side="right").clip(1) - 1]]
    return held


def _followed(x: np.ndarray, seconds: float) -> np.ndarray:
    """By something slow: it comes nearer by 1/e in some seconds."""
    keep = np.exp(-1 / (seconds * _CONTROLS))
    y: np.ndarray = lfilter([1 - keep], [1, -keep], x, zi=[keep * x[0]])[0]
    return y


def _pulses(hz: np.ndarray) -> np.ndarray:
    """A train of pulses whose partials end below half the rate, each as loud as another."""
    phase = np.cumsum(hz) / RATE
    half = np.pi * (phase - np.floor(phase))
    partials = np.floor(0.45 * RATE / hz.max())
    with np.errstate(invalid="ignore", divide="ignore"):
        kernel = np.sin((2 * partials + 1) * half) / np.sin(half)
    return np.where(np.abs(np.sin(half)) < 1e-7, 2 * partials + 1, kernel) - 1


def _formants(bins: np.ndarray, at: np.ndarray, vowel: np.ndarray, pitch: np.ndarray, singer: Singer) -> np.ndarray:
    """(bins, frames): what a throat lets through, and how much less there is of high partials."""
    f = bins[:, None] + 1.0
    peaks = [*vowel, *(np.full(vowel.shape[1], peak) for peak in _HIGHER)]
    let_through = np.full((len(bins), len(at)), 0.03)
    for row in peaks:
        peak = singer.size * np.interp(at, np.arange(len(row)), row)
        width = 60 + 0.06 * peak
        let_through += 1 / np.sqrt(1 + ((f - peak) / width) ** 2)
    return np.where(f < 60, 0, let_through * (f / (440 * 2 ** ((pitch - 69) / 12))).clip(0.5) ** -singer.tilt)
