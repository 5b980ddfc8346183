import csv
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import click
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from mirclr.cli import group
from mirclr.errors import AudioError, EncoderMismatch, LibraryNotFound, MissingExtra, NoMatch
from mirclr.index import open_index
from mirclr.library import EncoderStamp, Entry, Library
from mirclr.playlist import read_m3u8
from mirclr.recommend import Query, Seed, match_tracks, recommend_tracks
from mirclr.tags import Tags

ROOT = os.path.abspath(os.sep + "music")
STAMP = EncoderStamp("d" * 32, "a.safetensors", 4, 8, {})


def entry(path, vector, root=ROOT, digest=None, duration_s=100.0, **tags):
    digest = path if digest is None else digest
    return Entry(root, path, 1, 1, f"f-{path}", digest, duration_s, Tags(**tags), np.array(vector, "f4"))


@pytest.fixture
def library(tmp_path):
    with Library.open(tmp_path / "lib.db", create=True) as library:
        library.bind(STAMP)
        yield library


def ask(library, *ids, n=20, extra=()):
    seeds = [Seed.of_track(library, track) for track in library.tracks(ids)]
    return recommend_tracks(library, open_index(library), Query((*seeds, *extra), n))


def slowly(library, seeds, n):
    """What recommend_tracks says it does, over all tracks one by one."""
    ranked = []
    for track in library.tracks():
        products = [float(seed.vector @ library.vector(track.id)) for seed in seeds]
        best = max(products)
        ranked.append((-round(best, 6), track.id, track, library.vector(track.id)))
    taken = [(s.audio_digest, s.duration_s, s.vector) for s in seeds]
    found = []
    for negative, _, track, vector in sorted(ranked, key=lambda row: row[:2]):
        twin = any(
            d == track.audio_digest or (abs(s - track.duration_s) <= 0.1 and vector @ v > 0.9999) for d, s, v in taken
        )
        if track.id in [s.track_id for s in seeds] or twin or len(found) == n:
            continue
        taken.append((track.audio_digest, track.duration_s, vector))
        found.append((track.id, -negative))
    return found


# few directions, durations and digests: many ties and many twins
directions = st.sampled_from([v for v in itertools.product((-1, 0, 1), repeat=4) if any(v)])
tracks = st.tuples(directions, st.sampled_from([100.0, 100.05, 200.0]), st.integers(0, 60))


@settings(max_examples=60, deadline=None)
@given(st.lists(tracks, min_size=1, max_size=80), st.integers(1, 12), st.data())
def test_the_answer_is_that_of_the_slow_way(rows, n, data):
    with tempfile.TemporaryDirectory() as folder, Library.open(Path(folder) / "l.db", create=True) as library:
        library.bind(STAMP)
        library.write(entries=[entry(f"{i}", v, duration_s=s, digest=f"d{d}") for i, (v, s, d) in enumerate(rows)])
        ids = data.draw(st.lists(st.integers(1, len(rows)), min_size=1, max_size=3, unique=True))
        seeds = [Seed.of_track(library, track) for track in library.tracks(ids)]
        found = recommend_tracks(library, open_index(library), Query(tuple(seeds), n))
        wanted = slowly(library, seeds, n)
        assert [r.track.id for r in found] == [track_id for track_id, _ in wanted]
        assert [r.similarity for r in found] == pytest.approx([s for _, s in wanted])
        assert [r.rank for r in found] == list(range(1, len(found) + 1))


def test_n_is_filled_past_many_twins(library):
    twins = [entry(f"t{i}", (1, 0, 0, 0), digest="same") for i in range(300)]
    others = [entry(f"o{i}", (1, 1 + i, 0, 0)) for i in range(5)]
    library.write(entries=[*twins, *others])
    assert [r.track.path for r in ask(library, 1, n=5)] == ["o0", "o1", "o2", "o3", "o4"]
    assert len(ask(library, 1, n=100)) == 5


def test_one_seeds_many_twins_do_not_let_anothers_far_tracks_pass(library):
    twins = [entry(f"t{i}", (1, 0, 0, 0), digest="same") for i in range(100)]
    near = [entry(f"near{i}", (10, 1 + i, 0, 0)) for i in range(5)]
    far = [entry(f"far{i}", (0, 10, i, 5), duration_s=i) for i in range(20)]
    library.write(entries=[*twins, entry("b", (0, 0, 0, 1)), *near, *far])
    assert [r.track.path for r in ask(library, 1, 101, n=5)] == [f"near{i}" for i in range(5)]


