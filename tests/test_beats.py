"""Beats, bars and tempo of what a network says of every frame."""

from itertools import pairwise

import mir_eval.beat
import numpy as np
import pytest

from mirclr.audio.pitched import FRAME_S
from mirclr.transcription.beats import tempo_of, track_beats


def activation(times, frames, rng=None, noise=0.0):
    """What a good network says: near 1 in the nearest frame, less in the next."""
    at = np.arange(frames)
    far = np.abs(at[:, None] - np.asarray(times)[None, :] / FRAME_S).min(axis=1) if len(times) else np.full(frames, 9)
    clean = np.clip(1.5 - far, 0, 1) * 0.9
    return clean if rng is None else np.clip(clean * rng.uniform(0.3, 1, frames) + noise * rng.random(frames), 0, 1)


def steady(bpm, metre, seconds=40.0, first=0.4):
    times = np.arange(first, seconds, 60 / bpm)
    return np.stack([times, np.arange(len(times)) % metre + 1], axis=1)


def found(beats, rng=None, noise=0.0, seconds=40.0):
    frames = round(seconds / FRAME_S)
    downs = beats[beats[:, 1] == 1, 0]
    return track_beats(activation(beats[:, 0], frames, rng, noise), activation(downs, frames, rng, noise))


@pytest.mark.parametrize("bpm", [55, 72.5, 90, 119, 128, 165, 210])
@pytest.mark.parametrize("metre", [3, 4])
def test_beats_and_bars_come_back(bpm, metre):
    want = steady(bpm, metre)
    got = found(want)
    assert mir_eval.beat.f_measure(want[:, 0], got[:, 0]) > 0.97
    assert tempo_of(got) == pytest.approx(bpm, rel=0.01)
    downs = [b[b[:, 1] == 1, 0] for b in (want, got)]
    assert mir_eval.beat.f_measure(*downs) > 0.95


def test_with_noise_and_beats_that_are_missed():
    want = steady(101, 4)
    got = found(want, np.random.default_rng(0), noise=0.15)
    assert mir_eval.beat.f_measure(want[:, 0], got[:, 0]) > 0.95
    assert tempo_of(got) == pytest.approx(101, rel=0.02)


def test_a_tempo_that_changes_is_followed():
    gaps = np.linspace(0.65, 0.45, 70)
    times = 0.3 + np.concatenate([[0], np.cumsum(gaps)])
    want = np.stack([times, np.arange(len(times)) % 4 + 1], axis=1)
    got = found(want)
    assert mir_eval.beat.f_measure(want[:, 0], got[:, 0]) > 0.95


def test_silence_before_and_after_has_no_beats():
    times = np.arange(12.0, 30.0, 0.5)
    got = found(np.stack([times, np.arange(len(times)) % 4 + 1], axis=1), seconds=45)
    assert got[0, 0] == pytest.approx(12.0, abs=0.03)
    assert got[-1, 0] == pytest.approx(29.5, abs=0.03)


def test_music_without_a_beat_has_none():
    for low in (0.0, 0.05):
        silent = np.full(1200, low, np.float32)
        assert len(track_beats(silent, silent)) == 0
    assert len(track_beats(np.zeros(0), np.zeros(0))) == 0
    assert len(track_beats(np.ones(5), np.ones(5))) == 0
    assert tempo_of(np.zeros((0, 2))) is None


@pytest.mark.parametrize("seed", range(3))
def test_noise_has_no_beat_however_likely_it_is_said_to_be(seed):
    rng = np.random.default_rng(seed)
    noise = np.convolve(rng.random(1500) ** 3, [0.5, 1, 0.5], "same").clip(0, 1)
    assert len(track_beats(noise, noise)) == 0


