import errno
import io
import json
import os
import shutil
from collections import Counter
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mirclr import audio, processes
from mirclr.audio import write_wav
from mirclr.audio.mel import LogMel
from mirclr.audio.views import ClipShape
from mirclr.config import Mel, parse_recipe
from mirclr.data import clips
from mirclr.data.batches import ClipSource, two_crops
from mirclr.data.clips import Cached, ClipCache, Skipped, cache_size, clear_cache, clips_dir, tracks_of
from mirclr.data.manifest import Track, write_manifest
from mirclr.data.sampling import pick_tracks, useful_pair
from mirclr.errors import CacheError, ManifestError, ObjectiveError
from mirclr.objectives import is_useful
from mirclr.provenance import content_digest, file_digest
from tests.commands import invoke

RECIPE = """
name: tiny
data: {train: tracks.jsonl}
audio: {clip_seconds: 1.0}
training: {batch: 6}
"""
RATE = 16000


def recipe(*overrides):
    return parse_recipe(RECIPE, overrides=overrides)


class InThisProcess:
    """Stands for the pool where a process of its own would be three seconds of imports."""

    def __init__(self, *_):
        pass

    def submit(self, function, *job):
        future = Future()
        if job[0].name.startswith("crash"):
            future.set_exception(processes.JobLost(processes.CRASHED))
        else:
            future.set_result(function(*job))
        return future

    def close(self):
        pass


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(processes, "Pool", InThisProcess)


@pytest.fixture
def music(tmp_path, songs):
    root = tmp_path / "music"
    root.mkdir()
    for song in songs:
        shutil.copy(song, root)
    return root


def tracks_in(root):
    return [Track(id=f.stem, path=f.name) for f in sorted(root.iterdir())]


def whole(file):
    return np.concatenate(list(audio.decode_blocks(file, rate=RATE)))


def log_mel(waveform, mel=None):
    return LogMel.of(mel or Mel(), RATE)(torch.from_numpy(waveform)[None])[0].T.numpy()


# the cache


