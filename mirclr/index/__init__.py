"""Nearest neighbours among a library's vectors; the only door to faiss.

In: a library's vectors. Out: for a query the ids of the nearest tracks, and their similarities.

Conventions: n tracks, q queries, k neighbours, d dimensions. Vectors are unit rows, so the inner product is the cosine
similarity. An index is derived from its library and never the only copy of anything: its base is one file
beside it, ``<library>.index``, and made again when that file is damaged or much has changed since. What changed since
the base was made (a few tracks added, embedded again, removed) is read from the library each time it is opened, so
adding a song costs one song.

Up to `EXACT` tracks every query is compared with every track. Above, tracks lie in clusters, and a query looks
into as many of the nearest as find `RECALL` of what comparing with all would find, measured on the library's own tracks
when the base is made.

An index may also be elsewhere, in a collection of Milvus or PostgreSQL or in a folder of compressed vectors, as an
address says: `open_engine`.

Contents: `open_index`, `saved_index`, `renewed_index`, `Index` (index.py), `Base` with its search (base.py), its file
(file.py); `nearest_rows`, for vectors that no index is made of (nearest.py). Elsewhere: `Engine` (engine.py), addresses
(address.py), `EngineIndex` (elsewhere.py) over a `Collection` (collection.py) in a database (milvus.py, postgres.py) or
a folder (quantized.py); vectors from Parquet shards (shards.py).
"""

from mirclr.index.base import EXACT, RECALL, Base, build
from mirclr.index.engine import Engine, IndexStatus, Pushed, open_engine
from mirclr.index.index import Index, no_songs, open_index, renewed_index, saved_index
from mirclr.index.nearest import nearest_rows

__all__ = [
    "EXACT",
    "RECALL",
    "Base",
    "Engine",
    "Index",
    "IndexStatus",
    "Pushed",
    "build",
    "nearest_rows",
    "no_songs",
    "open_engine",
    "open_index",
    "renewed_index",
    "saved_index",
]
