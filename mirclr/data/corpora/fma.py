"""FMA small: 8,000 clips of 30 s in eight balanced genres.

Layout: ``fma_metadata/tracks.csv``, whose header has two lines (group, field) and a third that names the
index, and ``fma_small/000/000002.mp3``.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from mirclr.data.corpora.description import Corpus, Reading
from mirclr.data.corpora.published import Published
from mirclr.data.manifest import Split, Track
from mirclr.errors import CorpusError

CORPUS = Corpus(
    name="fma-small",
    title="FMA small",
    licence="Creative Commons, one licence per track; metadata CC BY 4.0",
    obtained="folder",
    citation=("M. Defferrard, K. Benzi, P. Vandergheynst, X. Bresson: FMA: a dataset for music analysis, ISMIR 2017."),
    homepage="https://github.com/mdeff/fma",
)

_SPLITS: dict[str, Split] = {"training": "train", "validation": "valid", "test": "test"}
_FIELDS = {
    ("set", "split"): "split",
    ("set", "subset"): "subset",
    ("track", "genre_top"): "genre",
    ("track", "title"): "title",
    ("track", "license"): "licence",
    ("artist", "name"): "artist",
    ("album", "title"): "album",
}


def read(folder: Path) -> Reading:
    """Read the tracks of the small subset, with the split and top genre that the corpus publishes."""
    published = Published(folder, CORPUS)
    tracks = []
    for number, row in _rows(published.table("tracks.csv")):
        if row["subset"] != "small":
            continue
        path = published.audio(f"{number[:3]}/{number}.mp3")
        if path is not None:
            facts: dict[str, object] = {
                name: row[name] or None for name in ("title", "artist", "album", "genre", "licence")
            }
            facts |= {"id": f"fma/{number}", "path": path, "split": _SPLITS.get(row["split"])}
            tracks.append(Track.model_validate(facts))
    return Reading(tracks, published.problems())


def _rows(table: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Number of six digits and fields of each track."""
    csv.field_size_limit(1 << 24)  # biographies pass the module's 128 KiB
    try:
        with table.open(encoding="utf-8", newline="") as f:
            rows = csv.reader(f)
            header = list(zip(next(rows, []), next(rows, []), strict=False))
            absent = [".".join(field) for field in _FIELDS if field not in header]
            if absent:
                raise CorpusError(f"{table}: no column {', '.join(absent)}; expected the table as published")
            at = {name: header.index(field) for field, name in _FIELDS.items()}
            for row in rows:
                if len(row) == len(header) and row[0].isdigit():
                    yield row[0].zfill(6), {name: row[i].strip() for name, i in at.items()}
    except (csv.Error, UnicodeDecodeError) as error:
        raise CorpusError(f"{table}: not the table as published: {error}") from error
