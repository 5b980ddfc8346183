"""What is known of how songs sound: over time, what two have in common, and of audio that is sent."""

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from mirclr.api import Library
from mirclr.library import shown
from mirclr.recommend import Comparison, compare
from mirclr.serve import sent
from mirclr.serve.api.tracks import Track
from mirclr.serve.problems import Problem
from mirclr.serve.service import TheService

if TYPE_CHECKING:
    from mirclr.identify import Found

router = APIRouter(tags=["sounds"])

Id = Annotated[int, Query(ge=0, lt=1 << 63)]
_TOP = 3


class OverTime(BaseModel):
    """Genres and moods at some places of a song: of each label a probability a place, the likeliest labels first."""

    starts_s: list[float]
    seconds: float
    genre: dict[str, list[float]]
    mood: dict[str, list[float]]


class Explained(BaseModel):
    """How alike two songs are, and what they have in common; of each pair the first belongs to the first song.

    `labels` are the genres and moods that both likely have; `starts_s` is where the most similar excerpts begin.
    """

    first: Track
    second: Track
    similarity: float
    alike: float
    match: int
    words: list[str]
    same: list[str]
    tagged: list[str]
    labels: dict[str, dict[str, tuple[float, float]]]
    tempo_bpm: tuple[float, float] | None
    key: tuple[str, str] | None
    relations: list[str]
    starts_s: tuple[float, float] | None

    @classmethod
    def of(cls, found: Comparison) -> "Explained":
        """A comparison as it is answered."""
        why = found.explanation
        return cls(
            first=Track.of(found.first),
            second=Track.of(found.second),
            similarity=found.similarity,
            alike=found.alike,
            match=found.match,
            words=why.words(),
            same=list(why.same),
            tagged=[shown(text) for text in why.tagged],
            labels={task: {shown(name): p for name, p in both.items()} for task, both in why.labels.items()},
            tempo_bpm=why.tempo,
            key=why.key,
            relations=list(why.relations),
            starts_s=why.excerpts,
        )


class Classified(BaseModel):
    """Genres, moods and more of audio, the likeliest first; of the genres the probabilities add up to 1."""

    genre: dict[str, float]
    top_genre: str | None
    mood: dict[str, float]
    valence: float | None
    arousal: float | None
    voice: dict[str, float]
    sound: dict[str, float]
    instrument: dict[str, float]


class Identified(BaseModel):
    """Which song audio is a recording of, if any is: from `start_s` to `end_s` of it the song plays, from `at_s` on.

    `speed` and `pitch` are by how much it is faster and higher than the song, as factors; `matched` is the fraction of
    the song's landmarks that are in it, `evidence` is against chance, in nats.
    """

    song: Track | None
    start_s: float | None = None
    end_s: float | None = None
    at_s: float | None = None
    speed: float | None = None
    pitch: float | None = None
    matched: float | None = None
    evidence: float | None = None

    @classmethod
    def of(cls, found: "Found | None") -> "Identified":
        """What was found as it is answered."""
        if found is None:
            return cls(song=None)
        numbers = ("start_s", "end_s", "at_s", "speed", "pitch", "matched", "evidence")
        return cls(song=Track.of(found.track), **{name: round(getattr(found, name), 4) for name in numbers})


@router.get("/tracks/{track_id}/over-time")
async def over_time(service: TheService, track_id: int) -> OverTime:
    """Tell how genres and moods change in the course of a song."""
    return await service.call(_over_time, track_id)


def _over_time(library: Library, track_id: int) -> OverTime:
    from mirclr.classify.excerpts import likeliest, predict_excerpts  # takes longer than all else at the start

    found, labels = predict_excerpts(library, library.index, track_id, library.heads)
    rows = {
        task: {
            shown(name): [round(p, 4) for p in column.tolist()]
            for name, column in likeliest(found.probabilities[task], labels[task], _TOP).items()
        }
        for task in ("genre", "mood")
        if task in found.probabilities
    }
    starts = [round(start, 2) for start in found.starts.tolist()]
    seconds = float((found.ends - found.starts).mean())
    return OverTime(starts_s=starts, seconds=seconds, genre=rows.get("genre", {}), mood=rows.get("mood", {}))


@router.get("/explain")
async def explain(service: TheService, a: Id, b: Id) -> Explained:
    """Explain why two songs are alike, or how much they are not."""
    return Explained.of(await service.call(lambda library: compare(library, library.index, a, b)))


_BODY = {"content": {"audio/*": {"schema": {"type": "string", "format": "binary"}}}, "required": True}


@router.post("/classify", openapi_extra={"requestBody": _BODY})
async def classify(service: TheService, request: Request) -> Classified:
    """Classify audio that is sent as the body, of whatever kind: genres, moods and more, as of the library's songs."""
    found = await service.sent.run(sent.predict_sent, _audio_of(request))
    return Classified(
        genre=_shown(found.genre),
        top_genre=found.top_genre and shown(found.top_genre),
        mood=_shown(found.moods),
        valence=found.valence,
        arousal=found.arousal,
        voice=_shown(found.voice),
        sound=_shown(found.sound),
        instrument=_shown(found.instruments),
    )


def _shown(probabilities: Mapping[str, float]) -> dict[str, float]:
    return {shown(name): p for name, p in probabilities.items()}


@router.post("/identify", openapi_extra={"requestBody": _BODY})
async def identify(service: TheService, request: Request) -> Identified:
    """Find which song audio that is sent as the body is a recording of, also a short and noisy one."""
    find = partial(sent.identify_sent, keep=not service.settings.read_only)
    return Identified.of(await service.sent.run(find, _audio_of(request)))


def _audio_of(request: Request) -> AsyncIterator[bytes]:
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise Problem(415, "found a form; expected the bytes of the audio file themselves as the body")
    return request.stream()
