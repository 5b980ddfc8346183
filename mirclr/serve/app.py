"""`create_app`: the service, the page and the players' door as one ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from mirclr.serve import assets, docs, listenbrainz, problems, subsonic
from mirclr.serve.api import PREFIX, routers
from mirclr.serve.guard import Guard
from mirclr.serve.jobs import Jobs
from mirclr.serve.measures import Measured, Measures
from mirclr.serve.measures import router as measures_router
from mirclr.serve.service import Service
from mirclr.serve.sessions import Sessions
from mirclr.serve.settings import ServeSettings
from mirclr.version import __version__


def create_app(settings: ServeSettings) -> FastAPI:
    """Make the application of a library.

    Parameters
    ----------
    settings : ServeSettings
        What is served to whom.
    """
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            await jobs.stop()
            service.close()

    app = FastAPI(
        title="mirclr",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        responses=problems.DESCRIBED,
    )
    app.state.service = service
    app.state.jobs = jobs = Jobs(settings.library, settings.limits.jobs, settings.limits.events)
    app.state.sessions = sessions = Sessions(settings)
    app.state.measures = measures = Measures(app)
    app.add_middleware(Guard, settings=settings, sessions=sessions)
    app.add_middleware(Measured, measures=measures)  # what is added last is asked first
    problems.install(app)
    for router in routers():
        app.include_router(router, prefix=PREFIX)
    app.include_router(measures_router)
    app.include_router(listenbrainz.router)
    subsonic.install(app)
    docs.install(app)
    assets.install(app)
    return app
