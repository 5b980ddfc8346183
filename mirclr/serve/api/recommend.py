"""Lists of songs by the whole query model, as `mirclr recommend` makes them; counts of filters, orders, and a radio."""

from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from mirclr.api import Library
from mirclr.errors import NoMatch
from mirclr.library import shown
from mirclr.recommend import Answer, Described, Query, Recommendation, without_files
from mirclr.recommend.counts import FIELDS as COUNTED
from mirclr.recommend.counts import Counts, count_values, filters_of
from mirclr.recommend.described import describe
from mirclr.recommend.mix import mix_order
from mirclr.recommend.radio import next_songs
from mirclr.serve.api.tracks import Track
from mirclr.serve.problems import Problem
from mirclr.serve.service import Service, TheService

router = APIRouter(tags=["recommend"])

Id = Annotated[int, Field(ge=1, lt=1 << 31, description="The id of a song.")]
Text = Annotated[str, Field(max_length=1000)]
Song = Annotated[Id | Text, Field(description="A song's id, or words of an artist, a title or an album.")]
Bounds = Annotated[
    Text | tuple[float | None, float | None] | None, Field(description='As "~120", "1990s" or "under 5m", or two ends.')
]
Number = Annotated[int, Field(ge=-(1 << 53), le=1 << 53)]  # as far as numbers of JSON are exact everywhere
_MOST_SEEDS = 500
_MOST_PLAYED = 20_000


class QueryBody(BaseModel):
    """What is asked: the fields of `mirclr.recommend.Query`, which says what they mean."""

    model_config = ConfigDict(extra="forbid")

    seeds: list[Song] = Field([], max_length=_MOST_SEEDS)
    avoid: list[Song] = Field([], max_length=_MOST_SEEDS)
    to: Song | None = None
    n: Number = 20
    length_s: float | Text | None = None
    fill: bool = False
    diversity: float = 0.0
    artist_cap: Number = 2
    artist_gap: Number = 3
    same_album: bool = False
    versions: bool = False
    exclude: list[Text] = Field([], max_length=_MOST_SEEDS)
    genre: list[Text] = Field([], max_length=_MOST_SEEDS)
    mood: list[Text] = Field([], max_length=_MOST_SEEDS)
    vocal: bool | None = None
    bpm: Bounds = None
    octaves: bool = False
    year: Bounds = None
    duration_s: Bounds = None
    key: Text | None = None
    profile: Text | None = None
    seed: Number | None = None
    text: Text | None = None
    like: list[Text] = Field([], max_length=_MOST_SEEDS, description='As "harmony=0.7": timbre, harmony, rhythm.')

    def query(self) -> Query:
        """The query; raises QueryError where a value cannot be."""
        values: dict[str, Any] = self.model_dump(exclude_defaults=True)
        for name in ("seeds", "avoid"):
            if name in values:
                values[name] = [_text(song) for song in values[name]]
        if "to" in values:
            values["to"] = _text(values["to"])
        return Query.from_json(values)


def _text(song: int | str) -> str:
    return f"id:{song}" if isinstance(song, int) else song


class Recommended(BaseModel):
    """One song of a list; see `mirclr.recommend.Recommendation`."""

    track: Track
    match: int | None
    alike: float | None
    similarity: float | None
    seed: str | None
    reason: str
    part_s: float | None

    @classmethod
    def of(cls, r: Recommendation) -> "Recommended":
        """The song of a list as it is answered."""
        return cls(
            track=Track.of(r.track),
            match=r.match,
            alike=r.alike,
            similarity=r.similarity,
            seed=r.explanation.seed or None,
            reason=r.reason,
            part_s=r.part_s,
        )


class Understood(BaseModel):
    """What a text asks: tags with their weights, filters in words, what is not wanted, and what is not understood."""

    tags: dict[str, float]
    without: list[str]
    filters: dict[str, str]
    taken_as: dict[str, str]
    not_understood: list[str]

    @classmethod
    def of(cls, described: Described) -> "Understood":
        """What was understood, with nothing in it that a page may not show."""
        plain = described.to_json()
        return cls(
            tags=plain["tags"],
            without=[shown(text) for text in plain["without"]],
            filters=plain["filters"],
            taken_as={shown(word): other for word, other in plain["taken_as"].items()},
            not_understood=[shown(word) for word in plain["not_understood"]],
        )


class RecommendedList(BaseModel):
    """A list, what it started from, remarks for people, and what was understood of a text."""

    seeds: list[Track]
    recommendations: list[Recommended]
    remarks: list[str]
    understood: Understood | None = None

    @classmethod
    def of(cls, answer: Answer) -> "RecommendedList":
        """An answer of `mirclr.recommend`."""
        seeds = [Track.of(seed.track) for seed in answer.seeds if seed.track is not None]
        return cls(
            seeds=seeds,
            recommendations=[Recommended.of(r) for r in answer.recommendations],
            remarks=answer.remarks,
            understood=Understood.of(answer.described) if answer.described else None,
        )


