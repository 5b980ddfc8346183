"""Containers and codecs beyond libsndfile's, and files that are not quite whole; the oracle is what was encoded."""

import io
import random
import re
import socket
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from mirclr.audio import decode_blocks, read_excerpts, read_sections, try_excerpts
from mirclr.audio.content import DEMUXERS, look
from mirclr.audio.ffmpeg import open_container, reason
from mirclr.errors import AudioError, UnreadableAudio, UnusableAudio

RATE = 16000
SECONDS = 12


def chirps(rate: int, seconds: float = SECONDS, channels: int = 2) -> np.ndarray:
    """(n, channels) float32: a tone that glides once through 100 to 700 Hz, so that every place is unlike any other."""
    t = np.arange(int(rate * seconds)) / rate
    phase = 2 * np.pi * (100 * t + 300 * t**2 / seconds)
    envelope = 0.2 + 0.15 * np.sin(2 * np.pi * 1.7 * t) * np.sin(2 * np.pi * 0.13 * t)
    x = envelope * np.sin(phase)
    return np.stack([x * (1 - 0.1 * c) for c in range(channels)], axis=1).astype(np.float32)


def encode(
    path: Path,
    codec: str,
    rate: int = 44100,
    *,
    layout: str = "stereo",
    format: str | None = None,
    sample_format: str | None = None,
    options: dict[str, str] | None = None,
    bit_rate: int | None = None,
) -> Path:
    """`chirps` in a codec and container."""
    channels = len(av.AudioLayout(layout).channels)
    x = chirps(rate, SECONDS, channels)
    with av.open(str(path), "w", format=format, options=options or {}) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout, options={"strict": "experimental"})
        if sample_format:
            stream.codec_context.format = sample_format
        if bit_rate:
            stream.bit_rate = bit_rate
        to = av.AudioResampler(
            stream.codec_context.format, layout, rate, frame_size=stream.codec_context.frame_size or 0
        )
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(x.T), "fltp", layout)
        frame.sample_rate, frame.pts = rate, 0
        for part in [*to.resample(frame), *to.resample(None), None]:
            out.mux(stream.encode(part))
    return path


CODECS = {
    "opus.opus": ("libopus", 48000, {}),
    "opus.webm": ("libopus", 48000, {}),
    "opus.mka": ("libopus", 48000, {}),
    "vorbis.mka": ("vorbis", 44100, {}),
    "aac.m4a": ("aac", 44100, {}),
    "aac.m4b": ("aac", 44100, {"format": "mp4"}),
    "aac.aac": ("aac", 44100, {"format": "adts"}),
    "aac.mka": ("aac", 44100, {}),
    "aac.3gp": ("aac", 44100, {"format": "3gp"}),
    "fragmented.m4a": ("aac", 44100, {"options": {"movflags": "frag_keyframe+empty_moov", "frag_duration": "1000000"}}),
    "alac.m4a": ("alac", 44100, {}),
    "alac24.caf": ("alac", 44100, {"sample_format": "s32p"}),
    "pcm.mov": ("pcm_s24le", 44100, {}),
    "pcm.w64": ("pcm_s16le", 44100, {}),
    "float.wav": ("pcm_f64le", 44100, {}),
    "law.wav": ("pcm_alaw", 44100, {}),
    "adpcm.wav": ("adpcm_ima_wav", 44100, {}),
    "ms.wav": ("adpcm_ms", 44100, {}),
    "mp3.wav": ("libmp3lame", 44100, {}),
    "wma.wma": ("wmav2", 44100, {"bit_rate": 128_000}),
    "wavpack.wv": ("wavpack", 44100, {}),
    "tta.tta": ("tta", 44100, {}),
    "ac3.ac3": ("ac3", 48000, {}),
    "eac3.eac3": ("eac3", 48000, {}),
    "mp2.mp2": ("mp2", 44100, {}),
    "mp3.mp3": ("libmp3lame", 44100, {}),
    "mp3 without header.mp3": ("libmp3lame", 44100, {"options": {"write_xing": "0"}}),
    "flac.flac": ("flac", 44100, {}),
    "flac.oga": ("flac", 44100, {"format": "ogg"}),
    "flac.mka": ("flac", 44100, {}),
    "low.mp3": ("libmp3lame", 22050, {"options": {"write_xing": "0"}}),
    "surround.m4a": ("aac", 48000, {"layout": "5.1"}),
    "surround.ac3": ("ac3", 48000, {"layout": "5.1"}),
    "surround.opus": ("libopus", 48000, {"layout": "5.1"}),
}  # fmt: skip


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-12))


