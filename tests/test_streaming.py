"""Sound that is made while it is sent, from any place on; peaks; what browsers play."""

import io
from itertools import pairwise

import av
import mutagen.mp3
import numpy as np
import pytest
import soundfile

from mirclr.audio.mp3 import FRAME_S, HEADER, KBPS, count_frames, frame_bytes, mp3_frames, silent_frame
from mirclr.audio.playable import browser_type
from mirclr.audio.streaming import read_peaks, sound_blocks
from mirclr.audio.transcoding import transcoded
from mirclr.errors import AudioError
from mirclr.media.peaks import fewer_peaks
from tests.tagged_files import FILES, a_file, muxed

RATE = 44100
PLAYED = {
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg; codecs=vorbis",
    ".opus": "audio/ogg; codecs=opus",
    ".oga": "audio/ogg; codecs=flac",
    ".wav": "audio/wav",
    ".aac": "audio/aac",
    ".m4a": "audio/mp4",
}
NOT_PLAYED = {"alac", "rf64"}


def steps(seconds, rate=RATE):
    """A tone whose pitch says which second it is: 400 Hz and 100 more a second."""
    second = np.arange(int(seconds * rate)) // rate
    phase = np.cumsum(2 * np.pi * (400 + 100 * second) / rate)
    return (0.5 * np.sin(phase)).astype(np.float32)


def pitches(samples, rate):
    """The pitch of each whole second, in Hz."""
    seconds = samples[: len(samples) // rate * rate].reshape(-1, rate)
    return [int(np.abs(np.fft.rfft(s * np.hanning(rate))).argmax()) for s in seconds]


def decoded(data):
    with av.open(io.BytesIO(data)) as container:
        frames = list(container.decode(audio=0))
        rate = frames[0].sample_rate
        return np.concatenate([f.to_ndarray().mean(axis=0) for f in frames]), rate


@pytest.mark.parametrize("name", list(FILES))
def test_what_browsers_play_is_known_by_content(tmp_path, name):
    path = a_file(tmp_path, name)
    odd = path.rename(path.with_suffix(".bin"))  # names say nothing
    assert browser_type(odd) == (None if name in NOT_PLAYED else PLAYED.get(path.suffix))


@pytest.mark.parametrize(
    ("suffix", "options", "expected"),
    [
        (".wav", {"subtype": "IMA_ADPCM"}, None),
        (".wav", {"subtype": "FLOAT"}, "audio/wav"),
        (".wav", {"subtype": "PCM_24"}, "audio/wav"),
        (".wav", {"subtype": "DOUBLE"}, None),
        (".w64", {}, None),
        (".au", {}, None),
        (".caf", {}, None),
    ],
)
def test_what_a_wav_file_holds_counts(tmp_path, suffix, options, expected):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, steps(2), RATE, **options)
    assert browser_type(path) == expected


@pytest.mark.parametrize(("kind", "codec"), [("webm", "libopus"), ("matroska", "libopus"), ("matroska", "pcm_s16le")])
def test_webm_is_played_and_other_matroska_is_not(tmp_path, kind, codec):
    path = tmp_path / "a"
    path.write_bytes(muxed(tmp_path / "b", kind, codec, rate=48000))
    assert browser_type(path) == ("audio/webm" if kind == "webm" else None)


