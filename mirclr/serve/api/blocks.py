"""Blocks: rules of what is never listed, kept in the library."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from mirclr.api import Library
from mirclr.errors import NoMatch
from mirclr.library import LibraryTrack, shown
from mirclr.names import artist_name, is_album, known_artist
from mirclr.recommend import Rule, parse_rule, rule_effects
from mirclr.serve.api.recommend import Id
from mirclr.serve.guard import WRITES
from mirclr.serve.problems import Problem
from mirclr.serve.service import TheService

router = APIRouter(tags=["blocks"])

_MOST_RULES = 10_000


class Block(BaseModel):
    """A rule: of which kind, and its text."""

    rule: str
    kind: str
    text: str

    @classmethod
    def of(cls, text: str) -> "Block":
        """A rule as it is answered."""
        rule = parse_rule(text)
        return cls(rule=shown(text), kind=rule.kind, text=shown(rule.text))


class Blocked(Block):
    """A rule that was added, and what it keeps out, for people."""

    effect: str


class BlockBody(BaseModel):
    """A rule, or the id of a song: it, its artist, or its album is blocked."""

    model_config = ConfigDict(extra="forbid")

    rule: str | None = Field(None, max_length=1000)
    artist: Id | None = None
    album: Id | None = None
    track: Id | None = None


@router.get("/blocks")
async def blocks(service: TheService) -> list[Block]:
    """All rules."""
    return [Block.of(rule) for rule in (await service.call(Library.blocks))[:_MOST_RULES]]


@router.post("/blocks", status_code=201, dependencies=[WRITES])
async def block(service: TheService, given: BlockBody) -> Blocked:
    """Keep an artist, an album, a song, or what a rule names out of all lists."""
    return await service.call(_block, given)


def _block(library: Library, given: BlockBody) -> Blocked:
    rule = _rule(library, given)
    library.add_blocks([str(rule)])
    return Blocked(**Block.of(str(rule)).model_dump(), effect=rule_effects(library, [rule])[0])


def _rule(library: Library, given: BlockBody) -> Rule:
    named = given.model_dump(exclude_none=True)
    if len(named) != 1:
        raise Problem(422, f"found {', '.join(named) or 'nothing'}; expected one of rule, artist, album and track")
    ((kind, value),) = named.items()
    if kind == "rule":
        rule = parse_rule(value)
        if value.partition(":")[2].strip().startswith("~"):
            raise Problem(422, f"found {shown(value)}; expected a part of a path, without ~")
        return rule
    return rule_of(kind, library.track(value))


def rule_of(kind: str, track: LibraryTrack) -> Rule:
    """The rule that keeps out a track, its ``artist`` or its ``album``.

    Raises
    ------
    NoMatch
        The tags of the track do not name it.
    """
    if kind == "track":
        name = f"{track.artist or ''} {track.title}".strip() if track.title else track.path
        return Rule(kind, name)
    text = getattr(track, kind)
    if kind == "artist" and known_artist(text):
        return Rule(kind, _first_as_written(text))
    if kind == "album" and is_album(text):
        return Rule(kind, text)
    raise NoMatch(f"the tags of {track.label} name no {kind}")


def _first_as_written(text: str) -> str:
    """The artist that a text names first, as it writes the name where that can be found."""
    name, written = known_artist(text), text.split()
    starts = (" ".join(written[:n]).rstrip(" ,;/&") for n in range(1, len(written) + 1))
    return next((start for start in starts if artist_name(start) == name), name)


@router.delete("/blocks", status_code=204, dependencies=[WRITES])
async def unblock(service: TheService, rule: Annotated[str, Query(max_length=2000)]) -> None:
    """Remove a rule, as /blocks names it."""
    await service.call(_unblock, rule)


def _unblock(library: Library, text: str) -> None:
    kept = [rule for rule in library.blocks() if text in (rule, shown(rule))]
    if not library.remove_blocks(kept):
        raise Problem(404, f"no rule {shown(text)!r} is kept")
