"""Each augmentation does what it says, in both forms; `Views` gives what encoders take."""

import doctest
import importlib
import math
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.stats
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import mirclr.audio
from mirclr import config
from mirclr.audio import (
    BackgroundMix,
    Equalizer,
    Filter,
    FrequencyMask,
    Gain,
    Noise,
    Polarity,
    TimeMask,
    read_excerpts,
)
from mirclr.audio.augment import AUGMENTATIONS, PitchShift, TimeStretch, warp
from mirclr.audio.masks import keep_outside
from mirclr.audio.mel import LogMel
from mirclr.audio.mixing import CutMix, MixUp
from mirclr.audio.noise import normal_noise, uniform_noise
from mirclr.audio.views import Views
from mirclr.audio.vocoder import stretch_time, vocode

RATE = 16000
MEL = LogMel(sample_rate=RATE)
CHANGES = sorted(set(AUGMENTATIONS) - {"time_stretch"})  # those that keep the length, so have both forms
BOTH = ("waveform", "mel")


def generator(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def noise(n: int, seconds: float = 1.0, seed: int = 0, level: float = 0.1) -> Tensor:
    return level * torch.randn(n, round(seconds * RATE), generator=generator(seed))


def tone(hz: float, seconds: float = 2.0) -> Tensor:
    return 0.5 * torch.sin(2 * torch.pi * hz * torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE).float()


@pytest.fixture(scope="module")
def music(songs: list[Path]) -> Tensor:
    """(8, 3 s) samples: two places of each song."""
    clips = [read_excerpts(song, count=2, seconds=3.0, rate=RATE).waveforms for song in songs]
    return torch.from_numpy(np.concatenate(clips))


def step(name: str, **plan: Any) -> Any:
    return AUGMENTATIONS[name](**{"p": 1.0, **plan}, mel=MEL)


def recipe(form: str, *steps: Any, **sections: Any) -> config.Recipe:
    """A recipe with the steps given, each a name or a dict."""
    plans = [{"name": s, "p": 1.0} if isinstance(s, str) else {"p": 1.0, **s} for s in steps]
    tree = {"name": "test", "data": {"train": "t.jsonl"}, "augment": {form: plans}, **sections}
    return config.recipe_from(tree)


def apply(one: Any, x: Tensor, g: Generator) -> Tensor:
    """What a step makes of (B, N) samples or (B, F, T) mel power."""
    return one.change(x.clone(), one.draw(len(x), g))


def changed(form: str, x: Tensor, name: str, seed: int = 0, **plan: Any) -> Tensor:
    """Mel power (B, F, T) of samples (B, N), changed in the form asked for."""
    if form == "waveform":
        return MEL.power(apply(step(name, **plan), x, generator(seed)))
    return apply(step(name, **plan), MEL.power(x), generator(seed))


def stretched(x: Tensor, factor: float) -> Tensor:
    """(N,) samples, a factor as fast."""
    return stretch_time(x[None], torch.tensor([factor]), round(len(x) / factor))[0]


def db(ratio: Tensor) -> Tensor:
    return 10 * torch.log10(ratio)


# pitch and time

SHIFTS = [-7.0, -2.0, 0.5, 3.0, 12.0]


@pytest.mark.parametrize("semitones", SHIFTS)
@pytest.mark.parametrize("hz", [330.0, 1000.0])
def test_a_shifted_tone_lands_where_it_should_on_the_waveform(hz: float, semitones: float) -> None:
    x = tone(hz)[None]
    y = apply(step("pitch_shift", semitones=(semitones, semitones)), x, generator())
    assert y.shape == x.shape
    middle = y[0, 4000:-4000]
    spectrum = torch.fft.rfft(middle * torch.hann_window(len(middle)), n=8 * len(middle)).abs()
    peak = float(spectrum.argmax()) * RATE / (8 * len(middle))
    assert 12 * math.log2(peak / hz) == pytest.approx(semitones, abs=0.05)


@pytest.mark.parametrize("semitones", SHIFTS)
@pytest.mark.parametrize("hz", [440.0, 1760.0])
def test_a_shifted_tone_lands_where_it_should_on_the_mel(hz: float, semitones: float) -> None:
    plan = {"name": "pitch_shift", "semitones": [semitones, semitones]}
    views = Views(recipe("mel", plan), MEL)
    y = views(MEL(tone(hz, 3.1)[None])[:, :, : views.takes.length], generator())
    power = MEL.expand(y)[0].mean(dim=1)
    expected = float(MEL.band_of(torch.tensor(hz * 2 ** (semitones / 12))))
    peak = int(power.argmax())
    around = torch.arange(max(0, peak - 2), min(96, peak + 3))
    centre = float((power[around].sqrt() * around).sum() / power[around].sqrt().sum())
    assert centre == pytest.approx(expected, abs=0.6)


@pytest.mark.parametrize("form", BOTH)
def test_what_is_shifted_beyond_the_scale_is_silent(form: str) -> None:
    views = Views(recipe(form, {"name": "pitch_shift", "semitones": [-12.0, -12.0]}), MEL)
    x = noise(2, 3.2)
    clips = x[:, : views.takes.length] if form == "waveform" else MEL(x)[:, :, : views.takes.length]
    power = MEL.expand(views(clips, generator()))
    above = int(MEL.band_of(torch.tensor(4300.0)))
    assert float(power[:, above:].mean()) < 1e-2 * float(power[:, :above].mean())


def bursts(every: float, seconds: float) -> Tensor:
    """20 ms of noise every so many seconds."""
    x = torch.zeros(round(seconds * RATE))
    for start in np.arange(0.1, seconds - 0.1, every):
        x[round(start * RATE) :][:320] = noise(1, 0.02, level=0.3)[0]
    return x


def interval(level: Tensor, steps_a_second: float, at_least: float) -> float:
    """Mean distance in seconds between the peaks of a level (T,)."""
    peaks = []
    rest = level.clone()
    while float(rest.max()) > 0.02 * float(level.max()):
        peak = int(rest.argmax())
        peaks.append(peak)
        reach = round(at_least * steps_a_second)
        rest[max(0, peak - reach) : peak + reach] = 0
    return float(np.diff(sorted(peaks)).mean()) / steps_a_second


@pytest.mark.parametrize("factor", [0.6, 0.8, 1.25, 1.7])
@pytest.mark.parametrize("form", BOTH)
def test_a_stretched_click_train_has_the_tempo_asked_for(form: str, factor: float) -> None:
    plan = {"name": "time_stretch", "rate": [factor, factor]}
    views = Views(recipe(form, plan, audio={"clip_seconds": 4.0}), MEL)
    x = bursts(0.5, 8.0)[None]
    clips = x[:, : views.takes.length] if form == "waveform" else MEL(x)[:, :, : views.takes.length]
    power = MEL.expand(views(clips, generator()))[0].sum(dim=0)
    assert interval(power, RATE / 256, 0.3 / factor) == pytest.approx(0.5 / factor, rel=0.02)


@pytest.mark.parametrize("factor", [0.7, 1.5])
def test_a_stretch_keeps_the_pitch(factor: float) -> None:
    y = stretched(tone(440.0, 4.0), factor)
    assert len(y) == round(4 * RATE / factor)
    middle = y[4000:-4000]
    spectrum = torch.fft.rfft(middle * torch.hann_window(len(middle)), n=4 * RATE * 4).abs()
    assert float(spectrum.argmax()) / 16 == pytest.approx(440.0, rel=2e-3)
    views = Views(recipe("mel", {"name": "time_stretch", "rate": [factor, factor]}), MEL)
    x = MEL(tone(440.0, 6.0)[None])
    view = views(x[:, :, : views.takes.length], generator())[0].mean(dim=1)
    assert int(view.argmax()) == int(x[0, :, 20:-20].mean(dim=1).argmax())


def test_a_stretch_by_one_changes_nothing() -> None:
    x = noise(1)[0]
    torch.testing.assert_close(stretched(x, 1.0), x, rtol=0, atol=0)
    views = Views(recipe("mel", {"name": "time_stretch", "rate": [1.0, 1.0]}), MEL)
    clips = MEL(noise(2, 3.2))[:, :, : views.takes.length]
    torch.testing.assert_close(views(clips.clone(), generator()), clips[:, :, : views.frames], rtol=1e-4, atol=1e-4)


def test_the_rate_of_a_stretch_is_drawn_log_uniformly_and_stays_inside() -> None:
    drawn = step("time_stretch", rate=(0.5, 2.0), p=0.8).draw(20_000, generator())
    factors = torch.ones(20_000).index_copy(0, drawn["rows"], drawn["factors"])
    assert factors.min() >= 0.5
    assert factors.max() <= 2.0
    assert float((factors == 1).float().mean()) == pytest.approx(0.2, abs=0.02)
    drawn = factors[factors != 1].log2()
    assert float(drawn.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(drawn.std()) == pytest.approx(2 / math.sqrt(12), abs=0.02)


@pytest.mark.parametrize("highest", [1.1, 1.333, 3.7])
@pytest.mark.parametrize("seconds", [2.048, 3.0, 3.3])
@pytest.mark.parametrize("wave", [[], [{"name": "polarity", "p": 0.0}]])
def test_a_stretch_reads_up_to_its_last_frame(wave: list[Any], seconds: float, highest: float) -> None:
    """Steady noise stays steady: the margin that `takes` asks for is enough."""
    stretch = {"name": "time_stretch", "p": 1.0, "rate": [highest, highest]}
    tree = recipe("mel", audio={"clip_seconds": seconds}).model_dump()
    views = Views(config.recipe_from({**tree, "augment": {"waveform": wave, "mel": [stretch]}}), MEL)
    assert views.takes.domain == ("waveform" if wave else "mel")
    clips = noise(4, (views.takes.length + 600) / RATE if wave else seconds * highest + 1)
    clips = clips[:, : views.takes.length] if wave else MEL(clips)[:, :, : views.takes.length]
    level = MEL.expand(views(clips, generator()))[:, 20:].mean(dim=(0, 1))
    assert float(db(level[-1] / level[5:-5].mean())) > -6.5  # half of the last window may lie beyond the samples


def test_warp_reads_in_between_and_is_silent_outside() -> None:
    x = torch.arange(12.0).reshape(1, 3, 4)
    read = warp(x, torch.tensor([[0.0, 0.5, 2.0, 5.0]]), torch.tensor([[0.0, 1.25, 3.0, -4.0]]))
    expected = [[0.0, 1.25, 3.0, 0.0], [2.0, 3.25, 5.0, 0.0], [8.0, 9.25, 11.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    torch.testing.assert_close(read[0], torch.tensor(expected))


# level, noise, mixing


@pytest.mark.parametrize("form", BOTH)
@pytest.mark.parametrize("gain", [-12.0, 0.0, 6.0])
def test_gain_is_exact(form: str, gain: float) -> None:
    x = noise(3)
    ratio = changed(form, x, "gain", db=(gain, gain)) / MEL.power(x)
    torch.testing.assert_close(db(ratio), torch.full_like(ratio, gain), rtol=0, atol=2e-3)


def test_gains_are_drawn_uniformly_within_their_range() -> None:
    x = torch.ones(5000, 1)
    drawn = 2 * db(apply(step("gain", db=(-10.0, 6.0)), x, generator())[:, 0])
    assert -10 <= float(drawn.min()) < -9.9
    assert 5.9 < float(drawn.max()) <= 6
    assert float(drawn.mean()) == pytest.approx(-2, abs=0.3)


@pytest.mark.parametrize("snr", [0.0, 10.0, 30.0])
def test_noise_has_the_ratio_asked_for(music: Tensor, snr: float) -> None:
    added = apply(step("noise", snr_db=(snr, snr)), music, generator()) - music
    measured = db(music.square().mean(dim=1) / added.square().mean(dim=1))
    torch.testing.assert_close(measured, torch.full((8,), snr), rtol=0, atol=0.15)
    spectrum = torch.fft.rfft(added).abs().square().mean(dim=0)
    thirds = torch.stack([part.mean() for part in spectrum.chunk(6)])
    assert float(db(thirds / thirds.mean()).abs().max()) < 0.5  # white

    power = MEL.power(music)
    on_mel = apply(step("noise", snr_db=(snr, snr)), power, generator()) - power
    # as loud as the mel spectrogram of the noise that the exact form adds to the same music
    measured = db(on_mel.mean(dim=(1, 2)) / MEL.power(added).mean(dim=(1, 2)))
    torch.testing.assert_close(measured, torch.zeros(8), rtol=0, atol=0.4)
    bands = on_mel.mean(dim=(0, 2))
    assert float(db(bands / bands.mean()).abs().max()) < 1.0


def test_bands_weighed_by_their_widths_add_up_to_the_spectrum() -> None:
    for plan in ({}, {"n_fft": 1024, "n_mels": 40, "f_min": 60.0, "f_max": 7000.0}):
        mel = LogMel(sample_rate=RATE, **plan)
        weights = mel.filters @ mel.widths
        hz = torch.linspace(0, RATE / 2, len(weights))
        inside = (hz > mel.centres[0]) & (hz < mel.centres[-1])
        torch.testing.assert_close(weights[inside], torch.ones(int(inside.sum())), rtol=1e-3, atol=1e-3)


def test_noise_of_white_noise_is_alike_in_both_forms() -> None:
    """Where the signal is white itself, both forms mean the same ratio."""
    x = noise(8, 3.0)
    grown = {form: changed(form, x, "noise", seed=7, snr_db=(0.0, 0.0)).mean() / MEL.power(x).mean() for form in BOTH}
    assert float(db(grown["waveform"])) == pytest.approx(3.0, abs=0.3)
    assert float(db(grown["mel"])) == pytest.approx(3.0, abs=0.3)


@pytest.mark.parametrize("snr", [0.0, 12.0])
def test_a_mix_adds_another_clip_at_the_ratio(music: Tensor, snr: float) -> None:
    for x in (music, MEL.power(music)):
        added = apply(step("background_mix", snr_db=(snr, snr)), x, generator()) - x
        signal, other = (v.square() if v.ndim == 2 else v for v in (x, added))
        axes = tuple(range(1, x.ndim))
        ratio = db(signal.mean(dim=axes) / other.mean(dim=axes))
        torch.testing.assert_close(ratio, torch.full((8,), snr), rtol=0, atol=0.02)
        # what was added is a clip of the batch, and not the row itself
        flat, clips = added.flatten(1), x.flatten(1)
        cosine = (flat / flat.norm(dim=1, keepdim=True)) @ (clips / clips.norm(dim=1, keepdim=True)).T
        assert (cosine.argmax(dim=1) != torch.arange(8)).all()
        torch.testing.assert_close(cosine.amax(dim=1), torch.ones(8), rtol=0, atol=1e-3)


def test_a_mix_of_one_row_takes_the_other_from_the_whole_batch(music: Tensor) -> None:
    mixed = 0
    for seed in range(40):
        for x in (music[:4, :RATE].clone(), MEL.power(music[:4, :RATE])):
            y = apply(step("background_mix", p=0.1, snr_db=(6.0, 6.0)), x, generator(seed))
            for row in torch.nonzero((y != x).flatten(1).any(dim=1)).flatten():
                added, own = (y - x)[row].flatten(), x[row].flatten()
                assert float(torch.cosine_similarity(added, own, dim=0)) < 0.9
                mixed += 1
    assert mixed > 10


@pytest.mark.parametrize("form", BOTH)
def test_polarity(form: str, music: Tensor) -> None:
    if form == "waveform":
        torch.testing.assert_close(apply(step("polarity"), music, generator()), -music, rtol=0, atol=0)
    torch.testing.assert_close(changed(form, music, "polarity"), MEL.power(music), rtol=1e-5, atol=1e-8)


# timbre


def curve(one: Any, hz: Tensor, n: int, seed: int = 0) -> Tensor:
    """Gains of n rows at frequencies, as drawn."""
    return one.curve(hz, **{k: v for k, v in one.draw(n, generator(seed)).items() if k != "rows"})


@pytest.mark.parametrize("name", ["equalizer", "filter"])
def test_the_spectrum_follows_the_curve(name: str) -> None:
    x = torch.zeros(5, RATE)
    x[:, RATE // 2] = 1.0
    y = apply(step(name), x, generator(3))
    gain = 2 * db(torch.fft.rfft(y).abs() / torch.fft.rfft(x).abs())  # bins of 1 Hz
    hz = torch.tensor([100, 250, 440, 1000, 2500, 4000, 7500])
    expected = curve(step(name), hz.float(), 5, 3)
    torch.testing.assert_close(gain[:, hz], expected, rtol=0, atol=0.05)
    assert float(expected.std()) > 0.5


@pytest.mark.parametrize(("name", "plan"), [("equalizer", {"db": 9.0}), ("filter", {"high_pass_hz": (60.0, 300.0)})])
def test_both_forms_of_a_curve_agree_on_noise(name: str, plan: dict[str, Any]) -> None:
    x = noise(6, 4.0)
    exact, cheap = (changed(form, x, name, seed=4, **plan).mean(dim=2) for form in BOTH)
    above = int(MEL.band_of(torch.tensor(150.0)))  # below, a band is narrower than a bin of the FFT
    assert float(db(exact / cheap)[:, above:].abs().max()) < 1.0


def test_the_equalizer_stays_within_its_decibels_and_uses_them() -> None:
    hz = torch.linspace(0, 8000, 200)
    curves = curve(step("equalizer", db=6.0, points=4), hz, 500)
    assert float(curves.abs().max()) <= 6.0
    assert float(curves.max()) > 5.5
    assert float(curves.min()) < -5.5
    assert float(curves.diff(dim=1).abs().max()) < 1.5  # smooth


def test_a_filter_is_12_db_an_octave_on_one_side_of_its_cut_off() -> None:
    filters = step("filter", low_pass_hz=(2000.0, 2000.0), high_pass_hz=(500.0, 500.0))
    curves = curve(filters, torch.tensor([125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0]), 400)
    low = curves[curves[:, 0] > -1]
    high = curves[curves[:, 0] < -1]
    assert 150 < len(low) < 250
    assert len(low) + len(high) == 400
    torch.testing.assert_close(low[0, 4:], torch.tensor([-3.01, -12.3, -24.1]), rtol=0, atol=0.05)
    torch.testing.assert_close(high[0, :3], torch.tensor([-24.1, -12.3, -3.01]), rtol=0, atol=0.05)
    assert float(curves.max()) <= 0


# masks


def runs(silent: Tensor) -> list[int]:
    """Lengths of the runs of True in (n,)."""
    edges = torch.diff(silent.int(), prepend=torch.zeros(1), append=torch.zeros(1))
    return (torch.nonzero(edges < 0) - torch.nonzero(edges > 0)).flatten().tolist()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 300), st.floats(0, 400), st.integers(1, 4))
def test_what_is_masked_is_no_longer_nor_more_than_said(seed: int, length: int, longest: float, count: int) -> None:
    longest = min(longest, length)
    keep = keep_outside(length, longest, *torch.rand((2, 7, count), generator=generator(seed)))
    assert keep.shape == (7, length)
    assert set(keep.unique().tolist()) <= {0.0, 1.0}
    for row in keep:
        lengths = runs(row == 0)
        assert len(lengths) <= count
        assert sum(lengths) <= count * round(longest)
        if count == 1:
            assert max(lengths, default=0) <= longest + 0.5


def test_masks_reach_both_ends_and_their_full_length() -> None:
    keep = keep_outside(20, 5.0, *torch.rand((2, 3000, 1), generator=generator()))
    assert (keep == 0).any(dim=0).all()
    lengths = [sum(runs(row == 0)) for row in keep]
    assert set(lengths) == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("form", BOTH)
def test_a_time_mask_silences_exactly(form: str, count: int) -> None:
    x = noise(40) + 1
    x = x if form == "waveform" else MEL.power(x) + 1
    steps_a_second = RATE if form == "waveform" else RATE / 256
    plan = step("time_mask", seconds=0.2, count=count)
    y = apply(plan, x, generator())
    silent = (y == 0).flatten(1, -2).all(dim=1) if form == "mel" else y == 0
    assert (y[x != y] == 0).all()
    for row in silent:
        assert len(runs(row)) <= count
        assert sum(runs(row)) <= count * 0.2 * steps_a_second + count
    assert silent.any(dim=1).float().mean() > 0.8
    assert float(silent.float().mean()) == pytest.approx(0.1 * count, rel=0.35)


@pytest.mark.parametrize("count", [1, 2])
def test_a_frequency_mask_silences_exactly(count: int) -> None:
    x = MEL.power(noise(40)) + 1
    y = apply(step("frequency_mask", fraction=0.25, count=count), x, generator())
    silent = (y == 0).all(dim=2)
    assert (y[x != y] == 0).all()
    for row in silent:
        assert len(runs(row)) <= count
        assert sum(runs(row)) <= count * 0.25 * 96
    assert silent.any(dim=1).float().mean() > 0.8


def test_both_forms_of_a_frequency_mask_agree() -> None:
    x = noise(10, 2.0)
    before = MEL.power(x).mean(dim=2)
    exact, cheap = (changed(form, x, "frequency_mask", seed=2, fraction=0.5).mean(dim=2) / before for form in BOTH)
    inside = cheap == 0
    border = (torch.nn.functional.max_pool1d(inside.float(), 7, 1, 3) > 0) & ~inside
    deep = torch.nn.functional.max_pool1d((~inside).float(), 7, 1, 3) == 0
    assert deep.sum() > 20
    assert float(db(exact[deep]).max()) < -15
    torch.testing.assert_close(exact[~inside & ~border], torch.ones_like(exact[~inside & ~border]), rtol=0, atol=0.1)


def test_a_time_mask_leaves_half_of_a_short_clip() -> None:
    y = apply(step("time_mask", seconds=10.0), torch.ones(200, 1000), generator())
    assert float(y.sum(dim=1).min()) >= 500


# probability and repetition


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("form", BOTH)
def test_probability(name: str, form: str, music: Tensor) -> None:
    if (name, form) in {("pitch_shift", "mel"), ("polarity", "mel")}:
        pytest.skip("read by Views at once with the stretch; not heard")
    x = music[:, :RATE] if form == "waveform" else MEL.power(music[:, :RATE])
    never = apply(step(name, p=0.0), x, generator())
    torch.testing.assert_close(never, x, rtol=0, atol=0)
    always = apply(step(name), x, generator(1))
    assert always.shape == x.shape
    assert (always != x).flatten(1).any(dim=1).all()
    some = apply(step(name, p=0.5), x, generator(2))
    rows = (some != x).flatten(1).any(dim=1)
    assert 0 < int(rows.sum()) < 8
    again = apply(step(name, p=0.5), x, generator(2))
    torch.testing.assert_close(some, again, rtol=0, atol=0)
    other = apply(step(name, p=0.5), x, generator(12))
    assert not torch.equal(some, other)


def test_half_of_the_rows_means_half() -> None:
    x = torch.ones(4000, 1)
    y = apply(step("polarity", p=0.3), x, generator())
    assert float((y < 0).float().mean()) == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("name", ["pitch_shift", "time_stretch"])
def test_probability_of_what_views_read(name: str) -> None:
    clips = MEL(noise(8, 4.5))
    views = Views(recipe("mel", {"name": name, "p": 0.0}), MEL)
    torch.testing.assert_close(
        views(clips[:, :, : views.takes.length].clone(), generator()), clips[:, :, :188], rtol=1e-4, atol=1e-4
    )
    views = Views(recipe("mel", {"name": name, "p": 0.5}), MEL)
    taken = clips[:, :, : views.takes.length]
    view = views(taken.clone(), generator(1))
    rows = ((view - taken[:, :, :188]).abs() > 1e-3).flatten(1).any(dim=1)
    assert 0 < int(rows.sum()) < 8


# the whole chain

EVERY = [{"name": name, "p": 0.5} for name in AUGMENTATIONS]
STILL = [s for s in EVERY if s["name"] != "time_stretch"]
SMALL = {"name": "sample_cnn", "widths": [4, 4, 4]}
CHAINS: dict[str, dict[str, Any]] = {
    "nothing": {"augment": {}},
    "mel": {"augment": {"mel": STILL}},
    "mel, stretched": {"augment": {"mel": EVERY}},
    "mel, only faster": {"augment": {"mel": [{"name": "time_stretch", "p": 1.0, "rate": [1.5, 2.0]}]}},
    "mel, only slower": {"augment": {"mel": [{"name": "time_stretch", "p": 1.0, "rate": [0.5, 0.7]}]}},
    "waveform": {"augment": {"waveform": STILL}},
    "waveform, stretched": {"augment": {"waveform": EVERY}},
    "both": {"augment": {"waveform": STILL, "mel": STILL}},
    "both, stretched on the waveform": {"augment": {"waveform": EVERY, "mel": STILL}},
    "both, stretched on the mel": {"augment": {"waveform": STILL, "mel": EVERY}},
    "for a waveform encoder": {"augment": {"waveform": STILL}, "encoder": SMALL},
    "for a waveform encoder, stretched": {"augment": {"waveform": EVERY}, "encoder": SMALL},
    "for a waveform encoder, nothing": {"augment": {}, "encoder": SMALL},
}
every_chain = pytest.mark.parametrize("chain", CHAINS)


def views_of(chain: str, seconds: float = 1.1) -> Views:
    return Views(recipe("mel", audio={"clip_seconds": seconds}, **CHAINS[chain]), MEL)


def input_of(views: Views, samples: Tensor) -> Tensor:
    """The clips that `takes` asks for, from samples repeated as long as is needed."""
    x = samples.repeat(1, 1 + 5 * round(views.samples / samples.shape[1] + 1))
    return (x if views.takes.domain == "waveform" else MEL(x))[..., : views.takes.length]


def expected_shape(views: Views, n: int) -> tuple[int, ...]:
    return (n, 96, MEL.frames(views.samples)) if views.takes_mel else (n, views.samples)


@every_chain
def test_views_have_the_shape_that_the_encoder_takes(chain: str, music: Tensor) -> None:
    for seconds in (0.5, 1.1):
        views = views_of(chain, seconds)
        assert views.takes.domain == ("mel" if chain.startswith(("nothing", "mel")) else "waveform")
        for n in (1, 5):
            view = views(input_of(views, music[:n]).clone(), generator(n))
            assert view.shape == expected_shape(views, n)
            assert view.dtype == torch.float32
            assert torch.isfinite(view).all()


@every_chain
def test_a_seed_decides_a_view(chain: str, music: Tensor) -> None:
    views = views_of(chain)
    clips = input_of(views, music[:4])
    before = torch.get_rng_state()
    view = views(clips.clone(), generator(1))
    torch.testing.assert_close(views(clips.clone(), generator(1)), view, rtol=0, atol=0)
    assert torch.equal(views(clips.clone(), generator(2)), view) is ("nothing" in chain)
    assert torch.equal(torch.get_rng_state(), before)  # the global generator is left alone


@every_chain
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 3))
def test_views_are_finite_whatever_is_heard(chain: str, seed: int, n: int) -> None:
    views = views_of(chain, 0.6)
    hiss = torch.rand(n, RATE, generator=generator(seed)) * 2 - 1
    for samples in (hiss, hiss.sign(), 1e-6 * hiss):
        view = views(input_of(views, samples).clone(), generator(seed))
        assert torch.isfinite(view).all()
        assert view.shape == expected_shape(views, n)
        if views.takes_mel:
            assert (view >= -1e-6).all()
    silence = views(input_of(views, torch.zeros(n, RATE)).clone(), generator(seed))
    assert float(silence.abs().max()) < 1e-6


def test_a_view_with_nothing_to_do_is_the_clip(music: Tensor) -> None:
    views = views_of("nothing", 3.0)
    clips = MEL(music)
    inside = slice(0, 186)  # the windows that look at nothing beyond the clip
    view = views(input_of(views, music).clone(), generator())
    torch.testing.assert_close(view[:, :, inside], clips[:, :, inside], rtol=1e-4, atol=1e-4)
    views = views_of("for a waveform encoder, nothing", 3.0)
    torch.testing.assert_close(views(input_of(views, music).clone(), generator()), music, rtol=0, atol=0)


def test_steps_are_applied_in_order(music: Tensor) -> None:
    """Noise before a mask is masked; noise after it is heard in the gap."""
    mask, hiss = {"name": "time_mask", "seconds": 0.5}, {"name": "noise", "snr_db": [0.0, 0.0]}
    for form in BOTH:
        silent = []
        for chain in ([hiss, mask], [mask, hiss]):
            views = Views(recipe(form, *chain, encoder=SMALL if form == "waveform" else {"name": "resnet"}), MEL)
            view = views(input_of(views, music).clone(), generator(5))
            silent.append(float((view == 0).float().mean()))
        assert silent[0] > 0.02
        assert silent[1] < 0.001


MOVES: list[list[dict[str, Any]]] = [
    [{"name": "pitch_shift", "semitones": [2.0, 2.0]}, {"name": "pitch_shift", "semitones": [-5.0, 1.0]}],
    [{"name": "pitch_shift"}, {"name": "time_stretch"}, {"name": "pitch_shift"}],
    [{"name": "time_stretch"}, {"name": "pitch_shift"}],
    [{"name": "filter"}, {"name": "pitch_shift"}],
    [{"name": "pitch_shift"}, {"name": "filter"}, {"name": "pitch_shift"}, {"name": "time_mask"}],
    [{"name": "time_mask"}, {"name": "time_stretch", "rate": [0.5, 2.0]}, {"name": "gain"}, {"name": "pitch_shift"}],
    [{"name": "equalizer"}, {"name": "time_stretch", "p": 0.5}, {"name": "frequency_mask"}],
]


def one_by_one(views: Views, log_mel: Tensor, g: Generator) -> Tensor:
    """A chain on the mel, each step a reading or a change of its own, written as the recipe reads."""
    x = log_mel if any(isinstance(s, TimeStretch) for s in views.steps) else log_mel[:, :, : views.frames]
    places = torch.arange(96.0).expand(len(x), -1)
    for one in views.steps:
        n = len(x)
        drawn = one.draw(n, g)
        if isinstance(one, TimeStretch):
            factors = torch.ones(n).index_copy(0, drawn["rows"], drawn["factors"])
            frames = (torch.arange(views.frames) * factors[:, None]).clamp(max=x.shape[2] - 1)
            x = warp(x, places, frames)
        elif isinstance(one, PitchShift):
            shift = torch.zeros(n).index_copy(0, drawn["rows"], drawn["semitones"])
            bands = MEL.band_of(MEL.centres / 2 ** (shift[:, None] / 12))
            x = warp(x, bands, torch.arange(float(x.shape[2])).expand(n, -1))
        else:
            x = MEL.compress(one.change(MEL.expand(x), drawn))
    return x


@pytest.mark.parametrize("steps", MOVES, ids=lambda steps: "-".join(s["name"] for s in steps))
@pytest.mark.parametrize("seed", range(3))
def test_a_chain_on_the_mel_is_its_steps_one_after_the_other(music: Tensor, steps: Any, seed: int) -> None:
    views = Views(recipe("mel", *steps, audio={"clip_seconds": 1.0}), MEL)
    clips = MEL(music)[:, :, : views.takes.length]
    view, expected = views(clips, generator(seed)), one_by_one(views, clips, generator(seed))
    assert view.shape == expected.shape == (8, 96, MEL.frames(RATE))
    shifts = sum(s["name"] == "pitch_shift" for s in steps)
    if shifts < 2:
        torch.testing.assert_close(view, expected, rtol=1e-3, atol=2e-3)
    # two shifts side by side are one reading, which blurs less than two
    near = np.corrcoef(view.flatten(), expected.flatten())[0, 1]
    assert near > (0.98 if shifts < 2 else 0.95)


def test_two_shifts_add_up() -> None:
    clips = MEL(tone(440.0)[None])
    both = [{"name": "pitch_shift", "semitones": [4.0, 4.0]}, {"name": "pitch_shift", "semitones": [3.0, 3.0]}]
    seen = []
    for steps in (both, [{"name": "pitch_shift", "semitones": [7.0, 7.0]}], both[:1]):
        views = Views(recipe("mel", *steps, audio={"clip_seconds": 1.5}), MEL)
        seen.append(views(clips[:, :, : views.takes.length], generator()))
    torch.testing.assert_close(seen[0], seen[1])
    assert not torch.allclose(seen[0], seen[2], atol=0.1)


@every_chain
def test_views_leave_their_clips_alone(chain: str, music: Tensor) -> None:
    views = views_of(chain)
    clips = input_of(views, music[:4]).clone()
    before = clips.clone()
    for seed in range(3):
        views(clips, generator(seed))
    assert torch.equal(clips, before)


@pytest.mark.parametrize("name", ["filter", "equalizer", "frequency_mask"])
def test_a_clip_of_an_awkward_length_is_transformed_at_a_fast_one(
    name: str, monkeypatch: pytest.MonkeyPatch, music: Tensor
) -> None:
    lengths = []
    transform = torch.fft.rfft

    def noted(x: Tensor, n: int | None = None) -> Tensor:
        lengths.append(n or x.shape[-1])
        return transform(x, n=n)

    monkeypatch.setattr(torch.fft, "rfft", noted)
    x = music.repeat(1, 2)[:, :48001]
    y = apply(step(name), x, generator())
    assert y.shape == x.shape
    monkeypatch.undo()
    for length in lengths:
        assert length >= 48001
        for prime in (2, 3, 5, 7, 11):
            while length % prime == 0:
                length //= prime
        assert length == 1


@pytest.mark.parametrize("factor", [0.5, 0.7, 0.8, 0.93, 1.1, 1.25, 2.0])
@pytest.mark.parametrize("hz", [110.0, 440.0, 3333.0])
def test_a_stretched_tone_is_as_loud_as_librosa_s(factor: float, hz: float) -> None:
    x = tone(hz, 3.0)
    ours = stretched(x, factor).numpy()
    theirs = librosa.effects.time_stretch(x.numpy(), rate=factor, n_fft=1024)
    inside = slice(2048, -2048)
    assert abs(len(ours) - len(theirs)) <= 1
    assert np.std(ours[inside]) == pytest.approx(np.std(theirs[inside]), rel=0.02)
    assert np.std(ours[inside]) > 0.85 * float(x.std())


@pytest.mark.parametrize("factor", [0.5, 0.7, 1.1, 1.9, 3.0])
def test_the_phase_vocoder_is_torchaudio_s(factor: float) -> None:
    x = noise(1, 1.0)[0]
    spectrum = torch.stft(x, 512, 128, window=torch.hann_window(512), return_complex=True)
    advance = torch.linspace(0, torch.pi * 128, 257, dtype=torch.float64)[:, None]
    theirs = torchaudio.functional.phase_vocoder(spectrum.to(torch.complex128), factor, advance)
    places = torch.arange(0, spectrum.shape[1], factor, dtype=torch.float64)
    ours = vocode(spectrum.T[None], places[None])[0].T.to(torch.complex128)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)


