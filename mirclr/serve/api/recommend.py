"""Lists of songs by the whole query model, as `mirclr recommend` makes them."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from mirclr.api import Library
from mirclr.recommend import Answer, Query, Recommendation, without_files
from mirclr.serve.api.tracks import Track
from mirclr.serve.problems import Problem
from mirclr.serve.service import TheService

router = APIRouter(tags=["recommend"])

Song = Annotated[int | str, Field(description="A song's id, or words of an artist, a title or an album.")]
Bounds = Annotated[
    str | tuple[float | None, float | None] | None, Field(description='As "~120", "1990s" or "under 5m", or two ends.')
]


class QueryBody(BaseModel):
    """What is asked: the fields of `mirclr.recommend.Query`, which says what they mean."""

    model_config = ConfigDict(extra="forbid")

    seeds: list[Song] = []
    avoid: list[Song] = []
    to: Song | None = None
    n: int = 20
    length_s: float | str | None = None
    fill: bool = False
    diversity: float = 0.0
    artist_cap: int = 2
    artist_gap: int = 3
    same_album: bool = False
    versions: bool = False
    exclude: list[str] = []
    genre: list[str] = []
    mood: list[str] = []
    bpm: Bounds = None
    octaves: bool = False
    year: Bounds = None
    duration_s: Bounds = None
    key: str | None = None
    profile: str | None = None
    seed: int | None = None

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
        )


class RecommendedList(BaseModel):
    """A list, what it started from, and remarks for people."""

    seeds: list[Track]
    recommendations: list[Recommended]
    remarks: list[str]


@router.post("/recommend")
async def recommend(service: TheService, asked: QueryBody) -> RecommendedList:
    """List songs that belong with others, or that pass the filters."""
    if asked.n > service.settings.limits.n:
        raise Problem(422, f"n: found {asked.n}; expected at most {service.settings.limits.n}")
    answer = await service.call(_answer, asked.query())
    seeds = [Track.of(seed.track) for seed in answer.seeds if seed.track is not None]
    found = [Recommended.of(r) for r in answer.recommendations]
    return RecommendedList(seeds=seeds, recommendations=found, remarks=answer.remarks)


def _answer(library: Library, query: Query) -> Answer:
    return library.answer(without_files(library, query))
