"""Search by ear: clips of made-up music, with noise, faster, stretched; what is not there; mixes; what is kept."""

import json

import numpy as np
import pytest
import soundfile
import soxr

import mirclr
from mirclr.audio.landmarks import FRAMES_A_SECOND, KEPT, RATE, find_landmarks, landmarks_of
from mirclr.errors import LibraryError, NoMatch, UnusableAudio
from mirclr.identify import Identifier
from mirclr.identify.alignment import Change, Clip
from mirclr.identify.copies import common_part
from mirclr.identify.file import load
from mirclr.identify.hashing import BITS, ClipTriples, hashes_of_track
from mirclr.identify.postings import build
from mirclr.identify.search import find_matches
from mirclr.ingest.near_duplicates import candidates_by_ear
from mirclr.library import Entry, LibraryStore
from mirclr.library.fingerprints import packed, unpacked
from mirclr.models.stamp import EncoderStamp
from mirclr.recommend import Query, Seed
from mirclr.tags import Tags
from tests.commands import exits, invoke

SONGS = 6
SECONDS = 40


def music(seed, seconds=SECONDS, pace=1.0, pitch=1.0):
    """Notes that are struck at random times, with four overtones, (n,) float32 at 8 kHz."""
    rng = np.random.default_rng(seed)
    count = seconds * 5
    starts, notes, loud = rng.uniform(0, seconds, count), rng.integers(45, 80, count), rng.uniform(0.2, 1, count)
    x = np.zeros(round((seconds / pace + 1) * RATE), np.float32)
    t = np.arange(round(0.8 * RATE)) / RATE
    for start, note, level in zip(starts, notes, loud, strict=True):
        hz = pitch * 440 * 2 ** ((note - 69) / 12)
        tone = sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 6) if hz * k < RATE / 2)
        at = int(start / pace * RATE)
        x[at : at + len(t)] += (level * tone * np.exp(-4 * t))[: len(x) - at]
    return 0.1 * x[: round(seconds / pace * RATE)]


@pytest.fixture(scope="module")
def songs():
    return {i: music(i) for i in range(1, SONGS + 1)}


@pytest.fixture(scope="module")
def landmarks(songs):
    return {i: landmarks_of(x, KEPT) for i, x in songs.items()}


@pytest.fixture(scope="module")
def postings(landmarks):
    return build(landmarks.items(), np.zeros(SONGS, np.int64))


