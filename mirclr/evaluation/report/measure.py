"""`report_on`: how good a library's neighbours are, what is doubled, broken or odd.

Nothing is needed but the library; audio is decoded again for `Robustness` alone. Artists and albums are those of the
files' own tags, compared by `mirclr.library.names`.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mirclr import metrics
from mirclr.errors import MirclrError, in_words, is_fault_of_machine
from mirclr.evaluation.report.overview import overview_of
from mirclr.evaluation.report.values import (
    AS_IS,
    GAIN_DB,
    HIT,
    MP3,
    NEAR_SECONDS,
    NEAR_SIMILARITY,
    NEIGHBOUR_QUERIES,
    NOISY,
    QUIET,
    RETRIEVAL_QUERIES,
    SAME_ARTIST,
    SNR_DB,
    Broken,
    Change,
    Diversity,
    Duplicates,
    Histogram,
    Hubs,
    K,
    LibraryReport,
    Outlier,
    Robustness,
)
from mirclr.index import Index, open_index
from mirclr.library import NO_VECTOR, LibraryStore, LibraryTrack, leads_out, part_leading_out
from mirclr.library.names import albums_of, components
from mirclr.models.pretrained import checkpoint_named
from mirclr.models.stamp import EncoderStamp
from mirclr.names import known_artist
from mirclr.processes import Lost, results_in_order, seconds_for_file
from mirclr.terminal import counted

_OUTLIERS = 10
_LISTED = 100  # files that are listed of those that failed or are gone
_CHUNK = 1024  # queries at a time
_BINS = 25
_MP3_RATE = 44_100

Advance = Callable[[int, str], None]
Progress = Callable[[str, int | None], AbstractContextManager[Callable[..., None]]]


@contextmanager
def _silent(label: str, total: int | None) -> Iterator[Callable[..., None]]:
    yield lambda steps=1, note="": None


def report_on(
    library: LibraryStore, *, robustness: int = 24, workers: int = 0, progress: Progress = _silent
) -> LibraryReport:
    """Measure a library.

    Memory is a few times that of its vectors, however many tracks there are.

    Parameters
    ----------
    library : LibraryStore
        Open; it may hold no tracks.
    robustness : int
        Tracks to embed again, a fixed random sample; 0: none.
    workers : int
        Processes that decode; 0: one a core.
    progress : callable
        Given a label and a number of steps, a context manager of a function ``(steps, note)``.

    Raises
    ------
    LibraryError
        A vector is damaged.
    """
    with library.snapshot():
        info, stamp = library.info(), library.stamp
        every, failures, pairs = library.tracks(), library.failures(), library.near_duplicates()
        overview = overview_of(library, every, pairs)
        ids, matrix = library.compared()
        index = open_index(library) if len(ids) else None
    by_id = {track.id: track for track in every}
    tracks = [by_id[i] for i in ids.tolist()]
    gone = library.gone()
    n, why = len(tracks), dict[str, str]()
    k = max(0, min(K, n - 1))
    asked = _sample(n, NEIGHBOUR_QUERIES)
    found: dict[str, Any] = {"artist": None, "album": None, "nearest": None, "hubs": None, "diversity": None}
    near, outliers = None, list[Outlier]()

    if n < 2 or index is None:
        reason = f"needs two tracks with a vector; the library holds {n or 'none'}"
        why |= dict.fromkeys(("same artist", "same album", "near-duplicates", "hubs", "artists in lists"), reason)
    else:
        with progress("Comparing songs", len(asked)) as advance:
            similarities, neighbours = _all_nearest(index, ids, matrix, asked, k, advance)
        near = _near(tracks, asked, similarities, neighbours)
        found["nearest"] = _histogram(similarities[:, 0])
        with progress("Ranking songs", 2) as advance:
            for name, of in (("artist", _by_artist), ("album", _by_album)):
                found[name] = of(matrix, tracks, pairs)
                advance(1, f"same {name}")
                if found[name] is None:
                    why[f"same {name}"] = (
                        "no two tracks of different albums are tagged with one artist"
                        if name == "artist"
                        else "no two tracks are tagged with one album"
                    )
        if n <= k + 1:
            reason = f"needs more than {K + 1} tracks, as a list of {k} holds all others; the library holds {n}"
            why |= dict.fromkeys(("hubs", "artists in lists"), reason)
        else:
            found["hubs"] = _hubs(tracks, neighbours)
            found["diversity"] = _diversity(tracks, neighbours)
            if found["diversity"] is None:
                why["artists in lists"] = "no track is tagged with an artist"
        outliers = _outliers(tracks, asked, similarities) if n > 2 else []
    if not outliers:
        why["outliers"] = f"needs three tracks with a vector; the library holds {n or 'none'}"

    robust = _embed_changed(stamp, index, ids, matrix, tracks, {t.id for t in gone}, robustness, k, workers, progress)
    if isinstance(robust, str):
        why["robustness"] = robust
    return LibraryReport(
        library=str(library.path),
        overview=overview,
        encoder=_encoder(stamp),
        tracks=info["tracks"],
        artists=info["artists"],
        albums=info["albums"],
        hours=info["hours"],
        without_title=sum(not t.title for t in every),
        without_artist=sum(not t.artist for t in every),
        without_vector=len(every) - n,
        k=k,
        asked=len(asked) if n > 1 else 0,
        exact=index is None or index.is_exact,
        duplicates=Duplicates(
            near=near,
            of=0 if near is None else len(asked),
            fraction=None if near is None else near / len(asked),
            stored_pairs=len(pairs),
            stored_tracks=len({i for pair in pairs for i in pair}),
        ),
        robustness=None if isinstance(robust, str) else robust,
        outliers=tuple(outliers),
        failures=len(failures),
        broken=tuple(Broken(str(f.file), f.why) for f in failures[:_LISTED]),
        gone=len(gone),
        gone_files=tuple(str(t.place) for t in gone[:_LISTED]),
        not_measured=why,
        **found,
    )


def _sample(n: int, most: int) -> np.ndarray:
    """All of n rows, or a sorted sample of `most`, always the same."""
    return np.arange(n) if n <= most else np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def _encoder(stamp: EncoderStamp | None) -> dict[str, Any] | None:
    if stamp is None:
        return None
    return {"name": stamp.name, "digest": stamp.digest, "dim": stamp.dim, "excerpts": stamp.excerpts}


# neighbours


def _nearest(
    index: Index, ids: np.ndarray, vectors: np.ndarray, own: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Similarities and rows, (q, k) each, of the k nearest to (q, d) vectors without the (q,) tracks themselves."""
    similarities, found = index.search(vectors, k + 1)
    leave = found == own[:, None]
    leave[~leave.any(axis=1), -1] = True  # so many are as near that the track itself is not among them
    rows = np.searchsorted(ids, found[~leave])
    return similarities[~leave].reshape(-1, k), rows.reshape(-1, k).astype(np.int32)


