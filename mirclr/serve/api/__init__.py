"""The routes below ``/api/v1``, one file a subject; each has a `router`.

Contents: tracks.py, songs of the library; media.py, their sound and pictures; sounds.py, how they sound; recommend.py,
lists by the whole query model, counts of filters, orders and radio; playlists.py, blocks.py and profiles.py, what a
person keeps; library.py, what there is; map.py, where songs lie; jobs.py, long work and its events; session.py, the
token.
"""

from fastapi import APIRouter

from mirclr.serve.api import blocks, jobs, library, map, media, playlists, profiles, recommend, session, sounds, tracks

PREFIX = "/api/v1"


def routers() -> list[APIRouter]:
    """The routers of all subjects."""
    return [
        tracks.router,
        media.router,
        sounds.router,
        recommend.router,
        playlists.router,
        blocks.router,
        profiles.router,
        library.router,
        map.router,
        jobs.router,
        session.router,
    ]
