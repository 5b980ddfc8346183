"""Playlists: lists of songs that a person put together, and queries that are listed anew; and files of both."""

import os
import re
import time
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from mirclr.api import Library
from mirclr.errors import NoMatch
from mirclr.library import LibraryTrack, SongList, shown
from mirclr.recommend import Query
from mirclr.recommend.listening import check_name
from mirclr.recommend.playlist import playlist_bytes
from mirclr.recommend.saved import save_query, saved_queries
from mirclr.recommend.seeds import held_seeds, named_seeds, without_files
from mirclr.recommend.words import wish_in_words
from mirclr.serve.api.recommend import Id, QueryBody, check_size
from mirclr.serve.api.tracks import Track
from mirclr.serve.guard import WRITES
from mirclr.serve.problems import Problem
from mirclr.serve.service import TheService

router = APIRouter(tags=["playlists"])

Kind = Literal["songs", "query"]
Name = Annotated[str, Field(max_length=200)]
_MOST_SONGS = 10_000
_MEDIA = {"m3u8": "audio/x-mpegurl", "xspf": "application/xspf+xml", "jspf": "application/json"}


class Playlist(BaseModel):
    """A playlist without its songs: `songs` of a person's own, or those that a `query` gives whenever it is asked."""

    name: str
    kind: Kind
    words: str
    songs: int | None = None
    duration_s: float | None = None
    changed_s: float | None = None

    @classmethod
    def of(cls, held: SongList) -> "Playlist":
        """A list of songs as it is answered."""
        return cls(
            name=shown(held.name),
            kind="songs",
            words=shown(held.comment),
            songs=held.songs,
            duration_s=round(held.duration_s, 3),
            changed_s=held.changed_s,
        )


class PlaylistWithSongs(Playlist):
    """A playlist with its songs; of a query those of now, what it asks, and remarks for people."""

    tracks: list[Track]
    query: dict[str, Any] | None = None
    remarks: list[str] = []


class PlaylistBody(BaseModel):
    """What is to be kept: the songs in order, or a query."""

    model_config = ConfigDict(extra="forbid")

    tracks: list[Id] | None = Field(None, max_length=_MOST_SONGS)
    query: QueryBody | None = None
    comment: str | None = Field(None, max_length=2000)
    rename: Name | None = Field(None, description="Another name for it.")


@router.get("/playlists")
async def playlists(service: TheService) -> list[Playlist]:
    """All playlists, by name."""
    return await service.call(_playlists)


def _playlists(library: Library) -> list[Playlist]:
    with library.snapshot():
        found = [Playlist.of(held) for held in library.song_lists()]
        for name, saved in saved_queries(library).items():
            words = wish_in_words(named_seeds(library, Query.from_json(saved["query"])))
            found.append(Playlist(name=shown(name), kind="query", words=shown(words)))
    return sorted(found, key=lambda one: (one.name.casefold(), one.kind))


@router.get("/playlists/{name:path}")
async def playlist(service: TheService, name: Name, kind: Kind | None = None) -> PlaylistWithSongs:
    """One playlist with its songs; a query is listed anew."""
    return await service.call(_playlist, name, kind)


def _playlist(library: Library, name: str, kind: Kind | None) -> PlaylistWithSongs:
    if kind != "query" and (held := library.find_song_list(name)):
        with library.snapshot():
            tracks = library.tracks(library.song_list_ids(held.id))
        return PlaylistWithSongs(**Playlist.of(held).model_dump(), tracks=[Track.of(track) for track in tracks])
    if kind == "songs" or name not in (saved := saved_queries(library)):
        raise _missing(name)
    asked = saved[name]["query"]
    query = Query.from_json(asked)
    words = wish_in_words(named_seeds(library, query))
    answer = library.answer(without_files(library, held_seeds(library, query)))
    tracks = [r.track for r in answer.recommendations]
    return PlaylistWithSongs(
        name=shown(name),
        kind="query",
        words=shown(words),
        songs=len(tracks),
        duration_s=round(sum(track.duration_s for track in tracks), 3),
        tracks=[Track.of(track) for track in tracks],
        query=_shown_json(asked),
        remarks=answer.remarks,
    )