def _all_nearest(
    index: Index, ids: np.ndarray, matrix: np.ndarray, asked: np.ndarray, k: int, advance: Callable[..., None]
) -> tuple[np.ndarray, np.ndarray]:
    parts = []
    for start in range(0, len(asked), _CHUNK):
        some = asked[start : start + _CHUNK]
        parts.append(_nearest(index, ids, matrix[some], ids[some], k))
        advance(len(some))
    return np.concatenate([s for s, _ in parts]), np.concatenate([r for _, r in parts])


def _near(tracks: Sequence[LibraryTrack], asked: np.ndarray, similarities: np.ndarray, neighbours: np.ndarray) -> int:
    duration = np.array([t.duration_s for t in tracks])
    as_long = np.abs(duration[neighbours] - duration[asked][:, None]) <= NEAR_SECONDS
    return int(((similarities > NEAR_SIMILARITY) & as_long).any(axis=1).sum())


def _hubs(tracks: Sequence[LibraryTrack], neighbours: np.ndarray) -> Hubs:
    counts = metrics.k_occurrence(neighbours, len(tracks))
    largest = int(counts.argmax())
    edges = [0, *(2**i for i in range(int(counts.max()).bit_length() + 1))]
    labels = tuple(str(low) if low == high - 1 else f"{low}–{high - 1}" for low, high in pairwise(edges))
    # the last bin of np.histogram holds its upper edge too, which no count reaches
    bins = tuple(np.histogram(counts, edges)[0].tolist())
    return Hubs(
        skewness=metrics.skewness(counts),
        antihubs=float((counts == 0).mean()),
        largest=tracks[largest].label,
        largest_count=int(counts[largest]),
        occurrences=Histogram(labels, bins),
    )


