import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mirclr.index.base
from mirclr.errors import LibraryError, NoMatch
from mirclr.index import Index, build, open_index
from mirclr.index.file import save
from mirclr.library import Entry, LibraryStore
from mirclr.models.stamp import EncoderStamp
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
    with LibraryStore.open(tmp_path / "lib.db", create=True) as library:
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


def index_of(ids, matrix, hidden=(), more=None):
    base = build(ids, matrix.copy())
    new_ids, rows = more or (np.zeros(0, np.int64), np.zeros((0, matrix.shape[1]), "f4"))
    return Index(base, np.isin(base.ids, hidden), new_ids, rows)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 60), st.integers(1, 30), st.integers(1, 70), st.booleans(), st.integers(0, 2**32 - 1))
def test_search_is_what_sorting_all_gives(n, q, k, filtered, seed):
    """Also of tracks that changed since the base was made, and among those that a filter lets pass."""
    rng = np.random.default_rng(seed)
    # rows of a few signs make many exact ties, in powers of two so that every product is exact
    matrix = rng.choice([-0.5, 0.5], (n, 4)).astype("f4")
    queries = rng.choice([-0.5, 0.5], (q, 4)).astype("f4")
    ids = np.sort(rng.choice(1000, n, replace=False)).astype(np.int64)
    changed = ids[rng.random(n) < rng.choice([0, 0.3])]
    rows = rng.choice([-0.5, 0.5], (len(changed), 4)).astype("f4")
    index = index_of(ids, matrix, changed, (changed, rows))
    matrix[np.isin(ids, changed)] = rows
    allowed = rng.random(rng.integers(0, 1200)) < rng.random() if filtered else None
    similarities, found = index.search(queries, k, allowed=allowed)
    if filtered:
        passes = np.array([i < len(allowed) and allowed[i] for i in ids], bool)
        ids, matrix = ids[passes], matrix[passes]
    products = queries @ matrix.T
    assert similarities.shape == found.shape == (q, min(k, len(ids)))
    np.testing.assert_array_equal(similarities, -np.sort(-products, axis=1)[:, :k])
    for row in range(q):
        by_id = dict(zip(ids.tolist(), products[row], strict=True))
        assert [by_id[i] for i in found[row].tolist()] == similarities[row].tolist()
        assert len(set(found[row].tolist())) == min(k, len(ids))
    keys = [list(zip(-s, f, strict=True)) for s, f in zip(similarities, found, strict=True)]
    if not len(changed):  # of ties at the very end, which rows come is open
        assert all(row == sorted(row) for row in keys)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from((0.0, 0.02, 0.3, 3.0)), st.integers(1, 40), st.sampled_from((None, 0.0, 0.4, 0.9)),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_what_sketches_leave_out_loses_nothing(noise, k, fraction, seed):
    """However much of the vectors lies outside of the main directions, and whatever is asked."""
    rng = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "_PLAIN": 50, "_SKETCH": 6, "_FIRST": 2, "_TOGETHER": 7, "_AT_LEAST": 8, "_AGAIN": 2
        }.items():  # fmt: skip
            patch.setattr(mirclr.index.base, name, value)
        rows = rng.standard_normal((400, 6)) @ rng.standard_normal((6, 32)) + noise * rng.standard_normal((400, 32))
        rows[7] = rows[8]  # a copy
        matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("f4")
        ids = np.arange(3, 403, dtype=np.int64)
        base = build(ids, matrix)
        assert base.sketch.shape == (400, 6)
        assert not len(base.centroids)
        queries = np.concatenate([matrix[:2], unit_rows(rng, 2, 32).astype("f4")])
        allowed = None if fraction is None else rng.random(400) < fraction
        similarities, found = base.search(queries, k, allowed)
        products = queries.astype("f8") @ matrix.T.astype("f8")
        if allowed is not None:
            products[:, ~allowed] = -np.inf
        wanted = -np.sort(-products, axis=1)[:, :k]
        np.testing.assert_allclose(similarities, wanted, atol=1e-6)
        for row, of_rows in enumerate(found):
            there = of_rows[of_rows >= 0]
            assert len(set(there.tolist())) == np.isfinite(wanted[row]).sum()
            np.testing.assert_allclose(products[row, there], similarities[row][of_rows >= 0], atol=1e-6)


@pytest.fixture(params=[16, 10], ids=["whole", "sketched"])
def clustered(request, monkeypatch):
    monkeypatch.setattr(mirclr.index.base, "EXACT", 500)
    monkeypatch.setattr(mirclr.index.base, "_SKETCH", request.param)
    rng = np.random.default_rng(0)
    centres = unit_rows(rng, 40, 16)
    matrix = centres[rng.integers(0, 40, 2000)] + 0.5 * unit_rows(rng, 2000, 16)
    matrix = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype("f4")
    return np.arange(0, 4000, 2, dtype=np.int64), matrix, rng


def recall(index, ids, matrix, queries, k=20, allowed=None):
    _, found = index.search(queries, k, allowed=allowed)
    products = queries @ matrix.T
    if allowed is not None:
        products[:, ~allowed[ids]] = -np.inf
    wanted = ids[np.argsort(-products, axis=1)[:, :k]]
    return np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(found, wanted, strict=True)])


