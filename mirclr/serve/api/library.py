"""The library as a whole: what it holds, its folders, what could not be read, what is there twice, the last report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from mirclr.api import Library
from mirclr.ingest.near_duplicates import copies, groups
from mirclr.library import shown
from mirclr.library.files import absence, is_gone
from mirclr.library.kept_files import report_page_of
from mirclr.recommend.counts import most_likely
from mirclr.serve.api.tracks import Track, check_page
from mirclr.serve.problems import Problem
from mirclr.serve.service import Service, TheService

if TYPE_CHECKING:
    from mirclr.evaluation.report.values import Histogram

router = APIRouter(tags=["library"])

Offset = Annotated[int, Query(ge=0, lt=1 << 31)]
Limit = Annotated[int, Query(ge=0)]
_BARS = 12  # genres, or moods
_REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"


class Bar(BaseModel):
    """How many songs have something."""

    label: str
    songs: int


class Stats(BaseModel):
    """What the library holds, as `mirclr library info` and the report count it."""

    songs: int
    artists: int
    albums: int
    hours: float
    bytes: int = Field(description="Size of all files.")
    failures: int = Field(description="Files that could not be read.")
    remarks: int = Field(description="Songs that play with a fault.")
    without_year: int
    without_genre: int
    described: int = Field(description="Songs of which tempo, key, beats and chords were looked for.")
    guessed: int = Field(description="Songs of which moods were guessed.")
    fingerprints: int = Field(description="Songs that can be found by a recording of them.")
    copied: int = Field(description="Songs that are there more than once.")
    looked_for_copies: bool
    reported_s: float | None = Field(description="When the last report was made, in seconds since 1970.")
    encoder: str | None
    decades: list[Bar]
    genres: list[Bar] = Field(description="The most frequent, counted as filters do: a song may be of several.")
    moods: list[Bar] = Field(description="As genres.")
    tempos: list[Bar]


class Folder(BaseModel):
    """A folder of the library; a job may name it by its number."""

    number: int
    path: str
    songs: int
    absence: str | None = Field(description='Why nothing can be known of its files just now: "is not there".')
    excluded: list[str] = Field(description="Patterns of what is left out.")


class Failed(BaseModel):
    """A file that could not be read, or a song that plays with a fault."""

    file: str
    reason: str
    what_to_do: str
    track: int | None = Field(description="The song that plays with a fault.")


class FailurePage(BaseModel):
    """A part of the files that could not be read, and then of the songs that play with a fault."""

    total: int
    offset: int
    failures: list[Failed]


class Copy(BaseModel):
    """One of the files that are one recording."""

    track: Track
    likelihood: float
    best: bool = Field(description="Whether it is the longest lossless file, or else the one of the highest bitrate.")
    format: str
    folder: str


class DuplicatePage(BaseModel):
    """A part of the recordings that are there more than once, each with its files."""

    total: int
    offset: int
    looked: bool = Field(description="Whether songs were ever compared; a job `duplicates` does it.")
    groups: list[list[Copy]]


@router.get("/stats")
async def stats(service: TheService) -> Stats:
    """What the library holds, by genre, mood, decade and tempo."""
    return await service.call(_stats, service)


@router.get("/folders")
async def folders(service: TheService) -> list[Folder]:
    """The library's folders."""
    return await service.call(_folders)


@router.get("/failures")
async def failures(service: TheService, offset: Offset = 0, limit: Limit = 100) -> FailurePage:
    """Files that could not be read, and songs that play with a fault, each with why and what to do."""
    check_page(service, "limit", limit)
    return await service.call(_failures, offset, limit)


@router.get("/duplicates")
async def duplicates(service: TheService, offset: Offset = 0, limit: Limit = 20) -> DuplicatePage:
    """Recordings that are there more than once, as the last job `duplicates` found them."""
    check_page(service, "limit", limit)
    return await service.call(_duplicates, offset, limit)


