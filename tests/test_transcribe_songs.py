"""`transcribe` with beats and drums, by a network whose weights are known; what people complain of in such tools."""

import json
import subprocess
import sys
import tracemalloc

import mido
import numpy as np
import pytest
import soundfile
from onnx import helper

import mirclr
from mirclr.audio.key import KEYS
from mirclr.audio.pitched import RATE
from mirclr.ingest.description import describe_file
from mirclr.library import CHORDS
from mirclr.models.portable_transcriber import INPUT, OUTPUT, PortableTranscriber
from mirclr.transcription import DRUM_PITCHES, SongReader, read_song
from tests.commands import exits, invoke
from tests.made_up_networks import WHOLE, constant, write_network

LEVEL = 0.8
FRAMES = 96


def write_click_listener(path):
    """A network that says of every frame of 29 rows how surely its loudest band is above `LEVEL`: a click is all."""
    constants = [
        constant("at", [0, 1, 0, 0], WHOLE), constant("to", [99, 2, 999, 9999], WHOLE), constant("level", LEVEL),
        constant("steep", 8.0), constant("bands", [1, 2], WHOLE), constant("rows", [1, 29, 1], WHOLE),
        constant("one", [1], WHOLE),
    ]  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Slice", [INPUT, "at", "to"], ["short"]), node("ReduceMax", ["short", "bands"], ["loud"], keepdims=0),
        node("Sub", ["loud", "level"], ["above"]), node("Mul", ["above", "steep"], ["logit"]),
        node("Sigmoid", ["logit"], ["p"]), node("Unsqueeze", ["p", "one"], ["row"]),
        node("Tile", ["row", "rows"], [OUTPUT]),
    ]  # fmt: skip
    return write_network(path, "song", nodes, constants, [29], FRAMES)


@pytest.fixture(scope="module")
def click_listener(tmp_path_factory):
    return write_click_listener(tmp_path_factory.mktemp("network") / "clicks.onnx")


def clicks(bpm=120.0, seconds=20.0, first=0.5):
    x = np.zeros(round(seconds * RATE), np.float32)
    burst = (0.5 * np.random.default_rng(0).standard_normal(200) * np.exp(-np.arange(200) / 40)).astype(np.float32)
    for at in np.arange(first, seconds - 0.1, 60 / bpm):
        x[round(at * RATE) : round(at * RATE) + 200] += burst
    return x


def tones(seconds):
    """A chord of D major, after twenty seconds of one of Ab major."""
    t = np.arange(round(seconds * RATE)) / RATE
    notes = np.where(t < 20, 44, 50)[:, None] + np.array([0, 4, 7, 12, 16, 19, 24])
    return (0.02 * np.sin(2 * np.pi * 440 * 2 ** ((notes - 69) / 12) * t[:, None]).sum(axis=1)).astype(np.float32)


@pytest.fixture
def song(tmp_path):
    soundfile.write(tmp_path / "song.wav", clicks(), RATE)
    return tmp_path / "song.wav"


def test_drums_of_a_song(song, click_listener):
    found = mirclr.transcribe(song, preset="drums", network=click_listener)
    assert found.drums
    times = np.arange(0.5, 19.9, 0.5)
    for pitch in DRUM_PITCHES:
        np.testing.assert_allclose([n.onset_s for n in found if n.pitch == pitch], times, atol=0.03)
    assert found.tempo_bpm == pytest.approx(120, rel=0.01)
    np.testing.assert_allclose(found.beats[:, 0], times, atol=0.03)


@pytest.mark.parametrize("cuts", [[], [1, 2, 70_000], range(5000, 320_000, 5000)])
def test_a_song_that_comes_in_blocks_is_the_whole(click_listener, cuts):
    network, x = PortableTranscriber(click_listener), clicks(97.0, 70.0) + tones(70.0)
    outlines, fits = [], []
    for blocks in ([x], np.split(x, list(cuts))):
        reader = SongReader(network, pitches=True)
        for block in blocks:
            reader.feed(block)
        reader.finish()
        outlines.append(reader.outline())
        fits.append(reader.pitch_fits())
    np.testing.assert_array_equal(outlines[0].beats, outlines[1].beats)
    np.testing.assert_array_equal(outlines[0].chords, outlines[1].chords)
    np.testing.assert_array_equal(fits[0], fits[1])
    assert KEYS[int(fits[0].argmax())] == "D"  # most of it is, though its first twenty seconds are in Ab


