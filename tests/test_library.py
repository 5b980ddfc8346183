import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirclr.errors import EncoderMismatch, LibraryError, LibraryNotFound, MirclrError
from mirclr.library import Description, Entry, ExcerptEmbeddings, Failure, LibraryStore, Listen, part_leading_out, shown
from mirclr.models.stamp import EncoderStamp
from mirclr.names import fold
from mirclr.tags import Tags
from tests.commands import COMMANDS, group, invoke

STAMP = EncoderStamp("0123abcd" * 4, "a.safetensors", 4, 8, {"audio": {"rate": 16000}})
ROOT = os.path.abspath(os.sep + "music")
POSIX = pytest.mark.skipif(os.name == "nt", reason="names on this system are Unicode")


def entry(path, vector=(1, 0, 0, 0), root=ROOT, digest=None, **tags):
    digest = digest or path
    return Entry(root, path, 10, 20, f"f-{digest}", f"a-{digest}", 100.0, Tags(**tags), np.array(vector, "f4"))


@pytest.fixture
def library(tmp_path):
    with LibraryStore.open(tmp_path / "lib.db", create=True) as library:
        library.bind(STAMP)
        yield library


def ids(tracks):
    return [t.id for t in tracks]


# opening


def test_what_changed_is_found_by_an_index_and_not_by_reading_all_vectors(library):
    asked = []
    library._connection.set_trace_callback(asked.append)
    assert not len(library.ids(changed_since=3))
    library._connection.set_trace_callback(None)
    plan = library._connection.execute(f"EXPLAIN QUERY PLAN {asked[-1]}").fetchall()
    assert "vector_generation" in plan[0]["detail"]


def test_a_missing_file_is_not_made_unless_asked(tmp_path):
    with pytest.raises(LibraryNotFound, match="mirclr embed"):
        LibraryStore.open(tmp_path / "lib.db")
    assert not list(tmp_path.iterdir())
    LibraryStore.open(tmp_path / "new" / "lib.db", create=True).close()
    assert (tmp_path / "new" / "lib.db").exists()


@pytest.mark.parametrize("content", [b"", b"some text that is long enough to be looked at" * 10])
def test_another_file_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "lib.db"
    path.write_bytes(content)
    with pytest.raises(LibraryError, match="not a mirclr library"):
        LibraryStore.open(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("create", [False, True])
def test_a_database_of_something_else_is_refused(tmp_path, create):
    path = tmp_path / "lib.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE photos (id INTEGER)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(LibraryError, match="not a mirclr library"):
        LibraryStore.open(path, create=create)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(tmp_path):
    path = tmp_path / "lib.db"
    LibraryStore.open(path, create=True).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 999")
    db.close()
    with pytest.raises(LibraryError, match=r"999.*upgrade"):
        LibraryStore.open(path)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=4, max_size=4).filter(lambda v: any(abs(x) > 1e-3 for x in v)),
    st.integers(1, 9),
    st.floats(0.1, 1e6),
    st.tuples(st.none() | st.floats(20, 400), st.none() | st.sampled_from(["Am", "Eb"]), st.floats(-1, 1)),
)
def test_what_is_read_and_written_again_is_bit_for_bit_what_it_was(vector, n, duration_s, described):
    """Whatever kernels numpy was built with: nothing that is copied or carried over moves by an ulp."""
    rng = np.random.default_rng(n)
    excerpts = ExcerptEmbeddings.of(np.arange(n, dtype=np.float32) / 3, rng.normal(size=(n, 4)).astype(np.float32))
    with tempfile.TemporaryDirectory() as folder, LibraryStore.open(Path(folder) / "lib.db", create=True) as library:
        library.bind(STAMP)
        made = replace(entry("0.ogg", vector), duration_s=duration_s, excerpts=excerpts)
        library.write(entries=[made])
        library.store_descriptions({1: Description(described[0], described[1], described[2], -9.1)})
        for i in range(1, 4):  # a copy of a copy of a copy
            (track,) = library.tracks([i])
            again = replace(
                made,
                path=f"{i}.ogg",
                vector=library.vector(i),
                excerpts=library.excerpt_embeddings([i])[i],
                duration_s=track.duration_s,
            )
            library.write(entries=[again])
            library.store_descriptions({i + 1: library.descriptions([i])[i]})
        rows = library._rows(
            "SELECT components, rows, duration_s, tempo_bpm, key, key_strength, loudness_lufs FROM track"
            " JOIN vector ON id = vector.track_id JOIN moment ON id = moment.track_id"
            " JOIN description ON id = description.track_id"
        )
        assert len(rows) == 4
        assert len({tuple(row) for row in rows}) == 1
        assert abs(float(np.linalg.norm(library.vector(1).astype(float))) - 1) < 1e-6