def test_both_forms_of_a_whole_chain_are_near_on_music(music: Tensor) -> None:
    """A shift and a stretch: the cheap form is a likeness of the exact one."""
    steps = [{"name": "time_stretch", "rate": [1.2, 1.2]}, {"name": "pitch_shift", "semitones": [2.0, 2.0]}]
    seen = []
    for form in BOTH:
        views = Views(recipe(form, *steps, audio={"clip_seconds": 2.0}), MEL)
        clips = music if form == "waveform" else MEL(music)
        seen.append(views(clips[..., : views.takes.length].clone(), generator()))
    original = MEL(music[:, : 2 * RATE])
    for exact, cheap, unchanged in zip(*seen, original, strict=True):
        near, far = (np.corrcoef(exact[:80].flatten(), other[:80].flatten())[0, 1] for other in (cheap, unchanged))
        assert near > 0.8
        assert near > far


# where numbers are drawn, and where the work is done


@every_chain
def test_views_are_the_same_on_every_device(chain: str, music: Tensor, device: torch.device) -> None:
    views = views_of(chain)
    clips = input_of(views, music)
    expected = views(clips, generator(3))
    there = Views(recipe("mel", audio={"clip_seconds": 1.1}, **CHAINS[chain]), LogMel(sample_rate=RATE)).to(device)
    torch.testing.assert_close(there(clips.to(device), generator(3)).cpu(), expected, rtol=1e-3, atol=2e-3)