def test_a_song_of_the_same_vector_but_another_length_is_no_twin(library):
    library.write(entries=[entry("a", (1, 0, 0, 0)), entry("b", (1, 0, 0, 0), duration_s=150)])
    assert [r.track.path for r in ask(library, 1)] == ["b"]


def test_empty_digests_are_not_equal_audio(library):
    library.write(entries=[entry(f"{i}", np.eye(4)[i], digest="") for i in range(3)])
    assert len(ask(library, 1)) == 2


def test_a_seed_from_outside(library):
    library.write(entries=[entry("a", (1, 0, 0, 0)), entry("b", (0, 1, 0, 0)), entry("c", (1, 0.1, 0, 0))])
    seed = Seed("mine", np.array([1, 0, 0, 0], "f4"), audio_digest="a", duration_s=3.0)
    assert [r.track.path for r in ask(library, extra=[seed])] == ["c", "b"]


def test_a_track_removed_since_is_not_recommended(library):
    library.write(entries=[entry(p, v) for p, v in zip("abc", np.eye(4), strict=False)])
    index = open_index(library)
    seed = Seed.of_track(library, library.tracks([1])[0])
    library.remove([2])
    assert [r.track.id for r in recommend_tracks(library, index, Query((seed,)))] == [3]


def test_a_query_needs_a_seed_and_a_number():
    with pytest.raises(ValueError, match="0 seeds"):
        Query(())
    with pytest.raises(ValueError, match="for 0"):
        Query((Seed("x", np.ones(4)),), 0)


def test_why(library):
    library.write(
        entries=[
            entry("a", (1, 0, 0, 0), title="A", artist="Björk", album="X", genre="Pop"),
            entry("b", (1, 0.1, 0, 0), title="B", artist="BJORK", album="Y", genre="pop"),
            entry("c", (0, 1, 0, 0), title="C", artist="Z"),
            entry("d", (0, 1, 0.1, 0), title="D"),
            entry("e", (0.5, 0, 1, 0), title="E"),
        ]
    )
    library.store_probabilities(
        "mood",
        {
            1: {"calm": 0.7, "dark": 0.6, "happy": 0.1},
            2: {"calm": 0.9, "dark": 0.6},
            5: {"calm": 0.2, "dark": 0.1},
        },
        "h",
    )
    assert {r.track.title: r.why for r in ask(library, 1)} == {
        "B": "same artist; same genre; mood: calm, dark",
        "C": "sounds alike",
        "D": "sounds alike",
        "E": "mood: calm",  # below a half, but its likeliest
    }
    both = {r.track.title: (r.seed, r.why) for r in ask(library, 1, 3)}
    assert both["B"] == ("Björk – A", "near Björk – A; same artist; same genre; mood: calm, dark")
    assert both["D"] == ("Z – C", "near Z – C")


# texts


@pytest.fixture
def songs(library):
    rows = [
        ("Hurt", "Nine Inch Nails", "Spiral"),
        ("Hurt", "Johnny Cash", "American"),
        ("Creep", "Radiohead", "Pablo"),
        ("Creep", "Radiohead", "Best Of"),
        ("No Surprises", "Radiohead", "OK"),
        ("Kiss", "Prince", "Parade"),
        ("Beth", "Kiss", "Destroyer"),
        ("Ágætis", "Sigur Rós", "Ágætis byrjun"),
        ("Olsen", "Sigur Rós", "Ágætis byrjun"),
    ]
    rng = np.random.default_rng(0)
    library.write(
        entries=[
            entry(f"{i}.ogg", rng.standard_normal(4), title=t, artist=a, album=b, duration_s=100 + i)
            for i, (t, a, b) in enumerate(rows)
        ]
    )
    return library


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("surprises", [5]),
        ("creep", [3]),
        ("Johnny Cash – Hurt", [2]),
        ("johnny cash hurt", [2]),
        ("radiohead", [3, 4, 5]),
        ("kiss", [6]),
        ("sigur ros", [8, 9]),
        ("Agætis byrjun", [8, 9]),
        ("agaetis", [8]),
        ("radiohead best", [4]),
        ("4.ogg", [5]),
    ],
)
def test_match_tracks(songs, text, ids):
    assert [t.id for t in match_tracks(songs, text)] == ids


