"""Genre and moods over time of a song that a library holds, by the excerpts that it keeps: no sound, no torch.

A library keeps of each excerpt a third of its embedding's numbers, and of the track the mean of the whole ones. What
the excerpts were is restored of both, by how embeddings vary within this library (`Index.restoring_gain`). On 25
songs of one of 472 the cosine to what the encoder made of the excerpts was 0.92, where that of the track's mean was
0.79; moods were off by 0.024 on average and rose and fell with a correlation of 0.91, and nine genres in ten were the
same. With 20 songs in the library these are 0.88, 0.030 and 0.86.
"""

from collections.abc import Sequence

import numpy as np

from mirclr.classify.predict import HeadsInUse
from mirclr.classify.segments import Segments
from mirclr.errors import NoMatch
from mirclr.index import Index
from mirclr.library import LibraryStore


def predict_excerpts(
    library: LibraryStore, index: Index, track_id: int, using: Sequence[HeadsInUse]
) -> tuple[Segments, dict[str, tuple[str, ...]]]:
    """Predict genre and moods for each excerpt that a library keeps of a track, by heads such as `heads_for` gives.

    The index is that of the library, of now or before.

    Returns
    -------
    segments : Segments
        A row an excerpt: some parts of the track, with gaps between them.
    labels : dict of str to tuple of str
        By task the names of the columns.

    Raises
    ------
    NoMatch
        There is no such track, or no excerpts are kept of it.
    EncoderMismatch, LibraryError
        As of `Heads.check_encoder`.
    """
    with library.snapshot():
        stamp, tracks = library.stamp, library.tracks([track_id])
        held = library.excerpt_embeddings([track_id]).get(track_id)
        if not tracks or stamp is None:
            raise NoMatch(f"no song of the library has the id {track_id}")
        if held is None or not len(held.starts):
            raise NoMatch(
                f"{tracks[0].label}: an earlier mirclr embedded it and kept no excerpts; remove it from the library, "
                "and embed its folder again"
            )
        dim = stamp.mean_dim
        restored = held.restored(library.vector(track_id)[:dim], index.restoring_gain)
    alone = np.zeros((len(restored), stamp.dim), np.float32)  # as tracks that have one excerpt: no deviation
    alone[:, :dim] = restored / np.linalg.norm(restored, axis=1, keepdims=True)
    seconds = stamp.clip_seconds
    probabilities: dict[str, np.ndarray] = {}
    labels: dict[str, tuple[str, ...]] = {}
    for one in using:
        one.heads.check_encoder(library)
        for task, table in one.heads.predict_proba(alone).items():
            if task in one.tasks:
                probabilities[task], labels[task] = table, one.heads.tasks[task].labels
    starts = held.starts.astype(np.float64)
    return Segments(starts, starts + seconds, probabilities), labels


def likeliest(table: np.ndarray, labels: tuple[str, ...], top: int) -> dict[str, np.ndarray]:
    """Of (n, C) probabilities the columns that are ever among the likeliest, by label, the likeliest on average first.

    Rows of NaN, of what is silent, count for nothing.
    """
    audible = table[~np.isnan(table[:, 0])]
    ever = np.unique((-audible).argsort(axis=1)[:, :top])
    ever = ever[(-audible[:, ever].mean(axis=0)).argsort(kind="stable")]
    return {labels[i]: table[:, i] for i in ever.tolist()}
