import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirclr.errors import LibraryError, NoMatch
from mirclr.index import ExactIndex, open_index
from mirclr.library import EncoderStamp, Entry, Library
from mirclr.tags import Tags

DIM = 8


def unit_rows(rng, n, dim=DIM):
    x = rng.standard_normal((n, dim)).astype("f4")
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def fill(library, names, rng):
    root = os.path.abspath(os.sep + "music")
    library.write(
        entries=[
            Entry(root, name, 1, 1, name, name, 9.0, Tags(), v)
            for name, v in zip(names, unit_rows(rng, len(names)), strict=True)
        ]
    )


@pytest.fixture
def library(tmp_path):
    with Library.open(tmp_path / "lib.db", create=True) as library:
        library.bind(EncoderStamp("d", "e", DIM, 8, {}))
        fill(library, [f"{i}" for i in range(50)], np.random.default_rng(1))
        yield library


@pytest.fixture
def saved(library):
    return library.path.with_name("lib.db.index")


def is_true_to(index, library):
    ids, matrix = library.vectors()
    _, found = index.search(matrix, 1)
    return len(index) == len(ids) and found[:, 0].tolist() == ids.tolist()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 30), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_exact_is_what_sorting_all_gives(n, q, k, seed):
    rng = np.random.default_rng(seed)
    # rows of a few signs make many exact ties, in powers of two so that every product is exact
    matrix = rng.choice([-0.5, 0.5], (n, 4)).astype("f4")
    queries = rng.choice([-0.5, 0.5], (q, 4)).astype("f4")
    ids = np.sort(rng.choice(1000, n, replace=False)).astype(np.int64)
    similarities, found = ExactIndex(ids, matrix).search(queries, k)
    products = queries @ matrix.T
    assert similarities.shape == found.shape == (q, min(k, n))
    np.testing.assert_array_equal(similarities, -np.sort(-products, axis=1)[:, :k])
    for row in range(q):
        by_id = dict(zip(ids.tolist(), products[row], strict=True))
        assert [by_id[i] for i in found[row].tolist()] == similarities[row].tolist()
        assert len(set(found[row].tolist())) == min(k, n)
        keys = list(zip(-similarities[row], found[row], strict=True))
        assert keys == sorted(keys)


def test_it_is_saved_once_and_read_back(library, saved):
    assert is_true_to(open_index(library), library)
    first = saved.stat()
    assert is_true_to(open_index(library), library)
    assert (saved.stat().st_ino, saved.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
    assert sorted(p.name for p in saved.parent.iterdir() if "index" in p.name) == ["lib.db.index"]


@pytest.mark.parametrize("change", ["more", "fewer", "other vectors"])
def test_a_stale_file_is_made_again(library, saved, change):
    open_index(library)
    before = saved.read_bytes()
    if change == "more":
        fill(library, ["new"], np.random.default_rng(2))
    elif change == "fewer":
        library.remove([3])
    else:
        fill(library, ["7"], np.random.default_rng(3))
    assert is_true_to(open_index(library), library)
    assert saved.read_bytes() != before


def test_the_file_of_another_library_is_not_used(library, saved, tmp_path):
    with Library.open(tmp_path / "other.db", create=True) as other:
        other.bind(EncoderStamp("d", "e", DIM, 8, {}))
        fill(other, [f"{i}" for i in range(50)], np.random.default_rng(4))
        open_index(other)
    (tmp_path / "other.db.index").replace(saved)
    assert is_true_to(open_index(library), library)


def test_copies_that_grew_apart_do_not_share_an_index(library, saved):
    library.close()
    copy = library.path.with_name("copy.db")
    copy.write_bytes(library.path.read_bytes())
    for path, seed in ((copy, 5), (library.path, 6)):
        with Library.open(path) as one:
            fill(one, ["new"], np.random.default_rng(seed))
            open_index(one)
    copy.with_name("copy.db.index").replace(saved)
    with Library.open(library.path) as one:
        assert is_true_to(open_index(one), one)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_damage_is_noticed(data):
    with (
        tempfile.TemporaryDirectory() as folder,
        Library.open(Path(folder) / "lib.db", create=True) as library,
    ):
        library.bind(EncoderStamp("d", "e", DIM, 8, {}))
        fill(library, ["a", "b", "c"], np.random.default_rng(1))
        open_index(library)
        saved = Path(folder) / "lib.db.index"
        good = saved.read_bytes()
        at = data.draw(st.integers(0, len(good) - 1))
        bad = data.draw(
            st.sampled_from(
                [good[:at], good + b"x", good[:at] + bytes([good[at] ^ 0x40]) + good[at + 1 :], b"[" * 5000]
            )
        )
        saved.write_bytes(bad)
        assert is_true_to(open_index(library), library)
        assert saved.read_bytes() == good


def test_where_it_cannot_be_saved_it_still_answers(library, saved):
    saved.mkdir()  # nothing can replace a folder
    (saved / "x").touch()
    assert is_true_to(open_index(library), library)
    assert is_true_to(open_index(library), library)


def test_an_empty_library_says_so(tmp_path):
    with (
        Library.open(tmp_path / "lib.db", create=True) as library,
        pytest.raises(NoMatch, match="no tracks yet"),
    ):
        open_index(library)


def test_a_query_of_another_dimension_is_refused(library):
    with pytest.raises(LibraryError, match="8 components"):
        open_index(library).search(np.ones((1, 3), "f4"), 1)
