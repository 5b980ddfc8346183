"""Any map-style dataset of (waveform, labels), put into the cache of clips: it is trained on as files are."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from mirclr.audio.waveform import as_array, waveform_blocks
from mirclr.config.strict_yaml import shortened
from mirclr.config.wording import expected
from mirclr.data.clips import Cached, ClipCache, Skipped
from mirclr.data.manifest import Track
from mirclr.errors import ManifestError, UnusableAudio
from mirclr.provenance import digest_bytes

_FIELDS = ("title", "artist", "album", "genre", "moods", "tags", "split", "recording")
_SEVERAL = ("moods", "tags")  # fields of which a track has any number


class Dataset(Protocol):
    """What is asked of a dataset; `torch.utils.data.Dataset` and any sequence fit.

    Items are (waveform, labels): (n,) or (channels, n) real numbers at the recipe's ``audio.sample_rate``, or at the
    dataset's own `sample_rate` where it has one; and labels as `cache_dataset` takes them.
    """

    def __len__(self) -> int:
        """How many items there are."""

    def __getitem__(self, index: int, /) -> Any:
        """The item of that number, from 0."""


def cache_dataset(
    dataset: Dataset,
    cache: ClipCache,
    field: str | None = None,
    *,
    progress: Callable[[int, int], object] | None = None,
) -> tuple[list[Cached], list[Skipped], Tensor | None]:
    """Put the items of a dataset into a cache of clips; those that are there already are looked at alone.

    Parameters
    ----------
    dataset : Dataset
        Each item (waveform, labels). The labels are None; a text or a whole number, the item's class; several texts,
        its tags; a mapping of fields of a track (artist, album, genre, moods, tags, recording, split); or (C,)
        non-negative weights, its row of labels.
    cache : ClipCache
        Where the items are kept, by the digest of their samples.
    field : str, optional
        The recipe's `data.labels`: the field that texts and classes are put into; genre, or of several tags, unless
        given.
    progress : callable, optional
        Called after each item as ``progress(done, total)``.

    Returns
    -------
    tracks : list of Cached
        In the order of the dataset.
    skipped : list of Skipped
        Items of which nothing can be learned, such as silent ones.
    rows : (n, C) float32 Tensor or None
        Of the tracks, where the items have weights for labels.

    Raises
    ------
    ManifestError
        It is no map-style dataset, or an item is not (waveform, labels); the text names the item.
    """
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise ManifestError(
            f"data: found {type(dataset).__name__}; expected a map-style dataset, with a length and items"
        )
    rate = getattr(dataset, "sample_rate", None) or cache.rate
    cached, skipped, rows = [], [], []
    total = len(dataset)
    for i in range(total):
        item = dataset[i]
        if not isinstance(item, tuple | list) or len(item) != 2:
            what = f"{len(item)} values" if isinstance(item, tuple | list) else type(item).__name__
            raise ManifestError(f"data: item {i} is {what}; expected (waveform, labels)")
        waveform, labels = item
        found = labels_of(labels, field, i)
        fields = {} if isinstance(found, np.ndarray) else found
        track = _track(i, fields)
        try:
            samples = as_array(waveform)
            key = _key(samples, rate)
            track = _track(i, {"recording": key} | fields)  # items of the very same samples are one recording
            cached.append(cache.add(track, key, waveform_blocks(samples, rate, to=cache.rate)))
        except UnusableAudio as error:
            skipped.append(Skipped(track, f"item {i}: {error}"))
        else:
            rows.append(found if isinstance(found, np.ndarray) else None)
        if progress:
            progress(i + 1, total)
    return cached, skipped, _stacked(rows)


def labels_of(labels: Any, field: str | None, i: int) -> dict[str, Any] | np.ndarray:
    """The labels of item `i` as fields of a track, or as (C,) weights."""
    if labels is None:
        return {}
    if isinstance(labels, Mapping):
        if unknown := sorted(map(str, set(labels) - set(_FIELDS))):
            raise ManifestError(f"data: item {i} has the field {unknown[0]!r}; expected some of {', '.join(_FIELDS)}")
        return {name: tuple(v) if name in _SEVERAL and not isinstance(v, str) else v for name, v in labels.items()}
    if isinstance(labels, str):
        return {field or "genre": (labels,) if field in _SEVERAL else labels}
    if isinstance(labels, Tensor):
        labels = labels.detach().cpu().numpy()
    if isinstance(labels, list | tuple | set | frozenset) and labels and all(isinstance(v, str) for v in labels):
        return {field if field in _SEVERAL else "tags": tuple(sorted(labels))}
    row = np.asarray(labels)
    if row.ndim == 0 and row.dtype.kind in "iu":
        return labels_of(str(row.item()), field, i)
    if row.ndim == 1 and len(row) and row.dtype.kind in "fiub" and np.isfinite(row).all() and not (row < 0).any():
        return row.astype(np.float32)
    raise ManifestError(
        f"data: item {i} has the labels {str(labels)[:80]}; expected None, a text, a whole number, texts, fields of a "
        "track, or a row of non-negative weights"
    )


def _track(i: int, fields: Mapping[str, Any]) -> Track:
    try:
        return Track(id=f"item {i}", path=f"item {i}", **fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        found = shortened(first["input"], most=80)
        raise ManifestError(f"data: item {i}: {name}: expected {expected(first)}, found {found}") from error


def _key(samples: np.ndarray, rate: float) -> str:
    """Digest of an item's samples, and of what they mean."""
    what = f"{samples.dtype.str} {samples.shape} {rate}"
    return digest_bytes(b"waveform", what.encode(), np.ascontiguousarray(samples).tobytes())


def _stacked(rows: Sequence[np.ndarray | None]) -> Tensor | None:
    given = [row for row in rows if row is not None]
    if not given:
        return None
    if len(given) < len(rows) or len({len(row) for row in given}) > 1:
        raise ManifestError(
            "data: some items have a row of weights for labels, and others none or one of another length"
        )
    return torch.from_numpy(np.stack(given))
