"""What mirclr is to Python: one import, encoders, a library that embeds; and the examples of its documentation."""

import doctest
import importlib.util
import inspect
import json
import re
import shutil
import subprocess
import sys
import warnings
from dataclasses import fields
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
import torch

import mirclr
from mirclr.audio import resample
from mirclr.audio.landmarks import find_landmarks
from mirclr.errors import EncoderMismatch, LibraryError, QueryError, UnreadableAudio, UnusableAudio
from mirclr.models.pretrained import builtin_heads
from mirclr.recommend import Query
from tests.commands import invoke
from tests.conftest import tone

ROOT = Path(mirclr.__file__).parents[1]


@pytest.fixture(scope="module")
def encoder(checkpoint):
    return mirclr.load_encoder(checkpoint, device="cpu")


@pytest.fixture(scope="module")
def builtin():
    return mirclr.load_encoder(device="cpu")


# the import


def test_importing_is_cheap_and_every_name_is_there():
    code = (
        "import sys, json, mirclr\n"
        "heavy = {'torch', 'numpy', 'sklearn', 'pydantic', 'faiss'} & {m.split('.')[0] for m in sys.modules}\n"
        "mirclr.Library, mirclr.Query\n"
        "later = {'torch', 'sklearn'} & {m.split('.')[0] for m in sys.modules}\n"
        "print(json.dumps([sorted(heavy), sorted(later), sorted(mirclr.__all__), dir(mirclr)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy, later, names, listed = json.loads(done.stdout)
    assert heavy == later == []
    assert set(names) <= set(listed)
    assert all(getattr(mirclr, name) is not None for name in names)
    with pytest.raises(AttributeError, match="no attribute 'Libary'"):
        _ = mirclr.Libary


def test_the_package_is_typed():
    """What a type checker makes of it is in api_types.py, which `make check` reads."""
    assert (ROOT / "mirclr" / "py.typed").is_file()
    assert "tests/api_types.py" in (ROOT / "Makefile").read_text(encoding="utf-8")


# files and waveforms


def test_a_file_is_embedded_as_the_command_does(builtin, songs, tmp_path, in_this_process):
    with mirclr.Library.open(tmp_path / "lib.db", create=True) as library:
        library.embed(songs[0].parent, device="cpu")
        ids, vectors = library.vectors()
        held = {track.file: vectors[ids.tolist().index(track.id)] for track in library.tracks()}
    for song in songs:
        found = builtin.embed_file(song)
        assert (found.shape, found.dtype) == ((768,), np.float32)
        np.testing.assert_allclose(np.linalg.norm(found), 1, atol=1e-6)
        np.testing.assert_array_equal(found, held[song])
        np.testing.assert_array_equal(builtin.embed_file(str(song)), found)
    np.testing.assert_array_equal(builtin.embed_files(songs, workers=1), np.stack([held[song] for song in songs]))


@pytest.mark.parametrize("channels", [1, 2])
def test_the_samples_of_a_lossless_file_are_the_file(builtin, songs, tmp_path, channels):
    for song in songs:
        y, sr = soundfile.read(song, dtype="float32", always_2d=True)
        y = np.clip(np.concatenate([y, 0.5 * y[::-1]], axis=1)[:, :channels], -1, 1)
        for name, subtype, dtype in (
            ("a.flac", "PCM_16", "int16"),
            ("a.wav", "FLOAT", "float32"),
            ("b.wav", "PCM_32", "int32"),
        ):
            soundfile.write(tmp_path / name, y, sr, subtype=subtype)
            samples, _ = soundfile.read(tmp_path / name, dtype=dtype, always_2d=True)
            wanted = builtin.embed_file(tmp_path / name)
            np.testing.assert_array_equal(builtin.embed(samples.T, sr), wanted)
            segments, starts = builtin.embed_segments(tmp_path / name, hop=1.5)
            again, starts_again = builtin.embed_segments(samples.T, hop=1.5, sr=sr)
            np.testing.assert_array_equal(starts, starts_again)
            np.testing.assert_allclose(segments, again, atol=2e-4)


def test_the_samples_of_a_lossy_file_are_near_it(builtin, songs, tmp_path):
    for song in songs:
        y, sr = soundfile.read(song, dtype="float32")
        soundfile.write(tmp_path / "a.mp3", y, sr, format="MP3")
        samples, sr = soundfile.read(tmp_path / "a.mp3", dtype="float64")
        assert builtin.embed_file(tmp_path / "a.mp3") @ builtin.embed(samples, sr) > 0.999
        for rate in (16000, 22050, 48000):
            assert builtin.embed_file(song) @ builtin.embed(resample(y, sr, rate), rate) > 0.999


@pytest.fixture(scope="module")
def noise():
    """Two seconds at 22,050 Hz, float64 within [-1, 1), whole steps of 8 bits."""
    return np.random.default_rng(0).integers(-100, 100, 2 * 22050) / 128


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble", ">f4", ">f8"])
def test_floating_point_samples_are_taken_as_they_are(encoder, noise, dtype):
    np.testing.assert_array_equal(encoder.embed(noise.astype(dtype), 22050), encoder.embed(noise, 22050))


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", ">i2", "uint8", "uint16", "uint32"])
def test_whole_numbers_are_scaled_by_their_type(encoder, noise, dtype):
    range_ = np.iinfo(dtype)
    half, middle = (int(range_.max) - int(range_.min) + 1) // 2, 0 if range_.min else 2 ** (range_.bits - 1)
    whole = (np.round(noise * 128).astype(object) * (half // 128) + middle).astype(dtype)
    np.testing.assert_array_equal(encoder.embed(whole, 22050), encoder.embed(noise, 22050))


def test_whatever_holds_samples_is_taken(encoder, noise):
    wanted = encoder.embed(noise, 22050)
    reversed_twice = noise[::-1].copy()[::-1]
    readonly = noise.copy()
    readonly.setflags(write=False)
    strided = np.repeat(noise, 2)[::2]
    tensor = torch.from_numpy(noise).requires_grad_()
    turned = torch._neg_view(torch.from_numpy(-noise))
    for y in (
        turned,
        torch.from_numpy(noise).bfloat16(),
        reversed_twice,
        readonly,
        strided,
        tensor,
        noise.tolist(),
        noise[None],
        np.stack([noise, noise]),
    ):
        for sr in (22050, 22050.0, np.int64(22050), np.float32(22050), np.array(22050), torch.tensor(22050)):
            np.testing.assert_array_equal(encoder.embed(y, sr), wanted)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_waveform_is_left_as_it_was(encoder, noise, order):
    """Of a channel that is turned, too: its mean with the other is taken of a copy."""
    y = np.array([noise, -noise], np.float32, order=order)
    before = y.copy()
    np.testing.assert_array_equal(encoder.embed(y, 22050), encoder.embed(noise, 22050))
    np.testing.assert_array_equal(y, before)


BAD = {
    "empty": ([], 22050, "0 samples"),
    "too short": (np.ones(1000), 22050, r"1000 samples at 22050 Hz are 0\.04535 s long; 0\.5 s to 24 h"),
    "a channel of nothing": (np.ones((2, 0)), 22050, "0 samples"),
    "no channel": (np.ones((0, 22050)), 22050, r"shape \(0, 22050\)"),
    "channels last": (np.ones((22050, 2)), 22050, r"shape \(22050, 2\), expected .* transpose it"),
    "too many channels": (np.ones((9, 22050)), 22050, "1 to 8 channels"),
    "three axes": (np.ones((1, 1, 22050)), 22050, "expected"),
    "a number": (3.0, 22050, "expected"),
    "NaN": (np.r_[np.ones(30000), np.nan], 22050, "NaN or infinite"),
    "infinite": (np.r_[np.ones(30000), -np.inf], 22050, "NaN or infinite"),
    "too large for float32": (np.r_[np.ones(30000), 1e300], 22050, "NaN or infinite"),
    "scaled as whole numbers": (np.full(30000, 20000.0), 22050, "full scale is 1"),
    "silent": (np.zeros(30000), 22050, "silent"),
    "complex": (np.ones(30000, complex), 22050, "complex128"),
    "bool": (np.ones(30000, bool), 22050, "bool"),
    "texts": (["a", "b"], 22050, "expected real numbers"),
    "ragged": ([[1.0], [1.0, 2.0]], 22050, "not an array|expected real"),
    "rate 0": (np.ones(30000), 0, "sampling rate 0"),
    "rate NaN": (np.ones(30000), float("nan"), "sampling rate nan"),
    "rate none": (np.ones(30000), None, "sampling rate None"),
    "rate of text": (np.ones(30000), "22050", "sampling rate '22050'"),
    "rate true": (np.ones(30000), True, "sampling rate True"),
    "rate too large for a float": (np.ones(30000), 10**400, "sampling rate 1000"),
    "sparse": (torch.ones(30000).to_sparse(), 22050, "not an array of samples"),
    "without numbers": (torch.ones(30000, device="meta"), 22050, "not an array of samples"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_waveform_is_refused_in_a_line(encoder, name):
    y, sr, text = BAD[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnusableAudio, match=text) as raised:
            encoder.embed(y, sr)
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value, ValueError)


def test_segments_are_evenly_spaced_and_of_one_length(builtin, songs):
    rows, starts = builtin.embed_segments(songs[0], hop=1.0)
    np.testing.assert_array_equal(starts, np.arange(7))  # of eight seconds, two each
    assert (rows.shape, rows.dtype) == ((7, 384), np.float32)
    overlapping, starts = builtin.embed_segments(songs[0], hop=0.5)
    np.testing.assert_array_equal(starts, np.arange(13) / 2)
    np.testing.assert_allclose(overlapping[::2], rows, atol=1e-4)
    apart, starts = builtin.embed_segments(songs[0], hop=3.0)
    np.testing.assert_array_equal(starts, [0, 3, 6])
    np.testing.assert_allclose(apart, rows[::3], atol=1e-4)


def test_a_silent_segment_is_a_row_of_nan(encoder, noise):
    y = np.concatenate([noise, np.zeros(22050 * 3), noise])
    rows, starts = encoder.embed_segments(y, hop=1.0, sr=22050)
    np.testing.assert_array_equal(np.isnan(rows).any(axis=1), [False, False, False, True, False, False, False])
    assert len(starts) == 7


@pytest.mark.parametrize("hop", [0, -1, float("nan"), float("inf"), None, "1", 1j, [1.0]])
def test_a_hop_is_above_zero(encoder, noise, hop):
    with pytest.raises(ValueError, match="hop: found"):
        encoder.embed_segments(noise, hop, sr=22050)


def test_a_waveform_needs_its_rate(encoder, noise):
    with pytest.raises(ValueError, match="sr: expected"):
        encoder.embed_segments(noise)


def test_what_is_no_audio_is_refused(encoder, tmp_path, songs, in_this_process):
    with pytest.raises(UnreadableAudio, match=r"gone\.mp3"):
        encoder.embed_file(tmp_path / "gone.mp3")
    (tmp_path / "bad.mp3").write_bytes(b"no music" * 100)
    for call in (encoder.embed_file, encoder.embed_segments):
        with pytest.raises(UnreadableAudio, match=r"bad\.mp3"):
            call(tmp_path / "bad.mp3")
    with pytest.raises(UnreadableAudio, match=r"bad\.mp3"):
        encoder.embed_files([songs[0], tmp_path / "bad.mp3"])
    seen = []
    with pytest.warns(UserWarning, match=r"bad\.mp3.*its row is NaN"):
        rows = encoder.embed_files(
            [tmp_path / "bad.mp3", songs[0]], on_error="nan", progress=lambda *at: seen.append(at)
        )
    assert np.isnan(rows[0]).all()
    np.testing.assert_array_equal(rows[1], encoder.embed_file(songs[0]))
    assert seen == [(1, 2), (2, 2)]
    assert encoder.embed_files([]).shape == (0, encoder.dim)
    with pytest.raises(ValueError, match="on_error: found 'skip'"):
        encoder.embed_files(songs, on_error="skip")
    with pytest.raises(ValueError, match=r"paths: found one, 'a\.mp3'; expected several"):
        encoder.embed_files("a.mp3")


@pytest.mark.parametrize("name", ["a\0b.mp3", "~nobody-of-that-name/a.mp3", "", "a" * 5000])
def test_a_name_that_can_be_none_of_a_file_is_refused_as_one(encoder, name):
    for call in (encoder.embed_file, encoder.embed_segments, lambda name: mirclr.classify(name, encoder=encoder)):
        with pytest.raises((UnreadableAudio, EncoderMismatch)):
            call(name)
    with pytest.raises(mirclr.errors.CheckpointError):
        mirclr.load_encoder(name)


@pytest.mark.parametrize("device", ["gpu", None, 3.5, "meta"])
def test_a_device_that_does_not_compute_is_refused_in_a_line(checkpoint, device):
    with pytest.raises(mirclr.errors.TrainingError, match="device") as raised:
        mirclr.load_encoder(checkpoint, device=device)
    assert "\n" not in str(raised.value)


def test_an_encoder_says_what_it_is(builtin, checkpoint):
    assert repr(builtin).startswith("Encoder('builtin', digest='")
    assert (builtin.dim, builtin.rate, builtin.seconds) == (768, 16000, 2.0)
    with pytest.raises(mirclr.errors.CheckpointError, match=r"gone\.safetensors: no such file"):
        mirclr.load_encoder("gone.safetensors")


# predictions


def test_a_file_is_classified_as_the_command_does(songs, builtin, in_this_process):
    result = invoke(["classify", "predict", *map(str, songs), "--top", "50", "--device", "cpu", "--json"])
    told = {Path(track["file"]): track for track in json.loads(result.stdout)["tracks"]}
    for song in songs:
        found, wanted = mirclr.classify(song, device="cpu"), told[song]
        assert isinstance(found, mirclr.Prediction)
        assert {name: round(p, 4) for name, p in found.genre.items()} == wanted["genres"]
        assert list(found.genre) == list(wanted["genres"])
        assert {name: round(p, 4) for name, p in found.moods.items()} == wanted["moods"]
        assert found.top_genre == wanted["genre"]
        for name in ("voice", "sound", "instruments"):
            assert {label: round(p, 4) for label, p in getattr(found, name).items()} == wanted[name]
        assert {"vocal", "danceable", "piano"} <= {*found.voice, *found.sound, *found.instruments}
        assert found.likely == {n: p for n, p in (found.voice | found.sound | found.instruments).items() if p >= 0.5}
        assert (round(found.valence, 4), round(found.arousal, 4)) == (wanted["valence"], wanted["arousal"])
        assert mirclr.classify(str(song), encoder=builtin) == found


def test_a_waveform_is_classified(songs, builtin):
    y, sr = soundfile.read(songs[0], dtype="float32")
    found, wanted = mirclr.classify(y, sr, encoder=builtin), mirclr.classify(songs[0], encoder=builtin)
    assert found.top_genre == wanted.top_genre
    assert found.genre == pytest.approx(wanted.genre, abs=1e-3)
    with pytest.raises(ValueError, match="sr: expected"):
        mirclr.classify(y, encoder=builtin)
    with pytest.raises(UnreadableAudio, match=r"gone\.mp3"):
        mirclr.classify("gone.mp3", encoder=builtin)


def test_the_package_of_predictions_stays_a_package(builtin, encoder, songs):
    """It is called, and what is in it is imported, in whichever order."""
    code = (
        "import mirclr, inspect\n"
        "called = mirclr.classify\n"
        "from mirclr.classify import Heads, UNKNOWN\n"
        "import mirclr.classify.labels as labels\n"
        "assert mirclr.classify is called and callable(called) and called.Heads is Heads and labels.Labels\n"
        "import sys\n"
        "assert 'torch' not in sys.modules\n"
        "print(*inspect.signature(mirclr.classify).parameters)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["source", "sr", "heads", "encoder", "device"]
    heads = mirclr.classify.Heads.load(builtin_heads())
    assert mirclr.classify(songs[0], heads=heads, device="cpu") == mirclr.classify(songs[0], encoder=builtin)
    with pytest.raises(EncoderMismatch, match="heads of the encoder builtin"):
        mirclr.classify(songs[0], encoder=encoder)


def test_what_is_no_encoder_is_refused(songs, tmp_path):
    with pytest.raises(TypeError, match=r"encoder: found 'builtin'; expected an Encoder"):
        mirclr.classify(songs[0], encoder="builtin")
    with mirclr.Library.open(tmp_path / "lib.db", create=True) as library:
        with pytest.raises(TypeError, match="encoder: found 'builtin'; expected an Encoder"):
            library.embed(songs, encoder="builtin")
        with pytest.raises(TypeError, match="encoder: found None; expected an Encoder"):
            library.encoder = None


# a library


def test_a_library_that_is_closed_says_so(tmp_path):
    library = mirclr.Library.open(tmp_path / "lib.db", create=True)
    assert repr(library) == f"Library({str(tmp_path / 'lib.db')!r})"
    library.close()
    for call in (library.tracks, library.info, lambda: library.recommend("x"), lambda: library.embed(tmp_path)):
        with pytest.raises(LibraryError, match=r"lib\.db: it is closed; open it again"):
            call()


def test_an_empty_name_is_not_the_folder_that_a_script_runs_in(tmp_path, monkeypatch, songs):
    monkeypatch.chdir(songs[0].parent)
    with mirclr.Library.open(tmp_path / "lib.db", create=True) as library:
        for paths in ("", ["", songs[0]]):
            with pytest.raises(LibraryError, match="found an empty text"):
                library.embed(paths)
        assert library.tracks() == []


def test_numbers_of_numpy_are_numbers(encoder, music, tmp_path, in_this_process):
    with mirclr.Library.open(tmp_path / "lib.db", create=True) as library:
        library.embed(music, encoder=encoder)
        seed = str(music / "a.ogg")
        plain = {"n": 3, "diversity": 0.5, "artist_cap": 1, "artist_gap": 2, "seed": 4, "duration_s": (1, 100)}
        numpy = {name: np.float32(v) if name == "diversity" else np.int64(v) for name, v in list(plain.items())[:-1]}
        numpy["duration_s"] = (np.int64(1), np.float64(100))
        assert library.recommend(seed, **numpy) == library.recommend(seed, **plain)
        for name in ("n", "seed", "artist_cap"):
            with pytest.raises(QueryError, match=f"{name}: found 2.5; expected a number"):
                library.recommend(seed, **{name: np.float64(2.5)})
        with pytest.raises(QueryError, match="to: found 3; expected a text"):
            library.recommend(seed, to=3)
        with pytest.raises(QueryError, match="seeds: found") as raised:
            library.recommend(np.zeros(768))
        assert len(str(raised.value)) < 300


def test_recommend_has_every_option_of_a_query_with_its_default():
    found = inspect.signature(mirclr.Library.recommend).parameters
    assert not any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in found.values())
    for field in fields(Query):
        assert found[field.name].default == field.default, field.name
    assert set(found) == {"self", "excerpts", "shuffle", *(f.name for f in fields(Query))}


def test_a_library_embeds_what_is_new_and_reports(encoder, music, tmp_path, in_this_process):
    (music / "bad.mp3").write_bytes(b"no music")
    seen = []
    with mirclr.Library.open(tmp_path / "lib.db", create=True) as library:
        report = library.embed([music], encoder=encoder, progress=lambda done, total: seen.append((done, total)))
        assert str(report) == "4 embedded, 1 failed"
        assert list(report.failures) == [music / "bad.mp3"]
        assert sorted(seen) == [(i, 5) for i in range(1, 6)]
        shutil.move(music / "a.ogg", music / "moved.ogg")
        shutil.copy(music / "b.ogg", music / "copy.ogg")
        report = library.embed(str(music), encoder=encoder)
        assert (report.unchanged, report.moved, report.copied, report.failed) == (3, 1, 1, 1)
        assert sorted(t.path for t in library.tracks()) == ["b.ogg", "copy.ogg", "moved.ogg", "sub/c.ogg", "sub/d.ogg"]
        assert [r.rank for r in library.recommend(str(music / "moved.ogg"), n=2, artist_cap=0)] == [1, 2]
        with pytest.raises(LibraryError, match="no such file or folder"):
            library.embed(tmp_path / "gone", encoder=encoder)


def test_what_a_library_embeds_gets_a_fingerprint_where_others_have_one(encoder, music, tmp_path, in_this_process):
    with mirclr.Library.open(tmp_path / "lib.db", create=True) as library:
        library.embed(music / "sub", encoder=encoder)
        assert not library.has_fingerprints
        library.store_fingerprints({library.ids()[0]: find_landmarks(music / "sub" / "c.ogg")})
        library.embed(music, encoder=encoder)
        assert library.without_fingerprint() == []
        (music / "a.ogg").rename(music / "b2.ogg")
        made = library.fingerprint_times()[1].tolist()
        library.embed(music, encoder=encoder)
        assert library.fingerprint_times()[1].tolist() == made


def test_a_library_takes_the_encoder_that_it_was_made_with(checkpoint, music, tmp_path, songs, in_this_process):
    with mirclr.Library.open(tmp_path / "lib.db", create=True) as library:
        library.embed(music / "sub", encoder=mirclr.load_encoder(checkpoint, device="cpu"))
    with mirclr.Library.open(tmp_path / "lib.db") as library:
        assert library.embed(music, device="cpu").embedded == 2
        assert library.stamp.name == str(checkpoint)
        outside = shutil.copy(songs[0], tmp_path / "outside.ogg")
        tone(tmp_path / "tone.wav", 440)
        assert library.recommend([outside, tmp_path / "tone.wav"], n=1)
        with pytest.raises(EncoderMismatch):
            library.embed(music, encoder=mirclr.load_encoder(device="cpu"))


def test_a_library_whose_encoder_is_gone_says_so(checkpoint, music, tmp_path, in_this_process):
    moved = Path(shutil.copy(checkpoint, tmp_path / "moved.safetensors"))
    with mirclr.Library.open(tmp_path / "lib.db", create=True) as library:
        library.embed(music, encoder=mirclr.load_encoder(moved, device="cpu"))
    moved.unlink()
    tone(tmp_path / "tone.wav", 440)
    with mirclr.Library.open(tmp_path / "lib.db") as library:
        with pytest.raises(LibraryError, match="the library's encoder is not where it was"):
            library.embed(music)
        with pytest.raises(LibraryError, match=r"tone\.wav is not in the library, and the library's encoder is not"):
            library.recommend(tmp_path / "tone.wav")
        library.encoder = mirclr.load_encoder(checkpoint, device="cpu")
        assert library.recommend(tmp_path / "tone.wav", n=1)
        assert library.embed(music).unchanged == 4
        with pytest.raises(EncoderMismatch):
            library.encoder = mirclr.load_encoder(device="cpu")
        assert library.encoder.dim == 8


def test_bounds_may_be_open_or_one_value(encoder, music, tmp_path, in_this_process):
    years = {"a.ogg": "1980", "b.ogg": "1990", "sub/c.ogg": "2000", "sub/d.ogg": "2010"}
    for name, year in years.items():
        file = mutagen.File(music / name)
        file["date"] = year
        file.save()
    with mirclr.Library.open(tmp_path / "lib.db", create=True) as library:
        library.embed(music, encoder=encoder)

        def found(year):
            return sorted(r.track.year for r in library.recommend(music / "a.ogg", year=year, artist_cap=0))

        assert found(None) == found((None, None)) == [1990, 2000, 2010]
        assert found((2000, None)) == [2000, 2010]
        assert found((None, 2000)) == found([0, 2000]) == [1990, 2000]
        assert found(2000) == [2000]
        assert found("2000") == [2000]
        assert found("1990s") == found("before 2000") == [1990]
        for bad in ("200", (1, 2, 3), True):
            with pytest.raises(QueryError, match="year: found"):
                found(bad)
        with pytest.raises(QueryError, match="seeds: found"):
            library.recommend([3])


def test_home_is_the_home_folder(monkeypatch, tmp_path, music, encoder, in_this_process):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with mirclr.Library.open("~/lib.db", create=True) as library:
        assert library.path == tmp_path / "lib.db"
        assert library.embed("~/music", encoder=encoder).embedded == 4
    np.testing.assert_array_equal(encoder.embed_file("~/music/a.ogg"), encoder.embed_file(music / "a.ogg"))


# the examples of the documentation


@pytest.fixture
def folder(tmp_path, monkeypatch, songs):
    """What the examples name: files, and a folder of music with tags."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    shutil.copy(songs[0], "song.mp3")  # what a file is depends on its content
    shutil.copy(songs[1], "other.flac")
    Path("Music").mkdir()
    tags = [("Nils Frahm", "First", "2000"), ("Other", "Second", "2001"), ("Third", "Third", "2020")]
    for song, (artist, title, year) in zip(songs, tags, strict=False):
        file = mutagen.File(shutil.copy(song, f"Music/{title}.ogg"))
        file.update({"artist": artist, "title": title, "date": year})
        file.save()
    return tmp_path


def with_examples():
    texts = {f: f.read_text(encoding="utf-8") for f in sorted((ROOT / "mirclr").rglob("*.py"))}
    parts = [f.relative_to(ROOT).with_suffix("").parts for f, text in texts.items() if ">>> " in text]
    return [".".join(p[:-1] if p[-1] == "__init__" else p) for p in parts]


@pytest.mark.parametrize("name", with_examples())
def test_examples_of_docstrings(name, folder, in_this_process):
    module = importlib.import_module(name)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=options)
    printed = []
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        Path("lib.db").unlink(missing_ok=True)
        runner.run(test, out=printed.append)
    assert runner.tries > 0
    assert runner.failures == 0, "".join(printed)


def test_the_python_section_of_the_readme(folder, monkeypatch, capsys, in_this_process):
    """Its blocks run one after the other, with what they leave to the reader: a waveform, a recipe, a dataset."""
    monkeypatch.setattr("mirclr.training.trainer._tensorboard", lambda run: lambda step, metrics: None)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("\n## In Python\n")[2].partition("\n## ")[0]
    blocks = [block for block in re.split(r"\n(?=\S)", section) if "    " in block]
    code = "\n".join(line[4:] for block in blocks for line in block.splitlines() if line.startswith("    "))
    shutil.copytree("Music", folder / "of_home" / "Music")
    monkeypatch.setenv("HOME", str(folder / "of_home"))
    monkeypatch.setenv("USERPROFILE", str(folder / "of_home"))
    Path("recipe.yaml").write_text(
        "name: tiny\ndata: {train: nothing, labels: genre}\naudio: {clip_seconds: 0.5}\n"
        "encoder: {name: resnet, widths: [4], blocks: [1]}\ntraining: {steps: 2, batch: 4, warmup: 1}\n"
    )
    y, sr = soundfile.read("song.mp3")
    given = {
        "y": y,
        "sr": sr,
        "my_dataset": [(y[i * 20000 : (i + 1) * 20000], "rock") for i in range(4)],
        "waveforms": torch.zeros(4, 16000),
        "z": torch.eye(4),
        "labels": torch.tensor([0, 0, 1, 1]),
        "files": ["song.mp3", "other.flac"],
    }
    for name in ("load_encoder", "classify", "Library.open", "recommend", "train", "LogMel", "NTXentLoss", "Mirclr"):
        assert name in code
    exec(compile(code, "<In Python>", "exec"), given)
    assert (given["v"].shape, given["v"].dtype) == ((768,), np.float32)
    assert (given["E"].shape[1], len(given["E"])) == (384, len(given["t"]))
    assert given["report"].embedded == 3
    assert "Other – Second" in capsys.readouterr().out
    assert given["encoder"].stamp.digest == given["result"].digest
    assert given["log_mel"].shape[:2] == (4, 96)
    assert torch.isfinite(given["loss"])
    assert given["X"].shape == (2, 768)


# the pages of the API


def test_the_pages_of_the_api_are_built(tmp_path):
    """As `make docs` does, of the names of the package alone: without network, neither to make nor to read them."""
    import pdoc

    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ndocs: install\n")[2].partition("\n\n")[0]
    first, modules = recipe.split("--output-directory docs/api ")
    assert first.startswith('\t$(BIN)/python -c "from mirclr import *; from mirclr.audio import *; from pdoc')
    assert all(importlib.util.find_spec(module) for module in re.findall(r"\bmirclr(?:\.\w+)*", modules))
    exec("from mirclr import *; from mirclr.audio import *", {})
    pdoc.render.configure(docformat="numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # as pdoc gives of what it cannot make out
        pdoc.pdoc("mirclr", output_directory=tmp_path)
    page = (tmp_path / "mirclr.html").read_text(encoding="utf-8")
    pages = {p.stem for p in (tmp_path / "mirclr").iterdir()}
    assert all(f'id="{name}"' in page or name in pages for name in mirclr.__all__)
    audio = (tmp_path / "mirclr" / "audio.html").read_text(encoding="utf-8")
    assert all(f'id="{name}"' in audio for name in mirclr.audio.__all__)
    for path in tmp_path.rglob("*.html"):
        assert not re.search(r"""<(?:script|link|img)[^>]*(?:src|href)=["'](?:https?:)?//""", path.read_text("utf-8"))
