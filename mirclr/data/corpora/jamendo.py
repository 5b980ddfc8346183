"""MTG-Jamendo, the mood/theme subset: the 17,982 full tracks of a split, with 56 tags (papers often give 18,486).

Layout: ``data/splits/split-0/autotagging_moodtheme-{train,validation,test}.tsv`` (TRACK_ID, ARTIST_ID,
ALBUM_ID, PATH, DURATION, then one column per tag: the lines differ in length) and ``48/948.mp3`` or, in the
smaller edition, ``48/948.low.mp3``. Of the five published splits this is the first, which results are
usually given for.
"""

from pathlib import Path

from mirclr.data.corpora.description import Corpus, Reading
from mirclr.data.corpora.published import Published
from mirclr.data.manifest import Split, Track
from mirclr.errors import CorpusError

CORPUS = Corpus(
    name="mtg-jamendo-moodtheme",
    title="MTG-Jamendo mood/theme",
    licence="audio: Creative Commons, one licence per track; metadata CC BY-NC-SA 4.0",
    obtained="folder",
    citation=(
        "D. Bogdanov, M. Won, P. Tovstogan, A. Porter, X. Serra: The MTG-Jamendo dataset for automatic music "
        "tagging, Machine Learning for Music Discovery Workshop, ICML 2019."
    ),
    homepage="https://github.com/MTG/mtg-jamendo-dataset",
)

_SPLITS: dict[str, Split] = {"train": "train", "validation": "valid", "test": "test"}
_COLUMNS = ["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS"]
_MOOD = "mood/theme"


def read(folder: Path) -> Reading:
    """Read the tracks of split 0. Artists and albums are known by their numbers."""
    published = Published(folder, CORPUS)
    tracks = []
    for part, split in _SPLITS.items():
        for row in _rows(published.table(f"split-0/autotagging_moodtheme-{part}.tsv")):
            track_id, artist, album, listed, duration, *labels = row
            path = _audio(published, listed)
            if path is None:
                continue
            pairs = [label.partition("---") for label in labels if label]
            tracks.append(
                Track(
                    id=f"mtg-jamendo/{track_id}",
                    path=path,
                    duration_s=float(duration),
                    artist=artist,
                    album=album,
                    moods=tuple(value for kind, _, value in pairs if kind == _MOOD),
                    tags=tuple("".join(pair) for pair in pairs if pair[0] != _MOOD),
                    split=split,
                    licence=CORPUS.licence,
                )
            )
    return Reading(tracks, published.problems())


def _audio(published: Published, listed: str) -> str | None:
    """The track in the edition that is there."""
    low = f"{listed.removesuffix('.mp3')}.low.mp3"
    return published.audio(low if published.has(low) else listed)


def _rows(table: Path) -> list[list[str]]:
    lines = [line.split("\t") for line in table.read_text("utf-8", "replace").splitlines() if line.strip()]
    if not lines or lines[0] != _COLUMNS:
        raise CorpusError(f"{table}: its header is not {' '.join(_COLUMNS)}; expected the table as published")
    for number, row in enumerate(lines[1:], start=2):
        if len(row) < len(_COLUMNS) or not _is_positive(row[4]):
            raise CorpusError(f"{table}:{number}: not a row of {' '.join(_COLUMNS)}")
    return lines[1:]


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False
