"""Versions of one recording."""

import json

import numpy as np
import pytest
import soundfile

from mirclr.audio.fingerprint import best_shift
from mirclr.config import Data, Recipe
from mirclr.data.clips import ClipCache, Skipped
from mirclr.data.manifest import Track, read_manifest, write_manifest
from mirclr.data.near_duplicates import NearDuplicates, find_near_duplicates, mark_recordings
from tests.commands import invoke

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def folder(songs, tmp_path):
    """The songs, and three altered copies of each: quieter flac, mp3 without its first second, 22 kHz wav."""
    for song in songs:
        x, rate = soundfile.read(song)
        x = x if x.ndim == 1 else x.mean(axis=1)
        (tmp_path / song.name).write_bytes(song.read_bytes())
        soundfile.write(tmp_path / f"{song.stem} quiet.flac", 0.2 * x, rate)
        soundfile.write(tmp_path / f"{song.stem} cut.mp3", 0.8 * x[round(0.8 * rate) :], rate)
        soundfile.write(tmp_path / f"{song.stem} low.wav", x[::2], rate // 2)
    return tmp_path


def test_copies_are_found_and_other_songs_are_not(folder, songs):
    tracks = [Track(id=p.name, path=p.name) for p in sorted(folder.iterdir())]
    cache = ClipCache(Recipe(name="t", data=Data(train="t")), "mel")
    cached = [c for c in cache.fill(tracks, folder) if not isinstance(c, Skipped)]
    assert len(cached) == 16
    pairs = find_near_duplicates(cache, cached)
    songs_of = {frozenset(t.id.split(".")[0].split(" ")[0] for t in (p.first, p.second)) for p in pairs}
    assert songs_of == {frozenset([s.stem]) for s in songs}
    assert len(pairs) == 4 * 6  # every two of the four of each song
    marked = mark_recordings(tracks, pairs)
    assert len({t.recording for t in marked}) == 4
    cut = [p for p in pairs if "cut" in p.first.id and "cut" not in p.second.id]
    assert len(cut) == 12
    assert all(p.shift_s == pytest.approx(-0.8, abs=0.2) for p in cut)


def test_the_best_shift_is_the_true_one():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(60, 8))
    similarity, shift = best_shift(a, a[5:])
    assert (round(similarity, 6), shift) == (1.0, 5)
    assert best_shift(a[5:], a)[1] == -5
    assert best_shift(a, rng.normal(size=(60, 8)))[0] < 0.3
    assert best_shift(np.zeros((60, 8)), np.zeros((60, 8)))[0] == 0.0


def test_twins_of_twins_and_known_recordings_are_one():
    tracks = [
        Track(id=i, path=i, recording=None if r == "_" else r)
        for i, r in zip("abcdef", [*"___", "live", "live", "_"], strict=True)
    ]
    a, b, c, _, e, _ = tracks

    def marked(*pairs):
        return {t.id: t.recording for t in mark_recordings(tracks, [NearDuplicates(x, y, 1.0, 0.0) for x, y in pairs])}

    assert marked() == {"a": None, "b": None, "c": None, "d": "live", "e": "live", "f": None}
    found = marked((a, b), (b, c))
    assert found["a"] == found["b"] == found["c"] is not None
    assert found["f"] is None
    assert marked((a, e))["a"] == "live"
    assert mark_recordings(tracks[:1], []) == tracks[:1]


def test_from_the_command_line(folder):
    (folder / "bad.ogg").write_bytes(b"no")
    names = sorted(p.name for p in folder.iterdir() if p.name.startswith(("torus-1", "mucade", "bad")))
    write_manifest(folder / "tracks.jsonl", [Track(id=n, path=n) for n in names])
    arguments = ["manifest", "duplicates", str(folder / "tracks.jsonl"), "-o", str(folder / "marked.jsonl")]
    done = invoke([*arguments, "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert len(said["twins"]) == 12
    assert "bad.ogg" in said["skipped"][0]
    assert len({t.recording for t in read_manifest(folder / "marked.jsonl")}) == 3  # two songs, and the one unheard
    assert "12 pairs of near-duplicates" in invoke(arguments).output
