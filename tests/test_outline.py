"""Chords, keys, drums and outlines: of what a perfect network would say, and as a library keeps them."""

import json
import os
import sqlite3
import sys

import mido
import numpy as np
import pytest

from mirclr.audio.key import KEYS
from mirclr.audio.pitched import FRAME_S
from mirclr.errors import LibraryError, MissingExtra, QueryError
from mirclr.library import CHORDS, Description, Entry, LibraryStore, Outline
from mirclr.library.outlines import packed_outline, unpacked_outline
from mirclr.models.portable_transcriber import SONG_ROWS
from mirclr.models.stamp import EncoderStamp
from mirclr.models.transcriber import SONG_OUTPUTS
from mirclr.tags import Tags
from mirclr.transcription import (
    DRUM_PITCHES,
    DRUMS,
    Note,
    Notes,
    key_of,
    track_chords,
    track_drums,
    track_keys,
)
from mirclr.transcription.chords import STEP, likeliest_course


def spans(names, seconds=2.0):
    """Chords of one length, (m, 3)."""
    at = np.arange(len(names)) * seconds
    return np.stack([at, at + seconds, [CHORDS.index(name) for name in names]], axis=1)


def said_of(chords, sure=0.8, noise=0.0, seed=0):
    """What a network says of (m, 3) chords: root (13, T) and quality (9, T)."""
    rng = np.random.default_rng(seed)
    frames = round(float(chords[-1, 1]) / FRAME_S)
    root, quality = np.full((13, frames), (1 - sure) / 12), np.full((9, frames), (1 - sure) / 8)
    for begin, end, code in chords:
        where = slice(round(begin / FRAME_S), round(end / FRAME_S))
        r, q = (12, None) if code == 0 else divmod(int(code) - 1, 8)
        root[r, where] = sure
        if q is not None:
            quality[q, where] = sure
    for p in (root, quality):
        p *= np.exp(noise * rng.standard_normal(p.shape))
        p /= p.sum(axis=0)
    return root.astype(np.float32), quality.astype(np.float32)


# chords


@pytest.mark.parametrize("noise", [0.0, 2.5])
def test_chords_come_back(noise):
    want = spans(["N", "C", "Am7", "F#dim", "Bbmaj7", "Ebsus", "G7", "Caug", "Bm", "N"])
    got = track_chords(*said_of(want, noise=noise))
    assert [CHORDS[int(c)] for c in got[:, 2]] == [CHORDS[int(c)] for c in want[:, 2]]
    np.testing.assert_allclose(got[:-1, 1], want[:-1, 1], atol=STEP * FRAME_S)
    np.testing.assert_array_equal(got[1:, 0], got[:-1, 1])


def test_what_is_too_short_to_be_a_chord_is_none():
    want = spans(["C", "F", "C"])
    root, quality = said_of(want, sure=0.6)
    root[:, 100:103] = np.eye(13)[7][:, None]
    assert [CHORDS[int(c)] for c in track_chords(root, quality)[:, 2]] == ["C", "F", "C"]


def test_silence_of_a_second_has_no_chord():
    root, quality = said_of(spans(["C", "F", "C"]))
    nothing = np.full((13, 320), 0.065, np.float32)
    nothing[6], nothing[12] = 0.2, 0.002  # in silence a network may find one root a little likelier, and no chord never
    given = [np.concatenate([nothing, root, nothing], axis=1), np.pad(quality, ((0, 0), (320, 320)), "edge")]
    got = track_chords(*given)
    assert [CHORDS[int(c)] for c in got[:, 2]] == ["N", "C", "F", "C", "N"]
    assert got[1, 0] == pytest.approx(320 * FRAME_S, abs=2 * STEP * FRAME_S)


@pytest.mark.parametrize("frames", [0, 1, 3, 4, 9])
def test_chords_of_hardly_anything(frames):
    root, quality = np.full((13, frames), 1 / 13, np.float32), np.full((9, frames), 1 / 9, np.float32)
    assert len(track_chords(root, quality)) == (frames >= STEP)


def test_transposed_is_transposed():
    root, quality = said_of(spans(["C", "Dm7", "G7", "Am"]), noise=1.5)
    plain = track_chords(root, quality)
    higher = track_chords(np.concatenate([np.roll(root[:12], 3, axis=0), root[12:]]), quality)
    np.testing.assert_array_equal(higher[:, :2], plain[:, :2])
    np.testing.assert_array_equal(higher[:, 2], (plain[:, 2] - 1 + 8 * 3) % 96 + 1)


