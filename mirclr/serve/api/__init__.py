"""The routes below ``/api/v1``, one file a subject; each has a `router`.

Contents: tracks.py, songs of the library; recommend.py, lists by the whole query model; jobs.py, long
work and its events; session.py, the token.
"""

from fastapi import APIRouter

from mirclr.serve.api import jobs, recommend, session, tracks


def routers() -> list[APIRouter]:
    """The routers of all subjects."""
    return [tracks.router, recommend.router, jobs.router, session.router]
