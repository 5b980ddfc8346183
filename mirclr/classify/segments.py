"""Genre and moods over time: a whole file window by window, however long it is.

Heads are fitted on whole tracks, means over several windows; of a single window they are less sure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mirclr.audio import SILENCE, Span, try_blocks, why_lost
from mirclr.audio.waveform import windows
from mirclr.classify.crossval import Advance
from mirclr.classify.heads import Heads
from mirclr.errors import UnreadableAudio, UnusableAudio
from mirclr.library import NO_VECTOR
from mirclr.processes import Lost, streamed

if TYPE_CHECKING:
    from mirclr.models.embedder import Embedder

_BATCH = 32


@dataclass(frozen=True, eq=False)
class Segments:
    """Predictions for each window of a file.

    Attributes
    ----------
    starts, ends : (n,) float
        In seconds.
    probabilities : dict of str to (n, C) float
        As of `Heads.predict_proba`; NaN for a window that is silent.
    """

    starts: np.ndarray
    ends: np.ndarray
    probabilities: dict[str, np.ndarray]


def predict_segments(
    path: Path,
    embedder: "Embedder",
    heads: Heads,
    *,
    hop: float | None = None,
    span: Span | None = None,
    advance: Advance | None = None,
) -> Segments:
    """Predict genre and moods for each window of a file, decoded in a process of its own and never held whole.

    Parameters
    ----------
    path : Path
        The file.
    embedder : Embedder
        Gives the vectors; a window is as long as its clips.
    heads : Heads
        Fitted on its vectors.
    hop : float, optional
        Seconds from the start of a window to that of the next; the length of a window unless given.
    span : Span, optional
        The part of the file that is meant; times count from where it begins.
    advance : callable, optional
        Called for each few windows that are done.

    Raises
    ------
    UnreadableAudio
        The file cannot be decoded to its end.
    UnusableAudio
        It is silent, or the encoder makes no usable vector of it.
    """
    rate = embedder.rate
    size, step = round(embedder.seconds * rate), round((hop or embedder.seconds) * rate)
    starts, ends, tables = [], [], []
    found = windows(_blocks(path, rate, span), size=size, step=step)
    while batch := list(islice(found, _BATCH)):
        # a shorter window is repeated until it is full, as `mirclr.audio.read_excerpts` does with a short file
        waveforms = [np.resize(waveform, size) for _, waveform in batch]
        vectors = embedder.embed_tracks([w[None] for w in waveforms])
        if not np.isfinite(vectors).all():
            raise UnusableAudio(f"{path}: {NO_VECTOR}")
        tables_of_batch = heads.predict_proba(vectors)
        silent = np.array([np.abs(w).max() < SILENCE for w in waveforms])
        tables.append({task: np.where(silent[:, None], np.nan, table) for task, table in tables_of_batch.items()})
        starts += [start / rate for start, _ in batch]
        ends += [(start + len(waveform)) / rate for start, waveform in batch]
        if advance:
            advance(len(batch), "")
    probabilities = {task: np.concatenate([t[task] for t in tables]) for task in tables[0]}
    if all(np.isnan(table).all() for table in probabilities.values()):
        raise UnusableAudio(f"{path}: silent (no sample above -80 dBFS in its windows); nothing to predict from")
    return Segments(np.array(starts), np.array(ends), probabilities)


def _blocks(path: Path, rate: int, span: Span | None) -> Iterator[np.ndarray]:
    for block in streamed(try_blocks, path, rate, *([span] if span else [])):
        if isinstance(block, Lost):
            raise UnreadableAudio(why_lost(path, block))
        if isinstance(block, str):
            raise UnreadableAudio(block)
        yield block
