"""A file of labels for the tracks that are trained on: the CSV that ``mirclr classify train --labels`` takes too."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mirclr import config
from mirclr.classify.labels import Labels, read_labels
from mirclr.data.manifest import Track
from mirclr.errors import LabelsError
from mirclr.provenance import digest_json
from mirclr.terminal import counted

_ONE = ("genre", "artist", "album")  # of which a track has one at most; in the order in which they are learned from
_SEVERAL = ("moods", "tags")


@dataclass(frozen=True)
class LabelledTracks:
    """Tracks with the labels of a file.

    Attributes
    ----------
    tracks : list of Track
        All of them; those that the file does not name have no label.
    weights : dict of str to (M,) float32, or None
        By id the moods and tags of a track, where these are learned from.
    digest : str
        Of the labels that are learned from.
    """

    tracks: list[Track]
    weights: dict[str, np.ndarray] | None
    digest: str

    def rows(self, tracks: Sequence[Track]) -> Tensor | None:
        """(n, M) float32 rows of label weight of some of the tracks; None where their fields hold the labels."""
        return None if self.weights is None else torch.from_numpy(np.stack([self.weights[t.id] for t in tracks]))


def with_label_field(recipe: config.Recipe, folder: Path) -> config.Recipe:
    """A recipe that says which labels of its `data.labels_file` are learned from: what it names, or the file holds.

    Raises
    ------
    LabelsError
        The file is none, or has nothing to learn from.
    RecipeError
        The objective needs labels of another kind.
    """
    if recipe.data.labels_file is None or recipe.data.labels is not None:
        return recipe
    file = (folder / recipe.data.labels_file).expanduser()
    labels = read_labels(file)
    field = next((name for name in (*_ONE, *_SEVERAL) if _has(labels, name)), None)
    if field is None:
        raise LabelsError(
            f"{file}: holds no labels; expected a column genre, artist or album, or columns mood_… or tag_…"
        )
    tree: Any = recipe.model_dump(mode="json")
    tree["data"]["labels"] = field
    return config.recipe_from(tree)


def label_tracks_by_file(
    tracks: Sequence[Track], root: Path, file: Path, field: str, *, on_note: Callable[[str], None]
) -> LabelledTracks:
    """Give tracks the labels of a file, in place of their own.

    Parameters
    ----------
    tracks : sequence of Track
        Their paths are below `root`.
    root : Path
        The audio root.
    file : Path
        As `mirclr.classify.read_labels` reads it: each row is for the tracks whose path ends in its column ``file``.
    field : {"genre", "artist", "album", "moods", "tags"}
        What is learned from. Moods and tags are all its columns ``mood_…`` and ``tag_…``.
    on_note : callable
        Takes a line: how many tracks have a label, and which files of the labels are not among them.

    Raises
    ------
    LabelsError
        The file cannot be read or lacks the field, a row fits tracks of two files, or none fits.
    """
    labels = read_labels(file)
    if not _has(labels, field):
        there = [name for name in (*_ONE, *_SEVERAL) if _has(labels, name)]
        raise LabelsError(
            f"{file}: holds no {field}, which data.labels names; it holds {', '.join(there) or 'nothing'}"
        )
    row_of = _rows_by_path(tracks, root, labels)
    if not row_of:
        raise LabelsError(
            f"{file}: none of its {counted(len(labels.files), 'file')} is among the {counted(len(tracks), 'song')} to "
            f"train on; its column file holds {labels.files[0]!r}, a song's path is {tracks[0].path!r}"
        )
    labelled = [_labelled(track, row_of.get(track.path), labels, field) for track in tracks]
    weights = None
    if field in _SEVERAL:
        known = np.nan_to_num(labels.fractions).astype(np.float32)
        nothing = np.zeros(len(labels.moods), np.float32)
        weights = {t.id: known[row_of[t.path]] if t.path in row_of else nothing for t in tracks}
    having = sum(bool(getattr(track, field)) for track in labelled)
    on_note(f"{file}: {field} of {having:,} of {counted(len(tracks), 'song')}")
    kinds = {getattr(track, field) for track in labelled} - {None, ()}
    if field in _ONE and len(kinds) == 1:
        on_note(f"{file}: all of them have one {field}, {kinds.pop()!r}: there is nothing to tell apart")
    if missing := sorted({*range(len(labels.files))} - {*row_of.values()}):
        names = ", ".join(map(str, labels.files[missing[:3]])) + (" …" if len(missing) > 3 else "")
        on_note(f"{file}: {counted(len(missing), 'file')} of it not among the songs: {names}")
    held = sorted((t.id, getattr(t, field), weights[t.id].tolist() if weights else None) for t in labelled)
    return LabelledTracks(labelled, weights, digest_json(held))


def _has(labels: Labels, field: str) -> bool:
    if field in _SEVERAL:
        return bool(np.nansum(labels.fractions) > 0)
    return bool((getattr(labels, field) != "").any())


def _rows_by_path(tracks: Sequence[Track], root: Path, labels: Labels) -> dict[str, int]:
    """By the path of a track the row of labels that is for its file."""
    by_name: dict[str, dict[str, str]] = {}
    root = root.absolute()  # a file of labels may give whole paths
    for track in tracks:
        whole = unicodedata.normalize("NFC", (root / track.path).as_posix())
        by_name.setdefault(whole.rpartition("/")[2], {})[track.path] = whole
    found: dict[str, int] = {}
    for row, file in enumerate(labels.files):
        fits = {p: w for p, w in by_name.get(file.rpartition("/")[2], {}).items() if f"/{w}".endswith(f"/{file}")}
        exact = [path for path in fits if unicodedata.normalize("NFC", path) == file]
        where = f"{labels.source}:{labels.lines[row]}: file {file!r}"
        if len(fits) > 1 and len(exact) != 1:
            first, second = list(fits)[:2]
            raise LabelsError(f"{where} fits {first!r} and {second!r}; write more of its path")
        for path in exact[:1] or fits:
            if path in found:
                raise LabelsError(f"{where} is {path!r}, and so is another row; expected one row a song")
            found[path] = row
    return found


def _labelled(track: Track, row: int | None, labels: Labels, field: str) -> Track:
    """A track with what a row says of it; what is learned from is that of the row alone."""
    given: Mapping[str, Any] = {}
    if row is not None:
        given = {name: str(getattr(labels, name)[row]) for name in _ONE if getattr(labels, name)[row]}
        if field in _SEVERAL:
            names = zip(labels.moods, labels.fractions[row], strict=True)
            given |= {field: tuple(name for name, fraction in names if fraction > 0)}
    return track.model_copy(update={field: () if field in _SEVERAL else None, **given})
