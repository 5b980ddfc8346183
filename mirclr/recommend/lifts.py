"""`TagLifts`: how much more each tag is a track's than music's at large, of all tracks of a library."""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from mirclr.provenance import writing
from mirclr.words import BASE_RATE

FORMAT = 1


def logit(p: "np.ndarray | float") -> np.ndarray:
    """Log-odds of probabilities, which are kept off 0 and 1."""
    kept = np.clip(np.asarray(p, np.float64), 1e-4, 1 - 1e-4)
    return np.log(kept / (1 - kept))


def probability(lift: "np.ndarray | float") -> np.ndarray:
    """The probability that a lift is of, where the base rate is `BASE_RATE`."""
    return 1 / (1 + np.exp(-(np.asarray(lift, np.float64) + logit(BASE_RATE))))


@dataclass(frozen=True, eq=False)
class TagLifts:
    """Log-odds of tags above those of their base rates.

    Attributes
    ----------
    labels : tuple of (task, label)
        C labels of heads.
    ids : (n,) int64, ascending
        Of the tracks.
    lifts : (n, C) float16
    origin : dict
        Of which library, generation and heads.
    """

    labels: tuple[tuple[str, str], ...]
    ids: np.ndarray
    lifts: np.ndarray
    origin: dict[str, Any]

    @classmethod
    def none(cls) -> "TagLifts":
        """Where nothing is known."""
        return cls((), np.zeros(0, np.int64), np.zeros((0, 0), np.float16), {})

    @property
    def by_task(self) -> dict[str, list[str]]:
        """The labels of each task."""
        found: dict[str, list[str]] = {}
        for task, label in self.labels:
            found.setdefault(task, []).append(label)
        return found

    def of(self, labels: "tuple[tuple[str, str], ...]", size: int) -> np.ndarray:
        """(size,) float64 by track id: the mean lift over some labels; NaN where nothing is known."""
        columns = [self.labels.index(pair) for pair in labels]
        found = np.full(size, np.nan)
        there = self.ids < size
        if columns:
            found[self.ids[there]] = self.lifts[there][:, columns].astype(np.float64).mean(axis=1)
        return found

    def save(self, path: Path) -> None:
        """Write them to a file, whole or not at all."""
        header = json.dumps({"format": FORMAT, "labels": self.labels, "origin": self.origin}, sort_keys=True)
        with writing(path, sync=False) as file:
            np.savez(file, header=np.array(header), ids=self.ids, lifts=self.lifts)

    @classmethod
    def load(cls, path: Path) -> "TagLifts | None":
        """Read what `save` wrote; None where there is no such file, or it is another or damaged."""
        try:
            with np.load(path) as held:
                header, ids, lifts = json.loads(str(held["header"])), held["ids"], held["lifts"]
            labels = tuple((str(task), str(label)) for task, label in header["labels"])
            right = header["format"] == FORMAT and ids.dtype == np.int64 and lifts.dtype == np.float16
            if not right or lifts.shape != (*ids.shape, len(labels)) or not isinstance(header["origin"], dict):
                return None
            return cls(labels, ids, lifts, header["origin"])
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error):
            return None