def test_schema_1_stays_loadable(tmp_path):
    golden = Path(__file__).parent / "golden" / "library_v1.db"
    assert golden.stat().st_size < 100_000
    path = shutil.copy(golden, tmp_path / "lib.db")
    with LibraryStore.open(path) as library:
        assert library.stamp == EncoderStamp("d" * 32, "golden.safetensors", 3, 8, {"audio": {"rate": 16000}})
        held, matrix = library.vectors()
        np.testing.assert_allclose(matrix, [[0.6, 0.8, 0], [0, 0, -1], [3**-0.5] * 3], atol=1e-6)
        assert held.tolist() == [1, 2, 3]
        first = library.find("oeuvres BJORK lodz")[0]
        assert (first.path, first.year, first.duration_s, first.audio_digest) == (
            "disc 0/0.ogg",
            1810,
            60.5,
            "a0",
        )
        assert library.probabilities("genre") == {1: {"classical": 0.75, "rock": 0.25}}
        assert library.failures() == [Failure("/music", "bad.ogg", 5, 6, "not audio")]
        assert library.states("/music")["disc 2/2.ogg"].size == 1002
        library.remove([1])
        assert library.probabilities("genre") == {}


def test_a_library_that_cannot_be_written_is_read(tmp_path, library, monkeypatch):
    library.write(entries=[entry("a")])
    library.close()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with LibraryStore.open(library.path) as frozen:
        assert len(frozen.tracks()) == 1
        frozen.bind(STAMP)
        with pytest.raises(LibraryError, match="may not be written"):
            frozen.remove([1])
    assert [p.name for p in tmp_path.iterdir()] == ["lib.db"]


# the encoder


def test_another_encoder_is_refused_naming_both_and_the_way_out(library):
    library.write(entries=[entry("a.ogg")])
    library.bind(replace(STAMP, name="same weights.safetensors"))
    for other in (replace(STAMP, digest="f" * 32, name="b.st"), replace(STAMP, excerpts=9, name="b.st")):
        with pytest.raises(EncoderMismatch) as caught:
            library.bind(other)
        text = str(caught.value)
        assert "a.safetensors" in text
        assert "b.st" in text
        assert f"mirclr library renew --library {library.path} --checkpoint" in text
    assert library.stamp == STAMP


def test_writing_needs_an_encoder_and_its_dimension(tmp_path, library):
    unbound = LibraryStore.open(tmp_path / "other.db", create=True)
    with pytest.raises(LibraryError, match="bind"):
        unbound.write(entries=[entry("a")])
    unbound.close()
    with pytest.raises(LibraryError, match=r"\(3,\)"):
        library.write(entries=[entry("good"), entry("bad", (1, 2, 3))])
    assert library.tracks() == []  # all of a batch or nothing


# writing


vectors = st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4).filter(lambda v: np.linalg.norm(v) > 1e-3)
paths = st.sampled_from(["a.ogg", "b/c.ogg", "b/ü.ogg", "z z.ogg"])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.tuples(paths, vectors), max_size=5), max_size=4))
def test_a_library_is_the_last_that_was_written_of_each_path(batches):
    with tempfile.TemporaryDirectory() as folder, LibraryStore.open(Path(folder) / "l.db", create=True) as library:
        library.bind(STAMP)
        last, first_ids, generations = {}, {}, [library.generation]
        for batch in batches:
            library.write(entries=[entry(path, vector) for path, vector in batch])
            last.update(batch)
            for path, state in library.states(ROOT).items():
                assert first_ids.setdefault(path, state.track_id) == state.track_id
            generations.append(library.generation)
            assert (generations[-1] > generations[-2]) == bool(batch)
        held, matrix = library.vectors()
        by_id = {state.track_id: path for path, state in library.states(ROOT).items()}
        assert held.tolist() == sorted(by_id)
        assert matrix.dtype == np.float32
        for i, row in zip(held.tolist(), matrix, strict=True):
            wanted = np.array(last[by_id[i]]) / np.linalg.norm(last[by_id[i]])
            np.testing.assert_allclose(row, wanted, atol=1e-6)
            np.testing.assert_array_equal(library.vector(i), row)
        assert set(by_id.values()) == set(last)


def test_sizes_are_those_of_all_roots(library):
    assert library.sizes() == set()
    library.write(entries=[entry("a"), entry("b"), replace(entry("c", root=ROOT + "2"), size=30)])
    assert library.sizes() == {10, 30}


def test_failures_come_and_go(library):
    failure = Failure(ROOT, "a", 1, 2, "silent")
    library.write(entries=[entry("b")], failures=[failure, Failure(ROOT, "b", 1, 2, "truncated")])
    assert library.failed(ROOT)["a"] == failure
    assert [t.path for t in library.tracks()] == ["b"]  # an earlier vector stays
    library.write(entries=[entry("a"), entry("b")])
    assert library.failures() == []
    library.write(failures=[failure, replace(failure, reason="later")])
    assert [f.reason for f in library.failures()] == ["later"]
    assert library.failed(ROOT + "x") == {}


@pytest.mark.parametrize("vector", [(0, 0, 0, 0), (1, np.nan, 0, 0), (1, np.inf, 0, 0)])
def test_a_vector_that_cannot_be_compared_is_a_failure(library, vector):
    library.write(entries=[entry("a", vector), entry("b")])
    assert [t.path for t in library.tracks()] == ["b"]
    assert "usable" in library.failed(ROOT)["a"].reason


