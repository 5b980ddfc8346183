import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from mirclr import metrics

seeds = st.integers(0, 2**32 - 1)


def brute_force_retrieval(vectors, groups, exclude, k):
    """The obvious version: sort a list of all the others for each query."""

    def cosine(a, b):
        return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))

    precisions, hits = [], []
    for i in range(len(vectors)):
        others = [
            j
            for j in range(len(vectors))
            if j != i and not (exclude is not None and exclude[i] and exclude[j] == exclude[i])
        ]
        others.sort(key=lambda j: -cosine(vectors[i], vectors[j]))
        relevant = [bool(groups[i]) and groups[j] == groups[i] for j in others]
        if not any(relevant):
            continue
        found, total = 0, 0.0
        for rank, is_relevant in enumerate(relevant, 1):
            if is_relevant:
                found += 1
                total += found / rank
        precisions.append(total / found)
        hits.append(any(relevant[:k]))
    return np.mean(precisions), np.mean(hits), len(precisions)


@given(seeds, st.booleans())
def test_retrieval_equals_brute_force(seed, filtered):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(25, 4))
    artists = rng.choice(["", "a", "b", "c", "d"], 25)
    albums = np.array([f"{a}{rng.integers(2)}" if a and rng.random() < 0.8 else "" for a in artists])
    exclude = albums if filtered else None
    got = metrics.retrieval(vectors, artists, exclude, k=3)
    expected = brute_force_retrieval(vectors, artists, exclude, 3)
    assert (got.map, got.hit, got.queries) == pytest.approx(expected)
    assert got.queries + got.left_out == 25


def test_retrieval_leaves_out_and_counts_queries_without_relevant_items():
    got = metrics.retrieval(np.eye(4), ["a", "a", "b", ""])
    assert (got.queries, got.left_out) == (2, 2)
    nothing = metrics.retrieval(np.eye(3), ["a", "b", None])
    assert (nothing.queries, nothing.left_out) == (0, 3)
    assert np.isnan(nothing.map)


def test_retrieval_of_some_queries_ranks_all_items():
    rng = np.random.default_rng(0)
    vectors, groups = rng.normal(size=(600, 3)), rng.integers(0, 5, 600)
    one = [metrics.retrieval(vectors, groups, queries=np.array([i])).map for i in (3, 500)]
    both = metrics.retrieval(vectors, groups, queries=np.array([3, 500]))
    assert both.map == pytest.approx(np.mean(one))
    assert both.queries == 2


def test_the_album_filter_removes_the_whole_album_from_the_ranking():
    # the query's album mate is nearest, then a stranger, then the same artist's other album
    vectors = np.array([[1, 0], [1, 0.01], [1, 0.2], [1, 0.5]])
    artists, albums = ["x", "x", "y", "x"], ["1", "1", "9", "2"]
    query = np.array([0])
    assert metrics.retrieval(vectors, artists, queries=query).map == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.retrieval(vectors, artists, albums, queries=query).map == pytest.approx(1 / 2)


def test_chance_is_the_mean_of_random_rankings():
    rng = np.random.default_rng(1)
    relevant = np.arange(12) < 4
    rankings = [rng.permutation(relevant) for _ in range(20000)]
    assert metrics.chance_average_precision(4, 12) == pytest.approx(
        np.mean([metrics.average_precision(r) for r in rankings]), abs=0.005
    )
    assert metrics.chance_hit(4, 12, 3) == pytest.approx(np.mean([r[:3].any() for r in rankings]), abs=0.01)
    assert metrics.chance_average_precision(1, 1) == metrics.chance_average_precision(7, 7) == 1
    assert metrics.chance_hit(1, 2, 5) == 1


@given(st.lists(st.booleans(), min_size=1, max_size=30).filter(any))
def test_average_precision_equals_scikit_learn(relevant):
    ranks = -np.arange(len(relevant))
    assert metrics.average_precision(np.array(relevant)) == pytest.approx(
        oracle.average_precision_score(relevant, ranks)
    )


