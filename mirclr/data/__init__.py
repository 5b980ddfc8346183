"""What tracks there are, and batches of them.

In: folders, manifests, corpora. Out: `Track`s, and from the cache of their clips batches with `Targets`, each a
function of (seed, step).

Contents: `scan_folder`, `Track`, `read_manifest`, `write_manifest` (manifest.py, on scan.py and cue.py), corpora/;
`tracks_of`, `ClipCache` (clips.py), `ClipSource` (batches.py, on sampling.py; loader.py makes them ahead), `Targets`
(targets.py), `SoftLabelFolder` (soft_labels.py), near_duplicates.py. Each is loaded when it is asked for; `scan`,
`cue`, `manifest` and `corpora` load no torch.
"""

from typing import TYPE_CHECKING

from mirclr.lazy import attributes

if TYPE_CHECKING:
    from mirclr.data.batches import ClipSource
    from mirclr.data.clips import Cached, ClipCache, Skipped, tracks_of
    from mirclr.data.manifest import Track, read_manifest, scan_folder, write_manifest
    from mirclr.data.scan import Exclusions
    from mirclr.data.soft_labels import SoftLabelFolder
    from mirclr.data.targets import Targets

__all__ = [
    "Cached",
    "ClipCache",
    "ClipSource",
    "Exclusions",
    "Skipped",
    "SoftLabelFolder",
    "Targets",
    "Track",
    "read_manifest",
    "scan_folder",
    "tracks_of",
    "write_manifest",
]

_LAZY = {
    "Cached": "clips",
    "ClipCache": "clips",
    "ClipSource": "batches",
    "Exclusions": "scan",
    "Skipped": "clips",
    "SoftLabelFolder": "soft_labels",
    "Targets": "targets",
    "Track": "manifest",
    "read_manifest": "manifest",
    "scan_folder": "manifest",
    "tracks_of": "clips",
    "write_manifest": "manifest",
}

__getattr__ = attributes(__name__, _LAZY)


def __dir__() -> list[str]:
    return __all__