def test_the_command_writes_drums(song, click_listener, tmp_path, capsys):
    out = tmp_path / "out.mid"
    code, printed, _ = exits(
        capsys, "transcribe", song, "-o", out, "--preset", "drums", "--network", click_listener,
        "--sonify", tmp_path / "check.wav", "--plot", tmp_path / "roll.png",
    )  # fmt: skip
    assert code == 0
    assert "120 bpm" in printed
    midi = mido.MidiFile(out)
    assert {m.channel for track in midi.tracks for m in track if m.type == "note_on"} == {9}
    tempi = [m.tempo for m in midi.tracks[0] if m.type == "set_tempo"]
    assert np.median(tempi) == pytest.approx(500_000, rel=0.02)
    both, _ = soundfile.read(tmp_path / "check.wav")
    sounding = np.abs(both[:, 1]) > 1e-3
    assert sounding[round(1.0 * RATE) : round(1.02 * RATE)].mean() > 0.5  # a hit and a click
    assert not sounding[: round(0.4 * RATE)].any()


def test_json_has_beats_chords_and_keys(song, click_listener, tmp_path):
    printed = invoke(
        ["transcribe", song, "-o", tmp_path, "--preset", "drums", "--network", click_listener, "--json"]
    ).stdout
    (one,) = json.loads(printed)
    assert one["tempo_bpm"] == pytest.approx(120, rel=0.01)
    assert [b["second"] for b in one["beats"]][:2] == pytest.approx([0.5, 1.0], abs=0.03)
    assert {c["chord"] for c in one["chords"]} <= set(CHORDS)
    assert one["chords"][0]["begin_s"] == 0
    assert isinstance(one["keys"], list)


def test_an_outline_of_what_is_there_of_a_damaged_file(click_listener, tmp_path):
    soundfile.write(tmp_path / "a.flac", clicks(seconds=60.0), RATE)
    whole = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(whole[: len(whole) // 2])
    found = read_song(tmp_path / "a.flac", PortableTranscriber(click_listener)).outline()
    assert 10 < found.beats[-1, 0] < 40


def test_music_without_a_beat_has_no_tempo(tmp_path):
    """A tone that neither begins nor changes, noise, and speech-like bursts at random."""
    rng = np.random.default_rng(0)
    t = np.arange(12 * RATE) / RATE
    sounds = {"tone": 0.3 * np.sin(2 * np.pi * 220 * t), "noise": 0.1 * rng.standard_normal(len(t))}
    for name, x in sounds.items():
        soundfile.write(tmp_path / f"{name}.wav", x, RATE)
        assert describe_file(tmp_path / f"{name}.wav").tempo_bpm is None, name


# what people complain of


def test_no_pitch_bends_and_one_track(song, click_listener, tmp_path):
    for preset in ("piano", "melody", "full"):
        mirclr.transcribe(clicks(), RATE, preset=preset, network=click_listener).write_midi(tmp_path / "a.mid")
        messages = [m for track in mido.MidiFile(tmp_path / "a.mid").tracks for m in track]
        assert "pitchwheel" not in {m.type for m in messages}
        assert len({m.channel for m in messages if not m.is_meta}) == 1


def test_a_song_without_notes_is_said_and_written(tmp_path, capsys):
    soundfile.write(tmp_path / "hum.wav", 2e-4 * np.random.default_rng(0).standard_normal(3 * RATE), RATE)
    code, printed, _ = exits(capsys, "transcribe", tmp_path / "hum.wav")
    assert code == 0
    assert "no notes of 1 song" in printed
    assert (tmp_path / "hum.mid").exists()


def test_neither_torch_nor_tensorflow_is_needed(song):
    code = (
        "import sys, mirclr; mirclr.transcribe(sys.argv[1]); "
        "print(sorted({'torch', 'tensorflow', 'librosa', 'keras'} & sys.modules.keys()))"
    )
    printed = subprocess.run([sys.executable, "-c", code, str(song)], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"


def test_memory_does_not_grow_with_the_song(click_listener):
    """Two kilobytes a second are kept beyond the first minutes, of an hour 7 MB; its samples alone would be 230."""
    network, block = PortableTranscriber(click_listener), clicks(seconds=10.0)
    tops = []
    for count in (10, 19):
        tracemalloc.start()
        reader = SongReader(network)
        for _ in range(count):
            reader.feed(block)
        reader.finish()
        tops.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert tops[1] - tops[0] < 90 * 2500