def test_a_course_is_the_likeliest_of_all():
    rng = np.random.default_rng(1)
    fits = rng.normal(0, 2, (3, 7))
    courses = np.stack(np.meshgrid(*[range(3)] * 7), axis=-1).reshape(-1, 7)
    totals = fits[courses, np.arange(7)].sum(axis=1) - 1.5 * (np.diff(courses, axis=1) != 0).sum(axis=1)
    np.testing.assert_array_equal(likeliest_course(fits, 1.5), courses[totals.argmax()])


# keys


@pytest.mark.parametrize("tonic", range(12))
def test_a_cadence_is_in_its_key(tonic):
    major = [
        1 + 8 * ((tonic + up) % 12) + quality
        for up, quality in ((0, 0), (5, 0), (7, 2), (9, 1), (2, 1), (7, 0), (0, 0))
    ]
    minor = [
        1 + 8 * ((tonic + up) % 12) + quality
        for up, quality in ((0, 1), (5, 1), (7, 2), (0, 1), (8, 0), (7, 2), (0, 1))
    ]
    for codes, key in ((major, KEYS[tonic]), (minor, KEYS[12 + tonic])):
        found, sure = key_of(spans([CHORDS[c] for c in codes]))
        assert found == key
        assert 0.3 < sure <= 1


@pytest.mark.parametrize("up", range(1, 12))
def test_a_key_is_transposed_with_its_chords_and_pitches(up):
    rng = np.random.default_rng(up)
    codes, fits = rng.integers(1, 97, 12), rng.normal(0, 0.3, 24)
    plain, higher = (spans([CHORDS[c] for c in (codes - 1 + 8 * by) % 96 + 1]) for by in (0, up))
    key, sure = key_of(plain, fits)
    moved = np.roll(fits.reshape(2, 12), up, axis=1).ravel()
    tonic, mode = KEYS.index(key) % 12, KEYS.index(key) // 12
    assert key_of(higher, moved) == (KEYS[(tonic + up) % 12 + 12 * mode], sure)


def test_pitches_decide_between_keys_that_chords_leave_open():
    chords = spans(["Am", "F", "C", "G"])
    for key in ("C", "Am"):
        assert key_of(chords, 0.5 * (np.array(KEYS) == key))[0] == key


def test_a_key_that_changes_is_followed():
    found = track_keys(
        spans(["C", "F", "G", "Am", "F", "G", "C", "C"] * 3 + ["E", "A", "B", "C#m", "A", "B", "E", "E"] * 3)
    )
    assert [key for _, _, key in found] == ["C", "E"]
    assert found[0][1] == found[1][0] == pytest.approx(48, abs=6)
    assert (found[0][0], found[1][1]) == (0, 96)


def test_no_chords_have_no_key():
    for chords in (np.zeros((0, 3)), spans(["N", "N"]), spans(["C"], 1.0), spans(["C", "C7", "Cm"])):
        assert key_of(chords) == (None, 0.0)
        assert track_keys(chords) == []


def test_what_has_no_clear_roots_has_no_chords():
    rng = np.random.default_rng(0)
    root, quality = rng.dirichlet(np.ones(13), 400).T, rng.dirichlet(np.ones(9), 400).T
    assert not track_chords(root, quality)[:, 2].any()
    root = np.full((13, 400), 1 / 13)  # silence, and some music
    root[:, 300:] = 0.1 / 13
    root[7, 300:] += 0.9
    assert track_chords(root, quality)[:, 2].any()


# drums


def test_hits_come_back_between_frames():
    rng = np.random.default_rng(2)
    want = sorted((float(t), int(rng.integers(5))) for t in np.arange(0.5, 30, 0.1) + rng.uniform(0, 0.02, 295))
    rows = np.zeros((5, round(31 / FRAME_S)), np.float32)
    at = np.arange(rows.shape[1])
    for second, drum in want:
        rows[drum] = np.maximum(rows[drum], np.clip(1.5 - np.abs(at - second / FRAME_S), 0, 1))
    found = track_drums(rows)
    assert [n.pitch for n in found] == [DRUM_PITCHES[drum] for _, drum in want]
    np.testing.assert_allclose([n.onset_s for n in found], [t for t, _ in want], atol=0.012)
    assert len(DRUMS) == len(DRUM_PITCHES) == len(rows)


