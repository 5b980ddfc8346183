"""Songs of the library: one."""

from fastapi import APIRouter
from pydantic import BaseModel

from mirclr.api import Library
from mirclr.library import LibraryTrack, shown
from mirclr.serve.problems import Problem
from mirclr.serve.service import TheService

router = APIRouter(tags=["tracks"])


class Track(BaseModel):
    """A song of the library; `path` is below its folder, for people to read."""

    id: int
    title: str
    artist: str | None
    album: str | None
    genre: str | None
    year: int | None
    duration_s: float
    path: str

    @classmethod
    def of(cls, track: LibraryTrack) -> "Track":
        """The song of a library as it is answered."""
        title = track.title or track.place.name
        return cls(
            id=track.id,
            title=shown(title),
            artist=track.artist and shown(track.artist),
            album=track.album and shown(track.album),
            genre=track.genre and shown(track.genre),
            year=track.year,
            duration_s=round(track.duration_s, 3),
            path=shown(track.path),
        )


@router.get("/tracks/{track_id}")
async def track(service: TheService, track_id: int) -> Track:
    """One song."""
    return Track.of(await service.call(_track, track_id))


def _track(library: Library, track_id: int) -> LibraryTrack:
    if not (found := library.tracks([track_id])):
        raise Problem(404, f"no song of the library has the id {track_id}")
    return found[0]
