"""Datasets of (waveform, labels) as tracks of the cache of clips."""

import numpy as np
import pytest
import torch

from mirclr.audio import write_wav
from mirclr.config import parse_recipe
from mirclr.data.batches import ClipSource
from mirclr.data.clips import Cached, ClipCache
from mirclr.data.dataset import cache_dataset, labels_of
from mirclr.data.manifest import Track
from mirclr.errors import CacheError, ManifestError
from tests.conftest import TINY

RATE = 16000


def waves(n=4, seconds=2.0, rate=RATE):
    """Different noises, whole steps of 16 bits."""
    rng = np.random.default_rng(0)
    return [(rng.integers(-9000, 9000, int(seconds * rate)) / 32768).astype(np.float32) for _ in range(n)]


class Listed:
    """A map-style dataset that is nothing else."""

    def __init__(self, items, sample_rate=None):
        self.items = items
        if sample_rate:
            self.sample_rate = sample_rate

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


@pytest.mark.parametrize("domain", ["mel", "waveform"])
def test_items_are_cached_as_files_of_the_same_samples_are(tmp_path, in_this_process, domain):
    cache = ClipCache(TINY, domain)
    items = waves()
    cached, skipped, rows = cache_dataset(Listed([(y, None) for y in items]), cache)
    assert skipped == []
    assert rows is None
    for i, y in enumerate(items):
        write_wav(tmp_path / f"{i}.wav", y, RATE)
    tracks = [Track(id=str(i), path=f"{i}.wav") for i in range(len(items))]
    of_files = {one.track.id: one for one in cache.fill(tracks, tmp_path)}
    for i, one in enumerate(cached):
        file = of_files[str(i)]
        assert isinstance(file, Cached)
        assert one.length == file.length
        np.testing.assert_array_equal(cache.read(one, 0, one.length), cache.read(file, 0, file.length))


def test_whatever_gives_samples_is_an_item():
    cache = ClipCache(TINY, "waveform")
    y = waves(1)[0]
    items = [y, torch.from_numpy(y), y.astype(np.float64), (y * 32768).astype(np.int16), y[None], np.stack([y, y])]
    cached, _, _ = cache_dataset([(item, "x") for item in items], cache)
    wanted = cache.read(cached[0], 0, cached[0].length)
    assert all(np.array_equal(cache.read(c, 0, c.length), wanted) for c in cached)


def test_a_dataset_may_have_a_rate_of_its_own():
    cache = ClipCache(TINY, "waveform")
    (cached,), _, _ = cache_dataset(Listed([(waves(1, rate=44100)[0], None)], 44100), cache)
    assert cached.length == 2 * RATE


def test_items_are_kept_and_the_same_samples_are_one_recording():
    cache, items = ClipCache(TINY, "mel"), waves(2)
    seen = []
    dataset = [(items[0], "a"), (items[1], "b"), (items[0].copy(), "c")]
    first, _, _ = cache_dataset(dataset, cache, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert first[0].track.recording == first[2].track.recording != first[1].track.recording
    assert len({c.track.id for c in first}) == 3
    before = [c.file.stat().st_mtime_ns for c in first]
    again, _, _ = cache_dataset(dataset, cache)
    assert again == first
    assert [c.file.stat().st_mtime_ns for c in again] == before


def test_what_nothing_can_be_learned_from_is_skipped_by_its_number():
    items = [waves(1)[0], np.zeros(RATE), waves(1)[0][:100], np.full(RATE, np.nan)]
    cached, skipped, _ = cache_dataset([(y, None) for y in items], ClipCache(TINY, "mel"))
    assert [c.track.id for c in cached] == ["item 0"]
    reasons = [one.reason for one in skipped]
    assert [r.partition(": waveform")[0] for r in reasons] == ["item 1", "item 2", "item 3"]
    assert "silent" in reasons[0]
    assert "NaN" in reasons[2]


@pytest.mark.parametrize(
    ("labels", "field", "fields"),
    [
        (None, "artist", {}),
        ("rock", None, {"genre": "rock"}),
        ("x", "artist", {"artist": "x"}),
        ("x", "tags", {"tags": ("x",)}),
        (3, None, {"genre": "3"}),
        (np.int64(3), "album", {"album": "3"}),
        (torch.tensor(3), None, {"genre": "3"}),
        (["b", "a"], None, {"tags": ("a", "b")}),
        ({"b", "a"}, "moods", {"moods": ("a", "b")}),
        ({"artist": "x", "moods": ["a"]}, None, {"artist": "x", "moods": ("a",)}),
    ],
)
def test_labels_are_fields_of_a_track(labels, field, fields):
    assert labels_of(labels, field, 0) == fields


@pytest.mark.parametrize("labels", [[0, 1.5], torch.tensor([0.0, 1.5]), np.array([0, 1.5]), (0, 1.5)])
def test_labels_may_be_weights(labels):
    row = labels_of(labels, None, 0)
    assert row.dtype == np.float32
    np.testing.assert_array_equal(row, np.float32([0, 1.5]))


@pytest.mark.parametrize(
    "labels", [3.5, [-1.0, 1.0], [np.nan], [[1.0]], object(), {"artits": "x"}, {"artist": 3}, {"split": "rest"}]
)
def test_what_are_no_labels_is_refused_by_the_item(labels):
    with pytest.raises(ManifestError, match="data: item 1") as raised:
        cache_dataset([(waves(1)[0], None), (waves(1)[0], labels)], ClipCache(TINY, "mel"))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("dataset", "text"),
    [
        (iter([]), "map-style dataset"),
        (None, "map-style dataset"),
        ([np.zeros(3)], "item 0 is ndarray; expected"),
        ([(np.zeros(3), 16000, "x")], "item 0 is 3 values"),
    ],
)
def test_what_is_no_dataset_is_refused(dataset, text):
    with pytest.raises(ManifestError, match=text):
        cache_dataset(dataset, ClipCache(TINY, "mel"))


