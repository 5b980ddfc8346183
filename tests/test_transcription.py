"""Notes of songs: spectrograms, networks and their ONNX files, tracking, MIDI, what the command writes."""

import csv
import json
import tracemalloc
from itertools import pairwise

import mido
import numpy as np
import onnx
import pretty_midi
import pytest
import soundfile
import torch
from onnx import helper

import mirclr
from mirclr.audio import write_wav_blocks
from mirclr.audio.pitched import BANDS, FRAME_S, HOP, RATE, PitchedSpectrogram, band_hertz
from mirclr.errors import CheckpointError, QueryError, UnusableAudio
from mirclr.library import Outline
from mirclr.models.portable_transcriber import FORMAT, INPUT, KEY, OUTPUT, PortableTranscriber
from mirclr.models.transcriber import NoteNetwork, SongNetwork
from mirclr.models.transcriber_export import export_transcriber
from mirclr.transcription import PRESETS, Note, Notes, NoteTracker, Preset, track_notes
from mirclr.transcription.midi import TICKS, beat_grid
from tests.commands import exits, invoke
from tests.made_up_networks import WHOLE, constant, write_network

FRAMES = 64
LEVEL = 1.5  # of a band, from which on the network below detects a note: a sine of -31 dB


def write_listener(path, frames=FRAMES):
    """A network of known weights: a note sounds while its band is above `LEVEL`, and begins where that begins."""
    constants = [
        constant("at", [0, 0, 1, 0], WHOLE), constant("to", [99, 1, 264, 9999], WHOLE),
        constant("step", [1, 1, 3, 1], WHOLE), constant("level", LEVEL), constant("steep", 60.0),
        constant("pads", [0, 0, 0, 1, 0, 0, 0, 0], WHOLE), constant("from0", [0], WHOLE),
        constant("toT", [frames], WHOLE), constant("last", [3], WHOLE), constant("half", 0.5), constant("none", 0.0),
    ]  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Slice", [INPUT, "at", "to", "all", "step"], ["bands"]),
        node("Sub", ["bands", "level"], ["above"]), node("Mul", ["above", "steep"], ["logit"]),
        node("Sigmoid", ["logit"], ["frame"]), node("Pad", ["frame", "pads"], ["later"]),
        node("Slice", ["later", "from0", "toT", "last"], ["before"]),
        node("Sub", ["frame", "before"], ["rise"]), node("Relu", ["rise"], ["onset"]),
        node("Mul", ["frame", "none"], ["zero"]), node("Add", ["zero", "half"], ["middle"]),
        node("Concat", ["onset", "frame", "zero", "middle", "zero"], [OUTPUT], axis=1),
    ]  # fmt: skip
    constants.append(constant("all", [0, 1, 2, 3], WHOLE))
    return write_network(path, "notes", nodes, constants, [5, 88], frames)


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    return write_listener(tmp_path_factory.mktemp("network") / "listener.onnx")


def sines(notes, seconds):
    """Notes (onset, offset, pitch) as sines of -12 dB, (n,) float32 at `RATE`."""
    t = np.arange(round(seconds * RATE)) / RATE
    x = np.zeros(len(t))
    for onset, offset, pitch in notes:
        x += 0.25 * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * t) * ((t >= onset) & (t < offset))
    return x.astype(np.float32)


def hiss(seconds):
    return np.random.default_rng(0).normal(0, 1e-3, seconds * RATE).astype(np.float32)


CHORD = [(0.5, 1.5, 60), (0.5, 1.5, 64), (0.5, 1.5, 67), (2.0, 3.0, 72)]


def roll_of(notes, frames):
    """(5, 88, frames): what a perfect network says of (onset, offset, pitch, velocity)."""
    out = np.zeros((5, 88, frames), np.float32)
    for onset, offset, pitch, velocity in notes:
        a, b = onset / FRAME_S, offset / FRAME_S
        i = round(a)
        out[1, pitch - 21, i : round(b)] = 1
        out[[0, 3, 4], pitch - 21, i] = 1, velocity / 127, a - i
    return out


