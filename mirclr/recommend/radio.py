"""`next_songs`: music that goes on: like some songs, or for a listener, never one that was on before."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mirclr.errors import NoMatch
from mirclr.index import Index
from mirclr.library import LibraryStore
from mirclr.library.names import artist_key
from mirclr.recommend.answer import Answer, Recommendation, recommend
from mirclr.recommend.filters import MetadataFilters
from mirclr.recommend.listening import tastes_of
from mirclr.recommend.query import Query
from mirclr.recommend.seeds import EmbedSeeds

_SPARE = 12  # candidates more than are wanted, so that artists of before can wait


def next_songs(
    library: LibraryStore,
    index: Index,
    query: Query,
    played: Sequence[int],
    *,
    filters: MetadataFilters | None = None,
    embed_seeds: EmbedSeeds | None = None,
) -> Answer:
    """The songs that a radio plays next.

    What the query gives, without what was on; where that is too little also what is less alike; then what a listener
    knows already; in the end any song that passes the filters. Nothing comes where all of these were on.

    Parameters
    ----------
    library : LibraryStore
        Where the tracks are.
    index : Index
        Its index.
    query : Query
        What the radio is for: seeds, a profile, filters; with `n`, how many songs come next.
    played : sequence of int
        Ids of the tracks that were on, the last one last.
    filters : MetadataFilters, optional
        Of the library.
    embed_seeds : callable, optional
        As `recommend` takes it.

    Returns
    -------
    Answer
        Of at most n songs; artists of the last ones before come later where others can come first.
    """
    filters = filters or MetadataFilters(library)
    found: list[Recommendation] = []
    answer: Answer | None = None
    failed: NoMatch | None = None
    on = [*_disliked(library, query.profile), *played]
    for wider in _wider(replace(query, n=query.n + _SPARE, length_s=None, to=None)):
        before = [*(r.track.id for r in found), *on]
        try:
            now = recommend(library, index, wider, filters=filters, embed_seeds=embed_seeds, played=before)
        except NoMatch as error:
            if query.seeds or query.profile is None or len(index) == 0:
                raise
            failed = error  # of a listener of whom nothing is known yet
            continue
        answer = answer or now
        found += now.recommendations
        if len(found) >= query.n:
            break
    assert answer is not None or failed is not None
    listed = _apart(library, found, played, query.artist_gap)[: query.n]
    remarks = [] if listed else ["every song that passes was on; begin again, or ask for others"]
    return Answer(query, answer.seeds if answer else (), listed, remarks)


def _wider(query: Query) -> Iterator[Query]:
    """What is asked, in turns, until there is enough."""
    yield query
    yield replace(query, fill=True)
    if query.profile is not None and query.seeds:
        yield replace(query, fill=True, profile=None)
    seed = query.seed or 0
    any_song = replace(query, like=(), seeds=(), profile=None, seed=seed)
    yield replace(any_song, artist_cap=0, artist_gap=0, same_album=True, versions=True)


def _disliked(library: LibraryStore, profile: str | None) -> list[int]:
    return [] if profile is None else [i for i, taste in tastes_of(library, profile).items() if taste < 0]


def _apart(
    library: LibraryStore, found: Sequence[Recommendation], played: Sequence[int], gap: int
) -> list[Recommendation]:
    """Songs in nearly the same order, with those of artists that were just on later, numbered anew."""
    if not gap:
        return list(found)
    recent = [artist_key(track) for track in library.tracks(played[-gap:])]
    left, listed = list(found), list[Recommendation]()
    while left:
        free = (at for at, r in enumerate(left) if artist_key(r.track) not in recent[-gap:])
        listed.append(left.pop(next(free, 0)))
        recent.append(artist_key(listed[-1].track))
    return [replace(r, rank=rank) for rank, r in enumerate(listed, 1)]
