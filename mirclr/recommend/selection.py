"""`select_tracks`: the tracks of a library that a query's filters and rules let pass, and that words mean."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mirclr.library import LibraryStore, LibraryTrack
from mirclr.names import search_words
from mirclr.recommend.filters import MetadataFilters, likely_labels
from mirclr.recommend.query import Query
from mirclr.recommend.rules import Rules, genre_name, parse_rule
from mirclr.recommend.seeds import match_tracks, tracks_below


def select_tracks(
    library: LibraryStore, filters: MetadataFilters, query: Query | None, texts: Sequence[str] = ()
) -> list[LibraryTrack]:
    """Select tracks, in the order of their ids; rules that a library keeps do not count.

    Parameters
    ----------
    library : LibraryStore
        Whose tracks.
    filters : MetadataFilters
        Of it.
    query : Query, optional
        Its filters and rules; all tracks pass unless given.
    texts : sequence of str
        One of these is meant: a file or folder, or words of artist, title, album or path.

    Raises
    ------
    NoMatch
        A text matches nothing.
    QueryError
        A filter asks for what is known of no track.
    """
    found = {track.id: track for text in texts for track in _meant(library, text)} if texts else None
    mask = filters.passing(query) if query else None
    ids = None if mask is None else np.flatnonzero(mask)
    if found is None:
        tracks = library.tracks(None if ids is None else ids.tolist())
    else:
        passing = found.keys() if ids is None else found.keys() & set(ids.tolist())
        tracks = [found[i] for i in sorted(passing)]
    rules = Rules(map(parse_rule, query.exclude)) if query else Rules(())
    if not rules:
        return tracks
    likely = likely_labels(library, "genre", [t.id for t in tracks]) if rules.genres else {}
    return [t for t in tracks if not rules.exclude(t, {genre_name(g) for g in likely.get(t.id, ())})]


def _meant(library: LibraryStore, text: str) -> list[LibraryTrack]:
    path = Path(os.path.expanduser(text))
    if held := library.find_files(path) or library.tracks(tracks_below(library, path)):
        return held
    found, words = library.find(text), search_words(text)
    named = [t for t in found if words in (search_words(name or "") for name in (t.artist, t.album, t.title, t.label))]
    return named or found or match_tracks(library, text)  # which raises, with what may be meant