@pytest.mark.parametrize(
    "wrong",
    [{"tags": Tags(artist="x" * 2**21)}, {"remark": "x" * 2**21}, {"start_s": 1e300}, {"start_s": np.nan},
     {"size": None}, {"duration_s": np.inf}, {"content_digest": b"x"}],
    ids=str,
)  # fmt: skip
def test_what_could_not_be_read_again_is_a_failure(library, wrong):
    library.write(entries=[replace(entry("a"), **wrong), entry("b")])
    assert [t.path for t in library.tracks()] == ["b"]
    assert library.failed(ROOT)["a"].reason.startswith("its ")


def test_a_long_reason_is_cut(library):
    library.write(failures=[Failure(ROOT, "a", 1, 2, "x" * 2**21)])
    assert set(library.failed(ROOT)["a"].reason) == {"x"}


@pytest.mark.parametrize("path", ["../a.ogg", "b/../../a.ogg", "/etc/passwd", "", "a\0b"])
def test_paths_stay_below_their_root(library, path):
    with pytest.raises(LibraryError, match="below"):
        library.write(entries=[entry(path)])
    with pytest.raises(LibraryError, match="below"):
        library.write(failures=[Failure(ROOT, path, 1, 1, "x")])
    library.write(entries=[entry("ok")])
    with pytest.raises(LibraryError, match="below"):
        library.move(1, ROOT, path, 1, 1, "d", Tags())
    with pytest.raises(LibraryError, match="absolute"):
        library.write(entries=[entry("a", root="music")])


def test_a_move_keeps_vector_and_id(library):
    library.write(entries=[entry("old", (0, 1, 0, 0), title="Old")])
    generation = library.generation
    library.write(failures=[Failure(ROOT, "new", 1, 1, "x")])
    library.move(1, ROOT, "new", 11, 21, "f-new", Tags(title="New"))
    state = library.states(ROOT)["new"]
    assert (state.track_id, state.size, state.mtime_ns, state.file_digest) == (1, 11, 21, "f-new")
    assert library.find("new")[0].title == "New"
    assert library.find("old") == []
    assert library.failures() == []
    assert library.with_audio_digest("a-old")[0].track_id == 1
    assert library.vector(1).tolist() == [0, 1, 0, 0]
    assert library.generation == generation


def test_failures_can_be_forgotten(library):
    failures = [Failure(ROOT, name, 1, 1, "x") for name in "ab"]
    library.write(failures=failures)
    library.forget(failures[:1])
    assert [f.path for f in library.failures()] == ["b"]


def test_move_onto_a_held_path_replaces_it(library):
    library.write(entries=[entry("a", (1, 0, 0, 0)), entry("b", (0, 1, 0, 0))])
    generation = library.generation
    library.move(1, ROOT, "b", 1, 1, "d", Tags())
    assert {p: s.track_id for p, s in library.states(ROOT).items()} == {"b": 1}
    assert library.vectors()[0].tolist() == [1]
    assert library.generation > generation
    with pytest.raises(LibraryError, match="no track 99"):
        library.move(99, ROOT, "b", 1, 1, "d", Tags())
    assert ids(library.tracks()) == [1]  # the failed move removed nothing


def test_removed_ids_are_never_used_again(library):
    library.write(entries=[entry("a"), entry("b")])
    assert library.remove([2, 77]) == 1
    assert library.remove([2]) == 0
    library.write(entries=[entry("b")])
    assert ids(library.tracks()) == [1, 3]
    with pytest.raises(LibraryError, match="no vector"):
        library.vector(2)


def test_tracks_come_in_the_order_asked_for(library):
    library.write(entries=[entry(p) for p in "abc"])
    assert ids(library.tracks([3, 9, 1])) == [3, 1]
    assert library.vectors([3, 9, 1])[0].tolist() == [1, 3]


def test_probabilities_are_replaced_by_task_and_dropped_with_the_vector(library):
    library.write(entries=[entry("a"), entry("b")])
    library.store_probabilities("mood", {1: {"calm": 0.5}, 2: {"dark": 1}, 99: {"calm": 0.1}}, "h1")
    library.store_probabilities("genre", {1: {"rock": 0.9}}, "h2")
    assert library.tasks() == {"genre": "h2", "mood": "h1"}
    assert library.probabilities("mood") == {1: {"calm": 0.5}, 2: {"dark": 1.0}}
    assert library.probabilities("mood", [2, 99]) == {2: {"dark": 1.0}}
    for bad in (1.5, float("nan")):
        with pytest.raises(LibraryError):
            library.store_probabilities("mood", {1: {"calm": bad}}, "h3")
    assert library.tasks()["mood"] == "h1"
    library.write(entries=[entry("a", (0, 0, 1, 0))])  # re-embedded: what was said of the old vector is void
    assert library.probabilities("mood") == {2: {"dark": 1.0}}
    library.store_probabilities("mood", {1: {"calm": 0.2}}, "h4")
    assert library.probabilities("mood") == {1: {"calm": 0.2}}
    assert library.probabilities("none") == {}


