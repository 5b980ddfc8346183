"""mirclr learns what music sounds alike, from music without labels, and makes that useful.

    import mirclr

    with mirclr.Library.open("lib.db") as library:
        for r in library.recommend(["a.mp3"], n=20, exclude=["artist:X"]):
            print(r.track.title, r.similarity, r.reason)

The rooms, in pipeline order, are described in ARCHITECTURE.md. Importing this package imports no torch.
"""

from typing import TYPE_CHECKING, Any

from mirclr.version import __version__

if TYPE_CHECKING:
    from mirclr.api import Library, Query, Recommendation

__all__ = ["Library", "Query", "Recommendation", "__version__"]


def __getattr__(name: str) -> Any:
    if name in ("Library", "Query", "Recommendation"):
        from mirclr import api

        return getattr(api, name)
    raise AttributeError(f"module 'mirclr' has no attribute {name!r}")