def test_an_ambiguous_text_lists_what_it_may_mean(songs):
    with pytest.raises(NoMatch, match="2 tracks") as caught:
        match_tracks(songs, "hurt")
    assert "Johnny Cash – Hurt" in str(caught.value)
    with pytest.raises(NoMatch) as caught:
        match_tracks(songs, "ogg")
    assert str(caught.value).count("\n") == 8


def test_an_unknown_text_suggests_close_ones(songs):
    with pytest.raises(NoMatch, match="close are: Radiohead"):
        match_tracks(songs, "radoihead")
    with pytest.raises(NoMatch) as caught:
        match_tracks(songs, "qqqqqq")
    assert "close" not in str(caught.value)


# the commands


def run(*args):
    return CliRunner().invoke(group, [str(a) for a in args])


def test_recommend_prints_and_writes(songs, tmp_path):
    output = tmp_path / "out" / "list.m3u8"
    result = run("recommend", "creep", "beth", "--library", songs.path, "-n", 3, "--json", "-o", output)
    assert result.exception is None
    answer = json.loads(result.stdout)
    assert answer["seeds"] == ["Radiohead – Creep", "Kiss – Beth"]
    rows = answer["recommendations"]
    assert [r["rank"] for r in rows] == [1, 2, 3]
    assert [str(f) for f in read_m3u8(output)] == [r["file"] for r in rows]
    assert rows[0]["title"] in run("recommend", "creep", "beth", "--library", songs.path).stdout


def test_recommend_wrong_usage(songs, tmp_path):
    assert run("recommend", "--library", songs.path).exit_code == 2
    assert run("recommend", "creep", "-n", 0, "--library", songs.path).exit_code == 2
    assert run("recommend", "creep", "-o", "x.txt", "--library", songs.path).exit_code == 2
    assert isinstance(run("recommend", "creep", "--library", tmp_path / "no.db").exception, LibraryNotFound)
    assert isinstance(run("recommend", "hurt", "--library", songs.path).exception, NoMatch)


def test_recommend_by_path_in_the_library_or_copied(songs, tmp_path):
    from mirclr.provenance import file_digest

    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "in.ogg").write_bytes(b"music")
    made = entry("in.ogg", (1, 0, 0, 0), root=str(tmp_path / "m"))
    songs.write(entries=[Entry(**{**vars(made), "file_digest": file_digest(tmp_path / "m" / "in.ogg")})])
    (tmp_path / "copy.ogg").write_bytes(b"music")
    for file in (tmp_path / "m" / "in.ogg", tmp_path / "copy.ogg"):
        answer = json.loads(run("recommend", file, "--json", "--library", songs.path).stdout)
        assert answer["seeds"] == ["in.ogg"]
        assert len(answer["recommendations"]) == 9  # all the others


