"""Label distributions kept beside a corpus: written once by ``mirclr teacher label``, read crop by crop in training.

A folder holds ``labels.json`` (which teacher, its tags, window and hop) and one raw file a track, named as in the cache
of clips: (S, C + D) little-endian float32 rows, one for each window, of C logits and D numbers of embedding. Window i
begins at i * hop seconds.

Axes: S windows, C tags, D embedding dimensions.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mirclr.config import Distillation, digested
from mirclr.errors import LabelsError
from mirclr.provenance import digest_json, writing

FORMAT = 1
_INDEX = "labels.json"
_ROW = np.dtype("<f4")
_DIGESTED = ("teacher", "digest", "tags", "exclusive", "dim", "window_s", "hop_s")  # of a description
_SAMPLE = 1500  # windows that `how_alike` compares


@dataclass(frozen=True)
class Description:
    """What a folder of soft labels holds.

    Attributes
    ----------
    teacher, digest : str
        Name and digest of the teacher.
    tags : tuple of str
        C names.
    exclusive : int
        The first so many tags exclude each other; the others are independent.
    dim : int
        D.
    window_s, hop_s : float
        Length of a window, and the distance between the starts of two, in seconds.
    """

    teacher: str
    digest: str
    tags: tuple[str, ...]
    exclusive: int
    dim: int
    window_s: float
    hop_s: float


class SoftLabelFolder:
    """The folder, to write to or to read from.

    Parameters
    ----------
    folder : Path
        Where.
    description : Description
        What it holds.
    """

    def __init__(self, folder: Path, description: Description) -> None:
        self.folder, self.description = folder, description
        self.columns = len(description.tags) + description.dim

    @classmethod
    def create(cls, folder: Path, description: Description) -> "SoftLabelFolder":
        """Begin a folder, or go on with one of the same description.

        Raises
        ------
        LabelsError
            The folder holds labels of another teacher, or of other windows.
        """
        if (folder / _INDEX).exists():
            held = cls.read(folder)
            if held.description != description:
                raise LabelsError(
                    f"{folder}: holds labels of {held.description.teacher} every {held.description.hop_s:g} s; "
                    f"expected {description.teacher} every {description.hop_s:g} s, by the same weights: name another "
                    "folder"
                )
            return held
        with writing(folder / _INDEX, "w") as f:
            json.dump({"format": FORMAT, **asdict(description)}, f, indent=1, ensure_ascii=False)
        return cls(folder, description)

    @classmethod
    def read(cls, folder: Path) -> "SoftLabelFolder":
        """Open a folder that was written.

        Raises
        ------
        LabelsError
            It is none, is damaged, or is of a newer format.
        """
        index = folder / _INDEX
        try:
            found = json.loads(index.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise LabelsError(
                f"{folder}: holds no soft labels; make them: mirclr teacher label MANIFEST -o DIR"
            ) from None
        except ValueError as error:
            raise LabelsError(f"{index}: not JSON ({error}); label again into another folder") from error
        held = found.pop("format", None) if isinstance(found, dict) else None
        if held != FORMAT:
            newer = "upgrade mirclr, or " if isinstance(held, int) and held > FORMAT else ""
            raise LabelsError(f"{index}: not soft labels of format {FORMAT}; {newer}label again into another folder")
        try:
            description = Description(**{**found, "tags": tuple(found["tags"])})
            right = description.tags and description.dim >= 0 and description.hop_s > 0
        except (KeyError, TypeError):
            right = False
        if not right:
            raise LabelsError(f"{index}: is damaged; label again into another folder")
        return cls(folder, description)

    def has(self, key: str) -> bool:
        """Whether a track was labelled."""
        return self._file(key).exists()

    def write(self, key: str, logits: np.ndarray, embedding: np.ndarray) -> None:
        """Keep (S, C) logits and (S, D) embeddings of a track's windows; an older file is replaced at once."""
        rows = np.concatenate([logits, embedding], axis=1).astype(_ROW)
        if rows.shape[1] != self.columns or not np.isfinite(rows).all():
            raise LabelsError(f"{self.folder}: rows of {rows.shape[1]} for {self.columns} columns, or not finite")
        with writing(self._file(key)) as f:
            f.write(rows.tobytes())

    def rows(self, key: str, first: int = 0, count: int = -1) -> np.ndarray:
        """(S, C + D) float32 of a track: all its windows, or `count` from the `first` on.

        Raises
        ------
        LabelsError
            It was not labelled, or its file is damaged.
        """
        file = self._file(key)
        try:
            flat = np.fromfile(file, _ROW, max(-1, count * self.columns), offset=first * self.columns * _ROW.itemsize)
        except FileNotFoundError:
            raise LabelsError(
                f"{self.folder}: holds no labels of a track ({key}); run mirclr teacher label again"
            ) from None
        if not len(flat) or len(flat) % self.columns or not np.isfinite(flat).all():
            raise LabelsError(f"{file}: is damaged; remove it, and run mirclr teacher label again")
        return flat.reshape(-1, self.columns)

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.raw"


