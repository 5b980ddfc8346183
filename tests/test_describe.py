"""Tempo, key and loudness: on sounds that have them beyond doubt, and on real files."""

import json
import shutil
import warnings

import numpy as np
import pytest
import soundfile
import soxr

from mirclr.audio import Section, read_sections
from mirclr.audio.key import KEYS, find_key, pitch_strengths
from mirclr.audio.loudness import find_loudness
from mirclr.audio.spectra import RATE
from mirclr.audio.tempo import find_tempo
from mirclr.errors import UnusableAudio
from mirclr.ingest.description import describe_file, try_describe
from mirclr.library import Description, Entry, LibraryStore
from mirclr.models.stamp import EncoderStamp
from mirclr.tags import Tags
from tests.commands import invoke

pytestmark = pytest.mark.usefixtures("in_this_process")


def clicks(bpm, seconds=20):
    x = np.zeros(seconds * RATE, np.float32)
    burst = np.exp(-np.arange(400) / 50) * np.random.default_rng(0).normal(size=400) * 0.3
    for start in np.arange(0, len(x) - 400, 60 / bpm * RATE).astype(int):
        x[start : start + 400] += burst.astype(np.float32)
    return x


def chords(tonic, minor, seconds=8):
    """Tonic, subdominant, dominant and tonic again, each note with a few overtones."""
    third = 3 if minor else 4
    t = np.arange(seconds * RATE // 4) / RATE
    parts = []
    for root in (0, 5, 7, 0):
        high = 4 if root == 7 else third  # the dominant is major in minor keys too
        notes = [tonic + root + step for step in (0, high, 7, 12)]
        tones = [np.sin(2 * np.pi * 261.63 * 2 ** (n / 12) * k * t) / k**2 for n in notes for k in (1, 2, 3)]
        parts.append(np.sum(tones, axis=0))
    x = np.concatenate(parts)
    return (0.2 * x / np.abs(x).max()).astype(np.float32)


@pytest.mark.parametrize("bpm", [92, 101.3, 118, 120, 126, 128, 136.5, 150])
def test_clicks_have_their_tempo(bpm):
    assert find_tempo([clicks(bpm)]) == pytest.approx(bpm, abs=0.3)
    assert find_tempo([clicks(bpm, 15), clicks(bpm, 15)]) == pytest.approx(bpm, abs=0.3)


def test_a_tempo_that_drifts_is_one_that_occurs():
    beats = np.cumsum(np.linspace(60 / 118, 60 / 124, 60))
    x = np.zeros(round((beats[-1] + 1) * RATE), np.float32)
    burst = np.exp(-np.arange(800) / 100) * np.random.default_rng(0).normal(size=800) * 0.3
    for start in (beats * RATE).astype(int):
        x[start : start + 800] += burst.astype(np.float32)
    assert 117 < find_tempo([x]) < 125


@pytest.mark.parametrize(
    ("tonic", "minor", "key"), [(0, False, "C"), (9, True, "Am"), (6, False, "F#"), (3, True, "Ebm")]
)
def test_a_cadence_is_in_its_key(tonic, minor, key):
    found, strength = find_key([chords(tonic, minor)])
    assert found == key
    assert 0.6 < strength <= 1
    assert len(set(KEYS)) == 24


def test_loudness_is_the_standard_s(tmp_path):
    """A 997 Hz sine at 0 dBFS in one channel of two is at -3.01 LUFS (BS.1770-4, note to table 1)."""
    sine = np.sin(2 * np.pi * 997 * np.arange(10 * 48000) / 48000).astype(np.float32)
    stereo = np.stack([sine, 0 * sine], axis=1)
    assert find_loudness([Section(stereo, 48000, tmp_path)]) == pytest.approx(-3.0, abs=0.11)
    assert find_loudness([Section(stereo * 0.1, 48000, tmp_path)] * 2) == pytest.approx(-23.0, abs=0.11)
    assert find_loudness([Section(stereo * 0, 48000, tmp_path)]) is None
    assert find_loudness([Section(stereo[:100], 48000, tmp_path)]) is None
    loud_then_quiet = [Section(stereo, 48000, tmp_path), Section(stereo * 0.01, 48000, tmp_path)]
    assert find_loudness(loud_then_quiet) == pytest.approx(-3.0, abs=0.11)  # what is far quieter does not count


@pytest.mark.parametrize("rate", [22050, 44100, 48000, 96000])
def test_loudness_of_music_is_that_of_filtered_samples(songs, tmp_path, rate):
    """Against pyloudnorm where its filters are the standard's, at 48 kHz."""
    import pyloudnorm

    song = read_sections(songs[0], count=1, seconds=20.0)[0]
    samples = soxr.resample(song.samples, song.rate, 48000)
    expected = pyloudnorm.Meter(48000).integrated_loudness(samples.astype(np.float64))
    found = find_loudness([Section(soxr.resample(samples, 48000, rate), rate, tmp_path)])
    assert found == pytest.approx(expected, abs=0.2)


def test_a_channel_for_effects_does_not_count(tmp_path):
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(48000, 6)).astype(np.float32) * [[0.1, 0.1, 0, 0, 0, 0]]
    louder = samples + np.eye(6)[3] * rng.normal(size=(48000, 1))
    assert find_loudness([Section(louder, 48000, tmp_path)]) == find_loudness([Section(samples, 48000, tmp_path)])


def test_a_tuning_that_is_off_leaves_the_pitches_where_they_are():
    def strongest(cents):
        tone = sum(np.sin(2 * np.pi * 440 * 2 ** (cents / 1200) * k * np.arange(4 * RATE) / RATE) / k for k in (1, 2))
        return int(pitch_strengths([tone.astype(np.float32)]).argmax())

    assert {strongest(cents) for cents in (-40, -20, 0, 20, 40)} == {9}  # A