def random_notes(seed, count=150, seconds=20.0):
    """Notes that a roll can say: those of a pitch lie four frames apart at least."""
    rng = np.random.default_rng(seed)
    found, free = [], {}
    for onset in np.sort(rng.uniform(0.1, seconds, count)):
        pitch = int(rng.integers(21, 109))
        if onset < free.get(pitch, 0):
            continue
        offset = onset + rng.uniform(3 * FRAME_S, 2.0)
        found.append((onset, offset, pitch, int(rng.integers(1, 128))))
        free[pitch] = offset + 4 * FRAME_S
    return sorted(found, key=lambda n: (n[0], n[2]))


# spectrograms


@pytest.mark.parametrize("pitch", [21, 40, 60, 85, 108])
def test_a_sine_peaks_in_the_band_of_its_note(pitch):
    seen = PitchedSpectrogram()(sines([(0, 1, pitch)], 1.0))
    hz = 440 * 2 ** ((pitch - 69) / 12)
    assert band_hertz()[seen[0, :, 15].argmax()] == pytest.approx(hz)
    assert seen[0, :, 15].max() > 1.3


def test_a_gain_is_a_sum_and_silence_the_lowest():
    rng = np.random.default_rng(0)
    x = 0.1 * rng.standard_normal(RATE).astype(np.float32)
    spectrogram = PitchedSpectrogram()
    np.testing.assert_allclose(np.median(spectrogram(x) - spectrogram(x / 10)), 0.5, atol=0.02)  # 20 dB
    assert not spectrogram(np.zeros(RATE, np.float32)).any()