# finding


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bjork", [1]),
        ("BJÖRK jOGA", [1]),
        ("joga björk", [1]),
        ("mo ros sigur", [2]),
        ("disc ogg", [1, 2, 3]),
        ("oeuvres", [3]),
        ("strasse", [3]),
        ("пишии", []),
        ("100%", [3]),
        ("_", []),
        ("björk rós", []),
        ("", []),
        ("  ", []),
    ],
)
def test_find(library, text, found):
    library.write(
        entries=[
            entry("disc 1/1.ogg", title="Jóga", artist="Björk"),
            entry("disc 1/2.ogg", title="Mó", artist="Sigur Rós"),
            entry("disc 2/3.ogg", title="100% Straße", album="Œuvres", artist="Łukasz"),
        ]
    )
    assert ids(library.find(text)) == found


def test_find_similar(library):
    names = ("Radiohead", "Rage Against the Machine", "Björk", "Sigur Rós")
    library.write(entries=[entry(f"{i}.ogg", title="x", artist=name) for i, name in enumerate(names)])
    assert ids(library.find_similar("radoihead", 1)) == [1]
    assert ids(library.find_similar("BJRÖK", 1)) == [3]
    assert ids(library.find_similar("radoihead", 9)) == [1, 2, 3, 4]
    assert ids(library.find_similar("", 2)) == [1, 2]


@given(st.text(max_size=20))
def test_fold_ignores_case_and_is_idempotent(text):
    assert fold(fold(text)) == fold(text)
    assert fold(text.lower()) == fold(text) or text.lower().casefold() != text.casefold()


def test_fold_keeps_marks_that_tell_letters_apart():
    assert fold("が") != fold("か")
    assert fold("Ёлка") == fold("елка")


def test_find_file(library, tmp_path, monkeypatch):
    root = tmp_path / "m"
    (root / "d").mkdir(parents=True)
    library.write(entries=[entry("d/a.ogg", root=str(root))])
    assert library.find_file(root / "d" / "a.ogg").id == 1
    monkeypatch.chdir(root)
    assert library.find_file(Path("d") / ".." / "d" / "a.ogg").id == 1
    assert library.find_file(root / "a.ogg") is None
    assert library.find_file(root) is None
    (tmp_path / "link").symlink_to(root, target_is_directory=True)
    assert library.find_file(tmp_path / "link" / "d" / "a.ogg").id == 1


@POSIX
def test_names_that_are_not_unicode(library, tmp_path):
    path = os.fsdecode(b"caf\xe9/\xff.ogg")
    file = tmp_path / path
    file.parent.mkdir()
    file.write_bytes(b"x")
    library.write(entries=[entry(path, root=str(tmp_path), digest="d", title="x\ud800\0y")])
    track = library.tracks()[0]
    assert track.path == path
    assert track.file.read_bytes() == b"x"
    assert library.find_file(file).id == 1
    assert library.states(str(tmp_path))[path].track_id == 1
    assert track.title == "x?y"
    assert library.verify() == []
    assert library.roots() == {str(tmp_path): 1}
    shown(path).encode()
    for args in (["library", "list"], ["library", "list", "--json"], ["library", "info"], ["recommend", "caf?"]):
        assert run(*args, "--library", library.path).exit_code == 0


def test_gone(library, tmp_path):
    (tmp_path / "here").write_bytes(b"")
    library.write(entries=[entry("here", root=str(tmp_path)), entry("gone", root=str(tmp_path))])
    assert [t.path for t in library.gone()] == ["gone"]


def test_export_ids(library):
    a, b, c = (os.path.abspath(os.sep + p) for p in ("x/rock", "y/rock", "x/jazz"))
    library.write(entries=[entry("1.ogg", root=a)])
    assert library.export_ids() == {1: "1.ogg"}
    library.write(entries=[entry("1.ogg", root=b), entry("2.ogg", root=b), entry("1.ogg", root=c)])
    assert library.export_ids() == {
        1: Path(a, "1.ogg").as_posix(),
        2: Path(b, "1.ogg").as_posix(),
        3: "rock/2.ogg",
        4: "jazz/1.ogg",
    }


# soundness


def test_verify_finds_what_is_broken(library, tmp_path):
    for name in "abcde":
        (tmp_path / name).write_bytes(b"")
    library.write(entries=[entry(name, root=str(tmp_path)) for name in "abcde"])
    assert library.verify() == []
    with sqlite3.connect(library.path) as db:
        db.execute("UPDATE vector SET components = ? WHERE track_id = 1", (np.ones(3, "<f4").tobytes(),))
        db.execute("UPDATE vector SET components = ? WHERE track_id = 2", (np.ones(4, "<f4").tobytes(),))
        db.execute("UPDATE vector SET components = ? WHERE track_id = 3", (np.full(4, np.nan, "<f4").tobytes(),))
        db.execute("DELETE FROM vector WHERE track_id = 4")
    db.close()
    (tmp_path / "e").unlink()
    problems = library.verify()
    assert len(problems) == 5
    for problem, words in zip(
        problems, ["3 components", "unit length", "unit length", "no vector", "gone"], strict=True
    ):
        assert words in problem
    with pytest.raises(LibraryError, match="verify"):
        library.vectors()