@router.post("/recommend")
async def recommend(service: TheService, asked: QueryBody) -> RecommendedList:
    """List songs that belong with others, or that pass the filters."""
    check_size(service, asked)
    return RecommendedList.of(await service.call(_answer, asked.query()))


class WordsBody(BaseModel):
    """Words of what songs should be, in English."""

    model_config = ConfigDict(extra="forbid")

    text: Text


@router.post("/words")
async def words(service: TheService, asked: WordsBody) -> Understood:
    """Tell what a text asks of songs, without listing any."""
    return Understood.of(await service.call(_described, Query(text=asked.text)))


def _described(library: Library, query: Query) -> Described:
    with library.snapshot():
        return describe(library, query, library.lifts, library.filters)


def check_size(service: Service, asked: QueryBody) -> None:
    """Refuse a query for more than one answer may hold."""
    limits = service.settings.limits
    if asked.n > limits.n:
        raise Problem(422, f"n: found {asked.n}; expected at most {limits.n}")
    if max(asked.artist_gap, asked.artist_cap) > limits.n:
        raise Problem(422, f"artist cap and gap: expected at most {limits.n}")


def _answer(library: Library, query: Query) -> Answer:
    return library.answer(without_files(library, query))


class RadioBody(QueryBody):
    """What a radio is for, as in /recommend, and which songs were on, the last one last."""

    n: Number = 5
    played: list[Id] = Field([], max_length=_MOST_PLAYED)

    def query(self) -> Query:
        """The query; that of any song where nothing is asked."""
        values = self.model_copy(update={"seed": 0 if self.seed is None else self.seed, "to": None, "length_s": None})
        return QueryBody.query(QueryBody(**values.model_dump(exclude={"played"})))


@router.post("/radio")
async def radio(service: TheService, asked: RadioBody) -> RecommendedList:
    """The songs that come next: never one that was on."""
    check_size(service, asked)
    return RecommendedList.of(await service.call(_next, asked.query(), asked.played))


def _next(library: Library, query: Query, played: list[int]) -> Answer:
    query = without_files(library, query)
    index = library.index
    with library.snapshot():
        return next_songs(library, index, query, played, filters=library.filters)


class ValueCount(BaseModel):
    """A value of a filter, as the filter takes it, and how many songs it would leave."""

    value: str
    songs: int


class CountsOfFilters(BaseModel):
    """How many songs the filters leave, and how many each value of each would, with the others as they are."""

    total: int
    genre: list[ValueCount]
    mood: list[ValueCount]
    vocal: list[ValueCount]
    key: list[ValueCount]
    year: list[ValueCount]
    bpm: list[ValueCount]
    duration_s: list[ValueCount]


@router.post("/counts")
async def counts(service: TheService, asked: QueryBody) -> CountsOfFilters:
    """Count what filters would leave; what the body asks beside filters is not looked at."""
    filters = asked.model_dump(include={*COUNTED, "octaves"}, exclude_defaults=True)
    query = filters_of(QueryBody(**filters, seed=0).query())
    found = await service.call(_counts, query)
    listed = {
        name: [ValueCount(value=shown(one.value), songs=one.songs) for one in getattr(found, name)] for name in COUNTED
    }
    return CountsOfFilters(total=found.total, **listed)


def _counts(library: Library, query: Query | None) -> Counts:
    try:
        ids = library.index.ids
    except NoMatch:  # of a library without songs
        ids, query = np.zeros(0, np.int64), None
    with library.snapshot():
        return count_values(library.filters, ids, query)


class OrderBody(BaseModel):
    """Songs, and by what they are to be put in order: `mix`, as a DJ plays them."""

    model_config = ConfigDict(extra="forbid")

    tracks: list[Id] = Field(max_length=_MOST_SEEDS)
    by: Literal["mix"] = "mix"


class OrderedSong(BaseModel):
    """A song in its place; `why` is how it goes with the one before."""

    id: int
    tempo_bpm: float | None
    key: str | None
    loudness_lufs: float | None
    why: list[str]


class Ordered(BaseModel):
    """Songs in order; `unknown` is of how many of them neither tempo nor key is known."""

    songs: list[OrderedSong]
    unknown: int


@router.post("/order")
async def order(service: TheService, asked: OrderBody) -> Ordered:
    """Put songs in the order in which they mix best by tempo, key and energy."""
    mixed = await service.call(mix_order, asked.tracks)
    songs = [
        OrderedSong(
            id=one.track.id,
            tempo_bpm=one.tempo_bpm,
            key=one.key and shown(one.key),
            loudness_lufs=one.loudness_lufs,
            why=[shown(word) for word in one.why],
        )
        for one in mixed
    ]
    return Ordered(songs=songs, unknown=sum(one.tempo_bpm is None and one.key is None for one in mixed))