def test_the_cache_is_the_log_mel_of_the_whole_file_decoded_by_processes(music, tmp_path):
    """The one test here that starts processes."""
    (music / "empty.ogg").touch()
    (music / "text.wav").write_text("not audio")
    cache = ClipCache(recipe(), "mel", tmp_path / "cache")
    found = list(cache.fill(tracks_in(music), music, workers=1))
    skipped = {r.track.id: r.reason for r in found if isinstance(r, Skipped)}
    assert set(skipped) == {"empty", "text"}
    assert "empty.ogg" in skipped["empty"]
    assert "text.wav" in skipped["text"]
    cached = [r for r in found if isinstance(r, Cached)]
    assert len(cached) == 4
    for track in cached:
        expected = log_mel(whole(music / track.track.path))
        assert track.length == len(expected)
        held = cache.read(track, 0, track.length)
        assert held.dtype == np.float16
        np.testing.assert_allclose(held, expected, rtol=2**-10, atol=2e-3)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 3000), min_size=1, max_size=8),
    st.sampled_from([(512, 256), (512, 160), (256, 256), (400, 300), (1024, 128)]),
    st.integers(1, 9),
)
def test_chunks_leave_no_seam(lengths, fft_and_hop, chunk):
    """Whatever the blocks of the decoder, the FFT, the hop and the chunk: as of the whole waveform at once."""
    mel = LogMel.of(Mel(n_fft=fft_and_hop[0], hop_length=fft_and_hop[1], n_mels=16), RATE)
    waveform = np.random.default_rng(0).uniform(-1, 1, sum(lengths)).astype(np.float32)
    blocks = np.split(waveform, np.cumsum(lengths)[:-1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clips, "_CHUNK_FRAMES", chunk)
        frames = list(clips._mel_blocks(iter(blocks), mel))
    if not len(waveform):
        assert frames == []
        return
    np.testing.assert_allclose(np.concatenate(frames), mel(torch.from_numpy(waveform)[None])[0].T, atol=1e-5)


def test_a_track_longer_than_a_chunk(music, here, tmp_path, monkeypatch):
    monkeypatch.setattr(clips, "_CHUNK_FRAMES", 100)
    cache = ClipCache(recipe(), "mel", tmp_path / "cache")
    (track,) = cache.fill(tracks_in(music)[:1], music)
    expected = log_mel(whole(music / track.track.path))
    assert track.length == len(expected) > 400
    np.testing.assert_allclose(cache.read(track, 0, track.length), expected, rtol=2**-10, atol=2e-3)


def test_waveforms_are_kept_to_the_last_bit_of_int16(music, here, tmp_path):
    cache = ClipCache(recipe(), "waveform", tmp_path / "cache")
    (track,) = cache.fill(tracks_in(music)[:1], music)
    expected = whole(music / track.track.path)
    assert track.length == len(expected)
    stacked = cache.stack([cache.read(track, 0, track.length)])
    assert (stacked.dtype, stacked.shape) == (torch.float32, (1, len(expected)))
    np.testing.assert_allclose(stacked[0], expected, atol=0.51 / 32767)


def test_a_track_is_decoded_once(music, here, tmp_path, monkeypatch):
    cache = ClipCache(recipe(), "mel", tmp_path / "cache")
    first = {r.track.id: r for r in cache.fill(tracks_in(music), music)}
    monkeypatch.setattr(clips, "_decode", None)  # to decode is now an error
    assert {r.track.id: r for r in cache.fill(tracks_in(music), music)} == first
    # it is known by its content: a copy under another name is not decoded either, a changed file is
    moved = music / "moved.ogg"
    (music / "torus-1.ogg").rename(moved)
    (again,) = cache.fill([Track(id="m", path="moved.ogg")], music)
    assert again.file == first["torus-1"].file
    moved.write_bytes((music / "torus-2.ogg").read_bytes()[:-1])
    with pytest.raises(TypeError):
        list(cache.fill([Track(id="m", path="moved.ogg")], music))


def test_other_settings_have_another_folder(tmp_path):
    def folder(*overrides, domain="mel"):
        return ClipCache(recipe(*overrides), domain, tmp_path).folder

    mel = folder()
    assert mel.parent == tmp_path
    assert folder("training.batch=9", "seed=3", "audio.clip_seconds=2.0") == mel
    others = {
        mel,
        folder("mel.hop_length=128"),
        folder("mel.gain=1.0"),
        folder("audio.sample_rate=8000"),
        folder(domain="waveform"),
    }
    assert len(others) == 5
    assert folder("mel.hop_length=128", domain="waveform") == folder(domain="waveform")
    assert folder("audio.sample_rate=8000", domain="waveform") != folder(domain="waveform")


def test_a_decoder_that_fails_in_its_own_way_skips_one_track(music, here, tmp_path, monkeypatch):
    def blocks(path, *, rate):
        if path.stem == "torus-1":
            raise RuntimeError("what a decoder may say")
        return decode_blocks(path, rate=rate)

    decode_blocks = audio.decode_blocks
    monkeypatch.setattr(audio, "decode_blocks", blocks)
    found = list(ClipCache(recipe(), "mel", tmp_path / "cache").fill(tracks_in(music), music))
    assert [type(r) for r in found if r.track.id == "torus-1"] == [Skipped]
    assert sum(isinstance(r, Cached) for r in found) == 3
    assert "torus-1.ogg: cannot be decoded (RuntimeError: what a decoder may say)" in str(found)
    assert not list((tmp_path / "cache").rglob("*.part"))


class FullDisk(io.BytesIO):
    def write(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")


@contextmanager
def onto_a_full_disk(path, mode="wb", **_):
    yield FullDisk()


@contextmanager
def where_nobody_may_write(path, mode="wb", **_):
    raise PermissionError(errno.EACCES, "Permission denied", str(path))
    yield


@pytest.mark.parametrize(
    ("disk", "reason"), [(onto_a_full_disk, "no space"), (where_nobody_may_write, "permission denied")]
)
@pytest.mark.parametrize("domain", ["mel", "waveform"])
def test_a_disk_that_cannot_be_written_is_no_fault_of_a_track(music, here, tmp_path, monkeypatch, domain, disk, reason):
    monkeypatch.setattr(clips, "writing", disk)
    cache = ClipCache(recipe(), domain, tmp_path / "cache")
    with pytest.raises(CacheError, match=reason) as raised:
        list(cache.fill(tracks_in(music), music))
    assert str(cache.folder) in str(raised.value)
    assert "Errno" not in str(raised.value)


def test_a_cache_where_a_file_is_stops_the_run(music, here, tmp_path):
    (tmp_path / "cache").write_text("no folder")
    with pytest.raises(CacheError, match="cannot be written"):
        list(ClipCache(recipe(), "mel", tmp_path / "cache").fill(tracks_in(music), music))


@pytest.mark.parametrize("error", [OSError(errno.ENOMEM, "no"), OSError(errno.EMFILE, "no")])
def test_a_machine_at_its_end_is_no_fault_of_a_track(music, here, tmp_path, monkeypatch, error):
    def blocks(path, *, rate):
        raise error
        yield

    monkeypatch.setattr(audio, "decode_blocks", blocks)
    with pytest.raises(CacheError, match=r"decoding stopped at .*(not enough memory|too many files)"):
        list(ClipCache(recipe(), "mel", tmp_path / "cache").fill(tracks_in(music), music))


def test_memory_that_runs_out_is_not_taken_for_bad_audio(music, tmp_path, monkeypatch):
    def blocks(path, *, rate):
        raise MemoryError
        yield

    monkeypatch.setattr(audio, "decode_blocks", blocks)
    with pytest.raises(MemoryError):
        clips._decode(music / "torus-1.ogg", tmp_path / "a.raw", "mel", RATE, Mel(), None)
    assert not list(tmp_path.glob("*a.raw*"))


def test_a_file_that_cannot_be_read_is_still_skipped(music, here, tmp_path, monkeypatch):
    def blocks(path, *, rate):
        if path.stem == "torus-1":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        yield from decode_blocks(path, rate=rate)

    decode_blocks = audio.decode_blocks
    monkeypatch.setattr(audio, "decode_blocks", blocks)
    found = list(ClipCache(recipe(), "mel", tmp_path / "cache").fill(tracks_in(music), music))
    assert [r.track.id for r in found if isinstance(r, Skipped)] == ["torus-1"]


def test_bad_and_missing_files_are_skipped_by_name(music, here, tmp_path):
    soundfile.write(music / "cut.flac", whole(music / "torus-1.ogg"), RATE)
    song = (music / "cut.flac").read_bytes()
    (music / "cut.flac").write_bytes(song[: len(song) // 4])
    audio.write_wav(music / "silent.wav", np.zeros(2 * RATE, np.float32), RATE)
    tracks = [*tracks_in(music), Track(id="missing", path="missing.ogg")]
    cache = ClipCache(recipe(), "mel", tmp_path / "cache")
    reasons = {r.track.id: r.reason for r in cache.fill(tracks, music) if isinstance(r, Skipped)}
    assert set(reasons) == {"cut", "silent", "missing"}
    assert "cut.flac: " in reasons["cut"]
    assert "silent.wav" in reasons["silent"]
    assert "missing.ogg" in reasons["missing"]
    # what was read of a truncated file before that was known is not kept
    assert len(list(cache.folder.iterdir())) == 4


@pytest.mark.parametrize("path", ["../secret.ogg", "/etc/passwd", "a/../../secret.ogg"])
def test_a_manifest_cannot_name_a_path_outside(path):
    with pytest.raises(ValueError, match="path"):
        Track(id="x", path=path)


@pytest.mark.skipif(os.name == "nt", reason="links need rights")
def test_a_file_that_crashes_its_decoder_is_skipped(music, here, tmp_path):
    shutil.copy(music / "torus-1.ogg", music / "crash.ogg")
    tracks = [Track(id=name, path=f"{name}.ogg") for name in ("torus-1", "crash", "torus-2")]
    found = list(ClipCache(recipe(), "mel", tmp_path / "cache").fill(tracks, music, workers=1))
    assert [type(r) for r in found] == [Cached, Skipped, Cached]
    assert "crash.ogg: its decoder crashed" in found[1].reason


def test_a_link_out_of_the_root_is_skipped(music, here, tmp_path, songs):
    (music / "link.ogg").symlink_to(songs[0])
    escape = Track.model_construct(id="up", path="../secret.ogg", start_s=0.0, duration_s=None, recording=None)
    shutil.copy(songs[0], tmp_path / "secret.ogg")
    cache = ClipCache(recipe(), "mel", tmp_path / "cache")
    found = list(cache.fill([Track(id="link", path="link.ogg"), escape], music))
    assert [type(r) for r in found] == [Skipped, Skipped]
    assert not cache.folder.exists()


@pytest.mark.parametrize("domain", ["mel", "waveform"])
@pytest.mark.parametrize(("start", "duration"), [(2.0, 3.0), (6.5, None), (7.0, 9.0)])
def test_a_part_of_a_file(music, here, tmp_path, domain, start, duration):
    cache = ClipCache(recipe(), domain, tmp_path / "cache")
    part = Track(id="part", path="torus-1.ogg", start_s=start, duration_s=duration)
    found = {r.track.id: r for r in cache.fill([Track(id="all", path="torus-1.ogg"), part], music)}
    all_of_it, cached = found["all"], found["part"]
    end = start + duration if duration else 99
    expected = whole(music / "torus-1.ogg")[round(start * RATE) : round(end * RATE)]
    assert cached.file != all_of_it.file
    read = cache.stack([cache.read(cached, 0, cached.length)])[0]
    if domain == "waveform":
        np.testing.assert_allclose(read, expected, atol=0.51 / 32767)
    else:
        np.testing.assert_allclose(read, log_mel(expected).T, rtol=2**-10, atol=2e-3)


def test_a_part_that_begins_the_file_is_no_more_than_that(music, here, tmp_path):
    tracks = [
        Track(id="first", path="torus-1.ogg", duration_s=3.0),
        Track(id="second", path="torus-1.ogg", start_s=3.0, duration_s=2.0),
    ]
    first, second = ClipCache(recipe(), "waveform", tmp_path / "cache").fill(tracks, music)
    assert (first.length, second.length) == (3 * RATE, 2 * RATE)


def test_a_part_that_begins_the_file_is_no_more_where_the_others_are_in_another_split(music, here, tmp_path):
    cache = ClipCache(recipe(), "waveform", tmp_path / "cache")
    (first,) = cache.fill([Track(id="first", path="torus-1.ogg", duration_s=3.0)], music)
    assert first.length == 3 * RATE
    (again,) = cache.fill([Track(id="first", path="torus-1.ogg", duration_s=3.0)], music)
    assert again == first
    (longer,) = cache.fill([Track(id="first", path="torus-1.ogg", duration_s=5.0)], music)
    assert longer.length == 5 * RATE


@pytest.mark.parametrize("stated", [7.8, 8.0, 8.3, 60.0, None])
def test_a_length_that_is_stated_roughly_makes_no_part(music, here, tmp_path, stated):
    cache = ClipCache(recipe(), "waveform", tmp_path / "cache")
    (cached,) = cache.fill([Track(id="all", path="torus-1.ogg", duration_s=stated)], music)
    (expected,) = cache.fill([Track(id="all", path="torus-1.ogg")], music)
    assert cached.file == expected.file
    assert cached.length == len(whole(music / "torus-1.ogg"))


def test_digests_that_were_kept_before_lengths_were_are_taken_over(music, here, tmp_path, monkeypatch):
    cache = ClipCache(recipe(), "waveform", tmp_path / "cache")
    tracks = [Track(id="all", path="torus-1.ogg")]
    (before,) = cache.fill(tracks, music)
    kept = cache.folder.parent / "digests.json"
    kept.write_text(json.dumps({file: held[:3] for file, held in json.loads(kept.read_text()).items()}))
    monkeypatch.setattr("mirclr.data.clips.content_digest", lambda file: pytest.fail("read again"))
    assert list(cache.fill(tracks, music)) == [before]


def test_a_part_beyond_the_end_is_skipped(music, here, tmp_path):
    cache = ClipCache(recipe(), "waveform", tmp_path / "cache")
    (skipped,) = cache.fill([Track(id="part", path="torus-1.ogg", start_s=20.0)], music)
    assert isinstance(skipped, Skipped)
    assert "torus-1.ogg: no audio between" in skipped.reason


def test_the_commands_that_show_and_clear(music, here):
    def told():
        return json.loads(invoke(["clips", "info", "--json"]).output)

    assert told() == {"folder": str(clips_dir()), "tracks": 0, "bytes": 0}
    cached = list(ClipCache(recipe(), "mel").fill(tracks_in(music), music))
    size = sum(c.file.stat().st_size for c in cached)
    assert (told()["tracks"], told()["bytes"]) == (4, size) == cache_size()
    assert "4 tracks" in invoke(["clips", "info"]).output
    cleared = invoke(["clips", "clear", "--json"])
    assert json.loads(cleared.output) == {"freed_bytes": size}
    assert cache_size() == (0, 0)
    assert clear_cache() == 0


def test_samples_that_changed_are_decoded_again_whatever_stays(tmp_path, in_this_process):
    """The size, and three places of 64 KiB, are as they were."""
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 16000 * 30).astype(np.float32)
    write_wav(tmp_path / "a.wav", noise, 16000)
    cache = ClipCache(recipe(), "waveform", tmp_path / "cache")
    (before,) = cache.fill([Track(id="a", path="a.wav")], tmp_path)
    assert list(cache.fill([Track(id="a", path="a.wav")], tmp_path)) == [before]
    data = bytearray((tmp_path / "a.wav").read_bytes())
    kept = file_digest(tmp_path / "a.wav")
    data[100_000:200_000] = bytes(100_000)
    (tmp_path / "a.wav").write_bytes(data)
    os.utime(tmp_path / "a.wav", ns=(7, 7))
    assert file_digest(tmp_path / "a.wav") == kept
    (after,) = cache.fill([Track(id="a", path="a.wav")], tmp_path)
    assert after.key != before.key
    assert (cache.read(after, 60_000, 100) == 0).all()
    (tmp_path / "cache" / "digests.json").write_text("[" * 100_000)  # damaged: found out again
    assert list(cache.fill([Track(id="a", path="a.wav")], tmp_path)) == [after]


def test_a_file_that_is_as_it_was_is_not_read_again(tmp_path, in_this_process, monkeypatch):
    for name in "ab":
        write_wav(tmp_path / f"{name}.wav", np.full(16000, 0.1, np.float32), 16000)
    tracks = [Track(id=name, path=f"{name}.wav") for name in "ab"]
    cache = ClipCache(recipe(), "waveform", tmp_path / "cache")
    one, two = cache.fill(tracks, tmp_path)
    assert one.key == two.key
    os.utime(tmp_path / "b.wav", ns=(7, 7))
    read = []
    monkeypatch.setattr(clips, "content_digest", lambda file: read.append(file.name) or content_digest(file))
    assert [c.key for c in cache.fill(tracks, tmp_path)] == [one.key] * 2
    assert read == ["b.wav"]


# which tracks


def test_tracks_of_a_manifest(tmp_path):
    tracks = [Track(id=s or "none", path="a.ogg", split=s) for s in ("train", "valid", "test", None)]
    write_manifest(tmp_path / "m" / "tracks.jsonl", tracks)
    found, root = tracks_of("m/tracks.jsonl", tmp_path, splits=("train", None))
    assert ([t.id for t in found], root) == (["train", "none"], tmp_path / "m")
    _, root = tracks_of("m/tracks.jsonl", tmp_path, audio_root="music", splits=("valid",))
    assert root == tmp_path / "music"
    with pytest.raises(ManifestError, match="mirclr manifest scan"):
        tracks_of("no.jsonl", tmp_path, splits=(None,))
    write_manifest(tmp_path / "held_out.jsonl", tracks[1:3])
    with pytest.raises(ManifestError, match="never trained on"):
        tracks_of("held_out.jsonl", tmp_path, splits=("train", None))


# batches


def fake_cache(folder, lengths, recordings=None, bands=3):
    """Tracks of `lengths` frames; every value of track i's frame t is i + t / 1024."""
    cache = ClipCache(recipe(f"mel.n_mels={bands}"), "mel", folder)
    cache.folder.mkdir(parents=True)
    cached = []
    for i, length in enumerate(lengths):
        rows = np.repeat(i + np.arange(length)[:, None] / 1024, bands, axis=1).astype("<f2")
        file = cache.folder / f"{i}.raw"
        file.write_bytes(rows.tobytes())
        track = Track(id=f"t{i}", path=f"{i}.ogg", recording=recordings[i] if recordings else None)
        cached.append(Cached(track, file, length))
    return cache, cached


def source_of(folder, lengths, *overrides, crop=8, recordings=None):
    cache, cached = fake_cache(folder, lengths, recordings)
    plan = recipe("mel.n_mels=3", *overrides)
    return ClipSource(cache, cached, ClipShape("mel", crop), plan, is_useful=partial(is_useful, plan.objective))


def test_a_batch_is_a_function_of_seed_and_step(tmp_path):
    one = source_of(tmp_path / "a", [900] * 9)
    two = source_of(tmp_path / "b", [900] * 9)
    other = source_of(tmp_path / "c", [900] * 9, "seed=1")
    for step in (5, 0, 5):
        a, b = one.batch(step), two.batch(step)
        assert torch.equal(a.clips, b.clips)
        assert a.tracks == b.tracks
    assert not torch.equal(one.batch(5).clips, one.batch(6).clips)
    assert not torch.equal(one.batch(5).clips, other.batch(5).clips)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 9), st.integers(2, 30), st.integers(0, 99))
def test_no_track_twice_before_each_once(tmp_path_factory, tracks, batch, step):
    folder = tmp_path_factory.mktemp("cache")
    source = source_of(folder, [20] * tracks, f"training.batch={batch}")
    times = Counter(source.batch(step).tracks)
    assert sum(times.values()) == batch
    assert max(times.values()) - (min(times.values()) if len(times) == tracks else 0) <= 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(8, 60), min_size=2, max_size=5), st.integers(1, 20), st.integers(0, 99))
