"""`find_loudness`: integrated loudness by ITU-R BS.1770-4, of some stretches of a track."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from mirclr.audio.reading import Section
from mirclr.audio.spectra import power

# the two filters of BS.1770 at 48 kHz: a shelf for the head, and a high-pass
_FILTERS = (
    ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585)),
    ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)),
)
_STEP_S, _STEPS = 0.1, 4  # blocks of 400 ms begin 100 ms apart
_ABSOLUTE, _RELATIVE = -70.0, -10.0  # LUFS and LU: blocks below do not count
_BEHIND = 1.41  # what comes from the sides and from behind counts more


def find_loudness(sections: Sequence[Section]) -> float | None:
    """Integrated loudness in LUFS of stretches as one; None of silence, or of less than half a second.

    The filters are applied to the power of steps of 100 ms: within 0.1 LU of filtered samples on music, in a fraction
    of the time.
    """
    blocks = np.concatenate([_block_powers(section) for section in sections])
    for gate in (_ABSOLUTE, _RELATIVE):
        if not len(blocks):
            return None
        least = gate if gate is _ABSOLUTE else _loudness(float(blocks.mean())) + gate
        blocks = blocks[blocks > 10 ** ((least + 0.691) / 10)]
    return round(_loudness(float(blocks.mean())), 1) if len(blocks) else None


def _loudness(power: float) -> float:
    return -0.691 + 10 * math.log10(power)


def _block_powers(section: Section) -> np.ndarray:
    """(m,): the weighted power of each block of 400 ms, all channels together."""
    size = round(_STEP_S * section.rate)
    steps = len(section.samples) // size
    if steps < _STEPS + 1:
        return np.zeros(0)
    powers = np.zeros(steps)
    weights = _weights(size, section.rate)
    for samples, gain in zip(section.samples.T, _gains(section.samples.shape[1]), strict=True):
        if gain:
            spectra = np.fft.rfft(samples[: steps * size].reshape(steps, size), axis=1)
            powers += gain * (power(spectra) @ weights)
    return np.convolve(powers, np.full(_STEPS, 1 / _STEPS), mode="valid")


@lru_cache(maxsize=8)
def _weights(size: int, rate: int) -> np.ndarray:
    """(size // 2 + 1,): what a bin's power adds to the mean power of the filtered samples."""
    z = np.exp(-1j * np.minimum(2 * np.pi * np.fft.rfftfreq(size, 1 / rate) / 48_000, np.pi))
    weights = np.full(size // 2 + 1, 2 / size**2)
    for above, below in _FILTERS:
        weights *= np.abs(np.polyval(above[::-1], z) / np.polyval(below[::-1], z)) ** 2
    return weights.astype(np.float32)


def _gains(channels: int) -> Sequence[float]:
    """What each channel counts: left, right, centre, those behind; of six and more the fourth is for effects."""
    if channels > 5:
        return [1, 1, 1, 0, *[_BEHIND] * (channels - 4)]
    return [1, 1, 1, _BEHIND, _BEHIND][:channels]