@every_chain
def test_a_view_does_not_depend_on_who_holds_its_row(chain: str, music: Tensor) -> None:
    """Two processes that hold a part each, and one that holds all."""
    views = views_of(chain)
    clips = input_of(views, music)
    whole = views(clips, generator(3))
    parts = (slice(0, 3), slice(3, 8))
    draws = [views.draw(8, generator(3), own) for own in parts]
    # what one part would gather while the other does the same: here each step is made of both before the next
    gathered: list[Tensor] = []
    views.apply_draws(clips, views.draw(8, generator(3)), lambda x: gathered.append(x.clone()) or x)
    for own, drawn in zip(parts, draws, strict=True):
        rest = iter(gathered)
        view = views.apply_draws(clips[own], drawn, lambda x, rest=rest: next(rest))  # type: ignore[misc]
        torch.testing.assert_close(view, whole[own], rtol=1e-4, atol=1e-4)


@every_chain
def test_views_wait_for_no_device(chain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On tensors without content, of a GPU that need not be here, reading a number raises."""
    monkeypatch.setattr(torch.backends.cudnn, "enabled", False)  # its grid sampler knows nothing of such tensors
    views = Views(recipe("mel", audio={"clip_seconds": 1.1}, **CHAINS[chain]), LogMel(sample_rate=RATE))
    draws = views.draw(6, generator())
    with FakeTensorMode(allow_non_fake_inputs=True):
        put = views.to("cuda")
        clips = torch.empty(6, *((96,) if views.takes.domain == "mel" else ()), views.takes.length, device="cuda")
        there = [{name: values.to("cuda") for name, values in drawn.items()} for drawn in draws]
        assert put.apply_draws(clips, there).shape == expected_shape(views, 6)


@pytest.mark.parametrize("mix", [MixUp(p=0.7), CutMix(p=0.7), CutMix(region="box", p=0.7)])
def test_a_mix_does_not_depend_on_who_holds_its_row(mix: Any, music: Tensor) -> None:
    clips, rows = MEL(music), torch.eye(8)
    whole, labels = mix(clips, rows, generator(4))
    for own in (slice(0, 3), slice(3, 8)):
        part, same = mix.mix(clips[own], rows, mix.draw(8, generator(4), own), lambda x: clips)
        torch.testing.assert_close(part, whole[own])
        torch.testing.assert_close(same, labels)


def test_noise_is_of_its_key_and_white() -> None:
    keys = torch.randint(-(2**31), 2**31, (400,), dtype=torch.int32, generator=generator())
    u = uniform_noise(keys, 5000)
    torch.testing.assert_close(u[7:9], uniform_noise(keys[7:9], 5000), rtol=0, atol=0)
    torch.testing.assert_close(u[:, :99], uniform_noise(keys, 99), rtol=0, atol=0)
    assert float(u.min()) > 0
    assert float(u.max()) < 1
    assert scipy.stats.kstest(u.flatten().numpy()[::7], "uniform").pvalue > 0.01
    n = normal_noise(keys, 5000)
    assert scipy.stats.kstest(n.flatten().numpy()[::7], "norm").pvalue > 0.01
    for x in (u - 0.5, n):
        x = x / x.std()
        assert float((x[:, 1:] * x[:, :-1]).mean().abs()) < 0.004  # along a row, and between rows
        assert float((x[1:] * x[:-1]).mean().abs()) < 0.004
        assert float((x @ x.T / 5000).fill_diagonal_(0).abs().max()) < 0.09


# each by itself


ALL = [*AUGMENTATIONS.values(), MixUp, CutMix]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_each_is_a_module_of_plain_keywords(kind: Any, music: Tensor) -> None:
    assert getattr(mirclr.audio, kind.__name__) is kind
    one = kind(p=0.5)
    assert isinstance(one, torch.nn.Module)
    assert one.state_dict() == {}
    for x in (music[:, :RATE], MEL(music[:, :RATE])):
        before, rows = x.clone(), ((torch.eye(8),) if kind in (MixUp, CutMix) else ())
        y = one(x, *rows, generator(1))
        y = y[0] if rows else y
        assert torch.equal(x, before)
        assert y.shape[:-1] == x.shape[:-1]
        assert y.shape[-1] == x.shape[-1] or kind is TimeStretch
        assert torch.isfinite(y).all()
        torch.manual_seed(4)
        first = one(x, *rows)
        torch.manual_seed(4)
        again = one(x, *rows)
        assert torch.equal(first[0], again[0])
    with pytest.raises(ValueError, match="probability lies between"):
        kind(p=1.5)


def test_a_shape_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(B, N\) samples or \(B, F, T\) log-mel"):
        mirclr.audio.Gain()(torch.zeros(100))


def test_a_stretch_alone_reads_no_silence(music: Tensor) -> None:
    for x, length in ((music, 38400), (MEL(music), 150)):
        y = mirclr.audio.TimeStretch(rate=(1.25, 1.25), p=1.0)(x)
        assert y.shape[-1] == length
        assert float(y[..., -200:].abs().mean()) > 0.1 * float(x[..., -400:].abs().mean())


@pytest.mark.parametrize("module", ["augment", "mel", "mixing", "vocoder"])
def test_examples(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"mirclr.audio.{module}"), extraglobs={"torch": torch})
    assert found.failed == 0
    assert found.attempted > 0


def test_a_process_that_decodes_loads_no_torch() -> None:
    code = "import sys, mirclr.audio, mirclr.audio.decoding; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# mixing clips with their labels


MIXED: dict[str, Any] = {"mixup": MixUp, "cutmix_time": CutMix, "cutmix_box": partial(CutMix, region="box")}


def mixed(name: str, p: float = 1.0, seed: int = 0, n: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips whose every cell holds the clip's own number, and one-hot labels of that number, mixed."""
    x = torch.arange(n, dtype=torch.float32)[:, None, None].expand(n, 20, 30).contiguous()
    g = torch.Generator().manual_seed(seed)
    return MIXED[name](p=p)(x, torch.eye(n), g)


@pytest.mark.parametrize("name", ["cutmix_time", "cutmix_box"])
@pytest.mark.parametrize("seed", range(3))
def test_the_label_is_the_area_that_was_kept(name: str, seed: int) -> None:
    x, rows = mixed(name, seed=seed)
    for i, (clip, row) in enumerate(zip(x, rows, strict=True)):
        for number in clip.unique().long().tolist():
            assert row[number] == pytest.approx(float((clip == number).float().mean()), abs=1e-6)
        assert row.sum() == pytest.approx(1.0, abs=1e-6)
        other = clip != i
        if name == "cutmix_time":
            assert (other.all(dim=0) == other.any(dim=0)).all()
        where = other.nonzero()
        if len(where):  # one box
            low, high = where.min(dim=0).values, where.max(dim=0).values
            assert int(other.sum()) == int((high - low + 1).prod())


def test_a_box_lies_as_published() -> None:
    """CutMix's box has its centre anywhere, so corners are replaced as often as by the published code."""
    x = torch.arange(4000.0)[:, None, None].expand(4000, 20, 30).contiguous()
    mixed, _ = CutMix(region="box", p=1.0)(x, torch.eye(4000), torch.Generator().manual_seed(1))
    replaced = (mixed != x).float().mean(dim=0)
    rng = np.random.default_rng(0)
    counts = np.zeros((20, 30))
    for _ in range(20000):  # as in the appendix of arXiv 1905.04899, with random integers for centres
        side = np.sqrt(1 - rng.uniform())
        y, x_, h, w = rng.integers(20), rng.integers(30), int(20 * side) // 2, int(30 * side) // 2
        counts[max(0, y - h) : y + h, max(0, x_ - w) : x_ + w] += 1
    np.testing.assert_allclose(replaced.numpy(), counts / 20000, atol=0.04)
    assert 0.05 < float(replaced[0, 0]) < 0.2


def test_mixup_adds_clips_as_their_labels_say() -> None:
    x, rows = mixed("mixup")
    torch.testing.assert_close(x[:, 0, 0], rows @ torch.arange(24.0))
    assert (x == x[:, :1, :1]).all()
    assert 0.2 < float(rows.diagonal().mean()) < 0.8


@pytest.mark.parametrize("name", ["mixup", "cutmix_time"])
def test_waveforms_are_mixed_as_log_mels_are(name: str) -> None:
    x = torch.arange(24.0)[:, None].expand(24, 300).contiguous()
    mixed, rows = MIXED[name](p=1.0)(x, torch.eye(24), torch.Generator().manual_seed(3))
    torch.testing.assert_close(mixed.mean(dim=1), rows @ torch.arange(24.0))
    torch.testing.assert_close(rows.sum(dim=1), torch.ones(24))
    if name == "cutmix_time":
        for clip, row in zip(mixed, rows, strict=True):
            assert set(clip.unique().tolist()) == set(row.nonzero().flatten().float().tolist())
            assert int((clip.diff() != 0).sum()) <= 2


def test_mixing_follows_its_probability_and_generator() -> None:
    x, rows = mixed("cutmix_box", p=0.0)
    assert torch.equal(rows, torch.eye(24))
    assert torch.equal(x[:, 0, 0], torch.arange(24.0))
    assert torch.equal(mixed("mixup", seed=4)[0], mixed("mixup", seed=4)[0])
    assert not torch.equal(mixed("mixup", seed=4)[0], mixed("mixup", seed=5)[0])
    changed = (mixed("mixup", p=0.5, n=400)[1].diagonal() < 1).float().mean()
    assert 0.4 < changed < 0.6


EVERY = [PitchShift, TimeStretch, Gain, Noise, Equalizer, Filter, Polarity, TimeMask, FrequencyMask, BackgroundMix]


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("shape", [(2, 8000), (2, 96, 32), (2, 96, 1)], ids=str)
def test_each_has_a_gradient_for_its_input(kind, shape):
    x = torch.rand(shape).requires_grad_()
    y = kind(p=1.0)(x)
    y.sum().backward()
    assert torch.isfinite(y).all()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("p", [0.0, 1.0])
def test_each_takes_any_floating_point_type_and_gives_float32(kind, p):
    for x in (torch.rand(3, 4000), torch.rand(3, 96, 16)):
        wanted = kind(p=p)(x.half().float(), torch.Generator().manual_seed(0))
        for dtype in (torch.float16, torch.float64):
            found = kind(p=p)(x.half().to(dtype), torch.Generator().manual_seed(0))
            torch.testing.assert_close(found, wanted, rtol=0, atol=0)


@pytest.mark.parametrize("kind", EVERY)
def test_each_refuses_what_is_no_batch(kind):
    change = kind(p=1.0)
    for x in (torch.rand(100), torch.rand(1, 1, 96, 8), torch.ones(2, 100, dtype=torch.int16), torch.rand(2, 0)):
        with pytest.raises(ValueError, match="x is "):
            change(x)
    with pytest.raises(ValueError, match="x has 40 mel bands, and `mel` 96"):
        change(torch.rand(2, 40, 8))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (PitchShift, {"semitones": (2, -2)}),
        (PitchShift, {"semitones": 3}),
        (TimeStretch, {"rate": (0, 1)}),
        (TimeStretch, {"rate": (1.2, 0.8)}),
        (TimeStretch, {"rate": 1.2}),
        (Gain, {"db": (math.nan, 1)}),
        (Noise, {"snr_db": (40, 10)}),
        (BackgroundMix, {"snr_db": (0, math.inf)}),
        (Filter, {"low_pass_hz": (0, 10)}),
        (Filter, {"high_pass_hz": (-5, 5)}),
        (Equalizer, {"db": -3}),
        (Equalizer, {"points": 1}),
        (TimeMask, {"seconds": -1}),
        (TimeMask, {"count": -1}),
        (FrequencyMask, {"fraction": 1.5}),
        (MixUp, {"alpha": 0}),
        (CutMix, {"region": "frequency"}),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(kind, settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} (is )?"):
        kind(**settings)


@pytest.mark.parametrize("kind", [MixUp, CutMix])
def test_a_mix_refuses_labels_of_other_rows(kind):
    for labels in (torch.eye(3), torch.arange(4)):
        with pytest.raises(ValueError, match="expected float"):
            kind(p=1.0)(torch.rand(4, 96, 8), labels)
