"""Songs of the library: one, a part of all in some order, and those that a text means as it is typed."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from mirclr import recommend
from mirclr.api import Library
from mirclr.library import Description, LibraryTrack, shown
from mirclr.recommend.catalogue import Name
from mirclr.serve.problems import Problem
from mirclr.serve.service import Service, TheService

router = APIRouter(tags=["tracks"])

TrackId = Annotated[int, Query(ge=0, lt=1 << 63)]
Text = Annotated[str, Query(max_length=300)]
Texts = Annotated[list[Text], Query(max_length=50)]
Sort = Literal["title", "artist", "album", "year", "duration", "tempo", "added"]
_FOUND = 8


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
        return cls(**_fields_of(track))


def _fields_of(track: LibraryTrack) -> dict[str, Any]:
    return {
        "id": track.id,
        "title": shown(track.title or track.place.name),
        "artist": track.artist and shown(track.artist),
        "album": track.album and shown(track.album),
        "genre": track.genre and shown(track.genre),
        "year": track.year,
        "duration_s": round(track.duration_s, 3),
        "path": shown(track.path),
    }


@dataclass(frozen=True)
class AskedSongs:
    """Which songs are asked for: by words, of an artist or an album, and by the filters of lists."""

    text: str
    artist: str | None
    album: str | None
    filters: recommend.Query | None

    def page(self, service: Service, library: Library, **how: Any) -> tuple[int, list[int]]:
        """How many there are, and the ids of a part of them, as `Catalogue.page` takes it."""
        passing = library.filters.passing(self.filters) if self.filters else None
        catalogue = service.catalogue_of(library)
        return catalogue.page(text=self.text, artist=self.artist, album=self.album, passing=passing, **how)


async def asked_songs(
    q: Text = "",
    artist: Text | None = None,
    album: Text | None = None,
    genre: Texts = [],  # noqa: B006
    mood: Texts = [],  # noqa: B006
    vocal: bool | None = None,
    bpm: Text | None = None,
    key: Text | None = None,
    year: Text | None = None,
    duration_s: Text | None = None,
) -> AskedSongs:
    """Which songs the parameters of a route ask for; a dependency."""
    given = {"genre": genre, "mood": mood, "bpm": bpm, "key": key, "year": year, "duration_s": duration_s}
    filters: dict[str, Any] = {name: value for name, value in given.items() if value}
    filters |= {} if vocal is None else {"vocal": vocal}
    return AskedSongs(q, artist, album, recommend.Query.of(**filters) if filters else None)


TheSongs = Annotated[AskedSongs, Depends(asked_songs)]
"""The type of a route's parameter that is which songs are asked for."""


class ListedTrack(Track):
    """A song of a list, with what can be sorted by."""

    tempo_bpm: float | None
    key: str | None


class TrackPage(BaseModel):
    """A part of the songs that were asked for; `total`: how many there are."""

    total: int
    offset: int
    tracks: list[ListedTrack]


class WholeTrack(ListedTrack):
    """All that is known of a song; labels: how sure `mirclr classify` is of each, in [0, 1]."""

    loudness_lufs: float | None
    key_strength: float | None
    genres: dict[str, float]
    moods: dict[str, float]
    voice: dict[str, float]
    sound: dict[str, float]
    instruments: dict[str, float]
    album_artist: str | None
    track_number: int | None
    disc_number: int | None
    added_s: float | None
    remark: str | None


class Artist(BaseModel):
    """An artist, and how many songs there are."""

    name: str
    songs: int


class Album(BaseModel):
    """An album; `artist` where all of it is of one; `cover_of`: a song that may have its cover."""

    name: str
    artist: str | None
    songs: int
    cover_of: int


class Found(BaseModel):
    """What a text may mean."""

    songs: list[Track]
    artists: list[Artist]
    albums: list[Album]


def check_page(service: Service, name: str, rows: int) -> None:
    """Refuse a page of more rows than one may have; `name`: what asks for it."""
    if rows > service.settings.limits.page:
        raise Problem(422, f"{name}: found {rows}; expected at most {service.settings.limits.page}")


@router.get("/tracks")
async def tracks(
    service: TheService,
    asked: TheSongs,
    ids: Annotated[str | None, Query(max_length=10_000, pattern=r"^\d{1,18}(,\d{1,18})*$")] = None,
    sort: Sort = "artist",
    desc: bool = False,
    offset: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
    limit: Annotated[int, Query(ge=0)] = 100,
) -> TrackPage:
    """A part of the songs that pass the filters, which are those of lists, in an order; or those of some ids."""
    check_page(service, "limit", limit)
    if ids is not None:
        wanted = [int(i) for i in ids.split(",")]
        check_page(service, "ids", len(wanted))
        listed = await service.call(_listed, wanted)
        return TrackPage(total=len(listed), offset=0, tracks=listed)

    def page(library: Library) -> TrackPage:
        total, found = asked.page(service, library, sort=sort, descending=desc, offset=offset, limit=limit)
        return TrackPage(total=total, offset=offset, tracks=_listed(library, found))

    return await service.call(page)


def _listed(library: Library, ids: list[int]) -> list[ListedTrack]:
    described = library.descriptions(ids)
    return [
        ListedTrack(
            **_fields_of(track),
            tempo_bpm=(about := described.get(track.id, _UNDESCRIBED)).tempo_bpm,
            key=about.key,
        )
        for track in library.tracks(ids)
    ]


_UNDESCRIBED = Description(None, None, 0.0, None)


@router.get("/tracks/{track_id}")
async def track(service: TheService, track_id: int) -> WholeTrack:
    """All that is known of one song."""
    return await service.call(_whole, track_id)


def _whole(library: Library, track_id: int) -> WholeTrack:
    with library.snapshot():
        track = library.track(track_id)
        described = library.descriptions([track_id]).get(track_id)
        about = described or _UNDESCRIBED
        return WholeTrack(
            **_fields_of(track),
            tempo_bpm=about.tempo_bpm,
            key=about.key,
            key_strength=about.key_strength if described else None,
            loudness_lufs=about.loudness_lufs,
            genres=_labels(library, "genre", track_id),
            moods=_labels(library, "mood", track_id),
            voice=_labels(library, "voice", track_id),
            sound=_labels(library, "sound", track_id),
            instruments=_labels(library, "instrument", track_id),
            album_artist=track.album_artist and shown(track.album_artist),
            track_number=track.track_number,
            disc_number=track.disc_number,
            added_s=track.added_s,
            remark=track.remark and shown(track.remark),
        )


def _labels(library: Library, task: str, track_id: int) -> dict[str, float]:
    found = library.probabilities(task, [track_id]).get(track_id, {})
    return {shown(label): round(p, 4) for label, p in sorted(found.items(), key=lambda one: -one[1])}


@router.get("/search")
async def search(service: TheService, q: Text = "", limit: Annotated[int, Query(ge=1, le=50)] = _FOUND) -> Found:
    """The songs, artists and albums that a text may mean, while it is typed."""

    def found(library: Library) -> Found:
        catalogue = service.catalogue_of(library)
        songs = library.tracks(catalogue.songs(q, limit))
        return Found(
            songs=[Track.of(song) for song in songs],
            artists=[Artist(name=shown(one.name), songs=one.songs) for one in catalogue.artists(q, limit)],
            albums=[_album(one) for one in catalogue.albums(q, limit)],
        )

    return await service.soon(found)


def _album(one: Name) -> Album:
    return Album(name=shown(one.name), artist=one.artist and shown(one.artist), songs=one.songs, cover_of=one.first)
