"""Why there are fewer tracks than were asked for, in lines for people."""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from mirclr.library import LibraryTrack
from mirclr.recommend.filters import MetadataFilters
from mirclr.recommend.query import Query
from mirclr.recommend.rules import genre_name, genres_of
from mirclr.recommend.words import filters_in_words
from mirclr.terminal import clock, counted

WHY = {
    "rule": "{} kept out by a rule: mirclr block list shows those that are kept",
    "album": "{} of the same album as a song that you named; to let them come: --same-album yes",
    "unlike": "{} not alike; to fill the list with them: --fill yes",
    "away": "{} more like what you want to stay away from",
    "cap": "{} by an artist of whom {cap} {be} listed; to let more of one artist come: --artist-cap 0",
    "version": "{} the same song as one that is listed or named; to let its versions come: --versions yes",
    "gap": "{} too near to another song of the same artist; to let them come: --artist-gap 0",
}
"""What a track may be left out for, as remarks say it of "3 more are"."""


def shortfall(
    filters: MetadataFilters,
    query: Query,
    found: int,
    left_out: Counter[str],
    ids: np.ndarray,
    named: Collection[int],
    described: np.ndarray | None = None,
) -> list[str]:
    """Say why there are fewer tracks than were asked for.

    Parameters
    ----------
    filters : MetadataFilters
        Of the library.
    query : Query
        What was asked.
    found : int
        How many were found.
    left_out : Counter
        How many others there are for each reason of `WHY`.
    ids : (n,) int64
        All tracks of the library.
    named : collection of int
        Tracks that the query names, which are never listed.
    described : (m,) bool, optional
        By track id: what passes by the tags of the query's text.

    Returns
    -------
    list of str
        Lines.
    """
    masks = filters.masks(query)
    if masks:  # which may be of before the last tracks came
        ids = ids[ids < min(map(len, masks.values()))]
    passing = ids[np.logical_and.reduce([mask[ids] for mask in masks.values()])] if masks else ids
    if masks and not len(passing):
        return [emptied(filters, query)]
    if described is not None:
        passing = passing[passing < len(described)]
        passing = passing[described[passing]]
        if not len(passing):
            return ["no song that passes is likely as you say" if masks else "no song is likely as you say"]
    n = len(np.setdiff1d(passing, list(named)))
    other = "other song" if n < len(passing) else "song"
    asked = [*filters_in_words(query).values(), *(["likely as you say"] if described is not None else [])]
    be = "is" if n == 1 else "are"
    what = f"in your library {be} {', '.join(asked)}" if asked else f"{be} in your library"
    others = _beside(filters, query, masks, ids)
    if not left_out and not n and not asked:
        return ["there is no other song in your library; add more: mirclr embed FOLDER"]
    if not left_out:
        return [f"only {counted(n, other)} {what}", *others]
    wanted = "the length that you asked for" if query.length_s else f"{query.n:,}"
    that = f"{counted(n, other)} {what}" if asked else f"your library holds {counted(n, other)}"
    lines = [f"found {counted(found, 'song')}, not {wanted}: {that}"]
    for why, number in left_out.most_common():
        some = f"{number:,} {'more ' if found else ''}{'is' if number == 1 else 'are'}"
        lines.append(WHY[why].format(some, cap=query.artist_cap, be="is" if query.artist_cap == 1 else "are"))
    return [*lines, *others]


def guessed(query: Query, tracks: Sequence[LibraryTrack]) -> list[str]:
    """Of how many tracks the genre that a query asks for is a guess, as their tags do not name it."""
    asked = set(map(genre_name, query.genre))
    n = sum(asked.isdisjoint(genres_of(track.genre or "")) for track in tracks) if asked else 0
    return (
        [f"the genre is a guess for {'all' if n == len(tracks) else n} of these {counted(len(tracks), 'song')}"]
        if n
        else []
    )


def _beside(filters: MetadataFilters, query: Query, masks: dict[str, np.ndarray], ids: np.ndarray) -> list[str]:
    """What would pass if more were known, or if half and twice a tempo counted."""
    lines = []
    if query.bpm is not None and not query.octaves:
        rest = [mask for name, mask in masks.items() if name != "bpm"]
        wider = filters.masks(replace(query, octaves=True))["bpm"] & ~masks["bpm"]
        n = int(np.logical_and.reduce([wider, *rest])[ids].sum())
        if n:
            low, high = (f"{end:.1f}".removesuffix(".0") if math.isfinite(end) else "" for end in query.bpm)
            lines.append(f"{counted(n, 'song')} more at half or twice that tempo: --bpm '~{low}..{high}'")
    if query.year is not None and (unknown := filters.unknown("year", ids)):
        lines.append(
            f"{counted(unknown, 'song')} of your library {'has' if unknown == 1 else 'have'} no year in the tags"
        )
    return lines


def emptied(filters: MetadataFilters, query: Query) -> str:
    """Which filter of a query left nothing, after those before it; for one that lets something pass, that all do."""
    masks = filters.masks(query)
    words, passing, before = filters_in_words(query), None, ""
    for name, mask in masks.items():
        left = mask if passing is None else passing & mask
        if not left.any():
            if mask.any():
                n, m = (counted(int(some.sum()), "song") for some in (passing, mask) if some is not None)
                return f"no song is both {before} and {words[name]}; {before}: {n}; {words[name]}: {m}"
            return f"no song is {words[name]}{_range(filters, name)}"
        passing, before = left, f"{before} and {words[name]}" if before else words[name]
    return "no song is left by the rules and words that were given"


def _range(filters: MetadataFilters, name: str) -> str:
    if name not in ("bpm", "year", "duration_s"):
        return ""
    least, most = filters.span(name)
    if name == "duration_s":
        return f"; your songs are {clock(least)} to {clock(most)} long"
    return f"; your songs are of {least:.0f} to {most:.0f}{' bpm' if name == 'bpm' else ''}"
