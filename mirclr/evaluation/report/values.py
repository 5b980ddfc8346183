"""What a report on a library holds, as plain values.

Conventions: n tracks with a vector, k neighbours (`K`, or n - 1 where that is fewer), similarity is the cosine. What
cannot be measured is None, with the reason in `LibraryReport.not_measured`.
"""

from dataclasses import asdict, dataclass
from typing import Any

from mirclr import metrics

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
HIT = 5
GAIN_DB, SNR_DB = -6.0, 20.0
AS_IS, MP3, QUIET, NOISY = "as it is", "mp3", f"{GAIN_DB:.0f} dB", "noise"


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
    of, fraction : int, float or None
        How many tracks were asked, and the fraction that `near` is of them.
    stored_pairs, stored_tracks : int
        What the library keeps as one recording, and how many tracks are in such pairs.
    """

    near: int | None
    of: int
    fraction: float | None
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
        Fraction of tracks with N_k = 0. Where not all tracks are asked, it and `skewness` are higher than of all.
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
        Fraction of lists with more than `SAME_ARTIST` tracks of one artist.
    """

    artists: float
    crowded: float


@dataclass(frozen=True)
class Change:
    """What a change of the sound does to a track's vector, on average over the tracks that were embedded again.

    Attributes
    ----------
    name : str
    overlap : float or None
        Fraction of the stored vector's k nearest that are still among the k nearest; None where all tracks always are.
    cosine : float
        To the stored vector.
    """

    name: str
    overlap: float | None
    cosine: float


@dataclass(frozen=True)
class Robustness:
    """Vectors of the same excerpts, decoded again and changed: as mp3, more quietly, with white noise.

    Attributes
    ----------
    tracks : int
        How many were embedded again.
    mp3_kbps : float or None
        Measured mean rate of the mp3 (mono, 44.1 kHz, constant rate); None where it cannot be written.
    changes : tuple of Change
        The first is no change: what differs there is not due to the changes.
    problems : tuple of str
        One line for each file that could not be decoded.
    """

    tracks: int
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
class Copies:
    """One recording that a library holds several times: the name of the first, and all the files."""

    track: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Extreme:
    """A track at an end of what can be measured.

    Attributes
    ----------
    what : str
        ``shortest``, ``longest`` (in seconds), ``slowest``, ``fastest`` (beats a minute), ``quietest``, ``loudest``
        (LUFS).
    track, file : str
    value : float
    """

    what: str
    track: str
    file: str
    value: float


@dataclass(frozen=True)
class Counts:
    """What is counted of a library, by tags and by what was found out before.

    Attributes
    ----------
    bytes : int
        Size of all files when they were last seen.
    first_year, last_year : int or None
    without_year, without_genre : int
        Tracks whose tags lack it.
    decades, genres : Histogram or None
        Tracks by decade, and by genre as tagged: the most frequent ones.
    described : int
        Tracks of which tempo and loudness were looked for.
    tempos : Histogram or None
        Tracks by beats a minute.
    mood_known : int
        Tracks of which moods were predicted.
    moods : Histogram or None
        Tracks by the likeliest of their moods; those for which none is likely are left out.
    """

    bytes: int
    first_year: int | None
    last_year: int | None
    without_year: int
    decades: Histogram | None
    without_genre: int
    genres: Histogram | None
    described: int
    tempos: Histogram | None
    mood_known: int
    moods: Histogram | None


@dataclass(frozen=True)
class Overview(Counts):
    """What an owner wants to know of a library: its `Counts`, and more that takes all of its tracks.

    Attributes
    ----------
    middle_bpm : (float, float) or None
        Half of the tempos lie between.
    extremes : tuple of Extreme
    damaged : int
        Tracks that play, with a fault.
    damaged_files, untitled_files, copy_groups : tuple
        The first of them.
    copies, copied : int
        Tracks that are one recording with another, and how many recordings those are.
    looked_for_copies : bool
        Whether tracks that sound alike were ever compared, as `mirclr duplicates` does.
    """

    middle_bpm: tuple[float, float] | None
    extremes: tuple[Extreme, ...]
    damaged: int
    damaged_files: tuple[Broken, ...]
    untitled_files: tuple[str, ...]
    copies: int
    copied: int
    looked_for_copies: bool
    copy_groups: tuple[Copies, ...]


@dataclass(frozen=True)
class LibraryReport:
    """What was measured of a library; plain values, all texts can be printed.

    Attributes
    ----------
    library : str
        Its file.
    overview : Overview
        What the owner wants to know.
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
    overview: Overview
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
        """JSON values: the attributes by name, two of them by the one that they have always had there."""
        values = asdict(self)
        values["duplicates"]["share"] = values["duplicates"].pop("fraction")
        if self.robustness:
            values["robustness"]["heard"] = values["robustness"].pop("tracks")
        return values
