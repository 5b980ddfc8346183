"""The same recording under several names: found among other songs, by vectors first and by listening then."""

import json
import os

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from mirclr.audio.fingerprint import Fingerprint, compare, fingerprint, fingerprint_of, similarities, try_fingerprint
from mirclr.errors import NoMatch, UnreadableAudio, UnusableAudio
from mirclr.ingest.near_duplicates import SURE, NearDuplicates, copies, find_candidates, find_near_duplicates, groups
from mirclr.library import Entry, LibraryStore
from mirclr.models.stamp import EncoderStamp
from mirclr.processes import CRASHED
from mirclr.tags import Tags
from tests.commands import invoke

DIM = 8


@pytest.fixture(autouse=True)
def heard(monkeypatch):
    """Decode here, and note which files were."""
    files = []

    def here(work, jobs, **_):
        for job in jobs:
            files.append(job[0].name)
            yield job, work(*job)

    monkeypatch.setattr("mirclr.ingest.near_duplicates.results_in_order", here)
    return files


@pytest.fixture
def folder(songs, tmp_path):
    """The songs, and three altered copies of each: quieter flac, mp3 without its first second, 22 kHz ogg."""
    for song in songs:
        x, rate = soundfile.read(song)
        (tmp_path / song.name).write_bytes(song.read_bytes())
        soundfile.write(tmp_path / f"{song.stem} quiet.flac", 0.35 * x, rate)
        soundfile.write(tmp_path / f"{song.stem} cut.mp3", x[round(0.93 * rate) :], rate)
        soundfile.write(tmp_path / f"{song.stem} low.ogg", x[::2], rate // 2)
    return tmp_path


def vector(*components):
    row = np.zeros(DIM)
    row[: len(components)] = components
    return row


def entry(root, name, components=(1.0,), *, digest=None, seconds=8.0, size=1000, **tags):
    return Entry(str(root), name, size, 1, name, digest or name, seconds, Tags(**tags), vector(*components))


def write(path, *entries):
    with LibraryStore.open(path, create=True) as library:
        library.bind(EncoderStamp("d" * 32, "e", DIM, 1, {}))
        library.write(entries=entries)
    return path


def all_near(folder):
    """A library in whose vectors all songs are alike, so that listening alone decides."""
    return write(folder / "l.db", *(entry(folder, p.name) for p in sorted(folder.iterdir())))


def song_of(name):
    return name.split(".")[0].split(" ")[0]


def test_altered_copies_are_found_and_other_songs_are_not(folder, songs, heard):
    with LibraryStore.open(all_near(folder)) as library:
        names = {t.id: t.path for t in library.tracks()}
        candidates = [(a, b) for a in names for b in names if a < b]
        found = find_near_duplicates(library, candidates=candidates)
        assert found.failures == []
        told = [{names[i] for i in ids} for ids in groups(found.pairs)]
        assert {frozenset(map(song_of, members)) for members in told} == {frozenset([s.stem]) for s in songs}
        assert [len(members) for members in told] == [4] * 4
        assert len(found.pairs) == 4 * 6  # every two of the four of each song
        assert library.near_duplicates() == found.pairs
        assert sorted(heard) == sorted(names.values())  # each once


def test_what_was_found_is_not_heard_again_until_a_track_changes(songs, tmp_path, heard):
    x, rate = soundfile.read(songs[0])
    (tmp_path / "a.ogg").write_bytes(songs[0].read_bytes())
    soundfile.write(tmp_path / "b.flac", 0.5 * x, rate)
    path = write(tmp_path / "l.db", entry(tmp_path, "a.ogg"), entry(tmp_path, "b.flac"))
    with LibraryStore.open(path) as library:
        first = find_near_duplicates(library).pairs
        assert list(first) == [(1, 2)]
        heard.clear()
        assert find_near_duplicates(library).pairs == first
        assert heard == []
        library.write(entries=[entry(tmp_path, "b.flac")])  # embedded anew
        assert find_near_duplicates(library).pairs == first
        assert sorted(heard) == ["a.ogg", "b.flac"]


def test_equal_audio_needs_no_listening(tmp_path, heard):
    rows = [entry(tmp_path, f"{i}.ogg", vector(*np.eye(DIM)[i]), digest="ab"[i == 2]) for i in range(4)]
    with LibraryStore.open(write(tmp_path / "l.db", *rows)) as library:
        found = find_near_duplicates(library)
        assert found == NearDuplicates({(1, 2): 1.0, (1, 4): 1.0}, [])
        assert groups(found.pairs) == [[1, 2, 4]]
    assert heard == []


def test_candidates_are_near_of_similar_length_and_of_other_audio(tmp_path):
    path = write(
        tmp_path / "l.db",
        entry(tmp_path, "1", (1, 0), seconds=100),
        entry(tmp_path, "2", (1, 0.1), seconds=119),
        entry(tmp_path, "3", (1, 0.1), seconds=121),  # too long for the first
        entry(tmp_path, "4", (0, 1), seconds=100),  # far from all
        entry(tmp_path, "5", (1, 0), seconds=100, digest="1"),  # the first
        entry(tmp_path, "6", (0, 0, 1), seconds=1000),
        entry(tmp_path, "7", (0, 0, 1), seconds=1090),  # within a tenth
    )
    with LibraryStore.open(path) as library:
        assert find_candidates(library) == [(1, 2), (2, 3), (2, 5), (6, 7)]


def test_a_library_without_tracks_has_nothing_to_compare(tmp_path):
    with LibraryStore.open(write(tmp_path / "l.db")) as library, pytest.raises(NoMatch):
        find_near_duplicates(library)


def test_a_damaged_or_missing_file_is_reported_and_ends_nothing(songs, tmp_path):
    x, rate = soundfile.read(songs[0])
    (tmp_path / "a.ogg").write_bytes(songs[0].read_bytes())
    (tmp_path / "bad.ogg").write_bytes(songs[0].read_bytes()[:100])
    soundfile.write(tmp_path / "z.flac", 0.5 * x, rate)
    soundfile.write(tmp_path / "silent.wav", 0 * x, rate)
    names = ("a.ogg", "bad.ogg", "gone.ogg", "silent.wav", "z.flac")
    path = write(tmp_path / "l.db", *(entry(tmp_path, name) for name in names))
    advanced = []
    with LibraryStore.open(path) as library:
        found = find_near_duplicates(library, advance=lambda: advanced.append(1))
    assert list(found.pairs) == [(1, 5)]
    assert len(advanced) == 5
    assert len(found.failures) == 3
    assert all(any(name in line for line in found.failures) for name in names[1:4])


def test_a_decoder_that_crashes_is_reported(songs, tmp_path, monkeypatch):
    path = write(tmp_path / "l.db", *(entry(tmp_path, name) for name in ("a.ogg", "b.ogg")))
    monkeypatch.setattr(
        "mirclr.ingest.near_duplicates.results_in_order", lambda work, jobs, **_: ((j, CRASHED) for j in jobs)
    )
    with LibraryStore.open(path) as library:
        found = find_near_duplicates(library)
    assert found.pairs == {}
    assert len(found.failures) == 2
    assert "crashed" in found.failures[0]


def test_what_is_no_copy_is_not_heard_again_either(folder, heard):
    with LibraryStore.open(all_near(folder)) as library:
        first = find_near_duplicates(library)
        assert heard
        assert len(library.near_duplicates(at_least=0)) > len(first.pairs)
        heard.clear()
        assert find_near_duplicates(library).pairs == first.pairs == library.near_duplicates()
        assert heard == []


def test_an_interrupted_run_keeps_what_it_found(songs, tmp_path):
    x, rate = soundfile.read(songs[0])
    for name in ("a", "b", "c"):
        soundfile.write(tmp_path / f"{name}.flac", x, rate)
    path = write(tmp_path / "l.db", *(entry(tmp_path, f"{name}.flac") for name in "abc"))
    times = []

    def stop():
        times.append(1)
        if len(times) == 2:
            raise KeyboardInterrupt

    with LibraryStore.open(path) as library:
        with pytest.raises(KeyboardInterrupt):
            find_near_duplicates(library, advance=stop)
        assert list(library.near_duplicates()) == [(1, 2)]
        assert len(find_near_duplicates(library).pairs) == 3


def test_a_file_under_two_roots_is_compared_for_both(songs, tmp_path):
    (tmp_path / "in").mkdir()
    x, rate = soundfile.read(songs[0])
    soundfile.write(tmp_path / "in" / "a.flac", x, rate)
    soundfile.write(tmp_path / "in" / "b.wav", x, rate)
    path = write(
        tmp_path / "l.db",
        entry(tmp_path, "in/a.flac", digest="a"),
        entry(tmp_path / "in", "a.flac", digest="a"),
        entry(tmp_path / "in", "b.wav", digest="b"),
    )
    with LibraryStore.open(path) as library:
        assert find_near_duplicates(library).pairs.keys() == {(1, 2), (1, 3), (2, 3)}


def test_a_fingerprint_does_not_hear_level_and_compares_alike_both_ways(songs):
    first = fingerprint(songs[0])
    assert first.mel.shape[0] == first.chroma.shape[0] == pytest.approx(8 * 8, abs=2)
    assert first.chroma.shape[1] == 12
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.standard_normal(8 * 8000).astype(np.float32)
    a, b = fingerprint_of(noise), fingerprint_of(0.01 * noise)
    np.testing.assert_allclose(a.mel, b.mel, atol=1e-3)
    np.testing.assert_allclose(a.chroma, b.chroma, atol=1e-3)
    assert compare(a, first) == pytest.approx(compare(first, a))
    assert compare(first, first) > 0.99
    assert similarities(first, first) == pytest.approx((1, 1))


def test_what_is_too_short_or_flat_is_no_copy_of_anything():
    short = fingerprint_of(np.ones(4000, np.float32))  # half a second, the shortest file that is read
    assert np.isfinite(short.mel).all()
    assert compare(short, short) < 0.01
    drone = fingerprint_of(np.sin(np.arange(8 * 8000) / 3).astype(np.float32))
    assert np.isfinite(drone.mel).all()
    assert np.isfinite(drone.chroma).all()


def test_two_minutes_are_heard_and_no_more(tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal(150 * 8000).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", noise, 8000)
    assert len(fingerprint(tmp_path / "long.wav").mel) == pytest.approx(120 * 8, abs=2)
    soundfile.write(tmp_path / "late.wav", np.where(np.arange(len(noise)) < 125 * 8000, 0, noise), 8000)
    with pytest.raises(UnusableAudio, match=r"late\.wav: its first two minutes are silent"):
        fingerprint(tmp_path / "late.wav")
    with pytest.raises(UnreadableAudio):
        fingerprint(tmp_path / "none.wav")
    assert "none.wav" in try_fingerprint(tmp_path / "none.wav")


def test_an_unexpected_error_of_a_decoder_comes_back_as_text(monkeypatch, tmp_path):
    def fails(path, rate, span=None):
        raise RuntimeError("odd")

    monkeypatch.setattr("mirclr.audio.fingerprint.decode_blocks", fails)
    assert try_fingerprint(tmp_path / "a.ogg") == f"{tmp_path / 'a.ogg'}: cannot be decoded (RuntimeError: odd)"


pairs_of_ids = st.dictionaries(
    st.tuples(st.integers(1, 12), st.integers(1, 12)).filter(lambda p: p[0] < p[1]), st.floats(0, 1), max_size=30
)


@given(pairs_of_ids, st.randoms())
def test_groups_are_the_classes_of_the_smallest_equivalence_that_holds_the_pairs(pairs, random):
    related = {(i, i) for i in range(1, 13)} | {p for (a, b), x in pairs.items() if x >= SURE for p in ((a, b), (b, a))}
    while more := {(a, d) for a, b in related for c, d in related if b == c} - related:
        related |= more
    classes = {frozenset(b for a, b in related if a == i) for i in range(1, 13)}
    found = groups(pairs)
    assert {frozenset(g) for g in found} == {c for c in classes if len(c) > 1}
    assert found == sorted((sorted(g) for g in found), key=lambda g: (-len(g), g[0]))
    shuffled = list(pairs.items())
    random.shuffle(shuffled)
    assert groups(dict(shuffled)) == found


def test_a_higher_bar_joins_less():
    pairs = {(1, 2): 0.9, (2, 3): 0.6, (4, 5): 0.4}
    assert groups(pairs) == [[1, 2, 3]]
    assert groups(pairs, 0.7) == [[1, 2]]
    assert groups(pairs, 0.95) == []


@pytest.fixture
def held(songs, tmp_path):
    """Two formats of one song, another song, and a file that is damaged."""
    x, rate = soundfile.read(songs[0])
    (tmp_path / "a.ogg").write_bytes(songs[0].read_bytes())
    soundfile.write(tmp_path / "b.flac", 0.5 * x, rate)
    (tmp_path / "c.ogg").write_bytes(songs[1].read_bytes())
    (tmp_path / "d.ogg").write_bytes(b"no")
    return write(
        tmp_path / "l.db",
        entry(tmp_path, "a.ogg", artist="An artist", title="A title\x1b[2J", album="One"),
        entry(tmp_path, "b.flac", artist="An artist", title="A title", album="Two"),
        entry(tmp_path, "c.ogg", title="Other"),
        entry(tmp_path, "d.ogg"),
    )


def test_from_the_command_line(held):
    done = invoke(["duplicates", "--library", str(held), "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    (members,) = said["groups"]
    assert [(m["id"], m["album"], m["format"], m["best"]) for m in members] == [
        (1, "One", "ogg", False),
        (2, "Two", "flac", True),
    ]
    assert all(0.5 <= m["likelihood"] <= 1 for m in members)
    assert members[0]["file"] == os.path.join(members[0]["file"].rpartition(os.sep)[0], "a.ogg")
    assert ["d.ogg" in line for line in said["failures"]] == [True]
    table = invoke(["duplicates", "--library", str(held)])
    assert table.exit_code == 0
    assert "1 song in 2 files; nothing was deleted" in table.output
    assert "best" in table.output
    assert "\x1b" not in table.output


def test_nothing_found_is_said(tmp_path, songs):
    (tmp_path / "a.ogg").write_bytes(songs[0].read_bytes())
    path = write(tmp_path / "l.db", entry(tmp_path, "a.ogg"))
    done = invoke(["duplicates", "--library", str(path)])
    assert (done.exit_code, done.stdout) == (0, "no song is there twice\n")
    below = invoke(["duplicates", "--library", str(path), "--threshold", "0.3"])
    assert below.exit_code == 2


def test_the_best_is_the_longest_lossless_or_else_the_one_of_the_highest_bitrate(tmp_path):
    path = write(
        tmp_path / "l.db",
        entry(tmp_path, "a.mp3", digest="x", size=9000, seconds=100),
        entry(tmp_path, "b.flac", digest="x", size=5000, seconds=90),
        entry(tmp_path, "c.flac", digest="x", size=4000, seconds=100),
        entry(tmp_path, "d.mp3", (0, 1), digest="y", size=2000, seconds=100),
        entry(tmp_path, "e.ogg", (0, 1), digest="y", size=3000, seconds=100),
    )
    said = json.loads(invoke(["duplicates", "--library", str(path), "--json"]).stdout)
    assert [[m["file"][-6:] for m in g if m["best"]] for g in said["groups"]] == [["c.flac"], ["/e.ogg"]]
    assert {m["likelihood"] for g in said["groups"] for m in g} == {1}


def test_what_was_removed_meanwhile_is_in_no_group(tmp_path):
    rows = [entry(tmp_path, f"{i}.mp3", (i // 2, 1 - i // 2), digest=f"{i // 2}") for i in range(4)]
    with LibraryStore.open(write(tmp_path / "l.db", *rows)) as library:
        pairs = {(1, 2): 1.0, (3, 4): 1.0}
        library.remove([1])
        assert [[copy.track.id for copy in group] for group in copies(library, pairs, 0.5)] == [[3, 4]]
        library.remove([3, 4])
        assert copies(library, pairs, 0.5) == []


def test_fingerprints_are_compared_over_both_features():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((60, 44)).astype(np.float32)
    a = Fingerprint(rows[:, :32], rows[:, 32:])
    other = rng.standard_normal((60, 44)).astype(np.float32)
    b = Fingerprint(other[:, :32], other[:, 32:])
    assert compare(a, a) > compare(a, Fingerprint(a.mel, b.chroma)) > compare(a, b)
    assert compare(a, a) > compare(a, Fingerprint(b.mel, a.chroma)) > compare(a, b)
