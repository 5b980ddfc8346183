"""The map of the library: where songs lie, what their colours mean, clusters with names, songs that words mean."""

import hashlib
import threading
from base64 import b64encode
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from mirclr import map as maps
from mirclr.api import Library
from mirclr.serve.api.tracks import TheSongs
from mirclr.serve.ranges import is_held
from mirclr.serve.service import Service, TheService

router = APIRouter(tags=["map"])

By = Literal["genre", "mood", "year", "tempo", "album"]
_ALL = 1 << 31


class MapState(BaseModel):
    """What there is of the map: songs of the library, those that have a place, those that were laid out together.

    `version` changes with it.
    """

    songs: int
    placed: int
    unplaced: int
    together: int
    version: str


class Legend(BaseModel):
    """What a code means, and how many songs have it."""

    label: str
    songs: int


class MapColours(BaseModel):
    """A code for each placed song, one byte each in base64, in the order of `/map/ids`.

    254: another label than those of the legend, 255: not known. `scale`: `labels`, `ordered`, or `shared` by albums,
    which has no legend.
    """

    by: str
    scale: str
    legend: list[Legend]
    other: int
    unknown: int
    codes: str
    version: str


class MapCluster(BaseModel):
    """Songs that lie together, and what they share; `level` 0 is to be seen from afar, others have fewer."""

    name: str
    x: float
    y: float
    size: int
    level: int


class MapClusters(BaseModel):
    """Clusters, the largest of each level first."""

    clusters: list[MapCluster]
    version: str


class _Map:
    """The map of a library at one moment, with what is derived from it; may be used by many threads."""

    def __init__(self, library: Library) -> None:
        self.ids, self.points = library.map_points()
        digest = hashlib.blake2b(self.ids.tobytes() + self.points.tobytes(), digest_size=12)
        self.version = digest.hexdigest()
        self._colours: dict[str, maps.Colours] = {}
        self._clusters: list[maps.Cluster] | None = None
        self._lock = threading.Lock()

    def colours(self, library: Library, by: str) -> maps.Colours:
        with self._lock:
            if by not in self._colours:
                self._colours[by] = maps.colours_by(library, by, self.ids)
            return self._colours[by]

    def clusters(self, library: Library) -> list[maps.Cluster]:
        with self._lock:
            if self._clusters is None:
                facts = [maps.look_up(library, kind, self.ids) for kind in maps.NAMING]
                self._clusters = maps.find_clusters(self.points, facts)
            return self._clusters


_maps: WeakKeyDictionary[Service, tuple[object, _Map]] = WeakKeyDictionary()
_lock = threading.Lock()


def _map_of(service: Service, library: Library) -> _Map:
    """The map as it is now; read by one thread while the others wait."""
    version = (
        *(library.map_version, library.tracks_version),
        *(library.descriptions_version, library.probabilities_version),
    )
    with _lock:
        held = _maps.get(service)
        if held is None or held[0] != version:
            with library.snapshot():
                held = _maps[service] = version, _Map(library)
        return held[1]


@router.get("/map")
async def state(service: TheService) -> MapState:
    """What there is of the map."""

    def found(library: Library) -> MapState:
        held = _map_of(service, library)
        unplaced = library.count_without_map_point()
        return MapState(
            songs=len(held.ids) + unplaced,
            placed=len(held.ids),
            unplaced=unplaced,
            together=min(library.laid_out_together, len(held.ids)),
            version=held.version,
        )

    return await service.call(found)


@router.get("/map/points", response_class=Response)
async def points(service: TheService, request: Request) -> Response:
    """Where the placed songs lie: x and y of each in [-1, 1], float32, little-endian, in the order of `/map/ids`."""
    held = await service.call(lambda library: _map_of(service, library))
    return _binary(request, held.points.astype("<f4"), held.version)


@router.get("/map/ids", response_class=Response)
async def ids(service: TheService, request: Request) -> Response:
    """The ids of the placed songs, ascending: uint32, little-endian."""
    held = await service.call(lambda library: _map_of(service, library))
    return _binary(request, held.ids.astype("<u4"), held.version)


@router.get("/map/colours")
async def colours(service: TheService, by: By = "genre") -> MapColours:
    """What the placed songs are, as codes of a legend."""

    def found(library: Library) -> MapColours:
        held = _map_of(service, library)
        made = held.colours(library, by)
        return MapColours(
            by=made.by,
            scale=made.scale,
            legend=[Legend(label=label, songs=songs) for label, songs in made.legend],
            other=made.other,
            unknown=made.unknown,
            codes=b64encode(made.codes.tobytes()).decode(),
            version=held.version,
        )

    return await service.call(found)


@router.get("/map/clusters")
async def clusters(service: TheService) -> MapClusters:
    """Where songs lie densely, named by what they share."""

    def found(library: Library) -> MapClusters:
        held = _map_of(service, library)
        made = [MapCluster(**vars(cluster)) for cluster in held.clusters(library)]
        return MapClusters(clusters=made, version=held.version)

    return await service.call(found)


@router.get("/map/matches", response_class=Response)
async def matches(service: TheService, asked: TheSongs) -> Response:
    """The ids of all songs that words and filters mean, ascending, on the map or not: uint32, little-endian."""
    found = await service.call(lambda library: asked.page(service, library, limit=_ALL)[1])
    held = np.sort(np.array(found, "<u4"))
    return Response(held.tobytes(), media_type="application/octet-stream")


def _binary(request: Request, values: np.ndarray, version: str) -> Response:
    """Values as they are in memory; 304 where the client has them."""
    tag = f'"{version}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if is_held(request.headers, tag):
        return Response(status_code=304, headers=headers)
    return Response(values.tobytes(), media_type="application/octet-stream", headers=headers)