def _missing(name: str) -> Problem:
    return Problem(404, f"no playlist {shown(name)!r} is kept in your library")


def _shown_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {shown(str(key)): _shown_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_shown_json(one) for one in value]
    return shown(value) if isinstance(value, str) else value


@router.put("/playlists/{name:path}", dependencies=[WRITES])
async def keep(service: TheService, name: Name, given: PlaylistBody) -> Playlist:
    """Keep songs in order, or a query, under a name; what is not given of one that is there stays."""
    if given.tracks is not None and given.query is not None:
        raise Problem(422, "found songs and a query; expected one of them")
    if given.query is not None:
        check_size(service, given.query)
        return await service.call(_keep_query, name, given.query.query())
    return await service.call(_keep_songs, name, given)


def _keep_query(library: Library, name: str, query: Query) -> Playlist:
    check_name(name)
    if library.find_song_list(name):
        raise Problem(409, f"there is a list of songs called {shown(name)} already; choose another name")
    query = without_files(library, query)
    save_query(library, name, query)
    return Playlist(name=name, kind="query", words=shown(wish_in_words(named_seeds(library, query))))


def _keep_songs(library: Library, name: str, given: PlaylistBody) -> Playlist:
    held, now_s = library.find_song_list(name), time.time()
    if given.rename is not None or held is None:
        check_name(new := given.rename or name)
        if new in library.playlists():
            raise Problem(409, f"there is a saved query called {shown(new)} already; choose another name")
    if held is None and given.tracks is None:
        raise _missing(name)
    if held is None:
        list_id = library.add_song_list(new, given.tracks or (), now_s=now_s, comment=given.comment or "")
    else:
        list_id = held.id
        library.change_song_list(list_id, now_s=now_s, ids=given.tracks, name=given.rename, comment=given.comment)
    stored = library.song_list(list_id)
    assert stored is not None
    return Playlist.of(stored)


@router.delete("/playlists/{name:path}", status_code=204, dependencies=[WRITES])
async def delete(service: TheService, name: Name, kind: Kind | None = None) -> None:
    """Delete a playlist; its songs stay."""
    await service.call(_delete, name, kind)


def _delete(library: Library, name: str, kind: Kind | None) -> None:
    held = library.find_song_list(name) if kind != "query" else None
    deleted = library.delete_song_list(held.id) if held else kind != "songs" and library.delete_playlist(name)
    if not deleted:
        raise _missing(name)


class ExportBody(BaseModel):
    """Songs in order, and what their list is called."""

    model_config = ConfigDict(extra="forbid")

    name: Name = "playlist"
    tracks: list[Id] = Field(max_length=_MOST_SONGS)


@router.post("/export", response_class=Response)
async def export(
    service: TheService,
    given: ExportBody,
    format: Literal["m3u8", "xspf", "jspf"] = "m3u8",
    paths: Literal["absolute", "relative"] = "absolute",
) -> Response:
    """A file of songs for players of this machine; with `relative` paths, to be put into the folder of the music."""
    tracks = await service.call(Library.tracks, given.tracks)
    if not tracks:
        raise NoMatch("none of these songs is in the library")
    data = playlist_bytes(
        f".{format}", tracks, title=given.name, folder=_common_folder(tracks) if paths == "relative" else None
    )
    return Response(data, media_type=_MEDIA[format], headers={"Content-Disposition": _disposition(given.name, format)})


def _common_folder(tracks: list[LibraryTrack]) -> str | None:
    try:
        return os.path.commonpath([track.root for track in tracks])
    except ValueError:  # on several drives of Windows
        return None


def _disposition(name: str, suffix: str) -> str:
    """The header by which a browser names a file: as text of ASCII, and in full (RFC 6266)."""
    plain = " ".join(re.sub(r"[/\\:*?\"<>|]", "-", shown(name)).split()) or "playlist"
    in_ascii = "".join(c if c.isascii() and c != "%" else "_" for c in plain)
    return f"attachment; filename=\"{in_ascii}.{suffix}\"; filename*=UTF-8''{quote(plain, safe='')}.{suffix}"