def test_a_seed_in_the_library_imports_nothing_heavy(songs):
    heavy = {"torch", "torchaudio", "librosa", "soundfile", "sklearn", "pydantic", "av"}
    code = (
        "import sys\nfrom mirclr.cli import group\n"
        f"group.main(['recommend', 'creep', '--library', {str(songs.path)!r}], standalone_mode=False)\n"
        f"assert not {heavy!r} & set(sys.modules), {heavy!r} & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Radiohead" in result.stdout


class FakeEmbedder:
    """Hears in every file the direction that its first byte names."""

    stamp, rate, seconds, excerpts, dim = STAMP, 16000, 3.0, 8, 4

    @classmethod
    def load(cls, checkpoint, *, excerpts=None, device="auto"):
        assert excerpts == STAMP.excerpts
        return cls()

    def embed_track(self, waveforms):
        return np.eye(4, dtype="f4")[int(waveforms[0, 0])]


def fake_hear(files, *, count, seconds, rate, workers=0):
    for file in files:
        if (content := file.read_bytes()) == b"bad":
            yield SimpleNamespace(file=file, excerpts=None, error=f"{file}: not audio")
        else:
            waveforms = np.full((1, 1), int(content), "f4")
            yield SimpleNamespace(
                file=file,
                excerpts=SimpleNamespace(waveforms=waveforms, duration_s=5.0, digest="x"),
                error=None,
            )


@pytest.fixture
def outside(library, tmp_path, monkeypatch):
    fake = ModuleType("mirclr.embed")
    fake.Embedder, fake.hear = FakeEmbedder, fake_hear
    monkeypatch.setitem(sys.modules, "mirclr.embed", fake)
    library.write(entries=[entry(f"{i}.ogg", np.eye(4)[i] + 0.1) for i in range(4)])
    for name, content in (("zero.wav", "0"), ("two.wav", "2"), ("bad.wav", "bad"), ("a.ckpt", "")):
        (tmp_path / name).write_text(content)
    return library


def test_recommend_by_files_outside(outside, tmp_path):
    args = (tmp_path / "two.wav", "1.ogg", tmp_path / "zero.wav", "--library", outside.path, "--json")
    assert run("recommend", *args).exit_code == 2  # no checkpoint
    result = run("recommend", *args, "--checkpoint", tmp_path / "a.ckpt")
    answer = json.loads(result.stdout)
    assert answer["seeds"] == ["two.wav", "1.ogg", "zero.wav"]
    rows = answer["recommendations"]
    assert {r["file"][-5:]: r["seed"] for r in rows[:2]} == {"2.ogg": "two.wav", "0.ogg": "zero.wav"}
    bad = run("recommend", tmp_path / "bad.wav", "--library", outside.path, "--checkpoint", tmp_path / "a.ckpt")
    assert isinstance(bad.exception, AudioError)
    assert str(bad.exception).count("bad.wav") == 1


def test_another_encoder_than_the_librarys_is_refused(outside, tmp_path, monkeypatch):
    other = EncoderStamp("e" * 32, "b.safetensors", 4, 8, {})
    monkeypatch.setattr(FakeEmbedder, "stamp", other)
    result = run("recommend", tmp_path / "two.wav", "--library", outside.path, "--checkpoint", tmp_path / "a.ckpt")
    assert isinstance(result.exception, EncoderMismatch)


def test_export(songs, tmp_path):
    songs.store_probabilities("mood", {1: {"calm": 0.75, "dark": 0.625, "odd": 0.1}, 2: {"calm": 0.2}}, "h")
    songs.write(entries=[entry("line\nbreak.ogg", (0, 0, 0, 1), title='a\r"b"\n,c')])
    npz, table, parquet = (tmp_path / "out" / f"e.{s}" for s in ("npz", "csv", "parquet"))
    result = run("export", "--library", songs.path, "--vectors", npz, "--csv", table, "--parquet", parquet)
    assert result.exception is None
    with np.load(npz) as arrays:
        ids, vectors = arrays["ids"], arrays["vectors"]
    assert ids.dtype.kind == "U"
    assert ids.tolist() == [*(f"{i}.ogg" for i in range(9)), "line\nbreak.ogg"]
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, songs.vectors()[1])
    with table.open(encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    assert [r["title"] for r in rows] == [t.title for t in songs.tracks()]
    assert [r["predicted_mood"] for r in rows[:3]] == ["calm; dark", "calm", ""]
    assert rows[0]["predicted_mood_probability"] == "0.750; 0.625"

    from pyarrow.parquet import read_table

    columns = read_table(parquet).to_pydict()
    assert columns["artist"] == [t.artist for t in songs.tracks()]
    np.testing.assert_array_equal(np.array(columns["vector"], "f4"), vectors)


def test_export_says_what_is_missing(songs, tmp_path, monkeypatch):
    assert run("export", "--library", songs.path).exit_code == 2
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = run("export", "--library", songs.path, "--parquet", tmp_path / "a.parquet")
    assert isinstance(result.exception, MissingExtra)
    assert "mirclr[parquet]" in str(result.exception)
    Library.open(tmp_path / "empty.db", create=True).close()
    result = run("export", "--library", tmp_path / "empty.db", "--csv", tmp_path / "a.csv")
    assert isinstance(result.exception, NoMatch)
    assert not isinstance(result.exception, click.ClickException)
