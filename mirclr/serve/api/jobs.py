"""Long work on the library, and the events that report how far it is."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from mirclr.api import Library
from mirclr.serve.guard import WRITES
from mirclr.serve.jobs import Job, Jobs, Kind
from mirclr.serve.problems import Problem
from mirclr.serve.service import TheService

router = APIRouter(tags=["jobs"])


async def jobs_of(request: Request) -> Jobs:
    """The jobs of the application that was asked; a dependency of routes."""
    jobs: Any = request.app.state.jobs
    assert isinstance(jobs, Jobs)
    return jobs


TheJobs = Annotated[Jobs, Depends(jobs_of)]
Number = Annotated[int, Path(ge=1, le=2**53)]


class JobRequest(BaseModel):
    """What is to be done."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    folder: int | None = Field(None, description="The number of a folder, as /folders has it; all unless given.")
    retry: bool = Field(False, description="Of embed and sync: try again files that could not be read before.")
    yes: bool = Field(False, description="Of sync: take songs out even where they are most of a folder's.")
    again: bool = Field(False, description="Of describe: also songs that were described before; of map: draw it anew.")


@router.post("/jobs", status_code=202, dependencies=[WRITES])
async def begin_job(service: TheService, jobs: TheJobs, asked: JobRequest) -> Job:
    """Begin long work; it waits until what was begun before is over."""
    options = asked.model_dump(include={"retry", "yes", "again"}, exclude_defaults=True)
    if asked.folder is not None:
        options["folders"] = [await service.call(_folder, asked.folder)]
    return jobs.submit(asked.kind, options)


@router.get("/jobs")
async def all_jobs(jobs: TheJobs) -> list[Job]:
    """What runs, waits, and was done since the service began; the newest first."""
    return jobs.all()


@router.get("/jobs/{number}")
async def one_job(jobs: TheJobs, number: Number) -> Job:
    """One piece of work."""
    return jobs.job(number)


@router.delete("/jobs/{number}", dependencies=[WRITES])
async def cancel_job(jobs: TheJobs, number: Number) -> Job:
    """End a piece of work; what it has done is kept."""
    return jobs.cancel(number)


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events `job`, each with a Job."}},
)
async def events(jobs: TheJobs) -> StreamingResponse:
    """Each job as it is now, and again whenever it changes; server-sent events that do not end."""
    return StreamingResponse(
        _as_events(jobs.events()), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


async def _as_events(jobs: AsyncIterator[Job | None]) -> AsyncIterator[str]:
    async for job in jobs:
        yield ":\n\n" if job is None else f"event: job\ndata: {job.model_dump_json()}\n\n"


def _folder(library: Library, number: int) -> str:
    folders = list(library.roots())
    if not 0 <= number < len(folders):
        raise Problem(404, f"there is no folder {number}; the library has {len(folders)}")
    return folders[number]
