"""A library's vectors measured by what their neighbours share, beside two baselines on the same excerpts.

The baselines are computed on the spot: statistics of MFCCs, and the encoder with random weights. A track whose file
cannot be decoded is left out of every row. The probes are `mirclr.classify.cross_validate` on each `Features`.

Conventions: n tracks, d dimensions; scores "z" are of vectors standardised by column, which takes out what all
tracks share.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mirclr import metrics
from mirclr.classify import Labelled
from mirclr.errors import LibraryError
from mirclr.library import LibraryTrack, part_leading_out
from mirclr.library.names import components
from mirclr.models.stamp import EncoderStamp

K = 5
"""Of hit@k."""
QUERIES = 2000
"""Larger libraries are asked for a fixed random sample of so many tracks, among all of them."""
_MFCC = 20

Advance = Callable[[int, str], None]


@dataclass(frozen=True, eq=False)
class Features:
    """One way to describe n tracks.

    Attributes
    ----------
    name : str
        For people.
    vectors : (n, d) float
    """

    name: str
    vectors: np.ndarray


@dataclass(frozen=True, eq=False)
class Baselines:
    """What any trained encoder must beat, and what it could be computed on.

    Attributes
    ----------
    features : tuple of Features
        Of the tracks that could be decoded.
    rows : (m,) int
        Which of the tracks those are.
    problems : tuple of str
        One line for each that could not.
    """

    features: tuple[Features, ...]
    rows: np.ndarray
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """Retrieval with one kind of vectors and one meaning of "relevant".

    Attributes
    ----------
    relevant, features : str
        ``same artist``, ``same artist, other album``, ``same album``, ``same genre`` or ``same genre, other artist``;
        the name of the vectors, or ``chance``.
    map, map_z, hit, hit_z : float
        Mean average precision and hit@`K` of cosine neighbours.
    queries, left_out : int
        Queries that count, and those without anything relevant.
    """

    relevant: str
    features: str
    map: float
    map_z: float
    hit: float
    hit_z: float
    queries: int
    left_out: int


def baseline_features(
    tracks: Sequence[LibraryTrack], encoder: EncoderStamp, *, workers: int = 0, advance: Advance | None = None
) -> Baselines:
    """Decode the tracks' files again, and describe the same excerpts by MFCCs and by the encoder with random weights.

    Parameters
    ----------
    tracks : sequence of LibraryTrack
        Whose files are decoded.
    encoder : EncoderStamp
        Of the library; states which excerpts were embedded.
    workers : int
        Processes that decode; 0: one a core.
    advance : callable, optional
        Called for each file.

    Raises
    ------
    LibraryError
        None of the files can be decoded.
    """
    from mirclr.audio.decoding import decode_files
    from mirclr.ingest.embedding import BATCH_TRACKS
    from mirclr.models.embedder import Embedder

    untrained = Embedder.with_random_weights(encoder.recipe, excerpts=encoder.excerpts)
    rows, problems, mfcc, random = [], [], [], []
    waiting: list[np.ndarray] = []
    inside, outside = part_leading_out(tracks)
    problems += outside
    place = {track.id: i for i, track in enumerate(tracks)}
    files, spans = [track.file for track in inside], [track.span for track in inside]
    count, seconds, rate = untrained.excerpts, untrained.seconds, untrained.rate
    decoded = decode_files(files, spans=spans, count=count, seconds=seconds, rate=rate, workers=workers)
    for i, (track, one) in enumerate(zip(inside, decoded, strict=True)):
        if one.excerpts is None:
            problems.append(one.error or f"{one.file}: cannot be decoded")
        else:
            rows.append(place[track.id])
            mfcc.append(mfcc_statistics(one.excerpts.waveforms, untrained.rate))
            waiting.append(one.excerpts.waveforms)
        if waiting and (len(waiting) == BATCH_TRACKS or i == len(files) - 1):
            random.append(untrained.embed_tracks(waiting))
            waiting = []
        if advance:
            advance(1, f"{len(problems)} left out" if problems else "")
    if not rows:
        found = problems[0] if problems else "no tracks"
        raise LibraryError(f"none of {len(files)} files can be decoded ({found}); leave out the baselines")
    features = (Features("MFCC statistics", np.stack(mfcc)), Features("random weights", np.concatenate(random)))
    return Baselines(features, np.array(rows), tuple(problems))


def beside_baselines(
    found: Labelled, encoder: EncoderStamp, *, workers: int = 0, advance: Advance | None = None
) -> tuple[Labelled, list[Features], list[str]]:
    """The tracks that baselines can describe too, with the library's vectors and the baselines', row by row.

    Parameters
    ----------
    found : Labelled
        Tracks with the library's vectors.
    encoder, workers, advance
        As of `baseline_features`.

    Returns
    -------
    described : Labelled
        The rows that are left.
    features : list of Features
        Of the library's encoder first.
    problems : list of str
        What is wrong with the files of the others.
    """
    baselines = baseline_features(found.tracks, encoder, workers=workers, advance=advance)
    rows = baselines.rows.tolist()
    described = replace(
        found,
        labels=found.labels.rows(rows),
        tracks=[found.tracks[i] for i in rows],
        vectors=found.vectors[baselines.rows],
    )
    own = Features(Path(encoder.name).name, described.vectors)
    return described, [own, *baselines.features], list(baselines.problems)


def mfcc_statistics(waveforms: np.ndarray, rate: int) -> np.ndarray:
    """Mean and standard deviation of 20 MFCCs, and the standard deviation of their slopes, over all excerpts.

    Parameters
    ----------
    waveforms : (n, n_samples) float32 in [-1, 1]
        Excerpts of one track.
    rate : int
        In Hz.

    Returns
    -------
    (60,) float64
    """
    import librosa

    mfcc = librosa.feature.mfcc(y=waveforms.reshape(-1), sr=rate, n_mfcc=_MFCC)
    slopes = librosa.feature.delta(mfcc, mode="nearest")
    return np.concatenate([mfcc.mean(axis=1), mfcc.std(axis=1), slopes.std(axis=1)]).astype(np.float64)


def z_scored(vectors: np.ndarray) -> np.ndarray:
    """Standardise columns to mean 0 and standard deviation 1; constant columns become 0."""
    x = vectors.astype(np.float64)
    std = x.std(axis=0)
    z: np.ndarray = (x - x.mean(axis=0)) / np.where(std > 1e-12, std, 1.0)
    return z


def retrieval_rows(
    features: Sequence[Features],
    artist: np.ndarray,
    album: np.ndarray,
    genre: np.ndarray,
    *,
    recordings: np.ndarray | None = None,
    advance: Advance | None = None,
) -> list[Row]:
    """Measure how often neighbours share artist, album and genre.

    Parameters
    ----------
    features : sequence of Features
        Of the same n tracks.
    artist, album, genre : (n,) str
        Empty where unknown.
    recordings : (n,) int, optional
        Equal for copies of one recording: what is one with the query is left out of its ranking.
    advance : callable, optional
        Called for each pair of features and meaning of "relevant" that is done: five at most for each of `features`.

    Returns
    -------
    list of Row
        By meaning, each with a closing row of chance (the exact expectation of random rankings); a meaning without
        queries is left out.
    """
    copies = np.arange(len(artist)) if recordings is None else recordings

    def with_copies(names: np.ndarray) -> np.ndarray:
        pairs = zip(copies.tolist(), names, strict=True)
        return np.array(components([copy, ("of", name)] if name else [copy] for copy, name in pairs))

    meanings: tuple[tuple[str, np.ndarray, np.ndarray], ...] = (
        ("same artist", artist, copies),
        ("same artist, other album", artist, with_copies(album)),
        ("same album", album, copies),
        ("same genre", genre, copies),
        *([("same genre, other artist", genre, with_copies(artist))] if any(artist) else []),
    )
    asked = query_sample(len(artist))
    rows: list[Row] = []
    for meaning, groups, exclude in meanings:
        plain = None
        for one in features:
            plain, z = (
                metrics.retrieval(vectors, groups, exclude, k=K, queries=asked)
                for vectors in (one.vectors, z_scored(one.vectors))
            )
            if plain.queries:
                counts = (plain.queries, plain.left_out)
                rows.append(Row(meaning, one.name, plain.map, z.map, plain.hit, z.hit, *counts))
            if advance:
                advance(1, meaning)
        if plain and plain.queries:
            chance = (plain.chance_map, plain.chance_map, plain.chance_hit, plain.chance_hit)
            rows.append(Row(meaning, "chance", *chance, plain.queries, plain.left_out))
    return rows


def hubness_rows(features: Sequence[Features], *, advance: Advance | None = None) -> list[dict[str, Any]]:
    """How unevenly tracks turn up as neighbours, by `mirclr.metrics.hubness` with k = 10: name, ``plain``, ``z``."""
    rows = []
    for one in features:
        asked = query_sample(len(one.vectors))
        plain, z = (metrics.hubness(v, queries=asked) for v in (one.vectors, z_scored(one.vectors)))
        rows.append({"features": one.name, "plain": plain, "z": z})
        if advance:
            advance(1, "hubness")
    return rows


def query_sample(n: int) -> np.ndarray:
    """Rows to ask for: all n, or a sorted sample of `QUERIES`, always the same."""
    if n <= QUERIES:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, QUERIES, replace=False))