@given(seeds, st.integers(1, 40))
def test_scores_with_ties_equal_scikit_learn(seed, n):
    rng = np.random.default_rng(seed)
    positive, scores = rng.random(n) < 0.4, rng.integers(0, 5, n) / 4
    if positive.any():
        expected = oracle.average_precision_score(positive, scores)
        assert metrics.average_precision_of_scores(positive, scores) == pytest.approx(expected)
    else:
        assert np.isnan(metrics.average_precision_of_scores(positive, scores))
    if 0 < positive.sum() < n:
        assert metrics.roc_auc(positive, scores) == pytest.approx(oracle.roc_auc_score(positive, scores))
    else:
        assert np.isnan(metrics.roc_auc(positive, scores))


@given(seeds, st.integers(1, 30))
def test_accuracy_and_f1_equal_scikit_learn(seed, n):
    rng = np.random.default_rng(seed)
    predicted, actual = rng.choice(["a", "b", "c"], n), rng.choice(["a", "b", "d"], n)
    assert metrics.accuracy(predicted, actual) == pytest.approx(oracle.accuracy_score(actual, predicted))
    expected = oracle.f1_score(actual, predicted, average="macro", zero_division=0)
    assert metrics.macro_f1(predicted, actual) == pytest.approx(expected)


def test_calibration_error_by_hand():
    # bin (.8, .9]: .85 against 1/2, two items; bin (.1, .2]: .15 against 0, one item
    confidence, right = np.array([0.85, 0.85, 0.15]), np.array([True, False, False])
    assert metrics.expected_calibration_error(confidence, right, bins=10) == pytest.approx((0.7 + 0.15) / 3)
    assert metrics.expected_calibration_error(np.array([1.0, 0.0]), np.array([1, 0])) == 0
    assert metrics.expected_calibration_error(np.array([1.0, 0.0]), np.array([0, 1])) == 1


def test_calibration_error_of_true_probabilities_is_small():
    rng = np.random.default_rng(0)
    p = rng.random(20000)
    happened = rng.random(20000) < p
    assert metrics.expected_calibration_error(p, happened) < 0.02
    assert metrics.expected_calibration_error(p**3, happened) > 0.1


@given(seeds)
def test_knn_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    bank, queries = rng.normal(size=(30, 5)), rng.normal(size=(10, 5))
    bank_labels, query_labels = rng.choice(["a", "b", "c"], 30), rng.choice(["a", "b", "z"], 10)
    right = 0
    for vector, label in zip(queries, query_labels, strict=True):
        cosines = [float(vector @ b / np.linalg.norm(vector) / np.linalg.norm(b)) for b in bank]
        nearest = sorted(range(30), key=lambda j: -cosines[j])[:7]
        votes = dict.fromkeys("abc", 0.0)
        for j in nearest:
            votes[bank_labels[j]] += np.exp(cosines[j] / 0.07)
        right += max(votes, key=lambda name: votes[name]) == label
    assert metrics.knn_accuracy(bank, bank_labels, queries, query_labels, k=7) == pytest.approx(right / 10)


def test_knn_weighs_a_near_neighbour_above_two_far_ones():
    bank = np.array([[1, 0], [0.5, 0.9], [0.5, -0.9]])
    assert metrics.knn_accuracy(bank, [7, 3, 3], np.array([[1, 0.05]]), [7], k=3) == 1
    assert metrics.knn_accuracy(bank, [7, 3, 3], np.array([[1, 0.05]]), [3], k=99, temperature=50) == 1
    assert np.isnan(metrics.knn_accuracy(bank, [7, 3, 3], np.zeros((0, 2)), []))


