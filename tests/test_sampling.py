"""Which tracks a batch holds, and the label similarity of its rows."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mirclr.config import parse_recipe
from mirclr.data.manifest import Track
from mirclr.data.sampling import group_numbers, part_of, pick_classes, pick_tracks, soft_positive_rows
from mirclr.errors import ManifestError, RecipeError
from mirclr.objectives import GeneralizedSupConLoss, Targets

seeds = st.integers(0, 2**32)


def test_group_numbers() -> None:
    assert group_numbers(["b", None, "a", "b"]).tolist() == [0, -1, 1, 0]
    assert group_numbers([]).tolist() == []


@given(n=st.integers(2, 60), small=st.floats(0.01, 1), large=st.floats(0.01, 1))
def test_a_smaller_part_is_in_a_larger(n: int, small: float, large: float) -> None:
    tracks = [Track(id=f"t{i}", path=f"{i}.ogg") for i in range(n)]
    a, b = (part_of(tracks, fraction) for fraction in sorted((small, large)))
    assert {t.id for t in a} <= {t.id for t in b}
    assert len(a) == max(2, -(-n * min(small, large) // 1))
    assert part_of(tracks, 1.0) == tracks
    assert part_of(tracks[::-1], small) == part_of(tracks, small)[::-1]


@given(n=st.integers(1, 40), size=st.integers(1, 120), seed=seeds)
def test_tracks_are_drawn_evenly(n: int, size: int, seed: int) -> None:
    picks = pick_tracks(n, size, np.random.default_rng(seed))
    assert len(picks) == size
    counts = np.bincount(picks, minlength=n)
    assert counts.max() - counts.min() <= 1


@given(
    classes=st.lists(st.integers(-1, 5), min_size=4, max_size=60).filter(lambda c: len({*c} - {-1}) > 1),
    per_class=st.integers(1, 4),
    groups=st.integers(1, 8),
    seed=seeds,
)
def test_classes_are_balanced(classes: list[int], per_class: int, groups: int, seed: int) -> None:
    known = np.array(classes)
    picks = pick_classes(known, per_class * groups, per_class, np.random.default_rng(seed))
    assert len(picks) == per_class * groups
    counts = Counter(known[picks].tolist())
    assert -1 not in counts
    assert {c % per_class for c in counts.values()} == {0}
    times = [c // per_class for c in counts.values()]
    if groups <= len({*classes} - {-1}):
        assert set(times) == {1}
    for number, count in counts.items():  # no track twice before each of its class once
        of_class = Counter(picks[known[picks] == number].tolist())
        members = int((known == number).sum())
        assert max(of_class.values()) <= -(-count // members)


def test_one_class_is_no_contrast() -> None:
    with pytest.raises(ManifestError, match="needs two"):
        pick_classes(np.array([0, 0, -1]), 2, 1, np.random.default_rng(0))


def test_soft_positives_have_the_similarity_asked_for() -> None:
    instance = np.array([0, 1, 2, 3, 0])
    album, artist = np.array([7, 7, 8, -1, 7]), np.array([1, 1, 1, -1, 1])
    rows = soft_positive_rows(instance, album, artist, album_weight=0.5, artist_weight=0.2)
    expected = torch.tensor(
        [
            [1.0, 0.5, 0.2, 0.0, 1.0],
            [0.5, 1.0, 0.2, 0.0, 0.5],
            [0.2, 0.2, 1.0, 0.0, 0.2],
            [0.0, 0.0, 0.0, 1.0, 0.0],
            [1.0, 0.5, 0.2, 0.0, 1.0],
        ]
    )
    torch.testing.assert_close(rows @ rows.T, expected)


def test_a_soft_positive_pulls() -> None:
    """With soft positives the loss falls when two tracks of one album come together; without, it rises."""
    instance = torch.arange(4).repeat(2)
    album = np.array([0, 0, 1, 2] * 2)
    rows = soft_positive_rows(instance.numpy(), album, np.full(8, -1), album_weight=0.6, artist_weight=0.0)
    apart, near = torch.eye(4).repeat(2, 1), torch.eye(4).repeat(2, 1)
    near[[1, 5]] = torch.tensor([0.8, 0.6, 0.0, 0.0])

    def loss(z: torch.Tensor, labels: torch.Tensor | None) -> float:
        return float(GeneralizedSupConLoss(temperature=0.5)(z, Targets(instance, None, labels)))

    assert loss(near, rows) < loss(apart, rows)
    assert loss(near, None) > loss(apart, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data: {train: x, soft_positives: {}}", "needs objective generalized_sup_con"),
        ("data: {train: x, soft_positives: {album: 0.1, artist: 0.2}}", "above album"),
        ("data: {train: x, tracks_per_class: 2}", "needs data.labels"),
        ("data: {train: x, labels: genre, tracks_per_class: 3}", "no multiple"),
        ("data: {train: x}\nobjective: {name: sup_con}", "needs data.labels"),
        ("data: {train: x}\naugment: {mixup: {}}", "needs objective generalized_sup_con"),
    ],
)
def test_recipes_that_do_not_fit_together_say_so(text: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        parse_recipe(f"name: a\n{text}")
