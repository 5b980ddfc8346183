"""How the service is: whether it answers, and figures for Prometheus.

Contents: `Measures`, the figures of an application, and `Measured`, which counts its requests; `router`.
"""

import time
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from pydantic import BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mirclr.api import Library
from mirclr.serve.api import PREFIX
from mirclr.serve.jobs import Jobs
from mirclr.serve.logs import log_request
from mirclr.serve.service import TheService
from mirclr.version import __version__

router = APIRouter(tags=["health"])

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Measures:
    """The figures of an application, in a registry of its own.

    Parameters
    ----------
    app : FastAPI
        Whose jobs and listeners are counted when they are asked for.
    """

    def __init__(self, app: FastAPI) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        names = ("method", "route", "status")
        self.requests = Counter("mirclr_requests", "Requests that were answered.", names, registry=self.registry)
        self.seconds = Histogram(
            "mirclr_request_seconds",
            "Seconds until an answer began.",
            ("route",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.songs = Gauge("mirclr_songs", "Songs of the library.", registry=self.registry)
        jobs: Jobs = app.state.jobs
        Gauge("mirclr_listeners", "Clients that wait for events.", registry=self.registry).set_function(
            lambda: jobs.listeners
        )
        states = Gauge("mirclr_jobs", "Jobs that are known, by their state.", ("state",), registry=self.registry)
        for state in ("waiting", "running", "done", "failed", "cancelled"):
            states.labels(state).set_function(partial(_in_state, jobs, state))
        Gauge("mirclr_info", "The version.", ("version",), registry=self.registry).labels(__version__).set(1)


def _in_state(jobs: Jobs, state: str) -> float:
    return sum(job.state == state for job in jobs.all())


class Measured:
    """Counts what an application answers, by the routes' patterns and never by what was asked; ASGI."""

    def __init__(self, app: ASGIApp, measures: Measures) -> None:
        self._app, self._measures = app, measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def counting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                route = _pattern(scope)
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self._measures.requests.labels(method, route, str(status)).inc()
                self._measures.seconds.labels(route).observe(time.perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, counting)
        finally:
            client = scope["client"][0] if scope.get("client") else ""
            log_request(client, scope["method"], scope["path"], status, time.perf_counter() - began)


def _pattern(scope: Scope) -> str:
    """The pattern of the route that answers, below its prefix, which some releases of FastAPI leave out."""
    pattern = str(getattr(scope.get("route"), "path", "none"))
    is_below = scope["path"].startswith(PREFIX + "/") and pattern.startswith("/")
    return PREFIX + pattern if is_below and not pattern.startswith(PREFIX) else pattern


_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class Health(BaseModel):
    """That the service answers."""

    status: str
    version: str


@router.get("/healthz")
async def healthz(service: TheService) -> Health:
    """Whether the library can be asked."""
    await service.call(_generation)
    return Health(status="ok", version=__version__)


def _generation(library: Library) -> int:
    return library.generation


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Figures as Prometheus reads them."}},
)
async def metrics(request: Request, service: TheService) -> Response:
    """Figures for Prometheus."""
    measures: Any = request.app.state.measures
    measures.songs.set(await service.call(_songs))
    return Response(generate_latest(measures.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _songs(library: Library) -> int:
    return sum(library.roots().values())