def matches(clip, postings, landmarks):
    rows = landmarks_of(clip.astype(np.float32), 50)
    found = find_matches(
        Clip(rows, len(clip) * FRAMES_A_SECOND // RATE), [postings], lambda ids: {i: landmarks[i] for i in ids}
    )
    return [match for match in found if match.is_sure]


def with_noise(x, snr, seed=0):
    noise = np.random.default_rng(seed).standard_normal(len(x))
    return x + noise * x.std() * 10 ** (-snr / 20)


CHANGES = {
    "as it is": lambda x: x,
    "noise at 10 dB": lambda x: with_noise(x, 10),
    "quieter by 40 dB": lambda x: 0.01 * x,
    "clipped": lambda x: np.clip(4 * x, -0.2, 0.2),
    "upside down": lambda x: -x,
    "8 bits": lambda x: np.round(x * 127) / 127,
    "5 % faster": lambda x: soxr.resample(x, RATE * 1.05, RATE),
    "4 % slower, noise": lambda x: with_noise(soxr.resample(x, RATE * 0.96, RATE), 15),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_clip_is_of_its_song_and_of_no_other(change, songs, landmarks, postings):
    for song, at in ((2, 7.3), (5, 30.0)):
        clip = CHANGES[change](songs[song][round(at * RATE) : round((at + 5.5) * RATE)])
        found = matches(clip[: 5 * RATE], postings, landmarks)
        assert [match.track_id for match in found] == [song]
        assert found[0].alignment.frame == pytest.approx(at * FRAMES_A_SECOND, abs=3)


@pytest.mark.parametrize(("pace", "pitch"), [(1.05, 1.0), (0.95, 1.0), (1.0, 1.03), (1.0, 0.97)])
def test_it_may_be_stretched_or_tuned(pace, pitch, landmarks, postings):
    clip = music(3, pace=pace, pitch=pitch)[10 * RATE : 16 * RATE]
    (found,) = matches(clip, postings, landmarks)
    assert found.track_id == 3
    assert found.alignment.frame == pytest.approx(10 * pace * FRAMES_A_SECOND, abs=5)
    assert found.alignment.change.pace == pytest.approx(pace, abs=0.012)
    assert found.alignment.change.pitch == pytest.approx(pitch, abs=0.012)


def test_what_is_not_there_is_not_found(postings, landmarks):
    for seed in range(100, 104):
        assert not matches(music(seed, 10)[: 5 * RATE], postings, landmarks)
    rng = np.random.default_rng(0)
    assert not matches(0.1 * rng.standard_normal(5 * RATE), postings, landmarks)
    assert not matches(np.zeros(5 * RATE), postings, landmarks)
    assert not matches(np.sin(2 * np.pi * 440 * np.arange(5 * RATE) / RATE), postings, landmarks)


def test_two_songs_at_once_are_both_found(songs, landmarks, postings):
    both = songs[1][: 8 * RATE] + songs[4][20 * RATE : 28 * RATE]
    assert {match.track_id for match in matches(both, postings, landmarks)} == {1, 4}


def test_a_clip_may_begin_before_its_song(songs, landmarks, postings):
    rng = np.random.default_rng(1)
    clip = np.concatenate([0.001 * rng.standard_normal(2 * RATE), songs[1][: 5 * RATE]])
    (found,) = matches(clip, postings, landmarks)
    assert found.track_id == 1
    assert found.alignment.frame == pytest.approx(-2 * FRAMES_A_SECOND, abs=3)


def test_hashes_of_a_track_are_among_those_of_its_clip(landmarks):
    hashes, frames = hashes_of_track(landmarks[1])
    asked, at = ClipTriples(landmarks[1]).hashes()
    assert hashes.min() >= 0
    assert hashes.max() < 1 << BITS
    there = set(zip(asked.tolist(), at.astype(int).tolist(), strict=True))
    assert there.issuperset(zip(hashes.tolist(), frames.tolist(), strict=True))


def test_evidence_is_nothing_without_more_than_chance():
    rng = np.random.default_rng(0)
    rows = np.stack([np.sort(rng.integers(0, 400, 500)), rng.integers(200, 900, 500), np.zeros(500, int)], axis=1)
    other = np.stack([np.sort(rng.integers(0, 400, 120)), rng.integers(200, 900, 120), np.zeros(120, int)], axis=1)
    clip = Clip(rows, 400)
    assert clip.near(other, 0, Change()).evidence < 10
    assert clip.near(rows[::4], 0, Change()).evidence > 200
    assert clip.near(rows[:5], 0, Change()).evidence == 0  # of so few nothing can be said


def test_what_is_stored_is_read_again(landmarks):
    for rows in (*landmarks.values(), np.zeros((0, 3), np.int32)):
        assert np.array_equal(unpacked(packed(rows)), rows)
    assert len(packed(landmarks[1])) * 240 / SECONDS < 8_000
    for blob in (b"", b"\1", packed(landmarks[1])[:-1], b"\2" + packed(landmarks[1])[1:]):
        with pytest.raises(ValueError, match="of a"):
            unpacked(blob)


def test_a_long_file_gives_the_landmarks_of_a_short_one(tmp_path):
    x = music(9, 150)
    soundfile.write(tmp_path / "a.flac", x, RATE)
    whole, parts = landmarks_of(x, KEPT), find_landmarks(tmp_path / "a.flac")
    assert len(parts) == pytest.approx(len(whole), rel=0.01)
    same = {tuple(row[:2]) for row in parts.tolist()} & {tuple(row[:2]) for row in whole.tolist()}
    assert len(same) > 0.99 * len(whole)  # of 16 bits, and the mean level is of some seconds


# a library, and the command line


@pytest.fixture
def library(tmp_path, songs, monkeypatch):
    """A library of the songs, as files, without fingerprints; found in this process."""
    monkeypatch.setattr("mirclr.ingest.storing.results_in_order", lambda work, jobs, **_: ((j, work(*j)) for j in jobs))
    folder = tmp_path / "music"
    folder.mkdir()
    with LibraryStore.open(tmp_path / "lib.db", create=True) as library:
        library.bind(EncoderStamp("d" * 32, "a.safetensors", 4, 8, {}))
        for i, x in songs.items():
            soundfile.write(folder / f"{i}.flac", x, RATE)
            tags = Tags(title=f"Song {i}", artist="Anna")
            vector = np.eye(4, dtype=np.float32)[i % 4]
            library.write(entries=[Entry(str(folder), f"{i}.flac", 1, 1, f"f{i}", f"a{i}", SECONDS, tags, vector)])
    return tmp_path / "lib.db"


def fingerprinted(library, landmarks):
    with LibraryStore.open(library) as store:
        store.store_fingerprints(landmarks)


def test_from_files_to_the_song_of_a_clip(library, songs, tmp_path, capsys):
    clip, other = tmp_path / "clip.wav", tmp_path / "other.wav"
    soundfile.write(clip, with_noise(songs[3][12 * RATE : 17 * RATE], 10), RATE)
    soundfile.write(other, music(77, 6), RATE)
    before = invoke(["identify", clip, "--library", library])
    assert isinstance(before.exception, NoMatch)
    assert "mirclr library fingerprint" in str(before.exception)
    made = invoke(["library", "fingerprint", "--library", library, "--json"])
    assert json.loads(made.stdout) == {"library": str(library), "made": SONGS, "known": SONGS, "problems": []}
    done = invoke(["identify", clip, other, "--library", library])
    assert done.exit_code == 0
    assert [line.split("\t") for line in done.stdout.splitlines()] == [
        ["clip", "song", "from", "played"],
        [str(clip), "Anna – Song 3", "0:12", ""],
        [str(other), "not here", "", ""],
    ]
    (row,) = json.loads(invoke(["identify", clip, "--library", library, "--json"]).stdout)
    assert (row["file"], row["song"]["id"], row["problem"]) == (str(clip), 3, None)
    assert row["song"]["at_s"] == pytest.approx(12, abs=0.1)
    code, out, _ = exits(capsys, "identify", other, "--library", library)
    assert (code, out.splitlines()[1].split("\t")[:2]) == (1, [str(other), "not here"])


@pytest.mark.parametrize(("before", "after"), [(9, 0), (0, 9), (7, 7)])
def test_a_song_is_found_in_any_part_of_a_clip(library, songs, landmarks, tmp_path, before, after):
    fingerprinted(library, landmarks)
    clip = tmp_path / "clip.wav"
    hiss = np.random.default_rng(1).normal(0, 1e-3, (before + 9 + after) * RATE)
    hiss[before * RATE :][: 9 * RATE] += songs[2][20 * RATE : 29 * RATE]
    soundfile.write(clip, hiss, RATE)
    with LibraryStore.open(library) as store:
        found = Identifier(store).identify(clip)
    assert (found.track.id, found.at_s) == (2, pytest.approx(20 - before, abs=0.1))


def test_a_file_that_is_no_clip_ends_no_run(library, songs, landmarks, tmp_path):
    fingerprinted(library, landmarks)
    bad, short, good = tmp_path / "bad.wav", tmp_path / "short.wav", tmp_path / "good.wav"
    bad.write_bytes(b"no sound at all")
    soundfile.write(short, songs[1][:RATE], RATE)
    soundfile.write(good, songs[1][: 6 * RATE], RATE)
    rows = json.loads(invoke(["identify", bad, short, good, "--library", library, "--json"]).stdout)
    assert [row["song"] and row["song"]["title"] for row in rows] == [None, None, "Song 1"]
    assert "2 s or more are needed" in rows[1]["problem"]
    assert rows[0]["problem"]


def test_the_songs_of_a_mix_in_their_order(library, songs, landmarks, tmp_path):
    """Song 4 from 5 s on, then 2, 4 % faster, from its beginning, faded into each other; then what is not there."""
    fingerprinted(library, landmarks)
    fade = np.linspace(1, 0, 4 * RATE)
    first, second = songs[4][5 * RATE : 35 * RATE].copy(), soxr.resample(songs[2], RATE * 1.04, RATE)[: 34 * RATE]
    first[-len(fade) :] *= fade
    second[: len(fade)] *= fade[::-1]
    mix = np.zeros(80 * RATE, np.float32)
    mix[: len(first)] += first
    mix[26 * RATE : 60 * RATE] += second
    mix[60 * RATE :] += music(55, 20)
    soundfile.write(tmp_path / "mix.flac", mix, RATE)
    (row,) = json.loads(
        invoke(["identify", tmp_path / "mix.flac", "--tracklist", "--library", library, "--json"]).stdout
    )
    assert [song["title"] for song in row["songs"]] == ["Song 4", "Song 2"]
    four, two = row["songs"]
    assert four["at_s"] == pytest.approx(5, abs=0.2)
    assert four["start_s"] == 0
    assert four["end_s"] == pytest.approx(30, abs=5.1)
    assert (two["start_s"], two["end_s"]) == (pytest.approx(26, abs=5.1), pytest.approx(60, abs=5.1))
    assert two["speed"] == pytest.approx(1.04, abs=0.012)
    assert two["at_s"] == pytest.approx((two["start_s"] - 26) * 1.04, abs=0.5)


def test_a_song_of_the_same_sounds_is_no_second_one(library, songs, landmarks, tmp_path):
    """What one song explains says nothing for another, such as one that was made of it and something else."""
    fingerprinted(library, {**landmarks, 3: landmarks_of(songs[1] + 0.7 * songs[6], KEPT)})
    soundfile.write(tmp_path / "mix.flac", songs[1][: 30 * RATE], RATE)
    with LibraryStore.open(library) as store:
        identifier = Identifier(store)
        assert [found.track.id for found in identifier.tracklist(tmp_path / "mix.flac")] == [1]
        clip = Clip(landmarks_of(songs[1][: 10 * RATE], 50), 400)
        assert {match.track_id for match in identifier._matches(clip) if match.is_sure} == {1, 3}


def test_the_index_follows_the_library(library, landmarks):
    fingerprinted(library, {i: landmarks[i] for i in range(1, 5)})
    kept = library.with_name("lib.db.fingerprints")

    def song_of(i, start=8):
        rows = landmarks_of(music(i)[start * RATE : (start + 6) * RATE], 50)
        with LibraryStore.open(library) as store:
            found = Identifier(store).identify_landmarks(rows, 6.0)
        return found.track.id if found else None

    assert song_of(2) == 2
    assert song_of(6) is None
    written = kept.stat().st_mtime_ns
    fingerprinted(library, {5: landmarks[5], 6: landmarks[6]})
    assert song_of(6) == 6  # by the base and what is new
    fingerprinted(library, {2: landmarks[3]})  # as if its file had another sound now
    assert song_of(2) is None
    with LibraryStore.open(library) as store:
        store.remove([3])
    assert song_of(3) == 2
    assert kept.stat().st_mtime_ns == written
    for damaged in (kept.read_bytes()[:-5], kept.read_bytes().replace(b"mirclr", b"murclr", 1), b""):
        kept.write_bytes(damaged)
        assert load(kept) is None
        assert song_of(6) == 6
        assert load(kept)


def test_a_fingerprint_goes_with_its_sound(library, landmarks):
    fingerprinted(library, landmarks)
    with LibraryStore.open(library) as store:
        assert store.without_fingerprint() == []
        root = next(iter(store.roots()))
        vector = np.ones(4, np.float32)
        store.write(entries=[Entry(root, "1.flac", 2, 2, "g", "b", SECONDS, Tags(title="Song 1"), vector)])
        assert store.without_fingerprint() == [1]
        store.store_fingerprints({99: landmarks[1]})  # of no song
        assert len(store.fingerprint_times()[0]) == SONGS - 1
        store._connection.execute("UPDATE fingerprint SET landmarks = x'00' WHERE track_id = 2")
        with pytest.raises(LibraryError, match="a fingerprint: of a"):
            store.fingerprints([2])
    assert (
        "removed the fingerprints of 5 songs"
        in invoke(["library", "fingerprint", "--remove", "--library", library]).output
    )


def test_too_short_a_clip_says_so(library, landmarks, tmp_path):
    fingerprinted(library, landmarks)
    soundfile.write(tmp_path / "a.wav", music(1, 1), RATE)
    with LibraryStore.open(library) as store, pytest.raises(UnusableAudio, match=r"1\.0 s of sound"):
        Identifier(store).identify(tmp_path / "a.wav")


# near-duplicates


def test_which_part_of_two_tracks_is_common(songs, landmarks):
    cut = landmarks_of(0.1 * songs[1][5 * RATE :], KEPT)  # 20 dB quieter, without its first seconds
    half = landmarks_of(np.concatenate([songs[2][: 20 * RATE], songs[3][20 * RATE :]]), KEPT)
    assert common_part(landmarks[1], cut) == common_part(cut, landmarks[1]) == 1
    assert common_part(landmarks[1], landmarks[2]) == 0
    assert common_part(landmarks[2], half) == 0.5
    assert common_part(landmarks[1], landmarks[1][:0]) == 0


def test_quiet_copies_are_duplicates_without_decoding(library, songs, landmarks):
    """Two tracks whose vectors have nothing in common are one recording by their fingerprints; no file is read."""
    fingerprinted(library, {**landmarks, 2: landmarks_of(0.05 * with_noise(songs[1], 30).astype(np.float32), KEPT)})
    for file in library.with_name("music").iterdir():
        file.unlink()
    done = invoke(["duplicates", "--library", library, "--json"])
    found = json.loads(done.stdout)
    assert found["failures"] == []
    assert [[copy["id"] for copy in group] for group in found["groups"]] == [[1, 2]]
    with LibraryStore.open(library) as store:
        assert candidates_by_ear(store) == []  # all that is there was compared
        assert store.near_duplicates() == {(1, 2): 1.0}


def test_a_list_for_a_clip_begins_with_its_very_song(library, songs, landmarks, tmp_path, monkeypatch):
    """Whatever its vector says; but only where the filters let it pass, and nothing blocks it."""
    fingerprinted(library, landmarks)
    clip = tmp_path / "clip.wav"
    soundfile.write(clip, with_noise(songs[3][12 * RATE : 18 * RATE], 10), RATE)
    far = -np.eye(4, dtype=np.float32)[3]  # from the vector of song 3
    monkeypatch.setattr("mirclr.classify.readying.embed_seeds", lambda files, *_, **__: [Seed("clip.wav", far)])
    monkeypatch.setattr(mirclr.Library, "encoder", None)
    with mirclr.Library.open(library) as store:
        assert store.identify(clip).track.id == 3
        answer = store.answer(Query(seeds=(str(clip),), n=3, artist_cap=0, artist_gap=0))
        assert answer.recommendations[0].track.id == 3
        assert answer.recommendations[0].alike == 1
        assert "clip.wav is a recording of Anna – Song 3" in answer.remarks
        asked = Query(seeds=(str(clip),), n=3, artist_cap=0, artist_gap=0, exclude=("track:Song 3",))
        assert 3 not in [r.track.id for r in store.answer(asked).recommendations]