def test_clusters_find_nearly_what_comparing_with_all_finds(clustered):
    ids, matrix, rng = clustered
    index = index_of(ids, matrix)
    assert not index.is_exact
    assert index._base.probes < len(index._base.centroids)
    queries = matrix[rng.integers(0, 2000, 50)] + 0.2 * unit_rows(rng, 50, 16)
    queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype("f4")
    assert recall(index, ids, matrix, queries) >= 0.95
    np.testing.assert_array_equal(index.vectors(ids[5:9]), matrix[5:9])
    np.testing.assert_array_equal(index.ids, ids)


@pytest.mark.parametrize("fraction", [0.3, 0.01])
def test_a_filter_loses_nothing(clustered, fraction, monkeypatch):
    ids, matrix, rng = clustered
    monkeypatch.setattr(mirclr.index.base, "_FEW", 0.0)
    monkeypatch.setattr(mirclr.index.base, "_FEWEST", 10)  # else clusters would not be looked into
    index = index_of(ids, matrix)
    allowed = rng.random(4000) < fraction
    _, found = index.search(matrix[:20], 25, allowed=allowed)
    there = int(allowed[ids].sum())
    assert found.shape == (20, min(25, there))
    assert allowed[found].all()
    assert recall(index, ids, matrix, matrix[:20], 10, allowed) >= 0.95


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("fraction", [0.999, 0.5, 0.2, 0.05, 0.0])
def test_a_filter_that_lets_pass_what_is_far_away_finds_it(clustered, fraction, dense, monkeypatch):
    """As a genre does: all that passes lies on one side, and what is asked for may lie on the other."""
    ids, matrix, rng = clustered
    monkeypatch.setattr(mirclr.index.base, "_FEWEST", 10)
    monkeypatch.setattr(mirclr.index.base, "_FEW", 0.4 if dense else 2.0)
    index = index_of(ids, matrix)
    side = matrix @ rng.standard_normal(16)
    allowed = np.zeros(4000, bool)
    allowed[ids] = side > np.quantile(side, 1 - fraction) if fraction else False
    there = int(allowed[ids].sum())
    _, found = index.search(matrix[:50], 20, allowed=allowed)
    assert found.shape == (50, min(20, there))
    assert allowed[found].all()
    if there:
        assert recall(index, ids, matrix, matrix[:50], min(20, there), allowed) >= 0.95


def test_similarity_stats_are_of_similarities_to_the_library(library):
    index = open_index(library)
    ids, matrix = library.vectors()
    products = matrix @ matrix.T
    wanted = np.stack([products.mean(axis=1), products.std(axis=1)], axis=1)
    np.testing.assert_allclose(index.similarity_stats(ids), wanted, atol=1e-5)
    np.testing.assert_allclose(index.similarity_stats_of(matrix[:3]), wanted[:3], atol=1e-5)


