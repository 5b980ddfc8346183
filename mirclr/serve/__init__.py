"""A library as a web page, a service and a music server; needs ``mirclr[serve]``.

In: a library file and `ServeSettings`. Out: an ASGI application (`create_app`), which `mirclr serve` runs by uvicorn.

Conventions: routes parse, call and answer; what they call is `mirclr.Library` or a function of the packages below, as
the command line calls them. Songs are named by their ids, never by paths. What goes wrong is answered as a problem
document (problems.py) with the line that the command line would print.

Contents: settings.py; app.py, all parts put together; running.py, its socket and its end; service.py, the library for
many threads, with shared.py and apart.py, what is derived from it, once for all; guard.py, who may ask, with
sessions.py, the token; problems.py, errors as answers; logs.py and measures.py, how it goes; jobs/, long work;
media.py, sound, covers and waveforms, with ranges.py, which part of a file is meant; sent.py, audio that is sent;
slots.py; docs.py, the description of all routes; api/, the routes below ``/api/v1``, one file a subject;
listenbrainz.py and subsonic/, the doors of players; assets.py and page/, the web page: plain ES modules and styles,
served as they are.
"""