def test_crops_lie_inside_and_near(tmp_path_factory, lengths, gap, step):
    frames_a_second = RATE / Mel().hop_length
    folder = tmp_path_factory.mktemp("cache")
    source = source_of(folder, lengths, f"augment.gap_seconds={gap / frames_a_second}")
    batch = source.batch(step)
    assert batch.clips.shape == (12, 3, 8)
    starts = []
    for row, name in zip(batch.clips[:, 0], batch.tracks * 2, strict=True):
        i = int(name[1:])
        frames = ((row - i) * 1024).round()
        # float16 is coarse above the first tracks: the place is known to two frames there
        assert torch.all((frames.diff() - 1).abs() <= 4)
        start = float(frames.mean() - 3.5)
        assert -2 <= start <= lengths[i] - 8 + 2
        starts.append(start)
    assert all(abs(a - b) <= gap + 4 for a, b in zip(starts[:6], starts[6:], strict=True))


def test_the_gap_is_used_to_its_ends(tmp_path):
    gap = 2 / (RATE / Mel().hop_length)
    source = source_of(tmp_path, [100, 100], f"augment.gap_seconds={gap}")
    rng = np.random.default_rng(0)
    pairs = np.array([two_crops(source.tracks[0].length, source.length, source.gap, rng) for _ in range(2000)])
    assert set(np.diff(pairs)[:, 0]) == {-2, -1, 0, 1, 2}
    assert (pairs.min(), pairs.max()) == (0, 92)
    far = source_of(tmp_path / "far", [100, 100])
    pairs = np.array([two_crops(far.tracks[0].length, far.length, far.gap, rng) for _ in range(2000)])
    assert np.abs(np.diff(pairs)).max() > 80


