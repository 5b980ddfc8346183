"""What the owner of a library wants to know of it; by what is stored, without audio.

Contents: `counts_of`, by genre, mood, decade and tempo; `overview_of`, all of it.
"""

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np

from mirclr.evaluation.report.values import Broken, Copies, Counts, Extreme, Histogram, Overview
from mirclr.library import Description, LibraryStore, LibraryTrack
from mirclr.library.names import components
from mirclr.recommend.filters import LIKELY
from mirclr.recommend.rules import genre_name

_LISTED = 100  # songs that are listed of each kind
_GENRES = 10
_BPM = (40, 60, 80, 100, 120, 140, 160, 180, 200)
_NO_YEARS = range(1, 1900)
_NO_GENRES = ("", "genre", "none", "other", "unknown")  # written where nobody knew


def overview_of(library: LibraryStore, tracks: Sequence[LibraryTrack], pairs: Iterable[tuple[int, int]]) -> Overview:
    """Count and name what a library holds.

    Parameters
    ----------
    library : LibraryStore
        Open.
    tracks : sequence of LibraryTrack
        All of the library's.
    pairs : iterable of pairs of track ids
        What the library keeps as one recording.
    """
    described = library.descriptions()
    tempos = {i: d.tempo_bpm for i, d in described.items() if d.tempo_bpm is not None}
    counts = counts_of(library)
    damaged = [t for t in tracks if t.remark]
    copies = _copies(tracks, pairs)
    return Overview(
        **vars(counts),
        middle_bpm=_middle_half(list(tempos.values())),
        extremes=tuple(_extremes(tracks, tempos, described)),
        damaged=len(damaged),
        damaged_files=tuple(Broken(str(t.place), t.remark or "") for t in damaged[:_LISTED]),
        untitled_files=tuple(str(t.place) for t in tracks if not t.title)[:_LISTED],
        copies=sum(len(group) for group in copies),
        copied=len(copies),
        looked_for_copies=bool(library.near_duplicates(at_least=0)),
        copy_groups=tuple(Copies(group[0].label, tuple(str(t.place) for t in group)) for group in copies[:_LISTED]),
    )


def counts_of(library: LibraryStore) -> Counts:
    """Count what a library holds by genre, mood, decade and tempo; takes a second of a hundred thousand tracks."""
    with library.snapshot():
        n = library.info()["tracks"]
        years = [year for year in library.column("year")[1] if year and year not in _NO_YEARS]
        tagged = Counter(library.column("genre")[1])
        mood_known, moods = library.count_likeliest("mood", LIKELY)
        return Counts(
            bytes=library.bytes_of_files(),
            first_year=min(years, default=None),
            last_year=max(years, default=None),
            without_year=n - len(years),
            decades=_decades(years),
            without_genre=n - sum(of for tag, of in tagged.items() if _genre_names(tag)),
            genres=_of_counts(_genres(tagged).most_common(_GENRES)),
            described=library.count_described(),
            tempos=_by_tempo(library.column("tempo_bpm")[1]),
            mood_known=mood_known,
            moods=_of_counts(Counter(moods).most_common()),
        )


def _genres(tagged: Mapping[str, int]) -> Counter[str]:
    """How many tracks are tagged with each genre, by its most usual spelling; a tag may name several."""
    spelled: dict[str, Counter[str]] = {}
    for tag, n in tagged.items():
        for key, name in _genre_names(tag).items():
            spelled.setdefault(key, Counter())[name] += n
    return Counter({spellings.most_common(1)[0][0]: spellings.total() for spellings in spelled.values()})


def _genre_names(tag: str) -> dict[str, str]:
    """The genres of a tag, spelled as there, by what they are compared by."""
    named = {genre_name(part): " ".join(part.split()) for part in re.split(r"[;/,\0]", tag)}
    return {key: name for key, name in named.items() if key not in _NO_GENRES}


def _of_counts(counts: Sequence[tuple[str, int]]) -> Histogram | None:
    return Histogram(tuple(name for name, _ in counts), tuple(n for _, n in counts)) if counts else None


def _decades(years: Sequence[int]) -> Histogram | None:
    """Each decade from the first to the last, those between without songs too."""
    if not years:
        return None
    counts = Counter(year // 10 * 10 for year in years)
    return _of_counts([(f"{decade}s", counts[decade]) for decade in range(min(counts), max(counts) + 1, 10)])


def _by_tempo(tempos: Sequence[float]) -> Histogram | None:
    if not tempos:
        return None
    labels = [f"under {_BPM[0]}", *(f"{low}–{low + 20}" for low in _BPM[:-1]), f"over {_BPM[-1]}"]
    counts = np.bincount(np.searchsorted(_BPM, tempos, side="right"), minlength=len(labels)).tolist()
    there = [i for i, n in enumerate(counts) if n]
    return _of_counts(list(zip(labels, counts, strict=True))[there[0] : there[-1] + 1])


def _middle_half(values: Sequence[float]) -> tuple[float, float] | None:
    if not values:
        return None
    low, high = np.quantile(values, (0.25, 0.75)).tolist()
    return low, high


def _extremes(
    tracks: Sequence[LibraryTrack], tempos: Mapping[int, float], described: Mapping[int, Description]
) -> Iterable[Extreme]:
    """The tracks at the ends of what can be measured; of equal ones the first."""
    lengths = {t.id: t.duration_s for t in tracks}
    loudness = {i: d.loudness_lufs for i, d in described.items() if d.loudness_lufs is not None}
    by_id = {t.id: t for t in tracks}
    for least, most, values in (
        ("shortest", "longest", lengths),
        ("slowest", "fastest", tempos),
        ("quietest", "loudest", loudness),
    ):
        known = {i: value for i, value in values.items() if i in by_id}
        if len(known) > 1:
            for what, i in ((least, min(known, key=known.__getitem__)), (most, max(known, key=known.__getitem__))):
                yield Extreme(what, by_id[i].label, str(by_id[i].place), float(known[i]))


def _copies(tracks: Sequence[LibraryTrack], pairs: Iterable[tuple[int, int]]) -> list[list[LibraryTrack]]:
    """Tracks that are one recording: of equal audio, or in pairs that were found to be."""
    joined: dict[int, list[Hashable]] = {t.id: [t.audio_digest or t.id] for t in tracks}
    for pair in pairs:
        for track_id in pair:
            if track_id in joined:
                joined[track_id].append(pair)
    groups: dict[int, list[LibraryTrack]] = {}
    for track, group in zip(tracks, components(joined.values()), strict=True):
        groups.setdefault(group, []).append(track)
    return [group for group in groups.values() if len(group) > 1]
