"""Search by ear: a short, noisy, re-encoded or faster clip to the very track that it is of, and where in it.

In: a library whose tracks have fingerprints (`mirclr.ingest.fingerprints`), and files. Out: tracks, or that a clip is
of none. No torch, no vectors.

A clip's landmarks are paired and hashed (hashing.py); the places where most hashes agree are candidates (postings.py,
kept in a file by file.py, brought up to date by opening.py); on each candidate the clip is laid and judged
(alignment.py); search.py does both for each change of speed, pitch and pace; clips.py reads files, in windows.

Contents: `Identifier`, which is made of a library; `Found`.
"""

from mirclr.identify.clips import Found, Identifier

__all__ = ["Found", "Identifier"]
