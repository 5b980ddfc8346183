"""The index by IVF-PQ with lists, which only many vectors have, and vectors from Parquet shards."""

import os

import numpy as np
import pytest

from mirclr.errors import EngineError, LibraryError
from mirclr.index import Pushed, open_engine, quantized
from mirclr.index.collection import library_key
from mirclr.index.quantized import About, padded
from mirclr.library import Entry, LibraryStore
from mirclr.library.export import track_rows, write_parquet
from mirclr.models.stamp import EncoderStamp
from mirclr.tags import Tags
from tests.commands import exits

DIM, N = 24, 3000


def rows(n, seed):
    rng = np.random.default_rng(seed)
    x = (np.random.default_rng(9).standard_normal((40, DIM))[rng.integers(0, 40, n)]).astype("f4")
    x += 0.5 * rng.standard_normal((n, DIM)).astype("f4")
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def fill(library, songs, seed=0):
    root, vectors = os.path.abspath(os.sep + "music"), rows(len(songs), seed)
    library.write(entries=[Entry(root, s, 1, 1, s, s, 9.0, Tags(), v) for s, v in zip(songs, vectors, strict=True)])


@pytest.fixture
def library(tmp_path, monkeypatch):
    monkeypatch.setattr(quantized, "SMALL", 500)
    with LibraryStore.open(tmp_path / "lib.db", create=True) as library:
        library.bind(EncoderStamp("d" * 32, "e", DIM, 8, {}))
        fill(library, [str(i) for i in range(N)])
        yield library


@pytest.fixture
def place(tmp_path, library):
    return tmp_path / "index" / library_key(library.uuid)


@pytest.fixture
def engine(tmp_path):
    return open_engine(f"ivfpq:{tmp_path / 'index'}")


def recall(engine, library):
    ids, matrix = library.compared()
    queries = rows(40, seed=77)
    _, found = engine.open(library).search(queries, 20)
    wanted = ids[np.argsort(-(queries @ matrix.T), axis=1)[:, :20]]
    assert set(found.ravel()) <= set(ids)
    return np.mean([len(set(a) & set(b)) / 20 for a, b in zip(found.tolist(), wanted.tolist(), strict=True)])


def test_lists_find_enough_and_go_on_until_much_has_changed(engine, library, place):
    assert engine.push(library) == Pushed(N, 0)
    first = About.read(place)
    assert first.lists
    assert first.probes < int(np.sqrt(N))
    assert first.recall >= 0.95
    assert recall(engine, library) >= 0.95
    fill(library, [*map(str, range(200, 500)), "new", "newer"], seed=1)
    library.remove([1, 2, 3])
    assert engine.push(library) == Pushed(302, 3)
    second = About.read(place)
    assert (second.learned, second.rows, second.vectors) == (N, N + 302, first.vectors)
    assert recall(engine, library) >= 0.95
    assert engine.status(library).behind == 0
    fill(library, [str(i) for i in range(1000, 2000)], seed=2)
    assert engine.push(library) == Pushed(1000, 0)
    assert About.read(place).learned == N + 1302  # made anew
    assert recall(engine, library) >= 0.95
    assert engine.build(library) == Pushed(N - 1, 0)
    third = About.read(place)
    assert third.rows == N - 1  # rows of tracks that are gone are gone
    assert {f.name for f in place.iterdir()} == {"about.json", third.vectors, third.ids, third.lists}


def test_what_is_damaged_is_said_and_made_anew(engine, library, place):
    engine.push(library)
    about = About.read(place)
    lists = place / about.lists
    lists.write_bytes(lists.read_bytes()[:-100] + bytes(100))
    with pytest.raises(EngineError, match="is damaged; make the index anew"):
        recall(engine, library)
    engine.build(library)
    assert recall(engine, library) >= 0.95
    for name in ("vectors", "ids", "lists"):
        file = place / getattr(About.read(place), name)
        kept = file.read_bytes()
        file.unlink()
        assert not engine.status(library).usable
        file.write_bytes(kept)
    (place / "about.json").write_text((place / "about.json").read_text().replace('"vectors-', '"../vectors-'))
    assert not engine.status(library).usable
    assert engine.push(library).written == N
    assert recall(engine, library) >= 0.95


@pytest.mark.parametrize("dim", [1, 3, 4, 30, 64, 255, 256, 300, 2048])
def test_codes_divide_the_components(dim):
    wide = padded(np.ones((2, dim), "f2"))
    each = quantized._components(dim)
    assert wide.shape[1] % each == 0
    assert wide.shape[1] // each <= 64
    assert (wide.sum(axis=1) == dim).all()


# shards


def write_shard(file, ids, vectors):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    file.parent.mkdir(exist_ok=True, parents=True)
    parquet.write_table(arrow.table({"id": ids, "vector": list(vectors), "other": ["x"] * len(ids)}), file)


def test_vectors_come_from_shards_and_what_these_lack_from_the_library(engine, library, tmp_path, capsys):
    ids, matrix = library.vectors()
    write_shard(tmp_path / "shards" / "a.parquet", ids[:2000], matrix[:2000])
    write_shard(tmp_path / "shards" / "more" / "b.parquet", [*ids[1990:2500], 10**9], [*matrix[1990:2500], matrix[0]])
    at = ["--library", library.path, "--index", f"ivfpq:{tmp_path / 'index'}"]
    code, out, err = exits(capsys, "index", "build", "--from", tmp_path / "shards", *at)
    assert (code, out.endswith(": 3,000 songs written\n")) == (0, True), err
    assert engine.status(library).behind == 0
    assert recall(engine, library) >= 0.95


def test_an_export_is_a_shard(engine, library, tmp_path):
    pytest.importorskip("pyarrow")
    write_parquet(tmp_path / "export.parquet", track_rows(library), library.vectors()[1])
    assert engine.build(library, shards=tmp_path / "export.parquet") == Pushed(N, 0)
    assert engine.status(library).behind == 0


def test_shards_that_are_none_of_this_library_are_refused(engine, library, tmp_path):
    ids, matrix = library.vectors()
    write_shard(tmp_path / "other" / "a.parquet", ids, rows(N, seed=4))
    with pytest.raises(LibraryError, match="holds other vectors than"):
        engine.build(library, shards=tmp_path / "other")
    write_shard(tmp_path / "short" / "a.parquet", ids, matrix[:, :5])
    with pytest.raises(LibraryError, match="holds other vectors than"):
        engine.build(library, shards=tmp_path / "short")
    (tmp_path / "none").mkdir()
    with pytest.raises(LibraryError, match="holds no Parquet files"):
        engine.build(library, shards=tmp_path / "none")
    (tmp_path / "text.parquet").write_text("no shard")
    with pytest.raises(LibraryError, match="no shard with the columns id and vector"):
        engine.build(library, shards=tmp_path / "text.parquet")
    with pytest.raises(EngineError, match="made of the library alone"):
        open_engine("faiss").build(library, shards=tmp_path / "other")
    assert not engine.status(library).held