def _histogram(nearest: np.ndarray) -> Histogram:
    low = min(np.floor(float(nearest.min()) * 20) / 20, 0.95)
    counts, edges = np.histogram(np.clip(nearest, -1, 1), _BINS, (low, 1))
    return Histogram(tuple(f"{edge:.3f}" for edge in edges[:-1]), tuple(counts.tolist()))


def _artists(tracks: Sequence[LibraryTrack]) -> list[str]:
    return [known_artist(t.artist) for t in tracks]


def _albums(tracks: Sequence[LibraryTrack]) -> list[str]:
    return albums_of(tracks)


def _diversity(tracks: Sequence[LibraryTrack], neighbours: np.ndarray) -> Diversity | None:
    names = _artists(tracks)
    if not any(names):
        return None
    codes = np.unique([name or f"\0{i}" for i, name in enumerate(names)], return_inverse=True)[1]
    lists = np.sort(codes[neighbours], axis=1)
    new = np.diff(lists, axis=1) != 0
    crowded = (lists[:, SAME_ARTIST:] == lists[:, :-SAME_ARTIST]).any(axis=1)  # sorted, so equal ones are together
    return Diversity(float(new.sum(axis=1).mean() + 1), float(crowded.mean()))


def _by_artist(
    matrix: np.ndarray, tracks: Sequence[LibraryTrack], pairs: Iterable[tuple[int, int]]
) -> metrics.Retrieval | None:
    return _retrieval(matrix, _artists(tracks), _copies(tracks, pairs, _albums(tracks)))


def _by_album(
    matrix: np.ndarray, tracks: Sequence[LibraryTrack], pairs: Iterable[tuple[int, int]]
) -> metrics.Retrieval | None:
    return _retrieval(matrix, _albums(tracks), _copies(tracks, pairs, [""] * len(tracks)))


def _copies(tracks: Sequence[LibraryTrack], pairs: Iterable[tuple[int, int]], albums: Sequence[str]) -> list[int]:
    """A number for each track, equal for those of one album and for copies of one recording."""
    joined: dict[int, list[Hashable]] = {
        t.id: [t.audio_digest or t.id, album or t.id] for t, album in zip(tracks, albums, strict=True)
    }
    for pair in pairs:
        for track_id in pair:
            if track_id in joined:
                joined[track_id].append(pair)
    return components(joined.values())


def _retrieval(matrix: np.ndarray, groups: list[str], exclude: list[int]) -> metrics.Retrieval | None:
    """Of the tracks that have the label; None without queries."""
    labelled = np.flatnonzero(np.array(groups, object) != "")
    asked = labelled[_sample(len(labelled), RETRIEVAL_QUERIES)]
    found = metrics.retrieval(matrix, groups, exclude, k=HIT, queries=asked)
    return found if found.queries else None


def _outliers(tracks: Sequence[LibraryTrack], asked: np.ndarray, similarities: np.ndarray) -> list[Outlier]:
    means = similarities.mean(axis=1, dtype=np.float64)
    lowest = np.argsort(means, kind="stable")[:_OUTLIERS]
    found = [(tracks[int(asked[i])], float(means[i])) for i in lowest]
    return [Outlier(track.label, str(track.place), mean) for track, mean in found]


# robustness


