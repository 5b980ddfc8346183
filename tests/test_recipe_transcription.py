"""What recipes/transcription learns from: pieces, their labels and targets, sounds."""

import importlib
import struct
import sys

import numpy as np
import pytest

from mirclr.audio.pitched import BINS, FRAME_S, PitchedSpectrogram
from mirclr.provenance import shipped_dir
from mirclr.transcription import Preset, track_notes

MODULES = (
    "pieces",
    "textures",
    "soundfont",
    "examples",
    "changes",
    "render",
    "songs",
    "voices",
    "drum_machine",
    "play",
    "learn",
    "weigh",
)


@pytest.fixture(scope="module")
def recipe():
    """The recipe's modules by name."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("builtin", "transcription"):
            patch.syspath_prepend(str(shipped_dir("recipes") / name))
        for name in MODULES:  # other recipes have modules of these names
            patch.delitem(sys.modules, name, raising=False)
        yield {name: importlib.import_module(name) for name in MODULES}
        for name in MODULES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def made_up(recipe):
    return [recipe["textures"].piano_piece(np.random.default_rng(seed), 30.0) for seed in range(6)]


def test_a_key_that_is_up_sounds_until_the_pedal_is(recipe):
    part = recipe["pieces"].Part(0, [(0.0, 0.5, 60, 80), (0.2, 0.4, 64, 80), (3.0, 3.5, 67, 80)], [(0.45, 2.0)])
    assert recipe["pieces"].sounding(part) == [(0.0, 2.0, 60, 80), (0.2, 0.4, 64, 80), (3.0, 3.5, 67, 80)]


def test_a_key_that_is_struck_again_ends_the_note_in_the_pedal(recipe):
    part = recipe["pieces"].Part(0, [(0.0, 0.5, 60, 80), (1.0, 1.5, 60, 90)], [(0.1, 4.0)])
    assert recipe["pieces"].sounding(part) == [(0.0, 1.0, 60, 80), (1.0, 4.0, 60, 90)]


def test_pieces_made_up_are_music_of_a_piano_and_the_same_again(recipe, made_up):
    for seed, piece in enumerate(made_up):
        notes = recipe["pieces"].labels(piece)["notes"]
        assert len(notes) > 40
        assert notes[:, 0].min() >= 0
        assert notes[:, 1].max() < 45
        assert notes[:, 2].min() >= 21
        assert notes[:, 2].max() <= 108
        assert np.all((notes[:, 3] >= 1) & (notes[:, 3] <= 127))
        again = recipe["textures"].piano_piece(np.random.default_rng(seed), 30.0)
        np.testing.assert_array_equal(recipe["pieces"].labels(again)["notes"], notes)
        beats = piece.beats[:, 0]
        assert np.all(np.diff(beats) > 0.2)


def test_drummers_keep_the_bars_of_a_song_that_begins_before_one_and_has_a_short_one(recipe):
    bars = [(3, 2), (1, 4), (1, 4), (1, 2), (1, 4), (1, 4), (1, 4)]  # the first place, and how many beats
    places = [place + i for place, count in bars for i in range(count)]
    beats = np.stack([np.arange(len(places)) * 0.5, places], axis=1).astype(float)
    loop = [(4 * k * 0.6, 4 * k * 0.6 + 0.1, 36, 100) for k in range(2)]  # a kick at each of two bars, at 100 bpm
    loop.append((7 * 0.6, 8 * 0.6, 42, 60))
    hits = recipe["songs"].in_bars_of_four(beats, loop, 100.0)
    kicks = [begin for begin, _, pitch, _ in hits if pitch == 36]
    np.testing.assert_allclose(kicks, beats[beats[:, 1] == 1, 0])


def test_a_voice_sings_the_notes_that_it_is_given_and_is_silent_between_them(recipe):
    voices = recipe["voices"]
    notes = voices.of_one_voice([(0.5, 1.5, 60, 90), (1.4, 2.4, 67, 90), (1.4, 2.0, 64, 90), (4.0, 5.0, 62, 70)])
    assert notes == [(0.5, 1.4, 60, 90), (1.4, 2.4, 67, 90), (4.0, 5.0, 62, 70)]
    for seed in range(4):
        x = voices.sung(notes, 6.0, np.random.default_rng(seed))
        assert x.shape == (6 * voices.RATE,)
        loudest = np.abs(x).max()
        assert np.abs(x[round(2.7 * voices.RATE) : round(3.8 * voices.RATE)]).max() < 0.05 * loudest
        for begin, end, note, _ in notes:
            heard = x[round((begin + 0.25) * voices.RATE) : round((end - 0.1) * voices.RATE)]
            power = np.abs(np.fft.rfft(heard * np.hanning(len(heard)), 1 << 18)) ** 2
            hertz = np.arange(len(power)) * voices.RATE / (1 << 18)
            score = [power[np.abs(hertz[:, None] - f * np.arange(1, 9)).min(1) < 0.03 * f].sum() for f in _notes(note)]
            assert np.argmax(score) == 6


def _notes(middle):
    """Hz of the semitones about one: from six below to six above."""
    return 440 * 2 ** ((middle + np.arange(-6, 7) - 69) / 12)


def test_a_drum_machine_plays_on_sixteenths_of_the_beats(recipe):
    beats = np.stack([np.arange(34) * 0.5 + 0.2, np.arange(34) % 4 + 1], axis=1)
    for seed in range(20):
        hits = recipe["drum_machine"].machine_drums(beats, np.random.default_rng(seed))
        steps = (np.array([hit[0] for hit in hits]) - 0.2) / 0.125
        late = np.where(np.round(steps) % 2 == 1, 0.31, 0.0)  # of a swing
        assert np.all((steps - np.round(steps) > -0.15) & (steps - np.floor(steps + 0.15) < 0.15 + late))


def test_of_a_bar_that_is_played_twice_as_fast_there_are_two(recipe):
    beats = np.stack([np.arange(6) * 1.0, [4, 1, 2, 3, 4, 1]], axis=1)
    found = recipe["songs"].doubled(beats)
    np.testing.assert_allclose(found[:, 0], np.arange(11) / 2)
    assert found[:, 1].tolist() == [3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1]


def test_what_wavers_keeps_notes_beats_and_chords_together(recipe):
    at = np.arange(2, 40) * 0.6
    piece = recipe["pieces"].Piece(
        [recipe["pieces"].Part(0, [(float(a), float(a) + 0.4, 60, 80) for a in at])],
        np.stack([at, np.arange(len(at)) % 4 + 1], axis=1),
        np.stack([at[:-1], at[1:], at[1:] * 0, at[1:] * 0], axis=1),
    )
    moved = recipe["songs"].unsteady(piece, np.random.default_rng(2))
    onsets = np.array([note[0] for note in moved.parts[0].notes])
    np.testing.assert_allclose(onsets, moved.beats[:, 0])
    np.testing.assert_allclose(onsets[:-1], moved.chords[:, 0])
    between = np.diff(onsets)
    assert between.min() < 0.595
    assert between.max() > 0.605
    assert np.abs(between / 0.6 - 1).max() < 0.1


def test_targets_made_of_notes_give_these_notes_back(recipe, made_up):
    for piece in made_up:
        notes = recipe["pieces"].labels(piece)["notes"]
        apart = {}
        kept = []
        for row in notes:  # what frames can separate
            if row[0] - apart.get(row[2], -1) > 5 * FRAME_S and row[1] - row[0] > 2.5 * FRAME_S:
                kept.append(row)
                apart[row[2]] = row[1]
        frames = round(50 / FRAME_S)
        target = recipe["examples"].note_targets(np.array(kept), 0.0, frames)
        found = track_notes([target], Preset())
        assert len(found) == len(kept)
        np.testing.assert_array_equal([n.pitch for n in found], [row[2] for row in kept])
        np.testing.assert_allclose([n.onset_s for n in found], [row[0] for row in kept], atol=0.002)
        np.testing.assert_allclose([n.offset_s for n in found], [row[1] for row in kept], atol=0.04)


def test_what_is_transposed_is_the_spectrogram_of_the_higher_note(recipe):
    t = np.arange(16000) / 16000
    low, high = (0.3 * np.sin(2 * np.pi * 440 * 2 ** ((n - 69) / 12) * t).astype(np.float32) for n in (60, 62))
    spectrogram = PitchedSpectrogram()
    moved = recipe["examples"].transposed(spectrogram(low), 2)
    peaks = [seen[0, :, 15].argmax() for seen in (moved, spectrogram(high))]
    assert peaks[0] == peaks[1] == (62 - 21) * BINS + 1
    back = recipe["examples"].transposed(moved, -2)
    np.testing.assert_array_equal(back[:, :-6], spectrogram(low)[:, :-6])


def test_changes_keep_the_time(recipe):
    x = np.zeros(32000, np.float32)
    x[16000:] = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    for seed in range(8):
        y = recipe["examples"].changed(x, np.random.default_rng(seed))
        assert y.shape == x.shape
        assert np.abs(y).max() <= 1.001
        loud = np.abs(y[16000:24000]).mean() > 2 * np.abs(y[8000:15000]).mean()
        assert loud


def test_a_soundfont_holds_its_samples(recipe, tmp_path):
    soundfont = recipe["soundfont"]
    sample = np.sin(np.arange(4000) / 9).astype(np.float32) * 0.5
    zones = [soundfont.Zone(sample, 60.25, (0, 63)), soundfont.Zone(-sample, 66, (64, 127), loop=(100, 3000))]
    soundfont.write_soundfont(tmp_path / "a.sf2", [soundfont.Preset(5, "one", zones)], 32000)
    content = (tmp_path / "a.sf2").read_bytes()
    assert content[:4] == b"RIFF"
    assert struct.unpack("<I", content[4:8])[0] == len(content) - 8
    at = content.index(b"smpl")
    (size,) = struct.unpack("<I", content[at + 4 : at + 8])
    samples = np.frombuffer(content[at + 8 : at + 8 + size], np.int16)
    np.testing.assert_allclose(samples[:4000] / 32767, sample, atol=1e-4)
    assert not samples[4000:4046].any()
    np.testing.assert_array_equal(samples[4046:8046], -samples[:4000])
    headers = content.index(b"shdr")
    assert struct.unpack("<I", content[headers + 4 : headers + 8])[0] == 3 * 46  # two, and the last one


def test_a_network_that_goes_on_gives_at_first_what_its_file_gives(recipe, tmp_path):
    torch = pytest.importorskip("torch")
    learn = importlib.import_module("learn")
    networks = importlib.import_module("mirclr.models.transcriber")
    export = importlib.import_module("mirclr.models.transcriber_export")
    torch.manual_seed(0)
    finished, other = networks.SongNetwork(8, 2), networks.SongNetwork(8, 2)
    with torch.no_grad():  # of a trained network no two are the same
        for parameter in finished.parameters():
            parameter.normal_(0, 0.3)
    x = torch.randn(2, 2, 291, 40)
    for _ in range(3):
        finished(x)  # statistics of their own
    export.export_transcriber(finished.eval(), tmp_path / "song.onnx", {})
    learn.read_weights(other, tmp_path / "song.onnx")
    learn.freeze_statistics(other)
    with torch.no_grad():
        torch.testing.assert_close(other(x), finished(x), rtol=1e-4, atol=1e-4)


def test_beats_that_are_found_are_what_the_nearest_annotated_beat_is(recipe):
    weigh = importlib.import_module("weigh")
    beats = np.array([(0, 4), (1, 1), (2, 2), (3, 3), (4, 4), (5, 1), (6, 2), (7, 3), (8, 1), (9, 2)], float)
    frames = np.round(np.array([0, 1, 2, 3.03, 4, 4.5, 5, 6, 7, 8]) / FRAME_S).astype(int)
    first, weak, half, none = 0, 1, 2, -1
    expected = [weak, first, weak, half, weak, none, first, weak, weak, first]  # the third of three is no half
    assert weigh.places_of(beats, frames).tolist() == expected


def test_what_signs_and_keys_are_worth_is_found_again(recipe):
    weigh = importlib.import_module("weigh")
    rng = np.random.default_rng(0)
    signs = np.column_stack([np.ones(4000), rng.normal(size=(4000, 4))])
    true = np.array([(0, 2, 0, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, 0, -1)], float)
    odds = signs @ true.T
    places = (odds + rng.gumbel(size=odds.shape)).argmax(axis=1)
    found = np.array(weigh.weights_of_places(signs, places))
    np.testing.assert_allclose(found - found.mean(0), true - true.mean(0), atol=0.15)
    fits = rng.normal(size=(2, 4000, 24))
    keys = (3 * fits[0] + fits[1] + rng.gumbel(size=(4000, 24))).argmax(axis=1)
    np.testing.assert_allclose(weigh.weights_of_keys(*fits, keys), [3, 1], atol=0.3)


def _drawn(step, size, seed):
    return np.random.default_rng([seed, step]).random(size)


def test_batches_are_the_same_whatever_makes_them_and_go_on_where_training_stopped(recipe):
    steps = recipe["learn"].Steps
    here = [np.asarray(batch) for batch in steps(_drawn, 3, 18, 0, 5).by(0)]
    others = [np.asarray(batch) for batch in steps(_drawn, 3, 18, 2, 5).by(1)]
    np.testing.assert_array_equal(here[2:], others)
    assert not list(steps(_drawn, 3, 18, 5, 5).by(1))
