"""Real music in every format, derived from the songs of tests/audio; the oracle decodes whole files."""

import math
import os
import shutil
import struct
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mutagen
import mutagen.id3
import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirclr import audio
from mirclr.audio import decode_blocks, read_excerpts, resample, try_excerpts, write_wav
from mirclr.audio.ffmpeg import AvSource
from mirclr.errors import AudioError, UnreadableAudio, UnusableAudio
from tests.conftest import tone, write_aac

RATE = 16000
# eight seconds give three excerpts of two that start at these seconds
STARTS = (1, 3, 5)


@pytest.fixture(scope="session")
def song(songs: list[Path]) -> tuple[np.ndarray, int]:
    """(n_samples,) float32 and the rate of torus-2.ogg: 44.1 kHz, mono."""
    samples, rate = soundfile.read(songs[-1], dtype="float32")
    return 0.7 * samples, rate


def excerpts(path: Path, *, count: int = 3, seconds: float = 2.0, rate: int = RATE) -> audio.Excerpts:
    return read_excerpts(path, count=count, seconds=seconds, rate=rate)


def whole(path: Path, rate: int = RATE) -> np.ndarray:
    return np.concatenate(list(decode_blocks(path, rate=rate)))


def pcm(path: Path, samples: np.ndarray, rate: int, **how: str) -> Path:
    soundfile.write(path, samples, rate, **how)
    return path


