"""What recipes/builtin does to music before a student is given it, and how its robustness is counted."""

import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

from mirclr.provenance import shipped_dir

SECONDS = 3


@pytest.fixture(scope="module")
def changes() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(shipped_dir("recipes") / "builtin"))
        import changes

        yield changes
        sys.modules.pop("changes", None)


@pytest.fixture(scope="module")
def music() -> np.ndarray:
    """Three seconds of chords over a beat, at an RMS of about 0.1."""
    rng = np.random.default_rng(0)
    t = np.arange(SECONDS * 16_000) / 16_000
    x = sum(np.sin(2 * np.pi * f * t) for f in (220, 277, 330, 3000, 5500)) * (0.4 + 0.6 * (t % 0.5 < 0.2))
    x = x + rng.standard_normal(len(t)) * (t % 0.25 < 0.02)
    return np.float32(0.1) * (x / x.std()).astype(np.float32)


def above(x: np.ndarray, hz: float) -> float:
    power = np.abs(np.fft.rfft(x)) ** 2
    return float(power[np.fft.rfftfreq(len(x), 1 / 16_000) > hz].sum() / power.sum())


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_drawn_gives_as_much_sound_at_nearly_the_level(
    changes: ModuleType, music: np.ndarray, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    found = changes.changed(music, rng, lambda n: changes.synthetic_noise(n, rng))
    assert found.shape == music.shape
    assert np.isfinite(found).all()
    assert abs(20 * np.log10(changes.rms(found) / changes.rms(music))) < 3.01


@pytest.mark.parametrize("seed", range(12))
def test_what_is_produced_otherwise_keeps_its_level(changes: ModuleType, music: np.ndarray, seed: int) -> None:
    found = changes.produced(music, np.random.default_rng(seed))
    assert (found.dtype, found.shape) == (np.float32, music.shape)
    assert changes.rms(found) == pytest.approx(changes.rms(music), rel=1e-3)
    assert not changes.produced(0 * music, np.random.default_rng(seed)).any()


def test_silence_stays_silence(changes: ModuleType) -> None:
    silence = np.zeros(48_000, np.float32)
    rng = np.random.default_rng(0)
    for seed in range(20):
        found = changes.changed(silence, np.random.default_rng(seed), lambda n: changes.synthetic_noise(n, rng))
        assert np.isfinite(found).all()
        assert np.abs(found).max() < 1e-3
    assert not changes.levelled(silence).any()


def test_levels_are_one_and_at_most_30_db_are_given(changes: ModuleType, music: np.ndarray) -> None:
    assert changes.rms(changes.levelled(music * 7)) == pytest.approx(0.1, rel=1e-5)
    assert changes.rms(changes.levelled(music * 1e-3)) == pytest.approx(changes.rms(music) * 1e-3 * 10**1.5, rel=1e-4)


def test_noise_is_as_far_below_as_is_asked(changes: ModuleType, music: np.ndarray) -> None:
    noise = np.random.default_rng(1).standard_normal(len(music)).astype(np.float32)
    for db in (30, 10):
        added = changes.noisy(music, noise, db) - music
        assert 20 * np.log10(changes.rms(music) / changes.rms(added)) == pytest.approx(db, abs=0.01)


def test_a_limiter_takes_peaks_and_keeps_what_is_below_them(changes: ModuleType, music: np.ndarray) -> None:
    found = changes.limited(music, 12)
    assert np.abs(found).max() <= np.abs(music).max() * 10 ** (-12 / 20) * 1.0001
    crest = [np.abs(x).max() / changes.rms(x) for x in (music, found)]
    assert crest[1] < 0.7 * crest[0]
    np.testing.assert_allclose(changes.limited(music, 0), music, atol=1e-6)


def test_a_compressor_brings_loud_and_quiet_together(changes: ModuleType, music: np.ndarray) -> None:
    x = np.concatenate([music, music * np.float32(0.1)])
    found = changes.compressed(x, 4, 20)
    before, now = (changes.rms(y[: len(music)]) / changes.rms(y[len(music) :]) for y in (x, found))
    assert now < 0.5 * before


def test_bands_and_telephones_leave_out_what_they_should(changes: ModuleType, music: np.ndarray) -> None:
    assert above(music, 4000) > 0.1
    assert above(changes.sampled(music, 8000), 4100) < 1e-3
    assert above(changes.telephone(music), 4000) < 0.01
    assert above(changes.band(music, 0, 2000), 4000) < 1e-3


def test_a_room_is_heard_longer_where_it_decays_longer(changes: ModuleType) -> None:
    click = np.zeros(48_000, np.float32)
    click[0] = 1
    tails = []
    for rt60 in (0.3, 1.5):
        energy = np.square(changes.room(click, rt60, 0.0, np.random.default_rng(0)))
        tails.append(float((np.arange(len(click)) * energy).sum() / energy.sum()))
        assert energy[1:].sum() == pytest.approx(energy[0], rel=0.25)  # the direct sound against the rest: 0 dB
    assert tails[1] > 2 * tails[0]