def test_a_spectrogram_of_any_length():
    for n in (0, 1, 511, 512, 5000):
        assert PitchedSpectrogram()(np.zeros(n, np.float32)).shape == (2, BANDS, 1 + n // HOP)


# tracking


def test_a_roll_made_of_notes_gives_these_notes_back():
    notes = random_notes(1)
    found = track_notes([roll_of(notes, 800)], Preset())
    assert [(n.pitch, n.velocity) for n in found] == [(pitch, v) for _, _, pitch, v in notes]
    np.testing.assert_allclose([n.onset_s for n in found], [n[0] for n in notes], atol=1e-3)
    np.testing.assert_allclose([n.offset_s for n in found], [n[1] for n in notes], atol=0.51 * FRAME_S)


@pytest.mark.parametrize("seed", range(4))
def test_pieces_of_any_size_give_the_same_notes(seed):
    rng = np.random.default_rng(seed)
    noise = rng.random((5, 88, 300)).astype(np.float32) ** 3
    whole = track_notes([noise], PRESETS["piano"])
    cuts = np.sort(rng.integers(0, 301, 40))
    assert whole
    assert track_notes(np.split(noise, cuts, axis=2), PRESETS["piano"]) == whole
    assert track_notes(np.split(noise, 300, axis=2), PRESETS["piano"]) == whole


def test_notes_do_not_overlap_on_one_pitch_and_are_as_long_as_asked_for():
    noise = np.random.default_rng(5).random((5, 88, 100)).astype(np.float32)
    for preset in PRESETS.values():
        found = track_notes([noise], preset)
        last = {}
        for note in found:
            assert note.offset_s > note.onset_s >= last.get(note.pitch, 0) - 1e-9
            assert preset.lowest <= note.pitch <= preset.highest
            assert 1 <= note.velocity <= 127
            last[note.pitch] = note.offset_s


def test_a_note_that_is_struck_again_ends_there():
    roll = roll_of([(0.32, 2.0, 60, 80)], 100)
    roll[0, 39, 30] = 1
    first, second = track_notes([roll], Preset())
    assert first.offset_s == pytest.approx(30 * FRAME_S) == second.onset_s
    roll[4, 39, 30] = -0.6  # a little before: the first note ends there too, or MIDI would end the second with it
    first, second = track_notes([roll], Preset())
    assert first.offset_s == pytest.approx(29.4 * FRAME_S) == second.onset_s


def test_a_note_at_the_very_end_is_closed_there():
    (note,) = track_notes([roll_of([(1.0, 9.0, 60, 80)], 50)], Preset())
    assert note.offset_s == pytest.approx(50 * FRAME_S)


def test_a_piano_is_given_as_its_keys_go_down():
    rows = [(0.01, 0.5, 60, 80), (0.64, 1.6, 62, 80)]
    plain, piano = (track_notes([roll_of(rows, 100)], p) for p in (Preset(), Preset(lead_s=0.02)))
    assert [n.onset_s for n in piano] == pytest.approx([0.0, plain[1].onset_s - 0.02])
    assert [n.offset_s for n in piano] == pytest.approx([n.offset_s - 0.02 for n in plain])


def test_what_is_short_is_dropped():
    roll = roll_of([(0.32, 0.4, 60, 80), (0.32, 1.0, 62, 80)], 60)
    assert [n.pitch for n in track_notes([roll], Preset(shortest_s=0.2))] == [62]


def test_nothing_gives_nothing():
    assert track_notes([], PRESETS["piano"]) == []
    assert track_notes([np.zeros((5, 88, 0), np.float32)], PRESETS["piano"]) == []
    assert track_notes([np.zeros((5, 88, 500), np.float32)], PRESETS["piano"]) == []


def test_more_sensitivity_never_gives_fewer_onsets():
    noise = np.random.default_rng(6).random((5, 88, 200)).astype(np.float32) ** 2
    noise[1] = 1  # all sound, so that onsets alone decide
    counts = [len(track_notes([noise], PRESETS["piano"].at(s))) for s in (0, 0.25, 0.5, 0.75, 1)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]
    assert PRESETS["piano"].at(0.5) == PRESETS["piano"]
    with pytest.raises(QueryError, match="0 to 1"):
        PRESETS["piano"].at(1.5)


def test_melody_is_one_voice_and_of_a_chord_its_highest_note():
    notes = random_notes(2, count=300)
    found = track_notes([roll_of(notes, 800)], PRESETS["melody"])
    assert 5 < len(found) < len(notes)
    assert all(a.offset_s <= b.onset_s + 1e-9 for a, b in pairwise(found))
    together = [(1.0, 2.0, 60, 80), (1.0, 2.0, 64, 80), (1.0, 2.0, 72, 80)]
    assert [n.pitch for n in track_notes([roll_of(together, 100)], PRESETS["melody"])] == [72]


@pytest.mark.parametrize("lowest", [40, 60, 90])
def test_of_one_instrument_all_is_melody_however_high_soft_or_short(lowest):
    rng = np.random.default_rng(lowest)
    pitches, velocities = rng.integers(lowest, lowest + 12, 60), rng.integers(20, 110, 60)
    line = [(0.4 * i, 0.4 * i + rng.uniform(0.1, 0.35), int(pitches[i]), int(velocities[i])) for i in range(60)]
    assert [n.pitch for n in track_notes([roll_of(line, 800)], PRESETS["melody"])] == pitches.tolist()


def test_a_melody_goes_on_after_a_rest_however_long():
    line = [(at + 0.4 * i, at + 0.4 * i + 0.3, 60 + i, 80) for at in (0.5, 12, 40) for i in range(6)]
    assert [n.pitch for n in track_notes([roll_of(line, 1400)], PRESETS["melody"])] == [n[2] for n in line]


def test_melody_is_what_is_louder_though_other_notes_are_higher():
    tune = [(0.5 * i, 0.5 * i + 0.45, 64 + i % 5, 100) for i in range(20)]
    above = [(0.5 * i, 0.5 * i + 0.4, 76 + i % 3, 40) for i in range(20)]
    below = [(i, i + 0.95, pitch, 50) for i in range(10) for pitch in (40, 47, 52)]
    found = track_notes([roll_of([*tune, *above, *below], 400)], PRESETS["melody"])
    assert [n.pitch for n in found] == [n[2] for n in tune]


def test_memory_is_that_of_what_sounds():
    tracker, tops = NoteTracker(PRESETS["piano"]), []
    piece = roll_of(random_notes(3, count=60, seconds=2), 80)
    tracker.feed(piece)
    for times in (1, 8):
        tracemalloc.start()
        for _ in range(times):
            tracker.feed(piece)
        tops.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert tops[1] < 1.5 * tops[0]


# networks


@pytest.mark.parametrize("span", [(-1, 1), (2, 1), (1, 1), (float("nan"), 1), (0, float("nan"))])
def test_a_span_that_is_none_is_refused(tmp_path, span):
    with pytest.raises(QueryError, match="span: found"):
        mirclr.transcribe(tmp_path / "song.wav", span=span)


def test_a_chord_of_sines_gives_its_notes(listener):
    found = mirclr.transcribe(sines(CHORD, 3.5), RATE, network=listener)
    assert [n.pitch for n in found] == [p for _, _, p in CHORD]
    np.testing.assert_allclose([n.onset_s for n in found], [a for a, _, _ in CHORD], atol=0.05)
    np.testing.assert_allclose([n.offset_s for n in found], [b for _, b, _ in CHORD], atol=0.1)
    assert found.seconds == pytest.approx(3.5)


@pytest.mark.parametrize("level", [1e-2, 1e-3])
def test_what_is_quiet_has_the_notes_of_what_is_loud(listener, tmp_path, level):
    x = sines([(0.5, 1.5, 60), (2.0, 3.0, 72)], 3.5)
    soundfile.write(tmp_path / "quiet.wav", level * x, RATE, subtype="PCM_24")
    rows = [(n.pitch, n.onset_s, n.offset_s) for n in mirclr.transcribe(x, RATE, network=listener)]
    assert len(rows) == 2
    for quiet in (mirclr.transcribe(tmp_path / "quiet.wav", network=listener),
                  mirclr.transcribe(level * x, RATE, network=listener)):  # fmt: skip
        np.testing.assert_allclose([(n.pitch, n.onset_s, n.offset_s) for n in quiet], rows, atol=0.04)


@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.984, 2.0, 2.016, 7.3])
def test_streamed_is_whole(listener, tmp_path, seconds):
    x = sines(CHORD, 8)[: round(seconds * RATE)]
    network = PortableTranscriber(listener)
    whole = np.concatenate(list(network.activations([x])), axis=2)
    assert whole.shape == (5, 88, 1 + len(x) // HOP)
    for cuts in ([1000, 1001], range(0, len(x), 777), [len(x)]):
        parts = np.concatenate(list(network.activations(np.split(x, list(cuts)))), axis=2)
        np.testing.assert_array_equal(parts, whole)
    longer = PortableTranscriber(write_listener(tmp_path / "longer.onnx", 512))
    np.testing.assert_allclose(np.concatenate(list(longer.activations([x])), axis=2), whole, atol=1e-5)


def test_no_sound_gives_no_frames(listener):
    assert list(PortableTranscriber(listener).activations([])) == []


def trained(network, seed=0):
    """As if it had learned: batch normalisation and zeros would hide what a test looks for."""
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Conv1d):
            module.reset_parameters()
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean, 0, 0.3)
    return network.eval()


