"""Files into a library: embedded, described, compared, kept in step with their folders; and tags back into files.

In: folders and an `Embedder`. Out: what a `LibraryStore` holds of them, and an outcome for each file.

Contents: `find_audio` (finding.py: which files), `embed_files` (embedding.py, with seen.py: a file beside what the
library knows of it; moves.py: folders that moved), `apply_changes`, `preview_changes` (sync.py), watch.py,
`find_near_duplicates` (near_duplicates.py), `describe_tracks` (description.py: tempo, key, loudness), `renew`
(renewal.py: by another encoder), exclusions.py and removal.py (what a person leaves out), tagging/ (into files' own
tags, and out again). Each is loaded when it is asked for, as embedding.py brings torch and worker processes must not.
"""

from typing import TYPE_CHECKING

from mirclr.lazy import attributes

if TYPE_CHECKING:
    from mirclr.ingest.description import describe_tracks
    from mirclr.ingest.embedding import embed_files
    from mirclr.ingest.finding import find_audio
    from mirclr.ingest.near_duplicates import find_near_duplicates
    from mirclr.ingest.renewal import renew
    from mirclr.ingest.sync import apply_changes, preview_changes

__all__ = [
    "apply_changes",
    "describe_tracks",
    "embed_files",
    "find_audio",
    "find_near_duplicates",
    "preview_changes",
    "renew",
]

_LAZY = {
    "apply_changes": "sync",
    "describe_tracks": "description",
    "embed_files": "embedding",
    "find_audio": "finding",
    "find_near_duplicates": "near_duplicates",
    "preview_changes": "sync",
    "renew": "renewal",
}

__getattr__ = attributes(__name__, _LAZY)


def __dir__() -> list[str]:
    return __all__