def test_it_is_saved_once_and_read_back(library, saved):
    assert is_true_to(open_index(library), library)
    first = saved.stat()
    assert is_true_to(open_index(library), library)
    assert (saved.stat().st_ino, saved.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
    assert sorted(p.name for p in saved.parent.iterdir() if "index" in p.name) == ["lib.db.index"]


def change(library, how):
    if how == "more":
        fill(library, ["new"], np.random.default_rng(2))
    elif how == "fewer":
        library.remove([3])
    elif how == "other vectors":
        fill(library, ["7"], np.random.default_rng(3))


@pytest.mark.parametrize("how", ["more", "fewer", "other vectors"])
def test_a_few_changes_of_a_large_library_are_read_from_it(library, saved, how, monkeypatch):
    monkeypatch.setattr("mirclr.index.index._SMALL", 0)
    open_index(library)
    before = saved.read_bytes()
    change(library, how)
    assert is_true_to(open_index(library), library)
    assert saved.read_bytes() == before


@pytest.mark.parametrize("how", ["more", "fewer", "other vectors"])
@pytest.mark.parametrize("setting", [("_SMALL", 10_000), ("_STALE", 0.0)])
def test_after_many_changes_or_any_of_a_small_library_the_base_is_made_again(library, saved, how, setting, monkeypatch):
    monkeypatch.setattr("mirclr.index.index._SMALL", 0)
    monkeypatch.setattr(f"mirclr.index.index.{setting[0]}", setting[1])
    open_index(library)
    before = saved.read_bytes()
    change(library, how)
    assert is_true_to(open_index(library), library)
    assert saved.read_bytes() != before


def test_how_a_small_library_grew_changes_nothing(library, saved):
    """What hubs are corrected by is of the tracks as they are, and not of those that were there first."""
    open_index(library)
    fill(library, [f"more {i}" for i in range(400)], np.random.default_rng(4))
    grown = open_index(library)
    saved.unlink()
    made = open_index(library)
    np.testing.assert_array_equal(grown.similarity_stats(grown.ids), made.similarity_stats(made.ids))


def test_many_queries_under_a_mask_are_answered_in_parts(monkeypatch):
    rng = np.random.default_rng(0)
    matrix = unit_rows(rng, 500, DIM)
    index, allowed = index_of(np.arange(500), matrix), rng.random(500) < 0.5
    whole = index.search(matrix[:40], 9, allowed=allowed)
    monkeypatch.setattr(mirclr.index.base, "_AT_ONCE", 1200)
    for a, b in zip(whole, index.search(matrix[:40], 9, allowed=allowed), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_when_all_are_replaced_the_base_is_made_again(library, saved):
    open_index(library)
    library.remove(list(range(1, 51)))
    fill(library, ["x", "y"], np.random.default_rng(8))
    assert is_true_to(open_index(library), library)


def test_the_file_of_another_library_is_not_used(library, saved, tmp_path):
    with LibraryStore.open(tmp_path / "other.db", create=True) as other:
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
        with LibraryStore.open(path) as one:
            fill(one, ["new"], np.random.default_rng(seed))
            open_index(one)
    copy.with_name("copy.db.index").replace(saved)
    with LibraryStore.open(library.path) as one:
        assert is_true_to(open_index(one), one)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_damage_is_noticed(data):
    with (
        tempfile.TemporaryDirectory() as folder,
        LibraryStore.open(Path(folder) / "lib.db", create=True) as library,
    ):
        library.bind(EncoderStamp("d", "e", DIM, 8, {}))
        fill(library, ["a", "b", "c"], np.random.default_rng(1))
        open_index(library)
        saved = Path(folder) / "lib.db.index"
        good = saved.read_bytes()
        at = data.draw(st.integers(0, len(good) - 1))
        row = len(good) - 4 * DIM  # of the matrix, which comes last
        swapped = good[: row - 4 * DIM] + good[row:] + good[row - 4 * DIM : row]
        changed = good[:at] + bytes([good[at] ^ 0x40]) + good[at + 1 :]
        bad = data.draw(st.sampled_from([good[:at], good + b"x", changed, swapped, b"[" * 5000]))
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
        LibraryStore.open(tmp_path / "lib.db", create=True) as library,
        pytest.raises(NoMatch, match="no songs yet"),
    ):
        open_index(library)


def test_a_query_of_another_dimension_is_refused(library):
    with pytest.raises(LibraryError, match="8 components"):
        open_index(library).search(np.ones((1, 3), "f4"), 1)


def test_what_is_compared_is_the_mean_and_not_the_deviations(tmp_path):
    """Of vectors that hold both the first half is what neighbours are found by, at unit length."""
    recipe = {"embedding": {"excerpts": 8, "std_weight": 1.0}}
    with LibraryStore.open(tmp_path / "lib.db", create=True) as library:
        library.bind(EncoderStamp("d", "e", DIM, 8, recipe))
        fill(library, [f"{i}" for i in range(50)], np.random.default_rng(1))
        ids, whole = library.vectors()
        held, compared = library.compared()
        half = whole[:, : DIM // 2]
        np.testing.assert_array_equal(held, ids)
        np.testing.assert_allclose(compared, half / np.linalg.norm(half, axis=1, keepdims=True), atol=1e-6)
        np.testing.assert_allclose(library.compared([7, 3])[1], compared[[2, 6]], atol=0)
        np.testing.assert_allclose(library.stamp.compared(whole), compared, atol=1e-6)
        np.testing.assert_allclose(library.stamp.compared(whole[5]), compared[5], atol=1e-6)
        index = open_index(library)
        assert index.dim == DIM // 2
        order = (-(compared @ compared.T)).argsort(axis=1, kind="stable")
        np.testing.assert_array_equal(index.search(compared, 5)[1], ids[order[:, :5]])


def test_an_index_of_whole_vectors_is_made_again(tmp_path):
    """As an earlier mirclr left it beside the library."""
    recipe = {"embedding": {"std_weight": 1.0}}
    with LibraryStore.open(tmp_path / "lib.db", create=True) as library:
        library.bind(EncoderStamp("d", "e", DIM, 8, recipe))
        fill(library, [f"{i}" for i in range(50)], np.random.default_rng(1))
        save(
            tmp_path / "lib.db.index",
            build(*library.vectors()),
            {"library": library.uuid, "generation": library.generation},
        )
        assert open_index(library).dim == DIM // 2


@pytest.mark.parametrize(
    ("dim", "recipe", "mean_dim"),
    [
        (8, {}, 8),
        (8, {"embedding": {"std_weight": 0.0}}, 8),
        (8, {"embedding": {"std_weight": 0.5}}, 4),
        (7, {"embedding": {"std_weight": 0.5}}, 7),  # of no encoder of mirclr's
        (1, {"embedding": {"std_weight": 0.5}}, 1),
        (8, {"embedding": {"std_weight": "much"}}, 8),
        (8, {"embedding": 3}, 8),
    ],
)
def test_what_is_compared_is_told_by_the_recipe_whatever_it_holds(dim, recipe, mean_dim):
    stamp = EncoderStamp("d", "e", dim, 8, recipe)
    assert stamp.mean_dim == mean_dim
    assert stamp.compared(np.ones((3, dim), np.float32)).shape == (3, mean_dim)