@pytest.mark.parametrize("kind", ["notes", "song"])
def test_without_torch_a_network_gives_what_it_gives_in_torch(kind, tmp_path):
    network = trained(NoteNetwork(6, (2,)) if kind == "notes" else SongNetwork(8, 1))
    path = tmp_path / "network.onnx"
    export_transcriber(network, path, {"name": "test"}, frames=48)
    x = (0.1 * np.random.default_rng(1).standard_normal(3 * RATE)).astype(np.float32)
    portable = PortableTranscriber(path, kind)
    found = np.concatenate(list(portable.activations([x])), axis=-1)
    around = torch.from_numpy(PitchedSpectrogram()(np.pad(x, portable.reach * HOP)))[None]
    with torch.no_grad():
        out = network(around)[0]
    if kind == "notes":
        want = torch.cat([out[:4].sigmoid(), out[4:]])
    else:
        want = torch.cat([out[:7].sigmoid(), out[7:20].softmax(0), out[20:].softmax(0)])
    want = want[..., portable.reach :][..., : found.shape[-1]]
    np.testing.assert_allclose(found, want.numpy(), atol=2e-4)
    assert portable.facts["name"] == "test"
    assert b"transcriber.py" not in path.read_bytes()  # no paths of the machine that made it


@pytest.mark.parametrize("network", [NoteNetwork(6, (1, 2)), SongNetwork(8, 3)], ids=["notes", "song"])
def test_a_network_sees_as_far_as_it_says_and_no_further(network):
    trained(network)
    far = 2 * network.reach + 9
    x = torch.randn(1, 2, BANDS, far, generator=torch.Generator().manual_seed(0))
    x.requires_grad_()
    middle = far // 2
    network(x)[..., middle].sum().backward()
    seen = x.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert int(seen.min()) == middle - network.reach
    assert int(seen.max()) == middle + network.reach


