"""Profiles of listeners: what they play and like, which recommendations go by."""

import time
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from mirclr.api import Library
from mirclr.library import Listen, shown
from mirclr.recommend.listening import check_name, record_play, set_taste, tastes_of
from mirclr.recommend.segments import LongTracks
from mirclr.recommend.taste import listens_of, match_listens, nearest_tracks, taste_of
from mirclr.serve.api.recommend import Id
from mirclr.serve.api.tracks import Track
from mirclr.serve.guard import WRITES
from mirclr.serve.problems import Problem
from mirclr.serve.service import TheService

router = APIRouter(tags=["profiles"])

Name = Annotated[str, Field(max_length=200)]
_OF_TASTE = {"liked": 1, "disliked": -1}
_EXAMPLES = 6  # songs of a group that a listener likes


class Profile(BaseModel):
    """A listener, and of how many songs something is known."""

    name: str
    songs: int


class Group(BaseModel):
    """Songs that sound alike and that a listener likes: which part of the listening they are, and some of them."""

    weight: float
    songs: list[Track]


class ProfileWithTaste(Profile):
    """A listener: `held`: how many of the songs the library has; what is liked, in groups."""

    plays: int
    liked: int
    disliked: int
    held: int
    groups: list[Group]


class PlayBody(BaseModel):
    """A song, and how much of it was played."""

    model_config = ConfigDict(extra="forbid")

    track: Id
    played_s: float = Field(ge=0, le=1e7)


class Played(BaseModel):
    """Whether that counts as a play: half of the song, or four minutes."""

    counted: bool


class LikeBody(BaseModel):
    """A song, and whether it is liked (1), disliked (-1) or neither (0)."""

    model_config = ConfigDict(extra="forbid")

    track: Id
    taste: Literal[-1, 0, 1]


class Likes(BaseModel):
    """The ids of the songs that a listener likes and dislikes."""

    liked: list[int]
    disliked: list[int]


@router.get("/profiles")
async def profiles(service: TheService) -> list[Profile]:
    """All listeners, by name."""
    held = await service.call(Library.profiles)
    return [Profile(name=shown(name), songs=n) for name, n in held.items()]


@router.get("/profiles/{name:path}/likes")
async def likes(service: TheService, name: Name) -> Likes:
    """What a listener likes and dislikes; nothing where there is no such listener yet."""
    tastes = await service.call(tastes_of, name)
    return Likes(**{name: sorted(i for i, t in tastes.items() if t == of) for name, of in _OF_TASTE.items()})


@router.post("/profiles/{name:path}/likes", dependencies=[WRITES])
async def like(service: TheService, name: Name, given: LikeBody) -> LikeBody:
    """Keep that a song is liked, disliked, or neither."""
    await service.call(_like, name, given)
    return given


def _like(library: Library, name: str, given: LikeBody) -> None:
    set_taste(library, _writable_name(library, name), library.track(given.track), given.taste)


@router.post("/profiles/{name:path}/plays", dependencies=[WRITES])
async def play(service: TheService, name: Name, given: PlayBody) -> Played:
    """Keep that a song was played, where enough of it was."""
    return Played(counted=await service.call(_play, name, given))


def _play(library: Library, name: str, given: PlayBody) -> bool:
    track = library.track(given.track)
    return record_play(library, _writable_name(library, name), track, given.played_s, now_s=time.time())


def _writable_name(library: Library, name: str) -> str:
    """A name that is there, or that a new profile may have."""
    return name if name in library.profiles() else check_name(name)


@router.get("/profiles/{name:path}")
async def profile(service: TheService, name: Name) -> ProfileWithTaste:
    """One listener, and what is liked, in groups of songs that sound alike."""
    return await service.call(_profile, name)


def _profile(library: Library, name: str) -> ProfileWithTaste:
    with library.snapshot():
        listens = listens_of(library, name)
        matched = match_listens(library, listens)
        disliked = {int(i) for i, row in zip(matched.ids, matched.rows, strict=True) if listens[row].taste < 0}
        groups = _groups(library, listens, disliked) if len(matched.ids) else []
    return ProfileWithTaste(
        name=shown(name),
        songs=len(listens),
        plays=sum(listen.plays for listen in listens),
        liked=sum(listen.taste > 0 for listen in listens),
        disliked=sum(listen.taste < 0 for listen in listens),
        held=len(matched.ids),
        groups=groups,
    )


def _groups(library: Library, listens: list[Listen], disliked: set[int]) -> list[Group]:
    taste = taste_of(library, listens, now_s=time.time(), long=LongTracks.of(library, library.index))
    nearest = nearest_tracks(library, taste, taste.known - disliked, n=_EXAMPLES)
    return [
        Group(weight=round(float(weight), 4), songs=[Track.of(track) for track in tracks])
        for weight, tracks in zip(taste.weights, nearest, strict=True)
    ]


@router.put("/profiles/{name:path}", dependencies=[WRITES])
async def make(service: TheService, name: Name) -> Profile:
    """Make a listener of whom nothing is known yet; one that is there stays."""
    return Profile(name=name, songs=await service.call(_make, name))


def _make(library: Library, name: str) -> int:
    library.add_profile(_writable_name(library, name))
    return library.profiles()[name]


@router.delete("/profiles/{name:path}", status_code=204, dependencies=[WRITES])
async def delete(service: TheService, name: Name) -> None:
    """Delete what is known of a listener; songs and their files stay."""
    if not await service.call(Library.delete_profile, name):
        raise Problem(404, f"no listener {shown(name)!r}")