def test_readers_see_one_state_while_another_writes(library):
    library.write(entries=[entry("a")])
    with LibraryStore.open(library.path) as reader, reader.snapshot():
        generation = reader.generation
        library.write(entries=[entry("b"), entry("c")])
        assert (len(reader.tracks()), len(reader.vectors()[0]), reader.generation) == (1, 1, generation)
    with LibraryStore.open(library.path) as reader:
        assert len(reader.tracks()) == 3


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_library import STAMP, LibraryStore, entry
root = Path({root!r})
with LibraryStore.open(Path({library!r}), create=True) as library:
    library.bind(STAMP)
    for batch in range(10_000):
        names = [f"{{batch}}-{{i}}" for i in range(7)]
        for name in names:
            (root / name).touch()
        library.write(entries=[entry(name, (1, batch, 2, 3), root=str(root)) for name in names])
        print(batch, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 5, 40])
def test_a_killed_writer_loses_the_batch_in_flight_at_most(tmp_path, lines):
    root, path = tmp_path / "music", tmp_path / "lib.db"
    root.mkdir()
    code = WRITER.format(tests=str(Path(__file__).parent), root=str(root), library=str(path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as writer:
        reported = [int(writer.stdout.readline()) for _ in range(lines)]
        writer.kill()
        reported += [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    with LibraryStore.open(path) as library:
        held = {}
        for track in library.tracks():
            held.setdefault(int(track.path.split("-")[0]), []).append(track.path)
        assert set(reported) <= set(held) <= {*reported, len(reported)}
        assert all(len(batch) == 7 for batch in held.values())
        assert library.verify() == []
        library.write(entries=[entry("after")])


# the command


def run(*args, **more):
    return invoke([str(a) for a in args], **more)


@pytest.fixture
def lib(library, tmp_path):
    root = tmp_path / "music"
    (root / "deep").mkdir(parents=True)
    entries = []
    for i in range(12):
        path = f"deep/{i}.ogg" if i % 2 else f"{i}.ogg"
        (root / path).write_bytes(b"")
        entries.append(entry(path, root=str(root), artist="A", title=f"T{i}"))
    library.write(entries=entries, failures=[Failure(str(root), "bad.ogg", 1, 1, "not audio")])
    return library


def test_helps():
    for name in ("library", "export", "recommend"):
        command = group.get_command(None, name)
        assert command.get_short_help_str(200) == COMMANDS[name]
        for c in [command, *getattr(command, "commands", {}).values()]:
            assert c.epilog.startswith("Example: mirclr ")


def test_library_info(lib):
    facts = json.loads(run("library", "info", "--json", "--failures", "--library", lib.path).stdout)
    assert facts["tracks"] == 12
    assert facts["failures"][0]["reason"] == "not audio"
    assert facts["encoder"]["name"] == "a.safetensors"
    assert list(facts["roots"].values()) == [12]
    text = run("library", "info", "--failures", "--library", lib.path).stdout
    assert "a.safetensors" in text
    assert "bad.ogg" in text


def test_library_list(lib):
    tracks = json.loads(run("library", "list", "--json", "--library", lib.path).stdout)
    assert [t["title"] for t in tracks] == [f"T{i}" for i in range(12)]
    lines = run("library", "list", "--library", lib.path).stdout.splitlines()
    assert lines[11].split("\t") == ["12", "A – T11", str(lib.tracks([12])[0].file)]


def test_library_remove(lib, tmp_path):
    root = tmp_path / "music"
    assert run("library", "remove", "--library", lib.path).exit_code == 2
    result = run("library", "remove", "t0", root / "deep", "--library", lib.path)
    assert result.exit_code == 0
    assert result.stdout.count("removed ") == 7
    assert [t.path for t in lib.tracks()] == ["2.ogg", "4.ogg", "6.ogg", "8.ogg", "10.ogg"]
    assert (root / "0.ogg").exists()


def test_library_remove_asks_before_many(lib):
    assert "nothing removed" in run("library", "remove", "A", "--library", lib.path, input="n\n").stderr
    assert len(lib.tracks()) == 12
    run("library", "remove", "A", "--library", lib.path, input="y\n")
    assert lib.tracks() == []


def test_library_remove_wants_a_name(lib, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for text in ("", " "):
        assert run("library", "remove", text, "--yes", "--library", lib.path).exit_code == 2
    assert len(lib.tracks()) == 12


def test_library_remove_gone_forgets_failures_when_told_to_and_not_of_a_disk_that_is_off(lib, tmp_path):
    root = tmp_path / "music"
    failure = Failure(str(root), "broken.ogg", 1, 1, "broken")
    elsewhere = Failure(str(tmp_path / "empty"), "broken.ogg", 1, 1, "broken")
    (tmp_path / "empty").mkdir()
    lib.write(failures=[failure, elsewhere])
    for file in root.rglob("*.ogg"):
        file.unlink()
    (root / "cover.jpg").write_bytes(b"")
    assert "nothing removed" in run("library", "remove", "--gone", "--library", lib.path, input="n\n").stderr
    assert {failure, elsewhere} <= set(lib.failures())
    run("library", "remove", "--gone", "--yes", "--library", lib.path)
    assert lib.failures() == [elsewhere]


def test_library_remove_gone_spares_a_disk_that_is_off(lib, tmp_path):
    root = tmp_path / "music"
    (root / "2.ogg").unlink()
    (root / "4.ogg").unlink()
    away = root.rename(tmp_path / "away")
    result = run("library", "remove", "--gone", "--yes", "--library", lib.path)
    assert "its songs stay" in result.stderr
    assert len(lib.tracks()) == 12
    away.rename(root)
    run("library", "remove", "--gone", "--library", lib.path)
    assert {f"{i}.ogg" for i in (0, 6, 8, 10)} == {t.path for t in lib.tracks() if "/" not in t.path}
    assert len(lib.tracks()) == 10


def test_library_verify(lib, tmp_path):
    assert run("library", "verify", "--library", lib.path).exit_code == 0
    (tmp_path / "music" / "2.ogg").unlink()
    result = run("library", "verify", "--library", lib.path)
    assert isinstance(result.exception, LibraryError)
    assert "2.ogg is gone" in result.stdout


# tracks that are parts of files


def test_a_part_of_a_file_is_a_track_with_a_name_of_its_own(library):
    parts = [
        replace(entry(f"x/album.flac/0{n}", title=f"t{n}"), audio_path="x/album.flac", start_s=100.0 * n)
        for n in (2, 1)
    ]
    library.write(entries=[*parts, entry("x/album.flac0.flac"), entry("x/other.flac")])
    file = Path(ROOT, "x", "album.flac")
    second, first, *whole = library.tracks()

    assert (first.file, first.place, first.span) == (file, file / "01", (100.0, 200.0))
    assert [t.span for t in whole] == [None, None]
    assert [t.place for t in whole] == [t.file for t in whole]
    assert library.find_files(file) == [first, second]  # in the order of the file
    assert library.find_file(file) == first
    assert library.find_file(file / "02") == second
    assert [s.file for s in library.states(ROOT).values()] == [t.file for t in library.tracks()]

    library.move(second.id, ROOT, "album.flac", 10, 20, "f", Tags())
    assert library.tracks([second.id])[0].span is None
    library.move(second.id, ROOT, "y.flac/07", 10, 20, "f", Tags(), audio_path="y.flac", start_s=7.0)
    assert library.tracks([second.id])[0].span == (7.0, 107.0)
    with pytest.raises(LibraryError, match="below it"):
        library.write(entries=[replace(entry("a/01"), audio_path="../../etc/a")])


def test_a_vector_that_is_not_finite_is_no_answer(library, tmp_path):
    library.write(entries=[entry("a.ogg"), entry("b.ogg")])
    with sqlite3.connect(library.path) as db:
        db.execute(
            "UPDATE vector SET components = ? WHERE track_id = 2", (np.array([0, np.nan, 0, 1], "<f4").tobytes(),)
        )
    db.close()
    with pytest.raises(LibraryError, match=r"vector of track 2 is not finite.*library verify"):
        library.vectors()
    assert library.vectors([1])[0].tolist() == [1]


# files from elsewhere


@pytest.fixture
def strange(tmp_path, library):
    """Makes a copy of a library of some tracks, with everything in it, in which SQL has changed something."""
    music = tmp_path / "music"
    music.mkdir()
    library.write(
        entries=[replace(entry(f"{i}.ogg", root=str(music), title=f"T{i}"), excerpts=EXCERPTS) for i in range(3)],
        failures=[Failure(str(music), "bad.ogg", 1, 2, "bad")],
    )
    library.store_descriptions({1: Description(100.0, "Am", 0.5, -9.0)})
    library.store_probabilities("genre", {1: {"rock": 0.9}}, "x")
    library.store_near_duplicates({(1, 2): 0.7})
    library.save_playlist("p", {"query": {"n": 3}, "output": None})
    library.store_listens("me", [Listen("A", "T", plays=3)], replace=True)
    library._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def make(*statements):
        path = Path(shutil.copy(library.path, tmp_path / "strange.db"))
        db = sqlite3.connect(path, isolation_level=None)
        for statement in statements:
            db.execute(statement)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        return path

    return make


EXCERPTS = ExcerptEmbeddings.of(np.zeros(1, np.float32), np.ones((1, 4), np.float32))


def test_a_copy_is_no_stranger(strange):
    with LibraryStore.open(strange("VACUUM", "ANALYZE")) as library:
        assert len(library.tracks()) == 3


@pytest.mark.parametrize(
    ("found", "statements"),
    [
        ("table 'track'", ["ALTER TABLE track RENAME TO t", "CREATE VIEW track AS SELECT * FROM t"]),
        ("trigger 'later'", ["CREATE TRIGGER later AFTER INSERT ON block BEGIN DELETE FROM track; END"]),
        ("view 'more'", ["CREATE VIEW more AS SELECT 1"]),
        ("table 'more'", ["CREATE TABLE more (x)"]),
        ("table 'words'", ["CREATE VIRTUAL TABLE words USING fts5(x)"]),
        ("index 'more'", ["CREATE INDEX more ON track (title)"]),
        ("index 'track_file_digest'", ["DROP INDEX track_file_digest"]),
        ("table 'block'", ["DROP TABLE block"]),
        ("table 'block'", ["DROP TABLE block", "CREATE TABLE block (rule TEXT DEFAULT 'x')"]),
        ("table 'block'", ["ALTER TABLE block ADD COLUMN more TEXT"]),
    ],
)
def test_what_mirclr_did_not_make_is_refused_in_a_line(strange, found, statements):
    try:
        path = strange(*statements)
    except sqlite3.OperationalError:
        pytest.skip("this SQLite lacks it")
    before = path.read_bytes()
    with pytest.raises(LibraryError, match="not a library of mirclr's") as caught:
        LibraryStore.open(path)
    assert found in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


VALUES = {
    "encoder": ["UPDATE meta SET value = '{' WHERE key = 'encoder'"],
    "encoder that is a list": ["UPDATE meta SET value = '[]' WHERE key = 'encoder'"],
    "encoder of absurd depth": [f"UPDATE meta SET value = '{'[' * 100_000}' WHERE key = 'encoder'"],
    "encoder without a digest": ["UPDATE meta SET value = json_remove(value, '$.digest') WHERE key = 'encoder'"],
    "encoder of text": ["UPDATE meta SET value = json_set(value, '$.dim', '4') WHERE key = 'encoder'"],
    "encoder of no dimension": ["UPDATE meta SET value = json_set(value, '$.dim', -4) WHERE key = 'encoder'"],
    "generation": ["UPDATE meta SET value = 'x' WHERE key = 'generation'"],
    "generation of 9,000 digits": [f"UPDATE meta SET value = '{'9' * 9000}' WHERE key = 'generation'"],
    "uuid": ["UPDATE meta SET value = x'ff' WHERE key = 'uuid'"],
    "path that is a text": ["UPDATE track SET path = 'a' WHERE id = 1"],
    "path out of the root": ["UPDATE track SET path = x'2e2e2f61' WHERE id = 1"],
    "path deep out of the root": ["UPDATE track SET path = x'612f2e2e2f2e2e2f61' WHERE id = 1"],
    "absolute path": ["UPDATE track SET path = x'2f61' WHERE id = 1"],
    "empty path": ["UPDATE track SET path = x'' WHERE id = 1"],
    "path with NUL": ["UPDATE track SET path = x'6100' WHERE id = 1"],
    "audio path": ["UPDATE track SET audio_path = x'2e2e2f61' WHERE id = 1"],
    "root": ["UPDATE track SET root = x'61' WHERE id = 1"],
    "root that is a number": ["UPDATE track SET root = 7 WHERE id = 1"],
    "failure's path": ["UPDATE failure SET path = x'2e2e2f61'"],
    "duration": ["UPDATE track SET duration_s = 9e999 WHERE id = 1"],
    "duration that is a text": ["UPDATE track SET duration_s = 'long' WHERE id = 1"],
    "title": ["UPDATE track SET title = x'ff00' WHERE id = 1"],
    "title that is no UTF-8": ["UPDATE track SET title = CAST(x'ff' AS TEXT) WHERE id = 1"],
    "long title": ["UPDATE track SET title = printf('%.*c', 3000000, 'x') WHERE id = 1"],
    "year": ["UPDATE track SET year = 1.5 WHERE id = 1"],
    "id": ["PRAGMA foreign_keys = OFF", "UPDATE track SET id = 4611686018427387904 WHERE id = 1"],
    "digest": ["UPDATE track SET file_digest = 7.5, audio_digest = x'00' WHERE id = 1"],
    "vector": ["UPDATE vector SET components = 'x' WHERE track_id = 1"],
    "vector of NaN": ["UPDATE vector SET components = x'0000c07f0000c07f0000c07f0000c07f' WHERE track_id = 1"],
    "vector of huge numbers": ["UPDATE vector SET components = x'ffff7f7fffff7f7fffff7f7fffff7f7f' WHERE track_id = 1"],
    "moments": ["UPDATE moment SET rows = 7"],
    "moments at no time": [f"UPDATE moment SET rows = x'0000c07f{'00' * 128}'"],
    "playlist": ["UPDATE playlist SET query = '['"],
    "playlist that is a list": ["UPDATE playlist SET query = '[]'"],
    "playlist of another kind": ["""UPDATE playlist SET query = '{"query": 7}'"""],
    "playlist to a number": ["""UPDATE playlist SET query = '{"query": {}, "output": 7}'"""],
    "tempo": ["UPDATE description SET tempo_bpm = 'x'"],
    "key": ["UPDATE description SET key = 7.5"],
    "listener": ["UPDATE listen SET artist = x'ff', plays = 'x'"],
    "label": ["UPDATE probability SET label = x'ff'"],
    "rule": ["INSERT INTO block VALUES (x'ff')"],
}
COMMANDS_OF = (
    ["library", "info", "--failures"],
    ["library", "verify"],
    ["library", "list", "--json"],
    ["recommend", "T1", "--explain", "-n", "2", "-o", "x.m3u8"],
    ["recommend", "--for", "me", "-n", "2"],
    ["export", "--vectors", "x.npz", "--csv", "x.csv"],
    ["sync", "--dry-run"],
    ["tag", "write", "--dry-run"],
    ["playlist", "list"],
    ["playlist", "refresh", "p"],
    ["profile", "show", "me"],
    ["block", "list"],
)


@pytest.mark.parametrize("what", VALUES)
def test_values_that_mirclr_does_not_write_are_a_line(strange, what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = strange(*VALUES[what])
    refused = 0
    for command in COMMANDS_OF:
        error = invoke([*command, "--library", str(path)]).exception
        assert error is None or isinstance(error, MirclrError | SystemExit), (command, error)
        refused += isinstance(error, LibraryError)
        assert "\n" not in str(error).strip(), (command, error)
        assert len(str(error)) < 1000
    assert refused
    assert not any("outside" in p.name for p in tmp_path.iterdir())


def test_a_file_that_is_only_a_link_out_of_its_folder_is_not_opened(library, tmp_path):
    if os.name == "nt":
        pytest.skip("links need rights")
    (tmp_path / "music" / "sub").mkdir(parents=True)
    (tmp_path / "else").mkdir()
    for place in ("else/out.ogg", "music/in.ogg", "else/more.ogg"):
        (tmp_path / place).write_bytes(b"x")
    (tmp_path / "music" / "out.ogg").symlink_to(tmp_path / "else" / "out.ogg")
    (tmp_path / "music" / "by").symlink_to(tmp_path / "else")
    (tmp_path / "music" / "sub" / "in.ogg").symlink_to(tmp_path / "music" / "in.ogg")
    root = str((tmp_path / "music").resolve())
    library.write(entries=[entry(p, root=root) for p in ("in.ogg", "sub/in.ogg", "gone.ogg", "out.ogg", "by/more.ogg")])
    inside, outside = part_leading_out(library.tracks())
    assert [track.path for track in inside] == ["in.ogg", "sub/in.ogg", "gone.ogg"]
    assert ["out.ogg" in outside[0], "more.ogg" in outside[1]] == [True, True]
    said = invoke(["describe", "--library", str(library.path), "--json"])
    problems = json.loads(said.stdout)["problems"]
    assert sum("leads out of" in problem for problem in problems) == 2


@pytest.mark.parametrize("create", [False, True])
def test_what_is_no_regular_file_is_no_library(tmp_path, create):
    """To open a pipe would wait for who writes it."""
    with pytest.raises(LibraryError, match="a folder; expected a library file"):
        LibraryStore.open(tmp_path, create=create)
    with pytest.raises(LibraryError, match="not the name of a file"):
        LibraryStore.open("a\0b", create=create)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(LibraryError, match="no regular file; expected a library file"):
            LibraryStore.open(tmp_path / "pipe", create=create)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_damaged_library_is_a_line(data):
    """Bytes of a library changed anywhere: it is refused, or what can be read of it is read."""
    content = bytearray((Path(__file__).parent / "golden" / "library_v3.db").read_bytes())
    for _ in range(data.draw(st.sampled_from([1, 4, 32, 256]))):
        at = data.draw(st.integers(0, len(content) - 1) | st.integers(0, 16383))
        content[at] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lib.db"
        path.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2]))])
        for command in COMMANDS_OF[:3]:
            error = invoke([*command, "--library", str(path)]).exception
            assert error is None or isinstance(error, MirclrError | SystemExit), (command, error)


def test_versions_change_with_what_is_written_and_with_nothing_else(library):
    before = library.tracks_version
    library.write(entries=[entry("a", title="T", track_number=3, disc_number=1)])
    (track,) = library.tracks()
    assert (track.track_number, track.disc_number) == (3, 1)
    assert 0 < track.added_s <= time.time()
    written = library.tracks_version
    library.move(track.id, ROOT, "b", 1, 1, "f", Tags(title="Other"))
    moved = library.tracks_version
    assert len({before, written, moved}) == 3
    assert library.tracks([track.id])[0].added_s == track.added_s
    listened = library.listens_version
    library.store_listens("me", [Listen("A", "T", plays=1)], replace=False)
    assert library.listens_version != listened
    assert library.tracks_version == moved
