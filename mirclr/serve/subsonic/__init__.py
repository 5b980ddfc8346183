"""The players' door: a library as an OpenSubsonic server, below ``/rest``.

In: requests as players of the Subsonic API send them (https://opensubsonic.netlify.app), as queries or forms. Out:
documents in XML or JSON, sound and pictures.

Conventions: songs are ``tr-12`` by the ids of the library, albums ``al-…`` and artists ``ar-…`` by digests of their
names, song lists ``pl-3``. A user is a listener's profile of that name, the password is the service's token. What is
refused is answered with status 200 and a code, as players expect. Handlers take an `Asked` and give the values of the
answer, of which `protocol` makes the document; they run in a thread that has the library open.

Contents: protocol.py, parameters and documents; login.py, who asks; asked.py, what a handler gets; items.py, songs,
albums and artists as values; taste.py, what a listener played and starred; system.py, browsing.py, lists.py,
searching.py, alike.py, playlists.py, listening.py, the handlers of a subject each; sound.py, those of sound and
pictures; routes.py, all of them by name.
"""

from mirclr.serve.subsonic.routes import install

__all__ = ["install"]