def test_of_beats_that_are_not_sure_another_way_is_asked():
    want = steady(117, 4)
    rng, frames = np.random.default_rng(2), round(40 / FRAME_S)
    faint = 0.3 * activation(want[:, 0], frames) * rng.choice([0.5, 1.0], frames)
    off_beat = 0.4 * activation(want[:, 0] + 60 / 117 / 2, frames) * rng.choice([0.0, 1.0], frames, p=[0.8, 0.2])
    activations, downs = faint + off_beat, np.zeros(frames)
    for witnessed in (117.0, 156.0):  # of it, and of its dotted eighths
        got = track_beats(activations, downs, lambda tempo=witnessed: tempo)
        assert tempo_of(got) == pytest.approx(117, rel=0.02)
    sure = activation(want[:, 0], frames)
    np.testing.assert_array_equal(track_beats(sure, downs, lambda: 60.0), track_beats(sure, downs))
    np.testing.assert_array_equal(track_beats(activations, downs, lambda: None), track_beats(activations, downs))


def roots(begins, frames):
    """Another root from each of these seconds on, (13, frames)."""
    which = np.searchsorted(begins, np.arange(frames) * FRAME_S + 1e-6, side="right")
    return 0.8 * np.eye(13)[:, 5 * which % 12] + 0.2 / 13


@pytest.mark.parametrize("metre", [3, 4])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_bars_begin_where_harmonies_change(metre, first):
    beats = steady(100, metre)
    downs = beats[first::metre, 0]
    frames = round(40 / FRAME_S)
    unsure = np.full(frames, 0.2)
    got = track_beats(activation(beats[:, 0], frames), unsure, root=roots(downs, frames))
    assert mir_eval.beat.f_measure(downs, got[got[:, 1] == 1, 0]) > 0.95


@pytest.mark.parametrize("first", [0, 1, 2, 3])
def test_snares_answer_the_beats_that_bars_begin_on(first):
    beats, frames = steady(100, 4), round(40 / FRAME_S)
    hits = [activation(beats[(first + k) % 4 :: 4, 0], frames) for k in range(4)]
    drums = np.stack([hits[0] + 0.8 * hits[2], hits[1] + hits[3], *np.zeros((3, frames))])
    got = track_beats(activation(beats[:, 0], frames), np.full(frames, 0.2), drums=drums)
    assert mir_eval.beat.f_measure(beats[first::4, 0], got[got[:, 1] == 1, 0]) > 0.9


@pytest.mark.parametrize("bpm", [60, 120])
def test_a_tempo_is_that_whose_bars_are_clear(bpm):
    quick = steady(120, 4)[:, 0]
    frames = round(40 / FRAME_S)
    beat = 0.9 * activation(quick[::2], frames) + 0.55 * activation(quick[1::2], frames)
    bars = quick[:: 4 * 120 // bpm]
    got = track_beats(beat, activation(bars, frames), root=roots(bars, frames))
    assert tempo_of(got) == pytest.approx(bpm, rel=0.01)
    assert mir_eval.beat.f_measure(bars, got[got[:, 1] == 1, 0]) > 0.9


def test_a_harmony_before_its_bar_moves_no_clear_bars():
    beats = steady(100, 4)
    frames = round(40 / FRAME_S)
    downs = activation(beats[::4, 0], frames)
    got = track_beats(activation(beats[:, 0], frames), downs, root=roots(beats[3::16, 0], frames))
    assert mir_eval.beat.f_measure(beats[::4, 0], got[got[:, 1] == 1, 0]) > 0.95


def test_places_in_bars_count_up():
    got = found(steady(100, 4), np.random.default_rng(1), noise=0.15)
    places = got[:, 1]
    assert len(places) > 50
    assert all(b in (a + 1, 1) for a, b in pairwise(places))
    assert np.all(np.diff(got[:, 0]) > 0.2)


def test_a_long_song_in_pieces_is_one_song(monkeypatch):
    want = steady(103, 4, seconds=150.0)
    whole = found(want, seconds=150.0)
    monkeypatch.setattr("mirclr.transcription.beats._PIECE", 1200)
    pieces = found(want, seconds=150.0)
    np.testing.assert_allclose(pieces, whole, atol=0.001)