def _embed_changed(
    stamp: EncoderStamp | None,
    index: Index | None,
    ids: np.ndarray,
    matrix: np.ndarray,
    tracks: Sequence[LibraryTrack],
    gone: set[int],
    count: int,
    k: int,
    workers: int,
    progress: Progress,
) -> Robustness | str:
    """Embed a sample of tracks again, changed; or why that cannot be done."""
    there = np.array([row for row, track in enumerate(tracks) if track.id not in gone], int)
    if not count:
        return "was not asked for"
    if stamp is None or index is None:
        return "the library holds no tracks"
    if not len(there):
        return f"none of the files of its {counted(len(tracks), 'track')} is there"
    from mirclr.models.embedder import Embedder

    try:
        embedder = Embedder.load(checkpoint_named(stamp.name), excerpts=stamp.excerpts)
    except (MirclrError, OSError) as error:
        if is_fault_of_machine(error):
            raise
        return f"needs the library's encoder: {in_words(error)}"
    if embedder.stamp.digest != stamp.digest:
        return (
            f"{stamp.name} is another encoder ({embedder.stamp.digest[:12]}) than the library's ({stamp.digest[:12]})"
        )
    rows = there[_sample(len(there), count)]
    _, problems = part_leading_out(tracks[row] for row in rows.tolist())
    rows = np.array([row for row in rows.tolist() if not leads_out(tracks[row].root, tracks[row].file)], int)
    again = [tracks[row] for row in rows.tolist()]
    rates: list[float] = []
    measured: dict[str, list[tuple[float, float]]] = {}
    from mirclr.audio import why_lost

    jobs = ((t.file, embedder.excerpts, embedder.seconds, embedder.rate, t.span) for t in again)
    with progress("Trying mp3, noise, less volume", len(again)) as advance:
        results = results_in_order(_versions, jobs, workers=workers, seconds_for=seconds_for_file)
        for row, ((file, *_), versions) in zip(rows.tolist(), results, strict=True):
            if not isinstance(versions, tuple):
                problems.append(why_lost(file, versions) if isinstance(versions, Lost) else str(versions))
            else:
                waveforms, kbps = versions
                embedded = stamp.compared(embedder.embed_tracks(list(waveforms.values())))
                if not np.isfinite(embedded).all():
                    problems.append(f"{file}: {NO_VECTOR}")
                    advance(1, f"{len(problems)} left out")
                    continue
                vectors = np.stack([matrix[row], *embedded])
                own = np.full(len(vectors), ids[row])
                nearest = _nearest(index, ids, vectors, own, k)[1] if k else np.zeros((len(vectors), 0), int)
                for name, vector, near in zip(waveforms, vectors[1:], nearest[1:], strict=True):
                    overlap = len(np.intersect1d(near, nearest[0])) / max(1, k)
                    measured.setdefault(name, []).append((overlap, float(vector @ matrix[row])))
                rates += [kbps] if kbps else []
            advance(1, f"{len(problems)} left out" if problems else "")
    if not measured:
        return f"none of {counted(len(again), 'file')} could be decoded; the first: {problems[0]}"
    changes = []
    for name, pairs in measured.items():
        overlap, cosine = (float(mean) for mean in np.mean(pairs, axis=0))
        changes.append(Change(name, overlap if len(tracks) > k + 1 else None, cosine))
    kbps = float(np.mean(rates)) if rates else None
    return Robustness(len(again) - len(problems), kbps, tuple(changes), tuple(problems))


def _versions(
    file: Path, count: int, seconds: float, rate: int, span: tuple[float, float] | None = None
) -> tuple[dict[str, np.ndarray], float | None] | str:
    """For a worker process: excerpts of a file or part, (n, N) float32, by change, and the rate of the mp3 in kbps."""
    from mirclr.audio import through_mp3, try_excerpts

    plain = try_excerpts(file, count, seconds, rate, span)
    if isinstance(plain, str):
        return plain
    x = plain.waveforms
    noise = np.random.default_rng(0).standard_normal(x.shape, np.float32)
    noise *= np.sqrt(np.square(x).mean()) * 10 ** (-SNR_DB / 20)
    versions = {AS_IS: x, QUIET: x * np.float32(10 ** (GAIN_DB / 20)), NOISY: np.clip(x + noise, -1, 1)}
    wide = try_excerpts(file, count, seconds, _MP3_RATE, span)
    if isinstance(wide, str):
        return wide
    coded, kbps = through_mp3(wide.waveforms, _MP3_RATE, rate)
    return (versions if coded is None else versions | {MP3: coded}), kbps