def test_a_track_of_one_crop_has_one_place(tmp_path):
    source = source_of(tmp_path, [8, 8])
    clips = source.batch(0).clips
    assert torch.equal(clips[:6], clips[6:])


def test_a_short_track_repeats(tmp_path):
    source = source_of(tmp_path, [3, 5])
    batch = source.batch(0)
    for row, name in zip(batch.clips[:, 0], batch.tracks * 2, strict=True):
        length = {"t0": 3, "t1": 5}[name]
        expected = np.resize(int(name[1:]) + np.arange(length) / 1024, 8)
        np.testing.assert_allclose(row, expected, atol=1e-6)


def test_targets_say_what_is_a_positive_and_what_is_no_negative(tmp_path):
    source = source_of(tmp_path, [20] * 4, "training.batch=4", recordings=["a", None, "a", "b"])
    batch = source.batch(0)
    assert batch.targets.instance.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    recording = batch.targets.recording.tolist()
    assert recording[:4] == recording[4:]
    of = dict(zip(batch.tracks, recording, strict=False))
    assert of["t0"] == of["t2"]
    assert len({of["t0"], of["t1"], of["t3"]}) == 3


def test_one_recording_is_too_few(tmp_path):
    with pytest.raises(ManifestError, match="at least two recordings"):
        source_of(tmp_path, [20, 20], recordings=["a", "a"])


