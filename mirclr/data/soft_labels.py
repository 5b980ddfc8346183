"""A teacher's outputs, stored beside a corpus: written once by ``mirclr teacher label``, read crop by crop in training.

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
_DIGESTED = ("teacher", "digest", "tags", "exclusive", "dim", "window_s", "hop_s")  # of a header
_SAMPLE = 1500  # windows that `mean_similarities` compares


@dataclass(frozen=True)
class SoftLabelHeader:
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
    header : SoftLabelHeader
        What it holds.
    """

    def __init__(self, folder: Path, header: SoftLabelHeader) -> None:
        self.folder, self.header = folder, header
        self.columns = len(header.tags) + header.dim

    @classmethod
    def create(cls, folder: Path, header: SoftLabelHeader) -> "SoftLabelFolder":
        """Begin a folder, or continue one with the same header.

        Raises
        ------
        LabelsError
            The folder holds labels of another teacher, or of other windows.
        """
        if (folder / _INDEX).exists():
            held = cls.read(folder)
            if held.header != header:
                raise LabelsError(
                    f"{folder}: holds labels of {held.header.teacher} every {held.header.hop_s:g} s; "
                    f"expected {header.teacher} every {header.hop_s:g} s, by the same weights: name another "
                    "folder"
                )
            return held
        with writing(folder / _INDEX, "w") as f:
            json.dump({"format": FORMAT, **asdict(header)}, f, indent=1, ensure_ascii=False)
        return cls(folder, header)

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
            header = SoftLabelHeader(**{**found, "tags": tuple(found["tags"])})
            right = len(header.tags) + header.dim > 0 and header.dim >= 0 and header.hop_s > 0
        except (KeyError, TypeError):
            right = False
        if not right:
            raise LabelsError(f"{index}: is damaged; label again into another folder")
        return cls(folder, header)

    def has(self, key: str) -> bool:
        """Whether a track was labelled."""
        return self._file(key).exists()

    def write(self, key: str, logits: np.ndarray, embedding: np.ndarray) -> None:
        """Store (S, C) logits and (S, D) embeddings of a track's windows; an older file is replaced at once."""
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
    """A teacher's outputs for some tracks, as a recipe's distillation wants them.

    Parameters
    ----------
    folder : SoftLabelFolder
        Where they are.
    keys : iterable of str
        The tracks'.
    settings : Distillation
        Which outputs, and how soft targets are made of them.
    clip_seconds : float, optional
        Length of the clips that are to learn from them.

    Attributes
    ----------
    windows : dict of str to int
        How many windows each track has. Their rows stay on disk, where two are read for a crop.
    mean : (C,) or (D,) float32
        Of all windows' outputs, before they are centred and made into soft targets.
    columns : dict of str to int
        How many tags there are, and numbers of embedding.

    Raises
    ------
    LabelsError
        A track was not labelled, or the windows have another length than the clips.
    """

    def __init__(
        self, folder: SoftLabelFolder, keys: Iterable[str], settings: Distillation, *, clip_seconds: float | None = None
    ) -> None:
        about = folder.header
        if clip_seconds is not None:
            check_windows(folder, clip_seconds)
        self.folder, self.hop_s, self.settings = folder, about.hop_s, settings
        self.digest = digest_json([*(getattr(about, name) for name in _DIGESTED), digested(settings)])
        self.columns = {"tags": len(about.tags), "embedding": about.dim}
        self.windows: dict[str, int] = {}
        total: Tensor | float = 0.0
        for key in keys:
            if key in self.windows:
                continue
            rows = self.before_centring(key)
            self.windows[key] = len(rows)
            total = total + rows.double().sum(dim=0)
        self.mean = (torch.as_tensor(total) / max(1, sum(self.windows.values()))).float()

    def before_centring(self, key: str, first: int = 0, count: int = -1) -> Tensor:
        """(S, C) or (S, D) float32: outputs of a track's windows, before they are made into soft targets."""
        return before_centring(*self._outputs(key, first, count), self.folder.header.exclusive, self.settings)

    def _outputs(self, key: str, first: int, count: int) -> tuple[Tensor, Tensor]:
        rows, tags = torch.from_numpy(self.folder.rows(key, first, count)), len(self.folder.header.tags)
        return rows[:, :tags], rows[:, tags:]

    def at(self, key: str, start_s: float) -> dict[str, Tensor]:
        """Outputs for a crop that begins at `start_s`, between those of the two nearest windows.

        Returns
        -------
        dict of str to (K,) float32
            Those of ``soft_targets``, ``tags`` (probabilities) and ``embedding`` that the settings ask for.
        """
        last = self.windows[key] - 1
        place = min(max(start_s / self.hop_s, 0.0), float(last))
        left = int(place)
        logits, embedding = self._outputs(key, left, 1 if left == last else 2)
        exclusive = self.folder.header.exclusive

        def between(rows: Tensor) -> Tensor:
            return rows[0] + (place - left) * (rows[-1] - rows[0])

        found: dict[str, Tensor] = {}
        for name in self.settings.outputs:
            if name == "soft_targets":
                rows = before_centring(logits, embedding, exclusive, self.settings)
                found[name] = to_targets(between(rows), self.mean, self.settings)
            elif name == "tags":
                found[name] = between(probabilities(logits, exclusive))
            elif name == "embedding":
                found[name] = between(embedding)
        return found


def check_windows(folder: SoftLabelFolder, clip_seconds: float) -> None:
    """Raise `LabelsError` unless a folder's windows are as long as the clips that are to learn from them."""
    window = folder.header.window_s
    if abs(window - clip_seconds) > 0.1:
        raise LabelsError(
            f"{folder.folder}: holds labels of windows of {window:g} s, but clips of {clip_seconds:g} s are to learn "
            f"from them; set audio.clip_seconds to {window:g}, or label again with a teacher of {clip_seconds:g} s"
        )


def mean_similarities(folder: SoftLabelFolder, keys: Sequence[str], settings: Distillation) -> dict[str, float]:
    """Mean cosine of soft targets within a track and between tracks, on some windows: both near 1 for a flat teacher.

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
    found = [
        labels.before_centring(keys[t], p, 1) for t, p in zip(track[drawn].tolist(), place[drawn].tolist(), strict=True)
    ]
    rows = to_targets(torch.cat(found), labels.mean, settings)
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


def before_centring(logits: Tensor, embedding: Tensor, exclusive: int, settings: Distillation) -> Tensor:
    """The outputs that soft targets are made of: (B, C) of logits (B, C), or (B, D) of embeddings (B, D)."""
    if settings.by == "embedding":
        return embedding.float()
    return logits.float() if settings.softmax else probabilities(logits, exclusive, settings.temperature)


def to_targets(outputs: Tensor, mean: Tensor, settings: Distillation) -> Tensor:
    """Turn what `before_centring` gave into soft targets: (…, C') float32, non-negative.

    Centred by `mean` where that is asked for. Tags: what is above the mean; of a softmax over all tags, that of the
    centred logits. Embeddings: positive and negative parts as columns of their own, so that the cosine of two rows
    counts what they share and not where they oppose each other.
    """
    if settings.centre:
        outputs = outputs - mean
    if settings.by == "embedding":
        return torch.cat([outputs, -outputs], dim=-1).clamp(min=0)
    return (outputs / settings.temperature).softmax(dim=-1) if settings.softmax else outputs.clamp(min=0)