def test_rows_of_labels_are_of_all_items_or_none():
    y = waves(3)
    for bad in ([[1.0, 0.0], None], [[1.0], [1.0, 0.0]]):
        with pytest.raises(ManifestError, match="row of weights"):
            cache_dataset(list(zip(y, bad, strict=False)), ClipCache(TINY, "mel"))
    dataset = [(y[0], [1.0, 0.0]), (np.zeros(RATE), [9.0, 9.0]), (y[1], [0.5, 0.5])]
    _, _, rows = cache_dataset(dataset, ClipCache(TINY, "mel"))
    assert torch.equal(rows, torch.tensor([[1.0, 0.0], [0.5, 0.5]]))


def test_batches_hold_the_rows_of_their_items():
    recipe = parse_recipe(
        "name: t\ndata: {train: t}\nobjective: {name: generalized_sup_con}\ntraining: {batch: 3}\n"
        "audio: {clip_seconds: 1.0}"
    )
    from mirclr.audio.views import ClipShape

    cache = ClipCache(recipe, "waveform")
    rows = torch.eye(4) + 0.5
    cached, _, found = cache_dataset(list(zip(waves(), rows, strict=True)), cache)
    source = ClipSource(
        cache, cached, ClipShape("waveform", RATE), recipe, labels=found, is_useful=lambda targets: True
    )
    batch = source.batch(0)
    picked = [int(name.removeprefix("item ")) for name in batch.tracks]
    assert torch.equal(batch.targets.labels, rows[picked].repeat(2, 1))


def test_evaluation_data_is_never_trained_on():
    recipe = TINY
    from mirclr.audio.views import ClipShape

    cache = ClipCache(recipe, "waveform")
    dataset = [(y, {"split": "test"}) for y in waves()]
    cached, _, _ = cache_dataset(dataset, cache)
    with pytest.raises(ManifestError, match="evaluation data is never"):
        ClipSource(cache, cached, ClipShape("waveform", RATE), recipe, is_useful=lambda targets: True)


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="cannot be written"):
        cache_dataset([(waves(1)[0], None)], ClipCache(TINY, "mel", tmp_path / "file"))


def test_what_is_no_array_is_skipped_by_its_number():
    cache = ClipCache(TINY, "waveform")
    y = torch.from_numpy(waves(1)[0])
    items = [y.to_sparse(), y, torch.ones(9000, device="meta"), y.bfloat16()]
    seen = []
    cached, skipped, _ = cache_dataset([(y, None) for y in items], cache, progress=lambda *at: seen.append(at))
    assert [one.track.id for one in cached] == ["item 1", "item 3"]
    assert [one.reason.partition(":")[0] for one in skipped] == ["item 0", "item 2"]
    assert seen == [(i, 4) for i in range(1, 5)]