@router.get("/report", response_class=HTMLResponse)
async def report(service: TheService) -> HTMLResponse:
    """The page of the last job `report`: a document that runs nothing."""
    page = await service.call(_report)
    return HTMLResponse(page, headers={"Content-Security-Policy": _REPORT_POLICY, "X-Frame-Options": "SAMEORIGIN"})


def _stats(library: Library, service: Service) -> Stats:
    with library.snapshot():
        info = library.info()
        of = service.counts_of(library)
        copied = len(groups(library.near_duplicates()))
        fingerprints = library.fingerprint_count()
        genres, moods = (most_likely(library.filters, task, _BARS) for task in ("genre", "mood"))
        looked = bool(library.near_duplicates(at_least=0))
        described = len(library.with_outline() & library.with_aspects())
    return Stats(
        songs=info["tracks"],
        artists=info["artists"],
        albums=info["albums"],
        hours=round(info["hours"], 2),
        failures=info["failures"],
        remarks=info["remarks"],
        encoder=info["encoder"] and shown(info["encoder"]["name"]),
        guessed=of.mood_known,
        fingerprints=fingerprints,
        copied=copied,
        looked_for_copies=looked,
        reported_s=_made_s(report_page_of(library.path)),
        bytes=of.bytes,
        without_year=of.without_year,
        without_genre=of.without_genre,
        described=described,
        decades=_bars(of.decades),
        genres=[Bar(label=shown(one.value), songs=one.songs) for one in genres],
        moods=[Bar(label=shown(one.value), songs=one.songs) for one in moods],
        tempos=_bars(of.tempos),
    )


def _bars(histogram: "Histogram | None") -> list[Bar]:
    if histogram is None:
        return []
    return [Bar(label=shown(label), songs=n) for label, n in zip(histogram.labels, histogram.counts, strict=True)]


def _folders(library: Library) -> list[Folder]:
    excluded = library.exclusions()
    return [
        Folder(
            number=number,
            path=shown(root),
            songs=n,
            absence=absence(Path(root)),
            excluded=[shown(pattern) for pattern in excluded.get(root, ())],
        )
        for number, (root, n) in enumerate(library.roots().items())
    ]


def _failures(library: Library, offset: int, limit: int) -> FailurePage:
    with library.snapshot():
        failed = library.failures()
        damaged = library.damaged()
    page = [
        Failed(
            file=shown(str(one.file)),
            reason=shown(one.why),
            what_to_do=_GONE if is_gone(one.file) else _UNREADABLE,
            track=None,
        )
        for one in failed[offset : offset + limit]
    ]
    start, stop = (max(0, end - len(failed)) for end in (offset, offset + limit))
    page += [
        Failed(file=shown(str(t.place)), reason=shown(t.remark or ""), what_to_do=_DAMAGED, track=t.id)
        for t in damaged[start:stop]
    ]
    return FailurePage(total=len(failed) + len(damaged), offset=offset, failures=page)


_GONE = "It is not there any more: bring the library up to date, and it is forgotten."
_UNREADABLE = "See whether it plays elsewhere; obtain it again, or mend what the reason says, and try again."
_DAMAGED = "It plays, and is recommended; obtain it again to have all of it."


def _duplicates(library: Library, offset: int, limit: int) -> DuplicatePage:
    with library.snapshot():
        found = copies(library, library.near_duplicates())
        looked = bool(library.near_duplicates(at_least=0))
    page = [
        [
            Copy(
                track=Track.of(copy.track),
                likelihood=round(copy.likelihood, 3),
                best=copy.best,
                format=shown(copy.track.file.suffix.lower().lstrip(".")),
                folder=shown(copy.track.root),
            )
            for copy in group
        ]
        for group in found[offset : offset + limit]
    ]
    return DuplicatePage(total=len(found), offset=offset, looked=looked, groups=page)


def _made_s(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return None


def _report(library: Library) -> bytes:
    try:
        return report_page_of(library.path).read_bytes()
    except FileNotFoundError:
        raise Problem(404, "there is no report yet; a job `report` makes one") from None
