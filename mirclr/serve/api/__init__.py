"""The routes below ``/api/v1``, one file a subject; each has a `router`.

Contents: tracks.py, songs of the library; recommend.py, lists by the whole query model.
"""

from fastapi import APIRouter

from mirclr.serve.api import recommend, tracks


def routers() -> list[APIRouter]:
    """The routers of all subjects."""
    return [tracks.router, recommend.router]