def test_a_note_network_treats_all_pitches_alike():
    network = trained(NoteNetwork(6, (1,)))
    for module in network.front:
        if isinstance(module, torch.nn.BatchNorm2d):  # so that silence is nothing, as it is beyond the bands
            torch.nn.init.zeros_(module.running_mean)
    x = torch.zeros(2, 2, BANDS, 9)
    x[0, :, 130:136, 4] = 1.5
    x[1, :, 142:148, 4] = 1.5  # four semitones higher
    with torch.no_grad():
        low, high = network.features(x).numpy()
    np.testing.assert_allclose(low[:, 35:46], high[:, 39:50], atol=1e-5)
    assert np.abs(low[:, 35:46] - high[:, 35:46]).max() > 0.01


@pytest.mark.parametrize("wrong", ["missing", "text", "other", "format", "reach", "shape", "kind"])
def test_a_file_that_is_no_network_is_one_line(tmp_path, wrong, listener):
    path = tmp_path / "n.onnx"
    model = onnx.load(listener)
    facts = {"format": FORMAT, "kind": "notes", "reach": 1, "frames": FRAMES}
    if wrong == "text":
        path.write_text("no network")
    elif wrong != "missing":
        facts |= {
            "format": {"format": 99},
            "reach": {"reach": 40},
            "shape": {"frames": 65},
            "kind": {"kind": "song"},
        }.get(wrong, {})
        model.metadata_props[0].value = json.dumps(facts)
        model.metadata_props[0].key = "another" if wrong == "other" else KEY
        onnx.save(model, path)
    with pytest.raises(CheckpointError, match=r"n\.onnx"):
        PortableTranscriber(path)


# files


def _place(note):
    return round(note[0], 2), note[2]


def read_back(path):
    midi = pretty_midi.PrettyMIDI(str(path))
    return midi, sorted(((n.start, n.end, n.pitch, n.velocity) for i in midi.instruments for n in i.notes), key=_place)


def notes_of(rows, seconds=25.0, beats=None):
    made = tuple(Note(a, b, pitch, v, 0.9) for a, b, pitch, v in rows)
    return Notes(made, seconds) if beats is None else Notes(made, seconds, Outline(beats))


def waltz(first=0.7, count=40, seed=0):
    """Beats in three, not quite even."""
    steps = 0.4 * (1 + 0.1 * np.random.default_rng(seed).standard_normal(count - 1))
    at = first + np.concatenate([[0], np.cumsum(steps)])
    return np.stack([at, (np.arange(count) + 2) % 3 + 1], axis=1)


@pytest.mark.parametrize("beats", [None, waltz(), waltz(0.0), waltz(3.3)], ids=["none", "waltz", "at once", "late"])
def test_midi_is_read_back(tmp_path, beats):
    rows = random_notes(4)
    notes_of(rows, beats=beats).write_midi(tmp_path / "a.mid")
    midi, found = read_back(tmp_path / "a.mid")
    assert len(midi.instruments) == 1
    assert midi.instruments[0].program == 0
    assert [n[2:] for n in found] == [n[2:] for n in sorted(rows, key=_place)]
    np.testing.assert_allclose([n[:2] for n in found], [n[:2] for n in sorted(rows, key=_place)], atol=2e-3)


def test_midi_has_the_tempo_and_the_bars_of_the_beats(tmp_path):
    beats = waltz()
    notes_of(random_notes(4), beats=beats).write_midi(tmp_path / "a.mid")
    midi, _ = read_back(tmp_path / "a.mid")
    grid, before = beat_grid(beats)
    np.testing.assert_allclose(grid[before:], beats[:, 0])
    ticks = [midi.time_to_tick(t) / TICKS for t in beats[:, 0]]
    np.testing.assert_allclose(ticks, np.arange(before, before + len(beats)), atol=0.01)
    assert [(c.numerator, c.denominator) for c in midi.time_signature_changes][-1] == (3, 4)
    bars = beats[beats[:, 1] == 1, 0]
    np.testing.assert_allclose([min(abs(midi.get_downbeats() - t)) for t in bars], 0, atol=0.01)


