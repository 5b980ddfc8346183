from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mirclr.audio import read_excerpts
from mirclr.audio.mel import LogMel, hz_to_mel
from mirclr.audio.spectrum import mel_to_hz
from mirclr.config import Mel

SETTINGS = [
    (Mel(), 16000),
    (Mel(n_fft=1024, hop_length=160, n_mels=64, f_min=30.0, f_max=7000.0), 22050),
    (Mel(n_fft=2048, hop_length=500, n_mels=40, gain=100.0), 8000),
]
every_setting = pytest.mark.parametrize(("plan", "rate"), SETTINGS)


def heard(song: Path, rate: int) -> torch.Tensor:
    return torch.from_numpy(read_excerpts(song, count=2, seconds=2.0, rate=rate).waveforms)


@every_setting
@pytest.mark.parametrize("number", range(4))
def test_equals_librosa_on_music(songs: list[Path], number: int, plan: Mel, rate: int) -> None:
    waveforms = heard(songs[number], rate)
    power = librosa.feature.melspectrogram(
        y=waveforms.numpy(),
        sr=rate,
        n_fft=plan.n_fft,
        hop_length=plan.hop_length,
        n_mels=plan.n_mels,
        fmin=plan.f_min,
        fmax=plan.f_max,
        pad_mode="constant",
    )
    mel = LogMel.of(plan, rate)
    np.testing.assert_allclose(mel.power(waveforms), power, rtol=1e-4, atol=1e-6 * power.max())
    np.testing.assert_allclose(mel(waveforms), np.log10(1 + plan.gain * power), rtol=1e-4, atol=1e-5)


@every_setting
def test_bands_lie_where_librosa_has_them(plan: Mel, rate: int) -> None:
    mel = LogMel.of(plan, rate)
    points = librosa.mel_frequencies(plan.n_mels + 2, fmin=plan.f_min, fmax=plan.f_max or rate / 2)
    np.testing.assert_allclose(mel.centres, points[1:-1], rtol=1e-6)
    np.testing.assert_allclose(mel.band_of(mel.centres), np.arange(plan.n_mels), atol=1e-4)
    between = torch.tensor(points[1:-1][:2]).mean()
    assert 0 < float(mel.band_of(between)) < 1
    assert float(mel.band_of(torch.tensor(rate * 1.0))) > plan.n_mels - 1


@settings(deadline=None)
@given(st.floats(0, 24000))
def test_the_scale_is_slaneys_and_invertible(hz: float) -> None:
    mel = hz_to_mel(torch.tensor(hz, dtype=torch.float64))
    assert float(mel) == pytest.approx(float(librosa.hz_to_mel(hz)), rel=1e-6)
    assert float(mel_to_hz(mel.numpy())) == pytest.approx(hz, rel=1e-6)


@every_setting
def test_a_tone_peaks_in_its_band(plan: Mel, rate: int) -> None:
    mel = LogMel.of(plan, rate)
    for hz in (500.0, 1500.0, 3000.0):
        tone = torch.sin(2 * torch.pi * hz * torch.arange(rate) / rate)[None]
        peak = int(mel.power(tone)[0].mean(dim=1).argmax())
        width = rate / plan.n_fft  # an FFT bin, which may be wider than a band
        reach = float(mel.band_of(torch.tensor(hz + width)) - mel.band_of(torch.tensor(hz)))
        assert abs(peak - float(mel.band_of(torch.tensor(hz)))) <= 1 + reach


@every_setting
@settings(max_examples=15, deadline=None)
@given(n_samples=st.integers(1, 9000))
def test_frames_are_as_many_as_said(plan: Mel, rate: int, n_samples: int) -> None:
    mel = LogMel.of(plan, rate)
    log_mel = mel(torch.zeros(1, n_samples))
    assert log_mel.shape == (1, plan.n_mels, mel.frames(n_samples))
    assert (log_mel == 0).all()


@every_setting
def test_expand_undoes_compress(songs: list[Path], plan: Mel, rate: int) -> None:
    mel = LogMel.of(plan, rate)
    power = mel.power(heard(songs[0], rate))
    np.testing.assert_allclose(mel.expand(mel.compress(power)), power, rtol=1e-5, atol=1e-8)
    assert not (mel.compress(power) < 0).any()


def test_compress_and_expand_leave_their_input() -> None:
    mel = LogMel(sample_rate=16000)
    x = torch.rand(2, 96, 5)
    before = x.clone()
    mel.expand(mel.compress(x))
    mel.expand(x)
    torch.testing.assert_close(x, before, rtol=0, atol=0)


def test_gradients_reach_the_waveform() -> None:
    mel = LogMel(sample_rate=16000)
    x = torch.randn(2, 4000, generator=torch.Generator().manual_seed(0)).mul_(0.1).requires_grad_()
    weights = torch.randn(2, 96, mel.frames(4000), generator=torch.Generator().manual_seed(1))
    (mel(x) * weights).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    # against a finite difference along the gradient
    step = 1e-4 * x.grad / x.grad.norm()
    with torch.no_grad():
        rise = ((mel(x + step) - mel(x - step)).double() * weights).sum() / 2
    assert float(rise) == pytest.approx(1e-4 * float(x.grad.norm()), rel=0.02)


def test_it_stays_float32() -> None:
    mel = LogMel(sample_rate=16000)
    x = 0.1 * torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    expected = mel(x)
    assert expected.dtype == torch.float32
    torch.testing.assert_close(mel(x.double()), expected)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(mel(x), expected)  # the type too
    torch.testing.assert_close(mel(x.bfloat16()), mel(x.bfloat16().float()))


def test_it_moves_with_its_model_and_adds_no_weights() -> None:
    model = torch.nn.Sequential(LogMel(sample_rate=16000)).to("meta")
    assert {buffer.device.type for buffer in model.buffers()} == {"meta"}
    assert model.state_dict() == {}
    assert list(model.parameters()) == []


SETTINGS = {
    "sample_rate": 0, "n_fft": 0, "hop_length": 0, "n_mels": 0, "f_min": -1.0, "f_max": 0.0, "gain": 0.0,
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_out_of_range_is_refused_by_name(name):
    with pytest.raises(ValueError, match=name):
        LogMel(**{name: SETTINGS[name]})


@pytest.mark.parametrize("x", [torch.zeros(16000), torch.zeros(1, 2, 16000), torch.zeros(2, 16000, dtype=torch.int16)])
def test_what_is_no_batch_of_samples_is_refused(x):
    with pytest.raises(ValueError, match="waveforms are"):
        LogMel()(x)


def test_log_mel_to_power_and_back_has_a_gradient():
    mel, x = LogMel(), torch.rand(2, 96, 5, dtype=torch.float64, requires_grad=True)
    mel.compress(mel.expand(x)).sum().backward()
    torch.testing.assert_close(x.grad, torch.ones_like(x))
