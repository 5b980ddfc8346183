"""Songs of the library as sound and pictures."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from mirclr.audio.streaming import MAX_PEAKS
from mirclr.serve.media import cover_response, peaks_of_song, sound_response
from mirclr.serve.service import TheService

router = APIRouter(tags=["media"])

_SOUND = {"content": {"audio/*": {}}, "description": "The sound."}
_PICTURE = {"content": {"image/*": {}}, "description": "The picture."}
_NO_PICTURE = {"description": "There is none, which is no problem."}
_BYTES = {"content": {"application/octet-stream": {}}, "description": "A byte a part, 255 is full scale."}


@router.head("/tracks/{track_id}/audio", include_in_schema=False)
@router.get("/tracks/{track_id}/audio", response_class=Response, responses={200: _SOUND, 206: _SOUND})
async def audio(
    service: TheService,
    request: Request,
    track_id: int,
    format: Literal["mp3", "opus"] | None = None,
    start_s: Annotated[float, Query(ge=0, allow_inf_nan=False)] = 0.0,
) -> Response:
    """Play a song.

    The file as it is, by byte ranges, where every browser plays it; else, or where a format or a start is asked for, it
    is made while it is sent: then it has no ranges, and is sought in by `start_s`.
    """
    return await sound_response(service, request, track_id, kind=format, start_s=start_s)


@router.head("/tracks/{track_id}/cover", include_in_schema=False)
@router.get("/tracks/{track_id}/cover", response_class=Response, responses={200: _PICTURE, 204: _NO_PICTURE})
async def cover(
    service: TheService,
    request: Request,
    track_id: int,
    size: Annotated[int | None, Query(ge=16, le=2048)] = None,
    none: Literal["empty"] | None = None,
) -> Response:
    """Show a song's cover: the picture in its file, or the one beside it; `size` is the longer side, in pixels.

    Where there is none, it is a problem, or with ``none=empty`` an answer without content.
    """
    return await cover_response(service, request, track_id, size, or_empty=none == "empty")


@router.get("/tracks/{track_id}/peaks", response_class=Response, responses={200: _BYTES})
async def peaks(service: TheService, track_id: int, n: Annotated[int, Query(ge=1, le=MAX_PEAKS)] = 800) -> Response:
    """Show how loud each of `n` equal parts of a song gets: a byte each, for a picture of its waveform."""
    data = await peaks_of_song(service, track_id, n)
    headers = {"Cache-Control": "private, max-age=86400"}
    return Response(data, media_type="application/octet-stream", headers=headers)
