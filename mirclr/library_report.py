"""A report on one's own library: how good its neighbours are, what is doubled, broken or odd.

Nothing is needed but the library; the audio is heard again for `Robustness` alone. Artists and albums are those of the
files' own tags, compared without case and accents.

Conventions: n tracks with a vector, k neighbours (`K`, or n - 1 where that is fewer), similarity is the cosine. What
cannot be measured is None, with the reason in `LibraryReport.not_measured`.

Contents: `report_on` (measures), `LibraryReport` (plain values), `tables` (for people), `to_html` (one page).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mirclr import metrics
from mirclr.errors import LibraryError, MirclrError
from mirclr.index import Index, open_index
from mirclr.library import EncoderStamp, Library, LibraryTrack, shown
from mirclr.library.names import album_key, first_artist
from mirclr.pretrained import checkpoint_named
from mirclr.processes import CRASHED, results_in_order

K = 10
"""Neighbours of a list."""
RETRIEVAL_QUERIES = 2000
"""Larger libraries are asked for the same artist and album of a fixed random sample of so many tracks."""
NEIGHBOUR_QUERIES = 20_000
"""Larger libraries are asked for the neighbours, among all tracks, of a fixed random sample of so many."""
NEAR_SIMILARITY = 0.995
NEAR_SECONDS = 2.0
SAME_ARTIST = 2
"""A list is crowded with more tracks of one artist."""
_HIT = 5
_OUTLIERS = 10
_LISTED = 100  # files that are listed of those that failed or are gone
_CHUNK = 1024  # queries at a time
_BINS = 25
_MP3_RATE = 44_100
_GAIN_DB, _SNR_DB = -6.0, 20.0
_PLAIN, _MP3, _QUIET, _NOISY = "as it is", "mp3", f"{_GAIN_DB:.0f} dB", "noise"

Advance = Callable[[int, str], None]
Progress = Callable[[str, int | None], AbstractContextManager[Callable[..., None]]]


@dataclass(frozen=True)
class Histogram:
    """Counts by bin; a label is a bin's lower edge, or ``lowest–highest`` for whole numbers."""

    labels: tuple[str, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Duplicates:
    """Tracks that are there more than once.

    Attributes
    ----------
    near : int or None
        Tracks that have, among their k nearest, one above `NEAR_SIMILARITY` that is as long within `NEAR_SECONDS`.
    of, share : int, float or None
        How many tracks were asked, and the share that `near` is of them.
    stored_pairs, stored_tracks : int
        What the library keeps as one recording, and how many tracks are in such pairs.
    """

    near: int | None
    of: int
    share: float | None
    stored_pairs: int
    stored_tracks: int


@dataclass(frozen=True)
class Hubs:
    """How unevenly tracks turn up as neighbours: Radovanović, Nanopoulos, Ivanović, "Hubs in space", JMLR 11 (2010).

    Attributes
    ----------
    skewness : float
        Of N_k, how often each track is among the k nearest of others; 0 is even, above 1 a few turn up everywhere.
    antihubs : float
        Share of tracks with N_k = 0. Where not all tracks are asked, it and `skewness` are higher than they would be.
    largest, largest_count : str, int
        The track with the highest N_k, for people, and that N_k.
    occurrences : Histogram
        Tracks by N_k.
    """

    skewness: float
    antihubs: float
    largest: str
    largest_count: int
    occurrences: Histogram


@dataclass(frozen=True)
class Diversity:
    """Artists in a list of the k nearest; a track without an artist counts as one of its own.

    Attributes
    ----------
    artists : float
        Mean number of distinct artists.
    crowded : float
        Share of lists with more than `SAME_ARTIST` tracks of one artist.
    """

    artists: float
    crowded: float


@dataclass(frozen=True)
class Change:
    """What a change of the sound does to a track's vector, on average over the tracks that were heard.

    Attributes
    ----------
    name : str
    overlap : float or None
        Share of the stored vector's k nearest that are still among the k nearest; None where all tracks always are.
    cosine : float
        To the stored vector.
    """

    name: str
    overlap: float | None
    cosine: float


@dataclass(frozen=True)
class Robustness:
    """Vectors of the same excerpts, heard again and changed: as mp3, more quietly, with white noise.

    Attributes
    ----------
    heard : int
        Tracks.
    mp3_kbps : float or None
        Measured mean rate of the mp3 (mono, 44.1 kHz, constant rate); None where it cannot be written.
    changes : tuple of Change
        The first is no change: what differs there is not due to the changes.
    problems : tuple of str
        One line for each file that could not be heard.
    """

    heard: int
    mp3_kbps: float | None
    changes: tuple[Change, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Outlier:
    """A track with the mean cosine to its k nearest."""

    track: str
    file: str
    cosine: float


@dataclass(frozen=True)
class Broken:
    """A file that could not be embedded, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class LibraryReport:
    """What was measured of a library; plain values, all texts can be printed.

    Attributes
    ----------
    library : str
        Its file.
    encoder : dict or None
        ``name``, ``digest``, ``dim``, ``excerpts``.
    tracks, artists, albums : int
        As ``mirclr library info`` counts them.
    hours : float
    without_title, without_artist, without_vector : int
        Tracks that lack it.
    k, asked : int
        Neighbours of a list; tracks whose neighbours were asked for.
    exact : bool
        Whether neighbours come from comparing with every track.
    artist, album : metrics.Retrieval or None
        Same artist, tracks of the query's own album left out of the ranking (the album filter: Flexer, "A closer look
        on artist filters for musical genre classification", ISMIR 2007); same album.
    nearest : Histogram or None
        Tracks by the similarity of their nearest neighbour.
    failures, gone : int
        Files that could not be embedded; tracks whose file is no longer there.
    broken, gone_files : tuple
        The first of them.
    not_measured : dict of str to str
        Reason by what is missing.
    """

    library: str
    encoder: dict[str, Any] | None
    tracks: int
    artists: int
    albums: int
    hours: float
    without_title: int
    without_artist: int
    without_vector: int
    k: int
    asked: int
    exact: bool
    artist: metrics.Retrieval | None
    album: metrics.Retrieval | None
    duplicates: Duplicates
    nearest: Histogram | None
    hubs: Hubs | None
    diversity: Diversity | None
    robustness: Robustness | None
    outliers: tuple[Outlier, ...]
    failures: int
    broken: tuple[Broken, ...]
    gone: int
    gone_files: tuple[str, ...]
    not_measured: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """JSON values: the attributes by name."""
        return asdict(self)


@dataclass(frozen=True)
class Table:
    """A part of the report for people; `note` says how to read it."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@contextmanager
def _silent(label: str, total: int | None) -> Iterator[Callable[..., None]]:
    yield lambda steps=1, note="": None


def report_on(
    library: Library, *, robustness: int = 24, workers: int = 0, progress: Progress = _silent
) -> LibraryReport:
    """Measure a library.

    Memory is a few times that of its vectors, however many tracks there are.

    Parameters
    ----------
    library : Library
        Open; it may hold no tracks.
    robustness : int
        Tracks to hear again, a fixed random sample; 0: none.
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
        every, failures, pairs = library.tracks(), library.failures(), library.duplicates()
        ids, matrix = library.vectors()
        index = open_index(library) if len(ids) else None
    if not np.isfinite(matrix).all():
        raise LibraryError(
            f"{library.path}: a vector is not finite; see: mirclr library verify --library {library.path}"
        )
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
        with progress("Comparing", len(asked)) as advance:
            similarities, neighbours = _all_nearest(index, ids, matrix, asked, k, advance)
        near = _near(tracks, asked, similarities, neighbours)
        found["nearest"] = _spread(similarities[:, 0])
        with progress("Ranking", 2) as advance:
            for name, of in (("artist", _by_artist), ("album", _by_album)):
                found[name] = of(matrix, tracks)
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

    heard = _hear_some(stamp, index, ids, matrix, tracks, {t.id for t in gone}, robustness, k, workers, progress)
    if isinstance(heard, str):
        why["robustness"] = heard
    return LibraryReport(
        library=shown(str(library.path)),
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
            share=None if near is None else near / len(asked),
            stored_pairs=len(pairs),
            stored_tracks=len({i for pair in pairs for i in pair}),
        ),
        robustness=None if isinstance(heard, str) else heard,
        outliers=tuple(outliers),
        failures=len(failures),
        broken=tuple(Broken(shown(str(Path(f.root, f.path))), shown(f.reason)) for f in failures[:_LISTED]),
        gone=len(gone),
        gone_files=tuple(shown(str(t.file)) for t in gone[:_LISTED]),
        not_measured=why,
        **found,
    )


def _sample(n: int, most: int) -> np.ndarray:
    """All of n rows, or a sorted sample of `most`, always the same."""
    return np.arange(n) if n <= most else np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def _encoder(stamp: EncoderStamp | None) -> dict[str, Any] | None:
    if stamp is None:
        return None
    return {"name": shown(stamp.name), "digest": stamp.digest, "dim": stamp.dim, "excerpts": stamp.excerpts}


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
        advance(len(some), "neighbours")
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


def _spread(nearest: np.ndarray) -> Histogram:
    low = min(np.floor(float(nearest.min()) * 20) / 20, 0.95)
    counts, edges = np.histogram(np.clip(nearest, -1, 1), _BINS, (low, 1))
    return Histogram(tuple(f"{edge:.3f}" for edge in edges[:-1]), tuple(counts.tolist()))


def _artists(tracks: Sequence[LibraryTrack]) -> list[str]:
    return [first_artist(t.artist) if t.artist else "" for t in tracks]


def _albums(tracks: Sequence[LibraryTrack]) -> list[str]:
    return ["\n".join(key) if (key := album_key(t)) else "" for t in tracks]


def _diversity(tracks: Sequence[LibraryTrack], neighbours: np.ndarray) -> Diversity | None:
    names = _artists(tracks)
    if not any(names):
        return None
    codes = np.unique([name or f"\0{i}" for i, name in enumerate(names)], return_inverse=True)[1]
    lists = np.sort(codes[neighbours], axis=1)
    new = np.diff(lists, axis=1) != 0
    crowded = (lists[:, SAME_ARTIST:] == lists[:, :-SAME_ARTIST]).any(axis=1)  # sorted, so equal ones are together
    return Diversity(float(new.sum(axis=1).mean() + 1), float(crowded.mean()))


def _by_artist(matrix: np.ndarray, tracks: Sequence[LibraryTrack]) -> metrics.Retrieval | None:
    return _retrieval(matrix, _artists(tracks), _albums(tracks))


def _by_album(matrix: np.ndarray, tracks: Sequence[LibraryTrack]) -> metrics.Retrieval | None:
    return _retrieval(matrix, _albums(tracks), None)


def _retrieval(matrix: np.ndarray, groups: list[str], exclude: list[str] | None) -> metrics.Retrieval | None:
    """Of the tracks that have the label; None without queries."""
    labelled = np.flatnonzero(np.array(groups, object) != "")
    asked = labelled[_sample(len(labelled), RETRIEVAL_QUERIES)]
    found = metrics.retrieval(matrix, groups, exclude, k=_HIT, queries=asked)
    return found if found.queries else None


def _outliers(tracks: Sequence[LibraryTrack], asked: np.ndarray, similarities: np.ndarray) -> list[Outlier]:
    means = similarities.mean(axis=1, dtype=np.float64)
    lowest = np.argsort(means, kind="stable")[:_OUTLIERS]
    found = [(tracks[int(asked[i])], float(means[i])) for i in lowest]
    return [Outlier(track.label, shown(str(track.file)), mean) for track, mean in found]


# robustness


def _hear_some(
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
    """Hear a sample of tracks again; or why that cannot be done."""
    there = np.array([row for row, track in enumerate(tracks) if track.id not in gone], int)
    if not count:
        return "was not asked for"
    if stamp is None or index is None:
        return "the library holds no tracks"
    if not len(there):
        return f"none of the files of its {len(tracks)} tracks is there"
    from mirclr.embed import Embedder

    try:
        embedder = Embedder.load(checkpoint_named(stamp.name), excerpts=stamp.excerpts)
    except (MirclrError, OSError) as error:
        return f"needs the library's encoder: {shown(str(error))}"
    if embedder.stamp.digest != stamp.digest:
        return (
            f"{shown(stamp.name)} is another encoder ({embedder.stamp.digest[:12]}) than the library's "
            f"({stamp.digest[:12]})"
        )
    rows = there[_sample(len(there), count)]
    of = {tracks[row].file: row for row in rows.tolist()}
    problems: list[str] = []
    rates: list[float] = []
    measured: dict[str, list[tuple[float, float]]] = {}
    jobs = ((file, embedder.excerpts, embedder.seconds, embedder.rate) for file in of)
    with progress("Hearing again", len(of)) as advance:
        for (file, *_), versions in results_in_order(_versions, jobs, workers=workers):
            if not isinstance(versions, tuple):
                problems.append(shown(f"{file}: its decoder crashed" if versions is CRASHED else str(versions)))
            else:
                waveforms, kbps = versions
                row = of[file]
                vectors = np.stack([matrix[row], *embedder.embed_tracks(list(waveforms.values()))])
                own = np.full(len(vectors), ids[row])
                nearest = _nearest(index, ids, vectors, own, k)[1] if k else np.zeros((len(vectors), 0), int)
                for name, vector, near in zip(waveforms, vectors[1:], nearest[1:], strict=True):
                    kept = len(np.intersect1d(near, nearest[0])) / max(1, k)
                    measured.setdefault(name, []).append((kept, float(vector @ matrix[row])))
                rates += [kbps] if kbps else []
            advance(1, f"{len(problems)} left out" if problems else "")
    if not measured:
        return f"none of {len(of)} files could be heard; the first: {problems[0]}"
    changes = []
    for name, pairs in measured.items():
        overlap, cosine = (float(mean) for mean in np.mean(pairs, axis=0))
        changes.append(Change(name, overlap if len(tracks) > k + 1 else None, cosine))
    kbps = float(np.mean(rates)) if rates else None
    return Robustness(len(of) - len(problems), kbps, tuple(changes), tuple(problems))


def _versions(file: Path, count: int, seconds: float, rate: int) -> tuple[dict[str, np.ndarray], float | None] | str:
    """For a worker process: a file's excerpts, (n, N) float32, by change, and the rate of the mp3 in kbps."""
    from mirclr.audio import through_mp3, try_excerpts

    plain = try_excerpts(file, count, seconds, rate)
    if isinstance(plain, str):
        return plain
    x = plain.waveforms
    noise = np.random.default_rng(0).standard_normal(x.shape, np.float32)
    noise *= np.sqrt(np.square(x).mean()) * 10 ** (-_SNR_DB / 20)
    versions = {_PLAIN: x, _QUIET: x * np.float32(10 ** (_GAIN_DB / 20)), _NOISY: np.clip(x + noise, -1, 1)}
    wide = try_excerpts(file, count, seconds, _MP3_RATE)
    if isinstance(wide, str):
        return wide
    coded, kbps = through_mp3(wide.waveforms, _MP3_RATE, rate)
    return (versions if coded is None else versions | {_MP3: coded}), kbps


# for people


def tables(report: LibraryReport) -> list[Table]:
    """The report in parts, each with a note on how to read it; parts without rows are left out."""
    r, encoder = report, report.encoder
    asked = "" if r.asked == r.tracks - r.without_vector else f" Neighbours of a sample of {r.asked} tracks, among all."
    if not r.exact:
        asked += " The index finds nearly all of the nearest, not each."
    counts: list[tuple[str, Any]] = [
        ("tracks", r.tracks),
        ("artists", r.artists),
        ("albums", r.albums),
        ("hours", round(r.hours, 1)),
        ("tracks without a title", r.without_title),
        ("tracks without an artist", r.without_artist),
        ("tracks without a vector", r.without_vector),
        ("files that could not be embedded", r.failures),
        ("tracks whose file is gone", r.gone),
        ("encoder", f"{encoder['name']} ({encoder['digest'][:12]}), {encoder['dim']} components" if encoder else None),
    ]
    fewer = " With fewer lists more tracks are never found, and the skewness is higher." if "sample" in asked else ""
    retrieval = [
        (name, f.map, f.chance_map, f.hit, f.chance_hit, f.queries)
        for name, f in (("artist, on other albums", r.artist), ("album", r.album))
        if f
    ]
    d = r.duplicates
    doubled: list[tuple[str, Any]] = [] if d.near is None else [("near-duplicates", d.near), ("their share", d.share)]
    doubled += [("stored pairs of one recording", d.stored_pairs), ("tracks in them", d.stored_tracks)]
    hubs: list[tuple[str, Any]] = []
    if r.hubs:
        hubs = [
            (f"skewness of N_{r.k}", r.hubs.skewness),
            (f"share of antihubs (N_{r.k} = 0)", r.hubs.antihubs),
            ("largest hub", r.hubs.largest),
            (f"its N_{r.k}", r.hubs.largest_count),
            (f"mean N_{r.k}", r.k * r.asked / (r.tracks - r.without_vector)),
        ]
    diversity: list[tuple[str, Any]] = []
    if r.diversity:
        crowded = f"share of lists with more than {SAME_ARTIST} tracks of one artist"
        diversity = [("distinct artists", r.diversity.artists), (crowded, r.diversity.crowded)]
    changes, changed, problems = [], "", list[tuple[str]]()
    if r.robustness:
        changes = [(_DESCRIBED[c.name], c.overlap, c.cosine) for c in r.robustness.changes]
        problems = [(p,) for p in r.robustness.problems]
        kbps = r.robustness.mp3_kbps
        rate = f"the mp3 has {kbps:.1f} kbps (mono, 44.1 kHz)" if kbps else "this system's libsndfile writes no mp3"
        changed = (
            f"{r.robustness.heard} tracks heard again; {rate}. Overlap: the share of a track's {r.k} nearest that stay "
            "when it is changed. 1 is best."
        )
    parts = [
        Table("library", "", ("", "value"), tuple(counts)),
        Table(
            "neighbours of the same artist and album",
            f"Mean average precision, and how often one is among the first {_HIT}; beside chance, the expected value "
            "for random order. For artists the tracks of a track's own album are left out.",
            ("same", "mAP", "chance", f"hit@{_HIT}", "chance", "queries"),
            tuple(retrieval),
        ),
        Table(
            "duplicates",
            f"Near-duplicates: tracks with a neighbour of cosine above {NEAR_SIMILARITY} whose length is the same "
            f"within {NEAR_SECONDS:.0f} s.{asked}",
            ("", "value"),
            tuple(doubled),
        ),
        Table(
            "hubs",
            f"N_{r.k}: how often a track is among the {r.k} nearest of others. A skewness above 1 means that a few "
            f"tracks turn up everywhere; antihubs are never found.{asked}{fewer}",
            ("", "value"),
            tuple(hubs),
        ),
        Table("artists in lists", f"Of lists of the {r.k} nearest.{asked}", ("", "value"), tuple(diversity)),
        Table("robustness", changed, ("change", f"overlap@{r.k}", "cosine"), tuple(changes)),
        Table("files that could not be heard again", "", ("file and reason",), tuple(problems)),
        Table(
            "outliers",
            f"The tracks with the lowest mean cosine to their {r.k} nearest: odd ones, or files that are not music.",
            ("track", "cosine", "file"),
            tuple((o.track, o.cosine, o.file) for o in r.outliers),
        ),
        Table(
            "files that could not be embedded",
            _of(len(r.broken), r.failures),
            ("file", "reason"),
            tuple((b.file, b.reason) for b in r.broken),
        ),
        Table(
            "files that are gone", _of(len(r.gone_files), r.gone), ("file",), tuple((file,) for file in r.gone_files)
        ),
        Table("not measured", "", ("what", "why"), tuple(r.not_measured.items())),
    ]
    return [part for part in parts if part.rows]


_DESCRIBED = {
    _PLAIN: "none",
    _MP3: "mp3",
    _QUIET: f"gain of {_GAIN_DB:.0f} dB",
    _NOISY: f"white noise, SNR {_SNR_DB:.0f} dB",
}


def _of(listed: int, all_: int) -> str:
    return "" if listed == all_ else f"The first {listed} of {all_}."


_STYLE = """
:root{color-scheme:light dark;--back:#fff;--ink:#1b1f24;--soft:#59636e;--line:#d5dae0;--bar:#2f6f9f}
@media(prefers-color-scheme:dark){:root{--back:#14171b;--ink:#e6e9ed;--soft:#9aa4af;--line:#333a42;--bar:#6fb1e0}}
body{margin:0 auto;padding:1rem;max-width:52rem;background:var(--back);color:var(--ink)}
body{font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin:2rem 0 .25rem}
p{color:var(--soft);margin:.25rem 0}
.wide{overflow-x:auto}
table{border-collapse:collapse;margin:.5rem 0}
th,td{text-align:left;padding:.25rem .9rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td{overflow-wrap:anywhere;min-width:4rem}
.number{text-align:right;font-variant-numeric:tabular-nums}
figure{margin:1rem 0}figcaption{color:var(--soft)}
svg{width:100%;max-width:36rem;height:auto}rect{fill:var(--bar)}line{stroke:var(--line)}
text{fill:var(--ink);font:10px system-ui,sans-serif;text-anchor:middle}
"""


def to_html(report: LibraryReport) -> str:
    """The report as one HTML page that needs nothing else: no scripts, no files, plots as inline SVG."""
    plots = _plots(report)
    body = []
    for part in tables(report):
        body.append(f"<section><h2>{_text(part.title)}</h2>")
        if part.note:
            body.append(f"<p>{_text(part.note)}</p>")
        body.append(_html_table(part))
        body += plots.get(part.title, [])
        body.append("</section>")
    title = f"Report on {report.library}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{_text(title)}</h1>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _plots(report: LibraryReport) -> dict[str, list[str]]:
    """SVG figures by the title of the table that they stand below."""
    plots: dict[str, list[str]] = {}
    if report.nearest:
        of = report.nearest
        plots["duplicates"] = [_bars("tracks by the cosine of their nearest neighbour", of.labels, of.counts)]
    if report.hubs:
        of = report.hubs.occurrences
        plots["hubs"] = [_bars(f"tracks by N_{report.k}", of.labels, of.counts)]
    if report.robustness:
        changes = report.robustness.changes
        names = [c.name for c in changes]
        kept = [c.overlap for c in changes if c.overlap is not None]
        plots["robustness"] = [_bars(f"overlap@{report.k}", names, kept, top=1)] if kept else []
        plots["robustness"].append(_bars("cosine to the stored vector", names, [c.cosine for c in changes], top=1))
    return plots


def _bars(title: str, labels: Sequence[str], values: Sequence[float], *, top: float | None = None) -> str:
    """A bar chart of values, 0 and above, as an SVG figure; below 0 there is no bar.

    Parameters
    ----------
    title : str
        What the bars are.
    labels : (n,) of str
        Shown in full with a bar's value; below the axis up to the first dash, and where there are many, some of them.
    values : (n,) of float
        Heights.
    top : float, optional
        Value of a bar of full height; the highest unless given.
    """
    width, height, base = 360, 170, 145
    top = top or max([*values, 1e-9])
    step = width / len(values)
    few = len(values) <= 12
    parts = []
    for i, (label, value) in enumerate(zip(labels, values, strict=True)):
        tall = min(1.0, max(0.0, value / top)) * (base - 20)
        middle, said = (i + 0.5) * step, f"{value:.3f}" if isinstance(value, float) else str(value)
        parts.append(
            f'<rect x="{i * step + 0.1 * step:.1f}" y="{base - tall:.1f}" width="{0.8 * step:.1f}" '
            f'height="{tall:.1f}"><title>{_text(label)}: {_text(said)}</title></rect>'
        )
        if few:
            parts.append(f'<text x="{middle:.1f}" y="{base - tall - 4:.1f}">{_text(said)}</text>')
        if few or i % 5 == 0:
            parts.append(f'<text x="{middle:.1f}" y="{base + 14}">{_text(label.split("–")[0])}</text>')
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{_text(title)}">'
        f'<line x1="0" y1="{base}" x2="{width}" y2="{base}"/>{"".join(parts)}</svg>'
        f"<figcaption>{_text(title)}</figcaption></figure>"
    )


def _html_table(part: Table) -> str:
    numeric = [
        all(isinstance(row[i], int | float) or row[i] is None for row in part.rows) for i in range(len(part.columns))
    ]
    kinds = [' class="number"' if is_numeric else "" for is_numeric in numeric]
    head = "".join(f"<th{kind}>{_text(name)}</th>" for kind, name in zip(kinds, part.columns, strict=True))
    rows = "".join(
        "<tr>" + "".join(f"<td{kind}>{_text(_cell(v))}</td>" for kind, v in zip(kinds, row, strict=True)) + "</tr>"
        for row in part.rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _text(text: str) -> str:
    return escape(shown(text))