def test_nothing_to_find_is_none():
    noise_floor = np.zeros(5 * RATE, np.float32)
    assert find_tempo([noise_floor]) is None
    assert find_key([noise_floor])[0] is None


@pytest.mark.parametrize("seconds", [15, 30])
def test_what_begins_once_has_no_tempo(seconds):
    once = np.zeros(seconds * RATE, np.float32)
    once[5 * RATE] = 1
    assert find_tempo([once]) is None
    assert find_tempo([np.ones(seconds * RATE, np.float32)]) is None


def test_of_less_than_two_seconds_no_tempo_is_told():
    short, whole = clicks(120, 30)[: int(1.5 * RATE)], clicks(120, 15)
    assert find_tempo([short]) is None
    assert find_tempo([whole, short]) == find_tempo([whole])


def test_stretches_are_read_with_all_channels(tmp_path):
    x = np.repeat(np.linspace(0, 1, 4 * 8000)[:, None], 2, axis=1) * [1, -0.5]
    soundfile.write(tmp_path / "a.wav", x, 8000)
    (section,) = read_sections(tmp_path / "a.wav", count=1, seconds=2.0)
    assert section.samples.shape == (16000, 2)
    np.testing.assert_allclose(section.samples, x[8000:24000], atol=1e-3)
    first, second = read_sections(tmp_path / "a.wav", count=2, seconds=1.0)
    np.testing.assert_allclose(first.samples, x[6000:14000], atol=1e-3)
    np.testing.assert_allclose(second.samples, x[18000:26000], atol=1e-3)
    (whole,) = read_sections(tmp_path / "a.wav", count=2, seconds=3.0)
    assert len(whole.samples) == len(x)
    soundfile.write(tmp_path / "quiet.wav", x * 0, 8000)
    with pytest.raises(UnusableAudio, match=r"quiet\.wav: silent"):
        read_sections(tmp_path / "quiet.wav", count=2, seconds=1.0)


def test_a_song_with_a_silent_middle_is_described_by_what_sounds(songs, tmp_path):
    song, rate = soundfile.read(songs[0], dtype="float32")
    song = np.tile(song, 8)
    song[8 * rate : 56 * rate] = 0
    soundfile.write(tmp_path / "a.flac", song, rate)
    sections = read_sections(tmp_path / "a.flac", count=2, seconds=8.0)
    assert all(np.abs(section.samples).max() > 0.01 for section in sections)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mirclr.ingest.description._SECONDS", 8.0)
        found = describe_file(tmp_path / "a.flac")
    assert found.key in KEYS
    assert found.loudness_lufs > -40


@pytest.mark.parametrize("seconds", [0.6, 1.0, 3.0])
@pytest.mark.parametrize("kind", ["click", "tone", "noise", "constant"])
def test_what_is_short_or_has_no_tones_gives_no_warning(tmp_path, seconds, kind):
    n = round(seconds * 22050)
    x = {
        "click": np.eye(1, n, n // 2)[0],
        "tone": np.sin(np.arange(n) * 0.1),
        "noise": np.random.default_rng(0).uniform(-1, 1, n),
        "constant": np.ones(n),
    }[kind]
    soundfile.write(tmp_path / "a.wav", 0.5 * x, 22050)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        describe_file(tmp_path / "a.wav")


def test_a_real_song_is_described_and_a_bad_file_named(songs, tmp_path):
    found = describe_file(songs[0])
    assert 40 < found.tempo_bpm < 250
    assert found.key in KEYS
    assert -40 < found.loudness_lufs < 0
    (tmp_path / "bad.ogg").write_bytes(b"no")
    assert "bad.ogg" in try_describe(tmp_path / "bad.ogg")


def test_from_the_command_line(songs, tmp_path, in_this_process):
    shutil.copy(songs[0], tmp_path / "a.ogg")
    (tmp_path / "bad.ogg").write_bytes(b"no")
    with LibraryStore.open(tmp_path / "l.db", create=True) as library:
        library.bind(EncoderStamp("d" * 32, "e", 2, 1, {}))
        for name in ("a.ogg", "bad.ogg"):
            library.write(entries=[Entry(str(tmp_path), name, 1, 1, name, name, 8.0, Tags(), np.ones(2))])
    arguments = ["describe", "--library", str(tmp_path / "l.db"), "--json"]
    first = json.loads(invoke(arguments).stdout)
    assert [d["file"] for d in first["described"]] == [str(tmp_path / "a.ogg")]
    assert "bad.ogg" in first["problems"][0]
    again = json.loads(invoke([*arguments[:-1], "--json"]).stdout)
    assert (again["described"], again["known"]) == ([], 1)
    rows = json.loads(invoke(["library", "list", "--library", arguments[2], "--json"]).stdout)
    assert rows[0]["key"] == first["described"][0]["key"]
    export = ["export", "--library", arguments[2], "--csv", str(tmp_path / "t.csv")]
    assert invoke(export).exit_code == 0
    assert "tempo_bpm" in (tmp_path / "t.csv").read_text().splitlines()[0]


def test_new_audio_forgets_its_description(tmp_path):
    with LibraryStore.open(tmp_path / "l.db", create=True) as library:
        library.bind(EncoderStamp("d" * 32, "e", 2, 1, {}))
        entry = Entry("/music", "a.ogg", 1, 1, "f", "a", 8.0, Tags(), np.ones(2))
        library.write(entries=[entry])
        library.store_descriptions({1: Description(120.0, "Am", 0.8, -9.0), 7: Description(None, None, 0.0, None)})
        assert library.descriptions() == {1: Description(120.0, "Am", 0.8, -9.0)}
        library.write(entries=[entry])
        assert library.descriptions() == {}
