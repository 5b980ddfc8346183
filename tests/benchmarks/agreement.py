"""`agreement`: do a few excerpts of a track find the neighbours that the whole track finds?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mirclr.audio import SILENCE, excerpt_starts
from mirclr.models.embedder import Embedder
from mirclr.processes import results_in_order
from tests.benchmarks.decoding import decode_at
from tests.benchmarks.measuring import corpus

COUNTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 17, 20, 25, 30)
NEIGHBOURS = 10
PLOT = Path(__file__).parent / "results" / "agreement.png"


def agreement(checkpoint: Path) -> dict[str, Any]:
    """Fraction of the 10 nearest neighbours by whole-song embeddings that those by excerpts have too; debian-games."""
    embedder = Embedder.load(checkpoint)
    whole: list[np.ndarray] = []
    few: dict[int, list[np.ndarray]] = {count: [] for count in COUNTS}
    for waveform in _waveforms(corpus(), embedder.rate):
        whole.append(embedder.embed_track(_windows(waveform, embedder)))
        for count in COUNTS:
            few[count].append(embedder.embed_track(_excerpts(waveform, embedder, count)))
    reference = _neighbours(np.stack(whole))
    curve = {count: _overlap(reference, _neighbours(np.stack(few[count]))) for count in COUNTS}
    cosine = {count: float((np.stack(few[count]) * np.stack(whole)).sum(axis=1).mean()) for count in COUNTS}
    plot(curve, embedder.excerpts, embedder.seconds, PLOT)
    return {
        "tracks": len(whole),
        "neighbours": NEIGHBOURS,
        "excerpts": embedder.excerpts,
        "overlap": round(float(np.interp(embedder.excerpts, COUNTS, list(curve.values()))), 3),
        "aim": "overlap >= 0.9 at the default number of excerpts",
        "overlap_by_excerpts": {str(count): round(value, 3) for count, value in curve.items()},
        "cosine_by_excerpts": {str(count): round(value, 4) for count, value in cosine.items()},
        "encoder": embedder.stamp.digest,
    }


def _waveforms(files: list[Path], rate: int) -> Iterator[np.ndarray]:
    for _, waveform in results_in_order(decode_at, ((file, rate) for file in files)):
        if isinstance(waveform, np.ndarray):
            yield waveform


def _windows(waveform: np.ndarray, embedder: Embedder) -> np.ndarray:
    """All windows, one beside the other; a track that is shorter than one is repeated."""
    length = round(embedder.seconds * embedder.rate)
    waveform = np.resize(waveform, max(length, len(waveform)))
    return _heard(waveform[: len(waveform) // length * length].reshape(-1, length))


def _excerpts(waveform: np.ndarray, embedder: Embedder, count: int) -> np.ndarray:
    """What `read_excerpts` gives, cut from the decoded track: no seeking for each count."""
    length = round(embedder.seconds * embedder.rate)
    starts = excerpt_starts(len(waveform) / embedder.rate, count=count, seconds=embedder.seconds)
    waveform = np.resize(waveform, max(length, len(waveform)))
    return _heard(np.stack([waveform[i : i + length] for i in np.floor(starts * embedder.rate).astype(int)]))


def _heard(clips: np.ndarray) -> np.ndarray:
    """Without the silent ones, unless all are."""
    loud = np.abs(clips).max(axis=1) >= SILENCE
    return clips[loud] if loud.any() else clips


def _neighbours(vectors: np.ndarray) -> np.ndarray:
    """(n, NEIGHBOURS): the rows nearest to each row, itself left out."""
    products = vectors @ vectors.T
    np.fill_diagonal(products, -np.inf)
    return np.argsort(-products, axis=1, kind="stable")[:, :NEIGHBOURS]


def _overlap(reference: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean([len(set(a) & set(b)) / NEIGHBOURS for a, b in zip(reference, other, strict=True)]))


def plot(curve: dict[int, float], default: int, seconds: float, to: Path) -> None:
    """The curve as a picture."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    axes.plot(list(curve), list(curve.values()), marker="o")
    axes.axvline(default, linestyle=":", color="grey", label=f"default: {default} excerpts")
    axes.axhline(0.9, linestyle="--", color="grey", label="aim: 0.9")
    axes.set(xlabel=f"excerpts of {seconds:g} s a track", ylabel=f"shared of {NEIGHBOURS} neighbours", ylim=(0, 1))
    axes.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(to, dpi=110, metadata={"Software": None})
    pyplot.close(figure)