def test_layers_before_the_third_are_not_played(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(muxed(tmp_path / "b", "mp2", "mp2"))
    assert browser_type(path) is None


def made(kind, path, span, start_s):
    """Sound from a place on, near to what is asked."""
    if kind == "opus":
        return b"".join(transcoded(path, kind, span=span, start_s=start_s))
    return HEADER + b"".join(mp3_frames(path, kbps=128, span=span, first=round(start_s / FRAME_S)))


@pytest.mark.parametrize("kind", ["mp3", "opus"])
@pytest.mark.parametrize(("source", "form"), [("a.wav", "wav"), ("a.m4a", "ipod"), ("a.mp3", "mp3")])
def test_sound_is_made_from_any_place_on(tmp_path, kind, source, form):
    path = tmp_path / source
    if form == "wav":
        soundfile.write(path, steps(16), RATE)
    else:
        with av.open(str(path), "w", format=form) as out:
            stream = out.add_stream({"ipod": "aac", "mp3": "libmp3lame"}[form], rate=RATE, layout="mono")
            frame = av.AudioFrame.from_ndarray(steps(16)[None], format="fltp", layout="mono")
            frame.sample_rate = RATE
            out.mux([*stream.encode(frame), *stream.encode(None)])
    for start_s, span in ((3.0, (0.0, 6.0)), (12.0, None), (1.0, (11.0, 14.0)), (0.0, (14.0, float("inf")))):
        samples, rate = decoded(made(kind, path, span, start_s))
        begin = start_s + (span[0] if span else 0)
        end = min(span[1], 16.0) if span else 16.0
        assert len(samples) / rate == pytest.approx(end - begin, abs=0.15)
        found = pitches(samples, rate)
        expected = [400 + 100 * second for second in range(round(begin), round(end))][: len(found)]
        assert np.abs(np.subtract(found, expected)).max() <= 3
        assert len(found) >= end - begin - 1


def test_pieces_come_while_it_is_decoded(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, steps(30), RATE)
    for pieces in (transcoded(path, "opus", kbps=64), mp3_frames(path, kbps=64)):
        lengths = [len(piece) for piece in pieces]
        assert len(lengths) > 10
        assert max(lengths) < sum(lengths) / 5


@pytest.mark.parametrize("rate", [44100, 48000, 8000, 96000])
@pytest.mark.parametrize("seconds", [0.5, 3.0, 4.321])
def test_the_length_of_mp3_is_known_before(tmp_path, rate, seconds):
    path = tmp_path / "a.wav"
    soundfile.write(path, steps(seconds, rate), rate)
    data = b"".join(mp3_frames(path, kbps=96))
    assert len(data) == count_frames(seconds) * frame_bytes(96)
    assert mutagen.mp3.MP3(io.BytesIO(HEADER + data)).info.bitrate == 96000


@pytest.mark.parametrize("kbps", KBPS)
def test_frames_of_mp3_are_equally_long_at_every_rate(tmp_path, kbps):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, RATE).astype(np.float32), RATE)
    data = b"".join(mp3_frames(path, kbps=kbps))
    size = frame_bytes(kbps)
    heads = {data[at : at + 3] for at in range(0, len(data), size)}
    assert heads == {silent_frame(kbps)[:3]}
    assert len(silent_frame(kbps)) == size


def test_mp3_from_any_frame_on_fits_what_is_before_it(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, steps(9), RATE)
    whole = b"".join(mp3_frames(path, kbps=128))
    size = frame_bytes(128)
    reference, _ = decoded(HEADER + whole)
    for first in (1, 2, 5, 100, count_frames(9.0) - 3):
        part = b"".join(mp3_frames(path, kbps=128, first=first))
        assert len(part) == len(whole) - first * size
        stitched, _ = decoded(HEADER + whole[: first * size] + part)
        assert np.abs(stitched - reference)[: 9 * 48000 - 2304].max() < 1e-3  # its end apart, where resamplers differ


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_channels_become_one_or_two(tmp_path, channels):
    path = tmp_path / "a.flac"
    soundfile.write(path, np.repeat(steps(2)[:, None], channels, axis=1), 48000)
    with av.open(io.BytesIO(b"".join(transcoded(path, "opus")))) as container:
        assert container.streams.audio[0].codec_context.channels == min(channels, 2)


def test_what_cannot_be_decoded_says_so(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(b"no sound at all" * 1000)
    with pytest.raises(AudioError):
        list(transcoded(path, "opus"))
    with pytest.raises(AudioError):
        list(mp3_frames(path, kbps=64))
    with pytest.raises(AudioError):
        read_peaks(path, 10)


@pytest.mark.parametrize("n", [1, 7, 100, 1000])
def test_peaks_are_the_largest_samples_of_each_part(tmp_path, n):
    rng = np.random.default_rng(n)
    samples = (rng.uniform(-1, 1, (8000 * 23, 2)) * np.linspace(0, 1, 8000 * 23)[:, None]).astype(np.float32)
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, 8000, subtype="FLOAT")
    ends = np.linspace(0, len(samples), n + 1)
    expected = [np.round(np.abs(samples[int(np.ceil(a)) : int(np.ceil(b))]).max() * 255) for a, b in pairwise(ends)]
    assert np.abs(np.subtract(list(read_peaks(path, n)), expected)).max() <= 1


def test_peaks_of_a_part_are_of_it_alone(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.repeat([0.0, 0.25, 0.5, 1.0], 2 * RATE), RATE, subtype="FLOAT")
    assert list(read_peaks(path, 2, (2.0, 6.0))) == [64, 128]


def test_fewer_peaks_and_more():
    assert list(fewer_peaks(bytes([1, 5, 2, 9]), 2)) == [5, 9]
    assert list(fewer_peaks(bytes([1, 5, 2, 9]), 3)) == [5, 5, 9]
    assert list(fewer_peaks(bytes([1, 5]), 4)) == [1, 1, 5, 5]


def test_blocks_say_how_long_all_is(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, steps(5), RATE)
    blocks = list(sound_blocks(path, start_s=4.0, block_s=0.25))
    assert {(rate, seconds) for _, rate, seconds in blocks} == {(RATE, 5.0)}
    assert sum(len(samples) for samples, _, _ in blocks) == RATE