def test_midi_ends_a_note_before_its_pitch_begins_again(tmp_path):
    rows = [(0.1 * i, 0.1 * i + 0.25, 60 + i % 2, 80) for i in range(20)] + [(2.5, 2.6, 60, 80), (2.5001, 2.7, 60, 80)]
    notes_of(rows).write_midi(tmp_path / "a.mid")
    sounding = set()
    for message in mido.MidiFile(tmp_path / "a.mid").tracks[1]:
        if message.type == "note_on":
            assert message.note not in sounding
            sounding.add(message.note)
        elif message.type == "note_off":
            sounding.remove(message.note)
    assert not sounding
    assert len(read_back(tmp_path / "a.mid")[1]) == 21


@pytest.mark.parametrize("first", [0.0, 0.02, 0.11, 0.13, 0.3, 1.0, 7.3])
def test_what_comes_before_the_first_beat_has_a_tempo_that_programs_take(tmp_path, first):
    notes_of(random_notes(4), beats=waltz(first)).write_midi(tmp_path / "a.mid")
    midi, found = read_back(tmp_path / "a.mid")
    assert max(midi.get_tempo_changes()[1]) < 999
    np.testing.assert_allclose(sorted(n[0] for n in found), sorted(n[0] for n in random_notes(4)), atol=2e-3)


def test_a_wav_file_of_blocks_is_as_libsndfile_has_it(tmp_path):
    x = np.random.default_rng(0).uniform(-1.2, 1.2, (5001, 2)).astype(np.float32)
    write_wav_blocks(tmp_path / "a.wav", np.array_split(x, 7), RATE, "a comment")
    soundfile.write(tmp_path / "b.wav", x.clip(-1, 1), RATE, "PCM_16")
    ours, theirs = (soundfile.read(tmp_path / name, dtype="int16") for name in ("a.wav", "b.wav"))
    np.testing.assert_allclose(ours[0], theirs[0], atol=1)  # which rounds down
    assert ours[1] == theirs[1]
    assert soundfile.SoundFile(tmp_path / "a.wav").comment == "a comment"
    write_wav_blocks(tmp_path / "none.wav", [], RATE)
    assert soundfile.read(tmp_path / "none.wav")[0].shape == (0,)


def test_tables_and_json_hold_all_notes(tmp_path):
    notes = notes_of(random_notes(7), beats=waltz())
    notes.write_csv(tmp_path / "n.csv")
    with (tmp_path / "n.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert [(float(r["onset_s"]), int(r["pitch"])) for r in rows] == [(round(n.onset_s, 3), n.pitch) for n in notes]
    plain = json.loads(json.dumps(notes.as_json()))
    assert len(plain["notes"]) == len(notes) == len(rows)
    assert [b["beat"] for b in plain["beats"]] == waltz()[:, 1].tolist()


@pytest.mark.parametrize("rows", [[], random_notes(8)], ids=["none", "many"])
def test_files_of_no_notes_are_files_too(tmp_path, rows):
    notes = notes_of(rows)
    notes.write_midi(tmp_path / "a.mid")
    notes.write_csv(tmp_path / "a.csv")
    notes.plot(tmp_path / "a.png")
    assert len(read_back(tmp_path / "a.mid")[1]) == len(rows)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


# the command


@pytest.fixture
def chord(tmp_path):
    soundfile.write(tmp_path / "chord.wav", sines(CHORD, 3.5), RATE)
    return tmp_path / "chord.wav"


def test_the_command_writes_all_that_is_asked_for(chord, listener, tmp_path, capsys):
    out = {kind: tmp_path / f"out.{kind}" for kind in ("mid", "csv", "png", "wav")}
    code, printed, _ = exits(
        capsys, "transcribe", chord, "-o", out["mid"], "--notes", out["csv"], "--picture", out["png"],
        "--sonify", out["wav"], "--network", listener,
    )  # fmt: skip
    assert code == 0
    assert "4 notes of 1 song" in printed
    assert [n[2] for n in read_back(out["mid"])[1]] == [60, 64, 67, 72]
    both, rate = soundfile.read(out["wav"])
    assert (both.shape, rate) == ((round(3.5 * RATE), 2), RATE)
    np.testing.assert_allclose(both[:, 0], sines(CHORD, 3.5), atol=1e-3)
    sounds = np.abs(both[:, 1]) > 1e-3
    assert sounds[round(0.6 * RATE) : round(1.4 * RATE)].mean() > 0.9
    assert not sounds[: round(0.4 * RATE)].any()


def test_a_file_that_is_none_ends_no_run(chord, listener, tmp_path, capsys):
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    (tmp_path / "text.mp3").write_text("no music")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), RATE)
    bad = [tmp_path / name for name in ("silent.wav", "text.mp3", "empty.wav", "gone.wav")]
    code, _, problems = exits(capsys, "transcribe", *bad, chord, "-o", tmp_path / "out", "--network", listener)
    assert code == 0
    assert problems.count("skipped") == 4
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["chord.mid"]
    code, *_ = exits(capsys, "transcribe", bad[0], "--network", listener)
    assert code == 1
    with pytest.raises(UnusableAudio):
        mirclr.transcribe(bad[0], network=listener)


