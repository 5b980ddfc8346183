"""All that players can ask, by name; and the one route for it."""

import logging
from collections.abc import Callable

from fastapi import APIRouter, FastAPI, Request, Response

from mirclr.api import Library
from mirclr.errors import MirclrError, NoMatch, in_words, is_fault_of_machine
from mirclr.serve.problems import Problem
from mirclr.serve.service import Service, TheService
from mirclr.serve.sessions import TheSessions
from mirclr.serve.subsonic import alike, browsing, listening, lists, playlists, searching, sound, system
from mirclr.serve.subsonic.asked import Asked, Players
from mirclr.serve.subsonic.login import listener_of
from mirclr.serve.subsonic.protocol import (
    GENERIC,
    NOT_ALLOWED,
    NOT_FOUND,
    Failure,
    Parameters,
    Values,
    answered,
    refused,
)
from mirclr.serve.subsonic.sound import Cover, Sound
from mirclr.terminal import shown

log = logging.getLogger("mirclr.serve")

Handler = Callable[[Asked], Values | Sound | Cover]

READING: dict[str, Handler] = {
    "ping": system.ping,
    "getLicense": system.get_license,
    "getMusicFolders": system.get_music_folders,
    "getScanStatus": system.get_scan_status,
    "getUser": system.get_user,
    "getUsers": system.get_users,
    "tokenInfo": system.token_info,
    "getAlbum": browsing.get_album,
    "getArtist": browsing.get_artist,
    "getArtists": browsing.get_artists,
    "getGenres": browsing.get_genres,
    "getIndexes": browsing.get_indexes,
    "getMusicDirectory": browsing.get_music_directory,
    "getSong": browsing.get_song,
    "getAlbumList": lists.get_album_list,
    "getAlbumList2": lists.get_album_list2,
    "getRandomSongs": lists.get_random_songs,
    "getSongsByGenre": lists.get_songs_by_genre,
    "getStarred": lists.get_starred,
    "getStarred2": lists.get_starred2,
    "getTopSongs": lists.get_top_songs,
    "getNowPlaying": listening.get_now_playing,
    "search2": searching.search2,
    "search3": searching.search3,
    "getAlbumInfo": alike.get_album_info,
    "getAlbumInfo2": alike.get_album_info,
    "getArtistInfo": alike.get_artist_info,
    "getArtistInfo2": alike.get_artist_info2,
    "getSimilarSongs": alike.get_similar_songs,
    "getSimilarSongs2": alike.get_similar_songs2,
    "getSonicSimilarTracks": alike.get_sonic_similar_tracks,
    "findSonicPath": alike.find_sonic_path,
    "getPlaylist": playlists.get_playlist,
    "getPlaylists": playlists.get_playlists,
    "download": sound.download,
    "getCoverArt": sound.get_cover_art,
    "stream": sound.stream,
}
WRITING: dict[str, Handler] = {
    "createPlaylist": playlists.create_playlist,
    "deletePlaylist": playlists.delete_playlist,
    "scrobble": listening.scrobble,
    "star": listening.star,
    "unstar": listening.unstar,
    "updatePlaylist": playlists.update_playlist,
}
OPEN = "getOpenSubsonicExtensions"  # what needs no password: by it players find out how to log in

router = APIRouter()


def install(app: FastAPI) -> None:
    """Answer players below ``/rest``."""
    app.state.players = Players()
    app.include_router(router, prefix="/rest", include_in_schema=False)


@router.api_route("/{name}", methods=["GET", "POST", "HEAD"])
async def answer(service: TheService, sessions: TheSessions, request: Request, name: str) -> Response:
    """Answer a player."""
    response = await _answer(service, sessions, request, name.removesuffix(".view"))
    if service.settings.token is not None:  # which each request states: no page of another site can use a cookie here
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Access-Control-Expose-Headers"] = "Accept-Ranges, Content-Length, Content-Range"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


@router.options("/{name}")
async def preflight(service: TheService, name: str) -> Response:
    """Let the pages of other sites ask, where each request states the password."""
    if service.settings.token is None:
        return Response(status_code=403)
    allowed = {"Access-Control-Allow-Methods": "GET, POST, HEAD", "Access-Control-Allow-Headers": "*"}
    return Response(status_code=204, headers=allowed | {"Access-Control-Allow-Origin": "*"})


async def _answer(service: Service, sessions: TheSessions, request: Request, name: str) -> Response:
    form = request.query_params.get("f", "xml")
    try:
        given = await Parameters.of(request)
        form = given.text("f", "xml")
        if form not in ("xml", "json"):
            raise Failure(GENERIC, f"f: found {shown(form[:20])!r}; expected xml or json")
        if name == OPEN:
            return answered(system.get_extensions(), form)
        listener = listener_of(request, given, service.settings, sessions)
        handler = _handler(name, service)
        players: Players = request.app.state.players

        def handled(library: Library) -> Values | Sound | Cover:
            return handler(Asked(library, service, players, listener, given))

        async with players.slots:
            found = await service.call(handled)
        if isinstance(found, Sound | Cover):
            return await found.response(service, request)
        return answered(found, form)
    except (Failure, Problem, MirclrError, OSError) as error:
        return refused(_failure(error), form)


def _handler(name: str, service: Service) -> Handler:
    if name in system.NOTHING:
        return lambda _: system.NOTHING[name]
    if handler := READING.get(name):
        return handler
    if name not in WRITING:
        raise Failure(GENERIC, f"mirclr has no {shown(name[:40])}")
    if service.settings.read_only:
        raise Failure(NOT_ALLOWED, "nothing is written here: mirclr serve was begun with --read-only")
    return WRITING[name]


def _failure(error: Exception) -> Failure:
    """What an error is to a player; raises it where HTTP has a better word for it."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, Problem):
        if error.status == 404:
            return Failure(NOT_FOUND, error.detail)
        if error.status != 422:
            raise error
        return Failure(GENERIC, error.detail)
    if isinstance(error, NoMatch):
        return Failure(NOT_FOUND, in_words(error))
    if is_fault_of_machine(error):
        raise error
    return Failure(GENERIC, in_words(error))
