"""Sound and pictures: handlers say what is to be sent, which is done where no library is open."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request, Response

from mirclr.errors import NoMatch
from mirclr.serve.media import cover_response, sound_response
from mirclr.serve.problems import Problem
from mirclr.serve.service import Service
from mirclr.serve.subsonic.asked import Asked
from mirclr.serve.subsonic.playlists import SAVED, the_list, the_query
from mirclr.serve.subsonic.protocol import NOT_FOUND, Failure

_KINDS = {"mp3": "mp3", "opus": "opus", "ogg": "opus", "oga": "opus", "raw": "raw"}
_SIZE = (16, 2048)  # pixels of a cover
_TRIED = 4  # songs of an album, an artist or a list whose covers are looked for


@dataclass(frozen=True)
class Sound:
    """A song to be sent, as `mirclr.serve.media.sound_response` takes it."""

    track_id: int
    kind: str | None = None
    start_s: float = 0.0
    max_kbps: int | None = None

    async def response(self, service: Service, request: Request) -> Response:
        """The song's sound."""
        return await sound_response(
            service, request, self.track_id, kind=self.kind, start_s=self.start_s, max_kbps=self.max_kbps
        )


@dataclass(frozen=True)
class Cover:
    """A cover to be sent: that of the first of some songs that has one, of at most `side` pixels a side."""

    ids: Sequence[int]
    side: int | None

    async def response(self, service: Service, request: Request) -> Response:
        """The picture."""
        for track_id in self.ids:
            try:
                return await cover_response(service, request, track_id, self.side)
            except NoMatch:  # it is gone by now
                continue
            except Problem as problem:
                if problem.status != 404:
                    raise
        raise Failure(NOT_FOUND, "it has no cover")


def stream(asked: Asked) -> Sound:
    """A song's sound: its file where that will do, else in a form that plays everywhere, made while it is sent."""
    kbps = asked.given.number("maxBitRate", 0, most=10_000) or None
    start_s = float(asked.given.number("timeOffset", 0, most=10**7))
    return Sound(asked.track().id, _KINDS.get(asked.given.text("format").lower()), start_s, kbps)


def download(asked: Asked) -> Sound:
    """A song's file as it is."""
    return Sound(asked.track().id, "raw")


def get_cover_art(asked: Asked) -> Cover:
    """The cover of a song, of an album, of an artist's albums, or of a list's songs."""
    size = asked.given.number("size", 0) or None
    return Cover(_with_covers(asked), None if size is None else min(max(size, _SIZE[0]), _SIZE[1]))


def _with_covers(asked: Asked) -> Sequence[int]:
    text = asked.given.needed("id")
    if text.startswith(SAVED):
        return asked.made(the_query(asked, text)).ids[:_TRIED]
    if text.startswith("pl-"):
        return asked.library.song_list_ids(the_list(asked, text).id)[:_TRIED]
    if text.startswith("al-"):
        return asked.album().tracks[:_TRIED]
    if text.startswith("ar-"):
        return [asked.discography.album(key).tracks[0] for key in asked.artist().albums[:_TRIED]]
    return [asked.track().id]