def test_what_is_there_of_a_damaged_file_is_transcribed_and_that_is_said(listener, tmp_path, capsys):
    song = tmp_path / "song.flac"
    soundfile.write(song, np.concatenate([sines(CHORD, 3.5), hiss(30)]), RATE)
    assert mirclr.transcribe(song, network=listener).remark is None
    song.write_bytes(song.read_bytes()[: int(0.7 * song.stat().st_size)])
    code, _, printed = exits(capsys, "transcribe", song, "--network", listener)
    assert code == 0
    assert f"{song}: damaged near" in printed
    (row,) = json.loads(invoke(["transcribe", song, "--network", listener, "--json"]).stdout)
    assert (len(row["notes"]), "of 0:34" in row["problem"]) == (4, True)


def test_json_of_the_command(chord, listener, tmp_path):
    printed = invoke(
        ["transcribe", chord, tmp_path / "gone.wav", "-o", tmp_path, "--network", listener, "--json"]
    ).stdout
    one, gone = json.loads(printed)
    assert [n["pitch"] for n in one["notes"]] == [60, 64, 67, 72]
    assert one["midi"] == str(tmp_path / "chord.mid")
    assert gone["midi"] is None
    assert gone["problem"]


def test_songs_of_one_name_get_files_of_their_own(chord, listener, tmp_path, capsys):
    songs = [chord, tmp_path / "chord.flac", tmp_path / "b" / "chord.flac"]
    (tmp_path / "b").mkdir()
    for song, notes in zip(songs[1:], (1, 3), strict=True):
        soundfile.write(song, sines(CHORD[:notes], 3.5), RATE)
    exits(capsys, "transcribe", *songs, "-o", tmp_path / "o", "--network", listener)
    found = {f.name: len(read_back(f)[1]) for f in (tmp_path / "o").iterdir()}
    assert found == {"chord.mid": 4, "chord.flac.mid": 1, "chord.flac 2.mid": 3}


def test_a_song_of_a_name_of_before_gets_files_of_its_own(chord, listener, tmp_path, capsys):
    other, out = tmp_path / "b" / "chord.wav", tmp_path / "o"
    other.parent.mkdir()
    soundfile.write(other, sines(CHORD[:1], 3.5), RATE)
    made = ("-o", out, "--notes", out, "--plot", out, "--sonify", out, "--network", listener)
    for song in (chord, other, chord, other):  # and the same song is written anew
        assert exits(capsys, "transcribe", song, *made)[0] == 0
    kinds = ("csv", "mid", "png", "wav")
    assert sorted(f.name for f in out.iterdir()) == sorted(f"chord{more}.{k}" for k in kinds for more in ("", ".wav"))
    for name, notes in (("chord", 4), ("chord.wav", 1)):
        assert len(read_back(out / f"{name}.mid")[1]) == notes
        assert len((out / f"{name}.csv").read_text().splitlines()) == 1 + notes


