"""`create_app`: the service, the page and the players' door as one ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from mirclr.serve import assets, problems
from mirclr.serve.api import routers
from mirclr.serve.service import Service
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
        try:
            yield
        finally:
            service.close()

    app = FastAPI(title="mirclr", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = service
    problems.install(app)
    for router in routers():
        app.include_router(router, prefix="/api/v1")
    assets.install(app)
    return app