# batches that teach nothing


def few_artists(counts, objective="nt_xent", labels=None, **training):
    """A source of tracks by so many artists, which are never negatives of their own; nothing is on disk."""
    made = [
        Cached(Track(id=f"{a}-{i}", path=f"{a}-{i}", artist=f"artist {a}"), Path(f"{a}-{i}"), 4000)
        for a, count in enumerate(counts)
        for i in range(count)
    ]
    text = "name: a\ndata: {train: t, never_negative: artist}\nobjective: {name: " + objective + "}"
    overrides = ["training.batch=2", "data.labels=" + (labels or "null")]
    plan = parse_recipe(text, overrides=overrides + [f"training.{k}={v}" for k, v in training.items()])
    return ClipSource(
        ClipCache(plan, "mel"), made, ClipShape("mel", 10), plan, is_useful=partial(is_useful, plan.objective)
    )


@pytest.mark.parametrize("objective", ["nt_xent", "triplet", "n_pair", "sup_con", "generalized_sup_con"])
@pytest.mark.parametrize("counts", [(30, 1), (3, 3), (400, 1)])
def test_every_batch_is_useful_where_one_can_be(counts, objective):
    source = few_artists(counts, objective, "artist" if objective == "sup_con" else None)
    again = few_artists(counts, objective, "artist" if objective == "sup_con" else None)
    drawn = [source._draw(step) for step in range(12)]
    for step, (picks, redrawn, _) in enumerate(drawn):
        assert len(picks) == 2
        assert len({source.recording[i] for i in picks}) == 2
        second, times, _ = again._draw(step)
        np.testing.assert_array_equal(picks, second)
        assert redrawn == times
    assert any(redrawn for _, redrawn, _ in drawn)