def test_a_file_of_somebody_else_s_is_not_replaced(chord, listener, tmp_path, capsys):
    (tmp_path / "chord.mid").write_bytes(b"MThd of somebody else")
    code, _, printed = exits(capsys, "transcribe", chord, "--network", listener)
    assert code == 2
    assert "name it by -o" in printed
    assert (tmp_path / "chord.mid").read_bytes() == b"MThd of somebody else"
    for asked in (["-o", tmp_path / "chord.mid"], []):  # named it is; and what is from here may be made anew
        assert exits(capsys, "transcribe", chord, *asked, "--network", listener)[0] == 0
    assert len(read_back(tmp_path / "chord.mid")[1]) == 4


@pytest.mark.parametrize("option", ["--notes", "--plot", "--sonify"])
def test_what_lies_in_a_folder_is_not_replaced(chord, listener, tmp_path, capsys, option):
    """A table, a picture or a sound that is not from here; the song least of all."""
    ending = {"--notes": "csv", "--plot": "png", "--sonify": "wav"}[option]
    mine = tmp_path / f"chord.{ending}"
    if mine != chord:
        mine.write_bytes(b"my own")
    before = mine.read_bytes()
    asked = ["transcribe", chord, "-o", tmp_path / "a.mid", "--network", listener, option]
    assert exits(capsys, *asked, tmp_path)[0] == 2
    assert mine.read_bytes() == before
    for _ in range(2):  # and what is from here is made anew
        assert exits(capsys, *asked, tmp_path / "made")[0] == 0
    assert [f.name for f in (tmp_path / "made").iterdir()] == [mine.name]


def test_a_song_is_not_replaced_by_its_name_either(chord, listener, tmp_path, capsys):
    before = chord.read_bytes()
    (tmp_path / "link.wav").symlink_to(chord)
    for place in (chord, tmp_path / "link.wav"):
        code, _, printed = exits(
            capsys, "transcribe", chord, "-o", tmp_path / "a.mid", "--sonify", place, "--network", listener
        )
        assert code == 2
        assert "is what is read itself" in printed
    assert chord.read_bytes() == before


@pytest.mark.parametrize(
    ("option", "name", "endings"),
    [("-o", "a.txt", ".mid, .midi, .musicxml"), ("-o", "-", ".mid"), ("--plot", "a.jpg", ".png, .svg, .pdf"),
     ("--notes", "a.json", ".csv"), ("--sonify", "a.mp3", ".wav")],
)  # fmt: skip
def test_a_file_of_another_kind_is_not_taken_for_a_folder(chord, listener, capsys, monkeypatch, option, name, endings):
    monkeypatch.chdir(chord.parent)
    code, _, printed = exits(capsys, "transcribe", chord, option, name, "--network", listener)
    assert code == 2
    assert f"{option} {name}: expected a file that ends in {endings}" in printed
    assert [f.name for f in chord.parent.iterdir()] == ["chord.wav"]


def test_a_file_that_is_there_is_not_taken_for_a_folder(chord, listener, capsys, tmp_path):
    (tmp_path / "notes").write_text("mine")
    code, _, printed = exits(capsys, "transcribe", chord, "-o", tmp_path / "notes", "--network", listener)
    assert code == 2
    assert "expected a file that ends in .mid" in printed


@pytest.mark.parametrize("name", ["Vol. 2", "v1.5", "plain"])
def test_a_folder_may_have_a_dot_in_its_name(chord, listener, capsys, tmp_path, name):
    assert exits(capsys, "transcribe", chord, "-o", tmp_path / name, "--network", listener)[0] == 0
    assert [f.name for f in (tmp_path / name).iterdir()] == ["chord.mid"]


def test_one_file_for_several_songs_is_wrong_usage(chord, listener, capsys):
    code, _, printed = exits(
        capsys, "transcribe", chord, chord.with_name("b.wav"), "-o", "a.mid", "--network", listener
    )
    assert code == 2
    assert "folder" in printed


def test_wrong_words_in_python(chord, listener):
    with pytest.raises(QueryError, match="piano, melody, full, drums"):
        mirclr.transcribe(chord, preset="violin", network=listener)
    with pytest.raises(ValueError, match="sampling rate"):
        mirclr.transcribe(np.zeros(RATE, np.float32), network=listener)