class SoftLabels:
    """The label distributions of some tracks, as a recipe's distillation wants them.

    Parameters
    ----------
    folder : SoftLabelFolder
        Where they are.
    keys : iterable of str
        The tracks'.
    settings : Distillation
        Temperature, centring, tags or embedding.
    clip_seconds : float, optional
        Length of the clips that are to learn from them.

    Attributes
    ----------
    windows : dict of str to int
        How many windows each track has. Their rows stay on disk, where two are read for a crop.
    mean : (C,) or (D,) float32
        Of what the teacher said of all windows, before it is centred and made into weights.

    Raises
    ------
    LabelsError
        A track was not labelled, or the windows have another length than the clips.
    """

    def __init__(
        self, folder: SoftLabelFolder, keys: Iterable[str], settings: Distillation, *, clip_seconds: float | None = None
    ) -> None:
        about = folder.description
        if clip_seconds is not None:
            check_windows(folder, clip_seconds)
        self.folder, self.hop_s, self.settings = folder, about.hop_s, settings
        self.digest = digest_json([*(getattr(about, name) for name in _DIGESTED), digested(settings)])
        self.windows: dict[str, int] = {}
        total: Tensor | float = 0.0
        for key in keys:
            if key in self.windows:
                continue
            rows = self.said(key)
            self.windows[key] = len(rows)
            total = total + rows.double().sum(dim=0)
        self.mean = (torch.as_tensor(total) / max(1, sum(self.windows.values()))).float()

    def said(self, key: str, first: int = 0, count: int = -1) -> Tensor:
        """(S, C) or (S, D) float32: what the teacher said of a track's windows, before it is made into weights."""
        rows, tags = torch.from_numpy(self.folder.rows(key, first, count)), len(self.folder.description.tags)
        return said(rows[:, :tags], rows[:, tags:], self.folder.description.exclusive, self.settings)

    def at(self, key: str, start_s: float) -> Tensor:
        """(C',) float32: the weights of a crop that begins at `start_s`, between those of the two nearest windows."""
        last = self.windows[key] - 1
        place = min(max(start_s / self.hop_s, 0.0), float(last))
        left = int(place)
        rows = self.said(key, left, 1 if left == last else 2)
        return as_weights(rows[0] + (place - left) * (rows[-1] - rows[0]), self.mean, self.settings)


def check_windows(folder: SoftLabelFolder, clip_seconds: float) -> None:
    """Raise `LabelsError` unless a folder's windows are as long as the clips that are to learn from them."""
    window = folder.description.window_s
    if abs(window - clip_seconds) > 0.1:
        raise LabelsError(
            f"{folder.folder}: holds labels of windows of {window:g} s, but clips of {clip_seconds:g} s are to learn "
            f"from them; set audio.clip_seconds to {window:g}, or label again with a teacher of {clip_seconds:g} s"
        )


def how_alike(folder: SoftLabelFolder, keys: Sequence[str], settings: Distillation) -> dict[str, float]:
    """Mean cosine of weights within a track and between tracks, on some windows: of a flat teacher both are near 1.

    Parameters
    ----------
    folder : SoftLabelFolder
        Where the labels are.
    keys : sequence of str
        Which tracks.
    settings : Distillation
        As a recipe would read them.

    Returns
    -------
    dict
        ``within`` and ``between``; NaN where there is no such pair.
    """
    labels = SoftLabels(folder, keys, settings)
    windows = torch.tensor([labels.windows[key] for key in keys])
    track = torch.arange(len(keys)).repeat_interleave(windows)
    place = torch.arange(len(track)) - (windows.cumsum(0) - windows)[track]
    drawn = torch.randperm(len(track), generator=torch.Generator().manual_seed(0))[:_SAMPLE]
    told = [labels.said(keys[t], p, 1) for t, p in zip(track[drawn].tolist(), place[drawn].tolist(), strict=True)]
    rows = as_weights(torch.cat(told), labels.mean, settings)
    rows, track = F.normalize(rows, dim=1), track[drawn]
    cosine, same = rows @ rows.T, track[:, None] == track[None, :]
    itself = torch.eye(len(rows), dtype=torch.bool)
    means = {"within": cosine[same & ~itself], "between": cosine[~same]}
    return {name: float(of.mean()) if len(of) else float("nan") for name, of in means.items()}


def probabilities(logits: Tensor, exclusive: int, temperature: float = 1.0) -> Tensor:
    """(B, C) logits to (B, C) float32 in [0, 1]: a softmax of the first `exclusive` columns, sigmoids of the others.

    A temperature below 1 sharpens.
    """
    scaled = logits.float() / temperature
    one, many = scaled[:, :exclusive], scaled[:, exclusive:]
    return torch.cat([one.softmax(dim=1), many.sigmoid()], dim=1)


def said(logits: Tensor, embedding: Tensor, exclusive: int, settings: Distillation) -> Tensor:
    """What distillation takes of a teacher's (B, C) logits and (B, D) embeddings, before centring: (B, C) or (B, D)."""
    if settings.by == "embedding":
        return embedding.float()
    return logits.float() if settings.softmax else probabilities(logits, exclusive, settings.temperature)


def as_weights(told: Tensor, mean: Tensor, settings: Distillation) -> Tensor:
    """Turn what `said` gave into (…, C') float32 non-negative weights.

    Centred by `mean` where that is asked for. Tags: what is above the mean; of a softmax over all tags, that of the
    centred logits. Embeddings: positive and negative parts as columns of their own, so that the cosine of two rows
    counts what they share and not what they oppose.
    """
    if settings.centre:
        told = told - mean
    if settings.by == "embedding":
        return torch.cat([told, -told], dim=-1).clamp(min=0)
    return (told / settings.temperature).softmax(dim=-1) if settings.softmax else told.clamp(min=0)