def test_drums_by_sensitivity():
    noise = np.random.default_rng(3).random((5, 400)).astype(np.float32)
    counts = [len(track_drums(noise, s)) for s in (0, 0.5, 1)]
    assert counts == sorted(counts)
    assert counts[0] < counts[2]
    assert track_drums(np.zeros((5, 0), np.float32)) == []
    with pytest.raises(QueryError, match="0 to 1"):
        track_drums(noise, -0.1)


def test_rows_of_a_network_are_where_it_puts_them():
    assert {name: at.stop - at.start for name, at in SONG_ROWS.items()} == SONG_OUTPUTS
    assert [at.start for at in SONG_ROWS.values()] == np.cumsum([0, *SONG_OUTPUTS.values()])[:-1].tolist()


# kept


def outline_of(seed, beats=400, chords=90):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.28, 1.2, beats))
    places = [(place % 4) + 1 for place in range(2, beats + 2)]
    edges = np.concatenate([[0.0], np.cumsum(rng.uniform(0.13, 9, chords))])
    codes = (np.cumsum(rng.integers(1, 97, chords)) % 97).astype(float)
    return Outline(np.stack([times, places], axis=1), np.stack([edges[:-1], edges[1:], codes], axis=1))


@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_comes_back(seed):
    outline = outline_of(seed)
    blob = packed_outline(outline)
    assert len(blob) < 1150
    back = unpacked_outline(blob)
    np.testing.assert_allclose(back.beats, outline.beats, atol=0.00051)
    np.testing.assert_allclose(back.chords, outline.chords, atol=0.0051)
    np.testing.assert_array_equal(back.beats[:, 1], outline.beats[:, 1])
    assert packed_outline(back) == blob


@pytest.mark.parametrize(("beats", "chords"), [(0, 0), (1, 0), (0, 1), (4, 1)])
def test_little_is_kept_too(beats, chords):
    back = unpacked_outline(packed_outline(outline_of(0, beats, chords)))
    assert (len(back.beats), len(back.chords)) == (beats, chords)


def test_a_chord_of_an_hour_is_kept():
    long = Outline(chords=np.array([[0.0, 3600.0, 5], [3600.0, 3601.0, 0]]))
    np.testing.assert_allclose(unpacked_outline(packed_outline(long)).chords, long.chords)


def damaged():
    good = packed_outline(outline_of(1))
    head = np.frombuffer(good[:24], "<u4")
    for i, value in ((0, 9), (1, 2**31), (2, 2**32 - 1), (3, 0), (4, 2**31)):
        changed = head.copy()
        changed[i] = value
        yield changed.tobytes() + good[24:]
    yield from (b"", good[:-1], good + b"\0", good[:-1] + b"\xff")


@pytest.mark.parametrize("blob", damaged())
def test_what_is_damaged_is_told(blob, tmp_path):
    with pytest.raises(ValueError, match="of "):
        unpacked_outline(blob)
    with library(tmp_path) as held:
        held.store_descriptions({1: Description(120.0, "C", 0.5, -9.0, outline_of(1))})
    with sqlite3.connect(tmp_path / "l.db") as db:
        db.execute("UPDATE outline SET outline = ?", (blob,))
    db.close()
    with LibraryStore.open(tmp_path / "l.db") as held, pytest.raises(LibraryError, match="outline"):
        held.outlines([1])


def library(folder):
    held = LibraryStore.open(folder / "l.db", create=True)
    held.bind(EncoderStamp("d" * 32, "e", 2, 1, {}))
    for name in ("a.ogg", "b.ogg"):
        held.write(entries=[Entry("/music", name, 1, 1, name, name, 8.0, Tags(), np.ones(2))])
    return held


def test_a_library_keeps_outlines_with_descriptions(tmp_path):
    outline = outline_of(4)
    with library(tmp_path) as held:
        held.store_descriptions(
            {1: Description(120.0, "Am", 0.8, -9.0, outline), 2: Description(None, None, 0.0, None)}
        )
        held.store_descriptions({9: Description(1.0, None, 0.0, None, outline)})
        assert held.with_outline() == {1}
        (found,) = held.outlines([1, 2]).values()
        np.testing.assert_allclose(found.beats, outline.beats, atol=0.001)
        assert held.descriptions()[1] == Description(120.0, "Am", 0.8, -9.0)
        assert all(problem.endswith(" is gone") for problem in held.verify())
        held.write(entries=[Entry("/music", "a.ogg", 1, 1, "new", "new", 8.0, Tags(), np.ones(2))])
        assert held.with_outline() == set()