def by_av(path: Path, codec: str, samples: np.ndarray, rate: int) -> Path:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        for part in (frame, None):
            for packet in stream.encode(part):
                container.mux(packet)
    return path


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of two waveforms, their last 20 ms at either side left out: a resampler starts from silence."""
    a, b = a[320:-320], b[320:-320]
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 48000, 96000, 192000])
def test_every_rate_is_heard_alike(tmp_path: Path, song: tuple[np.ndarray, int], rate: int) -> None:
    samples, original = song
    low = soxr.resample(samples, original, 7000)  # what an 8 kHz file can hold
    file = pcm(tmp_path / "a.wav", soxr.resample(low, 7000, rate), rate, subtype="FLOAT")
    expected = soxr.resample(low, 7000, RATE)
    for got, start in zip(excerpts(file).waveforms, STARTS, strict=True):
        np.testing.assert_allclose(
            got[320:-320], expected[start * RATE : (start + 2) * RATE][320:-320], atol=0.02 * np.abs(expected).max()
        )


@pytest.mark.parametrize("channels", range(1, 9))
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_channels_are_averaged(tmp_path: Path, song: tuple[np.ndarray, int], suffix: str, channels: int) -> None:
    samples, rate = song
    many = np.stack([samples * (c + 1) / channels for c in range(channels)], axis=1)
    got = excerpts(pcm(tmp_path / f"a{suffix}", many, rate)).waveforms
    alone = excerpts(pcm(tmp_path / f"b{suffix}", many.mean(axis=1), rate)).waveforms
    np.testing.assert_allclose(got, alone, atol=1e-4)


@pytest.mark.parametrize(
    ("suffix", "how", "least"),
    [
        (".wav", {"subtype": "PCM_U8"}, 0.999),
        (".wav", {"subtype": "PCM_16"}, 0.99999),
        (".wav", {"subtype": "PCM_24"}, 0.99999),
        (".wav", {"subtype": "FLOAT"}, 0.99999),
        (".wav", {"subtype": "DOUBLE"}, 0.99999),
        (".aiff", {}, 0.99999),
        (".flac", {}, 0.99999),
        (".ogg", {"subtype": "VORBIS"}, 0.99),
        (".mp3", {}, 0.99),
    ],
)
def test_every_format_is_heard_alike(
    tmp_path: Path, song: tuple[np.ndarray, int], suffix: str, how: dict[str, str], least: float
) -> None:
    file = pcm(tmp_path / f"a{suffix}", *song, **how)
    original = excerpts(pcm(tmp_path / "original.wav", *song, subtype="FLOAT"))
    got = excerpts(file)
    assert got.duration_s == pytest.approx(8.0, abs=0.03)
    assert got.waveforms.shape == (3, 2 * RATE)
    assert got.waveforms.dtype == np.float32
    assert min(map(similarity, got.waveforms, original.waveforms)) > least


def test_opus_is_heard_alike(tmp_path: Path, song: tuple[np.ndarray, int]) -> None:
    samples = resample(*song, 48000)
    file = pcm(tmp_path / "a.opus", samples, 48000, format="OGG", subtype="OPUS")
    original = excerpts(pcm(tmp_path / "a.wav", samples, 48000))
    assert min(map(similarity, excerpts(file).waveforms, original.waveforms)) > 0.97


@pytest.mark.parametrize("suffix", [".m4a", ".mp4"])
def test_aac_in_mp4_is_heard_alike(tmp_path: Path, song: tuple[np.ndarray, int], suffix: str) -> None:
    file = by_av(tmp_path / f"a{suffix}", "aac", *song)
    original = excerpts(pcm(tmp_path / "a.wav", *song))
    got = excerpts(file)
    assert got.duration_s == pytest.approx(8.0, abs=0.05)
    assert min(map(similarity, got.waveforms, original.waveforms)) > 0.97
    decoded = whole(file)
    assert len(decoded) == pytest.approx(8 * RATE, abs=0.05 * RATE)
    assert (
        min(similarity(w, decoded[s * RATE :][: 2 * RATE]) for w, s in zip(got.waveforms, STARTS, strict=True)) > 0.99
    )


def test_bare_aac_has_no_index_and_is_still_heard_within_30_ms(tmp_path: Path, song: tuple[np.ndarray, int]) -> None:
    file = by_av(tmp_path / "a.aac", "aac", *song)
    original = soxr.resample(*song, RATE)
    for got, start in zip(excerpts(file).waveforms, STARTS, strict=True):
        shifts = range(-480, 481)
        best = max(similarity(got, original[start * RATE + d :][: 2 * RATE]) for d in shifts)
        assert best > 0.97


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".opus"])
@pytest.mark.parametrize("number", range(4))
def test_seeking_agrees_with_decoding_the_whole_file(
    tmp_path: Path, songs: list[Path], suffix: str, number: int
) -> None:
    samples, rate = soundfile.read(songs[number], dtype="float32")
    how = {"format": "OGG", "subtype": "OPUS"} if suffix == ".opus" else {}
    if how:
        samples, rate = resample(samples, rate, 48000), 48000
    file = pcm(tmp_path / f"a{suffix}", 0.7 * np.stack([samples, samples], axis=1), rate, **how)
    decoded, _ = soundfile.read(file, dtype="float32", always_2d=True)
    oracle = soxr.resample(decoded.mean(axis=1), rate, RATE)
    # MP3 and Opus carry state from frame to frame, which a seek must build up again
    tolerance = 0.02 if suffix in (".mp3", ".opus") else 1e-3
    for got, start in zip(excerpts(file).waveforms, STARTS, strict=True):
        np.testing.assert_allclose(got[320:-320], oracle[start * RATE : (start + 2) * RATE][320:-320], atol=tolerance)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("to", [8000, 16000, 48000])
def test_blocks_join_to_the_whole_file(
    tmp_path: Path, song: tuple[np.ndarray, int], suffix: str, to: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mirclr.audio.reading._BLOCK_SECONDS", 0.73)
    file = pcm(tmp_path / f"a{suffix}", *song)
    decoded, rate = soundfile.read(file, dtype="float32")
    blocks = list(decode_blocks(file, rate=to))
    assert len(blocks) > 8
    assert all(b.dtype == np.float32 and b.ndim == 1 for b in blocks)
    np.testing.assert_allclose(np.concatenate(blocks), soxr.resample(decoded, rate, to), atol=2e-4)


def test_excerpts_lie_evenly_and_overlap_by_half_at_most(tmp_path: Path) -> None:
    rate = 8000
    ramp = np.linspace(-0.9, 0.9, 8 * rate, dtype="float32")  # the level tells the time
    file = pcm(tmp_path / "a.wav", ramp, rate, subtype="FLOAT")
    for count, seconds, expected in [(1, 2, 1), (4, 1, 4), (100, 2, 6), (10, 7.9, 1), (3, 8, 1)]:
        got = excerpts(file, count=count, seconds=seconds, rate=rate).waveforms
        starts = (got[:, 0].astype(float) / 0.9 + 1) * 4
        assert len(got) == expected
        assert got.shape[1] == round(seconds * rate)
        np.testing.assert_allclose(starts, (np.arange(expected) + 0.5) / expected * (8 - seconds), atol=1e-2)
        assert (np.diff(starts) >= 0.5 * seconds - 1e-2).all()


def test_a_short_file_repeats(tmp_path: Path, song: tuple[np.ndarray, int]) -> None:
    file = pcm(tmp_path / "a.wav", resample(*song, RATE)[: 3 * RATE // 4], RATE)
    got = excerpts(file).waveforms
    assert got.shape == (1, 2 * RATE)
    np.testing.assert_array_equal(got[0, : 3 * RATE // 4], got[0, 3 * RATE // 4 : 6 * RATE // 4])


def test_half_a_second_is_the_shortest(tmp_path: Path) -> None:
    tone = 0.5 * np.sin(np.arange(8000) * 0.1)
    assert excerpts(pcm(tmp_path / "long-enough.wav", tone[:4000], 8000)).duration_s == 0.5
    with pytest.raises(UnusableAudio, match=r"short\.wav: 0\.49.* s long"):
        excerpts(pcm(tmp_path / "short.wav", tone[:3999], 8000))


def test_channels_that_cancel_each_other_are_heard(tmp_path: Path, song: tuple[np.ndarray, int]) -> None:
    samples, rate = song
    file = pcm(tmp_path / "a.wav", np.stack([0.9 * samples, -0.9 * samples], axis=1), rate, subtype="FLOAT")
    alone = pcm(tmp_path / "b.wav", 0.9 * samples, rate, subtype="FLOAT")
    np.testing.assert_allclose(np.abs(excerpts(file).waveforms), np.abs(excerpts(alone).waveforms), atol=1e-6)
    np.testing.assert_allclose(np.abs(whole(file)), np.abs(whole(alone)), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8])
def test_the_mix_of_channels_is_their_plain_mean(channels: int) -> None:
    samples = np.random.default_rng(channels).uniform(-1, 1, (5000, channels)).astype(np.float32)
    mono = audio.Section(samples, RATE, Path("a")).mono
    assert (mono.dtype, mono.flags.c_contiguous) == (np.float32, True)
    # to the bit, where numpy adds in the same order: the digest of what is known already must stay
    np.testing.assert_allclose(mono, samples.mean(axis=1), atol=0 if channels < 8 else 1e-6, rtol=0)


@pytest.mark.parametrize(("duration", "count", "starts"), [(2.0, 5, [0.0]), (3.0, 5, [0.0]), (6.0, 5, [0.75, 2.25])])
def test_excerpts_of_short_tracks_overlap_by_half_at_most(duration: float, count: int, starts: list[float]) -> None:
    assert audio.excerpt_starts(duration, count=count, seconds=3.0).tolist() == starts


def test_silent_excerpts_are_left_out(tmp_path: Path, song: tuple[np.ndarray, int]) -> None:
    samples, rate = song
    samples = samples.copy()
    samples[: 4 * rate] = 0
    got = excerpts(pcm(tmp_path / "a.wav", samples, rate))
    assert len(got.waveforms) == 2  # that of the seconds 1 to 3 is silent
    assert (np.abs(got.waveforms).max(axis=1) > audio.SILENCE).all()


def test_a_float_file_beyond_full_scale_is_clipped(tmp_path: Path, song: tuple[np.ndarray, int]) -> None:
    samples, rate = song
    file = pcm(tmp_path / "a.wav", 20 * samples, rate, subtype="FLOAT")
    assert np.abs(excerpts(file).waveforms).max() == 1.0
    assert np.abs(whole(file)).max() == 1.0


# what cannot be decoded


def bad_header(file: Path, place: int, format: str, value: int) -> Path:
    content = bytearray(file.read_bytes())
    struct.pack_into(format, content, place, value)
    file.write_bytes(content)
    return file


def empty(path: Path, tone: np.ndarray) -> Path:
    path.write_bytes(b"")
    return path


def text(path: Path, tone: np.ndarray) -> Path:
    path.write_text("not music, but a shopping list\n" * 50)
    return path


def directory(path: Path, tone: np.ndarray) -> Path:
    path.mkdir()
    return path


UNREADABLE = {
    "empty.wav": empty,
    "empty.mp3": empty,
    "text.mp3": text,
    "text.ogg": text,
    "text.m4a": text,
    "text.txt": text,
    "samples.raw": text,
    "directory.mp3": directory,
    "directory": directory,
    "missing.flac": lambda path, tone: path,
    "rate 0.wav": lambda path, tone: bad_header(pcm(path, tone, 8000), 24, "<I", 0),
}
UNUSABLE = {
    "silent.wav": lambda path, tone: pcm(path, 0 * tone, 8000),
    "quiet.wav": lambda path, tone: pcm(path, 9e-5 * tone, 8000, subtype="FLOAT"),
    "nan.wav": lambda path, tone: pcm(path, np.append(tone, np.nan), 8000, subtype="FLOAT"),
    "inf.wav": lambda path, tone: pcm(path, np.append(tone, np.inf), 8000, subtype="FLOAT"),
    "nine.wav": lambda path, tone: pcm(path, np.stack([tone] * 9, axis=1), 8000),
    "no samples.wav": lambda path, tone: pcm(path, tone[:0], 8000),
    "too slow.wav": lambda path, tone: pcm(path, tone, 7999),
    "too fast.wav": lambda path, tone: pcm(path, tone, 2_822_401),
    "rate.wav": lambda path, tone: bad_header(pcm(path, tone, 8000), 24, "<I", 2**31 - 1),
    "many.wav": lambda path, tone: bad_header(pcm(path, tone, 8000), 22, "<H", 900),
}  # fmt: skip


@pytest.mark.parametrize("read", [excerpts, whole])
@pytest.mark.parametrize(
    ("name", "error"), [*((n, UnreadableAudio) for n in UNREADABLE), *((n, UnusableAudio) for n in UNUSABLE)]
)
def test_what_cannot_be_heard_is_named(tmp_path: Path, read: Any, name: str, error: type[AudioError]) -> None:
    tone = np.sin(np.arange(16000) * 0.3)
    file = (UNREADABLE | UNUSABLE)[name](tmp_path / name, tone)
    with pytest.raises(error) as raised:
        read(file)
    assert name in str(raised.value)
    assert "\n" not in str(raised.value)
    reason = try_excerpts(file, 3, 2.0, RATE)
    assert isinstance(reason, str)
    assert name in reason


def heard_or_named(read: Any, file: Path) -> Any:
    """What `read` gives, or None where it raises an error that names the file; anything else fails the test."""
    try:
        return read(file)
    except AudioError as error:
        if file.name not in str(error):
            raise AssertionError(f"does not name {file.name}: {error}") from error
        return None


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("share", [0.7, 0.3, 0.02])
def test_a_cut_file_gives_its_rest_or_says_so(
    tmp_path: Path, song: tuple[np.ndarray, int], suffix: str, share: float
) -> None:
    content = pcm(tmp_path / f"a{suffix}", *song).read_bytes()
    file = tmp_path / f"cut{suffix}"
    file.write_bytes(content[: int(len(content) * share)])
    for read in (excerpts, whole):
        got = heard_or_named(read, file)
        if got is not None:  # no header told how long it should be; what is there must be music, not padding
            heard = got.duration_s if isinstance(got, audio.Excerpts) else len(got) / RATE
            assert 0.5 <= heard < 8 * share + 0.7
    if suffix in (".flac", ".mp3") and share < 0.5:
        with pytest.raises(UnreadableAudio, match="cut"):
            excerpts(file)
        with pytest.raises(UnreadableAudio, match="cut"):
            whole(file)


def test_a_cut_m4a_is_unreadable(tmp_path: Path, song: tuple[np.ndarray, int]) -> None:
    file = by_av(tmp_path / "a.m4a", "aac", *song)
    file.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(UnreadableAudio, match=r"a\.m4a"):
        excerpts(file)


def flac_that_claims(path: Path, samples: int) -> Path:
    content = bytearray(pcm(path, 0.5 * np.sin(np.arange(16000) * 0.3), 8000).read_bytes())
    field = int.from_bytes(content[18:26], "big") >> 36 << 36  # the lower 36 bits are the number of samples
    content[18:26] = (field | samples).to_bytes(8, "big")
    path.write_bytes(content)
    return path


def test_a_header_that_claims_hours_costs_no_memory(tmp_path: Path) -> None:
    wav = pcm(tmp_path / "hours.wav", 0.5 * np.sin(np.arange(16000) * 0.3), 8000)
    bad_header(wav, wav.read_bytes().index(b"data") + 4, "<I", 0xFFFFFFF0)  # 74 hours
    tracemalloc.start()
    try:
        assert excerpts(wav).duration_s == 2.0
        assert len(whole(wav)) == 4 * 8000
        with pytest.raises(UnusableAudio, match=r"days\.flac: .* s long"):
            excerpts(flac_that_claims(tmp_path / "days.flac", 2**36 - 1))
        for read in (excerpts, whole):
            with pytest.raises(UnreadableAudio, match=r"ten-hours\.flac"):
                read(flac_that_claims(tmp_path / "ten-hours.flac", 36_000 * 8000))
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


def test_a_long_file_is_read_in_bounded_memory(tmp_path: Path) -> None:
    file, rate = tmp_path / "long.wav", 8000
    with soundfile.SoundFile(file, "w", rate, 1, "PCM_16") as out:
        for minute in range(10):
            out.write(0.05 * (minute + 1) * np.sin(np.arange(60 * rate) * 0.2))
    tracemalloc.start()
    try:
        got = excerpts(file, count=10, seconds=2)
        assert tracemalloc.get_traced_memory()[1] < 8e6  # the whole is 19 MB at its own rate, 38 MB at ours
        tracemalloc.reset_peak()
        length = sum(len(block) for block in decode_blocks(file, rate=RATE))
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()
    assert length == 600 * RATE
    assert got.duration_s == 600
    np.testing.assert_allclose(np.abs(got.waveforms[:, 500:-500]).max(axis=1), 0.05 * np.arange(1, 11), rtol=0.05)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([".wav", ".flac", ".ogg", ".mp3", ".aiff", ".m4a"]),
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_a_damaged_header_is_an_audio_error_or_still_audio(
    tmp_path: Path, suffix: str, damage: list[tuple[int, int]]
) -> None:
    source = tmp_path / f"whole{suffix}"
    if not source.exists():
        tone = (0.5 * np.sin(np.arange(8000) * 0.3)).astype(np.float32)
        by_av(source, "aac", tone, 8000) if suffix == ".m4a" else pcm(source, tone, 8000)
    content = bytearray(source.read_bytes())
    for place, value in damage:
        content[place] = value
    file = tmp_path / f"damaged{suffix}"
    file.write_bytes(content)
    for read in (excerpts, whole):
        got = heard_or_named(read, file)
        if got is not None:
            waveforms = got.waveforms if isinstance(got, audio.Excerpts) else got
            assert np.abs(waveforms).max() <= 1
            assert waveforms.size <= 8 * RATE


# the digest


def tagged(path: Path, title: str) -> Path:
    file = mutagen.File(path, easy=True)
    if file.tags is None:
        file.add_tags()
    file["title"], file["artist"] = title, "Somebody" * 500
    file.save()
    return path


@pytest.mark.parametrize("suffix", [".ogg", ".flac", ".mp3", ".wav"])
def test_the_digest_is_of_the_audio_and_not_of_the_tags(
    tmp_path: Path, song: tuple[np.ndarray, int], suffix: str
) -> None:
    samples, rate = song
    file = pcm(tmp_path / f"a{suffix}", samples, rate)
    before = excerpts(file).digest
    copy = Path(shutil.copy(file, tmp_path / f"copy{suffix}"))
    if suffix == ".wav":
        tags = mutagen.File(copy)
        tags.add_tags()
        tags.tags.add(mutagen.id3.TIT2(text="Another"))
        tags.save()
    else:
        tagged(copy, "Another")
    assert copy.read_bytes() != file.read_bytes()
    assert excerpts(copy).digest == before
    assert excerpts(pcm(tmp_path / f"b{suffix}", samples[::-1], rate)).digest != before


def test_a_picture_in_the_tags_leaves_the_digest(tmp_path: Path, song: tuple[np.ndarray, int]) -> None:
    file = pcm(tmp_path / "a.mp3", *song)
    before = excerpts(file).digest
    tags = mutagen.id3.ID3()
    tags.add(mutagen.id3.APIC(mime="image/png", data=bytes(range(256)) * 800))
    tags.save(file)
    assert excerpts(file).digest == before


def test_songs_have_digests_of_their_own(songs: list[Path]) -> None:
    assert len({excerpts(song).digest for song in songs}) == len(songs) == 4


def test_the_digest_knows_where_the_silence_is(tmp_path: Path) -> None:
    tone = np.sin(np.arange(8 * 8000) * 2 * np.pi * 0.05)  # every excerpt that is heard is alike
    early, late = tone.copy(), tone.copy()
    early[: 4 * 8000], late[4 * 8000 :] = 0, 0
    first, second = (excerpts(pcm(tmp_path / "a.wav", half, 8000), count=2, rate=8000) for half in (early, late))
    np.testing.assert_array_equal(first.waveforms, second.waveforms)
    assert first.digest != second.digest


def test_written_wav_reads_back(tmp_path: Path) -> None:
    waveform = np.sin(np.arange(RATE) * 0.3).astype(np.float32) * 1.5
    write_wav(tmp_path / "new" / "a.wav", waveform, RATE)
    np.testing.assert_allclose(whole(tmp_path / "new" / "a.wav"), np.clip(waveform, -1, 1), atol=1e-4)


@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".m4a"])
def test_a_name_that_is_no_utf_8(tmp_path, suffix):
    path = tmp_path / os.fsdecode(b"caf\xe9" + suffix.encode())
    plain = tmp_path / f"plain{suffix}"
    tone = (0.1 * np.sin(np.arange(36000) * 0.05)).astype(np.float32)
    if suffix == ".m4a":
        write_aac(plain, tone)
    else:
        soundfile.write(plain, tone, 48000)
    try:
        plain.rename(path)
    except OSError:
        pytest.skip("this file system takes no such names")
    assert sum(len(block) for block in decode_blocks(path, rate=16000)) >= 12000


# a part of a file


@pytest.mark.parametrize("suffix", [".flac", ".wav"])
def test_a_part_of_a_file_is_as_a_file_of_its_own(tmp_path: Path, suffix: str) -> None:
    rate = 22050
    x = np.random.default_rng(0).uniform(-0.5, 0.5, rate * 12)
    whole, alone = tmp_path / f"whole{suffix}", tmp_path / "alone.wav"
    soundfile.write(whole, x, rate)
    decoded = soundfile.read(whole, dtype="float32")[0]
    soundfile.write(alone, decoded[4 * rate : 9 * rate], rate, subtype="FLOAT")
    span = (4.0, 9.0)

    part, own = (read_excerpts(f, count=3, seconds=1.0, rate=RATE, span=s) for f, s in ((whole, span), (alone, None)))
    assert part.digest == own.digest
    assert part.duration_s == own.duration_s == 5.0
    np.testing.assert_array_equal(part.starts, own.starts)  # told from where the part begins
    blocks, own_blocks = (
        np.concatenate(list(decode_blocks(f, rate=RATE, span=s))) for f, s in ((whole, span), (alone, None))
    )
    np.testing.assert_allclose(blocks, own_blocks, atol=1e-4)


def test_the_last_part_ends_with_its_file_and_none_begins_behind_it(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    tone(file, 440.0, 5.0)
    assert read_excerpts(file, count=1, seconds=1.0, rate=RATE, span=(3.0, math.inf)).duration_s == 2.0
    assert read_excerpts(file, count=1, seconds=1.0, rate=RATE, span=(3.0, 60.0)).duration_s == 2.0
    for span in ((5.0, math.inf), (60.0, 90.0), (1.0, 1.1)):
        with pytest.raises(UnusableAudio, match=r"a\.wav: its part from"):
            read_excerpts(file, count=1, seconds=1.0, rate=RATE, span=span)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_or_a_device_is_no_audio(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    for file in (tmp_path / "pipe.wav", Path("/dev/zero")):
        with pytest.raises(UnreadableAudio, match="not a regular file"):
            read_excerpts(file, count=1, seconds=1.0, rate=RATE)


def test_a_frame_that_claims_dozens_of_channels_is_left_out(monkeypatch):
    """PyAV reads beyond the planes of such a frame, of a damaged AAC stream, and the process dies."""
    frames = [SimpleNamespace(samples=9, time=0.0, layout=SimpleNamespace(nb_channels=n)) for n in (2, 46, 8, 9)]
    source = object.__new__(AvSource)
    monkeypatch.setattr(source, "_packets", lambda: [SimpleNamespace(decode=lambda: frames)], raising=False)
    monkeypatch.setattr(source, "_error", ValueError, raising=False)
    assert [frame.layout.nb_channels for _, frame in source._frames()] == [2, 8]


def test_samples_that_overflow_what_comes_after_are_refused(tmp_path):
    file = tmp_path / "a.wav"
    noise = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    noise[-50:] *= 1e38
    soundfile.write(file, noise, 16000, subtype="FLOAT")
    with pytest.raises(UnusableAudio, match=r"a\.wav: holds samples that are NaN, infinite or absurdly loud"):
        list(decode_blocks(file, rate=8000))


def test_a_quiet_file_may_be_raised_and_nothing_else_is(tmp_path):
    x = np.sin(2 * np.pi * 440 * np.arange(10 * 8000) / 8000)
    x[: 9 * 8000] *= 0.5
    peaks = {}
    for level in (1.0, 0.1, 0.02, 1e-3):
        soundfile.write(tmp_path / "a.wav", level * x, 8000, subtype="FLOAT")
        plain, raised = (
            np.concatenate(list(decode_blocks(tmp_path / "a.wav", rate=8000, raised=raised)))
            for raised in (False, True)
        )
        peaks[level] = np.abs(raised[: 8 * 8000]).max()
        np.testing.assert_allclose(raised * np.abs(plain[:8000]).max(), plain * np.abs(raised[:8000]).max(), atol=1e-5)
    assert (peaks[1.0], peaks[0.1]) == pytest.approx((0.5, 0.05), rel=1e-3)
    assert peaks[0.02] == pytest.approx(peaks[1e-3], rel=1e-3) == pytest.approx(0.5 * 10 ** (-15 / 20), rel=1e-2)


def test_a_packet_of_one_byte_is_no_error() -> None:
    class Packet(bytes):
        size = property(len)

    source = object.__new__(AvSource)
    source._content = SimpleNamespace(demuxer="aac")
    packets = [Packet(part) for part in (b"\xff", b"", b"\xff\xf1\x50\x80", b"\xff\xf1")]
    source._all_packets = lambda: iter(packets)
    assert list(source._packets()) == packets