def test_hubness_of_a_hub_and_of_none():
    angle = 2 * np.pi * np.arange(12) / 12
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    assert metrics.hubness(ring, k=12) == 0  # everyone is everyone's neighbour
    hub = np.vstack([np.eye(9), np.ones((1, 9))])  # the last row is the nearest of all others
    counts = np.array([1, *[0] * 8, 9.0])  # its own nearest is the first row, by order
    expected = ((counts - 1) ** 3).mean() / counts.std() ** 3
    assert metrics.hubness(hub, k=1) == pytest.approx(expected)
    assert expected > 2


def test_pearson():
    x = np.array([0.1, 0.5, 0.2, 0.9])
    assert metrics.pearson(x, 3 * x + 1) == pytest.approx(1)
    assert metrics.pearson(x, -x) == pytest.approx(-1)
    assert np.isnan(metrics.pearson(np.ones(4), x))


@given(seeds, st.integers(2, 60), st.integers(1, 30))
def test_ndcg_is_scikit_learn_s(seed, n, k):
    rng = np.random.default_rng(seed)
    relevant = rng.random(n) < 0.3
    relevant[rng.integers(n)] = True
    expected = oracle.ndcg_score(relevant[None].astype(float), -np.arange(n)[None], k=k)
    assert metrics.ndcg(relevant, int(relevant.sum()), k) == pytest.approx(expected)
    assert metrics.ndcg(relevant[:k], int(relevant.sum()), k) == pytest.approx(expected)  # the rest has no say


def test_ndcg_of_a_list_that_is_too_short_counts_what_is_missing():
    assert metrics.ndcg(np.array([True]), 2, 2) == pytest.approx(1 / (1 + 1 / np.log2(3)))
    assert metrics.ndcg(np.zeros(0, bool), 1, 5) == 0


# what is not defined is NaN, whatever the library behind a metric makes of it


@pytest.mark.parametrize("metric", [metrics.roc_auc, metrics.average_precision_of_scores])
def test_scores_of_infinity_count_as_scores_and_nan_makes_nan(metric):
    positive = np.array([True, False, True, False])
    finite = metric(positive, np.array([9.0, 1.0, 2.0, -9.0]))
    assert metric(positive, np.array([np.inf, 1.0, 2.0, -np.inf])) == finite == 1
    assert metric(positive, np.array([1e300, -1e300, 0.0, -np.inf], np.float64)) == 1
    assert np.isnan(metric(positive, np.array([1.0, 2.0, np.nan, 0.0])))
    assert np.isnan(metric(np.zeros(0, bool), np.zeros(0)))


def test_close_scores_are_not_taken_for_equal():
    positive = np.array([True, False])
    assert metrics.roc_auc(positive, np.array([np.nextafter(1.0, 2.0), 1.0])) == 1
    assert metrics.roc_auc(positive, np.array([1.0, 1.0])) == 0.5


def test_f1_is_of_labels_of_any_kind():
    assert np.isnan(metrics.macro_f1([], []))
    assert metrics.macro_f1([1.5, 2.5], [1.5, 1.5]) == pytest.approx(1 / 3)
    assert metrics.macro_f1(np.array([True, True]), np.array([True, False])) == pytest.approx(1 / 3)
    assert metrics.macro_f1(np.array(["a", "b"], object), ["a", "b"]) == 1


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=50))
def test_skewness_is_the_standardised_third_moment(values):
    x = np.array(values, float)
    centred = x - x.mean()
    expected = (centred**3).mean() / (centred**2).mean() ** 1.5 if len(set(values)) > 1 else 0
    assert metrics.skewness(x) == pytest.approx(expected, abs=1e-9)


def test_the_skewness_of_equal_values_is_0_without_a_warning(recwarn):
    for values in (np.zeros(0), np.full(7, 0.1), np.full(7, 1e9), np.array([0.1 + 0.2, 0.3, 0.3])):
        assert metrics.skewness(values) == 0
    assert not recwarn.list


def test_to_import_the_metrics_imports_no_scikit_learn():
    code = "import sys, mirclr.metrics; print(sorted({'sklearn', 'scipy', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