# what is written


def test_json_and_midi_have_beats_chords_and_keys(tmp_path):
    beats = np.stack([np.arange(0.4, 40, 0.5), np.arange(80) % 3 + 1], axis=1)
    notes = Notes((), 40.0, Outline(beats, spans(["C", "F", "G7", "C", "Am", "F", "G", "C"] * 2 + ["N"])))
    plain = json.loads(json.dumps(notes.as_json()))
    assert plain["tempo_bpm"] == pytest.approx(120)
    assert [b["beat"] for b in plain["beats"]][:4] == [1, 2, 3, 1]
    assert plain["chords"][2] == {"begin_s": 4.0, "end_s": 6.0, "chord": "G7"}
    assert plain["keys"] == [{"begin_s": 0.0, "end_s": 34.0, "key": "C"}]
    notes.write_midi(tmp_path / "a.mid")
    messages = [m for m in mido.MidiFile(tmp_path / "a.mid").tracks[0] if m.type in ("key_signature", "time_signature")]
    assert [m.key for m in messages if m.type == "key_signature"] == ["C"]
    assert [m.numerator for m in messages if m.type == "time_signature"][-1] == 3


@pytest.mark.parametrize("drums", [False, True])
def test_a_score_is_on_the_beats(tmp_path, drums):
    music21 = pytest.importorskip("music21")
    beats = np.stack([np.arange(0.4, 13, 0.6), np.arange(21) % 3 + 1], axis=1)
    rng = np.random.default_rng(0)
    at = [0.4 + 0.3 * i + rng.uniform(-0.02, 0.02) for i in range(20)]
    pitches = [DRUM_PITCHES[i % 5] if drums else 60 + i % 7 for i in range(20)]
    found = Notes(
        tuple(Note(a, a + 0.27, p, 80, 0.9) for a, p in zip(at, pitches, strict=True)), 13.0, Outline(beats), drums
    )
    found.write_musicxml(tmp_path / "waltz.musicxml")
    score = music21.converter.parse(tmp_path / "waltz.musicxml")
    assert len(score.parts) == 1
    notes = list(score.recurse().notes)
    assert len(notes) == 20
    if not drums:
        assert [n.pitch.midi for n in notes] == pitches
        assert {float(n.quarterLength) for n in notes} == {0.5}
    assert [s.ratioString for s in score.recurse().getElementsByClass("TimeSignature")][-1] == "3/4"
    assert [mark.number for mark in score.recurse().getElementsByClass("MetronomeMark")] == [100]


@pytest.mark.skipif(sys.platform != "linux", reason="a name of any bytes")
def test_a_score_of_any_name_is_read_back(tmp_path):
    music21 = pytest.importorskip("music21")
    place = tmp_path / os.fsdecode(b"\xff\x01 <&>\n.musicxml")
    Notes((Note(0.0, 1.0, 60, 80, 0.9),), 2.0).write_musicxml(place)
    assert len(list(music21.converter.parse(place.read_text(encoding="utf-8"), format="musicxml").recurse().notes)) >= 1


def test_without_music21_a_score_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "music21", None)
    with pytest.raises(MissingExtra, match=r"mirclr\[score\]"):
        Notes((), 1.0).write_musicxml(tmp_path / "a.musicxml")


@pytest.mark.parametrize("key", KEYS)
def test_midi_knows_every_key(key):
    assert mido.MetaMessage("key_signature", key=key).key == key


def test_drums_go_to_the_channel_of_drums(tmp_path):
    rows = np.zeros((5, 100), np.float32)
    rows[[0, 1, 2], [10, 30, 50]] = 0.9
    notes = Notes(tuple(track_drums(rows)), 3.2, drums=True)
    notes.write_midi(tmp_path / "a.mid")
    played = [m for m in mido.MidiFile(tmp_path / "a.mid").tracks[1] if m.type == "note_on"]
    assert [(m.channel, m.note) for m in played] == [(9, 36), (9, 38), (9, 42)]
    notes.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