def test_an_artist_written_in_two_ways_is_no_negative_of_its_own():
    names = ("Queen", "Queen feat. David Bowie", "Various Artists", None)
    made = [Cached(Track(id=f"{i}", path=f"{i}", artist=a), Path(f"{i}"), 4000) for i, a in enumerate(names)]
    plan = parse_recipe("name: a\ndata: {train: t, never_negative: artist}\nobjective: {name: nt_xent}")
    numbers = ClipSource(
        ClipCache(plan, "mel"), made, ClipShape("mel", 10), plan, is_useful=partial(is_useful, plan.objective)
    ).recording
    assert numbers[0] == numbers[1]
    assert len(set(numbers)) == 3


def test_where_no_batch_is_useful_the_keys_are_named():
    with pytest.raises(ObjectiveError, match=r"no two of the 5 tracks .* data\.never_negative \(artist\)"):
        few_artists((5,))


def test_a_first_draw_that_is_useful_is_taken():
    source = few_artists((50, 50), batch=64)
    rng = np.random.Generator(np.random.PCG64([0, 3]))
    np.testing.assert_array_equal(source._draw(3)[0], pick_tracks(100, 64, rng))
    assert source._draw(3)[1] == 0


def test_a_pair_is_found_where_what_is_no_negative_is_no_group():
    # only 7 and 300 teach anything together
    def is_useful_pair(tracks):
        return {7, 300} <= set(tracks.tolist())

    found = useful_pair(np.array([5, 6]), np.random.default_rng(0).permutation(310), is_useful_pair)
    assert found is None or set(found.tolist()) == {7, 300}
    close = useful_pair(np.array([5, 6]), np.array([1, 300, 2, 7, 3]), is_useful_pair)
    assert set(close.tolist()) == {7, 300}


@pytest.mark.parametrize("left", [0, 101])
def test_a_file_of_the_cache_that_was_cut_off_is_decoded_anew_and_never_read(left, music, tmp_path):
    cache = ClipCache(recipe(), "mel", tmp_path / "cache")
    found = [c for c in cache.fill(tracks_in(music), music) if isinstance(c, Cached)]
    one, whole = found[0], found[0].file.read_bytes()
    one.file.write_bytes(whole[:left])
    with pytest.raises(CacheError, match="was removed or cut off"):
        cache.read(one, 0, one.length)
    again = list(cache.fill([one.track], music))
    assert again == [one]
    assert one.file.read_bytes() == whole
    one.file.unlink()
    with pytest.raises(CacheError, match="was removed or cut off"):
        cache.read(one, 0, 1)