def likeness(waveform: np.ndarray, whole: np.ndarray, start_s: float, most: int = 0) -> float:
    """Cosine of an excerpt with what is at its place in the whole, or up to `most` samples from there."""
    places = start_s * RATE + np.arange(len(waveform))[50:-50]
    waveform, known = waveform[50:-50], np.arange(len(whole))
    return max(cosine(waveform, np.interp(places + d, known, whole)) for d in range(-most, most + 1))


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of `CODECS`, each made when it is first asked for."""

    class Made(dict[str, Path]):
        def __missing__(self, name: str) -> Path:
            codec, rate, how = CODECS[name]
            self[name] = encode(folder / name, codec, rate, **how)
            return self[name]

    folder = tmp_path_factory.mktemp("coded")
    return Made()


def whole(path: Path) -> np.ndarray:
    return np.concatenate(list(decode_blocks(path, rate=RATE)))


@pytest.mark.parametrize("name", CODECS)
def test_a_seek_comes_where_decoding_from_the_start_comes(coded: dict[str, Path], name: str) -> None:
    decoded = whole(coded[name])
    got = read_excerpts(coded[name], count=7, seconds=1.5, rate=RATE)
    assert got.remark is None
    assert got.duration_s == pytest.approx(SECONDS, abs=0.12)
    assert len(decoded) / RATE == pytest.approx(got.duration_s, abs=0.08)
    assert len(got.waveforms) == 7
    most = 16 if name.endswith((".mka", ".webm", ".wma")) else 0  # their clocks tick in milliseconds
    for start, waveform in zip(got.starts, got.waveforms, strict=True):
        assert likeness(waveform, decoded, start, most) > 0.99
    original, waveform = chirps(48000, SECONDS, 1)[::3, 0], got.waveforms[3][::8]
    at, n = round(got.starts[3] * RATE), len(got.waveforms[3])
    near = [original[at + d : at + d + n : 8] for d in range(-1200, 1201)]  # 75 ms of a codec's delay at most
    assert max(cosine(waveform, there) for there in near) > 0.97


@pytest.mark.parametrize("name", ["opus.opus", "aac.m4a", "mp3.mp3", "flac.flac", "wavpack.wv", "wma.wma"])
@pytest.mark.parametrize("other", ["without suffix", "a.wav", "a.mp3", "a.txt"])
def test_content_and_not_the_name_decides(coded: dict[str, Path], tmp_path: Path, name: str, other: str) -> None:
    (tmp_path / other).write_bytes(coded[name].read_bytes())
    got = read_excerpts(tmp_path / other, count=3, seconds=1.0, rate=RATE)
    assert got.digest == read_excerpts(coded[name], count=3, seconds=1.0, rate=RATE).digest


@pytest.mark.parametrize("rate", [352_800, 384_000])
def test_high_rates(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", chirps(rate, 2.0), rate)
    assert read_excerpts(tmp_path / "a.wav", count=1, seconds=1.0, rate=RATE).duration_s == 2.0


# lengths that no header states


def as_bytes(coded: dict[str, Path], name: str) -> bytes:
    return coded[name].read_bytes()


def vbr_without_header(path: Path) -> Path:
    """Two seconds of silence and then noise at a variable rate: the first frame foretells nothing."""
    rate = 44100
    x = np.concatenate([np.zeros((2 * rate, 2), np.float32), chirps(rate)])
    with io.BytesIO() as f:
        soundfile.write(f, x, rate, format="MP3", bitrate_mode="VARIABLE", compression_level=0.2)
        data = f.getvalue()
    place = max(data.find(b"Xing"), data.find(b"Info"))
    path.write_bytes(data if place < 0 else data[:place] + bytes(120) + data[place + 120 :])
    return path


def test_mp3_of_variable_rate_without_a_header(tmp_path: Path) -> None:
    got = read_excerpts(vbr_without_header(tmp_path / "a.mp3"), count=5, seconds=1.0, rate=RATE)
    assert got.duration_s == pytest.approx(SECONDS + 2, abs=0.15)
    assert len(got.waveforms) == 5


@pytest.mark.parametrize("share", [0.05, 0.5, 0.0, 2.0, 1000.0])
def test_a_wrong_count_of_frames_in_mp3_is_no_fact(coded: dict[str, Path], tmp_path: Path, share: float) -> None:
    """Neither is the rest left out, nor is a file truncated of which all bytes are there."""
    data = bytearray(as_bytes(coded, "mp3.mp3"))
    place = max(data.find(b"Xing"), data.find(b"Info"))
    frames = int.from_bytes(data[place + 8 : place + 12], "big")
    data[place + 8 : place + 12] = round(share * frames).to_bytes(4, "big")
    (tmp_path / "a.mp3").write_bytes(data)
    got = read_excerpts(tmp_path / "a.mp3", count=5, seconds=1.0, rate=RATE)
    assert got.duration_s == pytest.approx(SECONDS, abs=0.15)
    assert got.remark is None
    assert len(got.waveforms) == 5


@pytest.mark.parametrize("name", ["flac.flac", "opus.opus"])
def test_a_stream_that_begins_behind_something_else(coded: dict[str, Path], tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"HTTP/1.1 200 OK\r\n" * 300 + as_bytes(coded, name))
    got = read_excerpts(tmp_path / name, count=5, seconds=1.0, rate=RATE)
    assert got.duration_s == pytest.approx(SECONDS, abs=0.1)
    assert len(got.waveforms) == 5
    assert got.remark is None


@pytest.mark.parametrize(
    "junk", [b"\0" * 60_000, b"LYRICSBEGIN" + b"la " * 9000, bytes(range(256)) * 100, b"\xff" * 30_000]
)
@pytest.mark.parametrize("name", ["mp3.mp3", "mp3 without header.mp3", "flac.flac", "aac.aac", "opus.opus", "ac3.ac3"])
def test_what_follows_the_last_frame_is_not_music(
    coded: dict[str, Path], tmp_path: Path, name: str, junk: bytes
) -> None:
    (tmp_path / name).write_bytes(as_bytes(coded, name) + junk)
    got = read_excerpts(tmp_path / name, count=5, seconds=1.0, rate=RATE)
    assert got.duration_s == pytest.approx(SECONDS, abs=0.2)
    assert len(got.waveforms) == 5


@pytest.mark.parametrize("junk", [b"\0" * 5000, random.Random(1).randbytes(3000), b"HTTP/1.1 200 OK\r\n\r\n"])
def test_what_precedes_the_first_frame_is_not_music(coded: dict[str, Path], tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "a.mp3").write_bytes(junk + as_bytes(coded, "mp3.mp3"))
    assert read_excerpts(tmp_path / "a.mp3", count=5, seconds=1.0, rate=RATE).duration_s == pytest.approx(12, abs=0.2)


def without_total(data: bytes) -> bytes:
    """A FLAC stream whose header does not say how many samples there are, as encoders write it to a pipe."""
    return data[:21] + bytes([data[21] & 0xF0]) + bytes(4) + data[26:]


def test_flac_as_it_is_written_to_a_pipe(coded: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(without_total(as_bytes(coded, "flac.flac")))
    got = read_excerpts(tmp_path / "a.flac", count=5, seconds=1.0, rate=RATE)
    assert got.duration_s == pytest.approx(SECONDS, abs=0.01)
    known = read_excerpts(coded["flac.flac"], count=5, seconds=1.0, rate=RATE)
    assert cosine(got.waveforms.ravel(), known.waveforms.ravel()) > 0.9999


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("stated", [0, 1000, 2**31, 0xFFFFFFFF])
def test_a_wav_whose_header_is_wrong_about_its_size(tmp_path: Path, stated: int, large: bool) -> None:
    soundfile.write(tmp_path / "a.wav", chirps(44100), 44100, format="RF64" if large else "WAV")
    data = bytearray((tmp_path / "a.wav").read_bytes())
    if large:
        place = data.index(b"ds64") + 16
        data[place : place + 8] = stated.to_bytes(8, "little")
    place = data.index(b"data") + 4
    data[place : place + 4] = (0xFFFFFFFF if large else stated).to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    got = read_excerpts(tmp_path / "a.wav", count=5, seconds=1.0, rate=RATE)
    assert got.duration_s == pytest.approx(SECONDS, abs=0.01)
    assert len(whole(tmp_path / "a.wav")) == pytest.approx(SECONDS * RATE, abs=200)


@pytest.mark.parametrize(
    "links",
    [
        [("libopus", 48000, "stereo"), ("libopus", 48000, "mono")],
        [("vorbis", 44100, "stereo"), ("vorbis", 22050, "stereo"), ("vorbis", 44100, "stereo")],
        [("flac", 44100, "stereo"), ("libopus", 48000, "stereo")],
    ],
)
def test_a_chain_of_ogg_streams_is_as_long_as_its_links(tmp_path: Path, links: list[tuple[str, int, str]]) -> None:
    data = b""
    for codec, rate, layout in links:
        data += encode(tmp_path / "link", codec, rate, layout=layout, format="ogg").read_bytes()
    (tmp_path / "chain.ogg").write_bytes(data)
    got = read_excerpts(tmp_path / "chain.ogg", count=12, seconds=1.0, rate=RATE)
    assert got.duration_s == pytest.approx(len(links) * SECONDS, abs=0.2)
    decoded = whole(tmp_path / "chain.ogg")
    assert len(decoded) / RATE == pytest.approx(got.duration_s, abs=0.1)
    for start, waveform in zip(got.starts, got.waveforms, strict=True):
        assert likeness(waveform, decoded, start) > 0.99


# bad spots


@pytest.mark.parametrize(
    "name", ["flac.flac", "mp3.mp3", "opus.opus", "aac.m4a", "alac.m4a", "wma.wma", "wavpack.wv", "flac.oga"]
)
@pytest.mark.parametrize("damage", ["byte", "zeros", "noise"])
def test_one_bad_spot_does_not_end_a_file(coded: dict[str, Path], tmp_path: Path, name: str, damage: str) -> None:
    data = bytearray(as_bytes(coded, name))
    middle = len(data) // 2
    length = 1 if damage == "byte" else 1500
    data[middle : middle + length] = {
        "byte": bytes([data[middle] ^ 0xFF]),
        "zeros": bytes(1500),
        "noise": random.Random(3).randbytes(1500),
    }[damage]
    (tmp_path / name).write_bytes(data)
    got = read_excerpts(tmp_path / name, count=9, seconds=1.0, rate=RATE)
    assert len(got.waveforms) >= 5
    assert got.duration_s == pytest.approx(SECONDS, abs=2.5)
    assert sum(len(block) for block in decode_blocks(tmp_path / name, rate=RATE)) > 0.7 * SECONDS * RATE


def test_what_was_lost_is_remarked(coded: dict[str, Path], tmp_path: Path) -> None:
    data = bytearray(as_bytes(coded, "flac.flac"))
    middle = len(data) // 2
    data[middle : middle + 5000] = bytes(5000)
    (tmp_path / "a.flac").write_bytes(data)
    got = read_excerpts(tmp_path / "a.flac", count=9, seconds=1.0, rate=RATE)
    assert got.remark is not None
    assert "damaged near 0:" in got.remark


@pytest.mark.parametrize("name", ["opus.opus", "flac.oga", "surround.opus"])
def test_pages_that_are_missing_in_ogg_are_remarked(tmp_path: Path, coded: dict[str, Path], name: str) -> None:
    """Decoders go on behind them without a word."""
    data = as_bytes(coded, name)
    pages = [m.start() for m in re.finditer(b"OggS\\0", data)]
    first, last = pages[len(pages) // 2], pages[len(pages) // 2 + 2]
    (tmp_path / name).write_bytes(data[:first] + data[last:])
    assert "damaged near 0:" in str(read_excerpts(tmp_path / name, count=5, seconds=1.0, rate=RATE).remark)
    assert read_excerpts(coded[name], count=5, seconds=1.0, rate=RATE).remark is None


@pytest.mark.parametrize(
    "name", ["mp3.mp3", "flac.flac", "fragmented.m4a", "opus.mka", "wavpack.wv", "tta.tta", "wma.wma"]
)
def test_a_cut_tail_is_remarked_and_the_excerpts_lie_in_what_is_there(
    coded: dict[str, Path], tmp_path: Path, name: str
) -> None:
    data = as_bytes(coded, name)
    (tmp_path / name).write_bytes(data[: int(len(data) * 0.75)])
    got = read_excerpts(tmp_path / name, count=9, seconds=1.0, rate=RATE)
    assert got.duration_s == pytest.approx(9, abs=1.5)
    assert len(got.waveforms) >= 8  # the last packet of what is there may be cut itself
    assert got.starts[-1] + 1.0 <= got.duration_s
    if name not in ("fragmented.m4a", "opus.mka", "wma.wma"):
        assert got.remark is not None
        assert f"of 0:{SECONDS}" in got.remark


def test_a_flac_that_was_preallocated_is_truncated(coded: dict[str, Path], tmp_path: Path) -> None:
    data = as_bytes(coded, "flac.flac")
    with (tmp_path / "a.flac").open("wb") as f:
        f.write(data[: len(data) // 4])
        f.truncate(40 << 20)
    with pytest.raises(UnreadableAudio, match=r"a\.flac: ends at 0:0[234], its header says 0:12"):
        read_excerpts(tmp_path / "a.flac", count=9, seconds=1.0, rate=RATE)


@pytest.mark.parametrize("fill", [bytes, random.Random(4).randbytes])
@pytest.mark.parametrize("place", ["middle", "end"])
def test_libflac_is_not_asked_where_it_would_search_for_minutes(
    coded: dict[str, Path], tmp_path: Path, fill: Callable[[int], bytes], place: str
) -> None:
    data = as_bytes(coded, "flac.flac")
    third = len(data) // 3
    spoilt = data[:third] + fill(third) + data[2 * third :] if place == "middle" else data[: 2 * third] + fill(9 << 20)
    (tmp_path / "a.flac").write_bytes(spoilt)
    with (tmp_path / "a.flac").open("rb") as f:
        assert not look(f, len(spoilt)).libsndfile
    with coded["flac.flac"].open("rb") as f:
        assert look(f, len(data)).libsndfile
    got = read_excerpts(tmp_path / "a.flac", count=6, seconds=1.0, rate=RATE)
    assert got.duration_s == pytest.approx(SECONDS * 2 / 3, abs=0.6)
    assert got.remark is not None


@pytest.mark.parametrize("name", ["mp3.mp3", "aac.aac", "mp3 without header.mp3"])
def test_noise_behind_the_music_is_not_counted(coded: dict[str, Path], tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(as_bytes(coded, name) + random.Random(6).randbytes(1 << 20))
    got = read_excerpts(tmp_path / name, count=6, seconds=1.0, rate=RATE)
    assert got.duration_s == pytest.approx(SECONDS, abs=0.5)
    assert len(got.waveforms) == 6


@pytest.mark.parametrize("name", ["mp3.mp3", "opus.opus", "aac.aac"])
def test_a_file_after_another_in_one_is_as_long_as_both(coded: dict[str, Path], tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(2 * as_bytes(coded, name))
    got = read_excerpts(tmp_path / name, count=6, seconds=1.0, rate=RATE)
    assert got.duration_s == pytest.approx(2 * SECONDS, abs=0.3)
    assert len(got.waveforms) == 6


# channels


def turned(path: Path, x: np.ndarray, rate: int, signs: list[int]) -> Path:
    soundfile.write(path, x * signs, rate, subtype="FLOAT", format="WAV")
    return path


@pytest.mark.parametrize("wide", [0.0, 0.3, 0.7])
def test_a_turned_channel_sounds_the_same(tmp_path: Path, songs: list[Path], wide: float) -> None:
    song, rate = soundfile.read(songs[0], dtype="float32")
    mid, side = song, np.roll(song, rate)
    x = 0.5 * np.stack([mid + wide * side, mid - wide * side], axis=1)
    plain = turned(tmp_path / "plain.wav", x, rate, [1, 1])
    other = turned(tmp_path / "turned.wav", x, rate, [1, -1])
    for read in (lambda f: read_excerpts(f, count=3, seconds=2.0, rate=RATE).waveforms.ravel(), whole):
        assert abs(cosine(read(plain), read(other))) > 0.999
    a, b = (read_sections(f, count=1, seconds=3.0)[0].mono for f in (plain, other))
    assert abs(cosine(a, b)) > 0.999


def test_a_silent_channel_and_independent_ones_are_averaged(tmp_path: Path) -> None:
    x = np.random.default_rng(1).uniform(-0.5, 0.5, (4 * RATE, 2)).astype(np.float32)
    for columns in (x, x * [1, 0]):
        got = whole(turned(tmp_path / "a.wav", columns, RATE, [1, 1]))
        np.testing.assert_allclose(got, columns.mean(axis=1), atol=1e-6)


# what is never opened

PLANTED = {
    "sdp": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 18998 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n",
    "hls": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:18998/a.ts\n#EXT-X-ENDLIST\n",
    "concat": b"ffconcat version 1.0\nfile 'other.wav'\n",
    "dash": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period/></MPD>',
    "rtsp": b"RTSPtextrtsp://127.0.0.1:18998/a\r\n",
    "ffmetadata": b";FFMETADATA1\ntitle=x\n",
    "xml": b'<?xml version="1.0"?><smil><body><audio src="http://127.0.0.1:18998/a"/></body></smil>',
}  # fmt: skip


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("suffix", [".m4a", ".mp3", ".opus", ".wav", ""])
def test_what_names_other_places_is_not_opened(
    tmp_path: Path, kind: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_socket(*_: object) -> None:
        raise AssertionError("a socket is opened")

    def no_ffmpeg(*_: object, **__: object) -> None:
        raise AssertionError("FFmpeg is asked")

    monkeypatch.setattr(socket, "socket", no_socket)
    monkeypatch.setattr(av, "open", no_ffmpeg)
    soundfile.write(tmp_path / "other.wav", chirps(8000, 2.0), 8000)
    file = tmp_path / f"a{suffix}"
    file.write_bytes(PLANTED[kind])
    with pytest.raises(UnreadableAudio, match="a"):
        read_excerpts(file, count=1, seconds=1.0, rate=RATE)


def test_no_demuxer_that_opens_others_can_be_named() -> None:
    listing = {
        "sdp",
        "hls",
        "concat",
        "dash",
        "rtsp",
        "rtp",
        "sap",
        "image2",
        "tedcaptions",
        "imf",
        "lavfi",
        "webm_dash_manifest",
    }
    assert not DEMUXERS & listing
    for name in listing:
        with pytest.raises(ValueError, match="not a container"):
            open_container(io.BytesIO(PLANTED["sdp"]), name, {})


def test_a_demuxer_cannot_reach_out_even_where_it_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mirclr.audio.ffmpeg.DEMUXERS", DEMUXERS | {"sdp", "hls", "concat"})
    for name in ("sdp", "hls", "concat"):
        with pytest.raises((av.FFmpegError, OSError)):
            open_container(io.BytesIO(PLANTED[name]), name, {})


def test_nothing_is_printed(coded: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(5)
    for name in ("mp3.mp3", "flac.flac", "aac.aac", "opus.opus", "aac.m4a"):
        for seed in range(3):
            data = bytearray(as_bytes(coded, name))
            for _ in range(40):
                data[rng.randrange(len(data))] = rng.randrange(256)
            file = tmp_path / f"{seed}{name}"
            file.write_bytes(data)
            try_excerpts(file, 5, 1.0, RATE)
    assert capfd.readouterr() == ("", "")


def test_a_video_s_sound_and_a_picture_beside_it(tmp_path: Path) -> None:
    rate = 44100
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        video = out.add_stream("mpeg4", rate=10)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        audio = out.add_stream("aac", rate=rate, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(chirps(rate, 6.0).T), "fltp", "stereo")
        frame.sample_rate, frame.pts = rate, 0
        out.mux([*audio.encode(frame), *audio.encode(None)])
        for _ in range(60):
            picture = av.VideoFrame(64, 64, "yuv420p")
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
    got = read_excerpts(tmp_path / "a.mp4", count=3, seconds=1.0, rate=RATE)
    assert got.duration_s == pytest.approx(6.0, abs=0.1)
    assert got.remark is None


def test_a_video_without_sound_is_named(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        video = out.add_stream("mpeg4", rate=10)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        for _ in range(10):
            out.mux(video.encode(av.VideoFrame(64, 64, "yuv420p")))
        out.mux(video.encode(None))
    with pytest.raises(UnreadableAudio, match=r"a\.mp4: holds no audio stream"):
        read_excerpts(tmp_path / "a.mp4", count=3, seconds=1.0, rate=RATE)


@pytest.mark.parametrize("name", ["opus.opus", "aac.m4a", "mp3 without header.mp3", "wma.wma", "ac3.ac3", "tta.tta"])
def test_files_damaged_at_random_are_read_or_named(coded: dict[str, Path], tmp_path: Path, name: str) -> None:
    whole_file = as_bytes(coded, name)
    for seed in range(12):
        rng = random.Random(seed)
        data = bytearray(whole_file[: rng.choice([len(whole_file), len(whole_file) // 2, 3000])])
        for _ in range(rng.choice([1, 20, 400])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        file = tmp_path / f"{seed}{name}"
        file.write_bytes(data)
        try:
            got = read_excerpts(file, count=5, seconds=1.0, rate=RATE)
            assert np.isfinite(got.waveforms).all()
            assert 0.5 <= got.duration_s < 10 * SECONDS
        except (UnreadableAudio, UnusableAudio) as error:
            assert file.name in str(error)  # noqa: PT017
        try:
            for block in decode_blocks(file, rate=RATE):
                assert np.abs(block).max(initial=0) <= 1
        except AudioError as error:
            assert file.name in str(error)  # noqa: PT017


def test_an_error_without_words_is_no_number() -> None:
    with pytest.raises(av.FFmpegError) as caught:
        av.error.err_check(-1595270656)
    assert reason(caught.value) == "its content is not understood"
